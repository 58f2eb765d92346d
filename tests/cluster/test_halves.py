#!/usr/bin/env python3
"""Edges and a merge node as processes of their own over a real Kafka: the rows are those of everything that was sent, whoever is
stopped, killed or cut off meanwhile."""
import collections
import datetime
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import kafka    # noqa: E402
import nodes    # noqa: E402
from nodes import MATRIX, PATIENCE_S, WINDOW_S  # noqa: E402


# How long Kafka, or the way to it, is away. An hour of windows of 5 minutes is a minute of windows of 5 s.
OUTAGE_S = int(os.environ.get("BACKSTREAM_OUTAGE_S", 15))


class Halves(nodes.Case):
    links = ("rio",)

    def test_rows_are_those_of_all_that_was_sent(self):
        merge = self.merge()
        edges = {name: self.edge(name) for name in ("ams", "fra", "rio")}
        merge.add("matrix", MATRIX)
        merge.add("all_flows", "SELECT src_as, octets FROM flows WHERE src_as = 64501")
        self.runs_at([merge, *edges.values()], "all_flows")
        self.assertEqual({node["name"] for node in merge.get("/api/v1/nodes")["nodes"]}, {"merge", *edges})
        time.sleep(2)
        routers = {name: edge.router() for name, edge in edges.items()}
        sent = collections.Counter()

        def send(names, seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for number, name in enumerate(names):
                    routers[name].send(3 + number, src_as=64500 + number)
                    sent[64500 + number] += 3 + number
                time.sleep(0.05)

        send(edges, 8)
        # The merge node is killed, and then stopped: what came meanwhile is read again.
        self.collect(merge)
        merge.end(signal.SIGKILL)
        send(edges, 4)
        merge = self.merge()
        send(edges, 4)
        self.collect(merge)
        self.assertEqual(merge.end(), 0)
        send(edges, 4)
        merge = self.merge()
        send(edges, 8)
        # An edge is stopped on purpose and comes back: it sends what was open, and nothing is missing but what it did not hear.
        self.assertEqual(edges["fra"].end(), 0)
        edges["fra"] = self.edge("fra")
        routers["fra"].close()
        routers["fra"] = edges["fra"].router()
        send(edges, 3)
        self.until_counted(merge, sent, "every flow is in a window")
        self.until(lambda: all(part["final"] for part, _ in self.collect(merge).values()), "all are final")
        for start, (part, rows) in self.collect(merge).items():
            # What came to the edge that was stopped while it was not there would be missing.
            self.assertIn(part.get("sites_missing"), (None, ["site-fra"]), start)
            self.assertFalse(part["complete"] and "sites_missing" in part, start)
            for key, (octets, n) in rows.items():
                self.assertEqual(octets, 100 * n)
        self.assertTrue(any(part["complete"] for part, _ in self.collect(merge).values()))
        self.assertTrue(any("sites_missing" in part for part, _ in self.collect(merge).values()))
        checks = {check["id"]: check for check in merge.get("/api/v1/doctor")["checks"]}
        self.assertNotIn("D02", checks, "no flows come to a merge node")
        page = merge.get("/metrics")
        self.assertIn('backstream_edge_absent{node="ams",site="site-ams"} 0', page)
        self.assertRegex(edges["ams"].get("/metrics"), r'backstream_spool_messages_total\{result="sent"\} [1-9]')

    def test_a_site_that_is_cut_off_is_marked_and_then_revised(self):
        merge = self.merge()
        edges = {name: self.edge(name) for name in ("ams", "rio")}
        merge.add("matrix", MATRIX)
        self.runs_at([merge, *edges.values()], "matrix")
        routers = {name: edge.router() for name, edge in edges.items()}
        sent = collections.Counter()

        def send(names):
            for name in names:
                key = 64500 + list(edges).index(name)
                routers[name].send(5, src_as=key)
                sent[key] += 5
            time.sleep(0.05)

        def marked():
            send(edges)
            return [part for part, _ in self.collect(merge).values()
                    if not part["complete"] and part.get("sites_missing") == ["site-rio"]]

        def whole():
            send(edges)
            return [part for part, _ in self.collect(merge).values() if part["complete"]]

        self.until(whole, "a window of both")
        self.cluster.links["rio"].cut()
        cut_at = time.time()
        self.until(marked, "a window without the site that is cut off")
        merge.said(r"site site-rio is absent", 5)
        self.until(lambda: send(edges) or time.time() > cut_at + OUTAGE_S, "the outage is over", OUTAGE_S + 5)
        lag = re.search(r"^backstream_spool_lag_seconds (\S+)$", edges["rio"].get("/metrics"), re.MULTILINE)
        self.assertGreater(float(lag[1]), 5, "it tells that it has more to say")
        self.cluster.links["rio"].mend()
        merge.said(r"site site-rio is back", PATIENCE_S)
        self.until(lambda: send(edges) or time.time() > cut_at + OUTAGE_S + 20, "it is heard again")
        self.until_counted(merge, sent, "what it had is in the windows")
        windows = {start: part for start, (part, _) in self.collect(merge).items()}
        for start, part in windows.items():
            self.assertTrue(part["final"], start)
            # The first ones overlap the time before both edges ran.
            if start >= min(start for start, part in windows.items() if part["complete"]):
                self.assertTrue(part["complete"], start)
                self.assertNotIn("sites_missing", part, start)

    def test_a_killed_edge_loses_what_was_open_and_its_windows_say_so(self):
        merge, edge = self.merge(), self.edge("ams")
        merge.add("matrix", MATRIX)
        self.runs_at([merge, edge], "matrix")
        router = edge.router()
        sent = collections.Counter()  # By window.

        def send(seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                at = int(time.time())
                router.send(5, at=at, src_as=64500)
                sent[at - at % WINDOW_S] += 5
                time.sleep(0.05)

        def ended_windows():
            return {int(datetime.datetime.fromisoformat(start).timestamp()): (part["complete"], rows[64500][1])
                    for start, (part, rows) in self.collect(merge).items() if part["final"]}

        send(12)
        killed_at = time.time()
        edge.end(signal.SIGKILL)
        for _ in range(40):  # Nobody hears these.
            router.send(5, src_as=64500)
            sent[int(time.time()) // WINDOW_S * WINDOW_S] += 5
        edge = self.edge("ams")
        router.port = edge.flow_port  # The numbers of its messages go on.
        send(12)
        last = max(sent)
        self.until(lambda: last in ended_windows(), "the last window is final")
        windows = ended_windows()
        print(f"  sent {dict(sent)}, told {windows}, killed at {killed_at:.1f}")
        complete = [start for start, (complete, _) in windows.items() if complete]
        self.assertGreater(len(complete), 1)
        self.assertLess(len(complete), len(windows), "a window of the time without it says so")
        for start in complete:
            self.assertEqual(windows[start][1], sent[start], "what says that it is complete is")
        for start, (part, _) in self.collect(merge).items():
            if part["complete"] or datetime.datetime.fromisoformat(part["window_end"]).timestamp() > killed_at:
                self.assertEqual(part.get("sites_missing"), None if part["complete"] else ["site-ams"], start)
        for start, (_, counted) in windows.items():
            self.assertLessEqual(counted, sent[start], "nothing is there twice")
        lost = sum(sent.values()) - sum(counted for _, counted in windows.values())
        at_most = sum(flows for start, flows in sent.items() if killed_at - 1 - WINDOW_S <= start + WINDOW_S and start <= killed_at)
        self.assertLessEqual(lost, at_most + 200, "no more than its open panes, and what nobody heard")
        self.assertGreater(lost, 200)

        def told():  # Every 5 s.
            ledger = merge.get("/api/v1/queries")["queries"][0]["ledger"]
            return ledger["lost"] == lost and ledger["counted"] + lost == sum(sent.values())
        self.until(told, f"all {lost} that are in no window are told to be lost", 20)
        edge.said(r"the process before this one was killed with up to [1-9]\d* rows in open panes", 5)
        self.assertIn(f'backstream_query_lost_rows_total{{query="matrix"}} {lost}', merge.get("/metrics"))
        # Stopped on purpose it loses what comes while it is not there, and nothing else; what was lost before stays lost.
        self.assertEqual(edge.end(), 0)
        for _ in range(10):
            router.send(5, src_as=64500)
        edge = self.edge("ams")
        router.port = edge.flow_port
        send(3)
        self.until(lambda: merge.get("/api/v1/queries")["queries"][0]["ledger"]["lost"] == lost + 50, "50 more are lost", 30)

    def test_without_kafka_an_edge_keeps_what_it_has(self):
        merge, edge = self.merge(), self.edge("ams")
        merge.add("matrix", MATRIX)
        self.runs_at([merge, edge], "matrix")
        router = edge.router()
        sent = 0

        def send(seconds):
            nonlocal sent
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                router.send(5, src_as=64500)
                sent += 5
                time.sleep(0.05)

        send(8)
        self.cluster.kill()
        send(OUTAGE_S)
        # The edge is stopped and started without Kafka: what it had to say waits in its files.
        self.assertEqual(edge.end(), 0)
        self.cluster.start()
        edge = self.edge("ams")
        router.close()
        router = edge.router()
        send(3)
        self.until_counted(merge, {64500: sent}, "all that was sent, once")

    def test_what_cannot_be_is_said(self):
        for roles, message in (("edge,merge", "a process is an edge, or merge, receiver or both, or all three"),
                               ("receiver", "kafka.brokers is empty")):
            process = self.serve("state.folder=" + self.path("wrong"), f"node.roles={roles}", wait=False)
            process.said(message)
        process = self.serve("state.folder=" + self.path("wrong"), "node.roles=edge", wait=False)
        process.said("kafka.brokers is empty")


if __name__ == "__main__":
    sys.exit(nodes.main())

#!/usr/bin/env python3
"""Several merge workers, and receivers apart from them: workers share the partitions of the partials, others take over from who
goes, and the rows stay those of everything that was sent."""
import collections
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
import nodes    # noqa: E402
from nodes import MATRIX  # noqa: E402

QUERIES = ["matrix"] + [f"matrix{number}" for number in range(1, 6)]


class Workers(nodes.Case):
    def worker(self, name):
        return self.merge(name=name, roles="merge")

    def receiver(self, name="receiver"):
        return self.node(name, roles="receiver")

    def metric(self, node, name):
        match = re.search(rf"^{re.escape(name)} (\S+)$", node.get("/metrics"), re.MULTILINE)
        return float(match.group(1)) if match else None

    def partitions(self, *workers):
        return [self.metric(worker, "backstream_merge_partitions") for worker in workers]

    def send(self, routers, sent, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number, router in enumerate(routers):
                router.send(3 + number, src_as=64500 + number)
                sent[64500 + number] += 3 + number
            time.sleep(0.05)

    def newest(self, receiver):
        return max((start for query in QUERIES for start in self.collect(receiver, query)), default="")

    def windows_go_on(self, receiver, routers, sent, what):
        """Each query gives a window that begins after now."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())

        def all_go_on():
            self.send(routers, sent, 0.2)
            return all(max(self.collect(receiver, query), default="") > now for query in QUERIES)
        self.until(all_go_on, what)

    def test_others_take_over_from_who_is_killed_or_stands_still(self):
        receiver = self.receiver()
        one, two = self.worker("merge-1"), self.worker("merge-2")
        edges = [self.edge("ams"), self.edge("rio")]
        for query in QUERIES:
            receiver.add(query, MATRIX)
        # A view of another partition than some of those that read it.
        receiver.add("total", "SELECT window_start, sum(octets) AS octets, sum(n) AS n FROM matrix GROUP BY window_start")
        self.runs_at([receiver, one, two, *edges], "total")
        self.until(lambda: sorted(self.partitions(one, two)) == [1, 2], "both have some of the partitions")
        routers, sent = [edge.router() for edge in edges], collections.Counter()
        self.windows_go_on(receiver, routers, sent, "windows of all queries")

        one.end(signal.SIGKILL)
        self.windows_go_on(receiver, routers, sent, "windows of all queries after a worker was killed")
        self.assertEqual(self.partitions(two), [3])
        one = self.worker("merge-1")
        self.until(lambda: self.send(routers, sent, 0.2) or sorted(self.partitions(one, two)) == [1, 2], "a worker came back")
        self.windows_go_on(receiver, routers, sent, "windows of all queries after a worker came back")

        # It stands still for longer than others wait; then it goes on, and finds that it was superseded.
        two.process.send_signal(signal.SIGSTOP)
        self.windows_go_on(receiver, routers, sent, "windows of all queries after a worker stood still")
        self.assertEqual(self.partitions(one), [3])
        two.process.send_signal(signal.SIGCONT)
        self.until(lambda: self.send(routers, sent, 0.2) or sorted(self.partitions(one, two)) == [1, 2], "it shares again")
        self.windows_go_on(receiver, routers, sent, "windows of all queries after it went on")

        # Who is stopped on purpose leaves what it had to the others at once.
        self.assertEqual(two.end(), 0)
        self.until(lambda: self.partitions(one) == [3], "the other has all")
        receiver.end(signal.SIGKILL)
        receiver = self.receiver()
        self.send(routers, sent, 3)
        for query in QUERIES:
            self.until_counted(receiver, sent, f"every flow is in a window of {query}", query)
            windows = self.collect(receiver, query)
            self.assertTrue(all("sites_missing" not in part for part, _ in windows.values()))
            self.assertTrue(any(part["complete"] for part, _ in windows.values()))
        self.assertEqual(self.metric(receiver, 'backstream_results_dropped_total{reason="refused"}'), 0)
        total = {part["window_start"]: tuple(part["rows"][0][1:]) for part in
                 receiver.get("/api/v1/queries/total/results?limit=1000000")["windows"] if part["rows"]}
        self.assertEqual(sum(n for _, n in total.values()), sum(sent.values()), "what reads a view has all of it, once")
        print(f"  {sum(sent.values())} flows in {len(self.seen['matrix'])} windows of each query")

    def test_a_second_receiver_shows_the_same(self):
        worker, first = self.worker("merge-1"), self.receiver("receiver-1")
        edge = self.edge("ams")
        first.add("matrix", MATRIX)
        self.runs_at([worker, first, edge], "matrix")
        routers, sent = [edge.router()], collections.Counter()
        self.until(lambda: self.send(routers, sent, 0.2) or len(self.collect(first)) > 2, "windows at the first")
        second = self.receiver("receiver-2")  # It comes later, and shows what was before.
        self.send(routers, sent, 3)
        for receiver in (first, second):
            self.until_counted(receiver, sent, "every flow is in a window")
        # Who asks about results is answered by the receiver alone. What he asks of flows runs on all nodes, and ends with him.
        for asks, question in (("results", "SELECT window_start, src_as, n FROM matrix"), ("flows", MATRIX)):
            with subprocess.Popen([harness.BINARY, "sql", "--server", f"http://127.0.0.1:{second.port}", "-o", "csv", "--windows", "1",
                                   "-c", question], stdout=subprocess.PIPE, text=True) as asked:
                self.until(lambda: self.send(routers, sent, 0.2) or asked.poll() is not None, f"a window of what was asked of {asks}")
                self.assertRegex(asked.stdout.read(), r"(?m)^2\d\d\d-.*,64500,(?:\d+,)?[1-9]\d*$")
            self.assertEqual(asked.returncode, 0)
            if asks == "results":
                self.assertNotIn("query ~", re.sub(" +", " ", self.command("audit", server=first)))
        self.until(lambda: re.search(r"(?m)read no more +query +~", self.command("audit", server=first)), "it is gone")
        self.until_counted(second, sent, "every flow is in a window")
        self.until(lambda: second.get("/api/v1/queries/matrix")["ledger"]["counted"] == sum(sent.values()),
                   "a receiver tells the ledger of its worker")

    def test_garbage_in_every_topic_stops_nothing(self):
        node, edge = self.merge(), self.edge("ams")
        node.add("matrix", MATRIX)
        self.runs_at([node, edge], "matrix")
        routers, sent = [edge.router()], collections.Counter()
        self.until(lambda: self.send(routers, sent, 0.2) or self.collect(node), "a window")
        garbage = b"".join(b"k%d=" % number + bytes([number % 251 + 1]) * (number % 40 + 1) + b"\n" for number in range(500))
        for topic, partitions in (("partials", 3), ("snapshots", 3), ("results", 3), ("catalog", 1)):
            for partition in range(partitions):
                command = ["kcat", "-q", "-P", "-b", self.cluster.bootstrap, "-t", f"backstream.{topic}", "-p", str(partition), "-K", "="]
                subprocess.run(command, input=garbage, check=True, timeout=60, stderr=subprocess.DEVNULL)
            self.send(routers, sent, 1)
        node.add("matrix1", MATRIX)
        self.runs_at([node, edge], "matrix1")
        # Who takes over has to pass it, too.
        node.end(signal.SIGKILL)
        node = self.merge()
        self.send(routers, sent, 6)
        self.until_counted(node, sent, "every flow is in a window")
        for topic in ("partials", "results"):
            foreign = self.metric(node, f'backstream_kafka_log_faults_total{{topic="{topic}",reason="foreign"}}')
            self.assertGreaterEqual(foreign, 1000, topic)

    def test_a_drained_node_is_waited_for_no_more(self):
        node, first = self.merge(name="merge-1"), self.worker("merge-2")
        edges = {name: self.edge(name) for name in ("ams", "rio")}
        node.add("matrix", MATRIX)
        self.runs_at([node, *edges.values()], "matrix")
        routers, sent = [edge.router() for edge in edges.values()], collections.Counter()
        self.until(lambda: self.send(routers, sent, 0.2) or any(part["complete"] for part, _ in self.collect(node).values()),
                   "a whole window")
        self.assertIn("there is no node 'nowhere'", self.command("node", "drain", "nowhere", server=node, code=6))
        for name, process in (("rio", edges["rio"]), ("merge-2", first)):
            self.assertEqual(self.command("node", "drain", name, server=node), f"node '{name}' is drained\n")
            self.assertEqual(process.process.wait(60), 0)
            process.said("this node was drained")
        routers.pop()
        self.until(lambda: self.partitions(node) == [3], "the other worker has all")
        # Its last windows wait until it is absent; then nobody asks for it.
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())

        def whole_without_it():
            self.send(routers, sent, 0.2)
            windows = self.collect(node)
            return any(start > now and part["complete"] and part["final"] for start, (part, _) in windows.items())
        self.until(whole_without_it, "a whole and final window without it")
        self.send(routers, sent, 3)
        self.until_counted(node, sent, "what it had open was sent")
        states = {one["name"]: one["state"] for one in node.get("/api/v1/nodes")["nodes"]}
        self.assertEqual((states["rio"], states["merge-2"]), ("drained", "drained"))
        # Started again it is in use again.
        edges["rio"] = self.edge("rio")
        self.assertEqual({one["name"]: one["state"] for one in node.get("/api/v1/nodes")["nodes"]}["rio"], "unknown")


if __name__ == "__main__":
    sys.exit(nodes.main())

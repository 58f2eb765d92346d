#!/usr/bin/env python3
"""SELECT over views: what they have given and what comes, as one; ranges that end, and groups of a whole range."""
import datetime
import json
import signal
import sys
import threading
import time
import urllib.parse

import daemon
import harness

VIEW = ("SELECT window_start, window_end, src_as, count(*) AS flows, sum(octets) AS octets "
        "FROM tumble(flows, time, interval '1 s') GROUP BY window_start, window_end, src_as")


class SelectHistory(daemon.Case):
    def send_until(self, node, done):
        """Three sources, a datagram each every tenth of a second, until `done` is set."""
        router = node.router("127.0.0.1")
        n = 0
        while not done():
            for src_as in range(1, 4):
                router.send(2, src_as=src_as, octets=100 + n)
            n += 1
            time.sleep(0.1)
        router.close()

    def send_for(self, node, seconds):
        end = time.time() + seconds
        self.send_until(node, lambda: time.time() >= end)

    def wait_for(self, condition, what):
        deadline = time.time() + 60
        while not condition():
            self.assertLess(time.time(), deadline, what)
            time.sleep(0.1)

    def shown(self, node, name="w"):
        """All rows of the view as the API has them."""
        windows = node.get(f"/api/v1/queries/{name}/results?" + urllib.parse.urlencode({"limit": 1000000}))["windows"]
        return sorted(tuple(row) for window in windows for row in window["rows"])

    def sql(self, node, *arguments, timeout=60):
        return self.run_backstream("sql", "--server", f"http://127.0.0.1:{node.port}", *arguments, timeout=timeout)

    def rows(self, node, statement, code=0):
        done = self.sql(node, "-o", "jsonl", "-c", statement)
        self.assertEqual(done.returncode, code, done.stderr)
        return [tuple(json.loads(line).values()) for line in done.stdout.splitlines()], done.stderr

    def test_the_past_is_what_the_view_gave_also_before_a_kill(self):
        node = self.serve()
        node.add("w", VIEW)
        self.send_for(node, 4)
        node.wait_until_kept()
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        node = self.serve()
        # Windows of before, and enough that come now: how many of a few seconds have both ends depends on where they begin.
        deadline = time.time() + 60
        self.send_until(node, lambda: len(self.shown(node)) > 12 or time.time() > deadline)
        time.sleep(2)
        node.wait_until_kept()
        shown = self.shown(node)
        self.assertGreater(len(shown), 12)
        span = "window_start >= now() - interval '24 h' AND window_end <= now()"
        got, said = self.rows(node, f"SELECT * FROM w WHERE {span}")
        self.assertEqual(sorted(got), shown)
        self.assertEqual([row[0] for row in got], sorted(row[0] for row in got), "windows come in order")
        self.assertIn('history has results of "w" only since', said)

        # Groups of the whole range are sums by hand.
        by_hand = {}
        for _, _, src_as, flows, octets in shown:
            before = by_hand.get(src_as, (0, 0))
            by_hand[src_as] = (before[0] + flows, before[1] + octets)
        got, _ = self.rows(node, f"SELECT src_as, sum(flows) AS f, sum(octets) AS o FROM w WHERE {span} "
                                 "GROUP BY src_as ORDER BY src_as")
        self.assertEqual(got, [(src_as, *by_hand[src_as]) for src_as in sorted(by_hand)])
        got, _ = self.rows(node, f"SELECT count(*) AS n, max(octets) AS most FROM w WHERE {span}")
        self.assertEqual(got, [(len(shown), max(row[4] for row in shown))])

        # A piece of it; and windows over windows.
        starts = sorted({row[0] for row in shown})
        first, last = starts[2], starts[-2]
        got, _ = self.rows(node, f"SELECT * FROM w WHERE window_start BETWEEN '{first}' AND '{last}' AND src_as = 2")
        self.assertEqual(sorted(got), [row for row in shown if first <= row[0] <= last and row[2] == 2])
        got, _ = self.rows(node, "SELECT window_start, sum(flows) AS flows FROM tumble((SELECT * FROM w WHERE "
                                 f"{span}), window_start, interval '1 h') GROUP BY window_start")
        self.assertEqual(sum(row[1] for row in got), sum(row[3] for row in shown))

        # What is in no range, what has no end, and what is wrong.
        got, _ = self.rows(node, "SELECT * FROM w WHERE window_start >= now() - interval '2 days' "
                                 "AND window_end <= now() - interval '1 day'")
        self.assertEqual(got, [])
        _, said = self.rows(node, "SELECT src_as, sum(octets) FROM w GROUP BY src_as", 3)
        self.assertIn("need both ends", said)
        _, said = self.rows(node, f"SELECT src_sa FROM w WHERE {span}", 3)
        self.assertIn("1:8", said)
        self.assertIn("did you mean 'src_as'", said)
        plan = node.request("POST", "/api/v1/explain", {"text": f"SELECT * FROM w WHERE {span}"})[1]["plan"]
        self.assertIn("answered from results that are kept", plan)
        self.assertIn("history has them since", plan)
        self.assertEqual(node.end(), 0)

    def test_past_and_live_are_one(self):
        node = self.serve()
        node.add("w", VIEW)
        stop = threading.Event()
        sender = threading.Thread(target=self.send_until, args=(node, stop.is_set))
        sender.start()
        self.addCleanup(sender.join)
        self.addCleanup(stop.set)
        self.wait_for(lambda: len(self.shown(node)) >= 9, "windows")
        # Several that begin at different moments, each read until it has a dozen windows.
        started = []
        for _ in range(5):
            process = self.start("sql", "--server", f"http://127.0.0.1:{node.port}", "-o", "jsonl", "--windows", "12", "-c",
                                 "SELECT window_start, src_as, flows, octets FROM w")
            started.append(process)
            time.sleep(0.37)
        told = []
        for process in started:
            out, said = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, said)
            self.assertIn("ask for more by a condition", said)
            told.append([tuple(json.loads(line).values()) for line in out.splitlines()])
        stop.set()
        sender.join()
        time.sleep(2)
        shown = {}
        for start, _, src_as, flows, octets in self.shown(node):
            shown.setdefault(start, []).append((start, src_as, flows, octets))
        first = sorted(shown)[:12]
        for rows in told:
            self.assertEqual(sorted(rows), [row for start in first for row in shown[start]])
        self.assertEqual(node.end(), 0)

    def test_an_end_in_the_future_is_waited_for_and_a_drop_ends_it(self):
        node = self.serve()
        node.add("w", VIEW)
        self.send_for(node, 2)
        process = self.start("sql", "--server", f"http://127.0.0.1:{node.port}", "-o", "jsonl", "-c",
                             "SELECT count(*) AS windows, sum(flows) AS flows FROM w WHERE "
                             "window_start >= now() - interval '10 s' AND window_end <= now() + interval '3 s'")
        asked = time.time()
        self.send_for(node, 6)
        out, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, said)
        self.assertGreater(time.time(), asked + 3)
        # The statement's time lies between `asked` and when the process was up.
        ends = [(datetime.datetime.fromisoformat(row[1].replace("Z", "+00:00")).timestamp(), row[3]) for row in self.shown(node)]
        possible = {sum(flows for end, flows in ends if end <= asked + later / 10 + 3) for later in range(30)}
        self.assertIn(json.loads(out)["flows"], possible)
        process = self.start("sql", "--server", f"http://127.0.0.1:{node.port}", "-c", "SELECT * FROM w")
        self.wait_for(lambda: node.get("/api/v1/status")["clients"]["sessions"] == 1, "the session")
        self.assertIn(node.request("DELETE", "/api/v1/queries/w")[0], (200, 204))
        _, said = process.communicate(timeout=60)
        self.assertIn('"w", which the SELECT reads, was dropped', said)
        self.assertEqual(node.end(), 0)

    def test_an_altered_view_and_history_that_is_off(self):
        node = self.serve()
        node.add("w", VIEW)
        self.send_for(node, 3)
        time.sleep(1.5)
        text = VIEW.replace("sum(octets) AS octets", "sum(octets) AS octets, sum(packets) AS packets")
        self.assertEqual(node.request("PUT", "/api/v1/queries/w", {"text": text})[0], 200)
        self.send_for(node, 3)
        time.sleep(2)
        node.wait_until_kept()
        span = "window_start >= now() - interval '1 h' AND window_end <= now()"
        kept = sorted(tuple(row[:5]) for row in self.shown(node))
        got, _ = self.rows(node, f"SELECT window_start, window_end, src_as, flows, octets FROM w WHERE {span}")
        self.assertEqual(sorted(got), kept, "the columns that are read are the same")
        got, said = self.rows(node, f"SELECT window_start, packets FROM w WHERE {span}")
        self.assertTrue(0 < len(got) < len(kept), (len(got), len(kept)))
        self.assertIn("were left out: they are of an older version", said)
        self.assertEqual(node.end(), 0)
        node = self.serve("history.enabled=false")
        _, said = self.rows(node, f"SELECT window_start FROM w WHERE {span}", 3)
        self.assertIn("now", said)
        self.assertEqual(node.end(), 0)


if __name__ == "__main__":
    sys.exit(harness.main())

#!/usr/bin/env python3
"""Results on the disk: they outlive a kill, a range is what was shown, and nothing is there twice."""
import json
import os
import signal
import sys
import time
import urllib.parse

import daemon
import harness

WINDOWS = "SELECT window_start, src_as, count(*) AS flows FROM tumble(flows, time, interval '1 s') GROUP BY window_start, src_as"


class History(daemon.Case):
    def send_for(self, node, duration):
        router = node.router("127.0.0.1")
        end = time.time() + duration
        while time.time() < end:
            for src_as in range(1, 4):
                router.send(2, src_as=src_as)
            time.sleep(0.1)
        router.close()

    def results(self, node, name="w", **parameters):
        return node.get(f"/api/v1/queries/{name}/results?" + urllib.parse.urlencode(parameters))

    def wait_for(self, condition, what):
        deadline = time.time() + 60
        while not condition():
            self.assertLess(time.time(), deadline, what)
            time.sleep(0.1)

    def test_results_outlive_a_kill_and_none_is_there_twice(self):
        node = self.serve()
        node.add("w", WINDOWS)
        shown = {}
        for life in range(3):
            self.send_for(node, 4)
            windows = self.results(node)["windows"]
            starts = [w["window_start"] for w in windows]
            self.assertEqual(len(starts), len(set(starts)))
            for start, window in shown.items():
                self.assertEqual(windows[starts.index(start)], window, f"life {life}")
            self.assertGreater(len(windows), len(shown))
            self.assertEqual(windows, sorted(windows, key=lambda w: w["seq"]))
            shown = {w["window_start"]: w for w in windows}
            node.wait_until_kept()
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
            node = self.serve()
        read = self.results(node)
        for start, window in shown.items():
            self.assertIn(window, read["windows"])
        self.assertEqual(read["kept_since"], min(shown))
        # A range, in all forms; and page by page.
        first, last = sorted(shown)[1], sorted(shown)[-1]
        inside = [w for w in read["windows"] if first <= w["window_start"] < last]
        span = {"from": first, "until": last}
        self.assertEqual(self.results(node, **span)["windows"], inside)
        rows = [dict(zip(["window_start", "src_as", "flows"], row)) for w in inside for row in w["rows"]]
        lines = node.get("/api/v1/queries/w/results?" + urllib.parse.urlencode({**span, "format": "jsonl"}))
        self.assertEqual([json.loads(line) for line in lines.splitlines()], rows)
        self.assertEqual(len(node.get("/api/v1/queries/w/results?" + urllib.parse.urlencode({**span, "format": "csv"}))
                             .splitlines()), len(rows) + 1)
        pages, after = [], 0
        while True:
            page = self.results(node, limit=6, after=after, **span)
            pages += page["windows"]
            if page["next"] is None:
                break
            after = page["next"]
        self.assertEqual(pages, inside)
        self.assertEqual(node.end(), 0)

    def test_a_stop_writes_all_and_numbers_go_on(self):
        node = self.serve()
        node.add("w", WINDOWS)
        self.send_for(node, 3)
        before = self.results(node)
        self.assertEqual(node.end(), 0)
        node = self.serve()
        again = self.results(node)
        self.assertEqual(again["windows"][:len(before["windows"])], before["windows"])
        self.send_for(node, 3)
        later = [w for w in self.results(node)["windows"] if w["seq"] > again["last_seq"]]
        self.assertTrue(later)
        self.assertIn("history", node.get("/api/v1/status"))
        self.assertEqual(node.end(), 0)

    def test_what_is_dropped_is_gone_and_a_paused_query_has_its_results(self):
        node = self.serve()
        node.add("w", WINDOWS)
        self.send_for(node, 3)
        self.assertEqual(node.request("POST", "/api/v1/queries/w/pause")[0], 200)
        self.assertEqual(node.end(), 0)
        node = self.serve()
        self.assertTrue(self.results(node)["windows"], "it is paused, and was never opened by this process")
        self.assertIn(node.request("DELETE", "/api/v1/queries/w")[0], (200, 204))
        node.add("w", WINDOWS)
        self.assertEqual(self.results(node)["windows"], [])
        self.wait_for(lambda: node.metric('backstream_history_rows{tier="raw"}') == 0, "its rows are still there")
        self.assertEqual(node.end(), 0)

    def test_without_history_nothing_is_kept(self):
        node = self.serve("history.enabled=false")
        node.add("w", WINDOWS)
        self.send_for(node, 3)
        self.assertTrue(self.results(node)["windows"])
        self.assertFalse(os.path.exists(self.path("state/history")))
        self.assertIsNone(node.get("/api/v1/status")["history"])
        self.assertEqual(node.end(), 0)


if __name__ == "__main__":
    sys.exit(harness.main())

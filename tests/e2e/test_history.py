#!/usr/bin/env python3
"""Results on the disk: they outlive a kill, a range is what was shown, and nothing is there twice."""
import calendar
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
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
        self.suggested(node, min(shown), inside, span)
        self.assertEqual(node.end(), 0)

    def suggested(self, node, kept_since, windows, span):
        """What is kept answers a question about flows that nobody has any more."""
        server = f"http://127.0.0.1:{node.port}"
        suggest = lambda question, *flags: self.run_backstream(
            "query", "suggest", "-e", question, *flags, "--server", server)
        question = ("SELECT window_start, count(*) AS flows FROM tumble(flows, time, interval '2 s') "
                    "WHERE {} GROUP BY window_start")
        told = suggest(question.format("src_as = 2"), "-o", "json")
        self.assertEqual(told.returncode, 0, told.stderr)
        answer = json.loads(told.stdout)["answers"][0]
        self.assertEqual((answer["query"], answer["kept_since"], answer["notes"]), ("w", kept_since, []))
        self.assertIn("WHERE src_as = 2", answer["text"])
        self.assertIn("backstream sql -c", suggest(question.format("src_as = 2")).stdout)
        # The SELECT that is suggested gives what the rows say that are kept, from `windows` in `span`.
        counted = {}
        for window in windows:
            start = int(calendar.timegm(time.strptime(window["window_start"], "%Y-%m-%dT%H:%M:%SZ")))
            for start, flows in [(start - start % 2, row[2]) for row in window["rows"] if row[1] != 1]:
                counted[start] = counted.get(start, 0) + flows
        told = suggest(question.format("src_as > 1 AND time >= '{from}' AND time < '{until}'".format(**span)), "-o", "json")
        text = json.loads(told.stdout)["answers"][0]["text"]
        read = self.run_backstream("sql", "-o", "csv", "-c", text, "--server", server)
        self.assertEqual(read.returncode, 0, read.stderr)
        rows = [line.split(",") for line in read.stdout.splitlines()[1:]]
        told = {calendar.timegm(time.strptime(row[0], "%Y-%m-%d %H:%M:%S+00")): int(row[1]) for row in rows}
        self.assertEqual((len(rows), told), (len(counted), counted), read.stdout)
        told = suggest(question.format("dst_port = 2"))
        self.assertIn("w: it keeps no dst_port", told.stdout)
        self.assertIn("backstream query add", told.stdout)
        told = suggest(question.format("scr_as = 2"))
        self.assertEqual(told.returncode, 3)
        self.assertIn("-e:1:87: error: column \"scr_as\" does not exist", told.stderr)
        self.assertIn("^~~~~~", told.stderr)

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

    def test_tiers_have_averages_and_maxima_of_what_was_shown(self):
        # The router's clock is what it says, though it is behind.
        node = self.serve("history.keep=1 h", "history.keep_1m=1 day", "watermark.max_skew=1 h")
        node.add("w", "SELECT window_start, src_as, sum(octets_raw) AS octets FROM tumble(flows, time, interval '10 s') "
                      "GROUP BY window_start, src_as")
        router = node.router("127.0.0.1")
        begin = int(time.time()) // 60 * 60 - 600
        octets = {}
        for window in range(6 * 5):
            octets[begin + 10 * window] = 100 * (1 + window * window % 17)
            router.send(1, at=begin + 10 * window + 3, src_as=7, octets=octets[begin + 10 * window])
        whole = [minute for minute in sorted({start // 60 * 60 for start in octets})][:4]  # The fifth is not over.
        self.wait_for(lambda: len(self.results(node, tier="1m")["windows"]) >= len(whole), "buckets of a minute are not made")
        read = self.results(node, tier="1m")
        self.assertEqual(read["tier"], "1m")
        names = [column["name"] for column in read["columns"]]
        rows = [dict(zip(names, row)) for window in read["windows"] for row in window["rows"]]
        self.assertEqual(len(rows), len(whole))
        for minute, row in zip(whole, rows):
            inside = [value for start, value in octets.items() if minute <= start < minute + 60]
            self.assertEqual(row["window_start"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(minute)))
            self.assertEqual((row["src_as"], row["octets_max"], row["_windows"]), (7, max(inside), 6), row)
            self.assertAlmostEqual(row["octets"], sum(inside) / 6)
        router.close()
        self.assertEqual(node.end(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "a small file system can be made by root only")
    def test_on_a_full_disk_results_go_on_and_are_written_when_there_is_room(self):
        disk = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk]).returncode != 0:
            self.skipTest("a file system cannot be made here")
        self.addCleanup(subprocess.run, ["umount", "--lazy", disk])
        node = self.serve("history.folder=" + os.path.join(disk, "history"))
        node.add("w", WINDOWS)
        self.send_for(node, 3)
        node.wait_until_kept()
        with open(os.path.join(disk, "ballast"), "wb", buffering=0) as ballast:
            with self.assertRaises(OSError):
                while True:
                    ballast.write(b"x" * 4096)
        deadline = time.time() + 60
        while node.metric("backstream_history_failing") != 1:
            self.assertLess(time.time(), deadline, "it is still written")
            self.send_for(node, 1)
        before = self.results(node)["last_seq"]
        self.send_for(node, 3)
        self.assertGreater(self.results(node)["last_seq"], before, "what is live goes on")
        told = self.run_backstream("doctor", "--server", f"http://127.0.0.1:{node.port}")
        self.assertRegex(told.stdout, r"(?m)^ +ERROR D24 .*the disk is full$", told.stderr)
        shown = {window["window_start"]: window for window in self.results(node)["windows"]}
        os.remove(os.path.join(disk, "ballast"))
        self.wait_for(lambda: node.metric("backstream_history_failing") == 0, "it is not written again")
        node.wait_until_kept()
        self.assertEqual(node.metric("backstream_history_refused_rows_total"), 0)
        removed = node.metric("backstream_history_removed_files_total")
        self.assertEqual(node.end(), 0)
        node = self.serve("history.folder=" + os.path.join(disk, "history"))
        kept = {window["window_start"]: window for window in self.results(node)["windows"]}
        self.assertEqual([start for start in shown if kept.get(start) != shown[start]], [], "what waited in memory is there")
        self.assertEqual(removed, 0, "there was no older file")
        self.assertEqual(node.end(), 0)


if __name__ == "__main__":
    sys.exit(harness.main())

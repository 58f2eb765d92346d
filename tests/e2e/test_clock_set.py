#!/usr/bin/env python3
"""The machine's clock is set while the daemon runs, by an hour forth and back: it goes on, loses count of nothing, and
says so."""
import calendar
import glob
import os
import sys
import time

import daemon
import harness


class ClockSet(daemon.Case):
    def setUp(self):
        super().setUp()
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        self.assertTrue(found, "the package faketime is missing")
        self.clock = self.path("clock")
        self.set_clock(0)
        self.environment = {**os.environ, "LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": self.clock,
                            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set_clock(self, seconds):
        with open(self.clock + ".new", "w") as file:
            file.write(f"{seconds:+d}s")
        os.replace(self.clock + ".new", self.clock)

    def send_for(self, router, seconds):
        end = time.time() + seconds
        while time.time() < end:
            router.send(10)
            time.sleep(0.05)

    def sums(self, node, name):
        ledger = node.get(f"/api/v1/queries/{name}")["ledger"]
        return ledger["assigned"], sum(ledger[part] for part in ("counted", "filtered", "late", "errored", "shed")), ledger

    def test_forth_and_back(self):
        node = self.serve(env=self.environment)
        node.add("by_time", "SELECT window_start, count(*) FROM tumble(flows, time, interval '1 s') GROUP BY window_start")
        node.add("by_arrival",
                 "SELECT window_start, count(*) FROM tumble(flows, received_at, interval '1 s') GROUP BY window_start")
        router = node.router()
        self.send_for(router, 4)
        self.set_clock(3600)
        node.said(r"our clock was set forward by (1 h|59 min)")
        self.send_for(router, 4)
        self.set_clock(0)
        node.said(r"our clock was set back by (1 h|59 min)")
        self.send_for(router, 4)

        flows = router.sequence
        deadline = time.time() + 60
        while node.get("/api/v1/status")["ingest"]["flows"] < flows and time.time() < deadline:
            time.sleep(0.1)
        time.sleep(1.2)  # What the API shows of ledgers is a second old at most.
        for name in ("by_time", "by_arrival"):
            assigned, parts, ledger = self.sums(node, name)
            self.assertEqual(assigned + ledger["time_future"] + ledger["time_null"], flows, (name, ledger))
            self.assertEqual(assigned, parts, (name, ledger))
            self.assertGreater(ledger["windows_closed"], 2, name)
        starts = [calendar.timegm(time.strptime(w["window_start"][:19], "%Y-%m-%dT%H:%M:%S"))
                  for w in node.get("/api/v1/queries/by_arrival/results")["windows"]]
        self.assertTrue(any(start < time.time() for start in starts), "windows of before")
        self.assertTrue(any(start > time.time() + 1800 for start in starts), "windows of the hour that was not")
        self.assertEqual(node.request("GET", "/-/healthy")[0], 200)
        checks = {check["id"]: check for check in node.get("/api/v1/doctor")["checks"]}
        self.assertEqual(checks["D13"]["state"], "warning")
        self.assertIn("set back by", checks["D13"]["text"])
        self.assertRegex(node.request("GET", "/metrics")[1], r"backstream_clock_steps_total 2\b")
        self.assertEqual(node.end(), 0)


if __name__ == "__main__":
    sys.exit(harness.main())

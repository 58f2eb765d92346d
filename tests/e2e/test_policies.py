#!/usr/bin/env python3
"""What WITH (...) says of a query, as `backstream run` tells it: stopped queries, revisions, summaries and exit codes."""
import json
import sys

import harness
import wire
from wire import NOON

TOTAL = "SELECT window_start, sum(octets) AS octets FROM tumble(flows, time, interval '1 min') GROUP BY 1"
STRICT = ("CREATE MATERIALIZED VIEW strict WITH (on_error = 'fail') AS SELECT window_start, sum(1 / (octets - 7)) AS n "
          "FROM tumble(flows, time, interval '1 min') GROUP BY 1")


def capture(*flows):
    """A datagram for each (second after noon, octets)."""
    return wire.pcap([(NOON + at, wire.udp_packet(wire.v5([wire.v5_flow(NOON + at, NOON + at, octets=octets)], NOON + at, i)))
                      for i, (at, octets) in enumerate(flows)])


class StoppedQuery(harness.Case):
    def test_the_others_go_on(self):
        path = self.write("a.pcap", capture((10, 100), (70, 7), (200, 50)))
        stats = self.path("stats.json")
        result = self.run_backstream("run", "--pcap", path, "--delay", "1s", "-o", "csv", "--view", "select1", "--stats", stats,
                                     "-e", STRICT, "-e", TOTAL)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout.splitlines()[1:],
                         ["2026-01-31 12:00:00+00,100", "2026-01-31 12:01:00+00,7", "2026-01-31 12:03:00+00,50"])
        self.assertEqual(result.stderr.count("strict was stopped: 22012"), 1)
        self.assertIn("!! strict: stopped: 22012", result.stderr)
        with open(stats) as file:
            views = {view["name"]: view for view in json.load(file)["views"]}
        self.assertIn("22012", views["strict"]["failed"])
        self.assertIsNone(views["select1"]["failed"])

    def test_when_none_is_left_the_run_ends(self):
        path = self.write("a.pcap", capture((10, 7), (70, 1), (140, 1)))
        for threads in ("1", "3"):
            result = self.run_backstream("run", "--pcap", path, "--threads", threads, "-e", STRICT)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("strict was stopped", result.stderr)
            self.assertNotIn("interrupted", result.stderr)


if __name__ == "__main__":
    sys.exit(harness.main())

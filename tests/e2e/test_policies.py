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


class Revisions(harness.Case):
    QUERY = ("CREATE MATERIALIZED VIEW v WITH (emit = 'on_change', every = '10 s') AS SELECT window_start, src_port, sum(octets) AS o "
             "FROM tumble(flows, time, interval '1 min') GROUP BY 1, 2 HAVING sum(octets) < 150")
    FLOWS = ((10, 100), (25, 20), (41, 50), (70, 1))

    def test_final_rows_only_unless_asked_for(self):
        path = self.write("a.pcap", capture(*self.FLOWS))
        for form in ("csv", "jsonl"):
            result = self.run_backstream("run", "--pcap", path, "--delay", "1s", "-o", form, "-e", self.QUERY)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(len(result.stdout.splitlines()), 2 if form == "csv" else 1)
            self.assertNotIn("_rev", result.stdout)

    def test_every_revision_says_what_is_gone(self):
        path = self.write("a.pcap", capture(*self.FLOWS))
        for edges in ((), ("--edges", "2"), ("--threads", "2")):
            result = self.run_backstream("run", "--pcap", path, "--delay", "1s", "--revisions", "-o", "jsonl", "-e", self.QUERY, *edges)
            rows = [json.loads(line) for line in result.stdout.splitlines()]
            told = [(row["window_start"][14:16], row["o"], row["_rev"], row["_final"], row["_complete"], row["_op"]) for row in rows]
            self.assertEqual(told, [("00", 100, 1, False, True, "u"), ("00", 120, 2, False, True, "u"), ("00", None, 3, True, True, "d"),
                                    ("01", 1, 1, True, True, "u")], (edges, result.stderr))
            self.assertEqual(rows[1]["src_port"], rows[2]["src_port"])
        result = self.run_backstream("run", "--pcap", path, "--delay", "1s", "--revisions", "-o", "csv", "-e", self.QUERY)
        self.assertIn(",_rev,_final,_complete,_op\n", result.stdout)
        self.assertIn(",3,t,t,d\n", result.stdout)
        self.assertEqual(self.run_backstream("run", "--pcap", path, "--revisions", "-e", self.QUERY).returncode, 2)


if __name__ == "__main__":
    sys.exit(harness.main())

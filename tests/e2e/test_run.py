#!/usr/bin/env python3
"""backstream run on captures: answers, forms of output, bad input and exit codes."""
import csv
import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys

import harness
import wire
from wire import NOON

MATRIX = ("SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '5 min') "
          "GROUP BY window_start, src_as, dst_as ORDER BY src_as, dst_as")
TOTAL = "SELECT window_start, sum(octets_raw) AS octets, count(*) AS flows FROM tumble(flows, time, interval '5 min') GROUP BY 1"


def simple_capture():
    """Two windows: 12:00 has 64500>64501 300 and 64500>64502 50, 12:05 has 64500>64501 7."""
    return wire.pcap([
        (NOON + 60, wire.udp_packet(wire.v5([
            wire.v5_flow(NOON + 10, NOON + 60, octets=100),
            wire.v5_flow(NOON + 59, NOON + 60, octets=200),
            wire.v5_flow(NOON + 30, NOON + 60, octets=50, dst_as=64502)], NOON + 60))),
        (NOON + 310, wire.udp_packet(wire.v5([wire.v5_flow(NOON + 300, NOON + 310, octets=7)], NOON + 310, sequence=3))),
    ])


SIMPLE_ROWS = ["window_start,src_as,dst_as,octets", "2026-01-31 12:00:00+00,64500,64501,300",
               "2026-01-31 12:00:00+00,64500,64502,50", "2026-01-31 12:05:00+00,64500,64501,7"]


class Answers(harness.Case):
    def test_matrix_of_a_capture(self):
        self.assertEqual(self.rows("--pcap", self.write("a.pcap", simple_capture()), "-e", MATRIX), SIMPLE_ROWS)

    def test_gzip_is_told_by_content(self):
        self.assertEqual(self.rows("--pcap", self.write("a.pcap", gzip.compress(simple_capture())), "-e", MATRIX), SIMPLE_ROWS)

    def test_standard_input(self):
        with open(self.write("a.pcap", simple_capture()), "rb") as file:
            self.assertEqual(self.rows("--pcap", "-", "-e", MATRIX, stdin=file), SIMPLE_ROWS)

    def test_several_captures_are_one_input(self):
        whole = simple_capture()
        second = whole[:24] + whole[-(16 + 14 + 20 + 8 + 24 + 48):]
        first = whole[:-(len(second) - 24)]
        a, b = self.write("a.pcap", first), self.write("b.pcap", second)
        self.assertEqual(self.rows("--pcap", a, "--pcap", b, "-e", MATRIX), SIMPLE_ROWS)
        self.assertEqual(self.rows("-e", MATRIX, "--pcap", a, b), SIMPLE_ROWS)

    def test_sites_label_rows(self):
        path = self.write("a.pcap", simple_capture())
        query = ("SELECT window_start, site, sum(octets) AS octets FROM tumble(flows, time, interval '1 h') "
                 "GROUP BY window_start, site ORDER BY site")
        self.assertEqual(self.rows("--pcap", "ams=" + path, "--pcap", "fra=" + path, "-e", query)[1:],
                         ["2026-01-31 12:00:00+00,ams,357", "2026-01-31 12:00:00+00,fra,357"])

    def test_sites_and_their_filters_choose_rows(self):
        path = self.write("a.pcap", simple_capture())
        select = ("SELECT window_start, site, sum(octets) AS octets FROM tumble(flows, time, interval '1 h') "
                  "GROUP BY window_start, site ORDER BY site")
        inputs = ("--pcap", "ams=" + path, "--pcap", "fra=" + path, "--pcap", "rio=" + path, "--pcap", path)
        for more in [[], ["--edges", "3"], ["--edges", "3", "--deal", "site"], ["--set", "exec.batch_rows=1"]]:
            for options, rows in [("sites = 'rio'", ["rio,357"]), ("sites = 'fra, ams'", ["ams,357", "fra,357"]),
                                  ("sites = 'ams,rio', \"filter.rio\" = 'octets < 0'", ["ams,357"]),
                                  ('"filter.ams" = \'false\', placement = \'edge\'', ["fra,357", "rio,357", ",357"])]:
                self.assertEqual(self.rows(*inputs, "-e", f"CREATE MATERIALIZED VIEW v WITH ({options}) AS {select}", *more)[1:],
                                 ["2026-01-31 12:00:00+00," + row for row in rows], (options, more))

    def test_a_site_that_no_input_has_is_told(self):
        path = self.write("a.pcap", simple_capture())
        result = self.run_backstream("run", "--pcap", "ams=" + path, "--set", "exporter.10.0.0.1.site=fra", "-e",
                                     "CREATE MATERIALIZED VIEW v WITH (sites = 'ams,fra,rio') AS SELECT site FROM flows")
        self.assertEqual(result.returncode, 0)
        self.assertIn('v: no input and no setting names the site "rio" (hint: --pcap rio=FILE, or exporter.PREFIX.site)', result.stderr)
        self.assertNotIn("fra", result.stderr)

    def test_port_restricts(self):
        path = self.write("a.pcap", simple_capture())
        self.assertEqual(self.rows("--pcap", path, "--port", "4739", "-e", MATRIX), SIMPLE_ROWS[:1])
        self.assertEqual(self.rows("--pcap", path, "--port", "2055", "--port", "4739", "-e", MATRIX), SIMPLE_ROWS)

    def test_only_allowed_exporters_are_read(self):
        records = wire.v5([wire.v5_flow(NOON + 10, NOON + 60, octets=100)], NOON + 60)
        path = self.write("a.pcap", wire.pcap([(NOON + 60, wire.udp_packet(records, source=source))
                                               for source in ("192.0.2.1", "192.0.2.77", "198.51.100.1")]))
        stats, result = self.stats("--pcap", path, "-e", MATRIX, "--set", "ingest.allow=192.0.2.64/26, 198.51.100.1")
        self.assertEqual([e["address"] for e in stats["exporters"]], ["192.0.2.77", "198.51.100.1"])
        self.assertEqual(stats["ingest"]["skipped"]["not_allowed"], 1)
        self.assertIn("!! not in ingest.allow: 192.0.2.1 1", result.stderr)

    def test_edges_give_the_same_rows(self):
        packets = []
        for i in range(200):
            records = [wire.v5_flow(NOON + i * 5 - j, NOON + i * 5, octets=1000 + i * j, src_as=100 + j % 7, dst_as=i % 11)
                       for j in range(20)]
            packets.append((NOON + i * 5, wire.udp_packet(wire.v5(records, NOON + i * 5, i * 20), source=f"192.0.2.{i % 5 + 1}")))
        path = self.write("a.pcap", wire.pcap(packets))
        whole = self.rows("--pcap", path, "-e", MATRIX)
        self.assertGreater(len(whole), 100)
        for arguments in (["--edges", "1"], ["--edges", "3"], ["--edges", "4", "--deal", "random:7"],
                          ["--edges", "2", "--deal", "site"], ["--set", "exec.batch_rows=1"],
                          ["--set", "plan.rewrites=false"]):
            self.assertEqual(self.rows("--pcap", path, "-e", MATRIX, *arguments), whole, arguments)

    def test_views_read_views_across_texts(self):
        file = self.write("busy.sql", "CREATE MATERIALIZED VIEW m AS " + MATRIX.split(" ORDER")[0] + ";")
        second = "SELECT window_start, count(*) AS pairs, sum(octets) AS octets FROM m GROUP BY window_start"
        rows = self.rows("--pcap", self.write("a.pcap", simple_capture()), file, "-e", second, "--view", "select1")
        self.assertEqual(rows, ["window_start,pairs,octets", "2026-01-31 12:00:00+00,2,350", "2026-01-31 12:05:00+00,1,7"])

    def test_several_statements_are_told_apart(self):
        path = self.write("a.pcap", simple_capture())
        result = self.run_backstream("run", "--pcap", path, "-o", "csv", "-e", MATRIX, "-e", TOTAL)
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        self.assertEqual([(row["view"], row["octets"]) for row in rows if row["view"] == "select2"],
                         [("select2", "350"), ("select2", "7")])
        result = self.run_backstream("run", "--pcap", path, "-o", "jsonl", "-e", MATRIX, "-e", TOTAL)
        objects = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([o for o in objects if o["view"] == "select2"][0],
                         {"view": "select2", "window_start": "2026-01-31T12:00:00Z", "octets": 350, "flows": 3})

    def test_late_rows_are_counted_and_the_delay_is_told(self):
        packets = [(NOON + t, wire.udp_packet(wire.v5([wire.v5_flow(NOON + e, NOON + t)], NOON + t, i)))
                   for i, (t, e) in enumerate([(10, 10), (400, 400), (410, 100), (420, 420)])]
        path = self.write("a.pcap", wire.pcap(packets))
        stats, result = self.stats("--pcap", path, "--delay", "5s", "-o", "none", "-e", TOTAL)
        view = stats["views"][0]
        self.assertEqual((view["late"], view["counted"], view["assigned"]), (1, 3, 4))
        # It is found from the watermark when a batch is handed over, so it may ask for a little more than was needed.
        needed = view["delay_needed_seconds"]
        self.assertIn("would have kept", result.stderr)
        stats, _ = self.stats("--pcap", path, "--delay", f"{needed:.0f}s", "-o", "none", "-e", TOTAL)
        self.assertEqual(stats["views"][0]["late"], 0)
        stats, _ = self.stats("--pcap", path, "-o", "none", "--set", f"watermark.delay={needed - 30:.0f}s", "-e", TOTAL)
        self.assertEqual(stats["views"][0]["late"], 1)

    def test_ledgers_add_up(self):
        stats, result = self.stats("--pcap", self.write("a.pcap", simple_capture()), "-o", "none", "-e", MATRIX)
        decode, view = stats["decode"], stats["views"][0]
        self.assertEqual(decode["datagrams"], decode["decoded"] + decode["rejected"] + decode["undecodable"])
        self.assertEqual(decode["records"], 4)
        self.assertEqual(view["assigned"], view["counted"] + view["filtered"] + view["late"] + view["errored"] + view["shed"])
        self.assertEqual((view["windows_closed"], view["result_rows"], stats["rows_written"]), (2, 3, 3))
        self.assertEqual(stats["exporters"][0]["address"], "192.0.2.1")
        self.assertEqual(result.stdout, "")
        self.assertIn("4 = 4 flows", result.stderr)

    def test_lookup_tables_name_what_is_counted(self):
        capture = self.write("a.pcap", simple_capture())
        names = self.write("as.csv", b"asn,name\n64501,Beta\n64500,Alpha\n")
        tables = self.write("t.sql", f"CREATE TABLE names (asn bigint PRIMARY KEY, name text) WITH (file = '{names}');\n"
                                     "CREATE TABLE nets (net cidr, what text); INSERT INTO nets VALUES ('192.0.2.0/24', 'lab');\n"
                                     .encode())
        query = ("SELECT window_start, s.name AS source, d.name AS target, sum(octets) AS octets "
                 "FROM tumble(flows, time, interval '5 min') f JOIN names s ON s.asn = f.src_as "
                 "LEFT JOIN names d ON d.asn = f.dst_as GROUP BY 1, 2, 3 ORDER BY target")
        expected = ["window_start,source,target,octets", "2026-01-31 12:00:00+00,Alpha,Beta,300",
                    "2026-01-31 12:00:00+00,Alpha,,50", "2026-01-31 12:05:00+00,Alpha,Beta,7"]
        self.assertEqual(self.rows("--pcap", capture, tables, "-e", query), expected)
        self.assertEqual(self.rows("--pcap", capture, tables, "-e", query, "--edges", "3", "--deal", "random:5"), expected)
        self.assertEqual(self.rows("--pcap", capture, tables, "-e", query, "--threads", "2"), expected)
        stats, _ = self.stats("--pcap", capture, "-o", "none", tables, "-e", query)
        self.assertEqual([(table["name"], table["rows"], table["loaded"]) for table in stats["tables"]],
                         [("names", 2, 1), ("nets", 1, 0)])

    def test_unknown_as_numbers_are_filled_from_a_table(self):
        capture = self.write("a.pcap", wire.pcap([(NOON + 60, wire.udp_packet(wire.v5([
            wire.v5_flow(NOON + 10, NOON + 60, octets=100, src_as=0, dst_as=0),
            wire.v5_flow(NOON + 10, NOON + 60, octets=10, dst_as=0)], NOON + 60)))]))
        before = self.rows("--pcap", capture, "-e", MATRIX)
        self.assertEqual(before[1:], ["2026-01-31 12:00:00+00,0,0,100", "2026-01-31 12:00:00+00,64500,0,10"])
        table = self.write("as.csv", b"prefix,asn\n0.0.0.0/1,64511\n128.0.0.0/1,64512\n")
        after = self.rows("--pcap", capture, "-e", MATRIX, "--set", "enrich.as_table=" + table)
        self.assertEqual(len(after), 3, after)
        self.assertTrue(all(",0," not in row for row in after), after)
        stats, _ = self.stats("--pcap", capture, "-o", "none", "-e", MATRIX, "--set", "enrich.as_table=" + table)
        self.assertEqual((stats["as_filled"], stats["as_unknown"]), (3, 0))

    def test_an_as_table_that_cannot_be_read_ends_the_run(self):
        result = self.run_backstream("run", "--pcap", self.write("a.pcap", simple_capture()), "-e", MATRIX,
                                     "--set", "enrich.as_table=none.csv")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("none.csv", result.stderr)
    def test_elements_and_columns_of_our_own(self):
        fields = (struct.pack("!HH", 256, 5) + struct.pack("!HHHHHHHH", 8, 4, 1, 8, 82, 65535, 136, 1)
                  + struct.pack("!HHI", 0x8000 | 12232, 4, 9))
        record = lambda octets, name, reason, app: (bytes([10, 0, 0, 1]) + struct.pack("!Q", octets) + bytes([len(name)]) + name
                                                    + bytes([reason]) + app)
        data = record(100, b"ge-0/0/1", 2, b"http") + record(50, b"et1", 1, b"dns\0") + record(7, b"\xff", 2, b"http")
        path = self.write("a.pcap", wire.pcap([(NOON + 1, wire.udp_packet(wire.ipfix([(2, fields), (256, data)], NOON + 1)))]))
        query = ('SELECT app, "flowEndReason" AS reason, "interfaceName" AS name, "octetDeltaCount" AS octets FROM flows')
        arguments = ["--pcap", path, "-o", "jsonl", "-e", query]
        result = self.run_backstream("run", *arguments, "--set", "column.app=9/12232 string")
        self.assertEqual([json.loads(line) for line in result.stdout.splitlines()],
                         [{"app": "http", "reason": 2, "name": "ge-0/0/1", "octets": 100},
                          {"app": "dns", "reason": 1, "name": "et1", "octets": 50},
                          {"app": "http", "reason": 2, "name": None, "octets": 7}])
        self.assertIn("1 values of elements cannot be read", result.stderr)
        config = self.write("edge.toml", '[column]\napp = "9/12232 string"\n')
        self.assertEqual(self.run_backstream("run", *arguments, "--config", config, "--threads", "3").stdout, result.stdout)
        self.assertEqual(self.run_backstream("run", *arguments).returncode, 3)

    def test_spread_keeps_sums(self):
        packets = []
        for i in range(50):
            records = [wire.v5_record(first_ms=1_000_000 - 1000 * (j * i % 200), last_ms=1_000_000, octets=1 + 77 * i * j,
                                      packets=1 + j) for j in range(20)]
            packets.append((NOON + i * 7, wire.udp_packet(wire.v5(records, NOON + i * 7, i * 20), source=f"192.0.2.{i % 5 + 1}")))
        path = self.write("a.pcap", wire.pcap(packets))
        query = ("SELECT window_start, sum(octets) AS octets, sum(packets_raw) AS packets "
                 "FROM tumble({}, time, interval '{}') GROUP BY window_start")
        parts = "spread(flows, flow_start, flow_end, interval '10 s')"
        whole = self.rows("--pcap", path, "-e", query.format("flows", "1 day"))
        self.assertEqual(self.rows("--pcap", path, "-e", query.format(parts, "1 day")), whole)
        by_pane = self.rows("--pcap", path, "--delay", "5 min", "-e", query.format(parts, "10 s"))
        self.assertEqual(sum(int(row.split(",")[1]) for row in by_pane[1:]), int(whole[1].split(",")[1]))
        self.assertGreater(len(by_pane), 40)
        self.assertEqual(self.rows("--pcap", path, "--delay", "5 min", "--edges", "3", "--deal", "random:3", "-e",
                                   query.format(parts, "10 s")), by_pane)

    def test_queries_together_give_what_each_gives_alone(self):
        packets = []
        for i in range(120):
            records = [wire.v5_flow(NOON + i * 5 - j, NOON + i * 5, octets=10 + i * j, src=f"10.0.{j % 3}.{i % 7}", dport=j % 5)
                       for j in range(20)]
            packets.append((NOON + i * 5, wire.udp_packet(wire.v5(records, NOON + i * 5, i * 20), source=f"192.0.2.{i % 5 + 1}")))
        path = self.write("a.pcap", wire.pcap(packets))
        groups = "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, src_ip"
        queries = [f"SELECT window_start, src_ip, sum(octets) AS x {groups} ORDER BY x DESC LIMIT 3",
                   f"SELECT window_start, count(DISTINCT dst_port) AS x, src_ip AS y {groups} ORDER BY 3",
                   f"SELECT window_start, src_ip, sum(octets) / count(*) AS x {groups} HAVING count(*) > 11",
                   "SELECT window_start, count(*) AS x FROM tumble(flows, time, interval '5 s') GROUP BY window_start",
                   "SELECT window_start, src_ip, count(*) AS x FROM session(flows, time, interval '9 s', partition_by => (src_ip)) "
                   "GROUP BY window_start, src_ip"]
        def by_view(*arguments):
            views = {}
            for line in self.run_backstream("run", "--pcap", path, "-o", "jsonl", "--delay", "15 s", *arguments).stdout.splitlines():
                row = json.loads(line)
                views.setdefault(row.pop("view", "select1"), []).append(row)
            return views
        alone = [by_view("-e", query)["select1"] for query in queries]
        self.assertTrue(all(alone))
        texts = [part for query in queries for part in ("-e", query)]
        for arguments in ([], ["--edges", "3", "--deal", "random:9"], ["--threads", "3"], ["--set", "plan.share=false"],
                          ["--set", "exec.batch_rows=1"]):
            together = by_view(*texts, *arguments)
            for number, rows in enumerate(alone, 1):
                key = lambda row: json.dumps(row)
                self.assertEqual(sorted(together[f"select{number}"], key=key), sorted(rows, key=key), (number, arguments))
        explained = self.run_backstream("run", "-e", queries[0], "-e", "EXPLAIN " + queries[1]).stdout
        self.assertIn("shares its panes and groups with select1", explained)
        self.assertNotIn("shares", self.run_backstream("run", "-e", queries[0], "-e", "EXPLAIN " + queries[3]).stdout)
        # Policies keep a view by itself, even beside its equal.
        for options, shares in (("late = 'drop'", True), ("state_limit = '1 GB'", False), ("emit = 'on_change'", False),
                                ("rest_row = true", False), ("truncate_v4 = 24", False), ("on_error = 'drop'", False)):
            view = f"CREATE MATERIALIZED VIEW {{}} WITH ({options}) AS {queries[0]}"
            explained = self.run_backstream("run", "-e", view.format("v"), "-e", "EXPLAIN " + view.format("w")).stdout
            self.assertIn("tumble", explained, options)
            self.assertEqual("shares its panes and groups with v" in explained, shares, options)

    def test_explain_needs_no_input(self):
        result = self.run_backstream("run", "-e", "EXPLAIN " + MATRIX)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("sum(octets)", result.stdout)

    def test_statements_without_a_query_say_so(self):
        for sql in "CREATE TABLE t (a int); INSERT INTO t VALUES (1)", "CREATE VIEW v AS SELECT time FROM flows", \
                   "CREATE MATERIALIZED VIEW v AS SELECT time FROM flows; DROP MATERIALIZED VIEW v":
            result = self.run_backstream("run", "-e", sql)
            self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)
            self.assertRegex(result.stderr, r"^backstream: warning: nothing was run: .*hint: add SELECT.*\n$")
        result = self.run_backstream("run", "-e", " -- nothing\n;")
        self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
        self.assertIn("nothing was run: there is no statement", result.stderr)
        self.assertEqual(self.run_backstream("run", "-e", "EXPLAIN " + MATRIX).stderr, "")

    def test_explain_analyze_runs_the_query(self):
        path = self.write("a.pcap", simple_capture())
        for split in [], ["--edges", "2"]:
            result = self.run_backstream("run", "--pcap", path, "-q", *split, "-e", "EXPLAIN (ANALYZE, DISTRIBUTED) " + MATRIX)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stdout, r"^query \(ran for \d+\.\d{3} s\)\n")
            self.assertRegex(result.stdout, r"rows       4 in \([\d,]+/s\)\n")
            self.assertRegex(result.stdout, r"rows       3 out .*\n    windows    2 closed, 3 groups\n    state      [\d.]+ k?\w+ at most")
            self.assertEqual("shipped    " in result.stdout, bool(split), result.stdout)
            self.assertRegex(result.stdout, r"estimate   a group is about \d+ octets on the way, a row \d+: panes are less whatever the traffic")
            self.assertEqual(len(re.findall(r"\n    edge \d     sends \d groups as \d+ octets in \d+ messages, \d+ octets with zstd; all as panes: "
                                            r".*; all as rows: ", result.stdout)), 2 if split else 1, result.stdout)
            self.assertNotIn("64500", result.stdout)

    def test_explain_analyze_tells_what_edges_send(self):
        capture = os.path.join(self.folder, "three.pcap")
        self.run_backstream("generate", "--protocol", "ipfix", "--records", "20000", "--exporters", "3", "--span", "600s", "--pcap", capture)
        with open(capture, "rb") as file:
            whole = len(file.read())
        join = "SELECT a.time, a.src_ip FROM flows a JOIN flows b ON a.src_ip = b.dst_ip AND b.time BETWEEN a.time AND a.time + interval '3 s'"
        for sql, inputs, edges in (MATRIX, 1, 3), (join, 2, 3), (MATRIX, 1, 1):
            split = ["--edges", str(edges), "--deal", "exporter"] if edges > 1 else []
            shown = json.loads(self.run_backstream("run", "--pcap", capture, "-q", *split, "-e",
                                                   "EXPLAIN (ANALYZE, DISTRIBUTED, FORMAT json) " + sql).stdout)
            reading = shown["operators"] if inputs == 1 else [each for of in shown["operators"] for each in of.get("operators", [])]
            traffic = [each["traffic"] for each in reading if "traffic" in each]
            self.assertEqual(len(traffic), inputs)
            for of_edges in traffic:
                self.assertEqual([each["edge"] for each in of_edges], list(range(1, edges + 1)))
                datagrams, octets = (sum(each["export"][name] for each in of_edges) for name in ("datagrams", "octets"))
                self.assertEqual(whole, 24 + octets + datagrams * (16 + 14 + 20 + 8), "heads of the file, its packets, Ethernet, IP and UDP")
                for each in of_edges:
                    self.assertEqual("as_rows" in each, sql == MATRIX)
                    rows = each.get("as_rows", each["sent"])
                    self.assertLess(0, rows["zstd_octets"])
                    self.assertLess(rows["zstd_octets"], rows["octets"])
                    if sql == MATRIX:
                        self.assertEqual(each["sent"], each["as_panes"])
                        self.assertLess(each["sent"]["octets"], rows["octets"])
                self.assertEqual(sum(each.get("as_rows", each["sent"])["rows"] for each in of_edges), 20000)
        silent = self.run_backstream("run", "--pcap", capture, "-q", "--edges", "3", "-e", "EXPLAIN (ANALYZE, DISTRIBUTED, BUFFERS off) " + MATRIX)
        self.assertNotIn("zstd", silent.stdout)

    def test_explain_analyze_tells_who_held_the_watermark_and_what_stages_hold(self):
        capture = os.path.join(self.folder, "three.pcap")
        self.run_backstream("generate", "--records", "20000", "--exporters", "3", "--span", "600s", "--pcap", capture)
        sessions = "SELECT window_start, window_end, src_ip FROM session(flows, time, interval '20 s', partition_by => (src_ip)) GROUP BY 1, 2, 3"
        join = """SELECT a.time, a.src_ip FROM flows a JOIN flows b ON a.src_ip = b.dst_ip AND b.time BETWEEN a.time AND a.time + interval '3 s'"""
        history = """SELECT window_start, src_as, lag(count(*)) OVER (PARTITION BY src_as ORDER BY window_start)
                     FROM tumble(flows, time, interval '60 s') GROUP BY 1, 2"""
        union = TOTAL + " UNION ALL " + TOTAL
        for sql, states in (sessions, 1), (join, 1), (history, 2), (union, 3):
            shown = self.run_backstream("run", "--pcap", capture, "-q", "-e", "EXPLAIN ANALYZE " + sql).stdout
            self.assertEqual(len(re.findall(r"state      [\d.]+ \w+ at most", shown)), states, shown)
            self.assertRegex(shown, r"held by    127\.0\.1\.[123] most often, at \d+ of \d+ cuts of the watermark\n")
        shown = self.run_backstream("run", "--pcap", capture, "-q", "-e", "EXPLAIN (ANALYZE, BUFFERS off) " + union).stdout
        self.assertNotIn("held by", shown)
        self.assertNotIn("state", shown)

    def test_explain_analyze_beside_a_query(self):
        plan = "EXPLAIN (ANALYZE, TIMING off, FORMAT json) " + TOTAL
        result = self.run_backstream("run", "--pcap", self.write("a.pcap", simple_capture()), "-q", "-o", "csv", "-e", plan + ";" + MATRIX)
        rows, shown = result.stdout[:result.stdout.index("{")], json.loads(result.stdout[result.stdout.index("{"):])
        self.assertEqual(rows.splitlines(), SIMPLE_ROWS)
        self.assertIn({"name": "rows", "text": "2 out"}, [fact for each in shown["operators"] for fact in each["facts"]])

    def test_statements_apply_before_the_first_flow(self):
        sql = """CREATE VIEW one_as AS SELECT time, src_as, octets FROM flows WHERE dst_as = 64501;
                 CREATE MATERIALIZED VIEW v AS SELECT window_start, sum(octets) AS octets FROM tumble(one_as, time, interval '5 min') GROUP BY 1;
                 CREATE MATERIALIZED VIEW gone AS SELECT window_start, octets FROM v;
                 DROP MATERIALIZED VIEW gone; ALTER VIEW one_as RENAME TO others; ALTER MATERIALIZED VIEW v RENAME TO w;
                 ALTER MATERIALIZED VIEW w SET (allowed_lateness = '1 min'); COMMENT ON VIEW others IS 'one AS'"""
        self.assertEqual(self.rows("--pcap", self.write("a.pcap", simple_capture()), "-e", sql),
                         ["window_start,octets", "2026-01-31 12:00:00+00,300", "2026-01-31 12:05:00+00,7"])
        result = self.run_backstream("run", "-e", sql + "; DROP VIEW others")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn('cannot drop view "others": materialized view "w" reads it', result.stderr)

    def test_table_for_people(self):
        result = self.run_backstream("run", "--pcap", self.write("a.pcap", simple_capture()), "-e", MATRIX)
        self.assertIn("window 2026-01-31 12:00:00+00 to 2026-01-31 12:05:00+00", result.stdout)
        self.assertIn("(2 rows)", result.stdout)

    def test_a_reader_that_goes_ends_quietly(self):
        packets = [(NOON + i, wire.udp_packet(wire.v5([wire.v5_flow(NOON + i, src_as=j, dst_as=i) for j in range(30)], NOON + i)))
                   for i in range(3000)]
        path = self.write("a.pcap", wire.pcap(packets))
        query = ("SELECT window_start, src_as, dst_as, sum(octets) AS o FROM tumble(flows, time, interval '1 s') "
                 "GROUP BY 1, 2, 3")
        process = self.start("run", "--pcap", path, "-o", "csv", "-e", query)
        self.assertEqual(process.stdout.readline(), "window_start,src_as,dst_as,o\n")
        process.stdout.close()
        error = process.stderr.read()
        self.assertEqual((process.wait(timeout=30), error), (0, ""))


class Documents(harness.Case):
    def test_every_setting_and_its_default_stand_in_the_manual(self):
        manual = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operations.md")
        with open(manual) as file:
            text = file.read()
        settings = re.findall(r"^  (\w+\.\w+) .*\(default (.*)\)$", self.run_backstream("run", "--help").stdout, re.M)
        self.assertGreater(len(settings), 10)
        for key, default in settings:
            self.assertIn(f"| `{key}` | `{default}` |", text)

    def test_every_statistic_stands_in_the_manual(self):
        stats, _ = self.stats("--pcap", self.write("a.pcap", simple_capture()), "-o", "none", "-e", MATRIX)
        manual = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operations.md")
        with open(manual) as file:
            text = file.read()
        def names(value):
            if isinstance(value, dict):
                for key, inner in value.items():
                    yield key
                    yield from names(inner)
            elif isinstance(value, list):
                for inner in value:
                    yield from names(inner)
        for name in names(stats):
            self.assertRegex(text, rf"[`.]{name}`|`{name}", name)


class BadInput(harness.Case):
    def complaint(self, code, *arguments):
        result = self.run_backstream(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def bad_capture(self, data, *, code=1):
        return self.complaint(code, "run", "--pcap", self.write("bad.pcap", data), "-e", TOTAL)

    def bad_sql(self, sql):
        return self.complaint(3, "run", "--pcap", self.write("a.pcap", simple_capture()), "-e", sql)

    def test_missing_file(self):
        error = self.complaint(1, "run", "--pcap", "absent.pcap", "-e", TOTAL)
        self.assertIn("absent.pcap", error)
        self.assertIn("No such file", error)

    def test_empty_file(self):
        self.assertIn("empty", self.bad_capture(b""))

    def test_not_a_capture(self):
        self.assertIn("bad.pcap", self.bad_capture(b"#!/bin/sh\necho this is no capture at all\n"))

    def test_unknown_link_type(self):
        self.assertIn("147", self.bad_capture(wire.pcap([(NOON, b"x" * 60)], link_type=147)))

    def test_capture_cut_in_the_middle_keeps_what_was_whole(self):
        path = self.write("cut.pcap", simple_capture()[:-20])
        stats, result = self.stats("--pcap", path, "-o", "csv", "-e", MATRIX)
        self.assertEqual(result.stdout.splitlines(), SIMPLE_ROWS[:3])
        self.assertTrue(stats["ingest"]["truncated"])
        self.assertIn("warning", result.stderr)
        self.assertIn("cut.pcap", result.stderr)

    def test_gzip_cut_in_the_middle(self):
        path = self.write("cut.pcap.gz", gzip.compress(simple_capture())[:-12])
        result = self.run_backstream("run", "--pcap", path, "-o", "none", "-e", TOTAL)
        self.assertIn("cut.pcap.gz", result.stderr)

    def test_unknown_column_has_a_suggestion_and_a_caret(self):
        error = self.bad_sql("SELECT window_start,\n       sum(octetts) FROM tumble(flows, time, interval '1 min') GROUP BY 1")
        self.assertIn("-e:2:12: error:", error)
        self.assertIn("^", error)
        self.assertIn('octets', error.split("hint", 1)[1])

    def test_type_mismatch(self):
        self.assertIn("error:", self.bad_sql("SELECT window_start, sum(src_ip) FROM tumble(flows, time, interval '1 min') GROUP BY 1"))

    def test_missing_window(self):
        self.assertIn("tumble", self.bad_sql("SELECT src_as, sum(octets) FROM flows GROUP BY src_as"))

    def test_syntax_error(self):
        self.assertIn("^", self.bad_sql("SELECT FROM WHERE"))

    def test_text_over_64_kib(self):
        self.assertIn("64", self.complaint(3, "run", self.write("long.sql", "-- " + "x" * 70_000 + "\n" + TOTAL)))

    def test_invalid_utf8(self):
        self.assertIn("UTF-8", self.complaint(3, "run", self.write("bad.sql", b"SELECT '\xff' FROM flows")))

    def test_foreign_spellings(self):
        for sql in ("SELECT STREAM src_as FROM flows", "SELECT src_as FROM flows EMIT CHANGES"):
            self.assertIn("error:", self.bad_sql(sql))

    def test_unknown_view_suggests(self):
        self.assertIn("select1", self.complaint(2, "run", "--pcap", "a", "-e", TOTAL, "--view", "selct1"))

    def test_usage(self):
        for arguments in (["run", "--pcpa", "a"], ["run", "--pcap", "a.pcap"], ["run", "-e", TOTAL],
                          ["run", "--pcap", "a", "--listen", "udp://127.0.0.1:1", "-e", TOTAL], ["run", "a.txt"],
                          ["run", "-o", "xml", "-e", TOTAL], ["run", "--for", "3s", "--pcap", "a", "-e", TOTAL],
                          ["run", "--deal", "site", "--pcap", "a", "-e", TOTAL], ["run", "--port", "0", "-e", TOTAL],
                          ["run", "--edges", "2", "--deal", "cards", "--pcap", "a", "-e", TOTAL]):
            self.assertIn("error", self.complaint(2, *arguments), arguments)
        self.assertIn("'run'", self.complaint(2, "rum"))

    def test_settings(self):
        error = self.complaint(3, "run", "--set", "watermark.delai=3s", "-e", TOTAL)
        self.assertIn("watermark.delay", error)
        path = self.write("edge.toml", "[decode]\nsflow_octets = 'wire'\n")
        self.assertIn(":2:", self.complaint(3, "run", "--config", path, "-e", TOTAL))

    def test_rows_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([harness.BINARY, "run", "-o", "csv", "--pcap", self.write("a.pcap", simple_capture()), "-e", MATRIX],
                                    stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn("No space left", result.stderr)


class BadBytes(harness.Case):
    """Datagrams that lie: counted by reason, and the good rows around them stay."""

    def faults(self, *payloads):
        good = wire.v5([wire.v5_flow(NOON + 20, octets=100)], NOON + 20)
        packets = [(NOON + i, wire.udp_packet(payload, source="192.0.2.9")) for i, payload in enumerate(payloads)]
        path = self.write("a.pcap", wire.pcap(packets + [(NOON + 20, wire.udp_packet(good))]))
        stats, result = self.stats("--pcap", path, "-o", "csv", "-e", TOTAL)
        self.assertEqual(result.stdout.splitlines()[1:], ["2026-01-31 12:00:00+00,100,1"])
        decode = stats["decode"]
        self.assertEqual(decode["datagrams"], decode["decoded"] + decode["rejected"] + decode["undecodable"])
        self.assertEqual(decode["records"], decode["flows"] + decode["events"] + decode["option_rows"] +
                         decode["malformed"] + decode["awaiting_template"])
        return {name: count for name, count in decode["faults"].items() if count}

    def test_arbitrary_octets(self):
        self.assertIn("not_an_export", self.faults(b"GET / HTTP/1.0\r\n\r\n", b"", b"\0", bytes(range(256))))

    def test_v5_count_beyond_its_length(self):
        self.assertEqual(self.faults(struct.pack("!HH", 5, 30) + b"\0" * 20 + b"\0" * 48), {"count_mismatch": 1})

    def test_templates_that_cannot_be(self):
        faults = self.faults(wire.ipfix([(2, wire.template(256, [(8, 4), (1, 60_000)]))]),   # longer than any datagram
                             wire.ipfix([(2, wire.template(257, [(8, 0)]))]),                # records of zero size
                             wire.ipfix([(2, struct.pack("!HH", 258, 60_000) + b"\0" * 40)]),
                             wire.ipfix([(257, b"\0" * 40)]))
        self.assertTrue(set(faults) & {"template_invalid", "template_unknown"}, faults)

    def test_sets_that_run_over(self):
        message = bytearray(wire.ipfix([(2, wire.template(256, [(8, 4)]))]))
        message[18:20] = struct.pack("!H", 60_000)
        short = bytearray(wire.ipfix([(2, wire.template(256, [(8, 4)]))]))
        short[18:20] = struct.pack("!H", 3)
        faults = self.faults(bytes(message), bytes(short))
        self.assertEqual(faults, {"set_truncated": 1, "set_length_invalid": 1})

    def test_data_whose_template_never_comes(self):
        self.assertIn("template_unknown", self.faults(wire.ipfix([(300, b"\0" * 64)])))


if __name__ == "__main__":
    sys.exit(harness.main())

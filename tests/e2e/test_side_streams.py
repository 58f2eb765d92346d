#!/usr/bin/env python3
"""The streams beside flows, from a capture or a socket to rows: counters, exporter_options, exporter_minutes, events."""
import collections
import csv
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import harness
import wire
from wire import NOON

COUNTERS = "SELECT * FROM counters"
MINUTES = "SELECT * FROM exporter_minutes"
VARIANTS = (["--edges", "3"], ["--edges", "3", "--deal", "random:7"], ["--threads", "2"], ["--set", "exec.batch_rows=1"])


class SideStreams(harness.Case):
    def generate(self, *arguments):
        capture, truth = self.path("a.pcap"), self.path("a.csv")
        subprocess.run([harness.BINARY, "generate", "--pcap", capture, "--truth-records", truth, *arguments], check=True,
                       stderr=subprocess.DEVNULL)
        with open(truth, newline="") as file:
            return capture, list(csv.DictReader(file))

    def objects(self, *arguments):
        result = self.run_backstream("run", "-q", "-o", "jsonl", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_counters_of_an_interface_are_the_octets_of_its_flows(self):
        capture, flows = self.generate("--protocol", "sflow", "--interfaces", "--records", "20000", "--span", "120s", "--exporters",
                                       "2", "--sampling-rate", "100")
        rows = self.objects("--pcap", capture, "-e", COUNTERS)
        self.assertGreater(len(rows), 200)
        self.assertEqual({row["if_name"] for row in rows}, {f"et-0/0/{n}" for n in range(1, 25)})
        times = sorted({row["time"] for row in rows})
        sums = {}   # What each interface has counted, as of each of these times.
        so_far = collections.Counter()
        flows = sorted(((re.sub(r"\+00$", "Z", flow["received_at"].replace(" ", "T")), flow) for flow in flows),
                       key=lambda pair: self.instant(pair[0]))
        at = 0
        for moment in times:
            while at < len(flows) and self.instant(flows[at][0]) <= self.instant(moment):
                flow = flows[at][1]
                octets = int(flow["octets_raw"]) * 100
                so_far[flow["exporter"], "in", int(flow["in_if"])] += octets
                so_far[flow["exporter"], "out", int(flow["out_if"])] += octets
                at += 1
            sums[moment] = dict(so_far)
        for row in rows:
            known = sums[row["time"]]
            for way in ("in", "out"):
                self.assertEqual(row[way + "_octets"], known.get((row["exporter"], way, row["if_index"]), 0), row)
            self.assertIsNone(row["in_multicast_packets"])

    @staticmethod
    def instant(text):
        """Of RFC 3339, with any number of digits, as something that compares."""
        whole, _, fraction = text[:-1].partition(".")
        return whole, fraction.ljust(6, "0")

    def test_our_octets_beside_the_counters_in_one_query(self):
        capture, _ = self.generate("--protocol", "sflow", "--interfaces", "--records", "30000", "--span", "300s", "--sampling-rate", "10",
                                   "--pack", "1")
        query = """
            CREATE VIEW counted AS SELECT window_start, exporter, if_index, max(in_octets) AS octets
              FROM tumble(counters, time, interval '60 s') GROUP BY window_start, exporter, if_index;
            CREATE VIEW seen AS SELECT window_start, exporter, in_if AS if_index, sum(octets) AS octets
              FROM tumble(flows, received_at, interval '60 s') GROUP BY window_start, exporter, in_if;
            SELECT window_start, if_index, c.octets AS counted, s.octets AS seen
              FROM counted c JOIN seen s USING (window_start, exporter, if_index);"""
        rows = self.objects("--pcap", capture, "-e", query)
        self.assertGreaterEqual(len(rows), 24 * 4)
        totals = collections.Counter()
        for row in sorted(rows, key=lambda row: row["window_start"]):
            totals[row["if_index"]] += row["seen"]
            # The counters are up to 20 s old when the minute ends.
            self.assertLessEqual(row["counted"], totals[row["if_index"]])
            self.assertGreater(row["counted"], totals[row["if_index"]] * 0.4)

    def test_names_of_interfaces_and_sampling_are_options(self):
        for protocol, version in (("ipfix", "10"), ("v9", "9")):
            capture, _ = self.generate("--protocol", protocol, "--interfaces", "--records", "2000", "--span", "100s", "--sampling-rate",
                                       "50")
            rows = self.objects("--pcap", capture, "-e", "SELECT * FROM exporter_options")
            names = {row["if_index"]: row["if_name"] for row in rows if row["if_name"]}
            self.assertEqual(names, {n: f"et-0/0/{n}" for n in range(1, 25)})
            self.assertEqual({row["sampling_rate"] for row in rows}, {None, 50})
            self.assertEqual({row["protocol_version"] for row in rows}, {version})
            stats, _ = self.stats("--pcap", capture, "-e", "SELECT count(*) FROM tumble(flows, time, interval '1 h') GROUP BY window_start")
            self.assertEqual(stats["decode"]["option_rows"], len(rows))
            self.assertEqual(stats["decode"]["missing"], 0)
            self.assertEqual(stats["decode"]["flows"], 2000)

    def test_what_exporters_tell_is_in_the_inventory(self):
        for protocol in ("ipfix", "v9", "sflow"):
            capture, _ = self.generate("--protocol", protocol, "--interfaces", "--records", "20000", "--span", "120s", "--exporters", "2",
                                       "--sampling-rate", "50")
            rows = self.objects("--pcap", capture, "-e",
                                """SELECT window_start, f.exporter, in_if, in_if_name, i.name, i.bits_per_second, e.templates, e.sampling_rate
                                   FROM tumble(flows, time, interval '1 min') f
                                   LEFT JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.in_if
                                   LEFT JOIN exporters e ON e.exporter = f.exporter
                                   GROUP BY window_start, f.exporter, in_if, in_if_name, i.name, i.bits_per_second, e.templates,
                                     e.sampling_rate""")
            # What is told in a second is known from the next one on.
            rows = [row for row in rows if row["window_start"] >= "2026-01-31T12:01:00Z"]
            self.assertGreater(len(rows), 20)
            for row in rows:
                self.assertEqual(row["in_if_name"], f"et-0/0/{row['in_if']}", protocol)
                self.assertEqual(row["name"], row["in_if_name"])
                self.assertEqual(row["bits_per_second"] is None, protocol != "sflow")
                self.assertEqual(row["templates"] > 0, protocol != "sflow")
                self.assertEqual(row["sampling_rate"], 50)

    def test_minutes_are_the_ledger(self):
        capture, _ = self.generate("--protocol", "sflow", "--interfaces", "--records", "30000", "--span", "400s", "--exporters", "3")
        rows = self.objects("--pcap", capture, "-e", MINUTES)
        stats, _ = self.stats("--pcap", capture, "-e", MINUTES)
        self.assertGreaterEqual(len(rows), 3 * 6)
        for row in rows:
            self.assertEqual(row["datagrams"], row["decoded"] + row["rejected"] + row["undecodable"])
            self.assertEqual(row["records"], row["flows"] + row["events"] + row["option_rows"] + row["malformed"])
            self.assertTrue(row["time"].endswith(":00Z"), row["time"])
        for counter in ("datagrams", "records", "flows", "counter_samples", "missing", "sampling_unknown_rows"):
            self.assertEqual(sum(row[counter] for row in rows), stats["decode"][counter], counter)
        self.assertEqual(stats["decode"]["missing"], 0, "each interface's samples have numbers of their own")
        told = {(minute["minute"], minute["exporter"]): minute["datagrams"] for minute in stats["ingest_minutes"]}
        self.assertEqual({(row["time"], row["exporter"]): row["datagrams"] for row in rows}, told)

    def test_rows_are_the_same_however_the_work_is_dealt(self):
        capture, _ = self.generate("--protocol", "sflow", "--interfaces", "--records", "20000", "--span", "200s", "--exporters", "3")
        for query in (COUNTERS, MINUTES,
                      "SELECT window_start, exporter, if_index, max(in_octets) AS octets, count(*) AS n "
                      "FROM tumble(counters, time, interval '30 s') GROUP BY 1, 2, 3",
                      "SELECT window_start, exporter, sum(flows) AS flows FROM tumble(exporter_minutes, time, interval '2 min') "
                      "GROUP BY 1, 2"):
            whole = sorted(self.rows("--pcap", capture, "-e", query))
            self.assertGreater(len(whole), 3)
            for variant in VARIANTS:
                self.assertEqual(sorted(self.rows("--pcap", capture, "-e", query, *variant)), whole, (query, variant))

    def test_a_minute_is_not_late_because_another_stream_goes_on(self):
        capture, _ = self.generate("--protocol", "sflow", "--interfaces", "--records", "5000", "--span", "200s")
        minutes = "SELECT window_start, sum(flows) AS flows FROM tumble(exporter_minutes, time, interval '10 s') GROUP BY 1"
        counters = "SELECT window_start, count(*) AS n FROM tumble(counters, time, interval '1 s') GROUP BY 1"
        alone = self.objects("--pcap", capture, "-e", minutes)
        together = self.objects("--pcap", capture, "-e", minutes, "-e", counters)
        self.assertEqual(sum(row["flows"] for row in alone), 5000)
        self.assertEqual([{key: row[key] for key in ("window_start", "flows")} for row in together if row["view"] == "select1"], alone)

    def test_nat_events(self):
        template = wire.template(256, [(8, 4), (225, 4), (7, 2), (227, 2), (230, 1)])
        record = socket.inet_aton("10.0.0.1") + socket.inet_aton("192.0.2.1") + struct.pack("!HHB", 1024, 40000, 4)
        capture = self.write("a.pcap", wire.pcap([(NOON + 1, wire.udp_packet(wire.ipfix([(2, template), (256, record * 3)], NOON)))]))
        query = ("SELECT window_start, kind, event_name, nat_src_ip, count(*) AS n FROM tumble(events, time, interval '60 s') "
                 "GROUP BY 1, 2, 3, 4; SELECT count(*) AS flows FROM tumble(flows, time, interval '60 s') GROUP BY window_start")
        self.assertEqual(self.objects("--pcap", capture, "-e", query),
                         [{"view": "select1", "window_start": "2026-01-31T12:00:00Z", "kind": "nat", "event_name": "NAT44 session create",
                           "nat_src_ip": "192.0.2.1", "n": 3}])

    def test_windows_close_while_the_routers_send(self):
        """By our clock: a minute's row and a window of counters come without waiting for any router's time."""
        port = harness.free_port()
        process = self.start("run", "-q", "--listen", f"udp://127.0.0.1:{port}", "-o", "jsonl", "--for", "8s", "-e",
                             "SELECT window_start, sum(in_octets) AS octets FROM tumble(counters, time, interval '1 s') GROUP BY 1")
        for _ in range(200):
            if harness.is_bound(port):
                break
            time.sleep(0.05)
        counters = struct.pack("!IIQIIQ12I", 7, 6, 10**9, 1, 3, 1000, *[0] * 6, *[0] * 6) + bytes(4)
        sample = struct.pack("!IIIII", 1, 7, 1, 1, len(counters)) + counters
        datagram = struct.pack("!II4sIIIIII", 5, 1, socket.inet_aton("10.0.0.1"), 0, 1, 1, 1, 2, len(sample)) + sample
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(datagram, ("127.0.0.1", port))
        line = process.stdout.readline()
        self.assertIsNone(process.poll(), "the window closed before the end")
        self.assertEqual(json.loads(line)["octets"], 1000)

    def test_several_receiving_threads(self):
        """Each writes what it heard; what exporters told is known to all, and the tables are those of all threads."""
        port = harness.free_port()
        process = self.start("run", "-q", "--listen", f"udp://127.0.0.1:{port}", "-o", "jsonl", "--threads", "3", "--stats",
                             self.path("s.json"), "-e", "SELECT exporter, datagrams, flows, counter_samples, missing FROM exporter_minutes",
                             "-e", "SELECT exporter, if_index FROM counters",
                             "-e", "SELECT window_start, exporter, count(*) AS n FROM tumble(counters, time, interval '1 s') GROUP BY 1, 2",
                             "-e", "SELECT f.exporter, e.datagrams, i.bits_per_second AS speed FROM flows AS f LEFT JOIN exporters AS e ON "
                             "e.exporter = f.exporter LEFT JOIN interfaces AS i ON i.exporter = f.exporter AND i.if_index = f.in_if")
        for _ in range(200):
            if harness.is_bound(port) or process.poll() is not None:
                break
            time.sleep(0.05)
        sent = self.run_backstream("generate", "--protocol", "sflow", "--interfaces", "--exporters", "12", "--records", "20000",
                                   "--rate", "2500", "--to", f"udp://127.0.0.1:{port}")
        self.assertEqual(sent.returncode, 0, sent.stderr)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, error)
        with open(self.path("s.json")) as file:
            stats = json.load(file)
        self.assertEqual(sum(1 for s in stats["ingest"]["sockets"] if s["datagrams"] > 0), 3)
        views = collections.defaultdict(list)
        for line in output.splitlines():
            row = json.loads(line)
            views[row["view"]].append(row)
        minutes, counters, windows, flows = (views[f"select{i}"] for i in (1, 2, 3, 4))
        self.assertEqual((len(flows), stats["ingest"]["kernel_drops"], stats["decode"]["missing"]), (stats["decode"]["flows"], 0, 0))
        for exporter in stats["exporters"]:
            mine = [row for row in minutes if row["exporter"] == exporter["address"]]
            for counter in ("datagrams", "flows", "counter_samples", "missing"):
                self.assertEqual(sum(row[counter] for row in mine), exporter[counter], counter)
            samples = sum(row["exporter"] == exporter["address"] for row in counters)
            self.assertEqual(samples, exporter["counter_samples"])
            self.assertEqual(sum(row["n"] for row in windows if row["exporter"] == exporter["address"]), samples)
            told = max(row["datagrams"] or 0 for row in flows if row["exporter"] == exporter["address"])
            self.assertTrue(0 < told <= exporter["datagrams"], told)
            self.assertTrue(any(row["speed"] for row in flows if row["exporter"] == exporter["address"]))
        self.assertEqual(len(stats["exporters"]), 12)
        self.assertGreater(len(counters), 12)

    def test_the_plan_says_that_no_exporter_holds_them(self):
        capture, _ = self.generate("--records", "10")
        for source, held in (("counters, time", "our clock"), ("exporter_minutes, time", "our clock"), ("flows, time", "furthest behind")):
            result = self.run_backstream("run", "-q", "--pcap", capture, "-e", "EXPLAIN (DISTRIBUTED) SELECT window_start, count(*) FROM "
                                         f"tumble({source}, interval '60 s') GROUP BY window_start")
            self.assertIn(held, result.stdout)

    def test_names_of_streams_are_taken(self):
        capture, _ = self.generate("--records", "10")
        result = self.run_backstream("run", "--pcap", capture, "-e",
                                     "CREATE MATERIALIZED VIEW counters AS SELECT count(*) FROM tumble(flows, time, interval '1 s')")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("already exists", result.stderr)


if __name__ == "__main__":
    sys.exit(harness.main())

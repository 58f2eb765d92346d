#!/usr/bin/env python3
"""backstream run --listen: sockets, --for, signals, and real exporters where they are installed."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

import harness
import wire

TOTAL = "SELECT sum(octets_raw) AS octets, sum(packets_raw) AS packets, count(*) AS flows FROM tumble(flows, time, interval '1 h') GROUP BY window_start"


class Live(harness.Case):
    def listen(self, *arguments):
        port = harness.free_port()
        process = self.start("run", "--listen", f"udp://127.0.0.1:{port}", "-o", "csv", *arguments)
        for _ in range(200):
            if harness.is_bound(port):
                break
            if process.poll() is not None:
                self.fail(process.stderr.read())
            time.sleep(0.05)
        else:
            self.fail("not listening")
        return process, port

    def send(self, port, count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            now = int(time.time())
            for i in range(count):
                out.sendto(wire.v5([wire.v5_flow(now - 1, now, octets=10, packets=2)] * 30, now, i * 30), ("127.0.0.1", port))

    def totals(self, output):
        """Sums over the windows: the hour may turn while the test runs."""
        lines = output.splitlines()
        self.assertEqual(lines[0], "octets,packets,flows")
        return [sum(column) for column in zip(*(map(int, line.split(",")) for line in lines[1:]))]

    def test_for_ends_and_closes_windows(self):
        process, port = self.listen("--for", "3s", "-e", TOTAL)
        self.send(port, 100)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        self.assertEqual(self.totals(output), [30_000, 6_000, 3_000])

    def test_interrupt_ends_cleanly_with_windows_closed(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process, port = self.listen("--stats", self.path("s.json"), "-e", TOTAL)
            self.send(port, 10)
            time.sleep(0.5)
            process.send_signal(number)
            output, error = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0, error)
            self.assertEqual(self.totals(output), [3_000, 600, 300])

    def test_arbitrary_octets_do_not_stop_it(self):
        process, port = self.listen("--for", "3s", "-e", TOTAL)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for i in range(256):
                out.sendto(bytes([i]) * (i * 5), ("127.0.0.1", port))
        self.send(port, 1)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        self.assertEqual(self.totals(output), [300, 60, 30])
        self.assertIn("not_an_export", error)

    def replace(self, name, data):
        os.rename(self.write(name + ".new", data), self.path(name))

    def test_a_changed_file_changes_its_table_and_a_bad_one_does_not(self):
        self.write("names.csv", "asn,name\n64500,before\n")
        self.write("as.csv", "prefix,asn\n0.0.0.0/0,64500\n")
        process, port = self.listen(
            "--stats", self.path("s.json"), "--set", "enrich.as_table=as.csv", "--threads", "2",
            "-e", "CREATE TABLE names (asn bigint PRIMARY KEY, name text) WITH (file = 'names.csv', refresh = '1 s')",
            "-e", "SELECT name, octets_raw FROM flows LEFT JOIN names ON asn = src_as")
        self.send(port, 1)
        time.sleep(1)
        self.replace("names.csv", "asn,name\n64500,after\n")
        time.sleep(4)
        self.send(port, 1)
        time.sleep(1)
        self.replace("names.csv", "asn,name\nfive,wrong\n")
        time.sleep(3)
        self.send(port, 1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        rows = output.splitlines()
        self.assertEqual((rows[0], rows.count("before,10"), rows.count("after,10"), len(rows)), ("name,octets_raw", 30, 60, 91))
        self.assertIn("names.csv:2:1", error)
        self.assertIn("the table stays as it is", error)
        with open(self.path("s.json")) as file:
            tables = json.load(file)["tables"]
        self.assertEqual([(t["name"], t["rows"], t["loaded"], t["failed"]) for t in tables],
                         [("names", 1, 2, 1), ("enrich.as_table", 1, 1, 0)])

    def test_a_port_in_use_is_told(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            result = self.run_backstream("run", "--listen", f"udp://127.0.0.1:{taken.getsockname()[1]}", "--for", "1s", "-e", TOTAL)
        self.assertEqual(result.returncode, 1)
        self.assertIn("Address already in use", result.stderr)

    def from_address(self, source, port, count=1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.bind((source, 0))
            now = int(time.time())
            for i in range(count):
                out.sendto(wire.v5([wire.v5_flow(now - 1, now, octets=10, packets=2)] * 30, now, i * 30), ("127.0.0.1", port))

    def stop(self, process):
        """Ends it; its output, summary and --stats s.json."""
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        with open(self.path("s.json")) as file:
            return output, error, json.load(file)

    def test_only_the_allowed_are_heard(self):
        process, port = self.listen("--stats", self.path("s.json"), "--set", "ingest.allow=127.0.1.0/24, 127.0.2.7", "-e", TOTAL)
        self.from_address("127.0.1.9", port, 2)
        self.from_address("127.0.2.7", port)
        self.from_address("127.0.2.8", port, 5)
        output, error, stats = self.stop(process)
        self.assertEqual(self.totals(output), [900, 180, 90])
        self.assertIn("!! not in ingest.allow: 127.0.2.8 5\n", error)
        self.assertEqual(stats["ingest"]["skipped"]["not_allowed"], 5)
        self.assertEqual(stats["ingest"]["rejected"], [{"address": "127.0.2.8", "datagrams": 5}])
        self.assertEqual({e["address"] for e in stats["exporters"]}, {"127.0.1.9", "127.0.2.7"})

    def test_several_ports_with_several_sockets_each(self):
        other = harness.free_port()
        process, port = self.listen("--stats", self.path("s.json"), "--set", "ingest.sockets=3", "--listen",
                                    f"udp://127.0.0.1:{other}", "-e", TOTAL)
        for exporter in range(40):
            self.from_address(f"127.0.1.{exporter + 1}", port if exporter % 2 else other)
        output, error, stats = self.stop(process)
        self.assertEqual(self.totals(output), [12_000, 2_400, 1_200])
        self.assertEqual(stats["decode"]["missing"], 0)
        sockets = stats["ingest"]["sockets"]
        self.assertEqual(sorted(s["port"] for s in sockets), sorted([port] * 3 + [other] * 3))
        self.assertEqual(sum(s["datagrams"] for s in sockets if s["port"] == port), 20)
        self.assertEqual(sum(s["datagrams"] for s in sockets), 40)
        self.assertGreater(min(s["buffer_octets"] for s in sockets), 0)
        self.assertEqual(error.count("  socket    127.0.0.1 port"), 6)

    def test_several_threads_give_the_truth(self):
        records = 120_000
        for protocol, threads in (("ipfix", 3), ("v9", 2), ("v5", 1)):
            views = ("CREATE MATERIALIZED VIEW m WITH (delay = '75 s') AS {};"
                     "CREATE MATERIALIZED VIEW s AS SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '1 s') GROUP BY 1;"
                     "CREATE MATERIALIZED VIEW a AS SELECT window_start, exporter, count(*) AS n "
                     "FROM tumble(flows, received_at, interval '1 s') GROUP BY 1, 2")
            matrix = ("SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '300 s') "
                      "GROUP BY window_start, src_as, dst_as")
            process, port = self.listen("--stats", self.path("s.json"), "--threads", str(threads), "--delay", "300ms", "-e",
                                        views.format(matrix), "--view", "m")
            sent = self.run_backstream("generate", "--protocol", protocol, "--exporters", "12", "--records", str(records),
                                       "--rate", "40000", "--inactive-timeout", "300ms", "--active-timeout", "1s", "--jitter", "100ms",
                                       "--to", f"udp://127.0.0.1:{port}", "--truth", self.path("truth"), "--truth-queries",
                                       "traffic_matrix")
            self.assertEqual(sent.returncode, 0, sent.stderr)
            time.sleep(1.5)
            output, error, stats = self.stop(process)
            self.assertEqual(stats["ingest"]["kernel_drops"], 0)
            with open(self.path("truth/traffic_matrix.csv")) as file:
                truth = file.read().splitlines()
            lines = output.splitlines()
            wrong = set(lines[1:]) ^ set(truth[1:])
            self.assertEqual((len(lines), sorted(wrong)[:5]), (len(truth), []), f"{protocol} {threads}: {error}")
            self.assertEqual((stats["decode"]["flows"], stats["decode"]["missing"], len(stats["exporters"])), (records, 0, 12))
            self.assertEqual(sum(e["flows"] for e in stats["exporters"]), records)
            self.assertEqual(sum(m.get("flows", 0) for m in stats["ingest_minutes"]), records)
            self.assertEqual(len(stats["ingest"]["sockets"]), threads)
            self.assertEqual(sum(1 for s in stats["ingest"]["sockets"] if s["datagrams"] > 0), threads)
            for view in stats["views"]:
                self.assertEqual(view["counted"] + view["late"], records, view["name"])
                self.assertEqual(view["assigned"], records, view["name"])
            by_name = {view["name"]: view for view in stats["views"]}
            self.assertGreater(by_name["s"]["windows_closed"], 2)
            self.assertGreater(by_name["a"]["windows_closed"], 2)
            self.assertEqual(by_name["a"]["late"], 0)


if __name__ == "__main__":
    sys.exit(harness.main())

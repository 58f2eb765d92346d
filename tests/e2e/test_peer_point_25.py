#!/usr/bin/env python3
"""What users of other collectors wish for again and again (point 25 of the list that the acquisition part was built
against), as far as it is there: a test a wish."""
import json
import os
import signal
import socket
import struct
import sys
import time

import harness
import wire

NOON = wire.NOON
QUERIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "queries")


class PeerPoint25(harness.Case):
    def capture(self, *datagrams):
        """(seconds after noon, source, payload) each."""
        return self.write("a.pcap", wire.pcap([(NOON + at, wire.udp_packet(payload, source=source)) for at, source, payload in datagrams]))

    def test_PeerPoint25_aggregation_inside_the_collector(self):
        # Two routers, three minutes, 600 flows: what comes out is a row a minute and AS, without a database behind.
        datagrams = []
        for minute in range(3):
            for router in (1, 2):
                for part in range(4):
                    at = minute * 60 + 10 + part
                    flows = [wire.v5_flow(NOON + at, octets=100 + flow, src_as=64500 + flow % 2) for flow in range(25)]
                    datagrams.append((at, f"192.0.2.{router}", wire.v5(flows, NOON + at, (minute * 4 + part) * 25)))
        rows = self.rows("--pcap", self.capture(*datagrams), "-e",
                         "SELECT window_start, src_as, sum(octets) AS octets, count(*) AS flows, count(DISTINCT exporter) AS routers "
                         "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, src_as ORDER BY src_as")
        even, odd = sum(range(100, 125, 2)) * 8, sum(range(101, 125, 2)) * 8
        self.assertEqual(rows[1:], [f"2026-01-31 12:0{minute}:00+00,{row}" for minute in range(3)
                                    for row in (f"64500,{even},104,2", f"64501,{odd},96,2")])

    def test_PeerPoint25_ddos_detection_without_a_second_product(self):
        attack = [wire.v5_flow(NOON + 30, src=f"198.51.{n // 250}.{n % 250 + 1}", dst="10.9.9.9", dport=443, flags=2) for n in range(300)]
        usual = [wire.v5_flow(NOON + 30, src=f"198.51.100.{n + 1}", dst="10.9.9.8", dport=443, flags=0x1B) for n in range(200)]
        flows = attack + usual
        datagrams = [(30 + i / 1000, "192.0.2.1", wire.v5(flows[i:i + 25], NOON + 30, i)) for i in range(0, len(flows), 25)]
        result = self.run_backstream("run", "-o", "csv", "--pcap", self.capture(*datagrams), os.path.join(QUERIES, "syn_flood.sql"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([line for line in result.stdout.splitlines()[1:]], ["2026-01-31 12:00:30+00,10.9.9.9,443,300,300,300"])

    def test_PeerPoint25_long_flows_are_smoothed_over_their_duration(self):
        # Ten minutes, 6000 octets, told of once at the end.
        flow = wire.v5_record(first_ms=1_000_000 - 600_000, last_ms=1_000_000, octets=6000)
        path = self.capture((600, "192.0.2.1", wire.v5([flow], NOON + 600)))
        sql = "SELECT window_start, sum(octets) AS octets FROM tumble({}, time, interval '60 s') GROUP BY window_start"
        peak = self.rows("--pcap", path, "-e", sql.format("flows"))
        self.assertEqual(peak[1:], ["2026-01-31 12:10:00+00,6000"])
        smooth = self.rows("--pcap", path, "-e", sql.format("spread(flows, flow_start, flow_end, interval '60 s')"))
        self.assertEqual([row for row in smooth[1:] if not row.endswith(",0")], [f"2026-01-31 12:0{minute}:00+00,600" for minute in range(10)])

    def test_PeerPoint25_custom_fields_without_rebuilding(self):
        # An enterprise's element of variable length, named in the settings; an element of IANA's needs no name.
        template = struct.pack("!HHHHHHHHI", 256, 3, 1, 4, 136, 1, 0x8000 | 12232, 65535, 9)
        flow = lambda octets, reason, name: struct.pack("!IBB", octets, reason, len(name)) + name
        message = wire.ipfix([(2, template), (256, flow(100, 2, b"http") + flow(7, 1, b"dns"))])
        rows = self.rows("--pcap", self.capture((0, "192.0.2.1", message)), "--set", "column.app=9/12232 string", "-e",
                         'SELECT app, "flowEndReason" AS reason, octets FROM flows')
        self.assertEqual(rows, ["app,reason,octets", "http,2,100", "dns,1,7"])

    def test_PeerPoint25_several_ports_in_one_process(self):
        ports = [harness.free_port() for _ in range(3)]
        listens = [word for port in ports for word in ("--listen", f"udp://127.0.0.1:{port}")]
        process = self.start("run", *listens, "-o", "csv", "--stats", self.path("s.json"), "-e",
                             "SELECT protocol_version, count(*) AS flows FROM tumble(flows, received_at, interval '1 day') GROUP BY window_start, protocol_version")
        for _ in range(200):
            if all(map(harness.is_bound, ports)):
                break
            time.sleep(0.05)
        now = int(time.time())
        sflow_header = struct.pack("!III4sIIII", 5, 1, 0, bytes(4), 0, 0, 0, 0)
        payloads = [wire.v5([wire.v5_flow(now, now)] * 4, now), wire.ipfix([(2, wire.template(256, [(8, 4), (1, 4)])), (256, bytes(24))], now), sflow_header]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for port, payload in zip(ports, payloads):
                out.sendto(payload, ("127.0.0.1", port))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        self.assertEqual(sorted(output.splitlines()[1:]), ["10,3", "5,4"])
        with open(self.path("s.json")) as file:
            stats = json.load(file)
        self.assertEqual({s["port"]: s["datagrams"] for s in stats["ingest"]["sockets"]}, {port: 1 for port in ports})

    def test_PeerPoint25_messages_name_the_exporter(self):
        good = wire.v5([wire.v5_record()], NOON)
        unknown = wire.ipfix([(2, wire.template(256, [(8, 4), (1, 4)])), (256, struct.pack("!II", 1, 2))])
        path = self.capture((0, "192.0.2.1", good), (1, "192.0.2.77", b"GET / HTTP/1.0"), (2, "192.0.2.78", good[:-9]), (3, "192.0.2.79", unknown))
        result = self.run_backstream("run", "--pcap", path, "-e", "SELECT count(*) AS n FROM tumble(flows, time, interval '1 day') GROUP BY window_start")
        self.assertEqual(result.returncode, 0, result.stderr)
        faults = next(line for line in result.stderr.splitlines() if line.startswith("  faults "))
        self.assertIn("; from 192.0.2.77 (1), 192.0.2.78 (1)", faults)
        self.assertIn("not scaled: 192.0.2.79 (1 rows); set exporter.192.0.2.79.sampling_rate", result.stderr)
        shown = self.run_backstream("exporter", "show", "192.0.2.77", "--pcap", path)
        self.assertEqual(dict(line.split(None, 1) for line in shown.stdout.splitlines())["not_an_export"], "1")

    def test_PeerPoint25_settings_of_an_exporter(self):
        datagrams = [(0, f"192.0.2.{router}", wire.ipfix([(2, wire.template(256, [(8, 4), (1, 4)])), (256, struct.pack("!II", 1, 100))])) for router in (1, 2)]
        rows = self.rows("--pcap", self.capture(*datagrams), "--set", "exporter.192.0.2.2.sampling_rate=1000", "--set", "exporter.192.0.2.0/24.site=ams", "-e",
                         "SELECT exporter, site, sampling_rate, octets FROM flows")
        self.assertEqual(rows[1:], ["192.0.2.1,ams,,100", "192.0.2.2,ams,1000,100000"])

    def test_PeerPoint25_anonymous_addresses(self):
        path = self.capture((0, "192.0.2.1", wire.v5([wire.v5_flow(NOON, src="10.1.2.3"), wire.v5_flow(NOON, src="10.1.2.4")], NOON)))
        result = self.run_backstream("run", "-o", "csv", "--pcap", path, "-e",
                                     "CREATE MATERIALIZED VIEW v WITH (truncate_v4 = 24) AS SELECT src_ip, count(*) AS n "
                                     "FROM tumble(flows, time, interval '1 day') GROUP BY window_start, src_ip")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines()[1:], ["10.1.2.0,2"])

    def test_PeerPoint25_other_outputs(self):
        path = self.capture((0, "192.0.2.1", wire.v5([wire.v5_flow(NOON, octets=5)], NOON)))
        sql = "SELECT window_start, sum(octets) AS octets FROM tumble(flows, time, interval '1 min') GROUP BY window_start"
        outputs = {form: self.run_backstream("run", "-q", "-o", form, "--pcap", path, "-e", sql).stdout for form in ("csv", "jsonl", "table")}
        self.assertEqual(outputs["csv"], "window_start,octets\n2026-01-31 12:00:00+00,5\n")
        self.assertEqual(json.loads(outputs["jsonl"]), {"window_start": "2026-01-31T12:00:00Z", "octets": 5})
        self.assertRegex(outputs["table"], r"window_start +\| octets[^\n]*\n")


if __name__ == "__main__":
    sys.exit(harness.main())

#!/usr/bin/env python3
"""The tables sites, exporters and interfaces, flows_once, and backstream exporter, against the generator's records."""
import csv
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import harness
import wire

ONCE = ("SELECT window_start, classified, count(*) AS flows, sum(octets) AS octets "
        "FROM tumble(flows_once, time, interval '1 day') GROUP BY window_start, classified")


class Inventory(harness.Case):
    def generate(self, *arguments):
        subprocess.run([harness.BINARY, "generate", "--protocol", "ipfix", "--exporters", "2", "--records", "4000", "--pcap", self.path("a.pcap"),
                        "--truth-records", self.path("a.csv"), *arguments], check=True, stderr=subprocess.DEVNULL)
        with open(self.path("a.csv"), newline="") as file:
            return list(csv.DictReader(file))

    def test_a_flow_counts_where_it_enters_and_what_has_no_role_is_told_apart(self):
        flows = self.generate()
        roles = {("127.0.1.1", 1): "external", ("127.0.1.1", 2): "customer", ("127.0.1.1", 3): "internal", ("127.0.1.2", 4): "external"}
        self.write("i.csv", "exporter,if_index,role\n" + "".join(f"{e},{i},{role}\n" for (e, i), role in roles.items()))
        expected = {}
        for flow in flows:
            role = roles.get((flow["exporter"], int(flow["in_if"])))
            if role != "internal":
                counts = expected.setdefault("f" if role is None else "t", [0, 0])
                counts[0] += 1
                counts[1] += int(flow["octets_raw"])
        self.assertEqual(set(expected), {"f", "t"})
        self.assertLess(sum(count for count, _ in expected.values()), len(flows))
        for variant in ([], ["--edges", "3", "--deal", "random:5"], ["--set", "exec.batch_rows=1"], ["--threads", "2"]):
            rows = self.rows("-q", "--pcap", "a.pcap", "--set", "inventory.interfaces=i.csv", "-e", ONCE, *variant)
            got = {row["classified"]: [int(row["flows"]), int(row["octets"])] for row in csv.DictReader(rows)}
            self.assertEqual(got, expected, variant)

    def test_sites_of_exporters_by_prefix(self):
        flows = self.generate()
        rows = self.rows("-q", "--pcap", "a.pcap", "--set", "exporter.127.0.1.0/24.site=ams", "--set", "exporter.127.0.1.2.site=fra", "-e",
                         "SELECT site, exporter, count(*) AS n FROM tumble(flows, time, interval '1 day') GROUP BY window_start, site, exporter")
        got = {(row["site"], row["exporter"]): int(row["n"]) for row in csv.DictReader(rows)}
        of = lambda exporter: sum(flow["exporter"] == exporter for flow in flows)
        self.assertEqual(got, {("ams", "127.0.1.1"): of("127.0.1.1"), ("fra", "127.0.1.2"): of("127.0.1.2")})

    def named(self):
        """A capture of a router with VRFs and applications, one of which it renumbers in the middle."""
        def options(number, element, name_element):   # Scope: observationDomainId.
            return (3, struct.pack("!HHH", number, 4, 1) + b"".join(struct.pack("!HH", *f) for f in ((149, 4), (element, 4), (name_element, 16), (94, 24))))

        def names(number, *rows):
            return (number, b"".join(struct.pack("!II16s24s", 0, identifier, name, about) for identifier, name, about in rows))

        template = (2, wire.template(256, [(8, 4), (12, 4), (1, 4), (234, 4), (95, 4)]))
        flow = lambda vrf, application, octets: struct.pack("!4sIIII", bytes([10, 0, 0, 1]), 0x0A000002, octets, vrf, application)
        dns, https = 0x0D000001, 0x030001BB
        messages = [(0, [options(300, 234, 236), options(301, 95, 96), template]),
                    (1, [names(300, (0, b"default", b""), (7, b"blue", b"")), names(301, (dns, b"dns", b"Domain Name System"), (https, b"https", b""))]),
                    (3, [(256, flow(7, dns, 100) + flow(0, https, 20) + flow(9, dns, 3))]),
                    (4, [names(300, (7, b"green", b""))]),
                    (6, [(256, flow(7, https, 1000))])]
        self.write("names.pcap", wire.pcap([(wire.NOON + t, wire.udp_packet(wire.ipfix(sets, wire.NOON + t))) for t, sets in messages]))

    def test_flows_are_joined_with_the_names_of_their_vrf_and_application(self):
        self.named()
        sql = ("SELECT v.name AS vrf, a.selector, a.name AS application, a.description, sum(f.octets) AS octets "
               "FROM tumble(flows, time, interval '1 h') f LEFT JOIN vrfs v ON v.exporter = f.exporter AND v.vrf_id = f.\"ingressVRFID\" "
               "LEFT JOIN applications a ON a.exporter = f.exporter AND a.application_id = f.\"applicationId\" "
               "GROUP BY window_start, v.name, a.selector, a.name, a.description")
        expected = {"blue,13:1,dns,Domain Name System,100", "default,3:443,https,,20", ",13:1,dns,Domain Name System,3", "green,3:443,https,,1000"}
        for variant in ([], ["--edges", "3", "--deal", "random:5"], ["--set", "exec.batch_rows=1"], ["--threads", "2"]):
            rows = self.rows("-q", "--pcap", "names.pcap", "-e", sql, *variant)
            self.assertEqual(set(rows[1:]), expected, variant)
            self.assertEqual(len(rows), 5)

    def test_PeerPoint23_vrfs_and_interfaces_that_a_router_reassigned_are_those_that_pmacct_shows(self):
        folder = os.environ.get("BACKSTREAM_CAPTURES") or os.path.join(os.path.dirname(__file__), "../../../shared/data/captures")
        case = os.path.join(folder, "pmacct", "112-IPFIXv10-CISCO-options-map-reassignment")
        if not os.path.exists(case):
            self.skipTest("no captures: BACKSTREAM_CAPTURES names their folder")
        with open(os.path.join(case, "output-flow-00.json")) as file:
            golden = [json.loads(line) for line in file if line.strip()]
        rows = self.rows("-q", "--pcap", os.path.join(case, "traffic-00.pcap"), "-e",
                         "SELECT f.in_if, vin.name AS vrf_in, vout.name AS vrf_out, iin.name AS if_in, iout.name AS if_out, f.octets_raw, f.packets_raw FROM flows f "
                         "LEFT JOIN vrfs vin ON vin.exporter = f.exporter AND vin.vrf_id = f.\"ingressVRFID\" "
                         "LEFT JOIN vrfs vout ON vout.exporter = f.exporter AND vout.vrf_id = f.\"egressVRFID\" "
                         "LEFT JOIN interfaces iin ON iin.exporter = f.exporter AND iin.if_index = f.in_if "
                         "LEFT JOIN interfaces iout ON iout.exporter = f.exporter AND iout.if_index = f.out_if")
        ours = [(r["in_if"], r["vrf_in"], r["vrf_out"], r["if_in"], r["if_out"], r["octets_raw"], r["packets_raw"]) for r in csv.DictReader(rows)]
        theirs = [tuple(str(row[key]) for key in ("iface_in", "ingress_vrf_name", "egress_vrf_name", "iface_name_in", "iface_name_out", "bytes", "packets"))
                  for row in golden]
        self.assertGreater(len(theirs), 8)
        self.assertEqual(sorted(ours), sorted(theirs))
        self.assertEqual(len({row[1] for row in ours if row[0] == "167"}), 2, "one interface, before and after")

    def test_the_names_of_the_new_tables_are_taken(self):
        for name in ("vrfs", "applications"):
            result = self.run_backstream("run", "-e", f"CREATE TABLE {name} (a bigint)")
            self.assertEqual(result.returncode, 3)
            self.assertIn("already exists", result.stderr)

    def test_rates_in_records_and_several_of_them(self):
        template = (2, wire.template(256, [(8, 4), (1, 4), (34, 4)]))
        flows = lambda *rates: (256, b"".join(struct.pack("!III", 1, 100, rate) for rate in rates))
        packets = [(wire.NOON, wire.udp_packet(wire.ipfix([template, flows(512)]), source="192.0.2.1")),
                   (wire.NOON, wire.udp_packet(wire.ipfix([template, flows(512, 64, 1024)]), source="192.0.2.2"))]
        self.write("rates.pcap", wire.pcap(packets))
        for address, rates in (("192.0.2.1", ("512", "512", "512")), ("192.0.2.2", (None, "64", "1024"))):
            result = self.run_backstream("exporter", "show", address, "--pcap", "rates.pcap")
            shown = dict(line.split(None, 1) for line in result.stdout.splitlines())
            self.assertEqual(tuple(shown.get(name) for name in ("sampling_rate", "sampling_rate_min", "sampling_rate_max")), rates)

    def test_threads_that_hear_different_rates_of_one_exporter(self):
        port = harness.free_port()
        process = self.start("run", "-q", "-o", "csv", "--listen", f"udp://127.0.0.1:{port}", "--threads", "4", "-e",
                             "SELECT e.sampling_rate, e.sampling_rate_min, e.sampling_rate_max FROM flows f JOIN exporters e ON e.exporter = f.exporter")
        for _ in range(200):
            if harness.is_bound(port):
                break
            time.sleep(0.02)
        else:
            self.fail("not listening")

        def send(rate):   # The kernel deals by source port.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.bind(("127.0.0.1", 0))
                out.sendto(wire.v5([wire.v5_record()], sampling=rate), ("127.0.0.1", port))

        for number in range(1, 41):   # No thread hears all of 40 ports.
            send(100 * number)
        for _ in range(8):   # The table is made anew once a second.
            time.sleep(0.5)
            send(700)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        self.assertEqual(output.splitlines()[-1], ",100,4000")

    def test_a_misspelt_role_is_located(self):
        self.generate()
        self.write("i.csv", "exporter,if_index,role\n127.0.1.1,1,extern\n")
        result = self.run_backstream("run", "--pcap", "a.pcap", "--set", "inventory.interfaces=i.csv", "-e", ONCE)
        self.assertEqual(result.returncode, 1)
        self.assertIn("i.csv:2:13: error: column 'role' cannot be 'extern'", result.stderr)
        self.assertIn("did you mean 'external'?", result.stderr)

    def test_exporter_list_show_wait(self):
        flows = self.generate("--sampling-rate", "50")
        result = self.run_backstream("exporter", "list", "--pcap", "a.pcap")
        self.assertEqual(result.returncode, 0, result.stderr)
        header, *lines = (line.split() for line in result.stdout.splitlines())
        self.assertEqual(header[0], "exporter")
        self.assertEqual([line[0] for line in lines], ["127.0.1.1", "127.0.1.2"])
        result = self.run_backstream("exporter", "show", "127.0.1.1", "--pcap", "a.pcap")
        self.assertEqual(result.returncode, 0, result.stderr)
        shown = dict(line.split(None, 1) for line in result.stdout.splitlines())
        self.assertEqual((shown["protocols"], shown["sampling_rate"], shown["missing"]), ("IPFIX", "50", "0"))
        self.assertEqual(int(shown["flows"]), sum(flow["exporter"] == "127.0.1.1" for flow in flows))
        self.assertEqual(self.run_backstream("exporter", "show", "127.0.1.9", "--pcap", "a.pcap").returncode, 7)
        self.assertEqual(self.run_backstream("exporter", "wait", "127.0.1.2", "--pcap", "a.pcap").returncode, 0)
        nothing = self.run_backstream("exporter", "wait", "127.0.1.9", "--listen", f"udp://127.0.0.1:{harness.free_port()}", "--for", "500ms")
        self.assertEqual(nothing.returncode, 7)
        self.assertIn("nothing came from 127.0.1.9", nothing.stderr)

    def test_snippets_have_what_was_asked_for_and_no_gap(self):
        systems = ("junos", "ios-xr", "eos", "sros", "vrp", "routeros", "linux")
        for system in systems:
            result = self.run_backstream("exporter", "snippet", system, "--collector", "192.0.2.10", "--port", "9999", "--interface", "port7")
            self.assertEqual(result.returncode, 0, result.stderr)
            for text in ("192.0.2.10", "9999", "port7"):
                self.assertIn(text, result.stdout, system)
            for name in ("{collector}", "{port}", "{source}", "{interface}", "{rate}"):
                self.assertNotIn(name, result.stdout, system)
        wrong = self.run_backstream("exporter", "snippet", "junox", "--collector", "192.0.2.10")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("did you mean 'junos'?", wrong.stderr)


if __name__ == "__main__":
    sys.exit(harness.main())

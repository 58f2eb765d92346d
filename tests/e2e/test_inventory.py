#!/usr/bin/env python3
"""The tables sites, exporters and interfaces, flows_once, and backstream exporter, against the generator's records."""
import csv
import subprocess
import sys

import harness

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

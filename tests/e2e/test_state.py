#!/usr/bin/env python3
"""decode.state_file: what exporters announced outlives a kill; files that cannot be used are set aside."""
import json
import os
import signal
import socket
import struct
import sys
import time
import unittest

import harness
import wire

TOTAL = "SELECT sum(octets) AS octets, count(*) AS flows FROM tumble(flows, received_at, interval '1 h') GROUP BY window_start"
TEMPLATE = (2, wire.template(256, [(8, 4), (12, 4), (1, 4)]))
OPTIONS = (3, struct.pack("!HHHHHHH", 300, 2, 1, 149, 4, 34, 4))
SAMPLING = (300, struct.pack("!II", 0, 100))
DATA = (256, struct.pack("!III", 1, 2, 7))


class State(harness.Case):
    def listen(self, *arguments):
        port = harness.free_port()
        process = self.start("run", "--listen", f"udp://127.0.0.1:{port}", "-o", "csv", "--set",
                             f"decode.state_file={self.path('exporters.state')}", "--stats", self.path("s.json"),
                             *arguments, "-e", TOTAL)
        for _ in range(200):
            if harness.is_bound(port) or process.poll() is not None:
                break
            time.sleep(0.05)
        return process, port

    def send(self, port, *messages):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for sets in messages:
                out.sendto(wire.ipfix(sets, int(time.time())), ("127.0.0.1", port))

    def end(self, process):
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        with open(self.path("s.json")) as file:
            return output.splitlines()[1:], error, json.load(file)

    def wait_for_file(self, name):
        for _ in range(400):
            if os.path.exists(self.path(name)):
                return
            time.sleep(0.05)
        self.fail(f"no {name}")

    def learnt(self):
        """A state file of one exporter, written by a process that was killed."""
        process, port = self.listen()
        self.send(port, [TEMPLATE, OPTIONS], [SAMPLING, DATA])
        self.wait_for_file("exporters.state")
        process.kill()
        process.wait()

    def test_after_a_kill_data_is_decoded_before_new_templates(self):
        self.learnt()
        process, port = self.listen()
        self.send(port, [DATA, DATA])
        time.sleep(0.5)
        rows, error, stats = self.end(process)
        self.assertEqual(rows, ["1400,2"], error)
        self.assertEqual(stats["decode"]["awaiting_template"], 0)
        self.assertEqual(stats["decode"]["sampling_unknown_rows"], 0)
        self.assertFalse(os.path.exists(self.path("exporters.state.new")))

    def test_after_a_kill_names_are_there_before_they_are_told_again(self):
        names = [(3, struct.pack("!HHHHHHHHH", 301, 3, 1, 149, 4, 14, 4, 82, 8)), (3, struct.pack("!HHHHHHHHH", 302, 3, 1, 149, 4, 234, 4, 236, 8)),
                 (2, wire.template(257, [(8, 4), (10, 4), (234, 4), (1, 4)]))]
        told = [(301, struct.pack("!II8s", 0, 7, b"ge-0/0/7")), (302, struct.pack("!II8s", 0, 3, b"blue"))]
        process, port = self.listen()
        self.send(port, names, told)
        self.wait_for_file("exporters.state")
        process.kill()
        process.wait()
        # A replay shows what is known before the first datagram.
        data = wire.ipfix([(257, struct.pack("!IIII", 1, 7, 3, 50))])
        self.write("a.pcap", wire.pcap([(time.time(), wire.udp_packet(data, source="127.0.0.1"))]))
        rows = self.rows("--pcap", "a.pcap", "--set", "decode.state_file=exporters.state", "-e",
                         "SELECT f.in_if_name, i.name AS interface, v.name AS vrf, f.octets FROM flows f "
                         "LEFT JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.in_if "
                         "LEFT JOIN vrfs v ON v.exporter = f.exporter AND v.vrf_id = f.\"ingressVRFID\"")
        self.assertEqual(rows, ["in_if_name,interface,vrf,octets", "ge-0/0/7,ge-0/0/7,blue,50"])

    def test_a_replay_reads_it_and_leaves_it(self):
        self.learnt()
        before = open(self.path("exporters.state"), "rb").read()
        packets = [(time.time(), wire.udp_packet(wire.ipfix([DATA]), source="127.0.0.1"))]
        rows = self.rows("--pcap", self.write("a.pcap", wire.pcap(packets)), "--set", "decode.state_file=exporters.state", "-e", TOTAL)
        self.assertEqual(rows[1:], ["700,1"])
        self.assertEqual(open(self.path("exporters.state"), "rb").read(), before)

    def test_a_file_that_is_damaged_is_set_aside(self):
        self.learnt()
        good = open(self.path("exporters.state"), "rb").read()
        for content, why in ((good[:-3], "checksum"), (good[:20] + b"x" + good[21:], "checksum"), (b"", "no state file"),
                             (b"PK\3\4" * 100, "no state file"), (good[:8] + b"\x63" + good[9:], "another version")):
            self.write("exporters.state", content)
            process, port = self.listen()
            self.send(port, [TEMPLATE, OPTIONS], [SAMPLING, DATA])
            time.sleep(0.5)
            rows, error, stats = self.end(process)
            self.assertEqual(rows, ["700,1"])
            self.assertIn(why, error)
            self.assertIn("renamed", error)
            self.assertEqual(open(self.path("exporters.state.damaged"), "rb").read(), content)
            self.assertEqual(len(open(self.path("exporters.state"), "rb").read()), len(good), "it was written anew")

    def test_a_file_that_the_machine_refuses(self):
        os.mkdir(self.path("folder"))
        result = self.run_backstream("run", "--listen", "udp://127.0.0.1:0", "--for", "1s", "--set", "decode.state_file=folder", "-e", TOTAL)
        self.assertEqual(result.returncode, 1)
        self.assertIn("'folder' is no regular file", result.stderr)
        port = harness.free_port()
        process = self.start("run", "--listen", f"udp://127.0.0.1:{port}", "--for", "2s", "-o", "csv", "--set", "decode.state_file=missing/state", "-e", TOTAL)
        for _ in range(100):
            if harness.is_bound(port):
                break
            time.sleep(0.02)
        self.send(port, [TEMPLATE, DATA])
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        self.assertEqual(error.count("cannot write"), 1, error)


if __name__ == "__main__":
    sys.exit(harness.main())

#!/usr/bin/env python3
"""Exporters that others wrote, over loopback: what we count of their flows is what the capture holds that they read."""
import csv
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

import harness
import wire

FILLER = "198.51.100.99"  # To it goes what only pushes the last samples out of an exporter's buffer.
TOTALS = ("SELECT family(src_ip) AS family, protocol, count(*) AS flows, sum(packets) AS packets, sum(octets) AS octets "
          f"FROM tumble(flows, received_at, interval '1 day') WHERE dst_ip <> '{FILLER}' GROUP BY window_start, 1, 2")


def ipv4(protocol, source, destination, body):
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + socket.inet_aton(source) + socket.inet_aton(destination)
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return b"\x02" * 6 + b"\x04" * 6 + b"\x08\x00" + header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:] + body


def ipv6(protocol, source, destination, body):
    header = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64)
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    return b"\x02" * 6 + b"\x04" * 6 + b"\x86\xdd" + header + addresses + body


def udp(source, destination, octets):
    return struct.pack("!HHHH", source, destination, 8 + octets, 0) + b"u" * octets


def tcp(source, destination, octets, flags):
    return struct.pack("!HHIIBBHHH", source, destination, 1, 1, 5 << 4, flags, 1000, 0, 0) + b"t" * octets


def traffic():
    """Packets of a minute ago: 70 flows of IPv4 (UDP, TCP, ICMP), 15 of IPv6, then filler."""
    begin = time.time() - 60
    packets = []
    for i in range(5):
        at = begin + i * 0.1
        for f in range(40):
            packets.append((at + f / 1000, ipv4(17, f"10.0.0.{f + 1}", "192.0.2.254", udp(4000 + f, 53, 100 + f))))
        for f in range(20):
            flags = (0x02, 0x18, 0x18, 0x18, 0x11)[i]
            packets.append((at + 0.05 + f / 1000, ipv4(6, f"10.0.1.{f + 1}", "192.0.2.253", tcp(5000 + f, 443, 10 * i + f, flags))))
        for f in range(10):
            packets.append((at + 0.08 + f / 1000, ipv4(1, f"10.0.2.{f + 1}", "192.0.2.252", struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"p" * 56)))
    for i in range(3):
        for f in range(15):
            packets.append((begin + 0.6 + i * 0.1 + f / 1000, ipv6(17, f"2001:db8::{f + 1:x}", "2001:db8:1::1", udp(6000 + f, 123, 48))))
    for f in range(200):
        packets.append((begin + 1 + f / 1000, ipv4(17, "198.51.100.1", FILLER, udp(7000, 7000, 10))))
    return packets


class Case(harness.Case):
    def needs(self, *programs):
        for program in programs:
            if shutil.which(program) is None:
                raise unittest.SkipTest(f"{program} is not installed (./do setup tests)")

    def listen(self, *arguments):
        port = harness.free_port()
        process = self.start("run", "-o", "csv", "--listen", f"udp://127.0.0.1:{port}", *arguments)
        self.wait_for(lambda: harness.is_bound(port), "it does not listen")
        return process, port

    def wait_for(self, done, what):
        deadline = time.monotonic() + 20
        while not done():
            if time.monotonic() > deadline:
                self.fail(what)
            time.sleep(0.05)

    def finish(self, process):
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        return output

    def background(self, *command):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()


class Exporters(Case):
    @classmethod
    def setUpClass(cls):
        cls.packets = traffic()

    def setUp(self):
        super().setUp()
        self.capture = self.write("traffic.pcap", wire.pcap(self.packets))

    def expected(self, families=(4, 6)):
        """(family, protocol) -> packets and IP octets, as tshark counts them."""
        self.needs("tshark")
        result = subprocess.run(["tshark", "-r", self.capture, "-T", "fields", "-E", "separator=,", "-e", "ip.dst", "-e", "ip.proto", "-e",
                                 "ip.len", "-e", "ipv6.nxt", "-e", "ipv6.plen"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True,
                                text=True)
        sums = {}
        for line in result.stdout.splitlines():
            destination, protocol, length, next_header, payload = line.split(",")
            if destination == FILLER:
                continue
            key = (4, int(protocol)) if destination else (6, int(next_header))
            octets = int(length) if destination else int(payload) + 40
            packets_before, octets_before = sums.get(key, (0, 0))
            sums[key] = packets_before + 1, octets_before + octets
        self.assertEqual(sum(packets for packets, _ in sums.values()), 5 * 70 + 3 * 15)
        return {key: value for key, value in sums.items() if key[0] in families}

    def check(self, output, expected, flows=None):
        rows = [tuple(map(int, row)) for row in list(csv.reader(output.splitlines()))[1:]]
        self.assertEqual({(family, protocol): (packets, octets) for family, protocol, _, packets, octets in rows}, expected)
        if flows is not None:
            self.assertEqual(sum(row[2] for row in rows), flows)

    def test_softflowd(self):
        self.needs("softflowd")
        for version, families in (("5", (4,)), ("9", (4, 6)), ("10", (4, 6))):
            with self.subTest(version=version):
                expected = self.expected(families)
                process, port = self.listen("-e", TOTALS)
                subprocess.run(["softflowd", "-r", self.capture, "-n", f"127.0.0.1:{port}", "-v", version, "-d", "-p", self.path("pid"),
                                "-c", "none"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30,
                               check=True)
                self.check(self.finish(process), expected, flows=85 if 6 in families else 70)

    def pmacctd(self, port, plugin, settings):
        self.write("pmacctd.conf", "daemonize: false\npcap_savefile: traffic.pcap\nplugins: %s\n%s_receiver: 127.0.0.1:%d\n"
                                   "plugin_buffer_size: 10240\nplugin_pipe_size: 10240000\n%s" % (plugin, plugin, port, settings))
        process = self.background("pmacctd", "-f", "pmacctd.conf")
        time.sleep(6)  # It waits 2 s before it reads, and then until its caches are over.
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)

    def test_nfprobe(self):
        self.needs("pmacctd")
        for version, families in (("5", (4,)), ("9", (4, 6)), ("10", (4, 6))):
            with self.subTest(version=version):
                expected = self.expected(families)
                process, port = self.listen("-e", TOTALS)
                self.pmacctd(port, "nfprobe", "aggregate: src_host, dst_host, src_port, dst_port, proto, tos\n"
                                              f"nfprobe_version: {version}\nnfprobe_timeouts: tcp=1:maxlife=1:general=1:expint=1\n")
                self.check(self.finish(process), expected, flows=85 if 6 in families else 70)

    def test_sfprobe(self):
        self.needs("pmacctd")
        process, port = self.listen("-e", TOTALS)
        self.pmacctd(port, "sfprobe", "sampling_rate: 1\n")
        self.check(self.finish(process), self.expected())

    def test_nfreplay(self):
        """nfdump's own replay of what its collector has stored of softflowd's flows."""
        self.needs("softflowd", "nfcapd", "nfreplay")
        os.mkdir(self.path("stored"))
        stored_port = harness.free_port()
        collector = self.background("nfcapd", "-p", str(stored_port), "-b", "127.0.0.1", "-w", self.path("stored"), "-t", "3600")
        self.wait_for(lambda: harness.is_bound(stored_port), "nfcapd does not listen")
        subprocess.run(["softflowd", "-r", self.capture, "-n", f"127.0.0.1:{stored_port}", "-v", "9", "-d", "-p", self.path("pid"), "-c",
                        "none"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=True)
        time.sleep(1)
        collector.send_signal(signal.SIGINT)
        collector.wait(timeout=20)
        file, = (name for name in os.listdir(self.path("stored")) if name.startswith("nfcapd.2"))
        for version, families in (("5", (4,)), ("9", (4, 6))):
            with self.subTest(version=version):
                process, port = self.listen("-e", TOTALS)
                subprocess.run(["nfreplay", "-r", os.path.join("stored", file), "-H", "127.0.0.1", "-p", str(port), "-v", version],
                               cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=True)
                self.check(self.finish(process), self.expected(families))


class Tee(Case):
    def test_the_collectors_beside_us_answer_alike(self):
        """One stream, received here and sent on to nfcapd and nfacctd: the same octets in every cell of the AS matrix."""
        self.needs("nfcapd", "nfdump", "nfacctd")
        os.mkdir(self.path("stored"))
        nfcapd_port, nfacctd_port = harness.free_port(), harness.free_port()
        nfcapd = self.background("nfcapd", "-p", str(nfcapd_port), "-b", "127.0.0.1", "-w", self.path("stored"), "-t", "3600", "-B", "8388608")
        self.write("nfacctd.conf", f"daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {nfacctd_port}\nnfacctd_as: netflow\n"
                                   "aggregate: src_as, dst_as\nplugins: print\nprint_output: csv\nprint_output_file: matrix.csv\n"
                                   "print_refresh_time: 3600\nplugin_buffer_size: 10240\nplugin_pipe_size: 64000000\n")
        nfacctd = self.background("nfacctd", "-f", "nfacctd.conf")
        for port, name in ((nfcapd_port, "nfcapd"), (nfacctd_port, "nfacctd")):
            self.wait_for(lambda: harness.is_bound(port), name + " does not listen")
        process, port = self.listen("--set", f"forward.nfcapd=udp://127.0.0.1:{nfcapd_port}", "--set",
                                    f"forward.nfacctd=udp://127.0.0.1:{nfacctd_port}", "-e",
                                    "SELECT src_as, dst_as, sum(octets_raw) AS octets, sum(packets_raw) AS packets "
                                    "FROM tumble(flows, received_at, interval '1 day') GROUP BY window_start, src_as, dst_as")
        self.assertEqual(self.run_backstream("generate", "--protocol", "v5", "--records", "6000", "--rate", "3000", "--exporters", "1", "--to",
                                             f"udp://127.0.0.1:{port}").returncode, 0)
        time.sleep(1)
        ours = self.matrix(self.finish(process).splitlines()[1:])
        nfcapd.send_signal(signal.SIGINT)
        nfcapd.wait(timeout=20)
        nfacctd.send_signal(signal.SIGINT)
        nfacctd.wait(timeout=20)
        dump = subprocess.run(["nfdump", "-R", "stored", "-A", "srcas,dstas", "-q", "-N", "-n", "0", "-o", "fmt:%sas,%das,%byt,%pkt"],
                              cwd=self.folder, stdout=subprocess.PIPE, check=True, text=True)
        self.assertGreater(len(ours), 1000)
        self.assertEqual(self.matrix(dump.stdout.splitlines()), ours, "nfdump")
        with open(self.path("matrix.csv")) as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(self.matrix([f"{row['SRC_AS']},{row['DST_AS']},{row['BYTES']},{row['PACKETS']}" for row in rows]), ours, "nfacctd")

    @staticmethod
    def matrix(lines):
        cells = {}
        for line in lines:
            if line.count(",") == 3:
                source, destination, octets, packets = (int(field.strip()) for field in line.split(","))
                cells[source, destination] = octets, packets
        return cells


if __name__ == "__main__":
    sys.exit(harness.main())

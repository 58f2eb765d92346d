#!/usr/bin/env python3
"""backstream run --set forward.NAME=...: what other collectors get of what we hear."""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

import harness
import wire

TOTAL = "SELECT count(*) AS flows FROM tumble(flows, time, interval '1 h') GROUP BY window_start"
SOL_UDP, UDP_SEGMENT = 17, 103
PR_CAPBSET_DROP, CAP_NET_RAW = 24, 13


def without_raw_sockets():
    """In the child: what it executes has no CAP_NET_RAW, root or not."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0)


def may_send_raw():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
        return True
    except PermissionError:
        return False


def collector(host="127.0.0.1"):
    there = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    there.bind((host, 0))
    return there


def drain(there, count):
    """What comes within a while: (payload, address, port) each."""
    got = []
    while len(got) < count and select.select([there], [], [], 3)[0]:
        payload, address = there.recvfrom(65_536)
        got.append((payload, address[0], address[1]))
    return got


class Forward(harness.Case):
    def listen(self, *arguments, preexec_fn=None):
        port = harness.free_port()
        process = subprocess.Popen([harness.BINARY, "run", "--listen", f"udp://127.0.0.1:{port}", "-o", "csv", "--stats",
                                    self.path("s.json"), "-e", TOTAL, *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=self.folder, preexec_fn=preexec_fn)
        self.addCleanup(self._end, process)
        for _ in range(200):
            if harness.is_bound(port):
                return process, port
            if process.poll() is not None:
                self.fail(process.stderr.read())
            time.sleep(0.05)
        self.fail("not listening")

    def stop(self, process):
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, error)
        with open(self.path("s.json")) as file:
            stats = json.load(file)
        return output, error, stats, {f["name"]: f for f in stats["forward"]}

    def exporters(self, port, count=6, each=5):
        """Sends datagrams from several addresses; what was sent as drain() tells it."""
        sent, now = [], int(time.time())
        for exporter in range(count):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.bind((f"127.0.1.{exporter + 1}", 0))
                for i in range(each):
                    payload = wire.v5([wire.v5_flow(now - 1, now, octets=exporter)] * (1 + (i * 7) % 30), now, i)
                    out.sendto(payload, ("127.0.0.1", port))
                    sent.append((payload, *out.getsockname()))
        return sent

    def test_octets_and_sources_are_those_that_came(self):
        if not may_send_raw():
            raise unittest.SkipTest("needs CAP_NET_RAW")
        with collector() as first, collector() as second:
            process, port = self.listen("--set", f"forward.first=udp://127.0.0.1:{first.getsockname()[1]}", "--set",
                                        f"forward.second.to=udp://127.0.0.1:{second.getsockname()[1]}")
            sent = self.exporters(port)
            self.assertEqual(drain(first, len(sent)), sent)
            self.assertEqual(drain(second, len(sent)), sent)
            output, error, stats, forward = self.stop(process)
        self.assertIn("forward.first: to udp://127.0.0.1:", error)
        self.assertIn("from the exporters' addresses", error)
        self.assertEqual(stats["decode"]["datagrams"], len(sent))
        for name in ("first", "second"):
            self.assertEqual((forward[name]["sent"], forward[name]["source_kept"], forward[name]["own_source"]), (len(sent), True, 0))
            self.assertEqual(forward[name]["octets"], sum(len(payload) for payload, *_ in sent))
            self.assertEqual(sum(forward[name]["dropped"].values()), 0)

    def test_without_the_capability_it_sends_from_its_own_address_and_says_so(self):
        with collector() as there:
            process, port = self.listen("--set", f"forward.there=udp://127.0.0.1:{there.getsockname()[1]}",
                                        preexec_fn=without_raw_sockets if may_send_raw() else None)
            sent = self.exporters(port)
            got = drain(there, len(sent))
            output, error, stats, forward = self.stop(process)
        self.assertEqual([payload for payload, *_ in got], [payload for payload, *_ in sent])
        self.assertEqual({address for _, address, _ in got}, {"127.0.0.1"})
        self.assertIn("CAP_NET_RAW", error.splitlines()[0])
        self.assertEqual((forward["there"]["source_kept"], forward["there"]["own_source"]), (False, len(sent)))

    def test_what_the_kernel_coalesced_leaves_as_it_was_sent(self):
        for spoof in ("true", "false"):
            with collector() as there, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                process, port = self.listen("--set", f"forward.there=udp://127.0.0.1:{there.getsockname()[1]}", "--set",
                                            f"forward.there.spoof={spoof}")
                now = int(time.time())
                payloads = [wire.v5([wire.v5_flow(now - 1, now)] * 30, now, i * 30) for i in range(20)]
                payloads.append(wire.v5([wire.v5_flow(now - 1, now)] * 3, now, 600))
                out.setsockopt(SOL_UDP, UDP_SEGMENT, len(payloads[0]))
                out.sendto(b"".join(payloads), ("127.0.0.1", port))
                self.assertEqual([payload for payload, *_ in drain(there, len(payloads))], payloads)
                output, error, stats, forward = self.stop(process)
            self.assertEqual(stats["decode"]["flows"], 603)
            self.assertEqual(forward["there"]["sent"], 21)

    def test_targets_that_do_not_take_cost_nobody_else_anything(self):
        with collector() as good, collector() as full, collector() as gone:
            closed = gone.getsockname()[1]
            gone.close()
            full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # It is never read.
            process, port = self.listen("--set", f"forward.good=udp://127.0.0.1:{good.getsockname()[1]}",
                                        "--set", f"forward.full=udp://127.0.0.1:{full.getsockname()[1]}",
                                        "--set", f"forward.closed=udp://127.0.0.1:{closed}", "--set", "forward.closed.spoof=false",
                                        "--set", "forward.tiny.to=udp://127.0.0.1:9", "--set", "forward.tiny.queue=1")
            sent = []
            for _ in range(20):
                batch = self.exporters(port, each=10)
                sent += batch
                self.assertEqual([g[0] for g in drain(good, len(batch))], [s[0] for s in batch])
            output, error, stats, forward = self.stop(process)
        self.assertEqual(stats["decode"]["datagrams"], len(sent))
        self.assertEqual(stats["ingest"]["kernel_drops"], 0)
        for name in ("good", "full", "closed", "tiny"):
            self.assertEqual(forward[name]["sent"] + sum(forward[name]["dropped"].values()), len(sent), name)
        self.assertGreater(forward["closed"]["refusals"], 0)
        self.assertRegex(error, r"forward   closed .*; \d+ answers that nobody listens there")

    def test_only_the_ports_and_exporters_that_are_wanted(self):
        with collector() as there:
            other = harness.free_port()
            process, port = self.listen("--listen", f"udp://127.0.0.1:{other}", "--set", "ingest.allow=127.0.1.2", "--set",
                                        f"forward.there=udp://127.0.0.1:{there.getsockname()[1]}", "--set", f"forward.there.ports={other}")
            self.exporters(port)
            sent = [s for s in self.exporters(other) if s[1] == "127.0.1.2"]
            self.assertEqual([g[0] for g in drain(there, len(sent))], [s[0] for s in sent])
            output, error, stats, forward = self.stop(process)
        self.assertEqual(forward["there"]["sent"], len(sent))

    def test_mistakes_are_told(self):
        def complaint(*arguments):
            result = self.run_backstream("run", "-e", TOTAL, *arguments)
            return result.returncode, result.stderr
        port = harness.free_port()
        code, error = complaint("--listen", f"udp://127.0.0.1:{port}", "--set", f"forward.loop=udp://127.0.0.1:{port}")
        self.assertEqual(code, 1)
        self.assertIn("forward.loop: we listen there ourselves", error)
        for wrong in ("forward.x=collector", "forward.x=udp://*:2055", "forward.x.spof=true", "forward.x.ports=0", "forward.=udp://127.0.0.1:9"):
            code, error = complaint("--listen", f"udp://127.0.0.1:{port}", "--set", wrong)
            self.assertEqual(code, 3, wrong)
            self.assertIn("hint: ", error)

    def test_captures_are_not_forwarded(self):
        with collector() as there:
            path = self.write("a.pcap", wire.pcap([(wire.NOON, wire.udp_packet(wire.v5([wire.v5_flow(wire.NOON)])))]))
            stats, result = self.stats("--pcap", path, "-e", TOTAL, "--set", f"forward.there=udp://127.0.0.1:{there.getsockname()[1]}")
            self.assertIn("warning: captures are not forwarded", result.stderr)
            self.assertEqual(select.select([there], [], [], 0.2)[0], [])
        self.assertEqual(stats["forward"], [])


if __name__ == "__main__":
    sys.exit(harness.main())

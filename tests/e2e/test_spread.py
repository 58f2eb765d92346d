#!/usr/bin/env python3
"""ingest.steering=spread: one exporter from one address is read by several threads, and nothing is invented or forgotten."""
import collections
import json
import random
import signal
import socket
import struct
import sys
import time

import harness
import wire

THREADS = 3
FIELDS = [(8, 4), (12, 4), (1, 4), (2, 4), (152, 8), (153, 8)]
FLOWS = ("SELECT octets_raw, count(*) AS n, sum(packets_raw) AS packets, max(sampling_rate) AS rate FROM tumble(flows, time, interval '1 d') "
         "GROUP BY window_start, octets_raw")
MINUTES = "SELECT time, exporter, protocols, datagrams, flows, missing, duplicates FROM exporter_minutes"
TABLE = ("SELECT e.exporter, max(e.datagrams) AS datagrams, max(e.templates) AS templates FROM tumble(flows, time, interval '1 d') AS f "
         "JOIN exporters AS e ON e.exporter = f.exporter GROUP BY window_start, e.exporter")


def record(octets, now):
    return struct.pack("!IIIIQQ", 1, 2, octets, 7, now * 1000, now * 1000)


class Messages:
    """Of one exporter, in its protocol: (octets, records in it, units that its sequence number counts)."""

    def __init__(self, protocol):
        self.protocol, self.sequence = protocol, 2**32 - 5_000

    def message(self, sets, units):
        now = int(time.time())
        if self.protocol == "v9":
            body = b"".join(struct.pack("!HH", number, len(data) + 4) + data for number, data in sets)
            octets = struct.pack("!HHIIII", 9, 1, 1_000_000, now, self.sequence % 2**32, 7) + body
            units = 1
        else:
            octets = wire.ipfix(sets, now, self.sequence % 2**32, 7)
        self.sequence += units
        return octets, units

    def announce(self):
        template = wire.template(256, FIELDS)
        if self.protocol == "v5":
            return []
        if self.protocol == "v9":
            return [self.message([(0, template), (1, struct.pack("!HHHHHHH", 300, 4, 4, 1, 4, 34, 4))], 0),
                    self.message([(300, struct.pack("!II", 0, 10))], 1)]
        return [self.message([(2, template), (3, struct.pack("!HHHHHHH", 300, 2, 1, 149, 4, 34, 4))], 0),
                self.message([(300, struct.pack("!II", 7, 10))], 1)]

    def data(self, number, records):
        now = int(time.time())
        if self.protocol == "v5":
            octets = wire.v5([wire.v5_flow(now, octets=number, packets=7)] * records, now, self.sequence % 2**32, sampling=10)
            self.sequence += records
            return octets, records
        return self.message([(256, record(number, now) * records)], records)


class Spread(harness.Case):
    def listen(self, *arguments):
        port = harness.free_port()
        process = self.start("run", "-q", "--listen", f"udp://127.0.0.1:{port}", "-o", "jsonl", "--threads", str(THREADS), "--set",
                             "ingest.steering=spread", "--stats", self.path("s.json"), *arguments)
        for _ in range(200):
            if harness.is_bound(port):
                break
            if process.poll() is not None:
                self.fail(process.stderr.read())
            time.sleep(0.05)
        else:
            self.fail("not listening")
        return process, port

    def stop(self, process):
        """Ends it; its rows by view, and its statistics."""
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, error)
        with open(self.path("s.json")) as file:
            stats = json.load(file)
        self.assertEqual(stats["ingest"]["kernel_drops"], 0)
        self.assertEqual(stats["decode"]["sequence_early"], 0)
        self.assertEqual(len(stats["ingest"]["sockets"]), THREADS)
        views = collections.defaultdict(list)
        for line in output.splitlines():
            row = json.loads(line)
            views[row.get("view")].append(row)
        return views, stats

    def send(self, protocol, lost):
        """Sends 3,000 datagrams but for the numbers in `lost`. Returns what must be found."""
        process, port = self.listen("-e", FLOWS, "-e", MINUTES, "-e", TABLE)
        messages, rows, missing, sent = Messages(protocol), {}, 0, 0
        chance = random.Random(protocol)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for number in range(1, 3_001):
                # The first data comes before any template, and templates come again as they do.
                announced = messages.announce() if number % 500 == 4 else []
                records = chance.randint(1, 10)
                octets, units = messages.data(number, records)
                if number in lost:
                    missing += units
                else:
                    announced.append((octets, units))
                    rows[number] = (records, records * 7)
                for message, _ in announced:
                    out.sendto(message, ("127.0.0.1", port))
                    sent += 1
                if number % 20 == 0:
                    time.sleep(0.015)   # Longer than a second in all: the table of exporters is that of a second ago.
        views, stats = self.stop(process)
        decode = stats["decode"]
        self.assertEqual({row["octets_raw"]: (row["n"], row["packets"]) for row in views["select1"]}, rows, protocol)
        # The very first are read when their template comes, which is before the rate does.
        self.assertEqual({row["rate"] for row in views["select1"] if row["octets_raw"] > 100}, {10}, protocol)
        self.assertEqual((decode["missing"], decode["duplicates"], decode["exporter_restarts"]), (missing, 0, 0), protocol)
        self.assertEqual((decode["datagrams"], decode["decoded"]), (sent, sent))
        self.assertEqual((decode["awaiting_template"], decode["sets_held"]), (0, decode["sets_released"]))
        self.assertEqual(sum(socket["datagrams"] for socket in stats["ingest"]["sockets"]), sent)
        for one in stats["ingest"]["sockets"]:
            self.assertGreater(one["datagrams"], sent / THREADS / 2, "all threads have their share")
        # The one exporter, once.
        self.assertEqual([exporter["address"] for exporter in stats["exporters"]], ["127.0.0.1"])
        name = {"v5": "NetFlow v5", "v9": "NetFlow v9", "ipfix": "IPFIX"}[protocol]
        self.assertEqual((stats["exporters"][0]["protocols"], stats["exporters"][0]["missing"]), (name, missing))
        minutes = views["select2"]
        for counter in ("datagrams", "flows", "missing", "duplicates"):
            self.assertEqual(sum(row[counter] for row in minutes), decode[counter], counter)
            self.assertEqual(sum(minute.get(counter, 0) for minute in stats["ingest_minutes"]), decode[counter], counter)
        self.assertEqual(len({(row["time"], row["exporter"]) for row in minutes}), len(minutes), minutes)
        self.assertEqual({(row["exporter"], row["protocols"]) for row in minutes}, {("127.0.0.1", name)})
        self.assertEqual(len(stats["ingest_minutes"]), len(minutes))
        (row,) = views["select3"]
        self.assertEqual((row["exporter"], row["templates"]), ("127.0.0.1", 0 if protocol == "v5" else 2))
        self.assertTrue(0 < row["datagrams"] <= sent, row)
        return missing

    def test_what_was_not_lost_is_not_missing(self):
        for protocol in ("v5", "v9", "ipfix"):
            self.assertEqual(self.send(protocol, ()), 0)

    def test_what_was_left_out_is_missing(self):
        for protocol in ("v5", "v9", "ipfix"):
            # Single ones and a run, all behind the first templates.
            lost = set(random.Random(3).sample(range(500, 2_900), 40)) | set(range(1_000, 1_030))
            missing = self.send(protocol, lost)
            self.assertTrue(missing == len(lost) if protocol == "v9" else missing > len(lost), (protocol, missing))

    def test_the_generators_records(self):
        """Every row of the truth, whichever thread read it, and nothing is missing."""
        matrix = ("CREATE MATERIALIZED VIEW m AS SELECT window_start, src_as, dst_as, sum(octets) AS octets "
                  "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, src_as, dst_as")
        records = 100_000
        for protocol in ("v5", "v9", "ipfix", "sflow"):
            process, port = self.listen("-e", matrix)
            truth = ["--truth", self.path("truth"), "--truth-queries", "traffic_matrix"] if protocol != "sflow" else []
            sent = self.run_backstream("generate", "--protocol", protocol, "--exporters", "1", "--records", str(records), "--rate",
                                       "40000", "--to", f"udp://127.0.0.1:{port}", *truth)
            self.assertEqual(sent.returncode, 0, sent.stderr)
            views, stats = self.stop(process)
            if truth:
                with open(self.path("truth/traffic_matrix.csv")) as file:
                    wanted = sorted(line.split(",")[1:] for line in file.read().splitlines()[1:])
                rows = sorted([str(row["src_as"]), str(row["dst_as"]), str(row["octets"])] for row in views[None] + views["m"])
                self.assertEqual((len(rows), rows == wanted), (len(wanted), True), protocol)
            decode = stats["decode"]
            self.assertEqual((decode["flows"], decode["missing"], decode["duplicates"], decode["exporter_restarts"]),
                             (records, 0, 0, 0), protocol)
            self.assertEqual(len(stats["exporters"]), 1)

    def test_one_thread_has_nothing_to_spread_to(self):
        result = self.run_backstream("run", "--listen", f"udp://127.0.0.1:{harness.free_port()}", "--set", "ingest.steering=spread",
                                     "--for", "1s", "-e", FLOWS)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("ingest.steering=spread changes nothing: one thread receives (--threads)", result.stderr)


if __name__ == "__main__":
    sys.exit(harness.main())

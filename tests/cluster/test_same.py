#!/usr/bin/env python3
"""The same export read by one process and by nine: four edges, three merge workers and two receivers over a real Kafka. Prints of
each query a hash of its final rows, side by side; they are equal.

BACKSTREAM_SAME_RECORDS (100000): flow records in the export."""
import hashlib
import json
import os
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import nodes    # noqa: E402

RECORDS = int(os.environ.get("BACKSTREAM_SAME_RECORDS", 100_000))
# Sums, distinct values, an order with a limit, percentiles, sessions, a join of two streams under an aggregate.
QUERIES = ["traffic_matrix", "port_sweep", "top_talkers", "flow_sizes", "sessions", "handshake_timeout"]
HOUR_S = 3600
START = int(time.time()) // HOUR_S * HOUR_S - 4 * HOUR_S
SPAN_S = 900
END = START + HOUR_S  # From then on comes what closes all windows of the export, and is looked at no more.
# Event times are those of the export, whatever the clock says, and none is late.
WATERMARK = ["watermark.delay=150s", "watermark.max_skew=1d", "watermark.max_hold=1d", "watermark.max_future=1d",
             "watermark.idle_timeout=1h"]
DATAGRAMS_PER_S = 1_500  # What sockets of the size that every system gives hold.


def time_text(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def datagrams(capture):
    """(source address, payload) of what `backstream generate --pcap` wrote."""
    with open(capture, "rb") as file:
        head = file.read(24)
        linktype = struct.unpack_from("<I", head, 20)[0]
        assert linktype == 1, "Ethernet"
        while record := file.read(16):
            packet = file.read(struct.unpack_from("<I", record, 8)[0])[14:]
            yield socket.inet_ntoa(packet[12:16]), packet[(packet[0] & 15) * 4 + 8:]


def hash_of(rows):
    digest = hashlib.sha256()
    for row in sorted(json.dumps(row, sort_keys=True) for row in rows):
        digest.update(row.encode() + b"\n")
    return digest.hexdigest()


class Same(nodes.Case):
    def generate(self, name, *arguments):
        """A capture of four exporters."""
        result = self.run_backstream("generate", "--protocol", "ipfix", "--exporters", "4", "--as", "40",
                                     # Few sessions: receivers show 10,000 rows without a window a second.
                                     "--hosts", str(max(400, RECORDS // 250)), "--pcap", self.path(name), *arguments, timeout=600)
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.path(name)

    def texts(self):
        for name in QUERIES:
            with open(os.path.join(HERE, "..", "..", "queries", name + ".sql")) as file:
                yield name, file.read()

    def of_one_process(self, capture):
        """By query, the rows of `backstream run`."""
        files = [os.path.join(HERE, "..", "..", "queries", name + ".sql") for name in QUERIES]
        settings = [word for setting in WATERMARK for word in ("--set", setting)]
        stats = self.path("stats.json")
        result = self.run_backstream("run", "-o", "jsonl", "--stats", stats, "--pcap", capture, *settings, *files, timeout=600)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = {name: [] for name in QUERIES}
        for line in result.stdout.splitlines():
            row = json.loads(line)
            rows[row.pop("view")].append(list(row.values()))
        with open(stats) as file:
            told = json.load(file)
        self.assertEqual([view["late"] for view in told["views"]], [0] * len(QUERIES))
        self.assertEqual(told["decode"]["flows"], RECORDS)
        return rows

    def of_receiver(self, receiver, name, before):
        """The rows of all windows that begin before a time, by the newest revision of each; None: some are not final."""
        windows, rows = {}, []
        for part in receiver.get(f"/api/v1/queries/{name}/results?limit=10000000")["windows"]:
            if part["window_start"] is None:
                rows += [row for row in part["rows"] if row[0] < before]
            elif part["window_start"] < before:
                windows.setdefault(part["window_start"], {}).setdefault(part["revision"], []).append(part)
        for revisions in windows.values():
            newest = revisions[max(revisions)]
            if not newest[-1]["final"]:
                return None
            rows += [row for part in newest for row in part["rows"]]
        return rows

    def test_nine_processes_give_the_rows_of_one(self):
        capture = self.generate("in.pcap", "--records", str(RECORDS), "--span", f"{SPAN_S}s", "--start", time_text(START),
                                "--attack", "port-sweep", "--attack", "syn-flood")
        end = self.generate("end.pcap", "--records", "40", "--span", "1s", "--start", time_text(END + HOUR_S), "--seed", "2")
        one = self.of_one_process(capture)
        begin = time.monotonic()
        receivers = [self.node(f"receiver-{number}", roles="receiver") for number in (1, 2)]
        # On a busy machine nobody is to be taken for absent: sessions and joins would not have his rows.
        workers = [self.merge("merge.absent_after=120s", name=f"merge-{number}", roles="merge") for number in (1, 2, 3)]
        edges = [self.node(f"edge-{number}", *WATERMARK, roles="edge") for number in (1, 2, 3, 4)]
        processes = [*receivers, *workers, *edges]
        self.assertEqual(len({process.process.pid for process in processes}), 9)
        for name, text in self.texts():
            receivers[0].add(name, text)
        self.runs_at(processes, QUERIES[-1])
        print(f"  nine processes run after {time.monotonic() - begin:.1f} s", flush=True)
        sockets, due, begin = {}, time.monotonic(), time.monotonic()
        sent = 0
        for path in (capture, end):
            for source, payload in datagrams(path):
                if source not in sockets:
                    sockets[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    self.addCleanup(sockets[source].close)
                    sockets[source].bind((source, 0))
                edge = edges[int(source.rsplit(".", 1)[1]) % len(edges)]
                sockets[source].sendto(payload, ("127.0.0.1", edge.flow_port))
                sent, due = sent + 1, due + 1 / DATAGRAMS_PER_S
                time.sleep(max(0, due - time.monotonic()))
        print(f"  {sent} datagrams of {len(sockets)} exporters were sent in {time.monotonic() - begin:.1f} s", flush=True)
        nine = [{}, {}]

        def all_there():
            for number, receiver in enumerate(receivers):
                for name in QUERIES:
                    nine[number][name] = self.of_receiver(receiver, name, time_text(END))
            return all(hash_of(rows[name] or []) == hash_of(one[name]) for rows in nine for name in QUERIES)
        try:
            self.until(all_there, "both receivers have all rows", 120)
        finally:
            print(f"  {'query':18} {'one process':71}  {'nine: first receiver':71}  second receiver")
            for name in QUERIES:
                told = [f"{len(rows[name] or []):6} {hash_of(rows[name] or [])}" for rows in (one, *nine)]
                print(f"  {name:18} " + "  ".join(told), flush=True)
        for name in QUERIES:
            self.assertGreater(len(one[name]), 0, name)
        # Workers report every 5 s.
        self.until(lambda: [receiver.get(f"/api/v1/queries/{name}")["ledger"] for receiver in receivers for name in QUERIES
                            ].count(None) == 0, "ledgers of all queries")
        for receiver in receivers:
            self.assertIn('backstream_results_lost_rows_total{reason="rate"} 0', receiver.get("/metrics"))
            for name in QUERIES:
                self.assertEqual(receiver.get(f"/api/v1/queries/{name}")["ledger"]["late"], 0, name)


if __name__ == "__main__":
    sys.exit(nodes.main())

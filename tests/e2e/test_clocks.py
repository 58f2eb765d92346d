#!/usr/bin/env python3
"""DESIGN §6 over real sockets: of ten exporters the clock of one is wrong. Windows close while all still send, and each
row is counted once. tests/sim has the same on a fake clock, with the cases that take minutes."""
import csv
import json
import signal
import socket
import sys
import threading
import time

import harness
import wire

NINE = [f"127.0.3.{number}" for number in range(1, 10)]
WRONG = "127.0.3.10"
RECORDS = 3
BEGIN = time.time()
# What its clock shows, and by how much its flows end after what it shows as now.
CASES = {"an hour slow": (lambda now: now - 3600, 0), "an hour fast": (lambda now: now + 3600, 0),
         "of 1970": (lambda now: now - BEGIN + 86_400, 0), "flows an hour ahead": (lambda now: now, 3600)}
SQL = "SELECT window_start, exporter, count(*) AS n FROM tumble(flows, time, interval '1 s') GROUP BY window_start, exporter"


class Listener:
    """A run of its own port, and what it has written so far."""

    def __init__(self, case, stats):
        self.port = harness.free_port()
        self.stats = stats
        self.process = case.start("run", "-q", "--listen", f"udp://127.0.0.1:{self.port}", "-o", "csv", "--threads", "2", "--delay", "300ms", "--stats", stats, "-e", SQL)
        self.lines = []
        for _ in range(200):
            if harness.is_bound(self.port):
                break
            time.sleep(0.05)
        else:
            case.fail("not listening")
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def rows(self):
        return list(csv.DictReader(list(self.lines)))

    def closed(self):
        """Windows that have closed, with all of the nine."""
        by_window = {}
        for row in self.rows():
            by_window.setdefault(row["window_start"], set()).add(row["exporter"])
        return sum(exporters >= set(NINE) for exporters in by_window.values())

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        self.thread.join()
        with open(self.stats) as file:
            return self.rows(), json.load(file)


class Clocks(harness.Case):
    def test_of_ten_exporters_one_has_a_wrong_clock(self):
        listeners = {name: Listener(self, self.path(f"{number}.json")) for number, name in enumerate(CASES)}
        sockets = {}
        for exporter in [*NINE, WRONG]:
            sockets[exporter] = out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(out.close)
            out.bind((exporter, 0))
        sent = 0
        give_up = time.monotonic() + 60
        while min(listener.closed() for listener in listeners.values()) < 2:
            self.assertLess(time.monotonic(), give_up, {name: listener.closed() for name, listener in listeners.items()})
            now = time.time()
            for exporter, out in sockets.items():
                for name, listener in listeners.items():
                    shown, ahead = (CASES[name][0](now), CASES[name][1]) if exporter == WRONG else (now, 0)
                    flow = wire.v5_flow(int(shown) + ahead, int(shown), octets=10)
                    out.sendto(wire.v5([flow] * RECORDS, int(shown), sent), ("127.0.0.1", listener.port))
            sent += RECORDS
            time.sleep(0.1)
        for name, listener in listeners.items():
            with self.subTest(name):
                rows, stats = listener.stop()
                counted = {}
                for row in rows:
                    counted[row["exporter"]] = counted.get(row["exporter"], 0) + int(row["n"])
                view = stats["views"][0]
                self.assertEqual(stats["ingest"]["kernel_drops"], 0)
                self.assertEqual((stats["decode"]["flows"], stats["decode"]["missing"]), (10 * sent, 0))
                self.assertEqual(view["assigned"], view["counted"] + view["late"])
                self.assertEqual(view["assigned"] + view["time_future"], 10 * sent)
                self.assertEqual(sum(counted.values()), view["counted"])
                exporters = {exporter["address"]: exporter for exporter in stats["exporters"]}
                for exporter in NINE:
                    self.assertEqual(counted[exporter], sent, exporter)
                    self.assertEqual(exporters[exporter]["clock_shift_seconds"], 0)
                shown, ahead = CASES[name]
                off = time.time() - shown(time.time())
                self.assertAlmostEqual(exporters[WRONG]["clock_shift_seconds"], off, delta=3)
                self.assertEqual(counted.get(WRONG, 0), 0 if ahead else sent)
                datagrams = sent // RECORDS
                self.assertEqual((exporters[WRONG]["datagrams_shifted"], exporters[WRONG]["datagrams_from_future"]),
                                 (0, datagrams) if ahead else (datagrams, 0))
                self.assertEqual((view["late"], view["time_future"]), (0, sent if ahead else 0))


if __name__ == "__main__":
    sys.exit(harness.main())

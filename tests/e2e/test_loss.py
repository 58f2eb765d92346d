#!/usr/bin/env python3
"""Lost, repeated, overtaking and damaged datagrams and exporters that restart: exact counts, and both ledgers add up."""
import random
import struct
import sys
import unittest

import harness
import wire

TOTAL = "CREATE MATERIALIZED VIEW v AS SELECT window_start, sum(octets_raw) AS octets, count(*) AS flows FROM tumble(flows, time, interval '1 min') GROUP BY 1"
TEMPLATE = (2, wire.template(256, [(8, 4), (12, 4), (1, 4)]))


def v5_at(n, boot, sequence):
    """The n-th datagram, sent n * 100 ms after noon, of a router that was booted `boot` seconds before noon."""
    now = wire.NOON + n // 10
    uptime = (boot + n // 10) * 1000
    record = wire.v5_record(octets=10, packets=1, first_ms=uptime, last_ms=uptime)
    return wire.v5([record] * 30, now, sequence, uptime)


def ipfix_at(n, boot, sequence):
    data = (256, struct.pack("!III", 1, 2, 10) * 30)
    return wire.ipfix([TEMPLATE, data] if n % 20 == 0 else [data], wire.NOON + n // 10, sequence)


class Loss(harness.Case):
    def run_through(self, message_at):
        """10 minutes of 10 datagrams a second; what happens to each is drawn by a seed."""
        chance = random.Random(5)
        sent, arriving = [], []          # (sequence, units) ... (time, octets)
        missing = duplicates = rejected = arrived = restarts = 0
        sequence, boot = 2**32 - 3000, 86_400
        settled, held = 0, None          # held: overtaken by the next one
        for n in range(6_000):
            if n in (2_500, 4_000):      # the router restarts
                if held:
                    arriving.append(held)
                held = None
                sequence, boot = 0, -(n // 10) + 5
                restarts += 1
                settled = n + 5          # its first datagrams come, else nobody can know of them
            octets = message_at(n, boot, sequence % 2**32)
            sequence += 30
            time = wire.NOON + n / 10
            edge = n < 5 or n > 5_990 or n < settled or n in range(2_490, 2_500) or n in range(3_990, 4_000)
            fate = "arrives" if edge else chance.choices(["arrives", "lost", "twice", "overtaken", "damaged"], [90, 4, 2, 3, 1])[0]
            if fate == "lost" and not (message_at is ipfix_at and n % 20 == 0):
                missing += 30
                continue
            arrived += 1
            if fate == "damaged" and message_at is v5_at:
                octets, missing, rejected, arrived = octets[:300], missing + 30, rejected + 1, arrived - 1
            if fate == "overtaken" and held is None:
                held = (time, octets)
                continue
            arriving.append((time, octets))
            if held:
                arriving.append((time, held[1]))
                held = None
            if fate == "twice":
                arriving.append((time, octets))
                duplicates += 1
        packets = [(time, wire.udp_packet(octets)) for time, octets in arriving]
        stats, result = self.stats("--pcap", self.write("a.pcap", wire.pcap(packets)), "-o", "none", "-e", TOTAL)
        decode = stats["decode"]
        self.assertEqual((decode["missing"], decode["duplicates"], decode["exporter_restarts"], decode["rejected"]),
                         (missing, duplicates, restarts, rejected))
        self.assertEqual(decode["flows"], 30 * (arrived + duplicates))
        self.assertEqual(decode["datagrams"], decode["decoded"] + decode["rejected"] + decode["undecodable"])
        self.assertEqual(decode["records"], decode["flows"] + decode["events"] + decode["option_rows"] +
                         decode["malformed"] + decode["awaiting_template"])
        for counter in ("datagrams", "flows", "missing", "duplicates", "exporter_restarts", "rejected"):
            self.assertEqual(sum(minute.get(counter, 0) for minute in stats["ingest_minutes"]), decode[counter], counter)
        view = stats["views"][0]
        self.assertEqual(view["assigned"], decode["flows"])
        for part in [view, *view["windows"]]:
            self.assertEqual(part["assigned"], part["counted"] + part["filtered"] + part["late"] + part["errored"] + part["shed"])
        self.assertEqual(sum(window["assigned"] for window in view["windows"]), view["assigned"])
        self.assertGreater(missing, 0)
        self.assertGreater(duplicates, 0)

    def test_netflow_v5(self):
        self.run_through(v5_at)

    def test_ipfix(self):
        self.run_through(ipfix_at)


if __name__ == "__main__":
    sys.exit(harness.main())

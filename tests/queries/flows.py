"""The traffic of the query tests: records, and captures that carry them.

The bulk comes from `backstream generate`, which also writes its records as CSV. What its synthetic backbone does not do
(floods, slow connections, sweeps above the thresholds, one-way routes) is made here, with an IPFIX writer of its own. The
program under test reads the captures; the reference (reference.py) reads the records.
"""
import csv
import datetime
import ipaddress
import os
import random
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import wire  # noqa: E402

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = wire.NOON * SECOND        # 2026-01-31 12:00 UTC, in µs since 1970, as all times here
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
ONE_US = datetime.timedelta(microseconds=1)


class Flow:
    """A flow record; attributes are named as the columns of `flows`. None is null."""
    __slots__ = ("time", "flow_start", "flow_end", "received_at", "exporter", "site", "protocol_version", "src_ip", "dst_ip",
                 "next_hop", "src_port", "dst_port", "protocol", "tcp_flags", "tos", "octets_raw", "packets_raw",
                 "sampling_rate", "src_as", "dst_as", "src_mask", "dst_mask", "in_if", "out_if", "octets", "packets", "lost")

    def __init__(self, **columns):
        self.lost = False   # Its datagram is not in the capture.
        for name, value in columns.items():
            setattr(self, name, value)
        self.time = self.received_at if self.flow_end is None else self.flow_end
        rate = self.sampling_rate or 1
        self.octets, self.packets = self.octets_raw * rate, self.packets_raw * rate


def micros(text):
    """A timestamptz as PostgreSQL prints it."""
    return (datetime.datetime.fromisoformat(padded(text)) - EPOCH) // ONE_US


def padded(text):
    """fromisoformat() of Python 3.9 and on takes 3 or 6 digits of a second only."""
    moment, zone = text[:-3], text[-3:]
    whole, point, fraction = moment.partition(".")
    return f"{whole}.{fraction:0<6}{zone}:00" if point else f"{whole}{zone}:00"


def timestamp(time):
    """As PostgreSQL prints it."""
    text = (EPOCH + datetime.timedelta(microseconds=time)).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "+00"


_addresses = {}


def address(text):
    """An order of addresses as PostgreSQL has it: IPv4 first, then by value. (family, value)"""
    found = _addresses.get(text)
    if found is None:
        parsed = ipaddress.ip_address(text)
        found = _addresses[text] = (parsed.version, int(parsed))
    return found


def family(text):
    return 6 if ":" in text else 4


def network(text, mask):
    return str(ipaddress.ip_network(f"{text}/{mask}", strict=False))


# ---- the generator's

def read_records(path, site):
    with open(path, newline="") as file:
        for line in csv.DictReader(file):
            columns = {name: (None if value == "" else value) for name, value in line.items()}
            for name in ("flow_start", "flow_end", "received_at"):
                columns[name] = columns[name] and micros(columns[name])
            for name in ("src_port", "dst_port", "protocol", "tcp_flags", "tos", "octets_raw", "packets_raw", "sampling_rate",
                         "src_as", "dst_as", "src_mask", "dst_mask", "in_if", "out_if"):
                columns[name] = None if columns[name] is None else int(columns[name])
            yield Flow(site=site, **columns)


def generate(binary, folder, site, *arguments):
    """(capture, records)"""
    capture, records = os.path.join(folder, site + ".pcap"), os.path.join(folder, site + ".csv")
    subprocess.run([binary, "generate", "--pcap", capture, "--truth-records", records, *arguments], check=True,
                   stderr=subprocess.DEVNULL)
    return capture, list(read_records(records, site))


# ---- our own

# (element, octets) of IANA's registry, IPv4 and IPv6, in the order of ipfix_record(); masks last, where the router sends them.
FIELDS = {4: [(8, 4), (12, 4), (15, 4)], 6: [(27, 16), (28, 16), (62, 16)]}
COMMON = [(10, 4), (14, 4), (2, 8), (1, 8), (152, 8), (153, 8), (7, 2), (11, 2), (6, 1), (4, 1), (5, 1), (16, 4), (17, 4)]
MASKS = {4: [(9, 1), (13, 1)], 6: [(29, 1), (30, 1)]}


def ipfix_record(flow):
    addresses = b"".join(ipaddress.ip_address(ip).packed for ip in (flow.src_ip, flow.dst_ip, flow.next_hop))
    masks = b"" if flow.src_mask is None else bytes([flow.src_mask, flow.dst_mask])
    return addresses + struct.pack("!IIQQQQHHBBBII", flow.in_if, flow.out_if, flow.packets_raw, flow.octets_raw,
                                   flow.flow_start // 1000, flow.flow_end // 1000, flow.src_port, flow.dst_port, flow.tcp_flags,
                                   flow.protocol, flow.tos, flow.src_as, flow.dst_as) + masks


class Router:
    """Collects flows of one exporter and writes its capture. Each flow is exported 15 s after its end, and arrives at once."""
    DELAY = 15 * SECOND

    def __init__(self, site, exporter, start, masks=True):
        self.site, self.exporter, self.start, self.masks, self.flows = site, exporter, start, masks, []

    def flow(self, end, src, dst, sport=40000, dport=443, protocol=6, flags=0x1b, packets=10, octets=1000, duration=0, **more):
        """A flow that ends `end` seconds (to the ms) after the router's start and lasted `duration` s."""
        last = self.start + round(end * 1000) * 1000
        mask = None if not self.masks else 24 if family(src) == 4 else 64
        columns = dict(next_hop="198.18.0.1" if family(src) == 4 else "2001:2::1", tos=0, src_as=64496, dst_as=64497, src_mask=mask,
                       dst_mask=mask, in_if=1, out_if=2)
        columns.update(more)
        self.flows.append(Flow(flow_start=last - round(duration * 1000) * 1000, flow_end=last, received_at=last + self.DELAY,
                               exporter=self.exporter, site=self.site, protocol_version="10", src_ip=src, dst_ip=dst,
                               src_port=sport, dst_port=dport, protocol=protocol, tcp_flags=flags, octets_raw=octets,
                               packets_raw=packets, sampling_rate=None, **columns))

    def write(self, folder):
        """(capture, records)"""
        self.flows.sort(key=lambda flow: flow.received_at)
        packets, sequence, at = [], 0, 0
        while at < len(self.flows):
            now = self.flows[at].received_at
            records = [flow for flow in self.flows[at:at + 20] if flow.received_at == now]
            sets = [(256 + version, b"".join(ipfix_record(flow) for flow in records if family(flow.src_ip) == version))
                    for version in (4, 6)]
            sets = [(template, data) for template, data in sets if data]
            if at == 0:
                sets.insert(0, (2, b"".join(wire.template(256 + version, FIELDS[version] + COMMON + MASKS[version] * self.masks)
                                            for version in (4, 6))))
            message = wire.ipfix(sets, export_time=now // SECOND, sequence=sequence)
            packets.append((now // SECOND, now % SECOND, wire.udp_packet(message, source=self.exporter)))
            sequence += len(records)
            at += len(records)
        path = os.path.join(folder, self.site + ".pcap")
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
            for seconds, rest, frame in packets:
                file.write(struct.pack("<IIII", seconds, rest, len(frame), len(frame)) + frame)
        return path, self.flows


def incidents():
    """What the queries look for, above and (for each threshold) below it; 20 minutes at two sites."""
    nyc = Router("nyc", "127.0.1.31", NOON)
    sea = Router("sea", "127.0.1.41", NOON)
    syn = dict(flags=2, packets=1, octets=40)

    for second in range(0, 1200, 7):   # Keeps the routers' clocks, and so the watermark, going.
        nyc.flow(second, "192.0.2.1", "192.0.2.2", packets=3, octets=300)
        sea.flow(second + 0.5, "192.0.2.3", "192.0.2.4", packets=3, octets=300)

    # Port sweep: 130 ports, and 100 of another, which is not more than 100.
    for port in range(130):
        nyc.flow(240 + port * 0.4, "203.0.113.1", "198.51.100.1", dport=1000 + port, **syn)
        if port < 100:
            nyc.flow(240 + port * 0.4, "203.0.113.2", "198.51.100.1", dport=1000 + port, **syn)
    # Host scan, in the minutes 2, 3 and 15: told once, and once more after more than ten quiet minutes; another in 2 and 12.
    for minute, source in [(2, 3), (3, 3), (15, 3), (2, 4), (12, 4)]:
        for host in range(150):
            nyc.flow(minute * 60 + host * 0.3, f"203.0.113.{source}", f"198.51.100.{host}", dport=445, **syn)
    for host in range(100):
        nyc.flow(5 * 60 + host * 0.3, "203.0.113.5", f"198.51.100.{host}", dport=445, **syn)
    # Superspreader: 700 destinations; 150 is below. Victim: 600 sources, and 150.
    for n in range(700):
        nyc.flow(480 + n * 0.05, "203.0.113.6", f"198.51.{100 + n // 250}.{n % 250}", sport=53, dport=53, protocol=17, flags=0)
        if n < 600:
            nyc.flow(540 + n * 0.05, f"203.0.{n // 250}.{n % 250}", "198.51.100.9", dport=8443)
        if n < 150:
            nyc.flow(480 + n * 0.05, "203.0.113.7", f"198.51.100.{n}", sport=53, dport=53, protocol=17, flags=0)
            nyc.flow(540 + n * 0.05, f"203.0.113.{n}", "198.51.100.10", dport=8443)
    # SYN flood: 300 in five seconds from 120 sources; the same from 20 sources is none, nor are 150.
    for n in range(300):
        nyc.flow(300 + n * 0.016, f"203.0.114.{n % 120}", "198.51.100.11", **syn)
        nyc.flow(310 + n * 0.016, f"203.0.114.{n % 20}", "198.51.100.12", **syn)
        if n % 2:
            nyc.flow(320 + n * 0.016, f"203.0.114.{n % 120}", "198.51.100.13", **syn)
    # Half open: 200 attempts and 20 made; a busy server has 200 and 100.
    for n in range(200):
        nyc.flow(720 + n * 0.2, f"203.0.115.{n}", "198.51.100.14", **syn)
        nyc.flow(720 + n * 0.2, f"203.0.115.{n}", "198.51.100.15", **syn)
        if n % 10 == 0:
            nyc.flow(720 + n * 0.2, f"203.0.115.{n}", "198.51.100.14", sport=50000)
        if n % 2 == 0:
            nyc.flow(720 + n * 0.2, f"203.0.115.{n}", "198.51.100.15", sport=50000)
    # Amplification by NTP from 40 servers; a download from 3 is none, nor are small packets.
    for n in range(40):
        nyc.flow(420 + n, f"203.0.116.{n}", "198.51.100.16", sport=123, dport=5000 + n, protocol=17, flags=0, packets=5000,
                 octets=5000 * 468, duration=3)
        nyc.flow(420 + n, f"203.0.116.{n % 3}", "198.51.100.17", sport=53, dport=5000, protocol=17, flags=0, packets=5000,
                 octets=5000 * 1400, duration=3)
        nyc.flow(420 + n, f"203.0.116.{n}", "198.51.100.18", sport=53, dport=5000, protocol=17, flags=0, packets=20000,
                 octets=20000 * 90, duration=3)
    # A resolver that is misused, one that answers five times what it was asked, and one whose questions pass elsewhere.
    for server, received in [(1, 100_000), (2, 400_000), (3, 0)]:
        for n in range(10):
            nyc.flow(600 + n, f"198.51.101.{server}", "203.0.117.1", sport=53, dport=4000, protocol=17, flags=0, packets=2000,
                     octets=2_000_000)
            if received:
                nyc.flow(600 + n, "203.0.117.1", f"198.51.101.{server}", sport=4000, dport=53, protocol=17, flags=0,
                         packets=1000, octets=received)
    # Floods: packets a second in each five seconds. Begins at 30,000, goes on at 15,000, ends below 10,000, begins again, ends
    # below what is followed; what then comes with 12,000 is no alarm.
    for kind, ports, protocol in [(21, (0, 2048), 1), (22, (4000, 5000), 17), (23, (0, 0), 17)]:
        for slot, rate in enumerate([5_000, 15_000, 30_000, 25_000, 15_000, 15_000, 8_000, 5_000, 15_000, 15_000, 40_000, 500, 500, 500,
                                     24_000, 15_000, 15_000]):
            for source in range(5):
                nyc.flow(780 + slot * 5 + source * 0.9, f"203.0.118.{source}", f"198.51.100.{kind}", sport=ports[0], dport=ports[1],
                         protocol=protocol, flags=0, packets=rate, octets=rate * 100, duration=0.9)
    # Log-ins that fail: 60 sources, equal octets; people's differ.
    for n in range(60):
        nyc.flow(900 + n * 0.9, f"203.0.119.{n}", "198.51.100.24", dport=22, octets=1234, packets=12)
        nyc.flow(900 + n * 0.9, f"203.0.119.{n}", "198.51.100.25", dport=22, octets=1234 + n, packets=12)
    # Slow connections: 350, in two records each; as many that send more.
    for n in range(350):
        for piece in range(2):
            nyc.flow(40 + n * 0.3 + piece * 60, f"203.0.{120 + n // 250}.{n % 250}", "198.51.100.26", sport=20000 + n, octets=300,
                     packets=6, duration=45)
            nyc.flow(40 + n * 0.3 + piece * 60, f"203.0.{120 + n // 250}.{n % 250}", "198.51.100.27", sport=20000 + n, octets=30000,
                     packets=60, duration=45)
    # Elephants: four minutes in a row; two, a gap and one; and one just at the limit.
    for minute in [1, 2, 3, 4]:
        nyc.flow(minute * 60 + 30, "198.51.102.1", "203.0.121.1", sport=873, octets=150_000_000, packets=100_000, duration=59)
    for minute in [1, 2, 5]:
        nyc.flow(minute * 60 + 30, "198.51.102.2", "203.0.121.1", sport=873, octets=150_000_000, packets=100_000, duration=59)
    nyc.flow(90, "198.51.102.3", "203.0.121.1", sport=873, octets=100_000_000, packets=70_000)
    # Routes: there over nyc, back over sea; both ways over nyc and there also over sea; there only; back with too few packets.
    for minute in range(1, 18):
        nyc.flow(minute * 60, "198.51.103.1", "203.0.122.1", packets=50, octets=5000)
        sea.flow(minute * 60, "203.0.122.1", "198.51.103.1", packets=40, octets=5000)
        nyc.flow(minute * 60, "198.51.103.2", "203.0.122.1", packets=50, octets=5000)
        nyc.flow(minute * 60, "203.0.122.1", "198.51.103.2", packets=40, octets=5000)
        sea.flow(minute * 60, "198.51.103.2", "203.0.122.1", packets=40, octets=5000)
        nyc.flow(minute * 60, "203.0.122.2", "198.51.103.3", packets=40, octets=5000)
        nyc.flow(minute * 60, "198.51.103.4", "203.0.122.3", packets=50, octets=5000)
        if minute == 7:
            sea.flow(minute * 60, "203.0.122.3", "198.51.103.4", packets=9, octets=5000)
    # AS pairs: one goes, one comes, one is too small to be missed.
    nyc.flow(130, "198.51.104.1", "203.0.123.1", octets=12_000_000, packets=9_000, src_as=64600, dst_as=64601)
    nyc.flow(10 * 60 + 20, "198.51.104.2", "203.0.123.1", octets=5_000_000, packets=9_000, src_as=64602, dst_as=64603)
    nyc.flow(130, "198.51.104.3", "203.0.123.1", octets=900_000, packets=900, src_as=64604, dst_as=64605)
    # A source that sends 5000 packets a minute, and of a sudden 60,000.
    for minute in range(19):
        nyc.flow(minute * 60 + 30, "198.51.105.1", "203.0.124.1", packets=60_000 if minute == 14 else 5_000, octets=100_000)
    # Sessions: 12 flows, silence of exactly two minutes (another session), 10 flows, a shorter silence, 9 flows.
    second = 100.0
    for count, silence in [(12, 120), (10, 119.9), (9, 0)]:
        for n in range(count):
            nyc.flow(second, "198.51.106.1", "203.0.125.1", dport=1000 + n, packets=4)
            second += 5
        second += silence - 5
    # A record that counts no packets, as some routers send them; a source of each class of packet size.
    nyc.flow(200, "198.51.107.1", "203.0.126.1", packets=0, octets=0)
    for n, size in enumerate([40, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1518, 1519, 9000]):
        nyc.flow(200 + n, "198.51.107.2", "203.0.126.1", packets=n + 1, octets=size * (n + 1))
    # Who does not know his AS: both ends routed, one without an origin, one without a route.
    for n, src in enumerate(["198.51.100.3", "203.0.113.9", "203.0.128.9", "172.20.0.1"]):
        nyc.flow(210 + n, src, "198.51.104.9", octets=1000 + n, src_as=0, dst_as=0 if n < 2 else 64497)
    nyc.flow(215, "198.51.104.9", "203.0.128.9", octets=1005, src_as=0, dst_as=0)
    # Answers to attempts at minute 12: after a second; exactly two minutes; a millisecond more; from another port.
    for n in range(150):
        nyc.flow(721 + n * 0.2, "198.51.100.15", f"203.0.115.{n}", sport=443, dport=40000, flags=0x12)
    for n in range(60):
        later = 120.0 if n < 20 else 120.001 if n < 40 else 1
        nyc.flow(720 + n * 0.2 + later, "198.51.100.14", f"203.0.115.{n}", sport=443 if n < 40 else 8443, dport=40000, flags=0x12)
    for n, more in enumerate([dict(flags=0x01), dict(flags=0), dict(flags=0x10, protocol=17)] * 5):   # No answers.
        nyc.flow(721 + (60 + n) * 0.2, "198.51.100.14", f"203.0.115.{60 + n}", sport=443, dport=40000, **more)
    # A customer's host that mails to 30 others, and one to 20; one that shares files with 21; backscatter into space that nobody uses.
    for n in range(30):
        nyc.flow(660 + n, "198.51.100.200", f"203.0.113.{n}", dport=25)
        if n < 20:
            nyc.flow(660 + n, "198.51.100.201", f"203.0.113.{n}", dport=25)
        nyc.flow(660 + n, "203.0.117.9", f"198.51.101.{100 + n}", sport=80, flags=(0x04, 0x12, 0x01)[n % 3])
        if n < 21:
            nyc.flow(660 + n, "198.51.100.202", f"203.0.113.{n}", dport=445)
    return nyc, sea


AMPLIFIERS = [17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 3702, 5353, 11211]


def limits():
    """Each threshold met exactly, and missed by one; from a router that does not send prefix lengths."""
    bos = Router("bos", "127.0.1.36", NOON, masks=False)
    syn = dict(flags=2, packets=1, octets=40)
    victims = (f"198.51.{110 + n // 250}.{n % 250}" for n in range(1500))

    def spread(count, start, step, dst, sources=None, **columns):
        for n in range(count):
            bos.flow(start + n * step, f"100.100.{n % (sources or count) // 250}.{n % (sources or count) % 250}", dst, **columns)

    for ports in (100, 101):
        victim = next(victims)
        for port in range(ports):
            bos.flow(540 + port * 0.5, "203.0.113.1", victim, dport=1000 + port, **syn)
            bos.flow(540 + port * 0.5, f"203.0.112.{ports}", f"198.51.109.{port}", dport=5060, **syn)
    for count in (200, 201):
        spread(count, 430, 0.1, next(victims), dport=8443)
        for n in range(count):
            bos.flow(430 + n * 0.1, f"203.0.111.{count}", f"198.51.109.{n}", sport=53, dport=53, protocol=17, flags=0)
    # SYN in five seconds that begin with an odd five: attempts, sources. SYN with FIN counts, UDP with such bits does not.
    for count, sources, more in [(200, 51, {}), (201, 51, {}), (201, 50, {}), (201, 60, dict(flags=3)), (201, 60, dict(protocol=17)),
                                 (201, 60, dict(flags=0x12))]:
        spread(count, 605, 0.0249, next(victims), sources=sources, **{**syn, **more})
    # In two times five seconds.
    spread(201, 622, 0.0249, next(victims), **syn)
    # Attempts and completed connections, flags of each; FIN alone is neither.
    for attempts, completed, flags, ends in [(100, 0, 2, 16), (101, 33, 2, 16), (102, 34, 2, 16), (150, 40, 3, 16), (150, 100, 2, 1)]:
        victim = next(victims)
        spread(attempts, 660, 0.3, victim, **{**syn, "flags": flags})
        spread(completed, 660, 0.3, victim, flags=ends)
    # Amplification: each service; octets, reflectors and packet sizes at the limit.
    for port in AMPLIFIERS + [27015]:
        spread(10, 840, 1, next(victims), sport=port, protocol=17, flags=0, octets=5_000_001, packets=10_000)
    for count, octets, packets in [(10, 5_000_000, 10_000), (9, 6_000_000, 10_000), (10, 10_000_000, 50_000), (10, 10_050_000, 50_000)]:
        spread(count, 840, 1, next(victims), sport=53, protocol=17, flags=0, octets=octets, packets=packets)
    last = next(victims)
    spread(9, 840, 1, last, sport=53, protocol=17, flags=0, octets=5_000_000, packets=10_000)
    bos.flow(850, "100.101.0.1", last, sport=53, protocol=17, flags=0, octets=5_000_001, packets=10_000)
    # What each service sends and receives.
    for port, sent, received in [*((port, 10_000_001, 1_000_000) for port in AMPLIFIERS), (53, 10_000_000, 0), (53, 10_000_010, 1_000_001),
                                 (53, 10_500_000, 1_049_999), (53, 10_500_000, 960_000), (80, 20_000_000, 0)]:
        server = next(victims)
        bos.flow(870, server, "203.0.110.1", sport=port, dport=4000, protocol=17, flags=0, octets=sent, packets=100)
        if received:
            bos.flow(870, "203.0.110.1", server, sport=4000, dport=port, protocol=17, flags=0, octets=received, packets=100)
        bos.flow(870, "203.0.110.1", server, sport=4000, dport=port, protocol=6, octets=received, packets=100)
    # Floods: exactly 20,000 is none; then exactly 10,000 goes on and 9,999 ends; a second's silence ends, and more begins anew.
    for protocol, ports, rates in [(17, (0, 9), [20_000] * 3), (58, (0, 0), [20_001, 20_001, 10_000, 10_000, 9_999, 9_999, 12_000, 12_000]),
                                   (1, (0, 0), [20_001, 20_001, 10_000, 10_000, 10_000]), (17, (9, 0), [41_000, 41_000, 500, 500, 24_000]),
                                   (17, (0, 0), [41_000, 41_000, 500, 500, 24_000, 500, 500, 41_000])]:
        victim = next(victims)
        for slot, rate in enumerate(rates):
            for part in range(5):
                bos.flow(910 + slot * 5 + part * 0.9, "203.0.109.1", victim, sport=ports[0], dport=ports[1], protocol=protocol, flags=0,
                         packets=rate, octets=rate * 100)
    for port, sources in [(22, 40), (22, 41), (23, 41), (3389, 41), (5900, 41), (24, 41)]:
        spread(sources, 970, 0.5, next(victims), dport=port, octets=2000)
    # Slow connections: number, octets of each, seconds.
    for port, count, octets, duration, protocol in [(80, 301, 999, 30, 6), (8080, 301, 999, 30, 6), (443, 300, 999, 30, 6),
                                                    (443, 301, 1000, 30, 6), (443, 301, 999, 29.999, 6), (443, 301, 999, 30, 17),
                                                    (9999, 301, 999, 30, 6)]:
        spread(count, 330, 0.5, next(victims), dport=port, octets=octets, packets=5, duration=duration, protocol=protocol)
    bos.flow(95, "198.51.102.4", "203.0.121.1", sport=873, octets=100_000_001, packets=70_000)
    for minute in range(4, 8):   # Five times the average, exactly and more.
        for host, factor in [(1, 5), (2, 5.001)]:
            bos.flow(minute * 60 + 10, f"198.51.105.{10 + host}", "203.0.124.1", packets=int(1000 * factor if minute == 7 else 1000))
    # AS pairs that vanish: octets at the limit, and one that comes back as the next five minutes begin.
    for pair, octets in enumerate([10_000_000, 9_999_999, 10_000_000]):
        bos.flow(330, "198.51.104.1", "203.0.123.1", octets=octets, packets=9_000, src_as=64610 + pair, dst_as=64620)
    bos.flow(600, "198.51.104.1", "203.0.123.1", src_as=64612, dst_as=64620)
    # Without masks, of IPv6 too; heavy enough for the first hundred.
    for n in range(4):
        for src, dst in [("198.51.{}.9", "203.0.127.7"), ("2001:db8:ffff:{}::9", "2001:db8:fffe:7::7")]:
            bos.flow(30 + n * 300, src.format(120 + n), dst, octets=90_000_000, packets=60_000)
    return bos


def quiet():
    """A router that is silent for minutes; once a datagram arrives as the minute begins."""
    router = Router("den", "127.0.1.46", NOON)
    for second in [3, 17, 105, 200, 203, 420]:
        router.flow(second, "198.51.108.1", "203.0.127.1")
    return router


def hours():
    """Nine days of hours: steady sources with noise, one that leaps, one that stops, a pair that comes back."""
    router = Router("history", "127.0.1.51", NOON - 9 * DAY)
    draw = random.Random(20260131)
    for hour in range(9 * 24):
        for source, octets in [(64510, 50_000_000), (64511, 3_000_000), (64512, 40_000)]:
            factor = 4 if (source, hour) in [(64510, 60), (64510, 190), (64511, 100)] else 0.05 if (source, hour) == (64510, 150) else 1
            for part in range(4):
                router.flow(hour * 3600 + part * 900 + 30, "198.51.100.1", "203.0.113.1", src_as=source, dst_as=64520,
                            octets=int(octets / 4 * factor * draw.uniform(0.9, 1.1)), packets=1000)
        # (source, octets, what they differ by from hour to hour, by how much more once, when): z of 3.4; a difference below the
        # floor; a history of 12 hours, just long enough; of 11; exactly the floor, and one octet more.
        for source, octets, swing, leap, when in [(64514, 50_000_000, 1_000_000, 4_500_000, 60), (64515, 5_000_000, 100_000, 900_000, 60),
                                                  (64516, 9_000_000, 300_000, 3_000_000, 12), (64523, 9_000_000, 300_000, 3_000_000, 11),
                                                  (64524, 9_000_000, 300_000, 1_300_000, 60), (64525, 9_000_000, 300_000, 1_300_001, 60)]:
            octets += (swing if hour % 2 else -swing) + (leap if hour == when else 0)
            router.flow(hour * 3600 + 40, "198.51.100.3", "203.0.113.3", src_as=source, dst_as=64520, octets=octets, packets=1000)
        # Pauses of exactly an hour, of five minutes more, and octets at the limit and below.
        for source, seconds, octets in [(64517, 3600, 1_000_000), (64518, 3900, 1_000_000), (64519, 3900, 999_999)]:
            if hour < 24:
                router.flow(hour * seconds + 301, "198.51.100.4", "203.0.113.4", src_as=source, dst_as=64522, octets=octets)
        if hour < 40 or 43 <= hour < 100 or hour >= 160:   # Pauses of 3 h and 60 h.
            router.flow(hour * 3600 + 100, "198.51.100.2", "203.0.113.2", src_as=64513, dst_as=64521, octets=2_000_000)
            router.flow(hour * 3600 + 1900, "198.51.100.2", "203.0.113.2", src_as=64513, dst_as=64521, octets=2_000_000)
    return router


class DataSet:
    """Captures that are one run, and all their records."""

    def __init__(self, parts):
        self.captures = [(flows[0].site, path) for path, flows in parts]
        self.flows = [flow for _, flows in parts for flow in flows]

    def arguments(self):
        # The routers here announce their templates once, also where they are silent for weeks.
        return ["--set", "decode.template_expiry=0"] + [word for site, path in self.captures for word in ("--pcap", f"{site}={path}")]


def day(binary, folder):
    span = ["--span", "1200s", "--as", "40", "--hosts", "400"]
    attacks = [word for kind in ("port-sweep", "host-scan", "syn-flood", "amplification") for word in ("--attack", kind)]
    return DataSet([
        generate(binary, folder, "ams", "--protocol", "ipfix", "--exporters", "2", "--records", "30000", "--ipv6-share", "0.2",
                 "--seed", "1", *span, *attacks),
        generate(binary, folder, "fra", "--protocol", "v5", "--first-exporter", "11", "--records", "10000", "--sampling-rate", "100",
                 "--seed", "2", *span),
        generate(binary, folder, "lon", "--protocol", "sflow", "--first-exporter", "21", "--records", "5000", "--sampling-rate",
                 "1000", "--ipv6-share", "0.1", "--seed", "3", *span),
        *(router.write(folder) for router in (*incidents(), limits(), quiet()))])


def disorder(binary, folder):
    """Two routers whose datagrams overtake each other."""
    return DataSet([generate(binary, folder, "ams", "--protocol", "v9", "--exporters", "2", "--records", "20000", "--as", "40",
                             "--hosts", "400", "--span", "600s", "--disorder", "20s", "--seed", "4")])


def lose(part, choose):
    """The capture without the datagrams for which choose(exporter, number of its datagram) holds, and its flows, marked."""
    capture, flows = part
    with open(capture, "rb") as file:
        octets = file.read()
    kept, at, numbers, lost = [octets[:24]], 24, {}, set()
    while at < len(octets):
        seconds, micros_, length = struct.unpack_from("<III", octets, at)
        source = str(ipaddress.ip_address(octets[at + 16 + 26:at + 16 + 30]))
        number = numbers[source] = numbers.get(source, -1) + 1
        if choose(source, number):
            lost.add((source, seconds * SECOND + micros_))
        else:
            kept.append(octets[at:at + 16 + length])
        at += 16 + length
    with open(capture, "wb") as file:
        file.write(b"".join(kept))
    for flow in flows:
        flow.lost = (flow.exporter, flow.received_at) in lost
    return capture, flows


def losses(binary, folder):
    """Routers of which datagrams are missing: one, then three in a row, of one of two; and twenty samples in a row."""
    span = ["--span", "400s", "--as", "40", "--hosts", "400"]

    def choose(source, number):
        return source.endswith(".1") and number % 20 in (5, 11, 12, 13)
    return DataSet([
        lose(generate(binary, folder, "ams", "--protocol", "v5", "--exporters", "2", "--records", "18000", "--sampling-rate", "100",
                      "--seed", "6", *span), choose),
        lose(generate(binary, folder, "fra", "--protocol", "sflow", "--first-exporter", "31", "--records", "6000", "--pack", "1",
                      "--sampling-rate", "10", "--seed", "7", *span), lambda source, number: number in range(700, 720))])


def history(_, folder):
    return DataSet([hours().write(folder)])


JANUARY, SAMPLES = 1_767_225_600 * SECOND, 31 * 288   # 2026-01-01 00:00 UTC; five minutes each


def acme_octets(sample):
    """What acme sends in a sample of January: 300 times each of 1 to 8928, in a mixed order (7919 is prime)."""
    return 300 * (1 + sample * 7919 % SAMPLES)


def month(_, folder):
    """January and some days around it, in five-minute samples of two customers' interfaces (1 and 2) and a peer's (3)."""
    router = Router("month", "127.0.1.61", JANUARY - 61 * DAY)
    draw = random.Random(31)
    # November has 8640 samples, of which bell sends in 432: 95 percent, exactly, do not exceed 0.
    for sample in range(432):
        router.flow(sample * 300 + 10, "10.0.1.1", "203.0.113.1", octets=40_000_000, in_if=2, out_if=3)
    for sample in range(-2 * 288, SAMPLES + 288):
        second = 61 * DAY // SECOND + sample * 300
        inside = 0 <= sample < SAMPLES
        sent = acme_octets(sample) if inside else 10_000_000
        first = draw.randrange(sent)
        router.flow(second + draw.randrange(300), "10.0.0.1", "203.0.113.1", octets=first, in_if=1, out_if=3)
        router.flow(second + 299.999, "10.0.0.1", "203.0.113.1", octets=sent - first, in_if=1, out_if=3)
        if sample % 2 == 0:
            router.flow(second, "203.0.113.1", "10.0.0.1", octets=draw.randrange(4_000_000), in_if=3, out_if=1)
        # bell sends in 446 samples, which are all thrown away, and receives in 447, the least of which is billed.
        if inside and sample % 20 == 7 and sample // 20 < 446:
            router.flow(second + 10, "10.0.1.1", "203.0.113.1", octets=50_000_000, in_if=2, out_if=3)
        if inside and sample % 19 == 3 and sample // 19 < 447:
            router.flow(second + 10, "10.0.0.1", "10.0.1.1", octets=3_000 * (447 - sample // 19), in_if=5, out_if=2)
    return DataSet([router.write(folder)])

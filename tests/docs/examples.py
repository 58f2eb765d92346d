"""What the examples of the docs read besides generated flows: files of tables, and flows with elements of their own."""
import bz2
import os
import socket
import struct

import wire

AS_NAMES = """asn,name,country
3321,Example Backbone,DE
11240,Example Access,NL
64501,Example Content,
"""

# (element, octets): besides the usual ones flowEndReason, applicationId, tcpSynTotalCount, ingressVRFID.
FIELDS = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (1, 8), (2, 8), (16, 4), (17, 4), (152, 8), (153, 8), (136, 1), (95, 4),
          (218, 8), (234, 4)]


def record(time, src, dst, sport, dport, protocol, flags, end_reason):
    milliseconds = round(time * 1000)
    return (socket.inet_aton(src) + socket.inet_aton(dst) +
            struct.pack("!HHBBQQIIQQB", sport, dport, protocol, flags, 120, 1, 3321, 64501, milliseconds, milliseconds, end_reason) +
            b"\x03\x00\x00\x35" + struct.pack("!QI", 1 if flags & 2 else 0, 7))


def options(number, fields):
    """An options template whose scope is observationDomainId."""
    return (3, struct.pack("!HHHHH", number, 1 + len(fields), 1, 149, 4) + b"".join(struct.pack("!HH", *field) for field in fields))


NAMES = [options(301, [(234, 4), (236, 16)]), options(302, [(95, 4), (96, 8), (94, 24)]),
         (301, struct.pack("!II16s", 0, 7, b"customers")), (302, struct.pack("!I4s8s24s", 0, b"\x03\x00\x00\x35", b"dns", b"Domain Name System"))]


def capture():
    """Questions to a name server and their answers; attempts to connect, answered and not; every minute for two hours."""
    packets = []
    for minute in range(120):
        at = wire.NOON + minute * 60 + 30
        records = [record(at, "10.0.0.1", "10.0.1.53", 40000 + minute, 53, 17, 0, 1),
                   record(at + 0.25, "10.0.1.53", "10.0.0.1", 53, 40000 + minute, 17, 0, 1),
                   record(at, "10.0.0.1", "10.0.1.80", 50000 + minute, 443, 6, 0x02, 2),
                   record(at + 0.1, "10.0.1.80", "10.0.0.1", 443, 50000 + minute, 6, 0x12, 3),
                   record(at, "10.0.0.2", "10.0.1.81", 50000 + minute, 443, 6, 0x02, 2)]
        sets = [(300, b"".join(records))]
        if minute == 0:
            sets = [(2, wire.template(300, FIELDS)), *NAMES, *sets]
        message = wire.ipfix(sets, export_time=at + 1, sequence=minute * len(records) + (2 if minute else 0))
        packets.append((at + 1, wire.udp_packet(message, source="192.0.2.7")))
    return wire.pcap(packets)


def mrt(kind, body):
    """A record of TABLE_DUMP_V2 (RFC 6396)."""
    return struct.pack("!IHHI", wire.NOON, 13, kind, len(body)) + body


def routes():
    """A RIB dump of two IPv4 routes, as seen by one peer."""
    peers = socket.inet_aton("192.0.2.1") + struct.pack("!HHB", 0, 1, 2) + socket.inet_aton("192.0.2.2") * 2 + struct.pack("!I", 64500)
    dump = mrt(1, peers)
    for sequence, (prefix, length, origin) in enumerate([("10.0.0.0", 16, 3321), ("10.0.1.0", 24, 11240)]):
        path = struct.pack("!BBII", 2, 2, 64500, origin)
        attributes = struct.pack("!BBB", 0x40, 2, len(path)) + path
        entry = struct.pack("!HIH", 0, wire.NOON, len(attributes)) + attributes
        octets = socket.inet_aton(prefix)[:(length + 7) // 8]
        dump += mrt(2, struct.pack("!IB", sequence, length) + octets + struct.pack("!H", 1) + entry)
    return dump


def write_files(folder):
    with open(os.path.join(folder, "as_names.csv"), "w") as file:
        file.write(AS_NAMES)
    with open(os.path.join(folder, "rib.20260131.0000.bz2"), "wb") as file:
        file.write(bz2.compress(routes()))
    with open(os.path.join(folder, "examples.pcap"), "wb") as file:
        file.write(capture())

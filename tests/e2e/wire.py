"""Flow export messages and captures, made octet by octet for the tests; shares nothing with the program's generator."""
import socket
import struct

NOON = 1_769_860_800   # 2026-01-31 12:00:00 UTC


def v5_record(src="10.0.0.1", dst="10.0.0.2", packets=1, octets=100, first_ms=0, last_ms=0, sport=1234, dport=80,
              flags=0, protocol=6, src_as=64500, dst_as=64501):
    return (socket.inet_aton(src) + socket.inet_aton(dst) + socket.inet_aton("0.0.0.0") +
            struct.pack("!HHIIIIHHBBBBHHBBH", 1, 2, packets, octets, first_ms, last_ms, sport, dport, 0, flags, protocol,
                        0, src_as, dst_as, 24, 24, 0))


def v5(records, export_time=NOON, sequence=0, uptime_ms=1_000_000, sampling=0):
    """One NetFlow v5 datagram (count from the records)."""
    return struct.pack("!HHIIIIBBH", 5, len(records), uptime_ms, export_time, 0, sequence, 0, 0, sampling) + b"".join(records)


def v5_flow(end_time, export_time=None, uptime_ms=1_000_000, **fields):
    """A record that ended at `end_time` (seconds), for a datagram exported at `export_time`."""
    last_ms = uptime_ms - int(((export_time or end_time) - end_time) * 1000)
    return v5_record(first_ms=last_ms, last_ms=last_ms, **fields)


def ipfix(sets, export_time=NOON, sequence=0, domain=0):
    body = b"".join(struct.pack("!HH", set_id, len(data) + 4) + data for set_id, data in sets)
    return struct.pack("!HHIII", 10, 16 + len(body), export_time, sequence, domain) + body


def template(template_id, fields):
    return struct.pack("!HH", template_id, len(fields)) + b"".join(struct.pack("!HH", *field) for field in fields)


def udp_packet(payload, source="192.0.2.1", port=2055, source_port=50000):
    """Ethernet, IPv4 and UDP around a payload."""
    udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + socket.inet_aton(source) + socket.inet_aton("192.0.2.254")
    return b"\x02" * 6 + b"\x04" * 6 + b"\x08\x00" + ip + udp


def pcap(packets, link_type=1):
    """A capture of (seconds, frame) pairs."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link_type)
    for time, frame in packets:
        out += struct.pack("<IIII", int(time), int(time % 1 * 1_000_000), len(frame), len(frame)) + frame
    return out

"""The answers, computed from the records by plain dictionaries. Shares nothing with the program: what a query means is written
here a second time, from its description. Each function is named as its query file and yields rows in the order of the
query's columns; `kinds` says how a column compares:

    t time   a address, text   i integer   b boolean   s span of time   -- equal
    f double: equal to 1e-9 of it (sums of doubles are rounded elsewhere here)
    p approx_percentile: within 1 % of the value of the rank
    c approx_count_distinct: equal up to 384, within 5 % beyond (three standard errors)
"""
import csv
import functools
import ipaddress
import math
import os
import statistics
from collections import Counter, defaultdict

import flows as traffic
from flows import DAY, HOUR, MINUTE, SECOND, address, family, network

QUERIES = {}
TABLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "queries", "tables")


class Query:
    def __init__(self, answer, kinds, data, at_least):
        self.answer, self.kinds, self.at_least = answer, kinds, at_least
        self.data = data   # Function of flows.py that makes the traffic.


def query(kinds, data="day", at_least=1):
    """@param at_least  rows that the answer must have, lest a test compares nothing with nothing"""
    def register(answer):
        QUERIES[answer.__name__] = Query(answer, kinds, data, at_least)
        return answer
    return register


def tumble(time, size):
    return time // size * size


def hop(time, slide, size):
    return range(tumble(time, slide), time - size, -slide)


def group(flows, key, keep=lambda flow: True):
    groups = defaultdict(list)
    for flow in flows:
        if keep(flow):
            groups[key(flow)].append(flow)
    return groups


def total(flows, column):
    """sum(): of nothing, null."""
    values = [getattr(flow, column) for flow in flows if getattr(flow, column) is not None]
    return sum(values) if values else None


def distinct(flows, column):
    return len({getattr(flow, column) for flow in flows} - {None})


def ratio(part, whole):
    return None if part is None or not whole else part / whole


# ---- volume

@query("tiii")
def traffic_matrix(flows):
    sums = Counter()
    for f in flows:
        sums[tumble(f.time, 5 * MINUTE), f.src_as, f.dst_as] += f.octets
    for key, octets in sums.items():
        yield *key, octets


@query("taaiii", at_least=400)
def prefix_matrix(flows):
    def prefix(ip, mask):
        return network(ip, mask if mask is not None else 24 if family(ip) == 4 else 48)

    groups = group(flows, lambda f: (tumble(f.time, 5 * MINUTE), prefix(f.src_ip, f.src_mask), prefix(f.dst_ip, f.dst_mask)))
    by_window = defaultdict(list)
    for (window, src, dst), members in groups.items():
        by_window[window].append((window, src, dst, total(members, "octets"), total(members, "packets"), len(members)))
    for rows in by_window.values():
        rows.sort(key=lambda row: (-row[3], address(row[1].split("/")[0]), address(row[2].split("/")[0])))
        yield from rows[:100]


@query("taiiii")
def interface_matrix(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, MINUTE), f.exporter, f.in_if, f.out_if)).items():
        yield *key, total(members, "octets") * 8 // 60, total(members, "packets") // 60


@query("taaif")
def next_hop_share(flows):
    whole = Counter()
    for f in flows:
        whole[tumble(f.time, 5 * MINUTE), f.exporter] += f.octets
    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.exporter, f.next_hop)).items():
        octets = total(members, "octets")
        yield *key, octets, ratio(100.0 * octets, whole[key[:2]])


@query("taiii", at_least=200)
def top_talkers(flows):
    by_window = defaultdict(list)
    for (window, src), members in group(flows, lambda f: (tumble(f.time, MINUTE), f.src_ip)).items():
        by_window[window].append((window, src, total(members, "octets"), total(members, "packets"), len(members)))
    for rows in by_window.values():
        rows.sort(key=lambda row: (-row[2], address(row[1])))
        yield from rows[:10]


@query("taaiii", at_least=400)
def top_conversations(flows):
    by_window = defaultdict(list)
    for (window, src, dst), members in group(flows, lambda f: (tumble(f.time, MINUTE), f.src_ip, f.dst_ip)).items():
        by_window[window].append((window, src, dst, total(members, "octets"), len(members)))
    for window, rows in by_window.items():
        rows.sort(key=lambda row: (-row[3], address(row[1]), address(row[2])))
        for row in rows[:20]:
            yield *row, 1
        rest = rows[20:]
        if rest:
            yield window, None, None, sum(row[3] for row in rest), sum(row[4] for row in rest), len(rest)


@query("taiaaif")
def heavy_pairs(flows):
    links = defaultdict(Counter)
    for f in flows:
        for window in hop(f.time, 5 * MINUTE, 20 * MINUTE):
            links[window, f.exporter, f.in_if][f.src_ip, f.dst_ip] += f.octets
    for link, pairs in links.items():
        whole, not_above = sum(pairs.values()), 0
        for octets, count in sorted(Counter(pairs.values()).items()):
            not_above += count
            if not_above / len(pairs) > 0.95:
                for pair, each in pairs.items():
                    if each == octets:
                        yield *link, *pair, octets, ratio(100.0 * octets, whole)


@query("tiiiii")
def protocol_mix(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, MINUTE), family(f.src_ip), f.protocol)).items():
        yield *key, total(members, "octets"), total(members, "packets"), len(members)


@query("taii")
def web_by_source(flows):
    web = {80, 443, 8080}
    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.src_ip),
                              lambda f: f.protocol in (6, 17) and (f.src_port in web or f.dst_port in web)).items():
        yield *key, total(members, "octets"), len(members)


@query("tiiii")
def packet_sizes(flows):
    def size_class(f):
        if f.packets_raw == 0:
            return None
        size = f.octets_raw // f.packets_raw
        return next((limit for limit in (64, 127, 255, 511, 1023, 1518) if size <= limit), 65535)

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), size_class(f))).items():
        yield *key, total(members, "packets"), total(members, "octets"), len(members)


@query("tiipppppp")
def flow_sizes(flows):
    def at(values, fraction):
        return values[math.floor(fraction * (len(values) - 1))] if values else None

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.protocol)).items():
        octets = sorted(f.octets_raw for f in members)
        seconds = sorted((f.flow_end - f.flow_start) / SECOND for f in members if f.flow_end is not None)
        yield (*key, len(members), *(at(octets, fraction) for fraction in (0.5, 0.95, 0.99)),
               *(at(seconds, fraction) for fraction in (0.5, 0.95, 0.99)))


@query("taaiiiii", at_least=7)
def elephant_flows(flows):
    sums = Counter()
    for f in flows:
        sums[tumble(f.time, MINUTE), f.src_ip, f.dst_ip, f.protocol, f.src_port, f.dst_port] += f.octets
    big = {key: octets for key, octets in sums.items() if octets > 100_000_000}
    for (window, *rest), octets in big.items():
        run = 1
        while run < 3 and (window - run * MINUTE, *rest) in big:
            run += 1
        yield window, *rest, octets, run


@query("tiifif")
def sampling_error(flows):
    def error(members, square):
        if any(f.sampling_rate is None for f in members):
            return None
        return math.sqrt(sum(f.sampling_rate * (f.sampling_rate - 1) * square(f) for f in members))

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.src_as)).items():
        yield (*key, total(members, "octets"), error(members, lambda f: f.octets_raw ** 2 / f.packets_raw),
               total(members, "packets"), error(members, lambda f: f.packets_raw))


# ---- attacks

def sweeps(flows, key, column):
    for each, members in group(flows, key, lambda f: f.packets_raw == 1).items():
        count = distinct(members, column)
        if count > 100:
            yield *each, count


@query("taai")
def port_sweep(flows):
    return sweeps(flows, lambda f: (tumble(f.time, MINUTE), f.src_ip, f.dst_ip), "dst_port")


@query("taii", at_least=5)
def host_scan(flows):
    return sweeps(flows, lambda f: (tumble(f.time, MINUTE), f.src_ip, f.dst_port), "dst_ip")


@query("taii", at_least=3)
def scan_alert(flows):
    before = {}
    for window, src, port, hosts in sorted(host_scan(flows)):
        last = before.get((src, port))
        before[src, port] = window
        if last is None or window - last > 10 * MINUTE:
            yield window, src, port, hosts


@query("tacii")
def superspreader(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, MINUTE), f.src_ip)).items():
        count = distinct(members, "dst_ip")
        if count > 200:
            yield *key, count, total(members, "packets"), len(members)


@query("taciii")
def ddos_victim(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, MINUTE), f.dst_ip)).items():
        count = distinct(members, "src_ip")
        if count > 200:
            yield *key, count, total(members, "octets"), total(members, "packets"), len(members)


def syn_only(f):
    return f.protocol == 6 and f.tcp_flags & 0x02 and not f.tcp_flags & 0x10


@query("taiiii")
def syn_flood(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, 5 * SECOND), f.dst_ip, f.dst_port), syn_only).items():
        sources = distinct(members, "src_ip")
        if len(members) > 200 and sources > 50:
            yield *key, len(members), sources, total(members, "packets")


@query("taiii", at_least=2)
def half_open(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, MINUTE), f.dst_ip), lambda f: f.protocol == 6).items():
        attempts = sum(1 for f in members if syn_only(f))
        completed = sum(1 for f in members if f.tcp_flags & 0x10)
        if attempts > 100 and attempts > 3 * completed:
            yield *key, attempts, completed, attempts - completed


@query("taiiii")
def amplification(flows):
    services = {17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 3702, 5353, 11211, 27015}
    for key, members in group(flows, lambda f: (tumble(f.time, MINUTE), f.dst_ip, f.src_port),
                              lambda f: f.protocol == 17 and f.src_port in services and f.octets_raw > 200 * f.packets_raw).items():
        octets, reflectors = total(members, "octets"), distinct(members, "src_ip")
        if octets > 50_000_000 and reflectors >= 10:
            yield *key, octets, reflectors, octets // total(members, "packets")


@query("taaiiif", at_least=2)
def reflectors(flows):
    services = {17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 3702, 5353, 11211}
    sent, received = Counter(), Counter()
    for f in flows:
        if f.protocol != 17:
            continue
        window = tumble(f.time, 5 * MINUTE)
        if f.src_port in services:
            sent[window, f.src_ip, f.dst_ip, f.src_port] += f.octets
        if f.dst_port in services:
            received[window, f.dst_ip, f.src_ip, f.dst_port] += f.octets
    for key, octets in sent.items():
        if octets > 10_000_000 and octets > 10 * received[key]:
            yield *key, octets, received[key], ratio(octets, received[key])


@query("taaii", at_least=10)
def floods(flows):
    packets, octets = Counter(), Counter()
    for f in flows:
        if f.protocol in (1, 17, 58):
            kind = "icmp" if f.protocol != 17 else "fragment" if f.src_port == 0 and f.dst_port == 0 else "udp"
            for window in hop(f.time, 5 * SECOND, 10 * SECOND):
                packets[f.dst_ip, kind, window] += f.packets
                octets[f.dst_ip, kind, window] += f.octets
    alarm, last = False, None
    for (victim, kind, window), count in sorted(packets.items()):
        rate = count // 10
        if last != (victim, kind, window - 5 * SECOND) or rate < 10_000:
            alarm = False
        alarm = alarm or rate > 20_000
        last = victim, kind, window
        if alarm:
            yield window, victim, kind, rate, octets[victim, kind, window] * 8 // 10


@query("taiiii")
def brute_force(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, MINUTE), f.dst_ip, f.dst_port, f.octets_raw),
                              lambda f: f.protocol == 6 and f.dst_port in (22, 23, 3389, 5900)).items():
        sources = distinct(members, "src_ip")
        if sources > 40:
            yield *key, sources, len(members)


@query("taiiiii")
def slowloris(flows):
    servers = defaultdict(Counter)
    for f in flows:
        if f.protocol == 6 and f.dst_port in (80, 443, 8080) and f.flow_end is not None and f.flow_end - f.flow_start >= 30 * SECOND:
            servers[tumble(f.time, 5 * MINUTE), f.dst_ip, f.dst_port][f.src_ip, f.src_port] += f.octets
    for key, connections in servers.items():
        octets, count = sum(connections.values()), len(connections)
        if count > 300 and octets // count < 1000:
            yield *key, count, octets, octets // count, len({source for source, _ in connections})


@query("taaaaii", at_least=3)
def asymmetric_routing(flows):
    def pair(f):
        return (tumble(f.time, 5 * MINUTE), *sorted((f.src_ip, f.dst_ip), key=address))

    for key, members in group(flows, pair).items():
        ways = [[f for f in members if f.src_ip == start and f.src_ip != f.dst_ip] for start in key[1:]]
        packets = [total(way, "packets") for way in ways]
        sites = [{f.site for f in way} for way in ways]
        if all(count is not None and count >= 10 for count in packets) and not sites[0] & sites[1]:
            yield *key, min(sites[0]), min(sites[1]), *packets


@query("taaiii")
def one_way(flows):
    def pair(f):
        return (tumble(f.time, 5 * MINUTE), *sorted((f.src_ip, f.dst_ip), key=address))

    for (window, *_), members in group(flows, pair, lambda f: f.protocol == 6).items():
        if distinct(members, "src_ip") == 1 and total(members, "packets") >= 20:
            yield window, members[0].src_ip, members[0].dst_ip, total(members, "packets"), total(members, "octets"), len(members)


# ---- change

@query("tiiffi", data="history", at_least=3)
def baseline(flows):
    hours = Counter()
    for f in flows:
        hours[f.src_as, tumble(f.time, HOUR)] += f.octets
    for (source, hour), octets in hours.items():
        day = [hours[source, hour - back * HOUR] for back in range(1, 25) if (source, hour - back * HOUR) in hours]
        if len(day) < 12:
            continue
        mean, deviation = statistics.fmean(day), statistics.stdev(day)
        if deviation and abs((octets - mean) / deviation) > 3 and abs(octets - mean) > 1_000_000:
            yield hour, source, octets, mean, (octets - mean) / deviation, hours.get((source, hour - 7 * DAY))


@query("taif")
def source_average(flows):
    minutes = defaultdict(Counter)
    for f in flows:
        minutes[f.src_ip][tumble(f.time, MINUTE)] += f.packets
    for source, series in minutes.items():
        average = last = None
        for minute, packets in sorted(series.items()):
            before = average
            if average is None:
                average = float(packets)
            else:
                average += (1 - 2 ** (-(minute - last) / (10 * MINUTE))) * (packets - average)
            last = minute
            if packets > 1000 and before is not None and packets > 5 * before:
                yield minute, source, packets, before


@query("tiffff")
def entropy(flows):
    def bits(members, column):
        counts = Counter(getattr(f, column) for f in members if getattr(f, column) is not None)
        whole = sum(counts.values())
        return -sum(count / whole * math.log2(count / whole) for count in counts.values())

    for window, members in group(flows, lambda f: tumble(f.time, 5 * MINUTE)).items():
        yield window, len(members), *(bits(members, column) for column in ("src_ip", "dst_ip", "src_port", "dst_port"))


def pair_series(flows):
    series = defaultdict(Counter)
    for f in flows:
        series[f.src_as, f.dst_as][tumble(f.time, 5 * MINUTE)] += f.octets
    return series


@query("tiiit", data="history", at_least=3)
def new_pairs(flows):
    for pair, windows in pair_series(flows).items():
        before = None
        for window, octets in sorted(windows.items()):
            if before is not None and window - before > DAY + 5 * MINUTE:
                before = None   # Forgotten.
            if octets >= 1_000_000 and (before is None or window - before > HOUR):
                yield window, *pair, octets, before
            before = window


@query("tiiit")
def vanished_pairs(flows):
    pairs = group(flows, lambda f: (f.src_as, f.dst_as))
    for pair, members in pairs.items():
        windows = defaultdict(list)
        for f in members:
            windows[tumble(f.time, 5 * MINUTE)].append(f)
        for window, those in windows.items():
            if total(those, "octets") >= 10_000_000 and window + 5 * MINUTE not in windows:
                yield window, *pair, total(those, "octets"), max(f.time for f in those)


# ---- the monitor itself

@query("tait")
def silent_exporters(flows):
    for exporter, members in group(flows, lambda f: f.exporter).items():
        windows = group(members, lambda f: tumble(f.received_at, MINUTE))
        for window, those in windows.items():
            if window + MINUTE not in windows:
                yield window, exporter, len(those), max(f.received_at for f in those)


@query("taaiiiiiiiii", data="losses", at_least=20)
def exporter_health(flows):
    """A datagram is what arrived in one moment, and what was lost is counted when the next of the same sequence arrives:
    samples of an interface, or records of a router."""
    version = {"5": "NetFlow v5", "10": "IPFIX", "sFlow": "sFlow"}
    missing = Counter()
    for (exporter, _), members in group(flows, lambda f: (f.exporter, f.in_if if f.protocol_version == "sFlow" else 0)).items():
        gap = 0
        for f in sorted(members, key=lambda f: f.received_at):
            if f.lost:
                gap += 1
            elif gap:
                missing[tumble(f.received_at, MINUTE), exporter] += gap
                gap = 0
    kept = group(flows, lambda f: (tumble(f.received_at, MINUTE), f.exporter, version[f.protocol_version]), lambda f: not f.lost)
    for key, members in kept.items():
        rates = [f.sampling_rate for f in members]
        yield (*key, len({f.received_at for f in members}), len(members), total(members, "octets"), missing[key[:2]], 0, 0, 0,
               min(rates), max(rates))


@query("taippss")
def export_delay(flows):
    for key, members in group(flows, lambda f: (tumble(f.received_at, 5 * MINUTE), f.exporter)).items():
        delays = sorted(f.received_at - f.time for f in members)
        at = [delays[math.floor(fraction * (len(delays) - 1))] / SECOND for fraction in (0.5, 0.999)]
        yield *key, len(members), *at, delays[0], delays[-1]


@query("taiisa", at_least=0)
def late_rows(flows):
    """None with the default delay; test_queries.py has a shorter one."""
    return []


@query("ttaaiiitt", at_least=3)
def sessions(flows):
    for pair, members in group(flows, lambda f: (f.src_ip, f.dst_ip)).items():
        members.sort(key=lambda f: f.time)
        runs = []
        for f in members:
            if not runs or f.time - runs[-1][-1].time >= 2 * MINUTE:
                runs.append([])
            runs[-1].append(f)
        for run in runs:
            if len(run) >= 10:
                starts = [f.flow_start for f in run if f.flow_start is not None]
                ends = [f.flow_end for f in run if f.flow_end is not None]
                yield (run[0].time, run[-1].time + 2 * MINUTE, *pair, len(run), total(run, "octets"), distinct(run, "dst_port"),
                       min(starts, default=None), max(ends, default=None))


# ---- with tables given by hand (queries/tables)

@functools.cache
def table(name):
    with open(os.path.join(TABLES, name + ".csv"), newline="") as file:
        return [{column: value or None for column, value in row.items()} for row in csv.DictReader(file)]


@functools.cache
def lpm(name, ip):
    """The row of the longest prefix that holds the address, or an empty one."""
    best = None
    for row in table(name):
        prefix = network_of(row["prefix"])
        if ip_of(ip) in prefix and (best is None or prefix.prefixlen > best[0]):
            best = prefix.prefixlen, row
    return best[1] if best else {}


network_of = functools.cache(ipaddress.ip_network)
ip_of = functools.cache(ipaddress.ip_address)


@functools.cache
def interface(exporter, index):
    return next((row for row in table("interfaces") if row["exporter"] == exporter and int(row["if_index"]) == index), None)


def integer(text):
    return None if text is None else int(text)


@query("tiiiii")
def as_matrix(flows):
    def origin(number, ip):
        return number or integer(lpm("routes", ip).get("origin_as")) or 0

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), origin(f.src_as, f.src_ip),
                                                origin(f.dst_as, f.dst_ip))).items():
        yield *key, total(members, "octets"), total(members, "packets"), len(members)


@query("taaiii")
def pop_matrix(flows):
    def enters(f):
        found = interface(f.exporter, f.in_if)
        return found is not None and found["role"] != "internal"

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), interface(f.exporter, f.in_if)["site"],
                                                lpm("routes", f.dst_ip).get("pop")), enters).items():
        yield *key, total(members, "octets"), total(members, "packets"), len(members)


@query("taiaif")
def link_utilisation(flows):
    for (window, exporter, index), members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.exporter, f.out_if),
                                                    lambda f: interface(f.exporter, f.out_if)).items():
        link, bits = interface(exporter, index), total(members, "octets") * 8
        speed = integer(link["bits_per_second"])
        yield window, exporter, index, link["site"], bits // 300, None if speed is None else 100.0 * bits / (300 * speed)


@query("taiaif")
def customer_share(flows):
    links = defaultdict(Counter)
    for f in flows:
        links[tumble(f.time, HOUR), f.exporter, f.in_if][lpm("customers", f.src_ip).get("customer")] += f.packets
    for link, customers in links.items():
        whole = sum(customers.values())
        for customer, packets in customers.items():
            yield *link, customer, packets, ratio(100.0 * packets, whole)


@query("taii")
def application_mix(flows):
    names = {(int(row["protocol"]), int(row["port"])): row["name"] for row in table("services")}

    def service(f):
        known = sorted(port for port in (f.src_port, f.dst_port) if (f.protocol, port) in names)
        return names[f.protocol, known[0]] if known else "other"

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), service(f))).items():
        yield *key, total(members, "octets"), len(members)


@query("taiii")
def dscp_mix(flows):
    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), lpm("customers", f.dst_ip).get("customer"),
                                                f.tos // 4)).items():
        yield *key, total(members, "octets"), total(members, "packets")


def bill(samples_sent, samples_in_month):
    """Nearest rank: the least value that 95 % of the month's samples, with or without traffic, do not exceed."""
    values = sorted(samples_sent + [0] * (samples_in_month - len(samples_sent)))
    return values[math.ceil(0.95 * samples_in_month) - 1] * 8 // 300


@query("taiiii", data="month", at_least=4)
def billing(flows):
    months = {traffic.JANUARY - 61 * DAY: 30, traffic.JANUARY - 31 * DAY: 31, traffic.JANUARY: 31, traffic.JANUARY + 31 * DAY: 28}
    sent, received = Counter(), Counter()
    for f in flows:
        start = max(month for month in months if month <= f.time)
        for counter, index in ((sent, f.in_if), (received, f.out_if)):
            port = interface(f.exporter, index)
            if port is not None and port["customer"] is not None:
                counter[start, port["customer"], tumble(f.time, 5 * MINUTE)] += f.octets
    customers = defaultdict(set)
    for start, customer, sample in [*sent, *received]:
        customers[start, customer].add(sample)
    for (start, customer), samples in customers.items():
        rates = [bill([counter[start, customer, sample] for sample in samples], months[start] * 288) for counter in (sent, received)]
        yield start, customer, len(samples), *rates, max(rates)


@query("taiif", data="history", at_least=200)
def accounting(flows):
    customers, quotas = defaultdict(Counter), {}
    for f in flows:
        for ip in (f.src_ip, f.dst_ip):
            row = lpm("customers", ip)
            if row:
                customers[row["customer"]][tumble(f.time, 5 * MINUTE)] += f.octets
                quotas[row["customer"]] = integer(row["quota"])
    for customer, samples in customers.items():
        used, today, quota = 0, None, quotas[customer]
        for window, octets in sorted(samples.items()):
            if window // DAY != today:
                used, today = 0, window // DAY
            used += octets
            yield window, customer, octets, used, 100.0 * used / quota if quota else None


@query("taiii", at_least=2)
def handshake_timeout(flows):
    answers = group(flows, lambda f: (f.dst_ip, f.dst_port, f.src_ip, f.src_port), lambda f: f.protocol == 6 and f.tcp_flags & 0x10)
    unanswered = [f for f in flows if syn_only(f) and
                  not any(0 <= a.time - f.time <= 2 * MINUTE for a in answers.get((f.src_ip, f.src_port, f.dst_ip, f.dst_port), ()))]
    for key, members in group(unanswered, lambda f: (tumble(f.time, MINUTE), f.dst_ip, f.dst_port)).items():
        if len(members) > 100:
            yield *key, len(members), distinct(members, "src_ip")


@query("taaiii")
def spam_sources(flows):
    for (window, src, port), members in group(flows, lambda f: (tumble(f.time, MINUTE), f.src_ip, f.dst_port),
                                              lambda f: f.protocol == 6 and f.dst_port in (25, 445)).items():
        customer, count = lpm("customers", src).get("customer"), distinct(members, "dst_ip")
        if customer is not None and count > 20:
            yield window, customer, src, port, count, len(members)


@query("taiaiiii")
def spoofed_sources(flows):
    def verdict(f):
        if lpm("bogons", f.src_ip):
            return "bogon"
        if not lpm("routes", f.src_ip):
            return "unrouted"
        port = interface(f.exporter, f.in_if)
        if port is None or port["customer"] is None:
            return "unverifiable"
        return "valid" if lpm("customers", f.src_ip).get("customer") == port["customer"] else "invalid"

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.exporter, f.in_if, verdict(f))).items():
        yield *key, total(members, "octets"), total(members, "packets"), len(members), distinct(members, "src_ip")


@query("taiii")
def dark_space(flows):
    by_window = defaultdict(list)
    for (window, src), members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.src_ip),
                                        lambda f: lpm("dark", f.dst_ip)).items():
        answers = [f for f in members if f.protocol == 6 and (f.tcp_flags & 0x12 == 0x12 or f.tcp_flags & 0x04)]
        by_window[window].append((window, src, distinct(members, "dst_ip"), len(members), len(answers)))
    for rows in by_window.values():
        rows.sort(key=lambda row: (-row[2], address(row[1])))
        yield from rows[:20]


@query("taiii")
def sampling_correction(flows):
    rates = {row["exporter"]: int(row["rate"]) for row in table("sampling")}

    def rate(f):
        return f.sampling_rate or rates.get(f.exporter)

    for key, members in group(flows, lambda f: (tumble(f.time, 5 * MINUTE), f.exporter)).items():
        yield (*key, sum(f.octets_raw * (rate(f) or 1) for f in members), sum(f.packets_raw * (rate(f) or 1) for f in members),
               sum(1 for f in members if rate(f) is None))

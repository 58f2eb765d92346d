#!/usr/bin/env python3
"""Flows by topics of a real Kafka: what one process sends another counts, and what others produce; and a service that
stops, or is killed, goes on in the topic where its state ends. Messages are made here octet by octet."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import daemon   # noqa: E402
import harness  # noqa: E402
import kafka    # noqa: E402
import wire     # noqa: E402

VERSION = os.environ.pop("BACKSTREAM_KAFKA_VERSION", "4")  # No setting of the nodes.
QUERY = ("CREATE MATERIALIZED VIEW t AS SELECT window_start, exporter, site, src_ip, count(*) AS flows, sum(octets) AS octets, "
         "min(protocol_version) AS version FROM tumble(flows, time, interval '1 min') GROUP BY 1, 2, 3, 4")


def varint(value):
    octets = b""
    while value > 0x7F:
        octets += bytes([value & 0x7F | 0x80])
        value >>= 7
    return octets + bytes([value])


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def fixed(number, value):
    return varint(number << 3 | 1) + struct.pack("<q", value)


def address(text):
    return socket.inet_aton(text)


def batch(exporter, flows, common=b"", site=None):
    """A FlowBatch of docs/flows.proto."""
    message = field(1, 1) + field(2, address(exporter))
    if site:
        message += field(3, site.encode())
    if common:
        message += field(5, common)
    return message + b"".join(field(6, flow) for flow in flows)


def flow(at, source="10.0.0.1", octets=100):
    """One that ended at a time in seconds."""
    return fixed(2, at * 1_000_000) + field(3, address(source)) + field(9, octets) + field(10, 1)


def goflow2(exporter, at, source="10.0.0.1", octets=100, rate=0, delimited=True):
    message = field(1, 3)
    if rate:
        message += field(3, rate)
    message += field(6, address(source)) + field(9, octets) + field(10, 1) + field(11, address(exporter))
    message += field(110, at * 10**9) + field(112, at * 10**9)
    return varint(len(message)) + message if delimited else message


class Case(daemon.Case):
    cluster = None
    topics = 0

    def topic(self, partitions=3):
        Case.topics += 1
        name = f"flows-{Case.topics}"
        self.cluster.create_topic(name, partitions=partitions, replication=1)
        return name

    def produce(self, topic, records, partition=None):
        """Records as kcat sends them: values that are any octets, without a head of ours."""
        files = [self.write(f"record-{number}", record) for number, record in enumerate(records)]
        command = ["kcat", "-q", "-P", "-b", self.cluster.bootstrap, "-t", topic, "-X", "request.timeout.ms=5000",
                   "-X", "enable.idempotence=true"]
        if partition is not None:
            command += ["-p", str(partition)]
        subprocess.run([*command, *files], check=True, timeout=120)

    def brokers(self):
        return ["--set", "kafka.brokers=" + self.cluster.bootstrap]

    def listen(self, *topics, seconds=6, settings=()):
        """CSV lines and --stats of a run that reads topics from their begin."""
        path = self.path("stats.json")
        arguments = ["run", "-o", "csv", "--stats", path, "--for", f"{seconds}s", "--delay", "10d", "-e", QUERY,
                     *self.brokers(), "--set", "listen.kafka_start=begin"]
        for topic in topics:
            arguments += ["--listen", "kafka://" + topic]
        for setting in settings:
            arguments += ["--set", setting]
        result = self.run_backstream(*arguments, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(path) as file:
            return sorted(result.stdout.splitlines()[1:]), json.load(file)


class Flows(Case):
    def test_one_acquires_another_counts(self):
        packets = []
        for number in range(300):
            at = wire.NOON + number
            records = [wire.v5_flow(at, src=f"10.0.{number % 5}.1", octets=100 + number) for _ in range(number % 9 + 1)]
            packets.append((at, wire.udp_packet(wire.v5(records, at), source=f"192.0.2.{number % 7 + 1}")))
        capture = self.write("in.pcap", wire.pcap(packets))
        topic = self.topic()
        path = self.path("sent.json")
        result = self.run_backstream("run", "-o", "csv", "--stats", path, "--pcap", capture, "-e", QUERY, *self.brokers(),
                                     "--send-flows", topic)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(path) as file:
            sent = json.load(file)
        self.assertEqual(sent["flows_sent"]["delivered"], sent["decode"]["flows"])
        self.assertEqual(sent["flows_sent"]["dropped"] + sent["flows_sent"]["failed"], 0)
        rows, stats = self.listen(topic)
        self.assertEqual(rows, sorted(result.stdout.splitlines()[1:]))
        self.assertEqual(stats["decode"]["flows"], sent["decode"]["flows"])
        self.assertEqual(stats["ingest"]["topics"][0]["records"], sent["flows_sent"]["records"])
        self.assertEqual({e["address"]: e["flows"] for e in stats["exporters"]},
                         {e["address"]: e["flows"] for e in sent["exporters"]})
        # An exporter's flows are in one partition.
        listing = subprocess.run(["kcat", "-q", "-C", "-e", "-o", "beginning", "-b", self.cluster.bootstrap, "-t", topic,
                                  "-f", "%p %k\\n"], stdout=subprocess.PIPE, check=True, timeout=120).stdout
        places = {tuple(line.split(b" ", 1)) for line in listing.splitlines()}
        self.assertEqual(len(places), len({key for _, key in places}))
        self.assertEqual(len({key for _, key in places}), 7)

    def test_others_produce(self):
        ours, theirs = self.topic(), self.topic()
        self.produce(ours, [batch("192.0.2.1", [flow(wire.NOON), flow(wire.NOON + 1, octets=50)], field(16, 10), "ams"),
                            batch("192.0.2.2", [flow(wire.NOON)]),
                            batch("192.0.2.9", [flow(wire.NOON)]),
                            b"no message at all",
                            field(1, 7) + field(2, address("192.0.2.1")) + field(6, flow(wire.NOON)),
                            batch("192.0.2.1", [flow(wire.NOON)[:-1]])])
        self.produce(theirs, [goflow2("192.0.2.3", wire.NOON, rate=100), goflow2("192.0.2.3", wire.NOON, delimited=False),
                              goflow2("192.0.2.9", wire.NOON), b"\xff" * 40])
        rows, stats = self.listen("backstream:" + ours, "goflow2:" + theirs,
                                  settings=["ingest.allow=192.0.2.0/29", "exporter.192.0.2.3.site=fra"])
        self.assertEqual(rows, ["2026-01-31 12:00:00+00,192.0.2.1,ams,10.0.0.1,2,1500,",
                                "2026-01-31 12:00:00+00,192.0.2.2,,10.0.0.1,1,100,",
                                "2026-01-31 12:00:00+00,192.0.2.3,fra,10.0.0.1,2,10100,9"])
        self.assertEqual(stats["ingest"]["skipped"]["not_allowed"], 2)
        self.assertEqual(stats["ingest"]["skipped"]["no_exporter"], 2)
        self.assertEqual(stats["decode"]["faults"]["message_version"], 1)
        self.assertEqual(stats["decode"]["faults"]["record_malformed"], 1)
        self.assertEqual([t["records"] for t in stats["ingest"]["topics"]], [6, 4])
        self.assertEqual([t["lost"] + t["behind"] for t in stats["ingest"]["topics"]], [0, 0])

    def test_nodes_share_a_topic_by_partitions(self):
        topic = self.topic(partitions=4)
        for partition in range(4):
            self.produce(topic, [batch(f"192.0.2.{partition + 1}", [flow(wire.NOON)] * (partition + 1))], partition)
        first, _ = self.listen(topic + "/0-1", seconds=4)
        second, _ = self.listen(topic + "/2-9", seconds=4)
        self.assertEqual([row.split(",")[1] for row in first], ["192.0.2.1", "192.0.2.2"])
        self.assertEqual([row.split(",")[1] for row in second], ["192.0.2.3", "192.0.2.4"])

    def test_mistakes_are_told(self):
        result = self.run_backstream("run", "-e", QUERY, "--listen", "kafka://none", *self.brokers())
        self.assertEqual(result.returncode, 1)
        self.assertIn("there is no topic 'none'", result.stderr)
        result = self.run_backstream("run", "-e", QUERY, "--listen", "kafka://a b", *self.brokers())
        self.assertEqual(result.returncode, 2)
        result = self.run_backstream("run", "-e", QUERY, "--listen", "kafka://flows")
        self.assertEqual(result.returncode, 2)
        self.assertIn("kafka.brokers", result.stderr)


class Service(Case):
    """Windows of an hour that has passed: they close when the marker behind it comes."""
    WINDOWS = "SELECT window_start, count(*) AS flows, sum(octets_raw) AS octets FROM tumble(flows, time, interval '1 h') GROUP BY window_start"

    def node(self, topic):
        return self.serve("kafka.brokers=" + self.cluster.bootstrap, "listen.kafka=" + topic, "listen.kafka_start=begin")

    def records(self, hour, count):
        self.sent += count
        return [batch("192.0.2.1", [flow(hour + self.sent % 3000)]) for _ in range(count)]

    def flows_read(self, node):
        page = node.get("/metrics")
        return int(re.search(r'^backstream_edge_records_total\{kind="flow"\} (\d+)', page, re.M).group(1))

    def until(self, condition):
        deadline = time.monotonic() + 90
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def setUp(self):
        super().setUp()
        self.sent = 0
        self.hour = int(time.time()) // 3600 * 3600 - 3 * 3600

    def shown(self, node):
        return node.get("/api/v1/queries/w/results?revisions=true")["windows"]

    def close_window(self, node, topic):
        self.produce(topic, [batch("192.0.2.1", [flow(self.hour + 3600 + 60)])])
        self.until(lambda: self.shown(node))
        window = self.shown(node)[0]
        self.assertEqual(window["rows"][0][1], self.sent)

    def test_a_stop_and_a_drain_go_on_where_they_stopped(self):
        topic = self.topic()
        node = self.node(topic)
        node.add("w", self.WINDOWS)
        self.produce(topic, self.records(self.hour, 20))
        self.until(lambda: self.flows_read(node) == 20)
        self.assertEqual(node.end(), 0)
        self.produce(topic, self.records(self.hour, 30))
        node = self.node(topic)
        self.until(lambda: self.flows_read(node) == 30)
        self.close_window(node, topic)
        self.assertEqual(node.end(signal.SIGUSR1), 0)  # All windows are closed, and no state is left.
        self.produce(topic, self.records(self.hour, 5))
        node = self.node(topic)
        self.until(lambda: self.flows_read(node) == 5)
        time.sleep(1)
        self.assertEqual(self.flows_read(node), 5)
        self.assertEqual(node.end(), 0)

    def test_what_a_service_receives_it_sends(self):
        topic = self.topic()
        node = self.serve("kafka.brokers=" + self.cluster.bootstrap, "flows.topic=" + topic, "node.site=ams")
        router = node.router("127.0.0.3")
        for _ in range(50):
            router.send(7)
        def delivered():
            page = node.get("/metrics")
            return int(re.search(r'^backstream_flows_sent_total\{topic="[^"]*",result="delivered"\} (\d+)', page, re.M).group(1))
        self.until(lambda: delivered() == 350)
        router.close()
        self.assertEqual(node.end(), 0)
        rows, stats = self.listen(topic, seconds=4)
        self.assertEqual(stats["decode"]["flows"], 350)
        self.assertTrue(all(",127.0.0.3,ams," in row for row in rows), rows)

    def test_after_a_kill_nothing_is_missing_and_nothing_counts_twice(self):
        topic = self.topic()
        node = self.node(topic)
        node.add("w", self.WINDOWS)
        self.produce(topic, self.records(self.hour, 40))
        self.until(lambda: self.flows_read(node) == 40)
        at = node.get("/api/v1/status")["checkpoint"]["at"]
        self.until(lambda: node.get("/api/v1/status")["checkpoint"]["at"] not in (None, at))
        self.produce(topic, self.records(self.hour, 25))
        self.until(lambda: self.flows_read(node) == 65)
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        self.produce(topic, self.records(self.hour, 10))
        node = self.node(topic)
        node.said(r"it was killed")
        self.until(lambda: self.flows_read(node) >= 10)
        self.close_window(node, topic)
        self.assertEqual(node.end(), 0)


if __name__ == "__main__":
    sys.exit(kafka.main_with_cluster(Case, VERSION, harness.main))

#!/usr/bin/env python3
"""Where rows are sent, with real servers: a topic of Kafka has each row once over kills of both sides; and history (SQLite),
PostgreSQL, Kafka, CSV and JSONL have the same rows of five queries after each of them was killed."""
import collections
import csv
import glob
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, os.path.join(HERE, "..", "oracle"))
import daemon    # noqa: E402
import harness   # noqa: E402
import kafka     # noqa: E402
import postgres  # noqa: E402
import wire      # noqa: E402

VERSION = os.environ.pop("BACKSTREAM_KAFKA_VERSION", "4")  # No setting of the nodes.
REVISED = "WITH (late = 'revise', allowed_lateness = '4 s')"
# A matrix; the first of an order; windows that overlap, whose only key they are; addresses and null; rows without windows.
QUERIES = {
    "matrix": f"CREATE MATERIALIZED VIEW matrix {REVISED} AS SELECT window_start, src_as, dst_as, count(*) AS flows, "
              "sum(octets_raw) AS octets FROM tumble(flows, time, interval '1 s') GROUP BY 1, 2, 3",
    "top": f"CREATE MATERIALIZED VIEW top {REVISED} AS SELECT window_start, src_as, sum(octets_raw) AS octets "
           "FROM tumble(flows, time, interval '1 s') GROUP BY 1, 2 ORDER BY octets DESC, src_as LIMIT 3",
    "sources": f"CREATE MATERIALIZED VIEW sources {REVISED} AS SELECT window_start, window_end, count(DISTINCT src_ip) AS sources, "
               "count(*) AS flows FROM hop(flows, time, interval '1 s', interval '3 s') GROUP BY 1, 2",
    "hosts": f"CREATE MATERIALIZED VIEW hosts {REVISED} AS SELECT window_start, src_ip, "
             "CASE WHEN src_as > 2 THEN 'as \"' || src_as::text || '\"' END AS label, max(dst_port) AS port "
             "FROM tumble(flows, time, interval '2 s') GROUP BY 1, 2, 3",
    "rows": "SELECT time, src_ip, src_as, octets_raw FROM flows WHERE src_as = 3",
}
Row = collections.namedtuple("Row", "window values revision final op")


def text_of(value):
    return None if value is None else str(value).replace("+00:00", "Z")


class Sinks(daemon.Case):
    cluster = None

    def setUp(self):
        super().setUp()
        self.tick = 0

    # What runs.
    def serve(self, *settings, **options):
        return super().serve("kafka.timeout=8s", "kafka.brokers=" + self.cluster.bootstrap, "server.bus.type=kafka", *settings,
                             **options)

    def restart(self, node, *settings):
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        return self.serve(*settings)

    def send_for(self, node, duration, sources=40):
        """Flows of some sources; some come late, and then one AS is ahead of those that were."""
        router = node.router()
        end = time.time() + duration
        while time.time() < end:
            self.tick += 1
            late = self.tick % 4 == 0
            at = int(time.time()) - (3 if late else 0)
            for begin in range(0, sources, 20):
                flows = [wire.v5_flow(at, int(time.time()), src=f"10.0.{number % 7}.{number % 250}", dst="10.1.0.1",
                                      octets=10_000 if late and number % 5 == at % 5 else 100 + number * 3, packets=2,
                                      dport=1000 + self.tick % 50,
                                      src_as=number % 5, dst_as=number % 3)
                         for number in range(begin + self.tick % 3, min(begin + 20, sources))]
                router.socket.sendto(wire.v5(flows, int(time.time()), router.sequence), ("127.0.0.1", node.flow_port))
                router.sequence += len(flows)
            time.sleep(0.1)
        router.close()

    def publish(self, node, name, query, options):
        status, content = node.request("POST", "/api/v1/sinks", {
            "text": f"CREATE PUBLICATION {name} FOR TABLE {query} WITH ({options})", "source": "test"})
        self.assertEqual(status, 200, content)

    def sinks(self, node):
        return {sink["name"]: sink for sink in node.get("/api/v1/sinks")["sinks"]}

    def has_all(self, node):
        return all(sink["state"] == "running" and sink["behind_since"] is None and sink["last_seq"] > 0
                   for sink in self.sinks(node).values())

    def wait_for_sinks(self, node):
        deadline = time.time() + 120
        while not self.has_all(node):
            self.assertLess(time.time(), deadline, self.sinks(node))
            time.sleep(0.1)

    # What stores have: Rows as JSON has them, in any order.
    def of_history(self, node, query):
        rows, after = [], 0
        while after is not None:
            page = node.get(f"/api/v1/queries/{query}/results?revisions=true&after={after}&limit=10000")
            for w in page["windows"]:
                for row in w["rows"]:
                    rows.append(Row(w["window_start"], tuple(map(text_of, row)), w["revision"], w["final"],
                                    "d" if w["removed"] else "u"))
            after = page["next"]
        return rows

    @staticmethod
    def of_json(row):
        return Row(row["_window_start"], tuple(text_of(value) for name, value in row.items() if not name.startswith("_")), row["_rev"],
                   row["_final"], row["_op"])

    def records(self, topic):
        """(partition, key, value) of what is committed; None for null."""
        done = subprocess.run(["kcat", "-q", "-C", "-e", "-o", "beginning", "-b", self.cluster.bootstrap, "-t", topic,
                               "-X", "isolation.level=read_committed", "-f", "%p\t%K\t%k\t%S\t%s\n"],
                              stdout=subprocess.PIPE, check=True, timeout=120)
        records = []
        for line in done.stdout.decode().splitlines():
            partition, key_size, key, size, value = line.split("\t")
            records.append((int(partition), key if int(key_size) >= 0 else None, value if int(size) >= 0 else None))
        return records

    def of_kafka(self, topic):
        return [self.of_json(json.loads(value)) for _, _, value in self.records(topic)]

    def of_jsonl(self, folder, sink):
        rows = []
        for name in glob.glob(os.path.join(folder, sink + "-*.jsonl*")):
            with open(name) as file:
                rows += [self.of_json(json.loads(line)) for line in file]
        return rows

    def of_csv(self, folder, sink):
        rows = []
        for name in glob.glob(os.path.join(folder, sink + "-*.csv*")):
            with open(name, newline="") as file:
                for row in csv.DictReader(file):
                    values = [value or None for name, value in row.items() if not name.startswith("_")]
                    # Times as PostgreSQL writes them.
                    values = [v.replace(" ", "T").replace("+00", "Z") if v and v.endswith("+00") else v for v in values]
                    window = row["_window_start"].replace(" ", "T").replace("+00", "Z") or None
                    rows.append(Row(window, tuple(values), int(row["_rev"]), row["_final"] == "t", row["_op"]))
        return rows

    @staticmethod
    def of_postgres(server, table):
        rows = []
        for line in server.psql(f'SELECT row_to_json(t) FROM "{table}" t').split("\0"):
            if line.strip():
                row = json.loads(line)
                rows.append(Row(text_of(row["_window_start"]),
                                tuple(text_of(value) for name, value in row.items() if not name.startswith("_")), row["_rev"],
                                row["_final"], "u"))
        return rows

    @staticmethod
    def newest(rows):
        """Of each window the rows of its newest revision; of those that were final last."""
        newest = {}
        for row in rows:
            newest[row.window] = max(newest.get(row.window, (0, False)), (row.revision, row.final))
        return [row for row in rows if row.op == "u" and (row.revision, row.final) == newest[row.window]]

    def assert_same(self, got, expected, what):
        """The same rows, each as often."""
        got, expected = collections.Counter(got), collections.Counter(expected)
        if got != expected:
            self.fail(f"{what}: missing {list((expected - got).items())[:5]}, too many {list((got - expected).items())[:5]}; "
                      f"{sum(got.values())} rows of {sum(expected.values())}")


class Topics(Sinks):
    def test_each_row_is_there_once_over_kills_of_both(self):
        node = self.serve()
        node.add("matrix", QUERIES["matrix"])
        node.add("rows", QUERIES["rows"])
        self.publish(node, "matrix", "matrix", "server = 'bus', partitions = 3, retention = '1 h'")
        self.publish(node, "rows", "rows", "server = 'bus', topic = 'some.rows', partitions = 3")
        self.send_for(node, 3)
        for life in range(3):
            # What the sinks have for it is held up, so that they are in the middle when they are killed.
            self.cluster.pause(1)
            self.send_for(node, 2)
            if life == 0:
                self.cluster.resume(1)
                node = self.restart(node)
            elif life == 1:
                # What was on its way when it was killed arrives behind its successor, if nothing forbids it.
                node.process.send_signal(signal.SIGKILL)
                node.process.wait()
                node = self.serve()
                self.cluster.resume(1)
            else:
                self.cluster.kill(1)
                self.send_for(node, 2)
                self.cluster.start(1)
            self.send_for(node, 2)
        time.sleep(6)  # Revisions are over.
        self.wait_for_sinks(node)
        for query, topic in (("matrix", "matrix"), ("rows", "some.rows")):
            expected = self.of_history(node, query)
            self.assertGreater(len(expected), 50, query)
            self.assert_same(self.of_kafka(topic), expected, query)
        records = self.records("matrix")
        self.assertTrue(any(json.loads(value)["_rev"] > 1 for _, _, value in records), "nothing was revised")
        places = {(key, partition) for partition, key, _ in records}
        self.assertEqual(len(places), len({key for key, _ in places}), "a key is in two partitions")
        self.assertEqual(len({partition for _, partition in places}), 3)
        self.assertTrue(all(key is None for _, key, _ in self.records("some.rows")))
        url = f"http://127.0.0.1:{node.port}"
        result = self.run_backstream("sink", "test", "matrix", "--server", url)
        self.assertIn("topic 'matrix' has 3 partitions; transactions can be had; place ", result.stdout, result.stderr)
        result = self.run_backstream("sink", "list", "--server", url)
        self.assertRegex(result.stdout, r"matrix +matrix +bus +kafka +running")
        before = len(records)
        result = self.run_backstream("sink", "replay", "matrix", "--server", url)
        self.assertEqual(result.returncode, 0, result.stderr)
        deadline = time.time() + 60
        while self.sinks(node)["matrix"]["rows_replayed"] != before:
            self.assertLess(time.time(), deadline, self.sinks(node))
            time.sleep(0.1)
        self.assertEqual(len(self.records("matrix")), 2 * before)

    def test_deliveries_that_are_cut_off_are_there_once(self):
        """Much is to be delivered, and the receiver is killed in the middle of it, again and again; then the broker is."""
        node = self.serve()
        node.add("many", "SELECT window_start, src_ip, dst_port, count(*) AS flows FROM tumble(flows, time, interval '1 s') GROUP BY 1, 2, 3")
        router = node.router()
        for second in range(5):
            begun = time.time()
            for port in range(20_000):
                flow = wire.v5_flow(int(begun), int(begun), src=f"10.{second}.{port // 250}.{port % 250}", dport=port)
                if port % 25 == 0:
                    flows = []
                flows.append(flow)
                if len(flows) == 25:
                    router.socket.sendto(wire.v5(flows, int(begun), router.sequence), ("127.0.0.1", node.flow_port))
                    router.sequence += len(flows)
            time.sleep(max(0, begun + 1 - time.time()))
        router.send(1, src="10.9.9.9")
        time.sleep(2.5)
        router.send(1, src="10.9.9.9")
        router.close()
        node.wait_until_kept()
        self.publish(node, "many", "many", "server = 'bus', partitions = 4")
        # At moments that no two runs have alike: before, in and behind what it sends, and while it is committed.
        for _ in range(6):
            time.sleep(random.uniform(0, 0.4))
            node = self.restart(node)
            if self.has_all(node):
                break
        self.cluster.kill(1)
        time.sleep(1)
        self.cluster.start(1)
        self.wait_for_sinks(node)
        expected = self.of_history(node, "many")
        self.assertGreater(len(expected), 50_000)
        self.assert_same(self.of_kafka("many"), expected, "many")
        self.assertEqual(node.end(), 0)

    def test_of_a_compacted_topic_the_newest_revision_stays(self):
        node = self.serve()
        node.add("top", QUERIES["top"])
        self.publish(node, "newest", "top", "server = 'bus', topic = 'newest', partitions = 1, compact = true")
        self.send_for(node, 6)
        time.sleep(6)
        self.wait_for_sinks(node)
        # As a reader keeps it, and compaction does.
        left = {}
        for _, key, value in self.records("newest"):
            left[key] = value
        got = [self.of_json(json.loads(value)) for value in left.values() if value is not None]
        rows = self.of_history(node, "top")
        self.assertTrue(any(row.revision > 1 for row in rows), "nothing was revised")
        newest = collections.Counter(self.newest(rows))
        self.assertEqual(newest - collections.Counter(got), collections.Counter())
        self.assertEqual(len(left), len({(row.window, row.values[1]) for row in rows}))
        self.assertEqual(node.end(), 0)

    def test_mistakes(self):
        node = self.serve()
        node.add("top", QUERIES["top"])
        for options, told in (("partitions = 0", "a whole number, 1 to 10000"), ("topic = 'a b'", "cannot name a topic"),
                              ("table = 'x'", "table is nothing to server 'bus', whose type is kafka")):
            status, content = node.request("POST", "/api/v1/sinks", {
                "text": f"CREATE PUBLICATION p FOR TABLE top WITH (server = 'bus', {options})", "source": "test"})
            self.assertEqual(status, 422, content)
            self.assertIn(told, json.dumps(content))
        # Rows without a key are nothing to a topic that is compacted: it says so, and loses none.
        node.add("rows", QUERIES["rows"])
        self.cluster.create_topic("keyed", config={"cleanup.policy": "compact"})
        self.publish(node, "keyed", "rows", "server = 'bus', topic = 'keyed'")
        self.send_for(node, 2)
        deadline = time.time() + 60
        while self.sinks(node)["keyed"]["state"] != "failing":
            self.assertLess(time.time(), deadline, self.sinks(node))
            time.sleep(0.1)
        sink = self.sinks(node)["keyed"]
        self.assertIn("takes no rows without a key", sink["hint"], sink)
        self.assertEqual(sink["rows_refused"], 0)
        self.assertEqual(node.end(), 0)


@unittest.skipIf(postgres.missing(), postgres.missing())
class Stores(Sinks):
    def test_all_have_the_same_rows_after_each_was_killed(self):
        out = self.path("out")
        os.mkdir(out)
        with postgres.Server({"synchronous_commit": "on", "max_connections": "30"}) as server:
            settings = ("server.out.type=file", "server.out.folder=" + out, "server.db.type=postgres",
                        f"server.db.connection=host={server.folder} user=oracle dbname=postgres")
            node = self.serve(*settings)
            for name, text in QUERIES.items():
                node.add(name, text)
                self.publish(node, name + "_csv", name, "server = 'out', format = 'csv', rotate_size = '64 kB'")
                self.publish(node, name + "_jsonl", name, "server = 'out', format = 'jsonl', rotate_size = '64 kB'")
                self.publish(node, name + "_db", name, "server = 'db'")
                self.publish(node, name + "_bus", name, f"server = 'bus', topic = 'all.{name}', partitions = 2")
            self.send_for(node, 4)
            self.kill(server)
            self.send_for(node, 3)
            server.launch()
            self.cluster.kill(1)
            self.send_for(node, 3)
            self.cluster.start(1)
            node = self.restart(node, *settings)
            self.send_for(node, 3)
            os.rename(out, out + ".away")
            self.send_for(node, 2)
            os.rename(out + ".away", out)
            # All at once.
            self.kill(server)
            self.cluster.kill(1)
            self.send_for(node, 1)
            node = self.restart(node, *settings)
            server.launch()
            self.cluster.start(1)
            self.send_for(node, 3)
            time.sleep(6)  # Revisions are over.
            self.wait_for_sinks(node)
            # What was shown last is behind what memory has: from here on it comes from SQLite.
            node.wait_until_kept()
            node = self.restart(node, *settings)
            self.wait_for_sinks(node)
            for name in QUERIES:
                expected = self.of_history(node, name)
                self.assertGreater(len(expected), 20, name)
                self.assert_same(self.of_csv(out, name + "_csv"), expected, name + " in CSV")
                self.assert_same(self.of_jsonl(out, name + "_jsonl"), expected, name + " in JSONL")
                self.assert_same(self.of_kafka("all." + name), expected, name + " in Kafka")
                if name != "rows":
                    self.assertTrue(any(row.revision > 1 for row in expected), f"{name}: nothing was revised")
                    expected = self.newest(expected)
                self.assert_same(self.of_postgres(server, name), expected, name + " in PostgreSQL")
            for sink in self.sinks(node).values():
                self.assertEqual((sink["rows_missed"], sink["rows_refused"]), (0, 0), sink)
            self.assertEqual(node.end(), 0)

    @staticmethod
    def kill(server):
        """kill -9 of the server and of all that it has started."""
        children = subprocess.run(["pgrep", "-P", str(server.process.pid)], stdout=subprocess.PIPE, text=True).stdout.split()
        server.process.kill()
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                pass
        server.process.wait()


if __name__ == "__main__":
    sys.exit(kafka.main_with_cluster(Sinks, VERSION, harness.main))

#!/usr/bin/env python3
"""Rounds of faults under load, three brokers: whoever is killed, stands still or is cut off, every window has in the end exactly
what was sent in it. But for an edge that is killed: then windows that say that they are not complete may have less, and all
that they have less is told to be lost.

BACKSTREAM_ROUNDS (3): how many; BACKSTREAM_ROUNDS_SEED: which ones, as a run before has printed it."""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import kafka    # noqa: E402
import nodes    # noqa: E402
from nodes import MATRIX  # noqa: E402

QUERIES = ["matrix", "matrix1", "matrix2"]


class Rounds(nodes.Case):
    brokers = 3
    links = ("ams", "rio", "merge_0", "merge_1")

    def worker(self, number):
        return self.merge("kafka.replication=3", "kafka.min_insync_replicas=2", name=f"merge_{number}", roles="merge")

    def receiver(self):
        return self.node("receiver", "kafka.replication=3", "kafka.min_insync_replicas=2", roles="receiver")

    def lost(self, query):
        return next(shown["ledger"]["lost"] for shown in self.shown.get("/api/v1/queries")["queries"] if shown["name"] == query)

    def has_all(self, query, sent):
        shown = self.counted(self.shown, query)
        if not self.killed_edges:
            return shown == sent and self.lost(query) == 0
        complete = {nodes.seconds_of(start): part["complete"]
                    for start, (part, _) in self.seen[query].items()}
        if any(n > sent[place] for place, n in shown.items()):
            return False
        if any(shown.get(place) != n for place, n in sent.items() if complete.get(place[0], False)):
            return False
        return sum(sent.values()) - sum(shown.values()) == self.lost(query)

    # The faults; each returns when all runs again.
    def worker_is_killed(self):
        number = self.random.randrange(2)
        self.workers[number].end(signal.SIGKILL)
        time.sleep(self.random.uniform(0, 12))
        self.workers[number] = self.worker(number)

    def worker_stands_still(self):
        worker = self.random.choice(self.workers)
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(1, 16))  # The session is 10 s.
        worker.process.send_signal(signal.SIGCONT)

    def worker_is_stopped(self):
        number = self.random.randrange(2)
        self.assertEqual(self.workers[number].end(), 0)
        self.workers[number] = self.worker(number)

    def receiver_is_killed(self):
        for query in QUERIES:
            self.collect(self.shown, query)
        self.shown.end(signal.SIGKILL)
        self.shown = self.receiver()

    def broker_is_killed(self):
        number = self.random.randint(1, 3)
        self.cluster.kill(number)
        time.sleep(self.random.uniform(0, 10))
        self.cluster.start(number)

    def broker_stands_still(self):
        number = self.random.randint(1, 3)
        self.cluster.pause(number)
        time.sleep(self.random.uniform(1, 15))
        self.cluster.resume(number)

    def edge_stands_still(self):
        edge = self.random.choice(list(self.edges.values()))
        edge.process.send_signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(1, 15))  # Absent after 10 s. Its socket holds what comes.
        edge.process.send_signal(signal.SIGCONT)

    def edge_is_killed(self):
        name = self.random.choice(list(self.edges))
        self.edges[name].end(signal.SIGKILL)
        self.killed_edges += 1
        time.sleep(self.random.uniform(0, 5))
        self.edges[name] = self.edge(name)
        self.load.routers[list(self.edges).index(name)].port = self.edges[name].flow_port

    def link_is_cut(self):
        name = self.random.choice(self.links)
        self.cluster.links[name].cut()
        time.sleep(self.random.uniform(1, 20))  # An edge is absent after 10 s, a worker's session ends then.
        self.cluster.links[name].mend()

    def test_windows_have_what_was_sent_in_them(self):
        seed = int(os.environ.get("BACKSTREAM_ROUNDS_SEED", time.time_ns() % 1_000_000))
        rounds = int(os.environ.get("BACKSTREAM_ROUNDS", 3))
        print(f"  BACKSTREAM_ROUNDS_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        self.shown = self.receiver()
        self.workers = [self.worker(number) for number in range(2)]
        self.edges = {name: self.edge(name) for name in ("ams", "rio")}
        self.killed_edges = 0
        for query in QUERIES:
            self.shown.add(query, MATRIX)
        self.runs_at([self.shown, *self.workers, *self.edges.values()], QUERIES[-1])
        load = self.load = nodes.Load([edge.router() for edge in self.edges.values()])
        self.until(lambda: all(self.counted(self.shown, query) for query in QUERIES), "windows of all queries", 90)
        faults, left = [self.worker_is_killed, self.worker_stands_still, self.worker_is_stopped, self.receiver_is_killed,
                        self.broker_is_killed, self.broker_stands_still, self.edge_stands_still, self.edge_is_killed,
                        self.link_is_cut], []
        for number in range(rounds):
            if not left:
                left = self.random.sample(faults, len(faults))
            fault = left.pop()
            begin = time.monotonic()
            fault()
            time.sleep(self.random.uniform(0, 5))
            for query in QUERIES:
                self.collect(self.shown, query)
            print(f"  round {number + 1}: {fault.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
        time.sleep(2)
        sent = load.end()
        for query in QUERIES:
            try:
                self.until(lambda: self.has_all(query, sent), f"{query} has what was sent", 120)
            except AssertionError:
                shown = self.counted(self.shown, query)
                for place in sorted({*sent, *shown}):
                    if sent.get(place) != shown.get(place):
                        print(f"  {place}: sent {sent.get(place)}, shown {shown.get(place)}")
                print(f"  {self.lost(query)} are told to be lost")
                for node in (self.shown, *self.workers, *self.edges.values()):
                    print("\n  ".join(node.lines[-30:]), "\n")
                raise
        page = self.shown.get("/metrics")
        self.assertIn('backstream_results_dropped_total{reason="refused"} 0', page)
        self.assertIn('backstream_results_dropped_total{reason="lost"} 0', page)
        print(f"  {sum(sent.values())} flows in {len({window for window, _ in sent})} windows of each of {len(QUERIES)} queries")


if __name__ == "__main__":
    sys.exit(nodes.main())

#!/usr/bin/env python3
"""Changes under load, three brokers: workers come and go, every node and every broker is restarted on purpose, one at a time, as
an upgrade does it. Each window has exactly what was sent in it, and is marked where an edge was away, and nowhere else.

BACKSTREAM_BROKERS_CHANGE=1: once more, while a fourth broker takes the place of the first one."""
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import kafka    # noqa: E402
import nodes    # noqa: E402
from nodes import MATRIX, WINDOW_S, seconds_of  # noqa: E402

QUERIES = ["matrix", "matrix1", "matrix2"]
SITES = ["ams", "rio"]
# An edge says that it was away from its watermark on: watermark.delay, and times in whole seconds.
WATERMARK_BEHIND_S = 3
# From then on all edges have a new query (docs/design/0028-merge-workers.md).
QUERY_BEGINS_S = 10


class Changes(nodes.Case):
    brokers = 3
    replicated = ("kafka.replication=3", "kafka.min_insync_replicas=2")

    def worker(self, number):
        return self.merge(*self.replicated, name=f"merge-{number}", roles="merge")

    def receiver(self):
        return self.node("receiver", *self.replicated, roles="receiver")

    def start_all(self):
        self.shown = self.receiver()
        self.workers = {number: self.worker(number) for number in (1, 2)}
        self.edges = [self.edge(name) for name in SITES]
        self.away = []  # (site, from, to) of edges.
        for query in QUERIES:
            self.shown.add(query, MATRIX)
        self.runs_at([self.shown, *self.workers.values(), *self.edges], QUERIES[-1])
        self.whole_from = time.time() + QUERY_BEGINS_S
        self.load = nodes.Load([edge.router() for edge in self.edges])
        self.go_on("windows of all queries", 90)

    def shares(self, *wanted):
        """Until the workers have so many of the partitions, in any order."""
        def are_shared():
            return sorted(int(re.search(r"^backstream_merge_partitions (\d+)$", worker.get("/metrics"), re.M).group(1))
                          for worker in self.workers.values()) == sorted(wanted)
        self.until(are_shared, f"{len(wanted)} workers have {', '.join(map(str, wanted))} of the partitions")

    def go_on(self, what, patience=60):
        """Until each query has given a window that began after now."""
        now = time.time()
        self.until(lambda: all(any(seconds_of(start) > now for start in self.collect(self.shown, query)) for query in QUERIES),
                   what, patience)

    def restart_edge(self, number):
        self.load.set_router(number, None)
        begin = time.time()
        self.assertEqual(self.edges[number].end(), 0)
        self.edges[number] = self.edge(SITES[number])
        self.away.append(("site-" + SITES[number], begin - WATERMARK_BEHIND_S, time.time()))
        self.load.set_router(number, self.edges[number].router())

    def check(self):
        time.sleep(2)
        sent = self.load.end()
        for query in QUERIES:
            try:
                self.until(lambda: self.counted(self.shown, query) == sent, f"{query} has what was sent", 120)
                self.until(lambda: all(part["final"] for part, _ in self.collect(self.shown, query).values()),
                           f"all of {query} are final")
            except AssertionError:
                shown = self.counted(self.shown, query)
                for place in sorted({*sent, *shown}):
                    if sent.get(place) != shown.get(place):
                        print(f"  {place}: sent {sent.get(place)}, shown {shown.get(place)}")
                for node in (self.shown, *self.workers.values(), *self.edges):
                    print("\n  ".join(node.lines[-30:]), "\n")
                raise
            windows = {seconds_of(start): part for start, (part, _) in self.collect(self.shown, query).items()}
            marked = {start: part.get("sites_missing", []) for start, part in windows.items() if not part["complete"]}
            away_in = lambda start: {site for site, since, until in self.away if start < until and since < start + WINDOW_S}
            for start, sites in marked.items():
                if start >= self.whole_from:
                    self.assertTrue(sites and set(sites) <= away_in(start), f"{start} of {query} misses {sites}: {self.away}")
            for site, _, _ in self.away:
                self.assertTrue(any(site in sites for start, sites in marked.items() if site in away_in(start)),
                                f"{site} was away, and no window of {query} says so: {marked}, {self.away}")
            self.assertTrue(all("sites_missing" not in part for part in windows.values() if part["complete"]))
            self.assertGreater(len(windows), 2 * len(marked))
            print(f"  {query}: {sum(sent.values())} flows in {len(windows)} windows, {len(marked)} of them marked incomplete")
        page = self.shown.get("/metrics")
        for reason in ("refused", "lost", "version_unknown"):
            self.assertIn(f'backstream_results_dropped_total{{reason="{reason}"}} 0', page)

    def test_workers_come_and_go_and_everything_is_restarted(self):
        self.start_all()
        self.workers[3] = self.worker(3)
        self.shares(1, 1, 1)
        self.assertEqual(self.workers.pop(1).end(), 0)
        self.shares(1, 2)
        for query in QUERIES:
            self.collect(self.shown, query)
        self.assertEqual(self.shown.end(), 0)
        self.shown = self.receiver()
        for number in list(self.workers):
            self.assertEqual(self.workers[number].end(), 0)
            self.workers[number] = self.worker(number)
            self.shares(1, 2)
        for number in range(len(SITES)):
            self.restart_edge(number)
        for number in (1, 2, 3):
            begin = time.monotonic()
            self.cluster.stop(number)
            self.cluster.start(number)
            print(f"  broker {number} was restarted: {time.monotonic() - begin:.2f} s", flush=True)
        self.go_on("windows of all queries after every broker was restarted")
        self.check()

    @unittest.skipUnless(os.environ.get("BACKSTREAM_BROKERS_CHANGE"), "BACKSTREAM_BROKERS_CHANGE=1 asks for it")
    def test_a_fourth_broker_takes_the_place_of_the_first(self):
        self.start_all()
        self.cluster.add(4)
        moved = self.cluster.move_partitions(1, 4)
        self.assertGreater(moved, 0)
        self.go_on("windows of all queries after partitions were moved")
        self.cluster.stop(1)
        self.go_on("windows of all queries without the first broker")
        # Who starts now finds the others by the brokers that are left.
        self.assertEqual(self.workers[2].end(), 0)
        self.workers[2] = self.worker(2)
        self.restart_edge(0)
        self.shares(1, 2)
        self.go_on("windows of all queries after restarts without it")
        self.check()
        print(f"  {moved} partitions were moved")


if __name__ == "__main__":
    sys.exit(nodes.main())

"""Edges, merge workers and receivers as processes of their own, for the suites that watch them."""
import collections
import datetime
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import daemon   # noqa: E402
import harness  # noqa: E402
import kafka    # noqa: E402

PATIENCE_S = 60
WINDOW_S = 5
MATRIX = (f"SELECT window_start, src_as, sum(octets) AS octets, count(*) AS n FROM tumble(flows, time, interval '{WINDOW_S} s') "
          "GROUP BY window_start, src_as")


class Load:
    """Sends from a thread of its own, and knows what was sent: (window, src_as) -> flows. The router of a number is None while
    its edge is away (set_router)."""

    def __init__(self, routers):
        self.routers, self.sent, self.lock = list(routers), collections.Counter(), threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.05):
            with self.lock:
                for number, router in enumerate(self.routers):
                    if router is None:
                        continue
                    at = int(time.time())
                    router.send(3 + number, at=at, src_as=64500 + number)
                    self.sent[(at - at % WINDOW_S, 64500 + number)] += 3 + number

    def set_router(self, number, router):
        with self.lock:
            if self.routers[number] is not None:
                self.routers[number].close()
            self.routers[number] = router

    def end(self):
        self._stop.set()
        self._thread.join()
        return self.sent


def seconds_of(time_text):
    return int(datetime.datetime.fromisoformat(time_text).timestamp())


class Case(daemon.Case):
    """@param version  of Kafka; BACKSTREAM_KAFKA_VERSION is another one
    @param brokers  of the cluster, 1 or 3
    @param links    names of nodes whose way to the brokers can be cut: cluster.links[name]"""
    version, brokers, links = os.environ.pop("BACKSTREAM_KAFKA_VERSION", "4"), 1, ()  # No setting of the nodes.

    def setUp(self):
        super().setUp()
        self.cluster = self.make_cluster()
        self.cluster.__enter__()
        self.addCleanup(self.cluster.__exit__, None, None, None)
        # By query: window_start -> (its first part, {src_as: (octets, n)}), the newest revision of all that was seen.
        # Receivers keep results in memory only.
        self.seen = collections.defaultdict(dict)

    def make_cluster(self):
        return kafka.Cluster(self.version, brokers=self.brokers, links=self.links)

    def node(self, name, *settings, roles, **options):
        brokers = self.cluster.bootstrap_of(name) if name in self.links else self.cluster.bootstrap
        return self.serve(f"node.name={name}", f"node.site=site-{name}", f"node.roles={roles}", "catalog.store=kafka",
                          f"kafka.brokers={brokers}", "kafka.timeout=5s", "kafka.partitions=3",
                          "state.folder=" + self.path(name), *settings, **options)

    def edge(self, name, *settings):
        # Exporters that fall silent must not hold the last window for long.
        return self.node(name, "watermark.idle_timeout=3s", *settings, roles="edge")

    def merge(self, *settings, name="merge", roles="merge,receiver"):
        return self.node(name, "merge.absent_after=10s", *settings, roles=roles)

    def command(self, *arguments, server, code=0):
        """What it prints, to either output, on the way to this exit code."""
        result = self.run_backstream(*arguments, "--server", f"http://127.0.0.1:{server.port}")
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout + result.stderr

    def until(self, condition, what, patience=PATIENCE_S):
        begin = time.monotonic()
        while True:
            found = condition()
            if found:
                print(f"  {what}: {time.monotonic() - begin:.2f} s", flush=True)
                return found
            self.assertLess(time.monotonic(), begin + patience, what)
            time.sleep(0.05)

    def collect(self, receiver, query="matrix"):
        """What is to be seen of the matrix now. Equal revisions have equal rows, whoever gives them."""
        windows, seen = {}, self.seen[query]
        for part in receiver.get(f"/api/v1/queries/{query}/results?limit=1000000")["windows"]:
            at = windows.setdefault(part["window_start"], (part, {}))
            if part["revision"] > at[0]["revision"]:
                at = windows[part["window_start"]] = (part, {})
            for row in part["rows"]:
                at[1][row[1]] = (row[2], row[3])
        for start, (part, rows) in windows.items():
            before = seen.get(start)
            if before and before[0]["revision"] == part["revision"] and before[0]["final"] == part["final"]:
                self.assertEqual(before[1], rows, start)
            if before is None or before[0]["revision"] <= part["revision"]:
                seen[start] = (part, rows)
        return seen

    def counted(self, receiver, query="matrix"):
        """(window, src_as) -> flows, by the newest revision of each window"""
        return {(seconds_of(start), key): n
                for start, (_, rows) in self.collect(receiver, query).items() for key, (_, n) in rows.items()}

    def counts(self, receiver, query="matrix"):
        """src_as -> flows counted in all windows"""
        total = collections.Counter()
        for _, rows in self.collect(receiver, query).values():
            for key, (_, n) in rows.items():
                total[key] += n
        return total

    def until_counted(self, receiver, sent, what, query="matrix"):
        def same():
            return self.counts(receiver, query) == sent
        try:
            self.until(same, what)
        except AssertionError:
            print(f"sent {sent}, counted {self.counts(receiver, query)}", *receiver.lines, sep="\n  ")
            for start, (part, rows) in sorted(self.seen[query].items()):
                print(" ", start, part["revision"], part["final"], part["complete"], part.get("sites_missing"), rows)
            raise

    def runs_at(self, nodes, name):
        def running():
            return all(any(query["name"] == name and query["state"] == "running" for query in node.get("/api/v1/queries")["queries"])
                       for node in nodes)
        self.until(running, f"{name} runs everywhere", 30)


def main(version=None):
    """Runs the suite and gives its exit status; where Kafka's jars are not there, that of a test that was skipped."""
    if why := kafka.missing(version or Case.version):
        print(f"skipped: {why}")
        return kafka.SKIPPED
    return harness.main()

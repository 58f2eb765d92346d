#!/usr/bin/env python3
"""Several `backstream serve` with one catalog in a real Kafka: what one is told all do; without brokers they go on."""
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import daemon   # noqa: E402
import harness  # noqa: E402
import kafka    # noqa: E402
import nodes    # noqa: E402

PATIENCE_S = 120
MATRIX = "SELECT window_start, src_as, sum(octets) AS octets FROM tumble(flows, time, interval '1 s') GROUP BY window_start, src_as"


class Catalog(daemon.Case):
    def setUp(self):
        super().setUp()
        self.cluster = kafka.Cluster("4", brokers=1)
        self.cluster.__enter__()
        self.addCleanup(self.cluster.__exit__, None, None, None)

    def settings(self, name):
        return [f"node.name={name}", f"node.site=site-{name}", "catalog.store=kafka", f"kafka.brokers={self.cluster.bootstrap}",
                "kafka.timeout=5s", "state.folder=" + self.path(name)]

    def node(self, name, *settings, **options):
        return self.serve(*self.settings(name), *settings, **options)

    def until(self, condition, what):
        begin = time.monotonic()
        while True:
            found = condition()
            if found:
                print(f"  {what}: {time.monotonic() - begin:.2f} s", flush=True)
                return found
            self.assertLess(time.monotonic(), begin + PATIENCE_S, what)
            time.sleep(0.02)

    @staticmethod
    def queries(node):
        return {query["name"]: query["state"] for query in node.get("/api/v1/queries")["queries"]}

    def test_what_one_is_told_all_do(self):
        a, b = self.node("a"), self.node("b")
        a.add("matrix", MATRIX)
        self.until(lambda: self.queries(b).get("matrix") == "running", "added at a, runs at b")
        router = b.router()
        def results():
            router.send(5, src_as=64500)
            return b.get("/api/v1/queries/matrix/results")["windows"]
        self.until(results, "it has results at b")
        router.close()
        self.assertEqual({node["name"] for node in a.get("/api/v1/nodes")["nodes"]}, {"a", "b"})

        # What the one altered the other one runs; what is paused is paused.
        code, _ = b.request("PUT", "/api/v1/queries/matrix", {"text": MATRIX.replace("sum(octets)", "count(*)")})
        self.assertEqual(code, 200)
        self.until(lambda: a.get("/api/v1/queries/matrix")["version"] == 2, "altered at b, another version at a")
        self.assertEqual(b.request("POST", "/api/v1/queries/matrix/pause")[0], 200)
        self.until(lambda: self.queries(a)["matrix"] == "paused", "paused at b, paused at a")
        self.assertEqual(b.request("DELETE", "/api/v1/queries/matrix")[0], 200)
        self.until(lambda: "matrix" not in self.queries(a), "dropped at b, gone at a")

        # Two at once.
        for number in range(10):
            codes, threads = {}, []
            for name, node in (("a", a), ("b", b)):
                def add(name=name, node=node):
                    codes[name] = node.request("POST", "/api/v1/queries", {"name": f"q{number}", "text": MATRIX, "comment": name})
                threads.append(threading.Thread(target=add))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(code for code, _ in codes.values()), [201, 409], codes)
            winner = next(name for name, (code, _) in codes.items() if code == 201)
            for node in (a, b):
                self.until(lambda: f"q{number}" in self.queries(node), f"q{number} is everywhere")
                self.assertEqual(node.get(f"/api/v1/queries/q{number}")["comment"], winner)
        audits = [[(entry["revision"], entry["author"], entry["verb"], entry["name"]) for entry in node.get("/api/v1/audit?limit=1000")["entries"]]
                  for node in (a, b)]
        self.assertEqual(audits[0], audits[1])

        # A node that comes later, and one that comes back.
        c = self.node("c")
        self.assertEqual(self.queries(c), self.queries(a))
        self.assertEqual(b.end(), 0)
        for number in range(10):
            self.assertEqual(a.request("DELETE", f"/api/v1/queries/q{number}")[0], 200)
        b = self.node("b")
        self.assertEqual(self.queries(b), {})

    def test_tables_are_everywhere(self):
        a, b = self.node("a"), self.node("b")
        for text in ("CREATE TABLE names (asn bigint PRIMARY KEY, name text)", "INSERT INTO names VALUES (64500, 'ours')"):
            code, answer = a.request("POST", "/api/v1/tables", {"text": text})
            self.assertIn(code, (200, 201), answer)
        a.add("named", "SELECT n.name, f.octets FROM flows f JOIN names n ON n.asn = f.src_as")
        self.until(lambda: self.queries(b).get("named") == "running", "a query of a table runs at b")

    def test_without_brokers(self):
        a = self.node("a")
        a.add("kept", MATRIX)
        b = self.node("b")
        self.assertEqual(self.queries(b), {"kept": "running"})
        self.assertEqual(b.end(), 0)
        self.cluster.kill()
        code, problem = a.request("POST", "/api/v1/queries", {"name": "refused", "text": MATRIX})
        self.assertEqual((code, problem["code"]), (500, "58030"), problem)
        self.assertIn("changed", problem["detail"])
        self.assertEqual(self.queries(a), {"kept": "running"})
        # Who knows the catalog starts without them, who does not waits for its supervisor.
        b = self.node("b")
        self.assertEqual(self.queries(b), {"kept": "running"})
        self.assertIn("backstream_catalog_following 0", b.get("/metrics"))
        c = self.node("c", wait=False)
        c.said(r"Kafka at \S+ does not answer")
        self.assertEqual(c.process.wait(PATIENCE_S), 1)
        self.cluster.start()
        self.until(lambda: b.request("POST", "/api/v1/queries", {"name": "again", "text": MATRIX})[0] == 201, "b makes changes again")
        self.until(lambda: self.queries(a).get("again") == "running", "a hears of it")

    def test_a_copy_that_is_used_is_not_restored(self):
        a = self.node("a")
        a.add("kept", MATRIX)
        def restore():
            arguments = [argument for setting in self.settings("a") for argument in ("--set", setting)]
            return subprocess.run([harness.BINARY, "catalog", "restore", *arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        used = restore()
        self.assertEqual(used.returncode, 1)
        self.assertIn("is in use by another process", used.stderr)
        self.assertEqual(a.end(), 0)
        nothing = restore()
        self.assertEqual(nothing.returncode, 1)
        self.assertIn("nothing is lost", nothing.stderr)


if __name__ == "__main__":
    sys.exit(nodes.main("4"))

#!/usr/bin/env python3
"""Where rows are sent: files and PostgreSQL have the rows that were shown, each once, over kills of both sides."""
import csv
import glob
import json
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))

import daemon
import harness
import postgres

QUERIES = {
    "flows_by_as": "SELECT window_start, src_as, count(*) AS flows FROM tumble(flows, time, interval '1 s') GROUP BY 1, 2",
    "totals": "SELECT window_start, count(*) AS flows, sum(octets_raw) AS octets FROM tumble(flows, time, interval '2 s') GROUP BY 1",
    "revised": "CREATE MATERIALIZED VIEW revised WITH (allowed_lateness = '3 s') AS SELECT window_start, src_as, count(*) AS flows "
               "FROM tumble(flows, time, interval '1 s') GROUP BY 1, 2",
    "without_window": "SELECT time, src_as, octets_raw FROM flows WHERE src_as = 3",
    "top": "SELECT window_start, src_as, sum(octets_raw) AS octets FROM tumble(flows, time, interval '1 s') GROUP BY 1, 2 "
           "ORDER BY octets DESC, src_as LIMIT 2",
}


class Sinks(daemon.Case):
    def send_for(self, node, duration):
        router = node.router("127.0.0.1")
        end = time.time() + duration
        while time.time() < end:
            for src_as in range(1, 4):
                router.send(2, src_as=src_as)
            if int(time.time() * 10) % 7 == 0:
                router.send(1, at=int(time.time()) - 3, src_as=2)  # Late: a revision where there is room for one.
            time.sleep(0.1)
        router.close()

    def change(self, node, text, status=200):
        got, content = node.request("POST", "/api/v1/sinks", {"text": text, "source": "test"})
        self.assertEqual(got, status, content)
        return content

    def sink(self, node, name):
        return next(s for s in node.get("/api/v1/sinks")["sinks"] if s["name"] == name)

    def wait_for(self, condition, what):
        deadline = time.time() + 60
        while not condition():
            self.assertLess(time.time(), deadline, what() if callable(what) else what)
            time.sleep(0.1)

    def has_all(self, node, names):
        sinks = {s["name"]: s for s in node.get("/api/v1/sinks")["sinks"]}
        return all(sinks[n]["state"] == "running" and sinks[n]["behind_since"] is None and sinks[n]["last_seq"] > 0 for n in names)

    def shown(self, node, query):
        """What the API has of a query: (window, values as text, revision, op), sorted."""
        rows = []
        after = 0
        while True:
            page = node.get(f"/api/v1/queries/{query}/results?revisions=true&after={after}&limit=10000")
            for w in page["windows"]:
                for row in w["rows"]:
                    rows.append((w["window_start"] or "", tuple(str(v) for v in row), w["revision"], "d" if w["removed"] else "u"))
            if page["next"] is None:
                return sorted(rows)
            after = page["next"]

    def of_jsonl(self, folder, sink):
        rows = []
        for name in glob.glob(os.path.join(folder, sink + "-*.jsonl*")):
            with open(name) as file:
                for line in file:
                    row = json.loads(line)
                    values = tuple(str(v) for k, v in row.items() if not k.startswith("_"))
                    rows.append((row["_window_start"] or "", values, row["_rev"], row["_op"]))
        return sorted(rows)

    @staticmethod
    def as_json_time(text):
        return text.replace(" ", "T").replace("+00", "Z") if text.endswith("+00") else text

    def of_csv(self, folder, sink):
        rows = []
        for name in glob.glob(os.path.join(folder, sink + "-*.csv*")):
            with open(name, newline="") as file:
                for row in csv.DictReader(file):
                    values = tuple(self.as_json_time(v) for k, v in row.items() if not k.startswith("_"))
                    rows.append((self.as_json_time(row["_window_start"]), values, int(row["_rev"]), row["_op"]))
        return sorted(rows)

    def test_files_have_each_row_once_over_kills(self):
        out = self.path("out")
        os.mkdir(out)
        settings = ("server.out.type=file", "server.out.folder=" + out)
        node = self.serve(*settings)
        for name, text in QUERIES.items():
            node.add(name, text)
            for form in ("csv", "jsonl"):
                self.change(node, f"CREATE PUBLICATION {name}_{form} FOR TABLE {name} WITH (server = 'out', format = '{form}', "
                                  "rotate_size = '64 kB')")
        names = [f"{name}_{form}" for name in QUERIES for form in ("csv", "jsonl")]
        for _ in range(3):
            self.send_for(node, 4)
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
            node = self.serve(*settings)
        self.send_for(node, 4)
        time.sleep(5)  # Revisions are over.
        self.wait_for(lambda: self.has_all(node, names), lambda: node.get("/api/v1/sinks"))
        self.assertEqual(node.end(), 0)
        node = self.serve(*settings)
        self.wait_for(lambda: self.has_all(node, names), lambda: node.get("/api/v1/sinks"))
        for name in QUERIES:
            shown = self.shown(node, name)
            self.assertGreater(len(shown), 3, name)
            self.assertEqual(self.of_jsonl(out, name + "_jsonl"), shown, name)
            self.assertEqual(self.of_csv(out, name + "_csv"), shown, name)
        self.assertTrue(any(revision > 1 for _, _, revision, _ in self.shown(node, "revised")), "nothing was revised")
        result = self.run_backstream("sink", "list", "--server", f"http://127.0.0.1:{node.port}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"totals_csv +totals +out +file +running")
        result = self.run_backstream("sink", "test", "top_csv", "--server", f"http://127.0.0.1:{node.port}")
        self.assertIn("files can be written in " + out, result.stdout, result.stderr)
        before = len(self.of_jsonl(out, "totals_jsonl"))
        result = self.run_backstream("sink", "replay", "totals_jsonl", "--server", f"http://127.0.0.1:{node.port}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.wait_for(lambda: self.sink(node, "totals_jsonl")["rows_replayed"] == before,
                      lambda: self.sink(node, "totals_jsonl"))
        self.assertEqual(len(self.of_jsonl(out, "totals_jsonl")), 2 * before)

    def test_in_the_shell_and_mistakes(self):
        node = self.serve()
        url = f"http://127.0.0.1:{node.port}"
        node.add("totals", QUERIES["totals"])
        result = self.run_backstream("sql", "--server", url, "-c",
                                     "CREATE PUBLICATION p FOR TABLE totals WITH (server = 'out')")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("there is no server 'out'", result.stderr)
        self.assertIn("[server.NAME]", result.stderr)
        self.assertEqual(node.end(), 0)
        os.mkdir(self.path("out"))
        node = self.serve("server.out.type=file", "server.out.folder=" + self.path("out"))
        url = f"http://127.0.0.1:{node.port}"
        result = self.run_backstream("sql", "--server", url, "-c",
                                     "CREATE PUBLICATION p FOR TABLE totals WHERE (flows > 0) WITH (server = 'out')")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("CREATE PUBLICATION", result.stdout)
        self.send_for(node, 4)
        self.wait_for(lambda: self.sink(node, "p")["rows"] > 0, lambda: node.get("/api/v1/sinks"))
        # A folder that goes away, and comes back: nothing is lost.
        os.rename(self.path("out"), self.path("away"))
        self.send_for(node, 4)
        self.wait_for(lambda: self.sink(node, "p")["state"] == "failing", lambda: node.get("/api/v1/sinks"))
        self.assertIn("No such file", self.sink(node, "p")["error"])
        os.rename(self.path("away"), self.path("out"))
        self.wait_for(lambda: self.has_all(node, ["p"]), lambda: node.get("/api/v1/sinks"))
        self.assertEqual(self.of_csv(self.path("out"), "p"), self.shown(node, "totals"))
        result = self.run_backstream("sql", "--server", url, "-c", "DROP PUBLICATION p")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(node.get("/api/v1/sinks")["sinks"], [])

    @unittest.skipIf(postgres.missing(), postgres.missing())
    def test_postgresql_has_each_row_once_over_kills_of_both(self):
        with postgres.Server({"synchronous_commit": "on"}) as server:
            settings = ("server.db.type=postgres", f"server.db.connection=host={server.folder} user=oracle dbname=postgres")
            node = self.serve(*settings)
            for name, text in QUERIES.items():
                node.add(name, text)
                self.change(node, f"CREATE PUBLICATION {name} FOR TABLE {name} WITH (server = 'db')")
            for life in range(3):
                self.send_for(node, 3)
                server.process.send_signal(signal.SIGQUIT)  # As a crash: what was not committed is gone.
                server.process.wait()
                self.send_for(node, 2)
                if life == 1:
                    node.process.send_signal(signal.SIGKILL)
                    node.process.wait()
                    node = self.serve(*settings)
                server.launch()
                self.send_for(node, 2)
            time.sleep(5)
            self.wait_for(lambda: self.has_all(node, QUERIES), lambda: node.get("/api/v1/sinks"))
            for name in QUERIES:
                shown = self.shown(node, name)
                newest = {}
                for window, values, revision, op in shown:
                    if window:
                        newest[window] = max(newest.get(window, 0), revision)
                self.assertGreater(len(shown), 3, name)
                if name == "without_window":
                    expected = len(shown)
                else:
                    # A row keeps the newest revision that it had; removed ones are gone.
                    keys = {}
                    width = 2 if name != "totals" else 1
                    for window, values, revision, op in sorted(shown, key=lambda row: row[2]):
                        keys[(window, values[:width])] = op
                    expected = sum(op == "u" for op in keys.values())
                count = server.psql(f'SELECT count(*) FROM "{name}"').strip("\0\n")
                self.assertEqual(int(count), expected, name)
                if name == "flows_by_as":
                    total = server.psql('SELECT sum(flows) FROM "flows_by_as"').strip("\0\n")
                    self.assertEqual(int(total), sum(int(values[2]) for _, values, _, _ in shown))
            result = self.run_backstream("sink", "test", "totals", "--server", f"http://127.0.0.1:{node.port}")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("PostgreSQL 15", result.stdout)


if __name__ == "__main__":
    sys.exit(harness.main())

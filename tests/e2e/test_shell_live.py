#!/usr/bin/env python3
"""The shell and the other commands against a daemon that runs: the same tests as against the stand-in, but those whose
answers must be known beforehand."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import daemon
import harness

TOTAL = "CREATE MATERIALIZED VIEW total AS SELECT window_start, count(*) AS flows FROM tumble(flows, received_at, interval '1 s') GROUP BY 1"


class Commands(daemon.Case):
    def setUp(self):
        super().setUp()
        self.node = self.serve()
        self.url = f"http://127.0.0.1:{self.node.port}"
        self.traffic = self.start("generate", "--to", f"udp://127.0.0.1:{self.node.flow_port}", "--rate", "500",
                                  "--records", "500000")

    def ask(self, *arguments, code=0, **options):
        result = self.run_backstream(*arguments, env={**os.environ, "BACKSTREAM_SERVER": self.url}, **options)
        self.assertEqual(result.returncode, code, (arguments, result.stdout, result.stderr))
        return result

    def test_the_shell_through_a_terminal(self):
        here = os.path.dirname(os.path.abspath(__file__))
        result = subprocess.run([sys.executable, os.path.join(here, "test_shell.py"), harness.BINARY], text=True,
                                env={**os.environ, "BACKSTREAM_TEST_SERVER": self.url}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=400)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertGreaterEqual(int(re.search(r"(\d+) passed, 0 failed", result.stdout).group(1)), 20, result.stdout)

    def test_files_are_the_truth(self):
        folder = self.path("queries")
        os.mkdir(folder)
        self.write("queries/total.sql", "-- all of it\n" + TOTAL + ";\n")
        self.write("queries/two.sql", "CREATE VIEW large AS SELECT * FROM total WHERE flows > 10;\n"
                                      "CREATE MATERIALIZED VIEW doubled AS SELECT window_start, flows * 2 AS n FROM large;\n")
        plan = self.ask("query", "apply", folder, "--dry-run").stdout
        self.assertIn("total", plan)
        self.assertEqual(self.node.get("/api/v1/queries")["queries"], [])
        self.ask("query", "apply", folder)
        names = [q["name"] for q in self.node.get("/api/v1/queries")["queries"]]
        self.assertEqual(names, ["doubled", "large", "total"])
        again = self.ask("query", "apply", folder)
        self.assertIn("nothing", (again.stdout + again.stderr).lower())
        self.write("queries/two.sql", "CREATE VIEW large AS SELECT * FROM total\nWHERE flws > 10")
        wrong = self.ask("query", "apply", folder, code=3)
        self.assertRegex(wrong.stderr, r"two\.sql:2:7: error")
        os.remove(self.path("queries/two.sql"))
        self.ask("query", "apply", folder, "--prune")
        self.assertEqual([q["name"] for q in self.node.get("/api/v1/queries")["queries"]], ["total"])

    def test_tail_status_and_the_others(self):
        self.ask("query", "add", "-e", TOTAL)
        head = subprocess.run(f"{harness.BINARY} tail total -o jsonl --server {self.url} | head -3", shell=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        lines = [json.loads(line) for line in head.stdout.splitlines()]
        self.assertEqual((len(lines), head.returncode), (3, 0))
        # Where the first rows come after two seconds or more it says why, and nothing else.
        self.assertRegex(head.stderr, r"\A(backstream: no rows yet: .*\n)*\Z")
        self.assertTrue(all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["window_start"]) for line in lines))
        tail = subprocess.Popen([harness.BINARY, "tail", "total", "-o", "jsonl", "--server", self.url], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        self.assertEqual(tail.wait(30), 130)
        tail.communicate()
        self.assertIn("ready", self.ask("status").stdout)
        self.assertIn("running", self.ask("query", "list").stdout)
        self.assertIn("tumble", self.ask("query", "show", "total").stdout)
        self.assertIn("tumble", self.ask("query", "explain", "total").stdout)
        self.ask("query", "pause", "total")
        self.ask("query", "resume", "total")
        self.ask("query", "alter", "total", "-e", TOTAL.replace("'1 s'", "'2 s'"))
        self.assertIn("+", self.ask("query", "diff", "total").stdout)
        self.assertIn("2", self.ask("query", "history", "total").stdout)
        self.assertIn("sites", self.ask("query", "move", "total", "--sites", "ams,ams", code=3).stderr)
        self.assertEqual(self.ask("query", "move", "total", "--sites", "ams", "--placement", "edge").stdout, "altered total (version 3)\n")
        self.assertIn("did you mean", self.ask("query", "drop", "totl", code=6).stderr)
        audit = self.ask("audit", "-o", "jsonl").stdout
        self.assertIn("cli 127.0.0.1", audit)
        document = self.ask("catalog", "export", self.path("catalog.json"))
        self.assertIn("total", open(self.path("catalog.json")).read() if os.path.exists(self.path("catalog.json")) else document.stdout)
        self.ask("exporter", "list")
        self.ask("node", "list")
        self.ask("query", "drop", "total")
        self.assertEqual(self.ask("tail", "total", code=6).stdout, "")
        down = self.run_backstream("query", "list", "--server", "http://127.0.0.1:1")
        self.assertEqual(down.returncode, 4)
        self.assertIn("backstream serve", down.stderr)

    def test_doctor_and_metrics(self):
        self.ask("query", "add", "-e", TOTAL)
        deadline = time.time() + 30
        while self.node.get("/api/v1/status")["ingest"]["flows"] == 0:
            self.assertLess(time.time(), deadline)
            time.sleep(0.1)
        result = self.run_backstream("doctor", "--json", "--server", self.url)
        self.assertIn(result.returncode, (0, 1), result.stdout)
        checks = {c["id"]: c for c in json.loads(result.stdout)["checks"]}
        self.assertEqual(len(checks), 25)
        for check in ("D01", "D02", "D03", "D07", "D14", "D15"):
            self.assertEqual(checks[check]["state"], "ok", checks[check])
        page = self.node.get("/metrics")
        for name in ("backstream_build_info", "backstream_query_rows_in_total", "backstream_http_requests_total",
                     "backstream_catalog_revision"):
            self.assertRegex(page, rf"(?m)^{name}(\{{|\s)")
        flows = re.search(r'(?m)^backstream_edge_flows_total\{[^}]*\} (\d+)', page)
        self.assertGreater(int(flows.group(1)), 0)


if __name__ == "__main__":
    sys.exit(harness.main())

#!/usr/bin/env python3
"""What packaging/grafana asks for is there: Prometheus takes each expression and this program has each metric in it;
PostgreSQL answers each statement over tables that sinks have filled."""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))

import daemon
import harness
import postgres

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
STARTERS = ("traffic_matrix", "protocol_mix", "top_talkers")


def dashboard(name):
    with open(os.path.join(ROOT, "packaging", "grafana", name + ".json")) as file:
        return json.load(file)


def targets(board):
    """(title of the panel, target) of all panels that ask something."""
    return [(panel["title"], target) for panel in board["panels"] for target in panel.get("targets", [])]


class Nodes(harness.Case):
    def expressions(self):
        return [(title, target["expr"]) for title, target in targets(dashboard("nodes"))]

    def test_each_metric_is_one_of_ours(self):
        with open(os.path.join(ROOT, "docs", "metrics.md")) as file:
            known = set(re.findall(r"^\| `(\w+)`", file.read(), flags=re.M))
        self.assertGreater(len(known), 100)
        for title, expression in self.expressions():
            names = set(re.findall(r"\b(?:backstream|process)_\w+", expression))
            self.assertTrue(names, title)
            for name in names:
                self.assertTrue(re.sub(r"_bucket$", "", name) in known, f"{title}: {name}")

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not here")
    def test_prometheus_takes_each_expression(self):
        rules = []
        for number, (_, expression) in enumerate(self.expressions()):
            for macro, value in (("$__rate_interval", "5m"), ("$instance", ".*"), ("$query", ".*")):
                expression = expression.replace(macro, value)
            self.assertNotIn("$", expression)
            rules.append({"record": f"panel:{number}", "expr": expression})
        self.assertGreater(len(rules), 40)
        # JSON is YAML.
        file = self.write("rules.yml", json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        result = subprocess.run(["promtool", "check", "rules", file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)
        self.assertEqual(result.returncode, 0, result.stdout)


class Results(daemon.Case):
    @unittest.skipIf(postgres.missing(), postgres.missing())
    def test_postgresql_answers_each_statement(self):
        with postgres.Server() as server:
            node = self.serve("server.db.type=postgres",
                              f"server.db.connection=host={server.folder} user=oracle dbname=postgres")
            for name in STARTERS:
                with open(os.path.join(ROOT, "queries", name + ".sql")) as file:
                    # The same columns, in windows that close within this test.
                    node.add(name, re.sub(r"interval '\d+ s'", "interval '1 s'", file.read()))
                status, answer = node.request("POST", "/api/v1/sinks", {
                    "text": f"CREATE PUBLICATION {name} FOR TABLE {name} WITH (server = 'db')", "source": "test"})
                self.assertEqual(status, 200, answer)
            router = node.router("127.0.0.1")
            deadline = time.time() + 60
            while any(sink["rows"] == 0 for sink in node.get("/api/v1/sinks")["sinks"]):
                self.assertLess(time.time(), deadline, node.get("/api/v1/sinks"))
                router.send(2, src_as=1)
                time.sleep(0.1)
            router.close()
            asked = targets(dashboard("results"))
            self.assertGreater(len(asked), 5)
            for title, target in asked:
                statement = target["rawSql"]
                for macro, value in (("${schema}", "public"), ("${top}", "10")):
                    statement = statement.replace(macro, value)
                statement = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '1 hour' AND now()", statement)
                self.assertNotIn("$", statement, title)
                count = server.psql(f"\\set ON_ERROR_STOP on\nSELECT count(*) FROM ({statement}) AS rows;").strip("\0\n")
                if title == "Which sites were missing":
                    self.assertEqual(count, "0", title)
                else:
                    self.assertGreater(int(count), 0, title)


if __name__ == "__main__":
    sys.exit(harness.main())

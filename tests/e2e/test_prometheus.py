#!/usr/bin/env python3
"""Results for Prometheus: pages, files and commands, that promtool takes and a real Prometheus reads."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.parse
import urllib.request

import daemon
import harness

# Names that have to be escaped; of AS 3 there is none.
BY_NAME = r"""SELECT window_start, CASE src_as WHEN 1 THEN E'a "b" \\ \n c' WHEN 2 THEN '' WHEN 4 THEN 'größe' END AS name,
  count(*) AS flows, sum(octets_raw) AS octets, avg(octets_raw) AS mean
FROM tumble(flows, time, interval '2 s') GROUP BY 1, 2"""
NAMES = {'a "b" \\ \n c': 'a "b" \\ \n c', "": '""', None: None, "größe": "größe"}  # As rows and as labels have them.
EMPTY_LABEL = r'name="\"\""'


def series(text, family):
    """{labels as written: value} of a family."""
    return dict(re.findall(r"^" + family + r"\{(.*)\} (\S+)$", text, re.MULTILINE))


class Prometheus(daemon.Case):
    def send_for(self, node, duration):
        router = node.router("127.0.0.1")
        end = time.time() + duration
        while time.time() < end:
            for src_as in range(1, 5):
                router.send(src_as, src_as=src_as, octets=100 * src_as + int(time.time()) % 7)
            time.sleep(0.1)
        router.close()

    def publish(self, node, text):
        status, content = node.request("POST", "/api/v1/sinks", {"text": text, "source": "test"})
        self.assertEqual(status, 200, content)

    def wait_for(self, condition, what=""):
        deadline = time.time() + 60
        while True:
            found = condition()
            if found:
                return found
            self.assertLess(time.time(), deadline, what() if callable(what) else what)
            time.sleep(0.1)

    def windows(self, node, query):
        """{window_start: rows} of what is kept."""
        page = node.get(f"/api/v1/queries/{query}/results?limit=100000")
        self.assertIsNone(page["next"])
        windows = {}
        for part in page["windows"]:
            windows.setdefault(part["window_start"], []).extend(part["rows"])
        return windows

    def test_a_query_s_newest_window_in_every_way_that_gives_it(self):
        os.mkdir(self.path("out"))
        node = self.serve("server.out.type=file", "server.out.folder=" + self.path("out"), "server.prom.type=prometheus",
                          "decode.sampling_default=100")
        url = f"http://127.0.0.1:{node.port}"
        node.add("by_name", BY_NAME)
        node.add("sampled", "SELECT window_start, src_as, sum(octets) AS octets, sum_stderr(octets) AS error "
                            "FROM tumble(flows, time, interval '2 s') GROUP BY 1, 2")
        self.publish(node, "CREATE PUBLICATION f FOR TABLE by_name WITH (server = 'out', format = 'prometheus')")
        self.publish(node, "CREATE PUBLICATION p FOR TABLE by_name (window_start, name, octets) WITH (server = 'prom')")
        self.publish(node, "CREATE PUBLICATION few FOR TABLE by_name (window_start, name, octets) "
                           "WITH (server = 'prom', series_max = '2')")
        self.send_for(node, 7)
        self.wait_for(lambda: len(self.windows(node, "by_name")) >= 2)
        time.sleep(2)  # What is on its way is there.
        newest = max(self.windows(node, "by_name").items())

        page = node.get("/api/v1/queries/by_name/results?format=prometheus")
        octets = series(page, "backstream_result_by_name_octets")
        self.assertEqual(sorted(octets.values(), key=float), sorted((str(row[3]) for row in newest[1]), key=float))
        self.assertEqual(len(newest[1]), 4)
        self.assertIn(r'query="by_name",name="a \"b\" \\ \n c"', octets)
        self.assertIn('query="by_name"', octets)
        self.assertIn('query="by_name",' + EMPTY_LABEL, octets)
        self.assertIn('query="by_name",name="größe"', octets)
        self.assertEqual(series(page, "backstream_newest_window_complete"), {'query="by_name"': "1"})
        status, refused = node.request("GET", "/api/v1/queries/by_name/results?format=prometheus&limit=5")
        self.assertEqual(status, 422, refused)
        status, answer = node.request("GET", "/api/v1/queries/by_name/results", headers={"Accept": "text/plain;version=0.0.4"})
        self.assertEqual((status, answer), (200, page))

        everything = node.get("/metrics/results")
        shown = series(everything, "backstream_result_by_name_octets")
        self.assertEqual({k.replace('publication="p",', "").replace(',publication="p"', ""): v
                          for k, v in shown.items() if 'publication="p"' in k}, octets)
        few = series(node.get("/metrics/results/few"), "backstream_result_by_name_octets")
        self.assertEqual(sorted(map(float, few.values())), sorted(map(float, octets.values()))[-2:])
        self.assertNotIn("mean", everything)
        self.assertEqual(node.request("GET", "/metrics/results/none")[0], 404)
        with open(self.path("out/f.prom")) as file:
            self.assertEqual(file.read().replace(',publication="f"', ""), page)

        if shutil.which("promtool"):
            for text in (page, everything, node.get("/metrics")):
                checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
                self.assertEqual((checked.returncode, checked.stdout), (0, ""), checked.stderr)

        listed = self.run_backstream("sink", "list", "--server", url).stdout
        self.assertRegex(listed, r"few +by_name +prom +prometheus +running .*beyond series_max")
        self.assertRegex(listed, r"\bp +by_name +prom +prometheus +running")
        self.assertRegex(self.run_backstream("sink", "test", "few", "--server", url).stdout,
                         r"few: Prometheus can read /metrics/results/few: the window that ended at \S+, 2 of its 4 rows")
        self.assertGreater(node.metric('backstream_sink_left_out_rows_total{sink="few"}'), 0)
        self.assertEqual(node.metric('backstream_sink_left_out_rows_total{sink="p"}'), 0)
        refused = self.run_backstream("sink", "replay", "p", "--server", url)
        self.assertIn("has nothing to send again", refused.stderr)

        for command in (("tail", "by_name", "--exit-at-end"), ("sql", "--windows", "1", "-c", BY_NAME)):
            if command[0] == "sql":
                router = node.router("127.0.0.1")
                process = self.start(*command, "-o", "prometheus", "--server", url)
                while process.poll() is None:
                    router.send(1, src_as=1)
                    time.sleep(0.1)
                text, error = process.stdout.read(), process.stderr.read()
                router.close()
            else:
                result = self.run_backstream(*command, "-o", "prometheus", "--server", url)
                text, error = result.stdout, result.stderr
            self.assertTrue(text.endswith("# EOF\n"), text + error)
            last = text.split("# EOF\n")[-2]
            if command[0] == "tail":
                self.assertEqual(last, page)
            else:
                self.assertIn("_octets{", last)

        # A sum of sampled flows and its standard error: which is which is said in every form.
        page = node.get("/api/v1/queries/sampled/results")
        self.assertEqual([c for c in page["columns"] if "stderr_of" in c],
                         [{"name": "error", "type": "double precision", "stderr_of": "octets"}])
        self.assertEqual([c["name"] for c in page["columns"] if c.get("key")], ["src_as"])
        text = node.get("/api/v1/queries/sampled/results?format=prometheus")
        errors, sums = (series(text, "backstream_result_sampled_octets" + s) for s in ("_stderr", ""))
        self.assertEqual(errors.keys(), sums.keys())
        self.assertGreaterEqual(len(sums), 1)
        self.assertTrue(all(0 < float(errors[k]) < float(sums[k]) for k in sums), (errors, sums))
        table = self.run_backstream("tail", "sampled", "--exit-at-end", "-o", "table", "--server", url).stdout
        self.assertRegex(table, r"\| +±\d+(\.\d+)? %\n")
        lines = self.run_backstream("tail", "sampled", "--exit-at-end", "-o", "jsonl", "--server", url).stdout
        self.assertGreater(json.loads(lines.splitlines()[-1])["error"], 0)

        # kill -9: what is shown then is the newest window of history.
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        os.unlink(self.path("out/f.prom"))
        node = self.serve("server.out.type=file", "server.out.folder=" + self.path("out"), "server.prom.type=prometheus")
        self.wait_for(lambda: node.request("GET", "/metrics/results/p")[0] == 200 and os.path.exists(self.path("out/f.prom")))
        start = max(self.windows(node, "by_name"))
        begins = series(node.get("/metrics/results/p"), "backstream_newest_window_start_timestamp_seconds")
        self.assertEqual([time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(t))) for t in begins.values()], [start])
        doctor = self.run_backstream("doctor", "--server", f"http://127.0.0.1:{node.port}").stdout
        self.assertRegex(doctor, r"warn +D25  sinks: few left out \d+ rows beyond series_max")
        url = f"http://127.0.0.1:{node.port}"
        said = self.run_backstream("sql", "--server", url, "-c", "DROP PUBLICATION p").stdout
        self.assertEqual(said, "DROP PUBLICATION p: rows of by_name go to server prom (prometheus) no more; its page is gone\n")
        self.assertEqual(node.request("GET", "/metrics/results/p")[0], 404)
        said = self.run_backstream("sql", "--server", url, "-c",
                                   "CREATE PUBLICATION p FOR TABLE by_name WITH (server = 'prom')").stdout
        self.assertIn("CREATE PUBLICATION p: the newest window of by_name stands at /metrics/results/p for server prom", said)
        self.assertIn("backstream sink test p", said)
        refused = self.run_backstream("sql", "--server", f"http://127.0.0.1:{node.port}", "-c",
                                      "CREATE PUBLICATION q FOR TABLE by_name (window_start, name) WITH (server = 'prom')")
        self.assertIn("gives Prometheus nothing to measure", refused.stderr)

    @unittest.skipUnless(shutil.which("prometheus"), "the package prometheus is not installed")
    def test_a_real_prometheus_has_the_rows_of_history(self):
        node = self.serve("server.prom.type=prometheus")
        node.add("by_name", BY_NAME)
        self.publish(node, "CREATE PUBLICATION p FOR TABLE by_name WITH (server = 'prom')")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.write("prometheus.yml",
                   "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
                   "scrape_configs: [{job_name: backstream, metrics_path: /metrics/results, "
                   f"static_configs: [{{targets: ['127.0.0.1:{node.port}']}}]}}]\n")
        with open(self.path("prometheus.log"), "w") as log:
            server = subprocess.Popen(["prometheus", "--config.file=" + self.path("prometheus.yml"),
                                       "--storage.tsdb.path=" + self.path("prometheus"),
                                       f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        self.addCleanup(lambda: (server.kill(), server.wait()))

        def ask(query):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query}),
                                        timeout=10) as answer:
                return json.load(answer)["data"]["result"]

        def is_up():
            self.assertIsNone(server.poll(), "Prometheus ended")
            try:
                return ask("up == 1")
            except OSError:
                return False

        self.wait_for(is_up)
        self.send_for(node, 12)
        windows = self.windows(node, "by_name")
        seen = {}
        # Series of one scrape have one time: which window it showed.
        for begin in ask('backstream_newest_window_start_timestamp_seconds{query="by_name"}[5m]'):
            for at, value in begin["values"]:
                seen[at] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(value)))
        compared = set()
        for column, family in ((2, "flows"), (3, "octets"), (4, "mean")):
            for one in ask(f"backstream_result_by_name_{family}[5m]"):
                for at, value in one["values"]:
                    if seen[at] not in windows:
                        continue  # It came after we asked.
                    row = next(r for r in windows[seen[at]] if NAMES[r[1]] == one["metric"].get("name"))
                    self.assertEqual(float(value), float(row[column]), (seen[at], one["metric"]))
                    compared.add((family, seen[at], row[1]))
        self.assertGreaterEqual(len({window for _, window, _ in compared}), 3, compared)
        self.assertEqual(len(compared) % 12, 0, "not all rows of each window")


if __name__ == "__main__":
    sys.exit(harness.main())

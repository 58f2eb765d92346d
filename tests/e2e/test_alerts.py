"""Alerts: thresholds that wobble, kills, endpoints that do not answer, scripts that misbehave, a real Alertmanager."""
import http.server
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

import daemon
import harness

WINDOW = 2  # Seconds.
RULE = """CREATE MATERIALIZED VIEW busy WITH ("alert.when" = 'rows > 20', "alert.clear" = 'rows < 10', {}
  "alert.severity" = 'page', "alert.labels" = 'team=noc', "alert.summary" = '{{src_port}} is busy: {{rows}} rows') AS
SELECT window_start, src_port, count(*) AS rows FROM tumble(flows, received_at, interval '{} s')
GROUP BY window_start, src_port"""


class Receiver:
    """A webhook: remembers what comes. `answer` may be a status, or None: never."""

    def __init__(self):
        self.notices, self.headers, self.answer = [], [], 200
        self._changed = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer._changed:
                    outer.notices.append(json.loads(body))
                    outer.headers.append(dict(self.headers))
                    outer._changed.notify_all()
                while outer.answer is None:
                    time.sleep(0.05)
                try:
                    self.send_response(outer.answer)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def wait(self, count, timeout=60):
        with self._changed:
            self._changed.wait_for(lambda: len(self.notices) >= count, timeout)
            return list(self.notices)

    def close(self):
        self.answer = 200
        self.server.shutdown()
        self.server.server_close()


class Alerts(daemon.Case):
    def receiver(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        return receiver

    def add_rule(self, server, options="", text=RULE):
        status, answer = server.request("POST", "/api/v1/queries",
                                        {"name": "busy", "text": text.format(options, WINDOW)})
        self.assertEqual(status, 201, answer)

    def router(self, server):
        router = daemon.Router(server.flow_port, "127.0.0.9")
        self.addCleanup(router.close)
        return router

    def windows(self, router, *rows):
        """Sends so many flows of port 53 in each of the next windows; one of port 80 keeps windows coming."""
        for count in rows:
            now = time.time()
            time.sleep(WINDOW - now % WINDOW + 0.2)  # Near the begin of a window, so that all are in one.
            router.send(1, sport=80)
            for _ in range(count // 25):
                router.send(25, sport=53)
            if count % 25:
                router.send(count % 25, sport=53)

    def states(self, receiver):
        return [notice["state"] for notice in receiver.notices]

    def test_a_wobble_is_one_page_and_one_resolve_and_none_again_after_a_kill(self):
        receiver = self.receiver()
        settings = ("notify.hook.type=webhook", "notify.hook.to=" + receiver.url(), "notify.hook.per_minute=600")
        server = self.serve(*settings)
        self.add_rule(server)
        router = self.router(server)
        self.windows(router, 5, 30, 15, 25, 12)
        first, = receiver.wait(1)
        self.assertEqual((first["v"], first["state"], first["alert"], first["severity"], first["key"]),
                         (1, "firing", "busy", "page", {"src_port": 53}))
        self.assertEqual((first["value"], first["value_column"], first["threshold"]), (30, "rows", "rows > 20"))
        self.assertEqual((first["labels"], first["query"], first["complete"]), ({"team": "noc"}, "busy@1", True))
        self.assertIn("53 is busy: 30 rows", first["message"])
        self.assertIn(first["url"], first["message"])
        self.assertIn("sampling", first)
        server.process.kill()
        server.process.wait()

        server = self.serve(*settings)
        router.port = server.flow_port
        status, alerts = server.request("GET", "/api/v1/alerts")
        self.assertEqual([a["state"] for a in alerts["alerts"]], ["firing"], alerts)
        self.assertEqual(alerts["alerts"][0]["id"], first["alert_id"])
        self.windows(router, 15, 25, 15, 15, 5, 5, 5, 5)
        receiver.wait(2)
        time.sleep(WINDOW + 1)
        self.assertEqual(self.states(receiver), ["firing", "resolved"])
        self.assertEqual(receiver.notices[1]["alert_id"], first["alert_id"])
        self.assertIsNotNone(receiver.notices[1]["ends_at"])
        self.assertEqual(server.request("GET", "/api/v1/alerts")[1]["alerts"], [])
        # It is over, and can still be looked at where its notices lead to.
        status, ended = server.request("GET", "/api/v1/alerts/ended?limit=10")
        self.assertEqual(([a["id"] for a in ended["alerts"]], ended["more"]), ([first["alert_id"]], False), ended)
        self.assertEqual([(n["state"], n["endpoints"]) for n in ended["alerts"][0]["notices"]], [("firing", ["hook"]), ("resolved", ["hook"])])
        self.assertEqual(ended["alerts"][0]["ends_at"], receiver.notices[1]["ends_at"])
        self.assertEqual(server.request("GET", "/api/v1/alerts/" + first["alert_id"])[1]["state"], "ended")
        self.assertTrue(first["url"].endswith("/alerts/" + first["alert_id"]) and "/api/" not in first["url"], first["url"])
        self.assertEqual(server.request("GET", "/alerts/" + first["alert_id"])[0], 200)
        self.assertEqual(server.request("GET", "/api/v1/alerts/ended?limit=0")[1], {"alerts": [], "more": True})

    def test_an_endpoint_that_never_answers_holds_up_no_other_and_gets_its_notice_after_a_kill(self):
        silent, good = self.receiver(), self.receiver()
        silent.answer = None
        settings = ("notify.a.type=webhook", "notify.a.to=" + silent.url(), "notify.a.timeout=300ms",
                    "notify.b.type=webhook", "notify.b.to=" + good.url())
        server = self.serve(*settings)
        self.add_rule(server)
        self.windows(self.router(server), 30, 30)
        self.assertEqual(len(good.wait(1)), 1)
        silent.wait(2)
        self.assertGreaterEqual(len(silent.notices), 2)
        self.assertEqual(len({n["id"] for n in silent.notices}), 1, "repeats have one id")
        page = server.request("GET", "/metrics")[1]
        self.assertRegex(page, r'backstream_notifications_waiting\{endpoint="a"\} 1')
        self.assertRegex(page, r'backstream_notifications_total\{endpoint="b",result="delivered"\} 1')
        checks = {c["id"]: c for c in server.request("GET", "/api/v1/doctor")[1]["checks"]}
        self.assertEqual(checks["D23"]["state"], "error", checks["D23"])
        server.process.kill()
        server.process.wait()
        silent.answer = 200
        before = len(silent.notices)
        server = self.serve(*settings)
        silent.wait(before + 1)
        time.sleep(1)
        self.assertEqual(len(silent.notices), before + 1)
        self.assertEqual(len({n["id"] for n in silent.notices}), 1)
        self.assertEqual(len(good.notices), 1)

    def script(self, name, text):
        path = self.path(name)
        with open(path, "w") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, stat.S_IRWXU)
        return path

    def test_scripts_that_ignore_their_input_hang_or_fail(self):
        told = self.path("told")
        scripts = {"good": f'echo "$@" >> {told}; cat >> {told}', "deaf": "exec <&-; exit 0", "hangs": "sleep 60 & sleep 60",
                   "fails": "exit 3"}
        settings = []
        for name, text in scripts.items():
            settings += [f"notify.{name}.type=script", f"notify.{name}.to=" + self.script(name + ".sh", text),
                         f"notify.{name}.timeout=500ms"]
        settings += ["notify.missing.type=script", "notify.missing.to=" + self.path("nowhere.sh")]
        server = self.serve(*settings)
        status, answer = server.request("POST", "/api/v1/alerts/test", {})
        self.assertEqual(status, 200, answer)
        results = {r["endpoint"]: r for r in answer["results"]}
        self.assertEqual({name: r["result"] for name, r in results.items()},
                         {"good": "delivered", "deaf": "delivered", "hangs": "refused", "fails": "refused",
                          "missing": "waiting"})
        self.assertIn("status 3", results["fails"]["error"])
        self.assertIn("killed", results["hangs"]["error"])
        self.assertIn("No such file", results["missing"]["error"])
        with open(told) as file:
            arguments, document = file.read().split("\n", 1)
        self.assertEqual(arguments, "- incoming 0 ban")
        self.assertEqual(json.loads(document)["state"], "test")

    def test_silences_acknowledgement_and_the_audit(self):
        receiver = self.receiver()
        settings = ("notify.hook.type=webhook", "notify.hook.to=" + receiver.url(), "notify.hook.body=chat")
        server = self.serve(*settings)
        self.add_rule(server)
        status, silence = server.request("POST", "/api/v1/silences",
                                         {"alert": "busy", "key": "src_port=53", "seconds": 600, "comment": "known"})
        self.assertEqual(status, 201, silence)
        router = self.router(server)
        self.windows(router, 30, 30)
        deadline = time.time() + 30
        alerts = []
        while not alerts and time.time() < deadline:
            alerts = server.request("GET", "/api/v1/alerts")[1]["alerts"]
            time.sleep(0.1)
        self.assertEqual([(a["state"], a["silenced"], a["notified"]) for a in alerts], [("firing", True, False)])
        status, answer = server.request("POST", f"/api/v1/alerts/{alerts[0]['id']}/ack", {"comment": "mine"})
        self.assertEqual((status, answer["acknowledged"]["comment"]), (200, "mine"), answer)
        self.assertEqual(receiver.notices, [])
        server.process.kill()
        server.process.wait()
        server = self.serve(*settings)
        alert = server.request("GET", "/api/v1/alerts/" + alerts[0]["id"])[1]
        self.assertEqual(alert["acknowledged"]["comment"], "mine")
        self.assertEqual(server.request("DELETE", f"/api/v1/silences/{silence['id']}")[0], 200)
        told, = receiver.wait(1)
        self.assertIn("*[firing] busy: src_port=53*", told["text"])
        verbs = [(e["kind"], e["verb"], e["name"]) for e in server.request("GET", "/api/v1/audit?kind=alert")[1]["entries"]]
        self.assertEqual(verbs, [("alert", "unsilence", "busy"), ("alert", "acknowledge", "busy"),
                                 ("alert", "silence", "busy")])

    def test_an_early_rule_fires_before_its_window_closes(self):
        receiver = self.receiver()
        server = self.serve("notify.hook.type=webhook", "notify.hook.to=" + receiver.url())
        text = """CREATE MATERIALIZED VIEW busy WITH (emit = 'on_change', every = '100 ms', "alert.early" = 'true',
          "alert.when" = 'rows > 20') AS SELECT window_start, src_port, count(*) AS rows
          FROM tumble(flows, received_at, interval '1 h') GROUP BY window_start, src_port"""
        self.add_rule(server, text=text)
        router = self.router(server)
        for _ in range(50):
            router.send(25, sport=53)
            if receiver.wait(1, 0.2):
                break
        first, = receiver.notices[:1]
        self.assertEqual((first["state"], first["key"]), ("firing", {"src_port": 53}))
        status, kept = server.request("GET", "/api/v1/queries/busy/results")
        self.assertFalse(any(w["final"] for w in kept["windows"]), "the window is open")
        time.sleep(1)
        self.assertEqual(len(receiver.notices), 1)

    def test_a_hundred_thousand_keys_at_once_are_a_thousand_alerts_and_one_that_says_how_many_more(self):
        receiver = self.receiver()
        server = self.serve("notify.hook.type=webhook", "notify.hook.to=" + receiver.url(), "notify.hook.per_minute=60000")
        server.add("flood", """CREATE MATERIALIZED VIEW flood WITH ("alert.when" = 'rows > 0') AS
            SELECT window_start, src_ip, src_port, dst_ip, dst_port, count(*) AS rows FROM tumble(flows, received_at, interval '6 s')
            GROUP BY window_start, src_ip, src_port, dst_ip, dst_port""")
        now = time.time()
        time.sleep(6 - now % 6 + 0.2)
        generated = self.run_backstream("generate", "--to", f"udp://127.0.0.1:{server.flow_port}", "--rate", "100000", "--records",
                                        "200000")
        self.assertEqual(generated.returncode, 0, generated.stderr)
        receiver.wait(1_001)
        listed = server.get("/api/v1/alerts")
        fired = [notice for notice in receiver.notices if notice["state"] == "firing"]
        more = [notice["more"] for notice in fired if notice["more"]]
        self.assertEqual((len(fired), len(more)), (1_001, 1))
        self.assertGreaterEqual(more[0], 99_000)
        self.assertLessEqual(len(listed["alerts"]), 1_001)
        # All end, and are told one by one; nothing is told twice.
        notices = receiver.wait(2_002)
        self.assertEqual([notice["state"] for notice in notices].count("resolved"), 1_001)
        self.assertEqual(len({notice["id"] for notice in notices}), 2_002)
        self.assertEqual(server.metric("backstream_alert_results_dropped_total"), 0)
        self.assertEqual(server.end(), 0)

    def test_syslog(self):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        self.addCleanup(receiver.close)
        server = self.serve("notify.log.type=syslog", f"notify.log.to=udp://127.0.0.1:{receiver.getsockname()[1]}")
        answer = server.request("POST", "/api/v1/alerts/test", {"endpoint": "log"})[1]
        self.assertEqual([r["result"] for r in answer["results"]], ["delivered"], answer)
        message = receiver.recv(65536).decode()
        self.assertRegex(message, r'^<29>1 \S+Z \S+ backstream - test \[backstream@32473 id="\w+-test" alert="test"')

    @unittest.skipUnless(shutil.which("prometheus-alertmanager"), "the package prometheus-alertmanager is not installed")
    def test_a_real_alertmanager_pages_once_and_resolves_once(self):
        receiver = self.receiver()
        with open(self.path("alertmanager.yml"), "w") as file:
            file.write("route: {receiver: hook, group_wait: 1s, group_interval: 1s, repeat_interval: 1h, group_by: ['...']}\n"
                       f"receivers: [{{name: hook, webhook_configs: [{{url: '{receiver.url()}'}}]}}]\n")
        port = free_port()
        with open(self.path("alertmanager.log"), "w") as log:
            manager = subprocess.Popen(["prometheus-alertmanager", "--config.file=" + self.path("alertmanager.yml"),
                                        "--storage.path=" + self.path("alertmanager"),
                                        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
                                       stdout=log, stderr=log)
        self.addCleanup(lambda: (manager.kill(), manager.wait()))
        url = f"http://127.0.0.1:{port}"
        deadline = time.time() + 60
        while True:
            try:
                urllib.request.urlopen(url + "/-/ready", timeout=1).read()
                break
            except OSError:
                self.assertIsNone(manager.poll(), "Alertmanager ended")
                self.assertLess(time.time(), deadline)
                time.sleep(0.1)
        settings = ("notify.am.type=alertmanager", "notify.am.to=" + url)
        server = self.serve(*settings)
        self.add_rule(server)
        router = self.router(server)
        self.windows(router, 30, 15, 25)
        receiver.wait(1)
        server.process.kill()
        server.process.wait()
        server = self.serve(*settings)
        router.port = server.flow_port
        self.windows(router, 15, 25, 15, 5, 5, 5)
        receiver.wait(2)
        time.sleep(3)
        self.assertEqual([n["status"] for n in receiver.notices], ["firing", "resolved"], receiver.notices)
        labels = receiver.notices[0]["alerts"][0]["labels"]
        self.assertEqual(labels, {"alertname": "busy", "severity": "page", "src_port": "53", "team": "noc"})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(harness.main())

#!/usr/bin/env python3
"""backstream serve: the register, results and API of a running daemon, under load and through kills."""
import calendar
import csv
import io
import json
import os
import random
import resource
import shutil
import signal
import socket
import sys
import threading
import time

import daemon
import harness

TOTAL = "SELECT window_start, count(*) AS flows, sum(octets_raw) AS octets FROM tumble(flows, received_at, interval '1 s') GROUP BY window_start"


def seconds(text):
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


class Load:
    """Sends datagrams of ten flows at a steady pace from a thread of its own, until stopped."""

    def __init__(self, node, pause=0.002, source="127.0.0.1"):
        self.router = node.router(source)
        self.pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(self.pause):
            self.router.send(10)

    def stop(self):
        self._stop.set()
        self._thread.join()
        self.router.close()
        return self.router.datagrams


class Serve(daemon.Case):
    def windows(self, events):
        return [data for name, _, data in events if name == "rows"]

    def settle(self, node, datagrams):
        """Until so many have been read."""
        deadline = time.time() + 60
        while True:
            ingest = node.get("/api/v1/status")["ingest"]
            if ingest["datagrams"] >= datagrams:
                return ingest
            self.assertLess(time.time(), deadline, f"{ingest} instead of {datagrams} datagrams")
            time.sleep(0.1)

    def test_a_query_is_added_seen_and_dropped(self):
        node = self.serve()
        done = node.add("total", TOTAL)
        self.assertEqual(done["done"], [{"name": "total", "verb": "add", "also": []}])
        self.assertEqual([c["name"] for c in done["query"]["columns"]], ["window_start", "flows", "octets"])
        stream = node.events("total")
        router = node.router()
        for _ in range(20):
            router.send(3)
            time.sleep(0.2)
        windows = self.windows(stream.wait(3))
        self.assertGreaterEqual(len(windows), 3)
        self.assertTrue(all(w["final"] and w["last"] for w in windows))
        # The first second had begun when the query came.
        self.assertTrue(all(w["complete"] for w in windows[1:]), windows)
        self.assertEqual([w["seq"] for w in windows], list(range(windows[0]["seq"], windows[0]["seq"] + len(windows))))
        kept = node.get("/api/v1/queries/total/results")
        for window, again in zip(windows, kept["windows"]):
            self.assertEqual(window["rows"], again["rows"])
        rows = [row for w in kept["windows"] for row in w["rows"]]
        table = list(csv.DictReader(io.StringIO(node.get("/api/v1/queries/total/results?format=csv"))))
        lines = [json.loads(line) for line in node.get("/api/v1/queries/total/results?format=jsonl").splitlines()]
        self.assertEqual([[int(r["flows"]), int(r["octets"])] for r in table][:len(rows)], [r[1:] for r in rows])
        self.assertEqual([[r["window_start"], r["flows"], r["octets"]] for r in lines][:len(rows)], rows)
        after = kept["windows"][0]["seq"]
        rest = node.get(f"/api/v1/queries/total/results?after={after}")
        self.assertEqual([w["seq"] for w in rest["windows"]][:2], [after + 1, after + 2])
        ingest = self.settle(node, router.datagrams)
        self.assertEqual((ingest["datagrams"], ingest["flows"], ingest["missing"]), (20, 60, 0))
        self.assertEqual(node.get("/api/v1/exporters")["exporters"][0]["address"], "127.0.0.1")
        code, _ = node.request("DELETE", "/api/v1/queries/total")
        self.assertEqual(code, 200)
        events = stream.wait(10_000, timeout=20)
        self.assertEqual(events[-1][0], "end")
        self.assertEqual(node.request("GET", "/api/v1/queries/total")[0], 404)
        verbs = [entry["verb"] for entry in node.get("/api/v1/audit")["entries"]]
        self.assertEqual(verbs, ["drop", "add", "join"])
        self.assertEqual(node.end(), 0)

    def test_mistakes_are_located(self):
        node = self.serve()
        cases = [
            ("SELECT src_ip FROM flow", 1, 20, 1, 24, "flow"),
            ("SELECT count(*) FROM tumble(flows, time, interval '1 s' GROUP BY window_start", None, None, None, None, ""),
        ]
        for text, line, column, end_line, end_column, word in cases:
            for method, target, body in (("POST", "/api/v1/queries", {"name": "q", "text": text}),
                                         ("PUT", "/api/v1/queries/q", {"text": text}),
                                         ("POST", "/api/v1/validate", {"name": "q", "text": text}),
                                         ("POST", "/api/v1/explain", {"text": text}),
                                         ("POST", "/api/v1/sessions", {"text": text}),
                                         ("POST", "/api/v1/apply", {"edits": [{"action": "add", "name": "q", "text": text}]})):
                code, problem = node.request(method, target, body)
                self.assertEqual(code, 422, (target, problem))
                self.assertGreater(problem["line"], 0, (target, problem))
                self.assertTrue(problem["detail"] and problem["code"], (target, problem))
                if line:
                    self.assertEqual([problem[k] for k in ("line", "column", "end_line", "end_column")],
                                     [line, column, end_line, end_column], (target, problem))
                    self.assertIn(word, problem["detail"])
                    self.assertIn("flows", problem["hint"])
        text = "SELECT window_start,\n\t'é' AS é, scr_ip FROM tumble(flows, time, interval '1 s')"
        code, problem = node.request("POST", "/api/v1/queries", {"name": "q", "text": text})
        self.assertEqual((code, problem["line"], problem["column"], problem["end_column"]), (422, 2, 12, 18), problem)
        self.assertIn("src_ip", problem["hint"])
        self.assertEqual(node.request("POST", "/api/v1/queries", "{")[0], 422)
        self.assertEqual(node.request("POST", "/api/v1/queries", {"text": 7})[0], 422)
        self.assertEqual(node.request("GET", "/api/v1/queries/none")[0], 404)
        node.add("total", TOTAL)
        code, problem = node.request("GET", "/api/v1/queries/totl/results")
        self.assertEqual((code, problem["hint"]), (404, "did you mean 'total'?"))
        self.assertEqual(node.request("POST", "/api/v1/queries", {"name": "total", "text": TOTAL})[0], 409)
        self.assertEqual(node.request("PUT", "/api/v1/queries/total", {"text": TOTAL}, {"If-Match": '"999"'})[0], 412)

    def test_five_hundred_adds_and_drops_leave_the_others_alone(self):
        node = self.serve("watermark.delay=2s")
        node.add("steady", TOTAL)
        node.add("by_source", "SELECT window_start, src_ip, sum(octets_raw) AS octets FROM tumble(flows, received_at, interval '2 s') GROUP BY 1, 2")
        stream = node.events("steady", "by_source")
        load = Load(node)
        time.sleep(1.5)
        kinds = ["SELECT window_start, dst_port, count(*) AS n FROM tumble(flows, received_at, interval '1 s') GROUP BY 1, 2",
                 "SELECT window_start, src_as, sum(octets) AS o FROM tumble(flows, time, interval '10 s') GROUP BY 1, 2",
                 "SELECT window_start, sum(octets_raw) AS o FROM hop(flows, received_at, interval '1 s', interval '3 s') GROUP BY 1",
                 "SELECT src_ip, dst_ip, packets FROM flows WHERE packets > 1000",
                 "SELECT window_start, flows FROM steady WHERE flows > 3"]
        added = failed = 0
        names = []
        lock = threading.Lock()

        def work(worker):
            nonlocal added, failed
            chance = random.Random(worker)
            for i in range(125):
                name = f"q{worker}_{i}"
                code, answer = node.request("POST", "/api/v1/queries", {"name": name, "text": chance.choice(kinds)})
                with lock:
                    added += code == 201
                    failed += code != 201
                    names.append(name)
                    victim = names.pop(chance.randrange(len(names))) if chance.random() < 0.8 else None
                if victim:
                    code, answer = node.request("DELETE", "/api/v1/queries/" + victim)
                    self.assertEqual(code, 200, answer)

        workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual((added, failed), (500, 0))
        for name in names:
            self.assertEqual(node.request("DELETE", "/api/v1/queries/" + name)[0], 200)
        time.sleep(0.5)
        sent = load.stop()
        ingest = self.settle(node, sent)
        self.assertEqual((ingest["datagrams"], ingest["missing"], ingest["kernel_drops"]), (sent, 0, 0))
        time.sleep(4)  # The last window closes.
        windows = self.windows(stream.wait(10**6, timeout=3))
        steady = [w for w in windows if w["query"] == "steady"]
        self.assertEqual(sum(row[1] for w in steady for row in w["rows"]), 10 * sent)
        self.assertEqual(sum(row[2] for w in steady for row in w["rows"]), 1000 * sent)
        self.assertEqual(sum(row[2] for w in windows if w["query"] == "by_source" for row in w["rows"]), 1000 * sent)
        starts = [seconds(w["window_start"]) for w in steady]
        self.assertEqual(starts, list(range(starts[0], starts[0] + len(starts))))
        self.assertTrue(all(w["complete"] for w in steady[1:]))
        self.assertEqual([q["name"] for q in node.get("/api/v1/queries")["queries"]], ["by_source", "steady"])
        self.assertEqual(node.end(), 0)

    def test_a_new_version_takes_over_without_a_gap(self):
        node = self.serve()
        node.add("total", TOTAL)
        stream = node.events("total")
        load = Load(node, pause=0.005)
        time.sleep(2)
        for n in range(3):
            text = TOTAL.replace("count(*) AS flows", f"count(*) AS flows, {n} AS generation")
            code, answer = node.request("PUT", "/api/v1/queries/total", {"text": text})
            self.assertEqual((code, answer["done"][0]["verb"]), (200, "alter"))
            time.sleep(1.7)
        sent = load.stop()
        self.settle(node, sent)
        time.sleep(3)
        windows = self.windows(stream.wait(10**6, timeout=2))
        starts = [seconds(w["window_start"]) for w in windows]
        self.assertEqual(starts, list(range(starts[0], starts[0] + len(starts))))
        self.assertEqual(sum(row[1] for w in windows for row in w["rows"]), 10 * sent)
        self.assertEqual(sorted({w["version"] for w in windows}), [1, 2, 3, 4])
        versions = node.get("/api/v1/queries/total/history")["versions"]
        self.assertEqual([v["version"] for v in versions], [4, 3, 2, 1])

    def test_killed_at_any_instant_the_catalog_has_what_was_acknowledged(self):
        chance = random.Random(7)
        there, maybe = set(), {}
        for round_number in range(8):
            node = self.serve()
            names = {q["name"] for q in node.get("/api/v1/queries")["queries"]}
            for name, was_to_be in maybe.items():
                # What was not answered happened or did not.
                if name in names:
                    there.add(name)
                else:
                    there.discard(name)
            self.assertEqual(names, there, f"round {round_number}")
            maybe = {}
            killer = threading.Timer(chance.random() * 0.6, lambda: node.process.send_signal(signal.SIGKILL))
            i = 0
            while node.process.poll() is None:
                name = f"q{round_number}_{i}"
                i += 1
                drop = there and chance.random() < 0.4
                if drop:
                    name = chance.choice(sorted(there))
                try:
                    maybe[name] = not drop
                    if drop:
                        code, _ = node.request("DELETE", "/api/v1/queries/" + name)
                    else:
                        code, _ = node.request("POST", "/api/v1/queries", {"name": name, "text": TOTAL})
                    self.assertIn(code, (200, 201))
                    del maybe[name]
                    (there.discard if drop else there.add)(name)
                    if i == 1:
                        killer.start()  # However slow the machine is, something was acknowledged.
                except (OSError, EOFError, daemon.http.client.HTTPException):
                    break
            self.assertIsNotNone(killer.ident, "the first change was not answered")
            killer.join()
            node.process.wait()

    def test_reload_under_load_loses_nothing(self):
        config = self.write("b.toml", '[watermark]\ndelay = "1s"\n')
        node = self.serve_with(config)
        node.add("total", TOTAL)
        load = Load(node, pause=0.001)
        good = bad = 0
        for n in range(20):
            time.sleep(0.1)
            if n % 3 == 2:
                self.write("b.toml", "[watermark]\ndeley = 1\n")
                bad += 1
            else:
                self.write("b.toml", f'[watermark]\ndelay = "{n + 1}s"\n')
                good += 1
            if n % 2:
                node.process.send_signal(signal.SIGHUP)
            else:
                code, text = node.request("POST", "/-/reload")
                self.assertEqual(code, 422 if n % 3 == 2 else 200, text)
                if n % 3 == 2:
                    self.assertIn("delay", text["hint"])
        sent = load.stop()
        ingest = self.settle(node, sent)
        self.assertEqual((ingest["datagrams"], ingest["missing"], ingest["kernel_drops"]), (sent, 0, 0))
        node.said(r"b\.toml:2:1: error")
        node.said(r"settings stay as they were")
        self.assertEqual(node.process.poll(), None)
        # Who is heard changes at once.
        self.write("b.toml", '[ingest]\nallow = ["127.0.0.9"]\n')
        self.assertIn("ingest.allow", node.request("POST", "/-/reload")[1])
        node.router().send(1)
        node.router("127.0.0.9").send(1)
        deadline = time.time() + 30
        while node.get("/api/v1/status")["ingest"]["not_allowed"] != 1:
            self.assertLess(time.time(), deadline)
            time.sleep(0.1)
        self.settle(node, sent + 1)

    def serve_with(self, config):
        process = self.start("serve", "--config", config, "--set", "state.folder=" + self.path("state"),
                             "--set", "listen.flow=udp://127.0.0.1:0", "--set", "http.listen=http://127.0.0.1:0",
                             "--set", "exec.ready_memory=0")
        node = daemon.Daemon(self, process)
        node.wait_until_up()
        return node

    def test_a_stream_resumes_without_gap_or_repeat(self):
        node = self.serve()
        node.add("total", TOTAL)
        load = Load(node, pause=0.02)
        seen, last = [], None
        for _ in range(4):
            stream = node.events("total", headers={"Last-Event-ID": last}.items() if last else ())
            events = stream.wait(2, timeout=30)
            stream.close()
            events = [e for e in events if e[0] == "rows"]
            self.assertGreaterEqual(len(events), 2)
            seen += [data["seq"] for _, _, data in events]
            last = events[-1][1]
            time.sleep(1.5)  # Windows close that nobody hears.
        load.stop()
        self.assertEqual(seen, list(range(seen[0], seen[0] + len(seen))))
        kept = node.get("/api/v1/queries/total/results")
        self.assertEqual(kept["windows"][0]["seq"] + len(kept["windows"]) - 1, kept["last_seq"])

    def test_a_select_without_a_name_ends_with_its_reader(self):
        node = self.serve()
        code, answer = node.request("POST", "/api/v1/sessions", {"text": TOTAL})
        self.assertEqual(code, 201, answer)
        self.assertEqual([c["name"] for c in answer["columns"]], ["window_start", "flows", "octets"])
        load = Load(node, pause=0.02)
        stream = node.events(answer["name"])
        self.assertTrue(stream.wait(2))
        self.assertEqual(node.get("/api/v1/queries")["queries"], [])
        self.assertEqual(node.get("/api/v1/status")["clients"]["sessions"], 1)
        self.assertEqual(node.request("POST", "/api/v1/queries", {"name": answer["name"], "text": TOTAL})[0], 422)
        stream.close()
        deadline = time.time() + 40
        while node.request("GET", "/api/v1/queries/" + answer["name"])[0] != 404:
            self.assertLess(time.time(), deadline)
            time.sleep(0.5)
        load.stop()
        code, answer = node.request("POST", "/api/v1/sessions", {"text": TOTAL})
        self.assertEqual(node.request("DELETE", "/api/v1/sessions/" + answer["name"])[0], 204)
        self.assertEqual(node.request("GET", "/api/v1/queries/" + answer["name"])[0], 404)

    def test_a_flow_has_the_site_of_its_exporter_or_of_the_node(self):
        node = self.serve("node.site=ams", "exporter.127.0.0.2.site=fra")
        node.add("by_site", "SELECT window_start, site, count(*) AS flows FROM tumble(flows, received_at, interval '1 s') GROUP BY 1, 2")
        stream = node.events("by_site")
        node.router().send(3)
        node.router("127.0.0.2").send(4)
        rows = {row[1]: row[2] for w in self.windows(stream.wait(2, timeout=5)) for row in w["rows"]}
        self.assertEqual(rows, {"ams": 3, "fra": 4})

    def test_a_query_moves_to_other_sites_at_the_begin_of_a_window(self):
        node = self.serve("node.site=ams", "exporter.127.0.0.2.site=fra")
        text = "SELECT window_start, site, count(*) AS flows FROM tumble(flows, received_at, interval '1 s') GROUP BY 1, 2"
        node.add("by_site", f"CREATE MATERIALIZED VIEW by_site WITH (sites = 'ams') AS {text}")
        stream = node.events("by_site")
        server = f"http://127.0.0.1:{node.port}"
        loads = [Load(node, pause=0.01), Load(node, pause=0.01, source="127.0.0.2")]

        def move(version, *flags):
            time.sleep(2.5)
            result = self.run_backstream("query", "move", "by_site", *flags, "--server", server)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, f"altered by_site (version {version})\n", ""))
        try:
            move(2, "--sites", "fra", "--placement", "edge")
            move(3, "--sites", "all")
            refused = self.run_backstream("query", "move", "by_site", "--sites", "fra,,ams", "--server", server)
            time.sleep(2.5)
        finally:
            for load in loads:
                load.stop()
        windows = self.windows(stream.wait(10**6, timeout=3))
        starts = [seconds(w["window_start"]) for w in windows]
        self.assertEqual(starts, list(range(starts[0], starts[0] + len(starts))), "no window is left out or comes twice")
        sites = {1: {"ams"}, 2: {"fra"}, 3: {"ams", "fra"}}
        self.assertEqual({w["version"] for w in windows}, set(sites))
        for window in windows:
            self.assertLessEqual({row[1] for row in window["rows"]}, sites[window["version"]], window)
        self.assertEqual({version: {row[1] for w in windows if w["version"] == version for row in w["rows"]} for version in sites}, sites)
        query = node.get("/api/v1/queries/by_site")
        self.assertEqual(query["placement"], {"where": "edge", "sites": [], "filters": {}, "absent_sites": "mark"})
        self.assertEqual(query["text"], f"CREATE MATERIALIZED VIEW by_site WITH (placement = 'edge') AS {text}")
        self.assertIn('by_site (moved):1:73: error: a site without a name in sites', refused.stderr)
        self.assertEqual(refused.returncode, 3)

        node.add("lost", f"CREATE MATERIALIZED VIEW lost WITH (sites = 'ams,frq', \"filter.ams\" = 'octets > 5') AS {text}")
        shown = self.run_backstream("query", "show", "lost", "--server", server).stdout
        self.assertIn("placed    sites ams, frq; filter.ams: octets > 5\n", shown)
        found = {check["id"]: check for check in node.get("/api/v1/doctor")["checks"]}["D14"]
        self.assertEqual((found["state"], found["text"]), ("warning", "name sites that no exporter, setting or node has: frq (lost)"))

    def test_why_there_are_no_rows_yet(self):
        node = self.serve("watermark.delay=30s")
        node.add("slow", "SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '1 min') GROUP BY 1")
        self.assertIn("no datagram has come yet", node.get("/api/v1/queries/slow/why")["text"])
        router = node.router()
        router.send(1)
        self.settle(node, 1)
        time.sleep(1.2)
        why = node.get("/api/v1/queries/slow/why")
        self.assertIn("held by 127.0.0.1", why["text"])
        self.assertIsNotNone(why["due"])

    def test_a_thousand_readers_of_whom_nine_hundred_stand_still(self):
        node = self.serve()
        wide = ("SELECT window_start, src_port, dst_port, src_ip, dst_ip, count(*) AS flows FROM tumble(flows, received_at, interval '1 s') GROUP BY 1, 2, 3, 4, 5")
        node.add("total", TOTAL)
        node.add("wide", wide)
        before = self.resident(node)
        standing = []
        for _ in range(900):
            one = socket.create_connection(("127.0.0.1", node.port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(b"GET /api/v1/events?query=wide HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            standing.append(one)
        reading = [node.events("total") for _ in range(100)]
        stop = threading.Event()

        def many_groups():
            router, port = node.router(), 0
            while not stop.wait(0.01):
                for _ in range(20):
                    port = (port + 1) % 60_000
                    router.send(30, sport=port)
            router.close()

        sender = threading.Thread(target=many_groups)
        sender.start()
        for stream in reading:
            events = stream.wait(5, timeout=60)
            self.assertGreaterEqual(len(events), 5)
            self.assertEqual({name for name, _, _ in events}, {"rows"})
        stop.set()
        sender.join()
        grown = self.resident(node) - before
        for one in standing:
            one.close()
        self.assertLess(grown, 600 << 20)
        self.assertEqual(node.get("/api/v1/status")["ready"], True)
        self.assertEqual(node.end(), 0)

    def resident(self, node):
        with open(f"/proc/{node.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_a_disk_that_takes_nothing_is_told_and_all_else_goes_on(self):
        node = self.serve()
        node.add("total", TOTAL)
        stream = node.events("total")
        load = Load(node, pause=0.01)
        self.assertTrue(stream.wait(1))
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        code, problem = node.request("POST", "/api/v1/queries", {"name": "other", "text": TOTAL})
        self.assertIn(code, (500, 507), problem)
        self.assertTrue(problem["detail"])
        self.assertEqual(node.request("GET", "/api/v1/queries/other")[0], 404)
        node.said("the state of open windows cannot be kept", 30)
        before = len(stream.events)
        self.assertGreater(len(stream.wait(before + 2)), before + 1)
        checks = {c["id"]: c for c in node.get("/api/v1/doctor")["checks"]}
        self.assertNotEqual(checks["D16"]["state"], "ok", checks["D16"])
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        node.add("other", TOTAL)
        deadline = time.time() + 40
        while {c["id"]: c for c in node.get("/api/v1/doctor")["checks"]}["D16"]["state"] != "ok":
            self.assertLess(time.time(), deadline)
            time.sleep(0.5)
        self.settle(node, load.stop())
        self.assertEqual(node.end(), 0)

    def test_a_state_folder_that_is_gone_is_told_and_all_else_goes_on(self):
        node = self.serve()
        node.add("total", TOTAL)
        stream = node.events("total")
        load = Load(node, pause=0.01)
        self.assertTrue(stream.wait(1))
        shutil.rmtree(self.path("state"))
        node.said("the state of open windows cannot be kept", 30)
        before = len(stream.events)
        self.assertGreater(len(stream.wait(before + 2)), before + 1)
        self.assertEqual(node.get("/-/healthy"), "healthy\n")
        load.stop()
        self.assertEqual(node.end(), 1, "what was open could not be kept")
        self.assertIn("what is open now is lost", "\n".join(node.lines))

    def test_what_cannot_be_started_says_so(self):
        node = self.serve()
        second = self.serve(wait=False)
        self.assertEqual(second.process.wait(30), 1)
        second.said(rf"another backstream serve has the state folder \(process {node.process.pid}\)")
        third = self.serve("state.folder=" + self.path("third"), f"http.listen=http://127.0.0.1:{node.port}", wait=False)
        self.assertEqual(third.process.wait(30), 1)
        third.said(r"already in use|in use")
        result = self.run_backstream("serve", "--set", "watermark.deley=1s")
        self.assertEqual(result.returncode, 3)
        self.assertIn("did you mean 'watermark.delay'", result.stderr)
        result = self.run_backstream("serve", "--role", "edge")
        self.assertEqual(result.returncode, 3)
        self.assertIn("kafka.brokers is empty", result.stderr)
        self.assertEqual(node.end(), 0)
        with open(self.path("state/catalog.sqlite"), "r+b") as file:
            file.seek(0)
            file.write(b"\0" * 4096)
        fourth = self.serve(wait=False)
        self.assertEqual(fourth.process.wait(30), 1)
        fourth.said(r"damaged|not a database")
        fourth.said(r"hint: ")


if __name__ == "__main__":
    sys.exit(harness.main())

"""A running `backstream serve`, for the suites that talk to it."""
import http.client
import json
import re
import signal
import socket
import threading
import time
import urllib.parse

import harness
import wire


class Events:
    """An event stream, read by a thread of its own: (name, id, data) as they come."""

    def __init__(self, port, target, headers=()):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.request("GET", target, headers=dict(headers))
        self.socket = self.connection.sock  # The answer takes it from the connection.
        self.answer = self.connection.getresponse()
        self.events = []
        self.ended = False
        self._changed = threading.Condition()
        if self.answer.status == 200:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        name, data, number = "message", [], ""
        try:
            for line in self.answer:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data.append(line[6:])
                elif line.startswith("id: "):
                    number = line[4:]
                elif line == "" and data:
                    with self._changed:
                        self.events.append((name, number, json.loads("\n".join(data))))
                        self._changed.notify_all()
                    name, data = "message", []
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait(self, count, timeout=60):
        """The events, once there are so many, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.events) >= count or self.ended, timeout)
            return list(self.events)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()


class Router:
    """An exporter of NetFlow v5 whose numbers of messages have no holes."""

    def __init__(self, port, source):
        self.port, self.source, self.sequence, self.datagrams = port, source, 0, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))

    def send(self, flows, at=None, **fields):
        """One datagram of equal flows, of 100 octets unless said otherwise, that ended at a time (default: now)."""
        at = int(time.time()) if at is None else at
        fields = {"octets": 100, "packets": 2, **fields}
        self.socket.sendto(wire.v5([wire.v5_flow(at, at, **fields)] * flows, at, self.sequence), ("127.0.0.1", self.port))
        self.sequence += flows
        self.datagrams += 1

    def close(self):
        self.socket.close()


class Case(harness.Case):
    """Starts daemons with a state folder of the test's own."""

    def serve(self, *settings, threads=1, wait=True, **options):
        arguments = ["serve", "--threads", str(threads)]
        if "state.folder" not in " ".join(settings):
            arguments += ["--set", "state.folder=" + self.path("state")]
        for setting in ("listen.flow=udp://127.0.0.1:0", "http.listen=http://127.0.0.1:0", "watermark.delay=1s",
                        "ingest.receive_buffer=4MiB", "exec.ready_memory=0", *settings):
            arguments += ["--set", setting]
        process = self.start(*arguments, **options)
        daemon = Daemon(self, process)
        if wait:
            daemon.wait_until_up()
        return daemon


class Daemon:
    def __init__(self, case, process):
        self.case, self.process = case, process
        self.lines = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._changed = threading.Condition()
        self._ended = False
        self._thread.start()

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def said(self, pattern, timeout=60):
        """The first line on standard error that has the pattern; waits for it."""
        def found():
            return next((match for match in (re.search(pattern, line) for line in self.lines) if match), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, timeout)
            match = found()
        if not match:
            self.case.fail(f"nothing said like {pattern!r}:\n" + "\n".join(self.lines))
        return match

    def wait_until_up(self):
        match = self.said(r"flows (.+); API http://127\.0\.0\.1:(\d+);", 120)
        ports = re.findall(r"udp://\S+:(\d+)", match.group(1))
        self.flow_port = int(ports[-1]) if ports else None
        self.port = int(match.group(2))
        deadline = time.time() + 60
        while self.request("GET", "/-/ready")[0] != 200:
            self.case.assertLess(time.time(), deadline, "not ready")
            time.sleep(0.05)

    def request(self, method, target, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, target, text, headers or {})
            answer = connection.getresponse()
            content = answer.read().decode()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(content) if "json" in kind and "ndjson" not in kind else content
        finally:
            connection.close()

    def get(self, target):
        status, content = self.request("GET", target)
        self.case.assertEqual(status, 200, content)
        return content

    def metric(self, series):
        """The value of a series as the page of metrics writes it; None: it has none."""
        values = [line[len(series) + 1:] for line in self.get("/metrics").splitlines() if line.startswith(series + " ")]
        return float(values[0]) if values else None

    def wait_until_kept(self):
        """What was shown is on the disk."""
        deadline = time.time() + 60
        while self.metric("backstream_history_waiting_bytes") != 0:
            self.case.assertLess(time.time(), deadline, "history is not written")
            time.sleep(0.05)

    def add(self, name, text):
        status, content = self.request("POST", "/api/v1/queries", {"name": name, "text": text})
        self.case.assertEqual(status, 201, content)
        return content

    def events(self, *queries, headers=(), **parameters):
        pairs = [("query", name) for name in queries] + list(parameters.items())
        stream = Events(self.port, "/api/v1/events?" + urllib.parse.urlencode(pairs), headers)
        self.case.addCleanup(stream.close)
        self.case.assertEqual(stream.answer.status, 200)
        return stream

    def router(self, source="127.0.0.1"):
        return Router(self.flow_port, source)

    def end(self, number=signal.SIGTERM, timeout=60):
        self.process.send_signal(number)
        code = self.process.wait(timeout)
        self._thread.join(timeout)
        return code

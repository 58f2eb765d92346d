#!/usr/bin/env python3
"""From the last datagram that an alert needs to its webhook: a rule with alert.early over the open window.

    bench/alert_latency.py [--alerts N] [--keys N] [--every '100 ms']

A router sends three datagrams of each of N ports in turn; the third takes the port over the threshold, and nothing more comes until the webhook has the
notice. --keys: so many other ports have rows in the same window. Prints one line of JSON: milliseconds from the datagram's sending to the request's body.
Build first: ninja -C build backstream
"""
import argparse
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import wire  # noqa: E402


class Hook(http.server.BaseHTTPRequestHandler):
    came = {}
    changed = threading.Condition()
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        notice = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Hook.changed:
            Hook.came.setdefault(notice["key"]["src_port"], time.monotonic())
            Hook.changed.notify_all()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--alerts", type=int, default=200)
    parser.add_argument("--keys", type=int, default=1_000)
    parser.add_argument("--every", default="100 ms")
    options = parser.parse_args()
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    hook.daemon_threads = True
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [os.path.join(BUILD, "backstream"), "serve"] + [argument for setting in (
                "state.folder=" + folder, "listen.flow=udp://127.0.0.1:0", "http.listen=http://127.0.0.1:0",
                "notify.hook.type=webhook", f"notify.hook.to=http://127.0.0.1:{hook.server_address[1]}/",
                "notify.hook.per_minute=60000") for argument in ("--set", setting)], stderr=subprocess.PIPE, text=True)
        try:
            for line in server.stderr:
                if "; API http://" in line:
                    flow_port = int(line.split("udp://127.0.0.1:")[1].split()[0].rstrip(";,"))
                    api = line.split("API ")[1].split(";")[0]
                    break
            threading.Thread(target=server.stderr.read, daemon=True).start()
            text = (f"CREATE MATERIALIZED VIEW busy WITH (emit = 'on_change', every = '{options.every}', \"alert.early\" = true, "
                    "\"alert.when\" = 'rows > 60') AS SELECT window_start, src_port, count(*) AS rows "
                    "FROM tumble(flows, received_at, interval '1 h') GROUP BY window_start, src_port")
            request = urllib.request.Request(api + "/api/v1/queries", json.dumps({"name": "busy", "text": text}).encode())
            urllib.request.urlopen(request).read()
            time.sleep(1)
            router = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sequence = 0

            def send(ports):
                nonlocal sequence
                now = int(time.time())
                router.sendto(wire.v5([wire.v5_flow(now, now, sport=port) for port in ports], now, sequence),
                              ("127.0.0.1", flow_port))
                sequence += len(ports)

            for first in range(20_000, 20_000 + options.keys, 25):
                send(range(first, first + 25))
            took = []
            for port in range(1, options.alerts + 1):
                for _ in range(3):
                    sent = time.monotonic()
                    send([port] * 25)
                with Hook.changed:
                    if not Hook.changed.wait_for(lambda: port in Hook.came, 30):
                        raise SystemExit(f"no notice of port {port}")
                took.append((Hook.came[port] - sent) * 1_000)
            took.sort()
            at = lambda share: round(took[min(len(took) - 1, int(share * len(took)))], 1)  # noqa: E731
            print(json.dumps({"alerts": len(took), "keys": options.keys, "every": options.every, "p50_ms": at(0.5),
                              "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": round(took[-1], 1)}))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()

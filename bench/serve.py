#!/usr/bin/env python3
"""What the API costs and how fast results are seen, of a daemon that receives over loopback.

    python3 bench/serve.py                      # build/backstream, two minutes; a quiet machine, two cores

1. A window's rows at a client after the window's end, by arrival time (which closes 1 s behind the clock): 60 windows of 1 s.
2. Processor time for a fixed number of records, of the whole daemon and of the two threads that have the engine (the main one and
   the one that receives and aggregates): alone, with requests and 1,000 event streams, alone again.
3. The same of daemons that keep nothing, and of daemons that have a history, two alert rules over all rows and two sinks, in turn.
"""
import argparse
import http.client
import json
import os
import resource
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

QUERIES = {
    "total": "SELECT window_start, count(*) AS flows, sum(octets) AS octets FROM tumble(flows, received_at, interval '1 s') GROUP BY 1",
    "matrix": "SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '10 s') GROUP BY 1, 2, 3",
}


RULES = {
    "total": """CREATE MATERIALIZED VIEW total WITH ("alert.when" = 'flows > 1000000000000') AS """ + QUERIES["total"],
    "matrix": """CREATE MATERIALIZED VIEW matrix WITH ("alert.when" = 'octets > 1000000000000000', "alert.for" = '30 s') AS """ +
              QUERIES["matrix"],
}


class Daemon:
    def __init__(self, binary, queries, *settings):
        self.folder = tempfile.TemporaryDirectory()
        arguments = [binary, "serve"]
        for setting in ("state.folder=" + self.folder.name, "listen.flow=udp://127.0.0.1:0", "http.listen=http://127.0.0.1:0",
                        "watermark.delay=1s", *settings):
            arguments += ["--set", setting]
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "API http://" in line:
                self.flow_port = int(line.split(";")[0].rsplit(":", 1)[1])
                self.port = int(line.split("API http://127.0.0.1:")[1].split(";")[0])
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        for name, text in queries.items():
            self.request("POST", "/api/v1/queries", json.dumps({"name": name, "text": text}))

    def request(self, method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, target, body)
        content = connection.getresponse().read()
        connection.close()
        return content

    def cpu_seconds(self):
        """By thread."""
        seconds = {}
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as file:
                seconds[int(thread)] = int(file.read().split()[0]) / 1e9
        return seconds

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def latency(daemon, binary, windows):
    traffic = subprocess.Popen([binary, "generate", "--to", f"udp://127.0.0.1:{daemon.flow_port}", "--rate", "20000", "--records",
                                str(20000 * (windows + 20))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stream = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    stream.request("GET", "/api/v1/events?query=total")
    delays = []
    for line in stream.getresponse():
        if not line.startswith(b"data: "):
            continue
        now = time.time()
        window = json.loads(line[6:])
        if not window["last"] or not window["complete"]:
            continue
        end = time.mktime(time.strptime(window["window_end"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        delays.append(now - end - 1.0)  # Arrival time closes a window 1 s behind the clock.
        if len(delays) == windows:
            break
    traffic.kill()
    traffic.wait()
    return delays


def throughput(daemon, binary, records, with_api, rate=200_000):
    stop = threading.Event()
    threads, sockets = [], []
    if with_api:
        selector = selectors.DefaultSelector()
        for _ in range(1000):
            one = socket.create_connection(("127.0.0.1", daemon.port))
            one.sendall(b"GET /api/v1/events?query=total HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ)
            sockets.append(one)

        def read():
            while not stop.is_set():
                for key, _ in selector.select(0.2):
                    key.fileobj.recv(65536)

        def ask():
            while not stop.wait(0.1):
                for target in ("/api/v1/status", "/api/v1/queries", "/metrics", "/api/v1/queries/matrix/results?limit=100"):
                    daemon.request("GET", target)

        threads = [threading.Thread(target=read), threading.Thread(target=ask)]
        for thread in threads:
            thread.start()
    before = json.loads(daemon.request("GET", "/api/v1/status"))["ingest"]
    cpu_before = daemon.cpu_seconds()
    subprocess.run([binary, "generate", "--to", f"udp://127.0.0.1:{daemon.flow_port}", "--rate", str(rate), "--records",
                    str(records)],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    time.sleep(2)
    cpu = {thread: seconds - cpu_before.get(thread, 0) for thread, seconds in daemon.cpu_seconds().items()}
    after = json.loads(daemon.request("GET", "/api/v1/status"))["ingest"]
    stop.set()
    for thread in threads:
        thread.join()
    for one in sockets:
        one.close()
    read = after["flows"] - before["flows"]
    return read, after["kernel_drops"] - before["kernel_drops"], cpu


def keeping(binary):
    """A daemon in which all that the receiver does with results is on."""
    folder = tempfile.TemporaryDirectory()
    daemon = Daemon(binary, RULES, "server.out.type=file", "server.out.folder=" + folder.name,
                    "notify.nobody.type=webhook", "notify.nobody.to=http://127.0.0.1:9/")
    daemon.out = folder
    for form in ("csv", "jsonl"):
        daemon.request("POST", "/api/v1/sinks", json.dumps(
            {"text": f"CREATE PUBLICATION {form} FOR TABLE matrix WITH (server = 'out', format = '{form}')", "source": "bench"}))
    return daemon


def rows_kept(daemon):
    page = daemon.request("GET", "/metrics").decode()
    return {name: sum(int(float(line.rsplit(" ", 1)[1])) for line in page.splitlines() if line.startswith(name + ("{" if "{" in line else " ")))
            for name in ("backstream_history_written_rows_total", "backstream_sink_rows_total")}


def receiver_costs(binary, records, rounds):
    spent = {"nothing": [], "all": []}
    for name in ("nothing", "all") * rounds:
        daemon = Daemon(binary, QUERIES, "history.enabled=false") if name == "nothing" else keeping(binary)
        read, drops, cpu = throughput(daemon, binary, records, False)
        receiving = max((thread for thread in cpu if thread != daemon.process.pid), key=cpu.get)
        engine = cpu[daemon.process.pid] + cpu[receiving]
        spent[name].append(engine)
        print(f"results kept: {name}: {read} flows, {drops} drops, {sum(cpu.values()):.2f} s of processor time, of which the engine "
              f"{engine:.2f} s" + (f"; {rows_kept(daemon)}" if name == "all" else ""), flush=True)
        daemon.end()
    nothing, everything = (statistics.median(spent[name]) for name in ("nothing", "all"))
    print(f"history, alerts and sinks cost the engine {(everything / nothing - 1) * 100:+.1f} % (medians of {rounds})")


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--binary", default="build/backstream")
    flags.add_argument("--windows", type=int, default=60)
    flags.add_argument("--records", type=int, default=3_000_000)
    flags.add_argument("--rounds", type=int, default=5, help="of part 3")
    flags.add_argument("--only-kept", action="store_true", help="part 3 alone")
    asked = flags.parse_args()
    if asked.only_kept:
        receiver_costs(asked.binary, asked.records, asked.rounds)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    daemon = Daemon(asked.binary, QUERIES)
    delays = sorted(latency(daemon, asked.binary, asked.windows))
    print(f"window end + 1 s to client: median {statistics.median(delays) * 1000:.0f} ms, p95 "
          f"{delays[int(len(delays) * 0.95) - 1] * 1000:.0f} ms, most {delays[-1] * 1000:.0f} ms, of {len(delays)} windows")
    receiving = None
    for name, with_api in (("alone", False), ("with 1,000 streams and 40 requests/s", True)) * 3 + (("alone", False),):
        read, drops, cpu = throughput(daemon, asked.binary, asked.records, with_api)
        if receiving is None:
            receiving = max((thread for thread in cpu if thread != daemon.process.pid), key=cpu.get)
        engine = cpu[daemon.process.pid] + cpu[receiving]
        print(f"{name}: {read} flows, {drops} drops, {sum(cpu.values()):.2f} s of processor time, of which the engine {engine:.2f} s: "
              f"{read / engine / 1e6:.2f} M flows a second of it")
    daemon.end()
    receiver_costs(asked.binary, asked.records, asked.rounds)


if __name__ == "__main__":
    sys.exit(main())

"""Nodes of a cluster as processes of their own, for the experiments that watch them."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "cluster"))
import kafka  # noqa: E402

PATIENCE_S = 300


class Node:
    """A `backstream serve` over Kafka.
    @param settings  further ones, KEY=VALUE
    @param wrap  makes of its command the one that starts it in a control group, say"""

    def __init__(self, binary, folder, name, role, brokers, *settings, wrap=lambda command: command):
        self.name = name
        self.log = os.path.join(folder, name + ".log")
        command = [binary, "serve", "--role", role]
        for setting in (f"node.name={name}", f"state.folder={folder}/{name}", "catalog.store=kafka", f"kafka.brokers={brokers}",
                        "kafka.timeout=10s", "listen.flow=udp://127.0.0.1:0", "http.listen=http://127.0.0.1:0", "watermark.idle_timeout=3s",
                        "ingest.receive_buffer=4MiB", "exec.ready_memory=0", *settings):
            command += ["--set", setting]
        with open(self.log, "w") as log:
            self.process = kafka.popen(wrap(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self, pattern):
        with open(self.log) as file:
            found = re.findall(pattern, file.read())
        return found[-1] if found else None

    def wait_until_up(self):
        def up():
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended:\n{open(self.log).read()}")
            return self.said(r"flows (.*); API http://127\.0\.0\.1:(\d+);")
        flows, port = until(up, f"{self.name} is up")
        self.port, self.flow_port = int(port), int(flows.rsplit(":", 1)[1]) if "udp" in flows else None
        until(lambda: self.ask("GET", "/-/ready")[0] == 200, f"{self.name} is ready")

    def ask(self, method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content.decode()
        finally:
            connection.close()

    def get(self, target):
        status, answer = self.ask("GET", target)
        if status != 200:
            raise SystemExit(f"{self.name} {target}: {status} {answer}")
        return answer

    def metric(self, pattern):
        return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", self.get("/metrics"), re.MULTILINE))

    def cpu_s(self):
        return cpu_s(self.process.pid)

    def memory_mb(self):
        """What is resident, and its most so far."""
        with open(f"/proc/{self.process.pid}/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        return tuple(int(lines[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM"))

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def cpu_s(process):
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(condition, what, patience=PATIENCE_S, pause=0.1):
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise SystemExit(f"did not come true in {patience} s: {what}")
        time.sleep(pause)

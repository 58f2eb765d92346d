#!/usr/bin/env python3
"""backstream demo --cluster: seven processes in one command, one of them killed on the way; nothing of it is left behind."""
import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
import kafka    # noqa: E402
import nodes    # noqa: E402

NODES = {"receiver": "receiver", "merge-1": "merge", "merge-2": "merge", "pop-sao": "edge", "pop-rio": "edge", "pop-man": "edge"}
WINDOW = re.compile(r"^window \S+ to \S+: (\d)/3 PoPs(, revision \d+)?, (\d+) rows, .*, (= truth|DIFFERS FROM THE TRUTH);", re.MULTILINE)
PROCESS = re.compile(r"^(\S+) +(\S+) +\S+ +process (\d+) +log (\S+)$", re.MULTILINE)


class Demo(harness.Case):
    def demo(self, *arguments, jars=None, **environment):
        _, found = kafka.installed("4")
        jars = os.path.dirname(found[0]) if jars is None else jars
        return subprocess.Popen([harness.BINARY, "demo", "--cluster", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, cwd=self.folder,
                                        env={**os.environ, "TMPDIR": self.folder, "BACKSTREAM_KAFKA_JARS": jars, **environment})

    def nothing_is_left(self, processes):
        deadline = time.monotonic() + 20
        for process in processes:
            while os.path.exists(f"/proc/{process}"):
                self.assertLess(time.monotonic(), deadline, f"process {process} is left")
                time.sleep(0.05)

    def test_windows_go_on_when_a_worker_is_killed(self):
        with self.demo("--duration", "30s") as demo:
            output = demo.communicate(timeout=300)[0]
        print(output)
        self.assertEqual(demo.returncode, 0, output)
        nodes = {name: role for name, role, _, _ in PROCESS.findall(output)}
        self.assertEqual(nodes, {"kafka": "broker", **NODES})
        killed = re.search(r"^kill -9 \d+: (merge-[12]), which completes demo_matrix$", output, re.MULTILINE)
        self.assertTrue(killed, output)
        before, after = output[:killed.start()], output[killed.end():]
        other = {"merge-1": "merge-2", "merge-2": "merge-1"}[killed.group(1)]
        self.assertIn(f"{killed.group(1)} ended (signal 9)", after)
        self.assertRegex(after, rf"(?m)^{other} completes demo_matrix: \d+\.\d s later$")
        for part in (before, after):
            windows = WINDOW.findall(part)
            self.assertGreaterEqual(len(windows), 2, output)
            for pops, _, rows, verdict in windows:
                self.assertEqual((pops, verdict), ("3", "= truth"), output)
                self.assertGreater(int(rows), 1000)
        self.assertRegex(after, r"(?m)^window .*: given again, the same, = truth$")
        self.assertRegex(output, r"(?m)^windows: (6|7) equal the truth row by row, 0 differ, 0 did not come; \d+ were revised$")
        self.assertRegex(output, r"(?m)^ALERT port sweep: .+ tried \d{3,} ports of ")
        self.nothing_is_left(process for _, _, process, _ in PROCESS.findall(output))
        self.assertEqual(glob.glob(self.path("backstream-demo-*")), [])

    def test_none_outlives_it_when_it_is_killed(self):
        with self.demo() as demo:
            found = []
            for line in demo.stdout:
                found += PROCESS.findall(line)
                if len(found) == 1 + len(NODES):
                    break
            self.assertEqual(len(found), 1 + len(NODES))
            demo.send_signal(signal.SIGKILL)
        self.nothing_is_left(process for _, _, process, _ in found)

    def test_without_kafka_it_says_what_to_do(self):
        for jars, path, what in (("", None, "there is no Kafka to start"), (self.folder, None, "no jars of Kafka are in"),
                                 (None, self.folder, "there is no java in PATH")):
            with self.demo(jars=jars, **({"PATH": path} if path else {})) as demo:
                output = demo.communicate(timeout=60)[0]
            self.assertEqual(demo.returncode, 1, output)
            self.assertIn(what, output)
            self.assertIn("./do demo --cluster", output)
            self.assertIn("--brokers HOST:PORT", output)


if __name__ == "__main__":
    sys.exit(nodes.main("4"))

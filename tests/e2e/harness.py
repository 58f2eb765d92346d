"""What the suites share: running the program, and a last line that tests/count.py reads."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

BINARY = None


class Case(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = self._folder.name

    def tearDown(self):
        self._folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb" if isinstance(data, bytes) else "w") as file:
            file.write(data)
        return self.path(name)

    def run_backstream(self, *arguments, timeout=60, **options):
        return subprocess.run([BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout, cwd=self.folder, **options)

    def rows(self, *arguments, **options):
        """CSV lines of a run that must succeed."""
        result = self.run_backstream("run", "-o", "csv", *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.splitlines()

    def stats(self, *arguments):
        """The --stats of a run that must succeed, and its result."""
        path = self.path("stats.json")
        result = self.run_backstream("run", "--stats", path, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(path) as file:
            return json.load(file), result

    def start(self, *arguments, **options):
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   cwd=self.folder, **options)
        self.addCleanup(self._end, process)
        return process

    @staticmethod
    def _end(process):
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_bound(port):
    """True once some process listens on 127.0.0.1:port/udp or the any address."""
    want = f":{port:04X}"
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with open(table) as file:
            if any(line.split()[1].endswith(want) for line in file.readlines()[1:]):
                return True
    return False


def main():
    global BINARY
    BINARY = os.path.abspath(sys.argv[1])
    sys.modules["harness"].BINARY = BINARY
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if result.wasSuccessful() else 1

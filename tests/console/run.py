#!/usr/bin/env python3
"""Runs the tests of console/ and ends with a line that tests/count.py reads.

    run.py units             types, and what is decided without a browser
    run.py browser BINARY    in Debian's Chromium before `BINARY demo`, with the pages that it carries
    run.py soak BINARY       Live for three quarters of an hour: memory of the tab, and what the server sends

Exit status 77 where Node or console/'s packages are not there: there are no pages then.
"""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

CONSOLE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "console"))
SKIPPED = 77
# Node 18 and 20 write TAP ("# pass 3"), Node 23 and later another form ("ℹ pass 3").
SUMMARY = re.compile(r"^[#ℹ] (pass|fail|cancelled|skipped|todo) (\d+)$", re.M)


def node_tests(files, *flags, environment=None):
    """(passed, failed, skipped) of node:test over these files of console/test, whose output is printed."""
    result = subprocess.run(["node", "--test", *flags, *files], cwd=CONSOLE, env={**os.environ, **(environment or {})},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(result.stdout)
    counts = {name: int(number) for name, number in SUMMARY.findall(result.stdout)}
    failed = counts.get("fail", 0) + counts.get("cancelled", 0)
    if result.returncode != 0 and failed == 0 or not counts.get("pass"):
        failed += 1   # Node itself failed, or no test ran.
    return counts.get("pass", 0), failed, counts.get("skipped", 0) + counts.get("todo", 0)


def test_files(pattern):
    return sorted(os.path.join("test", name) for name in os.listdir(os.path.join(CONSOLE, "test")) if re.fullmatch(pattern, name))


def units():
    types = subprocess.run(["npm", "run", "--silent", "check"], cwd=CONSOLE)
    passed, failed, skipped = node_tests(test_files(r".*\.test\.mjs"))
    return passed + (types.returncode == 0), failed + (types.returncode != 0), skipped


@contextlib.contextmanager
def demo(binary):
    """The environment of tests before `BINARY demo`, which has results already."""
    with tempfile.TemporaryDirectory() as folder:
        # What it says in the end is of no matter here: e2e.demo has that.
        process = subprocess.Popen([binary, "demo", "--duration", "2h"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   cwd=folder, env={**os.environ, "TMPDIR": folder})
        try:
            said, address = [], None
            for line in process.stdout:
                said.append(line)
                found = re.match(r"ok +console +(http://[^\s,]+)", line)
                address = found[1] if found else address
                if line.startswith("window "):
                    break
            if address is None:
                sys.exit("no console in the demo:\n" + "".join(said))
            # What it says from here on is read, or it would stand still.
            subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
            yield {"BACKSTREAM_SERVER": address, "BACKSTREAM_CONSOLE": "embedded", "BACKSTREAM_BINARY": os.path.abspath(binary), "TMPDIR": folder,
                   "BACKSTREAM_SCREENS": os.path.join(os.path.dirname(os.path.abspath(binary)), "screens")}
        finally:
            process.kill()
            process.wait()


def browser(binary):
    with demo(binary) as environment:
        # One file after the other, however many cores there are: they share the demo, and what takes minutes to be there comes late.
        return node_tests(test_files(r"browser(_(?!common).*)?\.mjs"), "--test-concurrency=1", environment=environment)


def soak(binary):
    with demo(binary) as environment:
        result = subprocess.run(["node", "test/soak.mjs"], cwd=CONSOLE, env={**os.environ, **environment})
    return int(result.returncode == 0), int(result.returncode != 0), 0


def main():
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if not os.path.isdir(os.path.join(CONSOLE, "node_modules", "esbuild")):
        missing.append("console/node_modules")
    if missing:
        print(f"skipped: {', '.join(missing)} not here (./do setup console)")
        return SKIPPED
    passed, failed, skipped = {"units": units, "browser": browser, "soak": soak}[sys.argv[1]](*sys.argv[2:])
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

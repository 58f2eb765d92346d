#!/usr/bin/env python3
"""How much cheaper queries are together than alone: each runs alone over one synthetic capture, then all in one run.

    bench/shared.py [--records N] [--rounds N] [--workdir DIR] [--json FILE] [--set KEY=VALUE] [--before FILE.sql] [QUERY.sql ...]

Without files: queries/*.sql. --before: statements that the others need, put before them once a run. CPU seconds are `backstream run --stats`'s, the least of the rounds. The rows of each view are
compared, alone and together; a file that this build cannot run (--keep-going) is left out and named.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BACKSTREAM = os.environ.get("BACKSTREAM", os.path.join(ROOT, "build", "backstream"))


def run(arguments, capture, files, workdir, rows):
    """CPU seconds, and the rows by view when asked for; None when the queries cannot run."""
    stats = os.path.join(workdir, "stats.json")
    out = os.path.join(workdir, "rows.jsonl")
    with open(out, "w") as output:
        result = subprocess.run([BACKSTREAM, "run", "-q", "--pcap", capture, "-o", "jsonl" if rows else "none", "--stats", stats,
                                 *arguments, *files], stdout=output, stderr=subprocess.PIPE, text=True)
    if result.returncode == 3:
        return None, result.stderr.splitlines()[0]
    if result.returncode != 0:
        raise SystemExit(result.stderr)
    with open(stats) as file:
        seconds = json.load(file)["cpu_seconds"]
    by_view = {}
    if rows:
        with open(out) as file:
            for line in file:
                row = json.loads(line)
                by_view.setdefault(row.pop("view", None), []).append(json.dumps(row))
        if None in by_view:  # One statement alone has no name in its rows.
            with open(files[-1]) as file:
                by_view[re.search(r"CREATE MATERIALIZED VIEW (\w+)", file.read())[1]] = by_view.pop(None)
    return seconds, by_view


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workdir")
    parser.add_argument("--json")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--before", action="append", default=[])
    parser.add_argument("--keep-going", action="store_true")
    parser.add_argument("--attack", action="append", default=["port-sweep", "host-scan", "syn-flood", "amplification"])
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    if given.rounds < 2:
        parser.error("--rounds must be 2 or more: the first compares rows, the others measure")
    files = given.files or sorted(glob.glob(os.path.join(ROOT, "queries", "*.sql")))
    before = [os.path.abspath(file) for file in given.before]
    files = [file for file in files if os.path.abspath(file) not in before]
    arguments = [part for setting in given.set for part in ("--set", setting)] + before
    with tempfile.TemporaryDirectory(dir=given.workdir) as workdir:
        capture = os.path.join(workdir, "flows.pcap")
        attacks = [part for attack in given.attack for part in ("--attack", attack)]
        subprocess.run([BACKSTREAM, "generate", "--protocol", "ipfix", "--records", str(given.records), "--exporters", "4", "--as",
                        "2000", "--hosts", "100000", "--sampling-rate", "100", *attacks, "--pcap", capture], check=True,
                       stderr=subprocess.DEVNULL)
        alone, rows, left = {}, {}, []
        for file in files:
            best = None
            for round_number in range(given.rounds):
                seconds, by_view = run(arguments, capture, [file], workdir, rows=round_number == 0)
                if seconds is None:
                    if not given.keep_going:
                        raise SystemExit(by_view)
                    print(f"left out: {by_view}", file=sys.stderr)
                    break
                if round_number == 0:
                    rows.update(by_view)
                else:
                    best = min(best or seconds, seconds)
            if best is not None:
                alone[file] = best
                left.append(file)
        together = min(run(arguments, capture, left, workdir, rows=False)[0] for _ in range(given.rounds))
        _, together_rows = run(arguments, capture, left, workdir, rows=True)
        different = [view for view in rows if sorted(rows[view]) != sorted(together_rows.get(view, []))]
        decoding = run(arguments, capture, ["-e", "SELECT window_start, count(*) FROM tumble(flows, time, interval '1 day') "
                                            "GROUP BY window_start"], workdir, rows=False)[0]
    for file, seconds in sorted(alone.items(), key=lambda item: -item[1]):
        print(f"{seconds:8.3f} s  {os.path.basename(file)}")
    total = sum(alone.values())
    print(f"{decoding:8.3f} s  reading and decoding alone")
    print(f"{total:8.3f} s  {len(alone)} files, each alone")
    print(f"{together:8.3f} s  together: {total / together:.2f} times faster")
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"alone": {os.path.basename(f): s for f, s in alone.items()}, "alone_seconds": total,
                       "together_seconds": together, "ratio": total / together, "decoding_seconds": decoding}, file, indent=1)
    if different:
        raise SystemExit("rows differ between alone and together: " + ", ".join(different))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How much cheaper queries are together than alone: each runs alone over one synthetic capture, then all in one run.

    bench/shared.py [--records N] [--rounds N] [--workdir DIR] [--json FILE] [--set KEY=VALUE] [--before FILE.sql]
                    [QUERY.sql ...]

Without files: queries/*.sql. --before: statements that the others need, put before them once a run (00_tables.sql,
where it is among the files). CPU seconds are `backstream run --stats`'s, the least of the rounds; instructions are
told, too, where `perf stat` counts them. "own" is what a file takes beyond reading and decoding. The rows of each view
are compared, alone and together; a file that this build cannot run (--keep-going) is left out and named.
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
QUERIES = os.path.join(ROOT, "queries")  # Where the paths of 00_tables.sql begin.
BACKSTREAM = os.path.abspath(os.environ.get("BACKSTREAM", os.path.join(ROOT, "build", "backstream")))


def counts_instructions():
    """Whether `perf stat` is there and this machine counts instructions: a guest often does not."""
    try:
        result = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    except OSError:
        return False
    return result.returncode == 0 and result.stderr.split(",")[0].isdigit()


def instructions(arguments, capture, files):
    result = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", BACKSTREAM, "run", "-q", "--pcap", capture,
                             "-o", "none", *arguments, *files],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=QUERIES)
    line = next(line for line in result.stderr.splitlines() if "instructions" in line)
    return int(line.split(",")[0])


def run(arguments, capture, files, workdir, rows):
    """CPU seconds, and the rows by view when asked for; None when the queries cannot run."""
    stats = os.path.join(workdir, "stats.json")
    out = os.path.join(workdir, "rows.jsonl")
    with open(out, "w") as output:
        result = subprocess.run([BACKSTREAM, "run", "-q", "--pcap", capture, "-o", "jsonl" if rows else "none",
                                 "--stats", stats,
                                 *arguments, *files], stdout=output, stderr=subprocess.PIPE, text=True, cwd=QUERIES)
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
        if None in by_view:  # The only view of all statements has no name in its rows.
            with open(files[-1]) as file:
                by_view[re.findall(r"CREATE MATERIALIZED VIEW (\w+)", file.read())[-1]] = by_view.pop(None)
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
    files = [os.path.abspath(file) for file in given.files] or sorted(glob.glob(os.path.join(QUERIES, "*.sql")))
    before = [os.path.abspath(file) for file in given.before]
    tables = os.path.join(QUERIES, "00_tables.sql")
    if not before and tables in files:
        before = [tables]
    files = [file for file in files if file not in before]
    arguments = [part for setting in given.set for part in ("--set", setting)] + before
    counted = counts_instructions()
    with tempfile.TemporaryDirectory(dir=given.workdir) as workdir:
        workdir = os.path.abspath(workdir)
        capture = os.path.join(workdir, "flows.pcap")
        attacks = [part for attack in given.attack for part in ("--attack", attack)]
        subprocess.run([BACKSTREAM, "generate", "--protocol", "ipfix", "--records", str(given.records), "--exporters", "4",
                        "--as", "2000", "--hosts", "100000", "--sampling-rate", "100", *attacks, "--pcap", capture], check=True,
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
        decode = ["-e", "SELECT window_start, count(*) FROM tumble(flows, time, interval '1 day') "
                        "GROUP BY window_start"]
        decoding = min(run([], capture, decode, workdir, rows=False)[0] for _ in range(given.rounds))
        steps = {file: instructions(arguments, capture, [file]) for file in left} if counted else {}
        steps_together = instructions(arguments, capture, left) if counted else None
        steps_decoding = instructions([], capture, decode) if counted else None
    records = given.records
    print("    own ns  instructions   a record")
    for file, seconds in sorted(alone.items(), key=lambda item: -item[1]):
        own = (seconds - decoding) * 1e9 / records
        own_steps = f"{(steps[file] - steps_decoding) / records:12.0f}" if counted else f"{'-':>12}"
        print(f"{own:10.0f}  {own_steps}   {os.path.basename(file)}")
    total = sum(alone.values())
    print(f"{decoding * 1e9 / records:10.0f} ns a record, reading and decoding alone")
    print(f"{total:10.3f} s  {len(alone)} files, each alone: {total * 1e9 / records:.0f} ns a record")
    print(f"{together:10.3f} s  together: {together * 1e9 / records:.0f} ns a record, "
          f"{records / together / 1e6:.3f} M records/s, {total / together:.2f} times faster")
    if counted:
        all_steps = sum(steps.values())
        print(f"{all_steps / 1e9:10.2f} 10^9 instructions alone, {steps_together / 1e9:.2f} together: "
              f"{all_steps / steps_together:.2f} times less")
    print(f"{sum(len(view) for view in rows.values())} rows of {len(rows)} views, " +
          ("the same alone and together" if not different else f"DIFFERENT alone and together: {', '.join(different)}"))
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"alone": {os.path.basename(f): s for f, s in alone.items()}, "alone_seconds": total,
                       "together_seconds": together, "ratio": total / together, "decoding_seconds": decoding,
                       "records": records, "instructions": {os.path.basename(f): s for f, s in steps.items()},
                       "instructions_together": steps_together}, file, indent=1)
    if different:
        sys.exit(1)


if __name__ == "__main__":
    main()

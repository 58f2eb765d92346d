#!/usr/bin/env python3
"""What a query in Borealis XML costs beside its twin in SQL: CPU seconds of both over one synthetic capture, in turns.

    python3 bench/borealis.py [--records N] [--rounds N] [NAME ...]     # build/backstream, queries/borealis/NAME.xml and queries/NAME.sql

The ratio is the median of the rounds' ratios; rows are counted and summed, not written. Rows of both are compared once.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QUERIES = os.path.join(ROOT, "queries")


def run(binary, capture, query, workdir, output="none"):
    stats = os.path.join(workdir, "stats.json")
    files = [os.path.join(QUERIES, "00_tables.sql"), query]
    result = subprocess.run([binary, "run", "-q", "--pcap", capture, "-o", output, "--stats", stats, *files], capture_output=True,
                            text=True, cwd=QUERIES)
    if result.returncode != 0:
        raise SystemExit(result.stderr)
    with open(stats) as file:
        return json.load(file)["cpu_seconds"], result.stdout


def rows(text):
    """Values by row, whatever their columns are called and in which order they stand."""
    found = [json.loads(line) for line in text.splitlines()]
    return sorted(sorted(str(value) for name, value in row.items() if name != "view") for row in found)


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--binary", default=os.path.join(ROOT, "build", "backstream"))
    flags.add_argument("--records", type=int, default=20_000_000)
    flags.add_argument("--rounds", type=int, default=7)
    flags.add_argument("names", nargs="*")
    asked = flags.parse_args()
    names = asked.names or sorted(os.path.basename(path)[:-4] for path in glob.glob(os.path.join(QUERIES, "borealis", "*.xml")))
    with tempfile.TemporaryDirectory() as workdir:
        capture, small = os.path.join(workdir, "flows.pcap"), os.path.join(workdir, "small.pcap")
        for path, records in ((capture, asked.records), (small, 200_000)):
            subprocess.run([asked.binary, "generate", "--records", str(records), "--pcap", path, "--attack", "port-sweep"], check=True,
                           capture_output=True)
        print(f"{'query':24} {'SQL s':>8} {'XML s':>8} {'ratio':>6}  of each round")
        for name in names:
            sql, xml = os.path.join(QUERIES, name + ".sql"), os.path.join(QUERIES, "borealis", name + ".xml")
            if rows(run(asked.binary, small, sql, workdir, "jsonl")[1]) != rows(run(asked.binary, small, xml, workdir, "jsonl")[1]):
                raise SystemExit(f"{name}: the rows differ")
            cost = [(run(asked.binary, capture, sql, workdir)[0], run(asked.binary, capture, xml, workdir)[0])
                    for _ in range(asked.rounds)]
            ratios = [there / here for here, there in cost]
            of_sql, of_xml = (statistics.median(side) for side in zip(*cost))
            print(f"{name:24} {of_sql:8.3f} {of_xml:8.3f} {statistics.median(ratios):6.3f}  "
                  + " ".join(f"{ratio:.2f}" for ratio in ratios), flush=True)


if __name__ == "__main__":
    main()

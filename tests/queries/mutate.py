#!/usr/bin/env python3
"""Do the tests see it when a query is wrong? Changes each number, interval and comparison of each query, one at a time,
and prints the changes whose rows are still those of the reference. Some are no mistakes (nullif(x, 1) where x is never 1);
for the others the traffic lacks a case. By hand, not part of the tests: half a minute.

    python3 tests/queries/mutate.py build/backstream [QUERY...]
"""
import os
import re
import subprocess
import sys
import tempfile

import flows
import reference
import test_queries

OTHERWISE = {">": ">=", "<": "<=", ">=": ">", "<=": "<", "AND": "OR"}


def changes(text):
    """(place, old, new)"""
    for found in re.finditer(r"(?<![\w.'])\d+(\.\d+)?(?![\w.])", text):
        if found[1]:
            yield found.start(), found[0], str(float(found[0]) - 0.04)
        else:
            yield from ((found.start(), found[0], str(int(found[0]) + by)) for by in (1, -1) if int(found[0]) + by > 0)
    for found in re.finditer(r"interval '(\d+)", text):
        yield found.start(1), found[1], str(int(found[1]) * 2)
    for found in re.finditer(r" (>|<|>=|<=|AND) ", text):
        yield found.start(1), found[1], OTHERWISE[found[1]]


def same(query, text, want):
    try:
        got = sorted(test_queries.parse(query.kinds, text), key=test_queries.order(query.kinds))
    except (ValueError, KeyError):
        return False
    return len(got) == len(want) and all(all(map(test_queries.close, query.kinds, *rows)) for rows in zip(got, want))


def main(binary, names):
    with tempfile.TemporaryDirectory() as folder:
        data = {}
        for name in names or sorted(reference.QUERIES):
            query = reference.QUERIES[name]
            if query.data not in data:
                os.mkdir(os.path.join(folder, query.data))
                data[query.data] = getattr(flows, query.data)(binary, os.path.join(folder, query.data))
            want = sorted(query.answer(data[query.data].flows), key=test_queries.order(query.kinds))
            text = re.sub(r"--[^\n]*", "", test_queries.code(name))
            tables = ["--config", "settings.toml", "00_tables.sql"] if test_queries.TABLES.search(text) else []
            for place, old, new in changes(text):
                changed = text[:place] + new + text[place + len(old):]
                result = subprocess.run([binary, "run", "-q", "-o", "csv", "--view", name, *data[query.data].arguments(), *tables,
                                         "-e", changed], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        cwd=test_queries.FOLDER)
                if result.returncode == 0 and same(query, result.stdout, want):
                    around = text[max(0, place - 50):place] + f"[{old} -> {new}]" + text[place + len(old):place + len(old) + 20]
                    print(f"{name}: {' '.join(around.split())}")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), sys.argv[2:])

#!/usr/bin/env python3
"""Compares our expressions and aggregates with PostgreSQL 15, value by value: texts, nulls, types and SQLSTATEs.

run.py EVALUATE [--seed N] [--cases N] [--long] [--show N]
EVALUATE is the program built from evaluate.cc. Cases are random, from the seed that is printed. What may differ is declared
in deviations.py; anything else fails. Last line: "N passed, N failed[, N skipped]".
"""
import argparse
import random
import re
import subprocess
import sys
import time

import deviations
import postgres
from generator import Aggregate, Generator, Signature, SHORT

ROWS = 14
CASES_PER_TABLE = 400
MARK = "\x01"


# --- outcomes ---------------------------------------------------------------------------------------------------------
# Of a case: {"error": code}, or {"types": [...], "rows": [[cell, ...], ...], "states": {...}}; a cell is a text, None (NULL) or a
# frozenset of SQLSTATEs (a value that cannot be computed).

def escape(text):
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def unescape(field):
    out, i = [], 0
    while i < len(field):
        if field[i] == "\\":
            i += 1
            out.append({"n": "\n", "t": "\t"}.get(field[i], field[i]))
        else:
            out.append(field[i])
        i += 1
    return "".join(out)


def cell(field):
    if field == "\\N":
        return None
    if field.startswith("\\E"):
        return frozenset(field[2:].split(","))
    return unescape(field)


def ask_us(program, lines):
    done = subprocess.run([program], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, encoding="utf-8", errors="backslashreplace")
    if done.returncode != 0:
        raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.splitlines()


def our_outcomes(program, table, columns, rows, cases):
    lines = ["\t".join(["table", table] + [field for name, type_ in columns for field in (name, SHORT[type_])])]
    lines += ["\t".join(["row"] + ["\\N" if v is None else escape(v) for v in row]) for row in rows]
    lines += ["\t".join(["query" if c.grouped else "eval", str(c.number), escape(c.ours)]) for c in cases]
    outcomes = {}
    by_number = {str(c.number): c for c in cases}
    for line in ask_us(program, lines):
        fields = line.split("\t")
        case = by_number[fields[0]]
        if fields[1] == "!":
            outcomes[case.number] = {"error": fields[2], "message": fields[3]}
        elif case.grouped:
            types = fields[1].split(",")
            values = [cell(f) for f in fields[3:]]
            outcomes[case.number] = {"types": types, "states": set(fields[2].split(",")) - {""},
                                     "rows": [values[i:i + len(types)] for i in range(0, len(values), len(types))]}
        else:
            outcomes[case.number] = {"types": [fields[1]], "states": set(), "rows": [[cell(f)] for f in fields[2:]]}
    return outcomes


def their_outcomes(server, table, columns, rows, cases):
    literal = lambda v: "NULL" if v is None else "'" + v.replace("'", "''") + "'"
    script = [f"CREATE TABLE {table} (" + ", ".join(f"{name} {SHORT[type_]}" for name, type_ in columns) + ");"]
    script += [f"INSERT INTO {table} VALUES ({', '.join(literal(v) for v in row)});" for row in rows]
    script += [f"\\echo '{MARK}begin' :SQLSTATE"]
    for case in cases:
        script += [f"{case.theirs};", f"\\echo '{MARK}{case.number}' :SQLSTATE"]
    outcomes = {}
    answers = server.psql("\n".join(script) + "\n").split(MARK)
    if answers[1].split("\n")[0] != "begin 00000":
        raise RuntimeError("the rows do not go into PostgreSQL: " + answers[1])
    body = answers[1].partition("\n")[2]
    good = []
    for case, answer in zip(cases, answers[2:]):
        head, _, following = answer.partition("\n")
        number, state = head.split(" ")
        assert int(number) == case.number
        if state == "00000":
            outcomes[case.number] = {"states": set(), "cells": split_cells(body)}
            good.append(case)
        else:
            outcomes[case.number] = {"error": state}
        body = following
    # Types of the results; and where some row could not be computed, each row by itself.
    script = []
    for case in good:
        script += [f"{case.theirs} \\gdesc", f"\\echo '{MARK}{case.number}'"]
    again = [c for c in cases if not c.grouped and outcomes[c.number].get("error", "").startswith(("22", "0A"))]
    for case in again:
        for row in range(len(rows)):
            script += [f"{case.theirs} WHERE id = {row};", f"\\echo '{MARK}{case.number}' :SQLSTATE"]
    answers = server.psql("\n".join(script) + "\n").split(MARK)
    body = answers[0]
    heads = iter(answers[1:])
    for case in good:
        outcome = outcomes[case.number]
        outcome["types"] = split_cells(body)[1::2]
        cells, width = outcome.pop("cells"), len(outcome["types"])
        outcome["rows"] = [cells[i:i + width] for i in range(0, len(cells), width)]
        body = next(heads).partition("\n")[2]
    for case in again:
        outcome = outcomes[case.number]
        outcome["rows"] = []
        for _ in rows:
            head, _, following = next(heads).partition("\n")
            state = head.split(" ")[1]
            outcome["rows"].append([frozenset([state])] if state != "00000" else split_cells(body))
            body = following
        if any(not isinstance(r[0], frozenset) for r in outcome["rows"]):
            del outcome["error"]  # no error of the statement as such
            outcome["types"], outcome["states"] = None, set()
    return outcomes


def split_cells(body):
    return [None if c == postgres.NULL else c for c in body.split("\0")[:-1]]


# --- comparison -------------------------------------------------------------------------------------------------------

def equal_cells(ours, theirs):
    if isinstance(theirs, frozenset):
        return isinstance(ours, frozenset) and bool(ours & theirs)  # theirs ends at the first error, ours counts all
    return ours == theirs


def differences(case, ours, theirs):
    """(place, ours, theirs) of each difference; place is "statement", "types", "rows" or a column."""
    if "error" in ours or "error" in theirs:
        # An error of a constant, told by us when binding, is told by PostgreSQL for each row.
        if case.grouped and "error" in theirs and "error" not in ours:
            if theirs["error"] in ours["states"]:
                return []
            return [("statement", f"counted {sorted(ours['states'])}", theirs["error"])]
        if ours.get("error") == theirs.get("error"):
            return []
        if "error" in theirs and "rows" in theirs and "error" not in ours:
            return [(0, o[0], t[0]) for o, t in zip(ours["rows"], theirs["rows"]) if not equal_cells(o[0], t[0])]
        return [("statement", ours.get("error", "fine"), theirs.get("error", "fine"))]
    found = []
    if theirs["types"] is not None and ours["types"] != theirs["types"]:
        found.append(("types", ours["types"], theirs["types"]))
    our_rows, their_rows = ours["rows"], theirs["rows"]
    if case.grouped:
        if ours["states"]:
            found.append(("statement", f"counted {sorted(ours['states'])}", "fine"))
        order = lambda row: [(v is not None, v or "") for v in row]
        zeros = [[("0" if v == "-0" and t == "double precision" else v) for v, t in zip(row, case.key_types)] + row[case.keys:]
                 for row in their_rows]
        if zeros != their_rows:  # a group of -0 and 0: theirs shows the first that came
            found.append(("zero", "0", "-0"))
            their_rows = zeros
        our_rows, their_rows = sorted(our_rows, key=order), sorted(their_rows, key=order)
        if len(our_rows) != len(their_rows) or [r[:case.keys] for r in our_rows] != [r[:case.keys] for r in their_rows]:
            return found + [("rows", our_rows, their_rows)]
    elif len(our_rows) != len(their_rows):
        return found + [("rows", len(our_rows), len(their_rows))]
    for o, t in zip(our_rows, their_rows):
        found += [(i, a, b) for i, (a, b) in enumerate(zip(o, t)) if not equal_cells(a, b)]
    return found


class Report:
    def __init__(self, show):
        self.show, self.passed, self.failed, self.values = show, 0, 0, 0
        self.hits = {d.name: 0 for d in deviations.ALL}

    def judge(self, case, ours, theirs, columns, rows):
        left = []
        used = {name for name in case.deviations if deviations.BY_NAME[name].spelled}
        for difference in differences(case, ours, theirs):
            name = next((d.name for d in deviations.ALL if d.allows(case, *difference)), None)
            if name is None:
                left.append(difference)
            else:
                used.add(name)
        if any(isinstance(value, frozenset) for row in ours.get("rows", []) for value in row):
            used.add("value-errors")
        for name in used:
            self.hits[name] += 1
        self.values += len(theirs.get("rows", [])) or 1
        if not left:
            self.passed += 1
            return
        self.failed += 1
        if self.failed > self.show:
            return
        print(f"case {case.number} ({case.what}):\n  ours   {case.ours}")
        if case.theirs != case.ours:
            print(f"  theirs {case.theirs}")
        for place, a, b in left[:3]:
            show = lambda v: "SQLSTATE " + ",".join(sorted(v)) if isinstance(v, frozenset) else "NULL" if v is None else repr(v)
            print(f"  {place}: ours {show(a)}, PostgreSQL {show(b)}")
        if not case.grouped and "rows" in ours and "rows" in theirs:
            for row, o, t in zip(rows, ours["rows"], theirs["rows"]):
                if o != t:
                    names = [(i, name) for i, (name, _) in enumerate(columns) if re.search(rf"\b{name}\b", case.ours)]
                    print("  where " + ", ".join(f"{name} = {row[i]!r}" for i, name in names))
                    break
        if "message" in ours:
            print(f"  ours said: {ours['message']}")


def run_seed(program, server, seed, count, signatures, aggregates, report):
    generator = Generator(random.Random(seed), signatures, aggregates)
    for first in range(0, count, CASES_PER_TABLE):
        table = f"t{seed % 10**9}_{first}"
        columns, rows = generator.columns(), generator.rows(ROWS)
        cases = [generator.case(first + i, table) for i in range(min(CASES_PER_TABLE, count - first))]
        ours = our_outcomes(program, table, columns, rows, cases)
        theirs = their_outcomes(server, table, columns, rows, cases)
        for case in cases:
            report.judge(case, ours[case.number], theirs[case.number], columns, rows)
    return generator.used


def not_in_postgresql(server, signatures, aggregates):
    """Lines of the functions of a name, and the aggregates of a name and arguments, that PostgreSQL does not have."""
    names = set(server.psql("SELECT DISTINCT proname FROM pg_proc;").split("\0"))
    asked = [a for a in aggregates if a.args and not a.within_group]
    answers = server.psql("".join(f"SELECT {a.name}({', '.join('NULL::' + SHORT[t] for t in a.args)});\n\\echo '{MARK}' :SQLSTATE\n"
                                  for a in asked)).split(MARK)[1:]
    return ({s.line for s in signatures if s.kind == "function" and s.name not in names} |
            {a.line for a, answer in zip(asked, answers) if answer.split()[0] != "00000"})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--cases", type=int, default=2400)
    arguments.add_argument("--seeds", type=int, default=1)
    arguments.add_argument("--long", action="store_true", help="40 seeds; a deviation that is never met fails")
    arguments.add_argument("--show", type=int, default=20, help="how many failing cases are printed")
    options = arguments.parse_args()
    missing = postgres.missing()
    if missing:
        print(f"skipped: {missing}\n0 passed, 0 failed, 1 skipped")
        return 0
    begin = time.monotonic()
    lines = [line.split("\t", 1) for line in ask_us(options.program, ["functions"])]
    signatures = [Signature(text) for kind, text in lines if kind == "function"]
    aggregates = [Aggregate(text) for kind, text in lines if kind == "aggregate" and not Aggregate.is_ours(text)]
    report = Report(options.show)
    used = set()
    with postgres.Server() as server:
        lacking = not_in_postgresql(server, signatures, aggregates)
        if lacking:
            print("not in PostgreSQL, left out: " + ", ".join(sorted(lacking)))
        signatures = [s for s in signatures if s.line not in lacking]
        aggregates = [a for a in aggregates if a.line not in lacking]
        for seed in range(options.seed, options.seed + (40 if options.long else options.seeds)):
            print(f"seed {seed}", flush=True)
            used |= run_seed(options.program, server, seed, options.cases, signatures, aggregates, report)
    unused = [f.line for f in signatures + aggregates if f.line not in used]
    if deviations.documented()[1].strip() != deviations.section().strip():
        report.failed += 1
        print("docs/sql.md does not say what deviations.py says: run tests/oracle/deviations.py --write")
    if unused:
        report.failed += 1
        print("never asked: " + "; ".join(unused))
    for deviation in deviations.ALL:
        hits = report.hits[deviation.name]
        print(f"deviation {deviation.name}: {hits} cases" + ("" if hits else " - never met"))
        report.failed += options.long and hits == 0
    print(f"{report.passed + report.failed} cases, {report.values} values, {time.monotonic() - begin:.0f} s")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())

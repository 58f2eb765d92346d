#!/usr/bin/env python3
"""Counts the individual tests of ctest's JUnit files and prints "N passed, N failed[, N skipped]" as the last line.

A GoogleTest program counts as its cases; a program whose output ends with a line of the same form as ours counts as
that; any other as one. A file that is absent counts as one failure. Exit status 1 when anything failed.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree

GTEST = {"passed": re.compile(r"^\[  PASSED  \] (\d+) test", re.M),
         "failed": re.compile(r"^\[  FAILED  \] (\d+) tests?, listed below", re.M),
         "skipped": re.compile(r"^\[  SKIPPED \] (\d+) test", re.M)}
OURS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)


def count(case):
    """(passed, failed, skipped) of one ctest entry."""
    output = case.findtext("system-out") or ""
    status = case.get("status")
    ours = OURS.findall(output)
    if GTEST["passed"].search(output) or GTEST["failed"].search(output):
        passed, failed, skipped = (sum(map(int, pattern.findall(output))) for pattern in GTEST.values())
    elif ours:
        passed, failed, skipped = (int(number or 0) for number in ours[-1])
    elif status in ("disabled", "notrun") or case.find("skipped") is not None:
        return (0, 0, 1) if case.find("skipped") is not None else (0, 1, 0)
    else:
        passed, failed, skipped = int(status == "run"), 0, 0
    if status != "run" and failed == 0:   # a crash, a time limit, a leak report
        failed = 1
    return passed, failed, skipped


def main(paths):
    totals = [0, 0, 0]
    for path in paths:
        try:
            cases = list(ElementTree.parse(path).getroot().iter("testcase"))
        except (OSError, ElementTree.ParseError) as error:
            print(f"{path}: no test results ({error})")
            totals[1] += 1
            continue
        for case in cases:
            numbers = count(case)
            if numbers[1]:
                print(f"{path}: failed: {case.get('name')}")
            totals = [a + b for a, b in zip(totals, numbers)]
    print(f"{totals[0]} passed, {totals[1]} failed" + (f", {totals[2]} skipped" if totals[2] else ""))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Where our values may differ from PostgreSQL 15: each place with its reason, and how the test tells it.

The section "Differences from PostgreSQL" of docs/sql.md is made from the texts: `deviations.py --write` writes it, and run.py
fails when it is another.
"""
import os
import re
import sys
import textwrap

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "sql.md")
HEADING = "## Differences from PostgreSQL\n"


class Deviation:
    """text: the line of docs/sql.md. spelled: the generator writes the case in another way for PostgreSQL, so only the use is
    counted. allows(case, place, ours, theirs): whether a difference is this one; see differences() in run.py."""

    def __init__(self, name, text, allows=None, spelled=False):
        self.name, self.text, self.spelled = name, text, spelled
        self.allows = allows or (lambda case, place, ours, theirs: False)


def near(ours, theirs, relative, absolute=0.0):
    try:
        a, b = float(ours), float(theirs)
    except (TypeError, ValueError):
        return False
    return abs(a - b) <= max(relative * max(abs(a), abs(b)), absolute)


def states(outcome):
    """The SQLSTATEs of a cell or a statement; empty for a value."""
    if isinstance(outcome, frozenset):
        return outcome
    return {outcome} if isinstance(outcome, str) and re.fullmatch("[0-9A-Z]{5}", outcome) else set()


def numeric_digits(case, place, ours, theirs):
    """numeric has 15 digits of a double and rounds halves of decimals; of avg it may round the last place otherwise."""
    if not isinstance(place, int) or "no-numeric" not in case.deviations:
        return False
    digits = re.search(r"round\(.*, (?:'|CAST\(')?(-?\d+)[^,]*\)", case.ours)
    if digits:
        return near(ours, theirs, 1e-14, 10.0 ** -int(digits[1]))
    return near(ours, theirs, 1e-15)


CONDITIONAL = re.compile(r"\b(CASE|coalesce|AND|OR|IN|ANY|ALL|BETWEEN|WHERE|HAVING|FILTER|greatest|least)\b")


UNIT_OR_ZONE = re.compile(r"\b(date_trunc|date_part|extract)\(|AT TIME ZONE ")


def constant_at_once(case, place, ours, theirs):
    if place == "statement" and ours[:2] in ("22", "0A") and theirs[:2] in ("22", "0A", "42"):
        return case.what != "input"  # which of several mistakes is told first
    if isinstance(place, int) and states(theirs) and not states(ours) and re.search(r"(ANY|ALL) \(ARRAY", case.ours):
        return True  # ANY is an OR, and OR is decided by a constant; PostgreSQL makes the array first
    if ours is None and states(theirs):  # PostgreSQL does not take the fields of a constant time as constants
        return bool(re.search(r"(date_part|extract)\(.*infinity", case.ours))
    return (place == "statement" and theirs == "fine" and case.what != "input" and ours.startswith(("22", "0A"))
            and bool(CONDITIONAL.search(case.ours) or ours == "22023" and UNIT_OR_ZONE.search(case.ours)))


def microseconds(text):
    """The length of an interval's text, a month being 30 days; None for another text."""
    found = re.fullmatch(r"(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-]?)(\d+):(\d\d):(\d\d(?:\.\d+)?))?", text)
    if not found or not text:
        return None
    years, months, days, sign, hours, minutes, seconds = (part or "0" for part in found.groups())
    clock = (int(hours) * 3600 + int(minutes) * 60) * 10**6 + round(float(seconds) * 1e6)
    return ((int(years) * 12 + int(months)) * 30 + int(days)) * 86400 * 10**6 + (-clock if sign == "-" else clock)


def groups(case, place, ours, theirs):
    if isinstance(place, int) and isinstance(ours, str) and isinstance(theirs, str) and re.search(r"\b(min|max|percentile_disc)\(", case.ours):
        if {ours, theirs} == {"0", "-0"} or (microseconds(ours) is not None and microseconds(ours) == microseconds(theirs)):
            return True
    return place == "zero" or ("interval" in case.key_types and (place == "rows" or isinstance(place, int)))


def exact_sums(case, place, ours, theirs):
    return "exact-sums" in case.deviations and (isinstance(place, int) or (place == "statement" and theirs == "22003"))


def exact_moments(case, place, ours, theirs):
    return "exact-moments" in case.deviations and isinstance(place, int) and near(ours, theirs, 1e-8, 1e-12)


def double_text(case, place, ours, theirs):
    return (isinstance(place, int) and isinstance(ours, str) and isinstance(theirs, str) and len(ours) < len(theirs)
            and near(ours, theirs, 0))


def refused(case, place, ours, theirs):
    if place != "statement":
        return False
    if case.what in ("mixed", "fixed") and (ours[:2] in ("42", "0A") or theirs[:2] == "42"):
        return ours != "fine" and not ours.startswith("counted")
    return (ours.startswith("42") and theirs.startswith("42")) or (ours == "fine" and theirs == "42725")


def least_integer(case, place, ours, theirs):
    if case.grouped and re.search("inet|n[12]", case.ours) and " - " in case.ours:  # a key, of all rows where it is so
        return place == "rows" or ours == "counted ['22003']"
    return (isinstance(place, int) and "right(" in case.ours and ours == "") or "22003" in states(ours) and " - " in case.ours


def abbreviation(case, place, ours, theirs):
    return "22023" in states(ours) and re.search("'(CET|pst)'", case.ours) is not None


def time_text(case, place, ours, theirs):
    if re.search("'P[^']*'", case.ours) and "interval" in case.ours and "22007" in states(ours):
        return True
    if "interval" in case.ours and "22015" in states(ours) and "22008" in states(theirs):
        return True
    told = re.findall("2200[78]", ours) if isinstance(ours, str) and ours.startswith("counted") else states(ours) & {"22007", "22008"}
    return ("timestamp" in case.ours and bool(told)
            and (not states(theirs) or bool(states(theirs) & {"22007", "22008", "22009", "22023"})))


ALL = [
    Deviation("no-numeric",
              "There is no `numeric`: decimal literals, `avg` of integers, `extract`, `round(x, digits)`, `mod` and `%` of them are double "
              "precision; `sum` of integers is bigint, from a sum of 127 bits, null and counted where it does not fit; `div` has the type of "
              "its arguments.",
              numeric_digits, spelled=True),
    Deviation("value-errors",
              "A value error is null for that expression and counted (`on_error`), where PostgreSQL would end the statement; so "
              "`coalesce(1 / i, 5)` is 5 where i is 0.",
              spelled=True),
    Deviation("zone-abbreviations",
              "Abbreviations of zones (`'CET'`, `'PST'`) are refused, where PostgreSQL takes them for an offset that has no summer time.",
              abbreviation),
    Deviation("time-texts",
              "Times are read in ISO 8601 form only (2026-01-31 12:05:00+00), up to the year 294246; what is refused has 22007, or 22008 when "
              "only a field is out of range (of an interval 22015). ISO 8601's alternative form of intervals (P0001-02-03T04:05:06) is not read.",
              time_text),
    Deviation("exact-sums",
              "A sum of doubles is exact and rounded once, so it does not depend on the order of rows.",
              exact_sums),
    Deviation("exact-moments",
              "Variances and standard deviations are double precision, from exact sums of x and its square; PostgreSQL's are `numeric`, or of "
              "doubles with the rounding errors of each step.",
              exact_moments, spelled=True),
    Deviation("constants-at-once",
              "An error in a constant, such as a unit or zone that is none, is told at once, even where PostgreSQL would not come to compute it; a "
              "constant that decides ANY or ALL leaves the rest uncomputed.",
              constant_at_once),
    Deviation("groups",
              "`GROUP BY` keeps the intervals '1 day' and '24:00:00' apart, and shows -0 as 0: PostgreSQL shows the one that came first, which would "
              "depend on how rows are dealt. Of equal values that look different, `min`, `max` and `percentile_disc` "
              "may take another.",
              groups),
    Deviation("double-text",
              "The text of a double is the shortest that reads back as the same; PostgreSQL's has a digit more where it lies half-way to the "
              "next double.",
              double_text),
    Deviation("least-integers",
              "`inet - x` for the least bigint is out of range (22003), and `right(t, x)` for the least integer is empty: there PostgreSQL's "
              "negation overflows.",
              least_integer),
    Deviation("refusals",
              "What the lists above do not name is refused (`sum(DISTINCT x)`, a date, a pattern of substring), with a code of class 42 that may be another than PostgreSQL's; an untyped literal may "
              "find its type where PostgreSQL has more to choose from.",
              refused),
]
BY_NAME = {d.name: d for d in ALL}


def section():
    intro = ("The judge is PostgreSQL 15 with locale C and TimeZone UTC, so `upper` and `lower` change ASCII letters and text sorts by octets. "
             "`tests/oracle` compares both with random expressions; only this may differ:")
    wrap = lambda text, first: textwrap.fill(text, 150, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False,
                                             break_on_hyphens=False)
    return HEADING + wrap(intro, "") + "\n" + "".join(wrap(d.text, "- ") + "\n" for d in ALL)


def documented():
    """The section as docs/sql.md has it, and what is before and after it."""
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    begin = text.find(HEADING)
    if begin < 0:
        return text, "", ""
    end = text.find("\n## ", begin + 1)
    end = len(text) if end < 0 else end + 1
    return text[:begin], text[begin:end], text[end:]


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    before, _, after = documented()
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(before.rstrip("\n") + "\n\n" + section() + ("\n" + after if after else ""))

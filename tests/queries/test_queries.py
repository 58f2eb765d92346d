#!/usr/bin/env python3
"""Every query of queries/ on generated traffic, each row against an answer computed here (reference.py); so is its diagram
in queries/borealis/, where it has one."""
import csv
import glob
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, HERE)
import flows  # noqa: E402
import harness  # noqa: E402
import reference  # noqa: E402

FOLDER = os.path.join(HERE, "..", "..", "queries")
DIAGRAMS = os.path.join(FOLDER, "borealis")
SPAN = re.compile(r"(-?)(?:(-?\d+) days?)?\s*(?:(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?)?$")
# The file of tables is read before those that name one of them.
TABLES = re.compile(r"\b(interfaces|customers|routes|bogons|dark|services|sampling)\b")


def code(name):
    """A query's text without its comment."""
    with open(os.path.join(FOLDER, name + ".sql")) as file:
        return "".join(line for line in file if not line.startswith("--"))


def diagrams():
    """Names of the queries that have one."""
    return sorted(os.path.splitext(os.path.basename(path))[0] for path in glob.glob(os.path.join(DIAGRAMS, "*.xml")))


def span(text):
    """Microseconds of an interval without months."""
    _, days, sign, hours, minutes, seconds, fraction = SPAN.match(text).groups()
    time = ((int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)) * flows.SECOND + int((fraction or "0").ljust(6, "0"))
    return int(days or 0) * flows.DAY + (-time if sign else time)


READERS = {"t": flows.micros, "a": str, "i": int, "b": {"t": True, "f": False}.__getitem__, "s": span, "f": float, "p": float,
           "c": int}


def parse(kinds, text):
    """The rows of a run's CSV as values. Errors: ValueError, KeyError."""
    rows = list(csv.reader(io.StringIO(text)))[1:]
    return [tuple(None if cell == "" else READERS[kind](cell) for kind, cell in zip(kinds, row, strict=True)) for row in rows]


def close(kind, got, want):
    if got is None or want is None or kind not in "fpc":
        return got == want
    if kind == "f":
        return math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-9)
    if kind == "p":
        return abs(got - want) <= 0.01 * abs(want) + 1e-12
    return got == want if want <= 384 else abs(got - want) <= 0.05 * want


def order(kinds):
    """A sort key: equal columns first, null before all else; those that compare roughly are last, to tell rows apart."""
    places = sorted(range(len(kinds)), key=lambda place: kinds[place] in "fpc")
    return lambda row: [(row[place] is not None, row[place] if row[place] is not None else 0) for place in places]


class Traffic(unittest.TestCase):
    """Cases over captures, which are made once for all of a class."""

    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls._data = {}

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    def data(self, name):
        if name not in self._data:
            folder = os.path.join(self._folder.name, name)
            os.mkdir(folder)
            self._data[name] = getattr(flows, name)(harness.BINARY, folder)
        return self._data[name]


class Answers(Traffic):
    def run_files(self, names, data, *arguments, written=lambda name: name + ".sql"):
        files = [written(name) for name in names]
        if any(TABLES.search(code(name)) for name in names):
            files = ["--config", "settings.toml", "00_tables.sql", *files]
        result = subprocess.run([harness.BINARY, "run", "-q", *self.data(data).arguments(), *arguments, *files],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, cwd=FOLDER)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def check_diagram(self, name):
        diagram = self.check(name, written=lambda name: os.path.join("borealis", name + ".xml"))
        columns = self.run_files([name], reference.QUERIES[name].data, "-o", "csv", "--view", name).split("\n", 1)[0]
        self.assertEqual(diagram.split("\n", 1)[0], columns)

    def check(self, name, **how):
        def run(*arguments):
            return self.run_files([name], query.data, "-o", "csv", "--view", name, *arguments, **how)

        query = reference.QUERIES[name]
        text = run()
        got = parse(query.kinds, text)
        want = list(query.answer(self.data(query.data).flows))
        self.assertGreaterEqual(len(want), query.at_least, "the traffic has too little of what the query looks for")
        key = order(query.kinds)
        got.sort(key=key)
        want.sort(key=key)
        for one, other in zip(got, want):
            if not all(map(close, query.kinds, one, other)):
                self.fail(f"\n  got      {one}\n  expected {other}")
        self.assertEqual(len(got), len(want))
        split = run("--edges", "3", "--deal", "random:7")
        whole = sorted(text.splitlines())
        self.assertEqual(sorted(split.splitlines()), whole, "split over three edges")
        return text

    def test_late_rows_and_the_others_are_all(self):
        text = self.run_files(["late_rows"], "disorder", "-o", "jsonl", "--delay", "5s")
        rows = [json.loads(line) for line in text.splitlines()]
        late = [row for row in rows if row["view"] == "late_rows"]
        self.assertGreaterEqual(len(late), 20)
        whole = {key: [len(members), reference.total(members, "octets")] for key, members in reference.group(
            self.data("disorder").flows, lambda flow: (reference.tumble(flow.time, flows.MINUTE), flow.exporter)).items()}
        arrivals = {}
        for flow in self.data("disorder").flows:
            key = reference.tumble(flow.time, flows.MINUTE), flow.exporter
            arrivals.setdefault(key, set()).add(flow.received_at)
        found = {}
        for row in rows:
            key = flows.micros(row["window_start"].replace("T", " ").replace("Z", "+00")), row["exporter"]
            sums = found.setdefault(key, [0, 0])
            sums[0] += row["flows"]
            sums[1] += row["octets"]
            if row["view"] == "late_rows":   # Some record arrived just then.
                self.assertIn(key[0] + flows.MINUTE + span(row["late_by"]), arrivals[key])
        self.assertEqual(found, whole)

    def test_all_together_answer_as_each_alone(self):
        names = sorted(reference.QUERIES)
        together = {name: [] for name in names}
        for line in self.run_files(names, "day", "-o", "jsonl").splitlines():
            head, rest = line.split(",", 1)
            view = json.loads(head + "}")["view"]
            if view in together:
                together[view].append("{" + rest)
        for name in names:
            with self.subTest(name):
                alone = self.run_files([name], "day", "-o", "jsonl", "--view", name).splitlines()
                self.assertEqual(sorted(together[name]), sorted(alone))


    def test_a_months_bill_worked_out_by_hand(self):
        """446 of 8928 samples are thrown away. acme sends 1 to 8928 times 300 octets; the 447th from above is 8482 times, so
        8482 * 8 bits a second. bell sends in 446 samples: nothing; what it receives is the least of 447, 3000 octets in
        300 s: 80 bits a second."""
        rows = list(csv.reader(io.StringIO(self.run_files(["billing"], "month", "-o", "csv", "--view", "billing"))))
        january = {row[1]: row[2:] for row in rows[1:] if row[0] == "2026-01-01 00:00:00+00"}
        self.assertEqual(january["acme"][:2], ["8928", "67856"])
        self.assertEqual(january["bell"][1:], ["0", "80", "80"])


def add_tests():
    for name in reference.QUERIES:

        def test(self, name=name):
            self.check(name)

        setattr(Answers, "test_" + name, test)
    for name in diagrams():

        def test_diagram(self, name=name):
            self.check_diagram(name)

        setattr(Answers, "test_diagram_of_" + name, test_diagram)


class Folder(unittest.TestCase):
    def test_each_query_has_a_reference_and_each_reference_a_query(self):
        files = {os.path.splitext(os.path.basename(path))[0] for path in glob.glob(os.path.join(FOLDER, "*.sql"))}
        files.remove("00_tables")
        self.assertEqual(files, set(reference.QUERIES))

    def test_the_table_names_each_query_once_and_a_dozen_to_start_with(self):
        with open(os.path.join(FOLDER, "README.md")) as file:
            rows = re.findall(r"^\|[ \d]*\| \[(\w+)\]\((\w+)\.sql\) \|([ *TX]*)\|", file.read(), re.M)
        self.assertEqual(sorted(name for name, _, _ in rows), sorted(reference.QUERIES))
        for name, link, marks in rows:
            self.assertEqual(name, link)
            self.assertEqual("T" in marks, bool(TABLES.search(code(name))), f"{name}: does it need tables?")
        self.assertEqual(sum("*" in marks for _, _, marks in rows), 12)
        self.assertEqual(sorted(name for name, _, marks in rows if "X" in marks), diagrams())

    def test_each_query_has_a_diagram_or_the_reason_why_it_has_none(self):
        with open(os.path.join(FOLDER, "README.md")) as file:
            section = file.read().split("## In Borealis XML")[1]
        without = re.findall(r"\w+", " ".join(re.findall(r"^\|[^|]*\|([^|]*)\|", section, re.M)[2:]))
        self.assertEqual(sorted(diagrams() + without), sorted(reference.QUERIES))

    def test_each_query_says_what_it_answers_and_where_it_comes_from(self):
        for name in reference.QUERIES:
            with self.subTest(name), open(os.path.join(FOLDER, name + ".sql")) as file:
                text = file.read()
                self.assertRegex(text, r"\A-- \w")
                self.assertRegex(text, r"(?m)^-- Source: \w")
                self.assertIn(f"CREATE MATERIALIZED VIEW {name} AS", text)
        for name in diagrams():
            with self.subTest(name), open(os.path.join(DIAGRAMS, name + ".xml")) as file:
                text = file.read()
                self.assertRegex(text, r"\A<!--\n\w")
                self.assertRegex(text, r"(?m)^Source: \w")
                self.assertIn(f'<output stream="{name}"/>', text)


if __name__ == "__main__":
    add_tests()
    sys.exit(harness.main())

#!/usr/bin/env python3
"""Runs the ```sql blocks of README.md and docs/*.md on generated flows.

    ```sql            statements; they succeed, and each query gives rows
    ```sql empty      they succeed; the traffic here may give no row
    ```sql values     an expression a line, and after "--" its value, as CSV has it
    ```sql error      refused; the block ends with the line "-- error: " and the message

    ```xml            a Borealis diagram, which gives rows; or what may stand before the root of the one above it

A block may read the views and tables of the blocks before it in its file, the views of queries/, and the files that
examples.py makes.
"""
import csv
import glob
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.path.insert(0, HERE)
import examples  # noqa: E402
import harness  # noqa: E402

FENCE = re.compile(r"^ *```sql *(\w*)\n(.*?)^ *```$", re.M | re.S)
VIEW = re.compile(r"\s*CREATE (?:MATERIALIZED )?(?:VIEW|TABLE) (\w+)", re.I)
READS = r"\b(?:FROM|JOIN)\s+(?:\w+\s*\(\s*)?{}(?:_late)?\b"
GIVES_ROWS = re.compile(r"(?:SELECT|WITH|EXPLAIN|CREATE\s+MATERIALIZED)\b", re.I)
MESSAGE = re.compile(r"^-- error: (.*)$", re.M)
KINDS = ("", "empty", "values", "error")


def blocks(path):
    """(line, kind, text) of each block."""
    with open(path) as file:
        text = file.read()
    return [(text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in FENCE.finditer(text)]


def statements(text):
    """Split at the semicolons that end lines, as the examples are written."""
    return [part.strip() for part in re.split(r";[ ]*(?:--[^\n]*)?(?:\n|$)", text) if part.strip()]


def read(path):
    with open(path) as file:
        return file.read()


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls.folder = cls._folder.name
        examples.write_files(cls.folder)
        cls.capture = os.path.join(cls.folder, "flows.pcap")
        # Three hours, so that windows of an hour have a past; little, so that it is quick.
        subprocess.run([harness.BINARY, "generate", "--pcap", cls.capture, "--protocol", "ipfix", "--records", "30000", "--span",
                        "10800s", "--as", "20", "--hosts", "100", "--sampling-rate", "10"], check=True, stderr=subprocess.DEVNULL)
        cls.queries = {os.path.splitext(os.path.basename(path))[0]: read(path)
                       for path in glob.glob(os.path.join(ROOT, "queries", "*.sql"))}

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    def run_sql(self, texts):
        # A delay of a second, so that there are late rows to be shown.
        words = [word for text in texts for word in ("-e", text)]
        return subprocess.run([harness.BINARY, "run", "-q", "-o", "csv", "--delay", "1s", "--pcap", f"ams={self.capture}",
                               "--pcap", "fra=examples.pcap", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, cwd=self.folder)

    def context(self, text, earlier):
        """The views that the text reads and does not make, with what they read in turn."""
        own = {found[1] for found in map(VIEW.match, statements(text)) if found}
        needed = []
        for name, definition in [*self.queries.items(), *earlier.items()]:
            if name not in own and name not in dict(needed) and re.search(READS.format(name), text, re.I):
                needed.append((name, earlier.get(name, definition)))
        return [definition for _, definition in needed]

    def check(self, path, line, kind, text, earlier):
        where = f"{os.path.relpath(path, ROOT)}:{line}"
        self.assertIn(kind, KINDS, where)
        if kind == "error":
            wanted = MESSAGE.search(text)
            self.assertTrue(wanted, f"{where}: which error?")
            result = self.run_sql([*self.context(text, earlier), text])
            self.assertEqual(result.returncode, 3, f"{where}: it was not refused\n{result.stderr}")
            told = result.stderr.splitlines()[0].split(" error: ", 1)[-1]
            self.assertEqual(told, wanted[1], where)
            return
        if kind == "values":
            pairs = [re.fullmatch(r"(.*?)\s*-- (.*)", entry).groups() for entry in text.splitlines() if entry.strip()]
            names = ", ".join(f"{expression} AS e{n}" for n, (expression, _) in enumerate(pairs))
            result = self.run_sql([f"SELECT {names} FROM flows"])
            self.assertEqual(result.returncode, 0, f"{where}\n{result.stderr}")
            values = next(row for n, row in enumerate(csv.reader(io.StringIO(result.stdout))) if n == 1)
            for (expression, wanted), value in zip(pairs, values, strict=True):
                self.assertEqual(value, "" if wanted == "null" else wanted, f"{where}: {expression}")
            return
        before = self.context(text, earlier)
        parts = statements(text)
        if kind == "empty":
            result = self.run_sql([*before, text])
            self.assertEqual(result.returncode, 0, f"{where}\n{result.stderr}")
            return
        for count in range(1, len(parts) + 1):   # Each statement, after those before it, gives rows of its own.
            result = self.run_sql([*before, ";\n".join(parts[:count])])
            self.assertEqual(result.returncode, 0, f"{where}\n{result.stderr}")
            if not GIVES_ROWS.match(parts[count - 1]):
                continue
            name = VIEW.match(parts[count - 1])
            label = name[1] if name else f"select{sum(1 for part in parts[:count] if part.upper().startswith(('SELECT', 'WITH')))}"
            header, *rows = result.stdout.splitlines()
            if header.startswith("view,"):   # Of several queries.
                rows = [row for row in rows if row.startswith(label + ",")]
            if parts[count - 1].upper().startswith("EXPLAIN"):
                rows = result.stdout.splitlines()
            self.assertTrue(rows, f"{where}: statement {count} gives no row\n{result.stdout[:500]}")


def add_tests():
    for path in [os.path.join(ROOT, "README.md"), *sorted(glob.glob(os.path.join(ROOT, "docs", "*.md")))]:
        earlier = {}
        for line, kind, text in blocks(path):
            def test(self, arguments=(path, line, kind, text, dict(earlier))):
                self.check(*arguments)
            name = os.path.splitext(os.path.basename(path))[0].lower()
            setattr(Examples, f"test_{name}_line_{line}", test)
            if kind in ("", "empty"):
                earlier.update((found[1], part) for part in statements(text) for found in [VIEW.match(part)] if found)


class Diagrams(unittest.TestCase):
    def test_those_of_the_page_give_rows(self):
        Examples.setUpClass()
        self.addCleanup(Examples.tearDownClass)
        found = re.findall(r"^```xml\n(.*?)^```$", read(os.path.join(ROOT, "docs", "borealis.md")), re.M | re.S)
        self.assertGreaterEqual(len(found), 2)
        diagram = None
        for text in found:
            if text.startswith("<deploy"):   # Needs nodes: tests/cluster/test_deploy.py.
                continue
            diagram = text if text.startswith("<borealis") else text + diagram
            path = os.path.join(Examples.folder, "diagram.xml")
            with open(path, "w") as file:
                file.write(diagram)
            result = subprocess.run([harness.BINARY, "run", "-q", "-o", "csv", "--pcap", f"ams={Examples.capture}", path],
                                    capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, f"{diagram}\n{result.stderr}")
            self.assertGreater(len(result.stdout.splitlines()), 1, diagram)


class Coverage(unittest.TestCase):
    def test_each_function_of_the_tables_has_an_example(self):
        text = read(os.path.join(ROOT, "docs", "sql.md"))
        examples = "\n".join(block for _, kind, block in blocks(os.path.join(ROOT, "docs", "sql.md")) if kind != "error")
        tables = re.findall(r"^\| (?:numbers|text|addresses|times|aggregates) \| (.*) \|$|^\| (`\w+\(.*?`.*?) \|", text, re.M)
        self.assertGreaterEqual(len(tables), 15)
        names = set()
        for row in tables:
            for code in re.findall(r"`([^`]*)`", "".join(row)):
                # Either names alone, or calls; what stands in parentheses are arguments.
                names.update(re.findall(r"[a-z_][a-z_0-9]+", re.sub(r"\([^()]*\)", " ", re.sub(r"\[[^]]*\]|'[^']*'", "", code))))
        self.assertGreaterEqual(len(names), 90)
        missing = sorted(name for name in names if not re.search(rf"\b{name}\b", examples))
        self.assertEqual(missing, [])


class Blocks(unittest.TestCase):
    def test_the_language_page_has_examples(self):
        self.assertGreaterEqual(len(blocks(os.path.join(ROOT, "docs", "sql.md"))), 8)

    def test_a_block_is_found_with_its_kind(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "a.md")
        with open(path, "w") as file:
            file.write("text\n```sql error\nSELECT 1;\n-- error: no\n```\nmore\n```sh\nls\n```\n```sql\nSELECT 2;\n```\n")
        self.assertEqual(blocks(path), [(2, "error", "SELECT 1;\n-- error: no\n"), (10, "", "SELECT 2;\n")])

    def test_statements_end_at_line_ends(self):
        self.assertEqual(statements("SELECT 1;\n\nSELECT 'a;b';  -- two\n"), ["SELECT 1", "SELECT 'a;b'"])


if __name__ == "__main__":
    add_tests()
    sys.exit(harness.main())

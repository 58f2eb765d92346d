#!/usr/bin/env python3
"""Makes iana_elements.inc of iana_elements.csv, beside which it lies.

  iana_elements.py                 writes it
  iana_elements.py --check         says whether it is what would be written (exit status)
  iana_elements.py --import FILE   first makes the .csv of IANA's own table (ipfix-information-elements.csv, downloaded by hand), and
                                   then the .inc; date and source in its head are to be written by hand
"""
import csv
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA, MADE = os.path.join(HERE, "iana_elements.csv"), os.path.join(HERE, "iana_elements.inc")
NAME = re.compile(r"[A-Za-z]\w*$")


def constant(word):
    return "k" + word[0].upper() + word[1:]


def read():
    with open(DATA, newline="") as file:
        head = []
        for line in file:
            if not line.startswith("#"):
                break
            head.append(line[1:].strip())
        return head, list(csv.reader(file))


def text():
    head, rows = read()
    lines = ["// Made by iana_elements.py of iana_elements.csv: change that one."]
    lines += ["// " + line for line in head]
    lines.append("// clang-format off")
    before = 0
    for number, name, kind, semantics in rows:
        if not before < int(number) <= 0x7fff:
            sys.exit(f"{DATA}: element {number} comes after {before}")
        before = int(number)
        lines.append(f"X({number}, {name}, {constant(kind)}, {constant(semantics)})")
    lines.append("// clang-format on")
    return "\n".join(lines) + "\n"


def import_table(path):
    head, _ = read()
    with open(path, newline="") as file, open(DATA, "w", newline="") as out:
        out.write("".join(f"# {line}\n" for line in head) + "id,name,type,semantics\n")
        for row in csv.DictReader(file):
            if row["ElementID"].isdigit() and NAME.match(row["Name"]) and row["Abstract Data Type"]:
                out.write(f'{row["ElementID"]},{row["Name"]},{row["Abstract Data Type"]},{row["Data Type Semantics"] or "default"}\n')


def main():
    if sys.argv[1:2] == ["--check"]:
        with open(MADE) as file:
            same = file.read() == text()
        print("1 passed, 0 failed" if same else f"0 passed, 1 failed: run {os.path.relpath(__file__)}")
        return 0 if same else 1
    if sys.argv[1:2] == ["--import"]:
        import_table(sys.argv[2])
    made = text()
    with open(MADE, "w") as file:
        file.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())

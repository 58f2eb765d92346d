"""Random typed expressions over random rows, from a seed: each in our text and in PostgreSQL's."""
import re

TYPES = ["boolean", "smallint", "integer", "bigint", "double precision", "text", "bytea", "inet", "cidr", "macaddr",
         "timestamp with time zone", "interval", "timestamp without time zone"]
SHORT = {"boolean": "boolean", "smallint": "smallint", "integer": "integer", "bigint": "bigint",
         "double precision": "float8", "text": "text", "bytea": "bytea", "inet": "inet", "cidr": "cidr",
         "macaddr": "macaddr", "timestamp with time zone": "timestamptz", "interval": "interval",
         "timestamp without time zone": "timestamp"}
LETTER = dict(zip(TYPES, "bsildtyncmzvw"))
INTEGERS = ("smallint", "integer", "bigint")
TIMES = ("timestamp with time zone", "timestamp without time zone")
NUMBERS = INTEGERS + ("double precision",)
# Types whose values may stand where another is wanted.
IMPLICIT = {"integer": ["smallint"], "bigint": ["smallint", "integer"], "double precision": list(INTEGERS),
            "inet": ["cidr"], "timestamp with time zone": ["timestamp without time zone"]}
FIELDS = ["year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds", "dow", "isodow", "doy",
          "week", "isoyear", "quarter", "decade", "century", "millennium", "epoch", "timezone", "julian", "weeks", "mons",
          "YEAR", "Second", "ms", "usec", "fortnight", ""]
STEPS = ["microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade",
         "century", "millennium", "Hour", "days", "fortnight", "epoch"]

# Values of columns: all can be read by both. None is NULL.
VALUES = {
    "boolean": ["t", "f"],
    "smallint": ["0", "1", "-1", "2", "7", "80", "443", "-32768", "32767"],
    "integer": ["0", "1", "-1", "2", "3", "8", "24", "31", "33", "64512", "-2147483648", "2147483647"],
    "bigint": ["0", "1", "-1", "3", "10", "1500", "4294967296", "-9223372036854775808", "9223372036854775807",
               "9007199254740993"],
    "double precision": ["0", "-0", "1", "-1", "0.5", "1.5", "2.5", "-2.5", "3", "0.1", "1e15", "123456789012345680",
                         "1e-5", "0.0001", "1e300", "-1e300", "1e-310", "Infinity", "-Infinity", "NaN",
                         "9223372036854775807", "2147483647.5", "-32768.5"],
    "text": ["", " ", "a", "abc", "ABC", "a,b,,c", "  pad ", "GigabitEthernet0/0/1", "xe-0/0/1.100", "50%", "a_c", "a\\b",
             "héllo", "日本語", "ÄÖ", "🙂x", "12", "-7", "1.5", "true", "10.0.0.1", "2026-01-31", "it's"],
    "bytea": ["\\x", "\\x00", "\\x00ff", "\\x616263", "\\xdeadbeef"],
    "inet": ["0.0.0.0", "10.0.0.1", "10.0.0.1/8", "10.0.0.0/8", "10.0.0.255/24", "192.168.1.17/28", "255.255.255.255",
             "0.0.0.0/0", "::", "::1", "2001:db8::1", "2001:db8::1/64", "2001:db8::/32", "fe80::1/10", "::ffff:1.2.3.4",
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0", "::1.2.3.4", "1:0:0:2::3", "10.1.2.3/31"],
    "cidr": ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.0.0.1/32", "192.168.1.0/24", "2001:db8::/32", "::/0",
             "2001:db8::1/128", "128.0.0.0/1", "::ffff:0:0/96", "2001:db8:0:f000::/52", "172.16.0.0/12"],
    "macaddr": ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "00:1b:21:aa:bb:cc", "08:00:2b:01:02:03"],
    "timestamp with time zone": [
        "1970-01-01 00:00:00+00", "1969-12-31 23:59:59.999999+00", "2000-02-29 12:00:00+00", "2024-12-30 01:02:03.456789+00",
        "2026-01-31 10:00:00+00", "2026-01-31 10:00:00.5+00", "2027-01-01 00:00:00+00", "0001-01-01 00:00:00+00",
        "9999-12-31 23:59:59.999999+00", "1900-03-01 00:00:00+00", "infinity", "-infinity", "2020-06-15 06:07:08+00"],
    "interval": ["00:00:00", "1 day", "24:00:00", "1 mon", "30 days", "-1 day", "00:00:00.000001", "1 year 2 mons 3 days 04:05:06.789",
                 "-1 year -2 mons +3 days -04:05:06.789", "100 years", "5 min", "-00:05:00", "1 mon -1 day", "36:00:00",
                 "178000 days", "1 day -01:00:00"],
}
# Texts for input functions: right, nearly right and wrong.
INPUTS = {
    "boolean": ["t", "f", "true", "FALSE", " yes ", "no", "on", "off", "of", "o", "1", "0", "tr", "y", "n", "2", "", "truee", "offf"],
    "smallint": ["0", "-32768", "32767", "32768", " 12 ", "+5", "--5", "- 5", "1.0", "1e3", "", " ", "0x10", "007", "1_000", "5a"],
    "integer": ["0", "-2147483648", "2147483648", "+2147483647", " 7", "7 ", "7 7", "99999999999999999999", "", "-", "+", "+-1", "0b1"],
    "bigint": ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", " -1 ", "1L", ""],
    "double precision": ["0", "-0", "1e308", "1e309", "-1e309", "1e-400", "4.9e-324", "2e-324", "NaN", "nan", "-nan", "inf", "+Infinity", "-INF",
                         "infinit", "1.", ".5", ".", "1e", "1e+", "1e+5", " 2.5 ", "0x1p3", "0x10", "1d", "", "1 2", "123456789012345678",
                         "0.1e-3", "1e15", "1e14", "123456.789e3", "+1", "+-1", "5e-5", "0.00001234", "100000000000000000000"],
    "bytea": ["\\x00", "\\xZZ", "\\x0", "\\x 00 11", "abc", "a\\\\b", "a\\101b", "a\\1", "\\", "", "\\X00", "\\xAbCd", "é"],
    "inet": ["10.0.0.1", "10.0.0.1/32", "10.0.0.1/33", "10.0.0.1/", "10.1", "10.1/16", "10/8", "10.1/24", "010.000.000.001", "10.0.0.256",
             "10..1.2", "10.0.0.1.", "1.2.3.4.5", " 10.0.0.1 ", "10.0.0.1 /8", "10.0.0.1/8 ", "10.0.0.1/-1", "10.0.0.1/08", "0xa.0.0.1",
             "::", "::1", ":::", "1::2::3", "2001:DB8::1", "2001:db8::1/129", "2001:db8::1/64", "::ffff:1.2.3.4", "::1.2.3.4", "1:2:3:4:5:6:7:8",
             "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "12345::", "g::", "::1.2.3", "::1.2.3.256", "fe80::1%eth0", "",
             "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::/0", "0/0", "1.2.3.4/0", "255.255.255.255/1", "1.2.3", "::00001", "0001::"],
    "cidr": ["10", "10.1", "10.1.2", "10.0.0.0", "10/8", "10.1/8", "192.168.1/24", "192.168.1", "192.168.1.1/24", "224.1", "240", "128", "172.16",
             "10.0.0.1", "10.0.0.0/33", "::/0", "2001:db8::/32", "2001:db8::1/32", "2001:db8::1", "", "x", "0", "0/0", "10.0.0.0/08", "1.2.3.4.5"],
    "macaddr": ["00:1b:21:aa:bb:cc", "00-1B-21-AA-BB-CC", "001b21:aabbcc", "001b21-aabbcc", "001b.21aa.bbcc", "001b21aabbcc", "001b-21aa-bbcc",
                "0:1:2:3:4:5", "00:1b:21:aa:bb", "00:1b:21:aa:bb:cc:dd", "00:1b:21:aa:bb:cg", " 00:1b:21:aa:bb:cc ", "", "00:1b-21:aa:bb:cc",
                "1b21aabbcc", "00:1b:21:aa:bb:100", "001b21aabbccd"],
    "timestamp with time zone": [
        "2026-01-31", "2026-01-31 10:00", "2026-01-31T10:00:00Z", "2026-01-31 10:00:00.123456", "2026-01-31 10:00:00.1234567",
        "2026-01-31 10:00:00.9999999", "2026-01-31 10:00:00+02", "2026-01-31 10:00:00+0230", "2026-01-31 10:00:00-02:30", "2026-01-31 10:00:00 UTC",
        "2026-01-31 10:00:00+16", "2026-01-31 24:00:00", "2026-01-31 24:00:01", "2026-01-31 23:59:60", "2026-01-31 23:60", "2026-01-31 25:00",
        "2026-02-29", "2024-02-29", "2026-13-01", "2026-00-01", "2026-01-00", "2026-1-3", "2026-01-31 1:02:03", "2026-01-31 1:2:3", "epoch",
        "infinity", "-infinity", "INFINITY", "", "x", "2026-01-31 10", "2026-01-31 10:00:00.", "10000-01-01", "294276-12-31", "294277-01-01",
        "0001-01-01", "0000-01-01", "  2026-01-31  10:00  ", "2026-01-31 10:00:00+15:59:59", "2026-01-31 10:00:00z", "2026-01-31 10:00:00 +00",
        "2026-01-31 10:00:00.5 +01:00", "2026-01-31t10:00:00", "2026-01-31 10:00:61", "2026-01-31 -1:00",
        "20260131", "Jan 31 2026", "31 January 2026", "2026-01-31 BC", "12", "10:00"],
    "interval": ["1 day", "300 s", "5 min", "1 hour", "1:30", "01:02:03.5", "-01:00", "1 day 02:03", "1 mon", "1.5 days", "1.5 mons", "0.1 day", "1.5 years",
                 "-1.5 hours", "1 week", "2 weeks 3 days", "P1Y2M3DT4H5M6S", "PT36H", "P1W", "PT1.5S", "P", "1 day ago", "1 day -2 hours ago", "@ 5 min", "",
                 "x", "1", "1.5", "-7", "1 fortnight", "5 minutes 3", "1 decade", "1 century", "1 millennium", "1 y 2 mon 3 d 4 h 5 m 6 s", "100000000 years",
                 "3000000000 days", "2562047788:00:54", "9223372036854775807 us", "9223372036854775808 us", "1us", "1day", "1day2hours", "+1 day", "- 1 day",
                 "1 mon 1 mon", "1:60", "1:59:60", "1:59:61", "1 day 1 day", "1-2", "1-2 3 4:05:06", "0.0000005 s", "1.0000005 s", "12 ms", "1.5 ms",
                 "1 quarter", "1 yrs", "36:00:00", "1 day 36:00:00", "infinity", "  1   day  "],
    "text": ["", "x", "é"],
}
PATTERNS = ["%", "_", "", "a%", "%c", "a_c", "%b%", "a\\_c", "50\\%", "a\\\\b", "%\\", "xe-%", "%0/0/1%", "h_llo", "日__", "%é%", "A%", "___", "%%", "_%_",
            "%a,b%c", "\\a%"]
ZONES = ["UTC", "utc", "GMT", "Etc/UTC", "Z", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
         "america/havana", "Africa/Monrovia", "Europe/Dublin", "+03", "-5:30", "3", "UTC-3", "<+03>-3", "EST5EDT", "+0330", "Nowhere/Here", "CET", "pst", ""]


VALUES["timestamp without time zone"] = [v.removesuffix("+00") for v in VALUES["timestamp with time zone"]] + [
    "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-03-08 02:00:00", "2026-11-01 01:30:00", "2011-12-30 12:00:00", "2500-07-01 12:00:00"]
VALUES["timestamp with time zone"] += ["2026-03-29 01:00:00+00", "2026-10-25 00:30:00+00", "2026-10-25 01:00:00+00", "2011-12-30 10:00:00+00",
                                       "2440-07-01 00:00:00+00", "1943-08-01 00:00:00+00"]
INPUTS["timestamp without time zone"] = INPUTS["timestamp with time zone"]


class Expr:
    """ours and theirs: text for each side; kind: column, literal, unknown (an untyped literal), call, ..."""

    def __init__(self, type_, ours, theirs=None, kind="call", args=()):
        self.type = type_
        self.ours = ours
        self.theirs = ours if theirs is None else theirs
        self.kind = kind
        self.args = args


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def combine(type_, template, *args, theirs=None, kind="call"):
    """template has {0}, {1}, ... for the arguments, `theirs` too where PostgreSQL's text is another."""
    return Expr(type_, template.format(*(a.ours for a in args)), (theirs or template).format(*(a.theirs for a in args)),
                kind, args)


class Signature:
    TYPE = "|".join(sorted(TYPES, key=len, reverse=True))

    def __init__(self, line):
        self.line = line
        cast = re.fullmatch(rf"CAST\(({self.TYPE}) AS ({self.TYPE})\)( \(implicit\))?", line)
        call = re.fullmatch(rf"(\w+)\((.*)\) -> ({self.TYPE})", line)
        unary = re.fullmatch(rf"(\S+) ({self.TYPE}) -> ({self.TYPE})", line)
        binary = re.fullmatch(rf"({self.TYPE}) (\S+) ({self.TYPE}) -> ({self.TYPE})", line)
        if cast:
            self.kind, self.name, self.args, self.result = "cast", "", [cast[1]], cast[2]
        elif call:
            self.kind, self.name, self.result = "function", call[1], call[3]
            self.args = call[2].split(", ") if call[2] else []
        elif binary:
            self.kind, self.name, self.args, self.result = "operator", binary[2], [binary[1], binary[3]], binary[4]
        elif unary:
            self.kind, self.name, self.args, self.result = "operator", unary[1], [unary[2]], unary[3]
        else:
            raise ValueError("not a signature: " + line)


MOMENTS = {"variance", "var_samp", "var_pop", "stddev", "stddev_samp", "stddev_pop"}


class Aggregate:
    # Those of our own; PostgreSQL has none that could judge them.
    OURS = {"approx_count_distinct", "approx_percentile", "topk", "entropy", "first", "last", "sum_stderr"}

    @staticmethod
    def is_ours(line):
        return line.split("(")[0] in Aggregate.OURS

    def __init__(self, line):
        self.line = line
        ordered = re.match(r"(\w+)\(fraction\) WITHIN GROUP \(ORDER BY ([^)]*)\) -> ([^;]*);", line)
        self.within_group = bool(ordered)
        if ordered:
            self.name, self.distinct, self.result = ordered[1], False, ordered[3]
            self.args = [self.result if ordered[2] == "any" else ordered[2]]
            return
        found = re.match(r"(\w+)\((DISTINCT )?([^)]*)\) -> ([^;]*);", line)
        if not found:
            raise ValueError("not an aggregate: " + line)
        self.name, self.distinct, self.result = found[1], bool(found[2]), found[4]
        self.args = [] if found[3] in ("", "*") else found[3].split(", ")


# How PostgreSQL spells what it does on numeric, or what its grammar has no plain call for. {{...}} as in str.format.
# The names are those of deviations.py; "" is only grammar.
SPELLINGS = {
    ("extract", 2): ("extract({0} FROM {1})", "extract({0} FROM {1})::float8", "no-numeric"),
    ("position", 2): ("position({1} IN {0})", None, ""),
    ("div", 2): ("div({0}, {1})", "div({0}, {1})::{result}", "no-numeric"),
    ("timezone", 2): ("({1} AT TIME ZONE {0})", None, ""),
}
DOUBLE_SPELLINGS = {  # of double precision arguments only
    ("%", 2): ("({0} % {1})", "({0}::numeric % {1}::numeric)::float8", "no-numeric"),
    ("mod", 2): ("mod({0}, {1})", "mod({0}::numeric, {1}::numeric)::float8", "no-numeric"),
    ("round", 2): ("round({0}, {1})", "round({0}::numeric, {1})::float8", "no-numeric"),
}
LIKES = {"~~": "LIKE", "!~~": "NOT LIKE", "~~*": "ILIKE", "!~~*": "NOT ILIKE"}


class Case:
    """One statement on both sides. grouped: through window and aggregation; key_types: of the columns that tell rows apart."""

    def __init__(self, number, what, ours, theirs, deviations, grouped=False, key_types=()):
        self.number, self.what, self.ours, self.theirs = number, what, ours, theirs
        self.deviations = set(deviations)  # those that its very spelling makes use of
        self.grouped, self.key_types, self.keys = grouped, key_types, len(key_types)


class Generator:
    def __init__(self, random, signatures, aggregates):
        self.random = random
        self.signatures = signatures
        self.aggregates = aggregates
        self.by_result = {t: [s for s in signatures if s.result == t] for t in TYPES}
        self.used = set()
        self.grouping = False  # whether a grouped case is being made
        self.next_signature = 0
        self.next_aggregate = 0

    # --- rows ---------------------------------------------------------------------------------------------------

    @staticmethod
    def columns():
        """(name, type) of the table; two columns a type."""
        columns = [("id", "integer"), ("at", "timestamp with time zone")]
        for type_ in TYPES:
            columns += [(LETTER[type_] + "1", type_), (LETTER[type_] + "2", type_)]
        return columns

    def rows(self, count):
        """Rows as lists of texts or None. The last has NULL everywhere."""
        rows = []
        for i in range(count):
            row = [str(i), "2026-01-31 10:00:00+00"]
            for _, type_ in self.columns()[2:]:
                null = i == count - 1 or self.random.random() < 0.12
                row.append(None if null else self.value(type_))
            rows.append(row)
        return rows

    def value(self, type_):
        r = self.random
        if type_ == "double precision" and r.random() < 0.3:
            return repr(r.choice([r.uniform(-100, 100), r.gauss(0, 1e6), r.randrange(-50, 50) / 4]))
        if type_ in INTEGERS and r.random() < 0.4:
            return str(r.randrange(-20, 100))
        if type_ == "inet" and r.random() < 0.3:
            return f"{r.randrange(256)}.{r.randrange(256)}.{r.randrange(4)}.{r.randrange(256)}/{r.randrange(33)}"
        if type_ in TIMES and r.random() < 0.3:
            return (f"{r.randrange(1800, 2200)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02} "
                    f"{r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}.{r.randrange(1000000):06}" + ("+00" if "with " in type_ else ""))
        if type_ == "interval" and r.random() < 0.3:
            return (f"{r.randrange(-30, 30)} mons {r.randrange(-100, 100)} days "
                    f"{r.choice(['', '-'])}{r.randrange(50):02}:{r.randrange(60):02}:{r.randrange(60):02}.{r.randrange(1000000):06}")
        return r.choice(VALUES[type_])

    # --- expressions --------------------------------------------------------------------------------------------

    def literal(self, type_, text=None, untyped=0.12):
        r = self.random
        if text is None:
            if r.random() < 0.04:
                return Expr(type_, f"NULL::{SHORT[type_]}", kind="literal")
            text = self.value(type_)
        if type_ == "text":
            return Expr(type_, quoted(text) + ("" if r.random() < 0.5 else "::text"), kind="literal")
        if type_ == "boolean" and r.random() < 0.8:
            return Expr(type_, "true" if text == "t" else "false", kind="literal")
        if type_ == "integer" and text.isdigit() and len(text) < 10 and r.random() < 0.8:
            return Expr(type_, text, kind="literal")
        if r.random() < untyped:
            return Expr(type_, quoted(text), kind="unknown")
        form = r.randrange(3)
        if form == 0:
            return Expr(type_, f"CAST({quoted(text)} AS {SHORT[type_]})", kind="literal")
        return Expr(type_, f"{quoted(text)}::{SHORT[type_]}", kind="literal")

    def column(self, type_):
        return Expr(type_, LETTER[type_] + self.random.choice("12"), kind="column")

    def leaf(self, type_, untyped=0.0):
        return self.column(type_) if self.random.random() < 0.75 else self.literal(type_, untyped=untyped)

    def argument(self, type_, depth, untyped=0.0):
        """An expression that may stand where `type_` is wanted."""
        r = self.random
        if type_ in IMPLICIT and r.random() < 0.2:
            type_ = r.choice(IMPLICIT[type_])
        return self.expr(type_, depth, untyped)

    def expr(self, type_, depth, untyped=0.0):
        r = self.random
        if depth <= 0 or r.random() < 0.3:
            return self.leaf(type_, untyped)
        form = r.random()
        if form < 0.12:
            return self.conditional(type_, depth)
        if type_ == "boolean" and form < 0.7:
            return self.condition(depth)
        candidates = [s for s in self.by_result[type_] if not self.exact_only(s)]
        if not candidates:
            return self.leaf(type_, untyped)
        return self.call(r.choice(candidates), depth)

    @staticmethod
    def exact_only(signature):
        """Functions on numeric in PostgreSQL: their results agree to some digits, so nothing is computed from them."""
        return signature.name == "extract" or (signature.name, len(signature.args)) in DOUBLE_SPELLINGS and signature.args[0] == "double precision"

    def special_argument(self, signature, index):
        """A literal that makes sense for this argument, or None."""
        r = self.random
        name, type_ = signature.name, signature.args[index]
        if name in ("extract", "date_part") and index == 0:
            return self.text(r.choice(FIELDS))
        if name == "date_trunc" and index == 0:
            return self.text(r.choice(STEPS))
        if (name == "date_trunc" and index == 2) or (name == "timezone" and index == 0):
            if type_ == "interval":
                return self.literal(type_, r.choice(["3 h", "-05:30", "00:00:01.9", "1 day", "1 mon", "100 h"]), untyped=0)
            return self.text(r.choice(ZONES))
        if name in LIKES and index == 1 and r.random() < 0.8:
            return self.text(r.choice(PATTERNS))
        if name in ("lpad", "rpad") and index == 1:
            return Expr("integer", str(r.choice([0, 1, 3, 5, 12, 40])) if r.random() < 0.9 else "'-3'::integer", kind="literal")
        if name in ("substring", "substr", "left", "right", "split_part", "set_masklen") and type_ == "integer" and (name == "right" or r.random() < 0.7):
            return self.literal("integer", untyped=0, text=str(r.choice([-33, -2, -1, 0, 1, 2, 3, 5, 8, 24, 32, 33, 64, 128])))
        if name in ("<<", ">>") and type_ == "integer" and r.random() < 0.5:
            return self.literal("integer", str(r.choice([0, 1, 5, 15, 16, 31, 32, 33, 63, 64, -1])))
        if name == "round" and index == 1:
            return self.literal("integer", str(r.choice([-3, -1, 0, 1, 2, 3, 10])))
        if name in ("%", "mod") and type_ == "double precision":
            return self.literal(type_, str(r.randrange(-2000, 2000) / 4), untyped=0)
        if name == "to_timestamp" and r.random() < 0.7:
            return self.literal(type_, r.choice(["0", "1.5", "-0.000001", "1769853600.123457", "1e10", "9e12", "1e13", "-62135596800", "NaN", "Infinity",
                                                 "-Infinity", "-210866803200", "-210866803201", "1e12", "253402300799.999999", "0.0000005", "1e300"]))
        if name in ("*", "/") and type_ == "double precision" and "interval" in signature.args and r.random() < 0.6:
            return self.literal(type_, r.choice(["0", "0.5", "2", "-1.5", "3", "1e10", "0.1", "7"]))
        if name == "date_bin" and index == 0 and r.random() < 0.8:
            return self.literal(type_, r.choice(["5 min", "1 day", "00:00:00", "-1 hour", "1 mon", "7 days 12 hours", "00:00:00.000001", "1 week"]))
        if name in ("split_part", "btrim", "ltrim", "rtrim", "replace", "strpos", "position", "starts_with") and index > 0 and r.random() < 0.6:
            return self.text(r.choice(["a", ",", "b", "", " ", "xyz", "ab", "é", "日", "0/", "ca"]))
        if signature.kind == "cast" and type_ == "text" and r.random() < 0.6:
            return self.text(self.input(signature.result), "::text")
        return None

    def input(self, type_):
        """A text for the input function of a type, at times with a mistake of its own."""
        r = self.random
        text = r.choice(INPUTS[type_]) if r.random() < 0.8 else self.value(type_)
        if type_ == "interval" and r.random() < 0.3:
            parts = [r.choice(["", "-", "+"]) + r.choice(["1", "2", "12", "1.5", "0.25", "100"]) + r.choice([" ", ""]) +
                     r.choice(["y", "mon", "w", "days", "h", "m", "s", "ms", "us", "decade", "century", ""]) for _ in range(r.randrange(1, 4))]
            text = " ".join(parts + [r.choice(["", "", "04:05:06", "-1:02", "ago"])])
        if r.random() < 0.25:
            at = r.randrange(len(text) + 1)
            text = text[:at] + r.choice(["", r.choice("0123456789:/.- +,aexT\\")]) + text[at + r.randrange(2):]
        return text

    def text(self, value, cast=None):
        return Expr("text", quoted(value) + (self.random.choice(["", "::text"]) if cast is None else cast), kind="literal")

    def call(self, signature, depth):
        r = self.random
        self.used.add(signature.line)
        args = []
        for i, type_ in enumerate(signature.args):
            special = self.special_argument(signature, i)
            others_typed = i > 0 or len(signature.args) > 1
            args.append(special or (self.leaf(type_) if signature.name == "div" else None) or self.argument(type_, depth - 1, 0.15 if signature.kind != "cast" and others_typed and signature.name != "substring" else 0.0))
        if signature.name in ("extract", "timezone") and args[0].kind == "literal":
            args[0] = Expr("text", args[0].ours.replace("::text", ""), kind="literal")
        if args and all(a.kind == "unknown" for a in args):  # then nothing tells PostgreSQL the type
            args[0] = self.column(signature.args[0])
        if signature.kind == "cast":
            result = SHORT[signature.result]
            return combine(signature.result, r.choice([f"CAST({{0}} AS {result})", f"({{0}})::{result}"]), *args)
        key = (signature.name, len(args))
        spelling = SPELLINGS.get(key)
        if signature.args and signature.args[0] == "double precision":
            spelling = DOUBLE_SPELLINGS.get(key, spelling)
        if spelling:
            ours, theirs, deviation = spelling
            if deviation:
                self.deviations.add(deviation)
            theirs = theirs.replace("{result}", SHORT[signature.result]) if theirs else None
            return combine(signature.result, ours, *args, theirs=theirs)
        name = LIKES.get(signature.name, signature.name)
        if signature.kind == "function":
            return combine(signature.result, name + "(" + ", ".join(f"{{{i}}}" for i in range(len(args))) + ")", *args)
        if len(args) == 1:
            return combine(signature.result, f"({name} {{0}})", *args)
        return combine(signature.result, f"({{0}} {name} {{1}})", *args)

    def conditional(self, type_, depth):
        r = self.random
        form = r.randrange(6)
        a = self.expr(type_, depth - 1)
        b = self.expr(type_, depth - 1)
        if form == 0:
            return combine(type_, "coalesce({0}, {1})", a, b)
        if form == 1 and type_ != "cidr":
            return combine(type_, "nullif({0}, {1})", a, b)
        if form == 2:
            return combine(type_, r.choice(["greatest", "least"]) + "({0}, {1}, {2})", a, b, self.leaf(type_))
        if form == 3:
            of = r.choice(TYPES)
            return combine(type_, "CASE {2} WHEN {3} THEN {0} WHEN {4} THEN {1} END", a, b, self.leaf(of), self.leaf(of, 0.2), self.leaf(of))
        when = self.expr("boolean", depth - 1)
        if form == 4:
            return combine(type_, "CASE WHEN {2} THEN {0} ELSE {1} END", a, b, when)
        return combine(type_, "CASE WHEN {2} THEN {0} WHEN {3} IS NULL THEN NULL ELSE {1} END", a, b, when, self.leaf(type_))

    def condition(self, depth):
        r = self.random
        form = r.randrange(11)
        type_ = r.choice(TYPES)
        negation = r.choice(["", "NOT "])
        a, b, c = (self.expr(type_, depth - 1) for _ in range(3))
        if form == 0:
            return combine("boolean", f"({{0}} IS {negation}NULL)", a)
        if form == 1:
            return combine("boolean", f"({{0}} IS {negation}DISTINCT FROM {{1}})", a, b)
        if form == 2:
            symmetric = r.choice(["", "SYMMETRIC "])
            return combine("boolean", f"({{0}} {negation}BETWEEN {symmetric}{{1}} AND {{2}})", a, b, c)
        if form == 3:
            values = [self.leaf(type_, 0.1) for _ in range(r.randrange(1, 5))]
            if r.random() < 0.15:
                values.append(Expr(type_, "NULL", kind="unknown"))
            return combine("boolean", f"({{0}} {negation}IN (" + ", ".join(f"{{{i + 1}}}" for i in range(len(values))) + "))", a, *values)
        if form == 4:
            values = [self.leaf(type_) for _ in range(r.randrange(1, 4))]
            op = r.choice(["= ANY", "<> ALL", "< ANY", ">= ALL"])
            return combine("boolean", f"({{0}} {op} (ARRAY[" + ", ".join(f"{{{i + 1}}}" for i in range(len(values))) + "]))", a, *values)
        if form in (5, 6):
            p, q = self.expr("boolean", depth - 1), self.expr("boolean", depth - 1)
            return combine("boolean", "({0} " + r.choice(["AND", "OR"]) + " {1})", p, q)
        if form == 7:
            return combine("boolean", "(NOT {0})", self.expr("boolean", depth - 1))
        if form == 8:
            return combine("boolean", f"({{0}} IS {negation}{r.choice(['TRUE', 'FALSE', 'UNKNOWN'])})", self.expr("boolean", depth - 1))
        if form == 9:
            left, right = self.numbers(depth)
            return combine("boolean", "({0} " + r.choice(["=", "<>", "<", "<=", ">", ">="]) + " {1})", left, right)
        return combine("boolean", "({0} " + r.choice(["=", "<>", "!=", "<", "<=", ">", ">="]) + " {1})", a,
                       self.leaf(type_, 0.2))

    def numbers(self, depth):
        """Two numbers of types of their own."""
        return self.expr(self.random.choice(NUMBERS), depth - 1), self.expr(self.random.choice(NUMBERS), depth - 1)

    def mixed(self):
        """An operator or function over types that need not fit: both sides must take or refuse it."""
        r = self.random
        form = r.randrange(4)
        a, b = self.leaf(r.choice(TYPES), 0.1), self.leaf(r.choice(TYPES), 0.1)
        if form == 0:
            return combine("text", r.choice(["coalesce({0}, {1})", "greatest({0}, {1})", "nullif({0}, {1})", "CASE WHEN true THEN {0} ELSE {1} END",
                                             "({0} IN ({1}))", "({0} IS DISTINCT FROM {1})"]), a, b)
        if form == 1:
            return combine("text", f"({{0}})::{SHORT[r.choice(TYPES)]}", a)
        signature = r.choice([s for s in self.signatures if s.kind != "cast" and (s.name, len(s.args)) not in SPELLINGS
                              and (s.name, len(s.args)) not in DOUBLE_SPELLINGS and len(s.args) == (1 if form == 2 else 2)])
        name = LIKES.get(signature.name, signature.name)
        if signature.kind == "function":
            return combine("text", f"{name}({{0}})" if form == 2 else f"{name}({{0}}, {{1}})", a, b)
        return combine("text", f"({name} {{0}})" if form == 2 else f"({{0}} {name} {{1}})", a, b)

    # --- cases --------------------------------------------------------------------------------------------------

    # What random cases meet too rarely; a pair where PostgreSQL's text is another.
    FIXED = ["(2147483647.5::float8 * 2147483647.5::float8)", "('8'::float8 ^ 300)", "(d1 = ANY (ARRAY[d2, NULL]))",
             "(n1 - '-9223372036854775808'::bigint)", "right(t1, '-2147483648'::integer)", "substring(t1, '2')",
             "(z1 AT TIME ZONE 'CET')", "date_trunc('fortnight', z1)", "'90' >> s1", "'90' << i1", "text('true')", "nullif(w1, z1)", "'32768-'::smallint", "'P1-2'::interval", "'-1:82'::interval", "'12 m8s'::interval", "'1000000006 years'::interval",
             "'08:00:2b:0x:02:03'::macaddr",
             "CASE WHEN b1 AND NOT b1 THEN 1 / 0 ELSE 2 END", "'2026-01-31 BC'::timestamptz", "trunc(m1)",
             "((v2 / date_part('month', '-infinity'::timestamptz)) - ('1e300'::float8 ^ 3) * v2)"]

    def case(self, number, table):
        self.deviations = set()
        if number < len(self.FIXED):
            fixed = self.FIXED[number]
            ours, theirs = fixed if isinstance(fixed, tuple) else (fixed, fixed)
            return Case(number, "fixed", f"SELECT {ours} AS r FROM {table}", f"SELECT {theirs} AS r FROM {table}", ())
        form = self.random.random()
        if form < 0.13:
            type_ = self.random.choice([t for t in TYPES if t != "text"])
            what, e = "input", self.literal(type_, self.input(type_), untyped=0)
        elif form < 0.20:
            what, e = "mixed", self.mixed()
        elif form < 0.38:
            self.grouping = True
            made = self.grouped(number, table)
            self.grouping = False
            return made
        elif form < 0.70:
            signature = self.signatures[self.next_signature % len(self.signatures)]
            self.next_signature += 1
            what, e = "call", self.call(signature, self.random.choice([1, 1, 2]))
        else:
            what, e = "expr", self.expr(self.random.choice(TYPES), 3)
        return Case(number, what, f"SELECT {e.ours} AS r FROM {table}", f"SELECT {e.theirs} AS r FROM {table}", self.deviations)

    def aggregate(self, function):
        r = self.random
        self.used.add(function.line)
        args = [self.argument(t, r.choice([0, 0, 1])) for t in function.args]
        if function.name in ("sum", "avg") and function.args == ["double precision"]:
            if r.random() < 0.6:  # multiples of a quarter: exact in any order
                args = [combine("double precision", "({0} * 0.25::float8)", self.column(r.choice(["smallint", "integer"])))]
            else:
                args = [combine("double precision", "({0})::float8", self.expr("double precision", r.choice([0, 0, 1])))]
                self.deviations.add("exact-sums")
        if function.name in MOMENTS and function.args == ["double precision"]:
            args = [combine("double precision", "({0} * 0.25::float8)", self.column(r.choice(["smallint", "integer"])))]
            self.deviations.add("exact-moments")
        inside = ", ".join(f"{{{i}}}" for i in range(len(args))) or "*"
        distinct = function.distinct or (function.name in ("min", "max", "bool_or", "every", "bit_and") and r.random() < 0.1)
        text = f"{function.name}({'DISTINCT ' if distinct else ''}{inside})"
        if function.within_group:
            args = [self.column(function.args[0])]  # a bare literal would have no type in PostgreSQL
            fraction = r.choice(["0", "0.5", "1", "0.25", "0.95", "0.999"])
            text = f"{function.name}({fraction}) WITHIN GROUP (ORDER BY {{0}}{r.choice(['', ' DESC'])})"
        if r.random() < 0.3:
            args.append(self.expr("boolean", 1))
            text += f" FILTER (WHERE {{{len(args) - 1}}})"
        theirs = text
        if function.name in MOMENTS and function.args[0] in INTEGERS:
            theirs = f"({text})::float8"
            self.deviations.add("exact-moments")
        if function.name in ("sum", "avg") and function.args[0] in INTEGERS:
            theirs = f"({text})::{SHORT[function.result]}"
            self.deviations.add("no-numeric")
        return combine(function.result, text, *args, theirs=theirs)

    def grouped(self, number, table):
        r = self.random
        keys = [self.argument(r.choice(TYPES), r.choice([0, 0, 1])) for _ in range(r.choice([0, 1, 1, 1, 2]))]
        keys = [k for k in keys if k.kind != "literal"]
        function = self.aggregates[self.next_aggregate % len(self.aggregates)]
        self.next_aggregate += 1
        columns = [self.aggregate(function)] + [self.aggregate(r.choice(self.aggregates)) for _ in range(r.randrange(3))]
        where = self.expr("boolean", 1) if r.random() < 0.2 else None
        having = combine("boolean", "{0} IS NOT NULL AND count(*) > {1}", self.aggregate(r.choice(self.aggregates)), Expr("integer", str(r.randrange(2)))) \
            if r.random() < 0.15 else None

        def statement(side, source, group):
            text = f"SELECT {', '.join(getattr(e, side) for e in keys + columns)} FROM {source}"
            if where:
                text += f" WHERE {getattr(where, side)}"
            group = group + [str(i + 1) for i in range(len(keys))]
            if group:
                text += f" GROUP BY {', '.join(group)}"
            if having:
                text += f" HAVING {getattr(having, side)}"
            return text

        # Without a key our window has rows or is not there; PostgreSQL answers one row even for no rows.
        return Case(number, "aggregate", statement("ours", f"tumble({table}, at, interval '1 day')", ["window_start"]),
                    statement("theirs", table, [] if keys else ["at"]), self.deviations, grouped=True,
                    key_types=[k.type for k in keys])

#!/usr/bin/env python3
"""Diagrams in Borealis XML where statements in SQL go: run, explain, and the life of a query in a daemon."""
import json
import os
import sys
import time

import daemon
import harness
import wire

HEAD = """<borealis>
  <schema name="packet">
    <field name="time" type="timestamp"/>
    <field name="dstport" type="int"/>
    <field name="octets" type="long"/>
  </schema>
  <input stream="packets" schema="packet"/>
"""


def aggregate(box, source, target, size=60, group_by=""):
    return f"""  <box name="{box}" type="aggregate">
    <in stream="{source}"/>
    <out stream="{target}"/>
    <parameter name="aggregate-function.0" value="count()"/>
    <parameter name="aggregate-function-output-name.0" value="flows"/>
    <parameter name="aggregate-function.1" value="sum(octets)"/>
    <parameter name="aggregate-function-output-name.1" value="total"/>
    <parameter name="group-by" value="{group_by}"/>
    <parameter name="window-size-by" value="VALUES"/>
    <parameter name="window-size" value="{size}"/>
    <parameter name="advance" value="{size}"/>
    <parameter name="order-by" value="FIELD"/>
    <parameter name="order-on-field" value="time"/>
    <parameter name="independent-window-alignment" value="1"/>
    <parameter name="drop-empty-outputs" value="1"/>
  </box>
"""


# One output; the input is bound by the command, or by an instruction before the root.
TRAFFIC = HEAD + '  <output stream="traffic"/>\n' + aggregate("per_port", "packets", "traffic", group_by="dstport") + "</borealis>\n"
BOUND = '<?backstream bind.packets="flows"?>\n' + TRAFFIC
# Two outputs: the web and the rest.
SPLIT = ('<?backstream bind.packets="flows"?>\n' + HEAD + """  <output stream="web"/>
  <output stream="rest"/>
  <box name="is_web" type="filter">
    <in stream="packets"/>
    <out stream="to_web"/>
    <out stream="others"/>
    <parameter name="expression.0" value="dstport = 80"/>
    <parameter name="pass-on-false-port" value="1"/>
  </box>
""" + aggregate("web_box", "to_web", "web") + aggregate("rest_box", "others", "rest") + "</borealis>\n")
# Of every three tuples one, in the order of arrival: no SQL means that.
THREES = ('<?backstream bind.packets="flows"?>\n' + HEAD + """  <output stream="threes"/>
  <box name="three" type="aggregate">
    <in stream="packets"/>
    <out stream="threes"/>
    <parameter name="aggregate-function.0" value="count()"/>
    <parameter name="aggregate-function-output-name.0" value="flows"/>
    <parameter name="aggregate-function.1" value="lastval(octets)"/>
    <parameter name="aggregate-function-output-name.1" value="newest"/>
    <parameter name="group-by" value="dstport"/>
    <parameter name="window-size-by" value="TUPLES"/>
    <parameter name="window-size" value="3"/>
    <parameter name="advance" value="3"/>
    <parameter name="order-by" value="TUPLENUM"/>
  </box>
</borealis>
""")
TWIN = ("SELECT dst_port AS dstport, window_start AS time, count(*) AS flows, sum(octets) AS total "
        "FROM tumble(flows, time, interval '1 min') GROUP BY dst_port, window_start")


def by_second(document):
    return document.replace('value="60"', 'value="1"')


def place(text, document=TRAFFIC):
    """Line and column of a text in a document."""
    line, column = next((number, line.index(text)) for number, line in enumerate(document.splitlines(), 1) if text in line)
    return f"{line}:{column + 1}"


def capture():
    """Three flows to port 80 and one to 53 in the first minute, one to 80 in the second."""
    def datagram(at, sequence, *ports):
        return at, wire.udp_packet(wire.v5([wire.v5_flow(at, at, dport=port, octets=100) for port in ports], at, sequence))

    return wire.pcap([datagram(wire.NOON + 5, 0, 80, 80, 53), datagram(wire.NOON + 30, 3, 80), datagram(wire.NOON + 65, 4, 80)])


FIRST, SECOND = "2026-01-31 12:00:00+00", "2026-01-31 12:01:00+00"


class Offline(harness.Case):
    def test_a_diagram_runs_like_its_twin_in_sql(self):
        pcap, xml = self.write("a.pcap", capture()), self.write("t.xml", TRAFFIC)
        rows = [line.removeprefix("traffic,") for line in self.rows("--pcap", pcap, xml, "--bind", "packets=flows")]
        self.assertEqual(sorted(rows[1:]), [f"53,{FIRST},1,100", f"80,{FIRST},3,300", f"80,{SECOND},1,100"])
        twin = self.rows("--pcap", pcap, "-e", TWIN)
        self.assertEqual(sorted(rows[1:]), sorted(twin[1:]))
        self.assertTrue(rows[0].endswith(twin[0]), rows[0])
        for halves in (("--edges", "3"), ("--edges", "2", "--deal", "random:7")):
            self.assertEqual(sorted(self.rows("--pcap", pcap, xml, "--bind", "packets=flows", *halves)[1:]), sorted(rows[1:]))

    def test_all_outputs_of_a_diagram_run_beside_statements_that_read_them(self):
        pcap, xml = self.write("a.pcap", capture()), self.write("s.xml", SPLIT)
        sql = self.write("v.sql", "CREATE MATERIALIZED VIEW big AS SELECT time, flows FROM web WHERE flows > 1")
        rows = self.rows("--pcap", pcap, xml, sql)
        self.assertEqual(sorted(rows[1:]), [f"big,{FIRST},3,", f"rest,{FIRST},1,100", f"web,{FIRST},3,300", f"web,{SECOND},1,100"])
        self.assertEqual(self.rows("--pcap", pcap, xml, "--view", "rest")[1:], [f"{FIRST},1,100"])

    def refused(self, *arguments, code=3):
        result = self.run_backstream(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def test_what_is_wrong_is_told_in_its_place(self):
        pcap = self.write("a.pcap", capture())
        unbound = self.write("t.xml", TRAFFIC)
        self.assertTrue(self.refused("run", "--pcap", pcap, unbound).startswith(
            f'{unbound}:7:18: error: relation "packets" does not exist'))
        # A binding moves no line of the file.
        wrong = self.write("w.xml", TRAFFIC.replace("sum(octets)", "sum(octet)"))
        said = self.refused("run", "--pcap", pcap, wrong, "--bind", "packets=flows")
        self.assertTrue(said.startswith(f"{wrong}:{place('octets)')}: error: "), said)
        self.assertIn("did you mean 'octets'?", said)
        said = self.refused("explain", unbound, "--bind", "packet=flows")
        self.assertIn('the diagram has no input "packet"', said)
        condition = self.write("c.xml", TRAFFIC.replace("<borealis>", '<?backstream filter.ams="octets &gt; )"?><borealis>'))
        said = self.refused("explain", condition)
        self.assertTrue(said.startswith(f"{condition}:1:38: error: "), said)

    def test_bindings_are_for_diagrams(self):
        self.assertIn("--bind is for diagrams", self.refused("explain", "-e", "SELECT 1", "--bind", "a=flows", code=2))
        xml = self.write("t.xml", TRAFFIC)
        self.assertIn("'packets' binds nothing", self.refused("explain", xml, "--bind", "packets", code=2))

    def test_a_diagram_is_explained_as_a_plan_as_sql_and_as_itself(self):
        xml = self.write("t.xml", BOUND)
        plan = self.run_backstream("explain", xml).stdout
        self.assertIn("view traffic\n", plan)
        self.assertIn("tumble of 1 min by time", plan)
        sql = self.run_backstream("explain", xml, "--as", "sql")
        self.assertEqual(sql.returncode, 0, sql.stderr)
        again = self.write("t.sql", sql.stdout)
        self.assertEqual(self.run_backstream("explain", again).stdout, plan)
        document = self.run_backstream("explain", again, "--as", "xml")
        self.assertEqual(document.returncode, 0, document.stderr)
        back = self.write("back.xml", document.stdout)
        pcap = self.write("a.pcap", capture())
        self.assertEqual(self.rows("--pcap", pcap, back), self.rows("--pcap", pcap, again))
        self.assertEqual(self.run_backstream("explain", self.write("s.xml", SPLIT), "--as", "xml").stdout, SPLIT)
        both = self.run_backstream("explain", self.write("s.xml", SPLIT), "--as", "sql").stdout
        self.assertEqual(both.count("CREATE MATERIALIZED VIEW"), 2, both)
        self.assertIn("a diagram is made of one query", self.refused("explain", again, "-e", "SELECT octets FROM flows", "--as", "xml"))


class Online(daemon.Case):
    def setUp(self):
        super().setUp()
        self.node = self.serve("exporter.127.0.0.9.site=ams")

    def query(self, *arguments, code=0):
        result = self.run_backstream("query", *arguments, "--server", f"http://127.0.0.1:{self.node.port}")
        self.assertEqual(result.returncode, code, result.stderr + result.stdout)
        return result.stdout if code == 0 else result.stderr

    def text(self, name):
        return self.query("show", name, "-o", "sql")

    def second(self, *queries):
        """Sends three flows to port 80 and one to 53 in a second; the rows of it that the queries give."""
        streams = [self.node.events(name) for name in queries]
        router = self.node.router("127.0.0.9")
        self.addCleanup(router.close)
        time.sleep(1.02 - time.time() % 1)
        at = int(time.time())
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        router.send(3, at=at, dport=80)
        router.send(1, at=at, dport=53)
        time.sleep(at + 1.02 - time.time())
        deadline, found = time.time() + 60, []
        for stream in streams:
            rows = []
            while not rows:
                self.assertLess(time.time(), deadline, stream.events)
                router.send(1, dport=443)  # Time goes on with flows.
                events = stream.wait(len(stream.events) + 1, 0.3)
                rows = [data["rows"] for name, _, data in events if name == "rows" and start in json.dumps(data["rows"])]
            found.append(rows[0])
        return found

    def test_a_query_lives_as_a_diagram(self):
        xml = self.write("t.xml", by_second(TRAFFIC))
        # Under another name than its stream's; the binding is part of its text.
        self.assertIn("added ports", self.query("add", "ports", xml, "--bind", "packets=flows"))
        self.assertEqual(self.text("ports"), by_second(TRAFFIC).replace("<borealis>", '<?backstream bind.packets="flows"?> <borealis>', 1))
        shown = self.query("show", "ports")
        self.assertIn("<borealis>", shown)
        rows, = self.second("ports")
        self.assertEqual(sorted((row[0], row[2], row[3]) for row in rows), [(53, 1, 100), (80, 3, 300)])
        # Others read it.
        self.query("add", "web", "-e", "SELECT time, flows FROM ports WHERE dstport = 80")
        self.assertIn("'ports' is read by 'web'", self.query("drop", "ports", code=1))
        # A new version, and what changed.
        wide = self.write("wide.xml", BOUND.replace('value="60"', 'value="120"'))
        self.assertIn("altered ports", self.query("alter", "ports", wide))
        changed = self.query("diff", "ports")
        self.assertIn('-    <parameter name="window-size" value="1"/>', changed)
        self.assertIn('+    <parameter name="window-size" value="120"/>', changed)
        self.assertEqual(self.query("diff", "ports", wide), "")
        self.assertEqual(len(self.query("history", "ports").splitlines()), 3)
        # Moved, and moved back: nothing else of its text changes.
        self.query("move", "ports", "--sites", "ams,fra", "--placement", "edge")
        self.assertTrue(self.text("ports").startswith('<?backstream bind.packets="flows" sites="ams,fra" placement="edge"?>\n'))
        self.assertIn("sites ams, fra", self.query("show", "ports"))
        self.query("move", "ports", "--sites", "all")
        self.assertIn('<?backstream bind.packets="flows" placement="edge"?>', self.text("ports"))
        self.query("drop", "web")
        self.query("pause", "ports")
        self.assertIn("paused", self.query("list"))
        self.query("resume", "ports")
        # It is there after a restart.
        self.node.end()
        self.node = self.serve("exporter.127.0.0.9.site=ams")
        self.assertIn("running", self.query("list"))
        self.query("drop", "ports")
        self.assertIn("no queries yet", self.query("list"))

    def test_the_name_of_a_query_picks_the_output(self):
        xml = self.write("s.xml", by_second(SPLIT))
        self.assertIn("several output streams (web, rest)", self.query("add", xml, code=2))
        said = self.query("add", "other", xml, code=6)
        self.assertIn("the diagram has no output stream 'other'", said)
        self.assertIn("web, rest", said)
        self.query("add", "rest", xml)
        self.assertIn("view rest", self.query("explain", xml))
        plan = self.query("explain", "rest")
        self.assertEqual(plan.count("source stream flows"), 1, plan)
        self.assertEqual(self.query("explain", xml).count("source stream flows"), 2)
        rows, = self.second("rest")
        self.assertEqual([row[1:] for row in rows], [[1, 100]])

    def test_directories_hold_diagrams_beside_statements(self):
        os.mkdir(self.path("queries"))
        self.write("queries/a.xml", SPLIT)
        self.write("queries/b.sql", "SELECT time, flows FROM web WHERE flows > 1")
        done = self.query("apply", "queries")
        self.assertIn("3 added, 0 altered, 0 dropped", done)
        self.assertIn("nothing to change: 3 queries are as the files say", self.query("apply", "queries"))
        self.write("queries/a.xml", SPLIT.replace('"dstport = 80"', '"dstport = 443"'))
        self.assertIn("2 altered", self.query("apply", "queries", "--dry-run"))
        self.write("queries/a.xml", SPLIT.replace('"dstport = 80"', '"dstport == \'x\'"'))
        said = self.query("apply", "queries", code=3)
        self.assertTrue(said.startswith(f"queries/a.xml:{place('dstport = 80', SPLIT)}: error: "), said)
        os.remove(self.path("queries/b.sql"))
        self.write("queries/a.xml", BOUND)
        self.assertIn("1 added, 0 altered, 3 dropped", self.query("apply", "queries", "--prune"))
        self.write("queries/deploy.xml", '<deploy><node endpoint=":15000" query="traffic"/></deploy>')
        self.assertIn("is a deploy file", self.query("apply", "queries", code=3))

    def test_texts_are_validated_and_mistakes_told_in_their_place(self):
        self.assertIn("ok: traffic would be a new query", self.query("validate", self.write("t.xml", BOUND)))
        self.assertIn("ok: web would be a new query; rest would be a new query", self.query("validate", self.write("s.xml", by_second(SPLIT))))
        wrong = self.write("w.xml", TRAFFIC.replace("sum(octets)", "sum(octet)"))
        for command in (("validate", wrong), ("add", "ports", wrong), ("explain", wrong)):
            said = self.query(*command, "--bind", "packets=flows", code=3)
            self.assertTrue(said.startswith(f"{wrong}:{place('octets)')}: error: "), said)
        said = self.query("validate", wrong, code=3)
        self.assertTrue(said.startswith(f'{wrong}:7:18: error: relation "packets" does not exist'), said)
        cut = self.write("cut.xml", BOUND[:-20])
        self.assertIn("cut.xml:", self.query("validate", cut, code=3))
        # What takes SQL only says so.
        shell = self.run_backstream("sql", "--server", f"http://127.0.0.1:{self.node.port}", "-f", wrong)
        self.assertEqual(shell.returncode, 3, shell.stderr)
        self.assertIn(f"{wrong}:1:1: error: this is XML, where SQL is expected", shell.stderr)

    def test_a_registered_query_is_written_in_both_languages(self):
        self.query("add", "ports", self.write("t.xml", BOUND))
        sql = self.query("explain", "ports", "--as", "sql")
        self.assertTrue(sql.startswith("CREATE MATERIALIZED VIEW ports\n"), sql)
        self.query("add", "twin", "-e", TWIN)
        xml = self.query("explain", "twin", "--as", "xml")
        self.assertTrue(xml.lstrip().startswith("<"), xml)
        self.assertIn("ok", self.query("validate", self.write("twin.xml", xml)))
        status, answer = self.node.request("POST", "/api/v1/explain", {"text": TWIN, "as": "prose"})
        self.assertEqual((status, answer["code"]), (422, "22023"), answer)

    def test_boxes_in_the_order_of_arrival_run_in_a_service(self):
        xml = self.write("threes.xml", THREES)
        self.query("add", "threes", xml)
        stream = self.node.events("threes")
        router = self.node.router("127.0.0.9")
        self.addCleanup(router.close)
        at = int(time.time())
        for octets in (1, 2, 3, 4, 5, 6):
            router.send(1, at=at, dport=80, octets=octets)
        deadline, rows = time.time() + 60, []
        while len(rows) < 2:
            self.assertLess(time.time(), deadline, stream.events)
            router.send(1, dport=9 + len(stream.events) % 7)  # Time goes on with flows.
            rows = [row for name, _, data in stream.wait(len(stream.events) + 1, 0.3) if name == "rows" for row in data["rows"] if row[0] == 80]
        self.assertEqual(rows, [[80, 3, 3], [80, 3, 6]])
        said = self.query("explain", "threes", "--as", "sql", code=3)
        self.assertIn(f"threes:{place('<box name=', THREES)}: error: ", said)
        self.assertEqual(self.query("explain", "threes", "--as", "xml"), THREES)
        self.assertIn("three", self.query("explain", "threes"))

    def test_alerts_of_a_diagram_fire(self):
        text = '<?backstream bind.packets="flows" alert.when="flows &gt; 2" alert.severity="page"?>\n' + by_second(TRAFFIC)
        self.node.add("busy", text)
        self.second("busy")
        deadline, alerts = time.time() + 60, []
        while not alerts:
            self.assertLess(time.time(), deadline, "nothing fires")
            alerts = self.node.get("/api/v1/alerts")["alerts"]
            time.sleep(0.05)
        self.assertEqual([(a["alert"], a["severity"], a["key"]) for a in alerts], [("busy", "page", {"dstport": 80})])
        status, refused = self.node.request("PUT", "/api/v1/queries/busy", {"text": text.replace("flows &gt; 2", "flow &gt; 2")})
        self.assertEqual(status, 422, refused)
        self.assertEqual((refused["line"], refused["column"]), (1, 47), refused)

    def test_what_a_diagram_gave_is_kept_and_read_again(self):
        self.node.add("ports", by_second(BOUND))
        rows, = self.second("ports")
        self.node.wait_until_kept()
        sql = self.run_backstream("sql", "--server", f"http://127.0.0.1:{self.node.port}", "-o", "csv", "-c",
                                  f"SELECT dstport, flows FROM ports WHERE time = '{rows[0][1]}' ORDER BY 1")
        self.assertEqual(sql.returncode, 0, sql.stderr)
        self.assertEqual(sql.stdout.split(), ["dstport,flows", "53,1", "80,3"], sql.stderr)
        suggested = self.query("suggest", "-e", "SELECT window_start, dst_port, sum(octets) AS total FROM tumble(flows, time, interval '1 min') GROUP BY 1, 2")
        self.assertIn("ports", suggested)
        # Somebody who may see some rows only.
        status, token = self.node.request("POST", "/api/v1/tokens", {"name": "web", "role": "viewer", "row_filter": "dstport = 80"})
        self.assertEqual(status, 201, token)
        status, results = self.node.request("GET", "/api/v1/queries/ports/results", headers={"Authorization": "Bearer " + token["token"]})
        self.assertEqual(status, 200, results)
        self.assertEqual({row[0] for window in results["windows"] for row in window["rows"]}, {80}, results)


if __name__ == "__main__":
    sys.exit(harness.main())

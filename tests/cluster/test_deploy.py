#!/usr/bin/env python3
"""Deploy files on three nodes over a real Kafka: two edges, and one that merges and receives. Two diagrams run; a file places them,
then one is moved to the other edge while flows go on. Each window has exactly the flows of one placement, and none is lost between."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import nodes    # noqa: E402
from nodes import WINDOW_S, seconds_of  # noqa: E402

AMS, FRA = 64500, 64501  # What the routers of the edges send (nodes.Load).

INPUT = """<schema name="packet">
 <field name="time" type="timestamp"/> <field name="srcas" type="long"/> <field name="octets" type="long"/>
</schema>
<input stream="packets" schema="packet"/>
"""


def aggregate(box, stream, output):
    return f"""<box name="{box}" type="aggregate"> <in stream="{stream}"/> <out stream="{output}"/>
 <parameter name="aggregate-function.0" value="sum(octets)"/> <parameter name="aggregate-function-output-name.0" value="octets"/>
 <parameter name="aggregate-function.1" value="count()"/> <parameter name="aggregate-function-output-name.1" value="n"/>
 <parameter name="group-by" value="srcas"/> <parameter name="window-size-by" value="VALUES"/>
 <parameter name="window-size" value="{WINDOW_S}"/> <parameter name="advance" value="{WINDOW_S}"/>
 <parameter name="order-by" value="FIELD"/> <parameter name="order-on-field" value="time"/>
 <parameter name="independent-window-alignment" value="1"/> <parameter name="drop-empty-outputs" value="1"/>
</box>
"""


def as_map(box, stream, output, *fields):
    parameters = "".join(f'<parameter name="expression.{number}" value="{field}"/>'
                         f'<parameter name="output-field-name.{number}" value="{field}"/>' for number, field in enumerate(fields))
    return f'<box name="{box}" type="map"> <in stream="{stream}"/> <out stream="{output}"/> {parameters} </box>\n'


MATRIX = (f'<borealis>\n{INPUT}<output stream="matrix"/>\n<query name="TM">\n' + aggregate("TM_groups", "packets", "grouped") +
          as_map("TM_rows", "grouped", "matrix", "time", "srcas", "octets", "n") + "</query>\n</borealis>\n")
# The flows of one AS and those of all others go separate ways and meet again: groups cannot be made at the edges.
MIX = (f"""<borealis>\n{INPUT}<output stream="mix"/>
<query name="ways">
 <box name="which" type="filter"> <in stream="packets"/> <out stream="one"/> <out stream="rest"/>
  <parameter name="expression.0" value="srcas = {AMS}"/> <parameter name="pass-on-false-port" value="1"/> </box>
 <box name="again" type="union"> <in stream="one"/> <in stream="rest"/> <out stream="all"/> </box>
</query>
<query name="sums">\n""" + aggregate("groups", "all", "grouped") +
       as_map("rows", "grouped", "mix", "time", "srcas", "octets", "n") + "</query>\n</borealis>\n")

WHERE = """<?xml version="1.0"?>
<!DOCTYPE borealis SYSTEM "borealis.dtd">
<deploy>
 <client endpoint="merge:25000">
  <publish stream="Packets"/>
  <subscribe stream="matrix"/>
 </client>
 <node endpoint="ams:15000" query="TM"/>
 <node endpoint="merge:15000" query="ways sums"/>
</deploy>
"""
MOVE = '<deploy>\n <move box="TM_groups" node="FRA:15000"/>\n</deploy>\n'
NOT_SO = '<deploy>\n <node endpoint="fra" query="matrix"/>\n <node endpoint="ams" query="ways"/>\n</deploy>\n'


class Deploy(nodes.Case):
    def written(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def deploy(self, name, text, *flags, code=0):
        return self.command("query", "deploy", self.written(name, text), *flags, server=self.shown, code=code)

    def query(self, name):
        return self.shown.get(f"/api/v1/queries/{name}")

    def versions(self):
        return [self.query(name)["version"] for name in ("matrix", "mix")]

    def placement(self, name):
        placement = self.query(name)["placement"]
        return placement["where"], placement["sites"]

    def keys_after(self, query, start):
        """What windows have that begin later."""
        return {key for (at, key) in self.counted(self.shown, query) if at > start}

    def until_placed(self, keys, what):
        """Until a window that began after now has these keys."""
        now = time.time()
        self.until(lambda: any({key for (at, key) in self.counted(self.shown, "matrix") if at == start} == keys
                               for (start, _) in self.counted(self.shown, "matrix") if start > now), what)
        self.until(lambda: self.keys_after("mix", now) == {AMS, FRA}, "the other query has windows of both")

    def until_same(self, condition, what, sent):
        try:
            self.until(condition, what)
        except AssertionError:
            def of(counts, start):
                return {key: n for (at, key), n in counts.items() if at == start}
            for start in sorted({start for start, _ in sent}):
                print(" ", start, "sent", of(sent, start), *(f"{query} {of(self.counted(self.shown, query), start)}"
                                                             for query in ("matrix", "mix")))
            raise

    def test_a_file_places_queries_and_moves_them_while_flows_go_on(self):
        self.shown = self.merge()
        edges = [self.edge("ams"), self.edge("fra")]
        for name, diagram in (("matrix", MATRIX), ("mix", MIX)):
            self.command("query", "add", name, self.written(name + ".xml", diagram), "--bind", "packets=flows", server=self.shown)
        self.runs_at([self.shown, *edges], "mix")
        load = nodes.Load([edge.router() for edge in edges])
        self.until_placed({AMS, FRA}, "as they were added, both count all")

        placed = ("  matrix  sites site-ams (was all), placement edge (was auto)\n"
                  "alter  mix     sites all, placement central (was auto)\n")
        self.assertEqual(self.deploy("where.xml", WHERE, "--dry-run"),
                         "alter" + placed + "would be: 2 altered, 0 unchanged\nevery receiver has the results of matrix\n")
        self.assertEqual(self.versions(), [1, 1])
        self.assertEqual(self.deploy("where.xml", WHERE),
                         "alter" + placed + "2 altered, 0 unchanged\nevery receiver has the results of matrix\n")
        self.assertEqual((self.placement("matrix"), self.placement("mix")), (("edge", ["site-ams"]), ("central", [])))
        self.assertEqual(self.versions(), [2, 2])
        self.until_placed({AMS}, "one edge alone counts for the matrix")
        self.assertIn("\nnothing to change: 2 queries are as the file says\n", self.deploy("where.xml", WHERE))

        self.assertEqual(self.deploy("move.xml", MOVE), "alter  matrix  sites site-fra (was site-ams), placement edge\n"
                                                        "1 altered, 0 unchanged\n")
        self.until_placed({FRA}, "the other edge alone counts for the matrix")
        self.assertIn("nothing to change: 1 query is as the file says\n", self.deploy("move.xml", MOVE))
        self.assertEqual(self.versions(), [3, 2])

        # All or nothing, and what the service says of a query is told where the file asks for it.
        refused = self.deploy("not_so.xml", NOT_SO.replace("fra", "ams"), code=3)
        self.assertIn("not_so.xml:3:30: error: query 'mix' cannot be placed so: placement = 'edge' is not possible", refused)
        refused = self.deploy("not_so.xml", NOT_SO.replace("fra", "fre"), code=3)
        self.assertIn("not_so.xml:2:18: error: there is no node 'fre'", refused)
        self.assertIn("did you mean 'fra'?", refused)
        self.assertEqual(self.versions(), [3, 2])

        time.sleep(2)  # What was sent is on its way.
        sent = load.end()
        self.until_same(lambda: self.counted(self.shown, "mix") == sent, "the other query has all that was sent", sent)
        # By window: all, then what came to one edge, then what came to the other; never some of both.
        starts = sorted({start for (start, _) in sent})
        phases = [{AMS, FRA}, {AMS}, {FRA}]

        def phases_of_windows():
            counted = self.counted(self.shown, "matrix")
            found = [next((number for number, keys in enumerate(phases)
                           if {key: n for (at, key), n in counted.items() if at == start} ==
                           {key: sent[(start, key)] for key in keys if (start, key) in sent}), None) for start in starts]
            return None not in found and found == sorted(found) and set(found) == {0, 1, 2}
        self.until_same(phases_of_windows, "each window of the matrix has the flows of one placement", sent)
        for query in ("matrix", "mix"):
            self.until(lambda: all(part["final"] for part, _ in self.collect(self.shown, query).values()), f"all of {query} are final")


if __name__ == "__main__":
    sys.exit(nodes.main())

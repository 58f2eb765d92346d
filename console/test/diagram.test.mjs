// What an editor of diagrams decides without a browser.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { console_folder, load } from "./load.mjs";

globalThis.sessionStorage = { getItem: () => null, setItem() {}, removeItem() {} };
const { is_xml } = await load("api/queries");
const { outputs_of, scan_xml } = await load("editor/diagram_scan");
const { diagram_offers_at } = await load("editor/diagram_completion");
const { AGGREGATES, BOXES, DIAGRAM_FUNCTIONS } = await load("editor/diagram_words");

const relations = [
  { name: "flows", kind: "stream", columns: [{ name: "src_as", type: "bigint" }, { name: "octets", type: "bigint" }] },
  { name: "matrix", kind: "query", columns: [{ name: "dst_as", type: "bigint" }] },
];
const DIAGRAM = `<?xml version="1.0"?>
<!-- <box type="none"> -->
<borealis>
  <schema name="packet"><field name="time" type="timestamp"/><field name="octets" type="long"/></schema>
  <input stream="flows" schema="packet"/>
  <output stream="traffic"/>
  <box name="large" type="filter">
    <in stream="flows"/> <out stream="big"/>
    <parameter name="expression.0" value="octets > 1000"/>
  </box>
  <box name="sum" type="aggregate">
    <in stream="big"/> <out stream="traffic"/>
    <parameter name="aggregate-function.0" value="sum(octets)"/>
  </box>
</borealis>
`;

/** What is offered where '|' stands. */
function offered(marked) {
  const cursor = marked.indexOf("|");
  const found = diagram_offers_at(marked.slice(0, cursor) + marked.slice(cursor + 1), cursor, relations);
  return found && { from: marked.slice(found.from, cursor), labels: found.offers.map(({ label }) => label), offers: found.offers };
}
const in_document = (before, after) => DIAGRAM.replace(before, after);

test("a text that begins with a tag is a diagram", () => {
  for (const text of ["<borealis/>", "\n  <?xml", "\uFEFF<a>"]) assert.ok(is_xml(text), text);
  for (const text of ["SELECT 1 < 2", "", "-- <a>"]) assert.ok(!is_xml(text), text);
});

test("elements are offered where they may stand", () => {
  assert.deepEqual(offered("<|").labels, ["borealis"]);
  const inside = offered("<borealis>\n <b|");
  assert.equal(inside.from, "b");
  assert.deepEqual(inside.labels, ["box", "schema", "input", "output", "query", "/borealis"]);
  assert.deepEqual(offered('<borealis><box name="x" type="map"><|').labels, ["in", "out", "parameter", "/box"]);
  assert.deepEqual(offered('<borealis><box name="x" type="map"><in stream="a"/></|').labels, ["box"]);
  assert.deepEqual(offered('<borealis><box name="a>b" type="map"><in stream="a"></in></box><|').labels.at(-1), "/borealis");
});

test("attributes are offered that the element has and that are not there yet", () => {
  assert.deepEqual(offered("<borealis><box |").labels, ["name", "type", "node"]);
  const second = offered('<borealis><box name="x" t|');
  assert.equal(second.from, "t");
  assert.deepEqual(second.labels, ["type", "node"]);
  assert.deepEqual(second.offers[0], { label: "type", apply: 'type=""', kind: "keyword", detail: "", boost: -0, back: 1 });
  assert.equal(offered("<borealis><unknown |"), null);
});

test("values are offered by what they are of", () => {
  assert.deepEqual(offered('<borealis><box name="x" type="|').labels, Object.keys(BOXES));
  assert.deepEqual(offered('<borealis><box type="fil|"/>').from, "fil");
  assert.ok(offered('<borealis><schema name="s"><field name="t" type="|"/>').labels.includes("timestamp"));
  assert.deepEqual(offered('<borealis><schema name="s"><field name="|"/>').labels, ["src_as", "octets"]);
  assert.deepEqual(offered('<borealis><input stream="|"/>').labels, ["flows", "matrix"]);
  assert.deepEqual(offered(in_document('<in stream="big"/>', '<in stream="|"/>')).labels, ["flows", "big", "traffic"]);
  assert.deepEqual(offered(in_document('<out stream="big"/>', '<out stream="|"/>')).labels, ["traffic"]);
  assert.deepEqual(offered(in_document('schema="packet"', "schema='|'")).labels, ["packet"]);
});

test("parameters are those of the box, with the next number, without those that it has", () => {
  const here = (parameter, type = "aggregate") => offered(`<borealis><box name="b" type="${type}">${parameter}</box></borealis>`);
  assert.deepEqual(here('<parameter name="|"/>', "filter").labels, ["expression.0", "pass-on-false-port"]);
  assert.equal(here('<parameter name="|"/>').labels[0], "aggregate-function.0");
  const second = here('<parameter name="aggregate-function.0" value="count()"/><parameter name="window-size" value="60"/><parameter name="|"/>').labels;
  assert.equal(second[0], "aggregate-function.1");
  assert.ok(!second.includes("window-size") && second.includes("advance"), second);
  assert.deepEqual(here('<parameter name="window-size-by" value="|"/>').labels, ["VALUES", "TUPLES"]);
  assert.deepEqual(here('<parameter value="|" name="order-by"/>').labels, ["FIELD", "TUPLENUM"]);
  const functions = offered(in_document('value="sum(octets)"', 'value="su|"'));
  assert.equal(functions.from, "su");
  assert.ok(functions.labels.includes("sum") && functions.labels.includes("octets"), functions.labels);
  assert.deepEqual(offered(in_document('value="octets > 1000"', 'value="time > 1 and oct|"')).labels.slice(0, 2), ["time", "octets"]);
  assert.equal(here('<parameter name="window-size" value="|"/>'), null);
});

test("nothing is offered in comments, instructions and between tags", () => {
  for (const text of ["<!-- <|", "<?backstream s|?>", "<borealis> |", "<borealis> te|xt", "|", "<!DOCTYPE b|>", "<borealis/>\n|"]) assert.equal(offered(text), null, text);
});

test("half a document is read without an end", () => {
  for (let end = 0; end <= DIAGRAM.length; ++end) {
    scan_xml(DIAGRAM.slice(0, end), end);
    diagram_offers_at(DIAGRAM, end, relations);
  }
  for (const odd of ["<", "</", "<a b", "<a b=", "<a b='", "<a <b", "<a b=\"<c>", "<a =>", "</a></a></a>", "<\u0000"]) scan_xml(odd, odd.length), diagram_offers_at(odd, odd.length, relations);
  const begun = Date.now();
  const wide = `<borealis>${'<box name="x" type="map"><parameter name="expression.0" value="a"/></box>'.repeat(5_000)}<`;
  diagram_offers_at(wide, wide.length, relations);
  assert.ok(Date.now() - begun < 5_000);
});

test("the outputs of a diagram are those that it says, else what nobody reads", () => {
  assert.deepEqual(outputs_of(DIAGRAM), ["traffic"]);
  assert.deepEqual(outputs_of(DIAGRAM.replace('<output stream="traffic"/>', '<output stream="Big"/><output stream="traffic"/>')), ["big", "traffic"]);
  assert.deepEqual(outputs_of(DIAGRAM.replace('<output stream="traffic"/>', "")), ["traffic"]);
  assert.deepEqual(outputs_of("SELECT 1"), []);
});

test("boxes, parameters and functions are those of docs/borealis.md", () => {
  const text = fs.readFileSync(path.join(console_folder, "..", "docs", "borealis.md"), "utf8");
  const rows = [...text.matchAll(/^\| `(\w+)` \| (?:\d|n) →/gm)].map((match) => match[1]);
  assert.deepEqual([...rows].sort(), Object.keys(BOXES).sort());
  const base = (parameter) => parameter.replace(/\.(\d+|i)$/, "");
  for (const line of text.split("\n").filter((each) => /^\| `\w+` \| (\d|n) →/.test(each))) {
    const [, box, , parameters] = line.split("|").map((cell) => cell.trim());
    const named = [...parameters.matchAll(/`([\w.-]+)`/g)].map((match) => base(match[1])).filter((each) => each !== "right");
    const known = BOXES[box.replaceAll("`", "")].map(base);
    const both = parameters.includes("the same of `right`") ? [...named, ...named.filter((each) => each.startsWith("left-")).map((each) => each.replace("left-", "right-"))] : named;
    assert.deepEqual([...both].sort(), [...known].sort(), box);
  }
  const section = text.slice(text.indexOf("## Expressions"), text.indexOf("## Differences from SQL"));
  const functions = [...section.matchAll(/^\| `([^`]+)` \|/gm)].flatMap((match) => match[1].replaceAll(/\([^)]*\)/g, "").split(/[ ,]+/));
  assert.deepEqual([...new Set(functions)].filter((each) => each !== "").sort(), [...new Set(DIAGRAM_FUNCTIONS)].sort());
  const aggregates = /^ {2}`(count\(\) [^`]+)`/m.exec(text)[1].replace("()", "").split(" ");
  assert.deepEqual(aggregates, AGGREGATES);
});

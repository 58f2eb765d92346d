// What an editor of statements decides without a browser.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { console_folder, load } from "./load.mjs";

globalThis.sessionStorage = { getItem: () => null, setItem() {}, removeItem() {} };
const { offset_of, part_of } = await load("editor/places");
const { created_name, select_of, tokens_of } = await load("editor/scan");
const { FUNCTIONS, offers_at } = await load("editor/completion");

/** The other way, by an independent road: line and column in code points of a UTF-16 offset. */
function place_of(text, offset) {
  const lines = text.slice(0, offset).split("\n");
  return { line: lines.length, column: [...lines.at(-1)].length + 1 };
}

test("a place in lines and characters is one in UTF-16, and back", () => {
  const text = "SELECT \"é\", '😀😀', x\n\tFROM flöws -- 👩‍👩‍👧\n\nWHERE a";
  for (let offset = 0; offset <= text.length; ++offset) {
    if (/[\udc00-\udfff]/.test(text[offset] ?? "")) continue;
    const { line, column } = place_of(text, offset);
    assert.equal(offset_of(text, line, column), offset, `${line}:${column}`);
  }
  assert.equal(offset_of(text, 99, 1), text.length);
  assert.equal(offset_of(text, 3, 99), text.indexOf("\nWHERE"));
});

test("what the server points at is marked, whatever the status; nothing is marked without a place", () => {
  const text = "SELECT 1,\n  '😀' || scr_addr\nFROM flows";
  const problem = { title: "Not Found", status: 404, line: 2, column: 10, end_line: 2, end_column: 18 };
  const { from, until } = part_of(text, problem);
  assert.equal(text.slice(from, until), "scr_addr");
  assert.equal(part_of(text, { title: "x", status: 422 }), null);
  // A mark has to be seen: an empty place takes the character, or the one before the end.
  assert.deepEqual(part_of("abc", { title: "x", status: 422, line: 1, column: 2 }), { from: 1, until: 2 });
  assert.deepEqual(part_of("abc", { title: "x", status: 422, line: 1, column: 4, end_line: 1, end_column: 4 }), { from: 2, until: 3 });
});

test("tokens are all of the text, one after another", () => {
  for (const text of ["SELECT \"a\"\"b\", 'it''s' /* x */ -- y\nFROM t", "'never closed", "\"never", "/* never", "E'\\x' ü 1e5;", ""]) {
    assert.equal(tokens_of(text).map(({ from, until }) => text.slice(from, until)).join(""), text);
  }
});

test("what a statement calls itself, and the SELECT in it", () => {
  const create = "-- why\nCREATE MATERIALIZED VIEW \"My \"\"view\" WITH (delay = '5 s', \"alert.when\" = 'a AS b') AS\nSELECT window_start AS w FROM x";
  assert.equal(created_name(create), 'My "view');
  assert.equal(select_of(create), "SELECT window_start AS w FROM x");
  assert.equal(created_name("create or replace view Top as select 1"), "top");
  assert.equal(created_name("CREATE VIEW v (a, b) AS WITH x AS (SELECT 1) SELECT * FROM x"), "v");
  assert.equal(select_of("CREATE VIEW v (a, b) AS WITH x AS (SELECT 1) SELECT * FROM x"), "WITH x AS (SELECT 1) SELECT * FROM x");
  assert.equal(created_name("CREATE MATERIALIZED VIEW IF NOT EXISTS top AS SELECT 1"), "top");
  assert.equal(select_of("CREATE VIEW v WITH (a = (1 AS b)) AS SELECT 2"), "SELECT 2");
  assert.equal(created_name("SELECT 1"), null);
  assert.equal(select_of("SELECT a AS b FROM t"), "SELECT a AS b FROM t");
  for (const half of ["CREATE", "CREATE VIEW", "CREATE MATERIALIZED VIEW \"x", "-- CREATE VIEW v AS SELECT 1"]) created_name(half), select_of(half);
});

const relations = [
  { name: "flows", kind: "stream", columns: [{ name: "src_as", type: "bigint" }, { name: "octets", type: "bigint" }] },
  { name: "Über view", kind: "query", columns: [{ name: "some thing", type: "text" }] },
  { name: "sites", kind: "table", columns: [{ name: "place", type: "text" }] },
];
/** `|` is the cursor. */
function offers(marked) {
  const cursor = marked.indexOf("|");
  return offers_at(marked.replace("|", ""), cursor, relations);
}
const labels = (marked) => offers(marked)?.offers.map(({ label }) => label) ?? null;

test("columns are of what FROM names, wherever the cursor is", () => {
  assert.ok(labels("SELECT s| FROM tumble(flows, time, interval '1 s')").includes("src_as"));
  assert.ok(!labels("SELECT s| FROM sites").includes("src_as"));
  assert.ok(!labels("SELECT s|").includes("src_as"));
  assert.deepEqual(labels("SELECT f.| FROM flows f JOIN sites AS s ON true"), ["src_as", "octets"]);
  assert.deepEqual(labels("SELECT s.p| FROM flows f JOIN sites AS s ON true"), ["place"]);
  assert.deepEqual(labels("SELECT t.o| FROM tumble(flows, time, interval '1 s') AS t"), ["src_as", "octets"]);
  const most = offers("SELECT * FROM |").offers.reduce((a, b) => (b.boost > a.boost ? b : a));
  assert.equal(most.kind, "relation");
});

test("inside quotes of a name, names come with their quotes; in texts and comments nothing does", () => {
  const found = offers("SELECT * FROM \"Üb|");
  assert.equal("SELECT * FROM \"Üb".slice(found.from), "\"Üb");
  assert.equal(found.offers.find(({ label }) => label === "Über view").apply, '"Über view"');
  assert.ok(found.offers.every(({ apply }) => /^".*"$/.test(apply)));
  assert.equal(offers("SELECT * FROM \"Üb|\"").until, "SELECT * FROM \"Üb\"".length);
  assert.equal(offers("SELECT * FROM Üb|").offers.find(({ label }) => label === "Über view").apply, '"Über view"');
  for (const none of ["SELECT 'a|'", "SELECT 'a|", "-- a|", "SELECT /* a| */ 1", "SELECT 'it''s|"]) assert.equal(offers(none), null, none);
});

test("functions are those that docs/sql.md has", () => {
  const text = fs.readFileSync(path.join(console_folder, "../docs/sql.md"), "utf8");
  for (const name of FUNCTIONS) assert.match(text, new RegExp(`[\`\\s(]${name}[\`\\s(]`), name);
});

test("a statement of a thousand lines has offers", () => {
  const long = Array.from({ length: 1_000 }, (_, i) => `  sum(CASE WHEN dst_port = ${i} THEN octets END) AS "port ${i}",`).join("\n");
  assert.ok(offers_at(`SELECT\n${long}\n src FROM flows`, 20, relations).offers.length > 100);
});

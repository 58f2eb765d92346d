// Conditions of an address: as text, as SQL, and back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { condition_sql, conditions_of, OPERATORS, operators_of, read_condition, with_condition, write_condition } = await load("charts/conditions");

const columns = [
  { name: "src_ip", type: "inet" }, { name: "site", type: "text" }, { name: "src_as", type: "bigint" },
  { name: "Odd \"name\"", type: "text" }, { name: "drop", type: "boolean" }, { name: "share", type: "double precision" },
];
const sql = (text) => condition_sql(read_condition(text), columns);

test("conditions are read as people write them, with quotes or without", () => {
  assert.deepEqual(read_condition("src_as = 64500"), { column: "src_as", operator: "=", value: 64500 });
  assert.deepEqual(read_condition("site=pop-sao"), { column: "site", operator: "=", value: "pop-sao" });
  assert.deepEqual(read_condition("site contains 'it''s'"), { column: "site", operator: "contains", value: "it's" });
  assert.deepEqual(read_condition("src_ip in 10.0.0.0/8"), { column: "src_ip", operator: "in", value: "10.0.0.0/8" });
  assert.deepEqual(read_condition("src_as != NULL"), { column: "src_as", operator: "!=", value: null });
  assert.deepEqual(read_condition("src_as = 18446744073709551615"), { column: "src_as", operator: "=", value: "18446744073709551615" });
  for (const none of ["", "site", "site =", "= 3", "'a' = 3", "site = 'open", "site ~ 3"]) assert.equal(read_condition(none), null, none);
});

test("types decide how a value is written", () => {
  assert.equal(sql("src_ip = 10.0.0.1").sql, "src_ip = inet '10.0.0.1'");
  assert.equal(sql("src_ip in '2001:db8::/32'").sql, "src_ip <<= inet '2001:db8::/32'");
  assert.equal(sql("src_as = 64500").sql, "src_as = 64500");
  assert.equal(sql("src_as >= '64500'").sql, "src_as >= 64500");
  assert.equal(sql("site = 64500").sql, "site = '64500'");
  assert.equal(sql("site contains '%_'").sql, "strpos(site, '%_') > 0");
  assert.equal(sql("site = NULL").sql, "site IS NULL");
  assert.equal(sql("site = 'NULL'").sql, "site = 'NULL'");
  assert.equal(sql("drop = true").sql, "drop = true");
  assert.equal(sql("share < 0.5").sql, "share < 0.5");
});

test("who leaves out a value does not lose rows without one", () => {
  assert.equal(sql("src_as != 5").sql, "src_as IS DISTINCT FROM 5");
  assert.equal(sql("src_as != NULL").sql, "src_as IS NOT NULL");
});

test("what does not fit the column is told and left out", () => {
  const { sql: kept, mistakes } = conditions_of(["dst_port = 80", "src_as = many", "src_as contains 4", "src_ip = 'x'' OR true --'", "nonsense", "site > a", "site = a"], columns);
  assert.deepEqual(kept, ["site = 'a'"]);
  assert.deepEqual(mistakes.map(({ mistake }) => mistake), ["column", "value", "operator", "value", "text", "operator"]);
});

// A generator with a seed: each failure can be seen again.
function chance(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
const PIECES = ["'", "''", "\"", "\\", ";", "--", "/*", "*/", " ", "\n", "\t", "=", "!=", "in ", " contains ", "NULL", "true", "0x1", "1e9", "-", ".", "<script>", "%", "_", "é", "😀", "\u0000", "\u202e", "$1", "&f=", "?", "#", "a", "Z", "9"];

/** What a reader of SQL sees: literals and quoted names taken out. */
const bare = (text) => text.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, (found) => (found.startsWith("'") ? "L" : "N"));

test("any condition survives its text, an address, and cannot leave its literal", () => {
  for (let seed = 1; seed <= 4_000; ++seed) {
    const pick = chance(seed * 2_654_435_761);
    const word = (most) => Array.from({ length: 1 + pick(most) }, () => PIECES[pick(PIECES.length)]).join("");
    const values = [word(6), pick(1e9), -pick(1e6) / 8, null, true, false, String(pick(1e6)), "", "NULL", "true"];
    const condition = { column: pick(2) ? word(4) : columns[pick(columns.length)].name, operator: OPERATORS[pick(OPERATORS.length)], value: values[pick(values.length)] };
    const text = write_condition(condition);
    assert.deepEqual(read_condition(text), condition, `seed ${seed}: ${JSON.stringify(text)}`);
    const address = new URL(`http://console/?f=${encodeURIComponent(text)}`);
    assert.equal(address.searchParams.get("f"), text);
    const known = { name: condition.column, type: "text" };
    const made = condition_sql(condition, [known]);
    if (!("sql" in made)) continue;
    assert.match(bare(made.sql), /^(N|[a-z_][a-z0-9_]*) ((=|IS DISTINCT FROM) L|IS (NOT )?NULL)$|^strpos\((N|[a-z_][a-z0-9_]*), L\) > 0$/, `seed ${seed}: ${made.sql}`);
  }
});

test("a condition is there once, and takes the place of its opposite", () => {
  const of = (operator, value) => ({ column: "src_as", operator, value });
  const one = with_condition([], of("=", 1));
  assert.deepEqual(with_condition(one, of("=", 1)), one);
  assert.deepEqual(with_condition([...one, "src_as = 2"], of("!=", 1)), ["src_as = 2", "src_as != 1"]);
});

test("each type has operators", () => {
  for (const column of columns) assert.ok(operators_of(column).includes("="));
});

// What Explore and Matrix ask, and what they make of the answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const {
  alert_statement, amount_of_window, as_one_rate, cells_sql, dimensions_of, earlier_lines, earlier_span, figures_of, filtered, flow_links, flows_question, grouped,
  lay_chord, lay_sankey, matrix_data, picture_of, queries_for_matrix, ranking_sql, scale_of, series_sql, session_curl_of, command_of, shape_of, side_sql, sides_for, similar_order,
  step_seconds, total_amount, view_of, WINDOWS_SHOWN,
} = await load("pages/exploration", "pages/matrix_question", "pages/export", "charts/comparison", "charts/flow_layout", "charts/shape", "charts/series", "charts/similar_order", "charts/value_actions", "state/view", "words/format");

const names = { bits: "bit/s", bytes: "B/s", packets: "packets/s", flows: "flows/s" };
const column = (name, type = "bigint", more = {}) => ({ name, type, ...more });
const start = column("window_start", "timestamp with time zone");
const AS = [start, column("src_as"), column("dst_as"), column("octets")];
const from = Date.parse("2026-11-28T10:00:00Z"), until = Date.parse("2026-11-28T11:00:00Z");
const what = (more = {}) => ({ query: "as_matrix", by: [AS[1]], conditions: [], measure: "octets", from, until, ...more });
const query = (name, columns, more = {}) => ({ name, text: "SELECT 1", columns, plain: false, state: "running", ledger: null, ...more });

test("the server ranks: groups of the whole range, the largest first, and no more", () => {
  assert.equal(ranking_sql(what({ conditions: ["dst_as = 5"] }), 20), `SELECT src_as, sum(octets) AS octets
FROM as_matrix
WHERE window_start >= '2026-11-28T10:00:00.000Z'
  AND window_end <= '2026-11-28T11:00:00.000Z'
  AND dst_as = 5
GROUP BY src_as
ORDER BY octets DESC
LIMIT 20`);
  assert.doesNotMatch(ranking_sql(what({ by: [] }), 20), /GROUP|LIMIT/);
  assert.match(ranking_sql(what({ measure: "reflectors" }), 20), /max\(reflectors\) AS reflectors/);
  assert.match(ranking_sql(what({ query: 'a"b', by: [column("Src AS")] }), 1), /^SELECT "Src AS".*\nFROM "a""b"\n/);
});

test("a chart has ranks for keys, and 0 for all others; values are of their column's type", () => {
  const text = series_sql(what({ by: [column("src_ip", "inet"), column("site", "text")], until: null }), [["192.0.2.1", "it's"], [null, "b"]], null);
  assert.match(text, /WHEN src_ip = '192\.0\.2\.1'::inet AND site = 'it''s' THEN 1\n/);
  assert.match(text, /WHEN src_ip IS NULL AND site = 'b' THEN 2\n    ELSE 0 END AS _rank/);
  assert.doesNotMatch(text, /window_end/);
  assert.match(text, /GROUP BY window_start, _rank$/);
  const stepped = series_sql(what(), [[1]], 60);
  assert.match(stepped, /FROM tumble\(\(SELECT \* FROM as_matrix\nWHERE [^]*\), window_start, interval '60 s'\)\nGROUP BY/);
  assert.doesNotMatch(series_sql(what({ by: [] }), [], null), /_rank/);
});

test("windows are never more than can be looked at, and whole ones of the query's", () => {
  for (const window_ms of [1_000, 5_000, 7_000, 45_000, 10_000, 60_000, 300_000]) {
    for (const hours of [0.1, 1, 6, 24, 168]) {
      const span = hours * 3_600_000, step = step_seconds(span, window_ms);
      if (step === null) assert.ok(span / window_ms <= WINDOWS_SHOWN, `${window_ms} ${hours}`);
      else assert.ok(span / (step * 1000) <= WINDOWS_SHOWN && (step * 1000) % window_ms === 0, `${window_ms} ${hours}: ${step}`);
    }
  }
  assert.equal(step_seconds(3_600_000, null), null);
});

test("dimensions are those that the query has", () => {
  const shape = shape_of(AS);
  assert.deepEqual(dimensions_of(shape, ["dst_as", "gone"]).map(({ name }) => name), ["dst_as"]);
  assert.deepEqual(dimensions_of(shape, []).map(({ name }) => name), ["src_as", "dst_as"]);
  assert.deepEqual(dimensions_of(shape_of([start, column("site", "text"), column("protocol"), column("octets")]), []).map(({ name }) => name), ["site"]);
});

test("figures are of windows that are known; the 95th is one of them", () => {
  const values = Array.from({ length: 100 }, (_, i) => i + 1);
  assert.deepEqual(figures_of([...values, null]), { min: 1, max: 100, last: null, average: 50.5, p95: 95, windows: 100 });
  assert.deepEqual(figures_of([null]), { min: null, max: null, last: null, average: null, p95: null, windows: 0 });
  assert.equal(figures_of([7]).p95, 7);
});

test("totals are amounts: of rates too, and of distinct counts there are none", () => {
  assert.equal(total_amount("octets", 1_000, 10_000), 1_000);
  assert.equal(total_amount("bits_per_second", 80, 60_000), 600);
  assert.equal(total_amount("packets_per_second", 5, 60_000), 300);
  assert.equal(total_amount("reflectors", 1_000, 10_000), null);
  assert.equal(amount_of_window("octets", 600, 6), 100);
  assert.equal(amount_of_window("reflectors", 600, 6), 600);
  const rates = [{ start: 0, end: 300_000, columns: [start, column("bits_per_second")], rows: [["", 500]] }];
  assert.equal(as_one_rate(rates, "bits_per_second", 60_000)[0].rows[0][1], 100);
  assert.equal(as_one_rate([{ ...rates[0], columns: [start, column("octets")] }], "octets", 60_000)[0].rows[0][1], 500);
});

test("keys that were ranked have lines in that order, the rest is the others", () => {
  const of = [start, column("_rank", "integer"), column("octets")];
  const windows = [{ start: 0, end: 10_000, columns: of, rows: [["", 0, 50], ["", 1, 10], ["", 2, 30]], sites_missing: [], complete: true, truncated: false, open: false }];
  const shape = { dimensions: [of[1]], measures: [of[2]], attributes: [], errors: new Map(), matrix: null };
  const one = { of: (value) => value, unit: "" };
  const picture = picture_of(windows, shape, "octets", one, { keys: [[1], [2], [3]] });
  assert.deepEqual(picture.lines.map(({ label, values, other }) => [label, values[0], other]), [["1", 10, false], ["2", 30, false], ["3", 0, false], ["", 50, true]]);
  assert.deepEqual(picture_of(windows, shape, "octets", one, { keys: [[2], [0], [1]] }).lines.map(({ label }) => label), ["2", "0", "1"]);
  const partly = picture_of(windows, shape, "octets", one, { keys: [[1], [3]], all_groups: false });
  assert.deepEqual(partly.lines.map(({ values }) => values[0]), [10, null]);
  assert.equal(partly.whole, false);
});

const window_at = (at, rows, more = {}) => ({ start: at, end: at + 10_000, columns: [start, column("site", "text"), column("octets")], rows: rows.map(([site, octets]) => ["", site, octets]), sites_missing: [], complete: true, truncated: false, open: false, ...more });
const by_site = shape_of([start, column("site", "text"), column("octets")]);
const plain = { of: (value) => value, unit: "" };

test("an earlier time stands where the same time was, and nowhere else", () => {
  const shift = 3_600_000;
  const now = picture_of([0, 1, 2, 5].map((i) => window_at(shift + i * 10_000, [["a", 10 + i], ["b", 1]])), by_site, "octets", plain);
  const before = picture_of([window_at(0, [["a", 5], ["b", 2]]), window_at(20_000, [["a", 7]]), window_at(40_000, [["a", 9]])], by_site, "octets", plain);
  // What was missing then is missing; what is missing now does not hide what was.
  assert.deepEqual(now.windows.map((window) => window?.start ?? null), [shift, shift + 10_000, shift + 20_000, null, shift + 50_000]);
  assert.deepEqual(earlier_lines(now, before, shift, true), [{ line: null, values: [7, null, 7, 9, null] }]);
  assert.deepEqual(earlier_lines(now, before, shift, false), [{ line: 0, values: [5, null, 7, 9, null] }, { line: 1, values: [2, null, 0, 0, null] }]);
  // Averages of longer windows are held over the windows that lie in them.
  const coarse = picture_of([{ ...window_at(0, [["a", 4]]), end: 60_000 }], by_site, "octets", plain);
  assert.deepEqual(earlier_lines(now, coarse, shift, true)[0].values, [4, 4, 4, 4, 4]);
  // Totals of a part of the rows are none.
  assert.deepEqual(earlier_lines({ ...now, whole: false }, before, shift, true), []);
});

test("a range that goes on has its next part of the earlier time ahead, but none of the future", () => {
  const now = 10 * 86_400_000;
  assert.deepEqual(earlier_span({ from: now - 900_000, until: now, live: true }, "24h", now), { from: now - 900_000 - 86_400_000, until: now + 900_000 - 86_400_000 });
  assert.deepEqual(earlier_span({ from: now - 86_400_000, until: now, live: true }, "1h", now), { from: now - 90_000_000, until: now });
  assert.deepEqual(earlier_span({ from: 7_200_000, until: 10_800_000, live: false }, "1h", now), { from: 3_600_000, until: 7_200_000 });
});

test("what is done with a value keeps what is looked at", () => {
  const subject = { query: "as_matrix", columns: AS, parts: [{ column: AS[1], value: 64500 }], measure: "octets", amount: 1_234_567 };
  const view = { ...view_of("explore", "as_matrix"), filters: ["dst_as = 5"], by: ["src_as"], units: "bytes", range: "1h" };
  assert.deepEqual(filtered(view, subject, "="), { ...view, filters: ["dst_as = 5", "src_as = 64500"] });
  assert.deepEqual(filtered(filtered(view, subject, "="), subject, "!=").filters, ["dst_as = 5", "src_as != 64500"]);
  assert.deepEqual(grouped({ ...view, by: ["dst_as"] }, subject).by, ["src_as"]);
  // From a page that looks at something else its filters do not come along.
  assert.deepEqual(filtered({ ...view, query: "other", filters: ["site = 'a'"] }, subject, "=").filters, ["src_as = 64500"]);
  const live = filtered({ ...view_of("live"), zone: "local" }, subject, "=");
  assert.deepEqual([live.page, live.query, live.filters, live.by, live.zone], ["explore", "as_matrix", ["src_as = 64500"], [], "local"]);
});

test("a rule is made of a value: its threshold is twice what was there, its literals are quoted", () => {
  const of = [start, column("site", "text"), column("octets")];
  const { name, text } = alert_statement({ query: "pops", columns: of, parts: [{ column: of[1], value: "it's" }], measure: "octets", amount: 1_234_567 }, "two\nlines");
  assert.equal(name, "high_site_it_s");
  assert.equal(text, `-- two lines
CREATE MATERIALIZED VIEW high_site_it_s WITH (
  "alert.when" = 'octets > 2500000', "alert.clear" = 'octets < 2000000', "alert.for" = '60 s',
  "alert.severity" = 'warning', "alert.summary" = 'site {site}: {octets} octets') AS
SELECT window_start, site, sum(octets) AS octets
FROM pops
WHERE site = 'it''s'
GROUP BY window_start, site;`);
  assert.equal(alert_statement({ query: "x", columns: of.slice(1), parts: [{ column: of[1], value: "a" }], measure: "octets", amount: 1 }, ""), null);
  assert.equal(alert_statement({ query: "x", columns: of, parts: [{ column: of[1], value: "a" }], measure: null, amount: 1 }, ""), null);
});

test("statements that are copied keep what stands in their literals", () => {
  const sql = "SELECT *\nFROM q\n  WHERE site = 'a  \n b'";
  assert.equal(command_of("http://h", sql), "backstream sql --server 'http://h' -o csv -c 'SELECT * FROM q WHERE site = '\\''a  \n b'\\'''");
  assert.match(session_curl_of("http://h", sql, true), /^curl -fsSN -H "Authorization: Bearer \$\(cat TOKEN_FILE\)" /);
});

test("a question to flows is in windows of a minute", () => {
  assert.equal(flows_question(["src_port"], "octets", ["src_as = 5"]), `SELECT window_start, src_port, sum(octets) AS octets
FROM tumble(flows, time, interval '60 s')
WHERE src_as = 5
GROUP BY window_start, src_port`);
  assert.match(flows_question(["site"], "flows", []), /count\(\*\) AS flows/);
});

test("queries with two sides of one domain come first, those with one column not at all", () => {
  const found = queries_for_matrix([
    query("one", [start, column("site", "text"), column("octets")]),
    query("mix", [start, column("ip_version", "integer", { key: true }), column("protocol", "integer", { key: true }), column("octets")]),
    query("limited", AS, { text: "SELECT … LIMIT 10" }), query("whole", AS), query("plain", AS, { plain: true }),
    query("interfaces", [start, column("exporter", "inet"), column("in_if"), column("out_if"), column("bits_per_second")]),
  ]);
  assert.deepEqual(found.map(({ name }) => name), ["interfaces", "whole", "limited", "mix"]);
  const sides = sides_for(found[0], []);
  assert.deepEqual([sides.rows.name, sides.columns.name, sides.one_domain], ["in_if", "out_if", true]);
  const chosen = sides_for(found[0], ["exporter", "in_if"]);
  assert.deepEqual([chosen.rows.name, chosen.columns.name, chosen.one_domain], ["exporter", "in_if", false]);
  assert.equal(sides_for(found[1], ["dst_as", "src_as"]).rows.name, "dst_as");
});

const sides = { rows: AS[1], columns: AS[2], one_domain: true };

test("cells are asked of those that are shown, null among them", () => {
  assert.match(side_sql(what(), AS[2], 16), /^SELECT dst_as, sum\(octets\) AS octets[^]*GROUP BY dst_as\nORDER BY octets DESC\nLIMIT 16$/);
  const text = cells_sql(what(), sides, [1, null], [3]);
  assert.match(text, /\n  AND \(src_as IN \(1\) OR src_as IS NULL\)\n  AND dst_as IN \(3\)\n/);
});

test("a matrix has totals of all, unless the query leaves groups out", () => {
  const rows = [[1, 100], [2, 40]], columns = [[3, 90], [4, 60]], cells = [[1, 3, 70], [2, 4, 10], [9, 9, 5]];
  const data = matrix_data(sides, rows, columns, cells, 200, true, "total", (sum) => sum / 10);
  assert.deepEqual(data, {
    rows: ["AS1", "AS2"], columns: ["AS3", "AS4"], row_keys: [1, 2], column_keys: [3, 4], cells: [[7, null], [null, 1]], row_totals: [10, 4], column_totals: [9, 6], total: 20,
  });
  const partly = matrix_data(sides, rows, columns, cells, 200, false, "total", (sum) => sum);
  assert.deepEqual([partly.row_totals, partly.column_totals, partly.total], [[null, null], [null, null], null]);
  const links = flow_links(data, 60, "Other");
  assert.deepEqual(links.map(({ from: a, to, value }) => [a, to, value]), [["AS1", "AS3", 7], ["AS2", "AS4", 1], ["AS1", "Other", 3], ["AS2", "Other", 3]]);
  assert.deepEqual(flow_links(partly, 60, "Other").map(({ to }) => to), ["AS3", "AS4"]);
});

test("a flow has at most as many links as can be told apart", () => {
  const size = 64, side = Array.from({ length: size }, (_, i) => [i, 10_000]);
  const cells = side.flatMap(([a]) => side.map(([b]) => [a, b, 1 + ((a * 31 + b * 17) % 97)]));
  const data = matrix_data(sides, side, side, cells, 640_000, true, "total", (sum) => sum);
  const links = flow_links(data, 60, "Other");
  assert.ok(links.length <= 60 && links.length > 55, String(links.length));
  for (let most = 2; most <= 60; ++most) assert.ok(flow_links(data, most, "Other").length <= most, String(most));
  for (const name of new Set(links.map((link) => link.from))) {
    assert.equal(links.filter((link) => link.from === name).reduce((sum, link) => sum + link.value, 0), 10_000);
  }
});

test("who is alike stands together, and each stands once", () => {
  // Two groups, shuffled: those that send to the first half, and those that send to the second.
  const one = [9, 8, 7, 0, 0, 0], other = [0, 0, 0, 5, 6, 5];
  const rows = [one, other, one.map((value) => value * 3), other.map((value) => value * 100), one.map((value) => value + 1), other];
  const order = similar_order(rows);
  assert.deepEqual([...order].sort(), [0, 1, 2, 3, 4, 5]);
  const groups = order.map((i) => i % 2);
  assert.equal(groups.filter((group, i) => i > 0 && group !== groups[i - 1]).length, 1, order.join());
  // Many groups that overlap a little: the walk goes through them one after the other.
  const group = (i) => (i * 7) % 5;
  const many = Array.from({ length: 40 }, (_, i) => Array.from({ length: 25 }, (_, c) => (Math.floor(c / 5) === group(i) ? 50 + ((i * c) % 13) : (i + c) % 11 === 0 ? 2 : 0)));
  const walk = similar_order(many).map(group);
  assert.equal(walk.filter((each, i) => i > 0 && each !== walk[i - 1]).length, 4, walk.join());
  assert.deepEqual(similar_order([]), []);
  assert.deepEqual(similar_order([[null, 1]]), [0]);
  assert.equal(similar_order([[0, 0], [0, 0], [1, 0]]).length, 3);
});

test("bands of a flow fill their nodes, whatever their order", () => {
  const links = [["a", "x", 5], ["a", "y", 3], ["b", "x", 1], ["b", "Other", 7], ["c", "y", 2]].map(([from_, to, value]) => ({ from: from_, to, value }));
  const { left, right, bands } = lay_sankey(links, 400, 8, "Other");
  assert.equal(right[right.length - 1].name, "Other");
  for (const [side, at, key] of [[left, "from_y", "from"], [right, "to_y", "to"]]) {
    for (const node of side) {
      const mine = bands.filter(({ link }) => link[key] === node.name).sort((a, b) => a[at] - b[at]);
      let y = node.y;
      for (const band of mine) {
        assert.ok(Math.abs(band[at] - y) < 1e-9);
        y += band.height;
      }
      assert.ok(Math.abs(y - node.y - node.height) < 1e-9 && y <= 400 + 1e-9);
    }
  }
});

test("a circle is divided by what is sent, and ribbons lie within their nodes", () => {
  const { arcs, ribbons } = lay_chord([[1, 2, 3], [0, 4, 0], [5, 0, 5]], 0.04);
  assert.ok(Math.abs(arcs.reduce((sum, arc) => sum + arc.end - arc.start, 0) + 0.12 - 2 * Math.PI) < 1e-9);
  assert.equal(ribbons.length, 5);
  for (const { from: a, to: b, source, target } of ribbons) {
    for (const [arc, part] of [[arcs[a], source], [arcs[b], target]]) assert.ok(part.start >= arc.start - 1e-9 && part.end <= arc.end + 1e-9);
  }
  assert.deepEqual(lay_chord([[0]], 0.04).ribbons, []);
});

test("octets are shown as rates in the units of the reader", () => {
  assert.equal(scale_of("octets", "bits", names).of(100, 10), 80);
});

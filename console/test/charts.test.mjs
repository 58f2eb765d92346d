// Which picture fits a result, and what is in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { has_all_groups, shape_of, charts_of, main_measure, measure_for, overlaps, picture_of, stacked, total_of, matrix_of, scale_of } = await load("charts/shape", "charts/series", "words/format");
const columns = (text) => text.split(" ").map((each) => {
  const [name, type, key, stderr_of] = each.split(":");
  return { name, type: { i: "bigint", d: "double precision", a: "inet", t: "text", z: "timestamp with time zone", v: "interval" }[type], ...(key ? { key: true } : {}), ...(stderr_of ? { stderr_of } : {}) };
});
const choice = (text) => {
  const shape = shape_of(columns(text));
  return [shape.dimensions.map(({ name }) => name).join(), main_measure(shape), charts_of(shape, main_measure(shape))[0]];
};

test("the picture that fits the result's shape", () => {
  assert.deepEqual(choice("window_start:z octets:i"), ["", "octets", "lines"]);
  assert.deepEqual(choice("window_start:z site:t:k octets:i flows:i"), ["site", "octets", "area"]);
  assert.deepEqual(choice("window_start:z src_as:i:k dst_as:i:k octets:i"), ["src_as,dst_as", "octets", "matrix"]);
  assert.deepEqual(choice("window_start:z entry_site:t:k exit_site:t:k octets:i")[2], "matrix");
  // Different things on both sides are no matrix.
  assert.deepEqual(choice("window_start:z dst_ip:a:k src_port:i:k octets:i octets_per_packet:i"), ["dst_ip,src_port", "octets", "area"]);
  // Distinct counts do not add up: no stack of them.
  assert.deepEqual(choice("window_start:z src_ip:a:k dst_ip:a:k ports:i"), ["src_ip,dst_ip", "ports", "matrix"]);
  assert.deepEqual(choice("window_start:z src_ip:a:k hosts:i"), ["src_ip", "hosts", "lines"]);
  assert.deepEqual(choice("window_start:z exporter:a:k last_seen:z")[2], "table");
});

test("where no key is told, names tell", () => {
  assert.deepEqual(choice("window_start:z src_as:i dst_as:i octets:i"), ["src_as,dst_as", "octets", "matrix"]);
  // SELECT * without GROUP BY: the key is all columns.
  assert.deepEqual(choice("window_start:z src_as:i:k dst_as:i:k octets:i:k"), ["src_as,dst_as", "octets", "matrix"]);
  assert.deepEqual(choice("window_start:z ip_version:i protocol:i octets:i packets:i flows:i"), ["ip_version,protocol", "octets", "area"]);
});

test("standard errors are bands, and maxima of tiers stand aside", () => {
  const shape = shape_of(columns("window_start:z src_as:i:k octets:i octets_error:d::octets octets_max:i _windows:i"));
  assert.deepEqual([...shape.errors], [["octets", "octets_error"]]);
  assert.deepEqual(shape.measures.map(({ name }) => name), ["octets"]);
});

const scale = { of: (value, seconds) => value / seconds, unit: "x/s" };
const window_at = (second, rows, of, more = {}) => ({
  start: second * 1000, end: (second + 10) * 1000, revision: 1, open: false, complete: true, sites_missing: [], truncated: false, columns: of, rows, ...more,
});

test("no data is not 0", () => {
  const of = columns("window_start:z site:t:k octets:i");
  const row = (site, octets) => ["", site, octets];
  const windows = [
    window_at(0, [row("ams", 100), row("fra", 50)], of),
    window_at(10, [row("ams", 100)], of),
    window_at(20, [row("ams", 100)], of, { complete: false, sites_missing: ["fra"] }),
    // 30 to 50 are missing.
    window_at(50, [row("ams", 100), row("fra", 50)], of),
  ];
  const picture = picture_of(windows, shape_of(of), "octets", scale);
  assert.deepEqual(picture.times, [5, 15, 25, 40, 55]);
  assert.deepEqual(picture.lines.map(({ label, values }) => [label, values]), [["ams", [10, 10, 10, null, 10]], ["fra", [5, 0, null, null, 5]]]);
  assert.equal(picture.windows[3], null);
  assert.equal(total_of(picture, 3), null);
  assert.equal(total_of(picture, 0), 15);
  assert.deepEqual(stacked(picture.lines), [[10, 10, 10, null, 10], [15, 10, 10, null, 15]]);
});

test("a stack has no hole where its lowest line has one", () => {
  const line = (...values) => ({ label: "", values, margins: null, other: false });
  assert.deepEqual(stacked([line(null, 1, null), line(2, null, null), line(3, 4, null)]), [[0, 1, null], [2, 1, null], [5, 5, null]]);
});

test("a value without a dimension and without a row is no data", () => {
  const of = columns("window_start:z octets:i");
  const picture = picture_of([window_at(0, [["", 100]], of), window_at(10, [], of)], shape_of(of), "octets", scale);
  assert.deepEqual(picture.lines[0].values, [10, null]);
});

test("the largest have lines, the others one together, and nothing is lost", () => {
  const of = columns("window_start:z src_as:i:k octets:i");
  const rows = Array.from({ length: 20 }, (_, i) => ["", i, (i + 1) * 10]);
  const picture = picture_of([window_at(0, rows, of)], shape_of(of), "octets", scale);
  assert.deepEqual(picture.lines.map(({ label, other }) => (other ? "other" : label)), ["AS19", "AS18", "AS17", "AS16", "AS15", "AS14", "AS13", "other"]);
  assert.equal(total_of(picture, 0), 210);
  // Eight are shown as eight: "other" of one would be a name less.
  assert.equal(picture_of([window_at(0, rows.slice(0, 8), of)], shape_of(of), "octets", scale).lines.some(({ other }) => other), false);
});

test("where all have lines, each keeps its place while amounts change", () => {
  const of = columns("window_start:z site:t:k octets:i");
  const labels = (...rows) => picture_of([window_at(0, rows.map(([site, octets]) => ["", site, octets]), of)], shape_of(of), "octets", scale).lines.map(({ label }) => label);
  assert.deepEqual(labels(["pop-10", 5], ["pop-9", 1]), ["pop-9", "pop-10"]);
  assert.deepEqual(labels(["pop-10", 1], ["pop-9", 5]), ["pop-9", "pop-10"]);
});

test("of the largest rows alone neither a total is known nor that the rest is 0", () => {
  const of = columns("window_start:z src_as:i:k octets:i");
  const windows = [window_at(0, [["", 1, 100]], of), window_at(10, [["", 2, 100]], of)];
  const picture = picture_of(windows, shape_of(of), "octets", scale, { all_groups: false });
  assert.deepEqual(picture.lines.map(({ values }) => values), [[10, null], [null, 10]]);
  assert.equal(total_of(picture, 0), null);
});

test("LIMIT and HAVING leave groups out", () => {
  assert.equal(has_all_groups("SELECT a, sum(b) FROM t GROUP BY a -- no LIMIT here\n"), true);
  assert.equal(has_all_groups("SELECT 'limit' AS \"having\", sum(limits) FROM t /* LIMIT 3 */ GROUP BY 1"), true);
  assert.equal(has_all_groups("SELECT a FROM t GROUP BY a ORDER BY a\nlimit 10;"), false);
  assert.equal(has_all_groups("SELECT a FROM t GROUP BY a HAVING count(*) > 3"), false);
});

test("averages of a tier are of windows of the query's own length", () => {
  const of = columns("window_start:z octets:d octets_max:i");
  const picture = picture_of([{ ...window_at(0, [["", 100, 200]], of), end: 60_000 }], shape_of(of), "octets", scale, { raw_seconds: 10 });
  assert.deepEqual(picture.lines[0].values, [10]);
});

test("the margin is 1.96 standard errors, in the unit of the value", () => {
  const of = columns("window_start:z octets:i octets_error:d::octets");
  const picture = picture_of([window_at(0, [["", 100, 10]], of)], shape_of(of), "octets", scale);
  assert.deepEqual(picture.lines[0].margins, [1.96]);
});

test("a matrix has the largest of both sides, and cells without a row stay empty", () => {
  const of = columns("window_start:z src_as:i:k dst_as:i:k octets:i");
  const matrix = matrix_of(window_at(0, [["", 1, 2, 100], ["", 2, 1, 50], ["", 3, 1, 10]], of), shape_of(of), "octets", scale, 2);
  assert.deepEqual(matrix, { rows: ["AS1", "AS2"], columns: ["AS2", "AS1"], cells: [[10, null], [null, 5]], row_keys: [1, 2], column_keys: [2, 1] });
});

test("packets are another column; octets are never shown as such", () => {
  const shape = (...names) => shape_of([{ name: "window_start", type: "timestamp with time zone" }, ...names.map((name) => ({ name, type: "bigint" }))]);
  const both = shape("octets", "packets", "flows");
  assert.deepEqual(measure_for(both, null, "bits"), { measure: "octets", lacks_packets: false });
  assert.deepEqual(measure_for(both, "octets", "packets"), { measure: "packets", lacks_packets: false });
  assert.deepEqual(measure_for(both, "flows", "packets"), { measure: "flows", lacks_packets: false });
  assert.deepEqual(measure_for(shape("octets"), null, "packets"), { measure: "octets", lacks_packets: true });
  assert.deepEqual(measure_for(shape("packets", "octets"), null, "bits"), { measure: "octets", lacks_packets: false });
  assert.deepEqual(measure_for(shape("packets", "octets"), "packets", "bits"), { measure: "packets", lacks_packets: false });
  assert.deepEqual(measure_for(shape("in_octets", "out_octets", "in_packets", "out_packets"), "out_octets", "packets"), { measure: "out_packets", lacks_packets: false });
  assert.deepEqual(measure_for(shape(), null, "packets"), { measure: null, lacks_packets: false });
  const names = { bits: "bit/s", bytes: "B/s", packets: "packets/s", flows: "flows/s" };
  assert.deepEqual([scale_of("octets", "packets", names).unit, scale_of("octets", "packets", names).of(100, 10)], ["bit/s", 80]);
  assert.deepEqual([scale_of("packets", "bits", names).unit, scale_of("packets", "packets", names).of(100, 10)], ["packets/s", 10]);
});

test("windows that overlap are known by their statement", () => {
  assert.equal(overlaps("SELECT 1 FROM hop(flows, time, interval '1 min', interval '2 min')"), true);
  assert.equal(overlaps("SELECT 'hop(' AS \"hop(\" -- hop(\nFROM tumble(flows, time, interval '60 s')"), false);
});

// What the page about exporters decides.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { found_by, names_address, rows_of_readings, rows_of_windows, snippet_text, sorted, with_reading } = await load("pages/exporter_list");

const now = Date.UTC(2026, 0, 31, 12);
const exporter = (part) => ({
  address: "192.0.2.1", site: "ams", protocols: "IPFIX", state: "active", first_seen: new Date(now - 3_600_000).toISOString(), last_seen: new Date(now - 1_000).toISOString(),
  datagrams: 100, records: 1_000, flows: 1_000, missing: 0, rejected: 0, sampling: { min: 100, max: 100, unknown: false, unknown_rows: 0 }, clock_offset_seconds: 0, delay_p999_seconds: 1, ...part,
});
const readings = (before, after) => [{ at: now - 10_000, exporters: [exporter(before)] }, { at: now, exporters: [exporter(after)] }];
const only = (before, after) => rows_of_readings(readings(before, after), now)[0];

test("rates are what came between two readings; of one nothing is known", () => {
  assert.equal(only({}, { flows: 3_000 }).flows_per_second, 200);
  assert.equal(rows_of_readings([{ at: now, exporters: [exporter({})] }], now)[0].flows_per_second, null);
  assert.equal(only({}, { flows: 10 }).flows_per_second, null, "the process began anew");
  const kept = with_reading([{ at: now - 90_000, exporters: [] }, { at: now - 30_000, exporters: [] }], { at: now, exporters: [] }, 60_000);
  assert.deepEqual(kept.map((reading) => now - reading.at), [30_000, 0]);
});

test("loss is that of lately, in what the protocol numbers", () => {
  assert.equal(only({}, { flows: 1_990, missing: 10 }).state, "loss");
  assert.equal(only({}, { flows: 1_990, missing: 10 }).missing_share, 0.01);
  assert.equal(only({ missing: 500 }, { flows: 2_000, missing: 500 }).state, "ok", "it lost once, not now");
  assert.equal(only({ protocols: "NetFlow v9" }, { protocols: "NetFlow v9", datagrams: 190, flows: 90_000, missing: 10 }).missing_share, 0.1);
});

test("the worst of several states is shown", () => {
  assert.equal(only({}, { last_seen: new Date(now - 301_000).toISOString(), sampling: { min: null, max: null, unknown: true, unknown_rows: 9 } }).state, "silent");
  assert.equal(only({}, { rejected: 1, missing: 500 }).state, "rejected");
  assert.equal(only({ rejected: 9 }, { rejected: 9 }).state, "ok", "what was rejected long ago is told, not shouted");
  const unknown = { sampling: { min: null, max: null, unknown: true, unknown_rows: 9 } };
  assert.equal(only({}, unknown).state, "unscaled");
  assert.equal(only(unknown, unknown).state, "ok", "its rate came after its first flows");
  assert.equal(only({}, { clock_offset_seconds: -3 }).state, "clock");
  assert.equal(only({}, {}).state, "ok");
});

const columns = ["window_start", "exporter", "protocols", "datagrams", "flows", "missing", "unreadable", "sampling_unknown_rows", "sampling_rate_min", "sampling_rate_max"].map((name) => ({ name, type: "bigint" }));
const window = (minutes_ago, ...rows) => ({
  start: now - (minutes_ago + 1) * 60_000, end: now - minutes_ago * 60_000, revision: 0, open: false, complete: true, sites_missing: [], truncated: false, columns,
  rows: rows.map(([address, flows, missing = 0, unknown = 0]) => ["", address, "IPFIX", 10, flows, missing, 0, unknown, 100, 1000]),
});

test("without ears of its own a node tells what the query of the edges has", () => {
  const rows = rows_of_windows([window(9, ["192.0.2.3", 60]), window(1, ["192.0.2.1", 600], ["192.0.2.2", 60, 6]), window(0, ["192.0.2.1", 1_200, 0, 5])], now);
  const [gone, one, two] = [rows.find((row) => row.address === "192.0.2.3"), rows.find((row) => row.address === "192.0.2.1"), rows.find((row) => row.address === "192.0.2.2")];
  assert.deepEqual([gone.state, one.state, two.state], ["silent", "unscaled", "loss"]);
  assert.equal(one.flows_per_second, 20);
  assert.deepEqual(one.trend, [null, 10, 20]);
  assert.equal(two.flows_per_second, null, "it is not in the newest window");
  assert.deepEqual([one.sampling.min, one.sampling.max], [100, 1000]);
  assert.equal(one.site, null);
  assert.equal(one.first_seen, now - 2 * 60_000);
});

test("rows are sorted by numbers and by addresses, the unknown last", () => {
  const rows = ["192.0.2.10", "192.0.2.9", "192.0.2.1"].map((address, i) => ({ ...only({}, {}), address, flows_per_second: [5, 50, null][i], state: ["ok", "loss", "silent"][i] }));
  const order = (by, up) => sorted(rows, by, up).map((row) => row.address.split(".")[3]).join();
  assert.equal(order("address", true), "1,9,10");
  assert.equal(order("flows", false), "9,10,1");
  assert.equal(order("flows", true), "10,9,1");
  assert.equal(order("state", true), "1,9,10");
});

test("all words of a search are in a row", () => {
  assert.ok(found_by(only({}, {}), "ams ipfix", "ok"));
  assert.ok(!found_by(only({}, {}), "ams v9", "ok"));
});

test("a check names an address and not another that begins like it", () => {
  assert.ok(names_address("silent: 192.0.2.1 (3 min)", "192.0.2.1"));
  assert.ok(names_address('[exporter."192.0.2.1"]', "192.0.2.1"));
  assert.ok(names_address("It is 192.0.2.1.", "192.0.2.1"));
  assert.ok(!names_address("192.0.2.10", "192.0.2.1"));
  assert.ok(!names_address("1192.0.2.1", "192.0.2.1"));
  assert.ok(names_address("192.0.2.10, 192.0.2.1", "192.0.2.1"));
  assert.ok(!names_address("2001:db8::12", "2001:db8::1"));
});

test("snippets have what was typed, else the system's own", () => {
  const form = { port: 4739, source: "192.0.2.1", interface: "xe-0/0/0", text: "flow {collector}:{port} {source} {interface} 1:{rate} {other}" };
  const nothing = { collector: "", port: "", source: "", interface: "", rate: "" };
  assert.equal(snippet_text(form, nothing), "flow COLLECTOR:4739 192.0.2.1 xe-0/0/0 1:1000 {other}");
  assert.equal(snippet_text(form, { collector: "$&", port: "2055", source: "lo0", interface: "{rate}", rate: "100" }), "flow $&:2055 lo0 {rate} 1:100 {other}");
});

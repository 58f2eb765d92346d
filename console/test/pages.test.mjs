// What pages choose and write.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { load } from "./load.mjs";

globalThis.sessionStorage = { getItem: () => null, setItem() {}, removeItem() {} };
const { traffic_of, tiles_of } = await load("pages/live_choice");
const { csv_of, jsonl_of, sql_of, shell_text, curl_of } = await load("pages/export");
const { latencies_of } = await load("api/metrics");
const { costs_of } = await load("pages/query_costs");

const NUMBER = { type: "bigint" }, TEXT = { type: "text" };
const query = (name, names, ledger = {}, more = {}) => ({
  name, incarnation: 1, version: 1, state: "running", plain: false, text: "", comment: "",
  columns: [{ name: "window_start", type: "timestamp with time zone" }, ...names.map((each) => ({ name: each, ...(/ip|site|exporter/.test(each) ? TEXT : NUMBER) }))],
  ledger: { windows_closed: 5, result_rows: 10, assigned: 0, ...ledger }, ...more,
});

test("Live draws traffic by PoP where a query has it, else by what comes nearest", () => {
  const all = [query("by_exporter", ["exporter", "octets"]), query("pops", ["site", "octets"]), query("hosts", ["src_ip", "octets"])];
  assert.equal(traffic_of(all).query.name, "pops");
  assert.equal(traffic_of(all.slice(0, 1)).query.name, "by_exporter");
  assert.equal(traffic_of(all.slice(2)), null);
  assert.equal(traffic_of([query("pops", ["site", "octets"], {}, { state: "paused" })]), null);
});

test("tiles: a matrix first, one of each kind, none that has found nothing", () => {
  const all = [
    query("slow_matrix", ["src_as", "dst_as", "octets"], { windows_closed: 1 }), query("matrix", ["src_as", "dst_as", "octets"]),
    query("talkers", ["src_ip", "octets"]), query("floods", ["dst_ip", "octets"], { result_rows: 0 }),
    query("starting", ["dst_port", "octets"], { windows_closed: 0, result_rows: 0 }), query("sweeps", ["src_ip", "dst_ip", "ports"]),
  ];
  assert.deepEqual(tiles_of(all, null).map((tile) => tile.query.name), ["matrix", "talkers", "starting"]);
});

const columns = [{ name: "who", type: "text" }, { name: "octets", type: "bigint" }];
const windows = [{ columns, rows: [['a "b", c\nd', 1], [null, 2], ["", 0]] }];

test("CSV and JSONL of what is on screen", () => {
  assert.equal(csv_of(windows), 'who,octets\r\n"a ""b"", c\nd",1\r\n,2\r\n"",0\r\n');
  assert.deepEqual(jsonl_of(windows).trim().split("\n").map((line) => JSON.parse(line)), [{ who: 'a "b", c\nd', octets: 1 }, { who: null, octets: 2 }, { who: "", octets: 0 }]);
});

test("copied text is what it says, also for names that mean harm", () => {
  assert.equal(sql_of("top", 0, 1000), "SELECT * FROM top\nWHERE window_start >= '1970-01-01T00:00:00.000Z'\n  AND window_end <= '1970-01-01T00:00:01.000Z';");
  assert.match(sql_of('a"; DROP TABLE b', 0, null), /FROM "a""; DROP TABLE b"\n/);
  const hostile = "it's $(touch /tmp/x) `id` \\ \" !";
  assert.equal(execFileSync("/bin/sh", ["-c", `printf %s ${shell_text(hostile)}`], { encoding: "utf8" }), hostile);
  assert.match(curl_of("http://x/", true), /Authorization: Bearer \$\(cat TOKEN_FILE\)/);
});

test("latencies of /metrics", () => {
  const text = 'backstream_query_result_latency_seconds_sum{query="a\\"b"} 12.5\nbackstream_query_result_latency_seconds_count{query="a\\"b"} 5\nbackstream_query_result_latency_seconds_bucket{query="x",le="1"} 3\n';
  assert.deepEqual([...latencies_of(text)], [['a"b', { seconds_sum: 12.5, windows: 5 }]]);
});

test("latency is of the windows between two readings, and of all where it begins anew", () => {
  const reading = (sum, count, ledger = { assigned: 5_000 }) => ({ queries: [query("q", ["octets"], ledger)], latencies: new Map([["q", { seconds_sum: sum, windows: count }]]) });
  const cost = (now, before) => costs_of(now, before).get("q");
  assert.deepEqual(cost(reading(10, 5), null), { rows_per_window: 1_000, latency_seconds: 2 });
  assert.equal(cost(reading(13, 6), reading(10, 5)).latency_seconds, 3);
  assert.equal(cost(reading(10, 5), reading(10, 5)).latency_seconds, 2);
  assert.equal(cost(reading(1, 1), reading(10, 5)).latency_seconds, 1);
  assert.deepEqual(cost(reading(0, 0, { assigned: 7, windows_closed: 0 }), null), { rows_per_window: null, latency_seconds: null });
});

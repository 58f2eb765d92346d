// Pictures of plans, and what is counted on them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { graph_of, lay_out, LANES, NODE } = await load("pages/plan_graph");
const { rates_of } = await load("pages/plan_rates");

const operator = (label, facts = {}, operators) => ({ operator: label, facts: Object.entries(facts).map(([name, text]) => ({ name, text })), ...(operators ? { operators } : {}) });
const EDGE = "edge: every node that flows arrive at";
const aggregation = [
  operator("source stream flows", { columns: "time, octets" }),
  operator("edge (where flows arrive)", { runs: EDGE, "group by": "window, site", aggregate: "sum(octets)   partial: 1 integer", ships: "the groups of a pane", travels: "panes" }),
  operator("merge", { runs: "merge: on the worker that completes the query", combine: "1 pane to a window" }),
];
const outs = [{ label: "Results", note: "" }, { label: "to_pg", note: "sink" }];
const labels = (graph, lane) => graph.nodes.filter((node) => node.lane === lane).map(({ label, kind }) => label || kind);
const ways = (graph) => graph.edges.map(({ from, to, carries }) => `${graph.nodes[from].label || "bus"} > ${graph.nodes[to].label || "bus"} ${carries}`);

test("halves stand in lanes, with what travels between them", () => {
  const graph = graph_of({ plan: "query", operators: [operator("placement edge", { sites: "all" }), ...aggregation] }, outs);
  assert.deepEqual(LANES.map((lane) => labels(graph, lane)), [["source stream flows", "edge"], ["bus"], ["merge"], ["Results", "to_pg"]]);
  assert.deepEqual(ways(graph), ["source stream flows > edge in", "edge > bus between", "bus > merge between", "merge > Results out", "merge > to_pg out"]);
  assert.deepEqual(graph.remarks.map((remark) => remark.operator), ["placement edge"]);
  assert.equal(graph.nodes[1].note, "sum(octets) · window, site");
});

test("flows that edges send as they are come over the bus before they are counted", () => {
  const central = [aggregation[0], operator("edge (where flows arrive)", { runs: "merge: edges send their flows as they are" }), aggregation[2]];
  const graph = graph_of({ plan: "query", operators: central }, []);
  assert.deepEqual(LANES.map((lane) => labels(graph, lane)), [["source stream flows"], ["bus"], ["edge", "merge"], []]);
  assert.equal(ways(graph)[0], "source stream flows > bus in");
});

test("rows that are only passed on travel to who reads them", () => {
  const graph = graph_of({ plan: "query", operators: [aggregation[0], operator("edge (row by row)", { runs: `${EDGE}; rows are shipped` })] }, outs.slice(0, 1));
  assert.deepEqual(ways(graph), ["source stream flows > edge in", "edge > bus between", "bus > Results out"]);
});

test("a join stands below both that it reads, and nothing covers anything", () => {
  const view = (name) => [operator(`source view ${name}`, { columns: "a" }), operator("merge (final rows of the view)", { runs: "merge: where its rows are made" })];
  const graph = graph_of({ plan: "query", operators: [operator("input 1 of 2", {}, view("a")), operator("input 2 of 2", {}, aggregation), operator("left join of inputs 1 and 2, by window", { runs: "merge: x" })] }, outs);
  const laid = lay_out(graph);
  const join = graph.nodes.findIndex(({ label }) => label.startsWith("left join"));
  assert.deepEqual(graph.edges.filter(({ to }) => to === join).map(({ from }) => graph.nodes[from].label), ["merge", "merge"]);
  for (const { from, to } of graph.edges) assert.ok(laid.places[from].y + NODE.height < laid.places[to].y, ways(graph).join());
  for (const [i, a] of laid.places.entries()) {
    assert.ok(a.x >= 0 && a.x + NODE.width <= laid.width && a.y + NODE.height <= laid.height);
    const lane = laid.lanes.find((each) => each.lane === graph.nodes[i].lane);
    assert.ok(a.y > lane.y && a.y + NODE.height < lane.y + lane.height);
    for (const [j, b] of laid.places.entries()) if (i < j) assert.ok(Math.abs(a.x - b.x) >= NODE.width || Math.abs(a.y - b.y) >= NODE.height, `${i} ${j}`);
  }
});

const reading = (at, assigned, windows_closed, result_rows = windows_closed * 10) => ({ at, ledger: { assigned, windows_closed, result_rows } });

test("rows a second where they are counted as they come", () => {
  const rates = rates_of([0, 2, 4, 6, 8].map((s) => reading(s * 1000, s * 500, Math.floor(s / 4))));
  assert.deepEqual([rates.rows_per_second, rates.rows_in_a_window, rates.rows_out_a_window, rates.window_ms], [500, 2000, 10, 4000]);
});

test("and from step to step where they are counted when windows close", () => {
  const stepped = Array.from({ length: 100 }, (_, i) => reading(i * 2000, Math.floor(i / 30) * 60_000, Math.floor(i / 30)));
  const rates = rates_of(stepped);
  assert.deepEqual([rates.rows_per_second, rates.window_ms], [1000, 60_000]);
  // Of one step nobody knows how long it took.
  assert.equal(rates_of(stepped.slice(0, 40)).rows_per_second, null);
  assert.equal(rates_of(stepped.slice(0, 40)).rows_in_a_window, 60_000);
});

test("traffic that ends does not go on in the picture; a ledger that begins anew is measured anew", () => {
  const ended = [...Array.from({ length: 5 }, (_, i) => reading(i * 2000, i * 1000, 0)), ...Array.from({ length: 60 }, (_, i) => reading(10_000 + i * 2000, 4000, 0))];
  assert.ok(rates_of(ended).rows_per_second < 50);
  assert.equal(rates_of([reading(0, 9000, 9), reading(2000, 100, 0)]).rows_per_second, null);
  assert.equal(rates_of([reading(0, 8000, 8), reading(2000, 9000, 9), reading(4000, 100, 0), reading(6000, 200, 0), reading(8000, 300, 0)]).rows_per_second, 50);
  assert.equal(rates_of([]), null);
});

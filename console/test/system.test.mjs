// What the page System decides without elements.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { graph_of, health_of, layer_of, BOX_HEIGHT } = await load("pages/system_graph");
const { chosen_entries, audit_csv } = await load("pages/system_audit_choice");
const { samples_of } = await load("api/metrics");

const node = (name, roles, more = {}) => ({ name, roles, site: name, state: "unknown", ...more });
const NODES = [node("man", ["edge"]), node("m2", ["merge"]), node("sao", ["edge"]), node("m1", ["merge"]), node("rec", ["receiver"], { state: "ready" }), node("rio", ["edge"])];

test("nodes stand where flows pass them, and none on another", () => {
  assert.deepEqual(["edge", "merge", "receiver"].map((role) => layer_of(node("x", [role]))), ["edge", "merge", "receiver"]);
  assert.equal(layer_of(node("all", [])), "merge");
  for (const width of [320, 390, 640, 900, 1400]) {
    const { boxes, box_width, bus, height, links } = graph_of(NODES, width);
    assert.equal(boxes.length, NODES.length);
    assert.ok(box_width > 60);
    for (const a of boxes) {
      assert.ok(a.x >= 0 && a.x + box_width <= width + 0.5 && a.y >= 0 && a.y + BOX_HEIGHT <= height + 0.5, `${a.node.name} at ${width}`);
      for (const b of [...boxes, { x: bus.x, y: bus.y, bus: true }]) {
        if (a === b) continue;
        const [b_width, b_height] = b.bus ? [bus.width, bus.height] : [box_width, BOX_HEIGHT];
        assert.ok(a.x + box_width <= b.x || b.x + b_width <= a.x || a.y + BOX_HEIGHT <= b.y || b.y + b_height <= a.y, `${a.node.name} on another at ${width}`);
      }
    }
    if (width < 640) continue;
    assert.equal(links.length, NODES.length);
    const x = (name) => boxes.find((box) => box.node.name === name).x;
    assert.ok(x("sao") < bus.x && bus.x < x("m1") && x("m1") < x("rec"));
  }
  assert.equal(graph_of([node("one", [])], 900).bus, null);
});

test("how a node is, as far as the one that answers knows", () => {
  const status = { now: "2026-01-01T00:00:10Z", edges: [{ node: "man", absent: true, heard_at: "2026-01-01T00:00:00Z" }, { node: "sao", absent: false, heard_at: "2026-01-01T00:00:09Z" }, { node: "rio", absent: false, heard_at: null }] };
  const of = (each) => health_of(each, status);
  assert.deepEqual(of(NODES[0]), { health: "absent", heard_ms: 10_000 });
  assert.deepEqual(of(NODES[2]), { health: "heard", heard_ms: 1_000 });
  assert.deepEqual(of(NODES[5]), { health: "silent", heard_ms: null });
  assert.deepEqual(of(NODES[1]), { health: "unknown", heard_ms: null });
  assert.deepEqual(of(NODES[4]), { health: "ready", heard_ms: null });
  assert.equal(of({ ...NODES[0], state: "drained" }).health, "drained");
});

test("the audit by words and time, and as CSV", () => {
  const entry = (revision, at, author, verb, name, comment = "") => ({ revision, at, author, via: "api 192.0.2.1 by token", verb, kind: "query", name, version: 1, comment });
  const all = [entry(3, "2026-01-03T00:00:00Z", "ana", "drop", "top", 'no, "never"'), entry(2, "2026-01-02T00:00:00Z", "bob", "alter", "top"), entry(1, "2026-01-01T00:00:00Z", "ana", "add", "top")];
  const found = (search, from = null, until = null) => chosen_entries(all, { search, from, until }).map(({ revision }) => revision);
  assert.deepEqual(found("ANA top"), [3, 1]);
  assert.deepEqual(found("", Date.parse("2026-01-02T00:00:00Z"), Date.parse("2026-01-03T00:00:00Z")), [2]);
  assert.equal(audit_csv(all.slice(0, 1)), 'at,author,via,verb,kind,name,version,comment,revision\r\n2026-01-03T00:00:00Z,ana,api 192.0.2.1 by token,drop,query,top,1,"no, ""never""",3\r\n');
});

test("samples of metrics, whatever labels say", () => {
  const text = '# HELP a b\na 1\na_total{x="1",y="q\\"}\\n"} 2.5\nb{tier="1m"} 3\n';
  assert.deepEqual(samples_of(text, ["a", "a_total", "c"]), { a: [{ labels: {}, value: 1 }], a_total: [{ labels: { x: "1", y: 'q"}\n' }, value: 2.5 }], c: [] });
});

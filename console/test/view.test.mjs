import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { address_of, read_view, view_of, VIEW_VERSION, RANGES, CHARTS, EARLIER, ORDERS, PLAIN_PAGES, SIZES, UNITS, range_ms } = await load("state/view");

function read(address) {
  const url = new URL(address, "http://console");
  return read_view(url.pathname, url.search);
}

test("an address gives its view again", () => {
  const pick = (all) => all[Math.floor(random() * all.length)];
  let seed = 8;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const names = ["top_dst", "a b/c?d#e%", "Größe & <b>", "..", "q"];
  for (let i = 0; i < 500; ++i) {
    const page = pick([...PLAIN_PAGES, "query", "new", "alert"]);
    const looks_at = page === "explore" || page === "matrix";
    const history = random() < 0.3;
    const view = {
      ...view_of(page, page === "query" || (looks_at && random() < 0.5) ? pick(names) : null),
      alert: page === "alert" ? pick(names) : null,
      tab: pick([null, "versions"]), pick: pick([null, "192.0.2.1"]), by: pick([[], ["src_as"], ["src_as", "dst_as"]]),
      filters: pick([[], ["proto=6"], ["site=a&b", "dst_as!=1,2"]]), earlier: pick([null, ...EARLIER]),
      range: history ? null : pick([null, ...RANGES]), from: history ? 1_800_000_000_000 + i : null, until: history ? 1_800_000_600_000 : null,
      units: pick([null, ...UNITS]), zone: pick([null, "utc", "local"]), chart: pick([null, ...CHARTS]),
      measure: pick([null, "octets", "a&b=c"]), size: pick([null, ...SIZES]), order: pick([null, ...ORDERS]), search: pick([null, "x y", "%"]),
    };
    if (view.query === ".." || view.alert === "..") continue; // A browser takes it for a step up, however it is written.
    const found = read(address_of(view));
    assert.deepEqual(found, { view, unknown: [], later: false }, address_of(view));
  }
});

test("links say their version", () => {
  assert.match(address_of({ ...view_of("live"), units: "bytes" }), new RegExp(`[?&]v=${VIEW_VERSION}(&|$)`));
  assert.equal(read(`/live?v=${VIEW_VERSION + 1}&r=1h`).later, true);
  assert.equal(read("/live?v=1&r=1h").later, false);
});

test("what is not understood is told, and the rest stands", () => {
  const { view, unknown } = read("/q/x?v=1&r=2h&u=bits&zoom=3&tz=mars");
  assert.deepEqual(unknown, ["r", "zoom", "tz"]);
  assert.equal(view.range, null);
  assert.equal(view.units, "bits");
  for (const v of ["0", "-1", "x", "1.5"]) assert.deepEqual(read(`/live?v=${v}`).unknown, ["v"]);
});

test("half a range, and one that ends before it begins, is none", () => {
  for (const text of ["from=2026-01-31T00:00:00.000Z", "from=2026-01-31T00:00:00.000Z&until=2026-01-30T00:00:00.000Z", "from=yesterday&until=2026-01-31T00:00:00.000Z"]) {
    const { view, unknown } = read(`/q/x?v=1&${text}`);
    assert.equal(view.from, null);
    assert.equal(view.until, null);
    assert.ok(unknown.includes("from/until"), text);
  }
});

test("pages that are none", () => {
  for (const path of ["/q/", "/q/a/b", "/nothing", "/live/x", "/q/%zz", "/queries/x"]) assert.equal(read_view(path, "").view.page, "unknown", path);
  assert.equal(read_view("/", "").view.page, "live");
});

test("ranges", () => assert.deepEqual(RANGES.map(range_ms), [300e3, 900e3, 3600e3, 21600e3, 86400e3, 604800e3]));

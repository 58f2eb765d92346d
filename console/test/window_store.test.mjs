import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { WindowStore } = await load("api/window_store");
const columns = [{ name: "octets", type: "bigint" }];
const at = (second) => new Date(1_800_000_000_000 + second * 1000).toISOString();
const part = (second, values, more = {}) => ({
  query: "q", version: 1, seq: 1, window_start: at(second), window_end: at(second + 1), revision: 1, final: true, complete: true,
  part: 0, last: true, rows_total: null, truncated: false, columns, rows: values.map((value) => [value]), ...more,
});
const shown = (store) => store.windows.map((window) => [(window.start - 1_800_000_000_000) / 1000, window.rows.map(([value]) => value), window.revision]);

test("by time, whatever the order in which they come", () => {
  const store = new WindowStore(10, 100);
  for (const second of [2, 0, 1, 3]) assert.equal(store.add(part(second, [second])), true);
  assert.deepEqual(shown(store), [[0, [0], 1], [1, [1], 1], [2, [2], 1], [3, [3], 1]]);
  assert.equal(store.arrived, 4);
});

test("a window of several parts is shown when it is whole", () => {
  const store = new WindowStore(10, 100);
  assert.equal(store.add(part(0, [1, 2], { last: false })), false);
  assert.deepEqual(shown(store), []);
  assert.equal(store.add(part(0, [3], { part: 1 })), true);
  assert.deepEqual(shown(store), [[0, [1, 2, 3], 1]]);
});

test("a revision replaces the window, without the rows that it removes; an old one does not come back", () => {
  const store = new WindowStore(10, 100);
  store.add(part(0, [1, 2], { final: false, complete: false, sites_missing: ["ams"] }));
  assert.deepEqual([store.windows[0].open, store.windows[0].sites_missing], [true, ["ams"]]);
  store.add(part(0, [5], { revision: 2, last: false }));
  store.add(part(0, [2], { revision: 2, part: 1, removed: true }));
  assert.deepEqual(shown(store), [[0, [5], 2]]);
  assert.deepEqual([store.windows[0].open, store.windows[0].complete], [false, true]);
  assert.equal(store.add(part(0, [1, 2])), false);
  assert.deepEqual(shown(store), [[0, [5], 2]]);
  assert.equal(store.arrived, 1);
});

test("a revision that comes amid the parts of the one before wins", () => {
  const store = new WindowStore(10, 100);
  store.add(part(0, [1], { last: false }));
  store.add(part(0, [7], { revision: 2 }));
  assert.equal(store.add(part(0, [2], { part: 1 })), false);
  assert.deepEqual(shown(store), [[0, [7], 2]]);
  store.add(part(0, [1], { revision: 3, last: false }));
  assert.equal(store.add(part(0, [2], { revision: 2, part: 1 })), false);
  store.add(part(0, [3], { revision: 3, part: 1 }));
  assert.deepEqual(shown(store), [[0, [1, 3], 3]]);
});

test("a picture that was taken stands still", () => {
  const store = new WindowStore(10, 100);
  store.add(part(0, [1]));
  const held = store.windows;
  store.add(part(1, [2]));
  store.add(part(0, [9], { revision: 2 }));
  assert.equal(held.length, 1);
  assert.deepEqual(held[0].rows, [[1]]);
});

test("the oldest leave: by windows, and by rows; the newest stays whatever its size", () => {
  const store = new WindowStore(3, 5);
  for (let second = 0; second < 6; ++second) store.add(part(second, [second]));
  assert.deepEqual(shown(store).map(([second]) => second), [3, 4, 5]);
  store.add(part(6, [1, 2, 3, 4]));
  assert.deepEqual(shown(store).map(([second]) => second), [5, 6]);
  store.add(part(7, [1, 2, 3, 4, 5, 6, 7]));
  assert.deepEqual(shown(store).map(([second]) => second), [7]);
});

test("rows without a window are shown one after the other", () => {
  const store = new WindowStore(10, 100);
  for (const value of [1, 2]) store.add(part(0, [value], { window_start: null, window_end: null }));
  assert.deepEqual(store.windows.map((window) => [window.start, window.rows]), [[null, [[1]]], [null, [[2]]]]);
});

test("what is older than the span that is looked at leaves, and a revision of it does not come back alone", () => {
  const store = new WindowStore(10, 100, 3_000);
  for (const second of [0, 1, 2, 3, 4, 5]) store.add(part(second, [second]));
  assert.deepEqual(shown(store).map(([start]) => start), [2, 3, 4, 5]);
  store.add(part(0, [9], { revision: 2 }));
  assert.deepEqual(shown(store).map(([start]) => start), [2, 3, 4, 5]);
});

// Differences of versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { diff_of, near_changes } = await load("pages/diff");

const side = (changes, gone) => changes.filter(({ kind }) => kind !== gone).map(({ text }) => text).join("\n");

test("each side of a difference is its text again, and what is called the same is in both", () => {
  let seed = 11;
  const random = (limit) => (seed = (seed * 48271) % 2147483647) % limit;
  for (let round = 0; round < 300; ++round) {
    const lines = () => Array.from({ length: random(12) }, () => "abcd"[random(4)]).join("\n");
    const before = lines(), after = lines();
    const changes = diff_of(before, after);
    assert.equal(side(changes, "new"), before);
    assert.equal(side(changes, "gone"), after);
    for (const { kind, text, before: i, after: j } of changes) {
      if (i !== null) assert.equal(before.split("\n")[i - 1], text);
      if (j !== null) assert.equal(after.split("\n")[j - 1], text);
      assert.equal(kind === "same", i !== null && j !== null);
    }
    // None is shorter: as many lines stay as the longest common subsequence has.
    const a = before.split("\n"), b = after.split("\n");
    const longest = (i, j, known = new Map()) => {
      const key = i * 100 + j;
      if (i === a.length || j === b.length) return 0;
      if (!known.has(key)) known.set(key, a[i] === b[j] ? 1 + longest(i + 1, j + 1, known) : Math.max(longest(i + 1, j, known), longest(i, j + 1, known)));
      return known.get(key);
    };
    assert.equal(changes.filter(({ kind }) => kind === "same").length, longest(0, 0));
  }
});

test("long texts with one change are compared by that change, and texts that have nothing in common at all", () => {
  const lines = Array.from({ length: 50_000 }, (_, i) => `line ${i}`);
  const other = lines.with ? lines.with(25_000, "new") : lines.map((line, i) => (i === 25_000 ? "new" : line));
  assert.deepEqual(diff_of(lines.join("\n"), other.join("\n")).filter(({ kind }) => kind !== "same").map(({ kind, text }) => [kind, text]), [["gone", "line 25000"], ["new", "new"]]);
  const strange = diff_of(lines.slice(0, 5_000).join("\n"), lines.slice(0, 5_000).map((line) => `x${line}`).join("\n"));
  assert.equal(strange.length, 10_000);
});

test("what is far from a change is a number of lines", () => {
  const lines = Array.from({ length: 20 }, (_, i) => String(i));
  const found = near_changes(diff_of(lines.join("\n"), lines.map((line) => (line === "10" ? "ten" : line)).join("\n")), 2);
  assert.deepEqual(found.map((each) => (typeof each === "number" ? each : each.text)), [8, "8", "9", "10", "ten", "11", "12", 7]);
});

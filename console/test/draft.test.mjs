// What is being written outlives pages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const kept = new Map();
globalThis.sessionStorage = {
  get length() { return kept.size; },
  key: (i) => [...kept.keys()][i] ?? null,
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};
globalThis.location = { pathname: "/live", search: "" };
globalThis.addEventListener = () => {};
globalThis.history = { pushState: (_, __, to) => (globalThis.location.pathname = to) };
globalThis.scrollTo = () => {};
kept.set("backstream.draft.edit.top", JSON.stringify({ text: "SELECT 2", name: "top", comment: "", revision: 7, base: "SELECT 1" }));
kept.set("backstream.token", "bst_x");
const { drafts, edit_of, forget_drafts, keep_draft, NEW, NEW_BEFORE, open_new_query } = await load("state/draft");

test("drafts of before a reload are there again", () => {
  assert.deepEqual([...drafts.value.keys()], ["edit.top"]);
  assert.equal(drafts.value.get(edit_of("top")).revision, 7);
});

test("another page fills in a text, and what was being written is kept beside it", () => {
  keep_draft(NEW, { text: "SELECT mine", name: "", comment: "", revision: null, base: "" });
  open_new_query("SELECT theirs", "theirs");
  assert.equal(location.pathname, "/new");
  assert.deepEqual([drafts.value.get(NEW).text, drafts.value.get(NEW).name, drafts.value.get(NEW_BEFORE).text], ["SELECT theirs", "theirs", "SELECT mine"]);
  keep_draft(NEW, null);
  assert.equal(kept.has("backstream.draft.new"), false);
});

test("another reader finds none of them, and the token stays", () => {
  forget_drafts();
  assert.deepEqual([[...drafts.value.keys()], [...kept.keys()]], [[], ["backstream.token"]]);
});

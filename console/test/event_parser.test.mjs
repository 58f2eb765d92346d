import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { EventParser } = await load("api/event_parser");
const TEXT = ': results\n\nevent: rows\ndata: {"a":1,\r\ndata: "b":"é: x"}\nid: 17,4\n\n:\n\ndata: no id\r\n\r\nevent: end\rdata:{}\rid: 18,4\r\r\n';
const EVENTS = [
  { event: "rows", data: '{"a":1,\n"b":"é: x"}', id: "17,4" },
  { event: "message", data: "no id", id: "17,4" },
  { event: "end", data: "{}", id: "18,4" },
];

test("however the text is cut", () => {
  for (let first = 0; first <= TEXT.length; ++first) {
    for (const second of [first, first + 1, first + 3, TEXT.length]) {
      const parser = new EventParser();
      const pieces = [TEXT.slice(0, first), TEXT.slice(first, second), TEXT.slice(second)];
      assert.deepEqual(pieces.flatMap((piece) => parser.push(piece)), EVENTS, `${first}, ${second}`);
    }
  }
});

test("an event that is not ended is none", () => {
  const parser = new EventParser();
  assert.deepEqual(parser.push("event: rows\ndata: {}\n"), []);
  assert.equal(parser.push("\n").length, 1);
});

// The stream before a server that cuts, refuses and ends.
import assert from "node:assert/strict";
import http from "node:http";
import { after, beforeEach, test } from "node:test";
import { load } from "./load.mjs";

globalThis.sessionStorage = { getItem: () => "bst_test", setItem() {}, removeItem() {} };
const asked = [];
let answer;
const server = http.createServer((request, response) => {
  const { searchParams } = new URL(request.url, "http://x");
  asked.push({ topics: searchParams.getAll("query"), last: searchParams.get("last_event_id"), token: request.headers.authorization });
  answer(response, asked.length);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const real_fetch = globalThis.fetch;
globalThis.fetch = (path, init) => real_fetch(origin + path, { ...init, credentials: undefined, cache: undefined });
const { Stream, parse_ids, connection } = await load("api/stream");
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => (asked.length = 0));

const rows = (query, seq, id) => `event: rows\ndata: ${JSON.stringify({ query, seq })}\nid: ${id}\n\n`;
const begin = (response) => response.writeHead(200, { "content-type": "text/event-stream" });
function listener() {
  const heard = { parts: [], gaps: 0, ends: [] };
  let waiting = [];
  const tell = () => (waiting = waiting.filter(({ condition, resolve }) => !condition() || resolve()));
  heard.until = (condition) => new Promise((resolve) => { waiting.push({ condition, resolve }); tell(); });
  heard.on_part = (part) => { heard.parts.push(part.seq); tell(); };
  heard.on_gap = () => { ++heard.gaps; tell(); };
  heard.notices = [];
  heard.on_notice = (message) => { heard.notices.push(message); tell(); };
  heard.on_failed = ({ message }) => { heard.notices.push(`failed: ${message}`); tell(); };
  heard.on_end = (gone) => { heard.ends.push(gone); tell(); };
  return heard;
}

test("goes on after what it has, with the token, when the connection is cut", async () => {
  answer = (response, count) => {
    begin(response);
    if (count === 1) response.end(rows("a", 11, "11") + rows("a", 12, "12") + "event: rows\ndata: {\"query\":\"a\",\"seq\":13");
    else response.write(rows("a", 13, "13"));
  };
  const stream = new Stream(), heard = listener();
  const leave = stream.listen("a", 10, heard);
  await heard.until(() => heard.parts.length === 3);
  leave();
  assert.deepEqual(heard.parts, [11, 12, 13]);
  assert.deepEqual(asked.map(({ last }) => last), ["10", "12"]);
  assert.equal(asked[0].token, "Bearer bst_test");
});

test("topics share one stream, and each keeps its place when another comes", async () => {
  answer = (response, count) => {
    begin(response);
    response.write(count === 1 ? rows("a", 5, "5") : rows("b", 101, "5,101"));
  };
  const stream = new Stream(), a = listener(), b = listener();
  const leave_a = stream.listen("a", 3, a);
  await a.until(() => a.parts.length === 1);
  const leave_b = stream.listen("b", 100, b);
  await b.until(() => b.parts.length === 1);
  leave_a();
  leave_b();
  assert.deepEqual(asked, [{ topics: ["a"], last: "3", token: "Bearer bst_test" }, { topics: ["a", "b"], last: "5,100", token: "Bearer bst_test" }]);
  assert.deepEqual([a.parts, b.parts], [[5], [101]]);
});

test("a notice and a failure are told to the topic that they are of", async () => {
  answer = (response) => {
    begin(response);
    response.write(rows("~1", 1, "1,0") + `event: notice\ndata: {"message":"not final"}\nid: 1,1\n\n` + `event: failed\ndata: {"code":"22012","message":"division by zero"}\nid: 2,1\n\n` + `event: end\ndata: {"topic":"~1"}\n\n`);
  };
  const stream = new Stream(), one = listener(), other = listener();
  const leave_one = stream.listen("~1", 0, one), leave_other = stream.listen("~2", 0, other);
  await one.until(() => one.ends.length === 1);
  leave_one();
  leave_other();
  assert.deepEqual([one.parts, one.notices, one.ends], [[1], ["failed: division by zero"], [false]]);
  assert.deepEqual(other.notices, ["not final"]);
});

test("one that is gone does not keep the others from being heard", async () => {
  answer = (response, count) => {
    if (count === 1) {
      response.writeHead(404, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ title: "Not Found", status: 404, detail: "there is no query '~s1'" }));
    } else {
      begin(response);
      response.write(rows("a", 2, "2"));
    }
  };
  const stream = new Stream(), a = listener(), session = listener();
  const leave = stream.listen("a", 1, a);
  stream.listen("~s1", 0, session);
  await a.until(() => a.parts.length === 1);
  leave();
  assert.deepEqual(session.ends, [true]);
  assert.deepEqual(a.ends, []);
  assert.deepEqual(asked.map(({ topics }) => topics), [["a", "~s1"], ["a"]]);
});

test("gaps and ends are told to whom they are about", async () => {
  answer = (response, count) => {
    begin(response);
    if (count === 1) response.write('event: gap\ndata: {"topic":"a","after":1,"next":9}\n\nevent: end\ndata: {"topic":"b"}\n\n' + rows("a", 9, "9,0"));
  };
  const stream = new Stream(), a = listener(), b = listener();
  const leave = stream.listen("a", 1, a);
  stream.listen("b", 0, b);
  await a.until(() => a.parts.length === 1);
  leave();
  assert.deepEqual([a.gaps, a.ends, b.gaps, b.ends], [1, [], 0, [false]]);
});

test("without anything to hear nothing is asked", async () => {
  answer = (response) => begin(response).flushHeaders();
  const stream = new Stream();
  stream.listen("a", 1, listener())();
  await new Promise((resolve) => setTimeout(resolve, 80));
  assert.deepEqual(asked, []);
  assert.equal(connection.value, "idle");
});

test("ids", () => {
  assert.deepEqual(parse_ids("17,4,0", 3), [17, 4, 0]);
  for (const text of ["", "17,4", "17,x,0", "1.5,2,3"]) assert.equal(parse_ids(text, 3), null, text);
});

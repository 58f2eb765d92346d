// A query's life in Debian's Chromium: written with a mistake, mended, kept, altered, brought back, dropped.
//   BACKSTREAM_SERVER=http://127.0.0.1:8844 node --test test/browser_query.mjs
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { daemon, false_daemon, open, origin } from "./browser_common.mjs";

const API = `${daemon}/api/v1`;
const NAME = `console_test_${process.pid}`;
const TOKEN = `console_viewer_${process.pid}`;
const RIGHT = "SELECT window_start, count(*) AS flows\nFROM tumble(flows, received_at, interval '1 s')\nGROUP BY window_start";

async function ask(method, path, body) {
  const response = await fetch(API + path, { method, ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}) });
  return { status: response.status, body: await response.json().catch(() => null) };
}
after(async () => {
  await ask("DELETE", `/queries/${NAME}`);
  await ask("DELETE", `/tokens/${TOKEN}`);
});

/** Answers that say "this is wrong" are what these pages are for; a browser reports them as mistakes. */
async function end(page) {
  page.mistakes = page.mistakes.filter((each) => !/status of (404|409|412|422)/.test(each));
  await page.end();
}

const in_editor = (page, read) => page.evaluate(`(${read})(document.querySelector(".editor-host").shadowRoot)`);
const written = (page) => in_editor(page, (root) => [...root.querySelectorAll(".cm-line")].map((line) => line.textContent).join("\n"));
async function ready(page) {
  await page.waitForFunction(() => document.querySelector(".editor-host:not([hidden])")?.shadowRoot?.querySelector(".cm-content"));
}
async function write(page, text) {
  await ready(page);
  await page.locator(".editor-host .cm-content").focus();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(text);
}
/** Of what is underlined: its text, and where it begins, in lines and characters as the server counts. */
function marked(page) {
  return in_editor(page, (root) => {
    const parts = [...root.querySelectorAll(".cm-mistake")];
    if (parts.length === 0) return null;
    const line = parts[0].closest(".cm-line"), lines = [...root.querySelectorAll(".cm-line")];
    const before = document.createRange();
    before.setStart(line, 0);
    before.setEndBefore(parts[0]);
    return { text: parts.map((part) => part.textContent).join(""), line: lines.indexOf(line) + 1, column: [...before.toString()].length + 1 };
  });
}
const wait_marked = (page, wanted) => page.waitForFunction((wanted) => (document.querySelector(".editor-host").shadowRoot.querySelector(".cm-mistake") !== null) === wanted, wanted);

test("a mistake is underlined where the server says, told below, and reached by Ctrl-Enter", async () => {
  const page = await open("/new");
  const wrong = "SELECT window_start,\n\n\t'é😀' AS \"ß\", scr_ip\nFROM tumble(flows, received_at, interval '1 s')";
  await write(page, wrong);
  await wait_marked(page, true);
  const { status, body } = await ask("POST", "/validate", { text: wrong });
  assert.equal(status, 422);
  assert.deepEqual(await marked(page), { text: "scr_ip", line: body.line, column: body.column });
  assert.equal([..."scr_ip"].length, body.end_column - body.column);
  const told = await page.textContent(".verdict[role=status]");
  assert.ok(told.includes(body.detail) && told.includes(body.hint) && told.includes(`line ${body.line}, column ${body.column}`), told);
  await page.keyboard.press("Control+Enter");
  await page.keyboard.type("x");
  assert.match(await written(page), /xscr_ip/);
  // An unknown type has a place, too, though the answer is 404.
  await write(page, "SELECT time::nonsense FROM flows");
  await wait_marked(page, true);
  await page.waitForFunction(() => document.querySelector(".verdict").textContent.includes("nonsense"));
  assert.equal((await marked(page)).text, "time::nonsense");
  await write(page, RIGHT);
  await wait_marked(page, false);
  await page.waitForSelector(".verdict .badge-good");
  await end(page);
});

test("by keys alone: completed, left by Escape and Tab, tried, kept; and what letters mean elsewhere they do not mean here", async () => {
  const page = await open("/new");
  await ready(page);
  const theme = await page.evaluate(() => document.documentElement.dataset.theme);
  for (let i = 0; i < 30 && (await page.evaluate(() => document.activeElement.className)) !== "editor-host"; ++i) await page.keyboard.press("Tab");
  await page.keyboard.type("SELECT window_start, sum(oc");
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText("SELECT window_start, sum(");
  await page.keyboard.insertText(") AS octets\nFROM tumble(flows, received_at, interval '1 s') GROUP BY window_start");
  for (let i = 0; i < 2; ++i) await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Home");
  for (let i = 0; i < "SELECT window_start, sum(".length; ++i) await page.keyboard.press("ArrowRight");
  await page.keyboard.type("octet");
  await page.keyboard.press("Control+ ");
  await page.waitForFunction(() => document.querySelector(".editor-host").shadowRoot.querySelector(".cm-tooltip-autocomplete li[aria-selected]"));
  assert.match(await in_editor(page, (root) => root.querySelector("li[aria-selected]").textContent), /^octets/);
  await page.waitForFunction(() => new Promise((done) => setTimeout(() => done(true), 120)));
  await page.keyboard.press("Enter");
  assert.match(await written(page), /sum\(octets\) AS octets/);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), theme);
  assert.equal(new URL(page.url()).pathname, "/new");
  await page.waitForSelector(".verdict .badge-good");
  // Tab writes, until Escape says that it leads on.
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  assert.notEqual(await page.evaluate(() => document.activeElement.className), "editor-host");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector("text=Newest window");
  // Nothing was registered by trying it.
  assert.equal((await ask("GET", `/queries/${NAME}`)).status, 404);
  await page.getByLabel("Name", { exact: true }).focus();
  await page.keyboard.type(NAME);
  await page.getByLabel("Comment").focus();
  await page.keyboard.type("made by keys");
  await page.getByRole("button", { name: "Keep" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction((name) => location.pathname === `/q/${name}`, NAME);
  const { body } = await ask("GET", `/queries/${NAME}`);
  assert.deepEqual([body.version, body.comment, body.state], [1, "made by keys", "running"]);
  assert.equal(await page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.includes("draft")).length), 0);
  await end(page);
});

test("text that is not saved outlives other pages, reloads and live updates, and says so", async () => {
  const page = await open(`/q/${NAME}?v=1&tab=statement`);
  await ready(page);
  await page.locator(".editor-host .cm-content").focus();
  await page.keyboard.press("Control+End");
  await page.keyboard.type(" -- mine");
  await page.waitForSelector("text=This text is not saved");
  await page.click("text=Queries");
  await page.waitForSelector(".queries");
  await page.click(`text=${NAME}`);
  await page.click(".tabs >> text=Statement");
  await ready(page);
  assert.match(await written(page), /-- mine$/);
  await page.reload();
  await ready(page);
  assert.match(await written(page), /-- mine$/);
  // Other answers about the query come meanwhile, and it is paused by somebody else: the text and its cursor stay.
  await page.locator(".editor-host .cm-content").focus();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("!");
  await ask("POST", `/queries/${NAME}/pause`);
  await page.waitForSelector(".page-head >> text=paused");
  await page.keyboard.type("?");
  assert.match(await written(page), /-- mine!\?$/);
  await ask("POST", `/queries/${NAME}/resume`);
  await page.click("text=Discard");
  await page.waitForFunction(() => !document.querySelector(".editor-host").shadowRoot.textContent.includes("mine"));
  await end(page);
});

test("altered, compared, brought back", async () => {
  const page = await open(`/q/${NAME}?v=1&tab=statement`);
  const first = (await ask("GET", `/queries/${NAME}`)).body;
  await write(page, RIGHT);
  await page.waitForSelector(".verdict .badge-good");
  await page.click("text=Save as a new version");
  await page.waitForSelector("text=Version 2 takes over at the next window's boundary.");
  await page.click(".tabs >> text=Versions");
  await page.waitForSelector(".versions tbody tr >> nth=1");
  assert.match(await page.textContent(".versions tbody tr"), /^v2.*current/);
  const lines = await page.$$eval(".diff tr", (rows) => rows.map((row) => [row.className, row.querySelector("code")?.textContent]));
  assert.ok(lines.some(([kind, text]) => kind === "diff-gone" && text.includes("sum(octets)")), JSON.stringify(lines));
  assert.ok(lines.some(([kind, text]) => kind === "diff-new" && text === "SELECT window_start, count(*) AS flows"));
  await page.getByRole("button", { name: "Bring back version 1" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=Version 3 takes over");
  await page.waitForSelector(".versions tbody tr >> nth=2");
  const now = (await ask("GET", `/queries/${NAME}`)).body;
  assert.deepEqual([now.version, now.text, now.comment], [3, first.text, first.comment]);
  // Any two.
  await page.getByLabel("To").selectOption({ index: 1 });
  await page.getByLabel("From").selectOption({ index: 2 });
  assert.deepEqual([await page.locator(".diff-gone").count(), await page.locator(".diff-new").count()], [2, 3]);
  assert.match(page.url(), /pick=/);
  await end(page);
});

test("what somebody else changed meanwhile is not written over", async () => {
  const page = await open(`/q/${NAME}?v=1&tab=statement`);
  await write(page, `${RIGHT} -- mine`);
  await page.waitForSelector(".verdict .badge-good");
  await ask("PUT", `/queries/${NAME}`, { text: `${RIGHT} -- theirs` });
  await page.click("text=Save as a new version");
  await page.waitForSelector("h2 >> text=Somebody else changed this query");
  assert.match((await ask("GET", `/queries/${NAME}`)).body.text, /theirs$/);
  assert.deepEqual(await page.$$eval(".diff tr:not(.diff-same) code", (cells) => cells.map((cell) => cell.textContent.replace(/^.* window_star/, ""))), ["t -- theirs", "t -- mine"]);
  await page.click("text=Go on with mine");
  await page.click("text=Save as a new version");
  await page.waitForSelector("text=takes over at the next window");
  assert.match((await ask("GET", `/queries/${NAME}`)).body.text, /mine$/);
  await end(page);
});

test("the plan: what runs where, with its text beside it and rates on it", async () => {
  const page = await open(`/q/${NAME}?v=1&tab=plan`);
  await page.waitForSelector(".plan svg");
  assert.deepEqual(await page.$$eval(".plan-lane-name", (names) => names.map((name) => name.textContent)), ["Edge", "Bus", "Merge", "Readers"]);
  assert.match(await page.textContent(".plan-text pre"), /source stream flows/);
  await page.waitForFunction(() => /\d( [kM])? rows(\/s| a window)/.test(document.querySelector(".plan-rate")?.textContent ?? ""));
  assert.match(await page.getAttribute(".plan svg", "aria-label"), /^Plan of 2 operators, .*rows/);
  await end(page);
});

test("a statement of a thousand lines is written and checked", async () => {
  const page = await open("/new");
  const lines = Array.from({ length: 998 }, (_, i) => `  sum(CASE WHEN dst_port = ${i} THEN octets END) AS p${i},`);
  const wrong = ["SELECT window_start,", ...lines, "  sum(octetts) AS octets FROM tumble(flows, received_at, interval '1 s') GROUP BY window_start"].join("\n");
  await write(page, wrong);
  await page.waitForSelector(".verdict .badge-bad");
  assert.match(await page.textContent(".verdict"), /octetts.*line 1000, column 7/);
  await page.click(".verdict-place");
  await wait_marked(page, true);
  assert.equal((await marked(page)).text, "octetts");
  await page.keyboard.press("Control+f");
  await page.waitForFunction(() => document.querySelector(".editor-host").shadowRoot.querySelector(".cm-search"));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
  await end(page);
});

test("who may only read is offered nothing else", async () => {
  const { body } = await ask("POST", "/tokens", { name: TOKEN, role: "viewer" });
  const as_viewer = (page) => page.addInitScript((token) => sessionStorage.setItem("backstream.token", token), body.token);
  for (const address of ["/queries", `/q/${NAME}`, `/q/${NAME}?v=1&tab=statement`, `/q/${NAME}?v=1&tab=versions`, `/q/${NAME}?v=1&tab=plan`]) {
    const page = await open(address, {}, as_viewer);
    await page.waitForSelector(address === "/queries" ? ".queries .menu" : address.includes("versions") ? ".versions" : address.includes("plan") ? ".plan svg" : ".statement");
    const buttons = await page.$$eval("main button, main a, main [contenteditable=true], main input:not([type=search])", (all) => all.map((each) => each.textContent));
    for (const never of ["New query", "Pause", "Drop …", "Save as a new version", "Bring back", "Keep"]) assert.ok(!buttons.includes(never), `${address}: ${never}`);
    assert.equal(await page.locator(".editor-host").count(), 0, address);
    await end(page);
  }
});

test("dropped after asking; not while others read it", async (t) => {
  const page = await open("/queries");
  const row = page.locator(".queries tr", { has: page.locator(`a >> text="${NAME}"`) });
  await row.locator("summary").focus();
  await page.keyboard.press("Enter");
  await row.getByText("Pause", { exact: true }).click();
  await row.locator("text=paused").waitFor();
  await row.locator("summary").click();
  await row.getByText("Resume", { exact: true }).click();
  await row.locator("text=running").waitFor();
  await row.locator("summary").click();
  await row.getByText("Drop …").click();
  await page.waitForSelector("dialog[open]");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.equal((await ask("GET", `/queries/${NAME}`)).status, 200);
  await row.locator("summary").click();
  await row.getByText("Drop …").click();
  await page.getByRole("button", { name: "Drop", exact: true }).click();
  await row.waitFor({ state: "detached" });
  assert.equal((await ask("GET", `/queries/${NAME}`)).status, 404);
  await end(page);

  const query = (name, reads) => ({
    name, version: 1, incarnation: 1, revision: 1, changed_at: "2026-01-31T00:00:00Z", owner: "x", comment: "", state: "running", reason: "", plain: false,
    text: "SELECT 1", reads, columns: [], placement: null, ledger: null, collecting_since: null,
  });
  await false_daemon(t, (path) => {
    if (path === "/queries") return { body: { queries: [query("low", []), query("high", ["low"])] } };
    if (path === "/whoami") return { body: { name: "x", role: "operator", row_filter: "", expires_at: null } };
    if (path === "/alerts") return { body: { alerts: [] } };
    return undefined;
  });
  const other = await open(`${origin}/queries`);
  const low = other.locator(".queries tr", { has: other.locator('.strong-link >> text="low"') });
  await low.locator("summary").click();
  await low.getByText("Drop …").click();
  await other.waitForSelector("dialog >> text=others read it: high");
  assert.equal(await other.getByRole("button", { name: "Drop", exact: true }).isDisabled(), true);
  await end(other);
});

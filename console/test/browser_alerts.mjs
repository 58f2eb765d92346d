// Alerts and the page of one, before a daemon with rules of this test.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { false_daemon, open, stand_before, text } from "./browser_common.mjs";
import { binary, own_daemon, send_flows, signed_in_as } from "./own_daemon.mjs";

const skip = binary === undefined && "BACKSTREAM_BINARY is not set";
const HOSTILE = `"><img src=x onerror=document.title=1>'`;
const OFFERED = ["Acknowledge", "Silence", "New silence", "End silence", "New rule", "Drop rule", "Test", "Test all"];
/** Of the whole file, as a test has it. */
const all = { ends: [], after: (end) => all.ends.unshift(end) };
/** The server waits up to 15 s for what becomes of a test. */
const PATIENCE_MS = 30_000;
let daemon, pager, notices = [];
const as = {};

// Fires with every window that has flows: 5 s from the rule being there.
const rule = (name, more = "") => ({ text: `CREATE MATERIALIZED VIEW ${name} WITH ("alert.when" = 'octets > 1000', "alert.severity" = 'critical', "alert.summary" = '{octets} octets of {exporter}'${more}) AS
SELECT window_start, exporter, sum(octets) AS octets FROM tumble(flows, received_at, interval '2 s') GROUP BY window_start, exporter` });

before(async () => {
  if (skip) return;
  // One endpoint takes notices, the other refuses them.
  pager = http.createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece)).on("end", () => {
      if (request.url === "/good") notices.push(JSON.parse(body));
      response.writeHead(request.url === "/good" ? 200 : 400).end();
    });
  });
  await new Promise((resolve) => pager.listen(0, "127.0.0.1", resolve));
  const to = `http://127.0.0.1:${pager.address().port}`;
  daemon = await own_daemon(all, ["access.required=true", "watermark.delay=3s", "notify.good.type=webhook", `notify.good.to=${to}/good`, "notify.refusing.type=webhook", `notify.refusing.to=${to}/refuses`]);
  send_flows(all, daemon, ["--protocol", "v5", "--rate", "60", "--records", "1000000", "--active-timeout", "2s", "--inactive-timeout", "1s"]);
  for (const role of ["viewer", "operator"]) as[role] = await signed_in_as(daemon, role);
  all.after(await stand_before(daemon.address));
});
after(async () => {
  for (const end of all.ends) await end();
  pager?.closeAllConnections();
  pager?.close();
});

const add_rule = (name) => daemon.ask("/queries", undefined, { method: "POST", body: JSON.stringify(rule(name)) });

/** A button that has the focus is pressed by keys, not by a pointer. */
async function press(page, locator) {
  await locator.focus();
  await page.keyboard.press("Enter");
}

test("an alert appears without a reload, and pages beside say so in the head and in the tab", { skip }, async () => {
  const page = await open("/alerts", {}, as.operator);
  await page.getByText("There is no rule yet: nothing can fire.").first().waitFor();
  const beside = await open("/queries", {}, as.viewer);
  await beside.waitForSelector("h1");
  assert.doesNotMatch(await beside.title(), /^\(/);
  await add_rule("busy");
  await page.locator(".alert-cards .alert-bad", { hasText: "exporter=127.0.1.1" }).waitFor();
  assert.equal(await page.locator(".alert-cards .alert-bad").count(), 1);
  await page.locator(".lane-name", { hasText: "exporter=127.0.1.1" }).waitFor();
  await beside.locator("nav a", { hasText: "Alerts (1)" }).waitFor();
  assert.match(await beside.title(), /^\(1\) Queries/);
  assert.equal(await beside.locator("p.visually-hidden[role=status]").textContent(), "1 alert fires");
  await beside.end();
  await page.end();
});

test("acknowledged by keys alone, with a comment that is shown as it is", { skip }, async () => {
  const page = await open("/alerts", {}, as.operator);
  const card = page.locator(".alert-cards .alert-bad");
  await card.waitFor();
  while (!(await page.evaluate(() => document.activeElement?.textContent?.startsWith("Acknowledge")))) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  assert.match(await page.evaluate(() => document.activeElement.textContent), /^Acknowledge/, "the focus is back");
  await page.keyboard.press("Enter");
  await page.locator("dialog[open] input").focus();
  await page.keyboard.type(HOSTILE);
  await page.keyboard.press("Enter");
  await page.locator(".alert-ack", { hasText: HOSTILE }).waitFor();
  assert.equal(await card.getByRole("button", { name: /^Acknowledge/ }).count(), 0);
  assert.equal(await page.locator("main img").count(), 0);
  await page.locator(".lane-mark-acknowledged").first().waitFor();
  await page.end();
});

test("a key is silenced, the list has it, and it is ended", { skip }, async () => {
  const page = await open("/alerts", {}, as.operator);
  const card = page.locator(".alert-cards .alert-bad");
  await press(page, card.getByRole("button", { name: /^Silence/ }));
  const dialog = page.locator("dialog[open]");
  assert.equal(await dialog.getByLabel("Key").inputValue(), "exporter=127.0.1.1");
  await dialog.getByLabel("For").selectOption("600");
  await dialog.getByLabel("Comment").fill(HOSTILE);
  await page.keyboard.press("Enter");
  await card.getByText("silenced").waitFor();
  const row = page.locator(".panel", { hasText: "Silences" }).locator("tbody tr");
  await row.getByText("exporter=127.0.1.1").waitFor();
  await row.getByText(HOSTILE).waitFor();
  assert.equal(await card.getByRole("button", { name: /^Silence/ }).count(), 0);
  await press(page, row.getByRole("button", { name: "End silence of busy" }));
  await page.getByText("Nothing is silenced.").waitFor();
  assert.deepEqual((await daemon.ask("/silences")).silences, []);
  await page.end();
});

test("tests of endpoints say what became of them", { skip }, async () => {
  const page = await open("/alerts", {}, as.operator);
  const row = (name) => page.locator("tr", { has: page.locator("th", { hasText: new RegExp(`^${name}$`) }) });
  await press(page, page.getByRole("button", { name: "Test good" }));
  await row("good").getByText("test delivered").waitFor({ timeout: PATIENCE_MS });
  await press(page, page.getByRole("button", { name: "Test refusing" }));
  await row("refusing").getByText("test refused").waitFor({ timeout: PATIENCE_MS });
  assert.ok(notices.some((notice) => notice.state === "test"));
  await page.end();
});

test("the page that a notice links to: the value with its line, who was told, and it goes on after the end", { skip }, async () => {
  const { url, alert_id } = notices.find((notice) => notice.state === "firing");
  assert.equal(new URL(url).pathname, `/alerts/${alert_id}`);
  const page = await open(new URL(url).pathname, {}, as.operator);
  await page.waitForSelector(".time-chart canvas");
  assert.equal(await text(page, "h1"), "busy: exporter=127.0.1.1");
  const facts = page.locator(".fact-list");
  await facts.getByText("octets > 1000").waitFor();
  await facts.getByText(/notice for good, refusing/).waitFor();
  await facts.getByText(HOSTILE).waitFor();
  await page.getByText("Dashed line: octets > 1000").waitFor();
  await press(page, page.getByRole("button", { name: "Copy link" }));
  await page.waitForFunction(async () => (await navigator.clipboard.readText()) === location.href);

  const list = await open("/alerts", {}, as.operator);
  await press(list, list.getByRole("button", { name: "Drop rule busy" }));
  await list.locator("dialog[open]").getByRole("button", { name: "Drop rule" }).focus();
  await list.keyboard.press("Enter");
  await list.getByText("There is no rule yet: nothing can fire.").first().waitFor();
  await list.locator(".lane-name", { hasText: "exporter=127.0.1.1" }).waitFor();
  await list.locator(".lane-mark-told_over").first().waitFor();
  await list.locator("td", { hasText: "ended" }).first().waitFor();
  await list.end();

  await page.getByText("This alert is over. It stands here as it ended.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Acknowledge" }).count(), 0);
  await facts.getByText(/notice of the end for good, refusing/).waitFor();
  page.mistakes = page.mistakes.filter((each) => !/status of (404|422)/.test(each)); // The rule is gone, and was asked for.
  await page.end();
});

test("a new rule begins from one that stands", { skip }, async () => {
  const page = await open("/alerts", {}, as.operator);
  await press(page, page.getByRole("button", { name: "New rule" }));
  await page.waitForURL("**/new");
  await page.getByText("many_sources").first().waitFor();
  const drafts = await page.evaluate(() => Object.values({ ...sessionStorage }).filter((each) => each.includes("alert.when")).map((each) => JSON.parse(each)));
  assert.equal(drafts.length, 1);
  await daemon.ask("/validate", undefined, { method: "POST", body: JSON.stringify({ text: drafts[0].text }) });
  await page.end();
});

test("an alert that never was is said to be none", { skip }, async () => {
  const page = await open(`/alerts/${encodeURIComponent(HOSTILE)}`, {}, as.viewer);
  await page.getByText("There is no such alert").waitFor();
  assert.equal(await page.locator("code").textContent(), HOSTILE);
  await page.getByRole("link", { name: "To Alerts" }).click();
  await page.waitForURL("**/alerts");
  page.mistakes = page.mistakes.filter((each) => !each.includes("404"));
  await page.end();
});

test("who may only look is offered nothing else", { skip }, async () => {
  await add_rule("busy_again");
  const buttons = (page) => page.locator("main button").allTextContents();
  const page = await open("/alerts", {}, as.viewer);
  await page.locator(".alert-cards .alert-bad").waitFor();
  await page.locator("th", { hasText: "refusing" }).waitFor();
  for (const name of await buttons(page)) assert.ok(!OFFERED.some((each) => name.startsWith(each)), name);
  await page.locator(".alert-cards .alert-name").click();
  await page.waitForSelector(".fact-list");
  assert.deepEqual(await buttons(page), ["Copy link"]);
  const other = await open("/alerts", {}, as.operator);
  await other.locator(".alert-cards .alert-bad").waitFor();
  await other.getByRole("button", { name: "New silence" }).waitFor();
  const offered = await buttons(other);
  for (const name of ["Acknowledge", "Silence", "New silence", "New rule", "Drop rule", "Test", "Test all"]) assert.ok(offered.some((each) => each.startsWith(name)), name);
  await other.end();
  await page.end();
});

test("a thousand keys with long and hostile texts stay within the window, and nothing of them is run", async (t) => {
  const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  const alert = (id, more = {}) => ({
    id, state: "firing", alert: "flood", severity: "page", labels: {}, starts_at: ago(10), ends_at: null, key: {}, key_text: `note=${HOSTILE}${"x".repeat(300)}${id}`, columns: {}, value_column: null, value: null,
    threshold: "", more: 0, window_start: ago(1), window_end: ago(0), complete: false, sites_missing: [HOSTILE], sampling: "unknown", query: "flood@1", url: "", title: HOSTILE, message: HOSTILE, silenced: false,
    fired_at: ago(9), recovering_since: null, notified: false, notices: [], acknowledged: null, ...more,
  });
  const alerts = Array.from({ length: 1_000 }, (_, i) => alert(`now${i}`));
  const ended = Array.from({ length: 500 }, (_, i) => alert(`past${i}`, { state: "ended", ends_at: ago(5) }));
  await false_daemon(t, (path) => {
    if (path === "/whoami") return { body: { name: HOSTILE, role: "operator", row_filter: "", expires_at: null } };
    if (path === "/alerts") return { body: { alerts, rules: [], rule_states: [], silences: [], endpoints: [] } };
    if (path === "/alerts/ended") return { body: { alerts: ended, more: true } };
    if (path === "/queries") return { body: { queries: [] } };
    return null;
  });
  for (const width of [1440, 390]) {
    const page = await open("/alerts", { viewport: { width, height: 900 } });
    await page.locator(".lane-track").first().waitFor();
    await page.getByText("20 of 1000 rows").waitFor();
    await page.getByText("Only the 500 that ended last are shown.").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
    assert.equal(await page.locator("main img").count(), 0);
    await page.end();
  }
});

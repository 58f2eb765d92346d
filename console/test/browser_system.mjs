// System and signing in, before the shared daemon and one that asks everybody who he is.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { test } from "node:test";
import { before_daemon, false_daemon, open, text } from "./browser_common.mjs";
import { binary, own_daemon } from "./own_daemon.mjs";

const PROXY = ["access.required=true", "access.proxy_addresses=127.0.0.1", "access.grants=alice=admin,olga=operator,vera=viewer"];
const by_proxy = (name) => ({ extraHTTPHeaders: { "X-Forwarded-User": name } });
const needs_binary = { skip: binary === undefined && "without BACKSTREAM_BINARY" };
const tabs = (page) => page.$$eval(".tabs a", (links) => links.map((link) => link.textContent));

async function token_of(daemon, body) {
  return (await daemon.ask("/tokens", undefined, { method: "POST", body: JSON.stringify({ expires_in_seconds: 864_000, role: "viewer", ...body }) })).token;
}

async function sign_in(page, token) {
  await page.fill("#token", token);
  await page.click("button[type=submit]:visible");
}

/** What a browser writes by itself of answers that are meant to be refusals. */
function expect_refusals(page, ...statuses) {
  page.mistakes = page.mistakes.filter((each) => !statuses.some((status) => each.includes(`status of ${status}`)));
}

test("the picture of nodes and the table beside it say the same", async () => {
  const page = await open("/system");
  await page.waitForSelector(".node-graph svg");
  const names = await page.$$eval(".node-name", (each) => each.map((name) => name.textContent).sort());
  const rows = await page.$$eval(".list-on-narrow tbody th", (each) => each.map((name) => name.firstChild.textContent));
  assert.deepEqual(names.filter((name) => rows.includes(name)), names);
  assert.ok(names.includes("pop-sao") && names.length === 4);
  assert.match(await text(page, ".node-graph"), /pop-sao.*edge · heard/s);
  // Links are four, and each ends where its box begins.
  assert.equal(await page.locator(".node-link").count(), 4);
  assert.deepEqual(await tabs(page), ["Overview", "Sinks", "Doctor", "Program", "Audit", "Tokens"]);
  await page.end();
});

test("nobody is drained by a slip", async () => {
  const page = await open("/system");
  await page.click("tr:has-text('pop-rio') button");
  await page.waitForSelector("dialog[open]");
  assert.match(await text(page, "dialog h2"), /Drain pop-rio\?/);
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.equal(await page.locator("tr:has-text('pop-rio') .badge-quiet").count(), 0);
  await page.end();
});

test("doctor: what is wrong first, and what is to be typed is copied whole", async (t) => {
  const check = (id, state, fix = "") => ({ id, state, text: `text of ${id}`, fix });
  await false_daemon(t, (path) => {
    if (path === "/whoami") return { body: { name: "vera", role: "viewer", row_filter: "", expires_at: null, by: "token" } };
    if (path === "/doctor") return { body: { checks: [check("D01", "ok"), check("D13", "warning", "timedatectl set-ntp true\nthen: timedatectl"), check("D24", "error"), check("D03", "warning")], warnings: 2, errors: 1 } };
    return undefined;
  });
  const page = await open("/system?v=1&tab=doctor");
  await page.waitForSelector(".checks");
  assert.deepEqual(await page.$$eval(".checks tbody th", (each) => each.map((id) => id.textContent)), ["D24", "D03", "D13", "D01"]);
  assert.match(await text(page, ".lead"), /1 error, 2 warnings, 1 ok/);
  await page.click(".mend button");
  await page.waitForFunction(() => document.querySelector(".mend button").textContent.includes("✓"));
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "timedatectl set-ntp true\nthen: timedatectl");
  expect_refusals(page, 404);
  await page.end();
});

test("sinks: how far, what is wrong, a test, and a replay of a time", async (t) => {
  const asked = [];
  const sink = (name, more) => ({ name, text: `CREATE PUBLICATION ${name}`, query: "top", server: "lake", type: "postgres", state: "running", rows: 7, place: 4, last_seq: 4, ...more });
  await false_daemon(t, (path, request) => {
    if (request.method === "POST") asked.push(request.url);
    if (path === "/whoami") return { body: { name: "olga", role: "operator", row_filter: "", expires_at: null, by: "token" } };
    if (path === "/sinks") return { body: { sinks: [sink("well"), sink("ill", { state: "failing", error: "connection refused", hint: "is it up?", behind_since: "2026-01-01T00:00:00Z", last_seq: 9, rows_refused: 3 })] } };
    if (path === "/sinks/well/test") return { body: { name: "well", found: "table top, 3 columns" } };
    if (path === "/sinks/ill/test") return { status: 422, body: { title: "x", status: 422, detail: "cannot connect", hint: "start it" } };
    if (path === "/sinks/ill/replay") return { status: 202, body: { name: "ill", state: "replaying" } };
    return undefined;
  });
  const page = await open("/system?v=1&tab=sinks");
  await page.waitForSelector(".sinks");
  const ill = page.locator("tr:has-text('ill')"), well = page.locator("tr:has-text('well')");
  assert.match(await ill.textContent(), /failing.*connection refused.*is it up\?.*5 parts.*3 \/ 0 \/ 0/s);
  assert.match(await well.textContent(), /running.*has all/s);
  await well.locator("button >> text=Test").click();
  await well.locator("text=It can be used: table top, 3 columns").waitFor();
  await ill.locator("button >> text=Test").click();
  await ill.locator("text=cannot connect: start it").waitFor();
  await ill.locator("button >> text=Replay").click();
  await page.locator("dialog input").first().fill("2026-01-31T12:00:05");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.deepEqual(asked, ["/api/v1/sinks/well/test", "/api/v1/sinks/ill/test", "/api/v1/sinks/ill/replay?from=2026-01-31T12%3A00%3A05.000Z"]);
  expect_refusals(page, 422, 404);
  await page.end();
});

test("each role is offered what it may", needs_binary, async (t) => {
  const daemon = await own_daemon(t, PROXY);
  await before_daemon(t, daemon.address);
  const offered = {};
  for (const name of ["vera", "olga", "alice"]) {
    const page = await open("/system", by_proxy(name));
    await page.waitForSelector(".node-graph svg");
    offered[name] = { tabs: (await tabs(page)).slice(4), drain: await page.locator("button >> text=Drain").count() > 0, export: await page.locator("text=Export the catalog").count() > 0 };
    await page.click(".controls .menu summary");
    assert.match(await text(page, ".menu-note"), new RegExp(`^${name} · (viewer|operator|admin)Signed in by the proxy`));
    assert.equal(await page.locator("text=Sign out").count(), 0);
    for (const tab of ["audit", "tokens"]) {
      await page.goto(page.url().replace(/\/system.*/, `/system?v=1&tab=${tab}`));
      await page.waitForSelector(name === "alice" ? ".panel" : "text=This part is for admins.");
    }
    await page.end();
  }
  assert.deepEqual(offered, { vera: { tabs: [], drain: false, export: false }, olga: { tabs: [], drain: false, export: false }, alice: { tabs: ["Audit", "Tokens"], drain: true, export: true } });
});

test("who sees some rows only is told why he sees no more", needs_binary, async (t) => {
  const daemon = await own_daemon(t, PROXY);
  await before_daemon(t, daemon.address);
  const token = await token_of(daemon, { name: "ams", row_filter: "site = 'ams'" });
  for (const [name, what] of [["by_site", "site, "], ["in_all", ""]]) {
    await daemon.ask("/queries", undefined, { method: "POST", body: JSON.stringify({ name, text: `SELECT window_start, ${what}sum(octets) AS octets FROM tumble(flows, time, interval '10 s') GROUP BY ${what}1` }) });
  }
  const page = await open("/system");
  await sign_in(page, token);
  await page.waitForSelector("text=ams sees some rows of results only (site = 'ams')");
  // What he is offered is what he may: queries that have his rows, and of them results.
  assert.deepEqual(await page.$$eval(".head nav a", (links) => links.map((link) => link.textContent)), ["Queries"]);
  await page.click("main a >> text=Queries");
  await page.waitForSelector(".queries tbody tr");
  assert.deepEqual(await page.$$eval(".queries tbody .strong-link", (links) => links.map((link) => link.textContent)), ["by_site"]);
  assert.equal(await page.locator(".row-menu .menu").count(), 0);
  await page.click("text=by_site");
  await page.waitForSelector("h1 >> text=by_site");
  await page.waitForSelector("text=No rows in this range.");
  assert.deepEqual(await tabs(page), ["Result"]);
  await page.click(".controls .menu summary");
  assert.match(await text(page, ".menu-note"), /ams · viewer · expires in 10 d.*sees rows with site = 'ams' only/);
  // Nor is anything asked for him that he may not know.
  expect_refusals(page, 401);
  await page.end();
});

test("a token is made, shown once, used, and revoked under its user, who goes on with another where he was", needs_binary, async (t) => {
  const daemon = await own_daemon(t, PROXY);
  await before_daemon(t, daemon.address);
  const admin = await open("/system?v=1&tab=tokens", by_proxy("alice"));
  const made = async () => {
    await admin.fill(".token-form input", "ana");
    await admin.selectOption(".token-form select", "admin");
    await admin.click(".token-form button[type=submit]");
    await admin.waitForSelector(".fresh-token");
    const token = await text(admin, ".fresh-token pre");
    await admin.click("text=I have it");
    assert.doesNotMatch(await text(admin, "main"), /bst_/);
    await admin.waitForSelector("tbody th >> text=ana");
    return token;
  };
  const first = await made();
  assert.match(first, /^bst_/);

  const ana = await open("/system?v=1&tab=tokens");
  await sign_in(ana, first);
  await ana.waitForSelector(".token-form");
  await ana.fill(".token-form input", "begun and not sent");
  const where = ana.url();

  await admin.click("tr:has-text('ana') button");
  await admin.click("dialog button[type=submit]");
  await admin.waitForSelector("text=There are no tokens yet.");

  await ana.waitForSelector("text=The token of ana has expired or was revoked.");
  // Nothing is asked meanwhile: a tab that is left open does not look like somebody who guesses.
  const asked = [];
  ana.on("request", (request) => asked.push(request.url()));
  await ana.waitForTimeout(6_000);
  assert.deepEqual(asked, []);
  await sign_in(ana, await made());
  await ana.waitForSelector("#token", { state: "detached" });
  assert.equal(ana.url(), where);
  assert.equal(await ana.inputValue(".token-form input"), "begun and not sent");
  await ana.waitForSelector("tbody th >> text=ana");

  // Another reader finds nothing of the one before him.
  await ana.click(".controls .menu summary");
  await ana.click("text=Sign out");
  await sign_in(ana, await token_of(daemon, { name: "bob", role: "admin" }));
  await ana.waitForSelector(".token-form");
  assert.equal(await ana.inputValue(".token-form input"), "");

  await admin.goto(admin.url().replace("tokens", "audit"));
  await admin.waitForSelector(".audit");
  await admin.fill("input[type=search]", "token ana alice");
  await admin.waitForFunction(() => document.querySelectorAll(".audit tbody tr").length === 3);
  const [csv] = await Promise.all([admin.waitForEvent("download"), admin.click("text=CSV")]);
  assert.match(await fs.readFile(await csv.path(), "utf8"), /^at,author,via,verb,kind,name,version,comment,revision\r\n.*alice/);
  await admin.end();
  expect_refusals(ana, 401);
  await ana.end();
});

test("a token that ends soon is told of", needs_binary, async (t) => {
  const daemon = await own_daemon(t, PROXY);
  await before_daemon(t, daemon.address);
  for (const [hours, said] of [[23, /Your token expires in 23 h/], [73, null]]) {
    const token = await token_of(daemon, { name: `t${hours}`, expires_in_seconds: hours * 3600 + 60 });
    const page = await open("/system");
    await sign_in(page, token);
    await page.waitForSelector(".node-graph");
    await page.click(".controls .menu summary");
    assert.match(await text(page, ".menu-note"), hours === 23 ? /expires in 23 h/ : /expires in 3 d/);
    if (said === null) assert.equal(await page.locator(".note-bar").count(), 0);
    else assert.match(await text(page, ".note-bar"), said);
    expect_refusals(page, 401);
    await page.end();
  }
});

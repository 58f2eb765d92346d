// What a console has to stand: a server that is away, slow, of another version, or has too much; and texts that mean harm.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { test } from "node:test";
import { before_daemon, daemon, false_daemon, folder, open, origin, text } from "./browser_common.mjs";
import { HOSTILE, hostile_answers } from "./hostile.mjs";
import { binary, own_daemon } from "./own_daemon.mjs";

/** What browsers write of answers that did not come, or are refusals. */
function expect_failures(page) {
  page.mistakes = page.mistakes.filter((each) => !/status of (401|404|502)|ERR_|net::/.test(each));
}

/**
 * A way to the daemon that can be shut.
 * @return state: "open"; "away", nobody answers and streams break; "locked", all are asked for the token bst_good; delay_ms
 */
async function gate(t) {
  const target = new URL(daemon);
  const gate = { state: "open", delay_ms: 0, under_way: 0, under_way_most: 0, requests: 0, shut };
  const server = http.createServer((request, response) => {
    if (gate.state === "away") return request.socket.destroy();
    if (gate.state === "locked" && request.headers.authorization !== "Bearer bst_good")
      return response.writeHead(401, { "content-type": "application/problem+json" }).end('{"title":"Unauthorized","status":401}');
    ++gate.requests;
    const headers = { ...request.headers, host: target.host };
    delete headers.authorization;
    const streams = request.url.includes("/events");
    if (!streams) gate.under_way_most = Math.max(gate.under_way_most, ++gate.under_way);
    response.on("close", () => streams || --gate.under_way);
    setTimeout(() => {
      const onward = http.request({ hostname: target.hostname, port: target.port, path: request.url, method: request.method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on("error", () => response.destroy());
      response.on("close", () => onward.destroy());
      request.pipe(onward);
    }, gate.delay_ms);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await before_daemon(t, `http://127.0.0.1:${server.address().port}`);
  function shut(state) {
    gate.state = state;
    server.closeAllConnections();
  }
  return gate;
}

/** Until there is a window that begins so many seconds after `before`. */
const windows_until = (page, before, seconds) => page.waitForFunction(([from]) => {
  const newest = [...document.querySelectorAll(".table-scroll tbody th[scope=row]")].find((cell) => cell.textContent.includes("–"));
  return newest !== undefined && Date.parse(`1970-01-01T${newest.textContent.slice(0, 8)}Z`) / 1000 >= from;
}, [before + seconds], { timeout: 25_000 });

/** Begins of the windows in the table of a query of 1 s windows, newest first. */
const seconds_of = async (page) => (await page.$$eval(".table-scroll tbody th[scope=row]", (cells) => cells.map((cell) => cell.textContent).filter((each) => each.includes("–"))))
  .map((each) => Date.parse(`1970-01-01T${each.slice(0, 8)}Z`) / 1000);

// `ready`: what stays there while nobody answers.
const PAGES = [
  { address: "/", ready: ".time-chart canvas" },
  { address: "/explore", ready: "h1" },
  { address: "/queries", ready: ".queries tbody tr" },
  { address: "/q/demo_pops?v=1&r=5m", ready: ".time-chart canvas" },
  { address: "/matrix", ready: "h1" },
  { address: "/exporters", ready: "h1" },
  { address: "/alerts", ready: "h1" },
  { address: "/system", ready: ".node-graph svg" },
  { address: "/system?v=1&tab=doctor", ready: ".checks" },
];

test("a server that is away is told of on every page, what was shown stays, and it goes on by itself", async (t) => {
  const way = await gate(t);
  for (const { address, ready } of PAGES) {
    way.shut("open");
    const page = await open(address);
    await page.waitForSelector(ready);
    await page.waitForFunction(() => document.querySelector(".loading") === null);
    const headings = await page.$$eval("h1, h2", (each) => each.length);
    const asks = way.requests;
    way.shut("away");
    await page.waitForSelector(".trouble, .connection-broken").catch(() => assert.fail(`${address} says nothing of it`));
    assert.ok(await page.locator(ready).first().isVisible(), address);
    assert.equal(await page.$$eval("h1, h2", (each) => each.length), headings, `${address} lost a part`);
    way.shut("open");
    for (const end = Date.now() + 25_000; way.requests === asks && Date.now() < end; ) await page.waitForTimeout(100);
    await page.waitForFunction(() => document.querySelector(".trouble, .connection-broken, .connection-connecting") === null, undefined, { timeout: 25_000 });
    assert.ok(way.requests > asks, address);
    expect_failures(page);
    await page.end();
  }
});

test("a page that is opened while nobody answers says so, and is there when somebody does", async (t) => {
  const way = await gate(t);
  for (const { address, ready } of PAGES) {
    way.shut("away");
    const page = await open(address);
    await page.waitForSelector(".trouble").catch(() => assert.fail(`${address} says nothing of it`));
    assert.match(await text(page, ".trouble"), /The server does not answer/);
    way.shut("open");
    await page.waitForSelector(ready, { timeout: 25_000 });
    await page.waitForSelector(".trouble", { state: "detached" });
    expect_failures(page);
    await page.end();
  }
});

test("windows that closed while the server was away are there when it is back", async (t) => {
  const way = await gate(t);
  const page = await open("/q/demo_pops?v=1&r=5m");
  await page.waitForSelector(".panel-table h2");
  const newest = (await seconds_of(page))[0];
  way.shut("away");
  await page.waitForSelector(".connection-broken");
  await page.waitForTimeout(5_000); // For windows to be missed.
  way.shut("open");
  await windows_until(page, newest, 7);
  const seconds = await seconds_of(page);
  for (let i = 1; i < Math.min(seconds.length, 30); ++i) assert.equal(seconds[i - 1] - seconds[i], 1, "a window is missing");
  expect_failures(page);
  await page.end();
});

test("a token that expires in mid-stream: asked for, and the picture goes on without a gap", async (t) => {
  const way = await gate(t);
  const page = await open("/q/demo_pops?v=1&r=5m");
  await page.waitForSelector(".panel-table h2");
  const newest = (await seconds_of(page))[0];
  way.shut("locked");
  await page.waitForSelector("#token");
  assert.match(await text(page, ".sign-in"), /The token of local has expired/);
  assert.ok(await page.locator(".time-chart").first().isHidden());
  await page.waitForTimeout(3_000); // For windows to be missed.
  await page.fill("#token", "bst_good");
  await page.click(".sign-in button[type=submit]");
  await page.waitForSelector("#token", { state: "detached" });
  await windows_until(page, newest, 5);
  const seconds = await seconds_of(page);
  for (let i = 1; i < Math.min(seconds.length, 30); ++i) assert.equal(seconds[i - 1] - seconds[i], 1, "a window is missing");
  assert.ok(await page.locator(".time-chart").first().isVisible());
  expect_failures(page);
  await page.end();
});

test("a slow server: a page says that it waits, does not ask twice meanwhile, and comes", async (t) => {
  const way = await gate(t);
  way.delay_ms = 10_000;
  const pages = await Promise.all(["/", "/system"].map((address) => open(address)));
  for (const page of pages) {
    await page.waitForSelector(".loading, .trouble");
    assert.equal(await page.locator(".trouble").count(), 0);
  }
  await pages[0].waitForSelector(".time-chart canvas", { timeout: 60_000 });
  await pages[1].waitForSelector(".node-graph svg", { timeout: 60_000 });
  for (const page of pages) await page.end();
  assert.ok(way.under_way_most <= 24, `${way.under_way_most} requests at once of two tabs`);
});

/** The same console as another version of it: each file has another name. */
async function other_version() {
  const other = `${folder}-other`;
  await fs.rm(other, { recursive: true, force: true });
  await fs.cp(folder, other, { recursive: true });
  const assets = path.join(other, "assets");
  const names = (await fs.readdir(assets)).filter((name) => name.endsWith(".js"));
  const renamed = new Map(names.map((name) => [name, name.replace(/-(\w{8})\./, (_, hash) => `-${[...hash].reverse().join("")}.`)]));
  const rename = (content) => names.reduce((so_far, name) => so_far.replaceAll(name, renamed.get(name)), content);
  for (const name of names) {
    await fs.writeFile(path.join(assets, renamed.get(name)), rename(await fs.readFile(path.join(assets, name), "utf8")));
    if (renamed.get(name) !== name) await fs.rm(path.join(assets, name));
  }
  await fs.writeFile(path.join(other, "index.html"), rename(await fs.readFile(path.join(other, "index.html"), "utf8")));
  return other;
}

test("a daemon of another version: the page is loaded anew once, where it was", async (t) => {
  // The folder of pages is exchanged under the same address, as a daemon does that is updated.
  const pages = `${folder}-served`, other = await other_version();
  await fs.cp(folder, pages, { recursive: true });
  t.after(() => Promise.all([pages, other].map((each) => fs.rm(each, { recursive: true, force: true }))));
  await before_daemon(t, daemon, pages);
  const page = await open("/queries?v=1&s=top");
  await page.waitForSelector(".queries");
  await fs.rm(pages, { recursive: true });
  await fs.cp(other, pages, { recursive: true });
  let loads = 0;
  page.on("load", () => ++loads);
  await page.click("nav >> text=System");
  await page.waitForSelector(".node-graph svg");
  assert.equal(loads, 1);
  assert.match(page.url(), /\/system/);
  // One chunk is gone for good, of the version that is there: it is told, and no other load helps.
  const names = await fs.readdir(path.join(pages, "assets"));
  for (const name of names.filter((each) => each.startsWith("matrix-"))) await fs.rm(path.join(pages, "assets", name));
  await page.click("nav >> text=Matrix");
  await page.waitForSelector(".trouble");
  await page.click("nav >> text=System");
  await page.waitForSelector(".node-graph svg");
  await page.click("nav >> text=Matrix");
  await page.waitForSelector(".trouble");
  assert.equal(loads, 1);
  expect_failures(page);
  await page.end();
});

test("a part of the console that cannot be loaded while the server is away: told, and loaded when it is asked for again", async () => {
  const page = await open("/queries");
  await page.waitForSelector(".queries");
  await page.route("**/*", (route) => route.abort());
  let loads = 0;
  page.on("load", () => ++loads);
  await page.click("nav >> text=System");
  await page.waitForSelector(".trouble button");
  await page.unrouteAll();
  await page.click(".trouble button");
  await page.waitForSelector(".node-graph svg");
  assert.equal(loads, 0);
  expect_failures(page);
  await page.end();
});

test("a view with a million groups: the page answers, and the tab holds little", { skip: binary === undefined && "without BACKSTREAM_BINARY" }, async (t) => {
  const own = await own_daemon(t, ["ingest.receive_buffer=64MiB"]);
  const name = "five_tuples";
  await own.ask("/queries", undefined, { method: "POST", body: JSON.stringify({
    name, text: "SELECT window_start, src_ip, dst_ip, src_port, dst_port, protocol, sum(octets) AS octets FROM tumble(flows, received_at, interval '20 s') GROUP BY 1, 2, 3, 4, 5, 6",
  }) });
  const flows = spawn(binary, ["generate", "--to", own.flows, "--records", "3000000", "--rate", "75000", "--hosts", "2000000", "--as", "20000", "--zipf", "0"], { stdio: "ignore" });
  t.after(() => flows.kill("SIGKILL"));
  await before_daemon(t, own.address);
  let rows = 0;
  for (const end = Date.now() + 120_000; rows < 1_000_000 && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    rows = (await own.ask(`/queries/${name}`)).ledger?.result_rows ?? 0;
  }
  assert.ok(rows >= 1_000_000, `${rows} groups`);
  const page = await open(`/q/${name}?v=1&r=5m&chart=table`);
  const cdp = await page.context().newCDPSession(page);
  await page.waitForSelector(".table-scroll tbody tr, .panel-table tbody tr", { timeout: 60_000 });
  assert.match(await text(page, "main"), /The 200 largest rows of each window/);
  // It answers: a key takes effect while rows are there.
  await page.keyboard.press("u");
  await page.waitForFunction(() => location.search.includes("u=bytes"));
  for (const address of ["/", "/queries", "/system"]) {
    await page.goto(origin + address);
    await page.waitForFunction(() => document.querySelector("main .panel, main .stats") && document.querySelector(".loading") === null, undefined, { timeout: 60_000 });
  }
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await page.waitForSelector(".table-scroll tbody tr, .panel-table tbody tr", { timeout: 60_000 });
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  assert.ok(usedSize < 40e6, `${(usedSize / 1e6).toFixed(1)} MB`);
  await page.end();
});

test("names, comments, sites, keys and findings are text on every page, whatever they say", async (t) => {
  await false_daemon(t, hostile_answers());
  const shown = ["/", "/queries", `/q/${encodeURIComponent(HOSTILE)}`, "/exporters", "/alerts", "/alerts/a1", "/system", "/system?v=1&tab=sinks", "/system?v=1&tab=doctor", "/system?v=1&tab=audit", "/system?v=1&tab=tokens"];
  const all = [...shown, `/explore?v=1&q=${encodeURIComponent(HOSTILE)}`, `/matrix?v=1&q=${encodeURIComponent(HOSTILE)}`, `/exporters?v=1&pick=${encodeURIComponent(HOSTILE)}`];
  for (const address of all) {
    const page = await open(address);
    await page.waitForSelector("h1").catch(async (error) => assert.fail(`${address}: ${error.message}\n${await text(page, "main")}\n${page.mistakes.join("\n")}`));
    if (shown.includes(address)) await page.waitForFunction((hostile) => document.querySelector("main").textContent.includes(hostile), HOSTILE);
    await page.waitForTimeout(500); // For what comes after: a chunk, a chart.
    await page.click(".controls .menu summary");
    assert.ok((await text(page, ".menu-note")).includes(HOSTILE));
    assert.equal(await page.evaluate(() => window.hurt), undefined, address);
    assert.equal(await page.locator("img").count(), 0, address);
    expect_failures(page);
    await page.end();
  }
});

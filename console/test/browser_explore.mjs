// Explore and Matrix in Debian's Chromium before a daemon that runs, as a reader uses them: browser_common.mjs says how.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { test } from "node:test";
import { daemon, open, text } from "./browser_common.mjs";

/** A range that is over, so that what is asked twice is answered alike. A daemon that has just begun has none yet: it is waited for. */
async function range_with_results() {
  for (const end = Date.now() + 7 * 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 1_000))) {
    const until = Math.floor(Date.now() / 60_000) * 60_000 - 60_000, from = until - 240_000;
    const { kept_since } = await (await fetch(`${daemon}/api/v1/queries/demo_matrix/results?limit=1`)).json();
    if (kept_since && Date.parse(kept_since) <= from) return { from, until };
  }
  throw new Error("demo_matrix has no results of the last five minutes");
}

const { from, until } = await range_with_results();
const RANGE = `from=${new Date(from).toISOString()}&until=${new Date(until).toISOString()}`;
const WHERE = `window_start >= '${new Date(from).toISOString()}' AND window_end <= '${new Date(until).toISOString()}'`;
const MATRIX = `/explore?v=1&q=demo_matrix&by=src_as&${RANGE}`;

/** Rows of a SELECT that ends, as the API gives them. */
async function select(sql) {
  const session = await (await fetch(`${daemon}/api/v1/sessions`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: sql }) })).json();
  const events = await (await fetch(`${daemon}/api/v1/events?query=${encodeURIComponent(session.name)}&last_event_id=0`)).text();
  return events.split("\n").filter((line) => line.startsWith("data: {\"query\"")).flatMap((line) => JSON.parse(line.slice(6)).rows);
}

async function download(page, kind) {
  await page.click("summary:has-text('Download')");
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(`.menu-item:text-is("${kind}")`)]);
  return fs.readFile(await file.path());
}

/** The rows of the table, as its CSV has them: of columns that are keys, and the sum. */
async function table(page, columns) {
  const lines = (await download(page, "CSV")).toString().trim().split("\r\n").map((line) => line.split(","));
  return lines.slice(1).map((cells) => cells.slice(0, columns));
}

const ready = (page) => page.waitForFunction(() => document.querySelector(".ranking tbody tr, .panel-table .empty") !== null && document.querySelector(".panel-table .loading") === null && !/…/.test(document.querySelector(".ranking")?.textContent ?? ""));
const address = (page) => new URL(page.url()).searchParams;
const as_text = (rows) => rows.map((row) => row.map(String));

test("a value, by mouse: filter, another dimension; the rows are those of the API", async () => {
  const page = await open(MATRIX);
  await ready(page);
  assert.deepEqual(await table(page, 2), as_text(await select(`SELECT src_as, sum(octets) AS octets FROM demo_matrix WHERE ${WHERE} GROUP BY src_as ORDER BY octets DESC LIMIT 20`)));
  const value = page.locator(".ranking tbody tr:nth-child(2) .value");
  const number = (await value.textContent()).replace("AS", "");
  await value.click();
  await page.click("[role=menuitem]:text-is('Filter by this')");
  await page.waitForSelector(".chip-filter");
  assert.deepEqual(address(page).getAll("f"), [`src_as = ${number}`]);
  await page.waitForFunction(() => document.querySelectorAll(".ranking tbody tr").length === 1);
  await page.click(".chip:text-is('dst AS')");
  await page.click(".chip:text-is('src AS')");
  await page.waitForFunction(() => document.querySelectorAll(".ranking tbody tr").length > 1 && document.querySelectorAll(".ranking thead th").length === 8);
  await ready(page);
  const expected = await select(`SELECT dst_as, sum(octets) AS octets FROM demo_matrix WHERE ${WHERE} AND src_as = ${number} GROUP BY dst_as ORDER BY octets DESC LIMIT 20`);
  assert.deepEqual(await table(page, 2), as_text(expected));
  // What is not shown is the others, and all of it the total: of rows, not of what the tab has.
  const [[sum]] = await select(`SELECT sum(octets) AS octets FROM demo_matrix WHERE ${WHERE} AND src_as = ${number}`);
  const [tera] = [sum / 1e9].map((value) => value.toPrecision(3));
  assert.equal(await text(page, ".ranking tfoot tr:last-child td:nth-last-child(2)"), `${tera} GB`);
  // Back undoes it step by step.
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await page.waitForFunction(() => document.querySelector(".chip-filter") === null);
  await page.end();
});

test("a value, by keys: the menu, leaving out, and back where one was", async () => {
  const page = await open(MATRIX);
  await ready(page);
  const first = page.locator(".ranking tbody tr:first-child .value");
  const number = (await first.textContent()).replace("AS", "");
  await first.focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "menuitem");
  await page.keyboard.press("Escape");
  await page.waitForSelector("[role=menu]", { state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.className), "value");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "menuitem");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Leave this out");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".chip-filter");
  assert.deepEqual(address(page).getAll("f"), [`src_as != ${number}`]);
  await page.waitForFunction((gone) => document.querySelector(".ranking tbody") && ![...document.querySelectorAll(".ranking tbody th")].some((cell) => cell.textContent === `AS${gone}`), number);
  assert.deepEqual(await table(page, 2), as_text(await select(`SELECT src_as, sum(octets) AS octets FROM demo_matrix WHERE ${WHERE} AND src_as IS DISTINCT FROM ${number} GROUP BY src_as ORDER BY octets DESC LIMIT 20`)));
  // The chip takes it away again.
  await page.click(".chip-remove");
  await page.waitForFunction(() => !location.search.includes("f="));
  assert.equal(await text(page, ":focus"), "Add filter");
  await page.end();
});

test("a filter is typed; what is hostile stays a value, what does not fit is told", async () => {
  const page = await open(`/explore?v=1&q=demo_pops&by=site&${RANGE}`);
  await ready(page);
  await page.click("text=Add filter");
  await page.selectOption(".filter-form select >> nth=0", "site");
  await page.selectOption(".filter-form select >> nth=1", "contains");
  await page.fill(".filter-value", "sao");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".ranking tbody tr").length === 1);
  assert.equal(await text(page, ":focus"), "Add filter");
  assert.deepEqual(await table(page, 1), [["pop-sao"]]);
  const hostile = "' OR true; DROP VIEW demo_pops; --<img src=x onerror=alert(1)>";
  await page.goto(page.url().replace(/&f=[^&]*/, `&f=${encodeURIComponent(`site = '${hostile.replaceAll("'", "''")}'`)}&f=${encodeURIComponent("octets = many")}`));
  await page.waitForSelector(".panel-table .empty");
  assert.match(await text(page, ".warn"), /"octets = many": the value is none of that column's/);
  assert.equal((await (await fetch(`${daemon}/api/v1/queries/demo_pops`)).json()).state, "running");
  await page.end();
});

test("group by, and a rule, from any page's value; who may not register is not offered one", async () => {
  const page = await open("/");
  await page.waitForSelector(".tiles .value");
  await page.locator(".tiles .value").first().click();
  await page.click("[role=menuitem]:has-text('Group by')");
  await page.waitForSelector(".ranking tbody tr");
  assert.equal(new URL(page.url()).pathname, "/explore");
  assert.ok(address(page).get("by").length > 0);
  await page.locator(".ranking .value").first().click();
  await page.click("[role=menuitem]:has-text('Alert on this')");
  await page.waitForFunction(() => sessionStorage.getItem("backstream.draft.new") !== null);
  const draft = JSON.parse(await page.evaluate(() => sessionStorage.getItem("backstream.draft.new")));
  assert.match(draft.text, /CREATE MATERIALIZED VIEW high_\w+ WITH \(\n {2}"alert\.when" = '\w+ > \d+'/);
  // It is a rule, as it stands.
  const answer = await fetch(`${daemon}/api/v1/validate`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: draft.text }) });
  assert.equal(answer.status, 200, await answer.text());
  await page.end();
  const viewer = await open(MATRIX, {}, (page_) => page_.route("**/api/v1/whoami", (route) => route.fulfill({ json: { name: "ana", role: "viewer", row_filter: "", expires_at: null } })));
  await ready(viewer);
  await viewer.locator(".ranking .value").first().click();
  await viewer.waitForSelector("[role=menuitem]");
  assert.deepEqual(await viewer.$$eval("[role=menuitem]", (items) => items.map((item) => item.textContent)), ["Filter by this", "Leave this out", "Group by src AS", "Copy the value"]);
  await viewer.end();
});

test("a question that nothing answers begins to be kept; one that is answered leads there", async () => {
  const page = await open(MATRIX);
  await ready(page);
  await page.click(".not-kept summary");
  // Nobody keeps the one; another query has the other, which may answer.
  await page.waitForSelector(".menu-item.muted:text-is('Start keeping src_prefix')");
  await page.click(".menu-item:text-is('src_port: other results')");
  await page.waitForSelector(".keep .button-strong");
  assert.match(await text(page, ".lacks"), /demo_matrix: it keeps no src_port/);
  await page.click(".keep .button-strong");
  await page.waitForFunction(() => sessionStorage.getItem("backstream.draft.new") !== null);
  assert.match(await page.evaluate(() => JSON.parse(sessionStorage.getItem("backstream.draft.new")).text), /^CREATE MATERIALIZED VIEW by_src_as_src_port AS SELECT/);
  await page.goto(`${new URL(page.url()).origin}/explore?v=1&q=flows&by=protocol&m=packets`);
  await page.click(".answer .button-strong");
  await ready(page);
  assert.deepEqual([address(page).get("q"), address(page).get("by"), address(page).get("m")], ["protocol_mix", "protocol", "packets"]);
  await page.end();
});

test("an earlier time is beside what is shown, in the table too; where history ends is told", async () => {
  const hour = 3_600_000;
  const moved = (time, by) => new Date(Date.parse(time) + by).toISOString();
  // The daemon is younger than an hour: what it says of now is given as what was an hour ago.
  const page = await open(`/q/demo_pops?v=1&chart=area&cmp=1h&${RANGE}`, {}, (page_) => page_.route("**/demo_pops/results?*", async (route) => {
    const url = new URL(route.request().url());
    if (Date.parse(url.searchParams.get("until") ?? "2100-01-01T00:00:00Z") >= from) return route.continue();
    for (const key of ["from", "until"]) url.searchParams.set(key, moved(url.searchParams.get(key), hour));
    const results = await (await fetch(`${daemon}${url.pathname}${url.search}`)).json();
    for (const window of results.windows) for (const key of ["window_start", "window_end"]) window[key] = moved(window[key], -hour);
    await route.fulfill({ json: results });
  }));
  await page.waitForFunction(() => /\d/.test(document.querySelector(".panel:last-of-type table.data, table.data")?.textContent ?? ""));
  const series = page.locator("table.data", { has: page.locator("th:text-is('1 h before')") });
  await series.waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll("table.data")].some((each) => /1 h before/.test(each.textContent) && /\d/.test(each.querySelector("tbody td:last-child")?.textContent ?? "")));
  const rows = await series.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.children].slice(-2).map((cell) => cell.textContent)));
  assert.ok(rows.length >= 20);
  for (const [now, before] of rows) assert.equal(before, now);
  assert.match(await text(page, ".legend"), /1 h before/);
  await page.end();
  const explored = await open(`/explore?v=1&q=demo_pops&by=site&cmp=7d&${RANGE}`);
  await ready(explored);
  await explored.waitForFunction(() => /No data before/.test(document.body.textContent));
  await explored.end();
});

test("a matrix by keys: cells, and from one to Explore with both filters", async () => {
  const page = await open(`/matrix?v=1&q=demo_matrix&${RANGE}`);
  await page.waitForSelector("[role=gridcell]");
  assert.equal(await page.locator("[role=gridcell]").count(), 256);
  assert.equal(await page.locator("[role=gridcell][tabindex='0']").count(), 1);
  await page.locator("[role=gridcell][tabindex='0']").focus();
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"]) await page.keyboard.press(key);
  const cell = await page.evaluate(() => [document.activeElement.dataset.cell, document.activeElement.getAttribute("aria-label")]);
  assert.equal(cell[0], "1,1");
  const [, a, b] = /^AS(\d+) → AS(\d+): /.exec(cell[1]);
  const [[sum]] = await select(`SELECT sum(octets) AS octets FROM demo_matrix WHERE ${WHERE} AND src_as = ${a} AND dst_as = ${b}`);
  const [, shown, prefix] = /: ([\d.]+) ([kMG])bit/.exec(cell[1]);
  const rate = Number(shown) * { k: 1e3, M: 1e6, G: 1e9 }[prefix], wanted = (sum * 8) / ((until - from) / 1000);
  assert.ok(Math.abs(rate - wanted) <= wanted * 0.005, cell[1]); // Three digits are shown.
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "menuitem");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".chip-filter");
  assert.deepEqual(address(page).getAll("f"), [`src_as = ${a}`, `dst_as = ${b}`]);
  await page.waitForFunction(() => document.querySelectorAll(".ranking tbody tr").length === 1);
  assert.deepEqual(await table(page, 3), [[a, b, String(sum)]]);
  await page.end();
});

test("totals of a matrix are of all rows, in any order and size", async () => {
  const [[sum]] = await select(`SELECT sum(octets) AS octets FROM demo_matrix WHERE ${WHERE}`);
  for (const [size, order] of [[16, "total"], [32, "similar"]]) {
    const page = await open(`/matrix?v=1&q=demo_matrix&n=${size}&o=${order}&chart=table&${RANGE}`);
    await page.waitForSelector(".matrix-table tbody tr");
    assert.equal(await page.locator(".matrix-table tbody tr").count(), size);
    const shown = await text(page, ".matrix-table tfoot tr:last-child td:last-child");
    assert.equal(shown, `${((sum * 8) / ((until - from) / 1000) / 1e9).toPrecision(3)} Gbit/s`);
    await page.end();
  }
});

test("a PNG of what is on screen is one, and has more than one colour", async () => {
  for (const path of [`${MATRIX}&chart=area`, `/matrix?v=1&q=demo_matrix&${RANGE}`, `/matrix?v=1&q=demo_matrix&chart=flow&${RANGE}`, `/q/demo_pops?v=1&${RANGE}`]) {
    const page = await open(path);
    await page.waitForSelector(".result canvas, .result [data-picture]");
    await page.waitForFunction(() => document.querySelector(".loading") === null);
    await page.waitForTimeout(300);
    const file = await download(page, "PNG");
    assert.deepEqual([...file.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], path);
    const colours = await page.evaluate(async (data) => {
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.width, image.height];
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
      return new Set(pixels).size;
    }, file.toString("base64"));
    assert.ok(colours > 20, `${path}: ${colours} colours`);
    if (process.env.BACKSTREAM_SCREENS) await fs.mkdir(process.env.BACKSTREAM_SCREENS, { recursive: true });
    if (process.env.BACKSTREAM_SCREENS) await fs.writeFile(`${process.env.BACKSTREAM_SCREENS}/saved-${new URL(page.url()).pathname.slice(1).replace("/", "-")}-${address(page).get("chart") ?? ""}.png`, file);
    await page.end();
  }
});

test("packets are asked of what has them, and missed where it has none", async () => {
  const page = await open(`/explore?v=1&q=protocol_mix&by=protocol&${RANGE}`);
  await ready(page);
  await page.keyboard.press("u");
  await page.keyboard.press("u");
  await page.waitForFunction(() => /packets\/s/.test(document.querySelector(".ranking thead")?.textContent ?? ""));
  assert.equal(address(page).get("u"), "packets");
  await ready(page);
  const rows = await table(page, 2);
  assert.deepEqual(rows, as_text(await select(`SELECT protocol, sum(packets) AS packets FROM protocol_mix WHERE ${WHERE} GROUP BY protocol ORDER BY packets DESC LIMIT 20`)));
  await page.goto(`${new URL(page.url()).origin}${MATRIX}&u=packets`);
  await ready(page);
  assert.match(await text(page, ".panel-table .notes"), /This query has no packets: bits are shown/);
  assert.match(await text(page, ".ranking thead"), /bit\/s/);
  await page.end();
});

test("a link opens the same for somebody else", async () => {
  const page = await open(`${MATRIX}&f=${encodeURIComponent("dst_as != 3321")}&chart=lines&u=bytes`);
  await ready(page);
  const other = await open(page.url());
  await ready(other);
  for (const selector of [".ranking", ".legend", ".facets >> nth=1"]) assert.equal(await text(other, selector), await text(page, selector));
  await other.end();
  await page.end();
});

test("an answer that has ended is not ended again", async () => {
  const ends = [];
  const page = await open(MATRIX, {}, async (page_) => page_.on("request", (request) => request.method() === "DELETE" && ends.push(request.url())));
  await ready(page);
  await page.click(".chip:text-is('dst AS')");
  await page.waitForFunction(() => document.querySelectorAll(".ranking thead th").length === 9);
  await ready(page);
  assert.deepEqual(ends, []);
  await page.end();
});

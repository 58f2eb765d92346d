// The console in Debian's Chromium before a daemon that runs, as a reader uses it: browser_common.mjs says how.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { test } from "node:test";
import { false_daemon, open, origin, text } from "./browser_common.mjs";

test("pause holds the picture and counts what comes; resume shows it", async () => {
  const page = await open("/q/demo_pops?v=1&r=5m");
  const newest = ".panel-table h2";
  // A daemon that has just begun has not got a minute yet.
  await page.waitForFunction(() => document.querySelectorAll(".table-scroll tbody th[scope=row]").length >= 30, null, { timeout: 90_000 });
  await page.keyboard.press(" ");
  const held = await text(page, newest);
  await page.waitForFunction(() => /^[3-9]|^\d\d/.test(document.querySelector(".connection-text").textContent));
  assert.match(await text(page, ".connection-text"), /^\d+ newer windows$/);
  assert.equal(await text(page, newest), held);
  await page.keyboard.press(" ");
  await page.waitForFunction((before) => document.querySelector(".panel-table h2").textContent !== before, held);
  // Nothing is missing: every second of the last minute is in the table.
  const ends = await page.$$eval(".table-scroll tbody th[scope=row]", (cells) => cells.map((cell) => cell.textContent).filter((each) => each.includes("–")));
  const seconds = ends.map((each) => Date.parse(`1970-01-01T${each.slice(0, 8)}Z`) / 1000);
  for (let i = 1; i < seconds.length; ++i) assert.equal(seconds[i - 1] - seconds[i], 1, ends[i]);
  assert.ok(seconds.length >= 20);
  await page.end();
});

test("dragging goes into history, the address says so, Escape and back come out again", async () => {
  const page = await open("/q/demo_pops?v=1&r=5m");
  await page.waitForSelector(".u-over");
  await page.waitForTimeout(500);
  const box = await page.locator(".u-over").boundingBox();
  await page.mouse.move(box.x + box.width * 0.85, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.95, box.y + 60, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction(() => new URLSearchParams(location.search).has("from"));
  const { searchParams } = new URL(page.url());
  const width = (Date.parse(searchParams.get("until")) - Date.parse(searchParams.get("from"))) / 1000;
  assert.ok(width >= 27 && width <= 36, `${width} s of 300 s by a tenth of the chart`);
  await page.waitForSelector(".history-range");
  const shared = page.url();
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction((before) => location.href !== before, shared);
  assert.equal(Date.parse(searchParams.get("from")) - Date.parse(new URL(page.url()).searchParams.get("from")), (width * 1000) / 2);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !location.search.includes("from="));
  await page.goBack();
  await page.goBack();
  assert.equal(page.url(), shared);
  await page.waitForSelector(".history-range");
  // Who is sent the link sees the same.
  const other = await open(shared);
  await other.waitForSelector(".u-over");
  assert.equal(await text(other, ".history-range .number"), await text(page, ".history-range .number"));
  await other.end();
  await page.end();
});

test("keys: pages, units, search, the list of keys; focus goes where it should", async () => {
  const page = await open("/");
  await page.waitForSelector(".stat-unit");
  await page.waitForFunction(() => /bit\/s/.test(document.querySelector(".stat-unit").textContent));
  await page.keyboard.press("u");
  await page.waitForFunction(() => /B\/s/.test(document.querySelector(".stat-unit").textContent));
  assert.match(page.url(), /u=bytes/);
  await page.keyboard.press("g");
  await page.keyboard.press("q");
  await page.waitForSelector(".queries");
  await page.keyboard.press("/");
  await page.keyboard.type("matrix u");
  assert.equal(new URL(page.url()).searchParams.get("s"), "matrix u");
  assert.match(page.url(), /u=bytes/);
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("?");
  await page.waitForSelector("dialog[open]");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  // The first stop of the Tab key leads past the head.
  await page.evaluate(() => getSelection().removeAllRanges());
  await page.reload();
  await page.waitForSelector(".queries");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.end();
});

test("every control has a name, every page one main and one h1", async () => {
  for (const address of ["/", "/queries", "/q/demo_matrix", "/q/demo_pops"]) {
    const page = await open(address);
    await page.waitForSelector(".panel");
    await page.waitForTimeout(1_000);
    const found = await page.evaluate(() => ({
      nameless: [...document.querySelectorAll("button, a, input, select, summary, [role=img], [role=region], section")]
        .filter((each) => !(each.textContent.trim() || each.getAttribute("aria-label") || each.getAttribute("aria-labelledby") || each.labels?.length)).map((each) => each.outerHTML.slice(0, 120)),
      mains: document.querySelectorAll("main").length, headings: document.querySelectorAll("h1").length, lang: document.documentElement.lang,
      canvases_unnamed: [...document.querySelectorAll("canvas")].filter((each) => !each.closest("[role=img][aria-label]")).length,
    }));
    assert.deepEqual(found, { nameless: [], mains: 1, headings: 1, lang: "en", canvases_unnamed: 0 }, address);
    await page.end();
  }
});

test("the theme is there before anything is painted, and stays", async () => {
  for (const [colorScheme, chosen, expected] of [["dark", null, "dark"], ["light", null, "light"], ["light", "dark", "dark"], ["dark", "light", "light"]]) {
    const page = await open("/queries", { colorScheme }, (page) => page.addInitScript((theme) => {
      if (theme) localStorage.setItem("backstream.theme", theme);
      new MutationObserver(() => {
        if (document.body && !window.first_theme) window.first_theme = document.documentElement.dataset.theme ?? "none";
      }).observe(document, { childList: true, subtree: true });
    }, chosen));
    await page.waitForSelector(".queries");
    assert.deepEqual(await page.evaluate(() => [window.first_theme, document.documentElement.dataset.theme]), [expected, expected]);
    await page.end();
  }
});

test("Portuguese, chosen by hand, is kept", async () => {
  const page = await open("/queries");
  await page.click(".menu summary");
  await page.click("text=Português");
  assert.equal(await text(page, "h1"), "Consultas");
  await page.reload();
  await page.waitForSelector("h1");
  assert.equal(await text(page, "h1"), "Consultas");
  assert.equal(await page.evaluate(() => document.documentElement.lang), "pt-BR");
  await page.end();
});

test("the statement is coloured by the editor, without a style that the policy would refuse", async () => {
  const page = await open("/q/demo_pops");
  await page.waitForFunction(() => document.querySelector(".statement-text")?.shadowRoot?.querySelector(".cm-content"));
  const found = await page.evaluate(() => {
    const root = document.querySelector(".statement-text").shadowRoot;
    const word = [...root.querySelectorAll(".cm-line span")].find((each) => each.textContent === "SELECT");
    return { text: root.querySelector(".cm-content").textContent, bold: getComputedStyle(word).fontWeight, sheets: document.querySelectorAll("style").length };
  });
  assert.match(found.text, /^SELECT window_start, site/);
  assert.equal(found.bold, "600");
  assert.equal(found.sheets, 0);
  await page.end();
});

test("copied as SQL, curl and command, and downloaded as CSV and JSONL", async () => {
  const page = await open("/q/demo_pops?v=1&r=5m");
  await page.waitForSelector(".u-over");
  const copied = async (label) => {
    await page.click(".actions .menu summary >> text=Copy");
    await page.click(`.menu-item >> text=${label}`);
    const found = await page.evaluate(() => navigator.clipboard.readText());
    await page.keyboard.press("Escape");
    return found;
  };
  assert.match(await copied("Copy as SQL"), /^SELECT \* FROM demo_pops\nWHERE window_start >= '20/);
  const curl = await copied("Copy as curl");
  const address = /'(http[^']+)'/.exec(curl)[1];
  assert.match((await (await fetch(address)).text()).split(/\r?\n/)[0], /^window_start,site,octets,flows$/);
  assert.match(await copied("Copy as command"), /^backstream sql --server 'http/);
  await page.click(".actions .menu summary >> text=Download");
  const [csv] = await Promise.all([page.waitForEvent("download"), page.click(".menu-item >> text=CSV")]);
  assert.match(await fs.readFile(await csv.path(), "utf8"), /^window_start,site,octets,flows\r\n20.*pop-/);
  const [jsonl] = await Promise.all([page.waitForEvent("download"), page.click(".menu-item >> text=JSONL")]);
  for (const line of (await fs.readFile(await jsonl.path(), "utf8")).trim().split("\n")) assert.ok(JSON.parse(line).site);
  await page.end();
});

test("without a clipboard of its own, as on plain HTTP, a page copies what is selected, and its menu stays", async () => {
  const page = await open("/q/demo_pops?v=1&r=5m", {}, (page) => page.addInitScript(() => Object.defineProperty(Navigator.prototype, "clipboard", { value: undefined })));
  await page.click(".actions .menu summary >> text=Copy");
  await page.focus(`.menu-item:has-text("Copy link")`);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".actions .menu[open] .menu-item:focus >> text=✓ Copied");
  await page.waitForSelector(".value");
  await page.click(".data .value >> nth=0");
  await page.click("[role=menuitem] >> text=Copy the value");
  const value = await text(page, ".data .value >> nth=0");
  await page.goto(`${origin}/queries`);
  await page.focus("input[type=search]");
  await page.keyboard.press("Control+V");
  assert.equal(await page.inputValue("input[type=search]"), value);
  await page.end();
});

const HOSTILE = `<img src=x onerror="window.hurt=1">'"&amp;\u202e{{x}}`;

test("names, comments and values are text, whatever they say", async (t) => {
  const columns = [{ name: "window_start", type: "timestamp with time zone" }, { name: HOSTILE, type: "text", key: true }, { name: "octets", type: "bigint" }];
  const query = {
    name: HOSTILE, version: 1, incarnation: 1, revision: 1, changed_at: "2026-01-31T00:00:00Z", owner: HOSTILE, comment: HOSTILE, state: "failed", reason: HOSTILE,
    plain: false, text: HOSTILE, reads: [], columns, placement: null, ledger: null, collecting_since: null,
  };
  const start = new Date(Date.now() - 20_000).toISOString(), end = new Date(Date.now() - 10_000).toISOString();
  const window = { query: HOSTILE, version: 1, seq: 1, window_start: start, window_end: end, revision: 1, final: true, complete: false, sites_missing: [HOSTILE], part: 0, last: true, rows_total: 1, truncated: false, columns, rows: [[start, HOSTILE, 1e9]] };
  await false_daemon(t, (path) => {
    if (path === "/queries") return { body: { queries: [query] } };
    if (path === "/whoami") return { body: { name: HOSTILE, role: "viewer", row_filter: "", expires_at: null } };
    if (path.endsWith("/results")) return { body: { query: HOSTILE, columns, windows: [window], tier: "raw", next: null, last_seq: 1, kept_since: start, windows_dropped: 0 } };
    if (path.startsWith("/queries/")) return { body: query };
    return undefined;
  });
  for (const address of ["/queries", `/q/${encodeURIComponent(HOSTILE)}`]) {
    const page = await open(address);
    await page.waitForSelector(address === "/queries" ? ".queries tbody tr" : ".u-over");
    assert.equal(await page.evaluate(() => window.hurt), undefined);
    assert.equal(await page.locator("main img").count(), 0);
    assert.ok((await text(page, "main")).includes(HOSTILE));
    page.mistakes = page.mistakes.filter((each) => !each.includes("404"));
    await page.end();
  }
});

test("without a token one is asked for, kept by the tab alone, and sent in a header", async (t) => {
  const seen = [];
  await false_daemon(t, (path, request) => {
    seen.push(request.headers.authorization ?? null);
    if (request.headers.authorization !== "Bearer bst_good") return { status: 401, body: { title: "Unauthorized", status: 401 } };
    if (path === "/whoami") return { body: { name: "ana", role: "viewer", row_filter: "", expires_at: null } };
    if (path === "/queries") return { body: { queries: [] } };
    return undefined;
  });
  const page = await open("/queries");
  await page.fill("#token", "bst_bad");
  await page.click("button[type=submit]");
  await page.waitForSelector("#token-problem:not(:empty)");
  await page.fill("#token", " bst_good ");
  await page.click("button[type=submit]");
  await page.waitForSelector("h1 >> text=Queries");
  assert.deepEqual(await page.evaluate(() => [document.cookie, JSON.stringify(localStorage).includes("bst_"), sessionStorage.length]), ["", false, 1]);
  assert.ok(seen.includes("Bearer bst_bad") && !page.url().includes("bst_"));
  await page.click(".menu summary");
  await page.click("text=Sign out");
  await page.waitForSelector("#token");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  page.mistakes = page.mistakes.filter((each) => !each.includes("401") && !each.includes("404"));
  await page.end();
});

test("a server that is away is told of, asked again, and what was shown stays", async () => {
  const page = await open("/queries");
  await page.waitForSelector(".queries tbody tr");
  await page.route("**/api/**", (route) => route.abort());
  await page.route("**/metrics", (route) => route.abort());
  await page.waitForSelector(".trouble", { timeout: 15_000 });
  assert.ok((await page.locator(".queries tbody tr").count()) > 0);
  await page.unrouteAll();
  await page.waitForSelector(".trouble", { state: "detached", timeout: 15_000 });
  page.mistakes = page.mistakes.filter((each) => !each.includes("ERR_FAILED"));
  await page.end();
});

// Exporters, before a daemon that hears some, and before false ones that hear what is rare.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { false_daemon, open, stand_before } from "./browser_common.mjs";
import { binary, own_daemon, send_flows, signed_in_as } from "./own_daemon.mjs";

const skip = binary === undefined && "BACKSTREAM_BINARY is not set";
const HOSTILE = `"><img src=x onerror=document.title=1>'`;
/** Of the whole file, as a test has it. */
const all = { ends: [], after: (end) => all.ends.unshift(end) };
let as_viewer;

before(async () => {
  if (skip) return;
  const traffic = ["--rate", "60", "--records", "1000000", "--active-timeout", "2s", "--inactive-timeout", "1s"];
  const daemon = await own_daemon(all, ["access.required=true", "watermark.delay=3s"]);
  send_flows(all, daemon, ["--protocol", "v5", "--exporters", "2", ...traffic]);
  send_flows(all, daemon, ["--protocol", "sflow", "--first-exporter", "11", "--sampling-rate", "512", ...traffic]);
  as_viewer = await signed_in_as(daemon, "viewer");
  all.after(await stand_before(daemon.address));
});
after(async () => {
  for (const end of all.ends) await end();
});

const names = (page) => page.locator("table.data tbody th").allTextContents();

test("who sends is there with its rates, without a reload", { skip }, async () => {
  const page = await open("/exporters", {}, as_viewer);
  await page.locator(".exporter-cell", { hasText: "127.0.1.11" }).getByText("ok").waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll(".exporter-cell .number")].every((cell) => /^[1-9]/.test(cell.textContent)));
  const row = page.locator("tr", { hasText: "127.0.1.11" });
  await row.getByText("sFlow").waitFor();
  await row.getByText("1:512").waitFor();
  await page.getByText("This node listens on loopback only").waitFor();
  await page.end();
});

test("searched, sorted and picked by keys; the address says so, back undoes it", { skip }, async () => {
  const page = await open("/exporters", {}, as_viewer);
  await page.locator("tr", { hasText: "127.0.1.11" }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("netflow");
  await page.waitForFunction(() => document.querySelectorAll("table.data tbody tr").length === 2);
  assert.equal(new URL(page.url()).searchParams.get("s"), "netflow");
  const sort = page.getByRole("button", { name: "Exporter", exact: true });
  await sort.focus();
  await page.keyboard.press("Enter");
  assert.deepEqual(await names(page), ["127.0.1.1", "127.0.1.2"]);
  await page.keyboard.press("Enter");
  assert.deepEqual(await names(page), ["127.0.1.2", "127.0.1.1"]);
  assert.equal(await page.locator("th[aria-sort=descending]").textContent(), "Exporter▼");
  await page.locator("table.data").getByRole("link", { name: "127.0.1.2" }).focus();
  await page.keyboard.press("Enter");
  const details = page.locator(".exporter-details");
  await details.getByText("Nothing is to be mended.").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("pick"), "127.0.1.2");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "127.0.1.2", "the focus is on what was picked");
  await details.getByRole("button", { name: "Close" }).focus();
  await page.keyboard.press("Enter");
  await details.waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "127.0.1.2", "and where it was picked, after");
  await page.goBack();
  await details.waitFor();
  const shared = await open(page.url().replace(/^https?:\/\/[^/]+/, ""), {}, as_viewer);
  await shared.locator(".exporter-details").getByText("NetFlow v5").waitFor();
  await shared.end();
  await page.goBack();
  await details.waitFor({ state: "detached" });
  await page.end();
});

test("lines for a router have what was typed, and are copied as they stand", { skip }, async () => {
  const page = await open("/exporters", {}, as_viewer);
  await page.getByRole("combobox", { name: "System" }).selectOption("routeros");
  await page.getByText("COLLECTOR stands for").waitFor();
  await page.getByLabel("Collector's address").fill("192.0.2.10");
  await page.getByLabel("Port", { exact: true }).fill("20x55");
  await page.getByLabel("Interface", { exact: true }).fill("ether1");
  const lines = page.getByRole("region", { name: "Lines for the router" });
  await lines.getByText("dst-address=192.0.2.10 port=2055").waitFor();
  const text = await lines.textContent();
  assert.match(text, /interfaces=ether1 /);
  await page.locator(".snippet", { has: lines }).getByRole("button", { name: "Copy" }).click();
  await page.waitForFunction(async (wanted) => (await navigator.clipboard.readText()) === wanted, text);
  await page.end();
});

const minutes_ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const exporter = (part) => ({
  address: "192.0.2.1", site: "ams", protocols: "IPFIX", state: "active", first_seen: minutes_ago(600), last_seen: minutes_ago(0), datagrams: 1_000, records: 30_000, flows: 30_000, missing: 0,
  rejected: 0, sampling: { min: 1000, max: 1000, unknown: false, unknown_rows: 0 }, clock_offset_seconds: 0, delay_p999_seconds: 2, ...part,
});
const WHO = { name: "ana", role: "viewer", row_filter: "", expires_at: null };
const status = (roles) => ({ node: "n", version: "0.1.0", roles, listeners: [], edges: [], exporters: { known: 0, sending: 0 } });

test("states are words, the worst is first, and doctor says what to mend", async (t) => {
  const exporters = [
    exporter({}), exporter({ address: "192.0.2.2", last_seen: minutes_ago(42) }), exporter({ address: "192.0.2.3", missing: 600 }),
    exporter({ address: "192.0.2.4", sampling: { min: null, max: null, unknown: true, unknown_rows: 7 } }), exporter({ address: "192.0.2.44", site: HOSTILE, protocols: HOSTILE, clock_offset_seconds: -30 }),
  ];
  const checks = [
    { id: "D03", state: "warning", text: "exporters: 5 known, 4 sending; silent: 192.0.2.2 (42 min)", fix: "" },
    { id: "D05", state: "error", text: "sampling is not known of 192.0.2.4", fix: '[exporter."192.0.2.4"]\nsampling_rate = 1000' },
  ];
  await false_daemon(t, (path) => {
    if (path === "/whoami") return { body: WHO };
    if (path === "/status") return { body: status(["edge"]) };
    if (path === "/exporters") return { body: { exporters } };
    if (path === "/doctor") return { body: { checks, warnings: 1, errors: 1 } };
    if (path === "/exporters/snippets") return { body: { snippets: [] } };
    if (path === "/alerts") return { body: { alerts: [] } };
    return null;
  });
  const page = await open("/exporters");
  await page.locator("table.data tbody tr").first().waitFor();
  assert.deepEqual(await page.locator(".exporter-cell .badge").allTextContents(), ["silent for 42 min", "loss 2%", "sampling unknown", "clock is off", "ok"]);
  assert.equal(await page.locator("main img").count(), 0);
  await page.locator("tr", { hasText: "192.0.2.44" }).getByText("30 s ahead").waitFor();
  await page.getByRole("button", { name: "sampling unknown 1" }).click();
  assert.equal(new URL(page.url()).searchParams.get("tab"), "unscaled");
  assert.deepEqual(await names(page), ["192.0.2.4"]);
  await page.locator("table.data").getByRole("link", { name: "192.0.2.4" }).click();
  await page.locator(".exporter-checks").getByText("sampling_rate = 1000").waitFor();
  assert.equal(await page.locator(".exporter-checks li").count(), 1, "what is about others is not said of it");
  await page.end();
});

test("a node that hears nothing itself says so, and shows what the edges' query tells", async (t) => {
  const columns = ["window_start", "exporter", "protocols", "datagrams", "flows", "missing", "unreadable", "sampling_unknown_rows", "sampling_rate_min", "sampling_rate_max"].map((name) => ({ name, type: /window/.test(name) ? "timestamp with time zone" : /exporter|protocols/.test(name) ? "text" : "bigint" }));
  const [start, end] = [minutes_ago(1), minutes_ago(0)];
  let registered = false;
  const query = { name: "exporter_health", version: 1, incarnation: 1, state: "running", temporary: false, plain: false, text: "", columns, ledger: null };
  await false_daemon(t, (path) => {
    if (path === "/whoami") return { body: WHO };
    if (path === "/status") return { body: status(["merge", "receiver"]) };
    if (path === "/queries") return { body: { queries: registered ? [query] : [] } };
    if (path === "/events") return { body: {} }; // A stream that ends: it is opened anew.
    if (path === "/queries/exporter_health/results") {
      const window = { query: "exporter_health", version: 1, seq: 1, window_start: start, window_end: end, revision: 0, final: true, complete: true, part: 0, last: true, rows_total: 1, truncated: false, columns, rows: [["", "192.0.2.9", "IPFIX", 10, 1_200, 0, 0, 0, 100, 100]] };
      return { body: { query: "exporter_health", columns, windows: [window], tier: "raw", next: null, last_seq: 1, kept_since: null, windows_dropped: 0 } };
    }
    if (path === "/exporters/snippets") return { body: { snippets: [] } };
    if (path === "/alerts") return { body: { alerts: [] } };
    return null;
  });
  const without = await open("/exporters");
  await without.getByText("register the ready query exporter_health").waitFor();
  await without.end();
  registered = true;
  const page = await open("/exporters");
  await page.getByText("This node receives nothing itself; exporters are told by the edges").waitFor();
  await page.locator("tr", { hasText: "192.0.2.9" }).getByText("20", { exact: true }).waitFor();
  assert.equal(await page.getByRole("columnheader", { name: "Clock" }).count(), 0, "what nobody tells is no column");
  await page.end();
});

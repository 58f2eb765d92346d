// Every page by axe-core (WCAG 2.2 A and AA, and what it calls best practice): nothing serious, nothing critical. In both
// themes, both languages, wide and narrow, and what is behind menus and questions.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { false_daemon, open } from "./browser_common.mjs";
import { HOSTILE, hostile_answers } from "./hostile.mjs";

const AXE = await fs.readFile(path.join(path.dirname(fileURLToPath(import.meta.url)), "../node_modules/axe-core/axe.min.js"), "utf8");

// `ready`: what is there when the page is; `then`: what the reader does before it is looked at.
const PAGES = [
  { name: "live", path: "/", ready: ".time-chart canvas" },
  { name: "explore", path: "/explore", ready: "h1" },
  { name: "explore-query", path: "/explore?v=1&q=demo_pops", ready: ".time-chart canvas" },
  { name: "queries", path: "/queries", ready: ".queries tbody tr" },
  { name: "query", path: "/q/demo_pops?v=1&r=15m", ready: ".time-chart canvas" },
  { name: "query-matrix", path: "/q/demo_matrix", ready: ".heatmap rect" },
  { name: "query-table", path: "/q/top_talkers?v=1&chart=table", ready: ".table-scroll tbody tr" },
  { name: "query-versions", path: "/q/demo_pops?v=1&tab=versions", ready: "h1" },
  { name: "query-statement", path: "/q/demo_pops?v=1&tab=statement", ready: ".editor-host:not([hidden])" },
  { name: "query-plan", path: "/q/demo_pops?v=1&tab=plan", ready: ".plan svg" },
  { name: "new", path: "/new", ready: ".editor-host:not([hidden])" },
  { name: "query-menu", path: "/queries", ready: ".query-menu", then: (page) => page.click("tr:has-text('demo_pops') summary") },
  { name: "matrix", path: "/matrix", ready: "h1" },
  { name: "exporters", path: "/exporters", ready: "h1" },
  { name: "alerts", path: "/alerts", ready: "h1" },
  { name: "system", path: "/system", ready: ".node-graph svg" },
  { name: "system-sinks", path: "/system?v=1&tab=sinks", ready: ".empty, .sinks" },
  { name: "system-doctor", path: "/system?v=1&tab=doctor", ready: ".checks" },
  { name: "system-audit", path: "/system?v=1&tab=audit", ready: ".audit" },
  { name: "system-tokens", path: "/system?v=1&tab=tokens", ready: ".token-form" },
  { name: "system-program", path: "/system?v=1&tab=program", ready: ".program" },
  { name: "menu", path: "/queries", ready: ".queries", then: (page) => page.click(".controls .menu summary") },
  { name: "keys", path: "/queries", ready: ".queries", then: (page) => page.keyboard.press("?") },
  { name: "drain", path: "/system", ready: ".node-graph svg", then: (page) => page.click("tr:has-text('pop-rio') button") },
  { name: "history", path: "/q/demo_pops?v=1&from=2026-01-01T00:00:00.000Z&until=2026-01-01T00:10:00.000Z", ready: ".history-range" },
  { name: "unknown link", path: "/queries?v=99&what=1", ready: ".note-bar" },
  { name: "not found", path: "/nothing", ready: "h1" },
];
// Where everything is wrong: states that a demo that is well does not show.
const ILL = [
  { name: "live", path: "/", ready: ".alert" },
  { name: "queries", path: "/queries", ready: ".queries tbody tr" },
  { name: "query", path: `/q/${encodeURIComponent(HOSTILE)}`, ready: ".time-chart canvas" },
  { name: "exporters", path: "/exporters", ready: "h1" },
  { name: "alerts", path: "/alerts", ready: "h1" },
  { name: "alert", path: "/alerts/a1", ready: "h1" },
  { name: "system", path: "/system", ready: ".node-graph svg" },
  { name: "system-sinks", path: "/system?v=1&tab=sinks", ready: ".sinks" },
  { name: "system-doctor", path: "/system?v=1&tab=doctor", ready: ".checks" },
];
// Each theme, width and language once for each list: colours are the same at every width, and elements in every language.
const LOOKS = [
  { theme: "dark", width: 1440, language: "en-GB" },
  { theme: "light", width: 390, language: "pt-BR" },
];
const LOOKS_ILL = [
  { theme: "light", width: 1440, language: "pt-BR" },
  { theme: "dark", width: 390, language: "en-GB" },
];

/** What is serious, a line each. */
async function violations(page) {
  // The policy allows no script of another place; what a test evaluates is not the page's.
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return found.violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.html.slice(0, 160)} (${(node.any[0] ?? node.all[0] ?? node.none[0])?.message})`).join("\n    ")}`);
}

async function look(pages, { theme, width, language }) {
  const found = [];
  for (const { name, path: address, ready, then } of pages) {
    const page = await open(address, { viewport: { width, height: 900 }, colorScheme: theme, locale: language });
    await page.waitForSelector(ready).catch(() => found.push(`${name}: no ${ready}`));
    await page.waitForFunction(() => document.querySelector(".loading") === null).catch(() => found.push(`${name}: is still loading`));
    await then?.(page);
    for (const each of await violations(page)) found.push(`${name}: ${each}`);
    await page.context().close();
  }
  assert.equal(found.join("\n"), "");
}

for (const each of LOOKS) test(`pages of a demo, ${each.theme}, ${each.width} wide, ${each.language}`, () => look(PAGES, each));
for (const each of LOOKS_ILL) {
  test(`pages that tell of trouble, ${each.theme}, ${each.width} wide, ${each.language}`, async (t) => {
    await false_daemon(t, hostile_answers());
    await look(ILL, each);
  });
}

test("the page to sign in", async (t) => {
  await false_daemon(t, () => ({ status: 401, body: { title: "Unauthorized", status: 401 } }));
  for (const each of LOOKS) await look([{ name: "sign in", path: "/", ready: "#token" }], each);
});

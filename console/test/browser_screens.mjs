// Pictures of every page, to be looked at: themes, widths and languages. They fail where a page says anything on its
// browser's console, asks another host, or is wider than the window.
//   BACKSTREAM_SCREENS=FOLDER   where they go (default: screens/)
//   BACKSTREAM_IMAGES=FOLDER    and where those of docs/ go, when they are to be made anew
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { open } from "./browser_common.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const screens = path.resolve(process.env.BACKSTREAM_SCREENS ?? path.join(here, "../screens"));
const images = process.env.BACKSTREAM_IMAGES ? path.resolve(process.env.BACKSTREAM_IMAGES) : null;

/** A statement with a mistake, and what the server says of it. */
async function write_mistake(page) {
  await page.locator(".editor-host .cm-content").focus();
  await page.keyboard.insertText("SELECT window_start, scr_as, sum(octets) AS octets\nFROM tumble(flows, time, interval '60 s')\nGROUP BY window_start, scr_as");
  await page.waitForFunction(() => document.querySelector(".editor-host").shadowRoot.querySelector(".cm-mistake") !== null);
}

// `ready`: what is there when the page is; `then`: what the reader does before it is taken;
// `refused`: a status that the server rightly gives, which Chromium tells on its console.
const PAGES = [
  { name: "live", path: "/", ready: ".time-chart canvas" },
  { name: "queries", path: "/queries", ready: ".queries tbody tr" },
  { name: "query", path: "/q/demo_pops?v=1&r=15m", ready: ".time-chart canvas" },
  { name: "query-matrix", path: "/q/demo_matrix", ready: ".heatmap rect" },
  { name: "query-largest", path: "/q/top_talkers?v=1&r=1h", ready: ".time-chart canvas" },
  { name: "query-statement", path: "/q/top_talkers?v=1&tab=statement", ready: ".verdict .badge-good" },
  { name: "query-versions", path: "/q/top_talkers?v=1&tab=versions", ready: ".versions" },
  { name: "query-plan", path: "/q/top_talkers?v=1&tab=plan", ready: ".plan-rate" },
  { name: "new", path: "/new", ready: ".editor-host:not([hidden])", then: write_mistake, refused: 422 },
  { name: "system", path: "/system", ready: ".node-graph svg" },
  { name: "system-doctor", path: "/system?v=1&tab=doctor", ready: ".checks" },
  { name: "system-audit", path: "/system?v=1&tab=audit", ready: ".audit" },
  { name: "system-tokens", path: "/system?v=1&tab=tokens", ready: ".token-form" },
  { name: "system-program", path: "/system?v=1&tab=program", ready: ".program" },
  { name: "explore", path: "/explore?v=1&q=demo_matrix", ready: ".ranking tbody tr" },
  { name: "explore-flows", path: "/explore?v=1&q=flows&by=src_port", ready: ".keep button" },
  { name: "matrix", path: "/matrix?v=1&q=demo_matrix", ready: ".heatmap rect" },
  { name: "matrix-similar", path: "/matrix?v=1&q=demo_matrix&n=32&o=similar", ready: ".heatmap rect" },
  { name: "matrix-chord", path: "/matrix?v=1&q=demo_matrix&chart=flow", ready: ".flow-band" },
  { name: "matrix-flow", path: "/matrix?v=1&q=protocol_mix&chart=flow", ready: ".flow-band" },
  { name: "alerts", path: "/alerts?v=1&r=6h", ready: ".panel-table" },
  { name: "exporters", path: "/exporters", ready: ".snippet" },
  { name: "not-found", path: "/nothing", ready: "h1", refused: 404 },
];
/** Of docs/console.md. */
const IMAGES = ["live", "explore", "new", "matrix", "alerts"];
const LOOKS = [
  { theme: "dark", width: 1440, height: 900, language: "en-GB" },
  { theme: "light", width: 1440, height: 900, language: "pt-BR" },
  { theme: "dark", width: 390, height: 844, language: "pt-BR" },
  { theme: "light", width: 390, height: 844, language: "en-GB" },
];

for (const { theme, width, height, language } of LOOKS) {
  for (const { name, path: address, ready, then, refused } of PAGES) {
    test(`${name}, ${theme}, ${width} wide, ${language}`, async () => {
      const page = await open(address, { viewport: { width, height }, colorScheme: theme, locale: language });
      await page.waitForSelector(ready);
      await page.waitForFunction(() => document.querySelector(".loading") === null);
      await then?.(page);
      await page.waitForTimeout(600); // Two pictures of a chart: the first has its axes, the second its numbers' widths.
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, "wider than the window");
      await fs.mkdir(screens, { recursive: true });
      await page.screenshot({ path: path.join(screens, `${name}-${theme}-${width}.png`), fullPage: true });
      if (images !== null && IMAGES.includes(name) && theme === "dark" && width === 1440) {
        await fs.mkdir(images, { recursive: true });
        await page.screenshot({ path: path.join(images, `console-${name}.png`) });
      }
      page.mistakes = page.mistakes.filter((each) => !each.includes(`a status of ${refused} `));
      await page.end();
    });
  }
}

// Pictures of the console before a daemon that runs: themes, widths and languages, to be looked at.
//   node test/screens.mjs [--daemon http://127.0.0.1:8844] [--out screens] [--only live]
// Fails when a page says anything on its console, asks another host, or is wider than the window.
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build } from "../build.mjs";
import { serve } from "../serve.mjs";
import { CHROMIUM } from "./chromium.mjs";

const flag = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at > 0 ? process.argv[at + 1] : otherwise;
};
const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(flag("--out", path.join(here, "../screens")));
const only = flag("--only", "");
await fs.mkdir(out, { recursive: true });
const folder = await fs.mkdtemp(path.join(os.tmpdir(), "console-"));
await build(folder);
const server = await serve({ folder, daemon: flag("--daemon", "http://127.0.0.1:8844") });
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch(CHROMIUM);

const PAGES = [
  { name: "live", path: "/", ready: ".time-chart canvas", wait: 4000 },
  { name: "queries", path: "/queries", ready: ".queries tbody tr", wait: 6500 },
  { name: "query-area", path: "/q/demo_pops?v=1&r=15m", ready: ".time-chart canvas" },
  { name: "query-matrix", path: "/q/demo_matrix", ready: ".heatmap rect", wait: 2500 },
  { name: "query-top", path: "/q/top_talkers?v=1&r=1h", ready: ".time-chart canvas" },
];
const LOOKS = [
  { theme: "dark", width: 1440, height: 900, language: "en" },
  { theme: "light", width: 1440, height: 900, language: "en" },
  { theme: "dark", width: 390, height: 844, language: "en" },
  { theme: "light", width: 390, height: 844, language: "pt-BR" },
];
const mistakes = [];
for (const look of LOOKS) {
  const context = await browser.newContext({ viewport: { width: look.width, height: look.height }, colorScheme: look.theme, locale: look.language });
  for (const each of PAGES.filter(({ name }) => name.includes(only))) {
    const page = await context.newPage();
    const name = `${each.name}-${look.theme}-${look.width}`;
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && mistakes.push(`${name}: ${message.text()}`));
    page.on("pageerror", (error) => mistakes.push(`${name}: ${error.stack}`));
    page.on("request", (request) => !request.url().startsWith(origin) && !request.url().startsWith("data:") && mistakes.push(`${name}: asks ${request.url()}`));
    await page.goto(origin + each.path);
    await page.waitForSelector(each.ready, { timeout: 15_000 }).catch((error) => mistakes.push(`${name}: ${error.message}`));
    await page.waitForTimeout(each.wait ?? 1200);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) mistakes.push(`${name}: ${wide} px wider than the window`);
    await page.screenshot({ path: path.join(out, `${name}.png`), fullPage: true });
    await page.close();
  }
  await context.close();
}
await browser.close();
server.close();
server.closeAllConnections();
await fs.rm(folder, { recursive: true });
for (const mistake of mistakes) console.error(mistake);
process.exit(mistakes.length > 0 ? 1 : 0);

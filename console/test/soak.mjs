// Leaves Live open before a daemon and sees whether the tab grows or draws more than anybody can look at.
//   node test/soak.mjs [--minutes 30] [--warm-up 16] [--page /]
//   BACKSTREAM_SERVER, BACKSTREAM_CONSOLE   as of browser_common.mjs
// Fails when the median heap of the last third is more than a fifth over that of the first, or when messages of the
// server or redraws are more than 4/s.
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";
import { build } from "../build.mjs";
import { serve } from "../serve.mjs";
import { CHROMIUM } from "./chromium.mjs";

const HEAP_GROWTH_MAX = 1.2;
/** A second, of the server's messages and of redraws. */
const FRAMES_MAX = 4;
const SAMPLES = 60;

const flag = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at > 0 ? process.argv[at + 1] : otherwise;
};
const minutes = Number(flag("--minutes", "30"));
// Live shows 15 minutes: before a daemon that has just begun they fill, and that is no growth.
const warm_up = Number(flag("--warm-up", "16"));
const daemon = process.env.BACKSTREAM_SERVER ?? "http://127.0.0.1:8844";
const folder = await fs.mkdtemp(path.join(os.tmpdir(), "console-"));
await build(folder);
const server = await serve({ folder, daemon });
const origin = process.env.BACKSTREAM_CONSOLE === "embedded" ? daemon : `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch(CHROMIUM);
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
const mistakes = [];
page.on("console", (message) => message.type() === "error" && mistakes.push(message.text()));
page.on("pageerror", (error) => mistakes.push(error.stack));
// Before the page's own code: what it reads of streams, and in how many frames it changes anything.
await page.addInitScript(() => {
  const counts = (window.soak = { messages: 0, redraws: 0 });
  let due = false;
  const drawn = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      ++counts.redraws;
    });
  };
  new MutationObserver(drawn).observe(document, { childList: true, attributes: true, characterData: true, subtree: true });
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...where) {
    drawn();
    return clear.apply(this, where);
  };
  const read = ReadableStreamDefaultReader.prototype.read;
  ReadableStreamDefaultReader.prototype.read = async function () {
    const answer = await read.call(this);
    if (typeof answer.value === "string") counts.messages += answer.value.split("\ndata: ").length - 1;
    return answer;
  };
});
const cdp = await page.context().newCDPSession(page);
await cdp.send("Performance.enable");
await page.goto(origin + flag("--page", "/"));
await page.waitForTimeout(warm_up * 60_000);

const every_ms = (minutes * 60_000) / SAMPLES;
const samples = [];
let before = await page.evaluate(() => ({ ...window.soak, at: performance.now() }));
console.log("minute  heap MB  nodes  listeners  messages/s  redraws/s");
while (samples.length < SAMPLES) {
  await page.waitForTimeout(every_ms);
  // Before the sample is taken: collecting is no redraw, but what is not collected would be growth.
  await cdp.send("HeapProfiler.collectGarbage");
  const { metrics } = await cdp.send("Performance.getMetrics");
  const metric = (name) => metrics.find((each) => each.name === name).value;
  const now = await page.evaluate(() => ({ ...window.soak, at: performance.now() }));
  const seconds = (now.at - before.at) / 1000;
  const sample = {
    heap: metric("JSHeapUsedSize") / 1e6, nodes: metric("Nodes"), listeners: metric("JSEventListeners"),
    messages: (now.messages - before.messages) / seconds, redraws: (now.redraws - before.redraws) / seconds,
  };
  before = now;
  samples.push(sample);
  const cell = (value, width, digits = 0) => value.toFixed(digits).padStart(width);
  console.log(cell((samples.length * every_ms) / 60_000, 6, 1) + cell(sample.heap, 9, 2) + cell(sample.nodes, 7) + cell(sample.listeners, 11) + cell(sample.messages, 12, 2) + cell(sample.redraws, 11, 2));
}
await browser.close();
server.closeAllConnections();
server.close();
await fs.rm(folder, { recursive: true });

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const third = SAMPLES / 3;
const first = median(samples.slice(0, third).map(({ heap }) => heap)), last = median(samples.slice(-third).map(({ heap }) => heap));
const redraws = samples.reduce((sum, each) => sum + each.redraws, 0) / SAMPLES;
const messages = samples.reduce((sum, each) => sum + each.messages, 0) / SAMPLES;
console.log(`heap ${first.toFixed(2)} MB, then ${last.toFixed(2)} MB (${((last / first - 1) * 100).toFixed(1)} %); ${messages.toFixed(2)} messages/s, ${redraws.toFixed(2)} redraws/s`);
if (last > first * HEAP_GROWTH_MAX) mistakes.push(`the heap grew by more than ${Math.round((HEAP_GROWTH_MAX - 1) * 100)} %`);
if (redraws > FRAMES_MAX || messages > FRAMES_MAX) mistakes.push(`more than ${FRAMES_MAX} a second`);
if (messages === 0) mistakes.push("no message came: nothing was measured");
for (const mistake of mistakes) console.error(mistake);
process.exit(mistakes.length > 0 ? 1 : 0);

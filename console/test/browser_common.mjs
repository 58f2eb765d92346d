// What tests in Debian's Chromium share: pages before a daemon that runs.
//   BACKSTREAM_SERVER=http://127.0.0.1:8844     the daemon (`backstream demo` will do)
//   BACKSTREAM_CONSOLE=embedded                 the pages are those that the daemon carries, else those of src/
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { build } from "../build.mjs";
import { serve } from "../serve.mjs";
import { CHROMIUM } from "./chromium.mjs";

export const daemon = process.env.BACKSTREAM_SERVER ?? "http://127.0.0.1:8844";
const embedded = process.env.BACKSTREAM_CONSOLE === "embedded";
/** Where the console is; folder: what was built of src/. Both are there once a test runs. */
export let origin, folder, browser;
let server, is_ready;
/** Hooks of several files may run at the same time: what builds on the one here waits for it. */
const ready = new Promise((resolve) => (is_ready = resolve));

before(async () => {
  try {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), "console-"));
    await build(folder);
    server = await serve({ folder, daemon });
    origin = embedded ? daemon : `http://127.0.0.1:${server.address().port}`;
    browser = await chromium.launch(CHROMIUM);
  } finally {
    is_ready(); // Who waits is not to wait for ever where this fails.
  }
});
after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
  await fs.rm(folder, { recursive: true, force: true });
});

/** A page that fails the test when anything goes to its console or to another host. */
export async function open(address, options = {}, prepare = async () => {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.mistakes = [];
  page.on("console", (message) => message.type() === "error" && page.mistakes.push(message.text()));
  page.on("pageerror", (error) => page.mistakes.push(error.stack));
  page.on("request", (request) => /^(http|ws)/.test(request.url()) && !request.url().startsWith(origin) && page.mistakes.push(`asks ${request.url()}`));
  await prepare(page);
  await page.goto(address.startsWith("http") ? address : origin + address);
  page.end = async () => {
    await context.close();
    assert.deepEqual(page.mistakes, []);
  };
  return page;
}
export const text = (page, selector) => page.textContent(selector);

/** Pages are before another daemon from now on, until what this gives is called. */
export async function stand_before(address) {
  await ready;
  const was = origin;
  const front = embedded ? null : await serve({ folder, daemon: address });
  origin = front === null ? address : `http://127.0.0.1:${front.address().port}`;
  return () => {
    origin = was;
    front?.closeAllConnections();
    front?.close();
  };
}

/** For the rest of the test `t`, pages are before a daemon that says what the test wants: a body, a status, or 404. */
export async function false_daemon(t, answers) {
  const false_one = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://x");
    const answer = answers(pathname.replace("/api/v1", ""), request);
    response.writeHead(answer?.status ?? (answer ? 200 : 404), { "content-type": "application/json" }).end(JSON.stringify(answer?.body ?? { title: "Not Found", status: 404 }));
  });
  await new Promise((resolve) => false_one.listen(0, "127.0.0.1", resolve));
  t.after(() => end(false_one));
  await before_daemon(t, `http://127.0.0.1:${false_one.address().port}`);
}

/** For the rest of the test `t`, pages are before another daemon, or those of another folder. */
export async function before_daemon(t, address, pages = folder) {
  const front = await serve({ folder: pages, daemon: address });
  const was = origin;
  origin = `http://127.0.0.1:${front.address().port}`;
  t.after(() => {
    origin = was;
    end(front);
  });
}

function end(http_server) {
  http_server.closeAllConnections();
  http_server.close();
}

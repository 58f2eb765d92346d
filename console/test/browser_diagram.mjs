// A diagram in Borealis XML in Debian's Chromium: written with a mistake, mended, completed, tried, kept, and read as SQL.
//   BACKSTREAM_SERVER=http://127.0.0.1:8844 node --test test/browser_diagram.mjs
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { daemon, open } from "./browser_common.mjs";

const API = `${daemon}/api/v1`;
const NAME = `console_diagram_${process.pid}`;
const RIGHT = `<borealis>
  <schema name="packet">
    <field name="received_at" type="timestamp"/>
    <field name="octets" type="long"/>
  </schema>
  <input stream="flows" schema="packet"/>
  <output stream="traffic"/>
  <box name="per_second" type="aggregate">
    <in stream="flows"/>
    <out stream="traffic"/>
    <parameter name="aggregate-function.0" value="sum(octets)"/>
    <parameter name="aggregate-function-output-name.0" value="total"/>
    <parameter name="window-size-by" value="VALUES"/>
    <parameter name="window-size" value="1"/>
    <parameter name="advance" value="1"/>
    <parameter name="order-by" value="FIELD"/>
    <parameter name="order-on-field" value="received_at"/>
    <parameter name="independent-window-alignment" value="1"/>
    <parameter name="drop-empty-outputs" value="1"/>
  </box>
</borealis>`;

async function ask(method, path, body) {
  const response = await fetch(API + path, { method, ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}) });
  return { status: response.status, body: await response.json().catch(() => null) };
}
after(() => ask("DELETE", `/queries/${NAME}`));

const in_editor = (page, read) => page.evaluate(`(${read})(document.querySelector(".editor-host").shadowRoot)`);
const written = (page) => in_editor(page, (root) => [...root.querySelectorAll(".cm-line")].map((line) => line.textContent).join("\n"));
async function write(page, text) {
  await page.waitForFunction(() => document.querySelector(".editor-host:not([hidden])")?.shadowRoot?.querySelector(".cm-content"));
  await page.locator(".editor-host .cm-content").focus();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(text);
}

test("a diagram is written, mended, tried and kept, and has its SQL beside it", async () => {
  const page = await open("/new");
  const wrong = RIGHT.replace("sum(octets)", "sum(octet)");
  await write(page, wrong);
  await page.waitForFunction(() => document.querySelector(".editor-host").shadowRoot.querySelector(".cm-mistake"));
  const { status, body } = await ask("POST", "/validate", { text: wrong });
  assert.equal(status, 422);
  assert.equal(await in_editor(page, (root) => [...root.querySelectorAll(".cm-mistake")].map((part) => part.textContent).join("")), "octet");
  const told = await page.textContent(".verdict[role=status]");
  assert.ok(told.includes(body.detail) && told.includes(`line ${body.line}, column ${body.column}`), told);
  // Coloured as XML: names of elements and of attributes, and values, differ.
  const colours = await in_editor(page, (root) => {
    const line = [...root.querySelectorAll(".cm-line")].find((each) => each.textContent.includes("<input"));
    return [...line.querySelectorAll("span")].map((part) => [part.textContent, getComputedStyle(part).color]);
  });
  const colour = (text) => colours.find(([part]) => part.includes(text))?.[1];
  assert.ok(colour("input") && colour("stream") && colour("flows"), JSON.stringify(colours));
  assert.equal(new Set([colour("input"), colour("stream"), colour("flows")]).size, 3, JSON.stringify(colours));
  await write(page, RIGHT);
  await page.waitForSelector(".verdict .badge-good");
  assert.match(await page.textContent("#new-name-hint"), /traffic/);
  // What is tried is the SELECT that the diagram means.
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector("text=Newest window");
  await page.getByLabel("Name", { exact: true }).fill(NAME);
  await page.getByRole("button", { name: "Keep", exact: true }).click();
  await page.waitForURL(`**/q/${NAME}**`);
  assert.equal((await ask("GET", `/queries/${NAME}`)).body.text, RIGHT);
  await page.goto(page.url().replace(/\?.*$/, "") + "?tab=plan");
  await page.waitForSelector("text=The same in SQL");
  await page.waitForFunction(() => document.querySelector(".plan .statement-text")?.shadowRoot?.textContent.includes("FROM tumble(flows, received_at, interval '1 s')"));
  page.mistakes = page.mistakes.filter((each) => !/status of 422/.test(each));
  await page.end();
});

test("boxes and their parameters are completed by keys", async () => {
  const page = await open("/new");
  await write(page, "");
  // Brackets and tags close themselves, so it is not all typed.
  await page.keyboard.insertText('<borealis>\n  <box name="b" type="');
  await page.keyboard.type("aggr");
  const chosen = () => page.waitForFunction(() => document.querySelector(".editor-host").shadowRoot.querySelector(".cm-tooltip-autocomplete li[aria-selected]"));
  const take = async () => {
    await chosen();
    await page.waitForFunction(() => new Promise((done) => setTimeout(() => done(true), 120)));
    await page.keyboard.press("Enter");
  };
  await page.keyboard.press("Control+ ");
  await take();
  assert.match(await written(page), /<box name="b" type="aggregate/);
  await page.keyboard.insertText('">\n    <parameter name="');
  await page.keyboard.type("window-size-");
  await page.keyboard.press("Control+ ");
  await take();
  assert.match(await written(page), /<parameter name="window-size-by/);
  await page.keyboard.insertText('" value="');
  await page.keyboard.press("Control+ ");
  await chosen();
  assert.deepEqual(await in_editor(page, (root) => [...root.querySelectorAll(".cm-tooltip-autocomplete li .cm-completionLabel")].map((each) => each.textContent)), ["VALUES", "TUPLES"]);
  page.mistakes = page.mistakes.filter((each) => !/status of 422/.test(each));
  await page.end();
});

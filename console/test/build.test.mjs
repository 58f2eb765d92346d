// What the browser is sent: how much, and that strict CSP has nothing to refuse.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { build } from "../build.mjs";
import { CONTENT_SECURITY_POLICY } from "../serve.mjs";
import { console_folder } from "./load.mjs";

const folder = await fs.mkdtemp(path.join(os.tmpdir(), "console-build-"));
after(() => fs.rm(folder, { recursive: true }));
const sizes = await build(folder);
const page = await fs.readFile(path.join(folder, "index.html"), "utf8");
const assets = await fs.readdir(path.join(folder, "assets"));

test("first load is within the budget", () => {
  const total = sizes.filter(({ first }) => first).reduce((sum, { gzipped }) => sum + gzipped, 0);
  assert.ok(total > 20_000 && total <= 80_000, `${total} octets`);
});

test("every asset has its hash in its name, and the page names them", () => {
  for (const name of assets) assert.match(name, /^[a-z_]+-[A-Z0-9]{8}\.(js|css|txt)$/);
  const named = [...page.matchAll(/"\/assets\/([^"]+)"/g)].map(([, name]) => name);
  assert.ok(named.length >= 3);
  for (const name of named) assert.ok(assets.includes(name), name);
  assert.doesNotMatch(page, /\{\{/);
});

test("nothing inline, nothing from elsewhere", () => {
  assert.doesNotMatch(page, /<script(?![^>]*\ssrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=/);
  assert.doesNotMatch(page, /(src|href)="(?!\/assets\/|data:image\/svg)/);
  assert.doesNotMatch(CONTENT_SECURITY_POLICY, /unsafe|\*|http:|https:/);
});

test("no code from text, no address of another host", async () => {
  for (const name of assets.filter((each) => !each.endsWith(".txt"))) {
    const text = await fs.readFile(path.join(folder, "assets", name), "utf8");
    assert.doesNotMatch(text, /\beval\(|new Function\(|\.innerHTML\s*=(?!=)\s*[^"]*fetch/, name);
    const hosts = [...text.matchAll(/https?:\/\/[\w.-]+/g)].map(([address]) => address).filter((address) => address !== "http://www.w3.org");
    assert.deepEqual(hosts, [], name);
  }
});

test("the licences of all that is shipped go along", async () => {
  const text = await fs.readFile(path.join(folder, /"(\/assets\/licences-[^"]+)"/.exec(page)[1]), "utf8");
  for (const name of ["preact", "@preact/signals-core", "uplot", "@codemirror/view", "style-mod"]) assert.match(text, new RegExp(`==== ${name} \\d`), name);
  assert.ok(text.split(/permission is hereby granted/i).length >= 14);
});

test("the lock names no registry, and each package that is shipped stands in README with its licence", async () => {
  const text = await fs.readFile(path.join(console_folder, "package-lock.json"), "utf8");
  assert.doesNotMatch(text, /"resolved"|https?:\/\/registry|\.tgz/);
  const readme = await fs.readFile(path.join(console_folder, "README.md"), "utf8");
  for (const [place, { version, dev, license }] of Object.entries(JSON.parse(text).packages)) {
    if (place === "" || dev) continue;
    const name = place.replace(/^.*node_modules\//, "");
    assert.ok(readme.includes(`| ${name} | ${version} | ${license} |`), `${name} ${version} ${license}`);
    assert.match(license, /^(MIT|ISC|BSD-3-Clause|Apache-2\.0)$/, name);
  }
});

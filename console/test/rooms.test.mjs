// Which room may import from which: the table of README.md.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { console_folder } from "./load.mjs";

const readme = await fs.readFile(path.join(console_folder, "README.md"), "utf8");
/** By room; "all above" is of the table's order. */
const allowed = new Map();
for (const [, room, what] of readme.matchAll(/^\| `src\/(\w+)\/` \|[^|]*\|([^|]*)\|$/gm)) {
  allowed.set(room, what.trim() === "all above" ? [...allowed.keys()] : [...what.matchAll(/`(\w+)`/g)].map(([, name]) => name));
}

test("README.md has every room", async () => {
  const entries = await fs.readdir(path.join(console_folder, "src"), { withFileTypes: true });
  assert.deepEqual([...allowed.keys()].sort(), entries.filter((entry) => entry.isDirectory()).map(({ name }) => name).sort());
});

test("no room imports from one that it may not", async () => {
  const wrong = [];
  let seen = 0;
  for (const [room, others] of allowed) {
    for (const file of await fs.readdir(path.join(console_folder, "src", room))) {
      if (!/\.tsx?$/.test(file)) continue;
      const text = await fs.readFile(path.join(console_folder, "src", room, file), "utf8");
      for (const [, from] of text.matchAll(/(?:\bfrom|\bimport\(|^import)\s*"(\.[^"]*)"/gm)) {
        const target = path.posix.join(room, from).split("/")[0];
        ++seen;
        if (target !== room && !others.includes(target)) wrong.push(`${room}/${file}: ${from}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 300, `${seen} imports`);
});

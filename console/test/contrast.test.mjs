// WCAG 2.2 AA, 1.4.3 and 1.4.11: of the colours in styles/tokens.css, in both themes.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { console_folder, load } from "./load.mjs";

const text = fs.readFileSync(path.join(console_folder, "src/styles/tokens.css"), "utf8");
const { series_colour, other_colour } = await load("charts/colours");

function tokens(theme) {
  const block = text.slice(text.indexOf(`data-theme="${theme}"`)).split("}")[0];
  return Object.fromEntries([...block.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]));
}

function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

for (const theme of ["dark", "light"]) {
  const t = tokens(theme);
  test(`${theme}: text`, () => {
    for (const [front, back] of [
      ...["text", "muted", "accent", "good", "warning", "bad"].flatMap((name) => ["back", "panel"].map((ground) => [name, ground])),
      ["text", "raised"], ["muted", "raised"], ["on-accent", "accent"], ["text", "warning-back"], ["text", "bad-back"], ["warning", "warning-back"], ["bad", "bad-back"], ["accent", "accent-back"],
    ]) assert.ok(contrast(t[front], t[back]) >= 4.5, `${front} on ${back}: ${contrast(t[front], t[back]).toFixed(2)}`);
  });
  test(`${theme}: lines of charts`, () => {
    for (const colour of [...Array.from({ length: 7 }, (_, i) => series_colour(i, theme === "dark")), other_colour(theme === "dark")]) {
      assert.ok(contrast(colour, t.panel) >= 3, `${colour}: ${contrast(colour, t.panel).toFixed(2)}`);
    }
  });
}

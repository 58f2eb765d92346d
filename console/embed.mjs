// Makes one C++ file of a built console: src/console/assets.h says what is in it.
import fs from "node:fs/promises";
import path from "node:path";
import zlib from "node:zlib";

const TYPES = { ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8", ".html": "text/html; charset=utf-8" };

/** Octets as a literal: three octal digits end by themselves, whatever follows. */
function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 64) {
    let line = "";
    for (const octet of bytes.subarray(at, at + 64)) {
      const plain = octet >= 0x20 && octet < 0x7f && octet !== 0x22 && octet !== 0x5c && octet !== 0x3f;
      line += plain ? String.fromCharCode(octet) : `\\${octet.toString(8).padStart(3, "0")}`;
    }
    lines.push(`    "${line}"`);
  }
  return lines.join("\n") || '    ""';
}

/** @param folder  what build() wrote; source maps are no part of the program */
export async function embed(folder, file) {
  const names = (await fs.readdir(path.join(folder, "assets"))).filter((name) => !name.endsWith(".map")).sort();
  const files = [["/index.html", path.join(folder, "index.html")], ...names.map((name) => [`/assets/${name}`, path.join(folder, "assets", name)])];
  const entries = [];
  for (const [address, from] of files) {
    const bytes = await fs.readFile(from);
    const zipped = zlib.gzipSync(bytes, { level: 9 });
    entries.push(`  {"${address}", "${TYPES[path.extname(from)]}",\n   std::string_view(\n${literal(bytes)},\n    ${bytes.length}),\n   std::string_view(\n${literal(zipped)},\n    ${zipped.length})},`);
  }
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, `// Made by console/embed.mjs.
#include "console/assets.h"

namespace backstream::console {
namespace {

constexpr Asset kAssets[] = {
${entries.join("\n")}
};

}  // namespace

std::span<const Asset> built_assets() { return kAssets; }

}  // namespace backstream::console
`);
}

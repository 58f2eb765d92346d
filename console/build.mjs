// Builds the console into a folder: hashed assets, index.html that names them, and the sizes of what is loaded first.
//   node build.mjs [--out FOLDER] [--embed FILE.cc]
// Needs Node 18 and what package-lock.json names; asks nobody else.
import * as esbuild from "esbuild";
import crypto from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import zlib from "node:zlib";
import { embed } from "./embed.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
/// Octets, gzipped, of all that a browser loads before Live is drawn.
const FIRST_LOAD_MAX = 80_000;

/// Of the files that an entry needs before it runs: itself, and what it imports other than by import().
function loaded_first(outputs, entry) {
  const found = new Set();
  const visit = (name) => {
    if (found.has(name)) return;
    found.add(name);
    for (const needed of outputs[name].imports) {
      if (needed.kind === "import-statement" && !needed.external) visit(needed.path);
    }
    if (outputs[name].cssBundle) found.add(outputs[name].cssBundle);
  };
  visit(entry);
  return [...found];
}

function options(out) {
  return {
    absWorkingDir: here,
    entryPoints: { console: "src/main.tsx", theme: "src/theme.ts" },
    outdir: path.join(out, "assets"),
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    metafile: true,
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    loader: { ".svg": "file" },
    logLevel: "warning",
  };
}

/** What the licences of the packages ask for: their texts go along. The answer is the file's address. */
async function write_licences(out, metafile) {
  const packages = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.add(found[1]);
  }
  let text = "The console contains these packages.\n";
  for (const name of [...packages].sort()) {
    const folder = path.join(here, "node_modules", name);
    const { version, license } = JSON.parse(await fs.readFile(path.join(folder, "package.json"), "utf8"));
    const file = (await fs.readdir(folder)).find((each) => /^licen[cs]e(\.|$)/i.test(each));
    if (!file) throw new Error(`${name} ${version} (${license}) has no text of its licence`);
    text += `\n==== ${name} ${version}, ${license}\n\n${await fs.readFile(path.join(folder, file), "utf8")}`;
  }
  const hash = crypto.createHash("sha256").update(text).digest("hex").slice(0, 8).toUpperCase();
  await fs.writeFile(path.join(out, "assets", `licences-${hash}.txt`), text);
  return `/assets/licences-${hash}.txt`;
}

async function write_page(out, metafile) {
  const outputs = metafile.outputs;
  const output_of = (entry) => Object.keys(outputs).find((name) => outputs[name].entryPoint === entry);
  const main = output_of("src/main.tsx"), theme = output_of("src/theme.ts");
  const first = [...loaded_first(outputs, main), theme];
  const address = (name) => "/assets/" + path.basename(name);
  const template = await fs.readFile(path.join(here, "src/index.html"), "utf8");
  const page = template
    .replace("{{licences}}", await write_licences(out, metafile))
    .replace("{{theme}}", address(theme))
    .replace("{{styles}}", address(outputs[main].cssBundle))
    .replace("{{main}}", address(main))
    .replace("{{chunks}}", first.filter((name) => name.endsWith(".js") && name !== main && name !== theme)
        .map((name) => `<link rel="modulepreload" href="${address(name)}">`).join("\n  "));
  await fs.writeFile(path.join(out, "index.html"), page);
  return first;
}

async function sizes(out, metafile, first) {
  const of_file = async (file) => {
    const bytes = await fs.readFile(file);
    return { octets: bytes.length, gzipped: zlib.gzipSync(bytes, { level: 9 }).length };
  };
  const rows = [{ name: "index.html", first: true, ...(await of_file(path.join(out, "index.html"))) }];
  for (const name of Object.keys(metafile.outputs)) {
    rows.push({ name: path.basename(name), first: first.includes(name), ...(await of_file(path.resolve(here, name))) });
  }
  return rows;
}

/// Builds once into `out`, which is emptied before. Throws where the code does not build.
export async function build(out) {
  await fs.rm(out, { recursive: true, force: true });
  await fs.mkdir(out, { recursive: true });
  const result = await esbuild.build(options(out));
  const first = await write_page(out, result.metafile);
  return sizes(out, result.metafile, first);
}

/// Builds again whenever a source changes.
export async function watch(out) {
  await fs.mkdir(out, { recursive: true });
  const page = {
    name: "page",
    setup(build) {
      build.onEnd(async (result) => {
        if (result.errors.length === 0) await write_page(out, result.metafile);
      });
    },
  };
  const context = await esbuild.context({ ...options(out), minify: false, sourcemap: "linked", plugins: [page] });
  await context.watch();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const flag = (name) => {
    const at = process.argv.indexOf(name);
    return at > 0 ? path.resolve(process.argv[at + 1]) : null;
  };
  const out = flag("--out") ?? path.join(here, "dist");
  const rows = await build(out);
  const kb = (octets) => (octets / 1000).toFixed(1).padStart(7);
  for (const row of rows) console.log(`${kb(row.octets)} kB ${kb(row.gzipped)} kB gzipped  ${row.first ? "first" : "later"}  ${row.name}`);
  const total = rows.filter((row) => row.first).reduce((sum, row) => sum + row.gzipped, 0);
  console.log(`first load: ${(total / 1000).toFixed(1)} kB gzipped of at most ${FIRST_LOAD_MAX / 1000} kB`);
  if (total > FIRST_LOAD_MAX) {
    console.error("error: more is loaded first than the budget has; load it by import() where it is needed");
    process.exit(1);
  }
  const file = flag("--embed");
  if (file !== null) await embed(out, file);
}

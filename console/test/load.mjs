// Modules of src/ for tests: bundled one by one, so that Node needs to know nothing of TypeScript.
import * as esbuild from "esbuild";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const console_folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

/** @param names  of modules below src/, without ".ts"; they share what they both import */
export async function load(...names) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "console-test-"));
  await esbuild.build({
    absWorkingDir: console_folder,
    entryPoints: names.map((name) => `src/${name}.ts`),
    outbase: "src",
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true, splitting: true, format: "esm", target: "es2022", platform: "browser", logLevel: "warning",
  });
  const modules = await Promise.all(names.map((name) => import(pathToFileURL(path.join(folder, `${name}.mjs`)).href)));
  await fs.rm(folder, { recursive: true });
  return Object.assign({}, ...modules);
}

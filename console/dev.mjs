// The console as it is being written: builds at each change, before a daemon that runs.
//   node dev.mjs [--daemon http://127.0.0.1:8844] [--port 8850]
import path from "node:path";
import { fileURLToPath } from "node:url";
import { watch } from "./build.mjs";
import { serve } from "./serve.mjs";

const flag = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at > 0 ? process.argv[at + 1] : otherwise;
};
const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "dist");
const daemon = flag("--daemon", process.env.BACKSTREAM_SERVER ?? "http://127.0.0.1:8844");
await watch(folder);
const server = await serve({ folder, daemon, port: Number(flag("--port", "8850")) });
console.log(`http://127.0.0.1:${server.address().port}/ before ${daemon}`);

// Serves a built console with the headers that the daemon sends, and passes /api, /metrics and /-/ on to a daemon.
// For development and tests only: the daemon serves its own copy.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";

/// As src/console of the daemon sends it: one text, in docs/design/0035-console.md.
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8", ".map": "application/json", ".html": "text/html; charset=utf-8" };

function pass_on(request, response, daemon) {
  // The daemon answers to its own name only, and refuses pages of other origins: here the page is its own.
  const headers = { ...request.headers, host: daemon.host };
  delete headers.origin;
  const onward = http.request(
    { hostname: daemon.hostname, port: daemon.port, path: request.url, method: request.method, headers },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on("close", () => answer.complete || response.destroy());
    },
  );
  onward.on("error", () => {
    if (!response.headersSent) response.writeHead(502, { "content-type": "text/plain" });
    response.end("the daemon does not answer\n");
  });
  response.on("close", () => onward.destroy());
  request.pipe(onward);
}

/// @param folder  what build.mjs made
/// @param daemon  URL of a daemon
/// @return the http.Server, which listens on `port` of loopback (0: a free one)
export function serve({ folder, daemon, port = 0 }) {
  const target = new URL(daemon);
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://console");
    if (/^\/(api|metrics|-)(\/|$)/.test(pathname)) return pass_on(request, response, target);
    const asset = pathname.startsWith("/assets/");
    const file = path.join(folder, asset ? path.join("assets", path.basename(pathname)) : "index.html");
    fs.readFile(file, (error, bytes) => {
      if (error) return response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
      response.writeHead(200, {
        "content-type": TYPES[path.extname(file)] ?? "application/octet-stream",
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": asset ? "public, max-age=31536000, immutable" : "no-cache",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
      });
      response.end(bytes);
    });
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

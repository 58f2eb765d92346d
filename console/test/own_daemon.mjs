// A `backstream serve` of a test's own, which may do with it what it likes.
//   BACKSTREAM_BINARY    the program; without it such tests are left out
import { spawn } from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";

export const binary = process.env.BACKSTREAM_BINARY;

async function free_port() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * It runs until the test ends.
 * @param settings  "KEY=VALUE"
 * @return address; flows: where it listens for them; ask(path, token, init): what the API answers, as JSON
 */
export async function own_daemon(t, settings = []) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "console-daemon-"));
  const admin = crypto.randomBytes(32).toString("hex");
  await fs.writeFile(path.join(folder, "admin.token"), admin, { mode: 0o600 });
  const address = `http://127.0.0.1:${await free_port()}`, flows = `udp://127.0.0.1:${await free_port()}`;
  const all = [`state.folder=${folder}/state`, `http.listen=${address}`, `listen.flow=${flows}`, `access.admin_token_file=${folder}/admin.token`, ...settings];
  const process = spawn(binary, ["serve", ...all.flatMap((each) => ["--set", each])], { stdio: "ignore" });
  const ended = new Promise((resolve) => process.once("exit", resolve));
  t.after(async () => {
    process.kill("SIGKILL");
    await ended;
    await fs.rm(folder, { recursive: true, force: true });
  });
  for (let answered = false; !answered; ) {
    if (process.exitCode !== null) throw new Error(`${binary} serve ended`);
    answered = await fetch(`${address}/-/ready`).then((response) => response.ok, () => false);
    if (!answered) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const ask = async (where, token = admin, init = {}) => {
    const response = await fetch(`${address}/api/v1${where}`, { ...init, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" } });
    const text = await response.text();
    if (!response.ok) throw new Error(`${where}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  };
  return { address, flows, ask };
}

/** Flows for a daemon until the test ends. @param flags  of `backstream generate` */
export function send_flows(t, daemon, flags) {
  const process = spawn(binary, ["generate", "--to", daemon.flows, ...flags], { stdio: "ignore" });
  const ended = new Promise((resolve) => process.once("exit", resolve));
  t.after(async () => {
    process.kill("SIGKILL");
    await ended;
  });
}

/** What makes a page of Playwright one of somebody with this role. */
export async function signed_in_as(daemon, role) {
  const body = JSON.stringify({ name: `test-${role}-${crypto.randomBytes(4).toString("hex")}`, role, expires_in_seconds: 30 * 86_400 });
  const { token } = await daemon.ask("/tokens", undefined, { method: "POST", body });
  return (page) => page.addInitScript((text) => sessionStorage.setItem("backstream.token", text), token);
}

// What is on screen, as text for other programs. Pure.
import type { Value } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { sql_name } from "../api/client";

/** RFC 4180; as the server writes CSV: a header, empty for null. Windows of other columns than the last begin anew. */
export function csv_of(windows: readonly ResultWindow[]): string {
  const cell = (value: Value) => {
    if (value === null) return "";
    const text = String(value);
    return /[",\r\n]/.test(text) || text === "" ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const columns = windows[windows.length - 1]?.columns ?? [];
  const header = columns.map((column) => cell(column.name)).join(",");
  const lines = [header];
  for (const window of windows) {
    if (window.columns.map((column) => cell(column.name)).join(",") !== header) continue;
    for (const row of window.rows) lines.push(row.map(cell).join(","));
  }
  return lines.join("\r\n") + "\r\n";
}

export function jsonl_of(windows: readonly ResultWindow[]): string {
  return windows
    .flatMap((window) => window.rows.map((row) => JSON.stringify(Object.fromEntries(window.columns.map((column, i) => [column.name, row[i] ?? null]))) + "\n"))
    .join("");
}

/** The question that gives these rows. `until` null: and on. */
export function sql_of(query: string, from: number, until: number | null): string {
  const bound = (at: number) => `'${new Date(at).toISOString()}'`;
  const end = until === null ? "" : `\n  AND window_end <= ${bound(until)}`;
  return `SELECT * FROM ${sql_name(query)}\nWHERE window_start >= ${bound(from)}${end};`;
}

/** In single quotes for a POSIX shell. */
export function shell_text(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function curl_of(address: string, with_token: boolean): string {
  const token = with_token ? ' -H "Authorization: Bearer $(cat TOKEN_FILE)"' : "";
  return `curl -fsS${token} ${shell_text(address)}`;
}

/** Space within literals and quoted names stays as it is. */
function one_line(sql: string): string {
  return sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|\s+/g, (found) => (/^['"]/.test(found) ? found : " "));
}

export function command_of(server: string, sql: string): string {
  return `backstream sql --server ${shell_text(server)} -o csv -c ${shell_text(one_line(sql))}`;
}

/** A SELECT has no address: a session is opened, and its events are read until they end. */
export function session_curl_of(server: string, sql: string, with_token: boolean): string {
  const token = with_token ? ' -H "Authorization: Bearer $(cat TOKEN_FILE)"' : "";
  const body = JSON.stringify({ text: one_line(sql) });
  const name = `$(curl -fsS${token} -H 'Content-Type: application/json' -d ${shell_text(body)} ${shell_text(`${server}/api/v1/sessions`)} | sed 's/^{"name":"\\([^"]*\\)".*/\\1/')`;
  return `curl -fsSN${token} ${shell_text(`${server}/api/v1/events?last_event_id=0&query=`)}"${name}"`;
}

/** "demo_matrix-2026-01-31T140210Z.csv". */
export function file_name(name: string, from: number, type: string): string {
  return `${name}-${new Date(from).toISOString().slice(0, 19).replaceAll(":", "")}Z.${type}`;
}

export function save(name: string, type: string, text: string): void {
  save_blob(name, new Blob([text], { type }));
}

export function save_blob(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

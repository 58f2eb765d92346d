// What one takes along of what is on screen.
import { token } from "../api/client";
import type { ResultWindow } from "../api/window_store";
import { command_of, csv_of, file_name, jsonl_of, save, session_curl_of } from "./export";
import { words } from "../words/words";
import { CopyItem, Menu } from "../widgets/basics";
import { later } from "../widgets/later";

/** Of a SELECT that ends. */
export function CopyStatement({ sql }: { sql: string }) {
  const w = words.value;
  return (
    <Menu label={w.copy} class="menu-right">
      <CopyItem text={() => `${sql};`}>{w.copy_sql}</CopyItem>
      <CopyItem text={() => session_curl_of(location.origin, sql, token() !== null)}>{w.copy_curl}</CopyItem>
      <CopyItem text={() => command_of(location.origin, sql)}>{w.copy_command}</CopyItem>
      <CopyItem text={() => location.href}>{w.copy_link}</CopyItem>
    </Menu>
  );
}

export function Download({ name, from, windows, picture }: { name: string; from: number; windows: readonly ResultWindow[]; picture: boolean }) {
  const file = (type: string) => file_name(name, from, type);
  return (
    <Menu label={words.value.download} class="menu-right">
      <button type="button" class="menu-item" onClick={() => save(file("csv"), "text/csv", csv_of(windows))}>CSV</button>
      <button type="button" class="menu-item" onClick={() => save(file("jsonl"), "application/x-ndjson", jsonl_of(windows))}>JSONL</button>
      {picture && <button type="button" class="menu-item" onClick={() => void later(() => import("./picture_file")).then(({ save_picture }) => save_picture(file("png"), name))}>PNG</button>}
    </Menu>
  );
}

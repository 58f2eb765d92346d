// Which entries of the audit are shown, and as CSV. Pure.
import type { AuditEntry } from "../api/types";

export interface AuditChoice {
  /** Words, each somewhere in the entry. */
  search: string;
  /** ms since the epoch; null: open. */
  from: number | null;
  until: number | null;
}

export function chosen_entries(entries: readonly AuditEntry[], { search, from, until }: AuditChoice): AuditEntry[] {
  const wanted = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return entries.filter((entry) => {
    const at = Date.parse(entry.at);
    if ((from !== null && at < from) || (until !== null && at >= until)) return false;
    const text = `${entry.author} ${entry.via} ${entry.verb} ${entry.kind} ${entry.name} ${entry.comment}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}

const COLUMNS = ["at", "author", "via", "verb", "kind", "name", "version", "comment", "revision"] as const;

/** RFC 4180, for whoever keeps it elsewhere. */
export function audit_csv(entries: readonly AuditEntry[]): string {
  const cell = (value: string | number) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return [COLUMNS.join(","), ...entries.map((entry) => COLUMNS.map((name) => cell(entry[name])).join(","))].join("\r\n") + "\r\n";
}

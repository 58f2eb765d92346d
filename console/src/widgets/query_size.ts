// How large the windows of a query are, in time and in rows: what to ask for depends on it.
import { useEffect, useState } from "preact/hooks";
import { api } from "../api/client";
import type { Query, Results } from "../api/types";

export interface Size {
  window_ms: number | null;
  rows: number | null;
  /** ms; null: nothing is kept, or nobody knows. */
  kept_since: number | null;
  columns: Results["columns"];
}

/** Asked once for each version; null: not known yet. */
export function useSize(query: Query): Size | null {
  const [size, set_size] = useState<Size | null>(null);
  useEffect(() => {
    const { ledger } = query;
    const rows = ledger && ledger.windows_closed > 0 ? Math.round(ledger.result_rows / ledger.windows_closed) : null;
    const unknown = { window_ms: null, rows, kept_since: null, columns: query.columns };
    const measured = (results: Results): Size => {
      const window = results.windows[results.windows.length - 1];
      return {
        window_ms: window?.window_start && window.window_end ? Date.parse(window.window_end) - Date.parse(window.window_start) : null,
        rows: rows ?? window?.rows_total ?? window?.rows.length ?? null,
        kept_since: results.kept_since === null ? null : Date.parse(results.kept_since),
        columns: results.columns,
      };
    };
    api.results(query.name, { limit: 1, tier: "raw" }).then((results) => set_size(measured(results)), () => set_size(unknown));
  }, []);
  return size;
}

// From readings of a query's ledger to rates. Pure.
import type { Ledger } from "../api/types";

export interface Reading {
  at: number;
  ledger: Ledger;
}

export interface Rates {
  /** Rows a second; null: not seen for long enough. */
  rows_per_second: number | null;
  /** Of all windows so far; null: none has closed. */
  rows_in_a_window: number | null;
  rows_out_a_window: number | null;
  /** From one closing to the next; null: fewer than two were seen. */
  window_ms: number | null;
}

/** What changes oftener than this is measured over this. */
const SPAN_MS = 30_000;

/**
 * What a count grows by in a millisecond. Where halves are apart it grows in steps, when windows close: it is measured
 * from step to step, and what has not grown for longer than two steps take has become less. Null: no two steps.
 */
function growth(readings: readonly Reading[], count: (ledger: Ledger) => number): number | null {
  const all = readings.filter(({ ledger }, i) => i > 0 && count(ledger) > count(readings[i - 1]!.ledger));
  const now = readings[readings.length - 1]?.at ?? 0;
  const recent = all.filter(({ at }) => now - at <= SPAN_MS);
  const steps = recent.length > 2 ? recent : all;
  const first = steps[0], last = steps[steps.length - 1];
  if (!first || !last || last.at <= first.at) return null;
  const step_ms = (last.at - first.at) / (steps.length - 1);
  const until = now - last.at > 2 * step_ms ? now : last.at;
  return (count(last.ledger) - count(first.ledger)) / (until - first.at);
}

/** Null: there is nothing to go by yet. A ledger that began anew (another node took the query up) is measured anew. */
export function rates_of(all: readonly Reading[]): Rates | null {
  let begin = 0;
  for (let i = 1; i < all.length; ++i) {
    const before = all[i - 1]!.ledger, now = all[i]!.ledger;
    if (now.assigned < before.assigned || now.windows_closed < before.windows_closed) begin = i;
  }
  const readings = all.slice(begin);
  const ledger = readings[readings.length - 1]?.ledger;
  if (!ledger) return null;
  const rows = growth(readings, ({ assigned }) => assigned), windows = growth(readings, ({ windows_closed }) => windows_closed);
  const a_window = (count: number) => (ledger.windows_closed > 0 ? count / ledger.windows_closed : null);
  return {
    rows_per_second: rows === null ? null : rows * 1000,
    rows_in_a_window: a_window(ledger.assigned),
    rows_out_a_window: a_window(ledger.result_rows),
    window_ms: windows === null || windows === 0 ? null : 1 / windows,
  };
}

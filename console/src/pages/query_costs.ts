// What queries cost and how late their results are, from counters that were read twice. Pure.
import type { Latency } from "../api/metrics";
import type { Query } from "../api/types";

export interface Reading {
  queries: readonly Query[];
  latencies: ReadonlyMap<string, Latency>;
}

export interface Cost {
  /** That went into a window on the average: edges tell of them when a window ends, so that a rate would jump. */
  rows_per_window: number | null;
  /** From the end of a window to its rows being readable: of the windows between the two readings, else of all so far. */
  latency_seconds: number | null;
}

/** Null in a cost: no window has closed. */
export function costs_of(now: Reading, before: Reading | null): Map<string, Cost> {
  return new Map(now.queries.map(({ name, ledger }) => {
    const all = now.latencies.get(name), then = before?.latencies.get(name);
    // Fewer than before: the process began anew.
    const recent = all && then && all.windows > then.windows ? { seconds_sum: all.seconds_sum - then.seconds_sum, windows: all.windows - then.windows } : all;
    return [name, {
      rows_per_window: ledger && ledger.windows_closed > 0 ? ledger.assigned / ledger.windows_closed : null,
      latency_seconds: recent && recent.windows > 0 ? recent.seconds_sum / recent.windows : null,
    }];
  }));
}

// What queries cost and how late their results are, from counters that were read twice. Pure.
import type { Latency } from "../api/metrics";
import type { Query } from "../api/types";

export interface Reading {
  at: number;
  queries: readonly Query[];
  latencies: ReadonlyMap<string, Latency>;
}

export interface Cost {
  /** Null: not known yet. */
  rows_per_second: number | null;
  /** Of the windows between the two readings, else of all so far; null: none has closed. */
  latency_seconds: number | null;
}

export function costs_of(now: Reading, before: Reading | null): Map<string, Cost> {
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const earlier = new Map(before?.queries.map((query) => [query.name, query]));
  return new Map(now.queries.map((query) => {
    const old = earlier.get(query.name);
    // Another life of the query, or of the process: its counters began anew.
    const goes_on = old?.ledger && query.ledger && old.incarnation === query.incarnation && query.ledger.assigned >= old.ledger.assigned;
    const rows_per_second = goes_on && seconds > 0 ? (query.ledger!.assigned - old.ledger!.assigned) / seconds : null;
    const all = now.latencies.get(query.name), then = before?.latencies.get(query.name);
    const recent = all && then && all.windows > then.windows ? { seconds_sum: all.seconds_sum - then.seconds_sum, windows: all.windows - then.windows } : all;
    return [query.name, { rows_per_second, latency_seconds: recent && recent.windows > 0 ? recent.seconds_sum / recent.windows : null }];
  }));
}

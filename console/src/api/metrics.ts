// The few figures about queries that only /metrics has (Prometheus text format 0.0.4).

export interface Latency {
  /** Of all windows so far. */
  seconds_sum: number;
  windows: number;
}

/** Latencies of results by query: from the end of a window to its rows being readable. */
export function latencies_of(text: string): Map<string, Latency> {
  const found = new Map<string, Latency>();
  const line = /^backstream_query_result_latency_seconds_(sum|count)\{query="((?:[^"\\]|\\.)*)"\} (\S+)$/gm;
  for (const [, what, escaped, value] of text.matchAll(line)) {
    const name = escaped!.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
    const latency = found.get(name) ?? { seconds_sum: 0, windows: 0 };
    if (what === "sum") latency.seconds_sum = Number(value);
    else latency.windows = Number(value);
    found.set(name, latency);
  }
  return found;
}

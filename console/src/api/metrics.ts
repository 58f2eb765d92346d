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
    const name = unescape_label(escaped!);
    const latency = found.get(name) ?? { seconds_sum: 0, windows: 0 };
    if (what === "sum") latency.seconds_sum = Number(value);
    else latency.windows = Number(value);
    found.set(name, latency);
  }
  return found;
}

export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** All samples of these families, by family; what is not there has none. */
export function samples_of<N extends string>(text: string, names: readonly N[]): Record<N, Sample[]> {
  const found = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Record<N, Sample[]>;
  for (const [, name, labels = "", value] of text.matchAll(/^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/gm)) {
    if (!(names as readonly string[]).includes(name!)) continue;
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    found[name as N].push({ labels: Object.fromEntries(pairs.map(([, label, quoted]) => [label!, unescape_label(quoted!)])), value: Number(value) });
  }
  return found;
}

function unescape_label(text: string): string {
  return text.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
}

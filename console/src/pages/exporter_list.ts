// How exporters are, of what a node hears itself or of what the edges' query tells. Pure.
import type { Exporter, Value } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { seconds_of } from "../charts/series";
import type { Mark } from "../widgets/basics";

/** The worst first: what is shown of several. */
export const STATES = ["silent", "rejected", "loss", "unscaled", "clock", "ok"] as const;
export type ExporterState = (typeof STATES)[number];
export const EXPORTER_MARKS: Record<ExporterState, Mark> = { ok: "good", loss: "warning", unscaled: "warning", clock: "warning", rejected: "warning", silent: "bad" };

export interface ExporterRow {
  address: string;
  /** Null: the source does not say. */
  site: string | null;
  protocols: string;
  state: ExporterState;
  flows_per_second: number | null;
  sampling: { min: number | null; max: number | null; unknown: boolean };
  missing: number;
  /** Of what should have come lately; null: nothing did. */
  missing_share: number | null;
  rejected: number;
  clock_offset_seconds: number | null;
  delay_p999_seconds: number | null;
  /** ms since the epoch. */
  first_seen: number | null;
  last_seen: number | null;
  /** Flows per second over the readings that are held, oldest first. */
  trend: (number | null)[];
}

/** As `backstream doctor` has them. */
const SILENT_MS = 5 * 60_000;
const MISSING_SHARE_MAX = 0.001;
const CLOCK_OFFSET_MAX_S = 2;

function state_of(row: Omit<ExporterRow, "state">, rejected_lately: number, now: number): ExporterState {
  if (row.last_seen === null || now - row.last_seen > SILENT_MS) return "silent";
  if (rejected_lately > 0) return "rejected";
  if ((row.missing_share ?? 0) > MISSING_SHARE_MAX) return "loss";
  if (row.sampling.unknown) return "unscaled";
  if (Math.abs(row.clock_offset_seconds ?? 0) > CLOCK_OFFSET_MAX_S) return "clock";
  return "ok";
}

const share = (part: number, got: number) => (part + got > 0 ? Math.max(part, 0) / (Math.max(part, 0) + got) : null);

export interface Reading {
  /** ms since the epoch. */
  at: number;
  exporters: readonly Exporter[];
}

/** Readings that rates are taken from, with the newest; at most so long. */
export function with_reading(readings: readonly Reading[], newest: Reading, span_ms: number): Reading[] {
  return [...readings.filter((reading) => newest.at - reading.at <= span_ms && reading.at < newest.at), newest];
}

/** NetFlow v9 numbers datagrams, the others flows or samples, which are as many. */
function got_of({ protocols, datagrams, flows }: Pick<Exporter, "protocols" | "datagrams" | "flows">): number {
  return protocols.includes("v9") ? datagrams : flows;
}

/** Counters that went back began anew: nothing is known between the two. */
function grown(now: number, before: number | undefined): number | null {
  return before === undefined || now < before ? null : now - before;
}

export function rows_of_readings(readings: readonly Reading[], now: number): ExporterRow[] {
  const newest = readings[readings.length - 1];
  if (!newest) return [];
  const by_address = readings.map((reading) => new Map(reading.exporters.map((exporter) => [exporter.address, exporter])));
  return newest.exporters.map((exporter) => {
    const known = by_address.map((map) => map.get(exporter.address));
    const first = known.findIndex((each) => each !== undefined);
    const oldest = known[first];
    const seconds = (newest.at - readings[first]!.at) / 1000;
    const flows = seconds > 0 ? grown(exporter.flows, oldest?.flows) : null;
    const missing = seconds > 0 ? grown(exporter.missing, oldest?.missing) : null;
    const got = seconds > 0 ? grown(got_of(exporter), oldest && got_of(oldest)) : null;
    const unscaled = seconds > 0 ? grown(exporter.sampling.unknown_rows, oldest?.sampling.unknown_rows) : null;
    const lately = missing !== null && got !== null && missing + got > 0;
    const trend = readings.slice(1).map((reading, i) => {
      const step = (reading.at - readings[i]!.at) / 1000;
      const more = known[i + 1] && known[i] ? grown(known[i + 1]!.flows, known[i]!.flows) : null;
      return more === null || step <= 0 ? null : more / step;
    });
    const row = {
      address: exporter.address,
      site: exporter.site,
      protocols: exporter.protocols,
      flows_per_second: flows === null ? null : flows / seconds,
      // Rows that came before the first options data are no trouble of now.
      sampling: { ...exporter.sampling, unknown: unscaled === null ? exporter.sampling.unknown : unscaled > 0 },
      missing: exporter.missing,
      missing_share: lately ? share(missing, got) : share(exporter.missing, got_of(exporter)),
      rejected: exporter.rejected,
      clock_offset_seconds: exporter.clock_offset_seconds,
      delay_p999_seconds: exporter.delay_p999_seconds,
      first_seen: exporter.first_seen === null ? null : Date.parse(exporter.first_seen),
      last_seen: exporter.last_seen === null ? null : Date.parse(exporter.last_seen),
      trend,
    };
    return { ...row, state: state_of(row, oldest && seconds > 0 ? (grown(exporter.rejected, oldest.rejected) ?? 0) : 0, now) };
  });
}

/** Of windows of the query `exporter_health`: a row for each exporter that one of them has. */
export function rows_of_windows(windows: readonly ResultWindow[], now: number): ExporterRow[] {
  const rows = new Map<string, ExporterRow>();
  const rejected = new Map<string, number>();
  const newest = windows[windows.length - 1];
  windows.forEach((window, w) => {
    const place = (name: string) => window.columns.findIndex((column) => column.name === name);
    const at = { exporter: place("exporter"), site: place("site"), protocols: place("protocols"), flows: place("flows"), datagrams: place("datagrams"), missing: place("missing"), unreadable: place("unreadable"), unknown: place("sampling_unknown_rows"), min: place("sampling_rate_min"), max: place("sampling_rate_max") };
    if (at.exporter < 0 || window.end === null) return;
    const seconds = seconds_of(window);
    const number = (row: readonly Value[], where: number) => Number(row[where] ?? 0);
    const rate = (row: readonly Value[], where: number) => (number(row, where) > 0 ? number(row, where) : null);
    for (const row of window.rows) {
      const address = String(row[at.exporter]);
      const known = rows.get(address);
      const flows = number(row, at.flows);
      const missing = Math.max(number(row, at.missing), 0);
      const protocols = String(row[at.protocols] ?? "");
      const got = got_of({ protocols, datagrams: number(row, at.datagrams), flows });
      const trend = known?.trend ?? Array<number | null>(w).fill(null);
      while (trend.length < w) trend.push(null);
      trend[w] = seconds > 0 ? flows / seconds : null;
      rejected.set(address, number(row, at.unreadable));
      rows.set(address, {
        address, site: at.site < 0 ? null : String(row[at.site] ?? ""), protocols, state: "ok",
        flows_per_second: window === newest && seconds > 0 ? flows / seconds : null,
        sampling: { min: rate(row, at.min), max: rate(row, at.max), unknown: number(row, at.unknown) > 0 },
        missing: (known?.missing ?? 0) + missing,
        missing_share: share(missing, got),
        rejected: (known?.rejected ?? 0) + number(row, at.unreadable),
        clock_offset_seconds: null, delay_p999_seconds: null,
        first_seen: known?.first_seen ?? window.start,
        last_seen: window.end,
        trend,
      });
    }
  });
  for (const row of rows.values()) row.state = state_of(row, rejected.get(row.address) ?? 0, now);
  return [...rows.values()];
}

export type SortBy = "state" | "address" | "site" | "protocols" | "flows" | "sampling" | "loss" | "rejected" | "clock" | "delay" | "first" | "last";

const SORTS: Record<SortBy, (row: ExporterRow) => number | string | null> = {
  state: (row) => STATES.indexOf(row.state),
  address: (row) => row.address,
  site: (row) => row.site,
  protocols: (row) => row.protocols,
  flows: (row) => row.flows_per_second,
  sampling: (row) => row.sampling.max,
  loss: (row) => row.missing_share,
  rejected: (row) => row.rejected,
  clock: (row) => (row.clock_offset_seconds === null ? null : Math.abs(row.clock_offset_seconds)),
  delay: (row) => row.delay_p999_seconds,
  first: (row) => row.first_seen,
  last: (row) => row.last_seen,
};

/** What is unknown comes last either way; equal ones by their addresses. */
export function sorted(rows: readonly ExporterRow[], by: SortBy, up: boolean): ExporterRow[] {
  const of = SORTS[by];
  const texts = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true });
  return [...rows].sort((a, b) => {
    const x = of(a), y = of(b);
    if (x === null || y === null) return x === y ? texts(a.address, b.address) : x === null ? 1 : -1;
    const order = typeof x === "number" && typeof y === "number" ? x - y : texts(String(x), String(y));
    return (up ? order : -order) || texts(a.address, b.address);
  });
}

export function found_by(row: ExporterRow, search: string, state_text: string): boolean {
  const text = `${row.address} ${row.site ?? ""} ${row.protocols} ${state_text}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** A check is about an exporter when its text or what to type names the address, not one that begins like it. */
export function names_address(text: string, address: string): boolean {
  for (let at = text.indexOf(address); at >= 0; at = text.indexOf(address, at + 1)) {
    const before = text[at - 1] ?? " ", after = text.slice(at + address.length);
    if (!/[0-9a-f.:]/i.test(before) && !/^([0-9a-f:]|\.[0-9])/i.test(after)) return true;
  }
  return false;
}

/** Fills in what routers are told. An empty value stays as what the system's own text has there. */
export function snippet_text(form: { port: number; source: string; interface: string; text: string }, values: { collector: string; port: string; source: string; interface: string; rate: string }): string {
  const given: Record<string, string> = {
    collector: values.collector || "COLLECTOR", port: values.port || String(form.port), source: values.source || form.source,
    interface: values.interface || form.interface, rate: values.rate || "1000",
  };
  return form.text.replace(/\{(collector|port|source|interface|rate)\}/g, (_, name: string) => given[name]!);
}

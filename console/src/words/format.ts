// Numbers, times and sizes as people read them. Pure: language, zone and units are given.
import type { Units, Zone } from "../state/view";

const STEPS = ["", "k", "M", "G", "T", "P", "E"];

/** Three figures and an SI step (1 k = 1000): "4.21 G". Null: nothing is known. */
export function short(value: number, locale: string): string {
  if (!Number.isFinite(value)) return "∞";
  let step = 0;
  let scaled = Math.abs(value);
  // 999.5 would be shown as 1000: it belongs to the next step.
  while (scaled >= 999.5 && step < STEPS.length - 1) {
    scaled /= 1000;
    ++step;
  }
  const digits = step === 0 && Number.isInteger(value) ? 0 : scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
  const text = new Intl.NumberFormat(locale, { minimumFractionDigits: step === 0 ? 0 : digits, maximumFractionDigits: digits })
    .format(value < 0 ? -scaled : scaled);
  return step === 0 ? text : `${text} ${STEPS[step]}`;
}

/** "1 row", "2 rows"; what languages have of it that the console speaks. */
export function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

export function whole(value: number, locale: string): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: Number.isInteger(value) ? 0 : 3 }).format(value);
}

export function percent(part: number, locale: string): string {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: part < 0.0995 ? 1 : 0 }).format(part);
}

const two = (value: number) => String(value).padStart(2, "0");

interface Clock {
  date: string;
  time: string;
}

function clock(at: number, zone: Zone): Clock {
  const d = new Date(at);
  return zone === "utc"
    ? { date: d.toISOString().slice(0, 10), time: d.toISOString().slice(11, 19) }
    : {
        date: `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`,
        time: `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`,
      };
}

/** "14:02:10": where the day is clear. */
export function time_of_day(at: number, zone: Zone): string {
  return clock(at, zone).time;
}

/** "2026-01-31 14:02:10". */
export function date_time(at: number, zone: Zone): string {
  const { date, time } = clock(at, zone);
  return `${date} ${time}`;
}

/** "14:02:10 – 14:02:20", with the date where it is not today. */
export function window_text(start: number, end: number, zone: Zone, now: number): string {
  const from = clock(start, zone), until = clock(end, zone);
  const first = from.date === clock(now, zone).date ? from.time : `${from.date} ${from.time}`;
  return `${first} – ${from.date === until.date ? until.time : `${until.date} ${until.time}`}`;
}

/** "3.2 s", "12 min", "2.5 h", "4 d"; of ms. */
export function duration(ms: number, locale: string): string {
  const seconds = ms / 1000;
  const number = (value: number) => new Intl.NumberFormat(locale, { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
  if (seconds < 90) return `${number(seconds)} s`;
  if (seconds < 5_400) return `${number(seconds / 60)} min`;
  if (seconds < 172_800) return `${number(seconds / 3_600)} h`;
  return `${number(seconds / 86_400)} d`;
}

/** What a measure counts; how it is shown follows from it. */
export type Quantity =
  | { kind: "octets" | "packets" | "flows"; per_window: boolean }
  | { kind: "seconds" | "count"; per_window: false };

/** By the names that docs/sql.md gives columns of flows, and what statements make of them. */
export function quantity_of(column: string): Quantity {
  const rate = /(_per_second|_rate|_ps|bps|pps)$/.test(column);
  if (/^bits(_|$)|_bits(_|$)|bps$/.test(column)) return { kind: "octets", per_window: false };
  if (/octets_per_packet|(^|_)(min|max|avg|rank|share)_/.test(column)) return { kind: "count", per_window: false };
  if (/(^|_)(octets|bytes)(_|$)/.test(column)) return { kind: "octets", per_window: !rate };
  if (/(^|_)packets(_|$)|pps$/.test(column)) return { kind: "packets", per_window: !rate };
  if (/(^|_)flows(_|$)/.test(column)) return { kind: "flows", per_window: !rate };
  if (/(^|_)seconds(_|$)/.test(column)) return { kind: "seconds", per_window: false };
  return { kind: "count", per_window: false };
}

/** A column of bits per second counts bits, all others of its kind octets. */
export function counts_bits(column: string): boolean {
  return /^bits(_|$)|_bits(_|$)|bps$/.test(column);
}

export interface Scale {
  /** A value of the column, of a window of so many seconds, as it is shown. */
  of(value: number, window_seconds: number): number;
  unit: string;
}

/** Amounts of a window are shown as rates: windows of different lengths compare. */
export function scale_of(column: string, units: Units, names: { bits: string; bytes: string; packets: string; flows: string }): Scale {
  const quantity = quantity_of(column);
  if (quantity.kind === "count") return { of: (value) => value, unit: "" };
  if (quantity.kind === "seconds") return { of: (value) => value, unit: "s" };
  // Octets are never packets: who wants those needs another column (measure_for), and sees bits where there is none.
  const bytes = units === "bytes";
  const factor = quantity.kind !== "octets" ? 1 : counts_bits(column) ? (bytes ? 1 / 8 : 1) : bytes ? 1 : 8;
  const unit = quantity.kind === "octets" ? names[bytes ? "bytes" : "bits"] : names[quantity.kind];
  return {
    of: (value, window_seconds) => (quantity.per_window && window_seconds > 0 ? (value * factor) / window_seconds : value * factor),
    unit,
  };
}

/** "4.21 Gbit/s". */
export function with_unit(value: number, unit: string, locale: string): string {
  const text = short(value, locale);
  if (unit === "") return text;
  const [number, step = ""] = text.split(" ");
  return `${number} ${step}${unit}`;
}

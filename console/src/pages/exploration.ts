// What Explore asks: statements over one query's results, and figures from what they answer. Pure.
import { sql_name, sql_text } from "../api/client";
import type { Column, Value } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { conditions_of, type Conditions } from "../charts/conditions";
import { adds_up, type Shape } from "../charts/shape";
import { counts_bits, quantity_of } from "../words/format";

/** Rows of the table; each is a line that the chart may have. */
export const ROWS_SHOWN = 20;
/** No finer to look at, and few enough to be sent at once. */
export const WINDOWS_SHOWN = 360;
const STEPS_S = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];

export interface Exploration {
  query: string;
  by: readonly Column[];
  /** As SQL. */
  conditions: readonly string[];
  measure: string;
  from: number;
  /** Null: until now, and on. */
  until: number | null;
}

/** Of what is asked for, those that the query has; none is asked for: its first, or both of a matrix. */
export function dimensions_of(shape: Shape, asked: readonly string[]): Column[] {
  const known = asked.map((name) => shape.dimensions.find((column) => column.name === name)).filter((column): column is Column => column !== undefined);
  if (known.length > 0) return known;
  return shape.matrix ? shape.dimensions.slice(0, 2) : shape.dimensions.slice(0, 1);
}

/** Sums where values add up; else the largest: a sum of distinct counts would be a lie. */
export function aggregate_of(measure: string): "sum" | "max" {
  return adds_up(measure) ? "sum" : "max";
}

/** A rate's sum over time is none: it is that of an amount. */
export function is_rate(measure: string): boolean {
  return adds_up(measure) && !quantity_of(measure).per_window;
}

export function where_of({ from, until, conditions }: Pick<Exploration, "from" | "until" | "conditions">): string {
  const all = [`window_start >= '${new Date(from).toISOString()}'`];
  if (until !== null) all.push(`window_end <= '${new Date(until).toISOString()}'`);
  return [...all, ...conditions].join("\n  AND ");
}

/** The largest groups of the whole range. */
export function ranking_sql(what: Exploration, limit: number): string {
  const measure = sql_name(what.measure), keys = what.by.map((column) => sql_name(column.name)).join(", ");
  const select = `${keys === "" ? "" : `${keys}, `}${aggregate_of(what.measure)}(${measure}) AS ${measure}`;
  const groups = keys === "" ? "" : `\nGROUP BY ${keys}\nORDER BY ${measure} DESC\nLIMIT ${limit}`;
  return `SELECT ${select}\nFROM ${sql_name(what.query)}\nWHERE ${where_of(what)}${groups}`;
}

/** As many of the query's windows as make no more than WINDOWS_SHOWN of the range; null: its own. */
export function step_seconds(span_ms: number, window_ms: number | null): number | null {
  if (window_ms === null || span_ms / window_ms <= WINDOWS_SHOWN) return null;
  const fits = (step: number) => (step * 1_000) % window_ms === 0 && span_ms / (step * 1_000) <= WINDOWS_SHOWN;
  const step = STEPS_S.find(fits) ?? (Math.ceil(span_ms / window_ms / WINDOWS_SHOWN) * window_ms) / 1_000;
  return Number.isInteger(step) ? step : null;
}

/** The window's value of each key that has a rank, from 1; of all others together as 0. */
export function series_sql(what: Exploration, keys: readonly (readonly Value[])[], step: number | null): string {
  const measure = sql_name(what.measure);
  const equal = (column: Column, value: Value) => {
    const name = sql_name(column.name);
    return value === null ? `${name} IS NULL` : `${name} = ${literal(column, value)}`;
  };
  const ranks = keys.map((key, i) => `\n    WHEN ${what.by.map((column, at) => equal(column, key[at] ?? null)).join(" AND ")} THEN ${i + 1}`).join("");
  const rank = what.by.length === 0 || keys.length === 0 ? "" : `, CASE${ranks}\n    ELSE 0 END AS _rank`;
  const value = `${aggregate_of(what.measure)}(${measure}) AS ${measure}`;
  const source = sql_name(what.query), where = where_of(what);
  const from = step === null ? `FROM ${source}\nWHERE ${where}` : `FROM tumble((SELECT * FROM ${source}\nWHERE ${where}), window_start, interval '${step} s')`;
  return `SELECT window_start${rank}, ${value}\n${from}\nGROUP BY window_start${rank === "" ? "" : ", _rank"}`;
}

/** A constant of the column's type: text beside an address would be compared as text. */
export function literal(column: Column, value: Value): string {
  return typeof value === "string" && /^(inet|cidr|macaddr|timestamp|bytea)/.test(column.type) ? `${sql_text(value)}::${type_name(column.type)}` : sql_text(value);
}

function type_name(type: string): string {
  return type === "timestamp with time zone" ? "timestamptz" : type;
}

export function conditions_over(filters: readonly string[], columns: readonly Column[]): Conditions {
  return conditions_of(filters, columns.filter((column) => column.name !== "window_start" && column.name !== "window_end"));
}

export interface Figures {
  /** Of windows, as they are shown; null: of no window anything is known. */
  min: number | null;
  max: number | null;
  last: number | null;
  average: number | null;
  p95: number | null;
  /** Windows that count. */
  windows: number;
}

/** Of a line: what is unknown counts nowhere. The percentile is the least value that 95 of 100 windows do not exceed. */
export function figures_of(values: readonly (number | null)[]): Figures {
  const known = values.filter((value): value is number => value !== null);
  if (known.length === 0) return { min: null, max: null, last: null, average: null, p95: null, windows: 0 };
  const sorted = [...known].sort((a, b) => a - b);
  return {
    min: sorted[0]!,
    max: sorted[sorted.length - 1]!,
    last: values[values.length - 1] ?? null,
    average: known.reduce((sum, value) => sum + value, 0) / known.length,
    p95: sorted[Math.ceil(sorted.length * 0.95) - 1]!,
    windows: known.length,
  };
}

/** What went through in the whole range, in octets or packets; null: the measure is none that has a total. */
export function total_amount(measure: string, sum: number, window_ms: number | null): number | null {
  const { kind, per_window } = quantity_of(measure);
  if (!adds_up(measure)) return null;
  if (per_window) return sum;
  if (window_ms === null) return null;
  const amount = (sum * window_ms) / 1_000;
  return kind === "octets" && counts_bits(measure) ? amount / 8 : amount;
}

/** Of one window of the query on the average: what a threshold is compared with. */
export function amount_of_window(measure: string, sum: number | null, windows: number): number | null {
  return sum === null || windows <= 0 ? null : adds_up(measure) ? sum / windows : sum;
}

/** Rates of several windows that were added are one rate of the longer window. */
export function as_one_rate(windows: readonly ResultWindow[], measure: string, window_ms: number | null): readonly ResultWindow[] {
  if (!is_rate(measure) || window_ms === null) return windows;
  return windows.map((window) => {
    const at = window.columns.findIndex((column) => column.name === measure);
    const parts = window.start === null ? 1 : (window.end! - window.start) / window_ms;
    if (at < 0 || parts <= 1) return window;
    return { ...window, rows: window.rows.map((row) => row.map((value, i) => (i === at && typeof value === "number" ? value / parts : value))) };
  });
}

/** A question about flows, in windows of a minute: what POST /queries/suggest is asked. */
export function flows_question(by: readonly string[], measure: string, conditions: readonly string[]): string {
  const keys = by.map(sql_name).join(", "), all = keys === "" ? "" : `, ${keys}`;
  const value = measure === "flows" ? "count(*) AS flows" : `sum(${sql_name(measure)}) AS ${sql_name(measure)}`;
  const where = conditions.length === 0 ? "" : `\nWHERE ${conditions.join(" AND ")}`;
  return `SELECT window_start${all}, ${value}\nFROM tumble(flows, time, interval '60 s')${where}\nGROUP BY window_start${all}`;
}

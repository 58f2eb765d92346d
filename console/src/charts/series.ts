// From windows to what is drawn. Pure.
import type { ResultWindow } from "../api/window_store";
import type { Column, Value } from "../api/types";
import type { Scale } from "../words/format";
import { label_of } from "./labels";
import type { Shape } from "./shape";

/** Okabe-Ito tells eight apart; the eighth is for the others. */
export const SERIES_MAX = 7;

export interface Line {
  label: string;
  /** One a time. Null: no data, which is something else than 0. */
  values: (number | null)[];
  /** Half of the band that holds the truth in 95 of 100 cases; null: none is known. */
  margins: (number | null)[] | null;
  other: boolean;
  /** Values of the dimensions; null: it is of several keys, or of none. */
  key: readonly Value[] | null;
}

export interface Picture {
  /** The middle of each window, s since the epoch. */
  times: number[];
  /** Of each time; null: a place where windows are missing. */
  windows: (ResultWindow | null)[];
  /** By name where all are there; else the largest first, and the others last. */
  lines: Line[];
  /** The lines are all there is: their sum is the total. */
  whole: boolean;
}

export function seconds_of(window: ResultWindow): number {
  return window.start === null || window.end === null ? 0 : (window.end - window.start) / 1000;
}

function key_of(row: readonly Value[], places: readonly number[]): string {
  return JSON.stringify(places.map((place) => row[place]));
}

/**
 * @param options.raw_seconds  of the query's own windows: averages of tiers are of such a one. Null: what each window says.
 * @param options.all_groups   the rows are all there are: who has none had nothing; see has_all_groups()
 * @param options.keys         those that have a line, in this order; else the largest have
 * @param options.with_other   whether what has no line of its own is added up as the others
 */
export function picture_of(
  windows: readonly ResultWindow[], shape: Shape, measure: string, scale: Scale,
  options: { lines_max?: number; raw_seconds?: number | null; all_groups?: boolean; with_other?: boolean; keys?: readonly (readonly Value[])[] } = {},
): Picture {
  const { lines_max = SERIES_MAX, raw_seconds = null, all_groups = true, with_other = all_groups, keys } = options;
  const whole = all_groups && with_other;
  const timed = windows.filter((window) => window.start !== null && window.end !== null);
  const columns = timed[timed.length - 1]?.columns ?? [];
  const place = (name: string) => columns.findIndex((column) => column.name === name);
  const at = place(measure);
  const error_name = shape.errors.get(measure);
  const error_at = error_name === undefined ? -1 : place(error_name);
  const key_places = shape.dimensions.map((column) => place(column.name)).filter((found) => found >= 0);
  if (at < 0) return { times: [], windows: [], lines: [], whole };

  // Which keys get a line: those with the most over all of the range.
  const sums = new Map<string, { sum: number; row: Value[] }>();
  for (const window of timed) {
    if (!same_columns(window.columns, columns)) continue;
    for (const row of window.rows) {
      const value = row[at];
      if (typeof value !== "number") continue;
      const key = key_of(row, key_places);
      const known = sums.get(key);
      if (known) known.sum += value;
      else sums.set(key, { sum: value, row });
    }
  }
  const ranked = [...sums].sort((a, b) => b[1].sum - a[1].sum);
  const shown = keys ? keys.map((row): [string, { sum: number; row: Value[] }] => {
    // As rows of the result are, so that a label is found as theirs is.
    const full: Value[] = columns.map(() => null);
    key_places.forEach((place, i) => (full[place] = row[i] ?? null));
    const key = key_of(full, key_places);
    return [key, sums.get(key) ?? { sum: 0, row: full }];
  }) : ranked.slice(0, ranked.length <= lines_max + 1 ? lines_max + 1 : lines_max);
  const others = with_other && (keys ? ranked.some(([key]) => !shown.some(([other]) => other === key)) : ranked.length > shown.length);
  // All are there: in the order of their names, so that each keeps its place and colour while amounts change.
  if (!keys && ranked.length === shown.length) shown.sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const rank = new Map(shown.map(([key], i) => [key, i]));
  const lines: Line[] = shown.map(([, { row }]) => ({
    label: shape.dimensions.map((column) => label_of(column, row[place(column.name)] ?? null)).join(" → ") || measure,
    values: [], margins: error_at < 0 ? null : [], other: false,
    key: shape.dimensions.length === 0 ? null : shape.dimensions.map((column) => row[place(column.name)] ?? null),
  }));
  const other: Line = { label: "", values: [], margins: null, other: true, key: null };

  const times: number[] = [];
  const places: (ResultWindow | null)[] = [];
  let before: ResultWindow | null = null;
  for (const window of timed) {
    // Where windows are missing the line is broken: no data is not 0, and not what lies between its neighbours.
    if (before && window.start! - before.end! > (before.end! - before.start!) * 0.5) {
      times.push((before.end! + window.start!) / 2000);
      places.push(null);
      for (const line of lines) {
        line.values.push(null);
        line.margins?.push(null);
      }
      other.values.push(null);
    }
    before = window;
    const seconds = raw_seconds ?? seconds_of(window);
    times.push((window.start! + window.end!) / 2000);
    places.push(window);
    // A key without a row had nothing to count, but where rows are left out or missing nobody knows.
    const nothing = window.truncated || !all_groups ? null : 0;
    const absent = shape.dimensions.length === 0 ? null : nothing;
    for (const line of lines) {
      line.values.push(absent);
      line.margins?.push(null);
    }
    let rest = 0;
    if (same_columns(window.columns, columns)) {
      for (const row of window.rows) {
        const value = row[at];
        if (typeof value !== "number") continue;
        const shown_value = scale.of(value, seconds);
        const line = lines[rank.get(key_of(row, key_places)) ?? -1];
        if (!line) {
          rest += shown_value;
          continue;
        }
        const last = line.values.length - 1;
        line.values[last] = shown_value;
        const error = error_at < 0 ? null : row[error_at];
        if (line.margins && typeof error === "number") line.margins[last] = 1.96 * scale.of(error, seconds);
      }
    }
    other.values.push(rest);
  }
  // A site that a window lacks has no data there.
  const site = shape.dimensions.length === 1 && shape.dimensions[0]!.name === "site";
  if (site) {
    places.forEach((window, i) => {
      for (const line of lines) if (window?.sites_missing.includes(line.label) && line.values[i] === 0) line.values[i] = null;
    });
  }
  return { times, windows: places, lines: others ? [...lines, other] : lines, whole };
}

function same_columns(a: readonly Column[], b: readonly Column[]): boolean {
  return a === b || (a.length === b.length && a.every((column, i) => column.name === b[i]!.name));
}

/** Sums of lines over each other, for a stack: of what is known. Null only where nothing is. */
export function stacked(lines: readonly Line[]): (number | null)[][] {
  const sums: (number | null)[][] = [];
  lines.forEach((line, i) => {
    sums.push(line.values.map((value, at) => {
      if (lines.every((each) => each.values[at] === null)) return null;
      return (sums[i - 1]?.[at] ?? 0) + (value ?? 0);
    }));
  });
  return sums;
}

/** Null: no data, or not all of it. */
export function total_of(picture: Picture, at: number): number | null {
  if (!picture.whole) return null;
  let sum: number | null = null;
  for (const line of picture.lines) {
    const value = line.values[at];
    if (value !== null && value !== undefined) sum = (sum ?? 0) + value;
  }
  return sum;
}

export interface Matrix {
  rows: string[];
  columns: string[];
  /** [row][column]; null: no row of the result. */
  cells: (number | null)[][];
  /** Values behind the names. */
  row_keys: Value[];
  column_keys: Value[];
}

/** The `size` largest of each side by their sums in one window. */
export function matrix_of(window: ResultWindow, shape: Shape, measure: string, scale: Scale, size: number, raw_seconds: number | null = null): Matrix {
  const empty = { rows: [], columns: [], cells: [], row_keys: [], column_keys: [] };
  if (!shape.matrix) return empty;
  const place = (name: string) => window.columns.findIndex((column) => column.name === name);
  const row_at = place(shape.matrix.rows.name), column_at = place(shape.matrix.columns.name), at = place(measure);
  if (row_at < 0 || column_at < 0 || at < 0) return empty;
  const row_sums = new Map<Value, number>(), column_sums = new Map<Value, number>();
  const add = (sums: Map<Value, number>, key: Value, value: number) => sums.set(key, (sums.get(key) ?? 0) + value);
  for (const row of window.rows) {
    const value = row[at];
    if (typeof value !== "number") continue;
    add(row_sums, row[row_at] ?? null, value);
    add(column_sums, row[column_at] ?? null, value);
  }
  const largest = (sums: Map<Value, number>) => [...sums].sort((a, b) => b[1] - a[1]).slice(0, size).map(([key]) => key);
  const rows = largest(row_sums), columns = largest(column_sums);
  const row_rank = new Map(rows.map((key, i) => [key, i])), column_rank = new Map(columns.map((key, i) => [key, i]));
  const cells = rows.map(() => columns.map((): number | null => null));
  const seconds = raw_seconds ?? seconds_of(window);
  for (const row of window.rows) {
    const r = row_rank.get(row[row_at] ?? null), c = column_rank.get(row[column_at] ?? null), value = row[at];
    if (r !== undefined && c !== undefined && typeof value === "number") cells[r]![c] = scale.of(value, seconds);
  }
  const { rows: of_rows, columns: of_columns } = shape.matrix;
  return { rows: rows.map((key) => label_of(of_rows, key)), columns: columns.map((key) => label_of(of_columns, key)), cells, row_keys: rows, column_keys: columns };
}

// What Matrix asks of a query, and the matrix that comes of the answers. Pure.
import { sql_name } from "../api/client";
import type { Column, Query, Value } from "../api/types";
import { label_of } from "../charts/labels";
import type { Matrix } from "../charts/series";
import { similar_order } from "../charts/similar_order";
import { has_all_groups, measure_for, shape_of, overlaps, sides_of, adds_up } from "../charts/shape";
import type { Order } from "../state/view";
import { aggregate_of, type Exploration, literal, where_of } from "./exploration";

export interface Sides {
  rows: Column;
  columns: Column;
  /** Both name the same kind of thing: an AS and an AS. */
  one_domain: boolean;
}

/** Null: it has no two columns to set against each other. `by`: two columns that the reader chose. */
export function sides_for(query: Query, by: readonly string[]): Sides | null {
  const { dimensions } = shape_of(query.columns);
  const [first, second] = by.map((name) => dimensions.find((column) => column.name === name));
  const same = sides_of(dimensions);
  if (first && second && first !== second) {
    const natural = same !== null && same.rows === first && same.columns === second;
    return { rows: first, columns: second, one_domain: natural || (same !== null && same.rows === second && same.columns === first) };
  }
  if (same) return { ...same, one_domain: true };
  const [rows, columns] = dimensions;
  return rows && columns ? { rows, columns, one_domain: false } : null;
}

/** Its columns can be set against each other, and what they have adds up over time. */
export function has_matrix(query: Query): boolean {
  const { measure } = measure_for(shape_of(query.columns), null, "bits");
  return !query.plain && !overlaps(query.text) && sides_for(query, []) !== null && measure !== null && adds_up(measure) && query.columns.some((column) => column.name === "window_start");
}

/** Those with both sides of one domain first, then any two columns; of all groups first. */
export function queries_for_matrix(queries: readonly Query[]): Query[] {
  const rank = (query: Query) => (sides_for(query, [])!.one_domain ? 0 : 2) + (has_all_groups(query.text) ? 0 : 1);
  return queries.filter(has_matrix).sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** The largest of one side. */
export function side_sql(what: Exploration, side: Column, size: number): string {
  const name = sql_name(side.name), measure = sql_name(what.measure);
  return `SELECT ${name}, ${aggregate_of(what.measure)}(${measure}) AS ${measure}\nFROM ${sql_name(what.query)}\nWHERE ${where_of(what)}\nGROUP BY ${name}\nORDER BY ${measure} DESC\nLIMIT ${size}`;
}

function among(column: Column, values: readonly Value[]): string {
  const name = sql_name(column.name), known = values.filter((value) => value !== null).map((value) => literal(column, value));
  const parts = [...(known.length > 0 ? [`${name} IN (${known.join(", ")})`] : []), ...(values.includes(null) ? [`${name} IS NULL`] : [])];
  return parts.length === 1 ? parts[0]! : `(${parts.join(" OR ")})`;
}

/** What those of one side send to those of the other. */
export function cells_sql(what: Exploration, sides: Sides, rows: readonly Value[], columns: readonly Value[]): string {
  const a = sql_name(sides.rows.name), b = sql_name(sides.columns.name), measure = sql_name(what.measure);
  return `SELECT ${a}, ${b}, ${aggregate_of(what.measure)}(${measure}) AS ${measure}\nFROM ${sql_name(what.query)}\nWHERE ${where_of(what)}\n  AND ${among(sides.rows, rows)}\n  AND ${among(sides.columns, columns)}\nGROUP BY ${a}, ${b}\nORDER BY ${measure} DESC`;
}

export interface MatrixData extends Matrix {
  /** Of all that the query has, shown or not; null: not known. */
  row_totals: (number | null)[];
  column_totals: (number | null)[];
  total: number | null;
}

type Rows = readonly (readonly Value[])[];

/** @param rate  of a sum over the range, as it is shown */
export function matrix_data(sides: Sides, rows: Rows, columns: Rows, cells: Rows, total: number | null, whole: boolean, order: Order, rate: (sum: number) => number): MatrixData {
  const number = (value: Value | undefined) => (typeof value === "number" ? rate(value) : null);
  const key = (value: Value | undefined) => JSON.stringify(value ?? null);
  const row_at = new Map(rows.map((row, i) => [key(row[0]), i])), column_at = new Map(columns.map((row, i) => [key(row[0]), i]));
  const all = rows.map(() => columns.map((): number | null => null));
  for (const [a, b, value] of cells) {
    const r = row_at.get(key(a)), c = column_at.get(key(b));
    if (r !== undefined && c !== undefined) all[r]![c] = number(value);
  }
  const row_order = order === "similar" ? similar_order(all) : rows.map((_, i) => i);
  const column_order = order === "similar" ? similar_order(columns.map((_, c) => all.map((row) => row[c]!))) : columns.map((_, i) => i);
  const row_keys = row_order.map((r) => rows[r]![0] ?? null), column_keys = column_order.map((c) => columns[c]![0] ?? null);
  return {
    rows: row_keys.map((value) => label_of(sides.rows, value)),
    columns: column_keys.map((value) => label_of(sides.columns, value)),
    row_keys, column_keys,
    cells: row_order.map((r) => column_order.map((c) => all[r]![c]!)),
    row_totals: row_order.map((r) => (whole ? number(rows[r]![1]) : null)),
    column_totals: column_order.map((c) => (whole ? number(columns[c]![1]) : null)),
    total: whole && total !== null ? rate(total) : null,
  };
}

export interface FlowLink {
  from: string;
  to: string;
  value: number;
  /** Places in the matrix; null: others. */
  row: number | null;
  column: number | null;
}

/** The largest cells, and what else each row sends, where that is known. At most `most`. */
export function flow_links(data: MatrixData, most: number, other: string): FlowLink[] {
  const cells = data.cells.flatMap((row, r) => row.map((value, c) => ({ from: data.rows[r]!, to: data.columns[c]!, value: value ?? 0, row: r, column: c }))).filter((link) => link.value > 0);
  const largest = cells.sort((a, b) => b.value - a.value);
  const links: FlowLink[] = [];
  const rows = new Set<number>();
  for (const link of largest) {
    if (links.length + 1 + rows.size + (rows.has(link.row) ? 0 : 1) > most) break;
    links.push(link);
    rows.add(link.row);
  }
  // Each row's rest: without it a row's height would say that this is all it sends.
  for (const row of rows) {
    const total = data.row_totals[row];
    if (total == null) continue;
    const rest = total - links.filter((link) => link.row === row).reduce((sum, link) => sum + link.value, 0);
    if (rest > total * 1e-9) links.push({ from: data.rows[row]!, to: other, value: rest, row, column: null });
  }
  return links;
}

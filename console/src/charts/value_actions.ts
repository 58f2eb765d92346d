// What can be done with a value of a result: which view looks at it, which statement watches it. Pure.
import { sql_name, sql_text } from "../api/client";
import type { Column, Value } from "../api/types";
import { view_of, type View } from "../state/view";
import { condition_sql, type Condition, with_condition } from "./conditions";

/** Values of a result that belong together: one column's, or those of a whole key. */
export interface Subject {
  query: string;
  /** Of the query. */
  columns: readonly Column[];
  parts: readonly { column: Column; value: Value }[];
  measure: string | null;
  /** Of the measure in one window, where it is known. */
  amount: number | null;
}

/** Null: as what is looked at now is not of this query, its conditions do not stay. */
function filters_here(view: View, query: string): readonly string[] {
  return (view.page === "explore" || view.page === "matrix") && view.query === query ? view.filters : [];
}

/** Explore with rows of this value alone, or without them. */
export function filtered(view: View, subject: Subject, operator: "=" | "!="): View {
  let filters = filters_here(view, subject.query);
  for (const { column, value } of subject.parts) filters = with_condition(filters, { column: column.name, operator, value });
  return explore(view, subject, filters, view.page === "explore" ? view.by : []);
}

export function grouped(view: View, subject: Subject): View {
  return explore(view, subject, filters_here(view, subject.query), subject.parts.map(({ column }) => column.name));
}

function explore(view: View, subject: Subject, filters: readonly string[], by: readonly string[]): View {
  const { units, zone, range, from, until, earlier } = view;
  return { ...view_of("explore", subject.query), units, zone, range, from, until, earlier, measure: view.page === "explore" || view.page === "query" ? view.measure : null, filters, by };
}

/** Two figures, so that nobody takes it for more than it is. */
function rounded(value: number): number {
  return Number(value.toPrecision(2));
}

function name_of(subject: Subject): string {
  const text = ["high", ...subject.parts.map(({ column, value }) => `${column.name} ${value ?? "null"}`)].join(" ").toLowerCase();
  return text.replace(/[^a-z0-9]+/g, "_").slice(0, 48).replace(/_+$/, "");
}

/** A rule over the query's own results (docs/alerts.md); its threshold is to be thought about. */
export function alert_statement(subject: Subject, comment: string): { name: string; text: string } | null {
  const { query, columns, measure, amount } = subject;
  if (measure === null || !columns.some((column) => column.name === "window_start")) return null;
  const conditions: Condition[] = subject.parts.map(({ column, value }) => ({ column: column.name, operator: "=", value }));
  const written = conditions.map((condition) => condition_sql(condition, columns));
  const where = written.map((made) => ("sql" in made ? made.sql : null));
  if (where.length === 0 || where.includes(null)) return null;
  const name = name_of(subject);
  const keys = subject.parts.map(({ column }) => sql_name(column.name)).join(", ");
  const at = sql_name(measure);
  const most = amount === null || amount <= 0 ? 1_000_000 : rounded(amount * 2);
  const summary = `${subject.parts.map(({ column }) => `${column.name} {${column.name}}`).join(", ")}: {${measure}} ${measure}`;
  const text = `-- ${comment.replace(/\s+/g, " ")}
CREATE MATERIALIZED VIEW ${name} WITH (
  "alert.when" = ${sql_text(`${at} > ${most}`)}, "alert.clear" = ${sql_text(`${at} < ${rounded(most * 0.8)}`)}, "alert.for" = '60 s',
  "alert.severity" = 'warning', "alert.summary" = ${sql_text(summary)}) AS
SELECT window_start, ${keys}, sum(${at}) AS ${at}
FROM ${sql_name(query)}
WHERE ${where.join(" AND ")}
GROUP BY window_start, ${keys};`;
  return { name, text };
}

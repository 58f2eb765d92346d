// Conditions that an address has (?f=, one each): column, operator, value; as people read them, and as SQL. Pure.
import { sql_name, sql_text } from "../api/client";
import type { Column, Value } from "../api/types";
import { is_number } from "./shape";

/** "in": an address within a prefix. */
export const OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "contains", "in"] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Condition {
  column: string;
  operator: Operator;
  value: Value;
}

const SHAPE = /^\s*("(?:[^"]|"")*"|[^\s"'=!<>]+)\s*(!=|<=|>=|=|<|>|contains(?=[\s'])|in(?=[\s']))\s*([^]*)$/;

/** Null: it is no condition. Of text the quotes may be left out, which is how people write it. */
export function read_condition(text: string): Condition | null {
  const [, column, operator, rest] = SHAPE.exec(text) ?? [];
  if (column === undefined || rest === undefined) return null;
  const value = value_of(rest.trim());
  if (value === undefined) return null;
  const name = column.startsWith('"') ? column.slice(1, -1).replaceAll('""', '"') : column;
  return name === "" ? null : { column: name, operator: operator as Operator, value };
}

function value_of(text: string): Value | undefined {
  if (text === "") return undefined;
  if (/^'(?:[^']|'')*'$/.test(text)) return text.slice(1, -1).replaceAll("''", "'");
  if (text.startsWith("'")) return undefined;
  if (text === "NULL") return null;
  if (text === "true" || text === "false") return text === "true";
  const number = Number(text);
  // An integer that a number cannot hold stays the text that it was.
  if (/^-?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) && (Number.isSafeInteger(number) || !Number.isInteger(number) || /[.e]/i.test(text))) return number;
  return text;
}

/** read_condition() of it is the condition again. */
export function write_condition({ column, operator, value }: Condition): string {
  return `${name_of(column)} ${operator} ${sql_text(value)}`;
}

/** Quotes are for names that would not be read as one word. */
function name_of(column: string): string {
  return /^[^\s"'=!<>]+$/.test(column) ? column : `"${column.replaceAll('"', '""')}"`;
}

const ADDRESS = /^[0-9a-f:.]{2,45}(\/\d{1,3})?$/i;

const is_address = (column: Column) => column.type === "inet" || column.type === "cidr";

/** Those that mean something for values of the column, the most wanted first. */
export function operators_of(column: Column): readonly Operator[] {
  if (is_address(column)) return ["=", "!=", "in"];
  if (is_number(column)) return ["=", "!=", "<", "<=", ">", ">="];
  if (column.type === "text") return ["=", "!=", "contains"];
  return ["=", "!="];
}

export type Mistake = "column" | "operator" | "value";

/** As a condition of a WHERE over `columns`, or what is wrong with it. */
export function condition_sql({ column: name, operator, value }: Condition, columns: readonly Column[]): { sql: string } | { mistake: Mistake } {
  const column = columns.find((each) => each.name === name);
  if (!column) return { mistake: "column" };
  if (!operators_of(column).includes(operator)) return { mistake: "operator" };
  const left = sql_name(name);
  if (value === null) return operator === "=" ? { sql: `${left} IS NULL` } : operator === "!=" ? { sql: `${left} IS NOT NULL` } : { mistake: "value" };
  let right: string;
  if (is_number(column)) {
    const number = typeof value === "number" ? value : typeof value === "string" && /^-?\d+$/.test(value) ? value : null;
    if (number === null) return { mistake: "value" };
    right = String(number);
  } else if (is_address(column)) {
    if (typeof value !== "string" || !ADDRESS.test(value)) return { mistake: "value" };
    right = `${column.type} ${sql_text(value)}`;
    if (operator === "in") return { sql: `${left} <<= inet ${sql_text(value)}` };
  } else right = column.type === "boolean" ? String(value === true || value === "true") : sql_text(String(value));
  if (operator === "contains") return { sql: `strpos(${left}, ${right}) > 0` };
  // Rows without a value are other than the value: who leaves one out does not mean them.
  if (operator === "!=") return { sql: `${left} IS DISTINCT FROM ${right}` };
  return { sql: `${left} ${operator} ${right}` };
}

export interface Conditions {
  /** To be joined by AND. */
  sql: string[];
  /** Texts that are no conditions over these columns; they are left out, and told. */
  mistakes: { text: string; mistake: Mistake | "text" }[];
}

export function conditions_of(texts: readonly string[], columns: readonly Column[]): Conditions {
  const found: Conditions = { sql: [], mistakes: [] };
  for (const text of texts) {
    const condition = read_condition(text);
    const made = condition ? condition_sql(condition, columns) : { mistake: "text" as const };
    if ("sql" in made) found.sql.push(made.sql);
    else found.mistakes.push({ text, mistake: made.mistake });
  }
  return found;
}

/** Beside those that are there; what says the same of the same column is there once, its opposite leaves. */
export function with_condition(texts: readonly string[], added: Condition): string[] {
  const text = write_condition(added);
  const opposite = added.operator === "=" ? "!=" : added.operator === "!=" ? "=" : null;
  const gone = opposite === null ? "" : write_condition({ ...added, operator: opposite });
  return [...texts.filter((each) => each !== text && each !== gone), text];
}

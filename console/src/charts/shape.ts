// What a result is like, and the picture that fits (docs/console.md, "Charts").
import type { Column } from "../api/types";
import type { ChartName, Units } from "../state/view";
import { quantity_of } from "../words/format";

export interface Shape {
  /** Columns that tell rows of a window apart. */
  dimensions: Column[];
  /** Columns that can be drawn. */
  measures: Column[];
  /** Neither: times, intervals, texts beside a key. */
  attributes: Column[];
  /** By measure: the column with its standard error under sampling. */
  errors: ReadonlyMap<string, string>;
  /** Two dimensions of one domain: a matrix. Null: it is none. */
  matrix: { rows: Column; columns: Column } | null;
}

const NUMBERS = /^(smallint|integer|bigint|real|double precision|numeric)/;
export const is_number = (column: Column) => NUMBERS.test(column.type);
/** Numbers that name something. */
const NAMES = /(^|_)(as|asn|port|protocol|if|ip_version|dscp|tos|vlan|tcp_flags|icmp_type|icmp_code|version|sampling_rate|domain)$/;
const SIDES: readonly (readonly [string, string])[] = [["src", "dst"], ["in", "out"], ["from", "to"], ["entry", "exit"]];

function other_side(name: string): string | null {
  for (const [one, other] of SIDES) {
    if (name.startsWith(`${one}_`)) return `${other}_${name.slice(one.length + 1)}`;
    if (name.endsWith(`_${one}`)) return `${name.slice(0, -one.length)}${other}`;
  }
  return null;
}

/** Two columns of one domain, what sends first: "src_as" and "dst_as". Null: there are none. */
export function sides_of(columns: readonly Column[]): { rows: Column; columns: Column } | null {
  for (const rows of columns) {
    const second = columns.find((column) => column.name === other_side(rows.name));
    if (second) return { rows, columns: second };
  }
  return null;
}

export function shape_of(columns: readonly Column[]): Shape {
  const errors = new Map<string, string>();
  for (const column of columns) if (column.stderr_of !== undefined) errors.set(column.stderr_of, column.name);
  // A statement without GROUP BY has every column in its key: the mark then tells nothing.
  const told = columns.some((column) => column.key === true) && columns.some((column) => is_number(column) && column.key !== true);
  const dimensions: Column[] = [], measures: Column[] = [], attributes: Column[] = [];
  const names = new Set(columns.map((column) => column.name));
  for (const column of columns) {
    const { name } = column;
    // Of tiers: maxima stand beside their averages, and are not drawn by default.
    if (name === "window_start" || name === "window_end" || name.startsWith("_") || column.stderr_of !== undefined) continue;
    if (is_number(column)) {
      const names_something = quantity_of(name).kind === "count" && NAMES.test(name);
      if (told ? column.key === true : names_something) dimensions.push(column);
      else if (name.endsWith("_max") && names.has(name.slice(0, -4))) attributes.push(column);
      else if (names_something) attributes.push(column);
      else measures.push(column);
    } else if (column.type.startsWith("timestamp") || column.type === "interval") attributes.push(column);
    else if (!told || column.key === true) dimensions.push(column);
    else attributes.push(column);
  }
  const [first, second] = dimensions;
  const matrix = dimensions.length === 2 && first && second && other_side(first.name) === second.name ? { rows: first, columns: second } : null;
  return { dimensions, measures, attributes, errors, matrix };
}

/** Values of such a measure may be added: a stack of them is their sum. Of distinct counts it would be a lie. */
export function adds_up(measure: string): boolean {
  return ["octets", "packets", "flows"].includes(quantity_of(measure).kind);
}

/**
 * Whether a result has every group that had a row: then one that is not in a window had none. LIMIT and HAVING leave
 * groups out, and what those had nobody knows.
 * @param text  the statement
 */
export function has_all_groups(text: string): boolean {
  return !/\b(LIMIT|HAVING)\b/i.test(bare_text(text));
}

/** Without comments, literals and quoted names. */
function bare_text(text: string): string {
  return text.replace(/--[^\n]*|\/\*[^]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"/g, " ");
}

/** Its windows overlap (hop): what they have is in several, and must not be added over time. */
export function overlaps(text: string): boolean {
  return /\bhop\s*\(/i.test(bare_text(text));
}

export function main_measure(shape: Shape): string | null {
  return (shape.measures.find((column) => adds_up(column.name)) ?? shape.measures[0])?.name ?? null;
}

export interface Measured {
  measure: string | null;
  /** Packets are wanted, and the result has none: it is shown in bits, and that is told. */
  lacks_packets: boolean;
}

/** What is drawn: of traffic its packets where the reader wants those. `asked`: a column; null or no measure: the main one. */
export function measure_for(shape: Shape, asked: string | null, units: Units): Measured {
  const measure = shape.measures.some((column) => column.name === asked) ? asked : main_measure(shape);
  const kind = measure === null ? null : quantity_of(measure).kind;
  const of_kind = (wanted: string) => shape.measures.filter((column) => quantity_of(column.name).kind === wanted);
  const same_side = (columns: Column[]) => columns.find((column) => column.name === measure?.replace(/octets|bytes|bits/, "packets")) ?? columns[0];
  if (units === "packets" && kind === "octets") {
    const packets = same_side(of_kind("packets"));
    return packets ? { measure: packets.name, lacks_packets: false } : { measure, lacks_packets: true };
  }
  // Nobody asked for packets: traffic is what comes first.
  if (units !== "packets" && kind === "packets" && asked === null) return { measure: of_kind("octets")[0]?.name ?? measure, lacks_packets: false };
  return { measure, lacks_packets: false };
}

/** The first is what is shown unless the reader asks for another. */
export function charts_of(shape: Shape, measure: string | null): ChartName[] {
  if (measure === null) return ["table"];
  const over_time: ChartName[] = shape.dimensions.length > 0 && adds_up(measure) ? ["area", "lines"] : ["lines"];
  return shape.matrix ? ["matrix", ...over_time, "table"] : [...over_time, "table"];
}

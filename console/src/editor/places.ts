// Where something is in a text: the server counts lines and characters, an editor UTF-16 units. Pure.
import type { Problem } from "../api/types";

export interface Part {
  from: number;
  until: number;
}

/** UTF-16 offset of a line and column, both from 1, the column in code points; a place beyond the text is its end. */
export function offset_of(text: string, line: number, column: number): number {
  let start = 0;
  for (let i = 1; i < line; ++i) {
    const end = text.indexOf("\n", start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  let at = start;
  for (let i = 1; i < column && at < text.length && text[at] !== "\n"; ++i) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return at;
}

/** Null: the problem has no place, whatever its status (42704 comes as 404). Never empty: a mark has to be seen. */
export function part_of(text: string, problem: Problem): Part | null {
  if (problem.line === undefined || problem.column === undefined) return null;
  const from = offset_of(text, problem.line, problem.column);
  const until = problem.end_line === undefined || problem.end_column === undefined ? from : offset_of(text, problem.end_line, problem.end_column);
  if (until > from) return { from, until };
  const width = from < text.length ? (text.codePointAt(from)! > 0xffff ? 2 : 1) : 0;
  return width > 0 && text[from] !== "\n" ? { from, until: from + width } : { from: Math.max(0, from - 1), until: from };
}

// What may stand where the cursor is: columns of what the statement reads, names, functions and key words. Pure.
import { sql_name } from "../api/client";
import type { Relation } from "../api/types";
import { name_of, type Token, tokens_of } from "./scan";

export interface Offer {
  /** What is looked for and shown. */
  label: string;
  /** What is written in place of [from, cursor). */
  apply: string;
  kind: "column" | "relation" | "function" | "keyword";
  /** Beside it: a type, or what kind of relation. */
  detail: string;
  /** Larger comes first. */
  boost: number;
  /** Characters of `apply` that the cursor stands before. */
  back?: number;
}

export interface Offers {
  from: number;
  /** Of the text that these replace, up to the cursor and the closing quote behind it. */
  until: number;
  offers: Offer[];
}

/** As docs/sql.md has them (test/editor.test.mjs compares). */
export const FUNCTIONS = ("abs ceil ceiling div exp floor ln log log10 mod pow power round sign sqrt trunc btrim char_length left length lower lpad ltrim octet_length position replace right rpad rtrim " +
  "split_part starts_with strpos substr substring upper abbrev broadcast family host hostmask inet_merge inet_same_family masklen netmask network set_masklen text date_bin date_part date_trunc extract " +
  "to_timestamp count sum avg min max stddev stddev_samp stddev_pop variance var_samp var_pop bool_and every bool_or bit_and bit_or bit_xor percentile_cont percentile_disc approx_count_distinct " +
  "approx_percentile topk entropy first last sum_stderr row_number rank dense_rank percent_rank cume_dist ntile first_value nth_value last_value lag lead counter_delta ewma coalesce nullif greatest least " +
  "tumble hop session spread").split(" ");
const KEYWORDS = ("SELECT DISTINCT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET AS AND OR NOT NULL IS IN LIKE ILIKE BETWEEN CASE WHEN THEN ELSE END CAST interval FILTER OVER PARTITION WINDOW " +
  "JOIN LEFT RIGHT FULL INNER CROSS ON USING UNION ALL WITH EXISTS ASC DESC NULLS CREATE MATERIALIZED VIEW ANY ARRAY WITHIN AT TIME ZONE ROWS RANGE PRECEDING FOLLOWING UNBOUNDED TRUE FALSE").split(" ");

/** Names of relations, and what they are called in FROM: "flows f", "tumble(flows, …) AS t". */
function read_by(text: string, tokens: readonly Token[], relations: ReadonlyMap<string, Relation>): { used: Set<string>; aliases: Map<string, string> } {
  const used = new Set<string>(), aliases = new Map<string, string>();
  const real = tokens.filter(({ kind }) => kind !== "space" && kind !== "comment");
  const of = (token: Token | undefined) => (token?.kind === "word" || token?.kind === "name" ? name_of(text, token) : "");
  const sign = (token: Token | undefined) => (token?.kind === "sign" ? text[token.from]! : "");
  real.forEach((token, i) => {
    const name = of(token);
    const before = of(real[i - 1]), opened = sign(real[i - 1]) === "(";
    const called = opened && /^(tumble|hop|session|spread)$/.test(of(real[i - 2]));
    if (!relations.has(name) || !(/^(from|join)$/.test(before) || sign(real[i - 1]) === "," || called)) return;
    if (sign(real[i + 1]) === ".") return;
    used.add(name);
    aliases.set(name, name);
    let next = i + 1;
    if (called) {
      let depth = 1;
      for (; next < real.length && depth > 0; ++next) depth += sign(real[next]) === "(" ? 1 : sign(real[next]) === ")" ? -1 : 0;
    }
    if (of(real[next]) === "as") ++next;
    const alias = of(real[next]);
    if (alias !== "" && !KEYWORDS.includes(alias.toUpperCase())) aliases.set(alias, name);
  });
  return { used, aliases };
}

/** Null: nothing fits here, as in a comment or in a text of the statement. */
export function offers_at(text: string, cursor: number, relations: readonly Relation[]): Offers | null {
  const tokens = tokens_of(text);
  const at = tokens.findIndex((token) => token.from < cursor && (token.until > cursor || (token.until === cursor && token.kind !== "space" && !(token.kind === "name" && token.closed) && !(token.kind === "comment" && token.closed))));
  const token = tokens[at];
  if (token && (token.kind === "comment" || token.kind === "text")) return null;
  const quoted = token?.kind === "name";
  const inside = token && (token.kind === "word" || quoted) ? token : undefined;
  const from = inside ? inside.from : cursor;
  const until = inside && quoted && inside.closed ? inside.until : cursor;
  const before = tokens.slice(0, inside ? at : tokens.findIndex((each) => each.from >= cursor) < 0 ? undefined : tokens.findIndex((each) => each.from >= cursor)).filter(({ kind }) => kind !== "space" && kind !== "comment");
  const known = new Map(relations.map((relation) => [relation.name, relation]));
  const { used, aliases } = read_by(text, tokens, known);
  const written = (name: string) => (quoted ? `"${name.replaceAll('"', '""')}"` : sql_name(name));
  const columns_of = (relation: Relation, boost: number): Offer[] =>
    relation.columns.map((column) => ({ label: column.name, apply: written(column.name), kind: "column", detail: `${column.type} · ${relation.name}`, boost }));
  const dot = before[before.length - 1], owner = before[before.length - 2];
  if (dot?.kind === "sign" && text[dot.from] === "." && owner && (owner.kind === "word" || owner.kind === "name")) {
    const name = name_of(text, owner);
    const relation = known.get(aliases.get(name) ?? name);
    return relation ? { from, until, offers: columns_of(relation, 10) } : null;
  }
  const offers: Offer[] = [];
  const taken = new Set<string>();
  for (const name of used) {
    for (const offer of columns_of(known.get(name)!, 10)) {
      if (!taken.has(offer.label)) offers.push(offer);
      taken.add(offer.label);
    }
  }
  if (used.size > 0) for (const name of ["window_start", "window_end"]) if (!taken.has(name)) offers.push({ label: name, apply: written(name), kind: "column", detail: "", boost: 9 });
  const wants_relation = dot !== undefined && dot.kind === "word" && /^(from|join)$/i.test(text.slice(dot.from, dot.until));
  for (const relation of relations) offers.push({ label: relation.name, apply: written(relation.name), kind: "relation", detail: relation.kind, boost: wants_relation ? 20 : 2 });
  if (!quoted) {
    for (const name of FUNCTIONS) offers.push({ label: name, apply: `${name}(`, kind: "function", detail: "", boost: 1 });
    for (const word of KEYWORDS) offers.push({ label: word, apply: word, kind: "keyword", detail: "", boost: 0 });
  }
  return { from, until, offers };
}

// What a place of a statement is in: enough of SQL's tokens to complete names and to find where a SELECT begins. Pure.

export type Kind = "space" | "word" | "name" | "text" | "comment" | "sign";

export interface Token {
  kind: Kind;
  from: number;
  until: number;
  /** It ends where it should; a name in quotes at the end of what is typed does not yet. */
  closed: boolean;
}

const NEXT = /(\s+)|(--[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?)|([Ee]?'(?:[^']|'')*'?)|("(?:[^"]|"")*"?)|([\p{L}_][\p{L}\p{N}_$]*)|([^])/guy;

export function tokens_of(text: string): Token[] {
  const found: Token[] = [];
  for (const match of text.matchAll(NEXT)) {
    const from = match.index, whole = match[0];
    const kind: Kind = match[1] !== undefined ? "space" : match[2] !== undefined ? "comment" : match[3] !== undefined ? "text" : match[4] !== undefined ? "name" : match[5] !== undefined ? "word" : "sign";
    const closed = kind === "name" ? whole.length > 1 && whole.endsWith('"') && (whole.length - whole.replaceAll('"', "").length) % 2 === 0
      : kind === "text" ? whole.length > 1 && whole.endsWith("'") && (whole.length - whole.replaceAll("'", "").length) % 2 === 0
      : kind === "comment" ? whole.startsWith("--") ? false : whole.length > 3 && whole.endsWith("*/") : true;
    found.push({ kind, from, until: from + whole.length, closed });
  }
  return found;
}

/** As the catalog knows it: without quotes, or in lower case. */
export function name_of(text: string, token: Token): string {
  const written = text.slice(token.from, token.until);
  return token.kind === "name" ? written.slice(1, token.closed ? -1 : undefined).replaceAll('""', '"') : written.toLowerCase();
}

const is_word = (text: string, token: Token | undefined, word: string) =>
  token?.kind === "word" && text.slice(token.from, token.until).toUpperCase() === word;

/** Whether the text itself says what the query is called: CREATE … VIEW name. Null: it does not. */
export function created_name(text: string): string | null {
  const tokens = tokens_of(text).filter(({ kind }) => kind !== "space" && kind !== "comment");
  if (!is_word(text, tokens[0], "CREATE")) return null;
  const view = tokens.findIndex((token) => is_word(text, token, "VIEW"));
  let at = view + 1;
  if (is_word(text, tokens[at], "IF")) at += 3;
  const name = tokens[at];
  return view < 0 || (name?.kind !== "word" && name?.kind !== "name") ? null : name_of(text, name);
}

/** The SELECT of CREATE … VIEW … AS SELECT; other texts as they are. For who wants to see rows before anything is kept. */
export function select_of(text: string): string {
  const tokens = tokens_of(text).filter(({ kind }) => kind !== "space" && kind !== "comment");
  if (!is_word(text, tokens[0], "CREATE")) return text;
  let depth = 0;
  for (const [i, token] of tokens.entries()) {
    const sign = token.kind === "sign" ? text[token.from] : "";
    depth += sign === "(" ? 1 : sign === ")" ? -1 : 0;
    if (depth === 0 && is_word(text, token, "AS") && tokens[i + 1]) return text.slice(tokens[i + 1]!.from);
  }
  return text;
}

// What one does with queries.
import { ask, get, post } from "./client";
import type { Done, Query, Relation, Version } from "./types";

const path_of = (name: string) => `/queries/${encodeURIComponent(name)}`;

/** What is sent of a query; a name that the text has itself, or that the path has, may be absent. */
export interface QueryText {
  text: string;
  name?: string;
  comment?: string;
}

/** Whether a text is a diagram in Borealis XML, not SQL. */
export const is_xml = (text: string): boolean => /^\uFEFF?\s*</.test(text);

interface Edited {
  done: Done[];
  query: Query;
}

async function edit<T>(method: string, path: string, revision: number | null, body?: QueryText): Promise<T> {
  const headers: Record<string, string> = {};
  if (revision !== null) headers["If-Match"] = `"${revision}"`;
  if (body) headers["Content-Type"] = "application/json";
  return (await ask(path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })).json() as Promise<T>;
}

export const queries = {
  relations: async () => (await get<{ relations: Relation[] }>("/relations")).relations,
  history: async (name: string) => (await get<{ versions: Version[] }>(`${path_of(name)}/history`)).versions,
  /** What it would come to; throws a Refusal, most often with a place in the text. */
  validate: async (query: QueryText, signal?: AbortSignal) => (await post<{ done: Done[] }>("/validate", query, signal)).done,
  /**
   * @param options  as in EXPLAIN (…)
   * @param name     of a diagram: which output stream is meant
   */
  explain: async (text: string, options: string, name = "") => (await post<{ plan: string }>("/explain", { text, options, name })).plan,
  /** The same query in SQL; a Refusal where SQL has no words for it. */
  in_sql: async (text: string, name = "") => (await post<{ text: string }>("/explain", { text, as: "sql", name })).text,
  add: (query: QueryText) => edit<Edited>("POST", "/queries", null, query),
  /** @param revision  that one has seen; another one is there: status 412 */
  put: (name: string, query: QueryText, revision: number) => edit<Edited>("PUT", path_of(name), revision, query),
  drop: (name: string, revision: number) => edit<{ done: Done[] }>("DELETE", path_of(name), revision),
  pause: (name: string) => edit<{ done: Done[] }>("POST", `${path_of(name)}/pause`, null),
  resume: (name: string) => edit<{ done: Done[] }>("POST", `${path_of(name)}/resume`, null),
  /** Names of publications that send the query's rows on. */
  sinks_of: async (name: string) => (await get<{ sinks: { name: string; query: string }[] }>("/sinks")).sinks.filter((sink) => sink.query === name).map((sink) => sink.name),
};

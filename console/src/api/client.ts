// Asks /api/v1. Knows the token of this tab, and nothing of pages.
import { signal } from "@preact/signals";
import { type Latency, latencies_of } from "./metrics";
import type { Alert, Exporter, Problem, Query, Results, Session, Status, Tier, Time, Value, Whoami, Why } from "./types";

const TOKEN_KEY = "backstream.token";
const API = "/api/v1";

/** What the server, or the way to it, refused. */
export class Refusal extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
  get status(): number {
    return this.problem.status;
  }
}

/** Status of a Refusal when nobody answered. */
export const NOBODY = 0;

/** Alerts that fire, as the last answer about alerts had them. Null: nobody has asked, or may not. */
export const firing = signal<number | null>(null);
export let alerts_heard_at = 0;

export function hear_alerts(alerts: readonly Alert[]): void {
  firing.value = alerts.filter((alert) => alert.state === "firing").length;
  alerts_heard_at = Date.now();
}

/** Set by the first 401: the page to sign in is before all others, and nothing is asked meanwhile. */
export const signed_out = signal(false);

/** For what cannot go on before: it begins again then. */
export function when_signed_in(): Promise<void> {
  return new Promise((resolve) => {
    const stop = signed_out.subscribe((out) => {
      if (out) return;
      resolve();
      queueMicrotask(() => stop());
    });
  });
}

// A tab's own: gone when it is closed, and never sent by the browser by itself (docs/design/0035-console.md).
export function token(): string | null {
  return sessionStorage.getItem(TOKEN_KEY);
}

/** Keeps a token that the server knows, and tells whose it is; throws a Refusal for one that it does not. */
export async function keep_token(text: string): Promise<Whoami> {
  const candidate = text.trim();
  const answer = await ask("/whoami", { headers: { Authorization: `Bearer ${candidate}` } });
  sessionStorage.setItem(TOKEN_KEY, candidate);
  return (await answer.json()) as Whoami;
}

export function forget_token(): void {
  sessionStorage.removeItem(TOKEN_KEY);
}

/** fetch() of a path behind /api/v1, or of an absolute one with `root` "". Throws a Refusal for all but 2xx. */
export async function ask(path: string, init: RequestInit = {}, root = API): Promise<Response> {
  const headers = new Headers(init.headers);
  const mine = token();
  if (!headers.has("Authorization")) {
    // A token that has expired is not sent again and again: who does so looks as if he were guessing.
    if (signed_out.value) throw new Refusal({ title: "Unauthorized", status: 401 });
    if (mine !== null) headers.set("Authorization", `Bearer ${mine}`);
  }
  let response: Response;
  try {
    response = await fetch(root + path, { ...init, headers, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refusal({ title: "No answer", status: NOBODY });
  }
  if (response.ok) return response;
  let problem: Problem = { title: response.statusText, status: response.status };
  try {
    problem = { ...problem, ...((await response.json()) as Problem) };
  } catch {
    // Not from the daemon: a proxy's page. The status says enough.
  }
  if (response.status === 401) signed_out.value = true;
  throw new Refusal(problem);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask(path, signal ? { signal } : {})).json() as Promise<T>;
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await ask(path, signal ? { ...init, signal } : init)).json() as Promise<T>;
}

const path_of = (name: string) => `/queries/${encodeURIComponent(name)}`;

export interface ResultRange {
  from?: Time;
  until?: Time;
  after?: number;
  limit?: number;
  tier?: Tier;
}

export function results_path(name: string, range: ResultRange): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(range)) if (value !== undefined) parameters.set(key, String(value));
  const text = parameters.toString();
  return `${path_of(name)}/results${text === "" ? "" : `?${text}`}`;
}

export const api = {
  status: () => get<Status>("/status"),
  whoami: () => get<Whoami>("/whoami"),
  queries: async () => (await get<{ queries: Query[] }>("/queries")).queries.filter((query) => !query.temporary),
  query: (name: string) => get<Query>(path_of(name)),
  why: (name: string) => get<Why>(`${path_of(name)}/why`),
  results: (name: string, range: ResultRange, signal?: AbortSignal) => get<Results>(results_path(name, range), signal),
  exporters: async () => (await get<{ exporters: Exporter[] }>("/exporters")).exporters,
  alerts: async () => {
    const { alerts } = await get<{ alerts: Alert[] }>("/alerts");
    hear_alerts(alerts);
    return alerts;
  },
  /** Empty where /metrics is closed, as it is for who sees some rows only: a list of queries does without. */
  latencies: async () => {
    try {
      return latencies_of(await (await ask("/metrics", {}, "")).text());
    } catch (error) {
      if (error instanceof Refusal && error.status !== NOBODY && error.status !== 401) return new Map<string, Latency>();
      throw error;
    }
  },
  open_session: (text: string, signal?: AbortSignal) => post<Session>("/sessions", { text }, signal),
  /** Without waiting: it ends by itself 10 s after nobody reads it. */
  end_session: (name: string) => void ask(`/sessions/${encodeURIComponent(name)}`, { method: "DELETE" }).catch(() => {}),
};

/** As a literal of our SQL. */
export function sql_text(value: Value): string {
  if (value === null) return "NULL";
  if (typeof value === "string") return `'${value.replaceAll("'", "''")}'`;
  return String(value);
}

/** A name that needs no quotes stays without. */
export function sql_name(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

// What the page System asks: nodes, sinks, checks, who changed what, tokens.
import { ask, get, post } from "./client";
import type { AuditEntry, Doctor, Node, Role, Sink, Token } from "./types";

const segment = encodeURIComponent;

export interface TokenBody {
  name: string;
  role: Role;
  expires_in_seconds: number;
  row_filter?: string;
}

/** A page of the audit. */
export const AUDIT_ENTRIES = 200;

export const system = {
  nodes: async () => (await get<{ nodes: Node[] }>("/nodes")).nodes,
  drain: (name: string) => post<unknown>(`/nodes/${segment(name)}/drain`, {}),
  sinks: async () => (await get<{ sinks: Sink[] }>("/sinks")).sinks,
  test_sink: async (name: string) => (await post<{ found: string }>(`/sinks/${segment(name)}/test`, {})).found,
  replay_sink: (name: string, from: string, until: string) => {
    const range = new URLSearchParams({ ...(from === "" ? {} : { from }), ...(until === "" ? {} : { until }) });
    return post<unknown>(`/sinks/${segment(name)}/replay?${range}`, {});
  },
  doctor: () => get<Doctor>("/doctor"),
  /** Newest first. `before`: of lower revisions. */
  audit: async (before?: number) =>
    (await get<{ entries: AuditEntry[] }>(`/audit?limit=${AUDIT_ENTRIES}${before === undefined ? "" : `&before=${before}`}`)).entries,
  tokens: async () => (await get<{ tokens: Token[] }>("/tokens")).tokens,
  /** The secret is in this answer, and in no other. */
  create_token: (body: TokenBody) => post<Token & { token: string }>("/tokens", body),
  revoke_token: (name: string) => ask(`/tokens/${segment(name)}`, { method: "DELETE" }),
  export_catalog: async () => (await ask("/catalog/export")).text(),
  metrics: async () => (await ask("/metrics", {}, "")).text(),
  /** A line a setting that has changed. */
  reload: async () => (await ask("/-/reload", { method: "POST" }, "")).text(),
};

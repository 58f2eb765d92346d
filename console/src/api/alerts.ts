// Questions of the pages about alerts.
import { ask, get, hear_alerts, post } from "./client";
import type { Alert, AlertRule, Endpoint, Silence } from "./types";

export interface AlertsNow {
  alerts: Alert[];
  rule_states: AlertRule[];
  silences: Silence[];
  endpoints: Endpoint[];
}

export interface TestResult {
  endpoint: string;
  result: "delivered" | "refused" | "waiting";
  error: string | null;
}

export interface NewSilence {
  /** A rule; "*": all. */
  alert: string;
  /** Empty: all keys. */
  key: string;
  seconds: number;
  comment: string;
}

const path_of = (id: string) => `/alerts/${encodeURIComponent(id)}`;

export const alerts_api = {
  now: async () => {
    const now = await get<AlertsNow>("/alerts");
    hear_alerts(now.alerts);
    return now;
  },
  /** Those that are over and lay after `from` (ms) with some of their time, the last that ended first. */
  ended: (from: number, limit: number) => get<{ alerts: Alert[]; more: boolean }>(`/alerts/ended?${new URLSearchParams({ from: new Date(from).toISOString(), limit: String(limit) })}`),
  one: (id: string) => get<Alert>(path_of(id)),
  acknowledge: (id: string, comment: string) => post<Alert>(`${path_of(id)}/ack`, { comment }),
  silence: (silence: NewSilence) => post<Silence>("/silences", silence),
  end_silence: (id: number) => ask(`/silences/${id}`, { method: "DELETE" }),
  /** Waits up to 15 s for what becomes of it. */
  test: async (endpoint: string) => (await post<{ results: TestResult[] }>("/alerts/test", { endpoint })).results,
  drop_rule: (name: string) => ask(`/queries/${encodeURIComponent(name)}`, { method: "DELETE" }),
};

// What was when: alerts as spans and marks on lanes, a lane for each key of a rule. Pure.
import type { Alert } from "../api/types";

export type Phase = "pending" | "firing" | "recovering";

export interface Span {
  phase: Phase;
  /** ms since the epoch, of event time. */
  from: number;
  until: number;
  /** It goes on. */
  open: boolean;
}

export interface Mark {
  kind: "told" | "told_over" | "acknowledged";
  /** ms, by the clock. */
  at: number;
  /** Endpoints, or who. */
  who: string;
}

export interface Lane {
  rule: string;
  key_text: string;
  /** The newest of its alerts first. */
  alerts: Alert[];
}

export const PHASES: readonly Phase[] = ["pending", "firing", "recovering"];
const SEVERITIES: Record<Alert["severity"], number> = { info: 0, warning: 1, critical: 2, page: 3 };
const STATES: Record<Alert["state"], number> = { firing: 3, recovering: 2, pending: 1, ended: 0 };

const ms = (time: string | null) => (time === null ? null : Date.parse(time));

/** What is worst first: those that fire, then by severity, then the newest. */
export function by_urgency(a: Alert, b: Alert): number {
  return STATES[b.state] - STATES[a.state] || SEVERITIES[b.severity] - SEVERITIES[a.severity] || Date.parse(b.starts_at) - Date.parse(a.starts_at) || a.key_text.localeCompare(b.key_text, "en", { numeric: true });
}

/**
 * The times that an alert was pending, firing and recovering. A rule without `for` fires with the end of the first
 * window, one without `keep_firing_for` ends with the first that has nothing: that one window is no wait.
 */
export function spans_of(alert: Alert, now: number): Span[] {
  const from = Date.parse(alert.starts_at);
  const end = ms(alert.ends_at) ?? Math.max(now, Date.parse(alert.window_end));
  const window = Date.parse(alert.window_end) - Date.parse(alert.window_start);
  const fired = ms(alert.fired_at), recovering = ms(alert.recovering_since);
  const open = alert.ends_at === null;
  if (fired === null) return [{ phase: "pending", from, until: end, open }];
  const begins = fired - from > window ? fired : from;
  const ends = recovering !== null && (open || end - recovering > window) ? Math.max(recovering, begins) : end;
  const spans: Span[] = [];
  if (begins > from) spans.push({ phase: "pending", from, until: begins, open: false });
  spans.push({ phase: "firing", from: begins, until: ends, open: open && ends === end });
  if (ends < end) spans.push({ phase: "recovering", from: ends, until: end, open });
  return spans;
}

/** What people did and were told. */
export function marks_of(alert: Alert): Mark[] {
  const marks: Mark[] = [];
  for (const notice of alert.notices) {
    if (notice.at === null || notice.endpoints.length === 0) continue;
    marks.push({ kind: notice.state === "firing" ? "told" : "told_over", at: Date.parse(notice.at), who: notice.endpoints.join(", ") });
  }
  if (alert.acknowledged) marks.push({ kind: "acknowledged", at: Date.parse(alert.acknowledged.at), who: alert.acknowledged.by });
  return marks;
}

/** Those of which some lies after `from`; lanes whose newest alert is worst first. An alert that is in both is as it is now. */
export function lanes_of(now: readonly Alert[], ended: readonly Alert[], from: number): Lane[] {
  const lanes = new Map<string, Lane>();
  const seen = new Set<string>();
  for (const alert of [...now, ...ended]) {
    if (seen.has(alert.id) || (alert.ends_at !== null && Date.parse(alert.ends_at) <= from)) continue;
    seen.add(alert.id);
    const key = JSON.stringify([alert.alert, alert.more > 0 ? null : alert.key_text]);
    const lane = lanes.get(key);
    if (lane) lane.alerts.push(alert);
    else lanes.set(key, { rule: alert.alert, key_text: alert.key_text, alerts: [alert] });
  }
  for (const lane of lanes.values()) lane.alerts.sort((a, b) => Date.parse(b.starts_at) - Date.parse(a.starts_at));
  return [...lanes.values()].sort((a, b) => by_urgency(a.alerts[0]!, b.alerts[0]!));
}

/** Times at which an axis of `width` marks is labelled: on whole minutes, hours or days. */
export function axis_times(from: number, until: number, marks: number): number[] {
  const minute = 60_000;
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880].map((minutes) => minutes * minute);
  const step = steps.find((each) => (until - from) / each <= marks) ?? 7 * 1_440 * minute;
  const times: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= until; at += step) times.push(at);
  return times;
}

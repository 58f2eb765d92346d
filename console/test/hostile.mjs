// A daemon in which every text means harm: for tests of what pages do with texts.

/** Markup, quotes, an entity, a direction, and what templates of several kinds would run. */
export const HOSTILE = `<img src=x onerror="window.hurt=1">'"&amp;\u202e{{x}}\${window.hurt=1}`;

/** For false_daemon(): what it answers to a path behind /api/v1. */
export function hostile_answers() {
  const at = new Date(Date.now() - 20_000).toISOString(), later = new Date(Date.now() + 3_600_000).toISOString();
  const columns = [{ name: "window_start", type: "timestamp with time zone" }, { name: HOSTILE, type: "text", key: true }, { name: "octets", type: "bigint" }];
  const query = {
    name: HOSTILE, version: 1, incarnation: 1, revision: 1, changed_at: at, owner: HOSTILE, comment: HOSTILE, state: "running", reason: HOSTILE, plain: false, text: HOSTILE, reads: [HOSTILE],
    columns, placement: { where: "auto", sites: [HOSTILE], filters: {}, absent_sites: "mark" }, ledger: null, lag_seconds: 3, state_octets: 9, groups: 9, collecting_since: at,
  };
  const window = { query: HOSTILE, version: 1, seq: 1, window_start: at, window_end: new Date(Date.parse(at) + 10_000).toISOString(), revision: 1, final: true, complete: false, sites_missing: [HOSTILE], part: 0, last: true, rows_total: 1, truncated: false, columns, rows: [[at, HOSTILE, 1e9]] };
  const alert = {
    id: "a1", state: "firing", alert: HOSTILE, severity: "critical", starts_at: at, ends_at: null, key: { [HOSTILE]: HOSTILE }, key_text: HOSTILE, value_column: HOSTILE, value: 1, threshold: HOSTILE, more: 0, window_start: at, window_end: at,
    complete: false, sites_missing: [HOSTILE], sampling: HOSTILE, query: HOSTILE, url: "javascript:window.hurt=1", title: HOSTILE, message: HOSTILE, silenced: true, acknowledged: { by: HOSTILE, at, comment: HOSTILE },
    labels: { [HOSTILE]: HOSTILE }, fired_at: at, recovering_since: null, notices: [{ state: "firing", at, endpoints: [HOSTILE] }],
  };
  const zeros = { datagrams: 0, octets: 0, records: 0, flows: 0, kernel_drops: 0, not_allowed: 0, rejected: 0, awaiting_template: 0, missing: 0 };
  const answers = {
    "/status": {
      version: HOSTILE, node: HOSTILE, site: HOSTILE, roles: ["receiver"], started_at: at, now: at, ready: false, not_ready: [HOSTILE], listeners: [{ address: HOSTILE, receive_buffer_octets: 1, datagrams: 0, kernel_drops: 0 }],
      ingest: zeros, rates: { datagrams: 0, flows: 0, octets: 0 }, watermark: { event: at, arrival: at, lag_seconds: 3, held_by: HOSTILE }, queries: { running: 1, paused: 0, failed: 0, plain: 0 }, exporters: { known: 1, sending: 1 },
      edges: [{ node: HOSTILE, site: HOSTILE, absent: true, heard_at: at }], catalog: { revision: 1 }, checkpoint: { at, octets: 1 }, history: { octets: 1, oldest: at, trouble: HOSTILE }, outages: [{ from: at, until: at, clean: false }], clients: { streams: 0, sessions: 0 },
    },
    "/whoami": { name: HOSTILE, role: "admin", row_filter: "", expires_at: null, by: "token" },
    "/queries": { queries: [query] },
    "/relations": { relations: [{ name: HOSTILE, kind: "stream", columns: [{ name: HOSTILE, type: "text" }], comment: HOSTILE }] },
    "/nodes": { nodes: [{ name: HOSTILE, roles: [HOSTILE], site: HOSTILE, version: HOSTILE, state: "unknown" }] },
    "/sinks": { sinks: [{ name: HOSTILE, text: HOSTILE, query: HOSTILE, server: HOSTILE, type: "file", state: "failing", waits_for: HOSTILE, error: HOSTILE, hint: HOSTILE, error_at: at, retry_at: at, rows: 1 }] },
    "/doctor": { checks: [{ id: "D01", state: "error", text: HOSTILE, fix: HOSTILE }], warnings: 0, errors: 1 },
    "/audit": { entries: [{ revision: 1, at, author: HOSTILE, via: HOSTILE, verb: HOSTILE, kind: HOSTILE, name: HOSTILE, version: 1, comment: HOSTILE }] },
    "/tokens": { tokens: [{ name: HOSTILE, role: "viewer", row_filter: HOSTILE, created_at: at, expires_at: at, last_used_at: null }] },
    "/alerts": {
      alerts: [alert], silences: [{ id: 1, alert: HOSTILE, key: HOSTILE, until: later, author: HOSTILE, comment: HOSTILE, made_at: at }],
      rule_states: [{ name: HOSTILE, version: 1, severity: "critical", threshold: HOSTILE, clear: HOSTILE, for_seconds: 1, keep_firing_for_seconds: 1, endpoints: [HOSTILE], pending: 0, firing: 1, recovering: 0, keys_left_out: 1 }],
      endpoints: [{ name: HOSTILE, type: "webhook", waiting: 1, delivered: 0, failed: 1, refused: 0, dropped: 0, error: HOSTILE, failing_since: at, delivered_at: null }],
    },
    "/alerts/ended": { alerts: [{ ...alert, id: "a2", state: "ended", ends_at: at }], more: false },
    "/alerts/a1": alert,
    "/exporters/snippets": { snippets: [{ system: HOSTILE, port: 1, source: HOSTILE, interface: HOSTILE, text: HOSTILE }] },
    "/queries/suggest": { asked: { from: null, until: null }, obstacle: HOSTILE, answers: [], others: [{ query: HOSTILE, reasons: [HOSTILE] }], keep: { name: HOSTILE, text: HOSTILE } },
    "/exporters": { exporters: [{ address: HOSTILE, site: HOSTILE, protocols: HOSTILE, state: "active", first_seen: at, last_seen: at, templates: 1, datagrams: 1, records: 1, flows: 1, missing: 1, rejected: 0, awaiting_template: 0, sampling: { min: 1, max: 2, unknown: true, unknown_rows: 3 }, clock_offset_seconds: 1, delay_p999_seconds: 1, delay_seconds: 1 }] },
  };
  return (path) => {
    if (path in answers) return { body: answers[path] };
    if (path.endsWith("/results")) return { body: { query: HOSTILE, columns, windows: [window], tier: "raw", next: null, last_seq: 1, kept_since: at, windows_dropped: 0 } };
    if (path.endsWith("/why")) return { body: { text: HOSTILE, due: null, reasons: [HOSTILE] } };
    if (path.endsWith("/history")) return { body: { versions: [] } };
    if (path.startsWith("/queries/")) return { body: query };
    return undefined;
  };
}

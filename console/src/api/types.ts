// What /api/v1 answers, as docs/openapi.json has it; test/types.test.mjs compares the two. Written by hand: a reader
// of pages finds the words of the field here, and only what the console uses is here.

/** RFC 3339 in UTC, with microseconds. */
export type Time = string;
/** Integers and floating point as numbers; times, addresses, NaN and infinities as text. */
export type Value = string | number | boolean | null;

export interface Problem {
  title: string;
  status: number;
  code?: string;
  detail?: string;
  hint?: string;
  line?: number;
  column?: number;
  end_line?: number;
  end_column?: number;
}

export interface Column {
  name: string;
  /** As PostgreSQL spells it. */
  type: string;
  /** One of those that tell a row from the others of its window. */
  key?: boolean;
  /** The column whose standard error under sampling it is. */
  stderr_of?: string;
}

export interface Ledger {
  assigned: number;
  counted: number;
  filtered: number;
  late: number;
  errored: number;
  shed: number;
  time_null: number;
  time_future: number;
  lost: number;
  windows_closed: number;
  result_rows: number;
}

export interface Placement {
  where: "auto" | "edge" | "central";
  /** Empty: all. */
  sites: string[];
  absent_sites: "mark" | "wait";
}

export interface Query {
  name: string;
  version: number;
  incarnation: number;
  revision: number;
  changed_at: Time;
  owner: string;
  comment: string;
  state: "running" | "paused" | "failed";
  reason: string;
  /** A SELECT that somebody is reading. */
  temporary?: boolean;
  /** CREATE VIEW: runs nowhere. */
  plain: boolean;
  text: string;
  reads: string[];
  columns: Column[];
  placement: Placement | null;
  ledger: Ledger | null;
  lag_seconds: number | null;
  /** Memory of open windows, in the process that was asked; null: they are open elsewhere. */
  state_octets: number | null;
  groups: number | null;
  collecting_since: Time | null;
}

/** A version of a query as it was; the newest is what runs. */
export interface Version {
  version: number;
  incarnation: number;
  revision: number;
  at: Time;
  author: string;
  text: string;
}

/** What an edit came to, or would. */
export interface Done {
  name: string;
  verb: "add" | "alter" | "drop" | "pause" | "resume" | "unchanged";
  /** Queries that read it and start anew with it. */
  also: string[];
}

/** What a query can read. */
export interface Relation {
  name: string;
  kind: "stream" | "table" | "view" | "query";
  columns: Column[];
}

/** A window, or a part of one. */
export interface Window {
  query: string;
  version: number;
  seq: number;
  window_start: Time | null;
  window_end: Time | null;
  /** Later ones replace the window. */
  revision: number;
  final: boolean;
  /** The rows are those that the revision before had and this one has not. */
  removed?: boolean;
  complete: boolean;
  sites_missing?: string[];
  part: number;
  last: boolean;
  rows_total: number | null;
  truncated: boolean;
  columns: Column[];
  rows: Value[][];
}

export type Tier = "raw" | "1m" | "5m" | "1h";

export interface Results {
  query: string;
  columns: Column[];
  windows: Window[];
  tier: Tier;
  /** For ?after=; null: there is no more. */
  next: number | null;
  /** What an event stream goes on after. */
  last_seq: number;
  kept_since: Time | null;
  windows_dropped: number;
}

export interface Why {
  text: string;
  due: Time | null;
  reasons: string[];
}

export interface Exporter {
  address: string;
  site: string;
  protocols: string;
  state: "active" | "idle" | "behind" | "ahead" | "unknown";
  first_seen: Time | null;
  last_seen: Time | null;
  datagrams: number;
  records: number;
  flows: number;
  /** By sequence numbers: flows, datagrams of NetFlow v9, samples of sFlow. */
  missing: number;
  rejected: number;
  sampling: { min: number | null; max: number | null; unknown: boolean; unknown_rows: number };
  /** What its clock is behind ours; below 0: ahead. */
  clock_offset_seconds: number | null;
  delay_p999_seconds: number | null;
}

/** What makes a router send: text with places for values. */
export interface Snippet {
  system: string;
  port: number;
  source: string;
  interface: string;
  text: string;
}

export interface Alert {
  id: string;
  state: "pending" | "firing" | "recovering" | "ended";
  alert: string;
  severity: "info" | "warning" | "critical" | "page";
  labels: Record<string, string>;
  starts_at: Time;
  ends_at: Time | null;
  key: Record<string, Value>;
  key_text: string;
  value_column: string | null;
  value: number | null;
  threshold: string;
  /** Not 0: it stands for so many keys that found no room. */
  more: number;
  window_start: Time;
  window_end: Time;
  complete: boolean;
  sites_missing: string[];
  sampling: string;
  query: string;
  url: string;
  title: string;
  message: string;
  silenced: boolean;
  fired_at: Time | null;
  recovering_since: Time | null;
  notices: { state: "firing" | "resolved"; at: Time | null; endpoints: string[] }[];
  acknowledged: { by: string; at: Time; comment: string } | null;
}

export interface AlertRule {
  name: string;
  version: number;
  severity: "info" | "warning" | "critical" | "page";
  threshold: string;
  clear: string | null;
  for_seconds: number | null;
  keep_firing_for_seconds: number | null;
  endpoints: string[];
  pending: number;
  firing: number;
  recovering: number;
  keys_left_out: number;
}

export interface Silence {
  id: number;
  /** A rule; "*": all. */
  alert: string;
  /** Alert.key_text; empty: all keys. */
  key: string;
  until: Time;
  author: string;
  comment: string;
  made_at: Time;
}

export interface Endpoint {
  name: string;
  type: "webhook" | "alertmanager" | "syslog" | "script";
  waiting: number;
  delivered: number;
  failed: number;
  refused: number;
  dropped: number;
  error: string | null;
  failing_since: Time | null;
  delivered_at: Time | null;
}

export interface Check {
  id: string;
  state: "ok" | "warning" | "error";
  text: string;
  /** What to type. */
  fix: string;
}

export interface Status {
  version: string;
  node: string;
  site: string;
  roles: ("edge" | "merge" | "receiver")[];
  started_at: Time;
  now: Time;
  ready: boolean;
  not_ready: string[];
  listeners: { address: string; receive_buffer_octets: number; datagrams: number; kernel_drops: number }[];
  ingest: { datagrams: number; octets: number; records: number; flows: number; kernel_drops: number; not_allowed: number; rejected: number; awaiting_template: number; missing: number };
  rates: { datagrams: number; flows: number; octets: number };
  watermark: { event: Time | null; arrival: Time | null; lag_seconds: number | null; held_by: string | null };
  queries: { running: number; paused: number; failed: number; plain: number };
  exporters: { known: number; sending: number };
  edges: { node: string; site: string; absent: boolean; heard_at: Time | null }[];
  catalog: { revision: number };
  checkpoint: { at: Time | null; octets: number };
  history: { octets: number; oldest: Time | null; trouble: string } | null;
  /** Times in which nothing was received; clean: it was stopped, not killed. */
  outages: { from: Time; until: Time; clean: boolean }[];
  clients: { streams: number; sessions: number };
}

export type Role = "viewer" | "operator" | "admin";

export interface Whoami {
  name: string;
  role: Role;
  /** Not empty: results and streams are all that he may ask for. */
  row_filter: string;
  expires_at: Time | null;
  by: "local" | "token" | "emergency" | "proxy";
}

/** Of the catalog. */
export interface Node {
  name: string;
  roles: string[];
  site: string;
  version?: string;
  /** "unknown" of all but the node that is asked: it knows how edges are by Status.edges. */
  state: "ready" | "starting" | "drained" | "unknown";
  /** Of the node that is asked. */
  queries?: string[];
}

/** Counts are since the process began. */
export interface Sink {
  name: string;
  text: string;
  query?: string | null;
  server?: string | null;
  type?: "file" | "postgres" | "kafka" | "prometheus" | null;
  state: "starting" | "running" | "failing" | "replaying" | "waiting";
  waits_for?: string | null;
  /** The last one; it stays when it is over. */
  error?: string | null;
  hint?: string | null;
  error_at?: Time | null;
  retry_at?: Time | null;
  place?: number;
  last_seq?: number;
  delivered_at?: Time | null;
  behind_since?: Time | null;
  rows: number;
  rows_refused?: number;
  rows_left_out?: number;
  rows_missed?: number;
  rows_replayed?: number;
  errors?: number;
}

export interface Doctor {
  checks: Check[];
  warnings: number;
  errors: number;
}

export interface AuditEntry {
  revision: number;
  at: Time;
  author: string;
  via: string;
  verb: string;
  kind: string;
  name: string;
  version: number;
  comment: string;
}

export interface Token {
  name: string;
  role: Role;
  row_filter: string;
  created_at: Time;
  expires_at: Time | null;
  last_used_at: Time | null;
}

/** The answer to POST /sessions. */
export interface Session {
  name: string;
  columns: Column[];
  /** Answered from results. */
  kept: boolean;
  /** The time that is asked for has an end, and the stream ends with it. */
  ends: boolean;
  notices: string[];
}

/** The answer to POST /queries/suggest. */
export interface Suggestion {
  /** Why nothing could answer it, whatever were kept. */
  obstacle: string | null;
  answers: { query: string; text: string; notes: string[]; kept_since: Time | null }[];
  others: { query: string; reasons: string[] }[];
  /** What would keep its rows from now on. */
  keep: { name: string; text: string } | null;
}

// One alert: while it fires and after it has ended. What notices link to.
import { useMemo, useState } from "preact/hooks";
import { alerts_api } from "../api/alerts";
import { api, NOBODY, Refusal, sql_name, sql_text } from "../api/client";
import { SessionFeed } from "../api/feed";
import type { Alert, Endpoint, Query, Silence } from "../api/types";
import { heading_of } from "../charts/labels";
import { picture_of } from "../charts/series";
import { shape_of } from "../charts/shape";
import { TimeChart } from "../charts/time_chart";
import { address, view_beside } from "../state/address";
import { ask_again, usePoll } from "../state/poll";
import { units, zone } from "../state/preferences";
import { may_operate } from "../state/session";
import { Badge, CopyItem, Link, Loading, Panel, Trouble } from "../widgets/basics";
import { useFeed, useNow } from "../widgets/held";
import { SeriesTable } from "../widgets/series_table";
import { alert_words } from "../words/alerts";
import { date_time, duration, scale_of, window_text } from "../words/format";
import { words } from "../words/words";
import { levels_of } from "./alert_levels";
import { lanes_of } from "./alert_lanes";
import { AcknowledgeDialog, key_of, SilenceDialog, StateBadge, value_of, window_seconds_of } from "./alert_parts";
import { Timeline } from "./alert_timeline";

const POLL_MS = 1_500;
/** Windows that are shown before it began and after it ended. */
const WINDOWS_AROUND = 12;
const AROUND_MIN_MS = 120_000;
/** Of a rule that fires for days: the newest. */
const WINDOWS_MAX = 1_500;

export function AlertPage() {
  const id = address.value.view.alert ?? "";
  return <OneAlert key={id} id={id} />;
}

interface Facts {
  alert: Alert;
  silences: readonly Silence[];
  endpoints: readonly Endpoint[];
}

async function read(id: string): Promise<Facts> {
  const [alert, now] = await Promise.all([alerts_api.one(id), alerts_api.now()]);
  return { alert, silences: now.silences, endpoints: now.endpoints };
}

/** What is over or never was stays so: it is not asked for again. */
function reader(id: string): () => Promise<Facts> {
  let last: Promise<Facts> | null = null;
  return () => {
    if (last) return last;
    const asked = read(id);
    asked.then(
      ({ alert }) => { if (alert.state === "ended") last = asked; },
      (error: unknown) => { if (error instanceof Refusal && error.status === 404) last = asked; },
    );
    return asked;
  };
}

function OneAlert({ id }: { id: string }) {
  const w = words.value;
  const t = alert_words.value;
  const answer = usePoll(useMemo(() => reader(id), [id]), POLL_MS, [id]);
  const now = useNow(1_000);
  const [question, ask] = useState<"acknowledge" | "silence" | null>(null);
  const facts = answer.value.value;
  const { problem } = answer.value;
  if (problem?.status === 404) {
    return (
      <div class="centre">
        <h1>{t.no_such}</h1>
        <p class="muted">{t.no_such_note}</p>
        <p><code>{id}</code></p>
        <Link to={view_beside("alerts")} class="button button-strong">{t.to_alerts}</Link>
      </div>
    );
  }
  if (!facts) return problem ? <Trouble problem={problem} /> : <Loading />;
  const { alert } = facts;
  const over = alert.state === "ended";
  const refresh = async () => ask_again();
  const until = alert.ends_at === null ? now : Date.parse(alert.ends_at);
  const span = Math.max(until - Date.parse(alert.starts_at), 60_000);
  // What the notice says, without the link to this page.
  const message = alert.message.replace(alert.url, "").trim();
  return (
    <>
      <div class="page-head">
        <h1>{alert.alert}{alert.key_text !== "" && <span class="muted">: {alert.key_text}</span>}</h1>
        <span role="status"><StateBadge alert={alert} /></span>
        <span class="muted">{t.severities[alert.severity]}</span>
        {alert.silenced && !over && <Badge mark="quiet">{w.silenced}</Badge>}
        <div class="actions">
          {may_operate.value && !over && (
            <>
              <button type="button" class="button button-strong" onClick={() => ask("acknowledge")}>{t.acknowledge}</button>
              <button type="button" class="button" onClick={() => ask("silence")}>{t.silence}</button>
            </>
          )}
          <CopyItem class="button" text={() => location.href}>{t.copy_link}</CopyItem>
        </div>
      </div>
      {problem && problem.status !== NOBODY && <Trouble problem={problem} />}
      {over && <p class="lead">{t.over}</p>}
      <p class="alert-message">{message}</p>
      <ValueChart alert={alert} until={until} />
      <Panel title={t.timeline}>
        <Timeline lanes={lanes_of([alert], [], 0)} from={Date.parse(alert.starts_at) - span * 0.05} until={until + span * 0.05} more={null} />
      </Panel>
      <FactList facts={facts} until={until} />
      {question === "acknowledge" && <AcknowledgeDialog alert={alert} done={refresh} close={() => ask(null)} />}
      {question === "silence" && <SilenceDialog rules={[alert.alert]} rule={alert.alert} key_text={alert.key_text} keys={[{ rule: alert.alert, key_text: alert.key_text }]} done={refresh} close={() => ask(null)} />}
    </>
  );
}

function FactList({ facts: { alert, silences, endpoints }, until }: { facts: Facts; until: number }) {
  const w = words.value;
  const t = alert_words.value;
  const value = value_of(alert);
  const at = (time: string) => date_time(Date.parse(time), zone.value);
  const quiet = silences.filter((silence) => (silence.alert === "*" || silence.alert === alert.alert) && (silence.key === "" || silence.key === alert.key_text));
  const labels = Object.entries(alert.labels);
  const failing = endpoints.filter((endpoint) => endpoint.failing_since !== null && alert.notices.some((notice) => notice.endpoints.includes(endpoint.name)));
  return (
    <Panel title={t.states[alert.state]}>
      <dl class="fact-list">
        <div><dt>{t.began}</dt><dd>{at(alert.starts_at)}</dd></div>
        {alert.fired_at !== null && <div><dt>{t.fired}</dt><dd>{at(alert.fired_at)}</dd></div>}
        {alert.recovering_since !== null && alert.ends_at === null && <div><dt>{t.recovering_since}</dt><dd>{at(alert.recovering_since)}</dd></div>}
        {alert.ends_at !== null && <div><dt>{t.ended}</dt><dd>{at(alert.ends_at)}</dd></div>}
        <div><dt>{t.lasted}</dt><dd>{duration(Math.max(until - Date.parse(alert.starts_at), 0), w.locale)}</dd></div>
        {value && <div><dt>{value.name}</dt><dd><b>{value.text}</b></dd></div>}
        {alert.more > 0 && <div><dt>{t.key}</dt><dd>{key_of(alert)}</dd></div>}
        <div><dt>{t.threshold}</dt><dd><code>{alert.threshold || t.no_condition}</code></dd></div>
        <div>
          <dt>{t.window}</dt>
          <dd>
            {window_text(Date.parse(alert.window_start), Date.parse(alert.window_end), zone.value, Date.now())}{" "}
            {alert.complete ? <Badge mark="good">{t.complete}</Badge> : <Badge mark="warning">{alert.sites_missing.length > 0 ? t.without(alert.sites_missing.join(", ")) : t.incomplete}</Badge>}
          </dd>
        </div>
        <div><dt>{t.sampling}</dt><dd>{alert.sampling === "unknown" ? t.sampling_unknown : alert.sampling}</dd></div>
        {labels.length > 0 && <div><dt>{t.labels}</dt><dd>{labels.map(([name, text]) => `${name}=${text}`).join(", ")}</dd></div>}
        <div><dt>{t.query}</dt><dd><Link to={view_beside("query", alert.alert)}>{alert.query}</Link></dd></div>
        <div>
          <dt>{t.notices}</dt>
          <dd>
            {alert.notices.length === 0 ? (alert.state === "ended" ? t.nobody_told : t.not_told_yet) : (
              <ul>{alert.notices.map((notice) => (
                <li key={notice.state}>{(notice.state === "firing" ? t.told : t.told_over)(notice.endpoints.join(", ") || t.nobody, notice.at === null ? "–" : at(notice.at))}</li>
              ))}</ul>
            )}
            {failing.map((endpoint) => <p key={endpoint.name} class="warn">{t.not_taken(endpoint.name, endpoint.error ?? "")}</p>)}
          </dd>
        </div>
        <div>
          <dt>{t.acknowledged}</dt>
          <dd>{alert.acknowledged ? <>{alert.acknowledged.by}, {at(alert.acknowledged.at)}{alert.acknowledged.comment && <>: <q>{alert.acknowledged.comment}</q></>}</> : alert.state === "ended" ? "–" : t.nobody_acknowledged}</dd>
        </div>
        {alert.state !== "ended" && quiet.length > 0 && (
          <div><dt>{t.silences}</dt><dd><ul>{quiet.map((silence) => <li key={silence.id}>{t.silenced_until(at(silence.until), silence.author)}{silence.comment && <>: <q>{silence.comment}</q></>}</li>)}</ul></dd></div>
        )}
      </dl>
    </Panel>
  );
}

/** The value of the key in the rule's own result, and the line that it crossed. */
function ValueChart({ alert, until }: { alert: Alert; until: number }) {
  const w = words.value;
  const t = alert_words.value;
  // A rule that was dropped ends its alerts: with the end it is asked for anew.
  const rule = usePoll(() => api.query(alert.alert), 10_000, [alert.alert, alert.ends_at]).value;
  const column = alert.value_column;
  const title = <>{column === null ? t.value : heading_of(column)} <span class="muted">{t.value_over_time}</span></>;
  if (column === null || alert.more > 0) return <Panel title={title}><p class="empty">{column === null ? t.no_value : t.nothing_to_draw}</p></Panel>;
  if (rule.problem?.status === 404) return <Panel title={title}><p class="empty">{t.gone}</p></Panel>;
  if (!rule.value) return <Panel title={title}>{rule.problem ? <Trouble problem={rule.problem} /> : <Loading />}</Panel>;
  return <Chart key={`${rule.value.incarnation}.${alert.ends_at}`} alert={alert} column={column} rule={rule.value} until={until} title={title} summary_title={`${alert.alert} ${alert.key_text}: ${heading_of(column)}`} unit_names={w.per_second} />;
}

function Chart({ alert, column, rule, until, title, summary_title, unit_names }: {
  alert: Alert;
  column: string;
  rule: Query;
  until: number;
  title: preact.ComponentChildren;
  summary_title: string;
  unit_names: Parameters<typeof scale_of>[2];
}) {
  const w = words.value;
  const t = alert_words.value;
  const window_seconds = window_seconds_of(alert);
  const around = Math.max(AROUND_MIN_MS, WINDOWS_AROUND * window_seconds * 1000);
  const live = alert.ends_at === null;
  const end = live ? until : until + around;
  const from = Math.max(Date.parse(alert.starts_at) - around, end - WINDOWS_MAX * window_seconds * 1000);
  const state = useFeed(() => new SessionFeed(statement_of(alert, from, live ? null : end), !live), [rule.incarnation, rule.version, alert.id, live]);
  const scale = scale_of(column, units.value, unit_names);
  const levels = levels_of(alert.threshold, column, rule.text).map((level) => scale.of(level, window_seconds));
  const picture = useMemo(() => {
    const shape = shape_of(state?.windows[state.windows.length - 1]?.columns ?? rule.columns);
    // The key is one line, whatever its columns are; of windows without a row nothing is known.
    return picture_of(state?.windows ?? [], { ...shape, dimensions: [], measures: shape.measures }, column, scale, { all_groups: false });
  }, [state?.windows, units.value]);
  const line = picture.lines[0];
  const named = useMemo(() => (line ? { ...picture, lines: [{ ...line, label: heading_of(column) }] } : picture), [picture]);
  const value = value_of(alert);
  return (
    <>
      <Panel title={<>{title}{scale.unit && <span class="muted">, {scale.unit}</span>}</>}>
        {state?.phase === "failed" && state.problem ? <Trouble problem={state.problem} />
          : named.times.length === 0 ? (state === null || state.phase === "loading" ? <Loading /> : <p class="empty">{t.no_windows}</p>)
          : <TimeChart picture={named} kind="lines" unit={scale.unit} from={from} until={end} height={260} levels={levels}
              summary={w.chart_summary(summary_title, date_time(from, zone.value), date_time(end, zone.value), value?.text ?? w.no_data)} />}
        {levels.length > 0 && <ul class="notes"><li>{t.level(alert.threshold)}</li></ul>}
      </Panel>
      {named.times.length > 0 && (
        <details class="panel twin">
          <summary>{heading_of(column)} <span class="muted">{w.as_table}</span></summary>
          <SeriesTable picture={named} unit={scale.unit} caption={summary_title} />
        </details>
      )}
    </>
  );
}

/** The windows of one key. `until` null: and on. */
function statement_of(alert: Alert, from: number, until: number | null): string {
  const wanted = Object.entries(alert.key).map(([name, value]) => (value === null ? `${sql_name(name)} IS NULL` : `${sql_name(name)} = ${sql_text(value)}`));
  wanted.push(`window_start >= '${new Date(from).toISOString()}'`);
  if (until !== null) wanted.push(`window_end <= '${new Date(until).toISOString()}'`);
  return `SELECT * FROM ${sql_name(alert.alert)} WHERE ${wanted.join(" AND ")}`;
}

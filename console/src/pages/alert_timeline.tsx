// Alerts over time: a lane for each key, and the same as a table.
import { useState } from "preact/hooks";
import type { Alert } from "../api/types";
import { zone } from "../state/preferences";
import { Link, Panel } from "../widgets/basics";
import { alert_words } from "../words/alerts";
import { date_time, duration, time_of_day } from "../words/format";
import { words } from "../words/words";
import { axis_times, type Lane, type Mark, marks_of, PHASES, type Span, spans_of } from "./alert_lanes";
import { alert_view, key_of, StateBadge, value_of } from "./alert_parts";

const LANES_STEP = 12;
const ROWS_STEP = 25;
const AXIS_MARKS = 6;
const DAY_MS = 86_400_000;

/** Of the day where the axis is no longer than one. */
function time_text(at: number, span_ms: number): string {
  return span_ms > DAY_MS ? date_time(at, zone.value).slice(5, 16) : time_of_day(at, zone.value).slice(0, 5);
}

export function Timeline({ lanes, from, until, more }: { lanes: readonly Lane[]; from: number; until: number; more: number | null }) {
  const t = alert_words.value;
  const [count, set_count] = useState(LANES_STEP);
  if (lanes.length === 0) return <p class="empty">{t.timeline_none}</p>;
  const place = (at: number) => `${(100 * Math.min(Math.max((at - from) / (until - from), 0), 1)).toFixed(3)}%`;
  const times = axis_times(from, until, AXIS_MARKS);
  return (
    <>
      <ul class="lanes">
        {lanes.slice(0, count).map((lane) => (
          <li key={`${lane.rule} ${lane.key_text}`} class="lane">
            <Link to={alert_view(lane.alerts[0]!.id)} class="lane-name"><b>{lane.rule}</b> <span class="alert-key">{key_of(lane.alerts[0]!)}</span></Link>
            <LaneTrack lane={lane} from={from} until={until} times={times} place={place} />
          </li>
        ))}
        <li class="lane lane-axis" aria-hidden="true">
          <span />
          <svg width="100%" height="18">{times.map((at) => <text key={at} x={place(at)} y="13" text-anchor="middle">{time_text(at, until - from)}</text>)}</svg>
        </li>
      </ul>
      {lanes.length > count && <button type="button" class="button more" onClick={() => set_count(count + 4 * LANES_STEP)}>{t.lanes_more(lanes.length - count)}</button>}
      <Key />
      {more !== null && <ul class="notes"><li>{t.more_ended(more)}</li></ul>}
    </>
  );
}

function LaneTrack({ lane, from, until, times, place }: { lane: Lane; from: number; until: number; times: readonly number[]; place: (at: number) => string }) {
  const t = alert_words.value;
  const spans = lane.alerts.flatMap((alert) => spans_of(alert, until).map((span) => ({ span, alert }))).filter(({ span }) => span.until > from);
  const marks = lane.alerts.flatMap(marks_of).filter((mark) => mark.at >= from && mark.at <= until);
  const told = spans.slice(0, 12).map(({ span }) => span_text(span));
  const marks_text = marks.slice(0, 12).map((mark) => (mark.kind === "acknowledged" ? t.acknowledged_at : t[mark.kind])(mark.who, time_of_day(mark.at, zone.value)));
  return (
    <svg class="lane-track" width="100%" height="26" role="img" aria-label={t.lane_summary(`${lane.rule} ${lane.key_text}`, [...told, ...marks_text].join("; "))}>
      {times.map((at) => <line key={at} class="lane-grid" x1={place(at)} x2={place(at)} y1="0" y2="26" />)}
      {spans.map(({ span, alert }) => <PhaseBar key={`${alert.id} ${span.phase}`} span={span} severity={alert.severity} place={place} />)}
      {marks.map((mark, i) => (
        // A nested SVG, as its place is a share of the lane and its shape is not.
        <svg key={i} x={place(mark.at)} y="0" width="1" height="26" overflow="visible" class={`lane-mark lane-mark-${mark.kind}`}>
          <title>{marks_text[i] ?? ""}</title>
          <MarkShape kind={mark.kind} />
        </svg>
      ))}
    </svg>
  );
}

/** Around 0 across, 26 high. */
function MarkShape({ kind }: { kind: Mark["kind"] }) {
  if (kind === "acknowledged") return <><circle cy="13" r="8" /><path d="M-4 13l3 4 5-7" /></>;
  return <path d={kind === "told" ? "M0 6V22M-4 1h8l-4 5z" : "M0 4V20M-4 25h8l-4-5z"} />;
}

function span_text(span: Span): string {
  const t = alert_words.value;
  const from = time_of_day(span.from, zone.value);
  return span.open ? t.span_open(t.states[span.phase], from) : t.span(t.states[span.phase], from, time_of_day(span.until, zone.value));
}

/** States differ in height and fill, not in colour alone. */
function PhaseBar({ span, severity, place }: { span: Span; severity: Alert["severity"]; place: (at: number) => string }) {
  const left = place(span.from), right = place(span.until);
  const width = `${Math.max(parseFloat(right) - parseFloat(left), 0.25).toFixed(3)}%`;
  const firing = span.phase === "firing";
  return (
    <rect class={`phase phase-${span.phase} phase-of-${severity}`} x={left} width={width} y={firing ? 6 : 10} height={firing ? 14 : 6} rx="2">
      <title>{span_text(span)}</title>
    </rect>
  );
}

function Key() {
  const t = alert_words.value;
  return (
    <ul class="legend lane-key">
      {PHASES.map((phase) => (
        <li key={phase}>
          <svg width="22" height="16" aria-hidden="true"><rect class={`phase phase-${phase} phase-of-critical`} x="1" width="20" y={phase === "firing" ? 1 : 5} height={phase === "firing" ? 14 : 6} rx="2" /></svg>
          {t.states[phase]}
        </li>
      ))}
      {(["told", "told_over", "acknowledged"] as const).map((kind) => (
        <li key={kind}>
          <svg width="18" height="26" viewBox="-9 0 18 26" class={`lane-mark lane-mark-${kind}`} aria-hidden="true"><MarkShape kind={kind} /></svg>
          {t.marks[kind]}
        </li>
      ))}
      <li class="legend-hint muted">{t.timeline_hint}</li>
    </ul>
  );
}

/** The twin of the lanes, the newest first. */
export function IncidentTable({ lanes, now }: { lanes: readonly Lane[]; now: number }) {
  const w = words.value;
  const t = alert_words.value;
  const [count, set_count] = useState(ROWS_STEP);
  const alerts = lanes.flatMap((lane) => lane.alerts).sort((a, b) => Date.parse(b.starts_at) - Date.parse(a.starts_at));
  if (alerts.length === 0) return null;
  return (
    <Panel class="panel-table" title={<>{t.incidents} <span class="muted">{w.as_table}</span></>} aside={<span class="muted">{alerts.length}</span>}>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={t.incidents}>
        <table class="data list-on-narrow incidents">
          <caption class="visually-hidden">{t.incidents}</caption>
          <thead>
            <tr>
              <th scope="col">{w.rule}</th><th scope="col">{w.state}</th><th scope="col">{t.severity}</th><th scope="col">{t.began}</th><th scope="col">{t.ended}</th>
              <th scope="col" class="number">{t.lasted}</th><th scope="col" class="number">{t.value}</th><th scope="col">{t.notices}</th><th scope="col">{t.acknowledged}</th>
            </tr>
          </thead>
          <tbody>
            {alerts.slice(0, count).map((alert) => {
              const value = value_of(alert);
              const ends = alert.ends_at === null ? null : Date.parse(alert.ends_at);
              const told = [...new Set(alert.notices.flatMap((notice) => notice.endpoints))];
              return (
                <tr key={alert.id}>
                  <th scope="row"><Link to={alert_view(alert.id)} class="strong-link">{alert.alert}</Link> <span class="alert-key">{key_of(alert)}</span></th>
                  <td data-label={w.state}><StateBadge alert={alert} /></td>
                  <td data-label={t.severity}>{t.severities[alert.severity]}</td>
                  <td data-label={t.began}>{date_time(Date.parse(alert.starts_at), zone.value)}</td>
                  <td data-label={t.ended}>{ends === null ? "–" : date_time(ends, zone.value)}</td>
                  <td data-label={t.lasted} class="number">{duration(Math.max((ends ?? now) - Date.parse(alert.starts_at), 0), w.locale)}</td>
                  <td data-label={t.value} class="number">{value ? `${value.name} ${value.text}` : "–"}</td>
                  <td data-label={t.notices}>{told.join(", ") || "–"}</td>
                  <td data-label={t.acknowledged}>{alert.acknowledged?.by ?? "–"}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {alerts.length > count && <button type="button" class="button more" onClick={() => set_count(count + 4 * ROWS_STEP)}>{w.show_more} · {w.rows_of(String(count), String(alerts.length))}</button>}
      </div>
    </Panel>
  );
}

// Which alerts there are and were, and what may be done about them.
import { useEffect, useRef, useState } from "preact/hooks";
import { alerts_api, type AlertsNow, type NewSilence, type TestResult } from "../api/alerts";
import { api, Refusal } from "../api/client";
import type { Alert, AlertRule, Endpoint, Query, Silence } from "../api/types";
import { address, change, view_beside } from "../state/address";
import { open_new_query } from "../state/draft";
import { ask_again, usePoll } from "../state/poll";
import { zone } from "../state/preferences";
import { may_operate } from "../state/session";
import { range_ms, type RangeName } from "../state/view";
import { Badge, Choice, Link, Loading, type Mark, Panel, Trouble } from "../widgets/basics";
import { useNow } from "../widgets/held";
import { QUERY_MARKS, SEVERITY_MARKS } from "../widgets/marks";
import { Question } from "../widgets/question";
import { alert_words } from "../words/alerts";
import { date_time, duration, short, time_of_day } from "../words/format";
import { words } from "../words/words";
import { by_urgency, lanes_of } from "./alert_lanes";
import { AcknowledgeDialog, alert_view, key_of, SilenceDialog, StateBadge, value_of } from "./alert_parts";
import { IncidentTable, Timeline } from "./alert_timeline";

export { AlertPage } from "./alert";

/** Seen within 2 s, with what the answer takes. */
const POLL_MS = 1_500;
const ENDED_POLL_MS = 15_000;
const ENDED_MAX = 500;
const CARDS_STEP = 20;
const RANGES_SHOWN: readonly RangeName[] = ["1h", "6h", "24h", "7d"];
/** What a rule looks like, to begin from. */
const NEW_RULE = `CREATE MATERIALIZED VIEW many_sources WITH (
  "alert.when" = 'sources > 200', "alert.clear" = 'sources < 150', "alert.for" = '60 s', "alert.keep_firing_for" = '120 s',
  "alert.severity" = 'warning', "alert.summary" = '{sources} sources send to {dst_ip}') AS
SELECT window_start, dst_ip, count(DISTINCT src_ip) AS sources, sum(octets) AS octets
FROM tumble(flows, received_at, interval '60 s')
GROUP BY window_start, dst_ip;
`;

type Ask = { kind: "acknowledge"; alert: Alert } | { kind: "silence"; of: Pick<NewSilence, "alert" | "key"> } | { kind: "drop"; rule: string };

function found_by(alert: Alert, search: string): boolean {
  const text = `${alert.alert} ${alert.key_text} ${alert.title} ${alert.severity}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export function AlertsPage() {
  const w = words.value;
  const t = alert_words.value;
  const answer = usePoll(alerts_api.now, POLL_MS);
  const queries = usePoll(api.queries, 10_000).value.value;
  const now = useNow(2_000);
  const { view } = address.value;
  const range = view.range !== null && RANGES_SHOWN.includes(view.range) ? view.range : "1h";
  const from = now - range_ms(range);
  const ended = usePoll(() => alerts_api.ended(Date.now() - range_ms(range), ENDED_MAX), ENDED_POLL_MS, [range]).value;
  const [question, ask] = useState<Ask | null>(null);
  const state = answer.value.value;
  // What has just ended is in no list until the other one is asked for.
  const known = useRef<readonly Alert[]>([]);
  useEffect(() => {
    if (!state) return;
    const ids = new Set(state.alerts.map((alert) => alert.id));
    if (known.current.some((alert) => !ids.has(alert.id))) ask_again();
    known.current = state.alerts;
  }, [state]);
  const refresh = async () => ask_again();
  if (!state) return answer.value.problem ? <Trouble problem={answer.value.problem} /> : <Loading />;

  const search = view.search ?? "";
  const shown = state.alerts.filter((alert) => found_by(alert, search)).sort(by_urgency);
  const count = (wanted: Alert["state"]) => state.alerts.filter((alert) => alert.state === wanted).length;
  const lanes = lanes_of(state.alerts, ended.value?.alerts ?? [], from).filter((lane) => lane.alerts.some((alert) => found_by(alert, search)));
  const rules = state.rule_states.map((rule) => rule.name);
  return (
    <>
      <div class="page-head">
        <h1>{w.pages.alerts}</h1>
        <span class="muted" role="status">{t.summary(count("firing"), count("pending"), count("recovering"))}</span>
        <input type="search" class="search" placeholder={w.search} aria-label={t.search} value={search} onInput={(event) => change({ search: event.currentTarget.value })} />
      </div>
      {answer.value.problem && <Trouble problem={answer.value.problem} />}
      <Cards alerts={shown} search={search} none={state.alerts.length === 0} rules={rules.length} now={now} ask={ask} />
      <Panel title={t.timeline} aside={<Choice label={w.range} value={range} choose={(value) => change({ range: value }, true)} options={RANGES_SHOWN.map((value) => ({ value, text: value }))} />}>
        {ended.problem && <Trouble problem={ended.problem} />}
        <Timeline lanes={lanes} from={from} until={now} more={ended.value?.more ? ENDED_MAX : null} />
      </Panel>
      <IncidentTable lanes={lanes} now={now} />
      <Rules rules={state.rule_states} queries={queries} ask={ask} />
      <Silences silences={state.silences} now={now} ask={ask} refresh={refresh} />
      <Endpoints endpoints={state.endpoints} refresh={refresh} />
      <Questions question={question} state={state} done={refresh} close={() => ask(null)} />
    </>
  );
}

function Questions({ question, state, done, close }: { question: Ask | null; state: AlertsNow; done: () => Promise<unknown>; close: () => void }) {
  const t = alert_words.value;
  if (question === null) return null;
  if (question.kind === "acknowledge") return <AcknowledgeDialog alert={question.alert} done={done} close={close} />;
  if (question.kind === "drop") {
    return (
      <Question title={t.drop_of(question.rule)} yes={t.drop} bad close={close} act={() => alerts_api.drop_rule(question.rule).then(done)}>
        <p>{t.drop_note(question.rule)}</p>
      </Question>
    );
  }
  return (
    <SilenceDialog rules={state.rule_states.map((rule) => rule.name)} rule={question.of.alert} key_text={question.of.key}
      keys={state.alerts.map((alert) => ({ rule: alert.alert, key_text: alert.key_text }))} done={done} close={close} />
  );
}

function Cards({ alerts, search, none, rules, now, ask }: { alerts: readonly Alert[]; search: string; none: boolean; rules: number; now: number; ask: (question: Ask) => void }) {
  const w = words.value;
  const t = alert_words.value;
  const [count, set_count] = useState(CARDS_STEP);
  if (none) return <Panel title={t.now}><p class="empty">{rules === 0 ? t.no_rules : t.quiet}</p></Panel>;
  if (alerts.length === 0) return <Panel title={t.now}><p class="empty">{t.search_none(search)}</p></Panel>;
  return (
    <section aria-label={t.now}>
      <ul class="alerts alert-cards">
        {alerts.slice(0, count).map((alert) => <Card key={alert.id} alert={alert} now={now} ask={ask} />)}
      </ul>
      {alerts.length > count && <button type="button" class="button more" onClick={() => set_count(count + 5 * CARDS_STEP)}>{w.show_more} · {w.rows_of(String(count), String(alerts.length))}</button>}
    </section>
  );
}

function Card({ alert, now, ask }: { alert: Alert; now: number; ask: (question: Ask) => void }) {
  const w = words.value;
  const t = alert_words.value;
  const value = value_of(alert);
  const since = Date.parse(alert.fired_at ?? alert.starts_at);
  const tone = alert.state === "firing" ? ` alert-${SEVERITY_MARKS[alert.severity]}` : "";
  return (
    <li class={`alert${tone}`}>
      <StateBadge alert={alert} />
      <span class="muted">{t.severities[alert.severity]}</span>
      <Link to={alert_view(alert.id)} class="alert-name">{alert.alert}</Link>
      <span class="alert-key">{key_of(alert)}</span>
      {value && <span class="alert-value">{value.name} <b>{value.text}</b></span>}
      {alert.threshold !== "" && <span class="muted alert-rule">{t.threshold} <code>{alert.threshold}</code></span>}
      {!alert.complete && <Badge mark="warning">{alert.sites_missing.length > 0 ? t.without(alert.sites_missing.join(", ")) : t.incomplete}</Badge>}
      {alert.silenced && <Badge mark="quiet">{w.silenced}</Badge>}
      {alert.acknowledged && <span class="alert-ack">{w.acknowledged_by(alert.acknowledged.by)}{alert.acknowledged.comment && <>: <q>{alert.acknowledged.comment}</q></>}</span>}
      <span class="muted alert-since">{w.since(time_of_day(since, zone.value))} · {duration(Math.max(now - since, 0), w.locale)}</span>
      {may_operate.value && (
        <span class="alert-buttons">
          {!alert.acknowledged && <button type="button" class="button" onClick={() => ask({ kind: "acknowledge", alert })}>{t.acknowledge}<span class="visually-hidden"> {alert.alert} {alert.key_text}</span></button>}
          {!alert.silenced && <button type="button" class="button" onClick={() => ask({ kind: "silence", of: { alert: alert.alert, key: alert.key_text } })}>{t.silence}<span class="visually-hidden"> {alert.alert} {alert.key_text}</span></button>}
        </span>
      )}
    </li>
  );
}

function Rules({ rules, queries, ask }: { rules: readonly AlertRule[]; queries: readonly Query[] | null; ask: (question: Ask) => void }) {
  const w = words.value;
  const t = alert_words.value;
  return (
    <Panel class="panel-table" title={t.rules} aside={may_operate.value && <button type="button" class="button" onClick={() => open_new_query(NEW_RULE)}>{t.new_rule}</button>}>
      {rules.length === 0 ? <p class="empty">{t.no_rules}</p> : (
        <table class="data list-on-narrow">
          <caption class="visually-hidden">{t.rules}</caption>
          <thead>
            <tr>
              <th scope="col">{w.name}</th><th scope="col">{w.state}</th><th scope="col">{t.severity}</th><th scope="col">{t.threshold}</th><th scope="col">{t.told_by}</th><th scope="col">{t.counts}</th>
              {may_operate.value && <th scope="col"><span class="visually-hidden">{t.drop}</span></th>}
            </tr>
          </thead>
          <tbody>
            {rules.map((rule) => {
              const state = queries?.find((query) => query.name === rule.name)?.state;
              const waits = [rule.for_seconds ? t.waits(duration(rule.for_seconds * 1000, w.locale)) : "", rule.keep_firing_for_seconds ? t.keeps(duration(rule.keep_firing_for_seconds * 1000, w.locale)) : ""].filter((text) => text !== "");
              return (
                <tr key={rule.name}>
                  <th scope="row"><Link to={view_beside("query", rule.name)} class="strong-link">{rule.name}</Link> <small>v{rule.version}</small></th>
                  <td data-label={w.state}>{state ? <Badge mark={QUERY_MARKS[state]}>{w.states[state]}</Badge> : "–"}</td>
                  <td data-label={t.severity}>{t.severities[rule.severity]}</td>
                  <td data-label={t.threshold} class="rule-condition">
                    <code>{rule.threshold || t.no_condition}</code>
                    {rule.clear !== null && <> <span class="muted">{t.clear}</span> <code>{rule.clear}</code></>}
                    {waits.length > 0 && <p class="row-note">{waits.join(", ")}</p>}
                  </td>
                  <td data-label={t.told_by}>{rule.endpoints.join(", ") || t.nobody}</td>
                  <td data-label={t.counts}>
                    {t.summary(rule.firing, rule.pending, rule.recovering)}
                    {rule.keys_left_out > 0 && <p class="row-note warn">{t.left_out(rule.keys_left_out)}</p>}
                  </td>
                  {may_operate.value && <td class="row-actions"><button type="button" class="button" aria-label={t.drop_of(rule.name)} onClick={() => ask({ kind: "drop", rule: rule.name })}>{t.drop}</button></td>}
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

function Silences({ silences, now, ask, refresh }: { silences: readonly Silence[]; now: number; ask: (question: Ask) => void; refresh: () => Promise<void> }) {
  const w = words.value;
  const t = alert_words.value;
  const [problem, set_problem] = useState<Refusal | null>(null);
  const end = (id: number) => {
    set_problem(null);
    alerts_api.end_silence(id).then(refresh).catch((error: unknown) => set_problem(error instanceof Refusal ? error : null));
  };
  return (
    <Panel class="panel-table" title={t.silences} aside={may_operate.value && <button type="button" class="button" onClick={() => ask({ kind: "silence", of: { alert: "*", key: "" } })}>{t.new_silence}</button>}>
      {problem && <Trouble problem={problem} />}
      {silences.length === 0 ? <p class="empty">{t.silences_none}</p> : (
        <table class="data list-on-narrow">
          <caption class="visually-hidden">{t.silences}</caption>
          <thead>
            <tr>
              <th scope="col">{w.rule}</th><th scope="col">{t.key}</th><th scope="col">{t.until}</th><th scope="col">{t.by}</th><th scope="col">{t.comment}</th>
              {may_operate.value && <th scope="col"><span class="visually-hidden">{t.end_silence}</span></th>}
            </tr>
          </thead>
          <tbody>
            {silences.map((silence) => {
              const of = silence.alert === "*" ? t.all_rules : silence.alert;
              return (
                <tr key={silence.id}>
                  <th scope="row">{of}</th>
                  <td data-label={t.key}>{silence.key === "" ? t.all_keys : <span class="alert-key">{silence.key}</span>}</td>
                  <td data-label={t.until}>{date_time(Date.parse(silence.until), zone.value)} <small>{duration(Math.max(Date.parse(silence.until) - now, 0), w.locale)}</small></td>
                  <td data-label={t.by}>{silence.author}</td>
                  <td data-label={t.comment} class="list-text">{silence.comment || "–"}</td>
                  {may_operate.value && <td class="row-actions"><button type="button" class="button" aria-label={t.end_silence_of(of)} onClick={() => end(silence.id)}>{t.end_silence}</button></td>}
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

const RESULT_MARKS: Record<TestResult["result"], Mark> = { delivered: "good", refused: "bad", waiting: "warning" };

function Endpoints({ endpoints, refresh }: { endpoints: readonly Endpoint[]; refresh: () => Promise<void> }) {
  const w = words.value;
  const t = alert_words.value;
  const [busy, set_busy] = useState<string | null>(null);
  const [results, set_results] = useState<ReadonlyMap<string, TestResult>>(new Map());
  const [problem, set_problem] = useState<Refusal | null>(null);
  const test = async (endpoint: string) => {
    set_busy(endpoint);
    set_problem(null);
    try {
      const told = await alerts_api.test(endpoint);
      set_results(new Map([...results, ...told.map((each) => [each.endpoint, each] as const)]));
      await refresh();
    } catch (error) {
      set_problem(error instanceof Refusal ? error : new Refusal({ title: String(error), status: 500 }));
    }
    set_busy(null);
  };
  return (
    <Panel class="panel-table" title={t.endpoints}
      aside={may_operate.value && endpoints.length > 1 && <button type="button" class="button" disabled={busy !== null} onClick={() => void test("")}>{busy === "" ? t.testing : t.test_all}</button>}>
      {problem && <Trouble problem={problem} />}
      {endpoints.length === 0 ? <p class="empty">{t.endpoints_none}</p> : (
        <table class="data list-on-narrow">
          <caption class="visually-hidden">{t.endpoints}</caption>
          <thead>
            <tr>
              <th scope="col">{w.name}</th><th scope="col">{t.type}</th><th scope="col">{w.state}</th><th scope="col" class="number">{t.delivered}</th>
              <th scope="col" class="number">{t.waiting}</th><th scope="col" class="number">{t.lost}</th><th scope="col">{t.last}</th>
              {may_operate.value && <th scope="col"><span class="visually-hidden">{t.test}</span></th>}
            </tr>
          </thead>
          <tbody>
            {endpoints.map((endpoint) => {
              const failing = endpoint.failing_since !== null;
              const state = failing ? "failing" : endpoint.delivered_at === null ? "new" : "ok";
              const result = results.get(endpoint.name);
              const lost = endpoint.refused + endpoint.dropped;
              return (
                <tr key={endpoint.name}>
                  <th scope="row">{endpoint.name}</th>
                  <td data-label={t.type}>{endpoint.type}</td>
                  <td data-label={w.state} class="list-text">
                    <Badge mark={failing ? "bad" : state === "new" ? "quiet" : "good"}>{t.endpoint_states[state]}</Badge>
                    {failing && <p class="row-note bad">{t.failing_since(date_time(Date.parse(endpoint.failing_since!), zone.value))}{endpoint.error && `: ${endpoint.error}`}</p>}
                    <div role="status">
                      {result && <p><Badge mark={RESULT_MARKS[result.result]}>{t.results[result.result]}</Badge>{result.error && <small> {result.error}</small>}</p>}
                    </div>
                  </td>
                  <td data-label={t.delivered} class="number">{short(endpoint.delivered, w.locale)}</td>
                  <td data-label={t.waiting} class={`number${endpoint.waiting > 0 ? " warn" : ""}`}>{short(endpoint.waiting, w.locale)}</td>
                  <td data-label={t.lost} class={`number${lost > 0 ? " warn" : ""}`}>{short(endpoint.refused, w.locale)} / {short(endpoint.dropped, w.locale)}</td>
                  <td data-label={t.last}>{endpoint.delivered_at === null ? "–" : date_time(Date.parse(endpoint.delivered_at), zone.value)}</td>
                  {may_operate.value && (
                    <td class="row-actions"><button type="button" class="button" disabled={busy !== null} onClick={() => void test(endpoint.name)}>{busy === endpoint.name ? t.testing : t.test}<span class="visually-hidden"> {endpoint.name}</span></button></td>
                  )}
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

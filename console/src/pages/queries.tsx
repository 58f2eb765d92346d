// The catalog: what runs, what it costs, and how far behind it is.
import { useRef } from "preact/hooks";
import { api } from "../api/client";
import type { Alert, Query } from "../api/types";
import { address, change, view_beside } from "../state/address";
import { zone } from "../state/preferences";
import { drafts, NEW } from "../state/draft";
import { usePoll } from "../state/poll";
import { may_operate, sees_all } from "../state/session";
import { Badge, Link, Loading, Trouble } from "../widgets/basics";
import { LaterPart } from "../widgets/later_page";
import { QUERY_MARKS } from "../widgets/marks";
import { date_time, duration, short, whole, with_unit } from "../words/format";
import { words } from "../words/words";
import { type Cost, costs_of, type Reading } from "./query_costs";

/** What one may do with a query comes when there is one to do it with. */
export const load_menu = () => import("./query_menu").then(({ QueryMenu }) => QueryMenu);

export function matches(query: Query, search: string): boolean {
  const wanted = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const text = `${query.name} ${query.comment} ${query.text} ${query.owner}`.toLowerCase();
  return wanted.every((word) => text.includes(word));
}

interface Answer extends Reading {
  alerts: readonly Alert[];
}

/** Who sees some rows only may ask for queries alone. */
async function read(): Promise<Answer> {
  if (!sees_all.value) return { queries: await api.queries(), latencies: new Map(), alerts: [] };
  const [queries, latencies, alerts] = await Promise.all([api.queries(), api.latencies(), api.alerts().catch(() => [])]);
  return { queries, latencies, alerts };
}

export function QueriesPage() {
  const w = words.value;
  const answer = usePoll(read, 5_000).value;
  const search = address.value.view.search ?? "";
  const readings = useRef<Reading[]>([]);
  if (answer.value && readings.current[1] !== answer.value) readings.current = [readings.current[1] ?? answer.value, answer.value];
  if (!answer.value) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  const { queries } = answer.value;
  const costs = costs_of(answer.value, readings.current[0] === answer.value ? null : readings.current[0]!);
  const found = queries.filter((query) => matches(query, search)).sort((a, b) => a.name.localeCompare(b.name));
  const failed = queries.filter((query) => query.state === "failed").length;
  return (
    <>
      <div class="page-head">
        <h1>{w.pages.queries}</h1>
        <span class="muted" role="status">{w.query_count(found.length)}{failed > 0 && <> · <b class="bad">{w.failed_count(failed)}</b></>}</span>
        {may_operate.value && <Link to={view_beside("new")} class="button button-strong new-query">{w.new_query}{drafts.value.has(NEW) && <span class="tab-unsaved" title={w.unsaved}><span class="visually-hidden"> ({w.unsaved})</span></span>}</Link>}
        <input type="search" class="search" placeholder={w.search} aria-label={w.search_queries} value={search} onInput={(event) => change({ search: event.currentTarget.value })} />
      </div>
      {answer.problem && <Trouble problem={answer.problem} />}
      {found.length === 0 ? <p class="empty">{w.none_found(search)}</p> : (
        <div class="panel panel-table">
          <table class="data queries">
            <caption class="visually-hidden">{w.pages.queries}</caption>
            <thead>
              <tr>
                <th scope="col">{w.name}</th>
                <th scope="col">{w.state}</th>
                <th scope="col" class="number">{w.windows}</th>
                <th scope="col" class="number">{w.results}</th>
                <th scope="col" class="number">{w.cost}</th>
                <th scope="col" class="number">{w.latency}</th>
                <th scope="col" class="number">{w.loss}</th>
                <th scope="col">{w.owner}</th>
                <th scope="col"><span class="visually-hidden">{w.actions}</span></th>
              </tr>
            </thead>
            <tbody>{found.map((query) => <Row key={query.name} query={query} cost={costs.get(query.name)!} readers={queries.filter((each) => each.reads.includes(query.name))} firing={firing_of(query, answer.value!.alerts)} />)}</tbody>
          </table>
        </div>
      )}
    </>
  );
}

/** Alerts name the query that they are of, and its version: "port_sweep@2". */
function firing_of(query: Query, alerts: readonly Alert[]): number {
  return alerts.filter((alert) => alert.state === "firing" && alert.query.replace(/@\d+$/, "") === query.name).length;
}

function Names({ label, names }: { label: string; names: readonly string[] }) {
  if (names.length === 0) return null;
  return <p class="row-note row-reads">{label} {names.map((name, i) => <>{i > 0 && ", "}<Link to={view_beside("query", name)}>{name}</Link></>)}</p>;
}

function Row({ query, cost, readers, firing }: { query: Query; cost: Cost; readers: readonly Query[]; firing: number }) {
  const w = words.value;
  const { ledger } = query;
  const number = (value: number | undefined) => (value === undefined ? "–" : short(value, w.locale));
  const lost = ledger ? ledger.lost + ledger.shed : 0;
  return (
    <tr>
      <th scope="row">
        <Link to={view_beside("query", query.name)} class="strong-link">{query.name}</Link> <small class="muted">v{query.version}</small>
        <p class="row-note">{query.comment || purpose_of(query.text)}</p>
        <Names label={w.reads} names={query.reads} />
        <Names label={w.read_by} names={readers.map(({ name }) => name)} />
      </th>
      <td data-label={w.state}>
        <Badge mark={query.plain ? "quiet" : QUERY_MARKS[query.state]}>{query.plain ? w.states.plain : w.states[query.state]}</Badge>
        {firing > 0 && <p><Link to={view_beside("alerts")}><Badge mark="bad">{w.alert_count(firing)}</Badge></Link></p>}
        {query.reason && <p class="row-note bad">{query.reason}</p>}
      </td>
      <td class="number" data-label={w.windows} title={query.collecting_since ? w.collecting_since(date_time(Date.parse(query.collecting_since), zone.value)) : undefined}>
        {number(ledger?.windows_closed)}
        {query.collecting_since && <p class="row-note">{duration(Date.now() - Date.parse(query.collecting_since), w.locale)}</p>}
      </td>
      <td class="number" data-label={w.results}>{number(ledger?.result_rows)}</td>
      <td class="number" data-label={w.cost} title={ledger ? w.rows(ledger.assigned) : undefined}>
        {cost.rows_per_window === null ? "–" : short(Math.round(cost.rows_per_window), w.locale)}
        {query.state_octets != null && <p class="row-note" title={w.open_groups(whole(query.groups ?? 0, w.locale))}>{w.in_memory(with_unit(query.state_octets, "B", w.locale))}</p>}
      </td>
      <td class="number" data-label={w.latency}>
        {cost.latency_seconds === null ? "–" : duration(cost.latency_seconds * 1000, w.locale)}
        {query.lag_seconds != null && <p class="row-note">{w.behind(duration(query.lag_seconds * 1000, w.locale))}</p>}
      </td>
      <td class={`number${lost > 0 ? " warn" : ""}`} data-label={w.loss}>{ledger ? `${number(ledger.late)} / ${number(lost)}` : "–"}</td>
      <td data-label={w.owner} class="muted">{query.owner}</td>
      <td class="row-menu">{sees_all.value && <LaterPart load={load_menu} props={{ query, links: true }} quiet />}</td>
    </tr>
  );
}

/** The comment that a statement begins with, as the ready ones do; else the statement itself. */
export function purpose_of(text: string): string {
  const comment = /^(\s*--[^\n]*\n)+/.exec(text)?.[0].replace(/^\s*--\s?/gm, "");
  return (comment ?? text).replace(/\s+/g, " ").trim();
}

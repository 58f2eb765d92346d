// The catalog: what runs, what it costs, and how far behind it is.
import { api } from "../api/client";
import type { Query } from "../api/types";
import { address, change, view_beside } from "../state/address";
import { zone } from "../state/preferences";
import { usePoll } from "../state/poll";
import { Badge, Link, Loading, type Mark, Trouble } from "../widgets/basics";
import { duration, short, date_time } from "../words/format";
import { words } from "../words/words";

const MARKS: Record<Query["state"], Mark> = { running: "good", paused: "quiet", failed: "bad" };

export function matches(query: Query, search: string): boolean {
  const wanted = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const text = `${query.name} ${query.comment} ${query.text} ${query.owner}`.toLowerCase();
  return wanted.every((word) => text.includes(word));
}

export function QueriesPage() {
  const w = words.value;
  const answer = usePoll(api.queries, 3_000).value;
  const search = address.value.view.search ?? "";
  if (!answer.value) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  const found = answer.value.filter((query) => matches(query, search)).sort((a, b) => a.name.localeCompare(b.name));
  const failed = answer.value.filter((query) => query.state === "failed").length;
  return (
    <>
      <div class="page-head">
        <h1>{w.pages.queries}</h1>
        <span class="muted" role="status">{w.query_count(found.length)}{failed > 0 && <> · <b class="bad">{w.failed_count(failed)}</b></>}</span>
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
                <th scope="col" class="number">{w.rows_counted}</th>
                <th scope="col" class="number">{w.loss}</th>
                <th scope="col">{w.owner}</th>
              </tr>
            </thead>
            <tbody>{found.map((query) => <Row key={query.name} query={query} />)}</tbody>
          </table>
        </div>
      )}
    </>
  );
}

function Row({ query }: { query: Query }) {
  const w = words.value;
  const { ledger } = query;
  const number = (value: number | undefined) => (value === undefined ? "–" : short(value, w.locale));
  const lost = ledger ? ledger.lost + ledger.shed : 0;
  return (
    <tr>
      <th scope="row">
        <Link to={view_beside("query", query.name)} class="strong-link">{query.name}</Link> <small class="muted">v{query.version}</small>
        <p class="row-note">{query.comment || first_line(query.text)}</p>
      </th>
      <td data-label={w.state}>
        <Badge mark={query.plain ? "quiet" : MARKS[query.state]}>{query.plain ? w.states.plain : w.states[query.state]}</Badge>
        {query.reason && <p class="row-note bad">{query.reason}</p>}
      </td>
      <td class="number" data-label={w.windows} title={query.collecting_since ? w.collecting_since(date_time(Date.parse(query.collecting_since), zone.value)) : undefined}>
        {number(ledger?.windows_closed)}
        {query.collecting_since && <p class="row-note">{duration(Date.now() - Date.parse(query.collecting_since), w.locale)}</p>}
      </td>
      <td class="number" data-label={w.results}>{number(ledger?.result_rows)}</td>
      <td class="number" data-label={w.rows_counted}>{number(ledger?.counted)}</td>
      <td class={`number${lost > 0 ? " warn" : ""}`} data-label={w.loss}>{ledger ? `${number(ledger.late)} / ${number(lost)}` : "–"}</td>
      <td data-label={w.owner} class="muted">{query.owner}</td>
    </tr>
  );
}

/** The statement as a hint: its clauses in one line. */
function first_line(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

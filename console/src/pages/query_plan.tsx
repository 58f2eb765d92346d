// How a query runs: a graph of what runs where, with the rates that are counted, and EXPLAIN's text beside it.
import { useMemo, useRef } from "preact/hooks";
import { api, Refusal } from "../api/client";
import { is_xml, queries } from "../api/queries";
import type { Query } from "../api/types";
import { select_of } from "../editor/scan";
import { usePoll } from "../state/poll";
import { CopyItem, Loading, Panel, Trouble } from "../widgets/basics";
import { Statement } from "../widgets/statement";
import { duration, short, whole, with_unit } from "../words/format";
import { query_words } from "../words/query";
import { words } from "../words/words";
import { type Graph, graph_of, lay_out, NODE, type Plan, type PlanEdge, type PlanNode } from "./plan_graph";
import { type Rates, type Reading, rates_of } from "./plan_rates";

const POLL_MS = 2_000;
/** Readings are kept so long: two windows of some minutes have to be seen. */
const KEPT_MS = 15 * 60_000;
const PADDING = 16;
/** Characters that fit into a node. */
const LABEL_MAX = 33, NOTE_MAX = 41;

interface Explained {
  plan: Plan;
  text: string;
  /** Of a diagram; why there is none. Null: the query is SQL. */
  in_sql: string | Refusal | null;
  sinks: readonly string[];
  readers: readonly string[];
}

async function explain(query: Query): Promise<Explained> {
  // Of a plain view: what its rows would be, where somebody reads them.
  const statement = query.plain ? select_of(query.text) : query.text;
  const [json, text, in_sql, sinks, all] = await Promise.all([
    queries.explain(statement, "DISTRIBUTED, FORMAT json", query.name), queries.explain(statement, "DISTRIBUTED", query.name),
    is_xml(statement) ? queries.in_sql(statement, query.name).catch((error: unknown) => { if (error instanceof Refusal) return error; throw error; }) : null,
    queries.sinks_of(query.name).catch(() => []), api.queries(),
  ]);
  return { plan: JSON.parse(json) as Plan, text, in_sql, sinks, readers: all.filter((each) => each.reads.includes(query.name)).map((each) => each.name) };
}

export function PlanPart({ query }: { query: Query }) {
  const q = query_words.value;
  // A plan changes with the statement, and with what there is beside it.
  const answer = usePoll(() => explain(query), 60_000, [query.name, query.incarnation, query.version]).value;
  const now = usePoll(() => api.query(query.name), POLL_MS, [query.name, query.incarnation, query.version]).value;
  const readings = useRef<(Reading & { of: Query })[]>([]);
  if (now.value?.ledger && readings.current[readings.current.length - 1]?.of !== now.value) {
    const at = Date.now();
    readings.current = [...readings.current.filter((each) => at - each.at <= KEPT_MS), { at, ledger: now.value.ledger, of: now.value }];
  }
  const rates = rates_of(readings.current);
  const graph = useMemo(() => answer.value && graph_of(answer.value.plan, [
    ...(query.plain ? [] : [{ label: q.kept_results, note: q.kept_results_note }]),
    ...answer.value.sinks.map((name) => ({ label: name, note: q.sink_note })),
    ...answer.value.readers.map((name) => ({ label: name, note: q.reader_note })),
  ]), [answer.value, q, query.plain]);
  if (!answer.value || !graph) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  return (
    <div class="plan">
      <Panel title={q.plan_graph} class="plan-graph">
        {query.plain && <p class="muted">{q.plain_plan}</p>}
        <Picture graph={graph} rates={query.plain || query.state !== "running" ? null : rates} runs={!query.plain && query.state === "running"} />
        {graph.remarks.map((remark) => <p key={remark.operator} class="muted">{remark.operator}{remark.facts.map(({ name, text }) => ` · ${name}: ${text}`)}</p>)}
      </Panel>
      <Panel title={q.plan_text} class="plan-text">
        <div class="table-scroll" tabIndex={0} role="region" aria-label={q.plan_text}><pre><code>{answer.value.text}</code></pre></div>
        <Counted query={now.value ?? query} />
      </Panel>
      {answer.value.in_sql !== null && <InSql sql={answer.value.in_sql} />}
    </div>
  );
}

function InSql({ sql }: { sql: string | Refusal }) {
  const q = query_words.value;
  if (sql instanceof Refusal) return <Panel title={q.in_sql}><p class="muted">{q.not_in_sql} {sql.message}</p></Panel>;
  return (
    <Panel title={q.in_sql} class="statement" aside={<CopyItem class="button" text={() => sql}>{words.value.copy_sql}</CopyItem>}>
      <Statement text={sql} />
    </Panel>
  );
}

function Counted({ query }: { query: Query }) {
  const q = query_words.value, w = words.value;
  const { ledger, lag_seconds, state_octets, groups } = query;
  if (!ledger) return null;
  return (
    <>
      <h3 class="plan-counted">{q.counted}</h3>
      <dl class="plan-counts">
        {(Object.keys(q.ledger) as (keyof typeof q.ledger)[]).map((name) => <div key={name}><dt>{q.ledger[name]}</dt><dd class="number">{whole(ledger[name], w.locale)}</dd></div>)}
        {lag_seconds != null && <div><dt>{q.lag}</dt><dd class="number">{duration(lag_seconds * 1000, w.locale)}</dd></div>}
        {state_octets != null && <div><dt>{q.open_memory}</dt><dd class="number">{with_unit(state_octets, "B", w.locale)}</dd></div>}
        {groups != null && <div><dt>{q.open_groups}</dt><dd class="number">{whole(groups, w.locale)}</dd></div>}
      </dl>
    </>
  );
}

const cut = (text: string, length: number) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);

function Picture({ graph, rates, runs }: { graph: Graph; rates: Rates | null; runs: boolean }) {
  const q = query_words.value, w = words.value;
  const laid = useMemo(() => lay_out(graph), [graph]);
  const width = laid.width + 2 * PADDING;
  const label_of = (node: PlanNode) => (node.kind === "bus" ? (node.facts.length > 0 ? q.bus_groups : q.bus_rows) : node.label);
  const entries = graph.edges.filter((edge) => edge.carries === "in").length;
  // The ledger counts rows of all sources together: of several, none has a figure of its own.
  const rows_text = rates === null ? null
    : rates.rows_per_second !== null ? q.rows_in(short(Math.round(rates.rows_per_second), w.locale))
    : rates.rows_in_a_window !== null ? q.rows_a_window(short(Math.round(rates.rows_in_a_window), w.locale)) : null;
  const rate_lines = (edge: PlanEdge): string[] => {
    if (!rates) return [];
    if (edge.carries === "in") return entries === 1 && rows_text !== null ? [rows_text] : [];
    if (edge.carries !== "out" || rates.rows_out_a_window === null) return [];
    const rows = q.rows_a_window(short(Number(rates.rows_out_a_window.toPrecision(3)), w.locale));
    return rates.window_ms === null ? [rows] : [rows, q.every(duration(rates.window_ms, w.locale))];
  };
  const first_out = graph.edges.findIndex((edge) => edge.carries === "out");
  const summary = q.plan_summary(graph.nodes.filter(({ kind }) => kind === "operator").length, rows_text ?? w.no_data);
  return (
    <div class="plan-scroll" tabIndex={0} role="region" aria-label={q.plan_graph}>
      <svg width={width} height={laid.height} viewBox={`0 0 ${width} ${laid.height}`} role="img" aria-label={summary}>
        {laid.lanes.map(({ lane, y, height }) => (
          <g key={lane}>
            <rect class={`plan-lane plan-lane-${lane}`} x={0} y={y} width={width} height={height} rx={8} />
            <text class="plan-lane-name" x={12} y={y + 17}>{q.lanes[lane]}</text>
          </g>
        ))}
        {graph.edges.map((edge, i) => {
          const from = laid.places[edge.from]!, to = laid.places[edge.to]!;
          const x1 = PADDING + from.x + NODE.width / 2, y1 = from.y + NODE.height, x2 = PADDING + to.x + NODE.width / 2, y2 = to.y;
          const middle = (y1 + y2) / 2;
          const lines = edge.carries === "out" && i !== first_out ? [] : rate_lines(edge);
          return (
            <g key={`${edge.from}-${edge.to}`}>
              <path class={`plan-edge${lines.length > 0 && runs ? " plan-edge-counted" : ""}`} d={`M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2 - 6}`} />
              <path class="plan-arrow" d={`M${x2 - 4} ${y2 - 7}L${x2} ${y2}L${x2 + 4} ${y2 - 7}Z`} />
              {lines.map((line, at) => <text key={at} class="plan-rate" x={x1 + 10} y={y1 + 16 + 15 * at}>{line}</text>)}
            </g>
          );
        })}
        {graph.nodes.map((node) => {
          const { x, y } = laid.places[node.id]!;
          return (
            <g key={node.id} class={`plan-node plan-node-${node.kind}`} transform={`translate(${PADDING + x} ${y})`}>
              <title>{[label_of(node), node.note, ...node.facts.map(({ name, text }) => `${name}: ${text}`)].filter(Boolean).join("\n")}</title>
              <rect width={NODE.width} height={NODE.height} rx={7} />
              <text class="plan-label" x={12} y={node.note === "" ? 33 : 23}>{cut(label_of(node), LABEL_MAX)}</text>
              {node.note !== "" && <text class="plan-note" x={12} y={42}>{cut(node.note, NOTE_MAX)}</text>}
            </g>
          );
        })}
      </svg>
      {runs && rows_text === null && <p class="muted" role="status">{q.measuring}</p>}
    </div>
  );
}

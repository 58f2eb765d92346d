// Who sends to whom: two columns of a query set against each other.
import { useMemo } from "preact/hooks";
import { api } from "../api/client";
import type { Column, Query } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { ChordChart, SankeyChart } from "../charts/flow_chart";
import { Heatmap } from "../charts/heatmap";
import { heading_of, measure_title } from "../charts/labels";
import { has_all_groups, measure_for, shape_of } from "../charts/shape";
import { address, change, go } from "../state/address";
import { units, zone } from "../state/preferences";
import { usePoll } from "../state/poll";
import { type ChartName, ORDERS, SIZES, view_of } from "../state/view";
import { useAnswer, useLast } from "../widgets/answers";
import { Choice, Link, Loading, Panel, Trouble } from "../widgets/basics";
import { useNow } from "../widgets/held";
import { MeasureChoice } from "../widgets/measure";
import { type Size, useSize } from "../widgets/query_size";
import { asked_of, RangeChoice, useRangeKeys } from "../widgets/range";
import { Statement } from "../widgets/statement";
import { open_value_menu, ValueButton } from "../widgets/value_menu";
import { explore_words } from "../words/explore";
import { date_time, scale_of, short, with_unit } from "../words/format";
import { matrix_words } from "../words/matrix";
import { words } from "../words/words";
import { CopyStatement, Download } from "./copy_download";
import { conditions_over, type Exploration, is_rate, ranking_sql } from "./exploration";
import { Filters } from "./filters";
import { cells_sql, flow_links, matrix_data, type MatrixData, queries_for_matrix, type Sides, side_sql, sides_for } from "./matrix_question";

const ASK_EVERY_MS = 60_000;
const LINKS_MAX = 60;
const CHORD_MAX = 12;

export function MatrixPage() {
  const w = words.value, m = matrix_words.value;
  const queries = usePoll(api.queries, 10_000).value;
  const { view } = address.value;
  const known = queries_for_matrix(queries.value ?? []);
  const otherwise = useMemo(() => known.find((query) => query.state === "running")?.name ?? null, [known.length === 0]);
  if (!queries.value) return queries.problem ? <Trouble problem={queries.problem} /> : <Loading />;
  const name = view.query ?? otherwise;
  const query = known.find((each) => each.name === name);
  return (
    <>
      <div class="page-head">
        <h1>{w.pages.matrix}</h1>
        {known.length > 0 && (
          <label class="select"><span>{m.of}</span>
            <select value={name ?? ""} onChange={(event) => go({ ...view, query: event.currentTarget.value, by: [], filters: [], measure: null })}>
              {name !== null && !query && <option value={name}>{name}</option>}
              {known.map((each) => <option key={each.name} value={each.name}>{each.name} · {side_names(sides_for(each, [])!)}</option>)}
            </select>
          </label>
        )}
        {query && <Link to={{ ...view_of("explore", query.name), units: view.units, zone: view.zone, range: view.range, from: view.from, until: view.until, filters: view.filters }} class="quiet-link">{w.pages.explore}</Link>}
      </div>
      {queries.problem && <Trouble problem={queries.problem} />}
      {query ? <Measured key={`${query.name}@${query.incarnation}.${query.version}`} query={query} /> : <p class="empty">{name === null ? m.none : w.none_found(name)}</p>}
    </>
  );
}

function side_names(sides: Sides): string {
  return `${heading_of(sides.rows.name)} → ${heading_of(sides.columns.name)}`;
}

function Measured({ query }: { query: Query }) {
  const size = useSize(query);
  return size ? <MatrixView query={query} window={size} /> : <Loading />;
}

function MatrixView({ query, window }: { query: Query; window: Size }) {
  const w = words.value, m = matrix_words.value, e = explore_words.value;
  const { view } = address.value;
  const now = useNow(1_000);
  const asked = asked_of(view, now);
  useRangeKeys(asked);
  const shape = useMemo(() => shape_of(query.columns), [query.columns]);
  const { measure: found, lacks_packets } = measure_for(shape, view.measure, units.value);
  const measure = found!;
  const sides = sides_for(query, view.by)!;
  const size = view.size ?? 16, order = view.order ?? "total";
  const charts: ChartName[] = ["matrix", "flow", "table"];
  const chart = view.chart !== null && charts.includes(view.chart) ? view.chart : "matrix";
  const whole = has_all_groups(query.text);
  const { sql: conditions, mistakes } = conditions_over(view.filters, query.columns);

  const about = JSON.stringify([query.name, sides.rows.name, sides.columns.name, conditions, measure, size, view.range, view.from, view.until]);
  const turn = asked.live ? Math.floor(now / ASK_EVERY_MS) : 0;
  const what: Exploration = useMemo(() => {
    const at = asked_of(view, Date.now());
    return { query: query.name, by: [sides.rows, sides.columns], conditions, measure, from: Math.floor(at.from), until: at.until };
  }, [about, turn]);
  const rows = useAnswer(side_sql(what, sides.rows, size), about);
  const columns = useAnswer(side_sql(what, sides.columns, size), about);
  const sums = useAnswer(ranking_sql({ ...what, by: [] }, 1), about);
  const row_keys = rows.answer?.rows.map((row) => row[0] ?? null) ?? [], column_keys = columns.answer?.rows.map((row) => row[0] ?? null) ?? [];
  // All cells are among keys that are there: asked when both sides are known.
  const text = rows.answer && columns.answer && row_keys.length > 0 && column_keys.length > 0 ? cells_sql(what, sides, row_keys, column_keys) : null;
  const cells = useAnswer(text, about);

  const scale = scale_of(measure, units.value, w.per_second);
  const span = sums.answer?.start != null ? sums.answer.end! - sums.answer.start : null;
  const parts = span !== null && window.window_ms !== null ? span / window.window_ms : 1;
  const rate = (sum: number) => (is_rate(measure) ? scale.of(sum, 1) / parts : scale.of(sum, (span ?? 0) / 1_000));
  const total = sums.answer?.rows[0]?.[0];
  // Cells of the keys that are there, not of those before.
  const ready = rows.answer && columns.answer && sums.answer && (cells.answer?.text === text || text === null);
  const data = useLast(useMemo(() => (ready ? matrix_data(sides, rows.answer!.rows, columns.answer!.rows, cells.answer?.rows ?? [], typeof total === "number" ? total : null, whole, order, rate) : null),
    [rows.answer, columns.answer, cells.answer, sums.answer, ready, order, units.value, w]), about);
  const problem = rows.problem ?? columns.problem ?? sums.problem ?? cells.problem;
  const title = `${measure_title(measure, w.traffic)}${scale.unit ? `, ${scale.unit}` : ""} · ${side_names(sides)}`;
  const pick = (row: number, column: number, element: Element) => {
    const cell = data?.cells[row]?.[column] ?? null;
    const sum = cell === null ? null : cell / (rate(1) || 1);
    open_value_menu({
      query: query.name, columns: query.columns, measure, amount: sum === null ? null : Math.round(sum / Math.max(parts, 1)),
      parts: [{ column: sides.rows, value: data!.row_keys[row] ?? null }, { column: sides.columns, value: data!.column_keys[column] ?? null }],
    }, element);
  };
  const notes = [
    data !== null && (data.rows.length === size || data.columns.length === size) && m.largest(data.rows.length, data.columns.length),
    sums.answer?.start != null && m.average(date_time(sums.answer.start, zone.value), date_time(sums.answer.end!, zone.value)),
    sums.answer && !sums.answer.complete && (sums.answer.sites_missing.length > 0 ? w.incomplete_without(sums.answer.sites_missing.join(", ")) : sums.answer.notices.length === 0 && w.incomplete),
    whole ? m.empty_cells : m.not_all,
    order === "similar" && chart !== "flow" && m.likeness,
    chart === "matrix" && m.keys,
    lacks_packets && w.no_packets,
    ...new Set([...(sums.answer?.notices ?? []), ...(cells.answer?.notices ?? [])]),
  ].filter((note): note is string => typeof note === "string");
  return (
    <>
      <div class="toolbar" role="group" aria-label={w.controls}>
        {shape.dimensions.length > 2 && <SideChoice dimensions={shape.dimensions} sides={sides} />}
        <MeasureChoice shape={shape} measure={measure} />
        <Choice label={w.chart} value={chart} choose={(value) => change({ chart: value })} options={charts.map((value) => ({ value, text: w.charts[value] }))} />
        <Choice label={m.size} value={String(size)} choose={(value) => change({ size: SIZES.find((each) => String(each) === value)! }, true)} options={SIZES.map((value) => ({ value: String(value), text: String(value) }))} />
        <Choice label={m.order} value={order} choose={(value) => change({ order: value }, true)} options={ORDERS.map((value) => ({ value, text: m.orders[value] }))} />
        <RangeChoice asked={asked} />
        <div class="actions">
          <CopyStatement sql={text ?? side_sql(what, sides.rows, size)} />
          <Download name={query.name} from={asked.from} windows={[exported(data, sides, measure)]} picture={chart !== "table"} />
        </div>
      </div>
      <Filters columns={query.columns} />
      {mistakes.length > 0 && <ul class="notes warn" role="status">{mistakes.map(({ text: wrong, mistake }) => <li key={wrong}>{e.wrong[mistake](wrong)}</li>)}</ul>}
      {problem && <Trouble problem={problem} />}
      {!data ? (problem ? null : <Loading />) : data.rows.length === 0 ? <Panel title={title}><p class="empty">{w.no_rows}</p></Panel> : (
        <>
          {chart !== "table" && (
            <Panel title={title} class="result">
              {chart === "matrix" ? (
                <Heatmap matrix={data} cell_height={30} unit={scale.unit} label={side_names(sides)} on_pick={pick} {...(whole ? { row_totals: data.row_totals, column_totals: data.column_totals } : {})}
                  summary={m.summary(query.name, data.rows.length, data.columns.length)} />
              ) : <Flow query={query} data={data} sides={sides} unit={scale.unit} pick={pick} />}
              <ul class="notes">{notes.map((note) => <li key={note}>{note}</li>)}</ul>
            </Panel>
          )}
          <Panel title={<>{title} <span class="muted">{w.as_table}</span></>} class="panel-table">
            <MatrixTable query={query} data={data} sides={sides} unit={scale.unit} measure={measure} />
            {chart === "table" && <ul class="notes">{notes.map((note) => <li key={note}>{note}</li>)}</ul>}
          </Panel>
          {text !== null && <Panel title={w.statement} class="statement"><Statement text={`${text};`} /></Panel>}
        </>
      )}
    </>
  );
}

function SideChoice({ dimensions, sides }: { dimensions: readonly Column[]; sides: Sides }) {
  const m = matrix_words.value;
  const pairs = dimensions.flatMap((rows) => dimensions.filter((columns) => columns !== rows).map((columns) => `${rows.name},${columns.name}`));
  return (
    <label class="select"><span>{m.sides}</span>
      <select value={`${sides.rows.name},${sides.columns.name}`} onChange={(event) => change({ by: event.currentTarget.value.split(",") }, true)}>
        {pairs.map((pair) => <option key={pair} value={pair}>{pair.split(",").map(heading_of).join(" → ")}</option>)}
      </select>
    </label>
  );
}

function Flow({ query, data, sides, unit, pick }: { query: Query; data: MatrixData; sides: Sides; unit: string; pick: (row: number, column: number, element: Element) => void }) {
  const w = words.value, m = matrix_words.value;
  const summary = m.summary(query.name, data.rows.length, data.columns.length);
  if (sides.one_domain) {
    const row_at = new Map(data.rows.map((name, r) => [name, r])), column_at = new Map(data.columns.map((name, c) => [name, c]));
    // Only those of which both sides are known: what the others send or get is not here.
    const both = data.rows.filter((name) => column_at.has(name));
    const sum = (name: string) => (data.row_totals[row_at.get(name)!] ?? 0) + (data.column_totals[column_at.get(name)!] ?? 0);
    const names = both.sort((a, b) => sum(b) - sum(a)).slice(0, CHORD_MAX);
    const cells = names.map((from) => names.map((to) => data.cells[row_at.get(from)!]![column_at.get(to)!] ?? 0));
    return (
      <>
        <ChordChart names={names} cells={cells} unit={unit} summary={summary} on_pick={(from, to, element) => pick(row_at.get(names[from]!)!, column_at.get(names[to]!)!, element)} />
        <p class="notes">{m.chord(names.length)}</p>
      </>
    );
  }
  const links = flow_links(data, LINKS_MAX, w.other);
  return (
    <>
      <SankeyChart links={links} other={w.other} unit={unit} summary={summary} on_pick={pick} />
      {links.some((link) => link.column === null) && <p class="notes">{m.links(links.filter((link) => link.column !== null).length)}</p>}
    </>
  );
}

function MatrixTable({ query, data, sides, unit, measure }: { query: Query; data: MatrixData; sides: Sides; unit: string; measure: string }) {
  const w = words.value, m = matrix_words.value;
  const known = data.total !== null;
  const text = (value: number | null | undefined) => (value == null ? <span class="none">–</span> : short(value, w.locale));
  /** What a row or column has beside what is shown. */
  const rest = (total: number | null | undefined, shown: readonly (number | null)[]) => (total == null ? null : Math.max(0, total - shown.reduce<number>((sum, value) => sum + (value ?? 0), 0)));
  const button = (column: Column, value: MatrixData["row_keys"][number], label: string) => (
    <ValueButton subject={{ query: query.name, columns: query.columns, parts: [{ column, value }], measure, amount: null }}>{label}</ValueButton>
  );
  return (
    <div class="table-scroll ranking-scroll" tabIndex={0} role="region" aria-label={`${side_names(sides)}, ${w.charts.table}`}>
      <table class="data matrix-table">
        <caption class="visually-hidden">{side_names(sides)}, {unit}</caption>
        <thead>
          <tr>
            <th scope="col">{side_names(sides)} <small>{unit}</small></th>
            {data.columns.map((name, c) => <th key={name} scope="col" class="number">{button(sides.columns, data.column_keys[c]!, name)}</th>)}
            {known && <th scope="col" class="number">{m.others}</th>}
            {known && <th scope="col" class="number">{m.total}</th>}
          </tr>
        </thead>
        <tbody>
          {data.rows.map((name, r) => (
            <tr key={name}>
              <th scope="row">{button(sides.rows, data.row_keys[r]!, name)}</th>
              {data.cells[r]!.map((value, c) => <td key={data.columns[c]} class="number">{text(value)}</td>)}
              {known && <td class="number muted">{text(rest(data.row_totals[r], data.cells[r]!))}</td>}
              {known && <td class="number">{text(data.row_totals[r])}</td>}
            </tr>
          ))}
        </tbody>
        {known && (
          <tfoot>
            <tr>
              <th scope="row">{m.others}</th>
              {data.columns.map((name, c) => <td key={name} class="number muted">{text(rest(data.column_totals[c], data.cells.map((row) => row[c]!)))}</td>)}
              <td /><td class="number muted">{text(rest(data.total, data.row_totals))}</td>
            </tr>
            <tr>
              <th scope="row">{m.total}</th>
              {data.column_totals.map((value, c) => <td key={data.columns[c]} class="number">{text(value)}</td>)}
              <td class="number muted">{text(rest(data.total, data.column_totals))}</td>
              <td class="number">{data.total === null ? "" : with_unit(data.total, unit, w.locale)}</td>
            </tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

/** Cells as rows for other programs, in the units of the screen. */
function exported(data: MatrixData | null, sides: Sides, measure: string): ResultWindow {
  return {
    start: null, end: null, revision: 1, open: false, complete: true, sites_missing: [], truncated: false,
    columns: [sides.rows, sides.columns, { name: measure, type: "double precision" }],
    rows: (data?.cells ?? []).flatMap((row, r) => row.flatMap((value, c) => (value === null ? [] : [[data!.row_keys[r] ?? null, data!.column_keys[c] ?? null, value]]))),
  };
}

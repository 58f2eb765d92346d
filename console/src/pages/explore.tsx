// Any question to what is kept: dimensions, conditions and a measure of one query's results, or a new question to flows.
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { api } from "../api/client";
import { SessionFeed } from "../api/feed";
import { explore_api } from "../api/explore";
import { queries as queries_api } from "../api/queries";
import type { Column, Query, Suggestion, Value } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { heading_of, label_of, measure_title } from "../charts/labels";
import { picture_of, SERIES_MAX, type Picture } from "../charts/series";
import { adds_up, has_all_groups, measure_for, overlaps, shape_of, type Shape } from "../charts/shape";
import { Swatch, TimeChart } from "../charts/time_chart";
import type { Subject } from "../charts/value_actions";
import { address, change, go } from "../state/address";
import { open_new_query } from "../state/draft";
import { units, zone } from "../state/preferences";
import { usePoll } from "../state/poll";
import { may_operate } from "../state/session";
import { type ChartName, view_of } from "../state/view";
import { useAnswer, useLast, useSession } from "../widgets/answers";
import { Bar, Choice, Link, Loading, Menu, Panel, Trouble } from "../widgets/basics";
import { EarlierLegend, useEarlier } from "../widgets/earlier";
import { useNow } from "../widgets/held";
import { MeasureChoice } from "../widgets/measure";
import { useSize, type Size } from "../widgets/query_size";
import { asked_of, EarlierChoice, RangeChoice, useRangeKeys, zoom } from "../widgets/range";
import { SeriesTable } from "../widgets/series_table";
import { Statement } from "../widgets/statement";
import { ValueButton } from "../widgets/value_menu";
import { date_time, duration, percent, quantity_of, scale_of, short, time_of_day, with_unit } from "../words/format";
import { explore_words } from "../words/explore";
import { words } from "../words/words";
import { CopyStatement, Download } from "./copy_download";
import { Filters } from "./filters";
import { has_matrix } from "./matrix_question";
import { amount_of_window, as_one_rate, conditions_over, dimensions_of, type Exploration, type Figures, figures_of, flows_question, ranking_sql, ROWS_SHOWN, series_sql, step_seconds, total_amount } from "./exploration";

/** How often the largest are looked for again, while time goes on. */
const RANK_EVERY_MS = 60_000;
const FLOWS = "flows";
const FLOWS_MEASURES = ["octets", "packets", "flows"];
/** Of flows; the rest of its columns can be chosen, too. */
const FLOWS_OFFERED = ["site", "exporter", "src_as", "dst_as", "src_ip", "dst_ip", "src_prefix", "dst_prefix", "src_port", "dst_port", "protocol", "in_if", "out_if"];

function explorable(queries: readonly Query[]): Query[] {
  return queries.filter((query) => !query.plain && query.columns.some((column) => column.name === "window_start") && measure_for(shape_of(query.columns), null, "bits").measure !== null);
}

/** What most can be asked of: amounts of all groups, by many columns. */
function default_query(queries: readonly Query[]): Query | null {
  const rank = (query: Query) => {
    const shape = shape_of(query.columns), { measure } = measure_for(shape, null, "bits");
    return (query.state === "running" ? 100 : 0) + (has_all_groups(query.text) ? 10 : 0) + (measure !== null && adds_up(measure) ? 10 : 0) + Math.min(shape.dimensions.length, 4);
  };
  return [...queries].sort((a, b) => rank(b) - rank(a) || (b.ledger?.windows_closed ?? 0) - (a.ledger?.windows_closed ?? 0))[0] ?? null;
}

export function ExplorePage() {
  const w = words.value, e = explore_words.value;
  const queries = usePoll(api.queries, 10_000).value;
  const { view } = address.value;
  const known = explorable(queries.value ?? []);
  const names = known.map((query) => query.name).join("\n");
  // Chosen once: it does not change under who looks.
  const otherwise = useMemo(() => default_query(known)?.name ?? null, [names === ""]);
  if (!queries.value) return queries.problem ? <Trouble problem={queries.problem} /> : <Loading />;
  const name = view.query ?? otherwise;
  const query = known.find((each) => each.name === name);
  const choose = (to: string) => go({ ...view, ...pickless(), query: to });
  return (
    <>
      <div class="page-head">
        <h1>{w.pages.explore}</h1>
        <label class="select"><span>{e.of}</span>
          <select value={name ?? ""} onChange={(event) => choose(event.currentTarget.value)}>
            {name !== null && name !== FLOWS && !query && <option value={name}>{name}</option>}
            <option value={FLOWS}>{e.flows}</option>
            {known.map((each) => <option key={each.name} value={each.name}>{each.name}</option>)}
          </select>
        </label>
        {query && <Link to={{ ...view_of("query", query.name), units: view.units, zone: view.zone }} class="quiet-link">{w.pages.query}</Link>}
        {query && has_matrix(query) && <Link to={{ ...view_of("matrix", query.name), units: view.units, zone: view.zone, range: view.range, from: view.from, until: view.until, filters: view.filters }} class="quiet-link">{w.pages.matrix}</Link>}
      </div>
      {name === FLOWS ? <FlowsQuestion queries={known} />
        : query ? <QueryExploration key={`${query.name}@${query.incarnation}.${query.version}`} query={query} queries={known} />
        : <p class="empty">{name === null ? e.no_query : w.none_found(name)}</p>}
    </>
  );
}

/** Another query has other columns. */
function pickless() {
  return { by: [], filters: [], measure: null, chart: null };
}

function QueryExploration({ query, queries }: { query: Query; queries: readonly Query[] }) {
  const size = useSize(query);
  return size ? <Exploring query={query} queries={queries} size={size} /> : <Loading />;
}

function Exploring({ query, queries, size }: { query: Query; queries: readonly Query[]; size: Size }) {
  const w = words.value, e = explore_words.value;
  const { view } = address.value;
  const now = useNow(1_000);
  const asked = asked_of(view, now);
  useRangeKeys(asked);
  const shape = useMemo(() => shape_of(query.columns), [query.columns]);
  const { measure: found, lacks_packets } = measure_for(shape, view.measure, units.value);
  const measure = found!;
  const by = dimensions_of(shape, view.by);
  const lacking = view.by.filter((name) => !shape.dimensions.some((column) => column.name === name));
  const { sql: conditions, mistakes } = conditions_over(view.filters, query.columns);
  const whole = has_all_groups(query.text);
  const charts: ChartName[] = adds_up(measure) ? ["area", "lines", "table"] : ["lines", "table"];
  const chart = view.chart !== null && charts.includes(view.chart) ? view.chart : charts[0]!;

  // What is asked, times left out: an answer to something else is not shown.
  const about = JSON.stringify([query.name, by.map((column) => column.name), conditions, measure, view.range, view.from, view.until]);
  const turn = asked.live ? Math.floor(now / RANK_EVERY_MS) : 0;
  // Windows that overlap cannot be put together.
  const hops = overlaps(query.text);
  const step = hops ? null : step_seconds(asked.until - asked.from, size.window_ms);
  const what: Exploration = useMemo(() => {
    const at = asked_of(view, Date.now());
    // A part of a step is no step.
    const edge = step === null ? 1 : step * 1_000;
    return { query: query.name, by, conditions, measure, from: Math.floor(at.from / edge) * edge, until: at.until };
  }, [about, turn]);
  const ranking_text = ranking_sql(what, ROWS_SHOWN);
  const ranking = useAnswer(by.length > 0 ? ranking_text : null, about);
  const sums = useAnswer(whole || by.length === 0 ? ranking_sql({ ...what, by: [] }, 1) : null, about);
  const keys = (ranking.answer?.rows ?? []).map((row) => row.slice(0, by.length));
  const keys_text = JSON.stringify(keys);
  const ready = by.length === 0 || ranking.answer !== null;
  // Follows what comes; begins anew when others are the largest.
  const series_text = useMemo(() => (ready ? series_sql({ ...what, until: asked.live ? null : what.until }, keys, step) : null), [about, keys_text, ready]);
  const state = useSession(series_text, !asked.live);
  // Ranks are of one ranking: both are replaced at once.
  const shown = useLast(state && state.windows.length > 0 ? { windows: state.windows, keys, ranking: ranking.answer } : null, about);

  const scale = scale_of(measure, units.value, w.per_second);
  const ranks = useMemo(() => rank_shape(shape, measure, by.length > 0), [shape, measure, by.length]);
  const draw = (windows: readonly ResultWindow[], count: number) => {
    const picture = picture_of(as_one_rate(windows, measure, size.window_ms), ranks, measure, scale, {
      all_groups: whole && adds_up(measure), with_other: whole && adds_up(measure), ...(by.length > 0 ? { keys: Array.from({ length: count }, (_, i) => [i + 1]) } : {}),
    });
    const labels = (shown?.keys ?? keys).map((key) => label_of_key(by, key));
    picture.lines.forEach((line, i) => {
      if (!line.other) line.label = by.length === 0 ? measure_title(measure, w.traffic) : labels[i] ?? line.label;
    });
    return picture;
  };
  const count = shown?.keys.length ?? 0;
  const windows = useMemo(() => (shown?.windows ?? []).filter((window) => window.start !== null && window.end! > asked.from && window.start < asked.until), [shown?.windows, asked.from, asked.until]);
  const picture = useMemo(() => draw(windows, Math.min(count, SERIES_MAX)), [windows, count, units.value, w]);
  const full = useMemo(() => draw(windows, count), [windows, count, units.value, w]);
  const earlier = useEarlier(picture, asked, chart === "area", ({ from, until }) => new SessionFeed(series_sql({ ...what, from, until }, keys, step), true),
    (before) => draw(before, Math.min(count, SERIES_MAX)), [about, keys_text, units.value, chart]);

  const problem = ranking.problem ?? sums.problem ?? (state?.phase === "failed" ? state.problem : null);
  const title = `${measure_title(measure, w.traffic)}${scale.unit ? `, ${scale.unit}` : ""}`;
  const total = sums.answer?.rows[0]?.[0];
  const rows = table_rows((shown ? shown.ranking : ranking.answer)?.rows ?? [], by, full, typeof total === "number" ? total : null, measure, hops ? null : size.window_ms, hops);
  const length = step !== null ? step * 1_000 : size.window_ms;
  const partial = [ranking.answer, sums.answer].find((answer) => answer && !answer.complete);
  const notices = [...new Set([...(ranking.answer?.notices ?? []), ...(state?.notices ?? [])])];
  const notes = [
    keys.length === ROWS_SHOWN && e.largest(ROWS_SHOWN),
    // Where a notice says what is not in it, a word adds nothing.
    partial && (partial.sites_missing.length > 0 ? w.incomplete_without(partial.sites_missing.join(", ")) : notices.length === 0 && w.incomplete),
    !whole && e.not_all,
    earlier !== null && chart === "area" && !picture.whole && w.compare_lines,
    hops && e.overlap,
    !adds_up(measure) && e.largest_value(heading_of(measure)),
    lacks_packets && w.no_packets,
    earlier !== null && size.kept_since !== null && asked.from - earlier.shift_ms < size.kept_since && w.before_unknown(date_time(size.kept_since, zone.value)),
    length !== null && e.windows_of(duration(length, w.locale)),
    ...notices,
  ].filter((note): note is string => typeof note === "string");
  const subject = (key: readonly Value[], amount: number | null): Subject => ({
    query: query.name, columns: query.columns, parts: by.map((column, i) => ({ column, value: key[i] ?? null })), measure, amount,
  });

  return (
    <>
      <div class="toolbar" role="group" aria-label={w.controls}>
        <MeasureChoice shape={shape} measure={measure} />
        <Choice label={w.chart} value={chart} choose={(value) => change({ chart: value })} options={charts.map((value) => ({ value, text: w.charts[value] }))} />
        <RangeChoice asked={asked} />
        <EarlierChoice />
        <div class="actions">
          <CopyStatement sql={ranking_text} />
          <Download name={query.name} from={asked.from} windows={[exported(rows, by, measure)]} picture={chart !== "table"} />
        </div>
      </div>
      <Dimensions query={query} queries={queries} shape={shape} by={by} measure={measure} />
      <Filters columns={query.columns} />
      {(mistakes.length > 0 || lacking.length > 0) && (
        <ul class="notes warn" role="status">
          {mistakes.map(({ text, mistake }) => <li key={text}>{e.wrong[mistake](text)}</li>)}
          {lacking.length > 0 && <li>{e.no_columns(lacking.join(", "))}</li>}
        </ul>
      )}
      {problem && <Trouble problem={problem} />}
      {chart !== "table" && (
        <Panel title={title} class="result">
          {!shown ? (problem ? null : state && state.phase !== "loading" && (ranking.answer || by.length === 0) && (state.phase === "whole" || ranking.answer?.rows.length === 0) ? <p class="empty">{w.no_rows}</p> : <Loading />) : (
            <>
              <TimeChart picture={picture} kind={chart === "area" ? "area" : "lines"} unit={scale.unit} from={asked.from} until={asked.until} height={300} on_select={zoom} {...(earlier ? { earlier } : {})}
                summary={w.chart_summary(query.name, date_time(asked.from, zone.value), date_time(asked.until, zone.value), with_unit(rows.reduce((sum, row) => sum + (row.figures.last ?? 0), 0), scale.unit, w.locale))} />
              <ul class="legend">
                {picture.lines.map((line, i) => (
                  <li key={line.label}>
                    <Swatch index={i} other={line.other} />
                    {line.other || by.length === 0 || !shown.keys[i] ? (line.other ? w.other : line.label) : <ValueButton subject={subject(shown.keys[i]!, null)}>{line.label}</ValueButton>}
                  </li>
                ))}
                {earlier && <EarlierLegend picture={picture} earlier={earlier} />}
                <li class="legend-hint muted">{w.drag_to_zoom}</li>
              </ul>
            </>
          )}
        </Panel>
      )}
      <Ranking rows={rows} by={by} measure={measure} subject={subject} unit={scale.unit} parts={step === null || size.window_ms === null ? 1 : (step * 1_000) / size.window_ms} waiting={!ready && !problem} pending={!shown && !problem}
        aside={ranking.answer && asked.live ? e.ranked_at(time_of_day(ranking.answer.at, zone.value)) : ""} notes={notes} />
      {picture.times.length > 0 && (
        <Panel title={<>{title} <span class="muted">{w.as_table}</span></>}>
          <SeriesTable picture={picture} unit={scale.unit} caption={`${query.name}: ${title}`} earlier={earlier ?? undefined} />
        </Panel>
      )}
      <Panel title={e.statements.ranking} class="statement"><Statement text={`${ranking_text};`} /></Panel>
      {series_text !== null && <More title={e.statements.series}><Statement text={`${series_text};`} /></More>}
    </>
  );
}

/** What few want to see: made when it is opened. */
function More({ title, children }: { title: string; children: ComponentChildren }) {
  const [open, set_open] = useState(false);
  return (
    <details class="panel statement" onToggle={(event) => set_open(event.currentTarget.open)}>
      <summary>{title}</summary>
      {open && children}
    </details>
  );
}

/** Of the statement of the chart: ranks instead of keys. */
function rank_shape(shape: Shape, measure: string, ranked: boolean): Shape {
  return { ...shape, matrix: null, errors: new Map(), dimensions: ranked ? [{ name: "_rank", type: "integer" }] : [], measures: shape.measures.filter((column) => column.name === measure) };
}

function label_of_key(by: readonly Column[], key: readonly Value[]): string {
  return by.map((column, i) => label_of(column, key[i] ?? null)).join(" → ");
}

interface Row {
  /** Null: the others, or all. */
  key: readonly Value[] | null;
  kind: "key" | "other" | "all";
  figures: Figures;
  /** Of the range, as the measure counts; null: not known. */
  sum: number | null;
  amount: number | null;
  share: number | null;
}

function table_rows(ranking: readonly (readonly Value[])[], by: readonly Column[], picture: Picture, total: number | null, measure: string, window_ms: number | null, hops: boolean): Row[] {
  const rows: Row[] = [];
  let known = 0;
  const row_of = (kind: Row["kind"], key: Row["key"], values: readonly (number | null)[], sum: number | null): Row => ({
    kind, key, sum, figures: figures_of(values), amount: sum === null || hops ? null : total_amount(measure, sum, window_ms),
    share: sum === null || total === null || total === 0 || !adds_up(measure) ? null : sum / total,
  });
  if (by.length > 0) {
    ranking.forEach((row, i) => {
      const sum = row[by.length];
      known += typeof sum === "number" ? sum : 0;
      rows.push(row_of("key", row.slice(0, by.length), picture.lines[i]?.values ?? [], typeof sum === "number" ? sum : null));
    });
    const other = picture.lines.find((line) => line.other);
    if (other && total !== null) rows.push(row_of("other", null, other.values, Math.max(0, total - known)));
  }
  if (total !== null && adds_up(measure)) {
    const all = picture.times.map((_, at) => picture.lines.reduce<number | null>((sum, line) => (line.values[at] == null ? sum : (sum ?? 0) + line.values[at]!), null));
    rows.push(row_of("all", null, all, total));
  } else if (by.length === 0) rows.push(row_of("all", null, picture.lines[0]?.values ?? [], total));
  return rows;
}

/** What is on screen, as rows for other programs: figures in the units of the screen. */
function exported(rows: readonly Row[], by: readonly Column[], measure: string): ResultWindow {
  const figures = ["last", "min", "max", "average", "p95"] as const;
  const columns: Column[] = [...by, ...(by.length === 0 ? [{ name: "row", type: "text" }] : []), { name: measure, type: "bigint" }, ...figures.map((name) => ({ name: `window_${name}`, type: "double precision" })), { name: "share", type: "double precision" }];
  return {
    start: null, end: null, revision: 1, open: false, complete: true, sites_missing: [], truncated: false, columns,
    rows: rows.filter((row) => row.kind === "key" || by.length === 0).map((row) => [...(row.key ?? ["all"]), row.sum, ...figures.map((name) => row.figures[name]), row.share]),
  };
}

type SortBy = "sum" | keyof Figures | number;

function Ranking({ rows, by, measure, subject, unit, parts, waiting, pending, aside, notes }: { rows: readonly Row[]; by: readonly Column[]; measure: string; subject: (key: readonly Value[], amount: number | null) => Subject; unit: string; parts: number; waiting: boolean; pending: boolean; aside: string; notes: readonly string[] }) {
  const w = words.value, e = explore_words.value;
  const [sort, set_sort] = useState<{ by: SortBy; up: boolean }>({ by: "sum", up: false });
  const value_of = (row: Row): Value => (typeof sort.by === "number" ? row.key?.[sort.by] ?? null : sort.by === "sum" ? row.sum : row.figures[sort.by]);
  const keys = rows.filter((row) => row.kind === "key").sort((a, b) => {
    const x = value_of(a), y = value_of(b);
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    return (sort.up ? 1 : -1) * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
  });
  const rest = rows.filter((row) => row.kind !== "key");
  const most = Math.max(0, ...keys.map((row) => row.sum ?? 0));
  const kind = quantity_of(measure).kind;
  const amount_unit = kind === "octets" ? "B" : "";
  const has_amount = rows.some((row) => row.amount !== null);
  const header = (id: SortBy, text: string, number: boolean, note = "") => (
    <th key={id} scope="col" class={number ? "number" : ""} aria-sort={sort.by === id ? (sort.up ? "ascending" : "descending") : "none"}>
      <button type="button" class="sort" onClick={() => set_sort({ by: id, up: sort.by === id ? !sort.up : !number })}>
        {text}{note && <small> {note}</small>}<span class="sort-mark" aria-hidden="true">{sort.by === id ? (sort.up ? "▲" : "▼") : ""}</span>
      </button>
    </th>
  );
  // Not asked yet is something else than no data.
  const figure = (value: number | null) => (pending ? <span class="none" aria-label={w.loading}>…</span> : value === null ? <span class="none">{w.no_data}</span> : short(value, w.locale));
  const cells = (row: Row) => (
    <>
      <td class="number">{figure(row.figures.last)}</td>
      <td class="number">{figure(row.figures.min)}</td>
      <td class="number">{figure(row.figures.average)}</td>
      <td class="number">{figure(row.figures.p95)}</td>
      <td class="number">{figure(row.figures.max)}</td>
      {has_amount && <td class="number">{row.amount === null ? w.no_data : with_unit(row.amount, amount_unit, w.locale)}</td>}
      <td class="number">{row.share === null ? "–" : percent(row.share, w.locale)}<Bar share={row.share ?? (row.kind === "key" && most > 0 ? (row.sum ?? 0) / most : 0)} /></td>
    </>
  );
  const title = by.length === 0 ? e.total : by.map((column) => heading_of(column.name)).join(" → ");
  return (
    <Panel title={title} class="panel-table" aside={aside && <span class="muted">{aside}</span>}>
      {waiting ? <Loading /> : rows.length === 0 ? <p class="empty">{w.no_rows}</p> : (
        <div class="table-scroll ranking-scroll" tabIndex={0} role="region" aria-label={`${title}, ${w.charts.table}`}>
          <table class="data ranking">
            <caption class="visually-hidden">{title}</caption>
            <thead>
              <tr>
                {by.length === 0 ? <th scope="col">{e.total}</th> : by.map((column, i) => header(i, heading_of(column.name), false))}
                {header("last", e.last, true, unit)}{header("min", e.min, true)}{header("average", e.average, true)}{header("p95", e.p95, true)}{header("max", e.max, true)}
                {has_amount && header("sum", e.amount, true)}
                {has_amount ? <th scope="col" class="number">{w.share}</th> : header("sum", w.share, true)}
              </tr>
            </thead>
            <tbody>
              {keys.map((row) => (
                <tr key={JSON.stringify(row.key)}>
                  {by.map((column, i) => {
                    const one = subject(row.key!, by.length === 1 ? amount_of_window(measure, row.sum, row.figures.windows * parts) : null);
                    const button = <ValueButton subject={{ ...one, parts: [one.parts[i]!] }}>{label_of(column, row.key![i] ?? null)}</ValueButton>;
                    return i === 0 ? <th key={column.name} scope="row">{button}</th> : <td key={column.name}>{button}</td>;
                  })}
                  {cells(row)}
                </tr>
              ))}
            </tbody>
            {rest.length > 0 && (
              <tfoot>
                {rest.map((row) => <tr key={row.kind}><th scope="row" colSpan={Math.max(by.length, 1)}>{row.kind === "other" ? w.other : e.total}</th>{cells(row)}</tr>)}
              </tfoot>
            )}
          </table>
        </div>
      )}
      {notes.length > 0 && <ul class="notes">{notes.map((note) => <li key={note}>{note}</li>)}</ul>}
    </Panel>
  );
}

function Dimensions({ query, queries, shape, by, measure }: { query: Query; queries: readonly Query[]; shape: Shape; by: readonly Column[]; measure: string }) {
  const e = explore_words.value;
  const relations = usePoll(queries_api.relations, 60_000).value.value;
  const flows = relations?.find((relation) => relation.name === FLOWS)?.columns ?? [];
  const kept = new Set(query.columns.map((column) => column.name));
  const missing = flows.filter((column) => !kept.has(column.name) && !["time", "octets", "packets"].includes(column.name) && !column.type.startsWith("timestamp"));
  const offered = [...missing.filter((column) => FLOWS_OFFERED.includes(column.name)), ...missing.filter((column) => !FLOWS_OFFERED.includes(column.name))];
  const elsewhere = useMemo(() => new Set(queries.flatMap((each) => shape_of(each.columns).dimensions.map((column) => column.name))), [queries]);
  const names = by.map((column) => column.name);
  const toggle = (name: string) => {
    const next = names.includes(name) ? names.filter((each) => each !== name) : [...names, name];
    // Without any the default would come back.
    if (next.length > 0) change({ by: next }, true);
  };
  return (
    <div class="facets" role="group" aria-label={e.group_by}>
      <span class="facets-title">{e.group_by}</span>
      {shape.dimensions.map((column) => (
        <button key={column.name} type="button" class="chip" aria-pressed={names.includes(column.name)} onClick={() => toggle(column.name)}>{heading_of(column.name)}</button>
      ))}
      {offered.length > 0 && (
        <Menu label={<span class="muted">{e.not_kept}</span>} class="not-kept">
          {offered.map((column) => (
            <button key={column.name} type="button" class={`menu-item${elsewhere.has(column.name) ? "" : " muted"}`} onClick={() => go({ ...view_of("explore", FLOWS), units: address.value.view.units, zone: address.value.view.zone, by: [...names, column.name], filters: address.value.view.filters, measure: FLOWS_MEASURES.includes(measure) ? measure : null })}>
              {elsewhere.has(column.name) ? e.elsewhere(column.name) : e.keep(column.name)}
            </button>
          ))}
        </Menu>
      )}
    </div>
  );
}

/** A question about flows: which kept result answers it, or what would from now on. */
function FlowsQuestion({ queries }: { queries: readonly Query[] }) {
  const w = words.value, e = explore_words.value;
  const { view } = address.value;
  const relations = usePoll(queries_api.relations, 60_000).value;
  const columns = relations.value?.find((relation) => relation.name === FLOWS)?.columns ?? [];
  const by = view.by.filter((name) => columns.some((column) => column.name === name));
  const measure = view.measure !== null && FLOWS_MEASURES.includes(view.measure) ? view.measure : units.value === "packets" ? "packets" : "octets";
  const { sql: conditions, mistakes } = conditions_over(view.filters, columns);
  const question = by.length > 0 ? flows_question(by, measure, conditions) : null;
  const kept = useMemo(() => new Set(queries.flatMap((query) => shape_of(query.columns).dimensions.map((column) => column.name))), [queries]);
  if (!relations.value) return relations.problem ? <Trouble problem={relations.problem} /> : <Loading />;
  const offered = [...new Set([...FLOWS_OFFERED, ...by])].map((name) => columns.find((column) => column.name === name)).filter((column): column is Column => column !== undefined);
  const rest = columns.filter((column) => !offered.includes(column) && !column.type.startsWith("timestamp") && !["octets", "packets", "octets_raw", "packets_raw"].includes(column.name));
  const toggle = (name: string) => change({ by: by.includes(name) ? by.filter((each) => each !== name) : [...by, name] }, true);
  return (
    <>
      <div class="toolbar" role="group" aria-label={w.controls}>
        <Choice label={w.measure} value={measure} choose={(value) => change({ measure: value }, true)} options={FLOWS_MEASURES.map((value) => ({ value, text: heading_of(value) }))} />
      </div>
      <div class="facets" role="group" aria-label={e.group_by}>
        <span class="facets-title">{e.group_by}</span>
        {offered.map((column) => (
          <button key={column.name} type="button" class={`chip${kept.has(column.name) ? "" : " chip-missing"}`} aria-pressed={by.includes(column.name)} onClick={() => toggle(column.name)}>{heading_of(column.name)}</button>
        ))}
        {rest.length > 0 && (
          <Menu label="…" class="not-kept">
            {rest.map((column) => <button key={column.name} type="button" class="menu-item" onClick={() => toggle(column.name)}>{heading_of(column.name)}</button>)}
          </Menu>
        )}
      </div>
      <Filters columns={columns} />
      {mistakes.length > 0 && <ul class="notes warn" role="status">{mistakes.map(({ text, mistake }) => <li key={text}>{e.wrong[mistake](text)}</li>)}</ul>}
      {question === null ? <p class="empty">{e.choose}</p> : <Suggested key={question} question={question} by={by} measure={measure} queries={queries} />}
    </>
  );
}

function Suggested({ question, by, measure, queries }: { question: string; by: readonly string[]; measure: string; queries: readonly Query[] }) {
  const e = explore_words.value;
  const { value: suggestion, problem } = usePoll<Suggestion>(() => explore_api.suggest(question), 30_000, [question]).value;
  const { view } = address.value;
  if (!suggestion) return problem ? <Trouble problem={problem} /> : <Loading />;
  const { answers, others, keep, obstacle } = suggestion;
  /** Null: the query says it in columns of other names. */
  const target = (name: string) => {
    const query = queries.find((each) => each.name === name);
    const has = (column: string) => query?.columns.some((each) => each.name === column) === true;
    return query && by.every(has) && has(measure) ? { ...view, ...view_of("explore", name), units: view.units, zone: view.zone, by, filters: view.filters, measure } : null;
  };
  return (
    <>
      <Panel title={e.question} class="statement"><Statement text={`${question};`} /></Panel>
      {obstacle !== null && <p class="trouble">{obstacle}</p>}
      {answers.map((answer) => {
        const to = target(answer.query);
        return (
          <Panel key={answer.query} title={e.notes.answers(answer.query)} class="statement answer"
            aside={answer.kept_since && <span class="muted">{e.since(date_time(Date.parse(answer.kept_since), zone.value))}</span>}>
            {answer.notes.length > 0 && <ul class="notes">{answer.notes.map((note) => <li key={note}>{note}</li>)}</ul>}
            <Statement text={`${answer.text};`} />
            {to && <p class="answer-link"><Link to={to} class="button button-strong">{e.explore_it(answer.query)}</Link></p>}
          </Panel>
        );
      })}
      {answers.length === 0 && (
        <Panel title={e.notes.none} class="statement keep">
          {keep && (
            <>
              <p class="muted">{e.from_now_on}</p>
              <Statement text={`${keep.text};`} />
              <p class="answer-link">
                {may_operate.value ? <button type="button" class="button button-strong" onClick={() => open_new_query(`${keep.text};`, keep.name)}>{e.keep_this}</button> : <span class="muted">{e.may_not}</span>}
              </p>
            </>
          )}
          {others.length > 0 && (
            <details class="lacks">
              <summary>{e.notes.why}</summary>
              <ul class="notes">{others.map((other) => <li key={other.query}><b>{other.query}</b>: {other.reasons.join("; ")}</li>)}</ul>
            </details>
          )}
        </Panel>
      )}
    </>
  );
}

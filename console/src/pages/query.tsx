// One query: its result in the picture that fits and as a table, now and in the past.
import type { ComponentChildren, FunctionComponent } from "preact";
import { useMemo, useState } from "preact/hooks";
import { api, results_path, token } from "../api/client";
import { type Feed, type FeedState, largest_rows, QueryFeed } from "../api/feed";
import type { Query, Tier } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { Heatmap } from "../charts/heatmap";
import { heading_of, label_of, measure_title } from "../charts/labels";
import { matrix_of, picture_of, seconds_of, total_of } from "../charts/series";
import { charts_of, has_all_groups, measure_for, shape_of, type Shape } from "../charts/shape";
import { Swatch, TimeChart } from "../charts/time_chart";
import { address, change } from "../state/address";
import { drafts, edit_of } from "../state/draft";
import { units, zone } from "../state/preferences";
import { may_operate, sees_all } from "../state/session";
import { usePoll } from "../state/poll";
import type { ChartName } from "../state/view";
import { Badge, Bar, Choice, CopyItem, Link, Loading, Menu, Panel, Trouble } from "../widgets/basics";
import { useFeed, useNow } from "../widgets/held";
import { EarlierLegend, useEarlier } from "../widgets/earlier";
import { LaterPart } from "../widgets/later_page";
import { MeasureChoice } from "../widgets/measure";
import { QUERY_MARKS } from "../widgets/marks";
import { type Size, useSize } from "../widgets/query_size";
import { type Asked, asked_of, EarlierChoice, RangeChoice, useRangeKeys, zoom } from "../widgets/range";
import { Statement } from "../widgets/statement";
import { open_value_menu, ValueButton } from "../widgets/value_menu";
import { SeriesTable } from "../widgets/series_table";
import { date_time, quantity_of, scale_of, short, whole, window_text, with_unit } from "../words/format";
import { words } from "../words/words";
import { load_menu, purpose_of } from "./queries";
import { Download } from "./copy_download";
import { command_of, curl_of, sql_of } from "./export";

/** A window of more rows is asked for in part: the largest of them. */
const ROWS_WHOLE_MAX = 400;
const ROWS_LARGEST = 200;
/** More windows than this are no finer to look at. */
const WINDOWS_DRAWN_MAX = 1_500;
const TIERS: readonly { tier: Tier; ms: number }[] = [{ tier: "1m", ms: 60_000 }, { tier: "5m", ms: 300_000 }, { tier: "1h", ms: 3_600_000 }];
const MATRIX_SIZE = 16;

/** Parts beside the result: chunks of their own. */
const PARTS = {
  statement: () => import("./query_statement").then(({ StatementPart }) => StatementPart),
  versions: () => import("./query_versions").then(({ VersionsPart }) => VersionsPart),
  plan: () => import("./query_plan").then(({ PlanPart }) => PlanPart),
} satisfies Record<string, () => Promise<FunctionComponent<{ query: Query }>>>;
const TABS = ["result", "statement", "versions", "plan"] as const;
type Tab = (typeof TABS)[number];

export function QueryPage() {
  const name = address.value.view.query;
  return name === null ? null : <OneQuery key={name} name={name} />;
}

function OneQuery({ name }: { name: string }) {
  const answer = usePoll(() => api.query(name), 5_000, [name]).value;
  const query = answer.value;
  if (!query) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  const { view } = address.value;
  // A plain view has no result of its own: it runs where it is read.
  const tabs: readonly Tab[] = query.plain ? TABS.slice(1) : sees_all.value ? TABS : TABS.slice(0, 1);
  const tab = tabs.find((each) => each === view.tab) ?? tabs[0]!;
  return (
    <>
      {answer.problem && <Trouble problem={answer.problem} />}
      {tab === "result" ? <QueryView key={`${query.incarnation}.${query.version}`} query={query} head={<Head query={query} tabs={tabs} tab={tab} />} />
        : (
          <>
            <div class="page-head"><Head query={query} tabs={tabs} tab={tab} /></div>
            <Reason query={query} />
            <LaterPart key={tab} load={PARTS[tab]} props={{ query }} />
          </>
        )}
    </>
  );
}

function Head({ query, tabs, tab }: { query: Query; tabs: readonly Tab[]; tab: Tab }) {
  const w = words.value;
  const { view } = address.value;
  return (
    <>
      <h1>{query.name}</h1>
      <Badge mark={query.plain ? "quiet" : QUERY_MARKS[query.state]}>{query.plain ? w.states.plain : w.states[query.state]}</Badge>
      <span class="muted">v{query.version} · {query.owner}</span>
      <nav class="tabs" aria-label={w.parts}>
        {tabs.map((each) => (
          <Link key={each} to={{ ...view, tab: each === "result" ? null : each, pick: null }} current={each === tab}>
            {w.tabs[each]}{each === "statement" && drafts.value.has(edit_of(query.name)) && <span class="tab-unsaved" title={w.unsaved}><span class="visually-hidden"> ({w.unsaved})</span></span>}
          </Link>
        ))}
      </nav>
      {may_operate.value && <LaterPart load={load_menu} props={{ query, links: false }} quiet />}
    </>
  );
}

function Reason({ query }: { query: Query }) {
  return query.reason ? <p class="trouble">{query.reason}</p> : null;
}

function tier_for(span_ms: number, window_ms: number | null): Tier {
  if (window_ms === null || span_ms / window_ms <= WINDOWS_DRAWN_MAX) return "raw";
  return (TIERS.find(({ ms }) => span_ms / ms <= WINDOWS_DRAWN_MAX && ms > window_ms) ?? { tier: "raw" as Tier }).tier;
}

function feed_for(query: Query, size: Size, measure: string | null, asked: Pick<Asked, "from" | "until" | "live">): Feed {
  const span = { from: asked.from, until: asked.live ? null : asked.until };
  if (measure !== null && (size.rows ?? 0) > ROWS_WHOLE_MAX) return largest_rows(query.name, measure, span, ROWS_LARGEST);
  const tier = tier_for(asked.until - asked.from, size.window_ms);
  return new QueryFeed(query.name, span, tier === "raw" ? undefined : tier);
}

function QueryView({ query, head }: { query: Query; head: ComponentChildren }) {
  const w = words.value;
  const size = useSize(query);
  const { view } = address.value;
  const now = useNow(1_000);
  const asked = asked_of(view, now);
  const shape = useMemo(() => shape_of(size?.columns ?? query.columns), [size]);
  const { measure, lacks_packets } = measure_for(shape, view.measure, units.value);
  const charts = charts_of(shape, measure);
  const chart: ChartName = view.chart !== null && charts.includes(view.chart) ? view.chart : charts[0]!;
  const partly = (size?.rows ?? 0) > ROWS_WHOLE_MAX;
  const state = useFeed(() => (size ? feed_for(query, size, measure, asked_of(view, Date.now())) : null),
    [size, view.range, view.from, view.until, partly ? measure : null]);

  useRangeKeys(asked);
  return (
    <>
      <div class="page-head">
        {head}
        <Actions query={query} asked={asked} windows={state?.windows ?? []} picture={chart !== "table"} />
      </div>
      {(query.comment || /^\s*--/.test(query.text)) && <p class="lead">{query.comment || purpose_of(query.text)}</p>}
      <Reason query={query} />
      <Toolbar shape={shape} measure={measure} charts={charts} chart={chart} asked={asked} />
      {!state ? <Loading /> : <Result query={query} state={state} size={size!} shape={shape} measure={measure} chart={chart} asked={asked} partly={partly} lacks_packets={lacks_packets} />}
      <Panel title={w.statement} class="statement"
        aside={query.collecting_since && <span class="muted">{w.collecting_since(date_time(Date.parse(query.collecting_since), zone.value))}</span>}>
        <Statement text={query.text} />
      </Panel>
    </>
  );
}

function Toolbar({ shape, measure, charts, chart, asked }: { shape: Shape; measure: string | null; charts: readonly ChartName[]; chart: ChartName; asked: Asked }) {
  const w = words.value;
  return (
    <div class="toolbar" role="group" aria-label={w.controls}>
      <MeasureChoice shape={shape} measure={measure} />
      <Choice label={w.chart} value={chart} choose={(value) => change({ chart: value })} options={charts.map((value) => ({ value, text: w.charts[value] }))} />
      <RangeChoice asked={asked} />
      {chart !== "matrix" && <EarlierChoice />}
    </div>
  );
}

function Actions({ query, asked, windows, picture }: { query: Query; asked: Asked; windows: readonly ResultWindow[]; picture: boolean }) {
  const w = words.value;
  const sql = () => sql_of(query.name, asked.from, asked.live ? null : asked.until);
  const path = () => `${location.origin}/api/v1${results_path(query.name, {
    from: new Date(asked.from).toISOString(), ...(asked.live ? {} : { until: new Date(asked.until).toISOString() }),
  })}&format=csv`;
  return (
    <div class="actions">
      <Menu label={w.copy} class="menu-right">
        <CopyItem text={sql}>{w.copy_sql}</CopyItem>
        <CopyItem text={() => curl_of(path(), token() !== null)}>{w.copy_curl}</CopyItem>
        <CopyItem text={() => command_of(location.origin, sql_of(query.name, asked.from, asked.live ? Date.now() : asked.until))}>{w.copy_command}</CopyItem>
        <CopyItem text={() => location.href}>{w.copy_link}</CopyItem>
      </Menu>
      <Download name={query.name} from={asked.from} windows={windows} picture={picture} />
    </div>
  );
}

interface ResultProps {
  query: Query;
  state: FeedState;
  size: Size;
  shape: Shape;
  measure: string | null;
  chart: ChartName;
  asked: Asked;
  partly: boolean;
  lacks_packets: boolean;
}

function Result({ query, state, size, shape, measure, chart, asked, partly, lacks_packets }: ResultProps) {
  const w = words.value;
  const scale = scale_of(measure ?? "", units.value, w.per_second);
  // Averages of a tier are of windows of the query's own length.
  const raw_seconds = state.tier === "raw" || size.window_ms === null ? null : size.window_ms / 1000;
  const windows = useMemo(() => state.windows.filter((window) => window.start === null || (window.end! > asked.from && window.start < asked.until)), [state.windows, asked.from, asked.until]);
  const picture = useMemo(() => picture_of(windows, shape, measure ?? "", scale, { raw_seconds, all_groups: !partly && has_all_groups(query.text), with_other: !partly }), [windows, shape, measure, units.value]);
  const earlier = useEarlier(picture, asked, chart === "area", (span) => feed_for(query, size, measure, { ...asked, ...span, live: false }),
    (before) => picture_of(before, shape, measure ?? "", scale, { raw_seconds, all_groups: !partly && has_all_groups(query.text), with_other: !partly, lines_max: 1_000 }),
    [query.name, measure, units.value, chart]);
  const newest = windows[windows.length - 1] ?? null;
  const last = picture.times.length - 1;
  const total = last >= 0 ? total_of(picture, last) : null;
  const latest = total === null ? w.no_data : with_unit(total, scale.unit, w.locale);
  const title = measure === null ? query.name : `${measure_title(measure, w.traffic)}${scale.unit ? `, ${scale.unit}` : ""}`;
  const matrix = useMemo(() => (newest && chart === "matrix" ? matrix_of(newest, shape, measure!, scale, MATRIX_SIZE, raw_seconds) : { rows: [], columns: [], cells: [], row_keys: [], column_keys: [] }), [newest, chart, measure, units.value]);
  const pick = (row: number, column: number, cell: Element) => open_value_menu({
    query: query.name, columns: query.columns, measure, amount: null,
    parts: [{ column: shape.matrix!.rows, value: matrix.row_keys[row] ?? null }, { column: shape.matrix!.columns, value: matrix.column_keys[column] ?? null }],
  }, cell);
  const has_margins = picture.lines.some((line) => line.margins?.some((margin) => margin !== null));
  const notes = [
    lacks_packets && w.no_packets,
    state.tier !== "raw" && w.averages(state.tier),
    partly && newest && w.largest_only(newest.rows.length, short(size.rows ?? 0, w.locale)),
    state.cut && w.cut,
    earlier !== null && chart === "area" && !picture.whole && w.compare_lines,
    earlier !== null && size.kept_since !== null && asked.from - earlier.shift_ms < size.kept_since && w.before_unknown(date_time(size.kept_since, zone.value)),
    has_margins && chart === "lines" && w.error_band,
    ...state.notices,
  ].filter((note): note is string => typeof note === "string");
  const told = notes.length > 0 && <ul class="notes">{notes.map((note) => <li key={note}>{note}</li>)}</ul>;
  if (state.phase === "failed" && state.problem) return <Trouble problem={state.problem} />;
  if (windows.length === 0) {
    return <Panel title={title}>{state.phase === "loading" ? <Loading /> : <NoRows query={query} live={asked.live} />}</Panel>;
  }
  return (
    <>
      {chart !== "table" && (
        <Panel title={title} class="result">
          {chart === "matrix" && newest ? (
            <Heatmap cell_height={30} matrix={matrix} unit={scale.unit} on_pick={pick}
              label={`${shape.dimensions.map((column) => heading_of(column.name)).join(" → ")} · ${newest.start === null ? "" : window_text(newest.start, newest.end!, zone.value, Date.now())}`}
              summary={w.chart_summary(query.name, date_time(asked.from, zone.value), date_time(asked.until, zone.value), latest)} />
          ) : (
            <>
              <TimeChart picture={picture} kind={chart === "area" ? "area" : "lines"} unit={scale.unit} from={asked.from} until={asked.until} height={320} on_select={zoom} {...(earlier ? { earlier } : {})}
                summary={w.chart_summary(query.name, date_time(asked.from, zone.value), date_time(asked.until, zone.value), latest)} />
              <ul class="legend">
                {picture.lines.map((line, i) => <li key={line.label}><Swatch index={i} other={line.other} />{line.other ? w.other : line.key ? <ValueButton subject={{ query: query.name, columns: query.columns, parts: shape.dimensions.map((column, at) => ({ column, value: line.key![at] ?? null })), measure, amount: null }}>{line.label}</ValueButton> : line.label}</li>)}
                {earlier && <EarlierLegend picture={picture} earlier={earlier} />}
                <li class="legend-hint muted">{w.drag_to_zoom}</li>
              </ul>
            </>
          )}
          {told}
        </Panel>
      )}
      {chart === "table" && told}
      {newest && <NewestWindow query={query} window={newest} shape={shape} measure={measure} raw_seconds={raw_seconds} />}
      {measure !== null && picture.times.length > 0 && (
        <Panel title={<>{title} <span class="muted">{w.as_table}</span></>}>
          <SeriesTable picture={picture} unit={scale.unit} caption={`${query.name}: ${title}`} earlier={earlier ?? undefined} />
        </Panel>
      )}
    </>
  );
}

const ROWS_STEP = 25;

/** All columns of the newest window, sorted by whichever the reader wants. */
/** @param query  null: of a statement that is being tried, where values lead nowhere */
export function NewestWindow({ query, window, shape, measure, raw_seconds }: { query: Query | null; window: ResultWindow; shape: Shape; measure: string | null; raw_seconds: number | null }) {
  const w = words.value;
  const [by, set_by] = useState<string | null>(null);
  const [up, set_up] = useState(false);
  const [count, set_count] = useState(ROWS_STEP);
  const columns = window.columns.map((column, at) => ({ column, at })).filter(({ column }) => column.name !== "window_start" && column.name !== "window_end" && !column.name.startsWith("_") && column.stderr_of === undefined);
  const sorted_by = by ?? measure ?? columns[0]?.column.name ?? "";
  const sort_at = window.columns.findIndex((column) => column.name === sorted_by);
  const rows = useMemo(() => {
    const order = up ? 1 : -1;
    return [...window.rows].sort((a, b) => {
      const x = a[sort_at] ?? null, y = b[sort_at] ?? null;
      if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
      return order * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
    });
  }, [window, sort_at, up]);
  const seconds = raw_seconds ?? seconds_of(window);
  const measures = new Set(shape.measures.map((column) => column.name)), dimensions = new Set(shape.dimensions.map((column) => column.name));
  const measure_at = window.columns.findIndex((column) => column.name === measure);
  const most = Math.max(0, ...window.rows.map((row) => (typeof row[measure_at] === "number" ? (row[measure_at] as number) : 0)));
  return (
    <Panel class="panel-table" title={<>{w.window_latest} {window.start !== null && <span class="muted number">{window_text(window.start, window.end!, zone.value, Date.now())}</span>}</>}
      aside={<>
        {!window.complete && <Badge mark="warning">{window.sites_missing.length > 0 ? w.incomplete_without(window.sites_missing.join(", ")) : w.incomplete}</Badge>}
        {window.open && <Badge mark="quiet">{w.open_window}</Badge>}
        <span class="muted">{w.rows(window.rows.length)}</span>
      </>}>
      {rows.length === 0 ? <p class="empty">{w.no_rows}</p> : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label={w.window_latest}>
          <table class="data">
            <caption class="visually-hidden">{w.window_latest}, {w.sorted_by(sorted_by)}</caption>
            <thead>
              <tr>
                {columns.map(({ column }) => {
                  const unit = measures.has(column.name) ? scale_of(column.name, units.value, w.per_second).unit : "";
                  const sorted = column.name === sorted_by;
                  return (
                    <th key={column.name} scope="col" class={measures.has(column.name) ? "number" : ""} aria-sort={sorted ? (up ? "ascending" : "descending") : "none"}>
                      <button type="button" class="sort" onClick={() => { set_up(sorted ? !up : !measures.has(column.name)); set_by(column.name); }}>
                        {heading_of(column.name)}{unit && <small> {unit}</small>}<span class="sort-mark" aria-hidden="true">{sorted ? (up ? "▲" : "▼") : ""}</span>
                      </button>
                    </th>
                  );
                })}
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, count).map((row, i) => (
                <tr key={i}>
                  {columns.map(({ column, at }, place) => {
                    const value = row[at] ?? null;
                    if (typeof value === "number" && measures.has(column.name)) {
                      const scale = scale_of(column.name, units.value, w.per_second);
                      const shown = scale.of(value, seconds);
                      const error_name = shape.errors.get(column.name);
                      const error = error_name === undefined ? null : row[window.columns.findIndex((other) => other.name === error_name)];
                      const text = quantity_of(column.name).kind === "count" && Math.abs(value) < 1e6 ? whole(value, w.locale) : short(shown, w.locale);
                      return (
                        <td key={column.name} class="number" title={whole(value, w.locale)}>
                          {text}{typeof error === "number" && <small> ± {short(1.96 * scale.of(error, seconds), w.locale)}</small>}
                          {column.name === measure && <Bar share={most > 0 ? value / most : 0} />}
                        </td>
                      );
                    }
                    const shown = value === null ? <span class="none">∅</span> : label_of(column, value);
                    const amount = row[measure_at];
                    const text = query && dimensions.has(column.name)
                      ? <ValueButton subject={{ query: query.name, columns: query.columns, parts: [{ column, value }], measure, amount: typeof amount === "number" ? amount : null }}>{shown}</ValueButton>
                      : shown;
                    return place === 0 ? <th key={column.name} scope="row">{text}</th> : <td key={column.name} class={typeof value === "number" && measures.has(column.name) ? "number" : ""}>{text}</td>;
                  })}
                </tr>
              ))}
            </tbody>
          </table>
          {rows.length > count && <button type="button" class="button more" onClick={() => set_count(count + 4 * ROWS_STEP)}>{w.show_more} · {w.rows_of(String(count), String(rows.length))}</button>}
        </div>
      )}
    </Panel>
  );
}

function NoRows({ query, live }: { query: Query; live: boolean }) {
  const w = words.value;
  const why = usePoll(async () => (sees_all.value ? api.why(query.name) : null), 2_000, [query.name]).value.value;
  return (
    <div class="empty">
      <p>{w.no_rows}</p>
      {live && why && <ul class="notes">{why.reasons.map((reason) => <li key={reason}>{reason}</li>)}</ul>}
    </div>
  );
}

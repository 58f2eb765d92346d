// The backbone at a glance.
import { useMemo } from "preact/hooks";
import { type FeedState, largest_rows, QueryFeed } from "../api/feed";
import { api } from "../api/client";
import type { Alert, Exporter, Query, Status } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { Heatmap } from "../charts/heatmap";
import { heading_of, label_of } from "../charts/labels";
import { matrix_of, picture_of, type Picture, seconds_of, total_of } from "../charts/series";
import { has_all_groups, measure_for } from "../charts/shape";
import { Sparkline } from "../charts/sparkline";
import { Swatch, TimeChart } from "../charts/time_chart";
import { view_beside } from "../state/address";
import { units, zone } from "../state/preferences";
import { usePoll } from "../state/poll";
import { Badge, Bar, Link, Loading, Panel, Trouble } from "../widgets/basics";
import { useFeed, useNow } from "../widgets/held";
import { SEVERITY_MARKS } from "../widgets/marks";
import { parts_of, Stat } from "../widgets/stat";
import { open_value_menu, ValueButton } from "../widgets/value_menu";
import { date_time, duration, percent, scale_of, short, time_of_day, with_unit } from "../words/format";
import { words } from "../words/words";
import { EXPORTER_MARKS, rows_of_readings, rows_of_windows, sorted } from "./exporter_list";
import { finds_nothing, type Tile, tiles_of, traffic_of } from "./live_choice";

const SPAN_MS = 15 * 60_000;
const TILE_ROWS = 8;
/** Rows of each window behind a tile: whoever is largest now was nearly always among so many before. */
const TILE_ROWS_ASKED = 100;
/** The chart begins with the data, but is never of less. */
const SPAN_MIN_MS = 120_000;
const MATRIX_ROWS = 400;
const MATRIX_SIZE = 16;

export function LivePage() {
  const w = words.value;
  const status = usePoll(api.status, 2_000).value;
  const queries = usePoll(api.queries, 10_000).value;
  const alerts = usePoll(api.alerts, 2_000).value;
  const exporters = usePoll(api.exporters, 5_000).value;
  const names = queries.value?.map((query) => `${query.name}@${query.incarnation}.${query.version}.${query.state}.${finds_nothing(query)}`).join() ?? "";
  // Chosen anew only when the catalog changes: tiles do not jump while one looks.
  const chosen = useMemo(() => {
    const all = queries.value ?? [];
    const traffic = traffic_of(all);
    return { traffic, tiles: tiles_of(all, traffic), health: all.find((query) => query.name === "exporter_health" && query.state === "running") ?? null };
  }, [names]);
  // A node that hears nothing itself knows of exporters, and of flows, what the edges' query tells.
  const told = chosen.health !== null && exporters.value?.length === 0 ? chosen.health : null;
  const told_state = useFeed(() => (told ? new QueryFeed(told.name, { from: Date.now() - SPAN_MS, until: null }) : null), [told?.incarnation]);
  if (!status.value || !queries.value) {
    const problem = status.problem ?? queries.problem;
    return problem ? <Trouble problem={problem} /> : <Loading />;
  }
  return (
    <>
      <h1 class="visually-hidden">{w.pages.live}</h1>
      {status.problem && <Trouble problem={status.problem} />}
      <Alerts alerts={alerts.value ?? []} />
      {chosen.traffic ? <Traffic key={chosen.traffic.query.name} tile={chosen.traffic} status={status.value} queries={queries.value} told_flows={flows_of(told_state?.windows[told_state.windows.length - 1])} />
        : <Panel title={w.traffic}><p class="empty">{w.no_live_query} {w.no_live_query_hint}</p></Panel>}
      <div class="tiles">
        {chosen.tiles.map((tile) => <TopTile key={`${tile.query.name}@${tile.query.version}`} tile={tile} />)}
      </div>
      <Exporters known={exporters.value ?? []} told={told} state={told_state} />
      <footer class="foot muted">
        {status.value.history && <span>{w.results_kept(with_unit(status.value.history.octets, "B", w.locale))}</span>}
        <span>{w.no_flows_stored}</span>
        <span>{status.value.node} · {status.value.version}</span>
      </footer>
    </>
  );
}

function Alerts({ alerts }: { alerts: readonly Alert[] }) {
  const w = words.value;
  const firing = alerts.filter((alert) => alert.state === "firing");
  return (
    <div class="alerts" role="status" aria-label={firing.length > 0 ? w.alert_count(firing.length) : w.no_alerts}>
      {firing.map((alert) => (
        <div key={alert.id} class={`alert alert-${SEVERITY_MARKS[alert.severity]}`}>
          <Badge mark={SEVERITY_MARKS[alert.severity]}>{w.firing}</Badge>
          <Link to={{ ...view_beside("alert"), alert: alert.id }} class="alert-name">{alert.alert}</Link>
          <span class="alert-key">{alert.key_text}</span>
          {alert.value !== null && <span class="alert-value">{alert.value_column} <b>{short(alert.value, w.locale)}</b></span>}
          <span class="muted alert-rule">{w.rule} <code>{alert.threshold}</code></span>
          <span class="muted alert-since">{w.since(time_of_day(Date.parse(alert.starts_at), zone.value))} · {duration(Date.parse(alert.window_end) - Date.parse(alert.starts_at), w.locale)}</span>
          {alert.silenced && <Badge mark="quiet">{w.silenced}</Badge>}
          {alert.acknowledged && <span class="muted">{w.acknowledged_by(alert.acknowledged.by)}</span>}
        </div>
      ))}
    </div>
  );
}

/** Per second, of a window of the query about exporters. */
function flows_of(window: ResultWindow | undefined): number | null {
  const at = window?.columns.findIndex((column) => column.name === "flows") ?? -1;
  const seconds = window ? seconds_of(window) : 0;
  if (!window || at < 0 || seconds === 0) return null;
  return window.rows.reduce((sum, row) => sum + Number(row[at] ?? 0), 0) / seconds;
}

function Traffic({ tile, status, queries, told_flows }: { tile: Tile; status: Status; queries: readonly Query[]; told_flows: number | null }) {
  const w = words.value;
  const now = useNow(1_000);
  const state = useFeed(() => new QueryFeed(tile.query.name, { from: Date.now() - SPAN_MS, until: null }), [tile.query.name, tile.query.incarnation]);
  const { measure, lacks_packets } = measured(tile);
  const scale = scale_of(measure, units.value, w.per_second);
  const picture = useMemo(() => picture_of(state?.windows ?? [], tile.shape, measure, scale, { all_groups: has_all_groups(tile.query.text), with_other: true }), [state?.windows, tile, units.value]);
  const flows_at = tile.shape.measures.find((column) => /(^|_)flows$/.test(column.name))?.name;
  const flows_scale = scale_of(flows_at ?? "", units.value, w.per_second);
  const flows = useMemo(() => flows_at === undefined ? null : picture_of(state?.windows ?? [], tile.shape, flows_at, flows_scale), [state?.windows, flows_at]);
  const first = state?.windows[0]?.start ?? now;
  const from = Math.max(now - SPAN_MS, Math.min(first, now - SPAN_MIN_MS));
  const last = picture.times.length - 1;
  const newest: ResultWindow | null = picture.windows[last] ?? null;
  const total = last >= 0 ? total_of(picture, last) : null;
  const rate = total === null ? { value: "–", unit: "" } : parts_of(with_unit(total, scale.unit, w.locale));
  const flow_total = flows && last >= 0 ? total_of(flows, last) : status.rates.flows > 0 ? status.rates.flows : told_flows;
  const absent = status.edges.filter((edge) => edge.absent).map((edge) => edge.site);
  const missing = [...new Set([...absent, ...(newest?.sites_missing ?? [])])];
  const sites = new Set(status.edges.map((edge) => edge.site)).size || picture.lines.length;
  const behind = newest ? now - newest.end! : null;
  const by_site = tile.shape.dimensions[0]?.name === "site";
  const failed = queries.filter((query) => query.state === "failed").length;
  const summary = w.chart_summary(w.traffic, time_of_day(from, zone.value), time_of_day(now, zone.value), total === null ? w.no_data : with_unit(total, scale.unit, w.locale));
  return (
    <>
      <dl class="stats">
        <Stat label={w.traffic_now} value={rate.value} unit={rate.unit} {...(newest && !newest.complete ? { mark: "warning" as const, note: w.incomplete } : {})} />
        <Stat label={w.flows_rate} value={flow_total === null ? "–" : parts_of(short(flow_total, w.locale)).value} unit={`${flow_total === null ? "" : parts_of(short(flow_total, w.locale)).unit}/s`} />
        <Stat label={w.sites} value={String(sites - missing.length)} unit={`/ ${sites}`} mark={missing.length > 0 ? "warning" : "good"} note={missing.length > 0 ? w.site_missing(missing.join(", ")) : w.all_complete} />
        <Stat label={w.lag} value={behind === null ? "–" : (Math.max(behind, 0) / 1000).toFixed(0)} unit="s" />
        <Stat label={w.queries_running} value={String(status.queries.running)} unit={`/ ${queries.length}`} {...(failed > 0 ? { mark: "bad" as const, note: w.failed_count(failed) } : {})} />
      </dl>
      <div class="traffic">
        <Panel title={<>{w.traffic} {by_site && <span class="muted">{w.by_site}</span>}</>}
          aside={<Link to={view_beside("query", tile.query.name)} class="quiet-link">{tile.query.name}</Link>}>
          {state?.phase === "failed" && state.problem ? <Trouble problem={state.problem} />
            : picture.times.length === 0 ? <NoRows name={tile.query.name} loading={state === null || state.phase === "loading"} />
            : <TimeChart picture={picture} kind="area" unit={scale.unit} from={from} until={now} height={268} summary={summary} />}
          {lacks_packets && <p class="notes">{w.no_packets}</p>}
        </Panel>
        <Panel title={by_site ? w.sites : tile.shape.dimensions.map((column) => heading_of(column.name)).join(", ")}>
          <Lines tile={tile} measure={measure} picture={picture} unit={scale.unit} missing={missing} />
        </Panel>
      </div>
    </>
  );
}

/** Newest values of a picture: its legend and its table twin. */
function Lines({ tile, measure, picture, unit, missing }: { tile: Tile; measure: string; picture: Picture; unit: string; missing: readonly string[] }) {
  const w = words.value;
  const last = picture.times.length - 1;
  const total = last >= 0 ? total_of(picture, last) : null;
  return (
    <table class="lines">
      <thead class="visually-hidden"><tr><th scope="col">{w.name}</th><th scope="col">{w.trend}</th><th scope="col">{w.now}</th><th scope="col">{w.share}</th></tr></thead>
      <tbody>
        {picture.lines.map((line, i) => {
          const value = line.values[last] ?? null;
          const lacking = missing.includes(line.label);
          return (
            <tr key={line.label}>
              <th scope="row">
                <Swatch index={i} other={line.other} />
                <span class="line-name">{line.key === null ? (line.other ? w.other : line.label) : <ValueButton subject={{ query: tile.query.name, columns: tile.query.columns, parts: tile.shape.dimensions.map((column, at) => ({ column, value: line.key![at] ?? null })), measure, amount: null }}>{line.label}</ValueButton>}</span>
                {lacking && <Badge mark="warning"><span class="visually-hidden">{w.no_data}</span></Badge>}
              </th>
              <td class="line-trend"><Sparkline values={line.values.slice(-120)} height={picture.lines.length <= 4 ? 44 : 22} /></td>
              <td class="number">{value === null ? <span class="none">{w.no_data}</span> : with_unit(value, unit, w.locale)}</td>
              <td class="number muted">{value === null || !total ? "–" : percent(value / total, w.locale)}</td>
            </tr>
          );
        })}
      </tbody>
      {picture.lines.length > 1 && (
        <tfoot>
          <tr><th scope="row">{w.total}</th><td /><td class="number">{total === null ? w.no_data : with_unit(total, unit, w.locale)}</td><td /></tr>
        </tfoot>
      )}
    </table>
  );
}

function NoRows({ name, loading }: { name: string; loading: boolean }) {
  const why = usePoll(() => api.why(name), 2_000, [name]).value.value;
  if (loading || !why) return <Loading />;
  return <p class="empty">{why.reasons.map((reason) => <span key={reason}>{reason}<br /></span>)}</p>;
}

/** A tile has a measure: what is drawn of it in the units that are wanted. */
function measured(tile: Tile): { measure: string; lacks_packets: boolean } {
  const { measure, lacks_packets } = measure_for(tile.shape, tile.measure, units.value);
  return { measure: measure ?? tile.measure, lacks_packets };
}

function TopTile({ tile }: { tile: Tile }) {
  const w = words.value;
  const { query, shape } = tile;
  const { measure, lacks_packets } = measured(tile);
  const rows = shape.matrix ? MATRIX_ROWS : TILE_ROWS_ASKED;
  const state = useFeed(() => largest_rows(query.name, measure, { from: Date.now() - SPAN_MS, until: null }, rows), [query.name, query.incarnation, query.version, measure]);
  const scale = scale_of(measure, units.value, w.per_second);
  const newest = state?.windows[state.windows.length - 1] ?? null;
  const title = (
    <>
      <Link to={view_beside("query", query.name)} class="panel-link">{heading_of(query.name)}</Link>
    </>
  );
  const matrix = useMemo(() => (newest && shape.matrix ? matrix_of(newest, shape, measure, scale, MATRIX_SIZE) : null), [newest, measure, units.value]);
  const pick = (row: number, column: number, cell: Element) => open_value_menu({
    query: query.name, columns: query.columns, measure, amount: null,
    parts: [{ column: shape.matrix!.rows, value: matrix!.row_keys[row] ?? null }, { column: shape.matrix!.columns, value: matrix!.column_keys[column] ?? null }],
  }, cell);
  const aside = newest?.end != null || lacks_packets ? (
    <span class="muted" title={lacks_packets ? w.no_packets : date_time(newest!.end!, zone.value)}>{lacks_packets ? w.bits_only : time_of_day(newest!.end!, zone.value)}</span>
  ) : undefined;
  const by = shape.dimensions.map((column) => heading_of(column.name)).join(" → ");
  return (
    <Panel class={shape.matrix ? "tile-matrix" : ""} title={title} aside={aside}>
      {state?.phase === "failed" && state.problem ? <Trouble problem={state.problem} />
        : !state || !newest || newest.rows.length === 0 ? <NoRows name={query.name} loading={!state || state.phase === "loading"} />
        : matrix ? <Heatmap cell_height={38} matrix={matrix} on_pick={pick} unit={scale.unit} label={by} summary={`${heading_of(query.name)}, ${by}`} />
        : <Largest windows={state.windows} tile={tile} measure={measure} by={by} />}
    </Panel>
  );
}

function Largest({ windows, tile, measure, by }: { windows: readonly ResultWindow[]; tile: Tile; measure: string; by: string }) {
  const w = words.value;
  const scale = scale_of(measure, units.value, w.per_second);
  const newest = windows[windows.length - 1]!;
  // Rows beyond the largest are not here: what a key lacks in a window is unknown, not 0.
  const picture = useMemo(() => picture_of(windows, tile.shape, measure, scale, { lines_max: 1_000, all_groups: false }), [windows, measure, units.value]);
  const trends = new Map(picture.lines.map((line) => [line.label, line.values]));
  const at = newest.columns.findIndex((column) => column.name === measure);
  const places = tile.shape.dimensions.map((dimension) => newest.columns.findIndex((column) => column.name === dimension.name));
  const rows = newest.rows.slice(0, TILE_ROWS).map((row) => ({
    parts: places.map((place, i) => ({ column: tile.shape.dimensions[i]!, value: row[place] ?? null })),
    amount: typeof row[at] === "number" ? (row[at] as number) : null,
    labels: places.map((place) => label_of(newest.columns[place]!, row[place] ?? null)),
    value: typeof row[at] === "number" ? scale.of(row[at] as number, seconds_of(newest)) : null,
  }));
  const most = Math.max(...rows.map((row) => row.value ?? 0), 0);
  return (
    <table class="lines top">
      <thead><tr><th scope="col">{by}</th><th scope="col" class="line-trend">{w.trend}</th><th scope="col" class="number">{scale.unit}</th></tr></thead>
      <tbody>
        {rows.map(({ labels, value, parts, amount }) => {
          const label = labels.join(" → ");
          return (
            <tr key={label}>
              <th scope="row"><span class="line-name"><ValueButton subject={{ query: tile.query.name, columns: tile.query.columns, parts, measure, amount }}>{label}</ValueButton></span><Bar share={most > 0 ? (value ?? 0) / most : 0} /></th>
              <td class="line-trend"><Sparkline values={trends.get(label) ?? []} height={18} /></td>
              <td class="number">{value === null ? w.no_data : short(value, w.locale)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** Of this node's own listeners where it has some; else what the query about exporters knows of all nodes. */
function Exporters({ known, told, state }: { known: readonly Exporter[]; told: Query | null; state: FeedState | null }) {
  const w = words.value;
  const now = Date.now();
  const rows = sorted(told ? rows_of_windows(state?.windows ?? [], now) : rows_of_readings([{ at: now, exporters: known }], now), "state", true);
  return (
    <Panel title={w.exporters} aside={<span class="muted">{rows.length > 0 && rows.length}</span>}>
      {rows.length === 0 ? (told && (!state || state.windows.length === 0) ? <NoRows name={told.name} loading={!state || state.phase === "loading"} /> : <p class="empty">{w.exporters_none}</p>) : (
        <ul class="exporter-strip">
          {rows.map(({ address, protocols, sampling: { min, max }, state: how }) => (
            <li key={address}>
              <Link to={{ ...view_beside("exporters"), pick: address }} class="exporter-name">{address}</Link>
              <span class="muted">{protocols} {min !== null && (min === max ? `1:${min}` : `1:${min}–${max}`)}</span>
              <Badge mark={EXPORTER_MARKS[how]}>{w.exporter_states[how]}</Badge>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

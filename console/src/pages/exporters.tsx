// Who sends flows, and how well.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import { exporters_api } from "../api/exporters";
import { QueryFeed } from "../api/feed";
import { system } from "../api/system";
import type { Check, Snippet, Status } from "../api/types";
import { Sparkline } from "../charts/sparkline";
import { address, change, view_beside } from "../state/address";
import { paused } from "../state/pause";
import { usePoll } from "../state/poll";
import { zone } from "../state/preferences";
import { address_of } from "../state/view";
import { Badge, Choice, CopyItem, Link, Loading, Panel, Trouble } from "../widgets/basics";
import { useFeed, useNow } from "../widgets/held";
import { date_time, duration, percent, short, whole } from "../words/format";
import { exporter_words } from "../words/exporters";
import { words } from "../words/words";
import { EXPORTER_MARKS, type ExporterRow, type ExporterState, found_by, names_address, type Reading, rows_of_readings, rows_of_windows, snippet_text, type SortBy, sorted, STATES, with_reading } from "./exporter_list";

const POLL_MS = 2_000;
/** Rates are of so long. */
const READINGS_MS = 30_000;
const SPAN_MS = 15 * 60_000;
const HEALTH = "exporter_health";
const CELLS_MAX = 60;
const ROWS_STEP = 50;
const LOOPBACK = /^(127\.|::1$|localhost$)/;

/** A node without the role edge opens no sockets: what it knows of exporters is what edges tell. */
function hears(status: Status): boolean {
  return status.roles.length === 0 || status.roles.includes("edge");
}

export function ExportersPage() {
  const status = usePoll(api.status, 10_000).value;
  if (!status.value) return status.problem ? <Trouble problem={status.problem} /> : <Loading />;
  return hears(status.value) ? <Heard status={status.value} /> : <Told status={status.value} />;
}

function Heard({ status }: { status: Status }) {
  const answer = usePoll(async (): Promise<Reading> => ({ at: Date.now(), exporters: await api.exporters() }), POLL_MS).value;
  const now = useNow(POLL_MS);
  const readings = useRef<Reading[]>([]);
  const rows = useRef<ExporterRow[]>([]);
  if (answer.value && readings.current[readings.current.length - 1] !== answer.value) {
    readings.current = with_reading(readings.current, answer.value, READINGS_MS);
    // The picture stands still while paused; readings do not.
    if (!paused.value || rows.current.length === 0) rows.current = rows_of_readings(readings.current, now);
  }
  if (!answer.value) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  return (
    <Page rows={rows.current} now={now} status={status} told={false}>
      {answer.problem && <Trouble problem={answer.problem} />}
    </Page>
  );
}

function Told({ status }: { status: Status }) {
  const t = exporter_words.value;
  const answer = usePoll(async () => ({ query: (await api.queries()).find((each) => each.name === HEALTH && each.state === "running") ?? null }), 15_000).value;
  const now = useNow(POLL_MS);
  const known = answer.value?.query;
  const state = useFeed(() => (known ? new QueryFeed(HEALTH, { from: Date.now() - SPAN_MS, until: null }) : null), [known?.incarnation]);
  const rows = useMemo(() => rows_of_windows(state?.windows ?? [], now), [state?.windows, now]);
  if (!answer.value) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  return (
    <Page rows={rows} now={now} status={status} told>
      {state?.phase === "failed" && state.problem && <Trouble problem={state.problem} />}
      {known
        ? <p class="lead">{t.by_edges} <Link to={view_beside("query", HEALTH)}>{HEALTH}</Link></p>
        : <p class="lead">{t.by_edges_none} <code>{t.by_edges_command}</code></p>}
    </Page>
  );
}

function Page({ rows, now, status, told, children }: { rows: readonly ExporterRow[]; now: number; status: Status; told: boolean; children: preact.ComponentChildren }) {
  const w = words.value;
  const t = exporter_words.value;
  const { view } = address.value;
  const search = view.search ?? "";
  const wanted = (STATES as readonly (string | null)[]).includes(view.tab) ? (view.tab as ExporterState) : null;
  const counts = new Map(STATES.map((state) => [state, rows.filter((row) => row.state === state).length]));
  const found = rows.filter((row) => (wanted === null || row.state === wanted) && found_by(row, search, words.value.exporter_states[row.state]));
  const options = [{ value: "all", text: `${t.all} ${rows.length}` }, ...STATES.filter((state) => (counts.get(state) ?? 0) > 0 || state === wanted).map((state) => ({ value: state as string, text: `${words.value.exporter_states[state]} ${counts.get(state) ?? 0}` }))];
  const addresses = status.listeners.map((listener) => listener.address);
  const loopback = addresses.length > 0 && addresses.every((each) => LOOPBACK.test(each.replace(/^udp:\/\/\[?/, "")));
  return (
    <>
      <div class="page-head">
        <h1>{w.pages.exporters}</h1>
        <span class="muted" role="status">{t.count(found.length)}</span>
        <input type="search" class="search" placeholder={w.search} aria-label={t.search} value={search} onInput={(event) => change({ search: event.currentTarget.value })} />
      </div>
      {children}
      {loopback && <p class="lead"><Badge mark="warning">{t.loopback}</Badge></p>}
      {rows.length > 0 && <div class="toolbar"><Choice label={t.filter} value={wanted ?? "all"} choose={(value) => change({ tab: value === "all" ? null : value }, true)} options={options} /></div>}
      {view.pick !== null && <Details key={view.pick} pick={view.pick} row={rows.find((row) => row.address === view.pick) ?? null} now={now} told={told} />}
      {rows.length === 0 ? <Panel title={w.exporters}><p class="empty">{w.exporters_none}</p></Panel>
        : found.length === 0 ? <p class="empty">{search === "" ? t.none_in_state : t.search_none(search)}</p>
        : <><Grid rows={found} now={now} /><Table rows={found} now={now} /></>}
      <Snippets addresses={addresses} />
    </>
  );
}

function pick(address: string): void {
  change({ pick: address }, true);
}

/** A click picks; other buttons and keys open the link, as of any. */
function PickLink({ address: of, class: style }: { address: string; class: string }) {
  return (
    <a class={style} href={address_of({ ...address.value.view, pick: of })} aria-current={address.value.view.pick === of ? "true" : undefined}
      onClick={(event) => {
        if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        pick(of);
      }}>{of}</a>
  );
}

function state_text(row: ExporterRow, now: number): string {
  const w = words.value;
  const t = exporter_words.value;
  if (row.state === "silent" && row.last_seen !== null) return t.silent_for(duration(now - row.last_seen, w.locale));
  if (row.state === "loss" && row.missing_share !== null) return `${words.value.exporter_states.loss} ${percent(row.missing_share, w.locale)}`;
  return words.value.exporter_states[row.state];
}

function Grid({ rows, now }: { rows: readonly ExporterRow[]; now: number }) {
  const w = words.value;
  const t = exporter_words.value;
  const shown = sorted(rows, "state", true).slice(0, CELLS_MAX);
  return (
    <ul class="exporter-grid" aria-label={t.filter}>
      {shown.map((row) => (
        <li key={row.address} class={`exporter-cell exporter-${EXPORTER_MARKS[row.state]}`}>
          <PickLink address={row.address} class="exporter-name" />
          <Badge mark={EXPORTER_MARKS[row.state]}>{state_text(row, now)}</Badge>
          <span class="muted">{row.site || row.protocols}</span>
          <span class="number">{row.flows_per_second === null ? "–" : short(row.flows_per_second, w.locale)}<small>/s</small></span>
        </li>
      ))}
    </ul>
  );
}

function sampling_text(row: ExporterRow): string {
  const w = words.value;
  const t = exporter_words.value;
  const { min, max, unknown } = row.sampling;
  if (min === null || max === null) return unknown ? t.unscaled : "–";
  const rate = min === max ? `1:${whole(min, w.locale)}` : `1:${whole(min, w.locale)} – 1:${whole(max, w.locale)}`;
  return unknown ? t.partly_unscaled(rate) : rate;
}

function clock_text(seconds: number | null): string {
  const w = words.value;
  const t = exporter_words.value;
  if (seconds === null) return "–";
  if (Math.abs(seconds) < 0.05) return t.in_step;
  return (seconds > 0 ? t.behind : t.ahead)(duration(Math.abs(seconds) * 1000, w.locale));
}

const COLUMNS: readonly { by: SortBy; number: boolean }[] = [
  { by: "address", number: false }, { by: "state", number: false }, { by: "site", number: false }, { by: "protocols", number: false }, { by: "flows", number: true },
  { by: "sampling", number: false }, { by: "loss", number: true }, { by: "rejected", number: true }, { by: "clock", number: false }, { by: "delay", number: true }, { by: "first", number: false }, { by: "last", number: false },
];

function heading(by: SortBy): string {
  const w = words.value;
  const t = exporter_words.value;
  const headings: Record<SortBy, string> = {
    address: t.address, state: w.state, site: t.site, protocols: t.protocols, flows: t.flows, sampling: t.sampling, loss: t.loss, rejected: t.rejected, clock: t.clock, delay: t.delay, first: t.first_seen, last: t.last_seen,
  };
  return headings[by];
}

function Table({ rows, now }: { rows: readonly ExporterRow[]; now: number }) {
  const w = words.value;
  const t = exporter_words.value;
  const [by, set_by] = useState<SortBy>("state");
  const [up, set_up] = useState(true);
  const [count, set_count] = useState(ROWS_STEP);
  const shown = sorted(rows, by, up);
  // What the source never tells is no column.
  const columns = COLUMNS.filter((column) => !(column.by === "site" && rows.every((row) => !row.site)) && !(column.by === "clock" && rows.every((row) => row.clock_offset_seconds === null)) && !(column.by === "delay" && rows.every((row) => row.delay_p999_seconds === null)));
  const cell = (row: ExporterRow, of: SortBy) => {
    if (of === "state") return <Badge mark={EXPORTER_MARKS[row.state]}>{state_text(row, now)}</Badge>;
    if (of === "site") return row.site || "–";
    if (of === "protocols") return row.protocols;
    if (of === "flows") return row.flows_per_second === null ? "–" : short(row.flows_per_second, w.locale);
    if (of === "sampling") return <span class={row.sampling.unknown ? "warn" : ""}>{sampling_text(row)}</span>;
    if (of === "loss") return row.missing_share === null ? "–" : <>{percent(row.missing_share, w.locale)}{row.missing > 0 && <small title={t.loss_hint}> {short(row.missing, w.locale)}</small>}</>;
    if (of === "rejected") return short(row.rejected, w.locale);
    if (of === "clock") return clock_text(row.clock_offset_seconds);
    if (of === "delay") return row.delay_p999_seconds === null ? "–" : duration(row.delay_p999_seconds * 1000, w.locale);
    const at = of === "first" ? row.first_seen : row.last_seen;
    return at === null ? "–" : date_time(at, zone.value);
  };
  return (
    <Panel class="panel-table" title={<>{w.exporters} <span class="muted">{w.as_table}</span></>} aside={<span class="muted">{rows.length}</span>}>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={w.exporters}>
        <table class="data list-on-narrow">
          <caption class="visually-hidden">{w.exporters}, {w.sorted_by(heading(by))}</caption>
          <thead>
            <tr>
              {columns.map((column) => {
                const is = column.by === by;
                return (
                  <th key={column.by} scope="col" class={column.number ? "number" : ""} aria-sort={is ? (up ? "ascending" : "descending") : "none"}>
                    <button type="button" class="sort" onClick={() => { set_up(is ? !up : !column.number); set_by(column.by); }}>
                      {heading(column.by)}<span class="sort-mark" aria-hidden="true">{is ? (up ? "▲" : "▼") : ""}</span>
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {shown.slice(0, count).map((row) => (
              <tr key={row.address}>
                {columns.map((column) => (column.by === "address"
                  ? <th key={column.by} scope="row"><PickLink address={row.address} class="strong-link exporter-name" /></th>
                  : <td key={column.by} data-label={heading(column.by)} class={column.number ? "number" : ""}>{cell(row, column.by)}</td>))}
              </tr>
            ))}
          </tbody>
        </table>
        {shown.length > count && <button type="button" class="button more" onClick={() => set_count(count + 4 * ROWS_STEP)}>{w.show_more} · {w.rows_of(String(count), String(shown.length))}</button>}
      </div>
    </Panel>
  );
}

function Details({ pick: of, row, now, told }: { pick: string; row: ExporterRow | null; now: number; told: boolean }) {
  const w = words.value;
  const t = exporter_words.value;
  const title = useRef<HTMLSpanElement>(null);
  // Whoever picked it in the table below is led to it.
  useEffect(() => {
    title.current?.scrollIntoView({ block: "center" });
    title.current?.focus({ preventScroll: true });
  }, []);
  const close = () => {
    // Before it goes with what has the focus: back to where it was picked.
    document.querySelector<HTMLElement>("a.exporter-name[aria-current]")?.focus();
    change({ pick: null }, true);
  };
  const doctor = usePoll(system.doctor, 15_000, [of]).value;
  const about = doctor.value?.checks.filter((check) => check.state !== "ok" && names_address(`${check.text} ${check.fix}`, of)) ?? [];
  const time = (at: number | null) => (at === null ? "–" : date_time(at, zone.value));
  return (
    <Panel class="exporter-details" title={<span ref={title} tabIndex={-1}>{of}</span>} aside={<button type="button" class="button" onClick={close}>{w.close}</button>}>
      {row === null ? <p class="empty">{t.gone(of)}</p> : (
        <div class="exporter-facts">
          <dl class="fact-list">
            <div><dt>{w.state}</dt><dd><Badge mark={EXPORTER_MARKS[row.state]}>{state_text(row, now)}</Badge></dd></div>
            <div><dt>{t.site}</dt><dd>{row.site === null ? t.unknown : row.site || "–"}</dd></div>
            <div><dt>{t.protocols}</dt><dd>{row.protocols}</dd></div>
            <div><dt>{t.sampling}</dt><dd class={row.sampling.unknown ? "warn" : ""}>{sampling_text(row)}</dd></div>
            <div><dt>{t.loss}</dt><dd>{row.missing_share === null ? "–" : t.lost(percent(row.missing_share, w.locale), whole(row.missing, w.locale))}</dd></div>
            <div><dt>{t.rejected}</dt><dd>{whole(row.rejected, w.locale)}</dd></div>
            {!told && <div><dt>{t.clock}</dt><dd>{clock_text(row.clock_offset_seconds)}</dd></div>}
            {!told && <div><dt>{t.delay}</dt><dd>{row.delay_p999_seconds === null ? "–" : duration(row.delay_p999_seconds * 1000, w.locale)}</dd></div>}
            <div><dt>{t.first_seen}</dt><dd>{time(row.first_seen)}</dd></div>
            <div><dt>{t.last_seen}</dt><dd>{time(row.last_seen)}</dd></div>
          </dl>
          <div>
            <p class="muted">{t.trend}</p>
            <p class="stat-value">{row.flows_per_second === null ? "–" : short(row.flows_per_second, w.locale)}</p>
            <Sparkline values={row.trend} width={320} height={64} />
          </div>
        </div>
      )}
      <h3 class="exporter-doctor">{t.doctor}</h3>
      {about.length > 0 ? <ul class="exporter-checks">{about.map((check) => <CheckItem key={check.id} check={check} />)}</ul>
        : doctor.problem && !doctor.value ? <Trouble problem={doctor.problem} />
        : <p class="muted">{told ? t.doctor_elsewhere : doctor.value === null ? w.loading : t.doctor_ok}</p>}
    </Panel>
  );
}

function CheckItem({ check }: { check: Check }) {
  return (
    <li>
      <Badge mark={check.state === "error" ? "bad" : "warning"}>{check.id}</Badge> <span class="check-text">{check.text}</span>
      {check.fix !== "" && <div class="mend"><pre tabIndex={0}><code>{check.fix}</code></pre><CopyItem class="button" text={() => check.fix}>{words.value.copy}</CopyItem></div>}
    </li>
  );
}

/** What routers may reach of this machine, as far as the address of this page and the listeners tell. */
function collector_guess(addresses: readonly string[]): string {
  const host = location.hostname.replace(/^\[|\]$/g, "");
  if (/^[\d.]+$|:/.test(host) && !LOOPBACK.test(host)) return host;
  for (const each of addresses) {
    const found = /^udp:\/\/\[?([^\]]+?)\]?:\d+$/.exec(each)?.[1];
    if (found && !LOOPBACK.test(found) && !/^(0\.0\.0\.0|::)$/.test(found)) return found;
  }
  return "";
}

function Snippets({ addresses }: { addresses: readonly string[] }) {
  const t = exporter_words.value;
  const answer = usePoll(exporters_api.snippets, 3_600_000).value;
  const [system, set_system] = useState("junos");
  const [values, set_values] = useState({ collector: collector_guess(addresses), port: "", source: "", interface: "", rate: "1000" });
  const forms = answer.value;
  const form: Snippet | undefined = forms?.find((each) => each.system === system) ?? forms?.[0];
  if (!form) return answer.problem && answer.problem.status !== 404 ? <Panel title={t.snippets}><Trouble problem={answer.problem} /></Panel> : null;
  const text = snippet_text(form, values);
  const field = (name: keyof typeof values, label: string, placeholder: string, digits = false) => (
    <label class="field">{label}
      <input value={values[name]} placeholder={placeholder} inputMode={digits ? "numeric" : "text"} maxLength={digits ? 7 : 100} spellcheck={false} autocomplete="off"
        onInput={(event) => {
          const typed = event.currentTarget.value.trim();
          set_values({ ...values, [name]: digits ? typed.replace(/\D/g, "") : typed });
        }} />
    </label>
  );
  return (
    <Panel title={t.snippets} aside={<span class="muted">{t.snippets_hint}</span>}>
      <div class="snippet-form" role="group" aria-label={t.snippets}>
        <label class="field">{t.system}
          <select value={form.system} onChange={(event) => set_system(event.currentTarget.value)}>
            {forms!.map((each) => <option key={each.system} value={each.system}>{t.systems[each.system] ?? each.system}</option>)}
          </select>
        </label>
        {field("collector", t.collector, "COLLECTOR")}
        {field("port", t.port, String(form.port), true)}
        {field("rate", t.rate, "1000", true)}
        {field("source", t.source, form.source)}
        {field("interface", t.interface, form.interface)}
      </div>
      {values.collector === "" && <p class="warn">{t.fill_in}</p>}
      <div class="snippet">
        <pre tabIndex={0} aria-label={t.snippet} role="region"><code>{text}</code></pre>
        <CopyItem class="button" text={() => text}>{words.value.copy}</CopyItem>
      </div>
    </Panel>
  );
}

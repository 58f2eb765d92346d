// Where a query is made: written, tried on live traffic, and kept.
import { useEffect, useMemo, useState } from "preact/hooks";
import { SessionFeed } from "../api/feed";
import { Refusal } from "../api/client";
import { is_xml, queries } from "../api/queries";
import type { Column } from "../api/types";
import type { ResultWindow } from "../api/window_store";
import { measure_title } from "../charts/labels";
import { picture_of } from "../charts/series";
import { charts_of, has_all_groups, main_measure, shape_of } from "../charts/shape";
import { Swatch, TimeChart } from "../charts/time_chart";
import { useChecker } from "../editor/check";
import { outputs_of } from "../editor/diagram_scan";
import { Editor } from "../editor/editor";
import { created_name, select_of } from "../editor/scan";
import { go, view_beside } from "../state/address";
import { type Draft, drafts, keep_draft, NEW, NEW_BEFORE } from "../state/draft";
import { ask_again } from "../state/poll";
import { units, zone } from "../state/preferences";
import { may_operate } from "../state/session";
import { Badge, Link, Loading, Panel, Trouble } from "../widgets/basics";
import { useFeed, useNow } from "../widgets/held";
import { date_time, scale_of } from "../words/format";
import { query_words } from "../words/query";
import { words } from "../words/words";
import { NewestWindow } from "./query";

const EMPTY: Draft = { text: "", name: "", comment: "", revision: null, base: "" };

export function NewPage() {
  const q = query_words.value, w = words.value;
  const checker = useChecker();
  const [tried, set_tried] = useState<{ text: string; count: number } | null>(null);
  const [keeping, set_keeping] = useState(false);
  const [problem, set_problem] = useState<Refusal | null>(null);
  /** Why a diagram cannot be tried. */
  const [not_sql, set_not_sql] = useState<Refusal | null>(null);
  const draft = drafts.value.get(NEW) ?? EMPTY;
  const own_name = useMemo(() => created_name(draft.text), [draft.text]);
  const outputs = useMemo(() => (is_xml(draft.text) ? outputs_of(draft.text) : []), [draft.text]);
  const name = own_name ?? (draft.name.trim() || (outputs.length === 1 ? outputs[0]! : ""));
  const body = { text: draft.text, ...(own_name === null && name !== "" ? { name } : {}), ...(draft.comment === "" ? {} : { comment: draft.comment }) };
  useEffect(() => checker.typed(body), [draft.text, draft.name]);
  const checked = checker.state.value;
  const taken = checked.phase === "right" && checked.done.some((each) => each.verb !== "add");
  const write = (part: Partial<Draft>) => {
    const next = { ...(drafts.value.get(NEW) ?? EMPTY), ...part };
    keep_draft(NEW, next.text === "" && next.name === "" && next.comment === "" ? null : next);
    set_problem(null);
    set_not_sql(null);
  };
  const try_now = async () => {
    const { text, name: wanted } = drafts.value.get(NEW) ?? EMPTY;
    if (text.trim() === "") return;
    set_not_sql(null);
    try {
      // What is only looked at is a SELECT: of a diagram the one that it means.
      const statement = is_xml(text) ? await queries.in_sql(text, wanted.trim() || (outputs_of(text)[0] ?? "")) : text;
      set_tried((before) => ({ text: select_of(statement), count: (before?.count ?? 0) + 1 }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_not_sql(error);
    }
  };
  const keep = async () => {
    if (keeping) return;
    set_keeping(true);
    set_problem(null);
    try {
      const { query } = await queries.add(body);
      keep_draft(NEW, null);
      ask_again();
      go(view_beside("query", query.name));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_problem(error);
      set_keeping(false);
    }
  };
  const before = drafts.value.get(NEW_BEFORE);
  return (
    <>
      <div class="page-head"><h1>{w.pages.new}</h1>{drafts.value.has(NEW) && <Badge mark="warning">{w.unsaved}</Badge>}</div>
      <p class="lead">{q.new_lead}</p>
      {before && (
        <div class="note-box" role="status">
          <span>{q.before_title}</span>
          <button type="button" class="button" onClick={() => { keep_draft(NEW, before); keep_draft(NEW_BEFORE, null); }}>{q.before_back}</button>
          <button type="button" class="button" onClick={() => keep_draft(NEW_BEFORE, null)}>{q.before_drop}</button>
        </div>
      )}
      <Panel title={w.statement}>
        <Editor text={draft.text} label={w.statement} checker={checker} on_change={(text) => write({ text })} on_run={() => void try_now()} />
        <div class="form-row">
          <label class="form-field"><span>{q.name_of_query}</span>
            <input type="text" value={own_name ?? draft.name} readOnly={own_name !== null} aria-describedby="new-name-hint" spellcheck={false} autocapitalize="off" onInput={(event) => write({ name: event.currentTarget.value })} />
          </label>
          <label class="form-field form-wide"><span>{q.comment}</span>
            <input type="text" value={draft.comment} onInput={(event) => write({ comment: event.currentTarget.value })} />
          </label>
        </div>
        <p id="new-name-hint" class={taken ? "warn" : "muted"}>
          {taken ? <>{q.name_taken} <Link to={view_beside("query", name)}>{name}</Link></> : own_name !== null ? q.name_in_text : outputs.length > 1 ? q.name_of_output(outputs.join(", ")) : outputs.length === 1 ? q.name_by_output(outputs[0]!) : q.name_hint}
        </p>
        {problem && problem.problem.line === undefined && <Trouble problem={problem} />}
        {not_sql && <Trouble problem={not_sql} />}
        <div class="form-buttons">
          <button type="button" class="button" disabled={draft.text.trim() === "" || checked.phase === "wrong"} onClick={() => void try_now()}><span class="icon-play" aria-hidden="true" />{q.try_now}</button>
          {may_operate.value && <button type="button" class="button button-strong" disabled={name === "" || draft.text.trim() === "" || checked.phase === "wrong" || taken || keeping} onClick={() => void keep()}>{q.keep}</button>}
          {tried && <button type="button" class="button" onClick={() => set_tried(null)}>{q.stop}</button>}
          <span class="muted">{may_operate.value ? q.keep_hint : q.may_not_keep}</span>
        </div>
      </Panel>
      {tried && <Tried key={`${tried.count}`} text={tried.text} is_part={tried.text !== draft.text && (own_name !== null || is_xml(draft.text))} />}
    </>
  );
}

const SPAN_MS = 5 * 60_000;
/** Of rows that come without windows, so many of the newest. */
const ROWS_LOOSE = 100;

/** Rows without windows come one by one: the newest of them are shown as if they were of one. */
function newest_of(windows: readonly ResultWindow[]): ResultWindow | null {
  const last = windows[windows.length - 1] ?? null;
  if (!last || last.start !== null) return last;
  const rows: ResultWindow["rows"] = [];
  for (let i = windows.length - 1; i >= 0 && rows.length < ROWS_LOOSE; --i) rows.unshift(...windows[i]!.rows);
  return { ...last, rows: rows.slice(-ROWS_LOOSE) };
}

function Tried({ text, is_part }: { text: string; is_part: boolean }) {
  const q = query_words.value, w = words.value;
  const now = useNow(1_000);
  const state = useFeed(() => new SessionFeed(text, false), [text]);
  const newest = useMemo(() => newest_of(state?.windows ?? []), [state?.windows]);
  const columns: readonly Column[] = newest?.columns ?? [];
  const shape = useMemo(() => shape_of([...columns]), [columns]);
  const measure = main_measure(shape);
  const chart = charts_of(shape, measure).find((each) => each === "area" || each === "lines") ?? null;
  const scale = scale_of(measure ?? "", units.value, w.per_second);
  const picture = useMemo(() => picture_of(state?.windows ?? [], shape, measure ?? "", scale, { all_groups: has_all_groups(text), with_other: true }), [state?.windows, shape, measure, units.value]);
  const first = state?.windows.find((window) => window.start !== null)?.start ?? now;
  const from = Math.max(first, now - SPAN_MS);
  const title = measure === null ? q.rows_now : `${measure_title(measure, w.traffic)}${scale.unit ? `, ${scale.unit}` : ""}`;
  if (state?.phase === "failed" && state.problem) return <Panel title={q.rows_now}><Trouble problem={state.problem} /></Panel>;
  if (!newest) return <Panel title={q.rows_now}><Loading /><p class="muted" role="status">{q.waits}</p></Panel>;
  return (
    <>
      {chart && picture.times.length > 1 && (
        <Panel title={title}>
          <TimeChart picture={picture} kind={chart === "area" ? "area" : "lines"} unit={scale.unit} from={from} until={now} height={240} summary={w.chart_summary(q.rows_now, date_time(from, zone.value), date_time(now, zone.value), "")} />
          <ul class="legend">{picture.lines.map((line, i) => <li key={line.label}><Swatch index={i} other={line.other} />{line.other ? w.other : line.label}</li>)}</ul>
        </Panel>
      )}
      <NewestWindow query={null} window={newest} shape={shape} measure={measure} raw_seconds={null} />
      {(is_part || (state?.notices.length ?? 0) > 0) && <ul class="notes">{is_part && <li>{q.tried_select}</li>}{state?.notices.map((notice) => <li key={notice}>{notice}</li>)}</ul>}
    </>
  );
}

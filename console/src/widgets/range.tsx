// The range of time that a page looks at: what the address says of it, keys and buttons that move it.
import { useEffect } from "preact/hooks";
import { address, change } from "../state/address";
import { zone } from "../state/preferences";
import { EARLIER, type Earlier, range_ms, type RangeName, RANGES, type View } from "../state/view";
import { window_text } from "../words/format";
import { words } from "../words/words";
import { Badge, Choice } from "./basics";

const DEFAULT_RANGE: RangeName = "15m";

export interface Asked {
  from: number;
  until: number;
  /** The end moves. */
  live: boolean;
  range: RangeName;
}

export function asked_of(view: View, now: number, otherwise: RangeName = DEFAULT_RANGE): Asked {
  const range = view.range ?? otherwise;
  if (view.from !== null && view.until !== null) return { from: view.from, until: view.until, live: false, range };
  return { from: now - range_ms(range), until: now, live: true, range };
}

/** A part of what is shown, in whole seconds. */
export function zoom(from: number, until: number): void {
  change({ from: Math.floor(from / 1000) * 1000, until: Math.ceil(until / 1000) * 1000 }, true);
}

/** Arrows move a range of the past, Escape goes back to now. */
export function useRangeKeys(asked: Asked): void {
  const { view } = address.value;
  useEffect(() => {
    const on_key = (event: KeyboardEvent) => {
      if (event.target instanceof Element && event.target.closest("input, textarea, select, dialog, details[open], .table-scroll, [role=grid]")) return;
      const width = asked.until - asked.from;
      const moved = event.key === "ArrowLeft" ? -width / 2 : event.key === "ArrowRight" && !asked.live ? width / 2 : null;
      if (event.key === "Escape" && !asked.live) change({ from: null, until: null }, true);
      else if (moved !== null && !event.altKey && !event.ctrlKey && !event.metaKey) {
        if (asked.until + moved >= Date.now()) change({ from: null, until: null }, true);
        else change({ from: Math.round(asked.from + moved), until: Math.round(asked.until + moved) }, true);
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", on_key);
    return () => removeEventListener("keydown", on_key);
  }, [view.from, view.until, view.range]);
}

export function RangeChoice({ asked }: { asked: Asked }) {
  const w = words.value;
  return (
    <>
      <Choice label={w.range} value={asked.live ? asked.range : null} choose={(value) => change({ range: value, from: null, until: null }, true)} options={RANGES.map((value) => ({ value, text: value }))} />
      {!asked.live && (
        <span class="history-range">
          <Badge mark="quiet">{w.history}</Badge>
          <span class="number">{window_text(asked.from, asked.until, zone.value, Date.now())}</span>
          <button type="button" class="button" onClick={() => change({ from: null, until: null }, true)}>{w.back_to_now} <kbd>Esc</kbd></button>
        </span>
      )}
    </>
  );
}

/** "24 h before". */
export function before_text(earlier: Earlier): string {
  return words.value.before(earlier.replace(/\D/, " $&"));
}

/** With what an earlier time was like. */
export function EarlierChoice() {
  const w = words.value;
  return (
    <label class="select"><span>{w.compare}</span>
      <select value={address.value.view.earlier ?? ""} onChange={(event) => change({ earlier: (event.currentTarget.value || null) as Earlier | null })}>
        <option value="">{w.compare_none}</option>
        {EARLIER.map((value) => <option key={value} value={value}>{before_text(value)}</option>)}
      </select>
    </label>
  );
}

// An earlier time beside what is shown: asked once, as it does not change any more.
import { useMemo } from "preact/hooks";
import type { Feed, Span } from "../api/feed";
import type { ResultWindow } from "../api/window_store";
import { type EarlierLine, earlier_lines, earlier_span, shift_of } from "../charts/comparison";
import type { Picture } from "../charts/series";
import { EarlierSwatch } from "../charts/time_chart";
import { address } from "../state/address";
import { words } from "../words/words";
import { useFeed } from "./held";
import { type Asked, before_text } from "./range";

export interface EarlierShown {
  label: string;
  lines: EarlierLine[];
  shift_ms: number;
}

/**
 * @param feed     of a span that is over
 * @param draw     as what is shown is drawn from windows
 * @param stacked  the total is compared, else each line
 * @param keys     of what `feed` and `draw` depend on, beside the range
 */
export function useEarlier(picture: Picture, asked: Asked, stacked: boolean, feed: (span: { from: number; until: number }) => Feed, draw: (windows: readonly ResultWindow[]) => Picture, keys: readonly unknown[]): EarlierShown | null {
  const { earlier, range, from, until } = address.value.view;
  const width = asked.until - asked.from;
  // A chart that goes on has a whole range ahead: then more of it is asked for.
  const turn = asked.live ? Math.floor(asked.until / width) : 0;
  const state = useFeed(() => {
    if (earlier === null) return null;
    const span: Span = earlier_span(asked, earlier, Date.now());
    return feed({ from: span.from, until: span.until! });
  }, [earlier, range, from, until, turn, ...keys]);
  const windows = state?.windows;
  const before = useMemo(() => (windows ? draw(windows) : null), [windows, ...keys]);
  return useMemo(() => {
    if (earlier === null || before === null) return null;
    const shift_ms = shift_of(earlier);
    return { label: before_text(earlier), lines: earlier_lines(picture, before, shift_ms, stacked), shift_ms };
  }, [picture, before, earlier, stacked, words.value]);
}

/** Items of a legend. */
export function EarlierLegend({ picture, earlier }: { picture: Picture; earlier: EarlierShown }) {
  const [first] = earlier.lines;
  if (!first) return null;
  // Lines have their own colours: one dash explains all.
  return <li key={picture.lines.length}><EarlierSwatch index={first.line} />{earlier.label}</li>;
}

// What an earlier time was like, laid over what is shown. Pure.
import type { Earlier } from "../state/view";
import { range_ms } from "../state/view";
import { type Picture, total_of } from "./series";
import type { Span } from "../api/feed";

/** A line of an earlier time. */
export interface EarlierLine {
  /** Of the picture's lines, the one that it is of; null: the total. */
  line: number | null;
  /** One for each of the picture's times. */
  values: (number | null)[];
}

export function shift_of(earlier: Earlier): number {
  return range_ms(earlier);
}

/** The range moved back; its end is a whole range later, so that a chart that goes on finds what it needs. */
export function earlier_span(span: { from: number; until: number; live: boolean }, earlier: Earlier, now: number): Span {
  const shift = shift_of(earlier), ahead = span.live ? span.until - span.from : 0;
  return { from: span.from - shift, until: Math.min(span.until - shift + ahead, now) };
}

/**
 * The total where the picture is a stack, or has one; else each line, by its label. An earlier window's value stands where
 * the middle of a window, moved back, lies in it: windows of averages are longer. Where there was none nothing is drawn.
 */
export function earlier_lines(picture: Picture, before: Picture, shift_ms: number, stacked: boolean): EarlierLine[] {
  // Of windows that are in order, the one that holds a time.
  let at = 0;
  const places = picture.times.map((time) => {
    const moved = time * 1000 - shift_ms;
    while (at < before.windows.length && (before.windows[at] === null || before.windows[at]!.end! <= moved)) ++at;
    const window = before.windows[at];
    return window && window.start! <= moved ? at : null;
  });
  const taken = (value: (at: number) => number | null | undefined) => places.map((place) => (place === null ? null : (value(place) ?? null)));
  if (stacked) return picture.whole && before.whole ? [{ line: null, values: taken((place) => total_of(before, place)) }] : [];
  return picture.lines.flatMap((line, i): EarlierLine[] => {
    const same = before.lines.find((each) => (line.other ? each.other : !each.other && each.label === line.label));
    return same ? [{ line: i, values: taken((place) => same.values[place]) }] : [];
  });
}

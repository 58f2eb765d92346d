// The table twin of a chart over time: the same values, newest first.
import { useState } from "preact/hooks";
import type { EarlierLine } from "../charts/comparison";
import { type Picture, total_of } from "../charts/series";
import { earlier_label } from "../charts/time_chart";
import { zone } from "../state/preferences";
import { window_text, with_unit } from "../words/format";
import { words } from "../words/words";

const STEP = 30;

export function SeriesTable({ picture, unit, caption, earlier }: { picture: Picture; unit: string; caption: string; earlier?: { label: string; lines: readonly EarlierLine[] } | undefined }) {
  const w = words.value;
  const [count, set_count] = useState(STEP);
  const now = Date.now();
  const places = picture.times.map((_, i) => i).reverse();
  const several = picture.whole && picture.lines.length > 1;
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label={caption}>
      <table class="data">
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">{w.window}</th>
            {picture.lines.map((line) => <th scope="col" class="number" key={line.label}>{line.other ? w.other : line.label}</th>)}
            {several && <th scope="col" class="number">{w.total}</th>}
            {earlier?.lines.map(({ line }) => <th scope="col" class="number" key={line}>{earlier_label(picture, line, earlier.label)}</th>)}
          </tr>
        </thead>
        <tbody>
          {places.slice(0, count).map((at) => {
            const window = picture.windows[at];
            if (!window) return <tr key={picture.times[at]} class="no-data"><td colSpan={picture.lines.length + 2 + (earlier?.lines.length ?? 0)}>{w.no_data}</td></tr>;
            const total = total_of(picture, at);
            return (
              <tr key={picture.times[at]}>
                <th scope="row">
                  {window_text(window.start!, window.end!, zone.value, now)}
                  {!window.complete && <span class="cell-warning">{window.sites_missing.length > 0 ? w.incomplete_without(window.sites_missing.join(", ")) : w.incomplete}</span>}
                </th>
                {picture.lines.map((line) => {
                  const value = line.values[at], margin = line.margins?.[at];
                  return <td class={`number${value == null ? " none" : ""}`} key={line.label}>{value == null ? w.no_data : with_unit(value, unit, w.locale)}{margin != null && <small> ± {with_unit(margin, unit, w.locale)}</small>}</td>;
                })}
                {several && <td class="number">{total === null ? w.no_data : with_unit(total, unit, w.locale)}</td>}
                {earlier?.lines.map(({ line, values }) => {
                  const value = values[at];
                  return <td class={`number${value == null ? " none" : ""}`} key={line}>{value == null ? w.no_data : with_unit(value, unit, w.locale)}</td>;
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
      {places.length > count && <button type="button" class="button more" onClick={() => set_count(count + 10 * STEP)}>{w.show_more}</button>}
    </div>
  );
}

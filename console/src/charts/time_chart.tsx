// Values over time on a canvas (uPlot). Knows pictures, nothing of queries.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { dark, zone } from "../state/preferences";
import { time_of_day, window_text, with_unit } from "../words/format";
import { words } from "../words/words";
import type { EarlierLine } from "./comparison";
import { DASHES, other_colour, series_colour } from "./colours";
import { type Picture, stacked, total_of } from "./series";

export interface TimeChartProps {
  picture: Picture;
  kind: "area" | "lines";
  unit: string;
  /** ms: what the axis spans, whether there is data or not. */
  from: number;
  until: number;
  height: number;
  /** For who does not see it. */
  summary: string;
  /** Lines across, of values as they are shown: thresholds. */
  levels?: readonly number[];
  /** What an earlier time was like, thin and dashed. */
  earlier?: { label: string; lines: readonly EarlierLine[] };
  /** A part was chosen by dragging, ms. Without it nothing can be chosen. */
  on_select?: (from: number, until: number) => void;
}

interface Hover {
  at: number;
  left: number;
}

/** Three of four pixels left out: "this is less sure than the rest". */
function hatch(context: CanvasRenderingContext2D, colour: string, apart: number): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = tile.height = apart;
  const draw = tile.getContext("2d")!;
  draw.strokeStyle = colour;
  draw.lineWidth = apart / 5;
  draw.beginPath();
  for (const shift of [-apart, 0, apart]) {
    draw.moveTo(shift, apart);
    draw.lineTo(shift + apart, 0);
  }
  draw.stroke();
  return context.createPattern(tile, "repeat") ?? colour;
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Only what is certain, or only what is not: with the point before it, so that the two meet. */
function split(values: (number | null)[], open: readonly boolean[], wanted: boolean): (number | null)[] {
  return values.map((value, i) => (open[i] === wanted || (wanted && open[i + 1] === true) ? value : null));
}

const EARLIER_DASH = [5, 4];

interface Laid {
  data: uPlot.AlignedData;
  series: uPlot.Series[];
  bands: uPlot.Band[];
}

function lay_out({ picture, kind, earlier }: TimeChartProps, is_dark: boolean): Laid {
  const open = picture.windows.map((window) => window !== null && window.open);
  const data: (number | null)[][] = [picture.times];
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const add = (values: (number | null)[], options: uPlot.Series) => {
    data.push(values);
    series.push({ points: { show: few_points }, spanGaps: false, ...options });
    return data.length - 1;
  };
  const colour = (i: number) => (picture.lines[i]!.other ? other_colour(is_dark) : series_colour(i, is_dark));
  if (kind === "area") {
    const sums = stacked(picture.lines);
    let below = 0;
    sums.forEach((values, i) => {
      const fill = picture.lines[i]!.other
        ? (plot: uPlot) => hatch(plot.ctx, `${colour(i)}a0`, 8) as string
        : () => colour(i) + (is_dark ? "b8" : "c8");
      const at = add(values, { stroke: colour(i), width: 1, ...(i === 0 ? { fill } : {}) });
      if (i > 0) bands.push({ series: [at, below], fill: fill as uPlot.Band["fill"] & {} });
      below = at;
    });
    const top = sums[sums.length - 1];
    if (top && open.includes(true)) add(split(top, open, true), { stroke: token("--text"), width: 1.5, dash: [3, 3] });
  } else {
    picture.lines.forEach((line, i) => {
      if (line.margins) {
        const margins = line.margins;
        const edge = (sign: number) => line.values.map((value, at) => (value === null || margins[at] == null ? null : value + sign * margins[at]!));
        const upper = add(edge(1), { stroke: "transparent", width: 0, points: { show: false } });
        const lower = add(edge(-1), { stroke: "transparent", width: 0, points: { show: false } });
        bands.push({ series: [upper, lower], fill: colour(i) + "38" });
      }
      const dash = picture.lines.length > 1 ? DASHES[i % DASHES.length]! : [];
      add(split(line.values, open, false), { stroke: colour(i), width: 1.75, dash });
      if (open.includes(true)) add(split(line.values, open, true), { stroke: colour(i), width: 1.75, dash: [2, 3] });
    });
  }
  for (const { line, values } of earlier?.lines ?? []) {
    add(values, { stroke: line === null ? token("--text") : colour(line), width: 1, dash: EARLIER_DASH });
  }
  return { data: data as uPlot.AlignedData, series, bands };
}

/** Points are shown where lines would be hard to see: a single window between two gaps, or few of them. */
const few_points = (plot: uPlot, series: number, first: number, last: number): boolean => {
  if (last - first < 3) return true;
  const values = plot.data[series]!;
  for (let i = first; i <= last; ++i) if (values[i] != null && values[i - 1] == null && values[i + 1] == null) return true;
  return false;
};

/** Windows that are not whole: a band behind the lines, and a mark at the top. */
function draw_incomplete(plot: uPlot, picture: Picture): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const colour = token("--warning");
  const fill = hatch(ctx, `${colour}70`, 10);
  for (const window of picture.windows) {
    if (!window || window.complete) continue;
    const left = plot.valToPos(window.start! / 1000, "x", true), right = plot.valToPos(window.end! / 1000, "x", true);
    ctx.fillStyle = fill;
    ctx.fillRect(left, bbox.top, Math.max(right - left, 2), bbox.height);
    ctx.fillStyle = colour;
    ctx.fillRect(left, bbox.top, Math.max(right - left, 2), 3 * devicePixelRatio);
  }
  ctx.restore();
}

/** Lines that a value is compared with. */
function draw_levels(plot: uPlot, levels: readonly number[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = token("--bad");
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  for (const level of levels) {
    const y = plot.valToPos(level, "y", true);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

export function TimeChart(props: TimeChartProps) {
  const { picture, kind, unit, from, until, height, summary, earlier } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const made_as = useRef("");
  const latest = useRef(props);
  latest.current = props;
  const [hover, set_hover] = useState<Hover | null>(null);
  const is_dark = dark.value;
  const locale = words.value.locale;
  const open = picture.windows.some((window) => window?.open === true);
  // All that cannot be changed by new data alone.
  const make = [kind, unit, zone.value, is_dark, locale, open, height, props.on_select !== undefined, earlier?.label, ...(earlier?.lines ?? []).map(({ line }) => line), ...picture.lines.map((line) => line.label + (line.margins ? "±" : ""))].join("|");

  useEffect(() => {
    const element = host.current!;
    const { data, series, bands } = lay_out(latest.current, is_dark);
    const muted = token("--muted"), grid = token("--grid");
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: muted, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const options: uPlot.Options = {
      width: element.clientWidth, height, series, bands,
      legend: { show: false },
      padding: [10, 26, 0, 0],
      scales: {
        x: { time: true, range: () => [latest.current.from / 1000, latest.current.until / 1000] },
        y: { range: (_, __, high) => {
          const top = Math.max(high ?? 0, ...(latest.current.levels ?? []));
          return [0, top > 0 ? top * 1.08 : 1];
        } },
      },
      axes: [
        { ...axis, size: 30, gap: 9, space: 70, values: (_, splits, __, ___, step) => splits.map((at) => {
          const text = time_of_day(at * 1000, zone.value);
          return step < 60 ? text : step >= 86_400 ? window_text(at * 1000, at * 1000, zone.value, 0).slice(5, 10) : text.slice(0, 5);
        }) },
        { ...axis, size: 76, space: 34, values: (_, splits) => splits.map((value) => with_unit(value, unit, locale)) },
      ],
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: latest.current.on_select !== undefined, y: false, setScale: false },
      },
      hooks: {
        drawClear: [(drawn) => draw_incomplete(drawn, latest.current.picture)],
        draw: [(drawn) => draw_levels(drawn, latest.current.levels ?? [])],
        setCursor: [(drawn) => {
          const { idx, left } = drawn.cursor;
          set_hover(idx == null || left == null || left < 0 ? null : { at: idx, left: left + drawn.bbox.left / devicePixelRatio });
        }],
        setSelect: [(drawn) => {
          const { left, width } = drawn.select;
          if (width < 8) return;
          latest.current.on_select?.(drawn.posToVal(left, "x") * 1000, drawn.posToVal(left + width, "x") * 1000);
          drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    };
    if (zone.value === "utc") options.tzDate = (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC");
    const made = (plot.current = new uPlot(options, data, element));
    made_as.current = make;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [make]);

  // With the elements around it: one frame for both. What is about to be made anew is made of the new data.
  useLayoutEffect(() => {
    if (made_as.current === make) plot.current?.setData(lay_out(props, is_dark).data);
  }, [picture, earlier, from, until]);

  return (
    <div class="time-chart" role="img" aria-label={summary}>
      <div ref={host} class="time-chart-canvas" />
      {hover && <Tooltip picture={picture} kind={kind} unit={unit} hover={hover} earlier={earlier} width={host.current?.clientWidth ?? 0} />}
    </div>
  );
}

function Tooltip({ picture, kind, unit, hover, earlier, width }: { picture: Picture; kind: "area" | "lines"; unit: string; hover: Hover; earlier: TimeChartProps["earlier"]; width: number }) {
  const w = words.value;
  const window = picture.windows[hover.at];
  const at_right = hover.left > width / 2;
  const style = at_right ? { right: `${width - hover.left + 14}px` } : { left: `${hover.left + 14}px` };
  if (!window) return null;
  const total = total_of(picture, hover.at);
  return (
    <div class="tooltip" style={style} aria-hidden="true">
      <div class="tooltip-title">{window_text(window.start!, window.end!, zone.value, Date.now())}</div>
      {!window.complete && <div class="tooltip-warning">{window.sites_missing.length > 0 ? w.incomplete_without(window.sites_missing.join(", ")) : w.incomplete}</div>}
      {window.open && <div class="tooltip-note">{w.open_window}</div>}
      <table>
        <tbody>
          {picture.lines.map((line, i) => {
            const value = line.values[hover.at];
            const margin = line.margins?.[hover.at];
            return (
              <tr key={line.label}>
                <td><Swatch index={i} other={line.other} /></td>
                <td>{line.other ? w.other : line.label}</td>
                <td class="number">{value == null ? w.no_data : with_unit(value, unit, w.locale)}{margin != null && ` ± ${with_unit(margin, unit, w.locale)}`}</td>
              </tr>
            );
          })}
          {kind === "area" && picture.whole && picture.lines.length > 1 && (
            <tr class="tooltip-total"><td /><td>{w.total}</td><td class="number">{total === null ? w.no_data : with_unit(total, unit, w.locale)}</td></tr>
          )}
          {earlier?.lines.map(({ line, values }) => {
            const value = values[hover.at];
            return (
              <tr key={`earlier ${line}`} class="tooltip-note">
                <td><EarlierSwatch index={line} /></td>
                <td>{earlier_label(picture, line, earlier.label)}</td>
                <td class="number">{value == null ? w.no_data : with_unit(value, unit, w.locale)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** "24h before" of a total; of a line its name, too. */
export function earlier_label(picture: Picture, line: number | null, label: string): string {
  const of = line === null ? null : picture.lines[line];
  return !of || picture.lines.length === 1 ? label : `${of.other ? words.value.other : of.label}, ${label}`;
}

export function EarlierSwatch({ index }: { index: number | null }) {
  const colour = index === null ? "var(--text)" : series_colour(index, dark.value);
  return (
    <svg class="swatch-earlier" viewBox="0 0 14 4" aria-hidden="true"><path d="M0 2H14" stroke={colour} stroke-width="1.5" stroke-dasharray="4 2" /></svg>
  );
}

export function Swatch({ index, other = false }: { index: number; other?: boolean }) {
  const colour = other ? other_colour(dark.value) : series_colour(index, dark.value);
  return <span class={`swatch${other ? " swatch-other" : ""}`} style={{ backgroundColor: colour }} aria-hidden="true" />;
}

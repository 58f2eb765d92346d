// Who sends to whom as bands: a Sankey of two sides, and a chord of few that send to each other.
import { dark } from "../state/preferences";
import { with_unit } from "../words/format";
import { words } from "../words/words";
import { other_colour, series_colour } from "./colours";
import { type Arc, lay_chord, lay_sankey, type Link } from "./flow_layout";
import { useWidth } from "./width";

const NODE_WIDTH = 12;
const LABEL_WIDTH = 130;
/** Labels of lower nodes would lie on each other. */
const LABELLED_HEIGHT = 9;

export interface PickableLink extends Link {
  row: number | null;
  column: number | null;
}

interface Shown {
  unit: string;
  summary: string;
  on_pick: (row: number, column: number, element: Element) => void;
}

export function SankeyChart({ links, other, unit, summary, on_pick }: Shown & { links: readonly PickableLink[]; other: string }) {
  const w = words.value;
  const { element, width } = useWidth(600);
  const rows = new Set(links.map((link) => link.from)).size, columns = new Set(links.map((link) => link.to)).size;
  const height = Math.max(300, Math.min(900, Math.max(rows, columns) * 26));
  const { left, right, bands } = lay_sankey(links, height, 8, other);
  const label_width = Math.min(LABEL_WIDTH, width * 0.24);
  const x0 = label_width + NODE_WIDTH, x1 = width - label_width - NODE_WIDTH, middle = (x0 + x1) / 2;
  const colour = new Map(left.map((node, i) => [node.name, series_colour(i, dark.value)]));
  const amount = (value: number) => with_unit(value, unit, w.locale);
  return (
    <figure ref={element}>
      <svg width={width} height={height + 8} role="group" aria-label={summary} data-picture="">
        <g transform="translate(0 4)">
          {bands.map(({ link, from_y, to_y, height: thick }) => {
            const path = `M${x0} ${from_y}C${middle} ${from_y} ${middle} ${to_y} ${x1} ${to_y}V${to_y + thick}C${middle} ${to_y + thick} ${middle} ${from_y + thick} ${x0} ${from_y + thick}Z`;
            const text = `${link.from} → ${link.to}: ${amount(link.value)}`;
            const fill = link.column === null ? other_colour(dark.value) : colour.get(link.from)!;
            const { row, column } = link;
            const pick = row === null || column === null ? null : (event: Event) => on_pick(row, column, event.currentTarget as Element);
            return (
              <path key={`${link.from}\n${link.to}`} d={path} fill={fill} fill-opacity={link.column === null ? 0.22 : 0.45} class="flow-band"
                {...(pick ? { role: "button", tabIndex: 0, "aria-label": text, onClick: pick, onKeyDown: (event: KeyboardEvent) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); pick(event); } } } : {})}>
                <title>{text}</title>
              </path>
            );
          })}
          {[left, right].map((side, s) => side.map((node) => (
            <g key={`${s}${node.name}`} aria-hidden="true">
              <rect x={s === 0 ? label_width : x1} y={node.y} width={NODE_WIDTH} height={Math.max(1, node.height)} rx={2} fill={node.name === other ? other_colour(dark.value) : s === 0 ? colour.get(node.name)! : "var(--muted)"}>
                <title>{`${node.name}: ${amount(node.value)}`}</title>
              </rect>
              {(node.height >= LABELLED_HEIGHT || side.length * 14 <= height) && (
                <text class="heatmap-label" x={s === 0 ? label_width - 6 : x1 + NODE_WIDTH + 6} y={node.y + node.height / 2 + 4} text-anchor={s === 0 ? "end" : "start"}>{node.name}</text>
              )}
            </g>
          )))}
        </g>
      </svg>
    </figure>
  );
}

const point = (radius: number, angle: number) => `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;
const sweep = (radius: number, { start, end }: Arc) => `A${radius} ${radius} 0 ${end - start > Math.PI ? 1 : 0} 1 ${point(radius, end)}`;

/** @param cells  what each of `names` sends to each; for few only */
export function ChordChart({ names, cells, unit, summary, on_pick }: Shown & { names: readonly string[]; cells: readonly (readonly number[])[] }) {
  const w = words.value;
  const { element, width } = useWidth(600);
  const size = Math.min(width, 560), radius = Math.max(60, size / 2 - 90);
  const { arcs, ribbons } = lay_chord(cells, 0.04);
  const amount = (value: number) => with_unit(value, unit, w.locale);
  return (
    <figure ref={element}>
      <svg width={width} height={size} role="group" aria-label={summary} data-picture="">
        <g transform={`translate(${width / 2} ${size / 2})`}>
          {ribbons.map(({ from, to, value, back, source, target }) => {
            const path = `M${point(radius, source.start)}${sweep(radius, source)}Q0 0 ${point(radius, target.start)}${sweep(radius, target)}Q0 0 ${point(radius, source.start)}Z`;
            const text = from === to ? `${names[from]} → ${names[to]}: ${amount(value)}` : `${names[from]} → ${names[to]}: ${amount(value)}; ${names[to]} → ${names[from]}: ${amount(back)}`;
            const pick = (event: Event) => (value >= back ? on_pick(from, to, event.currentTarget as Element) : on_pick(to, from, event.currentTarget as Element));
            return (
              <path key={`${from},${to}`} d={path} fill={series_colour(value >= back ? from : to, dark.value)} fill-opacity={0.5} class="flow-band" role="button" tabIndex={0} aria-label={text} onClick={pick}
                onKeyDown={(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); pick(event); } }}>
                <title>{text}</title>
              </path>
            );
          })}
          {arcs.map((arc, i) => {
            // Along the radius, so that those of small nodes do not lie on each other.
            const angle = (arc.start + arc.end) / 2, right = angle < Math.PI;
            const turn = (angle * 180) / Math.PI - 90;
            return (
              <g key={names[i]} aria-hidden="true">
                <path d={`M${point(radius + 3, arc.start)}${sweep(radius + 3, arc)}L${point(radius + 12, arc.end)}A${radius + 12} ${radius + 12} 0 ${arc.end - arc.start > Math.PI ? 1 : 0} 0 ${point(radius + 12, arc.start)}Z`} fill={series_colour(i, dark.value)} />
                <text class="heatmap-label" transform={`rotate(${turn}) translate(${radius + 18} 0)${right ? "" : " rotate(180)"}`} y={4} text-anchor={right ? "start" : "end"}>{names[i]}</text>
              </g>
            );
          })}
        </g>
      </svg>
    </figure>
  );
}

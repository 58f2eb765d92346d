// A matrix as SVG: rows send to columns, colour by the logarithm of the amount.
import { useState } from "preact/hooks";
import { short, with_unit } from "../words/format";
import { words } from "../words/words";
import { viridis } from "./colours";
import type { Matrix } from "./series";
import { useWidth } from "./width";

const LABEL_WIDTH = 72;
const LABEL_HEIGHT = 58;
/** What a slanted label of the last column needs beside it; totals of rows stand there, too. */
const RIGHT = 30;
const TOTALS = 66;
const TOTAL_WIDTH = 40;
/** Cells from this width on have their value written into them. */
const WRITTEN_WIDTH = 52;
/** Labels need so much; of narrower cells every second or fourth has one. */
const LABEL_SPACE = 13;

export interface HeatmapProps {
  matrix: Matrix;
  unit: string;
  /** For who does not see it. */
  summary: string;
  /** What the rows and columns are. */
  label: string;
  /** At most; narrow cells are lower. */
  cell_height: number;
  /** Of whole rows, beside them. Null: not known. */
  row_totals?: readonly (number | null)[];
  /** Of whole columns, below them where there is room. */
  column_totals?: readonly (number | null)[];
  /** A cell was chosen: the picture is then a grid that arrow keys walk through. */
  on_pick?: (row: number, column: number, cell: Element) => void;
}

export function Heatmap(props: HeatmapProps) {
  const { matrix, unit, summary, label, row_totals, column_totals, on_pick } = props;
  const w = words.value;
  const { element, width } = useWidth(400);
  const [active, set_active] = useState({ row: 0, column: 0 });
  const values = matrix.cells.flat().filter((value): value is number => value !== null && value > 0);
  const low = Math.log(Math.min(...values)), high = Math.log(Math.max(...values));
  const share = (value: number) => (value <= 0 ? 0 : high > low ? (Math.log(value) - low) / (high - low) : 1);
  const right = row_totals ? TOTALS : RIGHT;
  const cell_width = Math.max(4, (width - LABEL_WIDTH - right) / Math.max(matrix.columns.length, 1));
  const cell_height = Math.min(props.cell_height, Math.max(on_pick ? 12 : 20, cell_width * (on_pick ? 1 : 2)));
  const gap = cell_width < 14 ? 1 : 2;
  const body = LABEL_HEIGHT + cell_height * matrix.rows.length;
  const sums_below = column_totals && cell_width >= TOTAL_WIDTH;
  const height = body + (sums_below ? 18 : 0);
  const every = Math.max(1, Math.ceil(LABEL_SPACE / cell_width)), every_row = Math.max(1, Math.ceil(LABEL_SPACE / cell_height));
  // The one that Tab comes to; it stays within a matrix that has become smaller.
  const at = { row: Math.min(active.row, matrix.rows.length - 1), column: Math.min(active.column, matrix.columns.length - 1) };
  const text_of = (r: number, c: number) => {
    const value = matrix.cells[r]![c] ?? null;
    return `${matrix.rows[r]} → ${matrix.columns[c]}: ${value === null ? w.no_data : with_unit(value, unit, w.locale)}`;
  };
  const on_key = (event: KeyboardEvent) => {
    const rows = matrix.rows.length - 1, columns = matrix.columns.length - 1;
    const next = {
      ArrowLeft: { ...at, column: at.column - 1 }, ArrowRight: { ...at, column: at.column + 1 },
      ArrowUp: { ...at, row: at.row - 1 }, ArrowDown: { ...at, row: at.row + 1 },
      Home: event.ctrlKey ? { row: 0, column: 0 } : { ...at, column: 0 }, End: event.ctrlKey ? { row: rows, column: columns } : { ...at, column: columns },
    }[event.key];
    const svg = event.currentTarget as SVGSVGElement;
    const cell = (row: number, column: number) => svg.querySelector<SVGElement>(`[data-cell="${row},${column}"]`);
    if (next) {
      const moved = { row: Math.max(0, Math.min(rows, next.row)), column: Math.max(0, Math.min(columns, next.column)) };
      set_active(moved);
      cell(moved.row, moved.column)?.focus();
    } else if (event.key === "Enter" || event.key === " ") on_pick?.(at.row, at.column, cell(at.row, at.column)!);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const grid = on_pick ? { role: "grid" as const, onKeyDown: on_key } : { role: "img" as const };
  return (
    <figure class="heatmap" ref={element}>
      <svg width={width} height={height} data-picture="" aria-label={summary} {...grid}>
        <g role={on_pick && "row"}>
          {matrix.columns.map((name, c) => (
            <text key={name} role={on_pick && "columnheader"} aria-label={on_pick && name} class="heatmap-label" transform={`translate(${LABEL_WIDTH + (c + 0.5) * cell_width + 2} ${LABEL_HEIGHT - 6}) rotate(-55)`}>{c % every === 0 ? name : ""}</text>
          ))}
        </g>
        {matrix.rows.map((name, r) => (
          <g key={name} role={on_pick && "row"} transform={`translate(0 ${LABEL_HEIGHT + r * cell_height})`}>
            <text role={on_pick && "rowheader"} aria-label={on_pick && name} class="heatmap-label" x={LABEL_WIDTH - 8} y={cell_height / 2 + 3} text-anchor="end">{r % every_row === 0 ? name : ""}</text>
            {matrix.cells[r]!.map((value, c) => {
              const x = LABEL_WIDTH + c * cell_width;
              const picked = on_pick && {
                role: "gridcell" as const, tabIndex: at.row === r && at.column === c ? 0 : -1, "data-cell": `${r},${c}`, "aria-label": text_of(r, c),
                onFocus: () => set_active({ row: r, column: c }),
                onClick: (event: MouseEvent) => on_pick(r, c, event.currentTarget as Element),
              };
              return (
                <g key={matrix.columns[c]} role={on_pick && "presentation"}>
                  <rect x={x} width={Math.max(1, cell_width - gap)} height={cell_height - gap} rx={cell_width < 14 ? 1 : 3} class={`${value === null ? "heatmap-none" : "heatmap-cell"}${on_pick ? " heatmap-pick" : ""}`} {...(value === null ? {} : { fill: viridis(share(value)) })} {...picked}>
                    <title>{text_of(r, c)}</title>
                  </rect>
                  {value !== null && cell_width >= WRITTEN_WIDTH && (
                    <text class="heatmap-value" aria-hidden={on_pick && "true"} x={x + cell_width / 2 - 1} y={cell_height / 2 + 3} text-anchor="middle" fill={share(value) > 0.55 ? "#10141a" : "#ffffff"}>{short(value, w.locale)}</text>
                  )}
                </g>
              );
            })}
            {row_totals && r % every_row === 0 && row_totals[r] != null && (
              <text class="heatmap-label" aria-hidden="true" x={width - 2} y={cell_height / 2 + 3} text-anchor="end">{short(row_totals[r]!, w.locale)}</text>
            )}
          </g>
        ))}
        {sums_below && (
          <g aria-hidden="true">
            {column_totals.map((value, c) => value !== null && (
              <text key={matrix.columns[c]} class="heatmap-label" x={LABEL_WIDTH + (c + 0.5) * cell_width - 1} y={body + 13} text-anchor="middle">{short(value, w.locale)}</text>
            ))}
          </g>
        )}
      </svg>
      {values.length > 0 && (
        <figcaption class="heatmap-scale">
          <span>{label}</span>
          <span class="heatmap-ends">
            {with_unit(Math.exp(low), unit, w.locale)}
            <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
              {Array.from({ length: 25 }, (_, i) => <rect key={i} x={i * 4} width={4.2} height={8} fill={viridis(i / 24)} />)}
            </svg>
            {with_unit(Math.exp(high), unit, w.locale)}
          </span>
        </figcaption>
      )}
    </figure>
  );
}

// A matrix as SVG: rows send to columns, colour by the logarithm of the amount.
import { words } from "../words/words";
import { with_unit } from "../words/format";
import { viridis } from "./colours";
import type { Matrix } from "./series";

const CELL_HEIGHT = 24;
const LABEL_WIDTH = 76;
const LABEL_HEIGHT = 64;
const WIDTH = 640;

export function Heatmap({ matrix, unit, summary, label }: { matrix: Matrix; unit: string; summary: string; label: string }) {
  const { locale } = words.value;
  const values = matrix.cells.flat().filter((value): value is number => value !== null && value > 0);
  const low = Math.log(Math.min(...values)), high = Math.log(Math.max(...values));
  const share = (value: number) => (high > low ? (Math.log(value) - low) / (high - low) : 1);
  const cell_width = (WIDTH - LABEL_WIDTH) / Math.max(matrix.columns.length, 1);
  const height = LABEL_HEIGHT + CELL_HEIGHT * matrix.rows.length;
  return (
    <figure class="heatmap">
      <svg viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={summary}>
        {matrix.columns.map((name, c) => (
          <text key={name} class="heatmap-label" transform={`translate(${LABEL_WIDTH + (c + 0.5) * cell_width + 3} ${LABEL_HEIGHT - 6}) rotate(-55)`}>{name}</text>
        ))}
        {matrix.rows.map((name, r) => (
          <g key={name} transform={`translate(0 ${LABEL_HEIGHT + r * CELL_HEIGHT})`}>
            <text class="heatmap-label" x={LABEL_WIDTH - 8} y={CELL_HEIGHT / 2 + 4} text-anchor="end">{name}</text>
            {matrix.cells[r]!.map((value, c) => (
              <rect key={matrix.columns[c]} x={LABEL_WIDTH + c * cell_width} y={0} width={cell_width - 2} height={CELL_HEIGHT - 2} rx={3}
                class={value === null ? "heatmap-none" : "heatmap-cell"} {...(value === null ? {} : { fill: value > 0 ? viridis(share(value)) : viridis(0) })}>
                <title>{`${name} → ${matrix.columns[c]}: ${value === null ? words.value.no_data : with_unit(value, unit, locale)}`}</title>
              </rect>
            ))}
          </g>
        ))}
      </svg>
      {values.length > 0 && (
        <figcaption class="heatmap-scale">
          <span>{label}</span>
          <span class="heatmap-ends">
            {with_unit(Math.exp(low), unit, locale)}
            <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
              {Array.from({ length: 25 }, (_, i) => <rect key={i} x={i * 4} width={4.2} height={8} fill={viridis(i / 24)} />)}
            </svg>
            {with_unit(Math.exp(high), unit, locale)}
          </span>
        </figcaption>
      )}
    </figure>
  );
}

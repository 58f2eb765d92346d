// A matrix as SVG: rows send to columns, colour by the logarithm of the amount.
import { useEffect, useRef, useState } from "preact/hooks";
import { short, with_unit } from "../words/format";
import { words } from "../words/words";
import { viridis } from "./colours";
import type { Matrix } from "./series";

const LABEL_WIDTH = 72;
const LABEL_HEIGHT = 58;
/** What a slanted label of the last column needs beside it. */
const RIGHT = 30;
/** Cells from this width on have their value written into them. */
const WRITTEN_WIDTH = 52;

/** Of an element, in CSS pixels, as it changes. */
export function useWidth(otherwise: number) {
  const element = useRef<HTMLElement>(null);
  const [width, set_width] = useState(otherwise);
  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (element.current && element.current.clientWidth > 0) set_width(element.current.clientWidth);
    });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return { element, width };
}

export interface HeatmapProps {
  matrix: Matrix;
  unit: string;
  /** For who does not see it. */
  summary: string;
  /** What the rows and columns are. */
  label: string;
  /** At most; narrow cells are lower. */
  cell_height: number;
}

export function Heatmap(props: HeatmapProps) {
  const { matrix, unit, summary, label } = props;
  const w = words.value;
  const { element, width } = useWidth(400);
  const values = matrix.cells.flat().filter((value): value is number => value !== null && value > 0);
  const low = Math.log(Math.min(...values)), high = Math.log(Math.max(...values));
  const share = (value: number) => (value <= 0 ? 0 : high > low ? (Math.log(value) - low) / (high - low) : 1);
  const cell_width = Math.max(4, (width - LABEL_WIDTH - RIGHT) / Math.max(matrix.columns.length, 1));
  const cell_height = Math.min(props.cell_height, Math.max(20, cell_width * 2));
  const height = LABEL_HEIGHT + cell_height * matrix.rows.length;
  return (
    <figure class="heatmap" ref={element}>
      <svg width={width} height={height} role="img" aria-label={summary}>
        {matrix.columns.map((name, c) => (
          <text key={name} class="heatmap-label" transform={`translate(${LABEL_WIDTH + (c + 0.5) * cell_width + 2} ${LABEL_HEIGHT - 6}) rotate(-55)`}>{name}</text>
        ))}
        {matrix.rows.map((name, r) => (
          <g key={name} transform={`translate(0 ${LABEL_HEIGHT + r * cell_height})`}>
            <text class="heatmap-label" x={LABEL_WIDTH - 8} y={cell_height / 2 + 3} text-anchor="end">{name}</text>
            {matrix.cells[r]!.map((value, c) => {
              const x = LABEL_WIDTH + c * cell_width;
              const text = value === null ? w.no_data : with_unit(value, unit, w.locale);
              return (
                <g key={matrix.columns[c]}>
                  <rect x={x} width={cell_width - 2} height={cell_height - 2} rx={3} class={value === null ? "heatmap-none" : "heatmap-cell"} {...(value === null ? {} : { fill: viridis(share(value)) })}>
                    <title>{`${name} → ${matrix.columns[c]}: ${text}`}</title>
                  </rect>
                  {value !== null && cell_width >= WRITTEN_WIDTH && (
                    <text class="heatmap-value" x={x + cell_width / 2 - 1} y={cell_height / 2 + 3} text-anchor="middle" fill={share(value) > 0.55 ? "#10141a" : "#ffffff"}>{short(value, w.locale)}</text>
                  )}
                </g>
              );
            })}
          </g>
        ))}
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

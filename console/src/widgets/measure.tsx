// Which of a result's measures a page shows: what the address says of it.
import { heading_of } from "../charts/labels";
import type { Shape } from "../charts/shape";
import { change } from "../state/address";
import { words } from "../words/words";

/** Nothing, where there is nothing to choose. */
export function MeasureChoice({ shape, measure }: { shape: Shape; measure: string | null }) {
  if (shape.measures.length < 2) return null;
  return (
    <label class="select"><span>{words.value.measure}</span>
      <select value={measure ?? ""} onChange={(event) => change({ measure: event.currentTarget.value }, true)}>
        {shape.measures.map((column) => <option key={column.name} value={column.name}>{heading_of(column.name)}</option>)}
      </select>
    </label>
  );
}

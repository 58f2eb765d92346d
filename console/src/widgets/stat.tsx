import type { ComponentChildren } from "preact";
import type { Mark } from "./basics";

/** "60.8 Gbit/s" as a number and what goes smaller beside it. */
export function parts_of(text: string): { value: string; unit: string } {
  const at = text.indexOf(" ");
  return at < 0 ? { value: text, unit: "" } : { value: text.slice(0, at), unit: text.slice(at + 1) };
}

/** A figure that is seen from afar; of a list of definitions. */
export function Stat({ label, value, unit, note, mark }: { label: string; value: string; unit?: string; note?: ComponentChildren; mark?: Mark | undefined }) {
  return (
    <div class={`stat${mark ? ` stat-${mark}` : ""}`}>
      <dt>{label}</dt>
      <dd><span class="stat-value">{value}</span>{unit && <span class="stat-unit"> {unit}</span>}{note && <span class="stat-note">{note}</span>}</dd>
    </div>
  );
}

// Conditions that the address has, and a form for one more.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Column } from "../api/types";
import { OPERATORS, type Operator, operators_of, read_condition, with_condition } from "../charts/conditions";
import { address, change } from "../state/address";
import { explore_words } from "../words/explore";

export function Filters({ columns }: { columns: readonly Column[] }) {
  const e = explore_words.value;
  const { filters } = address.value.view;
  const usable = columns.filter((column) => !column.type.startsWith("timestamp") && column.type !== "interval" && column.stderr_of === undefined && !column.name.startsWith("_"));
  const [open, set_open] = useState(false);
  const [name, set_name] = useState(usable[0]?.name ?? "");
  const [operator, set_operator] = useState<Operator>("=");
  const [value, set_value] = useState("");
  const first = useRef<HTMLSelectElement>(null), opener = useRef<HTMLButtonElement>(null);
  const was_open = useRef(false);
  // What had the focus is gone, or is about to go: it stays nearby.
  useEffect(() => {
    if (open) first.current?.focus();
    else if (was_open.current) opener.current?.focus();
    was_open.current = open;
  }, [open]);
  const remove = (text: string) => {
    (opener.current ?? first.current)?.focus();
    change({ filters: filters.filter((each) => each !== text) }, true);
  };
  const column = usable.find((each) => each.name === name) ?? usable[0];
  if (!column) return null;
  const possible = operators_of(column);
  const chosen = possible.includes(operator) ? operator : possible[0]!;
  const add = (event: Event) => {
    event.preventDefault();
    if (value.trim() === "") return;
    // Typed as a text is, without quotes; digits of a number column stay digits.
    const quoted = column.type === "text" ? value : read_condition(`x = ${value.trim()}`)?.value ?? value.trim();
    change({ filters: with_condition(filters, { column: column.name, operator: chosen, value: quoted }) }, true);
    set_value("");
    set_open(false);
  };
  return (
    <div class="facets" role="group" aria-label={e.filters}>
      <span class="facets-title">{e.filters}</span>
      {filters.map((text) => (
        <span key={text} class="chip chip-filter">
          <code>{text}</code>
          <button type="button" class="chip-remove" aria-label={e.remove(text)} onClick={() => remove(text)}>×</button>
        </span>
      ))}
      {!open ? <button ref={opener} type="button" class="button" onClick={() => set_open(true)}>{e.add}</button> : (
        <form class="filter-form" onSubmit={add} onKeyDown={(event) => { if (event.key === "Escape") { event.stopPropagation(); set_open(false); } }}>
          <label class="select"><span class="visually-hidden">{e.column}</span>
            <select value={column.name} ref={first} onChange={(event) => set_name(event.currentTarget.value)}>
              {usable.map((each) => <option key={each.name} value={each.name}>{each.name}</option>)}
            </select>
          </label>
          <label class="select"><span class="visually-hidden">{e.operator}</span>
            <select value={chosen} onChange={(event) => set_operator(event.currentTarget.value as Operator)}>
              {OPERATORS.filter((each) => possible.includes(each)).map((each) => <option key={each} value={each}>{e.operators[each]}</option>)}
            </select>
          </label>
          <input aria-label={e.value} class="search filter-value" value={value} onInput={(event) => set_value(event.currentTarget.value)} />
          <button type="submit" class="button button-strong">{e.add_verb}</button>
        </form>
      )}
    </div>
  );
}

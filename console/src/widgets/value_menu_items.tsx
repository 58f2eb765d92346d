// What can be done with a value.
import { useEffect, useRef } from "preact/hooks";
import { heading_of, label_of } from "../charts/labels";
import { alert_statement, filtered, grouped } from "../charts/value_actions";
import { address, go } from "../state/address";
import { open_new_query } from "../state/draft";
import { may_operate, may_see } from "../state/session";
import { words } from "../words/words";
import { copy_text } from "./copy_text";
import { type Opened, opened } from "./value_menu";

function close(to_anchor: boolean): void {
  const anchor = opened.value?.anchor;
  opened.value = null;
  if (to_anchor && (anchor instanceof HTMLElement || anchor instanceof SVGElement)) anchor.focus();
}

const MENU_WIDTH = 250;
const MENU_HEIGHT = 240;

export function ValueMenuItems({ now }: { now: Opened }) {
  const menu = useRef<HTMLDivElement>(null);
  const w = words.value;
  useEffect(() => {
    menu.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const on_down = (event: PointerEvent) => {
      if (event.target instanceof Node && !menu.current?.contains(event.target)) close(false);
    };
    const on_moved = () => close(false);
    addEventListener("pointerdown", on_down);
    addEventListener("popstate", on_moved);
    addEventListener("resize", on_moved);
    return () => {
      removeEventListener("pointerdown", on_down);
      removeEventListener("popstate", on_moved);
      removeEventListener("resize", on_moved);
    };
  }, [now]);
  const { subject } = now;
  const text = subject.parts.map(({ column, value }) => label_of(column, value)).join(" → ");
  const alert = may_operate.value ? alert_statement(subject, w.value_alert_comment(subject.query)) : null;
  const act = (what: () => void) => () => {
    close(true);
    what();
  };
  const items: [string, () => void][] = [];
  if (may_see("explore")) {
    items.push([w.value_filter, act(() => go(filtered(address.value.view, subject, "=")))]);
    // Rows without one of several values are not the rows without the key.
    if (subject.parts.length === 1) items.push([w.value_exclude, act(() => go(filtered(address.value.view, subject, "!=")))]);
    items.push([w.value_group(subject.parts.map(({ column }) => heading_of(column.name)).join(", ")), act(() => go(grouped(address.value.view, subject)))]);
  }
  if (alert) items.push([w.value_alert, act(() => open_new_query(alert.text, alert.name))]);
  items.push([w.value_copy, act(() => void copy_text(subject.parts.map(({ value }) => String(value ?? "")).join("\t")))]);
  const on_key = (event: KeyboardEvent) => {
    const all = [...menu.current!.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: (at + 1) % all.length, ArrowUp: (at + all.length - 1) % all.length, Home: 0, End: all.length - 1 }[event.key];
    // Keys of the page stand still while the menu is open.
    event.stopPropagation();
    if (event.key === "Escape") close(true);
    else if (event.key === "Tab") close(true);
    else if (next !== undefined) all[next]?.focus();
    else return;
    event.preventDefault();
  };
  const style = { left: `${Math.max(8, Math.min(now.x, innerWidth - MENU_WIDTH - 8))}px`, top: `${Math.max(8, Math.min(now.y, innerHeight - MENU_HEIGHT - 8))}px` };
  return (
    <div ref={menu} class="menu-items value-menu" role="menu" aria-label={text} style={style} onKeyDown={on_key}>
      <span class="menu-title value-menu-title" role="presentation">{text}</span>
      {items.map(([label, run]) => <button key={label} type="button" role="menuitem" tabIndex={-1} class="menu-item" onClick={run}>{label}</button>)}
    </div>
  );
}

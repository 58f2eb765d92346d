// What one does with a value: any of a table, a legend or a matrix is a button that opens a menu. The menu itself is loaded
// when the first is opened.
import { signal } from "@preact/signals";
import type { ComponentChildren, FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Subject } from "../charts/value_actions";
import { later } from "./later";

export interface Opened {
  subject: Subject;
  anchor: Element;
  /** Where the menu is, in the window. */
  x: number;
  y: number;
}

export const opened = signal<Opened | null>(null);

export function open_value_menu(subject: Subject, anchor: Element): void {
  const { left, bottom } = anchor.getBoundingClientRect();
  opened.value = { subject, anchor, x: left, y: bottom + 4 };
}

/** A value as text that opens the menu. */
export function ValueButton({ subject, children }: { subject: Subject; children: ComponentChildren }) {
  return (
    <button type="button" class="value" aria-haspopup="menu"
      onClick={(event) => open_value_menu(subject, event.currentTarget)}>{children}</button>
  );
}

/** One, for the whole page. */
export function ValueMenu() {
  const [loaded, set_loaded] = useState<{ Items: FunctionComponent<{ now: Opened }> } | null>(null);
  const now = opened.value, needed = now !== null;
  useEffect(() => {
    if (needed && !loaded) later(() => import("./value_menu_items")).then(({ ValueMenuItems }) => set_loaded({ Items: ValueMenuItems }), () => (opened.value = null));
  }, [needed]);
  return now && loaded ? <loaded.Items now={now} /> : null;
}

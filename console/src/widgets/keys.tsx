// Keys that hold on every page, and the list of them.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { go, view_beside } from "../state/address";
import { choose_units, dark, theme, units } from "../state/preferences";
import { toggle_pause } from "../state/pause";
import { UNITS } from "../state/view";
import { words } from "../words/words";

export const keys_shown = signal(false);
const GOTO_MS = 1_200;
/** After g. */
const PAGES = { l: "live", e: "explore", q: "queries", m: "matrix", x: "exporters", a: "alerts", s: "system" } as const;

/** Where letters are typed, and where space already means something. */
function is_taken(event: KeyboardEvent): boolean {
  // Of an editor in a shadow root, the event's own target is only the root's host.
  const target = event.composedPath()[0], { key } = event;
  if (!(target instanceof Element)) return false;
  if (target.closest("input, textarea, select, [contenteditable]")) return true;
  return (key === " " || key === "Enter") && target.closest("button, summary, a") !== null;
}

export function useKeys(): void {
  useEffect(() => {
    let goto_until = 0;
    const on_key = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || is_taken(event)) return;
      const going = Date.now() < goto_until;
      goto_until = 0;
      if (going && event.key in PAGES) go(view_beside(PAGES[event.key as keyof typeof PAGES]));
      else if (event.key === "g") goto_until = Date.now() + GOTO_MS;
      else if (event.key === " ") toggle_pause();
      else if (event.key === "u") choose_units(UNITS[(UNITS.indexOf(units.value) + 1) % UNITS.length]!);
      else if (event.key === "t") theme.value = dark.value ? "light" : "dark";
      else if (event.key === "?") keys_shown.value = true;
      else if (event.key === "/") {
        const search = document.querySelector<HTMLElement>("input[type=search]");
        if (search) search.focus();
        else go(view_beside("queries"));
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", on_key);
    return () => removeEventListener("keydown", on_key);
  }, []);
}

export function KeysDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const w = words.value;
  useEffect(() => {
    if (keys_shown.value) dialog.current?.showModal();
  }, [keys_shown.value]);
  if (!keys_shown.value) return null;
  return (
    <dialog ref={dialog} class="dialog keys" aria-label={w.keys} onClose={() => (keys_shown.value = false)}>
      <h2>{w.keys}</h2>
      <dl>
        {w.keys_list.map(([key, text]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{text}</dd></div>)}
      </dl>
      <button type="button" class="button" onClick={() => dialog.current?.close()}>{w.close}</button>
    </dialog>
  );
}

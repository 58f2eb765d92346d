// Statements that are being written: they outlive pages and reloads of this tab, never a live update, and nothing else
// than the tab (sessionStorage, as the token).
import { signal } from "@preact/signals";
import { go, view_beside } from "./address";

export interface Draft {
  text: string;
  name: string;
  comment: string;
  /** Of the query when writing began: for If-Match. Null: of a new one. */
  revision: number | null;
  /** The text that writing began with. */
  base: string;
}

/** Of the page where a query is made; drafts of queries that are there are called by edit_of(). */
export const NEW = "new";
/** What stood there when another page filled in its own text. */
export const NEW_BEFORE = "new.before";
export const edit_of = (query: string) => `edit.${query}`;

const PREFIX = "backstream.draft.";

function read_all(): ReadonlyMap<string, Draft> {
  const found = new Map<string, Draft>();
  try {
    for (let i = 0; i < sessionStorage.length; ++i) {
      const key = sessionStorage.key(i)!;
      if (key.startsWith(PREFIX)) found.set(key.slice(PREFIX.length), JSON.parse(sessionStorage.getItem(key)!) as Draft);
    }
  } catch {
    // Storage is forbidden, or somebody else wrote there: what cannot be read is no draft.
  }
  return found;
}

export const drafts = signal<ReadonlyMap<string, Draft>>(read_all());

/** Null: there is nothing unsaved any more. */
export function keep_draft(of: string, draft: Draft | null): void {
  const next = new Map(drafts.peek());
  if (draft === null) next.delete(of);
  else next.set(of, draft);
  drafts.value = next;
  try {
    if (draft === null) sessionStorage.removeItem(PREFIX + of);
    else sessionStorage.setItem(PREFIX + of, JSON.stringify(draft));
  } catch {
    // Forbidden or full: it holds as long as the page.
  }
}

/** Another reader sits here now. */
export function forget_drafts(): void {
  for (const of of [...drafts.peek().keys()]) keep_draft(of, null);
}

/** Goes to where a query is made, with a text to begin from. What was being written there is not lost: it is offered. */
export function open_new_query(text: string, name = ""): void {
  const known = drafts.value.get(NEW);
  if (known && known.text.trim() !== "" && known.text !== text) keep_draft(NEW_BEFORE, known);
  keep_draft(NEW, { text, name, comment: "", revision: null, base: "" });
  go(view_beside("new"));
}

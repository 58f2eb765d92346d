// A text for the page where queries are made.
import { go, view_beside } from "./address";

/** Goes to where a query is made, with a text to begin from. */
export function open_new_query(text: string, name?: string): void {
  try {
    sessionStorage.setItem("backstream.draft.new", JSON.stringify({ text, name: name ?? "", comment: "", revision: null, base: "" }));
  } catch {
    // Forbidden or full: the page begins empty.
  }
  go(view_beside("queries"));
}

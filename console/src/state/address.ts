// The address bar as a signal: pages read it, links and controls write it.
import { signal } from "@preact/signals";
import { address_of, read_view, type Read, type View, view_of } from "./view";

const read_location = () => read_view(location.pathname, location.search);

export const address = signal<Read>(read_location());

addEventListener("popstate", () => (address.value = read_location()));

/** Another page, or a place that "back" should come back from. */
export function go(view: View): void {
  history.pushState(null, "", address_of(view));
  address.value = { view, unknown: [], later: false };
  scrollTo(0, 0);
}

/** The same page seen otherwise. `step`: "back" undoes it. */
export function change(part: Partial<View>, step = false): void {
  const view = { ...address.value.view, ...part };
  if (step) history.pushState(null, "", address_of(view));
  else history.replaceState(null, "", address_of(view));
  address.value = { view, unknown: [], later: false };
}

/** A link to another page keeps what the reader chose for all of them. */
export function view_beside(page: View["page"], query: string | null = null): View {
  const { units, zone } = address.value.view;
  return { ...view_of(page, query), units, zone };
}

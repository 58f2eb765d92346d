import { address, view_beside } from "../state/address";
import { who } from "../state/session";
import { Link } from "../widgets/basics";
import { words } from "../words/words";

/** In place of pages that tell of more than the rows that their reader may see. */
export function RowsOnlyPage() {
  const w = words.value;
  const { page } = address.value.view;
  return (
    <div class="centre">
      <h1>{page === "unknown" ? w.not_found : w.pages[page]}</h1>
      <p>{w.rows_only_page(who.value!.name, who.value!.row_filter)}</p>
      <Link to={view_beside("queries")} class="button button-strong">{w.pages.queries}</Link>
    </div>
  );
}

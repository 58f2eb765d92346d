import { view_beside } from "../state/address";
import { Link } from "../widgets/basics";
import { words } from "../words/words";

export function NotFoundPage() {
  const w = words.value;
  return (
    <div class="centre">
      <h1>{w.not_found}</h1>
      <Link to={view_beside("live")} class="button button-strong">{w.back_to_live}</Link>
    </div>
  );
}

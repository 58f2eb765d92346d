import { words } from "../words/words";

export function ExplorePage() {
  return <h1>{words.value.pages.explore}</h1>;
}

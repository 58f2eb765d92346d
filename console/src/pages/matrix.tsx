import { words } from "../words/words";

export function MatrixPage() {
  return <h1>{words.value.pages.matrix}</h1>;
}

import { words } from "../words/words";

export function NewPage() {
  return <h1>{words.value.pages.new}</h1>;
}

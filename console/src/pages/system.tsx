import { words } from "../words/words";

export function SystemPage() {
  return <h1>{words.value.pages.system}</h1>;
}

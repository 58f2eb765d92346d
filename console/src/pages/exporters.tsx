import { words } from "../words/words";

export function ExportersPage() {
  return <h1>{words.value.pages.exporters}</h1>;
}

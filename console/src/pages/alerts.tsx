import { words } from "../words/words";

export function AlertsPage() {
  return <h1>{words.value.pages.alerts}</h1>;
}

export function AlertPage() {
  return <h1>{words.value.pages.alert}</h1>;
}

// What this browser prefers where an address says nothing. Theme and language are the reader's own, never in a link.
import { computed, effect, signal, type Signal } from "@preact/signals";
import { address, change } from "./address";
import { UNITS, type Units, type Zone } from "./view";

export type Theme = "auto" | "dark" | "light";
export type Language = "en" | "pt-BR";

function kept<T extends string>(name: string, otherwise: T, allowed: readonly T[]): Signal<T> {
  const key = `backstream.${name}`;
  const read = (): T => {
    try {
      const text = localStorage.getItem(key);
      return (allowed as readonly (string | null)[]).includes(text) ? (text as T) : otherwise;
    } catch {
      return otherwise;
    }
  };
  const value = signal(read());
  effect(() => {
    try {
      localStorage.setItem(key, value.value);
    } catch {
      // Storage is forbidden or full: it holds as long as the page.
    }
  });
  return value;
}

const native: Language = navigator.language.toLowerCase().startsWith("pt") ? "pt-BR" : "en";
export const language = kept<Language>("language", native, ["en", "pt-BR"]);
export const theme = kept<Theme>("theme", "auto", ["auto", "dark", "light"]);
const units_kept = kept<Units>("units", "bits", UNITS);
const zone_kept = kept<Zone>("zone", "utc", ["utc", "local"]);

export const units = computed(() => address.value.view.units ?? units_kept.value);
export const zone = computed(() => address.value.view.zone ?? zone_kept.value);

export function choose_units(value: Units): void {
  units_kept.value = value;
  change({ units: value });
}
export function choose_zone(value: Zone): void {
  zone_kept.value = value;
  change({ zone: value });
}

const system_dark = matchMedia("(prefers-color-scheme: dark)");
const system = signal(system_dark.matches);
system_dark.addEventListener("change", (event) => (system.value = event.matches));

export const dark = computed(() => theme.value === "dark" || (theme.value === "auto" && system.value));

effect(() => {
  document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
});
effect(() => {
  document.documentElement.lang = language.value;
});

import { computed } from "@preact/signals";
import { language } from "../state/preferences";
import { en } from "./en";
import { pt_br } from "./pt_br";

/** The texts of the language that is chosen; reading it in a component redraws that when the language changes. */
export const words = computed(() => (language.value === "pt-BR" ? pt_br : en));

/** Texts of one page, which come with its chunk: the other language has to have all that English has. */
export function words_of<W>(english: W, portuguese: W) {
  return computed(() => (language.value === "pt-BR" ? portuguese : english));
}

// Who sits here, and what may be offered.
import { batch, computed, effect, signal } from "@preact/signals";
import { api, forget_token, keep_token, NOBODY, Refusal, signed_out } from "../api/client";
import type { Role, Whoami } from "../api/types";
import { forget_drafts } from "./draft";
import type { Page } from "./view";

/** Null: nobody knows yet. He stays while an expired token is replaced, and with him all that he has begun to write. */
export const who = signal<Whoami | null>(null);
/** Why nobody knows. */
export const who_problem = signal<Refusal | null>(null);
/** Another number: another reader, who is shown nothing of what the one before him saw. */
export const reader = signal(0);

const RETRY_MS = 3_000;

effect(() => {
  if (!signed_out.value && who.peek() === null) learn();
});

function learn(): void {
  api.whoami().then((answer) => batch(() => {
    who.value = answer;
    who_problem.value = null;
  }), (error: unknown) => {
    if (!(error instanceof Refusal)) throw error;
    who_problem.value = error;
    if (error.status === NOBODY || error.status === 429 || error.status >= 500) setTimeout(learn, RETRY_MS);
  });
}

/** By a token; throws a Refusal where it opens nothing. */
export async function sign_in(token: string): Promise<void> {
  const answer = await keep_token(token);
  batch(() => {
    if (answer.name !== who.value?.name || answer.role !== who.value.role || answer.row_filter !== who.value.row_filter) {
      ++reader.value;
      forget_drafts();
    }
    who.value = answer;
    signed_out.value = false;
  });
}

export function sign_out(): void {
  forget_token();
  batch(() => {
    who.value = null;
    signed_out.value = true;
  });
}

const RANKS: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 };
const may = (role: Role) => computed(() => who.value !== null && RANKS[who.value.role] >= RANKS[role]);
export const may_operate = may("operator");
export const may_administer = may("admin");
/** Not a reader of some rows only, who may ask for results and for nothing else. */
export const sees_all = computed(() => who.value === null || who.value.row_filter === "");
/** Pages that show results alone. */
const OF_RESULTS: readonly Page[] = ["queries", "query", "unknown"];
export const may_see = (page: Page) => sees_all.value || OF_RESULTS.includes(page);

// Who sits here, and what may be offered.
import { computed, effect, signal } from "@preact/signals";
import { api, signed_out } from "../api/client";
import type { Role, Whoami } from "../api/types";

export const who = signal<Whoami | null>(null);

effect(() => {
  if (signed_out.value) who.value = null;
  else api.whoami().then((answer) => (who.value = answer), () => {});
});

const RANKS: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 };
export const may_operate = computed(() => who.value !== null && RANKS[who.value.role] >= RANKS.operator);

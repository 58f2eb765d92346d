// Questions of the page about exporters.
import { get } from "./client";
import type { Check, Snippet } from "./types";

export const exporters_api = {
  snippets: async () => (await get<{ snippets: Snippet[] }>("/exporters/snippets")).snippets,
  checks: async () => (await get<{ checks: Check[] }>("/doctor")).checks,
};

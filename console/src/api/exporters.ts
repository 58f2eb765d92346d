// Questions of the page about exporters.
import { get } from "./client";
import type { Snippet } from "./types";

export const exporters_api = {
  snippets: async () => (await get<{ snippets: Snippet[] }>("/exporters/snippets")).snippets,
};

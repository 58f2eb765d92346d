// Questions of the pages explore and matrix.
import { get, post } from "./client";
import type { Relation, Suggestion } from "./types";

export const explore_api = {
  relations: async () => (await get<{ relations: Relation[] }>("/relations")).relations,
  /** Which kept results answer a question about flows. */
  suggest: (text: string, signal?: AbortSignal) => post<Suggestion>("/queries/suggest", { text }, signal),
};

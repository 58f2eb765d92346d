// Questions of the pages explore and matrix.
import { post } from "./client";
import type { Suggestion } from "./types";

export const explore_api = {
  /** Which kept results answer a question about flows. */
  suggest: (text: string, signal?: AbortSignal) => post<Suggestion>("/queries/suggest", { text }, signal),
};

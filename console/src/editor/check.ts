// Whether the server would take a statement: asked when nobody has typed for a while, and at once when somebody wants it.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { NOBODY, Refusal } from "../api/client";
import { queries, type QueryText } from "../api/queries";
import type { Done, Problem } from "../api/types";

const WAIT_MS = 400;

/** What is known of exactly this text. */
export interface Checked {
  text: string;
  phase: "empty" | "asking" | "right" | "wrong" | "unknown";
  problem: Problem | null;
  done: readonly Done[];
}

export class Checker {
  readonly state: Signal<Checked> = signal({ text: "", phase: "empty", problem: null, done: [] });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private aborter: AbortController | null = null;
  private wanted: QueryText = { text: "" };

  /** It is typed: the answer about the text before stays until there is another. */
  typed(query: QueryText): void {
    this.wanted = query;
    clearTimeout(this.timer);
    this.aborter?.abort();
    if (query.text.trim() === "") {
      this.state.value = { text: query.text, phase: "empty", problem: null, done: [] };
      return;
    }
    this.state.value = { ...this.state.value, phase: "asking" };
    this.timer = setTimeout(() => void this.now(), WAIT_MS);
  }

  async now(): Promise<Checked> {
    clearTimeout(this.timer);
    this.aborter?.abort();
    const aborter = (this.aborter = new AbortController());
    const query = this.wanted;
    if (query.text.trim() === "") return this.state.value;
    const settle = (part: Partial<Checked>) => {
      if (this.aborter === aborter) this.state.value = { text: query.text, phase: "right", problem: null, done: [], ...part };
      return this.state.value;
    };
    this.state.value = { ...this.state.value, phase: "asking" };
    try {
      return settle({ done: await queries.validate(query, aborter.signal) });
    } catch (error) {
      if (aborter.signal.aborted) return this.state.value;
      const problem: Problem = error instanceof Refusal ? error.problem : { title: String(error), status: NOBODY };
      // A place in the text, whatever the status: an unknown type comes as 404.
      const wrong = problem.line !== undefined || (problem.status >= 400 && problem.status < 500 && problem.status !== 401 && problem.status !== 429);
      return settle({ phase: wrong ? "wrong" : "unknown", problem });
    }
  }

  close(): void {
    clearTimeout(this.timer);
    this.aborter?.abort();
  }
}

export function useChecker(): Checker {
  const [checker] = useState(() => new Checker());
  useEffect(() => () => checker.close(), []);
  return checker;
}

// Answers to SELECTs that end: rows of a range, held until the next answer is there.
import { useRef } from "preact/hooks";
import { SessionFeed } from "../api/feed";
import type { Refusal } from "../api/client";
import type { Column, Value } from "../api/types";
import { useFeed } from "./held";

export interface Answer {
  columns: readonly Column[];
  rows: readonly Value[][];
  notices: readonly string[];
  /** When it was asked, ms. */
  at: number;
}

export interface Answered {
  answer: Answer | null;
  problem: Refusal | null;
}

/**
 * @param text   null: nothing is asked
 * @param about  what the rows are about, times left out: an answer about something else is not held
 */
export function useAnswer(text: string | null, about: string): Answered {
  const state = useFeed(() => (text === null ? null : new SessionFeed(text, true)), [text]);
  const held = useRef<{ about: string; answer: Answer } | null>(null);
  if (held.current?.about !== about || text === null) held.current = null;
  if (state?.phase === "whole" && text !== null) {
    const window = state.windows[state.windows.length - 1];
    const rows = window?.rows ?? [];
    if (held.current?.answer.rows !== rows || held.current.answer.notices !== state.notices) {
      held.current = { about, answer: { columns: window?.columns ?? [], rows, notices: state.notices, at: Date.now() } };
    }
  }
  return { answer: held.current?.answer ?? null, problem: state?.phase === "failed" ? state.problem : null };
}

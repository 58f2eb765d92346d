// Answers to SELECTs that end: rows of a range, held until the next answer is there.
import { useRef } from "preact/hooks";
import { type FeedState, SessionFeed } from "../api/feed";
import type { Refusal } from "../api/client";
import type { Column, Value } from "../api/types";
import { useFeed } from "./held";

export interface Answer {
  text: string;
  columns: readonly Column[];
  rows: readonly Value[][];
  notices: readonly string[];
  /** Not all that belongs to it is in it. */
  complete: boolean;
  sites_missing: readonly string[];
  /** What the rows are of, ms; null: there are none. */
  start: number | null;
  end: number | null;
  /** When it was asked, ms. */
  at: number;
}

export interface Answered {
  answer: Answer | null;
  problem: Refusal | null;
}

/** Of this very text: for a moment after it changed there is still what answered the one before. */
export function useSession(text: string | null, ends: boolean): FeedState | null {
  const state = useFeed(() => (text === null ? null : new SessionFeed(text, ends)), [text]);
  return state?.text === text ? state : null;
}

/** The last that there was about the same. */
export function useLast<T>(value: T | null, about: string): T | null {
  const held = useRef<{ about: string; value: T } | null>(null);
  if (held.current?.about !== about) held.current = null;
  if (value !== null) held.current = { about, value };
  return held.current?.value ?? null;
}

/**
 * @param text   null: nothing is asked
 * @param about  what the rows are about, times left out: an answer about something else is not held
 */
export function useAnswer(text: string | null, about: string): Answered {
  const state = useSession(text, true);
  const held = useRef<{ about: string; answer: Answer } | null>(null);
  if (held.current?.about !== about || text === null) held.current = null;
  if (state?.phase === "whole" && text !== null) {
    const window = state.windows[state.windows.length - 1];
    const rows = window?.rows ?? [];
    if (held.current?.answer.rows !== rows || held.current.answer.notices !== state.notices) {
      held.current = { about, answer: { text, columns: window?.columns ?? [], rows, notices: state.notices, complete: window?.complete ?? true, sites_missing: window?.sites_missing ?? [], start: window?.start ?? null, end: window?.end ?? null, at: Date.now() } };
    }
  }
  return { answer: held.current?.answer ?? null, problem: state?.phase === "failed" ? state.problem : null };
}

// What the server tells only who asks: again and again while somebody looks.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { NOBODY, Refusal, signed_out } from "../api/client";

export interface Polled<T> {
  value: T | null;
  problem: Refusal | null;
}

const asked = signal(0);

/** What this tab has changed is to be seen at once: all that is looked at is asked for again. */
export function ask_again(): void {
  ++asked.value;
}

/**
 * Asks at once and then every `every_ms`, not while the tab is hidden. The last answer stays where one fails. What the
 * reader may not know is not asked for again and again: servers count that.
 */
export function usePoll<T>(question: () => Promise<T>, every_ms: number, keys: readonly unknown[] = []): Signal<Polled<T>> {
  const [answer] = useState(() => signal<Polled<T>>({ value: null, problem: null }));
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    let newest = 0;
    const ask = async () => {
      clearTimeout(timer);
      // An answer that was asked for before another does not come after it.
      const mine = ++newest;
      const current = () => !ended && mine === newest;
      try {
        const value = await question();
        if (current()) answer.value = { value, problem: null };
      } catch (error) {
        const problem = error instanceof Refusal ? error : new Refusal({ title: String(error), status: NOBODY });
        if (current()) answer.value = { value: answer.value.value, problem };
      }
      if (current() && !document.hidden && answer.value.problem?.status !== 403) timer = setTimeout(() => void ask(), every_ms);
    };
    const on_visible = () => void (document.hidden || ask());
    document.addEventListener("visibilitychange", on_visible);
    const stop_waiting = signed_out.subscribe((out) => void (out || answer.value.problem?.status !== 401 || ask()));
    answer.value = { value: null, problem: null };
    const unsubscribe = asked.subscribe(() => void ask());
    return () => {
      unsubscribe();
      ended = true;
      clearTimeout(timer);
      stop_waiting();
      document.removeEventListener("visibilitychange", on_visible);
    };
  }, keys);
  return answer;
}

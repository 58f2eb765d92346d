// Pictures of feeds that stand still while the reader has pressed pause.
import { computed, signal, type Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Feed, FeedState } from "../api/feed";
import { paused } from "../state/pause";

const waiting = signal<ReadonlyMap<symbol, number>>(new Map());

/** Windows that came since pause, over all feeds of the page. */
export const newer_windows = computed(() => [...waiting.value.values()].reduce((sum, count) => sum + count, 0));

function set_waiting(who: symbol, count: number | null): void {
  if (waiting.value.get(who) === (count ?? undefined)) return;
  const next = new Map(waiting.value);
  if (count === null) next.delete(who);
  else next.set(who, count);
  waiting.value = next;
}

/** A feed for as long as the component and `keys` stay; what it shows is held while paused. Null: no feed. */
export function useFeed(make: () => Feed | null, keys: readonly unknown[]): FeedState | null {
  const [current] = useState<Signal<Feed | null>>(() => signal(null));
  const held = useRef<{ feed: Feed; state: FeedState } | null>(null);
  const me = useRef(Symbol("feed")).current;
  useEffect(() => {
    const feed = make()?.start() ?? null;
    current.value = feed;
    return () => {
      feed?.close();
      set_waiting(me, null);
    };
  }, keys);
  const feed = current.value;
  const state = feed?.state.value ?? null;
  // Nothing to hold yet: the first picture is shown, pause or not.
  if (!paused.value || !feed || !state || state.windows.length === 0) held.current = null;
  else if (held.current?.feed !== feed) held.current = { feed, state };
  const newer = held.current && state ? state.arrived - held.current.state.arrived : null;
  useEffect(() => set_waiting(me, newer), [newer]);
  return held.current?.state ?? state;
}

/** The clock by which charts end: it stands still while paused. */
export function useNow(every_ms: number): number {
  const [now, set_now] = useState(Date.now());
  const stopped = paused.value;
  useEffect(() => {
    if (stopped) return;
    let timer: ReturnType<typeof setTimeout>;
    // At full seconds, as feeds are drawn: one frame for all.
    const tick = () => {
      if (!document.hidden) set_now(Date.now());
      timer = setTimeout(tick, every_ms - (Date.now() % every_ms));
    };
    tick();
    return () => clearTimeout(timer);
  }, [every_ms, stopped]);
  return now;
}

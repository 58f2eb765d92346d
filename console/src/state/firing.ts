// How many alerts fire, on whatever page one is.
import { useEffect } from "preact/hooks";
import { alerts_heard_at, api, firing, NOBODY, Refusal, signed_out } from "../api/client";
import { sees_all, who } from "./session";

const EVERY_MS = 5_000;

/** Asks every 5 s, unless the page does so itself or nobody looks; not again where there are no alerts to be asked about. */
export function useFiring(): void {
  // Who sees some rows only may not ask; nor is anybody asked for before it is known who he is.
  const out = signed_out.value || who.value === null || !sees_all.value;
  useEffect(() => {
    if (out) {
      firing.value = null;
      return;
    }
    const ask = () => {
      if (document.hidden || Date.now() - alerts_heard_at < EVERY_MS - 500) return;
      api.alerts().catch((error: unknown) => {
        if (!(error instanceof Refusal) || error.status === NOBODY || error.status === 429 || (error.status >= 500 && error.status !== 501)) return;
        firing.value = null;
        stop();
      });
    };
    const timer = setInterval(ask, EVERY_MS);
    const stop = () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", ask);
    };
    document.addEventListener("visibilitychange", ask);
    ask();
    return stop;
  }, [out]);
}

import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { NOBODY, Refusal } from "../api/client";
import { Loading, Trouble } from "./basics";
import { later } from "./later";

/** A part of a page that is a chunk of its own. `quiet`: nothing is shown until it is there, nor where it cannot be loaded. */
export function LaterPart<P extends object>({ load, props, quiet = false }: { load: () => Promise<FunctionComponent<P>>; props: P; quiet?: boolean }) {
  const [loaded, set_loaded] = useState<{ Part: FunctionComponent<P> } | null>(null);
  const [failed, set_failed] = useState(false);
  const attempt = () => {
    set_failed(false);
    later(load).then((Part) => set_loaded({ Part }), () => set_failed(true));
  };
  useEffect(attempt, []);
  if (loaded) return <loaded.Part {...props} />;
  if (quiet) return null;
  return failed ? <Trouble problem={new Refusal({ title: "", status: NOBODY })} again={attempt} /> : <Loading />;
}

/** A page that is a chunk of its own. */
export function Later({ load }: { load: () => Promise<FunctionComponent> }) {
  return <LaterPart load={load} props={{}} />;
}

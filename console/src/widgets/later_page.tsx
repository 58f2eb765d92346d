import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { NOBODY, Refusal } from "../api/client";
import { Loading, Trouble } from "./basics";
import { later } from "./later";

/** A page that is a chunk of its own. */
export function Later({ load }: { load: () => Promise<FunctionComponent> }) {
  const [loaded, set_loaded] = useState<{ Page: FunctionComponent } | null>(null);
  const [failed, set_failed] = useState(false);
  const attempt = () => {
    set_failed(false);
    later(load).then((Page) => set_loaded({ Page }), () => set_failed(true));
  };
  useEffect(attempt, []);
  if (failed) return <Trouble problem={new Refusal({ title: "", status: NOBODY })} again={attempt} />;
  return loaded ? <loaded.Page /> : <Loading />;
}

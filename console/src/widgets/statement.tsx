import { useEffect, useRef, useState } from "preact/hooks";
import { words } from "../words/words";
import { later } from "./later";

/** Plain at once, coloured when the editor is there; plain for good where it cannot be loaded. */
export function Statement({ text }: { text: string }) {
  const host = useRef<HTMLDivElement>(null);
  const [coloured, set_coloured] = useState(false);
  useEffect(() => {
    let close = () => {};
    let ended = false;
    later(() => import("./sql_text")).then(({ show_sql }) => {
      if (ended || !host.current) return;
      close = show_sql(host.current, text, words.value.statement);
      set_coloured(true);
    }, () => {});
    return () => {
      ended = true;
      close();
    };
  }, [text]);
  return (
    <>
      <div ref={host} class="statement-text" />
      {!coloured && <pre tabIndex={0}><code>{text}</code></pre>}
    </>
  );
}

// What one may do with a query, from wherever it is named.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, Refusal } from "../api/client";
import { queries } from "../api/queries";
import type { Query } from "../api/types";
import { select_of } from "../editor/scan";
import { go, view_beside } from "../state/address";
import { drafts, edit_of, keep_draft, open_new_query } from "../state/draft";
import { ask_again } from "../state/poll";
import { may_operate } from "../state/session";
import { query_words } from "../words/query";
import { words } from "../words/words";
import { Link, Menu } from "../widgets/basics";

/** Drops `name` after asking; says who reads it, for then the server would refuse. */
function DropDialog({ query, close }: { query: Query; close: () => void }) {
  const q = query_words.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const [readers, set_readers] = useState<readonly string[] | null>(null);
  const [problem, set_problem] = useState<string | null>(null);
  useEffect(() => {
    dialog.current?.showModal();
    api.queries().then((all) => set_readers(all.filter((each) => each.reads.includes(query.name)).map((each) => each.name)), () => set_readers([]));
  }, []);
  const drop = async () => {
    try {
      await queries.drop(query.name, query.revision);
      if (drafts.value.has(edit_of(query.name))) keep_draft(edit_of(query.name), null);
      dialog.current?.close();
      if (location.pathname.startsWith("/q/")) go(view_beside("queries"));
      ask_again();
    } catch (error) {
      set_problem(error instanceof Refusal ? [error.message, error.problem.hint].filter(Boolean).join(" · ") : String(error));
    }
  };
  const title = q.drop_title(query.name);
  return (
    <dialog ref={dialog} class="dialog" aria-label={title} onClose={close}>
      <h2>{title}</h2>
      {readers !== null && readers.length > 0 ? <p>{q.drop_readers(readers.join(", "))}</p> : <p>{q.drop_text}</p>}
      {problem !== null && <p class="trouble" role="alert">{problem}</p>}
      <div class="dialog-buttons">
        <button type="button" class="button" autofocus onClick={() => dialog.current?.close()}>{q.cancel}</button>
        <button type="button" class="button button-bad" disabled={readers === null || readers.length > 0} onClick={() => void drop()}>{q.drop_now}</button>
      </div>
    </dialog>
  );
}

/** @param links  to its parts, too: where it stands in a list */
export function QueryMenu({ query, links }: { query: Query; links: boolean }) {
  const q = query_words.value, w = words.value;
  const [dropping, set_dropping] = useState(false);
  const [problem, set_problem] = useState<string | null>(null);
  const tab = (name: string) => ({ ...view_beside("query", query.name), tab: name });
  /** Done with the menu: the focus is where it can be found again. */
  const leave = (event: { currentTarget: Element }) => {
    const menu = event.currentTarget.closest("details")!;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  };
  const act = async (event: { currentTarget: Element }, what: () => Promise<unknown>) => {
    leave(event);
    set_problem(null);
    try {
      await what();
    } catch (error) {
      set_problem(error instanceof Refusal ? error.message : String(error));
    }
    ask_again();
  };
  return (
    <>
      <Menu label={<span aria-label={q.actions_of(query.name)}>⋯</span>} class="menu-right query-menu">
        {links && (
          <>
            {!query.plain && <Link class="menu-item" to={{ ...view_beside("explore"), query: query.name }}>{q.explore}</Link>}
            <Link class="menu-item" to={tab("statement")}>{w.tabs.statement}</Link>
            <Link class="menu-item" to={tab("versions")}>{w.tabs.versions}</Link>
            <Link class="menu-item" to={tab("plan")}>{w.tabs.plan}</Link>
          </>
        )}
        {may_operate.value && (
          <>
            <button type="button" class="menu-item" onClick={() => open_new_query(select_of(query.text))}>{q.begin_from}</button>
            {!query.plain && query.state === "running" && <button type="button" class="menu-item" onClick={(event) => void act(event, () => queries.pause(query.name))}>{q.pause_query}</button>}
            {!query.plain && query.state !== "running" && <button type="button" class="menu-item" onClick={(event) => void act(event, () => queries.resume(query.name))}>{q.resume_query}</button>}
            <button type="button" class="menu-item bad" onClick={(event) => { leave(event); set_dropping(true); }}>{q.drop_query}</button>
          </>
        )}
      </Menu>
      {problem !== null && <p class="row-note bad" role="alert">{q.refused}: {problem}</p>}
      {dropping && <DropDialog query={query} close={() => set_dropping(false)} />}
    </>
  );
}

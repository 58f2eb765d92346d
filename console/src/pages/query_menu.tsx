// What one may do with a query, from wherever it is named.
import { useEffect, useState } from "preact/hooks";
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
import { Question } from "../widgets/question";

/** Says who reads it, for then the server would refuse. */
function DropQuestion({ query, close }: { query: Query; close: () => void }) {
  const q = query_words.value;
  const [readers, set_readers] = useState<readonly string[] | null>(null);
  useEffect(() => {
    api.queries().then((all) => set_readers(all.filter((each) => each.reads.includes(query.name)).map((each) => each.name)), () => set_readers([]));
  }, []);
  const drop = async () => {
    await queries.drop(query.name, query.revision);
    if (drafts.value.has(edit_of(query.name))) keep_draft(edit_of(query.name), null);
    if (location.pathname.startsWith("/q/")) go(view_beside("queries"));
    ask_again();
  };
  return (
    <Question title={q.drop_title(query.name)} yes={q.drop_now} bad disabled={readers === null || readers.length > 0} act={drop} close={close}>
      <p>{readers !== null && readers.length > 0 ? q.drop_readers(readers.join(", ")) : q.drop_text}</p>
    </Question>
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
      {dropping && <DropQuestion query={query} close={() => set_dropping(false)} />}
    </>
  );
}

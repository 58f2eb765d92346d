// The statement of a query that is there: read, or written by who may.
import { useEffect, useState } from "preact/hooks";
import { api, Refusal } from "../api/client";
import { queries } from "../api/queries";
import type { Query } from "../api/types";
import { useChecker } from "../editor/check";
import { Editor } from "../editor/editor";
import { type Draft, drafts, edit_of, keep_draft } from "../state/draft";
import { ask_again } from "../state/poll";
import { may_operate } from "../state/session";
import { Badge, Panel, Trouble } from "../widgets/basics";
import { Statement } from "../widgets/statement";
import { query_words } from "../words/query";
import { words } from "../words/words";
import { DiffView } from "./diff_view";

export function StatementPart({ query }: { query: Query }) {
  if (may_operate.value) return <Writing query={query} />;
  return <Panel title={words.value.statement} class="statement"><Statement text={query.text} /></Panel>;
}

/**
 * Puts what was written over what was read. Another revision with the same text (it was paused, say) is no other text:
 * then it is put over that one.
 */
async function put_over(query: Query, draft: Draft) {
  const body = { text: draft.text, comment: draft.comment };
  const revision = draft.base === query.text ? query.revision : draft.revision ?? query.revision;
  try {
    return await queries.put(query.name, body, revision);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 412) throw error;
    const now = await api.query(query.name);
    if (now.text !== draft.base) throw error;
    return queries.put(query.name, body, now.revision);
  }
}

function Writing({ query }: { query: Query }) {
  const q = query_words.value;
  const checker = useChecker();
  const [saving, set_saving] = useState(false);
  const [said, set_said] = useState<string | null>(null);
  const [problem, set_problem] = useState<Refusal | null>(null);
  const key = edit_of(query.name);
  const draft = drafts.value.get(key) ?? null;
  const text = draft?.text ?? query.text, comment = draft?.comment ?? query.comment;
  const theirs = draft !== null && draft.base !== query.text;
  useEffect(() => checker.typed({ name: query.name, text }), [text, query.name]);

  const write = (part: Partial<Draft>) => {
    const known = drafts.value.get(key);
    const next: Draft = { text: query.text, comment: query.comment, name: query.name, revision: query.revision, base: query.text, ...known, ...part };
    const same = next.text === query.text && next.comment === query.comment;
    keep_draft(key, same ? null : next);
    set_said(null);
  };
  const save = async () => {
    const mine = drafts.value.get(key);
    if (!mine || saving) return;
    set_saving(true);
    set_problem(null);
    try {
      const { done, query: now } = await put_over(query, mine);
      const also = done.flatMap((each) => each.also);
      set_said([now.text === query.text ? q.unchanged : q.saved(now.version), also.length > 0 ? q.also(also.join(", ")) : ""].join(" "));
      // What was typed while the server was asked is still unsaved.
      const newest = drafts.value.get(key);
      if (newest && newest.text === mine.text && newest.comment === mine.comment) keep_draft(key, null);
      else if (newest) keep_draft(key, { ...newest, base: now.text, revision: now.revision });
    } catch (error) {
      if (error instanceof Refusal && error.status !== 412) set_problem(error);
      else if (!(error instanceof Refusal)) throw error;
    } finally {
      set_saving(false);
      ask_again();
    }
  };
  return (
    <>
      {theirs && (
        <Panel title={q.changed_by}>
          <p class="muted" role="alert">{q.changed_by_hint}</p>
          <DiffView before={query.text} after={text} label={q.changed_by} />
          <div class="form-buttons">
            <button type="button" class="button" onClick={() => write({ base: query.text, revision: query.revision })}>{q.keep_mine}</button>
            <button type="button" class="button" onClick={() => keep_draft(key, null)}>{q.take_theirs}</button>
          </div>
        </Panel>
      )}
      <Panel title={words.value.statement} aside={draft && <Badge mark="warning">{words.value.unsaved}</Badge>}>
        <Editor text={text} label={words.value.statement} checker={checker} on_change={(written) => write({ text: written })} />
        <label class="form-field"><span>{q.comment}</span>
          <input type="text" value={comment} onInput={(event) => write({ comment: event.currentTarget.value })} />
        </label>
        {problem && problem.problem.line === undefined && <Trouble problem={problem} />}
        <div class="form-buttons">
          <button type="button" class="button button-strong" disabled={draft === null || theirs || saving || checker.state.value.phase === "wrong"} onClick={() => void save()}>{q.save}</button>
          <button type="button" class="button" disabled={draft === null || saving} onClick={() => keep_draft(key, null)}>{q.discard}</button>
          <span role="status" class="muted">{said ?? (draft ? q.unsaved_text : "")}</span>
        </div>
      </Panel>
    </>
  );
}

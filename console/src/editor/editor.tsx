// The editor as pages have it: plain where it cannot be loaded, with what the server says of the text below.
import { useEffect, useRef, useState } from "preact/hooks";
import { NOBODY } from "../api/client";
import { queries } from "../api/queries";
import type { Relation } from "../api/types";
import { Badge } from "../widgets/basics";
import { later } from "../widgets/later";
import { query_words } from "../words/query";
import { words } from "../words/words";
import type { Checked, Checker } from "./check";
import type { CodeEditor } from "./code_editor";
import { part_of } from "./places";

export interface EditorProps {
  text: string;
  label: string;
  on_change: (text: string) => void;
  checker: Checker;
  /** Ctrl-Enter where nothing is wrong. */
  on_run?: () => void;
}

export function Editor({ text, label, on_change, checker, on_run }: EditorProps) {
  const q = query_words.value;
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<CodeEditor | null>(null);
  const relations = useRef<readonly Relation[]>([]);
  // Texts that were typed and have not come back as `text` yet: what comes back late must not overwrite what was typed since.
  const on_the_way = useRef<string[]>([]);
  const [loaded, set_loaded] = useState<"loading" | "there" | "plain">("loading");
  const latest = useRef({ text, on_change, on_run });
  latest.current = { text, on_change, on_run };
  const checked = checker.state.value;

  const show_mistake = (found: Checked) => {
    const part = found.phase === "wrong" && found.problem && found.text === latest.current.text ? part_of(found.text, found.problem) : null;
    if (part) editor.current?.go_to(part.from);
  };
  const run = async () => {
    show_mistake(checker.state.value);
    const found = await checker.now();
    if (found.phase === "right") latest.current.on_run?.();
    else show_mistake(found);
  };

  useEffect(() => {
    let ended = false;
    queries.relations().then((found) => (relations.current = found), () => {});
    later(() => import("./code_editor")).then(({ open_editor }) => {
      if (ended || !host.current) return;
      editor.current = open_editor(host.current, {
        text: latest.current.text, label, phrases: q.editor_phrases, relations: () => relations.current,
        on_change: (written) => {
          on_the_way.current.push(written);
          latest.current.on_change(written);
        },
        on_run: () => void run(),
      });
      set_loaded("there");
    }, () => set_loaded("plain"));
    return () => {
      ended = true;
      editor.current?.close();
      editor.current = null;
    };
  }, []);
  useEffect(() => editor.current?.set_label(label, q.editor_phrases), [label, q]);
  useEffect(() => {
    const at = on_the_way.current.lastIndexOf(text);
    on_the_way.current.splice(0, at < 0 ? Infinity : at + 1);
    if (at < 0) editor.current?.set_text(text);
  }, [text, loaded]);
  // What is typed over a mistake moves its mark; the next answer puts it right.
  useEffect(() => {
    if (checked.phase === "asking" || checked.text !== text) return;
    editor.current?.set_mistake(checked.problem ? part_of(checked.text, checked.problem) : null);
  }, [checked, text, loaded]);

  return (
    <div class="editor">
      <div ref={host} class="editor-host" hidden={loaded !== "there"} />
      {loaded !== "there" && (
        <textarea aria-label={label} spellcheck={false} rows={12} value={text} onInput={(event) => on_change(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && void run()} />
      )}
      <div class="editor-foot">
        <Verdict checked={checked} text={text} on_show={() => show_mistake(checked)} />
        <span class="muted editor-keys">{q.editor_keys}</span>
      </div>
    </div>
  );
}

/** What the server says, in words; told to who does not see the mark. */
function Verdict({ checked, text, on_show }: { checked: Checked; text: string; on_show: () => void }) {
  const q = query_words.value;
  const { phase, problem } = checked;
  const asking = phase === "asking" || checked.text !== text;
  const nobody = problem?.status === NOBODY || problem?.status === 502;
  return (
    <div class="verdict" role="status">
      {phase === "empty" ? <span class="muted">{q.nothing_written}</span>
        : asking && !problem ? <span class="muted">{q.checking}</span>
        : problem ? (
          <>
            <p class={asking ? "muted" : ""}>
              <Badge mark={phase === "unknown" ? "warning" : "bad"}>{nobody ? words.value.no_answer : problem.detail ?? problem.title}</Badge>
              {problem.line !== undefined && <button type="button" class="verdict-place" onClick={on_show}>{q.at(problem.line, problem.column ?? 1)}</button>}
            </p>
            {problem.hint && <p class="verdict-hint">{problem.hint}</p>}
          </>
        ) : <Badge mark="good">{q.right}</Badge>}
    </div>
  );
}

// Asks before what cannot be taken back.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refusal } from "../api/client";
import { words } from "../words/words";

export interface QuestionProps {
  title: string;
  children: ComponentChildren;
  /** What the button says that does it. */
  yes: string;
  /** Something goes for good: Enter alone does not do it. */
  bad?: boolean;
  /** It cannot be done now; `children` say why. */
  disabled?: boolean;
  /** Throws a Refusal: it is shown, and the question stays. */
  act: () => Promise<unknown>;
  close: () => void;
}

export function Question({ title, children, yes, bad = false, disabled = false, act, close }: QuestionProps) {
  const dialog = useRef<HTMLDialogElement>(null), cancel = useRef<HTMLButtonElement>(null);
  const [problem, set_problem] = useState<Refusal | null>(null);
  const [busy, set_busy] = useState(false);
  useEffect(() => {
    dialog.current?.showModal();
    if (bad) cancel.current?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    set_busy(true);
    set_problem(null);
    try {
      await act();
      dialog.current?.close();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_problem(error);
      set_busy(false);
    }
  };
  return (
    <dialog ref={dialog} class="dialog question" aria-label={title} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <h2>{title}</h2>
        {children}
        <p class="field-problem" role="alert">{problem && (problem.status === 0 ? words.value.no_answer : [problem.message, problem.problem.hint].filter(Boolean).join(": "))}</p>
        <div class="toolbar">
          <button type="submit" class={`button ${bad ? "button-bad" : "button-strong"}`} disabled={busy || disabled}>{yes}</button>
          <button type="button" class="button" ref={cancel} onClick={() => dialog.current?.close()}>{words.value.cancel}</button>
        </div>
      </form>
    </dialog>
  );
}

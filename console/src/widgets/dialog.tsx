import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Refusal } from "../api/client";
import { words } from "../words/words";
import { Trouble } from "./basics";

/** A question before something is done: what is refused stays in it. Escape leaves it, and the focus goes back. */
export function Dialog({ title, note, action, danger, act, close, cancel, children }: {
  title: string;
  note?: string;
  /** On the button that does it. */
  action: string;
  danger?: boolean;
  act: () => Promise<unknown>;
  close: () => void;
  cancel: string;
  children?: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [busy, set_busy] = useState(false);
  const [problem, set_problem] = useState<Refusal | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const submit = async (event: Event) => {
    event.preventDefault();
    set_busy(true);
    set_problem(null);
    try {
      await act();
      dialog.current?.close();
    } catch (error) {
      set_problem(error instanceof Refusal ? error : new Refusal({ title: String(error), status: 500 }));
      set_busy(false);
    }
  };
  return (
    <dialog ref={dialog} class="keys dialog" aria-labelledby={id} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id={id}>{title}</h2>
        {note && <p class="muted">{note}</p>}
        {children}
        {problem && <Trouble problem={problem} />}
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={() => dialog.current?.close()}>{cancel}</button>
          <button type="submit" class={danger ? "button button-danger" : "button button-strong"} disabled={busy}>{busy ? words.value.loading : action}</button>
        </div>
      </form>
    </dialog>
  );
}

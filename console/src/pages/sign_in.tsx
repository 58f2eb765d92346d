import { useState } from "preact/hooks";
import { Refusal } from "../api/client";
import { sign_in, who } from "../state/session";
import { words } from "../words/words";

export function SignInPage() {
  const w = words.value;
  const [text, set_text] = useState("");
  const [problem, set_problem] = useState<string | null>(null);
  const [busy, set_busy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    set_busy(true);
    set_problem(null);
    try {
      await sign_in(text);
      set_text("");
    } catch (error) {
      set_problem(error instanceof Refusal && error.status !== 401 ? error.message : w.token_wrong);
    }
    set_busy(false);
  };
  if (who.value?.by === "proxy") {
    return (
      <div class="centre sign-in">
        <h1>{w.sign_in}</h1>
        <p>{w.sign_in_at_proxy}</p>
        <button type="button" class="button button-strong" onClick={() => location.reload()}>{w.load_anew}</button>
      </div>
    );
  }
  return (
    <form class="centre sign-in" onSubmit={(event) => void submit(event)}>
      <h1>{w.sign_in}</h1>
      <p>{who.value === null ? w.sign_in_text : w.sign_in_again(who.value.name)}</p>
      <label for="token">{w.token}</label>
      <input id="token" type="password" autocomplete="off" spellcheck={false} required value={text}
        aria-invalid={problem !== null} aria-describedby="token-problem token-hint" onInput={(event) => set_text(event.currentTarget.value)} />
      <p id="token-problem" class="field-problem" role="alert">{problem}</p>
      <button type="submit" class="button button-strong" disabled={busy}>{w.sign_in}</button>
      <p id="token-hint" class="muted"><code>{w.token_hint}</code></p>
    </form>
  );
}

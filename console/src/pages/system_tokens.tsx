// Tokens: who has one, until when, and new ones. The secret is shown once, and kept nowhere but on this page.
import { useState } from "preact/hooks";
import { Refusal } from "../api/client";
import { system } from "../api/system";
import type { Role } from "../api/types";
import { zone } from "../state/preferences";
import { ask_again, usePoll } from "../state/poll";
import { who } from "../state/session";
import { Badge, CopyItem, Loading, Panel, Trouble } from "../widgets/basics";
import { Question } from "../widgets/question";
import { date_time } from "../words/format";
import { system_words } from "../words/system";
import { words } from "../words/words";

const DAY_SECONDS = 86_400;
const LIVES = { day: 1, week: 7, quarter: 90, year: 365 } as const;
type Life = keyof typeof LIVES;

export function TokensPart() {
  const w = words.value, s = system_words.value;
  const answer = usePoll(system.tokens, 5_000).value;
  const [asked, set_asked] = useState<string | null>(null);
  const shown = answer.value;
  if (!shown) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  const time = (at: string | null) => (at === null ? s.never : date_time(Date.parse(at), zone.value));
  return (
    <>
      {answer.problem && <Trouble problem={answer.problem} />}
      <NewToken />
      <div class="panel panel-table">
        {shown.length === 0 ? <p class="empty">{s.tokens_none}</p> : (
          <table class="data list-on-narrow">
            <caption class="visually-hidden">{s.tabs.tokens}</caption>
            <thead>
              <tr>
                <th scope="col">{s.token_name}</th><th scope="col">{s.token_role}</th><th scope="col">{s.token_filter}</th><th scope="col">{s.created}</th>
                <th scope="col">{s.expires}</th><th scope="col">{s.last_used}</th><th scope="col"><span class="visually-hidden">{s.revoke}</span></th>
              </tr>
            </thead>
            <tbody>
              {shown.map((token) => (
                <tr key={token.name}>
                  <th scope="row">{token.name}</th>
                  <td data-label={s.token_role}>{w.roles[token.role]}</td>
                  <td data-label={s.token_filter}>{token.row_filter === "" ? "–" : <code>{token.row_filter}</code>}</td>
                  <td data-label={s.created}>{time(token.created_at)}</td>
                  <td data-label={s.expires}>{time(token.expires_at)} {token.expires_at !== null && Date.parse(token.expires_at) < Date.now() && <Badge mark="quiet">{s.expired}</Badge>}</td>
                  <td data-label={s.last_used}>{time(token.last_used_at)}</td>
                  <td class="number"><button type="button" class="button" onClick={() => set_asked(token.name)}>{s.revoke}<span class="visually-hidden"> {token.name}</span></button></td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      {asked !== null && (
        <Question title={s.revoke_title(asked)} yes={s.do_it.revoke} bad close={() => set_asked(null)} act={() => system.revoke_token(asked).then(ask_again)}>
          <p>{s.revoke_text}</p>
          {who.value?.by === "token" && who.value.name === asked && <p class="warn">{s.revoke_own}</p>}
        </Question>
      )}
    </>
  );
}

function NewToken() {
  const w = words.value, s = system_words.value;
  const [name, set_name] = useState(""), [role, set_role] = useState<Role>("viewer"), [life, set_life] = useState<Life>("quarter"), [filter, set_filter] = useState("");
  const [fresh, set_fresh] = useState<{ name: string; token: string } | null>(null);
  const [problem, set_problem] = useState<Refusal | null>(null);
  const [busy, set_busy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    set_busy(true);
    set_problem(null);
    try {
      // Whoever has a filter is a viewer: so no other role is sent with one.
      const filtered = role === "viewer" && filter.trim() !== "" ? { row_filter: filter.trim() } : {};
      set_fresh(await system.create_token({ name: name.trim(), role, expires_in_seconds: LIVES[life] * DAY_SECONDS, ...filtered }));
      set_name("");
      set_filter("");
      ask_again();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_problem(error);
    }
    set_busy(false);
  };
  return (
    <Panel title={s.create_token}>
      {fresh && (
        <div class="fresh-token" role="status">
          <p>{s.token_made(fresh.name)}</p>
          <div class="mend"><pre>{fresh.token}</pre><CopyItem class="button" text={() => fresh.token}>{s.token_copy}</CopyItem><button type="button" class="button" onClick={() => set_fresh(null)}>{s.token_hide}</button></div>
        </div>
      )}
      <form class="toolbar token-form" onSubmit={(event) => void submit(event)}>
        <label class="field">{s.token_name}<input required value={name} autocomplete="off" spellcheck={false} onInput={(event) => set_name(event.currentTarget.value)} /></label>
        <label class="field">{s.token_role}
          <select value={role} onChange={(event) => set_role(event.currentTarget.value as Role)}>{(["viewer", "operator", "admin"] as const).map((each) => <option key={each} value={each}>{w.roles[each]}</option>)}</select>
        </label>
        <label class="field">{s.token_life}
          <select value={life} onChange={(event) => set_life(event.currentTarget.value as Life)}>{(Object.keys(LIVES) as Life[]).map((each) => <option key={each} value={each}>{s.token_lives[each]}</option>)}</select>
        </label>
        {role === "viewer" && <label class="field field-wide">{s.token_filter}<input value={filter} autocomplete="off" spellcheck={false} aria-describedby="filter-hint" onInput={(event) => set_filter(event.currentTarget.value)} /></label>}
        <button type="submit" class="button button-strong" disabled={busy}>{s.create}</button>
      </form>
      {role === "viewer" && <p id="filter-hint" class="muted">{s.token_filter_hint}</p>}
      <p class="field-problem" role="alert">{problem && (problem.status === 0 ? w.no_answer : [problem.message, problem.problem.hint].filter(Boolean).join(": "))}</p>
    </Panel>
  );
}

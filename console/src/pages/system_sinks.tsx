// Where rows are sent: how far each sink is, what is wrong, and a test of the way.
import { useState } from "preact/hooks";
import { Refusal } from "../api/client";
import { system } from "../api/system";
import type { Sink } from "../api/types";
import { view_beside } from "../state/address";
import { zone } from "../state/preferences";
import { ask_again, usePoll } from "../state/poll";
import { may_operate } from "../state/session";
import { Badge, Link, Loading, type Mark, Trouble } from "../widgets/basics";
import { Question } from "../widgets/question";
import { date_time, duration, time_of_day, whole } from "../words/format";
import { system_words } from "../words/system";
import { words } from "../words/words";

const MARKS: Record<Sink["state"], Mark> = { starting: "quiet", running: "good", failing: "bad", replaying: "warning", waiting: "warning" };

export function SinksPart() {
  const s = system_words.value;
  const answer = usePoll(system.sinks, 2_000).value;
  if (!answer.value) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  return (
    <>
      {answer.problem && <Trouble problem={answer.problem} />}
      {answer.value.length === 0 ? <p class="empty">{s.sinks_none}</p> : (
        <div class="panel panel-table">
          <table class="data list-on-narrow sinks">
            <caption class="visually-hidden">{s.tabs.sinks}</caption>
            <thead>
              <tr>
                <th scope="col">{s.sink}</th><th scope="col">{words.value.state}</th><th scope="col" class="number">{s.behind}</th><th scope="col" class="number">{s.delivered}</th>
                <th scope="col" class="number">{s.lost_rows}</th>{may_operate.value && <th scope="col"><span class="visually-hidden">{s.test}, {s.replay}</span></th>}
              </tr>
            </thead>
            <tbody>{answer.value.map((sink) => <Row key={sink.name} sink={sink} />)}</tbody>
          </table>
        </div>
      )}
    </>
  );
}

function Row({ sink }: { sink: Sink }) {
  const w = words.value, s = system_words.value;
  const [tested, set_tested] = useState<{ mark: Mark; text: string } | null>(null);
  const [asks, set_asks] = useState(false);
  const test = async () => {
    set_tested({ mark: "quiet", text: s.testing });
    try {
      set_tested({ mark: "good", text: s.test_found(await system.test_sink(sink.name)) });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_tested({ mark: "bad", text: [error.message, error.problem.hint].filter(Boolean).join(": ") });
    }
  };
  const failing = sink.state === "failing";
  const behind_parts = Math.max(0, (sink.last_seq ?? 0) - (sink.place ?? 0));
  const lost = [sink.rows_refused ?? 0, sink.rows_missed ?? 0, sink.rows_left_out ?? 0];
  return (
    <tr>
      <th scope="row">
        {sink.name}
        <p class="row-note">{sink.query && <Link to={view_beside("query", sink.query)}>{sink.query}</Link>} → {sink.server}{sink.type && ` (${sink.type})`}</p>
        <details class="row-note"><summary>{s.statement}</summary><pre>{sink.text}</pre></details>
      </th>
      <td data-label={w.state}>
        <Badge mark={MARKS[sink.state]}>{s.sink_states[sink.state]}</Badge>
        {sink.waits_for && <p class="warn">{sink.waits_for}</p>}
        {sink.error && (
          <div class={failing ? "bad" : "muted"}>
            {!failing && sink.error_at && <p>{s.last_error(date_time(Date.parse(sink.error_at), zone.value))}</p>}
            <p>{sink.error}</p>
            {sink.hint && <p>{sink.hint}</p>}
            {failing && sink.retry_at && <p>{s.retry_at(time_of_day(Date.parse(sink.retry_at), zone.value))}</p>}
          </div>
        )}
        <p role="status">{tested && <Badge mark={tested.mark}>{tested.text}</Badge>}</p>
      </td>
      <td class={`number${sink.behind_since ? " warn" : ""}`} data-label={s.behind}>
        {sink.behind_since ? <>{duration(Math.max(0, Date.now() - Date.parse(sink.behind_since)), w.locale)}<p class="row-note">{s.behind_parts(behind_parts)}</p></> : s.up_to_date}
      </td>
      <td class="number" data-label={s.delivered}>{whole(sink.rows, w.locale)}{sink.delivered_at && <p class="row-note">{date_time(Date.parse(sink.delivered_at), zone.value)}</p>}</td>
      <td class={`number${lost.some((count) => count > 0) ? " warn" : ""}`} data-label={s.lost_rows}>{lost.map((count) => whole(count, w.locale)).join(" / ")}</td>
      {may_operate.value && (
        <td class="row-actions">
          <button type="button" class="button" onClick={() => void test()}>{s.test}<span class="visually-hidden"> {sink.name}</span></button>
          <button type="button" class="button" onClick={() => set_asks(true)}>{s.replay}<span class="visually-hidden"> {sink.name}</span></button>
          {asks && <Replay name={sink.name} close={() => set_asks(false)} done={() => { set_tested({ mark: "good", text: s.replay_begun }); ask_again(); }} />}
        </td>
      )}
    </tr>
  );
}

function Replay({ name, close, done }: { name: string; close: () => void; done: () => void }) {
  const s = system_words.value;
  const [from, set_from] = useState(""), [until, set_until] = useState("");
  const utc = (text: string) => (text === "" ? "" : new Date(`${text}Z`).toISOString());
  return (
    <Question title={s.replay_title(name)} yes={s.do_it.replay} close={close} act={() => system.replay_sink(name, utc(from), utc(until)).then(done)}>
      <p>{s.replay_text}</p>
      <label class="field">{s.replay_from}<input type="datetime-local" step="1" value={from} onInput={(event) => set_from(event.currentTarget.value)} aria-describedby="replay-hint" /></label>
      <label class="field">{s.replay_until}<input type="datetime-local" step="1" value={until} onInput={(event) => set_until(event.currentTarget.value)} aria-describedby="replay-hint" /></label>
      <p id="replay-hint" class="muted">{s.replay_hint}</p>
    </Question>
  );
}

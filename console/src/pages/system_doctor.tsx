// What `backstream doctor` says: what is wrong first, and what is to be typed.
import { system } from "../api/system";
import type { Check } from "../api/types";
import { usePoll } from "../state/poll";
import { Badge, CopyItem, Loading, type Mark, Trouble } from "../widgets/basics";
import { system_words } from "../words/system";
import { words } from "../words/words";

const MARKS: Record<Check["state"], Mark> = { ok: "good", warning: "warning", error: "bad" };
const WEIGHTS: Record<Check["state"], number> = { error: 0, warning: 1, ok: 2 };

export function DoctorPart() {
  const s = system_words.value;
  const answer = usePoll(system.doctor, 10_000).value;
  if (!answer.value) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  const { checks, errors, warnings } = answer.value;
  const sorted = [...checks].sort((a, b) => WEIGHTS[a.state] - WEIGHTS[b.state] || a.id.localeCompare(b.id));
  return (
    <>
      {answer.problem && <Trouble problem={answer.problem} />}
      <p class="lead" role="status">{s.checks_count(errors, warnings, checks.length - errors - warnings)}</p>
      <div class="panel panel-table">
        <table class="data checks">
          <caption class="visually-hidden">{s.tabs.doctor}</caption>
          <thead><tr><th scope="col">{s.check}</th><th scope="col">{words.value.state}</th><th scope="col">{s.finding}</th></tr></thead>
          <tbody>
            {sorted.map((check) => (
              <tr key={check.id}>
                <th scope="row">{check.id}</th>
                <td><Badge mark={MARKS[check.state]}>{s.check_states[check.state]}</Badge></td>
                <td>{check.text}{check.fix !== "" && <Mend text={check.fix} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Mend({ text }: { text: string }) {
  const s = system_words.value;
  return (
    <div class="mend">
      <pre aria-label={s.mend}>{text}</pre>
      <CopyItem class="button" text={() => text}>{words.value.copy}</CopyItem>
    </div>
  );
}

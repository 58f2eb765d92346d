// The program's own health: the few of its metrics that say whether it is well.
import { useState } from "preact/hooks";
import { samples_of, type Sample } from "../api/metrics";
import { system } from "../api/system";
import { usePoll } from "../state/poll";
import { may_administer } from "../state/session";
import { Loading, Panel, Trouble } from "../widgets/basics";
import { Question } from "../widgets/question";
import { duration, whole, with_unit } from "../words/format";
import { system_words } from "../words/system";
import { words } from "../words/words";

const FAMILIES = [
  "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "backstream_http_requests_total", "backstream_http_responses_total",
  "backstream_access_refused_total", "backstream_live_subscribers", "backstream_config_reloads_total",
] as const;

const sum = (samples: readonly Sample[], wanted: (labels: Sample["labels"]) => boolean = () => true) =>
  samples.filter(({ labels }) => wanted(labels)).reduce((total, { value }) => total + value, 0);

export function ProgramPart() {
  const w = words.value, s = system_words.value;
  const answer = usePoll(system.metrics, 5_000).value;
  const [asks, set_asks] = useState(false);
  const [told, set_told] = useState<string | null>(null);
  if (answer.value === null) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  const of = samples_of(answer.value, FAMILIES);
  const failed = sum(of.backstream_config_reloads_total, ({ result }) => result === "failure");
  const failures = sum(of.backstream_http_responses_total, (labels) => labels["class"] === "5xx");
  const rows: [string, string, string, boolean][] = [
    [s.process_names.cpu, duration(sum(of.process_cpu_seconds_total) * 1000, w.locale), "", false],
    [s.process_names.memory, with_unit(sum(of.process_resident_memory_bytes), "B", w.locale), "", false],
    [s.process_names.files, whole(sum(of.process_open_fds), w.locale), s.of(whole(sum(of.process_max_fds), w.locale)), sum(of.process_open_fds) > 0.8 * sum(of.process_max_fds)],
    [s.process_names.requests, whole(sum(of.backstream_http_requests_total), w.locale), "", false],
    [s.process_names.failures, whole(failures, w.locale), "", failures > 0],
    [s.process_names.refused, whole(sum(of.backstream_access_refused_total, ({ reason }) => reason !== "untold"), w.locale), "", false],
    [s.process_names.streams, whole(sum(of.backstream_live_subscribers), w.locale), "", false],
    [s.process_names.reloads, whole(sum(of.backstream_config_reloads_total), w.locale), failed > 0 ? s.failed_count(failed) : "", failed > 0],
  ];
  return (
    <>
      {answer.problem && <Trouble problem={answer.problem} />}
      <Panel title={s.process} aside={<a class="quiet-link" href="/metrics">{s.all_metrics}</a>}>
        <table class="data program">
          <thead class="visually-hidden"><tr><th scope="col">{w.name}</th><th scope="col">{w.now}</th><th scope="col">{w.total}</th></tr></thead>
          <tbody>{rows.map(([name, value, note, warns]) => <tr key={name}><th scope="row">{name}</th><td class={`number${warns ? " warn" : ""}`}>{value}</td><td class="muted">{note}</td></tr>)}</tbody>
        </table>
        {may_administer.value && <button type="button" class="button more" onClick={() => set_asks(true)}>{s.reload}</button>}
        <div role="status">{told !== null && <pre class="muted">{told || s.reload_nothing}</pre>}</div>
      </Panel>
      {asks && <Question title={s.reload_title} yes={s.do_it.reload} close={() => set_asks(false)} act={() => system.reload().then((text) => set_told(text.trim()))}><p>{s.reload_text}</p></Question>}
    </>
  );
}

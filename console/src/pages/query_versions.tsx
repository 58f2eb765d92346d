// What a query was: who changed it, when, what is another, and the way back.
import { useState } from "preact/hooks";
import { Refusal } from "../api/client";
import { queries } from "../api/queries";
import type { Query, Version } from "../api/types";
import { address, change } from "../state/address";
import { ask_again, usePoll } from "../state/poll";
import { zone } from "../state/preferences";
import { may_operate } from "../state/session";
import { Badge, Loading, Panel, Trouble } from "../widgets/basics";
import { date_time } from "../words/format";
import { query_words } from "../words/query";
import { words } from "../words/words";
import { diff_of } from "./diff";
import { DiffView } from "./diff_view";

/** A name that was dropped and made again begins with 1 again: versions are told apart by both. */
const id_of = (version: Version) => `${version.incarnation}.${version.version}`;

/** Lines that are new and gone against the version before. */
function change_text(before: Version | undefined, after: Version): string | null {
  if (!before || before.incarnation !== after.incarnation) return null;
  const changes = diff_of(before.text, after.text);
  return `+${changes.filter(({ kind }) => kind === "new").length} −${changes.filter(({ kind }) => kind === "gone").length}`;
}

export function VersionsPart({ query }: { query: Query }) {
  const q = query_words.value, w = words.value;
  const answer = usePoll(() => queries.history(query.name), 30_000, [query.name, query.revision]).value;
  const [said, set_said] = useState<string | null>(null);
  const [problem, set_problem] = useState<Refusal | null>(null);
  if (!answer.value) return answer.problem ? <Trouble problem={answer.problem} /> : <Loading />;
  const versions = answer.value;
  const [first, second] = (address.value.view.pick ?? "").split("..");
  const found = (id: string | undefined, otherwise: Version | undefined) => versions.find((version) => id_of(version) === id) ?? otherwise;
  const after = found(second, versions[0]), before = found(first, versions[1] ?? versions[0]);
  const pick = (from: Version, to: Version) => change({ pick: `${id_of(from)}..${id_of(to)}` });
  const runs = (version: Version) => version.incarnation === query.incarnation && version.version === query.version;
  const label = (version: Version) => `v${version.version} · ${date_time(Date.parse(version.at), zone.value)}${version.incarnation === query.incarnation ? "" : ` · ${q.earlier_query}`}`;
  const bring_back = async (version: Version) => {
    set_problem(null);
    set_said(null);
    try {
      const { query: now } = await queries.put(query.name, { text: version.text }, query.revision);
      set_said(now.version === query.version ? q.unchanged : q.saved(now.version));
      change({ pick: null });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_problem(error.status === 412 ? new Refusal({ title: q.changed_by, status: 412 }) : error);
    }
    ask_again();
  };
  return (
    <>
      {problem && <Trouble problem={problem} />}
      <div class="panel panel-table">
        <div class="table-scroll" tabIndex={0} role="region" aria-label={q.versions}>
          <table class="data versions">
            <caption class="visually-hidden">{q.versions}</caption>
            <thead><tr><th scope="col">{q.version}</th><th scope="col">{q.at_time}</th><th scope="col">{q.author}</th><th scope="col">{q.changes}</th>{may_operate.value && <th scope="col"><span class="visually-hidden">{q.bring_back_short}</span></th>}</tr></thead>
            <tbody>
              {versions.map((version, i) => (
                <tr key={id_of(version)}>
                  <th scope="row">v{version.version} {runs(version) && <Badge mark="good">{q.current}</Badge>}{version.incarnation !== query.incarnation && <small>{q.earlier_query}</small>}</th>
                  <td class="nowrap">{date_time(Date.parse(version.at), zone.value)}</td>
                  <td>{version.author}</td>
                  <td>
                    {change_text(versions[i + 1], version) === null ? <span class="muted">{q.first_version}</span>
                      : <button type="button" class="link-button" aria-label={`${q.compare}: v${versions[i + 1]!.version}, v${version.version}`} onClick={() => pick(versions[i + 1]!, version)}>{change_text(versions[i + 1], version)}</button>}
                  </td>
                  {may_operate.value && <td class="number">{!runs(version) && <button type="button" class="button" aria-label={q.bring_back(version.version)} onClick={() => void bring_back(version)}>{q.bring_back_short}</button>}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <p role="status" class="muted">{said}</p>
      </div>
      {before && after && versions.length > 1 && (
        <Panel title={q.compare} aside={
          <>
            <label class="select"><span>{q.compare_from}</span>
              <select value={id_of(before)} onChange={(event) => pick(found(event.currentTarget.value, before)!, after)}>{versions.map((version) => <option key={id_of(version)} value={id_of(version)}>{label(version)}</option>)}</select>
            </label>
            <label class="select"><span>{q.compare_to}</span>
              <select value={id_of(after)} onChange={(event) => pick(before, found(event.currentTarget.value, after)!)}>{versions.map((version) => <option key={id_of(version)} value={id_of(version)}>{label(version)}</option>)}</select>
            </label>
          </>
        }>
          <DiffView before={before.text} after={after.text} label={`${w.tabs.versions}: v${before.version} → v${after.version}`} />
        </Panel>
      )}
    </>
  );
}

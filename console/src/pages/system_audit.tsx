// Who changed what, and when.
import { useEffect, useState } from "preact/hooks";
import { Refusal } from "../api/client";
import { AUDIT_ENTRIES, system } from "../api/system";
import type { AuditEntry } from "../api/types";
import { address, change } from "../state/address";
import { zone } from "../state/preferences";
import { usePoll } from "../state/poll";
import { Loading, Trouble } from "../widgets/basics";
import { date_time } from "../words/format";
import { system_words } from "../words/system";
import { save } from "./export";
import { audit_csv, chosen_entries } from "./system_audit_choice";

/** As the field for a time writes it, of the zone that the reader has chosen. */
function field_text(at: number | null): string {
  return at === null ? "" : date_time(at, zone.value).replace(" ", "T");
}
function field_time(text: string): number | null {
  const at = Date.parse(zone.value === "utc" ? `${text}Z` : text);
  return Number.isNaN(at) ? null : at;
}

export function AuditPart() {
  const s = system_words.value;
  const newest = usePoll(() => system.audit(), 5_000).value;
  const [older, set_older] = useState<readonly AuditEntry[]>([]);
  const [whole, set_whole] = useState(false);
  const [problem, set_problem] = useState<Refusal | null>(null);
  const [from, set_from] = useState<number | null>(null), [until, set_until] = useState<number | null>(null);
  const search = address.value.view.search ?? "";
  // What moves out of the newest page stays: pages overlap by revision.
  const [seen, set_seen] = useState<ReadonlyMap<string, AuditEntry>>(new Map());
  const key = (entry: AuditEntry) => `${entry.revision}/${entry.kind}/${entry.name}/${entry.verb}/${entry.at}`;
  useEffect(() => {
    if (newest.value) set_seen((before) => new Map([...before, ...newest.value!.map((entry) => [key(entry), entry] as const)]));
  }, [newest.value]);
  if (!newest.value) return newest.problem ? <Trouble problem={newest.problem} /> : <Loading />;
  const all = [...new Map([...older, ...seen.values(), ...newest.value].map((entry) => [key(entry), entry])).values()].sort((a, b) => b.revision - a.revision);
  const shown = chosen_entries(all, { search, from, until });
  const load_older = async () => {
    set_problem(null);
    try {
      const page = await system.audit(all[all.length - 1]!.revision);
      set_older((before) => [...before, ...page]);
      set_whole(page.length < AUDIT_ENTRIES);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      set_problem(error);
    }
  };
  return (
    <>
      {(problem ?? newest.problem) && <Trouble problem={(problem ?? newest.problem)!} />}
      <div class="toolbar">
        <input type="search" class="search" aria-label={s.audit_search} placeholder={s.audit_search} value={search} onInput={(event) => change({ search: event.currentTarget.value })} />
        <label class="field field-row">{s.from}<input type="datetime-local" step="1" value={field_text(from)} onChange={(event) => set_from(field_time(event.currentTarget.value))} /></label>
        <label class="field field-row">{s.until}<input type="datetime-local" step="1" value={field_text(until)} onChange={(event) => set_until(field_time(event.currentTarget.value))} /></label>
        <button type="button" class="button" onClick={() => save("audit.csv", "text/csv", audit_csv(shown))}>{s.csv}</button>
        <span class="muted" role="status">{s.entries(shown.length, all.length)}</span>
      </div>
      <div class="panel panel-table">
        {shown.length === 0 ? <p class="empty">{s.audit_none}</p> : (
          <table class="data list-on-narrow audit">
            <caption class="visually-hidden">{s.tabs.audit}</caption>
            <thead><tr><th scope="col">{s.when}</th><th scope="col">{s.by}</th><th scope="col">{s.what}</th><th scope="col">{s.via}</th><th scope="col">{s.comment}</th></tr></thead>
            <tbody>
              {shown.map((entry) => (
                <tr key={key(entry)}>
                  <th scope="row">{date_time(Date.parse(entry.at), zone.value)}</th>
                  <td data-label={s.by}>{entry.author}</td>
                  <td data-label={s.what}>{entry.verb} {entry.kind} <b>{entry.name}</b>{entry.version > 1 && <small> v{entry.version}</small>}</td>
                  <td data-label={s.via} class="muted">{entry.via}</td>
                  <td data-label={s.comment}>{entry.comment}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {!whole && all.length >= AUDIT_ENTRIES && <button type="button" class="button more" onClick={() => void load_older()}>{s.older}</button>}
      </div>
    </>
  );
}

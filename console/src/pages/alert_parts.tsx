// What the list of alerts and the page of one share: how an alert reads, and what may be done to it.
import { useState } from "preact/hooks";
import { alerts_api } from "../api/alerts";
import type { Alert } from "../api/types";
import { heading_of } from "../charts/labels";
import { units } from "../state/preferences";
import { view_beside } from "../state/address";
import type { View } from "../state/view";
import { Badge, type Mark } from "../widgets/basics";
import { SEVERITY_MARKS } from "../widgets/marks";
import { Question } from "../widgets/question";
import { alert_words } from "../words/alerts";
import { quantity_of, scale_of, short, whole, with_unit } from "../words/format";
import { words } from "../words/words";

const DURATIONS = ["600", "3600", "14400", "86400", "604800"] as const;

export function alert_view(id: string): View {
  return { ...view_beside("alert"), alert: id };
}

export function window_seconds_of(alert: Alert): number {
  return (Date.parse(alert.window_end) - Date.parse(alert.window_start)) / 1000;
}

/** "ports 1,204", "traffic 2.4 Gbit/s"; null where the rule has none. */
export function value_of(alert: Alert): { name: string; text: string } | null {
  const w = words.value;
  if (alert.value_column === null) return null;
  const name = heading_of(alert.value_column);
  if (alert.value === null) return { name, text: w.no_data };
  const scale = scale_of(alert.value_column, units.value, w.per_second);
  const plain = quantity_of(alert.value_column).kind === "count";
  const shown = scale.of(alert.value, window_seconds_of(alert));
  return { name, text: plain ? (Math.abs(shown) < 1e6 ? whole(shown, w.locale) : short(shown, w.locale)) : with_unit(shown, scale.unit, w.locale) };
}

/** What tells it from others of its rule. */
export function key_of(alert: Alert): string {
  return alert.more > 0 ? alert_words.value.more_keys(alert.more) : alert.key_text;
}

export function StateBadge({ alert }: { alert: Alert }) {
  const t = alert_words.value;
  const mark: Mark = alert.state === "firing" ? SEVERITY_MARKS[alert.severity] : "quiet";
  return <Badge mark={mark}>{t.states[alert.state]}</Badge>;
}

export function AcknowledgeDialog({ alert, done, close }: { alert: Alert; done: () => Promise<unknown>; close: () => void }) {
  const t = alert_words.value;
  const [comment, set_comment] = useState("");
  return (
    <Question title={`${t.acknowledge}: ${alert.alert}`} yes={t.acknowledge} close={close} act={() => alerts_api.acknowledge(alert.id, comment).then(done)}>
      <p>{t.acknowledge_note}</p>
      <label class="field">{t.comment}<input maxLength={500} value={comment} onInput={(event) => set_comment(event.currentTarget.value)} /></label>
    </Question>
  );
}

export function SilenceDialog({ rules, rule, keys, key_text, done, close }: {
  rules: readonly string[];
  rule: string;
  /** Keys of rules that there are now, to choose from. */
  keys: readonly { rule: string; key_text: string }[];
  key_text: string;
  done: () => Promise<unknown>;
  close: () => void;
}) {
  const t = alert_words.value;
  const [of, set_of] = useState(rule);
  const [key, set_key] = useState(key_text);
  const [seconds, set_seconds] = useState<string>("3600");
  const [comment, set_comment] = useState("");
  const known = of === "*" ? [] : keys.filter((each) => each.rule === of && each.key_text !== "").slice(0, 50);
  return (
    <Question title={t.silence} yes={t.silence} close={close} act={() => alerts_api.silence({ alert: of, key, seconds: Number(seconds), comment }).then(done)}>
      <p>{t.silence_note}</p>
      <label class="field">{words.value.rule}
        <select value={of} onChange={(event) => set_of(event.currentTarget.value)}>
          <option value="*">{t.all_rules}</option>
          {rules.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      </label>
      <label class="field">{t.key}
        <input value={key} maxLength={1_000} list="silence-keys" placeholder={t.all_keys} aria-describedby="silence-key-hint" onInput={(event) => set_key(event.currentTarget.value)} />
        <small id="silence-key-hint">{t.key_hint}</small>
      </label>
      <datalist id="silence-keys">{known.map((each) => <option key={each.key_text} value={each.key_text} />)}</datalist>
      <label class="field">{t.lasts}
        <select value={seconds} onChange={(event) => set_seconds(event.currentTarget.value)}>
          {DURATIONS.map((value) => <option key={value} value={value}>{t.durations[value]}</option>)}
        </select>
      </label>
      <label class="field">{t.comment}<input maxLength={500} value={comment} onInput={(event) => set_comment(event.currentTarget.value)} /></label>
    </Question>
  );
}

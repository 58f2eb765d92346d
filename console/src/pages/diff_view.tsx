import { query_words } from "../words/query";
import { diff_of, near_changes } from "./diff";

const AROUND = 3;

/** What of `before` is gone in `after`, and what is new: by sign, word and colour. */
export function DiffView({ before, after, label }: { before: string; after: string; label: string }) {
  const q = query_words.value;
  if (before === after) return <p class="empty">{q.same_text}</p>;
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label={label}>
      <table class="diff">
        <caption class="visually-hidden">{label}</caption>
        <tbody>
          {near_changes(diff_of(before, after), AROUND).map((change, i) => typeof change === "number"
            ? <tr key={i} class="diff-left-out"><td colSpan={4}>{q.lines_left_out(change)}</td></tr>
            : (
              <tr key={i} class={`diff-${change.kind}`}>
                <td class="number muted">{change.before}</td>
                <td class="number muted">{change.after}</td>
                <td class="diff-sign">
                  {change.kind !== "same" && <><span aria-hidden="true">{change.kind === "gone" ? "−" : "+"}</span><span class="visually-hidden">{change.kind === "gone" ? q.line_gone : q.line_new}</span></>}
                </td>
                <td><code>{change.text}</code></td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

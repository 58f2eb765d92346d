// Windows of one query as they come: in parts, revised, again.
import type { Column, Value, Window } from "./types";

/** A whole window, in its newest revision. */
export interface ResultWindow {
  /** ms since the epoch; null: rows without a window. */
  start: number | null;
  end: number | null;
  revision: number;
  /** A revision may come: drawn dashed. */
  open: boolean;
  complete: boolean;
  sites_missing: readonly string[];
  truncated: boolean;
  columns: readonly Column[];
  rows: Value[][];
}

const ms = (time: string | null) => (time === null ? null : Date.parse(time));

export class WindowStore {
  /** By time; a new array after each change, so that who holds one has a picture that stands still. */
  windows: readonly ResultWindow[] = [];
  /** Windows that came, revisions not counted. */
  arrived = 0;
  private readonly parts = new Map<string, { revision: number; rows: Value[][] }>();

  /**
   * @param windows_max  older windows leave
   * @param rows_max     of all windows: what a tab can hold
   * @param span_ms      windows that ended so long before the newest leave
   */
  constructor(
    private readonly windows_max: number,
    private readonly rows_max: number,
    private readonly span_ms = Infinity,
  ) {}

  /** True: `windows` is another. */
  add(part: Window): boolean {
    const key = `${part.window_start}/${part.window_end}`;
    let gathered = this.parts.get(key);
    if (!gathered || gathered.revision < part.revision) this.parts.set(key, (gathered = { revision: part.revision, rows: [] }));
    if (gathered.revision > part.revision) return false;
    if (!part.removed) for (const row of part.rows) gathered.rows.push(row);
    if (!part.last) return false;
    this.parts.delete(key);
    // Windows of which the last part never came do not pile up.
    if (this.parts.size > 64) this.parts.delete(this.parts.keys().next().value!);
    return this.put({
      start: ms(part.window_start),
      end: ms(part.window_end),
      revision: part.revision,
      open: !part.final,
      complete: part.complete,
      sites_missing: part.sites_missing ?? [],
      truncated: part.truncated,
      columns: part.columns,
      rows: gathered.rows,
    });
  }

  clear(): void {
    this.windows = [];
    this.parts.clear();
  }

  private put(window: ResultWindow): boolean {
    const windows = this.windows.slice();
    // Nearly always the newest: looked for from the end.
    let at = windows.length;
    while (at > 0 && before(window, windows[at - 1]!)) --at;
    const same = windows[at - 1];
    if (same && window.start !== null && same.start === window.start && same.end === window.end) {
      if (same.revision > window.revision) return false;
      windows[at - 1] = window;
    } else {
      windows.splice(at, 0, window);
      ++this.arrived;
    }
    let rows = windows.reduce((sum, each) => sum + each.rows.length, 0);
    let first = Math.max(0, windows.length - this.windows_max);
    for (let i = 0; i < first; ++i) rows -= windows[i]!.rows.length;
    const oldest = (windows[windows.length - 1]!.end ?? 0) - this.span_ms;
    while (first < windows.length - 1 && (windows[first]!.end ?? Infinity) < oldest) rows -= windows[first++]!.rows.length;
    while (rows > this.rows_max && first < windows.length - 1) rows -= windows[first++]!.rows.length;
    this.windows = windows.slice(first);
    return true;
  }
}

function before(a: ResultWindow, b: ResultWindow): boolean {
  if (a.start === null || b.start === null) return false;
  return a.start < b.start || (a.start === b.start && (a.end ?? 0) < (b.end ?? 0));
}

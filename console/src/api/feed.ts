// What a chart or a table is drawn from: windows of the past, then those that come.
import { signal, type Signal } from "@preact/signals";
import { api, NOBODY, Refusal, sql_name, when_signed_in } from "./client";
import { stream } from "./stream";
import type { Tier, Window } from "./types";
import { type ResultWindow, WindowStore } from "./window_store";

/** Windows and rows that one feed holds at most; more is a matter for tiers and for LIMIT. */
const WINDOWS_MAX = 4_000;
const ROWS_MAX = 120_000;
const PAGE_ROWS = 20_000;
/** At most two pictures a second, and none while nobody looks. */
const FRAME_MS = 500;

export interface Span {
  from: number;
  /** Null: until now, and on. */
  until: number | null;
}

/** Where the end moves so does the begin: what is kept, in ms. */
const moving = ({ from, until }: Span) => (until === null ? Date.now() - from : Infinity);

export interface FeedState {
  /** The SELECT that is answered; null: a query's own windows. */
  text: string | null;
  windows: readonly ResultWindow[];
  /** Windows that came since the start. */
  arrived: number;
  phase: "loading" | "live" | "whole" | "failed";
  problem: Refusal | null;
  tier: Tier;
  /** Rows that were left out because they are too many for a page. */
  cut: boolean;
  notices: readonly string[];
}

const EMPTY: FeedState = { text: null, windows: [], arrived: 0, phase: "loading", problem: null, tier: "raw", cut: false, notices: [] };

/** Tells at most FRAME_MS late, at moments that all feeds have in common, and when the page is seen again. */
class Frames {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly on_visible = () => this.ask();
  constructor(private readonly draw: () => void) {
    document.addEventListener("visibilitychange", this.on_visible);
  }
  ask(): void {
    if (this.timer !== undefined || document.hidden) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.draw();
    }, FRAME_MS - (Date.now() % FRAME_MS));
  }
  close(): void {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.on_visible);
  }
}

export abstract class Feed {
  readonly state: Signal<FeedState> = signal(EMPTY);
  protected readonly store: WindowStore;
  protected readonly aborter = new AbortController();
  protected leave: () => void = () => {};
  private readonly frames = new Frames(() => this.show({}));
  private retry: ReturnType<typeof setTimeout> | undefined;

  /** @param keep_ms  older windows leave: a tab that is open for weeks holds no more than one that was just opened */
  constructor(keep_ms = Infinity) {
    this.store = new WindowStore(WINDOWS_MAX, ROWS_MAX, keep_ms);
  }

  protected abstract load(): Promise<void>;

  start(): this {
    void this.attempt();
    return this;
  }

  close(): void {
    this.aborter.abort();
    clearTimeout(this.retry);
    this.leave();
    this.frames.close();
  }

  protected show(change: Partial<FeedState>): void {
    this.state.value = { ...this.state.value, windows: this.store.windows, arrived: this.store.arrived, ...change };
  }

  protected take(part: Window): void {
    if (this.store.add(part)) this.frames.ask();
  }

  /** From the beginning; a server that is away is asked again, what it refuses is shown. */
  protected async attempt(): Promise<void> {
    this.leave();
    try {
      await this.load();
    } catch (error) {
      if (this.aborter.signal.aborted) return;
      const problem = error instanceof Refusal ? error : new Refusal({ title: String(error), status: 500 });
      this.show({ phase: "failed", problem });
      if (problem.status === 401) void when_signed_in().then(() => (this.aborter.signal.aborted ? undefined : this.attempt()));
      if (problem.status === NOBODY || problem.status >= 500 || problem.status === 429) {
        this.retry = setTimeout(() => void this.attempt(), 3_000);
      }
    }
  }

  protected again(after_ms: number): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.attempt(), after_ms);
  }
}

/** A registered query's own windows. */
export class QueryFeed extends Feed {
  constructor(
    private readonly name: string,
    private readonly span: Span,
    private readonly tier?: Tier,
  ) {
    super(moving(span));
  }

  protected async load(): Promise<void> {
    const { from, until } = this.span;
    let after: number | undefined;
    let rows = 0;
    for (;;) {
      const page = await api.results(
        this.name,
        {
          from: new Date(from).toISOString(),
          ...(until === null ? {} : { until: new Date(until).toISOString() }),
          ...(after === undefined ? {} : { after }),
          ...(this.tier ? { tier: this.tier } : {}),
          limit: PAGE_ROWS,
        },
        this.aborter.signal,
      );
      for (const window of page.windows) {
        this.store.add(window);
        rows += window.rows.length;
      }
      const more = page.next !== null && rows < ROWS_MAX;
      this.show({ phase: "loading", tier: page.tier, problem: null, cut: page.next !== null && !more });
      if (more) {
        after = page.next!;
        continue;
      }
      // Averages are not told live: the next picture is asked for when there is something new in it.
      if (until !== null || page.tier !== "raw") {
        this.show({ phase: "whole" });
        if (until === null) this.again(60_000);
        return;
      }
      this.show({ phase: "live" });
      this.leave = stream.listen(this.name, page.last_seq, {
        on_part: (part) => this.take(part),
        on_gap: () => this.again(0),
        on_end: () => this.show({ phase: "whole" }),
      });
      return;
    }
  }
}

/** A SELECT over registered queries, answered from what they keep: the server sorts, sums and cuts, not the tab. */
export class SessionFeed extends Feed {
  private session: string | null = null;
  constructor(
    private readonly text: string,
    private readonly ends: boolean,
    keep_ms = Infinity,
  ) {
    super(keep_ms);
    this.show({ text });
  }

  protected async load(): Promise<void> {
    const session = await api.open_session(this.text, this.aborter.signal);
    this.session = session.name;
    // A session of a life before this one may have shown windows that this one shows again: they replace each other.
    this.show({ phase: "live", problem: null, notices: session.notices });
    this.leave = stream.listen(session.name, 0, {
      on_part: (part) => this.take(part),
      // What runs for this session alone has no past that could be asked for, and begins with a gap.
      on_gap: () => session.kept && this.again(0),
      on_notice: (message) => this.show({ notices: [...this.state.value.notices, message] }),
      on_failed: ({ code, message, hint }) => this.show({ phase: "failed", problem: new Refusal({ title: message, status: 422, code, detail: message, ...(hint ? { hint } : {}) }) }),
      on_end: (gone) => {
        // The server has let go of it: nothing is left to end.
        this.session = null;
        if (this.state.value.phase === "failed") return;
        if (this.ends && !gone) this.show({ phase: "whole" });
        else this.again(1_000);
      },
    });
  }

  override close(): void {
    super.close();
    if (this.session !== null) api.end_session(this.session);
  }
}

/** The `limit` largest rows of each window by `measure`. */
export function largest_rows(query: string, measure: string, span: Span, limit: number): SessionFeed {
  const when = [`window_start >= '${new Date(span.from).toISOString()}'`];
  if (span.until !== null) when.push(`window_end <= '${new Date(span.until).toISOString()}'`);
  const text = `SELECT * FROM ${sql_name(query)} WHERE ${when.join(" AND ")} ORDER BY ${sql_name(measure)} DESC LIMIT ${limit}`;
  return new SessionFeed(text, span.until !== null, moving(span));
}

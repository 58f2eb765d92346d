// One event stream for all that a tab looks at: HTTP/1.1 gives a browser six connections to a host, over all tabs.
// Topics come and go; the stream is opened anew with the place that each has reached, so nothing is told twice or lost.
import { signal } from "@preact/signals";
import { ask, Refusal, when_signed_in } from "./client";
import { EventParser, type ServerEvent } from "./event_parser";
import type { Window } from "./types";

/** What the server takes on one stream (http::kStreamTopicsMax). */
const TOPICS_MAX = 32;
/** The server says something every 15 s; silence of three times that is a dead connection. */
const SILENCE_MAX_MS = 45_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
/** Topics that come in the same moment share one opening. */
const GATHER_MS = 30;

export interface Listener {
  on_part(part: Window): void;
  /** What lies between is not kept by the stream: ask for results. */
  on_gap(): void;
  /** There will be no more of it; `gone`: nor was there anything at the last opening. */
  on_end(gone: boolean): void;
  /** Of a SELECT: what to know of its answer. */
  on_notice?(message: string): void;
  /** Of a SELECT: why there will be no whole answer; the end follows. */
  on_failed?(problem: { code: string; message: string; hint?: string }): void;
}

interface Topic {
  name: string;
  /** The seq of the newest part that the listener has. */
  last: number;
  listener: Listener;
}

/** "17,4,0": one number a topic, in the order in which they are asked for. Null: not of so many topics. */
export function parse_ids(text: string, count: number): number[] | null {
  const ids = text.split(",").map(Number);
  return ids.length === count && ids.every(Number.isSafeInteger) ? ids : null;
}

/** The path of a stream that goes on where each topic is. */
function stream_path(topics: readonly { name: string; last: number }[]): string {
  const names = topics.map((topic) => `query=${encodeURIComponent(topic.name)}`).join("&");
  return `/events?${names}&last_event_id=${topics.map((topic) => topic.last).join(",")}`;
}

/** How the stream is; "broken": it is tried again, or may not be read. */
export const connection = signal<"idle" | "connecting" | "live" | "broken">("idle");

export class Stream {
  private topics: Topic[] = [];
  private aborter: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retry_ms = RETRY_FIRST_MS;

  /**
   * Windows of `name` after `last`, until the answer is called.
   * @param last  the seq of the newest part that the listener has; 0 of a new session
   */
  listen(name: string, last: number, listener: Listener): () => void {
    const topic = { name, last, listener };
    this.topics.push(topic);
    this.reopen(GATHER_MS);
    return () => {
      const at = this.topics.indexOf(topic);
      if (at < 0) return;
      this.topics.splice(at, 1);
      this.reopen(GATHER_MS);
    };
  }

  private reopen(after_ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.open(), after_ms);
  }

  private async open(): Promise<void> {
    this.aborter?.abort();
    const asked = this.topics.slice(0, TOPICS_MAX);
    if (asked.length === 0) {
      connection.value = "idle";
      return;
    }
    const aborter = (this.aborter = new AbortController());
    const current = () => this.aborter === aborter;
    if (connection.value !== "live") connection.value = "connecting";
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => aborter.abort(), SILENCE_MAX_MS);
    };
    try {
      heard();
      const response = await ask(stream_path(asked), { signal: aborter.signal, headers: { Accept: "text/event-stream" } });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new EventParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (!current()) return;
        connection.value = "live";
        this.retry_ms = RETRY_FIRST_MS;
        heard();
        for (const event of parser.push(value)) this.tell(event, asked);
      }
    } catch (error) {
      if (!current()) return;
      // One of them is gone, and the answer refuses all: whoever has sessions makes them anew, others hear of it.
      if (error instanceof Refusal && error.status === 404) this.end(asked, (topic) => error.message.includes(`'${topic.name}'`));
      if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
        connection.value = "broken";
        if (error.status === 401) void when_signed_in().then(() => current() && this.reopen(0));
        return;
      }
    } finally {
      clearTimeout(silence);
    }
    if (!current()) return;
    connection.value = this.topics.length === 0 ? "idle" : "broken";
    this.reopen(this.retry_ms);
    this.retry_ms = Math.min(this.retry_ms * 2, RETRY_MAX_MS);
  }

  private tell(event: ServerEvent, asked: Topic[]): void {
    const ids = parse_ids(event.id, asked.length);
    // What has no name of its own is of the topic that has gone on with it.
    const moved = asked.filter((topic, i) => ids !== null && ids[i]! > topic.last && this.topics.includes(topic));
    ids?.forEach((id, i) => (asked[i]!.last = Math.max(asked[i]!.last, id)));
    if (event.event === "rows") {
      const part = JSON.parse(event.data) as Window;
      for (const topic of asked) if (topic.name === part.query && this.topics.includes(topic)) topic.listener.on_part(part);
    } else if (event.event === "notice") {
      const { message } = JSON.parse(event.data) as { message: string };
      for (const topic of moved) topic.listener.on_notice?.(message);
    } else if (event.event === "failed") {
      const problem = JSON.parse(event.data) as { code: string; message: string; hint?: string };
      for (const topic of moved) topic.listener.on_failed?.(problem);
    } else if (event.event === "gap" || event.event === "lost") {
      const { topic: name } = JSON.parse(event.data) as { topic: string };
      for (const topic of asked) if (topic.name === name) topic.listener.on_gap();
    } else if (event.event === "end") {
      const { topic: name } = JSON.parse(event.data) as { topic: string };
      this.end(asked, (topic) => topic.name === name, false);
    }
  }

  private end(asked: Topic[], which: (topic: Topic) => boolean, gone = true): void {
    for (const topic of asked.filter(which)) {
      const at = this.topics.indexOf(topic);
      if (at < 0) continue;
      this.topics.splice(at, 1);
      topic.listener.on_end(gone);
    }
  }
}

/** The tab's. */
export const stream = new Stream();

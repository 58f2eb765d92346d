// Reads server-sent events (WHATWG HTML §9.2) from text as it comes. EventSource cannot send a token, so the stream is
// fetched; this is what EventSource would have done.

export interface ServerEvent {
  event: string;
  data: string;
  /** The last id that was told; it stays until another is. */
  id: string;
}

export class EventParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id = "";

  /** The events that `text` completes. Any piece is fine: an event may come in several. */
  push(text: string): ServerEvent[] {
    const found: ServerEvent[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.data.length > 0) found.push({ event: this.event || "message", data: this.data.join("\n"), id: this.id });
        this.event = "";
        this.data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
      if (field === "event") this.event = value;
      else if (field === "data") this.data.push(value);
      else if (field === "id" && !value.includes("\0")) this.id = value;
    }
    return found;
  }
}

// Where in a text of XML a place is, and what the tags before it say. Pure; takes what is half written.

export interface Tag {
  name: string;
  attributes: Map<string, string>;
}

/** [from, cursor) is what is being written. */
export type XmlPlace =
  | { kind: "element"; from: number; parents: readonly Tag[] }
  | { kind: "end"; from: number; parents: readonly Tag[] }
  | { kind: "attribute"; from: number; tag: Tag; parents: readonly Tag[] }
  /** Of `attribute`; the value begins at `begins`. */
  | { kind: "value"; from: number; begins: number; attribute: string; tag: Tag; parents: readonly Tag[] };

const NEXT = /<!--[^]*?(?:-->|$)|<\?[^]*?(?:\?>|$)|<![^]*?(?:>|$)|<\/([\w.:-]*)\s*>?|<([\w.:-]*)|[^<]+/gu;
const ATTRIBUTE = /\s*(?:([\w.:-]+)(\s*=\s*(?:"([^"]*)("?)|'([^']*)('?))?)?|(\/?>)|([^]))/yu;
const WORD = /[\w.-]*$/u;

/** Every tag of the text up to `end`, and where the cursor at `end` is; null: in a comment, an instruction or between tags. */
export function scan_xml(text: string, end: number): { place: XmlPlace | null; tags: Tag[] } {
  const stack: Tag[] = [], tags: Tag[] = [];
  NEXT.lastIndex = 0;
  for (let found = NEXT.exec(text); found && found.index < end; found = NEXT.exec(text)) {
    const until = found.index + found[0].length;
    if (found[1] !== undefined) {
      if (until >= end && !found[0].endsWith(">")) return { place: { kind: "end", from: found.index + 2, parents: stack }, tags };
      stack.pop();
    } else if (found[2] !== undefined) {
      if (until >= end) return { place: { kind: "element", from: found.index + 1, parents: stack }, tags };
      const tag: Tag = { name: found[2].toLowerCase(), attributes: new Map() };
      tags.push(tag);
      const place = scan_attributes(text, until, end, tag, stack);
      if (place.kind === "at") return { place: place.at, tags };
      if (!place.is_empty) stack.push(tag);
      NEXT.lastIndex = place.until;
    }
  }
  return { place: null, tags };
}

function scan_attributes(text: string, begin: number, end: number, tag: Tag, parents: readonly Tag[]): { kind: "at"; at: XmlPlace | null } | { kind: "behind"; until: number; is_empty: boolean } {
  ATTRIBUTE.lastIndex = begin;
  for (;;) {
    const start = ATTRIBUTE.lastIndex;
    const found = ATTRIBUTE.exec(text);
    if (!found || ATTRIBUTE.lastIndex > text.length) return { kind: "at", at: { kind: "attribute", from: end, tag, parents } };
    const until = start + found[0].length;
    if (found[1] !== undefined) {
      const name = found[1].toLowerCase(), value = found[3] ?? found[5];
      const named = start + found[0].indexOf(found[1]);
      if (value !== undefined) {
        const closed = (found[4] ?? found[6]) !== "";
        const begins = until - value.length - (closed ? 1 : 0);
        if (end >= begins && end <= begins + value.length) {
          const from = end - (WORD.exec(text.slice(begins, end))?.[0].length ?? 0);
          return { kind: "at", at: { kind: "value", from, begins, attribute: name, tag: { ...tag, attributes: whole_tag(text, until, tag) }, parents } };
        }
        tag.attributes.set(name, value);
      } else if (end >= named && end <= named + found[1].length) {
        return { kind: "at", at: { kind: "attribute", from: named, tag, parents } };
      }
      if (end <= until && value === undefined) return { kind: "at", at: null };
    } else if (found[7] !== undefined) {
      if (end < until) return { kind: "at", at: { kind: "attribute", from: end, tag, parents } };
      return { kind: "behind", until, is_empty: found[7] === "/>" };
    } else if (text[until - 1] === "<") {
      return end < until ? { kind: "at", at: { kind: "attribute", from: end, tag, parents } } : { kind: "behind", until: until - 1, is_empty: false };
    }
    if (end < ATTRIBUTE.lastIndex || ATTRIBUTE.lastIndex >= text.length) return { kind: "at", at: { kind: "attribute", from: end, tag, parents } };
  }
}

/** With the attributes behind the one that is being written. */
function whole_tag(text: string, from: number, tag: Tag): Map<string, string> {
  const all = new Map(tag.attributes);
  for (const match of text.slice(from, from + 2_000).split(/[<>]/, 1)[0]!.matchAll(/([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/gu))
    all.set(match[1]!.toLowerCase(), match[2] ?? match[3] ?? "");
  return all;
}

/** The names that a diagram gives to its streams: of inputs, and of what boxes write. */
export function streams_of(tags: readonly Tag[]): { inputs: string[]; written: string[]; outputs: string[]; schemas: string[]; fields: string[] } {
  const of = (name: string, attribute: string) => [...new Set(tags.filter((tag) => tag.name === name).map((tag) => tag.attributes.get(attribute) ?? "").filter((each) => each !== ""))];
  return { inputs: of("input", "stream"), written: of("out", "stream"), outputs: of("output", "stream"), schemas: of("schema", "name"), fields: of("field", "name") };
}

/** The output streams of a diagram, in their order: those that it says, else those that nobody reads. */
export function outputs_of(text: string): string[] {
  const { tags } = scan_xml(text, text.length);
  const said = streams_of(tags);
  const read = new Set(tags.filter((tag) => tag.name === "in").map((tag) => (tag.attributes.get("stream") ?? "").toLowerCase()));
  const outputs = said.outputs.length > 0 ? said.outputs : said.written.filter((stream) => !read.has(stream.toLowerCase()));
  return [...new Set(outputs.map((stream) => stream.toLowerCase()))];
}

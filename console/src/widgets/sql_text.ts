// Statements as they are read: CodeMirror, loaded where it is needed. In a shadow root its styles are
// adopted sheets, which the policy allows without a nonce.
import { PostgreSQL, sql, SQLDialect } from "@codemirror/lang-sql";
import { xml } from "@codemirror/lang-xml";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { is_xml } from "../api/queries";

/** PostgreSQL's words, but for those that our streams have as columns, and that mean nothing else to us. */
const dialect = SQLDialect.define({ ...PostgreSQL.spec, keywords: PostgreSQL.spec.keywords?.replace(/\b(octets|site|flows?|packets|protocol|exporter|time|name|host|source|text)\b ?/g, "") ?? "" });

/** A text that begins with a tag is a diagram. Its own completion is not for us: it knows no boxes. */
export const language_of = (text: string) => (is_xml(text) ? xml() : sql({ dialect }));

export const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--warning)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--good)" },
  { tag: [tags.tagName, tags.angleBracket], color: "var(--accent)" },
  { tag: tags.attributeName, color: "var(--text)" },
  { tag: tags.attributeValue, color: "var(--warning)" },
  { tag: [tags.comment, tags.processingInstruction, tags.documentMeta], color: "var(--muted)", fontStyle: "italic" },
]);

export const looks = EditorView.theme({
  "&": { color: "var(--text)", fontSize: "0.9rem" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", border: "0" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": { backgroundColor: "var(--accent-back) !important" },
});

/** @param label  for who does not see it; the answer ends it */
export function show_sql(host: HTMLElement, text: string, label: string): () => void {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(), language_of(text), syntaxHighlighting(colours), looks, EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", "aria-readonly": "true" }),
        EditorState.readOnly.of(true), EditorView.editable.of(false),
      ],
    }),
  });
  return () => view.destroy();
}

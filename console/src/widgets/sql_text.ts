// Statements as they are read and written: CodeMirror, loaded where it is needed. In a shadow root its styles are
// adopted sheets, which the policy allows without a nonce.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--warning)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--good)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
]);

const looks = EditorView.theme({
  "&": { color: "var(--text)", fontSize: "0.9rem" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", border: "0" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": { backgroundColor: "var(--accent-back) !important" },
});

export interface SqlText {
  text(): string;
  close(): void;
}

/** @param label  for who does not see it */
export function show_sql(host: HTMLElement, text: string, label: string, writable: boolean): SqlText {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(), sql({ dialect: PostgreSQL }), syntaxHighlighting(colours), looks, EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, ...(writable ? {} : { tabindex: "0", "aria-readonly": "true" }) }),
        ...(writable ? [history(), keymap.of([...defaultKeymap, ...historyKeymap])] : [EditorState.readOnly.of(true), EditorView.editable.of(false)]),
      ],
    }),
  });
  return { text: () => view.state.doc.toString(), close: () => view.destroy() };
}

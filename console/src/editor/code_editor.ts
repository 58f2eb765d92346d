// Where statements are written: CodeMirror in a shadow root, as widgets/sql_text.ts has it for reading. A chunk of its own.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, type CompletionContext, completionKeymap, completionStatus } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentLess, indentMore } from "@codemirror/commands";
import { bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { is_xml } from "../api/queries";
import type { Relation } from "../api/types";
import { colours, language_of, looks } from "../widgets/sql_text";
import { offers_at } from "./completion";
import { diagram_offers_at } from "./diagram_completion";
import type { Part } from "./places";

const set_mistake = StateEffect.define<Part | null>();
const mark = Decoration.mark({ class: "cm-mistake" });

/** Moves with the text until the server has said where it is now. */
const mistake = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(set_mistake)) continue;
      const length = transaction.newDoc.length;
      const from = Math.min(effect.value?.from ?? 0, length), until = Math.min(effect.value?.until ?? 0, length);
      next = from < until ? Decoration.set([mark.range(from, until)]) : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const writing_looks = EditorView.theme({
  "&": { border: "1px solid var(--line)", borderRadius: "8px", backgroundColor: "var(--panel)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "0" },
  ".cm-scroller": { minHeight: "12em", maxHeight: "max(20em, 60vh)", overflow: "auto" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--raised) 55%, transparent)" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--accent) 20%, transparent)" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--warning) 30%, transparent)" },
  ".cm-searchMatch-selected": { backgroundColor: "color-mix(in srgb, var(--warning) 60%, transparent)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-back)", color: "var(--text)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "var(--bad-back)", color: "var(--text)" },
  ".cm-mistake": { textDecoration: "underline wavy var(--bad) 1.5px", textUnderlineOffset: "3px", backgroundColor: "color-mix(in srgb, var(--bad) 16%, transparent)" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--text)", fontFamily: "var(--sans)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-panel.cm-search label": { fontSize: "0.85em" },
  ".cm-textfield": { backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "6px", padding: "3px 8px" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "6px", padding: "3px 10px" },
  ".cm-button:focus-visible, .cm-textfield:focus-visible": { outline: "2px solid var(--accent)" },
  ".cm-tooltip": { backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "8px", boxShadow: "var(--shadow)", overflow: "hidden" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "2px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal", fontSize: "0.85em" },
  "li[aria-selected] .cm-completionDetail": { color: "inherit" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
});

export interface CodeEditorOptions {
  text: string;
  /** For who does not see it. */
  label: string;
  /** Of the editor's own parts, by their English texts. */
  phrases: Record<string, string>;
  relations: () => readonly Relation[];
  on_change: (text: string) => void;
  /** Ctrl-Enter, or Command-Enter. */
  on_run: () => void;
}

export interface CodeEditor {
  /** Of somebody else than who types: on_change() does not hear of it. */
  set_text(text: string): void;
  /** Null: none. */
  set_mistake(part: Part | null): void;
  set_label(label: string, phrases: Record<string, string>): void;
  /** Puts the cursor to a place, and shows it. */
  go_to(at: number): void;
  close(): void;
}

function complete(relations: () => readonly Relation[]) {
  return (context: CompletionContext) => {
    const text = context.state.doc.toString();
    const xml = is_xml(text);
    const found = (xml ? diagram_offers_at : offers_at)(text, context.pos, relations());
    if (!found || (found.from === context.pos && !context.explicit && context.matchBefore(xml ? /[<"]$/ : /[.]$/) === null)) return null;
    const quoted = !xml && context.state.sliceDoc(found.from, found.from + 1) === '"';
    return {
      from: found.from,
      options: found.offers.map((offer) => ({
        label: quoted ? offer.apply : offer.label, displayLabel: offer.label, type: offer.kind === "relation" ? "class" : offer.kind === "column" ? "property" : offer.kind, detail: offer.detail, boost: offer.boost,
        apply: (view: EditorView, _: unknown, from: number, to: number) => {
          // A quote that was closed already is not doubled.
          const behind = quoted && view.state.sliceDoc(to, to + 1) === '"' ? 1 : 0;
          view.dispatch({ changes: { from, to: to + behind, insert: offer.apply }, selection: { anchor: from + offer.apply.length - (offer.back ?? 0) }, userEvent: "input.complete" });
        },
      })),
      validFor: xml ? /^[\w./-]*$/ : quoted ? /^"[^"]*$/ : /^[\p{L}_][\p{L}\p{N}_$]*$/u,
    };
  };
}

/**
 * What is typed over a selection is put in by us: the browser would join what is left and around with styles of its own,
 * which the policy refuses.
 */
const typed_over = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { main } = view.state.selection;
    const { inputType, data: text } = event;
    if (inputType !== "insertText" || text === null || main.empty || view.composing) return false;
    event.preventDefault();
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    if (!view.state.facet(EditorView.inputHandler).some((handle) => handle(view, main.from, main.to, text, insert))) view.dispatch(insert());
    return true;
  },
});

export function open_editor(host: HTMLElement, options: CodeEditorOptions): CodeEditor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const language = new Compartment(), names = new Compartment();
  let told = true;
  let in_xml = is_xml(options.text);
  const named = (label: string, phrases: Record<string, string>) => [EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off", autocorrect: "off" }), EditorState.phrases.of(phrases)];
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        lineNumbers(), highlightActiveLine(), highlightActiveLineGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(),
        // The server takes "\n" for the end of a line, and so does the text that it is sent.
        EditorState.lineSeparator.of("\n"), EditorState.tabSize.of(2),
        search({ top: false }), highlightSelectionMatches(),
        autocompletion({ override: [complete(options.relations)], icons: false, maxRenderedOptions: 60 }),
        language.of(language_of(options.text)), names.of(named(options.label, options.phrases)),
        syntaxHighlighting(colours), looks, writing_looks, EditorView.lineWrapping, mistake, typed_over,
        keymap.of([
          { key: "Mod-Enter", run: () => (options.on_run(), true) },
          // Tab indents, but after Escape it leads on, as long as no other key is pressed (WCAG 2.1.2).
          // After the editor's own handler of the key, which would have it so for two seconds.
          { key: "Escape", run: (view) => (completionStatus(view.state) === null && queueMicrotask(() => view.setTabFocusMode(3_600_000)), false) },
          { key: "Tab", run: (view) => acceptCompletion(view) || indentMore(view), shift: indentLess },
          ...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap,
        ]),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          const text = update.state.doc.toString();
          if (in_xml !== is_xml(text)) {
            in_xml = !in_xml;
            queueMicrotask(() => view.dispatch({ effects: language.reconfigure(language_of(text)) }));
          }
          if (told) options.on_change(text);
        }),
      ],
    }),
  });
  return {
    set_text: (text) => {
      told = false;
      if (view.state.doc.toString() !== text) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      told = true;
    },
    set_mistake: (part) => view.dispatch({ effects: set_mistake.of(part) }),
    set_label: (label, phrases) => view.dispatch({ effects: names.reconfigure(named(label, phrases)) }),
    go_to: (at) => {
      view.focus();
      view.dispatch({ selection: { anchor: Math.min(at, view.state.doc.length) }, scrollIntoView: true });
    },
    close: () => view.destroy(),
  };
}

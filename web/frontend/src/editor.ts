// The YAML editor in place of the textarea: it shows the file that is open.

import { defaultKeymap, history, historyKeymap, isolateHistory } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { nextDiagnostic, setDiagnostics } from "@codemirror/lint";
import { Annotation, EditorSelection, EditorState, type StateCommand } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Actions } from "./actions";
import type { Problem } from "./api";
import { indentAfter } from "./indent";
import type { Place, State, Store } from "./state";
import { fileOf } from "./workspace/workspace";

// The colours are the page's own, so that light and dark need no second theme.
const highlight = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.content, tags.attributeValue], color: "var(--open)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace, tags.meta], color: "var(--soft)" },
]);

const theme = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--pane)", fontSize: "0.85rem" },
  "&.cm-focused": { outline: "3px solid var(--accent)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.45", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)", paddingBlock: "0.5rem" },
  ".cm-gutters": { color: "var(--soft)", backgroundColor: "var(--sunk)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--sunk) 70%, transparent)" },
  // The underline of the lint package is an image, which the page's policy forbids.
  ".cm-lintRange": { backgroundImage: "none", textDecoration: "underline wavy var(--blocked) 1.5px", textUnderlineOffset: "3px" },
  ".cm-lintPoint::after": { borderBottomColor: "var(--blocked)" },
  ".cm-tooltip": { color: "var(--text)", backgroundColor: "var(--sunk)", border: "1px solid var(--line)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--blocked)" },
});

// The YAML package indents only what is complete already.
const breakLine: StateCommand = ({ state, dispatch }) => {
  const change = state.changeByRange((range) => {
    const line = state.doc.lineAt(range.from);
    const insert = "\n" + indentAfter(line.text.slice(0, range.from - line.from));
    return { changes: { from: range.from, to: range.to, insert }, range: EditorSelection.cursor(range.from + insert.length) };
  });
  dispatch(state.update(change, { scrollIntoView: true, userEvent: "input" }));
  return true;
};

// Left to itself, Chromium keeps the selected text's look by an inline style,
// which the page's policy forbids.
function typeOverSelection(event: InputEvent, view: EditorView): boolean {
  if (event.inputType !== "insertText" || event.data === null || view.composing || view.state.selection.main.empty) return false;
  view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  return true;
}

/** Puts the editor in the place of the textarea: it edits the file that is open. */
export function mountEditor(textarea: HTMLTextAreaElement, nonce: string, store: Store, actions: Actions): void {
  const place = document.createElement("div");
  textarea.before(place);
  const hint = document.createElement("p");
  hint.className = "detail";
  hint.id = "policy-hint";
  const mod = /Mac|iP(hone|ad)/.test(navigator.platform) ? "Cmd" : "Ctrl";
  hint.textContent = `${mod}+Enter applies. ${mod}+] indents, ${mod}+[ takes it back. Tab leaves the editor.`;
  place.after(hint);
  const label = textarea.labels[0];
  if (label) label.id ||= "policy-label";

  const extensions = [
    nonce ? EditorView.cspNonce.of(nonce) : [],
    lineNumbers(),
    history(),
    yaml(),
    indentUnit.of("  "),
    EditorState.tabSize.of(2),
    syntaxHighlighting(highlight),
    highlightActiveLine(),
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({
      ...(label ? { "aria-labelledby": label.id } : { "aria-label": "Policy, in YAML" }),
      "aria-describedby": hint.id,
      tabindex: "0", // It can be reached without, but checkers look for it.
      autocapitalize: "off",
      spellcheck: "false",
    }),
    keymap.of([
      { key: "Mod-Enter", run: () => (void actions.apply(), true) },
      { key: "Enter", run: breakLine },
      { key: "F8", run: nextDiagnostic },
      ...historyKeymap,
      ...defaultKeymap,
    ]),
    EditorView.domEventHandlers({ beforeinput: typeOverSelection }),
    EditorView.updateListener.of((update) => {
      // What comes from the store is not told back to it.
      if (update.docChanged && open !== undefined && !update.transactions.some((t) => t.annotation(fromStore))) {
        shown = update.state.doc.toString();
        actions.edit(open, shown);
      }
    }),
    theme,
  ];
  const begin = (text: string): EditorState => EditorState.create({ doc: text, extensions });

  /** The file that is in the view, and what the others' states were: each has an undo of its own. */
  let open: string | undefined;
  let shown = "";
  const states = new Map<string, EditorState>();
  const view = new EditorView({ parent: place, state: begin("") });
  textarea.hidden = true;
  label?.addEventListener("click", () => view.focus());

  function show({ active, workspace }: State): void {
    const file = fileOf(workspace, active);
    if (file?.id !== open) {
      if (open !== undefined) states.set(open, view.state);
      open = file?.id;
      view.setState((open !== undefined && states.get(open)) || begin(file?.text ?? ""));
      shown = view.state.doc.toString();
    }
    for (const id of states.keys()) if (!fileOf(workspace, id)) states.delete(id);
    const text = file?.text ?? "";
    if (text !== shown) {
      shown = text;
      view.dispatch({
        changes: { from: 0, to: view.state.doc.length, insert: text },
        selection: { anchor: 0 },
        annotations: [isolateHistory.of("full"), fromStore.of(true)],
      });
    }
  }

  const offset = (line: number, column: number): number => {
    const at = view.state.doc.line(Math.min(Math.max(line, 1), view.state.doc.lines));
    return Math.min(at.from + Math.max(column - 1, 0), at.to);
  };

  function showProblems(problems: readonly Problem[]): void {
    const placed = problems.filter((p) => p.line > 0);
    const diagnostics = placed.map((p) => {
      const from = offset(p.line, p.column);
      const rest = view.state.doc.sliceString(from, view.state.doc.lineAt(from).to);
      const word = /^[^\s:]+/.exec(rest)?.[0].length ?? 0;
      return { from, to: from + word, severity: "error" as const, message: p.field ? `${p.field}: ${p.message}` : p.message };
    });
    view.dispatch(setDiagnostics(view.state, diagnostics));
  }

  function goTo({ line, column }: Place): void {
    if (line > 0) {
      const anchor = offset(line, column);
      view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
    }
    view.focus();
    place.scrollIntoView({ block: "nearest" });
  }

  show(store.get());
  store.watch((now, before) => {
    show(now);
    if (now.refused !== before.refused) showProblems(now.refused?.problems ?? []);
    if (now.place && now.place !== before.place) goTo(now.place);
  });
}

/** Marks a change of the text that the store has told. */
const fromStore = Annotation.define<boolean>();

// The YAML editor in place of the textarea: it shows the file that is open.

import { closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, isolateHistory, redo, undo } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, codeFolding, foldGutter, foldKeymap, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { nextDiagnostic, previousDiagnostic, setDiagnosticsEffect } from "@codemirror/lint";
import { highlightSelectionMatches, openSearchPanel, search, searchKeymap } from "@codemirror/search";
import { Annotation, Compartment, EditorSelection, EditorState, StateEffect, StateField, type Extension, type StateCommand } from "@codemirror/state";
import {
  activateHover, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers, placeholder, showPanel, type Command,
} from "@codemirror/view";
import type { Actions } from "../actions";
import { analysed, selecting } from "../analysis";
import type { Problem as AnalysedProblem } from "../answers.gen";
import type { Problem } from "../api";
import { button, make, show, write } from "../dom";
import { showView } from "../frame";
import type { Place, Refused, State, Store } from "../state";
import { fileOf, type Step, type Workspace } from "../workspace/workspace";
import { answer, selectedAt, takeAnswer } from "./answer";
import { complete } from "./complete";
import { completing, offerFixes } from "./completing";
import { explainHere, explaining } from "./explaining";
import { Facts } from "./facts";
import { indentAfter } from "./indent";
import { markDeciding, markPointed, marks } from "./marks";
import { offsetOf } from "./places";
import { count, problems, toggleProblems } from "./problems";
import { keyName, showSheet } from "./sheet";
import { highlight, theme } from "./theme";

/** The longest text that the lab takes, and that is coloured, in characters. */
const longest = 256 << 10;
const tooLong = `This is longer than the ${longest >> 10} KiB that the lab takes. Until it is shorter, nothing in it is coloured, completed or checked.`;

/** Marks a change of the text that the store has told. */
const fromStore = Annotation.define<boolean>();

/** Whoever has no keyboard is told of no keys. */
const hasKeys = matchMedia("(hover: hover) and (pointer: fine)");

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

// Dashes alone in a line part two documents, which they do at its very beginning only.
const dashes = EditorView.inputHandler.of((view, from, to, text) => {
  const line = view.state.doc.lineAt(from);
  if (text !== "-" || from !== to || from !== line.to || !/^\s+--$/.test(line.text)) return false;
  view.dispatch({ changes: { from: line.from, to, insert: "---" }, selection: { anchor: line.from + 3 }, userEvent: "input.type" });
  return true;
});

// Left to itself, Chromium keeps the selected text's look by an inline style,
// which the page's policy forbids.
function typeOverSelection(event: InputEvent, view: EditorView): boolean {
  if (event.inputType !== "insertText" || event.data === null || view.composing || view.state.selection.main.empty) return false;
  view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  return true;
}

/** Goes to a problem and shows what it is, until the cursor moves. */
function toProblem(go: Command): Command {
  return (view) => {
    if (!go(view)) {
      view.dispatch({ effects: EditorView.announce.of("There is no problem in this file.") });
      return true;
    }
    activateHover(view, view.state.selection.main.from, 1, { until: (tr) => tr.docChanged || tr.selection !== undefined });
    const said = view.dom.querySelector(".cm-tooltip .cm-diagnosticText")?.textContent;
    if (said) view.dispatch({ effects: EditorView.announce.of(said) });
    return true;
  };
}

/** Writes the text with the same indentation everywhere; what was wrong with it is said. */
async function format(view: EditorView): Promise<void> {
  const { format } = await import("./format");
  const before = view.state.doc;
  const result = format(before.toString());
  if (!("text" in result)) {
    say(view, result.line > 0 ? `Line ${result.line}: ${result.message}` : result.message);
    return;
  }
  if (result.text === before.toString()) {
    say(view, "It is formatted already.");
    return;
  }
  // The cursor stays in its line, at its word.
  const line = before.lineAt(view.state.selection.main.head);
  view.dispatch({ changes: { from: 0, to: before.length, insert: result.text }, annotations: isolateHistory.of("full"), userEvent: "input.format" });
  const now = view.state.doc.line(Math.min(line.number, view.state.doc.lines));
  view.dispatch({ selection: { anchor: now.from + /^\s*/.exec(now.text)![0].length }, scrollIntoView: true });
  say(view, "Formatted.");
}

/** Says something below the text until the next key. */
function say(view: EditorView, message: string): void {
  view.dispatch({ effects: [setNotice.of(message), EditorView.announce.of(message)] });
}

const setNotice = StateEffect.define<string>();
const notice = StateField.define<string>({
  create: (state) => (state.doc.length > longest ? tooLong : ""),
  update(now, tr) {
    for (const e of tr.effects) if (e.is(setNotice)) return e.value;
    if (!tr.docChanged) return now;
    return tr.newDoc.length > longest ? tooLong : "";
  },
  provide: (field) =>
    showPanel.from(field, (message) => {
      if (!message) return null;
      return () => {
        const dom = make("div", message);
        dom.className = "cm-notice";
        return { dom };
      };
    }),
});

// A text of a megabyte stays one that can be typed in, since it is not coloured.
const language = new Compartment();
const languageFor = (length: number): Extension => (length > longest ? [] : yaml());
const switchLanguage = EditorState.transactionExtender.of((tr) => {
  if (!tr.docChanged || tr.startState.doc.length > longest === tr.newDoc.length > longest) return null;
  return { effects: language.reconfigure(languageFor(tr.newDoc.length)) };
});

/** Puts the editor in the place of the textarea: it edits the file that is open. */
export function mountEditor(textarea: HTMLTextAreaElement, nonce: string, store: Store, actions: Actions): void {
  const place = make("div");
  place.className = "editor";
  textarea.before(place);
  // It is about a text area with all policies; here is one of them.
  for (const label of textarea.labels) label.hidden = true;
  const hint = make("p", hasKeys.matches ? `Tab leaves the editor. ${keyName("Ctrl+Space")} completes. F1 lists all keys.` : "");
  hint.className = "visually-hidden";
  hint.id = "policy-hint";
  place.after(hint);

  const facts = new Facts(textarea.closest<HTMLElement>("[data-lab]")?.dataset["lab"] ?? "");
  const explains = explaining(facts);
  const extensions = [
    nonce ? EditorView.cspNonce.of(nonce) : [],
    lineNumbers(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
    history(),
    foldGutter(),
    codeFolding(),
    drawSelection(),
    switchLanguage,
    notice,
    EditorState.allowMultipleSelections.of(true), // for the places of a snippet
    indentUnit.of("  "),
    EditorState.tabSize.of(2),
    EditorState.phrases.of({ regexp: "regular expression", "by word": "whole words" }),
    syntaxHighlighting(highlight),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    highlightSelectionMatches(),
    search({ top: true }),
    completing(facts),
    answer,
    problems,
    marks,
    explains,
    placeholder(hasKeys.matches ? `Write a policy, or press ${keyName("Ctrl+Space")} for one to begin with.` : "Write a policy, or choose one to begin with by Insert."),
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({
      "aria-label": "Policy, in YAML",
      "aria-describedby": hint.id,
      tabindex: "0", // It can be reached without, but checkers look for it.
      autocapitalize: "off",
      spellcheck: "false",
    }),
    keymap.of([
      { key: "Mod-Enter", run: () => (void actions.apply(), true) },
      { key: "F8", run: toProblem(nextDiagnostic), shift: toProblem(previousDiagnostic) },
      { key: "Mod-.", run: offerFixes },
      { key: "Mod-i", run: explainHere(explains), preventDefault: true },
      { key: "Shift-Alt-f", run: (view) => (void format(view), true) },
      { key: "F1", run: () => (showSheet(), true) },
      ...closeBracketsKeymap,
      ...completionKeymap,
      ...searchKeymap,
      ...foldKeymap,
      { key: "Mod-Shift-m", run: toggleProblems, preventDefault: true },
      { key: "Enter", run: breakLine },
      { key: "Mod-z", run: back, preventDefault: true },
      { key: "Mod-y", mac: "Mod-Shift-z", run: forth, preventDefault: true },
      { linux: "Ctrl-Shift-z", run: forth, preventDefault: true },
      ...historyKeymap,
      ...defaultKeymap,
    ]),
    dashes,
    EditorView.domEventHandlers({ beforeinput: typeOverSelection }),
    EditorView.updateListener.of((update) => {
      // What comes from the store is not told back to it.
      if (update.docChanged && open !== undefined && !way && !update.transactions.some((t) => t.annotation(fromStore))) {
        shown = update.state.doc.toString();
        actions.edit(open, shown);
      }
      // What was changed and changed back is what the answer is about, again.
      if (update.docChanged && analysed(store.get().analysis, open)?.text === shown) take(store.get());
      if (update.transactions.some((t) => t.effects.some((e) => e.is(setDiagnosticsEffect)))) buttons.count(update.state);
      if (update.docChanged || update.selectionSet || update.focusChanged || update.startState.field(answer) !== update.state.field(answer)) light();
    }),
    theme,
  ];
  /** Whether the last step of the workspace has made the text what it is. */
  const isOf = (step: Step | undefined, side: "before" | "after"): boolean => step?.files.some((f) => f.id === open && f[side]?.text === shown) ?? false;
  /** How the editor brings the store's next text about, where it has had it before. */
  let way: Command | undefined;
  // What the workspace has done is taken back as a whole, in the other files, too.
  function back(view: EditorView): boolean {
    if (!isOf(store.get().workspace.past.at(-1), "after")) return undo(view);
    way = undo;
    actions.undo();
    way = undefined;
    return true;
  }
  function forth(view: EditorView): boolean {
    if (!isOf(store.get().workspace.future.at(-1), "before")) return redo(view);
    way = redo;
    actions.redo();
    way = undefined;
    return true;
  }
  const begin = (text: string): EditorState => EditorState.create({ doc: text, extensions: [extensions, language.of(languageFor(text.length))] });

  /** The file that is in the view, and what the others' states were: each has an undo of its own. */
  const first = fileOf(store.get().workspace, store.get().active);
  let open = first?.id;
  const states = new Map<string, EditorState>();
  const view = new EditorView({
    parent: place,
    state: begin(first?.text ?? ""),
    dispatchTransactions(transactions, view) {
      // Several policies that come into an empty file at once are the workspace's to take.
      const [first, last] = [transactions[0], transactions.at(-1)];
      const own = !transactions.some((t) => t.annotation(fromStore) || t.isUserEvent("undo") || t.isUserEvent("redo"));
      const blank = own && last?.docChanged && open !== undefined && first!.startState.doc.length < 1000 && first!.startState.doc.toString().trim() === "";
      if (!blank || !actions.arrive(open!, last.newDoc.toString())) view.update(transactions);
    },
  });
  let shown = view.state.doc.toString();
  const typing = document.activeElement === textarea;
  textarea.hidden = true;
  const buttons = tools(view, () => facts.schema !== undefined && complete(view.state.doc.toString(), view.state.selection.main.head, facts.schema, facts.lab) !== undefined);
  (document.querySelector("[data-editor-tools]") ?? place).prepend(buttons.bar);

  function showFile({ active, workspace }: State): void {
    const file = fileOf(workspace, active);
    if (file?.id !== open) {
      if (open !== undefined) states.set(open, view.state);
      open = file?.id;
      view.setState((open !== undefined && states.get(open)) || begin(file?.text ?? ""));
      buttons.count(view.state);
      shown = view.state.doc.toString();
    }
    for (const id of states.keys()) if (!fileOf(workspace, id)) states.delete(id);
    const text = file?.text ?? "";
    if (text !== shown) {
      shown = text;
      way?.(view);
      if (view.state.doc.toString() === text) return;
      view.dispatch({
        changes: { from: 0, to: view.state.doc.length, insert: text },
        selection: { anchor: 0 },
        annotations: [isolateHistory.of("full"), fromStore.of(true)],
      });
    }
  }

  /** What Apply complained of, and in which workspace. */
  let complaints: { of: Workspace; problems: Refused["problems"] } = { of: store.get().workspace, problems: [] };

  /** Takes in what the server says of the text, once it is about the one that is there. */
  function take({ analysis, chosen, refused }: State, before?: State): void {
    const about = analysed(analysis, open);
    const file = about?.text === shown ? about.file : undefined;
    const more = fileOf(complaints.of, open)?.text === shown ? complaints.problems.filter((p) => p.file === open) : [];
    // An answer about an older text is not taken: what is shown moves with the text until the next.
    if (!file && more.length === 0 && refused === before?.refused) return;
    const problems = [...(file?.problems ?? []), ...more.filter((p) => !file?.problems.some((q) => q.line === p.line && q.message === p.message)).map(whole)];
    const why = analysis?.why?.flow === chosen ? analysis?.why : undefined;
    const mine = (p: { namespace: string; name: string }): boolean => file?.policies.some((q) => q.namespace === p.namespace && q.name === p.name) ?? false;
    // In one go, for each costs a look at all that is in view.
    view.dispatch({
      effects: [
        ...takeAnswer(view.state, { id: "", policies: [], selectors: [], setAside: [], ...file, problems }),
        markDeciding((why?.steps ?? []).flatMap((s) => s.places.filter(mine))),
      ],
    });
  }

  /** A complaint of Apply as a problem: of the word at its place. */
  function whole(p: Problem): AnalysedProblem {
    const { doc } = view.state;
    const from = offsetOf(doc, p.line, p.column);
    const word = /^[^\s:]+/.exec(doc.sliceString(from, doc.lineAt(from).to))?.[0].length ?? 0;
    return { ...p, field: p.field ?? "", endLine: p.line, endColumn: p.column + word, severity: "error", code: "", fixes: [] };
  }

  /** Marks the policies that select the pod that is pointed at. */
  function point({ analysis, pointed }: State): void {
    const current = open !== undefined && analysed(analysis, open)?.text === shown;
    view.dispatch({ effects: markPointed(current ? selecting(analysis, open!, pointed) : []) });
  }

  let lit: readonly string[] = [];
  /** Lights up what the selector under the cursor selects, as long as the cursor is here. */
  function light(): void {
    const pods = view.hasFocus ? (selectedAt(view.state, view.state.selection.main.head)?.pods ?? []) : [];
    if (pods.length === lit.length && pods.every((p, i) => p === lit[i])) return;
    lit = pods;
    actions.light(new Set(pods));
  }

  function goTo({ line, column }: Place): void {
    showView("policies");
    if (line > 0) {
      const anchor = offsetOf(view.state.doc, line, column);
      view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
    }
    view.focus();
    place.scrollIntoView({ block: "nearest" });
  }

  showFile(store.get());
  take(store.get());
  // Whoever was faster than the editor goes on in it.
  const { place: asked } = store.get();
  if (asked) goTo(asked);
  else if (typing) {
    view.dispatch({ selection: { anchor: Math.min(textarea.selectionEnd, view.state.doc.length) } });
    view.focus();
  }
  store.watch((now, before) => {
    if (now.workspace.files !== before.workspace.files || now.active !== before.active) showFile(now);
    if (now.refused !== before.refused) complaints = { of: now.workspace, problems: (now.refused?.problems ?? []).filter((p) => p.line > 0) };
    if (now.analysis !== before.analysis || now.active !== before.active || now.chosen !== before.chosen || now.refused !== before.refused) take(now, before);
    if (now.pointed !== before.pointed || (now.pointed !== undefined && (now.analysis !== before.analysis || now.active !== before.active))) point(now);
    if (now.place && now.place !== before.place) goTo(now.place);
    if (now.sandbox !== before.sandbox || (now.model.state !== before.model.state && now.model.state === "ready")) facts.renew();
  });
}

/** The editor's own buttons, for whoever does not press keys; count says how many problems there are. */
interface Tools {
  bar: HTMLElement;
  count(state: EditorState): void;
}

function tools(view: EditorView, canComplete: () => boolean): Tools {
  const bar = make("div");
  bar.className = "editor-tools";
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Editor");
  const tool = (text: string, title: string, run: () => void): HTMLButtonElement => {
    const b = button(text, run);
    b.className = "quiet";
    b.title = title;
    bar.append(b);
    return b;
  };
  const problems = tool("", "List them, with their fixes", () => toggleProblems(view));
  problems.classList.add("editor-count");
  problems.hidden = true;
  tool("Insert", "What can stand at the cursor; in an empty file, whole policies", () => {
    view.focus();
    if (canComplete()) startCompletion(view);
    else say(view, "Nothing can be completed here. An empty file is offered whole policies.");
  });
  tool("Format", "The same indentation everywhere", () => void format(view));
  tool("Find", "Search and replace", () => openSearchPanel(view));
  if (hasKeys.matches) tool("?", "Keys", showSheet).setAttribute("aria-label", "Keys in the editor");
  return {
    bar,
    count(state) {
      const { text, hasErrors } = count(state);
      write(problems, text);
      problems.classList.toggle("errors", hasErrors);
      show(problems, text !== "", view.contentDOM);
    },
  };
}

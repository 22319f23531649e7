// The list of all problems of the file, with their fixes: below the text, for whoever
// has no mouse to rest on a word, or wants them all.

import { forEachDiagnostic, setDiagnosticsEffect, type Diagnostic } from "@codemirror/lint";
import { StateEffect, StateField, type EditorState, type Extension } from "@codemirror/state";
import { EditorView, showPanel, type Command, type Panel, type ViewUpdate } from "@codemirror/view";
import { button, make } from "../dom";

const show = StateEffect.define<boolean>();
const shown = StateField.define<boolean>({
  create: () => false,
  update(now, tr) {
    for (const e of tr.effects) if (e.is(show)) return e.value;
    return now;
  },
  provide: (field) => showPanel.from(field, (open) => (open ? list : null)),
});

interface Found {
  problem: Diagnostic;
  from: number;
  to: number;
}

function problemsOf(state: EditorState): Found[] {
  const found: Found[] = [];
  forEachDiagnostic(state, (problem, from, to) => found.push({ problem, from, to }));
  return found.sort((a, b) => a.from - b.from);
}

/**
 * Says how many problems there are, and of what is no error how many hints: "1 problem,
 * 2 hints"; empty where there is neither.
 */
export function count(state: EditorState): { text: string; hasErrors: boolean } {
  const all = problemsOf(state);
  const errors = all.filter(({ problem }) => problem.severity === "error").length;
  const some = (n: number, word: string): string[] => (n === 0 ? [] : [`${n} ${word}${n === 1 ? "" : "s"}`]);
  return { text: [...some(errors, "problem"), ...some(all.length - errors, "hint")].join(", "), hasErrors: errors > 0 };
}

function list(view: EditorView): Panel {
  const dom = make("section");
  dom.className = "cm-problems";
  dom.setAttribute("aria-label", "Problems");
  dom.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    e.preventDefault();
    toggleProblems(view);
  });
  render();

  function render(): void {
    const focused = [...dom.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement);
    const items = make("ul");
    for (const { problem, from, to } of problemsOf(view.state)) {
      const item = make("li");
      item.className = `cm-diagnostic cm-diagnostic-${problem.severity}`;
      const place = button(`Line ${view.state.doc.lineAt(from).number}`, () => {
        view.dispatch({ selection: { anchor: from, head: to }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
        view.focus();
      });
      place.className = "cm-problem";
      item.append(place, ` ${problem.message}`);
      for (const fix of problem.actions ?? []) {
        const take = button(fix.name, () => fix.apply(view, from, to));
        take.className = "cm-diagnosticAction";
        item.append(take);
      }
      items.append(item);
    }
    if (!items.hasChildNodes()) items.append(make("li", "There is no problem in this file."));
    dom.replaceChildren(items);
    if (focused >= 0) (dom.querySelectorAll("button")[focused] ?? view).focus();
  }

  return {
    dom,
    update(update: ViewUpdate) {
      if (update.docChanged || update.transactions.some((t) => t.effects.some((e) => e.is(setDiagnosticsEffect)))) render();
    },
  };
}

/** Opens the list, and goes to it; or closes it and goes back to the text. */
export const toggleProblems: Command = (view) => {
  const open = !view.state.field(shown);
  view.dispatch({ effects: show.of(open) });
  if (open) view.dom.querySelector<HTMLElement>(".cm-problems button")?.focus();
  else view.focus();
  return true;
};

export const problems: Extension = shown;

// Completion in the editor: at a word, by Ctrl+Space, and of fixes by Ctrl+. .

import { autocompletion, closeCompletion, pickedCompletion, snippet, startCompletion, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { forEachDiagnostic, type Action } from "@codemirror/lint";
import { StateEffect, StateField, type Extension } from "@codemirror/state";
import { EditorView, type Command } from "@codemirror/view";
import { complete, type Candidate } from "./complete";
import type { Facts } from "./facts";

/** Whether fixes are what is asked for. */
const fixing = StateEffect.define<boolean>();
const asksForFixes = StateField.define<boolean>({
  create: () => false,
  update(now, tr) {
    for (const e of tr.effects) if (e.is(fixing)) return e.value;
    return now && !tr.docChanged && !tr.selection;
  },
});

export function completing(facts: Facts): Extension {
  return [
    asksForFixes,
    autocompletion({
      override: [(context) => (context.state.field(asksForFixes) ? fixes(context) : candidates(context, facts))],
      icons: false,
      closeOnBlur: true,
      maxRenderedOptions: 60,
    }),
  ];
}

function candidates(context: CompletionContext, facts: Facts): CompletionResult | null {
  if (!facts.schema || context.state.readOnly) return null;
  const found = complete(context.state.doc.toString(), context.pos, facts.schema, facts.lab);
  if (!found || (!context.explicit && found.from === context.pos)) return null;
  return { from: found.from, to: found.to, options: found.candidates.map(option), validFor: /^[\w./-]*$/ };
}

function option(c: Candidate, i: number): Completion {
  return {
    label: c.label,
    ...(c.detail ? { detail: c.detail } : {}),
    ...(c.info ? { info: c.info } : {}),
    boost: c.boost ?? 0,
    sortText: String(i).padStart(3, "0"),
    apply(view, completion, from, to) {
      if (c.template) {
        // The library puts the line's own indentation before each line.
        const line = view.state.doc.lineAt(from);
        const indent = /^\s*/.exec(line.text)![0];
        snippet(c.insert.replaceAll(`\n${indent}`, "\n"))(view, completion, from, to);
        return;
      }
      view.dispatch({
        changes: { from, to, insert: c.insert },
        selection: { anchor: from + (c.caret ?? c.insert.length) },
        annotations: pickedCompletion.of(completion),
        userEvent: "input.complete",
        scrollIntoView: true,
      });
      if (c.more) startCompletion(view);
    },
  };
}

// --- Fixes ---

/** The fixes of the problems at the cursor, or else of those in its line. */
function fixesAt(view: EditorView): { action: Action; from: number; to: number }[] {
  const { main } = view.state.selection;
  const line = view.state.doc.lineAt(main.head);
  const here: { action: Action; from: number; to: number }[] = [];
  const inLine: typeof here = [];
  forEachDiagnostic(view.state, (d, from, to) => {
    for (const action of d.actions ?? []) {
      if (from <= main.to && main.from <= to) here.push({ action, from, to });
      else if (from <= line.to && line.from <= to) inLine.push({ action, from, to });
    }
  });
  return here.length > 0 ? here : inLine;
}

function fixes(context: CompletionContext): CompletionResult | null {
  const { view } = context;
  if (!view) return null;
  const options = fixesAt(view).map(
    ({ action, from, to }, i): Completion => ({
      label: action.name,
      sortText: String(i).padStart(3, "0"),
      apply() {
        closeCompletion(view);
        action.apply(view, from, to);
      },
    }),
  );
  return options.length > 0 ? { from: context.pos, options, filter: false } : null;
}

/** Offers the fixes at the cursor. */
export const offerFixes: Command = (view) => {
  if (fixesAt(view).length === 0) {
    view.dispatch({ effects: EditorView.announce.of("There is nothing to fix here.") });
    return true;
  }
  view.dispatch({ effects: fixing.of(true) });
  return startCompletion(view);
};

// What a field is, and what a selector selects, beside the mouse or by a key.

import { forEachDiagnostic } from "@codemirror/lint";
import type { EditorState } from "@codemirror/state";
import { activateHover, EditorView, hoverTooltip, type Command } from "@codemirror/view";
import { make } from "../dom";
import { selectedAt } from "./answer";
import { explain } from "./explain";
import type { Facts } from "./facts";

/** Whether somebody asks for the explanation by the key for it. */
let asked = false;

function hasProblem(state: EditorState, pos: number): boolean {
  let found = false;
  forEachDiagnostic(state, (_, from, to) => (found ||= from <= pos && pos <= to));
  return found;
}

export function explaining(facts: Facts): ReturnType<typeof hoverTooltip> {
  return hoverTooltip((view, pos) => {
    // What is wrong there comes first, and alone.
    if (!asked && hasProblem(view.state, pos)) return null;
    const field = facts.schema && explain(view.state.doc.toString(), pos, facts.schema);
    const selected = selectedAt(view.state, pos);
    if (!field && !selected) return null;
    const from = field?.from ?? pos;
    return {
      pos: from,
      end: field?.to ?? pos,
      above: true,
      create() {
        const dom = make("div");
        dom.className = "cm-explains";
        if (field) {
          const title = make("div");
          title.append(make("code", field.name), ` ${field.kind}`);
          dom.append(title);
        }
        if (selected) {
          const now = make("p", sentence(selected.text));
          now.className = "cm-explains-now";
          dom.append(now);
        }
        if (field) dom.append(make("p", field.doc));
        return { dom };
      },
    };
  });
}

/** Explains what the cursor is on, until it moves. */
export function explainHere(tooltip: ReturnType<typeof explaining>): Command {
  return (view) => {
    const { head } = view.state.selection.main;
    asked = true;
    activateHover(view, head, 1, { tooltip, until: (tr) => tr.docChanged || tr.selection !== undefined });
    asked = false;
    const said = [...view.dom.querySelectorAll(".cm-explains")].map((e) => e.textContent).join(" ");
    view.dispatch({ effects: EditorView.announce.of(said || "There is nothing to explain here.") });
    return true;
  };
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + ".";
}

// What is marked in the text: what the selector under the cursor selects, and the lines
// that decide about the chosen connection.

import { StateEffect, StateField, type EditorState, type Extension } from "@codemirror/state";
import { Decoration, EditorView, WidgetType, type DecorationSet } from "@codemirror/view";
import { make } from "../dom";
import { answer, selectedAt } from "./answer";

class Selects extends WidgetType {
  constructor(private readonly text: string) {
    super();
  }

  override eq(other: Selects): boolean {
    return other.text === this.text;
  }

  toDOM(): HTMLElement {
    const e = make("span", this.text);
    e.className = "cm-selects";
    return e;
  }
}

function selectsAtCursor(state: EditorState): DecorationSet {
  const { head } = state.selection.main;
  const selected = selectedAt(state, head);
  if (!selected) return Decoration.none;
  return Decoration.set(Decoration.widget({ widget: new Selects(selected.text), side: 1 }).range(state.doc.lineAt(head).to));
}

const decide = StateEffect.define<readonly { line: number; endLine: number }[]>();
const decidingLine = Decoration.line({ class: "cm-deciding" });

const deciding = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(now, tr) {
    for (const e of tr.effects) {
      if (!e.is(decide)) continue;
      const { doc } = tr.state;
      const lines = new Set<number>();
      for (const { line, endLine } of e.value) for (let n = line; n <= Math.max(line, endLine) && n <= doc.lines; n++) if (n > 0) lines.add(n);
      return Decoration.set([...lines].sort((a, b) => a - b).map((n) => decidingLine.range(doc.line(n).from)));
    }
    return now.map(tr.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** Marks the lines that decide, and no others. */
export function markDeciding(lines: readonly { line: number; endLine: number }[]): StateEffect<unknown> {
  return decide.of(lines);
}

export const marks: Extension = [
  deciding,
  EditorView.decorations.compute(["doc", "selection", answer], selectsAtCursor),
];

// What is marked in the text: what the selector under the cursor selects, the lines that
// decide about the chosen connection, and the policies that select the pod that is pointed at.

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

interface Lines {
  line: number;
  endLine: number;
}

/** Lines that are marked until others are. */
function lineMarks(className: string): { mark(lines: readonly Lines[]): StateEffect<unknown>; field: Extension } {
  const set = StateEffect.define<readonly Lines[]>();
  const look = Decoration.line({ class: className });
  const field = StateField.define<DecorationSet>({
    create: () => Decoration.none,
    update(now, tr) {
      for (const e of tr.effects) {
        if (!e.is(set)) continue;
        const { doc } = tr.state;
        const lines = new Set<number>();
        for (const { line, endLine } of e.value) for (let n = line; n <= Math.max(line, endLine) && n <= doc.lines; n++) if (n > 0) lines.add(n);
        return Decoration.set([...lines].sort((a, b) => a - b).map((n) => look.range(doc.line(n).from)));
      }
      return now.map(tr.changes);
    },
    provide: (of) => EditorView.decorations.from(of),
  });
  return { mark: (lines) => set.of(lines), field };
}

const deciding = lineMarks("cm-deciding");
const pointed = lineMarks("cm-pointed");

/** Marks the lines that decide, and no others. */
export const markDeciding = deciding.mark;

/** Marks the policies that select the pod that is pointed at, and no others. */
export const markPointed = pointed.mark;

export const marks: Extension = [
  deciding.field,
  pointed.field,
  EditorView.decorations.compute(["doc", "selection", answer], selectsAtCursor),
];

// The server's answer about the file, kept beside its text: while it is typed on, the
// answer's places move along, and those that were typed into are not shown any more.

import { forEachDiagnostic, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { ChangeSet, StateEffect, StateField, type ChangeDesc, type ChangeSpec, type EditorState, type Text } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";
import type { AnalysedFile, Fix, Problem } from "../answers.gen";
import { offsetOf } from "./places";

/** What a part of the text selects. */
export interface Selected {
  from: number;
  to: number;
  pods: readonly string[];
  text: string;
}

export interface Answer {
  file: AnalysedFile;
  /** The text that it is about. */
  about: Text;
  /** What has changed since. */
  since: ChangeDesc;
  /** By their places in the text as it is now. */
  selectors: readonly Selected[];
}

const set = StateEffect.define<Answer | undefined>();

export const answer = StateField.define<Answer | undefined>({
  create: () => undefined,
  update(now, tr) {
    for (const e of tr.effects) if (e.is(set)) return e.value;
    if (!now || !tr.docChanged) return now;
    const selectors = now.selectors.flatMap((s) => {
      if (tr.changes.touchesRange(s.from, s.to)) return [];
      return [{ ...s, from: tr.changes.mapPos(s.from, 1), to: tr.changes.mapPos(s.to, -1) }];
    });
    return { ...now, since: now.since.composeDesc(tr.changes.desc), selectors };
  },
});

/** Takes the answer in, if it is about the text that is there. */
export function takeAnswer(state: EditorState, file: AnalysedFile): StateEffect<unknown>[] {
  const doc = state.doc;
  const selectors = file.selectors
    .map((s) => ({ from: offsetOf(doc, s.from.line, s.from.column), to: offsetOf(doc, s.to.line, s.to.column), pods: s.pods, text: s.text }))
    // The innermost is found first.
    .sort((a, b) => a.to - a.from - (b.to - b.from));
  const since = ChangeSet.empty(doc.length).desc;
  const diagnostics = file.problems.map((p): Diagnostic => {
    const from = offsetOf(doc, p.line, p.column);
    const to = p.endLine > 0 ? offsetOf(doc, p.endLine, p.endColumn) : from;
    return {
      from,
      to: Math.max(from, to),
      severity: p.severity,
      message: sentence(p),
      actions: p.fixes.map((fix) => ({ name: fix.title, apply: (view) => applyFix(view, fix) })),
    };
  });
  const taken = set.of({ file, about: doc, since, selectors });
  if (isShown(state, file, diagnostics)) return [taken];
  const { effects } = setDiagnostics(state, diagnostics);
  return [taken, ...(Array.isArray(effects) ? effects : effects ? [effects] : [])] as StateEffect<unknown>[];
}

/** Whether the problems are those that are shown already, at their places and with their fixes. */
function isShown(state: EditorState, file: AnalysedFile, diagnostics: readonly Diagnostic[]): boolean {
  if (JSON.stringify(state.field(answer)?.file.problems) !== JSON.stringify(file.problems)) return false;
  const shown: Place[] = [];
  forEachDiagnostic(state, (_, from, to) => shown.push({ from, to }));
  const [now, next] = [shown.sort(byPlace), [...diagnostics].sort(byPlace)];
  return now.length === next.length && now.every((d, i) => byPlace(d, next[i]!) === 0);
}

interface Place {
  from: number;
  to: number;
}

const byPlace = (a: Place, b: Place): number => a.from - b.from || a.to - b.to;

/** The message with the field that it is about, where neither it nor the place in the text says so. */
function sentence({ field, message, severity }: Problem): string {
  const name = /[^.]*$/.exec(field)![0];
  return severity !== "error" || name === "" || message.includes(name.replace(/\[\d+\]$/, "")) ? message : `${name}: ${message}`;
}

/** What the fix changes in the text as it is now; undefined where what it would change was changed since. */
export function changesOf(state: EditorState, fix: Fix): ChangeSpec[] | undefined {
  const now = state.field(answer);
  if (!now) return undefined;
  const edits = fix.edits.map((e) => ({ from: offsetOf(now.about, e.line, e.column), to: offsetOf(now.about, e.endLine, e.endColumn), insert: e.text }));
  if (edits.some((e) => now.since.touchesRange(e.from, e.to))) return undefined;
  return edits.map((e) => ({ from: now.since.mapPos(e.from, 1), to: now.since.mapPos(e.to, e.to > e.from ? -1 : 1), insert: e.insert }));
}

function applyFix(view: EditorView, fix: Fix): void {
  const changes = changesOf(view.state, fix);
  // Else the text is another by now, and a new answer about it is on its way.
  if (changes) view.dispatch({ changes, userEvent: "input.complete", scrollIntoView: true });
  view.focus();
}

/** What the innermost selector at the offset selects. */
export function selectedAt(state: EditorState, offset: number): Selected | undefined {
  return state.field(answer)?.selectors.find((s) => s.from <= offset && offset <= s.to);
}

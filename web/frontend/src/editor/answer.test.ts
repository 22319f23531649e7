import assert from "node:assert/strict";
import { test } from "node:test";
import { forEachDiagnostic } from "@codemirror/lint";
import { EditorState, Text } from "@codemirror/state";
import type { AnalysedFile, Problem } from "../answers.gen";
import { answer, changesOf, selectedAt, takeAnswer } from "./answer";
import { offsetOf } from "./places";

const text = "spec:\n  podSelector:\n    matchLabels:\n      app: apl\n  prot: 80\n";
const fix = { title: "Write api", edits: [{ line: 4, column: 12, endLine: 4, endColumn: 15, text: "api" }] };
const problem: Problem = { line: 4, column: 12, endLine: 4, endColumn: 15, severity: "error", code: "nobody", field: "spec.podSelector", message: "no pod has app=apl", fixes: [fix] };
const file: AnalysedFile = {
  id: "a", policies: [], setAside: [], problems: [problem],
  selectors: [
    { from: { line: 2, column: 3 }, to: { line: 4, column: 15 }, pods: ["production/api"], text: "selects production/api" },
    { from: { line: 1, column: 1 }, to: { line: 5, column: 11 }, pods: [], text: "selects no pod" },
  ],
};

function begin(): EditorState {
  const state = EditorState.create({ doc: text, extensions: answer });
  return state.update({ effects: takeAnswer(state, file) }).state;
}

const at = (word: string, doc = text): number => doc.indexOf(word);

function problems(state: EditorState): string[] {
  const found: string[] = [];
  forEachDiagnostic(state, (d, from, to) => found.push(`${state.sliceDoc(from, to)}: ${d.message}`));
  return found;
}

test("a_problem_is_at_its_place_and_stays_there_while_the_text_is_typed_on", () => {
  const state = begin();
  assert.deepEqual(problems(state), ["apl: podSelector: no pod has app=apl"]);
  assert.deepEqual(problems(state.update({ changes: { from: 0, insert: "# a comment\n" } }).state), ["apl: podSelector: no pod has app=apl"]);
});

test("a_message_that_names_the_field_is_not_given_it_twice", () => {
  const state = EditorState.create({ doc: text, extensions: answer });
  const taken = state.update({ effects: takeAnswer(state, { ...file, problems: [{ ...problem, field: "spec.ingress[0].from[1]", message: "from wants a list" }] }) }).state;
  assert.deepEqual(problems(taken), ["apl: from wants a list"]);
});

test("a_new_answer_takes_the_place_of_the_old_one", () => {
  const state = begin();
  assert.deepEqual(problems(state.update({ effects: takeAnswer(state, { ...file, problems: [] }) }).state), []);
});

test("the_innermost_selector_counts", () => {
  const state = begin();
  assert.equal(selectedAt(state, at("app"))?.text, "selects production/api");
  assert.equal(selectedAt(state, at("podSelector"))?.text, "selects production/api"); // the key counts, too
  assert.equal(selectedAt(state, at("prot"))?.text, "selects no pod");
});

test("a_selector_that_is_typed_into_is_not_shown_until_the_next_answer_and_the_others_move", () => {
  const state = begin().update({ changes: { from: at("spec"), insert: "# above\n" } }).state;
  assert.equal(selectedAt(state, at("app", state.doc.toString()))?.text, "selects production/api");
  const typed = begin().update({ changes: { from: at("prot"), insert: "x" } }).state;
  assert.equal(selectedAt(typed, at("prot")), undefined);
  assert.equal(selectedAt(typed, at("app"))?.text, "selects production/api");
});

test("a_fix_is_carried_out_where_its_text_is_by_now", () => {
  const state = begin().update({ changes: { from: 0, insert: "# above\n" } }).state;
  const changes = changesOf(state, fix)!;
  assert.equal(state.update({ changes }).state.doc.toString(), "# above\n" + text.replace("apl", "api"));
});

test("a_fix_of_what_was_changed_since_does_nothing", () => {
  const state = begin().update({ changes: { from: at("apl") + 1, insert: "x" } }).state;
  assert.equal(changesOf(state, fix), undefined);
});

test("a_fix_that_only_adds_is_carried_out_at_its_place", () => {
  const add = { title: "", edits: [{ line: 5, column: 1, endLine: 5, endColumn: 1, text: "  policyTypes: [Ingress]\n" }] };
  const state = begin().update({ changes: { from: 0, insert: "# above\n" } }).state;
  assert.equal(state.update({ changes: changesOf(state, add)! }).state.doc.toString(), "# above\n" + text.replace("  prot", "  policyTypes: [Ingress]\n  prot"));
});

test("columns_are_counted_in_characters_and_places_that_there_are_not_are_the_nearest", () => {
  const doc = Text.of(["😀a", "b"]);
  assert.equal(offsetOf(doc, 1, 2), 2);
  assert.equal(offsetOf(doc, 1, 3), 3);
  assert.equal(offsetOf(doc, 1, 99), 3);
  assert.equal(offsetOf(doc, 9, 1), 4);
  assert.equal(offsetOf(doc, 0, 0), 0);
});

test("the_same_problems_again_are_left_as_they_are_shown", () => {
  const state = begin();
  assert.equal(takeAnswer(state, file).length, 1);
  assert.equal(takeAnswer(state.update({ changes: { from: text.length, insert: "# more" } }).state, file).length, 1);
  // Other problems, other fixes, or another place are shown anew.
  assert.ok(takeAnswer(state, { ...file, problems: [{ ...problem, fixes: [] }] }).length > 1);
  assert.ok(takeAnswer(state.update({ changes: { from: 0, insert: "\n" } }).state, file).length > 1);
  assert.ok(takeAnswer(state, { ...file, problems: [] }).length > 1);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Analysis } from "./analysis";
import { nothing, type Model } from "./model";
import { sentence } from "./previewtext";
import { create, empty } from "./workspace/workspace";

const [drafted] = create(empty, "kind: NetworkPolicy\nmetadata: {name: a, namespace: b}\n");
const ready: Model = { ...nothing, state: "ready" };

function answer(more: Partial<Analysis>): Analysis {
  return { change: 1, files: [], summary: "2 flows would open.", why: null, of: drafted, expected: [], changes: [{ flow: "a>b:1/TCP", from: "blocked", to: "open" }], ...more };
}

test("the line says what Apply would do", () => {
  assert.equal(sentence({ analysis: answer({}), unanswered: undefined, model: ready, workspace: drafted }).text, "Preview: 2 flows would open.");
});

test("without a sandbox it says what the draft is compared with", () => {
  assert.equal(sentence({ analysis: answer({}), unanswered: undefined, model: nothing, workspace: drafted }).text, "Preview: 2 flows would open. Compared with no policies.");
});

test("an error in a file is what keeps the preview away", () => {
  const { expected: _, changes: __, ...rest } = answer({ summary: "No preview: line 4 has an error." });
  assert.equal(sentence({ analysis: rest, unanswered: undefined, model: ready, workspace: drafted }).text, "No preview: line 4 has an error.");
});

test("what Apply would refuse is said in its place", () => {
  assert.deepEqual(sentence({ analysis: answer({ refusal: "That would make 101 policies." }), unanswered: undefined, model: ready, workspace: drafted }), { text: "That would make 101 policies.", level: "refused" });
});

test("without a draft it says nothing", () => {
  assert.equal(sentence({ analysis: answer({ summary: "No flow would change.", changes: [] }), unanswered: undefined, model: ready, workspace: empty }).text, "");
});

test("until there is an answer about the draft it says nothing", () => {
  assert.equal(sentence({ analysis: answer({ summary: "No flow would change.", changes: [], of: empty }), unanswered: undefined, model: ready, workspace: drafted }).text, "");
});

test("a draft that changes nothing is said to", () => {
  assert.equal(sentence({ analysis: answer({ summary: "No flow would change.", changes: [] }), unanswered: undefined, model: ready, workspace: drafted }).text, "Preview: no flow would change.");
});

test("without the lab the last answer stays, and is said to be the last", () => {
  assert.deepEqual(sentence({ analysis: answer({}), unanswered: "You are offline.", model: ready, workspace: drafted }), {
    text: "No preview of your last change. You are offline. The last one said: 2 flows would open.",
    level: "stale",
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Analysis } from "./analysis";
import { nothing, type Model } from "./model";
import { sentence } from "./previewtext";
import { empty } from "./workspace/workspace";

const ready: Model = { ...nothing, state: "ready" };

function answer(more: Partial<Analysis>): Analysis {
  return { change: 1, files: [], summary: "2 flows would open.", why: null, of: empty, expected: [], changes: [{ flow: "a>b:1/TCP", from: "blocked", to: "open" }], ...more };
}

test("the line says what Apply would do", () => {
  assert.equal(sentence({ analysis: answer({}), unanswered: undefined, model: ready }).text, "Preview: 2 flows would open.");
});

test("without a sandbox it says what the draft is compared with", () => {
  assert.equal(sentence({ analysis: answer({}), unanswered: undefined, model: nothing }).text, "Preview: 2 flows would open. Compared with no policies.");
});

test("an error in a file is what keeps the preview away", () => {
  const { expected: _, changes: __, ...rest } = answer({ summary: "No preview: line 4 has an error." });
  assert.equal(sentence({ analysis: rest, unanswered: undefined, model: ready }).text, "No preview: line 4 has an error.");
});

test("what Apply would refuse is said in its place", () => {
  assert.deepEqual(sentence({ analysis: answer({ refusal: "That would make 101 policies." }), unanswered: undefined, model: ready }), { text: "That would make 101 policies.", level: "refused" });
});

test("without the lab the last answer stays, and is said to be the last", () => {
  assert.deepEqual(sentence({ analysis: answer({}), unanswered: "You are offline.", model: ready }), {
    text: "No preview of your last change. You are offline. The last one said: 2 flows would open.",
    level: "stale",
  });
});

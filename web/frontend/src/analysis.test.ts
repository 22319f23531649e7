import assert from "node:assert/strict";
import { test } from "node:test";
import { analyse, analysed } from "./analysis";
import { Refusal } from "./api";
import type { Analysis, AnalysisRequest } from "./answers.gen";
import { nothing } from "./model";
import { Store } from "./state";
import { edit, empty, type File } from "./workspace/workspace";

const file: File = { id: "a", text: "one", base: undefined, removed: false, conflict: undefined };

/** A store with one file, and the questions that are asked about it, each to be answered by hand. */
function lab(): { store: Store; asked: { request: AnalysisRequest; answer(): Promise<void>; refuse(why: Error): void }[]; type(text: string): void } {
  const store = new Store({ workspace: { ...empty, files: [file] } });
  const asked: ReturnType<typeof lab>["asked"] = [];
  analyse(store, (request) => {
    let resolve: (a: Analysis) => void, reject: (e: Error) => void;
    const promise = new Promise<Analysis>((yes, no) => ([resolve, reject] = [yes, no]));
    asked.push({
      request,
      async answer() {
        resolve({ change: 0, files: request.files.map((f) => ({ id: f.id, policies: [], problems: [], selectors: [], setAside: [] })), summary: request.files[0]?.text ?? "", why: null });
        await new Promise(setImmediate);
      },
      refuse: (why) => reject(why),
    });
    return promise;
  });
  return { store, asked, type: (text) => store.update({ workspace: edit(store.get().workspace, "a", text) }) };
}

test("the_draft_is_asked_about_at_once_and_the_answer_knows_what_it_is_about", async () => {
  const { store, asked } = lab();
  assert.deepEqual(asked[0]!.request, { files: [{ id: "a", text: "one" }] });
  await asked[0]!.answer();
  assert.equal(store.get().analysis?.summary, "one");
  assert.equal(analysed(store.get().analysis, "a")?.text, "one");
  assert.equal(analysed(store.get().analysis, "b"), undefined);
});

test("what_is_typed_while_a_question_is_out_is_asked_in_one_when_it_is_answered", async () => {
  const { store, asked, type } = lab();
  type("on");
  type("o");
  type("or");
  assert.equal(asked.length, 1);
  await asked[0]!.answer();
  assert.equal(asked.length, 2);
  assert.equal(asked[1]!.request.files[0]!.text, "or");
  assert.equal(analysed(store.get().analysis, "a")?.text, "one"); // still of the text before
  await asked[1]!.answer();
  assert.equal(store.get().analysis?.summary, "or");
  assert.equal(asked.length, 2);
});

test("a_chosen_flow_and_a_change_of_the_cluster_are_asked_about_and_what_is_not_part_of_it_is_not", async () => {
  const { store, asked } = lab();
  await asked[0]!.answer();
  store.update({ lit: new Set(["a/b"]) });
  store.update({ workspace: { ...store.get().workspace, change: 7 } });
  assert.equal(asked.length, 1);
  store.update({ chosen: "x" });
  assert.equal(asked[1]!.request.flow, "x");
  await asked[1]!.answer();
  store.update({ model: { ...nothing, change: 3 } });
  assert.equal(asked.length, 3);
});

test("a_file_that_is_to_be_removed_is_no_part_of_the_draft", async () => {
  const { store, asked } = lab();
  await asked[0]!.answer();
  store.update({ workspace: { ...store.get().workspace, files: [{ ...file, removed: true }] } });
  assert.deepEqual(asked[1]!.request.files, []);
});

test("a_question_that_is_refused_is_asked_again_after_a_while_with_what_is_there_then", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { store, asked, type } = lab();
  asked[0]!.refuse(new Refusal("too fast", 429));
  await new Promise(setImmediate);
  type("two");
  assert.equal(asked.length, 1);
  t.mock.timers.tick(1000);
  await new Promise(setImmediate);
  assert.equal(asked[1]!.request.files[0]!.text, "two");
  await asked[1]!.answer();
  assert.equal(store.get().analysis?.summary, "two");
});

test("what_is_refused_for_what_it_is_is_not_asked_again_until_it_is_something_else", async () => {
  const { asked, type } = lab();
  asked[0]!.refuse(new Refusal("no such lab", 404));
  await new Promise(setImmediate);
  assert.equal(asked.length, 1);
  type("two");
  assert.equal(asked.length, 2);
});

test("a_draft_that_is_too_long_is_not_sent_and_has_no_answer", async () => {
  const { store, asked, type } = lab();
  await asked[0]!.answer();
  type("x".repeat(300_000));
  assert.equal(asked.length, 1);
  assert.equal(store.get().analysis, undefined);
  type("short");
  assert.equal(asked[1]!.request.files[0]!.text, "short");
});

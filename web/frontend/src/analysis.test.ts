import assert from "node:assert/strict";
import { test } from "node:test";
import { analyse } from "./analysis";
import type { Analysis, AnalysisRequest } from "./answers.gen";
import { Refusal } from "./api";
import { Store } from "./state";
import { empty, type Workspace } from "./workspace/workspace";

function workspace(text: string): Workspace {
  return { ...empty, files: [{ id: "a", text, base: undefined, removed: false, conflict: undefined }] };
}

function answer(summary: string): Analysis {
  return { change: 0, files: [], summary, why: null };
}

/** A lab whose answers the test gives. */
class Lab {
  asked: { request: AnalysisRequest; signal: AbortSignal; answer: (a: Analysis) => void; fail: (error: Error) => void }[] = [];

  ask = (request: AnalysisRequest, signal: AbortSignal): Promise<Analysis> =>
    new Promise((resolve, reject) => {
      this.asked.push({ request, signal, answer: resolve, fail: reject });
      signal.addEventListener("abort", () => reject(new Refusal("broken off")));
    });
}

/** Lets everything run that is not waiting for a time or the lab. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("one question is asked at a time, and the next is about the newest draft", async () => {
  const [store, lab] = [new Store({ workspace: workspace("1") }), new Lab()];
  analyse(store, lab.ask);
  store.update({ workspace: workspace("12") });
  store.update({ workspace: workspace("123") });
  assert.deepEqual(lab.asked.map((q) => q.request.files[0]!.text), ["1"]);
  lab.asked[0]!.answer(answer("first"));
  await settle();
  assert.equal(store.get().analysis?.summary, "first");
  assert.equal(store.get().analysis?.of.files[0]!.text, "1");
  assert.deepEqual(lab.asked.map((q) => q.request.files[0]!.text), ["1", "123"]);
  lab.asked[1]!.answer(answer("second"));
  await settle();
  assert.equal(store.get().analysis?.summary, "second");
  assert.equal(lab.asked.length, 2);
});

test("a question that takes long is given up for a newer one, and its answer comes to nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [store, lab] = [new Store({ workspace: workspace("1") }), new Lab()];
  analyse(store, lab.ask);
  store.update({ workspace: workspace("12") });
  assert.equal(lab.asked[0]!.signal.aborted, false);
  t.mock.timers.tick(150);
  await settle();
  assert.equal(lab.asked[0]!.signal.aborted, true);
  assert.equal(lab.asked.length, 2);
  lab.asked[0]!.answer(answer("old"));
  lab.asked[1]!.answer(answer("new"));
  await settle();
  assert.equal(store.get().analysis?.summary, "new");
});

test("a question is not given up while nothing newer is written", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [store, lab] = [new Store({ workspace: workspace("1") }), new Lab()];
  analyse(store, lab.ask);
  t.mock.timers.tick(5000);
  await settle();
  assert.equal(lab.asked[0]!.signal.aborted, false);
  // Once it is late, the next key is reason enough.
  store.update({ workspace: workspace("12") });
  await settle();
  assert.equal(lab.asked[0]!.signal.aborted, true);
  assert.equal(lab.asked.length, 2);
});

test("without the lab the last answer stays and it is said why; then it is asked again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [store, lab] = [new Store({ workspace: workspace("1") }), new Lab()];
  analyse(store, lab.ask);
  lab.asked[0]!.answer(answer("good"));
  await settle();
  store.update({ workspace: workspace("12") });
  lab.asked[1]!.fail(new Refusal("You are offline."));
  await settle();
  assert.equal(store.get().analysis?.summary, "good");
  assert.equal(store.get().unanswered, "You are offline.");
  assert.equal(lab.asked.length, 2);
  t.mock.timers.tick(1000);
  await settle();
  assert.equal(lab.asked.length, 3);
  lab.asked[2]!.answer(answer("better"));
  await settle();
  assert.equal(store.get().analysis?.summary, "better");
  assert.equal(store.get().unanswered, undefined);
});

test("what the lab refuses for what it is is not sent again", async () => {
  const [store, lab] = [new Store({ workspace: workspace("1") }), new Lab()];
  analyse(store, lab.ask);
  lab.asked[0]!.fail(new Refusal("Too much.", 413));
  await settle();
  store.update({ lit: new Set(["production/web"]) });
  await settle();
  assert.equal(lab.asked.length, 1);
  assert.equal(store.get().unanswered, "Too much.");
});

test("the chosen flow is asked about, and a file that is to go is not", async () => {
  const w = workspace("1");
  const [store, lab] = [new Store({ workspace: { ...w, files: [...w.files, { ...w.files[0]!, id: "b", removed: true }] } }), new Lab()];
  analyse(store, lab.ask);
  lab.asked[0]!.answer(answer(""));
  await settle();
  store.update({ chosen: "production/web>production/api:8080/TCP" });
  assert.deepEqual(lab.asked[1]!.request, { files: [{ id: "a", text: "1" }], flow: "production/web>production/api:8080/TCP" });
});

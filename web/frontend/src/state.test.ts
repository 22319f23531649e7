import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "./state";

test("a_watcher_is_told_what_is_and_what_was", () => {
  const store = new Store({ chosen: "a" });
  const told: unknown[] = [];
  store.watch((now, before) => told.push([before.chosen, now.chosen]));
  store.update({ chosen: "b" });
  assert.deepEqual(told, [["a", "b"]]);
  assert.equal(store.get().chosen, "b");
});

test("what_a_watcher_changes_is_told_to_all_after_what_it_was_told_of", () => {
  const store = new Store({ chosen: "a", active: "1" });
  const told: unknown[] = [];
  store.watch((now, before) => now.chosen !== before.chosen && store.update({ active: "2" }));
  store.watch((now, before) => told.push([now.chosen, before.active, now.active]));
  store.update({ chosen: "b" });
  assert.deepEqual(told, [
    ["b", "1", "1"],
    ["b", "1", "2"],
  ]);
});

test("a_watcher_that_fails_does_not_silence_the_store", () => {
  const store = new Store();
  let told = 0;
  store.watch((now) => {
    told++;
    if (now.chosen === "bad") throw new Error("no");
  });
  assert.throws(() => store.update({ chosen: "bad" }), /no/);
  store.update({ chosen: "good" });
  assert.equal(told, 2);
});

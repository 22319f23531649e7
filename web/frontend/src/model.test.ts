import assert from "node:assert/strict";
import { test } from "node:test";
import type { Flip, Observation, SandboxEvent, Snapshot, Verdict } from "./events.gen";
import { changedByApply } from "./matrixview";
import { gone, nothing, reduce, type Model } from "./model";

const time = "2026-01-02T15:04:05Z";
const at = Date.parse(time);
const webToApi = "production/web>production/api:8080/TCP";
const webToDb = "production/web>production/db:5432/TCP";

let seq = 0;
function after(model: Model, ...bodies: object[]): Model {
  return bodies.reduce<Model>((m, body) => reduce(m, { seq: ++seq, time, ...body } as SandboxEvent), model);
}

function snapshot(s: Partial<Snapshot>): object {
  const empty = { id: "a", lab: "l", provider: "kind", state: "ready", steps: [], policies: [], change: 0, observations: [] };
  return { type: "snapshot", snapshot: { ...empty, ...s } };
}

function observations(change: number, ...flows: Observation[]): object {
  return { type: "observations", observations: { change, flows } };
}

function saw(flow: string, verdict: Verdict): Observation {
  return { flow, verdict };
}

test("a_snapshot_replaces_everything", () => {
  const old = after(nothing, observations(3, saw(webToApi, "blocked")), { type: "notice", notice: { level: "info", message: "m" } });
  const policies = [{ namespace: "production", name: "p" }];
  const model = after(old, snapshot({ state: "failed", reason: "r", change: 1, policies, observations: [saw(webToDb, "open")] }));
  assert.equal(model.state, "failed");
  assert.equal(model.reason, "r");
  assert.equal(model.change, 1);
  assert.deepEqual(model.policies, policies);
  assert.deepEqual([...model.flows.keys()], [webToDb]);
  assert.equal(model.notice, undefined);
  assert.equal(model.settled, undefined);
});

test("a_snapshot_tells_what_the_last_change_turned_and_the_next_change_begins_anew", () => {
  const flips: Flip[] = [{ flow: webToApi, from: "open", to: "blocked" }];
  const model = after(nothing, snapshot({ change: 3, observations: [saw(webToApi, "blocked"), saw(webToDb, "open")], flips }));
  assert.ok(changedByApply(model, webToApi));
  assert.ok(!changedByApply(model, webToDb));
  assert.equal(model.turned.size, 0, "when it turned is not known");
  const next = after(model, observations(4, saw(webToDb, "blocked")));
  assert.ok(!changedByApply(next, webToApi));
  assert.ok(changedByApply(next, webToDb));
});

test("an_event_leaves_the_model_before_it_as_it_was", () => {
  const before = after(nothing, snapshot({ observations: [saw(webToApi, "open")] }));
  const model = after(before, observations(1, saw(webToApi, "blocked")));
  assert.equal(before.flows.get(webToApi)?.verdict, "open");
  assert.equal(model.flows.get(webToApi)?.verdict, "blocked");
});

test("a_flow_that_is_not_told_of_keeps_its_very_observation", () => {
  const before = after(nothing, snapshot({ observations: [saw(webToApi, "open"), saw(webToDb, "open")] }));
  const model = after(before, observations(1, saw(webToApi, "blocked")));
  assert.equal(model.flows.get(webToDb), before.flows.get(webToDb));
});

test("a_step_replaces_the_one_with_its_index", () => {
  const step = (index: number, status: string) => ({ index, total: 2, name: `step ${index}`, status });
  const model = after(nothing, snapshot({ state: "creating" }), { type: "step", step: step(1, "running") }, { type: "step", step: step(2, "pending") }, { type: "step", step: { ...step(1, "done"), elapsedMillis: 2100 } });
  assert.deepEqual(model.steps, [{ ...step(1, "done"), elapsedMillis: 2100 }, step(2, "pending")]);
});

test("a_running_step_counts_from_its_events_time_less_what_it_has_taken", () => {
  const step = { index: 1, total: 1, name: "s", status: "running" };
  assert.equal(after(nothing, { type: "step", step }).steps[0]?.since, at);
  assert.equal(after(nothing, snapshot({ steps: [{ ...step, status: "running", elapsedMillis: 1500 }] })).steps[0]?.since, at - 1500);
  assert.equal(after(nothing, { type: "step", step: { ...step, status: "done" } }).steps[0]?.since, undefined);
});

test("a_new_change_is_measured_until_it_has_settled", () => {
  const ready = after(nothing, snapshot({ change: 1 }));
  const policies = { type: "policies", policies: { change: 2 } };
  assert.equal(after(ready, policies).settled, "measuring");
  const settled = { change: 2, tookMillis: 640, flows: 2, flips: 0 };
  assert.deepEqual(after(ready, policies, { type: "settled", settled }).settled, { ...settled, turned: [] });
});

test("what_turned_is_counted_from_before_the_change_whichever_of_its_events_is_first", () => {
  const ready = after(nothing, snapshot({ observations: [saw(webToApi, "open"), saw(webToDb, "open")] }));
  const policies = { type: "policies", policies: { change: 1 } };
  const settled = { type: "settled", settled: { change: 1, tookMillis: 640, flows: 2, flips: 2 } };
  const turn = [observations(1, saw(webToApi, "blocked")), observations(1, saw(webToDb, "dns-failed"))];
  for (const events of [[policies, ...turn], [turn[0]!, policies, turn[1]!], [...turn, policies]]) {
    const { settled: summary } = after(ready, ...events, settled);
    assert.ok(summary && summary !== "measuring");
    assert.deepEqual(summary.turned, [
      { from: "open", to: "blocked", count: 1 },
      { from: "open", to: "dns-failed", count: 1 },
    ]);
  }
});

test("a_flow_has_turned_when_its_verdict_is_another_and_not_when_it_is_first_known", () => {
  const ready = after(nothing, snapshot({ observations: [saw(webToApi, "open")] }));
  const model = after(ready, observations(1, saw(webToApi, "blocked"), saw(webToDb, "open")), observations(1, saw(webToDb, "open")));
  assert.deepEqual([...model.turned], [[webToApi, at]]);
  assert.equal(after(model, snapshot({})).turned.size, 0);
});

test("a_flow_that_turned_and_turned_back_has_not_turned", () => {
  const ready = after(nothing, snapshot({ observations: [saw(webToApi, "open")] }));
  const model = after(ready, observations(1, saw(webToApi, "blocked")), observations(1, saw(webToApi, "open")), {
    type: "settled",
    settled: { change: 1, tookMillis: 1, flows: 1, flips: 2 },
  });
  assert.ok(model.settled && model.settled !== "measuring");
  assert.deepEqual(model.settled.turned, []);
});

test("a_snapshot_brings_the_warning_that_holds", () => {
  const notice = { level: "warning", message: "The cluster's API does not answer." } as const;
  assert.deepEqual(after(nothing, snapshot({ notice })).notice, notice);
});

test("settling_ends_a_notice_that_was_for_information_but_not_a_warning", () => {
  const settled = { type: "settled", settled: { change: 1, tookMillis: 1, flows: 1, flips: 0 } };
  const told = (level: string) => after(nothing, snapshot({}), { type: "notice", notice: { level, message: "m" } }, settled).notice;
  assert.equal(told("info"), undefined);
  assert.equal(told("warning")?.message, "m");
});

test("a_notice_stays_until_the_state_changes", () => {
  const notice = { level: "warning", message: "The cluster's API does not answer." };
  const model = after(nothing, snapshot({}), { type: "notice", notice }, observations(0, saw(webToApi, "unknown")));
  assert.deepEqual(model.notice, notice);
  assert.equal(after(model, { type: "state", state: { state: "failed" } }).notice, undefined);
});

test("a_stopped_sandbox_has_no_policies_and_no_measured_flows", () => {
  const ready = after(nothing, snapshot({ policies: [{ namespace: "n", name: "p" }], observations: [saw(webToApi, "open")] }));
  for (const model of [after(ready, { type: "state", state: { state: "stopped", reason: "You stopped it." } }), gone(ready)]) {
    assert.equal(model.state, "stopped");
    assert.notEqual(model.reason, "");
    assert.deepEqual(model.policies, []);
    assert.equal(model.flows.size, 0);
  }
});

test("a_sandbox_that_went_away_while_stopping_keeps_the_reason", () => {
  const stopping = after(nothing, snapshot({}), { type: "state", state: { state: "stopping", reason: "You stopped it." } });
  assert.equal(gone(stopping).reason, "You stopped it.");
});

test("an_event_of_an_unknown_type_changes_nothing", () => {
  const model = after(nothing, snapshot({}));
  assert.equal(after(model, { type: "later", later: {} }), model);
});

test("a_change_of_policies_tells_what_changed_and_leaves_the_rest", () => {
  const ref = (full: string) => ({ namespace: full.split("/")[0]!, name: full.split("/")[1]! });
  const ready = after(nothing, snapshot({ policies: [ref("a/x"), ref("b/x"), ref("b/z")] }));
  const change = { change: 1, added: [ref("b/y"), ref("a/a")], changed: [ref("b/x")], removed: [ref("b/z")] };
  const model = after(ready, { type: "policies", policies: change });
  assert.deepEqual(model.policies, [ref("a/a"), ref("a/x"), ref("b/x"), ref("b/y")]);
  // Told again, as after a snapshot that has it already, it changes nothing.
  assert.deepEqual(after(model, { type: "policies", policies: change }).policies, model.policies);
  assert.deepEqual(after(model, { type: "policies", policies: { change: 2, removed: model.policies } }).policies, []);
});

const predictions = (change: number, verdict: Verdict, ...flows: string[]) => ({ change, policies: [], expected: [{ verdict, flows }] });

test("predictions_begin_a_change_and_come_with_a_snapshot", () => {
  const ready = after(nothing, snapshot({ predictions: predictions(0, "open", webToApi, webToDb), observations: [saw(webToApi, "open")] }));
  assert.deepEqual([...ready.expected], [[webToApi, "open"], [webToDb, "open"]]);
  const model = after(ready, { type: "predictions", predictions: predictions(1, "blocked", webToApi) });
  assert.deepEqual([...model.expected], [[webToApi, "blocked"]]);
  assert.equal(model.settled, "measuring");
  assert.equal(model.flows.get(webToApi)?.verdict, "open");
});

test("a_disagreement_holds_until_it_is_told_otherwise_or_the_policies_change", () => {
  const flows = [{ flow: webToApi, predicted: "blocked", observed: "open" }] as const;
  const told = after(nothing, snapshot({ change: 1 }), { type: "disagreement", disagreement: { change: 1, flows } });
  assert.deepEqual(told.disagreement, flows);
  assert.deepEqual(after(told, { type: "disagreement", disagreement: { change: 1, flows: [] } }).disagreement, []);
  assert.deepEqual(after(told, { type: "predictions", predictions: predictions(2, "open", webToApi) }).disagreement, []);
  assert.deepEqual(after(told, observations(1, saw(webToDb, "open"))).disagreement, flows);
  assert.deepEqual(after(told, { type: "state", state: { state: "failed" } }).disagreement, []);
  assert.deepEqual(after(nothing, snapshot({ disagreement: { change: 1, flows: [...flows] } })).disagreement, flows);
});

test("a_change_of_policies_tells_its_number_and_what_it_came_from", () => {
  const x = { namespace: "a", name: "x" };
  const seen = after(nothing, snapshot({ policies: [x], change: 3 }));
  assert.deepEqual([seen.policiesChange, seen.origin], [3, undefined]);
  const predicted = after(seen, { type: "predictions", predictions: { change: 4, policies: [], expected: [] } });
  assert.deepEqual([predicted.change, predicted.policiesChange], [4, 3]);
  const model = after(predicted, { type: "policies", policies: { change: 4, removed: [x], origin: "cluster" } });
  assert.deepEqual([model.policiesChange, model.origin, model.policies], [4, "cluster", []]);
});

test("a_place_in_the_queue_goes_with_the_state_and_an_end_when_it_is_put_off", () => {
  const queued = after(nothing, snapshot({ state: "queued" }), { type: "waiting", waiting: { place: 2, of: 2 } });
  assert.deepEqual(queued.waiting, { place: 2, of: 2 });
  assert.equal(after(queued, { type: "state", state: { state: "creating" } }).waiting, undefined);
  const at = "2026-01-02T15:19:05Z";
  const ending = after(nothing, snapshot({}), { type: "ends", ends: { at } });
  assert.deepEqual(ending.ends, { at });
  assert.equal(after(ending, { type: "ends", ends: { at, extended: true } }).ends, undefined);
});

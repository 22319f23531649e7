// src/model.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";

// src/model.ts
var nothing = {
  state: "none",
  reason: "",
  steps: [],
  policies: [],
  change: 0,
  flows: /* @__PURE__ */ new Map(),
  before: /* @__PURE__ */ new Map(),
  settled: void 0,
  notice: void 0
};
function reduce(model, event) {
  switch (event.type) {
    case "snapshot": {
      const s = event.snapshot;
      const flows = new Map(s.observations.map((o) => [o.flow, o]));
      return {
        state: s.state,
        reason: s.reason ?? "",
        steps: s.steps.map((step) => timed(step, event.time)),
        policies: s.policies,
        change: s.change,
        flows,
        before: flows,
        settled: void 0,
        notice: void 0
      };
    }
    case "state":
      if (event.state.state === "stopped") return stopped(model, event.state.reason ?? "");
      return { ...model, state: event.state.state, reason: event.state.reason ?? "", notice: void 0 };
    case "step": {
      const steps = [...model.steps];
      const at2 = steps.findIndex((s) => s.index === event.step.index);
      steps.splice(at2 < 0 ? steps.length : at2, at2 < 0 ? 0 : 1, timed(event.step, event.time));
      return { ...model, steps };
    }
    case "policies":
      return { ...changed(model, event.policies.change), policies: event.policies.policies };
    case "observations": {
      const next = changed(model, event.observations.change);
      const flows = new Map(next.flows);
      for (const o of event.observations.flows) flows.set(o.flow, o);
      return { ...next, flows };
    }
    case "settled": {
      const next = changed(model, event.settled.change);
      return { ...next, settled: { ...event.settled, turned: turned(next) } };
    }
    case "notice":
      return { ...model, notice: event.notice };
    default:
      return model;
  }
}
function gone(model) {
  return stopped(model, model.state === "stopping" ? model.reason : "The lab does not have it any more.");
}
function stopped(model, reason) {
  return { ...nothing, steps: model.steps, change: model.change, state: "stopped", reason };
}
function changed(model, change) {
  if (change <= model.change) return model;
  return { ...model, change, before: model.flows, settled: "measuring" };
}
function timed(step, time2) {
  if (step.status !== "running") return step;
  return { ...step, since: Date.parse(time2) - (step.elapsedMillis ?? 0) };
}
function turned(model) {
  const counts = {};
  for (const [id, now] of model.flows) {
    const old = model.before.get(id);
    if (old && old.verdict !== now.verdict) counts[now.verdict] = (counts[now.verdict] ?? 0) + 1;
  }
  return counts;
}

// src/model.test.ts
var time = "2026-01-02T15:04:05Z";
var at = Date.parse(time);
var webToApi = "production/web>production/api:8080/TCP";
var webToDb = "production/web>production/db:5432/TCP";
var seq = 0;
function after(model, ...bodies) {
  return bodies.reduce((m, body) => reduce(m, { seq: ++seq, time, ...body }), model);
}
function snapshot(s) {
  const empty = { id: "a", lab: "l", provider: "kind", state: "ready", steps: [], policies: [], change: 0, observations: [] };
  return { type: "snapshot", snapshot: { ...empty, ...s } };
}
function observations(change, ...flows) {
  return { type: "observations", observations: { change, flows } };
}
function saw(flow, verdict) {
  return { flow, verdict };
}
test("a_snapshot_replaces_everything", () => {
  const old = after(nothing, observations(3, saw(webToApi, "blocked")), { type: "notice", notice: { level: "info", message: "m" } });
  const policies = [{ namespace: "production", name: "p", yaml: "y" }];
  const model = after(old, snapshot({ state: "failed", reason: "r", change: 1, policies, observations: [saw(webToDb, "open")] }));
  assert.equal(model.state, "failed");
  assert.equal(model.reason, "r");
  assert.equal(model.change, 1);
  assert.deepEqual(model.policies, policies);
  assert.deepEqual([...model.flows.keys()], [webToDb]);
  assert.equal(model.notice, void 0);
  assert.equal(model.settled, void 0);
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
  const step = (index, status) => ({ index, total: 2, name: `step ${index}`, status });
  const model = after(nothing, snapshot({ state: "creating" }), { type: "step", step: step(1, "running") }, { type: "step", step: step(2, "pending") }, { type: "step", step: { ...step(1, "done"), elapsedMillis: 2100 } });
  assert.deepEqual(model.steps, [{ ...step(1, "done"), elapsedMillis: 2100 }, step(2, "pending")]);
});
test("a_running_step_counts_from_its_events_time_less_what_it_has_taken", () => {
  const step = { index: 1, total: 1, name: "s", status: "running" };
  assert.equal(after(nothing, { type: "step", step }).steps[0]?.since, at);
  assert.equal(after(nothing, snapshot({ steps: [{ ...step, status: "running", elapsedMillis: 1500 }] })).steps[0]?.since, at - 1500);
  assert.equal(after(nothing, { type: "step", step: { ...step, status: "done" } }).steps[0]?.since, void 0);
});
test("a_new_change_is_measured_until_it_has_settled", () => {
  const ready = after(nothing, snapshot({ change: 1 }));
  const policies = { type: "policies", policies: { change: 2, policies: [] } };
  assert.equal(after(ready, policies).settled, "measuring");
  const settled = { change: 2, tookMillis: 640, flows: 2, flips: 0 };
  assert.deepEqual(after(ready, policies, { type: "settled", settled }).settled, { ...settled, turned: {} });
});
test("what_turned_is_counted_from_before_the_change_whichever_of_its_events_is_first", () => {
  const ready = after(nothing, snapshot({ observations: [saw(webToApi, "open"), saw(webToDb, "open")] }));
  const policies = { type: "policies", policies: { change: 1, policies: [] } };
  const settled = { type: "settled", settled: { change: 1, tookMillis: 640, flows: 2, flips: 2 } };
  const turn = [observations(1, saw(webToApi, "blocked")), observations(1, saw(webToDb, "dns-failed"))];
  for (const events of [[policies, ...turn], [turn[0], policies, turn[1]], [...turn, policies]]) {
    const { settled: summary } = after(ready, ...events, settled);
    assert.ok(summary && summary !== "measuring");
    assert.deepEqual(summary.turned, { blocked: 1, "dns-failed": 1 });
  }
});
test("a_flow_that_turned_and_turned_back_has_not_turned", () => {
  const ready = after(nothing, snapshot({ observations: [saw(webToApi, "open")] }));
  const model = after(ready, observations(1, saw(webToApi, "blocked")), observations(1, saw(webToApi, "open")), {
    type: "settled",
    settled: { change: 1, tookMillis: 1, flows: 1, flips: 2 }
  });
  assert.ok(model.settled && model.settled !== "measuring");
  assert.deepEqual(model.settled.turned, {});
});
test("a_notice_stays_until_the_state_changes", () => {
  const notice = { level: "warning", message: "The cluster's API does not answer." };
  const model = after(nothing, snapshot({}), { type: "notice", notice }, observations(0, saw(webToApi, "unknown")));
  assert.deepEqual(model.notice, notice);
  assert.equal(after(model, { type: "state", state: { state: "failed" } }).notice, void 0);
});
test("a_stopped_sandbox_has_no_policies_and_no_measured_flows", () => {
  const ready = after(nothing, snapshot({ policies: [{ namespace: "n", name: "p", yaml: "" }], observations: [saw(webToApi, "open")] }));
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

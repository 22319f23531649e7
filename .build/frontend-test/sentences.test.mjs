// src/sentences.test.ts
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

// src/sentences.ts
var words = {
  open: "open",
  blocked: "blocked",
  refused: "refused",
  "dns-failed": "DNS failed",
  unknown: "unknown"
};
function status(model) {
  const parts = [stateSentence(model)];
  if (model.notice) parts.push(model.notice.message);
  return parts.filter(Boolean).join(" ");
}
function stateSentence(model) {
  switch (model.state) {
    case "none":
      return "You have no sandbox yet. Press Start to get a cluster of your own.";
    case "queued":
      return "Your sandbox waits for its turn.";
    case "creating": {
      const step = model.steps.find((s) => s.status === "running");
      return step ? `Your sandbox is being made, step ${step.index} of ${step.total}: ${step.name}.` : "Your sandbox is being made.";
    }
    case "ready":
      return "Your sandbox is ready: every cell of the matrix is measured in it.";
    case "stopping":
      return `Your sandbox is being stopped. ${model.reason}`.trim();
    case "stopped":
      return restart(`Your sandbox has stopped. ${model.reason}`.trim());
    case "failed":
      return restart(`Your sandbox has failed. ${model.reason}`.trim());
  }
}
function restart(sentence) {
  return /\bPress\b/.test(sentence) ? sentence : `${sentence} Press Start for a new one; your YAML stays in the editor.`;
}
function settled(summary) {
  if (summary === void 0) return "";
  if (summary === "measuring") return "Measuring what has changed\u2026";
  const all = `All ${summary.flows} flows measured after ${millis(summary.tookMillis)}.`;
  if (summary.flips === 0) return `No flow changed. ${all}`;
  const first = summary.firstFlipMillis === void 0 ? "" : ` The first changed after ${millis(summary.firstFlipMillis)}.`;
  return `${flips(summary)}.${first} ${all}`;
}
function flips(summary) {
  const order = ["blocked", "dns-failed", "refused", "open", "unknown"];
  const parts = order.filter((v) => summary.turned[v]).map((v) => `${summary.turned[v]} ${words[v]}`);
  const total = order.reduce((n2, v) => n2 + (summary.turned[v] ?? 0), 0);
  const n = total || summary.flips;
  const text = `${n} ${n === 1 ? "flow" : "flows"} changed`;
  return parts.length > 0 ? `${text}: ${parts.join(", ")}` : text;
}
function flow(id, seen) {
  const name = flowName(id);
  if (!seen) return `${name}: not measured yet`;
  const parts = [words[seen.verdict]];
  if (seen.latencyMicros) parts.push(millis(seen.latencyMicros / 1e3));
  if (seen.server) parts.push(`answered by ${seen.server}`);
  if (seen.detail) parts.push(seen.detail);
  return `${name}: ${parts.join(", ")}`;
}
function flowName(id) {
  const m = /^(.+)>(.+):(\d+\/[A-Z]+)(@name)?$/.exec(id);
  if (!m) return id;
  const via = m[4] ? " by name" : m[2] === "kube-system/kube-dns" ? "" : " by IP";
  return `${m[1]} to ${m[2]} ${m[3]}${via}`;
}
function elapsed(ms) {
  return `${(Math.max(0, ms) / 1e3).toFixed(1)} s`;
}
function millis(ms) {
  if (ms >= 1e3) return `${(ms / 1e3).toFixed(1)} s`;
  return `${ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1) : Math.round(ms)} ms`;
}

// src/sentences.test.ts
test("settled_says_what_turned_and_how_fast", () => {
  const summary = { change: 1, tookMillis: 640, firstFlipMillis: 130, flows: 99, flips: 31 };
  assert.equal(
    settled({ ...summary, turned: { blocked: 30, "dns-failed": 1 } }),
    "31 flows changed: 30 blocked, 1 DNS failed. The first changed after 130 ms. All 99 flows measured after 640 ms."
  );
  assert.equal(
    settled({ ...summary, flips: 1, turned: { open: 1 } }),
    "1 flow changed: 1 open. The first changed after 130 ms. All 99 flows measured after 640 ms."
  );
});
test("settled_without_a_flip_says_so", () => {
  assert.equal(
    settled({ change: 1, tookMillis: 1240, flows: 99, flips: 0, turned: {} }),
    "No flow changed. All 99 flows measured after 1.2 s."
  );
});
test("settled_after_a_snapshot_still_tells_the_servers_count", () => {
  assert.match(settled({ change: 1, tookMillis: 1, flows: 99, flips: 3, turned: {} }), /^3 flows changed\. /);
});
test("flow_says_both_ends_how_it_went_and_who_answered", () => {
  const seen = { flow: "", verdict: "open", latencyMicros: 420, server: "production/api" };
  assert.equal(
    flow("production/web>production/api:8080/TCP@name", seen),
    "production/web to production/api 8080/TCP by name: open, 0.4 ms, answered by production/api"
  );
  assert.equal(
    flow("production/web>internet:443/TCP", { flow: "", verdict: "blocked" }),
    "production/web to internet 443/TCP by IP: blocked"
  );
  assert.equal(
    flow("development/shell>kube-system/kube-dns:53/UDP", { flow: "", verdict: "unknown", detail: "the pod's probe does not answer" }),
    "development/shell to kube-system/kube-dns 53/UDP: unknown, the pod's probe does not answer"
  );
  assert.equal(flow("a/b>c/d:1/UDP", void 0), "a/b to c/d 1/UDP by IP: not measured yet");
});
test("status_names_the_running_step", () => {
  const steps = [
    { index: 1, total: 2, name: "Start the node", status: "done" },
    { index: 2, total: 2, name: "Start Kubernetes", status: "running" }
  ];
  assert.equal(
    status({ ...nothing, state: "creating", steps }),
    "Your sandbox is being made, step 2 of 2: Start Kubernetes."
  );
});
test("status_of_an_end_says_why_and_what_to_do_once", () => {
  assert.equal(
    status({ ...nothing, state: "stopped", reason: "You stopped it." }),
    "Your sandbox has stopped. You stopped it. Press Start for a new one; your YAML stays in the editor."
  );
  const reason = "The cluster is gone. Press Reset for a fresh one.";
  assert.equal(status({ ...nothing, state: "failed", reason }), `Your sandbox has failed. ${reason}`);
});
test("status_adds_the_notice", () => {
  const notice = { level: "info", message: "The cluster's API answers again." };
  assert.match(status({ ...nothing, state: "ready", notice }), /measured in it\. The cluster's API answers again\.$/);
});
test("elapsed_is_in_tenths_of_a_second_and_never_negative", () => {
  assert.equal(elapsed(2149), "2.1 s");
  assert.equal(elapsed(-30), "0.0 s");
});

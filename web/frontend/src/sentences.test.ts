import assert from "node:assert/strict";
import { test } from "node:test";
import type { Verdict } from "./events.gen";
import { nothing, type Turn } from "./model";
import * as sentences from "./sentences";
import type { Plan } from "./workspace/plan";

const turn = (from: Verdict, to: Verdict, count: number): Turn => ({ from, to, count });

test("settled_says_what_turned_and_how_fast", () => {
  const summary = { change: 1, tookMillis: 640, firstFlipMillis: 130, flows: 99, flips: 31 };
  assert.equal(
    sentences.settled({ ...summary, turned: [turn("open", "blocked", 30), turn("open", "dns-failed", 1)] }, false),
    "31 connections changed: 30 from open to blocked, 1 from open to DNS failed. The first changed after 130 ms. All 99 connections measured after 640 ms.",
  );
  assert.equal(
    sentences.settled({ ...summary, flips: 1, turned: [turn("dns-failed", "open", 1)] }, false),
    "1 connection changed: 1 from DNS failed to open. The first changed after 130 ms. All 99 connections measured after 640 ms.",
  );
});

test("settled_without_a_flip_says_so", () => {
  assert.equal(
    sentences.settled({ change: 1, tookMillis: 1240, flows: 99, flips: 0, turned: [] }, false),
    "No connection changed. All 99 connections measured after 1.2 s.",
  );
});

test("a_first_look_is_not_said_to_have_changed_nothing", () => {
  const summary = { change: 0, tookMillis: 1240, flows: 99, flips: 0, turned: [] };
  assert.equal(sentences.settled(summary, false), "All 99 connections measured after 1.2 s.");
  assert.equal(sentences.settled(summary, true), "All 99 connections worked out.");
});

test("where_the_lab_simulates_nothing_is_said_to_be_measured", () => {
  const summary = { change: 1, tookMillis: 640, firstFlipMillis: 130, flows: 99, flips: 31, turned: [turn("open", "blocked", 30), turn("open", "dns-failed", 1)] };
  assert.equal(sentences.settled(summary, true), "31 connections changed: 30 from open to blocked, 1 from open to DNS failed. All 99 connections worked out.");
  assert.equal(sentences.settled({ ...summary, flips: 0, turned: [] }, true), "No connection changed. All 99 connections worked out.");
  assert.equal(sentences.measuring("measuring", true), "Working out what has changed…");
  assert.equal(sentences.status({ ...nothing, state: "ready" }, true), "Your sandbox is ready: every cell of the matrix is worked out by simulation.");
  assert.equal(sentences.status(nothing, true), "You have no sandbox yet. Press Start to get a simulated cluster of your own.");
});

test("settled_after_a_snapshot_still_tells_the_servers_count", () => {
  assert.match(sentences.settled({ change: 1, tookMillis: 1, flows: 99, flips: 3, turned: [] }, false), /^3 connections changed\. /);
});

test("flow_says_both_ends_how_it_went_and_who_answered", () => {
  const seen = { flow: "", verdict: "open", latencyMicros: 420, server: "production/api" } as const;
  assert.equal(
    sentences.flow("production/web>production/api:8080/TCP@name", seen),
    "production/web to production/api 8080/TCP by name: open, 0.4 ms, answered by production/api",
  );
  assert.equal(
    sentences.flow("production/web>internet:443/TCP", { flow: "", verdict: "blocked" }),
    "production/web to internet 443/TCP by IP: blocked",
  );
  assert.equal(
    sentences.flow("development/shell>kube-system/kube-dns:53/UDP", { flow: "", verdict: "unknown", detail: "the pod's probe does not answer" }),
    "development/shell to kube-system/kube-dns 53/UDP: unknown, the pod's probe does not answer",
  );
  assert.equal(sentences.flow("a/b>c/d:1/UDP", undefined), "a/b to c/d 1/UDP by IP: not known yet");
});

test("status_names_the_running_step", () => {
  const steps = [
    { index: 1, total: 2, name: "Start the node", status: "done" },
    { index: 2, total: 2, name: "Start Kubernetes", status: "running" },
  ] as const;
  assert.equal(
    sentences.status({ ...nothing, state: "creating", steps }, false),
    "Your sandbox is being made, step 2 of 2: Start Kubernetes.",
  );
});

test("status_of_an_end_says_why_and_what_to_do_once", () => {
  assert.equal(
    sentences.status({ ...nothing, state: "stopped", reason: "You stopped it." }, false),
    "Your sandbox has stopped. You stopped it. Press Start for a new one; your policies stay in the workspace as drafts.",
  );
  const reason = "The cluster is gone. Press Reset for a fresh one.";
  assert.equal(sentences.status({ ...nothing, state: "failed", reason }, false), `Your sandbox has failed. ${reason}`);
});

test("status_adds_the_notice", () => {
  const notice = { level: "info", message: "The cluster's API answers again." } as const;
  assert.match(sentences.status({ ...nothing, state: "ready", notice }, false), /measured in it\. The cluster's API answers again\.$/);
});

test("elapsed_is_in_tenths_of_a_second_and_never_negative", () => {
  assert.equal(sentences.elapsed(2149), "2.1 s");
  assert.equal(sentences.elapsed(-30), "0.0 s");
});

test("disagreement_names_a_flow_and_blames_nobody", () => {
  const flow = { flow: "production/web>production/api:8080/TCP@name", predicted: "blocked", observed: "open" } as const;
  const one = "Prediction and measurement differ: production/web to production/api 8080/TCP by name was predicted to be blocked and is open";
  const end = ". That is not your mistake: what counts is what was measured.";
  assert.equal(sentences.disagreement([]), "");
  assert.equal(sentences.disagreement([flow]), one + end);
  assert.equal(sentences.disagreement([flow, flow]), one + ", and 1 more connection differs" + end);
  assert.equal(sentences.disagreement([flow, flow, flow]), one + ", and 2 more connections differ" + end);
});

const nothingPlanned: Plan = { added: [], changed: [], deleted: [], unnamed: [], blank: false, twice: [], conflicts: [] };

test("the_plan_names_all_that_is_deleted_and_few_of_the_others", () => {
  assert.equal(sentences.plan(nothingPlanned), "");
  assert.equal(sentences.plan({ ...nothingPlanned, added: ["a/x"] }), "Apply adds a/x.");
  assert.equal(
    sentences.plan({ ...nothingPlanned, added: ["a/1", "a/2", "a/3", "a/4"], changed: ["a/x", "a/y"], deleted: ["b/1", "b/2", "b/3", "b/4"] }),
    "Apply adds 4 policies, changes a/x and a/y, and deletes b/1, b/2, b/3 and b/4.",
  );
  assert.equal(sentences.applied({ ...nothingPlanned, deleted: ["a/x"] }), "Apply deleted a/x.");
});

test("drafts_are_named", () => {
  const text = (name: string): string => `kind: NetworkPolicy\nmetadata:\n  name: ${name}\n`;
  assert.equal(sentences.drafted(text("a")), "“a” is in the workspace as a draft.");
  assert.equal(sentences.drafted(text("a") + "---\n" + text("b")), "“a” and “b” are in the workspace as drafts.");
  assert.equal(sentences.drafted("# nothing"), "There is no policy in that text.");
});

test("while_a_change_is_measured_that_is_seen_and_nothing_is_said", () => {
  assert.equal(sentences.settled("measuring", false), "");
  assert.equal(sentences.measuring("measuring", false), "Measuring what has changed…");
  assert.equal(sentences.measuring(undefined, false), "");
});

test("flow_says_since_when_and_what_the_draft_would_make_of_it", () => {
  const seen = { flow: "", verdict: "blocked", latencyMicros: 3000 } as const;
  assert.equal(
    sentences.flow("a/b>c:1/TCP", seen, { ago: 5400, before: "open", would: "dns-failed", simulated: true }),
    "a/b to c 1/TCP by IP: blocked. It changed 5 s ago, it was open. By your draft it would fail at DNS",
  );
  assert.equal(sentences.flow("a/b>c:1/TCP", seen, { ago: 7_200_000, before: "blocked" }), "a/b to c 1/TCP by IP: blocked, 3 ms. It changed 2 h ago");
});

test("a_mark_says_in_words_what_colour_ring_and_corner_say", () => {
  assert.equal(sentences.mark("blocked", "", false), "blocked");
  assert.equal(sentences.mark("none", "open", true), "not known yet, would be open, changed last");
});

test("what_is_folded_and_found_is_counted", () => {
  assert.equal(sentences.openOf(2, 12, 12), "2 of 12 open");
  assert.equal(sentences.openOf(0, 0, 1), "1 connection, not known yet");
  assert.equal(sentences.ends([{ port: "" }, { port: "" }]), "2 pods");
  assert.equal(sentences.ends([{ port: "80" }]), "1 port");
  assert.equal(sentences.found(3, 161), "3 of 161 connections");
  assert.equal(sentences.found(0, 161), "No connection is like this");
  assert.equal(sentences.found(161, 161), "All 161 connections");
});

test("who_waits_is_told_their_place_and_when", () => {
  const queued = { ...nothing, state: "queued" } as const;
  assert.equal(sentences.status({ ...queued, waiting: { place: 3, of: 7, seconds: 40 } }, false), "Your sandbox waits for its turn: it is number 3 of 7. That will probably take 40 seconds; it starts by itself, so read on meanwhile.");
  assert.match(sentences.status({ ...queued, waiting: { place: 3, of: 7, seconds: 130 } }, false), /take 3 minutes;/);
  assert.match(sentences.status({ ...queued, waiting: { place: 1, of: 2, full: true } }, false), /number 1 of 2\. All sandboxes are in use/);
  assert.equal(sentences.status({ ...queued, waiting: { place: 1, of: 2 } }, false), "Your sandbox waits for its turn: it is number 1 of 2.");
});

test("an_end_that_is_near_is_told_by_the_learners_clock", () => {
  const at = new Date(2026, 2, 4, 18, 40);
  assert.equal(sentences.ending(nothing), "");
  assert.match(sentences.ending({ ...nothing, ends: { at: at.toISOString() } }), /^This sandbox ends at \D*0?6:40.*|18:40/);
});

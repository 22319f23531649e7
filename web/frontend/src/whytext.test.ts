import assert from "node:assert/strict";
import { test } from "node:test";
import type { Why } from "./answers.gen";
import { partsOf } from "./flow";
import { differ, placeName, question, sameWay, spoken } from "./whytext";

const why: Why = {
  flow: "production/web>production/api:8080/TCP@name",
  verdict: "dns-failed",
  steps: [
    { of: "name", ok: false, title: "web cannot look up the name api", text: "It may not ask.", policies: [], places: [] },
    { of: "egress", ok: false, title: "web may not open it", text: "default-deny-all isolates web.", policies: [], places: [] },
  ],
  remedy: null,
};

test("the question is about what is, or about what would be", () => {
  assert.equal(question("blocked", false), "Why is it blocked?");
  assert.equal(question("open", true), "Why would it be open?");
  assert.equal(question("dns-failed", false), "Why is the name not found?");
  assert.equal(question(undefined, false), "Why?");
});

test("a flow is told by its two ends, its port and how it is found", () => {
  assert.deepEqual(partsOf(why.flow), { from: "production/web", to: "production/api", port: "8080/TCP", via: "by name" });
  assert.equal(partsOf("production/web>kube-system/kube-dns:53/UDP").via, "question");
});

test("a screen reader is told the verdict and the first step that stops it", () => {
  assert.equal(spoken(why.flow, why), "production/web to production/api 8080/TCP by name: DNS failed. web cannot look up the name api. It may not ask.");
});

test("where the cluster does otherwise than predicted, nobody is blamed", () => {
  assert.match(differ("blocked", "open"), /^Predicted blocked, observed open\. This is not your mistake/);
});

test("a place is a line, or the lines from one to another", () => {
  assert.equal(placeName({ name: "deny", line: 7, endLine: 7 }), "deny:7");
  assert.equal(placeName({ name: "deny", line: 7, endLine: 9 }), "deny:7–9");
});

test("two ways are the same where they say the same", () => {
  assert.ok(sameWay(why, structuredClone(why)));
  assert.ok(!sameWay(why, { ...why, verdict: "open" }));
  assert.ok(!sameWay(why, undefined));
});

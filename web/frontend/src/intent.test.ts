import assert from "node:assert/strict";
import { test } from "node:test";
import type { Observation, Verdict } from "./events.gen";
import { allFlows, count, counted, flowsBetween, fromSeen, next, parse, wish, wishOf, type Wishes } from "./intent";
import type { Axes, End } from "./matrixview";

const end = (id: string): End => ({ id, group: id.split("/")[0]!, name: id, port: "", note: "" });
const axes: Axes = {
  from: [end("a/x"), end("a/y")],
  to: [end("a/y:80/TCP"), end("b/z:90/UDP")],
  flows: new Map([
    ["a/x>a/y:80/TCP", ["a/x>a/y:80/TCP", "a/x>a/y:80/TCP@name"]],
    ["a/x>b/z:90/UDP", ["a/x>b/z:90/UDP"]],
    ["a/y>b/z:90/UDP", ["a/y>b/z:90/UDP"]],
  ]),
};
const both = ["a/x>a/y:80/TCP", "a/x>a/y:80/TCP@name"];
const none: Wishes = new Map();

test("a cell goes round: open, closed, free", () => {
  let wishes = none;
  const seen: string[] = [];
  for (let i = 0; i < 3; i++) {
    wishes = wish(wishes, both, next(wishOf(wishes, both)));
    seen.push(wishOf(wishes, both));
  }
  assert.deepEqual(seen, ["open", "closed", "none"]);
  assert.equal(wishes.size, 0);
});

test("a cell whose flows are not wished alike says so, and becomes open", () => {
  const wishes = wish(none, [both[0]!], "open");
  assert.equal(wishOf(wishes, both), "mixed");
  assert.equal(next("mixed"), "open");
});

test("a row, a column or a namespace is all its flows", () => {
  assert.deepEqual(flowsBetween(axes, [axes.from[0]!], axes.to), [...both, "a/x>b/z:90/UDP"]);
  assert.deepEqual(flowsBetween(axes, axes.from, [axes.to[1]!]), ["a/x>b/z:90/UDP", "a/y>b/z:90/UDP"]);
  assert.equal(allFlows(axes).length, 4);
});

test("what was seen is wished for; what was not seen is free", () => {
  const verdicts: Record<string, Verdict> = { [both[0]!]: "open", [both[1]!]: "dns-failed", "a/x>b/z:90/UDP": "unknown" };
  const seen = new Map(Object.entries(verdicts).map(([flow, verdict]): [string, Observation] => [flow, { flow, verdict }]));
  assert.deepEqual([...fromSeen(seen, allFlows(axes))], [[both[0], "open"], [both[1], "closed"]]);
});

test("wishes are counted in a sentence", () => {
  assert.equal(counted(count(none, allFlows(axes))), "Nothing is wished for yet.");
  assert.equal(counted(count(wish(none, both, "closed"), allFlows(axes))), "0 to be open, 2 to be closed, 2 free.");
});

test("what was kept is read with care", () => {
  const flows = allFlows(axes);
  assert.equal(parse(null, flows).size, 0);
  assert.equal(parse("{", flows).size, 0);
  assert.equal(parse("null", flows).size, 0);
  const kept = JSON.stringify({ [both[0]!]: "open", [both[1]!]: "ajar", "not/there>a/b:1/TCP": "open" });
  assert.deepEqual([...parse(kept, flows)], [[both[0], "open"]]);
});

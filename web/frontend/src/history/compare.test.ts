import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "../answers.gen";
import type { Flip } from "../events.gen";
import { beside, flows, lines, pointBefore, policies } from "./compare";

const shown = (before: string, after: string): string[] => lines(before, after).map((l) => ({ same: " ", added: "+", removed: "-" })[l.what] + l.text);

test("a_text_differs_in_the_fewest_lines", () => {
  assert.deepEqual(shown("a\nb\nc\n", "a\nB\nc\n"), [" a", "-b", "+B", " c"]);
  assert.deepEqual(shown("a\nb\nc\n", "a\nc\nb\n"), [" a", "-b", " c", "+b"]);
  assert.deepEqual(shown("", "a\n"), ["+a"]);
  assert.deepEqual(shown("a\n", ""), ["-a"]);
  assert.deepEqual(shown("x\n", "x\n"), [" x"]);
});

test("what_two_texts_share_stands_in_the_same_row_and_neither_loses_a_line", () => {
  const rows = beside("a\nmine\nmine too\nb\nend\n", "a\ntheirs\nb\nmore\nend\n").map((row) => row.map((line) => line?.text));
  assert.deepEqual(rows, [["a", "a"], ["mine", "theirs"], ["mine too", undefined], ["b", "b"], [undefined, "more"], ["end", "end"]]);
});

test("both_texts_can_be_read_from_their_difference", () => {
  let seed = 7;
  const next = (n: number): number => (seed = (seed * 1664525 + 1013904223) >>> 0) % n;
  for (let round = 0; round < 300; round++) {
    const text = (): string => Array.from({ length: next(12) }, () => "abcd"[next(4)]! + "\n").join("");
    const [a, b] = [text(), text()];
    const all = lines(a, b);
    const side = (without: string): string => all.filter((l) => l.what !== without).map((l) => l.text + "\n").join("");
    assert.equal(side("added"), a);
    assert.equal(side("removed"), b);
  }
});

test("long_texts_are_compared_in_bounded_time", () => {
  const a = Array.from({ length: 5000 }, (_, i) => `a${i}\n`).join("");
  const b = Array.from({ length: 5000 }, (_, i) => `b${i}\n`).join("");
  const begun = performance.now();
  assert.equal(lines(a, b).length, 10_000);
  assert.ok(performance.now() - begun < 2000);
});

test("policies_are_compared_by_their_names_and_those_that_stay_are_left_out", () => {
  const p = (name: string, yaml: string): { namespace: string; name: string; yaml: string } => ({ namespace: "production", name, yaml });
  const found = policies([p("a", "1\n"), p("b", "1\n"), p("c", "1\n")], [p("a", "1\n"), p("b", "2\n"), p("d", "1\n")]);
  assert.deepEqual(found.map((d) => `${d.name} ${d.what} ${d.lines.length}`), ["production/b changed 2", "production/c removed 1", "production/d added 1"]);
});

const entry = (change: number, settled: boolean, ...flips: Flip[]): Entry => ({ change, origin: "apply", time: "2026-01-02T15:04:05Z", settled, flips });

test("what_turned_between_two_points_is_what_is_left_of_all_changes_between", () => {
  const all = [
    entry(1, true, { flow: "x", from: "open", to: "blocked" }),
    entry(3, true, { flow: "x", from: "blocked", to: "dns-failed" }, { flow: "y", from: "open", to: "blocked" }),
    entry(4, true, { flow: "y", from: "blocked", to: "open" }),
    entry(5, false),
  ];
  assert.deepEqual(flows(all, 0, 4), { turned: [{ flow: "x", from: "open", to: "dns-failed" }], whole: true });
  assert.deepEqual(flows(all, 1, 3).turned.map((f) => f.flow), ["x", "y"]);
  assert.deepEqual(flows(all, 3, 3), { turned: [], whole: true });
  assert.equal(flows(all, 0, 5).whole, false);
  assert.equal(pointBefore(all, 0, 4), 3);
  assert.equal(pointBefore(all, 0, 1), 0);
});

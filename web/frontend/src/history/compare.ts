// The difference between two points of the history: by the policies' texts, and by what
// the connections came to. Pure: no DOM.

import type { Entry } from "../answers.gen";
import type { Verdict } from "../events.gen";
import { nameOf } from "../model";
import type { Base } from "../workspace/workspace";

/** A line of a text's difference. */
export interface Line {
  what: "same" | "added" | "removed";
  text: string;
}

export interface PolicyDifference {
  name: string;
  what: "added" | "removed" | "changed";
  lines: Line[];
}

/** What differs between the two, by the policies' names; policies that are the same are left out. */
export function policies(before: readonly Base[], after: readonly Base[]): PolicyDifference[] {
  const [old, now] = [before, after].map((all) => new Map(all.map((p) => [nameOf(p), p.yaml]))) as [Map<string, string>, Map<string, string>];
  return [...new Set([...old.keys(), ...now.keys()])]
    .sort()
    .filter((name) => old.get(name) !== now.get(name))
    .map((name) => ({
      name,
      what: !old.has(name) ? "added" : !now.has(name) ? "removed" : "changed",
      lines: lines(old.get(name) ?? "", now.get(name) ?? ""),
    }));
}

/** How many lines two texts may have for each pair of them to be compared. */
const mostPairs = 2_000_000;

/** The difference line by line: the fewest lines that have to go and to come. */
export function lines(before: string, after: string): Line[] {
  const split = (text: string): string[] => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));
  let [a, b] = [split(before), split(after)];
  const head: Line[] = [];
  const tail: Line[] = [];
  const same = (text: string): Line => ({ what: "same", text });
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) head.push(same(a[start++]!));
  [a, b] = [a.slice(start), b.slice(start)];
  while (a.length > 0 && b.length > 0 && a.at(-1) === b.at(-1)) {
    tail.unshift(same(a.pop()!));
    b.pop();
  }
  return [...head, ...between(a, b), ...tail];
}

function between(a: readonly string[], b: readonly string[]): Line[] {
  const removed = (text: string): Line => ({ what: "removed", text });
  const added = (text: string): Line => ({ what: "added", text });
  if (a.length * b.length > mostPairs) return [...a.map(removed), ...b.map(added)];
  // longest[i][j] is how many lines the rests from i and j have in common, in order.
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = a[i] === b[j] ? longest[(i + 1) * width + j + 1]! + 1 : Math.max(longest[(i + 1) * width + j]!, longest[i * width + j + 1]!);
    }
  }
  const out: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ what: "same", text: a[i]! });
      i++;
      j++;
    } else if (i < a.length && (j === b.length || longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)) out.push(removed(a[i++]!));
    else out.push(added(b[j++]!));
  }
  return out;
}

/** Both texts line by line, beside each other; undefined where one has no line for the other's. */
export function beside(left: string, right: string): [Line | undefined, Line | undefined][] {
  const out: [Line | undefined, Line | undefined][] = [];
  let [gone, come]: [Line[], Line[]] = [[], []];
  const flush = (): void => {
    for (let i = 0; i < Math.max(gone.length, come.length); i++) out.push([gone[i], come[i]]);
    [gone, come] = [[], []];
  };
  for (const line of lines(left, right)) {
    if (line.what === "removed") gone.push(line);
    else if (line.what === "added") come.push(line);
    else {
      flush();
      out.push([line, line]);
    }
  }
  flush();
  return out;
}

export interface FlowDifference {
  flow: string;
  from: Verdict;
  to: Verdict;
}

/** What the connections were at the one point and at the other. */
export interface Flows {
  turned: FlowDifference[];
  /** Whether the effect of every change between the two was measured. */
  whole: boolean;
}

/** The difference of the connections between the points after the two changes, the earlier first. */
export function flows(entries: readonly Entry[], from: number, to: number): Flows {
  const seen = new Map<string, FlowDifference>();
  let whole = true;
  for (const entry of entries) {
    if (entry.change <= from || entry.change > to) continue;
    whole &&= entry.settled;
    for (const flip of entry.flips ?? []) {
      const first = seen.get(flip.flow);
      seen.set(flip.flow, { ...flip, from: first?.from ?? flip.from });
    }
  }
  return { turned: [...seen.values()].filter((f) => f.from !== f.to).sort((a, b) => (a.flow < b.flow ? -1 : 1)), whole };
}

/** The change before the entry's, which is the point that it is compared with. */
export function pointBefore(entries: readonly Entry[], oldest: number, change: number): number {
  return entries.findLast((e) => e.change < change)?.change ?? oldest;
}

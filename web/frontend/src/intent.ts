// What the learner wants: a wish for each flow, or none. Pure: no DOM, no network.

import type { Wish } from "./answers.gen";
import type { Observation } from "./events.gen";
import type { Axes, End } from "./matrixview";
import { pairOf } from "./matrixview";

export type Wishes = ReadonlyMap<string, Wish>;

/** What a cell's flows are wished to be: all the same, not all the same, or nothing. */
export type CellWish = Wish | "mixed" | "none";

/** The wish of several flows together. */
export function wishOf(wishes: Wishes, flows: readonly string[]): CellWish {
  const all = new Set(flows.map((f) => wishes.get(f) ?? "none"));
  return all.size === 1 ? [...all][0]! : all.size === 0 ? "none" : "mixed";
}

/** The wish that comes next where one goes round: open, closed, none. */
export function next(wish: CellWish): Wish | "none" {
  return wish === "open" ? "closed" : wish === "closed" ? "none" : "open";
}

/** The wishes with another for these flows. */
export function wish(wishes: Wishes, flows: readonly string[], what: Wish | "none"): Wishes {
  const out = new Map(wishes);
  for (const flow of flows) {
    if (what === "none") out.delete(flow);
    else out.set(flow, what);
  }
  return out;
}

/** Wishes for what was seen: what got through is to be open, what did not is to be closed. */
export function fromSeen(seen: ReadonlyMap<string, Observation>, flows: readonly string[]): Wishes {
  const out = new Map<string, Wish>();
  for (const flow of flows) {
    switch (seen.get(flow)?.verdict) {
      case "open":
      case "refused": // It got there, and nobody listened.
        out.set(flow, "open");
        break;
      case "blocked":
      case "dns-failed":
        out.set(flow, "closed");
        break;
    }
  }
  return out;
}

/** The flows between the sources and the destinations. */
export function flowsBetween(axes: Axes, from: readonly End[], to: readonly End[]): string[] {
  return from.flatMap((f) => to.flatMap((t) => axes.flows.get(pairOf(f.id, t.id)) ?? []));
}

export function allFlows(axes: Axes): string[] {
  return flowsBetween(axes, axes.from, axes.to);
}

export interface Count {
  readonly open: number;
  readonly closed: number;
  readonly none: number;
}

export function count(wishes: Wishes, flows: readonly string[]): Count {
  let open = 0;
  let closed = 0;
  for (const flow of flows) {
    const is = wishes.get(flow);
    if (is === "open") open++;
    else if (is === "closed") closed++;
  }
  return { open, closed, none: flows.length - open - closed };
}

/** Says how many there are: "3 to be open, 20 to be closed, 76 free". */
export function counted({ open, closed, none }: Count): string {
  if (open + closed === 0) return "Nothing is wished for yet.";
  return `${open} to be open, ${closed} to be closed, ${none} free.`;
}

const words: Record<CellWish, string> = {
  open: "to be open",
  closed: "to be closed",
  mixed: "by address and by name not alike",
  none: "free",
};

export function wordOf(is: CellWish): string {
  return words[is];
}

export const symbols: Record<CellWish, string> = { open: "✓", closed: "✕", mixed: "½", none: "·" };

/** The wishes as they are kept; the flows are those that the lab has. */
export function parse(text: string | null, flows: readonly string[]): Wishes {
  const known = new Set(flows);
  const out = new Map<string, Wish>();
  try {
    const kept: unknown = JSON.parse(text ?? "{}");
    if (typeof kept !== "object" || kept === null) return out;
    for (const [flow, is] of Object.entries(kept)) if (known.has(flow) && (is === "open" || is === "closed")) out.set(flow, is);
  } catch {
    // What is spoilt is forgotten.
  }
  return out;
}

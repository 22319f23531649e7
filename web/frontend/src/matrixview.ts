// What of the matrix is seen, and in which rows and columns. Pure: no DOM.

import type { Observation, Verdict } from "./events.gen";
import type { Model } from "./model";

/** A row or a column where nothing is folded: a source, or a port that flows lead to. */
export interface End {
  /** As the IDs of flows have it: "production/web", or "production/api:8080/TCP". */
  readonly id: string;
  /** The namespace, or what stands for one. */
  readonly group: string;
  readonly name: string;
  /** The port of a destination. */
  readonly port: string;
  /** What a source is, in a few words. */
  readonly note: string;
}

/** Which of the two ends of a flow an end is. */
export type Side = "from" | "to";

export interface Axes {
  readonly from: readonly End[];
  readonly to: readonly End[];
  /** The flows between a source and a destination, by address first. */
  readonly flows: ReadonlyMap<string, readonly string[]>;
}

/** The key of a source and a destination in Axes.flows. */
export function pairOf(from: string, to: string): string {
  return `${from}>${to}`;
}

/** The pod or host of a row or a column: "production/api" of "production/api:8080/TCP". */
export function podOf(end: string): string {
  return end.replace(/:\d+\/[A-Z]+$/, "");
}

/** How the learner wants to see the matrix. */
export interface View {
  readonly transposed: boolean;
  /** Groups that are folded, as foldOf names them. */
  readonly folded: ReadonlySet<string>;
}

/** The name of a group on one side: a namespace folds as rows and as columns. */
export function foldOf(side: Side, group: string): string {
  return `${side} ${group}`;
}

/** A row or a column: of one end, or of all ends of a folded group. */
export interface Line {
  readonly ends: readonly End[];
  readonly folded: boolean;
}

export interface Group {
  readonly name: string;
  readonly side: Side;
  readonly folded: boolean;
  readonly lines: readonly Line[];
}

export interface Layout {
  readonly rows: readonly Group[];
  readonly columns: readonly Group[];
}

/** The rows and columns of what is shown. An end without a flow that is shown is left out. */
export function layOut(axes: Axes, view: View, shown: (flow: string) => boolean): Layout {
  const seen = { from: new Set<string>(), to: new Set<string>() };
  for (const from of axes.from) {
    for (const to of axes.to) {
      if (!axes.flows.get(pairOf(from.id, to.id))?.some(shown)) continue;
      seen.from.add(from.id);
      seen.to.add(to.id);
    }
  }
  const groups = (side: Side): Group[] => {
    const all: { name: string; ends: End[] }[] = [];
    for (const end of axes[side]) {
      if (!seen[side].has(end.id)) continue;
      if (all.at(-1)?.name !== end.group) all.push({ name: end.group, ends: [] });
      all.at(-1)!.ends.push(end);
    }
    return all.map(({ name, ends }) => {
      const folded = view.folded.has(foldOf(side, name));
      return { name, side, folded, lines: folded ? [{ ends, folded }] : ends.map((end) => ({ ends: [end], folded })) };
    });
  };
  const [rows, columns] = [groups("from"), groups("to")];
  return view.transposed ? { rows: columns, columns: rows } : { rows, columns };
}

/** The flows of a cell: those from its sources to its destinations. */
export function flowsOf(axes: Axes, from: Line, to: Line): string[] {
  return from.ends.flatMap((f) => to.ends.flatMap((t) => axes.flows.get(pairOf(f.id, t.id)) ?? []));
}

/** Which flows the learner looks for. */
export interface Filter {
  /** Words that a flow has; with > between them, those of its source and of its destination. */
  readonly text: string;
  /** Empty for any. */
  readonly verdict: Verdict | "none" | "";
  /** Flows that the draft would change, that the last Apply has changed, or that changed in the last so many seconds; empty for all. */
  readonly changed: "draft" | "apply" | number | "";
}

export const everything: Filter = { text: "", verdict: "", changed: "" };

export function isActive(f: Filter): boolean {
  return f.text.trim() !== "" || f.verdict !== "" || f.changed !== "";
}

/** What a filter asks about, at a time of the server's clock in milliseconds. */
export interface Known {
  readonly model: Model;
  /** What flows would become by the draft, where that is another verdict. */
  readonly would: ReadonlyMap<string, Verdict>;
  readonly now: number;
}

/** Whether a flow is among those that the filter lets through. */
export function passes(f: Filter, known: Known): (flow: string) => boolean {
  const [source, target] = f.text.toLowerCase().split(/>|→/, 2);
  const words = (text: string | undefined): string[] => (text ?? "").split(/\s+/).filter(Boolean);
  const [first, second] = [words(source), words(target)];
  const both = target === undefined;
  return (id) => {
    if (f.verdict && (known.model.flows.get(id)?.verdict ?? "none") !== f.verdict) return false;
    if (f.changed === "draft" && !known.would.has(id)) return false;
    if (f.changed === "apply" && !changedByApply(known.model, id)) return false;
    if (typeof f.changed === "number" && !(known.now - (known.model.turned.get(id) ?? -Infinity) <= f.changed * 1000)) return false;
    if (first.length + second.length === 0) return true;
    const text = id.toLowerCase().replace("@name", " by name");
    const at = text.indexOf(">");
    const [from, to] = both ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    return first.every((w) => from.includes(w)) && second.every((w) => to.includes(w));
  };
}

/** Whether the last change of policies has given the flow another verdict. */
export function changedByApply(model: Model, flow: string): boolean {
  const [before, now] = [model.before.get(flow), model.flows.get(flow)];
  return before !== undefined && now !== undefined && before !== now && before.verdict !== now.verdict;
}

/** How many of the flows are open, and of how many anything is known. */
export function sum(flows: readonly string[], seen: ReadonlyMap<string, Observation>): { open: number; known: number; all: number } {
  let [open, known] = [0, 0];
  for (const id of flows) {
    const verdict = seen.get(id)?.verdict;
    if (verdict) known++;
    if (verdict === "open") open++;
  }
  return { open, known, all: flows.length };
}

// What Apply is going to do, before it is pressed.

import type { Ref } from "../events.gen";
import { nameOf } from "../model";
import { documents, refOf, same } from "./text";
import { inForce as policiesOf, type File, type Workspace } from "./workspace";

export interface Plan {
  /** The policies' names, "namespace/name", in the order of the files; deleted ones sorted. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly deleted: readonly string[];
  /** The files that have something to apply and do not say which policy they are. */
  readonly unnamed: readonly File[];
  /** The names that several policies of the workspace have, with their files. */
  readonly twice: readonly { readonly name: string; readonly files: readonly File[] }[];
  /** Whether there is nothing in any file. */
  readonly blank: boolean;
  /** The files whose policy was changed elsewhere, until that is decided. */
  readonly conflicts: readonly File[];
}

/** Several panels ask after each key. */
const plans = new WeakMap<Workspace, Plan>();

export function planOf(workspace: Workspace): Plan {
  const known = plans.get(workspace) ?? read(workspace);
  plans.set(workspace, known);
  return known;
}

function read(workspace: Workspace): Plan {
  const inForce = new Map(policiesOf(workspace).map((p) => [nameOf(p), p]));
  const wanted = new Map<string, { files: File[]; text: string }>();
  const unnamed: File[] = [];
  for (const file of workspace.files) {
    if (file.removed) continue;
    const all = documents(file.text);
    for (const text of all) {
      const ref: Ref | undefined = refOf(text) ?? (all.length === 1 ? file.base : undefined);
      if (!ref) {
        if (!unnamed.includes(file)) unnamed.push(file);
        continue;
      }
      const name = nameOf(ref);
      const there = wanted.get(name);
      if (there) there.files.push(file);
      else wanted.set(name, { files: [file], text });
    }
  }
  const names = [...wanted.keys()];
  return {
    added: names.filter((name) => !inForce.has(name)),
    changed: names.filter((name) => inForce.has(name) && !same(inForce.get(name)!.yaml, wanted.get(name)!.text)),
    deleted: [...inForce.keys()].filter((name) => !wanted.has(name)).sort(),
    unnamed,
    blank: wanted.size === 0 && unnamed.length === 0,
    twice: names.map((name) => ({ name, files: wanted.get(name)!.files })).filter((t) => t.files.length > 1),
    conflicts: workspace.files.filter((f) => f.conflict),
  };
}

/** Whether Apply has anything to do. */
export function isNothing(plan: Plan): boolean {
  return plan.added.length + plan.changed.length + plan.deleted.length + plan.unnamed.length === 0;
}

/** What is sent for the workspace. */
export interface Whole {
  readonly text: string;
  /** The text of each file that is part of it. */
  readonly sent: ReadonlyMap<string, string>;
  /** The file that a line of the text comes from, and which of its lines that is; both count from 1. */
  at(line: number): { file: string; line: number } | undefined;
}

export function wholeOf(workspace: Workspace): Whole {
  const starts: { file: string; line: number }[] = [];
  const sent = new Map<string, string>();
  let text = "";
  let line = 1;
  for (const file of workspace.files) {
    if (file.removed || documents(file.text).length === 0) continue;
    if (text !== "") {
      text += "---\n";
      line++;
    }
    starts.push({ file: file.id, line });
    sent.set(file.id, file.text);
    const part = file.text.trimEnd() + "\n";
    text += part;
    line += part.split("\n").length - 1;
  }
  return {
    text,
    sent,
    at(line) {
      const start = starts.findLast((s) => s.line <= line);
      return start && line > 0 ? { file: start.file, line: line - start.line + 1 } : undefined;
    },
  };
}

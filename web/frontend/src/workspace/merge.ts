// How what the cluster has comes into the workspace: edits are never overwritten.

import type { Ref } from "../events.gen";
import { nameOf } from "../model";
import { refOf, same } from "./text";
import { changed, record, stateOf, title, type Base, type File, type Workspace } from "./workspace";

/** The policies in force in a sandbox, and the number of the change that they come of. */
export interface InForce {
  readonly sandbox: string;
  readonly change: number;
  readonly policies: readonly Base[];
}

/**
 * The workspace with what is in force now. A file without edits follows; where there are
 * edits and the policy was changed as well, the file has a conflict. The words say where it
 * was changed: "in another tab".
 */
export function merge(workspace: Workspace, now: InForce, where: string): Workspace {
  const known = workspace.sandbox === now.sandbox;
  const before = known ? workspace : withoutBlanks(detach(workspace));
  const after = { ...before, ...merged(before, now, where), sandbox: now.sandbox, change: now.change };
  return known ? record(workspace, after, cameIn(workspace, after, where)) : after;
}

/** The workspace after its own Apply. What was typed since the texts were sent stays a draft. */
export function applied(workspace: Workspace, sent: ReadonlyMap<string, string>, now: InForce): Workspace {
  const wasSent = changed(workspace, (f) => {
    const text = sent.get(f.id);
    // It was to be removed then, and is to stay now.
    if (text === undefined) return !f.removed && f.base && !now.policies.some((p) => nameOf(p) === nameOf(f.base!)) ? { ...f, base: undefined } : f;
    const ref = refOf(text) ?? f.base;
    return ref ? { ...f, base: { namespace: ref.namespace, name: ref.name, yaml: text } } : f;
  });
  const after = { ...wasSent, ...merged(wasSent, now, ""), sandbox: now.sandbox, change: now.change };
  // Whatever was sent is in force; what has no policy of its own, such as a list of
  // several, has become others' files.
  return { ...after, files: after.files.filter((f) => f.base !== undefined || sent.get(f.id) !== f.text) };
}

/** The workspace without a cluster: what is in it is a draft. What was to be deleted is gone. */
export function detach(workspace: Workspace): Workspace {
  if (workspace.sandbox === "" && workspace.files.every((f) => !f.base)) return workspace;
  const files = workspace.files.filter((f) => !f.removed).map((f) => ({ ...f, base: undefined, was: f.base ?? f.was, conflict: undefined }));
  return { ...workspace, files, sandbox: "", change: 0 };
}

/** A file that nobody has written into was only there to have one. */
function withoutBlanks(workspace: Workspace): Workspace {
  return { ...workspace, files: workspace.files.filter((f) => f.base || f.text.trim() !== "") };
}

function merged(workspace: Workspace, now: InForce, where: string): Pick<Workspace, "files" | "next"> {
  const left = new Map(now.policies.map((p) => [nameOf(p), p]));
  const pairs = new Map<File, Base>();
  const pair = (file: File, ref: Ref | undefined, fits: (policy: Base) => boolean): void => {
    const policy = ref && left.get(nameOf(ref));
    if (!policy || pairs.has(file) || !fits(policy)) return;
    pairs.set(file, policy);
    left.delete(nameOf(ref));
  };
  // What was renamed and is in force under its new name comes first.
  for (const f of workspace.files) if (!f.removed && f.base) pair(f, refOf(f.text), (p) => nameOf(p) !== nameOf(f.base!) && same(p.yaml, f.text));
  for (const f of workspace.files) pair(f, f.base, () => true);
  for (const f of workspace.files) if (!f.removed && !f.base) pair(f, refOf(f.text), () => true);
  // What was renamed and not applied, where a fresh cluster has the policy of then.
  for (const f of workspace.files) if (!f.removed && !f.base) pair(f, f.was, (p) => same(p.yaml, f.was!.yaml));

  const files: File[] = [];
  for (const file of workspace.files) {
    const next = afterwards(file, pairs.get(file), where);
    if (next) files.push(next);
  }
  let { next } = workspace;
  for (const base of left.values()) files.push({ id: `f${next++}`, text: base.yaml, base, removed: false, conflict: undefined });
  return { files, next };
}

/** The file once its policy is that; undefined where both are gone. */
function afterwards(file: File, policy: Base | undefined, where: string): File | undefined {
  const state = stateOf(file);
  if (!policy) {
    if (!file.base) return file;
    if (state === "removed" || state === "in-force") return undefined;
    return { ...file, base: undefined, conflict: { theirs: undefined, where } };
  }
  if (state === "removed") {
    if (same(policy.yaml, file.base!.yaml)) return { ...file, base: policy };
    return { ...file, base: policy, conflict: { theirs: policy.yaml, where } };
  }
  if (same(file.text, policy.yaml)) return { ...file, base: policy, conflict: undefined };
  if (state === "in-force") return { ...file, base: policy, text: policy.yaml };
  const known = file.base ?? file.was;
  if (known && same(known.yaml, policy.yaml)) return { ...file, base: policy };
  return { ...file, base: policy, conflict: { theirs: policy.yaml, where } };
}

/** Says what a change from elsewhere has done to the files. */
function cameIn(before: Workspace, after: Workspace, where: string): string {
  const was = new Map(before.files.map((f) => [f.id, f]));
  const said: string[] = [];
  const say = (files: readonly File[], what: string): void => {
    if (files.length === 0) return;
    const names = files.slice(0, 3).map((f) => `“${title(f)}”`);
    const more = files.length > 3 ? ` and ${files.length - 3} more` : "";
    said.push(`${names.join(", ")}${more} ${files.length === 1 ? "was" : "were"} ${what} ${where}.`);
  };
  say(after.files.filter((f) => !was.has(f.id)), "added");
  say(after.files.filter((f) => was.has(f.id) && was.get(f.id)!.text !== f.text), "changed");
  say(before.files.filter((f) => !f.removed && !after.files.some((g) => g.id === f.id)), "deleted");
  return said.join(" ");
}

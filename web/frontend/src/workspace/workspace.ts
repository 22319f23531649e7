// The workspace: the policies of the sandbox's lab, each a file. Pure: no DOM, no clock,
// no network. A value is never changed, only replaced.

import type { Ref } from "../events.gen";
import { nameOf } from "../model";
import { documents, joined, nameIn, plain, refOf, same } from "./text";

/** A policy in force. */
export interface Base extends Ref {
  readonly yaml: string;
}

/** One policy of the workspace. */
export interface File {
  /** Stays the same as long as the file is there, also where its policy is renamed. */
  readonly id: string;
  /** The text as the learner has it. */
  readonly text: string;
  /** The policy in force that the file stands for; undefined where it is new. */
  readonly base: Base | undefined;
  /** What it stood for in a sandbox that is gone, for the next may bring that into force again. */
  readonly was?: Base | undefined;
  /** Whether the next Apply takes it out of force. */
  readonly removed: boolean;
  /** What was done to the policy elsewhere while there were edits here; undefined once that is decided. */
  readonly conflict: Conflict | undefined;
}

export interface Conflict {
  /** The text that is in force now; undefined where the policy was deleted. */
  readonly theirs: string | undefined;
  /** Where that was done: "in another tab". */
  readonly where: string;
  /** Whether theirs was pasted, or came by a file or a link, and is not in force. */
  readonly brought?: true;
}

export type FileState = "in-force" | "edited" | "new" | "removed";

export interface Workspace {
  readonly files: readonly File[];
  /** The sandbox whose policies the files' bases are; empty where there is none. */
  readonly sandbox: string;
  /** The number of the last change of policies that is part of it. */
  readonly change: number;
  /** What was done to the files, the newest last, and what was taken back of it. */
  readonly past: readonly Step[];
  readonly future: readonly Step[];
  /** The text that the page was last asked for with; undefined where there was none. */
  readonly given?: string;
  /** The number of the next file's ID. */
  readonly next: number;
}

/** One change of the workspace, which can be taken back. Typing is none: the editor has an undo of its own. */
export interface Step {
  /** Says what was done, in a sentence. */
  readonly said: string;
  readonly files: readonly { readonly id: string; readonly before: Draft | undefined; readonly after: Draft | undefined }[];
}

/** What the learner wants of a file. */
interface Draft {
  readonly text: string;
  readonly removed: boolean;
  /** The other text that came in for it, until that is decided. */
  readonly brought?: Conflict | undefined;
}

/** How many steps can be taken back. */
const most = 50;

export const empty: Workspace = { files: [], sandbox: "", change: 0, past: [], future: [], next: 1 };

/** The file with the ID; undefined where there is none. */
export function fileOf(workspace: Workspace, id: string | undefined): File | undefined {
  return workspace.files.find((f) => f.id === id);
}

/** Which policy the file is: what its text says, or what it was while the text says nothing. */
export function fileRef(file: File): Ref | undefined {
  return refOf(file.text) ?? file.base;
}

/** The file that is this policy, by its text or by what it stands for. */
export function fileNamed(workspace: Workspace, name: string): File | undefined {
  const by = (ref: Ref | undefined): boolean => ref !== undefined && nameOf(ref) === name;
  return workspace.files.find((f) => by(refOf(f.text))) ?? workspace.files.find((f) => by(f.base));
}

/** The policies in force, as of the workspace's change. */
export function inForce(workspace: Workspace): Base[] {
  return workspace.files.flatMap((f) => (f.base ? [f.base] : []));
}

/** What a tab is called. */
export function title(file: File): string {
  return nameIn(file.text) || file.base?.name || "new policy";
}

export function stateOf(file: File): FileState {
  if (file.removed) return "removed";
  if (!file.base) return "new";
  return same(file.text, file.base.yaml) ? "in-force" : "edited";
}

// --- Changes of the learner's own ---

/** The workspace with another text in the file. */
export function edit(workspace: Workspace, id: string, text: string): Workspace {
  const edited = (f: File): File => ({ ...f, text, conflict: f.conflict?.theirs !== undefined && same(text, f.conflict.theirs) ? undefined : f.conflict });
  return changed(workspace, (f) => (f.id === id && f.text !== text ? edited(f) : f));
}

/** The workspace with one more file at its end, and that file's ID. */
export function create(workspace: Workspace, text = ""): [Workspace, string] {
  const id = `f${workspace.next}`;
  const file: File = { id, text: plain(text), base: undefined, removed: false, conflict: undefined };
  return [{ ...workspace, files: [...workspace.files, file], next: workspace.next + 1 }, id];
}

/** The file is to go: what is in force with the next Apply, what is not at once. */
export function remove(workspace: Workspace, id: string): Workspace {
  const file = fileOf(workspace, id);
  if (!file || file.removed) return workspace;
  const after = file.base
    ? changed(workspace, (f) => (f.id === id ? { ...f, removed: true } : f))
    : { ...workspace, files: workspace.files.filter((f) => f.id !== id) };
  return record(workspace, after, file.base ? `${nameOf(file.base)} will be deleted by the next Apply.` : `The draft “${title(file)}” is gone.`);
}

/** Every file is to go. */
export function removeAll(workspace: Workspace): Workspace {
  return replaceAll(workspace, "", "Every policy will be deleted by the next Apply.");
}

/** The file is to stay after all. */
export function keep(workspace: Workspace, id: string): Workspace {
  return changed(workspace, (f) => (f.id === id && f.removed ? { ...f, removed: false } : f));
}

/** The file as it is in force. */
export function revert(workspace: Workspace, id: string): Workspace {
  const file = fileOf(workspace, id);
  if (!file?.base) return workspace;
  const { base } = file;
  const after = changed(workspace, (f) => (f.id === id ? { ...f, text: base.yaml, removed: false, conflict: undefined } : f));
  return record(workspace, after, `${nameOf(base)} is as it is in force.`);
}

/**
 * The text's policies as drafts: a file of the same name gets the new text, the others are
 * new. Also the IDs of the files that they are in.
 */
export function draft(workspace: Workspace, text: string, said: string): [Workspace, string[]] {
  const [after, ids] = put(workspace, text);
  return [record(workspace, after, said), ids];
}

/** Where a text came from that was pasted, or came by a file or a link. */
const cameIn = "in the text that came in";

/**
 * The same for a text that comes from outside: where a file of the same name has edits of
 * the learner's, these stay, and the file has a conflict.
 */
export function bring(workspace: Workspace, text: string, said: string): [Workspace, string[]] {
  const [after, ids] = put(workspace, text, cameIn);
  return [record(workspace, after, said), ids];
}

/** The text's policies are to be the only ones. */
export function replaceAll(workspace: Workspace, text: string, said: string): Workspace {
  const [after, ids] = put(workspace, text);
  const files = after.files.flatMap((f) => (ids.includes(f.id) ? [f] : f.base ? [{ ...f, removed: true, conflict: undefined }] : []));
  return record(workspace, { ...after, files }, said);
}

/** With where, edits give way to nothing that comes in. */
function put(workspace: Workspace, text: string, where?: string): [Workspace, string[]] {
  const ids: string[] = [];
  const all = documents(text);
  for (const one of all) {
    const ref = refOf(one);
    const there = ref && workspace.files.find((f) => !ids.includes(f.id) && isNamed(f, ref));
    const blank = !there && workspace.files.find((f) => !ids.includes(f.id) && !f.base && f.text.trim() === "");
    const into = there || blank;
    const edits = into && where !== undefined && into.text.trim() !== "" && stateOf(into) !== "in-force" && (into.removed || !same(into.text, one));
    if (edits && !into.conflict) {
      workspace = changed(workspace, (f) => (f.id === into.id ? { ...f, conflict: { theirs: one, where, brought: true } } : f));
      ids.push(into.id);
    } else if (into && !edits) {
      workspace = changed(workspace, (f) => (f.id === into.id ? { ...f, text: same(f.text, one) ? f.text : one, removed: false, conflict: undefined } : f));
      ids.push(into.id);
    } else {
      const [next, id] = create(workspace, one);
      workspace = next;
      ids.push(id);
    }
  }
  return [workspace, ids];
}

/** The policies of one file in files of their own, as bring() does that; one stays in it. */
export function splitFile(workspace: Workspace, id: string): Workspace {
  const file = fileOf(workspace, id);
  const all = documents(file?.text ?? "");
  if (!file || file.removed || all.length < 2) return workspace;
  const own = ownOf(file, all);
  const alone = changed(workspace, (f) => (f === file ? { ...f, text: all[own]! } : f));
  const [after] = put(alone, joined(all.filter((_, i) => i !== own)), cameIn);
  return record(workspace, after, "Each policy is in a file of its own.");
}

/** Which of the documents stays in the file: the one that it stands for, or the first. */
function ownOf(file: File, all: readonly string[]): number {
  return Math.max(0, all.findIndex((text) => file.base && isNamed({ ...file, text }, file.base)));
}

/** Each policy in a file of its own, wherever a file has got several. */
export function split(workspace: Workspace): Workspace {
  for (const file of workspace.files) {
    if (file.removed) continue;
    const all = documents(file.text);
    if (all.length < 2) continue;
    const own = ownOf(file, all);
    let next: Workspace = changed(workspace, (f) => (f.id === file.id ? { ...f, text: all[own]! } : f));
    const before = workspace.files.indexOf(file) + 1;
    const tail = next.files.slice(before);
    next = { ...next, files: next.files.slice(0, before) };
    for (const [i, text] of all.entries()) if (i !== own) next = create(next, text)[0];
    workspace = { ...next, files: [...next.files, ...tail] };
  }
  return workspace;
}

/** The file stays as it is here; the next Apply says so. */
export function keepMine(workspace: Workspace, id: string): Workspace {
  return changed(workspace, (f) => (f.id === id && f.conflict ? { ...f, conflict: undefined } : f));
}

/** The file becomes what is in force, or goes with it. */
export function takeTheirs(workspace: Workspace, id: string): Workspace {
  const file = fileOf(workspace, id);
  if (!file?.conflict) return workspace;
  const { theirs } = file.conflict;
  const files = workspace.files.flatMap((f) =>
    f.id !== id ? [f] : theirs === undefined ? [] : [{ ...f, text: theirs, removed: false, conflict: undefined }],
  );
  return record(workspace, { ...workspace, files }, `“${title(file)}” is as it was changed ${file.conflict.where}.`);
}

// --- Taking back ---

/** The workspace after a change that can be taken back. One that changes nothing is none. */
export function record(before: Workspace, after: Workspace, said: string): Workspace {
  const ids = new Set([...before.files, ...after.files].map((f) => f.id));
  const files = [...ids]
    .map((id) => ({ id, before: draftOf(fileOf(before, id)), after: draftOf(fileOf(after, id)) }))
    .filter((f) => wantedText(f.before) !== wantedText(f.after) || f.before?.brought?.theirs !== f.after?.brought?.theirs);
  if (files.length === 0) return after;
  return { ...after, past: [...before.past, { said, files }].slice(-most), future: [] };
}

/** Takes the last change back. What was typed since into its files goes along, and comes again with redo. */
export function undo(workspace: Workspace): Workspace {
  const step = workspace.past.at(-1);
  if (!step) return workspace;
  const files = step.files.map((f) => ({ ...f, after: draftOf(fileOf(workspace, f.id)) }));
  const next = files.reduce((w, f) => want(w, f.id, f.before), workspace);
  return { ...next, past: workspace.past.slice(0, -1), future: [...workspace.future, { ...step, files }] };
}

export function redo(workspace: Workspace): Workspace {
  const step = workspace.future.at(-1);
  if (!step) return workspace;
  const files = step.files.map((f) => ({ ...f, before: draftOf(fileOf(workspace, f.id)) }));
  const next = files.reduce((w, f) => want(w, f.id, f.after), workspace);
  return { ...next, past: [...workspace.past, { ...step, files }], future: workspace.future.slice(0, -1) };
}

// What is to be removed and what is gone are the same to whoever takes it back.
const wantedText = (draft: Draft | undefined): string | undefined => (draft?.removed ? undefined : draft?.text);

const draftOf = (file: File | undefined): Draft | undefined =>
  file && { text: file.text, removed: file.removed, ...(file.conflict?.brought ? { brought: file.conflict } : {}) };

/** The workspace with that wanted of the file, whatever has been applied meanwhile. */
function want(workspace: Workspace, id: string, wanted: Draft | undefined): Workspace {
  const file = fileOf(workspace, id);
  if (file && !wanted) {
    if (file.base) return changed(workspace, (f) => (f === file ? { ...f, removed: true } : f));
    return { ...workspace, files: workspace.files.filter((f) => f !== file) };
  }
  if (!wanted) return workspace;
  const { text, removed, brought } = wanted;
  const draft = { text, conflict: brought };
  if (file) return changed(workspace, (f) => (f === file ? { ...f, ...draft, removed: removed && f.base !== undefined } : f));
  if (removed) return workspace;
  // Its policy may have come back by another way.
  const ref = refOf(text);
  const other = ref && workspace.files.find((f) => isNamed(f, ref));
  if (other) return changed(workspace, (f) => (f === other ? { ...f, ...draft, removed } : f));
  return { ...workspace, files: [...workspace.files, { id, ...draft, removed, base: undefined }] };
}

function isNamed(file: File, ref: Ref): boolean {
  const own = fileRef(file);
  return own !== undefined && nameOf(own) === nameOf(ref);
}

/** The workspace with a file to write into, where it has none. */
export function writable(workspace: Workspace): Workspace {
  return workspace.files.length > 0 ? workspace : create(workspace)[0];
}

/** The workspace with every file put through the function. */
export function changed(workspace: Workspace, change: (file: File) => File): Workspace {
  const files = workspace.files.map(change);
  return files.every((f, i) => f === workspace.files[i]) ? workspace : { ...workspace, files };
}

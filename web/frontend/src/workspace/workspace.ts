// The workspace: the policies of the sandbox's lab, each a file. Pure: no DOM, no clock,
// no network. A value is never changed, only replaced.

import type { Ref } from "../events.gen";

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
  /** Whether the next Apply takes it out of force. */
  readonly removed: boolean;
}

export interface Workspace {
  readonly files: readonly File[];
  /** The sandbox whose policies the files' bases are; empty where there is none. */
  readonly sandbox: string;
  /** The number of the last change of policies that is part of it. */
  readonly change: number;
}

export const empty: Workspace = { files: [], sandbox: "", change: 0 };

/** The file with the ID; undefined where there is none. */
export function fileOf(workspace: Workspace, id: string | undefined): File | undefined {
  return workspace.files.find((f) => f.id === id);
}

/** The workspace with another text in the file. */
export function edit(workspace: Workspace, id: string, text: string): Workspace {
  return { ...workspace, files: workspace.files.map((f) => (f.id === id && f.text !== text ? { ...f, text } : f)) };
}

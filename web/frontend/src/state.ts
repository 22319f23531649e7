// What the page knows, in one place. Panels read it, draw it and call actions; none
// keeps a second copy.

import type { Analysis } from "./analysis";
import type { Problem } from "./api";
import type { Connection } from "./feed";
import { nothing, type Model } from "./model";
import type { Plan } from "./workspace/plan";
import { empty, type Base, type Workspace } from "./workspace/workspace";

/** A place in a file's text, counted from 1. */
export interface Place {
  file: string;
  line: number;
  column: number;
}

/** Why an action came to nothing. */
export interface Refused {
  message: string;
  /** Each is in a file; one without a line is about all of it. */
  problems: readonly (Problem & { file: string })[];
}

/** What an Apply of this page has done. */
export interface Applied {
  /** The number of its change. */
  change: number;
  plan: Plan;
  /** The policies that were in force before. */
  before: readonly Base[];
  /** Says what of the text was no policy, or no part of one, and was left alone. */
  notInForce: readonly string[];
}

export interface State {
  /** The sandbox that is followed; empty where there is none. */
  sandbox: string;
  /** What the sandbox's events tell. */
  model: Model;
  /** The number of the last event that the model includes. */
  seq: number;
  /** How the connection is that they come by, and what a server says that has refused it. */
  connection: { now: Connection; message: string };
  /** How much this machine's clock is ahead of the server's, in milliseconds; undefined until it is known. */
  ahead: number | undefined;
  /** The files. */
  workspace: Workspace;
  /** The newest answer about the workspace's draft. */
  analysis: Analysis | undefined;
  /** Why there is no answer about what the draft is now; undefined where there is one, or it is on its way. */
  unanswered: string | undefined;
  /** Only the flows that the draft would change are looked for. */
  onlyChanges: boolean;
  /** Why the sandbox could not be started, replaced or stopped; undefined where it could. */
  problem: string | undefined;
  /** Whether a change of policies is under way that this page has asked for. */
  applying: boolean;
  /** What the last Apply has done, until there is another change. */
  applied: Applied | undefined;
  /** Why the last Apply or change of files came to nothing. */
  refused: Refused | undefined;
  /** Why drafts are not kept over a reload; undefined where they are. */
  unkept: string | undefined;
  /** The ID of the flow that is chosen. */
  chosen: string | undefined;
  /** The pods that the selector under the cursor selects, "namespace/pod". */
  lit: ReadonlySet<string>;
  /** The pod or host that the pointer or the keyboard is at in the picture, or the pointer at a head of the matrix. */
  pointed: string | undefined;
  /** The namespaces that are folded in the matrix, as foldOf names them. */
  folded: ReadonlySet<string>;
  /** The ID of the file that is open. */
  active: string | undefined;
  /** Where the cursor was last asked to go; each time it is another object. */
  place: Place | undefined;
}

const initial: State = {
  sandbox: "",
  model: nothing,
  seq: 0,
  connection: { now: "idle", message: "" },
  ahead: undefined,
  workspace: empty,
  analysis: undefined,
  unanswered: undefined,
  onlyChanges: false,
  problem: undefined,
  applying: false,
  applied: undefined,
  refused: undefined,
  unkept: undefined,
  chosen: undefined,
  lit: new Set(),
  pointed: undefined,
  folded: new Set(),
  active: undefined,
  place: undefined,
};

export class Store {
  #state: State;
  #watchers: ((now: State, before: State) => void)[] = [];
  #telling = false;
  #told: State;

  constructor(state: Partial<State> = {}) {
    this.#state = this.#told = { ...initial, ...state };
  }

  get(): State {
    return this.#state;
  }

  /**
   * Changes the state and tells every watcher. What a watcher changes is told after
   * what it was told of, so that all see the same states in the same order.
   */
  update(patch: Partial<State>): void {
    this.#state = { ...this.#state, ...patch };
    if (this.#telling) return;
    this.#telling = true;
    try {
      while (this.#told !== this.#state) {
        const [now, before] = [this.#state, this.#told];
        this.#told = now;
        for (const watcher of this.#watchers) watcher(now, before);
      }
    } finally {
      this.#telling = false;
    }
  }

  /** Calls the function after every change of the state. */
  watch(watcher: (now: State, before: State) => void): void {
    this.#watchers.push(watcher);
  }
}

// Brings what is in force into the workspace: events tell that the policies have changed,
// and their texts are read then.

import { setWorkspace } from "./actions";
import * as api from "./api";
import * as sentences from "./sentences";
import type { State, Store } from "./state";
import { detach, merge } from "./workspace/merge";

/** The pause before texts that could not be read are asked for again, in milliseconds. */
const pause = 1000;

export function followPolicies(store: Store): void {
  let reads = 0;
  let again: ReturnType<typeof setTimeout> | undefined;

  async function read(): Promise<void> {
    clearTimeout(again);
    const { sandbox } = store.get();
    const number = ++reads;
    const now = await api.policies(sandbox).catch(() => undefined);
    // Meanwhile there may be a newer read, or a change of this page's own under way.
    if (number !== reads || !isBehind(store.get())) return;
    if (now) setWorkspace(store, merge(store.get().workspace, { sandbox, ...now }, sentences.where(store.get().model.origin)));
    if (isBehind(store.get())) again = setTimeout(() => isBehind(store.get()) && void read(), pause);
  }

  store.watch((now, before) => {
    if (now.model === before.model && now.applying === before.applying && now.sandbox === before.sandbox) return;
    if (isWithoutCluster(now)) setWorkspace(store, detach(now.workspace));
    else if (isBehind(now)) void read();
  });
}

/** Waits until the workspace has come to know what is in force. */
export function caughtUp(store: Store): Promise<void> {
  if (!isBehind(store.get())) return Promise.resolve();
  return new Promise((resolve) => store.watch((now) => isBehind(now) || resolve()));
}

function isBehind({ sandbox, model, seq, workspace, applying }: State): boolean {
  return seq > 0 && model.state === "ready" && !applying && (workspace.sandbox !== sandbox || workspace.change !== model.policiesChange);
}

/** Whether the cluster that the workspace followed is gone. */
function isWithoutCluster({ sandbox, model, workspace, seq }: State): boolean {
  if (workspace.sandbox === "") return false;
  return workspace.sandbox !== sandbox || model.state === "stopped" || (model.state === "none" && seq > 0);
}

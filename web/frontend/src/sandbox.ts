// The page's sandbox: follows its events, and tells the store.

import * as api from "./api";
import type { SandboxEvent } from "./events.gen";
import { Feed } from "./feed";
import { gone, reduce } from "./model";
import type { Store } from "./state";

/** Follows one sandbox after the other; a learner's tabs follow the same one. */
export interface Follower {
  /** Follows the sandbox, and has the learner's other tabs follow it too. */
  begin(sandbox: string): void;
}

/** Begins to follow the store's sandbox, if it has one. */
export function follow(lab: string, store: Store): Follower {
  const feed = new Feed({
    connect: api.events,
    refused: api.refused,
    events(batch: SandboxEvent[]) {
      const state = store.get();
      const model = batch.reduce(reduce, state.model);
      const lag = Date.now() - Date.parse(batch.at(-1)!.time);
      store.update({ model, problem: undefined, seq: batch.at(-1)!.seq, ahead: Math.min(state.ahead ?? Infinity, lag) });
      if (model.state === "stopped") feed.stop();
    },
    connection: (now, message = "") => store.update({ connection: { now, message } }),
    gone: () => store.update({ model: gone(store.get().model) }),
  });

  const tabs = new BroadcastChannel("netpol-lab");
  tabs.onmessage = ({ data }: MessageEvent<{ lab: string; sandbox: string }>) => {
    if (data.lab === lab) change(data.sandbox);
  };

  function change(sandbox: string): void {
    store.update({ sandbox, seq: 0 });
    feed.follow(sandbox);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? feed.hidden() : feed.wake()));
  addEventListener("online", () => feed.wake());
  addEventListener("pageshow", (e) => e.persisted && feed.wake());

  const { sandbox } = store.get();
  if (sandbox) feed.follow(sandbox);
  if (document.hidden) feed.hidden();

  return {
    begin(sandbox) {
      tabs.postMessage({ lab, sandbox });
      change(sandbox);
    },
  };
}

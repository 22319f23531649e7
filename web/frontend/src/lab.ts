// The lab's page: one store, the sandbox that feeds it, and the panels that draw it.
// Without this script the page's forms do the same with a reload each.

import { actionsOn, setWorkspace } from "./actions";
import { analyse } from "./analysis";
import * as api from "./api";
import { mountBuild } from "./build";
import { find } from "./dom";
import * as exercise from "./exercise";
import "./frame";
import { followPolicies } from "./inforce";
import * as keep from "./keep";
import { mountPreview } from "./preview";
import "./lesson";
import { mountHistory } from "./history/panel";
import { follow } from "./sandbox";
import { mountSee } from "./see";
import { mountShare } from "./share/panel";
import { Store } from "./state";
import { mountStatus } from "./status";
import { mountTerminal } from "./terminal";
import "./walkthrough";
import { mountWhy } from "./why";
import { detach } from "./workspace/merge";
import { empty, replaceAll } from "./workspace/workspace";
import { mountWrite } from "./write";

const root = document.getElementById("lab");
if (root) mount(root);

function mount(root: HTMLElement): void {
  const lab = root.dataset["lab"] ?? "";
  const store = begin(root, lab);

  store.watch((now, before) => {
    if (now.sandbox !== before.sandbox) root.dataset["sandbox"] = now.sandbox;
    // Until the first event, what the server has drawn holds.
    if (now.model !== before.model) {
      root.dataset["state"] = now.model.state;
      root.dataset["change"] = String(now.model.change);
    }
    if (now.seq !== before.seq) root.dataset["seq"] = String(now.seq);
    if (now.model.settled !== before.model.settled && typeof now.model.settled === "object") exercise.settled();
  });

  const actions = actionsOn(lab, store, (sandbox) => follower.begin(sandbox));
  followPolicies(store);
  mountStatus(root, store, actions);
  mountWrite(root, store, actions);
  mountBuild(root, store, actions);
  mountPreview(root, store);
  mountSee(root, store, actions);
  mountWhy(root, store, actions);
  mountHistory(root, store, actions);
  mountShare(root, store, actions);
  mountTerminal(root, store);
  const follower = follow(lab, store);
  analyse(store, (request, signal) => api.analysis(lab, request, signal));
}

/**
 * The workspace that the page begins with: as it was kept. Policies that the page was asked
 * for come in as a change of it, once.
 */
function begin(root: HTMLElement, lab: string): Store {
  const sandbox = root.dataset["sandbox"] ?? "";
  const textarea = find<HTMLTextAreaElement>(root, "policy");
  const kept = keep.load(lab) ?? empty;
  const store = new Store({ sandbox });
  setWorkspace(store, kept.sandbox === sandbox ? kept : detach(kept));
  if (!textarea.hasAttribute("data-given") || kept.given === textarea.value) return store;
  const give = (): void => {
    const given = replaceAll(store.get().workspace, textarea.value, "The question’s policies are in the workspace; nothing is applied yet.");
    setWorkspace(store, { ...given, given: textarea.value });
  };
  give();
  // What is in force comes in later, and is to give way to them too.
  let first = kept.sandbox !== sandbox;
  store.watch(({ workspace }, before) => {
    if (!first || workspace.sandbox === "" || before.workspace.sandbox !== "") return;
    first = false;
    give();
  });
  return store;
}

// The lab's page: one store, the sandbox that feeds it, and the panels that draw it.
// Without this script the page's forms do the same with a reload each.

import { actionsOn } from "./actions";
import { analyse } from "./analysis";
import * as api from "./api";
import { mountBuild } from "./build";
import { find } from "./dom";
import * as draft from "./draft";
import * as exercise from "./exercise";
import "./frame";
import { mountPreview } from "./preview";
import "./lesson";
import { mountHistory } from "./history/panel";
import { follow } from "./sandbox";
import { mountSee } from "./see";
import { mountShare } from "./share/panel";
import { Store, type State } from "./state";
import { mountStatus } from "./status";
import "./walkthrough";
import { mountWhy } from "./why";
import { empty } from "./workspace/workspace";
import { mountWrite } from "./write";

const root = document.getElementById("lab");
if (root) mount(root);

function mount(root: HTMLElement): void {
  const lab = root.dataset["lab"] ?? "";
  const store = new Store({ sandbox: root.dataset["sandbox"] ?? "", ...firstFile(root, lab) });

  store.watch((now, before) => {
    root.dataset["sandbox"] = now.sandbox;
    root.dataset["state"] = now.model.state;
    root.dataset["change"] = String(now.model.change);
    root.dataset["seq"] = String(now.seq);
    if (now.model.settled !== before.model.settled && typeof now.model.settled === "object") exercise.settled();
  });

  const actions = actionsOn(lab, store, (sandbox) => follower.begin(sandbox));
  mountStatus(root, store, actions);
  mountWrite(root, store, actions);
  mountBuild(root, store, actions);
  mountPreview(root, store, actions);
  mountSee(root, store, actions);
  mountWhy(root, store, actions);
  mountHistory(root, store, actions);
  mountShare(root, store, actions);
  const follower = follow(lab, store);
  analyse(store, (request, signal) => api.analysis(lab, request, signal));
}

/** The file that the page begins with. A text that it was asked for neither gives way to the draft nor replaces it. */
function firstFile(root: HTMLElement, lab: string): Pick<State, "workspace" | "active"> {
  const textarea = find<HTMLTextAreaElement>(root, "policy");
  const kept = textarea.hasAttribute("data-given") ? null : draft.load(lab);
  const file = { id: "policy", text: kept ?? textarea.value, base: undefined, removed: false, conflict: undefined };
  return { workspace: { ...empty, files: [file] }, active: file.id };
}

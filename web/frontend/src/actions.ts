// What panels may do. Each action changes the store, asks the server, or both; what went
// wrong is told in the store, and never thrown.

import * as api from "./api";
import { confirm } from "./confirm";
import * as exercise from "./exercise";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";
import type { Place, Store } from "./state";
import { draft as drafted, edit, fileOf, replaceAll } from "./workspace/workspace";

export interface Actions {
  /** Starts a sandbox of the lab; where that ends another lab's, it asks first. */
  start(): Promise<void>;
  /** Replaces the sandbox by a fresh one, after a question. */
  reset(): Promise<void>;
  stop(): Promise<void>;

  /** Makes the cluster what the workspace says. */
  apply(): Promise<void>;
  /** Opens the file. */
  open(file: string): void;
  /** Opens the file of the place, and puts the cursor there. */
  goTo(place: Place): void;
  /** Takes the file's new text: what the editor tells with every key. */
  edit(file: string, text: string): void;
  /** Puts the text's policies into the workspace as drafts, and opens the first: one change, which can be taken back. */
  draft(text: string): void;
  /** Puts the policies that were made of wishes into the workspace, as drafts; with replace they are to be the only ones. */
  want(text: string, replace: boolean): void;

  /** Chooses a flow, of which the page then tells why; undefined chooses none. */
  choose(flow: string | undefined): void;
  /** Lights up these pods, "namespace/pod". */
  light(pods: ReadonlySet<string>): void;
}

/** The actions on the store. The lab's other tabs follow a sandbox that is begun. */
export function actionsOn(lab: string, store: Store, begin: (sandbox: string) => void): Actions {
  /** Runs what asks the server; why that was refused is told by the function. */
  async function attempt(action: () => Promise<void>, refused: (why: api.Refusal) => void): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      refused(error);
    }
  }
  const aboutSandbox = (why: api.Refusal): void => store.update({ problem: why.message });
  const aboutFiles = (why: api.Refusal): void => store.update({ refused: { message: why.message, problems: why.problems } });

  const actions: Actions = {
    start: () =>
      attempt(async () => {
        const id = await api.start(lab).catch(async (error: unknown) => {
          if (!(error instanceof api.Refusal) || error.instead === undefined) throw error;
          const agreed = await confirm(said.instead, error.message, said.insteadButton);
          return agreed ? api.start(lab, error.instead) : undefined;
        });
        if (id !== undefined) begin(id);
      }, aboutSandbox),
    async reset() {
      const question = "Throw this cluster away and make a fresh one?";
      const explanation = "Its policies go with it. The text in the editor stays.";
      if (!(await confirm(question, explanation, "Reset"))) return;
      await attempt(async () => begin(await api.reset(store.get().sandbox)), aboutSandbox);
    },
    stop: () => attempt(() => api.stop(store.get().sandbox), aboutSandbox),

    apply: () =>
      attempt(async () => {
        const { sandbox, model, workspace, active } = store.get();
        if (model.state !== "ready") throw new api.Refusal(sentences.notReady(model.state));
        exercise.change();
        await api.apply(sandbox, fileOf(workspace, active)?.text ?? "");
        store.update({ refused: undefined });
      }, aboutFiles),
    open: (file) => store.update({ active: file }),
    goTo: (place) => store.update({ active: place.file, place: { ...place } }),
    edit: (file, text) => store.update({ workspace: edit(store.get().workspace, file, text) }),
    draft: (text) => store.update({ workspace: edit(store.get().workspace, store.get().active ?? "", text) }),
    want: (text, replace) => {
      const before = store.get().workspace;
      const said = "What I want is in the workspace, as drafts.";
      const workspace = replace ? replaceAll(before, text, said) : drafted(before, text, said)[0];
      const first = workspace.files.find((f) => !f.removed && text.includes(f.text.trim()));
      store.update({ workspace, active: first?.id ?? store.get().active });
    },

    choose: (flow) => store.update({ chosen: flow }),
    light: (pods) => store.update({ lit: pods }),
  };
  return actions;
}

// What panels may do. Each action changes the store, asks the server, or both; what went
// wrong is told in the store, and never thrown.

import * as api from "./api";
import { confirm } from "./confirm";
import * as exercise from "./exercise";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";
import type { Place, Refused, State, Store } from "./state";
import { applied, merge } from "./workspace/merge";
import { isNothing, planOf, wholeOf, type Plan, type Whole } from "./workspace/plan";
import { aside, documents, joined } from "./workspace/text";
import * as files from "./workspace/workspace";
import { fileOf, writable, type Workspace } from "./workspace/workspace";

export interface Actions {
  /** Starts a sandbox of the lab; where that ends another lab's, it asks first. */
  start(): Promise<void>;
  /** Replaces the sandbox by a fresh one, after a question. */
  reset(): Promise<void>;
  extend(): Promise<void>;
  stop(): Promise<void>;

  /** Makes the cluster what the workspace says. */
  apply(): Promise<void>;
  /** Puts back into force what the last Apply has changed. */
  takeBack(): Promise<void>;

  /** Opens the file. */
  open(file: string): void;
  /** Opens the file of the place, and puts the cursor there; with line 0 only the focus. */
  goTo(place: Place): void;
  /** Takes the file's new text: what the editor tells with every key. */
  edit(file: string, text: string): void;
  /** Opens a new file. */
  create(): void;
  /**
   * Puts the text's policies into the workspace as drafts, and opens the first: a file of
   * the same name gets the new text, others are new. What was done is said in the sentence.
   */
  draft(text: string, said?: string): void;
  /** The same for a text from outside, which never takes the place of edits: these get a conflict. */
  bring(text: string, said?: string): void;
  /**
   * Takes a text that came into an empty file at once, where it is more than one document:
   * each policy gets a file of its own, and what is none is set aside. False says that it
   * is not taken, and is the file's text.
   */
  arrive(file: string, text: string): boolean;
  /** The text's policies are to be the only ones; nothing is applied by that. */
  replaceAll(text: string, said: string): void;
  /** The file is to go: with the next Apply where it is in force, else at once. */
  remove(file: string): void;
  removeAll(): void;
  /** The file is to stay after all. */
  keep(file: string): void;
  /** The file as it is in force. */
  revert(file: string): void;
  /** Each policy of the file in a file of its own. */
  split(file: string): void;
  /** What was changed elsewhere gives way to the file, or the file to that. */
  keepMine(file: string): void;
  takeTheirs(file: string): void;
  /** Takes back the last change of the workspace; typing is the editor's to take back. */
  undo(): void;
  redo(): void;

  /** Chooses a flow, of which the page then tells why; undefined chooses none. */
  choose(flow: string | undefined): void;
  /** Lights up these pods, "namespace/pod". */
  light(pods: ReadonlySet<string>): void;
  /** The pod or host that is pointed at: it stands out everywhere, with the policies that select it. */
  point(end: string | undefined): void;
}

/** How many policies are made files of at once: as many as a sandbox may have. */
const mostAtOnce = 100;

/** The store with another workspace. There is always a file that is open. */
export function setWorkspace(store: Store, next: Workspace, patch: Partial<State> = {}): void {
  const { workspace, active } = { ...store.get(), ...patch };
  next = writable(next);
  // What was open may be gone: then what stands in its place is open.
  const at = workspace.files.findIndex((f) => f.id === active);
  const open = fileOf(next, active) ?? next.files[Math.min(Math.max(at, 0), next.files.length - 1)];
  store.update({ ...patch, workspace: next, active: open?.id });
}

/** The actions on the store. The lab's other tabs follow a sandbox that is begun. */
export function actionsOn(lab: string, store: Store, begin: (sandbox: string) => void): Actions {
  const set = (next: Workspace, patch?: Partial<State>): void => setWorkspace(store, next, patch);
  const workspace = (): Workspace => store.get().workspace;

  /** Runs what asks the server about the sandbox. */
  async function attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      store.update({ problem: error.message });
    }
  }

  function bring(text: string, what = sentences.drafted(text)): void {
    const [next, ids] = files.bring(workspace(), text, what);
    // What has to be decided is looked at first.
    const first = ids.find((id) => fileOf(next, id)?.conflict) ?? ids[0];
    set(next, { refused: undefined, ...(first === undefined ? {} : { active: first }) });
  }

  function refuse(message: string, problems: Refused["problems"] = []): void {
    store.update({ refused: { message, problems } });
  }

  /**
   * Sends the whole to be all that is in force, and takes what comes of it into the
   * workspace. Nothing else comes in meanwhile.
   */
  async function send(whole: Whole, plan: Plan, afterwards: (now: Workspace, inForce: Awaited<ReturnType<typeof api.apply>>) => Workspace): Promise<void> {
    const { sandbox, workspace: sent } = store.get();
    const before = files.inForce(sent);
    exercise.change();
    store.update({ applying: true });
    try {
      const now = await api.apply(sandbox, whole.text, sent.change);
      set(afterwards(workspace(), now), { applying: false, refused: undefined, applied: { change: now.change, plan, before, notInForce: [...now.setAside.map((a) => a.message), now.leftOut].filter((s) => s !== "") } });
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      const problems = error.problems.map((p) => ({ ...p, file: "", ...whole.at(p.line) }));
      const refused: Refused = { message: error.message, problems };
      if (error.inForce) set(merge(workspace(), { sandbox, ...error.inForce }, sentences.where(store.get().model.origin)), { applying: false, refused });
      else store.update({ refused });
      const first = problems.find((p) => p.file !== "");
      if (first) store.update({ active: first.file });
    } finally {
      store.update({ applying: false });
    }
  }

  // While an exercise lays its policies, what comes into force is its doing.
  exercise.connect({
    hold() {
      store.update({ applying: true });
      return () => store.update({ applying: false });
    },
    began: (start) => set(files.replaceAll(workspace(), start, sentences.began), { applied: undefined, refused: undefined }),
    restored(yaml) {
      const last = workspace().past.at(-1);
      const back = last?.said === sentences.began ? files.undo(workspace()) : files.replaceAll(workspace(), yaml, sentences.restored);
      set(back, { applied: undefined, refused: undefined });
    },
  });

  return {
    start: () =>
      attempt(async () => {
        const id = await api.start(lab).catch(async (error: unknown) => {
          if (!(error instanceof api.Refusal) || error.instead === undefined) throw error;
          const agreed = await confirm(said.instead, error.message, said.insteadButton);
          return agreed ? api.start(lab, error.instead) : undefined;
        });
        if (id !== undefined) begin(id);
      }),
    async reset() {
      const question = "Throw this cluster away and make a fresh one?";
      const explanation =
        store.get().model.state === "failed"
          ? "The policies that were in force are put into force again in the fresh one."
          : "Its policies go with it. They stay in your workspace as drafts.";
      if (!(await confirm(question, explanation, "Reset"))) return;
      await attempt(async () => begin(await api.reset(store.get().sandbox)));
    },
    extend: () => attempt(() => api.extend(store.get().sandbox)),
    stop: () => attempt(() => api.stop(store.get().sandbox)),

    async apply() {
      const { model, applying } = store.get();
      if (applying) return;
      if (model.state !== "ready") return refuse(sentences.notReady(model.state));
      const plan = planOf(workspace());
      const [conflict] = plan.conflicts;
      const [twice] = plan.twice;
      if (conflict) {
        store.update({ active: conflict.id });
        return refuse(`“${files.title(conflict)}” was changed ${conflict.conflict!.where}, and here. Decide above the editor which of the two stays, then apply. Nothing was applied.`);
      }
      if (twice) {
        store.update({ active: twice.files.at(-1)!.id });
        return refuse(`Two policies are called ${twice.name}. Rename one of them, or delete it. Nothing was applied.`);
      }
      if (isNothing(plan)) {
        const blank = plan.blank ? "There is no policy to apply: write one, or choose one of the editor’s suggestions." : "Everything in the workspace is in force already.";
        return refuse(blank);
      }
      set(files.split(workspace()));
      const whole = wholeOf(workspace());
      await send(whole, plan, (now, { setAside, leftOut: _, ...inForce }) => {
        // A file with something else than a policy is not in force, and stays.
        const others = new Set(setAside.map((a) => whole.at(a.line)?.file));
        const sent = new Map([...whole.sent].filter(([file]) => !others.has(file)));
        return applied(now, sent, { sandbox: store.get().sandbox, ...inForce });
      });
    },
    async takeBack() {
      const { applied: last, applying, sandbox } = store.get();
      if (!last || applying) return;
      const text = joined(last.before.map((p) => p.yaml));
      const back: Plan = { ...last.plan, added: last.plan.deleted, deleted: last.plan.added };
      await send({ text, sent: new Map(), at: () => undefined }, back, (now, inForce) => merge(now, { sandbox, ...inForce }, "by taking back the last Apply"));
    },

    open: (file) => store.update({ active: file }),
    goTo: (place) => store.update({ active: place.file, place: { ...place } }),
    edit: (file, text) => set(files.edit(workspace(), file, text)),
    create() {
      const [next, active] = files.create(workspace());
      set(next, { active });
      store.update({ place: { file: active, line: 0, column: 0 } });
    },
    draft(text, what) {
      const [next, ids] = files.draft(workspace(), text, what ?? sentences.drafted(text));
      set(next, { refused: undefined, ...(ids[0] === undefined ? {} : { active: ids[0] }) });
    },
    bring,
    arrive(id, text) {
      const file = fileOf(workspace(), id);
      if (!file || file.base || file.text.trim() !== "") return false;
      const all = documents(text);
      const policies = all.filter((one) => aside(one) === undefined);
      if (all.length < 2 || all.length > mostAtOnce || policies.length === 0) return false;
      bring(joined(policies), [sentences.arrived(policies.length), ...all.flatMap((one) => aside(one) ?? [])].join(" "));
      return true;
    },
    replaceAll(text, what) {
      const next = files.replaceAll(workspace(), text, what);
      const first = next.files.find((f) => !f.removed);
      set(next, { refused: undefined, ...(first ? { active: first.id } : {}) });
    },
    remove: (file) => set(files.remove(workspace(), file)),
    removeAll: () => set(files.removeAll(workspace())),
    keep: (file) => set(files.keep(workspace(), file)),
    revert: (file) => set(files.revert(workspace(), file)),
    split: (file) => set(files.splitFile(workspace(), file)),
    keepMine: (file) => set(files.keepMine(workspace(), file), { refused: undefined }),
    takeTheirs: (file) => set(files.takeTheirs(workspace(), file), { refused: undefined }),
    undo: () => set(files.undo(workspace())),
    redo: () => set(files.redo(workspace())),

    choose: (flow) => store.update({ chosen: flow }),
    light: (pods) => store.update({ lit: pods }),
    point(end) {
      if (end !== store.get().pointed) store.update({ pointed: end });
    },
  };
}

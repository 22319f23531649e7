// The pane that shows what is: the matrix or the picture, and what looks for something
// in them.

import type { Actions } from "./actions";
import type { AnalysedPolicy } from "./answers.gen";
import * as api from "./api";
import { find, write } from "./dom";
import type { Verdict } from "./events.gen";
import { show as showPlace } from "./frame";
import { Matrix, watchRoom, type Seen } from "./matrix";
import { everything, isActive, type Filter } from "./matrixview";
import { nameOf } from "./model";
import { Picture, type Isolated } from "./picture";
import { recall, remember } from "./remember";
import * as sentences from "./sentences";
import type { State, Store } from "./state";
import { fileNamed, inForce } from "./workspace/workspace";

/** Draws what the store knows, and chooses flows. */
export function mountSee(root: HTMLElement, store: Store, actions: Actions): void {
  const see = new See(root, store, actions);
  store.watch((now, before) => {
    if (now.model !== before.model || now.analysis !== before.analysis || now.chosen !== before.chosen || now.lit !== before.lit || now.pointed !== before.pointed || now.workspace.change !== before.workspace.change) see.render(now);
    if (now.folded !== before.folded) see.fold(now.folded);
    if (now.onlyChanges !== before.onlyChanges) see.lookForChanges(now.onlyChanges);
  });
}

type Shows = "matrix" | "picture" | "both";

/** How wide the pane has to be for matrix and picture beside each other, in CSS pixels at the usual size of type. */
const roomForBoth = 1340;

/** What is remembered of how the learner wants to see things, for each lab. */
interface Remembered {
  shows: Shows | undefined;
  transposed: boolean;
  folded: string[];
}

class See {
  readonly #root: HTMLElement;
  readonly #key: string;
  readonly #simulated: boolean;
  #seen: Drawn;
  readonly #matrix: Matrix;
  readonly #picture: Picture;
  readonly #store: Store;
  /** Which policies in force isolate each pod, as of a change. */
  #isolated: ReadonlyMap<string, Isolated> = new Map();
  #isolatedAt = "";
  readonly #narrow = matchMedia("(max-width: 40rem)");
  /** Whether there is room for the matrix and the picture; undefined until that is known. */
  #room: boolean | undefined;
  #remembered: Remembered;
  #filter = everything;
  #clock: ReturnType<typeof setInterval> | undefined;

  constructor(root: HTMLElement, store: Store, actions: Actions) {
    this.#root = root;
    this.#store = store;
    this.#key = `see:${root.dataset["lab"] ?? ""}`;
    this.#simulated = root.dataset["simulated"] !== undefined;
    this.#remembered = this.#recall();
    this.#seen = seenIn(store.get());
    this.#matrix = new Matrix(find<HTMLTableElement>(root, "matrix"), this.#part("list"), {
      simulated: this.#simulated,
      now: () => Date.now() - (store.get().ahead ?? 0),
      choose: actions.choose,
      point: actions.point,
      fold: (folded) => store.update({ folded }),
    });
    this.#picture = new Picture(this.#part("picture"), {
      lab: root.dataset["lab"] ?? "",
      flows: this.#matrix.flows,
      choose: actions.choose,
      point: actions.point,
      open(policy) {
        const file = fileNamed(store.get().workspace, policy);
        if (!file) return;
        showPlace("write");
        actions.goTo({ file: file.id, line: 1, column: 1 });
      },
    });
    this.#part("view").addEventListener("click", (e) => {
      const pressed = (e.target as Element).closest<HTMLElement>("[data-view]");
      if (pressed) this.#remember({ shows: pressed.dataset["view"] as Shows });
    });
    this.#part("turn").addEventListener("click", () => this.#remember({ transposed: !this.#remembered.transposed }));
    const filters = this.#part("filters");
    this.#part("filter").addEventListener("click", () => {
      this.#showFilters(filters.hidden !== false);
      if (filters.hidden) this.#look(everything);
      else this.#part("text").focus();
    });
    filters.addEventListener("input", () => this.#look(this.#asked()));
    filters.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && e.target === this.#part("text")) this.#matrix.focus();
    });
    this.#part("clear").addEventListener("click", () => {
      this.#look(everything);
      this.#part("text").focus();
    });
    this.#narrow.addEventListener("change", () => this.#arrange());
    store.update({ folded: new Set(this.#remembered.folded) });
    // Where a phone shows another place, there is nothing to draw until it shows this one.
    watchRoom(this.#part("views"), (width) => {
      const room = width >= roomForBoth;
      if (room === this.#room) return;
      this.#room = room;
      this.#arrange();
    });
  }

  fold(folded: ReadonlySet<string>): void {
    this.#remember({ folded: [...folded] });
  }

  render(state: State): void {
    const { model } = state;
    this.#seen = seenIn(state, this.#seen);
    write(this.#part("pending"), sentences.measuring(model.settled, this.#simulated));
    // What is said of a change is said once, when it has settled.
    if (model.settled !== "measuring") {
      const settled = find(this.#root, "settled");
      write(settled, sentences.settled(model.settled, this.#simulated));
      settled.title = settled.textContent;
    }
    write(find(this.#root, "disagreement"), sentences.disagreement(model.disagreement));
    this.#matrix.render(this.#seen);
    if (this.#shows() !== "matrix") this.#drawPicture();
    this.#say();
  }

  #drawPicture(): void {
    this.#picture.render(this.#seen, this.#isolated);
    void this.#picture.show();
    void this.#isolate();
  }

  /** Asks which policies in force isolate which pods, where that is not known of this change. */
  async #isolate(): Promise<void> {
    const { sandbox, model, workspace } = this.#store.get();
    const ready = model.state === "ready";
    const at = `${sandbox} ${model.change} ${model.state}`;
    // The texts come in behind the event that tells of them.
    if (at === this.#isolatedAt || (ready && (workspace.sandbox !== sandbox || workspace.change !== model.policiesChange))) return;
    this.#isolatedAt = at;
    const lab = this.#root.dataset["lab"] ?? "";
    try {
      const files = ready ? inForce(workspace).map((p) => ({ id: nameOf(p), text: p.yaml })) : [];
      const { files: analysed } = await api.analysis(lab, { files }, AbortSignal.timeout(api.patience));
      if (at !== this.#isolatedAt) return;
      this.#isolated = isolation(analysed.flatMap((f) => f.policies));
      this.#picture.render(this.#seen, this.#isolated);
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      this.#isolatedAt = ""; // it is asked again with what happens next
    }
  }

  #part<E extends HTMLElement = HTMLElement>(name: string): E {
    return this.#root.querySelector<E>(`[data-see="${name}"]`)!;
  }

  // --- Looking for something ---

  #asked(): Filter {
    const changed = this.#part<HTMLSelectElement>("since").value;
    return {
      text: this.#part<HTMLInputElement>("text").value,
      verdict: this.#part<HTMLSelectElement>("verdict").value as Filter["verdict"],
      changed: changed === "" || changed === "apply" || changed === "draft" ? changed : Number(changed),
    };
  }

  #look(filter: Filter): void {
    this.#filter = filter;
    // What changed in the last minute changes with the time.
    clearInterval(this.#clock);
    if (typeof filter.changed === "number") this.#clock = setInterval(() => this.#matrix.tick(), 1000);
    this.#part<HTMLInputElement>("text").value = filter.text;
    this.#part<HTMLSelectElement>("verdict").value = filter.verdict;
    this.#part<HTMLSelectElement>("since").value = String(filter.changed);
    this.#arrange();
    this.#store.update({ onlyChanges: filter.changed === "draft" });
  }

  /** Looks for what the draft changes, or for everything again, as asked elsewhere on the page. */
  lookForChanges(only: boolean): void {
    if (only === (this.#filter.changed === "draft")) return; // it was asked here
    this.#look({ ...this.#filter, changed: only ? "draft" : "" });
    if (only) this.#showFilters(true);
  }

  #showFilters(show: boolean): void {
    this.#part("filters").hidden = !show;
    this.#part("filter").setAttribute("aria-expanded", String(show));
  }

  #say(): void {
    write(this.#part("found"), isActive(this.#filter) ? sentences.found(this.#matrix.found, this.#matrix.flows.length) : "");
  }

  // --- How it is seen ---

  #arrange(): void {
    const { transposed, folded } = this.#remembered;
    const shows = this.#shows();
    for (const b of this.#part("view").querySelectorAll<HTMLElement>("[data-view]")) {
      b.setAttribute("aria-pressed", String(b.dataset["view"] === shows));
      if (b.dataset["view"] === "both") b.hidden = !this.#room;
    }
    this.#part("turn").setAttribute("aria-pressed", String(transposed));
    this.#root.querySelector<HTMLElement>(".lab-matrix")!.dataset["shows"] = shows;
    this.#part("picture").hidden = shows === "matrix";
    if (shows !== "matrix") this.#drawPicture();
    if (shows === "picture") {
      this.#part("matrix").hidden = this.#part("list").hidden = true;
      this.#showFilters(false);
      return;
    }
    this.#matrix.arrange({ transposed, folded: new Set(folded) }, this.#filter, this.#narrow.matches);
    this.#say();
  }

  /** Both, where there is room, unless the learner wants one of them. */
  #shows(): Shows {
    const { shows = "both" } = this.#remembered;
    return shows === "both" && !this.#room ? "matrix" : shows;
  }

  #recall(): Remembered {
    const usual: Remembered = { shows: undefined, transposed: false, folded: [] };
    try {
      const kept = JSON.parse(recall(this.#key) ?? "{}") as Partial<Remembered>;
      return {
        shows: (["matrix", "picture", "both"] as const).find((s) => s === kept.shows),
        transposed: kept.transposed === true,
        folded: Array.isArray(kept.folded) ? kept.folded.filter((f) => typeof f === "string") : [],
      };
    } catch {
      return usual; // what is spoilt is forgotten
    }
  }

  #remember(change: Partial<Remembered>): void {
    this.#remembered = { ...this.#remembered, ...change };
    remember(this.#key, JSON.stringify(this.#remembered));
    this.#arrange();
  }
}

/** What is drawn, and what of the state it is drawn from. */
interface Drawn extends Seen {
  readonly of: State;
}

/** What is to be drawn of the state; what has not changed is the very same as before. */
function seenIn(state: State, before?: Drawn): Drawn {
  const { model, analysis, chosen, lit, pointed } = state;
  const would = before && before.of.analysis === analysis ? before.would : new Map(analysis?.changes?.map((c): [string, Verdict] => [c.flow, c.to]));
  const out = before && before.of.lit === lit && before.of.pointed === pointed ? before.lit : pointed === undefined ? lit : new Set([pointed]);
  return { model, would, chosen, lit: out, pointed, of: state };
}

/** By which of the policies each pod is isolated. */
function isolation(policies: readonly AnalysedPolicy[]): Map<string, Isolated> {
  const pods = new Map<string, { ingress: string[]; egress: string[] }>();
  for (const p of policies) {
    for (const pod of p.selects) {
      const by = pods.get(pod) ?? { ingress: [], egress: [] };
      if (p.isolates.includes("Ingress")) by.ingress.push(nameOf(p));
      if (p.isolates.includes("Egress")) by.egress.push(nameOf(p));
      pods.set(pod, by);
    }
  }
  return pods;
}

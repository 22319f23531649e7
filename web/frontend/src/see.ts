// The pane that shows what is: the matrix or the picture, and what looks for something
// in them.

import type { Actions } from "./actions";
import type { Verdict } from "./events.gen";
import { find, write } from "./dom";
import { Matrix, type Seen } from "./matrix";
import { everything, isActive, type Filter } from "./matrixview";
import * as sentences from "./sentences";
import type { State, Store } from "./state";

/** Draws what the store knows, and chooses flows. */
export function mountSee(root: HTMLElement, store: Store, actions: Actions): void {
  const see = new See(root, store, actions);
  store.watch((now, before) => {
    if (now.model !== before.model || now.analysis !== before.analysis || now.chosen !== before.chosen || now.lit !== before.lit) see.render(now);
  });
}

/** What is remembered of how the learner wants to see things, for each lab. */
interface Remembered {
  picture: boolean;
  transposed: boolean;
  folded: string[];
}

class See {
  readonly #root: HTMLElement;
  readonly #key: string;
  readonly #simulated: boolean;
  #seen: Seen;
  readonly #matrix: Matrix;
  readonly #narrow = matchMedia("(max-width: 40rem)");
  #remembered: Remembered;
  #filter = everything;

  constructor(root: HTMLElement, store: Store, actions: Actions) {
    this.#root = root;
    this.#key = `netpol-lab:see:${root.dataset["lab"] ?? ""}`;
    this.#simulated = root.dataset["simulated"] !== undefined;
    this.#remembered = this.#recall();
    this.#seen = seenIn(store.get());
    this.#matrix = new Matrix(find<HTMLTableElement>(root, "matrix"), this.#part("list"), {
      simulated: this.#simulated,
      now: () => Date.now() - (store.get().ahead ?? 0),
      choose: actions.choose,
      fold: (folded) => this.#remember({ folded: [...folded] }),
    });
    this.#part("turn").addEventListener("click", () => this.#remember({ transposed: !this.#remembered.transposed }));
    const filters = this.#part("filters");
    this.#part("filter").addEventListener("click", () => {
      filters.hidden = !filters.hidden;
      this.#part("filter").setAttribute("aria-expanded", String(!filters.hidden));
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
    setInterval(() => this.#matrix.tick(), 1000);
    this.#arrange();
  }

  render(state: State): void {
    const { model } = state;
    this.#seen = seenIn(state, this.#seen);
    write(this.#part("pending"), sentences.measuring(model.settled, this.#simulated));
    // What is said of a change is said once, when it has settled.
    if (model.settled !== "measuring") write(find(this.#root, "settled"), sentences.settled(model.settled, this.#simulated));
    write(find(this.#root, "disagreement"), sentences.disagreement(model.disagreement));
    this.#matrix.render(this.#seen);
    this.#say();
  }

  #part<E extends HTMLElement = HTMLElement>(name: string): E {
    return this.#root.querySelector<E>(`[data-see="${name}"]`)!;
  }

  // --- Looking for something ---

  #asked(): Filter {
    const since = this.#part<HTMLSelectElement>("since").value;
    return {
      text: this.#part<HTMLInputElement>("text").value,
      verdict: this.#part<HTMLSelectElement>("verdict").value as Verdict | "none" | "",
      since: since === "" || since === "apply" ? since : Number(since),
      changes: this.#part<HTMLInputElement>("changes").checked,
    };
  }

  #look(filter: Filter): void {
    this.#filter = filter;
    if (filter === everything) {
      this.#part<HTMLInputElement>("text").value = "";
      this.#part<HTMLSelectElement>("verdict").value = "";
      this.#part<HTMLSelectElement>("since").value = "";
      this.#part<HTMLInputElement>("changes").checked = false;
    }
    this.#arrange();
  }

  #say(): void {
    write(this.#part("found"), isActive(this.#filter) ? sentences.found(this.#matrix.found, this.#matrix.flows) : "");
  }

  // --- How it is seen ---

  #arrange(): void {
    const { transposed, folded } = this.#remembered;
    this.#part("turn").setAttribute("aria-pressed", String(transposed));
    this.#matrix.arrange({ transposed, folded: new Set(folded) }, this.#filter, this.#narrow.matches);
    this.#say();
  }

  #recall(): Remembered {
    const usual: Remembered = { picture: false, transposed: false, folded: [] };
    try {
      const kept = JSON.parse(localStorage.getItem(this.#key) ?? "{}") as Partial<Remembered>;
      return {
        picture: kept.picture === true,
        transposed: kept.transposed === true,
        folded: Array.isArray(kept.folded) ? kept.folded.filter((f) => typeof f === "string") : [],
      };
    } catch {
      return usual; // storage that is full, denied or spoilt forgets
    }
  }

  #remember(change: Partial<Remembered>): void {
    this.#remembered = { ...this.#remembered, ...change };
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#remembered));
    } catch {
      // It is only for convenience.
    }
    this.#arrange();
  }
}

const none: ReadonlyMap<string, Verdict> = new Map();

/** What is to be drawn of the state; what has not changed is the very same as before. */
function seenIn({ model, chosen, lit }: State, before?: Seen): Seen {
  return { model, would: before?.would ?? none, chosen, lit };
}

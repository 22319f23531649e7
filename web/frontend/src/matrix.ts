// The matrix: patches the flows that have changed, and tells of one in a line.

import type { Actions } from "./actions";
import { find } from "./dom";
import type { Verdict } from "./events.gen";
import type { Model } from "./model";
import * as sentences from "./sentences";
import type { Store } from "./state";

type Shown = Verdict | "none";

export function mountMatrix(root: HTMLElement, store: Store, actions: Actions): void {
  const matrix = new Matrix(find<HTMLTableElement>(root, "matrix"), actions.choose);
  store.watch((now, before) => {
    if (now.model !== before.model) matrix.render(now.model);
  });
}

class Matrix {
  #table: HTMLTableElement;
  #flows = new Map<string, HTMLElement>();
  #templates = new Map<string, HTMLTemplateElement>();
  #model: Model | undefined;
  #detail: HTMLElement;
  #selected: HTMLElement | undefined;
  #choose: (flow: string) => void;

  constructor(table: HTMLTableElement, chosen: (flow: string) => void) {
    this.#table = table;
    this.#choose = chosen;
    for (const t of document.querySelectorAll<HTMLTemplateElement>("template[data-verdict-template]")) {
      this.#templates.set(t.dataset["verdictTemplate"]!, t);
    }
    for (const span of table.querySelectorAll<HTMLElement>("[data-flow]")) {
      this.#flows.set(span.dataset["flow"]!, span);
      // One stop for the Tab key; the arrow keys go on from there.
      span.tabIndex = this.#flows.size === 1 ? 0 : -1;
    }
    this.#detail = document.getElementById("flow-detail") ?? document.createElement("p");
    if (!this.#detail.isConnected) {
      this.#detail.id = "flow-detail";
      this.#detail.className = "detail";
      this.#detail.setAttribute("aria-live", "polite");
      this.#detail.textContent = "Choose a mark to read more about it.";
      (table.closest(".scroll") ?? table).after(this.#detail);
    }
    const choose = (e: Event): void => {
      const span = (e.target as Element).closest<HTMLElement>("[data-flow]");
      if (span) this.#select(span);
    };
    table.addEventListener("focusin", choose);
    table.addEventListener("click", choose);
    table.addEventListener("keydown", (e) => {
      const from = (e.target as Element).closest<HTMLElement>("[data-flow]");
      const to = from && neighbour(from, e.key);
      if (!to) return;
      e.preventDefault();
      to.focus();
    });
    table.addEventListener("animationend", (e) => (e.target as Element).closest(".flow")?.classList.remove("changed"));
  }

  /** Draws the model. Flows that turn are marked as changed, but not those of a whole picture. */
  render(model: Model): void {
    const news = model.flows !== model.before;
    const last = this.#model;
    this.#model = model;
    if (last && last.change !== model.change) {
      for (const span of this.#table.querySelectorAll(".changed")) span.classList.remove("changed");
    }
    for (const [id, span] of this.#flows) {
      const seen = model.flows.get(id);
      if (last && last.flows.get(id) === seen) continue;
      const verdict = seen?.verdict ?? "none";
      span.title = sentences.flow(id, seen);
      if (span.dataset["verdict"] !== verdict) this.#turn(span, verdict, news);
      if (span === this.#selected) this.#detail.textContent = span.title;
    }
  }

  #turn(span: HTMLElement, verdict: Shown, news: boolean): void {
    const first = span.dataset["verdict"] === "none";
    span.dataset["verdict"] = verdict;
    const template = this.#templates.get(verdict);
    span.replaceChildren(template ? template.content.cloneNode(true) : verdict);
    span.classList.remove("changed");
    if (!news || first || verdict === "none") return;
    void span.offsetWidth; // so that the animation begins anew
    span.classList.add("changed");
  }

  #select(span: HTMLElement): void {
    this.#selected = span;
    for (const other of this.#flows.values()) other.tabIndex = other === span ? 0 : -1;
    const id = span.dataset["flow"]!;
    this.#detail.textContent = this.#model ? sentences.flow(id, this.#model.flows.get(id)) : span.title;
    this.#choose(id);
  }
}

const marks = (cell: Element | undefined): HTMLElement[] => [...(cell?.querySelectorAll<HTMLElement>("[data-flow]") ?? [])];

// The mark beside the given one, in the direction of the arrow key.
function neighbour(span: HTMLElement, key: string): HTMLElement | undefined {
  const cell = span.closest("td");
  const row = cell?.closest("tr");
  if (!cell || !row) return undefined;
  const at = marks(cell).indexOf(span);
  const back = key === "ArrowLeft" || key === "ArrowUp";
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const step = (e: Element): Element | null => (back ? e.previousElementSibling : e.nextElementSibling);
    for (let c = step(cell); c; c = step(c)) {
      const there = marks(c);
      if (there.length > 0) return there[Math.min(at, there.length - 1)];
    }
  }
  if (key === "ArrowUp" || key === "ArrowDown") {
    const here = marks(cell)[back ? at - 1 : at + 1];
    if (here) return here;
    const step = (e: Element): Element | null => (back ? e.previousElementSibling : e.nextElementSibling);
    for (let r = step(row); r; r = step(r)) {
      const there = marks((r as HTMLTableRowElement).cells[cell.cellIndex]);
      if (there.length > 0) return back ? there.at(-1) : there[0];
    }
  }
  return undefined;
}

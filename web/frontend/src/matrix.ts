// The matrix: a table, and on a phone a list by source. The server has drawn every
// mark; they are patched, and moved where the learner wants other rows and columns.

import { make } from "./dom";
import type { Verdict } from "./events.gen";
import { changedByApply, everything, flowsOf, foldOf, isActive, layOut, pairOf, passes, podOf, sum } from "./matrixview";
import type { Axes, End, Filter, Group, Layout, Line, View } from "./matrixview";
import { nothing, type Model } from "./model";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";

/** What the matrix shows. */
export interface Seen {
  readonly model: Model;
  /** What flows would become by the draft, where that is another verdict. */
  readonly would: ReadonlyMap<string, Verdict>;
  /** The chosen flow. */
  readonly chosen: string | undefined;
  /** Pods that stand out: the one that is pointed at, or else those that the selector under the cursor selects. */
  readonly lit: ReadonlySet<string>;
  /** The pod or host that is pointed at. */
  readonly pointed: string | undefined;
}

export interface Options {
  readonly simulated: boolean;
  /** The time of the server's clock, in milliseconds. */
  now(): number;
  choose(flow: string | undefined): void;
  /** The pod or host at whose head the pointer is. */
  point(end: string | undefined): void;
  /** Groups that were folded or unfolded. */
  fold(folded: ReadonlySet<string>): void;
}

/** A flow's mark on the page, and what it shows. */
interface Mark {
  readonly element: HTMLElement;
  readonly symbol: Node;
  readonly word: Node;
  /** How the source finds its destination. */
  readonly via: string;
  verdict: Verdict | "none";
  would: Verdict | "";
  ring: boolean;
}

/** A row or column of spots is a list of cells, and a cell of what can have the focus. */
type Spots = HTMLElement[][][];

const plain: View = { transposed: false, folded: new Set() };

export class Matrix {
  readonly #table: HTMLTableElement;
  readonly #list: HTMLElement;
  readonly #options: Options;
  readonly #axes: Axes;
  readonly #marks = new Map<string, Mark>();
  readonly #cells = new Map<string, HTMLElement>();
  readonly #ends = new Map<string, { row: string; column: string }>();
  #view = plain;
  #filter = everything;
  #asList = false;
  #seen: Seen = { model: nothing, would: new Map(), chosen: undefined, lit: new Set(), pointed: undefined };
  #shown: ReadonlySet<string> | undefined;
  #spots: Spots = [];
  #sums: { element: HTMLElement; flows: string[] }[] = [];
  #columns: { element: HTMLElement; line: Line }[] = [];
  #rows: { element: HTMLElement; line: Line }[] = [];
  #stop: HTMLElement | undefined;
  /** The marks that are to be animated from the next frame on. */
  #turning = new Set<HTMLElement>();
  /** How much room there is for the table, in sixteenths of a rem. */
  #room = 0;
  /** The mark whose title is read at the moment. */
  #explained: HTMLElement | undefined;

  constructor(table: HTMLTableElement, list: HTMLElement, options: Options) {
    this.#table = table;
    this.#list = list;
    this.#options = options;
    this.#axes = this.#read();
    table.setAttribute("role", "grid");
    table.setAttribute("aria-readonly", "true");
    for (const root of [table, list]) {
      root.addEventListener("click", (e) => this.#press(e));
      root.addEventListener("keydown", (e) => this.#key(e));
      root.addEventListener("focusin", (e) => this.#explain(e.target));
      root.addEventListener("pointerover", (e) => this.#explain(e.target));
      root.addEventListener("pointerover", (e) => options.point(this.#headed(e.target)));
      root.addEventListener("pointerleave", () => options.point(undefined));
      root.addEventListener("animationend", (e) => (e.target as Element).classList.remove("turns"));
    }
    watchRoom(table.parentElement!, (room) => {
      this.#room = room;
      fit(table, room);
    });
  }

  get flows(): string[] {
    return [...this.#marks.keys()];
  }

  /** How many flows the filter lets through. */
  get found(): number {
    return this.#shown?.size ?? this.#marks.size;
  }

  /** Shows other rows and columns, other flows, or a list in place of the table. */
  arrange(view: View, filter: Filter, asList: boolean): void {
    this.#view = view;
    this.#filter = filter;
    this.#asList = asList;
    this.#shown = this.#find();
    this.#draw();
  }

  render(seen: Seen): void {
    const last = this.#seen;
    this.#seen = seen;
    const { model } = seen;
    const changed = new Set<HTMLElement>();
    if (last.model !== model || last.would !== seen.would) {
      for (const [id, mark] of this.#marks) if (this.#patch(id, mark, last)) changed.add(mark.element.parentElement!);
      for (const cell of changed) this.#join(cell);
      if (this.#turning.size > 0) requestAnimationFrame(() => this.#animate());
      this.#count();
      if (this.#explained) this.#explain(this.#explained);
    }
    if (last.chosen !== seen.chosen || last.lit !== seen.lit) this.#mark(last.chosen);
    if (!isActive(this.#filter)) return;
    const shown = this.#find();
    if (same(shown, this.#shown)) return;
    this.#shown = shown;
    this.#draw();
  }

  /** Looks again for what changed in the last seconds. */
  tick(): void {
    if (typeof this.#filter.changed === "number") this.render(this.#seen);
  }

  /** Takes the keyboard to the matrix: to the chosen flow, or where it was last. */
  focus(): void {
    (this.#marks.get(this.#seen.chosen ?? "")?.element ?? this.#stop)?.focus();
  }

  /** Takes in the rows, columns and marks that the server has drawn. */
  #read(): Axes {
    const axes = axesOf(this.#table);
    const elements = new Map([...this.#table.querySelectorAll<HTMLElement>("[data-flow]")].map((e) => [e.dataset["flow"]!, e]));
    for (const from of axes.from) {
      for (const to of axes.to) {
        const pair = pairOf(from.id, to.id);
        for (const id of axes.flows.get(pair) ?? []) {
          const element = elements.get(id)!;
          const text = (of: string): Node => element.querySelector(of)!.firstChild!;
          const mark: Mark = { element, symbol: text(".symbol"), word: text(".word"), via: text(".via").nodeValue!, verdict: element.dataset["verdict"] as Mark["verdict"], would: "", ring: false };
          this.#cells.set(pair, element.parentElement!);
          this.#marks.set(id, mark);
          this.#ends.set(id, { row: from.id, column: to.id });
          element.setAttribute("role", "button");
          element.tabIndex = -1;
          this.#label(mark);
        }
      }
    }
    return axes;
  }

  // --- What a flow is ---

  /** Draws the flow's mark where anything of it is another; returns whether. */
  #patch(id: string, mark: Mark, last: Seen): boolean {
    const { model, would } = this.#seen;
    const verdict = model.flows.get(id)?.verdict ?? "none";
    const next = would.get(id) ?? "";
    const ring = model.change > 0 && changedByApply(model, id);
    if (mark.verdict === verdict && mark.would === next && mark.ring === ring) return false;
    const { element } = mark;
    if (mark.verdict !== verdict) {
      mark.verdict = element.dataset["verdict"] = verdict;
      mark.symbol.nodeValue = said.symbols[verdict];
      mark.word.nodeValue = said.verdicts[verdict];
      const turned = model.turned.get(id);
      // A mark that is drawn anew with the whole picture has not turned before the learner's eyes.
      element.classList.remove("turns");
      this.#turning.delete(element);
      if (turned !== undefined && turned !== last.model.turned.get(id)) this.#turning.add(element);
    }
    if (mark.would !== next) {
      mark.would = next;
      if (next) element.dataset["would"] = next === "open" ? "open" : "closed";
      else delete element.dataset["would"];
    }
    if (mark.ring !== ring) element.classList.toggle("ring", (mark.ring = ring));
    element.removeAttribute("title");
    this.#label(mark);
    return true;
  }

  #label({ element, via, verdict, would, ring }: Mark): void {
    element.setAttribute("aria-label", `${via}: ${sentences.mark(verdict, would, ring)}`);
  }

  // Where all flows of a cell are alike, it is drawn as one.
  #join(cell: HTMLElement): void {
    const [first, ...others] = [...cell.children].map((m) => this.#marks.get((m as HTMLElement).dataset["flow"]!)!);
    const alike = others.every((m) => m.verdict === first!.verdict && m.would === first!.would && m.ring === first!.ring);
    if (alike) cell.dataset["same"] = first!.verdict;
    else delete cell.dataset["same"];
  }

  #animate(): void {
    for (const mark of this.#turning) mark.classList.add("turns");
    this.#turning.clear();
  }

  // A title is read rarely, and written when it is.
  #explain(target: EventTarget | null): void {
    const mark = (target as Element | null)?.closest?.<HTMLElement>("[data-flow]");
    if (!mark) return;
    this.#explained = mark;
    const id = mark.dataset["flow"]!;
    const { model, would } = this.#seen;
    const turned = model.turned.get(id);
    const ago = turned === undefined ? undefined : Math.max(0, this.#options.now() - turned);
    const title = sentences.flow(id, model.flows.get(id), { would: would.get(id), before: model.before.get(id)?.verdict, ago, simulated: this.#options.simulated });
    if (mark.title !== title) mark.title = title;
  }

  #count(): void {
    for (const { element, flows } of this.#sums) {
      const { open, known, all } = sum(flows, this.#seen.model.flows);
      const text = known === 0 ? "·" : `${open}/${all}`;
      element.dataset["open"] = open === 0 ? "none" : open === all ? "all" : "some";
      if (element.textContent !== text) element.textContent = text;
      element.setAttribute("aria-label", sentences.openOf(open, known, all));
    }
  }

  // --- What stands out ---

  #mark(before: string | undefined): void {
    const { chosen, lit } = this.#seen;
    if (before !== chosen) {
      this.#choose(before, false);
      this.#choose(chosen, true);
    }
    const at = chosen === undefined ? undefined : this.#ends.get(chosen);
    const stands = (line: Line, id: string | undefined): boolean => id !== undefined && line.ends.some((e) => e.id === id);
    const isLit = (line: Line): boolean => lit.size > 0 && line.ends.some((e) => lit.has(podOf(e.id)));
    for (const { element, line } of [...this.#rows, ...this.#columns]) {
      element.classList.toggle("in", stands(line, at?.row) || stands(line, at?.column));
      element.classList.toggle("lit", isLit(line));
    }
  }

  #choose(id: string | undefined, chosen: boolean): void {
    const mark = this.#marks.get(id ?? "")?.element;
    mark?.classList.toggle("chosen", chosen);
    mark?.parentElement!.classList.toggle("apart", chosen);
    if (chosen) mark?.setAttribute("aria-pressed", "true");
    else mark?.removeAttribute("aria-pressed");
    if (chosen && mark) {
      this.#stopAt(mark);
      if (this.#asList) mark.closest("details")!.open = true;
    }
  }

  /** The pod or host whose head the target is in. */
  #headed(target: EventTarget | null): string | undefined {
    const head = (target as Element | null)?.closest?.("th, summary");
    const at = head && [...this.#rows, ...this.#columns].find(({ element }) => element === head || element === head.parentElement);
    return at && !at.line.folded ? podOf(at.line.ends[0]!.id) : undefined;
  }

  // --- Which are shown, and where ---

  #find(): ReadonlySet<string> | undefined {
    if (!isActive(this.#filter)) return undefined;
    const { model, would } = this.#seen;
    return new Set([...this.#marks.keys()].filter(passes(this.#filter, { model, would, now: this.#options.now() })));
  }

  #draw(): void {
    const focused = document.activeElement as HTMLElement | null;
    const held = focused && (this.#table.contains(focused) || this.#list.contains(focused)) ? focused : undefined;
    const fold = held?.dataset["fold"];
    const shown = this.#shown;
    const layout = layOut(this.#axes, this.#view, (id) => shown?.has(id) ?? true);
    this.#sums = [];
    this.#rows = [];
    this.#columns = [];
    this.#spots = [];
    for (const [id, { element }] of this.#marks) element.classList.toggle("faded", shown !== undefined && !shown.has(id));
    if (this.#asList) this.#drawList(layout);
    else this.#drawTable(layout);
    this.#count();
    this.#mark(this.#seen.chosen);
    if (!this.#stop?.isConnected) this.#stopAt(this.#spots.flat(2).find((e) => e.dataset["flow"] !== undefined));
    const back = fold ? this.#spots.flat(2).find((e) => e.dataset["fold"] === fold) : held;
    if (back?.isConnected) back.focus({ preventScroll: true });
  }

  #drawTable({ rows, columns }: Layout): void {
    const sides = columns.flatMap((group) => group.lines.map((line, i) => ({ group, line, first: i === 0 })));
    const cols = make("colgroup");
    cols.append(make("col"), ...sides.map(() => make("col")));
    this.#columns = sides.map(({ line }, i) => ({ element: cols.children[i + 1] as HTMLElement, line }));

    const head = make("thead");
    const [names, ends] = [make("tr"), make("tr")];
    const corner = make("td", "", "corner");
    corner.rowSpan = 2;
    names.append(corner);
    const buttons = new Map<Group, HTMLElement>();
    for (const group of columns) {
      const th = make("th", "", "group first");
      th.scope = "colgroup";
      th.colSpan = group.lines.length;
      th.title = th.dataset["group"] = group.name;
      const button = foldButton(group);
      buttons.set(group, button);
      th.append(button);
      names.append(th);
    }
    for (const { line, first } of sides) {
      const th = make("th", "", first ? "first" : "");
      th.scope = "col";
      const end = make("span", "", "end");
      end.append(...(line.folded ? [make("span", sentences.ends(line.ends), "port")] : endName(line.ends[0]!)));
      th.append(end);
      ends.append(th);
      this.#columns.push({ element: th, line });
    }
    head.append(names, ends);
    this.#spots.push([[], ...sides.map(({ group }) => [buttons.get(group)!])]);

    const bodies = rows.map((group) => {
      const body = make("tbody");
      for (const [i, line] of group.lines.entries()) {
        const tr = make("tr");
        const th = make("th");
        th.scope = "row";
        const spots: HTMLElement[][] = [[]];
        if (i === 0) {
          const button = foldButton(group);
          th.append(button);
          spots[0]!.push(button);
        }
        if (line.folded) th.append(make("span", sentences.ends(line.ends), "port"));
        else {
          const end = line.ends[0]!;
          th.title = end.note;
          th.append(make("span", `${end.group}/`, "namespace"), ...endName(end));
        }
        tr.append(th);
        for (const { line: column, first } of sides) {
          const td = make("td", "", first ? "first" : "");
          spots.push(this.#fill(td, line, column));
          tr.append(td);
        }
        this.#rows.push({ element: tr, line });
        this.#spots.push(spots);
        body.append(tr);
      }
      return body;
    });
    this.#table.replaceChildren(this.#table.caption!, cols, head, ...bodies);
    fit(this.#table, this.#room);
    this.#table.hidden = rows.length === 0;
    this.#list.hidden = true;
    this.#table.parentElement!.hidden = false;
  }

  /** Puts into the cell what is known of the flows between a row and a column; returns what can have the focus. */
  #fill(td: HTMLElement, row: Line, column: Line): HTMLElement[] {
    const [from, to] = this.#view.transposed ? [column, row] : [row, column];
    if (from.folded || to.folded) {
      const flows = flowsOf(this.#axes, from, to);
      if (flows.length > 0) {
        const element = make("span", "", "sum");
        element.setAttribute("role", "button");
        element.tabIndex = -1;
        this.#sums.push({ element, flows });
        td.append(element);
        return [element];
      }
    }
    const cell = this.#cells.get(pairOf(from.ends[0]!.id, to.ends[0]!.id));
    if (!cell || from.folded || to.folded) {
      td.append(Object.assign(make("span", "–", "self"), { ariaHidden: "true" }), make("span", "itself", "visually-hidden"));
      return [];
    }
    td.append(cell);
    return [...cell.children] as HTMLElement[];
  }

  #drawList({ rows, columns }: Layout): void {
    const open = new Set([...this.#list.querySelectorAll("details[open]")].map((d) => (d as HTMLElement).dataset["end"]));
    const parts: HTMLElement[] = [];
    for (const group of rows) {
      parts.push(make("h3", group.name));
      for (const end of group.lines.flatMap((l) => l.ends)) {
        const details = make("details");
        details.dataset["end"] = end.id;
        const summary = make("summary");
        const count = make("span", "", "count");
        summary.append(make("span", end.name, "pod"), end.port ? ` ${end.port}` : "", " ", count);
        const list = make("ul");
        const flows: string[] = [];
        for (const other of columns.flatMap((g) => g.lines.flatMap((l) => l.ends))) {
          const [from, to] = this.#view.transposed ? [other, end] : [end, other];
          const pair = pairOf(from.id, to.id);
          const cell = this.#cells.get(pair);
          if (!cell || !this.#axes.flows.get(pair)!.some((f) => this.#shown?.has(f) ?? true)) continue;
          flows.push(...this.#axes.flows.get(pair)!);
          const item = make("li");
          const name = make("span", "", "end");
          name.append(make("span", `${other.group}/`, "namespace"), ...endName(other));
          item.append(name, cell);
          list.append(item);
          this.#spots.push([[...cell.children] as HTMLElement[]]);
        }
        this.#sums.push({ element: count, flows });
        const line = { ends: [end], folded: false };
        this.#rows.push({ element: details, line });
        details.open = open.has(end.id) || (open.size === 0 && parts.length === 1) || this.#shown !== undefined;
        details.append(summary, list);
        parts.push(details);
      }
    }
    this.#list.replaceChildren(...parts);
    this.#list.hidden = false;
    this.#table.parentElement!.hidden = true;
  }

  // --- The mouse and the keyboard ---

  #press(e: Event): void {
    const target = e.target as Element;
    const mark = target.closest<HTMLElement>("[data-flow]");
    const fold = target.closest<HTMLElement>("[data-fold]");
    const count = target.closest<HTMLElement>(".sum");
    if (mark) {
      this.#stopAt(mark);
      this.#options.choose(mark.dataset["flow"]);
    } else if (fold) {
      this.#fold(fold.dataset["fold"]!);
    } else if (count) {
      const { flows } = this.#sums.find((s) => s.element === count)!;
      const ends = flows.map((f) => this.#ends.get(f)!);
      const of = (side: "from" | "to", ids: string[]): string[] => this.#axes[side].filter((x) => ids.includes(x.id)).map((x) => foldOf(side, x.group));
      const folded = new Set(this.#view.folded);
      for (const name of [...of("from", ends.map((x) => x.row)), ...of("to", ends.map((x) => x.column))]) folded.delete(name);
      this.#options.fold(folded);
      this.#marks.get(flows[0]!)?.element.focus();
    }
  }

  #fold(name: string): void {
    const folded = new Set(this.#view.folded);
    if (!folded.delete(name)) folded.add(name);
    this.#options.fold(folded);
  }

  #key(e: KeyboardEvent): void {
    const at = (e.target as Element).closest<HTMLElement>("[data-flow], [data-fold], .sum");
    if (!at || e.altKey || e.metaKey) return;
    if ((e.key === "Enter" || e.key === " ") && at.tagName !== "BUTTON") at.click();
    else if (e.key === "Escape" && this.#seen.chosen !== undefined) this.#options.choose(undefined);
    else {
      const to = beside(this.#spots, at, e.key, e.ctrlKey);
      if (!to) return;
      this.#stopAt(to);
      to.focus();
    }
    e.preventDefault();
  }

  // One stop for the Tab key; the arrow keys go on from there.
  #stopAt(element: HTMLElement | undefined): void {
    if (this.#stop && this.#stop !== element) this.#stop.tabIndex = -1;
    this.#stop = element;
    if (element) element.tabIndex = 0;
  }
}

/** Tells how wide the element is, in pixels at the usual size of type, at once and whenever that changes. */
export function watchRoom(element: HTMLElement, tell: (room: number) => void): void {
  new ResizeObserver(([box]) => tell(box!.contentRect.width / (parseFloat(getComputedStyle(document.documentElement).fontSize) / 16))).observe(element);
}

/**
 * Makes the columns of a matrix as wide as its pane has room for. Where a group's are
 * narrower together than its name, each column has the name before its own. The numbers
 * are those of see.css, like the room in pixels at the usual size of type.
 */
export function fit(table: HTMLTableElement, room: number): void {
  if (room === 0) return; // it is not to be seen, or not yet
  const groups = [...table.querySelectorAll<HTMLTableCellElement>("thead .group")];
  const breadth = groups.reduce((sum, g) => sum + g.colSpan, 0);
  const tight = room < 210 + breadth * 50;
  const cell = Math.floor(tight ? Math.min(40, Math.max(22, (room - 92) / breadth - 3)) : Math.min(60, (room - 170) / breadth - 6));
  table.classList.toggle("tight", tight);
  table.classList.toggle("stacked", tight && cell < 34);
  table.style.setProperty("--cell", `${cell / 16}rem`);
  const ends = [...table.querySelectorAll<HTMLElement>("thead th .end")];
  for (const group of groups) {
    const name = group.dataset["group"]!;
    const slim = tight && name.length * 6.5 + 14 > group.colSpan * (cell + 3);
    group.classList.toggle("slim", slim);
    for (const end of ends.splice(0, group.colSpan)) {
      end.querySelector(".of")?.remove();
      if (!slim) continue;
      const of = make("span", name, "of");
      of.ariaHidden = "true"; // the group's head says that
      end.prepend(of);
    }
  }
}

/** The sources, the destinations and the flows between, as the server has drawn them. */
export function axesOf(table: HTMLTableElement): Axes {
  const end = (th: HTMLElement, group: string): End => ({
    id: th.dataset["end"]!,
    group,
    name: th.querySelector(".pod")?.textContent ?? "",
    port: th.querySelector(".port")?.textContent ?? "",
    note: th.title,
  });
  const names = [...table.querySelectorAll<HTMLTableCellElement>("thead th.group")].flatMap((g) => Array<string>(g.colSpan).fill(g.dataset["group"]!));
  const to = [...table.querySelectorAll<HTMLElement>("thead th[data-end]")].map((th, i) => end(th, names[i]!));
  const from: End[] = [];
  const flows = new Map<string, string[]>();
  for (const row of table.querySelectorAll<HTMLTableRowElement>("tbody tr")) {
    const source = end(row.cells[0]!, row.closest("tbody")!.dataset["group"]!);
    from.push(source);
    for (const [i, target] of to.entries()) {
      const ids = [...row.cells[i + 1]!.querySelectorAll<HTMLElement>("[data-flow]")].map((m) => m.dataset["flow"]!);
      if (ids.length > 0) flows.set(pairOf(source.id, target.id), ids);
    }
  }
  return { from, to, flows };
}

/** The spot that a key leads to from another. */
function beside(spots: Spots, from: HTMLElement, key: string, ctrl: boolean): HTMLElement | undefined {
  const row = spots.findIndex((r) => r.some((c) => c.includes(from)));
  const column = spots[row]?.findIndex((c) => c.includes(from)) ?? -1;
  if (column < 0) return undefined;
  const here = spots[row]![column]!;
  const at = here.indexOf(from);
  const inRow = (r: HTMLElement[][] | undefined): HTMLElement[] => [...new Set(r?.flat())];
  const line = inRow(spots[row]);
  switch (key) {
    case "ArrowRight":
      return line[line.indexOf(from) + 1];
    case "ArrowLeft":
      return line[line.indexOf(from) - 1];
    case "ArrowDown":
    case "ArrowUp": {
      const step = key === "ArrowDown" ? 1 : -1;
      for (let r = row + step; r >= 0 && r < spots.length; r += step) {
        const there = spots[r]![column];
        if (there && there.length > 0) return there[Math.min(at, there.length - 1)];
      }
      return undefined;
    }
    case "Home":
      return ctrl ? spots.flat(2)[0] : line[0];
    case "End":
      return ctrl ? spots.flat(2).at(-1) : line.at(-1);
  }
  return undefined;
}

/** The button that folds a namespace in the rows or the columns, or unfolds it. */
export function foldButton(group: Group): HTMLElement {
  const button = make("button", group.name, "fold");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset["fold"] = foldOf(group.side, group.name);
  button.setAttribute("aria-expanded", String(!group.folded));
  return button;
}

function endName(end: End): (HTMLElement | string)[] {
  return [make("span", end.name, "pod"), ...(end.port ? [" ", make("span", end.port, "port")] : [])];
}

function same(a: ReadonlySet<string> | undefined, b: ReadonlySet<string> | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.size === b.size && [...a].every((x) => b.has(x)));
}

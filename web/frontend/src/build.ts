// The pane's second side: what the learner wants. Each cell is a wish for the connections
// between a pod and a port; the server makes policies of the wishes, or says why none can
// do it. What it makes becomes drafts when the learner says so, and is never applied here.

import type { Actions } from "./actions";
import type { Built } from "./answers.gen";
import * as api from "./api";
import { button, find, make, refill, show, write } from "./dom";
import { allFlows, count, counted, flowsBetween, fromSeen, next, parse, symbols, wish, wishOf, wordOf, type Wishes } from "./intent";
import { axesOf, fit, foldButton, watchRoom } from "./matrix";
import { flowsOf, layOut, pairOf, type Axes, type End, type Group, type Line } from "./matrixview";
import { nameOf } from "./model";
import { recall, remember } from "./remember";
import * as sentences from "./sentences";
import type { State, Store } from "./state";
import { joined } from "./workspace/text";

/** How long to wait after the last wish before policies are asked for, in milliseconds. */
const pause = 250;

/** Draws the wishes once the switch in the pane's tools is used. */
export function mountBuild(root: HTMLElement, store: Store, actions: Actions): void {
  const slot = root.querySelector<HTMLElement>('[data-see="mode"]');
  if (!slot) return;
  const pane = find(root, "want");
  // Read before the matrix is drawn in another way.
  const axes = axesOf(find<HTMLTableElement>(root, "matrix"));
  let want: Want | undefined;
  const [is, wanted] = [...slot.querySelectorAll<HTMLElement>("[data-mode]")] as [HTMLElement, HTMLElement];
  const turn = (on: boolean): void => {
    find(root, "see").classList.toggle("wanting", on);
    pane.hidden = !on;
    is.setAttribute("aria-pressed", String(!on));
    wanted.setAttribute("aria-pressed", String(on));
    if (on) (want ??= new Want(root, pane, axes, store, actions)).ask();
  };
  is.addEventListener("click", () => turn(false));
  wanted.addEventListener("click", () => turn(true));
  store.watch((now, before) => {
    if (now.model !== before.model) want?.told(now, before);
    if (now.folded !== before.folded) want?.folded();
  });
}

/** One cell, or the head of a row, a column or a namespace: its flows are set together. */
interface Spot {
  readonly element: HTMLButtonElement;
  readonly flows: readonly string[];
  /** Whether it is a head. */
  readonly all: boolean;
  /** What it is called: "production/web to api 8080/TCP". */
  readonly name: string;
}

class Want {
  readonly #pane: HTMLElement;
  readonly #axes: Axes;
  readonly #store: Store;
  readonly #actions: Actions;
  readonly #lab: string;
  readonly #key: string;
  readonly #flows: readonly string[];
  readonly #spots = new Map<HTMLElement, Spot>();
  #rows: HTMLElement[][] = [];
  #asList = false;
  /** How much room there is for the table, in sixteenths of a rem. */
  #room = 0;
  #wishes: Wishes;
  /** The flows that no policy can close. */
  #fixed: ReadonlySet<string> = new Set();
  #timer = 0;
  #asked = 0;

  constructor(root: HTMLElement, pane: HTMLElement, axes: Axes, store: Store, actions: Actions) {
    this.#pane = pane;
    this.#axes = axes;
    this.#store = store;
    this.#actions = actions;
    this.#lab = root.dataset["lab"] ?? "";
    this.#key = `want:${this.#lab}`;
    this.#flows = allFlows(axes);
    this.#wishes = parse(recall(this.#key), this.#flows);
    const narrow = matchMedia("(max-width: 40rem)");
    const draw = (): void => (narrow.matches ? this.#drawList() : this.#drawTable());
    narrow.addEventListener("change", draw);
    draw();
    const matrix = this.#part("matrix");
    watchRoom(matrix, (room) => {
      this.#room = room;
      const table = matrix.querySelector("table");
      if (table) fit(table, room);
    });
    matrix.addEventListener("click", (e) => this.#press(e.target));
    matrix.addEventListener("keydown", (e) => this.#typed(e));
    matrix.addEventListener("focusin", (e) => this.#stopAt(e.target as HTMLElement));
    this.#part("seen").addEventListener("click", () => this.#beginWithSeen());
    this.#part("nothing").addEventListener("click", () => this.#begin(new Map(), "Every wish is taken away."));
    this.told(store.get());
  }

  /** Takes news of the sandbox: what can be begun with, and what the policies are compared with. */
  told(now: State, before?: State): void {
    const seen = this.#part("seen");
    const nothing = now.model.flows.size === 0;
    seen.ariaDisabled = nothing ? "true" : null;
    seen.title = nothing ? "Nothing has been seen yet: start the sandbox first." : "";
    if (before && (now.model.change !== before.model.change || now.model.state !== before.model.state)) this.#later();
  }

  #part<E extends HTMLElement = HTMLElement>(name: string): E {
    return this.#pane.querySelector<E>(`[data-want="${name}"]`)!;
  }

  // --- Wishes ---

  #beginWithSeen(): void {
    const { flows } = this.#store.get().model;
    if (flows.size === 0) return this.#say(this.#part("seen").title);
    this.#begin(fromSeen(flows, this.#flows), "What was seen is wished for.");
  }

  #begin(wishes: Wishes, said: string): void {
    this.#wishes = wishes;
    this.#changed(said);
  }

  #set(spot: Spot, what: ReturnType<typeof next>): void {
    const flows = this.#settable(spot);
    const left = what === "closed" ? spot.flows.length - flows.length : 0;
    this.#wishes = wish(this.#wishes, flows, what);
    this.#changed(`${spot.name}: ${wordOf(what)}.${left > 0 ? ` ${left} left out: no policy can close them.` : ""}`);
  }

  /** A head leaves alone what no policy can close; a cell of it can be set, to be told why. */
  #settable(spot: Spot): readonly string[] {
    const can = spot.all ? spot.flows.filter((f) => !this.#fixed.has(f)) : spot.flows;
    return can.length > 0 ? can : spot.flows;
  }

  #changed(said: string): void {
    this.#say(said);
    remember(this.#key, JSON.stringify(Object.fromEntries(this.#wishes)));
    this.#render();
    this.#later();
  }

  #say(said: string): void {
    write(this.#part("said"), said);
  }

  #render(): void {
    for (const [element, spot] of this.#spots) {
      const is = wishOf(this.#wishes, this.#settable(spot));
      const fixed = is === "none" && spot.flows.length > 0 && spot.flows.every((f) => this.#fixed.has(f));
      const look = fixed ? "always" : is;
      if (element.dataset["wish"] === look) continue;
      element.dataset["wish"] = look;
      element.setAttribute("aria-label", `${spot.name}: ${fixed ? "always open, since no policy can close it" : wordOf(is)}`);
      element.title = fixed ? "Always open: no policy can close it" : "";
      const symbol = element.querySelector<HTMLElement>(".symbol");
      if (symbol) symbol.textContent = symbols[fixed ? "open" : is];
      const word = element.querySelector<HTMLElement>(".word");
      if (word) word.textContent = fixed ? "always open" : is === "none" ? "free" : is;
    }
    write(this.#part("count"), counted(count(this.#wishes, this.#flows)));
  }

  // --- What is pressed ---

  #press(target: EventTarget | null): void {
    const spot = this.#spotOf(target);
    const fold = (target as Element | null)?.closest<HTMLElement>("[data-fold]");
    if (fold) this.#fold(fold.dataset["fold"]!);
    else if (spot) this.#set(spot, next(wishOf(this.#wishes, this.#settable(spot))));
  }

  #spotOf(target: EventTarget | null): Spot | undefined {
    const element = (target as Element | null)?.closest<HTMLElement>("[data-wish]");
    return element ? this.#spots.get(element) : undefined;
  }

  #typed(e: KeyboardEvent): void {
    const spot = this.#spotOf(e.target);
    const at = spot?.element ?? (e.target as Element).closest<HTMLElement>("[data-fold]");
    if (!at || e.altKey || e.metaKey) return;
    const direct = ({ o: "open", c: "closed", Backspace: "none", Delete: "none" } as const)[e.key];
    if (direct && spot && !e.ctrlKey) {
      e.preventDefault();
      this.#set(spot, direct);
      return;
    }
    const to = neighbour(this.#rows, at, e.key, e.ctrlKey);
    if (!to) return;
    e.preventDefault();
    to.focus();
  }

  /** One stop for the Tab key; the arrow keys go on from there. */
  #stopAt(element: HTMLElement): void {
    const all = new Set(this.#rows.flat());
    // In a list each is a stop of its own.
    if (this.#asList || !all.has(element)) return;
    for (const other of all) other.tabIndex = other === element ? 0 : -1;
  }

  // --- The cells ---

  #spot(name: string, flows: readonly string[], all: boolean, ...content: (Node | string)[]): HTMLButtonElement {
    const element = make("button");
    element.type = "button";
    element.tabIndex = -1;
    element.dataset["wish"] = "";
    element.append(...content);
    this.#spots.set(element, { element, flows, all, name });
    return element;
  }

  #cell(from: End, to: End): HTMLButtonElement | undefined {
    const flows = this.#axes.flows.get(pairOf(from.id, to.id));
    if (!flows) return undefined;
    const symbol = make("span");
    symbol.className = "symbol";
    symbol.ariaHidden = "true";
    const cell = this.#spot(`${from.id} to ${to.name} ${to.port}`, flows, false, symbol);
    cell.className = "wish";
    return cell;
  }

  #head(name: string, from: readonly End[], to: readonly End[], ...content: (Node | string)[]): HTMLButtonElement {
    const head = this.#spot(name, flowsBetween(this.#axes, from, to), true, ...content);
    head.className = "all";
    return head;
  }

  #drawTable(): void {
    this.#spots.clear();
    this.#asList = false;
    const { from, to } = this.#axes;
    const { rows, columns } = layOut(this.#axes, { transposed: false, folded: this.#store.get().folded }, () => true);
    const table = make("table");
    table.className = "matrix want-table";
    table.setAttribute("role", "grid");
    table.setAttribute("aria-label", "What I want. Space goes from open to closed to free; O, C and Delete set it; the arrow keys move.");
    const [names, ends] = [make("tr"), make("tr")];
    const corner = make("td");
    corner.rowSpan = 2;
    corner.className = "corner";
    const everything = this.#head("Every connection", from, to, "all");
    corner.append(everything);
    names.append(corner);
    const foldRow: HTMLElement[] = [everything];
    const groupRow: HTMLElement[] = [everything];
    const endRow: HTMLElement[] = [everything];
    for (const group of columns) {
      const th = make("th", "", "group first");
      th.scope = "colgroup";
      th.colSpan = group.lines.length;
      th.title = th.dataset["group"] = group.name;
      const fold = foldButton(group);
      // Of one column, its own head says the same.
      const head = group.lines.length > 1 ? this.#head(`Everything to ${group.name}`, from, endsOf(group), group.name) : make("span", group.name, "name");
      th.append(fold, head);
      names.append(th);
      for (const [i, line] of group.lines.entries()) {
        const column = make("th", "", i === 0 ? "first" : "");
        column.scope = "col";
        const [end] = line.ends;
        const label = make("span", "", "end");
        label.append(...(line.folded ? [make("span", sentences.ends(line.ends), "port")] : [make("span", end!.name, "pod"), " ", make("span", end!.port, "port")]));
        const all = this.#head(line.folded ? `Everything to ${group.name}` : `Everything to ${end!.name} ${end!.port}`, from, line.ends, label);
        column.append(all);
        ends.append(column);
        foldRow.push(fold);
        groupRow.push(this.#spots.has(head) ? head : fold);
        endRow.push(all);
      }
    }
    this.#rows = [foldRow, groupRow, endRow];
    const thead = make("thead");
    thead.append(names, ends);
    table.append(thead);
    const sides = columns.flatMap((group) => group.lines.map((line, i) => ({ name: group.name, line, first: i === 0 })));
    for (const group of rows) {
      const body = make("tbody");
      const fold = foldButton(group);
      const all = this.#head(`Everything from ${group.name}`, endsOf(group), to, group.name);
      const head = make("tr");
      const th = make("th", "", "namespace-head");
      th.scope = "rowgroup";
      th.append(fold, all);
      head.append(th);
      body.append(head);
      const fill = (tr: HTMLElement, row: Line, name: string, first: HTMLElement[]): void => {
        const spots = [...first];
        for (const { name: to, line, first: starts } of sides) {
          const td = make("td", "", starts ? "first" : "");
          const cell = row.folded || line.folded ? this.#sum(name, row, line, to) : this.#cell(row.ends[0]!, line.ends[0]!);
          if (cell) td.append(cell);
          else td.append(Object.assign(make("span", "–", "self"), { ariaHidden: "true" }), make("span", "itself", "visually-hidden"));
          spots.push(cell ?? first.at(-1)!);
          tr.append(td);
        }
        this.#rows.push(spots);
      };
      this.#rows.push([fold]);
      if (group.folded) fill(head, group.lines[0]!, group.name, [all]);
      else {
        const rest = make("td");
        rest.colSpan = sides.length;
        head.append(rest);
        this.#rows.push([all, ...sides.map(() => all)]);
        for (const line of group.lines) {
          const end = line.ends[0]!;
          const tr = make("tr");
          const row = make("th");
          row.scope = "row";
          const everything = this.#head(`Everything from ${end.id}`, [end], to, make("span", end.name, "pod"));
          row.append(everything);
          tr.append(row);
          fill(tr, line, end.id, [everything]);
          body.append(tr);
        }
      }
      table.append(body);
    }
    this.#part("matrix").replaceChildren(table);
    fit(table, this.#room);
    this.#ready();
  }

  /** One cell of a folded namespace: a wish for all of its connections. */
  #sum(from: string, row: Line, column: Line, to: string): HTMLButtonElement | undefined {
    const flows = flowsOf(this.#axes, row, column);
    if (flows.length === 0) return undefined;
    const symbol = make("span", "", "symbol");
    symbol.ariaHidden = "true";
    const end = column.ends[0]!;
    const cell = this.#spot(`${from} to ${column.folded ? to : `${end.name} ${end.port}`}`, flows, true, symbol);
    cell.className = "wish";
    return cell;
  }

  #fold(name: string): void {
    const folded = new Set(this.#store.get().folded);
    if (!folded.delete(name)) folded.add(name);
    this.#store.update({ folded });
  }

  /** Draws the cells anew where namespaces were folded or unfolded, here or in the matrix. */
  folded(): void {
    if (this.#asList) return;
    const held = (document.activeElement as HTMLElement | null)?.dataset["fold"];
    const within = this.#part("matrix").contains(document.activeElement);
    this.#drawTable();
    if (within && held) this.#part("matrix").querySelector<HTMLElement>(`[data-fold="${CSS.escape(held)}"]`)?.focus();
  }

  /** On a phone: a list by source, with words, and targets for a thumb. */
  #drawList(): void {
    this.#spots.clear();
    this.#asList = true;
    this.#rows = [];
    const { from, to } = this.#axes;
    const parts: HTMLElement[] = [];
    for (const [group, members] of groups(from)) {
      const h = make("h3", group);
      parts.push(h);
      for (const end of members) {
        const details = make("details");
        const summary = make("summary");
        summary.append(make("span", end.name, "pod"));
        const list = make("ul");
        const all = make("li");
        const everything = this.#head(`Everything from ${end.id}`, [end], to, make("span", "", "symbol"), " ", make("span", "", "word"));
        everything.className = "wish";
        all.append(make("strong", "everything"), everything);
        list.append(all);
        this.#rows.push([everything]);
        for (const target of to) {
          const cell = this.#cell(end, target);
          if (!cell) continue;
          cell.append(" ", make("span", "", "word"));
          const item = make("li");
          const name = make("span");
          name.append(target.group === target.name ? target.name : `${target.group}/${target.name}`, " ", make("span", target.port, "port"));
          item.append(name, cell);
          list.append(item);
          this.#rows.push([cell]);
        }
        details.append(summary, list);
        parts.push(details);
      }
    }
    this.#part("matrix").replaceChildren(...parts);
    this.#ready();
    for (const element of this.#spots.keys()) element.tabIndex = 0;
  }

  #ready(): void {
    this.#render();
    const first = this.#rows.flat().find((e) => e.classList.contains("wish"));
    if (first) this.#stopAt(first);
  }

  // --- What the lab makes of it ---

  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.ask(), pause);
  }

  /** Asks for the policies; an older answer never overtakes a newer one. */
  ask(): void {
    if (this.#pane.hidden) return;
    const number = ++this.#asked;
    api.policiesFor(this.#lab, this.#wishes).then(
      (built) => {
        if (number === this.#asked) this.#answer(built);
      },
      (error: unknown) => {
        if (!(error instanceof api.Refusal)) throw error;
        if (number === this.#asked) this.#draw(make("p", error.message));
      },
    );
  }

  #answer(built: Built): void {
    this.#fixed = new Set(built.alwaysOpen);
    this.#render();
    if (this.#wishes.size === 0) {
      this.#draw(make("p", "Set a cell to open or closed, or start from what you saw: the lab writes the policies for it here."));
      return;
    }
    const parts = built.refusals.length > 0 ? refusals(built) : built.files.length > 0 ? this.#policies(built) : this.#none(built);
    this.#draw(...parts);
  }

  #draw(...parts: HTMLElement[]): void {
    const answer = this.#part("answer");
    refill(answer, answer, ...parts);
  }

  #none(built: Built): HTMLElement[] {
    const parts: HTMLElement[] = [make("p", "Nothing has to be closed, so no policy is needed.")];
    if (built.beside.length > 0) {
      const they = built.others.length === 1 ? "The policy" : `The ${policies(built.others.length)}`;
      const note = make("p");
      note.className = "detail";
      const remove = button("Delete all policies in the workspace", () => {
        this.#actions.removeAll();
        note.textContent = "They are marked in the workspace. Nothing is deleted until you press Apply.";
        this.#say(note.textContent);
      });
      parts.push(make("p", `${they} in force would have to go: ${othersOf(built)}.`), remove, note);
    }
    return parts;
  }

  #policies(built: Built): HTMLElement[] {
    const out: HTMLElement[] = [make("h3", `${policies(built.files.length)} would do it`), make("p", changes(built))];
    const now = fromSeen(this.#store.get().model.flows, this.#flows);
    if (built.free.length > 0 && now.size > 0) {
      const keep = button("Keep what is free as it is now", () => this.#begin(new Map([...now, ...this.#wishes]), "What was free is wished for as it is."));
      keep.className = "quiet";
      out.push(keep);
    }
    const replace = make("input");
    replace.type = "checkbox";
    if (built.others.length > 0) {
      const label = make("label");
      label.className = "check";
      label.append(replace, ` Delete ${built.others.length === 1 ? "the policy" : `the ${policies(built.others.length)}`} in force that ${built.others.length === 1 ? "is" : "are"} not among these: ${othersOf(built)}`);
      out.push(label);
      const warning = make("p", besides(built));
      out.push(warning);
      const tell = (): void => show(warning, !replace.checked && built.beside.length > 0, replace);
      replace.addEventListener("change", tell);
      tell();
    }
    const put = button("Put them into the workspace", () => {
      const text = joined(built.files.map((f) => f.yaml));
      const what = "What I want is in the workspace, as drafts.";
      if (replace.checked) this.#actions.replaceAll(text, what);
      else this.#actions.draft(text, what);
      this.#say(said(built.files.length));
      note.textContent = said(built.files.length);
    });
    put.className = "primary";
    const note = make("p");
    note.className = "detail";
    out.push(put, note);
    for (const file of built.files) {
      const part = make("article");
      part.append(make("h4", nameOf(file), "port"), make("p", file.sentences.join(" ")));
      const details = make("details");
      const pre = make("pre", file.yaml);
      pre.tabIndex = 0;
      details.append(make("summary", "YAML"), pre);
      part.append(details);
      out.push(part);
    }
    if (built.else.length > 0) {
      const list = make("ul");
      list.append(...built.else.map((s) => make("li", s)));
      out.push(make("h3", "What else they do"), list);
    }
    return out;
  }
}

function said(n: number): string {
  return `${n === 1 ? "The policy is a draft" : `The ${n} policies are drafts`} in the workspace. Nothing is applied until you press Apply.`;
}

function policies(n: number): string {
  return n === 1 ? "1 policy" : `${n} policies`;
}

function othersOf(built: Built): string {
  return built.others.map(nameOf).join(", ");
}

function changes(built: Built): string {
  const free = built.free.length;
  if (free === 0) return built.summary;
  return `${built.summary} ${free === built.changes.length ? "None of them was wished for" : `${free} of them ${free === 1 ? "was" : "were"} free`}: ${free === 1 ? "it ends" : "they end"} at pods that have to be isolated.`;
}

function besides(built: Built): string {
  const n = built.beside.length;
  return `While ${built.others.length === 1 ? "it stays" : "they stay"} in force, ${n === 1 ? "1 connection is" : `${n} connections are`} not as you want.`;
}

function refusals(built: Built): HTMLElement[] {
  const out: HTMLElement[] = [make("h3", "No policies can do all of this")];
  const list = make("ul");
  for (const r of built.refusals) {
    const item = make("li");
    item.append(make("strong", r.ends.join(" and ")), ": ", r.text, " ", r.advice);
    list.append(item);
  }
  if (built.more) list.append(make("li", `And ${built.more} more.`));
  out.push(list);
  return out;
}

/** The ends by their groups, in order. */
function groups(ends: readonly End[]): [string, End[]][] {
  const out: [string, End[]][] = [];
  for (const end of ends) {
    if (out.at(-1)?.[0] !== end.group) out.push([end.group, []]);
    out.at(-1)![1].push(end);
  }
  return out;
}

function endsOf(group: Group): End[] {
  return group.lines.flatMap((line) => line.ends);
}

/** The spot in the direction of the key. */
function neighbour(rows: readonly (readonly HTMLElement[])[], from: HTMLElement, key: string, ctrl: boolean): HTMLElement | undefined {
  const r = rows.findIndex((row) => row.includes(from));
  if (r < 0) return undefined;
  const row = rows[r]!;
  const c = row.indexOf(from);
  switch (key) {
    case "ArrowLeft":
      return row.slice(0, c).at(-1);
    case "ArrowRight":
      return row.slice(row.lastIndexOf(from) + 1)[0];
    case "ArrowUp":
      return rows.slice(0, r).map((other) => other[Math.min(c, other.length - 1)]).findLast((e) => e !== from);
    case "ArrowDown":
      return rows.slice(r + 1).map((other) => other[Math.min(c, other.length - 1)]).find((e) => e !== from);
    case "Home":
      return ctrl ? rows.flat()[0] : row[0];
    case "End":
      return ctrl ? rows.flat().at(-1) : row.at(-1);
  }
  return undefined;
}

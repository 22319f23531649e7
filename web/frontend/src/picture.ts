// The picture: the lab's pods and the lines between them as the server has drawn them,
// made live. What it shows of a pod or a line stands beside it in words.

import * as api from "./api";
import { button, make } from "./dom";
import { download, png, resolved } from "./export";
import type { Seen } from "./matrix";
import { podOf } from "./matrixview";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";

export interface PictureOptions {
  readonly lab: string;
  /** The flows between two ends, "namespace/pod" or a host's name. */
  readonly flows: readonly string[];
  choose(flow: string | undefined): void;
  /** The end that the pointer or the keyboard is at. */
  point(end: string | undefined): void;
  /** Opens the policy of that name in the editor. */
  open(policy: string): void;
}

/** Which policies isolate a pod. */
export interface Isolated {
  readonly ingress: readonly string[];
  readonly egress: readonly string[];
}

interface Pair {
  readonly from: string;
  readonly to: string;
  readonly flows: readonly string[];
  readonly element: SVGGElement;
}

/** What the pointer or the keyboard is at: an end or a pair. */
type Place = { end: string } | { pair: Pair };

const nowhere: ReadonlyMap<string, Isolated> = new Map();

const ways = ["ingress", "egress"] as const;

export class Picture {
  readonly #host: HTMLElement;
  readonly #options: PictureOptions;
  readonly #ends = new Map<string, SVGGElement>();
  readonly #shields: SVGGElement[] = [];
  readonly #pairs: Pair[] = [];
  readonly #words = make("div");
  #svg: SVGSVGElement | undefined;
  #loading: Promise<void> | undefined;
  #seen: Seen | undefined;
  #isolated = nowhere;
  /** Where the pointer or the keyboard is, and what was pressed to stay. */
  #at: Place | undefined;
  #pinned: Place | undefined;
  /** What the words are about. */
  #told: readonly unknown[] = [nowhere];

  constructor(host: HTMLElement, options: PictureOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Loads the picture where it is wanted for the first time. */
  show(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      if (!(error instanceof api.Refusal)) throw error;
      this.#host.replaceChildren(make("p", error.message));
    });
    return this.#loading;
  }

  render(seen: Seen, isolated: ReadonlyMap<string, Isolated>): void {
    const last = this.#seen;
    const shields = this.#isolated !== isolated;
    this.#seen = seen;
    this.#isolated = isolated;
    if (!this.#svg) return;
    if (!last || last.model !== seen.model || last.would !== seen.would) for (const pair of this.#pairs) this.#patch(pair);
    if (shields) this.#raise();
    this.#stand();
  }

  async #load(): Promise<void> {
    const text = await api.picture(this.#options.lab);
    const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true) as unknown as SVGSVGElement;
    this.#svg = svg;
    for (const g of svg.querySelectorAll<SVGGElement>(".pic-end")) {
      const id = g.dataset["end"]!;
      this.#ends.set(id, g);
      g.setAttribute("role", "button");
      g.setAttribute("tabindex", this.#ends.size === 1 ? "0" : "-1");
    }
    for (const shield of svg.querySelectorAll<SVGGElement>(".pic-shield")) {
      shield.setAttribute("role", "button");
      shield.setAttribute("tabindex", "-1");
      this.#shields.push(shield);
    }
    for (const element of svg.querySelectorAll<SVGGElement>(".pic-pair")) {
      const [from, to] = [element.dataset["from"]!, element.dataset["to"]!];
      const flows = this.#options.flows.filter((f) => f.startsWith(`${from}>`) && podOf(f.slice(from.length + 1).replace("@name", "")) === to);
      this.#pairs.push({ from, to, flows, element });
      // A line is too thin for a pointer.
      const hit = element.querySelector(".pic-line")!.cloneNode() as SVGPathElement;
      hit.setAttribute("class", "pic-hit");
      element.append(hit);
    }
    this.#words.className = "pic-words";
    const save = make("div");
    save.className = "pic-save";
    for (const [label, kind] of [["Save as SVG", "svg"], ["Save as PNG", "png"]] as const) {
      const b = make("button", label);
      b.type = "button";
      b.className = "quiet";
      b.addEventListener("click", () => void this.#save(kind));
      save.append(b);
    }
    const stage = make("div");
    stage.className = "pic-stage";
    stage.append(svg);
    const beside = make("div");
    beside.className = "pic-beside";
    beside.append(this.#words, save);
    this.#host.replaceChildren(stage, beside);
    this.#listen(svg);
    if (this.#seen) {
      for (const pair of this.#pairs) this.#patch(pair);
      this.#raise();
    }
    this.#stand();
  }

  // --- What is ---

  #patch({ flows, element }: Pair): void {
    const { model, would } = this.#seen!;
    const verdicts = flows.map((f) => model.flows.get(f)?.verdict);
    const open = verdicts.filter((v) => v === "open").length;
    const state = verdicts.every((v) => v === undefined) ? "none" : open === verdicts.length ? "open" : open > 0 ? "some" : "closed";
    if (element.dataset["state"] !== state) element.dataset["state"] = state;
    const next = flows.flatMap((f) => would.get(f) ?? []);
    if (next.length > 0) element.dataset["would"] = next.includes("open") ? "open" : "closed";
    else delete element.dataset["would"];
  }

  // Shows the shields of what is isolated.
  #raise(): void {
    for (const [id, end] of this.#ends) end.setAttribute("aria-label", sentences.end(id, this.#isolated.get(id)));
    for (const shield of this.#shields) {
      const { end, way, by } = this.#shieldOf(shield);
      shield.classList.toggle("up", by.length > 0);
      shield.setAttribute("aria-label", `${end}: ${sentences.isolated(way, by)}`);
      if (by.length === 0 && shield === document.activeElement) this.#go(this.#ends.get(end)!);
    }
  }

  #shieldOf(shield: SVGGElement): { end: string; way: (typeof ways)[number]; by: readonly string[] } {
    const end = shield.dataset["of"]!;
    const way = shield.classList.contains("ingress") ? "ingress" : "egress";
    return { end, way, by: this.#isolated.get(end)?.[way] ?? [] };
  }

  // --- What stands out ---

  #place(): Place | undefined {
    const chosen = this.#seen?.chosen;
    const pair = chosen === undefined ? undefined : this.#pairs.find((p) => p.flows.includes(chosen));
    const pointed = this.#seen?.pointed;
    return this.#at ?? (pointed !== undefined && this.#ends.has(pointed) ? { end: pointed } : undefined) ?? this.#pinned ?? (pair && { pair });
  }

  #stand(): void {
    const svg = this.#svg;
    if (!svg || !this.#seen) return;
    const { chosen, lit } = this.#seen;
    const place = this.#place();
    const out = (p: Pair): boolean => (place !== undefined && ("pair" in place ? place.pair === p : place.end === p.from || place.end === p.to)) || (place === undefined && (lit.has(p.from) || lit.has(p.to)));
    const near = new Set<string>();
    let any = false;
    for (const pair of this.#pairs) {
      const stands = out(pair);
      any ||= stands;
      if (stands && ["open", "some"].includes(pair.element.dataset["state"] ?? "")) near.add(pair.from).add(pair.to);
      pair.element.classList.toggle("out", stands);
      pair.element.classList.toggle("chosen", chosen !== undefined && pair.flows.includes(chosen));
    }
    svg.classList.toggle("focused", any);
    svg.classList.toggle("pinned", this.#pinned !== undefined);
    for (const [id, end] of this.#ends) {
      end.classList.toggle("in", place !== undefined && ("end" in place ? place.end === id : place.pair.from === id || place.pair.to === id));
      end.classList.toggle("near", near.has(id));
      end.classList.toggle("lit", lit.has(id));
      end.setAttribute("aria-pressed", String(this.#pinned !== undefined && "end" in this.#pinned && this.#pinned.end === id));
    }
    this.#tell(place);
  }

  // What stands beside the picture: the flows of a pod or a line, each to be chosen.
  #tell(place: Place | undefined): void {
    const { model, would, chosen } = this.#seen!;
    const told = [place && "pair" in place ? place.pair : place?.end, model, would, chosen, this.#isolated];
    if (told.every((part, i) => part === this.#told[i])) return;
    this.#told = told;
    const parts: HTMLElement[] = [];
    if (!place) {
      const flows = this.#pairs.flatMap((p) => p.flows);
      parts.push(make("p", sentences.openOf(...this.#count(flows))), make("p", "Go to a pod, or to a line, to read what it may do."), key());
    } else if ("pair" in place) {
      parts.push(make("h3", `${place.pair.from} to ${place.pair.to}`), this.#list([place.pair], () => ""));
    } else {
      const id = place.end;
      parts.push(make("h3", id));
      const by = this.#isolated.get(id);
      for (const way of ["egress", "ingress"] as const) {
        const pairs = this.#pairs.filter((p) => (way === "egress" ? p.from : p.to) === id);
        if (pairs.length === 0) continue;
        const [open, known, all] = this.#count(pairs.flatMap((p) => p.flows));
        const title = make("h4", `${way === "egress" ? "Opens" : "Is reached by"}: ${sentences.openOf(open, known, all)}`);
        const shield = by?.[way] ?? [];
        parts.push(title);
        if (shield.length > 0) parts.push(this.#isolatedBy(way, shield));
        parts.push(this.#list(pairs, (p) => (way === "egress" ? p.to : p.from)));
      }
    }
    const within = this.#words.contains(document.activeElement);
    const { flow, policy } = (document.activeElement as HTMLElement | null)?.dataset ?? {};
    const top = this.#words.scrollTop;
    this.#words.replaceChildren(...parts);
    this.#words.scrollTop = top;
    if (within && flow) this.#words.querySelector<HTMLElement>(`[data-flow="${CSS.escape(flow)}"]`)?.focus();
    else if (within && policy) this.#words.querySelector<HTMLElement>(`[data-policy="${CSS.escape(policy)}"]`)?.focus();
  }

  // The policies that isolate a pod, each to be opened.
  #isolatedBy(way: (typeof ways)[number], by: readonly string[]): HTMLElement {
    const line = make("p", `${sentences.isolatedFor(way)} `, "isolated");
    for (const policy of by) {
      const b = button(policy, () => this.#options.open(policy));
      b.className = "place";
      b.dataset["policy"] = policy;
      b.title = `Open ${policy}`;
      line.append(b, " ");
    }
    return line;
  }

  #count(flows: readonly string[]): [open: number, known: number, all: number] {
    const seen = flows.map((f) => this.#seen!.model.flows.get(f)?.verdict);
    return [seen.filter((v) => v === "open").length, seen.filter((v) => v !== undefined).length, flows.length];
  }

  #list(pairs: readonly Pair[], name: (p: Pair) => string): HTMLElement {
    const { model, would, chosen } = this.#seen!;
    const list = make("ul");
    for (const pair of pairs) {
      const item = make("li");
      if (name(pair)) item.append(make("span", name(pair)));
      const marks = make("span");
      marks.className = "marks";
      for (const flow of pair.flows) {
        const verdict = model.flows.get(flow)?.verdict ?? "none";
        const b = make("button");
        b.type = "button";
        b.className = "flow";
        b.dataset["flow"] = flow;
        b.dataset["verdict"] = verdict;
        const next = would.get(flow);
        if (next) b.dataset["would"] = next === "open" ? "open" : "closed";
        b.setAttribute("aria-pressed", String(flow === chosen));
        b.classList.toggle("chosen", flow === chosen);
        const symbol = make("span", said.symbols[verdict]);
        symbol.className = "symbol";
        symbol.ariaHidden = "true";
        const word = make("span", `: ${sentences.mark(verdict, next ?? "", false)}`);
        word.className = "visually-hidden";
        b.append(symbol, ` ${sentences.port(flow)}`, word);
        b.addEventListener("click", () => this.#options.choose(flow));
        marks.append(b);
      }
      item.append(marks);
      list.append(item);
    }
    return list;
  }

  // --- The pointer and the keyboard ---

  #listen(svg: SVGSVGElement): void {
    const at = (e: Event): Place | undefined => {
      const g = (e.target as Element).closest<SVGGElement>(".pic-end, .pic-shield, .pic-pair");
      if (!g) return undefined;
      const end = g.dataset["end"] ?? g.dataset["of"];
      return end !== undefined ? { end } : { pair: this.#pairs.find((p) => p.element === g)! };
    };
    const go = (place: Place | undefined): void => {
      this.#at = place;
      this.#options.point(place && "end" in place ? place.end : undefined);
      this.#stand();
    };
    svg.addEventListener("pointerover", (e) => go(at(e)));
    svg.addEventListener("pointerleave", () => go(undefined));
    svg.addEventListener("focusin", (e) => go(at(e)));
    // The words of a pod stay as long as the keyboard is in them.
    this.#host.addEventListener("focusout", (e) => {
      if (!this.#host.contains(e.relatedTarget as Element | null)) go(undefined);
    });
    const press = (e: Event): void => {
      const shield = (e.target as Element).closest<SVGGElement>(".pic-shield");
      const place = at(e);
      if (shield) this.#pressShield(shield);
      else if (place && "pair" in place) {
        this.#pinned = undefined;
        this.#options.choose(place.pair.flows[0]);
      } else {
        const pinned = place && this.#pinned && "end" in this.#pinned && this.#pinned.end === place.end;
        this.#pinned = pinned ? undefined : place;
        if (!place) this.#options.choose(undefined);
        this.#stand();
      }
    };
    svg.addEventListener("click", press);
    svg.addEventListener("keydown", (e) => {
      if (e.altKey || e.ctrlKey || e.metaKey) return;
      if (e.key === "Enter" || e.key === " ") press(e);
      else if (e.key === "Escape") {
        this.#pinned = undefined;
        this.#options.choose(undefined);
        this.#stand();
      } else {
        const from = (e.target as Element).closest<SVGGElement>(".pic-end, .pic-shield");
        const to = from && this.#beside(from, e.key);
        if (!to) return;
        this.#go(to);
      }
      e.preventDefault();
    });
  }

  // One policy is opened; of several the learner chooses, beside the picture.
  #pressShield(shield: SVGGElement): void {
    const { end, way, by } = this.#shieldOf(shield);
    if (by.length === 1) return this.#options.open(by[0]!);
    this.#pinned = { end };
    this.#stand();
    const isolated = [...this.#words.querySelectorAll<HTMLElement>("[data-policy]")];
    isolated[way === "ingress" ? isolated.length - by.length : 0]?.focus();
  }

  /** Takes the keyboard there: the picture is one stop of the Tab key, and the arrow keys go on from it. */
  #go(to: SVGGElement): void {
    for (const g of [...this.#ends.values(), ...this.#shields]) g.setAttribute("tabindex", g === to ? "0" : "-1");
    to.focus();
  }

  // What an arrow key leads to: the next end or shield in the column, or in the column beside it what is nearest.
  #beside(from: SVGGElement, key: string): SVGGElement | undefined {
    const all = [...this.#ends.values()];
    if (key === "Home") return all[0];
    if (key === "End") return all.at(-1);
    const way = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key];
    if (!way) return undefined;
    const where = (g: SVGGElement): { x: number; y: number } => {
      const { x, y, width, height } = g.querySelector<SVGGraphicsElement>("rect, path")!.getBBox();
      return { x: x + width / 2, y: y + height / 2 };
    };
    const here = where(from);
    const others = [...all, ...this.#shields.filter((s) => s.classList.contains("up"))].map((g) => ({ g, x: where(g).x - here.x, y: where(g).y - here.y }));
    const there = others.filter(({ x, y }) => (way[0] === 0 ? Math.abs(x) < 1 && y * way[1]! > 0 : x * way[0]! > 1));
    return there.sort((a, b) => Math.abs(a.x) - Math.abs(b.x) || Math.abs(a.y) - Math.abs(b.y))[0]?.g;
  }

  async #save(kind: "svg" | "png"): Promise<void> {
    const svg = resolved(this.#svg!, getComputedStyle(this.#host).backgroundColor, this.#options.lab);
    if (kind === "svg") download(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }), `${this.#options.lab}.svg`);
    else download(await png(svg, 2), `${this.#options.lab}.png`);
  }
}

// What the lines and the shields mean.
function key(): HTMLElement {
  const list = make("ul");
  list.className = "pic-key";
  for (const [state, text] of [
    ["open", "open"],
    ["some", "some of its ports are open, or only by IP"],
    ["closed", "nothing is open"],
  ] as const) {
    const item = make("li");
    const line = make("span");
    line.className = "pic-sample";
    line.dataset["state"] = state;
    item.append(line, text);
    list.append(item);
  }
  const item = make("li");
  const shield = make("span");
  shield.className = "pic-sample-shield";
  item.append(shield, "a policy isolates the pod: above for ingress, below for egress");
  list.append(item);
  return list;
}

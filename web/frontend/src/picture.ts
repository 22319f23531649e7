// The picture: the lab's pods and the lines between them as the server has drawn them,
// made live. What it shows of a pod or a line stands beside it in words.

import * as api from "./api";
import { make } from "./dom";
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
  light(pods: ReadonlySet<string>): void;
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

export class Picture {
  readonly #host: HTMLElement;
  readonly #options: PictureOptions;
  readonly #ends = new Map<string, SVGGElement>();
  readonly #pairs: Pair[] = [];
  readonly #words = make("div");
  #svg: SVGSVGElement | undefined;
  #loading: Promise<void> | undefined;
  #seen: Seen | undefined;
  #isolated = nowhere;
  /** Where the pointer or the keyboard is, and what was pressed to stay. */
  #at: Place | undefined;
  #pinned: Place | undefined;

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
    if (shields) this.#shields();
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
      this.#shields();
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

  #shields(): void {
    for (const [id, end] of this.#ends) {
      const by = this.#isolated.get(id);
      for (const way of ["ingress", "egress"] as const) {
        const shield = end.querySelector(`.pic-shield.${way}`);
        shield?.classList.toggle("up", (by?.[way].length ?? 0) > 0);
      }
      end.setAttribute("aria-label", sentences.end(id, by));
    }
  }

  // --- What stands out ---

  #place(): Place | undefined {
    const chosen = this.#seen?.chosen;
    const pair = chosen === undefined ? undefined : this.#pairs.find((p) => p.flows.includes(chosen));
    return this.#at ?? this.#pinned ?? (pair && { pair });
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
        if (shield.length > 0) parts.push(make("p", sentences.isolated(way, shield), "isolated"));
        parts.push(this.#list(pairs, (p) => (way === "egress" ? p.to : p.from)));
      }
    }
    const held = (document.activeElement as HTMLElement | null)?.dataset["flow"];
    const within = this.#words.contains(document.activeElement);
    const top = this.#words.scrollTop;
    this.#words.replaceChildren(...parts);
    this.#words.scrollTop = top;
    if (within && held) this.#words.querySelector<HTMLElement>(`[data-flow="${CSS.escape(held)}"]`)?.focus();
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
      const g = (e.target as Element).closest<SVGGElement>(".pic-end, .pic-pair");
      if (!g) return undefined;
      if (g.dataset["end"] !== undefined) return { end: g.dataset["end"] };
      return { pair: this.#pairs.find((p) => p.element === g)! };
    };
    const go = (place: Place | undefined): void => {
      this.#at = place;
      const end = place && "end" in place ? place.end : undefined;
      const lit = this.#seen?.lit ?? new Set();
      // The editor marks what selects the pod.
      if (end !== undefined ? !(lit.size === 1 && lit.has(end)) : lit.size > 0) this.#options.light(new Set(end === undefined ? [] : [end]));
      this.#stand();
    };
    svg.addEventListener("pointerover", (e) => go(at(e)));
    svg.addEventListener("pointerleave", () => go(undefined));
    svg.addEventListener("focusin", (e) => go(at(e)));
    // The words of a pod stay as long as the keyboard is in them.
    this.#host.addEventListener("focusout", (e) => {
      if (!this.#host.contains(e.relatedTarget as Element | null)) go(undefined);
    });
    const press = (place: Place | undefined): void => {
      if (place && "pair" in place) {
        this.#pinned = undefined;
        this.#options.choose(place.pair.flows[0]);
        return;
      }
      const pinned = place && this.#pinned && "end" in this.#pinned && this.#pinned.end === place.end;
      this.#pinned = pinned ? undefined : place;
      if (!place) this.#options.choose(undefined);
      this.#stand();
    };
    svg.addEventListener("click", (e) => press(at(e)));
    svg.addEventListener("keydown", (e) => {
      if (e.altKey || e.ctrlKey || e.metaKey) return;
      const place = at(e);
      if (e.key === "Enter" || e.key === " ") press(place);
      else if (e.key === "Escape") press(undefined);
      else if (place && "end" in place) {
        const to = this.#beside(place.end, e.key);
        if (!to) return;
        for (const end of this.#ends.values()) end.setAttribute("tabindex", end === to ? "0" : "-1");
        to.focus();
      } else return;
      e.preventDefault();
    });
  }

  // The end that an arrow key leads to: in the column, or level with it in the other one.
  #beside(id: string, key: string): SVGGElement | undefined {
    const ends = [...this.#ends.values()];
    if (key === "Home") return ends[0];
    if (key === "End") return ends.at(-1);
    const where = (g: SVGGElement): { x: number; y: number } => {
      const { x, y, height } = g.querySelector("rect")!.getBBox();
      return { x, y: y + height / 2 };
    };
    const here = where(this.#ends.get(id)!);
    const way = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key];
    if (!way) return undefined;
    const others = ends.map((end) => ({ end, x: where(end).x - here.x, y: where(end).y - here.y }));
    const there = others.filter(({ x, y }) => (way[0] === 0 ? x === 0 && y * way[1]! > 0 : x * way[0]! > 0));
    return there.sort((a, b) => Math.abs(a.y) - Math.abs(b.y))[0]?.end;
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

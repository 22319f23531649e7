// The parts of the lab around editor and matrix: status, buttons, steps,
// policies, problems. Each is patched, never redrawn as a whole.

import type { Problem } from "./api";
import type { Model, PageState } from "./model";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";

export interface Parts {
  status: HTMLElement;
  steps: HTMLElement;
  start: HTMLFormElement;
  reset: HTMLFormElement;
  stop: HTMLFormElement;
  policies: HTMLElement;
  deleteAll: HTMLFormElement;
  replace: HTMLButtonElement;
  settled: HTMLElement;
  /** Where it is said that flows are not as predicted. */
  disagreement: HTMLElement;
  /** Whether the lab simulates, and so must not speak of measuring. */
  simulated: boolean;
}

const startable: PageState[] = ["none", "stopped", "failed"];
const resettable: PageState[] = ["ready", "failed"];
const stoppable: PageState[] = ["queued", "creating", "ready"];

export function render(parts: Parts, model: Model): void {
  const unavailable = document.getElementById("unavailable") !== null;
  write(parts.status, sentences.status(model, parts.simulated, unavailable));
  write(parts.settled, sentences.settled(model.settled, parts.simulated));
  write(parts.disagreement, sentences.disagreement(model.disagreement));
  show(parts, parts.start, startable.includes(model.state) && !unavailable);
  show(parts, parts.reset, resettable.includes(model.state));
  show(parts, parts.stop, stoppable.includes(model.state));
  show(parts, parts.deleteAll, model.policies.length > 0);
  show(parts, parts.replace, model.policies.length > 0);
  renderSteps(parts.steps, model);
  renderPolicies(parts, model);
}

/** Draws how long the running step has taken by now, in the server's time. */
export function tick(steps: HTMLElement, model: Model, now: number): void {
  for (const step of model.steps) {
    if (step.status !== "running" || step.since === undefined) continue;
    const elapsed = steps.querySelector<HTMLElement>(`[data-step="${step.index}"] .elapsed`);
    if (elapsed) write(elapsed, sentences.elapsed(now - step.since));
  }
}

/** Says what was wrong. Problems with a place lead there. */
export function renderProblems(box: HTMLElement, message: string, problems: Problem[], goTo: (p: Problem) => void): void {
  box.replaceChildren();
  if (message) box.append(make("p", message));
  if (problems.length === 0) return;
  const list = document.createElement("ul");
  for (const p of problems) {
    const item = document.createElement("li");
    if (p.line > 0) {
      const link = make("a", `line ${p.line}, column ${p.column}`) as HTMLAnchorElement;
      link.href = "#policy";
      link.addEventListener("click", (e) => {
        e.preventDefault();
        goTo(p);
      });
      item.append(link, ": ");
    }
    if (p.field) item.append(make("code", p.field), ": ");
    item.append(p.message);
    list.append(item);
  }
  box.append(list);
}

function renderSteps(list: HTMLElement, model: Model): void {
  const wanted = new Set(model.steps.map((s) => String(s.index)));
  for (const item of list.querySelectorAll<HTMLElement>("[data-step]")) {
    if (!wanted.has(item.dataset["step"]!)) item.remove();
  }
  for (const step of model.steps) {
    let item = list.querySelector<HTMLElement>(`[data-step="${step.index}"]`);
    if (!item) {
      item = document.createElement("li");
      item.dataset["step"] = String(step.index);
      const elapsed = make("span", "");
      elapsed.className = "elapsed";
      item.append(`${step.name} `, elapsed);
      const next = [...list.querySelectorAll<HTMLElement>("[data-step]")].find((i) => Number(i.dataset["step"]) > step.index);
      list.insertBefore(item, next ?? null);
    }
    if (item.dataset["status"] !== step.status) item.dataset["status"] = step.status;
    if (step.status === "running") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    const elapsed = item.querySelector<HTMLElement>(".elapsed");
    if (elapsed && step.status !== "running") {
      write(elapsed, step.elapsedMillis === undefined ? "" : sentences.elapsed(step.elapsedMillis));
    }
  }
}

function renderPolicies(parts: Parts, model: Model): void {
  const list = parts.policies;
  const names = model.policies.map((p) => `${p.namespace}/${p.name}`);
  const items = new Map([...list.querySelectorAll<HTMLElement>("[data-policy]")].map((i) => [i.dataset["policy"]!, i]));
  for (const [name, item] of items) {
    if (names.includes(name)) continue;
    const focused = item.contains(document.activeElement);
    item.remove();
    if (focused) focusOn(list);
  }
  for (const [i, name] of names.entries()) {
    const item = items.get(name) ?? policyItem(name);
    const { yaml } = model.policies[i]!;
    if (yaml !== undefined) write(item.querySelector<HTMLElement>("pre")!, yaml);
    // To move an item that is in its place would take the focus out of it.
    const at = names.indexOf(name);
    if (list.querySelectorAll("[data-policy]")[at] !== item) list.insertBefore(item, list.querySelectorAll("[data-policy]")[at] ?? null);
  }
}

function policyItem(name: string): HTMLElement {
  const item = document.createElement("li");
  item.dataset["policy"] = name;
  const remove = button(said.delete);
  remove.dataset["deletePolicy"] = name;
  remove.setAttribute("aria-label", `${said.delete} ${name}`);
  const insert = button(said.insert);
  insert.dataset["insert"] = "";
  const yaml = make("pre", "");
  yaml.tabIndex = 0;
  const summary = make("summary", "");
  summary.append(make("code", name));
  const details = make("details", "");
  details.append(summary, yaml, insert);
  item.append(details, remove);
  return item;
}

/** A way back, with what it goes back from. */
export interface Offer {
  message: string;
  label: string;
  back(): void;
}

/** Offers a way back in the line; null takes the offer away. */
export function renderOffer(line: HTMLElement, offer: Offer | null): void {
  const focused = line.contains(document.activeElement);
  line.replaceChildren();
  if (!offer) {
    if (focused) focusOn(line);
    return;
  }
  const back = button(offer.label);
  back.addEventListener("click", () => offer.back());
  line.append(`${offer.message} `, back);
}

// A form that goes away must not take the keyboard's place on the page along.
function show(parts: Parts, form: HTMLElement, visible: boolean): void {
  if (form.hidden === !visible) return;
  const focused = !visible && form.contains(document.activeElement);
  form.hidden = !visible;
  if (focused) focusOn(parts.status);
}

function focusOn(element: HTMLElement): void {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

// To write the same text again would make a live region speak again.
function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function button(text: string): HTMLButtonElement {
  const b = make("button", text) as HTMLButtonElement;
  b.type = "button";
  return b;
}

function make(name: string, text: string): HTMLElement {
  const e = document.createElement(name);
  e.textContent = text;
  return e;
}

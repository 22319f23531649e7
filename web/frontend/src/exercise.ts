// Exercises in the lesson's text: each form is sent in the background, and the
// server's new box takes the place of the old one. Without this script every form
// does the same with a reload. After the learner's own changes the script also looks
// by itself how far the exercise at hand has come.

import { patience } from "./api";
import { focusOn } from "./dom";

/** Where a tab keeps, over a reload, which exercise is at hand; where that is forbidden, until then. */
const atHand = "netpol-lab exercise";
let taken: string | undefined;

function takeUp(exercise: string): void {
  taken = exercise;
  try {
    sessionStorage.setItem(atHand, exercise);
  } catch {
    // It is at hand until the page is left.
  }
}

function exerciseAtHand(): string {
  try {
    return taken ?? sessionStorage.getItem(atHand) ?? "";
  } catch {
    return taken ?? "";
  }
}

/** Whether the learner has changed the policies since the exercise began. */
let changed = false;

/** What an exercise does to the workspace of the page's lab. */
export interface Workspace {
  /** Policies are going to change; returns what to call when they have, or have not. */
  hold(): () => void;
  /** Those that the exercise begins with are in force. */
  began(start: string): void;
  /** Those that were in force before it are so again. */
  restored(yaml: string): void;
}

let workspace: Workspace | undefined;

export function connect(to: Workspace): void {
  workspace = to;
}

document.addEventListener("submit", (e) => {
  const form = e.target as HTMLFormElement;
  const box = form.closest<HTMLElement>("[data-exercise]");
  if (!box) return;
  e.preventDefault();
  takeUp(box.dataset["exercise"]!);
  const lays = /\/(begin|restore)$/.test(new URL(form.action).pathname);
  if (lays) changed = false;
  void ask(box, form, e.submitter, lays);
});

/** The learner applies or deletes policies. */
export function change(): void {
  changed = true;
}

/** Every flow is known after a change. */
export function settled(): void {
  const box = document.querySelector<HTMLElement>(`[data-exercise="${CSS.escape(exerciseAtHand())}"]`);
  if (!box) return;
  if (changed && box.dataset["look"] !== undefined) void look(box, "1");
  // The prediction may be about just this moment.
  else if (box.dataset["moment"] !== undefined) void look(box, "moment");
}

async function ask(box: HTMLElement, form: HTMLFormElement, button: HTMLElement | null, lays: boolean): Promise<void> {
  if (box.ariaBusy === "true") return;
  box.ariaBusy = "true";
  const label = button?.textContent ?? "";
  // What takes longer than a moment says so.
  const slow = setTimeout(() => button && (button.textContent = "One moment…"), 400);
  const release = lays ? workspace?.hold() : undefined;
  try {
    const fields = new FormData(form);
    const next = await send(form.action, fields);
    box.replaceWith(next);
    const start = next.querySelector<HTMLElement>("[data-start]")?.dataset["start"];
    if (start !== undefined) workspace?.began(start);
    else if (next.querySelector("[data-restored]")) workspace?.restored(String(fields.get("yaml") ?? ""));
    open(next);
    focusOn(answered(next, form));
  } catch (error) {
    const message = error instanceof Error && error.name === "Error" && error.message;
    result(box).textContent = message || "The lab's server does not answer. Try again in a moment.";
  } finally {
    release?.();
    clearTimeout(slow);
    if (button) button.textContent = label;
    box.ariaBusy = null;
  }
}

/** How often each box was looked at: an older look's answer may come after a newer's. */
const looks = new WeakMap<HTMLElement, number>();

// Nobody has asked for this: it takes neither the focus nor a choice that is not sent
// yet, and says nothing where it fails.
async function look(box: HTMLElement, what: "1" | "moment"): Promise<void> {
  const form = box.querySelector<HTMLFormElement>('form[action*="/check"]');
  if (!form || box.ariaBusy === "true") return;
  const number = (looks.get(box) ?? 0) + 1;
  looks.set(box, number);
  const fields = new FormData();
  fields.set("look", what);
  const next = await send(form.action, fields).catch(() => null);
  if (!next || looks.get(box) !== number || !box.isConnected || box.ariaBusy === "true") return;
  for (const choice of box.querySelectorAll<HTMLInputElement>("input:checked")) {
    const same = next.querySelector<HTMLInputElement>(`input[name="${choice.name}"][value="${choice.value}"]`);
    if (same) same.checked = true;
  }
  const held = box.contains(document.activeElement);
  const focused = held ? selectorOf(document.activeElement!) : null;
  const region = result(box);
  const news = result(next);
  // The live region stays the same element, so that its new text is spoken.
  for (const node of besides(box, region).flat()) node.remove();
  const [before, after] = besides(next, news);
  region.before(...before);
  region.after(...after);
  region.replaceChildren(...news.childNodes);
  for (const state of ["data-look", "data-open", "data-moment"]) box.toggleAttribute(state, next.hasAttribute(state));
  open(box);
  if (held && !box.contains(document.activeElement)) focusOn((focused !== null && box.querySelector<HTMLElement>(focused)) || told(box));
}

/** Opens what gives the prediction's answer away, once the box says that it may be seen. */
function open(box: HTMLElement): void {
  if (box.dataset["open"] === undefined) return;
  for (const answer of document.querySelectorAll<HTMLDetailsElement>(`details[data-answer="${CSS.escape(box.dataset["exercise"] ?? "")}"]`)) {
    answer.open = true;
    for (const note of answer.querySelectorAll(":scope > summary > .detail")) note.remove();
  }
}

// Until then it stays closed; without this script it is only closed at first.
document.addEventListener("click", (e) => {
  const answer = (e.target as Element).closest("summary")?.parentElement;
  const exercise = answer?.dataset["answer"];
  if (exercise === undefined) return;
  const box = document.querySelector<HTMLElement>(`[data-exercise="${CSS.escape(exercise)}"]`);
  if (box && box.dataset["open"] === undefined) e.preventDefault();
});

/** Sends the form, and returns the exercise's new box. */
async function send(action: string, fields: FormData): Promise<HTMLElement> {
  const answer = await fetch(action, {
    method: "POST",
    headers: { Accept: "text/html", "X-Fragment": "exercise" },
    body: new URLSearchParams([...fields].map(([k, v]) => [k, String(v)])),
    signal: AbortSignal.timeout(patience),
  });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const box = page.querySelector<HTMLElement>("[data-exercise]");
  if (!box) throw new Error(page.querySelector("main p")?.textContent ?? "");
  return box;
}

function result(box: HTMLElement): HTMLElement {
  const found = box.querySelector<HTMLElement>("[data-result]");
  if (!found) throw new Error("the exercise has no place for its result");
  return found;
}

/** Where the keyboard goes that the form was sent by: to what has become of it. */
function answered(box: HTMLElement, form: HTMLFormElement): HTMLElement {
  const shows = { predict: ".predict", hint: ".hints li, .solution" }[new URL(form.action).pathname.split("/").at(-1)!];
  return (shows && [...box.querySelectorAll<HTMLElement>(shows)].at(-1)) || told(box);
}

/** The result, or the heading where there is none: what is empty is not shown. */
function told(box: HTMLElement): HTMLElement {
  const region = result(box);
  return region.childElementCount > 0 ? region : (box.querySelector<HTMLElement>("h3") ?? box);
}

/** The box's nodes before and after the one. */
function besides(box: HTMLElement, one: HTMLElement): [ChildNode[], ChildNode[]] {
  const all = [...box.childNodes];
  const at = all.indexOf(one);
  return [all.slice(0, at), all.slice(at + 1)];
}

/** Finds the same field or button in another version of the box. */
function selectorOf(element: Element): string | null {
  if (element instanceof HTMLInputElement) return `input[name="${element.name}"][value="${element.value}"]`;
  if (element instanceof HTMLButtonElement && element.form) return `form[action="${element.form.getAttribute("action")}"] button`;
  return [".predict", "summary"].find((selector) => element.matches(selector)) ?? null;
}

// The frame of a page with a lab: splitters between its panes, and where the window is
// too narrow for all of them one place at a time. Without this script the panes have
// their usual sizes, and a narrow page is a long one.

import { recall, remember } from "./remember";

/** What can be brought into view: a place, or one of the views in the place to write. */
export type Place = "read" | "write" | "see";
export type View = "policies" | "history" | "terminal";

const narrow = matchMedia("(max-width: 68.74rem)");
const panes: Record<Place, string> = { read: "lesson", write: "write", see: "see" };

/** Brings the place into view; where all are in view, this does nothing. */
export function show(place: Place): void {
  if (!document.getElementById(panes[place])) return;
  document.body.dataset["place"] = place;
  for (const link of document.querySelectorAll<HTMLElement>(".places [data-place]")) {
    if (link.dataset["place"] === place) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  keepPlace(place);
}

/** Brings the view into the place to write, and that into view. */
export function showView(view: View): void {
  show("write");
  chooseView(view);
}

/** Called with a view that has just been chosen. */
export function onView(call: (view: View) => void): void {
  viewWatchers.push(call);
}
const viewWatchers: ((view: View) => void)[] = [];

const viewIDs: Record<View, string> = { policies: "policies-view", history: "history", terminal: "terminal" };

function chooseView(view: View): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-panel]")) button.ariaPressed = String(button.dataset["panel"] === view);
  for (const [name, id] of Object.entries(viewIDs)) {
    const panel = document.getElementById(id);
    if (panel) panel.hidden = name !== view;
  }
  for (const call of viewWatchers) call(view);
}

/** The part of the page that the element is in. */
function placeOf(element: Element | null): Place | undefined {
  for (const [place, id] of Object.entries(panes)) if (element?.closest(`#${id}`)) return place as Place;
  return element?.closest("#why") ? "see" : undefined;
}

// The place is a tab's own, and the sizes are the browser's.
const placeKey = "netpol-lab:place";

function keepPlace(place: Place): void {
  try {
    sessionStorage.setItem(placeKey, place);
  } catch {
    // Then a reload begins with the text.
  }
}

function keptPlace(): Place | null {
  try {
    return sessionStorage.getItem(placeKey) as Place | null;
  } catch {
    return null;
  }
}

function byHash(): void {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const place = placeOf(target);
  if (place) show(place);
  if (narrow.matches && place) target?.scrollIntoView();
}

function places(): void {
  const kept = keptPlace();
  show(kept && document.getElementById(panes[kept]) ? kept : document.getElementById("lesson") ? "read" : "write");
  if (location.hash) byHash();
  addEventListener("hashchange", byHash);
  document.addEventListener("click", (e) => {
    const link = (e.target as Element).closest<HTMLAnchorElement>('a[href^="#"]');
    if (!link) return;
    const place = link.dataset["place"] as Place | undefined;
    if (place) {
      // To go by the address would scroll the place to its top.
      e.preventDefault();
      show(place);
      return;
    }
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    const to = placeOf(target);
    if (to) show(to);
    if (link.closest("[data-exercise]") && to === "write") leadBack(link.closest<HTMLElement>("[data-exercise]")!);
  });
}

/** Where the editor was come to from an exercise, it leads back there. */
function leadBack(exercise: HTMLElement): void {
  const link = document.getElementById("back-to-exercise") as HTMLAnchorElement | null;
  if (!link) return;
  link.href = `#${exercise.id}`;
  link.hidden = false;
}

// --- Splitters ---

function splitter(bar: HTMLElement): void {
  const name = bar.dataset["splits"]!;
  const pane = document.getElementById(name)!;
  const whole = pane.parentElement!;
  const [min, max] = [Number(bar.ariaValueMin), Number(bar.ariaValueMax)];
  const usual = Number(bar.ariaValueNow);
  bar.hidden = false;

  const beside = (): boolean => getComputedStyle(whole).flexDirection === "row";
  const turn = (): void => bar.setAttribute("aria-orientation", beside() ? "vertical" : "horizontal");

  function set(percent: number, kept = true): void {
    const value = Math.round(Math.min(Math.max(percent, min), max) * 10) / 10;
    bar.ariaValueNow = String(value);
    bar.ariaValueText = `${Math.round(value)} %`;
    whole.style.setProperty(`--${name}`, `${value}%`);
    if (kept) remember(`split-${name}`, String(value));
  }

  function at(event: PointerEvent): number {
    const box = whole.getBoundingClientRect();
    return beside() ? ((event.clientX - box.left) / box.width) * 100 : ((event.clientY - box.top) / box.height) * 100;
  }

  bar.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    e.preventDefault();
    bar.focus();
    bar.setPointerCapture(e.pointerId);
    bar.dataset["moving"] = "";
  });
  bar.addEventListener("pointermove", (e) => bar.dataset["moving"] !== undefined && set(at(e)));
  bar.addEventListener("lostpointercapture", () => delete bar.dataset["moving"]);
  bar.addEventListener("dblclick", () => set(usual));
  bar.addEventListener("keydown", (e) => {
    const now = Number(bar.ariaValueNow);
    const to: Record<string, number> = {
      [beside() ? "ArrowLeft" : "ArrowUp"]: now - 2,
      [beside() ? "ArrowRight" : "ArrowDown"]: now + 2,
      PageUp: now - 10,
      PageDown: now + 10,
      Home: min,
      End: max,
      Enter: usual,
    };
    const value = to[e.key];
    if (value === undefined) return;
    e.preventDefault();
    set(value);
  });
  new ResizeObserver(turn).observe(whole);
  const last = Number(recall(`split-${name}`));
  if (last) set(last, false);
}

if (document.getElementById("lab")) {
  places();
  for (const bar of document.querySelectorAll<HTMLElement>(".splitter")) splitter(bar);
  for (const button of document.querySelectorAll<HTMLElement>("[data-panel]")) {
    button.addEventListener("click", () => chooseView(button.dataset["panel"] as View));
  }
  chooseView("policies");
  for (const bar of document.querySelectorAll<HTMLElement>(".views")) bar.hidden = false;
}

// The lesson's walk-through: one picture at a time, and played as a film when asked.
// Without this script the pictures stand side by side.

import { button, make } from "./dom";

for (const section of document.querySelectorAll<HTMLElement>("[data-walkthrough]")) run(section);

/** How long a step stays while it plays, in milliseconds: time to read its caption. */
function duration(step: HTMLElement): number {
  return 3000 + 45 * (step.querySelector("figcaption")?.textContent ?? "").length;
}

function run(section: HTMLElement): void {
  const list = section.querySelector("ol");
  const steps = [...section.querySelectorAll<HTMLElement>("ol > li")];
  if (!list || steps.length < 2) return;
  // One step at a time needs no scrolling, so the list is no stop for the keyboard.
  list.removeAttribute("tabindex");
  let at = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const back = button("Back", () => go(at - 1));
  const play = button("Play", () => (timer === undefined ? start() : pause()));
  const next = button("Next", () => go(at + 1));
  const where = make("span");
  // Whoever does not see the picture change hears what the new one shows.
  const heard = make("span");
  heard.className = "visually-hidden";
  const status = make("span");
  status.setAttribute("role", "status");
  status.append(where, heard);
  const bar = make("div");
  bar.className = "buttons";
  bar.append(back, play, next, status);
  list.before(bar); // above it, where it is seen before the picture is scrolled to

  function show(step: number): void {
    at = step;
    steps.forEach((s, i) => (s.hidden = i !== at));
    where.textContent = `Picture ${at + 1} of ${steps.length}`;
    heard.textContent = `: ${steps[at]!.querySelector("figcaption")?.textContent?.trim() ?? ""}`;
    // A button that is disabled would lose the focus.
    back.ariaDisabled = String(at === 0);
    next.ariaDisabled = String(at === steps.length - 1);
  }

  function go(step: number): void {
    pause();
    show(Math.min(Math.max(step, 0), steps.length - 1));
  }

  function start(): void {
    if (at === steps.length - 1) show(0);
    section.dataset["playing"] = "";
    play.textContent = "Pause";
    wait();
  }

  function wait(): void {
    timer = setTimeout(() => {
      show(at + 1);
      if (at < steps.length - 1) wait();
      else pause();
    }, duration(steps[at]!));
  }

  function pause(): void {
    clearTimeout(timer);
    timer = undefined;
    delete section.dataset["playing"];
    play.textContent = "Play";
  }

  section.dataset["walkthrough"] = "one";
  show(0);
}

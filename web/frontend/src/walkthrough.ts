// The lesson's walk-through: one picture at a time, and played as a film when asked.
// Without this script the pictures stand side by side.

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

  const part = (of: string): HTMLElement => section.querySelector<HTMLElement>(of)!;
  const [back, play, next] = ["back", "play", "next"].map((name) => part(`[data-walk="${name}"]`)) as [HTMLElement, HTMLElement, HTMLElement];
  back.addEventListener("click", () => go(at - 1));
  play.addEventListener("click", () => (timer === undefined ? start() : pause()));
  next.addEventListener("click", () => go(at + 1));
  // Whoever does not see the picture change hears what the new one shows.
  const [where, heard] = [...part('[role="status"]').children] as [HTMLElement, HTMLElement];

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

  show(0);
}

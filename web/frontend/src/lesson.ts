// The lesson's text: which section is at hand, one section at a time for whoever likes
// that, and "done" that leads on without loading the page again. Without this script the
// lesson is one long page, and "done" a form.

import { patience } from "./api";
import { busy } from "./dom";
import { recall, remember } from "./remember";

const article = document.getElementById("lesson");
if (article) run(article);

function run(article: HTMLElement): void {
  const sections = [...article.querySelectorAll<HTMLElement>(".section")];
  /** The sections that have a heading; what stands before the first goes with it. */
  const named = sections.filter((s) => s.dataset["section"]);
  const opening = [...article.children].filter((e) => e.matches(".walkthrough, .video, .section:not([data-section])"));
  let one = recall("sections") === "one";
  let at = named[0]?.dataset["section"] ?? "";

  const section = (id: string): HTMLElement | undefined => document.getElementById(id)?.closest<HTMLElement>(".section[data-section]") ?? undefined;

  /** Marks the section as the one at hand, and where one is shown at a time, shows it. */
  function choose(id: string): void {
    at = id;
    const nav = document.getElementById("contents");
    for (const link of nav?.querySelectorAll<HTMLAnchorElement>("ol a") ?? []) {
      const here = decodeURIComponent(link.hash.slice(1)) === at;
      if (here) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      if (here) nav!.querySelector("[data-at]")!.textContent = link.textContent;
    }
    for (const s of named) s.hidden = one && s.dataset["section"] !== at;
    for (const e of opening) (e as HTMLElement).hidden = one && at !== named[0]?.dataset["section"];
  }

  function show(): void {
    for (const button of article.querySelectorAll<HTMLButtonElement>("[data-sections] button")) button.ariaPressed = String(button.value === (one ? "one" : "all"));
    const choice = article.querySelector<HTMLElement>("[data-sections]");
    if (choice) choice.hidden = false;
    choose(at);
  }

  /** Goes to what has the ID, in whichever section that is. */
  function goTo(id: string): void {
    const to = section(id);
    if (!to) return;
    choose(to.dataset["section"]!);
    article.dataset["whole"] = "";
    const target = document.getElementById(id)!;
    target.scrollIntoView({ block: "start" });
    target.focus({ preventScroll: true });
  }

  article.addEventListener("click", (e) => {
    const target = e.target as Element;
    const choice = target.closest<HTMLButtonElement>("[data-sections] button");
    if (choice) {
      one = choice.value === "one";
      remember("sections", choice.value);
      show();
      article.dataset["whole"] = "";
      section(at)?.scrollIntoView();
      return;
    }
    // An address that does not change is told to nobody.
    const link = target.closest<HTMLAnchorElement>('a[href^="#"]');
    if (link && section(decodeURIComponent(link.hash.slice(1)))?.hidden) goTo(decodeURIComponent(link.hash.slice(1)));
    // Who has chosen from the contents wants to read.
    if (target.closest("#contents ol a")) article.querySelector<HTMLDetailsElement>("#contents details")!.open = false;
  });
  addEventListener("hashchange", () => goTo(decodeURIComponent(location.hash.slice(1))));

  // What is read is what stands in the upper part of the pane.
  const inView = new IntersectionObserver(
    (entries) => {
      if (one) return;
      const seen = entries.filter((e) => e.isIntersecting).at(-1)?.target as HTMLElement | undefined;
      if (seen?.dataset["section"]) choose(seen.dataset["section"]);
    },
    { rootMargin: "-15% 0px -75% 0px" },
  );
  for (const s of named) inView.observe(s);

  article.addEventListener("submit", (e) => {
    const form = e.target as HTMLFormElement;
    if (!form.matches(".section-end")) return;
    e.preventDefault();
    const button = form.querySelector("button")!;
    void busy(button, () => done(form, button));
  });

  async function done(form: HTMLFormElement, button: HTMLButtonElement): Promise<void> {
    const problem = form.querySelector<HTMLElement>(".problem")!;
    problem.textContent = "";
    try {
      const answer = await fetch(form.action, { method: "POST", headers: { Accept: "text/html", "X-Fragment": "section" }, signal: AbortSignal.timeout(patience) });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector<HTMLElement>("[data-next]");
      if (!next) throw new Error(page.querySelector("main .lead")?.textContent ?? "");
      replace(next);
      button.firstChild!.textContent = "Go on ";
      history.pushState(null, "", `#${encodeURIComponent(next.dataset["next"]!)}`);
      goTo(next.dataset["next"]!);
    } catch (error) {
      const message = error instanceof Error && error.name === "Error" && error.message;
      problem.textContent = message || "The lab’s server does not answer. Try again in a moment.";
    }
  }

  /** Puts what is new in the place of what is there with the same ID. */
  function replace(fresh: HTMLElement): void {
    for (const part of [...fresh.children] as HTMLElement[]) {
      const old = document.getElementById(part.id);
      if (!old) continue;
      const i = named.indexOf(old);
      if (i >= 0) {
        inView.unobserve(old);
        inView.observe((named[i] = part));
      }
      old.replaceWith(part);
    }
    show();
  }

  show();
  if (location.hash) goTo(decodeURIComponent(location.hash.slice(1)));
}

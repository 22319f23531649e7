// Exercises in the lesson's text: each form is sent in the background, and the
// server's new box takes the place of the old one. Without this script every form
// does the same with a reload.

document.addEventListener("submit", (e) => {
  const form = e.target as HTMLFormElement;
  const box = form.closest<HTMLElement>("[data-exercise]");
  if (!box) return;
  e.preventDefault();
  void send(box, form, e.submitter);
});

const patience = 15_000;

async function send(box: HTMLElement, form: HTMLFormElement, button: HTMLElement | null): Promise<void> {
  if (box.ariaBusy === "true") return;
  box.ariaBusy = "true";
  const label = button?.textContent ?? "";
  // What takes longer than a moment says so.
  const slow = setTimeout(() => button && (button.textContent = "One moment…"), 400);
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "text/html", "X-Fragment": "exercise" },
      body: new URLSearchParams([...new FormData(form)].map(([k, v]) => [k, String(v)])),
      signal: AbortSignal.timeout(patience),
    });
    const text = await answer.text();
    const next = new DOMParser().parseFromString(text, "text/html").querySelector<HTMLElement>("[data-exercise]");
    if (!next) throw new Error(new DOMParser().parseFromString(text, "text/html").querySelector("main p")?.textContent ?? "");
    box.replaceWith(next);
    next.querySelector<HTMLElement>("[data-result]")?.focus({ preventScroll: true });
  } catch (error) {
    const message = error instanceof Error && error.name === "Error" && error.message;
    const result = box.querySelector("[data-result]");
    if (result) result.textContent = message || "The lab's server does not answer. Try again in a moment.";
  } finally {
    clearTimeout(slow);
    if (button) button.textContent = label;
    box.ariaBusy = null;
  }
}

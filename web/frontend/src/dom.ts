// What panels need of the page.

/** The element with the ID within the root. */
export function find<E extends HTMLElement = HTMLElement>(root: HTMLElement, id: string): E {
  const e = root.querySelector<E>(`#${id}`);
  if (!e) throw new Error(`the page has no #${id}`);
  return e;
}

/** A new element with the text and the class. */
export function make<K extends keyof HTMLElementTagNameMap>(name: K, text = "", className = ""): HTMLElementTagNameMap[K] {
  const e = document.createElement(name);
  e.textContent = text;
  if (className) e.className = className;
  return e;
}

/** A button of the page's own, which sends nothing. */
export function button(text: string, pressed: () => void): HTMLButtonElement {
  const b = make("button", text);
  b.type = "button";
  b.addEventListener("click", pressed);
  return b;
}

/** Writes the text, unless it stands there: to write it again would make a live region speak again. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows or hides the element. One that goes away leaves the keyboard's place on the page to the other. */
export function show(element: HTMLElement, visible: boolean, instead: HTMLElement): void {
  if (element.hidden === !visible) return;
  const focused = !visible && element.contains(document.activeElement);
  element.hidden = !visible;
  if (focused) focusOn(instead);
}

/**
 * Puts the nodes in the place of what is in the element. Where the keyboard was in it, it
 * is at the same button again, else at the first, else at the other element.
 */
export function refill(element: HTMLElement, instead: HTMLElement, ...nodes: (Node | string)[]): void {
  const held = element.contains(document.activeElement) ? document.activeElement!.textContent : undefined;
  element.replaceChildren(...nodes);
  if (held === undefined) return;
  const stops = [...element.querySelectorAll<HTMLElement>("button, summary, a[href]")];
  const stop = stops.find((e) => e.textContent === held) ?? stops[0];
  if (stop) stop.focus();
  else focusOn(instead);
}

/** Puts the focus on the element, also where it is no stop of the Tab key. */
export function focusOn(element: HTMLElement): void {
  if (element.tabIndex < 0) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

/** Calls the function in place of sending the form. While it runs, the button is busy and another press does nothing. */
export function onSubmit(form: HTMLFormElement, submit: (pressed: HTMLElement | null) => Promise<void>): void {
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const pressed = e.submitter ?? form.querySelector<HTMLElement>("button");
    void busy(pressed, () => submit(pressed));
  });
}

/** Runs the action unless the button's last one still runs. */
export async function busy(pressed: HTMLElement | null, action: () => Promise<void>): Promise<void> {
  if (!pressed || pressed.ariaBusy === "true") return;
  // A disabled button would lose the focus.
  pressed.ariaBusy = pressed.ariaDisabled = "true";
  try {
    await action();
  } finally {
    pressed.ariaBusy = pressed.ariaDisabled = null;
  }
}

// The terminal's panel: a shell in the sandbox's own cluster, opened when it is looked at.

import * as api from "./api";
import { find, show, write } from "./dom";
import { onView } from "./frame";
import type { State, Store } from "./state";
import type { Screen } from "./terminal/screen";
import { Session, type Standing } from "./terminal/session";

/** Draws the terminal, where the lab has one. */
export function mountTerminal(root: HTMLElement, store: Store): void {
  const panel = root.querySelector<HTMLElement>("#terminal-panel");
  if (!panel) return;
  panel.hidden = false;
  if (panel.querySelector("#terminal-screen")) new TerminalPanel(panel, store);
}

const waiting = "The terminal opens as soon as your sandbox is ready.";

class TerminalPanel {
  readonly #store: Store;
  readonly #box: HTMLElement;
  readonly #status: HTMLElement;
  readonly #again: HTMLButtonElement;
  readonly #session: Session;
  #screen: Promise<Screen> | undefined;
  #looked = false;
  /** The sandbox whose terminal is open, or was until it ended; empty where there is none. */
  #of = "";

  constructor(panel: HTMLElement, store: Store) {
    this.#store = store;
    this.#box = find(panel, "terminal-screen");
    this.#status = find(panel, "terminal-status");
    this.#again = find<HTMLButtonElement>(panel, "terminal-again");
    this.#session = new Session({
      connect: api.terminal,
      refused: api.terminalRefused,
      output: (bytes) => void this.#screen?.then((screen) => screen.write(bytes)),
      clear: () => void this.#screen?.then((screen) => screen.clear()),
      standing: (now, why, end) => this.#tell(now, why, end),
    });
    this.#again.addEventListener("click", () => void this.#open(true));
    onView((view) => {
      this.#looked = view === "terminal";
      if (this.#looked) void this.#open(true);
    });
    store.watch((now, before) => {
      if (now.sandbox !== before.sandbox || now.model.state !== before.model.state) this.#follow(now);
    });
  }

  #follow({ sandbox, model }: State): void {
    if (this.#of && (sandbox !== this.#of || model.state !== "ready")) {
      this.#of = "";
      this.#session.close();
    }
    if (this.#looked) void this.#open(false);
  }

  /** Opens the terminal where there is one to be opened, and it is not open. */
  async #open(focus: boolean): Promise<void> {
    const { sandbox, model } = this.#store.get();
    if (!sandbox || model.state !== "ready") {
      write(this.#status, waiting);
      return;
    }
    this.#screen ??= this.#load();
    const screen = await this.#screen;
    screen.fit();
    if (focus) screen.focus();
    if (this.#of === sandbox && this.#again.hidden) return;
    this.#of = sandbox;
    this.#session.resize(screen.size);
    this.#session.open(sandbox);
  }

  async #load(): Promise<Screen> {
    write(this.#status, "Loading the terminal…");
    const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
    const { mountScreen } = await import("./terminal/screen");
    this.#box.hidden = false;
    return mountScreen(this.#box, nonce, {
      typed: (text) => this.#session.type(text),
      resized: (size) => this.#session.resize(size),
      left: (back) => this.#leave(back),
    });
  }

  #tell(now: Standing, why: string, end: string): void {
    const said: Record<Standing, string> = {
      idle: waiting,
      connecting: "Opening the terminal. The first time that takes a few seconds…",
      live: "",
      retrying: "The connection to the terminal is lost. The shell goes on; the page tries again…",
      over: why,
    };
    write(this.#status, said[now]);
    this.#again.textContent = end === "elsewhere" ? "Use it here" : end === "ended" ? "New shell" : "Try again";
    show(this.#again, now === "over", this.#box);
  }

  /** Goes on to what the Tab key would reach next, or before. */
  #leave(back: boolean): void {
    const stops = [...document.querySelectorAll<HTMLElement>("a[href], button, input, textarea, select, summary, [tabindex='0']")].filter(
      (e) => e.checkVisibility() && !(e as HTMLButtonElement).disabled && !this.#box.contains(e),
    );
    const place = (e: HTMLElement): boolean => Boolean(this.#box.compareDocumentPosition(e) & (back ? Node.DOCUMENT_POSITION_PRECEDING : Node.DOCUMENT_POSITION_FOLLOWING));
    const next = back ? stops.findLast(place) : stops.find(place);
    next?.focus();
  }
}

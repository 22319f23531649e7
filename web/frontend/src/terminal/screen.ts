// The terminal's screen: xterm.js in the page's colours. It is loaded when a terminal is
// first opened.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import styles from "@xterm/xterm/css/xterm.css";
import type { Size } from "./session";

export interface Screen {
  readonly size: Size;
  write(bytes: Uint8Array): void;
  clear(): void;
  focus(): void;
  /** Fits the screen into its box, which is visible. */
  fit(): void;
}

export interface ScreenEvents {
  typed(text: string): void;
  resized(size: Size): void;
  /** The key was pressed that leaves the terminal, on to what comes after it or before. */
  left(back: boolean): void;
}

/** The terminal's colours, each by the name that the page has for it. */
const colours = {
  background: "--sunk",
  foreground: "--text",
  cursor: "--accent",
  cursorAccent: "--sunk",
  selectionBackground: "--accent-soft",
  selectionForeground: "--text",
  black: "--faint",
  red: "--blocked",
  green: "--open",
  yellow: "--warn",
  blue: "--accent",
  magenta: "--dns",
  cyan: "--refused",
  white: "--soft",
  brightBlack: "--faint",
  brightRed: "--blocked",
  brightGreen: "--open",
  brightYellow: "--warn",
  brightBlue: "--accent",
  brightMagenta: "--dns",
  brightCyan: "--refused",
  brightWhite: "--text",
} as const;

export function mountScreen(box: HTMLElement, nonce: string, events: ScreenEvents): Screen {
  const sheet = document.createElement("style");
  sheet.nonce = nonce;
  sheet.textContent = styles;
  document.head.append(sheet);

  const look = getComputedStyle(box);
  const terminal = new Terminal({
    screenReaderMode: true,
    minimumContrastRatio: 4.5,
    cursorBlink: false,
    fontFamily: look.fontFamily,
    fontSize: parseFloat(look.fontSize),
    lineHeight: 1.2,
    scrollback: 5000,
    theme: theme(box),
    // A shell's output may name any address: nothing of it is opened.
    linkHandler: { activate: () => {} },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.attachCustomKeyEventHandler((e) => {
    if (e.type !== "keydown") return true;
    if (e.key === "F6") {
      e.preventDefault();
      events.left(e.shiftKey);
      return false;
    }
    // With something selected it is copied, by the browser, as everywhere on the page.
    if (e.ctrlKey && !e.altKey && e.key.toLowerCase() === "c" && (e.shiftKey || terminal.hasSelection())) {
      if (e.shiftKey) {
        e.preventDefault();
        document.execCommand("copy");
      }
      return false;
    }
    return !(e.ctrlKey && !e.altKey && e.key.toLowerCase() === "v");
  });
  withNonce(nonce, () => terminal.open(box));
  terminal.onData(events.typed);
  terminal.onResize(({ cols, rows }) => events.resized({ columns: cols, rows }));

  const recolour = (): void => {
    terminal.options.theme = theme(box);
  };
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) matchMedia(query).addEventListener("change", recolour);
  new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-scheme"] });

  const fitted = (): void => {
    // A box that is not shown has no size to fit into.
    if (box.clientHeight > 0) fit.fit();
  };
  new ResizeObserver(fitted).observe(box);
  void document.fonts.ready.then(fitted);

  return {
    get size() {
      return { columns: terminal.cols, rows: terminal.rows };
    },
    write: (bytes) => terminal.write(bytes),
    clear: () => terminal.reset(),
    focus() {
      box.scrollIntoView({ block: "nearest" });
      terminal.focus();
    },
    fit: fitted,
  };
}

/** The colours as they are now: a browser tells them of an element, and not of a name. */
function theme(box: HTMLElement): Record<keyof typeof colours, string> {
  const sample = document.createElement("span");
  box.append(sample);
  const found = Object.entries(colours).map(([name, token]) => {
    sample.style.color = `var(${token})`;
    return [name, getComputedStyle(sample).color];
  });
  sample.remove();
  return Object.fromEntries(found) as Record<keyof typeof colours, string>;
}

/** Gives the style elements that are made meanwhile the nonce by which the page's rules let them in. */
function withNonce(nonce: string, make: () => void): void {
  const create = document.createElement.bind(document);
  document.createElement = (name: string, options?: ElementCreationOptions): HTMLElement => {
    const element = create(name, options);
    if (element instanceof HTMLStyleElement) element.nonce = nonce;
    return element;
  };
  try {
    make();
  } finally {
    delete (document as Partial<Document>).createElement; // The document's own is there again.
  }
}

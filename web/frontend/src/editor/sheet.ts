// The sheet with the editor's keys.

import { button, make } from "../dom";

const mac = /Mac|iP(hone|ad)/.test(navigator.platform);

/** A key as it is written here. */
export function keyName(key: string): string {
  return mac ? key.replace("Mod", "⌘").replace("Alt", "⌥").replace("Shift", "⇧") : key.replace("Mod", "Ctrl");
}

const keys: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  [
    "Write",
    [
      ["Ctrl+Space", "what can stand here"],
      ["Mod+.", "fixes for the problem at the cursor"],
      ["Shift+Alt+F", "format"],
      ["Mod+I", "what this field is, and what it selects"],
      ["Mod+Z", "undo"],
      [mac ? "Shift+Mod+Z" : "Mod+Y", "redo"],
      ["Mod+]", "indent"],
      ["Mod+[", "indent less"],
      ["Mod+/", "make the line a comment, or no comment"],
      ["Alt+Up", "move the line up; Alt+Down moves it down"],
    ],
  ],
  [
    "Find",
    [
      ["F8", "next problem; Shift+F8 the one before"],
      ["Shift+Mod+M", "list of all problems"],
      ["Mod+F", "search and replace"],
      ["F3", "next match; Shift+F3 the one before"],
      ["Mod+Alt+G", "go to a line"],
      [mac ? "Mod+Alt+[" : "Ctrl+Shift+[", "fold; with ] unfold"],
    ],
  ],
  [
    "Go on",
    [
      ["Mod+Enter", "apply"],
      ["Tab", "leave the editor; among the places of a snippet, go to the next"],
      ["Escape", "close a list, or leave a snippet"],
      ["F1", "this sheet"],
    ],
  ],
];

/** Shows the sheet; what had the focus has it again afterwards. */
export function showSheet(): void {
  const dialog = make("dialog");
  dialog.className = "keys";
  dialog.setAttribute("aria-labelledby", "keys-title");
  const title = make("h2", "Keys in the editor");
  title.id = "keys-title";
  const groups = make("div");
  groups.className = "keys-groups";
  for (const [name, list] of keys) {
    const group = make("section");
    const table = make("dl");
    for (const [key, does] of list) {
      const term = make("dt");
      for (const part of keyName(key).split("+").filter(Boolean)) term.append(make("kbd", part));
      table.append(term, make("dd", does));
    }
    group.append(make("h3", name), table);
    groups.append(group);
  }
  const buttons = make("div");
  buttons.className = "buttons";
  const close = button("Close", () => dialog.close());
  close.autofocus = true;
  buttons.append(close);
  dialog.append(title, groups, buttons);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (e) => e.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

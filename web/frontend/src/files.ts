// The files of the workspace: a tab for each, and of the one that is open what can be done
// with it.

import type { Actions } from "./actions";
import { selecting } from "./analysis";
import { showBoth } from "./both";
import { button, find, make, refill, show, write } from "./dom";
import { nameOf } from "./model";
import type { State, Store } from "./state";
import { documents, refOf } from "./workspace/text";
import { fileOf, fileRef, stateOf, title, type File, type FileState } from "./workspace/workspace";

const words: Record<FileState, string> = { "in-force": "in force", edited: "edited", new: "new", removed: "to be deleted" };

export function mountFiles(root: HTMLElement, store: Store, actions: Actions): void {
  mountTabs(root, store, actions);
  mountOpen(root, store, actions);
  mountSteps(root, store, actions);
}

// --- Tabs ---

function mountTabs(root: HTMLElement, store: Store, actions: Actions): void {
  const bar = find(root, "files-bar");
  const list = find(root, "files");
  bar.hidden = false;
  find(root, "new-file").addEventListener("click", actions.create);

  list.addEventListener("click", (e) => {
    const tab = (e.target as Element).closest<HTMLElement>("[data-file]");
    if (tab) actions.open(tab.dataset["file"]!);
  });
  list.addEventListener("keydown", (e) => {
    const { workspace, active } = store.get();
    const at = workspace.files.findIndex((f) => f.id === active);
    const last = workspace.files.length - 1;
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: last }[e.key];
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "Delete" && active !== undefined) actions.remove(active);
    else if (to !== undefined) actions.open(workspace.files[(to + last + 1) % (last + 1)]!.id);
    else return;
    e.preventDefault();
    list.querySelector<HTMLElement>("[aria-selected=true]")?.focus();
  });

  function render({ workspace, active }: State): void {
    const focused = list.contains(document.activeElement);
    const tabs = new Map([...list.querySelectorAll<HTMLElement>("[data-file]")].map((t) => [t.dataset["file"]!, t]));
    // The namespace is worth its place only where there are several.
    list.classList.toggle("several-namespaces", new Set(workspace.files.map((f) => fileRef(f)?.namespace)).size > 1);
    for (const [i, file] of workspace.files.entries()) {
      const tab = tabs.get(file.id) ?? newTab(file.id);
      tabs.delete(file.id);
      fill(tab, file);
      tab.ariaSelected = String(file.id === active);
      tab.tabIndex = file.id === active ? 0 : -1;
      if (list.children[i] !== tab) list.insertBefore(tab, list.children[i] ?? null);
    }
    for (const tab of tabs.values()) tab.remove();
    const open = list.querySelector<HTMLElement>("[aria-selected=true]");
    if (focused && !list.contains(document.activeElement)) open?.focus({ preventScroll: true });
    if (open) find(root, "open-file").setAttribute("aria-labelledby", open.id);
  }

  /** Marks the files whose policies select the pod that is pointed at: one of them is in the editor. */
  function point({ analysis, pointed }: State): void {
    for (const tab of list.querySelectorAll<HTMLElement>("[data-file]")) tab.classList.toggle("selects", selecting(analysis, tab.dataset["file"]!, pointed).length > 0);
  }

  let shown: string | undefined;
  store.watch((now, before) => {
    if (now.pointed !== before.pointed || (now.pointed !== undefined && now.analysis !== before.analysis)) point(now);
    if (now.workspace.files === before.workspace.files && now.active === before.active) return;
    render(now);
    if (now.active !== shown) list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    shown = now.active;
  });
  render(store.get());
}

function newTab(id: string): HTMLElement {
  const tab = make("button");
  tab.type = "button";
  tab.id = `tab-${id}`;
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", "open-file");
  tab.dataset["file"] = id;
  for (const part of ["of", "name", "state"]) {
    const span = make("span");
    span.className = part;
    tab.append(span);
  }
  return tab;
}

function fill(tab: HTMLElement, file: File): void {
  const ref = fileRef(file);
  const state = file.conflict ? "conflict" : stateOf(file);
  const [of, name, said] = [...tab.children] as [HTMLElement, HTMLElement, HTMLElement];
  write(of, ref ? `${ref.namespace}/` : "");
  write(name, title(file));
  // What is in force is the rule, and is said to those who do not see that nothing is.
  write(said, state === "conflict" ? "changed elsewhere" : words[state]);
  said.classList.toggle("visually-hidden", state === "in-force");
  if (tab.dataset["state"] !== state) tab.dataset["state"] = state;
  if (ref) tab.dataset["policy"] = nameOf(ref);
  else delete tab.dataset["policy"];
}

// --- The file that is open ---

function mountOpen(root: HTMLElement, store: Store, actions: Actions): void {
  const line = find(root, "file-state");
  const buttons = find(root, "file-actions");
  const conflict = find(root, "conflict");
  const open = (act: (file: string) => void) => () => act(store.get().active ?? "");
  const revert = button("Revert", open(actions.revert));
  revert.title = "Back to the text that is in force";
  const split = button("Split into files", open(actions.split));
  const keep = button("Keep it", open(actions.keep));
  const remove = button("Delete", open(actions.remove));
  buttons.append(split, revert, keep, remove);

  function render({ workspace, active }: State): void {
    const file = fileOf(workspace, active);
    if (!file) return;
    const state = stateOf(file);
    const several = state === "removed" ? 1 : documents(file.text).length;
    write(line, several > 1 ? `This text has ${several} documents. Each can be a file of its own; Apply makes it one.` : sentence(file, state));
    show(split, several > 1, line);
    show(revert, state === "edited", line);
    show(keep, state === "removed", line);
    show(remove, state !== "removed" && (file.base !== undefined || file.text.trim() !== "" || workspace.files.length > 1), line);
    remove.setAttribute("aria-label", `Delete ${title(file)}`);
    renderConflict(conflict, file, actions, find(root, "step"));
  }

  store.watch((now, before) => {
    if (now.workspace.files !== before.workspace.files || now.active !== before.active) render(now);
  });
  render(store.get());
}

function sentence(file: File, state: FileState): string {
  const ref = refOf(file.text) ?? file.base;
  const name = ref ? nameOf(ref) : "This policy";
  switch (state) {
    case "in-force":
      return `${name} is in force as it stands here.`;
    case "edited":
      return file.base && ref && nameOf(ref) !== nameOf(file.base) ? `${name} is in force as ${nameOf(file.base)}.` : `${name} is edited; in force is another text.`;
    case "new":
      return file.text.trim() === "" ? "" : `${name} is new, and not in force.`;
    case "removed":
      return `${name} is in force; the next Apply deletes it.`;
  }
}

/** Which conflict is drawn, and what ends when it is another: a live region says again what is drawn again. */
const drawn = new WeakMap<HTMLElement, { conflict: File["conflict"]; ends: AbortController }>();

function renderConflict(box: HTMLElement, file: File, actions: Actions, said: HTMLElement): void {
  const { conflict } = file;
  if (drawn.get(box)?.conflict === conflict && box.dataset["of"] === file.id) return;
  drawn.get(box)?.ends.abort();
  const ends = new AbortController();
  drawn.set(box, { conflict, ends });
  box.dataset["of"] = file.id;
  const parts: HTMLElement[] = [];
  if (conflict) {
    const { theirs } = conflict;
    const gone = theirs === undefined;
    const here = file.removed ? "you want to delete it" : "it has edits of yours";
    const words = { keep: file.removed ? "Delete it all the same" : "Keep mine", take: gone ? "Let it go" : "Take theirs" };
    const keep = (): void => {
      actions.keepMine(file.id);
      const stays = file.removed ? "is still to be deleted" : "stays as it is here";
      said.textContent = `“${title(file)}” ${stays}. The next Apply makes it so.`;
    };
    const take = (): void => actions.takeTheirs(file.id);
    const row = make("div", "", "buttons");
    row.append(button(words.keep, keep), button(words.take, take));
    if (!gone) {
      const mine = { head: file.removed ? "Yours, to be deleted" : "Yours, with your edits", text: file.text };
      const there = { head: conflict.brought ? "Theirs, which came in" : `Theirs, in force, changed ${conflict.where}`, text: theirs };
      row.append(
        button("See both", () => {
          void showBoth({ name: `“${title(file)}”`, mine, theirs: there, ...words }, ends.signal).then((kept) => {
            if (kept !== undefined) (kept ? keep : take)();
            actions.goTo({ file: file.id, line: 0, column: 0 });
          });
        }),
      );
    }
    parts.push(make("p", `This policy was ${gone ? "deleted" : "changed"} ${conflict.where}, and ${here}. Nothing of yours is lost: decide which of the two stays.`), row);
  }
  refill(box, box.parentElement!, ...parts);
}

// --- Taking back ---

function mountSteps(root: HTMLElement, store: Store, actions: Actions): void {
  const undo = find<HTMLButtonElement>(root, "undo");
  const redo = find<HTMLButtonElement>(root, "redo");
  const line = find(root, "step");
  /** Where the keyboard goes when there is nothing to take back or do again: the tab that is open. */
  const tab = (): HTMLElement => root.querySelector<HTMLElement>("#files [aria-selected=true]") ?? line;
  undo.addEventListener("click", actions.undo);
  redo.addEventListener("click", actions.redo);

  store.watch((now, before) => {
    const [w, was] = [now.workspace, before.workspace];
    if (w.past !== was.past || w.future !== was.future) {
      const [last, back] = [w.past.at(-1), w.future.at(-1)];
      // One takes the keyboard over from the other.
      if (back) redo.hidden = false;
      show(undo, last !== undefined, back ? redo : tab());
      show(redo, back !== undefined, last ? undo : tab());
      undo.title = last ? `Take back: ${last.said}` : "";
      redo.title = back ? `Do again: ${back.said}` : "";
      const isNew = w.past.length > 0 && w.past.at(-1) !== was.past.at(-1);
      if (isNew && w.future.length === 0) offer(line, tab(), last!.said, "Undo", actions.undo);
      else if (w.future.length > was.future.length) offer(line, tab(), `Taken back: ${back!.said}`, "Redo", actions.redo);
      else refill(line, tab());
    } else if (now.applied !== before.applied && line.hasChildNodes() && now.applied) {
      refill(line, tab());
    }
  });
  show(undo, store.get().workspace.past.length > 0, line);
  show(redo, store.get().workspace.future.length > 0, line);
}

/** Says something, with a way on. Where that goes, the keyboard goes to the other element. */
export function offer(line: HTMLElement, instead: HTMLElement, message: string, label: string, go: () => void): void {
  refill(line, instead, `${message} `, button(label, go));
}

// The history's panel: what has become of the policies, the difference between two
// points, and the way back to one.

import type { Actions } from "../actions";
import type { History } from "../answers.gen";
import * as api from "../api";
import { busy, button, find, make, write } from "../dom";
import { onView } from "../frame";
import { caughtUp } from "../inforce";
import type { Store } from "../state";
import { said as words } from "../sentences.gen";
import { joined } from "../workspace/text";
import * as compare from "./compare";

/** How long the list waits for more of what is told at once, in milliseconds. */
const together = 150;

export function mountHistory(root: HTMLElement, store: Store, actions: Actions): void {
  const panel = find(root, "history");
  const list = find(root, "history-list");
  const said = find(root, "history-said");
  const pane = find(root, "history-compare");
  const title = find(root, "compare-title");
  const body = find(root, "compare-body");
  panel.classList.add("scripts");

  // --- The list is the server's, asked for anew when something has become of it ---

  let stale = false;
  let asked = 0;
  let timer: number | undefined;
  async function refresh(): Promise<void> {
    const [sandbox, number] = [store.get().sandbox, ++asked];
    stale = false;
    const html = await api.historyList(sandbox).catch(() => undefined);
    // What could not be had is asked for when it is looked at again.
    stale ||= html === undefined;
    if (html === undefined || number !== asked || sandbox !== store.get().sandbox) return;
    const chosen = [...list.querySelectorAll<HTMLInputElement>("[data-compare]:checked")].map((box) => box.dataset["compare"]);
    const focused = list.contains(document.activeElement) ? (document.activeElement as HTMLElement) : undefined;
    const key = focused && focusKey(focused);
    list.innerHTML = html;
    for (const box of boxes()) box.checked = chosen.includes(box.dataset["compare"]);
    if (key) (list.querySelector<HTMLElement>(key) ?? list.querySelector<HTMLElement>("button"))?.focus();
    localTimes();
  }
  const shown = (): boolean => panel.checkVisibility();
  function soon(): void {
    stale = true;
    clearTimeout(timer);
    timer = window.setTimeout(() => shown() && void refresh(), together);
  }
  store.watch((now, before) => {
    if (now.sandbox !== before.sandbox || now.model.policies !== before.model.policies || now.model.settled !== before.model.settled) soon();
  });
  onView((view) => view === "history" && stale && void refresh());

  function localTimes(): void {
    for (const time of list.querySelectorAll("time")) {
      time.textContent = new Date(time.dateTime).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    }
  }
  localTimes();

  // --- Going back ---

  list.addEventListener("submit", (e) => {
    e.preventDefault();
    const form = e.target as HTMLFormElement;
    const change = Number(form.closest<HTMLElement>("[data-change]")?.dataset["change"]);
    void busy(form.querySelector("button"), async () => {
      await told(async () => {
        await api.restore(store.get().sandbox, change);
        write(said, "Done: the policies are as they were then. This is a change, too, and can be gone back from.");
      });
    });
  });

  list.addEventListener("click", (e) => {
    const target = e.target as HTMLElement;
    const draft = target.closest<HTMLElement>("[data-draft]");
    const show = target.closest<HTMLElement>("[data-show]");
    if (draft) void busy(draft, () => told(() => asDrafts(Number(draft.dataset["draft"]))));
    if (show) void busy(show, () => told(() => showOne(Number(show.dataset["show"]))));
  });

  async function asDrafts(change: number): Promise<void> {
    const { policies } = await api.point(store.get().sandbox, change);
    // What has come since is not part of that point, and so is to go; what the workspace
    // does not know of yet would come in afterwards.
    await caughtUp(store);
    actions.replaceAll(joined(policies.map((p) => p.yaml)), "The workspace is as it was at an earlier point.");
    write(said, "The workspace is as it was then, in drafts. Nothing is applied until you press Apply.");
  }

  // --- Comparing ---

  const boxes = (): HTMLInputElement[] => [...list.querySelectorAll<HTMLInputElement>("[data-compare]")];
  list.addEventListener("change", (e) => {
    const box = e.target as HTMLInputElement;
    if (!box.matches("[data-compare]")) return;
    const chosen = boxes().filter((b) => b.checked);
    // A third takes the place of the one that is farther from it.
    if (chosen.length > 2) for (const other of chosen) if (other !== box && other !== nearest(chosen, box)) other.checked = false;
    const two = boxes().filter((b) => b.checked).map((b) => Number(b.dataset["compare"]));
    if (two.length === 2) void told(() => difference(Math.min(...two), Math.max(...two)));
    else write(said, two.length === 1 ? "Choose a second point to compare with." : "");
  });

  /** Where in the list the difference was asked for. */
  let opener: string | undefined;

  async function showOne(change: number): Promise<void> {
    const history = await api.history(store.get().sandbox);
    await difference(compare.pointBefore(history.entries, history.from, change), change, history);
  }

  async function difference(from: number, to: number, history?: History): Promise<void> {
    const { sandbox } = store.get();
    const [before, after, all] = await Promise.all([api.point(sandbox, from), api.point(sandbox, to), history ?? api.history(sandbox)]);
    write(said, "");
    title.textContent = `From ${called(from, all)} to ${called(to, all)}`;
    const texts = compare.policies(before.policies, after.policies);
    const { turned, whole } = compare.flows(all.entries, from, to);
    body.replaceChildren(
      make("h3", "Policies"),
      ...(texts.length === 0 ? [make("p", "They are the same.")] : texts.map(drawPolicy)),
      make("h3", "Connections"),
      drawFlows(turned, whole, actions),
    );
    if (list.contains(document.activeElement)) opener = focusKey(document.activeElement as HTMLElement);
    pane.hidden = false;
    title.focus();
    pane.scrollIntoView({ block: "nearest" });
  }

  find(root, "compare-close").addEventListener("click", () => {
    pane.hidden = true;
    for (const box of boxes()) box.checked = false;
    ((opener && list.querySelector<HTMLElement>(opener)) || list.querySelector<HTMLElement>("button"))?.focus();
  });

  /** Runs what asks the server; why that was refused is said here. */
  async function told(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      write(said, error.message);
    }
  }
}

function called(change: number, history: History): string {
  const entry = history.entries.find((e) => e.change === change);
  if (!entry) return change === 0 ? "the beginning" : "what there was before";
  return new Date(entry.time).toLocaleTimeString();
}

function nearest(all: HTMLInputElement[], to: HTMLInputElement): HTMLInputElement | undefined {
  const at = (box: HTMLInputElement): number => all.indexOf(box);
  return all.filter((b) => b !== to).sort((a, b) => Math.abs(at(a) - at(to)) - Math.abs(at(b) - at(to)))[0];
}

/** How the element that has the focus is found again in a new list. */
function focusKey(focused: HTMLElement): string | undefined {
  for (const name of ["draft", "show", "compare"]) {
    const value = focused.dataset[name];
    if (value !== undefined) return `[data-${name}="${value}"]`;
  }
  const change = focused.closest<HTMLElement>("[data-change]")?.dataset["change"];
  return change === undefined ? undefined : `[data-change="${change}"] button`;
}

function drawPolicy({ name, what, lines }: compare.PolicyDifference): HTMLElement {
  const box = make("details");
  box.className = "policy-difference";
  box.open = true;
  const summary = make("summary");
  summary.append(make("code", name), ` ${{ added: "added", removed: "deleted", changed: "changed" }[what]}`);
  const text = make("pre");
  text.tabIndex = 0;
  for (const line of lines) {
    const row = make("span");
    row.dataset["what"] = line.what;
    row.textContent = `${{ same: " ", added: "+", removed: "−" }[line.what]} ${line.text}\n`;
    text.append(row);
  }
  box.append(summary, text);
  return box;
}

/** Many connections are shown as far as a list can be read. */
const mostShown = 60;

function drawFlows(turned: compare.FlowDifference[], whole: boolean, actions: Actions): HTMLElement {
  const box = make("div");
  if (!whole) box.append(make("p", "Not every change in between was measured on its own, so there may be more."));
  if (turned.length === 0) {
    box.append(make("p", whole ? "All of them are the same." : "None is known to have turned."));
    return box;
  }
  const list = make("ul");
  list.className = "flow-difference";
  for (const { flow, from, to } of turned.slice(0, mostShown)) {
    const item = make("li");
    const choose = button(flow, () => actions.choose(flow));
    choose.className = "quiet";
    choose.title = "Show why";
    item.append(choose, ` ${words.verdicts[from]} → ${words.verdicts[to]}`);
    item.dataset["verdict"] = to;
    list.append(item);
  }
  box.append(list);
  if (turned.length > mostShown) box.append(make("p", `And ${turned.length - mostShown} more.`));
  return box;
}

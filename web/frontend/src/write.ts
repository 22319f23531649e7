// Where policies are written: the editor's form, and the policies in force.

import type { Actions } from "./actions";
import * as api from "./api";
import { busy, button, find, focusOn, make, onSubmit, show, write } from "./dom";
import * as draft from "./draft";
import type { Problem } from "./api";
import * as exercise from "./exercise";
import { nameOf, withTexts, type Model } from "./model";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";
import type { Store } from "./state";
import { fileOf } from "./workspace/workspace";

export function mountWrite(root: HTMLElement, store: Store, actions: Actions): void {
  const lab = root.dataset["lab"] ?? "";
  const textarea = find<HTMLTextAreaElement>(root, "policy");
  const given = textarea.hasAttribute("data-given");
  const policies = find(root, "policies");
  const replace = find<HTMLButtonElement>(root, "replace");
  const deleteAll = find<HTMLFormElement>(root, "delete-all");
  const text = (): string => fileOf(store.get().workspace, store.get().active)?.text ?? "";

  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
  void import("./editor/editor").then(({ mountEditor }) => mountEditor(textarea, nonce, store, actions));
  textarea.value = text();
  textarea.addEventListener("input", () => actions.edit(store.get().active ?? "", textarea.value));

  const problems = find(root, "problems");
  store.watch((now, before) => {
    if (now.refused !== before.refused) {
      const { message, problems: found } = now.refused ?? { message: "", problems: [] };
      renderProblems(problems, message, found, (p) => actions.goTo({ file: now.active ?? "", ...p }));
    }
    if (now.model !== before.model) {
      show(deleteAll, now.model.policies.length > 0, policies);
      show(replace, now.model.policies.length > 0, policies);
      renderPolicies(policies, now.model);
      offerPolicies();
    }
    if (now.workspace !== before.workspace) {
      textarea.value = text();
      if (!given) draft.save(lab, text());
    }
  });

  const keptLine = find(root, "kept");
  /** The text that the page has put into the editor itself, of which nothing is to be kept. */
  let own: string | undefined;
  exercise.onBegin((start) => put(start));

  document.addEventListener("click", (e) => {
    const target = e.target as Element;
    const insert = target.closest<HTMLElement>("[data-insert]");
    const code = insert && codeBefore(insert);
    if (code) {
      e.preventDefault();
      put(code);
      goTo(0, 0);
    }
    const place = target.closest<HTMLElement>("[data-show-policy]");
    if (place) void showPolicy(place);
  });

  function goTo(line: number, column: number): void {
    actions.goTo({ file: store.get().active ?? "", line, column });
  }

  /** Puts the text into the editor, and offers the learner's own back. */
  function put(code: string): void {
    const old = text();
    if (old !== own && old !== code && old.trim() !== "") keep(old);
    own = code;
    actions.draft(code);
  }

  function keep(kept: string | null): void {
    draft.keep(lab, kept);
    const back = (): void => {
      keep(null);
      put(kept!);
      own = undefined;
      goTo(0, 0);
    };
    renderOffer(keptLine, kept === null ? null : { message: "Your text from before is kept.", label: "Bring it back", back });
  }

  keep(given ? null : draft.kept(lab));

  async function showPolicy(place: HTMLElement): Promise<void> {
    const yaml = (await inForce()).find((p) => nameOf(p) === place.dataset["showPolicy"])?.yaml;
    if (!yaml) return;
    if (placeIn(text(), yaml) === undefined) put(yaml);
    const first = placeIn(text(), yaml) ?? 1;
    goTo(first + Number(place.dataset["line"]) - 1, Number(place.dataset["column"]));
  }

  // --- What is in force ---

  let reads = 0;
  /** Reads the texts of the policies in force, which events leave out. */
  async function readTexts(): Promise<void> {
    const [id, number] = [store.get().sandbox, ++reads];
    const read = await api.policies(id).catch(() => undefined);
    if (!read || id !== store.get().sandbox || number !== reads) return;
    store.update({ model: withTexts(store.get().model, read.policies) });
  }

  async function inForce(): Promise<Model["policies"]> {
    if (store.get().model.policies.some((p) => p.yaml === undefined)) await readTexts();
    return store.get().model.policies;
  }

  store.watch((now, before) => {
    if (now.model.policies.some((p) => p.yaml === undefined) && now.model.policies !== before.model.policies) void readTexts();
  });
  // A policy's text that could not be read before is asked for once more.
  policies.addEventListener("toggle", () => void inForce(), { capture: true });

  const undoLine = find(root, "undo");
  /** The last change that did away with policies, with those that were in force before. */
  let lost: { change: number; before: Model["policies"] } | undefined;
  let offered: typeof lost;

  /** Offers to put back what the last change did away with, until there is another one. */
  function offerPolicies(): void {
    const { model } = store.get();
    if (lost && model.change > lost.change) lost = undefined;
    if (model.policies.some((p) => p.yaml === undefined)) return; // until they are read
    const gone = lost && model.change === lost.change ? lost.before.filter((p) => !model.policies.some((q) => q.yaml === p.yaml && nameOf(q) === nameOf(p))) : [];
    const now = gone.length > 0 ? lost : undefined;
    if (now === offered) return;
    offered = now;
    const still = new Set(model.policies.map(nameOf));
    renderOffer(
      undoLine,
      now
        ? {
            message: sentences.gone(gone.map(nameOf).filter((n) => !still.has(n)), gone.map(nameOf).filter((n) => still.has(n))),
            label: gone.length > 1 ? "Put them back" : "Put it back",
            back: () => void busy(undoLine, () => attempt(async () => void (await api.apply(store.get().sandbox, now.before.map((p) => p.yaml).join("\n---\n"), true)))),
          }
        : null,
    );
  }

  async function attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
      store.update({ refused: undefined });
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      store.update({ refused: { message: error.message, problems: error.problems } });
    }
  }

  async function change(action: () => Promise<number>): Promise<void> {
    await attempt(async () => {
      exercise.change();
      const before = await inForce();
      lost = { change: await action(), before };
      offerPolicies();
    });
  }

  const remove = (policy?: string): Promise<void> => change(() => api.deletePolicies(store.get().sandbox, policy));

  onSubmit(find<HTMLFormElement>(root, "policy-form"), (pressed) =>
    pressed === replace && store.get().model.state === "ready" ? change(() => api.apply(store.get().sandbox, text(), true)) : actions.apply(),
  );
  onSubmit(deleteAll, () => remove());
  policies.addEventListener("click", (e) => {
    const pressed = (e.target as Element).closest<HTMLElement>("[data-delete-policy]");
    if (!pressed) return;
    e.preventDefault();
    void busy(pressed, () => remove(pressed.dataset["deletePolicy"]));
  });
}

/** Says what was wrong. Problems with a place lead there. */
function renderProblems(box: HTMLElement, message: string, problems: readonly Problem[], goTo: (p: Problem) => void): void {
  box.replaceChildren();
  if (message) box.append(make("p", message));
  if (problems.length === 0) return;
  const list = document.createElement("ul");
  for (const p of problems) {
    const item = document.createElement("li");
    if (p.line > 0) {
      const link = make("a", `line ${p.line}, column ${p.column}`);
      link.href = "#policy";
      link.addEventListener("click", (e) => {
        e.preventDefault();
        goTo(p);
      });
      item.append(link, ": ");
    }
    if (p.field) item.append(make("code", p.field), ": ");
    item.append(p.message);
    list.append(item);
  }
  box.append(list);
}

function renderPolicies(list: HTMLElement, model: Model): void {
  const names = model.policies.map((p) => `${p.namespace}/${p.name}`);
  const items = new Map([...list.querySelectorAll<HTMLElement>("[data-policy]")].map((i) => [i.dataset["policy"]!, i]));
  for (const [name, item] of items) {
    if (names.includes(name)) continue;
    const focused = item.contains(document.activeElement);
    item.remove();
    if (focused) focusOn(list);
  }
  for (const [i, name] of names.entries()) {
    const item = items.get(name) ?? policyItem(name);
    const { yaml } = model.policies[i]!;
    if (yaml !== undefined) write(item.querySelector<HTMLElement>("pre")!, yaml);
    // To move an item that is in its place would take the focus out of it.
    const at = names.indexOf(name);
    if (list.querySelectorAll("[data-policy]")[at] !== item) list.insertBefore(item, list.querySelectorAll("[data-policy]")[at] ?? null);
  }
}

function policyItem(name: string): HTMLElement {
  const item = document.createElement("li");
  item.dataset["policy"] = name;
  const remove = button(said.delete, () => {});
  remove.dataset["deletePolicy"] = name;
  remove.setAttribute("aria-label", `${said.delete} ${name}`);
  const insert = button(said.insert, () => {});
  insert.dataset["insert"] = "";
  const yaml = make("pre");
  yaml.tabIndex = 0;
  const summary = make("summary");
  summary.append(make("code", name));
  const details = make("details", "");
  details.append(summary, yaml, insert);
  item.append(details, remove);
  return item;
}

/** A way back, with what it goes back from. */
interface Offer {
  message: string;
  label: string;
  back: () => void;
}

/** Offers a way back in the line; null takes the offer away. */
function renderOffer(line: HTMLElement, offer: Offer | null): void {
  const focused = line.contains(document.activeElement);
  line.replaceChildren();
  if (!offer) {
    if (focused) focusOn(line);
    return;
  }
  const back = button(offer.label, offer.back);
  line.append(`${offer.message} `, back);
}

/** The line of the text at which the policy's own text begins; undefined where it is not in it. */
function placeIn(text: string, yaml: string): number | undefined {
  const at = text.indexOf(yaml.trimEnd());
  return at < 0 ? undefined : text.slice(0, at).split("\n").length;
}

// The code block that stands nearest before the button.
function codeBefore(button: Element): string | undefined {
  const before = [...document.querySelectorAll("pre")].filter(
    (pre) => button.compareDocumentPosition(pre) & Node.DOCUMENT_POSITION_PRECEDING,
  );
  return before.at(-1)?.textContent?.replace(/\n*$/, "\n");
}

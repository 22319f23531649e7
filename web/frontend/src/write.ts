// Where policies are written: the files, the editor, and Apply with what it would do.

import type { Actions } from "./actions";
import { busy, find, make, refill, write } from "./dom";
import { mountFiles, offer } from "./files";
import * as keep from "./keep";
import * as sentences from "./sentences";
import type { Refused, State, Store } from "./state";
import { planOf } from "./workspace/plan";
import { fileNamed, fileOf } from "./workspace/workspace";

export function mountWrite(root: HTMLElement, store: Store, actions: Actions): void {
  const textarea = find<HTMLTextAreaElement>(root, "policy");
  const text = (): string => fileOf(store.get().workspace, store.get().active)?.text ?? "";
  mountFiles(root, store, actions);
  mountApply(root, store, actions);

  // Until the editor is there, and where it cannot be had, the text area edits the file.
  textarea.value = text();
  textarea.addEventListener("input", () => {
    const file = store.get().active ?? "";
    if (!actions.arrive(file, textarea.value)) actions.edit(file, textarea.value);
  });
  store.watch((now, before) => {
    if (now.workspace.files === before.workspace.files && now.active === before.active) return;
    if (textarea.value !== text()) textarea.value = text();
  });
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
  // The editor is what a page weighs most: it comes when its place is in view, which it is
  // not where a phone shows another, or when something is to be shown in it.
  let wanted = false;
  const want = async (): Promise<void> => {
    if (wanted) return;
    wanted = true;
    seen.disconnect();
    const { mountEditor } = await import("./editor/editor");
    await new Promise((later) => setTimeout(later)); // to make it ready was work enough at a time
    mountEditor(textarea, nonce, store, actions);
  };
  const seen = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && void want());
  seen.observe(textarea.form!);
  store.watch((now, before) => {
    if (now.place !== before.place) void want();
  });

  document.addEventListener("click", (e) => {
    const target = e.target as Element;
    // The way to the editor ends in it, and not in front of its buttons.
    if (target.closest(".skips a[href='#write']")) {
      e.preventDefault();
      actions.goTo({ file: store.get().active ?? "", line: 0, column: 0 });
      if (!textarea.hidden) textarea.focus();
    }
    const insert = target.closest<HTMLElement>("[data-insert]");
    const code = insert && codeBefore(insert);
    if (code) {
      e.preventDefault();
      if (insert.dataset["insert"] === "all") actions.replaceAll(code, "The solution is in the workspace; nothing is applied yet.");
      else actions.draft(code);
      actions.goTo({ file: store.get().active ?? "", line: 0, column: 0 });
    }
    const place = target.closest<HTMLElement>("[data-show-policy]");
    const file = place && fileNamed(store.get().workspace, place.dataset["showPolicy"] ?? "");
    if (file) actions.goTo({ file: file.id, line: Number(place.dataset["line"]), column: Number(place.dataset["column"]) });
  });

  mountKeeping(root, store);
}

function mountApply(root: HTMLElement, store: Store, actions: Actions): void {
  const apply = find<HTMLButtonElement>(root, "apply");
  const plan = find(root, "plan");
  const problems = find(root, "problems");
  const applied = find(root, "applied");

  find<HTMLFormElement>(root, "policy-form").addEventListener("submit", (e) => {
    e.preventDefault();
    void busy(apply, actions.apply);
  });

  function renderPlan({ workspace }: State): void {
    const now = planOf(workspace);
    write(plan, sentences.plan(now));
    plan.classList.toggle("deletes", now.deleted.length > 0);
  }

  store.watch((now, before) => {
    if (now.workspace.files !== before.workspace.files) renderPlan(now);
    if (now.applying !== before.applying) apply.ariaBusy = apply.ariaDisabled = now.applying ? "true" : null;
    if (now.refused !== before.refused) renderProblems(problems, now, (p) => actions.goTo(p));
    if (now.applied !== before.applied) {
      if (now.applied) offer(applied, apply, [sentences.applied(now.applied.plan), ...now.applied.notInForce].join(" "), "Take it back", () => void actions.takeBack());
      else refill(applied, apply);
    }
    // Another change has come: there is nothing of this page's own to take back any more.
    if (now.applied && !now.applying && now.model.policiesChange > now.applied.change) store.update({ applied: undefined });
  });
  renderPlan(store.get());
}

/** Says what was wrong. Problems with a place lead there. */
function renderProblems(box: HTMLElement, { refused, workspace }: State, goTo: (p: Refused["problems"][number]) => void): void {
  box.replaceChildren();
  if (!refused) return;
  box.append(make("p", refused.message));
  if (refused.problems.length === 0) return;
  const files = new Set(refused.problems.map((p) => p.file));
  const list = make("ul");
  for (const p of refused.problems) {
    const item = make("li");
    const file = fileOf(workspace, p.file);
    if (p.line > 0 && file) {
      const link = make("a", `${files.size > 1 ? `${sentences.fileName(file)}, ` : ""}line ${p.line}, column ${p.column}`);
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

/** Keeps the workspace over a reload, and says once where that cannot be done. */
function mountKeeping(root: HTMLElement, store: Store): void {
  const lab = root.dataset["lab"] ?? "";
  const line = find(root, "kept");
  let timer: ReturnType<typeof setTimeout> | undefined;
  let kept = store.get().workspace;

  function save(): void {
    clearTimeout(timer);
    timer = undefined;
    const { workspace } = store.get();
    if (workspace === kept) return;
    kept = workspace;
    store.update({ unkept: keep.save(lab, workspace) });
  }

  store.watch((now, before) => {
    if (now.workspace !== kept) timer ??= setTimeout(save, 300);
    if (now.unkept !== before.unkept) write(line, now.unkept ?? "");
  });
  // A page that is hidden may not come back.
  document.addEventListener("visibilitychange", () => document.hidden && save());
  addEventListener("pagehide", save);
}

// The code block that stands nearest before the button.
function codeBefore(button: Element): string | undefined {
  const before = [...document.querySelectorAll("pre")].filter(
    (pre) => button.compareDocumentPosition(pre) & Node.DOCUMENT_POSITION_PRECEDING,
  );
  return before.at(-1)?.textContent?.replace(/\n*$/, "\n");
}

// Policies in and out: files and zips, by a button or dropped on the page, and links.

import type { Actions } from "../actions";
import * as api from "../api";
import { ask, confirm } from "../confirm";
import { busy, find, make } from "../dom";
import { download } from "../export";
import { showView } from "../frame";
import type { Store } from "../state";
import { documents, headOf, joined } from "../workspace/text";
import { Unreadable } from "./bytes";
import { policiesIn, toZip, type Named } from "./import";
import { fromFragment, isShared, toFragment, type Shared } from "./link";
import { mostArchive } from "./zip";

export function mountShare(root: HTMLElement, store: Store, actions: Actions): void {
  const lab = root.dataset["lab"] ?? "";
  const said = find(root, "in-out-said");
  const input = find<HTMLInputElement>(root, "import-files");
  find(root, "files-in-out").hidden = false;

  function tell(sentences: string[], ...more: Node[]): void {
    said.replaceChildren(...sentences.map((s) => make("p", s)), ...more);
  }

  /** The policies of the workspace, each one document. */
  const texts = (): string[] => store.get().workspace.files.filter((f) => !f.removed).flatMap((f) => documents(f.text));

  // --- In ---

  find(root, "import").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = ""; // The same file can be chosen again.
    void take(files);
  });

  async function take(files: File[]): Promise<void> {
    const named: Named[] = [];
    const large: string[] = [];
    for (const file of files.slice(0, 100)) {
      if (file.size > mostArchive) large.push(`${file.name} is longer than the lab takes.`);
      else named.push({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
    }
    showView("history"); // where it is told what came of it
    const { policies, notes } = await policiesIn(named);
    if (policies.length > 0) actions.bring(joined(policies));
    const count = policies.length === 1 ? "One policy is" : `${policies.length} policies are`;
    tell([policies.length === 0 ? "There was no policy in that." : `${count} in the workspace now, as drafts. Nothing is applied until you press Apply.`, ...large, ...notes]);
  }

  // Files can be dropped anywhere on the page: left to itself, a browser would open them in its place.
  const holdsFiles = (e: DragEvent): boolean => e.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragover", (e) => {
    if (!holdsFiles(e)) return;
    e.preventDefault();
    root.classList.add("dropping");
  });
  addEventListener("dragleave", (e) => e.relatedTarget === null && root.classList.remove("dropping"));
  addEventListener("drop", (e) => {
    root.classList.remove("dropping");
    if (!holdsFiles(e)) return;
    e.preventDefault();
    void take([...(e.dataTransfer?.files ?? [])]);
  });

  // --- Out ---

  find(root, "export").addEventListener("click", (e) => {
    void busy(e.currentTarget as HTMLElement, async () => {
      const all = texts();
      if (all.length === 0) return tell(["There is no policy in the workspace yet."]);
      download(new Blob([await toZip(all)], { type: "application/zip" }), "policies.zip");
      tell([`The zip has ${all.length === 1 ? "one policy" : `${all.length} policies`}, each in a file of its own.`]);
    });
  });

  find(root, "share").addEventListener("click", (e) => {
    void busy(e.currentTarget as HTMLElement, async () => {
      const all = texts();
      if (all.length === 0) return tell(["There is no policy in the workspace yet."]);
      try {
        // A lab of one's own is not everybody's, and comes along.
        const own = lab.startsWith("own-") ? { topology: await api.ownLab(lab) } : {};
        const url = new URL(own.topology === undefined ? `/workbench?lab=${encodeURIComponent(lab)}` : "/labs", location.href);
        url.hash = await toFragment({ lab, files: all, ...own });
        await give(url.href);
      } catch (error) {
        if (!(error instanceof Unreadable || error instanceof api.Refusal)) throw error;
        tell([error.message]);
      }
    });
  });

  async function give(link: string): Promise<void> {
    const privacy = "Whoever opens it sees these policies as drafts in a lab of their own. All of it is in the link itself and kept nowhere else.";
    try {
      await navigator.clipboard.writeText(link);
      tell([`The link is copied. ${privacy}`]);
    } catch {
      // Not every browser lets a page copy, and none where the connection is not encrypted.
      const field = make("input");
      field.readOnly = true;
      field.value = link;
      field.setAttribute("aria-label", "The link");
      tell([`Copy this link. ${privacy}`], field);
      field.select();
    }
  }

  // --- A link that was opened ---

  async function open(): Promise<void> {
    const fragment = location.hash;
    if (!isShared(fragment)) return;
    // Gone from the address, so that a reload does not ask again.
    history.replaceState(history.state, "", location.pathname + location.search);
    try {
      const shared = await fromFragment(fragment);
      const names = shared.files.flatMap((text) => documents(text)).map((text) => headOf(text).name ?? "one without a name");
      if (names.length === 0) return tell(["The link brought no policy."]);
      const list = names.length > 8 ? `${names.slice(0, 8).join(", ")} and ${names.length - 8} more` : names.join(", ");
      const right = shared.lab === lab ? undefined : await addressOf(shared);
      const elsewhere = shared.lab === lab ? "" : ` It was made in another lab${right === undefined ? ", which is not here" : ""}, so the policies may name what this one has not.`;
      const answer = await ask(
        names.length === 1 ? "Open the policy of this link?" : `Open the ${names.length} policies of this link?`,
        `It brings ${list}.${elsewhere} They come into your workspace as drafts; nothing is applied until you press Apply.`,
        right === undefined ? ["Open as drafts"] : ["Open them here", "Go to their lab"],
      );
      if (answer === undefined) return tell(["The link was not opened. Nothing has changed."]);
      if (answer === 1) return location.assign(right + fragment);
      actions.bring(joined(shared.files));
      actions.goTo({ file: store.get().active ?? "", line: 0, column: 0 });
      tell(["The link's policies are in the workspace, as drafts."]);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      tell([`${error.message} Nothing has changed.`]);
      await confirm("This link cannot be opened", `${error.message} Nothing has changed.`, "Go on");
    }
  }

  /** Where the lab is that the link was made in, without what it brings; undefined where that is not known. */
  async function addressOf(shared: Shared): Promise<string | undefined> {
    if (shared.topology !== undefined) return "/labs";
    return (await api.hasLab(shared.lab)) ? `/workbench?lab=${encodeURIComponent(shared.lab)}` : undefined;
  }
  addEventListener("hashchange", () => void open());
  void open();
}

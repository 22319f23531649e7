// A link that brings a learner's own lab along: the lab comes into the form that labs are
// made with, and its policies wait in the address until there is a workbench to open them.

import { button, make } from "../dom";
import { Unreadable } from "./bytes";
import { fromFragment, isShared, type Shared } from "./link";

/** Offers the lab of the page's address, if a link has brought one. */
export async function offerLab(): Promise<void> {
  const fragment = location.hash;
  if (!isShared(fragment)) return;
  let shared: Shared;
  try {
    shared = await fromFragment(fragment);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return tell("This link cannot be opened", `${error.message} Nothing has changed.`);
  }
  const workbench = `/workbench?lab=${encodeURIComponent(shared.lab)}`;
  if (shared.topology === undefined) return location.replace(workbench + fragment);
  fill(shared.topology, fragment);
  const count = shared.files.length;
  const policies = count === 0 ? "" : count === 1 ? " Then the policy that it brings, too, is shown to you as a draft." : ` Then the ${count} policies that it brings, too, are shown to you as drafts.`;
  const own = [...document.querySelectorAll<HTMLAnchorElement>(".own-labs a")].find((a) => a.getAttribute("href") === workbench);
  if (own) {
    const open = make("a", `Open “${own.textContent}”`, "button primary");
    open.href = workbench + fragment;
    return tell("A link to a lab that you have", `You have the lab of this link already.${policies}`, open);
  }
  const look = make("a", "Look at the lab", "button primary");
  look.href = "#lab-yaml";
  look.addEventListener("click", (e) => {
    // To go by the address would lose what the link brings.
    e.preventDefault();
    const yaml = document.getElementById("lab-yaml")!;
    yaml.scrollIntoView({ block: "center" });
    yaml.focus({ preventScroll: true });
  });
  const leave = button("Leave it", () => location.replace("/labs"));
  tell("A link has brought a lab", `It is in the form under “Make a lab”, and nothing is kept yet. “Keep it and open it” there makes it one of yours.${policies}`, look, leave);
}

/** Puts the lab into the form, unless the form has come back with it. */
function fill(topology: string, fragment: string): void {
  const yaml = document.getElementById("lab-yaml") as HTMLTextAreaElement;
  if (!document.querySelector("#looks, .lab-problems")) yaml.value = topology;
  // A redirect goes on with what stands behind the # of the form's address.
  yaml.form!.action = `/labs${fragment}`;
  for (const look of yaml.form!.querySelectorAll<HTMLButtonElement>("[formaction]")) look.formAction = `/labs${fragment}`;
}

function tell(head: string, sentence: string, ...more: HTMLElement[]): void {
  document.getElementById("shared-lab")?.remove();
  const box = make("section", "", "shared-lab");
  box.id = "shared-lab";
  const title = make("h2", head);
  title.tabIndex = -1;
  box.append(title, make("p", sentence));
  if (more.length > 0) {
    const row = make("div", "", "buttons");
    row.append(...more);
    box.append(row);
  }
  document.querySelector("main .lead")!.after(box);
  title.focus();
}

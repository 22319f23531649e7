// A conflict's two texts beside each other, in a dialog that the decision can be made in.

import { button, focusOn, make } from "./dom";
import { beside, type Line } from "./history/compare";

export interface Both {
  /** What the policy is called. */
  name: string;
  mine: { head: string; text: string };
  theirs: { head: string; text: string };
  /** What each button says. */
  keep: string;
  take: string;
}

/** Shows the texts until something is decided: true keeps mine, false takes theirs, undefined decides nothing. */
export function showBoth(both: Both, until: AbortSignal): Promise<boolean | undefined> {
  const dialog = make("dialog", "", "both");
  dialog.setAttribute("aria-labelledby", "both-title");
  const title = make("h2", `Both texts of ${both.name}`);
  title.id = "both-title";
  const pairs = beside(both.mine.text, both.theirs.text);
  const texts = make("div", "", "both-texts");
  texts.append(column(both.mine.head, pairs.map((p) => p[0])), column(both.theirs.head, pairs.map((p) => p[1])));
  const row = make("div", "", "buttons");
  row.append(
    button("Back to the editor", () => dialog.close()),
    button(both.keep, () => dialog.close("mine")),
    button(both.take, () => dialog.close("theirs")),
  );
  dialog.append(title, make("p", "A + marks a line that only that text has.", "detail"), texts, row);
  document.body.append(dialog);
  dialog.showModal();
  focusOn(title);
  until.addEventListener("abort", () => dialog.close());
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "" ? undefined : dialog.returnValue === "mine");
    });
  });
}

/** One of the texts. Where it has no line beside the other's, its column has a gap. */
function column(head: string, lines: readonly (Line | undefined)[]): HTMLElement {
  const part = make("section");
  const title = make("h3", head);
  const text = make("pre");
  text.tabIndex = 0;
  text.setAttribute("aria-label", head);
  text.setAttribute("role", "group");
  for (const line of lines) {
    if (line === undefined) {
      const gap = make("span", "\n", "gap");
      gap.setAttribute("aria-hidden", "true");
      text.append(gap);
      continue;
    }
    const alone = line.what !== "same";
    text.append(make(alone ? "mark" : "span", `${alone ? "+" : " "} ${line.text}\n`));
  }
  part.append(title, text);
  return part;
}

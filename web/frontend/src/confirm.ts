import { button, make } from "./dom";

/** Asks a yes-or-no question in a modal dialog; leaving it means no. */
export function confirm(question: string, explanation: string, yes: string): Promise<boolean> {
  const dialog = make("dialog");
  dialog.setAttribute("aria-labelledby", "confirm-question");
  dialog.setAttribute("aria-describedby", "confirm-explanation");
  const title = make("h2", question);
  title.id = "confirm-question";
  const text = make("p", explanation);
  text.id = "confirm-explanation";
  const cancel = button("Cancel", () => dialog.close(""));
  cancel.autofocus = true;
  const agree = button(yes, () => dialog.close("yes"));
  agree.className = "primary";
  const actions = make("div");
  actions.className = "buttons";
  actions.append(cancel, agree);
  dialog.append(title, text, actions);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

import { button, make } from "./dom";

/** Asks a yes-or-no question in a modal dialog; leaving it means no. */
export async function confirm(question: string, explanation: string, yes: string): Promise<boolean> {
  return (await ask(question, explanation, [yes])) === 0;
}

/** Asks a question with answers, of which the last is what leads on; undefined where it is left without one. */
export function ask(question: string, explanation: string, answers: readonly string[]): Promise<number | undefined> {
  const dialog = make("dialog");
  dialog.setAttribute("aria-labelledby", "confirm-question");
  dialog.setAttribute("aria-describedby", "confirm-explanation");
  const title = make("h2", question);
  title.id = "confirm-question";
  const text = make("p", explanation);
  text.id = "confirm-explanation";
  const cancel = button("Cancel", () => dialog.close(""));
  cancel.autofocus = true;
  const buttons = answers.map((answer, i) => button(answer, () => dialog.close(String(i))));
  buttons.at(-1)!.className = "primary";
  const actions = make("div");
  actions.className = "buttons";
  actions.append(cancel, ...buttons);
  dialog.append(title, text, actions);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "" ? undefined : Number(dialog.returnValue));
    });
  });
}

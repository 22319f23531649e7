// The line that says what Apply would do, before it does it, beside its button.

import { button, find, make, show, write } from "./dom";
import { show as showPlace } from "./frame";
import { sentence } from "./previewtext";
import type { State, Store } from "./state";

/** How long the line must stay as it is until it is read aloud, in milliseconds. */
const quiet = 1200;

export function mountPreview(root: HTMLElement, store: Store): void {
  const apply = find(root, "apply");
  const line = make("p");
  line.className = "preview";
  line.id = "preview";
  const only = button("Only what changes", () => {
    store.update({ onlyChanges: !store.get().onlyChanges });
    if (store.get().onlyChanges) showPlace("see");
  });
  only.className = "quiet";
  only.hidden = true;
  // Every key may change the line, so what is read aloud is only what it comes to.
  const aloud = make("p");
  aloud.className = "visually-hidden";
  aloud.setAttribute("role", "status");
  apply.parentElement!.prepend(line, aloud);
  apply.before(only);
  let later: ReturnType<typeof setTimeout> | undefined;

  function render(state: State): void {
    const { text, level } = sentence(state);
    if (line.textContent !== text) line.replaceChildren(...coloured(text));
    line.dataset["level"] = level;
    const changes = (state.analysis?.changes?.length ?? 0) > 0;
    show(only, changes || state.onlyChanges, apply);
    only.setAttribute("aria-pressed", String(state.onlyChanges));
    clearTimeout(later);
    later = setTimeout(() => write(aloud, text), quiet);
  }

  store.watch((now, before) => {
    if (now.analysis !== before.analysis || now.unanswered !== before.unanswered || now.onlyChanges !== before.onlyChanges || now.model.state !== before.model.state || now.workspace.files !== before.workspace.files) render(now);
  });
}

/** The sentence with its numbers in the colours of what they count. */
function coloured(text: string): (string | HTMLElement)[] {
  const out: (string | HTMLElement)[] = [];
  let at = 0;
  for (const m of text.matchAll(/\d+(?: flows?)? would (open|close)/g)) {
    out.push(text.slice(at, m.index));
    const b = make("b", m[0]);
    b.dataset["way"] = m[1]!;
    out.push(b);
    at = m.index + m[0].length;
  }
  return [...out, text.slice(at)];
}

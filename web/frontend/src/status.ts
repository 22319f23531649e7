// How the sandbox is: the status line, the steps of its start, the buttons that begin and
// end it, and the connection that its events come by.

import type { Actions } from "./actions";
import { find, focusOn, make, onSubmit, show, write } from "./dom";
import type { Connection } from "./feed";
import type { Model, PageState } from "./model";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";
import type { State, Store } from "./state";

const startable: PageState[] = ["none", "stopped", "failed"];
const resettable: PageState[] = ["ready", "paused", "failed"];
const stoppable: PageState[] = ["queued", "creating", "ready", "paused"];

export function mountStatus(root: HTMLElement, store: Store, actions: Actions): void {
  const simulated = root.dataset["simulated"] !== undefined;
  const unavailable = root.querySelector("#unavailable") !== null;
  const status = find(root, "status");
  // The same behind the chip, where it is read when asked for and not spoken.
  const behindChip = root.querySelector<HTMLElement>("#sandbox .said");
  const steps = find(root, "steps");
  const [start, reset, stop] = ["start", "reset", "stop"].map((id) => find<HTMLFormElement>(root, id)) as [HTMLFormElement, HTMLFormElement, HTMLFormElement];
  const ends = find(root, "ends");
  const bar = root.querySelector<HTMLElement>("#start-bar");
  const apply = find(root, "apply");
  // These are in the bar and in the line below, outside of the lab.
  const connection = find(document.body, "connection");
  const word = find(document.body, "state-chip").querySelector("b")!;
  const inForce = document.getElementById("in-force");
  const agreement = document.getElementById("agreement");

  onSubmit(start, actions.start);
  onSubmit(reset, actions.reset);
  onSubmit(stop, actions.stop);
  onSubmit(find<HTMLFormElement>(root, "extend"), actions.extend);

  let clock: ReturnType<typeof setInterval> | undefined;

  function tick(): void {
    const { model, ahead } = store.get();
    if (ahead !== undefined) renderClock(steps, model, Date.now() - ahead);
  }

  function render({ model, problem }: State): void {
    const sentence = problem ?? sentences.status(model, simulated, unavailable);
    write(status, sentence);
    if (behindChip) write(behindChip, sentence);
    write(word, unavailable && model.state === "none" ? said.noPlace : said.words[model.state]);
    if (inForce) write(inForce, model.state === "ready" ? sentences.inForce(model.policies.length) : "");
    // Where the lab simulates, there is nothing that could disagree.
    if (agreement) write(agreement, simulated ? "" : sentences.agreement(model));
    const canStart = startable.includes(model.state) && !unavailable;
    show(start, canStart, status);
    if (bar) show(bar, canStart, status);
    if (bar) write(bar.querySelector("p")!, said.words[model.state]);
    // One button leads on: until there is a sandbox, that is Start.
    apply.classList.toggle("primary", !canStart);
    show(reset, resettable.includes(model.state), status);
    show(stop, stoppable.includes(model.state), status);
    // Once it is ready, the line gives way to what is seen, and so does the keyboard's place.
    if (model.state === "ready" && document.activeElement === status) focusOn(find(root, "see"));
    const ending = sentences.ending(model);
    write(ends.querySelector("span")!, ending);
    show(ends, ending !== "", find(root, "see"));
    renderSteps(steps, model);
    tick();
    // The clock goes as long as there is a step to time.
    if (!model.steps.some((s) => s.status === "running")) {
      clearInterval(clock);
      clock = undefined;
    } else clock ??= setInterval(tick, 100);
  }

  store.watch((now, before) => {
    if (now.model !== before.model || now.problem !== before.problem) render(now);
    if (now.connection !== before.connection) {
      connection.dataset["connection"] = root.dataset["connection"] = now.connection.now;
      write(connection, connectionSentence(now.connection.now, now.connection.message));
    }
  });
}

function connectionSentence(now: Connection, message: string): string {
  const text: Record<Connection, string> = {
    idle: "",
    connecting: "Connecting…",
    live: "Live.",
    retrying: navigator.onLine ? "The connection is lost. Connecting again…" : "You are offline. The picture goes on when the network is back.",
    refused: message || "The lab has no place for this page at the moment. Trying again…",
    paused: "Paused while this page is hidden.",
  };
  return text[now];
}

/** Draws how long the running step has taken by now, in the server's time. */
function renderClock(steps: HTMLElement, model: Model, now: number): void {
  for (const step of model.steps) {
    if (step.status !== "running" || step.since === undefined) continue;
    const elapsed = steps.querySelector<HTMLElement>(`[data-step="${step.index}"] .elapsed`);
    if (elapsed) write(elapsed, sentences.elapsed(now - step.since));
  }
}

function renderSteps(list: HTMLElement, model: Model): void {
  const wanted = new Set(model.steps.map((s) => String(s.index)));
  for (const item of list.querySelectorAll<HTMLElement>("[data-step]")) {
    if (!wanted.has(item.dataset["step"]!)) item.remove();
  }
  for (const step of model.steps) {
    let item = list.querySelector<HTMLElement>(`[data-step="${step.index}"]`);
    if (!item) {
      item = make("li");
      item.dataset["step"] = String(step.index);
      const elapsed = make("span");
      elapsed.className = "elapsed";
      item.append(`${step.name} `, elapsed);
      const next = [...list.querySelectorAll<HTMLElement>("[data-step]")].find((i) => Number(i.dataset["step"]) > step.index);
      list.insertBefore(item, next ?? null);
    }
    if (item.dataset["status"] !== step.status) item.dataset["status"] = step.status;
    if (step.status === "running") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    const elapsed = item.querySelector<HTMLElement>(".elapsed");
    if (elapsed && step.status !== "running") {
      write(elapsed, step.elapsedMillis === undefined ? "" : sentences.elapsed(step.elapsedMillis));
    }
  }
}

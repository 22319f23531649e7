// The lab's page: brings editor, matrix, buttons and events together. Without
// this script the page's forms do the same with a reload each.

import * as api from "./api";
import { confirm } from "./confirm";
import * as draft from "./draft";
import { enhance } from "./editor";
import type { SandboxEvent } from "./events.gen";
import * as exercise from "./exercise";
import { Feed, type Connection } from "./feed";
import { Matrix } from "./matrix";
import { gone, nameOf, nothing, reduce, withTexts, type Model } from "./model";
import * as panel from "./panel";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";
import "./walkthrough";

const section = document.getElementById("lab");
if (section) run(section);

function run(section: HTMLElement): void {
  const lab = section.dataset["lab"] ?? "";
  const parts: panel.Parts = {
    status: find("status"),
    steps: find("steps"),
    start: find<HTMLFormElement>("start"),
    reset: find<HTMLFormElement>("reset"),
    stop: find<HTMLFormElement>("stop"),
    policies: find("policies"),
    deleteAll: find<HTMLFormElement>("delete-all"),
    replace: find<HTMLButtonElement>("replace"),
    settled: find("settled"),
    disagreement: find("disagreement"),
    simulated: section.dataset["simulated"] !== undefined,
  };
  const problems = find("problems");
  const applyButton = find<HTMLButtonElement>("apply");
  const connection = find("connection");
  const matrix = new Matrix(find<HTMLTableElement>("matrix"));

  let model: Model = nothing;
  /** The least that this machine's clock was seen ahead of the server's. */
  let ahead = Infinity;

  function render(news: boolean): void {
    section.dataset["state"] = model.state;
    section.dataset["change"] = String(model.change);
    panel.render(parts, model);
    matrix.render(model, news);
    offerPolicies();
    tick();
  }

  function tick(): void {
    if (ahead !== Infinity) panel.tick(parts.steps, model, Date.now() - ahead);
  }
  setInterval(tick, 100);

  // --- Events ---

  const feed = new Feed({
    connect(id, after) {
      const url = new URL(api.eventsPath(id, after), location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      return new WebSocket(url);
    },
    refused: api.refused,
    events(batch) {
      ahead = Math.min(ahead, Date.now() - Date.parse(batch.at(-1)!.time));
      model = batch.reduce(reduce, model);
      section.dataset["seq"] = String(batch.at(-1)!.seq);
      render(!batch.some((e: SandboxEvent) => e.type === "snapshot"));
      if (batch.some((e: SandboxEvent) => e.type === "settled")) exercise.settled();
      if (batch.some((e: SandboxEvent) => e.type === "snapshot" || e.type === "policies")) void inForce();
      if (model.state === "stopped") feed.stop();
    },
    connection: sayConnection,
    gone() {
      model = gone(model);
      render(false);
    },
  });

  function sayConnection(now: Connection, message = ""): void {
    connection.dataset["connection"] = now;
    const text: Record<Connection, string> = {
      idle: "",
      connecting: "Connecting…",
      live: "Live.",
      retrying: navigator.onLine
        ? "The connection is lost. Connecting again…"
        : "You are offline. The picture goes on when the network is back.",
      refused: message || "The lab has no place for this page at the moment. Trying again…",
      paused: "Paused while this page is hidden.",
    };
    if (connection.textContent !== text[now]) connection.textContent = text[now];
  }

  // A learner's tabs follow the same sandbox, also a new one.
  const tabs = new BroadcastChannel("netpol-lab");
  tabs.onmessage = ({ data }: MessageEvent<{ lab: string; sandbox: string }>) => {
    if (data.lab === lab) follow(data.sandbox);
  };

  function follow(id: string): void {
    section.dataset["sandbox"] = id;
    model = nothing;
    feed.follow(id);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? feed.hidden() : feed.wake()));
  addEventListener("online", () => feed.wake());
  addEventListener("pageshow", (e) => e.persisted && feed.wake());

  // --- The editor ---

  const textarea = find<HTMLTextAreaElement>("policy");
  // A text that the page was asked for neither gives way to the draft nor replaces it.
  const given = textarea.hasAttribute("data-given");
  const editor = enhance(textarea, {
    nonce: document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "",
    draft: given ? null : draft.load(lab),
    changed: (text) => given || draft.save(lab, text),
    apply: () => void apply(),
  });

  function showProblems(message: string, found: api.Problem[] = []): void {
    editor.showProblems(found);
    panel.renderProblems(problems, message, found, (p) => editor.goTo(p.line, p.column));
  }

  document.addEventListener("click", (e) => {
    const button = (e.target as Element).closest<HTMLElement>("[data-insert]");
    const code = button && codeBefore(button);
    if (!code) return;
    e.preventDefault();
    put(code);
    editor.reveal();
  });

  const keptLine = find("kept");
  /** The text that the page has put into the editor itself, of which nothing is to be kept. */
  let own: string | undefined;

  /** Puts the text into the editor, and offers the learner's own back. */
  function put(text: string): void {
    const old = editor.text();
    if (old !== own && old !== text && old.trim() !== "") keep(old);
    own = text;
    editor.replace(text);
  }

  function keep(text: string | null): void {
    draft.keep(lab, text);
    panel.renderOffer(
      keptLine,
      text === null
        ? null
        : {
            message: "Your text from before is kept.",
            label: "Bring it back",
            back() {
              keep(null);
              put(text);
              own = undefined;
              editor.reveal();
            },
          },
    );
  }

  keep(given ? null : draft.kept(lab));
  exercise.onBegin(put);

  document.addEventListener("click", (e) => {
    const button = (e.target as Element).closest<HTMLElement>("[data-show-policy]");
    if (button) void showPolicy(button);
  });

  async function showPolicy(button: HTMLElement): Promise<void> {
    const yaml = (await inForce()).find((p) => nameOf(p) === button.dataset["showPolicy"])?.yaml;
    if (!yaml) return;
    if (placeIn(editor.text(), yaml) === undefined) put(yaml);
    const first = placeIn(editor.text(), yaml) ?? 1;
    editor.reveal();
    editor.goTo(first + Number(button.dataset["line"]) - 1, Number(button.dataset["column"]));
  }

  // A policy's text that could not be read before is asked for once more.
  parts.policies.addEventListener("toggle", () => void inForce(), { capture: true });

  // --- Actions ---

  /** Runs the action unless the button's last one still runs; says what went wrong. */
  async function act(button: HTMLElement | null, action: () => Promise<void>, refused: (r: api.Refusal) => void): Promise<void> {
    if (!button || button.ariaBusy === "true") return;
    // A disabled button would lose the focus.
    button.ariaBusy = button.ariaDisabled = "true";
    try {
      await action();
    } catch (error) {
      if (!(error instanceof api.Refusal)) throw error;
      refused(error);
    } finally {
      button.ariaBusy = button.ariaDisabled = null;
    }
  }

  const sandbox = (): string => section.dataset["sandbox"] ?? "";
  const tell = (r: api.Refusal): void => showProblems(r.message, r.problems);
  const tellStatus = (r: api.Refusal): void => {
    parts.status.textContent = r.message;
  };

  let reads = 0;
  /** Reads the texts of the policies in force, which events leave out. */
  async function readTexts(): Promise<void> {
    const [id, number] = [sandbox(), ++reads];
    const read = await api.policies(id).catch(() => []);
    if (id !== sandbox() || number !== reads) return;
    model = withTexts(model, read);
    render(false);
    offerPolicies();
  }

  /** The policies in force with their texts, to go back to. */
  async function inForce(): Promise<Model["policies"]> {
    if (model.policies.some((p) => p.yaml === undefined)) await readTexts();
    return model.policies;
  }

  /** Applies the editor's text, or with prune makes it all that is in force. */
  async function apply(prune = false): Promise<void> {
    await act(
      prune ? parts.replace : applyButton,
      async () => {
        if (model.state !== "ready") throw new api.Refusal(notReady(model));
        exercise.change();
        const before = await inForce();
        const change = await api.apply(sandbox(), editor.text(), prune);
        showProblems("");
        if (prune) lost = { change, before };
        offerPolicies();
      },
      tell,
    );
  }

  async function remove(policy?: string): Promise<void> {
    exercise.change();
    const before = await inForce();
    lost = { change: await api.deletePolicies(sandbox(), policy), before };
    offerPolicies();
  }

  const undoLine = find("undo");
  /** The last change that did away with policies, with those that were in force before. */
  let lost: { change: number; before: Model["policies"] } | undefined;
  let offered: typeof lost;

  /** Offers to put back what the last change did away with, until there is another one. */
  function offerPolicies(): void {
    if (lost && model.change > lost.change) lost = undefined;
    if (model.policies.some((p) => p.yaml === undefined)) return; // until they are read
    const gone = lost && model.change === lost.change ? lost.before.filter((p) => !model.policies.some((q) => q.yaml === p.yaml && nameOf(q) === nameOf(p))) : [];
    const now = gone.length > 0 ? lost : undefined;
    if (now === offered) return;
    offered = now;
    const still = new Set(model.policies.map(nameOf));
    panel.renderOffer(
      undoLine,
      now
        ? {
            message: sentences.gone(gone.map(nameOf).filter((n) => !still.has(n)), gone.map(nameOf).filter((n) => still.has(n))),
            label: gone.length > 1 ? "Put them back" : "Put it back",
            back: () => void act(undoLine, async () => void (await api.apply(sandbox(), now.before.map((p) => p.yaml).join("\n---\n"), true)), tell),
          }
        : null,
    );
  }

  function onSubmit(form: HTMLFormElement, submit: (button: HTMLElement | null) => Promise<void>): void {
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      void submit(e.submitter ?? form.querySelector<HTMLElement>("button"));
    });
  }

  async function begin(id: string): Promise<void> {
    tabs.postMessage({ lab, sandbox: id });
    follow(id);
  }

  onSubmit(find<HTMLFormElement>("policy-form"), (b) => apply(b === parts.replace));
  onSubmit(parts.start, (b) =>
    act(
      b,
      async () => {
        const id = await api.start(lab).catch(async (error: unknown) => {
          if (!(error instanceof api.Refusal) || error.instead === undefined) throw error;
          const agreed = await confirm(said.instead, error.message, said.insteadButton);
          return agreed ? api.start(lab, error.instead) : undefined;
        });
        if (id !== undefined) await begin(id);
      },
      tellStatus,
    ),
  );
  onSubmit(parts.stop, (b) => act(b, () => api.stop(sandbox()), tellStatus));
  onSubmit(parts.deleteAll, (b) => act(b, () => remove(), tell));
  onSubmit(parts.reset, async (b) => {
    const question = "Throw this cluster away and make a fresh one?";
    const explanation = "Its policies go with it. The text in the editor stays.";
    if (!(await confirm(question, explanation, "Reset"))) return;
    await act(b, async () => begin(await api.reset(sandbox())), tellStatus);
  });
  parts.policies.addEventListener("click", (e) => {
    const button = (e.target as Element).closest<HTMLElement>("[data-delete-policy]");
    if (!button) return;
    e.preventDefault();
    void act(button, () => remove(button.dataset["deletePolicy"]), tell);
  });

  if (sandbox()) feed.follow(sandbox());
  if (document.hidden) feed.hidden();
}

/** The line of the text at which the policy's own text begins; undefined where it is not in it. */
function placeIn(text: string, yaml: string): number | undefined {
  const at = text.indexOf(yaml.trimEnd());
  return at < 0 ? undefined : text.slice(0, at).split("\n").length;
}

function notReady(model: Model): string {
  switch (model.state) {
    case "queued":
    case "creating":
      return "Your sandbox is not ready yet. Your text is kept; apply it when the last step is done.";
    default:
      return "There is no sandbox to apply this to. Press Start first; your text is kept.";
  }
}

// The code block that stands nearest before the button.
function codeBefore(button: Element): string | undefined {
  const before = [...document.querySelectorAll("pre")].filter(
    (pre) => button.compareDocumentPosition(pre) & Node.DOCUMENT_POSITION_PRECEDING,
  );
  return before.at(-1)?.textContent?.replace(/\n*$/, "\n");
}

function find<E extends HTMLElement = HTMLElement>(id: string): E {
  const e = document.getElementById(id);
  if (!e) throw new Error(`the page has no #${id}`);
  return e as E;
}

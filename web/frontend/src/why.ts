// The panel that says why the chosen flow is as it is: what was said, predicted and
// observed, the packet's way step by step, and the smallest change for the opposite.

import type { Actions } from "./actions";
import type { Place, Remedy, Why, WhyStep } from "./answers.gen";
import * as api from "./api";
import { button, focusOn, make, write } from "./dom";
import type { Verdict } from "./events.gen";
import { partsOf } from "./flow";
import { nameOf } from "./model";
import * as sentences from "./sentences";
import { said } from "./sentences.gen";
import type { State, Store } from "./state";
import * as words from "./whytext";
import { joined } from "./workspace/text";
import { fileNamed } from "./workspace/workspace";

/** What is in force, or what the draft would be. */
type About = "force" | "draft";

/** Everything that the panel draws. */
interface Seen {
  flow: string;
  predicted: Verdict | undefined;
  observed: Verdict | undefined;
  said: Verdict | undefined;
  differs: boolean;
  force: Why | undefined;
  draft: Why | undefined;
  problem: string | undefined;
  about: About;
  /** The policies with a place in the reasons that are files of the workspace. */
  files: readonly string[];
}

export function mountWhy(root: HTMLElement, store: Store, actions: Actions): void {
  const part = (name: string): HTMLElement => root.querySelector<HTMLElement>(`[data-why="${name}"]`)!;
  const panel = part("panel");
  const spoken = part("said");
  const empty = [...panel.childNodes].map((n) => n.cloneNode(true));

  /** The reason under the policies in force, and what it is of. */
  let force: { key: string; why: Why | undefined; problem: string | undefined } | undefined;
  let asking: AbortController | undefined;
  /** What the learner wants to read about, until another flow is chosen. */
  let wanted: About | undefined;
  let drawn = "";
  let shown: string | undefined;

  const keyOf = ({ sandbox, model, chosen }: State): string => (chosen && model.state === "ready" ? `${sandbox} ${model.change} ${model.policies.length} ${chosen}` : "");

  function ask(state: State): void {
    const key = keyOf(state);
    if (key === force?.key) return;
    asking?.abort();
    force = { key, why: undefined, problem: undefined };
    if (key === "") return;
    const question = (asking = new AbortController());
    api.why(state.sandbox, state.chosen!, question.signal).then(
      (why) => answered({ key, why, problem: undefined }),
      (error: unknown) => answered({ key, why: undefined, problem: error instanceof Error ? error.message : String(error) }),
    );
    function answered(answer: NonNullable<typeof force>): void {
      if (question.signal.aborted) return;
      force = answer;
      render(store.get());
    }
  }

  function seen(state: State): Seen | undefined {
    const { chosen: flow, model, analysis } = state;
    if (flow === undefined) return undefined;
    const draft = analysis?.why?.flow === flow ? analysis.why : undefined;
    const edited = draft !== undefined && (force?.why === undefined ? force?.key === "" : !words.sameWay(draft, force.why));
    const ready = model.state === "ready";
    const about: About = !ready ? "draft" : edited ? (wanted ?? "draft") : "force";
    const policies = new Set(((about === "draft" ? draft : force?.why)?.steps ?? []).flatMap((s) => s.places.map(nameOf)));
    return {
      flow,
      predicted: ready ? model.expected.get(flow) : undefined,
      observed: model.flows.get(flow)?.verdict,
      said: saidOf(flow, model.expected.get(flow)),
      differs: model.disagreement.some((d) => d.flow === flow),
      force: ready ? force?.why : undefined,
      draft: edited || !ready ? draft : undefined,
      problem: ready ? force?.problem : state.unanswered,
      about,
      files: [...policies].filter((name) => fileNamed(state.workspace, name) !== undefined),
    };
  }

  function render(state: State): void {
    const now = seen(state);
    const key = JSON.stringify(now ?? null);
    if (key === drawn) return;
    drawn = key;
    // Whoever closes it is at the connection again.
    const connection = (flow: string): HTMLElement | undefined =>
      [...root.querySelectorAll<HTMLElement>(`#see [data-flow="${CSS.escape(flow)}"]`)].find((e) => e.checkVisibility());
    const focused = panel.contains(document.activeElement);
    const name = focused ? (document.activeElement as HTMLElement).dataset["focus"] : undefined;
    if (!now) {
      panel.replaceChildren(...empty.map((n) => n.cloneNode(true)));
      write(spoken, "");
      if (focused) focusOn((shown && connection(shown)) || panel);
      return;
    }
    shown = now.flow;
    const why = now.about === "draft" ? now.draft : now.force;
    panel.replaceChildren(...draw(now, why));
    if (focused) ((name && panel.querySelector<HTMLElement>(`[data-focus="${name}"]`)) || close()).focus();
    if (why) write(spoken, words.spoken(now.flow, why));
  }

  const close = (): HTMLElement => panel.querySelector<HTMLElement>("[data-focus='close']")!;

  function draw(now: Seen, why: Why | undefined): HTMLElement[] {
    const out: HTMLElement[] = [];
    const verdict = now.about === "draft" ? now.draft?.verdict : (now.observed ?? now.force?.verdict);
    const head = make("div");
    head.className = "why-head";
    const title = make("h2", words.question(verdict, now.about === "draft"));
    const shut = button("×", () => actions.choose(undefined));
    shut.className = "quiet";
    shut.setAttribute("aria-label", "Close");
    shut.dataset["focus"] = "close";
    head.append(title, shut);
    out.push(head, flowLine(now.flow), voices(now));
    if (now.about === "force") out.push(make("p", measured(now.flow), "why-measured"));
    if (now.differs && now.predicted && now.observed) {
      const alarm = make("p", words.differ(now.predicted, now.observed));
      alarm.className = "why-differs";
      alarm.setAttribute("role", "alert");
      out.push(alarm);
    }
    if (now.draft && now.force) out.push(choice(now.about));
    if (why) {
      out.push(way(why.steps));
      if (why.remedy) out.push(remedy(why.remedy, why.verdict === "open"));
      else out.push(note(why.verdict === "open" ? "No NetworkPolicy can close it." : "No NetworkPolicy can open it."));
    } else if (now.problem) {
      const p = note(`The reasons could not be read. ${now.problem}`);
      const again = button("Try again", () => {
        force = undefined;
        ask(store.get());
      });
      again.dataset["focus"] = "again";
      p.append(" ", again);
      out.push(p);
    } else if (now.about === "draft") out.push(note("The draft has an error; once it is mended, you read here what it would do."));
    else out.push(note("Reading the reasons…"));
    return out;
  }

  /** What was measured of the flow, and how long ago it changed. */
  function measured(flow: string): string {
    const { model, ahead } = store.get();
    const turned = model.turned.get(flow);
    const ago = turned === undefined ? undefined : Math.max(0, Date.now() - (ahead ?? 0) - turned);
    return sentences.measured(model.flows.get(flow), { before: model.before.get(flow)?.verdict, ago, simulated: root.dataset["simulated"] !== undefined });
  }

  // What has changed since the panel was drawn is how long ago that was.
  setInterval(() => {
    const line = panel.querySelector<HTMLElement>(".why-measured");
    const { chosen } = store.get();
    if (line && chosen !== undefined) write(line, measured(chosen));
  }, 1000);

  /** Whether to read about what is in force or about the draft. */
  function choice(about: About): HTMLElement {
    const group = make("div");
    group.className = "seg";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Policies to explain by");
    for (const [value, label] of [["force", "In force"], ["draft", "Your draft"]] as const) {
      const b = button(label, () => {
        wanted = value;
        render(store.get());
      });
      b.setAttribute("aria-pressed", String(value === about));
      b.dataset["focus"] = value;
      group.append(b);
    }
    return group;
  }

  function way(steps: readonly WhyStep[]): HTMLElement {
    const list = make("ol");
    list.className = "way";
    for (const [i, s] of steps.entries()) {
      const item = make("li");
      item.dataset["ok"] = String(s.ok);
      const mark = make("span", s.ok === null ? "–" : s.ok ? "✓" : "✕");
      mark.className = "step-mark";
      mark.ariaHidden = "true";
      const result = make("span", s.ok === null ? "Not reached: " : s.ok ? "Passes: " : "Stops: ");
      result.className = "visually-hidden";
      const title = make("b");
      title.append(result, s.title);
      item.append(mark, title);
      if (s.text) item.append(make("p", s.text));
      if (s.places.length > 0) {
        const at = make("p");
        at.className = "at";
        for (const [j, place] of s.places.entries()) at.append(...(j > 0 ? [" "] : []), link(place, `${i}.${j}`));
        item.append(at);
      }
      list.append(item);
    }
    return list;
  }

  function link(place: Place, name: string): HTMLElement {
    const file = fileNamed(store.get().workspace, nameOf(place));
    if (!file) return make("code", words.placeName(place));
    const b = button(words.placeName(place), () => {
      actions.goTo({ file: file.id, line: place.line, column: place.column });
    });
    b.className = "place";
    b.title = `Open ${nameOf(place)} at line ${place.line}`;
    b.dataset["focus"] = name;
    return b;
  }

  function remedy(r: Remedy, open: boolean): HTMLElement {
    const box = make("div");
    box.className = "fix";
    const text = make("p");
    text.append(make("b", `${r.title}. `), r.text);
    const more = make("details");
    const files = r.files.length === 1 ? "the policy" : `the ${r.files.length} policies`;
    const yaml = make("pre", joined(r.files.map((f) => f.yaml)));
    yaml.tabIndex = 0;
    const summary = make("summary", `Show ${files}`);
    summary.dataset["focus"] = "show";
    more.append(summary, yaml);
    const put = button("Put it into the workspace", () => {
      actions.draft(joined(r.files.map((f) => f.yaml)));
      actions.goTo({ file: store.get().active ?? "", line: 0, column: 0 });
    });
    put.dataset["focus"] = "put";
    put.title = open ? "Nothing is closed until you press Apply" : "Nothing is opened until you press Apply";
    box.append(text, more, put);
    return box;
  }

  store.watch((now, before) => {
    if (now.chosen !== before.chosen) wanted = undefined;
    const asks = keyOf(now) !== keyOf(before);
    if (asks) ask(now);
    if (now.chosen === undefined && before.chosen === undefined) return;
    if (asks || now.chosen !== before.chosen || now.model !== before.model || now.analysis !== before.analysis || now.unanswered !== before.unanswered || now.workspace.files !== before.workspace.files) render(now);
  });
  panel.addEventListener("keydown", (e) => e.key === "Escape" && actions.choose(undefined));
}

function note(text: string): HTMLElement {
  const p = make("p", text);
  p.className = "note";
  return p;
}

function flowLine(flow: string): HTMLElement {
  const { from, to, port, via } = partsOf(flow);
  const line = make("p");
  line.className = "why-flow";
  line.append(make("code", from), " → ", make("code", `${to}:${port}`), ` ${via}`);
  return line;
}

/** What was said of the flow beforehand, predicted and observed, side by side. */
function voices(now: Seen): HTMLElement {
  const box = make("dl");
  box.className = "voices";
  const add = (who: string, verdict: Verdict | undefined, differs = false): void => {
    const one = make("div");
    if (differs) one.className = "differs";
    const value = make("dd");
    const flow = make("span", said.symbols[verdict ?? "none"]);
    flow.dataset["verdict"] = verdict ?? "none";
    flow.ariaHidden = "true";
    value.append(flow, ` ${said.verdicts[verdict ?? "none"]}`);
    one.append(make("dt", who), value);
    box.append(one);
  };
  if (now.said) add("you said", now.said);
  if (now.predicted) add("predicted", now.predicted, now.differs);
  if (now.observed) add("observed", now.observed, now.differs);
  if (now.draft && now.draft.verdict !== now.predicted) add("your draft", now.draft.verdict);
  return box;
}

/**
 * What the learner has predicted of the flow in an exercise of the page; undefined where
 * nothing is kept. A prediction is about a moment: once the policies make something else of
 * the flow than they did then, it says nothing of what is now.
 */
function saidOf(flow: string, expected: Verdict | undefined): Verdict | undefined {
  const kept = [...document.querySelectorAll<HTMLElement>(`[data-said-flow="${CSS.escape(flow)}"]`)];
  return kept.findLast((row) => row.dataset["saidThen"] === expected)?.dataset["saidVerdict"] as Verdict | undefined;
}

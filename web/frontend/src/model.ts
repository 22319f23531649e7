// What the page knows of its sandbox, and how each event changes it. Pure: no
// DOM, no clock, no network.

import type { Disagreed, Ending, Notice, Observation, Origin, PolicyChange, Predictions, Ref, SandboxEvent, Settled, State, Step, Verdict, Waiting } from "./events.gen";

/** The state of the page's sandbox; "none" where there is none. */
export type PageState = State | "none";

/** A step, and since when it runs by the server's clock, in milliseconds. */
export interface TimedStep extends Step {
  since?: number;
}

/** What a change of policies came to. */
export interface Summary extends Settled {
  /** How many flows ended at another verdict than before. */
  turned: readonly Turn[];
}

/** So many flows that went from one verdict to another. */
export interface Turn {
  from: Verdict;
  to: Verdict;
  count: number;
}

export interface Model {
  readonly state: PageState;
  readonly reason: string;
  /** Where it stands in the queue, as long as it is there. */
  readonly waiting: Waiting | undefined;
  /** When it ends, where that is near. */
  readonly ends: Ending | undefined;
  readonly steps: readonly TimedStep[];
  /** Those in force, sorted by namespace and name. Events leave their texts out: the workspace has them. */
  readonly policies: readonly Ref[];
  /** The number of the change that the policies come of, and what that came from; undefined where only its outcome was seen. */
  readonly policiesChange: number;
  readonly origin: Origin | undefined;
  /** The number of the last change of policies. */
  readonly change: number;
  readonly flows: ReadonlyMap<string, Observation>;
  /** The flows as they were before the last change. */
  readonly before: ReadonlyMap<string, Observation>;
  /** When flows last went from one verdict to another, by the server's clock in milliseconds. */
  readonly turned: ReadonlyMap<string, number>;
  /** Set once the last change has settled; "measuring" until then. */
  readonly settled: Summary | "measuring" | undefined;
  /** What is expected of each flow under the policies of the last change. */
  readonly expected: ReadonlyMap<string, Verdict>;
  /** The flows that have settled otherwise than expected. */
  readonly disagreement: readonly Disagreed[];
  readonly notice: Notice | undefined;
}

/** The model of a page without a sandbox. */
export const nothing: Model = {
  state: "none",
  reason: "",
  waiting: undefined,
  ends: undefined,
  steps: [],
  policies: [],
  policiesChange: 0,
  origin: undefined,
  change: 0,
  flows: new Map(),
  before: new Map(),
  turned: new Map(),
  settled: undefined,
  expected: new Map(),
  disagreement: [],
  notice: undefined,
};

/** The model after the event. Events must come in order and without a gap. */
export function reduce(model: Model, event: SandboxEvent): Model {
  switch (event.type) {
    case "snapshot": {
      const s = event.snapshot;
      const flows = new Map(s.observations.map((o) => [o.flow, o]));
      return {
        state: s.state,
        reason: s.reason ?? "",
        waiting: s.waiting,
        ends: s.ends,
        steps: s.steps.map((step) => timed(step, event.time)),
        policies: s.policies,
        policiesChange: s.change,
        origin: undefined,
        change: s.change,
        flows,
        // What they turned to is what they are; when they did is not told.
        before: new Map([...flows, ...(s.flips ?? []).map(({ flow, from }): [string, Observation] => [flow, { flow, verdict: from }])]),
        turned: new Map(),
        settled: undefined,
        expected: verdicts(s.predictions),
        disagreement: s.disagreement?.flows ?? [],
        notice: s.notice,
      };
    }
    case "state":
      if (event.state.state === "stopped") return stopped(model, event.state.reason ?? "");
      return { ...model, state: event.state.state, reason: event.state.reason ?? "", waiting: undefined, disagreement: [], notice: undefined };
    case "ends":
      return { ...model, ends: event.ends.extended ? undefined : event.ends };
    case "waiting":
      return { ...model, waiting: event.waiting };
    case "step": {
      const steps = [...model.steps];
      const at = steps.findIndex((s) => s.index === event.step.index);
      steps.splice(at < 0 ? steps.length : at, at < 0 ? 0 : 1, timed(event.step, event.time));
      return { ...model, steps };
    }
    case "predictions":
      return { ...changed(model, event.predictions.change), expected: verdicts(event.predictions) };
    case "policies":
      return {
        ...changed(model, event.policies.change),
        policies: afterwards(model.policies, event.policies),
        policiesChange: event.policies.change,
        origin: event.policies.origin,
      };
    case "observations": {
      const next = changed(model, event.observations.change);
      const [flows, turned] = [new Map(next.flows), new Map(next.turned)];
      for (const o of event.observations.flows) {
        const before = flows.get(o.flow);
        if (before && before.verdict !== o.verdict) turned.set(o.flow, Date.parse(event.time));
        flows.set(o.flow, o);
      }
      return { ...next, flows, turned };
    }
    case "settled": {
      const next = changed(model, event.settled.change);
      // What was only for information is overtaken; a warning still holds.
      const notice = model.notice?.level === "warning" ? model.notice : undefined;
      return { ...next, notice, settled: { ...event.settled, turned: turns(next) } };
    }
    case "disagreement":
      return { ...model, disagreement: event.disagreement.flows };
    case "notice":
      // A burst that cannot settle ends with a notice.
      return { ...model, notice: event.notice, settled: model.settled === "measuring" ? undefined : model.settled };
    default:
      // A later server may tell of things that this page does not know yet.
      return model;
  }
}

/** The model of a sandbox that the server does not know any more. */
export function gone(model: Model): Model {
  return stopped(model, model.state === "stopping" ? model.reason : "The lab does not have it any more.");
}

// With the cluster, its policies and all that was measured in it are gone.
function stopped(model: Model, reason: string): Model {
  return { ...nothing, steps: model.steps, change: model.change, state: "stopped", reason };
}

// The first event of a change may be its policies or already its effect.
function changed(model: Model, change: number): Model {
  if (change <= model.change) return model;
  return { ...model, change, before: model.flows, settled: "measuring", disagreement: [] };
}

function verdicts(predictions: Predictions | undefined): Model["expected"] {
  return new Map(predictions?.expected.flatMap((e) => e.flows.map((flow): [string, Verdict] => [flow, e.verdict])));
}

/** The policies in force after the change. */
function afterwards(before: readonly Ref[], change: PolicyChange): Ref[] {
  const after = new Map(before.map((p) => [nameOf(p), p]));
  for (const p of change.removed ?? []) after.delete(nameOf(p));
  for (const p of [...(change.added ?? []), ...(change.changed ?? [])]) after.set(nameOf(p), p);
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...after.values()].sort((a, b) => order(a.namespace, b.namespace) || order(a.name, b.name));
}

/** A policy as it is spoken of. */
export function nameOf(p: Ref): string {
  return `${p.namespace}/${p.name}`;
}

function timed(step: Step, time: string): TimedStep {
  if (step.status !== "running") return step;
  return { ...step, since: Date.parse(time) - (step.elapsedMillis ?? 0) };
}

function turns(model: Model): Turn[] {
  const all: Turn[] = [];
  for (const [id, { verdict: to }] of model.flows) {
    const from = model.before.get(id)?.verdict;
    if (from === undefined || from === to) continue;
    const turn = all.find((t) => t.from === from && t.to === to);
    if (turn) turn.count++;
    else all.push({ from, to, count: 1 });
  }
  return all.sort((a, b) => b.count - a.count);
}

// What the page says, in plain English.

import type { Disagreed, Observation, Verdict } from "./events.gen";
import type { Model, PageState, Summary } from "./model";
import { said } from "./sentences.gen";

const words: Record<Verdict, string> = said.verdicts;

/** The sentence of the status line. Where the lab simulates, nothing is measured. */
export function status(model: Model, simulated: boolean, unavailable = false): string {
  const parts = [stateSentence(model, simulated, unavailable)];
  if (model.notice) parts.push(model.notice.message);
  return parts.filter(Boolean).join(" ");
}

// As Sentences.state of the server's pages has it.
function stateSentence(model: Model, simulated: boolean, unavailable: boolean): string {
  const sentence = (simulated && (said.simulated as Partial<Record<PageState, string>>)[model.state]) || said.states[model.state];
  switch (model.state) {
    case "none":
      return unavailable ? said.unavailable : sentence;
    case "creating": {
      const step = model.steps.find((s) => s.status === "running");
      if (!step) return sentence;
      const values: Record<string, string | number> = { index: step.index, total: step.total, name: step.name };
      return said.step.replace(/\{(\w+)\}/g, (_, key: string) => String(values[key]));
    }
    case "stopping":
      return `${sentence} ${model.reason}`.trim();
    case "stopped":
    case "failed": {
      const whole = `${sentence} ${model.reason}`.trim();
      return /\bPress\b/.test(model.reason) ? whole : `${whole} ${said.restart}`;
    }
  }
  return sentence;
}

/** The line about the last change of policies. */
export function settled(summary: Model["settled"], simulated: boolean): string {
  if (summary === undefined) return "";
  if (summary === "measuring") return `${simulated ? "Working out" : "Measuring"} what has changed…`;
  // How long a simulation took says nothing about a network.
  const all = simulated ? `All ${summary.flows} connections worked out.` : `All ${summary.flows} connections measured after ${millis(summary.tookMillis)}.`;
  // A first look at a sandbox has nothing before it to differ from.
  if (summary.change === 0) return all;
  if (summary.flips === 0) return `No connection changed. ${all}`;
  if (simulated) return `${flips(summary)}. ${all}`;
  const first = summary.firstFlipMillis === undefined ? "" : ` The first changed after ${millis(summary.firstFlipMillis)}.`;
  return `${flips(summary)}.${first} ${all}`;
}

/** The line about flows that are not as predicted, which the learner has no part in. */
export function disagreement(flows: readonly Disagreed[]): string {
  const [first] = flows;
  if (!first) return "";
  const others = flows.length - 1;
  const more = others === 0 ? "" : `, and ${others} more ${others === 1 ? "connection differs" : "connections differ"}`;
  return `Prediction and measurement differ: ${flowName(first.flow)} was predicted ${words[first.predicted]} and is ${words[first.observed]}${more}. That is not your mistake: what counts is what was measured.`;
}

function flips(summary: Summary): string {
  const n = summary.turned.reduce((sum, t) => sum + t.count, 0) || summary.flips;
  const text = `${n} ${n === 1 ? "connection" : "connections"} changed`;
  const parts = summary.turned.map((t) => `${t.count} from ${words[t.from]} to ${words[t.to]}`);
  return parts.length > 0 ? `${text}: ${parts.join(", ")}` : text;
}

/** Why nothing can be applied to a sandbox in this state. */
export function notReady(state: PageState): string {
  if (state === "queued" || state === "creating") return "Your sandbox is not ready yet. Your text is kept; apply it when the last step is done.";
  return "There is no sandbox to apply this to. Press Start first; your text is kept.";
}

/** The line about policies that a change has done away with, and those that it has changed. */
export function gone(removed: string[], changed: string[]): string {
  const parts = [];
  if (removed.length > 0) parts.push(`${listed(removed)} ${removed.length > 1 ? "are" : "is"} not in force any more.`);
  if (changed.length > 0) parts.push(`${listed(changed)} ${changed.length > 1 ? "were" : "was"} changed.`);
  return parts.join(" ");
}

function listed(names: string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join();
}

/** The line about one flow. */
export function flow(id: string, seen: Observation | undefined): string {
  const name = flowName(id);
  if (!seen) return `${name}: ${said.verdicts.none}`;
  const parts = [words[seen.verdict]];
  if (seen.latencyMicros) parts.push(millis(seen.latencyMicros / 1000));
  if (seen.server) parts.push(`answered by ${seen.server}`);
  if (seen.detail) parts.push(seen.detail);
  return `${name}: ${parts.join(", ")}`;
}

// A flow's ID is source>destination:port/protocol, with @name behind it where
// the source goes by DNS name. The cluster's DNS has no name to go by.
function flowName(id: string): string {
  const m = /^(.+)>(.+):(\d+\/[A-Z]+)(@name)?$/.exec(id);
  if (!m) return id;
  const via = m[4] ? ` ${said.byName}` : m[2] === "kube-system/kube-dns" ? "" : ` ${said.byIP}`;
  return `${m[1]} to ${m[2]} ${m[3]}${via}`;
}

/** How long a step has taken. */
export function elapsed(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}

function millis(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1) : Math.round(ms)} ms`;
}

// What the page says, in plain English.

import type { Disagreed, Observation, Origin, Verdict, Waiting, Way } from "./events.gen";
import { partsOf } from "./flow";
import type { Model, PageState, Summary } from "./model";
import { said } from "./sentences.gen";
import type { Plan } from "./workspace/plan";
import { documents, nameIn } from "./workspace/text";
import { title, type File } from "./workspace/workspace";

const words: Record<Verdict | "none", string> = said.verdicts;

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
    case "queued":
      return model.waiting ? waiting(model.waiting) : sentence;
    case "creating": {
      const step = model.steps.find((s) => s.status === "running");
      if (!step) return sentence;
      return filled(said.step, { index: step.index, total: step.total, name: step.name });
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

// As Sentences.waiting of the server's pages has it.
function waiting({ place, of, full, seconds = 0 }: Waiting): string {
  const when = full ? said.full : seconds > 90 ? said.minutes : seconds > 0 ? said.soon : "";
  return filled(`${said.place} ${when}`, { place, of, seconds, minutes: Math.ceil(seconds / 60) }).trim();
}

function filled(sentence: string, values: Record<string, string | number>): string {
  return sentence.replace(/\{(\w+)\}/g, (_, key: string) => String(values[key]));
}

/** When the sandbox ends, by the learner's clock; empty where that is not near. */
export function ending(model: Model): string {
  if (!model.ends) return "";
  const at = new Date(model.ends.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return filled(said.ends, { when: `at ${at}` });
}

/** The line about the last change of policies. */
export function settled(summary: Model["settled"], simulated: boolean): string {
  if (summary === undefined || summary === "measuring") return "";
  // How long a simulation took says nothing about a network.
  const all = simulated ? `All ${summary.flows} connections worked out.` : `All ${summary.flows} connections measured after ${millis(summary.tookMillis)}.`;
  // A first look at a sandbox has nothing before it to differ from.
  if (summary.change === 0) return all;
  if (summary.flips === 0) return `No connection changed. ${all}`;
  if (simulated) return `${flips(summary)}. ${all}`;
  const first = summary.firstFlipMillis === undefined ? "" : ` The first changed after ${millis(summary.firstFlipMillis)}.`;
  return `${flips(summary)}.${first} ${all}`;
}

/** What is seen while a change has not settled; nothing is said of it. */
export function measuring(summary: Model["settled"], simulated: boolean): string {
  return summary !== "measuring" ? "" : simulated ? "Working out what has changed…" : "Measuring what has changed…";
}

/** The line about flows that are not as predicted, which the learner has no part in. */
export function disagreement(flows: readonly Disagreed[]): string {
  const [first] = flows;
  if (!first) return "";
  const others = flows.length - 1;
  const more = others === 0 ? "" : `, and ${others} more ${others === 1 ? "connection differs" : "connections differ"}`;
  return `Prediction and measurement differ: ${flowName(first.flow)} was predicted to ${said.be[first.predicted]} and ${said.is[first.observed]}${more}. That is not your mistake: what counts is what was measured.`;
}

function flips(summary: Summary): string {
  const n = summary.turned.reduce((sum, t) => sum + t.count, 0) || summary.flips;
  const text = `${n} ${n === 1 ? "connection" : "connections"} changed`;
  const parts = summary.turned.map((t) => `${t.count} from ${words[t.from]} to ${words[t.to]}`);
  return parts.length > 0 ? `${text}: ${parts.join(", ")}` : text;
}

/** How many policies are in force. */
export function inForce(n: number): string {
  return n === 0 ? "No policy in force" : n === 1 ? "1 policy in force" : `${n} policies in force`;
}

/** How many connections were measured as they were predicted; empty until that is settled. */
export function agreement(model: Model): string {
  if (typeof model.settled !== "object" || model.expected.size === 0) return "";
  const all = [...model.expected.keys()].filter((flow) => model.flows.has(flow)).length;
  return `Predicted and measured agree on ${all - model.disagreement.length} of ${all}`;
}

/** Why nothing can be applied to a sandbox in this state. */
export function notReady(state: PageState): string {
  if (state === "queued" || state === "creating") return "Your sandbox is not ready yet. Your text is kept; apply it when the last step is done.";
  return "There is no sandbox to apply this to. Press Start first; your text is kept.";
}

/** What an exercise has done to the workspace. */
export const began = "The start of the exercise is set up.";
export const restored = "What was in force before the exercise is in force again.";

/** Where a change of policies was made that is not this page's. */
export function where(origin: Origin | undefined): string {
  switch (origin) {
    case undefined:
      return "meanwhile";
    case "cluster":
      return "in the cluster itself";
    case "restore":
      return "by going back to an earlier point";
    case "exercise":
      return "by an exercise in another tab";
  }
  return "in another tab";
}

/** A file as it is spoken of. */
export function fileName(file: File): string {
  return `“${title(file)}”`;
}

/** Says that so many policies were pasted at once. */
export function arrived(policies: number): string {
  return policies === 1 ? "The policy is in the workspace." : `${policies} policies came in, each in a file of its own.`;
}

/** Says that the text's policies have come into the workspace. */
export function drafted(text: string): string {
  const names = documents(text).map((d) => nameIn(d) || "a policy without a name");
  if (names.length === 0) return "There is no policy in that text.";
  return `${listed(names.map((n) => `“${n}”`))} ${names.length > 1 ? "are" : "is"} in the workspace as ${names.length > 1 ? "drafts" : "a draft"}.`;
}

/** What Apply would do. Whatever it deletes is named. */
export function plan(of: Plan): string {
  const all = deeds(of, ["adds", "changes", "deletes"]);
  const nameless = of.unnamed.length;
  const also = nameless === 0 ? "" : nameless === 1 ? "One file does not say yet which policy it is." : `${nameless} files do not say yet which policies they are.`;
  return [all && `Apply ${all}.`, also].filter(Boolean).join(" ");
}

/** What Apply has done. */
export function applied(of: Plan): string {
  const all = deeds(of, ["added", "changed", "deleted"]);
  return all ? `Apply ${all}.` : "Applied.";
}

function deeds({ added, changed, deleted }: Plan, [add, change, remove]: [string, string, string]): string {
  const few = (names: readonly string[]): string => (names.length <= 3 ? listed(names) : `${names.length} policies`);
  const parts = [];
  if (added.length > 0) parts.push(`${add} ${few(added)}`);
  if (changed.length > 0) parts.push(`${change} ${few(changed)}`);
  if (deleted.length > 0) parts.push(`${remove} ${listed(deleted)}`);
  return parts.length > 1 ? `${parts.slice(0, -1).join(", ")}, and ${parts.at(-1)}` : parts.join();
}

function listed(names: readonly string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join();
}

/** What there is to say of a flow besides what was seen of it. */
export interface About {
  /** What it would become by the draft, where that is another verdict. */
  would?: Verdict | undefined;
  /** What it was before the last change, and how many milliseconds ago it turned. */
  before?: Verdict | undefined;
  ago?: number | undefined;
  /** Whether the lab simulates: what took a time there took none in a network. */
  simulated?: boolean;
}

/** The line about one flow. */
export function flow(id: string, seen: Observation | undefined, about: About = {}): string {
  const parts = [words[seen?.verdict ?? "none"]];
  if (seen?.latencyMicros && !about.simulated) parts.push(millis(seen.latencyMicros / 1000));
  if (seen?.server) parts.push(`answered by ${seen.server}`);
  if (seen?.detail) parts.push(seen.detail);
  const more = [`${flowName(id)}: ${parts.join(", ")}`];
  if (about.ago !== undefined) more.push(`It changed ${since(about.ago)} ago${about.before && about.before !== seen?.verdict ? `, it was ${words[about.before]}` : ""}`);
  if (about.would) more.push(`By your draft it would ${said.be[about.would]}`);
  return more.join(". ");
}

/** What was measured of a flow besides its verdict, and when it changed; empty where there is nothing to say. */
export function measured(seen: Observation | undefined, { before, ago, simulated }: About): string {
  const parts = [];
  const took = seen?.latencyMicros && !simulated ? ` in ${millis(seen.latencyMicros / 1000)}` : "";
  if (seen?.server) parts.push(`Answered by ${seen.server}${took}.`);
  else if (took) parts.push(`Answered${took}.`);
  if (ago !== undefined) parts.push(`It changed ${since(ago)} ago${before && before !== seen?.verdict ? `; before that it was ${words[before]}` : ""}.`);
  return parts.join(" ");
}

/** What a mark of the matrix says of its flow: the verdict, what the draft would make of it, and whether the last change of policies has turned it. */
export function mark(verdict: Verdict | "none", would: Verdict | "", ring: boolean): string {
  return [words[verdict], would && `would ${said.be[would]}`, ring && "changed last"].filter(Boolean).join(", ");
}

/** What a cell of several flows says of them. */
export function openOf(open: number, known: number, all: number): string {
  return known === 0 ? `${all} ${all === 1 ? "connection" : "connections"}, ${words.none}` : `${open} of ${all} open`;
}

/** What stands at the head of a folded namespace. */
export function ends(of: readonly { port: string }[]): string {
  const what = of[0]?.port ? "port" : "pod";
  return `${of.length} ${what}${of.length === 1 ? "" : "s"}`;
}

/** A flow's port and way, where its ends stand beside it. */
export function port(id: string): string {
  const m = /:(\d+)\/([A-Z]+)(@name)?$/.exec(id);
  return m ? `${m[1]}${m[2] === "TCP" ? "" : ` ${m[2]}`}${m[3] ? ` ${said.byName}` : ""}` : id;
}

/** Who isolates a pod in a direction. */
export function isolated(way: Way, by: readonly string[]): string {
  return `${isolatedFor(way)} ${listed([...by])}`;
}

export function isolatedFor(way: Way): string {
  return `Isolated for ${way} by`;
}

/** An end of the picture, and how it is isolated. */
export function end(id: string, by: { ingress: readonly string[]; egress: readonly string[] } | undefined): string {
  const ways = (["ingress", "egress"] as const).filter((way) => by && by[way].length > 0);
  return ways.length === 0 ? id : `${id}, isolated for ${ways.join(" and ")}`;
}

/** How many flows a filter has found. */
export function found(n: number, all: number): string {
  return n === all ? `All ${all} connections` : n === 0 ? "No connection is like this" : `${n} of ${all} connections`;
}

function since(ms: number): string {
  const s = Math.round(ms / 1000);
  if (s < 90) return `${s} s`;
  return s < 90 * 60 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

function flowName(id: string): string {
  const { from, to, port, via } = partsOf(id);
  if (to === "") return id;
  return `${from} to ${to} ${port}${via === said.question ? "" : ` ${via}`}`;
}

/** How long a step has taken. */
export function elapsed(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}

function millis(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1) : Math.round(ms)} ms`;
}

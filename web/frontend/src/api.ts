// The lab's requests. Each fails with a Refusal whose message can be shown.

import type { Analysis, AnalysisRequest, Built, History, LabContents, Schema, SetAside, Why, Wish } from "./answers.gen";
import type { Base } from "./workspace/workspace";

export interface Problem {
  line: number;
  column: number;
  field?: string;
  message: string;
}

/** What the server says of a request that it refuses. */
interface Said {
  error?: string;
  problems?: Problem[];
  instead?: string;
  inForce?: InForce;
}

export class Refusal extends Error {
  readonly status: number;
  readonly problems: Problem[];
  /** The sandbox that has to be given up for this; undefined where it is not about that. */
  readonly instead: string | undefined;
  /** What is in force, where the policies have been changed meanwhile. */
  readonly inForce: InForce | undefined;

  constructor(message: string, status = 0, { problems = [], instead, inForce }: Said = {}) {
    super(message);
    this.status = status;
    this.problems = problems;
    this.instead = instead;
    this.inForce = inForce;
  }
}

/** How long a request may take, in milliseconds. */
export const patience = 30_000;

/**
 * Starts a sandbox of the lab and returns its ID. Another lab's is given up only where
 * instead names it; else the Refusal does.
 */
export async function start(lab: string, instead?: string): Promise<string> {
  const answer = await send("POST", "/sandboxes", JSON.stringify({ lab, instead }), "application/json");
  return ((await answer.json()) as { id: string }).id;
}

/** Replaces the sandbox by a fresh one and returns that one's ID. */
export async function reset(id: string): Promise<string> {
  const answer = await send("POST", `${path(id)}/reset`);
  return ((await answer.json()) as { id: string }).id;
}

/** Puts off the sandbox's end; an event tells when that is now. */
export async function extend(id: string): Promise<void> {
  await send("POST", `${path(id)}/extend`);
}

export async function stop(id: string): Promise<void> {
  await send("DELETE", path(id));
}

/** The policies in force with their texts, and the number of the change that they come of. */
export interface InForce {
  change: number;
  policies: Base[];
}

export async function policies(id: string): Promise<InForce> {
  return (await (await send("GET", `${path(id)}/policies`)).json()) as InForce;
}

/**
 * Makes the policies the only ones, on top of that change: where another one was the
 * last, the Refusal tells what is in force.
 */
export async function apply(id: string, yaml: string, base: number): Promise<InForce & { setAside: SetAside[]; leftOut: string }> {
  const answer = await send("PUT", `${path(id)}/policies?prune=true&base=${base}`, yaml, "application/yaml");
  const { change, policies, setAside, leftOut } = (await answer.json()) as InForce & { setAside?: SetAside[]; leftOut?: string };
  return { change, policies, setAside: setAside ?? [], leftOut: leftOut ?? "" };
}

/** Asks what a draft of the lab's policies would come to. */
export async function analysis(lab: string, request: AnalysisRequest, signal?: AbortSignal): Promise<Analysis> {
  return (await (await send("POST", `/labs/${encodeURIComponent(lab)}/analysis`, JSON.stringify(request), "application/json", signal)).json()) as Analysis;
}

/** Asks why the flow is as it is under the policies in force. */
export async function why(id: string, flow: string, signal: AbortSignal): Promise<Why> {
  return (await (await send("GET", `${path(id)}/why?flow=${encodeURIComponent(flow)}`, undefined, undefined, signal)).json()) as Why;
}

/** The YAML of the learner's own lab. */
export async function ownLab(lab: string): Promise<string> {
  return (await send("GET", `/labs/${encodeURIComponent(lab)}/yaml`)).text();
}

/** Whether there is such a lab for the learner. */
export async function hasLab(lab: string): Promise<boolean> {
  return send("GET", `/labs/${encodeURIComponent(lab)}`).then(() => true, () => false);
}

/** The fields of a policy, with what the API says of them. */
export async function schema(): Promise<Schema> {
  return (await (await send("GET", "/schema")).json()) as Schema;
}

/** What is in the lab, with the addresses of the learner's sandbox where it is ready. */
export async function contents(lab: string): Promise<LabContents> {
  return (await (await send("GET", `/labs/${encodeURIComponent(lab)}`)).json()) as LabContents;
}

/** The lab's picture, as SVG. */
export async function picture(lab: string): Promise<string> {
  return (await send("GET", `/labs/${encodeURIComponent(lab)}/picture`)).text();
}

/** Asks for the policies that do what is wished for each flow. */
export async function policiesFor(lab: string, wishes: ReadonlyMap<string, Wish>): Promise<Built> {
  const body = JSON.stringify({ flows: Object.fromEntries(wishes) });
  return (await (await send("POST", `/labs/${encodeURIComponent(lab)}/policies-for`, body, "application/json")).json()) as Built;
}

/** What has become of the policies. */
export async function history(id: string): Promise<History> {
  return (await (await send("GET", `${path(id)}/history`)).json()) as History;
}

/** The same as the page has it: the list, in HTML. */
export async function historyList(id: string): Promise<string> {
  return (await send("GET", `${path(id)}/history?as=list`)).text();
}

/** The policies that were in force after the change. */
export async function point(id: string, change: number): Promise<InForce> {
  return (await (await send("GET", `${path(id)}/history/${change}`)).json()) as InForce;
}

/** Makes these the only policies again. */
export async function restore(id: string, change: number): Promise<void> {
  await send("POST", `${path(id)}/history/${change}/restore`);
}

function eventsPath(id: string, after: number): string {
  return `${path(id)}/events?after=${after}`;
}

/** Opens the sandbox's events, those after that one. */
export function events(id: string, after: number): WebSocket {
  return socket(eventsPath(id, after));
}

/** Asks why the sandbox's events cannot be had; rejects where the server does not answer. */
export async function refused(id: string): Promise<"gone" | { message: string } | undefined> {
  const answer = await fetch(eventsPath(id, 0), { headers: { Accept: "application/json" } });
  if (answer.status === 404) return "gone";
  if (answer.status !== 429 && answer.status !== 503) return undefined;
  const said = (await answer.json().catch(() => ({}))) as { error?: string };
  return { message: said.error ?? "" };
}

function terminalPath(id: string): string {
  return `${path(id)}/terminal`;
}

/** Opens the sandbox's terminal. */
export function terminal(id: string): WebSocket {
  return socket(terminalPath(id));
}

/** Asks why the sandbox's terminal cannot be had: the sentence that the server says. It rejects where the server does not answer. */
export async function terminalRefused(id: string): Promise<string | undefined> {
  const answer = await fetch(terminalPath(id), { headers: { Accept: "application/json" } });
  if (answer.status === 426) return undefined;
  const said = (await answer.json().catch(() => ({}))) as { error?: string };
  return said.error ?? "The terminal could not be opened.";
}

function socket(path: string): WebSocket {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url);
}

function path(id: string): string {
  return `/sandboxes/${encodeURIComponent(id)}`;
}

async function send(method: string, url: string, body?: string, type?: string, given?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (type) headers["Content-Type"] = type;
  let answer: Response;
  try {
    answer = await fetch(url, { method, headers, body: body ?? null, signal: given ? AbortSignal.any([given, AbortSignal.timeout(patience)]) : AbortSignal.timeout(patience) });
  } catch (error) {
    throw new Refusal(unreachable(error));
  }
  if (answer.ok) return answer;
  const said = (await answer.json().catch(() => ({}))) as Said;
  throw new Refusal(said.error || `The lab answered with an error (${answer.status}). Try again.`, answer.status, said);
}

function unreachable(error: unknown): string {
  if (!navigator.onLine) return "You are offline. Your text is kept; try again when the connection is back.";
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return "The lab did not answer in time. Your text is kept; look at the policies, then try again.";
  }
  return "The lab cannot be reached. Your text is kept; try again in a moment.";
}

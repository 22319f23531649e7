// What the why panel says besides the engine's own words. Pure.

import type { Why } from "./answers.gen";
import type { Verdict } from "./events.gen";
import { partsOf } from "./flow";
import { said } from "./sentences.gen";

const words: Record<Verdict | "none", string> = said.verdicts;

/** The panel's heading. */
export function question(verdict: Verdict | undefined, draft: boolean): string {
  const would = draft ? "would it be" : "is it";
  switch (verdict) {
    case "open":
    case "blocked":
    case "refused":
      return `Why ${would} ${words[verdict]}?`;
    case "dns-failed":
      return draft ? "Why would the name not be found?" : "Why is the name not found?";
    case "unknown":
      return "Why is it not known?";
    default:
      return "Why?";
  }
}

/** What a screen reader is told when a flow is chosen: the verdict, and the first step that does not let it pass. */
export function spoken(flow: string, why: Why): string {
  const { from, to, port, via } = partsOf(flow);
  const stop = why.steps.find((s) => s.ok === false);
  const parts = [`${from} to ${to} ${port} ${via}: ${words[why.verdict]}.`];
  if (stop) parts.push(`${stop.title}.`, stop.text);
  return parts.join(" ");
}

/** What is to be said loudly where the cluster does not do what was predicted. */
export function differ(predicted: Verdict, observed: Verdict): string {
  return `Predicted ${words[predicted]}, observed ${words[observed]}. This is not your mistake: what counts is what was measured. Either the lab's prediction is wrong, or the network does not do what the rules say.`;
}

/** How a place in a policy is written. */
export function placeName(place: { name: string; line: number; endLine: number }): string {
  return place.endLine > place.line ? `${place.name}:${place.line}–${place.endLine}` : `${place.name}:${place.line}`;
}

/** Whether two answers say the same of the flow's way. */
export function sameWay(a: Why | undefined, b: Why | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && JSON.stringify([a.verdict, a.steps]) === JSON.stringify([b.verdict, b.steps]));
}

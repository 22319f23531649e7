// What the preview line says. Pure.

import type { State } from "./state";
import { isNothing, planOf } from "./workspace/plan";

/** What the line says, and how much it weighs. */
export function sentence({ analysis, unanswered, model, workspace }: Pick<State, "analysis" | "unanswered" | "model" | "workspace">): { text: string; level: "plain" | "stale" | "refused" } {
  if (unanswered !== undefined) {
    const last = analysis ? ` The last one said: ${analysis.summary}` : "";
    return { text: `No preview of your last change. ${unanswered}${last}`, level: "stale" };
  }
  if (!analysis) return { text: "", level: "plain" };
  if (analysis.refusal) return { text: analysis.refusal, level: "refused" };
  if (!analysis.expected) return { text: analysis.summary, level: "plain" };
  // Without a draft there is nothing to look ahead to, and an answer from then says nothing of one.
  if (isNothing(planOf(workspace)) || isNothing(planOf(analysis.of))) return { text: "", level: "plain" };
  const against = model.state === "ready" ? "" : " Compared with no policies.";
  return { text: `Preview: ${analysis.summary[0]!.toLowerCase()}${analysis.summary.slice(1)}${analysis.changes ? against : ""}`, level: "plain" };
}

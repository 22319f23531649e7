// The engine's answer about a draft: what its policies select, what is wrong with them,
// and what would change.

import type { AnalysedFile, AnalysedPolicy, AnalysisRequest, Analysis as Answer } from "./answers.gen";
import { Refusal } from "./api";
import type { State, Store } from "./state";
import { fileOf, type File, type Workspace } from "./workspace/workspace";

/** The answer, and the workspace that it is about: of a file that has changed since, its places are not true any more. */
export interface Analysis extends Answer {
  of: Workspace;
}

/** What the answer says of the file, with the text that it is about; undefined where there is none. */
export function analysed(analysis: Analysis | undefined, file: string | undefined): { file: AnalysedFile; text: string } | undefined {
  const found = analysis?.files.find((f) => f.id === file);
  const text = analysis && fileOf(analysis.of, file)?.text;
  return found && text !== undefined ? { file: found, text } : undefined;
}

/** The policies of the file that select the pod, as the answer has them. */
export function selecting(analysis: Analysis | undefined, file: string, pod: string | undefined): readonly AnalysedPolicy[] {
  return pod === undefined ? [] : (analysed(analysis, file)?.file.policies.filter((p) => p.selects.includes(pod)) ?? []);
}

/** The longest draft that is asked about, in characters: the lab takes no longer one. */
const longest = 256 << 10;

/** How long to wait after a question that was not answered, in milliseconds. */
const pause = 1000;

/** How long a question may take before a newer one takes its place, in milliseconds. */
const slow = 150;

const tooLong = "The draft is too long for a preview.";

/**
 * Keeps the store's analysis that of the newest draft. One question is asked at a time,
 * and what has changed meanwhile is in the next: no answer overtakes a newer one. Where
 * the lab is not in reach, the last answer stays, and the store says why there is no newer.
 */
export function analyse(store: Store, ask: (request: AnalysisRequest, signal: AbortSignal) => Promise<Answer>): void {
  let asking: AbortController | undefined;
  let asked: Subject | undefined;
  let late: ReturnType<typeof setTimeout> | undefined;

  async function run(): Promise<void> {
    if (asking) return;
    for (let now = subject(store.get()); !same(now, asked); now = subject(store.get())) {
      asked = now;
      if (now.workspace.files.reduce((sum, f) => sum + f.text.length, 0) > longest) {
        store.update({ analysis: undefined, unanswered: tooLong });
        continue;
      }
      const question = (asking = new AbortController());
      late = setTimeout(overtake, slow);
      try {
        const answer = await ask(requestOf(now), question.signal);
        store.update({ analysis: { ...answer, of: now.workspace }, unanswered: undefined });
      } catch (error) {
        if (question.signal.aborted) continue;
        store.update({ unanswered: error instanceof Error ? error.message : String(error) });
        // What the lab refuses for what it is, it refuses again.
        if (error instanceof Refusal && error.status >= 400 && error.status < 500 && error.status !== 429) continue;
        // The lab is not in reach, or has had enough.
        await new Promise((resolve) => setTimeout(resolve, pause));
        asked = undefined;
      } finally {
        clearTimeout(late);
        late = undefined;
      }
    }
    asking = undefined;
  }

  // What takes long, over a bad connection, is given up for what has been written since.
  function overtake(): void {
    late = undefined;
    if (!same(subject(store.get()), asked)) asking?.abort();
  }

  store.watch(() => {
    if (asking && late === undefined) overtake();
    else void run();
  });
  void run();
}

/** What the answer depends on. */
interface Subject {
  workspace: Workspace;
  chosen: string | undefined;
  /** The policies that the draft is compared with, and whether they are those of a cluster. */
  change: number;
  sandbox: string;
  state: string;
}

function subject({ workspace, chosen, model, sandbox }: State): Subject {
  return { workspace, chosen, change: model.change, sandbox, state: model.state };
}

function same(a: Subject, b: Subject | undefined): boolean {
  return (
    b !== undefined && a.chosen === b.chosen && a.change === b.change && a.sandbox === b.sandbox && a.state === b.state &&
    (a.workspace === b.workspace || (a.workspace.files.length === b.workspace.files.length && a.workspace.files.every((f, i) => sameFile(f, b.workspace.files[i]!))))
  );
}

function sameFile(a: File, b: File): boolean {
  return a.id === b.id && a.text === b.text && a.removed === b.removed;
}

function requestOf({ workspace, chosen }: Subject): AnalysisRequest {
  const files = workspace.files.filter((f) => !f.removed).map(({ id, text }) => ({ id, text }));
  return chosen === undefined ? { files } : { files, flow: chosen };
}

// The engine's answer about a draft: what its policies select, what is wrong with them,
// and what would change.

import type { AnalysedFile, Analysis as Answer } from "./answers.gen";
import { fileOf, type Workspace } from "./workspace/workspace";

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

// Places as the server tells them, as offsets in a text and back.

import type { Text } from "@codemirror/state";

/** The offset of a line and a column, both counted from 1, the column in characters; the nearest where there is no such place. */
export function offsetOf(doc: Text, line: number, column: number): number {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  let offset = at.from;
  // A character beyond the Basic Multilingual Plane is two of JavaScript's.
  for (let n = 1; n < column && offset < at.to; n++) offset += doc.sliceString(offset, offset + 2).codePointAt(0)! > 0xffff ? 2 : 1;
  return Math.min(offset, at.to);
}

// Writes YAML anew with the same indentation everywhere; comments, quotes, the order of
// fields and braces stay. Pure. The library comes with it, so it is loaded when it is
// asked for.

import { parseAllDocuments, type Document, type Scalar, type ScalarTag, type Tags, type ToStringOptions } from "yaml";

/** The formatted text, or why there is none. */
export type Formatted = { text: string } | { line: number; message: string };

/** The longest text that is formatted, in characters: what the lab takes at once. */
const longest = 256 << 10;

const style: ToStringOptions = { indent: 2, indentSeq: true, lineWidth: 0, flowCollectionPadding: false, nullStr: "" };

export function format(text: string): Formatted {
  if (text.length > longest) return { line: 0, message: `This is too long to format: ${longest >> 10} KiB is the most.` };
  // A tab is no indentation in YAML, but what is meant is clear.
  const source = text.replace(/\r\n?/g, "\n").replace(/^[ \t]*\t[ \t]*/gm, (indent) => indent.replaceAll("\t", "  "));
  if (source.trim() === "") return { text: "" };
  const before = read(source);
  const error = before.flatMap((d) => d.errors)[0];
  if (error) return { line: error.linePos?.[0].line ?? 0, message: "This is no YAML yet, so it cannot be formatted." };
  const after = before.map(write).filter((d) => d !== "").join("---\n");
  if (values(read(after)) !== values(before)) return { line: 0, message: "Formatting would change what this means, so nothing was done." };
  return { text: after };
}

// Numbers are written as they were.
const asWritten = (tags: Tags): Tags =>
  tags.map((t) => {
    if (typeof t !== "object" || t.collection !== undefined || !/:(int|float)$/.test(t.tag)) return t;
    return { ...t, stringify: (n: Scalar) => n.source ?? String(n.value) } satisfies ScalarTag;
  });

// Keys that are there twice are for the lab to complain of.
function read(text: string): Document[] {
  const documents = parseAllDocuments(text, { uniqueKeys: false, customTags: asWritten });
  return Array.isArray(documents) ? [...documents] : [];
}

function write(document: Document): string {
  if (document.directives) document.directives.docStart = null;
  const text = document.toString(style).replace(/[ \t]+$/gm, "").trimEnd();
  return text === "" ? "" : text + "\n";
}

/** What the documents say, to be compared. */
function values(documents: Document[]): string {
  return JSON.stringify(documents.map((d) => d.toJS({ maxAliasCount: 0 }) as unknown).filter((v) => v !== null && v !== ""));
}

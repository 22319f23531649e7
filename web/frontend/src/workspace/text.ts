// What can be read from a policy's text without a parser: which documents it has, and
// which policies they are. What the engine says of them counts more.

import type { Ref } from "../events.gen";

/** The text as the lab keeps it: with plain line ends. */
export function plain(text: string): string {
  return text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
}

/** Whether both are the same policy: blank lines around it say nothing. */
export function same(a: string, b: string): boolean {
  return a === b || a.trim() === b.trim();
}

/** The documents of the text, as the server takes it apart; those without content are left out. */
export function documents(text: string): string[] {
  const found: string[] = [];
  let lines: string[] = [];
  const end = (): void => {
    if (lines.some((line) => !/^\s*(#|$)/.test(line))) found.push(lines.join("\n").replace(/^(\s*\n)+/, "").trimEnd() + "\n");
    lines = [];
  };
  for (const line of plain(text).split("\n")) {
    if (/^(---|\.\.\.)(\s|$)/.test(line)) end();
    else lines.push(line);
  }
  end();
  return found;
}

/** The texts as one: what documents() takes apart again, also where the last line of one has no end. */
export function joined(texts: readonly string[]): string {
  return texts.map((text) => text.trimEnd() + "\n").join("---\n");
}

/** Which NetworkPolicy the text of one document is; undefined where it does not say so. */
export function refOf(text: string): Ref | undefined {
  const { kind, namespace, name } = headOf(text);
  return kind === "NetworkPolicy" && namespace && name ? { namespace, name } : undefined;
}

/** Why the document is set aside; undefined where it is a policy, or may be meant to be. */
export function aside(text: string): string | undefined {
  const { kind, name } = headOf(text);
  if (!kind || kind === "NetworkPolicy" || kind === "List" || kind === "NetworkPolicyList") return undefined;
  const called = name ? `${kind} ${name}` : kind;
  if (kind.endsWith("NetworkPolicy")) return `${called} is set aside: it is a policy of another kind, which the lab's clusters do not know.`;
  return `${called} is set aside: the lab takes only NetworkPolicies, and has its pods and namespaces already.`;
}

/** What the text calls itself, be it a policy or not yet; empty where it has no name. */
export function nameIn(text: string): string {
  return headOf(text).name ?? "";
}

/** What the text of one document says that it is. */
export function headOf(text: string): Head {
  return text.trimStart().startsWith("{") ? ofJSON(text) : ofYAML(text);
}

export interface Head {
  kind?: string | undefined;
  namespace?: string | undefined;
  name?: string | undefined;
}

function ofJSON(text: string): Head {
  try {
    const o = JSON.parse(text) as { kind?: unknown; metadata?: { namespace?: unknown; name?: unknown } };
    const word = (v: unknown): string | undefined => (typeof v === "string" ? v : undefined);
    return { kind: word(o.kind), namespace: word(o.metadata?.namespace), name: word(o.metadata?.name) };
  } catch {
    return {};
  }
}

function ofYAML(text: string): Head {
  const head: Head = {};
  /** How deep the fields of metadata are; undefined outside it, 0 until the first is seen. */
  let within: number | undefined;
  for (const line of linesOf(text)) {
    // Of several documents the first one says what the text is.
    if (/^---(\s|$)/.test(line) && head.kind !== undefined) break;
    const [, indent, key, value] = /^( *)["']?([\w./-]+)["']?\s*:(?:\s+(.*))?$/.exec(line.trimEnd()) ?? [];
    if (indent === undefined || key === undefined) continue;
    if (indent === "") {
      within = key === "metadata" ? 0 : undefined;
      if (key === "kind") head.kind = scalar(value);
      const flow = key === "metadata" && /^\{(.*)\}/.exec(value ?? "")?.[1];
      if (flow) for (const field of ["namespace", "name"] as const) head[field] = scalar(new RegExp(`(?:^|[,{\\s])["']?${field}["']?\\s*:\\s*([^,}]+)`).exec(flow)?.[1]);
    } else if (within !== undefined) {
      within ||= indent.length;
      if (indent.length === within && (key === "name" || key === "namespace")) head[key] = scalar(value);
    }
  }
  return head;
}

/** The lines one by one: of a long text, what it is called stands in the first few. */
function* linesOf(text: string): Generator<string> {
  for (let at = 0, end = 0; end >= 0; at = end + 1) {
    end = text.indexOf("\n", at);
    yield text.slice(at, end < 0 ? undefined : end);
  }
}

/** The value of a field that is a word. */
function scalar(value: string | undefined): string | undefined {
  const [, double, single, bare] = /^\s*(?:"([^"]*)"|'([^']*)'|([^#\s][^#]*?))\s*(?:#.*)?$/.exec(value ?? "") ?? [];
  return double ?? single ?? bare;
}

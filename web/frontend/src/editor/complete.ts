// What can be written at a place: from the schema and from the lab. Pure.

import type { LabContents, LabPort, Schema, SchemaField } from "../answers.gen";
import { get, itemsOf, placeAt, plain, textOf, type Node, type Path, type Place } from "./outline";
import { expectedAt, withinPolicy, type Expected } from "./schema";
import { meets, namespaceOf, peers, podName, policyPath, requirements, scopeOf, selects, subjects, type Requirement } from "./select";
import { cidrOf, policies, rules } from "./snippets";

export interface Candidate {
  label: string;
  /** What is written. */
  insert: string;
  /** Where in it the cursor goes; behind it where this is not given. */
  caret?: number;
  /** A few words beside the label. */
  detail?: string;
  /** A text to read before choosing. */
  info?: string;
  kind: "field" | "value" | "label" | "snippet";
  /** Higher is sooner; 0 without. */
  boost?: number;
  /** There is more to choose from behind it. */
  more?: boolean;
  /** It has ${n:word} places to fill in. */
  template?: boolean;
}

export interface Completion {
  from: number;
  to: number;
  candidates: Candidate[];
}

/** Where the cursor is, with what else decides about what may stand there. */
interface Here {
  text: string;
  place: Place;
  lab: LabContents | undefined;
  schema: Schema;
  /** The place is the first on its line, or behind a dash. */
  alone: boolean;
  /** The word is in quotes already. */
  quoted: boolean;
  policy: Path;
}

/** What can be written at the offset. Without a lab, only what the schema knows. */
export function complete(text: string, offset: number, schema: Schema, lab: LabContents | undefined): Completion | undefined {
  const place = placeAt(text, offset);
  const expected = place && expectedAt(schema, place.path);
  if (!expected) return undefined;
  const { from, to } = place;
  const line = text.slice(text.lastIndexOf("\n", from - 1) + 1, from);
  const quote = text[from] === '"' || text[from] === "'" ? text[from] : "";
  const here: Here = {
    text, place, lab, schema, alone: /^[\s-]*$/.test(line), quoted: quote !== "", policy: policyPath(place.path),
  };
  const candidates = place.at === "key" ? keys(here, expected) : values(here, expected);
  if (candidates.length === 0) return undefined;
  if (!quote) return { from, to, candidates };
  const closed = to - from > 1 && text[to - 1] === quote;
  return { from: from + 1, to: closed ? to - 1 : to, candidates };
}

function keys(here: Here, expected: Expected): Candidate[] {
  if (expected.kind === "map") return here.place.path.at(-1) === "matchLabels" ? labels(here) : [];
  if (expected.kind !== "object" || !expected.type) return [];
  return fields(here, expected, here.place.column, "");
}

/** The fields of an object that are not there yet, each with the beginning of what stands behind its colon. */
function fields(here: Here, expected: Expected, column: number, dash: string): Candidate[] {
  const { place, text } = here;
  const has = new Set(place.siblings);
  const ready = /^\s*:/.test(text.slice(place.to, place.to + 20));
  const selectors = has.has("podSelector") || has.has("namespaceSelector");
  const out: Candidate[] = [];
  for (const f of expected.type!.fields) {
    if (f.managed || has.has(f.name)) continue;
    // A peer is either addresses or pods.
    if ((f.name === "ipBlock" && selectors) || (has.has("ipBlock") && f.name.endsWith("Selector"))) continue;
    const { insert, caret } = ready ? { insert: f.name } : place.flow ? flowField(f) : blockField(f, column);
    const candidate: Candidate = { label: f.name, insert: dash + insert, info: f.doc, kind: "field", boost: f.required ? 2 : 1, more: !ready };
    if (caret !== undefined) candidate.caret = dash.length + caret;
    if (f.required) candidate.detail = "needed";
    out.push(candidate);
  }
  return out;
}

function blockField(f: SchemaField, column: number): { insert: string; caret?: number } {
  const indent = `\n${" ".repeat(column + 2)}`;
  switch (f.kind) {
    case "object":
    case "map":
      return { insert: `${f.name}:${indent}` };
    case "objects":
      return { insert: `${f.name}:${indent}- ` };
    case "strings":
      return { insert: `${f.name}: []`, caret: f.name.length + 3 };
    default:
      return { insert: `${f.name}: ` };
  }
}

function flowField(f: SchemaField): { insert: string; caret?: number } {
  const brackets: Partial<Record<SchemaField["kind"], string>> = { object: "{}", map: "{}", objects: "[{}]", strings: "[]" };
  const behind = brackets[f.kind];
  if (!behind) return { insert: `${f.name}: ` };
  return { insert: `${f.name}: ${behind}`, caret: f.name.length + 2 + behind.length / 2 };
}

function values(here: Here, expected: Expected): Candidate[] {
  const { place, lab, alone } = here;
  const path = withinPolicy(place.path);
  const snippets = lab && !place.flow ? ruleSnippets(here, expected, path) : [];
  switch (expected.kind) {
    case "object": {
      if (alone || place.flow) {
        const whole = path.length === 0 && lab && place.siblings.length === 0 ? policySnippets(here, lab) : [];
        return [...whole, ...snippets, ...fields(here, expected, place.column, "")];
      }
      return expected.field?.of === "LabelSelector" ? selectorValues(here) : [];
    }
    case "objects":
      if (!alone || place.flow) return [];
      return [...snippets, ...fields({ ...here, place: { ...place, siblings: [] } }, expected, place.column + 2, "- ")];
    case "map":
      return (alone || place.flow) && path.at(-1) === "matchLabels" ? labels(here) : [];
    case "strings":
      return alone ? scalars(here, expected, path).map((c) => ({ ...c, insert: `- ${c.insert}` })) : [];
    default:
      return scalars(here, expected, path);
  }
}

function policySnippets(here: Here, lab: LabContents): Candidate[] {
  return policies(lab, namespaceOf(here.place.root)).map((s) => ({
    label: s.label, detail: s.detail, insert: s.text.trimEnd(), kind: "snippet", template: true, boost: 3,
  }));
}

function ruleSnippets(here: Here, expected: Expected, path: Path): Candidate[] {
  const { place, lab, policy } = here;
  const item = typeof path.at(-1) === "number";
  const list = item ? path.at(-2) : path.at(-1);
  if ((list !== "ingress" && list !== "egress") || path.length !== (item ? 3 : 2) || (item ? expected.kind !== "object" : !here.alone)) return [];
  const column = item ? place.column : place.column + 2;
  return rules(lab!, list, namespaceOf(place.root, policy)).map((s) => ({
    label: s.label,
    detail: s.detail,
    insert: (item ? "" : "- ") + s.text.trimEnd().replaceAll("\n", `\n${" ".repeat(column)}`),
    kind: "snippet",
    template: true,
    boost: 3,
  }));
}

/** What may stand behind the colon of a selector. */
function selectorValues(here: Here): Candidate[] {
  const { place, lab } = here;
  if (!lab) return [];
  const { of, among } = scopeOf(lab, place.root, place.path);
  const all: Candidate = { label: "{}", insert: "{}", kind: "value", detail: selects(among.map((s) => s.name), of, true), boost: 1 };
  return [all, ...pairs(here, place.path, []).map((c) => ({ ...c, insert: `{matchLabels: {${c.insert}}}` }))];
}

/** Labels as key and value, of a selector's matchLabels. */
function labels(here: Here): Candidate[] {
  const { place, lab, text } = here;
  if (!lab) return [];
  const selector = place.path.slice(0, -1);
  const ready = /^\s*:/.test(text.slice(place.to, place.to + 20));
  if (!ready) return [...pairs(here, selector, place.siblings), ...labelKeys(here, selector, place.siblings).map((c) => ({ ...c, insert: `${c.insert}: `, more: true }))];
  return labelKeys(here, selector, place.siblings);
}

/** The labels of what the selector chooses among, with what is chosen where they are added. */
function pairs(here: Here, selector: Path, without: readonly string[]): Candidate[] {
  const { place, lab } = here;
  const { of, among } = scopeOf(lab!, place.root, selector);
  const others = requirements(get(place.root, selector));
  const seen = new Map<string, Candidate>();
  for (const { labels } of among) {
    for (const [key, value] of Object.entries(labels)) {
      const label = `${key}: ${value}`;
      if (seen.has(label) || without.includes(key)) continue;
      const chosen = among.filter((s) => meets(s.labels, [...others, { key, operator: "In", values: [value] }])).map((s) => s.name);
      seen.set(label, {
        label, insert: `${plain(key)}: ${plain(value)}`, kind: "label", detail: selects(chosen, of), boost: (chosen.length > 0 ? 2 : 0) + (key === "kubernetes.io/metadata.name" ? 1 : 0),
      });
    }
  }
  return [...seen.values()];
}

function labelKeys(here: Here, selector: Path, without: readonly string[]): Candidate[] {
  const { place, lab } = here;
  const { of, among } = scopeOf(lab!, place.root, selector);
  const found = [...new Set(among.flatMap((s) => Object.keys(s.labels)))].filter((k) => !without.includes(k));
  return found.map((key) => {
    const n = among.filter((s) => Object.hasOwn(s.labels, key)).length;
    return { label: key, insert: plain(key), kind: "label", detail: `${n} of ${among.length} ${of} ${n === 1 ? "has" : "have"} it` };
  });
}

function labelValues(here: Here, selector: Path, key: string, others: readonly Requirement[], without: readonly string[]): Candidate[] {
  const { place, lab } = here;
  const { of, among } = scopeOf(lab!, place.root, selector);
  const found = [...new Set(among.filter((s) => Object.hasOwn(s.labels, key)).map((s) => s.labels[key]!))].filter((v) => !without.includes(v));
  return found.map((value) => {
    const chosen = among.filter((s) => meets(s.labels, [...others, { key, operator: "In", values: [value] }])).map((s) => s.name);
    return { label: value, insert: here.quoted ? value : plain(value), kind: "label", detail: selects(chosen, of), boost: chosen.length > 0 ? 1 : 0 };
  });
}

const operators: Record<string, string> = {
  In: "the label has one of the values",
  NotIn: "the label has none of the values, or is not there",
  Exists: "the label is there, whatever its value",
  DoesNotExist: "the label is not there",
};

function scalars(here: Here, expected: Expected, path: Path): Candidate[] {
  const { place, lab, policy } = here;
  const { field, owner } = expected;
  if (!field) return [];
  if (expected.inMap) {
    if (path.at(-2) !== "matchLabels" || !lab) return [];
    const [selector, key] = [place.path.slice(0, -2), String(path.at(-1))];
    return labelValues(here, selector, key, requirements(get(place.root, selector)).filter((r) => r.key !== key), []);
  }
  switch (`${owner}.${field.name}`) {
    case "ObjectMeta.namespace":
      return (lab?.namespaces ?? []).filter((n) => !n.system).map((n) => ({ label: n.name, insert: n.name, kind: "value", detail: count(lab!, n.name) }));
    case "ObjectMeta.name":
      return names(here).map((n) => ({ label: n, insert: n, kind: "value" }));
    case "LabelSelectorRequirement.key": {
      if (!lab) return [];
      return labelKeys(here, place.path.slice(0, -3), []).map((c) => (here.quoted ? { ...c, insert: c.label } : c));
    }
    case "LabelSelectorRequirement.values": {
      const at = typeof place.path.at(-1) === "number" ? place.path.slice(0, -2) : place.path.slice(0, -1);
      const key = textOf(get(place.root, [...at, "key"]));
      const operator = textOf(get(place.root, [...at, "operator"]));
      if (!lab || !key || operator === "Exists" || operator === "DoesNotExist") return [];
      const selector = at.slice(0, -2);
      const others = requirements(get(place.root, selector)).filter((r) => r.key !== key);
      const there = itemsOf(get(place.root, [...at, "values"])).flatMap((v) => textOf(v) ?? []);
      const found = labelValues(here, selector, key, others, there);
      return operator === "NotIn" ? found.map((c) => ({ ...c, detail: c.detail!.replace("selects", "leaves out") })) : found;
    }
    case "LabelSelectorRequirement.operator":
      return (field.values ?? []).map((v) => ({ label: v, insert: v, kind: "value", detail: operators[v] ?? "" }));
    case "NetworkPolicySpec.policyTypes": {
      const there = itemsOf(get(place.root, [...policy, "spec", "policyTypes"])).flatMap((v) => textOf(v) ?? []);
      return (field.values ?? []).filter((v) => !there.includes(v)).map((v) => ({ label: v, insert: v, kind: "value", detail: v === "Ingress" ? "isolates for what comes in" : "isolates for what goes out" }));
    }
    case "NetworkPolicyPort.port":
      return lab ? ports(here, lab) : [];
    case "IPBlock.cidr":
      return lab ? cidrs(lab) : [];
    case "IPBlock.except": {
      const at = typeof place.path.at(-1) === "number" ? place.path.slice(0, -2) : place.path.slice(0, -1);
      const cidr = textOf(get(place.root, [...at, "cidr"]));
      const there = itemsOf(get(place.root, [...at, "except"])).flatMap((v) => textOf(v) ?? []);
      return lab ? cidrs(lab).filter((c) => !there.includes(c.label) && (!cidr || within(c.label, cidr))) : [];
    }
  }
  return (field.values ?? []).map((v) => ({ label: v, insert: v, kind: "value" }));
}

function count(lab: LabContents, namespace: string): string {
  const n = lab.pods.filter((p) => p.namespace === namespace).length;
  return `${n} ${n === 1 ? "pod" : "pods"}`;
}

/** Names for the policy by what it does so far. */
function names(here: Here): string[] {
  const { place, policy } = here;
  const spec = get(place.root, [...policy, "spec"]);
  if (!spec) return [];
  const word = (selector: Node | undefined): string | undefined => requirements(selector).find((r) => r.operator === "In" && r.values[0])?.values[0];
  const self = word(get(spec, ["podSelector"]));
  const out: string[] = [];
  for (const [list, peer] of [["ingress", "from"], ["egress", "to"]] as const) {
    for (const rule of itemsOf(get(spec, [list]))) {
      const first = itemsOf(get(rule, [peer]))[0];
      const other = word(get(first, ["podSelector"])) ?? word(get(first, ["namespaceSelector"]));
      if (other === "kube-dns") out.push("allow-dns");
      else if (other && list === "ingress") out.push(`allow-${other}-to-${self ?? "all"}`);
      else if (other) out.push(`allow-${self ?? "all"}-to-${other}`);
    }
  }
  if (out.length === 0) {
    const types = itemsOf(get(spec, ["policyTypes"])).flatMap((v) => textOf(v) ?? []);
    const which = types.length === 1 ? types[0]!.toLowerCase() : types.length > 1 ? "all" : "ingress";
    out.push(self ? `deny-${which}-of-${self}` : `default-deny-${which}`);
  }
  return [...new Set(out)].filter((n) => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(n));
}

/** The ports of those whom the rule is about. */
function ports(here: Here, lab: LabContents): Candidate[] {
  const { place, policy } = here;
  // …, spec, ingress, 0, ports, 1, port
  const rule = place.path.slice(0, -3);
  const direction = rule.at(-2);
  const owners: { name: string; ports: LabPort[] }[] = [];
  if (direction === "ingress") {
    owners.push(...subjects(lab, place.root, policy).map((p) => ({ name: podName(p), ports: p.ports })));
  } else {
    const to = itemsOf(get(place.root, [...rule, "to"]));
    const pods = to.length === 0 ? lab.pods : to.flatMap((_, i) => peers(lab, place.root, [...rule, "to", i]));
    owners.push(...pods.map((p) => ({ name: podName(p), ports: p.ports })));
    const blocks = to.flatMap((peer) => textOf(get(peer, ["ipBlock", "cidr"])) ?? []);
    for (const h of lab.hosts) {
      if (to.length === 0 || h.addresses.some((a) => blocks.some((b) => within(cidrOf(a), b)))) owners.push({ name: h.name, ports: h.ports });
    }
  }
  const protocol = textOf(get(place.root, [...place.path.slice(0, -1), "protocol"]));
  const line = here.text.slice(here.text.lastIndexOf("\n", place.from - 1) + 1, place.from);
  // Where a sibling of the port's key would stand.
  const column = /^[\s-]*/.exec(line)![0].length;
  const numbers = new Map<string, Candidate & { of: string[] }>();
  const named = new Map<string, Candidate & { of: string[] }>();
  for (const o of owners) {
    for (const p of o.ports) {
      if (protocol && p.protocol !== protocol) continue;
      // Without a protocol a port is one of TCP.
      const also = p.protocol === "TCP" || protocol ? "" : place.flow ? `, protocol: ${p.protocol}` : `\n${" ".repeat(column)}protocol: ${p.protocol}`;
      for (const [map, value] of [[numbers, String(p.port)], [named, p.name ?? ""]] as const) {
        if (value === "") continue;
        const key = `${value}/${p.protocol}`;
        const known = map.get(key);
        if (known) known.of.push(o.name);
        else {
          const twice = !protocol && owners.some((x) => x.ports.some((q) => (String(q.port) === value || q.name === value) && q.protocol !== p.protocol));
          const label = also || twice ? `${value} ${p.protocol}` : value;
          map.set(key, { label, insert: value + also, kind: "value", of: [o.name], detail: map === numbers ? (p.name ?? "") : String(p.port), boost: map === numbers ? 2 : 1 });
        }
      }
    }
  }
  return [...numbers.values(), ...named.values()].map(({ of, ...c }) => {
    const whose = of.length > 2 ? `${of.length} of them` : of.join(" and ");
    return { ...c, detail: c.detail ? `${c.detail} of ${whose}` : whose };
  });
}

/** Ranges of addresses that are about something that is there. */
function cidrs(lab: LabContents): Candidate[] {
  const out: Candidate[] = lab.hosts.flatMap((h) =>
    h.addresses.map((a): Candidate => ({ label: cidrOf(a), insert: cidrOf(a), kind: "value", detail: h.name, boost: 3, ...(h.note ? { info: h.note } : {}) })),
  );
  out.push({ label: "0.0.0.0/0", insert: "0.0.0.0/0", kind: "value", detail: "every IPv4 address", boost: 2 });
  for (const r of lab.ranges) out.push({ label: r.cidr, insert: r.cidr, kind: "value", detail: `the cluster's ${r.of}`, boost: 1 });
  for (const p of lab.pods) {
    for (const a of p.addresses) {
      out.push({
        label: cidrOf(a), insert: cidrOf(a), kind: "value", detail: p.hostNetwork ? `the node, and ${podName(p)}` : podName(p),
        info: "A pod that is made anew has another address. A selector finds it again.",
      });
    }
  }
  const seen = new Set<string>();
  return out.filter((c) => !seen.has(c.label) && seen.add(c.label));
}

/** Whether the first range is part of the second; only IPv4 is looked into. */
export function within(inner: string, outer: string): boolean {
  const [a, b] = [range(inner), range(outer)];
  if (!a || !b || a.bits < b.bits) return false;
  const size = 2 ** (32 - b.bits);
  return Math.floor(a.address / size) === Math.floor(b.address / size);
}

function range(cidr: string): { address: number; bits: number } | undefined {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  if (!m) return undefined;
  const [a, b, c, d, bits] = m.slice(1).map(Number) as [number, number, number, number, number];
  return { address: ((a * 256 + b) * 256 + c) * 256 + d, bits };
}

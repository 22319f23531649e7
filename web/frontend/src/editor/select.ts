// What the selectors of a policy select in the lab, for the editor to offer only what
// is there. What a policy does is the server's to say. Pure.

import type { LabContents, LabPod } from "../answers.gen";
import { get, itemsOf, textOf, type Node, type Path } from "./outline";

/** A pod or a namespace, as it is called and labelled. */
export interface Subject {
  name: string;
  labels: Readonly<Record<string, string>>;
}

export interface Requirement {
  key: string;
  operator: string;
  values: string[];
}

/** The requirements of a selector, those that are not complete left out. */
export function requirements(selector: Node | undefined): Requirement[] {
  const out: Requirement[] = [];
  const labels = get(selector, ["matchLabels"]);
  if (labels?.kind === "map") {
    for (const e of labels.entries) {
      if (e.colon && e.key.text) out.push({ key: e.key.text, operator: "In", values: [e.value?.kind === "scalar" ? e.value.text : ""] });
    }
  }
  for (const item of itemsOf(get(selector, ["matchExpressions"]))) {
    const [key, operator] = [textOf(get(item, ["key"])), textOf(get(item, ["operator"]))];
    if (!key || !operator) continue;
    out.push({ key, operator, values: itemsOf(get(item, ["values"])).map((v) => textOf(v) ?? "") });
  }
  return out;
}

/** Whether something with these labels meets all requirements. */
export function meets(labels: Subject["labels"], all: readonly Requirement[]): boolean {
  return all.every(({ key, operator, values }) => {
    const has = Object.hasOwn(labels, key);
    switch (operator) {
      case "In":
        return has && values.includes(labels[key]!);
      case "NotIn":
        return !has || !values.includes(labels[key]!);
      case "Exists":
        return has;
      case "DoesNotExist":
        return !has;
    }
    return false;
  });
}

export const podName = (p: LabPod): string => `${p.namespace}/${p.name}`;

/** The policy's namespace; undefined where it names none. */
export function namespaceOf(root: Node | undefined, policy: Path = []): string | undefined {
  return textOf(get(root, [...policy, "metadata", "namespace"]));
}

/** The pods that a policy can select. One that names no namespace yet may be for each of the lab's. */
function podsOf(lab: LabContents, namespaces: (name: string) => boolean): LabPod[] {
  return lab.pods.filter((p) => !p.hostNetwork && namespaces(p.namespace));
}

function own(lab: LabContents, root: Node | undefined, policy: Path): (name: string) => boolean {
  const namespace = namespaceOf(root, policy);
  const system = new Set(lab.namespaces.filter((n) => n.system).map((n) => n.name));
  return namespace === undefined ? (name) => !system.has(name) : (name) => name === namespace;
}

const subject = (p: LabPod): Subject => ({ name: podName(p), labels: p.labels });

/** What the policy's path begins with, where it stands in a List. */
export function policyPath(path: Path): Path {
  return path[0] === "items" && typeof path[1] === "number" ? path.slice(0, 2) : [];
}

/**
 * What the selector at the path chooses among: pods of the policy's namespace, or with a
 * namespaceSelector beside it those of the selected namespaces, or the namespaces.
 */
export function scopeOf(lab: LabContents, root: Node | undefined, path: Path): { of: "pods" | "namespaces"; among: Subject[] } {
  if (path.at(-1) === "namespaceSelector") return { of: "namespaces", among: lab.namespaces };
  const beside = path.length - policyPath(path).length > 2 ? get(root, [...path.slice(0, -1), "namespaceSelector"]) : undefined;
  let namespaces = own(lab, root, policyPath(path));
  if (beside) {
    const all = requirements(beside);
    const selected = new Set(lab.namespaces.filter((n) => meets(n.labels, all)).map((n) => n.name));
    namespaces = (name) => selected.has(name);
  }
  return { of: "pods", among: podsOf(lab, namespaces).map(subject) };
}

/** The pods that the policy is for. */
export function subjects(lab: LabContents, root: Node | undefined, policy: Path): LabPod[] {
  const all = requirements(get(root, [...policy, "spec", "podSelector"]));
  return podsOf(lab, own(lab, root, policy)).filter((p) => meets(p.labels, all));
}

/** The pods that a peer selects; none for one by address. */
export function peers(lab: LabContents, root: Node | undefined, path: Path): LabPod[] {
  const [pods, namespaces] = [get(root, [...path, "podSelector"]), get(root, [...path, "namespaceSelector"])];
  if (!pods && !namespaces) return [];
  const scope = new Set(scopeOf(lab, root, [...path, "podSelector"]).among.map((s) => s.name));
  const all = requirements(pods);
  return lab.pods.filter((p) => scope.has(podName(p)) && meets(p.labels, all));
}

/** What is selected, in words. */
export function selects(names: readonly string[], of: "pods" | "namespaces", all = false): string {
  if (names.length === 0) return of === "pods" ? "selects no pod" : "selects no namespace";
  if (names.length > 3) return `selects ${all ? "all " : ""}${names.length} ${of}`;
  const before = of === "pods" ? "" : names.length > 1 ? "namespaces " : "namespace ";
  return `selects ${before}${names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0]}`;
}

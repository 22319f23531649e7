// Policies and rules by what they are for, with the lab's own names. ${n:word} is a
// place to fill in; places of one number are filled in together. Pure.

import type { LabContents, LabPod } from "../answers.gen";
import { plain } from "./outline";
import { podName } from "./select";

export interface Snippet {
  label: string;
  detail: string;
  text: string;
}

const head = (name: string, namespace: string): string =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: ${name}\n  namespace: ${namespace}\nspec:\n`;

/** The ways that the snippets fill their places from the lab. */
interface Names {
  namespace: string;
  server: LabPod;
  port: { port: number; protocol: string };
  client: LabPod;
  /** A pod of another namespace, where there is one. */
  stranger: LabPod | undefined;
}

function namesOf(lab: LabContents, namespace: string | undefined): Names | undefined {
  const own = new Set(lab.namespaces.filter((n) => !n.system).map((n) => n.name));
  const pods = lab.pods.filter((p) => own.has(p.namespace) && !p.hostNetwork);
  const there = (p: LabPod): boolean => namespace === undefined || p.namespace === namespace;
  const labelled = (p: LabPod): boolean => Object.keys(p.labels).length > 0;
  const servers = pods.filter((p) => there(p) && labelled(p) && p.ports.length > 0);
  // The second one is rather what others talk to.
  const server = servers.find((p) => pods.some((q) => q !== p && labelled(q) && q.namespace === p.namespace && pods.indexOf(q) < pods.indexOf(p))) ?? servers[0];
  if (!server) return undefined;
  const client = pods.find((p) => p !== server && labelled(p) && p.namespace === server.namespace) ?? server;
  const stranger = pods.find((p) => p.namespace !== server.namespace && labelled(p));
  return { namespace: server.namespace, server, port: server.ports[0]!, client, stranger };
}

/** The label that a pod is told from its neighbours by, as key and value. */
function labelOf(lab: LabContents, pod: LabPod): [string, string] {
  const neighbours = lab.pods.filter((p) => p.namespace === pod.namespace && p !== pod);
  const labels = Object.entries(pod.labels);
  return labels.find(([k, v]) => neighbours.every((p) => p.labels[k] !== v)) ?? labels[0] ?? ["app", pod.name];
}

const dnsPeer = (indent: string): string =>
  `${indent}- to:\n${indent}    - namespaceSelector:\n${indent}        matchLabels:\n${indent}          kubernetes.io/metadata.name: kube-system\n` +
  `${indent}      podSelector:\n${indent}        matchLabels:\n${indent}          k8s-app: kube-dns\n` +
  `${indent}  ports:\n${indent}    - protocol: UDP\n${indent}      port: 53\n${indent}    - protocol: TCP\n${indent}      port: 53\n`;

/** Whole policies, for an empty file; namespace is the one that they are rather for. */
export function policies(lab: LabContents, namespace?: string): Snippet[] {
  const names = namesOf(lab, namespace);
  const ns = `\${1:${names?.namespace ?? namespace ?? "default"}}`;
  const deny = (name: string, types: string): string => `${head(name, ns)}  podSelector: {}\n  policyTypes: [${types}]\n`;
  const out: Snippet[] = [
    { label: "Deny all, in and out", detail: "isolates every pod of a namespace", text: deny("default-deny-all", "Ingress, Egress") },
    { label: "Deny all that comes in", detail: "isolates every pod for ingress", text: deny("default-deny-ingress", "Ingress") },
    { label: "Deny all that goes out", detail: "isolates every pod for egress, DNS too", text: deny("default-deny-egress", "Egress") },
    {
      label: "Allow DNS",
      detail: "for every pod of a namespace, UDP and TCP",
      text: `${head("allow-dns", ns)}  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n${dnsPeer("    ")}`,
    },
  ];
  if (names) {
    const { server, client, stranger, port } = names;
    const [sk, sv] = labelOf(lab, server);
    const [ck, cv] = labelOf(lab, client);
    const ports = (n: number): string => `      ports:\n        - protocol: ${port.protocol}\n          port: \${${n}:${port.port}}\n`;
    const pod = (n: number, k: string, v: string, indent: string): string => `${indent}podSelector:\n${indent}  matchLabels:\n${indent}    ${k}: \${${n}:${plain(v)}}\n`;
    const ingress = (name: string, peer: string): string =>
      `${head(name, ns)}${pod(2, sk, sv, "  ")}  policyTypes: [Ingress]\n  ingress:\n    - from:\n${peer}${ports(4)}`;
    if (client !== server) {
      out.push(
        {
          label: "Let a pod in on a port",
          detail: `such as ${client.name} to ${server.name}, ${port.port}`,
          text: ingress(`allow-${client.name}-to-${server.name}`, pod(3, ck, cv, "          ").replace("          podSelector", "        - podSelector")),
        },
        {
          label: "Both ends of a connection",
          detail: "two policies: one lets it out, one lets it in",
          text:
            ingress(`allow-${client.name}-to-${server.name}`, pod(3, ck, cv, "          ").replace("          podSelector", "        - podSelector")) +
            `---\n${head(`allow-${client.name}-to-${server.name}-egress`, ns)}${pod(3, ck, cv, "  ")}  policyTypes: [Egress]\n  egress:\n    - to:\n` +
            pod(2, sk, sv, "          ").replace("          podSelector", "        - podSelector") +
            ports(4),
        },
      );
    }
    if (stranger) {
      const [xk, xv] = labelOf(lab, stranger);
      const inNamespace = `        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: \${3:${stranger.namespace}}\n`;
      out.push(
        { label: "Let a namespace in", detail: `such as all of ${stranger.namespace} to ${server.name}`, text: ingress(`allow-${stranger.namespace}-to-${server.name}`, inNamespace) },
        {
          label: "Let a pod of another namespace in",
          detail: `such as ${podName(stranger)} to ${server.name}`,
          text: ingress(`allow-${stranger.name}-to-${server.name}`, inNamespace + pod(5, xk, xv, "          ")),
        },
      );
    }
    const host = lab.hosts.find((h) => h.addresses.length > 0 && h.ports.length > 0);
    if (host) {
      const [hostPort] = host.ports;
      out.push({
        label: "Allow an outside address",
        detail: `such as ${client.name} to ${host.name}, ${host.addresses[0]}`,
        text:
          `${head(`allow-${client.name}-to-${host.name}`, ns)}${pod(2, ck, cv, "  ")}  policyTypes: [Egress]\n  egress:\n    - to:\n        - ipBlock:\n            cidr: \${3:${cidrOf(host.addresses[0]!)}}\n` +
          `      ports:\n        - protocol: ${hostPort!.protocol}\n          port: \${4:${hostPort!.port}}\n`,
      });
    }
    out.push({
      label: "Allow all of the outside, not the cluster",
      detail: "every address but those of pods and Services",
      text:
        `${head(`allow-${client.name}-to-the-outside`, ns)}${pod(2, ck, cv, "  ")}  policyTypes: [Egress]\n  egress:\n    - to:\n        - ipBlock:\n            cidr: 0.0.0.0/0\n            except:\n` +
        lab.ranges.map((r) => `              - ${r.cidr}\n`).join(""),
    });
  }
  return out;
}

/** Rules for the list of that name, in a policy of the namespace; each is an item without its dash. */
export function rules(lab: LabContents, list: "ingress" | "egress", namespace?: string): Snippet[] {
  const names = namesOf(lab, namespace);
  const out: Snippet[] = [];
  const peer = list === "ingress" ? "from" : "to";
  if (names) {
    const [k, v] = labelOf(lab, list === "ingress" ? names.client : names.server);
    const other = list === "ingress" ? names.client : names.server;
    const ports = `ports:\n  - protocol: ${names.port.protocol}\n    port: \${3:${names.port.port}}\n`;
    out.push({
      label: list === "ingress" ? "from a pod, on a port" : "to a pod, on a port",
      detail: `such as ${other.name}, ${names.port.port}`,
      text: `${peer}:\n  - podSelector:\n      matchLabels:\n        ${k}: \${1:${plain(v)}}\n${ports}`,
    });
    if (names.stranger) {
      out.push({
        label: list === "ingress" ? "from a namespace" : "to a namespace",
        detail: `such as ${names.stranger.namespace}`,
        text: `${peer}:\n  - namespaceSelector:\n      matchLabels:\n        kubernetes.io/metadata.name: \${1:${names.stranger.namespace}}\n`,
      });
    }
  }
  if (list === "egress") {
    out.push({ label: "to DNS", detail: "UDP and TCP", text: dnsPeer("").replace(/^- /, "").replace(/^ {2}/gm, "") });
    const host = lab.hosts.find((h) => h.addresses.length > 0 && h.ports.length > 0);
    if (host) {
      out.push({
        label: "to an outside address",
        detail: `such as ${host.name}`,
        text: `to:\n  - ipBlock:\n      cidr: \${1:${cidrOf(host.addresses[0]!)}}\nports:\n  - protocol: ${host.ports[0]!.protocol}\n    port: \${2:${host.ports[0]!.port}}\n`,
      });
    }
  }
  return out;
}

/** The address alone, as a range. */
export function cidrOf(address: string): string {
  return address + (address.includes(":") ? "/128" : "/32");
}

/** The snippet's text with what it proposes at its places. */
export function filled(text: string): string {
  return text.replace(/\$\{\d+:([^}]*)\}/g, "$1");
}

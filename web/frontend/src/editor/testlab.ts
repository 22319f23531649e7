// A lab and a schema for the editor's tests, shaped as GET /labs/{lab} and GET /schema
// tell them.

import type { LabContents, Schema, SchemaField } from "../answers.gen";

const meta = "kubernetes.io/metadata.name";

export const lab: LabContents = {
  lab: "shop",
  running: false,
  namespaces: [
    { name: "production", labels: { [meta]: "production", environment: "production" } },
    { name: "monitoring", labels: { [meta]: "monitoring", environment: "monitoring" } },
    { name: "kube-system", labels: { [meta]: "kube-system" }, system: true },
  ],
  pods: [
    pod("production", "web", { app: "web", tier: "front" }, [["http", 8080, "TCP"]]),
    pod("production", "api", { app: "api", tier: "back" }, [["http", 8080, "TCP"], ["admin", 9090, "TCP"]]),
    pod("production", "db", { app: "db", tier: "back", "2nd": "true" }, [["postgres", 5432, "TCP"]]),
    pod("monitoring", "prometheus", { app: "prometheus" }, [["http", 9090, "TCP"], ["statsd", 8125, "UDP"]]),
    { ...pod("monitoring", "node-agent", { app: "node-agent" }, [["metrics", 9100, "TCP"]]), hostNetwork: true },
    pod("kube-system", "coredns-1", { "k8s-app": "kube-dns" }, [["dns", 53, "UDP"], ["dns-tcp", 53, "TCP"]]),
  ],
  services: [
    { namespace: "production", name: "api", addresses: [], selector: { app: "api" }, ports: [{ name: "http", port: 80, targetPort: 8080, protocol: "TCP" }] },
  ],
  hosts: [
    { name: "internet", note: "a host outside the cluster", addresses: ["203.0.113.80"], ports: [{ name: "https", port: 443, protocol: "TCP" }] },
    { name: "office", addresses: ["10.20.0.5"], ports: [{ name: "https", port: 8443, protocol: "TCP" }] },
  ],
  ranges: [
    { cidr: "10.244.0.0/16", of: "pods" },
    { cidr: "10.96.0.0/16", of: "Services" },
  ],
};

function pod(namespace: string, name: string, labels: Record<string, string>, ports: [string, number, string][]): LabContents["pods"][number] {
  return { namespace, name, labels, addresses: [], ports: ports.map(([name, port, protocol]) => ({ name, port, protocol })) };
}

function field(name: string, kind: SchemaField["kind"], more: Partial<SchemaField> = {}): SchemaField {
  return { name, kind, doc: `what ${name} is`, ...more };
}

const rule = (peers: string): SchemaField[] => [field("ports", "objects", { of: "NetworkPolicyPort" }), field(peers, "objects", { of: "NetworkPolicyPeer" })];

export const schema: Schema = {
  root: "NetworkPolicy",
  types: Object.fromEntries(
    Object.entries<SchemaField[]>({
      NetworkPolicy: [
        field("kind", "string", { required: true, values: ["NetworkPolicy"] }),
        field("apiVersion", "string", { required: true, values: ["networking.k8s.io/v1"] }),
        field("metadata", "object", { of: "ObjectMeta", required: true }),
        field("spec", "object", { of: "NetworkPolicySpec", required: true }),
      ],
      ObjectMeta: [
        field("name", "string", { required: true }),
        field("namespace", "string"),
        field("labels", "map"),
        field("uid", "string", { managed: true }),
      ],
      NetworkPolicySpec: [
        field("podSelector", "object", { of: "LabelSelector" }),
        field("ingress", "objects", { of: "NetworkPolicyIngressRule" }),
        field("egress", "objects", { of: "NetworkPolicyEgressRule" }),
        field("policyTypes", "strings", { values: ["Ingress", "Egress"] }),
      ],
      NetworkPolicyIngressRule: rule("from"),
      NetworkPolicyEgressRule: rule("to"),
      NetworkPolicyPeer: [
        field("podSelector", "object", { of: "LabelSelector" }),
        field("namespaceSelector", "object", { of: "LabelSelector" }),
        field("ipBlock", "object", { of: "IPBlock" }),
      ],
      NetworkPolicyPort: [
        field("protocol", "string", { values: ["TCP", "UDP", "SCTP"] }),
        field("port", "port"),
        field("endPort", "integer"),
      ],
      IPBlock: [field("cidr", "string", { required: true }), field("except", "strings")],
      LabelSelector: [field("matchLabels", "map"), field("matchExpressions", "objects", { of: "LabelSelectorRequirement" })],
      LabelSelectorRequirement: [
        field("key", "string", { required: true }),
        field("operator", "string", { required: true, values: ["In", "NotIn", "Exists", "DoesNotExist"] }),
        field("values", "strings"),
      ],
    }).map(([name, fields]) => [name, { doc: `what a ${name} is`, fields }]),
  ),
};

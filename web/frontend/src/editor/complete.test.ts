import assert from "node:assert/strict";
import { test } from "node:test";
import { complete, within, type Candidate } from "./complete";
import { lab, schema } from "./testlab";

/** What is offered at the bar. */
function at(text: string): Candidate[] {
  const offset = text.indexOf("|");
  return complete(text.slice(0, offset) + text.slice(offset + 1), offset, schema, lab)?.candidates ?? [];
}

const labels = (text: string): string[] => at(text).map((c) => c.label);

/** The text with the candidate of that label taken; the bar is where the cursor is then. */
function take(text: string, label: string): string {
  const offset = text.indexOf("|");
  const plain = text.slice(0, offset) + text.slice(offset + 1);
  const { from, to, candidates } = complete(plain, offset, schema, lab)!;
  const c = candidates.find((x) => x.label === label);
  assert.ok(c, `${label} is not among ${candidates.map((x) => x.label).join(", ")}`);
  const caret = c.caret ?? c.insert.length;
  return plain.slice(0, from) + c.insert.slice(0, caret) + "|" + c.insert.slice(caret) + plain.slice(to);
}

const policy = (spec: string, namespace = "production"): string => `metadata:\n  name: x\n  namespace: ${namespace}\nspec:\n${spec}`;
const detail = (text: string, label: string): string | undefined => at(text).find((c) => c.label === label)?.detail;

test("fields_are_offered_where_they_may_stand_and_only_once", () => {
  assert.deepEqual(labels(policy("  po|")), ["podSelector", "ingress", "egress", "policyTypes"]);
  assert.deepEqual(labels(policy("  podSelector: {}\n  |\n  egress: []")), ["ingress", "policyTypes"]);
  assert.deepEqual(labels("metadata:\n  na|"), ["name", "namespace", "labels"]); // and none that the cluster sets
  assert.deepEqual(labels(policy("  ingress:\n    - from:\n        - podSelector: {}\n          |")), ["namespaceSelector"]);
  assert.deepEqual(labels(policy("  ingress:\n    - from:\n        - ipBlock: {}\n          |")), []);
  assert.deepEqual(labels(policy("  nonsense:\n    |")), []);
});

test("a_field_brings_the_beginning_of_what_it_holds", () => {
  assert.equal(take(policy("  podS|"), "podSelector"), policy("  podSelector:\n    |"));
  assert.equal(take(policy("  podSelector: {}\n  ing|"), "ingress"), policy("  podSelector: {}\n  ingress:\n    - |"));
  assert.equal(take(policy("  pol|"), "policyTypes"), policy("  policyTypes: [|]"));
  assert.equal(take(policy("  ingress:\n    - po|"), "ports"), policy("  ingress:\n    - ports:\n        - |"));
  assert.equal(take(policy("  ingress:\n    |"), "from"), policy("  ingress:\n    - from:\n        - |"));
  assert.equal(take(policy("  ingress: [{fr|}]"), "from"), policy("  ingress: [{from: [{|}]}]"));
  assert.equal(take("metadata:\n  nam|", "name"), "metadata:\n  name: |");
  assert.equal(take(policy("  podS|: {}"), "podSelector"), policy("  podSelector|: {}")); // a colon is there
});

test("values_are_those_that_the_API_takes", () => {
  assert.deepEqual(labels("kind: |"), ["NetworkPolicy"]);
  assert.deepEqual(labels("apiVersion: net|"), ["networking.k8s.io/v1"]);
  assert.deepEqual(labels(policy("  policyTypes: [Ingress, |]")), ["Egress"]);
  assert.deepEqual(labels(policy("  policyTypes:\n    - |")), ["Ingress", "Egress"]);
  assert.equal(take(policy("  policyTypes:\n    |"), "Egress"), policy("  policyTypes:\n    - Egress|"));
  assert.deepEqual(labels(policy("  egress:\n    - ports:\n        - protocol: |")), ["TCP", "UDP", "SCTP"]);
  assert.deepEqual(labels(policy("  podSelector:\n    matchExpressions:\n      - operator: |")), ["In", "NotIn", "Exists", "DoesNotExist"]);
});

test("namespaces_are_the_labs_own", () => {
  assert.deepEqual(labels("metadata:\n  namespace: |"), ["production", "monitoring"]);
});

test("names_say_what_the_policy_does", () => {
  const named = (spec: string): string[] => labels(`metadata:\n  name: |\nspec:\n${spec}`);
  assert.deepEqual(named("  podSelector: {}\n  policyTypes: [Ingress, Egress]"), ["default-deny-all"]);
  assert.deepEqual(named("  podSelector: {}\n  policyTypes: [Egress]"), ["default-deny-egress"]);
  assert.deepEqual(named("  podSelector: {matchLabels: {app: api}}\n  ingress:\n    - from: [{podSelector: {matchLabels: {app: web}}}]"), ["allow-web-to-api"]);
  assert.deepEqual(named("  podSelector: {}\n  egress:\n    - to: [{podSelector: {matchLabels: {k8s-app: kube-dns}}}]"), ["allow-dns"]);
});

test("labels_of_the_policys_own_selector_are_those_of_pods_in_its_namespace", () => {
  const text = policy("  podSelector:\n    matchLabels:\n      |");
  assert.deepEqual(labels(text).filter((l) => l.startsWith("app")), ["app: web", "app: api", "app: db", "app"]);
  assert.equal(detail(text, "app: api"), "selects production/api");
  assert.equal(detail(text, "tier: back"), "selects production/api and production/db");
  assert.deepEqual(labels(policy("  podSelector:\n    matchLabels:\n      ap|", "monitoring")), ["app: prometheus", "app"]); // node-agent is no policy's
  assert.deepEqual(labels("spec:\n  podSelector:\n    matchLabels:\n      |").filter((l) => l.startsWith("app: ")).length, 4); // no namespace yet
});

test("a_second_label_says_what_both_together_select", () => {
  const text = policy("  podSelector:\n    matchLabels:\n      tier: back\n      |");
  assert.equal(detail(text, "app: api"), "selects production/api");
  assert.equal(detail(text, "app: web"), "selects no pod");
  assert.ok(!labels(text).includes("tier: front"));
});

test("a_labels_values_are_those_that_it_has", () => {
  const text = policy("  podSelector:\n    matchLabels:\n      app: |");
  assert.deepEqual(labels(text), ["web", "api", "db"]);
  assert.equal(detail(text, "db"), "selects production/db");
  assert.deepEqual(labels(policy('  podSelector: {matchLabels: {tier: "ba|"}}')), ["front", "back"]);
  assert.equal(take(policy('  podSelector: {matchLabels: {tier: "ba|"}}'), "back"), policy('  podSelector: {matchLabels: {tier: "back|"}}'));
});

test("what_YAML_would_read_as_something_else_is_put_in_quotes", () => {
  assert.equal(take(policy("  podSelector:\n    matchLabels:\n      |"), "2nd: true"), policy('  podSelector:\n    matchLabels:\n      "2nd": "true"|'));
});

test("a_peer_without_a_namespaceSelector_is_of_the_policys_namespace", () => {
  const text = policy("  ingress:\n    - from:\n        - podSelector:\n            matchLabels:\n              app: |", "monitoring");
  assert.deepEqual(labels(text), ["prometheus"]);
});

test("a_peer_with_a_namespaceSelector_is_of_the_selected_namespaces", () => {
  const peer = "  egress:\n    - to:\n        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}\n          podSelector:\n            matchLabels:\n              |";
  assert.deepEqual(labels(policy(peer)), ["k8s-app: kube-dns", "k8s-app"]);
  assert.equal(detail(policy(peer), "k8s-app: kube-dns"), "selects kube-system/coredns-1");
  const all = "  egress:\n    - to:\n        - podSelector:\n            matchLabels:\n              app: |\n          namespaceSelector: {}\n";
  assert.deepEqual(labels(policy(all)), ["web", "api", "db", "prometheus"]);
});

test("a_namespaceSelector_chooses_namespaces_their_own_name_first", () => {
  const text = policy("  ingress:\n    - from:\n        - namespaceSelector:\n            matchLabels:\n              |");
  const first = at(text).sort((a, b) => (b.boost ?? 0) - (a.boost ?? 0))[0]!;
  assert.equal(first.label, "kubernetes.io/metadata.name: production");
  assert.equal(first.detail, "selects namespace production");
  assert.deepEqual(labels(text.replace("|", "kubernetes.io/metadata.name: |")), ["production", "monitoring", "kube-system"]);
});

test("behind_a_selectors_colon_is_all_or_a_label", () => {
  assert.equal(detail(policy("  podSelector: |"), "{}"), "selects production/web, production/api and production/db");
  assert.equal(take(policy("  podSelector: |"), "app: api"), policy("  podSelector: {matchLabels: {app: api}}|"));
});

test("expressions_have_keys_and_values_that_are_there", () => {
  const e = (item: string): string => policy(`  podSelector:\n    matchExpressions:\n      - ${item}`);
  assert.ok(labels(e("key: |")).includes("tier"));
  assert.equal(detail(e("key: |"), "2nd"), "1 of 3 pods has it");
  assert.deepEqual(labels(e("{key: app, operator: In, values: [web, |]}")), ["api", "db"]);
  assert.equal(detail(e("{key: app, operator: NotIn, values: [|]}"), "db"), "leaves out production/db");
  assert.deepEqual(labels(e("{key: app, operator: Exists, values: [|]}")), []);
});

test("ports_of_what_comes_in_are_those_of_the_selected_pods", () => {
  const rule = "  podSelector: {matchLabels: {app: api}}\n  ingress:\n    - ports:\n        - port: |";
  assert.deepEqual(labels(policy(rule)), ["8080", "9090", "http", "admin"]);
  assert.equal(detail(policy(rule), "8080"), "http of production/api");
  assert.equal(detail(policy(rule), "admin"), "9090 of production/api");
});

test("ports_of_what_goes_out_are_those_of_the_peers", () => {
  const to = (peer: string, port: string): string => policy(`  podSelector: {}\n  egress:\n    - to:\n        - ${peer}\n      ports:\n        - ${port}`);
  assert.deepEqual(labels(to("podSelector: {matchLabels: {app: db}}", "port: |")), ["5432", "postgres"]);
  assert.deepEqual(labels(to("ipBlock: {cidr: 203.0.113.0/24}", "port: |")), ["443", "https"]);
  const dns = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}";
  assert.deepEqual(labels(to(dns, "{protocol: UDP, port: |}")), ["53", "dns"]);
  assert.equal(take(to(dns, "port: |"), "53 UDP"), to(dns, "port: 53\n          protocol: UDP|")); // a port is one of TCP where it does not say
  assert.ok(labels(policy("  egress:\n    - ports:\n        - port: |")).includes("5432"));
});

test("addresses_are_of_what_is_there", () => {
  const to = (block: string): string => policy(`  egress:\n    - to:\n        - ipBlock:\n${block}`);
  assert.deepEqual(labels(to("            cidr: |")), ["203.0.113.80/32", "10.20.0.5/32", "0.0.0.0/0", "10.244.0.0/16", "10.96.0.0/16"]);
  assert.equal(detail(to("            cidr: |"), "203.0.113.80/32"), "internet");
  assert.deepEqual(labels(to("            cidr: 10.0.0.0/8\n            except: [10.96.0.0/16, |]")), ["10.20.0.5/32", "10.244.0.0/16"]);
});

test("an_empty_file_is_offered_whole_policies_and_one_with_something_in_it_is_not", () => {
  assert.ok(labels("|").includes("Allow DNS"));
  assert.ok(labels("dn|").includes("Allow DNS"));
  assert.ok(labels("a: b\n---\n|").includes("Allow DNS"));
  assert.ok(!labels("kind: NetworkPolicy\n|").includes("Allow DNS"));
});

test("a_rule_is_offered_by_what_it_is_for_at_its_own_column", () => {
  assert.equal(
    take(policy("  egress:\n    - |"), "to an outside address"),
    policy("  egress:\n    - to:\n        - ipBlock:\n            cidr: ${1:203.0.113.80/32}\n      ports:\n        - protocol: TCP\n          port: ${2:443}|"),
  );
  assert.ok(take(policy("  egress:\n  - |"), "to DNS").includes("  egress:\n  - to:\n      - namespaceSelector:\n          matchLabels:"));
  assert.ok(!labels(policy("  egress:\n    - to: []\n      |")).includes("to DNS"));
});

test("without_a_lab_the_schema_is_offered", () => {
  assert.deepEqual(complete("kind: ", 6, schema, undefined)?.candidates.map((c) => c.label), ["NetworkPolicy"]);
  assert.equal(complete("metadata: {namespace: }", 22, schema, undefined), undefined);
});

test("a_range_is_within_another", () => {
  for (const [inner, outer, want] of [
    ["10.20.0.5/32", "10.0.0.0/8", true], ["10.0.0.0/8", "10.20.0.5/32", false], ["203.0.113.80/32", "0.0.0.0/0", true],
    ["203.0.113.80/32", "203.0.113.81/32", false], ["fe80::1/128", "0.0.0.0/0", false],
  ] as const) {
    assert.equal(within(inner, outer), want, `${inner} in ${outer}`);
  }
});

test("nothing_that_is_typed_makes_it_fail", () => {
  const text = policy("  podSelector: {matchLabels: {app: api}}\n  ingress:\n    - from:\n        - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}\n      ports:\n        - {port: 80, protocol: TCP}\n");
  for (let n = 0; n <= text.length; n++) {
    complete(text.slice(0, n), n, schema, lab);
    complete(text, n, schema, lab);
    complete(text.slice(0, n) + "\n- \t", n + 4, schema, lab);
  }
});

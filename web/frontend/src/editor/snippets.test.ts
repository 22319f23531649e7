import assert from "node:assert/strict";
import { test } from "node:test";
import { documents, get, itemsOf, read, textOf } from "./outline";
import { peers, podName, requirements, subjects } from "./select";
import { filled, policies, rules } from "./snippets";
import { lab } from "./testlab";

test("each_whole_policy_has_a_name_a_namespace_and_what_it_isolates_for", () => {
  for (const s of policies(lab)) {
    const text = filled(s.text);
    assert.ok(!text.includes("${"), s.label);
    for (const d of documents(text)) {
      const root = read(text.slice(d.from, d.to));
      assert.ok(/^[a-z0-9-]+$/.test(textOf(get(root, ["metadata", "name"])) ?? ""), s.label);
      assert.equal(textOf(get(root, ["metadata", "namespace"])), "production", s.label);
      assert.ok(itemsOf(get(root, ["spec", "policyTypes"])).length > 0, s.label);
      assert.ok(get(root, ["spec", "podSelector"]), s.label);
    }
  }
});

test("snippets_name_pods_that_there_are_and_the_port_that_they_serve", () => {
  const of = (label: string): string => filled(policies(lab).find((s) => s.label === label)!.text);
  const text = of("Both ends of a connection");
  const [one, two] = documents(text).map((d) => read(text.slice(d.from, d.to)));
  for (const [root, list, peer, self, other] of [
    [one, "ingress", "from", "production/api", "production/web"],
    [two, "egress", "to", "production/web", "production/api"],
  ] as const) {
    assert.deepEqual(subjects(lab, root, []).map(podName), [self]);
    assert.deepEqual(peers(lab, root, ["spec", list, 0, peer, 0]).map(podName), [other]);
    assert.equal(textOf(get(root, ["spec", list, 0, "ports", 0, "port"])), "8080");
  }
  const stranger = read(of("Let a pod of another namespace in"));
  assert.deepEqual(peers(lab, stranger, ["spec", "ingress", 0, "from", 0]).map(podName), ["monitoring/prometheus"]);
  const dns = read(of("Allow DNS"));
  assert.deepEqual(peers(lab, dns, ["spec", "egress", 0, "to", 0]).map(podName), ["kube-system/coredns-1"]);
  assert.equal(itemsOf(get(dns, ["spec", "egress", 0, "to"])).length, 1); // both selectors in one peer: only that namespace's
  assert.equal(textOf(get(read(of("Allow an outside address")), ["spec", "egress", 0, "to", 0, "ipBlock", "cidr"])), "203.0.113.80/32");
});

test("snippets_are_for_the_files_own_namespace", () => {
  const all = policies(lab, "monitoring").map((s) => filled(s.text)).join("---\n");
  assert.ok(all.includes("namespace: monitoring"));
  assert.ok(!all.includes("namespace: production"));
});

test("a_lab_with_nothing_in_it_has_the_snippets_that_need_nothing", () => {
  const empty = { ...lab, pods: [], hosts: [] };
  assert.deepEqual(policies(empty).map((s) => s.label), ["Deny all, in and out", "Deny all that comes in", "Deny all that goes out", "Allow DNS"]);
  assert.deepEqual(rules(empty, "egress").map((s) => s.label), ["to DNS"]);
});

test("each_rule_is_an_item_without_its_dash", () => {
  for (const list of ["ingress", "egress"] as const) {
    for (const s of rules(lab, list, "production")) {
      const text = `spec:\n  ${list}:\n    - ${filled(s.text).trimEnd().replaceAll("\n", "\n      ")}\n`;
      const rule = get(read(text), ["spec", list, 0]);
      const peer = itemsOf(get(rule, [list === "ingress" ? "from" : "to"]))[0];
      assert.ok(requirements(get(peer, ["podSelector"])).length + requirements(get(peer, ["namespaceSelector"])).length > 0 || get(peer, ["ipBlock", "cidr"]), s.label);
    }
  }
});

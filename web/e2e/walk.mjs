// The lesson's policies, and what each flow must come to under them, for the walks
// through real labs.
import assert from "node:assert/strict";
import { until } from "./browser.mjs";

export const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes:
    - Ingress
    - Egress
`;

export const webToApi = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web-may-call-api
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes:
    - Egress
  egress:
    - to:
        - podSelector:
            matchLabels:
              app: api
      ports:
        - port: 8080
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-admits-web
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: api
  policyTypes:
    - Ingress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: web
      ports:
        - port: 8080
`;

export const dns = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: all-may-ask-dns
  namespace: production
spec:
  podSelector: {}
  policyTypes:
    - Egress
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
      ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
`;

// What each flow must come to while production denies everything but what is
// allowed here. The node's own processes always reach the pods on it.
export function verdictIn(flow, allowed) {
  const [, from, to, byName] = /^(.+)>(.+?):\d+\/[A-Z]+(@name)?$/.exec(flow);
  const inProduction = (end) => end.startsWith("production/");
  if (!inProduction(from)) return inProduction(to) && from !== "monitoring/node-agent" ? "blocked" : "open";
  if (to === "kube-system/kube-dns") return allowed.dns ? "open" : "blocked";
  if (byName && !allowed.dns) return "dns-failed";
  return allowed.webToApi && flow.startsWith("production/web>production/api:8080/") ? "open" : "blocked";
}

const verdicts = (page) =>
  page.locator("#matrix [data-flow]").evaluateAll((spans) => Object.fromEntries(spans.map((s) => [s.dataset.flow, s.dataset.verdict])));

/** Waits until every flow's verdict is what the function says; then none may be wrong. */
export async function becomes(want, on, timeout = 15_000) {
  const wanted = Object.fromEntries(Object.keys(await verdicts(on)).map((flow) => [flow, want(flow)]));
  assert.ok(Object.keys(wanted).length > 50, "the matrix has the lesson's flows");
  const right = async () => JSON.stringify(await verdicts(on)) === JSON.stringify(wanted);
  await until(right, "the matrix", timeout).catch(async () => assert.deepEqual(await verdicts(on), wanted));
}

/** Puts the YAML into the editor and applies it, by keyboard alone. */
export async function apply(yaml, page) {
  await page.locator(".cm-content").focus();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(yaml);
  await page.keyboard.press("ControlOrMeta+Enter");
}

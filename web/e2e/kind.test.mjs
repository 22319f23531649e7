// One walk through the lesson's lab in a browser, on a real cluster. BASE_URL
// is the address of a lab that makes kind sandboxes; the walk starts a sandbox
// and stops it again.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible, collectErrors, launch, screenshot, until } from "./browser.mjs";

const base = process.env.BASE_URL;
if (!base) throw new Error("BASE_URL is not set: give the address of a lab that makes kind sandboxes");
const lesson = new URL("/lessons/network-policies", base).href;

const denyAll = `apiVersion: networking.k8s.io/v1
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

const webToApi = `apiVersion: networking.k8s.io/v1
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

const dns = `apiVersion: networking.k8s.io/v1
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

const misspelt = denyAll.replace("podSelector", "podselector");

// What each flow must come to while production denies everything but what is
// allowed here. The node's own processes always reach the pods on it.
function verdictIn(flow, allowed) {
  const [, from, to, byName] = /^(.+)>(.+?):\d+\/[A-Z]+(@name)?$/.exec(flow);
  const inProduction = (end) => end.startsWith("production/");
  if (!inProduction(from)) return inProduction(to) && from !== "monitoring/node-agent" ? "blocked" : "open";
  if (to === "kube-system/kube-dns") return allowed.dns ? "open" : "blocked";
  if (byName && !allowed.dns) return "dns-failed";
  return allowed.webToApi && flow.startsWith("production/web>production/api:8080/") ? "open" : "blocked";
}

let browser, context, page, errors;

before(async () => {
  browser = await launch();
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  errors = collectErrors(context);
  page = await context.newPage();
});

after(() => browser.close());

const text = (selector, on = page) => on.locator(selector).textContent();
const verdicts = (on = page) =>
  on.locator("#matrix [data-flow]").evaluateAll((spans) => Object.fromEntries(spans.map((s) => [s.dataset.flow, s.dataset.verdict])));

/** Waits until every flow's verdict is what the function says; then none may be wrong. */
async function becomes(want, on = page, timeout = 15_000) {
  const wanted = Object.fromEntries(Object.keys(await verdicts(on)).map((flow) => [flow, want(flow)]));
  assert.ok(Object.keys(wanted).length > 50, "the matrix has the lesson's flows");
  const right = async () => JSON.stringify(await verdicts(on)) === JSON.stringify(wanted);
  await until(right, "the matrix", timeout).catch(async () => assert.deepEqual(await verdicts(on), wanted));
}

const settled = (change, on = page) =>
  until(
    async () => (await on.locator("#lab").getAttribute("data-change")) === String(change) && /flows measured after/.test(await text("#settled", on)),
    `change ${change} has settled`,
    15_000,
  );

/** Puts the YAML into the editor and applies it, by keyboard alone. */
async function apply(yaml) {
  await page.locator(".cm-content").focus();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(yaml);
  await page.keyboard.press("ControlOrMeta+Enter");
}

test("the_lab_on_a_real_cluster", async (t) => {
  let second;

  await t.test("start_leads_to_ready_by_named_steps", async () => {
    await page.goto(lesson);
    await screenshot(page, "1-before");
    await page.getByRole("button", { name: "Start" }).click();
    await page.locator("#steps li[data-status=running]").first().waitFor({ timeout: 30_000 });
    await screenshot(page, "2-starting");
    await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "ready", "ready", 120_000).catch(async (e) => {
      throw new Error(`${e.message}; the page says: ${await text("#status")}`);
    });
    const steps = await page.locator("#steps li").evaluateAll((items) => items.map((i) => i.dataset.status));
    assert.ok(steps.length > 1);
    assert.deepEqual(new Set(steps), new Set(["done"]));
    t.diagnostic(`steps: ${(await page.locator("#steps li").allTextContents()).join("; ")}`);
  });

  await t.test("without_policies_every_flow_is_open", async () => {
    await becomes(() => "open");
    await screenshot(page, "3-open");
  });

  await t.test("default_deny_isolates_production_in_both_directions", async () => {
    await apply(denyAll);
    await becomes((flow) => verdictIn(flow, {}));
    await settled(1);
    t.diagnostic(`deny: ${await text("#settled")}`);
    assert.match(await text("#settled"), /^\d+ flows changed: .*blocked/);
    assert.deepEqual(await page.locator("#policies code").allTextContents(), ["production/default-deny-all"]);
    await screenshot(page, "4-denied");
  });

  await t.test("a_second_tab_shows_the_same", async () => {
    second = await context.newPage();
    await second.goto(lesson);
    await becomes((flow) => verdictIn(flow, {}), second);
  });

  await t.test("web_reaches_api_when_both_ends_allow_it_also_over_a_reload", async () => {
    await apply(webToApi);
    await until(async () => (await page.locator("#apply").getAttribute("aria-busy")) === null, "the lab has answered", 15_000);
    await page.reload();
    await becomes((flow) => verdictIn(flow, { webToApi: true }));
    await becomes((flow) => verdictIn(flow, { webToApi: true }), second);
    await settled(2, second);
    t.diagnostic(`allow: ${await text("#settled", second)}`);
    assert.equal(await page.locator("#policy").inputValue(), webToApi, "the reload keeps the text");
  });

  await t.test("names_resolve_when_dns_is_allowed", async () => {
    await apply(dns);
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }));
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }), second);
    await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').click();
    assert.match(await text("#flow-detail"), /^production\/web to production\/api 8080\/TCP by name: open, .* ms, answered by production\/api$/);
    await screenshot(page, "5-allowed");
  });

  await t.test("a_misspelt_field_is_told_with_its_place_and_changes_nothing", async () => {
    const before = await text("#policies");
    await apply(misspelt);
    const link = page.locator("#problems a");
    await link.waitFor();
    assert.equal(await link.textContent(), "line 7, column 3");
    assert.match(await text("#problems"), /podselector/);
    assert.equal(await page.locator(".cm-lintRange-error").textContent(), "podselector");
    assert.equal(await text("#policies"), before);
    assert.equal(await page.locator("#policy").inputValue(), misspelt);
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }));
    await screenshot(page, "6-problem");
  });

  for (const [name, look] of [
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["a phone's size", { colorScheme: "light", size: { width: 390, height: 844 } }],
    ["a phone's size in the dark", { colorScheme: "dark", size: { width: 390, height: 844 } }],
  ]) {
    await t.test(`the page is accessible in ${name}`, async () => {
      await page.emulateMedia({ colorScheme: look.colorScheme });
      await page.setViewportSize(look.size ?? { width: 1440, height: 1000 });
      await screenshot(page, `7-${name.replaceAll(/\W+/g, "-")}`, look.size ? page.locator("#lab") : page);
      await assertAccessible(page, name);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wider <= 0, `the page is ${wider} px wider than the window`);
    });
  }

  await t.test("deleting_all_policies_opens_everything_again", async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.getByRole("button", { name: "Delete all" }).click();
    await becomes(() => "open");
    await becomes(() => "open", second);
    await until(async () => (await page.locator("#policies li").count()) === 0, "no policy is listed");
  });

  await t.test("stop_removes_the_sandbox_for_both_tabs", async () => {
    await page.locator("#stop button").click();
    for (const tab of [page, second]) {
      await until(async () => (await tab.locator("#lab").getAttribute("data-state")) === "stopped", "stopped", 60_000);
      assert.equal(await tab.locator("#start").isVisible(), true);
    }
  });

  await t.test("the_browser_reported_nothing_else", () => {
    // The answer to the misspelt policy is the only failed request.
    const rest = errors.filter((e) => !/status of 422 .*\/policies\)$/.test(e));
    assert.deepEqual(rest, []);
    assert.equal(errors.length, 1);
  });
});

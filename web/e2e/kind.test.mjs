// One walk through the lesson's lab in a browser, on a real cluster. BASE_URL
// is the address of a lab that makes kind sandboxes; the walk starts a sandbox
// and stops it again.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible, collectErrors, launch, screenshot, until } from "./browser.mjs";
import * as walk from "./walk.mjs";
import { denyAll, dns, verdictIn, webToApi } from "./walk.mjs";

const base = process.env.BASE_URL;
if (!base) throw new Error("BASE_URL is not set: give the address of a lab that makes kind sandboxes");
const lesson = new URL("/lessons/network-policies", base).href;

const misspelt = denyAll.replace("podSelector", "podselector");

let browser, context, page, errors;

before(async () => {
  browser = await launch();
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  errors = collectErrors(context);
  page = await context.newPage();
});

after(() => browser.close());

const text = (selector, on = page) => on.locator(selector).textContent();
const becomes = (want, on = page, timeout) => walk.becomes(want, on, timeout);
const apply = (yaml) => walk.apply(yaml, page);

const settled = (change, on = page) =>
  until(
    // Until it has settled, what was said of the change before still stands there.
    async () => (await on.locator("#lab").getAttribute("data-change")) === String(change) && (await text("[data-see='pending']", on)) === "" && /connections measured after/.test(await text("#settled", on)),
    `change ${change} has settled`,
    30_000,
  );

test("the_lab_on_a_real_cluster", async (t) => {
  let second;

  await t.test("start_leads_to_ready_by_named_steps", async () => {
    await page.goto(lesson);
    await screenshot(page, "1-before");
    await page.getByRole("button", { name: "Start", exact: true }).click();
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

  let promised;
  await t.test("a_preview_says_what_Apply_would_do_and_sends_nothing", async () => {
    await walk.write(denyAll, page);
    await until(async () => /^Preview: \d+ flows would close\.$/.test((await text("#preview")) ?? ""), "the preview is there");
    promised = Number(/\d+/.exec(await text("#preview"))[0]);
    await becomes(() => "open");
  });

  await t.test("default_deny_isolates_production_in_both_directions", async () => {
    await apply(denyAll);
    await becomes((flow) => verdictIn(flow, {}));
    await settled(1);
    t.diagnostic(`deny: ${await text("#settled")}`);
    assert.match(await text("#settled"), /^\d+ connections changed: .*blocked/);
    assert.equal(Number(/^\d+/.exec(await text("#settled"))[0]), promised, "as many as the preview said");
    assert.deepEqual(await walk.files(page), ["production/default-deny-all: in-force"]);
    await screenshot(page, "4-denied");
  });

  await t.test("why_agrees_with_what_is_measured_and_names_the_line_that_decides", async () => {
    await page.locator('.flow[data-flow="production/web>production/api:8080/TCP"]').click();
    await until(async () => (await text(".why h2")) === "Why is it blocked?", "the panel asks the question");
    await page.locator(".why .way li").first().waitFor();
    assert.deepEqual(await page.locator(".why .voices dt").allTextContents(), ["predicted", "observed"]);
    assert.ok((await page.locator(".why .voices dd").allTextContents()).every((said) => said.endsWith("blocked")));
    assert.deepEqual(await page.locator(".why .place").allTextContents(), ["default-deny-all:7", "default-deny-all:7"]);
    assert.equal(await page.locator(".why-differs").count(), 0);
    await page.locator(".why .place").first().click();
    await until(async () => /podSelector/.test((await text(".cm-activeLine")) ?? ""), "the cursor is in that line");
    await page.locator(".why [data-focus='close']").click();
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
    const inForce = ["production/default-deny-all: in-force", "production/web-may-call-api: in-force", "production/api-admits-web: in-force"];
    for (const tab of [page, second]) await until(async () => JSON.stringify((await walk.files(tab)).sort()) === JSON.stringify([...inForce].sort()), "the reload keeps the files");
  });

  await t.test("names_resolve_when_dns_is_allowed", async () => {
    await apply(dns);
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }));
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }), second);
    await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').click();
    assert.match(await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').getAttribute("title"), /^production\/web to production\/api 8080\/TCP by name: open, .* ms, answered by production\/api\b/);
    await screenshot(page, "5-allowed");
  });

  await t.test("a_misspelt_field_is_told_with_its_place_and_changes_nothing", async () => {
    await apply(misspelt);
    const link = page.locator("#problems a");
    await link.waitFor();
    assert.equal(await link.textContent(), "line 7, column 3");
    assert.match(await text("#problems"), /podselector/);
    assert.equal(await page.locator(".cm-lintRange-error").textContent(), "podselector");
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
      await screenshot(page, `7-${name.replaceAll(/\W+/g, "-")}`);
      await assertAccessible(page, name);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wider <= 0, `the page is ${wider} px wider than the window`);
    });
  }

  for (const id of ["close-production", "front-to-back", "metrics", "names"]) {
    await t.test(`the exercise ${id} is solved by what is measured`, async () => {
      await page.setViewportSize({ width: 1440, height: 1000 });
      await walk.doExercise(page, walk.lessons[0], id);
      assert.match(await page.locator(`[data-exercise="${id}"] .predict thead`).textContent(), /Measured/);
    });
  }

  await t.test("deleting_all_policies_opens_everything_again", async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await walk.put(page, "");
    await becomes(() => "open");
    await becomes(() => "open", second);
    assert.deepEqual(await walk.files(page), []);
  });

  await t.test("what_kubectl_does_in_the_terminal_is_seen_at_once_and_in_the_workspace", async () => {
    await page.getByRole("button", { name: "Terminal", exact: true }).click();
    const says = (pattern) => until(async () => pattern.test(await text(".xterm-rows")), `the terminal says ${pattern}`, 60_000);
    await says(/lab\$\s*$/);
    await page.keyboard.type("clear\n");
    await page.keyboard.type(`cat >deny.yaml <<'EOF'\n${denyAll}EOF\nkubectl apply -f deny.yaml\n`);
    await says(/default-deny-all created/);
    await becomes((flow) => verdictIn(flow, {}));
    await becomes((flow) => verdictIn(flow, {}), second);
    await page.keyboard.type("probe --from production/web production/api 8080\n");
    await says(/blocked: production\/web to production\/api:8080\/TCP; no answer within 1s/);
    await page.keyboard.type("kubectl get secrets -n production\n");
    await says(/secrets is forbidden/);
    await screenshot(page, "8-terminal");
    await assertAccessible(page, "the terminal");
    assert.deepEqual(await walk.files(page), ["production/default-deny-all: in-force"]);
    await page.keyboard.type("kubectl delete networkpolicy --all -n production\n");
    await becomes(() => "open");
    await until(async () => (await walk.files(page)).length === 0, "the workspace has lost the file, too");
    await page.getByRole("button", { name: "Policies", exact: true }).click();
  });

  await t.test("stop_removes_the_sandbox_for_both_tabs", async () => {
    await page.locator("#state-chip").click();
    await page.locator("#stop button").click();
    for (const tab of [page, second]) {
      await until(async () => (await tab.locator("#lab").getAttribute("data-state")) === "stopped", "stopped", 60_000);
      assert.equal(await tab.locator("#start").isVisible(), true);
    }
  });

  await t.test("the_browser_reported_nothing_else", () => {
    // The answer to the misspelt policy is the only failed request.
    const rest = errors.filter((e) => !/status of 422 .*\/policies\?[^/]*\)$/.test(e));
    assert.deepEqual(rest, []);
    assert.equal(errors.length, 1);
  });
});

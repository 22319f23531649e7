// One walk through the lab in a browser, on the server as make builds it, with
// simulated sandboxes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { apply, becomes, denyAll, dns, files, put, remove, verdictIn, webToApi } from "./walk.mjs";

const { server, browser } = onTheServer(begin);
let context, page, errors;

const at = (path) => server.at(path);

async function begin() {
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  errors = collectErrors(context);
  page = await context.newPage();
}

const text = (selector, on = page) => on.locator(selector).textContent();
const state = async (on) => on.locator("#lab").getAttribute("data-state");

/** What is written on the page besides the lesson and the banner. */
const said = async (on = page) =>
  on.evaluate(() => {
    const body = document.body.cloneNode(true);
    for (const e of body.querySelectorAll("article, .entries, #simulated, script")) e.remove();
    return body.textContent;
  });

test("the_lab_on_the_simulator", async (t) => {
  let second;

  for (const [name, path] of [
    ["front page", "/"],
    ["lesson", "/lessons/network-policies"],
    ["workbench", "/workbench"],
    ["quiz", "/quizzes/network-policies"],
    ["error page", "/nowhere"],
  ]) {
    await t.test(`the ${name} says that the lab simulates and is accessible`, async () => {
      await page.goto(at(path));
      const banner = page.getByRole("complementary", { name: "About this lab" });
      const chip = page.getByRole("button", { name: "Simulated", exact: true });
      assert.equal(await chip.isVisible(), true);
      await chip.click();
      assert.equal(await banner.isVisible(), true);
      assert.match(await banner.textContent(), /^\s*Simulated\..*make run SANDBOX=kind/s);
      assert.doesNotMatch(await said(), /measur/i);
      await assertAccessible(page, `${name}, with what simulated means`);
      await page.keyboard.press("Escape");
      assert.equal(await banner.isVisible(), false);
      await assertAccessible(page, name);
      await page.setViewportSize({ width: 390, height: 844 });
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wider <= 0, `the page is ${wider} px wider than a phone's window`);
      await page.setViewportSize({ width: 1440, height: 1000 });
    });
  }

  await t.test("the_page_is_accessible_in_the_dark_and_on_a_phone", async () => {
    await page.goto(at("/"));
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 390, height: 844 });
    await assertAccessible(page, "dark, on a phone");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1440, height: 1000 });
  });

  await t.test("start_leads_to_ready_with_every_flow_open", async () => {
    await page.goto(at("/lessons/network-policies"));
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await becomes(() => "open", page);
    assert.equal(await state(page), "ready");
    assert.match(await text("#status"), /worked out by simulation/);
    assert.deepEqual(await page.locator("#steps li").evaluateAll((items) => items.map((i) => i.dataset.status)), ["done", "done", "done"]);
  });

  await t.test("default_deny_isolates_production_in_both_directions", async () => {
    await apply(denyAll, page);
    await becomes((flow) => verdictIn(flow, {}), page);
    await until(async () => /^\d+ connections changed: .* All 161 connections worked out\.$/.test(await text("#settled")), "the change has settled");
    await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').click();
    assert.match(await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').getAttribute("title"), /by name: DNS failed, no answer from the DNS service\. It changed \d+ s ago, it was open$/);
  });

  await t.test("a_second_tab_shows_the_same_and_a_reload_keeps_it", async () => {
    second = await context.newPage();
    await second.goto(at("/workbench"));
    await becomes((flow) => verdictIn(flow, {}), second);
    await page.reload();
    await becomes((flow) => verdictIn(flow, {}), page);
    assert.equal(await page.locator("#policy").inputValue(), denyAll);
    for (const tab of [page, second]) assert.deepEqual(await files(tab), ["production/default-deny-all: in-force"]);
    for (const tab of [page, second]) assert.equal(await tab.getByRole("button", { name: "Simulated", exact: true }).isVisible(), true);
  });

  await t.test("what_is_allowed_opens_in_both_tabs", async () => {
    await apply(webToApi, page);
    await becomes((flow) => verdictIn(flow, { webToApi: true }), page);
    await apply(dns, page);
    for (const tab of [page, second]) await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }), tab);
    await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').click();
    assert.match(await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').getAttribute("title"), /^production\/web to production\/api 8080\/TCP by name: open, answered by production\/api\. It changed/);
  });

  await t.test("one_policy_and_then_all_can_be_deleted", async () => {
    await remove("production/all-may-ask-dns", page);
    assert.match(await text("#plan"), /^Apply deletes production\/all-may-ask-dns\.$/);
    await page.locator("#apply").click();
    for (const tab of [page, second]) await becomes((flow) => verdictIn(flow, { webToApi: true }), tab);
    await put(page, "");
    for (const tab of [page, second]) await becomes(() => "open", tab);
    await page.getByRole("button", { name: "Take it back" }).click();
    for (const tab of [page, second]) await becomes((flow) => verdictIn(flow, { webToApi: true }), tab);
    await put(page, "");
    for (const tab of [page, second]) await becomes(() => "open", tab);
    assert.deepEqual(await files(page), []);
  });

  await t.test("a_ready_lab_is_accessible_and_speaks_of_no_measuring", async () => {
    await assertAccessible(page, "ready");
    await assertAccessible(second, "ready, on the workbench");
    assert.doesNotMatch(await said(), /measur/i);
    assert.doesNotMatch(await said(second), /measur/i);
  });

  await t.test("stop_removes_the_sandbox_for_both_tabs", async () => {
    await page.locator("#state-chip").click();
    await page.locator("#stop button").click();
    for (const tab of [page, second]) {
      await until(async () => (await state(tab)) === "stopped", "stopped");
      assert.equal(await tab.locator("#start").isVisible(), true);
    }
  });

  await t.test("the_browser_reported_nothing_else", () => {
    // That there is nothing at /nowhere was asked for.
    assert.deepEqual(errors.filter((e) => !/status of 404 .*\/nowhere\)$/.test(e)), []);
  });
});

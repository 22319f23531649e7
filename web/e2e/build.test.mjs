// What I want: wishes beside the matrix and the policies that the lab makes of them, with
// the mouse, with the keyboard alone, on a phone and without scripts, on the simulator.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, collectErrors, screenshot, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";

const { server, browser } = onTheServer();

/** The workbench of the first lesson's lab, for a learner of its own. */
async function workbench(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const errors = collectErrors(context);
  const page = await context.newPage();
  await page.goto(server.at("/workbench?lab=network-policies"));
  return { page, context, errors };
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
/** The cell, or head, whatever it is wished to be. */
const spot = (page, name) => page.locator("#want").getByRole("button", { name: new RegExp(`^${name}: `) });
const wish = (page, name) => spot(page, name).getAttribute("data-wish");
const answer = (page) => page.locator('[data-want="answer"]').innerText();
const said = (page) => page.locator('[data-want="said"]').textContent();
const answers = (page, like) => until(async () => like.test(await answer(page)) && answer(page), `an answer like ${like}`);
const put = (page) => button(page, "Put them into the workspace");
const verdict = (page, flow) => page.locator(`#matrix [data-flow="${flow}"]`).getAttribute("data-verdict");

async function start(page) {
  await button(page, "Start").click();
  await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "ready", "the sandbox is ready");
  await until(async () => (await verdict(page, "production/web>production/api:8080/TCP")) === "open", "what is, is seen");
}

test("wishes_become_policies_with_the_mouse_and_are_what_is_seen_once_they_are_applied", async () => {
  const { page, context, errors } = await workbench();
  await start(page);
  await button(page, "What I want").click();
  assert.equal(await page.locator("#matrix").isVisible(), false, "what is gives way");
  await answers(page, /start from what you saw/);

  await spot(page, "production/web to api 8080").click();
  await answers(page, /no policy is needed/);
  const column = spot(page, "Everything to db 5432");
  await column.click();
  await column.click();
  assert.equal(await wish(page, "monitoring/node-agent to db 5432"), "always", "a head leaves alone what no policy can close");
  assert.match(await said(page), /Everything to db 5432: to be closed\. 2 left out: no policy can close them\./);
  await spot(page, "production/api to db 5432").click();
  await spot(page, "production/api to db 5432").click();
  const text = await answers(page, /It selects db in production \(app=db\)\. It lets in api \(app=api\) on 5432\/TCP\./);
  assert.match(text, /1 policy would do it/);
  assert.match(text, /would close/);
  assert.match(text, /What else they do/);
  await assertAccessible(page, "what I want");
  await page.emulateMedia({ colorScheme: "dark" });
  await assertAccessible(page, "what I want, in the dark");
  await page.emulateMedia({ colorScheme: "light" });

  await put(page).click();
  assert.match(await answer(page), /The policy is a draft in the workspace\. Nothing is applied until you press Apply\./);
  assert.equal(await page.locator("#lab").getAttribute("data-change"), "0", "nothing is applied by itself");
  await button(page, "What is").click();
  await button(page, "Apply").click();
  await until(async () => (await verdict(page, "development/shell>production/db:5432/TCP")) === "blocked", "what was to be closed is blocked");
  await until(async () => (await verdict(page, "production/api>production/db:5432/TCP")) === "open", "what was to be open is open");
  assert.deepEqual(errors, []);
  await context.close();
});

test("wishes_are_set_with_the_keyboard_alone", async () => {
  const { page, context, errors } = await workbench();
  await button(page, "What I want").focus();
  await page.keyboard.press("Enter");
  // One stop for the matrix, behind the buttons of the tools and the region that scrolls.
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent);
  for (let i = 0; i < 8 && !/^production\/web to /.test(await focused()); i++) await page.keyboard.press("Tab");
  assert.match(await focused(), /^production\/web to api 8080: free/);
  await page.keyboard.press("Space");
  assert.match(await focused(), /: to be open$/, "Space goes from free to open");
  assert.match(await said(page), /production\/web to api 8080: to be open\./, "what was set is said");
  await page.keyboard.press("Space");
  assert.match(await focused(), /: to be closed$/);
  await page.keyboard.press("Space");
  assert.match(await focused(), /: free$/);
  await page.keyboard.press("o");
  assert.match(await focused(), /: to be open$/);
  await page.keyboard.press("ArrowRight");
  assert.match(await focused(), /^production\/web to api 9090: free/);
  await page.keyboard.press("c");
  assert.match(await focused(), /: to be closed$/);
  await page.keyboard.press("Delete");
  assert.match(await focused(), /: free$/);
  await page.keyboard.press("Home");
  assert.match(await focused(), /^Everything from production\/web: /, "a row's head sets the row");
  await page.keyboard.press("ArrowUp");
  assert.match(await focused(), /^Everything from production: /, "a namespace's head sets the namespace");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("c");
  assert.equal(await wish(page, "production/web to api 8080"), "closed");
  assert.equal(await wish(page, "production/web to internet 443"), "closed");
  await answers(page, /would do it/);
  for (let i = 0; i < 20 && (await focused()) !== "Put them into the workspace"; i++) await page.keyboard.press("Tab");
  assert.equal(await focused(), "Put them into the workspace");
  await page.keyboard.press("Enter");
  assert.match(await said(page), /in the workspace\. Nothing is applied until you press Apply\./);
  assert.deepEqual(errors, []);
  await context.close();
});

test("wishes_fold_with_the_matrix_and_all_columns_are_seen_at_1280", async () => {
  const { page, context, errors } = await workbench({ viewport: { width: 1280, height: 900 } });
  await button(page, "What I want").click();
  const pane = page.locator('[data-want="matrix"]');
  const cut = () => pane.evaluate((e) => e.scrollWidth - e.clientWidth);
  await until(async () => (await cut()) <= 0, "all columns are seen");
  const fold = (name) => pane.locator(`[data-fold="${name}"]`);
  await fold("to production").click();
  assert.equal(await fold("to production").getAttribute("aria-expanded"), "false");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.fold), "to production", "the keyboard stays where it was");
  // From its own column to the row of a namespace that is folded, with the keyboard alone.
  await fold("from production").focus();
  await page.keyboard.press("Enter");
  const sum = spot(page, "production to production");
  assert.equal(await sum.getAttribute("data-wish"), "none");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("c");
  assert.match(await said(page), /^production to production: to be closed\./);
  await assertAccessible(page, "folded wishes");
  await fold("from production").click();
  assert.equal(await wish(page, "production/web to production"), "closed", "what is folded was set together");
  await button(page, "What is").click();
  assert.equal(await page.locator('#matrix [data-fold="to production"]').getAttribute("aria-expanded"), "false", "the matrix folds alike");
  await page.locator('#matrix [data-fold="to production"]').click();
  await button(page, "What I want").click();
  assert.equal(await wish(page, "production/web to api 8080"), "closed");
  assert.deepEqual(errors, []);
  await context.close();
});

test("what_no_policy_can_do_is_refused_in_words", async () => {
  const { page, context, errors } = await workbench();
  await button(page, "What I want").click();
  const agent = spot(page, "monitoring/node-agent to internet 443");
  await until(async () => (await agent.getAttribute("data-wish")) === "always", "what no policy can close is shown as such");
  await agent.click();
  await agent.click();
  const text = await answers(page, /No policies can do all of this/);
  assert.match(text, /monitoring\/node-agent and internet/);
  assert.match(text, /uses its node's network, so no policy selects it/);
  assert.match(text, /hostNetwork: false/);
  assert.equal(await put(page).count(), 0, "nothing is offered");
  await button(page, "nothing").click();
  // Asked for by name, with DNS closed: the trap has a name.
  await spot(page, "production/web to api 8080").click();
  const dns = spot(page, "production/web to dns 53 UDP");
  await dns.click();
  await dns.click();
  assert.match(await answers(page, /production\/web is to reach/), /by name, and its questions to the cluster's DNS are to be closed\. Open DNS/);
  assert.deepEqual(errors, []);
  await context.close();
});

test("wishes_start_from_what_was_seen_and_outlive_a_reload", async () => {
  const { page, context, errors } = await workbench();
  await button(page, "What I want").click();
  await button(page, "what I saw").press("Enter");
  assert.match(await said(page), /Nothing has been seen yet/);
  await button(page, "What is").click();
  await start(page);
  await button(page, "What I want").click();
  await button(page, "what I saw").click();
  assert.match(await page.locator('[data-want="count"]').textContent(), /^161 to be open, 0 to be closed, 0 free\.$/);
  await answers(page, /no policy is needed/);
  await spot(page, "development/shell to db 5432").click();
  const text = await answers(page, /1 policy would do it/);
  assert.match(text, /2 flows would close\./, "by address and by name, and nothing else");
  await button(page, "nothing").click();
  for (let i = 0; i < 2; i++) await spot(page, "development/shell to db 5432").click();
  await answers(page, /of them were free/);
  await button(page, "Keep what is free as it is now").click();
  await answers(page, /\n2 flows would close\./);
  await page.reload();
  await button(page, "What I want").click();
  assert.equal(await wish(page, "development/shell to db 5432"), "closed");
  assert.deepEqual(errors, []);
  await context.close();
});

test("other_policies_go_only_when_that_is_asked_for", async () => {
  const { page, context, errors } = await workbench();
  await start(page);
  const id = await page.locator("#lab").getAttribute("data-sandbox");
  const deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: production}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n";
  const status = await page.evaluate(async ([path, body]) => (await fetch(path, { method: "PUT", headers: { "Content-Type": "application/yaml", Accept: "application/json" }, body })).status, [`/sandboxes/${id}/policies`, deny]);
  assert.equal(status, 200);
  await until(async () => (await verdict(page, "production/web>production/api:8080/TCP")) === "blocked", "the other policy is in force");
  await button(page, "What I want").click();
  await spot(page, "production/web to api 8080").click();
  for (let i = 0; i < 2; i++) await spot(page, "development/shell to db 5432").click();
  for (let i = 0; i < 2; i++) await spot(page, "Everything to internet 443").click();
  const text = await answers(page, /would do it/);
  const box = page.getByRole("checkbox", { name: /^Delete the policy in force that is not among these: production\/deny$/ });
  assert.equal(await box.isChecked(), false);
  assert.match(text, /While it stays in force, 2 connections are not as you want\./);
  await box.check();
  assert.doesNotMatch(await answer(page), /While it stays in force/);
  await put(page).click();
  await button(page, "What is").click();
  await button(page, "Apply").click();
  await until(async () => (await verdict(page, "production/web>production/api:8080/TCP")) === "open", "what was to be open is open");
  await until(async () => (await verdict(page, "development/shell>production/db:5432/TCP")) === "blocked", "what was to be closed is blocked");
  const names = await page.evaluate(async (path) => (await (await fetch(path, { headers: { Accept: "application/json" } })).json()).policies.map((p) => p.name), `/sandboxes/${id}/policies`);
  assert.ok(!names.includes("deny"), `what had to go is still in force: ${names}`);
  assert.deepEqual(errors, []);
  await context.close();
});

test("on_a_phone_the_wishes_are_a_list_with_targets_for_a_thumb", async () => {
  const { page, context, errors } = await workbench({ viewport: { width: 390, height: 844 }, hasTouch: true });
  await page.locator('[data-place="see"]').last().tap();
  await button(page, "What I want").tap();
  await page.locator("#want summary", { hasText: "shell" }).tap();
  const cell = spot(page, "development/shell to db 5432");
  const { width, height } = await cell.boundingBox();
  assert.ok(Math.min(width, height) >= 32, `a target of ${width} x ${height} px`);
  await cell.tap();
  await cell.tap();
  assert.match(await cell.innerText(), /closed/);
  await answers(page, /would do it/);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wider <= 0, `the page is ${wider} px wider than a phone's window`);
  await assertAccessible(page, "what I want, on a phone");
  await screenshot(page, "want-phone");
  assert.deepEqual(errors, []);
  await context.close();
});

test("without_scripts_the_wishes_are_absent_and_said_to_be", async () => {
  const { page, context } = await workbench({ javaScriptEnabled: false });
  assert.equal(await button(page, "What I want").count(), 0);
  assert.equal(await page.locator("#see noscript p").isVisible(), true);
  assert.match(await page.locator("#see noscript p").textContent(), /With scripts, this pane has a second side/);
  assert.equal(await page.locator("#want").isVisible(), false);
  await context.close();
});

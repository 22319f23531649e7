// A sandbox's life as the page shows it, against a lab without a cluster.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, until } from "./browser.mjs";
import { flows } from "./fakelab.mjs";
import { becomes, eachWithAPage, editorText, expected, lab, live, openReady, page, sent, text, turns, type, verdict, verdicts } from "./fakepage.mjs";

const [webToApi] = flows;

eachWithAPage();

test("start_shows_the_steps_with_a_running_clock_and_then_the_flows", async () => {
  await page.goto(lab.url);
  assert.equal(await text("#status"), "The server's sentence.");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await live();
  assert.deepEqual(sent("POST /sandboxes").map((r) => [r.body, r.type, r.accept]), [['{"lab":"network-policies"}', "application/json", "application/json"]]);
  assert.equal(await page.locator("#start").isVisible(), false);
  assert.equal(await page.locator("#stop").isVisible(), true);
  assert.equal(await page.locator("#steps li[data-status=pending]").count(), 3);

  lab.state("creating");
  lab.step(1, "running");
  await becomes("#status", /step 1 of 3: Start the node\./);
  const clock = () => page.locator("[data-step='1'] .elapsed").textContent();
  const first = await until(clock, "the step's clock shows");
  await until(async () => (await clock()) !== first && parseFloat(await clock()) > parseFloat(first), "the step's clock goes on");
  lab.step(1, "done", 2140);
  await becomes("[data-step='1'] .elapsed", /^2\.1 s$/);
  assert.equal(await page.locator("[data-step='1']").getAttribute("data-status"), "done");

  lab.state("ready");
  await becomes("#status", /ready/);
  assert.equal(await page.locator("#reset").isVisible(), true);
  assert.equal(await verdict(webToApi), "none");
  lab.observe("open", ...flows);
  await turns(webToApi, "open");
  assert.equal(await text(`[data-flow="${webToApi}"] .word`), "open");
  assert.equal(await page.locator(".ring, .turns").count(), 0, "a first measurement is no change");
});

test("a_failed_start_says_why_and_offers_another", async () => {
  lab.make("creating");
  await page.goto(lab.url);
  await live();
  lab.step(1, "running");
  lab.step(1, "failed", 900);
  lab.state("failed", "Docker does not answer. Press Start to try again.");
  await becomes("#status", /^Your sandbox has failed\. Docker does not answer\. Press Start to try again\.$/);
  assert.equal(await page.locator("[data-step='1']").getAttribute("data-status"), "failed");
  assert.equal(await page.locator("#start").isVisible(), true);
});

test("a_refused_start_says_why_and_leaves_the_button", async () => {
  expected.push(/status of 429/);
  lab.answers.set("POST /sandboxes", { status: 429, body: { error: "All 8 places are taken. Try again in a few minutes." } });
  await page.goto(lab.url);
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await becomes("#status", /^All 8 places are taken\./);
  assert.equal(await page.getByRole("button", { name: "Start", exact: true }).getAttribute("aria-busy"), null);
});

test("stop_ends_the_sandbox_and_offers_start_again", async () => {
  await openReady();
  await page.getByRole("button", { name: "Stop" }).click();
  await becomes("#status", /^Your sandbox is being stopped\. You stopped it\.$/);
  lab.state("stopped", "You stopped it.");
  await becomes("#status", /^Your sandbox has stopped\. You stopped it\. Press Start/);
  await becomes("#connection", /^$/);
  await until(() => page.locator("#start").isVisible(), "Start is offered");
  assert.deepEqual(new Set(Object.values(await verdicts())), new Set(["none"]));
  assert.equal(await page.evaluate(() => document.activeElement.id), "status", "the focus of the button that went away");
});

test("a_sandbox_that_the_lab_does_not_have_any_more_is_told", async () => {
  expected.push(/status of 404/, /WebSocket connection to .* failed/);
  await openReady();
  await type("kept: true");
  lab.sandbox = undefined;
  lab.cut();
  await becomes("#status", /does not have it any more\. Press Start/);
  assert.equal(await page.locator("#start").isVisible(), true);
  assert.equal(await editorText(), "kept: true");
});

test("reset_asks_first_and_then_follows_the_new_sandbox", async () => {
  await openReady();
  const old = lab.sandbox.picture.id;
  const reset = page.locator("#reset button");
  await reset.click();
  const dialog = page.getByRole("dialog", { name: "Throw this cluster away and make a fresh one?" });
  await assertAccessible(page, "the question");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Reset", "the focus goes back");
  assert.equal(sent(`POST /sandboxes/${old}/reset`).length, 0);

  await reset.click();
  await dialog.getByRole("button", { name: "Reset" }).click();
  await becomes("#status", /waits for its turn/);
  assert.equal(sent(`POST /sandboxes/${old}/reset`).length, 1);
  assert.equal(await page.locator("#lab").getAttribute("data-sandbox"), lab.sandbox.picture.id);
  assert.notEqual(lab.sandbox.picture.id, old);
  await until(async () => (await verdict(webToApi)) === "none", "the old flows are gone");
});

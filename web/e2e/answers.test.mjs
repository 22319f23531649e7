// What gives a prediction's answer away opens when the prediction is kept, and not
// before; on the server as make builds it, with simulated sandboxes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";

const { server, browser } = onTheServer();

/** The first lesson in a browser of its own, and what there gives an answer away. */
async function lesson(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const errors = collectErrors(context);
  const page = await context.newPage();
  await page.goto(server.at("/lessons/network-policies"));
  const id = await page.locator("article [data-answer]").first().getAttribute("data-answer");
  const box = page.locator(`[data-exercise="${id}"]`);
  const answers = page.locator(`details[data-answer="${id}"]`);
  const open = () => answers.evaluateAll((all) => all.map((d) => d.open));
  const predict = async () => {
    const rows = box.locator(".predict tbody tr");
    for (let i = 0; i < (await rows.count()); i++) await rows.nth(i).getByRole("radio", { name: "open", exact: true }).check();
    await box.getByRole("button", { name: "Keep my prediction", exact: true }).click();
  };
  return { page, errors, box, answers, open, predict };
}

test("an_answer_opens_with_the_prediction_and_not_before", async () => {
  const { page, errors, box, answers, open, predict } = await lesson();
  assert.ok((await answers.count()) > 0, "something gives the answer away");
  const summary = answers.last().locator(":scope > summary");
  await summary.click();
  await summary.focus();
  await page.keyboard.press("Enter");
  assert.ok((await open()).every((is) => !is), "it stays closed before the prediction");
  assert.match(await summary.textContent(), /opens when you have kept your prediction/);
  await predict();
  await until(async () => (await open()).every(Boolean), "it opens with the prediction");
  assert.doesNotMatch(await summary.textContent(), /opens when/);
  assert.equal(await box.getByRole("radio").count(), 0, "the prediction is locked");
  await summary.click();
  assert.equal((await open()).at(-1), false, "it can be closed again");
  await assertAccessible(page, "with the answers open");
  await page.reload();
  assert.ok((await open()).every(Boolean), "it is open after a reload");
  assert.deepEqual(errors, []);
});

test("without_scripts_an_answer_is_closed_until_the_prediction_is_kept", async () => {
  const { errors, open, predict } = await lesson({ javaScriptEnabled: false });
  // Playwright looks at the page from outside: its own script runs all the same.
  assert.ok((await open()).every((is) => !is), "it is closed before the prediction");
  await predict();
  await until(async () => (await open()).every(Boolean), "it opens with the prediction");
  assert.deepEqual(errors, []);
});

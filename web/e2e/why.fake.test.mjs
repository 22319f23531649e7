// Why a flow is as it is, where the cluster does not do what was predicted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, until } from "./browser.mjs";
import { flows } from "./fakelab.mjs";
import { becomes, deny, eachWithAPage, lab, openReady, page, text, turns } from "./fakepage.mjs";

const [webToApi, byName] = flows;
const voices = () => page.locator(".voices > div").evaluateAll((all) => all.map((e) => [...e.children].map((c) => c.textContent.trim()).join(": ") + (e.classList.contains("differs") ? ", which differs" : "")));

eachWithAPage();

test("where_prediction_and_measurement_disagree_why_says_so_loudly_and_blames_nobody", async () => {
  await openReady();
  lab.change([deny], { [webToApi]: "blocked", [byName]: "blocked" });
  await turns(webToApi, "blocked");
  await page.locator(`[data-flow="${webToApi}"]`).click();
  await until(async () => JSON.stringify(await voices()) === JSON.stringify(["predicted: ✕ blocked", "observed: ✕ blocked"]), "predicted and observed agree");
  assert.equal(await page.getByRole("alert").filter({ hasText: "Predicted" }).count(), 0);
  // The cluster does something else.
  lab.observe("open", webToApi);
  lab.emit("disagreement", { change: 1, flows: [{ flow: webToApi, predicted: "blocked", observed: "open" }] });
  await until(async () => (await page.locator(".why-differs").count()) === 1, "it is said");
  assert.deepEqual(await voices(), ["predicted: ✕ blocked, which differs", "observed: ✓ open, which differs"]);
  const said = await text(".why-differs");
  assert.match(said, /^Predicted blocked, observed open\. This is not your mistake: what counts is what was measured\./);
  assert.equal(await page.locator(".why-differs").getAttribute("role"), "alert", "a screen reader says it at once");
  assert.match(await text("#disagreement"), /^Prediction and measurement differ: production\/web to production\/api 8080\/TCP by IP was predicted to be blocked and is open\. That is not your mistake/);
  await assertAccessible(page, "the disagreement", "#why");
  // Another flow has no part in it; the keyboard goes there and back.
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await until(async () => (await page.locator(".why-differs").count()) === 0, "of this one nothing is said");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  await until(async () => (await page.locator(".why-differs").count()) === 1, "it is said again");
  lab.observe("blocked", webToApi);
  lab.emit("disagreement", { change: 1, flows: [] });
  await until(async () => (await page.locator(".why-differs").count()) === 0, "they agree again");
  await becomes("#disagreement", /^$/);
});

test("why_says_in_sight_what_was_measured_and_how_long_ago_it_changed", async () => {
  await openReady();
  await page.locator(`[data-flow="${webToApi}"]`).click();
  await becomes(".why-measured", /^Answered by production\/api in 0\.4 ms\.$/);
  lab.change([deny], { [webToApi]: "blocked" });
  await becomes(".why-measured", /^It changed \d s ago; before that it was open\.$/);
  const first = await text(".why-measured");
  await until(async () => (await text(".why-measured")) !== first, "the time goes on");
  assert.equal(await page.locator(".why-measured").evaluate((e) => e.closest("[role], [aria-live]")?.getAttribute("aria-live") ?? null), null, "it is there to be read, and is not spoken each second");
});

// What a learner has said of a flow, beside what was predicted and observed, on the
// simulator.
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { start } from "./walk.mjs";

const { server, browser } = onTheServer(begin);
let page, errors;

async function begin() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at("/lessons/network-policies"));
  await start(page);
}

const voices = () => page.locator("#why .voices > div").evaluateAll((all) => all.map((e) => [...e.children].map((c) => c.textContent.replace(/[^a-z ]/gi, "").trim()).join(": ")));
const say = async (flow, want) => {
  await page.locator(`#matrix [data-flow="${flow}"]`).click();
  await until(async () => JSON.stringify(await voices()) === JSON.stringify(want), flow).catch(async () => assert.deepEqual(await voices(), want, flow));
};
const toApi = "production/web>production/api:8080/TCP";
const scrape = "monitoring/prometheus>production/api:9090/TCP";

test("what_the_learner_has_said_stands_beside_what_was_predicted_and_observed", async () => {
  const box = page.locator('[data-exercise="close-production"]');
  const rows = box.locator(".predict tbody tr:not(.why)");
  for (let i = 0; i < (await rows.count()); i++) await rows.nth(i).getByRole("radio", { name: i === 2 ? "open" : "blocked" }).check();
  await say(toApi, ["predicted: open", "observed: open"]);
  await box.getByRole("button", { name: "Keep my prediction" }).click();
  await box.locator(".predict[data-kept]").waitFor();
  // It is about the policy that is given, which is not in force yet.
  await say(scrape, ["predicted: open", "observed: open"]);
  await box.locator(".given").getByRole("button").click();
  await page.locator("#apply").click();
  await until(async () => (await page.locator("#lab").getAttribute("data-change")) !== "0" && (await page.locator('[data-see="pending"]').textContent()) === "", "the policy is in force");
  await say(toApi, ["you said: blocked", "predicted: blocked", "observed: blocked"]);
  await say(scrape, ["you said: open", "predicted: blocked", "observed: blocked"]);
  await say("production/web>production/db:5432/TCP", ["predicted: blocked", "observed: blocked"]);
});

test("what_was_said_goes_with_the_moment_that_it_was_said_of_and_comes_back_with_it", async () => {
  await page.getByRole("button", { name: "Take it back" }).click();
  await say(toApi, ["predicted: open", "observed: open"]);
  await page.reload();
  await page.locator("#apply").waitFor();
  await page.locator(".cm-content").waitFor();
  await page.waitForFunction(() => document.querySelector("#lab").dataset.state === "ready");
  await page.locator('[data-exercise="close-production"] .given').getByRole("button").click();
  await page.locator("#apply").click();
  await say(toApi, ["you said: blocked", "predicted: blocked", "observed: blocked"]);
  // The same with the keyboard alone.
  await page.keyboard.press("Escape");
  await until(async () => (await voices()).length === 0, "nothing is chosen");
  await page.keyboard.press("Enter");
  await until(async () => (await voices()).join() === "you said: blocked,predicted: blocked,observed: blocked", "what was said is heard again");
});

test("the_browser_reported_nothing", () => assert.deepEqual(errors, []));

// The lesson's walk-through in a browser, on the server as make builds it without a
// video.
import assert from "node:assert/strict";
import { beforeEach, afterEach, test } from "node:test";
import { assertAccessible, collectErrors, screenshot, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";

const { server, browser } = onTheServer();
let context, page, errors;

beforeEach(() => open({}));

afterEach(async () => {
  assert.deepEqual(errors, []);
  await context.close();
});

async function open(options) {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at("/lessons/network-policies"));
}

const walk = () => page.locator("[data-walkthrough]");
const press = (name) => walk().getByRole("button", { name, exact: true }).press("Enter");
const status = () => walk().getByRole("status").textContent();
const shown = () => walk().locator("ol > li").evaluateAll((all) => all.flatMap((li, i) => (li.checkVisibility() ? [i] : [])));
const moving = () => walk().locator(".pic-flow.open .pic-line:visible").first().evaluate((line) => getComputedStyle(line).animationName);

test("the_keyboard_goes_through_the_pictures", async () => {
  const count = await walk().locator("ol > li").count();
  assert.ok(count > 4);
  assert.deepEqual(await shown(), [0]);
  await press("Back");
  assert.deepEqual(await shown(), [0], "before the first there is none");
  for (let i = 1; i < count; i++) {
    await press("Next");
    assert.deepEqual(await shown(), [i]);
    const caption = await walk().locator("ol > li").nth(i).locator("figcaption").textContent();
    assert.equal(await status(), `Picture ${i + 1} of ${count}: ${caption.trim()}`);
  }
  await press("Next");
  assert.deepEqual(await shown(), [count - 1], "after the last there is none");
  await press("Back");
  assert.deepEqual(await shown(), [count - 2]);
  await walk().scrollIntoViewIfNeeded();
  await screenshot(page, "walkthrough", walk());
  await assertAccessible(page, "the walk-through");
});

test("it_plays_when_asked_and_stops_at_the_end_or_when_told", async () => {
  await page.clock.install();
  await page.reload();
  const count = await walk().locator("ol > li").count();
  await page.clock.runFor(60_000);
  assert.deepEqual(await shown(), [0], "nobody asked");
  assert.equal(await moving(), "none");
  await press("Play");
  assert.equal(await moving(), "along");
  await page.clock.runFor(20_000);
  const middle = (await shown())[0];
  assert.ok(middle > 0 && middle < count - 1, `after 20 s the picture ${middle + 1}`);
  await press("Pause");
  await page.clock.runFor(60_000);
  assert.deepEqual(await shown(), [middle]);
  await press("Play");
  await page.clock.runFor(120_000);
  assert.deepEqual(await shown(), [count - 1]);
  assert.equal(await moving(), "none");
  await press("Play");
  assert.deepEqual(await shown(), [0], "it begins again");
});

test("with_reduced_motion_nothing_moves", async () => {
  await open({ reducedMotion: "reduce" });
  await press("Play");
  assert.equal(await walk().getByRole("button", { name: "Pause" }).count(), 1);
  assert.equal(await moving(), "none");
});

test("without_scripts_all_pictures_are_there", async () => {
  await open({ javaScriptEnabled: false });
  assert.equal(await walk().getByRole("button").count(), 0);
  assert.equal((await shown()).length, await walk().locator("ol > li").count());
});

test("on_a_phone_and_in_the_dark_it_fits", async () => {
  await open({ viewport: { width: 390, height: 844 }, colorScheme: "dark" });
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wider <= 0, `the page is ${wider} px wider than the window`);
  await until(async () => (await shown()).length === 1, "one picture");
  await screenshot(page, "walkthrough-phone", walk());
  await assertAccessible(page, "on a phone, in the dark");
});

// The matrix: what it marks, and how it is walked through by keyboard.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./browser.mjs";
import { flows } from "./fakelab.mjs";
import { deny, eachWithAPage, lab, openReady, page, text, turns } from "./fakepage.mjs";

const [webToApi, , webToDns] = flows;

eachWithAPage();

test("a_flow_that_turns_is_animated_once_and_ringed_until_the_next_change", async () => {
  await openReady();
  await page.evaluate(() => {
    globalThis.marked = [];
    document.getElementById("matrix").addEventListener("animationstart", (e) => globalThis.marked.push(e.target.dataset.flow));
  });
  const ringed = () => page.locator(".ring").evaluateAll((s) => s.map((e) => e.dataset.flow));
  lab.change([deny], { [webToApi]: "blocked" });
  await turns(webToApi, "blocked");
  await until(async () => (await page.evaluate(() => globalThis.marked.length)) === 1 && (await page.locator(".turns").count()) === 0, "the animation has ended");
  assert.deepEqual(await page.evaluate(() => globalThis.marked), [webToApi]);
  assert.deepEqual(await ringed(), [webToApi]);
  assert.equal(await page.locator(`[data-flow="${webToApi}"]`).getAttribute("aria-label"), "by: blocked, changed last");
  lab.change([], { [webToDns]: "blocked" });
  await turns(webToDns, "blocked");
  assert.deepEqual(await ringed(), [webToDns]);
  assert.equal(await page.locator(`[data-flow="${webToApi}"]`).getAttribute("aria-label"), "by: blocked");
});

test("without_motion_a_flow_is_ringed_all_the_same", async () => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await openReady();
  lab.change([deny], { [webToApi]: "blocked" });
  await until(async () => (await page.locator(".ring").count()) === 1, "the ring");
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
});

test("only_the_cells_that_turned_are_touched", async () => {
  await openReady();
  await page.evaluate(() => {
    globalThis.touched = new Set();
    new MutationObserver((records) => {
      // A cell has an attribute of its own, and a text none.
      for (const r of records) globalThis.touched.add((r.target.parentElement?.closest("[data-flow]") ?? r.target.closest?.("[data-flow]") ?? r.target.querySelector?.("[data-flow]"))?.dataset.flow);
    }).observe(document.getElementById("matrix"), { attributes: true, childList: true, characterData: true, subtree: true });
  });
  lab.change([deny], { [webToApi]: "blocked" });
  await turns(webToApi, "blocked");
  assert.deepEqual(await page.evaluate(() => [...globalThis.touched]), [webToApi]);
});

test("a_flow_tells_what_was_measured_and_arrow_keys_go_to_its_neighbours", async () => {
  await openReady();
  const mark = page.locator(`[data-flow="${webToApi}"]`);
  await mark.click();
  assert.equal(await mark.getAttribute("title"), "production/web to production/api 8080/TCP by IP: open, 0.4 ms, answered by production/api");
  assert.equal(await mark.getAttribute("aria-pressed"), "true");
  const at = () => page.evaluate(() => document.activeElement.dataset.flow ?? document.activeElement.dataset.fold);
  for (const [key, want] of [
    ["ArrowRight", flows[1]], ["ArrowDown", flows[4]], ["ArrowRight", flows[5]], ["ArrowUp", flows[2]], ["ArrowLeft", flows[1]], ["ArrowUp", "to production"], ["ArrowUp", "to production"],
    ["ArrowRight", "to cluster DNS"], ["ArrowDown", flows[2]], ["Home", "from production"], ["End", flows[2]], ["Control+End", flows[5]], ["Control+Home", "to production"],
  ]) {
    await page.keyboard.press(key);
    assert.equal(await at(), want, key);
  }
  await mark.focus();
  lab.observe("blocked", webToApi);
  await turns(webToApi, "blocked");
  assert.match(await mark.getAttribute("title"), /by IP: blocked\. It changed 0 s ago, it was open$/);
});

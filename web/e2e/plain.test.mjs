// The whole first lesson without the page's script, as a learner does it whose browser
// runs none: every form works with a reload, and leads to what came of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshot, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { answersOf, denyAll, doneWithSolution, lessons } from "./walk.mjs";

const { server, browser } = onTheServer();
let context, page;

async function open(path, width = 1280) {
  const storageState = await context?.storageState(); // It stays the same learner.
  await context?.close();
  context = await browser.newContext({ javaScriptEnabled: false, viewport: { width, height: 844 }, storageState });
  page = await context.newPage();
  await page.goto(server.at(path));
}

const [lesson] = lessons;
const path = `/lessons/${lesson.slug}`;
const text = (selector) => page.locator(selector).textContent();
const state = () => page.locator("#lab").getAttribute("data-state");
const inForce = () => page.locator("#policy").inputValue();

/** Presses the form's button, and waits for the page that it leads to. */
async function press(name, within = page) {
  await within.getByRole("button", { name, exact: true }).click();
  await page.waitForLoadState();
}

/** Fails where the element's beginning is not seen in the window: a learner would have to look for it. */
async function isInView(selector, what) {
  const seen = await page.locator(selector).first().evaluate((e) => {
    const { left, right, top, bottom } = e.getBoundingClientRect();
    const y = Math.max(top, 60) + Math.min(12, (bottom - Math.max(top, 60)) / 2);
    return e.contains(document.elementFromPoint((left + right) / 2, y)) || `${left} to ${right}, ${top} to ${bottom}`;
  });
  assert.equal(seen, true, `${what} is in view`);
}

/** Makes these the policies in force; which ones go is asked for by name, and agreed to. */
async function apply(yaml) {
  await page.locator("#policy").fill(yaml);
  await press("Apply");
  const agree = page.getByRole("button", { name: /^Apply, and delete/ });
  if (await agree.count()) {
    await agree.click();
    await page.waitForLoadState();
  }
}

/** Checks until the sandbox has settled. */
async function check(id) {
  await press("Check", page.locator(`[data-exercise="${id}"]`));
  assert.ok(page.url().endsWith(`#exercise-${id}-result`), page.url());
  await isInView(`#exercise-${id}-result`, "the result");
}

test("the_first_lesson_from_its_start_to_its_end", async (t) => {
  for (const width of [390, 1280]) {
    await t.test(`a sandbox is started and the page comes to it by itself, ${width} px`, async () => {
      await open(path, width);
      if (width === 1280) await screenshot(page, `plain-${width}-begin`);
      if ((await state()) !== "ready") {
        await press("Start");
        await until(async () => (await state().catch(() => "")) === "ready", "the page is that of the ready sandbox", 20_000);
      }
      await page.locator("#write").scrollIntoViewIfNeeded();
      await screenshot(page, `plain-${width}-ready`);
    });
  }

  await t.test("an error keeps the text and says where it is", async () => {
    const wrong = denyAll.replace("podSelector", "podSelectr");
    await page.locator("#policy").fill(wrong);
    await press("Apply");
    assert.equal(await inForce(), wrong);
    await isInView("#problems", "what is wrong");
    assert.match(await text("#problems"), /Nothing was applied:.*line 7, column 3: spec\.podSelectr: .*did you mean "podSelector"/s);
    await screenshot(page, "plain-1280-error");
  });

  await t.test("what is no policy is set aside and said to be", async () => {
    await page.locator("#policy").fill(`apiVersion: v1\nkind: Namespace\nmetadata: {name: production}\n---\n${denyAll}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: production}\n---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: wide, namespace: production}\n`);
    await press("Apply");
    assert.match(await text("#applied"), /^Applied\. Namespace production is set aside: .*Deployment production\/web is set aside: .*CiliumNetworkPolicy production\/wide is set aside: it is a policy of another kind/);
    assert.match(await inForce(), /name: default-deny-all/);
    assert.doesNotMatch(await inForce(), /Namespace|Cilium/);
    await isInView("#applied", "what was set aside");
  });

  await t.test("what apply deletes is asked for by name and not deleted unasked", async () => {
    await page.locator("#policy").fill("");
    await press("Apply");
    assert.match(await text("main"), /production\/default-deny-all/);
    await screenshot(page, "plain-1280-delete");
    await press("Go back to the text");
    assert.equal(await inForce(), "");
    await page.goto(server.at(path));
    assert.match(await inForce(), /default-deny-all/);
    await apply("");
    assert.equal(await inForce(), "");
  });

  let first = true;
  for (const id of await page.locator("[data-exercise]").evaluateAll((all) => all.map((e) => e.dataset.exercise))) {
    await t.test(`the exercise ${id}`, async () => {
      const box = page.locator(`[data-exercise="${id}"]`);
      const { start, solution, wrong } = answersOf(lesson, id);
      if (await box.locator("form.predict").count()) {
        await press("Keep my prediction", box);
        assert.match(await box.textContent(), /Mark every connection/, "nothing is kept that is not whole");
        const rows = box.locator(".predict tbody tr");
        for (let i = 0; i < (await rows.count()); i++) await rows.nth(i).getByRole("radio", { name: "blocked" }).check();
        await press("Keep my prediction", box);
        assert.equal(await box.locator(".predict[data-kept]").count(), 1);
        await isInView(`[data-exercise="${id}"]`, "the prediction");
      }
      await press("Set up the start", box);
      assert.match(await text(`#exercise-${id}-result`), /The start is set up/);
      await isInView(`#exercise-${id}-result`, "what was set up");
      assert.equal((await inForce()).trim() === "", start.trim() === "");
      // Of the first every step is gone; the others are the same.
      if (first) {
        await apply(wrong);
        await check(id);
        assert.match(await text(`#exercise-${id}-result`), /Not (yet|passed): /);
        await screenshot(page, "plain-1280-not-yet");
        for (const hint of ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3"]) await press(hint, box);
        await isInView(`#exercise-${id}-hints`, "the hints");
        await press("Show a solution", box);
        assert.equal(await box.locator("details.solution").getAttribute("open"), "");
      }
      await apply(solution);
      await check(id);
      assert.match(await text(`#exercise-${id}-result`), /Passed: /);
      assert.equal(await box.locator(".badge").textContent(), first ? doneWithSolution : "passed");
      if (first) {
        await screenshot(page, "plain-1280-passed");
        await open(`${path}#exercise-${id}`, 390);
        await screenshot(page, "plain-390-passed");
        await open(path);
      }
      first = false;
    });
  }

  await t.test("each section that is done leads to the next and at last to the end", async () => {
    const sections = await page.locator("form.section-end").evaluateAll((all) => all.map((f) => f.closest("[data-section]").dataset.section));
    for (const [i, id] of sections.entries()) {
      await page.locator(`[data-section="${id}"] form.section-end button`).click();
      await page.waitForLoadState();
      const next = sections[i + 1] ?? "end";
      assert.ok(page.url().endsWith(`#${next}`), page.url());
      await isInView(`[data-section="${next}"]`, next);
    }
    assert.match(await text("#end"), /You have done it/);
    await screenshot(page, "plain-1280-end");
  });

  await t.test("the quiz is graded, the record tells of it", async () => {
    await open(`/quizzes/${lesson.slug}`);
    for (const question of await page.locator("[data-question]").all()) {
      if (await question.locator("[data-choice]").count()) await question.locator("[data-choice] input").first().check();
    }
    await press("Check the answers");
    assert.match(await text("#score"), /\d/);
    await screenshot(page, "plain-1280-quiz");
    await page.goto(server.at("/me"));
    assert.match(await text("main"), new RegExp(doneWithSolution));
  });

  await t.test("colours are chosen and kept", async () => {
    const scheme = () => page.locator("html").getAttribute("data-scheme");
    await open(path, 390);
    await page.getByRole("button", { name: "Menu" }).click();
    await press("Dark");
    assert.equal(await scheme(), "dark");
    await open(path, 390);
    assert.equal(await scheme(), "dark");
    await screenshot(page, "plain-390-dark");
  });

  await t.test("the history goes back", async () => {
    await open(path);
    const back = page.locator(".timeline form button").last();
    await back.click();
    await page.waitForLoadState();
    assert.match(await page.locator(".timeline > li").first().textContent(), /Gone back/);
    assert.equal(await inForce(), "", "in the beginning there was no policy");
  });

  await t.test("a lab of ones own is made by its form", async () => {
    await open("/labs");
    const yaml = await page.locator("#lab-yaml").inputValue();
    await page.locator("#lab-yaml").fill(yaml.replace("port: 8080", "port: http"));
    await press("Keep it and open it");
    assert.match(await text(".lab-problems"), /line 6, column \d+/);
    await page.locator("#lab-yaml").fill(yaml);
    await press("Keep it and open it");
    assert.match(page.url(), /workbench\?lab=own-/);
    await press("Start");
    assert.match(await text("main"), /another lab|another sandbox|stops/i);
    await press("Stop it and start here");
    await until(async () => (await state().catch(() => "")) === "ready", "its sandbox is ready", 20_000);
    await screenshot(page, "plain-1280-own-lab");
  });
});

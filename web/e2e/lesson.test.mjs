// All lessons and quizzes as a learner works through them in a browser, on the server
// as make builds it, with simulated sandboxes.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { assertAccessible, collectErrors, screenshot, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { askedFirst, doExercise, lessons, start } from "./walk.mjs";

const { server, browser } = onTheServer(begin);
let page, errors;

async function begin() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  errors = collectErrors(context);
  page = await context.newPage();
}

test("a_learner_does_everything", async (t) => {
  for (const lesson of lessons) {
    await t.test(`the lesson ${lesson.slug}, section by section`, async () => {
      await page.goto(server.at(`/lessons/${lesson.slug}`));
      await start(page);
      const sections = await page.locator("article .section-end").evaluateAll((all) => all.map((form) => form.parentElement.dataset.section));
      const undone = new Set(await page.locator("[data-exercise]").evaluateAll((all) => all.map((e) => e.dataset.exercise)));
      assert.ok(sections.length > 1 && undone.size > 0);
      for (const id of sections) {
        // What comes before the end of this section and after that of the last.
        for (const exercise of await exercisesOf(id)) {
          await doExercise(page, lesson, exercise);
          undone.delete(exercise);
        }
        await page.locator(`form[action$="/sections/${id}/done"] button`).click();
        await until(() => decodeURIComponent(new URL(page.url()).hash) !== `#${id}`, "the next section");
      }
      assert.deepEqual([...undone], [], "each exercise is in a section");
      assert.match(page.url(), /#end$/, "the last section leads to the end");
      const end = page.locator("#end");
      assert.match(await end.textContent(), /You have done it.*every section read, every exercise passed.*connections were worked out by simulation/s);
      assert.equal(await page.locator("#progress i.done").count(), sections.length);
      await assertAccessible(page, `the end of ${lesson.slug}`);
    });
  }

  for (const quiz of await quizzes()) {
    await t.test(`the quiz ${quiz}, badly and then well`, async () => {
      await page.goto(server.at(quiz));
      const questions = await page.locator("[data-question]").count();
      assert.ok(questions > 3);
      await answer(() => null);
      assert.match(await page.locator("#score").textContent(), /^\d+ of \d+ answers (is|are) right\.$/);
      const right = await solutions();
      assert.equal(right.size, questions);
      await assertAccessible(page, `${quiz}, graded`);
      await page.locator("#again").click();
      await answer((question) => right.get(question));
      assert.equal(await page.locator("#score").textContent(), `All ${questions} answers are right.`);
      assert.match(await page.locator("#record").textContent(), new RegExp(`Your best attempt: ${questions} of ${questions}\\.`));
      // Back and sent once more: it counts once.
      await page.goBack();
      await answer((question) => right.get(question));
    });
  }

  await t.test("the_record_has_all_of_it", async () => {
    await page.goto(server.at("/me"));
    const record = page.locator("main");
    const completed = await record.getByText(/^✓ Completed on \d+ \w+ \d{4}: every section read, every exercise passed\.$/).count();
    assert.equal(completed, lessons.length);
    assert.equal(await record.locator("tbody tr").count(), await record.getByText("✓ passed").count());
    assert.equal(await record.getByText(/^(\d+) of \1 connections as they should be, simulated, /).count(), await record.locator("tbody tr").count());
    for (const line of await record.locator("ul li").allTextContents()) assert.match(line, /best (\d+) of \1, .* in 2 attempts/);
    await assertAccessible(page, "the record");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Take it away (JSON)" }).click()]);
    const kept = JSON.parse(await readFile(await download.path(), "utf8"));
    assert.equal(kept.exercises.filter((e) => e.firstPass).length, await record.locator("tbody tr").count());
    assert.equal(kept.exercises.every((e) => e.tries === 2 && e.hints === 1), true, "a look that finds no pass is no try");
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.getByRole("button").count(), 0, "on paper there is nothing to press");
    await screenshot(page, "record-printed");
    await page.emulateMedia({ media: null });
  });

  await t.test("the_browser_reported_nothing", () => assert.deepEqual(errors.filter((e) => !askedFirst.test(e)), []));
});

/** The exercises between the heading and the end of its section. */
const exercisesOf = (section) =>
  page.evaluate((id) => {
    const all = [...document.querySelectorAll("article .section > h2[id], article [data-exercise]")];
    const rest = all.slice(all.indexOf(document.getElementById(id)) + 1);
    const end = rest.findIndex((e) => e.matches("h2"));
    return (end < 0 ? rest : rest.slice(0, end)).map((e) => e.dataset.exercise);
  }, section);

async function quizzes() {
  await page.goto(server.at("/"));
  return page.locator('a[href^="/quizzes/"]').evaluateAll((links) => [...new Set(links.map((a) => new URL(a.href).pathname))]);
}

/**
 * Answers each question with what choose gives for it: the IDs of its choices or, where
 * a line is to be fixed, that line; null is the first choice, and the line as it is.
 */
async function answer(choose) {
  for (const question of await page.locator("[data-question]").all()) {
    const chosen = choose(await question.getAttribute("data-question"));
    if ((await question.getAttribute("data-kind")) === "fix") {
      if (chosen !== null) await question.locator("input[type=text]").fill(chosen);
      continue;
    }
    const ids = chosen ?? [await question.locator("[data-choice]").first().getAttribute("data-choice")];
    for (const id of ids) await question.locator(`[data-choice="${id}"] input`).check();
  }
  await page.getByRole("button", { name: "Check the answers" }).click();
  await page.locator("#score").waitFor();
}

/** The right answers as the graded page tells them, by question. */
async function solutions() {
  const all = await page.locator("[data-question]").evaluateAll((questions) =>
    questions.map((q) => {
      if (q.dataset.kind === "fix") return [q.dataset.question, q.querySelector("code.solution").textContent];
      const right = [...q.querySelectorAll("[data-choice]")].filter((c) => {
        const explanation = document.getElementById(c.querySelector("input").getAttribute("aria-describedby"));
        return /^(Your answer: )?Right\.$|Right to choose|Wrong to leave out/.test(explanation.querySelector("strong").textContent.trim());
      });
      return [q.dataset.question, right.map((c) => c.dataset.choice)];
    }),
  );
  return new Map(all);
}

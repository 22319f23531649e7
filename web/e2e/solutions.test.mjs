// Every exercise of every lesson, done with the solution that the page shows and by the
// page's own buttons alone, on the server as make builds it with simulated sandboxes, or
// at the address BASE_URL. LESSONS names those to do, with commas between; else it is
// all of them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collectErrors, launch } from "./browser.mjs";
import { serve } from "./server.mjs";
import { askedFirst, followSolution, lessons, start } from "./walk.mjs";

const chosen = process.env.LESSONS?.split(",");

let server, browser, page, errors;

before(async () => {
  const base = process.env.BASE_URL;
  server = base ? { at: (path) => new URL(path, base).href, stop() {} } : await serve();
  browser = await launch();
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  errors = collectErrors(context);
  page = await context.newPage();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const lesson of lessons.filter((l) => chosen?.includes(l.slug) ?? true)) {
  test(`each_solution_of_${lesson.slug}_passes_through_the_page`, async (t) => {
    await page.goto(server.at(`/lessons/${lesson.slug}`));
    await start(page);
    const ids = await page.locator("[data-exercise]").evaluateAll((all) => all.map((e) => e.dataset.exercise));
    assert.ok(ids.length > 0, "the lesson has exercises");
    for (const id of ids) await t.test(id, () => followSolution(page, lesson, id));
  });
}

test("the_browser_reported_nothing", () => assert.deepEqual(errors.filter((e) => !askedFirst.test(e)), []));

// Draws every story of the storybook at four widths in both schemes: nothing scrolls
// sideways, nothing is cut off, and axe finds nothing.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { axe, collectErrors, launch, screenshot, until } from "./browser.mjs";
import { openBook } from "./storybook.mjs";

const book = await openBook();
const widths = [
  [1920, 1080],
  [1280, 800],
  [768, 1024],
  [390, 844],
];
const schemes = ["light", "dark"];

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await book.close();
});

/** What is wrong with how the page lies in the window: what makes it scroll sideways, and words that are cut off. */
function badlyLaid() {
  const wrong = [];
  const nameOf = (e) => `${e.localName}${e.id ? `#${e.id}` : ""}${e.className && typeof e.className === "string" ? `.${e.className.trim().replace(/ +/g, ".")}` : ""} “${(e.textContent ?? "").trim().slice(0, 40)}”`;
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) {
    wrong.push(`the document scrolls sideways: ${root.scrollWidth} of ${innerWidth} px`);
    for (const e of document.body.querySelectorAll("*")) if (e.getBoundingClientRect().right > innerWidth + 1 && wrong.length < 4) wrong.push(`too far right: ${nameOf(e)}`);
  }
  for (const e of document.querySelectorAll("button, a.button, h1, h2, h3, .chip, .bar > *, label, summary")) {
    // What is for screen readers alone is a pixel wide.
    if (!e.checkVisibility({ visibilityProperty: true }) || e.clientWidth < 2 || e.closest(".visually-hidden")) continue;
    const style = getComputedStyle(e);
    if (style.overflowX === "visible" && style.overflowY === "visible") continue;
    // What ends in dots says so, and has a title.
    if (style.textOverflow === "ellipsis") continue;
    if (e.scrollWidth > e.clientWidth + 1 && style.overflowX !== "auto" && style.overflowX !== "scroll") wrong.push(`cut off: ${nameOf(e)}`);
  }
  return wrong;
}

describe("every_story_is_drawn", { concurrency: 2 }, () => {
  for (const story of book.stories) {
    test(story.name, async () => {
      const context = await browser.newContext({ viewport: { width: widths[0][0], height: widths[0][1] }, reducedMotion: "reduce" });
      try {
        const errors = collectErrors(context);
        const page = await context.newPage();
        await page.goto(story.url);
        const shown = () => page.evaluate(() => document.documentElement.dataset.story);
        assert.equal(await until(shown, "the story is shown", 25_000), "shown");
        for (const [width, height] of widths) {
          await page.setViewportSize({ width, height });
          for (const colorScheme of schemes) {
            await page.emulateMedia({ colorScheme });
            const where = `${story.name} at ${width} px, ${colorScheme}`;
            assert.deepEqual(await page.evaluate(badlyLaid), [], where);
            if (process.env.STORYBOOK_PICTURES) await screenshot(page, `storybook-${story.name}-${width}-${colorScheme}`);
            // Of two schemes nothing differs but colours, and of two widths mostly sizes.
            if (width === widths[0][0] || width === widths.at(-1)[0]) assert.deepEqual(await axe(page, colorScheme === "light" ? [] : ["color-contrast"]), [], where);
          }
        }
        const provoked = (e) => story.provokes.some((path) => e.includes(path));
        assert.deepEqual(errors.filter((e) => !provoked(e)), []);
      } finally {
        await context.close();
      }
    });
  }
});

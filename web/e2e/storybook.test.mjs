// Draws every story of the storybook at four widths in both schemes: nothing scrolls
// sideways, nothing is cut off, axe finds nothing, and all looks as in baseline/, which
// STORYBOOK=accept writes anew. STORIES=^why draws only some.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { differences, drawn, lookOf, read, write } from "./baseline.mjs";
import { axe, collectErrors, launch, until } from "./browser.mjs";
import { openBook } from "./storybook.mjs";

const book = await openBook();
const widths = [
  [1920, 1080],
  [1280, 800],
  [768, 1024],
  [390, 844],
];
const schemes = ["light", "dark"];

const baselines = new URL("baseline/", import.meta.url);
const out = new URL("out/", import.meta.url);
const accept = process.env.STORYBOOK === "accept";
const some = new RegExp(process.env.STORIES ?? "");

let browser, reader;
before(async () => {
  browser = await launch();
  reader = await browser.newPage();
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

// Where all is that can be pressed or read as a title, two frames from now.
async function places() {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  return [...document.querySelectorAll("button, summary, h1, h2, h3, table, svg, form")]
    .map((e) => [e.tagName, ...Object.values(e.getBoundingClientRect().toJSON()).map(Math.round)].join())
    .join("\n");
}

/** Waits until what the page's width decides is drawn anew: the script sees it some frames later. */
async function atRest(page) {
  let before;
  let alike = 0;
  await until(
    async () => {
      const now = await page.evaluate(places);
      alike = now === before ? alike + 1 : 0;
      before = now;
      return alike === 3;
    },
    "nothing on the page moves any more",
    10_000,
  );
}

/** Draws the page in every width and scheme. */
async function looksOf(page, name) {
  const looks = [];
  for (const [width, height] of widths) {
    await page.setViewportSize({ width, height });
    await atRest(page);
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme });
      const where = `${name} at ${width} px, ${colorScheme}`;
      assert.deepEqual(await page.evaluate(badlyLaid), [], where);
      looks.push({ where, ...(await lookOf(page, reader)) });
      // By all its rules, where each scheme and each of the outermost widths is seen once.
      if (where.endsWith(`${widths[0][0]} px, dark`) || where.endsWith(`${widths.at(-1)[0]} px, light`)) assert.deepEqual(await axe(page), [], where);
    }
  }
  return looks;
}

/** Fails where the looks are not as they were kept, and leaves both pictures to be looked at. */
async function compare(name, looks) {
  const file = new URL(`${name}.json`, baselines);
  mkdirSync(baselines, { recursive: true });
  if (accept) return writeFileSync(file, write(looks));
  assert.ok(existsSync(file), `there is no baseline of ${name}: npm run storybook:accept keeps what it looks like`);
  const before = read(readFileSync(file, "utf8"));
  const wrong = [];
  mkdirSync(out, { recursive: true });
  for (const [i, look] of looks.entries()) {
    const found = differences(before[i], look);
    if (found.length === 0) continue;
    const picture = `storybook-${look.where.replaceAll(/[ ,]+/g, "-")}`;
    writeFileSync(new URL(`${picture}.jpg`, out), look.picture);
    writeFileSync(new URL(`${picture}-before.svg`, out), drawn(before[i], widths[i >> 1]));
    wrong.push(`${look.where} (web/e2e/out/${picture}.jpg, beside -before.svg):`, ...found.map((d) => `  ${d}`));
  }
  assert.deepEqual(wrong, []);
}

describe("every_story_is_drawn", { concurrency: 2 }, () => {
  for (const story of book.stories.filter((s) => some.test(s.name))) {
    test(story.name, async () => {
      // A time of day is as long at any hour there.
      const context = await browser.newContext({ viewport: { width: widths[0][0], height: widths[0][1] }, reducedMotion: "reduce", locale: "en-GB" });
      try {
        const errors = collectErrors(context);
        const page = await context.newPage();
        await page.goto(story.url);
        const shown = () => page.evaluate(() => document.documentElement.dataset.story);
        assert.equal(await until(shown, "the story is shown", 25_000), "shown");
        await compare(story.name, await looksOf(page, story.name));
        const provoked = (e) => story.provokes.some((path) => e.includes(path));
        assert.deepEqual(errors.filter((e) => !provoked(e)), []);
      } finally {
        await context.close();
      }
    });
  }
});

test("no_baseline_is_left_of_a_story_that_is_gone", () => {
  const names = new Set(book.stories.map((s) => `${s.name}.json`));
  const left = readdirSync(baselines).filter((file) => !names.has(file));
  if (accept) for (const file of left) rmSync(new URL(file, baselines));
  else assert.deepEqual(left, []);
});

test("a_baseline_tells_a_change_that_somebody_would_see_and_nothing_else", async () => {
  const story = book.stories.find((s) => s.name === "sandbox-failed");
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(story.url);
  await until(() => page.evaluate(() => document.documentElement.dataset.story), "the story is shown", 25_000);
  const [before] = read(write([await lookOf(page, reader)]));
  assert.deepEqual(differences(before, await lookOf(page, reader)), [], "drawn again");

  /** What is found once the page is changed so. */
  const found = async (change, back) => {
    await page.evaluate(change);
    const lines = differences(before, await lookOf(page, reader));
    await page.evaluate(back);
    return lines;
  };
  const body = (set) => `document.body.style.cssText = ${JSON.stringify(set)}`;
  assert.deepEqual(await found(body("text-rendering: geometricPrecision; -webkit-font-smoothing: none"), body("")), [], "letters drawn in another way");
  assert.match((await found(`document.getElementById("see").style.marginLeft = "12px"`, `document.getElementById("see").style.marginLeft = ""`)).join("\n"), /section#see See was at/);
  assert.match((await found(`document.querySelector("#reset button").style.display = "none"`, `document.querySelector("#reset button").style.display = ""`)).join("\n"), /button Reset is not there/);
  assert.match((await found(`document.documentElement.style.setProperty("--accent", "#0a7a3f")`, `document.documentElement.style.removeProperty("--accent")`)).join("\n"), /button#?.* was .* and is /);
  assert.match((await found(body("filter: brightness(0.85)"), body(""))).join("\n"), /lighter or darker/);
  assert.deepEqual(differences(before, await lookOf(page, reader)), [], "all as before");
  await context.close();
});

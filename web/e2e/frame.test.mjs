// The frame around lesson and lab, on the server as make builds it: panes, splitters,
// places, colours, and a lesson in sections.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { assertAccessible, collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { denyAll } from "./walk.mjs";

const lesson = "/lessons/network-policies";
const { server, browser } = onTheServer();
let context, page, errors;

afterEach(async () => {
  assert.deepEqual(errors, []);
  await context.close();
});

async function open(path, options = {}) {
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at(path));
}

const scrolls = () => page.evaluate(() => document.documentElement.scrollHeight > innerHeight || document.documentElement.scrollWidth > innerWidth);
const width = (selector) => page.locator(selector).evaluate((e) => e.getBoundingClientRect().width);
const height = (selector) => page.locator(selector).evaluate((e) => e.getBoundingClientRect().height);

test("a_wide_page_fills_the_window_and_only_its_panes_scroll", async () => {
  for (const size of [1100, 1280, 1920]) {
    await open(lesson, { viewport: { width: size, height: 800 } });
    assert.equal(await scrolls(), false, `${size} px`);
    assert.equal(await page.locator("#lesson").evaluate((e) => e.scrollHeight > e.clientHeight), true);
    for (const pane of ["#lesson", "#write", "#see", "#why"]) assert.equal(await page.locator(pane).isVisible(), true, `${pane} at ${size} px`);
    if (size !== 1920) await context.close();
  }
});

test("the_choice_of_views_covers_nothing_of_the_workspace", async () => {
  await open(lesson);
  await page.locator(".cm-content").waitFor();
  for (const name of ["the-first-of-many", "the-second-of-many", "the-third-of-many", "the-fourth-of-many"]) {
    if (name !== "the-first-of-many") await page.getByRole("button", { name: "New policy" }).click();
    await page.locator(".cm-content").focus();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText(denyAll.replace("default-deny-all", name));
  }
  for (const size of [390, 768, 1100, 1440, 1920]) {
    await page.setViewportSize({ width: size, height: 900 });
    if (size < 1100) await page.getByRole("navigation", { name: "Places" }).getByRole("link", { name: "Write" }).click();
    for (const button of await page.locator(".views button, #files-bar > button, .file-bar button").all()) {
      if (await button.isVisible()) await button.click({ trial: true, timeout: 5000 });
    }
    const [tabs, views] = [await page.locator("#files").boundingBox(), await page.locator(".views").boundingBox()];
    assert.ok(tabs.x + tabs.width <= views.x || tabs.y >= views.y + views.height, `${size} px: the tabs end before the views begin`);
  }
});

test("splitters_move_by_keyboard_and_mouse_and_are_remembered", async () => {
  await open(lesson);
  const between = page.getByRole("separator", { name: "Width of the lesson" });
  const before = await width("#lesson");
  await between.focus();
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowRight");
  assert.equal(await between.getAttribute("aria-valuenow"), "42");
  assert.ok((await width("#lesson")) > before + 40);
  const above = page.getByRole("separator", { name: "Height of the editor" });
  assert.equal(await above.getAttribute("aria-orientation"), "horizontal");
  const was = await height("#write");
  const box = await above.boundingBox();
  await page.mouse.move(box.x + 100, box.y);
  await page.mouse.down();
  await page.mouse.move(box.x + 100, box.y + 120, { steps: 4 });
  await page.mouse.up();
  const now = await height("#write");
  assert.ok(now > was + 100, `${was} px have become ${now}`);
  await page.reload();
  await until(async () => Math.abs((await height("#write")) - now) < 2, "the height is kept");
  assert.equal(await between.getAttribute("aria-valuenow"), "42");
  await between.press("Enter");
  assert.equal(await between.getAttribute("aria-valuenow"), "36", "Enter brings the usual back");
});

test("a_narrow_page_has_three_places_that_each_keep_their_position", async () => {
  await open(lesson, { viewport: { width: 390, height: 800 } });
  const place = (name) => page.getByRole("navigation", { name: "Places" }).getByRole("link", { name });
  assert.equal(await scrolls(), false);
  await page.locator("#lesson").evaluate((e) => e.scrollTo(0, 900));
  await place("See").click();
  assert.equal(await page.locator("#see").isVisible(), true);
  assert.equal(await page.locator("#lesson").isVisible(), false);
  await place("Read").press("Enter");
  assert.equal(await page.locator("#lesson").isVisible(), true);
  assert.equal(await page.locator("#lesson").evaluate((e) => e.scrollTop), 900);
  // An exercise leads to the editor, and that back.
  const exercise = page.locator("[data-exercise]").first();
  await exercise.getByRole("link", { name: "Go to the editor" }).click();
  assert.equal(await page.locator("#write").isVisible(), true);
  await page.getByRole("link", { name: "Back to the exercise" }).click();
  await until(() => exercise.evaluate((e) => e.getBoundingClientRect().top >= 0 && e.getBoundingClientRect().top < innerHeight), "the exercise is in view");
  await assertAccessible(page, "on a phone");
  for (const name of ["Write", "See"]) {
    await place(name).click();
    await assertAccessible(page, `on a phone, ${name}`);
  }
});

test("colours_are_chosen_without_a_reload_and_kept", async () => {
  await open(lesson, { colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("button", { name: "Dark" }).click();
  const dark = await ground();
  assert.notEqual(dark, light);
  await until(async () => (await context.cookies()).some((c) => c.name === "netpol-lab-scheme" && c.value === "dark"), "the choice is kept");
  await page.goto(server.at("/"));
  assert.equal(await ground(), dark);
  await assertAccessible(page, "dark by choice");
});

test("the_sections_of_a_lesson_one_at_a_time", async () => {
  await open(lesson);
  const shown = () => page.locator(".section[data-section]").evaluateAll((all) => all.flatMap((s) => (s.checkVisibility() ? [s.dataset.section] : [])));
  const all = await shown();
  assert.ok(all.length > 5);
  const contents = page.getByRole("navigation", { name: "Sections of the lesson" });
  await contents.locator("summary").press("Enter");
  await contents.getByRole("button", { name: "One section at a time" }).press("Enter");
  await contents.getByRole("link").nth(2).press("Enter");
  assert.deepEqual(await shown(), [all[2]]);
  await page.locator(".section:not([hidden]) .section-end button").press("Enter");
  await until(async () => JSON.stringify(await shown()) === JSON.stringify([all[3]]), "the next section");
  assert.equal(await page.evaluate(() => document.activeElement.id), all[3], "the focus goes along");
  assert.match(await contents.textContent(), /1 of 8 sections done/);
  await page.reload();
  assert.deepEqual(await shown(), [all[3]], "the choice is remembered");
});

test("without_scripts_the_page_scrolls_and_its_links_lead_to_the_places", async () => {
  await open(lesson, { javaScriptEnabled: false, viewport: { width: 390, height: 800 } });
  for (const pane of ["#lesson", "#write", "#see"]) assert.equal(await page.locator(pane).isVisible(), true, pane);
  await page.getByRole("link", { name: "Write", exact: true }).click();
  assert.match(page.url(), /#write$/);
  assert.equal(await page.getByRole("separator").count(), 0, "what needs a script is not there");
});

test("skip_links_lead_to_lesson_editor_matrix_and_reasons", async () => {
  await open(lesson);
  for (const [name, id] of [
    ["Skip to the lesson", "lesson"],
    ["Skip to the matrix", "see"],
    ["Skip to the reasons", "why"],
  ]) {
    await page.getByRole("link", { name }).press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), id);
  }
  await page.locator(".cm-content").waitFor();
  await page.getByRole("button", { name: "History", exact: true }).press("Enter");
  await page.getByRole("link", { name: "Skip to the editor" }).press("Enter");
  assert.equal(await page.locator(".cm-content").evaluate((e) => e === document.activeElement), true, "it ends in the editor itself, whatever view was in its place");
});

// The editor, by keyboard, and what it marks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./browser.mjs";
import { code } from "./fakelab.mjs";
import { becomes, eachWithAPage, editorText, expected, lab, openReady, page, policiesPath, press, type } from "./fakepage.mjs";

eachWithAPage();

test("a_place_beyond_the_text_does_no_harm", async () => {
  expected.push(/status of 422/);
  await openReady();
  await type("a: b");
  lab.answers.set(`PUT ${policiesPath()}`, { status: 422, body: { error: "Nothing was applied.", problems: [{ line: 99, column: 99, message: "m" }] } });
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("link", { name: "line 99, column 99" }).click();
  await page.keyboard.insertText("c");
  assert.equal(await editorText(), "a: bc");
});

test("on_a_phone_insert_brings_the_editor_into_view", async () => {
  await page.setViewportSize({ width: 390, height: 400 });
  await page.goto(lab.url);
  await page.evaluate(() => scrollTo(0, 0));
  await page.getByRole("button", { name: "Into the workspace" }).click();
  await until(() => page.locator(".cm-content").evaluate((e) => {
    const { top, bottom } = e.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  }), "the editor is in view");
});

test("enter_indents_and_tab_leaves_the_editor", async () => {
  await page.goto(lab.url);
  await page.locator(".cm-content").click();
  await page.keyboard.type("spec:\npodSelector:\nmatchLabels:\napp: api");
  assert.equal(await editorText(), "spec:\n  podSelector:\n    matchLabels:\n      app: api");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "apply");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await page.locator(".cm-content").evaluate((e) => e === document.activeElement), true);
});

for (const [how, put] of [["typed", (key) => page.keyboard.press(key)], ["inserted", (key) => page.keyboard.insertText(key)]]) {
  test(`text_${how}_over_a_selection_replaces_it_within_the_pages_security_policy`, async () => {
    await page.goto(lab.url);
    await type(code);
    await page.keyboard.press("ControlOrMeta+a");
    await put("x");
    assert.equal(await editorText(), "x");
    await page.keyboard.press("ControlOrMeta+z");
    assert.equal(await editorText(), code);
  });
}

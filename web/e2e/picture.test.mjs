// The picture linked with the matrix, the editor and the reasons, with the mouse and with
// the keyboard alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { denyAll, webToApi } from "./walk.mjs";

const { server, browser } = onTheServer(begin);
let page, errors;

const pod = (id) => page.locator(`.pic-end[data-end="${id}"]`);
const shield = (id, way) => page.locator(`.pic-shield.${way}[data-of="${id}"]`);
const at = () => page.evaluate(() => document.activeElement.dataset.end ?? document.activeElement.ariaLabel);
const view = (name) => page.locator(`[data-view="${name}"]`);
const become = async (look, want, what) => {
  await until(async () => JSON.stringify(await look()) === JSON.stringify(want), what).catch(async () => assert.deepEqual(await look(), want, what));
};

/** The lines of the open file that are marked as those of policies that select the pod that is pointed at. */
const marked = () => page.locator(".cm-pointed").evaluateAll((all) => all.map((e) => e.textContent.trim()));
/** The files whose policies select it. */
const files = () => page.locator("#files .selects .name").evaluateAll((all) => all.map((e) => e.textContent));
const lit = () => page.locator("#matrix :is(tr, thead th).lit").evaluateAll((all) => [...new Set(all.map((e) => e.querySelector(".pod").textContent))]);
const inPicture = () => page.locator(".pic-end.lit").evaluateAll((all) => all.map((e) => e.dataset.end));
const openFile = () => page.locator("#files [aria-selected=true] .name").textContent();

async function begin() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at("/workbench"));
  const status = await page.evaluate(async (yaml) => {
    const json = { "Content-Type": "application/json", Accept: "application/json" };
    const lab = document.querySelector("#lab").dataset.lab;
    const { id } = await (await fetch("/sandboxes", { method: "POST", headers: json, body: JSON.stringify({ lab }) })).json();
    for (let state; state !== "ready"; ) ({ state } = await (await fetch(`/sandboxes/${id}`, { headers: { Accept: "application/json" } })).json());
    return (await fetch(`/sandboxes/${id}/policies`, { method: "PUT", headers: { ...json, "Content-Type": "application/yaml" }, body: yaml })).status;
  }, `${denyAll}---\n${webToApi}`);
  assert.equal(status, 200);
  await page.reload();
  await page.locator(".cm-content").waitFor();
  await view("picture").click();
  await page.locator(".pic-shield.up").first().waitFor();
  await become(() => page.locator("#files .name").allTextContents(), ["api-admits-web", "default-deny-all", "web-may-call-api"], "the files");
}

test("a_pod_at_the_pointer_lights_its_row_and_columns_and_the_policies_that_select_it", async () => {
  await page.locator("#files [data-policy='production/web-may-call-api']").click();
  await pod("production/api").hover();
  await become(lit, ["api"], "its row and its columns in the matrix");
  await become(files, ["api-admits-web", "default-deny-all"], "the files whose policies select it");
  assert.deepEqual(await marked(), [], "the file that is open does not");
  await pod("production/web").hover();
  await become(files, ["default-deny-all", "web-may-call-api"], "the files of the other pod");
  const lines = await marked();
  assert.deepEqual([lines[0], lines.at(-1)], ["apiVersion: networking.k8s.io/v1", "- port: 8080"]);
  await page.mouse.move(1, 1);
  await become(lit, [], "nothing is pointed at");
  assert.deepEqual([await files(), await marked()], [[], []]);
});

test("a_pod_at_the_keyboard_does_the_same", async () => {
  await pod("production/web").focus();
  await become(lit, ["web"], "its row and its column");
  await become(files, ["default-deny-all", "web-may-call-api"], "the files");
  await page.keyboard.press("ArrowDown");
  assert.equal(await at(), "production/api");
  await become(lit, ["api"], "the next one's");
  await page.keyboard.press("Shift+Tab");
  await become(lit, [], "the keyboard has left the picture");
});

test("a_wide_window_shows_the_matrix_and_the_picture_and_each_lights_the_other", async () => {
  const shown = () => page.locator("#see :is(.see-matrix, .see-picture)").evaluateAll((all) => all.map((e) => e.checkVisibility()));
  assert.equal(await view("both").isVisible(), false, "here is no room for both");
  await page.setViewportSize({ width: 1920, height: 1080 });
  await view("both").click();
  await become(shown, [true, true], "both");
  const room = await page.locator("#see").evaluate((see) => {
    const [right, end] = [see.querySelector(".see-picture").getBoundingClientRect().right, see.getBoundingClientRect().right];
    return { over: [".see-matrix", ".pic-stage"].map((part) => see.querySelector(part)).map((e) => e.scrollWidth - e.clientWidth), left: end - right };
  });
  assert.deepEqual([room.over, room.left < 32], [[0, 0], true], "nothing is cut, and the pane is used to its end");
  await page.locator("#matrix tbody th", { hasText: "db" }).hover();
  await become(lit, ["db"], "the row and the column");
  await become(() => page.locator(".pic-end.in").evaluateAll((all) => all.map((e) => e.dataset.end)), ["production/db"], "the pod");
  await pod("monitoring/grafana").hover();
  await become(lit, ["grafana"], "the other way");
  await page.setViewportSize({ width: 1280, height: 900 });
  await become(shown, [true, false], "without the room, the matrix");
  await view("picture").click();
});

test("where_nothing_is_chosen_a_wide_window_shows_both", async () => {
  const other = await page.context().newPage();
  await other.setViewportSize({ width: 1920, height: 1080 });
  await other.goto(server.at("/workbench"));
  await other.evaluate(() => Object.keys(localStorage).filter((key) => key.includes("see:")).forEach((key) => localStorage.removeItem(key)));
  await other.reload();
  await other.locator(".see-picture .pic-end").first().waitFor();
  assert.equal(await other.locator('[data-view="both"]').getAttribute("aria-pressed"), "true");
  await other.close();
});

test("the_selector_under_the_cursor_lights_pods_in_the_picture", async () => {
  await page.locator("#files [data-policy='production/api-admits-web']").click();
  await page.locator(".cm-line", { hasText: "app: web" }).click();
  await become(inPicture, ["production/web"], "the peer");
  await page.locator(".cm-line", { hasText: "app: api" }).click();
  await become(inPicture, ["production/api"], "the subject");
  // What the pointer passes over does not put it out.
  await pod("monitoring/grafana").hover();
  await page.mouse.move(1, 1);
  await become(inPicture, ["production/api"], "the subject again");
  // And by the keyboard.
  await page.keyboard.press("ControlOrMeta+End");
  for (let n = 0; n < 20 && !(await page.locator(".cm-activeLine").first().textContent()).includes("app: web"); n++) await page.keyboard.press("ArrowUp");
  await become(inPicture, ["production/web"], "the peer, by the keyboard");
});

test("a_shield_opens_the_policy_that_isolates_the_pod_and_of_several_one_chooses", async () => {
  assert.equal(await shield("production/db", "ingress").getAttribute("aria-label"), "production/db: Isolated for ingress by production/default-deny-all");
  await shield("production/db", "ingress").click();
  await become(openFile, "default-deny-all", "the policy's file");
  await until(() => page.evaluate(() => document.activeElement.classList.contains("cm-content")), "the editor has the keyboard");
  await shield("production/api", "ingress").click();
  assert.equal(await page.evaluate(() => document.activeElement.dataset.policy), "production/api-admits-web", "the first of two is offered beside the picture");
  assert.deepEqual(await page.locator(".pic-words [data-policy]").allTextContents(), ["production/default-deny-all", "production/api-admits-web", "production/default-deny-all"]);
  await page.keyboard.press("Enter");
  await become(openFile, "api-admits-web", "the chosen policy's file");
});

test("shields_are_come_to_by_arrow_keys_and_pressed_by_Enter", async () => {
  await pod("production/db").focus();
  const lead = async (keys) => {
    for (const [key, want] of keys) {
      await page.keyboard.press(key);
      assert.match(await at(), want, key);
    }
  };
  await lead([
    ["ArrowRight", /^production\/db: Isolated for (in|e)gress/], ["ArrowUp", /^production\/(db|api): Isolated for/], ["Home", /^production\/web$/], ["ArrowRight", /^production\/web: Isolated for/],
    ["ArrowLeft", /^production\/web$/], ["End", /^kube-system\/kube-dns$/], ["ArrowLeft", /^[a-z-]+\/[a-z-]+(: Isolated for .*)?$/],
  ]);
  assert.equal(await page.locator('.lab-picture [tabindex="0"]').count(), 1, "the picture is one stop of the Tab key");
  await shield("production/db", "egress").focus();
  await page.keyboard.press("Enter");
  await become(openFile, "default-deny-all", "the policy's file");
});

test("a_line_that_is_chosen_opens_why", async () => {
  // Lines lie on each other: once a pod is pressed, only its own are in the pointer's way.
  await pod("production/db").click();
  const { x, y } = await page.locator('.pic-pair[data-from="production/web"][data-to="production/db"] .pic-hit').evaluate((path) => {
    for (let part = 0.1; part < 1; part += 0.05) {
      const { x, y } = path.getPointAtLength(path.getTotalLength() * part).matrixTransform(path.getScreenCTM());
      if (document.elementFromPoint(x, y) === path) return { x, y };
    }
    return {};
  });
  await page.mouse.click(x, y);
  await become(() => page.locator("#why .why-flow").textContent(), "production/web → production/db:5432/TCP by IP", "why");
  await page.keyboard.press("Escape");
  // With the keyboard: the pod stays, and its flows are beside it.
  await pod("production/web").focus();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#why .empty").count(), 1, "nothing is chosen");
  await page.keyboard.press("Enter");
  for (let i = 0; i < 40 && (await page.evaluate(() => document.activeElement.dataset.flow)) !== "production/web>production/db:5432/TCP"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await become(() => page.locator("#why .why-flow").textContent(), "production/web → production/db:5432/TCP by IP", "why");
  await page.locator("#why [data-focus=close]").click();
});

test("a_shield_goes_with_the_last_policy_that_isolates_the_pod", async () => {
  assert.equal(await page.locator(".pic-shield.up").count(), 6);
  await page.evaluate(() => fetch(`/sandboxes/${document.querySelector("#lab").dataset.sandbox}/policies/production/default-deny-all`, { method: "DELETE", headers: { Accept: "application/json" } }));
  await become(() => page.locator(".pic-shield.up").evaluateAll((all) => all.map((e) => e.dataset.of)), ["production/web", "production/api"], "web for egress, api for ingress");
});

for (const colorScheme of ["light", "dark"]) {
  test(`the_picture_with_its_shields_is_accessible_in_${colorScheme}`, async () => {
    await page.emulateMedia({ colorScheme });
    await shield("production/web", "egress").focus();
    await assertAccessible(page, "a shield at the keyboard");
  });
}

test("the_browser_reported_nothing", () => assert.deepEqual(errors, []));

// The preview of a draft, and why a connection is as it is; on the server as make builds
// it, with the mouse, and with the keyboard alone.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { assertAccessible, collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";

const { server, browser } = onTheServer();
let context, page, errors;

beforeEach(() => open());

afterEach(async () => {
  await context.close();
  assert.deepEqual(errors, []);
});

async function open(options = {}) {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at("/workbench?lab=network-policies"));
  await page.locator(".cm-content").waitFor();
}

const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`;

const webToAPI = "production/web>production/api:8080/TCP";

const press = async (...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};

async function write(text) {
  await page.locator(".cm-content").focus();
  await press("ControlOrMeta+a");
  await page.keyboard.insertText(text);
  await press("Escape");
}

const preview = () => page.locator("#preview").textContent();
const previewSays = (pattern) => until(async () => pattern.test((await preview()) ?? ""), `the preview says ${pattern}`);
const why = (name) => page.locator(`.why ${name}`);
const verdictOf = (flow) => page.locator(`.flow[data-flow="${flow}"]`).first().getAttribute("data-verdict");

async function start() {
  await page.locator("#start button").click();
  await page.locator('#lab[data-state="ready"]').waitFor();
  await until(async () => (await verdictOf(webToAPI)) === "open", "every flow is known");
}

async function apply() {
  await page.locator("#apply").click();
}

test("while_a_policy_is_written_the_page_says_what_it_would_do_and_does_nothing", async () => {
  await start();
  await write(denyAll);
  await previewSays(/^Preview: \d+ flows would close\.$/);
  assert.equal(await verdictOf(webToAPI), "open");
  const would = page.locator(`.flow[data-flow="${webToAPI}"][data-would="closed"]`).first();
  await would.waitFor({ state: "attached" });

  // An error is said, and where; the preview comes again when it is mended.
  await write(denyAll.replace("podSelector:", "podSelecter:"));
  await previewSays(/^No preview: line 7 has an error\.$/);
  await write(denyAll.replace("podSelector: {}", "podSelector: {matchLabels: {app: db}}"));
  await previewSays(/^Preview: \d+ flows would close\.$/);

  // Applied, it is as it was said.
  const ofOnePod = await preview();
  await write(denyAll);
  await until(async () => (await preview()) !== ofOnePod, "the preview is of the whole namespace again");
  await previewSays(/^Preview: \d+ flows would close\.$/);
  const closes = Number(/\d+/.exec(await preview())[0]);
  await apply();
  await until(async () => (await verdictOf(webToAPI)) === "blocked", "the policy is in force");
  await previewSays(/^$/);
  const turned = await page.locator("#settled").textContent();
  assert.equal(Number(/^\d+/.exec(turned)[0]), closes, turned);
});

test("only_what_the_draft_changes_can_be_looked_at", async () => {
  await start();
  await write(denyAll.replace("podSelector: {}", "podSelector: {matchLabels: {app: db}}"));
  await previewSays(/would close/);
  const only = page.getByRole("button", { name: "Only what changes" });
  await only.click();
  assert.equal(await only.getAttribute("aria-pressed"), "true");
  const receding = () => page.locator("#matrix .flow.faded").count();
  await until(async () => (await receding()) > 0, "what would not change recedes");
  await only.click();
  await until(async () => (await receding()) === 0, "everything is shown again");
  assert.equal(await only.getAttribute("aria-pressed"), "false");
});

test("a_connection_is_explained_step_by_step_and_what_would_allow_it_becomes_a_draft", async () => {
  await start();
  await write(denyAll);
  await previewSays(/would close/);
  await apply();
  await until(async () => (await verdictOf(webToAPI)) === "blocked", "the policy is in force");

  await page.locator(`.flow[data-flow="${webToAPI}"]:visible`).first().click();
  await until(async () => (await why("h2").textContent()) === "Why is it blocked?", "the panel asks the question");
  await why("li").first().waitFor();
  const steps = await why("li > b").allTextContents();
  assert.deepEqual(steps, ["Passes: Address", "Stops: web may not open it", "Stops: api would not take it either"]);
  assert.deepEqual(await why(".voices dt").allTextContents(), ["predicted", "observed"]);
  assert.ok((await why(".voices dd").allTextContents()).every((t) => t.endsWith("blocked")));
  await assertAccessible(page, "the why panel");

  // A place leads to its line in the editor.
  await why(".place").first().click();
  await until(async () => (await page.locator(".cm-activeLine").textContent())?.includes("podSelector"), "the cursor is in the deciding line");

  // The smallest change is a draft, and nothing else changes until it is applied.
  await page.getByRole("button", { name: "Put it into the workspace" }).click();
  await until(async () => /would open/.test((await preview()) ?? ""), "the preview tells what the draft opens");
  assert.equal(await verdictOf(webToAPI), "blocked");
  await until(async () => (await why("h2").textContent()) === "Why would it be open?", "the panel is about the draft");
  await page.getByRole("button", { name: "In force" }).click();
  assert.equal(await why("h2").textContent(), "Why is it blocked?");
});

test("a_deciding_line_is_led_to_as_soon_as_the_text_that_it_is_in_has_come", async () => {
  await start();
  await page.locator(`.flow[data-flow="${webToAPI}"]:visible`).first().click();
  let come;
  const held = new Promise((resolve) => (come = resolve));
  await page.route("**/sandboxes/*/policies", async (route) => {
    await held;
    await route.continue();
  });
  // Somebody else makes it; the page reads the reasons, and not yet the text.
  const id = await page.locator("#lab").getAttribute("data-sandbox");
  const answer = await page.request.put(server.at(`/sandboxes/${id}/policies`), { data: denyAll, headers: { "Content-Type": "application/yaml" } });
  assert.equal(answer.status(), 200);
  // Until then the workspace differs from what is in force, and is explained first.
  await page.getByRole("button", { name: "In force" }).click();
  await why(".at code").first().waitFor();
  assert.equal(await why(".place").count(), 0);
  come();
  await why(".place").first().waitFor();
  assert.equal(await why(".at code").count(), 0);
});

test("with_the_keyboard_alone_choose_a_connection_read_why_open_the_line_close_the_panel", async () => {
  await page.locator("#start button").focus();
  await press("Enter");
  await page.locator('#lab[data-state="ready"]').waitFor();
  await until(async () => (await verdictOf(webToAPI)) === "open", "every flow is known");
  await write(denyAll);
  await press("ControlOrMeta+Enter");
  await until(async () => (await verdictOf(webToAPI)) === "blocked", "the policy is in force");

  // The matrix is one stop of the Tab key; the arrows go on from there.
  await page.locator("#matrix [tabindex='0']").first().focus();
  for (let n = 0; n < 12 && (await page.evaluate(() => document.activeElement.dataset.flow)) === undefined; n++) await press(n % 2 ? "ArrowRight" : "ArrowDown");
  const flow = await page.evaluate(() => document.activeElement.dataset.flow);
  assert.ok(flow, "a connection has the focus");
  await press("Enter");
  await why("li").first().waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.dataset.flow), flow, "the focus stays");
  const said = await page.locator("[data-why='said']").textContent();
  assert.match(said, new RegExp(`^${flow.split(">")[0]} to `));

  await why("[data-focus='close']").focus();
  const at = () => page.evaluate(() => document.activeElement.dataset.focus);
  for (let n = 0; n < 20 && !/^\d+\.\d+$/.test((await at()) ?? ""); n++) await press("Tab");
  assert.match((await at()) ?? "", /^\d+\.\d+$/, "a place can be reached by Tab");
  await press("Enter");
  await until(() => page.evaluate(() => document.activeElement.closest(".cm-editor") !== null), "the editor has the focus");
  await why("[data-focus='close']").focus();
  await press("Enter");
  await until(async () => (await why("h2").textContent()) === "Why?", "the panel is closed");
});

test("without_the_network_the_last_preview_stays_and_the_page_says_so", async () => {
  await start();
  await write(denyAll);
  await previewSays(/would close/);
  await context.setOffline(true);
  await write(denyAll.replace("podSelector: {}", "podSelector: {matchLabels: {app: db}}"));
  await previewSays(/^No preview of your last change\. .* The last one said: \d+ flows would close\.$/);
  await context.setOffline(false);
  await until(async () => /^Preview: \d+ flows? would close\.$/.test((await preview()) ?? ""), "the preview is there again", 10_000);
  // What the browser says of requests without a network is no error of the page's.
  errors.splice(0, errors.length, ...errors.filter((e) => !/ERR_INTERNET_DISCONNECTED|WebSocket/.test(e)));
});

test("an_older_answer_never_stands_in_the_place_of_a_newer_one", async () => {
  await start();
  // The first answer is kept back until that to the newer text is shown.
  let held, letGo;
  await page.route("**/analysis", async (route) => {
    const text = route.request().postData() ?? "";
    if (!held && text.includes("default-deny-all")) {
      held = route.request();
      await new Promise((resolve) => (letGo = resolve));
    }
    await route.continue().catch(() => {}); // The page may have given it up: then it has failed, which is waited for below.
  });
  const ended = new Promise((resolve) => {
    for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => request === held && resolve());
  });
  await write(denyAll);
  await until(() => letGo, "the first question is asked");
  await write(denyAll.replace("podSelector: {}", "podSelector: {matchLabels: {app: nobody}}"));
  await previewSays(/^Preview: no flow would change\.$/);
  letGo();
  await ended;
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))); // what it would have drawn
  assert.match(await preview(), /^Preview: no flow would change\.$/);
  errors.splice(0, errors.length, ...errors.filter((e) => !/ERR_ABORTED|ERR_FAILED/.test(e)));
});

test("on_a_phone_the_reasons_are_a_sheet_over_the_matrix_and_a_place_leads_to_the_editor", async () => {
  await open({ viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
  await page.locator("[data-place='see']").first().click();
  await start();
  await page.locator(`.flow[data-flow="${webToAPI}"]:visible`).first().click();
  await why("li").first().waitFor();
  assert.ok(await page.locator("#why").isVisible());
  await page.getByRole("button", { name: "Put it into the workspace" }).click();
  await until(() => page.locator("#write").isVisible(), "the place to write is in view");
  assert.match(await page.locator(".cm-content").textContent(), /not-web-to-api/);
});

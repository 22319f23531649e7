// What the tests of the page's script share: a page of a lab without a cluster, and what
// they look at.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach } from "node:test";
import { collectErrors, launch, until } from "./browser.mjs";
import { FakeLab, code } from "./fakelab.mjs";

/** The policy of the fake's lesson, as it is in force. */
export const deny = { namespace: "production", name: "default-deny-all", yaml: code };

/** A policy in force under another name. */
export const named = (name, selector = "{}") => ({ ...deny, name, yaml: code.replace("default-deny-all", name).replace("{}", selector) });

/** What each test has: a lab, a browser's context and a page in it, and what it provokes on the console. */
export let browser, context, lab, page;
export let expected = [];
let errors = [];

/** Gives each test of the file a lab and a page of its own; what the page reports as wrong fails it. */
export function eachWithAPage() {
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());
  beforeEach(async () => {
    lab = new FakeLab();
    await lab.listen();
    context = await browser.newContext({ reducedMotion: "no-preference" });
    errors = collectErrors(context);
    expected = [];
    page = await context.newPage();
  });
  afterEach(async () => {
    await context.close();
    await lab.close();
    // What a test provokes, such as an answer with an error, is on the console too.
    assert.deepEqual(errors.filter((e) => !expected.some((pattern) => pattern.test(e))), []);
  });
}

export const verdict = (flow, on = page) => on.locator(`[data-flow="${flow}"]`).getAttribute("data-verdict");
export const verdicts = (on = page) => on.locator("[data-flow]").evaluateAll((spans) => Object.fromEntries(spans.map((s) => [s.dataset.flow, s.dataset.verdict])));
export const text = (selector, on = page) => on.locator(selector).textContent();
export const sent = (key) => lab.requests.filter((r) => r.key === key);
export const policiesPath = () => `/sandboxes/${lab.sandbox.picture.id}/policies`;
export const puts = () => sent(`PUT ${policiesPath()}`);
export const press = (name, on = page) => on.getByRole("button", { name, exact: true }).click();

/** The text of the file that is open. */
export const editorText = (on = page) => on.locator("#policy").inputValue();

/** The files' names with their states, in the order of the tabs. */
export const files = (on = page) =>
  on.locator("#files [data-file]").evaluateAll((tabs) => tabs.map((t) => `${t.querySelector(".name").textContent}: ${t.dataset.state}`));

export async function filesBecome(want, on = page) {
  await until(async () => JSON.stringify(await files(on)) === JSON.stringify(want), "the files").catch(async () => assert.deepEqual(await files(on), want));
}

/** Opens the file of that name. */
export async function open(name, on = page) {
  await on.locator("#files [data-file]").filter({ has: on.locator(".name", { hasText: new RegExp(`^${name}$`) }) }).click();
}

export async function becomes(selector, pattern, on = page) {
  await until(async () => pattern.test(await text(selector, on)), `${selector} ${pattern}`).catch(async (e) => {
    throw new Error(`${e.message}; it says ${JSON.stringify(await text(selector, on))}`);
  });
}

export async function turns(flow, want, on = page) {
  await until(async () => (await verdict(flow, on)) === want, `${flow} turns ${want}`);
}

export async function live(on = page) {
  await becomes("#connection", /^Live\.$/, on);
}

/** Opens the page on a sandbox that is ready, and waits for its picture; with policies, for their files too. */
export async function openReady(...policies) {
  lab.make("ready");
  lab.sandbox.picture.policies = policies;
  await page.goto(lab.url);
  await live();
  await becomes("#status", /ready/);
  await until(() => page.locator(".cm-content").count(), "the editor");
  if (policies.length > 0) await filesBecome(policies.map((p) => `${p.name}: in-force`));
}

/** Writes the text into the file that is open, in place of what it has. */
export async function type(yaml, on = page) {
  await on.locator(".cm-content").click();
  await on.keyboard.press("ControlOrMeta+a");
  await on.keyboard.insertText(yaml);
}

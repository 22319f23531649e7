// The terminal's panel against a terminal that does only what a test tells it.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { assertAccessible, collectErrors, launch, until as within } from "./browser.mjs";
import { FakeLab } from "./fakelab.mjs";

// The screen is drawn by the frame, and a busy machine draws few.
const until = (condition, what) => within(condition, what, 20_000);

let browser, context, lab, page, errors, expected;

before(async () => {
  browser = await launch();
});

after(() => browser.close());

beforeEach(async () => {
  lab = new FakeLab();
  lab.hasTerminal = true;
  await lab.listen();
  context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
  errors = collectErrors(context);
  expected = [];
  page = await context.newPage();
});

afterEach(async () => {
  await context.close();
  await lab.close();
  assert.deepEqual(errors.filter((e) => !expected.some((pattern) => pattern.test(e))), []);
});

const status = () => page.locator("#terminal-status").textContent();
const shown = () => page.locator(".xterm-accessibility").textContent();
const again = () => page.locator("#terminal-again");
const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
const terminal = () => lab.terminals.at(-1);

async function look() {
  await page.getByRole("button", { name: "Terminal", exact: true }).click();
}

/** Opens the terminal of a sandbox that is ready; its shell has written its prompt. */
async function open() {
  lab.make("ready");
  await page.goto(lab.url);
  await look();
  await until(() => terminal()?.sizes.length, "a terminal is opened");
  terminal().writes("lab$ ");
  await until(async () => (await shown()).includes("lab$"), "the prompt is shown");
}

test("the_terminal_is_loaded_and_opened_when_it_is_looked_at_and_not_before", async () => {
  lab.make("ready");
  const loaded = [];
  page.on("request", (r) => loaded.push(r.url()));
  await page.goto(lab.url);
  await until(async () => (await page.locator("#connection").textContent()) === "Live.", "the page is live");
  assert.deepEqual(loaded.filter((url) => url.includes("screen-")), []);
  assert.equal(lab.terminals.length, 0);
  await look();
  await until(() => terminal()?.sizes.length, "a terminal is opened");
  assert.match(await status(), /^Opening the terminal/);
  const { columns, rows } = terminal().sizes[0];
  assert.ok(columns > 20 && rows > 5, `${columns} × ${rows}`);
  terminal().writes("lab$ ");
  await until(async () => (await status()) === "", "nothing is left to be said");
  await assertAccessible(page, "the terminal");
});

test("what_is_typed_goes_to_the_shell_and_what_it_writes_is_shown_in_colours_without_a_breach_of_the_pages_rules", async () => {
  await open();
  await page.keyboard.type("echo hello\n");
  await page.keyboard.press("Control+c");
  await until(() => terminal().typed === "echo hello\r\x03", "it was typed");
  terminal().writes("\x1b[31mred\x1b[0m \x1b[38;2;10;200;90mtrue\x1b[0m \x1b[1;42mbold\x1b[0m\r\n");
  await until(async () => (await shown()).includes("red true bold"), "the words are shown");
  await until(() => page.locator(".xterm-rows span", { hasText: "red" }).count(), "the screen is drawn");
  const colour = (word) => page.locator(".xterm-rows span", { hasText: word }).first().evaluate((e) => getComputedStyle(e).color);
  assert.notEqual(await colour("red"), await colour("true"));
});

test("the_keyboard_leaves_the_terminal_by_F6_and_Tab_is_the_shells", async () => {
  await open();
  await page.keyboard.press("Tab");
  await until(() => terminal().typed === "\t", "Tab was typed");
  await page.keyboard.press("F6");
  assert.equal(await focused(), "after");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+F6");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.panel), "terminal");
  assert.equal(terminal().typed, "\t");
});

test("something_selected_is_copied_and_what_is_pasted_is_typed", async () => {
  await open();
  terminal().writes("\x1b[2J\x1b[Hcopied\r\n");
  await until(async () => (await shown()).includes("copied"), "the word is shown");
  const word = await page.locator(".xterm-rows span", { hasText: "copied" }).first().boundingBox();
  await page.mouse.dblclick(word.x + 10, word.y + word.height / 2);
  await page.keyboard.press("Control+c");
  await until(async () => (await page.evaluate(() => navigator.clipboard.readText())).trim() === "copied", "it is copied");
  await page.keyboard.press("Control+v");
  await until(() => terminal().typed.includes("copied"), "it is pasted");
  assert.ok(!terminal().typed.includes("\x03") && !terminal().typed.includes("\x16"), JSON.stringify(terminal().typed));
});

test("a_terminal_that_was_cut_off_comes_back_by_itself", async () => {
  await open();
  terminal().writes("one\r\n");
  await until(async () => (await shown()).includes("one"), "it is shown");
  terminal().cut();
  await until(async () => /lost/.test(await status()), "that is said");
  await until(() => lab.terminals.length === 2 && terminal().sizes.length, "it is opened again");
  terminal().writes("lab$ one\r\nlab$ ");
  await until(async () => (await status()) === "", "all is well");
  await until(async () => (await page.locator(".xterm-rows").textContent()).split("one").length === 2, "what stood there stands there once");
});

test("a_terminal_that_has_ended_says_why_and_waits_to_be_asked_for", async () => {
  await open();
  terminal().ends("elsewhere", "The terminal was opened at another place, and goes on there.");
  await until(async () => /another place/.test(await status()), "it is said");
  assert.equal(await again().textContent(), "Use it here");
  await again().click();
  await until(() => lab.terminals.length === 2 && terminal().sizes.length, "it is opened here");
  terminal().writes("lab$ ");
  await until(async () => !(await again().isVisible()), "the button goes");
  assert.match(await focused(), /xterm/);
  terminal().ends("ended", "The shell has ended.");
  await until(() => again().isVisible(), "it is offered again");
  assert.equal(await again().textContent(), "New shell");
});

test("a_refusal_is_told_in_the_servers_words", async () => {
  lab.make("ready");
  lab.answers.set(`GET /sandboxes/${lab.sandbox.picture.id}/terminal`, { status: 429, body: { error: "You have the lab open in 16 places already." } });
  expected = [/WebSocket|429|404/];
  await page.goto(lab.url);
  await look();
  await until(async () => /16 places/.test(await status()), "it is said");
  assert.equal(await again().textContent(), "Try again");
});

test("the_terminal_waits_for_the_sandbox_and_ends_with_it", async () => {
  lab.make("creating");
  await page.goto(lab.url);
  await look();
  await until(async () => /as soon as your sandbox is ready/.test(await status()), "it waits");
  assert.equal(lab.terminals.length, 0);
  lab.state("ready");
  await until(() => terminal()?.sizes.length, "it opens by itself");
  terminal().writes("lab$ ");
  lab.state("stopping", "You stopped it.");
  await until(() => terminal().closed, "it is closed");
  assert.match(await status(), /as soon as your sandbox is ready/);
});

test("the_screen_fits_its_box", async () => {
  await open();
  const before = terminal().sizes.length;
  await page.setViewportSize({ width: 500, height: 700 });
  await until(() => terminal().sizes.length > before, "the shell is told");
  assert.ok(terminal().sizes.at(-1).columns < terminal().sizes[0].columns);
});

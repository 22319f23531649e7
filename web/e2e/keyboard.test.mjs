// A whole visit with the keyboard alone, on the server as make builds it: no click, no
// pointer, and no focus set by a script. After each key the keyboard is somewhere, and it
// is seen where; and nothing is far away.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { collectErrors, completionsListen, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { denyAll } from "./walk.mjs";

const { server, browser } = onTheServer();
let context, page, errors;

afterEach(async () => {
  assert.deepEqual(errors, []);
  await context.close();
});

async function open(path, options = {}) {
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  errors = collectErrors(context);
  page = await context.newPage();
  // Looks in every frame where the keyboard is, and writes down where it was lost.
  await page.addInitScript(() => {
    globalThis.lost = [];
    let last;
    const look = () => {
      const now = document.activeElement;
      if (now && now !== document.body) last = now;
      else if (last) {
        globalThis.lost.push(last.outerHTML.slice(0, 160));
        last = undefined;
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(server.at(path));
  await loaded();
}

async function loaded() {
  if ((await page.locator("#lab").count()) === 0) return;
  await page.locator("body[data-place]").waitFor();
  // The editor comes where its place is in view.
  if (await page.locator("#write").isVisible()) await page.locator(".cm-content").waitFor();
}

/** Fails where the keyboard is nowhere, or nobody sees where it is with the next frames. */
async function here(what) {
  let wrong;
  await until(async () => (wrong = await unseen()) === undefined || /lost/.test(wrong), what, 3000).catch(() => {});
  assert.equal(wrong, undefined, what);
}

/** What is wrong with where the keyboard is. */
function unseen() {
  return page.evaluate(() => {
    if (globalThis.lost.length > 0) return `the keyboard's place was lost: ${globalThis.lost.splice(0).join(" ")}`;
    const e = document.activeElement;
    if (e === document.body) return "the keyboard is nowhere";
    const outlined = (x) => x && getComputedStyle(x).outlineStyle !== "none" && parseFloat(getComputedStyle(x).outlineWidth) >= 2;
    // The editor, the terminal, a choice and a pod of the picture show it around themselves.
    const pod = e.querySelector(":scope > .pic-pod");
    const shows = [e, e.closest(".cm-editor"), e.closest("label")].find(outlined) ?? (pod && parseFloat(getComputedStyle(pod).strokeWidth) >= 3 ? pod : undefined);
    if (!shows) return `nothing shows that the keyboard is at ${e.outerHTML.slice(0, 160)}`;
    const box = shows.getBoundingClientRect();
    const [left, top, right, bottom] = [Math.max(box.left, 0), Math.max(box.top, 0), Math.min(box.right, innerWidth), Math.min(box.bottom, innerHeight)];
    if (right - left < 1 || bottom - top < 1) return `out of the window: ${e.outerHTML.slice(0, 160)}`;
    const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    if (!at || !(shows.contains(at) || at.contains(shows))) return `covered by ${at?.outerHTML.slice(0, 80)}: ${e.outerHTML.slice(0, 160)}`;
    return undefined;
  });
}

/** Presses the keys, one after the other. */
async function press(...keys) {
  for (const key of keys) {
    await page.keyboard.press(key);
    await here(key);
  }
}

const isAt = (selector) => page.evaluate((s) => document.activeElement.matches(s), selector);
const at = () => page.evaluate(() => document.activeElement.outerHTML.slice(0, 120));
const dataset = () => page.evaluate(() => ({ ...document.activeElement.dataset }));

/** Presses Tab, or the key, until what the selector selects has the keyboard; says how often, which is at most so often. */
async function go(selector, most, key = "Tab") {
  for (let n = 0; n <= most; n++) {
    if (await isAt(selector)) return n;
    await press(key);
  }
  assert.fail(`${key} does not lead to ${selector} within ${most}; it led to ${await at()}`);
}

/** Waits for the condition; meanwhile the keyboard stays somewhere. */
async function comes(condition, what, timeout) {
  await until(condition, what, timeout);
  await here(what);
}

const text = (selector) => page.locator(selector).textContent();
const says = (selector, pattern, timeout) => comes(async () => pattern.test((await text(selector)) ?? ""), `${selector} says ${pattern}`, timeout);
const count = (selector, n) => comes(async () => (await page.locator(selector).count()) === n, `${n} of ${selector}`);
const verdict = (flow, on = page) => on.locator(`#matrix [data-flow="${flow}"]`).getAttribute("data-verdict");
const becomes = (flow, want) => comes(async () => (await verdict(flow)) === want, `${flow} is ${want}`, 15_000);
const files = () => page.locator("#files [data-file]").evaluateAll((tabs) => tabs.map((t) => `${t.querySelector(".name").textContent}: ${t.dataset.state}`));
const filesBecome = (...want) =>
  comes(async () => JSON.stringify(await files()) === JSON.stringify(want), "the files").catch(async (e) => assert.deepEqual(await files(), want, e.message));
const options = () => page.locator(".cm-tooltip-autocomplete li .cm-completionLabel").allTextContents();

const api = "production/web>production/api:8080/TCP";
const editor = ".cm-content";

/** Puts the text into the file that is open. */
async function write(yaml) {
  await press("ControlOrMeta+a");
  await page.keyboard.insertText(yaml);
  await press("Escape");
}

/** Takes the option of that label from the list of completions. */
async function take(label) {
  await page.locator(".cm-tooltip-autocomplete li").first().waitFor();
  const want = (await options()).indexOf(label);
  assert.ok(want >= 0, `${label} is not among ${await options()}`);
  const chosen = () => page.locator(".cm-tooltip-autocomplete li[aria-selected] .cm-completionLabel").textContent({ timeout: 1000 }).catch(() => undefined);
  await completionsListen(page);
  for (let n = 0; n < want; n++) await press("ArrowDown");
  await until(async () => (await chosen()) === label, `${label} is chosen`);
  await press("Enter");
  await comes(async () => (await options()).indexOf(label) < 0, `${label} is taken`);
}

/** From the top of the page to the editor. */
async function toEditor() {
  await page.keyboard.press("Tab");
  await here("the first stop");
  await go(".skips a[href='#write']", 2);
  await press("Enter");
  await comes(() => isAt(editor), "the editor has the keyboard");
}

/** Starts the sandbox from the editor, and goes back there. */
async function start() {
  await go("#start button", 4);
  const file = () => page.locator("#files [aria-selected='true']").getAttribute("data-file");
  const blank = await file();
  await press("Enter");
  await becomes(api, "open");
  // With what is in force the workspace has another blank file, and the editor begins anew.
  await comes(async () => (await file()) !== blank, "the workspace is that of the sandbox");
  await go(editor, 8, "Shift+Tab");
}

test("a_policy_is_written_completed_mended_looked_at_and_applied", async (t) => {
  await open("/workbench?lab=network-policies");
  await toEditor();
  await start();

  assert.match(await page.locator("#open-file").ariaSnapshot(), /textbox "Policy, in YAML"/);
  await press("Control+Space");
  await take("Deny all, in and out");
  await press("Escape");
  await says("#preview", /^Preview: \d+ flows would close\.$/);

  // A word that is wrong, and its fix.
  await write(denyAll.replace("policyTypes", "policyTipes"));
  await count(".cm-lintRange-error", 1);
  await press("ControlOrMeta+Home", "F8");
  await count(".cm-tooltip-lint", 1);
  await press("ControlOrMeta+.");
  await take("Write policyTypes");
  await count(".cm-lintRange-error", 0);

  // Out of the editor by Tab, in both directions, and by no other key.
  await press("Tab");
  assert.equal(await isAt(editor), false, "Tab leaves the editor");
  t.diagnostic(`from the editor to Apply: ${1 + (await go("#apply", 1))} stops`);
  await press("Enter");
  await becomes(api, "blocked");
  await says("#applied", /^Apply added production\/default-deny-all\./);
  t.diagnostic(`from Apply to take it back: ${await go("#applied button", 2)} stops`);
  await press("Enter");
  await becomes(api, "open");
  await says("#applied", /^Apply deleted production\/default-deny-all\./);
  await go("#applied button", 3);
  await press("Enter");
  await becomes(api, "blocked");
});

test("a_connection_is_chosen_explained_and_allowed_by_its_remedy_which_is_taken_back", async (t) => {
  await open("/workbench?lab=network-policies");
  await toEditor();
  await start();
  await write(denyAll);
  await press("ControlOrMeta+Enter");
  await becomes(api, "blocked");

  t.diagnostic(`from the editor to the matrix: ${await go("#matrix [tabindex='0']", 14)} stops`);
  for (let n = 0; n < 12 && (await dataset()).flow !== api; n++) await press((await dataset()).flow === undefined ? "ArrowDown" : "Home");
  await go(`[data-flow="${api}"]`, 3, "ArrowRight");
  await press("Enter");
  await says(".why h2", /^Why is it blocked\?$/);
  await says("[data-why='said']", /^production\/web to /);
  await count(".why .way", 1);

  // A place in the text, and back.
  t.diagnostic(`from the connection to the line that decides: ${await go(".why .place", 4)} stops`);
  await press("Enter");
  await comes(() => isAt(editor), "the editor has the keyboard");
  assert.match(await text(".cm-activeLine"), /podSelector/);
  await go(".why [data-focus='put']", 24);
  await press("Enter");
  await comes(() => isAt(editor), "the draft has the keyboard");
  await says("#preview", /would open/);
  await press("ControlOrMeta+Enter");
  await becomes(api, "open");

  // What was applied is taken back; and a step of the workspace as well.
  await go("#applied button", 4);
  await press("Enter");
  await becomes(api, "blocked");
  await go("#undo", 16, "Shift+Tab");
  await press("Enter");
  await go("#step button", 8);
  assert.match(await text("#step button"), /Redo/);
  await press("Enter");
  await says("#step button", /Undo/);

  // The reasons are closed, and the keyboard is back at the connection.
  await go(".why [data-focus='close']", 24);
  await press("Enter");
  await says(".why h2", /^Why\?$/);
  assert.equal((await dataset()).flow, api, "the keyboard is at the connection again");
});

test("the_matrix_is_filtered_folded_and_turned_and_the_picture_is_walked_through", async (t) => {
  await open("/workbench?lab=network-policies");
  await toEditor();
  await start();
  t.diagnostic(`from the editor to the filter: ${await go("[data-see='filter']", 10)} stops`);
  await press("Enter");
  await comes(() => isAt("[data-see='text']"), "the text has the keyboard");
  await page.keyboard.type("web > api 8080");
  await says("[data-see='found']", /^2 of 161 connections$/);
  await press("Enter");
  assert.equal((await dataset()).flow, api, "Enter leads to what was found");
  await go("[data-see='clear']", 3, "Shift+Tab");
  await press("Enter");
  await says("[data-see='found']", /^$/);
  await press("Tab");
  await press("ArrowDown", "ArrowDown");
  await says("[data-see='found']", /^No connection is like this$/);
  await go("[data-see='filter']", 6, "Shift+Tab");
  await press("Enter");
  await says("[data-see='found']", /^$/);

  await press("Tab", "Enter");
  assert.equal(await page.locator("[data-see='turn']").getAttribute("aria-pressed"), "true");
  await press("Enter");
  await go("#matrix [tabindex='0']", 3);
  await press("Control+Home", "Enter");
  assert.deepEqual([(await dataset()).fold, await page.evaluate(() => document.activeElement.ariaExpanded)], ["to production", "false"]);
  await press("ArrowDown");
  assert.ok(await isAt(".sum"), "a folded namespace sums up");
  await press("Enter");
  assert.match((await dataset()).flow, />production\//, "what sums up unfolds, and its first connection has the keyboard");

  await go("[data-view='picture']", 9, "Shift+Tab");
  await press("Enter");
  await page.locator(".lab-picture").waitFor();
  t.diagnostic(`from the view to the picture: ${await go(".pic-end[tabindex='0']", 6)} stops`);
  await press("Home", "Enter", "ArrowDown");
  const pod = (await dataset()).end;
  await press("Enter");
  await says(".pic-words", new RegExp(`^${pod}`));
  await go(".pic-words [data-flow]", 1);
  await press("Enter");
  await count(".pic-pair.chosen", 1);
  // Where there are many connections, each is a stop, and the way on is the one back.
  await go(".pic-end[tabindex='0']", 1, "Shift+Tab");
  await press("Escape");
  await count(".pic-pair.chosen", 0);
  await go("[data-view='matrix']", 8, "Shift+Tab");
  await press("Enter");
  assert.ok(await page.locator("#matrix").isVisible());
});

test("wishes_are_set_and_the_policies_for_them_taken", async () => {
  await open("/workbench?lab=network-policies");
  await toEditor();
  await start();
  await go("[data-see='mode'] button:last-child", 8);
  await press("Enter");
  await go("#want [data-wish][tabindex='0']", 8);
  await press("c");
  const closed = await page.evaluate(() => document.activeElement.ariaLabel);
  assert.match(closed, /^production\/web to api 8080: to be closed$/);
  await says("[data-want='answer']", /would do it/);
  // What is free is kept as it is: the answer is drawn anew, and the keyboard keeps its place.
  await go(".want-answer button:not(.primary)", 4);
  assert.match(await at(), /Keep what is free as it is now/);
  await press("Enter");
  await says("[data-want='count']", /0 free\.$/);
  await says("[data-want='answer']", /(2|Both) flows? would close|2 would close/);
  await go(".want-answer button.primary", 4);
  await press("Enter");
  await says("[data-want='said']", /Nothing is applied until you press Apply\./);
  await go("[data-see='mode'] button:first-child", 12, "Shift+Tab");
  await press("Enter");
  await go(editor, 10, "Shift+Tab");
  await press("ControlOrMeta+Enter");
  await becomes(api, "blocked");
});

test("a_file_is_made_renamed_and_deleted_and_a_conflict_is_settled", async () => {
  await open("/workbench?lab=network-policies");
  await toEditor();
  await start();
  await write(denyAll);
  await press("ControlOrMeta+Enter");
  await filesBecome("default-deny-all: in-force");
  await go("#new-file", 8, "Shift+Tab");
  await press("Enter");
  await comes(() => isAt(editor), "the new file has the keyboard");
  await page.keyboard.insertText(denyAll.replace("default-deny-all", "second"));
  await filesBecome("default-deny-all: in-force", "second: new");
  assert.match(await page.locator("#files").ariaSnapshot(), /tab "default-deny-all in force"[\s\S]*tab "second new" \[selected\]/);
  await write(denyAll.replace("default-deny-all", "third"));
  await filesBecome("default-deny-all: in-force", "third: new");
  await go("#files [tabindex='0']", 10, "Shift+Tab");
  await press("Delete");
  await filesBecome("default-deny-all: in-force");
  await press("Delete");
  await filesBecome("default-deny-all: removed");
  await go("#file-actions button", 10);
  await press("Enter");
  await filesBecome("default-deny-all: in-force");

  // Another tab changes what is edited here.
  await go(editor, 8);
  const mine = denyAll.replace("podSelector: {}", "podSelector: {matchLabels: {app: web}}");
  for (const [button, want, after] of [[0, "mine", "edited"], [1, "theirs", "in-force"]]) {
    await write(mine);
    await filesBecome("default-deny-all: edited");
    await elsewhere(denyAll.replace("podSelector: {}", `podSelector: {matchLabels: {app: ${button ? "db" : "api"}}}`));
    await filesBecome("default-deny-all: conflict");
    await go("#conflict .buttons button:nth-child(3)", 10, "Shift+Tab");
    await press("Enter");
    await comes(() => isAt("#both-title"), "both texts have the keyboard");
    await press("Escape");
    await comes(() => isAt(editor), "the editor has it again");
    await go(`#conflict .buttons button:nth-child(${button + 1})`, 10, "Shift+Tab");
    await press("Enter");
    await filesBecome(`default-deny-all: ${after}`);
    await go(editor, 8);
    assert.match(await page.locator("#policy").inputValue(), button ? /app: db/ : /app: web/, want);
  }
});

/** Somebody else makes this the only policy in force. */
async function elsewhere(yaml) {
  const id = await page.locator("#lab").getAttribute("data-sandbox");
  const answer = await page.request.put(server.at(`/sandboxes/${id}/policies?prune=true`), { data: yaml, headers: { "Content-Type": "application/yaml" } });
  assert.equal(answer.status(), 200);
}

test("two_points_of_the_history_are_compared_and_one_is_gone_back_to", async (t) => {
  await open("/workbench?lab=network-policies");
  await toEditor();
  await start();
  await write(denyAll);
  await press("ControlOrMeta+Enter");
  await becomes(api, "blocked");
  await write(denyAll.replace("podSelector: {}", "podSelector: {matchLabels: {app: db}}"));
  await press("ControlOrMeta+Enter");
  await becomes(api, "open");
  t.diagnostic(`from the editor to the history: ${await go("[data-panel='history']", 10, "Shift+Tab")} stops`);
  await press("Enter");
  await count(".timeline > li", 3);
  await go("[data-show='1']", 12);
  await press("Enter");
  await comes(() => isAt("#compare-title"), "the difference has the keyboard");
  await go("#compare-close", 1);
  await press("Enter");
  await comes(() => isAt("[data-show='1']"), "the keyboard is back at what was looked at");
  await go("[data-compare='1']", 3);
  await press("Space");
  await go("[data-compare='2']", 12, "Shift+Tab");
  await press("Space");
  await comes(() => isAt("#compare-title"), "the difference of the two has the keyboard");
  await go("[data-change='1'] form button", 12, "Shift+Tab");
  await press("Enter");
  await becomes(api, "blocked");
  await go("[data-panel='policies']", 14, "Shift+Tab");
  await press("Enter");
  assert.ok(await page.locator("#open-file").isVisible());
});

test("files_come_in_and_a_link_goes_out_and_is_opened", async () => {
  await open("/workbench?lab=network-policies");
  const chosen = page.waitForEvent("filechooser");
  await toEditor();
  await go("[data-panel='history']", 10, "Shift+Tab");
  await press("Enter");
  await go("#import", 4);
  await press("Enter");
  await (await chosen).setFiles([{ name: "a.yaml", mimeType: "text/yaml", buffer: Buffer.from(denyAll) }]);
  await says("#in-out-said", /^One policy is in the workspace now/);
  await go("#share", 2);
  await press("Enter");
  await says("#in-out-said", /^The link is copied/);
  const link = await page.evaluate(() => navigator.clipboard.readText());

  await context.close();
  await open(link);
  await comes(() => isAt("dialog button"), "the question has the keyboard");
  await go("dialog button.primary", 1);
  await press("Enter");
  await comes(() => isAt(editor), "what came has the keyboard");
  await filesBecome("default-deny-all: new");
});

test("panes_are_made_wider_colours_chosen_and_the_sandbox_stopped", async (t) => {
  await open("/lessons/network-policies", { colorScheme: "light" });
  // The top of the page: each of its parts is one key and Enter away.
  for (const [n, id] of [[1, "lesson"], [2, null], [3, "see"], [4, "why"]]) {
    await page.reload();
    await loaded();
    for (let i = 0; i < n; i++) await press("Tab");
    await press("Enter");
    await comes(() => (id ? isAt(`#${id}`) : isAt(editor)), `the skip link ${n}`);
  }
  await page.reload();
  await loaded();
  await press("Tab");
  t.diagnostic(`from the top to the menu: ${1 + (await go(".menu-button", 9))} stops`);
  await press("Enter");
  await go("[data-schemes] [value='dark']", 8);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await press("Enter");
  assert.notEqual(await ground(), light);
  await press("Escape");
  assert.ok(await isAt(".menu-button"), "Escape closes the menu, and leads back to its button");

  await go(".skips a[href='#write']", 9, "Shift+Tab");
  await press("Enter");
  const pane = () => page.locator("#write").evaluate((e) => e.getBoundingClientRect().height);
  const before = await pane();
  await go(".splitter[data-splits='write']", 3);
  await press("ArrowUp", "ArrowUp");
  assert.ok((await pane()) < before - 10, "the editor is lower");
  await press("Enter");
  await go(editor, 3, "Shift+Tab");
  await go("[data-splits='lesson']", 12, "Shift+Tab");
  await press("ArrowRight", "Enter");

  // The sandbox, by its chip.
  await page.reload();
  await loaded();
  await press("Tab");
  await go(".skips a[href='#see']", 2);
  await press("Enter");
  await go("#start button", 2);
  await press("Enter");
  await becomes(api, "open");
  await page.reload();
  await loaded();
  await press("Tab");
  await go("#state-chip", 7);
  await press("Enter");
  await go("#stop button", 4);
  await press("Enter");
  await comes(async () => (await page.locator("#lab").getAttribute("data-state")) === "stopped", "it is stopped");
});

test("an_exercise_is_predicted_begun_done_and_checked_and_its_section_left", async (t) => {
  await open("/lessons/network-policies");
  await press("Tab", "Tab", "Tab", "Enter");
  await go("#start button", 2);
  await press("Enter");
  await becomes(api, "open");
  await page.reload();
  await loaded();
  await press("Tab", "Enter");
  const id = await page.locator("[data-exercise]").first().getAttribute("data-exercise");
  const box = `[data-exercise="${id}"]`;
  t.diagnostic(`from the lesson to the first prediction: ${await go(`${box} .predict input`, 14)} stops`);
  const rows = await page.locator(`${box} .predict tbody tr`).count();
  for (let n = 0; n < rows; n++) {
    await press("Space");
    await press("Tab");
  }
  await go(`${box} .predict button`, 1);
  await press("Enter");
  await comes(async () => (await page.locator(`${box} .predict[data-kept]`).count()) === 1, "the prediction is kept");
  await go(`${box} form[action*='/begin'] button`, 6);
  await press("Enter");
  await says(`${box} [data-result]`, /The start is set up/, 15_000);
  await go(`${box} form[action*='/check'] button`, 6, "Shift+Tab");
  await press("Enter");
  await says(`${box} [data-result]`, /Not (yet|passed)/, 15_000);
  await go(".section-end button", 40);
  await press("Enter");
  await comes(async () => decodeURIComponent(new URL(page.url()).hash) !== "", "the next section");
});

test("a_quiz_is_answered", async (t) => {
  await open("/quizzes/network-policies");
  await press("Tab", "Enter");
  assert.ok(await isAt("#main"));
  const questions = await page.locator("[data-question]").count();
  let stops = 0;
  for (let n = 0; n < questions; n++) {
    const question = `[data-question]:nth-of-type(${n + 1})`;
    stops += await go(`${question} input`, 12);
    if (await isAt("input[type=radio], input[type=checkbox]")) await press("Space");
    if (n + 1 < questions) await go(`[data-question]:nth-of-type(${n + 2}) :is(input, summary, pre, [tabindex])`, 12);
  }
  await go("#quiz .primary", 12);
  t.diagnostic(`${stops} stops between the questions' answers`);
  await page.keyboard.press("Enter");
  await page.locator("#score").waitFor();
  assert.match(await text("#score"), /^\d+ of \d+ answers? (is|are) right\.$/);
  await press("Tab", "Enter");
  assert.ok(await isAt("#main"));
});

test("on_a_narrow_screen_the_places_are_chosen", async (t) => {
  await open("/lessons/network-policies", { viewport: { width: 390, height: 844 } });
  await page.keyboard.press("Tab");
  await go(".skips a[href='#see']", 3);
  await press("Enter");
  assert.ok(await page.locator("#see").isVisible());
  await go("#start button", 2);
  await press("Enter");
  await comes(async () => (await page.locator("#lab").getAttribute("data-state")) === "ready", "it is ready");
  t.diagnostic(`from what is seen to the places: ${await go(".places [data-place='read']", 60)} stops`);
  for (const [place, pane] of [["read", "#lesson"], ["write", "#write"], ["see", "#see"]]) {
    await go(`.places [data-place='${place}']`, 2);
    await press("Enter");
    await comes(() => page.locator(pane).isVisible(), `the place ${place}`);
  }
});

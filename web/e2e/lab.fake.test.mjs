// The page's script against a lab without a cluster: what it shows, what it
// sends, and that nothing is lost when something breaks.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { assertAccessible, collectErrors, launch, until } from "./browser.mjs";
import { code, FakeLab, flows } from "./fakelab.mjs";

const [webToApi, webToApiByName, webToDns, shellToApi] = flows;
const deny = { namespace: "production", name: "default-deny-all", yaml: code };

let browser, context, lab, page, errors, expected;

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

// --- What a test looks at ---

const verdict = (flow, on = page) => on.locator(`[data-flow="${flow}"]`).getAttribute("data-verdict");
const verdicts = (on = page) => on.locator("[data-flow]").evaluateAll((spans) => Object.fromEntries(spans.map((s) => [s.dataset.flow, s.dataset.verdict])));
const text = (selector, on = page) => on.locator(selector).textContent();
const editorText = (on = page) => on.locator("#policy").inputValue();
const sent = (key) => lab.requests.filter((r) => r.key === key);
const policiesPath = () => `/sandboxes/${lab.sandbox.picture.id}/policies`;

async function becomes(selector, pattern, on = page) {
  await until(async () => pattern.test(await text(selector, on)), `${selector} ${pattern}`).catch(async (e) => {
    throw new Error(`${e.message}; it says ${JSON.stringify(await text(selector, on))}`);
  });
}

async function turns(flow, want, on = page) {
  await until(async () => (await verdict(flow, on)) === want, `${flow} turns ${want}`);
}

async function live(on = page) {
  await becomes("#connection", /^Live\.$/, on);
}

/** Opens the page on a sandbox that is ready, and waits for its picture. */
async function openReady() {
  lab.make("ready");
  await page.goto(lab.url);
  await live();
  await becomes("#status", /ready/);
}

async function type(yaml, on = page) {
  await on.locator(".cm-content").click();
  await on.keyboard.press("ControlOrMeta+a");
  await on.keyboard.insertText(yaml);
}

// --- A sandbox's life ---

test("start_shows_the_steps_with_a_running_clock_and_then_the_flows", async () => {
  await page.goto(lab.url);
  assert.equal(await text("#status"), "The server's sentence.");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await live();
  assert.deepEqual(sent("POST /sandboxes").map((r) => [r.body, r.type, r.accept]), [['{"lab":"network-policies"}', "application/json", "application/json"]]);
  assert.equal(await page.locator("#start").isVisible(), false);
  assert.equal(await page.locator("#stop").isVisible(), true);
  assert.equal(await page.locator("#steps li[data-status=pending]").count(), 3);

  lab.state("creating");
  lab.step(1, "running");
  await becomes("#status", /step 1 of 3: Start the node\./);
  const clock = () => page.locator("[data-step='1'] .elapsed").textContent();
  const first = await until(clock, "the step's clock shows");
  await until(async () => (await clock()) !== first && parseFloat(await clock()) > parseFloat(first), "the step's clock goes on");
  lab.step(1, "done", 2140);
  await becomes("[data-step='1'] .elapsed", /^2\.1 s$/);
  assert.equal(await page.locator("[data-step='1']").getAttribute("data-status"), "done");

  lab.state("ready");
  await becomes("#status", /ready/);
  assert.equal(await page.locator("#reset").isVisible(), true);
  assert.equal(await verdict(webToApi), "none");
  lab.observe("open", ...flows);
  await turns(webToApi, "open");
  assert.equal(await text(`[data-flow="${webToApi}"] .word`), "open");
  assert.equal(await page.locator(".ring, .turns").count(), 0, "a first measurement is no change");
});

test("a_failed_start_says_why_and_offers_another", async () => {
  lab.make("creating");
  await page.goto(lab.url);
  await live();
  lab.step(1, "running");
  lab.step(1, "failed", 900);
  lab.state("failed", "Docker does not answer. Press Start to try again.");
  await becomes("#status", /^Your sandbox has failed\. Docker does not answer\. Press Start to try again\.$/);
  assert.equal(await page.locator("[data-step='1']").getAttribute("data-status"), "failed");
  assert.equal(await page.locator("#start").isVisible(), true);
});

test("a_refused_start_says_why_and_leaves_the_button", async () => {
  expected.push(/status of 429/);
  lab.answers.set("POST /sandboxes", { status: 429, body: { error: "All 8 places are taken. Try again in a few minutes." } });
  await page.goto(lab.url);
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await becomes("#status", /^All 8 places are taken\./);
  assert.equal(await page.getByRole("button", { name: "Start", exact: true }).getAttribute("aria-busy"), null);
});

test("stop_ends_the_sandbox_and_offers_start_again", async () => {
  await openReady();
  await page.getByRole("button", { name: "Stop" }).click();
  await becomes("#status", /^Your sandbox is being stopped\. You stopped it\.$/);
  lab.state("stopped", "You stopped it.");
  await becomes("#status", /^Your sandbox has stopped\. You stopped it\. Press Start/);
  await becomes("#connection", /^$/);
  await until(() => page.locator("#start").isVisible(), "Start is offered");
  assert.deepEqual(new Set(Object.values(await verdicts())), new Set(["none"]));
  assert.equal(await page.evaluate(() => document.activeElement.id), "status", "the focus of the button that went away");
});

test("a_sandbox_that_the_lab_does_not_have_any_more_is_told", async () => {
  expected.push(/status of 404/, /WebSocket connection to .* failed/);
  await openReady();
  await type("kept: true");
  lab.sandbox = undefined;
  lab.cut();
  await becomes("#status", /does not have it any more\. Press Start/);
  assert.equal(await page.locator("#start").isVisible(), true);
  assert.equal(await editorText(), "kept: true");
});

test("reset_asks_first_and_then_follows_the_new_sandbox", async () => {
  await openReady();
  const old = lab.sandbox.picture.id;
  const reset = page.locator("#reset button");
  await reset.click();
  const dialog = page.getByRole("dialog", { name: "Throw this cluster away and make a fresh one?" });
  await assertAccessible(page, "the question");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Reset", "the focus goes back");
  assert.equal(sent(`POST /sandboxes/${old}/reset`).length, 0);

  await reset.click();
  await dialog.getByRole("button", { name: "Reset" }).click();
  await becomes("#status", /waits for its turn/);
  assert.equal(sent(`POST /sandboxes/${old}/reset`).length, 1);
  assert.equal(await page.locator("#lab").getAttribute("data-sandbox"), lab.sandbox.picture.id);
  assert.notEqual(lab.sandbox.picture.id, old);
  await until(async () => (await verdict(webToApi)) === "none", "the old flows are gone");
});

// --- Policies ---

test("apply_by_keyboard_sends_the_text_and_shows_what_turned", async () => {
  await openReady();
  await type(code);
  await page.keyboard.press("ControlOrMeta+Enter");
  await until(() => sent(`PUT ${policiesPath()}`).length === 1, "the request");
  const [request] = sent(`PUT ${policiesPath()}`);
  assert.deepEqual([request.body, request.type, request.accept], [code, "application/yaml", "application/json"]);

  lab.change([deny], { [webToApi]: "blocked", [webToApiByName]: "dns-failed" });
  await turns(webToApi, "blocked");
  await turns(webToApiByName, "dns-failed");
  assert.equal(await verdict(shellToApi), "open");
  await becomes("#settled", /^2 connections changed: 1 from open to blocked, 1 from open to DNS failed\. The first changed after 130 ms\. All 6 connections measured after 640 ms\.$/);
  assert.equal(await text("[data-policy] code"), "production/default-deny-all");
  assert.equal(await editorText(), code);
});

test("a_flow_that_turns_is_animated_once_and_ringed_until_the_next_change", async () => {
  await openReady();
  await page.evaluate(() => {
    globalThis.marked = [];
    document.getElementById("matrix").addEventListener("animationstart", (e) => globalThis.marked.push(e.target.dataset.flow));
  });
  const ringed = () => page.locator(".ring").evaluateAll((s) => s.map((e) => e.dataset.flow));
  lab.change([deny], { [webToApi]: "blocked" });
  await turns(webToApi, "blocked");
  await until(async () => (await page.evaluate(() => globalThis.marked.length)) === 1 && (await page.locator(".turns").count()) === 0, "the animation has ended");
  assert.deepEqual(await page.evaluate(() => globalThis.marked), [webToApi]);
  assert.deepEqual(await ringed(), [webToApi]);
  assert.equal(await text(`[data-flow="${webToApi}"] .word`), "blocked, changed last");
  lab.change([], { [webToDns]: "blocked" });
  await turns(webToDns, "blocked");
  assert.deepEqual(await ringed(), [webToDns]);
  assert.equal(await text(`[data-flow="${webToApi}"] .word`), "blocked");
});

test("without_motion_a_flow_is_ringed_all_the_same", async () => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await openReady();
  lab.change([deny], { [webToApi]: "blocked" });
  await until(async () => (await page.locator(".ring").count()) === 1, "the ring");
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
});

test("only_the_cells_that_turned_are_touched", async () => {
  await openReady();
  await page.evaluate(() => {
    globalThis.touched = new Set();
    new MutationObserver((records) => {
      // A cell has an attribute of its own, and a text none.
      for (const r of records) globalThis.touched.add((r.target.parentElement?.closest("[data-flow]") ?? r.target.closest?.("[data-flow]") ?? r.target.querySelector?.("[data-flow]"))?.dataset.flow);
    }).observe(document.getElementById("matrix"), { attributes: true, childList: true, characterData: true, subtree: true });
  });
  lab.change([deny], { [webToApi]: "blocked" });
  await turns(webToApi, "blocked");
  assert.deepEqual(await page.evaluate(() => [...globalThis.touched]), [webToApi]);
});

test("problems_are_listed_with_links_that_lead_to_their_place", async () => {
  expected.push(/status of 422/);
  await openReady();
  const yaml = "apiVersion: v1\nkind: NetworkPolicy\nspec:\n  podselector: {}\n";
  await type(yaml);
  lab.answers.set(`PUT ${policiesPath()}`, {
    status: 422,
    body: { error: "Nothing was applied.", problems: [{ line: 4, column: 3, field: "spec.podselector", message: "unknown field; did you mean podSelector?" }, { line: 0, column: 0, message: "metadata.name is required" }] },
  });
  await page.getByRole("button", { name: "Apply" }).click();
  await becomes("#problems", /^Nothing was applied\./);
  assert.deepEqual(await page.locator("#problems li").allTextContents(), [
    "line 4, column 3: spec.podselector: unknown field; did you mean podSelector?",
    "metadata.name is required",
  ]);
  assert.equal(await page.locator(".cm-lintRange-error").textContent(), "podselector");
  assert.equal(await editorText(), yaml);

  await page.getByRole("link", { name: "line 4, column 3" }).click();
  await page.keyboard.insertText("here-");
  assert.equal(await editorText(), yaml.replace("podselector", "here-podselector"));

  lab.answers.clear();
  await page.keyboard.press("ControlOrMeta+Enter");
  await becomes("#problems", /^$/);
  assert.equal(await page.locator(".cm-lintRange-error").count(), 0);
});

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

for (const [status, error] of [[409, "The sandbox is not ready."], [429, "Too many changes in a row. Wait ten seconds."], [500, "Something broke in the lab."]]) {
  test(`an_answer_of_${status}_is_shown_and_the_text_is_kept`, async () => {
    expected.push(new RegExp(`status of ${status}`));
    await openReady();
    await type("kept: true");
    lab.answers.set(`PUT ${policiesPath()}`, { status, body: { error } });
    await page.getByRole("button", { name: "Apply" }).click();
    await becomes("#problems", new RegExp(`^${error.replaceAll(".", "\\.")}$`));
    assert.equal(await editorText(), "kept: true");
  });
}

test("apply_while_offline_says_so_and_works_again_online", async () => {
  expected.push(/ERR_INTERNET_DISCONNECTED/);
  await openReady();
  await type("kept: true");
  await context.setOffline(true);
  await page.getByRole("button", { name: "Apply" }).click();
  await becomes("#problems", /^You are offline\./);
  assert.equal(await editorText(), "kept: true");
  await context.setOffline(false);
  await page.getByRole("button", { name: "Apply" }).click();
  await becomes("#problems", /^$/);
  assert.equal(sent(`PUT ${policiesPath()}`).length, 1);
});

test("apply_without_a_sandbox_says_what_to_do", async () => {
  await page.goto(lab.url);
  await type("kept: true");
  await page.keyboard.press("ControlOrMeta+Enter");
  await becomes("#problems", /Press Start first/);
});

test("an_action_that_runs_is_not_sent_twice", async () => {
  await openReady();
  let release;
  lab.holds.set(`PUT ${policiesPath()}`, new Promise((resolve) => (release = resolve)));
  const apply = page.getByRole("button", { name: "Apply" });
  await apply.click();
  await until(async () => (await apply.getAttribute("aria-busy")) === "true", "the button is busy");
  assert.equal(await apply.getAttribute("aria-disabled"), "true");
  await apply.click({ force: true });
  await page.keyboard.press("Enter");
  release();
  await until(async () => (await apply.getAttribute("aria-busy")) === null, "the button is free");
  assert.equal(sent(`PUT ${policiesPath()}`).length, 1);
});

test("policies_are_deleted_one_by_one_or_all", async () => {
  await openReady();
  const other = { ...deny, name: "allow-dns" };
  lab.change([other, deny], {});
  await becomes("#policies", /allow-dns.*default-deny-all/s);
  await page.getByRole("button", { name: "Delete production/default-deny-all" }).click();
  await until(() => sent(`DELETE ${policiesPath()}/production/default-deny-all`).length === 1, "the request for one");
  lab.change([other], {});
  await until(async () => (await page.locator("[data-policy]").count()) === 1, "one policy is left");
  assert.equal(await page.evaluate(() => document.activeElement.id), "policies", "the focus of the button that went away");
  await page.getByRole("button", { name: "Delete all" }).click();
  await until(() => sent(`DELETE ${policiesPath()}`).length === 1, "the request for all");
  lab.change([], {});
  await until(async () => !(await page.locator("#delete-all").isVisible()), "nothing is left to delete");
  assert.equal(await page.locator("[data-policy]").count(), 0);
});

// --- The connection ---

test("a_page_that_was_cut_off_catches_up_by_number", async () => {
  await openReady();
  lab.observe("blocked", webToApi);
  await turns(webToApi, "blocked");
  lab.cut();
  lab.observe("blocked", shellToApi); // while nobody is connected
  await turns(shellToApi, "blocked");
  await live();
  assert.deepEqual(lab.afters, [0, 1]);
});

test("a_gap_is_filled_from_the_last_good_event", async () => {
  await openReady();
  lab.observe("blocked", webToApi);
  await turns(webToApi, "blocked");
  lab.swallowed.add(lab.sandbox.seq + 1);
  lab.observe("blocked", webToDns); // 2, swallowed
  lab.observe("blocked", shellToApi); // 3
  await turns(webToDns, "blocked");
  await turns(shellToApi, "blocked");
  assert.deepEqual(lab.afters, [0, 1]);
});

test("a_server_that_counts_anew_sends_a_picture_that_replaces_everything", async () => {
  await openReady();
  lab.observe("blocked", webToApi);
  lab.observe("blocked", webToDns);
  await turns(webToDns, "blocked");
  Object.assign(lab.sandbox, { seq: 1, log: [] });
  lab.sandbox.picture.observations = flows.map((flow) => ({ flow, verdict: "refused" }));
  lab.cut();
  await turns(webToApi, "refused");
  assert.equal(await page.locator(".ring, .turns").count(), 0);
});

test("a_server_that_is_away_is_found_again", async () => {
  expected.push(/ERR_CONNECTION_REFUSED/, /WebSocket connection to .* failed/);
  await openReady();
  const port = new URL(lab.url).port;
  await lab.close();
  await becomes("#connection", /^The connection is lost\. Connecting again…$/);
  await lab.listen(port);
  await live();
  lab.observe("blocked", webToApi);
  await turns(webToApi, "blocked");
});

test("two_tabs_follow_the_same_sandbox_also_one_that_is_started_in_the_other", async () => {
  const second = await context.newPage();
  await page.goto(lab.url);
  await second.goto(lab.url);
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await live(second);
  lab.state("ready");
  lab.observe("open", ...flows);
  lab.change([deny], { [webToApi]: "blocked" });
  for (const tab of [page, second]) {
    await turns(webToApi, "blocked", tab);
    await becomes("#settled", /^1 connection changed: 1 from open to blocked\./, tab);
  }
  await type("first: tab");
  await type("second: tab", second);
  await page.reload();
  await second.reload();
  assert.equal(await editorText(page), "first: tab");
  assert.equal(await editorText(second), "second: tab");
});

test("a_reload_in_the_middle_goes_on_and_keeps_the_text", async () => {
  lab.make("creating");
  await page.goto(lab.url);
  await live();
  lab.step(1, "running");
  await becomes("#status", /step 1 of 3/);
  await type("kept: true");
  await page.reload();
  await becomes("#status", /step 1 of 3/);
  lab.step(1, "done", 1000);
  lab.step(2, "running");
  await becomes("#status", /step 2 of 3/);
  assert.equal(await editorText(), "kept: true");
  assert.equal(await text(".cm-content"), "kept: true");
});

test("a_new_tab_begins_with_the_newest_text", async () => {
  await page.goto(lab.url);
  await type("newest: true");
  await page.close();
  page = await context.newPage();
  await page.goto(lab.url);
  assert.equal(await editorText(), "newest: true");
});

// --- Editor and matrix by keyboard ---

test("insert_puts_the_code_into_the_editor_and_undo_brings_the_text_back", async () => {
  await page.goto(lab.url);
  await type("mine: true");
  await page.getByRole("button", { name: "Into the editor" }).click();
  assert.equal(await editorText(), code);
  assert.equal(await page.locator(".cm-content").evaluate((e) => e === document.activeElement), true);
  await page.keyboard.press("ControlOrMeta+z");
  assert.equal(await editorText(), "mine: true");
});

test("a_text_that_the_page_replaces_is_offered_back_also_after_a_reload", async () => {
  await page.goto(lab.url);
  assert.equal(await page.locator("#kept").isVisible(), false);
  await type("mine: true");
  await page.getByRole("button", { name: "Into the editor" }).click();
  await page.getByRole("button", { name: "Bring it back" }).click();
  assert.equal(await editorText(), "mine: true");
  assert.equal(await text("#kept"), "", "what the page put there itself is not worth keeping");
  await page.getByRole("button", { name: "Into the editor" }).click();
  await page.reload();
  await page.getByRole("button", { name: "Bring it back" }).click();
  assert.equal(await editorText(), "mine: true");
});

test("what_replace_all_or_delete_does_away_with_can_be_put_back", async () => {
  await openReady();
  assert.equal(await page.locator("#replace").isVisible(), false, "nothing is in force that could be replaced");
  const other = { ...deny, name: "allow-dns" };
  lab.change([other, deny], {});
  await type(code);
  lab.answers.set(`PUT ${policiesPath()}`, { status: 200, body: { change: 2, policies: [] } });
  await page.getByRole("button", { name: "Replace all" }).click();
  await until(() => sent(`PUT ${policiesPath()}`).length === 1, "the request");
  assert.equal(lab.requests.at(-1).query, "?prune=true");
  lab.change([deny], {});
  await becomes("#undo", /^production\/allow-dns is not in force any more\. Put it back$/);
  await page.getByRole("button", { name: "Put it back" }).click();
  await until(() => sent(`PUT ${policiesPath()}`).length === 2, "the request to go back");
  assert.equal(lab.requests.at(-1).body, `${code}\n---\n${code}`);
  lab.change([other, deny], {});
  await becomes("#undo", /^$/);

  lab.answers.set(`DELETE ${policiesPath()}`, { status: 200, body: { change: 4, policies: [] } });
  await page.getByRole("button", { name: "Delete all" }).click();
  lab.change([], {});
  await becomes("#undo", /allow-dns and production\/default-deny-all are not in force any more\. Put them back/);
});

test("a_policy_in_force_can_be_read_and_put_into_the_editor", async () => {
  await openReady();
  lab.change([deny], {});
  await page.locator("[data-policy] summary").click();
  assert.equal(await text("[data-policy] pre"), code);
  await page.locator("[data-policy]").getByRole("button", { name: "Put into the editor" }).click();
  assert.equal(await editorText(), code);
  const narrower = { ...deny, yaml: code.replace("{}", "{matchLabels: {app: db}}") };
  lab.change([narrower], {});
  await becomes("[data-policy] pre", /app: db/);
});

test("on_a_phone_insert_brings_the_editor_into_view", async () => {
  await page.setViewportSize({ width: 390, height: 400 });
  await page.goto(lab.url);
  await page.evaluate(() => scrollTo(0, 0));
  await page.getByRole("button", { name: "Into the editor" }).click();
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

test("a_flow_tells_what_was_measured_and_arrow_keys_go_to_its_neighbours", async () => {
  await openReady();
  const mark = page.locator(`[data-flow="${webToApi}"]`);
  await mark.click();
  assert.equal(await mark.getAttribute("title"), "production/web to production/api 8080/TCP by IP: open, 0.4 ms, answered by production/api");
  assert.equal(await mark.getAttribute("aria-pressed"), "true");
  const at = () => page.evaluate(() => document.activeElement.dataset.flow ?? document.activeElement.dataset.fold);
  for (const [key, want] of [
    ["ArrowRight", flows[1]], ["ArrowDown", flows[4]], ["ArrowRight", flows[5]], ["ArrowUp", flows[2]], ["ArrowLeft", flows[1]], ["ArrowUp", "to production"], ["ArrowUp", "to production"],
    ["ArrowRight", "to cluster DNS"], ["ArrowDown", flows[2]], ["Home", "from production"], ["End", flows[2]], ["Control+End", flows[5]], ["Control+Home", "to production"],
  ]) {
    await page.keyboard.press(key);
    assert.equal(await at(), want, key);
  }
  await mark.focus();
  lab.observe("blocked", webToApi);
  await turns(webToApi, "blocked");
  assert.match(await mark.getAttribute("title"), /by IP: blocked\. It changed 0 s ago, it was open$/);
});

test("without_the_script_the_textarea_is_the_editor", async () => {
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const bare = await plain.newPage();
  await bare.goto(lab.url);
  assert.equal(await bare.locator("#policy").isVisible(), true);
  await plain.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`the_page_is_accessible_in_${colorScheme}`, async () => {
    expected.push(/status of 422/);
    await page.emulateMedia({ colorScheme });
    await openReady();
    lab.change([deny], { [webToApi]: "blocked" });
    await becomes("#settled", /to blocked/);
    await type(code);
    lab.answers.set(`PUT ${policiesPath()}`, { status: 422, body: { error: "Nothing was applied.", problems: [{ line: 2, column: 1, field: "kind", message: "m" }] } });
    await page.getByRole("button", { name: "Apply" }).click();
    await page.locator("#problems a").waitFor();
    await assertAccessible(page, colorScheme);
  });
}

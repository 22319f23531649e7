// The workspace as the page shows it, against a lab without a cluster: files, Apply, what
// comes from elsewhere, and that nothing is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, lostConnection, until } from "./browser.mjs";
import { code, flows } from "./fakelab.mjs";
import {
  becomes, browser, context, deny, eachWithAPage, editorText, expected, files, filesBecome, lab, live, named, open, openReady, page, policiesPath, press, puts, sent, text, turns, type, verdict,
} from "./fakepage.mjs";

const [webToApi, webToApiByName, , shellToApi] = flows;

eachWithAPage();

const other = named("allow-dns");
const mine = named("default-deny-all", "{matchLabels: {app: mine}}").yaml;
const theirs = named("default-deny-all", "{matchLabels: {app: theirs}}");
const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);

/** Another tab, or somebody else, makes those the policies in force. */
const elsewhere = (policies, origin) => lab.change(policies, {}, origin);

// --- Apply ---

test("apply_by_keyboard_sends_the_workspace_and_shows_what_turned", async () => {
  await openReady();
  await type(code);
  await becomes("#plan", /^Apply adds production\/default-deny-all\.$/);
  lab.verdicts = { [webToApi]: "blocked", [webToApiByName]: "dns-failed" };
  await page.keyboard.press("ControlOrMeta+Enter");
  await until(() => puts().length === 1, "the request");
  const [request] = puts();
  assert.deepEqual([request.body, request.query, request.type, request.accept], [code, "?prune=true&base=0", "application/yaml", "application/json"]);

  await turns(webToApi, "blocked");
  await turns(webToApiByName, "dns-failed");
  assert.equal(await verdict(shellToApi), "open");
  await becomes("#settled", /^2 connections changed: 1 from open to blocked, 1 from open to DNS failed\./);
  await filesBecome(["default-deny-all: in-force"]);
  await becomes("#applied", /^Apply added production\/default-deny-all\. Take it back$/);
  await becomes("#plan", /^$/);
  assert.equal(await editorText(), code);
});

test("before_apply_is_pressed_it_is_said_what_it_adds_changes_and_deletes_by_name", async () => {
  await openReady(other, deny, named("third"));
  await open("allow-dns");
  await press("Delete allow-dns");
  await open("default-deny-all");
  await type(mine);
  await press("New policy");
  await page.keyboard.insertText(named("fourth").yaml);
  await filesBecome(["allow-dns: removed", "default-deny-all: edited", "third: in-force", "fourth: new"]);
  await becomes("#plan", /^Apply adds production\/fourth, changes production\/default-deny-all, and deletes production\/allow-dns\.$/);
  assert.equal(puts().length, 0, "nothing is sent until then");
  await press("Apply");
  await filesBecome(["default-deny-all: in-force", "third: in-force", "fourth: in-force"]);
  await becomes("#applied", /^Apply added production\/fourth, changed production\/default-deny-all, and deleted production\/allow-dns\./);
  assert.equal(puts()[0].body, [mine, named("third").yaml, named("fourth").yaml].join("---\n"));
});

test("an_apply_can_be_taken_back_and_that_too", async () => {
  await openReady(other, deny);
  await open("allow-dns");
  await press("Delete allow-dns");
  await open("default-deny-all");
  await type(mine);
  await press("Apply");
  await filesBecome(["default-deny-all: in-force"]);
  await press("Take it back");
  await filesBecome(["default-deny-all: in-force", "allow-dns: in-force"]);
  assert.equal(puts()[1].body, `${other.yaml}---\n${deny.yaml}`);
  assert.equal(await editorText(), code);
  await becomes("#applied", /^Apply added production\/allow-dns, and changed production\/default-deny-all\./);
  await press("Take it back");
  await filesBecome(["default-deny-all: in-force"]);
  assert.equal(await editorText(), mine);
});

test("everything_is_deleted_only_by_name_and_comes_back", async () => {
  await openReady(deny);
  await press("Delete default-deny-all");
  await becomes("#plan", /^Apply deletes production\/default-deny-all\.$/);
  await press("Apply");
  await until(() => puts().length === 1, "the request");
  assert.equal(puts()[0].body, "");
  await filesBecome(["new policy: new"]);
  await page.locator("#undo").click();
  await becomes("#plan", /^Apply adds production\/default-deny-all\.$/);
});

test("problems_are_listed_with_links_that_lead_to_their_place_in_their_file", async () => {
  expected.push(/status of 422/);
  await openReady(other);
  await press("New policy");
  const yaml = "apiVersion: v1\nkind: NetworkPolicy\nspec:\n  podselector: {}\n";
  await page.keyboard.insertText(yaml);
  const line = other.yaml.split("\n").length + 4; // after the other, and the line between
  lab.answers.set(`PUT ${policiesPath()}`, {
    status: 422,
    body: { error: "Nothing was applied.", problems: [{ line, column: 3, field: "spec.podselector", message: "unknown field; did you mean podSelector?" }, { line: 0, column: 0, message: "metadata.name is required" }] },
  });
  await open("allow-dns");
  await press("Apply");
  await becomes("#problems", /^Nothing was applied\./);
  assert.deepEqual(await page.locator("#problems li").allTextContents(), [
    "“new policy”, line 4, column 3: spec.podselector: unknown field; did you mean podSelector?",
    "metadata.name is required",
  ]);
  assert.equal(await editorText(), yaml, "the file that has the problem is open");
  await until(async () => (await page.locator(".cm-lintRange-error").count()) === 1, "the place is marked");
  assert.equal(await page.locator(".cm-lintRange-error").textContent(), "podselector");

  await open("allow-dns");
  await page.getByRole("link", { name: "line 4, column 3" }).click();
  await page.keyboard.insertText("here-");
  assert.equal(await editorText(), yaml.replace("podselector", "here-podselector"));

  lab.answers.clear();
  await type(named("third").yaml);
  await page.keyboard.press("ControlOrMeta+Enter");
  await becomes("#problems", /^$/);
  assert.equal(await page.locator(".cm-lintRange-error").count(), 0);
});

for (const [status, error] of [[409, "The sandbox is not ready."], [429, "Too many changes in a row. Wait ten seconds."], [500, "Something broke in the lab."], [502, "The cluster's API does not answer."]]) {
  test(`an_answer_of_${status}_is_shown_and_the_text_is_kept`, async () => {
    expected.push(new RegExp(`status of ${status}`));
    await openReady();
    await type("kept: true");
    lab.answers.set(`PUT ${policiesPath()}`, { status, body: { error } });
    await press("Apply");
    await becomes("#problems", new RegExp(`^${error.replaceAll(".", "\\.")}$`));
    assert.equal(await editorText(), "kept: true");
  });
}

test("apply_while_offline_says_so_and_works_again_online", async () => {
  expected.push(/ERR_INTERNET_DISCONNECTED/);
  await openReady();
  await type(code);
  await context.setOffline(true);
  await press("Apply");
  await becomes("#problems", /^You are offline\./);
  assert.equal(await editorText(), code);
  await context.setOffline(false);
  await press("Apply");
  await becomes("#problems", /^$/);
  assert.equal(puts().length, 1);
  await filesBecome(["default-deny-all: in-force"]);
});

test("a_cluster_that_dies_while_apply_is_under_way_loses_nothing", async () => {
  expected.push(/status of 502/);
  await openReady(other);
  await press("New policy");
  await page.keyboard.insertText(code);
  lab.answers.set(`PUT ${policiesPath()}`, { status: 502, body: { error: "The cluster's API does not answer. Nothing was applied." } });
  await press("Apply");
  await becomes("#problems", /does not answer/);
  lab.state("failed", "The cluster's container has stopped. Press Reset for a fresh one.");
  await becomes("#status", /has failed/);
  await press("Reset");
  await page.getByRole("dialog").getByRole("button", { name: "Reset" }).click();
  await filesBecome(["allow-dns: new", "default-deny-all: new"]);
  lab.answers.clear();
  lab.state("ready");
  await becomes("#plan", /^Apply adds production\/allow-dns and production\/default-deny-all\.$/);
  await press("Apply");
  await filesBecome(["allow-dns: in-force", "default-deny-all: in-force"]);
});

test("apply_without_a_sandbox_says_what_to_do", async () => {
  await page.goto(lab.url);
  await type("kept: true");
  await page.keyboard.press("ControlOrMeta+Enter");
  await becomes("#problems", /Press Start first/);
});

test("apply_of_what_is_in_force_says_so_and_sends_nothing", async () => {
  await openReady(deny);
  await press("Apply");
  await becomes("#problems", /in force already/);
  assert.equal(puts().length, 0);
});

test("two_policies_of_one_name_are_a_problem_that_is_named", async () => {
  await openReady(deny);
  await press("New policy");
  await page.keyboard.insertText(mine);
  await press("Apply");
  await becomes("#problems", /^Two policies are called production\/default-deny-all\. Rename one of them, or delete it\. Nothing was applied\.$/);
  assert.equal(puts().length, 0);
  assert.equal(await editorText(), mine, "one of them is open");
});

test("an_action_that_runs_is_not_sent_twice", async () => {
  await openReady();
  await type(code);
  let release;
  lab.holds.set(`PUT ${policiesPath()}`, new Promise((resolve) => (release = resolve)));
  const apply = page.getByRole("button", { name: "Apply", exact: true });
  await apply.click();
  await until(async () => (await apply.getAttribute("aria-busy")) === "true", "the button is busy");
  assert.equal(await apply.getAttribute("aria-disabled"), "true");
  await apply.click({ force: true });
  await page.keyboard.press("Enter");
  release();
  await until(async () => (await apply.getAttribute("aria-busy")) === null, "the button is free");
  assert.equal(puts().length, 1);
});

// --- Files ---

test("several_policies_in_one_text_become_files_of_their_own_with_apply", async () => {
  await openReady();
  await type(other.yaml);
  await type(`${other.yaml}---\n${code}`);
  await becomes("#file-state", /^This text has 2 documents\. Each can be a file of its own/);
  await filesBecome(["allow-dns: new"]);
  await press("Split into files");
  await filesBecome(["allow-dns: new", "default-deny-all: new"]);
  await becomes("#step", /^Each policy is in a file of its own\. Undo$/);
  await page.locator("#step button").click();
  await filesBecome(["allow-dns: new"]);
  await page.locator("#step button").click();
  await type(`${other.yaml}---\n${named("third").yaml}`);
  await press("Apply");
  await filesBecome(["allow-dns: in-force", "third: in-force", "default-deny-all: in-force"]);
});

/** Pastes the text where the cursor is, as the clipboard would. */
const paste = (text) =>
  page.locator(".cm-content").evaluate((content, text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    content.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  }, text);

test("several_policies_pasted_into_an_empty_file_are_files_at_once_and_one_undo_takes_all_back", async () => {
  await openReady(deny);
  await press("New policy");
  const pasted = `${other.yaml}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\n${named("third").yaml}`;
  await paste(pasted);
  await filesBecome(["default-deny-all: in-force", "allow-dns: new", "third: new"]);
  await becomes("#step", /^2 policies came in, each in a file of its own\. Deployment web is set aside: .* Undo$/);
  assert.equal(await editorText(), other.yaml);
  await page.keyboard.press("ControlOrMeta+z");
  await filesBecome(["default-deny-all: in-force", "new policy: new"]);
  assert.equal(await editorText(), "");
  await page.keyboard.press("ControlOrMeta+Shift+Z");
  await filesBecome(["default-deny-all: in-force", "allow-dns: new", "third: new"]);
  assert.equal(await page.locator(".cm-content").textContent(), other.yaml.trimEnd().split("\n").join(""));
  await page.locator("#undo").click();
  await filesBecome(["default-deny-all: in-force", "new policy: new"]);
  // With the keyboard alone, and no event of the clipboard.
  await page.locator(".cm-content").focus();
  await page.keyboard.insertText(pasted);
  await filesBecome(["default-deny-all: in-force", "allow-dns: new", "third: new"]);
  await page.keyboard.type("# ");
  assert.equal(await editorText(), `# ${other.yaml}`);
});

test("what_is_pasted_never_takes_the_place_of_edits", async () => {
  await openReady(deny, other);
  await open("default-deny-all");
  await type(mine);
  await press("New policy");
  await paste(`${theirs.yaml}---\n${named("allow-dns", "{matchLabels: {app: theirs}}").yaml}`);
  await filesBecome(["default-deny-all: conflict", "allow-dns: edited", "new policy: new"]);
  assert.equal(await editorText(), mine);
  await becomes("#conflict", /^This policy was changed in the text that came in, and it has edits of yours\./);
  await page.locator("#undo").click();
  await filesBecome(["default-deny-all: edited", "allow-dns: in-force", "new policy: new"]);
  await becomes("#conflict", /^$/);
});

test("several_policies_pasted_into_a_text_stay_there_and_files_are_offered", async () => {
  await openReady(deny);
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+End");
  await paste(`---\n${other.yaml}`);
  await becomes("#file-state", /^This text has 2 documents\. Each can be a file of its own; Apply makes it one\.$/);
  await filesBecome(["default-deny-all: edited"]);
  await page.getByRole("button", { name: "Split into files" }).focus();
  await page.keyboard.press("Enter");
  await filesBecome(["default-deny-all: in-force", "allow-dns: new"]);
});

test("the_name_of_a_file_follows_its_text_and_a_rename_is_an_addition_and_a_deletion", async () => {
  await openReady(deny);
  await type(named("other-name").yaml);
  await filesBecome(["other-name: edited"]);
  await becomes("#file-state", /^production\/other-name is in force as production\/default-deny-all\.$/);
  await becomes("#plan", /^Apply adds production\/other-name, and deletes production\/default-deny-all\.$/);
  await press("Revert");
  await filesBecome(["default-deny-all: in-force"]);
  await page.locator("#undo").click();
  await filesBecome(["other-name: edited"]);
});

test("tabs_are_one_stop_of_the_tab_key_and_walked_through_by_arrows", async () => {
  await openReady(other, deny, named("third"));
  await open("allow-dns");
  assert.equal(await page.locator("#files [tabindex='0']").count(), 1);
  const at = async () => [await page.locator("#files [aria-selected=true] .name").textContent(), await page.evaluate(() => document.activeElement.querySelector(".name")?.textContent)];
  for (const [key, want] of [["ArrowRight", "default-deny-all"], ["ArrowDown", "third"], ["ArrowRight", "allow-dns"], ["ArrowLeft", "third"], ["Home", "allow-dns"], ["End", "third"]]) {
    await page.keyboard.press(key);
    assert.deepEqual(await at(), [want, want], key);
  }
  await page.keyboard.press("Delete");
  await filesBecome(["allow-dns: in-force", "default-deny-all: in-force", "third: removed"]);
  await press("Keep it");
  await filesBecome(["allow-dns: in-force", "default-deny-all: in-force", "third: in-force"]);
  await press("New policy");
  assert.equal(await page.locator(".cm-content").evaluate((e) => e === document.activeElement), true, "a new file is there to be written into");
  await page.locator("#files [aria-selected=true]").focus();
  await page.keyboard.press("Delete");
  assert.deepEqual(await files(), ["allow-dns: in-force", "default-deny-all: in-force", "third: in-force"]);
  assert.deepEqual(await at(), ["third", "third"], "the focus is not lost with a tab");
});

test("each_file_has_an_undo_of_its_own", async () => {
  await openReady(other, deny);
  await open("allow-dns");
  await type("first: true");
  await open("default-deny-all");
  await type("second: true");
  await open("allow-dns");
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+z");
  assert.equal(await editorText(), other.yaml);
  await open("default-deny-all");
  assert.equal(await editorText(), "second: true");
});

test("insert_puts_the_code_into_the_workspace_and_undo_takes_it_out_again", async () => {
  await openReady(other);
  await press("Into the workspace");
  await filesBecome(["allow-dns: in-force", "default-deny-all: new"]);
  assert.equal(await editorText(), code);
  assert.equal(await page.locator(".cm-content").evaluate((e) => e === document.activeElement), true);
  await becomes("#step", /^“default-deny-all” is in the workspace as a draft\. Undo$/);
  await page.locator("#step button").click();
  await filesBecome(["allow-dns: in-force"]);
  await becomes("#step", /^Taken back: .* Redo$/);
  await page.locator("#step button").click();
  await filesBecome(["allow-dns: in-force", "default-deny-all: new"]);
});

test("a_text_that_the_page_replaces_comes_back_by_undo_also_after_a_reload", async () => {
  await page.goto(lab.url);
  await type(mine);
  await press("Into the workspace");
  assert.equal(await editorText(), code);
  await page.reload();
  await page.locator("#undo").click();
  assert.equal(await editorText(), mine);
});

// --- What comes from elsewhere ---

test("what_another_tab_applies_comes_in_and_says_where_it_is_from", async () => {
  await openReady(deny);
  elsewhere([theirs, other]);
  await filesBecome(["default-deny-all: in-force", "allow-dns: in-force"]);
  assert.equal(await editorText(), theirs.yaml);
  await becomes("#step", /^“allow-dns” was added in another tab\. “default-deny-all” was changed in another tab\. Undo$/);
  elsewhere([other], "cluster");
  await filesBecome(["allow-dns: in-force"]);
  await becomes("#step", /^“default-deny-all” was deleted in the cluster itself\. Undo$/);
  await page.locator("#step button").click();
  await filesBecome(["allow-dns: in-force", "default-deny-all: new"]);
});

test("an_edit_is_never_overwritten_and_either_side_can_be_kept", async () => {
  await openReady(deny);
  await type(mine);
  elsewhere([theirs]);
  await filesBecome(["default-deny-all: conflict"]);
  assert.equal(await editorText(), mine);
  await becomes("#conflict", /^This policy was changed in another tab, and it has edits of yours\./);
  await assertAccessible(page, "a conflict");
  await press("Apply");
  await becomes("#problems", /^“default-deny-all” was changed in another tab, and here\. Decide above the editor/);
  assert.equal(puts().length, 0);

  await press("Take theirs");
  await filesBecome(["default-deny-all: in-force"]);
  await becomes("#problems", /^$/);
  assert.equal(await editorText(), theirs.yaml);
  await page.locator("#undo").click();
  assert.equal(await editorText(), mine, "mine can still be had");

  elsewhere([deny]);
  await filesBecome(["default-deny-all: conflict"]);
  await press("Keep mine");
  await filesBecome(["default-deny-all: edited"]);
  await press("Apply");
  await filesBecome(["default-deny-all: in-force"]);
  assert.equal(puts()[0].body, mine);
});

test("both_texts_of_a_conflict_stand_beside_each_other_and_are_decided_on_by_keyboard", async () => {
  await openReady(deny);
  await type(mine);
  elsewhere([theirs]);
  await becomes("#conflict", /^This policy was changed in another tab/);
  const seeBoth = page.getByRole("button", { name: "See both" });
  await seeBoth.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Both texts of “default-deny-all”" });
  await dialog.waitFor();
  assert.equal(await focused(), "both-title");
  assert.deepEqual(await dialog.locator("h3").allTextContents(), ["Yours, with your edits", "Theirs, in force, changed in another tab"]);
  assert.deepEqual(await dialog.locator("mark").allTextContents(), ["+   podSelector: {matchLabels: {app: mine}}\n", "+   podSelector: {matchLabels: {app: theirs}}\n"]);
  await assertAccessible(page, "both texts", "dialog");

  await page.keyboard.press("Escape");
  await until(() => page.evaluate(() => document.activeElement.matches(".cm-content")), "the keyboard is in the editor again");
  await filesBecome(["default-deny-all: conflict"]);
  await seeBoth.click();
  await dialog.getByRole("button", { name: "Keep mine" }).focus();
  await page.keyboard.press("Enter");
  await filesBecome(["default-deny-all: edited"]);
  await becomes("#step", /^“default-deny-all” stays as it is here\. The next Apply makes it so\.$/);
  assert.equal(await editorText(), mine);
  await until(() => page.evaluate(() => document.activeElement.matches(".cm-content")), "the keyboard is in the editor again");

  // Another change takes the question with it: what was shown is in force no more.
  elsewhere([other, theirs]);
  elsewhere([other, { ...theirs, yaml: `${theirs.yaml}# once more\n` }]);
  await seeBoth.click();
  elsewhere([other, { ...theirs, yaml: `${theirs.yaml}# and again\n` }]);
  await dialog.waitFor({ state: "detached" });
  await seeBoth.click();
  assert.match(await dialog.locator("mark").last().textContent(), /# and again/);
  await dialog.getByRole("button", { name: "Take theirs" }).click();
  await filesBecome(["default-deny-all: in-force", "allow-dns: in-force"]);
  await becomes("#step", /^“default-deny-all” is as it was changed in another tab\. Undo$/);
});

test("what_was_deleted_elsewhere_while_it_was_edited_stays_until_that_is_decided", async () => {
  await openReady(deny, other);
  await open("default-deny-all");
  await type(mine);
  elsewhere([other]);
  await becomes("#conflict", /^This policy was deleted in another tab/);
  await press("Let it go");
  await filesBecome(["allow-dns: in-force"]);
});

test("an_apply_that_another_one_came_before_changes_nothing_and_merges", async () => {
  expected.push(/status of 409/);
  await openReady(deny);
  await type(mine);
  // Nobody tells the page of it before it asks.
  lab.swallowed.add(lab.sandbox.seq + 2);
  lab.holds.set(`GET ${policiesPath()}`, new Promise(() => {}));
  lab.sandbox.picture.policies = [deny, other];
  lab.sandbox.picture.change = 7;
  await press("Apply");
  await becomes("#problems", /changed meanwhile, so nothing was applied/);
  await filesBecome(["default-deny-all: edited", "allow-dns: in-force"]);
  assert.equal(await editorText(), mine);
  await press("Apply");
  await filesBecome(["default-deny-all: in-force", "allow-dns: in-force"]);
  assert.deepEqual(puts().map((r) => r.query), ["?prune=true&base=0", "?prune=true&base=7"]);
});

test("two_tabs_see_each_others_apply", async () => {
  await openReady();
  const second = await context.newPage();
  await second.goto(lab.url);
  await live(second);
  await type(code);
  await press("Apply");
  await filesBecome(["default-deny-all: in-force"]);
  // What the tab had open stays so, or a key would go into another text.
  await filesBecome(["new policy: new", "default-deny-all: in-force"], second);
  await becomes("#step", /^“default-deny-all” was added in another tab\. Undo$/, second);
});

test("without_its_cluster_the_workspace_is_drafts", async () => {
  await openReady(deny);
  await type(mine);
  lab.state("stopped", "You stopped it.");
  await filesBecome(["default-deny-all: new"]);
  assert.equal(await editorText(), mine);
  await press("Start");
  await live();
  lab.state("ready");
  await becomes("#plan", /^Apply adds production\/default-deny-all\.$/);
});

// --- Nothing is lost ---

test("drafts_survive_a_reload_and_a_new_tab_begins_with_the_newest", async () => {
  await openReady(deny, other);
  await open("default-deny-all");
  await type(mine);
  await open("allow-dns");
  await press("Delete allow-dns");
  await page.reload();
  await live();
  await filesBecome(["default-deny-all: edited", "allow-dns: removed"]);
  const again = await context.newPage();
  await again.goto(lab.url);
  await filesBecome(["default-deny-all: edited", "allow-dns: removed"], again);
  await open("default-deny-all", again);
  assert.equal(await editorText(again), mine);
});

test("drafts_survive_a_crash_of_the_page", async () => {
  await openReady(deny);
  await type(mine);
  await until(() => page.evaluate(() => localStorage.getItem("netpol-lab:workspace:network-policies")?.includes("app: mine")), "it is kept");
  // Nothing runs any more in a page that has crashed.
  await page.goto("chrome://crash").catch(() => {});
  const after = await context.newPage();
  await after.goto(lab.url);
  await filesBecome(["default-deny-all: edited"], after);
  assert.equal(await editorText(after), mine);
});

test("a_server_that_is_started_again_and_counts_anew_changes_no_draft", async () => {
  expected.push(...lostConnection);
  await openReady(deny);
  elsewhere([deny, other]);
  await filesBecome(["default-deny-all: in-force", "allow-dns: in-force"]);
  await open("default-deny-all");
  await type(mine);
  const port = new URL(lab.url).port;
  await lab.close();
  await becomes("#connection", /lost/);
  Object.assign(lab.sandbox, { seq: 1_000_000, log: [] });
  lab.sandbox.picture.change = 0;
  const reads = sent(`GET ${policiesPath()}`).length;
  await lab.listen(port);
  await live();
  await until(() => sent(`GET ${policiesPath()}`).length > reads, "it looks at what is in force");
  await filesBecome(["default-deny-all: edited", "allow-dns: in-force"]);
  await press("Apply");
  await filesBecome(["default-deny-all: in-force", "allow-dns: in-force"]);
});

for (const [how, message, script] of [
  ["denied", /^This browser keeps nothing for the lab/, () => {
    const denied = { get: () => { throw new DOMException("denied", "SecurityError"); } };
    for (const storage of ["localStorage", "sessionStorage"]) Object.defineProperty(window, storage, denied);
  }],
  ["full", /^This browser has no more room/, () => {
    Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
  }],
]) {
  test(`with_storage_${how}_the_page_works_and_says_so_once`, async () => {
    await context.addInitScript(script);
    await openReady();
    await type(code);
    await becomes("#kept", message);
    const said = page.evaluate(() => new Promise((resolve) => new MutationObserver(resolve).observe(document.getElementById("kept"), { childList: true, characterData: true, subtree: true })));
    await type(mine);
    await press("Apply");
    await filesBecome(["default-deny-all: in-force"]);
    // Drafts are kept 300 ms after a change: whatever would be said again is said by then.
    assert.equal(await Promise.race([said.then(() => "again"), page.waitForTimeout(700).then(() => "once")]), "once");
  });
}

test("the_network_away_for_long_loses_nothing", async () => {
  expected.push(...lostConnection);
  await openReady(deny);
  await context.setOffline(true);
  lab.cut();
  await becomes("#connection", /You are offline/);
  await type(mine);
  await press("Apply");
  await becomes("#problems", /^You are offline\. Your text is kept/);
  elsewhere([deny, other]);
  await context.setOffline(false);
  await live();
  await filesBecome(["default-deny-all: edited", "allow-dns: in-force"]);
  await press("Apply");
  await filesBecome(["default-deny-all: in-force", "allow-dns: in-force"]);
});

test("without_the_script_the_text_area_is_the_workspace", async () => {
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const bare = await plain.newPage();
  await bare.goto(lab.url);
  assert.equal(await bare.locator("#policy").isVisible(), true);
  assert.equal(await bare.locator("#files-bar").isVisible(), false);
  await plain.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`the_page_is_accessible_in_${colorScheme}`, async () => {
    expected.push(/status of 422/);
    await page.emulateMedia({ colorScheme });
    await openReady(deny, other);
    await open("allow-dns");
    await press("Delete allow-dns");
    await open("default-deny-all");
    await type(mine);
    lab.answers.set(`PUT ${policiesPath()}`, { status: 422, body: { error: "Nothing was applied.", problems: [{ line: 2, column: 1, field: "kind", message: "m" }] } });
    await press("Apply");
    await page.locator("#problems a").waitFor();
    await assertAccessible(page, colorScheme);
  });
}

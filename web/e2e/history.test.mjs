// The history, links and files, and labs of one's own; on the server as make builds it,
// with the mouse and with the keyboard alone.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";
import { assertAccessible, collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { answersOf, files, lessons, named } from "./walk.mjs";

const { server, browser } = onTheServer();
let context, page, errors;

beforeEach(() => open());

afterEach(async () => {
  await context.close();
  assert.deepEqual(errors, []);
});

async function open(options = {}, path = "/workbench?lab=network-policies") {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at(path));
  await page.locator(".cm-content").waitFor();
}

const deny = (name, types = "[Ingress, Egress]") => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ${name}
  namespace: production
spec:
  podSelector: {}
  policyTypes: ${types}
`;

const sandbox = () => page.locator("#lab").getAttribute("data-sandbox");

async function start() {
  await page.locator("#start").evaluate((form) => form.requestSubmit());
  await page.locator('#lab[data-state="ready"]').waitFor();
  await until(async () => (await get("")).settled, "every flow is known");
}

async function get(path) {
  return (await page.request.get(server.at(`/sandboxes/${await sandbox()}${path}`))).json();
}

const inForce = async () => (await get("/policies")).policies.map((p) => p.name);

/** Makes these the only policies, as another tab would, and waits until that has settled. */
async function apply(...texts) {
  const url = server.at(`/sandboxes/${await sandbox()}/policies?prune=true`);
  const answer = await page.request.put(url, { data: texts.join("---\n"), headers: { "Content-Type": "application/yaml" } });
  assert.equal(answer.status(), 200, await answer.text());
  const { change } = await answer.json();
  await until(async () => (await get("")).settled?.change === change, "the change has settled");
}

const showHistory = () => page.locator('[data-panel="history"]').click();
const showPolicies = () => page.locator('[data-panel="policies"]').click();
const entries = () => page.locator(".timeline > li");
const said = (pattern, where = "#in-out-said") => until(async () => pattern.test((await page.locator(where).textContent()) ?? ""), `${where} says ${pattern}`);

/** Presses Tab until what the selector selects has the focus. */
async function tabTo(selector) {
  for (let n = 0; n < 200; n++) {
    if (await page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`the Tab key does not lead to ${selector}`);
}

test("the_history_tells_each_change_and_what_it_turned_and_leads_back", async () => {
  await start();
  await apply(deny("default-deny-all"));
  await apply(deny("default-deny-all"), deny("second", "[Ingress]"));
  await apply();
  await showHistory();
  await until(async () => (await entries().count()) === 4, "three changes and the beginning are told");
  assert.match(await entries().nth(2).textContent(), /Applied.*production\/default-deny-all.*Connections that turned: \d+ from open to blocked/s);
  assert.match(await entries().nth(0).textContent(), /in force now.*default-deny-all.*second.*from blocked to open/s);
  await assertAccessible(page, "the history", "#history");

  await page.locator('[data-show="1"]').click();
  const compared = page.locator("#history-compare");
  await compared.waitFor();
  assert.match(await compared.textContent(), /From the beginning to .*production\/default-deny-all added.*podSelector.*open → blocked/s);
  await assertAccessible(page, "a difference", "#history-compare");
  await page.locator("#compare-close").click();

  await page.locator('[data-compare="2"]').check();
  await said(/second point/, "#history-said");
  await page.locator('[data-compare="3"]').check();
  await until(async () => /default-deny-all deleted.*second deleted/s.test((await compared.textContent()) ?? ""), "the two points are compared");
  await page.locator("#compare-close").click();

  await page.locator('[data-draft="1"]').click();
  await said(/drafts/, "#history-said");
  assert.deepEqual(await inForce(), []);
  assert.match(await page.locator(".cm-content").first().textContent(), /default-deny-all/);

  // What is in force now comes late.
  let letGo;
  await page.route("**/policies", async (route) => {
    if (route.request().method() === "GET") await new Promise((resolve) => (letGo = resolve));
    await route.continue();
  });
  await page.locator('[data-change="2"] form button').click();
  await said(/as they were then/, "#history-said");
  await until(async () => (await entries().count()) === 5, "going back is told, too");
  await until(() => letGo, "what is in force is asked for");
  await page.locator('[data-draft="1"]').click();
  await page.unroute("**/policies", { behavior: "ignoreErrors" });
  letGo();
  await until(async () => /deletes production\/second/.test((await page.locator("#plan").textContent()) ?? ""), "what was not there then is to go, and named");
  assert.deepEqual(await inForce(), ["default-deny-all", "second"]);
});

test("with_the_keyboard_alone_one_looks_at_a_change_and_goes_back", async () => {
  await start();
  await apply(deny("default-deny-all"));
  await apply();
  await tabTo('[data-panel="history"]');
  await page.keyboard.press("Enter");
  await until(async () => (await entries().count()) === 3, "the changes are told");
  await tabTo('[data-show="1"]');
  await page.keyboard.press("Enter");
  await page.locator("#history-compare").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), "compare-title");
  await tabTo("#compare-close");
  await page.keyboard.press("Enter");
  await tabTo('[data-change="1"] form button');
  await page.keyboard.press("Enter");
  await until(async () => (await inForce()).length === 1, "the policy is in force again");
});

test("what_the_last_change_turned_stays_marked_over_a_reload_and_in_another_tab", async () => {
  await start();
  const rings = (on) => on.locator("[data-flow].ring").evaluateAll((all) => all.map((m) => m.dataset.flow));
  assert.deepEqual(await rings(page), []);
  await apply(deny("default-deny-all"));
  await until(async () => (await rings(page)).length > 0, "what turned is marked");
  const marked = await rings(page);
  const same = (on) => async () => JSON.stringify(await rings(on)) === JSON.stringify(marked);
  await page.reload();
  await until(same(page), "it is marked after a reload");
  const other = await context.newPage();
  await other.goto(page.url());
  await until(same(other), "it is marked in another tab");
  assert.match(await other.locator("[data-flow].ring").first().getAttribute("aria-label"), /changed last/);
  await other.close();
  await apply(deny("default-deny-all"), deny("second", "[Ingress]"));
  for (let n = 0; n < 2; n++) {
    await until(async () => (await rings(page)).length === 0, "a change that turns nothing leaves nothing marked");
    await page.reload();
    await page.locator('#lab[data-state="ready"]').waitFor();
    await page.locator(".cm-content").waitFor();
  }
});

test("whatever_changes_the_workspace_is_in_the_history_and_taken_back_also_after_Apply", async (t) => {
  const [lesson] = lessons;
  await open({ permissions: ["clipboard-read", "clipboard-write"] }, `/lessons/${lesson.slug}`);
  await start();
  const mine = deny("mine");
  await apply(mine);
  const are = (want) =>
    until(async () => JSON.stringify((await files(page)).sort()) === JSON.stringify(want), `the files are ${want}`).catch(async (e) => {
      throw new Error(`${e.message}; they are ${await files(page)}`);
    });
  const press = (name, where = page) => where.getByRole("button", { name, exact: true }).click();
  const origins = () => page.locator(".timeline > li").evaluateAll((all) => all.map((e) => e.dataset.origin));
  const asBefore = ["production/mine: in-force"];
  await are(asBefore);

  const id = await page.locator("[data-exercise]").first().getAttribute("data-exercise");
  const box = page.locator(`[data-exercise="${id}"]`);
  const { start: begins, solution } = answersOf(lesson, id);
  const filesOf = (yaml, state) => named(yaml).map((name) => `${name}: ${state}`);

  // The start of an exercise is in force at once.
  await press("Set up the start", box);
  await are(filesOf(begins, "in-force"));
  await press("Go back to what was in force", box);
  await are(asBefore);
  await press("Set up the start", box);
  await are(filesOf(begins, "in-force"));
  await showHistory();
  await until(async () => (await origins())[0] === "exercise", "the start is told");
  await page.locator(".timeline > li").nth(1).locator("form button").click();
  await are(asBefore);

  // What becomes drafts: those are taken back at once, and what they came to once they are applied.
  const drafts = {
    async a_solution() {
      for (const name of ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Show a solution"]) await press(name, box);
      await box.locator(".solution > .snippet").last().getByRole("button", { name: "Put into the workspace" }).click();
      return [...filesOf(solution, "new"), "production/mine: removed"].sort();
    },
    async an_import() {
      await showHistory();
      await page.locator("#import-files").setInputFiles([{ name: "a.yaml", mimeType: "text/yaml", buffer: Buffer.from(deny("imported")) }]);
      return ["production/imported: new", "production/mine: in-force"];
    },
    async a_link() {
      const link = await page.evaluate(() => navigator.clipboard.readText());
      await page.goto("about:blank");
      await page.goto(link);
      await page.locator("dialog").getByRole("button", { name: "Open as drafts" }).click();
      return ["production/mine: in-force", "production/shared: new"];
    },
  };
  // The link that is opened is of a workspace that has one policy more.
  await page.locator("#import-files").setInputFiles([{ name: "a.yaml", mimeType: "text/yaml", buffer: Buffer.from(deny("shared")) }]);
  await are([...asBefore, "production/shared: new"]);
  await page.locator("#share").click();
  await said(/The link is copied/);
  await showPolicies();
  await page.locator("#undo").click();
  await are(asBefore);

  for (const [what, bring] of Object.entries(drafts)) {
    t.diagnostic(what);
    const drafted = await bring();
    await are(drafted);
    await showPolicies();
    await page.locator("#undo").click();
    await are(asBefore);
    await page.locator("#redo").click();
    await are(drafted);
    await press("Apply");
    const comes = drafted.filter((f) => !f.endsWith(": removed")).map((f) => f.replace(": new", ": in-force"));
    await are(comes);
    await press("Take it back");
    await are(asBefore);
    assert.deepEqual(await inForce(), ["mine"]);
    await showHistory();
    await until(async () => (await page.locator(".timeline").getAttribute("data-newest")) === (await page.locator("#lab").getAttribute("data-change")), "the history is told");
    // And from there to what was applied, which is a change of the workspace as well.
    await page.locator(".timeline > li").nth(1).locator("form button").click();
    await are(comes);
    await until(async () => (await origins())[0] === "restore", "going there is told");
    await page.locator(".timeline > li").nth(1).locator("form button").click();
    await are(asBefore);
  }
});

test("a_link_opens_as_drafts_in_another_s_lab_and_applies_nothing", async () => {
  await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await showHistory();
  await page.locator("#import-files").setInputFiles([{ name: "a.yaml", mimeType: "text/yaml", buffer: Buffer.from(deny("shared")) }]);
  await said(/One policy is in the workspace/);
  await page.locator("#share").click();
  await said(/The link is copied/);
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(link.startsWith(server.at("/workbench?lab=network-policies#share=1.")), link);

  await open({}, link);
  const dialog = () => page.locator("dialog");
  await dialog().waitFor();
  assert.match(await dialog().textContent(), /Open the policy of this link\?.*shared.*nothing is applied/s);
  await assertAccessible(page, "the question of a link", "dialog");
  assert.ok(!page.url().includes("share="), "a reload would ask again");
  await dialog().getByRole("button", { name: "Open as drafts" }).click();
  await until(async () => /shared/.test((await page.locator(".cm-content").first().textContent()) ?? ""), "the policy is in the editor");

  // Cut in half, and made by somebody who means harm.
  for (const bad of [link.slice(0, link.length - 40), server.at("/workbench?lab=network-policies#share=1.%3Cscript%3E"), server.at("/workbench?lab=network-policies#share=2.abc")]) {
    await open({}, bad);
    await dialog().waitFor();
    assert.match(await dialog().textContent(), /This link cannot be opened.*(not whole|newer version).*Nothing has changed/s);
    await dialog().getByRole("button", { name: "Go on" }).click();
    assert.doesNotMatch(await page.locator(".cm-content").first().textContent(), /shared/);
  }
});

test("files_come_in_by_drop_and_go_out_as_a_zip_that_comes_in_again", async () => {
  await showHistory();
  const files = { "a.yaml": deny("dropped") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: production}\n", "b.txt": "no policy" };
  const transfer = await page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name));
    return transfer;
  }, files);
  await page.dispatchEvent("#write", "drop", { dataTransfer: transfer });
  await said(/Namespace production is set aside/);
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#export").click()]);
  const zip = await readFile(await download.path());
  assert.equal(zip.subarray(0, 2).toString(), "PK");

  await open();
  await showHistory();
  await page.locator("#import-files").setInputFiles([{ name: "policies.zip", mimeType: "application/zip", buffer: zip }]);
  await said(/in the workspace now, as drafts/);
  assert.match(await page.locator(".cm-content").first().textContent(), /dropped/);
});

test("a_lab_of_one_s_own_is_made_looked_at_and_started", async () => {
  await open({}, "/workbench");
  await page.goto(server.at("/labs"));
  await assertAccessible(page, "the labs");
  const yaml = page.locator("#lab-yaml");
  await yaml.fill((await yaml.inputValue()).replace("port: 8080", "port: http"));
  await page.getByRole("button", { name: "Keep it and open it" }).click();
  assert.match(await page.locator(".lab-problems").textContent(), /line 6, column \d+: .*want a whole number/);
  // Chromium tells of every page that is answered with an error.
  assert.match(errors.splice(0).join(), /status of 422[^,]*\/labs#make\)$/);
  await yaml.fill((await yaml.inputValue()).replace("port: http", "port: 8080"));
  await page.getByRole("button", { name: "See how it looks" }).click();
  await page.locator(".lab-picture svg").waitFor();
  await assertAccessible(page, "a lab's picture");
  await page.getByRole("button", { name: "Keep it and open it" }).click();
  await page.waitForURL(/workbench\?lab=own-/);
  await page.locator(".cm-content").waitFor();
  await start();
  await apply(deny("mine").replace("production", "shop"));
  assert.deepEqual(await inForce(), ["mine"]);
  await page.goto(server.at("/labs"));
  await page.getByRole("link", { name: "My shop", exact: true }).waitFor();
});

test("a_link_of_an_own_lab_brings_the_lab_which_is_made_only_when_one_says_so", async () => {
  await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(server.at("/labs"));
  await page.getByRole("button", { name: "Keep it and open it" }).click();
  await page.waitForURL(/workbench\?lab=own-/);
  const address = page.url();
  await page.locator(".cm-content").click();
  await page.keyboard.insertText(deny("shared").replace("production", "shop"));
  await showHistory();
  await page.locator("#share").click();
  await said(/The link is copied/);
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(link.startsWith(server.at("/labs#share=1.")), link);
  await page.goto(link);
  await page.getByRole("heading", { name: "A link to a lab that you have" }).waitFor();
  await page.getByRole("link", { name: "Open “My shop”" }).click();
  const dialog = () => page.locator("dialog");
  await dialog().waitFor();
  await dialog().getByRole("button", { name: "Cancel" }).click();

  // Another learner, with the keyboard alone.
  await open({}, "/workbench?lab=network-policies");
  await page.goto(link);
  await page.getByRole("heading", { name: "A link has brought a lab" }).waitFor();
  await assertAccessible(page, "a lab that a link has brought");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "A link has brought a lab");
  assert.equal(await page.locator(".own-labs").count(), 0, "nothing is kept by itself");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "lab-yaml");
  assert.match(await page.locator("#lab-yaml").inputValue(), /My shop/);
  await tabTo('button[value="look"]');
  await page.keyboard.press("Enter");
  await page.locator(".lab-picture svg").waitFor();
  await page.getByRole("heading", { name: "A link has brought a lab" }).waitFor();
  await tabTo('button[value="keep"]');
  await page.keyboard.press("Enter");
  await dialog().waitFor();
  assert.ok(page.url().startsWith(address.split("#")[0]), page.url());
  assert.match(await dialog().textContent(), /Open the policy of this link\?It brings shared\. They come into your workspace as drafts/);
  await tabTo("dialog .primary");
  await page.keyboard.press("Enter");
  await until(async () => /shared/.test((await page.locator(".cm-content").first().textContent()) ?? ""), "the policy is in the editor");
  assert.match(await page.locator("#plan").textContent(), /Apply adds shop\/shared/);

  // Cut, and by somebody who means harm.
  for (const bad of [link.slice(0, link.length - 40), server.at("/labs#share=1.%3Cscript%3E")]) {
    await open({}, "/workbench?lab=network-policies");
    await page.goto(bad);
    await page.getByRole("heading", { name: "This link cannot be opened" }).waitFor();
    assert.match(await page.locator("#shared-lab").textContent(), /not whole.*Nothing has changed\./s);
  }
});

test("a_link_that_is_opened_in_another_lab_says_so_and_leads_to_its_own", async () => {
  await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.locator(".cm-content").click();
  await page.keyboard.insertText(deny("shared"));
  await showHistory();
  await page.locator("#share").click();
  await said(/The link is copied/);
  const link = await page.evaluate(() => navigator.clipboard.readText());
  await page.goto(server.at("/labs"));
  await page.getByRole("button", { name: "Keep it and open it" }).click();
  await page.waitForURL(/workbench\?lab=own-/);
  await page.locator(".cm-content").waitFor();
  await page.evaluate((hash) => (location.hash = hash), new URL(link).hash);
  await page.locator("dialog").waitFor();
  assert.match(await page.locator("dialog").textContent(), /It was made in another lab, so the policies may name what this one has not\./);
  await page.getByRole("button", { name: "Go to their lab" }).click();
  await page.waitForURL(/lab=network-policies/);
  await page.locator("dialog").waitFor();
  await page.getByRole("button", { name: "Open as drafts" }).click();
  await until(async () => /shared/.test((await page.locator(".cm-content").first().textContent()) ?? ""), "the policy is in the editor");
});

test("without_scripts_one_goes_back_in_the_history", async () => {
  await start();
  await apply(deny("default-deny-all"));
  await apply();
  const state = await context.storageState();
  await open({ storageState: state });
  const plain = await browser.newContext({ javaScriptEnabled: false, storageState: state });
  const other = await plain.newPage();
  await other.goto(server.at("/workbench?lab=network-policies"));
  await other.locator('[data-change="1"] form button').click();
  await other.locator(".timeline").waitFor();
  assert.match(await other.locator(".timeline > li").first().textContent(), /Gone back.*default-deny-all/s);
  await plain.close();
  assert.deepEqual(await inForce(), ["default-deny-all"]);
});

// Bad input through the page, on the server as make builds it: each is answered with a
// sentence, loses nothing, and leaves a page that works.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { collectErrors, lostConnection, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { denyAll, start } from "./walk.mjs";

const { server, browser } = onTheServer();
let context, page, errors;
let expected = [];
const path = "/workbench?lab=network-policies";

beforeEach(() => open());

afterEach(async () => {
  await context.close();
  assert.deepEqual(errors.filter((e) => !expected.some((pattern) => pattern.test(e))), []);
});

async function open(to = path) {
  await context?.close();
  expected = [];
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, permissions: ["clipboard-read", "clipboard-write"] });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at(to));
  await page.locator(".cm-content").waitFor();
}

const text = (selector, on = page) => on.locator(selector).textContent();
const inEditor = (on = page) => on.locator("#policy").inputValue();
const says = (selector, pattern, on = page) =>
  until(async () => pattern.test(await text(selector, on)), `${selector} says ${pattern}`, 15_000).catch(async (e) => {
    throw new Error(`${e.message}; it says ${JSON.stringify(await text(selector, on))}`);
  });
const press = (name, on = page) => on.getByRole("button", { name, exact: true }).click();
const names = (on = page) => on.locator("#files [data-policy]").evaluateAll((tabs) => tabs.map((t) => `${t.dataset.policy}: ${t.dataset.state}`));

/** Pastes the text in the place of all that is in the editor, as somebody does who has copied it elsewhere. */
async function paste(what, on = page) {
  await on.bringToFront();
  await on.evaluate((t) => navigator.clipboard.writeText(t), what);
  await on.locator(".cm-content").focus();
  await on.keyboard.press("ControlOrMeta+a");
  await on.keyboard.press("ControlOrMeta+v");
}

async function inForce() {
  const id = await page.locator("#lab").getAttribute("data-sandbox");
  return (await (await page.request.get(server.at(`/sandboxes/${id}/policies`))).json()).policies;
}

test("a_megabyte_is_refused_with_the_limit_kept_and_bounded_in_storage", async () => {
  expected.push(/status of 413/);
  await start(page);
  const line = "# a line of a text that somebody has pasted by mistake\n";
  const big = denyAll + line.repeat(Math.ceil((1 << 20) / line.length));
  await paste(big);
  await says("#preview", /too long for a preview/);
  await press("Apply");
  await says("#problems", /^That is too much YAML: the lab takes 256 KiB at most\. Nothing was applied\.$/);
  assert.equal(await inEditor(), big);
  assert.deepEqual(await inForce(), []);
  const kept = () => page.evaluate(() => Object.values({ ...localStorage }).reduce((n, v) => n + v.length, 0));
  await until(async () => (await kept()) > big.length, "the draft is kept");
  await page.reload();
  await until(async () => (await inEditor()) === big, "the draft is there again");
  await paste(denyAll);
  await says("#plan", /^Apply adds production\/default-deny-all\.$/);
  await until(async () => (await kept()) < 100_000, "what is gone takes no room");
  await press("Apply");
  await says("#applied", /^Apply added production\/default-deny-all\./);
});

test("a_template_is_told_for_what_it_is_with_its_place", async () => {
  expected.push(/status of 422/);
  await start(page);
  const template = `{{- if .Values.networkPolicy.enabled }}\n${denyAll.replace("name: default-deny-all", 'name: {{ include "shop.name" . }}')}{{- end }}\n`;
  await paste(template);
  await says("#preview", /^No preview: line 1 has an error\.$/);
  await press("Apply");
  await says("#problems", /line 1, column 1: this is a template \(\{\{ \}\}\), which must be filled in first/);
  assert.match(await text("#problems"), /helm template/, "it is said how");
  assert.equal(await inEditor(), template);
  await page.locator("#problems a").click();
  assert.equal(await page.locator(".cm-content").evaluate((e) => e === document.activeElement), true, "its place is a link");
});

const printed = (name) => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"networking.k8s.io/v1"}
  creationTimestamp: "2026-01-02T15:04:05Z"
  generation: 1
  managedFields:
  - apiVersion: networking.k8s.io/v1
    fieldsType: FieldsV1
    fieldsV1: {f:spec: {}}
    manager: kubectl
    operation: Update
    time: "2026-01-02T15:04:05Z"
  name: ${name}
  namespace: production
  resourceVersion: "12"
  uid: 0d7ea1c1-1111-2222-3333-444455556666
spec:
  podSelector: {}
  policyTypes:
  - Ingress
  - Egress
status: {}
`;
const leftOut = /Left out, since only a cluster writes it: creationTimestamp, generation, managedFields, resourceVersion, uid and status\./;

for (const [what, yaml, files] of [
  ["a_policy", printed("one"), ["production/one: in-force"]],
  [
    "a_List",
    `apiVersion: v1\nitems:\n${["one", "two"].map((name) => `- ${printed(name).trimEnd().replaceAll("\n", "\n  ")}\n`).join("")}kind: List\nmetadata:\n  resourceVersion: ""\n`,
    ["production/one: in-force", "production/two: in-force"],
  ],
]) {
  test(`${what}_that_kubectl_has_printed_is_previewed_and_applied_without_what_the_cluster_wrote`, async () => {
    await start(page);
    await paste(yaml);
    await says("#preview", /^Preview: \d+ flows would close\.$/);
    await page.getByRole("button", { name: /hint/ }).click();
    const hints = await text(".cm-problems");
    assert.match(hints, leftOut);
    assert.equal(hints.split("Left out").length, 2, "it is said once");
    await press("Apply");
    await says("#applied", leftOut);
    await until(async () => JSON.stringify(await names()) === JSON.stringify(files), "they are in force").catch(async () => assert.deepEqual(await names(), files));
    assert.doesNotMatch(await inEditor(), /uid|managedFields|status|last-applied/);
  });
}

test("two_policies_of_one_name_in_one_text_are_named_and_nothing_is_applied", async () => {
  await start(page);
  await paste(`${denyAll}---\n${denyAll.replace("    - Egress\n", "")}`);
  await says("#preview", /^No preview: /);
  await press("Apply");
  await says("#problems", /^Two policies are called production\/default-deny-all\. Rename one of them, or delete it\. Nothing was applied\.$/);
  assert.deepEqual(await inForce(), []);
});

test("line_ends_of_Windows_and_tabs_are_taken_or_told_with_their_place", async () => {
  expected.push(/status of 422/);
  await start(page);
  await paste(denyAll.replace("  podSelector", "\tpodSelector"));
  await press("Apply");
  await says("#problems", /line 7, column 1: a tab is used to indent this line; YAML takes only spaces/);
  await paste(`\ufeff${denyAll.replaceAll("\n", "\r\n")}`);
  await press("Apply");
  await says("#applied", /^Apply added production\/default-deny-all\./);
  assert.equal((await inForce())[0].yaml, denyAll);
});

/** A link's fragment with that in it. */
const fragment = (content) => `#share=1.${deflateRawSync(typeof content === "string" ? content : JSON.stringify(content)).toString("base64url")}`;

test("a_link_that_somebody_made_to_harm_opens_nothing_and_says_why", async () => {
  const shared = (files, lab = "network-policies") => fragment({ lab, files });
  const whole = shared([denyAll]);
  for (const [what, bad, why] of [
    ["a bomb", fragment(" ".repeat(20 << 20)), /more than a lab can hold/],
    ["very many files", shared(Array.from({ length: 5000 }, () => "")), /more than a lab can hold/],
    ["files that are none", shared([{ text: denyAll }]), /not whole/],
    ["half of one", whole.slice(0, whole.length / 2), /not whole/],
    ["no deflate", "#share=1.AAAA____", /not whole/],
    ["a lab that is none", fragment({ lab: { a: 1 }, files: [denyAll] }), /not whole/],
  ]) {
    await open(path + bad);
    await page.locator("dialog").waitFor();
    const said = await text("dialog");
    assert.match(said, /This link cannot be opened/, what);
    assert.match(said, why, what);
    await press("Go on");
    assert.equal(await inEditor(), "", what);
  }
});

test("markup_in_a_links_names_is_text", async () => {
  const name = "<img src=x onerror=document.title='harmed'>";
  await open(path + fragment({ lab: "network-policies", files: [denyAll.replace("default-deny-all", `"${name}"`)] }));
  await page.locator("dialog").waitFor();
  assert.match(await text("dialog"), /<img src=x/);
  await press("Open as drafts");
  await until(async () => (await inEditor()).includes(name), "it is a draft");
  assert.equal(await page.locator("img[src=x]").count(), 0);
  assert.doesNotMatch(await page.title(), /harmed/);
  assert.match(await text("#files"), /<img src=x/);
});

test("of_two_tabs_that_apply_at_once_one_comes_first_and_the_other_merges", async () => {
  expected.push(/status of 409/);
  await start(page);
  const second = await context.newPage();
  await second.goto(server.at(path));
  await second.locator('#lab[data-state="ready"]').waitFor();
  await second.locator(".cm-content").waitFor();
  await paste(denyAll.replace("default-deny-all", "from-the-first"));
  await paste(denyAll.replace("default-deny-all", "from-the-second"), second);
  for (const tab of [page, second]) await says("#plan", /^Apply adds production\/from-the-(first|second)\.$/, tab);
  // Both have asked before either has an answer.
  let asked = 0;
  let go;
  const both = new Promise((resolve) => (go = resolve));
  await context.route(/\/policies\?prune/, async (route) => {
    if (++asked === 2) go();
    await both;
    await route.continue();
  });
  await Promise.all([page, second].map((tab) => tab.locator("#apply").evaluate((b) => b.click())));
  const refused = async (tab) => /nothing was applied/i.test(await text("#problems", tab));
  await until(async () => (await refused(page)) || (await refused(second)), "one of them is told");
  assert.equal((await refused(page)) && (await refused(second)), false, "one is in force");
  const late = (await refused(page)) ? page : second;
  const mine = await inEditor(late);
  await says("#plan", /^Apply adds production\/from-the-(first|second)\.$/, late);
  assert.match(mine, /from-the-/);
  await late.locator("#apply").click();
  for (const tab of [page, second]) {
    await until(async () => JSON.stringify((await names(tab)).sort()) === '["production/from-the-first: in-force","production/from-the-second: in-force"]', "both are in force in both tabs", 15_000);
  }
});

test("without_the_network_for_a_minute_typing_goes_on_and_all_comes_back_by_itself", async () => {
  expected.push(...lostConnection);
  await page.clock.install();
  await page.reload();
  await start(page);
  await says("#connection", /^Live\.$/);
  await context.setOffline(true);
  await paste(denyAll);
  assert.equal(await inEditor(), denyAll);
  await says("#preview", /^No preview of your last change\. You are offline\./);
  await press("Apply");
  await says("#problems", /^You are offline\. Your text is kept; try again when the connection is back\.$/);
  await page.clock.fastForward("01:00");
  await page.locator(".cm-content").focus();
  await page.keyboard.press("ControlOrMeta+End");
  await page.keyboard.insertText("# typed in the dark\n");
  assert.equal(await inEditor(), `${denyAll}# typed in the dark\n`);
  await context.setOffline(false);
  await page.clock.fastForward(2000);
  await says("#preview", /^Preview: \d+ flows would close\.$/);
  await says("#connection", /^Live\.$/);
  await press("Apply");
  await says("#applied", /^Apply added production\/default-deny-all\./);
  await says("#problems", /^$/);
});

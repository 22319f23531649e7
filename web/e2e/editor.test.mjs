// The editor, on the server as make builds it: what it offers, what it says, and what
// happens to bad input; with the mouse, and with the keyboard alone.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { build } from "../frontend/node_modules/esbuild/lib/main.js";
import { assertAccessible, collectErrors, completionsListen, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { denyAll } from "./walk.mjs";

const { server, browser } = onTheServer();
let context, page, errors;

beforeEach(() => open());

afterEach(async () => {
  await context.close();
  assert.deepEqual(errors, []);
});

async function open(options = {}, path = "/workbench") {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  errors = collectErrors(context);
  page = await context.newPage();
  // What the editor completes from is there.
  const [schema, lab] = [page.waitForResponse(/\/schema$/), page.waitForResponse(/\/labs\/[^/]+$/)];
  await page.goto(server.at(path));
  await page.locator(".cm-content").waitFor();
  await Promise.all([schema, lab]);
}

/** What the editor is made of; the whole page is looked at by other tests. */
const editor = ".editor";

// --- What a test does and looks at ---

const press = async (...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};

/** Puts the text into the editor in the place of all that is in it. The bar is where the cursor is then. */
async function write(text) {
  const at = text.indexOf("|");
  await page.locator(".cm-content").focus();
  await press("ControlOrMeta+a");
  if (text === "") await press("Delete");
  else await page.keyboard.insertText(text.replace("|", ""));
  await press("Escape");
  if (at < 0) return;
  const rest = text.slice(at + 1);
  await press("ControlOrMeta+Home");
  const before = text.slice(0, at).split("\n");
  for (let n = 1; n < before.length; n++) await press("ArrowDown");
  await press("Home", "Home");
  for (let n = 0; n < before.at(-1).length; n++) await press("ArrowRight");
  assert.equal((await shown()).trimEnd(), (text.slice(0, at) + rest).trimEnd());
}

/** The text as the editor shows it, without what it says beside. */
const shown = () =>
  page.locator(".cm-content").evaluate((content) => {
    const copy = content.cloneNode(true);
    for (const e of copy.querySelectorAll(".cm-selects, .cm-placeholder")) e.remove();
    return [...copy.querySelectorAll(".cm-line")].map((l) => l.textContent).join("\n");
  });

const options = () => page.locator(".cm-tooltip-autocomplete li").evaluateAll((all) => all.map((li) => [li.querySelector(".cm-completionLabel").textContent, li.querySelector(".cm-completionDetail")?.textContent ?? ""]));

/** Asks for what can stand at the cursor. */
async function completions() {
  await press("Control+Space");
  await page.locator(".cm-tooltip-autocomplete li").first().waitFor();
  return options();
}

/** Takes the option of that label by the keyboard. */
async function take(label) {
  const at = (await options()).findIndex(([l]) => l === label);
  assert.ok(at >= 0, `${label} is not among ${JSON.stringify(await options())}`);
  await completionsListen(page);
  for (let n = 0; n < at; n++) await press("ArrowDown");
  await until(async () => (await page.locator(".cm-tooltip-autocomplete li[aria-selected] .cm-completionLabel").textContent()) === label, `${label} is chosen`);
  // What is chosen at once after the list has come is ignored, so as not to surprise who types.
  await until(async () => {
    await press("Enter");
    // Where the list is gone there is no label.
    return (await page.locator(".cm-tooltip-autocomplete li[aria-selected] .cm-completionLabel").textContent({ timeout: 100 }).catch(() => "")) !== label;
  }, `${label} is taken`);
}

const problems = () => page.locator(".cm-lintRange").allTextContents();

async function hasProblem(word) {
  await until(async () => (await problems()).includes(word), `${word} is underlined`);
}

async function noProblem() {
  await until(async () => (await problems()).length === 0, "nothing is underlined").catch(async (e) => assert.fail(`${e.message}: ${await problems()}`));
}

const policy = (spec) => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-web-to-api
  namespace: production
spec:
${spec}`;

const good = policy(`  podSelector:
    matchLabels:
      app: api
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: web
      ports:
        - protocol: TCP
          port: 8080
`);

// --- Completion ---

test("an_empty_file_is_offered_policies_whose_places_are_filled_in_by_Tab", async () => {
  await write("");
  assert.ok((await completions()).some(([label]) => label === "Allow DNS"));
  await take("Let a pod in on a port");
  assert.equal(await shown(), good.trimEnd());
  await page.keyboard.type("monitoring");
  await press("Tab");
  await page.keyboard.type("grafana");
  await press("Tab", "Tab", "Escape", "Escape");
  const text = await shown();
  assert.match(text, /namespace: monitoring/);
  assert.match(text, /matchLabels:\n {6}app: grafana/);
});

test("every_policy_and_rule_that_is_offered_is_without_an_error_in_every_lab", async () => {
  const { outputFiles } = await build({ entryPoints: [new URL("../frontend/src/editor/snippets.ts", import.meta.url).pathname], bundle: true, format: "esm", write: false });
  const { policies, rules, filled } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
  const home = await (await context.request.get(server.at("/"))).text();
  const lessons = [...new Set([...home.matchAll(/href="(\/lessons\/[\w-]+)"/g)].map(([, url]) => url))];
  const labs = new Set();
  for (const url of lessons) labs.add(/data-lab="([\w-]+)"/.exec(await (await context.request.get(server.at(url))).text())[1]);
  assert.ok(labs.size >= 3, [...labs].join());
  const analysis = async (lab, text) => (await context.request.post(server.at(`/labs/${lab}/analysis`), { data: { files: [{ id: "a", text }] } })).json();
  let policiesSeen = 0;
  for (const lab of labs) {
    const contents = await (await context.request.get(server.at(`/labs/${lab}`))).json();
    for (const { name: namespace } of contents.namespaces.filter((n) => !n.system)) {
      for (const { label, text } of policies(contents, namespace)) {
        const { files, changes } = await analysis(lab, filled(text));
        assert.deepEqual(files[0].problems.filter((p) => p.severity === "error"), [], `${lab}: ${label}:\n${filled(text)}`);
        for (const p of files[0].policies) {
          assert.ok(label.startsWith("Deny") || label === "Allow DNS" || p.selects.length > 0, `${lab}: ${label} is for nobody:\n${filled(text)}`);
          policiesSeen++;
        }
        if (label.startsWith("Deny")) assert.ok((changes ?? []).every((c) => c.to !== "open"), label);
      }
      for (const list of ["ingress", "egress"]) {
        for (const { label, text } of rules(contents, list, namespace)) {
          const whole = `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: x\n  namespace: ${namespace}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress, Egress]\n  ${list}:\n    - ${filled(text).trimEnd().replaceAll("\n", "\n      ")}\n`;
          const { files } = await analysis(lab, whole);
          assert.deepEqual(files[0].problems.filter((p) => p.severity === "error"), [], `${lab}: ${label}:\n${whole}`);
          assert.equal(files[0].policies.length, 1);
        }
      }
    }
  }
  assert.ok(policiesSeen > 50, `only ${policiesSeen} policies were looked at`);
});

test("Ctrl_Space_offers_what_can_stand_there_and_says_what_a_label_selects", async () => {
  await write(policy("  |"));
  assert.deepEqual((await completions()).map(([label]) => label), ["podSelector", "ingress", "egress", "policyTypes"]);
  await take("podSelector");
  await until(async () => (await options()).some(([l]) => l === "matchLabels"), "the next level is offered");
  await take("matchLabels");
  await until(async () => (await options()).some(([l]) => l === "app: api"), "labels are offered");
  assert.deepEqual((await options()).find(([l]) => l === "app: api"), ["app: api", "selects production/api"]);
  await take("app: api");
  assert.equal(await shown(), policy("  podSelector:\n    matchLabels:\n      app: api"));
});

test("what_is_typed_is_completed_and_Escape_closes_the_list", async () => {
  await write(policy("  podSelector: {}\n  |"));
  await page.keyboard.type("pol");
  await page.locator(".cm-tooltip-autocomplete").waitFor();
  assert.deepEqual((await options()).map(([l]) => l), ["policyTypes"]);
  await take("policyTypes");
  await until(async () => (await options()).some(([l]) => l === "Ingress"), "the types are offered");
  await press("Escape");
  await until(async () => (await page.locator(".cm-tooltip-autocomplete").count()) === 0, "the list is closed");
  assert.equal(await shown(), policy("  podSelector: {}\n  policyTypes: []"));
});

test("with_the_mouse_Insert_offers_the_same", async () => {
  await write(policy("  podSelector:\n    matchLabels:\n      app: |"));
  await page.getByRole("button", { name: "Insert", exact: true }).click();
  await page.locator(".cm-tooltip-autocomplete li", { hasText: "selects production/db" }).click();
  assert.equal(await shown(), policy("  podSelector:\n    matchLabels:\n      app: db"));
});

test("where_nothing_can_stand_Insert_says_so", async () => {
  await write("# a |comment");
  await page.getByRole("button", { name: "Insert", exact: true }).click();
  assert.match(await page.locator(".cm-notice").textContent(), /Nothing can be completed here/);
});

test("addresses_of_pods_are_offered_once_there_is_a_cluster", async () => {
  const cidr = policy("  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n    - to:\n        - ipBlock:\n            cidr: |");
  await write(cidr);
  const before = await completions();
  assert.ok(before.some(([l, d]) => l === "203.0.113.80/32" && d === "internet"));
  assert.ok(!before.some(([, d]) => d === "production/api"));
  await press("Escape");
  // An answer without JSON is another one.
  const renewed = page.waitForResponse(async (r) => /\/labs\/[^/]+$/.test(r.url()) && (await r.json().catch(() => ({}))).running === true, { timeout: 20_000 });
  await page.getByRole("button", { name: "Start", exact: true }).first().click();
  await renewed;
  await page.locator(".cm-content").focus();
  await until(async () => (await completions()).some(([, d]) => d === "production/api"), "pods' addresses are offered");
});

// --- Explanations ---

test("the_API_explains_a_field_beside_the_mouse_and_by_a_key", async () => {
  await write(good);
  await page.getByText("policyTypes", { exact: true }).hover();
  await page.locator(".cm-explains").waitFor();
  assert.match(await page.locator(".cm-explains").textContent(), /policyTypes a list.*NetworkPolicy relates to/s);
  await page.mouse.move(0, 0);
  await until(async () => (await page.locator(".cm-explains").count()) === 0, "it goes with the mouse");
  await write(good.replace("podSelector", "podSel|ector"));
  await page.locator(".cm-selects").waitFor();
  await press("ControlOrMeta+i");
  await until(async () => /Selects production\/api\./.test(await page.locator(".cm-explains").textContent()), "what it selects is said");
  assert.match(await page.locator(".cm-explains").textContent(), /podSelector fields/);
  await assertAccessible(page, "an explanation", editor);
  await press("ArrowRight");
  await until(async () => (await page.locator(".cm-explains").count()) === 0, "it goes with the cursor");
});

test("a_selector_under_the_cursor_says_and_shows_what_it_selects", async () => {
  await write(good.replace("app: api", "app: a|pi"));
  await until(async () => (await page.locator(".cm-selects").allTextContents()).join() === "selects production/api", "it is said");
  const lit = () => page.evaluate(() => document.querySelectorAll("#matrix .lit").length);
  await until(async () => (await lit()) > 0, "it is shown in the matrix");
  await press("ControlOrMeta+Home");
  await until(async () => (await page.locator(".cm-selects").count()) === 0 && (await lit()) === 0, "it goes with the cursor");
});

test("the_lines_that_decide_about_the_chosen_connection_are_marked", async () => {
  await write(good);
  await noProblem();
  await page.locator('[data-flow="production/web>production/api:8080/TCP"]').first().click();
  await until(async () => (await page.locator(".cm-deciding").count()) > 0, "a line is marked");
  assert.ok((await page.locator(".cm-deciding").allTextContents()).join("\n").includes("from:"));
});

// --- Problems ---

test("a_problem_is_told_as_it_is_typed_and_goes_when_the_text_is_right", async () => {
  await write(good.replace("app: api", "app: ap|l"));
  await until(async () => (await problems()).length > 0, "something is underlined");
  await press("Delete");
  await page.keyboard.type("i");
  await noProblem();
});

test("F8_goes_to_the_next_problem_says_it_and_its_fix_is_a_key_away", async () => {
  await write(good.replace("port: 8080", "prot: 8080"));
  await hasProblem("prot");
  await press("ControlOrMeta+Home", "F8");
  await page.locator(".cm-tooltip-lint").waitFor();
  const tooltip = page.locator(".cm-tooltip-lint");
  assert.match(await tooltip.textContent(), /did you mean "port"/);
  await until(async () => /did you mean "port"/.test((await page.locator(".cm-announced").allTextContents()).join()), "a screen reader is told");
  await assertAccessible(page, "a problem", editor);
  await press("ControlOrMeta+.");
  await page.locator(".cm-tooltip-autocomplete li").first().waitFor();
  assert.deepEqual((await options()).map(([l]) => l), ["Write port"]);
  await take("Write port");
  await noProblem();
  assert.equal(await shown(), good.trimEnd() + "\n");
  await press("ControlOrMeta+z");
  await hasProblem("prot");
});

test("a_fix_is_a_button_beside_the_mouse_and_long_messages_are_wrapped", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open({ viewport: { width: 390, height: 844 } });
  const write_ = page.getByRole("link", { name: "Write", exact: true }).or(page.getByRole("button", { name: "Write", exact: true }));
  if (await write_.count()) await write_.first().click();
  await write(good.replace("port: 8080", "port: 80"));
  await until(async () => (await problems()).length > 0, "something is underlined");
  await page.locator(".cm-lintRange").last().hover();
  const tooltip = page.locator(".cm-tooltip-lint");
  await tooltip.waitFor();
  const box = await page.locator(".cm-tooltip:has(.cm-tooltip-lint)").boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 390, `the tooltip goes from ${box.x} to ${box.x + box.width}`);
  assert.ok(box.height > 40, "it is of several lines");
  await tooltip.getByRole("button").first().click();
  await noProblem();
  assert.match(await shown(), /port: 8080/);
});

test("all_problems_are_in_a_list", async () => {
  await write(good.replace("port: 8080", "prot: 8080").replace("from:", "form:"));
  await hasProblem("prot");
  const list = page.getByRole("region", { name: "Problems" });
  await press("ControlOrMeta+Shift+KeyM");
  assert.match(await list.textContent(), /Line 12.*"form".*Line 18.*"prot"/s);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Line 12");
  await assertAccessible(page, "the list of problems", editor);
  await press("Enter");
  await page.keyboard.type("from");
  await until(async () => !/"form"/.test(await list.textContent()), "it goes from the list");
  await page.getByRole("button", { name: "1 problem" }).click();
  assert.equal(await list.count(), 0);
  await page.getByRole("button", { name: "1 problem" }).click();
  await list.getByRole("button", { name: "Write port" }).click();
  await until(async () => /no problem/.test(await list.textContent()), "there is none left");
  assert.equal(await shown(), good);
  await page.locator(".cm-content").focus();
  await press("ControlOrMeta+Shift+KeyM");
  assert.equal(await list.count(), 0);
  assert.ok(await page.locator(".cm-content").evaluate((e) => e === document.activeElement));
});

test("what_is_no_error_is_a_hint_in_a_calm_colour_also_in_the_lessons_first_policy", async () => {
  const colour = (of) => of.evaluate((e) => getComputedStyle(e).color);
  await write(denyAll);
  const hint = page.getByRole("button", { name: "1 hint", exact: true });
  await hint.waitFor();
  const quiet = await colour(page.getByRole("button", { name: "Format", exact: true }));
  assert.equal(await colour(hint), quiet);
  await hint.click();
  assert.match(await page.getByRole("region", { name: "Problems" }).textContent(), /^Line 8 This policy isolates .* no policy lets them reach the cluster's DNS/);
  await write(denyAll.replace("podSelector", "podSelectr"));
  const problem = page.getByRole("button", { name: /^1 problem/ });
  await problem.waitFor();
  assert.notEqual(await colour(problem), quiet);
});

// --- Format, search, fold ---

test("the_text_is_formatted_by_a_key_and_by_a_button_and_undone", async () => {
  const wild = "spec:\n    podSelector:   {}\n    policyTypes:\n    - Ingress # why\n";
  const tidy = "spec:\n  podSelector: {}\n  policyTypes:\n    - Ingress # why\n";
  await write(wild);
  await press("Shift+Alt+f");
  await until(async () => (await shown()) === tidy, "it is formatted");
  await press("ControlOrMeta+z");
  await until(async () => (await shown()) === wild, "it is undone");
  await page.getByRole("button", { name: "Format", exact: true }).click();
  await until(async () => (await shown()) === tidy, "it is formatted");
  await write("spec: [\n");
  await page.getByRole("button", { name: "Format", exact: true }).click();
  await until(async () => /no YAML yet/.test((await page.locator(".cm-notice").allTextContents()).join()), "it is said why not");
  await page.locator(".cm-content").focus();
  await page.keyboard.type("x");
  assert.equal(await page.locator(".cm-notice").count(), 0);
});

test("search_finds_and_replaces_by_keyboard_and_opens_by_button", async () => {
  await write(good.replace("spec:", "|spec:"));
  await press("ControlOrMeta+f");
  await page.locator(".cm-search").waitFor();
  await page.keyboard.type("app");
  await press("Enter");
  await until(async () => (await page.locator(".cm-searchMatch-selected").allTextContents()).join() === "app", "the match is shown");
  await assertAccessible(page, "search", editor);
  await press("Escape");
  assert.equal(await page.locator(".cm-search").count(), 0);
  await page.getByRole("button", { name: "Find", exact: true }).click();
  await page.locator(".cm-search [name=search]").fill("production");
  await page.locator(".cm-search input[name=replace]").fill("monitoring");
  await page.locator(".cm-search [name=replaceAll]").click();
  assert.match(await shown(), /namespace: monitoring/);
});

test("a_part_is_folded_by_the_mouse_and_by_keys", async () => {
  await write(good.replace("metadata:", "meta|data:"));
  await press("Control+Shift+BracketLeft");
  await page.locator(".cm-foldPlaceholder").waitFor();
  assert.ok(!(await shown()).includes("allow-web-to-api"));
  await press("Control+Shift+BracketRight");
  await until(async () => (await shown()).includes("allow-web-to-api"), "it is unfolded");
  await page.locator(".cm-foldGutter [title='Fold line']").first().click();
  await page.locator(".cm-foldPlaceholder").waitFor();
  await page.locator(".cm-foldPlaceholder").click();
  await until(async () => (await page.locator(".cm-foldPlaceholder").count()) === 0, "it is unfolded");
});

// --- Keys ---

test("the_sheet_lists_the_keys_and_gives_the_focus_back", async () => {
  await write(good);
  await press("F1");
  const sheet = page.getByRole("dialog", { name: "Keys in the editor" });
  await sheet.waitFor();
  assert.match(await sheet.textContent(), /Space.*what can stand here/s);
  await assertAccessible(page, "the sheet of keys", "dialog");
  await press("Escape");
  await until(async () => (await sheet.count()) === 0, "it is closed");
  assert.ok(await page.locator(".cm-content").evaluate((e) => e === document.activeElement));
  await page.getByRole("button", { name: "Keys in the editor" }).click();
  await sheet.getByRole("button", { name: "Close" }).click();
  await until(async () => (await sheet.count()) === 0, "it is closed");
});

test("Tab_leaves_the_editor_in_both_directions", async () => {
  await write(good);
  // With the preview comes a button behind the editor.
  await page.getByRole("button", { name: "Only what changes" }).waitFor();
  await press("Tab");
  assert.ok(await page.locator(".cm-editor").evaluate((e) => !e.contains(document.activeElement)));
  await press("Shift+Tab");
  assert.ok(await page.locator(".cm-content").evaluate((e) => e === document.activeElement));
  await press("Shift+Tab");
  assert.ok(await page.locator(".cm-editor").evaluate((e) => !e.contains(document.activeElement)));
  assert.equal(await shown(), good);
});

test("on_a_phone_there_is_no_word_of_keys", async () => {
  await open({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  assert.equal(await page.getByRole("button", { name: "Keys in the editor" }).count(), 0);
  const said = await page.evaluate(() => document.body.textContent);
  assert.doesNotMatch(said, /Ctrl|Cmd\b|⌘|F1\b|F8\b/);
});

// --- Bad input ---

test("a_megabyte_is_pasted_and_typed_in_and_said_to_be_too_much", async () => {
  const line = "# a line of a text that somebody has pasted by mistake\n";
  const big = line.repeat(Math.ceil((1 << 20) / line.length));
  await page.locator(".cm-content").focus();
  await page.evaluate((text) => navigator.clipboard.writeText(text), big);
  await press("ControlOrMeta+a", "ControlOrMeta+v");
  await until(async () => /longer than the 256 KiB/.test((await page.locator(".cm-notice").allTextContents()).join()), "it is said", 10_000);
  // The main thread's own time, so that a busy machine is not taken for a slow editor.
  const cdp = await context.newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => (await cdp.send("Performance.getMetrics")).metrics.find((m) => m.name === "TaskDuration").value;
  const before = await busy();
  await page.keyboard.type("typed in it");
  await until(async () => (await shown()).includes("typed in it"), "what is typed is there", 20_000);
  const took = (await busy()) - before;
  assert.ok(took < 2.5, `eleven keys took ${took} s`);
  await press("ControlOrMeta+a");
  await page.keyboard.insertText(good);
  await until(async () => (await page.locator(".cm-notice").count()) === 0, "the sentence goes");
  await until(async () => (await page.locator(".cm-line span").count()) > 10, "it is coloured again");
});

test("tabs_line_ends_of_Windows_and_templates_are_taken_and_answered_with_a_sentence", async () => {
  const paste = async (text) => {
    await page.locator(".cm-content").focus();
    await page.evaluate((t) => navigator.clipboard.writeText(t), text);
    await press("ControlOrMeta+a", "ControlOrMeta+v");
  };
  await paste(good.replaceAll("\n", "\r\n"));
  await noProblem();
  assert.equal(await shown(), good);

  await paste(good.replace("  podSelector", "\tpodSelector"));
  await until(async () => (await problems()).length > 0 || (await page.locator(".cm-lintPoint").count()) > 0, "the tab is a problem");
  await press("Shift+Alt+f");
  await noProblem();
  assert.equal(await shown(), good);

  await paste(`{{- if .Values.on }}\n${good.replace("name: allow-web-to-api", "name: {{ .Release.Name }}")}{{- end }}\n`);
  await until(async () => (await problems()).length > 0 || (await page.locator(".cm-lintPoint").count()) > 0, "the template is a problem");
  await press("Control+Space", "Escape", "Shift+Alt+f");
  await until(async () => /no YAML yet/.test((await page.locator(".cm-notice").allTextContents()).join()), "it is said that it cannot be formatted");
});

for (const colorScheme of ["light", "dark"]) {
  test(`the_editor_is_accessible_in_${colorScheme}_with_a_list_and_a_problem_open`, async () => {
    await open({ colorScheme });
    await write(good.replace("port: 8080", "prot: 8080").replace("app: api", "app: |api"));
    await hasProblem("prot");
    await completions();
    await assertAccessible(page, `a list in ${colorScheme}`, editor);
    await press("Escape");
    await page.locator(".cm-lintRange").last().hover();
    await page.locator(".cm-tooltip-lint").waitFor();
    await assertAccessible(page, `a problem in ${colorScheme}`, editor);
  });
}

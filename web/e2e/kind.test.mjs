// One walk through the lesson's lab in a browser, on a real cluster. BASE_URL
// is the address of a lab that makes kind sandboxes; the walk starts a sandbox
// and stops it again.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { assertAccessible, collectErrors, launch, screenshot, until } from "./browser.mjs";
import * as walk from "./walk.mjs";
import { denyAll, dns, verdictIn, webToApi } from "./walk.mjs";

const base = process.env.BASE_URL;
if (!base) throw new Error("BASE_URL is not set: give the address of a lab that makes kind sandboxes");
const lesson = new URL("/lessons/network-policies", base).href;

const misspelt = denyAll.replace("podSelector", "podselector");
const denyIngress = denyAll.replace("    - Egress\n", "");

let browser, context, page, errors;

before(async () => {
  browser = await launch();
  context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  errors = collectErrors(context);
  page = await context.newPage();
});

after(() => browser.close());

const text = (selector, on = page) => on.locator(selector).textContent();
const becomes = (want, on = page, timeout) => walk.becomes(want, on, timeout);
const apply = (yaml) => walk.apply(yaml, page);

const settled = (change, on = page) =>
  until(
    // Until it has settled, what was said of the change before still stands there.
    async () => (await on.locator("#lab").getAttribute("data-change")) === String(change) && (await text("[data-see='pending']", on)) === "" && /connections measured after/.test(await text("#settled", on)),
    `change ${change} has settled`,
    30_000,
  );

const button = (name, on = page) => on.getByRole("button", { name, exact: true });

/** Types the command into the terminal, and waits until the terminal answers so. */
async function inTerminal(command, answer) {
  await button("Terminal").click();
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type(`clear\n${command}\n`);
  await terminalSays(answer);
}

const terminalSays = (answer) =>
  until(async () => answer.test(await text(".xterm-rows")), `the terminal says ${answer}`, 60_000).catch(async (e) => {
    throw new Error(`${e.message}; it says: ${await text(".xterm-rows")}`);
  });

const run = promisify(execFile);
/** The lines that Docker answers. */
const docker = async (...args) => (await run("docker", args)).stdout.split("\n").filter(Boolean);

const backToPolicies = () => button("Policies").click();

/** What a connection of the lesson comes to where policies isolate production in one direction only. */
const withoutIngress = (flow) => (/>production\//.test(flow) && !flow.startsWith("monitoring/node-agent>") ? "blocked" : "open");
const withoutEgress = (flow) => (!flow.startsWith("production/") ? "open" : flow.endsWith("@name") ? "dns-failed" : "blocked");

/** The sentence of the history about what turned between the two, as it should be. */
async function turned(before, after) {
  const counts = new Map();
  for (const flow of await page.locator("#matrix [data-flow]").evaluateAll((all) => all.map((f) => f.dataset.flow))) {
    const turn = `from ${said[before(flow)]} to ${said[after(flow)]}`;
    if (before(flow) !== after(flow)) counts.set(turn, (counts.get(turn) ?? 0) + 1);
  }
  return [...counts].map(([turn, n]) => `${n} ${turn}`).sort();
}
const said = { open: "open", blocked: "blocked", "dns-failed": "DNS failed" };

/** The same out of the history's entry. */
const turnedIn = async (entry) => ((await entry.locator(".flips").textContent()).match(/\d+ from [^,.]+/g) ?? []).sort();

test("the_lab_on_a_real_cluster", async (t) => {
  let second;

  await t.test("start_leads_to_ready_by_named_steps", async () => {
    await page.goto(lesson);
    await screenshot(page, "1-before");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.locator("#steps li[data-status=running]").first().waitFor({ timeout: 30_000 });
    await screenshot(page, "2-starting");
    await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "ready", "ready", 120_000).catch(async (e) => {
      throw new Error(`${e.message}; the page says: ${await text("#status")}`);
    });
    const steps = await page.locator("#steps li").evaluateAll((items) => items.map((i) => i.dataset.status));
    assert.ok(steps.length > 1);
    assert.deepEqual(new Set(steps), new Set(["done"]));
    t.diagnostic(`steps: ${(await page.locator("#steps li").allTextContents()).join("; ")}`);
  });

  await t.test("without_policies_every_flow_is_open", async () => {
    await becomes(() => "open");
    await screenshot(page, "3-open");
  });

  let promised;
  await t.test("a_preview_says_what_Apply_would_do_and_sends_nothing", async () => {
    await walk.write(denyAll, page);
    await until(async () => /^Preview: \d+ flows would close\.$/.test((await text("#preview")) ?? ""), "the preview is there");
    promised = Number(/\d+/.exec(await text("#preview"))[0]);
    await becomes(() => "open");
  });

  await t.test("default_deny_isolates_production_in_both_directions", async () => {
    await apply(denyAll);
    await becomes((flow) => verdictIn(flow, {}));
    await settled(1);
    t.diagnostic(`deny: ${await text("#settled")}`);
    assert.match(await text("#settled"), /^\d+ connections changed: .*blocked/);
    assert.equal(Number(/^\d+/.exec(await text("#settled"))[0]), promised, "as many as the preview said");
    assert.deepEqual(await walk.files(page), ["production/default-deny-all: in-force"]);
    await screenshot(page, "4-denied");
  });

  await t.test("why_agrees_with_what_is_measured_and_names_the_line_that_decides", async () => {
    await page.locator('.flow[data-flow="production/web>production/api:8080/TCP"]').click();
    await until(async () => (await text(".why h2")) === "Why is it blocked?", "the panel asks the question");
    await page.locator(".why .way li").first().waitFor();
    assert.deepEqual(await page.locator(".why .voices dt").allTextContents(), ["predicted", "observed"]);
    assert.ok((await page.locator(".why .voices dd").allTextContents()).every((said) => said.endsWith("blocked")));
    assert.deepEqual(await page.locator(".why .place").allTextContents(), ["default-deny-all:7", "default-deny-all:7"]);
    assert.equal(await page.locator(".why-differs").count(), 0);
    await page.locator(".why .place").first().click();
    await until(async () => /podSelector/.test((await text(".cm-activeLine")) ?? ""), "the cursor is in that line");
    await page.locator(".why [data-focus='close']").click();
  });

  await t.test("a_second_tab_shows_the_same", async () => {
    second = await context.newPage();
    await second.goto(lesson);
    await becomes((flow) => verdictIn(flow, {}), second);
    await page.bringToFront(); // A tab in the background draws every other second.
  });

  await t.test("web_reaches_api_when_both_ends_allow_it_also_over_a_reload", async () => {
    await apply(webToApi);
    await until(async () => (await page.locator("#apply").getAttribute("aria-busy")) === null, "the lab has answered", 15_000);
    await page.reload();
    await becomes((flow) => verdictIn(flow, { webToApi: true }));
    await becomes((flow) => verdictIn(flow, { webToApi: true }), second);
    await settled(2, second);
    t.diagnostic(`allow: ${await text("#settled", second)}`);
    const inForce = ["production/default-deny-all: in-force", "production/web-may-call-api: in-force", "production/api-admits-web: in-force"];
    for (const tab of [page, second]) await until(async () => JSON.stringify((await walk.files(tab)).sort()) === JSON.stringify([...inForce].sort()), "the reload keeps the files");
  });

  await t.test("names_resolve_when_dns_is_allowed", async () => {
    await apply(dns);
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }));
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }), second);
    await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').click();
    assert.match(await page.locator('[data-flow="production/web>production/api:8080/TCP@name"]').getAttribute("title"), /^production\/web to production\/api 8080\/TCP by name: open, .* ms, answered by production\/api\b/);
    await screenshot(page, "5-allowed");
  });

  await t.test("a_misspelt_field_is_told_with_its_place_and_changes_nothing", async () => {
    await apply(misspelt);
    const link = page.locator("#problems a");
    await link.waitFor();
    assert.equal(await link.textContent(), "line 7, column 3");
    assert.match(await text("#problems"), /podselector/);
    assert.equal(await page.locator(".cm-lintRange-error").textContent(), "podselector");
    assert.equal(await page.locator("#policy").inputValue(), misspelt);
    await becomes((flow) => verdictIn(flow, { webToApi: true, dns: true }));
    await screenshot(page, "6-problem");
  });

  for (const [name, look] of [
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["a phone's size", { colorScheme: "light", size: { width: 390, height: 844 } }],
    ["a phone's size in the dark", { colorScheme: "dark", size: { width: 390, height: 844 } }],
  ]) {
    await t.test(`the page is accessible in ${name}`, async () => {
      await page.emulateMedia({ colorScheme: look.colorScheme });
      await page.setViewportSize(look.size ?? { width: 1440, height: 1000 });
      await screenshot(page, `7-${name.replaceAll(/\W+/g, "-")}`);
      await assertAccessible(page, name);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wider <= 0, `the page is ${wider} px wider than the window`);
    });
  }

  for (const id of ["close-production", "front-to-back", "metrics", "names"]) {
    await t.test(`the exercise ${id} is solved by what is measured`, async () => {
      await page.setViewportSize({ width: 1440, height: 1000 });
      await walk.doExercise(page, walk.lessons[0], id);
      assert.match(await page.locator(`[data-exercise="${id}"] .predict thead`).textContent(), /Measured/);
    });
  }

  await t.test("deleting_all_policies_opens_everything_again", async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await walk.put(page, "");
    await becomes(() => "open");
    await becomes(() => "open", second);
    assert.deepEqual(await walk.files(page), []);
  });

  await t.test("what_kubectl_does_in_the_terminal_is_seen_at_once_and_in_the_workspace", async () => {
    await button("Terminal").click();
    await terminalSays(/lab\$\s*$/);
    await inTerminal(`cat >deny.yaml <<'EOF'\n${denyAll}EOF\nkubectl apply -f deny.yaml`, /default-deny-all created/);
    await becomes((flow) => verdictIn(flow, {}));
    await becomes((flow) => verdictIn(flow, {}), second);
    await inTerminal("probe --from production/web production/api 8080", /blocked: production\/web to production\/api:8080\/TCP; no answer within 1s/);
    await inTerminal("kubectl get secrets -n production", /secrets is forbidden/);
    await screenshot(page, "8-terminal");
    await assertAccessible(page, "the terminal");
    assert.deepEqual(await walk.files(page), ["production/default-deny-all: in-force"]);
  });

  const patch = (spec) => `kubectl patch networkpolicy default-deny-all -n production --type=merge -p '{"spec":${JSON.stringify(spec)}}'`;
  const conflicts = async (told) => {
    await until(async () => /conflict/.test((await walk.files(page)).join()), "the workspace tells of the conflict");
    await backToPolicies();
    assert.match(await text("#conflict"), told);
  };

  await t.test("what_kubectl_changes_while_it_is_edited_is_a_conflict_and_neither_side_is_lost", async () => {
    await backToPolicies();
    await walk.write(denyIngress, page);
    await inTerminal(patch({ policyTypes: ["Egress"] }), /default-deny-all patched/);
    await becomes(withoutEgress);
    await becomes(withoutEgress, second);
    await conflicts(/^This policy was changed in the cluster itself, and it has edits of yours\./);
    assert.equal(await page.locator("#policy").inputValue(), denyIngress, "the edit stays");
    await page.getByText(/^See both/).click();
    const both = async () => (await page.locator("#conflict, dialog").allInnerTexts()).join();
    await until(async () => /- Egress/.test(await both()), "beside it stands what is in force");
    await screenshot(page, "9-conflict");
    await assertAccessible(page, "a conflict");
    await page.keyboard.press("Escape");

    await button("Apply").click();
    await until(async () => /^“default-deny-all” was changed in the cluster itself, and here\./.test(await text("#problems")), "Apply asks for a decision");
    await becomes(withoutEgress);

    await button("Take theirs").click();
    assert.deepEqual(await walk.files(page), ["production/default-deny-all: in-force"]);
    assert.match(await page.locator("#policy").inputValue(), /policyTypes:\n +- Egress\n$/);
    await page.locator("#undo").click();
    assert.equal(await page.locator("#policy").inputValue(), denyIngress, "the edit can be had again");

    await inTerminal(patch({ ingress: [{}], policyTypes: ["Ingress", "Egress"] }), /default-deny-all patched/);
    await conflicts(/^This policy was changed in the cluster itself/);
    await button("Keep mine").click();
    assert.deepEqual(await walk.files(page), ["production/default-deny-all: edited"]);
    await becomes(withoutEgress); // Ingress is isolated and let in, so that nothing has turned.
    await button("Apply").click();
    await becomes(withoutIngress);
    await becomes(withoutIngress, second);
    assert.deepEqual(await walk.files(page), ["production/default-deny-all: in-force"]);
  });

  await t.test("the_history_tells_what_was_measured_compares_two_points_and_leads_back", async () => {
    await button("History").click();
    const entry = (n) => page.locator(".timeline > li").nth(n);
    await until(async () => (await page.locator(".timeline").getAttribute("data-newest")) === (await page.locator("#lab").getAttribute("data-change")), "the newest change is told");
    await until(async () => /in force now/.test(await entry(0).textContent()) && (await turnedIn(entry(0))).length > 0, "the last change has settled", 30_000);
    // Applied; patched twice; made by kubectl.
    const origins = await page.locator(".timeline > li").evaluateAll((all) => all.slice(0, 4).map((e) => e.dataset.origin));
    assert.deepEqual(origins, ["apply", "cluster", "cluster", "cluster"]);
    assert.deepEqual(await turnedIn(entry(0)), await turned(withoutEgress, withoutIngress));
    assert.match(await text(".flips", entry(1)), /No connection turned|came before its effect was measured/);
    assert.deepEqual(await turnedIn(entry(2)), await turned((flow) => verdictIn(flow, {}), withoutEgress));
    assert.deepEqual(await turnedIn(entry(3)), await turned(() => "open", (flow) => verdictIn(flow, {})));
    await screenshot(page, "10-history");
    await assertAccessible(page, "the history", "#history");

    const change = (n) => entry(n).getAttribute("data-change");
    const [made, last] = [await change(3), await change(0)];
    await page.locator(`[data-compare="${made}"]`).check();
    await page.locator(`[data-compare="${last}"]`).check();
    const compared = page.locator("#history-compare");
    await until(async () => /default-deny-all changed/.test(await compared.textContent()), "the two points are compared");
    assert.match(await compared.textContent(), /- Egress/);
    assert.match(await compared.textContent(), /production\/web.*blocked → open/s);
    await screenshot(page, "11-compared");
    await page.locator("#compare-close").click();

    await page.locator(`[data-change="${made}"] form button`).click();
    await becomes((flow) => verdictIn(flow, {}));
    await becomes((flow) => verdictIn(flow, {}), second);
    await until(async () => (await entry(0).getAttribute("data-origin")) === "restore", "going back is told, too");
    await inTerminal("kubectl get networkpolicy -n production -o jsonpath='{.items[*].metadata.name}{.items[*].spec}'", /default-deny-all\{"podSelector":\{\},"policyTypes":\["Ingress","Egress"\]\}/);
    await inTerminal("kubectl delete networkpolicy --all -n production", /"default-deny-all" deleted/);
    await becomes(() => "open");
    await until(async () => (await walk.files(page)).length === 0, "the workspace has lost the file, too");
    await backToPolicies();
  });

  await t.test("wishes_become_policies_and_what_is_then_measured_is_exactly_the_wish", async () => {
    const spot = (name) => page.locator("#want").getByRole("button", { name: new RegExp(`^${name}: `) });
    const wished = (flow) => {
      const closed = />production\/db:/.test(flow) && !/^(production\/api|monitoring\/node-agent)>/.test(flow);
      return closed || flow.startsWith("development/shell>internet:") ? "blocked" : "open";
    };
    await button("What I want").click();
    await button("what I saw").click();
    await spot("Everything to db 5432").press("c"); // But for the node's own processes, which no policy can close.
    await spot("production/api to db 5432").press("o");
    await spot("development/shell to internet 443").press("c");
    const answer = page.locator('[data-want="answer"]');
    await until(async () => /would do it/.test(await answer.innerText()), "there are policies for it", 10_000);
    t.diagnostic(`wishes: ${(await answer.innerText()).split("\n").slice(0, 2).join(" ")}`);
    await screenshot(page, "12-wishes");
    await button("Put them into the workspace").click();
    await button("What is").click();
    await becomes(() => "open"); // Until Apply they are drafts.
    await button("Apply").click();
    await becomes(wished);
    await becomes(wished, second);
    await until(async () => (await walk.files(page)).every((f) => f.endsWith(": in-force")), "the drafts are in force");
  });

  await t.test("stop_removes_the_sandbox_for_both_tabs", async () => {
    await page.locator("#state-chip").click();
    await page.locator("#stop button").click();
    for (const tab of [page, second]) {
      await until(async () => (await tab.locator("#lab").getAttribute("data-state")) === "stopped", "stopped", 60_000);
      assert.equal(await tab.locator("#start").isVisible(), true);
    }
  });

  await t.test("a_lab_that_the_learner_fills_into_the_form_runs_on_a_cluster", async () => {
    await page.goto(new URL("/labs", base).href);
    const fill = (label, value) => page.getByRole("textbox", { name: label, exact: true }).fill(value);
    await fill("The lab's name", "My shop");
    await fill("Name of namespace 1", "shop");
    for (const [n, [name, ports, service]] of [["web", "8080", ""], ["db", "sql:5432, 53/UDP", "store"]].entries()) {
      await fill(`Namespace of pod ${n + 1}`, "shop");
      await fill(`Name of pod ${n + 1}`, name);
      await fill(`Labels of pod ${n + 1}`, `app=${name}`);
      await fill(`Ports of pod ${n + 1}`, ports);
      await fill(`Service of pod ${n + 1}`, service);
    }
    await fill("Name of host 1", "partner");
    await fill("Ports of host 1", "443");
    await button("Write the YAML").click();
    await button("Keep it and open it").click();
    await page.waitForURL(/workbench\?lab=own-/);
    await walk.start(page);
    await walk.becomes(() => "open", page, 15_000, 10);
    await walk.apply(denyAll.replace("production", "shop"), page);
    await walk.becomes((flow) => (!flow.startsWith("shop/") ? "open" : flow.endsWith("@name") ? "dns-failed" : "blocked"), page, 15_000, 10);
    await screenshot(page, "13-own-lab");
  });

  await t.test("a_cluster_that_dies_while_Apply_is_under_way_loses_nothing", async () => {
    const node = (await docker("ps", "--filter", `name=^${process.env.NODES}`, "--format", "{{.Names}}")).find((name) => name.endsWith("-control-plane"));
    // Its API server stands still, so that Apply has not ended when the node dies.
    await docker("exec", node, "pkill", "-STOP", "-f", "^(/usr/local/bin/)?kube-apiserver");
    const edited = denyIngress.replace("production", "shop");
    await walk.write(edited, page);
    await button("Apply").click();
    await page.locator("#apply[aria-busy]").waitFor();
    await docker("rm", "--force", "--volumes", node); // else it would be started again
    await until(async () => /^Your sandbox.s cluster did not answer as it should/.test(await text("#problems")), "Apply says that it failed", 60_000);
    t.diagnostic(`the node dies: ${await text("#problems")} ${await text("#status")}`);
    await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "failed", "the sandbox has failed", 60_000);
    assert.match(await text("#status"), /Press Reset/);
    await screenshot(page, "14-died");
    await button("Reset").click();
    await page.getByRole("dialog").getByRole("button", { name: "Reset" }).click();
    await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "ready", "a fresh cluster is ready", 120_000);
    // What was in force is in force again, and what was not yet is still a draft.
    await until(async () => (await walk.files(page)).join() === "shop/default-deny-all: edited", "the policy is in force, with a draft on top", 30_000);
    assert.equal(await page.locator("#policy").inputValue(), edited, "as it was edited");
    await walk.becomes((flow) => (!flow.startsWith("shop/") ? "open" : flow.endsWith("@name") ? "dns-failed" : "blocked"), page, 15_000, 10);
    await button("Apply").click();
    await walk.becomes((flow) => (/>shop\//.test(flow) ? "blocked" : "open"), page, 15_000, 10);
    await page.locator("#state-chip").click();
    await page.locator("#stop button").click();
    await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "stopped", "stopped", 60_000);
  });

  await t.test("the_browser_reported_nothing_else", () => {
    // The answer to the misspelt policy and that of the cluster that died are the only failed requests.
    const rest = errors.filter((e) => !/status of (422|50\d) .*\/policies\?[^/]*\)$/.test(e));
    assert.deepEqual(rest, []);
    assert.equal(errors.length, 2);
  });
});

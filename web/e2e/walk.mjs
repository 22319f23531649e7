// The lesson's policies, and what each flow must come to under them, for the walks
// through real labs.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { until } from "./browser.mjs";

const content = new URL("../../lessons/content/", import.meta.url);

/** The lessons in their order: their slugs, and the folders that they are in. */
export const lessons = readdirSync(content)
  .sort()
  .map((name) => {
    const folder = new URL(`${name}/`, content);
    return { folder, slug: /^slug: (.+)$/m.exec(readFileSync(new URL("lesson.md", folder), "utf8"))[1] };
  });

export const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes:
    - Ingress
    - Egress
`;

export const webToApi = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web-may-call-api
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes:
    - Egress
  egress:
    - to:
        - podSelector:
            matchLabels:
              app: api
      ports:
        - port: 8080
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-admits-web
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: api
  policyTypes:
    - Ingress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: web
      ports:
        - port: 8080
`;

export const dns = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: all-may-ask-dns
  namespace: production
spec:
  podSelector: {}
  policyTypes:
    - Egress
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
      ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
`;

// What each flow must come to while production denies everything but what is
// allowed here. The node's own processes always reach the pods on it.
export function verdictIn(flow, allowed) {
  const [, from, to, port, byName] = /^(.+)>(.+?):(\d+)\/[A-Z]+(@name)?$/.exec(flow);
  const inProduction = (end) => end.startsWith("production/");
  if (!inProduction(from)) return inProduction(to) && from !== "monitoring/node-agent" ? "blocked" : "open";
  if (to === "kube-system/kube-dns") return allowed.dns && port === "53" ? "open" : "blocked";
  if (byName && !allowed.dns) return "dns-failed";
  return allowed.webToApi && flow.startsWith("production/web>production/api:8080/") ? "open" : "blocked";
}

const verdicts = (page) =>
  page.locator("#matrix [data-flow]").evaluateAll((spans) => Object.fromEntries(spans.map((s) => [s.dataset.flow, s.dataset.verdict])));

/** Waits until every flow's verdict is what the function says; then none may be wrong. There are at least so many. */
export async function becomes(want, on, timeout = 15_000, least = 50) {
  const wanted = Object.fromEntries(Object.keys(await verdicts(on)).map((flow) => [flow, want(flow)]));
  assert.ok(Object.keys(wanted).length > least, "the matrix has the lab's flows");
  const right = async () => JSON.stringify(await verdicts(on)) === JSON.stringify(wanted);
  await until(right, "the matrix", timeout).catch(async () => assert.deepEqual(await verdicts(on), wanted));
}

/** Writes the YAML's policies into files of their names, or into new ones. */
export async function write(yaml, page) {
  for (const text of documents(yaml)) {
    const tab = page.locator(`#files [data-policy="${nameOf(text)}"]`);
    if ((await tab.count()) > 0) await tab.click();
    else if ((await page.locator("#policy").inputValue()).trim() !== "") await page.getByRole("button", { name: "New policy" }).click();
    await page.locator(".cm-content").focus();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText(text);
  }
}

/** Writes the YAML's policies and applies the workspace, by keyboard. */
export async function apply(yaml, page) {
  await write(yaml, page);
  await page.keyboard.press("ControlOrMeta+Enter");
}

// --- Exercises ---

/** The texts that are kept beside an exercise. */
export function answersOf(lesson, id) {
  const folder = new URL(`exercises/${id}/`, lesson.folder);
  const read = (name) => (existsSync(new URL(name, folder)) ? readFileSync(new URL(name, folder), "utf8") : "");
  const start = read("start.yaml");
  const wrong = readdirSync(folder).filter((name) => name.startsWith("wrong-")).map(read);
  // On the way to one that has less than the start there may be a solution.
  const keeps = (yaml) => named(start).every((name) => named(yaml).includes(name));
  return { start, solution: read("solution.yaml"), wrong: wrong.find(keeps) ?? wrong[0] };
}

/** The policies of a text, one by one. */
const documents = (yaml) => yaml.split(/^---\n/m).filter((d) => /^kind: NetworkPolicy$/m.test(d));

const nameOf = (text) => `${/^ {2}namespace: (.+)$/m.exec(text)[1]}/${/^ {2}name: (.+)$/m.exec(text)[1]}`;

/** The policies that a text has, "namespace/name", in their order on the page. */
export const named = (yaml) => documents(yaml).map(nameOf).sort();

/** The files of the workspace that are policies, with their states. */
export const files = (page) => page.locator("#files [data-policy]").evaluateAll((tabs) => tabs.map((t) => `${t.dataset.policy}: ${t.dataset.state}`));

/** Waits until those are all the files, and in force. */
async function comeIntoForce(page, names) {
  const want = names.map((name) => `${name}: in-force`).sort();
  await until(async () => JSON.stringify((await files(page)).sort()) === JSON.stringify(want), "the policies are in force", 30_000).catch(async (e) => {
    throw new Error(`${e.message}: want ${want}, have ${await files(page)}; the page says: ${await page.locator("#problems").textContent()}`);
  });
}

/** Marks the policy as one that the next Apply deletes. */
export async function remove(name, page) {
  await page.locator(`#files [data-policy="${name}"]`).click();
  await page.locator("#file-actions").getByRole("button", { name: /^Delete/ }).click();
}

/** Makes these the policies in force, by the buttons and the editor. */
export async function put(page, yaml) {
  const names = named(yaml);
  const there = await page.locator("#files [data-policy]").evaluateAll((tabs) => tabs.map((t) => t.dataset.policy));
  for (const name of there) if (!names.includes(name)) await remove(name, page);
  await write(yaml, page);
  await page.getByRole("button", { name: "Apply", exact: true }).click();
  await comeIntoForce(page, names);
}

/** Predicts, and finds the prediction locked beside what comes of it. */
async function predict(page, id) {
  const box = page.locator(`[data-exercise="${id}"]`);
  const answers = page.locator(`[data-answer="${id}"]`);
  const opened = () => answers.evaluateAll((all) => all.every((a) => a.open));
  const rows = box.locator(".predict tbody tr:not(.why)");
  const flows = await rows.count();
  assert.ok((await answers.count()) === 0 || !(await opened()), "the answer is closed");
  const chosen = (i) => (i % 2 ? "open" : "blocked");
  for (let i = 0; i < flows; i++) await rows.nth(i).getByRole("radio", { name: chosen(i) }).check();
  await box.getByRole("button", { name: "Keep my prediction" }).click();
  await box.locator(".predict[data-kept]").waitFor();
  assert.match(await box.locator(".predict caption").textContent(), /Your prediction is kept\./);
  assert.equal(await box.getByRole("radio").count(), 0, "it is locked");
  assert.equal(await rows.count(), flows);
  for (let i = 0; i < flows; i++) {
    assert.match(await rows.nth(i).locator("td").first().textContent(), new RegExp(chosen(i)));
    assert.ok((await box.locator(".predict tr.why").nth(i).textContent()).length > 10, "why is said");
  }
  await until(opened, "the answer opens");
}

/** Follows the first feedback that is about a place in a policy to that line in the editor. */
async function leadsToItsLine(page, box) {
  const show = box.locator("[data-show-policy]").first();
  if ((await show.count()) === 0) return; // What is missing has no place.
  const { showPolicy, line } = await show.evaluate((b) => ({ ...b.dataset }));
  await show.click();
  assert.equal(await page.locator("#files [aria-selected=true]").getAttribute("data-policy"), showPolicy, "its file is open");
  const yaml = await page.locator("#policy").inputValue();
  const at = () =>
    page.locator(".cm-activeLine").evaluate((shown) => {
      const text = shown.cloneNode(true);
      for (const note of text.querySelectorAll(".cm-selects")) note.remove(); // The editor's note behind it is not the text.
      return text.textContent;
    });
  const want = yaml.split("\n")[line - 1];
  await until(async () => (await at()) === want, `the editor is at line ${line} of ${showPolicy}`).catch(async (e) => {
    throw new Error(`${e.message}: want "${want}", have "${await at()}"`);
  });
}

/**
 * Does an exercise as a learner may: predicts, begins, goes wrong, asks for a hint and
 * finds a solution. The lesson is one of lessons, and open in the page, with a sandbox.
 */
export async function doExercise(page, lesson, id) {
  const box = page.locator(`[data-exercise="${id}"]`);
  const { start, solution, wrong } = answersOf(lesson, id);
  const final = (await box.getAttribute("data-look")) === null;
  const press = (name) => box.getByRole("button", { name, exact: true }).click();
  const says = (pattern) =>
    until(async () => pattern.test(await box.locator("[data-result]").textContent()), `${id} says ${pattern}`, 30_000).catch(async (e) => {
      throw new Error(`${e.message}; it says: ${await box.locator("[data-result]").textContent()}`);
    });
  assert.equal(await box.locator(".badge").count(), 0, `${id} is new to the learner`);

  await predict(page, id);

  await press("Set up the start");
  await says(/The start is set up/); // Only then has the editor its text, and keeps what is written into it.
  await comeIntoForce(page, named(start));
  await put(page, wrong);
  // The page looks by itself.
  if (!final) await says(/By now \d+ of \d+ connections are as they should be/);
  await press("Check");
  await says(final ? /Your score: \d\d? of 100\. Not (yet|passed): / : /Not (yet|passed): /);
  assert.ok((await box.locator(".feedback").first().textContent()).length > 10, "what is wrong is told");
  await leadsToItsLine(page, box);
  await press("Hint 1 of 3");
  await until(async () => (await box.locator(".hints li").count()) === 1, "the hint is shown");

  await put(page, solution);
  if (final) await press("Check");
  await says(final ? /Your score: 100 of 100\. Passed: / : /Passed: /);
  await says(/that is least privilege/);
  assert.equal(await box.locator(".badge").textContent(), "passed");
}

/** Starts a sandbox for the lesson that is open in the page, unless there is one. */
export async function start(page, timeout = 120_000) {
  const state = () => page.locator("#lab").getAttribute("data-state");
  if ((await state()) === "ready") return; // It goes on from a lesson of the same lab.
  const asks = await page.locator("#other").isVisible();
  await page.getByRole("button", { name: "Start", exact: true }).click();
  if (asks) await page.getByRole("button", { name: "Stop it and start here" }).click();
  await until(async () => (await state()) === "ready", "ready", timeout).catch(async (e) => {
    throw new Error(`${e.message}; the page says: ${await page.locator("#status").textContent()}`);
  });
}

/** Fails where the files that are to stay are not the policies of the text. */
async function hasTexts(page, yaml, what) {
  for (const text of documents(yaml)) {
    await page.locator(`#files [data-policy="${nameOf(text)}"]`).click();
    assert.equal((await page.locator("#policy").inputValue()).trim(), text.trim(), what);
  }
  const stay = page.locator("#files [data-policy]:not([data-state=removed])");
  assert.equal(await stay.count(), named(yaml).length, what);
}

/**
 * Does an exercise with the solution that the page shows, by the page's own buttons
 * alone. The lesson is one of lessons, and open in the page, with a sandbox.
 */
export async function followSolution(page, lesson, id) {
  const box = page.locator(`[data-exercise="${id}"]`);
  const said = () => box.locator("[data-result]").textContent();
  const press = (name) => box.getByRole("button", { name, exact: true }).click();
  const becomes = (condition, what) =>
    until(condition, `${id}: ${what}`, 30_000).catch(async (e) => {
      throw new Error(`${e.message}; in force: ${await files(page)}; the page says: ${await said()} ${await page.locator("#problems").textContent()}`);
    });
  const { start, solution } = answersOf(lesson, id);
  await press("Set up the start");
  await becomes(async () => /The start is set up/.test(await said()), "the start is set up");
  await comeIntoForce(page, named(start));
  await hasTexts(page, start, `${id}: the workspace has the start`);

  for (const hint of ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Show a solution"]) await press(hint);
  await box.locator(".solution > .snippet").last().getByRole("button", { name: "Put into the workspace" }).click();
  await hasTexts(page, solution, `${id}: the workspace has the solution`);
  const deleted = await box.locator(".solution [data-deletes]").allTextContents();
  const plan = await page.locator("#plan").textContent();
  for (const name of deleted) assert.match(plan.slice(plan.indexOf("deletes")), new RegExp(`\\b${name}\\b`), `${id}: what Apply deletes is named`);
  await page.getByRole("button", { name: "Apply", exact: true }).click();
  await comeIntoForce(page, named(solution));
  await press("Check");
  await becomes(async () => /Passed: /.test(await said()), "passed");
  await becomes(async () => (await box.locator(".badge").textContent()) === doneWithSolution, "what became of it is shown");
}

/** How the page calls an exercise that was passed after its solution was shown. */
export const doneWithSolution = "done with the solution";

/** What the browser reports when it is asked whether another lab's sandbox may be stopped. */
export const askedFirst = /status of 409 .*\/sandboxes\)$/;

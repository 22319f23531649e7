// How long a preview takes in the page: from the last key to the preview being shown, and
// what a key costs the page's main thread; on the lesson's topology, and on one of 500
// flows with 50 policies. Beside each stands the same without a preview: typing into a
// page whose questions are answered by nobody.
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "./browser.mjs";
import { serve } from "./server.mjs";

const keys = Number(process.env.KEYS ?? 120);

/** A lesson whose topology has 500 flows and more. */
async function bigLesson() {
  const dir = await mkdtemp(join(tmpdir(), "netpol-lab-latency-"));
  await mkdir(join(dir, "90-big"));
  let topology = "name: big\nnamespaces:\n";
  for (let n = 0; n < 4; n++) {
    topology += `- name: n${n}\n  labels: {env: e${n}}\n  pods:\n`;
    for (let p = 0; p < 4; p++) topology += `  - name: p${p}\n    labels: {app: p${p}}\n    ports: [{name: http, port: 8080}]\n`;
    topology += "  services:\n";
    for (let p = 0; p < 4; p++) topology += `  - {name: p${p}, pod: p${p}, ports: [{port: 80, targetPort: 8080}]}\n`;
  }
  await writeFile(join(dir, "90-big", "topology.yaml"), topology);
  await writeFile(join(dir, "90-big", "lesson.md"), "---\ntitle: Big\nslug: big\nsummary: Many connections.\nminutes: 5\n---\n\n## Many\n\nMany connections.\n");
  return dir;
}

function policy(name, namespace, app) {
  return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ${name}
  namespace: ${namespace}
spec:
  podSelector:
    matchLabels:
      app: ${app}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {}
    ports:
    - port: 8080
  egress:
  - to:
    - namespaceSelector: {}
`;
}

const at = (all, share) => [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(share * all.length))];
const figures = (all) => (all.length === 0 ? "none" : `p50 ${at(all, 0.5).toFixed(1)} ms, p95 ${at(all, 0.95).toFixed(1)} ms, longest ${at(all, 1).toFixed(1)} ms`);

async function measure(browser, url, drafts, name, most) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.goto(url);
  await page.locator(".cm-content").waitFor();
  await page.locator("#start button").click();
  await page.locator('#lab[data-state="ready"]').waitFor();
  await page.locator("#matrix .flow[data-verdict='open']").first().waitFor({ state: "attached" });
  await page.locator(".cm-content").focus();
  for (const [i, draft] of drafts.entries()) {
    await page.keyboard.insertText(draft);
    await page.keyboard.press("Escape");
    if (i < drafts.length - 1) await page.locator("#new-file").click();
  }
  await page.waitForFunction(() => /^Preview/.test(document.getElementById("preview")?.textContent ?? ""));
  // The page notes when a key comes, when the store has the answer about that very text
  // drawn, and how long the key's own task takes.
  await page.evaluate(() => {
    window.previews = [];
    window.tasks = [];
    let pressed;
    document.addEventListener("keydown", () => (pressed = performance.now()), { capture: true });
    new PerformanceObserver((list) => {
      for (const e of list.getEntries()) if (e.name === "keydown" || e.name === "keypress" || e.name === "beforeinput" || e.name === "input") window.tasks.push(e.processingEnd - e.processingStart);
    }).observe({ type: "event", durationThreshold: 0, buffered: false });
    new MutationObserver(() => {
      if (pressed === undefined) return;
      const since = pressed;
      pressed = undefined;
      requestAnimationFrame(() => window.previews.push(performance.now() - since));
    }).observe(document.getElementById("preview"), { childList: true, characterData: true, subtree: true, attributes: true });
  });
  const type = async () => {
    // The port is written anew, so that each second key changes what would be open.
    await page.evaluate(() => (window.previews = []));
    await page.keyboard.press("ControlOrMeta+End");
    for (let n = 0; n < keys; n++) {
      await page.keyboard.press(n % 2 ? "Backspace" : "x");
      await page.waitForTimeout(120);
    }
    return page.evaluate(() => window.previews);
  };
  const shown = await type();
  const tasks = await page.evaluate(() => window.tasks.filter((t) => t > 0));
  console.log(`${name}: a preview is shown after a key: ${figures(shown)} (${shown.length} of ${keys}); a key's own work: ${figures(tasks)}`);
  // Without previews: the same keys, and nobody answers.
  await page.route("**/analysis", () => {});
  await page.evaluate(() => (window.tasks = []));
  await type();
  const without = await page.evaluate(() => window.tasks.filter((t) => t > 0));
  console.log(`${name}, baseline without a preview: a key's own work: ${figures(without)}`);
  await context.close();
  if (at(shown, 0.95) > most) {
    console.log(`MISSED: ${name}: a preview took ${at(shown, 0.95).toFixed(1)} ms at p95, ${most} ms is the goal`);
  }
}

const lessons = await bigLesson();
const server = await serve("simulated", ["--lessons", lessons]);
const browser = await launch();
try {
  await measure(browser, server.at("/workbench?lab=network-policies"), [policy("a", "production", "web"), policy("b", "production", "api")], "lesson", 100);
  const many = Array.from({ length: 50 }, (_, n) => policy(`policy-${n}`, `n${n % 4}`, `p${Math.floor(n / 4) % 4}`));
  await measure(browser, server.at("/workbench?lab=big"), [many.join("---\n")], "50 policies, 500 flows", 250);
} finally {
  await browser.close();
  await server.stop();
  await rm(lessons, { recursive: true });
}

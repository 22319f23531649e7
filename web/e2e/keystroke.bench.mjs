// What a key costs the page's main thread: in the editor with 300 lines of policies, a
// ready sandbox, and everything that follows from a key: completion, the preview's
// answer, the marks in the matrix. Beside it, the same keys in a CodeMirror that does nothing
// else, which is the least that the editor can cost, and in a bare text area.
import { build } from "../frontend/node_modules/esbuild/lib/main.js";
import { collectErrors, launch, until } from "./browser.mjs";
import { serve } from "./server.mjs";

const goal = 16; // ms at p95
const keys = 100;

const server = await serve();
const browser = await launch();
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  const errors = collectErrors(context);
  const page = await context.newPage();
  await page.goto(server.at("/workbench"));
  await page.locator(".cm-content").waitFor();
  await page.getByRole("button", { name: "Start", exact: true }).first().click();
  await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "ready", "the sandbox is ready", 30_000);
  const text = policies(300);
  await page.locator(".cm-content").focus();
  // Into an empty file it would come as many.
  await page.keyboard.type("#");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(text);
  const inEditor = await measure(page, async () => {
    // A comment of the first policy, so that what is typed stays valid; then a label, which does not.
    await page.keyboard.press("ControlOrMeta+Home");
    await page.keyboard.press("End");
  });
  const bare = await context.newPage();
  await bare.setContent(`<textarea rows="20" cols="80"></textarea>`);
  await bare.locator("textarea").fill(text);
  const inTextarea = await measure(bare, () => bare.locator("textarea").focus());
  const codeMirror = await context.newPage();
  await codeMirror.setContent("<body></body>");
  const { outputFiles } = await build({
    stdin: {
      contents: `import { EditorView, lineNumbers, drawSelection, keymap } from "@codemirror/view";
        import { defaultKeymap, history } from "@codemirror/commands";
        import { yaml } from "@codemirror/lang-yaml";
        import { defaultHighlightStyle, syntaxHighlighting } from "@codemirror/language";
        const look = EditorView.theme({ "&": { height: "360px" }, ".cm-scroller": { overflow: "auto" } });
        globalThis.view = new EditorView({ parent: document.body, doc: globalThis.text, extensions: [lineNumbers(), history(), drawSelection(), yaml(), syntaxHighlighting(defaultHighlightStyle), EditorView.lineWrapping, keymap.of(defaultKeymap), look] });`,
      resolveDir: new URL("../frontend/src", import.meta.url).pathname,
    },
    bundle: true, format: "iife", write: false, minify: true,
  });
  await codeMirror.evaluate((text) => void (globalThis.text = text), text);
  await codeMirror.evaluate(`${outputFiles[0].text}; undefined`);
  const inCodeMirror = await measure(codeMirror, async () => {
    await codeMirror.evaluate(() => globalThis.view.focus());
    await codeMirror.keyboard.press("ControlOrMeta+Home");
    await codeMirror.keyboard.press("End");
  });
  report("the editor", inEditor);
  report("a CodeMirror that does nothing else", inCodeMirror);
  report("a text area", inTextarea);
  if (errors.length > 0) throw new Error(errors.join("\n"));
  if (at(inEditor, 0.95) > goal) console.log(`MISSED: ${at(inEditor, 0.95).toFixed(1)} ms at p95, ${goal} ms is the goal`);
} finally {
  await browser.close();
  await server.stop();
}

/** What each key cost, in milliseconds of the main thread's own time, without what the page does when nobody types. */
async function measure(page, begin) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => (await cdp.send("Performance.getMetrics")).metrics.find((m) => m.name === "TaskDuration").value * 1000;
  await begin();
  const settle = () => page.evaluate(() => new Promise((done) => setTimeout(() => requestIdleCallback(done, { timeout: 1000 }), 120)));
  const span = async (act) => {
    const before = await busy();
    await act();
    await settle();
    return (await busy()) - before;
  };
  await settle();
  const idle = [];
  for (let n = 0; n < 20; n++) idle.push(await span(async () => {}));
  const rest = at(idle, 0.5);
  const words = " what it lets in and for whom it does ";
  const costs = [];
  for (let n = 0; n < keys; n++) costs.push(Math.max(0, (await span(() => page.keyboard.type(words[n % words.length]))) - rest));
  return costs;
}

function at(costs, share) {
  const sorted = [...costs].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

function report(where, costs) {
  console.log(`a key in ${where}: p50 ${at(costs, 0.5).toFixed(1)} ms, p95 ${at(costs, 0.95).toFixed(1)} ms, most ${at(costs, 1).toFixed(1)} ms of the main thread (${costs.length} keys)`);
}

/** So many lines of policies. */
function policies(lines) {
  const all = [];
  for (let n = 0; all.length < lines; n++) {
    const namespace = ["production", "development", "monitoring"][n % 3];
    all.push(
      "# the policy of a team", "apiVersion: networking.k8s.io/v1", "kind: NetworkPolicy", "metadata:", `  name: policy-${n}`, `  namespace: ${namespace}`, "spec:", "  podSelector:", "    matchLabels:",
      `      app: ${["web", "shell", "prometheus"][n % 3]}`, "  policyTypes: [Ingress, Egress]", "  ingress:", "    - from:", "        - podSelector: {}", "      ports:", "        - {protocol: TCP, port: 8080}", "---",
    );
  }
  return all.slice(0, lines - (lines % 17)).join("\n") + "\n";
}

// The matrix and the picture of a lab on the simulator, with the mouse and with the
// keyboard alone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { build } from "../frontend/node_modules/esbuild/lib/main.js";
import { assertAccessible, collectErrors, until } from "./browser.mjs";
import { onTheServer } from "./server.mjs";
import { denyAll, dns, webToApi } from "./walk.mjs";

const { server, browser } = onTheServer(begin);
let context, page, errors, sandbox;

const api = "production/web>production/api:8080/TCP";
const byName = `${api}@name`;
const flow = (id, on = page) => on.locator(`[data-see="matrix"] [data-flow="${id}"]`);
const see = (part, on = page) => on.locator(`#see [data-see="${part}"]`);

async function begin() {
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  errors = collectErrors(context);
  page = await context.newPage();
  await page.goto(server.at("/lessons/network-policies"));
  sandbox = await page.evaluate(async () => {
    const answer = await fetch("/sandboxes", { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify({ lab: "network-policies" }) });
    return (await answer.json()).id;
  });
  await open();
}

/** Opens the page anew, as a learner who has set nothing, and waits until all is known. */
async function open(path = "/lessons/network-policies", on = page) {
  await on.goto(server.at(path));
  await on.evaluate(() => localStorage.clear());
  await reload(on);
}

async function reload(on = page) {
  await on.reload();
  await known(on);
}

const known = (on = page) => on.waitForFunction(() => document.querySelector("#lab").dataset.state === "ready" && document.querySelector('[data-flow][role="button"]') && !document.querySelector('#see [data-flow][data-verdict="none"]'));

/** Makes these all the policies in force, and waits until the page shows it. */
async function inForce(yaml, on = page) {
  const before = await on.locator("#lab").getAttribute("data-change");
  const status = await on.evaluate(
    async ([id, yaml]) => (await fetch(`/sandboxes/${id}/policies?prune=true`, { method: "PUT", headers: { "Content-Type": "application/yaml", Accept: "application/json" }, body: yaml })).status,
    [sandbox, yaml],
  );
  assert.equal(status, 200);
  await until(async () => (await on.locator("#lab").getAttribute("data-change")) !== before && (await see("pending", on).textContent()) === "", "the change has settled");
}

const focused = (on = page) => on.evaluate(() => document.activeElement.dataset.flow ?? document.activeElement.dataset.fold ?? document.activeElement.className);
const standing = (on = page) => on.locator("#matrix :is(tr, thead th).in").evaluateAll((all) => all.map((e) => (e.querySelector("th") ?? e).textContent.replace(/\s+/g, " ").trim()));

test("a_click_chooses_a_flow_and_its_row_and_column_stand_out_until_escape", async () => {
  await flow(api).click();
  assert.equal(await flow(api).getAttribute("aria-pressed"), "true");
  assert.deepEqual(await standing(), ["api 8080", "productionproduction/web"]);
  assert.equal(await page.locator("#matrix col.in").count(), 1);
  await flow("development/shell>internet:443/TCP").click();
  assert.equal(await page.locator('#matrix [aria-pressed="true"]').count(), 1);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#matrix .chosen, #matrix .in").count(), 0);
});

test("the_matrix_is_one_stop_of_the_Tab_key_and_arrow_keys_lead_everywhere", async () => {
  assert.equal(await page.locator('#matrix [tabindex="0"]').count(), 1);
  await flow(api).focus();
  const lead = async (keys) => {
    for (const [key, want] of keys) {
      await page.keyboard.press(key);
      assert.equal(await focused(), want, key);
    }
  };
  await lead([
    ["ArrowRight", byName], ["ArrowRight", "production/web>production/api:9090/TCP"], ["ArrowDown", "production/db>production/api:9090/TCP"], ["Home", "production/db>production/web:8080/TCP"],
    ["End", "production/db>kube-system/kube-dns:9153/TCP"], ["Control+Home", "to production"], ["ArrowRight", "to development"], ["Control+End", "monitoring/node-agent>kube-system/kube-dns:9153/TCP"],
  ]);
  assert.equal(await page.locator('#matrix [tabindex="0"]').count(), 1);
  await flow(api).focus();
  await page.keyboard.press("Enter");
  assert.equal(await flow(api).getAttribute("aria-pressed"), "true");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.querySelector("#matrix").contains(document.activeElement)), false, "Tab leaves the matrix");
});

test("a_cell_whose_two_flows_are_alike_is_drawn_as_one_and_is_two_at_the_pointer", async () => {
  const shown = () => flow(byName).evaluate(({ parentElement: cell }) => [...cell.querySelectorAll(".symbol")].filter((s) => getComputedStyle(s).opacity !== "0").length);
  await page.mouse.move(1, 1);
  assert.equal(await shown(), 1);
  await flow(api).hover();
  assert.equal(await shown(), 2);
  await page.mouse.move(1, 1);
  await inForce(denyAll);
  assert.equal(await flow(byName).getAttribute("data-verdict"), "dns-failed");
  assert.equal(await shown(), 2, "they differ");
});

test("what_the_last_change_turned_has_a_ring_until_the_next_and_a_sentence_says_it_once", async () => {
  await inForce(`${denyAll}---\n${dns}`);
  const ringed = () => page.locator("#matrix .ring").evaluateAll((all) => all.map((e) => e.dataset.flow).sort());
  const asked = (await ringed()).filter((id) => /kube-dns:53/.test(id));
  assert.equal(asked.length, 6, "the pods of production may ask DNS, by UDP and by TCP");
  assert.equal(await page.locator("#settled").getAttribute("role"), "status");
  await page.evaluate(() => {
    globalThis.said = [];
    new MutationObserver(() => globalThis.said.push(document.querySelector("#settled").textContent)).observe(document.querySelector("#settled"), { childList: true, characterData: true, subtree: true });
  });
  await inForce(denyAll);
  assert.deepEqual(await page.evaluate(() => globalThis.said.filter(Boolean).length), 1, "one sentence for one change");
  assert.match(await flow("production/web>kube-system/kube-dns:53/UDP").getAttribute("aria-label"), /^question: blocked, (would be open, )?changed last$/);
  await flow("production/web>kube-system/kube-dns:53/UDP").hover();
  assert.match(await flow("production/web>kube-system/kube-dns:53/UDP").getAttribute("title"), /It changed \d+ s ago, it was open/);
});

test("namespaces_fold_as_rows_and_as_columns_and_a_folded_one_sums_up", async () => {
  await inForce(`${denyAll}---\n${webToApi}`);
  await page.locator('[data-fold="from production"]').click();
  assert.equal(await focused(), "from production", "the keyboard stays where it was");
  await page.keyboard.press("Control+Home");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator('[data-fold="to production"]').getAttribute("aria-expanded"), "false");
  const sum = page.locator("#matrix tbody tr:first-child .sum").first();
  assert.deepEqual([await sum.textContent(), await sum.getAttribute("aria-label")], ["1/14", "1 of 14 open"]);
  assert.equal(await page.locator("#matrix tbody tr").count(), 6);
  await reload();
  assert.equal(await page.locator("#matrix tbody tr").count(), 6, "folded is remembered");
  await page.locator("#matrix tbody tr:first-child .sum").first().click();
  assert.equal(await page.locator("#matrix tbody tr").count(), 8, "what sums up unfolds");
  assert.equal(await page.locator("#matrix .sum").count(), 0);
});

test("rows_and_columns_can_be_swapped_and_stay_so", async () => {
  const corner = () => page.locator("#matrix tbody tr:first-child [data-flow]").first().getAttribute("data-flow");
  assert.equal(await corner(), "production/web>production/api:8080/TCP");
  await see("turn").press("Enter");
  assert.equal(await corner(), "production/api>production/web:8080/TCP");
  assert.deepEqual([await page.locator("#matrix tbody tr").count(), await page.locator("#matrix thead tr:last-child th").count()], [17, 8]);
  await reload();
  assert.equal(await see("turn").getAttribute("aria-pressed"), "true");
  assert.equal(await corner(), "production/api>production/web:8080/TCP");
  await see("turn").click();
});

test("flows_are_found_by_text_by_verdict_and_by_when_they_changed", async () => {
  await see("filter").press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.see), "text");
  await page.keyboard.type("web > api 8080");
  await until(async () => /^2 of 161 connections$/.test(await see("found").textContent()), "two are found");
  assert.deepEqual(await page.locator("#matrix tbody [data-flow]").evaluateAll((all) => all.map((e) => e.dataset.flow)), [api, byName]);
  await page.keyboard.press("Enter");
  assert.equal(await focused(), api, "Enter leads to what was found");
  await see("clear").click();
  await see("verdict").selectOption("open");
  const open = await page.locator('#see [data-flow][data-verdict="open"]').count();
  assert.equal(await see("found").textContent(), `${open} of 161 connections`);
  assert.equal(await page.locator('#matrix [data-flow][data-verdict="open"].faded').count(), 0);
  assert.notEqual(await page.locator('#matrix [data-flow].faded').count(), 0, "what is not looked for recedes");
  await see("clear").click();
  await inForce(denyAll);
  await see("since").selectOption("apply");
  // By name it was and is DNS failed.
  await until(async () => (await see("found").textContent()) === "1 of 161 connections", "what the last change turned");
  await see("text").fill("nowhere");
  assert.equal(await see("found").textContent(), "No connection is like this");
  await see("filter").click();
  assert.equal(await page.locator("#matrix tbody tr").count(), 8, "without filters everything is there");
});

test("a_draft_marks_what_it_would_change_and_only_that_can_be_shown", async () => {
  await inForce(denyAll);
  await page.locator("#new-file").click();
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(webToApi);
  await until(async () => (await flow(api).getAttribute("data-would")) === "open", "the corner", 15_000);
  assert.match(await flow(api).getAttribute("aria-label"), /^by IP: blocked, would be open/);
  assert.equal(await flow(byName).getAttribute("data-would"), null);
  await see("filter").click();
  await see("since").selectOption("draft");
  assert.equal(await see("found").textContent(), "1 of 161 connections");
  await see("filter").click();
});

test("beside_an_open_lesson_every_column_is_seen_and_the_heads_stay_where_it_scrolls", async () => {
  const cut = () => see("matrix").evaluate((e) => e.scrollWidth - e.clientWidth);
  for (const width of [1280, 1440, 1920]) {
    await page.setViewportSize({ width, height: 900 });
    await until(async () => (await cut()) <= 0, `${width} px: all 17 columns are seen; ${await cut()} px are not`);
  }
  await page.setViewportSize({ width: 1280, height: 560 });
  await see("matrix").evaluate((e) => e.scrollTo(0, 80));
  const { top, head } = await see("matrix").evaluate((e) => ({ top: e.getBoundingClientRect().top, head: e.querySelector("thead").getBoundingClientRect().top }));
  assert.ok(Math.abs(top - head) < 1.5, `the head is ${head - top} px from the pane's top`);
  await page.setViewportSize({ width: 1280, height: 900 });
});

test("the_picture_shows_the_same_with_shields_on_what_is_isolated_and_is_remembered", async () => {
  await inForce(`${denyAll}---\n${webToApi}`);
  await page.locator('[data-view="picture"]').click();
  await page.locator(".lab-picture").waitFor();
  await until(async () => (await page.locator(".pic-shield.up").count()) === 6, "the three pods of production have two shields each");
  assert.equal(await page.locator('.pic-end[data-end="production/api"]').getAttribute("aria-label"), "production/api, isolated for ingress and egress");
  const state = (from, to) => page.locator(`.pic-pair[data-from="${from}"][data-to="${to}"]`).getAttribute("data-state");
  assert.equal(await state("production/web", "production/api"), "some");
  assert.equal(await state("production/web", "production/db"), "closed");
  assert.equal(await state("development/shell", "internet"), "open");
  await reload();
  await page.locator(".lab-picture").waitFor();
  assert.equal(await see("matrix").isVisible(), false);
  await inForce(denyAll);
  await until(async () => (await state("production/web", "production/api")) === "closed", "the line follows");
});

test("in_the_picture_hover_focus_and_choice_show_a_pod_and_its_flows_in_words", async () => {
  const words = () => page.locator(".pic-words").textContent();
  const pod = (id) => page.locator(`.pic-end[data-end="${id}"]`);
  await pod("production/db").hover();
  assert.match(await words(), /^production\/dbOpens: 0 of 20 open.*Isolated for egress by production\/default-deny-all.*Is reached by: 2 of \d+ open/s);
  assert.ok((await page.locator(".pic-pair.out").count()) > 10);
  await page.mouse.move(1, 1);
  assert.match(await words(), /^\d+ of 161 open/);
  await pod("production/web").focus();
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.end), "production/api");
  await page.keyboard.press("ArrowRight");
  assert.match(await page.evaluate(() => document.activeElement.ariaLabel), /^production\/api: Isolated for (ingress|egress) by production\/default-deny-all$/, "its shields are on the way");
  await page.keyboard.press("ArrowRight");
  assert.match(await page.evaluate(() => document.activeElement.dataset.end), /^monitoring\//);
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.match(await words(), /^production\/web/, "what was pressed stays");
  await page.locator(`.pic-words [data-flow="${api}"]`).press("Enter");
  await until(async () => (await page.locator(".pic-pair.chosen").count()) === 1, "the line of the chosen flow");
  assert.equal(await page.locator(`.pic-words [data-flow="${api}"]`).getAttribute("aria-pressed"), "true");
  await page.locator('[data-view="matrix"]').click();
  assert.equal(await flow(api).getAttribute("aria-pressed"), "true", "matrix and picture have one choice");
  await page.locator('[data-view="picture"]').click();
});

test("the_picture_is_saved_as_SVG_and_as_PNG_that_need_nothing_else", async () => {
  const save = async (name) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  };
  const svg = await save("Save as SVG");
  assert.equal(svg.name, "network-policies.svg");
  const text = svg.bytes.toString();
  assert.doesNotMatch(text, /class=|style=|var\(|data-|tabindex|<script|href/);
  const alone = await (await browser.newContext()).newPage();
  await alone.setContent(text);
  assert.equal(await alone.locator("svg text", { hasText: "prometheus" }).first().isVisible(), true);
  assert.equal(await alone.locator("svg").evaluate((e) => getComputedStyle(e.querySelector("rect + rect, g rect")).fill !== "rgb(0, 0, 0)"), true, "its colours are in it");
  const png = await save("Save as PNG");
  assert.equal(png.name, "network-policies.png");
  assert.deepEqual([...png.bytes.subarray(1, 4)], [...Buffer.from("PNG")]);
  await alone.setContent(`<img src="data:image/png;base64,${png.bytes.toString("base64")}">`);
  const colours = await alone.locator("img").evaluate(async (img) => {
    await img.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: img.naturalWidth, height: img.naturalHeight });
    const on = canvas.getContext("2d");
    on.drawImage(img, 0, 0);
    const { data } = on.getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
    return { seen: seen.size, width: canvas.width };
  });
  assert.ok(colours.seen > 20 && colours.width > 1000, `${colours.seen} colours, ${colours.width} px wide`);
  await alone.context().close();
});

test("on_a_phone_the_matrix_is_a_list_by_source_with_words_and_room_for_a_thumb", async () => {
  const phone = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, storageState: await context.storageState() });
  const on = await phone.newPage();
  await open("/workbench", on);
  await on.locator('.places [data-place="see"]').tap();
  assert.equal(await see("matrix", on).isVisible(), false);
  const first = on.locator("[data-see=list] details").first();
  assert.match(await first.locator("summary").textContent(), /^web \d+\/20$/);
  const mark = on.locator(`[data-see="list"] [data-flow="${api}"]`);
  assert.match(await mark.textContent(), /by IP\s*blocked/);
  for (const selector of ["[data-see=list] summary", "[data-see=list] [data-flow]", "#see button, #see summary"]) {
    const small = await on.locator(selector).evaluateAll((all) => all.filter((e) => e.checkVisibility({ visibilityProperty: true })).map((e) => [e.textContent.trim(), e.getBoundingClientRect()]).filter(([, { width, height }]) => Math.min(width, height) < 32).map(([t, { width, height }]) => `${t}: ${width} x ${height}`));
    assert.deepEqual(small, [], selector);
  }
  await mark.tap();
  assert.equal(await mark.getAttribute("aria-pressed"), "true");
  assert.equal(await on.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "nothing is wider than the window");
  await assertAccessible(on, "the list on a phone");
  await phone.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`matrix_and_picture_are_accessible_in_${colorScheme}`, async () => {
    await page.emulateMedia({ colorScheme });
    await page.locator(".pic-end").first().hover();
    await assertAccessible(page, "picture");
    await page.locator('[data-view="matrix"]').click();
    await flow(api).click();
    await assertAccessible(page, "matrix");
    await see("filter").click();
    await see("verdict").selectOption("open");
    await page.locator('[data-fold="to outside"]').click();
    await page.locator(".legend summary").click();
    await assertAccessible(page, "filter, a folded namespace, and the legend");
    await page.locator(".legend summary").click();
    await see("filter").click();
    await page.locator('[data-fold="to outside"]').click();
    await page.locator('[data-view="picture"]').click();
  });
}

test("where_colours_are_forced_verdicts_choice_rings_and_lines_are_still_told_apart", async () => {
  await page.emulateMedia({ forcedColors: "active" });
  await page.locator('[data-view="matrix"]').click();
  const looks = await page.evaluate((ids) => {
    const of = (e) => ["outlineStyle", "outlineWidth", "borderTopStyle"].map((name) => getComputedStyle(e)[name]).join(" ") + e.querySelector(".symbol").textContent;
    return ids.map((id) => of(document.querySelector(`#matrix [data-flow="${id}"]`)));
  }, ["development/shell>internet:443/TCP", "production/web>internet:443/TCP", byName, api]);
  assert.equal(new Set(looks).size, looks.length, looks.join("; "));
  await page.locator('[data-view="picture"]').click();
  const dashes = await page.evaluate(() => ["open", "closed"].map((s) => getComputedStyle(document.querySelector(`.pic-pair[data-state="${s}"] .pic-line`)).strokeDasharray));
  assert.notEqual(dashes[0], dashes[1]);
  await page.emulateMedia({ forcedColors: "none" });
  await page.locator('[data-view="matrix"]').click();
});

test("a_keystroke_and_a_burst_cost_the_main_thread_little", async (t) => {
  const { outputFiles } = await build({
    stdin: { contents: `export { Matrix } from "./matrix"; export { nothing } from "./model";`, resolveDir: new URL("../frontend/src", import.meta.url).pathname, loader: "ts" },
    bundle: true, format: "iife", globalName: "bench", write: false, minify: true,
  });
  await page.evaluate(`${outputFiles[0].text}; globalThis.bench = bench; undefined`);
  // What the thread has worked for, and not how long that took beside the machine's other work.
  const cdp = await context.newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  const worked = async () => {
    const { metrics } = await cdp.send("Performance.getMetrics");
    return ["TaskDuration", "LayoutDuration", "RecalcStyleDuration"].map((name) => metrics.find((m) => m.name === name).value * 1000);
  };
  const flows = await page.evaluate(async () => {
    const { Matrix, nothing } = globalThis.bench;
    // The table as the server has drawn it, in the place of the one that the page's script has.
    const html = new DOMParser().parseFromString(await (await fetch(location.href, { headers: { Accept: "text/html" } })).text(), "text/html");
    const table = document.importNode(html.querySelector("#matrix"), true);
    document.querySelector("#matrix").replaceWith(table);
    const ids = [...table.querySelectorAll("[data-flow]")].map((e) => e.dataset.flow);
    const matrix = new Matrix(table, document.createElement("div"), { simulated: true, now: () => 0, choose() {}, point() {}, fold() {} });
    const model = (verdict) => ({ ...nothing, change: 1, flows: new Map(ids.map((flow) => [flow, { flow, verdict }])) });
    const models = [model("open"), model("blocked")];
    const would = (verdict, from, to) => new Map(ids.slice(from, to).map((id) => [id, verdict]));
    const seen = { model: models[0], would: new Map(), chosen: undefined, lit: new Set(), pointed: undefined };
    const drafts = { all: [would("open"), would("blocked")], few: [would("open", 0, 12), would("open", 12, 24)] };
    const runs = {
      key: (i) => ({ ...seen, would: drafts.few[i % 2] }),
      keyOfAll: (i) => ({ ...seen, would: drafts.all[i % 2] }),
      burst: (i) => ({ ...seen, model: models[i % 2] }),
    };
    globalThis.run = (name, times) => {
      for (let i = 0; i < times; i++) {
        matrix.render(runs[name](i));
        void table.offsetHeight; // with its style and layout
      }
      return [...new Set([...table.querySelectorAll("[data-flow]")].map((e) => e.dataset.verdict + (e.dataset.would ?? "")))].join();
    };
    return ids.length;
  });
  const cost = async (name) => {
    await page.evaluate((name) => globalThis.run(name, 10), name);
    const before = await worked();
    const drawn = await page.evaluate((name) => globalThis.run(name, 100), name);
    const parts = (await worked()).map((ms, i) => (ms - before[i]) / 100);
    return { ms: parts[0], parts: `layout ${parts[1].toFixed(2)}, style ${parts[2].toFixed(2)}`, drawn };
  };
  const [key, keyOfAll, burst] = [await cost("key"), await cost("keyOfAll"), await cost("burst")];
  for (const [what, { ms, parts }] of [["a keystroke that changes 24 marks", key], ["a keystroke that changes every mark", keyOfAll], ["a burst that turns every flow", burst]]) {
    t.diagnostic(`${what}, of ${flows}: ${ms.toFixed(2)} ms of the main thread (${parts})`);
  }
  assert.deepEqual([flows, key.drawn, keyOfAll.drawn, burst.drawn], [161, "open,openopen", "openclosed", "blocked"], "what is counted is drawn");
  assert.ok(key.ms < 4, `a keystroke costs ${key.ms} ms`);
});

test("the_browser_reported_nothing", () => assert.deepEqual(errors, []));

// The page's connection to its sandbox: nothing is lost when it breaks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lostConnection, until } from "./browser.mjs";
import { flows } from "./fakelab.mjs";
import { becomes, context, deny, eachWithAPage, editorText, expected, lab, live, openReady, page, press, text, turns, type, verdict } from "./fakepage.mjs";

const [webToApi, , webToDns, shellToApi] = flows;

eachWithAPage();

test("a_page_that_was_cut_off_catches_up_by_number", async () => {
  await openReady();
  lab.observe("blocked", webToApi);
  await turns(webToApi, "blocked");
  lab.cut();
  lab.observe("blocked", shellToApi); // while nobody is connected
  await turns(shellToApi, "blocked");
  await live();
  assert.deepEqual(lab.afters, [0, 2]);
});

test("a_gap_is_filled_from_the_last_good_event", async () => {
  await openReady();
  lab.observe("blocked", webToApi);
  await turns(webToApi, "blocked");
  lab.swallowed.add(lab.sandbox.seq + 1);
  lab.observe("blocked", webToDns); // 3, swallowed
  lab.observe("blocked", shellToApi); // 4
  await turns(webToDns, "blocked");
  await turns(shellToApi, "blocked");
  assert.deepEqual(lab.afters, [0, 2]);
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
  expected.push(...lostConnection);
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
  await live();
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

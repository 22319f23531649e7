// What holds of the real lab holds of the fake: its page has nothing that the real one
// has not, and both speak the protocol that is generated from Go.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { code, FakeLab, flows } from "./fakelab.mjs";
import { assertEvent, assertIs } from "./protocol.mjs";
import { serve } from "./server.mjs";

let real, fake;

before(async () => {
  real = await serve();
  fake = new FakeLab();
  await fake.listen();
});

after(async () => {
  await fake.close();
  await real.stop();
});

/** A learner of the real lab, without a browser. */
async function learner() {
  const first = await fetch(real.at("/workbench"), { headers: { Accept: "text/html" } });
  const cookie = first.headers.getSetCookie()[0].split(";")[0];
  const ask = (method, path, body, type = "application/json") =>
    fetch(real.at(path), { method, body, redirect: "manual", headers: { Cookie: cookie, Accept: "text/html", "Content-Type": type } });
  return { cookie, ask };
}

/** Watches the real lab until an event of the type has come; all events until then. */
function watch(id, cookie, last) {
  return new Promise((resolve, reject) => {
    const events = [];
    const socket = new WebSocket(real.at(`/sandboxes/${id}/events`).replace("http", "ws"), { headers: { Cookie: cookie } });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`it ended without ${last}: ${JSON.stringify(events.map((e) => e.type))}`)));
    socket.on("message", (data) => {
      events.push(...JSON.parse(data));
      if (!events.some((e) => e.type === last || (e.type === "snapshot" && e.snapshot[last] !== undefined))) return;
      socket.removeAllListeners("close");
      socket.close();
      resolve(events);
    });
  });
}

/** The elements with an ID or a name for the script: what they are, and their attributes' names. */
function elements(html) {
  const found = new Map();
  for (const [, tag, attributes] of html.replace(/<textarea[^]*?<\/textarea>/g, (t) => t.slice(0, t.indexOf(">") + 1)).matchAll(/<([a-z]+\d?)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*>/g)) {
    const all = new Map([...attributes.matchAll(/([\w-]+)(?:="([^"]*)")?/g)].map(([, name, value]) => [name, value]));
    const key = all.has("id") ? `#${all.get("id")}` : [...all.keys()].find((name) => name.startsWith("data-"));
    if (!key) continue;
    const known = found.get(key) ?? { tag, attributes: new Set() };
    for (const name of all.keys()) if (/^(data-|aria-|role$|name$)/.test(name)) known.attributes.add(name);
    found.set(key, known);
  }
  return found;
}

test("the_fakes_page_has_nothing_that_the_real_one_has_not", async () => {
  const { ask } = await learner();
  const pages = { none: await (await ask("GET", "/lessons/network-policies")).text() };
  const { id } = await (await fetchSandbox(ask)).json();
  await ready(ask, id);
  assert.equal((await ask("PUT", `/sandboxes/${id}/policies`, code, "application/yaml")).status, 200);
  pages.ready = await (await ask("GET", "/lessons/network-policies")).text();
  for (const state of ["none", "ready"]) {
    if (state === "ready") fake.make("ready");
    const has = elements(await (await fetch(fake.url)).text());
    const may = elements(pages[state]);
    assert.ok(has.size > 15, `only ${has.size} elements of the fake were found`);
    for (const [key, { tag, attributes }] of has) {
      assert.ok(may.has(key), `${state}: no ${key} is on the real page`);
      assert.equal(tag, may.get(key).tag, `${state}: ${key}`);
      for (const name of attributes) assert.ok(may.get(key).attributes.has(name), `${state}: ${key} has no ${name} on the real page; it has ${[...may.get(key).attributes]}`);
    }
  }
});

async function fetchSandbox(ask) {
  const created = await ask("POST", "/sandboxes", JSON.stringify({ lab: "network-policies" }));
  const location = created.headers.get("location");
  if (created.status === 303) {
    const page = await (await ask("GET", "/lessons/network-policies")).text();
    return ask("GET", `/sandboxes/${/data-sandbox="(\w+)"/.exec(page)[1]}`);
  }
  return ask("GET", location);
}

async function ready(ask, id) {
  for (;;) {
    const { state, settled, observations } = await (await ask("GET", `/sandboxes/${id}`)).json();
    if (state === "ready" && (settled || observations.length > 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("both_speak_the_protocol_that_is_generated_from_Go", async () => {
  const { cookie, ask } = await learner();
  const { id } = await (await fetchSandbox(ask)).json();
  await ready(ask, id);
  const settled = watch(id, cookie, "settled");
  await ask("PUT", `/sandboxes/${id}/policies`, code, "application/yaml");
  for (const event of await settled) assertEvent(event);

  fake.make("ready");
  fake.state("ready");
  fake.step(1, "done", 1);
  fake.change([{ namespace: "production", name: "default-deny-all", yaml: code }], { [flows[0]]: "blocked" });
  fake.observe("open", flows[0]);
  for (const event of fake.sandbox.log) assertEvent(event);
  const { seq, ...picture } = await (await fetch(`${fake.url}sandboxes/${fake.sandbox.picture.id}`)).json();
  assertIs("number", seq);
  assert.equal(picture.lab, "network-policies");
});

test("both_answer_what_the_editor_asks_for", async () => {
  const { ask } = await learner();
  for (const [path, type] of [["/schema", "Schema"], ["/labs/network-policies", "LabContents"]]) {
    assertIs(type, await (await ask("GET", path)).json());
    assertIs(type, await (await fetch(new URL(path, fake.url))).json());
  }
  const draft = JSON.stringify({ files: [{ id: "a", text: code }] });
  assertIs("Analysis", await (await ask("POST", "/labs/network-policies/analysis", draft)).json());
  assertIs("Analysis", await (await fetch(new URL("/labs/network-policies/analysis", fake.url), { method: "POST", body: draft })).json());
});

test("both_answer_why_a_flow_is_as_it_is", async () => {
  const { ask } = await learner();
  const { id } = await (await fetchSandbox(ask)).json();
  await ready(ask, id);
  fake.make("ready");
  const path = (of) => `/sandboxes/${of}/why?flow=${encodeURIComponent(flows[0])}`;
  for (const answer of [await ask("GET", path(id)), await fetch(new URL(path(fake.sandbox.picture.id), fake.url))]) {
    assert.equal(answer.status, 200);
    const why = await answer.json();
    assertIs("Why", why);
    assert.equal(why.flow, flows[0]);
    assert.equal(why.verdict, "open");
  }
});

test("what_is_not_of_the_protocol_is_refused", () => {
  const event = { seq: 1, time: new Date().toISOString(), type: "state", state: { state: "ready" } };
  assertEvent(event);
  for (const wrong of [{ ...event, type: "mood" }, { ...event, state: { state: "happy" } }, { ...event, state: {} }, { ...event, state: { state: "ready", mood: 1 } }, { ...event, more: 1 }, { ...event, seq: "1" }]) {
    assert.throws(() => assertEvent(wrong), JSON.stringify(wrong));
  }
});

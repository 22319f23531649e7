// Chromium for the tests, with every error that a page reports collected.
import { AxeBuilder } from "@axe-core/playwright";
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { chromium } from "playwright-core";

const out = new URL("out/", import.meta.url).pathname;

/** Starts it with these flags, too. It finds no address but those of this machine. */
export function launch(more = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
      ...more,
    ],
  });
}

/** A port of this machine that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/**
 * What a page that loses its connection leaves on the console. It asks by HTTP why its
 * websocket failed, and the answer is 426 where the server is back by then.
 */
export const lostConnection = [/ERR_INTERNET_DISCONNECTED/, /ERR_CONNECTION_REFUSED/, /WebSocket connection to .* failed/, /status of 426/];

/**
 * Collects what the context's pages report as wrong: exceptions, console
 * errors and violations of the Content-Security-Policy, which Chromium tells
 * on the console.
 */
export function collectErrors(context) {
  const errors = [];
  context.on("page", (page) => {
    page.on("pageerror", (e) => errors.push(`exception: ${e.message}`));
    page.on("console", (m) => m.type() === "error" && errors.push(`console: ${m.text()} (${m.location().url})`));
  });
  return errors;
}

/** Fails with a line for each thing that axe finds wrong on the page, or within what the selector selects. */
export async function assertAccessible(page, where, within) {
  const axe = new AxeBuilder({ page });
  const { violations } = await (within ? axe.include(within) : axe).analyze();
  const lines = violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${v.help}: ${n.target.join(" ")}: ${n.failureSummary}`));
  assert.deepEqual(lines, [], where);
}

const axeSource = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/**
 * A line for each thing that axe finds wrong on the page as it is now, by those rules or
 * by all. It is quicker than [assertAccessible], where a page is looked at several times.
 */
export async function axe(page, rules = []) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axeSource);
  const violations = await page.evaluate(async (rules) => {
    const options = { resultTypes: ["violations"], ...(rules.length > 0 && { runOnly: { type: "rule", values: rules } }) };
    return (await window.axe.run(document, options)).violations.map((v) => ({ id: v.id, help: v.help, nodes: v.nodes.map((n) => `${n.target.join(" ")}: ${n.failureSummary}`) }));
  }, rules);
  return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${v.help}: ${n}`));
}

/** Saves what the window shows, or with an element all of that. */
export async function screenshot(page, name, element = page) {
  mkdirSync(out, { recursive: true });
  // To hide the caret would need a style element, which the page's policy forbids.
  await element.screenshot({ path: `${out}${name}.png`, caret: "initial" });
}

/** Waits until the condition, evaluated here, returns something true. */
export async function until(condition, what, timeout = 5000) {
  const end = Date.now() + timeout;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) assert.fail(`not within ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Waits until the editor's list of completions listens: in its first 75 ms a key goes into
 * the text, so as not to surprise who types, and nothing on the page tells when they are over.
 */
export async function completionsListen(page) {
  const seen = await page.evaluate(() => performance.now());
  await page.waitForFunction((from) => performance.now() - from > 75, seen);
}

// The server as make builds it, in a process of its own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { launch } from "./browser.mjs";

const binary = new URL("../../bin/netpol-lab", import.meta.url).pathname;

/** Starts it with sandboxes of that kind and a data folder of its own; stop ends it and removes the folder. */
export async function serve(sandbox = "simulated", more = []) {
  const data = await mkdtemp(join(tmpdir(), "netpol-lab-e2e-"));
  const server = spawn(binary, ["serve", "--sandbox", sandbox, "--listen", "127.0.0.1:0", "--data", data, ...more], { stdio: ["ignore", "pipe", "ignore"] });
  server.on("error", (e) => assert.fail(`${binary} does not run (make bin/netpol-lab builds it): ${e.message}`));
  let output = "";
  let base;
  for await (const chunk of server.stdout.iterator({ destroyOnReturn: false })) {
    output += chunk;
    base = /http:\/\/\S+/.exec(output)?.[0];
    if (base) break;
  }
  assert.ok(base, `the server did not start: ${output}`);
  server.stdout.resume();
  return {
    /** The address of a path on it. */
    at: (path) => new URL(path, base).href,
    async stop() {
      if (server.exitCode === null) {
        const ended = once(server, "exit");
        server.kill("SIGTERM");
        await ended;
      }
      await rm(data, { recursive: true });
    },
  };
}

/**
 * For all tests of a file: a server with simulated sandboxes and a browser, which are
 * started before them and ended after them. What is to be done once before the tests
 * follows in the same hook, for the hooks of a file do not wait for one another.
 */
export function onTheServer(begin = async () => {}) {
  let server, browser;
  before(async () => {
    server = await serve();
    browser = await launch();
    await begin();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  return { server: { at: (path) => server.at(path) }, browser: { newContext: (options) => browser.newContext(options) } };
}

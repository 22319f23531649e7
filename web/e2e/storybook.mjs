// The storybook as make builds it, in a process of its own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";

const binary = new URL("../../bin/storybook", import.meta.url).pathname;

/** Starts it: its stories, and close, which ends it. */
export async function openBook() {
  const book = spawn(binary, ["-listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  book.on("error", (e) => assert.fail(`${binary} does not run (make bin/storybook builds it): ${e.message}`));
  let output = "";
  let base;
  for await (const chunk of book.stdout.iterator({ destroyOnReturn: false })) {
    output += chunk;
    base = /http:\/\/\S+/.exec(output)?.[0];
    if (base) break;
  }
  assert.ok(base, `the storybook did not start: ${output}`);
  book.stdout.resume();
  return {
    stories: await (await fetch(new URL("/stories.json", base))).json(),
    async close() {
      const ended = once(book, "exit");
      book.kill("SIGTERM");
      await ended;
    },
  };
}

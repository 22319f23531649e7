// The recorder of the lesson's video: a recording with hurried captions, looked into
// with ffprobe and played in a browser.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { launch, until } from "./browser.mjs";
import { record, size } from "./video.mjs";

const run = promisify(execFile);
let folder, captions;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "netpol-lab-video-test-"));
  captions = await record({ folder, sandbox: "simulated", pace: 12 });
});

after(() => rm(folder, { recursive: true }));

const file = (ending) => join(folder, `network-policies.${ending}`);

test("the_captions_follow_each_other_and_can_be_read_in_their_time", async () => {
  const vtt = await readFile(file("vtt"), "utf8");
  assert.match(vtt, /^WEBVTT\n\n00:00:0/);
  assert.equal(vtt.match(/ --> /g).length, captions.length);
  const read = captions.reduce((sum, c) => sum + Math.max(3, c.text.length / 14), 0);
  assert.ok(read > 110 && read < 230, `read aloud they take ${read} s`);
  captions.forEach((c, i) => {
    assert.ok(c.end > c.start && c.start >= (captions[i - 1]?.end ?? 0), `caption ${i + 1} from ${c.start} to ${c.end}`);
    assert.doesNotMatch(c.text, /measur|cluster of your own/i, "nothing is measured in the simulator");
  });
});

test("it_is_a_small_film_as_long_as_its_captions", async () => {
  const { stdout } = await run("ffprobe", ["-v", "error", "-show_entries", "stream=codec_name,width,height:format=duration", "-of", "json", file("webm")]);
  const { streams, format } = JSON.parse(stdout);
  assert.deepEqual(streams, [{ codec_name: "vp9", ...size }]);
  assert.ok(Math.abs(format.duration - captions.at(-1).end) < 0.5, `${format.duration} s of film, ${captions.at(-1).end} s of captions`);
  assert.ok((await stat(file("webm"))).size < 8 << 20);
  const pictureAt = async (seconds) => (await run("ffmpeg", ["-v", "error", "-ss", String(seconds), "-i", file("webm"), "-frames:v", "1", "-f", "md5", "-"])).stdout;
  const seen = new Set(await Promise.all([0.1, 0.3, 0.5, 0.7, 0.9].map((part) => pictureAt(part * format.duration))));
  assert.equal(seen.size, 5, "something happens");
});

test("a_browser_plays_it_with_its_captions", async () => {
  const page = `<!doctype html><title>film</title><video muted controls><source src="/network-policies.webm" type="video/webm"><track kind="captions" srclang="en" src="/network-policies.vtt" default></video>`;
  const types = { "/network-policies.webm": "video/webm", "/network-policies.vtt": "text/vtt" };
  const server = createServer(async (request, response) => {
    response.setHeader("Content-Type", types[request.url] ?? "text/html");
    response.end(types[request.url] ? await readFile(join(folder, request.url)) : page);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const browser = await launch();
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${server.address().port}/`);
    const video = tab.locator("video");
    await video.evaluate((v) => v.play());
    await until(() => video.evaluate((v) => v.currentTime > 1), "it plays", 15_000);
    await until(() => video.evaluate((v) => v.textTracks[0].cues?.length), "the captions are read");
    assert.deepEqual(
      await video.evaluate((v) => [...v.textTracks[0].cues].map((c) => c.text)),
      captions.map((c) => c.text),
    );
    assert.equal(await video.evaluate((v) => v.textTracks[0].activeCues.length), 1, "one caption is shown");
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
});

// Records the video of the first lesson: a learner's walk through the running lab,
// told by captions. `make video` runs it; it needs Chromium and ffmpeg.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { launch, until } from "./browser.mjs";
import { serve } from "./server.mjs";
import { lessons } from "./walk.mjs";

const run = promisify(execFile);
const [lesson] = lessons;
export const size = { width: 1440, height: 900 };

/** How long a caption stays, in seconds: as long as it takes to read it aloud. */
const reading = (text) => Math.max(3, text.length / 14);

/**
 * Records the video, and puts SLUG.webm and SLUG.vtt into the folder. With a pace of 10
 * the captions stay a tenth of their time. Returns the captions.
 */
export async function record({ folder, sandbox = "auto", pace = 1 }) {
  const scratch = await mkdtemp(join(tmpdir(), "netpol-lab-video-"));
  const server = await serve(sandbox);
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: size, colorScheme: "light", reducedMotion: "no-preference" });
    const film = new Film(page, scratch, pace);
    await tell(page, film, server);
    const [video, captions] = [join(scratch, "video.webm"), join(scratch, "captions.vtt")];
    await film.write(video, captions);
    await mkdir(folder, { recursive: true });
    // Whole or not at all: they are copied beside their place, and then renamed.
    for (const [from, ending] of [
      [captions, "vtt"],
      [video, "webm"],
    ]) {
      const to = join(folder, `${lesson.slug}.${ending}`);
      await writeFile(`${to}.part`, await readFile(from));
      await rename(`${to}.part`, to);
    }
    return film.captions;
  } finally {
    await browser.close();
    await server.stop();
    await rm(scratch, { recursive: true });
  }
}

/** What is seen, and when: the pictures that the browser draws, and the captions. */
class Film {
  captions = [];
  #page;
  #folder;
  #pace;
  #frames = [];
  #last;
  #written = Promise.resolve();
  /** The time that was cut out so far, and since when the film stands still. */
  #cut = 0;
  #stopped = Date.now();
  #began = Date.now();

  constructor(page, folder, pace) {
    this.#page = page;
    this.#folder = folder;
    this.#pace = pace;
  }

  /** The film's time in seconds. */
  get now() {
    return ((this.#stopped ?? Date.now()) - this.#began - this.#cut) / 1000;
  }

  async begin() {
    const browser = await this.#page.context().newCDPSession(this.#page);
    browser.on("Page.screencastFrame", ({ data, sessionId }) => {
      this.#last = data;
      if (this.#stopped === undefined) this.#keep();
      void browser.send("Page.screencastFrameAck", { sessionId }).catch(() => {}); // The page may be closed by now.
    });
    await browser.send("Page.startScreencast", { format: "jpeg", quality: 90, maxWidth: size.width, maxHeight: size.height });
    await until(() => this.#last, "the first picture");
    this.#roll();
  }

  #roll() {
    this.#cut += Date.now() - this.#stopped;
    this.#stopped = undefined;
    this.#keep();
  }

  #keep() {
    const name = `${String(this.#frames.length).padStart(6, "0")}.jpg`;
    this.#frames.push({ name, at: this.now });
    const data = Buffer.from(this.#last, "base64");
    this.#written = this.#written.then(() => writeFile(join(this.#folder, name), data));
  }

  /** What comes now is not in the film. */
  end() {
    this.#stopped = Date.now();
  }

  /** Leaves out what happens meanwhile. */
  async without(action) {
    this.end();
    await action();
    this.#roll();
  }

  /** Shows the caption for as long as it takes to read, and as the action takes. */
  async say(text, action = async () => {}) {
    const start = this.now;
    await action();
    const rest = reading(text) / this.#pace - (this.now - start);
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest * 1000)); // The viewer reads.
    this.captions.push({ start, end: this.now, text });
  }

  /** A moment for the eye. */
  async moment(seconds) {
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / this.#pace));
  }

  async write(video, captions) {
    const end = this.now;
    await this.#written;
    const list = this.#frames.flatMap(({ name, at }, i) => [`file ${name}`, `duration ${(this.#frames[i + 1]?.at ?? end) - at}`]);
    // The last picture's duration counts only where another follows.
    const script = join(this.#folder, "frames.txt");
    await writeFile(script, ["ffconcat version 1.0", ...list, `file ${this.#frames.at(-1).name}`, ""].join("\n"));
    const coding = ["-c:v", "libvpx-vp9", "-crf", "36", "-b:v", "0", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-g", "150"];
    await run("ffmpeg", ["-v", "error", "-y", "-i", script, "-t", String(end), "-vf", "fps=15,format=yuv420p", ...coding, "-an", video]);
    const cues = this.captions.map(({ start, end, text }) => `${time(start)} --> ${time(end)}\n${text}\n`);
    await writeFile(captions, ["WEBVTT\n", ...cues].join("\n"));
  }
}

/** Seconds as WebVTT writes them. */
function time(seconds) {
  const ms = Math.round(seconds * 1000);
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
}

/** A policy of an exercise's solution, by its name. */
async function policy(exercise, name) {
  const all = await readFile(new URL(`exercises/${exercise}/solution.yaml`, lesson.folder), "utf8");
  const found = all.split(/^---\n/m).find((d) => d.includes(`\n  name: ${name}\n`));
  assert.ok(found, `${exercise} has no policy ${name}`);
  return found.slice(found.indexOf("apiVersion:"));
}

async function tell(page, film, server) {
  await page.goto(server.at(`/lessons/${lesson.slug}`));
  const simulated = (await page.locator("#simulated").count()) > 0;
  const hand = new Hand(page, film);
  const flow = (id) => page.locator(`#matrix [data-flow="${id}"]`);
  const turns = (id, verdict) => until(async () => (await flow(id).getAttribute("data-verdict")) === verdict, `${id} is ${verdict}`, 60_000);
  const settled = () => page.locator("#settled");
  const row = (pod) => page.locator("#matrix tbody tr", { has: page.locator("th .pod", { hasText: new RegExp(`^${pod}$`) }) });
  const apply = async () => {
    await hand.click(page.locator("#apply"));
    await film.moment(0.6);
    await hand.look(page.locator("#matrix"));
  };

  await film.begin();
  await film.say("Network policies in Kubernetes, in three minutes. This is the lab: the lesson on the left, and on the right the policies that you write, over what comes of them.");
  await film.say("A shop runs in the namespace production. It has a front end, web, a back end, api, and a database, db.", () => hand.point(page.locator("article .lead")));
  const waiting = simulated ? "Press Start, and you get a sandbox of your own. This one is simulated." : "Press Start, and you get a cluster of your own. That takes about half a minute, and is left out here.";
  await film.say(waiting, () => hand.click(page.getByRole("button", { name: "Start", exact: true })));
  await film.without(async () => {
    await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "ready", "ready", 240_000);
    await turns("production/web>production/api:8080/TCP", "open");
    await turns("development/shell>production/db:5432/TCP", "open");
  });
  await hand.look(page.locator("#matrix"));
  await film.say("Each row of the matrix is a pod that connects, and each column is a port that it connects to. A tick is a connection that works.", () =>
    hand.point(row("web")),
  );
  await film.say("There is no policy yet, so everything is open. Now somebody has broken into the pod shell, in development.", () => hand.point(row("shell")));
  await film.say("From there they reach the shop's database, the admin port of its back end, and a server outside. This is called lateral movement.", () =>
    hand.point(flow("development/shell>production/db:5432/TCP")),
  );

  await film.say("So close the namespace. The empty podSelector selects all of its pods, and without a rule nothing is allowed.", async () =>
    hand.write(await policy("close-production", "default-deny-all")),
  );
  await film.say("Apply, and watch the cells turn.", async () => {
    await apply();
    await turns("development/shell>production/db:5432/TCP", "blocked");
  });
  await film.say("No rule lets anything in or out of production now. The intruder is stopped. But so is the shop.", () => hand.point(settled()));

  await film.say("The front end needs port 8080 of the back end. This policy selects api, and lets web in.", async () => hand.write(await policy("front-to-back", "allow-web-to-api")));
  await film.say("Apply it, and look at the cell.", apply);
  await film.say("Nothing has changed. Press the cell, and the page says why: both ends must allow a connection, and the egress of web is still closed.", async () => {
    await page.locator('#files [data-policy="production/allow-web-to-api"][data-state="in-force"]').waitFor();
    await hand.click(flow("production/web>production/api:8080/TCP"));
    const stops = page.locator('#why .way li[data-ok="false"]');
    await stops.filter({ hasText: "egress" }).waitFor();
    await hand.point(stops);
  });
  await film.say("This policy opens the other end. It selects web, and allows egress to api.", async () => hand.write(await policy("front-to-back", "allow-web-egress-to-api")));
  await film.say("Now the connection works.", async () => {
    await apply();
    await turns("production/web>production/api:8080/TCP", "open");
    await hand.point(flow("production/web>production/api:8080/TCP"));
  });

  await film.say("Prometheus collects metrics on port 9090. It lives in another namespace, so one item of the list has both selectors: for the namespace, and for the pod.", async () =>
    hand.write(await policy("metrics", "allow-prometheus-to-api")),
  );
  await film.say("Prometheus gets in. Grafana, its neighbour, does not.", async () => {
    await apply();
    await turns("monitoring/prometheus>production/api:9090/TCP", "open");
    await hand.point(flow("monitoring/grafana>production/api:9090/TCP"));
  });
  const exercise = page.locator('[data-exercise="metrics"]');
  // A check asks the learner to wait where the cells still move; the viewer need not.
  await film.without(() => until(async () => /All \d+ connections/.test(await settled().textContent()), "settled after the change", 60_000));
  await film.say("The exercises are graded by these cells. Nobody reads your YAML, so any policy that does the job is right.", async () => {
    await hand.look(exercise);
    await hand.click(exercise.getByRole("button", { name: "Check", exact: true }));
    await exercise.locator(".verdict.passed").waitFor();
    await hand.point(exercise.locator("[data-result]"));
  });

  await film.say("One thing is still broken. The lower mark of the cell says DNS: by its name, api is not found.", async () => {
    await hand.look(page.locator("#matrix"));
    await hand.point(flow("production/web>production/api:8080/TCP@name"));
  });
  await film.say("A default deny closes DNS as well. So allow port 53 of the cluster's DNS, by UDP and by TCP.", async () => hand.write(await policy("names", "allow-dns")));
  await film.say("And the names work.", async () => {
    await apply();
    await turns("production/web>production/api:8080/TCP@name", "open");
    await hand.point(flow("production/web>production/api:8080/TCP@name"));
  });
  const reach = page.locator('#matrix [data-flow^="development/shell>production/"]');
  await film.say("The front end reaches the back end, prometheus gets its metrics, and the intruder has nothing left in production.", async () => {
    await hand.point(row("shell"));
    const verdicts = await reach.evaluateAll((cells) => cells.map((c) => c.dataset.verdict));
    assert.ok(verdicts.length > 0 && verdicts.every((v) => v === "blocked"), `the intruder's row in production: ${verdicts}`);
  });
  await film.say("The rest of the lesson shows what policies cannot do, and the next one where they trip you up. Predict, observe, explain: now it is your turn.", () =>
    hand.look(page.locator("#what-to-take-along")),
  );
  film.end();
  await page.locator("#state-chip").click();
  await page.locator("#stop button").click();
  await until(async () => (await page.locator("#lab").getAttribute("data-state")) === "stopped", "stopped", 120_000);
}

/** The learner's hand: a pointer that is seen, and what it does. */
class Hand {
  #page;
  #film;

  constructor(page, film) {
    this.#page = page;
    this.#film = film;
  }

  /** Brings the element into the middle of the window. */
  async look(element) {
    await element.first().evaluate((e) => e.scrollIntoView({ block: e.clientHeight > innerHeight / 2 ? "start" : "center", behavior: "smooth" }));
    await this.#film.moment(0.7);
  }

  /** Moves the pointer there, and draws a frame around the element. */
  async point(element) {
    await element.first().scrollIntoViewIfNeeded();
    // The page's policy forbids styles in its HTML, and not those that a script sets.
    await element.first().evaluate((e) => {
      document.querySelector(".film-frame")?.remove();
      const frame = document.createElement("div");
      frame.className = "film-frame";
      const box = e.getBoundingClientRect();
      Object.assign(frame.style, {
        position: "fixed", zIndex: "99", pointerEvents: "none", border: "3px solid #d97706", borderRadius: "8px",
        left: `${box.left - 6}px`, top: `${box.top - 6}px`, width: `${box.width + 6}px`, height: `${box.height + 6}px`,
      });
      document.body.append(frame);
    });
    await this.#move(element);
  }

  async click(element) {
    await element.first().scrollIntoViewIfNeeded();
    await this.#unframe();
    await this.#move(element);
    await element.first().click();
  }

  /** Writes the YAML into a file of its own, line by line. */
  async write(yaml) {
    const editor = this.#page.locator(".cm-content");
    await this.#unframe();
    if ((await this.#page.locator("#policy").inputValue()) !== "") await this.click(this.#page.locator("#new-file"));
    await this.look(editor);
    await this.#move(editor);
    await editor.focus();
    await this.#page.keyboard.press("ControlOrMeta+a");
    const lines = yaml.trimEnd().split("\n");
    for (const [i, line] of lines.entries()) {
      await this.#page.keyboard.insertText(i === 0 ? line : `\n${line}`);
      await this.#film.moment(0.12);
    }
    assert.equal(await this.#page.locator("#policy").inputValue(), yaml.trimEnd(), "the editor has what was written");
  }

  async #unframe() {
    await this.#page.evaluate(() => document.querySelector(".film-frame")?.remove());
  }

  async #move(element) {
    const box = await element.first().boundingBox();
    await this.#page.evaluate(
      ([x, y]) => {
        let pointer = document.querySelector(".film-pointer");
        if (!pointer) {
          pointer = document.createElement("div");
          pointer.className = "film-pointer";
          Object.assign(pointer.style, {
            position: "fixed", zIndex: "100", left: "-11px", top: "-11px", width: "22px", height: "22px", pointerEvents: "none",
            borderRadius: "50%", background: "rgb(217 119 6 / 0.45)", border: "2px solid #92400e", transform: "translate(700px, 450px)",
          });
          document.body.append(pointer);
          pointer.getBoundingClientRect(); // so that it has a place to begin from
        }
        pointer.style.transition = "transform 0.5s ease-in-out";
        pointer.style.transform = `translate(${x}px, ${y}px)`;
      },
      [Math.min(box.x + box.width / 2, size.width - 40), box.y + Math.min(box.height / 2, 200)],
    );
    await this.#film.moment(0.6);
  }
}

if (import.meta.filename === process.argv[1]) {
  const folder = process.argv[2];
  if (!folder) throw new Error("which folder is the video for?");
  const captions = await record({ folder, sandbox: process.env.SANDBOX });
  console.log(`${join(folder, lesson.slug)}.webm: ${captions.length} captions, ${Math.round(captions.at(-1).end)} s`);
}

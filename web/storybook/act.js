// Does in a story's page what a learner would do there, and says on the root element when
// that is done: data-story is "shown" then, or what went wrong.
(() => {
  const story = document.currentScript.dataset.story;
  const root = document.documentElement;

  async function until(condition, what) {
    const end = Date.now() + 20_000;
    for (;;) {
      const value = condition();
      if (value) return value;
      if (Date.now() > end) throw new Error(`there is no ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  const find = (selector) => until(() => document.querySelector(selector), selector);
  const click = async (selector) => (await find(selector)).click();
  /** Presses the button of that name, within what the selector selects. */
  const press = async (name, within = "body") => {
    const buttons = () => [...document.querySelectorAll(`${within} button, ${within} summary`)];
    const is = (b) => (b.ariaLabel ?? b.textContent).trim() === name && b.checkVisibility();
    (await until(() => buttons().find(is), `button “${name}”`)).click();
  };
  const says = (selector, pattern) => until(() => pattern.test(document.querySelector(selector)?.textContent ?? ""), `${selector} that says ${pattern}`);
  const place = async (name) => {
    await until(() => document.body.dataset.place, "place");
    await click(`.places [data-place="${name}"]`);
  };
  const live = () => says("#connection", /^Live\.$/);
  /** The editor is there, with the policies in force as files of the workspace. */
  const ready = async () => {
    await live();
    await find(".cm-content");
    if (!/^No /.test((await until(() => document.getElementById("in-force")?.textContent, "what is in force")))) await find('#files [data-file][data-state="in-force"]');
  };

  /** Writes the text into the open file, in place of what it has. */
  async function write(text) {
    const content = await find(".cm-content");
    content.focus();
    content.dispatchEvent(new KeyboardEvent("keydown", { key: "a", code: "KeyA", keyCode: 65, ctrlKey: true, bubbles: true, cancelable: true }));
    const clipboard = new DataTransfer();
    clipboard.setData("text/plain", text);
    content.dispatchEvent(new ClipboardEvent("paste", { clipboardData: clipboard, bubbles: true, cancelable: true }));
    await until(() => content.textContent.includes(text.split("\n")[3].trim()), "text in the editor");
    content.blur();
  }

  /** Goes on with the story, where the server has more of it. */
  const goOn = async () => {
    const { sandbox } = (await find("#lab")).dataset;
    await fetch(`/storybook/then?sandbox=${sandbox}`, { method: "POST" });
  };

  const file = (name) => until(() => [...document.querySelectorAll("#files [data-file]")].find((t) => t.querySelector(".name").textContent === name), `file ${name}`);
  const open = async (name) => (await file(name)).click();
  const flow = "production/web>production/api:8080/TCP";
  const policy = (name, spec) => `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: ${name}\n  namespace: production\nspec:\n${spec}`;
  const onlyIn = "  podSelector: {}\n  policyTypes:\n    - Ingress\n";
  const fromWeb = "  podSelector:\n    matchLabels:\n      app: api\n  ingress:\n    - from:\n        - podSelector:\n            matchLabels:\n              app: web\n";

  const why = async (id) => {
    await ready();
    await place("see");
    await click(`#matrix [data-flow="${id}"]`);
    await until(() => document.querySelector('[data-why="panel"] ol'), "reasons");
  };
  const wishes = async () => {
    await ready();
    await place("see");
    await press("What I want");
    await find('#want [data-wish="always"]'); // what no policy can close is known
  };
  const wish = async (name, times) => {
    for (let i = 0; i < times; i++) (await until(() => [...document.querySelectorAll("#want button")].find((b) => b.ariaLabel?.startsWith(`${name}: `)), `wish ${name}`)).click();
  };

  const acts = {
    "lesson-menu": async () => {
      await ready();
      await click(".menu-button");
    },
    "sandbox-reconnecting": async () => {
      await ready();
      await goOn();
      await says("#connection", /lost/);
      await place("see");
    },
    "sandbox-refused": async () => {
      await says("#connection", /as many/);
      await place("see");
    },
    "sandbox-full": async () => {
      await place("see");
      await press("Start");
      await says("#status", /So many people wait/);
    },
    "sandbox-other": async () => {
      await place("see");
      await press("Start");
    },
    "sandbox-ready": async () => {
      await ready();
      await place("see");
      await click("#state-chip");
    },
    "sandbox-expired": async () => {
      await ready();
      await place("see");
      await goOn();
      await until(() => document.querySelector('#lab[data-state="stopped"]'), "end");
    },
    "write-files": async () => {
      await ready();
      await place("write");
      await open("default-deny-all");
      await write(policy("default-deny-all", onlyIn));
      await open("allow-dns");
      await press("Delete allow-dns", "#file-actions");
      await click("#new-file");
      await write(policy("allow-web", fromWeb));
      await open("default-deny-all");
      await says("#plan", /adds .*changes .*deletes/);
    },
    "write-applied": async () => {
      await ready();
      await place("write");
      await write(policy("default-deny-all", onlyIn));
      await says("#plan", /changes/);
      await press("Apply");
      await says("#applied", /changed/);
    },
    "write-problem": async () => {
      await ready();
      await place("write");
      await write(policy("default-deny-all", "  podSelector:\n    matchLabels:\n      app: apl\n  policyType:\n    - Ingress\n"));
      await find(".cm-lintRange");
    },
    "write-conflict": async () => {
      await ready();
      await place("write");
      await write(policy("default-deny-all", fromWeb));
      await says("#plan", /changes/);
      await press("Apply");
      await says("#conflict", /changed/);
      await click("#conflict .buttons button:nth-child(3)");
      await find("#both-title");
    },
    "write-keys": async () => {
      await ready();
      await place("write");
      await click('[aria-label="Keys in the editor"]');
    },
    "write-proof": async () => {
      await ready();
      await place("write");
    },
    history: async () => {
      await ready();
      await place("write");
      await press("History");
    },
    "history-compare": async () => {
      await ready();
      await place("write");
      await press("History");
      await click("#history [data-show]");
      await until(() => document.querySelector("#history-compare:not([hidden])"), "comparison");
    },
    share: async () => {
      await ready();
      await place("write");
      await press("History");
      await click("#share");
      await until(() => document.getElementById("in-out-said").textContent, "link");
    },
    terminal: async () => {
      await ready();
      await place("write");
      await press("Terminal");
      await until(() => document.querySelector(".xterm-rows")?.textContent.includes("blocked"), "text in the terminal");
      document.activeElement?.blur();
    },
    "terminal-simulated": async () => {
      await ready();
      await place("write");
      await press("Terminal");
    },
    "see-preview": async () => {
      await ready();
      await write(policy("default-deny-all", onlyIn));
      await place("see");
      await until(() => document.querySelector("#matrix [data-would]"), "marks");
    },
    "see-filter": async () => {
      await ready();
      await place("see");
      await press("Filter");
      const text = await find('[data-see="text"]');
      text.value = "web > api";
      text.dispatchEvent(new Event("input", { bubbles: true }));
      await says('[data-see="found"]', /\d/);
    },
    "see-picture": async () => {
      await ready();
      await place("see");
      await press("Picture");
      await find('[data-see="picture"] svg');
    },
    "why-open": () => why(flow),
    "why-blocked": () => why(flow),
    "why-dns": () => why(`${flow}@name`),
    "see-disagreement": () => why(flow),
    "build-wishes": async () => {
      await wishes();
      await wish("Everything to db 5432", 2);
      await wish("production/api to db 5432", 2);
      await says('[data-want="answer"]', /would do it/);
    },
    "build-refusal": async () => {
      await wishes();
      await wish("production/web to api 8080", 1);
      await wish("production/web to dns 53 UDP", 2);
      await says('[data-want="answer"]', /is to reach/);
    },
  };
  acts["history-empty"] = acts.history;
  acts["sandbox-stopped"] = acts["sandbox-expired"];

  /** Without an act of its own, a page of a lab shows what is. */
  const usual = async () => {
    if (!document.getElementById("lab")) return;
    const { state } = document.getElementById("lab").dataset;
    if (state === "ready") await ready();
    else if (state !== "none") await live();
    if (!story.startsWith("lesson")) await place("see");
  };

  addEventListener("load", async () => {
    try {
      await (acts[story] ?? usual)();
      root.dataset.story = "shown";
    } catch (e) {
      root.dataset.story = e.message;
    }
  });
})();

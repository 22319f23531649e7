// A lab without a cluster, for the tests of the page's script: it serves a
// hand-made page of the same structure as the real one, speaks the event
// protocol, and does only what a test tells it. fakelab.test.mjs holds it to both.
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { assertEvent } from "./protocol.mjs";

const dist = new URL("../../static/dist/", import.meta.url);
const script = new URL("lab.js", dist);

export const flows = [
  "production/web>production/api:8080/TCP",
  "production/web>production/api:8080/TCP@name",
  "production/web>kube-system/kube-dns:53/UDP",
  "development/shell>production/api:8080/TCP",
  "development/shell>production/api:8080/TCP@name",
  "development/shell>kube-system/kube-dns:53/UDP",
];

export const code = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
`;

/** What the page asks for the editor to complete: nothing is known. */
export const schema = { root: "NetworkPolicy", types: { NetworkPolicy: { doc: "", fields: [] } } };
export const contents = { lab: "network-policies", running: false, namespaces: [], pods: [], services: [], hosts: [], ranges: [] };

/** Nothing is said about a draft. */
export const analysis = ({ files }) => ({
  change: 0, files: files.map(({ id }) => ({ id, policies: [], problems: [], selectors: [], setAside: [] })), summary: "No flow would change.", why: null,
});

/** Why a flow is as it is: there is no policy that it could hang on. */
export const why = (flow) => ({ flow, verdict: "open", steps: [], remedy: null });

/** What events tell of a policy. */
const ref = ({ namespace, name }) => ({ namespace, name });

/** The terminal's part of the page. */
const terminal = `<div class="views" role="group" aria-label="What is shown here" hidden>
<button type="button" data-panel="policies" aria-pressed="true">Policies</button><button type="button" data-panel="terminal" aria-pressed="false">Terminal</button></div>
<div id="policies-view"><p>Policies</p></div>
<div id="terminal"><div id="terminal-panel" hidden><p id="terminal-status" role="status"></p><button type="button" id="terminal-again" hidden>Try again</button>
<div id="terminal-screen" role="group" aria-label="Terminal" aria-describedby="terminal-keys" hidden></div><p id="terminal-keys">F6 leaves the terminal.</p><button type="button" id="after">After it</button></div></div>`;

/** A terminal as the server's end of its connection. */
class FakeTerminal {
  sizes = [];
  typed = "";
  closed = false;
  #socket;

  constructor(socket) {
    this.#socket = socket;
    socket.on("message", (data, binary) => {
      if (binary) this.typed += data;
      else this.sizes.push(JSON.parse(data));
    });
    socket.on("close", () => (this.closed = true));
  }

  writes(text) {
    this.#socket.send(Buffer.from(text));
  }

  /** Says why there is no more, and closes. */
  ends(end, message) {
    this.#socket.send(JSON.stringify({ end, message }));
    this.#socket.close(1000);
  }

  /** Ends the hard way. */
  cut() {
    this.#socket.terminate();
  }
}

export class FakeLab {
  /** The requests that came in, "METHOD path" with their body. */
  requests = [];
  /** The values of after that the websockets came with. */
  afters = [];
  /** Answers in place of the ordinary ones, by "METHOD path": {status, body}. */
  answers = new Map();
  /** Promises that a request waits for before its answer, by "METHOD path". */
  holds = new Map();
  /** Event numbers that are logged but not sent, to make a gap. */
  swallowed = new Set();
  /** Whether the page has a terminal, as that of a lab with clusters has. */
  hasTerminal = false;
  /** The terminals that pages have opened, the newest last. */
  terminals = [];
  sandbox = undefined;
  #made = 0;
  #sockets = new Set();
  #server;
  #upgrader = new WebSocketServer({ noServer: true });

  /** Begins to serve, on the given port or any. */
  async listen(port = 0) {
    if (!existsSync(script)) throw new Error("static/dist/lab.js is missing: run npm run build in web/frontend");
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on("upgrade", (...args) => this.#upgrade(...args));
    await new Promise((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}/`;
  }

  async close() {
    this.cut();
    for (const t of this.terminals) t.cut();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Makes a sandbox in the given state, in place of any other. */
  make(state = "queued") {
    const steps = ["Start the node", "Start Kubernetes", "Prove that policies work"];
    this.sandbox = {
      seq: 1, // the state that it begins in
      log: [],
      picture: {
        id: `sandbox${++this.#made}`,
        lab: "network-policies",
        provider: "kind",
        state,
        steps: steps.map((name, i) => ({ index: i + 1, total: steps.length, name, status: state === "ready" ? "done" : "pending" })),
        policies: [],
        change: 0,
        observations: state === "ready" ? flows.map((flow) => ({ flow, verdict: "open", latencyMicros: 420, server: "production/api" })) : [],
      },
    };
    return this.sandbox;
  }

  /** Tells an event to everybody who watches. */
  emit(type, body) {
    const { sandbox } = this;
    const event = { seq: ++sandbox.seq, time: new Date().toISOString(), type, [type]: body };
    assertEvent(event);
    const { picture } = sandbox;
    if (type === "state") Object.assign(picture, { reason: undefined }, body);
    if (type === "step") picture.steps[body.index - 1] = body;
    if (type === "policies") picture.change = body.change;
    if (type === "predictions") Object.assign(picture, { change: body.change, predictions: body });
    if (type === "observations") {
      const told = new Map(picture.observations.map((o) => [o.flow, o]));
      for (const o of body.flows) told.set(o.flow, o);
      picture.observations = [...told.values()];
    }
    sandbox.log.push(event);
    if (!this.swallowed.delete(event.seq)) this.#send([event]);
    return event;
  }

  state(state, reason) {
    this.emit("state", { state, reason });
  }

  step(index, status, elapsedMillis) {
    this.emit("step", { ...this.sandbox.picture.steps[index - 1], status, elapsedMillis });
  }

  observe(verdict, ...which) {
    this.emit("observations", { change: this.sandbox.picture.change, flows: which.map((flow) => ({ flow, verdict })) });
  }

  /** Carries out a change of policies, after which those are in force, as the real lab tells it. */
  change(policies, verdicts, origin = "apply") {
    const change = this.sandbox.picture.change + 1;
    const expected = Object.entries(verdicts).map(([flow, verdict]) => ({ verdict, flows: [flow] }));
    this.emit("predictions", { change, policies: [], expected });
    const { picture } = this.sandbox;
    const old = new Map(picture.policies.map((p) => [p.namespace + "/" + p.name, p]));
    const before = (p) => old.get(p.namespace + "/" + p.name);
    const now = policies.map(before);
    picture.policies = policies;
    this.emit("policies", {
      change,
      added: policies.filter((p, i) => !now[i]).map(ref),
      changed: policies.filter((p, i) => now[i] && now[i].yaml !== p.yaml).map(ref),
      removed: [...old.values()].filter((p) => !now.includes(p)).map(ref),
      origin,
    });
    this.emit("observations", { change, flows: Object.entries(verdicts).map(([flow, verdict]) => ({ flow, verdict })) });
    this.emit("settled", { change, tookMillis: 640, firstFlipMillis: 130, flows: flows.length, flips: Object.keys(verdicts).length });
  }

  /** What the flows turn to with the next Apply, by flow. */
  verdicts = {};

  /** Makes those the policies in force, as long as no other change has come in between. */
  #apply(body, base, json) {
    const { picture } = this.sandbox;
    const inForce = () => ({ change: picture.change, policies: picture.policies });
    if (base !== picture.change) return json(409, { error: "The policies were changed meanwhile, so nothing was applied.", inForce: inForce() });
    const policies = body.split(/^---\n/m).filter((d) => /\S/.test(d));
    const named = (d, field) => new RegExp(`^  ${field}: (.+)$`, "m").exec(d)?.[1];
    this.change(policies.map((yaml) => ({ namespace: named(yaml, "namespace"), name: named(yaml, "name"), yaml })).sort((a, b) => (a.name < b.name ? -1 : 1)), this.verdicts);
    return json(200, inForce());
  }

  /** Ends every websocket the hard way. */
  cut() {
    for (const socket of this.#sockets) socket.terminate();
    this.#sockets.clear();
  }

  get watchers() {
    return this.#sockets.size;
  }

  #send(events) {
    for (const socket of this.#sockets) socket.send(JSON.stringify(events));
  }

  #snapshot() {
    const { seq, picture } = this.sandbox;
    const event = { seq, time: new Date().toISOString(), type: "snapshot", snapshot: { ...picture, policies: picture.policies.map(ref) } };
    assertEvent(event);
    return event;
  }

  #upgrade(request, socket, head) {
    const url = new URL(request.url, this.url);
    if (url.pathname === `/sandboxes/${this.sandbox?.picture.id}/terminal` && !this.answers.has(`GET ${url.pathname}`)) {
      this.#upgrader.handleUpgrade(request, socket, head, (ws) => this.terminals.push(new FakeTerminal(ws)));
      return;
    }
    if (url.pathname !== `/sandboxes/${this.sandbox?.picture.id}/events`) {
      socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    const after = Number(url.searchParams.get("after"));
    this.afters.push(after);
    this.#upgrader.handleUpgrade(request, socket, head, (ws) => {
      this.#sockets.add(ws);
      ws.on("close", () => this.#sockets.delete(ws));
      const { log, seq } = this.sandbox;
      if (after === 0 || after > seq || after < (log[0]?.seq ?? seq + 1) - 1) ws.send(JSON.stringify([this.#snapshot()]));
      else if (after < seq) ws.send(JSON.stringify(log.filter((e) => e.seq > after)));
    });
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const { pathname, search, searchParams } = new URL(request.url, this.url);
    const key = `${request.method} ${pathname}`;
    this.requests.push({ key, body, query: search, type: request.headers["content-type"], accept: request.headers.accept });
    await this.holds.get(key);
    const json = (status, value) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const id = this.sandbox?.picture.id;
    const answer = this.answers.get(key);
    if (answer) return json(answer.status, answer.body);
    const built = /^GET \/static\/dist\/((?:chunks\/)?[\w-]+\.js)$/.exec(key);
    if (built) {
      response.writeHead(200, { "Content-Type": "text/javascript" });
      return response.end(readFileSync(new URL(built[1], dist)));
    }
    switch (key) {
      case "GET /":
        return this.#page(response);
      case "GET /schema":
        return json(200, schema);
      case "GET /labs/network-policies":
        return json(200, contents);
      case "POST /labs/network-policies/analysis":
        return json(200, analysis(JSON.parse(body)));
      case "GET /favicon.ico":
        response.writeHead(204);
        return response.end();
      case "POST /sandboxes":
        this.make();
        return json(202, { ...this.sandbox.picture, seq: this.sandbox.seq });
      case `POST /sandboxes/${id}/reset`:
        this.cut();
        this.make();
        return json(202, { ...this.sandbox.picture, seq: this.sandbox.seq });
      case `DELETE /sandboxes/${id}`:
        this.state("stopping", "You stopped it.");
        return json(202, {});
      case `GET /sandboxes/${id}/policies`:
        return json(200, { change: this.sandbox.picture.change, policies: this.sandbox.picture.policies });
      case `PUT /sandboxes/${id}/policies`:
        return this.#apply(body, Number(searchParams.get("base")), json);
      case `GET /sandboxes/${id}/why`:
        return json(200, why(searchParams.get("flow")));
      case `GET /sandboxes/${id}/terminal`:
      case `GET /sandboxes/${id}/events`:
        return json(426, { error: "Events are sent over a websocket." });
      case `GET /sandboxes/${id}`:
        return json(200, { ...this.sandbox.picture, seq: this.sandbox.seq });
    }
    return json(404, { error: "There is no such sandbox." });
  }

  #page(response) {
    const nonce = "bm9uY2U";
    response.writeHead(200, {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    });
    const picture = this.sandbox?.picture;
    const state = picture?.state ?? "none";
    const verdictOf = (flow) => picture?.observations.find((o) => o.flow === flow)?.verdict ?? "none";
    const mark = (f) =>
      `<span class="flow" data-flow="${f}" data-verdict="${verdictOf(f)}" data-via="${f.endsWith("@name") ? "name" : "ip"}"><span class="symbol" aria-hidden="true">${verdictOf(f)[0]}</span><span class="via visually-hidden">by</span> <span class="word visually-hidden">${verdictOf(f)}</span></span>`;
    const cell = (...ids) => `<td><div class="cell${ids.length > 1 ? " two" : ""}" data-same="open">${ids.map(mark).join("")}</div></td>`;
    const row = (pod) => `<th scope="row" data-end="${pod}"><span class="namespace">${pod.split("/")[0]}/</span><span class="pod">${pod.split("/")[1]}</span></th>`;
    const column = (to, name, port) => `<th scope="col" data-end="${to}"><span class="pod">${name}</span> <span class="port">${port}</span></th>`;
    response.end(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="csp-nonce" content="${nonce}"><title>Fake lab</title>
<style nonce="${nonce}">
:root { color-scheme: light dark; --text: light-dark(#111, #eee); --pane: light-dark(#fff, #111); --line: light-dark(#ccc, #444); --sunk: light-dark(#eee, #222); --soft: light-dark(#444, #bbb); --accent: light-dark(#15c, #8bf); --open: light-dark(#152, #bfc); --blocked: light-dark(#811, #fcc); --mono: monospace; }
body { color: CanvasText; background: Canvas; }
.visually-hidden { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
.editor, .cm-editor { height: 18rem; }
#terminal-screen { height: 15rem; font-family: monospace; font-size: 14px; }
@keyframes turn { from { opacity: 0.2 } }
.turns { animation: turn 0.3s } @media (prefers-reduced-motion: reduce) { .turns { animation: none } }
</style>
<script type="module" src="/static/dist/lab.js"></script></head>
<body><main><h1>Fake lab</h1>
<pre tabindex="0"><code>${code}</code></pre><p><button type="button" data-insert>Into the workspace</button></p>
<section id="lab" aria-label="Lab" data-lab="network-policies" data-sandbox="${picture?.id ?? ""}" data-state="${state}" data-seq="0" data-change="0">
<button type="button" id="state-chip"><b>Ready</b></button>
<p id="status" role="status" aria-live="polite">The server's sentence.</p>
<form id="start" method="post" action="/sandboxes" ${state === "none" ? "" : "hidden"}><input type="hidden" name="lab" value="network-policies"><button>Start</button></form>
<div id="ends" hidden><span></span><form id="extend" method="post" action="/extend"><button>Keep it longer</button></form></div>
<form id="reset" method="post" action="/reset" ${state === "ready" ? "" : "hidden"}><button>Reset</button></form>
<form id="stop" method="post" action="/stop" ${state === "ready" ? "" : "hidden"}><button>Stop</button></form>
<ol id="steps"></ol>
<p id="connection" role="status"></p>
<div id="files-bar" hidden><div id="files" role="tablist" aria-label="Policies of the workspace"></div>
<button type="button" id="new-file">New policy</button><button type="button" id="undo" hidden>Undo</button><button type="button" id="redo" hidden>Redo</button></div>
<p id="step" role="status"></p>
<form id="policy-form" method="post" action="/policies">
<div id="open-file" role="tabpanel" aria-label="Policy"><p id="file-state" aria-live="polite"></p><div id="file-actions"></div><div id="conflict" role="status"></div>
<label for="policy">Your policies</label><textarea id="policy" name="yaml" rows="10"></textarea></div>
<p id="kept" role="status"></p><div id="problems" role="alert"></div><p id="plan" aria-live="polite"></p><button id="apply">Apply</button>
<p id="applied" role="status"></p></form>
${this.hasTerminal ? terminal : ""}
<section id="see" aria-label="See" tabindex="-1"><div class="lab-matrix"><div class="see-tools"><div data-see="view" role="group" aria-label="View"></div></div>
<button type="button" data-see="filter" aria-expanded="false">Filter</button>
<button type="button" data-see="turn" aria-pressed="false">Transpose</button>
<div data-see="filters" role="search" aria-label="Connections" hidden><label>Text <input data-see="text"></label> <label>Verdict <select data-see="verdict"><option value="">any</option></select></label>
<label>Changed <select data-see="since"><option value="">at any time</option></select></label>
<button type="button" data-see="clear">Clear</button></div>
<p data-see="found" role="status"></p><p data-see="pending" aria-hidden="true"></p>
<p id="settled" role="status"></p>
<p id="disagreement" role="status"></p>
<div data-see="views"><div data-see="matrix"><table id="matrix"><caption>Who can reach whom</caption>
<thead><tr><td rowspan="2"></td><th scope="colgroup" class="group" data-group="production">production</th><th scope="colgroup" class="group" data-group="cluster DNS">cluster DNS</th></tr>
<tr>${column("production/api:8080/TCP", "api", "8080")}${column("kube-system/kube-dns:53/UDP", "dns", "53 UDP")}</tr></thead>
<tbody data-group="production"><tr>${row("production/web")}${cell(flows[0], flows[1])}${cell(flows[2])}</tr></tbody>
<tbody data-group="development"><tr>${row("development/shell")}${cell(flows[3], flows[4])}${cell(flows[5])}</tr></tbody>
</table></div>
<div data-see="list" hidden></div>
<div data-see="picture" hidden></div></div></div></section>
<div id="history" class="view"><div id="files-in-out" class="buttons" hidden><button type="button" id="import">Import files…</button><input type="file" id="import-files" multiple hidden>
<button type="button" id="export">Download as zip</button><button type="button" id="share">Copy a link</button></div><div id="in-out-said" role="status"></div>
<div id="history-said" role="status"></div><div id="history-list"></div><div id="history-compare" hidden><h2 tabindex="-1" id="compare-title"></h2><div id="compare-body"></div><button type="button" id="compare-close">Close</button></div></div>
<aside id="why" class="why" aria-label="Why" tabindex="-1"><div data-why="panel"><h2 data-why="title">Why?</h2></div><p class="visually-hidden" role="status" data-why="said"></p></aside>
</section></main></body></html>`);
  }
}

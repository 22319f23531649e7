// src/feed.test.ts
import assert from "node:assert/strict";
import { mock, test } from "node:test";

// src/feed.ts
var firstPause = 250;
var longestPause = 15e3;
var goodAfter = 5e3;
var hiddenFor = 6e4;
var Feed = class {
  #options;
  #id = "";
  #seq = 0;
  #socket;
  #attempts = 0;
  #retry;
  #hide;
  #paused = false;
  constructor(options) {
    this.#options = options;
  }
  /** Follows the sandbox from a snapshot on, in place of any other. */
  follow(id) {
    this.stop();
    this.#id = id;
    this.#seq = 0;
    this.#attempts = 0;
    this.#open();
  }
  /** Follows nothing any more. */
  stop() {
    this.#drop();
    this.#id = "";
    this.#options.connection("idle");
  }
  /** Tries again at once: the network or the page is back. */
  wake() {
    clearTimeout(this.#hide);
    this.#paused = false;
    if (!this.#id || this.#socket) return;
    this.#attempts = 0;
    clearTimeout(this.#retry);
    this.#open();
  }
  /** The page cannot be seen: stop watching unless it soon can be again. */
  hidden() {
    clearTimeout(this.#hide);
    this.#hide = setTimeout(() => {
      this.#paused = true;
      if (!this.#id) return;
      this.#drop();
      this.#options.connection("paused");
    }, hiddenFor);
  }
  #open() {
    if (this.#paused) return;
    const id = this.#id;
    const socket = this.#options.connect(id, this.#seq);
    let opened = 0;
    this.#socket = socket;
    this.#options.connection(this.#attempts === 0 ? "connecting" : "retrying");
    socket.onopen = () => {
      opened = Date.now();
      this.#options.connection("live");
    };
    socket.onmessage = (message) => this.#receive(JSON.parse(message.data));
    socket.onclose = () => {
      this.#drop();
      if (opened && Date.now() - opened >= goodAfter) this.#attempts = 0;
      this.#later();
      if (!opened) void this.#checkGone(id);
    };
  }
  #receive(batch) {
    const fresh = [];
    let gap = false;
    for (const event of batch) {
      if (event.type !== "snapshot") {
        if (event.seq <= this.#seq) continue;
        gap = event.seq > this.#seq + 1;
        if (gap) break;
      }
      this.#seq = event.seq;
      fresh.push(event);
    }
    if (gap) {
      this.#drop();
      this.#later();
    }
    if (fresh.length > 0) this.#options.events(fresh);
  }
  async #checkGone(id) {
    const exists = await this.#options.exists(id).catch(() => true);
    if (exists || id !== this.#id) return;
    this.stop();
    this.#options.gone();
  }
  #later() {
    this.#options.connection("retrying");
    const pause = Math.min(firstPause * 2 ** this.#attempts, longestPause);
    this.#attempts++;
    this.#retry = setTimeout(() => this.#open(), pause * (0.5 + Math.random() / 2));
  }
  #drop() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = void 0;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
};

// src/feed.test.ts
var FakeSocket = class {
  constructor(id, after) {
    this.id = id;
    this.after = after;
  }
  id;
  after;
  onopen = null;
  onmessage = null;
  onclose = null;
  closed = false;
  close() {
    this.closed = true;
  }
  open() {
    this.onopen?.({});
  }
  send(...events) {
    this.onmessage?.({ data: JSON.stringify(events) });
  }
  cut() {
    this.onclose?.({});
  }
};
function setUp(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const random = mock.method(Math, "random", () => 1);
  t.after(() => {
    mock.timers.reset();
    random.mock.restore();
  });
  const sockets = [];
  const told = [];
  const connections = [];
  const server = { has: true, gone: 0 };
  const feed = new Feed({
    connect(id, after) {
      const socket = new FakeSocket(id, after);
      sockets.push(socket);
      return socket;
    },
    exists: async () => server.has,
    events: (batch) => told.push(...batch),
    connection: (now) => connections.push(now),
    gone: () => server.gone++
  });
  const last = () => sockets.at(-1);
  return { feed, sockets, told, connections, server, last, seqs: () => told.map((e) => e.seq) };
}
var snapshot = (seq) => ({ seq, time: "", type: "snapshot", snapshot: {} });
var step = (seq) => ({ seq, time: "", type: "step", step: {} });
test("follow_begins_with_a_snapshot", (t) => {
  const { feed, last, seqs, connections } = setUp(t);
  feed.follow("a");
  assert.equal(last().after, 0);
  last().open();
  last().send(snapshot(41), step(42));
  assert.deepEqual(seqs(), [41, 42]);
  assert.equal(connections.at(-1), "live");
});
test("a_feed_that_was_cut_off_comes_back_with_its_last_number", (t) => {
  const { feed, sockets, last, connections } = setUp(t);
  feed.follow("a");
  last().open();
  last().send(snapshot(41), step(42));
  last().cut();
  assert.equal(connections.at(-1), "retrying");
  mock.timers.tick(249);
  assert.equal(sockets.length, 1);
  mock.timers.tick(1);
  assert.equal(sockets.length, 2);
  assert.equal(last().after, 42);
});
test("an_event_that_was_told_is_not_told_again", (t) => {
  const { feed, last, seqs } = setUp(t);
  feed.follow("a");
  last().send(snapshot(2));
  last().send(step(1), step(2), step(3));
  last().send(step(3));
  assert.deepEqual(seqs(), [2, 3]);
});
test("a_gap_is_closed_by_connecting_again_from_the_last_good_number", (t) => {
  const { feed, sockets, last, seqs } = setUp(t);
  feed.follow("a");
  last().open();
  last().send(snapshot(2));
  last().send(step(3), step(5), step(6));
  assert.deepEqual(seqs(), [2, 3]);
  assert.equal(sockets[0]?.closed, true);
  mock.timers.tick(250);
  assert.equal(last().after, 3);
  last().send(step(4), step(5));
  assert.deepEqual(seqs(), [2, 3, 4, 5]);
});
test("a_snapshot_may_count_from_anew", (t) => {
  const { feed, last, seqs } = setUp(t);
  feed.follow("a");
  last().send(snapshot(900));
  last().send(snapshot(3), step(4));
  assert.deepEqual(seqs(), [900, 3, 4]);
});
test("pauses_double_to_a_quarter_of_a_minute_and_begin_anew_after_a_good_connection", (t) => {
  const { feed, sockets, last } = setUp(t);
  feed.follow("a");
  for (const pause of [250, 500, 1e3, 2e3, 4e3, 8e3, 15e3, 15e3]) {
    const before2 = sockets.length;
    last().cut();
    mock.timers.tick(pause - 1);
    assert.equal(sockets.length, before2, `before ${pause} ms`);
    mock.timers.tick(1);
    assert.equal(sockets.length, before2 + 1, `after ${pause} ms`);
  }
  last().open();
  mock.timers.tick(5e3);
  const before = sockets.length;
  last().cut();
  mock.timers.tick(250);
  assert.equal(sockets.length, before + 1);
});
test("wake_does_not_wait_for_the_pause", (t) => {
  const { feed, sockets, last } = setUp(t);
  feed.follow("a");
  last().cut();
  feed.wake();
  assert.equal(sockets.length, 2);
  feed.wake();
  mock.timers.tick(6e4);
  assert.equal(sockets.length, 2);
});
test("a_hidden_page_stops_watching_after_a_minute_and_goes_on_when_seen", (t) => {
  const { feed, sockets, last, connections } = setUp(t);
  feed.follow("a");
  last().open();
  last().send(snapshot(7));
  feed.hidden();
  mock.timers.tick(59999);
  assert.equal(last().closed, false);
  mock.timers.tick(1);
  assert.equal(last().closed, true);
  assert.equal(connections.at(-1), "paused");
  mock.timers.tick(6e5);
  assert.equal(sockets.length, 1);
  feed.wake();
  assert.equal(sockets.length, 2);
  assert.equal(last().after, 7);
});
test("a_page_that_is_hidden_for_less_goes_on_watching", (t) => {
  const { feed, last } = setUp(t);
  feed.follow("a");
  last().open();
  feed.hidden();
  mock.timers.tick(3e4);
  feed.wake();
  mock.timers.tick(6e5);
  assert.equal(last().closed, false);
});
test("a_sandbox_that_is_not_there_ends_the_feed", async (t) => {
  const { feed, sockets, last, server, connections } = setUp(t);
  server.has = false;
  feed.follow("a");
  last().cut();
  await new Promise(setImmediate);
  assert.equal(server.gone, 1);
  assert.equal(connections.at(-1), "idle");
  mock.timers.tick(6e5);
  assert.equal(sockets.length, 1);
});
test("a_server_that_does_not_answer_is_tried_again", async (t) => {
  const { feed, sockets, last, server } = setUp(t);
  feed.follow("a");
  last().cut();
  await new Promise(setImmediate);
  mock.timers.tick(250);
  assert.equal(server.gone, 0);
  assert.equal(sockets.length, 2);
});
test("following_another_sandbox_lets_go_of_the_first", async (t) => {
  const { feed, sockets, last, server, seqs } = setUp(t);
  server.has = false;
  feed.follow("a");
  const first = last();
  first.cut();
  feed.follow("b");
  await new Promise(setImmediate);
  assert.equal(server.gone, 0);
  assert.equal(last().id, "b");
  assert.equal(last().after, 0);
  first.send(snapshot(5));
  mock.timers.tick(6e5);
  assert.equal(sockets.length, 2);
  assert.deepEqual(seqs(), []);
});

import assert from "node:assert/strict";
import { mock, test, type TestContext } from "node:test";
import type { SandboxEvent } from "./events.gen";
import { Feed, type Refused, type Socket } from "./feed";

class FakeSocket implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  closed = false;
  constructor(
    readonly id: string,
    readonly after: number,
  ) {}
  close(): void {
    this.closed = true;
  }
  open(): void {
    this.onopen?.({});
  }
  send(...events: object[]): void {
    this.onmessage?.({ data: JSON.stringify(events) });
  }
  cut(): void {
    this.onclose?.({});
  }
}

/** A feed on fake sockets and a fake clock; jitter always gives the whole pause. */
function setUp(t: TestContext) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const random = mock.method(Math, "random", () => 1);
  t.after(() => {
    mock.timers.reset();
    random.mock.restore();
  });
  const sockets: FakeSocket[] = [];
  const told: SandboxEvent[] = [];
  const connections: string[] = [];
  const said: (string | undefined)[] = [];
  const server: { why: Refused | undefined; gone: number } = { why: undefined, gone: 0 };
  const feed = new Feed({
    connect(id, after) {
      const socket = new FakeSocket(id, after);
      sockets.push(socket);
      return socket;
    },
    refused: async () => server.why,
    events: (batch) => told.push(...batch),
    connection: (now, message) => {
      connections.push(now);
      said.push(message);
    },
    gone: () => server.gone++,
  });
  const last = (): FakeSocket => sockets.at(-1)!;
  return { feed, sockets, told, connections, said, server, last, seqs: () => told.map((e) => e.seq) };
}

const snapshot = (seq: number): object => ({ seq, time: "", type: "snapshot", snapshot: {} });
const step = (seq: number): object => ({ seq, time: "", type: "step", step: {} });

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
  for (const pause of [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
    const before = sockets.length;
    last().cut();
    mock.timers.tick(pause - 1);
    assert.equal(sockets.length, before, `before ${pause} ms`);
    mock.timers.tick(1);
    assert.equal(sockets.length, before + 1, `after ${pause} ms`);
  }
  last().open();
  mock.timers.tick(5000);
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
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 2);
});

test("a_hidden_page_stops_watching_after_a_minute_and_goes_on_when_seen", (t) => {
  const { feed, sockets, last, connections } = setUp(t);
  feed.follow("a");
  last().open();
  last().send(snapshot(7));
  feed.hidden();
  mock.timers.tick(59_999);
  assert.equal(last().closed, false);
  mock.timers.tick(1);
  assert.equal(last().closed, true);
  assert.equal(connections.at(-1), "paused");
  mock.timers.tick(600_000);
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
  mock.timers.tick(30_000);
  feed.wake();
  mock.timers.tick(600_000);
  assert.equal(last().closed, false);
});

test("a_sandbox_that_is_not_there_ends_the_feed", async (t) => {
  const { feed, sockets, last, server, connections } = setUp(t);
  server.why = "gone";
  feed.follow("a");
  last().cut();
  await new Promise(setImmediate);
  assert.equal(server.gone, 1);
  assert.equal(connections.at(-1), "idle");
  mock.timers.tick(600_000);
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
  server.why = "gone";
  feed.follow("a");
  const first = last();
  first.cut(); // its check for "a" must not end "b"
  feed.follow("b");
  await new Promise(setImmediate);
  assert.equal(server.gone, 0);
  assert.equal(last().id, "b");
  assert.equal(last().after, 0);
  first.send(snapshot(5));
  mock.timers.tick(600_000);
  assert.equal(sockets.length, 2);
  assert.deepEqual(seqs(), []);
});

test("a_server_without_a_place_is_tried_again_slowly_and_what_it_says_is_told", async (t) => {
  const { feed, sockets, last, server, connections, said } = setUp(t);
  server.why = { message: "Close some tabs." };
  feed.follow("a");
  last().cut();
  await new Promise(setImmediate);
  assert.equal(connections.at(-1), "refused");
  assert.equal(said.at(-1), "Close some tabs.");
  mock.timers.tick(29_999);
  assert.equal(sockets.length, 1);
  mock.timers.tick(1);
  assert.equal(sockets.length, 2);
  last().open();
  assert.equal(connections.at(-1), "live");
  assert.equal(said.at(-1), undefined);
});

test("an_answer_that_comes_after_the_next_attempt_changes_nothing", async (t) => {
  const { feed, sockets, last, server, connections } = setUp(t);
  server.why = { message: "Close some tabs." };
  feed.follow("a");
  last().cut();
  feed.wake(); // before the answer
  await new Promise(setImmediate);
  assert.equal(connections.at(-1), "connecting");
  mock.timers.tick(600_000);
  assert.equal(sockets.length, 2);
});

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Session, type Socket, type Standing } from "./session";

class FakeSocket implements Socket {
  binaryType = "";
  onopen: ((ev: any) => void) | null = null;
  onmessage: ((ev: any) => void) | null = null;
  onclose: ((ev: any) => void) | null = null;
  sent: (string | Uint8Array)[] = [];
  closed = false;
  send(data: string | Uint8Array): void {
    this.sent.push(data);
  }
  close(): void {
    this.closed = true;
  }
  says(text: string): void {
    this.onmessage!({ data: new TextEncoder().encode(text).buffer });
  }
}

function setUp(refused: (sandbox: string) => Promise<string | undefined> = async () => undefined) {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  const sockets: FakeSocket[] = [];
  const told: [Standing, string, string][] = [];
  const screen: string[] = [];
  const session = new Session({
    connect(sandbox) {
      const socket = new FakeSocket();
      sockets.push(socket);
      told.push(["idle", `connects to ${sandbox}`, ""]);
      return socket;
    },
    refused,
    output: (bytes) => screen.push(new TextDecoder().decode(bytes)),
    clear: () => screen.splice(0),
    standing: (now, why, end) => told.push([now, why, end]),
  });
  return { session, sockets, screen, standing: () => told.findLast(([, why]) => !why.startsWith("connects"))! };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("the_size_is_sent_first_and_again_when_it_changes", () => {
  const { session, sockets, standing } = setUp();
  session.resize({ columns: 100, rows: 30 });
  session.open("a");
  const socket = sockets[0]!;
  session.resize({ columns: 101, rows: 31 });
  assert.deepEqual(socket.sent, []);
  socket.onopen!({});
  session.resize({ columns: 102, rows: 32 });
  assert.deepEqual(socket.sent, ['{"columns":101,"rows":31}', '{"columns":102,"rows":32}']);
  assert.equal(standing()[0], "connecting");
  socket.says("lab$ ");
  assert.equal(standing()[0], "live");
});

test("what_is_pasted_goes_in_messages_that_the_server_takes", () => {
  const { session, sockets } = setUp();
  session.open("a");
  sockets[0]!.onopen!({});
  session.type("é".repeat(5000));
  const [, ...pieces] = sockets[0]!.sent as Uint8Array[];
  assert.deepEqual(pieces.map((p) => p.length), [4096, 4096, 1808]);
  assert.equal(Buffer.concat(pieces).toString(), "é".repeat(5000));
});

test("a_connection_that_is_cut_off_comes_back_to_a_cleared_screen_later_each_time", () => {
  const { session, sockets, screen, standing } = setUp();
  session.open("a");
  sockets[0]!.onopen!({});
  sockets[0]!.says("one");
  for (const [i, pause] of [500, 1000, 2000, 4000, 8000, 15_000, 15_000].entries()) {
    sockets[i]!.onopen?.({});
    sockets[i]!.onclose!({});
    assert.equal(standing()[0], "retrying");
    mock.timers.tick(pause / 2 - 1);
    assert.equal(sockets.length, i + 1, `after less than half of ${pause} ms`);
    mock.timers.tick(pause / 2 + 1);
    assert.equal(sockets.length, i + 2, `after ${pause} ms`);
  }
  assert.deepEqual(screen, ["one"]);
  const last = sockets.at(-1)!;
  last.onopen!({});
  last.says("one, two");
  assert.deepEqual(screen, ["one, two"]);
  assert.equal(standing()[0], "live");
});

test("an_end_that_the_server_tells_is_not_tried_again", () => {
  const { session, sockets, standing } = setUp();
  session.open("a");
  const socket = sockets[0]!;
  socket.onopen!({});
  socket.onmessage!({ data: '{"end":"elsewhere","message":"It goes on there."}' });
  assert.deepEqual(standing(), ["over", "It goes on there.", "elsewhere"]);
  assert.ok(socket.closed);
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 1);
  session.type("x"); // goes nowhere
  session.open("a");
  assert.equal(sockets.length, 2);
});

test("a_refusal_is_asked_for_and_told", async () => {
  const { session, sockets, standing } = setUp(async () => "So many.");
  session.open("a");
  sockets[0]!.onclose!({});
  await settled();
  assert.deepEqual(standing(), ["over", "So many.", "refused"]);
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 1);
});

test("a_server_that_does_not_answer_is_tried_again", async () => {
  const { session, sockets, standing } = setUp(async () => {
    throw new Error("no network");
  });
  session.open("a");
  sockets[0]!.onclose!({});
  await settled();
  assert.equal(standing()[0], "retrying");
  mock.timers.tick(500);
  assert.equal(sockets.length, 2);
});

test("another_sandbox_takes_the_place_of_the_first_and_a_closed_one_stays_closed", () => {
  const { session, sockets, screen } = setUp();
  session.open("a");
  session.open("b");
  assert.ok(sockets[0]!.closed);
  assert.equal(sockets[0]!.onmessage, null);
  session.close();
  assert.ok(sockets[1]!.closed);
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 2);
  assert.deepEqual(screen, []);
});

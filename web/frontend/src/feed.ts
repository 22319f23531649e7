// Follows one sandbox's events over a websocket, and comes back when it is cut
// off: nothing is lost and nothing is told twice.

import type { SandboxEvent } from "./events.gen";

export type Connection = "idle" | "connecting" | "live" | "retrying" | "refused" | "paused";

/** Why the server does not open a connection: it has no such sandbox, or the sentence that it says. */
export type Refused = "gone" | { message: string };

/** What a feed needs of a WebSocket. */
export interface Socket {
  onopen: ((ev: any) => void) | null;
  onmessage: ((ev: any) => void) | null;
  onclose: ((ev: any) => void) | null;
  close(): void;
}

export interface FeedOptions {
  connect(id: string, after: number): Socket;
  /** Asks why a connection was not opened; undefined where the server would open one. Rejects where it cannot be asked. */
  refused(id: string): Promise<Refused | undefined>;
  events(batch: SandboxEvent[]): void;
  /** Tells how the connection is, and the sentence of a server that has refused it. */
  connection(now: Connection, message?: string): void;
  gone(): void;
}

/** The first and the longest pause before another attempt, in milliseconds. */
const firstPause = 250;
const longestPause = 15_000;
/** The pause after the server has said that it has no place. */
const refusedPause = 30_000;
/** A connection that has lasted this long was a good one. */
const goodAfter = 5_000;
/** How long a hidden page goes on watching: the server measures for watchers only. */
const hiddenFor = 60_000;

export class Feed {
  #options: FeedOptions;
  #id = "";
  #seq = 0;
  #socket: Socket | undefined;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #hide: ReturnType<typeof setTimeout> | undefined;
  #paused = false;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Follows the sandbox from a snapshot on, in place of any other. */
  follow(id: string): void {
    this.stop();
    this.#id = id;
    this.#seq = 0;
    this.#attempts = 0;
    this.#open();
  }

  /** Follows nothing any more. */
  stop(): void {
    this.#drop();
    this.#id = "";
    this.#options.connection("idle");
  }

  /** Tries again at once: the network or the page is back. */
  wake(): void {
    clearTimeout(this.#hide);
    this.#paused = false;
    if (!this.#id || this.#socket) return;
    this.#attempts = 0;
    clearTimeout(this.#retry);
    this.#open();
  }

  /** The page cannot be seen: stop watching unless it soon can be again. */
  hidden(): void {
    clearTimeout(this.#hide);
    this.#hide = setTimeout(() => {
      this.#paused = true;
      if (!this.#id) return;
      this.#drop();
      this.#options.connection("paused");
    }, hiddenFor);
  }

  #open(): void {
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
      // A browser does not tell why a connection was refused.
      if (!opened) void this.#ask(id);
    };
  }

  #receive(batch: SandboxEvent[]): void {
    const fresh: SandboxEvent[] = [];
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

  async #ask(id: string): Promise<void> {
    const attempt = this.#attempts;
    const why = await this.#options.refused(id).catch(() => undefined);
    // Meanwhile the page may follow another, or the next attempt may be under way.
    if (!why || id !== this.#id || attempt !== this.#attempts || this.#socket || this.#paused) return;
    if (why === "gone") {
      this.stop();
      this.#options.gone();
      return;
    }
    this.#options.connection("refused", why.message);
    this.#again(refusedPause);
  }

  #later(): void {
    this.#options.connection("retrying");
    const pause = Math.min(firstPause * 2 ** this.#attempts, longestPause);
    this.#attempts++;
    this.#again(pause);
  }

  // Many pages that were cut off together should not come back together.
  #again(pause: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(), pause * (0.5 + Math.random() / 2));
  }

  #drop(): void {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

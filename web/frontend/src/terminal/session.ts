// Keeps the page connected to its sandbox's terminal: one that was cut off comes back by
// itself, one that has ended waits to be asked for again.

export interface Size {
  columns: number;
  rows: number;
}

/** How the terminal is. "over" is told with the sentence that says why. */
export type Standing = "idle" | "connecting" | "live" | "retrying" | "over";

/** What a session needs of a WebSocket. */
export interface Socket {
  binaryType: string;
  onopen: ((ev: any) => void) | null;
  onmessage: ((ev: any) => void) | null;
  onclose: ((ev: any) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
}

export interface SessionOptions {
  connect(sandbox: string): Socket;
  /** Asks why a connection was not opened; undefined where the server would open one. Rejects where it cannot be asked. */
  refused(sandbox: string): Promise<string | undefined>;
  /** What the shell has written; the first of a connection comes with all that was written before. */
  output(bytes: Uint8Array): void;
  /** Clears the screen: what comes is what stood there, and more. */
  clear(): void;
  standing(now: Standing, why: string, end: string): void;
}

/** The first and the longest pause before another attempt, in milliseconds. */
const firstPause = 500;
const longestPause = 15_000;
/** The longest message that the server takes, in bytes; what is pasted may be longer. */
const longestMessage = 4096;

export class Session {
  readonly #options: SessionOptions;
  #sandbox = "";
  #size: Size = { columns: 80, rows: 24 };
  #socket: Socket | undefined;
  #live = false;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Opens the sandbox's terminal, in place of any other. */
  open(sandbox: string): void {
    this.#drop();
    this.#sandbox = sandbox;
    this.#attempts = 0;
    this.#connect();
  }

  /** Leaves the terminal; the shell stays for a while. */
  close(): void {
    this.#drop();
    this.#sandbox = "";
    this.#options.standing("idle", "", "");
  }

  resize(size: Size): void {
    this.#size = size;
    if (this.#live) this.#socket!.send(JSON.stringify(size));
  }

  /** Sends what was typed or pasted. What is typed while there is no connection is lost, as the screen shows. */
  type(text: string): void {
    if (!this.#live) return;
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += longestMessage) this.#socket!.send(bytes.slice(at, at + longestMessage));
  }

  #connect(): void {
    const sandbox = this.#sandbox;
    const socket = this.#options.connect(sandbox);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#options.standing(this.#attempts === 0 ? "connecting" : "retrying", "", "");
    let opened = false;
    let written = false;
    socket.onopen = () => {
      opened = this.#live = true;
      socket.send(JSON.stringify(this.#size));
    };
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
      if (typeof data === "string") {
        const { end, message } = JSON.parse(data) as { end: string; message: string };
        this.#over(message, end);
        return;
      }
      if (!written) {
        written = true;
        this.#attempts = 0;
        this.#options.clear();
        this.#options.standing("live", "", "");
      }
      this.#options.output(new Uint8Array(data));
    };
    socket.onclose = () => {
      this.#drop();
      this.#later();
      // A browser does not tell why a connection was refused.
      if (!opened) void this.#ask(sandbox);
    };
  }

  async #ask(sandbox: string): Promise<void> {
    // Where it cannot be asked, the next attempt goes on all the same.
    const why = await this.#options.refused(sandbox).catch(() => undefined);
    if (why !== undefined && sandbox === this.#sandbox && !this.#socket) this.#over(why, "refused");
  }

  #over(why: string, end: string): void {
    this.#drop();
    this.#options.standing("over", why, end);
  }

  #later(): void {
    this.#options.standing("retrying", "", "");
    const pause = Math.min(firstPause * 2 ** this.#attempts, longestPause);
    this.#attempts++;
    this.#retry = setTimeout(() => this.#connect(), pause * (0.5 + Math.random() / 2));
  }

  #drop(): void {
    clearTimeout(this.#retry);
    this.#live = false;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

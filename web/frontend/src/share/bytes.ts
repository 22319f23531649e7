// Compression with a bound: what comes from a link or a file may be made to grow without
// end.

/** Something that is not what it says it is, or too much; the message can be shown. */
export class Unreadable extends Error {}

/** All that the stream gives; an Unreadable where that is more than most bytes. */
async function collect(stream: ReadableStream<Uint8Array>, most: number, tooMuch: string): Promise<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > most) {
      // What is left is never asked for.
      await reader.cancel().catch(() => undefined);
      throw new Unreadable(tooMuch);
    }
    parts.push(value);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return collect(streamOf(bytes).pipeThrough(new CompressionStream("deflate-raw")), Infinity, "");
}

/** Undoes deflate. What is cut off or no such stream rejects, as something else than an Unreadable. */
export async function inflate(bytes: Uint8Array<ArrayBuffer>, most: number, tooMuch: string): Promise<Uint8Array<ArrayBuffer>> {
  return collect(streamOf(bytes).pipeThrough(new DecompressionStream("deflate-raw")), most, tooMuch);
}

/** In pieces, so that inflating them can stop between two. */
function streamOf(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  const piece = 16 << 10;
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < bytes.length) controller.enqueue(bytes.subarray(at, (at += piece)));
      else controller.close();
    },
  });
}

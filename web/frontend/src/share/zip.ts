// Zip archives of small text files, written and read. Pure: no DOM. What is read is
// bounded in all that an archive can be made to be: entries, sizes, and what they say of
// themselves. A path is nothing but a name here: nothing is ever written to it.

import { deflate, inflate, Unreadable } from "./bytes";

export interface Entry {
  /** The path in the archive. */
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** What an archive may be, in bytes, and what may be in it. */
export const mostArchive = 4 << 20;
const mostEntries = 500;
const mostEntry = 1 << 20;
const mostInAll = 2 << 20;

const broken = "The zip is broken: it was not saved whole, or is no zip.";
const tooMuch = "The zip has more in it than the lab takes: 500 files, and 2 MiB when unpacked.";

const local = 0x04034b50;
const central = 0x02014b50;
const end = 0x06054b50;
const utf8 = 1 << 11;
const encrypted = 1;
const [stored, deflated] = [0, 8];

/** Whether the bytes begin as an archive does. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5) && bytes[3] === bytes[2]! + 1;
}

/** An archive of the entries, each deflated where that makes it shorter. Two of the same entries are the same archive. */
export async function zip(entries: readonly Entry[]): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, bytes } of entries) {
    const path = new TextEncoder().encode(name);
    const packed = await deflate(bytes);
    const [method, data] = packed.length < bytes.length ? [deflated, packed] : [stored, bytes];
    // Version 2.0; 1 January 1980, which is the earliest that there is.
    const common = [20, 2, utf8, 2, method, 2, 0, 2, 0x21, 2, crc32(bytes), 4, data.length, 4, bytes.length, 4, path.length, 2, 0, 2];
    const header = numbers(local, 4, ...common);
    directory.push(numbers(central, 4, 20, 2, ...common, 0, 2, 0, 2, 0, 2, 0, 4, at, 4), path);
    parts.push(header, path, data);
    at += header.length + path.length + data.length;
  }
  const size = directory.reduce((n, part) => n + part.length, 0);
  const tail = numbers(end, 4, 0, 2, 0, 2, entries.length, 2, entries.length, 2, size, 4, at, 4, 0, 2);
  return join([...parts, ...directory, tail]);
}

/** The files of an archive; an Unreadable says why it cannot be read. */
export async function unzip(archive: Uint8Array<ArrayBuffer>): Promise<Entry[]> {
  if (archive.length > mostArchive) throw new Unreadable(tooMuch);
  const view = new DataView(archive.buffer, archive.byteOffset, archive.length);
  const u16 = (at: number): number => view.getUint16(at, true);
  const u32 = (at: number): number => view.getUint32(at, true);
  try {
    const tail = tailOf(view);
    const count = u16(tail + 10);
    let at = u32(tail + 16);
    if (count > mostEntries) throw new Unreadable(tooMuch);
    if (count === 0xffff || at === 0xffffffff || u16(tail + 4) !== 0) throw new Unreadable(broken);
    const found: Entry[] = [];
    let inAll = 0;
    for (let i = 0; i < count; i++) {
      if (u32(at) !== central) throw new Unreadable(broken);
      const [flags, method] = [u16(at + 8), u16(at + 10)];
      const [sum, packed, size] = [u32(at + 16), u32(at + 20), u32(at + 24)];
      const [nameLength, extra, comment] = [u16(at + 28), u16(at + 30), u16(at + 32)];
      const header = u32(at + 42);
      const name = new TextDecoder().decode(slice(archive, at + 46, nameLength));
      at += 46 + nameLength + extra + comment;
      if (name.endsWith("/")) continue; // a folder
      if (flags & encrypted) throw new Unreadable("The zip has a password. Make one without.");
      if (u32(header) !== local) throw new Unreadable(broken);
      // The local header has lengths of its own, and says nothing else that counts.
      const data = slice(archive, header + 30 + u16(header + 26) + u16(header + 28), packed);
      const room = Math.min(mostEntry, mostInAll - inAll);
      if (size > room) throw new Unreadable(tooMuch);
      let bytes: Uint8Array<ArrayBuffer>;
      if (method === stored) bytes = data.slice();
      else if (method === deflated) bytes = await inflate(data, room, tooMuch);
      else throw new Unreadable(`The zip has ${name} packed in a way that the lab does not know. Pack it anew, as usual.`);
      if (bytes.length !== size || crc32(bytes) !== sum) throw new Unreadable(broken);
      inAll += size;
      found.push({ name, bytes });
    }
    return found;
  } catch (error) {
    throw error instanceof Unreadable ? error : new Unreadable(broken);
  }
}

/** Where the record at the end begins. Behind it there may be a comment of 64 KiB. */
function tailOf(view: DataView): number {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 22 - 0xffff); at--) {
    if (view.getUint32(at, true) === end && at + 22 + view.getUint16(at + 20, true) === view.byteLength) return at;
  }
  throw new Unreadable(broken);
}

function slice(bytes: Uint8Array<ArrayBuffer>, at: number, length: number): Uint8Array<ArrayBuffer> {
  if (at + length > bytes.length) throw new Unreadable(broken);
  return bytes.subarray(at, at + length);
}

/** The bytes of numbers, each with how many bytes it has, the lowest first. */
function numbers(...pairs: number[]): Uint8Array {
  const out: number[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    for (let n = 0; n < pairs[i + 1]!; n++) out.push(Math.floor(pairs[i]! / 2 ** (8 * n)) & 0xff);
  }
  return Uint8Array.from(out);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const sums = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const b of bytes) sum = sums[(sum ^ b) & 0xff]! ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

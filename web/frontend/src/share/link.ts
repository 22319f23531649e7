// A workspace in a link's fragment, which is sent to no server: "share=1." and then the
// files, in JSON, deflated, in base64url. Pure: no DOM.

import { deflate, inflate, Unreadable } from "./bytes";

/** What a link brings. */
export interface Shared {
  /** The name of the lab that it was made in. */
  lab: string;
  /** The files' texts, in their order. */
  files: string[];
  /** The lab itself, in YAML, where it is a learner's own; whoever opens the link need not have it. */
  topology?: string;
}

const start = "share=";
const version = "1.";

/** How long a link's fragment may be, in characters: what mail programs and chats leave whole. */
export const longest = 32 << 10;
/** How much text a link may bring, in bytes, and in how many files: as much as a sandbox may hold. */
const mostText = 256 << 10;
const mostFiles = 100;
/** How long a lab's YAML may be, in bytes: as the server takes it. */
const mostTopology = 32 << 10;

const cut = "The link is not whole: a part of it was cut off or changed on the way. Ask for it once more, and copy all of it.";

/** The fragment for the files, without its #. An Unreadable says that they are too much for a link. */
export async function toFragment(shared: Shared): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(shared));
  const fragment = start + version + base64url(await deflate(bytes));
  if (fragment.length > longest || bytes.length > mostText || shared.files.length > mostFiles) {
    throw new Unreadable("This is too long for a link. Download the policies as a zip, and send that.");
  }
  return fragment;
}

/** Whether the fragment, with or without its #, is meant to bring files. */
export function isShared(fragment: string): boolean {
  return fragment.replace(/^#/, "").startsWith(start);
}

/** What the fragment brings; an Unreadable says why that cannot be had. */
export async function fromFragment(fragment: string): Promise<Shared> {
  const text = fragment.replace(/^#/, "");
  if (!text.startsWith(start) || text.length > longest) throw new Unreadable(cut);
  const rest = text.slice(start.length);
  if (!rest.startsWith(version)) {
    throw new Unreadable(/^\d+\./.test(rest) ? "The link was made by a newer version of the lab, which this one cannot read." : cut);
  }
  let found: unknown;
  try {
    const bytes = await inflate(fromBase64url(rest.slice(version.length)), 2 * mostText, "The link would bring more than a lab can hold, so it was not opened.");
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw error instanceof Unreadable ? error : new Unreadable(cut);
  }
  const { lab, files, topology } = (found ?? {}) as { lab?: unknown; files?: unknown; topology?: unknown };
  const whole =
    typeof lab === "string" && lab.length <= 100 && Array.isArray(files) && files.every((f) => typeof f === "string") && (topology === undefined || typeof topology === "string");
  if (!whole) throw new Unreadable(cut);
  const texts = files as string[];
  if (texts.length > mostFiles || texts.reduce((n, f) => n + f.length, 0) > mostText || (topology?.length ?? 0) > mostTopology) {
    throw new Unreadable("The link would bring more than a lab can hold, so it was not opened.");
  }
  return { lab, files: texts, ...(topology === undefined ? {} : { topology }) };
}

function base64url(bytes: Uint8Array): string {
  let binary = "";
  for (const b of bytes) binary += String.fromCharCode(b);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]*$/.test(text)) throw new Unreadable(cut);
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

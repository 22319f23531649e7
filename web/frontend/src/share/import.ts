// Policies out of files: YAML and JSON, and zips of them. What is no NetworkPolicy is set
// aside with a sentence. Pure: no DOM.

import { aside, documents, headOf, plain } from "../workspace/text";
import { Unreadable } from "./bytes";
import { isZip, mostArchive, unzip, zip } from "./zip";

/** A file as it was chosen or dropped, or as it is in a zip. */
export interface Named {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface Imported {
  /** The policies' texts, each one document. */
  policies: string[];
  /** What was set aside or could not be read, in sentences. */
  notes: string[];
}

/** How much is taken at once: as much as a sandbox may hold. */
const mostPolicies = 100;
const mostText = 256 << 10;
const mostNotes = 12;

/** The policies in the files. It never rejects. */
export async function policiesIn(files: readonly Named[]): Promise<Imported> {
  const found: Imported = { policies: [], notes: [] };
  const seen = new Map<string, string>();
  let size = 0;
  for (const file of await unpacked(files, found.notes)) {
    const text = decoded(file, found.notes);
    if (text === undefined) continue;
    const all = documents(text);
    if (all.length === 0) found.notes.push(`${file.name} is empty.`);
    for (const one of all) {
      const why = aside(one);
      if (why) {
        found.notes.push(`${why} (${file.name})`);
        continue;
      }
      const { namespace, name } = headOf(one);
      const key = namespace && name && `${namespace}/${name}`;
      if (key && seen.has(key)) {
        found.notes.push(`${key} is in ${seen.get(key)} and in ${file.name}; the first was taken.`);
        continue;
      }
      if (key) seen.set(key, file.name);
      size += one.length;
      if (found.policies.length === mostPolicies || size > mostText) {
        found.notes.push(`That is more than a sandbox may have, 100 policies and 256 KiB. What came from ${file.name} on was left out.`);
        return few(found);
      }
      found.policies.push(one);
    }
  }
  return few(found);
}

function few(found: Imported): Imported {
  const { policies, notes } = found;
  if (notes.length <= mostNotes) return found;
  return { policies, notes: [...notes.slice(0, mostNotes), `And ${notes.length - mostNotes} more like these.`] };
}

/** The files, with those of zips in the zips' place. */
async function unpacked(files: readonly Named[], notes: string[]): Promise<Named[]> {
  const out: Named[] = [];
  for (const file of files) {
    if (!isZip(file.bytes)) {
      if (file.bytes.length > mostArchive) notes.push(`${file.name} is too long for a policy.`);
      else out.push(file);
      continue;
    }
    try {
      for (const entry of await unzip(file.bytes)) {
        // What other programs put into an archive of their own accord.
        if (/(^|\/)(__MACOSX\/|\.[^./])/.test(entry.name)) continue;
        if (/\.(ya?ml|json)$/i.test(entry.name)) out.push({ name: shown(entry.name), bytes: entry.bytes });
        else notes.push(`${shown(entry.name)} is no YAML, and was left out.`);
      }
    } catch (error) {
      notes.push(`${file.name} could not be read. ${error instanceof Unreadable ? error.message : "It is no zip that the lab knows."}`);
    }
  }
  return out;
}

/** A path as it can be told: the end of it, without what is no letter to anybody. */
function shown(name: string): string {
  const plainName = name.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  return plainName.length > 60 ? `…${plainName.slice(-59)}` : plainName;
}

function decoded(file: Named, notes: string[]): string | undefined {
  try {
    const text = plain(new TextDecoder("utf-8", { fatal: true }).decode(file.bytes));
    if (!text.includes("\0")) return text;
  } catch {
    // Told below.
  }
  notes.push(`${file.name} is no text.`);
  return undefined;
}

/** A zip with each policy in a file of its own. */
export async function toZip(policies: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  const taken = new Set<string>();
  const entries = policies.map((text) => {
    const { namespace, name } = headOf(text);
    const safe = (part: string | undefined, other: string): string => (part && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(part) ? part : other);
    const base = `${safe(namespace, "policies")}/${safe(name, "policy")}`;
    let path = `${base}.yaml`;
    for (let n = 2; taken.has(path); n++) path = `${base}-${n}.yaml`;
    taken.add(path);
    return { name: path, bytes: new TextEncoder().encode(text.trimEnd() + "\n") };
  });
  return zip(entries);
}

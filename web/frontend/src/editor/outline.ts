// What stands where in YAML that somebody is about to write: read line by line and
// without complaint, so that half a policy, or a broken one, has places too. Pure.

/** A name, a word or a number, with its quotes within from and to, and without in text. */
export interface Scalar {
  kind: "scalar";
  from: number;
  to: number;
  text: string;
  /** It is a text over several lines, behind | or >. */
  block?: true;
}

export interface Entry {
  key: Scalar;
  /** There is a colon behind the key. */
  colon: boolean;
  value: Node | undefined;
}

export interface Mapping {
  kind: "map";
  from: number;
  to: number;
  /** Written with braces. */
  flow: boolean;
  entries: Entry[];
}

export interface List {
  kind: "list";
  from: number;
  to: number;
  /** Written with brackets. */
  flow: boolean;
  items: { from: number; value: Node | undefined }[];
}

export type Node = Scalar | Mapping | List;

export type Path = readonly (string | number)[];

/** The place of a cursor. */
export interface Place {
  /** Where it is: a key's is that of its map, a value's ends with its key or number. */
  path: Path;
  at: "key" | "value";
  /** What a completion takes the place of. */
  from: number;
  to: number;
  /** What of it stands before the cursor, without quotes. */
  typed: string;
  /** The keys that the map has beside. */
  siblings: string[];
  /** It is within braces or brackets. */
  flow: boolean;
  /** The place's column, counted from 0: of the key, or where a key in a new line would stand. */
  column: number;
  /** The whole document, as if the cursor were not there. */
  root: Node | undefined;
  /** Where the document begins. */
  document: number;
}

/** The longest document that is read, in characters. */
export const longest = 100_000;

// Nesting deeper than this is read as text: no policy has it.
const deepest = 64;

// Stands for the cursor while a document is read; of a kind that nobody types.
const cursor = "\uE000";

const blank = (c: string | undefined): boolean => c === undefined || c === " " || c === "\t" || c === "\n" || c === "\r";

/** Reads one document. */
export function read(text: string): Node | undefined {
  return new Reader(text).document();
}

/** Where each document of the text is. A line of three dashes, or dots, is part of none. */
export function documents(text: string): { from: number; to: number }[] {
  const out = [];
  let from = 0;
  for (const m of text.matchAll(/^(?:---|\.\.\.)(?=\s|$).*$/gm)) {
    out.push({ from, to: m.index });
    // What stands behind the dashes belongs to the document.
    from = m.index + (m[0].startsWith("---") && /^---\s+[^\s#]/.test(m[0]) ? 3 : m[0].length);
  }
  return [...out, { from, to: text.length }];
}

/** The place of the cursor; undefined where nothing can be completed: in a comment, or in a document that is too long. */
export function placeAt(text: string, offset: number): Place | undefined {
  const around = documents(text).find((d) => (offset > d.from || d.from === 0) && (offset < d.to || d.to === text.length));
  if (!around || around.to - around.from > longest) return undefined;
  const marked = text.slice(around.from, offset) + cursor + text.slice(offset, around.to);
  const root = read(marked);
  const found = root && find(root, []);
  if (!found || found.scalar.block) return undefined;
  const { scalar } = found;
  const [before = "", after = ""] = scalar.text.split(cursor);
  // Between a line's start and its first word, there is nothing to add to.
  if (before === "" && /^\s+\S/.test(after)) return undefined;
  const at = scalar.from;
  const to = scalar.to - (scalar.to > offset - around.from ? 1 : 0);
  const line = marked.lastIndexOf("\n", at - 1) + 1;
  if (root) clean(root, offset - around.from, around.from);
  return {
    path: found.path,
    at: found.at,
    from: around.from + at,
    to: around.from + to,
    typed: before,
    siblings: found.siblings.map((e) => e.key.text.replace(cursor, "")),
    flow: found.flow,
    column: width(marked.slice(line, at)),
    root,
    document: around.from,
  };
}

interface Found {
  path: Path;
  at: "key" | "value";
  scalar: Scalar;
  siblings: Entry[];
  flow: boolean;
}

function find(node: Node, path: Path): Found | undefined {
  switch (node.kind) {
    case "scalar":
      return node.text.includes(cursor) ? { path, at: "value", scalar: node, siblings: [], flow: false } : undefined;
    case "map":
      for (const entry of node.entries) {
        const siblings = node.entries.filter((e) => e !== entry);
        if (entry.key.text.includes(cursor)) return { path, at: "key", scalar: entry.key, siblings, flow: node.flow };
        const found = entry.value && find(entry.value, [...path, entry.key.text]);
        if (found) return { ...found, flow: found.flow || node.flow };
      }
      return undefined;
    case "list":
      for (const [i, item] of node.items.entries()) {
        const found = item.value && find(item.value, [...path, i]);
        if (found) return { ...found, flow: found.flow || node.flow };
      }
      return undefined;
  }
}

/** Takes the cursor out of the tree, and makes its positions those of the whole text. */
function clean(node: Node, offset: number, start: number): void {
  const to = (at: number): number => start + at - (at > offset ? 1 : 0);
  node.from = to(node.from);
  node.to = to(node.to);
  switch (node.kind) {
    case "scalar":
      node.text = node.text.replace(cursor, "");
      return;
    case "map":
      for (const e of node.entries) {
        clean(e.key, offset, start);
        if (e.value) clean(e.value, offset, start);
      }
      return;
    case "list":
      for (const i of node.items) {
        i.from = to(i.from);
        if (i.value) clean(i.value, offset, start);
      }
  }
}

/** What the path leads to. */
export function get(node: Node | undefined, path: Path): Node | undefined {
  for (const step of path) {
    if (node?.kind === "map") node = node.entries.find((e) => e.key.text === step)?.value;
    else if (node?.kind === "list" && typeof step === "number") node = node.items[step]?.value;
    else return undefined;
  }
  return node;
}

/** The text of a word that is no empty one. */
export function textOf(node: Node | undefined): string | undefined {
  return node?.kind === "scalar" && node.text !== "" ? node.text : undefined;
}

/** The things in a list; none where it is no list. */
export function itemsOf(node: Node | undefined): (Node | undefined)[] {
  return node?.kind === "list" ? node.items.map((i) => i.value) : [];
}

/** A label's key or value as YAML: in quotes where it would be something else without. */
export function plain(v: string): string {
  return /^[A-Za-z][\w./-]*$/.test(v) && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(v) ? v : JSON.stringify(v);
}

// A tab is no indentation in YAML; who uses one means a level.
function width(text: string): number {
  let n = 0;
  for (const c of text) n += c === "\t" ? 2 : 1;
  return n;
}

class Reader {
  private pos = 0;
  private depth = 0;
  /** Where braces ended that nobody closed: all of them end there. */
  private broken = -1;

  constructor(private readonly text: string) {}

  document(): Node | undefined {
    let root: Node | undefined;
    while (this.next()) {
      const node = this.block();
      root = root ? merge(root, node) : node;
    }
    return root;
  }

  /** Goes to the next thing that is neither blank nor comment. */
  private next(): boolean {
    const { text } = this;
    for (; this.pos < text.length; this.pos++) {
      const c = text[this.pos];
      if (c === "#" && blank(text[this.pos - 1])) {
        this.pos = this.lineEnd();
        if (this.pos >= text.length) return false;
      } else if (!blank(c)) return true;
    }
    return false;
  }

  private lineEnd(): number {
    const at = this.text.indexOf("\n", this.pos);
    return at < 0 ? this.text.length : at;
  }

  private column(): number {
    return width(this.text.slice(this.text.lastIndexOf("\n", this.pos - 1) + 1, this.pos));
  }

  private dash(): boolean {
    return this.text[this.pos] === "-" && blank(this.text[this.pos + 1]);
  }

  /** What begins here, in lines of its own or behind a dash. */
  private block(): Node {
    const column = this.column();
    if (++this.depth > deepest) {
      const rest = this.rest();
      this.depth--;
      return rest;
    }
    let node: Node;
    if (this.dash()) node = this.list(column);
    else if (this.keyEnd() !== undefined) node = this.map(column);
    else {
      const start = this.pos;
      node = this.inline(column);
      // A word with keys below it is a key that has no colon yet.
      if (node.kind === "scalar" && !node.block && this.next() && this.column() === column && !this.dash()) {
        this.pos = start;
        node = this.map(column);
      }
    }
    this.depth--;
    return node;
  }

  private map(column: number): Mapping {
    const node: Mapping = { kind: "map", from: this.pos, to: this.pos, flow: false, entries: [] };
    while (this.next()) {
      const at = this.column();
      if (at < column) break;
      const last = node.entries.at(-1);
      if (at > column || this.dash() || "{[".includes(this.text[this.pos]!)) {
        // Too deep, or a list in the wrong place: it belongs to what is above it.
        const stray = at > column || this.dash() ? this.block() : this.inline(column);
        if (last) last.value = last.value ? merge(last.value, stray) : stray;
      } else {
        node.entries.push(this.entry(column));
      }
      node.to = this.pos;
    }
    return node;
  }

  private entry(column: number): Entry {
    const end = this.keyEnd();
    if (end === undefined) return { key: this.rest(), colon: false, value: undefined };
    const key = this.scalar(this.pos, end);
    this.pos = this.text.indexOf(":", end) + 1;
    return { key, colon: true, value: this.value(column, false) };
  }

  private list(column: number): List {
    const node: List = { kind: "list", from: this.pos, to: this.pos, flow: false, items: [] };
    while (this.next()) {
      const at = this.column();
      if (at < column) break;
      const last = node.items.at(-1);
      if (at > column) {
        const stray = this.block();
        if (last) last.value = last.value ? merge(last.value, stray) : stray;
      } else if (this.dash()) {
        const from = this.pos++;
        node.items.push({ from, value: this.value(column, true) });
      } else break;
      node.to = this.pos;
    }
    return node;
  }

  /** What stands behind a colon or a dash: on the line, or deeper on the next ones. */
  private value(column: number, item: boolean): Node | undefined {
    const end = this.lineEnd();
    if (!this.next()) return undefined;
    if (this.pos < end) return item ? this.block() : this.inline(column);
    const at = this.column();
    // A list may stand right below its key.
    if (at > column || (at === column && !item && this.dash())) return this.block();
    return undefined;
  }

  /** A value on the rest of the line, or one that says itself where it ends. */
  private inline(column: number): Node {
    const c = this.text[this.pos];
    if (c === "{" || c === "[") return this.flow(column);
    if ((c === "|" || c === ">") && /^[|>][-+0-9]*\s*(#.*)?$/.test(this.text.slice(this.pos, this.lineEnd()))) return this.blockText(column);
    return this.rest();
  }

  private blockText(column: number): Scalar {
    const from = this.pos;
    for (this.pos = this.lineEnd(); this.pos < this.text.length; this.pos = this.lineEnd()) {
      const start = ++this.pos;
      const line = this.text.slice(start, this.lineEnd());
      if (line.trim() !== "" && width(/^\s*/.exec(line)![0]) <= column) {
        this.pos = start;
        break;
      }
    }
    return { kind: "scalar", from, to: this.pos, text: this.text.slice(from, this.pos), block: true };
  }

  /** The rest of the line as one word. */
  private rest(): Scalar {
    const from = this.pos;
    const end = this.lineEnd();
    const quoted = this.quoted(end);
    let to = quoted ?? end;
    for (let i = from + 1; quoted === undefined && i < end; i++) {
      if (this.text[i] === "#" && blank(this.text[i - 1])) {
        to = i;
        break;
      }
    }
    while (to > from + 1 && blank(this.text[to - 1])) to--;
    this.pos = quoted === undefined ? to : end;
    return this.scalar(from, to);
  }

  private scalar(from: number, to: number): Scalar {
    const raw = this.text.slice(from, to);
    const quote = raw[0] === '"' || raw[0] === "'" ? raw[0] : "";
    const text = quote ? raw.slice(1, raw.length > 1 && raw.endsWith(quote) ? -1 : undefined) : raw;
    return { kind: "scalar", from, to, text };
  }

  /** Where the quoted word that begins here ends; undefined where none does. One that is not closed ends with its line. */
  private quoted(end: number): number | undefined {
    const quote = this.text[this.pos];
    if (quote !== '"' && quote !== "'") return undefined;
    for (let i = this.pos + 1; i < end; i++) {
      if (this.text[i] === "\\" && quote === '"') i++;
      else if (this.text[i] === quote) return i + 1;
    }
    return end;
  }

  /** Where the key that begins here ends; undefined where the line is no key and colon. */
  private keyEnd(): number | undefined {
    const { text } = this;
    if ("{[".includes(text[this.pos] ?? "{")) return undefined;
    const end = this.lineEnd();
    let at = this.quoted(end) ?? this.pos;
    for (; at < end; at++) {
      if (text[at] === ":" && blank(text[at + 1])) {
        while (at > this.pos && blank(text[at - 1])) at--;
        return at;
      }
      if (text[at] === "#" && blank(text[at - 1])) return undefined;
    }
    return undefined;
  }

  /** Goes to the next thing within braces; false where a line begins that cannot be in them any more. */
  private nextInFlow(column: number): boolean {
    const start = this.pos;
    if (start === this.broken || !this.next()) return false;
    if (!this.text.slice(start, this.pos).includes("\n") || this.column() > column || "]}".includes(this.text[this.pos]!)) return true;
    this.broken = this.pos;
    return false;
  }

  private flow(column: number): Node {
    const from = this.pos;
    const braces = this.text[this.pos++] === "{";
    const entries: Entry[] = [];
    const items: List["items"] = [];
    const deep = ++this.depth > deepest;
    while (this.nextInFlow(column)) {
      const c = this.text[this.pos]!;
      if (c === "}" || c === "]") {
        this.pos++;
        break;
      }
      if (c === "," || deep) {
        this.pos++;
        continue;
      }
      const start = this.pos;
      const value = this.flowValue(column);
      if (value.kind === "scalar" && this.colonInFlow()) {
        this.pos++;
        let of: Node | undefined;
        if (this.nextInFlow(column) && !",]}".includes(this.text[this.pos]!)) of = this.flowValue(column);
        const entry: Entry = { key: value, colon: true, value: of };
        if (braces) entries.push(entry);
        else items.push({ from: start, value: { kind: "map", from: start, to: this.pos, flow: true, entries: [entry] } });
      } else if (!braces) items.push({ from: start, value });
      else if (value.kind === "scalar") entries.push({ key: value, colon: false, value: undefined });
      if (this.pos === start) this.pos++;
    }
    this.depth--;
    const to = this.pos;
    return braces ? { kind: "map", from, to, flow: true, entries } : { kind: "list", from, to, flow: true, items };
  }

  private colonInFlow(): boolean {
    const { text } = this;
    while (this.pos < text.length && (text[this.pos] === " " || text[this.pos] === "\t")) this.pos++;
    return text[this.pos] === ":";
  }

  private flowValue(column: number): Node {
    const { text } = this;
    const from = this.pos;
    if (text[from] === "{" || text[from] === "[") return this.flow(column);
    const end = this.lineEnd();
    const quoted = this.quoted(end);
    let to = quoted ?? from;
    for (; quoted === undefined && to < end; to++) {
      const c = text[to]!;
      if (",{}[]".includes(c)) break;
      if (c === ":" && (blank(text[to + 1]) || ",{}[]".includes(text[to + 1]!))) break;
      if (c === "#" && blank(text[to - 1])) break;
    }
    this.pos = to;
    while (to > from && blank(text[to - 1])) to--;
    return this.scalar(from, to);
  }
}

/** Both as one, where both are of one kind; else the first. */
function merge(a: Node, b: Node): Node {
  if (a.kind === "map" && b.kind === "map") return { ...a, to: b.to, entries: [...a.entries, ...b.entries] };
  if (a.kind === "list" && b.kind === "list") return { ...a, to: b.to, items: [...a.items, ...b.items] };
  // What the cursor is in is not to be lost.
  if (b.kind === "map" && a.kind === "scalar") return { ...b, entries: [{ key: a, colon: false, value: undefined }, ...b.entries] };
  if (a.kind === "map" && b.kind === "scalar") return { ...a, to: b.to, entries: [...a.entries, { key: b, colon: false, value: undefined }] };
  return a;
}

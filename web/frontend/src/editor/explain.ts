// What the API says of the field at an offset. Pure.

import type { Schema } from "../answers.gen";
import { placeAt } from "./outline";
import { expectedAt } from "./schema";

export interface Explained {
  from: number;
  to: number;
  /** The field's name, and what it holds. */
  name: string;
  kind: string;
  doc: string;
}

const kinds: Record<string, string> = {
  string: "text", integer: "a number", boolean: "true or false", port: "a number or a name", map: "keys with values", object: "fields", objects: "a list", strings: "a list",
};

/** The field that the offset is in the key or the value of; undefined where it is in none. */
export function explain(text: string, offset: number, schema: Schema): Explained | undefined {
  const place = placeAt(text, offset);
  if (!place || place.to === place.from) return undefined;
  const key = text.slice(place.from, place.to).replace(/^["']|["']$/g, "");
  let expected = expectedAt(schema, place.at === "key" ? [...place.path, key] : place.path);
  // A label is explained by the map that it is in.
  if (expected?.inMap) expected = expectedAt(schema, place.path.slice(0, place.path.length - (place.at === "key" ? 0 : 1)));
  const field = expected?.field;
  if (!field) return undefined;
  return { from: place.from, to: place.to, name: field.name, kind: kinds[field.kind] ?? "", doc: field.doc };
}

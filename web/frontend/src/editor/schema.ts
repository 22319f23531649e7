// What the API says of a place in a NetworkPolicy. Pure.

import type { FieldKind, Schema, SchemaField, SchemaType } from "../answers.gen";
import type { Path } from "./outline";

/** What may stand at a place. */
export interface Expected {
  kind: FieldKind;
  /** The type of an object, or of the objects in a list. */
  type: SchemaType | undefined;
  /** The field that the place is the value of, or within the list or map of; undefined for the whole policy. */
  field: SchemaField | undefined;
  /** The name of the type that has the field. */
  owner: string;
  /** The place is a value in a map of strings. */
  inMap: boolean;
}

/** A policy's own path, where it stands in a List. */
export function withinPolicy(path: Path): Path {
  return path[0] === "items" && typeof path[1] === "number" ? path.slice(2) : path;
}

/** What the schema expects at the path; undefined where it knows no such place. */
export function expectedAt(schema: Schema, path: Path): Expected | undefined {
  let now: Expected & { of: string } = {
    kind: "object", of: schema.root, type: schema.types[schema.root], field: undefined, owner: "", inMap: false,
  };
  for (const step of withinPolicy(path)) {
    if (typeof step === "number") {
      if (now.kind === "objects") now = { ...now, kind: "object" };
      else if (now.kind === "strings") now = { ...now, kind: "string" };
      else return undefined;
      continue;
    }
    if (now.kind === "map") {
      now = { ...now, kind: "string", inMap: true };
      continue;
    }
    const field: SchemaField | undefined = now.kind === "object" ? now.type?.fields.find((f) => f.name === step) : undefined;
    if (!field) return undefined;
    now = { kind: field.kind, of: field.of ?? "", type: schema.types[field.of ?? ""], field, owner: now.of, inMap: false };
  }
  return now;
}

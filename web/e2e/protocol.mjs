// The event protocol and the answers as the server has them: the types that are
// generated from Go, read for the tests, so that a fake can be held to them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const source = ["events", "answers"].map((name) => readFileSync(new URL(`../frontend/src/${name}.gen.ts`, import.meta.url), "utf8")).join("\n");

const types = new Map([...source.matchAll(/^export type (\w+) = ((?:"[^"]*"(?: \| )?)+);$/gm)].map(([, name, values]) => [name, values.split(" | ").map((v) => JSON.parse(v))]));

const interfaces = new Map(
  [...source.matchAll(/^export interface (\w+) \{\n([^}]*)\}$/gm)].map(([, name, body]) => [
    name,
    new Map([...body.matchAll(/^ {2}(\w+)(\??): (.+);$/gm)].map(([, field, optional, type]) => [field, { optional: optional !== "", type }])),
  ]),
);

const bodies = new Map([...source.matchAll(/^ {2}\| \{ type: "(\w+)"; \w+: (\w+) \}/gm)].map(([, kind, type]) => [kind, type]));

/** Fails where the value is not of that type, as JSON carries it. */
export function assertIs(type, value, where = type) {
  if (type.endsWith("[]")) {
    assert.ok(Array.isArray(value), `${where} is no list`);
    value.forEach((v, i) => assertIs(type.slice(0, -2), v, `${where}[${i}]`));
  } else if (type.endsWith(" | null")) {
    if (value !== null) assertIs(type.slice(0, -" | null".length), value, where);
  } else if (type.startsWith("Record<string, ")) {
    for (const [key, v] of Object.entries(value)) assertIs(type.slice("Record<string, ".length, -1), v, `${where}.${key}`);
  } else if (types.has(type)) {
    assert.ok(types.get(type).includes(value), `${where} is ${JSON.stringify(value)}, want one of ${types.get(type)}`);
  } else if (interfaces.has(type)) {
    assert.ok(value !== null && typeof value === "object" && !Array.isArray(value), `${where} is no ${type}`);
    const fields = interfaces.get(type);
    for (const [name, v] of Object.entries(value)) {
      if (v === undefined) continue; // not in JSON
      assert.ok(fields.has(name), `${where} has the field ${name}, which no ${type} has`);
      assertIs(fields.get(name).type, v, `${where}.${name}`);
    }
    for (const [name, { optional }] of fields) assert.ok(optional || value[name] !== undefined, `${where} lacks the field ${name}`);
  } else {
    assert.equal(typeof value, type, where);
  }
}

/** Fails where the server could not send such an event. */
export function assertEvent(event) {
  const { seq, time, type, ...body } = event;
  assertIs("number", seq, "seq");
  assert.ok(!Number.isNaN(Date.parse(time)), `the time is ${time}`);
  assert.ok(bodies.has(type), `no event is of the type ${type}`);
  assert.deepEqual(Object.keys(body), [type]);
  assertIs(bodies.get(type), body[type], type);
}

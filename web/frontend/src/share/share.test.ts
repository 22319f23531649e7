import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { deflate, inflate, Unreadable } from "./bytes";
import { policiesIn, toZip } from "./import";
import { fromFragment, isShared, longest, toFragment } from "./link";
import { isZip, unzip, zip } from "./zip";

const policy = (name: string, namespace = "production"): string =>
  `# Grüße\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: ${name}\n  namespace: ${namespace}\nspec:\n  podSelector: {}\n`;
const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const unreadable = (words: RegExp) => (error: unknown): boolean => error instanceof Unreadable && words.test(error.message);

/** Numbers that look random, and are the same each time. */
function random(seed: number): () => number {
  return () => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

test("what_a_link_brings_is_what_was_shared", async () => {
  for (const files of [[], [policy("a")], [policy("a"), policy("b", "development"), "# only a note\n"]]) {
    const fragment = await toFragment({ lab: "network-policies", files });
    assert.match(fragment, /^share=1\.[\w-]*$/);
    assert.ok(isShared("#" + fragment));
    assert.deepEqual(await fromFragment("#" + fragment), { lab: "network-policies", files });
  }
  assert.ok(!isShared("#lab"));
});

test("a_link_of_a_learner_s_own_lab_brings_the_lab_and_no_more_than_a_lab_may_be", async () => {
  const shared = { lab: "own-abc", files: [policy("a")], topology: "name: My shop\n" };
  assert.deepEqual(await fromFragment(await toFragment(shared)), shared);
  await assert.rejects(fromFragment(await toFragment({ ...shared, topology: "x".repeat((32 << 10) + 1) })), unreadable(/more than a lab can hold/));
  const other = "share=1." + deflateRawSync(JSON.stringify({ ...shared, topology: { length: 3 } })).toString("base64url");
  await assert.rejects(fromFragment(other), unreadable(/not whole/));
});

test("a_link_that_is_cut_anywhere_is_said_to_be", async () => {
  const fragment = await toFragment({ lab: "network-policies", files: [policy("a"), policy("b")] });
  for (let n = 0; n < fragment.length; n++) {
    await assert.rejects(fromFragment(fragment.slice(0, n)), unreadable(/not whole/), `cut after ${n}`);
  }
});

test("a_link_with_changed_letters_brings_nothing_but_what_the_lab_can_hold", async () => {
  const fragment = await toFragment({ lab: "network-policies", files: [policy("a"), policy("b")] });
  const next = random(1);
  const letters = "abcXYZ019-_%+/= <>\"'";
  for (let i = 0; i < 500; i++) {
    const at = 8 + Math.floor(next() * (fragment.length - 8));
    const changed = fragment.slice(0, at) + letters[Math.floor(next() * letters.length)] + fragment.slice(at + 1);
    try {
      const shared = await fromFragment(changed);
      assert.ok(shared.files.length <= 100 && shared.files.every((f) => typeof f === "string"));
    } catch (error) {
      assert.ok(error instanceof Unreadable, `${changed}: ${String(error)}`);
    }
  }
});

test("a_link_of_an_attacker_gives_a_sentence_and_nothing_else", async () => {
  const link = (what: string): string => "share=1." + deflateRawSync(what).toString("base64url");
  for (const what of ["", "null", "3", "[]", "{}", '{"lab": "a"}', '{"lab": 3, "files": []}', '{"lab": "a", "files": [1]}', '{"lab": "a", "files": {"length": 1}}', '{"__proto__": {"lab": "a", "files": []}}', `{"lab": ${JSON.stringify("x".repeat(1000))}, "files": []}`, "\ufffd"]) {
    await assert.rejects(fromFragment(link(what)), unreadable(/not whole/), what);
  }
  await assert.rejects(fromFragment("share=9.abc"), unreadable(/newer version/));
  await assert.rejects(fromFragment("share=1." + "A".repeat(longest)), unreadable(/not whole/));
  // 100 MB of the same letter in a few kilobytes would be a bomb.
  const bomb = link(`{"lab": "a", "files": ["${"x".repeat(100e6)}"]}`).slice(0, longest);
  await assert.rejects(fromFragment(bomb), unreadable(/more than a lab can hold/));
  await assert.rejects(fromFragment(link(JSON.stringify({ lab: "a", files: new Array(101).fill("") }))), unreadable(/more than a lab can hold/));
  assert.equal(({} as { lab?: string }).lab, undefined);
});

test("what_is_too_long_for_a_link_is_said_to_be", async () => {
  const next = random(2);
  const noise = Array.from({ length: 60_000 }, () => String.fromCharCode(33 + Math.floor(next() * 90))).join("");
  await assert.rejects(toFragment({ lab: "a", files: [noise] }), unreadable(/zip/));
});

test("inflating_stops_where_the_bound_is", async () => {
  const big = await deflate(new Uint8Array(50 << 20));
  const before = process.memoryUsage().arrayBuffers;
  await assert.rejects(inflate(big, 1 << 20, "too much"), unreadable(/too much/));
  assert.ok(process.memoryUsage().arrayBuffers - before < 20 << 20, "all of it was inflated");
});

test("what_was_zipped_is_unzipped", async () => {
  const entries = [
    { name: "production/a.yaml", bytes: bytes(policy("a")) },
    { name: "leer.yaml", bytes: bytes("") },
    { name: "ümlaut.yaml", bytes: bytes("x") },
  ];
  const archive = await zip(entries);
  assert.ok(isZip(archive));
  assert.deepEqual(await unzip(archive), entries);
  assert.deepEqual(await unzip(await zip([])), []);
});

test("a_broken_zip_is_said_to_be_broken_and_never_more_than_that", async () => {
  const archive = await zip([{ name: "a.yaml", bytes: bytes(policy("a").repeat(20)) }, { name: "b.yaml", bytes: bytes("b") }]);
  for (let n = 0; n < archive.length; n++) {
    await assert.rejects(unzip(archive.slice(0, n)), Unreadable, `cut after ${n}`);
  }
  const next = random(3);
  for (let i = 0; i < 1000; i++) {
    const changed = archive.slice();
    for (let k = 0; k <= i % 3; k++) changed[Math.floor(next() * changed.length)] = Math.floor(next() * 256);
    try {
      assert.ok((await unzip(changed)).length <= 2);
    } catch (error) {
      assert.ok(error instanceof Unreadable, String(error));
    }
  }
});

test("a_zip_that_lies_about_its_sizes_is_not_believed", async () => {
  // A megabyte of zeros that says it is 10 bytes, and one that says the truth but is too much.
  const archive = await zip([{ name: "a.yaml", bytes: new Uint8Array(3 << 20) }]);
  await assert.rejects(unzip(archive), unreadable(/more in it/));
  const view = new DataView(archive.buffer);
  for (let at = 0; at + 4 < archive.length; at++) {
    if (view.getUint32(at, true) === 0x02014b50) view.setUint32(at + 24, 10, true);
  }
  await assert.rejects(unzip(archive), unreadable(/more in it/));
  await assert.rejects(unzip(await zip(Array.from({ length: 501 }, (_, i) => ({ name: `${i}`, bytes: bytes("") })))), unreadable(/more in it/));
});

test("policies_are_taken_from_files_and_zips_and_all_else_is_set_aside_with_a_sentence", async () => {
  const found = await policiesIn([
    { name: "two.yaml", bytes: bytes(`\ufeff${policy("a").replaceAll("\n", "\r\n")}---\r\n${policy("b")}`) },
    { name: "other.yaml", bytes: bytes("apiVersion: v1\nkind: Namespace\nmetadata: {name: production}\n---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: l7}\n---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: all}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\n") },
    { name: "all.zip", bytes: await zip([{ name: "x/c.yaml", bytes: bytes(policy("c")) }, { name: "__MACOSX/x/._c.yaml", bytes: bytes("junk") }, { name: "../../etc/readme.md", bytes: bytes("# hello") }]) },
    { name: "again.yaml", bytes: bytes(policy("a")) },
    { name: "picture.png", bytes: new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 0xff]) },
    { name: "half.zip", bytes: new Uint8Array([0x50, 0x4b, 3, 4, 1, 2, 3]) },
    { name: "nothing.yaml", bytes: bytes("# nothing\n") },
    { name: "perhaps.yaml", bytes: bytes("kind: NetworkPolicy\nspec: [\n") },
  ]);
  assert.deepEqual(found.policies.map((p) => /name: (\w+)/.exec(p)?.[1] ?? p), ["a", "b", "c", "kind: NetworkPolicy\nspec: [\n"]);
  assert.ok(!found.policies[0]!.includes("\r"));
  for (const words of [/^Namespace production is set aside.*\(other\.yaml\)$/, /^CiliumNetworkPolicy l7 .*another kind/, /^GlobalNetworkPolicy all .*another kind/, /^Deployment api is set aside/]) {
    assert.ok(found.notes.some((n) => words.test(n)), `${words} is not in ${found.notes.join("\n")}`);
  }
  for (const words of [/readme\.md is no YAML/, /production\/a is in two\.yaml and in again\.yaml/, /picture\.png is no text/, /half\.zip could not be read\. The zip is broken/, /nothing\.yaml is empty/]) {
    assert.ok(found.notes.some((n) => words.test(n)), `${words} is not in ${found.notes.join("\n")}`);
  }
});

test("what_is_imported_is_bounded", async () => {
  const many = Array.from({ length: 150 }, (_, i) => policy(`p${i}`)).join("---\n");
  const found = await policiesIn([{ name: "many.yaml", bytes: bytes(many) }]);
  assert.equal(found.policies.length, 100);
  assert.match(found.notes.at(-1)!, /more than a sandbox may have/);
  const others = await policiesIn([{ name: "x.yaml", bytes: bytes("kind: Pod\n---\n".repeat(1000)) }]);
  assert.deepEqual(others.policies, []);
  assert.equal(others.notes.length, 13);
});

test("an_export_has_a_file_for_each_policy_and_comes_back_as_it_was", async () => {
  const texts = [policy("a"), policy("a", "development"), policy("a"), "not: a policy\n", policy("../../x")];
  const archive = await toZip(texts);
  assert.deepEqual((await unzip(archive)).map((e) => e.name), ["production/a.yaml", "development/a.yaml", "production/a-2.yaml", "policies/policy.yaml", "production/policy.yaml"]);
  assert.deepEqual((await policiesIn([{ name: "x.zip", bytes: await toZip(texts.slice(0, 2)) }])).policies, texts.slice(0, 2));
});

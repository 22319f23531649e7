import assert from "node:assert/strict";
import { test } from "node:test";
import { applied, detach, merge } from "./merge";
import { isNothing, planOf, wholeOf } from "./plan";
import { documents, joined, nameIn, refOf } from "./text";
import { bring, create, draft, edit, empty, fileNamed, keep, keepMine, redo, remove, removeAll, replaceAll, revert, split, splitFile, stateOf, takeTheirs, title, undo, type Base, type Workspace } from "./workspace";

const yaml = (name: string, selector = "{}", namespace = "production"): string => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ${name}
  namespace: ${namespace}
spec:
  podSelector: ${selector}
`;
const base = (name: string, selector = "{}"): Base => ({ namespace: "production", name, yaml: yaml(name, selector) });
const inForce = (change: number, ...policies: Base[]) => ({ sandbox: "s", change, policies });
const there = "in another tab";

/** A workspace that follows a sandbox with those policies. */
const following = (...policies: Base[]): Workspace => merge(empty, inForce(1, ...policies), there);
const named = (w: Workspace, name: string) => fileNamed(w, `production/${name}`)!;
const states = (w: Workspace): Record<string, string> => Object.fromEntries(w.files.map((f) => [title(f), f.conflict ? "conflict" : stateOf(f)]));
const typed = (w: Workspace, name: string, text: string): Workspace => edit(w, named(w, name).id, text);

// --- Texts ---

test("a_text_says_which_policy_it_is", () => {
  const ref = { namespace: "production", name: "a" };
  for (const text of [
    yaml("a"),
    yaml('"a"'),
    yaml("a # not b"),
    "# name: x\n" + yaml("a"),
    yaml("a") + "---\n" + yaml("b"),
    "---\n" + yaml("a"),
    'metadata: {name: a, "namespace": production}\nkind: NetworkPolicy\n',
    '{"kind": "NetworkPolicy", "metadata": {"name": "a", "namespace": "production"}}',
    "kind: NetworkPolicy\nspec:\n  name: x\nmetadata:\n    labels:\n      name: y\n    namespace: production\n    name: a\n",
  ]) {
    assert.deepEqual(refOf(text), ref, text);
  }
  for (const text of ["", "metadata:\n  name: a\n", yaml("a").replace("NetworkPolicy", "Service"), yaml(""), "{", "metadata:\n  labels:\n    name: a\n    namespace: b\nkind: NetworkPolicy\n"]) {
    assert.equal(refOf(text), undefined, text);
  }
  assert.equal(nameIn("metadata:\n  name: half\n"), "half");
});

test("what_is_joined_is_taken_apart_again_also_where_a_last_line_has_no_end", () => {
  const texts = ["a: 1", "b: 2\n", "c: 3\n\n"];
  assert.equal(joined(texts), "a: 1\n---\nb: 2\n---\nc: 3\n");
  assert.deepEqual(documents(joined(texts)), ["a: 1\n", "b: 2\n", "c: 3\n"]);
  assert.equal(joined([]), "");
});

test("documents_are_taken_apart_as_the_server_does_it", () => {
  assert.deepEqual(documents("\ufeff\r\na: 1\r\n---\r\n# only a comment\r\n---\n\nb: 2\n\n...\n"), ["a: 1\n", "b: 2\n"]);
  assert.deepEqual(documents("a: |\n  ---\nb: 1"), ["a: |\n  ---\nb: 1\n"]);
  assert.deepEqual(documents("--- # the first\na: 1\n----\n"), ["a: 1\n----\n"]);
  assert.deepEqual(documents("\n# nothing\n"), []);
});

// --- States and the plan ---

test("a_file_is_in_force_edited_new_or_to_be_removed", () => {
  let w = following(base("a"), base("b"), base("c"));
  w = typed(w, "b", yaml("b", "{matchLabels: {app: b}}"));
  w = remove(w, named(w, "c").id);
  w = create(w, yaml("d"))[0];
  assert.deepEqual(states(w), { a: "in-force", b: "edited", c: "removed", d: "new" });
  assert.deepEqual(states(typed(w, "b", base("b").yaml + "\n")), { a: "in-force", b: "in-force", c: "removed", d: "new" });
});

test("the_plan_names_what_apply_adds_changes_and_deletes", () => {
  let w = following(base("a"), base("b"), base("c"), base("e"));
  assert.ok(isNothing(planOf(w)));
  w = typed(w, "b", yaml("b", "{matchLabels: {app: b}}"));
  w = remove(w, named(w, "c").id);
  w = create(w, yaml("d"))[0];
  w = typed(w, "e", yaml("renamed"));
  const { added, changed, deleted } = planOf(w);
  assert.deepEqual({ added, changed, deleted }, { added: ["production/renamed", "production/d"], changed: ["production/b"], deleted: ["production/c", "production/e"] });
});

test("a_text_that_is_emptied_is_named_as_deleted", () => {
  const w = typed(following(base("a")), "a", "# nothing is left\n");
  assert.deepEqual(planOf(w).deleted, ["production/a"]);
  assert.equal(wholeOf(w).text, "");
});

test("two_policies_of_one_name_are_a_problem_with_their_name", () => {
  const [w] = create(following(base("a")), yaml("a", "{matchLabels: {x: y}}"));
  assert.deepEqual(planOf(w).twice.map((t) => [t.name, t.files.length]), [["production/a", 2]]);
  const [inOne] = create(empty, yaml("a") + "---\n" + yaml("a"));
  assert.deepEqual(planOf(inOne).twice.map((t) => t.name), ["production/a"]);
});

test("a_text_without_a_name_is_sent_and_not_planned", () => {
  const [w] = create(empty, "nonsense");
  assert.equal(planOf(w).unnamed.length, 1);
  assert.ok(!isNothing(planOf(w)));
  assert.equal(wholeOf(w).text, "nonsense\n");
});

test("a_line_of_what_is_sent_is_found_in_its_file", () => {
  let w = following(base("a"), base("b"));
  w = remove(w, named(w, "a").id);
  w = create(w, "one\ntwo\n\n")[0];
  w = create(w)[0];
  w = create(w, "three")[0];
  const whole = wholeOf(w);
  const lines = whole.text.split("\n");
  assert.equal(lines[whole.text.split("\n").indexOf("two")], "two");
  const at = (text: string) => whole.at(lines.indexOf(text) + 1);
  assert.deepEqual(at("kind: NetworkPolicy"), { file: named(w, "b").id, line: 2 });
  assert.deepEqual(at("two"), { file: w.files[2]!.id, line: 2 });
  assert.deepEqual(at("three"), { file: w.files[4]!.id, line: 1 });
  assert.equal(whole.at(0), undefined);
});

test("several_policies_in_one_text_become_several_files", () => {
  const w = typed(following(base("a"), base("z")), "a", yaml("n") + "---\n" + yaml("a", "{matchLabels: {x: y}}") + "---\n" + yaml("m"));
  const after = split(w);
  assert.deepEqual(after.files.map(title), ["a", "n", "m", "z"]);
  assert.deepEqual(states(after), { a: "edited", n: "new", m: "new", z: "in-force" });
  assert.equal(after.files[0]!.id, named(w, "z") && w.files[0]!.id, "the file of the policy in force stays");
  assert.equal(split(after), after);
  const [x] = create(create(empty, "a: 1\n---\nb: 2\n")[0], "c: 3\n---\nd: 4\n");
  assert.deepEqual(splitFile(x, "f2").files.map((f) => f.text), ["a: 1\n---\nb: 2\n", "c: 3\n", "d: 4\n"]);
});

test("what_comes_in_takes_the_place_of_no_edits_and_can_be_taken_back_as_one", () => {
  const w = typed(following(base("a"), base("b"), base("c")), "b", yaml("b", "{matchLabels: {app: mine}}"));
  const theirs = ["a", "b", "d"].map((name) => yaml(name, "{matchLabels: {app: theirs}}"));
  for (const [after, how] of [
    [bring(w, joined(theirs), "Three came in.")[0], "by bring"],
    [splitFile(create(w, joined([yaml("e"), ...theirs]))[0], `f${w.next}`), "by a split"],
  ] as const) {
    const { a, b, c, d } = states(after);
    assert.deepEqual([a, b, c, d], ["edited", "conflict", "in-force", "new"], how);
    assert.match(named(after, "b").text, /mine/, how);
    assert.equal(planOf(after).conflicts.length, 1, how);
    assert.match(named(takeTheirs(after, named(after, "b").id), "b").text, /theirs/);
    assert.equal(stateOf(named(keepMine(after, named(after, "b").id), "b")), "edited");
    const back = states(undo(after));
    assert.deepEqual([back["a"], back["b"], back["c"], back["d"]], ["in-force", "edited", "in-force", undefined], how);
    assert.deepEqual(states(redo(undo(after))), states(after), how);
  }
});

test("what_comes_in_for_a_policy_that_is_to_go_or_that_was_changed_elsewhere_decides_nothing", () => {
  const w = following(base("a"), base("b"));
  const gone = remove(w, named(w, "a").id);
  const [after] = bring(gone, yaml("a", "{matchLabels: {app: theirs}}"), "One came in.");
  assert.deepEqual(states(after), { a: "conflict", b: "in-force" });
  const edited = merge(typed(w, "a", yaml("a", "{matchLabels: {app: mine}}")), inForce(2, base("a", "{matchLabels: {app: elsewhere}}"), base("b")), there);
  const [both] = bring(edited, yaml("a", "{matchLabels: {app: theirs}}"), "One came in.");
  assert.equal(named(both, "a").conflict?.where, there);
  assert.equal(planOf(both).twice.length, 1, "both are there, and Apply names them");
});

// --- Drafts and taking back ---

test("a_draft_changes_the_file_of_its_name_and_adds_the_others", () => {
  const w = following(base("a"), base("b"));
  const [after, ids] = draft(w, yaml("a", "{matchLabels: {x: y}}") + "---\n" + yaml("c"), "A solution.");
  assert.deepEqual(states(after), { a: "edited", b: "in-force", c: "new" });
  assert.deepEqual(ids, [named(after, "a").id, named(after, "c").id]);
  assert.deepEqual(states(undo(after)), { a: "in-force", b: "in-force" });
  assert.deepEqual(states(redo(undo(after))), states(after));
  assert.equal(draft(after, yaml("c"), "Again.")[0].past.length, after.past.length, "what changes nothing is no step");
});

test("a_draft_takes_the_place_of_an_empty_new_file", () => {
  const [w, id] = create(empty);
  const [after, ids] = draft(w, yaml("a"), "A snippet.");
  assert.deepEqual([after.files.length, ids], [1, [id]]);
});

test("what_replaces_the_workspace_names_what_goes", () => {
  let w = following(base("a"), base("b"));
  w = create(w, yaml("mine"))[0];
  const after = replaceAll(w, yaml("b"), "The start.");
  assert.deepEqual(states(after), { a: "removed", b: "in-force" });
  assert.deepEqual(planOf(after).deleted, ["production/a"]);
  assert.deepEqual(states(undo(after)), states(w));
  assert.deepEqual(planOf(removeAll(w)).deleted, ["production/a", "production/b"]);
});

test("deleting_can_be_taken_back_before_and_after_apply", () => {
  const w = following(base("a"), base("b"));
  const gone = remove(w, named(w, "a").id);
  assert.deepEqual(states(undo(gone)), { a: "in-force", b: "in-force" });
  assert.deepEqual(states(keep(gone, named(w, "a").id)), { a: "in-force", b: "in-force" });
  const done = applied(gone, wholeOf(gone).sent, inForce(2, base("b")));
  assert.deepEqual(states(done), { b: "in-force" });
  assert.deepEqual(states(undo(done)), { b: "in-force", a: "new" });
});

test("a_draft_can_be_taken_back_after_apply", () => {
  const [w] = draft(following(base("a")), yaml("a", "{matchLabels: {x: y}}") + "---\n" + yaml("c"), "A solution.");
  const done = applied(w, wholeOf(w).sent, inForce(2, base("a", "{matchLabels: {x: y}}"), base("c")));
  assert.deepEqual(states(done), { a: "in-force", c: "in-force" });
  const back = undo(done);
  assert.deepEqual(states(back), { a: "edited", c: "removed" });
  assert.equal(named(back, "a").text, base("a").yaml);
  assert.deepEqual(states(redo(back)), { a: "in-force", c: "in-force" });
});

test("undo_leaves_what_was_typed_into_other_files_alone", () => {
  let w = following(base("a"), base("b"));
  w = remove(w, named(w, "a").id);
  w = typed(w, "b", yaml("b", "{matchLabels: {x: y}}"));
  assert.deepEqual(states(undo(w)), { a: "in-force", b: "edited" });
});

test("what_was_typed_into_a_draft_that_is_taken_back_comes_again_with_redo", () => {
  let [w] = draft(following(base("a")), yaml("c"), "A snippet.");
  w = typed(w, "c", yaml("c", "{matchLabels: {x: y}}"));
  const again = redo(undo(w));
  assert.equal(named(again, "c").text, yaml("c", "{matchLabels: {x: y}}"));
});

test("a_file_can_be_reverted_and_that_taken_back", () => {
  const mine = yaml("a", "{matchLabels: {x: y}}");
  const w = typed(following(base("a")), "a", mine);
  const reverted = revert(w, named(w, "a").id);
  assert.deepEqual(states(reverted), { a: "in-force" });
  assert.equal(named(undo(reverted), "a").text, mine);
});

test("only_so_much_can_be_taken_back", () => {
  let w = empty;
  for (let i = 0; i < 60; i++) w = draft(w, yaml(`p${i}`), `${i}`)[0];
  assert.equal(w.past.length, 50);
  assert.equal(w.past.at(-1)!.said, "59");
});

// --- What the cluster says ---

test("a_file_without_edits_follows_and_that_can_be_taken_back", () => {
  const w = following(base("a"), base("b"), base("c"));
  const after = merge(w, inForce(2, base("a", "{matchLabels: {x: y}}"), base("b"), base("d")), there);
  assert.deepEqual(states(after), { a: "in-force", b: "in-force", d: "in-force" });
  assert.equal(named(after, "a").id, named(w, "a").id);
  assert.equal(after.change, 2);
  assert.equal(after.past.at(-1)!.said, "“d” was added in another tab. “a” was changed in another tab. “c” was deleted in another tab.");
  assert.deepEqual(states(undo(after)), { a: "edited", b: "in-force", d: "removed", c: "new" });
});

test("the_first_look_at_a_sandbox_is_nothing_to_take_back", () => {
  assert.equal(following(base("a")).past.length, 0);
});

test("an_edit_is_never_overwritten", () => {
  const mine = yaml("a", "{matchLabels: {mine: yes}}");
  const w = typed(following(base("a")), "a", mine);
  const theirs = base("a", "{matchLabels: {theirs: yes}}");
  const after = merge(w, inForce(2, theirs), there);
  assert.equal(named(after, "a").text, mine);
  assert.deepEqual(named(after, "a").conflict, { theirs: theirs.yaml, where: there });
  assert.equal(planOf(after).conflicts.length, 1);

  const kept = keepMine(after, named(after, "a").id);
  assert.deepEqual(states(kept), { a: "edited" });
  assert.deepEqual(planOf(kept).changed, ["production/a"]);
  const taken = takeTheirs(after, named(after, "a").id);
  assert.deepEqual(states(taken), { a: "in-force" });
  assert.equal(named(undo(taken), "a").text, mine, "and what was mine can be had back");
  assert.deepEqual(states(typed(after, "a", theirs.yaml)), { a: "in-force" }, "written the same, nothing is left to decide");
});

test("an_edit_of_what_was_deleted_elsewhere_stays", () => {
  const mine = yaml("a", "{matchLabels: {mine: yes}}");
  const w = typed(following(base("a")), "a", mine);
  const after = merge(w, inForce(2), there);
  assert.deepEqual(named(after, "a").conflict, { theirs: undefined, where: there });
  assert.deepEqual(states(keepMine(after, named(after, "a").id)), { a: "new" });
  const taken = takeTheirs(after, named(after, "a").id);
  assert.deepEqual(states(taken), {});
  assert.equal(named(undo(taken), "a").text, mine);
});

test("what_is_to_be_removed_and_was_changed_elsewhere_has_to_be_decided", () => {
  const w = remove(following(base("a")), "f1");
  assert.deepEqual(states(merge(w, inForce(2, base("a")), there)), { a: "removed" });
  const after = merge(w, inForce(2, base("a", "{matchLabels: {x: y}}")), there);
  assert.deepEqual(states(after), { a: "conflict" });
  assert.deepEqual(states(keepMine(after, "f1")), { a: "removed" });
  assert.deepEqual(states(takeTheirs(after, "f1")), { a: "in-force" });
  assert.deepEqual(states(merge(w, inForce(2), there)), {}, "deleted in both places it is gone");
});

test("a_new_file_and_another_tabs_of_the_same_name_have_to_be_decided", () => {
  const [w] = create(following(), yaml("a", "{matchLabels: {mine: yes}}"));
  assert.deepEqual(states(merge(w, inForce(2, base("a")), there)), { a: "conflict" });
  assert.deepEqual(states(merge(w, inForce(2, base("a", "{matchLabels: {mine: yes}}")), there)), { a: "in-force" });
});

test("after_apply_everything_is_in_force_also_what_was_renamed_swapped_or_a_list", () => {
  let w = following(base("a"), base("b"), base("c"));
  w = typed(w, "a", yaml("renamed"));
  const b = named(w, "b").id;
  const c = named(w, "c").id;
  w = edit(edit(w, b, yaml("c", "{matchLabels: {was: b}}")), c, yaml("b", "{matchLabels: {was: c}}"));
  w = create(w, "kind: List\nitems: []\n")[0];
  const now = inForce(2, base("b", "{matchLabels: {was: c}}"), base("c", "{matchLabels: {was: b}}"), base("from-the-list"), base("renamed"));
  const done = applied(w, wholeOf(w).sent, now);
  assert.deepEqual(states(done), { renamed: "in-force", c: "in-force", b: "in-force", "from-the-list": "in-force" });
  assert.equal(done.files[1]!.id, b);
  assert.equal(done.past.length, 0);
  assert.ok(isNothing(planOf(done)));
});

test("what_was_typed_while_apply_was_under_way_stays_a_draft", () => {
  let w = typed(following(base("a"), base("b")), "a", yaml("a", "{matchLabels: {x: y}}"));
  w = remove(w, named(w, "b").id);
  const { sent } = wholeOf(w);
  w = typed(w, "a", yaml("a", "{matchLabels: {x: z}}"));
  w = keep(w, w.files[1]!.id);
  const done = applied(w, sent, inForce(2, base("a", "{matchLabels: {x: y}}")));
  assert.deepEqual(states(done), { a: "edited", b: "new" });
});

test("without_its_cluster_everything_is_a_draft", () => {
  let w = following(base("a"), base("b"), base("c"));
  w = typed(w, "b", yaml("b", "{matchLabels: {x: y}}"));
  w = remove(w, named(w, "c").id);
  const off = detach(w);
  assert.deepEqual(states(off), { a: "new", b: "new" });
  assert.equal(detach(off), off);
  const fresh = merge(off, { sandbox: "other", change: 0, policies: [] }, there);
  assert.deepEqual(states(fresh), { a: "new", b: "new" });
  const again = merge(off, { sandbox: "other", change: 3, policies: [base("a")] }, there);
  assert.deepEqual(states(again), { a: "in-force", b: "new" });
});

test("edits_of_what_a_fresh_cluster_has_in_force_again_are_no_conflict", () => {
  let w = following(base("a"), base("b"), base("c"));
  w = typed(w, "a", yaml("a", "{matchLabels: {x: y}}"));
  w = typed(w, "b", yaml("z", "{}"));
  w = typed(w, "c", yaml("c", "{matchLabels: {x: y}}"));
  const again = merge(detach(detach(w)), { sandbox: "other", change: 3, policies: [base("a"), base("b"), base("c", "{matchLabels: {other: way}}")] }, there);
  assert.deepEqual(states(again), { a: "edited", z: "edited", c: "conflict" });
});

test("a_server_that_was_restarted_and_counts_anew_changes_nothing", () => {
  const w = typed(following(base("a")), "a", yaml("a", "{matchLabels: {x: y}}"));
  const after = merge(w, inForce(0, base("a")), there);
  assert.deepEqual(states(after), { a: "edited" });
  assert.equal(after.change, 0);
});

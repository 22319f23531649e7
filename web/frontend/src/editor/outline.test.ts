import assert from "node:assert/strict";
import { test } from "node:test";
import { documents, get, longest, placeAt, read, textOf, type Place } from "./outline";

/** The place of the cursor, which is written as a bar. */
function at(text: string): Place | undefined {
  const offset = text.indexOf("|");
  return placeAt(text.slice(0, offset) + text.slice(offset + 1), offset);
}

/** The place in a few words: where, key or value, and what was typed. */
function say(text: string): string {
  const p = at(text);
  return p ? `${p.at} ${p.path.join(".")} "${p.typed}"` : "nowhere";
}

const rest = `
spec:
  podSelector:
    matchLabels:
      app: api
  ingress:
    - from:
        - podSelector: {}
`;

const cases: [string, string, string][] = [
  ["an_empty_text_is_a_key_of_the_policy", "|", 'value  ""'],
  ["a_word_alone_is_the_beginning_of_a_policy", "api|", 'value  "api"'],
  ["a_word_below_a_key_is_a_key", "kind: NetworkPolicy\nme|", 'key  "me"'],
  ["a_word_above_a_key_is_a_key", "ki|\nmetadata:\n  name: x\n", 'key  "ki"'],
  ["a_key_that_is_complete_is_a_key", "spec:\n  podSel|ector: {}\n", 'key spec "podSel"'],
  ["a_value_has_the_path_of_its_key", "kind: Net|", 'value kind "Net"'],
  ["behind_a_colon_a_value_begins", "metadata:\n  namespace: |\n  name: x\n", 'value metadata.namespace ""'],
  ["a_deeper_empty_line_is_below_the_key", "spec:\n  podSelector:\n    |", 'value spec.podSelector ""'],
  ["a_deeper_empty_line_above_other_keys_is_beside_them", "spec:\n  podSelector:\n    |\n    matchLabels: {}\n", 'key spec.podSelector ""'],
  ["an_empty_line_between_keys_is_beside_them", "spec:\n  podSelector: {}\n  |\n  ingress: []\n", 'key spec ""'],
  ["an_empty_line_at_the_end_is_where_its_column_says", "spec:\n  podSelector:\n    matchLabels:\n      app: x\n  |", 'key spec ""'],
  ["a_label_is_a_key_below_matchLabels", "spec:\n  podSelector:\n    matchLabels:\n      app: x\n      ti|", 'key spec.podSelector.matchLabels "ti"'],
  ["the_first_label_is_a_word_below_matchLabels", "spec:\n  podSelector:\n    matchLabels:\n      ap|", 'value spec.podSelector.matchLabels "ap"'],
  ["behind_a_dash_an_item_begins", "spec:\n  ingress:\n    - |", 'value spec.ingress.0 ""'],
  ["below_an_items_key_is_its_sibling", "spec:\n  ingress:\n    - from: []\n      po|", 'key spec.ingress.0 "po"'],
  ["items_are_counted", "spec:\n  ingress:\n    - from: []\n    - from:\n        - podSelector: {}\n        - name|", 'value spec.ingress.1.from.1 "name"'],
  ["a_list_may_stand_right_below_its_key", "spec:\n  policyTypes:\n  - Ingress\n  - E|", 'value spec.policyTypes.1 "E"'],
  ["and_the_key_behind_such_a_list_is_the_maps", "spec:\n  policyTypes:\n  - Ingress\n  ing|", 'key spec "ing"'],
  ["nested_dashes_are_lists_in_lists", "- - a\n  - b|", 'value 0.1 "b"'],
  ["braces_hold_keys", "spec:\n  podSelector: {matchLabels: {ap|", 'key spec.podSelector.matchLabels "ap"'],
  ["braces_hold_values", "spec: {podSelector: {matchLabels: {app: a|}}}", 'value spec.podSelector.matchLabels.app "a"'],
  ["behind_a_comma_a_key_begins", "spec: {a: b, |}", 'key spec ""'],
  ["brackets_hold_items", "spec:\n  policyTypes: [Ingress, E|]", 'value spec.policyTypes.1 "E"'],
  ["braces_over_several_lines_are_one", "spec: {\n  podSelector: {},\n  po|\n}", 'key spec "po"'],
  ["braces_that_are_not_closed_end_where_a_line_cannot_be_theirs", "spec:\n  podSelector: {matchLabels: {app: x\n  ing|", 'key spec "ing"'],
  ["a_quoted_value_is_typed_without_its_quote", 'spec:\n  a: "pro|d"', 'value spec.a "pro"'],
  ["a_quote_that_is_not_closed_ends_with_its_line", 'a: "x\nb: |', 'value b ""'],
  ["a_quoted_key_is_a_key", '"a:b": x\n"kubernetes.io/metadata.name": |', 'value kubernetes.io/metadata.name ""'],
  ["a_colon_without_a_blank_is_no_key", "to:\n  - cidr: 10.0.0.0/8\n    x: fe80::1|", 'value to.0.x "fe80::1"'],
  ["in_a_comment_there_is_nothing", "spec: # he|re\n", "nowhere"],
  ["in_a_comments_line_there_is_nothing", "spec:\n  # po|\n  podSelector: {}\n", "nowhere"],
  ["a_hash_within_a_word_is_no_comment", "a: x#y|", 'value a "x#y"'],
  ["before_a_lines_first_word_there_is_nothing", "spec:\n |   podSelector: {}\n", "nowhere"],
  ["in_a_text_of_several_lines_there_is_nothing", "a: >-\n  some te|xt\nb: c\n", "nowhere"],
  ["behind_such_a_text_there_are_keys", "a: |1\n".replace("|1", ">") + "  some text\nb|", 'key  "b"'],
  ["the_first_of_several_documents", "a: |\n---\nb: c\n", 'value a ""'],
  ["the_second_of_several_documents", "a: b\n---\nspec:\n  ingr|", 'value spec "ingr"'],
  ["between_the_dashes_there_is_nothing", "a: b\n--|-\nb: c\n", "nowhere"],
  ["right_behind_the_dashes_there_is_nothing", "a: b\n---|\nb: c\n", "nowhere"],
  ["a_tab_is_a_level", "spec:\n\tpodSelector:\n\t\tmatchL|", 'value spec.podSelector "matchL"'],
  ["line_ends_of_Windows_are_line_ends", "spec:\r\n  podSelector: {}\r\n  pol|\r\n", 'key spec "pol"'],
  ["below_a_word_there_is_nothing", "spec:\n  podSelector:\n    a: b\n      c|", "nowhere"],
  ["a_line_that_is_too_deep_belongs_to_what_is_above", "spec:\n  podSelector:\n    a:\n      b: c\n        d: e|", 'value spec.podSelector.a.b.d "e"'],
  ["a_line_that_is_too_shallow_belongs_to_the_level_above_it", "spec:\n    a: b\n  po|", 'key spec "po"'],
  ["lines_of_a_template_are_passed_over", "{{- if .Values.on }}\nspec:\n  podSelector: {{ .Values.x }}\n  pol|\n{{- end }}\n", 'key spec "pol"'],
  ["a_list_of_policies_has_paths_too", "kind: List\nitems:\n  - spec:\n      po|", 'value items.0.spec "po"'],
  ["a_policy_with_a_rest_after_the_cursor", "metadata:\n  na|" + rest, 'value metadata "na"'],
];

for (const [rule, text, want] of cases) {
  test(rule, () => assert.equal(say(text), want));
}

test("what_a_completion_replaces_is_the_word_with_its_quotes", () => {
  const p = at('spec: {a: b}\nx: "pro|d" # why\n')!;
  assert.deepEqual([p.from, p.to], [16, 22]);
  const second = at("a: b\n---\nspec:\n  ingr|ess:\n")!;
  assert.deepEqual([second.from, second.to, second.column, second.document], [17, 24, 2, 8]);
});

test("siblings_are_the_other_keys", () => {
  assert.deepEqual(at("spec:\n  podSelector: {}\n  |\n  ingress: []\n")!.siblings, ["podSelector", "ingress"]);
});

test("the_document_is_read_as_if_the_cursor_were_not_there", () => {
  const p = at("metadata:\n  namespace: prod|uction\nspec:\n  podSelector: {matchLabels: {app: api}}\n")!;
  assert.equal(textOf(get(p.root, ["metadata", "namespace"])), "production");
  const label = get(p.root, ["spec", "podSelector", "matchLabels", "app"])!;
  assert.deepEqual([label.from, label.to], [75, 78]);
});

test("documents_are_parted_by_dashes_and_dots", () => {
  const text = "a: b\n---\nc: d\n...\n--- e\n";
  assert.deepEqual(
    documents(text).map((d) => text.slice(d.from, d.to).trim()),
    ["a: b", "c: d", "", "e"],
  );
});

test("a_document_that_is_too_long_has_no_places", () => {
  const text = "a: b\n".repeat(longest / 5 + 1);
  assert.equal(placeAt(text, 3), undefined);
  assert.notEqual(placeAt(text + "---\na: ", text.length + 7), undefined);
});

test("any_text_is_read_in_its_own_time", () => {
  for (const text of ["[".repeat(50_000), "{a: ".repeat(20_000), "- ".repeat(40_000), "a:\n".repeat(30_000), " ".repeat(90_000), '"'.repeat(90_000), "a: b: c: ".repeat(10_000)]) {
    const start = performance.now();
    read(text);
    const took = performance.now() - start;
    assert.ok(took < 1000, `${text.slice(0, 10)}… took ${took} ms`);
  }
});

test("every_beginning_of_a_policy_has_a_tree_and_no_place_is_outside_the_text", () => {
  const text = `# a comment\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: "x", namespace: production}${rest}        - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}\n---\nb: 'c'\n`;
  for (let n = 0; n <= text.length; n++) {
    for (const whole of [text.slice(0, n), text]) {
      const p = placeAt(whole, n);
      if (!p) continue;
      assert.ok(p.from <= n && n <= p.to && p.to <= whole.length, `at ${n}: ${p.from} to ${p.to}`);
      assert.ok(whole.slice(p.from, n).includes(p.typed), `at ${n}: ${p.typed}`);
    }
  }
});

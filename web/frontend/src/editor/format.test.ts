import assert from "node:assert/strict";
import { test } from "node:test";
import { format } from "./format";
import { filled, policies } from "./snippets";
import { lab } from "./testlab";

function formatted(text: string): string {
  const f = format(text);
  assert.ok("text" in f, JSON.stringify(f));
  return f.text;
}

const cases: [string, string, string][] = [
  ["levels_are_of_two_spaces", "spec:\n    podSelector:\n        matchLabels:\n            app: api\n", "spec:\n  podSelector:\n    matchLabels:\n      app: api\n"],
  ["lists_are_deeper_than_their_key", "policyTypes:\n- Ingress\n-   Egress\n", "policyTypes:\n  - Ingress\n  - Egress\n"],
  ["comments_stay", "# whose\nmetadata: # what\n    # before\n    name: x   # behind\n\n# at the end\n", "# whose\nmetadata:\n  # what\n  # before\n  name: x # behind\n\n# at the end\n"],
  ["one_empty_line_stays", "a: 1\n\n\n\nb: 2\n", "a: 1\n\nb: 2\n"],
  ["braces_stay_braces", "podSelector: { matchLabels: {app:   api} }\npolicyTypes: [ Ingress,Egress ]\n", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Ingress, Egress]\n"],
  ["quotes_stay", "a: \"x\"\nb: 'true'\nc: \"53\"\n", "a: \"x\"\nb: 'true'\nc: \"53\"\n"],
  ["what_looks_like_a_number_stays_as_it_is", "a: 0x10\nb: 1.10\nc: 1e3\nd: 007\n", "a: 0x10\nb: 1.10\nc: 1e3\nd: 007\n"],
  ["an_empty_value_stays_empty", "podSelector:\nname: x\n", "podSelector:\nname: x\n"],
  ["null_stays_null", "a: ~\nb: null\n", "a: ~\nb: null\n"],
  ["fields_stay_in_their_order", "spec: {}\nkind: NetworkPolicy\n", "spec: {}\nkind: NetworkPolicy\n"],
  ["documents_stay_apart_and_empty_ones_go", "---\na: 1\n---\n---\n# of the second\nb: 2\n", "a: 1\n---\n# of the second\nb: 2\n"],
  ["tabs_become_spaces", "spec:\n\tpodSelector:\n\t\tmatchLabels: {}\n", "spec:\n  podSelector:\n    matchLabels: {}\n"],
  ["line_ends_of_Windows_become_plain_ones", "a: 1\r\nb: 2\r\n", "a: 1\nb: 2\n"],
  ["a_long_line_stays_one", `a: ${"word ".repeat(60)}end\n`, `a: ${"word ".repeat(60)}end\n`],
  ["a_text_over_several_lines_stays_one", "a: |\n    one\n    two\nb: c\n", "a: |\n  one\n  two\nb: c\n"],
  ["nothing_stays_nothing", " \n\n", ""],
  ["the_last_line_ends", "a: 1", "a: 1\n"],
];

for (const [rule, text, want] of cases) {
  test(rule, () => {
    assert.equal(formatted(text), want);
    assert.equal(formatted(want), want);
  });
}

test("what_is_no_YAML_is_left_alone_and_its_line_is_told", () => {
  assert.deepEqual(format("a: 1\nb: [\nc: 2\n"), { line: 3, message: "This is no YAML yet, so it cannot be formatted." });
  assert.ok("message" in format("{{- if .Values.on }}\na: {{ .Values.a }}\n{{- end }}\n"));
  assert.ok("message" in format("a: 1\n".repeat(60_000)));
});

test("keys_that_are_there_twice_stay_both", () => {
  assert.equal(formatted("a: 1\na:   2\n"), "a: 1\na: 2\n");
});

test("snippets_are_formatted_already", () => {
  for (const s of policies(lab)) assert.equal(formatted(filled(s.text)), filled(s.text), s.label);
});

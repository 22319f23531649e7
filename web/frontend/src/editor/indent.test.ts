import assert from "node:assert/strict";
import { test } from "node:test";
import { indentAfter } from "./indent";

const cases: [string, string, string][] = [
  ["the_first_line_is_not_indented", "", ""],
  ["a_plain_key_keeps_the_indentation", "  name: x", "  "],
  ["a_key_without_a_value_opens_a_level", "spec:", "  "],
  ["a_comment_behind_the_colon_changes_nothing", "  spec: # what it does", "    "],
  ["a_key_in_a_list_opens_a_level_under_the_key", "  - from:", "      "],
  ["a_key_with_value_in_a_list_is_followed_by_its_sibling", "    - port: 53", "      "],
  ["a_plain_item_is_followed_by_the_next_dash", "  - Ingress", "  "],
  ["nested_dashes_count_together", "- - a: b", "    "],
  ["a_colon_inside_a_value_is_no_key", "  - http://x", "  "],
  ["a_colon_in_a_comment_is_no_key", "  # note:", "  "],
  ["an_empty_selector_opens_nothing", "  podSelector: {}", "  "],
  ["an_empty_indented_line_keeps_its_indentation", "    ", "    "],
];

for (const [rule, line, want] of cases) {
  test(rule, () => assert.equal(indentAfter(line), want));
}

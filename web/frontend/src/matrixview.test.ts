import assert from "node:assert/strict";
import { test } from "node:test";
import type { Verdict } from "./events.gen";
import { changedByApply, everything, flowsOf, foldOf, isActive, layOut, pairOf, passes, sum, type Axes, type Filter, type View } from "./matrixview";
import { nothing, type Model } from "./model";

const from = (id: string) => ({ id, group: id.split("/")[0]!, name: id.split("/")[1]!, port: "", note: "" });
const to = (id: string, group: string) => ({ id, group, name: id, port: "", note: "" });

const axes: Axes = (() => {
  const sources = ["shop/web", "shop/db", "ops/shell"].map(from);
  const targets = [to("shop/web:8080/TCP", "shop"), to("shop/db:5432/TCP", "shop"), to("internet:443/TCP", "outside")];
  const flows = new Map<string, string[]>();
  for (const f of sources) {
    for (const t of targets) {
      if (t.id.startsWith(`${f.id}:`)) continue;
      const id = pairOf(f.id, t.id);
      flows.set(id, t.group === "shop" ? [id, `${id}@name`] : [id]);
    }
  }
  return { from: sources, to: targets, flows };
})();

const plain: View = { transposed: false, folded: new Set() };
const names = (groups: readonly { name: string; lines: readonly { ends: readonly { id: string }[] }[] }[]) =>
  groups.map((g) => `${g.name}: ${g.lines.map((l) => l.ends.map((e) => e.id).join("+")).join(" ")}`);

test("everything_is_laid_out_by_group_in_the_order_of_the_page", () => {
  const l = layOut(axes, plain, () => true);
  assert.deepEqual(names(l.rows), ["shop: shop/web shop/db", "ops: ops/shell"]);
  assert.deepEqual(names(l.columns), ["shop: shop/web:8080/TCP shop/db:5432/TCP", "outside: internet:443/TCP"]);
});

test("a_folded_group_is_one_line_of_all_its_ends_on_the_side_where_it_is_folded", () => {
  const l = layOut(axes, { ...plain, folded: new Set([foldOf("from", "shop")]) }, () => true);
  assert.deepEqual(names(l.rows), ["shop: shop/web+shop/db", "ops: ops/shell"]);
  assert.deepEqual(names(l.columns), ["shop: shop/web:8080/TCP shop/db:5432/TCP", "outside: internet:443/TCP"]);
  assert.deepEqual(flowsOf(axes, l.rows[0]!.lines[0]!, l.columns[0]!.lines[0]!), ["shop/db>shop/web:8080/TCP", "shop/db>shop/web:8080/TCP@name"]);
});

test("transposed_rows_are_columns_and_stay_folded", () => {
  const view = { transposed: true, folded: new Set([foldOf("to", "shop")]) };
  const l = layOut(axes, view, () => true);
  assert.deepEqual(names(l.rows), ["shop: shop/web:8080/TCP+shop/db:5432/TCP", "outside: internet:443/TCP"]);
  assert.deepEqual(names(l.columns), ["shop: shop/web shop/db", "ops: ops/shell"]);
});

test("a_line_without_a_flow_that_is_shown_is_left_out", () => {
  const l = layOut(axes, plain, (id) => id.startsWith("ops/shell>shop/db"));
  assert.deepEqual(names(l.rows), ["ops: ops/shell"]);
  assert.deepEqual(names(l.columns), ["shop: shop/db:5432/TCP"]);
  assert.deepEqual(layOut(axes, plain, () => false), { rows: [], columns: [] });
});

const all = [...axes.flows.values()].flat();
const model = (verdicts: Record<string, Verdict>, more: Partial<Model> = {}): Model => ({
  ...nothing,
  flows: new Map(Object.entries(verdicts).map(([flow, verdict]) => [flow, { flow, verdict }])),
  ...more,
});
const found = (filter: Partial<Filter>, m: Model = nothing, would: Record<string, Verdict> = {}, now = 0) =>
  all.filter(passes({ ...everything, ...filter }, { model: m, would: new Map(Object.entries(would)), now }));

test("text_is_looked_for_in_both_ends_and_every_word_has_to_be_there", () => {
  assert.equal(found({ text: "" }).length, all.length);
  assert.deepEqual(found({ text: " WEB  5432 " }), ["shop/web>shop/db:5432/TCP", "shop/web>shop/db:5432/TCP@name"]);
  assert.deepEqual(found({ text: "nothing" }), []);
});

test("text_with_an_arrow_asks_for_source_and_destination_apart", () => {
  assert.deepEqual(found({ text: "shop > 443" }), ["shop/web>internet:443/TCP", "shop/db>internet:443/TCP"]);
  assert.deepEqual(found({ text: "> db name" }), ["shop/web>shop/db:5432/TCP@name", "ops/shell>shop/db:5432/TCP@name"]);
  assert.deepEqual(found({ text: "ops →" }), found({ text: "ops >" }));
  assert.equal(found({ text: ">" }).length, all.length);
});

test("a_verdict_is_looked_for_and_what_is_not_known_is_one", () => {
  const m = model({ "shop/web>internet:443/TCP": "open", "shop/db>internet:443/TCP": "blocked" });
  assert.deepEqual(found({ verdict: "open" }, m), ["shop/web>internet:443/TCP"]);
  assert.equal(found({ verdict: "none" }, m).length, all.length - 2);
});

test("what_the_last_change_has_turned_is_found_but_not_what_it_only_measured_again", () => {
  const [a, b] = ["shop/web>internet:443/TCP", "shop/db>internet:443/TCP"];
  const before = model({ [a]: "open", [b]: "open" }).flows;
  const m = model({ [a]: "blocked", [b]: "open", [all[0]!]: "open" }, { before });
  assert.deepEqual(found({ changed: "apply" }, m), [a]);
  assert.equal(changedByApply(m, all[0]!), false);
});

test("what_turned_in_the_last_seconds_is_found_by_the_servers_clock", () => {
  const turned = new Map([
    ["shop/web>internet:443/TCP", 100_000],
    ["shop/db>internet:443/TCP", 39_999],
  ]);
  assert.deepEqual(found({ changed: 60 }, { ...nothing, turned }, {}, 100_000), ["shop/web>internet:443/TCP"]);
});

test("only_what_the_draft_changes", () => {
  assert.deepEqual(found({ changed: "draft" }, nothing, { "ops/shell>internet:443/TCP": "blocked" }), ["ops/shell>internet:443/TCP"]);
});

test("a_filter_is_active_where_it_asks_for_anything", () => {
  assert.equal(isActive(everything), false);
  assert.equal(isActive({ ...everything, text: "  " }), false);
  for (const f of [{ text: "a" }, { verdict: "open" }, { changed: "apply" }, { changed: 60 }] as const) assert.equal(isActive({ ...everything, ...f }), true);
});

test("a_sum_counts_what_is_open_of_what_is_known", () => {
  assert.deepEqual(sum(all.slice(0, 3), model({ [all[0]!]: "open", [all[1]!]: "refused" }).flows), { open: 1, known: 2, all: 3 });
});

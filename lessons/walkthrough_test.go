package lessons

import (
	"strings"
	"testing"
)

const steps = `pods: [shop/web, shop/db, shop/spy]
flows:
  - {from: shop/web, to: shop/db, port: 5432}
  - {from: shop/spy, to: shop/db, port: 5432}
steps:
  - caption: All is open.
  - caption: Nobody gets in.
    apply: |
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: deny, namespace: shop}
      spec:
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
  - caption: Only web gets in.
    apply: |
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: guard, namespace: shop}
      spec:
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
`

func TestEach_step_of_a_walkthrough_adds_its_policies_to_those_before(t *testing.T) {
	all, err := Load(lessonWith(map[string]string{"walkthrough.yaml": steps}))
	if err != nil {
		t.Fatal(err)
	}
	drawn := all[0].Walkthrough
	if len(drawn) != 3 {
		t.Fatalf("%d steps, want 3", len(drawn))
	}
	ids := map[string]bool{}
	for i, want := range []struct {
		caption         string
		allowed, denied int
	}{
		{"All is open.", 2, 0},
		{"Nobody gets in.", 0, 2},
		{"Only web gets in.", 1, 1},
	} {
		p := drawn[i]
		ids[p.ID] = true
		allowed, denied := strings.Count(p.SVG, "✓ 5432 allowed"), strings.Count(p.SVG, "✕ 5432 blocked")
		if p.Caption != want.caption || allowed != want.allowed || denied != want.denied || len(p.Sentences) != 2 {
			t.Errorf("step %d: %q with %d allowed, %d blocked, %d sentences; want %+v", i+1, p.Caption, allowed, denied, len(p.Sentences), want)
		}
	}
	if len(ids) != 3 {
		t.Errorf("the steps have the IDs %v: want three", ids)
	}
	if last := drawn[2].Sentences[1]; !strings.Contains(last, "shop/deny isolates db") || !strings.Contains(last, "guard allows only") {
		t.Errorf("the last step says %q: want the policies of both steps in force", last)
	}
}

func TestA_lesson_needs_no_walkthrough(t *testing.T) {
	all, err := Load(lessonWith(nil))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(all[0].Walkthrough); n != 0 {
		t.Errorf("%d steps without a file", n)
	}
}

func TestWhat_is_wrong_with_a_walkthrough_is_said_with_its_place(t *testing.T) {
	onlyTheFirst := steps[strings.Index(steps, "  - caption: Nobody"):]
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing":             {steps, "# nothing\n", "1: the file is empty"},
		"unknown field":       {"pods:", "ends:", "1: ends: is not a field here"},
		"field of a step":     {"    apply:", "    policies:", "8: policies: is not a field here"},
		"no steps":            {steps[strings.Index(steps, "steps:"):], "", "1: steps: there are 0: want at least two"},
		"one step":            {onlyTheFirst, "", "5: steps: there are 1: want at least two"},
		"no caption":          {"caption: Nobody gets in.", "caption: ''", "7: steps[1].caption: is missing"},
		"no flows":            {steps[strings.Index(steps, "flows:"):strings.Index(steps, "steps:")], "", "1: flows: there are none to draw"},
		"unknown flow":        {"port: 5432}", "port: 1}", "3: flows[0]: the topology has no flow"},
		"several flows":       {"from: shop/web", "from: shop/*", "3: flows[0]: stands for 2 flows"},
		"unknown pod":         {"shop/spy]", "shop/spy, shop/dbs]", "1: pods[3]: shop/dbs is no pod and no outside host"},
		"pod not drawn":       {"shop/db, shop/spy]", "shop/db]", "4: flows[1]: shop/spy is not among the picture's pods"},
		"policy with a slip":  {"podSelector", "podselector", "13: spec.podselector:"},
		"policy of elsewhere": {"namespace: shop}", "namespace: mall}", "11: metadata.namespace:"},
		"a name again":        {"name: guard", "name: deny", "16: steps[2].apply: shop/deny comes with steps[1] already"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(steps, c.old) {
				t.Fatalf("no %q in the steps", c.old)
			}
			_, err := Load(lessonWith(map[string]string{"walkthrough.yaml": strings.Replace(steps, c.old, c.new, 1)}))
			if err == nil || !strings.Contains(err.Error(), "01-one/walkthrough.yaml:"+c.want) {
				t.Errorf("error = %v\nwant in it walkthrough.yaml:%s", err, c.want)
			}
		})
	}
}

func TestA_picture_does_not_take_the_name_of_a_step(t *testing.T) {
	_, err := Load(lessonWith(map[string]string{"pictures/walkthrough-1.yaml": "caption: One.\npods: [shop/web, shop/db]\nflows:\n  - {from: shop/web, to: shop/db, port: 5432}\n"}))
	if err == nil || !strings.Contains(err.Error(), "01-one/pictures/walkthrough-1.yaml:1: file: names that begin with walkthrough-") {
		t.Errorf("error = %v", err)
	}
}

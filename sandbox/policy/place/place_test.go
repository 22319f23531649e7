package place

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestFind_leads_as_far_as_there_is_something(t *testing.T) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(`checks:
- from: a
  want: open
- name: second
  deep:
    name: x
- name: second
- labels:
    app.kubernetes.io/name: api
`), &root); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		steps     []any
		key, node int
		whole     bool
	}{
		{nil, 1, 1, true},
		{Steps("checks[0].want"), 3, 3, true},
		{[]any{"checks", 0, "want"}, 3, 3, true},
		{Steps("checks"), 1, 2, true},
		{Steps("checks[second].deep"), 5, 6, true},
		{Steps("checks[1].deep.name"), 6, 6, true},
		{[]any{"checks", Last("second")}, 7, 7, true},
		{Steps("checks[3].labels[app.kubernetes.io/name]"), 9, 9, true},
		{Steps("checks[0].hint"), 2, 2, false},
		{Steps("checks[7].want"), 1, 2, false},
		{Steps("checks.want"), 1, 2, false},
		{Steps("nothing[0]"), 1, 1, false},
	} {
		if got := Find(&root, tt.steps...); got.Key.Line != tt.key || got.Node.Line != tt.node || got.Whole != tt.whole {
			t.Errorf("%v: got lines %d and %d (%t), want %d and %d (%t)", tt.steps, got.Key.Line, got.Node.Line, got.Whole, tt.key, tt.node, tt.whole)
		}
	}
	if k := Key(&root, "deep"); k == nil || k.Line != 5 {
		t.Errorf("the key deep: %+v", k)
	}
	if k := Key(&root, "open"); k != nil {
		t.Errorf("a value was taken for a key: %+v", k)
	}
	if k, v := Entry(&yaml.Node{Kind: yaml.ScalarNode}, "a"); k != nil || v != nil {
		t.Error("a scalar has fields")
	}
}

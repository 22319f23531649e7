package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fieldOrder is the order in which people write a policy's fields; others come
// behind them by name.
var fieldOrder = []string{
	"apiVersion", "kind", "metadata", "name", "namespace", "spec",
	"namespaceSelector", "podSelector", "policyTypes", "ingress", "egress",
	"from", "to", "ports", "ipBlock", "cidr", "except", "protocol", "port", "endPort", "key", "operator", "values",
}

// YAML writes a policy as a person would: the fields in the usual order, and
// without what only the API server fills in.
func YAML(p networkingv1.NetworkPolicy) string {
	p.APIVersion, p.Kind = apiVersion, kind
	p.ManagedFields, p.UID, p.ResourceVersion, p.Generation = nil, "", "", 0
	p.CreationTimestamp = metav1.Time{}
	return encode(nodeOf(p))
}

// nodeOf is a value of the API's types as YAML, in the order in which people write it.
// JSON is YAML, so that nothing else is needed on the way.
func nodeOf(v any) *yaml.Node {
	js, err := json.Marshal(v)
	var root yaml.Node
	if err == nil {
		err = yaml.Unmarshal(js, &root)
	}
	if err != nil {
		panic(err) // What the API's types hold can be said in YAML.
	}
	order(&root)
	return &root
}

func encode(root *yaml.Node) string {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	e.CompactSeqIndent()
	if err := e.Encode(root); err != nil {
		panic(err)
	}
	return out.String()
}

func order(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0 // Brackets and quotes of JSON, but for what is empty.
	}
	for _, c := range n.Content {
		order(c)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	type field struct{ key, value *yaml.Node }
	var fields []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		fields = append(fields, field{n.Content[i], n.Content[i+1]})
	}
	rank := func(f field) int {
		if i := slices.Index(fieldOrder, f.key.Value); i >= 0 {
			return i
		}
		return len(fieldOrder)
	}
	slices.SortStableFunc(fields, func(a, b field) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.key.Value, b.key.Value)
	})
	n.Content = n.Content[:0]
	for _, f := range fields {
		n.Content = append(n.Content, f.key, f.value)
	}
}

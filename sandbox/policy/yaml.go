package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
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
func nodeOf(v any) *yaml.Node {
	js, err := json.Marshal(v)
	var n *yaml.Node
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(js))
		d.UseNumber()
		n, err = nodeFrom(d)
	}
	if err != nil {
		panic(err) // What the API's types hold can be said in YAML.
	}
	order(n)
	return n
}

// nodeFrom reads the next value of JSON. JSON is YAML, but to read it as such takes
// many times as long, and a preview writes many fixes.
func nodeFrom(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	scalar := func(tag, value string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}, nil
	}
	switch t := token.(type) {
	case string:
		return scalar("!!str", t)
	case json.Number:
		return scalar("!!int", t.String()) // The API's types have no others.
	case bool:
		return scalar("!!bool", strconv.FormatBool(t))
	case nil:
		return scalar("!!null", "null")
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if token == json.Delim('[') {
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	}
	for d.More() {
		part, err := nodeFrom(d)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, part)
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle // Else what is empty could not be told from nothing.
	}
	_, err = d.Token() // The bracket that closes it.
	return n, err
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

package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/json"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	apiVersion = "networking.k8s.io/v1"
	kind       = "NetworkPolicy"
	// maxProblems bounds what is reported of an input that is wrong throughout.
	maxProblems = 50
)

// Parse reads NetworkPolicies from YAML, any number of documents with a line
// --- between them, as strictly as kubectl does and with better words: fields
// that do not exist, fields written twice and values of the wrong type are
// problems. A policy must have a name, and a namespace that is one of the
// namespaces. Whether the values make sense is for the API server to say.
//
// The error is a *[Error] with every problem of every document, in the
// order of the input.
func Parse(src []byte, namespaces []string) ([]Policy, error) {
	p := &parser{namespaces: namespaces, seen: map[string]int{}}
	p.parse(src)
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		if len(p.problems) > maxProblems {
			p.problems = append(p.problems[:maxProblems], Problem{Message: fmt.Sprintf("there are more problems than these %d; they are left out", maxProblems)})
		}
		return nil, &Error{Problems: p.problems}
	}
	return p.policies, nil
}

// Position is the place in the input of the field with the path, spelled as in
// an error of the API server: "spec.ingress[0].ports[0].port". Where there is no
// such field, it is that of the nearest one around it.
func (p Policy) Position(fieldPath string) Position {
	for path := fieldPath; path != ""; {
		if pos, ok := p.positions[path]; ok {
			return pos
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return p.positions[""]
}

// parser collects what one input holds.
type parser struct {
	namespaces []string
	policies   []Policy
	problems   []Problem
	seen       map[string]int // The line of each policy, by namespace/name.
}

func (p *parser) problem(pos Position, field, format string, args ...any) {
	p.problems = append(p.problems, Problem{Position: pos, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p *parser) parse(src []byte) {
	start := Position{Line: 1, Column: 1}
	if len(src) > MaxBytes {
		p.problem(start, "", "this is %d KiB of YAML; the lab takes at most %d KiB at once", (len(src)+1023)>>10, MaxBytes>>10)
		return
	}
	documents := p.split(strings.TrimPrefix(string(src), "\ufeff"))
	if len(documents) == 0 && len(p.problems) == 0 {
		p.problem(start, "", "there is no policy here: a policy begins with apiVersion: %s", apiVersion)
	}
	for _, d := range documents {
		p.document(d)
	}
}

// document is one YAML document of the input.
type document struct {
	text string
	line int // Of its first line, from 1.
}

// split cuts the input at its document markers and leaves out what holds
// nothing but blank lines and comments.
func (p *parser) split(src string) []document {
	var out []document
	var lines []string
	first := 1
	end := func() {
		for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
			lines = lines[1:]
			first++
		}
		if slices.ContainsFunc(lines, func(l string) bool { return content(l) != "" }) {
			text := strings.TrimRight(strings.Join(lines, "\n"), " \r\n") + "\n"
			out = append(out, document{text, first})
		}
		lines = nil
	}
	for i, line := range strings.Split(src, "\n") {
		line = strings.TrimSuffix(line, "\r")
		marker := len(line) >= 3 && (line[:3] == "---" || line[:3] == "...") && (len(line) == 3 || line[3] == ' ' || line[3] == '\t')
		if !marker {
			lines = append(lines, line)
			continue
		}
		end()
		first = i + 2
		if content(line[3:]) != "" {
			p.problem(Position{i + 1, 1}, "", "write %s on a line of its own, and what comes after it on the next", line[:3])
		}
	}
	end()
	return out
}

// content is a line without its indentation and comment.
func content(line string) string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return ""
	}
	if i := strings.Index(line, " #"); i >= 0 {
		line = strings.TrimSpace(line[:i])
	}
	return line
}

// document reads one document.
func (p *parser) document(d document) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(d.text), &root); err != nil {
		pos, message := explainSyntax(d.text, err)
		pos.Line += d.line - 1
		p.problem(pos, "", "%s", message)
		return
	}
	before := len(p.problems)
	w := &walker{parser: p, offset: d.line - 1, positions: map[string]Position{}}
	if !w.isPlain(&root) {
		return
	}
	node := root.Content[0]
	w.positions[""] = w.at(node)
	if node.Kind != yaml.MappingNode {
		p.problem(w.at(node), "", "this is no policy: a policy is made of fields, the first of which is apiVersion: %s", apiVersion)
		return
	}
	if !w.isNetworkPolicy(node) {
		return
	}
	w.object(node)
	key := w.identity(node)
	if key != "" {
		if line, ok := p.seen[key]; ok {
			p.problem(w.positions["metadata.name"], "metadata.name", "the policy %s is here twice; the first is on line %d", key, line)
		} else {
			p.seen[key] = w.at(node).Line
		}
	}
	if len(p.problems) > before {
		return
	}

	policy := Policy{Source: d.text, Line: d.line, positions: w.positions}
	if err := decode(d.text, &policy.NetworkPolicy); err != nil {
		// The walk has found everything that is known to go wrong here.
		p.problem(w.at(node), "", "this policy cannot be read: %v", err)
		return
	}
	p.policies = append(p.policies, policy)
}

// decode reads a document as kubectl does.
func decode(text string, into *networkingv1.NetworkPolicy) error {
	js, err := sigsyaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return err
	}
	strict, err := json.UnmarshalStrict(js, into)
	if err != nil {
		return err
	}
	if len(strict) > 0 {
		return strict[0]
	}
	return nil
}

// isNetworkPolicy checks what the document says it is. Where it is another
// kind of object, nothing else is worth saying about it.
func (w *walker) isNetworkPolicy(root *yaml.Node) bool {
	version, gotVersion := scalar(root, "apiVersion")
	k, gotKind := scalar(root, "kind")
	pos := w.at(root)
	switch {
	case gotKind == nil:
		w.parser.problem(pos, "kind", "the field is missing: write kind: %s", kind)
	case k == "List" || k == kind+"List":
		w.parser.problem(w.at(gotKind), "kind", "this is a %s; write its policies one after the other, with a line --- between them", k)
		return false
	case k != kind && strings.EqualFold(k, kind), distance(strings.ToLower(k), strings.ToLower(kind)) <= 3 && k != kind:
		w.parser.problem(w.at(gotKind), "kind", "there is no kind %q; did you mean %q?", k, kind)
	case k == "" && k != kind:
		w.parser.problem(w.at(gotKind), "kind", "the field is empty: write kind: %s", kind)
	case k != kind:
		w.parser.problem(w.at(gotKind), "kind", "this is a %s; the lab takes only NetworkPolicies", k)
		return false
	}
	switch {
	case gotVersion == nil:
		w.parser.problem(pos, "apiVersion", "the field is missing: write apiVersion: %s", apiVersion)
	case strings.Contains(version, "projectcalico.org/"):
		w.parser.problem(w.at(gotVersion), "apiVersion", "this is Calico's own kind of NetworkPolicy; the lab takes Kubernetes' own: apiVersion: %s", apiVersion)
		return false
	case version != apiVersion:
		w.parser.problem(w.at(gotVersion), "apiVersion", "a NetworkPolicy has apiVersion: %s, not %q", apiVersion, version)
	}
	return true
}

// identity checks the policy's name and namespace and returns them as
// "namespace/name", or "" where they are wrong.
func (w *walker) identity(root *yaml.Node) string {
	p := w.parser
	list := strings.Join(p.namespaces, ", ")
	if n := len(p.namespaces); n > 1 {
		list = strings.Join(p.namespaces[:n-1], ", ") + " or " + p.namespaces[n-1]
	}
	meta := lookup(root, "metadata")
	if meta == nil {
		p.problem(w.at(root), "metadata", "the field is missing: write metadata: and under it the policy's name and its namespace (%s)", list)
		return ""
	}
	if meta.Kind != yaml.MappingNode && !isNull(meta) {
		return "" // The walk has said so.
	}
	good := true
	name, nameNode := scalar(meta, "name")
	switch {
	case nameNode == nil && lookup(meta, "name") != nil:
		good = false // The walk has said so.
	case name == "":
		p.problem(w.positions["metadata"], "metadata.name", "the policy has no name: write one under metadata, such as name: default-deny")
		good = false
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		p.problem(w.at(nameNode), "metadata.name", "%q cannot be a name: use lower-case letters, digits, - and . only, with a letter or digit at both ends, at most 253 characters", short(name))
		good = false
	}
	namespace, nsNode := scalar(meta, "namespace")
	switch {
	case nsNode == nil && lookup(meta, "namespace") != nil:
		good = false
	case namespace == "":
		p.problem(w.positions["metadata"], "metadata.namespace", "say which namespace the policy is for: %s", list)
		good = false
	case !slices.Contains(p.namespaces, namespace):
		hint := ""
		if near := nearest(namespace, p.namespaces); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		p.problem(w.at(nsNode), "metadata.namespace", "%s is not one of this lab's namespaces: %s%s", short(namespace), list, hint)
		good = false
	}
	if !good {
		return ""
	}
	return namespace + "/" + name
}

// short shortens what is quoted in a message.
func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// lookup finds a field's value; nil where there is none.
func lookup(mapping *yaml.Node, field string) *yaml.Node {
	if mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == field {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// scalar finds a field's text; the node is nil where there is none.
func scalar(mapping *yaml.Node, field string) (string, *yaml.Node) {
	n := lookup(mapping, field)
	switch {
	case n == nil || n.Kind != yaml.ScalarNode:
		return "", nil
	case isNull(n):
		return "", n
	}
	return n.Value, n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && bytes.Equal(toJSON(n), []byte("null"))
}

// toJSON is what a scalar is to kubectl, whose YAML knows yes and on, too.
func toJSON(n *yaml.Node) []byte {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return []byte(`""`)
	}
	js, err := sigsyaml.YAMLToJSON([]byte(n.Value))
	if err != nil {
		return []byte(`""`)
	}
	return bytes.TrimSpace(js)
}

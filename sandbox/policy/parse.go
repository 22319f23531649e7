package policy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/json"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
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
// problems, and so is everything that [Validate] finds. A policy must have a
// name and be for a namespace that the options allow.
//
// A document may also be a List of policies, as kubectl get -o yaml prints one.
// What the cluster itself has written into its items, or into a policy that it has
// printed alone (managedFields, status and the like), is left out. A List without
// items is an input without policies.
//
// The error is a *[Error] with every problem of every document, in the
// order of the input.
func Parse(src []byte, opts ParseOptions) ([]Policy, error) {
	return parse(context.Background(), src, opts)
}

func parse(ctx context.Context, src []byte, opts ParseOptions) ([]Policy, error) {
	p := &parser{ctx: ctx, opts: opts, seen: map[string]int{}}
	p.parse(src)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		for i := range p.problems {
			p.problems[i].End = p.text.tokenEnd(p.problems[i].Position)
		}
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

// Written reports whether the field with the path is in the policy's text, also where
// it has no value.
func (p Policy) Written(fieldPath string) bool {
	_, ok := p.positions[fieldPath]
	return ok
}

// parser collects what one input holds.
type parser struct {
	ctx      context.Context // Of the one call that it lives for.
	opts     ParseOptions
	policies []Policy
	problems []Problem
	seen     map[string]int // The line of each policy, by namespace/name.
	text     text           // The input.
}

func (p *parser) problem(pos Position, field, format string, args ...any) {
	p.problems = append(p.problems, Problem{Position: pos, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p *parser) parse(src []byte) {
	start := Position{Line: 1, Column: 1}
	most := p.opts.MaxBytes
	if most == 0 {
		most = MaxBytes
	}
	if len(src) > most {
		p.problem(start, "", "this is %s of YAML; the lab takes at most %s at once", size(len(src)), size(most))
		return
	}
	text := strings.TrimPrefix(string(src), "\ufeff")
	p.text = linesOf(text)
	nodes := cmp.Or(p.opts.MaxNodes, MaxNodes)
	if pos, message := (bounds{nodes, max(maxDocuments, nodes/10)}).exceeds(text); message != "" {
		p.problem(pos, "", "%s", message)
		return
	}
	documents := p.split(text)
	if len(documents) == 0 && len(p.problems) == 0 {
		p.problem(start, "", "there is no policy here: a policy begins with apiVersion: %s", apiVersion)
	}
	for _, d := range documents {
		if len(p.problems) > maxProblems || p.ctx.Err() != nil {
			return
		}
		p.document(d)
	}
}

// size is a number of bytes as people say it, rounded up.
func size(bytes int) string {
	const kiB, miB = 1 << 10, 1 << 20
	if bytes >= miB {
		return fmt.Sprintf("%d MiB", (bytes+miB-1)/miB)
	}
	return fmt.Sprintf("%d KiB", (bytes+kiB-1)/kiB)
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

// document reads one document: a policy, or a List of them.
func (p *parser) document(d document) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(d.text), &root); err != nil {
		pos, message := ExplainSyntax(d.text, err)
		pos.Line += d.line - 1
		p.problem(pos, "", "%s", message)
		p.offer(p.text.syntaxFixes(pos)...)
		return
	}
	before := len(p.problems)
	w := &walker{parser: p, offset: d.line - 1}
	if !w.isPlain(&root) {
		return
	}
	objects, isList := w.objects(root.Content[0])
	for _, o := range objects {
		o.walker = walker{parser: p, offset: w.offset, positions: map[string]Position{}}
		o.leaveOut()
		known := len(p.problems)
		o.understood = o.walker.policy(o)
		o.problems = slices.Clone(p.problems[known:])
	}
	if len(p.problems) > before {
		for _, o := range objects {
			p.validateTheRest(o)
		}
		return
	}

	if p.ctx.Err() != nil {
		return
	}
	// From here on, what is read is what kubectl reads.
	unreadable := func(err error) {
		// The walk has found everything that is known to go wrong here.
		p.problem(w.at(root.Content[0]), "", "this cannot be read: %v", err)
	}
	js, err := sigsyaml.YAMLToJSONStrict([]byte(d.text))
	if err != nil {
		unreadable(err)
		return
	}
	parts, err := texts(js, isList, len(objects))
	if err != nil {
		unreadable(err)
		return
	}
	for i, o := range objects {
		policy := Policy{
			Source: d.text, Line: d.line, LeftOut: o.leftOut, positions: o.walker.positions,
			written: &written{root: o.node, offset: w.offset, text: p.text},
		}
		if err := o.decode(parts[i], &policy); err != nil {
			unreadable(err)
			continue
		}
		if policy.Namespace == "" {
			policy.Namespace = p.opts.DefaultNamespace
		}
		if isList {
			policy.Line = o.walker.at(o.node).Line
		}
		if o.printed {
			policy.Source = YAML(policy.NetworkPolicy)
		}
		if problems := Validate(policy); len(problems) > 0 {
			p.problems = append(p.problems, problems...)
			continue
		}
		p.policies = append(p.policies, policy)
	}
}

// policy checks an object's fields, its types, its name and its namespace, and
// reports whether it is a policy at all.
func (w *walker) policy(o *object) bool {
	p, node := w.parser, o.node
	w.positions[""] = w.at(node)
	if node.Kind != yaml.MappingNode {
		p.problem(w.at(node), "", "this is no policy: a policy is made of fields, the first of which is apiVersion: %s", apiVersion)
		return false
	}
	if !w.isNetworkPolicy(node, o.implied) {
		return false
	}
	w.value(node, reflect.TypeFor[networkingv1.NetworkPolicy](), "", w.at(node))
	if key := w.identity(node); key != "" {
		if line, ok := p.seen[key]; ok {
			p.problem(w.positions["metadata.name"], "metadata.name", "the policy %s is here twice; the first is on line %d", key, line)
		} else {
			p.seen[key] = w.at(node).Line
		}
	}
	return true
}

// validateTheRest validates what can be read of an object with problems, or
// beside one, so that all that is wrong with it is said at once.
func (p *parser) validateTheRest(o *object) {
	if !o.understood || o.walker.full() {
		return
	}
	for _, n := range o.walker.wrongs {
		*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	policy := Policy{positions: o.walker.positions, written: o.walker.in(o.node)}
	text, err := yaml.Marshal(o.node)
	if err != nil {
		return
	}
	js, err := sigsyaml.YAMLToJSON(text)
	if err != nil {
		return
	}
	if json.UnmarshalCaseSensitivePreserveInts(js, &policy.NetworkPolicy) != nil {
		return
	}
	if o.printed {
		policy.NetworkPolicy = asWritten(policy.NetworkPolicy)
	}
	if policy.Namespace == "" {
		policy.Namespace = p.opts.DefaultNamespace
	}
	for _, problem := range Validate(policy) {
		if !slices.ContainsFunc(o.problems, func(known Problem) bool { return mayCause(known.Field, problem.Field) }) {
			p.problems = append(p.problems, problem)
		}
	}
}

// mayCause reports whether a problem with one field may be what makes another
// field a problem: both are in the same entry of a list, or one is around the
// other. An entry podselecter is not also an entry without a selector.
func mayCause(known, field string) bool {
	entry := field
	if i := strings.LastIndex(field, "]"); i >= 0 {
		entry = field[:i+1]
	}
	return inside(known, entry) || inside(field, known)
}

// inside reports whether a field is the other one or within it.
func inside(path, around string) bool {
	rest, ok := strings.CutPrefix(path, around)
	return ok && (around == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

func decodeStrict(js []byte, into any) error {
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
// kind of object, nothing else is worth saying about it. Where it is implied, it
// need not say it.
func (w *walker) isNetworkPolicy(root *yaml.Node, implied bool) bool {
	version, gotVersion := scalar(root, "apiVersion")
	k, gotKind := scalar(root, "kind")
	pos := w.at(root)
	switch {
	case gotKind == nil && implied:
	case gotKind == nil:
		w.parser.problem(pos, "kind", "the field is missing: write kind: %s", kind)
		w.offerField(root, "kind", "apiVersion", kind)
	case listVersions[k] != "":
		w.parser.problem(w.at(gotKind), "kind", "this is %s within a list; write its policies into the list around it", withArticle(short(k)))
		return false
	case k != kind && strings.EqualFold(k, kind), distance(strings.ToLower(k), strings.ToLower(kind)) <= 3 && k != kind:
		w.parser.problem(w.at(gotKind), "kind", "there is no kind %q; did you mean %q?", short(k), kind)
		w.parser.offer(w.parser.text.words(w.at(gotKind), kind)...)
	case k == "" && k != kind:
		w.parser.problem(w.at(gotKind), "kind", "the field is empty: write kind: %s", kind)
	case k != kind:
		w.parser.problem(w.at(gotKind), "kind", "this is %s; the lab takes only NetworkPolicies", withArticle(short(k)))
		return false
	}
	switch {
	case gotVersion == nil && implied:
	case gotVersion == nil:
		w.parser.problem(pos, "apiVersion", "the field is missing: write apiVersion: %s", apiVersion)
		w.offerField(root, "apiVersion", "", apiVersion)
	case strings.Contains(version, "projectcalico.org/"):
		w.parser.problem(w.at(gotVersion), "apiVersion", "this is Calico's own kind of NetworkPolicy; the lab takes Kubernetes' own: apiVersion: %s", apiVersion)
		return false
	case version != apiVersion:
		w.parser.problem(w.at(gotVersion), "apiVersion", "a NetworkPolicy has apiVersion: %s, not %q", apiVersion, short(version))
		if version != "" {
			w.parser.offer(w.parser.text.words(w.at(gotVersion), apiVersion)...)
		}
	}
	return true
}

// identity checks the policy's name and namespace and returns them as
// "namespace/name", or "" where they are wrong.
func (w *walker) identity(root *yaml.Node) string {
	p := w.parser
	allowed := p.opts.Namespaces
	list := strings.Join(allowed, ", ")
	if n := len(allowed); n > 1 {
		list = strings.Join(allowed[:n-1], ", ") + " or " + allowed[n-1]
	}
	meta := lookup(root, "metadata")
	if meta == nil {
		of := ""
		if list != "" {
			of = " (" + list + ")"
		}
		p.problem(w.at(root), "metadata", "the field is missing: write metadata: and under it the policy's name and its namespace%s", of)
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
	}
	namespace, nsNode := scalar(meta, "namespace")
	if namespace == "" {
		namespace = p.opts.DefaultNamespace
	}
	switch {
	case nsNode == nil && lookup(meta, "namespace") != nil:
		good = false
	case namespace == "" && allowed == nil:
		p.problem(w.positions["metadata"], "metadata.namespace", "say which namespace the policy is for, such as namespace: default")
		good = false
	case namespace == "":
		p.problem(w.positions["metadata"], "metadata.namespace", "say which namespace the policy is for: %s", list)
		if nsNode == nil {
			w.offerField(meta, "namespace", "name", allowed...)
		}
		good = false
	case allowed != nil && !slices.Contains(allowed, namespace):
		hint, meant := "", allowed
		if near := Nearest(namespace, allowed); near != "" {
			hint, meant = fmt.Sprintf("; did you mean %q?", near), []string{near}
		}
		pos := w.positions["metadata"]
		if nsNode != nil {
			pos = w.at(nsNode)
		}
		p.problem(pos, "metadata.namespace", "%s is not one of this lab's namespaces: %s%s", short(namespace), list, hint)
		if nsNode != nil {
			p.offer(p.text.words(pos, meant...)...)
		}
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
	_, value := place.Entry(mapping, field)
	return value
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
	text := []byte(`""`)
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return text
	}
	// Most values are words, which need no parser.
	if v := n.Value; v != "" && ('a' <= v[0]|0x20 && v[0]|0x20 <= 'z') && !slices.Contains(wordsWithMeaning, strings.ToLower(v)) {
		return text
	}
	if decimal(n.Value) {
		return []byte(n.Value)
	}
	js, err := sigsyaml.YAMLToJSON([]byte(n.Value))
	if err != nil {
		return text
	}
	return bytes.TrimSpace(js)
}

// decimal reports that a value is a whole number as JSON writes it, too: what most
// numbers are, which need no parser either.
func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	const most = 15 // Digits, which every reader holds exactly.
	return s == "0" || s != "" && len(s) <= most && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

// wordsWithMeaning are the words that are not text in YAML 1.1.
var wordsWithMeaning = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}

// withArticle is the kind as English speaks of one: a Namespace, an AdminNetworkPolicy.
func withArticle(kind string) string {
	if kind != "" && strings.ContainsRune("AEIO", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

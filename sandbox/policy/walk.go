package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// walker compares a document with the fields and types of a NetworkPolicy and
// notes where each field is.
type walker struct {
	parser    *parser
	offset    int // What to add to a line of the document.
	positions map[string]Position
	wrongs    []*yaml.Node // What is of the wrong type.
}

func (w *walker) at(n *yaml.Node) Position {
	return Position{Line: n.Line + w.offset, Column: n.Column}
}

// full reports whether there are enough problems already.
func (w *walker) full() bool { return len(w.parser.problems) > maxProblems }

// isPlain reports that the document uses nothing that makes one part of it stand
// for another, or a value be other than it looks. What a policy says should be
// where one reads it, and a few lines should not unfold into gigabytes.
func (w *walker) isPlain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		w.parser.problem(w.at(n), "", "the lab takes no YAML aliases (*%s); write the value out here", short(n.Value))
		return false
	case n.Tag == "!!merge":
		w.parser.problem(w.at(n), "", "the lab takes no YAML merge keys (<<); write the fields out here")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		w.parser.problem(w.at(n), "", "the lab takes no YAML tags (%s); write the value without", short(n.Tag))
		return false
	}
	plain := true
	for _, c := range n.Content {
		if !w.isPlain(c) {
			if plain = false; w.full() {
				break
			}
		}
	}
	return plain
}

var (
	intOrString = reflect.TypeFor[intstr.IntOrString]()
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

// value compares one value with its type. key is where the field's name is.
func (w *walker) value(n *yaml.Node, t reflect.Type, path string, key Position) {
	pos := key
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		pos = w.at(n)
	}
	w.positions[path] = pos
	if w.full() || isNull(n) {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == intOrString:
		if got := jsonKind(n); got != "a whole number" && got != "text" {
			w.wrong(n, path, pos, "a port's number, or its name", hintFor(n, t))
		} else if got == "a whole number" {
			w.fits(n, path, pos, 32)
		}
		return
	case reflect.PointerTo(t).Implements(unmarshaler):
		return // Only in metadata, where the API server writes it.
	}
	switch t.Kind() {
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			w.wrong(n, path, pos, fmt.Sprintf("fields here (%s)", strings.Join(someNames(t), ", ")), hintFor(n, t))
			return
		}
		w.fields(n, t, path)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			w.wrong(n, path, pos, "pairs such as app: web", hintFor(n, t))
			return
		}
		name := func(key string) string { return path + "[" + key + "]" }
		w.eachPair(n, path, name, func(k, v *yaml.Node, sub string) {
			w.value(v, t.Elem(), sub, w.at(k))
		})
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			w.wrong(n, path, pos, wantList, hintFor(n, t))
			return
		}
		for i, c := range n.Content {
			w.value(c, t.Elem(), fmt.Sprintf("%s[%d]", path, i), w.at(c))
		}
	case reflect.String:
		if got := jsonKind(n); got != "text" {
			if n.Kind == yaml.ScalarNode {
				w.wrongs = append(w.wrongs, n)
				w.parser.problem(pos, path, "want text, not %s; write it in quotes: %q", got, short(n.Value))
				if n.Value != "" {
					w.offerQuotes(n)
				}
				return
			}
			w.wrong(n, path, pos, "text", hintFor(n, t))
		}
	case reflect.Bool:
		if jsonKind(n) != "true or false" {
			w.wrong(n, path, pos, "true or false", hintFor(n, t))
		}
	case reflect.Int32, reflect.Int64:
		if jsonKind(n) != "a whole number" {
			w.wrong(n, path, pos, "a whole number", hintFor(n, t))
			return
		}
		w.fits(n, path, pos, t.Bits())
	}
}

const wantList = `a list, each entry of which begins with "- "`

// wrong says that a value is of the wrong type.
func (w *walker) wrong(n *yaml.Node, path string, pos Position, want, hint string) {
	w.wrongs = append(w.wrongs, n)
	got := jsonKind(n)
	if n.Kind == yaml.ScalarNode {
		got += fmt.Sprintf(" (%s)", short(n.Value))
	}
	w.parser.problem(pos, path, "want %s, not %s%s", want, got, hint)
}

// hintFor says what to write in place of a value of the wrong type; "" where
// there is nothing to guess.
func hintFor(n *yaml.Node, want reflect.Type) string {
	if isTemplate(n) {
		return "; " + templated
	}
	text := ""
	if n.Kind == yaml.ScalarNode {
		text = n.Value
	}
	switch want.Kind() {
	case reflect.Slice:
		switch elem := want.Elem(); {
		case n.Kind == yaml.MappingNode:
			return `; put "- " before its first field`
		case jsonKind(n) == "text" && elem.Kind() == reflect.String:
			return fmt.Sprintf("; write [%s]", short(text))
		case text != "" && mainField(elem) != "":
			return fmt.Sprintf("; write under it - %s: %s", mainField(elem), short(text))
		}
		return ""
	case reflect.Int32, reflect.Int64:
		if _, err := strconv.Atoi(text); err == nil {
			return "; write it without quotes"
		}
	}
	if n.Kind == yaml.SequenceNode && n.Style&yaml.FlowStyle != 0 {
		return "; leave out the [ ]"
	}
	if n.Kind == yaml.SequenceNode {
		return `; leave out the "- "`
	}
	key, value, isPair := strings.Cut(text, "=")
	key, value = short(strings.TrimSpace(key)), short(strings.TrimSpace(value))
	switch {
	case want.Kind() == reflect.Map && isPair:
		return fmt.Sprintf("; write %s: %s", key, value)
	case want.Kind() != reflect.Struct || text == "":
		return ""
	}
	if m := fieldAndValue.FindStringSubmatch(text); m != nil && fieldsOf(want)[m[1]] != nil {
		return fmt.Sprintf("; write %s: %s", m[1], short(m[2]))
	}
	switch main := mainField(want); {
	case main != "":
		return fmt.Sprintf("; write %s: %s", main, short(text))
	case fieldsOf(want)["matchLabels"] != nil && isPair:
		return fmt.Sprintf("; write matchLabels: and under it %s: %s", key, value)
	}
	return ""
}

// mainField is the field that a lone value stands for, where people write that in
// place of a struct's fields; "" where there is none.
func mainField(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[networkingv1.NetworkPolicyPort]():
		return "port"
	case reflect.TypeFor[networkingv1.IPBlock]():
		return "cidr"
	}
	return ""
}

// fieldAndValue is a field that is parted from its value by something other
// than a colon.
var fieldAndValue = regexp.MustCompile(`^([A-Za-z]+)(?:\s*=\s*|\s+)(.+)$`)

// isTemplate reports whether a value is a {{ template's expression }}, which is
// YAML for a mapping with a mapping as its key.
func isTemplate(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode
}

// fits says where a number is too large for its field.
func (w *walker) fits(n *yaml.Node, path string, pos Position, bits int) {
	if _, err := strconv.ParseInt(string(toJSON(n)), 10, bits); err == nil {
		return
	}
	w.wrongs = append(w.wrongs, n)
	if bits == 32 { // Only ports are so small.
		w.parser.problem(pos, path, "%s is no port number; use 1 to 65535", short(n.Value))
		return
	}
	w.parser.problem(pos, path, "the number %s is too large", short(n.Value))
}

// fields compares a mapping with a struct's fields.
func (w *walker) fields(n *yaml.Node, t reflect.Type, path string) {
	known := fieldsOf(t)
	name := func(field string) string {
		if path == "" {
			return field
		}
		return path + "." + field
	}
	w.eachPair(n, path, name, func(k, v *yaml.Node, sub string) {
		ft, ok := known[k.Value]
		if !ok {
			w.positions[sub] = w.at(k)
			w.unknown(n, k, v, t, path, sub)
			return
		}
		w.value(v, ft, sub, w.at(k))
	})
}

// unknown says that a field does not exist, and which may have been meant.
func (w *walker) unknown(mapping, k, v *yaml.Node, t reflect.Type, path, sub string) {
	known := fieldsOf(t)
	has := func(field string) bool { _, ok := known[field]; return ok }
	names := slices.Sorted(maps.Keys(known))
	var hint, meant string
	drop := false
	switch home := homes[k.Value]; {
	case has(synonyms[k.Value]):
		meant = synonyms[k.Value]
		hint = fmt.Sprintf("did you mean %q?", meant)
	case k.Value == "status":
		hint, drop = "the cluster writes it; leave it out", true
	case k.Value == "to" && has("from"):
		meant = "from"
		hint = "a rule of spec.ingress says where traffic comes from: write from, or move the rule to spec.egress"
	case k.Value == "from" && has("to"):
		meant = "to"
		hint = "a rule of spec.egress says where traffic goes to: write to, or move the rule to spec.ingress"
	case Nearest(k.Value, names) != "":
		meant = Nearest(k.Value, names)
		hint = fmt.Sprintf("did you mean %q?", meant)
	case home != "":
		hint = fmt.Sprintf("it belongs in %s; look at its indentation", home)
	case has("matchLabels") && v.Kind == yaml.ScalarNode:
		hint = fmt.Sprintf("if it is a label, write matchLabels: and under it %s: %s", short(k.Value), short(v.Value))
	default:
		hint = fmt.Sprintf("the fields here are %s", strings.Join(someNames(t), ", "))
	}
	w.parser.problem(w.at(k), short(sub), "%s has no field %q; %s", partOf(path), short(k.Value), hint)
	switch {
	case meant != "":
		w.offerName(mapping, k, meant)
	case drop || homes[k.Value] == "":
		w.offerRemoval(mapping, k)
	}
}

// partOf is what the path leads to, in words; the problem's field has all of it.
func partOf(path string) string {
	if path == "" {
		return "a policy"
	}
	name := path[strings.LastIndexByte(path, '.')+1:]
	list, _, isEntry := strings.Cut(name, "[")
	switch {
	case isEntry && (list == "ingress" || list == "egress"):
		return "a rule of " + list
	case isEntry:
		return "an entry of " + list
	}
	return name
}

// synonyms are the names of fields elsewhere for what a policy calls otherwise.
var synonyms = map[string]string{
	"selector":      "podSelector",
	"labels":        "matchLabels",
	"expressions":   "matchExpressions",
	"types":         "policyTypes",
	"inbound":       "ingress",
	"outbound":      "egress",
	"targetPort":    "port",
	"containerPort": "port",
}

// homes says where the fields of a policy's spec belong that people put
// elsewhere.
var homes = map[string]string{
	"podSelector":       "spec, or in an entry of from or to",
	"namespaceSelector": "an entry of from or to",
	"ipBlock":           "an entry of from or to",
	"policyTypes":       "spec",
	"ingress":           "spec",
	"egress":            "spec",
	"from":              "an entry of spec.ingress",
	"to":                "an entry of spec.egress",
	"ports":             "an entry of spec.ingress or spec.egress",
	"port":              "an entry of ports",
	"protocol":          "an entry of ports",
	"endPort":           "an entry of ports",
	"cidr":              "ipBlock",
	"except":            "ipBlock",
	"matchLabels":       "podSelector or namespaceSelector",
	"matchExpressions":  "podSelector or namespaceSelector",
	"name":              "metadata",
	"namespace":         "metadata",
	"labels":            "metadata",
	"annotations":       "metadata",
}

// eachPair calls f for every pair of a mapping that is written once, with the
// path that name makes of the key.
func (w *walker) eachPair(n *yaml.Node, path string, name func(key string) string, f func(k, v *yaml.Node, sub string)) {
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !w.full(); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			w.parser.problem(w.at(k), path, "a field's name must be text, not %s", jsonKind(k))
			continue
		}
		sub := name(k.Value)
		if line, ok := lines[k.Value]; ok {
			w.parser.problem(w.at(k), short(sub), "%q is here twice; the first is on line %d", short(k.Value), line)
			continue
		}
		lines[k.Value] = w.at(k).Line
		f(k, v, sub)
	}
}

// jsonKind says what a value is to kubectl.
func jsonKind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	}
	js := toJSON(n)
	switch {
	case len(js) == 0 || js[0] == '"':
		return "text"
	case string(js) == "true" || string(js) == "false":
		return "true or false"
	case string(js) == "null":
		return "nothing"
	case strings.ContainsAny(string(js), ".eE"):
		return "a fraction"
	case js[0] == '-' || '0' <= js[0] && js[0] <= '9':
		return "a whole number"
	}
	return "text"
}

// fieldsOf lists a struct's fields by their names in YAML. The list is found once
// and then only read.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := knownFields.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	out := map[string]reflect.Type{}
	for _, f := range yamlFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out[name] = f.Type
	}
	knownFields.Store(t, out)
	return out
}

var knownFields sync.Map // By type, of which a policy has some twenty.

// yamlFields are the fields of a struct, and of those that it has inline, in
// their own order.
func yamlFields(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		switch name, _, _ := strings.Cut(f.Tag.Get("json"), ","); {
		case name == "-":
		case name == "" && f.Anonymous:
			out = append(out, yamlFields(f.Type)...)
		case name != "":
			out = append(out, f)
		}
	}
	return out
}

// someNames lists a struct's fields in their own order; of metadata, only those
// that people write.
func someNames(t reflect.Type) []string {
	if t == reflect.TypeFor[metav1.ObjectMeta]() {
		return []string{"name", "namespace", "labels", "annotations"}
	}
	var out []string
	for _, f := range yamlFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out = append(out, name)
	}
	return out
}

// Nearest is the name that was most likely meant, or "" where none is near.
func Nearest(name string, names []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is how many letters must be added, left out or changed, or
// neighbours swapped, to make b of a.
func distance(a, b string) int {
	const tooLong = 64
	if len(a) > tooLong || len(b) > tooLong {
		return tooLong
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

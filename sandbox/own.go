package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/place"
)

// OwnPrefix begins the names of the labs that learners make themselves, and of no other.
const OwnPrefix = "own-"

// What a learner's own lab may be: what a cluster of one node bears, and what a page can
// still show.
const (
	MaxOwnBytes      = 32 << 10
	maxOwnNamespaces = 8
	maxOwnPods       = 24
	maxOwnPorts      = 8 // of one pod, Service or host
	maxOwnLabels     = 12
	maxOwnServices   = 24
	maxOwnHosts      = 3
	maxOwnFlows      = 400
	maxOwnName       = 40
	maxOwnNote       = 80
)

// OwnRanges are the ranges of addresses that the outside hosts of a learner's own lab may
// have. They belong to nobody, so nothing that is real is in a cluster's way to it.
var OwnRanges = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
}

// The ports of the node that its own pods may take in a learner's lab: Kubernetes has
// none of these.
const firstNodePort, lastNodePort = 20000, 29999

// ParseOwn reads a learner's own lab from YAML: a [Topology] whose name is what the lab
// is called. The topology that is returned has another name, which begins with OwnPrefix
// and tells it from every other lab. The error is a *[policy.Error] with everything that
// is wrong.
func ParseOwn(src []byte) (title string, t *Topology, err error) {
	r := &ownReader{}
	if len(src) > MaxOwnBytes {
		r.bad("", "this is %d KiB of YAML; a lab may be %d KiB", (len(src)+1023)>>10, MaxOwnBytes>>10)
		return "", nil, r.err()
	}
	if !utf8.Valid(src) {
		r.bad("", "this is no text in UTF-8")
		return "", nil, r.err()
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	switch err := decoder.Decode(&r.root); {
	case errors.Is(err, io.EOF):
		r.bad("", "there is nothing here yet: a lab begins with name, and has namespaces with pods")
		return "", nil, r.err()
	case err != nil:
		r.syntax(src, err)
		return "", nil, r.err()
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.bad("", "there is more than one document; a lab is one, without ---")
		return "", nil, r.err()
	}
	r.check(r.root.Content[0], "", reflect.TypeFor[Topology]())
	if r.problems != nil {
		return "", nil, r.err()
	}
	t = &Topology{}
	if err := sigsyaml.UnmarshalStrict(src, t); err != nil {
		r.bad("", "%v", err)
		return "", nil, r.err()
	}
	r.bounds(t)
	if r.problems != nil {
		return "", nil, r.err()
	}
	t.complete()
	title = strings.TrimSpace(t.Name)
	t.Name = ownName(title, t)
	for _, f := range t.faults() {
		r.bad(f.at, "%s", f.message)
	}
	r.rules(t)
	if r.problems != nil {
		return "", nil, r.err()
	}
	return title, t, nil
}

// ownName is the same for the same lab.
func ownName(title string, t *Topology) string {
	plain := *t
	plain.Name = title
	src, err := json.Marshal(plain)
	if err != nil {
		panic(err) // Strings, numbers and maps of strings: it cannot fail.
	}
	sum := sha256.Sum256(src)
	return OwnPrefix + hex.EncodeToString(sum[:8])
}

// ownReader collects what is wrong with a lab.
type ownReader struct {
	root     yaml.Node
	problems []policy.Problem
}

// maxOwnProblems bounds what is told of a lab that is wrong throughout.
const maxOwnProblems = 30

func (r *ownReader) bad(at, format string, args ...any) {
	found := place.Find(&r.root, place.Steps(at)...)
	node := found.Node
	if found.Node.Kind != yaml.ScalarNode && found.Key != nil {
		node = found.Key
	}
	r.badAt(node, at, format, args...)
}

func (r *ownReader) badAt(node *yaml.Node, field, format string, args ...any) {
	if len(r.problems) < maxOwnProblems {
		r.problems = append(r.problems, policy.Problem{
			Position: policy.Position{Line: max(1, node.Line), Column: max(1, node.Column)}, Field: field, Message: fmt.Sprintf(format, args...),
		})
	}
}

func (r *ownReader) err() error {
	slices.SortStableFunc(r.problems, func(a, b policy.Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &policy.Error{Problems: r.problems}
}

// syntax says where it stops being YAML, and why.
func (r *ownReader) syntax(src []byte, err error) {
	at, message := policy.ExplainSyntax(string(src), err)
	r.badAt(&yaml.Node{Line: at.Line, Column: at.Column}, "", "%s", message)
}

// check compares what is written with what the type can hold: all fields known, none
// twice, every value of its kind.
func (r *ownReader) check(n *yaml.Node, at string, t reflect.Type) {
	field := strings.TrimPrefix(at, ".")
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.badAt(n, field, "anchors and aliases are not taken here; write it out")
	case n.Tag == "!!null":
		r.badAt(n, field, "there is nothing here; give a value or leave the field out")
	case t == reflect.TypeFor[netip.Addr](), t.Kind() == reflect.String:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
			r.badAt(n, field, "want a text, in quotes where it looks like a number or like true")
		} else if _, err := netip.ParseAddr(n.Value); t == reflect.TypeFor[netip.Addr]() && err != nil {
			r.badAt(n, field, "%.40q is no address: want one such as 203.0.113.10", n.Value)
		}
	case t.Kind() == reflect.Int:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || len(n.Value) > 9 {
			r.badAt(n, field, "want a whole number")
		}
	case t.Kind() == reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			r.badAt(n, field, "want true or false")
		}
	case t.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			r.badAt(n, field, "want a list: each entry begins with -")
			return
		}
		for i, item := range n.Content {
			r.check(item, fmt.Sprintf("%s[%d]", at, i), t.Elem())
		}
	case n.Kind != yaml.MappingNode:
		r.badAt(n, field, "want fields, each with its name and a colon")
	default:
		r.fields(n, at, t)
	}
}

// fields checks the fields of a struct, or the entries of a map of texts.
func (r *ownReader) fields(n *yaml.Node, at string, t reflect.Type) {
	known := map[string]reflect.Type{}
	var names []string
	if t.Kind() == reflect.Struct {
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			known[name], names = f.Type, append(names, name)
		}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := at + "." + key.Value
		of, ok := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.badAt(key, strings.TrimPrefix(at, "."), "want the name of a field")
			continue
		case seen[key.Value]:
			r.badAt(key, strings.TrimPrefix(path, "."), "%.40q is there twice", key.Value)
			continue
		case t.Kind() == reflect.Map:
			of = t.Elem()
		case !ok:
			r.badAt(key, strings.TrimPrefix(path, "."), "there is no field %.40q here; there are %s", key.Value, strings.Join(names, ", "))
			continue
		}
		seen[key.Value] = true
		r.check(value, path, of)
	}
}

// bounds says what is too much.
func (r *ownReader) bounds(t *Topology) {
	many := func(at string, n, most int, of string) {
		if n > most {
			r.bad(at, "there are %d %s; a lab of your own may have %d", n, of, most)
		}
	}
	long := func(at, v string, most int) {
		if n := utf8.RuneCountInString(v); n > most {
			r.bad(at, "this has %d characters; it may have %d", n, most)
		}
	}
	if title := strings.TrimSpace(t.Name); title == "" {
		r.bad("name", "give the lab a name")
	} else if strings.ContainsFunc(title, func(c rune) bool { return c < ' ' }) {
		r.bad("name", "the name has to be one line")
	}
	long("name", t.Name, maxOwnName)
	many("namespaces", len(t.Namespaces), maxOwnNamespaces, "namespaces")
	pods, services := 0, 0
	for i, ns := range t.Namespaces {
		at := fmt.Sprintf("namespaces[%d]", i)
		long(at+".name", ns.Name, maxOwnName)
		many(at+".labels", len(ns.Labels), maxOwnLabels, "labels")
		pods += len(ns.Pods)
		services += len(ns.Services)
		for j, p := range ns.Pods {
			at := fmt.Sprintf("%s.pods[%d]", at, j)
			long(at+".name", p.Name, maxOwnName)
			long(at+".note", p.Note, maxOwnNote)
			many(at+".labels", len(p.Labels), maxOwnLabels, "labels")
			many(at+".ports", len(p.Ports), maxOwnPorts, "ports")
		}
		for j, s := range ns.Services {
			at := fmt.Sprintf("%s.services[%d]", at, j)
			long(at+".name", s.Name, maxOwnName)
			many(at+".ports", len(s.Ports), maxOwnPorts, "ports")
		}
	}
	many("namespaces", pods, maxOwnPods, "pods in all")
	many("namespaces", services, maxOwnServices, "Services in all")
	many("external", len(t.External), maxOwnHosts, "outside hosts")
	for i, x := range t.External {
		at := fmt.Sprintf("external[%d]", i)
		long(at+".name", x.Name, maxOwnName)
		long(at+".note", x.Note, maxOwnNote)
		many(at+".ports", len(x.Ports), maxOwnPorts, "ports")
	}
}

// rules says what a lab that a lesson's author makes may have, and a learner's may not,
// because it would be in the way of the cluster itself or of the machine; and what none
// can do without.
func (r *ownReader) rules(t *Topology) {
	foreign := func(at string, labels map[string]string) {
		for key := range labels {
			domain, _, ok := strings.Cut(key, "/")
			for _, theirs := range []string{"kubernetes.io", "k8s.io", "projectcalico.org", "netpol-lab.github.io"} {
				if ok && (domain == theirs || strings.HasSuffix(domain, "."+theirs)) {
					r.bad(at+".labels", "the label %s means something to the cluster itself; take another", key)
				}
			}
		}
	}
	portNames := func(at string, ports []Port) {
		seen := map[string]bool{}
		for i, p := range ports {
			at := fmt.Sprintf("%s.ports[%d].name", at, i)
			if p.Name == "" {
				continue
			}
			for _, msg := range validation.IsValidPortName(p.Name) {
				r.bad(at, "%q: %s", p.Name, msg)
			}
			if seen[p.Name] {
				r.bad(at, "the name %s is there twice", p.Name)
			}
			seen[p.Name] = true
		}
	}
	for i, ns := range t.Namespaces {
		at := fmt.Sprintf("namespaces[%d]", i)
		for _, theirs := range []string{"netpol-lab", "calico", "tigera", "local-path"} {
			if strings.HasPrefix(ns.Name, theirs) {
				r.bad(at+".name", "a name that begins with %s is the cluster's own; take another", theirs)
			}
		}
		foreign(at, ns.Labels)
		for j, p := range ns.Pods {
			at := fmt.Sprintf("%s.pods[%d]", at, j)
			foreign(at, p.Labels)
			portNames(at, p.Ports)
			for k, port := range p.Ports {
				if p.HostNetwork && (port.Port < firstNodePort || port.Port > lastNodePort) {
					r.bad(fmt.Sprintf("%s.ports[%d].port", at, k), "a pod in the node's network shares the node's ports with Kubernetes: take one from %d to %d", firstNodePort, lastNodePort)
				}
			}
		}
		r.services(at, ns)
	}
	for i, x := range t.External {
		at := fmt.Sprintf("external[%d]", i)
		portNames(at, x.Ports)
		if len(x.Ports) == 0 {
			r.bad(at, "a host without a port cannot be reached: give it ports")
		}
		if !slices.ContainsFunc(OwnRanges, func(p netip.Prefix) bool { return p.Contains(x.Address) }) {
			r.bad(at+".address", "%s may be somebody's: take one of 192.0.2.0/24, 198.51.100.0/24 or 203.0.113.0/24", x.Address)
		}
	}
	if r.problems != nil {
		return
	}
	if flows := len(t.Flows()); flows > maxOwnFlows {
		r.bad("namespaces", "that makes %d connections to watch, each pod to each port; a lab of your own may have %d. Leave out pods or ports", flows, maxOwnFlows)
	}
	if _, _, err := canaryFlows(t); err != nil {
		r.bad("namespaces", "there have to be two pods of which one has a port, outside the node's network: only between such can it be proven that policies are carried out")
	}
}

// services checks what only a cluster would find in a namespace's Services.
func (r *ownReader) services(at string, ns Namespace) {
	seen := map[string]bool{}
	for j, s := range ns.Services {
		at := fmt.Sprintf("%s.services[%d]", at, j)
		if seen[s.Name] {
			r.bad(at, "listed twice")
		}
		seen[s.Name] = true
		if s.Name != "" && (s.Name[0] < 'a' || s.Name[0] > 'z') {
			r.bad(at+".name", "the name of a Service begins with a letter")
		}
		for _, p := range ns.Pods {
			// Of other pods every topology is held to it.
			if p.Name == s.Pod && p.HostNetwork && len(p.Labels) == 0 {
				r.bad(at+".pod", "pod %q has no label to select it by", s.Pod)
			}
			if p.Name != s.Pod && selects(labelsOf(ns, s.Pod), p.Labels) {
				r.bad(at+".pod", "pod %s has all labels of pod %s, so the Service would lead to both; give %s one of its own", p.Name, s.Pod, s.Pod)
			}
		}
		if len(s.Ports) == 0 {
			r.bad(at, "a Service without a port leads nowhere: give it ports")
		}
		names, taken := map[string]bool{}, map[string]bool{}
		for k, p := range s.Ports {
			at := fmt.Sprintf("%s.ports[%d]", at, k)
			if p.Port < 1 || p.Port > 65535 {
				r.bad(at+".port", "%d is not a port: want 1 to 65535", p.Port)
			}
			if len(s.Ports) > 1 && p.Name == "" {
				r.bad(at, "where a Service has several ports each needs a name")
			}
			if p.Name != "" && (len(validation.IsValidPortName(p.Name)) > 0 || names[p.Name]) {
				r.bad(at+".name", "%q: want a name of its own, of lower-case letters, digits and dashes", p.Name)
			}
			names[p.Name] = true
			key := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
			if taken[key] {
				r.bad(at, "%s is listed twice", key)
			}
			taken[key] = true
		}
	}
}

func labelsOf(ns Namespace, pod string) map[string]string {
	for _, p := range ns.Pods {
		if p.Name == pod {
			return p.Labels
		}
	}
	return nil
}

// selects reports whether a selector of those labels selects the ones of another pod.
func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

package policy

import (
	"fmt"
	"strings"
	"testing"
)

// hostile are inputs of the greatest length that are made to cost much.
var hostile = map[string]string{
	"ports in flow style":  policyYAML("production", "p", "podSelector: {}\ningress:\n- ports: ["+strings.Repeat("{port: 1}, ", 23000)+"{port: 1}]"),
	"ports in block style": policyYAML("production", "p", "podSelector: {}\ningress:\n- ports:\n"+strings.Repeat("  - port: 1\n", 18000)),
	"empty rules":          policyYAML("production", "p", "podSelector: {}\ningress: ["+strings.Repeat("{},", 80000)+"{}]"),
	"a list of numbers":    "a: [" + strings.Repeat("1,", 120000) + "1]",
	"unknown fields": policyYAML("production", "p", "podSelector: {}\n"+func() string {
		var b strings.Builder
		for i := range 20000 {
			fmt.Fprintf(&b, "f%d: 1\n", i)
		}
		return b.String()
	}()),
	"the same field":  policyYAML("production", "p", strings.Repeat("podSelector: {}\n", 15000)),
	"documents":       strings.Repeat("---\na: 1\n", 28000),
	"empty documents": strings.Repeat("---\n", 64000),
	"brackets":        strings.Repeat("[", 250000),
	"maps in maps":    strings.Repeat("{a: ", 60000),
	"one policy after another": func() string {
		var b strings.Builder
		for i := range 1600 {
			b.WriteString(policyYAML("production", fmt.Sprintf("p%d", i), "podSelector: {}"))
		}
		return b.String()
	}(),
	"labels": policyYAML("production", "p", "podSelector:\n  matchLabels:\n"+func() string {
		var b strings.Builder
		for i := range 15000 {
			fmt.Fprintf(&b, "    f%d: a\n", i)
		}
		return b.String()
	}()),
	"a long string":     policyYAML("production", "p", "podSelector: {matchLabels: {a: "+strings.Repeat("x", 250000)+"}}"),
	"a wrong last line": policyYAML("production", "p", "podSelector: {}\ningress:\n"+strings.Repeat("- ports: [{port: 1}]\n", 10000)+" x"),
	"comments":          policyYAML("production", "p", "podSelector: {}\n"+strings.Repeat("# a\n", 40000)),
	"fractions": policyYAML("production", "p", "podSelector: {matchLabels: {"+func() string {
		var b strings.Builder
		for i := range 20000 {
			fmt.Fprintf(&b, "a%d: 1.5,", i)
		}
		return b.String()
	}()+"a: b}}"),
	"dates in a list of values":        policyYAML("production", "p", "podSelector:\n  matchExpressions:\n  - {key: a, operator: In, values: ["+strings.Repeat("2026-01-02,", 20000)+"a]}"),
	"wrong in the middle of 300 lines": policyYAML("production", "p", "podSelector: {}\ningress:\n"+strings.Repeat("- ports: ["+strings.Repeat("{port: 1},", 10)+"{port: 1}]\n", 140)+"- ports: [\n"+strings.Repeat("- ports: [{port: 1}] # "+strings.Repeat("x", 700)+"\n", 140)),
	"anchors":                          "a: &a [x]\nb: [" + strings.Repeat("*a,", 80000) + "]",
	"expressions":                      policyYAML("production", "p", "podSelector:\n  matchExpressions:\n  - {key: a, operator: In, values: ["+strings.Repeat("a,", 100000)+"a]}"),
	"except":                           policyYAML("production", "p", "podSelector: {}\ningress:\n- from:\n  - ipBlock: {cidr: 10.0.0.0/8, except: ["+strings.Repeat("10.0.0.0/9,", 20000)+"10.0.0.0/9]}"),
}

// atTheLimit cuts an input to what is still read of it.
func atTheLimit(src string) string {
	src = src[:min(len(src), MaxBytes)]
	pos, message := bounds{MaxNodes, maxDocuments}.exceeds(src)
	if message == "" {
		return src
	}
	lines := strings.SplitAfter(src, "\n")
	return strings.Join(lines[:pos.Line-1], "") + lines[pos.Line-1][:pos.Column-1]
}

func BenchmarkParse_hostile(b *testing.B) {
	for name, src := range hostile {
		for name, src := range map[string]string{name: src[:min(len(src), MaxBytes)], name + ", as much as is read": atTheLimit(src)} {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = Parse([]byte(src), ParseOptions{})
				}
			})
		}
	}
}

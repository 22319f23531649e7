package policy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestParse_refuses_what_is_too_much_and_says_where_and_how_much(t *testing.T) {
	ports := func(n int) string {
		return policyYAML("production", "p", "podSelector: {}\ningress:\n- ports:\n"+strings.Repeat("  - port: 1\n", n))
	}
	for _, tt := range []struct{ name, src, want string }{
		{"fields and entries", ports(5000), "line 5002, column 5: there are more than 10000 fields and entries up to here; the lab takes no more at once"},
		{"in one line", policyYAML("production", "p", "podSelector: {}\ningress:\n- ports: ["+strings.Repeat("{port: 1}, ", 23000)+"{port: 1}]"), "line 8, column 36626: there are more than 10000 fields and entries up to here; the lab takes no more at once"},
		{"brackets", "a:\n- " + strings.Repeat("[", 200), "line 2, column 103: this is nested too deeply: the lab takes at most 100 levels"},
		{"lists in lists", "a:\n" + strings.Repeat("- ", 200) + "b", "line 2, column 201: this is nested too deeply: the lab takes at most 100 levels"},
		{"documents", strings.Repeat("---\n# nothing\n", 1001), "line 2001, column 1: there are more than 1000 documents up to here; the lab takes no more at once"},
	} {
		if _, err := Parse([]byte(tt.src), ParseOptions{}); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	if _, err := Parse([]byte(ports(5000)), ParseOptions{MaxNodes: 20_000}); err != nil {
		t.Errorf("with a higher bound: %v", err)
	}
	if _, err := Parse([]byte(ports(4900)), ParseOptions{}); err != nil {
		t.Errorf("below the bound: %v", err)
	}
}

// TestBounds_never_count_less_than_there_is: what the reader makes of a text is at most
// three nodes for each that is counted, whatever the text is made of.
func TestBounds_never_count_less_than_there_is(t *testing.T) {
	pieces := []string{"[", "]", "{", "}", ",", ":", ": ", "- ", "-", "? ", "\"", "'", "# ", "\n", "\n  ", "a", "b", " ", "|\n  ", ">", "&x ", "*x", "!!str ", "\u0085", "\u2028", "---\n", "...\n", "\t", "\r", "1", "{a: 1},", "\"a\":1,"}
	read := 0
	for seed := range uint64(60_000) {
		r := rand.New(rand.NewPCG(seed, 3))
		var b strings.Builder
		for range 1 + r.IntN(40) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		src := b.String()
		var root yaml.Node
		if yaml.Unmarshal([]byte(src), &root) != nil {
			continue
		}
		read++
		counted := 0
		for n := range 200 {
			if _, message := (bounds{n, 1000}).exceeds(src); message == "" {
				counted = n
				break
			}
		}
		if nodes := countNodes(&root); nodes > 3*counted+2 {
			t.Fatalf("%q has %d nodes, and %d were counted", src, nodes, counted)
		}
	}
	if read < 5000 {
		t.Errorf("only %d texts were YAML", read)
	}
}

func countNodes(n *yaml.Node) int {
	out := 1
	for _, c := range n.Content {
		out += countNodes(c)
	}
	return out
}

// TestBounds_leave_what_people_write: the longest solution of a lesson is far within.
func TestBounds_leave_what_people_write(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		b.WriteString(policyYAML("production", fmt.Sprintf("p%d", i), allowDNS))
		b.WriteString("# What this is for, in a sentence: it has commas, colons: and [brackets].\n")
	}
	if _, err := Parse([]byte(b.String()), ParseOptions{}); err != nil {
		t.Error(err)
	}
}

func TestParseContext_ends_with_its_context(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &parser{ctx: ctx, seen: map[string]int{}}
	p.parse([]byte(dnsAllowed))
	if len(p.policies) > 0 {
		t.Errorf("%d policies were read for one who has gone", len(p.policies))
	}
	if _, err := ParseContext(ctx, []byte(dnsAllowed), ParseOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestParseContext_reads_no_more_at_a_time_than_there_are_cores: the next one waits, or
// goes.
func TestParseContext_reads_no_more_at_a_time_than_there_are_cores(t *testing.T) {
	for range cap(reading) {
		reading <- struct{}{}
	}
	done := make(chan error)
	go func() {
		_, err := ParseContext(t.Context(), []byte(dnsAllowed), ParseOptions{})
		done <- err
	}()
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := ParseContext(ctx, []byte(dnsAllowed), ParseOptions{})
		gone <- err
	}()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("one who left while waiting got %v", err)
	}
	select {
	case err := <-done:
		t.Errorf("it was read though all places are taken (%v)", err)
	default:
	}
	for range cap(reading) {
		<-reading
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

package lint

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

// checkFixes applies each fix of each finding and looks again: the text must still be
// policies, and must not have the finding any more. It returns the findings without a fix.
func checkFixes(t *testing.T, n policy.Network, src string) (without []Finding) {
	t.Helper()
	for _, f := range Lint(n, mustParse(t, src)) {
		if len(f.Fixes) == 0 {
			without = append(without, f)
		}
		if f.End.Line != f.Position.Line || f.End.Column <= f.Position.Column {
			t.Errorf("%s is from %v to %v", f.Field, f.Position, f.End)
		}
		for _, fix := range f.Fixes {
			after, err := policy.Edited(src, fix.Edits)
			if err != nil {
				t.Errorf("%s of %s: %q: %v\n%s", f.Check, f.Field, fix.Title, err, src)
				continue
			}
			policies, err := policy.Parse([]byte(after), policy.ParseOptions{})
			if err != nil {
				t.Errorf("%s of %s: %q makes something else of the text: %v\n%s", f.Check, f.Field, fix.Title, err, after)
				continue
			}
			for _, left := range Lint(n, policies) {
				if left.Check == f.Check && left.Policy == f.Policy && left.Field == f.Field && left.Message == f.Message {
					t.Errorf("%q leaves what it is for: %s\n%s", fix.Title, findingsText([]Finding{left}), after)
				}
			}
		}
	}
	return without
}

func TestEvery_finding_has_a_fix_and_each_fix_removes_it(t *testing.T) {
	for _, tt := range lintCases {
		t.Run(tt.name, func(t *testing.T) {
			for _, src := range []string{tt.src, inBlocks(t, tt.src)} {
				for _, f := range checkFixes(t, policytest.Shop(), src) {
					t.Errorf("there is no fix: %s", findingsText([]Finding{f}))
				}
			}
		})
	}
}

// inBlocks writes the policies without brackets, as people mostly do.
func inBlocks(t *testing.T, src string) string {
	t.Helper()
	var out []string
	for _, p := range mustParse(t, src) {
		out = append(out, policy.YAML(p.NetworkPolicy))
	}
	return strings.Join(out, "---\n")
}

// FuzzFixes proves the same of whatever is drawn.
func FuzzFixes(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := generator{rand.New(rand.NewPCG(seed, 7))}
		n := g.network()
		var src strings.Builder
		for _, p := range g.policies() {
			fmt.Fprintf(&src, "---\n%s", policy.YAML(p.NetworkPolicy))
		}
		if _, err := policy.Parse([]byte(src.String()), policy.ParseOptions{}); err != nil {
			return // Not all that is drawn is valid.
		}
		checkFixes(t, n, src.String())
	})
}

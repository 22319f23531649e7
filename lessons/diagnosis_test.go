package lessons

import (
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// TestWrongAnswers_are_explained: of each connection that a wrong answer gets wrong,
// the engine says why, and mostly in which of the answer's policies.
func TestWrongAnswers_are_explained(t *testing.T) {
	all, named := 0, 0
	for _, l := range content(t) {
		for _, e := range l.Exercises {
			for _, w := range e.Wrong {
				policies, err := policy.Parse([]byte(w.YAML), policy.ParseOptions{})
				if err != nil {
					continue // A wrong answer may also be none that is taken.
				}
				predictor, err := sandbox.NewPredictor(l.Topology, l.Topology.PlannedAddresses(), policies)
				if err != nil {
					t.Fatal(err)
				}
				verdicts, err := l.Predicted(w.YAML)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range e.Grade(l, verdicts).Checks {
					if c.OK {
						continue
					}
					d, err := predictor.Diagnose(c.Flow, c.Want == probe.Open)
					if err != nil || d.Cause == policy.CauseAsWanted {
						t.Errorf("%s/%s %s: %s: %+v (%v)", l.Slug, e.ID, w.Name, c.Flow.ID, d, err)
					}
					if all++; d.Policy.Name != "" && d.Position.Line > 0 {
						named++
					}
				}
			}
		}
	}
	if all < 50 || named*4 < all*3 {
		t.Errorf("of %d connections that are wrong, a policy and line are named for %d", all, named)
	}
}

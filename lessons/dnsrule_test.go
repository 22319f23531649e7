package lessons

import (
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/lint"
)

// TestSolutions_allow_the_DNS_pods_of_kube_system_alone: not whatever carries their
// label anywhere, which lint warns of.
func TestSolutions_allow_the_DNS_pods_of_kube_system_alone(t *testing.T) {
	looked := 0
	for _, l := range content(t) {
		network := l.Topology.Network(l.Topology.PlannedAddresses())
		for _, e := range l.Exercises {
			policies, err := policy.Parse([]byte(e.Solution), policy.ParseOptions{})
			if err != nil {
				t.Fatalf("%s/%s: %v", l.Slug, e.ID, err)
			}
			for _, f := range lint.Lint(network, policies) {
				if f.Check == lint.CheckDNSAnyNamespace {
					t.Errorf("%s/%s: %s", l.Slug, e.ID, f.Message)
				}
			}
			looked++
		}
	}
	if looked < 10 {
		t.Errorf("%d solutions were looked at", looked)
	}
}

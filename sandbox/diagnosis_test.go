package sandbox_test

import (
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// TestDiagnose_of_a_flow_by_name_it_is_about_the_name_first: what cannot be looked up
// is not connected to.
func TestDiagnose_of_a_flow_by_name_it_is_about_the_name_first(t *testing.T) {
	deny := shopPolicy("deny", "  podSelector: {}\n  policyTypes: [Egress]\n")
	out := shopPolicy("web-out", "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n  egress:\n  - to: [{podSelector: {matchLabels: {app: api}}}]\n")
	dns := shopPolicy("dns", "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - ports: [{port: 53}]\n")
	for _, tt := range []struct {
		name     string
		policies []string
		flow     string
		open     bool
		cause    policy.Cause
		begins   string
	}{
		{"nothing lets it ask", []string{deny, out}, "shop/web>shop/api:8080/TCP@name", true, policy.CauseNothingAllows, "The name api cannot be looked up: deny and web-out isolate web for egress, and no rule lets it out to the cluster's DNS."},
		{"by TCP alone", []string{deny, out, dns}, "shop/web>shop/api:8080/TCP@name", true, policy.CauseAnotherProtocol, "The name api cannot be looked up: dns, egress rule 1,"},
		{"by address", []string{deny, out}, "shop/web>shop/api:8080/TCP", true, policy.CauseAsWanted, "By the policies"},
		{"closed as wanted", []string{deny, out}, "shop/web>shop/api:8080/TCP@name", false, policy.CauseAsWanted, "By the policies"},
		{"open by name", nil, "shop/web>shop/api:8080/TCP@name", false, policy.CauseNoPolicy, "There is no policy yet"},
	} {
		d, err := predictor(t, shopAddresses, tt.policies...).Diagnose(flow(t, tt.flow), tt.open)
		if err != nil || d.Cause != tt.cause || !strings.HasPrefix(d.Message, tt.begins) {
			t.Errorf("%s: %s %s (%v)", tt.name, d.Cause, d.Message, err)
		}
	}
}

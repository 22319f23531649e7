package sandbox_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const shopHead = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %, namespace: shop}\nspec:\n"

func shopPolicy(name, spec string) string { return strings.Replace(shopHead, "%", name, 1) + spec }

// predictor is one for the shop under the policies.
func predictor(t *testing.T, a sandbox.Addresses, policies ...string) *sandbox.Predictor {
	t.Helper()
	var parsed []policy.Policy
	if len(policies) > 0 {
		var err error
		if parsed, err = policy.Parse([]byte(strings.Join(policies, "---\n")), policy.ParseOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := sandbox.NewPredictor(shop(t), a, parsed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// verdicts predicts every flow of the shop, in both ways.
func verdicts(t *testing.T, p *sandbox.Predictor) map[string]probe.Verdict {
	t.Helper()
	out := map[string]probe.Verdict{}
	for _, f := range shop(t).Flows() {
		got, err := p.Predict(f)
		if err != nil {
			t.Fatalf("%s: %v", f.ID, err)
		}
		if fast, err := p.Verdict(f); err != nil || fast != got.Verdict {
			t.Errorf("%s: Verdict says %s (%v), Predict %s", f.ID, fast, err, got.Verdict)
		}
		last := got.Decisions[len(got.Decisions)-1]
		if last.Allowed != (got.Verdict == probe.Open) {
			t.Errorf("%s is %s, and the last decision allows it: %v", f.ID, got.Verdict, last.Allowed)
		}
		out[f.ID] = got.Verdict
	}
	return out
}

func flow(t *testing.T, id string) sandbox.Flow {
	t.Helper()
	for _, f := range shop(t).Flows() {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("the shop has no flow %s", id)
	return sandbox.Flow{}
}

const (
	denyShop = "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"
	apiOpen  = "  podSelector: {matchLabels: {app: api}}\n  policyTypes: [Ingress]\n  ingress: [{ports: [{port: 8080}]}]\n"
	dnsByUDP = "  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: dns, protocol: UDP}]}]\n"
)

func TestPredictor_everything_is_open_without_policies(t *testing.T) {
	for id, v := range verdicts(t, predictor(t, shopAddresses)) {
		if v != probe.Open {
			t.Errorf("%s is %s", id, v)
		}
	}
}

func TestPredictor_a_name_needs_DNS_by_UDP_first(t *testing.T) {
	const byName = "shop/web>shop/api:8080/TCP@name"
	p := predictor(t, shopAddresses, shopPolicy("deny", denyShop))
	got, err := p.Predict(flow(t, byName))
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdict != probe.DNSFailed || len(got.Decisions) != 1 || got.Decisions[0].Service != "kube-system/kube-dns" || got.Decisions[0].Protocol != corev1.ProtocolUDP {
		t.Errorf("got %+v, want the decision about DNS alone", got)
	}
	v := verdicts(t, p)
	for id, want := range map[string]probe.Verdict{
		"shop/web>shop/api:8080/TCP":           probe.Blocked,
		"shop/web>kube-system/kube-dns:53/UDP": probe.Blocked,
		"other/shell>shop/api:8080/TCP@name":   probe.Blocked,
		"other/shell>internet:443/TCP":         probe.Open,
		"other/agent>shop/api:8080/TCP@name":   probe.Open, // The node's own traffic.
		"other/logger>shop/api:8080/TCP":       probe.Open,
		"shop/web>other/agent:9100/TCP":        probe.Blocked,
	} {
		if v[id] != want {
			t.Errorf("%s is %q, want %q", id, v[id], want)
		}
	}

	p = predictor(t, shopAddresses, shopPolicy("deny", denyShop), shopPolicy("dns", dnsByUDP))
	got, err = p.Predict(flow(t, byName))
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdict != probe.Blocked || len(got.Decisions) != 2 || !got.Decisions[0].Allowed || got.Decisions[1].Service != "shop/shop-api" || got.Decisions[1].Port != 8080 {
		t.Errorf("got %+v, want DNS allowed and the connection to the pod's own port not", got)
	}
	if v := verdicts(t, p)["shop/web>kube-system/kube-dns:53/TCP"]; v != probe.Blocked {
		t.Errorf("DNS by TCP is %s", v)
	}
}

func TestPredictor_what_has_no_known_address_is_predicted_where_that_does_not_matter(t *testing.T) {
	few := sandbox.Addresses{DNS: shopAddresses.DNS, External: shopAddresses.External}
	policies := []string{shopPolicy("deny", denyShop), shopPolicy("dns", dnsByUDP), shopPolicy("api", apiOpen)}
	all := verdicts(t, predictor(t, shopAddresses, policies...))
	for id, v := range verdicts(t, predictor(t, few, policies...)) {
		if v != all[id] {
			t.Errorf("%s is %s, and %s where all addresses are known", id, v, all[id])
		}
	}
}

func TestPredictor_says_what_it_cannot_predict(t *testing.T) {
	p := predictor(t, sandbox.Addresses{})
	for want, f := range map[string]sandbox.Flow{
		"there is no pod shop/nobody":                            {From: "shop/nobody", To: "shop/api", Port: 8080, Protocol: sandbox.TCP, Via: sandbox.ViaIP},
		"the address of shop/nobody is not known":                {From: "shop/web", To: "shop/nobody", Port: 8080, Protocol: sandbox.TCP, Via: sandbox.ViaIP},
		"the address of internet is not known":                   flow(t, "shop/web>internet:443/TCP"),
		"the address of the cluster's DNS service is not known":  flow(t, "shop/web>kube-system/kube-dns:53/UDP"),
		"the address of the cluster's DNS service is not known ": flow(t, "shop/web>shop/api:8080/TCP@name"),
	} {
		if _, err := p.Verdict(f); err == nil || err.Error() != strings.TrimSpace(want) {
			t.Errorf("Verdict: %v, want %q", err, want)
		}
		if _, err := p.Predict(f); err == nil || err.Error() != strings.TrimSpace(want) {
			t.Errorf("Predict: %v, want %q", err, want)
		}
	}
}

func TestPredictor_two_policies_of_one_name_are_refused(t *testing.T) {
	policies, err := policy.Parse([]byte(shopPolicy("deny", denyShop)), policy.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.NewPredictor(shop(t), shopAddresses, append(policies, policies...)); err == nil || !strings.Contains(err.Error(), "shop/deny") {
		t.Errorf("got %v", err)
	}
}

func TestPredictor_a_verdict_allocates_nothing(t *testing.T) {
	p := predictor(t, shopAddresses, shopPolicy("deny", denyShop), shopPolicy("dns", dnsByUDP))
	flows := shop(t).Flows()
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range flows {
			if _, err := p.Verdict(f); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations for %d flows", n, len(flows))
	}
}

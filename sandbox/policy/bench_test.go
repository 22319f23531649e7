package policy_test

import (
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

// large are 1,000 pods with 500 policies: as they may be, ten pods in each of 100
// namespaces; or at worst, all pods in one namespace, and each policy selects them
// all and admits a pod that is not there.
func large(worst bool) (policy.Network, []policy.Policy) {
	policies := make([]policy.Policy, 500)
	if worst {
		for i := range policies {
			p := &policies[i].NetworkPolicy
			p.Namespace, p.Name = "n0", fmt.Sprintf("p%d", i)
			port := intstr.FromInt32(8080)
			p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
				From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Name}}}},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
			}}
		}
		return policytest.Cluster(1, 1, 1000), policies
	}
	n := policytest.Cluster(1, 100, 10)
	draw := policytest.New(1, n)
	for i := range policies {
		policies[i].NetworkPolicy = draw.Policy(fmt.Sprintf("p%d", i))
	}
	return n, policies
}

func eachLarge(b *testing.B, run func(*testing.B, policy.Network, []policy.Policy)) {
	for _, worst := range []bool{false, true} {
		n, policies := large(worst)
		b.Run(map[bool]string{false: "drawn", true: "worst"}[worst], func(b *testing.B) { run(b, n, policies) })
	}
}

func podEndpoints(tb testing.TB, e *policy.Evaluator, n policy.Network) []policy.Endpoint {
	tb.Helper()
	out := make([]policy.Endpoint, len(n.Pods))
	for i, p := range n.Pods {
		var ok bool
		if out[i], ok = e.Pod(p.Namespace, p.Name); !ok {
			tb.Fatalf("there is no pod %s/%s", p.Namespace, p.Name)
		}
	}
	return out
}

// BenchmarkAllowed asks about one port from each of 1,000 pods to each.
func BenchmarkAllowed(b *testing.B) {
	eachLarge(b, func(b *testing.B, n policy.Network, policies []policy.Policy) {
		e, err := policy.Compile(n, policies)
		if err != nil {
			b.Fatal(err)
		}
		ends := podEndpoints(b, e, n)
		b.ReportAllocs()
		allowed := 0
		for b.Loop() {
			allowed = 0
			for _, from := range ends {
				for _, to := range ends {
					if e.Allowed(policy.Flow{From: from, To: to, Port: 8080}) {
						allowed++
					}
				}
			}
		}
		flows := len(ends) * len(ends)
		if allowed == 0 || allowed == flows {
			b.Errorf("%d of %d flows are allowed: the policies ask for nothing", allowed, flows)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*flows), "ns/flow")
	})
}

func BenchmarkCompile(b *testing.B) {
	eachLarge(b, func(b *testing.B, n policy.Network, policies []policy.Policy) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := policy.Compile(n, policies); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkExplain(b *testing.B) {
	eachLarge(b, func(b *testing.B, n policy.Network, policies []policy.Policy) {
		e, err := policy.Compile(n, policies)
		if err != nil {
			b.Fatal(err)
		}
		ends := podEndpoints(b, e, n)
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			// Every pair in turn, those far from one another first.
			i++
			from, to := ends[i%len(ends)], ends[i*7919/len(ends)%len(ends)]
			e.Explain(policy.Flow{From: from, To: to, Port: 8080})
		}
	})
}

// Allowed allocates nothing, whatever the ends are and the rules ask for.
func TestAllowed_allocates_nothing(t *testing.T) {
	for seed := range uint64(20) {
		n := policytest.Network(seed)
		e := compile(t, n, policytest.New(seed, n).Policies(20))
		flows := flowsOf(e, n)
		if allocs := testing.AllocsPerRun(1, func() {
			for _, f := range flows {
				e.Allowed(f)
			}
		}); allocs != 0 {
			t.Errorf("seed %d: %v allocations for %d flows", seed, allocs, len(flows))
		}
	}
}

// A large network answers as a small one does: to every flow between two of its
// pods as the network of those two alone.
func TestA_large_network_answers_as_a_small_one(t *testing.T) {
	n, policies := large(false)
	e := compile(t, n, policies)
	for i := range 60 {
		from, to := n.Pods[i*37%len(n.Pods)], n.Pods[i*101%len(n.Pods)]
		small := policy.Network{Namespaces: n.Namespaces, Pods: []policy.Pod{from, to}}
		if from.Namespace == to.Namespace && from.Name == to.Name {
			small.Pods = small.Pods[:1]
		}
		few := compile(t, small, policies)
		ask := func(e *policy.Evaluator) bool {
			return e.Allowed(policy.Flow{From: e.Address(from.IPs[0]), To: e.Address(to.IPs[0]), Port: 8080})
		}
		if got, want := ask(e), ask(few); got != want {
			t.Errorf("%s/%s to %s/%s: %t among all pods, %t alone", from.Namespace, from.Name, to.Namespace, to.Name, got, want)
		}
	}
}

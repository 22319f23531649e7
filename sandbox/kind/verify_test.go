//go:build integration

package kind

import (
	"context"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

var (
	verifySets = flag.Int("sets", 15, "how many random sets of policies TestVerify measures")
	verifySeed = flag.Uint64("seed", 0, "the seed of TestVerify's first set; 0 takes one from the clock")
)

// TestVerify compares the predictions with the measurements of a real cluster:
// random sets of policies, every flow. 'make verify-real' runs it at length.
func TestVerify_the_cluster_does_what_was_predicted(t *testing.T) {
	v := newVerifier(t, "verify", parseTopology(t, "testdata/verify.yaml"))
	seed := *verifySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixMilli())
	}
	var open, blocked, dnsFailed, flips, passing int
	var last map[string]probe.Verdict
	began := time.Now()
	for n := range *verifySets {
		set := v.draw(seed + uint64(n))
		v.lay(set)
		predicted := v.predict(set)
		wrong := v.measure(predicted)
		for id, verdict := range predicted {
			switch verdict {
			case probe.Open:
				open++
			case probe.Blocked:
				blocked++
			case probe.DNSFailed:
				dnsFailed++
			}
			if last != nil && last[id] != verdict {
				flips++
			}
		}
		last = predicted
		if len(wrong) > 0 {
			// Is it the set, or was it the moment? What is not there any more when the
			// same set is laid again cannot be told in a smaller one.
			t.Logf("set %d (seed %d): not as predicted: %v", n+1, seed+uint64(n), wrong)
			v.lay(set)
			if wrong = v.measure(predicted); len(wrong) == 0 {
				passing++
				t.Logf("laid again, the same set is as predicted")
				continue
			}
			flow := v.byID[slices.Min(slices.Collect(maps.Keys(wrong)))]
			smallest := v.shrink(set, flow)
			p := v.predictor(smallest)
			why, err := p.Predict(flow)
			t.Fatalf("set %d (again with -seed %d -sets 1): %d flows are not as predicted.\n%s is %s, predicted %s: %v (%v)\nThe smallest set that does it:\n%s",
				n+1, seed+uint64(n), len(wrong), flow.ID, wrong[flow.ID], why.Verdict, why.Decisions, err, text(smallest))
		}
	}
	t.Logf("seed %d: %d sets of policies, %d flows each, %d measured in %.0f s: %d open, %d blocked, %d dns-failed; %d changed from set to set; all as predicted, after a second look at %d sets",
		seed, *verifySets, len(v.flows), *verifySets*len(v.flows), time.Since(began).Seconds(), open, blocked, dnsFailed, flips, passing)
	if passing > 1+*verifySets/100 {
		t.Errorf("%d of %d sets were as predicted only when they were looked at again", passing, *verifySets)
	}
	if min(open, blocked, dnsFailed, flips) == 0 && *verifySets > 5 {
		t.Error("the sets are too one-sided to prove anything")
	}
}

// verifier lays sets of policies on a cluster of its own and measures it.
type verifier struct {
	*testing.T
	cluster  *laid
	topology *sandbox.Topology
	addrs    sandbox.Addresses
	network  policy.Network
	flows    []sandbox.Flow
	byID     map[string]sandbox.Flow
	laid     []sandbox.PolicyRef
	marker   sandbox.Flow
	denied   bool // what the marker's policy makes of its flow
}

func parseTopology(t testing.TB, file string) *sandbox.Topology {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	topology, err := sandbox.ParseTopology(src)
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

// newVerifier makes a cluster with the topology, which has a namespace marker as in
// testdata/verify.yaml.
func newVerifier(t *testing.T, id sandbox.ClusterID, topology *sandbox.Topology) *verifier {
	t.Helper()
	b, c, err := create(t.Context(), shared, id, topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, err := docker(context.Background(), "exec", c.(*laid).booted.node(), "sh", "-c", "cat /var/log/pods/kube-system_calico*/*/*.log | grep -iE 'warn|error|fatal' | tail -40")
			t.Logf("what Calico says (%v):\n%s", err, out)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := shared.Delete(ctx, id); err != nil {
			t.Error(err)
		}
	})
	v := &verifier{T: t, cluster: c.(*laid), topology: topology, flows: topology.Flows(), byID: map[string]sandbox.Flow{}}
	for _, f := range v.flows {
		v.byID[f.ID] = f
	}
	v.marker = v.byID[sandbox.FlowID("marker/ask", "marker/answer", 8080, sandbox.TCP, sandbox.ViaIP)]
	v.addrs = v.cluster.Addresses()
	v.network = topology.Network(v.addrs)
	return v
}

func (v *verifier) draw(seed uint64) []policy.Policy {
	d := policytest.New(seed, v.network)
	d.Namespaces = []string{"left", "right", "far"}
	return d.Policies(6)
}

func (v *verifier) predictor(set []policy.Policy) *sandbox.Predictor {
	v.Helper()
	p, err := sandbox.NewPredictor(v.topology, v.addrs, set)
	if err != nil {
		v.Fatal(err)
	}
	return p
}

// predict predicts every flow but the marker's own.
func (v *verifier) predict(set []policy.Policy) map[string]probe.Verdict {
	v.Helper()
	p := v.predictor(set)
	out := map[string]probe.Verdict{}
	for _, f := range v.flows {
		if f.To == v.marker.To {
			continue
		}
		verdict, err := p.Verdict(f)
		if err != nil {
			v.Fatal(err)
		}
		out[f.ID] = verdict
	}
	return out
}

// lay makes the set the policies of the cluster, and returns when the cluster has
// carried it out. Calico takes up policies in the order in which they were written,
// so when the marker, written last, has turned, all before it is in force: there is
// nothing to wait for by the clock, and no old verdict is taken for a new one.
func (v *verifier) lay(set []policy.Policy) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.Context(), time.Minute)
	defer cancel()
	refs := make([]sandbox.PolicyRef, len(set))
	for i, p := range set {
		refs[i] = sandbox.PolicyRef{Namespace: p.Namespace, Name: p.Name}
	}
	var old []sandbox.PolicyRef
	for _, r := range v.laid {
		if !slices.Contains(refs, r) {
			old = append(old, r)
		}
	}
	if err := v.cluster.Delete(ctx, old); err != nil {
		v.Fatal(err)
	}
	v.laid = refs
	if len(set) > 0 {
		if err := v.cluster.Apply(ctx, set); err != nil {
			v.Fatalf("the API server refuses a drawn policy: %v\n%s", err, text(set))
		}
	}
	v.denied = !v.denied
	marker := policy.Policy{NetworkPolicy: networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "marker", Name: "marker"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "answer"}}},
	}}
	want := probe.Blocked
	if !v.denied {
		marker.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		want = probe.Open
	}
	if err := v.cluster.Apply(ctx, []policy.Policy{marker}); err != nil {
		v.Fatal(err)
	}
	if err := sandbox.AwaitVerdict(ctx, v.cluster, []sandbox.Flow{v.marker}, want, 30*time.Second); err != nil {
		v.Fatalf("the cluster does not carry this set out: %v\n%s", err, text(set))
	}
}

// measure returns the verdicts that differ from what was predicted, each seen
// three times. A first look is short; whoever is late gets a longer one.
func (v *verifier) measure(predicted map[string]probe.Verdict) map[string]probe.Verdict {
	v.Helper()
	var flows []sandbox.Flow
	for _, f := range v.flows {
		if _, ok := predicted[f.ID]; ok {
			flows = append(flows, f)
		}
	}
	var wrong map[string]probe.Verdict
	for _, timeout := range []time.Duration{250 * time.Millisecond, time.Second, time.Second} {
		wrong = map[string]probe.Verdict{}
		var mu sync.Mutex
		measured := 0
		v.cluster.Probe(v.Context(), flows, timeout, func(o sandbox.Observation) {
			mu.Lock()
			defer mu.Unlock()
			measured++
			if o.Verdict != predicted[o.Flow] {
				wrong[o.Flow] = o.Verdict
			}
		})
		if measured != len(flows) {
			v.Fatalf("%d of %d flows were measured", measured, len(flows))
		}
		flows = slices.DeleteFunc(flows, func(f sandbox.Flow) bool { _, ok := wrong[f.ID]; return !ok })
		if len(flows) == 0 {
			break
		}
	}
	return wrong
}

// shrink leaves out one policy, rule, peer and port after the other, as long as
// the flow is still not as predicted.
func (v *verifier) shrink(set []policy.Policy, flow sandbox.Flow) []policy.Policy {
	v.Helper()
	fails := func(smaller []policy.Policy) bool {
		v.lay(smaller)
		verdict, err := v.predictor(smaller).Verdict(flow)
		return err == nil && len(v.measure(map[string]probe.Verdict{flow.ID: verdict})) > 0
	}
	for again := true; again; {
		again = false
		for _, smaller := range smallerSets(set) {
			if fails(smaller) {
				set, again = smaller, true
				break
			}
		}
	}
	return set
}

// smallerSets are all the sets that lack one thing.
func smallerSets(set []policy.Policy) [][]policy.Policy {
	var out [][]policy.Policy
	for i := range set {
		out = append(out, slices.Delete(slices.Clone(set), i, i+1))
	}
	with := func(i int, change func(*networkingv1.NetworkPolicySpec)) {
		smaller := slices.Clone(set)
		np := set[i].NetworkPolicy.DeepCopy()
		policy.Default(np) // Else a rule less could mean a policy type less.
		change(&np.Spec)
		smaller[i].NetworkPolicy = *np
		out = append(out, smaller)
	}
	for i, p := range set {
		for r, rule := range p.Spec.Ingress {
			with(i, func(s *networkingv1.NetworkPolicySpec) { s.Ingress = slices.Delete(s.Ingress, r, r+1) })
			for j := range rule.From {
				with(i, func(s *networkingv1.NetworkPolicySpec) {
					s.Ingress[r].From = slices.Delete(s.Ingress[r].From, j, j+1)
				})
			}
			for j := range rule.Ports {
				with(i, func(s *networkingv1.NetworkPolicySpec) {
					s.Ingress[r].Ports = slices.Delete(s.Ingress[r].Ports, j, j+1)
				})
			}
		}
		for r, rule := range p.Spec.Egress {
			with(i, func(s *networkingv1.NetworkPolicySpec) { s.Egress = slices.Delete(s.Egress, r, r+1) })
			for j := range rule.To {
				with(i, func(s *networkingv1.NetworkPolicySpec) { s.Egress[r].To = slices.Delete(s.Egress[r].To, j, j+1) })
			}
			for j := range rule.Ports {
				with(i, func(s *networkingv1.NetworkPolicySpec) {
					s.Egress[r].Ports = slices.Delete(s.Egress[r].Ports, j, j+1)
				})
			}
		}
	}
	return out
}

func text(set []policy.Policy) string {
	var out []string
	for _, p := range set {
		out = append(out, policy.YAML(p.NetworkPolicy))
	}
	return strings.Join(out, "---\n")
}

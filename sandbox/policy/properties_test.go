package policy_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

// FuzzProperties draws a network and policies from the seed, and holds what must
// be true whatever they are.
func FuzzProperties(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := draw(t, seed)
		for _, property := range []struct {
			name string
			hold func(*testing.T, *drawn)
		}{
			{"explain agrees with allowed", explainAgrees},
			{"the order of policies never matters", orderNeverMatters},
			{"one more rule never blocks more", oneMoreRuleNeverBlocksMore},
			{"an empty list equals an omitted one", emptyEqualsOmitted},
			{"renaming labels changes nothing", renamingChangesNothing},
			{"no difference from oneself", noDifferenceFromOneself},
			{"the remedy allows the flow and nothing that it need not", remedyIsExact},
		} {
			property.hold(t, c)
			if t.Failed() {
				t.Fatalf("seed %d: %s; policies:\n%s", seed, property.name, c)
			}
		}
	})
}

// drawn is a network with policies and every flow between its ends.
type drawn struct {
	*rand.Rand
	network  policy.Network
	policies []policy.Policy
	compiled *policy.Evaluator
	flows    []policy.Flow
}

func draw(t *testing.T, seed uint64) *drawn {
	t.Helper()
	c := &drawn{Rand: rand.New(rand.NewPCG(seed, 2)), network: policytest.Network(seed)}
	c.policies = policytest.New(seed, c.network).Policies(6)
	c.compiled = compile(t, c.network, c.policies)
	c.flows = flowsOf(c.compiled, c.network)
	return c
}

// String is the policies as YAML.
func (c *drawn) String() string {
	var out []string
	for _, p := range c.policies {
		out = append(out, policy.YAML(p.NetworkPolicy))
	}
	return strings.Join(out, "---\n")
}

func compile(t *testing.T, n policy.Network, policies []policy.Policy) *policy.Evaluator {
	t.Helper()
	e, err := policy.Compile(n, policies)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// flowsOf lists every flow from each pod, node and outside host to each, on ports
// that somebody serves and on one that nobody does.
func flowsOf(e *policy.Evaluator, n policy.Network) []policy.Flow {
	var ends []policy.Endpoint
	for _, p := range n.Pods {
		if end, ok := e.Pod(p.Namespace, p.Name); ok {
			ends = append(ends, end)
		}
		for _, a := range p.IPs[1:] {
			ends = append(ends, e.Address(a))
		}
	}
	for _, h := range n.Hosts {
		ends = append(ends, e.Address(h.IPs[0]))
	}
	for _, node := range n.Nodes {
		ends = append(ends, e.Address(node.IPs[0]))
	}
	var out []policy.Flow
	for _, from := range ends {
		for _, to := range ends {
			for _, protocol := range []corev1.Protocol{"", "UDP", "SCTP"} {
				for _, port := range []int32{80, 81, 82, 443} {
					out = append(out, policy.Flow{From: from, To: to, Port: port, Protocol: protocol})
				}
			}
		}
		for _, s := range n.Services {
			out = append(out, policy.Flow{From: from, To: e.Address(s.ClusterIPs[0]), Port: 8080, Protocol: s.Ports[0].Protocol})
		}
	}
	return out
}

func explainAgrees(t *testing.T, c *drawn) {
	for _, f := range c.flows {
		d := c.compiled.Explain(f)
		if d.Allowed != c.compiled.Allowed(f) {
			t.Errorf("Explain says %v of %s > %s:%d/%s, Allowed the contrary: %s", d.Allowed, d.From, d.To, d.Port, d.Protocol, d)
			return
		}
		without := c.compiled.Decide(f)
		for _, dir := range []policy.Direction{d.Egress, d.Ingress} {
			for i := range dir.Policies {
				dir.Policies[i].Rules = nil
			}
		}
		if !reflect.DeepEqual(d, without) {
			t.Errorf("Explain, without the rules, says\n%+v, Decide\n%+v", d, without)
			return
		}
		if d.Allowed != strings.HasPrefix(d.String(), "Allowed") || !strings.HasSuffix(d.String(), ".") || strings.Contains(d.String(), "%!") {
			t.Errorf("sentence %q of %+v", d, d)
			return
		}
	}
}

func orderNeverMatters(t *testing.T, c *drawn) {
	shuffled := slices.Clone(c.policies)
	c.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	other := compile(t, c.network, shuffled)
	for _, f := range c.flows {
		if !reflect.DeepEqual(c.compiled.Explain(f), other.Explain(f)) {
			t.Errorf("%s\nin another order\n%s", c.compiled.Explain(f), other.Explain(f))
			return
		}
	}
}

func oneMoreRuleNeverBlocksMore(t *testing.T, c *drawn) {
	more := slices.Clone(c.policies)
	i := c.IntN(len(more))
	extra := policytest.New(c.Uint64(), c.network).Policy("extra")
	p := more[i].NetworkPolicy.DeepCopy()
	if len(p.Spec.PolicyTypes) == 0 { // Else one more rule could isolate.
		p.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress"}
		if len(p.Spec.Egress) > 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, "Egress")
		}
	}
	p.Spec.Ingress = append(p.Spec.Ingress, extra.Spec.Ingress...)
	p.Spec.Egress = append(p.Spec.Egress, extra.Spec.Egress...)
	more[i].NetworkPolicy = *p
	other := compile(t, c.network, more)
	for _, f := range c.flows {
		if c.compiled.Allowed(f) && !other.Allowed(f) {
			t.Errorf("one more rule blocks: %s", other.Explain(f))
			return
		}
	}
}

func emptyEqualsOmitted(t *testing.T, c *drawn) {
	same := slices.Clone(c.policies)
	for i := range same {
		p := same[i].NetworkPolicy.DeepCopy()
		flip(&p.Spec.Ingress)
		flip(&p.Spec.Egress)
		for j := range p.Spec.Ingress {
			flip(&p.Spec.Ingress[j].From)
			flip(&p.Spec.Ingress[j].Ports)
		}
		for j := range p.Spec.Egress {
			flip(&p.Spec.Egress[j].To)
			flip(&p.Spec.Egress[j].Ports)
		}
		same[i].NetworkPolicy = *p
	}
	c.same(t, c.network, same)
}

// flip writes an empty list for an omitted one, and the other way about.
func flip[T any](list *[]T) {
	switch {
	case *list == nil:
		*list = []T{}
	case len(*list) == 0:
		*list = nil
	}
}

func renamingChangesNothing(t *testing.T, c *drawn) {
	key := func(k string) string {
		if k == "kubernetes.io/metadata.name" {
			return k
		}
		return "renamed-" + k
	}
	labels := func(m map[string]string) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			if key(k) == k {
				out[k] = v
			} else {
				out[key(k)] = "x" + v
			}
		}
		return out
	}
	selector := func(s *metav1.LabelSelector) {
		if s == nil {
			return
		}
		s.MatchLabels = labels(s.MatchLabels)
		for i, r := range s.MatchExpressions {
			if key(r.Key) != r.Key {
				for j, v := range r.Values {
					s.MatchExpressions[i].Values[j] = "x" + v
				}
			}
			s.MatchExpressions[i].Key = key(r.Key)
		}
	}
	n := c.network
	n.Namespaces, n.Pods, n.Services = slices.Clone(n.Namespaces), slices.Clone(n.Pods), slices.Clone(n.Services)
	for i := range n.Namespaces {
		n.Namespaces[i].Labels = labels(n.Namespaces[i].Labels)
	}
	for i := range n.Pods {
		n.Pods[i].Labels = labels(n.Pods[i].Labels)
	}
	for i := range n.Services {
		n.Services[i].Selector = labels(n.Services[i].Selector)
	}
	renamed := slices.Clone(c.policies)
	for i := range renamed {
		p := renamed[i].NetworkPolicy.DeepCopy()
		selector(&p.Spec.PodSelector)
		peers := func(peers []networkingv1.NetworkPolicyPeer) {
			for j := range peers {
				selector(peers[j].PodSelector)
				selector(peers[j].NamespaceSelector)
			}
		}
		for j := range p.Spec.Ingress {
			peers(p.Spec.Ingress[j].From)
		}
		for j := range p.Spec.Egress {
			peers(p.Spec.Egress[j].To)
		}
		renamed[i].NetworkPolicy = *p
	}
	c.same(t, n, renamed)
}

func (c *drawn) same(t *testing.T, n policy.Network, policies []policy.Policy) {
	other := compile(t, n, policies)
	for _, f := range c.flows {
		if c.compiled.Allowed(f) != other.Allowed(f) {
			t.Errorf("%s\nbecame\n%s", c.compiled.Explain(f), other.Explain(f))
			return
		}
	}
}

func noDifferenceFromOneself(t *testing.T, c *drawn) {
	if changes := policy.Diff(c.compiled, compile(t, c.network, c.policies), c.flows); len(changes) > 0 {
		t.Errorf("got %d changes, the first %+v", len(changes), changes[0])
	}
}

// remedyIsExact applies the remedy of a few blocked flows. What else it may allow
// are flows whose ends no policy can tell from the flow's own.
func remedyIsExact(t *testing.T, c *drawn) {
	var blocked []policy.Flow
	for _, f := range c.flows {
		if !c.compiled.Allowed(f) {
			blocked = append(blocked, f)
		}
	}
	c.Shuffle(len(blocked), func(i, j int) { blocked[i], blocked[j] = blocked[j], blocked[i] })
	for _, f := range blocked[:min(3, len(blocked))] {
		backends, isService := c.compiled.Backends(f)
		if !isService {
			backends = []policy.Flow{f}
		}
		remedy := c.compiled.Remedy(f)
		more := slices.Clone(c.policies)
		for _, p := range remedy {
			if problems := policy.Validate(policy.Policy{NetworkPolicy: p}); len(problems) > 0 {
				t.Errorf("the remedy is invalid: %v", problems)
				return
			}
			more = append(more, policy.Policy{NetworkPolicy: p})
		}
		other := compile(t, c.network, more)
		if len(backends) > 0 && !other.Allowed(f) {
			t.Errorf("with the remedy %s\n%v", other.Explain(f), yamlOf(remedy))
			return
		}
		for _, g := range c.flows {
			if _, ok := c.compiled.Backends(g); ok || c.compiled.Allowed(g) || !other.Allowed(g) {
				continue
			}
			if !slices.ContainsFunc(backends, func(b policy.Flow) bool {
				return b.Port == g.Port && orTCP(b.Protocol) == orTCP(g.Protocol) && c.alike(b.From, g.From) && c.alike(b.To, g.To)
			}) {
				t.Errorf("the remedy of %s\nalso changes %s\n%v", c.compiled.Explain(f), c.compiled.Explain(g), yamlOf(remedy))
				return
			}
		}
	}
}

// alike reports that no policy can tell the two ends apart.
func (c *drawn) alike(a, b policy.Endpoint) bool {
	pod := func(e policy.Endpoint) (policy.Pod, bool) {
		for _, p := range c.network.Pods {
			if !p.HostNetwork && p.Namespace+"/"+p.Name == c.compiled.Name(e) {
				return p, true
			}
		}
		return policy.Pod{}, false
	}
	p, isPod := pod(a)
	q, alsoPod := pod(b)
	if isPod && alsoPod {
		return p.Namespace == q.Namespace && maps.Equal(p.Labels, q.Labels)
	}
	return isPod == alsoPod && a.Addr() == b.Addr()
}

func yamlOf(policies []networkingv1.NetworkPolicy) string {
	var out []string
	for _, p := range policies {
		out = append(out, policy.YAML(p))
	}
	return strings.Join(out, "---\n")
}

// TestThe_draw_is_fair holds that the properties are tested on both answers, and on
// all the kinds of reasons.
func TestThe_draw_is_fair(t *testing.T) {
	allowed, blocked := 0, 0
	because, kinds := map[policy.Because]int{}, map[policy.MismatchKind]int{}
	for seed := range uint64(300) {
		c := draw(t, seed)
		for _, f := range c.flows {
			d := c.compiled.Explain(f)
			if d.Allowed {
				allowed++
			} else {
				blocked++
			}
			for _, dir := range []policy.Direction{d.Egress, d.Ingress} {
				because[dir.Because]++
				for _, p := range dir.Policies {
					for _, r := range p.Rules {
						for _, m := range r.Mismatches {
							kinds[m.Kind]++
						}
					}
				}
			}
		}
	}
	t.Logf("%d allowed, %d blocked, %v, %v", allowed, blocked, because, kinds)
	if share := float64(blocked) / float64(allowed+blocked); share < 0.2 || share > 0.8 {
		t.Errorf("%.0f %% of the flows are blocked", 100*share)
	}
	for _, b := range []policy.Because{policy.Admitted, policy.NotAdmitted, policy.NotIsolated, policy.NoPod, policy.HostNetwork, policy.OwnTraffic, policy.OwnNode, policy.NoBackend} {
		if because[b] < 50 && b != policy.NoBackend {
			t.Errorf("%s came %d times", b, because[b])
		}
	}
	if len(kinds) != 9 {
		t.Errorf("%d of 9 kinds of mismatch came: %v", len(kinds), fmt.Sprint(kinds))
	}
}

func orTCP(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

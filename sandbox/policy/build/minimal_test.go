package build_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/build"
)

// tiny is a network of one namespace with up to three pods and a host outside, small
// enough to try all sets of policies.
func tiny(seed uint64) *drawn {
	d := &drawn{Rand: rand.New(rand.NewPCG(seed, 5)), pods: map[policy.Endpoint]*policy.Pod{}, namespaces: []string{"a"}}
	d.network.Namespaces = []policy.Namespace{{Name: "a"}}
	for i := range 2 + d.IntN(2) {
		d.network.Pods = append(d.network.Pods, policy.Pod{
			Namespace: "a", Name: fmt.Sprintf("p%d", i), Node: "one", IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)})},
			Labels: map[string]string{"app": fmt.Sprintf("p%d", i), "tier": []string{"front", "back"}[d.IntN(2)]}, Ports: []policy.Port{{Port: 80}},
		})
	}
	d.network.Hosts = []policy.Host{{Name: "internet", IPs: []netip.Addr{netip.MustParseAddr("203.0.113.10")}, Ports: []policy.Port{{Port: 443}}}}
	d.evaluator, _ = policy.Compile(d.network, nil)
	share, open := []int{100, 70, 40}[d.IntN(3)], []int{15, 40, 70}[d.IntN(3)]
	for _, f := range d.flows() {
		if d.IntN(100) < share {
			d.wishes = append(d.wishes, build.Wish{Flow: f, Open: d.IntN(100) < open})
		}
	}
	return d
}

// fewest tries sets of policies, the small ones first: for each selector and direction
// the one that lets through as much as no wish forbids. It is the least number of
// policies that do what is wished for, up to most; most+1 where none of these do.
func (d *drawn) fewest(most int) int {
	var selectors []metav1.LabelSelector
	seen := map[string]bool{}
	add := func(s metav1.LabelSelector) {
		if text := policy.SelectorText(&s); !seen[text] {
			seen[text] = true
			selectors = append(selectors, s)
		}
	}
	add(metav1.LabelSelector{})
	var apps []string
	for _, p := range d.network.Pods {
		add(metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Labels["app"]}})
		add(metav1.LabelSelector{MatchLabels: map[string]string{"tier": p.Labels["tier"]}})
		apps = append(apps, p.Labels["app"])
	}
	for i := range apps {
		for _, other := range apps[:i] {
			add(metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{other, apps[i]}}}})
		}
	}
	var universe []policy.Policy
	for _, s := range selectors {
		for _, types := range [][]networkingv1.PolicyType{{"Ingress"}, {"Egress"}, {"Ingress", "Egress"}} {
			universe = append(universe, d.widest(fmt.Sprintf("u%d", len(universe)), s, types))
		}
	}
	var set []policy.Policy
	var try func(from, left int) bool
	try = func(from, left int) bool {
		if left == 0 {
			e, err := policy.Compile(d.network, set)
			if err != nil {
				panic(err) // The names are counted.
			}
			for _, w := range d.wishes {
				if e.Allowed(w.Flow) != w.Open {
					return false
				}
			}
			return true
		}
		for i := from; i < len(universe); i++ {
			set = append(set, universe[i])
			if try(i+1, left-1) {
				return true
			}
			set = set[:len(set)-1]
		}
		return false
	}
	for n := 0; n <= most; n++ {
		if set = nil; try(0, n) {
			return n
		}
	}
	return most + 1
}

// widest is the policy with a rule for each peer that no wish forbids.
func (d *drawn) widest(name string, s metav1.LabelSelector, types []networkingv1.PolicyType) policy.Policy {
	p := policy.Policy{}
	p.Name, p.Namespace = name, "a"
	p.Spec = networkingv1.NetworkPolicySpec{PodSelector: s, PolicyTypes: types}
	forbidden := func(peer string, ingress bool) bool {
		for _, w := range d.wishes {
			self, other := w.To, w.From
			if !ingress {
				self, other = w.From, w.To
			}
			if pod := d.pod(self); !w.Open && d.evaluator.Name(other) == peer && pod != nil && policy.Matches(&s, pod.Labels) {
				return true
			}
		}
		return false
	}
	rule := func(peer networkingv1.NetworkPolicyPeer, port int32) ([]networkingv1.NetworkPolicyPeer, []networkingv1.NetworkPolicyPort) {
		number, tcp := intstr.FromInt32(port), corev1.ProtocolTCP
		return []networkingv1.NetworkPolicyPeer{peer}, []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &number}}
	}
	for _, pod := range d.network.Pods {
		peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": pod.Labels["app"]}}}
		peers, ports := rule(peer, 80)
		if !forbidden("a/"+pod.Name, true) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports})
		}
		if !forbidden("a/"+pod.Name, false) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports})
		}
	}
	if !forbidden("internet", false) {
		peers, ports := rule(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "203.0.113.10/32"}}, 443)
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports})
	}
	return p
}

// TestPolicies_are_few compares with the fewest that brute force finds. What is more is
// the default deny of a namespace whose pods are all isolated, which is for pods to come,
// and the lock at the other end of what most pods are not to reach.
func TestPolicies_are_few(t *testing.T) {
	const most = 3
	written, needed, as, worse := 0, 0, 0, 0
	for seed := range uint64(200) {
		d := tiny(seed)
		plan, err := build.Policies(d.network, d.namespaces, d.wishes)
		if err != nil || len(plan.Refusals) > 0 {
			t.Fatalf("seed %d: %v, %+v", seed, err, plan.Refusals)
		}
		fewest := d.fewest(most)
		n := len(plan.Policies)
		written, needed = written+n, needed+fewest
		if n == fewest {
			as++
		}
		if n > fewest+2 {
			worse++
			t.Logf("seed %d: %d policies, where %d do it:\n%s", seed, n, fewest, text(plan))
		}
	}
	ratio := float64(written) / float64(needed)
	t.Logf("%d policies where brute force needs %d: %.2f times as many; in %d of 200 networks just as many", written, needed, ratio, as)
	if ratio > 1.4 || worse > 0 {
		t.Errorf("%.2f times as many as are needed, and in %d networks more than two too many", ratio, worse)
	}
}

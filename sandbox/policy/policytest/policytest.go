// Package policytest draws networks and policies at random, for tests and
// benchmarks: the same seed draws the same ones.
package policytest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Size says how much is drawn.
type Size struct {
	Namespaces       int
	PodsPerNamespace int // At most 250, as at most 250 namespaces.
	Policies         int
	// Traps also draws what evaluators have been seen to get wrong: selectors on
	// keys that not every pod has, empty label values, policies without
	// policyTypes, and many port ranges in one rule.
	Traps bool
}

// Hosts are addresses outside of every network that is drawn; its ipBlocks
// contain some of them.
var Hosts = []netip.Addr{
	netip.MustParseAddr("192.0.2.10"),
	netip.MustParseAddr("198.51.100.7"),
	netip.MustParseAddr("203.0.113.99"),
}

// Draw draws a network and valid policies for it. All namespaces have the labels
// team and env, all pods app and tier; one pod in four has canary. Of a pod's
// ports, "http" is 8080/TCP, or 80/TCP for one in three; "metrics" is 9090/TCP and
// "dns" is 53/UDP.
func Draw(r *rand.Rand, size Size) (policy.Network, []policy.Policy) {
	d := &drawer{Rand: r, size: size}
	n := d.network()
	policies := make([]policy.Policy, size.Policies)
	for i := range policies {
		policies[i].NetworkPolicy = d.policy(i)
	}
	return n, policies
}

var (
	teams = []string{"red", "green", "blue", "white"}
	envs  = []string{"production", "staging", "development"}
	apps  = []string{"web", "api", "database", "queue", "batch"}
	tiers = []string{"front", "middle", "back"}
)

type drawer struct {
	*rand.Rand
	size Size
}

func (d *drawer) one(of []string) string { return of[d.IntN(len(of))] }

// in is true n times in m.
func (d *drawer) in(n, m int) bool { return d.IntN(m) < n }

func namespace(i int) string { return fmt.Sprintf("ns-%d", i) }

func (d *drawer) network() policy.Network {
	var out policy.Network
	for i := range d.size.Namespaces {
		ns := namespace(i)
		out.Namespaces = append(out.Namespaces, policy.Namespace{Name: ns, Labels: map[string]string{
			corev1.LabelMetadataName: ns, "team": d.one(teams), "env": d.one(envs),
		}})
		for j := range d.size.PodsPerNamespace {
			pod := policy.Pod{
				Namespace: ns, Name: fmt.Sprintf("pod-%d", j), Node: fmt.Sprintf("node-%d", j%3),
				Labels: map[string]string{"app": d.one(apps), "tier": d.one(tiers)},
				IPs:    []netip.Addr{netip.AddrFrom4([4]byte{10, 244, byte(i), byte(j + 1)})},
				Ports:  []policy.Port{{Name: "http", Port: 8080}, {Name: "metrics", Port: 9090}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}},
			}
			if d.in(1, 4) {
				pod.Labels["canary"] = "true"
				if d.size.Traps && d.in(1, 2) {
					pod.Labels["canary"] = ""
				}
			}
			if d.in(1, 3) {
				pod.Ports[0].Port = 80
			}
			out.Pods = append(out.Pods, pod)
		}
	}
	return out
}

func (d *drawer) policy(i int) networkingv1.NetworkPolicy {
	out := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace(d.IntN(d.size.Namespaces)), Name: fmt.Sprintf("policy-%d", i),
	}}
	out.Spec.PodSelector = *d.podSelector()
	kind := d.IntN(3)
	if kind != 1 {
		out.Spec.PolicyTypes = append(out.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		for range d.IntN(4) {
			out.Spec.Ingress = append(out.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: d.peers(), Ports: d.ports()})
		}
	}
	if kind != 0 {
		out.Spec.PolicyTypes = append(out.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		for range d.IntN(4) {
			out.Spec.Egress = append(out.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: d.peers(), Ports: d.ports()})
		}
	}
	if d.size.Traps && d.in(1, 4) {
		out.Spec.PolicyTypes = nil
	}
	return out
}

func (d *drawer) peers() []networkingv1.NetworkPolicyPeer {
	if d.in(1, 8) {
		return nil
	}
	out := make([]networkingv1.NetworkPolicyPeer, 1+d.IntN(3))
	for i := range out {
		p := &out[i]
		switch d.IntN(5) {
		case 0:
			p.IPBlock = d.block()
		case 1:
			p.PodSelector = d.podSelector()
		case 2:
			p.NamespaceSelector = d.namespaceSelector()
		default:
			p.PodSelector, p.NamespaceSelector = d.podSelector(), d.namespaceSelector()
		}
	}
	return out
}

func (d *drawer) block() *networkingv1.IPBlock {
	ns := d.IntN(d.size.Namespaces)
	switch d.IntN(4) {
	case 0:
		return &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.244.0.0/16", "198.51.100.0/24"}}
	case 1:
		return &networkingv1.IPBlock{CIDR: "10.244.0.0/16", Except: []string{fmt.Sprintf("10.244.%d.0/28", ns)}}
	case 2:
		return &networkingv1.IPBlock{CIDR: fmt.Sprintf("10.244.%d.0/24", ns)}
	}
	return &networkingv1.IPBlock{CIDR: "192.0.2.0/24"}
}

func (d *drawer) podSelector() *metav1.LabelSelector {
	switch d.IntN(8) {
	case 0:
		return &metav1.LabelSelector{}
	case 1:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": d.one(apps), "tier": d.one(tiers)}}
	case 2:
		return expression("app", metav1.LabelSelectorOpIn, d.one(apps), d.one(apps))
	case 3:
		return expression("tier", metav1.LabelSelectorOpNotIn, d.one(tiers))
	case 4:
		return expression("canary", metav1.LabelSelectorOpExists)
	case 5:
		if !d.size.Traps {
			return expression("canary", metav1.LabelSelectorOpDoesNotExist)
		}
		if d.in(1, 2) {
			return expression("canary", metav1.LabelSelectorOpNotIn, "true")
		}
		return &metav1.LabelSelector{MatchLabels: map[string]string{"canary": ""}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": d.one(apps)}}
}

func (d *drawer) namespaceSelector() *metav1.LabelSelector {
	switch d.IntN(5) {
	case 0:
		return &metav1.LabelSelector{}
	case 1:
		return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace(d.IntN(d.size.Namespaces))}}
	case 2:
		return expression("env", metav1.LabelSelectorOpNotIn, d.one(envs))
	case 3:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"team": d.one(teams), "env": d.one(envs)}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"team": d.one(teams)}}
}

func expression(key string, operator metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
}

func (d *drawer) ports() []networkingv1.NetworkPolicyPort {
	if d.in(1, 3) {
		return nil
	}
	most := 2
	if d.size.Traps {
		most = 4
	}
	out := make([]networkingv1.NetworkPolicyPort, 1+d.IntN(most))
	for i := range out {
		out[i] = d.port()
	}
	return out
}

func (d *drawer) port() networkingv1.NetworkPolicyPort {
	tcp, udp, sctp := corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP
	switch d.IntN(8) {
	case 0:
		return networkingv1.NetworkPolicyPort{Protocol: &udp, Port: number(53)}
	case 1:
		return networkingv1.NetworkPolicyPort{Port: named("http")}
	case 2:
		return networkingv1.NetworkPolicyPort{Protocol: &udp, Port: named("dns")}
	case 3:
		end := int32(8000 + d.IntN(200))
		return networkingv1.NetworkPolicyPort{Protocol: &tcp, Port: number(8000), EndPort: &end}
	case 4:
		return networkingv1.NetworkPolicyPort{Protocol: &sctp}
	case 5:
		return networkingv1.NetworkPolicyPort{Protocol: &tcp}
	case 6:
		return networkingv1.NetworkPolicyPort{Port: number(80)}
	}
	return networkingv1.NetworkPolicyPort{Protocol: &tcp, Port: number(8080)}
}

func number(port int32) *intstr.IntOrString {
	out := intstr.FromInt32(port)
	return &out
}

func named(port string) *intstr.IntOrString {
	out := intstr.FromString(port)
	return &out
}

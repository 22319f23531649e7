// Package policytest draws networks and policies by chance, weighted to what
// people and evaluators get wrong, for tests that compare two answers.
package policytest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Draw draws policies.
type Draw struct {
	*rand.Rand
	Network policy.Network
	// Namespaces are those that policies are drawn for.
	Namespaces []string
	// Protocols are those that rules are drawn for.
	Protocols []corev1.Protocol
}

// New draws for all the namespaces of the network, from a seed.
func New(seed uint64, network policy.Network) *Draw {
	d := &Draw{Rand: rand.New(rand.NewPCG(seed, 0)), Network: network, Protocols: []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}}
	for _, ns := range network.Namespaces {
		d.Namespaces = append(d.Namespaces, ns.Name)
	}
	return d
}

// chance is true n times of a hundred.
func (d *Draw) chance(n int) bool { return d.IntN(100) < n }

func pick[T any](d *Draw, of []T) T { return of[d.IntN(len(of))] }

// Policies draws a set of up to most policies, at least one, with names of their own.
func (d *Draw) Policies(most int) []policy.Policy {
	out := make([]policy.Policy, 1+d.IntN(most))
	for i := range out {
		out[i].NetworkPolicy = d.Policy(fmt.Sprintf("p%02d", i))
	}
	return out
}

// Policy draws one valid policy.
func (d *Draw) Policy(name string) networkingv1.NetworkPolicy {
	p := networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: pick(d, d.Namespaces)},
	}
	p.Spec.PodSelector = d.selector(d.podLabels())
	p.Spec.PolicyTypes = pick(d, [][]networkingv1.PolicyType{nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}, {"Ingress", "Egress"}})
	switch d.IntN(6) {
	case 0: // Only isolates.
	case 1:
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{}
		p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{}
	default:
		for range d.IntN(3) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: d.peers(), Ports: d.ports()})
		}
		for range d.IntN(3) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: d.peers(), Ports: d.ports()})
		}
	}
	return p
}

func (d *Draw) peers() []networkingv1.NetworkPolicyPeer {
	if d.chance(15) {
		return nil
	}
	if d.chance(5) {
		return []networkingv1.NetworkPolicyPeer{} // Empty is the same as missing.
	}
	var out []networkingv1.NetworkPolicyPeer
	for range 1 + d.IntN(2) {
		var p networkingv1.NetworkPolicyPeer
		switch d.IntN(7) {
		case 0, 1:
			s := d.selector(d.podLabels())
			p.PodSelector = &s
		case 2:
			s := d.selector(d.namespaceLabels())
			p.NamespaceSelector = &s
		case 3:
			// The one dash: both, and one after the other.
			pods, namespaces := d.selector(d.podLabels()), d.selector(d.namespaceLabels())
			out = append(out, networkingv1.NetworkPolicyPeer{NamespaceSelector: &namespaces})
			p.PodSelector = &pods
		case 4, 5:
			pods, namespaces := d.selector(d.podLabels()), d.selector(d.namespaceLabels())
			p.PodSelector, p.NamespaceSelector = &pods, &namespaces
		default:
			p.IPBlock = d.block()
		}
		out = append(out, p)
	}
	return out
}

// block draws a block around an address of the network, so that it means somebody,
// with exceptions that leave somebody out.
func (d *Draw) block() *networkingv1.IPBlock {
	addr := pick(d, d.addresses())
	all := "0.0.0.0/0"
	bits := []int{32, 31, 28, 24, 16, 8}
	if addr.Is6() {
		all, bits = "::/0", []int{128, 127, 64, 48}
	}
	around := func(a netip.Addr, bits int) netip.Prefix {
		p, err := a.Prefix(bits)
		if err != nil {
			panic(err) // The bits are of the address's family.
		}
		return p
	}
	b := &networkingv1.IPBlock{CIDR: all}
	cidr := netip.MustParsePrefix(all)
	if d.chance(70) {
		cidr = around(addr, pick(d, bits))
		b.CIDR = cidr.String()
	}
	if d.chance(40) {
		var inside []netip.Addr
		for _, a := range d.addresses() {
			if cidr.Contains(a) {
				inside = append(inside, a)
			}
		}
		for range 1 + d.IntN(2) {
			x := around(pick(d, inside), pick(d, bits))
			if x.Bits() > cidr.Bits() { // "Except values will be rejected if they are outside the cidr range", or the whole of it.
				b.Except = append(b.Except, x.String())
			}
		}
	}
	return b
}

func (d *Draw) addresses() []netip.Addr {
	var out []netip.Addr
	for _, p := range d.Network.Pods {
		out = append(out, p.IPs...)
	}
	for _, h := range d.Network.Hosts {
		out = append(out, h.IPs...)
	}
	for _, s := range d.Network.Services {
		out = append(out, s.ClusterIPs...)
	}
	return out
}

func (d *Draw) ports() []networkingv1.NetworkPolicyPort {
	if d.chance(35) {
		return nil
	}
	var all []policy.Port
	for _, p := range d.Network.Pods {
		all = append(all, p.Ports...)
	}
	for _, h := range d.Network.Hosts {
		all = append(all, h.Ports...)
	}
	for _, s := range d.Network.Services {
		for _, sp := range s.Ports { // The Service's port, where the pod's is meant.
			all = append(all, policy.Port{Name: sp.Name, Port: sp.Port, Protocol: sp.Protocol})
		}
	}
	var out []networkingv1.NetworkPolicyPort
	for range 1 + d.IntN(3) {
		have := pick(d, all)
		protocol := have.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		if d.chance(15) || !slices.Contains(d.Protocols, protocol) {
			protocol = pick(d, d.Protocols)
		}
		entry := networkingv1.NetworkPolicyPort{Protocol: &protocol}
		if protocol == corev1.ProtocolTCP && d.chance(50) {
			entry.Protocol = nil
		}
		number := intstr.FromInt32(have.Port)
		switch {
		case have.Name != "" && d.chance(35):
			name := intstr.FromString(have.Name)
			entry.Port = &name
		case d.chance(15): // Every port of the protocol.
		case d.chance(20):
			low := intstr.FromInt32(max(1, have.Port-d.Int32N(3)))
			high := min(65535, low.IntVal+d.Int32N(4))
			entry.Port, entry.EndPort = &low, &high
		default:
			entry.Port = &number
		}
		out = append(out, entry)
	}
	return out
}

func (d *Draw) podLabels() []map[string]string {
	var out []map[string]string
	for _, p := range d.Network.Pods {
		out = append(out, p.Labels)
	}
	return out
}

func (d *Draw) namespaceLabels() []map[string]string {
	var out []map[string]string
	for _, ns := range d.Network.Namespaces {
		labels := map[string]string{corev1.LabelMetadataName: ns.Name}
		for k, v := range ns.Labels {
			labels[k] = v
		}
		out = append(out, labels)
	}
	return out
}

// selector draws a selector that something of what there is may meet.
func (d *Draw) selector(of []map[string]string) metav1.LabelSelector {
	var s metav1.LabelSelector
	if d.chance(25) {
		return s
	}
	type pair struct{ key, value string }
	var pairs []pair
	for _, labels := range of {
		for k, v := range labels {
			pairs = append(pairs, pair{k, v})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.value, b.value))
	})
	if len(pairs) == 0 {
		return s
	}
	for range 1 + d.IntN(2) {
		p := pick(d, pairs)
		switch d.IntN(8) {
		case 0:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: p.key, Operator: metav1.LabelSelectorOpIn, Values: []string{p.value, pick(d, pairs).value}})
		case 1:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: p.key, Operator: metav1.LabelSelectorOpNotIn, Values: []string{p.value}})
		case 2:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: p.key, Operator: metav1.LabelSelectorOpExists})
		case 3:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: p.key, Operator: metav1.LabelSelectorOpDoesNotExist})
		default:
			if s.MatchLabels == nil {
				s.MatchLabels = map[string]string{}
			}
			s.MatchLabels[p.key] = p.value
			if d.chance(4) {
				s.MatchLabels[p.key] = "" // Not the same as absent.
			}
		}
	}
	return s
}

// Network draws a network of a few namespaces and pods with addresses of both
// families, a host-network pod, Services and a host outside.
func Network(seed uint64) policy.Network {
	r := rand.New(rand.NewPCG(seed, 1))
	var n policy.Network
	keys := []string{"app", "tier", "env"}
	values := []string{"web", "api", "db", ""}
	labels := func() map[string]string {
		m := map[string]string{}
		for _, k := range keys {
			if r.IntN(2) == 0 {
				m[k] = values[r.IntN(len(values))]
			}
		}
		return m
	}
	nodes := []string{"one", "two"}
	for i, name := range nodes {
		n.Nodes = append(n.Nodes, policy.Node{Name: name, IPs: []netip.Addr{netip.AddrFrom4([4]byte{172, 18, 0, byte(2 + i)})}})
	}
	protocols := []corev1.Protocol{"", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	for i := range 2 + r.IntN(3) {
		ns := policy.Namespace{Name: fmt.Sprintf("n%d", i), Labels: labels()}
		n.Namespaces = append(n.Namespaces, ns)
		for j := range 1 + r.IntN(4) {
			p := policy.Pod{Namespace: ns.Name, Name: fmt.Sprintf("p%d", j), Labels: labels(), Node: nodes[r.IntN(len(nodes))]}
			v4 := netip.AddrFrom4([4]byte{10, 244, byte(i), byte(1 + j)})
			v6 := netip.AddrFrom16([16]byte{0xfd, 15: byte(1 + j), 13: byte(i)})
			p.IPs = [][]netip.Addr{{v4}, {v4, v6}, {v6, v4}, {v6}}[r.IntN(4)]
			if r.IntN(8) == 0 {
				p.HostNetwork = true
				p.IPs = n.Nodes[slices.Index(nodes, p.Node)].IPs
			}
			for k := range r.IntN(3) {
				p.Ports = append(p.Ports, policy.Port{Name: []string{"http", "dns", ""}[k], Port: 80 + r.Int32N(3), Protocol: protocols[r.IntN(len(protocols))]})
			}
			n.Pods = append(n.Pods, p)
			if len(p.Ports) > 0 && len(p.Labels) > 0 {
				n.Services = append(n.Services, policy.Service{
					Namespace: ns.Name, Name: p.Name, Selector: p.Labels, ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, byte(i), byte(1 + j)})},
					Ports: []policy.ServicePort{{Port: 8080, Protocol: p.Ports[0].Protocol, TargetPort: intstr.FromInt32(p.Ports[0].Port)}},
				})
			}
		}
	}
	n.Hosts = []policy.Host{{Name: "internet", IPs: []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, 10})}, Ports: []policy.Port{{Port: 443}}}}
	return n
}

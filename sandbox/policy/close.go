package policy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Closings are what may close a flow that is open: each is some policies, to be put in
// the place of those of the same names and beside the others. Which of them closes
// least besides, the caller finds out with an Evaluator of each. Policies are only
// written for the namespaces that in names. There is none where no policy can close the
// flow.
func (e *Evaluator) Closings(f Flow, in []string) [][]networkingv1.NetworkPolicy {
	if backends, ok := e.backends(f); ok {
		if len(backends) == 0 {
			return nil
		}
		f.To, f.Port = backends[0].pod, backends[0].port
	}
	f.From, f.To = e.OneFamily(f.From, f.To)
	f.Protocol = orTCP(f.Protocol)
	if e.own(f.From, f.To) {
		return nil
	}
	var out [][]networkingv1.NetworkPolicy
	for _, c := range []closing{{e, f, networkingv1.PolicyTypeIngress, f.To, f.From}, {e, f, networkingv1.PolicyTypeEgress, f.From, f.To}} {
		if c.self.pod == 0 || e.pods[c.self.pod-1].HostNetwork || !slices.Contains(in, c.pod().Namespace) {
			continue
		}
		if c.ingress() && e.fromNode(f.From, f.To) {
			continue
		}
		out = append(out, c.candidates()...)
	}
	return out
}

// closing closes a flow at one of its ends.
type closing struct {
	*Evaluator
	flow Flow
	kind networkingv1.PolicyType
	// self is the end, and peer the other one.
	self, peer Endpoint
}

func (c closing) ingress() bool    { return c.kind == networkingv1.PolicyTypeIngress }
func (c closing) pod() compiledPod { return c.pods[c.self.pod-1] }

func (c closing) candidates() [][]networkingv1.NetworkPolicy {
	direction := c.direction(c.kind, c.flow, true)
	if !direction.Allowed {
		return nil
	}
	if direction.Because == NotIsolated {
		return [][]networkingv1.NetworkPolicy{{c.isolating()}}
	}
	var changed, moved []networkingv1.NetworkPolicy
	apart := c.allow(c.self, c.name(), c.kind)
	for _, v := range direction.Policies {
		if !v.Admits {
			continue
		}
		p := c.policyOf(v.Policy)
		np := c.copyOf(p)
		var rules []int // That admit the flow.
		for i, r := range v.Rules {
			if r.Admits {
				rules = append(rules, i)
			}
		}
		c.without(&np, rules)
		changed = append(changed, np)

		// Or for this pod alone: the policy for the others, and its rules apart.
		others := c.copyOf(p)
		if !c.exclude(&others.Spec.PodSelector) {
			continue
		}
		moved = append(moved, others)
		apart.Spec.Ingress = append(apart.Spec.Ingress, np.Spec.Ingress...)
		apart.Spec.Egress = append(apart.Spec.Egress, np.Spec.Egress...)
		apart.Spec.PolicyTypes = union(apart.Spec.PolicyTypes, p.Isolates())
	}
	out := [][]networkingv1.NetworkPolicy{changed}
	if len(moved) == len(changed) {
		out = append(out, append(moved, apart))
	}
	return out
}

func union(a, b []networkingv1.PolicyType) []networkingv1.PolicyType {
	var out []networkingv1.PolicyType
	for _, t := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
		if slices.Contains(a, t) || slices.Contains(b, t) {
			out = append(out, t)
		}
	}
	return out
}

// copyOf is the policy as it would be written, with its directions said.
func (c closing) copyOf(p *Policy) networkingv1.NetworkPolicy {
	np := *p.DeepCopy()
	np.Spec.PolicyTypes = p.Isolates()
	return np
}

// name names the policy that closes the flow.
func (c closing) name() string {
	peer, self := shortName(c.Name(c.peer)), shortName(c.Name(c.self))
	if c.ingress() {
		return objectName("not-" + peer + "-to-" + self)
	}
	return objectName("not-" + self + "-to-" + peer)
}

// isolating is a policy that isolates the end and lets through all but the flow.
func (c closing) isolating() networkingv1.NetworkPolicy {
	np := c.allow(c.self, c.name(), c.kind)
	c.set(&np, c.allBut(Rule{}))
	return np
}

// without takes the flow out of the rules with the indexes.
func (c closing) without(np *networkingv1.NetworkPolicy, rules []int) {
	p := Policy{NetworkPolicy: *np}
	var out []Rule
	for i, r := range p.Rules(c.kind) {
		if !slices.Contains(rules, i) {
			out = append(out, r)
			continue
		}
		out = append(out, c.allBut(r)...)
	}
	c.set(np, out)
}

// set writes the rules of the direction.
func (c closing) set(np *networkingv1.NetworkPolicy, rules []Rule) {
	if c.ingress() {
		np.Spec.Ingress = nil
		for _, r := range rules {
			np.Spec.Ingress = append(np.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: r.Peers, Ports: r.Ports})
		}
		return
	}
	np.Spec.Egress = nil
	for _, r := range rules {
		np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: r.Peers, Ports: r.Ports})
	}
}

// allBut is what a rule admits, without the flow: everybody but the peer as before, and
// the peer on the other ports.
func (c closing) allBut(r Rule) []Rule {
	var out []Rule
	if others := c.otherPeers(r.Peers); len(others) > 0 {
		out = append(out, Rule{Peers: others, Ports: r.Ports})
	}
	peer, ok := c.Evaluator.peer(c.peer, c.self)
	if ports := c.otherPorts(r.Ports); ok && len(ports) > 0 {
		out = append(out, Rule{Peers: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports})
	}
	return out
}

// otherPorts are the ports of a rule without the flow's, of those that the pod that
// serves has.
func (c closing) otherPorts(ports []networkingv1.NetworkPolicyPort) []networkingv1.NetworkPolicyPort {
	serves := c.portsOf(c.flow.To.addr)
	if c.flow.To.pod != 0 {
		serves = c.pods[c.flow.To.pod-1].Ports
	}
	var out []networkingv1.NetworkPolicyPort
	for _, s := range serves {
		protocol := orTCP(s.Protocol)
		if s.Port == c.flow.Port && protocol == c.flow.Protocol {
			continue
		}
		if len(ports) > 0 && !slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
			r := NewPortRange(&p)
			return r.contains(c.Evaluator, c.flow.To.pod, s.Port, protocol)
		}) {
			continue
		}
		port := intstr.FromInt32(s.Port)
		out = append(out, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port})
	}
	return out
}

// otherPeers are a rule's peers without the flow's.
func (c closing) otherPeers(peers []networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer {
	if len(peers) == 0 {
		peers = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
		if outside, ok := c.outside(); ok {
			peers = append(peers, outside)
		}
	}
	var out []networkingv1.NetworkPolicyPeer
	for i := range peers {
		p := &peers[i]
		if c.peerMismatch(c.pod().Namespace, p, "", c.peer) != nil {
			out = append(out, *p)
			continue
		}
		if p.IPBlock != nil {
			out = append(out, c.blockBut(p.IPBlock)...)
			continue
		}
		out = append(out, c.podsBut(p)...)
	}
	return out
}

// outside is everything that is no pod, where that can be said: all addresses but a
// range that holds those of the pods and no known host.
func (c closing) outside() (networkingv1.NetworkPolicyPeer, bool) {
	var hull netip.Prefix
	for i := range c.pods {
		for _, a := range c.pods[i].IPs {
			if a = a.Unmap(); !a.Is4() || c.pods[i].HostNetwork {
				continue
			}
			if !hull.IsValid() {
				hull = netip.PrefixFrom(a, 24).Masked()
			}
			for !hull.Contains(a) {
				hull, _ = hull.Addr().Prefix(hull.Bits() - 1)
			}
		}
	}
	block := &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}
	if hull.IsValid() {
		for _, h := range c.network.Hosts {
			if slices.ContainsFunc(h.IPs, func(a netip.Addr) bool { return hull.Contains(a.Unmap()) }) {
				return networkingv1.NetworkPolicyPeer{}, false
			}
		}
		block.Except = []string{hull.String()}
	}
	return networkingv1.NetworkPolicyPeer{IPBlock: block}, true
}

// blockBut is a range without the peer's address.
func (c closing) blockBut(b *networkingv1.IPBlock) []networkingv1.NetworkPolicyPeer {
	if !c.peer.addr.IsValid() || parseCIDR(b.CIDR).IsSingleIP() {
		return nil
	}
	out := b.DeepCopy()
	out.Except = append(out.Except, netip.PrefixFrom(c.peer.addr, c.peer.addr.BitLen()).String())
	return []networkingv1.NetworkPolicyPeer{{IPBlock: out}}
}

// podsBut are the pods that the peer's entry takes, without those that carry the peer's
// labels.
func (c closing) podsBut(p *networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer {
	self := c.pods[c.peer.pod-1]
	var out []networkingv1.NetworkPolicyPeer
	// Those of other namespaces stay, where there are any.
	elsewhere := false
	for ns := range c.members {
		elsewhere = elsewhere || p.NamespaceSelector != nil && ns != self.Namespace && Matches(p.NamespaceSelector, c.namespaces[ns])
	}
	if elsewhere {
		other := *p.DeepCopy()
		narrow(other.NamespaceSelector, nameLabel, self.Namespace)
		out = append(out, other)
	}
	// Those of the same namespace with other labels stay.
	here := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	if p.PodSelector != nil {
		here.PodSelector = p.PodSelector.DeepCopy()
	}
	if self.Namespace != c.pod().Namespace {
		here.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{nameLabel: self.Namespace}}
	}
	for _, s := range c.complement(here.PodSelector, self) {
		entry := here
		entry.PodSelector = s
		out = append(out, entry)
	}
	return out
}

// complement are selectors that together take what the selector does, without the pods
// that carry the pod's labels; none where nothing would be left.
func (c closing) complement(s *metav1.LabelSelector, pod compiledPod) []*metav1.LabelSelector {
	var rest []map[string]string
	for _, i := range c.members[pod.Namespace] {
		if o := c.pods[i]; Matches(s, o.Labels) && !maps.Equal(o.Labels, pod.Labels) {
			rest = append(rest, o.Labels)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	only := c.only(pod)
	var out []*metav1.LabelSelector
	for _, key := range slices.SortedFunc(maps.Keys(only.MatchLabels), strings.Compare) {
		next := s.DeepCopy()
		narrow(next, key, only.MatchLabels[key])
		out = append(out, next)
	}
	for _, r := range only.MatchExpressions { // Only keys that do not exist.
		next := s.DeepCopy()
		next.MatchExpressions = append(next.MatchExpressions, metav1.LabelSelectorRequirement{Key: r.Key, Operator: metav1.LabelSelectorOpExists})
		out = append(out, next)
	}
	return slices.DeleteFunc(out, func(s *metav1.LabelSelector) bool {
		return !slices.ContainsFunc(rest, func(labels map[string]string) bool { return Matches(s, labels) })
	})
}

// exclude leaves the end out of a policy's podSelector; false where nothing else would
// be left, or no label does it.
func (c closing) exclude(s *metav1.LabelSelector) bool {
	rest := c.complement(s, c.pod())
	if len(rest) != 1 {
		return false
	}
	*s = *rest[0]
	return true
}

// narrow asks for another value of a label, or none.
func narrow(s *metav1.LabelSelector, key, value string) {
	for i := range s.MatchExpressions {
		if r := &s.MatchExpressions[i]; r.Key == key && r.Operator == metav1.LabelSelectorOpNotIn {
			r.Values = append(r.Values, value)
			return
		}
	}
	s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpNotIn, Values: []string{value}})
}

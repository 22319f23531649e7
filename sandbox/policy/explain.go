package policy

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Decision is the answer to one Flow with its reasons: the connection is made
// where both directions allow it.
type Decision struct {
	// From and To name the two ends: "namespace/pod", or an address.
	From string `json:"from"`
	To   string `json:"to"`
	// Port is the destination's own port, also where the flow was to a Service.
	Port     int32           `json:"port"`
	Protocol corev1.Protocol `json:"protocol"`
	// Service is the Service that the flow was sent through, "namespace/name".
	Service string    `json:"service,omitempty"`
	Allowed bool      `json:"allowed"`
	Egress  Direction `json:"egress"`
	Ingress Direction `json:"ingress"`
}

// Direction is what the policies say of a flow at one of its ends: of the source's
// egress, or of the destination's ingress.
type Direction struct {
	Type    networkingv1.PolicyType `json:"-"`
	Allowed bool                    `json:"allowed"`
	// Because says in one word why.
	Because Because `json:"because"`
	// Policies are all the policies that isolate this end in this direction,
	// sorted; those that do not select it have no say.
	Policies []PolicyVerdict `json:"policies,omitempty"`
}

// Because is why a direction allows a flow, or does not.
type Because string

// The reasons. A policy never denies: an isolated pod is left with what the
// policies that isolate it admit.
const (
	Admitted    Because = "admitted"     // Isolated, and a rule admits the flow.
	NotAdmitted Because = "not-admitted" // Isolated, and no rule admits the flow.
	NotIsolated Because = "not-isolated" // No policy selects the pod for this direction.
	NoPod       Because = "no-pod"       // This end is outside, or a node: no policy selects it.
	HostNetwork Because = "host-network" // The pod shares its node's network: no policy selects it.
	OwnTraffic  Because = "own-traffic"  // A pod always reaches itself.
	OwnNode     Because = "own-node"     // A pod's own node always reaches it.
	NoBackend   Because = "no-backend"   // The Service leads to no pod.
)

// PolicyVerdict is what one policy says of a flow in one direction.
type PolicyVerdict struct {
	Policy   Ref      `json:"policy"`
	Position Position `json:"position,omitzero"`
	Admits   bool     `json:"admits"`
	// Rules are all rules for the direction, in the policy's order; none means that
	// the policy only isolates.
	Rules []RuleVerdict `json:"rules,omitempty"`
}

// RuleVerdict is what one rule says of a flow: it admits it, or the first reason
// why not.
type RuleVerdict struct {
	// Field is the rule's path, "spec.ingress[0]".
	Field    string   `json:"field"`
	Position Position `json:"position,omitzero"`
	Admits   bool     `json:"admits"`
	// Peer is the index of the first peer that matches; -1 where the rule takes
	// any peer, or none matches.
	Peer int `json:"peer"`
	// Mismatches are why it does not: one for each peer where no peer matches,
	// or one for each port where the peer does and the port does not.
	Mismatches []Mismatch `json:"mismatches,omitempty"`
}

// Mismatch is why a peer or a port of a rule does not match.
type Mismatch struct {
	Kind MismatchKind `json:"kind"`
	// Field is the path of what does not match, as deep as it is known:
	// "spec.ingress[0].from[0].podSelector.matchLabels[app]".
	Field    string   `json:"field"`
	Position Position `json:"position,omitzero"`
	// Want is what the policy asks for and Got what the flow has: "app=web" and
	// "app=shell", "8080/TCP" and "9090/TCP". Got is empty where there is nothing,
	// such as no label of that key.
	Want string `json:"want"`
	Got  string `json:"got,omitempty"`
}

// MismatchKind is what does not match.
type MismatchKind string

// The kinds of mismatch, in the order in which a peer and its port are looked at.
const (
	// MismatchNamespace: the selector is for pods of the policy's own namespace,
	// and the peer is in another.
	MismatchNamespace MismatchKind = "namespace"
	// MismatchNamespaceLabel: the peer's namespace lacks a label.
	MismatchNamespaceLabel MismatchKind = "namespace-label"
	// MismatchPodLabel: the peer lacks a label.
	MismatchPodLabel MismatchKind = "pod-label"
	// MismatchNoPod: a selector selects only pods with a network of their own.
	MismatchNoPod MismatchKind = "no-pod"
	// MismatchAddress: the peer's address is not in the block.
	MismatchAddress MismatchKind = "address"
	// MismatchExcept: the peer's address is in the block, but in an exception, too.
	MismatchExcept MismatchKind = "except"
	// MismatchProtocol: the rule is for another protocol.
	MismatchProtocol MismatchKind = "protocol"
	// MismatchPort: the rule is for another port.
	MismatchPort MismatchKind = "port"
	// MismatchPortName: the destination has no port of that name, or another one.
	MismatchPortName MismatchKind = "port-name"
)

// Explain answers a flow as [Evaluator.Allowed] does and says why. Of the pods
// behind a Service it speaks of the first that is not allowed, or else of the first.
func (e *Evaluator) Explain(f Flow) Decision { return e.decide(f, true) }

// Decide is Explain without the rules of each policy, and much faster where there are
// many.
func (e *Evaluator) Decide(f Flow) Decision { return e.decide(f, false) }

func (e *Evaluator) decide(f Flow, rules bool) Decision {
	if backends, ok := e.backends(f); ok {
		return e.decideService(f, backends, rules)
	}
	return e.decidePod(f, rules)
}

func (e *Evaluator) decideService(f Flow, backends []backend, rules bool) Decision {
	var first Decision
	for i, b := range backends {
		d := e.decidePod(Flow{From: f.From, To: b.pod, Port: b.port, Protocol: f.Protocol}, rules)
		if i == 0 || first.Allowed && !d.Allowed {
			first = d
		}
	}
	if len(backends) == 0 {
		first = e.named(f)
		first.Egress = Direction{Type: networkingv1.PolicyTypeEgress, Because: NoBackend}
		first.Ingress = Direction{Type: networkingv1.PolicyTypeIngress, Because: NoBackend}
	}
	first.Service = e.serviceName(f.To.addr)
	return first
}

func (e *Evaluator) serviceName(a netip.Addr) string {
	for _, s := range e.network.Services {
		for _, ip := range s.ClusterIPs {
			if ip.Unmap() == a {
				return s.Namespace + "/" + s.Name
			}
		}
	}
	return ""
}

func (e *Evaluator) decidePod(f Flow, rules bool) Decision {
	f.From, f.To = e.OneFamily(f.From, f.To)
	d := e.named(f)
	d.Egress = e.direction(networkingv1.PolicyTypeEgress, f, rules)
	d.Ingress = e.direction(networkingv1.PolicyTypeIngress, f, rules)
	d.Allowed = d.Egress.Allowed && d.Ingress.Allowed
	return d
}

func (e *Evaluator) named(f Flow) Decision {
	return Decision{From: e.Name(f.From), To: e.Name(f.To), Port: f.Port, Protocol: orTCP(f.Protocol)}
}

// Name names an endpoint: "namespace/pod", the name of a host of the network, or
// the address.
func (e *Evaluator) Name(p Endpoint) string {
	if p.pod != 0 {
		return e.pods[p.pod-1].Namespace + "/" + e.pods[p.pod-1].Name
	}
	for _, h := range e.network.Hosts {
		for _, a := range h.IPs {
			if a.Unmap() == p.addr {
				return h.Name
			}
		}
	}
	return p.addr.String()
}

// direction explains one end. It goes by the policies' own text, where Allowed
// goes by what was compiled; that the two agree is a property under test.
func (e *Evaluator) direction(kind networkingv1.PolicyType, f Flow, rules bool) Direction {
	d := Direction{Type: kind, Allowed: true}
	self, peer := f.From, f.To
	if kind == networkingv1.PolicyTypeIngress {
		self, peer = f.To, f.From
	}
	switch {
	case e.own(f.From, f.To):
		d.Because = OwnTraffic
		return d
	case self.pod == 0:
		d.Because = NoPod
		return d
	case e.pods[self.pod-1].HostNetwork:
		d.Because = HostNetwork
		return d
	}
	pod := e.pods[self.pod-1]
	admitted := false
	for i := range e.policies {
		p := &e.policies[i]
		ingress, egress := directions(&p.Spec)
		if p.Namespace != pod.Namespace || !Matches(&p.Spec.PodSelector, pod.Labels) ||
			kind == networkingv1.PolicyTypeIngress && !ingress || kind == networkingv1.PolicyTypeEgress && !egress {
			continue
		}
		v := PolicyVerdict{Policy: p.Ref(), Position: p.Position("metadata.name")}
		if !rules {
			v.Admits = e.policyAdmits(p, kind, peer, f)
			admitted = admitted || v.Admits
			d.Policies = append(d.Policies, v)
			continue
		}
		for _, r := range p.Rules(kind) {
			rv := e.explainRule(p, r, peer, f)
			v.Admits = v.Admits || rv.Admits
			v.Rules = append(v.Rules, rv)
		}
		admitted = admitted || v.Admits
		d.Policies = append(d.Policies, v)
	}
	switch {
	case len(d.Policies) == 0:
		d.Because = NotIsolated
	case admitted:
		d.Because = Admitted
	case kind == networkingv1.PolicyTypeIngress && e.fromNode(f.From, f.To):
		d.Because = OwnNode
	default:
		d.Because, d.Allowed = NotAdmitted, false
	}
	return d
}

// Rule is a rule of either direction, with its paths.
type Rule struct {
	Field     string // "spec.ingress[0]"
	PeerField string // "spec.ingress[0].from"
	Peers     []networkingv1.NetworkPolicyPeer
	Ports     []networkingv1.NetworkPolicyPort
}

// Rules are the policy's rules for the direction, whether it isolates in it or not.
func (p *Policy) Rules(direction networkingv1.PolicyType) []Rule {
	var out []Rule
	if direction == networkingv1.PolicyTypeIngress {
		for i, r := range p.Spec.Ingress {
			field := fmt.Sprintf("spec.ingress[%d]", i)
			out = append(out, Rule{field, field + ".from", r.From, r.Ports})
		}
		return out
	}
	for i, r := range p.Spec.Egress {
		field := fmt.Sprintf("spec.egress[%d]", i)
		out = append(out, Rule{field, field + ".to", r.To, r.Ports})
	}
	return out
}

// policyAdmits reports whether any rule of the policy allows the flow.
func (e *Evaluator) policyAdmits(p *Policy, kind networkingv1.PolicyType, peer Endpoint, f Flow) bool {
	allows := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) bool {
		fits := len(ports) == 0
		for i := 0; i < len(ports) && !fits; i++ {
			r := NewPortRange(&ports[i])
			fits = r.contains(e, f.To.pod, f.Port, orTCP(f.Protocol))
		}
		if !fits || len(peers) == 0 {
			return fits
		}
		for i := range peers {
			if e.peerMismatch(p.Namespace, &peers[i], "", peer) == nil {
				return true
			}
		}
		return false
	}
	if kind == networkingv1.PolicyTypeIngress {
		return slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool { return allows(r.From, r.Ports) })
	}
	return slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { return allows(r.To, r.Ports) })
}

func (e *Evaluator) explainRule(p *Policy, r Rule, peer Endpoint, f Flow) RuleVerdict {
	v := RuleVerdict{Field: r.Field, Position: p.Position(r.Field), Peer: -1}
	if len(r.Peers) > 0 {
		for i := range r.Peers {
			m := e.peerMismatch(p.Namespace, &r.Peers[i], fmt.Sprintf("%s[%d]", r.PeerField, i), peer)
			if m == nil {
				v.Peer, v.Mismatches = i, nil
				break
			}
			m.Position = p.Position(m.Field)
			v.Mismatches = append(v.Mismatches, *m)
		}
		if v.Peer < 0 {
			return v
		}
	}
	for i := range r.Ports {
		m := e.portMismatch(&r.Ports[i], fmt.Sprintf("%s.ports[%d]", r.Field, i), f)
		if m == nil {
			v.Admits, v.Mismatches = true, nil
			return v
		}
		m.Position = p.Position(m.Field)
		v.Mismatches = append(v.Mismatches, *m)
	}
	v.Admits = len(r.Ports) == 0
	return v
}

// peerMismatch says why the peer is not what the rule asks for; nil where it is.
func (e *Evaluator) peerMismatch(namespace string, want *networkingv1.NetworkPolicyPeer, field string, peer Endpoint) *Mismatch {
	if want.IPBlock != nil {
		return blockMismatch(want.IPBlock, field+".ipBlock", peer.addr)
	}
	switch {
	case peer.pod == 0:
		return &Mismatch{Kind: MismatchNoPod, Field: field, Want: "pods"}
	case e.pods[peer.pod-1].HostNetwork:
		return &Mismatch{Kind: MismatchNoPod, Field: field, Want: "pods", Got: "host network"}
	}
	pod := e.pods[peer.pod-1]
	switch {
	case want.NamespaceSelector == nil && pod.Namespace != namespace:
		return &Mismatch{Kind: MismatchNamespace, Field: field, Want: namespace, Got: pod.Namespace}
	case want.NamespaceSelector != nil:
		if m := selectorMismatch(want.NamespaceSelector, field+".namespaceSelector", e.namespaces[pod.Namespace]); m != nil {
			m.Kind = MismatchNamespaceLabel
			return m
		}
	}
	if want.PodSelector != nil {
		if m := selectorMismatch(want.PodSelector, field+".podSelector", pod.Labels); m != nil {
			m.Kind = MismatchPodLabel
			return m
		}
	}
	return nil
}

func blockMismatch(want *networkingv1.IPBlock, field string, addr netip.Addr) *Mismatch {
	got := ""
	if addr.IsValid() {
		got = addr.String()
	}
	if !parseCIDR(want.CIDR).Contains(addr) {
		return &Mismatch{Kind: MismatchAddress, Field: field + ".cidr", Want: want.CIDR, Got: got}
	}
	for i, x := range want.Except {
		if parseCIDR(x).Contains(addr) {
			return &Mismatch{Kind: MismatchExcept, Field: fmt.Sprintf("%s.except[%d]", field, i), Want: "not " + x, Got: got}
		}
	}
	return nil
}

// portMismatch says why the flow's port is not the one that the rule asks for; nil
// where it is.
func (e *Evaluator) portMismatch(want *networkingv1.NetworkPolicyPort, field string, f Flow) *Mismatch {
	r := NewPortRange(want)
	protocol := orTCP(f.Protocol)
	if r.contains(e, f.To.pod, f.Port, protocol) {
		return nil
	}
	got := fmt.Sprintf("%d/%s", f.Port, protocol)
	switch {
	case r.Protocol != protocol:
		if want.Protocol != nil { // Else it is not written there.
			field += ".protocol"
		}
		return &Mismatch{Kind: MismatchProtocol, Field: field, Want: r.String(), Got: got}
	case r.Name != "":
		return &Mismatch{Kind: MismatchPortName, Field: field + ".port", Want: r.String(), Got: e.namedPort(f.To, r)}
	}
	return &Mismatch{Kind: MismatchPort, Field: field + ".port", Want: r.String(), Got: got}
}

// namedPort is the port that a name means at the destination; "" for none.
func (e *Evaluator) namedPort(to Endpoint, r PortRange) string {
	if to.pod == 0 || e.pods[to.pod-1].HostNetwork {
		return ""
	}
	if n := e.pods[to.pod-1].PortNumber(intstr.FromString(r.Name), r.Protocol); n != 0 {
		return fmt.Sprintf("%d/%s", n, r.Protocol)
	}
	return ""
}

// String is the range as it is spoken of: "8080/TCP", "8000-8100/TCP", "http/TCP",
// "any port/UDP".
func (r PortRange) String() string {
	port := r.Name
	switch {
	case port != "":
	case r.Low == 1 && r.High == 65535:
		port = "any port"
	case r.Low == r.High:
		port = fmt.Sprint(r.Low)
	default:
		port = fmt.Sprintf("%d-%d", r.Low, r.High)
	}
	return port + "/" + string(r.Protocol)
}

package policy

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// nameLabel is on every namespace; the API server puts it there.
const nameLabel = corev1.LabelMetadataName

// Evaluator answers what a set of policies allows in a Network. It is compiled
// once and then only read, so it may be asked from many goroutines at a time.
type Evaluator struct {
	network    Network
	policies   []Policy // Sorted by namespace and name.
	namespaces map[string]map[string]string
	pods       []compiledPod
	byName     map[Ref]int32 // One more than the index.
	byAddr     map[netip.Addr]int32
	nodes      map[netip.Addr]string
	services   map[servicePort][]backend
	members    map[string][]int32 // The pods of each namespace that have a network of their own.
}

type compiledPod struct {
	*Pod
	ingress, egress *program
}

// program is all that the policies say of a pod in one direction; nil where none
// isolates it. Pods that the same policies select have the same one. Of rules with
// the same ports it has one, so that a flow takes no longer for many policies of a
// kind.
type program struct {
	rules []*rule
}

// rule is a rule of a policy, its peers looked up in the network, or several with
// the same ports.
type rule struct {
	Peers
	anyPort bool
	ports   []PortRange
}

// Peers are those that a rule's from or to takes, looked up in a network;
// [Evaluator.Peers] makes them.
type Peers struct {
	// Any says that the rule takes whoever there is.
	Any bool
	// Blocks are the ranges of addresses.
	Blocks []Block
	pods   bitset
}

// Block is an ipBlock.
type Block struct {
	CIDR   netip.Prefix
	Except []netip.Prefix
}

// PortRange is an entry of a rule's ports: a range, both ends of which are in it, or
// a name.
type PortRange struct {
	Protocol  corev1.Protocol
	Low, High int32
	Name      string
}

type servicePort struct {
	addr     netip.Addr
	port     int32
	protocol corev1.Protocol
}

type backend struct {
	pod  Endpoint
	port int32
}

// bitset has a bit for every pod of the network.
type bitset []uint64

func (b bitset) set(i int32) { b[i>>6] |= 1 << (i & 63) }

func (b bitset) has(i int32) bool {
	return int(i>>6) < len(b) && b[i>>6]&(1<<(i&63)) != 0
}

// Compile prepares the policies' answers for the network. The policies must be
// valid (see [Validate]); they are not changed, and what the API server would
// fill in need not be there. The order of the policies means nothing.
//
// The error is a *[DuplicateError] where two pods, or two policies, have one name.
func Compile(network Network, policies []Policy) (*Evaluator, error) {
	e := &Evaluator{
		network:    network,
		policies:   slices.Clone(policies),
		namespaces: make(map[string]map[string]string, len(network.Namespaces)),
		pods:       make([]compiledPod, len(network.Pods)),
		byName:     make(map[Ref]int32, len(network.Pods)),
		byAddr:     make(map[netip.Addr]int32, len(network.Pods)),
		nodes:      make(map[netip.Addr]string, len(network.Nodes)),
		services:   make(map[servicePort][]backend),
	}
	slices.SortStableFunc(e.policies, func(a, b Policy) int { return a.Ref().Compare(b.Ref()) })
	for i := 1; i < len(e.policies); i++ {
		if a, b := e.policies[i-1].Ref(), e.policies[i].Ref(); a == b {
			return nil, &DuplicateError{"policies", a.String()}
		}
	}
	for _, ns := range network.Namespaces {
		if _, ok := e.namespaces[ns.Name]; ok {
			return nil, &DuplicateError{"namespaces", ns.Name}
		}
		e.namespaces[ns.Name] = namespaceLabels(ns)
	}
	e.members = map[string][]int32{}
	for i := range network.Pods {
		p := &network.Pods[i]
		e.pods[i].Pod = p
		name := Ref{p.Namespace, p.Name}
		if _, ok := e.byName[name]; ok {
			return nil, &DuplicateError{"pods", name.String()}
		}
		e.byName[name] = int32(i) + 1
		if _, ok := e.namespaces[p.Namespace]; !ok {
			e.namespaces[p.Namespace] = namespaceLabels(Namespace{Name: p.Namespace})
		}
		if p.HostNetwork {
			for _, a := range p.IPs {
				e.nodes[a.Unmap()] = p.Node
			}
			continue
		}
		e.members[p.Namespace] = append(e.members[p.Namespace], int32(i))
		for _, a := range p.IPs {
			e.byAddr[a.Unmap()] = int32(i) + 1
		}
	}
	for _, n := range network.Nodes {
		for _, a := range n.IPs {
			e.nodes[a.Unmap()] = n.Name
		}
	}
	for i := range e.policies {
		e.compile(&e.policies[i])
	}
	for i := range network.Services {
		e.serve(&network.Services[i])
	}
	return e, nil
}

func namespaceLabels(ns Namespace) map[string]string {
	if ns.Labels[nameLabel] == ns.Name {
		return ns.Labels
	}
	labels := make(map[string]string, len(ns.Labels)+1)
	for k, v := range ns.Labels {
		labels[k] = v
	}
	labels[nameLabel] = ns.Name
	return labels
}

// Ref is the policy's name.
func (p *Policy) Ref() Ref { return Ref{p.Namespace, p.Name} }

// Isolates are the directions for which the policy isolates the pods that it selects.
func (p *Policy) Isolates() []networkingv1.PolicyType {
	var out []networkingv1.PolicyType
	ingress, egress := directions(&p.Spec)
	if ingress {
		out = append(out, networkingv1.PolicyTypeIngress)
	}
	if egress {
		out = append(out, networkingv1.PolicyTypeEgress)
	}
	return out
}

// directions says for which directions a policy isolates the pods it selects.
// "If no policyTypes are specified on a NetworkPolicy then by default Ingress
// will always be set and Egress will be set if the NetworkPolicy has any egress
// rules."
func directions(spec *networkingv1.NetworkPolicySpec) (ingress, egress bool) {
	if len(spec.PolicyTypes) == 0 {
		return true, len(spec.Egress) > 0
	}
	return slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress), slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
}

func (e *Evaluator) compile(p *Policy) {
	var selected []int32
	for _, i := range e.members[p.Namespace] {
		if Matches(&p.Spec.PodSelector, e.pods[i].Labels) {
			selected = append(selected, i)
		}
	}
	if len(selected) == 0 {
		return
	}
	ingress, egress := directions(&p.Spec)
	if ingress {
		rules := make([]*rule, len(p.Spec.Ingress))
		for i := range p.Spec.Ingress {
			rules[i] = e.rule(p.Namespace, p.Spec.Ingress[i].From, p.Spec.Ingress[i].Ports)
		}
		with := adder(rules)
		for _, i := range selected {
			e.pods[i].ingress = with(e.pods[i].ingress)
		}
	}
	if egress {
		rules := make([]*rule, len(p.Spec.Egress))
		for i := range p.Spec.Egress {
			rules[i] = e.rule(p.Namespace, p.Spec.Egress[i].To, p.Spec.Egress[i].Ports)
		}
		with := adder(rules)
		for _, i := range selected {
			e.pods[i].egress = with(e.pods[i].egress)
		}
	}
}

// adder adds one policy's rules to programs, and to the same one once.
func adder(rules []*rule) func(*program) *program {
	added := map[*program]*program{}
	return func(p *program) *program {
		if added[p] == nil {
			added[p] = p.with(rules)
		}
		return added[p]
	}
}

func (p *program) with(rules []*rule) *program {
	out := &program{}
	if p != nil {
		out.rules = slices.Clone(p.rules)
	}
	for _, r := range rules {
		i := slices.IndexFunc(out.rules, func(have *rule) bool { return slices.Equal(have.ports, r.ports) })
		if i < 0 {
			out.rules = append(out.rules, r)
		} else {
			out.rules[i] = out.rules[i].or(r)
		}
	}
	return out
}

// or admits what either of two rules with the same ports does.
func (r *rule) or(other *rule) *rule {
	out := &rule{
		Peers:   Peers{Any: r.Any || other.Any, Blocks: slices.Concat(r.Blocks, other.Blocks)},
		anyPort: r.anyPort, ports: r.ports,
	}
	if out.pods = slices.Clone(r.pods); out.pods == nil {
		out.pods = other.pods
	} else if other.pods != nil {
		for i, word := range other.pods {
			out.pods[i] |= word
		}
	}
	return out
}

// rule looks up a rule's peers. "If this field is empty or missing, this rule
// matches all sources (traffic not restricted by source)", and the same of ports.
func (e *Evaluator) rule(namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) *rule {
	r := &rule{Peers: e.Peers(namespace, peers), anyPort: len(ports) == 0}
	for i := range ports {
		r.ports = append(r.ports, NewPortRange(&ports[i]))
	}
	return r
}

// Peers looks up whom the entries of from or to take, in a policy of the namespace.
func (e *Evaluator) Peers(namespace string, peers []networkingv1.NetworkPolicyPeer) Peers {
	r := Peers{Any: len(peers) == 0}
	for i := range peers {
		peer := &peers[i]
		if peer.IPBlock != nil {
			r.Blocks = append(r.Blocks, NewBlock(peer.IPBlock))
			continue
		}
		if r.pods == nil {
			r.pods = make(bitset, (len(e.pods)+63)/64)
		}
		pick := func(ns string) {
			if peer.PodSelector == nil || SelectsAll(peer.PodSelector) {
				for _, i := range e.members[ns] {
					r.pods.set(i)
				}
				return
			}
			for _, i := range e.members[ns] {
				if Matches(peer.PodSelector, e.pods[i].Labels) {
					r.pods.set(i)
				}
			}
		}
		// "If NamespaceSelector is also set, then the NetworkPolicyPeer as a whole
		// selects the pods matching PodSelector in the namespaces selected by
		// NamespaceSelector. Otherwise it selects the pods matching PodSelector in
		// the policy's own namespace."
		if peer.NamespaceSelector == nil {
			pick(namespace)
			continue
		}
		for ns := range e.members {
			if Matches(peer.NamespaceSelector, e.namespaces[ns]) {
				pick(ns)
			}
		}
	}
	return r
}

// HasPod reports whether the selectors among the peers match the pod, by its index in
// the network.
func (p *Peers) HasPod(i int) bool { return p.pods.has(int32(i)) }

// NewBlock reads an ipBlock, which must be valid.
func NewBlock(b *networkingv1.IPBlock) Block {
	out := Block{CIDR: parseCIDR(b.CIDR)}
	for _, x := range b.Except {
		out.Except = append(out.Except, parseCIDR(x))
	}
	return out
}

// parseCIDR returns a prefix that contains nothing where the text is none; no
// valid policy has such.
func parseCIDR(s string) netip.Prefix {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

// NewPortRange applies the defaults. "If this field is not provided, this matches
// all port names and numbers."
func NewPortRange(p *networkingv1.NetworkPolicyPort) PortRange {
	r := PortRange{Protocol: corev1.ProtocolTCP, Low: 1, High: 65535}
	if p.Protocol != nil {
		r.Protocol = orTCP(*p.Protocol)
	}
	switch {
	case p.Port == nil:
	case p.Port.Type == intstr.String:
		r.Name = p.Port.StrVal
	case p.EndPort != nil:
		r.Low, r.High = p.Port.IntVal, *p.EndPort
	default:
		r.Low, r.High = p.Port.IntVal, p.Port.IntVal
	}
	return r
}

func (e *Evaluator) serve(s *Service) {
	if len(s.ClusterIPs) == 0 {
		return
	}
	var pods []int32
	if len(s.Selector) > 0 {
		for i := range e.pods {
			if p := &e.pods[i]; p.Namespace == s.Namespace && hasAll(p.Labels, s.Selector) {
				pods = append(pods, int32(i))
			}
		}
	}
	for _, sp := range s.Ports {
		protocol := orTCP(sp.Protocol)
		target := sp.TargetPort
		if target == (intstr.IntOrString{}) {
			target = intstr.FromInt32(sp.Port)
		}
		for _, a := range s.ClusterIPs {
			a = a.Unmap()
			var backends []backend
			for _, i := range pods {
				port := e.pods[i].PortNumber(target, protocol)
				if port == 0 {
					continue
				}
				// An address of a Service leads to addresses of its own family.
				pod := e.endpoint(i)
				if like, ok := e.addrLike(pod, a); ok {
					pod.addr = like
				} else if pod.addr.IsValid() {
					continue
				}
				backends = append(backends, backend{pod, port})
			}
			e.services[servicePort{a, sp.Port, protocol}] = backends
		}
	}
}

func hasAll(labels, want map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

func (e *Evaluator) endpoint(i int32) Endpoint {
	out := Endpoint{pod: i + 1}
	if ips := e.pods[i].IPs; len(ips) > 0 {
		out.addr = ips[0].Unmap()
	}
	return out
}

// Policies are those that were compiled, sorted by namespace and name. They must not
// be changed.
func (e *Evaluator) Policies() []Policy { return e.policies }

// Namespaces are the labels of each namespace by its name, with the label that is
// always its name. They must not be changed.
func (e *Evaluator) Namespaces() map[string]map[string]string { return e.namespaces }

// Endpoints are the pod with each of its addresses, one where it has none; by its
// index in the network.
func (e *Evaluator) Endpoints(pod int) []Endpoint {
	out := []Endpoint{e.endpoint(int32(pod))}
	for i, a := range e.pods[pod].IPs {
		if i > 0 {
			out = append(out, Endpoint{pod: int32(pod) + 1, addr: a.Unmap()})
		}
	}
	return out
}

// Pod is the pod's endpoint, with the first of its addresses.
func (e *Evaluator) Pod(namespace, name string) (Endpoint, bool) {
	i, ok := e.byName[Ref{namespace, name}]
	if !ok {
		return Endpoint{}, false
	}
	return e.endpoint(i - 1), true
}

// Address is the endpoint that has the address: a pod where it is a pod's own,
// and otherwise a node, a Service, or a host outside.
func (e *Evaluator) Address(addr netip.Addr) Endpoint {
	addr = addr.Unmap()
	return Endpoint{pod: e.byAddr[addr], addr: addr}
}

// Backends are the flows that a flow to a Service's address becomes, one for each
// pod behind it; none where the Service leads to no pod. ok is false where the
// destination is no Service's port, and the flow stays what it is.
func (e *Evaluator) Backends(f Flow) (flows []Flow, ok bool) {
	backends, ok := e.backends(f)
	for _, b := range backends {
		flows = append(flows, Flow{From: f.From, To: b.pod, Port: b.port, Protocol: f.Protocol})
	}
	return flows, ok
}

func (e *Evaluator) backends(f Flow) ([]backend, bool) {
	if f.To.pod != 0 || len(e.services) == 0 {
		return nil, false
	}
	b, ok := e.services[servicePort{f.To.addr, f.Port, orTCP(f.Protocol)}]
	return b, ok
}

// Allowed reports whether the policies let the connection be made: the source's
// egress and the destination's ingress must both allow it, and replies follow the
// connection. Whether anybody listens is another question. A Service's address is
// exchanged for its pods' first; then every one of them must be allowed, and there
// must be one. Allowed allocates no memory.
func (e *Evaluator) Allowed(f Flow) bool {
	if backends, ok := e.backends(f); ok {
		for _, b := range backends {
			if !e.direct(f.From, b.pod, b.port, orTCP(f.Protocol)) {
				return false
			}
		}
		return len(backends) > 0
	}
	return e.direct(f.From, f.To, f.Port, orTCP(f.Protocol))
}

// direct is Allowed for a destination that is no Service.
func (e *Evaluator) direct(from, to Endpoint, port int32, protocol corev1.Protocol) bool {
	if e.own(from, to) {
		return true
	}
	from, to = e.OneFamily(from, to)
	if from.pod != 0 {
		if p := e.pods[from.pod-1].egress; p != nil && !e.admits(p, to, to.pod, port, protocol) {
			return false
		}
	}
	if to.pod != 0 {
		if p := e.pods[to.pod-1].ingress; p != nil && !e.admits(p, from, to.pod, port, protocol) && !e.fromNode(from, to) {
			return false
		}
	}
	return true
}

// OneFamily gives both ends addresses of one family, as those of a connection are:
// a pod has, of its addresses, one of the family of the other end's, of the
// destination's first.
func (e *Evaluator) OneFamily(from, to Endpoint) (Endpoint, Endpoint) {
	if from.addr.BitLen() == to.addr.BitLen() {
		return from, to
	}
	if a, ok := e.addrLike(from, to.addr); ok {
		from.addr = a
	} else if a, ok := e.addrLike(to, from.addr); ok {
		to.addr = a
	}
	return from, to
}

// addrLike is the pod's address of the other address's family.
func (e *Evaluator) addrLike(p Endpoint, other netip.Addr) (netip.Addr, bool) {
	if p.pod != 0 {
		for _, a := range e.pods[p.pod-1].IPs {
			if a = a.Unmap(); a.BitLen() == other.BitLen() {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

// own reports that a pod speaks to itself, which no policy can forbid: the traffic
// does not leave it.
func (e *Evaluator) own(from, to Endpoint) bool { return from.pod != 0 && from.pod == to.pod }

// fromNode reports that the source is the destination's own node. "Traffic is
// allowed to a pod [...] if the traffic source is the pod's local node".
func (e *Evaluator) fromNode(from, to Endpoint) bool {
	if from.pod != 0 {
		p := e.pods[from.pod-1]
		return p.HostNetwork && p.Node == e.pods[to.pod-1].Node
	}
	node, ok := e.nodes[from.addr]
	return ok && node == e.pods[to.pod-1].Node
}

// admits reports whether one of the program's rules admits the peer. server is the
// pod, if any, that the connection leads to.
func (e *Evaluator) admits(p *program, peer Endpoint, server, port int32, protocol corev1.Protocol) bool {
	for _, r := range p.rules {
		if (r.Any || r.Has(peer)) && (r.anyPort || r.hasPort(e, server, port, protocol)) {
			return true
		}
	}
	return false
}

// Has reports whether the peer is among them by name, by a selector or an address;
// Any aside.
func (r *Peers) Has(peer Endpoint) bool {
	if peer.pod != 0 && r.pods.has(peer.pod-1) {
		return true
	}
	for i := range r.Blocks {
		if r.Blocks[i].Contains(peer.addr) {
			return true
		}
	}
	return false
}

// Contains reports whether the address is in the block and in no exception.
func (b *Block) Contains(a netip.Addr) bool {
	if !b.CIDR.Contains(a) {
		return false
	}
	for _, x := range b.Except {
		if x.Contains(a) {
			return false
		}
	}
	return true
}

func (r *rule) hasPort(e *Evaluator, server, port int32, protocol corev1.Protocol) bool {
	for i := range r.ports {
		if r.ports[i].contains(e, server, port, protocol) {
			return true
		}
	}
	return false
}

// contains looks a name up on the pod that serves, whichever end the policy
// selects: what has no pod of its own has no named ports.
func (r *PortRange) contains(e *Evaluator, server, port int32, protocol corev1.Protocol) bool {
	if r.Protocol != protocol {
		return false
	}
	if r.Name == "" {
		return r.Low <= port && port <= r.High
	}
	if server == 0 || e.pods[server-1].HostNetwork {
		return false
	}
	for i := range e.pods[server-1].Ports {
		if p := &e.pods[server-1].Ports[i]; p.Port == port && p.Name == r.Name && orTCP(p.Protocol) == protocol {
			return true
		}
	}
	return false
}

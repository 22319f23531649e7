package build

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// maxBesides is how many sentences are said of what policies do besides.
const maxBesides = 16

// besides says what the policies, which e evaluates, let through, or close, beside what
// was asked for.
func (b *builder) besides(policies []networkingv1.NetworkPolicy, e *policy.Evaluator) []string {
	var out []string
	out = append(out, b.unasked(e)...)
	out = append(out, b.toCome(policies)...)
	for i := range policies {
		p := &policies[i]
		out = append(out, b.onNodes(p)...)
		if goesByLast(&p.Spec.PodSelector) || slices.ContainsFunc(peersOf(p), func(peer networkingv1.NetworkPolicyPeer) bool {
			return peer.PodSelector != nil && goesByLast(peer.PodSelector)
		}) {
			out = append(out, fmt.Sprintf("%s/%s goes by a label that changes with each roll-out or release, for no other label tells these pods apart: give them one that stays.", p.Namespace, p.Name))
		}
	}
	seen := map[string]bool{}
	out = slices.DeleteFunc(out, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
	if n := len(out); n > maxBesides {
		out = append(out[:maxBesides-1], fmt.Sprintf("And %d more of the kind.", n-maxBesides+1))
	}
	return out
}

// unasked are the connections of an isolated pod that nobody has asked for and that are
// open, since no label keeps them apart from those that are to be.
func (b *builder) unasked(e *policy.Evaluator) []string {
	var names []string
	for _, f := range b.bare.Flows() {
		f.From, f.To = b.bare.OneFamily(f.From, f.To)
		l := b.link(f)
		if b.links[l].state == free && (b.egress[l.from] || b.ingress[l.to]) && e.Allowed(f) && !b.denied.Allowed(f) {
			names = append(names, fmt.Sprintf("%s to %s on %s", b.bare.Name(f.From), b.bare.Name(f.To), l.port))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"Open though nobody asked for it: " + some(names) + "."}
}

// toCome says what becomes of pods that are not there yet.
func (b *builder) toCome(policies []networkingv1.NetworkPolicy) []string {
	var out []string
	labels := map[string][]string{}
	for i := range policies {
		p := &policies[i]
		switch all := policy.SelectsAll(&p.Spec.PodSelector); {
		case all && len(p.Spec.Ingress)+len(p.Spec.Egress) == 0:
			out = append(out, fmt.Sprintf("Every pod to come in %s is closed, too, until a policy opens it.", p.Namespace))
		case all:
			out = append(out, fmt.Sprintf("%s/%s takes in every pod to come in %s.", p.Namespace, p.Name, p.Namespace))
		default:
			if text := policy.SelectorText(&p.Spec.PodSelector); !slices.Contains(labels[p.Namespace], text) {
				labels[p.Namespace] = append(labels[p.Namespace], text)
			}
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, fmt.Sprintf("A pod to come in %s is treated like those that are there if it is labelled %s.", ns, or(labels[ns])))
	}
	for i := range policies {
		p := &policies[i]
		var in, to []string
		for _, r := range p.Spec.Ingress {
			for _, peer := range r.From {
				if text := b.comers(p.Namespace, &peer); text != "" {
					in = append(in, text+" on "+portsText(r.Ports))
				}
			}
		}
		for _, r := range p.Spec.Egress {
			for _, peer := range r.To {
				// What is isolated itself has said so.
				if text := b.comers(p.Namespace, &peer); text != "" && !b.allIsolated(p.Namespace, peer) {
					to = append(to, text+" on "+portsText(r.Ports))
				}
			}
		}
		if len(in) > 0 {
			out = append(out, fmt.Sprintf("What gets into %s, also of pods to come: %s.", b.subject(p), some(in)))
		}
		if len(to) > 0 {
			out = append(out, fmt.Sprintf("What %s may send to, also of pods to come: %s.", b.subject(p), some(to)))
		}
	}
	return out
}

// allIsolated reports that all pods that the peer means are isolated for ingress.
func (b *builder) allIsolated(own string, peer networkingv1.NetworkPolicyPeer) bool {
	peers := b.bare.Peers(own, []networkingv1.NetworkPolicyPeer{peer})
	for n, c := range b.classes {
		if slices.ContainsFunc(c.pods, peers.HasPod) && !b.ingress[n] {
			return false
		}
	}
	return true
}

// subject names those that the policy selects.
func (b *builder) subject(p *networkingv1.NetworkPolicy) string {
	var names []string
	for _, n := range b.members[p.Namespace] {
		if policy.Matches(&p.Spec.PodSelector, b.classes[n].labels) {
			for _, i := range b.classes[n].pods {
				names = append(names, b.network.Pods[i].Name)
			}
		}
	}
	return some(names)
}

// comers are the pods that a peer takes, whether they are there or not; "" of an
// address, and of the cluster's DNS.
func (b *builder) comers(own string, peer *networkingv1.NetworkPolicyPeer) string {
	switch {
	case peer.IPBlock != nil, peer.NamespaceSelector != nil && policy.Matches(peer.NamespaceSelector, b.bare.Namespaces()[policy.DNSNamespace]):
		return ""
	case peer.NamespaceSelector == nil:
		return podsText(peer.PodSelector) + " in " + own
	}
	text := policy.SelectorText(peer.NamespaceSelector)
	if name, ok := strings.CutPrefix(text, "kubernetes.io/metadata.name="); ok {
		return podsText(peer.PodSelector) + " in " + name
	}
	return podsText(peer.PodSelector) + " in any namespace labelled " + text
}

func podsText(s *metav1.LabelSelector) string {
	if s == nil || policy.SelectsAll(s) {
		return "every pod"
	}
	return "pods labelled " + policy.SelectorText(s)
}

// onNodes says what an address of a node means.
func (b *builder) onNodes(p *networkingv1.NetworkPolicy) []string {
	var out []string
	for _, peer := range peersOf(p) {
		if peer.IPBlock == nil {
			continue
		}
		addr := netip.MustParsePrefix(peer.IPBlock.CIDR).Addr()
		for _, n := range b.network.Nodes {
			if slices.Contains(n.IPs, addr) {
				out = append(out, fmt.Sprintf("%s is the address of the node %s: whatever runs in its network is meant by it.", addr, n.Name))
			}
		}
	}
	return out
}

func peersOf(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	for _, r := range p.Spec.Ingress {
		out = append(out, r.From...)
	}
	for _, r := range p.Spec.Egress {
		out = append(out, r.To...)
	}
	return out
}

func portsText(ports []networkingv1.NetworkPolicyPort) string {
	var out []string
	for i := range ports {
		out = append(out, policy.NewPortRange(&ports[i]).String())
	}
	return some(out)
}

// or is "a", "a or b", "a, b or c".
func or(names []string) string { return policy.List(names, len(names), "or") }

// some is "a", "a and b", "a, b and c", and of many the first and how many more.
func some(names []string) string { return policy.List(names, 5, "and") }

package policy

import (
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// Network is what the policies were compiled for. It must not be changed.
func (e *Evaluator) Network() Network { return e.network }

// Selected are the pods that the policy selects, "namespace/pod", in the order of the
// network.
func (e *Evaluator) Selected(p *Policy) []string {
	out := []string{}
	for _, i := range e.selected(p) {
		out = append(out, e.called(i))
	}
	return slices.Compact(out)
}

// selected are the positions of the pods that the policy selects.
func (e *Evaluator) selected(p *Policy) []int32 {
	var out []int32
	for _, i := range e.members[p.Namespace] {
		if Matches(&p.Spec.PodSelector, e.pods[i].Labels) {
			out = append(out, i)
		}
	}
	return out
}

// called names a pod. Those of the cluster's DNS go by the name of their Service,
// since nobody speaks of them one by one.
func (e *Evaluator) called(i int32) string {
	if p := &e.pods[i]; !p.IsDNS() {
		return p.Namespace + "/" + p.Name
	}
	return DNSNamespace + "/" + DNSLabelValue
}

// Selection is a part of a policy's text that selects pods or hosts.
type Selection struct {
	Range
	// Field is its path.
	Field string
	// Selects are the pods, "namespace/pod", and the hosts by their names.
	Selects []string
	// Text says so in a few words: "selects production/api".
	Text string
}

// Selectors are the parts of the policy that select something: its podSelector, and
// each entry of from and to. A policy that was not read from a text has none.
func (e *Evaluator) Selectors(p *Policy) []Selection {
	var out []Selection
	add := func(field string, selects []string) {
		if r, ok := p.Range(field); ok {
			out = append(out, Selection{r, field, selects, selectsText(selects)})
		}
	}
	add("spec.podSelector", e.Selected(p))
	for _, kind := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
		for _, r := range p.Rules(kind) {
			for i := range r.Peers {
				add(fmt.Sprintf("%s[%d]", r.PeerField, i), e.reaches(e.Peers(p.Namespace, r.Peers[i:i+1])))
			}
		}
	}
	return out
}

// reaches are the pods and hosts that the peers take.
func (e *Evaluator) reaches(peers Peers) []string {
	out := []string{}
	for i := range e.pods {
		if slices.ContainsFunc(e.Endpoints(i), func(end Endpoint) bool { return peers.Has(end) }) {
			out = append(out, e.called(int32(i)))
		}
	}
	for _, h := range e.network.Hosts {
		if slices.ContainsFunc(h.IPs, func(a netip.Addr) bool { return peers.Has(e.Address(a)) }) {
			out = append(out, h.Name)
		}
	}
	return slices.Compact(out)
}

// selectsText says what is selected: "selects a, b and 3 more".
func selectsText(names []string) string {
	if len(names) == 0 {
		return "selects nothing here"
	}
	return "selects " + List(names, 4, "and")
}

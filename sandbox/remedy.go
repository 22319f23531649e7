package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// remedy is the smallest change that makes of the flow the opposite; nil where none is
// found that the evaluator agrees with.
func (p *Predictor) remedy(f Flow, r route, verdict probe.Verdict) (*Remedy, error) {
	flows := p.topology.Flows()
	before := p.Verdicts(flows)
	if verdict == probe.Open {
		return p.closing(f, r, flows, before)
	}
	return p.opening(f, r, flows, before)
}

func (p *Predictor) opening(f Flow, r route, flows []Flow, before map[string]probe.Verdict) (*Remedy, error) {
	policies := p.evaluator.Remedy(r.connection)
	if r.byName && !p.evaluator.Allowed(r.question) {
		policies = append(p.allowDNS(f, r), policies...)
	}
	if len(policies) == 0 || !p.inLab(policies) {
		return nil, nil
	}
	after, err := p.with(policies)
	if err != nil {
		return nil, err
	}
	now := after.Verdicts(flows)
	if now[f.ID] != probe.Open {
		return nil, nil
	}
	var opened []Flow
	for _, o := range flows {
		if now[o.ID] == probe.Open && before[o.ID] != probe.Open && !sameConnection(o, f) {
			opened = append(opened, o)
		}
	}
	text := remedyText(policies)
	if len(opened) > 0 {
		text += " It opens " + flowList(opened) + ", too."
	}
	return &Remedy{Title: "This would allow it", Text: text, Files: filesOf(policies)}, nil
}

// closing is, of the changes that close the flow and open none, the one that closes
// least besides, and of these the shortest.
func (p *Predictor) closing(f Flow, r route, flows []Flow, before map[string]probe.Verdict) (*Remedy, error) {
	type candidate struct {
		policies []networkingv1.NetworkPolicy
		closed   []Flow
		size     int
	}
	var best *candidate
	for _, policies := range p.evaluator.Closings(r.connection, p.topology.NamespaceNames()) {
		after, err := p.with(policies)
		if err != nil {
			return nil, err
		}
		now := after.Verdicts(flows)
		c := candidate{policies: policies}
		opens := false
		for _, o := range flows {
			switch {
			case now[o.ID] == probe.Open && before[o.ID] != probe.Open:
				opens = true
			case now[o.ID] != probe.Open && before[o.ID] == probe.Open && !sameConnection(o, f):
				c.closed = append(c.closed, o)
			}
		}
		if opens || now[f.ID] == probe.Open {
			continue
		}
		for _, np := range policies {
			c.size += len(policy.YAML(np))
		}
		if best == nil || cmp.Or(cmp.Compare(len(c.closed), len(best.closed)), cmp.Compare(c.size, best.size)) < 0 {
			best = &c
		}
	}
	if best == nil {
		return nil, nil
	}
	text := closingText(best.policies, p.evaluator.Policies()) + " Nothing else in the lab closes."
	if len(best.closed) > 0 {
		text = closingText(best.policies, p.evaluator.Policies()) + " It closes " + flowList(best.closed) + ", too: no policy of this kind tells them apart."
	}
	return &Remedy{Title: "This would close it", Text: text, Files: filesOf(best.policies)}, nil
}

// sameConnection reports that two flows are one connection, by address and by name.
func sameConnection(a, b Flow) bool {
	return a.From == b.From && a.To == b.To && a.Port == b.Port && a.Protocol == b.Protocol
}

// with predicts for the policies beside those that are there, or in the place of those of
// the same names. What is written is read back, so that what is offered is what was
// proven.
func (p *Predictor) with(policies []networkingv1.NetworkPolicy) (*Predictor, error) {
	all := map[policy.Ref]policy.Policy{}
	for _, in := range p.evaluator.Policies() {
		all[in.Ref()] = in
	}
	for _, np := range policies {
		read, err := policy.Parse([]byte(policy.YAML(np)), policy.ParseOptions{Namespaces: p.topology.NamespaceNames()})
		if err != nil {
			return nil, fmt.Errorf("a remedy that is no policy: %w", err)
		}
		for _, r := range read {
			all[r.Ref()] = r
		}
	}
	return NewPredictor(p.topology, p.addresses, slices.Collect(maps.Values(all)))
}

// inLab reports that the policies are for namespaces that a learner may write policies
// for.
func (p *Predictor) inLab(policies []networkingv1.NetworkPolicy) bool {
	names := p.topology.NamespaceNames()
	return !slices.ContainsFunc(policies, func(np networkingv1.NetworkPolicy) bool { return !slices.Contains(names, np.Namespace) })
}

// allowDNS lets the flow's source ask the cluster's DNS, by UDP and by TCP.
func (p *Predictor) allowDNS(f Flow, r route) []networkingv1.NetworkPolicy {
	policies := p.evaluator.Remedy(r.question)
	for i := range policies {
		np := &policies[i]
		for j := range np.Spec.Egress {
			tcp, port := corev1.ProtocolTCP, intstr.FromInt32(dnsPort)
			np.Spec.Egress[j].Ports = append(np.Spec.Egress[j].Ports, networkingv1.NetworkPolicyPort{Protocol: &tcp, Port: &port})
		}
		np.Name = p.evaluator.FreeName(np.Namespace, "allow-"+shortName(f.From)+"-dns")
	}
	return policies
}

func filesOf(policies []networkingv1.NetworkPolicy) []PolicyFile {
	out := []PolicyFile{}
	for _, np := range policies {
		out = append(out, PolicyFile{PolicyRef{Namespace: np.Namespace, Name: np.Name}, policy.YAML(np)})
	}
	return out
}

// remedyText says what policies allow: "Egress of app=web to app=api, on 8080/TCP."
func remedyText(policies []networkingv1.NetworkPolicy) string {
	var out []string
	for i := range policies {
		out = append(out, allowText(&policies[i]))
	}
	return sentence(strings.Join(out, ", and "))
}

// sentence makes a sentence of a phrase that is no name.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// allowText says what a policy of one rule allows.
func allowText(np *networkingv1.NetworkPolicy) string {
	p := policy.Policy{NetworkPolicy: *np}
	direction, way, kind := "egress", "to", networkingv1.PolicyTypeEgress
	if slices.Contains(p.Isolates(), networkingv1.PolicyTypeIngress) {
		direction, way, kind = "ingress", "from", networkingv1.PolicyTypeIngress
	}
	var peers, ports []string
	for _, r := range p.Rules(kind) {
		for j := range r.Peers {
			peers = append(peers, peerText(&r.Peers[j]))
		}
		for j := range r.Ports {
			ports = append(ports, policy.NewPortRange(&r.Ports[j]).String())
		}
	}
	return fmt.Sprintf("%s of %s %s %s, on %s", direction, policy.SelectorText(&np.Spec.PodSelector), way, strings.Join(peers, " or "), strings.Join(ports, " and "))
}

func peerText(peer *networkingv1.NetworkPolicyPeer) string {
	if peer.IPBlock != nil {
		return peer.IPBlock.CIDR
	}
	text := policy.SelectorText(peer.PodSelector)
	if s := peer.NamespaceSelector; s != nil {
		for _, name := range s.MatchLabels {
			text += " in " + name
		}
	}
	return text
}

// closingText says which policies are changed, and which come.
func closingText(policies []networkingv1.NetworkPolicy, in []policy.Policy) string {
	var changed, added []string
	for _, np := range policies {
		if slices.ContainsFunc(in, func(p policy.Policy) bool { return p.Namespace == np.Namespace && p.Name == np.Name }) {
			changed = append(changed, np.Name)
		} else {
			added = append(added, np.Name)
		}
	}
	switch {
	case len(added) == 0:
		return strings.Join(changed, " and ") + " without this connection."
	case len(changed) == 0:
		return "A policy " + strings.Join(added, " and ") + " that lets everything else through."
	}
	return fmt.Sprintf("%s for the other pods, and %s for this one, without this connection.", strings.Join(changed, " and "), strings.Join(added, " and "))
}

// flowList names a few flows: "production/web to production/db 5432/TCP and 3 more".
func flowList(flows []Flow) string {
	const most = 2
	var names []string
	for _, f := range flows {
		name := fmt.Sprintf("%s to %s %d/%s", f.From, f.To, f.Port, f.Protocol)
		if f.Via == ViaName {
			name += " by name"
		}
		names = append(names, name)
	}
	if n := len(names); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, " and ")
}

package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// Sentences reads a policy, which must be valid, aloud: two to five sentences in plain
// English on which of the network's pods it selects, what it lets them take and send,
// and what is closed by that. The policy need not be among those that were compiled.
func (e *Evaluator) Sentences(p *Policy) []string {
	r := reader{e: e, p: p, pods: e.selected(p)}
	out := []string{r.selects()}
	ingress, egress := directions(&p.Spec)
	if !ingress && !egress {
		return append(out, "Its policyTypes lists neither Ingress nor Egress, so it changes nothing.")
	}
	out = append(out, r.direction(networkingv1.PolicyTypeIngress, ingress), r.direction(networkingv1.PolicyTypeEgress, egress))
	if closed := r.closed(ingress, egress); closed != "" {
		out = append(out, closed)
	}
	return out
}

// reader reads one policy aloud.
type reader struct {
	e    *Evaluator
	p    *Policy
	pods []int32 // Those that it selects.
}

// selects says whom the policy is about.
func (r *reader) selects() string {
	s := &r.p.Spec.PodSelector
	who := "pods of " + r.p.Namespace + " " + labelled(SelectorText(s))
	if SelectsAll(s) {
		who = "every pod of " + r.p.Namespace
	}
	host := r.hostNetwork()
	switch {
	case len(r.pods) == 0 && host != "":
		return fmt.Sprintf("It selects %s, but no pod: %s uses its node's network, and no policy selects such a pod.", who, host)
	case len(r.pods) == 0 && SelectsAll(s):
		return fmt.Sprintf("It selects %s, and there is none yet.", who)
	case len(r.pods) == 0:
		return fmt.Sprintf("It selects %s, and there is none: it changes nothing.", who)
	case SelectsAll(s) && host != "":
		return fmt.Sprintf("It selects %s: %s; not %s, which uses its node's network.", who, r.names(r.pods), host)
	case SelectsAll(s):
		return fmt.Sprintf("It selects %s: %s.", who, r.names(r.pods))
	}
	return fmt.Sprintf("It selects %s in %s (%s).", r.names(r.pods), r.p.Namespace, SelectorText(s))
}

// hostNetwork names a pod that the selector would mean if it had a network of its own.
func (r *reader) hostNetwork() string {
	for _, p := range r.e.pods {
		if p.Namespace == r.p.Namespace && p.HostNetwork && Matches(&r.p.Spec.PodSelector, p.Labels) {
			return p.Name
		}
	}
	return ""
}

// names are pods of the policy's own namespace by their short names, and others by
// their long ones.
func (r *reader) names(pods []int32) string {
	var names []string
	for _, i := range pods {
		name := r.e.pods[i].Name
		if r.e.pods[i].Namespace != r.p.Namespace {
			name = r.e.pods[i].Namespace + "/" + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return list(names)
}

// they are the selected pods once they have been named.
func (r *reader) they() string {
	if len(r.pods) == 0 {
		return "such pods"
	}
	if len(r.pods) == 1 {
		return r.e.pods[r.pods[0]].Name
	}
	return "these pods"
}

// direction says what may come in, or go out.
func (r *reader) direction(kind networkingv1.PolicyType, isolates bool) string {
	in := kind == networkingv1.PolicyTypeIngress
	rules := r.p.Rules(kind)
	word := func(of, other string) string {
		if in {
			return of
		}
		return other
	}
	if !isolates {
		switch {
		case len(rules) > 0:
			return fmt.Sprintf("Its %s rules count for nothing: policyTypes does not list %s.", word("ingress", "egress"), kind)
		case len(r.p.Spec.PolicyTypes) == 0: // Only egress can be missing then.
			return fmt.Sprintf("It says nothing about what %s %s: there are no egress rules, and policyTypes is left out.", r.they(), plural("sends", "send", len(r.pods)))
		}
		return fmt.Sprintf("It says nothing about what %s.", word("comes in", "goes out"))
	}
	if len(rules) == 0 {
		why := "there is no " + word("ingress", "egress") + " rule"
		if in && len(r.p.Spec.PolicyTypes) == 0 && len(r.p.Spec.Egress) > 0 {
			why = "policyTypes is left out, which means Ingress, too, and " + why
		}
		return fmt.Sprintf("%s: %s.", word("It lets nobody in", "It lets nothing out, not even questions to DNS"), why)
	}
	for _, rule := range rules {
		if len(rule.Peers) == 0 && len(rule.Ports) == 0 {
			return fmt.Sprintf("%s on every port: %s.", word("It lets everybody in", "It lets everything out, to anywhere"), r.why(rule))
		}
	}
	const most = 3 // Rules in one sentence.
	var parts []string
	for i, rule := range rules {
		if i == most {
			parts = append(parts, fmt.Sprintf(word("whom", "to whom")+" %d more %s", len(rules)-most, plural("rule names", "rules name", len(rules)-most)))
			break
		}
		part := word("everybody ", "anywhere ")
		if len(rule.Peers) > 0 {
			part = word("", "to ") + r.peers(rule) + " "
		}
		part += r.ports(rule)
		if len(rule.Peers) == 0 && r.p.Written(rule.PeerField) {
			part += " (" + r.why(rule) + ")"
		}
		parts = append(parts, part)
	}
	return word("It lets in ", "It lets "+r.they()+" send ") + strings.Join(parts, "; and ") + "."
}

// why says for what reason a rule takes everybody.
func (r *reader) why(rule Rule) string {
	peer := rule.PeerField[strings.LastIndex(rule.PeerField, ".")+1:]
	switch {
	case rule.Peers != nil || r.p.Written(rule.PeerField):
		return "an empty " + peer + " is the same as none"
	case len(rule.Ports) == 0:
		return "a rule that is empty asks for nothing"
	}
	return "the rule has no " + peer
}

// peers are those that a rule names.
func (r *reader) peers(rule Rule) string {
	var parts []string
	for i := range rule.Peers {
		parts = append(parts, r.peer(&rule.Peers[i]))
	}
	// More than list takes, since whoever is let in should be read of.
	return List(parts, 4, "or")
}

func (r *reader) peer(peer *networkingv1.NetworkPolicyPeer) string {
	if b := peer.IPBlock; b != nil {
		return r.block(b)
	}
	found := r.found(peer)
	if all := peer.PodSelector == nil || SelectsAll(peer.PodSelector); all {
		switch {
		case peer.NamespaceSelector == nil:
			return "every pod of " + r.p.Namespace
		case SelectsAll(peer.NamespaceSelector):
			return "every pod of every namespace"
		}
		namespaces := r.namespaces(peer)
		if len(namespaces) == 0 {
			return "every pod of namespaces " + labelled(SelectorText(peer.NamespaceSelector)) + " (there is none)"
		}
		return "every pod of " + list(namespaces)
	}
	text := SelectorText(peer.PodSelector)
	if r.isDNS(found) {
		if s := peer.NamespaceSelector; s != nil && SelectsAll(s) {
			return fmt.Sprintf("the cluster's DNS, and any pod of any namespace %s", labelled(text))
		}
		return "the cluster's DNS"
	}
	where := " of " + r.p.Namespace
	if s := peer.NamespaceSelector; s != nil {
		where = " of namespaces " + labelled(SelectorText(s))
		switch namespaces := r.namespaces(peer); {
		case SelectsAll(s):
			where = " of any namespace"
		case len(namespaces) > 0:
			where = " of " + list(namespaces)
		}
	}
	if len(found) == 0 {
		return "pods" + where + " " + labelled(text) + " (there is none)"
	}
	if s := peer.NamespaceSelector; s != nil && SelectsAll(s) {
		return fmt.Sprintf("any pod of any namespace %s (now %s)", labelled(text), r.names(found))
	}
	return fmt.Sprintf("%s (%s)", r.names(found), text)
}

// found are the pods that the peer's selectors match.
func (r *reader) found(peer *networkingv1.NetworkPolicyPeer) []int32 {
	peers := r.e.Peers(r.p.Namespace, []networkingv1.NetworkPolicyPeer{*peer})
	var out []int32
	for i := range r.e.pods {
		if peers.HasPod(i) {
			out = append(out, int32(i))
		}
	}
	return out
}

func (r *reader) isDNS(pods []int32) bool {
	return slices.ContainsFunc(pods, func(i int32) bool { return r.e.pods[i].IsDNS() })
}

// namespaces are those that the peer's namespaceSelector selects.
func (r *reader) namespaces(peer *networkingv1.NetworkPolicyPeer) []string {
	var out []string
	for _, ns := range slices.Sorted(maps.Keys(r.e.namespaces)) {
		if Matches(peer.NamespaceSelector, r.e.namespaces[ns]) {
			out = append(out, ns)
		}
	}
	return out
}

// block is an ipBlock, with the name of the host that has its one address.
func (r *reader) block(b *networkingv1.IPBlock) string {
	cidr := parseCIDR(b.CIDR)
	text := "the addresses of " + b.CIDR
	switch {
	case cidr.Bits() == 0:
		text = "every address"
	case cidr.IsSingleIP():
		text = cidr.Addr().String()
		if name := r.e.Name(r.e.Address(cidr.Addr())); name != text {
			text = name + " (" + b.CIDR + ")"
		}
	}
	if len(b.Except) > 0 {
		text += " but those of " + list(b.Except)
	}
	return text
}

// ports are those of a rule: "on 8080/TCP".
func (r *reader) ports(rule Rule) string {
	if len(rule.Ports) == 0 {
		if r.p.Written(rule.Field + ".ports") {
			return "on every port (an empty ports is the same as none)"
		}
		return "on every port"
	}
	var parts []string
	for i := range rule.Ports {
		port := NewPortRange(&rule.Ports[i])
		text := port.String()
		if text == "any port/"+string(port.Protocol) {
			text = "every port of " + string(port.Protocol)
		}
		parts = append(parts, text)
	}
	return "on " + List(parts, 4, "and")
}

// closed says what no rule of the policy opens.
func (r *reader) closed(ingress, egress bool) string {
	if len(r.pods) == 0 {
		return ""
	}
	all := func(kind networkingv1.PolicyType) bool {
		return slices.ContainsFunc(r.p.Rules(kind), func(rule Rule) bool { return len(rule.Peers) == 0 && len(rule.Ports) == 0 })
	}
	in, out := ingress && !all(networkingv1.PolicyTypeIngress), egress && !all(networkingv1.PolicyTypeEgress)
	what := "All else that comes in or goes out"
	switch {
	case !in && !out:
		return "So by this policy nothing is closed."
	case !out:
		what = "All else that comes in"
	case !in:
		what = "All else that goes out"
	}
	if r.nothing(in, out) {
		what = strings.Replace(what, "All else", "Everything", 1)
	}
	return what + " is closed, unless another policy lets it through."
}

// nothing reports that the policy has no rule for what it isolates.
func (r *reader) nothing(in, out bool) bool {
	return (!in || len(r.p.Spec.Ingress) == 0) && (!out || len(r.p.Spec.Egress) == 0)
}

package policy

import (
	"cmp"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// open diagnoses a flow that is open and should not be.
func (x *diagnosing) open(d *Decision) Diagnosis {
	if d.Egress.Because == OwnTraffic {
		return Diagnosis{Cause: CauseAlwaysOpen, Message: fmt.Sprintf("%s speaks to itself here, which no policy can forbid.", x.from)}
	}
	if len(x.policies) == 0 {
		return Diagnosis{Cause: CauseNoPolicy, Message: "There is no policy yet, and without one every connection is allowed."}
	}
	ends := x.ends()
	for _, n := range []end{ends[1], ends[0]} { // Of two equal reasons, that at the end to be protected.
		switch dir := x.directionOf(d, n); dir.Because {
		case Admitted:
			for _, v := range dir.Policies {
				for _, r := range v.Rules {
					if r.Admits {
						x.letsThrough(d, n, v.Policy, r)
					}
				}
			}
		case NotIsolated:
			for i := range x.policies {
				x.meantToIsolate(n, &x.policies[i])
			}
		}
	}
	if out, ok := x.likeliest(); ok {
		return out
	}
	return x.notIsolated(d)
}

// meantToIsolate looks whether the policy was perhaps meant to isolate the end,
// without a rule for the flow, and why it does not.
func (x *diagnosing) meantToIsolate(n end, p *Policy) {
	pod := &x.pods[n.self.pod-1]
	same, selects := p.Namespace == pod.Namespace, Matches(&p.Spec.PodSelector, pod.Labels)
	if x.fits(n, p, pod.Namespace) {
		return
	}
	opposite := "ingress"
	if n.ingress() {
		opposite = "egress"
	}
	written := p.Spec.Egress != nil
	if n.ingress() {
		written = p.Spec.Ingress != nil
	}
	switch {
	case same && selects && len(p.Spec.PolicyTypes) == 0 && written:
		x.found(certain-2, CausePolicyTypes, p, "spec."+n.way(), "",
			"has an empty list of %s rules and no policyTypes; without policyTypes, a policy isolates for egress only where it has an egress rule", n.way())
	case same && selects && written:
		x.found(certain-2, CausePolicyTypes, p, "spec.policyTypes", "",
			"does not name %s, so its %s rules are ignored and %s is not isolated for %s", n.kind, n.way(), n.name, n.way())
	case same && selects && (n.ingress() || len(p.Spec.Ingress)+len(p.Spec.Egress) == 0):
		x.found(possible, CauseOtherDirection, p, cmp.Or(map[bool]string{true: "spec.policyTypes"}[len(p.Spec.PolicyTypes) > 0], "spec"), "",
			"isolates %s only for %s, and no policy does for %s; this connection %s", n.name, opposite, n.way(), map[bool]string{true: "comes in there", false: "goes out there"}[n.ingress()])
	case same && isolates(p, n.kind) && len(x.pick(&p.Spec.PodSelector, p.Namespace)) == 0:
		suggestion, near := x.nearPod(&p.Spec.PodSelector, []string{p.Namespace}, pod.Labels)
		weight := probable
		if near {
			weight = certain - 5
		}
		x.found(weight, CauseSelectsNothing, p, x.selectorField(p, "spec.podSelector", &p.Spec.PodSelector), suggestion,
			"selects %s, so it isolates nobody; %s", wantsText(&p.Spec.PodSelector), lacking("no pod of "+p.Namespace, &p.Spec.PodSelector))
	case same && isolates(p, n.kind) && x.alone(p, n.kind):
		x.found(possible-10, CauseSelectsAnother, p, x.selectorField(p, "spec.podSelector", &p.Spec.PodSelector), "",
			"selects %s, and %s is none of them; no policy isolates it for %s", pods(&p.Spec.PodSelector), n.name, n.way())
	case !same && selects && isolates(p, n.kind) && (len(x.pick(&p.Spec.PodSelector, p.Namespace)) == 0 || x.elsewhere()):
		x.found(certain-10, CausePolicyElsewhere, p, "metadata.namespace", "",
			"is in the namespace %s, and a policy isolates only pods of its own; %s is in %s", p.Namespace, n.name, pod.Namespace)
	}
}

// alone reports whether no other policy of the namespace isolates in the direction.
func (x *diagnosing) alone(p *Policy, kind networkingv1.PolicyType) bool {
	return !slices.ContainsFunc(x.policies, func(o Policy) bool {
		return o.Namespace == p.Namespace && o.Name != p.Name && isolates(&o, kind)
	})
}

// elsewhere reports whether no policy is in the namespace of either end.
func (x *diagnosing) elsewhere() bool {
	return !slices.ContainsFunc(x.ends(), func(n end) bool {
		return n.self.pod != 0 && x.hasPolicies(x.pods[n.self.pod-1].Namespace)
	})
}

func (x *diagnosing) hasPolicies(namespace string) bool {
	return slices.ContainsFunc(x.policies, func(p Policy) bool { return p.Namespace == namespace })
}

// letsThrough is about a rule that allows the flow at an end. The wider it is, the
// more probable that it is wider than meant.
func (x *diagnosing) letsThrough(d *Decision, n end, name Ref, v RuleVerdict) {
	p := x.policy(name)
	rules := p.Rules(n.kind)
	r := rules[slices.IndexFunc(rules, func(r Rule) bool { return r.Field == v.Field })]
	field := v.Field
	on := x.onPorts(r)
	also := ""
	if other := x.ends()[0]; n.kind == networkingv1.PolicyTypeEgress {
		if other = x.ends()[1]; d.Ingress.Because == NotIsolated && x.hasPolicies(x.pods[other.self.pod-1].Namespace) {
			also = fmt.Sprintf(". No policy isolates %s for ingress", other.name)
		}
	}
	if len(r.Peers) == 0 {
		who := "everybody, from anywhere"
		if !n.ingress() {
			who = "everybody, anywhere"
		}
		x.found(probable+5, CauseAnyPeer, p, field, "", "names no %s, so it %s%s%s%s", map[bool]string{true: "source", false: "destination"}[n.ingress()], n.lets(), who, on, also)
		return
	}
	at := fmt.Sprintf("%s[%d]", r.PeerField, v.Peer)
	peer := &r.Peers[v.Peer]
	for _, i := range []int{v.Peer - 1, v.Peer} {
		if i < 0 || i+1 >= len(r.Peers) {
			continue
		}
		both, ok := OneEntry(&r.Peers[i], &r.Peers[i+1])
		if ok && x.peerMismatch(p.Namespace, &both, "", n.peer) != nil {
			x.found(probable+8, CauseEitherEnough, p, at, "",
				"has its two selectors in two entries, each with a dash of its own, and it is enough to match one: %s is among %s%s", n.other, x.described(peer, p.Namespace), also)
			return
		}
	}
	weight, cause := possible+5, CauseAllowed
	switch {
	case peer.IPBlock != nil && n.peer.pod == 0:
		weight, cause = possible+12, CauseWideBlock
	case peer.IPBlock != nil:
		weight, cause = possible+22, CauseWideBlock
	case peer.PodSelector == nil || SelectsAll(peer.PodSelector), peer.NamespaceSelector != nil && SelectsAll(peer.NamespaceSelector):
		weight, cause = possible+20, CauseWidePeer
	case len(r.Ports) == 0:
		weight, cause = possible+10, CauseEveryPort
	}
	x.found(weight, cause, p, at, "", "%s%s%s, and %s is one%s", n.lets(), x.described(peer, p.Namespace), on, n.other, also)
}

// described is an entry of from or to in words.
func (x *diagnosing) described(peer *networkingv1.NetworkPolicyPeer, namespace string) string {
	if peer.IPBlock != nil {
		return "the addresses in " + peer.IPBlock.CIDR
	}
	pods := "every pod"
	if s := peer.PodSelector; s != nil && !SelectsAll(s) {
		pods = "every pod " + labelled(wantsText(s))
	}
	switch s := peer.NamespaceSelector; {
	case s == nil:
		return pods + " of its own namespace, " + namespace
	case SelectsAll(s):
		return pods + " of every namespace"
	default:
		return pods + " of namespaces " + labelled(wantsText(s))
	}
}

// onPorts is what a rule says of ports.
func (x *diagnosing) onPorts(r Rule) string {
	if len(r.Ports) == 0 {
		return ", on every port"
	}
	var all []string
	for i := range r.Ports {
		all = append(all, short(NewPortRange(&r.Ports[i]).String()))
	}
	return ", on " + list(all)
}

// notIsolated is what is left where no policy has a say.
func (x *diagnosing) notIsolated(d *Decision) Diagnosis {
	if d.Ingress.Because == OwnNode {
		return Diagnosis{Cause: CauseAlwaysOpen, Message: fmt.Sprintf("%s is the node that %s runs on, and a pod's own node always reaches it.", x.from, x.to)}
	}
	ends := x.ends()
	var open []end
	for _, n := range []end{ends[1], ends[0]} {
		if x.directionOf(d, n).Because == NotIsolated {
			open = append(open, n)
		}
	}
	switch len(open) {
	case 0:
		return Diagnosis{Cause: CauseNoPod, Message: fmt.Sprintf("Policies select only pods with a network of their own, and neither %s nor %s is one.", x.from, x.to)}
	case 1:
		return Diagnosis{Cause: CauseNotIsolated, Message: fmt.Sprintf("No policy isolates %s for %s, and what is not isolated is open.", open[0].name, open[0].way())}
	}
	return Diagnosis{Cause: CauseNotIsolated, Message: fmt.Sprintf("No policy isolates %s for ingress or %s for egress, and what is not isolated is open.", x.to, x.from)}
}

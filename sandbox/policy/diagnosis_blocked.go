package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// How probable it is that something is the mistake: what cannot have been meant
// comes before what may well be meant for another flow. What is between has its
// place by how far the rule fits otherwise.
const (
	certain  = 100 // It is for this flow, and one thing about it is wrong.
	probable = 80  // It does nothing as it stands.
	possible = 50  // It may be for another flow.
)

// blocked diagnoses a flow that is not open and should be.
func (x *diagnosing) blocked(d *Decision) Diagnosis {
	for _, n := range x.ends() {
		dir := x.directionOf(d, n)
		if dir.Allowed {
			continue
		}
		x.closedByTheWay(n, dir)
		for i := range x.policies {
			x.meantFor(n, &x.policies[i])
		}
	}
	x.otherWayRound()
	x.oneEnd(d)
	if out, ok := x.likeliest(); ok {
		return out
	}
	return x.nothingAllows(d)
}

func (x *diagnosing) directionOf(d *Decision, n end) *Direction {
	if n.ingress() {
		return &d.Ingress
	}
	return &d.Egress
}

// closedByTheWay looks for the one policy that isolates an end, without a rule for
// that direction and with rules for the other: it was hardly meant to.
func (x *diagnosing) closedByTheWay(n end, dir *Direction) {
	if len(dir.Policies) != 1 || len(dir.Policies[0].Rules) > 0 {
		return
	}
	p := x.policy(dir.Policies[0].Policy)
	opposite := networkingv1.PolicyTypeIngress
	if n.ingress() {
		opposite = networkingv1.PolicyTypeEgress
	}
	if len(p.Rules(opposite)) == 0 || n.ingress() && p.Spec.Ingress != nil || !n.ingress() && p.Spec.Egress != nil {
		return
	}
	if len(p.Spec.PolicyTypes) == 0 {
		x.found(certain-10, CausePolicyTypes, p, "spec", "",
			"has no policyTypes, and so it isolates %s for ingress, too; it has no ingress rule, which closes all that comes in", n.name)
		return
	}
	x.found(probable-5, CausePolicyTypes, p, "spec.policyTypes", "",
		"isolates %s for %s, too, and has no %s rule, which closes all that %s", n.name, n.way(), n.way(), map[bool]string{true: "comes in", false: "goes out"}[n.ingress()])
}

func (x *diagnosing) policy(name Ref) *Policy {
	i := slices.IndexFunc(x.policies, func(p Policy) bool { return p.Ref() == name })
	return &x.policies[i]
}

// meantFor looks whether the policy was perhaps meant to open the end, and why it
// does not.
func (x *diagnosing) meantFor(n end, p *Policy) {
	pod := &x.pods[n.self.pod-1]
	rules := p.Rules(n.kind)
	same := p.Namespace == pod.Namespace
	switch {
	case same && Matches(&p.Spec.PodSelector, pod.Labels):
		for i, r := range rules {
			if isolates(p, n.kind) {
				x.rule(n, p, r)
			} else if x.explainRule(p, r, n.peer, x.flow).Admits {
				x.found(certain, CausePolicyTypes, p, "spec.policyTypes", "",
					"does not name %s, so its %s rules are ignored, of which rule %d would allow this", n.kind, n.way(), i+1)
			}
		}
	case same && len(x.pick(&p.Spec.PodSelector, p.Namespace)) == 0:
		suggestion, near := x.nearPod(&p.Spec.PodSelector, []string{p.Namespace}, pod.Labels)
		weight := 0
		switch fits := x.fits(n, p, p.Namespace); {
		case fits && near:
			weight = certain - 5
		case fits:
			weight = probable + 5
		case near && len(rules) > 0:
			weight = probable
		}
		if weight > 0 {
			x.found(weight, CauseSelectsNothing, p, x.selectorField(p, "spec.podSelector", &p.Spec.PodSelector), suggestion, "selects %s; %s",
				wantsText(&p.Spec.PodSelector), lacking("no pod of "+p.Namespace, &p.Spec.PodSelector))
		}
	case !same && Matches(&p.Spec.PodSelector, pod.Labels) && (x.fits(n, p, p.Namespace) || x.fits(n, p, pod.Namespace)):
		weight := possible + 5
		if len(x.pick(&p.Spec.PodSelector, p.Namespace)) == 0 {
			weight = certain - 15
		}
		x.found(weight, CausePolicyElsewhere, p, "metadata.namespace", "",
			"is in the namespace %s, and a policy selects only pods of its own; %s is in %s", p.Namespace, n.name, pod.Namespace)
	}
}

// fits reports whether one of the policy's rules would allow the flow if the policy
// were in the namespace and selected the end.
func (x *diagnosing) fits(n end, p *Policy, namespace string) bool {
	moved := *p
	moved.Namespace = namespace
	return slices.ContainsFunc(p.Rules(n.kind), func(r Rule) bool {
		return x.explainRule(&moved, r, n.peer, x.flow).Admits
	})
}

// selectorField is the path of what a selector asks for where it asks for one label.
func (x *diagnosing) selectorField(p *Policy, field string, s *metav1.LabelSelector) string {
	if len(s.MatchLabels) == 1 && len(s.MatchExpressions) == 0 {
		for key := range s.MatchLabels {
			return field + ".matchLabels[" + key + "]"
		}
	}
	return field
}

// rule looks for what is wrong with a rule that is in force for the end.
func (x *diagnosing) rule(n end, p *Policy, r Rule) {
	v := x.explainRule(p, r, n.peer, x.flow)
	for i := range v.Mismatches {
		m := &v.Mismatches[i]
		switch {
		case m.Kind.aboutPort():
			x.port(n, p, r, i, m)
		default:
			x.peerOf(n, p, r, i, m)
		}
	}
}

// port is about a rule for the right peer and another port.
func (x *diagnosing) port(n end, p *Policy, r Rule, i int, m *Mismatch) {
	want := NewPortRange(&r.Ports[i])
	got := fmt.Sprintf("%d/%s", x.flow.Port, x.flow.Protocol)
	specific := len(r.Peers) > 0
	weight := possible - 5
	if specific {
		weight = probable + 2
	}
	subject := n.other // Who is let through.
	if !n.ingress() {
		subject = n.name
	}
	lets := "lets " + subject + " in only on "
	if !n.ingress() {
		lets = "lets " + subject + " out only to "
	}
	if s := x.servicePort(want); s != nil {
		x.found(certain-6, CauseServicePort, p, m.Field, "",
			"is for %s, the port of the Service %s; policies see the pod's own port, which is another", short(want.String()), s.Name)
		return
	}
	switch m.Kind {
	case MismatchProtocol:
		if want.Name == "" && (x.flow.Port < want.Low || want.High < x.flow.Port) {
			x.found(weight-5, CauseAnotherPort, p, m.Field, "", "%s%s; this connection is to %s", lets, short(want.String()), got)
			return
		}
		why := ""
		if r.Ports[i].Protocol == nil {
			why = ", and a port without a protocol means TCP"
		}
		x.found(certain-8, CauseAnotherProtocol, p, m.Field, "", "%s%s; this connection is %s%s", lets, short(want.String()), x.flow.Protocol, why)
	case MismatchPortName:
		names := x.portNames()
		if m.Got == "" {
			x.found(weight+3, CausePortName, p, m.Field, Nearest(want.Name, names), "is for the %s port named %s, and %s has none of that name", want.Protocol, short(want.Name), x.to)
			return
		}
		x.found(weight, CauseAnotherPort, p, m.Field, "", "%sthe port named %s, which is %s on %s; this connection is to %s", lets, short(want.Name), m.Got, x.to, got)
	default:
		x.found(weight, CauseAnotherPort, p, m.Field, "", "%s%s; this connection is to %s", lets, short(want.String()), got)
	}
}

// portNames are the names of the destination's ports of the flow's protocol.
func (x *diagnosing) portNames() []string {
	if x.flow.To.pod == 0 {
		return nil
	}
	var out []string
	for _, p := range x.pods[x.flow.To.pod-1].Ports {
		if p.Name != "" && orTCP(p.Protocol) == x.flow.Protocol {
			out = append(out, p.Name)
		}
	}
	return out
}

// servicePort is the Service whose port the rule is for, where that leads to the
// flow's.
func (x *diagnosing) servicePort(want PortRange) *Service {
	if x.flow.To.pod == 0 || want.Name == "" && want.Low != want.High || want.Protocol != x.flow.Protocol {
		return nil
	}
	pod := x.pods[x.flow.To.pod-1]
	for i := range x.network.Services {
		s := &x.network.Services[i]
		if len(s.Selector) == 0 || s.Namespace != pod.Namespace || !hasAll(pod.Labels, s.Selector) {
			continue
		}
		for _, sp := range s.Ports {
			to := sp.TargetPort
			if to == (intstr.IntOrString{}) {
				to = intstr.FromInt32(sp.Port)
			}
			if orTCP(sp.Protocol) == want.Protocol && (want.Name == "" && sp.Port == want.Low || want.Name != "" && sp.Name == want.Name) && pod.PortNumber(to, want.Protocol) == x.flow.Port {
				return s
			}
		}
	}
	return nil
}

// peerOf is about a rule's entry that does not match the other end.
func (x *diagnosing) peerOf(n end, p *Policy, r Rule, i int, m *Mismatch) {
	peer := &r.Peers[i]
	field := fmt.Sprintf("%s[%d]", r.PeerField, i)
	portFits := x.fitsPorts(r)
	less := 0 // A rule for another port is rather for another flow.
	if !portFits {
		less = 20
	}
	if peer.IPBlock != nil {
		x.block(n, p, peer.IPBlock, m, less)
		return
	}
	if n.peer.pod == 0 || x.pods[n.peer.pod-1].HostNetwork {
		why := "is none"
		if n.peer.pod != 0 {
			why = "uses its node's network"
		}
		if portFits && len(r.Ports) > 0 {
			x.found(possible-5, CauseOnlyPods, p, field, "", "%spods with a network of their own, as every selector does; %s %s, and only an ipBlock can hold its address", n.letsOnly(), n.other, why)
		}
		return
	}
	pod := &x.pods[n.peer.pod-1]
	in := []string{p.Namespace}
	if s := peer.NamespaceSelector; s != nil {
		in = nil
		for _, ns := range slices.Sorted(maps.Keys(x.namespaces)) {
			if Matches(s, x.namespaces[ns]) {
				in = append(in, ns)
			}
		}
		if len(in) == 0 {
			suggestion, near := x.nearNamespace(s, pod.Namespace)
			weight := probable - 3
			if near {
				weight = certain - 14
			}
			x.found(weight-less, CauseNamespaceLabel, p, x.selectorField(p, field+".namespaceSelector", s), suggestion,
				"is for namespaces %s; %s", labelled(wantsText(s)), lacking("no namespace", s))
			return
		}
	}
	nobody := len(x.pick(peer.PodSelector, in...)) == 0
	switch {
	case m.Kind == MismatchNamespace && !SelectsAll(peer.PodSelector) && Matches(peer.PodSelector, pod.Labels):
		weight := possible + 15
		if nobody {
			weight = certain - 12
		}
		x.found(weight-less, CauseOwnNamespace, p, field+".podSelector", "",
			"looks for %s in its own namespace only, %s, as a podSelector alone does; %s is in %s", wantsText(peer.PodSelector), p.Namespace, n.other, pod.Namespace)
	case m.Kind == MismatchNamespace && SelectsAll(peer.PodSelector):
		x.found(possible-12-less, CauseOwnNamespace, p, field+".podSelector", "",
			"%spods of its own namespace, %s; %s is in %s", n.letsOnly(), p.Namespace, n.other, pod.Namespace)
	case peer.NamespaceSelector != nil && peer.PodSelector != nil && nobody && len(x.pick(peer.PodSelector, p.Namespace)) > 0:
		x.found(possible+20-less, CauseBothNeeded, p, field, "",
			"asks in one entry for %s in namespaces %s, and no pod is both; one entry needs both of its selectors", pods(peer.PodSelector), labelled(wantsText(peer.NamespaceSelector)))
	case peer.NamespaceSelector != nil && peer.PodSelector != nil && m.Kind == MismatchNamespaceLabel && pod.Namespace == p.Namespace && Matches(peer.PodSelector, pod.Labels) && !SelectsAll(peer.PodSelector):
		x.found(possible+10-less, CauseBothNeeded, p, field, "",
			"asks in one entry for %s in namespaces %s; %s has only the first, and one entry needs both of its selectors", pods(peer.PodSelector), labelled(wantsText(peer.NamespaceSelector)), n.other)
	case nobody && peer.PodSelector != nil && !SelectsAll(peer.PodSelector):
		suggestion, near := x.nearPod(peer.PodSelector, in, pod.Labels)
		weight := probable - 2
		if near {
			weight = certain - 13
		}
		x.found(weight-less, CausePeerNothing, p, x.selectorField(p, field+".podSelector", peer.PodSelector), suggestion, "%s%s; %s",
			n.letsOnly(), pods(peer.PodSelector), lacking("no pod of "+list(in), peer.PodSelector))
	case portFits && m.Kind == MismatchPodLabel:
		x.found(possible-12, CauseAnotherPeer, p, m.Field, "", "%s%s; %s", n.letsOnly(), pods(peer.PodSelector), x.has(n.other, m))
	case portFits && m.Kind == MismatchNamespaceLabel:
		x.found(possible-12, CauseAnotherPeer, p, m.Field, "", "%spods of namespaces %s; %s is in %s", n.letsOnly(), labelled(wantsText(peer.NamespaceSelector)), n.other, pod.Namespace)
	}
}

// fitsPorts reports whether the flow's port is among the rule's.
func (x *diagnosing) fitsPorts(r Rule) bool {
	return len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(want networkingv1.NetworkPolicyPort) bool {
		return x.portMismatch(&want, "", x.flow) == nil
	})
}

// has says what the end has in place of a label.
func (x *diagnosing) has(name string, m *Mismatch) string {
	if m.Got == "" {
		return name + " has no such label"
	}
	return name + " has " + short(m.Got)
}

// block is about an ipBlock that does not hold the other end's address.
func (x *diagnosing) block(n end, p *Policy, b *networkingv1.IPBlock, m *Mismatch, less int) {
	block := NewBlock(b)
	if n.peer.pod != 0 && !n.ingress() {
		pod := &x.pods[n.peer.pod-1]
		for i := range x.network.Services {
			s := &x.network.Services[i]
			for _, a := range s.ClusterIPs {
				if len(s.Selector) > 0 && block.Contains(a.Unmap()) && s.Namespace == pod.Namespace && hasAll(pod.Labels, s.Selector) {
					x.found(certain-4, CauseClusterIP, p, m.Field, "",
						"is for %s, which holds the address of the Service %s; a connection to a Service has a pod's address by the time that policies see it", b.CIDR, s.Name)
					return
				}
			}
		}
	}
	addr := n.peer.addr.String()
	if addr == n.other || !n.peer.addr.IsValid() {
		addr = ""
	} else {
		addr = " (" + addr + ")"
	}
	switch {
	case m.Kind == MismatchExcept && (less == 0 || n.peer.pod == 0):
		x.found(probable-less, CauseExcept, p, m.Field, "", "leaves out %s, and %s%s is in that range", strings.TrimPrefix(m.Want, "not "), n.other, addr)
	case n.peer.pod == 0:
		x.found(possible+16-less, CauseOutsideBlock, p, m.Field, "", "%saddresses in %s, and %s%s is not in that range", n.letsOnly(), b.CIDR, n.other, addr)
	case less == 0:
		x.found(possible-12, CauseOutsideBlock, p, m.Field, "", "%saddresses in %s, and %s%s is not in that range", n.letsOnly(), b.CIDR, n.other, addr)
	}
}

// otherWayRound looks for a rule between the same two pods for connections the
// other way round: policies are about who begins, and replies need no rule.
func (x *diagnosing) otherWayRound() {
	if x.flow.From.pod == 0 || x.flow.To.pod == 0 {
		return
	}
	for _, n := range x.ends() {
		// A policy for this end, in the direction that is not the flow's here.
		back := networkingv1.PolicyTypeIngress
		if n.ingress() {
			back = networkingv1.PolicyTypeEgress
		}
		pod := &x.pods[n.self.pod-1]
		for i := range x.policies {
			p := &x.policies[i]
			if p.Namespace != pod.Namespace || SelectsAll(&p.Spec.PodSelector) || !Matches(&p.Spec.PodSelector, pod.Labels) {
				continue
			}
			for _, r := range p.Rules(back) {
				for j := range r.Peers {
					peer := &r.Peers[j]
					if !x.fitsPorts(r) || peer.PodSelector == nil || SelectsAll(peer.PodSelector) || x.peerMismatch(p.Namespace, peer, "", n.peer) != nil {
						continue
					}
					x.found(possible+5, CauseWrongDirection, p, r.Field, "", "is for connections from %s to %s, and this one is from %s to %s; the replies need no rule of their own", x.to, x.from, x.from, x.to)
				}
			}
		}
	}
}

// oneEnd is about a flow that one end allows and the other does not.
func (x *diagnosing) oneEnd(d *Decision) {
	ends := x.ends()
	for i, n := range ends {
		open, closed := x.directionOf(d, n), x.directionOf(d, ends[1-i])
		if open.Because != Admitted || closed.Allowed {
			continue
		}
		for _, v := range open.Policies {
			for _, r := range v.Rules {
				if !r.Admits {
					continue
				}
				opens := "lets " + x.from + " out to " + x.to
				if n.ingress() {
					opens = "lets " + x.from + " in to " + x.to
				}
				x.found(possible-10, CauseOneEnd, x.policy(v.Policy), r.Field, "", "%s, but %s. A connection needs both ends", opens, x.noRule(closed, ends[1-i]))
				return
			}
		}
	}
}

// noRule says that an end is isolated and has no rule for the flow.
func (x *diagnosing) noRule(d *Direction, n end) string {
	var names []string
	for _, p := range d.Policies {
		names = append(names, x.called(x.policy(p.Policy)))
	}
	out := fmt.Sprintf("%s %s %s for %s, and no rule lets ", list(names), plural("isolates", "isolate", len(names)), n.name, n.way())
	if n.ingress() {
		return out + n.other + " in"
	}
	return out + "it out to " + n.other
}

// nothingAllows is what is left where nobody has tried to allow the flow.
func (x *diagnosing) nothingAllows(d *Decision) Diagnosis {
	out := Diagnosis{Cause: CauseNothingAllows}
	var says []string
	for _, n := range x.ends() {
		if dir := x.directionOf(d, n); !dir.Allowed {
			if len(says) == 0 {
				p := x.policy(dir.Policies[0].Policy)
				out.Policy, out.Field, out.Position = p.Ref(), "spec.podSelector", p.Position("spec.podSelector")
			}
			says = append(says, x.noRule(dir, n))
		}
	}
	out.Message = strings.Join(says, "; and ") + "."
	return out
}

// nearPod is the label that was probably meant in a selector that matches no pod of
// the namespaces, as "value" or "key: value", and whether the pod with the labels
// has it.
func (x *diagnosing) nearPod(s *metav1.LabelSelector, in []string, want map[string]string) (suggestion string, ofThis bool) {
	var have []map[string]string
	for i := range x.pods {
		if p := &x.pods[i]; !p.HostNetwork && slices.Contains(in, p.Namespace) {
			have = append(have, p.Labels)
		}
	}
	return nearSelector(s, have, want)
}

// nearNamespace is the same of a namespaceSelector that matches no namespace.
func (x *diagnosing) nearNamespace(s *metav1.LabelSelector, want string) (suggestion string, ofThis bool) {
	have := make([]map[string]string, 0, len(x.namespaces))
	names := slices.Sorted(maps.Keys(x.namespaces))
	for _, ns := range names {
		have = append(have, x.namespaces[ns])
	}
	// The namespace's name in a label that somebody expected to be there.
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if value := s.MatchLabels[key]; slices.Contains(names, value) && len(LabelValues(key, slices.Values(have))) == 0 {
			return nameLabel + ": " + value, value == want
		}
	}
	return nearSelector(s, have, x.namespaces[want])
}

// nearSelector looks for the first label of a selector that nothing has and
// something nearly has. Of what is equally near, that of the pod that is meant.
func nearSelector(s *metav1.LabelSelector, have []map[string]string, want map[string]string) (suggestion string, ofThis bool) {
	try := func(key, value string) bool {
		values := LabelValues(key, slices.Values(have))
		if slices.Contains(values, value) {
			return false
		}
		for _, labels := range append([]map[string]string{want}, have...) {
			near := NearLabel(key, value, []map[string]string{labels})
			if near == "" {
				near = sameValue(value, labels)
			}
			if near == "" {
				continue
			}
			k, v, _ := strings.Cut(near, ": ")
			ofThis = want[k] == v && want != nil
			if suggestion = near; k == key {
				suggestion = v
			}
			return true
		}
		return false
	}
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if try(key, s.MatchLabels[key]) {
			return suggestion, ofThis
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		if r.Operator != metav1.LabelSelectorOpIn {
			continue
		}
		for _, value := range r.Values {
			if try(r.Key, value) {
				return suggestion, ofThis
			}
		}
	}
	return "", false
}

// sameValue is the label that has the value under another key.
func sameValue(value string, labels map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if value != "" && labels[key] == value {
			return key + ": " + value
		}
	}
	return ""
}

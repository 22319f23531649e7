package policy

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// String is the decision in one plain English sentence: what happens to the flow,
// and which policy decides.
func (d Decision) String() string {
	s := d.speaker()
	switch {
	case d.Egress.Because == NoBackend:
		return fmt.Sprintf("Blocked: the Service %s leads to no pod on port %d/%s.", d.Service, d.Port, d.Protocol)
	case d.Egress.Because == OwnTraffic:
		return fmt.Sprintf("Allowed: %s speaks to itself, which no policy can forbid.", s.from)
	case d.Allowed && d.Egress.Because == NotIsolated && d.Ingress.Because == NotIsolated:
		return fmt.Sprintf("Allowed: no policy isolates %s for egress or %s for ingress.", s.from, s.to)
	case d.Allowed && d.Egress.noPod() && d.Ingress.noPod():
		return fmt.Sprintf("Allowed: policies select only pods with a network of their own, and neither %s nor %s is one.", s.from, s.to)
	case d.Allowed:
		return fmt.Sprintf("Allowed: %s, and %s.", s.allows(&d.Egress), s.allows(&d.Ingress))
	case d.Ingress.Allowed:
		return "Blocked: " + s.blocks(&d.Egress) + "."
	case d.Egress.Allowed:
		return "Blocked: " + s.blocks(&d.Ingress) + "."
	}
	return "Blocked at both ends: " + s.blocks(&d.Egress) + "; and " + s.blocks(&d.Ingress) + "."
}

// String is what the policies say of the flow at this end: "blocked; it is isolated,
// and no rule allows the flow".
func (d Direction) String() string {
	word := "blocked"
	if d.Allowed {
		word = "allowed"
	}
	return word + "; " + d.Because.reason()
}

// reason is why, as a sentence about the end.
func (b Because) reason() string {
	switch b {
	case Admitted:
		return "it is isolated, and a rule allows the flow"
	case NotAdmitted:
		return "it is isolated, and no rule allows the flow"
	case NotIsolated:
		return "no policy isolates it"
	case NoPod:
		return "it is no pod, so no policy selects it"
	case HostNetwork:
		return "it uses its node's network, so no policy selects it"
	case OwnTraffic:
		return "a pod always reaches itself"
	case OwnNode:
		return "the source is its own node, which always reaches it"
	case NoBackend:
		return "the Service leads to no pod on that port"
	}
	return string(b)
}

// String is what the policy says: "production/allow-web allows the flow".
func (p PolicyVerdict) String() string {
	says := "has no rule, so it only isolates"
	switch {
	case p.Admits:
		says = "allows the flow"
	case len(p.Rules) > 0:
		says = "does not allow the flow"
	}
	return p.Policy.String() + " " + says
}

// String is what the rule says: "spec.ingress[0] does not allow it".
func (r RuleVerdict) String() string {
	if r.Admits {
		return r.Field + " allows it"
	}
	return r.Field + " does not allow it"
}

// String is what does not match: "spec.ingress[0].from[0].podSelector wants the pod's
// label app=web; here it is app=shell".
func (m Mismatch) String() string {
	got := m.Got
	if got == "" {
		got = "none"
	}
	return fmt.Sprintf("%s wants %s %s; here it is %s", m.Field, m.Kind.about(), m.Want, got)
}

// about is what it is that does not match.
func (k MismatchKind) about() string {
	switch k {
	case MismatchNamespace:
		return "the namespace"
	case MismatchNamespaceLabel:
		return "the namespace's label"
	case MismatchPodLabel:
		return "the pod's label"
	case MismatchNoPod:
		return "one of the"
	case MismatchAddress:
		return "an address in"
	case MismatchExcept:
		return "an address that is"
	case MismatchPortName:
		return "the port named"
	}
	return "the port"
}

// speaker names the two ends of a flow.
type speaker struct{ from, to, fromNamespace, toNamespace string }

func (d Decision) speaker() speaker {
	s := speaker{from: shortName(d.From), to: shortName(d.To), fromNamespace: namespaceOf(d.From), toNamespace: namespaceOf(d.To)}
	if s.from == s.to && d.From != d.To { // Of two namespaces.
		s.from, s.to = d.From, d.To
	}
	return s
}

func (d *Direction) noPod() bool { return d.Because == NoPod || d.Because == HostNetwork }

func namespaceOf(name string) string {
	namespace, _, _ := strings.Cut(name, "/")
	return namespace
}

func shortName(name string) string { return name[strings.LastIndex(name, "/")+1:] }

func (s speaker) ends(d *Direction) (self, peer, way string) {
	if d.Type == networkingv1.PolicyTypeIngress {
		return s.to, s.from, "ingress"
	}
	return s.from, s.to, "egress"
}

// allows says why one direction allows the flow.
func (s speaker) allows(d *Direction) string {
	self, peer, way := s.ends(d)
	switch d.Because {
	case NotIsolated:
		return fmt.Sprintf("no policy isolates %s for %s", self, way)
	case NoPod:
		return fmt.Sprintf("%s is no pod, so no policy selects it", self)
	case HostNetwork:
		return fmt.Sprintf("%s uses its node's network, so no policy selects it", self)
	case OwnNode:
		return fmt.Sprintf("the node of %s, where %s is, always reaches it", self, peer)
	}
	for _, p := range d.Policies {
		if p.Admits {
			return fmt.Sprintf("%s allows %s for %s of %s", p.Policy, peer, way, self)
		}
	}
	return ""
}

// blocks says why one direction does not allow the flow: which policies isolate
// the pod, and what the one that comes nearest to admitting the flow admits.
func (s speaker) blocks(d *Direction) string {
	self, _, way := s.ends(d)
	var names []string
	var nearest *PolicyVerdict
	for i := range d.Policies {
		p := &d.Policies[i]
		if len(p.Rules) > 0 && (nearest == nil || p.nearness() > nearest.nearness()) {
			nearest = p
		}
	}
	for i := range d.Policies {
		if p := &d.Policies[i]; p != nearest {
			names = append(names, p.Policy.String())
		}
	}
	if nearest == nil {
		return fmt.Sprintf("%s %s %s for %s, and no %s rule allows anything", list(names), plural("isolates", "isolate", len(names)), self, way, way)
	}
	admits := s.admitsOnly(d, nearest)
	if len(names) == 0 {
		return fmt.Sprintf("%s isolates %s for %s and %s", nearest.Policy, self, way, admits)
	}
	name := nearest.Policy.String()
	if nearest.Policy.Namespace == d.Policies[0].Policy.Namespace {
		name = nearest.Policy.Name
	}
	return fmt.Sprintf("%s %s %s for %s, and %s %s", list(names), plural("isolates", "isolate", len(names)), self, way, name, admits)
}

// admitsOnly says what the policy admits instead of the flow.
func (s speaker) admitsOnly(d *Direction, p *PolicyVerdict) string {
	_, peer, _ := s.ends(d)
	peerNamespace := s.toNamespace
	if d.Type == networkingv1.PolicyTypeIngress {
		peerNamespace = s.fromNamespace
	}
	rule := p.nearestRule()
	i := rule.nearestMismatch()
	m := &rule.Mismatches[i]
	text := s.mismatch(peer, peerNamespace, rule, m)
	// "Only" is true of the whole policy where it has nothing else to offer.
	switch {
	case !m.Kind.aboutPort() && len(rule.Mismatches) > 1:
		peers := "from"
		if d.Type == networkingv1.PolicyTypeEgress {
			peers = "to"
		}
		return fmt.Sprintf("comes nearest: %s.%s[%d] %s", rule.Field, peers, i, text)
	case len(p.Rules) > 1:
		return fmt.Sprintf("comes nearest: %s %s", rule.Field, text)
	}
	return text
}

func (s speaker) mismatch(peer, peerNamespace string, rule *RuleVerdict, m *Mismatch) string {
	has := func(who string) string {
		if m.Got == "" {
			return who + " has no such label"
		}
		return who + " has " + m.Got
	}
	switch m.Kind {
	case MismatchNamespace:
		return fmt.Sprintf("allows only pods of its own namespace %s; %s is in %s", m.Want, peer, m.Got)
	case MismatchNamespaceLabel:
		if name, ok := strings.CutPrefix(m.Want, nameLabel+"="); ok {
			return fmt.Sprintf("allows only pods of the namespace %s; %s is in %s", name, peer, peerNamespace)
		}
		return fmt.Sprintf("allows only pods of namespaces %s; %s", labelled(m.Want), has("the namespace "+peerNamespace))
	case MismatchPodLabel:
		return fmt.Sprintf("allows only pods %s; %s", labelled(m.Want), has(peer))
	case MismatchNoPod:
		if m.Got != "" {
			return fmt.Sprintf("allows only pods with a network of their own; %s uses its node's, so only an ipBlock can allow it", peer)
		}
		return fmt.Sprintf("allows only pods; %s is none, so only an ipBlock can allow it", peer)
	case MismatchAddress:
		return fmt.Sprintf("allows only addresses in %s; %s", m.Want, address(peer, m.Got))
	case MismatchExcept:
		return fmt.Sprintf("leaves out %s, and with it %s", strings.TrimPrefix(m.Want, "not "), strings.TrimSuffix(peer+" ("+m.Got+")", " ("+peer+")"))
	case MismatchPortName:
		port, protocol, _ := strings.Cut(m.Want, "/")
		if m.Got == "" {
			return fmt.Sprintf("allows %s only on the %s port named %s, which %s does not have", peer, protocol, port, s.to)
		}
		return fmt.Sprintf("allows %s only on the port named %s, which is %s on %s", peer, port, m.Got, s.to)
	}
	var wants []string
	for _, other := range rule.Mismatches {
		wants = append(wants, other.Want)
	}
	return fmt.Sprintf("allows %s only on %s, not on %s", peer, list(slices.Compact(wants)), m.Got)
}

// address says what address the peer has.
func address(peer, addr string) string {
	switch addr {
	case "":
		return peer + " has no address"
	case peer:
		return peer + " is another"
	}
	return peer + " has " + addr
}

// labelled says what labels are wanted.
func labelled(want string) string {
	if key, ok := strings.CutPrefix(want, "no "); ok {
		return "without the label " + key
	}
	if strings.ContainsAny(want, "= ") {
		return "labelled " + want
	}
	return "with the label " + want
}

// nearness ranks how far a rule has gone along with a flow: the later the first
// mismatch, the nearer.
func (k MismatchKind) nearness() int {
	return slices.Index([]MismatchKind{MismatchNoPod, MismatchAddress, MismatchNamespace, MismatchNamespaceLabel, MismatchPodLabel, MismatchExcept, MismatchProtocol, MismatchPort, MismatchPortName}, k)
}

// aboutPort reports that the peer matched and the port did not.
func (k MismatchKind) aboutPort() bool {
	return k == MismatchProtocol || k == MismatchPort || k == MismatchPortName
}

// nearestMismatch is the index of the peer that comes nearest.
func (r *RuleVerdict) nearestMismatch() int {
	nearest := 0
	for i := range r.Mismatches {
		if r.Mismatches[i].Kind.nearness() > r.Mismatches[nearest].Kind.nearness() {
			nearest = i
		}
	}
	return nearest
}

func (r *RuleVerdict) nearness() int { return r.Mismatches[r.nearestMismatch()].Kind.nearness() }

func (p *PolicyVerdict) nearestRule() *RuleVerdict {
	r := &p.Rules[0]
	for i := range p.Rules {
		if p.Rules[i].nearness() > r.nearness() {
			r = &p.Rules[i]
		}
	}
	return r
}

func (p *PolicyVerdict) nearness() int { return p.nearestRule().nearness() }

// list is "a", "a and b", "a, b and c", and with more than three "a, b and 2 more".
func list(names []string) string { return List(names, 3, "and") }

// List is "a", "a and b", "a, b and c" with the word, and with more than so many names
// the first of them and how many more.
func List(names []string, most int, word string) string {
	if n := len(names); n > most {
		names = append(slices.Clone(names[:most-1]), fmt.Sprintf("%d more", n-most+1))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + word + " " + names[len(names)-1]
}

func plural(one, many string, n int) string {
	if n == 1 {
		return one
	}
	return many
}

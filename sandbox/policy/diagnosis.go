package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Diagnosis is the most probable reason why a flow is not as it should be, in
// terms of what somebody wrote. It says what is so, and never the whole of what to
// write instead.
type Diagnosis struct {
	Cause Cause `json:"cause"`
	// Policy is the one that the reason is in, and Field the path in it; both are
	// empty where it is in none. Position is the field's place in the text that was
	// parsed, zero where the policy was not.
	Policy   Ref      `json:"policy,omitzero"`
	Field    string   `json:"field,omitempty"`
	Position Position `json:"position,omitzero"`
	// Message is one or two plain sentences that name the policy, the number of its
	// rule and the line.
	Message string `json:"message"`
	// Suggestion is what was perhaps meant in place of what is written: a label's
	// value, "key: value", a port, a protocol; empty where nothing is near.
	Suggestion string `json:"suggestion,omitempty"`
}

// Cause is what kind of reason a [Diagnosis] is.
type Cause string

// The causes of a flow that is not open and should be.
const (
	CauseNothingAllows    Cause = "nothing-allows"     // An end is isolated, and nobody has tried to open it.
	CauseOneEnd           Cause = "one-end-only"       // One end lets the flow through, and the other does not.
	CauseWrongDirection   Cause = "wrong-direction"    // A rule is for connections the other way round.
	CausePolicyTypes      Cause = "policy-types"       // The policyTypes do not fit the rules.
	CauseSelectsNothing   Cause = "selects-nothing"    // The policy's podSelector matches no pod.
	CausePolicyElsewhere  Cause = "policy-elsewhere"   // The policy is in another namespace than the pod that it is for.
	CausePeerNothing      Cause = "peer-is-nobody"     // A peer's selectors match no pod.
	CauseAnotherPeer      Cause = "another-peer"       // A rule is for somebody else.
	CauseOwnNamespace     Cause = "own-namespace-only" // A podSelector alone looks in the policy's own namespace.
	CauseNamespaceLabel   Cause = "namespace-label"    // A namespaceSelector matches no namespace.
	CauseBothNeeded       Cause = "both-needed"        // Two selectors in one entry must both match.
	CauseOnlyPods         Cause = "only-pods"          // A selector, and the peer is no pod with a network of its own.
	CauseAnotherPort      Cause = "another-port"       // A rule is for another port.
	CauseServicePort      Cause = "service-port"       // A rule is for the Service's port.
	CausePortName         Cause = "port-name"          // A rule is for a port name that the pod does not have.
	CauseAnotherProtocol  Cause = "another-protocol"   // A rule is for another protocol, perhaps without a word of it.
	CauseOutsideBlock     Cause = "outside-block"      // An ipBlock does not hold the address.
	CauseExcept           Cause = "except"             // An ipBlock leaves the address out.
	CauseClusterIP        Cause = "cluster-ip"         // An ipBlock is for a Service's address.
	CauseServiceLeadsAway Cause = "no-backend"         // The Service leads to no pod.
)

// The causes of a flow that is open and should not be. CausePolicyTypes,
// CauseSelectsNothing and CausePolicyElsewhere are also among them: of a policy that
// was meant to isolate.
const (
	CauseNoPolicy       Cause = "no-policy"        // There is no policy at all.
	CauseNotIsolated    Cause = "not-isolated"     // No policy isolates either end.
	CauseOtherDirection Cause = "other-direction"  // A policy isolates the pod, but only the other way.
	CauseSelectsAnother Cause = "selects-another"  // The only policy there selects other pods.
	CauseAnyPeer        Cause = "any-peer"         // A rule names no peer.
	CauseEitherEnough   Cause = "either-is-enough" // Two entries, each of which is enough.
	CauseWidePeer       Cause = "wide-peer"        // An entry takes whole namespaces.
	CauseWideBlock      Cause = "wide-block"       // An ipBlock holds the address.
	CauseEveryPort      Cause = "every-port"       // A rule names no port.
	CauseAllowed        Cause = "allowed"          // A rule says so.
	CauseNoPod          Cause = "no-pod"           // No policy selects the ends: host network, or outside.
	CauseAlwaysOpen     Cause = "always-open"      // A pod to itself, or from its own node.
)

// CauseAsWanted says that by the policies the flow is as it should be.
const CauseAsWanted Cause = "as-wanted"

// Diagnose says why the policies do not make of the flow what is wanted: that it is
// open, or that it is not; through a Service, to all of its pods or to none. Of several reasons it gives the one that is most
// probably the mistake, a misspelt label before a rule that is missing. Its answer
// depends on nothing but the network, the policies and the flow.
func (e *Evaluator) Diagnose(f Flow, open bool) Diagnosis {
	x := &diagnosing{Evaluator: e, flow: f}
	d := e.Explain(f)
	if backends, ok := e.backends(f); ok {
		x.service = d.Service
		for i, b := range backends {
			through := Flow{From: f.From, To: b.pod, Port: b.port, Protocol: f.Protocol}
			if i == 0 || e.direct(through.From, through.To, through.Port, orTCP(through.Protocol)) != open {
				x.flow = through
				if d = e.decidePod(through, true); d.Allowed != open {
					break
				}
			}
		}
		d.Service = x.service
	}
	x.flow.From, x.flow.To = e.OneFamily(x.flow.From, x.flow.To)
	x.flow.Protocol = orTCP(x.flow.Protocol)
	x.speaker = d.speaker()
	if x.flow.To.pod != 0 && x.flow.Port == DNSPort && e.pods[x.flow.To.pod-1].IsDNS() {
		x.to = "the cluster's DNS"
	}
	switch {
	case d.Egress.Because == NoBackend:
		if !open {
			return Diagnosis{Cause: CauseAsWanted, Message: d.String()}
		}
		return Diagnosis{Cause: CauseServiceLeadsAway, Message: strings.TrimPrefix(d.String(), "Blocked: ")}
	case d.Allowed == open:
		return Diagnosis{Cause: CauseAsWanted, Message: "By the policies it is as it should be. " + d.String()}
	case open:
		return x.blocked(&d)
	}
	return x.open(&d)
}

// diagnosing is one diagnosis in the making.
type diagnosing struct {
	*Evaluator
	speaker
	flow    Flow   // To the pod where it was sent to a Service,
	service string // which was this one, "namespace/name".
	likely  []likely
}

// likely is a reason with how probable it is.
type likely struct {
	Diagnosis
	weight int
}

// found notes a reason that is in a policy's field. The message comes behind the
// policy's name and the place.
func (x *diagnosing) found(weight int, cause Cause, p *Policy, field, suggestion, format string, args ...any) {
	x.likely = append(x.likely, likely{Diagnosis{
		Cause: cause, Policy: p.Ref(), Field: field, Position: p.Position(field), Suggestion: suggestion,
		Message: x.cite(p, field) + " " + fmt.Sprintf(format, args...) + meant(suggestion),
	}, weight})
}

// meant is the end of a message.
func meant(suggestion string) string {
	if suggestion == "" {
		return "."
	}
	return "; did you mean " + suggestion + "?"
}

// likeliest is the first of the most probable reasons.
func (x *diagnosing) likeliest() (Diagnosis, bool) {
	if len(x.likely) == 0 {
		return Diagnosis{}, false
	}
	best := &x.likely[0]
	for i := range x.likely {
		if x.likely[i].weight > best.weight {
			best = &x.likely[i]
		}
	}
	return best.Diagnosis, true
}

// cite says where something stands: "allow-web, ingress rule 1, line 12,".
func (x *diagnosing) cite(p *Policy, field string) string {
	name := x.called(p)
	out := name
	if m := rulePath.FindStringSubmatch(field); m != nil {
		n, _ := strconv.Atoi(m[2])
		out += fmt.Sprintf(", %s rule %d", m[1], n+1)
	}
	if at := p.Position(field); at.Line > 0 {
		out += fmt.Sprintf(", line %d", at.Line)
	}
	if out == name {
		return out
	}
	return out + ","
}

// rulePath is the beginning of the path of what is in a rule.
var rulePath = regexp.MustCompile(`^spec\.(ingress|egress)\[([0-9]+)\]`)

// called is the policy's name, with its namespace where another one has the same.
func (x *diagnosing) called(p *Policy) string {
	for i := range x.policies {
		if o := &x.policies[i]; o.Name == p.Name && o.Namespace != p.Namespace {
			return p.Ref().String()
		}
	}
	return short(p.Name)
}

// end is one end of the flow, as a policy sees it.
type end struct {
	kind       networkingv1.PolicyType
	self, peer Endpoint
	// name is the end's own name, and other that of the other end.
	name, other string
}

func (x *diagnosing) ends() []end {
	return []end{
		{networkingv1.PolicyTypeEgress, x.flow.From, x.flow.To, x.from, x.to},
		{networkingv1.PolicyTypeIngress, x.flow.To, x.flow.From, x.to, x.from},
	}
}

func (n end) ingress() bool { return n.kind == networkingv1.PolicyTypeIngress }

// way is the direction in a word.
func (n end) way() string { return strings.ToLower(string(n.kind)) }

// lets begins what a rule for the end's direction does: "lets in only ".
func (n end) lets() string {
	if n.ingress() {
		return "lets in "
	}
	return "lets out to "
}

// letsOnly is the same of a rule that does nothing else.
func (n end) letsOnly() string {
	if n.ingress() {
		return "lets in only "
	}
	return "lets out only to "
}

// isolates reports whether the policy isolates what it selects in the direction.
func isolates(p *Policy, kind networkingv1.PolicyType) bool {
	return slices.Contains(p.Isolates(), kind)
}

// pick are the pods of the namespaces that the selector matches, of those that have
// a network of their own.
func (x *diagnosing) pick(s *metav1.LabelSelector, namespaces ...string) []int32 {
	var out []int32
	for i := range x.pods {
		if p := &x.pods[i]; !p.HostNetwork && slices.Contains(namespaces, p.Namespace) && (s == nil || Matches(s, p.Labels)) {
			out = append(out, int32(i))
		}
	}
	return out
}

// wantsText says what a selector asks for: "app=web"; "all pods" of one that asks
// for nothing.
func wantsText(s *metav1.LabelSelector) string {
	if s == nil || SelectsAll(s) {
		return "all pods"
	}
	return short(SelectorText(s))
}

// pods are what a selector selects: "pods labelled app=web", "all pods".
func pods(s *metav1.LabelSelector) string {
	if wants := wantsText(s); wants != "all pods" {
		return "pods " + labelled(wants)
	}
	return "all pods"
}

// lacking says of a selector that nothing there has what it asks for.
func lacking(what string, s *metav1.LabelSelector) string {
	switch {
	case len(s.MatchExpressions) > 0:
		return what + " meets that"
	case len(s.MatchLabels) > 1:
		return what + " has all these labels"
	}
	return what + " has that label"
}

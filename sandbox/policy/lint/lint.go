// Package lint looks for what is valid in policies and yet probably not what was meant
// in a network.
package lint

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Check names one of the things that [Lint] looks for.
type Check string

// The checks. A finding is a fact about the network that was given, never a
// matter of taste; where somebody may have meant it so, its Fix says how to make
// that plain. What they rest on is in the concept page "Network Policies" of
// Kubernetes and in the API reference of networking.k8s.io/v1, unless another
// source is named.
const (
	// CheckDNSNotAllowed: a pod is isolated for egress, and nothing lets it reach a
	// DNS pod of the cluster by UDP 53. Names cannot be resolved there, so that
	// connections fail which are allowed. It is looked for only where the network
	// has DNS pods: those labelled k8s-app=kube-dns in kube-system.
	CheckDNSNotAllowed Check = "dns-not-allowed"
	// CheckDNSTCPMissing: a rule lets a pod reach DNS by UDP 53, and nothing does by
	// TCP 53. DNS asks again by TCP where the answer is too long for a datagram
	// (RFC 7766), so that only some names fail, and only sometimes.
	CheckDNSTCPMissing Check = "dns-tcp-missing"
	// CheckDNSAnyNamespace: an entry is for the label of the cluster's DNS pods in every
	// namespace. Any pod of any namespace that carries the label is meant, too, and
	// whoever may make a pod can label it so.
	CheckDNSAnyNamespace Check = "dns-any-namespace"
	// CheckAndOrSuspicion: of two neighbouring peers, one has only a
	// namespaceSelector and the other only a podSelector, and the pods that match
	// both are not all that match either. A peer with both selectors needs both; two
	// peers need either, and one dash is the whole difference. It is a suspicion only
	// where the two together would select a pod at all, and is none where the
	// podSelector is empty: that says "all of my own namespace".
	CheckAndOrSuspicion Check = "and-or-suspicion"
	// CheckSelectorMatchesNothing: the policy's podSelector, or a peer's selectors,
	// match no pod: a label is wrong, or the pods are in another namespace, or they
	// share their node's network. Empty selectors are left alone.
	CheckSelectorMatchesNothing Check = "selector-matches-nothing"
	// CheckPortNotServed: a port that no container declares among the pods that the
	// rule leads to. A named port that none declares admits nothing. A number is
	// found only where each of the pods declares some port, for a container may
	// listen on a port without declaring it.
	CheckPortNotServed Check = "port-not-served"
	// CheckServicePort: a Service's port instead of its target port. A connection to
	// a Service is sent on to a pod before policies are looked at, so that they see
	// the pod's own port (kubernetes/website#8295).
	CheckServicePort Check = "service-port"
	// CheckPolicyTypesMissing: policyTypes is missing, or names one direction only,
	// and the policy therefore means something else than its rules say: rules that
	// are ignored, an empty list of egress rules that isolates nothing, or ingress
	// that is closed by the way.
	CheckPolicyTypesMissing Check = "policy-types-missing"
	// CheckIPBlockCoversCluster: an ipBlock that pods or nodes of the cluster match,
	// where ipBlock is meant for addresses outside; or one that holds nothing but
	// addresses of Services, which no connection has any more when policies are
	// looked at (projectcalico/calico#5129).
	CheckIPBlockCoversCluster Check = "ipblock-covers-cluster"
	// CheckNoEffect: a rule for pods at the other end, each of which is isolated in
	// the opposite direction by policies that admit none of the rule's flows. A
	// connection needs both ends.
	CheckNoEffect Check = "no-effect"
	// CheckNamespaceLabelUnknown: a namespaceSelector asks for a label that no
	// namespace has.
	CheckNamespaceLabelUnknown Check = "namespace-label-unknown"
	// CheckEmptyAllowsAll: a rule's from, to or ports is written and is empty. That
	// is as if it were not written, and admits all; none is easily meant by it.
	CheckEmptyAllowsAll Check = "empty-allows-all"
	// CheckEmptyNamespaceSelector: a peer's namespaceSelector is written and has no
	// value, beside a podSelector. That is as if it were not written, and looks only in
	// the policy's own namespace, where namespaceSelector: {} means every namespace.
	CheckEmptyNamespaceSelector Check = "empty-namespace-selector"
)

// Finding is one thing in a policy that probably is not what was meant.
type Finding struct {
	Check  Check      `json:"check"`
	Policy policy.Ref `json:"policy"`
	// Field is the path of what is found, "spec.ingress[0].from[0].podSelector".
	Field    string          `json:"field"`
	Position policy.Position `json:"position,omitzero"`
	// Message says what is so; Fix, what to write instead. Its first line is a
	// sentence; YAML may follow on further lines.
	Message string `json:"message"`
	Fix     string `json:"fix"`
	// Hint says that it may well be meant so, and is told for what follows from it.
	Hint bool `json:"-"`
	// End is the place behind what is found, and Fixes are what can be done about it in
	// the text, the likeliest first; the policy must have been read from one. Both are
	// for editors.
	End   policy.Position `json:"-"`
	Fixes []policy.Fix    `json:"-"`
}

// RestsOnAll reports that what is found may be undone by another policy.
func (c Check) RestsOnAll() bool {
	switch c {
	case CheckDNSNotAllowed, CheckDNSTCPMissing, CheckNoEffect, CheckPolicyTypesMissing:
		return true
	}
	return false
}

// Lint looks for what is valid in the policies and yet probably not what was
// meant in this network: the findings by policy, and in a policy by position. The
// policies must be valid. What [policy.Compile] refuses has no findings.
func Lint(network policy.Network, policies []policy.Policy) []Finding {
	e, err := policy.Compile(network, policies)
	if err != nil {
		return nil
	}
	return Findings(e)
}

// Findings are what [Lint] finds in policies that are compiled already.
func Findings(e *policy.Evaluator) []Finding {
	l := newLinter(e.Network(), e)
	all := e.Policies()
	for i := range all {
		first := len(l.findings)
		l.lint(&all[i])
		slices.SortStableFunc(l.findings[first:], func(a, b Finding) int {
			return cmp.Or(cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
		})
	}
	return l.findings
}

// linter goes through the policies one after the other. A pod goes by its index in
// the network.
type linter struct {
	*policy.Evaluator
	network    policy.Network
	pods       []policy.Pod
	namespaces map[string]map[string]string // The labels of each, with its name.
	nodes      map[netip.Addr]string
	members    map[string][]int // The pods of each namespace that have a network of their own.
	dns        []int
	rules      map[*policy.Policy]map[networkingv1.PolicyType][]rule
	// isolating are the policies that isolate each pod.
	isolating map[networkingv1.PolicyType][][]*policy.Policy
	findings  []Finding

	policy   *policy.Policy // The one that is looked at,
	selected []int          // and the pods that it selects.
}

// rule is a rule with what it means in the network.
type rule struct {
	policy.Rule
	peers policy.Peers
	ports []policy.PortRange
}

func newLinter(network policy.Network, e *policy.Evaluator) *linter {
	l := &linter{
		Evaluator: e, network: network, pods: network.Pods, namespaces: e.Namespaces(), nodes: map[netip.Addr]string{}, members: map[string][]int{},
		rules: map[*policy.Policy]map[networkingv1.PolicyType][]rule{},
		isolating: map[networkingv1.PolicyType][][]*policy.Policy{
			networkingv1.PolicyTypeIngress: make([][]*policy.Policy, len(network.Pods)),
			networkingv1.PolicyTypeEgress:  make([][]*policy.Policy, len(network.Pods)),
		},
	}
	for i := range l.pods {
		p := &l.pods[i]
		if p.IsDNS() {
			l.dns = append(l.dns, i)
		}
		if !p.HostNetwork {
			l.members[p.Namespace] = append(l.members[p.Namespace], i)
			continue
		}
		for _, a := range p.IPs {
			l.nodes[a.Unmap()] = p.Node
		}
	}
	for _, n := range network.Nodes {
		for _, a := range n.IPs {
			l.nodes[a.Unmap()] = n.Name
		}
	}
	all := e.Policies()
	for i := range all {
		p := &all[i]
		l.rules[p] = map[networkingv1.PolicyType][]rule{}
		for _, direction := range p.Isolates() {
			for _, r := range p.Rules(direction) {
				compiled := rule{Rule: r, peers: e.Peers(p.Namespace, r.Peers)}
				for j := range r.Ports {
					compiled.ports = append(compiled.ports, policy.NewPortRange(&r.Ports[j]))
				}
				l.rules[p][direction] = append(l.rules[p][direction], compiled)
			}
			for _, pod := range l.selects(p) {
				l.isolating[direction][pod] = append(l.isolating[direction][pod], p)
			}
		}
	}
	return l
}

func (l *linter) selects(p *policy.Policy) []int {
	var out []int
	for _, i := range l.members[p.Namespace] {
		if policy.Matches(&p.Spec.PodSelector, l.pods[i].Labels) {
			out = append(out, i)
		}
	}
	return out
}

// found notes a finding; the fixes are those that can be written into its text.
func (l *linter) found(check Check, field, message, fix string, fixes ...policy.Fix) {
	at := l.policy.Position(field)
	l.findings = append(l.findings, Finding{
		Check: check, Policy: l.policy.Ref(), Field: field, Position: at, End: l.policy.TokenEnd(at), Message: message, Fix: fix,
		Fixes: written(fixes),
	})
}

// subject begins a message about the field: "The podSelector", "This rule". Which one that
// is say the finding's field and position.
func subject(field string) string {
	name := field[strings.LastIndexByte(field, '.')+1:]
	list, _, isEntry := strings.Cut(name, "[")
	switch {
	case isEntry && (list == "ingress" || list == "egress"):
		return "This rule"
	case isEntry:
		return "This entry"
	}
	return "The " + name
}

func (l *linter) lint(p *policy.Policy) {
	l.policy, l.selected = p, l.selects(p)
	l.policyTypes()
	if len(l.selected) == 0 && !policy.SelectsAll(&p.Spec.PodSelector) {
		l.nothing("spec.podSelector", &p.Spec.PodSelector, []string{p.Namespace}, true)
	}
	for _, kind := range p.Isolates() {
		for _, r := range l.rules[p][kind] {
			l.rule(kind, r)
		}
	}
	l.dnsNotAllowed()
}

// rule looks at one rule for a direction in which the policy isolates.
func (l *linter) rule(kind networkingv1.PolicyType, r rule) {
	l.empty(kind, r.Rule)
	joined := l.andOr(r.Rule)
	for i := range r.Peers {
		if !joined[i] {
			l.peer(&r.Peers[i], fmt.Sprintf("%s[%d]", r.PeerField, i))
		}
	}
	l.servedPorts(kind, r)
	if kind == networkingv1.PolicyTypeEgress {
		l.dnsTCPMissing(r)
	}
	l.noEffect(kind, r)
}

// endpoint is the pod with its first address.
func (l *linter) endpoint(pod int) policy.Endpoint { return l.Endpoints(pod)[0] }

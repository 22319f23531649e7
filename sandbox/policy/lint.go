package policy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	sigsyaml "sigs.k8s.io/yaml"
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
	Check  Check `json:"check"`
	Policy Ref   `json:"policy"`
	// Field is the path of what is found, "spec.ingress[0].from[0].podSelector".
	Field    string   `json:"field"`
	Position Position `json:"position,omitzero"`
	// Message says what is so; Fix, what to write instead. Its first line is a
	// sentence; YAML may follow on further lines.
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Where a cluster's DNS pods are; the names are the same whichever DNS server it is.
const (
	systemNamespace = "kube-system"
	dnsLabel        = "k8s-app"
	dnsLabelValue   = "kube-dns"
	dnsPort         = 53
)

// Lint looks for what is valid in the policies and yet probably not what was
// meant in this network: the findings by policy, and in a policy by position. The
// policies must be valid. What [Compile] refuses has no findings.
func Lint(network Network, policies []Policy) []Finding {
	e, err := Compile(network, policies)
	if err != nil {
		return nil
	}
	l := newLinter(e)
	for i := range e.policies {
		first := len(l.findings)
		l.lint(&e.policies[i])
		slices.SortStableFunc(l.findings[first:], func(a, b Finding) int {
			return cmp.Or(cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
		})
	}
	return l.findings
}

// linter goes through the policies one after the other.
type linter struct {
	*Evaluator
	members map[string][]int32 // The pods of each namespace that have a network of their own.
	dns     []Endpoint
	// isolating are the policies that isolate each pod.
	isolating map[networkingv1.PolicyType][][]*Policy
	findings  []Finding

	policy   *Policy // The one that is looked at,
	selected []int32 // and the pods that it selects.
}

func newLinter(e *Evaluator) *linter {
	l := &linter{Evaluator: e, members: map[string][]int32{}, isolating: map[networkingv1.PolicyType][][]*Policy{
		networkingv1.PolicyTypeIngress: make([][]*Policy, len(e.pods)),
		networkingv1.PolicyTypeEgress:  make([][]*Policy, len(e.pods)),
	}}
	for i := range e.pods {
		if e.isDNS(int32(i)) {
			l.dns = append(l.dns, e.endpoint(int32(i)))
		}
		if !e.pods[i].HostNetwork {
			l.members[e.pods[i].Namespace] = append(l.members[e.pods[i].Namespace], int32(i))
		}
	}
	for i := range e.policies {
		p := &e.policies[i]
		for _, kind := range active(p) {
			for _, pod := range l.selects(p) {
				l.isolating[kind][pod] = append(l.isolating[kind][pod], p)
			}
		}
	}
	return l
}

func (e *Evaluator) isDNS(pod int32) bool {
	p := e.pods[pod]
	return p.Namespace == systemNamespace && p.Labels[dnsLabel] == dnsLabelValue
}

// active are the directions for which a policy isolates.
func active(p *Policy) []networkingv1.PolicyType {
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

func (l *linter) selects(p *Policy) []int32 {
	var out []int32
	for _, i := range l.members[p.Namespace] {
		if matches(&p.Spec.PodSelector, l.pods[i].Labels) {
			out = append(out, i)
		}
	}
	return out
}

func (l *linter) found(check Check, field, message, fix string) {
	l.findings = append(l.findings, Finding{
		Check: check, Policy: l.policy.Ref(), Field: field, Position: l.policy.Position(field), Message: message, Fix: fix,
	})
}

// subject begins a message: "spec.podSelector of production/allow-web".
func (l *linter) subject(field string) string { return field + " of " + l.policy.Ref().String() }

func (l *linter) lint(p *Policy) {
	l.policy, l.selected = p, l.selects(p)
	l.policyTypes()
	if len(l.selected) == 0 && !selectsAll(&p.Spec.PodSelector) {
		l.nothing("spec.podSelector", &p.Spec.PodSelector, []string{p.Namespace}, true)
	}
	for _, kind := range active(p) {
		for _, r := range rulesOf(p, kind) {
			l.rule(kind, r)
		}
	}
	l.dnsNotAllowed()
}

// rule looks at one rule for a direction in which the policy isolates.
func (l *linter) rule(kind networkingv1.PolicyType, r sourceRule) {
	compiled := l.Evaluator.rule(l.policy.Namespace, r.peers, r.ports, l.members)
	l.empty(kind, r)
	joined := l.andOr(r)
	for i := range r.peers {
		if !joined[i] {
			l.peer(&r.peers[i], fmt.Sprintf("%s[%d]", r.peerField, i))
		}
	}
	l.ports(kind, r, compiled)
	if kind == networkingv1.PolicyTypeEgress {
		l.dnsTCPMissing(r, compiled)
	}
	l.noEffect(kind, r, compiled)
}

// policyTypes looks for rules that do not do what they say because of the
// directions that policyTypes names.
func (l *linter) policyTypes() {
	spec, name := &l.policy.Spec, l.policy.Ref()
	ingress, egress := directions(spec)
	switch {
	case len(spec.Egress) > 0 && !egress:
		l.found(CheckPolicyTypesMissing, "spec.egress",
			fmt.Sprintf("%s has egress rules, but its spec.policyTypes names only Ingress: the egress rules are ignored, and the policy isolates no pod for egress.", name),
			"Add Egress to spec.policyTypes, or take the egress rules away.")
	case len(spec.Ingress) > 0 && !ingress:
		l.found(CheckPolicyTypesMissing, "spec.ingress",
			fmt.Sprintf("%s has ingress rules, but its spec.policyTypes names only Egress: the ingress rules are ignored, and the policy isolates no pod for ingress.", name),
			"Add Ingress to spec.policyTypes, or take the ingress rules away.")
	case len(spec.PolicyTypes) > 0:
	case spec.Egress != nil && !egress:
		l.found(CheckPolicyTypesMissing, "spec.egress",
			fmt.Sprintf("%s has an empty spec.egress and no spec.policyTypes: without policyTypes, a policy isolates for egress only where it has an egress rule, so this one isolates no pod for egress.", name),
			"To allow no egress, write policyTypes: [Ingress, Egress], or [Egress] alone; else take spec.egress away.")
	case egress && spec.Ingress == nil:
		var closed []int32
		for _, i := range l.selected {
			if len(l.isolating[networkingv1.PolicyTypeIngress][i]) == 1 {
				closed = append(closed, i)
			}
		}
		if len(closed) > 0 {
			l.found(CheckPolicyTypesMissing, "spec.egress",
				fmt.Sprintf("%s has only egress rules and no spec.policyTypes: without policyTypes, a policy always isolates for ingress, too, so this one alone closes %s to all that comes in.", name, l.names(closed)),
				"Write policyTypes: [Egress]; or, to close ingress as well, say so with policyTypes: [Ingress, Egress].")
		}
	}
}

// empty looks for lists of the rule that are there and have no entry.
func (l *linter) empty(kind networkingv1.PolicyType, r sourceRule) {
	end, who := "sources", "every source"
	if kind == networkingv1.PolicyTypeEgress {
		end, who = "destinations", "every destination"
	}
	if len(r.peers) == 0 && (r.peers != nil || l.written(r.peerField)) {
		l.found(CheckEmptyAllowsAll, r.peerField,
			fmt.Sprintf("%s is empty, which is the same as not there: the rule allows %s.", l.subject(r.peerField), who),
			fmt.Sprintf("To allow none, take the rule away: what no rule allows is denied. To allow all %s, leave the field out.", end))
	}
	if field := r.field + ".ports"; len(r.ports) == 0 && (r.ports != nil || l.written(field)) {
		l.found(CheckEmptyAllowsAll, field,
			fmt.Sprintf("%s is empty, which is the same as not there: the rule allows every port.", l.subject(field)),
			"To allow none, take the rule away: what no rule allows is denied. To allow all ports, leave the field out.")
	}
}

// written reports whether the field is in the policy's text.
func (l *linter) written(field string) bool {
	_, ok := l.policy.positions[field]
	return ok
}

// andOr looks for two neighbouring peers that were probably meant as one, and
// reports which peers those are.
func (l *linter) andOr(r sourceRule) map[int]bool {
	joined := map[int]bool{}
	for i := 0; i+1 < len(r.peers); i++ {
		both, ok := join(&r.peers[i], &r.peers[i+1])
		if !ok || joined[i] {
			continue
		}
		and := l.peerPods(both)
		either := l.peerPods(r.peers[i : i+2])
		if len(and) == 0 || len(and) == len(either) {
			continue
		}
		joined[i], joined[i+1] = true, true
		var more []int32
		for _, pod := range either {
			if !slices.Contains(and, pod) {
				more = append(more, pod)
			}
		}
		l.found(CheckAndOrSuspicion, fmt.Sprintf("%s[%d]", r.peerField, i+1),
			fmt.Sprintf("%s[%d] and [%d] of %s are two entries, so a pod needs to match only one of them; that allows %s, where both selectors in one entry would allow only %s.",
				r.peerField, i, i+1, l.policy.Ref(), l.names(more), l.names(and)),
			fmt.Sprintf("If a pod must match both, write one entry, with one dash; if either is enough, write two rules, to make that plain.\n%s", text(both)))
	}
	return joined
}

// join makes one peer of two of which one has only a namespaceSelector and the
// other only a podSelector that is not empty.
func join(a, b *networkingv1.NetworkPolicyPeer) ([]networkingv1.NetworkPolicyPeer, bool) {
	if a.NamespaceSelector == nil {
		a, b = b, a
	}
	if a.IPBlock != nil || b.IPBlock != nil || a.NamespaceSelector == nil || a.PodSelector != nil ||
		b.NamespaceSelector != nil || b.PodSelector == nil || selectsAll(b.PodSelector) {
		return nil, false
	}
	return []networkingv1.NetworkPolicyPeer{{NamespaceSelector: a.NamespaceSelector, PodSelector: b.PodSelector}}, true
}

// peerPods are the pods that the peers' selectors match.
func (l *linter) peerPods(peers []networkingv1.NetworkPolicyPeer) []int32 {
	return l.podsOf(l.Evaluator.rule(l.policy.Namespace, peers, nil, l.members))
}

func (l *linter) podsOf(r *rule) []int32 {
	var out []int32
	for i := range l.pods {
		if r.pods.has(int32(i)) {
			out = append(out, int32(i))
		}
	}
	return out
}

// peer looks at one entry of from or to.
func (l *linter) peer(peer *networkingv1.NetworkPolicyPeer, field string) {
	if peer.IPBlock != nil {
		l.block(peer.IPBlock, field+".ipBlock")
		return
	}
	if at := field + ".namespaceSelector"; peer.NamespaceSelector == nil && l.written(at) {
		l.found(CheckEmptyNamespaceSelector, at,
			fmt.Sprintf("%s has no value, which is the same as not there: the podSelector beside it looks only in the policy's own namespace, %s.", l.subject(at), l.policy.Namespace),
			"For every namespace, write namespaceSelector: {}; for the policy's own, take the line away.")
		return
	}
	l.anyNamespace(peer, field)
	if l.leavesOut(peer) {
		return
	}
	in := []string{l.policy.Namespace}
	if s := peer.NamespaceSelector; s != nil {
		if l.unknownLabels(s, field+".namespaceSelector") {
			return
		}
		in = nil
		for _, ns := range slices.Sorted(maps.Keys(l.namespaces)) {
			if matches(s, l.namespaces[ns]) {
				in = append(in, ns)
			}
		}
		if len(in) == 0 {
			l.found(CheckSelectorMatchesNothing, field+".namespaceSelector",
				fmt.Sprintf("%s matches no namespace: none meets all of %s, so the entry allows nothing.", l.subject(field+".namespaceSelector"), selectorText(s)),
				"Write the labels of the namespace that is meant. "+l.namespaceLabels())
			return
		}
	}
	if len(l.peerPods([]networkingv1.NetworkPolicyPeer{*peer})) > 0 {
		return
	}
	switch {
	case peer.PodSelector != nil && !selectsAll(peer.PodSelector):
		l.nothing(field+".podSelector", peer.PodSelector, in, peer.NamespaceSelector == nil)
	case peer.NamespaceSelector != nil && !selectsAll(peer.NamespaceSelector):
		why := "no pods"
		for i := range l.pods {
			if slices.Contains(in, l.pods[i].Namespace) {
				why = "only pods that share their node's network, which no selector selects"
			}
		}
		l.found(CheckSelectorMatchesNothing, field+".namespaceSelector",
			fmt.Sprintf("%s matches no pod: there are %s in %s.", l.subject(field+".namespaceSelector"), why, inNamespaces(in)),
			"Write the labels of a namespace that has pods. "+l.namespaceLabels())
	}
}

// anyNamespace looks whether the peer is the DNS pods' label wherever it may be.
func (l *linter) anyNamespace(peer *networkingv1.NetworkPolicyPeer, field string) {
	if peer.NamespaceSelector == nil || !selectsAll(peer.NamespaceSelector) || peer.PodSelector == nil || peer.PodSelector.MatchLabels[dnsLabel] != dnsLabelValue {
		return
	}
	at := field + ".namespaceSelector"
	narrow := networkingv1.NetworkPolicyPeer{NamespaceSelector: named(systemNamespace), PodSelector: peer.PodSelector}
	l.found(CheckDNSAnyNamespace, at,
		fmt.Sprintf("%s takes every namespace: any pod of any namespace is meant that carries the label %s=%s, not only the cluster's DNS.", l.subject(at), dnsLabel, dnsLabelValue),
		"Name the namespace of the DNS pods beside the label:\n"+text([]networkingv1.NetworkPolicyPeer{narrow}))
}

// leavesOut reports that the peer is about kube-system, and the network tells
// nothing of it. Every cluster has that namespace, so it is only not in the picture.
func (l *linter) leavesOut(peer *networkingv1.NetworkPolicyPeer) bool {
	_, known := l.namespaces[systemNamespace]
	if s := peer.NamespaceSelector; known || s == nil || !matches(s, map[string]string{nameLabel: systemNamespace}) {
		return false
	}
	return !selectsAll(peer.NamespaceSelector) || matches(peer.PodSelector, map[string]string{dnsLabel: dnsLabelValue})
}

// unknownLabels looks for labels that no namespace has.
func (l *linter) unknownLabels(s *metav1.LabelSelector, field string) bool {
	before := len(l.findings)
	unknown := func(field, want, hint string) {
		l.found(CheckNamespaceLabelUnknown, field, fmt.Sprintf("%s asks for %s, and no namespace has that label.", l.subject(field), want), hint)
	}
	values := func(key string) []string { return valuesOf(key, maps.Values(l.namespaces)) }
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if value := s.MatchLabels[key]; !slices.Contains(values(key), value) {
			unknown(field+".matchLabels["+key+"]", key+"="+value, l.namespaceHint(key, value))
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		at, have := fmt.Sprintf("%s.matchExpressions[%d]", field, i), values(r.Key)
		switch r.Operator { // The others are also met by what is not there.
		case metav1.LabelSelectorOpExists:
			if len(have) == 0 {
				unknown(at, "the label "+r.Key, l.namespaceHint(r.Key, ""))
			}
		case metav1.LabelSelectorOpIn:
			for j, value := range r.Values {
				if !slices.Contains(have, value) {
					unknown(fmt.Sprintf("%s.values[%d]", at, j), r.Key+"="+value, l.namespaceHint(r.Key, value))
				}
			}
		}
	}
	return len(l.findings) > before
}

// namespaceHint says which label may have been meant; the value is empty where
// only the key matters.
func (l *linter) namespaceHint(key, value string) string {
	if near := nearLabel(key, value, slices.Collect(maps.Values(l.namespaces))); near != "" {
		return "Did you mean " + near + "?"
	}
	names := slices.Sorted(maps.Keys(l.namespaces))
	if slices.Contains(names, value) {
		return fmt.Sprintf("The namespace %s has its name in another label: write %s: %s.", value, nameLabel, value)
	}
	for i := range l.pods {
		if have, ok := l.pods[i].Labels[key]; ok && have == value {
			return fmt.Sprintf("It is a label of pods, such as %s: did you mean podSelector?", l.names([]int32{int32(i)}))
		}
	}
	if near := nearest(value, names); value != "" && near != "" {
		return fmt.Sprintf("Did you mean the namespace %s? Write %s: %s.", near, nameLabel, near)
	}
	return "Write a label that a namespace has. " + l.namespaceLabels()
}

// nearLabel is the label that was probably meant, "app: web", or "" for none: one
// of the same key with a value that is spelled alike, or else one of the same value
// with a key that is.
func nearLabel(key, value string, have []map[string]string) string {
	values := valuesOf(key, slices.Values(have))
	if near := nearest(value, values); value != "" && near != "" {
		return key + ": " + near
	}
	var keys []string
	for _, labels := range have {
		for k, v := range labels {
			if k != key && (v == value || value == "") {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	if near := nearest(key, keys); near != "" {
		return strings.TrimSuffix(near+": "+value, ": ")
	}
	return ""
}

// valuesOf are the values that a key has, sorted.
func valuesOf(key string, labels func(func(map[string]string) bool)) []string {
	var out []string
	for have := range labels {
		if v, ok := have[key]; ok {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// namespaceLabels tells the namespaces' labels, but for the one that is always
// the name.
func (l *linter) namespaceLabels() string {
	var out []string
	for _, ns := range slices.Sorted(maps.Keys(l.namespaces)) {
		for _, key := range slices.Sorted(maps.Keys(l.namespaces[ns])) {
			if key != nameLabel {
				out = append(out, fmt.Sprintf("%s=%s (%s)", key, l.namespaces[ns][key], ns))
			}
		}
	}
	if len(out) == 0 {
		return "Namespaces have only their names here, in the label " + nameLabel + "."
	}
	return "Namespaces have " + enumerate(out) + ", and each has its name in " + nameLabel + "."
}

// nothing says of a podSelector that it matches no pod of the namespaces, and why
// that may be. own says that it looks only in the policy's own namespace.
func (l *linter) nothing(field string, s *metav1.LabelSelector, in []string, own bool) {
	say := func(why, fix string) {
		l.found(CheckSelectorMatchesNothing, field, fmt.Sprintf("%s matches no pod: %s.", l.subject(field), why), fix)
	}
	var host, elsewhere []int32
	var labels []map[string]string
	var have []string
	for i := range l.pods {
		p := l.pods[i]
		match := matches(s, p.Labels)
		switch {
		case slices.Contains(in, p.Namespace) && p.HostNetwork:
			if match {
				host = append(host, int32(i))
			}
		case slices.Contains(in, p.Namespace):
			labels = append(labels, p.Labels)
			for k, v := range p.Labels {
				have = append(have, k+"="+v)
			}
		case match && !p.HostNetwork:
			elsewhere = append(elsewhere, int32(i))
		}
	}
	if len(host) > 0 {
		fix := "No policy isolates such a pod; give it a network of its own (hostNetwork: false) to isolate it."
		if field != "spec.podSelector" {
			fix = "To allow such a pod, write an ipBlock with the address of its node; that allows whatever else is on the node, too."
		}
		say(fmt.Sprintf("its labels are those of %s, which shares its node's network and so is selected by no policy", l.names(host)), fix)
		return
	}
	if own && len(elsewhere) > 0 {
		namespaces := l.namespacesOf(elsewhere)
		if field == "spec.podSelector" {
			say(fmt.Sprintf("the pods labelled %s (%s) are in another namespace, and a policy selects only pods of its own, %s", selectorText(s), l.names(elsewhere), l.policy.Namespace),
				fmt.Sprintf("Write metadata.namespace: %s.", namespaces[0]))
			return
		}
		say(fmt.Sprintf("the pods labelled %s (%s) are in another namespace, and a podSelector alone looks only in the policy's own, %s", selectorText(s), l.names(elsewhere), l.policy.Namespace),
			"Add a namespaceSelector to the same entry, under the same dash:\n"+text([]networkingv1.NetworkPolicyPeer{{NamespaceSelector: named(namespaces[0]), PodSelector: s}}))
		return
	}
	why := "no pod in " + inNamespaces(in) + " is labelled " + selectorText(s)
	if len(s.MatchExpressions) > 0 {
		why = "no pod in " + inNamespaces(in) + " meets " + selectorText(s)
	}
	if len(labels) == 0 {
		why = "there are no pods in " + inNamespaces(in)
	}
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if value := s.MatchLabels[key]; !slices.Contains(valuesOf(key, slices.Values(labels)), value) {
			if near := nearLabel(key, value, labels); near != "" {
				say(why, "Did you mean "+near+"?")
				return
			}
			if field == "spec.podSelector" {
				continue
			}
			for _, ns := range slices.Sorted(maps.Keys(l.namespaces)) {
				if have, ok := l.namespaces[ns][key]; ok && have == value {
					say(why, fmt.Sprintf("It is a label of the namespace %s: did you mean namespaceSelector?", ns))
					return
				}
			}
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		if r.Operator != metav1.LabelSelectorOpIn {
			continue
		}
		for _, value := range r.Values {
			if near := nearLabel(r.Key, value, labels); near != "" && !slices.Contains(valuesOf(r.Key, slices.Values(labels)), value) {
				say(why, "Did you mean "+near+"?")
				return
			}
		}
	}
	fix := "Write the labels of the pods that are meant."
	if slices.Sort(have); len(have) > 0 {
		fix += " Pods have " + enumerate(slices.Compact(have)) + " there."
	}
	say(why, fix)
}

// named selects the namespace of that name.
func named(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{nameLabel: namespace}}
}

// block looks at an ipBlock for addresses of the cluster.
func (l *linter) block(b *networkingv1.IPBlock, field string) {
	block := parseBlock(b)
	var pods []int32
	var podAddrs, nodeAddrs []netip.Addr
	for i := range l.pods {
		if l.pods[i].HostNetwork {
			continue
		}
		in := false
		for _, a := range l.pods[i].IPs {
			if a = a.Unmap(); block.contains(a) {
				in = true
				podAddrs = append(podAddrs, a)
			}
		}
		if in {
			pods = append(pods, int32(i))
		}
	}
	for a := range l.nodes {
		if block.contains(a) {
			nodeAddrs = append(nodeAddrs, a)
		}
	}
	slices.SortFunc(nodeAddrs, netip.Addr.Compare)
	if len(pods) == 0 && len(nodeAddrs) == 0 {
		l.onlyServices(b, block, field)
		return
	}
	single := block.cidr.IsSingleIP()
	if single && len(pods) == 0 {
		return // There is no other way to name a node.
	}
	var covered []string
	if len(pods) > 0 {
		covered = append(covered, plural("the pod ", "the pods ", len(pods))+l.names(pods))
	}
	if len(nodeAddrs) > 0 {
		var names []string
		for _, a := range nodeAddrs {
			if name := l.nodes[a]; name != "" {
				names = append(names, fmt.Sprintf("%s (%s)", name, a))
			} else {
				names = append(names, a.String())
			}
		}
		covered = append(covered, plural("the node ", "the nodes ", len(names))+enumerate(names))
	}
	fix := "Where pods are meant, select them by their labels with podSelector and namespaceSelector: a pod's address changes when the pod is made anew."
	podRanges, nodeRanges := l.ranges(podAddrs, block), l.ranges(nodeAddrs, block)
	switch {
	case single:
		p := l.pods[pods[0]]
		peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}
		if p.Namespace != l.policy.Namespace {
			peer.NamespaceSelector = named(p.Namespace)
		}
		fix = "A pod's address changes when the pod is made anew: select it by its labels.\n" + text([]networkingv1.NetworkPolicyPeer{peer})
	case (podRanges != nil || podAddrs == nil) && (nodeRanges != nil || nodeAddrs == nil):
		fix = "If only hosts outside are meant, leave the cluster's addresses out: these are the smallest ranges that hold them, the cluster's own may be wider.\n" +
			text([]networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: b.CIDR, Except: slices.Concat(b.Except, podRanges, nodeRanges)}}})
	}
	l.found(CheckIPBlockCoversCluster, field,
		fmt.Sprintf("%s, %s, covers addresses inside the cluster: %s %s allowed, too.", l.subject(field), b.CIDR, strings.Join(covered, " and "), plural("is", "are", len(pods)+len(nodeAddrs))), fix)
}

// The widest range that a cluster may have for its Services' addresses.
const serviceRangeBits4, serviceRangeBits6 = 12, 108

// onlyServices looks for a block in which there is nothing but Services.
func (l *linter) onlyServices(b *networkingv1.IPBlock, block block, field string) {
	if bits := block.cidr.Bits(); bits < serviceRangeBits4 || block.cidr.Addr().Is6() && bits < serviceRangeBits6 {
		return
	}
	for _, h := range l.network.Hosts {
		for _, a := range h.IPs {
			if block.contains(a.Unmap()) {
				return
			}
		}
	}
	var names []string
	var only *Service
	for i := range l.network.Services {
		s := &l.network.Services[i]
		if slices.ContainsFunc(s.ClusterIPs, func(a netip.Addr) bool { return block.contains(a.Unmap()) }) {
			names = append(names, s.Namespace+"/"+s.Name)
			only = s
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	fix := "Select the pods behind the Service by their labels, and write their own port."
	if len(names) == 1 && len(only.Selector) > 0 {
		peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: only.Selector}}
		if only.Namespace != l.policy.Namespace {
			peer.NamespaceSelector = named(only.Namespace)
		}
		fix += "\n" + text([]networkingv1.NetworkPolicyPeer{peer})
	}
	l.found(CheckIPBlockCoversCluster, field,
		fmt.Sprintf("%s, %s, holds no address of this network but that of %s: a connection to a Service is sent on to a pod before policies are looked at, so with Calico the entry never matches it.",
			l.subject(field), b.CIDR, plural("the Service ", "the Services ", len(names))+enumerate(names)), fix)
}

// ranges are what to write under except to take the addresses out of the block:
// the smallest range that holds them all, or each by itself where that range would
// take a known host with it; nil where that would leave nothing of the block.
func (l *linter) ranges(addrs []netip.Addr, b block) []string {
	if len(addrs) == 0 {
		return nil
	}
	hull := netip.PrefixFrom(addrs[0], addrs[0].BitLen())
	for _, a := range addrs {
		for !hull.Contains(a) {
			hull, _ = hull.Addr().Prefix(hull.Bits() - 1) // Contains all at the latest with 0 bits.
		}
	}
	switch takesHost := slices.ContainsFunc(l.network.Hosts, func(h Host) bool {
		return slices.ContainsFunc(h.IPs, func(a netip.Addr) bool { return hull.Contains(a.Unmap()) })
	}); {
	case hull.Bits() > b.cidr.Bits() && !takesHost:
		return []string{hull.String()}
	case !takesHost || len(addrs) > mostNames || b.cidr.IsSingleIP():
		return nil
	}
	var out []string
	for _, a := range addrs {
		out = append(out, netip.PrefixFrom(a, a.BitLen()).String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ports looks at a rule's ports, and whether the pods that they are looked up on
// have them.
func (l *linter) ports(kind networkingv1.PolicyType, r sourceRule, compiled *rule) {
	servers := l.selected
	if kind == networkingv1.PolicyTypeEgress {
		if compiled.anyPeer || len(compiled.blocks) > 0 {
			return // Who serves outside is not known.
		}
		servers = l.podsOf(compiled)
	}
	if len(servers) == 0 {
		return
	}
	for i := range compiled.ports {
		want := compiled.ports[i]
		if r.ports[i].Port == nil || l.served(want, servers) {
			continue
		}
		field := fmt.Sprintf("%s.ports[%d].port", r.field, i)
		if l.servicePort(want, servers, field) {
			continue
		}
		if silent := slices.ContainsFunc(servers, func(pod int32) bool { return len(l.pods[pod].Ports) == 0 }); silent && want.name == "" {
			continue
		}
		l.found(CheckPortNotServed, field,
			fmt.Sprintf("%s is %s, and no container of %s declares such a port.", l.subject(field), want, l.names(servers)), l.portHint(want, servers))
	}
}

// served reports whether one of the pods declares the port. A DNS pod serves DNS
// whatever it declares.
func (l *linter) served(want portRange, servers []int32) bool {
	return slices.ContainsFunc(servers, func(pod int32) bool {
		if l.isDNS(pod) && want.name == "" && want.low <= dnsPort && dnsPort <= want.high {
			return true
		}
		return slices.ContainsFunc(l.pods[pod].Ports, func(p Port) bool {
			return orTCP(p.Protocol) == want.protocol &&
				(p.Name == want.name && want.name != "" || want.name == "" && want.low <= p.Port && p.Port <= want.high)
		})
	})
}

// servicePort looks whether the port is that of a Service in front of the pods.
func (l *linter) servicePort(want portRange, servers []int32, field string) bool {
	if want.name == "" && want.low != want.high {
		return false
	}
	behind := map[int32]bool{}
	var service *Service
	var through ServicePort
	var target int32
	for i := range l.network.Services {
		s := &l.network.Services[i]
		for _, sp := range s.Ports {
			if orTCP(sp.Protocol) != want.protocol || want.name == "" && sp.Port != want.low || want.name != "" && sp.Name != want.name || len(s.Selector) == 0 {
				continue
			}
			to := sp.TargetPort
			if to == (intstr.IntOrString{}) {
				to = intstr.FromInt32(sp.Port)
			}
			for _, pod := range servers {
				p := l.pods[pod]
				port := p.port(to, want.protocol)
				if p.Namespace != s.Namespace || !hasAll(p.Labels, s.Selector) || port == 0 || want.name == "" && port == want.low {
					continue
				}
				behind[pod] = true
				if service == nil {
					service, through, target = s, sp, port
				}
			}
		}
	}
	if service == nil || slices.ContainsFunc(servers, func(pod int32) bool { return len(l.pods[pod].Ports) == 0 && !behind[pod] }) {
		return false
	}
	what := fmt.Sprintf("the Service's port %d", through.Port)
	if want.name != "" {
		what = fmt.Sprintf("the name of the Service's port %d", through.Port)
	}
	l.found(CheckServicePort, field,
		fmt.Sprintf("%s is %s, which no pod here has: it is %s of %s/%s, which leads to port %d of the pods. Policies see the pod's port.",
			l.subject(field), want, what, service.Namespace, service.Name, target),
		fmt.Sprintf("Write port: %d.", target))
	return true
}

// portHint says which ports there are, or which name may have been meant.
func (l *linter) portHint(want portRange, servers []int32) string {
	var have, names []string
	var other corev1.Protocol
	for _, pod := range servers {
		for _, p := range l.pods[pod].Ports {
			text := fmt.Sprintf("%d/%s", p.Port, orTCP(p.Protocol))
			if p.Name != "" {
				text += " (" + p.Name + ")"
			}
			have = append(have, text)
			if orTCP(p.Protocol) == want.protocol && p.Name != "" {
				names = append(names, p.Name)
			}
			same := p.Name == want.name && want.name != "" || want.name == "" && want.low <= p.Port && p.Port <= want.high
			if same && (other == "" || orTCP(p.Protocol) < other) {
				other = orTCP(p.Protocol)
			}
		}
	}
	slices.Sort(names)
	switch near := nearest(want.name, names); {
	case other != "":
		return fmt.Sprintf("It is declared with another protocol: write protocol: %s.", other)
	case want.name != "" && near != "":
		return fmt.Sprintf("Did you mean port: %s?", near)
	case len(have) == 0:
		return "Write the number of the port; no container there gives its ports names."
	}
	slices.Sort(have)
	return "Write a port that they declare: " + enumerate(slices.Compact(have)) + "."
}

// dnsRule is what lets a pod ask the cluster's DNS.
const dnsRule = `egress:
- to:
  - namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: kube-system
    podSelector:
      matchLabels:
        k8s-app: kube-dns
  ports:
  - protocol: UDP
    port: 53
  - protocol: TCP
    port: 53`

// reachesDNS reports whether the policies let the pod's egress reach a DNS pod.
func (l *linter) reachesDNS(pod int32, protocol corev1.Protocol) bool {
	egress := l.pods[pod].egress
	return egress == nil || slices.ContainsFunc(l.dns, func(d Endpoint) bool {
		return d.pod == pod+1 || slices.ContainsFunc(l.endpoints(d.pod-1), func(to Endpoint) bool {
			_, to = l.oneFamily(l.endpoint(pod), to)
			return l.admits(egress, to, d.pod, dnsPort, protocol)
		})
	})
}

// endpoints are the pod with each of its addresses.
func (l *linter) endpoints(pod int32) []Endpoint {
	out := []Endpoint{l.endpoint(pod)}
	for i, a := range l.pods[pod].IPs {
		if i > 0 {
			out = append(out, Endpoint{pod: pod + 1, addr: a.Unmap()})
		}
	}
	return out
}

func (l *linter) dnsNotAllowed() {
	if _, egress := directions(&l.policy.Spec); !egress || len(l.dns) == 0 {
		return
	}
	var without []int32
	tcp := true
	for _, pod := range l.selected {
		if !l.reachesDNS(pod, corev1.ProtocolUDP) {
			without = append(without, pod)
			tcp = tcp && l.reachesDNS(pod, corev1.ProtocolTCP)
		}
	}
	if len(without) == 0 {
		return
	}
	field := "spec.egress"
	if len(l.policy.Spec.PolicyTypes) > 0 {
		field = "spec.policyTypes"
	}
	they := plural("it", "them", len(without))
	message := fmt.Sprintf("%s isolates %s for egress, and no policy lets %s reach the cluster's DNS by UDP 53, so that no name can be resolved there.", l.policy.Ref(), l.names(without), they)
	fix := "Add this rule to a policy that selects " + they + " for egress:\n" + dnsRule
	if tcp {
		message = fmt.Sprintf("%s isolates %s for egress, and policies let %s reach the cluster's DNS by TCP 53 only; DNS asks by UDP first, so that no name can be resolved there.", l.policy.Ref(), l.names(without), they)
		fix = "Add UDP to the rule's ports; a port without protocol is TCP.\n- protocol: UDP\n  port: 53"
	}
	l.found(CheckDNSNotAllowed, field, message, fix)
}

func (l *linter) dnsTCPMissing(r sourceRule, compiled *rule) {
	var without []int32
	for _, pod := range l.selected {
		asks := slices.ContainsFunc(l.dns, func(d Endpoint) bool {
			self, to := l.oneFamily(l.endpoint(pod), d)
			return !l.own(self, d) && (compiled.anyPeer || compiled.hasPeer(to)) &&
				!compiled.anyPort && compiled.hasPort(l.Evaluator, d.pod, dnsPort, corev1.ProtocolUDP)
		})
		if asks && !l.reachesDNS(pod, corev1.ProtocolTCP) {
			without = append(without, pod)
		}
	}
	if len(without) > 0 {
		l.found(CheckDNSTCPMissing, r.field+".ports",
			fmt.Sprintf("%s lets %s reach the cluster's DNS by UDP 53, and no policy does by TCP 53: names with answers too long for a datagram cannot be resolved.", l.subject(r.field+".ports"), l.names(without)),
			"Add TCP to the rule's ports:\n- protocol: TCP\n  port: 53")
	}
}

// noEffect looks whether the other end denies every flow that the rule admits.
func (l *linter) noEffect(kind networkingv1.PolicyType, r sourceRule, compiled *rule) {
	if compiled.anyPeer || len(compiled.blocks) > 0 {
		return // What is outside allows everything.
	}
	opposite := networkingv1.PolicyTypeEgress
	if kind == networkingv1.PolicyTypeEgress {
		opposite = networkingv1.PolicyTypeIngress
	}
	var closed []int32
	for _, other := range l.podsOf(compiled) {
		flows := false
		for _, pod := range l.selected {
			server := pod
			program := l.pods[other].egress
			if kind == networkingv1.PolicyTypeEgress {
				server, program = other, l.pods[other].ingress
			}
			ports := l.portsOn(compiled, server)
			if pod == other || len(ports) == 0 {
				continue
			}
			flows = true
			if program == nil || l.admitsAny(program, pod, other, server, ports) {
				return
			}
		}
		if flows {
			closed = append(closed, other)
		}
	}
	if len(closed) == 0 {
		return
	}
	var by []string
	for _, pod := range closed {
		for _, p := range l.isolating[opposite][pod] {
			by = append(by, p.Ref().String())
		}
	}
	slices.Sort(by)
	by = slices.Compact(by)
	from, to := l.names(closed), l.names(l.selected)
	if kind == networkingv1.PolicyTypeEgress {
		from, to = to, from
	}
	l.found(CheckNoEffect, r.field,
		fmt.Sprintf("%s lets %s connect to %s, but %s %s %s for %s, and no policy allows these connections there: the rule has no effect, since both ends must allow a connection.",
			l.subject(r.field), from, to, enumerate(by), plural("isolates", "isolate", len(by)), l.names(closed), strings.ToLower(string(opposite))),
		l.otherEnd(opposite, r, closed))
}

// otherEnd is the policy that a rule without effect lacks.
func (l *linter) otherEnd(opposite networkingv1.PolicyType, r sourceRule, closed []int32) string {
	namespaces := l.namespacesOf(closed)
	back := networkingv1.NetworkPolicyPeer{PodSelector: &l.policy.Spec.PodSelector}
	if namespaces[0] != l.policy.Namespace {
		back.NamespaceSelector = named(l.policy.Namespace)
	}
	missing := networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}}
	missing.Namespace = namespaces[0]
	const most = 240 // A name may have 253 characters.
	name := l.policy.Name
	if len(name) > most {
		name = strings.TrimRight(name[:most], "-.")
	}
	missing.Name = name + "-" + strings.ToLower(string(opposite))
	missing.Spec.PolicyTypes = []networkingv1.PolicyType{opposite}
	peers := []networkingv1.NetworkPolicyPeer{back}
	if opposite == networkingv1.PolicyTypeEgress {
		missing.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: r.ports}}
	} else {
		missing.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: r.ports}}
	}
	for i := range r.peers {
		if slices.ContainsFunc(l.peerPods(r.peers[i:i+1]), func(pod int32) bool {
			return l.pods[pod].Namespace == namespaces[0] && slices.Contains(closed, pod)
		}) {
			if s := r.peers[i].PodSelector; s != nil {
				missing.Spec.PodSelector = *s
			}
			break
		}
	}
	likewise := ""
	if len(namespaces) > 1 {
		likewise = "; likewise in " + inNamespaces(namespaces[1:])
	}
	return "Allow it at the other end, too, with a policy such as this" + likewise + ":\n" + text(missing)
}

// portsOn are a rule's ports on the pod that serves, as numbers: a name is looked
// up there.
func (l *linter) portsOn(r *rule, server int32) []portRange {
	if r.anyPort {
		return []portRange{{protocol: corev1.ProtocolTCP, low: 1, high: 65535}, {protocol: corev1.ProtocolUDP, low: 1, high: 65535}, {protocol: corev1.ProtocolSCTP, low: 1, high: 65535}}
	}
	var out []portRange
	for _, want := range r.ports {
		if want.name == "" {
			out = append(out, want)
			continue
		}
		for _, have := range l.pods[server].Ports {
			if have.Name == want.name && orTCP(have.Protocol) == want.protocol {
				out = append(out, portRange{protocol: want.protocol, low: have.Port, high: have.Port})
			}
		}
	}
	return out
}

// admitsAny reports whether the program of other admits the peer to one of the
// ports.
func (l *linter) admitsAny(p *program, peer, other, server int32, ports []portRange) bool {
	for _, r := range p.rules {
		if !r.anyPeer && !slices.ContainsFunc(l.endpoints(other), func(o Endpoint) bool {
			from, _ := l.oneFamily(l.endpoint(peer), o)
			return r.hasPeer(from)
		}) {
			continue
		}
		for _, have := range l.portsOn(r, server) {
			if slices.ContainsFunc(ports, func(want portRange) bool {
				return want.protocol == have.protocol && want.low <= have.high && have.low <= want.high
			}) {
				return true
			}
		}
	}
	return false
}

// mostNames is how many names a message lists.
const mostNames = 6

// names names pods: "production/api and production/web".
func (l *linter) names(pods []int32) string {
	out := make([]string, len(pods))
	for i, pod := range pods {
		out[i] = l.pods[pod].Namespace + "/" + l.pods[pod].Name
	}
	slices.Sort(out)
	return enumerate(out)
}

func (l *linter) namespacesOf(pods []int32) []string {
	var out []string
	for _, pod := range pods {
		out = append(out, l.pods[pod].Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func inNamespaces(names []string) string {
	return plural("the namespace ", "the namespaces ", len(names)) + enumerate(names)
}

// enumerate is "a, b and c"; of many, the first and how many more.
func enumerate(names []string) string {
	if n := len(names); n > mostNames {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames-1], ", "), n-mostNames+1)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

func plural(one, many string, n int) string {
	if n == 1 {
		return one
	}
	return many
}

// text is a value's YAML.
func text(v any) string {
	out, _ := sigsyaml.Marshal(v) // The API's own types always have one.
	return strings.TrimSuffix(string(out), "\n")
}

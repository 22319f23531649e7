package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// empty looks for lists of the rule that are there and have no entry.
func (l *linter) empty(kind networkingv1.PolicyType, r policy.Rule) {
	end, who := "sources", "every source"
	if kind == networkingv1.PolicyTypeEgress {
		end, who = "destinations", "every destination"
	}
	if len(r.Peers) == 0 && (r.Peers != nil || l.policy.Written(r.PeerField)) {
		l.found(CheckEmptyAllowsAll, r.PeerField,
			fmt.Sprintf("An empty %s is the same as none: the rule allows %s.", r.PeerField[strings.LastIndexByte(r.PeerField, '.')+1:], who),
			fmt.Sprintf("To allow none, take the rule away: what no rule allows is denied. To allow all %s, leave the field out.", end),
			l.fix("Take the rule away", l.policy.Remove(r.Field)), l.fix("Leave the field out", l.policy.Remove(r.PeerField)))
	}
	if field := r.Field + ".ports"; len(r.Ports) == 0 && (r.Ports != nil || l.policy.Written(field)) {
		l.found(CheckEmptyAllowsAll, field,
			"An empty list of ports is the same as none: the rule allows every port.",
			"To allow none, take the rule away: what no rule allows is denied. To allow all ports, leave the field out.",
			l.fix("Take the rule away", l.policy.Remove(r.Field)), l.fix("Leave the field out", l.policy.Remove(field)))
	}
}

// andOr looks for two neighbouring peers that were probably meant as one, and
// reports which peers those are.
func (l *linter) andOr(r policy.Rule) map[int]bool {
	joined := map[int]bool{}
	for i := 0; i+1 < len(r.Peers); i++ {
		both, ok := policy.OneEntry(&r.Peers[i], &r.Peers[i+1])
		if !ok || joined[i] {
			continue
		}
		entry := []networkingv1.NetworkPolicyPeer{both}
		and := l.peerPods(entry)
		either := l.peerPods(r.Peers[i : i+2])
		if len(and) == 0 || len(and) == len(either) {
			continue
		}
		joined[i], joined[i+1] = true, true
		var more []int
		for _, pod := range either {
			if !slices.Contains(and, pod) {
				more = append(more, pod)
			}
		}
		l.found(CheckAndOrSuspicion, fmt.Sprintf("%s[%d]", r.PeerField, i+1),
			fmt.Sprintf("This entry and the one before it are two, so a pod needs to match only one of them; that allows %s, where both selectors in one entry would allow only %s.",
				l.names(more), l.names(and)),
			fmt.Sprintf("If a pod must match both, write one entry, with one dash; if either is enough, write two rules, to make that plain.\n%s", text(entry)),
			l.joinFix(r.PeerField, i, both))
	}
	return joined
}

// peerPods are the pods that the peers' selectors match.
func (l *linter) peerPods(peers []networkingv1.NetworkPolicyPeer) []int {
	return l.podsOf(l.Peers(l.policy.Namespace, peers))
}

func (l *linter) podsOf(peers policy.Peers) []int {
	var out []int
	for i := range l.pods {
		if peers.HasPod(i) {
			out = append(out, i)
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
	if at := field + ".namespaceSelector"; peer.NamespaceSelector == nil && l.policy.Written(at) {
		l.found(CheckEmptyNamespaceSelector, at,
			fmt.Sprintf("%s has no value, which is the same as not there: the podSelector beside it looks only in the policy's own namespace, %s.", subject(at), l.policy.Namespace),
			"For every namespace, write namespaceSelector: {}; for the policy's own, take the line away.",
			l.fix("Write namespaceSelector: {}", l.policy.SetValue(at, map[string]string{})), l.fix("Take namespaceSelector away", l.policy.Remove(at)))
		return
	}
	l.anyNamespace(peer, field)
	if l.leavesOut(peer) {
		return
	}
	in := []string{l.policy.Namespace}
	if s := peer.NamespaceSelector; s != nil {
		if l.unknownLabels(peer, field+".namespaceSelector") {
			return
		}
		in = nil
		for _, ns := range slices.Sorted(maps.Keys(l.namespaces)) {
			if policy.Matches(s, l.namespaces[ns]) {
				in = append(in, ns)
			}
		}
		if len(in) == 0 {
			l.found(CheckSelectorMatchesNothing, field+".namespaceSelector",
				fmt.Sprintf("%s matches no namespace: none meets all of %s, so the entry allows nothing.", subject(field+".namespaceSelector"), policy.SelectorText(s)),
				"Write the labels of the namespace that is meant. "+l.namespaceLabels(), l.namespaceFixes(field+".namespaceSelector", peer)...)
			return
		}
	}
	if len(l.peerPods([]networkingv1.NetworkPolicyPeer{*peer})) > 0 {
		return
	}
	switch {
	case peer.PodSelector != nil && !policy.SelectsAll(peer.PodSelector):
		l.nothing(field+".podSelector", peer.PodSelector, in, peer.NamespaceSelector == nil)
	case peer.NamespaceSelector != nil && !policy.SelectsAll(peer.NamespaceSelector):
		why := "no pods"
		for i := range l.pods {
			if slices.Contains(in, l.pods[i].Namespace) {
				why = "only pods that share their node's network, which no selector selects"
			}
		}
		l.found(CheckSelectorMatchesNothing, field+".namespaceSelector",
			fmt.Sprintf("%s matches no pod: there are %s in %s.", subject(field+".namespaceSelector"), why, inNamespaces(in)),
			"Write the labels of a namespace that has pods. "+l.namespaceLabels(), l.namespaceFixes(field+".namespaceSelector", peer)...)
	}
}

// anyNamespace looks whether the peer is the DNS pods' label wherever it may be.
func (l *linter) anyNamespace(peer *networkingv1.NetworkPolicyPeer, field string) {
	if peer.NamespaceSelector == nil || !policy.SelectsAll(peer.NamespaceSelector) || peer.PodSelector == nil || peer.PodSelector.MatchLabels[policy.DNSLabel] != policy.DNSLabelValue {
		return
	}
	at := field + ".namespaceSelector"
	narrow := networkingv1.NetworkPolicyPeer{NamespaceSelector: named(policy.DNSNamespace), PodSelector: peer.PodSelector}
	l.found(CheckDNSAnyNamespace, at,
		fmt.Sprintf("%s takes every namespace: any pod of any namespace is meant that carries the label %s=%s, not only the cluster's DNS.", subject(at), policy.DNSLabel, policy.DNSLabelValue),
		"Name the namespace of the DNS pods beside the label:\n"+text([]networkingv1.NetworkPolicyPeer{narrow}),
		l.fix("Name the namespace "+policy.DNSNamespace, l.policy.SetValue(at, narrow.NamespaceSelector)))
}

// leavesOut reports that the peer is about kube-system, and the network tells
// nothing of it. Every cluster has that namespace, so it is only not in the picture.
func (l *linter) leavesOut(peer *networkingv1.NetworkPolicyPeer) bool {
	_, known := l.namespaces[policy.DNSNamespace]
	if s := peer.NamespaceSelector; known || s == nil || !policy.Matches(s, map[string]string{corev1.LabelMetadataName: policy.DNSNamespace}) {
		return false
	}
	return !policy.SelectsAll(peer.NamespaceSelector) || policy.Matches(peer.PodSelector, map[string]string{policy.DNSLabel: policy.DNSLabelValue})
}

// nothing says of a podSelector that it matches no pod of the namespaces, and why
// that may be. own says that it looks only in the policy's own namespace.
func (l *linter) nothing(field string, s *metav1.LabelSelector, in []string, own bool) {
	say := func(why, fix string, fixes ...policy.Fix) {
		fixes = append(append(fixes, l.candidates(field, in)...), l.allPods(field))
		l.found(CheckSelectorMatchesNothing, field, fmt.Sprintf("%s matches no pod: %s.", subject(field), why), fix, fixes...)
	}
	var host, elsewhere []int
	var labels []map[string]string
	var have []string
	for i := range l.pods {
		p := l.pods[i]
		match := policy.Matches(s, p.Labels)
		switch {
		case slices.Contains(in, p.Namespace) && p.HostNetwork:
			if match {
				host = append(host, i)
			}
		case slices.Contains(in, p.Namespace):
			labels = append(labels, p.Labels)
			for k, v := range p.Labels {
				have = append(have, k+"="+v)
			}
		case match && !p.HostNetwork:
			elsewhere = append(elsewhere, i)
		}
	}
	if len(host) > 0 {
		fix := "No policy isolates such a pod; give it a network of its own (hostNetwork: false) to isolate it."
		if field != "spec.podSelector" {
			fix = "To allow such a pod, write an ipBlock with the address of its node; that allows whatever else is on the node, too."
		}
		var fixes []policy.Fix
		if field != "spec.podSelector" {
			fixes = append(fixes, l.hostFix(field, host))
		}
		say(fmt.Sprintf("its labels are those of %s, which shares its node's network and so is selected by no policy", l.names(host)), fix, fixes...)
		return
	}
	if own && len(elsewhere) > 0 {
		namespaces := l.namespacesOf(elsewhere)
		if field == "spec.podSelector" {
			say(fmt.Sprintf("the pods labelled %s (%s) are in another namespace, and a policy selects only pods of its own, %s", policy.SelectorText(s), l.names(elsewhere), l.policy.Namespace),
				fmt.Sprintf("Write metadata.namespace: %s.", namespaces[0]), l.elsewhereFixes(field, namespaces)...)
			return
		}
		say(fmt.Sprintf("the pods labelled %s (%s) are in another namespace, and a podSelector alone looks only in the policy's own, %s", policy.SelectorText(s), l.names(elsewhere), l.policy.Namespace),
			"Add a namespaceSelector to the same entry, under the same dash:\n"+text([]networkingv1.NetworkPolicyPeer{{NamespaceSelector: named(namespaces[0]), PodSelector: s}}), l.elsewhereFixes(field, namespaces)...)
		return
	}
	why := "no pod in " + inNamespaces(in) + " is labelled " + policy.SelectorText(s)
	if len(s.MatchExpressions) > 0 {
		why = "no pod in " + inNamespaces(in) + " meets " + policy.SelectorText(s)
	}
	if len(labels) == 0 {
		why = "there are no pods in " + inNamespaces(in)
	}
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if value := s.MatchLabels[key]; !slices.Contains(policy.LabelValues(key, slices.Values(labels)), value) {
			if near := policy.NearLabel(key, value, labels); near != "" {
				say(why, "Did you mean "+near+"?", l.labelFix(field, key, near))
				return
			}
			if field == "spec.podSelector" {
				continue
			}
			for _, ns := range slices.Sorted(maps.Keys(l.namespaces)) {
				if have, ok := l.namespaces[ns][key]; ok && have == value {
					say(why, fmt.Sprintf("It is a label of the namespace %s: did you mean namespaceSelector?", ns), l.fix("Write namespaceSelector", l.policy.Rename(field, "namespaceSelector")))
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
			if near := policy.NearLabel(r.Key, value, labels); near != "" && !slices.Contains(policy.LabelValues(r.Key, slices.Values(labels)), value) {
				say(why, "Did you mean "+near+"?", l.expressionFix(fmt.Sprintf("%s.matchExpressions[%d]", field, i), r.Key, value, r.Values, near))
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
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

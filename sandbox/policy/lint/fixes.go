package lint

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

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// mostFixes is how many fixes a finding offers.
const mostFixes = 4

func (l *linter) fix(title string, edits []policy.Edit) policy.Fix {
	return policy.Fix{Title: title, Edits: edits}
}

// written are the fixes that can be written, each once.
func written(all []policy.Fix) []policy.Fix {
	var out []policy.Fix
	for _, f := range all {
		if len(f.Edits) > 0 && !slices.ContainsFunc(out, func(o policy.Fix) bool { return slices.Equal(o.Edits, f.Edits) }) {
			out = append(out, f)
		}
	}
	return out[:min(len(out), mostFixes)]
}

// types says which directions the policy is for.
func (l *linter) types(types ...networkingv1.PolicyType) policy.Fix {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = string(t)
	}
	return l.fix("Write policyTypes: ["+strings.Join(words, ", ")+"]", l.policy.InsertField("spec", "policyTypes", types, "podSelector"))
}

// dnsRules is what lets pods ask the cluster's DNS; none where that has no pod that a
// rule can name.
func (l *linter) dnsRules() []networkingv1.NetworkPolicyEgressRule {
	to := []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: named(policy.DNSNamespace),
		PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{policy.DNSLabel: policy.DNSLabelValue}},
	}}
	if !slices.ContainsFunc(l.dns, func(d int) bool { return !l.pods[d].HostNetwork }) {
		to = nil
		for _, d := range l.dns {
			for _, a := range l.pods[d].IPs {
				to = append(to, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String()}})
			}
		}
	}
	if len(to) == 0 {
		return nil
	}
	return []networkingv1.NetworkPolicyEgressRule{{To: to, Ports: []networkingv1.NetworkPolicyPort{dnsPort(corev1.ProtocolUDP), dnsPort(corev1.ProtocolTCP)}}}
}

func dnsPort(protocol corev1.Protocol) networkingv1.NetworkPolicyPort {
	port := intstr.FromInt32(policy.DNSPort)
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port}
}

// dnsFixes let the policy's pods ask the cluster's DNS: in the policy itself, or where
// that only closes, in one of its own. tcp says that only UDP is missing.
func (l *linter) dnsFixes(tcp bool) []policy.Fix {
	var out []policy.Fix
	if tcp {
		for _, r := range l.rules[l.policy][networkingv1.PolicyTypeEgress] {
			if slices.ContainsFunc(l.dns, func(d int) bool {
				return (r.peers.Any || r.peers.Has(l.endpoint(d))) && l.hasPort(r, d, policy.DNSPort, corev1.ProtocolTCP)
			}) {
				out = append(out, l.fix("Add UDP 53 to the rule's ports", l.policy.Append(r.Field+".ports", dnsPort(corev1.ProtocolUDP))))
			}
		}
	}
	rules := l.dnsRules()
	if rules == nil {
		return out
	}
	here := l.fix("Allow DNS in this policy", l.policy.Append("spec.egress", rules[0]))
	if !l.policy.Written("spec.egress") {
		here.Edits = l.policy.InsertField("spec", "egress", rules, "")
	}
	beside := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: l.policy.Namespace, Name: l.FreeName(l.policy.Namespace, "allow-dns")}}
	beside.Spec = networkingv1.NetworkPolicySpec{
		PodSelector: l.policy.Spec.PodSelector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress: rules,
	}
	apart := l.fix("Add the policy "+beside.Name, l.policy.AddPolicies(beside))
	if len(l.policy.Spec.Egress) == 0 {
		return append(out, apart, here)
	}
	return append(out, here, apart)
}

// joinFix makes one entry of two neighbouring ones.
func (l *linter) joinFix(peers string, i int, both networkingv1.NetworkPolicyPeer) policy.Fix {
	first, second := fmt.Sprintf("%s[%d]", peers, i), fmt.Sprintf("%s[%d]", peers, i+1)
	edits := l.policy.Join(second)
	if edits == nil {
		edits = append(l.policy.SetValue(first, both), l.policy.Remove(second)...)
	}
	return l.fix("Take the dash away: both must match", edits)
}

// entries writes several entries of from or to in the place of one.
func (l *linter) entries(entry string, peers []networkingv1.NetworkPolicyPeer) []policy.Edit {
	if len(peers) == 0 || len(peers) > mostNames {
		return nil
	}
	edits := l.policy.SetValue(entry, peers[0])
	list := entry[:strings.LastIndexByte(entry, '[')]
	for _, p := range peers[1:] {
		more := l.policy.Append(list, p)
		if n := len(edits); n > 0 && len(more) == 1 && edits[n-1].EndLine == more[0].Line && edits[n-1].EndColumn == more[0].Column {
			edits[n-1].Text += more[0].Text
			continue
		}
		edits = append(edits, more...)
	}
	// What is inserted at one place comes there in its order.
	for i := 1; i < len(edits); {
		if edits[i].Position == edits[i-1].Position && edits[i].Line == edits[i].EndLine && edits[i].Column == edits[i].EndColumn {
			edits[i-1].Text += edits[i].Text
			edits = slices.Delete(edits, i, i+1)
			continue
		}
		i++
	}
	return edits
}

// peersOf are entries for the pods, by their labels, and for the nodes' addresses.
func (l *linter) peersOf(pods []int, nodes []netip.Addr) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	seen := map[string]bool{}
	for _, i := range pods {
		p := l.pods[i]
		if key := p.Namespace + text(p.Labels); !seen[key] {
			seen[key] = true
			out = append(out, l.peerOf(p.Namespace, p.Labels))
		}
	}
	if len(out)+len(nodes) > mostNames { // Then by their namespaces.
		in := metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: l.namespacesOf(pods)}
		out = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{in}}}}
	}
	for _, a := range nodes {
		out = append(out, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(a, a.BitLen()).String()}})
	}
	return out
}

// peersBehind are entries for the pods behind the Services that have an address in the
// block.
func (l *linter) peersBehind(block policy.Block) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	for _, s := range l.network.Services {
		if len(s.Selector) > 0 && slices.ContainsFunc(s.ClusterIPs, func(a netip.Addr) bool { return block.Contains(a.Unmap()) }) {
			out = append(out, l.peerOf(s.Namespace, s.Selector))
		}
	}
	return out
}

func (l *linter) peerOf(namespace string, labels map[string]string) networkingv1.NetworkPolicyPeer {
	peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: labels}}
	if namespace != l.policy.Namespace {
		peer.NamespaceSelector = named(namespace)
	}
	return peer
}

// portFixes write a port that the pods have in the place of one that they do not.
func (l *linter) portFixes(r rule, i int, want policy.PortRange, servers []int) []policy.Fix {
	entry := fmt.Sprintf("%s.ports[%d]", r.Field, i)
	type port struct {
		policy.Port
		distance int
	}
	var have []port
	for _, pod := range servers {
		for _, p := range l.pods[pod].Ports {
			p.Protocol = cmp.Or(p.Protocol, corev1.ProtocolTCP)
			if slices.ContainsFunc(have, func(h port) bool { return h.Port == p }) {
				continue
			}
			// The same port with another protocol first, then a name that is near.
			distance := 3
			switch {
			case p.Name == want.Name && want.Name != "" || want.Name == "" && want.Low <= p.Port && p.Port <= want.High:
				distance = 0
			case want.Name != "" && policy.Nearest(want.Name, []string{p.Name}) != "":
				distance = 1
			case p.Protocol == want.Protocol:
				distance = 2
			}
			have = append(have, port{p, distance})
		}
	}
	slices.SortStableFunc(have, func(a, b port) int {
		return cmp.Or(a.distance-b.distance, cmp.Compare(a.Port.Port, b.Port.Port))
	})
	var out []policy.Fix
	for _, p := range have {
		number := intstr.FromInt32(p.Port.Port)
		switch {
		case p.distance == 0:
			edits := l.policy.SetValue(entry+".protocol", p.Protocol)
			if edits == nil {
				edits = l.policy.InsertField(entry, "protocol", p.Protocol, "")
			}
			out = append(out, l.fix("Write protocol: "+string(p.Protocol), edits))
			continue
		case want.Name != "" && p.Name != "":
			number = intstr.FromString(p.Name)
		}
		title := "Write port: " + number.String()
		np := networkingv1.NetworkPolicyPort{Port: &number}
		if p.Protocol != corev1.ProtocolTCP {
			np.Protocol = &p.Protocol
			title += " and protocol: " + string(p.Protocol)
		}
		if p.Protocol == want.Protocol && r.Ports[i].EndPort == nil {
			out = append(out, l.fix(title, l.policy.SetValue(entry+".port", number)))
		} else {
			out = append(out, l.fix(title, l.policy.SetValue(entry, np)))
		}
	}
	return out
}

// labelFix writes the label that was probably meant, "app: web", in the place of
// another one.
func (l *linter) labelFix(selector, key, near string) policy.Fix {
	at := selector + ".matchLabels[" + key + "]"
	nearKey, nearValue, _ := strings.Cut(near, ": ")
	if nearKey == key {
		return l.fix("Write "+near, l.policy.SetValue(at, nearValue))
	}
	return l.fix("Write "+near, l.policy.Rename(at, nearKey))
}

// expressionFix is the same of an expression.
func (l *linter) expressionFix(expression, key, value string, values []string, near string) policy.Fix {
	nearKey, nearValue, _ := strings.Cut(near, ": ")
	if nearKey != key {
		return l.fix("Write key: "+nearKey, l.policy.SetValue(expression+".key", nearKey))
	}
	return l.fix("Write "+nearValue, l.policy.SetValue(fmt.Sprintf("%s.values[%d]", expression, slices.Index(values, value)), nearValue))
}

// candidates select some pod of the namespaces, where there is one.
func (l *linter) candidates(field string, in []string) []policy.Fix {
	var out []policy.Fix
	for i := range l.pods {
		p := &l.pods[i]
		key, ok := policy.NamingLabel(p.Labels)
		if p.HostNetwork || !slices.Contains(in, p.Namespace) || !ok {
			continue
		}
		label := map[string]string{key: p.Labels[key]}
		out = append(out, l.fix(fmt.Sprintf("Select %s: %s", key, p.Labels[key]), l.policy.SetValue(field, metav1.LabelSelector{MatchLabels: label})))
	}
	return out
}

// allPods selects every pod of the policy's namespace.
func (l *linter) allPods(field string) policy.Fix {
	return l.fix("Select every pod", l.policy.SetValue(field, metav1.LabelSelector{}))
}

// namespaceFixes write the name of a namespace in which the peer would select a pod.
func (l *linter) namespaceFixes(field string, peer *networkingv1.NetworkPolicyPeer) []policy.Fix {
	var out []policy.Fix
	for _, ns := range slices.Sorted(maps.Keys(l.members)) {
		entry := networkingv1.NetworkPolicyPeer{NamespaceSelector: named(ns), PodSelector: peer.PodSelector}
		if len(l.peerPods([]networkingv1.NetworkPolicyPeer{entry})) > 0 {
			out = append(out, l.fix("Write "+corev1.LabelMetadataName+": "+ns, l.policy.SetValue(field, entry.NamespaceSelector)))
		}
	}
	return out
}

// hostFix takes a pod of its node's network by the node's address.
func (l *linter) hostFix(field string, pods []int) policy.Fix {
	entry := strings.TrimSuffix(field, ".podSelector")
	for _, i := range pods {
		for _, a := range l.pods[i].IPs {
			block := &networkingv1.IPBlock{CIDR: netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String()}
			return l.fix("Write an ipBlock with the node's address", l.policy.SetValue(entry, networkingv1.NetworkPolicyPeer{IPBlock: block}))
		}
	}
	return policy.Fix{}
}

// elsewhereFixes look for the pods where they are.
func (l *linter) elsewhereFixes(field string, namespaces []string) []policy.Fix {
	var out []policy.Fix
	for _, ns := range namespaces {
		if field == "spec.podSelector" {
			out = append(out, l.fix("Write namespace: "+ns, l.policy.SetValue("metadata.namespace", ns)))
			continue
		}
		entry := strings.TrimSuffix(field, ".podSelector")
		out = append(out, l.fix("Look in the namespace "+ns, l.policy.InsertField(entry, "namespaceSelector", named(ns), "")))
	}
	return out
}

package lint

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// noEffect looks whether the other end denies every flow that the rule admits.
func (l *linter) noEffect(kind networkingv1.PolicyType, r rule) {
	if r.peers.Any || len(r.peers.Blocks) > 0 {
		return // What is outside allows everything.
	}
	opposite := networkingv1.PolicyTypeEgress
	if kind == networkingv1.PolicyTypeEgress {
		opposite = networkingv1.PolicyTypeIngress
	}
	var closed []int
	for _, other := range l.podsOf(r.peers) {
		flows := false
		for _, pod := range l.selected {
			server := pod
			if kind == networkingv1.PolicyTypeEgress {
				server = other
			}
			ports := l.portsOn(r, server)
			if pod == other || len(ports) == 0 {
				continue
			}
			flows = true
			if isolating := l.isolating[opposite][other]; len(isolating) == 0 || l.admitsAny(isolating, opposite, pod, other, server, ports) {
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
	missing := l.otherEnd(opposite, r, closed)
	from, to := l.names(closed), l.names(l.selected)
	if kind == networkingv1.PolicyTypeEgress {
		from, to = to, from
	}
	l.found(CheckNoEffect, r.Field,
		fmt.Sprintf("%s lets %s connect to %s, but %s %s %s for %s, and no policy allows these connections there: the rule has no effect, since both ends must allow a connection.",
			subject(r.Field), from, to, enumerate(by), plural("isolates", "isolate", len(by)), l.names(closed), strings.ToLower(string(opposite))),
		l.otherEndText(missing), l.fix("Add "+missing[0].Name+", which allows it at the other end", l.policy.AddPolicies(missing...)))
}

// otherEndText says which policies a rule without effect lacks.
func (l *linter) otherEndText(missing []networkingv1.NetworkPolicy) string {
	likewise := ""
	if len(missing) > 1 {
		var namespaces []string
		for _, np := range missing[1:] {
			namespaces = append(namespaces, np.Namespace)
		}
		likewise = "; likewise in " + inNamespaces(namespaces)
	}
	return "Allow it at the other end, too, with a policy such as this" + likewise + ":\n" + text(missing[0])
}

// otherEnd are the policies that a rule without effect lacks, one for each namespace of
// the pods that are closed to it.
func (l *linter) otherEnd(opposite networkingv1.PolicyType, r rule, closed []int) []networkingv1.NetworkPolicy {
	var out []networkingv1.NetworkPolicy
	for _, ns := range l.namespacesOf(closed) {
		out = append(out, l.otherEndIn(ns, opposite, r, closed))
	}
	return out
}

func (l *linter) otherEndIn(namespace string, opposite networkingv1.PolicyType, r rule, closed []int) networkingv1.NetworkPolicy {
	back := networkingv1.NetworkPolicyPeer{PodSelector: &l.policy.Spec.PodSelector}
	if namespace != l.policy.Namespace {
		back.NamespaceSelector = named(l.policy.Namespace)
	}
	missing := networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"}}
	missing.Namespace = namespace
	const most = 240 // A name may have 253 characters.
	name := l.policy.Name
	if len(name) > most {
		name = strings.TrimRight(name[:most], "-.")
	}
	missing.Name = l.FreeName(namespace, name+"-"+strings.ToLower(string(opposite)))
	missing.Spec.PolicyTypes = []networkingv1.PolicyType{opposite}
	peers := []networkingv1.NetworkPolicyPeer{back}
	if opposite == networkingv1.PolicyTypeEgress {
		missing.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: r.Ports}}
	} else {
		missing.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: r.Ports}}
	}
	for i := range r.Peers {
		if slices.ContainsFunc(l.peerPods(r.Peers[i:i+1]), func(pod int) bool {
			return l.pods[pod].Namespace == namespace && slices.Contains(closed, pod)
		}) {
			if s := r.Peers[i].PodSelector; s != nil {
				missing.Spec.PodSelector = *s
			}
			break
		}
	}
	return missing
}

// admitsAny reports whether one of the policies that isolate the other pod lets the
// peer through to one of the ports.
func (l *linter) admitsAny(isolating []*policy.Policy, direction networkingv1.PolicyType, peer, other, server int, ports []policy.PortRange) bool {
	for _, p := range isolating {
		for _, r := range l.rules[p][direction] {
			if !r.peers.Any && !slices.ContainsFunc(l.Endpoints(other), func(o policy.Endpoint) bool {
				from, _ := l.OneFamily(l.endpoint(peer), o)
				return r.peers.Has(from)
			}) {
				continue
			}
			for _, have := range l.portsOn(r, server) {
				if slices.ContainsFunc(ports, func(want policy.PortRange) bool {
					return want.Protocol == have.Protocol && want.Low <= have.High && have.Low <= want.High
				}) {
					return true
				}
			}
		}
	}
	return false
}

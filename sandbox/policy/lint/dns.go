package lint

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

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
func (l *linter) reachesDNS(pod int, protocol corev1.Protocol) bool {
	isolating := l.isolating[networkingv1.PolicyTypeEgress][pod]
	return len(isolating) == 0 || slices.ContainsFunc(l.dns, func(d int) bool {
		return d == pod || slices.ContainsFunc(l.Endpoints(d), func(to policy.Endpoint) bool {
			_, to = l.OneFamily(l.endpoint(pod), to)
			return slices.ContainsFunc(isolating, func(p *policy.Policy) bool {
				return slices.ContainsFunc(l.rules[p][networkingv1.PolicyTypeEgress], func(r rule) bool {
					return (r.peers.Any || r.peers.Has(to)) && (len(r.ports) == 0 || l.hasPort(r, d, policy.DNSPort, protocol))
				})
			})
		})
	})
}

func (l *linter) dnsNotAllowed() {
	if !l.isolates(networkingv1.PolicyTypeEgress) || len(l.dns) == 0 {
		return
	}
	var without []int
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
	message := fmt.Sprintf("This policy isolates %s for egress, and no policy lets %s reach the cluster's DNS by UDP 53, so that no name can be resolved there.", l.names(without), they)
	fix := "Add this rule to a policy that selects " + they + " for egress:\n" + dnsRule
	if tcp {
		message = fmt.Sprintf("This policy isolates %s for egress, and policies let %s reach the cluster's DNS by TCP 53 only; DNS asks by UDP first, so that no name can be resolved there.", l.names(without), they)
		fix = "Add UDP to the rule's ports; a port without protocol is TCP.\n- protocol: UDP\n  port: 53"
	}
	l.found(CheckDNSNotAllowed, field, message, fix, l.dnsFixes(tcp)...)
	// Who allows nothing closes DNS on purpose, and sees what else that closes.
	l.findings[len(l.findings)-1].Hint = len(l.policy.Spec.Egress) == 0
}

func (l *linter) dnsTCPMissing(r rule) {
	var without []int
	for _, pod := range l.selected {
		asks := slices.ContainsFunc(l.dns, func(d int) bool {
			_, to := l.OneFamily(l.endpoint(pod), l.endpoint(d))
			return pod != d && (r.peers.Any || r.peers.Has(to)) && l.hasPort(r, d, policy.DNSPort, corev1.ProtocolUDP)
		})
		if asks && !l.reachesDNS(pod, corev1.ProtocolTCP) {
			without = append(without, pod)
		}
	}
	if len(without) > 0 {
		l.found(CheckDNSTCPMissing, r.Field+".ports",
			fmt.Sprintf("%s lets %s reach the cluster's DNS by UDP 53, and no policy does by TCP 53: names with answers too long for a datagram cannot be resolved.", subject(r.Field), l.names(without)),
			"Add TCP to the rule's ports:\n- protocol: TCP\n  port: 53",
			l.fix("Add TCP 53 to the rule's ports", l.policy.Append(r.Field+".ports", dnsPort(corev1.ProtocolTCP))))
	}
}

package lint

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// servedPorts looks at a rule's ports, and whether the pods that they are looked up on
// have them.
func (l *linter) servedPorts(kind networkingv1.PolicyType, r rule) {
	servers := l.selected
	if kind == networkingv1.PolicyTypeEgress {
		if r.peers.Any || len(r.peers.Blocks) > 0 {
			return // Who serves outside is not known.
		}
		servers = l.podsOf(r.peers)
	}
	if len(servers) == 0 {
		return
	}
	for i, want := range r.ports {
		if r.Ports[i].Port == nil || l.served(want, servers) {
			continue
		}
		field := fmt.Sprintf("%s.ports[%d].port", r.Field, i)
		if l.servicePort(want, servers, field) {
			continue
		}
		if silent := slices.ContainsFunc(servers, func(pod int) bool { return len(l.pods[pod].Ports) == 0 }); silent && want.Name == "" {
			continue
		}
		l.found(CheckPortNotServed, field,
			fmt.Sprintf("%s is %s, and no container of %s declares such a port.", subject(field), want, l.names(servers)), l.portHint(want, servers), l.portFixes(r, i, want, servers)...)
	}
}

// served reports whether one of the pods declares the port. A DNS pod serves DNS
// whatever it declares.
func (l *linter) served(want policy.PortRange, servers []int) bool {
	return slices.ContainsFunc(servers, func(pod int) bool {
		if l.pods[pod].IsDNS() && want.Name == "" && want.Low <= policy.DNSPort && policy.DNSPort <= want.High {
			return true
		}
		return slices.ContainsFunc(l.pods[pod].Ports, func(p policy.Port) bool {
			return cmp.Or(p.Protocol, corev1.ProtocolTCP) == want.Protocol &&
				(p.Name == want.Name && want.Name != "" || want.Name == "" && want.Low <= p.Port && p.Port <= want.High)
		})
	})
}

// servicePort looks whether the port is that of a Service in front of the pods.
func (l *linter) servicePort(want policy.PortRange, servers []int, field string) bool {
	if want.Name == "" && want.Low != want.High {
		return false
	}
	behind := map[int]bool{}
	var service *policy.Service
	var through policy.ServicePort
	var target int32
	for i := range l.network.Services {
		s := &l.network.Services[i]
		for _, sp := range s.Ports {
			if cmp.Or(sp.Protocol, corev1.ProtocolTCP) != want.Protocol || want.Name == "" && sp.Port != want.Low || want.Name != "" && sp.Name != want.Name || len(s.Selector) == 0 {
				continue
			}
			to := sp.TargetPort
			if to == (intstr.IntOrString{}) {
				to = intstr.FromInt32(sp.Port)
			}
			for _, pod := range servers {
				p := l.pods[pod]
				port := p.PortNumber(to, want.Protocol)
				if p.Namespace != s.Namespace || !policy.Matches(&metav1.LabelSelector{MatchLabels: s.Selector}, p.Labels) || port == 0 || want.Name == "" && port == want.Low {
					continue
				}
				behind[pod] = true
				if service == nil {
					service, through, target = s, sp, port
				}
			}
		}
	}
	if service == nil || slices.ContainsFunc(servers, func(pod int) bool { return len(l.pods[pod].Ports) == 0 && !behind[pod] }) {
		return false
	}
	what := fmt.Sprintf("the Service's port %d", through.Port)
	if want.Name != "" {
		what = fmt.Sprintf("the name of the Service's port %d", through.Port)
	}
	l.found(CheckServicePort, field,
		fmt.Sprintf("%s is %s, which no pod here has: it is %s of %s/%s, which leads to port %d of the pods. Policies see the pod's port.",
			subject(field), want, what, service.Namespace, service.Name, target),
		fmt.Sprintf("Write port: %d.", target),
		l.fix(fmt.Sprintf("Write port: %d", target), l.policy.SetValue(field, target)))
	return true
}

// portHint says which ports there are, or which name may have been meant.
func (l *linter) portHint(want policy.PortRange, servers []int) string {
	var have, names []string
	var other corev1.Protocol
	for _, pod := range servers {
		for _, p := range l.pods[pod].Ports {
			text := fmt.Sprintf("%d/%s", p.Port, cmp.Or(p.Protocol, corev1.ProtocolTCP))
			if p.Name != "" {
				text += " (" + p.Name + ")"
			}
			have = append(have, text)
			if cmp.Or(p.Protocol, corev1.ProtocolTCP) == want.Protocol && p.Name != "" {
				names = append(names, p.Name)
			}
			same := p.Name == want.Name && want.Name != "" || want.Name == "" && want.Low <= p.Port && p.Port <= want.High
			if same && (other == "" || cmp.Or(p.Protocol, corev1.ProtocolTCP) < other) {
				other = cmp.Or(p.Protocol, corev1.ProtocolTCP)
			}
		}
	}
	slices.Sort(names)
	switch near := policy.Nearest(want.Name, names); {
	case other != "":
		return fmt.Sprintf("It is declared with another protocol: write protocol: %s.", other)
	case want.Name != "" && near != "":
		return fmt.Sprintf("Did you mean port: %s?", near)
	case len(have) == 0:
		return "Write the number of the port; no container there gives its ports names."
	}
	slices.Sort(have)
	return "Write a port that they declare: " + enumerate(slices.Compact(have)) + "."
}

// hasPort reports whether the port of the pod that serves is among the rule's.
func (l *linter) hasPort(r rule, server int, port int32, protocol corev1.Protocol) bool {
	return slices.ContainsFunc(r.ports, func(want policy.PortRange) bool {
		switch {
		case want.Protocol != protocol:
			return false
		case want.Name == "":
			return want.Low <= port && port <= want.High
		}
		p := &l.pods[server]
		return !p.HostNetwork && slices.ContainsFunc(p.Ports, func(have policy.Port) bool {
			return have.Port == port && have.Name == want.Name && cmp.Or(have.Protocol, corev1.ProtocolTCP) == protocol
		})
	})
}

// portsOn are a rule's ports on the pod that serves, as numbers: a name is looked
// up there.
func (l *linter) portsOn(r rule, server int) []policy.PortRange {
	if len(r.ports) == 0 {
		var all []policy.PortRange
		for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
			all = append(all, policy.PortRange{Protocol: protocol, Low: 1, High: 65535})
		}
		return all
	}
	var out []policy.PortRange
	for _, want := range r.ports {
		if want.Name == "" {
			out = append(out, want)
			continue
		}
		for _, have := range l.pods[server].Ports {
			if have.Name == want.Name && cmp.Or(have.Protocol, corev1.ProtocolTCP) == want.Protocol {
				out = append(out, policy.PortRange{Protocol: want.Protocol, Low: have.Port, High: have.Port})
			}
		}
	}
	return out
}

package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Remedy is what would allow a flow: at most one policy for each end that blocks
// it, to be applied beside those that are there. Together they allow the flow and
// as little else as labels can tell apart: pods that carry the same labels in the
// same namespace get the same, and hosts of one address. It is empty where the
// flow is allowed already, and where no policy can allow it (a Service that leads
// to no pod; an end that is no pod and has no address).
func (e *Evaluator) Remedy(f Flow) []networkingv1.NetworkPolicy {
	if backends, ok := e.backends(f); ok {
		var out []networkingv1.NetworkPolicy
		for _, b := range backends {
			for _, p := range e.remedy(Flow{From: f.From, To: b.pod, Port: b.port, Protocol: f.Protocol}) {
				// Backends with the same labels have the same remedy.
				if !slices.ContainsFunc(out, func(o networkingv1.NetworkPolicy) bool { return o.Namespace == p.Namespace && o.Name == p.Name }) {
					out = append(out, p)
				}
			}
		}
		return out
	}
	return e.remedy(f)
}

func (e *Evaluator) remedy(f Flow) []networkingv1.NetworkPolicy {
	f.From, f.To = e.OneFamily(f.From, f.To)
	d := e.decidePod(f, true)
	var out []networkingv1.NetworkPolicy
	protocol := orTCP(f.Protocol)
	port := intstr.FromInt32(f.Port)
	ports := []networkingv1.NetworkPolicyPort{{Protocol: &protocol, Port: &port}}
	name := objectName("allow-" + shortName(d.From) + "-to-" + shortName(d.To))
	if !d.Ingress.Allowed {
		if peer, ok := e.peer(f.From, f.To); ok {
			p := e.allow(f.To, name, networkingv1.PolicyTypeIngress)
			p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports}}
			out = append(out, p)
		}
	}
	if !d.Egress.Allowed {
		if peer, ok := e.peer(f.To, f.From); ok {
			p := e.allow(f.From, name+"-egress", networkingv1.PolicyTypeEgress)
			p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports}}
			out = append(out, p)
		}
	}
	return out
}

// allow is the frame of a policy that selects one pod.
func (e *Evaluator) allow(self Endpoint, name string, direction networkingv1.PolicyType) networkingv1.NetworkPolicy {
	pod := e.pods[self.pod-1]
	return networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Name: e.FreeName(pod.Namespace, name), Namespace: pod.Namespace},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: e.only(pod), PolicyTypes: []networkingv1.PolicyType{direction}},
	}
}

// FreeName is the name, with a number behind it where a policy of the namespace has it.
func (e *Evaluator) FreeName(namespace, name string) string {
	free := name
	for n := 2; e.policyOf(Ref{namespace, free}) != nil; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}

// objectName makes a name of what may be an address, or too long.
func objectName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ':' {
			return '-'
		}
		return r
	}, s)
	if most := validation.DNS1123SubdomainMaxLength - len("-egress-999"); len(s) > most {
		s = strings.TrimRight(s[:most], "-.")
	}
	return s
}

// peer is the narrowest peer that is the endpoint, in a rule for other.
func (e *Evaluator) peer(end, other Endpoint) (networkingv1.NetworkPolicyPeer, bool) {
	if end.pod == 0 || e.pods[end.pod-1].HostNetwork {
		if !end.addr.IsValid() {
			return networkingv1.NetworkPolicyPeer{}, false
		}
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(end.addr, end.addr.BitLen()).String()}}, true
	}
	pod := e.pods[end.pod-1]
	selector := e.only(pod)
	peer := networkingv1.NetworkPolicyPeer{PodSelector: &selector}
	if e.pods[other.pod-1].Namespace != pod.Namespace {
		peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{nameLabel: pod.Namespace}}
	}
	return peer, true
}

// only is the shortest selector found that selects the pod and, in its namespace,
// nothing that carries other labels: where it can, by labels that last.
func (e *Evaluator) only(pod compiledPod) metav1.LabelSelector {
	var others []map[string]string
	for i := range e.pods {
		if o := e.pods[i]; o.Namespace == pod.Namespace && !o.HostNetwork && !maps.Equal(o.Labels, pod.Labels) {
			others = append(others, o.Labels)
		}
	}
	out, ok := Narrow(pod.Labels, others, false)
	if !ok {
		out, _ = Narrow(pod.Labels, others, true) // Labels that are not equal are told apart by some.
	}
	// Alone in its namespace, the pod should still be named, for others may come.
	if key, ok := NamingLabel(pod.Labels); ok && SelectsAll(&out) {
		out.MatchLabels = map[string]string{key: pod.Labels[key]}
	}
	return out
}

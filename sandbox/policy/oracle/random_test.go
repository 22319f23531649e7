package oracle

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// mended is a network and its policies in words that cyclonus understands rightly:
// with policyTypes filled in, In for what matchLabels asks of an empty value, and
// for each NotIn on a key that something lacks a label that says whether it is met
// (apimachinery says so).
type mended struct {
	policies   []*networkingv1.NetworkPolicy
	namespaces map[string]map[string]string
	pods       []map[string]string // In the network's order.
	marks      int
}

func mend(tb testing.TB, n policy.Network, policies []policy.Policy) *mended {
	tb.Helper()
	m := &mended{namespaces: map[string]map[string]string{}}
	for _, ns := range n.Namespaces {
		m.namespaces[ns.Name] = map[string]string{}
		maps.Copy(m.namespaces[ns.Name], ns.Labels)
		m.namespaces[ns.Name][corev1.LabelMetadataName] = ns.Name
	}
	for _, p := range n.Pods {
		m.pods = append(m.pods, maps.Clone(p.Labels))
	}
	for i := range policies {
		p := policies[i].DeepCopy()
		if len(p.Spec.PolicyTypes) == 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
			if len(p.Spec.Egress) > 0 {
				p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
			}
		}
		m.selector(tb, &p.Spec.PodSelector, m.pods)
		for _, r := range p.Spec.Ingress {
			m.peers(tb, r.From)
		}
		for _, r := range p.Spec.Egress {
			m.peers(tb, r.To)
		}
		m.policies = append(m.policies, p)
	}
	return m
}

func (m *mended) peers(tb testing.TB, peers []networkingv1.NetworkPolicyPeer) {
	for i := range peers {
		m.selector(tb, peers[i].PodSelector, m.pods)
		var all []map[string]string
		for _, labels := range m.namespaces {
			all = append(all, labels)
		}
		m.selector(tb, peers[i].NamespaceSelector, all)
	}
}

func (m *mended) selector(tb testing.TB, s *metav1.LabelSelector, of []map[string]string) {
	if s == nil {
		return
	}
	for key, value := range s.MatchLabels {
		if value == "" {
			delete(s.MatchLabels, key)
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{""}})
		}
	}
	for i, r := range s.MatchExpressions {
		everywhere := !slices.ContainsFunc(of, func(set map[string]string) bool { _, ok := set[r.Key]; return !ok })
		if r.Operator != metav1.LabelSelectorOpNotIn || everywhere {
			continue
		}
		alone, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{r}})
		if err != nil {
			tb.Fatal(err)
		}
		m.marks++
		mark := fmt.Sprintf("mark-%d", m.marks)
		for _, set := range of {
			if alone.Matches(labels.Set(set)) {
				set[mark] = "met"
			}
		}
		s.MatchExpressions[i] = metav1.LabelSelectorRequirement{Key: mark, Operator: metav1.LabelSelectorOpExists}
	}
}

// end is one end of a flow, as both know it.
type end struct {
	theirs *matcher.TrafficPeer
	ours   policy.Endpoint
	ports  []policy.Port
}

// ends are the pods with an address of the family, but for those in their node's
// network, which cyclonus does not know of; and the hosts outside.
func (m *mended) ends(n policy.Network, e *policy.Evaluator, bits int) []end {
	var out []end
	for i, p := range n.Pods {
		for _, ip := range p.IPs {
			if ip.BitLen() == bits && !p.HostNetwork {
				out = append(out, end{&matcher.TrafficPeer{IP: ip.String(), Internal: &matcher.InternalPeer{
					Namespace: p.Namespace, NamespaceLabels: m.namespaces[p.Namespace], PodLabels: m.pods[i],
				}}, e.Address(ip), p.Ports})
			}
		}
	}
	for _, h := range n.Hosts {
		for _, ip := range h.IPs {
			if ip.BitLen() == bits {
				out = append(out, end{&matcher.TrafficPeer{IP: ip.String()}, e.Address(ip), nil})
			}
		}
	}
	return out
}

// portNames are the names that the end has for a port; "" where it has none.
func (d *end) portNames(port int32, protocol corev1.Protocol) []string {
	var out []string
	for _, p := range d.ports {
		if p.Port == port && (p.Protocol == protocol || p.Protocol == "" && protocol == corev1.ProtocolTCP) {
			out = append(out, p.Name)
		}
	}
	if out == nil {
		return []string{""}
	}
	return out
}

// Policies drawn at random mean the same to both once they are put into words that
// cyclonus is right about, on flows of both families between pods and with a host
// outside. Policies are not simplified there: that is one of its known errors.
func TestRandom_policies_have_no_disagreement(t *testing.T) {
	const sets = 1000
	flows, allowed := 0, 0
	for seed := range uint64(sets) {
		n := policytest.Network(seed)
		policies := policytest.New(seed, n).Policies(8)
		m := mend(t, n, policies)
		e, err := policy.Compile(n, policies)
		if err != nil {
			t.Fatal(err)
		}
		theirs := matcher.BuildNetworkPolicies(false, m.policies)
		for _, bits := range []int{netip.IPv4Unspecified().BitLen(), netip.IPv6Unspecified().BitLen()} {
			ends := m.ends(n, e, bits)
			for i := range ends {
				for j := range ends {
					if i == j {
						continue
					}
					from, to := &ends[i], &ends[j]
					for _, protocol := range protocols {
						for _, port := range []int32{80, 81, 82, 443} {
							f := policy.Flow{From: from.ours, To: to.ours, Port: port, Protocol: protocol}
							got, why := e.Allowed(f), e.Explain(f)
							// Cyclonus knows of one name for a port. Policies only allow, so
							// what they allow under one of its names is allowed.
							egress, ingress := false, false
							for _, name := range to.portNames(port, protocol) {
								want := theirs.IsTrafficAllowed(&matcher.Traffic{
									Source: from.theirs, Destination: to.theirs, ResolvedPort: int(port), ResolvedPortName: name, Protocol: protocol,
								})
								egress, ingress = egress || want.Egress.IsAllowed(), ingress || want.Ingress.IsAllowed()
							}
							if got != why.Allowed || why.Egress.Allowed != egress || why.Ingress.Allowed != ingress {
								t.Fatalf("seed %d: %s: Allowed says %t, Explain egress %t and ingress %t, cyclonus %t and %t", seed, describe(why),
									got, why.Egress.Allowed, why.Ingress.Allowed, egress, ingress)
							}
							flows++
							if got {
								allowed++
							}
						}
					}
				}
			}
		}
	}
	if allowed == 0 || allowed == flows {
		t.Errorf("%d of %d flows are allowed: nothing was compared", allowed, flows)
	}
	t.Logf("%d sets of policies: %d flows compared, %d of them allowed", sets, flows, allowed)
}

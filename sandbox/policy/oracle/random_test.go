package oracle

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// drawn is a network with its policies, prepared for both evaluators alike: what
// does not depend on the policies is ready.
type drawn struct {
	network    policy.Network
	policies   []policy.Policy
	theirs     []*networkingv1.NetworkPolicy
	peers      []*matcher.TrafficPeer // The pods in their order, then the hosts.
	namespaces map[string]map[string]string
}

func draw(seed uint64, size policytest.Size) drawn {
	var d drawn
	d.network, d.policies = policytest.Draw(rand.New(rand.NewPCG(seed, 0)), size)
	for i := range d.policies {
		d.theirs = append(d.theirs, &d.policies[i].NetworkPolicy)
	}
	d.namespaces = map[string]map[string]string{}
	for _, ns := range d.network.Namespaces {
		d.namespaces[ns.Name] = ns.Labels
	}
	for _, p := range d.network.Pods {
		d.peers = append(d.peers, &matcher.TrafficPeer{IP: p.IPs[0].String(), Internal: &matcher.InternalPeer{
			Namespace: p.Namespace, NamespaceLabels: d.namespaces[p.Namespace], PodLabels: p.Labels,
		}})
	}
	for _, ip := range policytest.Hosts {
		d.peers = append(d.peers, &matcher.TrafficPeer{IP: ip.String()})
	}
	return d
}

// endpoints are those of the peers, in their order.
func (d *drawn) endpoints(tb testing.TB, e *policy.Evaluator) []policy.Endpoint {
	tb.Helper()
	out := make([]policy.Endpoint, len(d.peers))
	for i, p := range d.peers {
		if p.Internal == nil {
			out[i] = e.Address(netip.MustParseAddr(p.IP))
			continue
		}
		var ok bool
		if out[i], ok = e.Pod(d.network.Pods[i].Namespace, d.network.Pods[i].Name); !ok {
			tb.Fatalf("there is no pod %s/%s", d.network.Pods[i].Namespace, d.network.Pods[i].Name)
		}
	}
	return out
}

// portName is the name that the peer's pod has for a port.
func (d *drawn) portName(peer int, port int32, protocol corev1.Protocol) string {
	if peer >= len(d.network.Pods) {
		return ""
	}
	for _, p := range d.network.Pods[peer].Ports {
		if p.Port == port && (p.Protocol == protocol || p.Protocol == "" && protocol == corev1.ProtocolTCP) {
			return p.Name
		}
	}
	return ""
}

// Policies drawn at random, without what cyclonus is known to get wrong, mean the
// same to both, on flows between pods and with hosts outside.
func TestRandomPoliciesHaveNoDisagreement(t *testing.T) {
	const sets = 500
	asked := []policy.Port{
		{Port: 80, Protocol: corev1.ProtocolTCP}, {Port: 8080, Protocol: corev1.ProtocolTCP}, {Port: 8100, Protocol: corev1.ProtocolTCP},
		{Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 8080, Protocol: corev1.ProtocolUDP}, {Port: 80, Protocol: corev1.ProtocolSCTP},
	}
	flows, allowed := 0, 0
	for seed := range uint64(sets) {
		d := draw(seed, policytest.Size{Namespaces: 3, PodsPerNamespace: 3, Policies: 1 + int(seed%9)})
		e, err := policy.Compile(d.network, d.policies)
		if err != nil {
			t.Fatal(err)
		}
		theirs := matcher.BuildNetworkPolicies(true, d.theirs)
		ends := d.endpoints(t, e)
		for from := range ends {
			for to := range ends {
				if from == to {
					continue
				}
				for _, p := range asked {
					f := policy.Flow{From: ends[from], To: ends[to], Port: p.Port, Protocol: p.Protocol}
					got, why := e.Allowed(f), e.Explain(f)
					want := theirs.IsTrafficAllowed(&matcher.Traffic{
						Source: d.peers[from], Destination: d.peers[to],
						ResolvedPort: int(p.Port), ResolvedPortName: d.portName(to, p.Port, p.Protocol), Protocol: p.Protocol,
					})
					if got != why.Allowed || why.Egress.Allowed != want.Egress.IsAllowed() || why.Ingress.Allowed != want.Ingress.IsAllowed() {
						t.Fatalf("seed %d: %s: Allowed says %t, Explain egress %t and ingress %t, cyclonus %t and %t", seed, describe(why),
							got, why.Egress.Allowed, why.Ingress.Allowed, want.Egress.IsAllowed(), want.Ingress.IsAllowed())
					}
					flows++
					if got {
						allowed++
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

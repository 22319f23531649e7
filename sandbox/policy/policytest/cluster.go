package policytest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	corev1 "k8s.io/api/core/v1"
)

// Cluster draws a network of any size, of at most 256 namespaces with at most
// 65,000 pods each: plainer than Network, for measuring. All namespaces have the labels
// team and env, and all pods app and tier; all pods serve http on 8080/TCP, or one
// in three on 80/TCP, and dns on 53/UDP. There is one host outside.
func Cluster(seed uint64, namespaces, podsPerNamespace int) policy.Network {
	r := rand.New(rand.NewPCG(seed, 2))
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	n := policy.Network{Hosts: []policy.Host{{Name: "internet", IPs: []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, 10})}}}}
	for i := range namespaces {
		ns := policy.Namespace{Name: fmt.Sprintf("n%d", i), Labels: map[string]string{
			"team": one("red", "green", "blue"), "env": one("production", "staging", "development"),
		}}
		ns.Labels[corev1.LabelMetadataName] = ns.Name
		n.Namespaces = append(n.Namespaces, ns)
		for j := range podsPerNamespace {
			http := int32(8080)
			if r.IntN(3) == 0 {
				http = 80
			}
			n.Pods = append(n.Pods, policy.Pod{
				Namespace: ns.Name, Name: fmt.Sprintf("p%d", j),
				Labels: map[string]string{"app": one("web", "api", "database", "queue"), "tier": one("front", "back")},
				IPs:    []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i), byte((1 + j) >> 8), byte(1 + j)})},
				Ports:  []policy.Port{{Name: "http", Port: http}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}},
			})
		}
	}
	return n
}

package sandbox_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// shop has one of everything that a topology can have, and two pods that share
// the node's address.
func shop(t *testing.T) *sandbox.Topology {
	t.Helper()
	topology, err := sandbox.ParseTopology([]byte(`
name: shop
namespaces:
- name: shop
  labels: {environment: production}
  pods:
  - {name: web, labels: {app: web}, ports: [{name: http, port: 8080}]}
  - {name: api, labels: {app: api}, ports: [{name: http, port: 8080}, {name: stats, port: 9090, protocol: UDP}]}
  services:
  - {name: shop-api, pod: api, ports: [{name: http, port: 80, targetPort: 8080}, {port: 9090, targetPort: 9090, protocol: UDP}]}
- name: other
  pods:
  - {name: agent, labels: {app: agent}, hostNetwork: true, ports: [{port: 9100}]}
  - {name: logger, labels: {app: logger}, hostNetwork: true, ports: [{port: 9200}]}
  - {name: shell, labels: {app: shell}}
external:
- {name: internet, ports: [{port: 443}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

var shopAddresses = sandbox.Addresses{
	Pods: map[string]netip.Addr{
		"shop/web": netip.MustParseAddr("10.244.0.10"), "shop/api": netip.MustParseAddr("10.244.0.11"), "other/shell": netip.MustParseAddr("10.244.0.12"),
		"other/agent": netip.MustParseAddr("172.18.0.2"),
	},
	Services: map[string]netip.Addr{"shop/shop-api": netip.MustParseAddr("10.96.1.1")},
	External: map[string]netip.Addr{"internet": netip.MustParseAddr("172.18.0.3")},
	DNS:      netip.MustParseAddr("10.96.0.10"),
	DNSPods:  []netip.Addr{netip.MustParseAddr("10.244.0.2"), netip.MustParseAddr("10.244.0.3")},
	Node:     netip.MustParseAddr("172.18.0.2"),
}

func TestNetwork_has_the_topology_and_what_every_cluster_has(t *testing.T) {
	n := shop(t).Network(shopAddresses)
	var got []string
	for _, ns := range n.Namespaces {
		got = append(got, "namespace "+ns.Name)
	}
	for _, p := range n.Pods {
		line := "pod " + p.Namespace + "/" + p.Name
		for _, a := range p.IPs {
			line += " " + a.String()
		}
		if p.HostNetwork {
			line += " on the host's network"
		}
		got = append(got, line)
		if p.Node != n.Nodes[0].Name {
			t.Errorf("%s runs on %q", line, p.Node)
		}
	}
	for _, s := range n.Services {
		got = append(got, "service "+s.Namespace+"/"+s.Name+" "+s.ClusterIPs[0].String())
	}
	for _, h := range n.Hosts {
		got = append(got, "host "+h.Name+" "+h.IPs[0].String())
	}
	want := []string{
		"namespace shop", "namespace other", "namespace default", "namespace kube-node-lease", "namespace kube-public", "namespace kube-system",
		"pod shop/web 10.244.0.10", "pod shop/api 10.244.0.11",
		"pod other/agent 172.18.0.2 on the host's network", "pod other/logger 172.18.0.2 on the host's network", "pod other/shell 10.244.0.12",
		"pod kube-system/coredns-1 10.244.0.2", "pod kube-system/coredns-2 10.244.0.3",
		"service shop/shop-api 10.96.1.1", "service kube-system/kube-dns 10.96.0.10",
		"host internet 172.18.0.3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	dns := n.Pods[len(n.Pods)-1]
	if dns.Labels["k8s-app"] != "kube-dns" || !slices.Equal(dns.Ports, []policy.Port{
		{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
		{Name: "metrics", Port: 9153, Protocol: corev1.ProtocolTCP},
	}) {
		t.Errorf("the DNS pods are %+v", dns)
	}
}

package policy_test

import (
	"net/netip"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// A connection has one family at both ends: that of the destination's address. An
// end that is named by its pod has the address of that family, whichever of its
// addresses comes first, and so an ipBlock of the other family says nothing of it.
func TestIPBlock_matches_the_family_of_the_connection(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.244.0.1"), netip.MustParseAddr("fd00::1")
	server4, server6 := netip.MustParseAddr("10.244.0.2"), netip.MustParseAddr("fd00::2")
	n := policy.Network{Pods: []policy.Pod{
		{Namespace: "shop", Name: "client", Labels: map[string]string{"app": "client"}, IPs: []netip.Addr{v4, v6}},
		{Namespace: "shop", Name: "server", Labels: map[string]string{"app": "server"}, IPs: []netip.Addr{server4, server6}},
		{Namespace: "shop", Name: "six", Labels: map[string]string{"app": "client"}, IPs: []netip.Addr{netip.MustParseAddr("fd00::3")}},
	}, Services: []policy.Service{{
		Namespace: "shop", Name: "server", Selector: map[string]string{"app": "server"}, Ports: []policy.ServicePort{{Port: 80}},
		ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("fd96::1")},
	}}}
	egress := func(cidr string) string {
		return np("shop", "out", "  podSelector: {matchLabels: {app: client}}\n  policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: '"+cidr+"'}}]}]\n")
	}
	ingress := func(cidr string) string {
		return np("shop", "in", "  podSelector: {matchLabels: {app: server}}\n  ingress: [{from: [{ipBlock: {cidr: '"+cidr+"'}}]}]\n")
	}
	for _, c := range []struct {
		name, policy, from, to string
		want                   bool
	}{
		{"egress to the IPv4 address, by pod", egress("10.244.0.2/32"), "shop/client", "shop/server", true},
		{"egress to the IPv4 address", egress("10.244.0.2/32"), "shop/client", "10.244.0.2", true},
		{"egress to the IPv6 address, of which IPv4 says nothing", egress("10.244.0.2/32"), "shop/client", "fd00::2", false},
		{"egress to the IPv6 address", egress("fd00::2/128"), "shop/client", "fd00::2", true},
		{"egress to the IPv4 address, of which IPv6 says nothing", egress("fd00::2/128"), "shop/client", "10.244.0.2", false},
		{"egress from an IPv6 pod to a pod", egress("fd00::2/128"), "shop/six", "shop/server", true},
		{"egress to the Service's IPv6 address", egress("fd00::2/128"), "shop/client", "fd96::1", true},
		{"egress to the Service's IPv6 address, of which IPv4 says nothing", egress("10.244.0.2/32"), "shop/client", "fd96::1", false},
		{"egress to the Service's IPv4 address", egress("10.244.0.2/32"), "shop/client", "10.96.0.1", true},
		{"ingress at the IPv4 address", ingress("10.244.0.1/32"), "shop/client", "10.244.0.2", true},
		{"ingress at the IPv6 address, of which IPv4 says nothing", ingress("10.244.0.1/32"), "shop/client", "fd00::2", false},
		{"ingress at the IPv6 address", ingress("fd00::1/128"), "shop/client", "fd00::2", true},
		{"ingress from an IPv6 host to a pod", ingress("2001:db8::1/128"), "2001:db8::1", "shop/server", true},
		{"ingress from an IPv6 pod to a pod", ingress("fd00::3/128"), "shop/six", "shop/server", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := compile(t, n, parse(t, c.policy))
			f := policy.Flow{From: end(t, e, c.from), To: end(t, e, c.to), Port: 80}
			if why := e.Explain(f); e.Allowed(f) != c.want || why.Allowed != c.want {
				t.Errorf("Allowed says %t, Explain %t, want %t: %s", e.Allowed(f), why.Allowed, c.want, why)
			}
		})
	}
}

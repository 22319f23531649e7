package sandbox

import "net/netip"

// clusterRanges are the ranges that a sandbox's cluster has for itself.
var clusterRanges = map[string]netip.Prefix{
	"pods":     netip.MustParsePrefix("10.244.0.0/16"),
	"Services": netip.MustParsePrefix("10.96.0.0/16"),
}

// ClusterRange is the range of addresses that every sandbox's cluster has for its
// "pods" or its "Services".
func ClusterRange(of string) netip.Prefix { return clusterRanges[of] }

// FixedAddresses are those that are known before there is a cluster: of the outside
// hosts.
func (t *Topology) FixedAddresses() Addresses {
	a := Addresses{External: map[string]netip.Addr{}}
	for _, x := range t.External {
		a.External[x.Name] = x.Address
	}
	return a
}

// addressHosts gives the outside hosts without an address one that is kept for
// documentation, so that it is nobody's.
func (t *Topology) addressHosts() {
	taken := map[netip.Addr]bool{}
	for _, x := range t.External {
		taken[x.Address] = true
	}
	next := netip.MustParseAddr("203.0.113.10")
	for i := range t.External {
		if t.External[i].Address.IsValid() {
			continue
		}
		for taken[next] {
			next = next.Next()
		}
		t.External[i].Address, taken[next] = next, true
	}
}

// PlannedAddresses are addresses for the topology where no cluster has given any:
// the same each time, in the ranges that a kind cluster has by default.
func (t *Topology) PlannedAddresses() Addresses {
	from := func(first string) func() netip.Addr {
		next := netip.MustParseAddr(first)
		return func() netip.Addr {
			addr := next
			next = next.Next()
			return addr
		}
	}
	pod, service := from("10.244.0.10"), from("10.96.1.1")
	a := Addresses{
		Pods: map[string]netip.Addr{}, Services: map[string]netip.Addr{}, External: map[string]netip.Addr{},
		DNS: netip.MustParseAddr("10.96.0.10"), DNSPods: []netip.Addr{netip.MustParseAddr("10.244.0.2")},
		Node: netip.MustParseAddr("172.18.0.2"),
	}
	for _, ns := range t.Namespaces {
		for _, p := range ns.Pods {
			addr := a.Node
			if !p.HostNetwork {
				addr = pod()
			}
			a.Pods[ns.Name+"/"+p.Name] = addr
		}
		for _, s := range ns.Services {
			a.Services[ns.Name+"/"+s.Name] = service()
		}
	}
	for _, x := range t.External {
		a.External[x.Name] = x.Address
	}
	return a
}

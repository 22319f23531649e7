package sandbox_test

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

func lessonTopology(t testing.TB) *sandbox.Topology {
	t.Helper()
	src, err := os.ReadFile("../lessons/content/01-network-policies/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topology, err := sandbox.ParseTopology(src)
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

func TestPlannedAddresses_are_the_same_each_time_and_nobody_s_twice(t *testing.T) {
	topology := lessonTopology(t)
	a := topology.PlannedAddresses()
	if !reflect.DeepEqual(a, lessonTopology(t).PlannedAddresses()) {
		t.Error("two sandboxes of one topology have different addresses")
	}
	owner := map[netip.Addr]string{a.DNS: "cluster DNS", a.DNSPods[0]: "the DNS pod"}
	own := func(addr netip.Addr, name string) {
		if other, ok := owner[addr]; ok || !addr.IsValid() {
			t.Errorf("%s has the address %s of %q", name, addr, other)
		}
		owner[addr] = name
	}
	own(a.Node, "the node")
	for name, addr := range a.Services {
		own(addr, "Service "+name)
	}
	for name, addr := range a.External {
		own(addr, name)
	}
	for name, addr := range a.Pods {
		if name == "monitoring/node-agent" {
			if addr != a.Node {
				t.Errorf("%s has the address %s, want the node's", name, addr)
			}
			continue
		}
		own(addr, name)
	}
	if len(a.Pods) != len(topology.Sources()) || len(a.Services) != 4 {
		t.Errorf("%d pods and %d Services have addresses", len(a.Pods), len(a.Services))
	}
}

func TestPlannedAddresses_there_are_enough_for_more_pods_than_a_byte_counts(t *testing.T) {
	topology := &sandbox.Topology{Namespaces: []sandbox.Namespace{{Name: "many"}}}
	for i := range 1000 {
		topology.Namespaces[0].Pods = append(topology.Namespaces[0].Pods, sandbox.Pod{Name: fmt.Sprint("pod-", i)})
	}
	seen := map[netip.Addr]bool{}
	for _, addr := range topology.PlannedAddresses().Pods {
		seen[addr] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 pods have %d addresses", len(seen))
	}
}

func TestPlannedAddresses_a_host_has_the_address_of_the_topology_or_one_that_is_nobody_s(t *testing.T) {
	topology, err := sandbox.ParseTopology([]byte(`name: a
namespaces: [{name: x}]
external:
  - {name: first, ports: []}
  - {name: given, address: 203.0.113.11, ports: []}
  - {name: last, ports: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]netip.Addr{"first": netip.MustParseAddr("203.0.113.10"), "given": netip.MustParseAddr("203.0.113.11"), "last": netip.MustParseAddr("203.0.113.12")}
	if got := topology.PlannedAddresses().External; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

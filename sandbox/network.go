package sandbox

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

const (
	// nodeName names a sandbox's one node.
	nodeName = "node"
	// The label of the pods behind the DNS service, in every cluster.
	dnsPodLabel, dnsPodValue = "k8s-app", "kube-dns"
	// DNSPodSelector selects these pods among those of [DNSNamespace].
	DNSPodSelector = dnsPodLabel + "=" + dnsPodValue
)

// Network is the topology as policies see it, with what every cluster has
// without being listed: Kubernetes' own namespaces, and in kube-system the DNS
// pods with their Service.
//
// Nothing needs an address to be there, but what has none is matched by no rule
// about addresses; and a pod in the node's network has the node's address where it
// has none of its own. Where the addresses of the DNS pods are not known, there is
// one such pod without.
func (t *Topology) Network(a Addresses) policy.Network {
	n := policy.Network{Nodes: []policy.Node{{Name: nodeName, IPs: known(a.Node)}}}
	for _, ns := range t.Namespaces {
		n.Namespaces = append(n.Namespaces, policy.Namespace{Name: ns.Name, Labels: ns.Labels})
		pods := make(map[string]Pod, len(ns.Pods))
		for _, p := range ns.Pods {
			pods[p.Name] = p
			addr := a.Pods[ns.Name+"/"+p.Name]
			if !addr.IsValid() && p.HostNetwork {
				addr = a.Node
			}
			n.Pods = append(n.Pods, policy.Pod{
				Namespace: ns.Name, Name: p.Name, Labels: p.Labels, IPs: known(addr),
				HostNetwork: p.HostNetwork, Node: nodeName, Ports: networkPorts(p.Ports),
			})
		}
		for _, s := range ns.Services {
			service := policy.Service{
				Namespace: ns.Name, Name: s.Name, ClusterIPs: known(a.Services[ns.Name+"/"+s.Name]), Selector: pods[s.Pod].Labels,
			}
			for _, p := range s.Ports {
				service.Ports = append(service.Ports, policy.ServicePort{
					Name: p.Name, Port: int32(p.Port), Protocol: corev1.Protocol(p.Protocol), TargetPort: intstr.FromInt32(int32(p.TargetPort)),
				})
			}
			n.Services = append(n.Services, service)
		}
	}
	for _, x := range t.External {
		n.Hosts = append(n.Hosts, policy.Host{Name: x.Name, IPs: known(a.External[x.Name]), Ports: networkPorts(x.Ports)})
	}
	for _, name := range []string{"default", "kube-node-lease", "kube-public", DNSNamespace} {
		n.Namespaces = append(n.Namespaces, policy.Namespace{Name: name})
	}
	for i := range max(1, len(a.DNSPods)) {
		pod := policy.Pod{
			Namespace: DNSNamespace, Name: fmt.Sprintf("coredns-%d", i+1), Labels: map[string]string{dnsPodLabel: dnsPodValue}, Node: nodeName,
			Ports: networkPorts(dnsPorts),
		}
		if i < len(a.DNSPods) {
			pod.IPs = known(a.DNSPods[i])
		}
		n.Pods = append(n.Pods, pod)
	}
	dns := policy.Service{Namespace: DNSNamespace, Name: DNSName, ClusterIPs: known(a.DNS), Selector: map[string]string{dnsPodLabel: dnsPodValue}}
	for _, p := range dnsPorts {
		dns.Ports = append(dns.Ports, policy.ServicePort{Name: p.Name, Port: int32(p.Port), Protocol: corev1.Protocol(p.Protocol)})
	}
	n.Services = append(n.Services, dns)
	return n
}

// known is the address as a list, which is empty where it is not known.
func known(a netip.Addr) []netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return []netip.Addr{a}
}

func networkPorts(ports []Port) []policy.Port {
	out := make([]policy.Port, len(ports))
	for i, p := range ports {
		out[i] = policy.Port{Name: p.Name, Port: int32(p.Port), Protocol: corev1.Protocol(p.Protocol)}
	}
	return out
}

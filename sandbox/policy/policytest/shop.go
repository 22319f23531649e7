package policytest

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Shop is the network of many a test: a shop of three pods, a developer's
// shell, monitoring with a host-network pod, and the cluster's DNS.
func Shop() policy.Network {
	addr := func(s ...string) (out []netip.Addr) {
		for _, a := range s {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	app := func(name string) map[string]string { return map[string]string{"app": name} }
	http := policy.Port{Name: "http", Port: 8080}
	return policy.Network{
		Namespaces: []policy.Namespace{
			{Name: "production", Labels: map[string]string{"environment": "production"}},
			{Name: "development", Labels: map[string]string{"environment": "development"}},
			{Name: "monitoring", Labels: map[string]string{"environment": "monitoring"}},
			{Name: "kube-system"},
			{Name: "empty", Labels: map[string]string{"environment": "empty"}},
		},
		Pods: []policy.Pod{
			{Namespace: "production", Name: "web", Labels: app("web"), IPs: addr("10.244.0.11"), Node: "worker", Ports: []policy.Port{http}},
			{Namespace: "production", Name: "api", Labels: app("api"), IPs: addr("10.244.0.12"), Node: "worker", Ports: []policy.Port{http, {Name: "admin", Port: 9090}}},
			{Namespace: "production", Name: "db", Labels: app("db"), IPs: addr("10.244.0.13"), Node: "worker", Ports: []policy.Port{{Name: "postgres", Port: 5432}}},
			{Namespace: "development", Name: "shell", Labels: app("shell"), IPs: addr("10.244.0.21"), Node: "worker"},
			{Namespace: "monitoring", Name: "prometheus", Labels: app("prometheus"), IPs: addr("10.244.0.31"), Node: "worker", Ports: []policy.Port{{Name: "http", Port: 9090}, {Name: "statsd", Port: 8125, Protocol: corev1.ProtocolUDP}}},
			{Namespace: "monitoring", Name: "grafana", Labels: app("grafana"), IPs: addr("10.244.0.32"), Node: "worker", Ports: []policy.Port{{Name: "http", Port: 3000}}},
			{Namespace: "monitoring", Name: "node-agent", Labels: app("node-agent"), IPs: addr("172.18.0.2"), HostNetwork: true, Node: "worker", Ports: []policy.Port{{Name: "metrics", Port: 9100}}},
			{Namespace: "kube-system", Name: "coredns", Labels: map[string]string{"k8s-app": "kube-dns"}, IPs: addr("10.244.0.2"), Node: "worker", Ports: []policy.Port{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}}},
		},
		Services: []policy.Service{
			{Namespace: "production", Name: "api", ClusterIPs: addr("10.96.0.80"), Selector: app("api"), Ports: []policy.ServicePort{{Name: "shop", Port: 80, TargetPort: intstr.FromString("http")}}},
			{Namespace: "production", Name: "db", ClusterIPs: addr("10.96.0.81"), Selector: app("db"), Ports: []policy.ServicePort{{Port: 5432}}},
			{Namespace: "kube-system", Name: "kube-dns", ClusterIPs: addr("10.96.0.10"), Selector: map[string]string{"k8s-app": "kube-dns"}, Ports: []policy.ServicePort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53}}},
		},
		Nodes: []policy.Node{{Name: "worker", IPs: addr("172.18.0.2")}},
		Hosts: []policy.Host{{Name: "internet", IPs: addr("172.18.0.9"), Ports: []policy.Port{{Name: "https", Port: 443}}}},
	}
}

package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Protocol is a transport protocol, spelled as Kubernetes spells it.
type Protocol string

// The protocols that the lab measures.
const (
	TCP Protocol = "TCP"
	UDP Protocol = "UDP"
)

// Topology is what stands in a sandbox: the lab's namespaces with their pods
// and Services, and the hosts outside the cluster.
type Topology struct {
	Name       string      `json:"name"`
	Namespaces []Namespace `json:"namespaces"`
	External   []External  `json:"external,omitempty"`
}

// Namespace is one namespace of the lab.
type Namespace struct {
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels,omitempty"`
	Pods     []Pod             `json:"pods,omitempty"`
	Services []Service         `json:"services,omitempty"`
}

// Pod is one pod of the lab. It runs netpol-probe, which serves every port
// and dials on command.
type Pod struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	// Note says in a few words what the pod is to the learner.
	Note        string `json:"note,omitempty"`
	HostNetwork bool   `json:"hostNetwork,omitempty"`
	Ports       []Port `json:"ports,omitempty"`
}

// Port is a port that a pod or an outside host serves. Protocol defaults to TCP.
type Port struct {
	Name     string   `json:"name,omitempty"`
	Port     int      `json:"port"`
	Protocol Protocol `json:"protocol,omitempty"`
}

// Service is a ClusterIP Service in front of one pod of its namespace.
type Service struct {
	Name string `json:"name"`
	// Pod is the name of the pod that the Service leads to.
	Pod   string        `json:"pod"`
	Ports []ServicePort `json:"ports"`
}

// ServicePort leads from the Service's port to the pod's.
type ServicePort struct {
	Name       string   `json:"name,omitempty"`
	Port       int      `json:"port"`
	TargetPort int      `json:"targetPort"`
	Protocol   Protocol `json:"protocol,omitempty"`
}

// External is a host outside the cluster, a container of the lab's own that
// stands for "the internet".
type External struct {
	Name string `json:"name"`
	Note string `json:"note,omitempty"`
	// Address is the host's address in every sandbox, so that a lesson can say
	// what a policy has to name: an IPv4 address that is not the cluster's. Where
	// the topology gives none it is one of 203.0.113.0/24.
	Address netip.Addr `json:"address,omitzero"`
	Ports   []Port     `json:"ports"`
}

// DNSNamespace and DNSName name the cluster's DNS service, which is in every
// topology without being listed.
const (
	DNSNamespace = "kube-system"
	DNSName      = "kube-dns"
	// ClusterDomain is the DNS domain of every sandbox's cluster.
	ClusterDomain = "cluster.local"

	// dnsPort is the port of the DNS service, and of the pods behind it, for
	// questions; dnsMetricsPort the one by which they tell of themselves.
	dnsPort, dnsMetricsPort = 53, 9153
)

// dnsPorts are the ports of the DNS service, and of the pods behind it.
var dnsPorts = []Port{
	{Name: "dns", Port: dnsPort, Protocol: UDP},
	{Name: "dns-tcp", Port: dnsPort, Protocol: TCP},
	{Name: "metrics", Port: dnsMetricsPort, Protocol: TCP},
}

// ParseTopology reads a topology from strict YAML, applies the defaults and
// validates it. All problems are returned at once.
func ParseTopology(src []byte) (*Topology, error) {
	var t Topology
	if err := yaml.UnmarshalStrict(src, &t); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	t.complete()
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	return &t, nil
}

// complete writes the defaults in.
func (t *Topology) complete() {
	for i := range t.Namespaces {
		ns := &t.Namespaces[i]
		for j := range ns.Pods {
			defaultPorts(ns.Pods[j].Ports)
		}
		for j := range ns.Services {
			for k := range ns.Services[j].Ports {
				if ns.Services[j].Ports[k].Protocol == "" {
					ns.Services[j].Ports[k].Protocol = TCP
				}
			}
		}
	}
	for i := range t.External {
		defaultPorts(t.External[i].Ports)
	}
	t.addressHosts()
}

func defaultPorts(ports []Port) {
	for i := range ports {
		if ports[i].Protocol == "" {
			ports[i].Protocol = TCP
		}
	}
}

// fault is something that is wrong with a topology.
type fault struct {
	// at is where, by positions: "namespaces[0].pods[1].name"; path the same by names.
	at, path string
	message  string
}

func (t *Topology) validate() error {
	var errs []error
	for _, f := range t.faults() {
		errs = append(errs, fmt.Errorf("%s: %s", f.path, f.message))
	}
	return errors.Join(errs...)
}

func (t *Topology) faults() []fault {
	var faults []fault
	bad := func(at, path, format string, args ...any) {
		faults = append(faults, fault{at, path, fmt.Sprintf(format, args...)})
	}
	name := func(at, path, v string) {
		for _, msg := range validation.IsDNS1123Label(v) {
			bad(at, path, "%q: %s", v, msg)
		}
	}
	labels := func(at, path string, m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			for _, msg := range append(validation.IsQualifiedName(k), validation.IsValidLabelValue(m[k])...) {
				bad(at+".labels", path+".labels", "%s=%s: %s", k, m[k], msg)
			}
		}
	}
	ports := func(at, path string, ports []Port) {
		at, path = at+".ports", path+".ports"
		seen := map[string]bool{}
		for i, p := range ports {
			at := fmt.Sprintf("%s[%d]", at, i)
			if p.Port < 1 || p.Port > 65535 {
				bad(at+".port", path, "%d is not a port: want 1 to 65535", p.Port)
			}
			if p.Protocol != TCP && p.Protocol != UDP {
				bad(at+".protocol", path, "protocol %q: want TCP or UDP", p.Protocol)
			}
			if key := fmt.Sprintf("%d/%s", p.Port, p.Protocol); seen[key] {
				bad(at, path, "%s is listed twice", key)
			} else {
				seen[key] = true
			}
		}
	}

	name("name", "name", t.Name)
	if len(t.Namespaces) == 0 {
		bad("namespaces", "namespaces", "at least one is needed")
	}
	seenNS, hostPorts := map[string]bool{}, map[string]string{}
	for i, ns := range t.Namespaces {
		at, path := fmt.Sprintf("namespaces[%d]", i), "namespaces["+ns.Name+"]"
		name(at+".name", path+".name", ns.Name)
		labels(at, path, ns.Labels)
		if seenNS[ns.Name] {
			bad(at, path, "listed twice")
		}
		seenNS[ns.Name] = true
		if strings.HasPrefix(ns.Name, "kube-") || ns.Name == "default" {
			bad(at+".name", path, "this namespace belongs to Kubernetes")
		}
		if strings.HasPrefix(ns.Name, "netpol-lab-") {
			bad(at+".name", path, "this namespace belongs to the lab")
		}
		pods := map[string]Pod{}
		for j, p := range ns.Pods {
			pat, ppath := fmt.Sprintf("%s.pods[%d]", at, j), path+".pods["+p.Name+"]"
			name(pat+".name", ppath+".name", p.Name)
			labels(pat, ppath, p.Labels)
			ports(pat, ppath, p.Ports)
			if _, ok := pods[p.Name]; ok {
				bad(pat, ppath, "listed twice")
			}
			pods[p.Name] = p
			if p.HostNetwork {
				for _, port := range p.Ports {
					key := fmt.Sprintf("%d/%s", port.Port, port.Protocol)
					if other, ok := hostPorts[key]; ok {
						bad(pat+".ports", ppath, "port %s is taken on the node by %s", key, other)
					}
					hostPorts[key] = p.Name
				}
			}
		}
		for j, s := range ns.Services {
			sat, spath := fmt.Sprintf("%s.services[%d]", at, j), path+".services["+s.Name+"]"
			name(sat+".name", spath+".name", s.Name)
			pod, ok := pods[s.Pod]
			if !ok {
				bad(sat+".pod", spath+".pod", "%s has no pod %q", ns.Name, s.Pod)
				continue
			}
			if !pod.HostNetwork && len(pod.Labels) == 0 {
				bad(sat+".pod", spath+".pod", "pod %q has no label to select it by", s.Pod)
			}
			for k, sp := range s.Ports {
				if !pod.serves(sp.TargetPort, sp.Protocol) {
					bad(fmt.Sprintf("%s.ports[%d]", sat, k), spath+".ports", "pod %s does not serve %d/%s", s.Pod, sp.TargetPort, sp.Protocol)
				}
			}
		}
	}
	seenExt, hostAddrs := map[string]bool{}, map[netip.Addr]string{}
	for i, x := range t.External {
		at, path := fmt.Sprintf("external[%d]", i), "external["+x.Name+"]"
		name(at+".name", path+".name", x.Name)
		ports(at, path, x.Ports)
		if seenExt[x.Name] {
			bad(at, path, "listed twice")
		}
		seenExt[x.Name] = true
		at, path = at+".address", path+".address"
		if !x.Address.Is4() || !x.Address.IsGlobalUnicast() {
			bad(at, path, "%s: want an IPv4 address that a host can have", x.Address)
		}
		for name, taken := range clusterRanges {
			if taken.Contains(x.Address) {
				bad(at, path, "%s is one of the cluster's %s, %s", x.Address, name, taken)
			}
		}
		if other, ok := hostAddrs[x.Address]; ok {
			bad(at, path, "%s is the address of %s", x.Address, other)
		}
		hostAddrs[x.Address] = x.Name
	}
	return faults
}

func (p Pod) serves(port int, proto Protocol) bool {
	for _, q := range p.Ports {
		if q.Port == port && q.Protocol == proto {
			return true
		}
	}
	return false
}

// NamespaceNames lists the lab's namespaces in the topology's order.
func (t *Topology) NamespaceNames() []string {
	names := make([]string, len(t.Namespaces))
	for i, ns := range t.Namespaces {
		names[i] = ns.Name
	}
	return names
}

// Foreign says of each policy that is for none of the lab's namespaces that it cannot
// be applied here.
func (t *Topology) Foreign(policies []policy.Policy) []policy.Problem {
	var problems []policy.Problem
	names := t.NamespaceNames()
	for _, p := range policies {
		if !slices.Contains(names, p.Namespace) {
			problems = append(problems, policy.Problem{
				Position: p.Position("metadata.namespace"), Field: "metadata.namespace",
				Message: fmt.Sprintf("%q is not one of the lab's namespaces: use %s", p.Namespace, strings.Join(names, ", ")),
			})
		}
	}
	return problems
}

// Via says how a flow's source finds its destination.
type Via string

// The ways to a destination.
const (
	// ViaIP dials the pod's, or outside host's, own address, and the DNS service's
	// metrics at its ClusterIP.
	ViaIP Via = "ip"
	// ViaName resolves the Service's DNS name first, then dials what came back.
	ViaName Via = "name"
	// ViaDNS asks the cluster's DNS service one question at its ClusterIP.
	ViaDNS Via = "dns"
)

// Flow is one connection that the lab measures: from a pod to a port of a pod,
// of an outside host, or of the cluster's DNS service.
type Flow struct {
	// ID is unique in a topology and stable: "production/web>production/api:8080/TCP",
	// with "@name" behind it where the flow goes by DNS name.
	ID string `json:"id"`
	// From is a pod, "namespace/name".
	From string `json:"from"`
	// To is a pod "namespace/name", the name of an outside host, or
	// "kube-system/kube-dns".
	To string `json:"to"`
	// Port is the destination's own port (the pod's, also where Via is ViaName).
	Port     int      `json:"port"`
	Protocol Protocol `json:"protocol"`
	Via      Via      `json:"via"`
	// Service and ServicePort are set where Via is ViaName.
	Service     string `json:"service,omitempty"`
	ServicePort int    `json:"servicePort,omitempty"`
}

// Destination is one column of the matrix: a port that flows lead to.
type Destination struct {
	To       string
	Port     int
	PortName string
	Protocol Protocol
	External bool
	DNS      bool
}

// Sources lists the pods that flows start from, as "namespace/name", in the
// topology's order: every pod.
func (t *Topology) Sources() []string {
	var out []string
	for _, ns := range t.Namespaces {
		for _, p := range ns.Pods {
			out = append(out, ns.Name+"/"+p.Name)
		}
	}
	return out
}

// Destinations lists the matrix's columns in the topology's order: every
// pod's ports, then the outside hosts', then those of the cluster's DNS service.
func (t *Topology) Destinations() []Destination {
	var out []Destination
	for _, ns := range t.Namespaces {
		for _, p := range ns.Pods {
			for _, port := range p.Ports {
				out = append(out, Destination{To: ns.Name + "/" + p.Name, Port: port.Port, PortName: port.Name, Protocol: port.Protocol})
			}
		}
	}
	for _, x := range t.External {
		for _, port := range x.Ports {
			out = append(out, Destination{To: x.Name, Port: port.Port, PortName: port.Name, Protocol: port.Protocol, External: true})
		}
	}
	for _, port := range dnsPorts {
		out = append(out, Destination{To: DNSNamespace + "/" + DNSName, Port: port.Port, PortName: port.Name, Protocol: port.Protocol, DNS: true})
	}
	return out
}

// Flows lists every flow that the lab measures, in a fixed order: from each
// source to each destination but itself, by IP and, where a Service leads
// there, by name.
func (t *Topology) Flows() []Flow {
	type svc struct {
		name string
		port int
	}
	services := map[string]svc{}
	for _, ns := range t.Namespaces {
		for _, s := range ns.Services {
			for _, sp := range s.Ports {
				services[fmt.Sprintf("%s/%s:%d/%s", ns.Name, s.Pod, sp.TargetPort, sp.Protocol)] = svc{s.Name, sp.Port}
			}
		}
	}
	var out []Flow
	dests := t.Destinations()
	for _, from := range t.Sources() {
		for _, d := range dests {
			if d.To == from {
				continue // Self-traffic is never subject to policy.
			}
			f := Flow{ID: FlowID(from, d.To, d.Port, d.Protocol, ViaIP), From: from, To: d.To, Port: d.Port, Protocol: d.Protocol, Via: ViaIP}
			if d.DNS && d.Port == dnsPort {
				f.Via = ViaDNS
			}
			out = append(out, f)
			if s, ok := services[fmt.Sprintf("%s:%d/%s", d.To, d.Port, d.Protocol)]; ok {
				f.ID = FlowID(from, d.To, d.Port, d.Protocol, ViaName)
				f.Via, f.Service, f.ServicePort = ViaName, s.name, s.port
				out = append(out, f)
			}
		}
	}
	return out
}

// FlowID is the ID of the flow between the two ends.
func FlowID(from, to string, port int, proto Protocol, via Via) string {
	id := fmt.Sprintf("%s>%s:%d/%s", from, to, port, proto)
	if via == ViaName {
		id += "@name"
	}
	return id
}

// ToDNS reports whether the flow goes to the cluster's DNS service.
func (f Flow) ToDNS() bool { return f.To == DNSNamespace+"/"+DNSName }

// ServiceHost is the fully qualified DNS name, with its final dot, of the
// Service of a flow whose Via is ViaName.
func (f Flow) ServiceHost() string {
	ns, _, _ := strings.Cut(f.To, "/")
	return f.Service + "." + ns + ".svc." + ClusterDomain + "."
}

// Addresses are the addresses that a provider found for a running topology.
type Addresses struct {
	// Pods and Services by "namespace/name"; External by name. A Service's address
	// is its ClusterIP.
	Pods     map[string]netip.Addr `json:"pods"`
	Services map[string]netip.Addr `json:"services,omitempty"`
	External map[string]netip.Addr `json:"external"`
	// DNS is the ClusterIP of the cluster's DNS service, DNSPods are the addresses
	// of the pods behind it.
	DNS     netip.Addr   `json:"dns"`
	DNSPods []netip.Addr `json:"dnsPods,omitempty"`
	// Node is the node's own address, which is also that of host-network pods.
	Node netip.Addr `json:"node"`
}

// Clone is a copy that shares nothing with the original.
func (a Addresses) Clone() Addresses {
	a.Pods, a.Services, a.External = maps.Clone(a.Pods), maps.Clone(a.Services), maps.Clone(a.External)
	a.DNSPods = slices.Clone(a.DNSPods)
	return a
}

// Equal reports whether both have the same addresses.
func (a Addresses) Equal(b Addresses) bool {
	return maps.Equal(a.Pods, b.Pods) && maps.Equal(a.Services, b.Services) && maps.Equal(a.External, b.External) &&
		a.DNS == b.DNS && slices.Equal(a.DNSPods, b.DNSPods) && a.Node == b.Node
}

// Names lists every endpoint that has an address, sorted.
func (a Addresses) Names() []string {
	var out []string
	for n := range a.Pods {
		out = append(out, n)
	}
	for n := range a.External {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Network is what policies act on: the picture of a cluster at one moment.
// Nothing in it is read from a cluster here, so it may just as well be a plan.
type Network struct {
	Namespaces []Namespace
	Pods       []Pod
	Services   []Service
	Nodes      []Node
	Hosts      []Host
}

// Namespace is a namespace with its labels. The label kubernetes.io/metadata.name,
// which the API server gives to every namespace, is there without being listed.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Pod is a pod that has its addresses.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	// IPs are the pod's addresses, at most one of each family as in
	// status.podIPs. A pod without an address can neither reach nor be reached by
	// a rule about addresses.
	IPs []netip.Addr
	// HostNetwork says that the pod shares its node's network. No policy selects
	// it, and to other pods it looks like its node.
	HostNetwork bool
	// Node is the name of the node that it runs on; "" is a node too.
	Node string
	// Ports are the ports that its containers declare. A policy's named port is
	// looked up among them.
	Ports []Port
}

// Port is a port that a container or a host serves.
type Port struct {
	Name     string
	Port     int32
	Protocol corev1.Protocol // "" means TCP.
}

// Service is a Service with a ClusterIP. Connections to it are sent on to a pod
// before any policy is looked at.
type Service struct {
	Namespace, Name string
	ClusterIPs      []netip.Addr // None for a headless Service.
	// Selector selects the Service's pods in its namespace; without one the
	// Service leads nowhere.
	Selector map[string]string
	Ports    []ServicePort
}

// ServicePort leads from a Service's port to a pod's.
type ServicePort struct {
	Name     string
	Port     int32
	Protocol corev1.Protocol // "" means TCP.
	// TargetPort is the pod's port, by number or by name; 0 means Port.
	TargetPort intstr.IntOrString
}

// Node is a node of the cluster with its own addresses.
type Node struct {
	Name string
	IPs  []netip.Addr
}

// Host is a host outside the cluster that has a name here.
type Host struct {
	Name  string
	IPs   []netip.Addr
	Ports []Port
}

// Endpoint is one end of a connection. [Evaluator.Pod] and [Evaluator.Address]
// make endpoints; they belong to the Evaluator that made them.
type Endpoint struct {
	pod  int32 // One more than the pod's index; 0 for what is no pod.
	addr netip.Addr
}

// Addr is the endpoint's address; the zero Addr for a pod that has none.
func (e Endpoint) Addr() netip.Addr { return e.addr }

// Flow is the question whether a connection can be made.
type Flow struct {
	From, To Endpoint
	// Port is the destination's port: the pod's own, or the Service's where To is
	// the address of a Service.
	Port     int32
	Protocol corev1.Protocol // "" means TCP.
}

// Ref names a NetworkPolicy.
type Ref struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// Compare puts policies, and whatever else goes by a Ref, in the order of their
// namespaces and, in each, of their names.
func (r Ref) Compare(other Ref) int {
	return cmp.Or(strings.Compare(r.Namespace, other.Namespace), strings.Compare(r.Name, other.Name))
}

func orTCP(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

// IsDNS reports that the pod is one of the cluster's DNS pods; the namespace and the
// label are the same whichever DNS server it is.
func (p *Pod) IsDNS() bool { return p.Namespace == DNSNamespace && p.Labels[DNSLabel] == DNSLabelValue }

// What the cluster's DNS pods are known by, and serve.
const (
	DNSNamespace  = "kube-system"
	DNSLabel      = "k8s-app"
	DNSLabelValue = "kube-dns"
	DNSPort       = 53
)

// PortNumber is the number that an IntOrString means on a pod, 0 where the pod has no
// such port.
func (p *Pod) PortNumber(want intstr.IntOrString, protocol corev1.Protocol) int32 {
	if want.Type == intstr.Int {
		return want.IntVal
	}
	for _, have := range p.Ports {
		if have.Name == want.StrVal && orTCP(have.Protocol) == protocol {
			return have.Port
		}
	}
	return 0
}

// DuplicateError says that a Network has two things of one name.
type DuplicateError struct{ What, Name string }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("the network has two %s named %s", e.What, e.Name)
}

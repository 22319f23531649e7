package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Source is the endpoint that a person names as a flow's source: a pod,
// "namespace/pod", an address, or a host outside by its name. The error says what
// was perhaps meant.
func (e *Evaluator) Source(text string) (Endpoint, error) {
	if addr, ok := parseAddress(text); ok {
		return e.Address(addr), nil
	}
	if namespace, name, ok := strings.Cut(text, "/"); ok {
		return e.podNamed(namespace, name)
	}
	h, err := e.hostNamed(text)
	if err != nil {
		return Endpoint{}, err
	}
	return e.Address(h.IPs[0]), nil
}

// Destination is the flow, still without a source, that a person names by its
// destination: "namespace/pod:port", "svc/namespace/name:port" for a Service,
// "192.0.2.1:port" or "[2001:db8::1]:port" for an address, "name:port" for a host
// outside, with /UDP or /SCTP behind it where it is not TCP. The port may also be
// one that the pod, Service or host gives a name to. The error says what was
// perhaps meant.
func (e *Evaluator) Destination(text string) (Flow, error) {
	name, port, protocol := cutDestination(text)
	f := Flow{Protocol: corev1.Protocol(strings.ToUpper(protocol))}
	switch f.Protocol {
	case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
	default:
		return Flow{}, fmt.Errorf("there is no protocol %q: write TCP, UDP or SCTP", short(protocol))
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
		return Flow{}, fmt.Errorf("an IPv6 address needs brackets, and a port behind them: [%s]:443", addr)
	}
	to, ports, err := e.destination(name)
	if err != nil {
		return Flow{}, err
	}
	f.To = to
	if port == "" {
		return Flow{}, fmt.Errorf("the port is missing: write %s:PORT%s", name, knownPorts(ports))
	}
	f.Port, err = portNumber(port, f.Protocol, ports)
	if err != nil {
		return Flow{}, err
	}
	// A Service sends on only what it has a port for.
	if strings.HasPrefix(name, "svc/") && !slices.ContainsFunc(ports, func(p Port) bool { return p.Port == f.Port && orTCP(p.Protocol) == f.Protocol }) {
		return Flow{}, fmt.Errorf("%s has no port %d/%s%s", name, f.Port, f.Protocol, knownPorts(ports))
	}
	return f, nil
}

// destination finds what a destination's name means, with the ports that are known
// of it.
func (e *Evaluator) destination(name string) (Endpoint, []Port, error) {
	if addr, ok := parseAddress(name); ok {
		return e.Address(addr), e.portsOf(addr), nil
	}
	if service, ok := strings.CutPrefix(name, "svc/"); ok {
		return e.serviceNamed(service)
	}
	if namespace, pod, ok := strings.Cut(name, "/"); ok {
		to, err := e.podNamed(namespace, pod)
		if err != nil {
			return Endpoint{}, nil, err
		}
		return to, e.pods[to.pod-1].Ports, nil
	}
	h, err := e.hostNamed(name)
	if err != nil {
		return Endpoint{}, nil, err
	}
	return e.Address(h.IPs[0]), h.Ports, nil
}

// cutDestination cuts "name:port/protocol" at its last colon; only what is behind
// the colon, and behind an address' bracket, is a protocol.
func cutDestination(text string) (name, port, protocol string) {
	name, protocol = text, string(corev1.ProtocolTCP)
	if i := strings.LastIndex(text, "/"); i > strings.LastIndexAny(text, ":]") && strings.ContainsAny(text, ":]") {
		name, protocol = text[:i], text[i+1:]
	}
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "]") {
		name, port = name[:i], name[i+1:]
	}
	return name, port, protocol
}

// parseAddress reads an address, with brackets around it or not.
func parseAddress(text string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(text)
	return addr, err == nil
}

func portNumber(text string, protocol corev1.Protocol, ports []Port) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err == nil && 1 <= n && n <= 65535 {
		return int32(n), nil
	}
	for _, p := range ports {
		if p.Name == text && orTCP(p.Protocol) == protocol {
			return p.Port, nil
		}
	}
	if strings.Trim(text, "-0123456789") == "" {
		return 0, fmt.Errorf("%s is no port: write a number from 1 to 65535", short(text))
	}
	return 0, fmt.Errorf("there is no port %q with %s: write a number%s", short(text), protocol, knownPorts(ports))
}

// knownPorts is the end of a sentence.
func knownPorts(ports []Port) string {
	if len(ports) == 0 {
		return ""
	}
	var list []string
	for _, p := range ports {
		list = append(list, fmt.Sprintf("%d/%s", p.Port, orTCP(p.Protocol)))
	}
	return "; its ports are " + strings.Join(list, ", ")
}

// portsOf are the ports known of the address.
func (e *Evaluator) portsOf(a netip.Addr) []Port {
	if to := e.Address(a); to.pod != 0 {
		return e.pods[to.pod-1].Ports
	}
	for _, h := range e.network.Hosts {
		if slices.Contains(h.IPs, a) {
			return h.Ports
		}
	}
	return nil
}

func (e *Evaluator) podNamed(namespace, name string) (Endpoint, error) {
	if p, ok := e.Pod(namespace, name); ok {
		return p, nil
	}
	var all []string
	for _, p := range e.network.Pods {
		all = append(all, p.Namespace+"/"+p.Name)
	}
	return Endpoint{}, unknown("pod", namespace+"/"+name, all)
}

func (e *Evaluator) serviceNamed(text string) (Endpoint, []Port, error) {
	var all []string
	for _, s := range e.network.Services {
		if s.Namespace+"/"+s.Name != text {
			all = append(all, "svc/"+s.Namespace+"/"+s.Name)
			continue
		}
		if len(s.ClusterIPs) == 0 {
			return Endpoint{}, nil, fmt.Errorf("the Service %s has no ClusterIP, so connections to it go to its pods' own addresses: name one of its pods", text)
		}
		var ports []Port
		for _, p := range s.Ports {
			ports = append(ports, Port{Name: p.Name, Port: p.Port, Protocol: p.Protocol})
		}
		return e.Address(s.ClusterIPs[0]), ports, nil
	}
	return Endpoint{}, nil, unknown("Service", "svc/"+text, all)
}

func (e *Evaluator) hostNamed(name string) (Host, error) {
	var all []string
	for _, h := range e.network.Hosts {
		switch {
		case h.Name == name && len(h.IPs) == 0:
			return Host{}, fmt.Errorf("the host %s has no address", name)
		case h.Name == name:
			return h, nil
		}
		all = append(all, h.Name)
	}
	// Perhaps it is a pod without its namespace.
	for _, p := range e.network.Pods {
		if p.Name == name {
			return Host{}, fmt.Errorf("a pod is named with its namespace; did you mean %s/%s?", p.Namespace, p.Name)
		}
	}
	if len(all) == 0 {
		return Host{}, fmt.Errorf("%q is neither namespace/pod nor an IP address", short(name))
	}
	return Host{}, unknown("host outside", name, all)
}

// unknown says that there is no such thing, and which was perhaps meant.
func unknown(what, name string, all []string) error {
	const few = 8
	slices.Sort(all)
	if near := Nearest(name, all); near != "" {
		return fmt.Errorf("there is no %s %s; did you mean %s?", what, short(name), near)
	}
	switch {
	case len(all) == 0:
		return fmt.Errorf("there is no %s %s, nor any other", what, short(name))
	case len(all) > few:
		return fmt.Errorf("there is no %s %s; there are %d others, such as %s", what, short(name), len(all), all[0])
	}
	return fmt.Errorf("there is no %s %s; there are %s", what, short(name), strings.Join(all, ", "))
}

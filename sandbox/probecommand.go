package sandbox

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const (
	// probeRate and probeBurst are how many probes a terminal may ask for in a second,
	// and how many at once.
	probeRate, probeBurst = 10, 30
	// probeTimeout is how long a probe from a terminal waits for an answer.
	probeTimeout = time.Second
)

// The codes that the command "probe" ends with.
const (
	probeOpen    = 0
	probeNotOpen = 1
	probeRefused = 2 // it was not tried
)

// probeCommand is the server's side of the command "probe" in a sandbox's terminal. It
// tries connections between what is the lab's and nothing else: a pod could reach
// whatever the server's machine can.
type probeCommand struct {
	topology *Topology
	cluster  Cluster
	rate     *rate.Limiter
}

func (c *probeCommand) answer(ctx context.Context, args []string) probe.Answer {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		return probe.Answer{Text: c.usage(), Code: probeRefused}
	}
	flow, err := c.parse(args)
	if err != nil {
		return probe.Answer{Text: "probe: " + err.Error() + "\n", Code: probeRefused}
	}
	if err := c.rate.Wait(ctx); err != nil {
		return probe.Answer{Text: "probe: the terminal has ended\n", Code: probeRefused}
	}
	observed := make(chan Observation, 1)
	c.cluster.Probe(ctx, []Flow{flow}, probeTimeout, func(o Observation) { observed <- o })
	select {
	case o := <-observed:
		code := probeNotOpen
		if o.Verdict == probe.Open {
			code = probeOpen
		}
		return probe.Answer{Text: outcome(flow, o), Code: code}
	default:
		return probe.Answer{Text: "probe: it could not be tried\n", Code: probeRefused}
	}
}

// target is how the learner called where the flow goes.
func target(f Flow) string {
	if f.Via == ViaName {
		return fmt.Sprintf("%s:%d/%s", strings.TrimSuffix(f.ServiceHost(), ".svc."+ClusterDomain+"."), f.ServicePort, f.Protocol)
	}
	return fmt.Sprintf("%s:%d/%s", f.To, f.Port, f.Protocol)
}

func outcome(f Flow, o Observation) string {
	text := fmt.Sprintf("%s: %s to %s", o.Verdict, f.From, target(f))
	switch o.Verdict {
	case probe.Open:
		text += fmt.Sprintf(" in %.1f ms", float64(o.LatencyMicros)/1000)
		if o.Server != "" {
			text += "; " + o.Server + " answered"
		}
	case probe.Blocked:
		text += fmt.Sprintf("; no answer within %s", probeTimeout)
	default:
		if o.Detail != "" {
			text += "; " + o.Detail
		}
	}
	return text + "\n"
}

func (c *probeCommand) usage() string {
	var out strings.Builder
	sources := c.topology.Sources()
	fmt.Fprintf(&out, `probe tries one connection from a pod of the lab, as the lab's own measurements do.

  probe --from POD TARGET PORT
  probe --from POD --udp TARGET PORT

POD is one of these, and PROBE_FROM in the environment is the one to use without --from:
%s
TARGET is another pod, a Service (NAME.NAMESPACE) or a host outside the cluster:
%s
For example:
  export PROBE_FROM=%s
`, indented(sources), indented(c.targets()), sources[0])
	for _, d := range c.topology.Destinations() {
		if d.To != sources[0] {
			fmt.Fprintf(&out, "  probe %s %d\n", d.To, d.Port)
			break
		}
	}
	return out.String()
}

func indented(names []string) string {
	return "  " + strings.Join(names, "\n  ") + "\n"
}

// targets are the Services and the outside hosts.
func (c *probeCommand) targets() []string {
	var out []string
	for _, ns := range c.topology.Namespaces {
		for _, s := range ns.Services {
			for _, p := range s.Ports {
				out = append(out, fmt.Sprintf("%s.%s %d", s.Name, ns.Name, p.Port))
			}
		}
	}
	for _, x := range c.topology.External {
		for _, p := range x.Ports {
			out = append(out, fmt.Sprintf("%s %d", x.Name, p.Port))
		}
	}
	return append(out, DNSName+"."+DNSNamespace+" "+strconv.Itoa(dnsPort))
}

// parse reads the arguments. Its errors are for the learner.
func (c *probeCommand) parse(args []string) (Flow, error) {
	f := Flow{Protocol: TCP, Via: ViaIP}
	var rest []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, given := strings.Cut(arg, "=")
		switch name {
		case "--from", "-f":
			if !given {
				if i++; i == len(args) {
					return f, fmt.Errorf("%s wants a pod: %s %s", arg, arg, c.topology.Sources()[0])
				}
				value = args[i]
			}
			f.From = value
		case "--udp", "-u":
			f.Protocol = UDP
		default:
			if strings.HasPrefix(arg, "-") {
				return f, fmt.Errorf("there is no option %.40q; probe without arguments says what there is", arg)
			}
			rest = append(rest, arg)
		}
	}
	if len(rest) == 0 || len(rest) > 2 {
		return f, fmt.Errorf("want a target and a port, such as: probe --from %s TARGET PORT", c.topology.Sources()[0])
	}
	to, port, err := hostPort(rest)
	if err != nil {
		return f, err
	}
	if f.From == "" {
		return f, fmt.Errorf("say from which pod: probe --from %s %s %d", c.topology.Sources()[0], to, port)
	}
	if _, _, ok := c.pod(f.From); !ok {
		return f, fmt.Errorf("%.100q is no pod of the lab: these are: %s", f.From, strings.Join(c.topology.Sources(), ", "))
	}
	f, err = c.aim(f, to, port)
	if err == nil && f.To == f.From {
		err = fmt.Errorf("%s would talk to itself, which no policy is about", f.From)
	}
	f.ID = FlowID(f.From, f.To, f.Port, f.Protocol, f.Via)
	return f, err
}

// hostPort reads "HOST PORT", "HOST:PORT" and "http://HOST:PORT/".
func hostPort(args []string) (string, int, error) {
	host, port := args[0], ""
	plain, isURL := strings.CutPrefix(host, "http://")
	if isURL {
		host, _, _ = strings.Cut(plain, "/")
	}
	if h, p, ok := strings.Cut(host, ":"); ok {
		host, port = h, p
	}
	switch {
	case len(args) == 2 && port == "":
		port = args[1]
	case len(args) == 2:
		return "", 0, fmt.Errorf("%.100q names a port, and then comes %.40q", args[0], args[1])
	case port == "" && isURL:
		port = "80"
	case port == "":
		return "", 0, fmt.Errorf("want a port: probe %.100s PORT", args[0])
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", 0, fmt.Errorf("%.40q is no port: want a number from 1 to 65535", port)
	}
	return host, int(number), nil
}

// pod finds a pod of the lab by "namespace/name".
func (c *probeCommand) pod(full string) (Pod, string, bool) {
	for _, ns := range c.topology.Namespaces {
		for _, p := range ns.Pods {
			if ns.Name+"/"+p.Name == full {
				return p, ns.Name, true
			}
		}
	}
	return Pod{}, "", false
}

// aim finds what the target is to the lab.
func (c *probeCommand) aim(f Flow, to string, port int) (Flow, error) {
	f.To, f.Port = to, port
	if addr, err := netip.ParseAddr(to); err == nil {
		if f.To = c.addressed(addr); f.To == "" {
			return f, fmt.Errorf("%s is no address of the lab's pods and hosts, and probe reaches nothing else", addr)
		}
	}
	if pod, _, ok := c.pod(f.To); ok {
		if pod.HostNetwork && !pod.serves(port, f.Protocol) {
			return f, fmt.Errorf("%s has the node's network, so only the ports that are its own are tried", f.To)
		}
		return f, nil
	}
	for _, x := range c.topology.External {
		if x.Name == f.To {
			return f, nil
		}
	}
	// What is left is the name of a Service: NAME, NAME.NAMESPACE, NAME.NAMESPACE.svc and
	// so on, as in the pod itself.
	full := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(f.To, "."), "."+ClusterDomain), ".svc")
	name, namespace, _ := strings.Cut(full, ".")
	if namespace == "" {
		namespace, _, _ = strings.Cut(f.From, "/")
	}
	if name == DNSName && namespace == DNSNamespace {
		f.To = DNSNamespace + "/" + DNSName
		switch port {
		case dnsPort:
			f.Via = ViaDNS
			return f, nil
		case dnsMetricsPort:
			return f, nil
		}
		return f, fmt.Errorf("the cluster's DNS service serves %d and %d", dnsPort, dnsMetricsPort)
	}
	for _, ns := range c.topology.Namespaces {
		for _, s := range ns.Services {
			if s.Name != name || ns.Name != namespace {
				continue
			}
			var ports []string
			for _, p := range s.Ports {
				if p.Port == port && p.Protocol == f.Protocol {
					f.To, f.Port = ns.Name+"/"+s.Pod, p.TargetPort
					f.Via, f.Service, f.ServicePort = ViaName, s.Name, port
					return f, nil
				}
				ports = append(ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
			}
			return f, fmt.Errorf("the Service %s.%s has no port %d/%s; it has %s", s.Name, ns.Name, port, f.Protocol, strings.Join(ports, ", "))
		}
	}
	return f, fmt.Errorf("%.100q is none of the lab's pods, Services and hosts; probe without arguments names them", to)
}

// addressed is which pod or outside host has the address.
func (c *probeCommand) addressed(addr netip.Addr) string {
	addresses := c.cluster.Addresses()
	for name, a := range addresses.External {
		if a == addr {
			return name
		}
	}
	for name, a := range addresses.Pods {
		// The node's address is not one pod's.
		if pod, _, ok := c.pod(name); ok && a == addr && !pod.HostNetwork {
			return name
		}
	}
	return ""
}

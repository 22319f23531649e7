package lessons

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// flowName names flows of the topology. From may be "namespace/*" or "*", for all
// the pods that have such a flow.
type flowName struct {
	From     string `yaml:"from"`
	To       string `yaml:"to"`
	Port     int    `yaml:"port"`
	Protocol string `yaml:"protocol"`
	Via      string `yaml:"via"`
}

// find finds the flows that a name stands for.
func (l *Lesson) find(name flowName) ([]sandbox.Flow, error) {
	protocol := sandbox.Protocol(name.Protocol)
	if protocol == "" {
		protocol = sandbox.TCP
	}
	via := sandbox.Via(name.Via)
	if via == "" {
		via = sandbox.ViaIP
		if slices.ContainsFunc(l.Flows, func(f sandbox.Flow) bool {
			return f.Via == sandbox.ViaDNS && f.To == name.To && f.Port == name.Port
		}) {
			via = sandbox.ViaDNS
		}
	}
	var out []sandbox.Flow
	for _, f := range l.Flows {
		if isEnd(name.From, f.From) && f.To == name.To && f.Port == name.Port && f.Protocol == protocol && f.Via == via {
			out = append(out, f)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	switch {
	case name.From != "*" && !slices.ContainsFunc(l.Topology.Sources(), func(s string) bool {
		return s == name.From || strings.HasSuffix(name.From, "/*") && strings.HasPrefix(s, strings.TrimSuffix(name.From, "*"))
	}):
		return nil, fmt.Errorf("from: the topology has no pod %q", name.From)
	case !slices.ContainsFunc(l.Topology.Destinations(), func(d sandbox.Destination) bool { return d.To == name.To }):
		return nil, fmt.Errorf("to: the topology has no destination %q", name.To)
	}
	return nil, fmt.Errorf("the topology has no flow from %s to %s on port %d/%s by %s", name.From, name.To, name.Port, protocol, via)
}

// matching are the flows that have what the name says; what it leaves out may be
// anything. To may have a "*" as From may.
func (l *Lesson) matching(name flowName) (out []sandbox.Flow) {
	for _, f := range l.Flows {
		if isEnd(name.From, f.From) && isEnd(name.To, f.To) &&
			(name.Port == 0 || name.Port == f.Port) &&
			(name.Protocol == "" || sandbox.Protocol(name.Protocol) == f.Protocol) &&
			(name.Via == "" || sandbox.Via(name.Via) == f.Via) {
			out = append(out, f)
		}
	}
	return out
}

// isEnd reports that the name, which may be "*" or "namespace/*", stands for the end of
// a flow.
func isEnd(name, end string) bool {
	namespace, _, inside := strings.Cut(end, "/")
	return name == "*" || name == end || inside && name == namespace+"/*"
}

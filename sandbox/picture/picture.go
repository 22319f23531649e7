// Package picture draws pods, the connections between them and what becomes of
// these under policies, as SVG. Nothing is drawn by hand: the boxes come from the
// topology, and the verdicts, the marks of isolation and the text alternative from
// the policy engine.
package picture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Spec is what to draw.
type Spec struct {
	// ID is unique on the page: it makes the SVG's own IDs unique.
	ID string
	// Caption is one sentence of plain text.
	Caption string
	// Ends are the pods "namespace/name", the names of outside hosts and the DNS
	// service "kube-system/kube-dns", in the order in which they are drawn, from the
	// top. Those of one namespace are drawn together.
	Ends []string
	// Flows are connections between the ends.
	Flows []sandbox.Flow
	// Policies are in force.
	Policies []policy.Policy
	// Addresses are those of the topology where it matters which; nil for those that
	// are planned.
	Addresses *sandbox.Addresses
	// Asked draws the flows as questions: without what becomes of them, and without
	// which pods are isolated.
	Asked bool
}

// Picture is a drawn picture.
type Picture struct {
	ID, Caption string
	// SVG is one svg element. It has classes and no style of its own, a title and,
	// as its description, the sentences.
	SVG string
	// Sentences say the same in words: one for each flow.
	Sentences []string
}

// Draw draws the picture. The same spec gives the same picture, to the byte. It
// fails where an end is not the topology's or is listed twice, and where a flow
// has an end that is not among them.
func Draw(t *sandbox.Topology, spec Spec) (*Picture, error) {
	s, err := newScene(t, spec)
	if err != nil {
		return nil, err
	}
	s.layOut()
	p := &Picture{ID: spec.ID, Caption: spec.Caption}
	for _, f := range s.flows {
		p.Sentences = append(p.Sentences, f.sentence)
	}
	p.SVG = s.svg(spec, p.Sentences)
	return p, nil
}

// scene is what is on a picture and, once it is laid out, where.
type scene struct {
	groups []*group
	ends   map[string]*end
	flows  []*flow
	width  int
	height int
}

// group is a box of ends: a namespace, or what is outside the cluster.
type group struct {
	name    string
	outside bool
	ends    []*end
	box     rect
}

// end is a pod, the DNS service or an outside host.
type end struct {
	name, detail string
	hostNetwork  bool
	// ingress and egress tell whether some policy isolates the pod.
	ingress, egress bool

	row int
	// flows leave and arrive at the right side, from the top.
	flows []*flow
	box   rect
}

type flow struct {
	from, to *end
	label    string
	verdict  probe.Verdict
	sentence string

	lane       int
	fromY, toY int
	laneX      int
	labelBox   rect
	labelX     int
}

type rect struct{ x, y, w, h int }

func newScene(t *sandbox.Topology, spec Spec) (*scene, error) {
	addresses := t.PlannedAddresses()
	if spec.Addresses != nil {
		addresses = *spec.Addresses
	}
	predictor, err := sandbox.NewPredictor(t, addresses, spec.Policies)
	if err != nil {
		return nil, err
	}
	evaluator, err := policy.Compile(t.Network(addresses), spec.Policies)
	if err != nil {
		return nil, err
	}
	s := &scene{ends: map[string]*end{}}
	groups := map[string]*group{}
	for i, name := range spec.Ends {
		if s.ends[name] != nil {
			return nil, &EndError{i, name, "is there twice"}
		}
		namespace, pod, inCluster := strings.Cut(name, "/")
		e, ok := describe(t, name)
		if !ok {
			return nil, &EndError{i, name, "is no pod and no outside host of the topology"}
		}
		if p, ok := evaluator.Pod(namespace, pod); ok && !spec.Asked {
			e.ingress, e.egress = isolated(evaluator, p)
		}
		if !inCluster {
			namespace = ""
		}
		g := groups[namespace]
		if g == nil {
			g = &group{name: namespace, outside: !inCluster}
			if g.outside {
				g.name = "outside the cluster"
			}
			groups[namespace] = g
			s.groups = append(s.groups, g)
		}
		g.ends = append(g.ends, e)
		s.ends[name] = e
	}
	for i, f := range spec.Flows {
		prediction, err := predictor.Predict(f)
		if err != nil {
			return nil, &FlowError{i, err.Error()}
		}
		drawn := &flow{from: s.ends[f.From], to: s.ends[f.To], label: label(f, prediction.Verdict), verdict: prediction.Verdict, sentence: sentence(f, prediction)}
		if spec.Asked {
			drawn.verdict, drawn.label, drawn.sentence = asked, "? "+portLabel(f), question(f)
		}
		for _, name := range []string{f.From, f.To} {
			if s.ends[name] == nil {
				return nil, &FlowError{i, name + " is not among the picture's pods"}
			}
		}
		s.flows = append(s.flows, drawn)
	}
	return s, nil
}

// EndError says which of [Spec].Ends is wrong.
type EndError struct {
	Index         int
	Name, Message string
}

func (e *EndError) Error() string { return e.Name + " " + e.Message }

// FlowError says which of [Spec].Flows is wrong.
type FlowError struct {
	Index   int
	Message string
}

func (e *FlowError) Error() string { return e.Message }

// describe finds the end in the topology.
func describe(t *sandbox.Topology, name string) (*end, bool) {
	if name == sandbox.DNSNamespace+"/"+sandbox.DNSName {
		return &end{name: sandbox.DNSName, detail: "the cluster's DNS"}, true
	}
	for _, ns := range t.Namespaces {
		for _, p := range ns.Pods {
			if ns.Name+"/"+p.Name == name {
				return &end{name: p.Name, detail: labels(p.Labels), hostNetwork: p.HostNetwork}, true
			}
		}
	}
	for _, x := range t.External {
		if x.Name == name {
			return &end{name: name}, true
		}
	}
	return nil, false
}

func labels(m map[string]string) string {
	var all []string
	for k, v := range m {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// isolated asks the engine which policies have a say about the pod, with a peer of
// which it does not matter what it is.
func isolated(e *policy.Evaluator, pod policy.Endpoint) (ingress, egress bool) {
	other, _ := e.Pod(sandbox.DNSNamespace, "coredns-1") // is in every topology's network
	in := e.Explain(policy.Flow{From: other, To: pod, Port: 1})
	out := e.Explain(policy.Flow{From: pod, To: other, Port: 1})
	return len(in.Ingress.Policies) > 0, len(out.Egress.Policies) > 0
}

// asked is in the place of a verdict that is not told.
const asked probe.Verdict = ""

// label is what stands on a flow's line: symbol, port and word, so that nothing is
// told by colour alone.
func label(f sandbox.Flow, v probe.Verdict) string {
	port := portLabel(f)
	switch v {
	case probe.Open:
		return "✓ " + port + " allowed"
	case probe.DNSFailed:
		return "✕ " + port + " no DNS"
	}
	return "✕ " + port + " blocked"
}

func portLabel(f sandbox.Flow) string {
	switch {
	case f.Via == sandbox.ViaName:
		return fmt.Sprintf("%s:%d", f.Service, f.ServicePort)
	case f.Protocol != sandbox.TCP:
		return fmt.Sprintf("%d/%s", f.Port, f.Protocol)
	}
	return fmt.Sprint(f.Port)
}

// ends names the flow in a sentence that goes on.
func ends(f sandbox.Flow) string {
	way := ""
	if f.Via == sandbox.ViaName {
		way = " by the name " + f.Service
	}
	return fmt.Sprintf("From %s to %s%s, port %d/%s", f.From, f.To, way, f.Port, f.Protocol)
}

func question(f sandbox.Flow) string { return ends(f) + ": open or not?" }

func sentence(f sandbox.Flow, p sandbox.Prediction) string {
	last := p.Decisions[len(p.Decisions)-1]
	if !strings.Contains(f.To, "/") {
		last.To = f.To // an outside host's name, for an address that a cluster gives anew
	}
	what := ends(f) + ". "
	if p.Verdict == probe.DNSFailed {
		what += "The name is not found. "
	}
	return what + last.String()
}

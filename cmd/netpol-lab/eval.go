package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

type evalCmd struct {
	policyFlags
	Topology string `required:"" placeholder:"FILE" help:"${topology_help}"`
	From     string `placeholder:"NAMESPACE/POD" help:"Only flows from this pod, IP address or host outside."`
	To       string `placeholder:"NAMESPACE/POD:PORT" help:"Only flows to this port, with /UDP or /SCTP behind it if it is not TCP. Also svc/NAMESPACE/NAME:PORT for a Service, IP:PORT, [IPv6]:PORT, and HOST:PORT for a host outside."`
	Output   string `short:"o" enum:"table,json,yaml" default:"table" help:"Output format: table, json or yaml."`
}

// Help is the end of what --help prints. The names in it are what scripts rely on.
func (evalCmd) Help() string {
	return `Without --from and --to these are all flows between pods' container ports, and to those of the hosts outside. Without -f the NetworkPolicies are those among the topology's objects, if any.

The pods of a topology file have the addresses that they have in the simulator: pods from 10.244.0.10 on in the file's order, and hosts outside, where the file gives none, from 203.0.113.10 on.

JSON and YAML are one object:

  flows: a list; each flow has
    from      namespace/pod, or an IP address
    to        namespace/pod, or an IP address; for a Service the pod behind it
    fromName, toName  the topology's name of a host outside, if it has one
    service   namespace/name, if the flow was sent to a Service
    port      the destination's own port
    protocol  TCP, UDP or SCTP
    allowed   true or false
    egress    why, at the source: allowed, because (a word), and policies, each with the verdict of its rules
    ingress   why, at the destination, the same
    sentence  all that in one sentence
  policies: a list; each policy has namespace, name and file, which the positions in the reasons are in
  warnings: a list of sentences` +
		fmt.Sprintf(exitCodes, "done, and the flow is allowed where --from and --to ask for one", "the flow is blocked")
}

// evaluated is a flow in the output; see [evalCmd.Help].
type evaluated struct {
	From     string           `json:"from"`
	FromName string           `json:"fromName,omitempty"`
	To       string           `json:"to"`
	ToName   string           `json:"toName,omitempty"`
	Service  string           `json:"service,omitempty"`
	Port     int32            `json:"port"`
	Protocol corev1.Protocol  `json:"protocol"`
	Allowed  bool             `json:"allowed"`
	Egress   policy.Direction `json:"egress"`
	Ingress  policy.Direction `json:"ingress"`
	Sentence string           `json:"sentence"`
}

func newEvaluated(n *policy.Network, d policy.Decision) evaluated {
	out := evaluated{
		Service: d.Service, Port: d.Port, Protocol: d.Protocol,
		Allowed: d.Allowed, Egress: d.Egress, Ingress: d.Ingress, Sentence: d.String(),
	}
	out.From, out.FromName = addressOf(n, d.From)
	out.To, out.ToName = addressOf(n, d.To)
	return out
}

// addressOf is the address of a host outside, with its name. Pods are known by
// their names, and what has no name by its address.
func addressOf(n *policy.Network, end string) (address, hostName string) {
	for _, h := range n.Hosts {
		if h.Name == end && len(h.IPs) > 0 {
			return h.IPs[0].String(), h.Name
		}
	}
	return end, ""
}

func (c *evalCmd) Run(std streams) error {
	s, err := load(std, c.Topology, c.policyFlags)
	if err != nil {
		return err
	}
	e, err := s.compile(c.Topology)
	if err != nil {
		return err
	}
	q, err := newQuestion(s, e, c.From, c.To)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(std.stdout)
	if c.Output != "table" {
		flows := func(yield func(any) bool) {
			for f := range q.flows() {
				if !yield(newEvaluated(&s.network, e.Explain(f))) {
					return
				}
			}
		}
		err = writeObject(out, c.Output, "flows", flows, rest{Policies: s.policies.located(), Warnings: s.warnings})
	} else {
		printWarnings(std.stderr, s.warnings)
		switch {
		case q.from != nil && q.to != nil:
			err = explain(out, s, e, q.flow())
		case q.from != nil || q.to != nil:
			list(out, q)
		default:
			matrix(out, &s.network, e)
		}
	}
	return finish(out, err, q.from != nil && q.to != nil && !e.Allowed(q.flow()))
}

// compile prepares the answers.
func (s *scenario) compile(topology string) (*policy.Evaluator, error) {
	e, err := policy.Compile(s.network, s.policies.policies)
	if err != nil {
		return nil, inputError{topology + ": " + err.Error()}
	}
	return e, nil
}

// question is which flows are asked about.
type question struct {
	evaluator *policy.Evaluator
	network   *policy.Network
	from      *policy.Endpoint
	to        *policy.Flow // Without its source.
}

// newQuestion reads --from and --to, each of which may be empty. It warns where the
// answer for a Service cannot be known.
func newQuestion(s *scenario, e *policy.Evaluator, from, to string) (*question, error) {
	q := &question{evaluator: e, network: &s.network}
	if from != "" {
		end, err := e.Source(from)
		if err != nil {
			return nil, inputError{"--from " + from + ": " + err.Error()}
		}
		q.from = &end
	}
	if to != "" {
		f, err := e.Destination(to)
		if err != nil {
			return nil, inputError{"--to " + to + ": " + err.Error()}
		}
		q.to = &f
		for _, service := range s.network.Services {
			if slices.Contains(service.ClusterIPs, f.To.Addr()) && len(service.Selector) == 0 {
				s.warnings = append(s.warnings, fmt.Sprintf("The Service %s/%s has no selector; where it leads is not known here.", service.Namespace, service.Name))
			}
		}
	}
	return q, nil
}

// flow is the one flow that both ends make.
func (q *question) flow() policy.Flow {
	f := *q.to
	f.From = *q.from
	return f
}

// flows are those asked about. Of a pod's flows only those to others are, unless
// it is asked about itself.
func (q *question) flows() iter.Seq[policy.Flow] {
	switch {
	case q.from != nil && q.to != nil:
		return slices.Values([]policy.Flow{q.flow()})
	case q.from == nil && q.to == nil:
		return slices.Values(q.evaluator.Flows())
	}
	return func(yield func(policy.Flow) bool) {
		if q.to != nil {
			for _, p := range q.network.Pods {
				f := *q.to
				if f.From, _ = q.evaluator.Pod(p.Namespace, p.Name); f.From != f.To && !yield(f) {
					return
				}
			}
			return
		}
		for _, d := range destinations(q.network, q.evaluator) {
			d.From = *q.from
			if d.From != d.To && !yield(d) {
				return
			}
		}
	}
}

// destinations are the flows that lead to each of the network's ports, without
// their source, in the network's order.
func destinations(n *policy.Network, e *policy.Evaluator) []policy.Flow {
	var out []policy.Flow
	for _, p := range n.Pods {
		to, _ := e.Pod(p.Namespace, p.Name)
		for _, port := range p.Ports {
			out = append(out, policy.Flow{To: to, Port: port.Port, Protocol: cmp.Or(port.Protocol, corev1.ProtocolTCP)})
		}
	}
	for _, h := range n.Hosts {
		if len(h.IPs) == 0 {
			continue
		}
		for _, port := range h.Ports {
			out = append(out, policy.Flow{To: e.Address(h.IPs[0]), Port: port.Port, Protocol: cmp.Or(port.Protocol, corev1.ProtocolTCP)})
		}
	}
	return out
}

// target names a flow's destination: "namespace/pod:port/protocol", with svc/ before
// it for a Service.
func target(n *policy.Network, e *policy.Evaluator, f policy.Flow) string {
	name := e.Name(f.To)
	for _, s := range n.Services {
		if slices.Contains(s.ClusterIPs, f.To.Addr()) {
			name = "svc/" + s.Namespace + "/" + s.Name
		}
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	return fmt.Sprintf("%s:%d/%s", name, f.Port, f.Protocol)
}

// list writes a line for each flow.
func list(w io.Writer, q *question) {
	e := q.evaluator
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FROM\tTO\tANSWER")
	for f := range q.flows() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Name(f.From), target(q.network, e, f), e.Explain(f))
	}
	t.Flush()
}

// matrixColumns is how many columns fit beside each other on a screen.
const matrixColumns = 12

// matrix writes a row for each source and a column for each destination; the
// columns have numbers, for their names are long.
func matrix(w io.Writer, n *policy.Network, e *policy.Evaluator) {
	columns := destinations(n, e)
	digits := len(fmt.Sprint(len(columns)))
	for i, f := range columns {
		fmt.Fprintf(w, "%*d  %s\n", digits, i+1, target(n, e, f))
	}
	allowed, all := 0, 0
	for first := 0; first < len(columns); first += matrixColumns {
		block := columns[first:min(first+matrixColumns, len(columns))]
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprint(t, "FROM \\ TO")
		for i := range block {
			fmt.Fprintf(t, "\t%d", first+i+1)
		}
		fmt.Fprintln(t)
		for _, p := range n.Pods {
			from, _ := e.Pod(p.Namespace, p.Name)
			fmt.Fprint(t, e.Name(from))
			for _, f := range block {
				if f.From = from; f.From == f.To {
					fmt.Fprint(t, "\t-")
					continue
				}
				word := cell(e, f)
				if all++; word == "yes" {
					allowed++
				}
				fmt.Fprint(t, "\t", word)
			}
			fmt.Fprintln(t)
		}
		t.Flush()
	}
	fmt.Fprintf(w, "\n%d of %d flows are allowed. \"no out\": not by the source's egress; \"no in\": not by the destination's ingress; \"no both\": by neither.\nFor the reasons: --from NAMESPACE/POD --to NAMESPACE/POD:PORT, or -o json.\n", allowed, all)
}

// cell is the answer in a word or two.
func cell(e *policy.Evaluator, f policy.Flow) string {
	if e.Allowed(f) {
		return "yes"
	}
	switch d := e.Explain(f); {
	case d.Egress.Allowed:
		return "no in"
	case d.Ingress.Allowed:
		return "no out"
	}
	return "no both"
}

// explain writes all there is to say of one flow.
func explain(w io.Writer, s *scenario, e *policy.Evaluator, f policy.Flow) error {
	d := e.Explain(f)
	fmt.Fprintf(w, "%s\n\n%s -> %s\n", d, e.Name(f.From), target(&s.network, e, f))
	if backends, _ := e.Backends(f); len(backends) > 0 {
		text := fmt.Sprintf("The Service leads to %s:%d/%s", d.To, d.Port, d.Protocol)
		if len(backends) > 1 {
			text += fmt.Sprintf(" and %d more; all must be allowed", len(backends)-1)
		}
		fmt.Fprintln(w, text+".")
	}
	explainDirection(w, s, "Egress of "+d.From, d.Egress)
	explainDirection(w, s, "Ingress of "+d.To, d.Ingress)
	if d.Allowed {
		return nil
	}
	remedy := e.Remedy(f)
	if len(remedy) == 0 {
		_, err := fmt.Fprint(w, "\nNo NetworkPolicy can allow it.\n")
		return err
	}
	fmt.Fprint(w, "\nThis, applied beside the others, would allow it:\n\n")
	for i, p := range remedy {
		if i > 0 {
			fmt.Fprintln(w, "---")
		}
		fmt.Fprint(w, policy.YAML(p))
	}
	return nil
}

func explainDirection(w io.Writer, s *scenario, what string, d policy.Direction) {
	fmt.Fprintf(w, "\n%s: %s.\n", what, d)
	for _, p := range d.Policies {
		fmt.Fprintf(w, "  %s: policy %s\n", s.policies.where(p.Policy, p.Position), p)
		for _, r := range p.Rules {
			fmt.Fprintf(w, "    %s: %s\n", s.policies.where(p.Policy, r.Position), r)
			for _, m := range r.Mismatches {
				fmt.Fprintf(w, "      %s: %s\n", s.policies.where(p.Policy, m.Position), m)
			}
		}
	}
}

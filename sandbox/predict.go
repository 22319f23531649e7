package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Predictor says what a set of policies makes of a topology's flows. It is
// compiled once and then only read, so it may be asked from many goroutines at a
// time.
type Predictor struct {
	topology  *Topology
	evaluator *policy.Evaluator
	addresses Addresses
}

// Prediction is what is expected of one flow, and why.
type Prediction struct {
	// Verdict is probe.Open, probe.Blocked, or probe.DNSFailed where the flow goes
	// by name and its source may not ask the cluster's DNS service.
	Verdict probe.Verdict `json:"verdict"`
	// Decisions are what the policies decide, in the order in which it matters: of
	// a flow by name first whether the source may ask the DNS service by UDP, and
	// then, where it may, the connection itself; of another flow the connection.
	Decisions []policy.Decision `json:"decisions"`
}

// NewPredictor prepares the predictions for the topology's flows under the
// policies, which must be valid. It fails where two of them have one name.
func NewPredictor(t *Topology, a Addresses, policies []policy.Policy) (*Predictor, error) {
	evaluator, err := policy.Compile(t.Network(a), policies)
	if err != nil {
		return nil, fmt.Errorf("predict flows: %w", err)
	}
	return &Predictor{topology: t, evaluator: evaluator, addresses: a}, nil
}

// Evaluator answers what is no flow of the topology. It must not be changed.
func (p *Predictor) Evaluator() *policy.Evaluator { return p.evaluator }

// Verdict is the verdict that Predict gives, without its reasons and much faster.
func (p *Predictor) Verdict(f Flow) (probe.Verdict, error) {
	r, err := p.route(f)
	switch {
	case err != nil:
		return "", err
	case r.byName && !p.evaluator.Allowed(r.question):
		return probe.DNSFailed, nil
	case !p.evaluator.Allowed(r.connection):
		return probe.Blocked, nil
	}
	return probe.Open, nil
}

// Predict says what is expected of the flow, and why. It fails where the flow is
// not the topology's, or where an address that it needs is not known: of an outside
// host, or of the DNS service.
func (p *Predictor) Predict(f Flow) (Prediction, error) { return p.predict(f, p.evaluator.Explain) }

func (p *Predictor) predict(f Flow, decide func(policy.Flow) policy.Decision) (Prediction, error) {
	r, err := p.route(f)
	if err != nil {
		return Prediction{}, err
	}
	var out Prediction
	if r.byName {
		d := decide(r.question)
		out.Decisions = append(out.Decisions, d)
		if !d.Allowed {
			out.Verdict = probe.DNSFailed
			return out, nil
		}
	}
	d := decide(r.connection)
	out.Decisions = append(out.Decisions, d)
	out.Verdict = probe.Blocked
	if d.Allowed {
		out.Verdict = probe.Open
	}
	return out, nil
}

// route is what a flow is on the network.
type route struct {
	// question is what has to be asked of the DNS service first, where byName.
	byName               bool
	question, connection policy.Flow
}

func (p *Predictor) route(f Flow) (route, error) {
	from, ok := p.pod(f.From)
	if !ok {
		return route{}, fmt.Errorf("there is no pod %s", f.From)
	}
	r := route{connection: policy.Flow{From: from, Port: int32(f.Port), Protocol: corev1.Protocol(f.Protocol)}}
	to, port, err := p.destination(f)
	if err != nil {
		return route{}, err
	}
	r.connection.To, r.connection.Port = to, port
	if f.Via == ViaName {
		dns, err := p.dns()
		if err != nil {
			return route{}, err
		}
		// A resolver asks by UDP, and by TCP only where the answer is too long.
		r.byName, r.question = true, policy.Flow{From: from, To: dns, Port: dnsPort, Protocol: corev1.ProtocolUDP}
	}
	return r, nil
}

// destination is where the flow's packets go, and to which port there.
func (p *Predictor) destination(f Flow) (policy.Endpoint, int32, error) {
	if f.ToDNS() {
		dns, err := p.dns()
		return dns, int32(f.Port), err
	}
	namespace, _, _ := strings.Cut(f.To, "/")
	if addr, ok := p.addresses.Services[namespace+"/"+f.Service]; ok && f.Via == ViaName {
		return p.evaluator.Address(addr), int32(f.ServicePort), nil
	}
	// Also by name where the ClusterIP is not known: the Service leads to the pod.
	if pod, ok := p.pod(f.To); ok {
		return pod, int32(f.Port), nil
	}
	if addr := p.addresses.External[f.To]; addr.IsValid() {
		return p.evaluator.Address(addr), int32(f.Port), nil
	}
	return policy.Endpoint{}, 0, fmt.Errorf("the address of %s is not known", f.To)
}

var errNoDNS = errors.New("the address of the cluster's DNS service is not known")

func (p *Predictor) dns() (policy.Endpoint, error) {
	if !p.addresses.DNS.IsValid() {
		return policy.Endpoint{}, errNoDNS
	}
	return p.evaluator.Address(p.addresses.DNS), nil
}

func (p *Predictor) pod(name string) (policy.Endpoint, bool) {
	namespace, pod, _ := strings.Cut(name, "/")
	return p.evaluator.Pod(namespace, pod)
}

const (
	// maxPredictions is how long predictions may be in JSON, in bytes, with their
	// reasons: they go to every watcher and stay in the log for a while.
	maxPredictions = 20 << 10
	// maxNamed is how many of the policies that isolate an end are named.
	maxNamed = 3
)

// Expect predicts the flows, and says compactly why. A flow that cannot be predicted
// is left out.
func (p *Predictor) Expect(change int64, flows []Flow) *Predictions {
	b := expecting{out: &Predictions{Change: change, Policies: []PolicyRef{}, Expected: []Expected{}}, numbers: map[PolicyRef]int{}, groups: map[string]int{}}
	for _, f := range flows {
		if prediction, err := p.predict(f, p.evaluator.Decide); err == nil {
			b.add(f.ID, prediction)
		}
	}
	if b.size() > maxPredictions {
		b.dropReasons()
	}
	return b.out
}

// size is about how long the predictions are in JSON.
func (b *expecting) size() int {
	n := 0
	for _, p := range b.out.Policies {
		n += len(p.Namespace) + len(p.Name) + len(`{"namespace":"","name":""},`)
	}
	for _, e := range b.out.Expected {
		n += len(`{"verdict":"dns-failed","why":[],"flows":[]},`)
		for _, r := range e.Why {
			n += len(`{"of":"connection","direction":"ingress","because":"not-admitted","policies":[],"more":10},`) + 3*len(r.Policies)
		}
		for _, f := range e.Flows {
			n += len(f) + len(`"",`)
		}
	}
	return n
}

// keyOf tells two groups of flows apart.
func keyOf(v probe.Verdict, why []Reason) string {
	key := append(make([]byte, 0, 64), v...)
	for _, r := range why {
		key = append(key, '|', r.Of[0], r.Direction[0])
		key = append(key, r.Because...)
		for _, p := range r.Policies {
			key = strconv.AppendInt(append(key, ','), int64(p), 10)
		}
		key = strconv.AppendInt(append(key, '+'), int64(r.More), 10)
	}
	return string(key)
}

// expecting collects predictions.
type expecting struct {
	out     *Predictions
	numbers map[PolicyRef]int // position in out.Policies
	groups  map[string]int    // position in out.Expected, by verdict and reasons
}

func (b *expecting) add(flow string, p Prediction) {
	var why []Reason
	for i, d := range p.Decisions {
		of := OfConnection
		if len(p.Decisions) > 1 && i == 0 || p.Verdict == probe.DNSFailed {
			of = OfDNS
		}
		for _, direction := range []policy.Direction{d.Egress, d.Ingress} {
			// Of what is open, the way to the DNS service is told where a policy allows it.
			if direction.Allowed != d.Allowed || of == OfDNS && d.Allowed && direction.Because != policy.Admitted {
				continue
			}
			why = append(why, b.reason(of, direction))
		}
	}
	key := keyOf(p.Verdict, why)
	at, ok := b.groups[key]
	if !ok {
		at = len(b.out.Expected)
		b.groups[key] = at
		b.out.Expected = append(b.out.Expected, Expected{Verdict: p.Verdict, Why: why})
	}
	b.out.Expected[at].Flows = append(b.out.Expected[at].Flows, flow)
}

func (b *expecting) reason(of ReasonOf, d policy.Direction) Reason {
	r := Reason{Of: of, Direction: Egress, Because: d.Because}
	if d.Type == networkingv1.PolicyTypeIngress {
		r.Direction = Ingress
	}
	for _, v := range d.Policies {
		switch {
		case d.Because == policy.Admitted && v.Admits:
			r.Policies = []int{b.number(v.Policy)}
			return r
		case d.Because != policy.NotAdmitted:
		case len(r.Policies) < maxNamed:
			r.Policies = append(r.Policies, b.number(v.Policy))
		default:
			r.More++
		}
	}
	return r
}

func (b *expecting) number(ref PolicyRef) int {
	n, ok := b.numbers[ref]
	if !ok {
		n = len(b.out.Policies)
		b.numbers[ref] = n
		b.out.Policies = append(b.out.Policies, ref)
	}
	return n
}

// dropReasons leaves the verdicts.
func (b *expecting) dropReasons() {
	flows := map[probe.Verdict][]string{}
	for _, e := range b.out.Expected {
		flows[e.Verdict] = append(flows[e.Verdict], e.Flows...)
	}
	b.out.Policies, b.out.Expected = []PolicyRef{}, b.out.Expected[:0:0]
	for _, v := range slices.Sorted(maps.Keys(flows)) {
		b.out.Expected = append(b.out.Expected, Expected{Verdict: v, Flows: flows[v]})
	}
}

// Verdicts are the predicted verdicts by flow. A nil Predictions has none.
func (p *Predictions) Verdicts() map[string]probe.Verdict {
	out := map[string]probe.Verdict{}
	if p == nil {
		return out
	}
	for _, e := range p.Expected {
		for _, f := range e.Flows {
			out[f] = e.Verdict
		}
	}
	return out
}

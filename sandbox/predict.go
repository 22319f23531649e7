package sandbox

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Predictor says what a set of policies makes of a topology's flows. It is
// compiled once and then only read, so it may be asked from many goroutines at a
// time.
type Predictor struct {
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
	return &Predictor{evaluator: evaluator, addresses: a}, nil
}

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
func (p *Predictor) Predict(f Flow) (Prediction, error) {
	r, err := p.route(f)
	if err != nil {
		return Prediction{}, err
	}
	var out Prediction
	if r.byName {
		d := p.evaluator.Explain(r.question)
		out.Decisions = append(out.Decisions, d)
		if !d.Allowed {
			out.Verdict = probe.DNSFailed
			return out, nil
		}
	}
	d := p.evaluator.Explain(r.connection)
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

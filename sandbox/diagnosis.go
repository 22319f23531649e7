package sandbox

import (
	"fmt"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Diagnose says why the policies do not make of the flow what is wanted, that it is
// open or that it is not; see [policy.Evaluator.Diagnose]. Of a flow by name whose
// source may not ask the cluster's DNS it is about that question. It fails where
// Predict does.
func (p *Predictor) Diagnose(f Flow, open bool) (policy.Diagnosis, error) {
	r, err := p.route(f)
	if err != nil {
		return policy.Diagnosis{}, err
	}
	if !r.byName || p.evaluator.Allowed(r.question) {
		return p.evaluator.Diagnose(r.connection, open), nil
	}
	d := p.evaluator.Diagnose(r.question, open)
	if open {
		name := f.To[strings.LastIndex(f.To, "/")+1:]
		d.Message = fmt.Sprintf("The name %s cannot be looked up: %s", name, d.Message)
	}
	return d, nil
}

package policy

// Flows lists every flow that the network's ports make possible: from each pod to
// each port of every other pod and of every host.
func (e *Evaluator) Flows() []Flow {
	var out []Flow
	for from := range e.pods {
		for to := range e.pods {
			if from == to {
				continue
			}
			for _, p := range e.pods[to].Ports {
				out = append(out, Flow{e.endpoint(int32(from)), e.endpoint(int32(to)), p.Port, orTCP(p.Protocol)})
			}
		}
		for _, h := range e.network.Hosts {
			if len(h.IPs) == 0 {
				continue
			}
			for _, p := range h.Ports {
				out = append(out, Flow{e.endpoint(int32(from)), e.Address(h.IPs[0]), p.Port, orTCP(p.Protocol)})
			}
		}
	}
	return out
}

// Change is a flow that one set of policies allows and another does not.
type Change struct {
	Before Decision `json:"before"`
	After  Decision `json:"after"`
}

// Diff tells which of the flows change, and why, when the policies of before give
// way to those of after. Both must have been compiled for the same Network; the
// flows may come from either.
func Diff(before, after *Evaluator, flows []Flow) []Change {
	var out []Change
	for _, f := range flows {
		if before.Allowed(f) != after.Allowed(f) {
			out = append(out, Change{before.Explain(f), after.Explain(f)})
		}
	}
	return out
}

package sandbox

import (
	"fmt"
	"maps"
	"slices"

	"github.com/netpol-lab/netpol-lab/sandbox/policy/build"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Wish is what a flow is to be.
type Wish string

// The wishes.
const (
	WishOpen   Wish = "open"
	WishClosed Wish = "closed"
)

// Build makes the policies that do what is wished for if there are no others, or says
// why none can; see [build.Policies]. The wishes are by the flows' IDs. It fails with
// [ErrNoFlow] where the topology has no such flow.
func (t *Topology) Build(a Addresses, wishes map[string]Wish) (build.Plan, error) {
	p, err := NewPredictor(t, a, nil)
	if err != nil {
		return build.Plan{}, err
	}
	flows := map[string]Flow{}
	for _, f := range t.Flows() {
		flows[f.ID] = f
	}
	var all []build.Wish
	for _, id := range slices.Sorted(maps.Keys(wishes)) {
		f, ok := flows[id]
		if !ok {
			return build.Plan{}, fmt.Errorf("flow %q: %w", id, ErrNoFlow)
		}
		r, err := p.route(f)
		if err != nil {
			return build.Plan{}, fmt.Errorf("flow %s: %w", id, err)
		}
		all = append(all, build.Wish{Flow: r.connection, ByName: r.byName, Open: wishes[id] == WishOpen})
	}
	return build.Policies(p.evaluator.Network(), t.NamespaceNames(), all)
}

// AlwaysOpen are the flows, by their IDs, that no policy of the lab's namespaces can close:
// those of a pod in its node's network.
func (t *Topology) AlwaysOpen(a Addresses) ([]string, error) {
	p, err := NewPredictor(t, a, build.Deny(t.NamespaceNames()))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range t.Flows() {
		if verdict, err := p.Verdict(f); err == nil && verdict == probe.Open {
			out = append(out, f.ID)
		}
	}
	return out, nil
}

// Unmet are the flows, by their IDs, that would not be as wished under the policies.
func (p *Predictor) Unmet(wishes map[string]Wish) ([]string, error) {
	var out []string
	for _, f := range p.topology.Flows() {
		wish, ok := wishes[f.ID]
		if !ok {
			continue
		}
		verdict, err := p.Verdict(f)
		if err != nil {
			return nil, fmt.Errorf("flow %s: %w", f.ID, err)
		}
		if (verdict == probe.Open) != (wish == WishOpen) {
			out = append(out, f.ID)
		}
	}
	return out, nil
}

package sandbox

import (
	"fmt"
	"slices"
	"sync"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Baseline is what a draft of policies is compared with: what is in force in a
// sandbox at one moment, or a topology without any policy. It is only read, so it
// may be asked from many goroutines at a time.
type Baseline struct {
	// Change is the number of the last change of policies; 0 without a sandbox.
	Change int64
	// Addresses are those of the sandbox's cluster, or planned ones.
	Addresses Addresses
	// Flows are the topology's, in its order.
	Flows []Flow
	// Predictor answers for the policies in force. They keep the places in their
	// texts.
	Predictor *Predictor
	// Verdicts are what is expected of each flow that can be predicted, by its ID.
	Verdicts map[string]probe.Verdict
}

// NewBaseline compares with the policies, which must be valid.
func NewBaseline(t *Topology, a Addresses, policies []policy.Policy) (*Baseline, error) {
	predictor, err := NewPredictor(t, a, policies)
	if err != nil {
		return nil, err
	}
	b := &Baseline{Addresses: a, Flows: t.Flows(), Predictor: predictor}
	b.Verdicts = predictor.Verdicts(b.Flows)
	return b, nil
}

// Why says why a flow is as it is expected to be. It fails with ErrNoFlow where the
// topology has none of that ID.
func (b *Baseline) Why(flow string) (*Why, error) { return b.Predictor.why(b.Flows, flow) }

func (p *Predictor) why(flows []Flow, id string) (*Why, error) {
	i := slices.IndexFunc(flows, func(f Flow) bool { return f.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("flow %q: %w", id, ErrNoFlow)
	}
	return p.Why(flows[i])
}

// WhyOf is Why of the flow with the ID under other policies, those of the Predictor,
// which must be of the same topology.
func (b *Baseline) WhyOf(draft *Predictor, flow string) (*Why, error) {
	return draft.why(b.Flows, flow)
}

// Verdicts are the verdicts of the flows that can be predicted, by their IDs.
func (p *Predictor) Verdicts(flows []Flow) map[string]probe.Verdict {
	out := make(map[string]probe.Verdict, len(flows))
	for _, f := range flows {
		if v, err := p.Verdict(f); err == nil {
			out[f.ID] = v
		}
	}
	return out
}

// baselines keeps an instance's baseline for as long as nothing changes: it is asked
// for at every key.
type baselines struct {
	mu   sync.Mutex
	last *Baseline
	// of is what the last one was made of.
	of standing
}

// standing is what the feed tells of the policies in force. Its parts are replaced and
// never changed, so that two are the same where they are identical.
type standing struct {
	change      int64
	predictions *Predictions
	policies    []AppliedPolicy
}

func (s standing) is(other standing) bool {
	return s.change == other.change && s.predictions == other.predictions && len(s.policies) == len(other.policies) &&
		(len(s.policies) == 0 || &s.policies[0] == &other.policies[0])
}

func (f *feed) standing() standing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return standing{f.picture.Change, f.picture.Predictions, f.picture.Policies}
}

// Baseline is what is in force in the sandbox, which must be ready or paused. It does not wait
// for a change that is at work.
func (m *Manager) Baseline(id ID) (*Baseline, error) {
	in, err := m.find(id)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	cluster := in.cluster
	in.mu.Unlock()
	if state := in.feed.state(); cluster == nil || state != Ready && state != Paused {
		return nil, fmt.Errorf("sandbox %s is %s: %w", in.id, state, ErrNotReady)
	}
	in.baselines.mu.Lock()
	defer in.baselines.mu.Unlock()
	now := in.feed.standing()
	if in.baselines.last != nil && in.baselines.of.is(now) {
		return in.baselines.last, nil
	}
	var policies []policy.Policy
	for _, p := range now.policies {
		// The texts are those that were applied, so they are read anew only for the
		// places in them.
		read, err := policy.Parse([]byte(p.YAML), policy.ParseOptions{DefaultNamespace: p.Namespace, MaxBytes: policy.MaxBytes})
		if err != nil {
			return nil, fmt.Errorf("sandbox %s: policy %s in force: %w", id, p.PolicyRef, err)
		}
		policies = append(policies, read...)
	}
	b, err := NewBaseline(in.topology, cluster.Addresses(), policies)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", id, err)
	}
	b.Change = now.change
	in.baselines.last, in.baselines.of = b, now
	return b, nil
}

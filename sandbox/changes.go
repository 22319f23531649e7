package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Apply parses the YAML and applies its policies, all or none. A *policy.Error
// says what is wrong with it and where. The effect is told in events that carry
// the number of the returned change.
func (m *Manager) Apply(ctx context.Context, id ID, src []byte) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(id)
	if err != nil {
		return PolicyChange{}, err
	}
	policies, err := in.parse(ctx, src)
	if err != nil {
		return PolicyChange{}, err
	}
	return in.changePolicies(ctx, arrived, func(ctx context.Context, c Cluster) error { return c.Apply(ctx, policies) })
}

// DeletePolicies deletes the named policies; nil means every one in the lab.
func (m *Manager) DeletePolicies(ctx context.Context, id ID, refs []PolicyRef) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(id)
	if err != nil {
		return PolicyChange{}, err
	}
	return in.changePolicies(ctx, arrived, func(ctx context.Context, c Cluster) error {
		if refs == nil {
			policies, err := c.Policies(ctx)
			if err != nil {
				return err
			}
			for _, p := range policies {
				refs = append(refs, p.Ref())
			}
		}
		return c.Delete(ctx, refs)
	})
}

// Replace makes the policies of the YAML, which may be none, the only ones of the
// lab, as one change. It is for what the lab itself brings: the policies that an
// exercise begins with.
func (m *Manager) Replace(ctx context.Context, id ID, src []byte) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(id)
	if err != nil {
		return PolicyChange{}, err
	}
	var policies []policy.Policy
	if len(bytes.TrimSpace(src)) > 0 {
		if policies, err = in.parse(ctx, src); err != nil {
			return PolicyChange{}, err
		}
	}
	return in.changePolicies(ctx, arrived, func(ctx context.Context, c Cluster) error {
		old, err := c.Policies(ctx)
		if err != nil {
			return err
		}
		keep := map[PolicyRef]bool{}
		for _, p := range policies {
			keep[p.Ref()] = true
		}
		var gone []PolicyRef
		for _, p := range old {
			if ref := p.Ref(); !keep[ref] {
				gone = append(gone, ref)
			}
		}
		// Applied first, so that nothing is open in between that is to stay closed.
		if len(policies) > 0 {
			if err := c.Apply(ctx, policies); err != nil {
				return err
			}
		}
		if len(gone) == 0 {
			return nil
		}
		return c.Delete(ctx, gone)
	})
}

// parse reads one learner's input at a time: who sends more at once waits for their
// own, and not everybody else.
func (in *instance) parse(ctx context.Context, src []byte) ([]policy.Policy, error) {
	select {
	case in.reading <- struct{}{}:
		defer func() { <-in.reading }()
	case <-ctx.Done():
		return nil, fmt.Errorf("sandbox %s: %w", in.id, ctx.Err())
	}
	return policy.ParseContext(ctx, src, policy.ParseOptions{Namespaces: in.topology.NamespaceNames()})
}

// changePolicies carries out one change. The burst of probes starts before the
// policies are read back, for what the learner waits for are the flows.
func (in *instance) changePolicies(ctx context.Context, arrived time.Time, do func(context.Context, Cluster) error) (PolicyChange, error) {
	select {
	case <-in.turn:
		defer func() { in.turn <- struct{}{} }()
	case <-ctx.Done():
		return PolicyChange{}, fmt.Errorf("sandbox %s: %w", in.id, ctx.Err())
	}
	in.touch()
	in.mu.Lock()
	cluster, observer := in.cluster, in.observer
	in.mu.Unlock()
	if cluster == nil {
		return PolicyChange{}, fmt.Errorf("sandbox %s is %s: %w", in.id, in.feed.state(), ErrNotReady)
	}
	// A change that has begun is carried through, whether the one who asked
	// still waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	// An error does not prove that nothing has changed, so it is looked at all
	// the same; but not where the cluster refused the input.
	err := do(ctx, cluster)
	var refused *policy.Error
	if errors.As(err, &refused) {
		return PolicyChange{}, err
	}
	number := in.feed.change() + 1
	observer.changed(change{number: number, arrived: arrived, answered: time.Now()})
	applied, listErr := appliedPolicies(ctx, cluster)
	if listErr == nil {
		in.feed.emit(Event{Type: EventPolicies, Policies: &PolicyChange{Change: number, Policies: applied}})
	}
	if err = errors.Join(err, listErr); err != nil {
		return PolicyChange{}, fmt.Errorf("sandbox %s: %w", in.id, err)
	}
	return PolicyChange{Change: number, Policies: applied}, nil
}

// changeTimeout is how long the cluster may take to accept a change.
const changeTimeout = 20 * time.Second

func appliedPolicies(ctx context.Context, c Cluster) ([]AppliedPolicy, error) {
	policies, err := c.Policies(ctx)
	if err != nil {
		return nil, err
	}
	applied := make([]AppliedPolicy, len(policies))
	for i, p := range policies {
		applied[i] = AppliedPolicy{PolicyRef: p.Ref(), YAML: p.Source}
	}
	return applied, nil
}

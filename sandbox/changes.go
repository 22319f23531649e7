package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Apply parses the YAML and applies its policies, all or none. What is no NetworkPolicy
// in it is set aside, and told of, as long as something is left. A *policy.Error
// says what is wrong with it and where, a *LimitError that it would be too much. The
// effect is told in events that carry the number of the returned change.
func (m *Manager) Apply(ctx context.Context, id ID, src []byte) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(id)
	if err != nil {
		return PolicyChange{}, err
	}
	policies, others, err := in.parse(ctx, src)
	if err != nil {
		return PolicyChange{}, err
	}
	return in.changePolicies(ctx, arrived, plan{
		origin: OriginApply, setAside: others, leftOut: policy.LeftOut(policies),
		next: func(now inForce) (inForce, error) {
			next := now.with(policies)
			return next, next.allowed()
		},
		do: func(ctx context.Context, c Cluster) error { return c.Apply(ctx, policies) },
	})
}

// DeletePolicies deletes the named policies; nil means every one in the lab.
func (m *Manager) DeletePolicies(ctx context.Context, id ID, refs []PolicyRef) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(id)
	if err != nil {
		return PolicyChange{}, err
	}
	return in.changePolicies(ctx, arrived, plan{
		origin: OriginDelete,
		next: func(now inForce) (inForce, error) {
			if refs == nil {
				return inForce{}, nil
			}
			return now.without(refs), nil
		},
		do: func(ctx context.Context, c Cluster) error {
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
		},
	})
}

// Replace makes the policies of the YAML, which may be none, the only ones of the
// lab, as one change: the learner's workspace, those that an exercise begins with, or
// those that were in force before it. The origin says which.
func (m *Manager) Replace(ctx context.Context, id ID, origin Origin, src []byte, options ...ChangeOption) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(id)
	if err != nil {
		return PolicyChange{}, err
	}
	var policies []policy.Policy
	var others []policy.Other
	if len(bytes.TrimSpace(src)) > 0 {
		if policies, others, err = in.parse(ctx, src); err != nil {
			return PolicyChange{}, err
		}
	}
	next := newInForce(policies)
	return in.changePolicies(ctx, arrived, plan{
		origin: origin, setAside: others, leftOut: policy.LeftOut(policies),
		options: options,
		next:    func(inForce) (inForce, error) { return next, next.allowed() },
		do: func(ctx context.Context, c Cluster) error {
			old, err := c.Policies(ctx)
			if err != nil {
				return err
			}
			var gone []PolicyRef
			for _, p := range old {
				if _, stays := next.find(p.Ref()); !stays {
					gone = append(gone, p.Ref())
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
		},
	})
}

// parse reads the policies of the input, and what else there is in it, one learner's
// input at a time: who sends more at once waits for their
// own, and not everybody else. The policies' texts are kept, so each is a copy that
// does not hold all that came with it.
func (in *instance) parse(ctx context.Context, src []byte) ([]policy.Policy, []policy.Other, error) {
	select {
	case in.reading <- struct{}{}:
		defer func() { <-in.reading }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("sandbox %s: %w", in.id, ctx.Err())
	}
	begun := time.Now()
	policies, others, err := policy.ParseSettingAside(ctx, src, policy.ParseOptions{Namespaces: in.topology.NamespaceNames()})
	for i := range policies {
		policies[i].Source = strings.Clone(policies[i].Source)
	}
	in.m.opts.Metrics.Parsed(time.Since(begun))
	return policies, others, err
}

// plan is a change of policies: what is in force after it, and how to bring that about.
type plan struct {
	origin  Origin
	options []ChangeOption
	// setAside is what the input has besides policies.
	setAside []policy.Other
	// leftOut are the fields of it that only a cluster writes.
	leftOut []string
	next    func(now inForce) (inForce, error)
	do      func(context.Context, Cluster) error
}

// ChangeOption is something to know of a change of policies.
type ChangeOption func(*changeOptions)

type changeOptions struct {
	base *int64
}

// OnTopOf has a change fail with an *OutdatedError where another one than this was the
// last: whoever asks for it has not seen what it would do away with.
func OnTopOf(change int64) ChangeOption {
	return func(o *changeOptions) { o.base = &change }
}

// OutdatedError says that there was another change in between. Nothing has been
// changed.
type OutdatedError struct {
	// Change is the number of the last change, Policies are those in force after it.
	Change   int64
	Policies []AppliedPolicy
}

func (e *OutdatedError) Error() string {
	return fmt.Sprintf("the policies have been changed meanwhile, by change %d", e.Change)
}

// changePolicies carries out one change. It is predicted while the cluster is busy
// with it; the burst of probes starts before the policies are read back, for what the
// learner waits for are the flows.
func (in *instance) changePolicies(ctx context.Context, arrived time.Time, plan plan) (PolicyChange, error) {
	if err := in.takeTurn(ctx); err != nil {
		return PolicyChange{}, err
	}
	defer func() { in.turn <- struct{}{} }()
	in.touch()
	in.remember() // Of all that was done no more than the last is lost, whatever happens.
	in.mu.Lock()
	cluster, observer := in.cluster, in.observer
	in.mu.Unlock()
	if state := in.feed.state(); cluster == nil || state != Ready {
		return PolicyChange{}, fmt.Errorf("sandbox %s is %s: %w", in.id, state, ErrNotReady)
	}
	var options changeOptions
	for _, option := range plan.options {
		option(&options)
	}
	if options.base != nil {
		// kubectl may have changed something a moment ago.
		if err := in.catchUp(ctx, cluster); err != nil {
			return PolicyChange{}, fmt.Errorf("sandbox %s: %w", in.id, unanswered("so nothing was applied", err))
		}
	}
	if now, _ := in.feed.snapshot(); options.base != nil && *options.base != now.PoliciesChange {
		return PolicyChange{}, &OutdatedError{Change: now.PoliciesChange, Policies: now.Policies}
	}
	next, err := plan.next(in.policies)
	if err != nil {
		return PolicyChange{}, err
	}
	// A change that has begun is carried through, whether the one who asked
	// still waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	observer.changing.Store(true)
	defer observer.changing.Store(false)
	number := in.feed.next()
	predicted := make(chan *Predictions, 1)
	go func() { predicted <- in.predict(number, cluster, next) }()
	// An error does not prove that nothing has changed, so it is looked at all
	// the same; but not where the cluster refused the input.
	err = plan.do(ctx, cluster)
	var refused *policy.Error
	if errors.As(err, &refused) {
		return PolicyChange{}, err
	}
	answered := time.Now()
	in.policies = next
	in.feed.emit(Event{Type: EventPredictions, Predictions: <-predicted})
	observer.changed(change{number: number, arrived: arrived, answered: answered, asked: true})
	policies, listErr := cluster.Policies(ctx)
	var told PolicyChange
	if listErr == nil {
		// Somebody else may have changed them, too.
		if is := newInForce(policies); !is.equal(next) {
			in.policies = is
			in.feed.emit(Event{Type: EventPredictions, Predictions: in.predict(number, cluster, is)})
		}
		told = in.feed.policies(number, plan.origin, in.policies.applied())
		told.SetAside, told.LeftOut = plan.setAside, plan.leftOut
	}
	if err = errors.Join(err, listErr); err != nil {
		return PolicyChange{}, fmt.Errorf("sandbox %s: %w", in.id, unanswered("so it is not known whether that is in force", err))
	}
	return told, nil
}

// takeTurn waits until no other change is at work, and until the sandbox is awake.
func (in *instance) takeTurn(ctx context.Context) error {
	for {
		if err := in.awake(ctx); err != nil {
			return err
		}
		select {
		case <-in.turn:
		case <-ctx.Done():
			return fmt.Errorf("sandbox %s: %w", in.id, ctx.Err())
		}
		if in.feed.state() != Paused {
			return nil
		}
		in.turn <- struct{}{}
	}
}

// unanswered is what the learner is told where the cluster has not taken a change, or
// not said so: it may have died over it.
func unanswered(outcome string, err error) error {
	return &Failure{Message: "Your sandbox's cluster did not answer as it should, " + outcome + "." + because(err) + " Your text is kept: look at what is in force, then try again.", Err: err}
}

// because is the sentence about the error that a learner can understand, with a space before
// it, where there is one.
func because(err error) string {
	var failure *Failure
	if errors.As(err, &failure) {
		return " " + failure.Message
	}
	return ""
}

// predict says what the cluster's flows come to under the policies.
func (in *instance) predict(change int64, c Cluster, policies inForce) *Predictions {
	predictor, err := NewPredictor(in.topology, c.Addresses(), policies)
	if err != nil {
		in.m.opts.Log.Error("flows not predicted", "sandbox", in.id, "change", change, "error", err)
		return &Predictions{Change: change, Policies: []PolicyRef{}, Expected: []Expected{}}
	}
	return predictor.Expect(change, in.flows)
}

// changeTimeout is how long the cluster may take to accept a change.
const changeTimeout = 20 * time.Second

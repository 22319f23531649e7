package sandbox

import (
	"context"
	"errors"
	"sync"
	"time"
)

// follow takes over what is made of the cluster's policies behind the lab's back, until
// ctx ends. The first change is taken over at once; of those that follow, all that fall
// in one pause are one.
func (in *instance) follow(ctx context.Context, cluster Cluster) {
	news := make(chan struct{}, 1)
	tell := func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { cluster.WatchPolicies(ctx, tell) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
		}
		pause := followPause
		switch err := in.takeOver(ctx, cluster); {
		case errors.Is(err, errOverfull):
			pause = followOverfull
		case err != nil:
			in.m.opts.Log.Warn("policies of a sandbox not read", "sandbox", in.id, "error", err)
			pause = followRetry
			tell()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

const (
	// followPause is the least time between two looks at what the cluster's policies
	// are: so often watchers can be told of changes that somebody makes there.
	followPause = 250 * time.Millisecond
	// followRetry is the pause after a look that failed.
	followRetry = 2 * time.Second
	// followOverfull is the pause while the cluster has more policies than the lab
	// follows: to read them is much work, which nobody is to have made for them often.
	followOverfull = 10 * time.Second
)

var errOverfull = &LimitError{"Somebody has put more policies into the cluster than a sandbox may have. Delete some there with kubectl, or press Reset. Nothing was applied."}

// takeOver catches up with the cluster. It waits for a change that is at work, so what
// the lab itself has made is known by then.
func (in *instance) takeOver(ctx context.Context, cluster Cluster) error {
	select {
	case <-in.turn:
		defer func() { in.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil
	}
	if err := in.catchUp(ctx, cluster); ctx.Err() == nil {
		return err
	}
	return nil
}

// catchUp makes the cluster's policies the ones that the sandbox knows, as a change
// of its own number where they are others. It needs the turn.
func (in *instance) catchUp(ctx context.Context, cluster Cluster) error {
	reading, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	now := time.Now()
	policies, err := cluster.Policies(reading)
	var much *LimitError
	if err != nil && !errors.As(err, &much) {
		return err
	}
	is := newInForce(policies)
	if much == nil {
		errors.As(is.allowed(), &much)
	}
	if much != nil {
		in.beyond(much)
		return errOverfull
	}
	if in.overfull {
		in.overfull = false
		in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeInfo, Message: "The lab follows the cluster's policies again."}})
	} else if is.equal(in.policies) {
		return nil
	}
	in.touch()
	in.remember()
	in.m.opts.Log.Info("policies were changed in the cluster", "sandbox", in.id)
	number := in.feed.next()
	in.policies = is
	in.feed.emit(Event{Type: EventPredictions, Predictions: in.predict(number, cluster, is)})
	in.observer.changed(change{number: number, arrived: now, answered: now})
	in.feed.policies(number, OriginCluster, is.applied())
	return nil
}

// beyond says that the cluster has more policies than a sandbox may hold, which only
// kubectl can bring about. What the flows come to is measured as before; nothing is
// predicted. It needs the turn.
func (in *instance) beyond(much *LimitError) {
	if in.overfull {
		return
	}
	in.overfull = true
	in.m.opts.Log.Warn("a sandbox's cluster has more policies than the lab follows", "sandbox", in.id, "error", much)
	in.feed.emit(Event{Type: EventPredictions, Predictions: &Predictions{Change: in.feed.change(), Policies: []PolicyRef{}, Expected: []Expected{}}})
	in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeWarning,
		Message: "Somebody has put more policies into the cluster than the lab can follow. What is measured is right; the list of policies and the predictions are not, until some are deleted there or you press Reset."}})
}

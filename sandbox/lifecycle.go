package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// instance is one sandbox as the Manager knows it.
type instance struct {
	m        *Manager
	id       ID
	owner    string
	topology *Topology
	created  time.Time
	feed     *feed
	flows    []Flow
	ctx      context.Context // ends when the sandbox is to be stopped
	cancel   context.CancelFunc
	// background ends when create and observe have let go of the cluster.
	background sync.WaitGroup
	// writing makes the record's writers take turns, so that the newest is last.
	writing sync.Mutex
	// remembered is the version of the history that was written down last; writing
	// guards it.
	remembered int64
	// gone is closed when nothing is left of the sandbox.
	gone chan struct{}
	// unwritten says that the record is behind, for it could not be written.
	unwritten atomic.Bool
	// holds says that something of the sandbox may be on the machine. Manager.mu
	// guards it.
	holds bool
	// turn makes changes of policies take turns, so that their numbers, their
	// events and the cluster agree on the order. It holds one token.
	turn chan struct{}
	// reading has a place for the one input that is parsed at a time.
	reading chan struct{}
	// opening has a place for the one who opens the terminal.
	opening chan struct{}
	// policies are in force; whoever has the turn may read and replace them.
	policies inForce
	// baselines keeps what drafts are compared with.
	baselines baselines
	// overfull says that the cluster has more policies than those, because it has more
	// than a sandbox may; whoever has the turn may look and change it.
	overfull bool

	mu       sync.Mutex
	cluster  Cluster
	observer *observer
	touched  time.Time
	terminal *terminal // the last one, which may have ended
}

func (m *Manager) newInstance(rec Record, lab *Topology, seq int64) *instance {
	picture := Snapshot{ID: rec.ID, Owner: rec.Owner, Lab: rec.Lab, Provider: m.opts.Provider.Name(), State: rec.State, Reason: rec.Reason}
	names := m.opts.Provider.Steps()
	for i, name := range names {
		status := StepPending
		if rec.State == Ready {
			status = StepDone
		}
		picture.Steps = append(picture.Steps, Step{Index: i + 1, Total: len(names), Name: name, Status: status})
	}
	flows := lab.Flows()
	in := &instance{
		m: m, id: rec.ID, owner: rec.Owner, topology: lab, created: rec.Created,
		feed: newFeed(picture, flows, seq), flows: flows, gone: make(chan struct{}),
		turn: make(chan struct{}, 1), reading: make(chan struct{}, 1), opening: make(chan struct{}, 1), touched: time.Now(),
	}
	in.turn <- struct{}{}
	in.ctx, in.cancel = context.WithCancel(m.ctx)
	return in
}

// newID is random enough that two sandboxes on one machine never share one.
func newID() ID { return ID(strings.ToLower(rand.Text()[:10])) }

// connect makes the cluster, which has those policies, the one that the sandbox's
// changes go to.
func (in *instance) connect(c Cluster, policies inForce) {
	<-in.turn
	defer func() { in.turn <- struct{}{} }()
	in.policies = policies
	in.feed.emit(Event{Type: EventPredictions, Predictions: in.predict(in.feed.change(), c, policies)})
	o := newObserver(c, in.feed, in.flows, in.m.opts.Pace)
	o.moved = in.predictAgain
	o.log = in.m.opts.Log.With("sandbox", in.id)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.cluster, in.observer = c, o
}

// predictAgain predicts for the cluster's addresses of now. It reports false, and does
// nothing, while a change is at work.
func (in *instance) predictAgain(c Cluster) bool {
	select {
	case <-in.turn:
		defer func() { in.turn <- struct{}{} }()
		in.feed.emit(Event{Type: EventPredictions, Predictions: in.predict(in.feed.change(), c, in.policies)})
		return true
	default:
		return false
	}
}

func (in *instance) touch() {
	in.mu.Lock()
	in.touched = time.Now()
	in.mu.Unlock()
}

// live reports whether the sandbox is one to be used, now or soon.
func (in *instance) live() bool {
	switch in.feed.state() {
	case Queued, Creating, Ready:
		return true
	}
	return false
}

// inBackground does work that is over before the sandbox ends. It needs Manager.mu,
// a Manager that is not closed, and a sandbox that is not Stopping.
func (in *instance) inBackground(f func()) {
	in.background.Add(1)
	in.m.work.Go(func() {
		defer in.background.Done()
		f()
	})
}

// save writes down where the sandbox is now.
func (in *instance) save() error {
	in.writing.Lock()
	defer in.writing.Unlock()
	if in.owner == "" {
		return nil // What no record named needs none to be removed.
	}
	s, _ := in.feed.snapshot()
	ctx, cancel := in.m.recording()
	defer cancel()
	err := in.m.opts.Records.Save(ctx, Record{ID: in.id, Owner: in.owner, Lab: in.topology.Name, State: s.State, Reason: s.Reason, Created: in.created})
	in.unwritten.Store(err != nil)
	if err != nil {
		in.m.opts.Log.Error("sandbox state not written down", "sandbox", in.id, "state", s.State, "error", err)
	} else {
		in.m.opts.Log.Info("sandbox", "sandbox", in.id, "state", s.State, "reason", s.Reason)
	}
	return err
}

// recording is the context of one change of the records, which is to be made also
// while the Manager closes.
func (m *Manager) recording() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(m.ctx), recordLimit)
}

// recordLimit is how long one change of the records may take.
const recordLimit = 10 * time.Second

// become moves the sandbox on, and writes that down.
func (in *instance) become(next State, reason string) bool {
	if !in.feed.become(next, reason) {
		return false
	}
	_ = in.save() // If that fails, the log is told, and the janitor tries again.
	return true
}

// run creates the sandbox and observes it until it is to be stopped.
func (in *instance) run() {
	// A sandbox that no record names would be nobody's after a restart.
	if in.save() != nil {
		in.become(Failed, reasonNotKept)
		return
	}
	if !in.awaitTurn() {
		in.abandoned()
		return
	}
	cluster, err := in.createCluster()
	<-in.m.slots
	if err != nil {
		if in.m.ctx.Err() == nil { // else Create has removed what it made, or the next process does
			in.remove()
		}
		return
	}
	in.observe(cluster)
}

// awaitTurn waits until nothing is left of the owner's earlier sandboxes, and until
// there is a slot. It returns false where the sandbox is to be stopped first.
func (in *instance) awaitTurn() bool {
	if !in.awaitClear(in.m.surveyed) {
		return false
	}
	for left := in.m.leftOf(in); left != nil; left = in.m.leftOf(in) {
		if !in.awaitClear(left.gone) {
			return false
		}
	}
	select {
	case in.m.slots <- struct{}{}:
		return true
	case <-in.ctx.Done():
		return false
	}
}

// awaitClear waits until the channel is closed, and tells the learner where that takes
// long. It returns false where the sandbox is to be stopped first.
func (in *instance) awaitClear(clear <-chan struct{}) bool {
	long := time.NewTimer(clearPatience)
	defer long.Stop()
	for told := false; ; {
		select {
		case <-in.ctx.Done():
			return false
		case <-long.C:
			told = true
			in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeWarning,
				Message: "Your sandbox waits until what was there before is cleared away. That takes longer than usual; the lab keeps trying."}})
		case <-clear:
			if told {
				in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeInfo, Message: "What was there before is cleared away."}})
			}
			return true
		}
	}
}

// clearPatience is how long a removal usually takes at most.
const clearPatience = 15 * time.Second

func (in *instance) createCluster() (Cluster, error) {
	if !in.hold() {
		return nil, ErrNotReady
	}
	_ = in.save()
	ctx, cancel := context.WithTimeout(in.ctx, in.m.opts.CreateTimeout)
	defer cancel()
	begun := time.Now()
	cluster, err := in.m.opts.Provider.Create(ctx, Spec{ID: in.id, Topology: in.topology}, func(s Step) {
		in.feed.emit(Event{Type: EventStep, Step: &s})
	})
	if err == nil {
		in.connect(cluster, nil) // before Ready, which says that policies can be applied
	}
	switch {
	case err == nil && in.become(Ready, ""):
		in.m.opts.Log.Info("sandbox ready", "sandbox", in.id, "took", time.Since(begun).Round(time.Millisecond))
		return cluster, nil
	case err == nil: // stopped in the very last moment
		return nil, errors.Join(ErrNotReady, cluster.Close())
	case in.ctx.Err() != nil:
		in.abandoned()
	default:
		in.m.opts.Log.Error("sandbox not created", "sandbox", in.id, "error", err)
		in.become(Failed, createReason(ctx, err, in.m.opts.CreateTimeout))
	}
	return nil, err
}

// hold moves the sandbox on to Creating. From then on something of it may be on the
// machine. It returns false where the sandbox is to be stopped.
func (in *instance) hold() bool {
	in.m.mu.Lock()
	defer in.m.mu.Unlock()
	in.holds = in.feed.become(Creating, "")
	return in.holds
}

// abandoned writes down what becomes of a sandbox that the server's own end has
// cut off; one that its owner stopped is in other hands.
func (in *instance) abandoned() {
	if in.m.ctx.Err() != nil {
		in.become(Failed, reasonRestarted)
	}
}

const (
	reasonRestarted = "The lab's server was stopped while this sandbox was being made, so it was cleaned up. Press Start for a new one."
	reasonGone      = "The sandbox's cluster has stopped running. Press Reset for a fresh one; your policies stay in the workspace as drafts."
	reasonNotKept   = "The lab's server could not write down that this sandbox is yours, so it was not made. Whoever runs the lab finds the reason in its log; then press Start again."
)

func createReason(ctx context.Context, err error, limit time.Duration) string {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		return failure.Message
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("The sandbox was not ready after %s, so it was given up. Press Start to try again.", inWords(limit))
	}
	return "The sandbox could not be made. Press Start to try again; the server's log says what went wrong."
}

// observe watches a ready sandbox's flows and health until it is to be
// stopped or is gone.
func (in *instance) observe(cluster Cluster) {
	o := in.observer
	ctx, cancel := context.WithCancel(in.ctx)
	defer cancel()
	var observing sync.WaitGroup
	observing.Go(func() { o.run(ctx) })
	observing.Go(func() { in.follow(ctx, cluster) })
	observing.Go(func() { in.keepRemembering(ctx) })
	gone := in.watchHealth(ctx, cluster)
	cancel()
	observing.Wait()

	in.mu.Lock()
	in.cluster, in.observer = nil, nil
	terminal := in.terminal
	in.mu.Unlock()
	if terminal != nil {
		terminal.end(ErrNotReady)
	}
	if err := cluster.Close(); err != nil {
		in.m.opts.Log.Warn("connections to a sandbox not closed", "sandbox", in.id, "error", err)
	}
	if gone && in.become(Failed, reasonGone) {
		in.feed.forget("the sandbox's cluster has stopped running")
		in.remove()
	}
}

// watchHealth returns true when the cluster is gone, false when ctx ends.
func (in *instance) watchHealth(ctx context.Context, cluster Cluster) bool {
	ticker := time.NewTicker(in.m.opts.Pace.Health)
	defer ticker.Stop()
	disturbed := false
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		err := cluster.Health(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case errors.Is(err, ErrGone):
			in.m.opts.Log.Warn("sandbox gone", "sandbox", in.id, "error", err)
			return true
		case err != nil && !disturbed:
			disturbed = true
			in.m.opts.Log.Warn("sandbox disturbed", "sandbox", in.id, "error", err)
			in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeWarning,
				Message: "The cluster's API does not answer. Flows that cannot be measured are shown as unknown; the lab keeps trying."}})
		case err == nil && disturbed:
			disturbed = false
			in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeInfo, Message: "The cluster's API answers again."}})
		}
	}
}

// stop ends the sandbox; its removal goes on in the background. It needs
// Manager.mu, and a Manager that is not closed.
func (in *instance) stop(reason string) {
	m := in.m
	if !in.feed.become(Stopping, reason) {
		return
	}
	if m.current[in.owner] == in {
		delete(m.current, in.owner)
	}
	in.cancel()
	m.work.Go(in.end)
}

// end removes a sandbox that is Stopping, and then forgets it.
func (in *instance) end() {
	m := in.m
	_ = in.save()
	in.background.Wait()
	if !in.remove() {
		return // The record says Stopping, and the next process goes on.
	}
	s, _ := in.feed.snapshot()
	ctx, cancel := m.recording()
	defer cancel()
	if err := m.opts.Records.Delete(ctx, in.id); err != nil {
		m.opts.Log.Error("sandbox record not deleted", "sandbox", in.id, "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	in.feed.become(Stopped, s.Reason)
	delete(m.instances, in.id)
	m.opts.Log.Info("sandbox", "sandbox", in.id, "state", Stopped, "reason", s.Reason)
}

const (
	// removeLimit is how long one try to remove a sandbox may take.
	removeLimit = time.Minute
	// The pause after a failed try grows from the first to the last of these.
	firstPause, lastPause = time.Second, time.Minute
)

// remove deletes what the sandbox has left on the machine, and tries again until
// that has worked. Until then the sandbox takes a place. It returns false where the
// Manager closes first; then the next process finds what is left. A try must also
// work while the Manager closes, so it has a context of its own.
func (in *instance) remove() bool {
	m := in.m
	m.mu.Lock()
	holds := in.holds
	m.mu.Unlock()
	if !holds {
		return true
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), removeLimit)
		err := m.opts.Provider.Delete(ctx, in.id)
		cancel()
		if err == nil {
			break
		}
		m.opts.Log.Error("sandbox not removed; it takes a place until a later try works", "sandbox", in.id, "again in", pause, "error", err)
		select {
		case <-m.ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
	m.opts.Log.Info("sandbox removed", "sandbox", in.id)
	in.let()
	return true
}

// let notes that nothing is left of the sandbox on the machine.
func (in *instance) let() {
	in.m.mu.Lock()
	defer in.m.mu.Unlock()
	if in.holds {
		in.holds = false
		close(in.gone)
	}
}

package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
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
	// turn makes changes of policies take turns, so that their numbers, their
	// events and the cluster agree on the order. It holds one token.
	turn chan struct{}
	// reading has a place for the one input that is parsed at a time.
	reading chan struct{}

	mu       sync.Mutex
	cluster  Cluster
	observer *observer
	touched  time.Time
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
		feed: newFeed(picture, flows, seq), flows: flows, turn: make(chan struct{}, 1), reading: make(chan struct{}, 1), touched: time.Now(),
	}
	in.turn <- struct{}{}
	in.ctx, in.cancel = context.WithCancel(m.ctx)
	return in
}

// newID is random enough that two sandboxes on one machine never share one.
func newID() ID { return ID(strings.ToLower(rand.Text()[:10])) }

// connect makes the cluster the one that the sandbox's changes go to.
func (in *instance) connect(c Cluster) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.cluster, in.observer = c, newObserver(c, in.feed, in.flows, in.m.opts.Pace)
}

func (in *instance) touch() {
	in.mu.Lock()
	in.touched = time.Now()
	in.mu.Unlock()
}

// save writes down where the sandbox is now.
func (in *instance) save() error {
	s, _ := in.feed.snapshot()
	return in.m.opts.Records.Save(Record{ID: in.id, Owner: in.owner, Lab: in.topology.Name, State: s.State, Reason: s.Reason, Created: in.created})
}

// become moves the sandbox on, and writes that down.
func (in *instance) become(next State, reason string) bool {
	if !in.feed.become(next, reason) {
		return false
	}
	if err := in.save(); err != nil {
		in.m.opts.Log.Error("sandbox state not written down", "sandbox", in.id, "state", next, "error", err)
	}
	in.m.opts.Log.Info("sandbox", "sandbox", in.id, "state", next, "reason", reason)
	return true
}

// run creates the sandbox and observes it until it is to be stopped.
func (in *instance) run() {
	select {
	case in.m.slots <- struct{}{}:
	case <-in.ctx.Done():
		in.abandoned()
		return
	}
	cluster, err := in.createCluster()
	<-in.m.slots
	if err != nil {
		return
	}
	in.observe(cluster)
}

func (in *instance) createCluster() (Cluster, error) {
	if !in.become(Creating, "") {
		return nil, ErrNotReady
	}
	ctx, cancel := context.WithTimeout(in.ctx, in.m.opts.CreateTimeout)
	defer cancel()
	begun := time.Now()
	cluster, err := in.m.opts.Provider.Create(ctx, Spec{ID: in.id, Topology: in.topology}, func(s Step) {
		in.feed.emit(Event{Type: EventStep, Step: &s})
	})
	if err == nil {
		in.connect(cluster) // before Ready, which says that policies can be applied
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

// abandoned writes down what becomes of a sandbox that the server's own end has
// cut off; one that its owner stopped is in other hands.
func (in *instance) abandoned() {
	if in.m.ctx.Err() != nil {
		in.become(Failed, reasonRestarted)
	}
}

const (
	reasonRestarted = "The lab's server was stopped while this sandbox was being made, so it was cleaned up. Press Start for a new one."
	reasonGone      = "The sandbox's cluster has stopped running. Press Reset for a fresh one; your YAML stays in the editor."
)

func createReason(ctx context.Context, err error, limit time.Duration) string {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		return failure.Message
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("The sandbox was not ready after %s, so it was given up. Press Start to try again.", limit)
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
	gone := in.watchHealth(ctx, cluster)
	cancel()
	observing.Wait()

	in.mu.Lock()
	in.cluster, in.observer = nil, nil
	in.mu.Unlock()
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

// stop ends the sandbox; its removal goes on in the background.
func (in *instance) stop(reason string) {
	if !in.become(Stopping, reason) {
		return
	}
	in.cancel()
	in.m.work.Go(func() {
		in.background.Wait()
		in.remove()
		if in.become(Stopped, reason) {
			in.m.mu.Lock()
			delete(in.m.instances, in.id)
			in.m.mu.Unlock()
			if err := in.m.opts.Records.Delete(in.id); err != nil {
				in.m.opts.Log.Error("sandbox record not deleted", "sandbox", in.id, "error", err)
			}
		}
	})
}

// remove deletes what the sandbox has left on the machine. It must also work
// while the Manager closes, so it has a context of its own. What cannot be
// removed now is removed by the janitor or after the next start.
func (in *instance) remove() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.m.ctx), time.Minute)
	defer cancel()
	if err := in.m.opts.Provider.Delete(ctx, in.id); err != nil {
		in.m.opts.Log.Error("sandbox not removed", "sandbox", in.id, "error", err)
	}
}

package sandbox

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// logSize is how many events a sandbox's log keeps for watchers that come back.
const logSize = 1024

// feed is what a sandbox's watchers see: the whole picture and the log of the
// events that led to it. Both change together, under one lock, so that a
// snapshot and its number always belong together.
//
// Watchers pull: a slow one costs nobody anything, and one that has fallen out
// of the log is given a snapshot.
type feed struct {
	mu       sync.Mutex
	picture  Snapshot
	verdicts map[string]Observation
	order    []string  // flow IDs, in the topology's order
	stepped  time.Time // when the running step began
	seq      int64
	events   []Event       // the newest logSize events, oldest first
	wake     chan struct{} // closed when an event comes, then replaced
	ended    bool
	watchers int
	watched  chan struct{} // has a token whenever the number of watchers changed
}

// newFeed starts a feed with its first event, number seq+1: the state that the
// sandbox is in. A sandbox without an event would have no number to go on from.
func newFeed(picture Snapshot, flows []Flow, seq int64) *feed {
	f := &feed{
		picture:  picture,
		verdicts: make(map[string]Observation, len(flows)),
		seq:      seq,
		wake:     make(chan struct{}),
		watched:  make(chan struct{}, 1),
	}
	for _, fl := range flows {
		f.order = append(f.order, fl.ID)
	}
	f.emit(Event{Type: EventState, State: &StateChange{State: picture.State, Reason: picture.Reason}})
	return f
}

// emit numbers the event, makes it part of the picture and wakes the watchers.
func (f *feed) emit(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.emitLocked(e)
}

func (f *feed) emitLocked(e Event) {
	if f.ended {
		return
	}
	f.seq++
	e.Seq, e.Time = f.seq, time.Now().UTC()
	switch e.Type {
	case EventState:
		f.picture.State, f.picture.Reason = e.State.State, e.State.Reason
		f.ended = e.State.State == Stopped
	case EventStep:
		if i := e.Step.Index - 1; i < len(f.picture.Steps) {
			f.picture.Steps[i] = *e.Step
			f.stepped = e.Time
		}
	case EventPolicies:
		f.picture.Change, f.picture.Policies = e.Policies.Change, e.Policies.Policies
	case EventSettled:
		f.picture.Settled = e.Settled
	case EventNotice:
		f.picture.Notice = nil
		if e.Notice.Level == NoticeWarning {
			f.picture.Notice = e.Notice
		}
	case EventObservations:
		for _, o := range e.Observations.Flows {
			f.verdicts[o.Flow] = o
		}
	}
	if len(f.events) == logSize {
		f.events = append(f.events[:0], f.events[1:]...)
	}
	f.events = append(f.events, e)
	close(f.wake)
	f.wake = make(chan struct{})
}

// become moves the sandbox to the next state. It reports false, and does
// nothing, where the transition table does not allow that.
func (f *feed) become(next State, reason string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.picture.State.CanBecome(next) {
		return false
	}
	f.emitLocked(Event{Type: EventState, State: &StateChange{State: next, Reason: reason}})
	return true
}

func (f *feed) state() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.picture.State
}

// verdict is what watchers were last told of a flow; false where nothing was.
func (f *feed) verdict(flow string) (Observation, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.verdicts[flow]
	return o, ok
}

func (f *feed) change() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.picture.Change
}

// snapshot is the whole picture and the number of the last event in it.
func (f *feed) snapshot() (Snapshot, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshotLocked(), f.seq
}

func (f *feed) snapshotLocked() Snapshot {
	s := f.picture
	s.Steps = append([]Step{}, s.Steps...)
	for i := range s.Steps {
		if s.Steps[i].Status == StepRunning {
			s.Steps[i].ElapsedMillis = time.Since(f.stepped).Milliseconds()
		}
	}
	s.Policies = append([]AppliedPolicy{}, s.Policies...)
	s.Observations = make([]Observation, 0, len(f.verdicts))
	for _, id := range f.order {
		if o, ok := f.verdicts[id]; ok {
			s.Observations = append(s.Observations, o)
		}
	}
	return s
}

// forget makes every verdict unknown, for when nothing can be observed any more.
func (f *feed) forget(detail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var flows []Observation
	for _, id := range f.order {
		if o, ok := f.verdicts[id]; ok && o.Verdict != probe.Unknown {
			flows = append(flows, Observation{Flow: id, Verdict: probe.Unknown, Detail: detail})
		}
	}
	if flows != nil {
		f.emitLocked(Event{Type: EventObservations, Observations: &Observations{Change: f.picture.Change, Flows: flows}})
	}
}

func (f *feed) watcherCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watchers
}

func (f *feed) watch(delta int) {
	f.mu.Lock()
	f.watchers += delta
	f.mu.Unlock()
	select {
	case f.watched <- struct{}{}:
	default:
	}
}

// Subscription reads a sandbox's events in order. It is for one reader; while
// it is open, the sandbox counts as watched; but see [AsOnlooker].
type Subscription struct {
	feed *feed
	// after is the number of the last event that was read. It means nothing while
	// blank: then the reader has nothing yet, and is to begin with a snapshot.
	after    int64
	blank    bool
	onlooker bool
	close    sync.Once
}

// SubscribeOption says how a subscription is meant.
type SubscribeOption func(*Subscription)

// AsOnlooker makes a subscription of somebody who looks at the sandbox without
// using it, such as an instructor: the sandbox does not count as watched, so it is
// neither measured nor kept from being stopped on account of it.
func AsOnlooker(s *Subscription) { s.onlooker = true }

func (f *feed) subscribe(after int64, options ...SubscribeOption) *Subscription {
	s := &Subscription{feed: f, after: after, blank: after <= 0}
	for _, option := range options {
		option(s)
	}
	if !s.onlooker {
		f.watch(+1)
	}
	return s
}

// Next waits for events after the last that was read and returns them all,
// oldest first. Where those have left the log, the first is a snapshot. It
// fails with io.EOF when the sandbox has stopped and everything was read, and
// with the context's error when that ends.
func (s *Subscription) Next(ctx context.Context) ([]Event, error) {
	for {
		events, wake, ended := s.read()
		if len(events) > 0 {
			s.after, s.blank = events[len(events)-1].Seq, false
			return events, nil
		}
		if ended {
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wake:
		}
	}
}

func (s *Subscription) read() (events []Event, wake <-chan struct{}, ended bool) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.seq - int64(len(f.events)) + 1
	switch {
	case s.blank, s.after < first-1, s.after > f.seq:
		snapshot := f.snapshotLocked()
		events = []Event{{Seq: f.seq, Time: time.Now().UTC(), Type: EventSnapshot, Snapshot: &snapshot}}
	default: // What came after the number, which is nothing where it is the last.
		events = append(events, f.events[s.after-first+1:]...)
	}
	return events, f.wake, f.ended
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.close.Do(func() {
		if !s.onlooker {
			s.feed.watch(-1)
		}
	})
}

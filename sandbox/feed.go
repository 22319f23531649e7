package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const (
	// logSize is how many events a sandbox's log keeps for watchers that come back,
	// and logBytes how long they may be together, in JSON. A watcher that comes back
	// is sent them in one message, so it is also what one message may hold.
	logSize  = 1024
	logBytes = 24 << 10
)

// logged is an event of the log.
type logged struct {
	Event
	json []byte
}

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
	expected map[string]probe.Verdict // by flow, as predicted for the newest change
	order    []string                 // flow IDs, in the topology's order
	stepped  time.Time                // when the running step began
	seq      int64
	// floor is the number that events and changes are counted from: of what an earlier
	// process has counted, nothing is beyond it.
	floor  int64
	events []logged // the newest, oldest first
	bytes  int      // of them all
	// whole is the snapshot as a message, and wholeSeq its number: the watchers that
	// come while nothing happens share it.
	whole    []byte
	wholeSeq int64
	wake     chan struct{} // closed when an event comes, then replaced
	ended    bool
	history  history
	// changed has a token whenever the history has changed.
	changed  chan struct{}
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
		floor:    seq,
		wake:     make(chan struct{}),
		watched:  make(chan struct{}, 1),
		changed:  make(chan struct{}, 1),
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
		// A notice is about the state that was.
		f.picture.State, f.picture.Reason, f.picture.Notice, f.picture.Waiting = e.State.State, e.State.Reason, nil, nil
		f.ended = e.State.State == Stopped
		f.picture.Disagreement = nil // Nothing is measured any more, or nothing yet.
		if !e.State.State.live() {
			f.picture.Ends = nil // There is nothing to be kept longer.
		}
	case EventWaiting:
		f.picture.Waiting = e.Waiting
	case EventEnds:
		f.picture.Ends = nil
		if !e.Ends.Extended {
			f.picture.Ends = e.Ends
		}
	case EventStep:
		if i := e.Step.Index - 1; i < len(f.picture.Steps) {
			f.picture.Steps[i] = *e.Step
			f.stepped = e.Time
		}
	case EventPredictions:
		if e.Predictions.Change > f.picture.Change {
			f.history.begin(e.Predictions.Change, f.codes())
		}
		f.picture.Change, f.picture.Predictions, f.expected = e.Predictions.Change, e.Predictions, e.Predictions.Verdicts()
		if d := f.picture.Disagreement; d != nil && d.Change != e.Predictions.Change {
			f.picture.Disagreement = nil
		}
	case EventPolicies:
		f.picture.Change = e.Policies.Change
	case EventSettled:
		f.picture.Settled = e.Settled
		f.history.settle(e.Settled.Change, f.codes())
		f.tellChanged()
	case EventDisagreement:
		f.picture.Disagreement = nil
		if len(e.Disagreement.Flows) > 0 {
			f.picture.Disagreement = e.Disagreement
		}
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
	f.log(e)
	close(f.wake)
	f.wake = make(chan struct{})
}

// log keeps the event, in the place of old ones where there are too many or they are
// too long.
func (f *feed) log(e Event) {
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // Strings, numbers and times: it cannot fail.
	}
	f.events = append(f.events, logged{e, text})
	f.bytes += len(text) + 1 // and a comma
	old := 0
	for ; len(f.events)-old > logSize || f.bytes > logBytes; old++ {
		f.bytes -= len(f.events[old].json) + 1
	}
	if old > 0 {
		f.events = slices.Delete(f.events, 0, old)
	}
	f.whole = nil
}

// policies tells that those are in force after the change, which they are told with.
func (f *feed) policies(change int64, origin Origin, now []AppliedPolicy) PolicyChange {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.policiesLocked(change, origin, now)
}

func (f *feed) policiesLocked(change int64, origin Origin, now []AppliedPolicy) PolicyChange {
	told := difference(f.picture.Policies, now)
	told.Change, told.Origin = change, origin
	f.picture.Policies, f.picture.PoliciesChange = now, change
	event := told
	f.emitLocked(Event{Type: EventPolicies, Policies: &event})
	told.Policies = now
	if origin != "" {
		f.history.add(told, time.Now().UTC())
		f.tellChanged()
	}
	return told
}

// difference is what makes the second of two states of the policies out of the first.
func difference(before, after []AppliedPolicy) PolicyChange {
	var told PolicyChange
	left := make(map[PolicyRef]string, len(before))
	for _, p := range before {
		left[p.PolicyRef] = p.YAML
	}
	for _, p := range after {
		text, there := left[p.PolicyRef]
		delete(left, p.PolicyRef)
		switch {
		case !there:
			told.Added = append(told.Added, p.PolicyRef)
		case text != p.YAML:
			told.Changed = append(told.Changed, p.PolicyRef)
		}
	}
	for _, p := range before {
		if _, gone := left[p.PolicyRef]; gone {
			told.Removed = append(told.Removed, p.PolicyRef)
		}
	}
	return told
}

// recall makes the sandbox's history go on. What was done to the policies while nobody
// looked is a change of the cluster's.
func (f *feed) recall(h history, now []AppliedPolicy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history, f.picture.Change = h, h.last()
	// Who has seen the sandbox already has not seen these.
	f.policiesLocked(h.last(), "", h.at(h.last()))
	if d := difference(f.picture.Policies, now); len(d.Added)+len(d.Changed)+len(d.Removed) > 0 {
		f.policiesLocked(f.nextLocked(), OriginCluster, now)
		return
	}
	f.history.begun = h.asBegun(len(f.order))
}

// takeOver makes the history of the sandbox that this one comes after its own. What was in
// force there is in force here once recall says so.
func (f *feed) takeOver(old *feed) {
	old.mu.Lock()
	h, floor := old.history, old.nextLocked()-1
	h.entries = slices.Clone(h.entries)
	old.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	h.before, h.begun = nil, begun{}
	h.version++ // It is not written down for this one.
	f.history, f.floor = h, floor
}

// lastInForce is the history, and what was in force last by it.
func (f *feed) lastInForce() (history, []AppliedPolicy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.history, f.history.at(f.history.last())
}

// flips are the flows that have another verdict now than before the newest change. It
// needs f.mu.
func (f *feed) flips() []Flip {
	var out []Flip
	for i, code := range f.history.begun.before {
		now, known := f.verdicts[f.order[i]]
		if before := verdictCodes[code]; known && before != "" && before != now.Verdict {
			out = append(out, Flip{Flow: f.order[i], From: before, To: now.Verdict})
		}
	}
	return out
}

// codes are the verdicts of now, in the topology's order. It needs f.mu.
func (f *feed) codes() []verdictCode {
	out := make([]verdictCode, len(f.order))
	for i, id := range f.order {
		out[i] = codeOf(f.verdicts[id].Verdict)
	}
	return out
}

func (f *feed) tellChanged() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// awaited are the flows that were told to be otherwise than is predicted, and what they
// are predicted to be.
func (f *feed) awaited() map[string]probe.Verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]probe.Verdict{}
	for _, d := range f.disagreed() {
		out[d.Flow] = d.Predicted
	}
	return out
}

// closed are the flows that were told not to be open, as is predicted.
func (f *feed) closed() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]bool{}
	for id, told := range f.verdicts {
		if told.Verdict != probe.Open && told.Verdict == f.expected[id] {
			out[id] = true
		}
	}
	return out
}

// disagreed needs f.mu. Of what could not be measured nothing can be said.
func (f *feed) disagreed() []Disagreed {
	var out []Disagreed
	for _, id := range f.order {
		told, ok := f.verdicts[id]
		if expected, predicted := f.expected[id]; ok && predicted && told.Verdict != probe.Unknown && told.Verdict != expected {
			out = append(out, Disagreed{Flow: id, Predicted: expected, Observed: told.Verdict})
		}
	}
	return out
}

// compare tells of a disagreement between what has settled and what was predicted,
// and of its end. It returns what it has told; nil where that is nothing new.
func (f *feed) compare() *Disagreement {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.picture.Settled == nil || f.picture.Settled.Change != f.picture.Change {
		return nil
	}
	var before []Disagreed
	if d := f.picture.Disagreement; d != nil {
		before = d.Flows
	}
	now := f.disagreed()
	if slices.Equal(now, before) {
		return nil
	}
	told := &Disagreement{Change: f.picture.Change, Flows: append([]Disagreed{}, now...)}
	f.emitLocked(Event{Type: EventDisagreement, Disagreement: told})
	return told
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

// next is the number of the next change. None is given twice, after a restart either,
// with whatever history: who still knows a number would know other policies by it.
func (f *feed) next() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nextLocked()
}

func (f *feed) nextLocked() int64 { return max(f.picture.Change, f.floor) + 1 }

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
	if s.Policies == nil { // Else they are never changed, only replaced.
		s.Policies = []AppliedPolicy{}
	}
	s.Observations = make([]Observation, 0, len(f.verdicts))
	for _, id := range f.order {
		if o, ok := f.verdicts[id]; ok {
			s.Observations = append(s.Observations, o)
		}
	}
	s.Flips = f.flips()
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
	var events []Event
	err := s.next(ctx, func(f *feed, news []logged) {
		if news == nil {
			snapshot := f.snapshotLocked()
			events = []Event{{Seq: f.seq, Time: time.Now().UTC(), Type: EventSnapshot, Snapshot: &snapshot}}
		}
		for _, e := range news {
			events = append(events, e.Event)
		}
	})
	return events, err
}

// NextMessage is Next as a JSON array, which others are given, too: it must not be
// changed.
func (s *Subscription) NextMessage(ctx context.Context) ([]byte, error) {
	var message []byte
	err := s.next(ctx, func(f *feed, news []logged) {
		if news == nil {
			message = f.wholeMessage()
			return
		}
		size := len("[]")
		for _, e := range news {
			size += len(e.json) + 1
		}
		message = append(make([]byte, 0, size), '[')
		for i, e := range news {
			if i > 0 {
				message = append(message, ',')
			}
			message = append(message, e.json...)
		}
		message = append(message, ']')
	})
	return message, err
}

// wholeMessage needs f.mu. While a step runs its time is told, which goes on.
func (f *feed) wholeMessage() []byte {
	now := time.Now().UTC()
	if f.whole != nil && f.wholeSeq == f.seq && !slices.ContainsFunc(f.picture.Steps, func(s Step) bool { return s.Status == StepRunning }) {
		return f.whole
	}
	snapshot := f.snapshotLocked()
	text, err := json.Marshal([]Event{{Seq: f.seq, Time: now, Type: EventSnapshot, Snapshot: &snapshot}})
	if err != nil {
		panic(err) // Strings, numbers and times: it cannot fail.
	}
	f.whole, f.wholeSeq = text, f.seq
	return text
}

// next waits until there is something to read, and has it read: news, or where that is
// nil the whole picture.
func (s *Subscription) next(ctx context.Context, read func(f *feed, news []logged)) error {
	f := s.feed
	for {
		f.mu.Lock()
		first := f.seq - int64(len(f.events)) + 1
		switch {
		case s.blank, s.after < first-1, s.after > f.seq:
			read(f, nil)
		case s.after < f.seq:
			read(f, f.events[s.after-first+1:])
		default:
			wake, ended := f.wake, f.ended
			f.mu.Unlock()
			if ended {
				return io.EOF
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-wake:
			}
			continue
		}
		s.after, s.blank = f.seq, false
		f.mu.Unlock()
		return nil
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.close.Do(func() {
		if !s.onlooker {
			s.feed.watch(-1)
		}
	})
}

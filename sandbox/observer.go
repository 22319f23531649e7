package sandbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Pace is how often and how patiently a sandbox is observed.
type Pace struct {
	// Sweep is the pause between two sweeps while somebody watches.
	Sweep time.Duration
	// SweepTimeout is how long a sweep waits for an answer: there is no hurry.
	SweepTimeout time.Duration
	// BurstTimeout is how long a probe of a burst waits for an answer. A flip
	// to blocked takes two of them, so it decides how fast a deny is seen.
	BurstTimeout time.Duration
	// BurstPause is the least time from the start of one round of a burst to the
	// next: how late, at most, a burst notices what the CNI has just done.
	BurstPause time.Duration
	// Settle is how long after a change the flows must at least be watched
	// before they count as settled: a CNI may need this long to carry it out.
	Settle time.Duration
	// Health is the pause between two checks of the cluster.
	Health time.Duration
}

// DefaultPace suits a kind cluster on the server's own machine.
var DefaultPace = Pace{
	Sweep:        2 * time.Second,
	SweepTimeout: 500 * time.Millisecond,
	BurstTimeout: 30 * time.Millisecond,
	BurstPause:   20 * time.Millisecond,
	Settle:       400 * time.Millisecond,
	Health:       5 * time.Second,
}

// change is a change of policies whose effect is to be observed.
type change struct {
	number   int64
	arrived  time.Time // when the request arrived
	answered time.Time // when the cluster's API had accepted it
	asked    bool      // that the lab was asked for it, and has not just found it
}

// observer watches the flows of one ready sandbox and tells its feed what has
// changed: a burst of rounds after a change of policies until nothing moves any
// more, a slow sweep while somebody watches, nothing otherwise.
type observer struct {
	cluster Cluster
	feed    *feed
	flows   []Flow
	pace    Pace
	changes chan change
	// moved is called, where it is set, when the cluster has other addresses than
	// before, and again later where it reports false.
	moved     func(Cluster) bool
	addresses Addresses
	log       *slog.Logger
	metrics   Metrics
	// changing says that a change is at work in the cluster. What is measured then may be
	// of it already, and what was predicted is of the one before.
	changing atomic.Bool
	number   int64 // of the last change that was taken up
	clean    bool  // the last round measured every flow
	// pending is what has been seen of a change whose flows have not settled and for
	// which no burst runs: that with which the observing began, or one whose burst
	// ended before they did. It is nil where there is none.
	pending *effect
}

// effect is what has been seen of a change so far.
type effect struct {
	change
	flips     int
	firstFlip time.Time
}

func (e *effect) add(r result) {
	e.flips += r.flips
	if e.firstFlip.IsZero() {
		e.firstFlip = r.firstFlip
	}
}

func (o *observer) settle(e *effect) {
	settled := &Settled{Change: e.number, TookMillis: time.Since(e.arrived).Milliseconds(), Flows: len(o.flows), Flips: e.flips}
	if !e.firstFlip.IsZero() {
		settled.FirstFlipMillis = max(1, e.firstFlip.Sub(e.arrived).Milliseconds())
	}
	o.feed.emit(Event{Type: EventSettled, Settled: settled})
	if e.asked {
		o.metrics.Settled(time.Duration(settled.FirstFlipMillis)*time.Millisecond, time.Duration(settled.TookMillis)*time.Millisecond)
	}
	o.compare()
}

// compare tells where the flows have settled at other verdicts than predicted, and
// where they agree again.
func (o *observer) compare() {
	if told := o.feed.compare(); told != nil && len(told.Flows) > 0 {
		o.metrics.Disagreed(len(told.Flows))
		o.log.Warn("flows are not as predicted", "change", told.Change, "flows", len(told.Flows),
			"first", told.Flows[0].Flow, "predicted", told.Flows[0].Predicted, "observed", told.Flows[0].Observed)
	}
}

// awaited are the flows that are still to turn, by the predictions.
func (o *observer) awaited() []Flow {
	expected := o.feed.awaited()
	var out []Flow
	for _, f := range o.flows {
		if expected[f.ID] {
			out = append(out, f)
		}
	}
	return out
}

func newObserver(c Cluster, f *feed, flows []Flow, pace Pace) *observer {
	now := time.Now()
	first := &effect{change: change{number: f.change(), arrived: now, answered: now}}
	return &observer{
		cluster: c, feed: f, flows: flows, pace: pace, changes: make(chan change, 1), addresses: c.Addresses(),
		log: slog.New(slog.DiscardHandler), metrics: uncounted{}, number: first.number, pending: first,
	}
}

// changed starts a burst for the change, in place of one that is running. The
// callers take turns (see instance.turn).
func (o *observer) changed(c change) {
	select {
	case <-o.changes: // not begun, and now part of the newer one
	default:
	}
	o.changes <- c
}

// run observes until ctx ends. The first sweep comes at once.
func (o *observer) run(ctx context.Context) {
	o.sweep(ctx)
	timer := time.NewTimer(o.pace.Sweep)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case c := <-o.changes:
			o.burst(ctx, c)
		case <-o.feed.watched:
			// A first watcher should not wait for the timer to see the truth.
			if o.feed.watcherCount() > 0 {
				o.sweep(ctx)
			}
		case <-timer.C:
			// What could not be measured is tried again also for nobody: a page
			// that opens later should not begin with unknowns.
			if o.feed.watcherCount() > 0 || !o.clean || o.pending != nil {
				o.sweep(ctx)
			}
		}
		timer.Reset(o.pace.Sweep)
	}
}

// sweep is one patient round, which may settle what a burst could not. It gives way
// to a change.
func (o *observer) sweep(ctx context.Context) {
	if now := o.cluster.Addresses(); o.moved != nil && !now.Equal(o.addresses) && o.moved(o.cluster) {
		o.addresses = now
	}
	sweeping, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan result)
	go func() { done <- o.round(sweeping, o.flows, o.pace.SweepTimeout) }()
	select {
	case r := <-done:
		if o.pending == nil {
			if !o.changing.Load() {
				o.compare()
			}
			return
		}
		o.pending.add(r)
		if r.clean && r.flips == 0 {
			o.settle(o.pending)
			o.pending = nil
		}
	case c := <-o.changes:
		cancel()
		<-done
		o.burst(ctx, c)
	}
}

// burst measures in quick rounds until two of them in a row have found nothing
// new and the time to settle is over. It looks first at the flows that are predicted
// to turn, and gives them more time than the others.
func (o *observer) burst(ctx context.Context, c change) {
	o.number, o.pending = c.number, nil
	seen, quiet := &effect{change: c}, 0
	for ctx.Err() == nil {
		begun, flows, settle := time.Now(), o.flows, o.pace.Settle
		if awaited := o.awaited(); len(awaited) > 0 {
			if begun.Sub(seen.answered) < o.pace.Settle {
				flows = awaited
			}
			settle *= awaitedPatience
		}
		r := o.round(ctx, flows, o.pace.BurstTimeout)
		select {
		case next := <-o.changes:
			// What has moved so far belongs to the older change, which nobody
			// can tell apart from the newer any more.
			o.number = next.number
			seen, quiet = &effect{change: next}, 0
			continue
		default:
		}
		seen.add(r)
		switch {
		case !r.clean || r.flips > 0:
			quiet = 0
		case len(flows) == len(o.flows):
			quiet++
		}
		if quiet >= 2 && begun.Sub(seen.answered) >= settle {
			o.settle(seen)
			return
		}
		if time.Since(seen.answered) > burstLimit {
			o.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeInfo, Message: "Not every flow could be measured twice alike since the change. The lab keeps measuring; the matrix shows what is known."}})
			o.pending = seen
			return
		}
		if rest := o.pace.BurstPause - time.Since(begun); rest > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(rest):
			}
		}
	}
}

// within is what comes from the channel in that time, or before it is closed.
func within(from <-chan Observation, pause time.Duration) (came []Observation) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case next, ok := <-from:
			if !ok {
				return came
			}
			came = append(came, next)
		case <-timer.C:
			return came
		}
	}
}

const (
	// tellPause is how long flows that are found to be otherwise are gathered, after the
	// first of a round, so that watchers are sent a few messages and not one for each.
	tellPause = 5 * time.Millisecond
	// burstLimit is how long a burst goes on at most.
	burstLimit = 10 * time.Second
	// awaitedPatience is how many times as long as others flows are waited for that
	// have not turned as predicted: the CNI may be slow.
	awaitedPatience = 5
)

// result is what a round has found.
type result struct {
	flips     int
	firstFlip time.Time
	// clean: every flow that was looked at has been measured, and none gave two
	// different answers.
	clean bool
}

// round measures the flows once each and tells the feed what differs from what it
// was last told. A differing verdict is measured a second time before it is
// told; if the two disagree nothing is told, and the next round will see.
func (o *observer) round(ctx context.Context, flows []Flow, timeout time.Duration) result {
	var (
		found    = make(chan Observation, 2*len(flows))
		mu       sync.Mutex
		measured int
		verdicts tally
		doubtful int
		confirm  sync.WaitGroup
	)
	byID := make(map[string]Flow, len(flows))
	for _, f := range flows {
		byID[f.ID] = f
	}
	differs := func(obs Observation) bool {
		told, ok := o.feed.verdict(obs.Flow)
		return !ok || told.Verdict != obs.Verdict || told.Server != obs.Server
	}
	go func() {
		defer close(found)
		o.cluster.Probe(ctx, flows, timeout, func(first Observation) {
			if ctx.Err() != nil {
				return
			}
			mu.Lock()
			verdicts.add(first.Verdict)
			if first.Verdict != probe.Unknown {
				measured++
			}
			mu.Unlock()
			if !differs(first) {
				return
			}
			if first.Verdict == probe.Unknown {
				found <- first // not a verdict, so nothing to confirm
				return
			}
			confirm.Go(func() {
				o.cluster.Probe(ctx, []Flow{byID[first.Flow]}, timeout, func(second Observation) {
					if ctx.Err() != nil {
						return
					}
					if second.Verdict == first.Verdict && second.Server == first.Server {
						found <- second
						return
					}
					mu.Lock()
					doubtful++
					mu.Unlock()
				})
			})
		})
		confirm.Wait()
	}()

	// The first that is found is told at once, and the many that follow it together.
	var r result
	told := false
	for obs := range found {
		batch := []Observation{obs}
		if told {
			batch = append(batch, within(found, tellPause)...)
		}
		told = true
		for _, b := range batch {
			if old, ok := o.feed.verdict(b.Flow); ok && old.Verdict != probe.Unknown && b.Verdict != probe.Unknown {
				r.flips++
			}
		}
		o.feed.emit(Event{Type: EventObservations, Observations: &Observations{Change: o.number, Flows: batch}})
		if r.firstFlip.IsZero() && r.flips > 0 {
			r.firstFlip = time.Now()
		}
	}
	verdicts.tell(o.metrics)
	r.clean = measured == len(flows) && doubtful == 0
	if len(flows) == len(o.flows) {
		o.clean = r.clean
	}
	return r
}

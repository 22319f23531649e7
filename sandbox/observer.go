package sandbox

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Pace is how often and how patiently a sandbox is observed.
type Pace struct {
	// Sweep is the pause between two sweeps while somebody watches. After a sweep that was
	// slow it is longer, so that a busy machine is not kept busy by being looked at.
	Sweep time.Duration
	// Sweeps is how many sweeps there are in a second at most, in all sandboxes together
	// and apart from the first for who has just come; 0 for any number.
	Sweeps float64
	// SweepTimeout is how long a sweep waits for an answer: there is no hurry.
	SweepTimeout time.Duration
	// BurstTimeout is how long a probe of a burst waits for an answer. A flip to blocked
	// takes one of them, and a third, so it decides how fast a deny is seen.
	BurstTimeout time.Duration
	// BurstPause is the least time from the start of one round of a burst to the
	// next. A flow that is to turn is looked at twice as often: half of this is how late,
	// at most, a burst notices what the CNI has just done.
	BurstPause time.Duration
	// Settle is how long after a change the flows must at least be watched before they
	// count as settled, where not all has turned that was to: a CNI may need this long to
	// carry it out.
	Settle time.Duration
	// Health is the pause between two checks of the cluster.
	Health time.Duration
}

// DefaultPace suits a kind cluster on the server's own machine.
var DefaultPace = Pace{
	Sweep:        2 * time.Second,
	Sweeps:       2 * float64(runtime.NumCPU()), // About a fifth of the machine's time.
	SweepTimeout: 500 * time.Millisecond,
	BurstTimeout: 20 * time.Millisecond,
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
	// sweeps is what all observers share of Pace.Sweeps.
	sweeps  *rate.Limiter
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

// awaited are the flows that are still to turn, by the predictions, and to what.
func (o *observer) awaited() (flows []Flow, to map[string]probe.Verdict) {
	to = o.feed.awaited()
	for _, f := range o.flows {
		if _, turns := to[f.ID]; turns {
			flows = append(flows, f)
		}
	}
	return flows, to
}

func newObserver(c Cluster, f *feed, flows []Flow, pace Pace, sweeps *rate.Limiter) *observer {
	now := time.Now()
	first := &effect{change: change{number: f.change(), arrived: now, answered: now}}
	return &observer{
		cluster: c, feed: f, flows: flows, pace: pace, sweeps: sweeps, changes: make(chan change, 1), addresses: c.Addresses(),
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
	timer := time.NewTimer(o.sweep(ctx))
	defer timer.Stop()
	due := false // that the next sweep's turn has been waited for
	for ctx.Err() == nil {
		pause := o.pace.Sweep
		select {
		case <-ctx.Done():
		case c := <-o.changes:
			o.burst(ctx, c)
		case <-o.feed.watched:
			// A first watcher should not wait for the timer to see the truth.
			if o.feed.watcherCount() > 0 {
				pause = o.sweep(ctx)
			}
		case <-timer.C:
			// What could not be measured is tried again also for nobody: a page
			// that opens later should not begin with unknowns.
			if o.feed.watcherCount() == 0 && o.clean && o.pending == nil {
				break
			}
			if !due {
				if wait := o.sweeps.Reserve().Delay(); wait > 0 {
					due, pause = true, wait
					break
				}
			}
			due = false
			pause = o.sweep(ctx)
		}
		timer.Reset(pause)
	}
}

// sweep is one patient round, which may settle what a burst could not. It gives way
// to a change. It returns how long there is to be a pause then.
func (o *observer) sweep(ctx context.Context) (pause time.Duration) {
	if now := o.cluster.Addresses(); o.moved != nil && !now.Equal(o.addresses) && o.moved(o.cluster) {
		o.addresses = now
	}
	begun := time.Now()
	r, next := o.unlessChanged(ctx, func(ctx context.Context) result { return o.round(ctx, o.pace.SweepTimeout, false) })
	took := time.Since(begun)
	switch {
	case next != nil:
		o.burst(ctx, *next)
		return o.pace.Sweep
	case o.pending == nil:
		if !o.changing.Load() {
			o.compare()
		}
	default:
		o.pending.add(r)
		if r.clean && r.flips == 0 {
			o.settle(o.pending)
			o.pending = nil
		}
	}
	return o.pace.rest(took)
}

// rest is the pause after a sweep that has taken so long. To wait for what is closed takes
// the timeout and costs nothing meanwhile; the rest of it is work, for which there is an
// eighth of the time where the machine is slow.
func (p Pace) rest(took time.Duration) time.Duration {
	return min(max(p.Sweep, 8*(took-p.SweepTimeout)), 8*p.Sweep)
}

// burst follows the flows that are predicted to turn until they have, and then measures
// all in quick rounds until two of them in a row have found nothing new. Where nothing
// has turned, or not all that was predicted to, the time to settle must be over, too.
func (o *observer) burst(ctx context.Context, c change) {
	o.number, o.pending = c.number, nil
	seen, quiet := &effect{change: c}, 0
	for ctx.Err() == nil {
		begun, settle, chased := time.Now(), o.pace.Settle, false
		awaited, to := o.awaited()
		look := func(ctx context.Context) result { return o.round(ctx, o.pace.BurstTimeout, true) }
		switch {
		case len(awaited) > 0 && begun.Sub(seen.answered) < chasePatience*settle:
			deadline := seen.answered.Add(chasePatience * settle)
			chased, look = true, func(ctx context.Context) result { return o.chase(ctx, awaited, to, deadline) }
		case len(awaited) > 0:
			settle *= awaitedPatience
		case seen.flips > 0:
			settle = 0 // The CNI has carried the change out.
		}
		r, next := o.unlessChanged(ctx, look)
		if next != nil {
			// What has moved so far belongs to the older change, which nobody
			// can tell apart from the newer any more.
			o.number = next.number
			seen, quiet = &effect{change: *next}, 0
			continue
		}
		seen.add(r)
		switch {
		case !r.clean || r.flips > 0:
			quiet = 0
		case !chased:
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
			rests(ctx, rest)
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

// unlessChanged looks until that is over or, where there is another change, at once broken
// off: that is then next.
func (o *observer) unlessChanged(ctx context.Context, look func(context.Context) result) (r result, next *change) {
	looking, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan result, 1)
	go func() { done <- look(looking) }()
	select {
	case r = <-done:
	case c := <-o.changes:
		next = &c
		cancel()
		<-done
		return result{}, next
	}
	select {
	case c := <-o.changes:
		return result{}, &c
	default:
		return r, nil
	}
}

// rests waits for a while, and reports whether ctx has not ended meanwhile.
func rests(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
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
	// scouts is how many of the flows that are to turn are looked at before any has, or the
	// time to settle is over: to look at all would keep the machine from carrying the
	// change out.
	scouts = 4
	// chasePatience is for how many times the time to settle the flows that are to turn are
	// followed before all are looked at.
	chasePatience = 2
	// hurry is how many times longer than at first a flow's answer is waited for at most
	// that is to open.
	hurry = 8
)

// result is what a round has found.
type result struct {
	flips     int
	firstFlip time.Time
	// clean: every flow that was looked at has been measured, and none gave two
	// different answers.
	clean bool
}

// differs reports whether an observation is news.
func (o *observer) differs(obs Observation) bool {
	told, ok := o.feed.verdict(obs.Flow)
	return !ok || told.Verdict != obs.Verdict || told.Server != obs.Server
}

// round measures every flow once and tells the feed what differs from what it
// was last told. A differing verdict is measured a second time before it is
// told; if the two disagree nothing is told, and the next round will see.
//
// In a hurry, which a burst is, it is only looked whether what is told to be closed, as it
// should be, is open by now.
func (o *observer) round(ctx context.Context, timeout time.Duration, hurried bool) result {
	var (
		found    = make(chan Observation, 2*len(o.flows))
		mu       sync.Mutex
		unknown  int
		verdicts tally
		doubtful int
		confirm  sync.WaitGroup
	)
	byID := make(map[string]Flow, len(o.flows))
	for _, f := range o.flows {
		byID[f.ID] = f
	}
	measured, peeked := o.flows, []Flow(nil)
	if hurried {
		closed := o.feed.closed()
		isClosed := func(f Flow) bool { return closed[f.ID] }
		peeked = slices.DeleteFunc(slices.Clone(o.flows), func(f Flow) bool { return !isClosed(f) })
		measured = slices.DeleteFunc(slices.Clone(o.flows), isClosed)
	}
	look := func(first Observation) {
		if ctx.Err() != nil {
			return
		}
		mu.Lock()
		verdicts.add(first.Verdict)
		if first.Verdict == probe.Unknown {
			unknown++
		}
		mu.Unlock()
		if !o.differs(first) {
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
				if alike(first, second) {
					found <- second
					return
				}
				mu.Lock()
				doubtful++
				mu.Unlock()
			})
		})
	}
	go func() {
		defer close(found)
		var both sync.WaitGroup
		if len(measured) > 0 {
			both.Go(func() { o.cluster.Probe(ctx, measured, timeout, look) })
		}
		if len(peeked) > 0 {
			both.Go(func() { o.cluster.Peek(ctx, peeked, timeout, look) })
		}
		both.Wait()
		confirm.Wait()
	}()
	r := o.tell(found)
	verdicts.tell(o.metrics)
	r.clean = ctx.Err() == nil && unknown == 0 && doubtful == 0
	o.clean = r.clean
	return r
}

// tell tells the feed what is found, until found is closed: the first at once, and the many
// that follow it together.
func (o *observer) tell(found <-chan Observation) (r result) {
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
	return r
}

// chase follows flows that are to turn, each on its own, so that one whose silence takes
// long to tell from slowness keeps no other waiting. Each is followed until it has turned;
// none is looked at anew after the deadline. A few go first, and the others when one of
// these is seen to turn.
func (o *observer) chase(ctx context.Context, flows []Flow, to map[string]probe.Verdict, deadline time.Time) result {
	var (
		found   = make(chan Observation, len(flows))
		turning = make(chan struct{})
		turned  sync.Once
		all     sync.WaitGroup
	)
	first := vanguard(flows)
	for _, f := range flows {
		all.Go(func() {
			if !first[f.ID] {
				wait := time.NewTimer(o.pace.Settle)
				defer wait.Stop()
				select {
				case <-turning:
				case <-wait.C:
				case <-ctx.Done():
				}
			}
			turns, longest := o.closes, o.pace.BurstTimeout
			if to[f.ID] == probe.Open {
				turns, longest = o.opens, hurry*o.pace.BurstTimeout
			}
			for timeout := o.pace.BurstTimeout; ctx.Err() == nil; timeout = min(timeout*3/2, longest) {
				begun := time.Now()
				news, ok := turns(ctx, f, timeout, func() { turned.Do(func() { close(turning) }) })
				if ok && ctx.Err() == nil {
					found <- news
				}
				if ok || !time.Now().Before(deadline) || !rests(ctx, o.pace.BurstPause/2-time.Since(begun)) {
					return
				}
			}
		})
	}
	go func() {
		all.Wait()
		close(found)
	}()
	return o.tell(found)
}

// vanguard are a few of the flows: if there are, of those whose silence is soon understood.
func vanguard(flows []Flow) map[string]bool {
	quick := slices.DeleteFunc(slices.Clone(flows), func(f Flow) bool { return f.Via != ViaIP || f.Protocol != TCP })
	if len(quick) == 0 {
		quick = flows
	}
	out := map[string]bool{}
	for i := range min(scouts, len(quick)) {
		out[quick[i*len(quick)/min(scouts, len(quick))].ID] = true
	}
	return out
}

// opens looks whether a flow that was closed is open by now. Where it has seen so once it
// calls turning, and looks a second time.
func (o *observer) opens(ctx context.Context, f Flow, timeout time.Duration, turning func()) (news Observation, ok bool) {
	first, ok := once(o.cluster.Peek, ctx, f, timeout)
	o.count(first, ok)
	if !ok || first.Verdict == probe.Unknown || !o.differs(first) {
		return first, ok && first.Verdict == probe.Unknown && o.differs(first)
	}
	turning()
	second, ok := once(o.cluster.Probe, ctx, f, timeout)
	return second, ok && alike(first, second)
}

// closes looks twice whether a flow that was open is closed by now, a little later the
// second time, for it takes long to see. Where it has seen so once it calls turning.
func (o *observer) closes(ctx context.Context, f Flow, timeout time.Duration, turning func()) (news Observation, ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	again := make(chan Observation, 1)
	go func() {
		defer close(again)
		if rests(ctx, timeout/3) {
			o.cluster.Probe(ctx, []Flow{f}, timeout, func(obs Observation) { again <- obs })
		}
	}()
	first, ok := once(o.cluster.Probe, ctx, f, timeout)
	o.count(first, ok)
	if !ok || first.Verdict == probe.Unknown || !o.differs(first) {
		return first, ok && first.Verdict == probe.Unknown && o.differs(first)
	}
	turning()
	second, ok := <-again
	return second, ok && alike(first, second)
}

// count counts a verdict, where there is one.
func (o *observer) count(obs Observation, ok bool) {
	if ok {
		var one tally
		one.add(obs.Verdict)
		one.tell(o.metrics)
	}
}

// once measures one flow.
func once(look func(context.Context, []Flow, time.Duration, func(Observation)), ctx context.Context, f Flow, timeout time.Duration) (obs Observation, ok bool) {
	look(ctx, []Flow{f}, timeout, func(seen Observation) { obs, ok = seen, true })
	return obs, ok
}

func alike(a, b Observation) bool { return a.Verdict == b.Verdict && a.Server == b.Server }

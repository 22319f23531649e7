package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
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
	// kept is closed once it is known whether the sandbox could be written down.
	kept chan struct{}
	// unwritten says that the record is behind, for it could not be written.
	unwritten atomic.Bool
	// waiter is the sandbox's place in the queue, once it has had one. Where it inherits
	// it is not in the queue at first: it waits for the cluster that its owner has.
	waiter   *waiter
	inherits bool
	// member is the sandbox's cluster, from when it is given it; heir is the sandbox that
	// it will be given to next, and follower the one that has the sandbox's history now.
	// Manager.mu guards them.
	member         *member
	heir, follower *instance
	// wanted has a token when the sandbox, which is paused, is to be woken.
	wanted chan struct{}
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
	ends     time.Time // when it is stopped at the latest
	terminal *terminal // the last one, which may have ended
}

func (m *Manager) newInstance(rec Record, lab *Topology, seq int64) *instance {
	picture := Snapshot{ID: rec.ID, Owner: rec.Owner, Lab: rec.Lab, Provider: m.opts.Provider.Name(), State: rec.State, Reason: rec.Reason}
	steps := m.opts.Provider.Steps()
	names := slices.Concat(steps.Boot, steps.Lay)
	for i, name := range names {
		status := StepPending
		if rec.State == Ready || rec.State == Paused {
			status = StepDone
		}
		picture.Steps = append(picture.Steps, Step{Index: i + 1, Total: len(names), Name: name, Status: status})
	}
	flows := lab.Flows()
	in := &instance{
		m: m, id: rec.ID, owner: rec.Owner, topology: lab, created: rec.Created,
		feed: newFeed(picture, flows, seq), flows: flows, wanted: make(chan struct{}, 1), kept: make(chan struct{}),
		turn: make(chan struct{}, 1), reading: make(chan struct{}, 1), opening: make(chan struct{}, 1), touched: time.Now(),
	}
	in.ends = m.endOf(rec)
	in.turn <- struct{}{}
	in.ctx, in.cancel = context.WithCancel(m.ctx)
	return in
}

// endOf is when the sandbox of the record is stopped at the latest. The time until then is
// measured, as all times in here are, by how long this machine has run, so a clock that is
// put forward or back while the server runs ends nothing. While it did not run that cannot
// be told from time that has passed: so nobody's ends without the warning, and none lives
// longer than from now on.
func (m *Manager) endOf(rec Record) time.Time {
	ends, now := rec.Ends, time.Now()
	if ends.IsZero() {
		ends = rec.Created.Add(m.opts.MaxAge)
	}
	return now.Add(min(max(ends.Sub(now), min(m.opts.Warning, m.opts.MaxAge)), max(m.opts.MaxAge, m.opts.Extension)))
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
	o := newObserver(c, in.feed, in.flows, in.m.opts.Pace, in.m.sweeps)
	o.moved = in.predictAgain
	o.log, o.metrics = in.m.opts.Log.With("sandbox", in.id), in.m.opts.Metrics
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
func (in *instance) live() bool { return in.feed.state().live() }

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
	err := in.m.opts.Records.Save(ctx, Record{ID: in.id, Cluster: in.clusterID(), Owner: in.owner, Lab: in.topology.Name, State: s.State, Reason: s.Reason, Created: in.created, Ends: in.putOff()})
	in.unwritten.Store(err != nil)
	if err != nil {
		in.m.opts.Log.Error("sandbox state not written down", "sandbox", in.id, "state", s.State, "error", err)
	} else {
		in.m.opts.Log.Info("sandbox", "sandbox", in.id, "state", s.State, "reason", s.Reason)
	}
	return err
}

// putOff is when the sandbox is stopped at the latest, where that was put off; else zero.
func (in *instance) putOff() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ends.Equal(in.created.Add(in.m.opts.MaxAge)) {
		return time.Time{}
	}
	return in.ends
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

// run waits for a cluster, makes it the sandbox and looks after that until it is to be
// stopped.
func (in *instance) run() {
	// A sandbox that no record names would be nobody's after a restart.
	err := in.save()
	if err == nil {
		in.remember() // before the sandbox whose history it has is forgotten
	}
	close(in.kept)
	if err != nil {
		in.withdraw()
		in.become(Failed, reasonNotKept)
		in.let() // what it has inherited in between
		return
	}
	in.enter()
	if cluster := in.create(); cluster != nil {
		in.lookAfter(cluster)
	}
}

// enter lets the sandbox wait for a cluster.
func (in *instance) enter() {
	m := in.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if !in.inherits && in.live() && !in.waiter.entered {
		m.queue.add(in.waiter)
	}
	m.dispatch()
}

// create makes the sandbox of the cluster that it is given. A cluster of the reserve
// that turns out not to be in order is replaced. It returns nil where there will be no sandbox.
func (in *instance) create() Cluster {
	m := in.m
	for {
		got, err := in.await()
		mem := got.member
		switch {
		case in.ctx.Err() != nil:
			return nil // Who waits goes on waiting in the next process, or is stopped.
		case err != nil:
			var failed *bootError
			if errors.As(err, &failed) {
				in.become(Failed, failed.reason)
			}
			return nil
		}
		// Where that cannot be written down the janitor tries again; if the server ends
		// before, the cluster is removed as nobody's, and the sandbox gets another.
		_ = in.save()
		fresh := mem.fresh
		cluster, restored, err := in.lay(mem)
		switch {
		case err == nil && in.become(Ready, ""):
			m.opts.Metrics.Started(time.Since(in.created), got.source)
			if restored != nil {
				in.feed.emit(Event{Type: EventNotice, Notice: restored})
			}
			return cluster
		case err == nil: // stopped in the very last moment
			in.disconnect(cluster)
			return nil
		case in.ctx.Err() != nil: // stopped, or to be made by the next process
			return nil
		case !fresh:
			// It has been there for a while, and whatever may have become of it is no
			// reason to give up: the next one is another.
			m.opts.Log.Warn("cluster not fit for a sandbox; it gets another", "sandbox", in.id, "cluster", mem.id, "error", err)
			in.again()
		default:
			m.opts.Log.Error("topology not laid", "sandbox", in.id, "cluster", mem.id, "error", err)
			in.become(Failed, createReason(err, m.opts.CreateTimeout))
			in.let()
			return nil
		}
	}
}

// await waits until the sandbox is given a cluster. Its learner is told where what is
// on the machine is not known for long.
func (in *instance) await() (grant, error) {
	if !in.awaitClear(in.m.surveyed) {
		in.withdraw()
		return grant{}, in.ctx.Err()
	}
	select {
	case g := <-in.waiter.got:
		return g, g.err
	case <-in.ctx.Done():
		in.withdraw()
		return grant{}, in.ctx.Err()
	}
}

// withdraw takes the sandbox out of the queue. A cluster that it was given in the same
// moment, and has not used, is for the next who waits.
func (in *instance) withdraw() {
	m := in.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.queue.leave(in.waiter) {
		select {
		case g := <-in.waiter.got:
			if mem := g.member; mem != nil && in.member == mem {
				in.member = nil
				if mem.used {
					m.discard(mem)
				} else {
					mem.state, mem.owner = booting, ""
					m.work.Go(func() { m.use(mem, mem.booted) })
				}
			}
		default:
		}
	}
	m.dispatch()
}

// again puts the sandbox, whose cluster was of no use, back into the queue, in front.
func (in *instance) again() {
	m := in.m
	m.mu.Lock()
	defer m.mu.Unlock()
	mem := in.member
	in.member = nil
	m.discard(mem)
	in.waiter = m.queue.waiter(in, in.waiter.from, in.waiter)
	m.queue.add(in.waiter)
	m.dispatch()
}

// wake makes a cluster that was kept in reserve one that runs.
func (in *instance) wake(mem *member) error {
	if !mem.paused {
		return nil
	}
	ctx, cancel := context.WithTimeout(in.ctx, wakeLimit)
	defer cancel()
	err := mem.booted.Wake(ctx)
	if in.m.tellProof(err); err != nil {
		return err
	}
	mem.paused = false
	return nil
}

// lay lays the sandbox's topology in its cluster, unless that is there already, and
// restores what was in force before: the notice is for its learner.
func (in *instance) lay(mem *member) (Cluster, *Notice, error) {
	m := in.m
	ctx, cancel := context.WithTimeout(in.ctx, m.opts.CreateTimeout)
	defer cancel()
	begun := time.Now()
	m.mu.Lock()
	mem.used, mem.fresh = true, false
	m.mu.Unlock()
	if err := in.wake(mem); err != nil {
		return nil, nil, err
	}
	steps := m.opts.Provider.Steps()
	total := len(steps.Boot) + len(steps.Lay)
	in.finishSteps(len(steps.Boot))
	var cluster Cluster
	err := ErrNotLaid
	if sameLab(mem.laid, in.topology) {
		cluster, err = mem.booted.Laid(ctx, in.topology)
	}
	mem.laid = nil // Whatever is laid in it from now on is its learner's.
	if errors.Is(err, ErrNotLaid) {
		cluster, err = mem.booted.Lay(ctx, in.topology, func(s Step) {
			m.tellStep(s)
			s.Index, s.Total = s.Index+len(steps.Boot), total
			in.feed.emit(Event{Type: EventStep, Step: &s})
		})
	}
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", errTooLong, err)
		}
		return nil, nil, err
	}
	in.finishSteps(total)
	policies, restored := in.restore(ctx, cluster)
	in.connect(cluster, policies) // before Ready, which says that policies can be applied
	m.opts.Log.Info("topology laid", "sandbox", in.id, "cluster", mem.id, "took", time.Since(begun).Round(time.Millisecond),
		"waited", begun.Sub(in.created).Round(time.Millisecond))
	return cluster, restored, nil
}

// restore brings the policies into force again that were in force in the sandbox which
// this one comes after, for its cluster has failed; there are none where it comes after
// no such one. It says what its learner is to know. Where the cluster does not take them
// the sandbox begins without: its history has them still.
func (in *instance) restore(ctx context.Context, cluster Cluster) (inForce, *Notice) {
	h, last := in.feed.lastInForce()
	switch {
	case h.last() == 0:
		return nil, nil
	case len(last) == 0:
		in.feed.recall(h, nil)
		return nil, nil
	}
	policies, err := in.reread(ctx, last)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, changeTimeout)
		defer cancel()
		err = cluster.Apply(ctx, policies)
	}
	if err != nil {
		in.m.opts.Log.Error("policies not brought into force again in a fresh cluster", "sandbox", in.id, "error", err)
		in.feed.recall(h, nil)
		return nil, &Notice{Level: NoticeWarning, Message: noticeNotRestored}
	}
	in.feed.recall(h, last)
	return newInForce(policies), &Notice{Level: NoticeInfo, Message: noticeRestored}
}

// reread parses what was in force.
func (in *instance) reread(ctx context.Context, applied []AppliedPolicy) ([]policy.Policy, error) {
	var out []policy.Policy
	for _, p := range applied {
		policies, _, err := in.parse(ctx, []byte(p.YAML))
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", p.PolicyRef, err)
		}
		out = append(out, policies...)
	}
	return out, nil
}

const (
	noticeRestored    = "Your sandbox's cluster had stopped running. This is a fresh one, and the policies that were in force there are in force again."
	noticeNotRestored = "Your sandbox's cluster had stopped running. This is a fresh one, but it did not take the policies that were in force there. They are in its history: open it, and restore the newest point that has them."
)

// errTooLong says that something took longer than it may.
var errTooLong = errors.New("it took too long")

// finishSteps tells of the first n steps that they are done, where that was not told.
func (in *instance) finishSteps(n int) {
	s, _ := in.feed.snapshot()
	for _, step := range s.Steps[:n] {
		if step.Status != StepDone {
			step.Status = StepDone
			in.feed.emit(Event{Type: EventStep, Step: &step})
		}
	}
}

// let gives up the sandbox's cluster, if it has one, which is then removed.
func (in *instance) let() {
	in.m.mu.Lock()
	defer in.m.mu.Unlock()
	if mem := in.member; mem != nil {
		in.member = nil
		in.m.discard(mem)
	}
}

// clusterID is the ID of the sandbox's cluster; empty where it has none.
func (in *instance) clusterID() ClusterID {
	in.m.mu.Lock()
	defer in.m.mu.Unlock()
	if in.member == nil {
		return ""
	}
	return in.member.id
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

const (
	reasonGone    = "The sandbox's cluster has stopped running.%s Press Reset for a fresh one: the policies that were in force are put into force again there."
	reasonNotKept = "The lab's server could not write down that this sandbox is yours, so it was not made. Whoever runs the lab finds the reason in its log; then press Start again."
)

func createReason(err error, limit time.Duration) string {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		return failure.Message
	case errors.Is(err, errTooLong):
		return fmt.Sprintf("The sandbox was not ready after %s, so it was given up. Press Start to try again.", inWords(limit))
	}
	return "The sandbox could not be made. Press Start to try again; the server's log says what went wrong."
}

// lookAfter watches a ready sandbox, and lets it rest while nobody needs it, until it is
// to be stopped or is gone.
func (in *instance) lookAfter(cluster Cluster) {
	for {
		switch why, err := in.observe(cluster); why {
		case endsStopped:
			in.disconnect(cluster)
			return
		case endsGone:
			in.disconnect(cluster)
			in.fail(err)
			return
		case endsUnwatched:
			if !in.sleep(cluster) {
				in.disconnect(cluster)
				return
			}
		}
	}
}

// fail notes that the sandbox's cluster is of no use any more, for that reason, and removes it.
func (in *instance) fail(err error) {
	if in.become(Failed, fmt.Sprintf(reasonGone, because(err))) {
		in.feed.forget("the sandbox's cluster has stopped running")
		in.let()
	}
}

// disconnect lets go of what is laid in the cluster.
func (in *instance) disconnect(cluster Cluster) {
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
}

// ending is why a sandbox is observed no longer.
type ending int

const (
	endsStopped ending = iota
	endsGone
	endsUnwatched
)

// observe watches a ready sandbox's flows and health. Where the cluster is gone the error says why.
func (in *instance) observe(cluster Cluster) (ending, error) {
	in.mu.Lock()
	o := in.observer
	in.mu.Unlock()
	ctx, cancel := context.WithCancel(in.ctx)
	defer cancel()
	var observing sync.WaitGroup
	observing.Go(func() { o.run(ctx) })
	observing.Go(func() { in.follow(ctx, cluster) })
	observing.Go(func() { in.keepRemembering(ctx) })
	why, err := in.watchHealth(ctx, cluster)
	cancel()
	observing.Wait()
	return why, err
}

// watchHealth returns when the cluster is gone, may rest, or ctx ends.
func (in *instance) watchHealth(ctx context.Context, cluster Cluster) (ending, error) {
	ticker := time.NewTicker(in.m.opts.Pace.Health)
	defer ticker.Stop()
	disturbed := false
	for {
		select {
		case <-ctx.Done():
			return endsStopped, nil
		case <-ticker.C:
		}
		if !disturbed && in.mayRest() {
			return endsUnwatched, nil
		}
		err := cluster.Health(ctx)
		switch {
		case ctx.Err() != nil:
			return endsStopped, nil
		case errors.Is(err, ErrGone):
			in.m.opts.Log.Warn("sandbox gone", "sandbox", in.id, "error", err)
			return endsGone, err
		case err != nil && !disturbed:
			disturbed = true
			in.m.opts.Log.Warn("sandbox disturbed", "sandbox", in.id, "error", err)
			in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeWarning,
				Message: "The cluster's API does not answer." + because(err) + " Flows that cannot be measured are shown as unknown; the lab keeps trying."}})
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

// bequeath has the sandbox's cluster pass on to another of its owner's when it ends. It
// reports false where it has none that is in order. It needs Manager.mu.
func (in *instance) bequeath(heir *instance) bool {
	switch in.feed.state() {
	case Ready, Paused:
		in.heir = heir
		return true
	}
	return false
}

// end removes a sandbox that is Stopping, and then forgets it.
func (in *instance) end() {
	m := in.m
	_ = in.save()
	in.background.Wait()
	m.mu.Lock()
	follower := in.follower
	m.mu.Unlock()
	if follower != nil {
		// What was in force is written down for one of the two at any moment.
		select {
		case <-follower.kept:
		case <-m.ctx.Done():
			return
		}
	}
	m.mu.Lock()
	if in.waiter != nil {
		m.queue.leave(in.waiter) // where an earlier process has left two of one owner's
	}
	mem, heir := in.member, in.heir
	in.member, in.heir = nil, nil
	switch {
	case heir == nil || !heir.live():
	case mem != nil && mem.booted != nil:
		m.grant(heir.waiter, mem)
		mem = nil
	default:
		heir.inherits = false
		m.queue.add(heir.waiter)
	}
	if mem != nil {
		m.discard(mem)
	}
	m.dispatch()
	m.mu.Unlock()
	if mem != nil {
		select {
		case <-mem.gone:
		case <-m.ctx.Done():
			// A removal that is at work may still come to its end; if not, the record says
			// Stopping, and the next process goes on.
			return
		}
	}
	s, _ := in.feed.snapshot()
	if !in.forget() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	in.feed.become(Stopped, s.Reason)
	delete(m.instances, in.id)
	m.opts.Log.Info("sandbox", "sandbox", in.id, "state", Stopped, "reason", s.Reason)
}

// forget deletes the sandbox's record, and tries again until that has worked: the next
// process would take it for one that somebody has. It returns false where the Manager
// closes first.
func (in *instance) forget() bool {
	m := in.m
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ctx, cancel := m.recording()
		err := m.opts.Records.Delete(ctx, in.id)
		cancel()
		if err == nil {
			return true
		}
		m.opts.Log.Error("sandbox record not deleted", "sandbox", in.id, "again in", pause, "error", err)
		select {
		case <-m.ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

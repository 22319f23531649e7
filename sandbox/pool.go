package sandbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// member is a cluster on the machine, from the moment that it is to be booted until
// nothing is left of it: so long it takes a place. Manager.mu guards what changes of it.
type member struct {
	id    ClusterID
	state memberState
	// booted is there once it is.
	booted Booted
	// laid is what was laid in it before anybody asked for it.
	laid *Topology
	// paused says that it has to be woken first, fresh that it was booted a moment ago, and
	// used that a learner has had it: no other gets it then.
	paused, fresh, used bool
	// steps are those of its boot that have begun.
	steps []Step
	begun time.Time
	// giveUp ends its boot, and given says that this was asked for.
	giveUp context.CancelFunc
	given  bool
	// owner is whose sandbox it is or was last.
	owner string
	// gone is closed when nothing is left of it.
	gone chan struct{}
}

// memberState is where a cluster is on its way through the pool.
type memberState string

const (
	// booting is also what is made ready for the reserve.
	booting memberState = "booting"
	// reserved waits, paused, for whoever starts a sandbox next.
	reserved memberState = "reserved"
	// taken is one learner's, and will never be another's.
	taken    memberState = "taken"
	removing memberState = "removing"
)

// pool are the clusters on the machine. Manager.mu guards it.
type pool struct {
	members map[ClusterID]*member
	// claimed is when somebody asked for a cluster last, and refill when the reserve may
	// be filled again at the earliest.
	claimed, refill time.Time
	// took is how long the last boots have taken, smoothed.
	took time.Duration
	// hits counts those whom a reserve was there for, misses those who had to wait.
	hits, misses int64
}

const (
	// refillQuiet is how long nobody must have asked for a cluster before the reserve is
	// filled: those who ask come first, and need the machine.
	refillQuiet = 10 * time.Second
	// refillPace is the pause between two looks at the reserve, and refillAfterFailure
	// that after a boot for it which failed.
	refillPace         = 5 * time.Second
	refillAfterFailure = time.Minute
)

// in are the members in the state, the oldest first.
func (p *pool) in(state memberState) []*member {
	var out []*member
	for _, mem := range p.members {
		if mem.state == state {
			out = append(out, mem)
		}
	}
	slices.SortFunc(out, func(a, b *member) int {
		if c := a.begun.Compare(b.begun); c != 0 {
			return c
		}
		return compareStrings(a.id, b.id)
	})
	return out
}

func compareStrings[S ~string](a, b S) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// reserve is the one to hand out for the topology: one in which it is laid already
// where there is one, else the oldest; nil where there is none.
func (p *pool) reserve(t *Topology) *member {
	all := p.in(reserved)
	for _, mem := range all {
		if sameLab(mem.laid, t) {
			return mem
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

func sameLab(a, b *Topology) bool { return a != nil && b != nil && reflect.DeepEqual(a, b) }

// add makes a member; it takes a place from now on.
func (p *pool) add(id ClusterID, state memberState) *member {
	mem := &member{id: id, state: state, begun: time.Now(), gone: make(chan struct{})}
	p.members[id] = mem
	return mem
}

// measured notes how long a boot has taken.
func (p *pool) measured(took time.Duration) {
	if p.took == 0 {
		p.took = took
		return
	}
	p.took = (3*p.took + took) / 4
}

// dispatch gives those who wait what there is, and sees to it that there will be more:
// it is called whenever something of that has changed. It needs m.mu.
func (m *Manager) dispatch() {
	if m.closed || !m.isSurveyed {
		return
	}
	for w := m.queue.first(m.mayHave); w != nil; w = m.queue.first(m.mayHave) {
		mem := m.pool.reserve(w.in.topology)
		if mem == nil {
			break
		}
		m.pool.hits++
		m.queue.take(w)
		m.grant(w, mem)
	}
	boots := slices.DeleteFunc(m.pool.in(booting), func(mem *member) bool { return mem.given && mem.booted == nil })
	for wanted := len(m.queue.waiters) + m.wantedInReserve(); len(boots) < min(wanted, m.opts.MaxCreating) && len(m.pool.members) < m.opts.MaxSandboxes; {
		boots = append(boots, m.boot())
	}
	// What nobody waits for any more, and is not wanted in reserve either.
	for extra := len(boots) - len(m.queue.waiters) - max(0, m.opts.PoolReserve-len(m.pool.in(reserved))); extra > 0; extra-- {
		last := boots[len(boots)-1]
		boots = boots[:len(boots)-1]
		last.given = true
		last.giveUp()
	}
	full := m.isFull() && len(boots) == 0
	m.queue.tell(boots, m.opts.MaxCreating, full, m.pool.took)
}

// wantedInReserve is how many clusters are to be booted for nobody in particular now:
// one at a time, and none while people come. It needs m.mu.
func (m *Manager) wantedInReserve() int {
	now := time.Now()
	switch {
	case len(m.queue.waiters) > 0 || len(m.pool.in(reserved)) >= m.opts.PoolReserve:
		return 0
	case now.Sub(m.pool.claimed) < refillQuiet, now.Before(m.pool.refill), len(m.pool.members) >= m.opts.PoolMax:
		return 0
	}
	return 1
}

// refill keeps the reserve.
func (m *Manager) refill() {
	ticker := time.NewTicker(refillPace)
	defer ticker.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		m.mu.Lock()
		m.dispatch()
		m.mu.Unlock()
	}
}

// mayHave reports whether the waiter may be given a cluster now: an owner has two on the
// machine at most, the last of which is being removed. It needs m.mu.
func (m *Manager) mayHave(w *waiter) bool {
	n := 0
	for _, mem := range m.pool.members {
		if mem.owner == w.in.owner {
			n++
		}
	}
	return n < 2
}

// grant makes the cluster the waiter's. It needs m.mu: nobody else can be given the
// same. The waiter is out of the queue.
func (m *Manager) grant(w *waiter, mem *member) {
	source := mem.source()
	if source != FromOwn {
		m.opts.Metrics.Waited(time.Since(w.in.created), source)
	}
	mem.state, mem.owner = taken, w.in.owner
	w.in.member = mem
	m.pool.claimed = time.Now()
	w.in.feed.become(Creating, "") // where it was Queued
	w.got <- grant{member: mem, source: source}
}

// boot begins to boot a cluster. It needs m.mu.
func (m *Manager) boot() *member {
	mem := m.pool.add(ClusterID(newID()), booting)
	ctx, cancel := context.WithTimeout(m.ctx, m.opts.CreateTimeout)
	mem.giveUp = cancel
	m.work.Go(func() {
		defer cancel()
		booted, err := m.opts.Provider.Boot(ctx, mem.id, func(s Step) { m.stepped(mem, s) })
		m.tellProof(err)
		if err != nil {
			m.notBooted(ctx, mem, err)
			return
		}
		m.opts.Log.Info("cluster booted", "cluster", mem.id, "took", time.Since(mem.begun).Round(time.Millisecond))
		m.mu.Lock()
		m.pool.measured(time.Since(mem.begun))
		mem.fresh = true
		m.mu.Unlock()
		m.use(mem, booted)
	})
	return mem
}

// stepped tells of a step of a boot whoever waits for it.
func (m *Manager) stepped(mem *member, s Step) {
	m.tellStep(s)
	steps := m.opts.Provider.Steps()
	s.Total = len(steps.Boot) + len(steps.Lay)
	m.mu.Lock()
	defer m.mu.Unlock()
	mem.steps = slices.DeleteFunc(mem.steps, func(old Step) bool { return old.Index == s.Index })
	mem.steps = append(mem.steps, s)
	for _, w := range m.queue.waiters {
		if w.boot == mem {
			w.in.feed.emit(Event{Type: EventStep, Step: &s})
		}
	}
}

// notBooted tells whoever waited for the cluster, and removes what may be left of it.
func (m *Manager) notBooted(ctx context.Context, mem *member, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	given := mem.given || m.ctx.Err() != nil
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", errTooLong, err)
	}
	if !given {
		m.opts.Log.Error("cluster not booted", "cluster", mem.id, "error", err)
		m.pool.refill = time.Now().Add(refillAfterFailure)
	}
	for _, w := range m.queue.waiters {
		if w.boot == mem && !given {
			m.queue.leave(w)
			w.got <- grant{err: &bootError{createReason(err, m.opts.CreateTimeout), err}}
			break
		}
	}
	m.discard(mem)
	m.dispatch()
}

// bootError is why no cluster was booted, with words for whoever waited for it.
type bootError struct {
	reason string
	err    error
}

func (e *bootError) Error() string { return e.err.Error() }
func (e *bootError) Unwrap() error { return e.err }

// use hands a booted cluster that nobody has used to who waits for one, or keeps it in
// reserve, paused and with the likeliest lesson's topology laid in it.
func (m *Manager) use(mem *member, booted Booted) {
	for {
		m.mu.Lock()
		mem.booted = booted
		switch w := m.queue.first(m.mayHave); {
		case w != nil:
			m.pool.misses++
			m.queue.take(w)
			m.grant(w, mem)
			m.dispatch()
			m.mu.Unlock()
			return
		case m.closed || mem.paused && len(m.pool.in(reserved)) < m.opts.PoolReserve:
			// The next process removes what this one has kept for nobody.
			mem.state = reserved
			m.mu.Unlock()
			return
		case mem.paused, len(m.pool.in(reserved)) >= m.opts.PoolReserve:
			m.discard(mem)
			m.dispatch()
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		if err := m.rest(mem); err != nil {
			m.opts.Log.Error("cluster not kept in reserve", "cluster", mem.id, "error", err)
			m.mu.Lock()
			m.pool.refill = time.Now().Add(refillAfterFailure)
			m.discard(mem)
			m.dispatch()
			m.mu.Unlock()
			return
		}
	}
}

// rest makes a cluster ready for the reserve.
func (m *Manager) rest(mem *member) error {
	ctx, cancel := context.WithTimeout(m.ctx, m.opts.CreateTimeout)
	defer cancel()
	if t := m.opts.Likeliest; t != nil && mem.laid == nil {
		// What is laid stays connected: the streams outlive the pause, and need not be
		// opened when somebody waits.
		if _, err := mem.booted.Lay(ctx, t, m.tellStep); err != nil {
			return fmt.Errorf("lay %s: %w", t.Name, err)
		}
		m.mu.Lock()
		mem.laid = t
		m.mu.Unlock()
	}
	if err := mem.booted.Pause(ctx); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	m.mu.Lock()
	mem.paused, mem.fresh = true, false
	m.mu.Unlock()
	return nil
}

// discard removes a cluster that nobody is to use any more; it takes its place until
// nothing is left of it. It needs m.mu.
func (m *Manager) discard(mem *member) {
	if mem.state == removing {
		return
	}
	mem.state = removing
	m.work.Go(func() { m.remove(mem) })
}

const (
	// removeLimit is how long one try to remove a cluster may take.
	removeLimit = time.Minute
	// The pause after a failed try grows from the first to the last of these.
	firstPause, lastPause = time.Second, time.Minute
)

// remove deletes what the cluster has left on the machine, and tries again until
// that has worked. Where the Manager closes first, the next process finds what is left.
// A try must also work while the Manager closes, so it has a context of its own.
func (m *Manager) remove(mem *member) {
	if mem.booted != nil {
		if err := mem.booted.Close(); err != nil {
			m.opts.Log.Warn("connections to a cluster not closed", "cluster", mem.id, "error", err)
		}
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), removeLimit)
		err := m.opts.Provider.Delete(ctx, mem.id)
		cancel()
		if err == nil {
			break
		}
		m.opts.Log.Error("cluster not removed; it takes a place until a later try works", "cluster", mem.id, "again in", pause, "error", err)
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	m.opts.Log.Info("cluster removed", "cluster", mem.id)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pool.members, mem.id)
	close(mem.gone)
	m.dispatch()
}

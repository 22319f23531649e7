package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Options say how a Manager works.
type Options struct {
	Provider Provider
	// Records are the Provider's own.
	Records Records
	// Lab is the topology of that name that the owner's sandboxes can have: an adopted
	// sandbox finds its own again by it. It is nil where there is none any more; an error
	// says that this could not be found out.
	Lab func(ctx context.Context, owner, name string) (*Topology, error)
	// MaxSandboxes is how many clusters may exist at once, with those in reserve and those
	// that are being removed.
	MaxSandboxes int
	// MaxCreating is how many may be booted at once.
	MaxCreating int
	// MaxWaiting is how many may wait for a sandbox.
	MaxWaiting int
	// PoolReserve is how many booted clusters are kept for those who will come, paused.
	// PoolMax is how many clusters there may be in all when one is booted for the reserve;
	// where it is 0, MaxSandboxes.
	PoolReserve, PoolMax int
	// Likeliest is the topology that is laid in those in reserve: that of the lesson which
	// most begin with. Where it is nil, nothing is laid in them.
	Likeliest *Topology
	// CreateTimeout is how long it may take to boot a cluster, and again to lay a topology in it.
	CreateTimeout time.Duration
	// PauseAfter is how long a sandbox may go unwatched and unchanged before it is
	// paused; where it is negative, none is.
	PauseAfter time.Duration
	// Idle is how long a sandbox may go unwatched and unchanged, and MaxAge how
	// long it may live at all, before it is stopped.
	Idle, MaxAge time.Duration
	// Warning is how long before that end its learner is told, and can put it off by
	// Extension.
	Warning, Extension time.Duration
	// Supervised says that somebody looks after the class: no sandbox is stopped for its
	// age, for being left alone, or to make room for others.
	Supervised bool
	// Orphan is how long a sandbox may be left alone before it gives way to somebody who
	// waits, where its learner has no name; Named says who has one. Where that is nil,
	// nobody's gives way.
	Orphan time.Duration
	Named  func(ctx context.Context, owner string) (bool, error)
	Pace   Pace
	// Metrics is told what happens; nil where nobody counts it.
	Metrics Metrics
	Log     *slog.Logger
}

// Defaults fills in what was left at zero.
func (o *Options) Defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.CreateTimeout, 5*time.Minute)
	set(&o.PauseAfter, 5*time.Minute)
	set(&o.Idle, 2*time.Hour)
	set(&o.MaxAge, 12*time.Hour)
	set(&o.Warning, 15*time.Minute)
	set(&o.Extension, 2*time.Hour)
	set(&o.Orphan, 10*time.Minute)
	if o.MaxSandboxes == 0 {
		o.MaxSandboxes = 8
	}
	if o.MaxCreating == 0 {
		o.MaxCreating = 1
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 200
	}
	if o.PoolMax == 0 {
		o.PoolMax = o.MaxSandboxes
	}
	if o.Pace == (Pace{}) {
		o.Pace = DefaultPace
	}
	if o.Metrics == nil {
		o.Metrics = uncounted{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Manager runs the sandboxes of all learners. Its methods may be called
// concurrently. The work of creating and observing runs on the Manager's own
// context, never on a request's.
type Manager struct {
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	// surveyed is closed when it is known what is on the machine.
	surveyed chan struct{}
	// availability has a lock of its own.
	availability *availability
	// sweeps is how often sandboxes may be swept.
	sweeps *rate.Limiter

	mu sync.Mutex
	// instances are there until nothing is left of them.
	instances map[ID]*instance
	// current is the one sandbox that an owner has. Others of theirs are only there
	// to be removed.
	current map[string]*instance
	pool    pool
	queue   queue
	closed  bool
}

// NewManager starts a Manager. In the background it adopts the sandboxes that an
// earlier process left running, and removes what that process did not finish.
func NewManager(opts Options) (*Manager, error) {
	opts.Defaults()
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{
		opts: opts, ctx: ctx, cancel: cancel, surveyed: make(chan struct{}), pool: pool{members: map[ClusterID]*member{}},
		availability: &availability{check: opts.Provider.Check, log: opts.Log, asked: make(chan struct{}, 1)},
		instances:    map[ID]*instance{}, current: map[string]*instance{},
		sweeps: rate.NewLimiter(rate.Inf, 0),
	}
	if opts.Pace.Sweeps > 0 {
		m.sweeps = rate.NewLimiter(rate.Limit(opts.Pace.Sweeps), 1)
	}
	if err := m.recover(); err != nil {
		cancel()
		return nil, err
	}
	m.work.Go(m.survey)
	m.work.Go(func() { m.every(janitorPace, m.janitor) })
	m.work.Go(func() { m.every(sweepPace, m.sweep) })
	m.work.Go(func() { m.every(refillPace, m.refill) })
	m.work.Go(func() { m.availability.run(ctx) })
	return m, nil
}

// Close lets go of all sandboxes and waits for the work in hand: those that are
// Ready or Paused stay as they are, to be adopted by the next process; what is being
// booted or in reserve is removed, and those who wait go on waiting in the next process.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.work.Wait()
	var work sync.WaitGroup
	// Nobody else is left who would change them; what is removed leaves meanwhile.
	for _, mem := range slices.Collect(maps.Values(m.pool.members)) {
		switch {
		case mem.state == reserved:
			work.Go(func() { m.remove(mem) })
		case mem.booted != nil:
			if err := mem.booted.Close(); err != nil {
				m.opts.Log.Warn("connections to a cluster not closed", "cluster", mem.id, "error", err)
			}
		}
	}
	work.Wait()
}

// Provider is the name of the provider.
func (m *Manager) Provider() string { return m.opts.Provider.Name() }

// Available fails with ErrUnavailable, and says why, where no sandbox can be made
// here now. It answers at once, with what was last found out, for every page asks it.
func (m *Manager) Available() error { return m.availability.now() }

// Create makes a sandbox of the lab for its owner, who asks from the address, and
// returns at once: what becomes of it are events. An owner has one sandbox: a live one
// of the same lab is returned instead; where it is of another lab the new one takes its
// cluster over. ErrBusy says that too many wait already.
func (m *Manager) Create(owner, from string, lab *Topology) (Snapshot, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.current[owner]
	switch {
	case old == nil:
		return m.begin(owner, from, lab, nil)
	case !old.live():
		return m.begin(owner, from, lab, &succession{reason: "You started a new sandbox."})
	case old.topology.Name == lab.Name:
		s, seq := old.feed.snapshot()
		return s, seq, nil
	}
	return m.begin(owner, from, lab, &succession{reason: "You started another lab.", cluster: true})
}

// Reset throws the sandbox away and makes its owner, who asks from the address, a fresh
// one of the same lab. One that is not made yet stays. Where somebody else was first,
// theirs is returned.
func (m *Manager) Reset(id ID, from string) (Snapshot, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.instances[id]
	if !ok {
		return Snapshot{}, 0, notFound(id)
	}
	if now := m.current[in.owner]; now != nil && now != in {
		if now.topology.Name != in.topology.Name {
			return Snapshot{}, 0, notFound(id) // for it gave way to another lab's
		}
		s, seq := now.feed.snapshot()
		return s, seq, nil
	}
	switch in.feed.state() {
	case Queued, Creating: // It is a fresh one.
		s, seq := in.feed.snapshot()
		return s, seq, nil
	}
	return m.begin(in.owner, from, in.topology, &succession{reason: "You asked for a fresh one."})
}

// succession is how a sandbox follows the one that its owner has.
type succession struct {
	// reason is why that one ends.
	reason string
	// cluster says that its cluster is taken over where it is in order.
	cluster bool
}

// begin begins a sandbox for the owner. It needs m.mu.
func (m *Manager) begin(owner, from string, lab *Topology, after *succession) (Snapshot, int64, error) {
	if m.closed {
		return Snapshot{}, 0, errClosed
	}
	old := m.current[owner]
	var place *waiter
	if old != nil {
		if place = m.queue.of(old); place != nil {
			m.queue.leave(place)
		}
	}
	if place == nil {
		if err := m.makeRoom(from); err != nil {
			return Snapshot{}, 0, err
		}
	}
	in := m.newInstance(Record{ID: newID(), Owner: owner, Lab: lab.Name, State: Queued, Created: time.Now()}, lab, 0)
	in.waiter = m.queue.waiter(in, from, place)
	if place != nil { // at once, or what is being booted for it would be given up
		m.queue.add(in.waiter)
	}
	if old != nil {
		in.inherits = after.cluster && old.bequeath(in)
		if old.feed.state() == Failed && sameLab(old.topology, lab) {
			in.feed.takeOver(old.feed)
			old.follower = in
		}
		old.stop(after.reason)
	}
	m.instances[in.id], m.current[owner] = in, in
	in.inBackground(in.run)
	s, seq := in.feed.snapshot()
	return s, seq, nil
}

// makeRoom sees to it that one more can wait, who asks from the address. It needs m.mu.
func (m *Manager) makeRoom(from string) error {
	waiting := 0
	for _, in := range m.current {
		if in.feed.state() == Queued {
			waiting++
		}
	}
	if waiting < m.opts.MaxWaiting {
		return nil
	}
	w := m.queue.yields(from)
	if w == nil {
		return fmt.Errorf("create sandbox: %w: %d", ErrBusy, waiting)
	}
	m.queue.leave(w)
	w.got <- grant{err: &bootError{reasonYielded, ErrBusy}}
	return nil
}

const reasonYielded = "Many wait for a sandbox, and most of those who wait share your network address, so you gave your place to somebody from another. Press Start to wait again."

var errClosed = fmt.Errorf("%w: the server is stopping", ErrBusy)

func (m *Manager) find(id ID) (*instance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.instances[id]
	if !ok {
		return nil, notFound(id)
	}
	return in, nil
}

func notFound(id ID) error { return fmt.Errorf("sandbox %s: %w", id, ErrNotFound) }

// Get returns the sandbox, and the number of the last event in the picture.
func (m *Manager) Get(id ID) (Snapshot, int64, error) {
	in, err := m.find(id)
	if err != nil {
		return Snapshot{}, 0, err
	}
	s, seq := in.feed.snapshot()
	return s, seq, nil
}

// Addresses are those of the sandbox's cluster, which must be ready.
func (m *Manager) Addresses(id ID) (Addresses, error) {
	in, err := m.find(id)
	if err != nil {
		return Addresses{}, err
	}
	in.mu.Lock()
	cluster := in.cluster
	in.mu.Unlock()
	if cluster == nil {
		return Addresses{}, fmt.Errorf("sandbox %s is %s: %w", in.id, in.feed.state(), ErrNotReady)
	}
	return cluster.Addresses(), nil
}

// ByOwner returns the sandbox that the owner has, which may have failed.
func (m *Manager) ByOwner(owner string) (Snapshot, int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.current[owner]
	if in == nil {
		return Snapshot{}, 0, false
	}
	s, seq := in.feed.snapshot()
	return s, seq, true
}

// Subscribe opens a subscription to the sandbox's events after the given number.
// The sandbox counts as used by whoever watches; see [AsOnlooker].
func (m *Manager) Subscribe(id ID, after int64, options ...SubscribeOption) (*Subscription, error) {
	in, err := m.find(id)
	if err != nil {
		return nil, err
	}
	sub := in.feed.subscribe(after, options...)
	if !sub.onlooker {
		in.touch()
		if in.feed.state() == Paused {
			in.want()
		}
	}
	return sub, nil
}

// Stop ends the sandbox, for its learner, and removes it. One that is being removed
// already is left to that.
func (m *Manager) Stop(id ID) error { return m.StopFor(id, "You stopped it.") }

// StopFor is Stop for another reason, which its learner is told.
func (m *Manager) StopFor(id ID, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.instances[id]
	switch {
	case !ok:
		return notFound(id)
	case m.closed:
		return errClosed
	}
	in.stop(reason)
	return nil
}

// StopOwner ends the sandbox of an owner who will not come back, if they have one.
func (m *Manager) StopOwner(owner string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.current[owner]
	switch {
	case in == nil:
		return nil
	case m.closed:
		return errClosed
	}
	in.stop("Its learner has left the lab.")
	return nil
}

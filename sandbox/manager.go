package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
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
	// MaxSandboxes is how many may exist at once, with those that are being removed.
	MaxSandboxes int
	// MaxCreating is how many may be created at once; others wait, Queued.
	MaxCreating int
	// CreateTimeout is how long a creation may take.
	CreateTimeout time.Duration
	// Idle is how long a sandbox may go unwatched and unchanged, and MaxAge how
	// long it may live at all, before it is stopped.
	Idle, MaxAge time.Duration
	Pace         Pace
	Log          *slog.Logger
}

// Defaults fills in what was left at zero.
func (o *Options) Defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.CreateTimeout, 5*time.Minute)
	set(&o.Idle, 2*time.Hour)
	set(&o.MaxAge, 12*time.Hour)
	if o.MaxSandboxes == 0 {
		o.MaxSandboxes = 8
	}
	if o.MaxCreating == 0 {
		o.MaxCreating = 1
	}
	if o.Pace == (Pace{}) {
		o.Pace = DefaultPace
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
	slots  chan struct{}
	// surveyed is closed when it is known what is on the machine.
	surveyed chan struct{}
	// availability has a lock of its own.
	availability *availability

	mu sync.Mutex
	// instances are there until nothing is left of them.
	instances map[ID]*instance
	// current is the one sandbox that an owner has. Others of theirs are only there
	// to be removed.
	current map[string]*instance
	closed  bool
}

// NewManager starts a Manager. In the background it adopts the sandboxes that an
// earlier process left running, and removes what that process did not finish.
func NewManager(opts Options) (*Manager, error) {
	opts.Defaults()
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{
		opts: opts, ctx: ctx, cancel: cancel, slots: make(chan struct{}, opts.MaxCreating), surveyed: make(chan struct{}),
		availability: &availability{check: opts.Provider.Check, log: opts.Log, asked: make(chan struct{}, 1)},
		instances:    map[ID]*instance{}, current: map[string]*instance{},
	}
	if err := m.recover(); err != nil {
		cancel()
		return nil, err
	}
	m.work.Go(m.survey)
	m.work.Go(m.janitor)
	m.work.Go(func() { m.availability.run(ctx) })
	return m, nil
}

// Close lets go of all sandboxes and waits for the work in hand: those that are
// Ready go on running, to be adopted by the next process; those that are being
// created are removed.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.work.Wait()
}

// Provider is the name of the provider.
func (m *Manager) Provider() string { return m.opts.Provider.Name() }

// Available fails with ErrUnavailable, and says why, where no sandbox can be made
// here now. It answers at once, with what was last found out, for every page asks it.
func (m *Manager) Available() error { return m.availability.now() }

// Create makes a sandbox of the lab for its owner, and returns at once: what
// becomes of it are events. An owner has one sandbox: a live one of the same
// lab is returned instead, another is stopped, and the new one waits until it is
// gone. ErrBusy says that there is no room.
func (m *Manager) Create(owner string, lab *Topology) (Snapshot, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reason := "You started another lab."
	if in := m.current[owner]; in != nil {
		switch live := in.live(); {
		case live && in.topology.Name == lab.Name:
			s, seq := in.feed.snapshot()
			return s, seq, nil
		case !live:
			reason = "You started a new sandbox."
		}
	}
	return m.replace(owner, lab, reason)
}

// Reset throws the sandbox away and makes its owner a fresh one of the same lab,
// which waits until the old one is gone. Where somebody else was first, theirs is
// returned.
func (m *Manager) Reset(id ID) (Snapshot, int64, error) {
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
	return m.replace(in.owner, in.topology, "You asked for a fresh one.")
}

// replace begins a sandbox for the owner, in the place of the one that they have.
// It needs m.mu.
func (m *Manager) replace(owner string, lab *Topology, reason string) (Snapshot, int64, error) {
	if m.closed {
		return Snapshot{}, 0, errClosed
	}
	if taken, own := m.places(owner); !own && taken >= m.opts.MaxSandboxes {
		return Snapshot{}, 0, fmt.Errorf("create sandbox: %w: %d of %d are in use", ErrBusy, taken, m.opts.MaxSandboxes)
	}
	if old := m.current[owner]; old != nil {
		old.stop(reason)
	}
	in := m.newInstance(Record{ID: newID(), Owner: owner, Lab: lab.Name, State: Queued, Created: time.Now()}, lab, 0)
	m.instances[in.id], m.current[owner] = in, in
	in.inBackground(in.run)
	s, seq := in.feed.snapshot()
	return s, seq, nil
}

var errClosed = fmt.Errorf("%w: the server is stopping", ErrBusy)

// places counts the sandboxes that take a place, and says whether one of them is
// the owner's. A place is taken until nothing is left on the machine; a fresh
// sandbox waits for what is left of its owner's last one, so the two take one. It
// needs m.mu.
func (m *Manager) places(owner string) (taken int, own bool) {
	left := map[string]bool{}
	for _, in := range m.instances {
		if in.holds {
			taken++
			left[in.owner] = true
		}
	}
	for _, in := range m.current {
		if in.live() && !left[in.owner] {
			taken++
			left[in.owner] = true
		}
	}
	return taken, left[owner]
}

// leftOf is something that is left of the owner's earlier sandboxes, or nil.
func (m *Manager) leftOf(in *instance) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.instances {
		if other != in && other.owner == in.owner && other.holds {
			return other
		}
	}
	return nil
}

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
	}
	return sub, nil
}

// Stop ends the sandbox and removes it. One that is being removed already is left
// to that.
func (m *Manager) Stop(id ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.instances[id]
	switch {
	case !ok:
		return notFound(id)
	case m.closed:
		return errClosed
	}
	in.stop("You stopped it.")
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

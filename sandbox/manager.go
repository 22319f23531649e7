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
	Records  *Records
	// Labs are the topologies that sandboxes can have, by name; an adopted
	// sandbox finds its own again here.
	Labs map[string]*Topology
	// MaxSandboxes is how many may exist at once.
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
	// availability has a lock of its own.
	availability *availability

	mu        sync.Mutex
	instances map[ID]*instance
	closed    bool
}

// NewManager starts a Manager: it adopts the sandboxes that an earlier process
// left running, and removes what that process did not finish.
func NewManager(opts Options) (*Manager, error) {
	opts.Defaults()
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{opts: opts, ctx: ctx, cancel: cancel, slots: make(chan struct{}, opts.MaxCreating), instances: map[ID]*instance{}}
	m.availability = &availability{check: opts.Provider.Check, log: opts.Log, asked: make(chan struct{}, 1)}
	if err := m.recover(); err != nil {
		cancel()
		return nil, err
	}
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
// lab is returned instead, one of another lab is stopped. ErrBusy says that
// there is no room.
func (m *Manager) Create(owner string, lab *Topology) (Snapshot, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Snapshot{}, 0, fmt.Errorf("create sandbox: %w: the server is stopping", ErrBusy)
	}
	for _, in := range m.instances {
		if in.owner != owner {
			continue
		}
		switch in.feed.state() {
		case Queued, Creating, Ready:
			if in.topology.Name == lab.Name {
				s, seq := in.feed.snapshot()
				return s, seq, nil
			}
			in.stop("You started another lab.")
		case Failed:
			in.stop("You started a new sandbox.")
		}
	}
	return m.create(owner, lab)
}

// create needs m.mu.
func (m *Manager) create(owner string, lab *Topology) (Snapshot, int64, error) {
	taken := 0
	for _, in := range m.instances {
		switch in.feed.state() {
		case Queued, Creating, Ready:
			taken++
		}
	}
	if taken >= m.opts.MaxSandboxes {
		return Snapshot{}, 0, fmt.Errorf("create sandbox: %w: %d of %d are in use", ErrBusy, taken, m.opts.MaxSandboxes)
	}
	in := m.newInstance(Record{ID: newID(), Owner: owner, Lab: lab.Name, State: Queued, Created: time.Now()}, lab, 0)
	if err := in.save(); err != nil {
		return Snapshot{}, 0, err
	}
	m.instances[in.id] = in
	in.background.Add(1)
	m.work.Go(func() {
		defer in.background.Done()
		in.run()
	})
	s, seq := in.feed.snapshot()
	return s, seq, nil
}

func (m *Manager) find(id ID) (*instance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.instances[id]
	if !ok {
		return nil, fmt.Errorf("sandbox %s: %w", id, ErrNotFound)
	}
	return in, nil
}

// Get returns the sandbox, and the number of the last event in the picture.
func (m *Manager) Get(id ID) (Snapshot, int64, error) {
	in, err := m.find(id)
	if err != nil {
		return Snapshot{}, 0, err
	}
	s, seq := in.feed.snapshot()
	return s, seq, nil
}

// ByOwner returns the owner's newest sandbox, also one that has failed.
func (m *Manager) ByOwner(owner string) (Snapshot, int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest *instance
	for _, in := range m.instances {
		if in.owner != owner {
			continue
		}
		if s := in.feed.state(); s == Stopping || s == Stopped {
			continue
		}
		if newest == nil || in.created.After(newest.created) {
			newest = in
		}
	}
	if newest == nil {
		return Snapshot{}, 0, false
	}
	s, seq := newest.feed.snapshot()
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

// Stop ends the sandbox and removes it.
func (m *Manager) Stop(id ID) error {
	in, err := m.find(id)
	if err != nil {
		return err
	}
	in.stop("You stopped it.")
	return nil
}

// Reset throws the sandbox away and makes its owner a fresh one of the same lab.
func (m *Manager) Reset(id ID) (Snapshot, int64, error) {
	in, err := m.find(id)
	if err != nil {
		return Snapshot{}, 0, err
	}
	in.stop("You asked for a fresh one.")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Snapshot{}, 0, fmt.Errorf("reset sandbox: %w: the server is stopping", ErrBusy)
	}
	return m.create(in.owner, in.topology)
}

package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
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

	mu        sync.Mutex
	instances map[ID]*instance
	closed    bool

	checking  sync.Mutex
	checked   time.Time
	available error
}

// instance is one sandbox as the Manager knows it.
type instance struct {
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

	mu       sync.Mutex
	cluster  Cluster
	observer *observer
	touched  time.Time
}

// NewManager starts a Manager: it adopts the sandboxes that an earlier process
// left running, and removes what that process did not finish.
func NewManager(opts Options) (*Manager, error) {
	opts.Defaults()
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{opts: opts, ctx: ctx, cancel: cancel, slots: make(chan struct{}, opts.MaxCreating), instances: map[ID]*instance{}}
	if err := m.recover(); err != nil {
		cancel()
		return nil, err
	}
	m.work.Go(m.janitor)
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

// Available says why no sandbox can be made here now; nil where one can. Its
// answer may be a few seconds old, for every page asks it.
func (m *Manager) Available(ctx context.Context) error {
	m.checking.Lock()
	defer m.checking.Unlock()
	if time.Since(m.checked) > 5*time.Second {
		m.available, m.checked = m.opts.Provider.Check(ctx), time.Now()
	}
	return m.available
}

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
			m.stop(in, "You started another lab.")
		case Failed:
			m.stop(in, "You started a new sandbox.")
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
	if err := m.save(in); err != nil {
		return Snapshot{}, 0, err
	}
	m.instances[in.id] = in
	in.background.Add(1)
	m.work.Go(func() {
		defer in.background.Done()
		m.run(in)
	})
	s, seq := in.feed.snapshot()
	return s, seq, nil
}

func (m *Manager) newInstance(rec Record, lab *Topology, seq int64) *instance {
	picture := Snapshot{ID: rec.ID, Lab: rec.Lab, Provider: m.opts.Provider.Name(), State: rec.State, Reason: rec.Reason}
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
		id: rec.ID, owner: rec.Owner, topology: lab, created: rec.Created,
		feed: newFeed(picture, flows, seq), flows: flows, turn: make(chan struct{}, 1), touched: time.Now(),
	}
	in.turn <- struct{}{}
	in.ctx, in.cancel = context.WithCancel(m.ctx)
	return in
}

// newID is random enough that two sandboxes on one machine never share one.
func newID() ID { return ID(strings.ToLower(rand.Text()[:10])) }

// save writes down where the sandbox is now.
func (m *Manager) save(in *instance) error {
	s, _ := in.feed.snapshot()
	return m.opts.Records.Save(Record{ID: in.id, Owner: in.owner, Lab: in.topology.Name, State: s.State, Reason: s.Reason, Created: in.created})
}

// become moves the sandbox on, and writes that down.
func (m *Manager) become(in *instance, next State, reason string) bool {
	if !in.feed.become(next, reason) {
		return false
	}
	if err := m.save(in); err != nil {
		m.opts.Log.Error("sandbox state not written down", "sandbox", in.id, "state", next, "error", err)
	}
	m.opts.Log.Info("sandbox", "sandbox", in.id, "state", next, "reason", reason)
	return true
}

// run creates the sandbox and observes it until it is to be stopped.
func (m *Manager) run(in *instance) {
	select {
	case m.slots <- struct{}{}:
	case <-in.ctx.Done():
		m.abandoned(in)
		return
	}
	cluster, err := m.createCluster(in)
	<-m.slots
	if err != nil {
		return
	}
	m.observe(in, cluster)
}

func (m *Manager) createCluster(in *instance) (Cluster, error) {
	if !m.become(in, Creating, "") {
		return nil, ErrNotReady
	}
	ctx, cancel := context.WithTimeout(in.ctx, m.opts.CreateTimeout)
	defer cancel()
	begun := time.Now()
	cluster, err := m.opts.Provider.Create(ctx, Spec{ID: in.id, Topology: in.topology}, func(s Step) {
		in.feed.emit(Event{Type: EventStep, Step: &s})
	})
	if err == nil {
		in.connect(cluster, m.opts.Pace) // before Ready, which says that policies can be applied
	}
	switch {
	case err == nil && m.become(in, Ready, ""):
		m.opts.Log.Info("sandbox ready", "sandbox", in.id, "took", time.Since(begun).Round(time.Millisecond))
		return cluster, nil
	case err == nil: // stopped in the very last moment
		return nil, errors.Join(ErrNotReady, cluster.Close())
	case in.ctx.Err() != nil:
		m.abandoned(in)
	default:
		m.opts.Log.Error("sandbox not created", "sandbox", in.id, "error", err)
		m.become(in, Failed, createReason(ctx, err, m.opts.CreateTimeout))
	}
	return nil, err
}

// abandoned writes down what becomes of a sandbox that the server's own end has
// cut off; one that its owner stopped is in other hands.
func (m *Manager) abandoned(in *instance) {
	if m.ctx.Err() != nil {
		m.become(in, Failed, reasonRestarted)
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
func (m *Manager) observe(in *instance, cluster Cluster) {
	o := in.observer
	ctx, cancel := context.WithCancel(in.ctx)
	defer cancel()
	var observing sync.WaitGroup
	observing.Go(func() { o.run(ctx) })
	gone := m.watchHealth(ctx, in, cluster)
	cancel()
	observing.Wait()

	in.mu.Lock()
	in.cluster, in.observer = nil, nil
	in.mu.Unlock()
	if err := cluster.Close(); err != nil {
		m.opts.Log.Warn("connections to a sandbox not closed", "sandbox", in.id, "error", err)
	}
	if gone && m.become(in, Failed, reasonGone) {
		in.feed.forget("the sandbox's cluster has stopped running")
		m.remove(in)
	}
}

// watchHealth returns true when the cluster is gone, false when ctx ends.
func (m *Manager) watchHealth(ctx context.Context, in *instance, cluster Cluster) bool {
	ticker := time.NewTicker(m.opts.Pace.Health)
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
			m.opts.Log.Warn("sandbox gone", "sandbox", in.id, "error", err)
			return true
		case err != nil && !disturbed:
			disturbed = true
			m.opts.Log.Warn("sandbox disturbed", "sandbox", in.id, "error", err)
			in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeWarning,
				Message: "The cluster's API does not answer. Flows that cannot be measured are shown as unknown; the lab keeps trying."}})
		case err == nil && disturbed:
			disturbed = false
			in.feed.emit(Event{Type: EventNotice, Notice: &Notice{Level: NoticeInfo, Message: "The cluster's API answers again."}})
		}
	}
}

// stop ends the sandbox; its removal goes on in the background.
func (m *Manager) stop(in *instance, reason string) {
	if !m.become(in, Stopping, reason) {
		return
	}
	in.cancel()
	m.work.Go(func() {
		in.background.Wait()
		m.remove(in)
		if m.become(in, Stopped, reason) {
			m.mu.Lock()
			delete(m.instances, in.id)
			m.mu.Unlock()
			if err := m.opts.Records.Delete(in.id); err != nil {
				m.opts.Log.Error("sandbox record not deleted", "sandbox", in.id, "error", err)
			}
		}
	})
}

// remove deletes what the sandbox has left on the machine. It must also work
// while the Manager closes, so it has a context of its own. What cannot be
// removed now is removed by the janitor or after the next start.
func (m *Manager) remove(in *instance) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), time.Minute)
	defer cancel()
	if err := m.opts.Provider.Delete(ctx, in.id); err != nil {
		m.opts.Log.Error("sandbox not removed", "sandbox", in.id, "error", err)
	}
}

// find returns the owner's sandbox.
func (m *Manager) find(owner string, id ID) (*instance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.instances[id]
	if !ok || in.owner != owner {
		return nil, fmt.Errorf("sandbox %s: %w", id, ErrNotFound)
	}
	return in, nil
}

// Get returns the owner's sandbox, and the number of the last event in the
// picture. ErrNotFound also stands for somebody else's.
func (m *Manager) Get(owner string, id ID) (Snapshot, int64, error) {
	in, err := m.find(owner, id)
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
func (m *Manager) Subscribe(owner string, id ID, after int64) (*Subscription, error) {
	in, err := m.find(owner, id)
	if err != nil {
		return nil, err
	}
	in.touch()
	return in.feed.subscribe(after), nil
}

// Stop ends the owner's sandbox and removes it.
func (m *Manager) Stop(owner string, id ID) error {
	in, err := m.find(owner, id)
	if err != nil {
		return err
	}
	m.stop(in, "You stopped it.")
	return nil
}

// Reset throws the owner's sandbox away and makes a fresh one of the same lab.
func (m *Manager) Reset(owner string, id ID) (Snapshot, int64, error) {
	in, err := m.find(owner, id)
	if err != nil {
		return Snapshot{}, 0, err
	}
	m.stop(in, "You asked for a fresh one.")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Snapshot{}, 0, fmt.Errorf("reset sandbox: %w: the server is stopping", ErrBusy)
	}
	return m.create(owner, in.topology)
}

// Apply parses the YAML and applies its policies, all or none. A *policy.Error
// says what is wrong with it and where. The effect is told in events that carry
// the number of the returned change.
func (m *Manager) Apply(ctx context.Context, owner string, id ID, src []byte) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(owner, id)
	if err != nil {
		return PolicyChange{}, err
	}
	policies, err := policy.Parse(src, policy.ParseOptions{Namespaces: in.topology.NamespaceNames()})
	if err != nil {
		return PolicyChange{}, err
	}
	return m.changePolicies(ctx, in, arrived, func(ctx context.Context, c Cluster) error { return c.Apply(ctx, policies) })
}

// DeletePolicies deletes the named policies; nil means every one in the lab.
func (m *Manager) DeletePolicies(ctx context.Context, owner string, id ID, refs []PolicyRef) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(owner, id)
	if err != nil {
		return PolicyChange{}, err
	}
	return m.changePolicies(ctx, in, arrived, func(ctx context.Context, c Cluster) error {
		if refs == nil {
			policies, err := c.Policies(ctx)
			if err != nil {
				return err
			}
			for _, p := range policies {
				refs = append(refs, p.Ref())
			}
		}
		return c.Delete(ctx, refs)
	})
}

// Replace makes the policies of the YAML, which may be none, the only ones of the
// lab, as one change. It is for what the lab itself brings: the policies that an
// exercise begins with.
func (m *Manager) Replace(ctx context.Context, owner string, id ID, src []byte) (PolicyChange, error) {
	arrived := time.Now()
	in, err := m.find(owner, id)
	if err != nil {
		return PolicyChange{}, err
	}
	var policies []policy.Policy
	if len(bytes.TrimSpace(src)) > 0 {
		if policies, err = policy.Parse(src, policy.ParseOptions{Namespaces: in.topology.NamespaceNames()}); err != nil {
			return PolicyChange{}, err
		}
	}
	return m.changePolicies(ctx, in, arrived, func(ctx context.Context, c Cluster) error {
		old, err := c.Policies(ctx)
		if err != nil {
			return err
		}
		keep := map[PolicyRef]bool{}
		for _, p := range policies {
			keep[p.Ref()] = true
		}
		var gone []PolicyRef
		for _, p := range old {
			if ref := p.Ref(); !keep[ref] {
				gone = append(gone, ref)
			}
		}
		// Applied first, so that nothing is open in between that is to stay closed.
		if len(policies) > 0 {
			if err := c.Apply(ctx, policies); err != nil {
				return err
			}
		}
		if len(gone) == 0 {
			return nil
		}
		return c.Delete(ctx, gone)
	})
}

// changePolicies carries out one change. The burst of probes starts before the
// policies are read back, for what the learner waits for are the flows.
func (m *Manager) changePolicies(ctx context.Context, in *instance, arrived time.Time, do func(context.Context, Cluster) error) (PolicyChange, error) {
	select {
	case <-in.turn:
		defer func() { in.turn <- struct{}{} }()
	case <-ctx.Done():
		return PolicyChange{}, fmt.Errorf("sandbox %s: %w", in.id, ctx.Err())
	}
	in.touch()
	in.mu.Lock()
	cluster, observer := in.cluster, in.observer
	in.mu.Unlock()
	if cluster == nil {
		return PolicyChange{}, fmt.Errorf("sandbox %s is %s: %w", in.id, in.feed.state(), ErrNotReady)
	}
	// A change that has begun is carried through, whether the one who asked
	// still waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	// An error does not prove that nothing has changed, so it is looked at all
	// the same; but not where the cluster refused the input.
	err := do(ctx, cluster)
	var refused *policy.Error
	if errors.As(err, &refused) {
		return PolicyChange{}, err
	}
	number := in.feed.change() + 1
	observer.changed(change{number: number, arrived: arrived, answered: time.Now()})
	applied, listErr := appliedPolicies(ctx, cluster)
	if listErr == nil {
		in.feed.emit(Event{Type: EventPolicies, Policies: &PolicyChange{Change: number, Policies: applied}})
	}
	if err = errors.Join(err, listErr); err != nil {
		return PolicyChange{}, fmt.Errorf("sandbox %s: %w", in.id, err)
	}
	return PolicyChange{Change: number, Policies: applied}, nil
}

// changeTimeout is how long the cluster may take to accept a change.
const changeTimeout = 20 * time.Second

func appliedPolicies(ctx context.Context, c Cluster) ([]AppliedPolicy, error) {
	policies, err := c.Policies(ctx)
	if err != nil {
		return nil, err
	}
	applied := make([]AppliedPolicy, len(policies))
	for i, p := range policies {
		applied[i] = AppliedPolicy{PolicyRef: p.Ref(), YAML: p.Source}
	}
	return applied, nil
}

// connect makes the cluster the one that the sandbox's changes go to.
func (in *instance) connect(c Cluster, pace Pace) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.cluster, in.observer = c, newObserver(c, in.feed, in.flows, pace)
}

func (in *instance) touch() {
	in.mu.Lock()
	in.touched = time.Now()
	in.mu.Unlock()
}

// recover goes through what an earlier process has written down and through
// what is on the machine, and makes them agree.
func (m *Manager) recover() error {
	records, err := m.opts.Records.All()
	if err != nil {
		return err
	}
	// Nobody could use what is on the machine while the provider is out of
	// order; what is missing is said where a sandbox is asked for.
	listed, err := m.opts.Provider.List(m.ctx)
	if err != nil {
		m.opts.Log.Warn("sandboxes of an earlier run not looked for", "error", err)
		return nil
	}
	present := map[ID]bool{}
	for _, id := range listed {
		present[id] = true
	}
	sort.Slice(records, func(i, j int) bool { return records[i].Created.Before(records[j].Created) })
	for _, rec := range records {
		lab, known := m.opts.Labs[rec.Lab]
		// Numbers from before the restart must not be taken for ones of this
		// log, so it starts well above them.
		seq := time.Now().UnixMilli()
		switch {
		case !known || rec.State == Stopping || rec.State == Stopped:
			if err := m.opts.Records.Delete(rec.ID); err != nil {
				return err
			}
			continue // and what is left of it is deleted below
		case rec.State == Ready && present[rec.ID]:
			delete(present, rec.ID)
			in := m.newInstance(rec, lab, seq)
			m.instances[in.id] = in
			in.background.Add(1)
			m.work.Go(func() {
				defer in.background.Done()
				m.adopt(in)
			})
			continue
		case rec.State == Ready:
			rec.State, rec.Reason = Failed, reasonGone
		case rec.State == Queued || rec.State == Creating:
			rec.State, rec.Reason = Failed, reasonRestarted
		}
		in := m.newInstance(rec, lab, seq)
		m.instances[in.id] = in
		if err := m.save(in); err != nil {
			return err
		}
	}
	for id := range present {
		m.opts.Log.Info("removing what an earlier run has left", "sandbox", id)
		m.work.Go(func() { m.remove(&instance{id: id}) })
	}
	return nil
}

// adopt takes over the running sandbox of an earlier process.
func (m *Manager) adopt(in *instance) {
	ctx, cancel := context.WithTimeout(in.ctx, m.opts.CreateTimeout)
	defer cancel()
	cluster, err := m.opts.Provider.Adopt(ctx, Spec{ID: in.id, Topology: in.topology})
	if err != nil {
		if in.ctx.Err() != nil {
			return // still running, for the next process
		}
		m.opts.Log.Error("sandbox not adopted", "sandbox", in.id, "error", err)
		if m.become(in, Failed, reasonGone) {
			m.remove(in)
		}
		return
	}
	m.opts.Log.Info("sandbox adopted", "sandbox", in.id)
	if applied, err := appliedPolicies(ctx, cluster); err == nil {
		in.feed.emit(Event{Type: EventPolicies, Policies: &PolicyChange{Change: in.feed.change(), Policies: applied}})
	}
	in.connect(cluster, m.opts.Pace)
	m.observe(in, cluster)
}

// janitor stops the sandboxes that nobody uses or that are too old.
func (m *Manager) janitor() {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		m.mu.Lock()
		all := make([]*instance, 0, len(m.instances))
		for _, in := range m.instances {
			all = append(all, in)
		}
		m.mu.Unlock()
		for _, in := range all {
			if in.feed.watcherCount() > 0 {
				in.touch()
			}
			in.mu.Lock()
			idle := time.Since(in.touched)
			in.mu.Unlock()
			switch age := time.Since(in.created); {
			case age > m.opts.MaxAge:
				m.stop(in, fmt.Sprintf("Sandboxes live %s at most. Press Start for a new one; your YAML stays in the editor.", m.opts.MaxAge))
			case idle > m.opts.Idle:
				m.stop(in, fmt.Sprintf("Nobody has used this sandbox for %s. Press Start for a new one; your YAML stays in the editor.", m.opts.Idle))
			}
		}
	}
}

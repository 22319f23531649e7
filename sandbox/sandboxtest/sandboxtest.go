// Package sandboxtest says what every provider must do, and has one that can be made
// to fail in one known way each, for tests of what stands above providers.
package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Provider makes Clusters in memory. The zero value works at once, and as
// [TestProvider] demands; the constructors make ones that do not.
type Provider struct {
	create func(ctx context.Context) error

	// Reaction is how long a cluster takes to carry out a policy that its API
	// has accepted.
	Reaction time.Duration
	// AtOnce tells what is blocked without waiting for the probe's timeout.
	AtOnce bool

	// BootTime, LayTime and WakeTime are how long these take, Removal how long it takes to
	// delete a cluster.
	BootTime, LayTime, WakeTime, Removal time.Duration

	check func(ctx context.Context) error

	mu       sync.Mutex
	trouble  trouble
	checked  int
	swept    int
	most     int
	making   map[sandbox.ClusterID]bool
	clusters map[sandbox.ClusterID]*Cluster
	deleted  []sandbox.ClusterID
}

// Slow boots a cluster only once gate is closed.
func Slow(gate <-chan struct{}) *Provider {
	return &Provider{create: func(ctx context.Context) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// Never is never done booting.
func Never() *Provider { return Slow(nil) }

// FailsOnBoot fails in the second step with the error.
func FailsOnBoot(err error) *Provider {
	return &Provider{create: func(context.Context) error { return err }}
}

// HangsOnCheck answers a Check only when that is given up.
func HangsOnCheck() *Provider {
	return &Provider{check: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

// Name is "fake".
func (p *Provider) Name() string { return "fake" }

// Checked is how often Check was called.
func (p *Provider) Checked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.checked
}

// Check fails as FailCheck says, and like all that takes a context where that has ended.
func (p *Provider) Check(ctx context.Context) error {
	p.mu.Lock()
	missing := p.trouble.check
	p.checked++
	p.mu.Unlock()
	if p.check != nil {
		return p.check(ctx)
	}
	return errors.Join(missing, ctx.Err())
}

// Steps are two, and one.
func (p *Provider) Steps() sandbox.Steps {
	return sandbox.Steps{Boot: sandbox.Names(p.booting()), Lay: sandbox.Names((*Cluster)(nil).laying())}
}

func (p *Provider) booting() []sandbox.Action {
	return []sandbox.Action{
		{Name: "Start the node", Do: func(context.Context) error { return nil }},
		{Name: "Start the network", Do: func(ctx context.Context) error {
			if p.create != nil {
				if err := p.create(ctx); err != nil {
					return err
				}
			}
			return wait(ctx, p.BootTime)
		}},
	}
}

// wait lets the time pass, unless ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Boot goes through its two steps.
func (p *Provider) Boot(ctx context.Context, id sandbox.ClusterID, progress sandbox.Progress) (sandbox.Booted, error) {
	if p.Cluster(id) != nil {
		return nil, fmt.Errorf("boot cluster %s: it exists", id)
	}
	defer p.make(id)()
	if _, err := sandbox.Run(ctx, p.booting(), progress); err != nil {
		return nil, err
	}
	return p.add(id), nil
}

func (p *Provider) add(id sandbox.ClusterID) *Cluster {
	c := &Cluster{provider: p, changed: make(chan struct{}), reaction: p.Reaction, atOnce: p.AtOnce}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clusters == nil {
		p.clusters = map[sandbox.ClusterID]*Cluster{}
	}
	p.clusters[id] = c
	p.count()
	return c
}

// Leave puts a cluster on the machine as an earlier process would have left it. What is
// laid in it is what is asked for first.
func (p *Provider) Leave(id sandbox.ClusterID) *Cluster {
	c := p.add(id)
	c.left = true
	return c
}

// Adopt finds the cluster again, and wakes it.
func (p *Provider) Adopt(_ context.Context, id sandbox.ClusterID) (sandbox.Booted, error) {
	if err := p.troubles().adopt; err != nil {
		return nil, err
	}
	c := p.Cluster(id)
	if c == nil {
		return nil, sandbox.ErrGone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thaw()
	return c, nil
}

// Delete forgets the cluster, after the time that this takes.
func (p *Provider) Delete(ctx context.Context, id sandbox.ClusterID) error {
	if err := wait(ctx, p.Removal); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble.remove != nil {
		return p.trouble.remove
	}
	if c := p.clusters[id]; c != nil {
		c.LoseNode()
	}
	delete(p.clusters, id)
	p.deleted = append(p.deleted, id)
	return nil
}

// List names the clusters.
func (p *Provider) List(context.Context) ([]sandbox.ClusterID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble.list != nil {
		return nil, p.trouble.list
	}
	var ids []sandbox.ClusterID
	for id := range p.clusters {
		ids = append(ids, id)
	}
	return ids, nil
}

// Sweep counts; there is nothing beside the clusters.
func (p *Provider) Sweep(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swept++
	return nil
}

// Swept is how often Sweep was called.
func (p *Provider) Swept() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.swept
}

// Cluster is the cluster of that ID, or nil.
func (p *Provider) Cluster(id sandbox.ClusterID) *Cluster {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clusters[id]
}

// Deleted lists the clusters that were deleted, in order.
func (p *Provider) Deleted() []sandbox.ClusterID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sandbox.ClusterID(nil), p.deleted...)
}

// Cluster is a booted cluster, and what is laid in it, which answers as the policies
// say that were applied to it.
type Cluster struct {
	provider *Provider
	reaction time.Duration
	atOnce   bool

	mu sync.Mutex
	// left says that an earlier process has laid something, paused that nothing answers
	// until thawed is closed.
	left     bool
	paused   bool
	thawed   chan struct{}
	topology *sandbox.Topology // nil where nothing is laid
	policies map[sandbox.PolicyRef]policy.Policy
	// enforced are the policies that are carried out: those of the change of that
	// number. It is nil before the first.
	enforced  *sandbox.Predictor
	change    int
	carried   int
	lost      bool
	disturbed error
	flaky     map[string]int // flow -> how many probes to answer wrongly
	probed    int
	closed    bool
	refuse    error
	shell     *Shell // the last one
	// changed is closed when the policies change, and then replaced.
	changed chan struct{}
}

var (
	_ sandbox.Booted  = (*Cluster)(nil)
	_ sandbox.Cluster = (*Cluster)(nil)
)

func (c *Cluster) laying() []sandbox.Action {
	return []sandbox.Action{{Name: "Start the pods", Do: func(ctx context.Context) error {
		if err := c.Clear(ctx); err != nil {
			return err
		}
		if err := c.provider.troubles().lay; err != nil {
			return err
		}
		return wait(ctx, c.provider.LayTime)
	}}}
}

// Lay lays the topology in the place of what is laid.
func (c *Cluster) Lay(ctx context.Context, t *sandbox.Topology, progress sandbox.Progress) (sandbox.Cluster, error) {
	if _, err := sandbox.Run(ctx, c.laying(), progress); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topology, c.closed = t, false
	return c, nil
}

// Laid is the cluster where the topology is laid in it.
func (c *Cluster) Laid(_ context.Context, t *sandbox.Topology) (sandbox.Cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left && c.topology == nil {
		c.topology = t
	}
	if c.topology == nil || !reflect.DeepEqual(c.topology, t) {
		return nil, sandbox.ErrNotLaid
	}
	c.closed = false
	return c, nil
}

// Clear takes away what is laid, with its policies.
func (c *Cluster) Clear(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return fmt.Errorf("node container: %w", sandbox.ErrGone)
	}
	c.topology, c.left, c.policies, c.enforced, c.carried = nil, false, nil, nil, c.change
	return nil
}

// Pause lets nothing answer.
func (c *Cluster) Pause(context.Context) error {
	if err := c.provider.troubles().pause; err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return fmt.Errorf("node container: %w", sandbox.ErrGone)
	}
	if !c.paused {
		c.paused, c.thawed = true, make(chan struct{})
	}
	return nil
}

// Wake lets everything answer again.
func (c *Cluster) Wake(ctx context.Context) error {
	if err := c.provider.troubles().wake; err != nil {
		return err
	}
	if err := wait(ctx, c.provider.WakeTime); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return fmt.Errorf("node container: %w", sandbox.ErrGone)
	}
	c.thaw()
	return nil
}

// thaw needs c.mu.
func (c *Cluster) thaw() {
	if c.paused {
		c.paused = false
		close(c.thawed)
	}
}

// Paused reports whether the cluster is.
func (c *Cluster) Paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

// awake waits while the cluster is paused, and then holds c.mu; where ctx ends first it
// does not.
func (c *Cluster) awake(ctx context.Context) error {
	for {
		c.mu.Lock()
		if !c.paused || c.lost {
			return nil
		}
		thawed := c.thawed
		c.mu.Unlock()
		select {
		case <-thawed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// LoseNode makes the cluster vanish, as when its container is killed.
func (c *Cluster) LoseNode() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
	c.thaw()
}

// Disturb makes Health fail with the error, or pass again where it is nil.
func (c *Cluster) Disturb(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disturbed = err
}

// Refuse makes Apply fail with the error.
func (c *Cluster) Refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

// Lie makes the next n probes of a flow say blocked where it is open.
func (c *Cluster) Lie(flow string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flaky == nil {
		c.flaky = map[string]int{}
	}
	c.flaky[flow] = n
}

// Probed is how many flows have been probed so far.
func (c *Cluster) Probed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.probed
}

// Closed reports whether the cluster was let go of.
func (c *Cluster) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Apply stores the policies; they take effect after the reaction time.
func (c *Cluster) Apply(ctx context.Context, policies []policy.Policy) error {
	if err := c.awake(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if c.refuse != nil {
		return c.refuse
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	problems := c.topology.Foreign(policies)
	for _, p := range policies {
		problems = append(problems, policy.Validate(p)...)
	}
	if len(problems) > 0 {
		return &policy.Error{Problems: problems}
	}
	for _, p := range policies {
		if p.Source == "" {
			p.Source = policy.YAML(p.NetworkPolicy)
		}
		if c.policies == nil {
			c.policies = map[sandbox.PolicyRef]policy.Policy{}
		}
		c.policies[p.Ref()] = p
	}
	return c.enforceLater()
}

// Delete removes the policies; that takes effect after the reaction time.
func (c *Cluster) Delete(ctx context.Context, refs []sandbox.PolicyRef) error {
	if err := c.awake(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, r := range refs {
		delete(c.policies, r)
	}
	return c.enforceLater()
}

func (c *Cluster) enforceLater() error {
	if c.topology == nil {
		return fmt.Errorf("nothing is laid in the cluster: %w", sandbox.ErrGone)
	}
	next, err := sandbox.NewPredictor(c.topology, c.topology.PlannedAddresses(), c.list())
	if err != nil {
		return err
	}
	c.change++
	change := c.change
	close(c.changed)
	c.changed = make(chan struct{})
	time.AfterFunc(c.reaction, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if change > c.carried { // Two of one moment may come in any order.
			c.enforced, c.carried = next, change
		}
	})
	return nil
}

// WatchPolicies tells of every change.
func (c *Cluster) WatchPolicies(ctx context.Context, changed func()) {
	for {
		c.mu.Lock()
		next := c.changed
		c.mu.Unlock()
		changed()
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// Addresses are the planned ones.
func (c *Cluster) Addresses() sandbox.Addresses {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topology == nil {
		return sandbox.Addresses{}
	}
	return c.topology.PlannedAddresses()
}

// Policies lists what was applied.
func (c *Cluster) Policies(ctx context.Context) ([]policy.Policy, error) {
	if err := c.awake(ctx); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	return c.list(), nil
}

func (c *Cluster) list() []policy.Policy {
	var out []policy.Policy
	for _, p := range c.policies {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b policy.Policy) int { return a.Ref().Compare(b.Ref()) })
	return out
}

// Probe answers as the policies say: blocked flows after the timeout, open ones
// after a third of a millisecond.
func (c *Cluster) Probe(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	var wg sync.WaitGroup
	for _, f := range flows {
		wg.Go(func() {
			if c.awake(ctx) != nil {
				return
			}
			c.probed++
			obs, wait := c.answer(f), 333*time.Microsecond
			if (obs.Verdict == probe.Blocked || obs.Verdict == probe.DNSFailed) && !c.atOnce {
				wait = timeout
			}
			c.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(wait):
				report(obs)
			}
		})
	}
	wg.Wait()
}

// Peek leaves out what is not open.
func (c *Cluster) Peek(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.Probe(ctx, flows, timeout, func(o sandbox.Observation) {
		if o.Verdict != probe.Blocked && o.Verdict != probe.DNSFailed {
			report(o)
		}
	})
}

// answer is what a probe of the flow sees.
func (c *Cluster) answer(f sandbox.Flow) sandbox.Observation {
	seen := sandbox.Observation{Flow: f.ID, Verdict: probe.Open}
	if c.lost || c.topology == nil {
		seen.Verdict, seen.Detail = probe.Unknown, "the connection to the pod's probe is lost"
		return seen
	}
	enforced := c.enforced
	if enforced == nil {
		var err error
		if enforced, err = sandbox.NewPredictor(c.topology, c.topology.PlannedAddresses(), nil); err != nil {
			seen.Verdict, seen.Detail = probe.Unknown, err.Error()
			return seen
		}
		c.enforced = enforced
	}
	verdict, err := enforced.Verdict(f)
	switch {
	case err != nil:
		seen.Verdict, seen.Detail = probe.Unknown, err.Error()
		return seen
	case c.flaky[f.ID] > 0:
		c.flaky[f.ID]--
		verdict = probe.Blocked
	}
	switch seen.Verdict = verdict; verdict {
	case probe.Open:
		seen.LatencyMicros = 333
		if f.Via != sandbox.ViaDNS {
			seen.Server = f.To
		}
	case probe.DNSFailed:
		seen.Detail = "no answer from the DNS service"
	}
	return seen
}

// Health fails as LoseNode and Disturb say.
func (c *Cluster) Health(ctx context.Context) error {
	if err := c.awake(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if c.lost {
		return fmt.Errorf("node container: %w", sandbox.ErrGone)
	}
	return c.disturbed
}

// Close notes that it was called.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// Wrapping is a provider in whose place everything that is laid is another.
type Wrapping struct {
	sandbox.Provider
	Wrap func(sandbox.Cluster) sandbox.Cluster
}

// Boot boots a cluster of the provider's.
func (p Wrapping) Boot(ctx context.Context, id sandbox.ClusterID, progress sandbox.Progress) (sandbox.Booted, error) {
	b, err := p.Provider.Boot(ctx, id, progress)
	return wrappingBooted{b, p.Wrap}, err
}

// Adopt takes over a cluster of the provider's.
func (p Wrapping) Adopt(ctx context.Context, id sandbox.ClusterID) (sandbox.Booted, error) {
	b, err := p.Provider.Adopt(ctx, id)
	return wrappingBooted{b, p.Wrap}, err
}

type wrappingBooted struct {
	sandbox.Booted
	wrap func(sandbox.Cluster) sandbox.Cluster
}

func (b wrappingBooted) Lay(ctx context.Context, t *sandbox.Topology, progress sandbox.Progress) (sandbox.Cluster, error) {
	c, err := b.Booted.Lay(ctx, t, progress)
	if err != nil {
		return nil, err
	}
	return b.wrap(c), nil
}

func (b wrappingBooted) Laid(ctx context.Context, t *sandbox.Topology) (sandbox.Cluster, error) {
	c, err := b.Booted.Laid(ctx, t)
	if err != nil {
		return nil, err
	}
	return b.wrap(c), nil
}

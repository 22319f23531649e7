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

	// Removal is how long it takes to delete a cluster.
	Removal time.Duration

	check func(ctx context.Context) error

	mu       sync.Mutex
	trouble  trouble
	checked  int
	most     int
	making   map[sandbox.ID]bool
	clusters map[sandbox.ID]*Cluster
	deleted  []sandbox.ID
}

// Slow creates a sandbox only once gate is closed.
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

// Never is never done creating.
func Never() *Provider { return Slow(nil) }

// FailsOnCreate fails in the second step with the error.
func FailsOnCreate(err error) *Provider {
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

// Steps are two.
func (p *Provider) Steps() []string { return []string{"Start the node", "Start the pods"} }

// Create goes through the two steps.
func (p *Provider) Create(ctx context.Context, spec sandbox.Spec, progress sandbox.Progress) (sandbox.Cluster, error) {
	if progress == nil {
		progress = func(sandbox.Step) {}
	}
	step := func(i int, status sandbox.StepStatus) {
		progress(sandbox.Step{Index: i, Total: 2, Name: p.Steps()[i-1], Status: status})
	}
	if p.Cluster(spec.ID) != nil {
		return nil, fmt.Errorf("create sandbox %s: it exists", spec.ID)
	}
	defer p.make(spec.ID)()
	step(1, sandbox.StepRunning)
	step(1, sandbox.StepDone)
	step(2, sandbox.StepRunning)
	var err error
	if p.create != nil {
		err = p.create(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		step(2, sandbox.StepFailed)
		return nil, err
	}
	step(2, sandbox.StepDone)
	return p.add(spec), nil
}

func (p *Provider) add(spec sandbox.Spec) *Cluster {
	c := &Cluster{changed: make(chan struct{}), topology: spec.Topology, reaction: p.Reaction, atOnce: p.AtOnce, policies: map[sandbox.PolicyRef]policy.Policy{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clusters == nil {
		p.clusters = map[sandbox.ID]*Cluster{}
	}
	p.clusters[spec.ID] = c
	p.count()
	return c
}

// Leave puts a sandbox on the machine as an earlier process would have left it. Its
// topology is that which it is adopted with.
func (p *Provider) Leave(id sandbox.ID) *Cluster { return p.add(sandbox.Spec{ID: id}) }

// Adopt finds the cluster again.
func (p *Provider) Adopt(_ context.Context, spec sandbox.Spec) (sandbox.Cluster, error) {
	if err := p.troubles().adopt; err != nil {
		return nil, err
	}
	c := p.Cluster(spec.ID)
	if c == nil || !c.isOf(spec.Topology) {
		return nil, sandbox.ErrGone
	}
	return c, nil
}

// Delete forgets the cluster, after the time that this takes.
func (p *Provider) Delete(ctx context.Context, id sandbox.ID) error {
	if p.Removal > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(p.Removal):
		}
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
func (p *Provider) List(context.Context) ([]sandbox.ID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble.list != nil {
		return nil, p.trouble.list
	}
	var ids []sandbox.ID
	for id := range p.clusters {
		ids = append(ids, id)
	}
	return ids, nil
}

// Cluster is the sandbox's cluster, or nil.
func (p *Provider) Cluster(id sandbox.ID) *Cluster {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clusters[id]
}

// Deleted lists the sandboxes that were deleted, in order.
func (p *Provider) Deleted() []sandbox.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sandbox.ID(nil), p.deleted...)
}

// Cluster answers as the policies say that were applied to it.
type Cluster struct {
	reaction time.Duration
	atOnce   bool

	mu       sync.Mutex
	topology *sandbox.Topology
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

// LoseNode makes the cluster vanish, as when its container is killed.
func (c *Cluster) LoseNode() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
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

// isOf reports whether the cluster was made for the topology; one that was left takes
// the topology that it is asked about.
func (c *Cluster) isOf(t *sandbox.Topology) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topology == nil {
		c.topology = t
	}
	return reflect.DeepEqual(c.topology, t)
}

// Apply stores the policies; they take effect after the reaction time.
func (c *Cluster) Apply(ctx context.Context, policies []policy.Policy) error {
	c.mu.Lock()
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
		c.policies[p.Ref()] = p
	}
	return c.enforceLater()
}

// Delete removes the policies; that takes effect after the reaction time.
func (c *Cluster) Delete(ctx context.Context, refs []sandbox.PolicyRef) error {
	c.mu.Lock()
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
		return fmt.Errorf("the cluster was left by another process and not adopted: %w", sandbox.ErrGone)
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
	return c.topology.PlannedAddresses()
}

// Policies lists what was applied.
func (c *Cluster) Policies(context.Context) ([]policy.Policy, error) {
	c.mu.Lock()
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
			c.mu.Lock()
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

// answer is what a probe of the flow sees.
func (c *Cluster) answer(f sandbox.Flow) sandbox.Observation {
	seen := sandbox.Observation{Flow: f.ID, Verdict: probe.Open}
	if c.lost {
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
func (c *Cluster) Health(context.Context) error {
	c.mu.Lock()
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

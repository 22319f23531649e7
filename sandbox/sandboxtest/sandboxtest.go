// Package sandboxtest has providers and clusters that behave in one known way
// each, for tests of what stands above them.
package sandboxtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Provider makes Clusters in memory. The zero value works at once; the
// constructors make ones that do not.
type Provider struct {
	create func(ctx context.Context) error

	// Missing is what Check answers.
	Missing error
	// Reaction is how long a cluster takes to carry out a policy that its API
	// has accepted.
	Reaction time.Duration

	mu       sync.Mutex
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

// Name is "fake".
func (p *Provider) Name() string { return "fake" }

// Check answers Missing.
func (p *Provider) Check(context.Context) error { return p.Missing }

// Steps are two.
func (p *Provider) Steps() []string { return []string{"Start the node", "Start the pods"} }

// Create goes through the two steps.
func (p *Provider) Create(ctx context.Context, spec sandbox.Spec, progress sandbox.Progress) (sandbox.Cluster, error) {
	step := func(i int, status sandbox.StepStatus) {
		progress(sandbox.Step{Index: i, Total: 2, Name: p.Steps()[i-1], Status: status})
	}
	step(1, sandbox.StepRunning)
	step(1, sandbox.StepDone)
	step(2, sandbox.StepRunning)
	if p.create != nil {
		if err := p.create(ctx); err != nil {
			step(2, sandbox.StepFailed)
			return nil, err
		}
	}
	step(2, sandbox.StepDone)
	return p.add(spec), nil
}

func (p *Provider) add(spec sandbox.Spec) *Cluster {
	c := &Cluster{reaction: p.Reaction, topology: spec.Topology, policies: map[sandbox.PolicyRef]policy.Policy{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clusters == nil {
		p.clusters = map[sandbox.ID]*Cluster{}
	}
	p.clusters[spec.ID] = c
	return c
}

// Leave puts a sandbox on the machine as an earlier process would have left it.
func (p *Provider) Leave(id sandbox.ID) *Cluster { return p.add(sandbox.Spec{ID: id}) }

// Adopt finds the cluster again.
func (p *Provider) Adopt(_ context.Context, spec sandbox.Spec) (sandbox.Cluster, error) {
	if c := p.Cluster(spec.ID); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.topology = spec.Topology
		return c, nil
	}
	return nil, sandbox.ErrGone
}

// Delete forgets the cluster.
func (p *Provider) Delete(_ context.Context, id sandbox.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.clusters, id)
	p.deleted = append(p.deleted, id)
	return nil
}

// List names the clusters.
func (p *Provider) List(context.Context) ([]sandbox.ID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
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

// Cluster carries its policies out as the evaluator says, unless it is told to lie.
type Cluster struct {
	reaction time.Duration

	mu        sync.Mutex
	topology  *sandbox.Topology
	policies  map[sandbox.PolicyRef]policy.Policy
	enforced  *sandbox.Predictor // nil where no policy is
	lost      bool
	disturbed error
	flaky     map[string]int // flow -> how many probes to answer wrongly
	probed    int
	closed    bool
	refuse    error
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

// Apply stores the policies; they take effect after the reaction time.
func (c *Cluster) Apply(_ context.Context, policies []policy.Policy) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return c.refuse
	}
	for _, p := range policies {
		c.policies[p.Ref()] = p
	}
	return c.enforceLater()
}

// Delete removes the policies; that takes effect after the reaction time.
func (c *Cluster) Delete(_ context.Context, refs []sandbox.PolicyRef) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range refs {
		delete(c.policies, r)
	}
	return c.enforceLater()
}

func (c *Cluster) enforceLater() error {
	now, err := sandbox.NewPredictor(c.topology, c.topology.PlannedAddresses(), slices.Collect(maps.Values(c.policies)))
	if err != nil {
		return err
	}
	time.AfterFunc(c.reaction, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.enforced = now
	})
	return nil
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
	var out []policy.Policy
	for _, p := range c.policies {
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Namespace+"/"+out[i].Name < out[j].Namespace+"/"+out[j].Name })
	return out, nil
}

// Probe answers as the policies say: blocked flows after the timeout, open ones
// after a third of a millisecond.
func (c *Cluster) Probe(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	var wg sync.WaitGroup
	for _, f := range flows {
		wg.Go(func() {
			c.mu.Lock()
			c.probed++
			obs := sandbox.Observation{Flow: f.ID, Verdict: probe.Open, LatencyMicros: 333, Server: f.To}
			wait := 333 * time.Microsecond
			verdict, err := probe.Open, error(nil)
			if c.enforced != nil {
				verdict, err = c.enforced.Verdict(f)
			}
			switch {
			case c.lost:
				obs = sandbox.Observation{Flow: f.ID, Verdict: probe.Unknown, Detail: "the connection to the pod's probe is lost"}
			case err != nil:
				obs = sandbox.Observation{Flow: f.ID, Verdict: probe.Unknown, Detail: err.Error()}
			case c.flaky[f.ID] > 0:
				c.flaky[f.ID]--
				verdict = probe.Blocked
				fallthrough
			case verdict != probe.Open:
				obs = sandbox.Observation{Flow: f.ID, Verdict: verdict}
				if verdict == probe.DNSFailed {
					obs.Detail = "no answer from the DNS service"
				}
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

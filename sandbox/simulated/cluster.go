package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// cluster is one simulated cluster, and what is laid in it. It is a [sandbox.Booted] and a
// [sandbox.Cluster].
type cluster struct {
	path string

	// changing is held while something is changed, worked out and written down, and mu for
	// the moment in which it becomes what is: who only looks waits for no disk. Both are
	// held to write what follows, so either is enough to read it. changing is taken first.
	changing sync.Mutex
	mu       sync.RWMutex
	// left is what an earlier process has laid, until that is taken up.
	left     *file
	topology *sandbox.Topology // nil where nothing is laid
	ended    bool
	// unkept says that what is laid is not proven yet, and not written down.
	unkept   bool
	policies []policy.Policy // Sorted by namespace and name; never changed, only replaced.
	network  *sandbox.Predictor
	// changed is closed when the policies change, and then replaced.
	changed chan struct{}
}

var (
	_ sandbox.Booted  = (*cluster)(nil)
	_ sandbox.Cluster = (*cluster)(nil)
)

// booting are the steps of a boot.
func (c *cluster) booting() []sandbox.Action {
	return []sandbox.Action{
		{Name: "Start the simulated cluster", Do: func(context.Context) error { return c.change(nil, nil) }},
	}
}

// laying are the steps of a Lay of the topology.
func (c *cluster) laying(t *sandbox.Topology) []sandbox.Action {
	return []sandbox.Action{
		{Name: "Lay out its network", Do: func(context.Context) error { return c.begin(t) }},
		{Name: "Prove that policies are enforced in it", Do: func(ctx context.Context) error {
			if err := sandbox.ProveEnforced(ctx, c, t, proofLimit); err != nil {
				return err
			}
			return c.keep()
		}},
	}
}

// Lay lays the topology, and proves that policies are carried out on it.
func (c *cluster) Lay(ctx context.Context, t *sandbox.Topology, progress sandbox.Progress) (sandbox.Cluster, error) {
	_, err := sandbox.Run(ctx, c.laying(t), progress)
	if err == nil {
		return c, nil
	}
	return nil, failed(ctx, "lay "+t.Name, err, c.Clear(context.WithoutCancel(ctx)))
}

// Laid takes up the topology where it is what is laid, with its policies.
func (c *cluster) Laid(_ context.Context, t *sandbox.Topology) (sandbox.Cluster, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	switch {
	case c.left == nil && c.topology != nil && topologyHash(c.topology) == topologyHash(t):
		return c, nil
	case c.left == nil || c.left.Topology != topologyHash(t):
		return nil, fmt.Errorf("simulated: %w", sandbox.ErrNotLaid)
	}
	var policies []policy.Policy
	for _, text := range c.left.Policies {
		read, err := policy.Parse([]byte(text), policy.ParseOptions{Namespaces: t.NamespaceNames()})
		if err != nil {
			return nil, fmt.Errorf("simulated: %w", broken(c.path, err))
		}
		for _, one := range read {
			policies = append(policies, stored(one))
		}
	}
	return c, c.changeLocked(t, policies, c.unkept)
}

// Clear takes away what is laid.
func (c *cluster) Clear(context.Context) error { return c.change(nil, nil) }

// begin lays the topology without writing that down.
func (c *cluster) begin(t *sandbox.Topology) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	return c.changeLocked(t, nil, true)
}

// keep writes down what is laid: from now on it outlives the process.
func (c *cluster) keep() error {
	c.changing.Lock()
	defer c.changing.Unlock()
	return c.changeLocked(c.topology, c.policies, false)
}

// Pause has nothing to do: a cluster that nobody asks does nothing.
func (c *cluster) Pause(context.Context) error { return c.there() }

// Wake fails with [sandbox.ErrGone] where the cluster has been removed.
func (c *cluster) Wake(context.Context) error { return c.there() }

// Apply validates the policies and puts them in force, all or none.
func (c *cluster) Apply(ctx context.Context, policies []policy.Policy) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("simulated: apply policies: %w", err)
	}
	c.mu.RLock()
	t := c.topology
	c.mu.RUnlock()
	if t == nil {
		return fmt.Errorf("simulated: apply policies: %w", sandbox.ErrNotLaid)
	}
	problems := t.Foreign(policies)
	for _, p := range policies {
		problems = append(problems, policy.Validate(p)...)
	}
	if len(problems) > 0 {
		return &policy.Error{Problems: problems}
	}
	added := make([]policy.Policy, len(policies))
	for i, p := range policies {
		added[i] = stored(p)
	}
	return c.changePolicies(func(old []policy.Policy) []policy.Policy {
		kept := slices.DeleteFunc(old, func(o policy.Policy) bool {
			return slices.ContainsFunc(added, func(n policy.Policy) bool { return n.Ref() == o.Ref() })
		})
		return append(kept, added...)
	})
}

// stored is the policy as the cluster keeps it: what its writer wrote, and YAML
// in any case, for that is what is written down. What has no bearing on flows is in
// the text alone.
func stored(p policy.Policy) policy.Policy {
	if p.Source == "" {
		p.Source = policy.YAML(p.NetworkPolicy)
	}
	return policy.Policy{
		NetworkPolicy: networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Spec: p.Spec},
		Source:        p.Source,
		Line:          1,
	}
}

// Delete removes the named policies; one that is not there is no error.
func (c *cluster) Delete(ctx context.Context, refs []sandbox.PolicyRef) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("simulated: delete policies: %w", err)
	}
	return c.changePolicies(func(old []policy.Policy) []policy.Policy {
		return slices.DeleteFunc(old, func(p policy.Policy) bool { return slices.Contains(refs, p.Ref()) })
	})
}

// changePolicies puts in force what next makes of a copy of the policies that are.
func (c *cluster) changePolicies(next func([]policy.Policy) []policy.Policy) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	return c.changeLocked(c.topology, next(slices.Clone(c.policies)), c.unkept)
}

// change lays the topology, or where it is nil none, with those policies.
func (c *cluster) change(t *sandbox.Topology, policies []policy.Policy) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	return c.changeLocked(t, policies, false)
}

// changeLocked changes nothing where it cannot be written down; unkept says that it is not
// to be. It needs c.changing.
func (c *cluster) changeLocked(t *sandbox.Topology, policies []policy.Policy, unkept bool) error {
	if c.ended {
		return fmt.Errorf("simulated: %w", sandbox.ErrGone)
	}
	f := file{Policies: []string{}}
	var network *sandbox.Predictor
	if t != nil {
		slices.SortFunc(policies, func(a, b policy.Policy) int { return a.Ref().Compare(b.Ref()) })
		var err error
		if network, err = sandbox.NewPredictor(t, t.PlannedAddresses(), policies); err != nil {
			return err
		}
		f.Topology = topologyHash(t)
		for _, p := range policies {
			f.Policies = append(f.Policies, p.Source)
		}
	}
	if !unkept {
		if err := c.write(f); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.topology, c.unkept, c.policies, c.network = nil, t, unkept, policies, network
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// write writes the file, all of it or nothing. Nobody waits until it is on the disk: a busy
// one takes longer for that than everything else together, and all that a power cut can do
// is to leave a broken file, of a sandbox that is then gone.
func (c *cluster) write(f file) error {
	src, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("simulated: %s: %w", c.path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("simulated: %w", err)
	}
	_, err = tmp.Write(append(src, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), c.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("simulated: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

// Policies lists the policies in force, sorted by namespace and name, each with
// its YAML as written.
func (c *cluster) Policies(context.Context) ([]policy.Policy, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.ended {
		return nil, fmt.Errorf("simulated: list policies: %w", sandbox.ErrGone)
	}
	return slices.Clone(c.policies), nil
}

// WatchPolicies tells of every change.
func (c *cluster) WatchPolicies(ctx context.Context, changed func()) {
	for {
		c.mu.RLock()
		next := c.changed
		c.mu.RUnlock()
		changed()
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// Addresses are the planned ones.
func (c *cluster) Addresses() sandbox.Addresses {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.topology == nil {
		return sandbox.Addresses{}
	}
	return c.topology.PlannedAddresses()
}

// Probe works every flow out at once; the timeout and the latencies of answers
// have no meaning here.
func (c *cluster) Probe(ctx context.Context, flows []sandbox.Flow, _ time.Duration, report func(sandbox.Observation)) {
	c.mu.RLock()
	network, ended := c.network, c.ended
	c.mu.RUnlock()
	for _, f := range flows {
		if ctx.Err() != nil {
			return
		}
		report(observe(network, ended, f))
	}
}

// Peek leaves out what is not open.
func (c *cluster) Peek(ctx context.Context, flows []sandbox.Flow, timeout time.Duration, report func(sandbox.Observation)) {
	c.Probe(ctx, flows, timeout, func(o sandbox.Observation) {
		if o.Verdict != probe.Blocked && o.Verdict != probe.DNSFailed {
			report(o)
		}
	})
}

func observe(network *sandbox.Predictor, ended bool, f sandbox.Flow) sandbox.Observation {
	o := sandbox.Observation{Flow: f.ID, Verdict: probe.Unknown}
	if ended || network == nil {
		o.Detail = "the simulated sandbox has been removed"
		return o
	}
	verdict, err := network.Verdict(f)
	if err != nil {
		o.Detail = err.Error()
		return o
	}
	o.Verdict = verdict
	switch {
	case verdict == probe.Open && !f.ToDNS():
		o.Server = f.To
	case verdict == probe.DNSFailed:
		o.Detail = "no answer from the DNS service"
	}
	return o
}

// Health fails with [sandbox.ErrGone] where the sandbox or its file has been
// removed.
func (c *cluster) Health(context.Context) error { return c.there() }

func (c *cluster) there() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.ended {
		return fmt.Errorf("simulated: %w", sandbox.ErrGone)
	}
	if _, err := os.Stat(c.path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("simulated: %w: %w", sandbox.ErrGone, err)
	} else if err != nil {
		return fmt.Errorf("simulated: %w", err)
	}
	return nil
}

// Close has nothing to let go of: the sandbox is its policies.
func (c *cluster) Close() error { return nil }

// end makes the cluster one that is gone.
func (c *cluster) end() {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.policies, c.network = true, nil, nil
}

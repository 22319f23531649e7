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

// cluster is one simulated sandbox. It is a [sandbox.Cluster].
type cluster struct {
	path     string
	topology *sandbox.Topology

	mu       sync.RWMutex
	kept     bool // It has its file, and changes are written there.
	ended    bool
	policies []policy.Policy // Sorted by namespace and name; never changed, only replaced.
	network  *sandbox.Predictor
	// changed is closed when the policies change, and then replaced.
	changed chan struct{}
}

var _ sandbox.Cluster = (*cluster)(nil)

// newCluster is a sandbox with the policies in force. It has no file yet.
func newCluster(path string, t *sandbox.Topology, policies []policy.Policy) (*cluster, error) {
	c := &cluster{path: path, topology: t, changed: make(chan struct{})}
	return c, c.change(func([]policy.Policy) []policy.Policy { return policies })
}

// Apply validates the policies and puts them in force, all or none.
func (c *cluster) Apply(ctx context.Context, policies []policy.Policy) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("simulated: apply policies: %w", err)
	}
	problems := c.topology.Foreign(policies)
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
	return c.change(func(old []policy.Policy) []policy.Policy {
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
	return c.change(func(old []policy.Policy) []policy.Policy {
		return slices.DeleteFunc(old, func(p policy.Policy) bool { return slices.Contains(refs, p.Ref()) })
	})
}

// change puts in force what next makes of a copy of the policies that are; what
// cannot be written down is not changed either.
func (c *cluster) change(next func([]policy.Policy) []policy.Policy) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return fmt.Errorf("simulated: change policies: %w", sandbox.ErrGone)
	}
	policies := next(slices.Clone(c.policies))
	slices.SortFunc(policies, func(a, b policy.Policy) int { return a.Ref().Compare(b.Ref()) })
	network, err := sandbox.NewPredictor(c.topology, c.topology.PlannedAddresses(), policies)
	if err != nil {
		return err
	}
	if c.kept {
		if err := c.write(policies); err != nil {
			return err
		}
	}
	c.policies, c.network = policies, network
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// keep gives the sandbox its file: from now on it outlives the process.
func (c *cluster) keep() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return fmt.Errorf("simulated: %w", sandbox.ErrGone)
	}
	if err := c.write(c.policies); err != nil {
		return err
	}
	c.kept = true
	return nil
}

// write writes the policies down, all of them or nothing.
func (c *cluster) write(policies []policy.Policy) error {
	f := file{Topology: topologyHash(c.topology), Policies: []string{}}
	for _, p := range policies {
		f.Policies = append(f.Policies, p.Source)
	}
	src, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("simulated: %s: %w", c.path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("simulated: %w", err)
	}
	_, err = tmp.Write(append(src, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
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
func (c *cluster) Addresses() sandbox.Addresses { return c.topology.PlannedAddresses() }

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

func observe(network *sandbox.Predictor, ended bool, f sandbox.Flow) sandbox.Observation {
	o := sandbox.Observation{Flow: f.ID, Verdict: probe.Unknown}
	if ended {
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
func (c *cluster) Health(context.Context) error {
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.policies, c.network = true, nil, nil
}

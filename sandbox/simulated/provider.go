// Package simulated makes sandboxes that simulate their network: what a flow
// comes to is worked out by the evaluator in sandbox/policy, and nothing is sent.
// A sandbox is a few kilobytes in memory and a small file, so that there can be
// thousands, on a machine without Docker, too.
package simulated

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Pace suits a network that follows a change at once.
var Pace = sandbox.Pace{
	Sweep:        10 * time.Second,
	SweepTimeout: time.Second,
	BurstTimeout: time.Second,
	BurstPause:   time.Millisecond,
	Health:       time.Minute,
}

// suffix ends the names of the files in a Provider's folder.
const suffix = ".json"

// proofLimit is how long the proof of enforcement may take. It takes
// milliseconds, or never succeeds.
const proofLimit = 5 * time.Second

// Provider makes simulated sandboxes. It is a [sandbox.Provider]; its methods may
// be called concurrently.
type Provider struct {
	// dir has a file for each sandbox, which is what outlives the process.
	dir string

	mu sync.Mutex
	// clusters are the sandboxes of this process; nil is one being made.
	clusters map[sandbox.ID]*cluster
}

var _ sandbox.Provider = (*Provider)(nil)

// New makes a Provider that keeps its sandboxes in the folder, which it makes
// where it is missing. One process uses a folder at a time.
func New(dir string) (*Provider, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("simulated sandboxes: %w", err)
	}
	return &Provider{dir: dir, clusters: map[sandbox.ID]*cluster{}}, nil
}

// Name is [sandbox.Simulated].
func (p *Provider) Name() string { return sandbox.Simulated }

// Check finds nothing missing: the simulator needs nothing but its folder.
func (p *Provider) Check(context.Context) error {
	if _, err := os.Stat(p.dir); err != nil {
		return fmt.Errorf("the simulator's folder is not there: %w", err)
	}
	return nil
}

// The steps of a sandbox's creation, in their order.
var stepNames = []string{"Lay out the simulated network", "Prove that policies are enforced in it"}

// Steps lists the names of the steps that Create goes through.
func (p *Provider) Steps() []string { return slices.Clone(stepNames) }

// Create makes the sandbox, all flows of which have been seen open, and which
// has been seen to carry out a policy.
func (p *Provider) Create(ctx context.Context, spec sandbox.Spec, progress sandbox.Progress) (sandbox.Cluster, error) {
	if progress == nil {
		progress = func(sandbox.Step) {}
	}
	began := time.Now()
	tell := func(i int, status sandbox.StepStatus) {
		step := sandbox.Step{Index: i + 1, Total: len(stepNames), Name: stepNames[i], Status: status}
		if status != sandbox.StepRunning {
			step.ElapsedMillis = time.Since(began).Milliseconds()
		}
		began = time.Now()
		progress(step)
	}
	if err := p.reserve(spec.ID); err != nil {
		return nil, err
	}
	var c *cluster
	var err error
	steps := []func() error{
		func() error {
			c, err = newCluster(p.path(spec.ID), spec.Topology, nil)
			return err
		},
		func() error {
			if err := sandbox.ProveEnforced(ctx, c, c.topology, proofLimit); err != nil {
				return err
			}
			return c.keep()
		},
	}
	for i, step := range steps {
		tell(i, sandbox.StepRunning)
		if err = ctx.Err(); err == nil {
			err = step()
		}
		if err != nil {
			tell(i, sandbox.StepFailed)
			break
		}
		tell(i, sandbox.StepDone)
	}
	if err == nil {
		err = ctx.Err() // It may have ended while the last step was told.
	}
	if err != nil {
		return nil, p.abandon(ctx, spec.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clusters[spec.ID] = c
	return c, nil
}

// reserve makes sure that the sandbox is a new one.
func (p *Provider) reserve(id sandbox.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, taken := p.clusters[id]
	_, err := os.Stat(p.path(id))
	switch {
	case taken, err == nil:
		return fmt.Errorf("simulated: create sandbox %s: it exists", id)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("simulated: create sandbox %s: %w", id, err)
	}
	p.clusters[id] = nil
	return nil
}

// abandon removes what a failed Create has made, and returns why it failed.
func (p *Provider) abandon(ctx context.Context, id sandbox.ID, err error) error {
	left := p.Delete(context.WithoutCancel(ctx), id)
	if cause := context.Cause(ctx); cause != nil {
		return errors.Join(fmt.Errorf("simulated: create sandbox %s: %w", id, cause), left)
	}
	return &sandbox.Failure{
		Message: "The simulated sandbox could not be made. Press Start to try again; the server's log says what went wrong.",
		Err:     errors.Join(fmt.Errorf("simulated: create sandbox %s: %w", id, err), left),
	}
}

// file is what outlives the process.
type file struct {
	// Topology tells the sandbox's topology from others.
	Topology string `json:"topology"`
	// Policies are the YAML of each policy in force.
	Policies []string `json:"policies"`
}

// topologyHash tells two topologies apart.
func topologyHash(t *sandbox.Topology) string {
	src, err := json.Marshal(t)
	if err != nil {
		panic(err) // Strings, numbers and maps of strings: it cannot fail.
	}
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:8])
}

// Adopt takes over a sandbox that an earlier process has left, with its policies.
// It fails with [sandbox.ErrGone] where there is none, and where it was made for
// another topology or its file is broken.
func (p *Provider) Adopt(_ context.Context, spec sandbox.Spec) (sandbox.Cluster, error) {
	c, err := p.adopt(spec)
	if err != nil {
		return nil, fmt.Errorf("simulated: adopt sandbox %s: %w", spec.ID, err)
	}
	return c, nil
}

func (p *Provider) adopt(spec sandbox.Spec) (*cluster, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	src, err := os.ReadFile(p.path(spec.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sandbox.ErrGone
	} else if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(src, &f); err != nil {
		return nil, p.broken(spec.ID, err)
	}
	if f.Topology != topologyHash(spec.Topology) {
		return nil, fmt.Errorf("it was made for another topology: %w", sandbox.ErrGone)
	}
	if c := p.clusters[spec.ID]; c != nil {
		return c, nil // This process has it already.
	}
	var policies []policy.Policy
	for _, text := range f.Policies {
		read, err := policy.Parse([]byte(text), policy.ParseOptions{Namespaces: spec.Topology.NamespaceNames()})
		if err != nil {
			return nil, p.broken(spec.ID, err)
		}
		for _, one := range read {
			policies = append(policies, stored(one))
		}
	}
	c, err := newCluster(p.path(spec.ID), spec.Topology, policies)
	if err != nil {
		return nil, err
	}
	c.kept = true
	p.clusters[spec.ID] = c
	return c, nil
}

// broken is the error of a file that does not say any more what the sandbox was: there
// is nothing left to take over.
func (p *Provider) broken(id sandbox.ID, err error) error {
	return fmt.Errorf("%s is broken: %w: %w", p.path(id), err, sandbox.ErrGone)
}

// Delete removes the sandbox and its file. To delete what is not there is no error.
func (p *Provider) Delete(_ context.Context, id sandbox.ID) error {
	p.mu.Lock()
	c := p.clusters[id]
	delete(p.clusters, id)
	p.mu.Unlock()
	if c != nil {
		c.end()
	}
	if err := os.Remove(p.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("simulated: delete sandbox %s: %w", id, err)
	}
	return nil
}

// List names the sandboxes that have a file, sorted.
func (p *Provider) List(context.Context) ([]sandbox.ID, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, fmt.Errorf("simulated: list sandboxes: %w", err)
	}
	ids := []sandbox.ID{}
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok {
			ids = append(ids, sandbox.ID(id))
		}
	}
	return ids, nil
}

func (p *Provider) path(id sandbox.ID) string { return filepath.Join(p.dir, string(id)+suffix) }

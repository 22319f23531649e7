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
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
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
	clusters map[sandbox.ClusterID]*cluster
}

var _ sandbox.Provider = (*Provider)(nil)

// New makes a Provider that keeps its sandboxes in the folder, which it makes
// where it is missing. One process uses a folder at a time.
func New(dir string) (*Provider, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("simulated sandboxes: %w", err)
	}
	return &Provider{dir: dir, clusters: map[sandbox.ClusterID]*cluster{}}, nil
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

// Steps lists the names of the steps that Boot and Lay go through.
func (p *Provider) Steps() sandbox.Steps {
	return sandbox.Steps{Boot: sandbox.Names((*cluster)(nil).booting()), Lay: sandbox.Names((*cluster)(nil).laying(nil))}
}

// Boot makes a cluster, in which nothing is laid.
func (p *Provider) Boot(ctx context.Context, id sandbox.ClusterID, progress sandbox.Progress) (sandbox.Booted, error) {
	if err := p.reserve(id); err != nil {
		return nil, err
	}
	c := &cluster{path: p.path(id), changed: make(chan struct{})}
	if _, err := sandbox.Run(ctx, c.booting(), progress); err != nil {
		return nil, failed(ctx, "boot cluster "+string(id), err, p.Delete(context.WithoutCancel(ctx), id))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clusters[id] = c
	return c, nil
}

// reserve makes sure that the cluster is a new one.
func (p *Provider) reserve(id sandbox.ClusterID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, taken := p.clusters[id]
	_, err := os.Stat(p.path(id))
	switch {
	case taken, err == nil:
		return fmt.Errorf("simulated: boot cluster %s: it exists", id)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("simulated: boot cluster %s: %w", id, err)
	}
	p.clusters[id] = nil
	return nil
}

// failed is the error of a step that could not be done, and of what could not be taken back
// then; where ctx has ended, its cause.
func failed(ctx context.Context, what string, err, left error) error {
	if cause := context.Cause(ctx); cause != nil {
		return errors.Join(fmt.Errorf("simulated: %s: %w", what, cause), left)
	}
	return &sandbox.Failure{
		Message: "The simulated sandbox could not be made. Press Start to try again; the server's log says what went wrong.",
		Err:     errors.Join(fmt.Errorf("simulated: %s: %w", what, err), left),
	}
}

// file is what outlives the process.
type file struct {
	// Topology tells the topology that is laid from others; empty where none is.
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

// Adopt takes over a cluster that an earlier process has left, with what is laid in it.
// It fails with [sandbox.ErrGone] where there is none, and where its file is broken.
func (p *Provider) Adopt(_ context.Context, id sandbox.ClusterID) (sandbox.Booted, error) {
	c, err := p.adopt(id)
	if err != nil {
		return nil, fmt.Errorf("simulated: adopt cluster %s: %w", id, err)
	}
	return c, nil
}

func (p *Provider) adopt(id sandbox.ClusterID) (*cluster, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	src, err := os.ReadFile(p.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sandbox.ErrGone
	} else if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(src, &f); err != nil {
		return nil, broken(p.path(id), err)
	}
	if c := p.clusters[id]; c != nil {
		return c, nil // This process has it already.
	}
	c := &cluster{path: p.path(id), left: &f, changed: make(chan struct{})}
	p.clusters[id] = c
	return c, nil
}

// broken is the error of a file that does not say any more what the sandbox was: there
// is nothing left to take over.
func broken(path string, err error) error {
	return fmt.Errorf("%s is broken: %w: %w", path, err, sandbox.ErrGone)
}

// Delete removes the sandbox and its file. To delete what is not there is no error.
func (p *Provider) Delete(_ context.Context, id sandbox.ClusterID) error {
	p.mu.Lock()
	c := p.clusters[id]
	delete(p.clusters, id)
	p.mu.Unlock()
	if c != nil {
		c.end()
	}
	if err := os.Remove(p.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("simulated: delete cluster %s: %w", id, err)
	}
	return nil
}

// List names the sandboxes that have a file, sorted.
func (p *Provider) List(context.Context) ([]sandbox.ClusterID, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, fmt.Errorf("simulated: list sandboxes: %w", err)
	}
	ids := []sandbox.ClusterID{}
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok {
			ids = append(ids, sandbox.ClusterID(id))
		}
	}
	return ids, nil
}

// Sweep does nothing: there is nothing beside the sandboxes' files.
func (p *Provider) Sweep(context.Context) error { return nil }

func (p *Provider) path(id sandbox.ClusterID) string { return filepath.Join(p.dir, string(id)+suffix) }

package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
	"github.com/netpol-lab/netpol-lab/sandbox/kind"
	"github.com/netpol-lab/netpol-lab/sandbox/simulated"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// simulatedSandboxes is how many simulated sandboxes may run at once where nobody
// says: the server takes about 100 KB of memory for each.
const simulatedSandboxes = 5000

// making is what makes the sandboxes, with what the Manager has to know of it.
type making struct {
	sandbox.Options
	// folder is where earlier versions kept the records of this provider's sandboxes.
	folder string
	// machine measures the machine on which the sandboxes are made, with those of all servers
	// on it or this one's alone; nil where they take next to nothing.
	machine func(ctx context.Context, allServers bool) (capacity.Machine, error)
	// most is how many sandboxes the machine's memory has room for; 0 where that is not known.
	most int
}

// open finds the records of the provider's sandboxes.
func (m *making) open(ctx context.Context, s *store.Store, log *slog.Logger) error {
	m.Records = s.Sandboxes(m.Provider.Name())
	return takeOver(ctx, m.folder, m.Records, log)
}

func (f *kindFlags) making(d *data, log *slog.Logger) (making, error) {
	provider, err := kind.New(kind.Options{
		Instance: d.instance, NodeImage: f.NodeImage, CalicoManifest: f.CalicoManifest, LoadImages: f.LoadImages,
		Patience: float64(f.Patience), Log: log,
	})
	if err != nil {
		return making{}, err
	}
	var usual sandbox.Options
	usual.Defaults()
	return making{
		Options: sandbox.Options{Provider: provider, CreateTimeout: f.Patience.of(usual.CreateTimeout)},
		folder:  d.path("sandboxes"), machine: provider.Machine,
	}, nil
}

// fit sets how many sandboxes there may be where nobody says, by what the machine has.
func (m *making) fit(ctx context.Context, log *slog.Logger) {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	machine, err := m.machine(limited, false)
	if err != nil {
		log.Warn("what the machine has could not be found out", "error", err)
	}
	c := capacity.Of(machine) // which can do with nothing
	log.Info("sandboxes that fit on this machine", "all", c.Sandboxes, "limit", c.First, "awake at once", c.Awake, "limit of these", c.FirstAwake)
	m.MaxSandboxes, m.most = c.Sandboxes, c.ByMemory()
}

func simulating(d *data) (making, error) {
	provider, err := simulated.New(d.path("simulated/sandboxes"))
	return making{
		Options: sandbox.Options{Provider: provider, MaxSandboxes: simulatedSandboxes, MaxCreating: 4, PauseAfter: -1, Pace: simulated.Pace},
		folder:  d.path("simulated/records"),
	}, err
}

// checkLimit is how long Docker may take to answer when the server starts.
const checkLimit = 30 * time.Second

// check says what is missing to make sandboxes, within the limit.
func (m making) check(ctx context.Context, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := m.Provider.Check(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return fmt.Errorf("Docker has not answered for %s: see whether it hangs, and start it anew", limit)
	}
	return err
}

// choose finds what makes the sandboxes where the flag says "auto", "kind" or
// "simulated". instead says why the lab simulates although it would rather not.
func (f *kindFlags) choose(ctx context.Context, flag string, d *data, log *slog.Logger) (m making, instead error, err error) {
	if flag == sandbox.Simulated {
		m, err = simulating(d)
		return m, nil, err
	}
	if m, err = f.making(d, log); err != nil {
		return m, nil, err
	}
	missing := m.check(ctx, checkLimit)
	switch {
	case missing == nil:
		m.fit(ctx, log)
		return m, nil, nil
	case flag == "kind":
		return m, nil, fmt.Errorf("sandboxes cannot be made here: %w", missing)
	}
	m, err = simulating(d)
	return m, missing, err
}

// remove removes every cluster with the sandboxes' records, and calls told for each.
func (m making) remove(ctx context.Context, told func(sandbox.ClusterID)) error {
	all, err := m.Records.All(ctx)
	if err != nil {
		return err
	}
	ids, err := m.Provider.List(ctx)
	if err != nil {
		if len(all) == 0 {
			return nil // Nothing was made by what does not answer.
		}
		return err
	}
	for _, r := range all { // What is not there as a cluster may have left something all the same.
		if r.Cluster != "" && !slices.Contains(ids, r.Cluster) {
			ids = append(ids, r.Cluster)
		}
	}
	for _, id := range ids {
		if err := m.Provider.Delete(ctx, id); err != nil {
			return err
		}
		told(id)
	}
	if err := m.Provider.Sweep(ctx); err != nil {
		return err
	}
	for _, r := range all {
		if err := m.Records.Delete(ctx, r.ID); err != nil {
			return err
		}
	}
	return nil
}

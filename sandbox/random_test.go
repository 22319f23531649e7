package sandbox_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

var (
	randomSeed  = flag.Uint64("random.seed", 1, "what the random steps begin with")
	randomSteps = flag.Int("random.steps", 2000, "how many random steps are gone")
)

// Everything that learners, the machine and whoever runs the server can do is done in
// a random order, and what must never be is looked for after each step. The time is
// made up, so a step may be an hour.
func TestManager_random_steps_lose_leak_and_share_nothing(t *testing.T) {
	for seed := range uint64(5) {
		seed += *randomSeed
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newWalk(t, seed).walk(*randomSteps / 5) })
		})
	}
}

// walk is a random walk, and what it knows must be.
type walk struct {
	*lab
	t      *testing.T
	random *rand.Rand
	other  *sandbox.Topology
	tweak  func(*sandbox.Options)
	// applied says of a sandbox whether the policy was applied, and nothing has happened
	// to it since that may have taken it away.
	applied map[sandbox.ID]bool
	// had says whose a cluster has been.
	had  map[*sandboxtest.Cluster]string
	subs map[string]*sandbox.Subscription
	last string
}

const (
	walkMost     = 4
	walkLearners = 7
)

func newWalk(t *testing.T, seed uint64) *walk {
	p := slowly()
	w := &walk{t: t, random: rand.New(rand.NewPCG(seed, 0)), applied: map[sandbox.ID]bool{}, had: map[*sandboxtest.Cluster]string{}, subs: map[string]*sandbox.Subscription{}}
	w.tweak = func(o *sandbox.Options) {
		o.PoolReserve, o.MaxSandboxes, o.MaxCreating, o.MaxWaiting, o.Likeliest = 2, walkMost, 2, 5, small(t)
		o.PauseAfter, o.Idle, o.MaxAge = 5*time.Minute, 3*time.Hour, 24*time.Hour
	}
	w.lab = newLab(t, p, w.tweak)
	other := *w.topology
	other.Name = "other"
	w.other = &other
	w.lab.others = []*sandbox.Topology{w.other}
	return w
}

func (w *walk) walk(steps int) {
	defer func() {
		for _, sub := range w.subs {
			sub.Close()
		}
		w.Close()
	}()
	for range steps {
		w.step()
		w.check()
		if w.t.Failed() {
			lines := strings.Split(w.log.String(), "\n")
			w.t.Fatalf("after %s; the log's end:\n%s", w.last, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	}
	// In the end nothing is in anybody's way, and all comes to rest.
	w.mend()
	for i := range walkLearners {
		if err := w.StopOwner(fmt.Sprint("learner ", i)); err != nil {
			w.t.Error(err)
		}
	}
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	if n := w.provider.Live(); n > 2 {
		w.t.Errorf("%d clusters are left when everybody has gone", n)
	}
	if left := w.recorded(); len(left) != 0 {
		w.t.Errorf("records are left: %+v", left)
	}
}

func (w *walk) mend() {
	w.provider.FailDelete(nil)
	w.provider.FailLay(nil)
	w.provider.FailPause(nil)
	w.provider.FailWake(nil)
	w.provider.FailAdopt(nil)
	w.records.Fail(nil)
}

// step does one thing, and lets some time go by.
func (w *walk) step() {
	owner := fmt.Sprint("learner ", w.random.IntN(walkLearners))
	now, _, has := w.ByOwner(owner)
	trouble := errors.New("trouble")
	did := func(what string, err error) {
		w.last = fmt.Sprintf("%s by %s: %v", what, owner, err)
		if err != nil && !errors.Is(err, sandbox.ErrBusy) && !errors.Is(err, sandbox.ErrNotFound) && !errors.Is(err, sandbox.ErrNotReady) {
			var failure *sandbox.Failure
			if !errors.As(err, &failure) {
				w.t.Errorf("%s", w.last)
			}
		}
	}
	switch n := w.random.IntN(100); {
	case n < 25:
		lab := w.topology
		if w.random.IntN(3) == 0 {
			lab = w.other
		}
		s, _, err := w.Create(owner, lab)
		did("start of "+lab.Name, err)
		w.follows(now, s, err)
	case n < 35 && has:
		change, err := w.Apply(w.t.Context(), now.ID, []byte(denyAll))
		did("apply", err)
		if w.applied[now.ID] = err == nil; err == nil && len(change.Policies) != 1 {
			w.t.Errorf("applied, there are %v", change.Policies)
		}
	case n < 40 && has:
		_, err := w.DeletePolicies(w.t.Context(), now.ID, nil)
		did("delete", err)
		delete(w.applied, now.ID)
	case n < 45 && has:
		s, _, err := w.Reset(now.ID)
		did("reset", err)
		w.follows(now, s, err)
	case n < 52 && has:
		did("stop", w.Stop(now.ID))
	case n < 60 && has:
		if sub := w.subs[owner]; sub != nil {
			sub.Close()
		}
		sub, err := w.Subscribe(now.ID, 0)
		if err == nil {
			w.subs[owner] = sub
		}
		did("look", err)
	case n < 68:
		if sub := w.subs[owner]; sub != nil {
			sub.Close()
			delete(w.subs, owner)
		}
		did("look away", nil)
	case n < 71:
		clusters := w.provider.Clusters()
		if len(clusters) > 0 {
			clusters[w.random.IntN(len(clusters))].LoseNode()
		}
		did("loss of a node", nil)
	case n < 74:
		w.provider.FailDelete(trouble)
		did("removals fail", nil)
	case n < 76:
		w.provider.FailLay(trouble)
		did("lays fail", nil)
	case n < 78:
		w.provider.FailPause(trouble)
		did("pauses fail", nil)
	case n < 80:
		w.provider.FailWake(trouble)
		did("wakes fail", nil)
	case n < 81:
		w.records.Fail(trouble)
		did("nothing is written down", nil)
	case n < 90:
		w.mend()
		did("all is mended", nil)
	case n < 93:
		w.records.Fail(nil) // Else nobody could know afterwards what there was.
		time.Sleep(2 * time.Minute)
		for owner, sub := range w.subs {
			sub.Close()
			delete(w.subs, owner)
		}
		w.Close()
		w.start(w.tweak)
		did("restart", nil)
	default:
		time.Sleep(time.Duration(w.random.IntN(60)) * time.Minute)
		did("waiting", nil)
	}
	time.Sleep(time.Duration(w.random.ExpFloat64() * float64(10*time.Second)))
	synctest.Wait()
}

// follows notes that what was in force in a sandbox that has failed is to be in force in
// the one of the same lab that comes after it.
func (w *walk) follows(old, s sandbox.Snapshot, err error) {
	if err == nil && s.ID != old.ID && s.Lab == old.Lab && old.State == sandbox.Failed && w.applied[old.ID] {
		w.applied[s.ID] = true
	}
}

// of is the sandbox's cluster, or nil.
func (w *walk) of(id sandbox.ID) *sandboxtest.Cluster { return w.provider.Cluster(w.ClusterOf(id)) }

// check looks for what must never be.
func (w *walk) check() {
	if n := w.provider.Most(); n > walkMost {
		w.t.Errorf("there were %d clusters, and may be %d", n, walkMost)
	}
	for i := range walkLearners {
		owner := fmt.Sprint("learner ", i)
		s, _, ok := w.ByOwner(owner)
		if !ok || s.State != sandbox.Ready && s.State != sandbox.Paused {
			continue
		}
		c := w.of(s.ID)
		if c == nil {
			continue // It has gone this moment, or nothing can be read or written down.
		}
		if before := w.had[c]; before != "" && before != owner {
			w.t.Errorf("%s has the cluster that %s has had", owner, before)
		}
		w.had[c] = owner
		if w.applied[s.ID] {
			policies := s.Policies
			if !slices.ContainsFunc(policies, func(p sandbox.AppliedPolicy) bool { return p.Name == "default-deny-all" }) {
				w.t.Errorf("%s has lost the policy; there are %v", owner, policies)
			}
			if c.Paused() {
				continue
			}
			if there, err := c.Policies(w.t.Context()); err != nil || len(there) != 1 {
				w.t.Errorf("%s's cluster has %v (%v), and the policy is said to be in force", owner, there, err)
			}
		}
	}
}

package sandbox_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// counted is what the metrics were told, a line each, and how many flows were measured.
type counted struct {
	mu       sync.Mutex
	told     []string
	measured map[probe.Verdict]int
}

func (c *counted) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprintf(format, args...))
}

func (c *counted) Stepped(step string, _ time.Duration, failed bool) {
	c.tell("step %q failed %t", step, failed)
}
func (c *counted) Proved(enforced bool) { c.tell("enforced %t", enforced) }
func (c *counted) Waited(waited time.Duration, of sandbox.Source) {
	c.tell("waited %s for one of %s", waited.Round(time.Second), of)
}
func (c *counted) Started(took time.Duration, of sandbox.Source) {
	c.tell("started after %s with one of %s", took.Round(time.Second), of)
}
func (c *counted) Woke(took time.Duration)   { c.tell("woke after %s", took) }
func (c *counted) Parsed(took time.Duration) { c.tell("parsed") }
func (c *counted) Settled(flip, all time.Duration) {
	c.tell("settled, flipped %t", flip > 0 && flip <= all)
}
func (c *counted) Disagreed(flows int) { c.tell("disagreed %d", flows) }
func (c *counted) Measured(v probe.Verdict, flows int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measured[v] += flows
}

// news are the lines since the last call.
func (c *counted) news() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.told
	c.told = nil
	return told
}

func (c *counted) of(v probe.Verdict) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.measured[v]
}

func counting() (*counted, func(*sandbox.Options)) {
	c := &counted{measured: map[probe.Verdict]int{}}
	return c, func(o *sandbox.Options) { o.Metrics = c }
}

func TestMetrics_are_told_a_sandbox_from_its_start_to_its_waking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, countingIt := counting()
		l := newLab(t, slowly(), reserving(small(t), 1, 8), resting, countingIt)
		defer l.Close()
		l.stocked(1)
		boot := []string{`step "Start the node" failed false`, `step "Start the network" failed false`, "enforced true", `step "Start the pods" failed false`}
		if got := count.news(); !slices.Equal(got, boot) {
			t.Errorf("for the reserve: %q", got)
		}
		id := l.create("ann")
		time.Sleep(2 * time.Second)
		if got, want := count.news(), []string{"waited 0s for one of reserve", "enforced true", "started after 0s with one of reserve"}; !slices.Equal(got, want) {
			t.Errorf("from the reserve: %q, want %q", got, want)
		}
		if count.of(probe.Open) < len(l.topology.Flows()) || count.of(probe.Blocked) > 0 {
			t.Errorf("%v were measured", count.measured)
		}

		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got, want := count.news(), []string{"parsed", "settled, flipped true"}; !slices.Equal(got, want) {
			t.Errorf("by a change: %q, want %q", got, want)
		}
		if count.of(probe.Blocked) == 0 {
			t.Errorf("%v were measured", count.measured)
		}

		time.Sleep(6 * time.Minute)
		count.news() // of the reserve, which is filled again
		if err := l.Wake(id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got, want := count.news(), []string{"enforced true", "woke after 300ms"}; !slices.Equal(got, want) {
			t.Errorf("by a look: %q, want %q", got, want)
		}
	})
}

func TestMetrics_are_told_where_a_cluster_comes_from(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, countingIt := counting()
		l := newLab(t, slowly(), countingIt)
		defer l.Close()
		l.create("ann")
		time.Sleep(time.Minute)
		got := count.news()
		for _, want := range []string{"waited 20s for one of boot", "started after 22s with one of boot"} {
			if !slices.Contains(got, want) {
				t.Errorf("%q lack %q", got, want)
			}
		}
		other := *l.topology
		other.Name = "other"
		if _, _, err := l.Create("ann", &other); err != nil {
			t.Fatal(err)
		}
		count.news()
		time.Sleep(time.Minute)
		if got, want := count.news(), []string{`step "Start the pods" failed false`, "started after 2s with one of own"}; !slices.Equal(got, want) {
			t.Errorf("with another lab: %q, want %q", got, want)
		}
	})
}

func TestMetrics_are_told_of_a_cluster_that_enforces_nothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, countingIt := counting()
		l := newLab(t, sandboxtest.FailsOnBoot(fmt.Errorf("boot: %w", sandbox.ErrNotEnforced)), countingIt)
		defer l.Close()
		l.create("ann")
		time.Sleep(time.Second)
		if got, want := count.news(), []string{`step "Start the node" failed false`, `step "Start the network" failed true`, "enforced false"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestOverview_tells_all_that_there_is(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slowly(), reserving(small(t), 1, 2))
		defer l.Close()
		if o := l.Overview(); o.MaxSandboxes != 2 || o.PoolReserve != 1 || len(o.Sandboxes) != 0 {
			t.Errorf("at first: %+v", o)
		}
		l.stocked(1)
		ann := l.ready("ann")
		sub := l.subscribe(ann, 0)
		defer sub.Close()
		if _, err := l.Apply(t.Context(), ann, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		bob := l.create("bob")
		time.Sleep(time.Second)
		eve := l.create("eve")
		time.Sleep(time.Second)
		o := l.Overview()
		if !o.Surveyed || !l.Surveyed() || o.Provider != "fake" || o.Hits != 1 || o.Misses != 0 || o.Waiting != 2 || o.BootMillis != 20_000 {
			t.Errorf("%+v", o)
		}
		if o.Clusters != (sandbox.ClusterCounts{Taken: 1, Booting: 1}) || o.Clusters.All() != 2 {
			t.Errorf("clusters %+v", o.Clusters)
		}
		if len(o.Sandboxes) != 3 {
			t.Fatalf("sandboxes %+v", o.Sandboxes)
		}
		first, second, third := o.Sandboxes[0], o.Sandboxes[1], o.Sandboxes[2]
		if first.ID != ann || first.Owner != "ann" || first.Lab != "small" || first.State != sandbox.Ready || first.Cluster != l.ClusterOf(ann) ||
			first.Watchers != 1 || first.Policies != 1 || first.Place != 0 || !first.Used.Equal(time.Now()) {
			t.Errorf("ann's: %+v", first)
		}
		if second.ID != bob || second.State != sandbox.Creating || second.Place != 1 || second.Cluster != "" || third.ID != eve || third.State != sandbox.Queued || third.Place != 2 {
			t.Errorf("bob's: %+v, eve's: %+v", second, third)
		}
		if err := l.StopFor(ann, "The class is over."); err != nil {
			t.Fatal(err)
		}
		if s := l.get(ann); s.State != sandbox.Stopping || s.Reason != "The class is over." {
			t.Errorf("it is %s: %s", s.State, s.Reason)
		}
	})
}

func TestOverview_tells_whose_end_can_be_put_off(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, supervised := range []bool{false, true} {
			l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) {
				o.MaxAge, o.Extension, o.Idle, o.Supervised = 3*time.Hour, 2*time.Hour, 24*time.Hour, supervised
			})
			id := l.ready("ann")
			can := func(what string, want bool) {
				t.Helper()
				if got := l.Overview().Sandboxes[0].Extendable; got != (want && !supervised) {
					t.Errorf("supervised %t, %s: %t", supervised, what, got)
				}
			}
			can("at first", false)
			time.Sleep(30 * time.Minute)
			can("while the end is further away than that", false)
			time.Sleep(40 * time.Minute)
			can("once it is nearer", true)
			if _, err := l.Extend(id); err != nil {
				t.Fatal(err)
			}
			can("when that was done", false)
			time.Sleep(10 * time.Minute)
			can("some minutes later", true)
			l.cluster(id).LoseNode()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if s := l.get(id); s.State != sandbox.Failed {
				t.Fatalf("it is %s", s.State)
			}
			can("of one that has failed", false)
			l.Close()
		}
	})
}

func TestOverview_tells_of_flows_that_are_not_as_predicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, countingIt := counting()
		l := newLab(t, &sandboxtest.Provider{}, countingIt)
		defer l.Close()
		id := l.ready("ann")
		flow := l.topology.Flows()[0].ID
		sub := l.subscribe(id, 0)
		defer sub.Close()
		l.cluster(id).Lie(flow, 1<<30)
		if _, err := l.Apply(t.Context(), id, []byte(strings.Replace(denyAll, "production", "development", 1))); err != nil {
			t.Fatal(err)
		}
		until(t, sub, ofType(sandbox.EventDisagreement))
		synctest.Wait()
		if o := l.Overview(); o.Sandboxes[0].Disagreeing != 1 || !slices.Contains(count.news(), "disagreed 1") {
			t.Errorf("%+v", o)
		}
	})
}

package simulated

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

func lessonTopology(t testing.TB) *sandbox.Topology {
	t.Helper()
	src, err := os.ReadFile("../../lessons/content/01-network-policies/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topology, err := sandbox.ParseTopology(src)
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

func open(t testing.TB, dir string) *Provider {
	t.Helper()
	p, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSimulated_keeps_the_contract_of_a_provider(t *testing.T) {
	dir, topology := t.TempDir(), lessonTopology(t)
	sandboxtest.TestProvider(t, sandboxtest.Contract{
		Open:     func(t *testing.T) sandbox.Provider { return open(t, dir) },
		Topology: topology,
	})
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v (%v)", left, err)
	}
}

func create(t testing.TB, p *Provider, id sandbox.ClusterID, topology *sandbox.Topology) sandbox.Cluster {
	t.Helper()
	b, err := p.Boot(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Lay(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// adopt takes over what another process has laid in the cluster.
func adopt(t testing.TB, p *Provider, id sandbox.ClusterID, topology *sandbox.Topology) (sandbox.Cluster, error) {
	t.Helper()
	b, err := p.Adopt(t.Context(), id)
	if err != nil {
		return nil, err
	}
	return b.Laid(t.Context(), topology)
}

func TestAdopt_of_a_broken_file_is_gone_and_names_the_file(t *testing.T) {
	dir, topology := t.TempDir(), lessonTopology(t)
	create(t, open(t, dir), "mine", topology)
	path := filepath.Join(dir, "mine.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"half a file": string(good[:len(good)/2]),
		"no policy":   strings.Replace(string(good), `"policies": []`, `"policies": ["kind: Nonsense"]`, 1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := adopt(t, open(t, dir), "mine", topology); !errors.Is(err, sandbox.ErrGone) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want ErrGone and the name of the file", what, err)
		}
	}
}

func TestApply_what_cannot_be_written_down_is_not_in_force(t *testing.T) {
	dir, topology := filepath.Join(t.TempDir(), "sandboxes"), lessonTopology(t)
	p := open(t, dir)
	lab := sandboxtest.Lab{Cluster: create(t, p, "mine", topology), Topology: topology}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := lab.Cluster.Apply(t.Context(), lab.Parse(t, sandboxtest.DenyProduction)); err == nil {
		t.Error("the policy was applied")
	}
	lab.Expect(t)
	if err := lab.Cluster.Health(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Health: %v, want ErrGone", err)
	}
	if err := p.Check(t.Context()); err == nil {
		t.Error("Check misses nothing")
	}
}

func TestLay_a_topology_in_which_nothing_can_be_proven_is_refused(t *testing.T) {
	alone := &sandbox.Topology{Name: "alone", Namespaces: []sandbox.Namespace{{Name: "a", Pods: []sandbox.Pod{{Name: "p"}}}}}
	b, err := open(t, t.TempDir()).Boot(t.Context(), "mine", nil)
	if err != nil {
		t.Fatal(err)
	}
	var last sandbox.Step
	_, err = b.Lay(t.Context(), alone, func(s sandbox.Step) { last = s })
	var failed *sandbox.Failure
	if !errors.As(err, &failed) || last.Index != 2 || last.Status != sandbox.StepFailed {
		t.Errorf("got %v after %+v, want a Failure of the second step", err, last)
	}
	if _, err := b.Laid(t.Context(), alone); !errors.Is(err, sandbox.ErrNotLaid) {
		t.Errorf("Laid: %v, want ErrNotLaid", err)
	}
}

// TestSimulated_thousands_at_once makes 2,000 sandboxes, every other one with a policy.
func TestSimulated_thousands_at_once(t *testing.T) {
	const n = 2000
	dir, topology := t.TempDir(), lessonTopology(t)
	p := open(t, dir)
	deny := sandboxtest.Lab{Topology: topology}.Parse(t, sandboxtest.DenyProduction)
	work, each := make(chan int), make([]sandbox.Cluster, n)
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for i := range work {
				b, err := p.Boot(t.Context(), sandbox.ClusterID(fmt.Sprint("s", i)), nil)
				if err == nil {
					each[i], err = b.Lay(t.Context(), topology, nil)
				}
				if err == nil && i%2 == 1 {
					err = each[i].Apply(t.Context(), deny)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	group.Wait()
	if t.Failed() {
		return
	}
	flows := topology.Flows()
	for i, c := range each {
		wrong := 0
		c.Probe(t.Context(), flows, 0, func(o sandbox.Observation) {
			if (o.Flow == "development/shell>production/db:5432/TCP") && (o.Verdict == probe.Blocked) != (i%2 == 1) {
				wrong++
			}
		})
		if wrong > 0 {
			t.Fatalf("sandbox %d has another's policies", i)
		}
	}
	again := open(t, dir)
	ids, err := again.List(t.Context())
	if err != nil || len(ids) != n {
		t.Fatalf("%d sandboxes are left for the next process (%v), want %d", len(ids), err, n)
	}
	adopted, err := adopt(t, again, "s1", topology)
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Lab{Cluster: adopted, Topology: topology}.Expect(t, sandboxtest.ProductionDenied...)
}

// BenchmarkCreate makes sandboxes of the lesson, the proof and the file included.
func BenchmarkCreate(b *testing.B) {
	topology := lessonTopology(b)
	p := open(b, b.TempDir())
	var clusters []sandbox.Cluster
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		clusters = append(clusters, create(b, p, sandbox.ClusterID(fmt.Sprint("s", len(clusters))), topology))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(clusters)), "heap-B/sandbox")
	runtime.KeepAlive(clusters)
}

// BenchmarkApply applies a default deny, and writes it down.
func BenchmarkApply(b *testing.B) {
	topology := lessonTopology(b)
	c := create(b, open(b, b.TempDir()), "mine", topology)
	deny := sandboxtest.Lab{Topology: topology}.Parse(b, sandboxtest.DenyProduction)
	for b.Loop() {
		if err := c.Apply(b.Context(), deny); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSweep works out every flow of the lesson under a default deny.
func BenchmarkSweep(b *testing.B) {
	topology := lessonTopology(b)
	lab := sandboxtest.Lab{Cluster: create(b, open(b, b.TempDir()), "mine", topology), Topology: topology}
	lab.Apply(b, sandboxtest.DenyProduction)
	flows := topology.Flows()
	for b.Loop() {
		lab.Cluster.Probe(b.Context(), flows, 0, func(sandbox.Observation) {})
	}
	b.ReportMetric(float64(len(flows)), "flows")
}

// BenchmarkManager starts sandboxes as a server does, each for a learner of its
// own, and waits until every flow has been told; heap-B/sandbox is all that the
// server keeps for one.
func BenchmarkManager(b *testing.B) {
	topology := lessonTopology(b)
	m, err := sandbox.NewManager(sandbox.Options{Provider: open(b, b.TempDir()), Records: &sandboxtest.Records{}, MaxSandboxes: 1 << 20, Pace: Pace})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		owner := fmt.Sprint("learner ", n)
		s, seq, err := m.Create(owner, "", topology)
		if err != nil {
			b.Fatal(err)
		}
		events, err := m.Subscribe(s.ID, seq)
		if err != nil {
			b.Fatal(err)
		}
		for told := 0; told < len(topology.Flows()); {
			batch, err := events.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range batch {
				switch e.Type {
				case sandbox.EventSnapshot:
					told = len(e.Snapshot.Observations)
				case sandbox.EventObservations:
					told += len(e.Observations.Flows)
				}
			}
		}
		events.Close()
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/float64(n), "heap-B/sandbox")
}

func TestSimulated_a_broken_file_is_a_sandbox_that_is_gone_and_is_named(t *testing.T) {
	dir, topology := t.TempDir(), lessonTopology(t)
	create(t, open(t, dir), "one", topology)
	path := filepath.Join(dir, "one.json")
	for _, text := range []string{"", `{"topology": "`, `{"topology": "` + topologyHash(topology) + `", "policies": ["kind: Nonsense"]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := adopt(t, open(t, dir), "one", topology); !errors.Is(err, sandbox.ErrGone) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want ErrGone and the file", text, err)
		}
	}
	if err := open(t, dir).Delete(t.Context(), "one"); err != nil {
		t.Errorf("it cannot be deleted: %v", err)
	}
}

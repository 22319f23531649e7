// Where races are looked for, everything costs more memory and much more time.

//go:build !race

package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
	"github.com/netpol-lab/netpol-lab/sandbox/simulated"
)

// lessonLab is a Manager on the simulator, and the first lesson's topology.
func lessonLab(t testing.TB) (*sandbox.Manager, *sandbox.Topology) {
	t.Helper()
	m, topology, _ := lessonLabOn(t)
	return m, topology
}

func lessonLabOn(t testing.TB) (*sandbox.Manager, *sandbox.Topology, *onDisk) {
	t.Helper()
	src, err := os.ReadFile("../lessons/content/01-network-policies/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topology, err := sandbox.ParseTopology(src)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := simulated.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	disk := &onDisk{written: map[sandbox.ID]int64{}, more: make(chan struct{}, 1)}
	m, err := sandbox.NewManager(sandbox.Options{Provider: provider, Records: disk, MaxSandboxes: 1000, Pace: simulated.Pace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, topology, disk
}

// onDisk are records whose histories take no memory, as those of the lab's store.
type onDisk struct {
	sandboxtest.Records
	mu sync.Mutex
	// written are the newest changes that were written down with what they came to.
	written map[sandbox.ID]int64
	more    chan struct{}
}

func (d *onDisk) SaveHistory(_ context.Context, id sandbox.ID, text []byte) error {
	var h struct {
		Entries []struct {
			Change  int64
			Settled bool
		}
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return err
	}
	if n := len(h.Entries); n > 0 && h.Entries[n-1].Settled {
		d.mu.Lock()
		d.written[id] = h.Entries[n-1].Change
		d.mu.Unlock()
		select {
		case d.more <- struct{}{}:
		default:
		}
	}
	return nil
}

// await waits until all of the change is written down: while that goes on, it takes
// memory that it does not keep.
func (d *onDisk) await(t *testing.T, id sandbox.ID, change int64) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		d.mu.Lock()
		done := d.written[id] == change
		d.mu.Unlock()
		if done {
			return
		}
		select {
		case <-d.more:
		case <-late:
			t.Fatalf("change %d of sandbox %s is not written down", change, id)
		}
	}
}

// settle waits until the sandbox has settled after the change.
func settle(t testing.TB, m *sandbox.Manager, id sandbox.ID, change int64) {
	t.Helper()
	sub, err := m.Subscribe(id, 0, sandbox.AsOnlooker)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for {
		s, _, err := m.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if s.Settled != nil && s.Settled.Change >= change {
			return
		}
		if _, err := sub.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

const policyHead = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: production}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"

// hostile are inputs that are as much as may be, each of its kind; n makes them differ.
var hostile = map[string]func(n int) string{
	"one long text": func(n int) string {
		text := fmt.Sprintf(policyHead, "p") + fmt.Sprintf("# %d ", n)
		return text + strings.Repeat("x", sandbox.MaxPolicyBytes-len(text))
	},
	"a long annotation": func(n int) string {
		text := strings.Replace(fmt.Sprintf(policyHead, "p"), "production}", "production, annotations: {a: %}}", 1)
		return strings.Replace(text, "%", fmt.Sprint(n)+strings.Repeat("x", sandbox.MaxPolicyBytes-len(text)-10), 1)
	},
	"many policies with long names": func(n int) string {
		var b strings.Builder
		for i := range sandbox.MaxPolicies {
			fmt.Fprintf(&b, policyHead, fmt.Sprintf("p%02d-%s", i, strings.Repeat("x", sandbox.MaxPolicyName-4)))
			fmt.Fprintf(&b, "  ingress: [{ports: [{port: %d}]}]\n", 1+(n+i)%60000)
			b.WriteString("# " + strings.Repeat("y", sandbox.MaxPolicyBytes/sandbox.MaxPolicies-b.Len()/(i+1)-8) + "\n---\n")
		}
		return b.String()
	},
	"many peers": func(n int) string {
		return fmt.Sprintf(policyHead, "p") + "  ingress:\n  - from:\n" +
			strings.Repeat(fmt.Sprintf("    - podSelector: {matchLabels: {app: a%d}}\n", n), sandbox.MaxPolicyParts/2-2)
	},
	"many rules": func(n int) string {
		return fmt.Sprintf(policyHead, "p") + fmt.Sprintf("  # %d\n  ingress: [", n) + strings.Repeat("{},", sandbox.MaxPolicyParts-2) + "{}]\n"
	},
	"many ports": func(n int) string {
		var b strings.Builder
		for i := range sandbox.MaxPolicyParts - 2 {
			fmt.Fprintf(&b, "{port: %d},", 1+(n*3+i)%60000)
		}
		return fmt.Sprintf(policyHead, "p") + "  ingress: [{ports: [" + b.String() + "{port: 1}]}]\n"
	},
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// An owner applies as much as may be, over and over; the texts of policies that are in
// force no more must not stay.
func TestSandbox_costs_at_most_1_MiB_whatever_its_owner_applies(t *testing.T) {
	const sandboxes, changes = 4, 6
	for name, text := range hostile {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			m, topology, disk := lessonLabOn(t)
			before := heap()
			for i := range sandboxes {
				s, _, err := m.Create(fmt.Sprint("owner ", i), "", topology)
				if err != nil {
					t.Fatal(err)
				}
				settle(t, m, s.ID, 0)
				for n := range changes {
					change, err := m.Apply(t.Context(), s.ID, []byte(text(n)))
					if err != nil {
						t.Fatalf("change %d: %.300v", n, err)
					}
					settle(t, m, s.ID, change.Change)
					disk.await(t, s.ID, change.Change)
				}
			}
			each := (heap() - before) / sandboxes
			t.Logf("%d kB a sandbox", each/1000)
			if each > 1<<20 {
				t.Errorf("a sandbox costs %d bytes, more than 1 MiB", each)
			}
			runtime.KeepAlive(m)
		})
	}
}

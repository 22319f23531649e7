package sandboxtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const (
	// patience is how long a change may take to show on a busy machine.
	patience = 30 * time.Second
	// answer is how long one flow's answer is waited for.
	answer = time.Second
)

// Lab is a cluster under test.
type Lab struct {
	// Booted is what the topology is laid in.
	Booted   sandbox.Booted
	Cluster  sandbox.Cluster
	Topology *sandbox.Topology
	// Measured says that the cluster measures: an answer has a latency, which it
	// cannot have in one that simulates.
	Measured bool
}

// Want is a row of an expectation: the verdict of the flows that match. The
// first row that matches a flow counts; a flow that none matches is to be open.
// Names are patterns as in path.Match; an empty one matches all.
type Want struct {
	From, To string
	Port     int
	Protocol sandbox.Protocol
	Via      sandbox.Via
	Verdict  probe.Verdict
}

func (w Want) matches(f sandbox.Flow) bool {
	like := func(pattern, s string) bool {
		ok, err := path.Match(pattern, s)
		if err != nil {
			panic(err)
		}
		return pattern == "" || ok
	}
	return like(w.From, f.From) && like(w.To, f.To) && (w.Port == 0 || w.Port == f.Port) &&
		(w.Protocol == "" || w.Protocol == f.Protocol) && (w.Via == "" || w.Via == f.Via)
}

// Expected is the verdict that the rows expect of the flow.
func Expected(f sandbox.Flow, rows []Want) probe.Verdict {
	for _, w := range rows {
		if w.matches(f) {
			return w.Verdict
		}
	}
	return probe.Open
}

// Measure probes every flow once, and makes sure that each is reported once.
func (l Lab) Measure(t testing.TB) map[string]sandbox.Observation {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]sandbox.Observation{}
	flows := l.Topology.Flows()
	l.Cluster.Probe(t.Context(), flows, answer, func(o sandbox.Observation) {
		mu.Lock()
		defer mu.Unlock()
		if _, twice := seen[o.Flow]; twice {
			t.Errorf("%s was reported twice", o.Flow)
		}
		seen[o.Flow] = o
	})
	if len(seen) != len(flows) {
		t.Errorf("%d flows were reported, want %d", len(seen), len(flows))
	}
	return seen
}

// Expect waits until every flow is as the rows say, and then probes all of them
// twice more: what has settled stays.
func (l Lab) Expect(t testing.TB, rows ...Want) {
	t.Helper()
	for _, w := range rows {
		if !slices.ContainsFunc(l.Topology.Flows(), w.matches) {
			t.Fatalf("no flow matches %+v", w)
		}
	}
	deadline := time.Now().Add(patience)
	left := l.wrong(t, rows)
	for len(left) > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond) // the pause between two looks
		left = l.wrong(t, rows)
	}
	if len(left) > 0 {
		t.Fatalf("%d flows are not as expected:\n%s", len(left), strings.Join(left, "\n"))
	}
	for range 2 {
		if left := l.wrong(t, rows); len(left) > 0 {
			t.Errorf("%d flows changed again:\n%s", len(left), strings.Join(left, "\n"))
		}
	}
}

// wrong lists what is not as the rows say.
func (l Lab) wrong(t testing.TB, rows []Want) []string {
	t.Helper()
	var out []string
	seen := l.Measure(t)
	for _, f := range l.Topology.Flows() {
		got, want := seen[f.ID], Expected(f, rows)
		switch {
		case got.Verdict != want:
			out = append(out, fmt.Sprintf("%s: %s, want %s (%s)", f.ID, got.Verdict, want, got.Detail))
		case want == probe.Open && !f.ToDNS() && got.Server != f.To:
			out = append(out, fmt.Sprintf("%s: answered by %q", f.ID, got.Server))
		case want == probe.DNSFailed && got.Detail == "":
			out = append(out, f.ID+": dns-failed without a reason")
		case want == probe.Open && l.Measured != (got.LatencyMicros > 0):
			out = append(out, fmt.Sprintf("%s: open with a latency of %d µs", f.ID, got.LatencyMicros))
		}
	}
	return out
}

// Parse reads policies for the topology's namespaces.
func (l Lab) Parse(t testing.TB, yaml string) []policy.Policy {
	t.Helper()
	policies, err := policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: l.Topology.NamespaceNames()})
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

// Apply applies policies that are right.
func (l Lab) Apply(t testing.TB, yaml string) {
	t.Helper()
	if err := l.Cluster.Apply(t.Context(), l.Parse(t, yaml)); err != nil {
		t.Fatal(err)
	}
}

// Policies lists the policies in force, as "namespace/name".
func (l Lab) Policies(t testing.TB) []string {
	t.Helper()
	policies, err := l.Cluster.Policies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, p := range policies {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return names
}

// Restore deletes every policy.
func (l Lab) Restore(t testing.TB) {
	t.Helper()
	var refs []sandbox.PolicyRef
	for _, full := range l.Policies(t) {
		namespace, name, _ := strings.Cut(full, "/")
		refs = append(refs, sandbox.PolicyRef{Namespace: namespace, Name: name})
	}
	if err := l.Cluster.Delete(t.Context(), refs); err != nil {
		t.Fatal(err)
	}
}

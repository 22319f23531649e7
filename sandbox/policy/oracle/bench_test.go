package oracle

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// task is what both evaluators are timed on: to prepare the policies, and then to
// answer the questions. What is ready before the clock starts are the network, or
// the peers, and the questions.
type task struct {
	network  policy.Network
	policies []policy.Policy
	theirs   []*networkingv1.NetworkPolicy
	pods     []policy.Ref
	flows    []question
}

// ours, and the others below, return how many flows are allowed, for all of them
// to do the same work.
func (t *task) ours(b *testing.B) (allowed int) {
	e, err := policy.Compile(t.network, t.policies)
	if err != nil {
		b.Fatal(err)
	}
	ends := make([]policy.Endpoint, len(t.pods))
	for i, p := range t.pods {
		ends[i], _ = e.Pod(p.Namespace, p.Name)
	}
	for i := range t.flows {
		q := &t.flows[i]
		if e.Allowed(policy.Flow{From: ends[q.from], To: ends[q.to], Port: int32(q.traffic.ResolvedPort), Protocol: q.traffic.Protocol}) {
			allowed++
		}
	}
	return allowed
}

func (t *task) cyclonus(simplify bool) (allowed int) {
	p := matcher.BuildNetworkPolicies(simplify, t.theirs)
	for i := range t.flows {
		if p.IsTrafficAllowed(&t.flows[i].traffic).IsAllowed() {
			allowed++
		}
	}
	return allowed
}

// compare times all three on the tasks: cyclonus puts policies together before it
// answers, as its own commands have it do, and also without, which is faster where
// few flows are asked about.
func compare(b *testing.B, tasks []task) {
	flows := 0
	for i := range tasks {
		flows += len(tasks[i].flows)
	}
	want := -1
	run := func(name string, once func(*task) int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			allowed := 0
			for b.Loop() {
				allowed = 0
				for i := range tasks {
					allowed += once(&tasks[i])
				}
			}
			if want >= 0 && allowed != want {
				b.Errorf("%d flows are allowed, and %d for who came first", allowed, want)
			}
			want = allowed
			b.ReportMetric(float64(flows)*float64(b.N)/b.Elapsed().Seconds(), "flows/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	run("ours", func(t *task) int { return t.ours(b) })
	run("cyclonus", func(t *task) int { return t.cyclonus(true) })
	run("cyclonus-unsimplified", func(t *task) int { return t.cyclonus(false) })
}

// The corpus of cyclonus: every step of every case, with all flows of
// TestCyclonus_corpus_has_no_disagreement but those of a pod to itself.
func BenchmarkCorpus(b *testing.B) {
	situations, _, _ := corpus(b)
	tasks := make([]task, len(situations))
	for i, s := range situations {
		t := task{network: network(b, s.resources), policies: asPolicies(s.policies), theirs: s.policies}
		for _, p := range s.resources.Pods {
			t.pods = append(t.pods, policy.Ref{Namespace: p.Namespace, Name: p.Name})
		}
		for _, q := range questions(s.resources) {
			if q.from != q.to {
				t.flows = append(t.flows, q)
			}
		}
		tasks[i] = t
	}
	compare(b, tasks)
}

// A large cluster: 100 namespaces of 10 pods, 500 policies, and one port from
// every pod to every other.
func BenchmarkLarge(b *testing.B) {
	n := policytest.Cluster(1, 100, 10)
	draw := policytest.New(1, n)
	t := task{network: n}
	for i := range 500 {
		t.policies = append(t.policies, policy.Policy{NetworkPolicy: draw.Policy(fmt.Sprintf("p%d", i))})
	}
	m := mend(b, n, t.policies)
	if m.marks > 0 {
		b.Fatal("policies were reworded for cyclonus to be right about them, and it would be slower for it")
	}
	t.theirs = m.policies
	e, err := policy.Compile(n, nil)
	if err != nil {
		b.Fatal(err)
	}
	ends := m.ends(n, e, netip.IPv4Unspecified().BitLen())[:len(n.Pods)]
	for from, p := range n.Pods {
		t.pods = append(t.pods, policy.Ref{Namespace: p.Namespace, Name: p.Name})
		for to := range n.Pods {
			if from != to {
				t.flows = append(t.flows, question{from, to, matcher.Traffic{
					Source: ends[from].theirs, Destination: ends[to].theirs, ResolvedPort: 8080, ResolvedPortName: ends[to].portNames(8080, corev1.ProtocolTCP)[0], Protocol: corev1.ProtocolTCP,
				}})
			}
		}
	}
	compare(b, []task{t})
}

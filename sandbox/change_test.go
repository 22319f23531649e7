//go:build !race

package sandbox_test

import (
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// BenchmarkChange is the way from a learner's YAML to what watchers are told, on the
// simulator: first-ms to the first changed verdict, settled-ms to the end. The baseline
// is what the request itself takes, answered-ms.
func BenchmarkChange(b *testing.B) {
	m, topology := lessonLab(b)
	s, _, err := m.Create("ann", "", topology)
	if err != nil {
		b.Fatal(err)
	}
	settle(b, m, s.ID, 0)
	_, seq, err := m.Get(s.ID)
	if err != nil {
		b.Fatal(err)
	}
	sub, err := m.Subscribe(s.ID, seq)
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Close()
	var answered, first, settled time.Duration
	changes := 0
	for b.Loop() {
		for _, change := range []func() (sandbox.PolicyChange, error){
			func() (sandbox.PolicyChange, error) { return m.Apply(b.Context(), s.ID, []byte(denyAll)) },
			func() (sandbox.PolicyChange, error) { return m.DeletePolicies(b.Context(), s.ID, nil) },
		} {
			changes++
			begun := time.Now()
			done := make(chan time.Duration)
			go func() {
				if _, err := change(); err != nil {
					b.Error(err)
				}
				done <- time.Since(begun)
			}()
			for seen, over := false, false; !over; {
				events, err := sub.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				for _, e := range events {
					if e.Observations != nil && !seen {
						seen = true
						first += time.Since(begun)
					}
					over = over || e.Settled != nil && e.Settled.Change == int64(changes)
				}
			}
			settled += time.Since(begun)
			answered += <-done
		}
	}
	for name, d := range map[string]time.Duration{"answered-ms": answered, "first-ms": first, "settled-ms": settled} {
		b.ReportMetric(d.Seconds()*1000/float64(changes), name)
	}
}

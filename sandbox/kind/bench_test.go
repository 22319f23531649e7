//go:build integration

package kind

import (
	"context"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// BenchmarkStart makes a sandbox of the lesson, the canary included, on the lab's
// node image and, as the baseline, the stock way: a node as kind makes them,
// Calico's own manifest and images. The tests' shared cluster idles beside both.
func BenchmarkStart(b *testing.B) {
	images, err := nodeimage.Build(b.Context(), nodeimage.Options{Repo: "../..", Stock: true})
	if err != nil {
		b.Fatal(err)
	}
	for name, opts := range map[string]Options{
		"lab":   {},
		"stock": {NodeImage: images.Stock.Node, CalicoManifest: images.Stock.Manifest, LoadImages: images.Stock.Archives},
	} {
		b.Run(name, func(b *testing.B) {
			opts.Instance, opts.Log = "ibench", testLog()
			p, err := New(opts)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				c, err := p.Create(b.Context(), sandbox.Spec{ID: sandbox.ID(name), Topology: topology}, func(sandbox.Step) {})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := c.Close(); err != nil {
					b.Error(err)
				}
				if err := removeAll(context.Background(), p); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkSweep measures every flow of the lesson once, through the exec streams
// and Calico, all of them open.
func BenchmarkSweep(b *testing.B) {
	flows := topology.Flows()
	for b.Loop() {
		lab.Probe(b.Context(), flows, time.Second, func(sandbox.Observation) {})
	}
	b.ReportMetric(float64(len(flows)), "flows")
}

// BenchmarkVerdictsUnderLoad asks for more than 10,000 verdicts, under a default
// deny and with a burst's short timeout, while two busy loops run on every
// processor, and counts those that are wrong. One is one too many.
func BenchmarkVerdictsUnderLoad(b *testing.B) {
	labOf(lab).Apply(b, sandboxtest.DenyProduction)
	defer labOf(lab).Restore(b)
	flows := topology.Flows()
	expect(b, lab, sandboxtest.ProductionDenied...)
	for range 2 * runtime.NumCPU() {
		busy := exec.Command("sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() {
			busy.Process.Kill()
			busy.Wait()
		}()
	}
	var mu sync.Mutex
	asked, wrong, unknown := 0, 0, 0
	for b.Loop() {
		for asked < 10_000 {
			lab.Probe(b.Context(), flows, sandbox.DefaultPace.BurstTimeout, func(o sandbox.Observation) {
				mu.Lock()
				defer mu.Unlock()
				asked++
				switch want := expectedByID(o.Flow); o.Verdict {
				case want:
				case probe.Unknown:
					unknown++
				default:
					wrong++
					b.Errorf("%s is %s, want %s", o.Flow, o.Verdict, want)
				}
			})
		}
	}
	b.ReportMetric(float64(asked), "verdicts")
	b.ReportMetric(float64(wrong), "wrong")
	b.ReportMetric(float64(unknown), "unknown")
	b.ReportMetric(0, "ns/op")
}

// expectedByID is what a flow is under the default deny.
func expectedByID(id string) probe.Verdict {
	for _, f := range topology.Flows() {
		if f.ID == id {
			return sandboxtest.Expected(f, sandboxtest.ProductionDenied)
		}
	}
	return probe.Unknown
}

//go:build integration

package kind

import (
	"context"
	"flag"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// BenchmarkStart makes a sandbox of the lesson from nothing, the canary included, on the
// lab's node image and, as the baseline, the stock way: a node as kind makes them,
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
			var lay time.Duration
			cpu := 0.0
			for b.Loop() {
				booted, err := p.Boot(b.Context(), sandbox.ClusterID(name), nil)
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if _, err := booted.Lay(b.Context(), topology, nil); err != nil {
					b.Fatal(err)
				}
				lay += time.Since(began)
				b.StopTimer()
				cpu += cpuSeconds(b, nodeName(p.clusterName(sandbox.ClusterID(name))))
				if err := booted.Close(); err != nil {
					b.Error(err)
				}
				if err := removeAll(context.Background(), p); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(lay.Seconds()/float64(b.N), "s-of-it-lay/op")
			b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
		})
	}
}

// BenchmarkLay lays the lesson's topology in a booted cluster in which nothing is laid, in
// the place of another, and takes it away.
func BenchmarkLay(b *testing.B) {
	another := parseTopology(b, "testdata/verify.yaml")
	must := func(t *sandbox.Topology) {
		c, err := base.Lay(b.Context(), t, nil)
		if err != nil {
			b.Fatal(err)
		}
		if t == topology {
			lab = c.(*laid)
		}
	}
	defer must(topology)
	for name, step := range map[string]struct{ before, do func() }{
		"first": {func() {
			if err := base.Clear(b.Context()); err != nil {
				b.Fatal(err)
			}
		}, func() { must(topology) }},
		"another": {func() { must(another) }, func() { must(topology) }},
		"clear": {func() { must(topology) }, func() {
			if err := base.Clear(b.Context()); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			cpu := 0.0
			for b.Loop() {
				b.StopTimer()
				step.before()
				quiet(b)
				used := cpuSeconds(b, base.node())
				b.StartTimer()
				began := time.Now()
				step.do()
				took = append(took, time.Since(began))
				b.StopTimer()
				cpu += cpuSeconds(b, base.node()) - used
				b.StartTimer()
			}
			report(b, took)
			b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
		})
	}
}

// cpuSeconds is what the node's container has used of a processor since it began: how long
// something takes depends on what else the machine does, and this hardly.
func cpuSeconds(b *testing.B, node string) float64 {
	b.Helper()
	out, err := docker(b.Context(), "exec", node, "sh", "-c",
		"cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || awk '$1==\"usage_usec\" {print $2*1000}' /sys/fs/cgroup/cpu.stat")
	if err != nil {
		b.Fatal(err)
	}
	nanos, err := strconv.ParseFloat(out, 64)
	if err != nil {
		b.Fatal(err)
	}
	return nanos / 1e9
}

// quiet waits until the shared cluster has come to rest.
func quiet(b *testing.B) {
	select {
	case <-time.After(3 * time.Second): // The kubelet takes old pods' folders away.
	case <-b.Context().Done():
	}
}

// report reports the median and the longest.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "s-p50")
	b.ReportMetric(took[len(took)-1].Seconds(), "s-max")
}

var asleep = flag.Duration("asleep", 10*time.Second, "how long the cluster of BenchmarkWake is paused")

// BenchmarkWake wakes the lesson's cluster, canary included, and measures every flow of it
// under a default deny: none may be other than before the pause.
func BenchmarkWake(b *testing.B) {
	labOf(lab).Apply(b, sandboxtest.DenyProduction)
	defer labOf(lab).Restore(b)
	expect(b, lab, sandboxtest.ProductionDenied...)
	var paused, woken, swept []time.Duration
	wrong := 0
	for b.Loop() {
		began := time.Now()
		if err := base.Pause(b.Context()); err != nil {
			b.Fatal(err)
		}
		paused = append(paused, time.Since(began))
		time.Sleep(*asleep)
		began = time.Now()
		if err := base.Wake(b.Context()); err != nil {
			b.Fatal(err)
		}
		woken = append(woken, time.Since(began))
		began = time.Now()
		for id, o := range labOf(lab).Measure(b) {
			if o.Verdict != expectedByID(id) {
				wrong++
				b.Logf("%s is %s %s, want %s", id, o.Verdict, o.Detail, expectedByID(id))
			}
		}
		swept = append(swept, time.Since(began))
	}
	report(b, woken)
	b.ReportMetric(float64(wrong), "wrong")
	slices.Sort(paused)
	slices.Sort(swept)
	b.ReportMetric(paused[len(paused)/2].Seconds(), "s-pause-p50")
	b.ReportMetric(swept[len(swept)/2].Seconds(), "s-sweep-p50")
	b.ReportMetric(0, "ns/op")
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

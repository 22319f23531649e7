//go:build integration

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// TestKind_with_patience_a_slow_machine_gets_there is for a machine on which nothing is
// ready in the usual time, as the emulated one of sandbox/kind/cgroup2: one sandbox comes
// to Ready, and a default deny settles.
func TestKind_with_patience_a_slow_machine_gets_there(t *testing.T) {
	patience, err := strconv.ParseFloat(os.Getenv("NETPOL_LAB_PATIENCE"), 64)
	if err != nil || patience <= 1 {
		t.Skip("NETPOL_LAB_PATIENCE does not say that this machine is slow")
	}
	limit := func(usual time.Duration) time.Duration { return time.Duration(patience * float64(usual)) }
	s := startServer(t, "--max-sandboxes", "1")
	s.pause = 2 * time.Second // each look costs such a machine much
	before := inotifyOf(t)
	id := s.create("network-policies")
	told := 0
	s.wait(id, limit(5*time.Minute), "ready, and every flow open", func(snap sandbox.Snapshot) bool {
		for ; told < len(snap.Steps) && snap.Steps[told].Status == sandbox.StepDone; told++ {
			t.Logf("%s: %.0f s", snap.Steps[told].Name, float64(snap.Steps[told].ElapsedMillis)/1000)
		}
		if snap.State == sandbox.Failed {
			t.Fatalf("it failed: %s", snap.Reason)
		}
		return allOpen(snap)
	})
	var all inotify
	for program, has := range inotifyOf(t) {
		had := before[program]
		has = inotify{has.instances - had.instances, has.watches - had.watches}
		if has != (inotify{}) {
			t.Logf("inotify of %s: %d instances, %d watches", program, has.instances, has.watches)
			all = inotify{all.instances + has.instances, all.watches + has.watches}
		}
	}
	t.Logf("a sandbox takes %d inotify instances and %d watches", all.instances, all.watches)

	begun := time.Now()
	s.apply(id, sandboxtest.DenyProduction)
	want := map[probe.Verdict]int{probe.Open: 37, probe.Blocked: 50, probe.DNSFailed: 12}
	snap := s.wait(id, limit(30*time.Second), fmt.Sprint("the default deny has settled with ", want), func(snap sandbox.Snapshot) bool {
		return snap.Settled != nil && snap.Settled.Change == snap.Change && snap.Disagreement == nil
	})
	got := map[probe.Verdict]int{}
	for _, o := range snap.Observations {
		got[o.Verdict]++
	}
	if !maps.Equal(got, want) || len(snap.Flips) != 62 {
		t.Errorf("verdicts %v and %d flips, want %v and 62", got, len(snap.Flips), want)
	}
	t.Logf("the default deny settled in %s: %v, %d flips", time.Since(begun).Round(time.Second), got, len(snap.Flips))
}

type inotify struct{ instances, watches int }

// inotifyOf is what each program on this machine has of it.
func inotifyOf(t *testing.T) map[string]inotify {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]inotify{}
	for _, file := range files {
		if to, err := os.Readlink(file); err != nil || to != "anon_inode:inotify" {
			continue // also where the process has ended meanwhile
		}
		fd, process := filepath.Base(file), filepath.Dir(filepath.Dir(file))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue
		}
		about, err := os.ReadFile(filepath.Join(process, "fdinfo", fd))
		if err != nil {
			continue
		}
		n := have[strings.TrimSpace(string(name))]
		n.instances++
		n.watches += strings.Count(string(about), "inotify wd:")
		have[strings.TrimSpace(string(name))] = n
	}
	return have
}

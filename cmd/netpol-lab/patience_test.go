//go:build integration

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
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
		t.Skip("NETPOL_LAB_PATIENCE does not say that this machine is slow; make test-cgroup2 runs this on one that is")
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
	var takes inotify
	for program, has := range inotifyOf(t) {
		had := before[program]
		has = inotify{has.instances - had.instances, has.watches - had.watches}
		if has != (inotify{}) {
			t.Logf("inotify of %s: %d instances, %d watches", program, has.instances, has.watches)
			takes = inotify{takes.instances + has.instances, takes.watches + has.watches}
		}
	}
	t.Logf("a sandbox takes %d inotify instances and %d watches", takes.instances, takes.watches)

	all, err := lessons.Load(lessons.Content())
	if err != nil {
		t.Fatal(err)
	}
	predicted, err := all[slices.IndexFunc(all, func(l *lessons.Lesson) bool { return l.Slug == "network-policies" })].Predicted(sandboxtest.DenyProduction)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.apply(id, sandboxtest.DenyProduction)
	snap := s.wait(id, limit(30*time.Second), "the default deny has settled", func(snap sandbox.Snapshot) bool {
		return snap.Settled != nil && snap.Settled.Change == snap.Change && snap.Disagreement == nil
	})
	closed := 0
	for _, o := range snap.Observations {
		if want := predicted[o.Flow]; o.Verdict != want {
			t.Errorf("%s is %s (%s), predicted %s", o.Flow, o.Verdict, o.Detail, want)
		}
		if o.Verdict != probe.Open {
			closed++
		}
	}
	if len(snap.Flips) != closed || closed == 0 || closed == len(predicted) {
		t.Errorf("%d flips, and %d of %d flows are closed", len(snap.Flips), closed, len(predicted))
	}
	t.Logf("the default deny settled in %s: %d of %d flows have turned, all as predicted", time.Since(begun).Round(time.Second), closed, len(predicted))
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

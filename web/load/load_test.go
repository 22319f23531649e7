package main

import (
	"errors"
	"io"
	"log"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func TestWorkspaces_begin_with_what_a_sandbox_has_and_some_of_it_is_closed_by_all_others(t *testing.T) {
	all, err := workspaces() // which fails where two come to the same
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range all {
		closed := 0
		for _, v := range w.verdicts {
			if v != probe.Open {
				closed++
			}
		}
		if (i == 0) != (closed == 0) || (i == 0) != (w.yaml == "") || closed == len(w.verdicts) {
			t.Errorf("workspace %d closes %d of %d flows", i, closed, len(w.verdicts))
		}
	}
}

// told are the events that say of each flow what is in verdicts.
func told(change int64, verdicts map[string]probe.Verdict) []sandbox.Event {
	o := &sandbox.Observations{Change: change}
	for flow, v := range verdicts {
		o.Flows = append(o.Flows, sandbox.Observation{Flow: flow, Verdict: v})
	}
	return []sandbox.Event{{Predictions: &sandbox.Predictions{Change: change}}, {Observations: o}}
}

func settled(change int64) sandbox.Event {
	return sandbox.Event{Settled: &sandbox.Settled{Change: change}}
}

func TestSeen_the_first_flip_and_the_end_are_those_of_the_change(t *testing.T) {
	var s seen
	s.reset()
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	s.take(at(1), append(told(0, map[string]probe.Verdict{"a": probe.Open, "b": probe.Open}), settled(0)), nil)
	if !s.flipped.IsZero() || s.settled != at(1) {
		t.Errorf("what is told first flipped at %s, and had settled at %s", s.flipped, s.settled)
	}
	s.take(at(2), told(1, map[string]probe.Verdict{"a": probe.Unknown}), nil)
	if !s.flipped.IsZero() || !s.settled.IsZero() {
		t.Errorf("what is unknown flipped at %s, and had settled at %s", s.flipped, s.settled)
	}
	s.take(at(3), told(1, map[string]probe.Verdict{"b": probe.Blocked}), nil)
	s.take(at(4), told(1, map[string]probe.Verdict{"a": probe.Blocked}), nil)
	s.take(at(5), []sandbox.Event{settled(0)}, nil) // of the change before
	if s.flipped != at(3) || !s.settled.IsZero() {
		t.Errorf("flipped at %s, want %s; settled at %s, want not", s.flipped, at(3), s.settled)
	}
	s.take(at(6), []sandbox.Event{settled(1)}, nil)
	if want := map[string]probe.Verdict{"a": probe.Blocked, "b": probe.Blocked}; s.settled != at(6) || !maps.Equal(s.atSettled, want) {
		t.Errorf("settled at %s as %v, want %s and %v", s.settled, s.atSettled, at(6), want)
	}
	// Who has fallen out of the log is sent all of it.
	s.flipped = time.Time{}
	s.take(at(7), []sandbox.Event{{Snapshot: &sandbox.Snapshot{State: sandbox.Ready, Change: 2, Observations: []sandbox.Observation{{Flow: "a", Verdict: probe.Open}}}}}, nil)
	if s.flipped != at(7) || !s.settled.IsZero() || s.change != 2 {
		t.Errorf("by a snapshot it flipped at %s, settled at %s, with change %d", s.flipped, s.settled, s.change)
	}
	s.take(at(8), nil, errors.New("cut off"))
	if s.err == nil {
		t.Error("a connection that has ended is not noticed")
	}
}

func TestCompare_a_verdict_that_is_not_the_evaluators_is_wrong_and_so_is_a_missing_one(t *testing.T) {
	a := &applicant{learner: &learner{}, now: &set{verdicts: map[string]probe.Verdict{"a": probe.Open, "b": probe.Blocked, "c": probe.Open, "d": probe.Open}}}
	a.compare("now", map[string]probe.Verdict{"a": probe.Open, "b": probe.Open, "d": probe.Unknown})
	if a.compared != 4 || a.wrong != 2 || a.unknown != 1 {
		t.Errorf("of %d verdicts %d are wrong and %d unknown, want 2 and 1 of 4", a.compared, a.wrong, a.unknown)
	}
}

func TestSizes_a_server_that_grows_is_told_from_one_that_does_not(t *testing.T) {
	beforeFor, beforeWarm := *duration, *warm
	defer func() { *duration, *warm = beforeFor, beforeWarm }()
	*duration, *warm = judged, historySize
	grows := func(goroutines int, live int64) []size {
		var out []size
		for i := range 20 {
			out = append(out, size{goroutines: 8000 + i*goroutines, live: 200e6 + int64(i)*live, resident: 500e6})
		}
		return out
	}
	for name, c := range map[string]struct {
		sizes []size
		want  string
	}{
		"neither":    {grows(1, 100e3), ""},
		"goroutines": {grows(20, 0), "goroutines have grown"},
		"memory":     {grows(0, 3e6), "memory has grown"},
		"two looks":  {grows(0, 0)[:2], "too seldom"},
	} {
		err := tellSizes(size{}, c.sizes, 1000)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

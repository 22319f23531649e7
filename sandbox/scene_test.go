package sandbox

import (
	"context"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

func TestScene_tells_its_watchers_what_it_is_told_and_remembers_changes(t *testing.T) {
	topology := &Topology{Name: "lab", Namespaces: []Namespace{{Name: "shop", Pods: []Pod{
		{Name: "web", Ports: []Port{{Port: 80, Protocol: TCP}}}, {Name: "api", Ports: []Port{{Port: 80, Protocol: TCP}}},
	}}}}
	flows := topology.Flows()
	s := NewScene(Snapshot{ID: "made-up", State: Ready}, flows)
	s.Tell(Event{Type: EventObservations, Observations: &Observations{Flows: []Observation{{Flow: flows[0].ID, Verdict: probe.Open}}}})
	now := []AppliedPolicy{{PolicyRef: PolicyRef{Namespace: "shop", Name: "deny"}, YAML: "text"}}
	s.Tell(Event{Type: EventPredictions, Predictions: &Predictions{Change: 1}})
	s.Policies(1, OriginApply, now)

	picture, seq := s.Snapshot()
	if len(picture.Observations) != 1 || len(picture.Policies) != 1 || seq != 4 {
		t.Errorf("the picture is %+v, number %d", picture, seq)
	}
	if h := s.History(); len(h.Entries) != 1 || h.Entries[0].Origin != OriginApply {
		t.Errorf("the history is %+v", h)
	}
	if at, err := s.PoliciesAt(1); err != nil || len(at) != 1 || at[0].YAML != "text" {
		t.Errorf("after the change there are %v, %v", at, err)
	}
	subscription := s.Subscribe(0)
	defer subscription.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if events, err := subscription.Next(ctx); err != nil || len(events) != 1 || events[0].Type != EventSnapshot {
		t.Errorf("the watcher is told %v, %v", events, err)
	}
}

func TestDurations_are_said_in_words(t *testing.T) {
	for d, want := range map[time.Duration]string{
		12 * time.Hour: "12 hours", time.Hour: "1 hour", 90 * time.Minute: "90 minutes", 5 * time.Minute: "5 minutes", time.Second: "1 second", 1500 * time.Millisecond: "1.5s",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%v is said as %q, want %q", d, got, want)
		}
	}
}

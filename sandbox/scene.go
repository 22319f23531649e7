package sandbox

import (
	"context"
	"fmt"
)

// Scene is a sandbox that is only told of: no cluster is behind it, and all that its
// watchers learn is made up by whoever has it, to show what a page makes of that. Its
// picture, its log and its history are those of a real sandbox. Its methods may be called
// concurrently.
type Scene struct {
	feed *feed
}

// NewScene begins with the picture, of a sandbox with those flows.
func NewScene(picture Snapshot, flows []Flow) *Scene {
	return &Scene{newFeed(picture, flows, 0)}
}

// Snapshot is the picture, and the number of the last event in it.
func (s *Scene) Snapshot() (Snapshot, int64) { return s.feed.snapshot() }

// Tell makes the event happen; its number and its time are given to it.
func (s *Scene) Tell(e Event) { s.feed.emit(e) }

// Policies tells that those are in force after the change of that number. Its predictions
// are told before that.
func (s *Scene) Policies(change int64, origin Origin, now []AppliedPolicy) PolicyChange {
	return s.feed.policies(change, origin, now)
}

// History is that of [Manager.History].
func (s *Scene) History() History { return s.feed.told() }

// PoliciesAt is that of [Manager.PoliciesAt].
func (s *Scene) PoliciesAt(change int64) ([]AppliedPolicy, error) { return s.feed.policiesAt(change) }

// Subscribe reads the events after the given number.
func (s *Scene) Subscribe(after int64, options ...SubscribeOption) *Subscription {
	return s.feed.subscribe(after, options...)
}

// Terminal opens a terminal with that shell, which ends with ctx.
func (s *Scene) Terminal(ctx context.Context, shell Shell, size TerminalSize) (*TerminalView, error) {
	t := newTerminal(shell, func() {})
	go t.run(ctx)
	if view := t.attach(size); view != nil {
		return view, nil
	}
	return nil, fmt.Errorf("terminal: %w", t.cause())
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// wakeLimit is how long it may take to wake a cluster. It takes half a second, or
	// does not succeed.
	wakeLimit = 30 * time.Second
	// restAgain is how long a sandbox that could not be paused is left alone.
	restAgain = 10 * time.Minute
)

// mayRest reports whether nobody needs the sandbox now.
func (in *instance) mayRest() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	after := in.m.opts.PauseAfter
	return after >= 0 && time.Since(in.touched) >= after && in.feed.watcherCount() == 0 && (in.terminal == nil || in.terminal.isOver())
}

// sleep pauses the sandbox until somebody wants it. It returns false where it is to be
// stopped, or is gone.
func (in *instance) sleep(cluster Cluster) bool {
	select {
	case <-in.wanted: // from an earlier pause
	default:
	}
	<-in.turn // No change is at work, and none begins.
	// What is not written down would not be known after a restart, before it is woken.
	slept := in.remember() && in.mayRest() && in.become(Paused, "")
	in.turn <- struct{}{}
	if !slept {
		return in.resume(cluster)
	}
	if in.feed.watcherCount() > 0 { // who came in between
		in.want()
	}
	in.m.mu.Lock()
	mem := in.member
	in.m.mu.Unlock()
	ctx, cancel := context.WithTimeout(in.ctx, wakeLimit)
	err := mem.booted.Pause(ctx)
	cancel()
	mem.paused = err == nil
	if err != nil && in.ctx.Err() == nil {
		in.m.opts.Log.Error("sandbox not paused", "sandbox", in.id, "error", err)
		in.mu.Lock()
		in.touched = time.Now().Add(restAgain)
		in.mu.Unlock()
		in.want()
	}
	if !in.awaitWanted() {
		return false
	}
	begun := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ctx, cancel := context.WithTimeout(in.ctx, wakeLimit)
		err := mem.booted.Wake(ctx)
		cancel()
		in.m.tellProof(err)
		switch {
		case in.ctx.Err() != nil:
			return false
		case err == nil:
			mem.paused = false
			in.m.opts.Metrics.Woke(time.Since(begun))
			in.m.opts.Log.Info("sandbox woken", "sandbox", in.id, "took", time.Since(begun).Round(time.Millisecond))
			return in.resume(cluster)
		case errors.Is(err, ErrGone), time.Since(begun) >= in.m.opts.CreateTimeout && in.m.Available() == nil:
			in.m.opts.Log.Error("sandbox not woken", "sandbox", in.id, "error", err)
			in.fail(err)
			return false
		}
		in.m.opts.Log.Warn("sandbox not woken yet", "sandbox", in.id, "again in", pause, "error", err)
		select {
		case <-in.ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// awaitWanted waits until somebody wants the sandbox; false where it is to be stopped.
func (in *instance) awaitWanted() bool {
	select {
	case <-in.wanted:
		return true
	case <-in.ctx.Done():
		return false
	}
}

// resume makes the sandbox one that is ready, with what was in force.
func (in *instance) resume(cluster Cluster) bool {
	in.touch()
	<-in.turn
	policies := in.policies
	in.turn <- struct{}{}
	in.connect(cluster, policies)
	return in.feed.state() == Ready || in.become(Ready, "")
}

// want wakes the sandbox where it is paused. It needs no lock, and does not wait.
func (in *instance) want() {
	select {
	case in.wanted <- struct{}{}:
	default:
	}
}

// awake wakes the sandbox where it is paused, and waits until it is.
func (in *instance) awake(ctx context.Context) error {
	for in.feed.state() == Paused {
		in.touch()
		in.want()
		in.feed.mu.Lock()
		wake := in.feed.wake
		in.feed.mu.Unlock()
		if in.feed.state() != Paused {
			break
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return fmt.Errorf("sandbox %s: %w", in.id, ctx.Err())
		}
	}
	return nil
}

// Wake wakes the sandbox where it is paused: somebody looks at it. It does not wait.
func (m *Manager) Wake(id ID) error {
	in, err := m.find(id)
	if err != nil {
		return err
	}
	if in.feed.state() == Paused {
		in.touch()
		in.want()
	}
	return nil
}

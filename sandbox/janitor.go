package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// janitor stops the sandboxes that nobody uses or that are too old, and writes down
// what could not be written down before.
func (m *Manager) janitor() {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		m.tidy()
		m.makeWay()
	}
}

func (m *Manager) tidy() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for _, in := range m.current {
		if in.feed.watcherCount() > 0 {
			in.touch()
		}
		if in.unwritten.Load() {
			in.inBackground(func() { _ = in.save() == nil && in.remember() })
		}
		if m.opts.Supervised {
			continue
		}
		in.mu.Lock()
		idle, left := time.Since(in.touched), time.Until(in.ends)
		in.mu.Unlock()
		switch {
		case left < 0:
			in.stop(fmt.Sprintf("Sandboxes live %s unless you keep them longer. Press Start for a new one; your policies stay in the workspace as drafts.", inWords(m.opts.MaxAge)))
		case idle > m.opts.Idle:
			in.stop(fmt.Sprintf("Nobody has used this sandbox for %s. Press Start for a new one; your policies stay in the workspace as drafts.", inWords(m.opts.Idle)))
		case left < m.opts.Warning:
			in.warn()
		}
	}
}

// warn tells the learner, once, that the sandbox will be stopped.
func (in *instance) warn() {
	in.mu.Lock()
	at := in.ends
	in.mu.Unlock()
	if s, _ := in.feed.snapshot(); s.Ends == nil {
		in.feed.emit(Event{Type: EventEnds, Ends: &Ending{At: at}})
	}
}

// Extend puts off the end of a sandbox that is as old as one may be. ErrWaitedFor says
// that others wait, so that it cannot be.
func (m *Manager) Extend(id ID) (Ending, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.instances[id]
	switch {
	case !ok:
		return Ending{}, notFound(id)
	case !in.live():
		return Ending{}, fmt.Errorf("sandbox %s is %s: %w", id, in.feed.state(), ErrNotReady)
	case m.isFull() && len(m.queue.waiters) > 0:
		return Ending{}, fmt.Errorf("sandbox %s: %w", id, ErrWaitedFor)
	}
	in.mu.Lock()
	// Who presses twice has not asked for twice as long.
	in.ends = time.Now().Add(max(time.Until(in.ends), m.opts.Extension))
	at := in.ends
	in.mu.Unlock()
	ending := Ending{At: at, Extended: true}
	in.feed.emit(Event{Type: EventEnds, Ends: &ending})
	if !m.closed {
		in.inBackground(func() { _ = in.save() })
	}
	return ending, nil
}

// isFull reports whether as many clusters are there as may be. It needs m.mu.
func (m *Manager) isFull() bool { return len(m.pool.members) >= m.opts.MaxSandboxes }

// makeWay stops a sandbox that was left alone, of somebody without a name, where
// somebody waits and nothing else is about to become free.
func (m *Manager) makeWay() {
	for _, in := range m.orphans() {
		ctx, cancel := m.recording()
		named, err := m.opts.Named(ctx, in.owner)
		cancel()
		if err != nil {
			m.opts.Log.Error("whether a learner has a name is not known, so their sandbox stays", "sandbox", in.id, "error", err)
			return
		}
		if named {
			continue
		}
		m.mu.Lock()
		if !m.closed && in.isOrphan() {
			in.stop("Somebody waited for a sandbox, and nobody had looked at this one for a while. Press Start for a new one; your policies stay in the workspace as drafts.")
		}
		m.mu.Unlock()
		return
	}
}

// orphans are the sandboxes that nobody looks at, the longest left alone first, where
// one of them has to give way now.
func (m *Manager) orphans() []*instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Supervised || m.opts.Named == nil || !m.isFull() || len(m.queue.waiters) == 0 || len(m.pool.in(removing))+len(m.pool.in(booting)) > 0 {
		return nil
	}
	var out []*instance
	for _, in := range m.current {
		if in.isOrphan() {
			out = append(out, in)
		}
	}
	slices.SortFunc(out, func(a, b *instance) int { return cmp.Compare(a.lastTouched().UnixNano(), b.lastTouched().UnixNano()) })
	return out
}

func (in *instance) isOrphan() bool {
	switch in.feed.state() {
	case Ready, Paused:
		return in.feed.watcherCount() == 0 && time.Since(in.lastTouched()) >= in.m.opts.Orphan
	}
	return false
}

func (in *instance) lastTouched() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.touched
}

// inWords is the duration as it is said: "12 hours".
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := int64(d / unit.of); {
		case d%unit.of != 0 || n == 0:
		case n == 1:
			return "1 " + unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}

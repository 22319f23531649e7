package sandbox

import (
	"fmt"
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
		in.mu.Lock()
		idle := time.Since(in.touched)
		in.mu.Unlock()
		switch age := time.Since(in.created); {
		case age > m.opts.MaxAge:
			in.stop(fmt.Sprintf("Sandboxes live %s at most. Press Start for a new one; your policies stay in the workspace as drafts.", inWords(m.opts.MaxAge)))
		case idle > m.opts.Idle:
			in.stop(fmt.Sprintf("Nobody has used this sandbox for %s. Press Start for a new one; your policies stay in the workspace as drafts.", inWords(m.opts.Idle)))
		}
	}
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

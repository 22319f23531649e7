package sandbox

import "time"

// ClusterOf is the cluster that the sandbox has; empty where it has none.
func (m *Manager) ClusterOf(id ID) ClusterID {
	in, err := m.find(id)
	if err != nil {
		return ""
	}
	return in.clusterID()
}

// TimesOf are when the sandbox was used last and when it ends at the latest.
func (m *Manager) TimesOf(id ID) (touched, ends time.Time) {
	in, err := m.find(id)
	if err != nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.touched, in.ends
}

// Rest is the pause after a sweep that has taken so long.
func (p Pace) Rest(took time.Duration) time.Duration { return p.rest(took) }

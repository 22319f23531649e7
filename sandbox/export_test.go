package sandbox

// ClusterOf is the cluster that the sandbox has; empty where it has none.
func (m *Manager) ClusterOf(id ID) ClusterID {
	in, err := m.find(id)
	if err != nil {
		return ""
	}
	return in.clusterID()
}

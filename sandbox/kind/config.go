package kind

import "sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

// clusterConfig is the kind config of a sandbox: one node.
func clusterConfig(f flavour) *v1alpha4.Cluster {
	config := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{APIVersion: "kind.x-k8s.io/v1alpha4", Kind: "Cluster"},
		Nodes:    []v1alpha4.Node{{Role: v1alpha4.ControlPlaneRole}},
		// Without it the lab's address would be open to the whole network.
		Networking: v1alpha4.Networking{APIServerAddress: "127.0.0.1"},
	}
	if !f.calico {
		config.Networking.DisableDefaultCNI = true
		// Machines that withhold CAP_SYS_RESOURCE do not let a container lower
		// its out-of-memory score; elsewhere this changes nothing that matters.
		// kind takes the patch whose version is that of the node's containerd.
		config.ContainerdConfigPatches = []string{
			"version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  restrict_oom_score_adj = true\n",
			"version = 3\n[plugins.\"io.containerd.cri.v1.runtime\"]\n  restrict_oom_score_adj = true\n",
		}
	}
	return config
}

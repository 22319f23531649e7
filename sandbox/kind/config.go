package kind

import (
	"fmt"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// stockConfig is the kind config for a node image without Calico.
//
// Machines that withhold CAP_SYS_RESOURCE do not let a container lower its
// out-of-memory score; elsewhere the patch changes nothing that matters here.
// kind takes the one whose version is that of the node's containerd.
//
// From Kubernetes 1.35 on the kubelet starts on a machine with cgroup v1 only when it
// is told to.
const stockConfig = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
networking:
  disableDefaultCNI: true
containerdConfigPatches:
- |
  version = 2
  [plugins."io.containerd.grpc.v1.cri"]
    restrict_oom_score_adj = true
- |
  version = 3
  [plugins."io.containerd.cri.v1.runtime"]
    restrict_oom_score_adj = true
kubeadmConfigPatches:
- |
  apiVersion: kubelet.config.k8s.io/v1beta1
  kind: KubeletConfiguration
  failCgroupV1: false
`

// patientConfig are two more of the patches that both configs end with: how long kubeadm
// waits for the API server, and the kubelet for containerd, which on a slow machine is
// still at work with what the kubelet has given up and asks for again.
const patientConfig = `- |
  apiVersion: kubeadm.k8s.io/v1beta3
  kind: ClusterConfiguration
  apiServer:
    timeoutForControlPlane: %s
- |
  apiVersion: kubelet.config.k8s.io/v1beta1
  kind: KubeletConfiguration
  runtimeRequestTimeout: %s
`

// Both limits as they are without patience.
const (
	timeoutForControlPlane = 4 * time.Minute
	runtimeRequestTimeout  = 2 * time.Minute
)

// clusterConfig is the kind config of a sandbox: one node. kind publishes its
// API server on this machine's loopback address.
func (p *Provider) clusterConfig(f flavour) string {
	config := stockConfig
	if f.calico {
		config = nodeimage.KindConfig
	}
	if p.opts.Patience > 1 {
		config += fmt.Sprintf(patientConfig, p.patient(timeoutForControlPlane), p.patient(runtimeRequestTimeout))
	}
	return config
}

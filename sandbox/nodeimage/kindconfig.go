package nodeimage

// KindConfig is the kind cluster configuration for a lab cluster on the node
// image: one node, and a control plane set up for a cluster that lives an hour
// and must be there soon rather than for ever.
//
//   - Keys are ECDSA: a dozen RSA keys cost a second of a core.
//   - etcd does not wait for the disk: a power cut loses the lab, nothing else.
//   - Nobody competes for leadership, so nobody asks for it every two seconds.
const KindConfig = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
kubeadmConfigPatches:
- |
  apiVersion: kubeadm.k8s.io/v1beta3
  kind: ClusterConfiguration
  featureGates:
    PublicKeysECDSA: true
  etcd:
    local:
      extraArgs:
        unsafe-no-fsync: "true"
  controllerManager:
    extraArgs:
      leader-elect: "false"
  scheduler:
    extraArgs:
      leader-elect: "false"
`

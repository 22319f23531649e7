package nodeimage

// kindManifest is the file in the node where kind looks for its default network:
// a plain kind, too, gets Calico from it.
const kindManifest = "/kind/manifests/default-cni.yaml"

// StartCalico is the program in the node that creates Calico, for a cluster made
// with [KindConfig]. It may run as soon as the API server answers.
//
// It differs from what a plain kind creates in that the agent is a pod which
// already has its node, instead of a DaemonSet that waits, six seconds, until the
// controller manager is up. The agent waits for the ConfigMap kube-root-ca.crt in
// kube-system, which that would publish, too: create it first.
const StartCalico = "/kind/bin/start-calico"

// kubeadmPatches is the folder in the node of what kubeadm is to do otherwise than it would
// (files/patches).
const kubeadmPatches = "/kind/patches"

// PodSubnet is where the pods of a cluster made with [KindConfig] have their addresses.
const PodSubnet = "10.244.0.0/16"

// KindConfig is the kind cluster configuration for a lab cluster on the node
// image: one node, and a control plane set up for a cluster that lives an hour
// and must be there soon rather than for ever.
//
//   - Keys are ECDSA: a dozen RSA keys cost a second of a core.
//   - etcd does not wait for the disk: a power cut loses the lab, nothing else.
//   - kind does not bring the network: whoever uses this runs [StartCalico] as
//     soon as the API server answers, seconds before kind would.
//   - The kubelet is not restarted for the sake of certificates that are to be
//     renewed in a year (phase kubelet-finalize): that cost five seconds.
//   - The control plane is one process of one pod, which kubeadm's patches in the
//     image make of the API server's (files/patches, kubernetes/controlplane.go).
//     Nobody competes for leadership in it, and it has the controllers that a lab
//     needs.
//   - A cluster may sleep for an hour and wake as it was. So nothing judges the node
//     by how long it was silent: neither the controllers, which would taint it and
//     evict its pods, nor the API server, which would taint it beforehand
//     (TaintNodesByCondition) and count its own kind by leases. Only the kubelet
//     does, of itself: for want of news of its pods it says that it is not ready,
//     and it says so no more with the next report, a second later.
//   - A new Service waits a tenth of a second for others to come with it, not a whole.
//   - Nobody asks twice: the API server reads etcd, which is beside it, without
//     keeping a copy of it all, and etcd does not report that nothing has happened.
//     What pods take of the disk is not measured.
//   - No pod may have more processes than it can need, and etcd keeps 256 MiB at most:
//     in the learner's terminal kubectl runs, and whatever else the learner likes.
//     The API server does 16 writes at once: the lab sends it 8 at most.
const KindConfig = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
networking:
  disableDefaultCNI: true
  podSubnet: ` + PodSubnet + `
kubeadmConfigPatches:
- |
  apiVersion: kubeadm.k8s.io/v1beta3
  kind: InitConfiguration
  skipPhases: [preflight, control-plane/controller-manager, control-plane/scheduler, wait-control-plane, kubelet-finalize]
  patches:
    directory: ` + kubeadmPatches + `
  nodeRegistration:
    kubeletExtraArgs:
      housekeeping-interval: 1m
- |
  apiVersion: kubeadm.k8s.io/v1beta3
  kind: ClusterConfiguration
  featureGates:
    PublicKeysECDSA: true
  etcd:
    local:
      extraArgs:
        unsafe-no-fsync: "true"
        heartbeat-interval: "50"
        election-timeout: "250"
        watch-progress-notify-interval: 10m
        quota-backend-bytes: "268435456"
  apiServer:
    extraArgs:
      enable-priority-and-fairness: "false"
      max-mutating-requests-inflight: "16"
      disable-admission-plugins: TaintNodesByCondition
      endpoint-reconciler-type: master-count
      feature-gates: APIServerIdentity=false
      watch-cache: "false"
- |
  apiVersion: kubeproxy.config.k8s.io/v1alpha1
  kind: KubeProxyConfiguration
  iptables:
    minSyncPeriod: 100ms
    syncPeriod: 1h
- |
  apiVersion: kubelet.config.k8s.io/v1beta1
  kind: KubeletConfiguration
  podPidsLimit: 256
  localStorageCapacityIsolation: false
  volumeStatsAggPeriod: -1s
  nodeLeaseDurationSeconds: 86400
  nodeStatusUpdateFrequency: 1s
  nodeStatusReportFrequency: 1h
`

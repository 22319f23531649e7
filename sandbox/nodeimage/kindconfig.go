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
//   - Nobody competes for leadership, so nobody asks for it every two seconds.
//   - The controllers are those that a lab needs. Garbage collection and quotas
//     watch every kind of object there is, for nothing here.
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
  skipPhases: [preflight, kubelet-finalize]
- |
  apiVersion: kubeadm.k8s.io/v1beta3
  kind: ClusterConfiguration
  featureGates:
    PublicKeysECDSA: true
  etcd:
    local:
      extraArgs:
        unsafe-no-fsync: "true"
        quota-backend-bytes: "268435456"
  apiServer:
    extraArgs:
      enable-priority-and-fairness: "false"
      max-mutating-requests-inflight: "16"
  controllerManager:
    extraArgs:
      leader-elect: "false"
      controllers: "clusterrole-aggregation-controller,daemonset-controller,deployment-controller,\
        endpoints-controller,endpointslice-controller,namespace-controller,node-ipam-controller,\
        node-lifecycle-controller,pod-garbage-collector-controller,replicaset-controller,\
        root-ca-certificate-publisher-controller,serviceaccount-controller,taint-eviction-controller"
  scheduler:
    extraArgs:
      leader-elect: "false"
- |
  apiVersion: kubelet.config.k8s.io/v1beta1
  kind: KubeletConfiguration
  podPidsLimit: 256
`

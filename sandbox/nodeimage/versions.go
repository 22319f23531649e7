package nodeimage

// Every version in the node image. The go.mod files of the groups must agree,
// which a test checks; Debian's packages are whatever the suite has on the day.
const (
	// KubernetesVersion stays at 1.34: from 1.35 on the kubelet refuses hosts with cgroup v1
	// unless it is told not to (failCgroupV1), and newer ones were not tried so.
	KubernetesVersion = "v1.34.4"
	kubernetesModule  = "k8s.io/kubernetes"
	// The staging modules are released as v0 with the same minor and patch.
	kubernetesStaging = "v0.34.4"

	// CalicoVersion is what the module version below is a commit of: the newest
	// release whose checksum the checksum database knows.
	CalicoVersion       = "v3.28.5"
	calicoModule        = "github.com/projectcalico/calico"
	calicoModuleVersion = "v1.11.0-cni-plugin.0.20250813170300-a0db560f0520"

	containerdModule  = "github.com/containerd/containerd/v2"
	containerdVersion = "v2.2.9"
	etcdModule        = "go.etcd.io/etcd/server/v3"
	etcdVersion       = "v3.6.13"
	corednsModule     = "github.com/coredns/coredns"
	corednsVersion    = "v1.12.3"
	cniModule         = "github.com/containernetworking/plugins"
	cniVersion        = "v1.9.1"
	kindModule        = "sigs.k8s.io/kind"
	kindVersion       = "v0.33.0"

	debianSuite = "bookworm"
)

// The tags by which kubeadm 1.34.4 and containerd ask for images, whatever
// version is behind them.
const (
	etcdTag     = "registry.k8s.io/etcd:3.6.5-0"
	corednsTag  = "registry.k8s.io/coredns/coredns:v1.12.1"
	pauseTag    = "registry.k8s.io/pause:3.10"
	pauseTagNew = "registry.k8s.io/pause:3.10.1"
)

// PodImage is the name by which the image of the lab's pods is known inside a
// node.
const PodImage = "netpol-lab.local/pod:v1"

// TerminalImage is the name by which the image of the learner's terminal is known
// inside a node.
const TerminalImage = "netpol-lab.local/terminal:v1"

// nodePackages are the Debian packages a node needs over the base.
var nodePackages = []string{
	"busybox-static", "conntrack", "ethtool", "iproute2", "ipset", "iptables", "jq", "kmod",
	"mount", "netbase", "nftables", "procps", "runc", "systemd", "util-linux",
}

// podPrograms are the Debian programs that the pods of the cluster itself
// (Calico, kube-proxy) call. They are copied, with the libraries they need, from
// the node's own Debian.
var podPrograms = []string{
	"/bin/sh", "/bin/cat", "/bin/cp", "/bin/grep", "/bin/ln", "/bin/ls",
	"/bin/mkdir", "/bin/mv", "/bin/rm", "/bin/sed", "/bin/sleep",
	"/usr/bin/env", "/usr/bin/timeout",
	"/sbin/ip", "/sbin/ipset", "/sbin/sysctl", "/usr/sbin/conntrack", "/usr/sbin/nft", "/bin/kmod",
	"/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi",
}

// terminalPrograms are the Debian programs of the learner's terminal: a shell with
// history and completion. Everything else is busybox, which needs no libraries.
var terminalPrograms = []string{"/bin/bash"}

// terminalFiles are busybox, and what the shell knows the terminal from.
var terminalFiles = []string{"/bin/busybox", "/lib/terminfo/x/xterm-256color"}

// terminalNames are the names that busybox goes by in the terminal.
var terminalNames = []string{
	"awk", "base64", "basename", "cat", "chmod", "clear", "cmp", "cp", "cut", "date", "diff", "dirname", "du",
	"env", "expr", "false", "find", "fold", "grep", "head", "hexdump", "id", "kill", "less", "ln", "ls", "mkdir",
	"mktemp", "more", "mv", "nl", "od", "ps", "pwd", "readlink", "reset", "rm", "rmdir", "sed", "seq", "sh", "sleep",
	"sort", "stat", "stty", "tail", "tee", "time", "timeout", "top", "touch", "tr", "true", "tty", "uname", "uniq",
	"vi", "watch", "wc", "which", "whoami", "xargs", "yes",
}

// podFiles are the files that those programs read. Without the protocols' names
// ipset refuses a set of named ports, and Calico then carries out no change at all.
var podFiles = []string{"/etc/protocols"}

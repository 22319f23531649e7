package capacity

// What one kind sandbox takes of the machine, on the lab's own node image with the first
// lesson laid in it, as counted in nodes that were at work on two processors with control
// groups of version 1, rounded up. BenchmarkKind in cmd/netpol-lab measures it anew, but
// for the neighbours and what Docker has outside the node.
//
// Docker's networks limit nothing here: all nodes are in kind's one, of 65,000 addresses.
const (
	// memory is what the node's control group uses, less the files in it that were not used
	// lately: 361 to 400 MiB, and 20 more with a terminal; beside it Docker's shim and proxy
	// of the node, 5 MiB. A sandbox that is paused keeps it, unless there is swap: of 320 MiB
	// all but 8 were seen to go there.
	memory = 448 << 20
	// processor is in thousandths of one, while it is watched: 93 to 115, of which an idle
	// node takes 52 to 64. In a class of 12, who each changed something every 30 s, a sandbox
	// took 104 in all. What more changes cost, 60 with one every 10 s, has to find room in the
	// quarter that is kept.
	processor = 120
	// disk is the node's volume and layer: 134 and 1 MiB.
	disk = 150 << 20
	// inotifyInstances are root's: API server 6, kubelet 7, systemd 4, containerd 2,
	// kube-proxy 1. With control groups of version 2 the shim has one more for each container,
	// as seen in a machine that was emulated; Docker's shim may have one for the node, too.
	inotifyInstances = 20
	containers       = 33
	// inotifyWatches are 393, the kubelet's for the most part.
	inotifyWatches = 400
	// processes are 271 to 302 threads in the node, and 20 of Docker's for it.
	processes = 330
	// neighbours are the entries in all network namespaces of a node: 35 to 39 of IPv4, and
	// 28 to 32 of IPv6. Of one that has been paused for some minutes 2 to 11 are left.
	neighbours       = 40
	neighboursPaused = 12
	// files are the server's: up to 10 connections to one cluster were seen, and its
	// learner's pages and terminal have some.
	files = 24
)

// What is kept for others.
const (
	// memoryKept is for the system, the server and the files that all read; at most a quarter.
	memoryKept           = 4 << 30
	diskKept             = 2 << 30
	inotifyInstancesKept = 16
	inotifyWatchesKept   = 1024
	processesKept        = 1024
	neighboursKept       = 64
	filesKept            = 256
)

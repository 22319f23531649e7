package kind

import (
	"context"
	"fmt"
	"strconv"
)

// What one sandbox can take of the machine.
const (
	// maxMemory is the memory, in bytes, of a node with all that runs in it, the lab's pods
	// and the terminal included; where the machine has swap, as much again of that. What
	// asks for more is ended: pods first, for they give the kernel the highest score. A
	// sandbox uses a third of it.
	maxMemory = 2 << 30
	// cpuShares is the node's weight where the processors are busy; Docker gives every
	// other container 1024. Sandboxes among themselves share evenly, and the others on the
	// machine come first. What nobody else wants a sandbox may have.
	cpuShares = 512
	// maxCPUs is how many processors it may have at most, also where nobody else wants
	// them.
	maxCPUs = 4
	// maxPIDs is how many processes and threads there may be in a node: an idle sandbox
	// has some 500.
	maxPIDs = 4096

	// cpuPeriod is the kernel's usual one, in microseconds.
	cpuPeriod = 100_000
)

// limitNode gives the cluster's node its limits. kind has no option for them. Docker keeps
// them over a restart, and says so and goes on where the kernel does not count swap.
func limitNode(ctx context.Context, cluster string) error {
	_, err := docker(ctx, "update",
		"--memory", strconv.FormatInt(maxMemory, 10), "--memory-swap", strconv.FormatInt(2*maxMemory, 10),
		"--cpu-shares", strconv.Itoa(cpuShares),
		// Not --cpus, which Docker refuses where the machine has fewer.
		"--cpu-period", strconv.Itoa(cpuPeriod), "--cpu-quota", strconv.Itoa(maxCPUs*cpuPeriod),
		"--pids-limit", strconv.Itoa(maxPIDs), nodeName(cluster))
	if err != nil {
		return fmt.Errorf("the node cannot be given its limits: %w", err)
	}
	return nil
}

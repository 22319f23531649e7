package kind

import (
	"context"
	"fmt"
	"strconv"
)

// Limits bound what one sandbox can take of the machine.
type Limits struct {
	// MemoryBytes is the memory of a node with all that runs in it, the lab's pods and
	// the terminal included; where the machine has swap, as much again of that. What
	// asks for more is ended: pods first, for they give the kernel the highest score.
	// Default 2 GiB: a sandbox uses a third of it.
	MemoryBytes int64
	// CPUShares is the node's weight where the processors are busy; Docker gives every
	// other container 1024. Default 512: sandboxes among themselves share evenly, and the
	// others on the machine come first. What nobody else wants a sandbox may have.
	CPUShares int
	// CPUs is how many processors it may have at most, also where nobody else wants
	// them. Default 4.
	CPUs int
	// PIDs is how many processes and threads there may be in a node. Default 4096: an
	// idle sandbox has some 500.
	PIDs int
}

func (l Limits) withDefaults() Limits {
	if l.MemoryBytes == 0 {
		l.MemoryBytes = 2 << 30
	}
	if l.CPUShares == 0 {
		l.CPUShares = 512
	}
	if l.CPUs == 0 {
		l.CPUs = 4
	}
	if l.PIDs == 0 {
		l.PIDs = 4096
	}
	return l
}

// cpuPeriod is the kernel's usual one, in microseconds.
const cpuPeriod = 100_000

// limit gives the cluster's node its limits. kind has no option for them. Docker keeps
// them over a restart, and says so and goes on where the kernel does not count swap.
func (p *Provider) limit(ctx context.Context, cluster string) error {
	l := p.opts.Limits
	_, err := docker(ctx, "update",
		"--memory", strconv.FormatInt(l.MemoryBytes, 10), "--memory-swap", strconv.FormatInt(2*l.MemoryBytes, 10),
		"--cpu-shares", strconv.Itoa(l.CPUShares),
		// Not --cpus, which Docker refuses where the machine has fewer.
		"--cpu-period", strconv.Itoa(cpuPeriod), "--cpu-quota", strconv.Itoa(l.CPUs*cpuPeriod),
		"--pids-limit", strconv.Itoa(l.PIDs), nodeName(cluster))
	if err != nil {
		return fmt.Errorf("the node cannot be given its limits: %w", err)
	}
	return nil
}

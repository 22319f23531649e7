package kind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
)

// cluster is one running sandbox: a lab in a kind cluster. It is a [sandbox.Cluster].
type cluster struct {
	*kubernetes.Lab
	provider *Provider
	name     string
	// node is the name of the node and of its container.
	node     string
	topology *sandbox.Topology
	log      *slog.Logger
}

var _ sandbox.ShellCluster = (*cluster)(nil)

// surroundings are those of the cluster of that name.
type surroundings struct {
	provider *Provider
	cluster  string
}

// Ensure makes sure that the outside hosts run in the node's network, and that the node
// finds them there.
func (s surroundings) Ensure(ctx context.Context, hosts []sandbox.External) (netip.Addr, error) {
	node, err := inspectContainer(ctx, nodeName(s.cluster))
	if err != nil {
		return netip.Addr{}, err
	}
	network, addr, err := node.network()
	if err != nil {
		return netip.Addr{}, err
	}
	return addr, s.provider.ensureInternet(ctx, s.cluster, network, hosts)
}

// Health fails with [sandbox.ErrGone] where the node's container is not there or
// does not run, and with another error where it runs but the API server is not
// ready. An outside host that Docker has started again gets its address again.
func (c *cluster) Health(ctx context.Context) error {
	err := c.Ready(ctx)
	if err == nil {
		if !c.provider.hostsRunOn(ctx, c.name) {
			if err := c.Surround(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("an outside host does not run, and is not in reach again yet", "err", err)
			}
		}
		return nil
	}
	node, inspectErr := inspectContainer(ctx, c.node)
	switch {
	case errors.Is(inspectErr, errNoSuchObject), inspectErr == nil && !node.State.Running:
		return fmt.Errorf("kind: node %s: %w", c.node, sandbox.ErrGone)
	case inspectErr != nil:
		return fmt.Errorf("kind: node %s: %w", c.node, errors.Join(err, inspectErr))
	}
	return fmt.Errorf("kind: the API server of %s is not ready: %w", c.node, err)
}

package kind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// readyAtOnce is how long a cluster may take to answer, or to be proven, that is in order.
const readyAtOnce = 3 * time.Second

// Adopt takes over the cluster that an earlier process has booted, whatever is laid in
// it. It is thawed where it is frozen, started where it has stopped, and proven. Adopt
// fails with [sandbox.ErrGone] where there is none, where it was never booted to the end,
// and where its node does not come back.
func (p *Provider) Adopt(ctx context.Context, id sandbox.ClusterID) (sandbox.Booted, error) {
	b, err := p.adopt(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("kind: adopt cluster %s: %w", id, err)
	}
	return b, nil
}

func (p *Provider) adopt(ctx context.Context, id sandbox.ClusterID) (*booted, error) {
	name := p.clusterName(id)
	node, err := inspectContainer(ctx, nodeName(name))
	if errors.Is(err, errNoSuchObject) {
		return nil, sandbox.ErrGone
	} else if err != nil {
		return nil, err
	}
	switch {
	case node.State.Paused:
		err = thaw(ctx, nodeName(name))
	case !node.State.Running:
		if _, err = docker(ctx, "start", nodeName(name)); err == nil {
			node, err = inspectContainer(ctx, nodeName(name)) // Its addresses are known again.
		}
	}
	if err != nil {
		return nil, err
	}
	// Of a cluster that was being made when the earlier process ended there
	// may never be a kubeconfig; one that was ready has it.
	if _, err := docker(ctx, "exec", nodeName(name), "test", "-s", "/etc/kubernetes/scheduler.conf"); err != nil {
		return nil, fmt.Errorf("the cluster was never finished: %w", errors.Join(sandbox.ErrGone, err))
	}
	f, err := p.flavour(ctx)
	if err != nil {
		return nil, err
	}
	b, err := p.connect(ctx, id, node, f)
	if err != nil {
		return nil, err
	}
	if err := b.takeUp(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// takeUp waits for a cluster that was booted once, and proves it.
func (b *booted) takeUp(ctx context.Context) error {
	if err := b.awaitBack(ctx); err != nil {
		return err
	}
	b.back()
	if err := b.cluster.WasBooted(ctx); err != nil {
		return err
	}
	return b.cluster.Prove(ctx)
}

// awaitBack waits until the API server is ready, and starts the node again where that has
// stopped. It fails with [sandbox.ErrGone] where neither comes back.
func (b *booted) awaitBack(ctx context.Context) error {
	for {
		err := b.cluster.AwaitAPI(ctx, readyAtOnce)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if reason := b.recall(ctx); errors.Is(reason, sandbox.ErrGone) {
			return errors.Join(reason, err)
		}
	}
}

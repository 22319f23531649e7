package kind

import (
	"context"
	"errors"
	"fmt"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// waitForKubeconfig prints the administrator's kubeconfig as soon as kubeadm has
// written it. Of the files that kubeadm writes in one go, scheduler.conf is the
// last. super-admin.conf works from the API server's first answer on, while
// admin.conf waits for a role binding that kubeadm makes later.
const waitForKubeconfig = `cd /etc/kubernetes
until [ -s scheduler.conf ]; do sleep 0.1; done
cat super-admin.conf 2>/dev/null || cat admin.conf`

// connect makes the cluster's clients from the kubeconfig in its node, waiting
// for kubeadm to write it. The API server need not answer yet.
func (p *Provider) connect(ctx context.Context, spec sandbox.Spec, node container) (*cluster, error) {
	address, err := node.published("6443/tcp")
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, apiLimit, errors.New("kubeadm has written no kubeconfig"))
	defer cancel()
	name := p.clusterName(spec.ID)
	kubeconfig, err := docker(limited, "exec", nodeName(name), "sh", "-c", waitForKubeconfig)
	if err != nil {
		return nil, err
	}
	config, err := kubernetes.AdminConfig([]byte(kubeconfig), address)
	if err != nil {
		return nil, err
	}
	log := p.log.With("sandbox", spec.ID)
	lab, err := kubernetes.New(config, kubernetes.Options{
		Topology: spec.Topology, Node: nodeName(name), TerminalImage: nodeimage.TerminalImage, Surroundings: surroundings{p, name}, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return &cluster{Lab: lab, provider: p, name: name, node: nodeName(name), topology: spec.Topology, log: log}, nil
}

// Adopt takes over the running cluster of a sandbox that an earlier process
// created with the same spec. It fails with [sandbox.ErrGone] where there is
// none, where its node does not run, and where it was never finished or was
// made for another topology.
func (p *Provider) Adopt(ctx context.Context, spec sandbox.Spec) (sandbox.Cluster, error) {
	c, err := p.adopt(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("kind: adopt sandbox %s: %w", spec.ID, err)
	}
	return c, nil
}

func (p *Provider) adopt(ctx context.Context, spec sandbox.Spec) (*cluster, error) {
	node, err := inspectContainer(ctx, nodeName(p.clusterName(spec.ID)))
	if errors.Is(err, errNoSuchObject) || err == nil && !node.State.Running {
		return nil, sandbox.ErrGone
	} else if err != nil {
		return nil, err
	}
	// Of a cluster that was being made when the earlier process ended there
	// may never be a kubeconfig; one that was ready has it.
	if _, err := docker(ctx, "exec", nodeName(p.clusterName(spec.ID)), "test", "-s", "/etc/kubernetes/scheduler.conf"); err != nil {
		return nil, fmt.Errorf("the cluster was never finished: %w", sandbox.ErrGone)
	}
	c, err := p.connect(ctx, spec, node)
	if err != nil {
		return nil, err
	}
	if err := c.resume(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// resume connects to the lab in a cluster that was ready once.
func (c *cluster) resume(ctx context.Context) error {
	if err := c.AwaitAPI(ctx, adoptLimit); err != nil {
		return err
	}
	if err := c.WasReady(ctx); err != nil {
		return err
	}
	if err := c.Surround(ctx); err != nil {
		return err
	}
	return c.AwaitPods(ctx, adoptLimit)
}

package kind

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	kindcluster "sigs.k8s.io/kind/pkg/cluster"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// How long each part of a creation may take. They are what a slow, busy
// machine needs several times over: past them nothing comes any more.
const (
	apiLimit   = 3 * time.Minute
	nodeLimit  = 3 * time.Minute
	podsLimit  = 2 * time.Minute
	openLimit  = 2 * time.Minute
	proveLimit = time.Minute
	adoptLimit = 90 * time.Second
)

// Create makes the sandbox: a kind cluster with Calico and the topology's pods,
// every flow of which has been seen open, and which has been seen to enforce a
// policy. When ctx ends or a step fails, everything made is removed before it
// returns; all failures but the end of ctx are a *[sandbox.Failure].
func (p *Provider) Create(ctx context.Context, spec sandbox.Spec, progress sandbox.Progress) (sandbox.Cluster, error) {
	name := p.clusterName(spec.ID)
	existing, err := containersWith(ctx, labelCluster+"="+name)
	if err != nil {
		return nil, failure("", err)
	}
	if len(existing) > 0 {
		return nil, fmt.Errorf("kind: create sandbox %s: it exists", spec.ID)
	}

	p.begin(name)
	steps := newSteps(progress)
	c, err := p.create(ctx, spec, steps)
	if err == nil {
		return c, nil
	}
	steps.fail()
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	if left := p.remove(cleanup, name); left != nil {
		p.log.Error("a failed sandbox could not be removed", "sandbox", spec.ID, "err", left)
	}
	p.end(cleanup, name)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("kind: create sandbox %s: %w", spec.ID, context.Cause(ctx))
	}
	return nil, failure(stepNames[steps.current], err)
}

// create does the work of Create and leaves the removal to it. Its steps
// overlap: while kind is still busy, the lab is set up through an API server
// that already answers.
func (p *Provider) create(ctx context.Context, spec sandbox.Spec, steps *steps) (*cluster, error) {
	f, err := p.flavour(ctx)
	if err != nil {
		return nil, &sandbox.Failure{Message: "This server cannot make clusters at the moment: " + err.Error() + ".", Err: err}
	}
	name := p.clusterName(spec.ID)
	boot := newKindLog(p.log.With("sandbox", spec.ID))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	booted := make(chan error, 1)
	go func() {
		err := runKind(name, p.opts.NodeImage, f, boot)
		boot.finished()
		if err != nil {
			cancel(err)
		}
		booted <- err
	}()

	c, err := p.setUp(ctx, spec, f, steps, boot, booted)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		// kind takes no context: without its container its commands fail.
		p.endKind(name, booted)
		return nil, err
	}
	return c, nil
}

// runKind has kind make the cluster. It cannot be interrupted.
func runKind(name, image string, f flavour, log *kindLog) error {
	// kind writes the new cluster's kubeconfig somewhere in any case: not into
	// the user's.
	dir := scratch(name)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kind := kindcluster.NewProvider(kindcluster.ProviderWithDocker(), kindcluster.ProviderWithLogger(log))
	return kindError(kind.Create(name,
		kindcluster.CreateWithRawConfig([]byte(clusterConfig(f))),
		kindcluster.CreateWithNodeImage(image),
		kindcluster.CreateWithKubeconfigPath(filepath.Join(dir, "kubeconfig")),
	))
}

// scratch is the folder in which kind works for a cluster. It has the cluster's
// name, so that Delete finds it also where the process that made it was killed.
func scratch(cluster string) string {
	return filepath.Join(os.TempDir(), "netpol-lab-kind-"+cluster)
}

// endKind makes a kind that is still at work fail, and waits for its end.
func (p *Provider) endKind(name string, booted chan error) {
	limit := time.NewTimer(cleanupLimit)
	defer limit.Stop()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		// Again and again: at first the container may not be there yet.
		if err := p.remove(context.Background(), name); err != nil {
			p.log.Debug("cannot remove the node yet", "cluster", name, "err", err)
		}
		select {
		case err := <-booted:
			booted <- err
			return
		case <-limit.C:
			p.log.Error("kind does not come to an end", "cluster", name)
			return
		case <-again.C:
		}
	}
}

// setUp follows kind through the start of the node and sets up the lab in it.
func (p *Provider) setUp(ctx context.Context, spec sandbox.Spec, f flavour, steps *steps, boot *kindLog, booted chan error) (*cluster, error) {
	if err := await(ctx, boot.nodeUp); err != nil {
		return nil, err
	}
	name := p.clusterName(spec.ID)
	node, err := inspectContainer(ctx, nodeName(name))
	if err != nil {
		return nil, err
	}
	network, nodeAddr, err := node.network()
	if err != nil {
		return nil, err
	}

	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return p.ensureInternet(groupCtx, name, network, spec.Topology.External)
	})
	var c *cluster
	group.Go(func() (err error) {
		c, err = p.setUpLab(groupCtx, spec, f, steps, boot, node)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, closeCluster(c))
	}
	if err := c.prove(ctx, steps, nodeAddr, booted); err != nil {
		return nil, errors.Join(err, closeCluster(c))
	}
	return c, nil
}

// setUpLab is setUp's part inside the cluster, up to pods that are ready.
func (p *Provider) setUpLab(ctx context.Context, spec sandbox.Spec, f flavour, steps *steps, boot *kindLog, node container) (*cluster, error) {
	if err := await(ctx, boot.configured); err != nil {
		return nil, err
	}
	steps.done() // The node is up.
	name := p.clusterName(spec.ID)
	c, err := p.connect(ctx, spec, node)
	if err != nil {
		return nil, err
	}
	if err := c.AwaitAPI(ctx, apiLimit); err != nil {
		return c, err
	}
	steps.done() // Kubernetes is up.

	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if f.calico {
			// Calico's agent waits for it.
			if err := c.PublishCA(groupCtx, sandbox.DNSNamespace); err != nil {
				return err
			}
			return errors.Join(createCalico(groupCtx, name), c.OneDNSReplica(groupCtx))
		}
		return p.installCalico(groupCtx, name, f)
	})
	group.Go(func() error { return c.Prepare(groupCtx) })
	group.Go(func() error { return c.AwaitNode(groupCtx, nodeLimit) })
	if err := group.Wait(); err != nil {
		return c, err
	}
	steps.done() // The network is up.
	if err := c.CreatePods(ctx, f.podImage); err != nil {
		return c, err
	}
	return c, c.AwaitPods(ctx, podsLimit)
}

// createCalico creates Calico out of the node's own image.
func createCalico(ctx context.Context, cluster string) error {
	_, err := docker(ctx, "exec", nodeName(cluster), nodeimage.StartCalico)
	return err
}

// prove measures every flow, proves that policies are enforced, and marks the
// cluster as ready.
func (c *cluster) prove(ctx context.Context, steps *steps, node netip.Addr, booted chan error) error {
	// The rest of what kind does is over by now, or nearly.
	select {
	case err := <-booted:
		booted <- err
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.Locate(ctx, node); err != nil {
		return err
	}
	steps.done() // The pods are up.
	if err := sandbox.AwaitVerdict(ctx, c, c.topology.Flows(), probe.Open, openLimit); err != nil {
		return err
	}
	steps.done() // Every flow was seen open.
	// One DNS pod is enough for that, and the others may have come since.
	if err := c.LocateDNSPods(ctx); err != nil {
		return err
	}
	if err := c.Prove(ctx, proveLimit); err != nil {
		return err
	}
	if err := c.MarkReady(ctx); err != nil {
		return err
	}
	steps.done() // Policies were seen enforced.
	return nil
}

func closeCluster(c *cluster) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

// await waits for the channel to be closed.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

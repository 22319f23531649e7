package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	kindcluster "sigs.k8s.io/kind/pkg/cluster"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
)

// How long each part may take, before patience. They are what a slow, busy machine needs
// several times over: past them nothing comes any more.
const (
	apiLimit  = 3 * time.Minute
	nodeLimit = 3 * time.Minute
	// backLimit is how long a node that has stopped, or whose API server has, may take to
	// come back.
	backLimit = 3 * time.Minute
)

// Boot makes a kind cluster with Calico, which has been seen to enforce a policy. When
// ctx ends or a step fails, everything made is removed before it returns; all failures
// but the end of ctx are a *[sandbox.Failure].
func (p *Provider) Boot(ctx context.Context, id sandbox.ClusterID, progress sandbox.Progress) (sandbox.Booted, error) {
	name := p.clusterName(id)
	existing, err := containersWith(ctx, labelCluster+"="+name)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("kind: boot cluster %s: %w", id, context.Cause(ctx))
	} else if err != nil {
		return nil, failure("", err)
	}
	if len(existing) > 0 {
		return nil, fmt.Errorf("kind: boot cluster %s: it exists", id)
	}

	p.begin(name)
	b := &boot{provider: p, id: id, name: name, kindLog: newKindLog(p.log.With("cluster", id)), kind: make(chan error, 1)}
	step, err := b.run(ctx, progress)
	if err == nil {
		p.usesNone(name)
		return b.booted, nil
	}
	if b.booted != nil {
		err = errors.Join(err, b.booted.Close())
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	if left := p.remove(cleanup, name); left != nil {
		p.log.Error("a cluster that could not be booted could not be removed", "cluster", id, "err", left)
	}
	p.end(cleanup, name)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("kind: boot cluster %s: %w", id, context.Cause(ctx))
	}
	return nil, failure(step, err)
}

// boot is one cluster's boot. While kind is still busy with the cluster, the rest is
// done through an API server that already answers.
type boot struct {
	provider *Provider
	id       sandbox.ClusterID
	name     string
	flavour  flavour
	kindLog  *kindLog
	kind     chan error // what kind has ended with
	node     container
	booted   *booted
}

// steps are the steps of a boot.
func (b *boot) steps() []sandbox.Action {
	return []sandbox.Action{
		{Name: "Start the node", Do: b.startNode},
		{Name: "Start Kubernetes", Do: b.startKubernetes},
		{Name: "Start the network (Calico)", Do: b.startNetwork},
		{Name: "Prove that policies are enforced", Do: b.prove},
	}
}

// run goes through the steps, with kind at work beside them.
func (b *boot) run(ctx context.Context, progress sandbox.Progress) (failed string, err error) {
	if b.flavour, err = b.provider.flavour(ctx); err != nil {
		return "", &sandbox.Failure{Message: "This server cannot make clusters at the moment: " + err.Error() + ".", Err: err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		err := runKind(b.name, b.provider.opts.NodeImage, b.provider.clusterConfig(b.flavour), b.kindLog)
		b.kindLog.finished()
		if err != nil {
			cancel(err)
		}
		b.kind <- err
	}()
	failed, err = sandbox.Run(ctx, b.steps(), progress)
	if err == nil {
		return "", nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	// kind takes no context: without its container its commands fail.
	b.endKind()
	return failed, err
}

func (b *boot) startNode(ctx context.Context) (err error) {
	if err := await(ctx, b.kindLog.nodeUp); err != nil {
		return err
	}
	if b.node, err = inspectContainer(ctx, nodeName(b.name)); err != nil {
		return err
	}
	// Before anything of the cluster runs there.
	if err := confine(ctx, b.name); err != nil {
		return err
	}
	return await(ctx, b.kindLog.configured)
}

func (b *boot) startKubernetes(ctx context.Context) (err error) {
	if b.booted, err = b.provider.connect(ctx, b.id, b.node, b.flavour); err != nil {
		return err
	}
	return b.booted.cluster.AwaitAPI(ctx, apiLimit)
}

func (b *boot) startNetwork(ctx context.Context) error {
	cluster := b.booted.cluster
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if b.flavour.calico {
			// Calico's agent waits for it.
			if err := cluster.PublishCA(groupCtx, sandbox.DNSNamespace); err != nil {
				return err
			}
			return createCalico(groupCtx, b.name)
		}
		return b.provider.installCalico(groupCtx, b.name, b.flavour)
	})
	group.Go(func() error { return cluster.KeepDNSInside(groupCtx) })
	group.Go(func() error { return cluster.Prepare(groupCtx) })
	group.Go(func() error { return cluster.AwaitNode(groupCtx, nodeLimit) })
	if err := group.Wait(); err != nil {
		return err
	}
	// Only now: of pods that were there before the network was the kubelet tries to start
	// each once a second, and to mount what they need ever more seldom.
	if b.flavour.calico {
		if err := cluster.OneDNSReplica(ctx); err != nil {
			return err
		}
	}
	return cluster.StartCanary(ctx)
}

// prove waits for the end of what kind does, which is over by now, or nearly, and proves
// that policies are enforced.
func (b *boot) prove(ctx context.Context) error {
	if err := b.booted.cluster.Prove(ctx); err != nil {
		return err
	}
	select {
	case err := <-b.kind:
		b.kind <- err
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return b.booted.cluster.MarkBooted(ctx)
}

// createCalico creates Calico out of the node's own image.
func createCalico(ctx context.Context, cluster string) error {
	_, err := docker(ctx, "exec", nodeName(cluster), nodeimage.StartCalico)
	return err
}

// runKind has kind make the cluster. It cannot be interrupted.
func runKind(name, image, config string, log *kindLog) error {
	// kind writes the new cluster's kubeconfig somewhere in any case: not into
	// the user's.
	dir := scratch(name)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kind := kindcluster.NewProvider(kindcluster.ProviderWithDocker(), kindcluster.ProviderWithLogger(log))
	return kindError(kind.Create(name,
		kindcluster.CreateWithRawConfig([]byte(config)),
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
func (b *boot) endKind() {
	limit := time.NewTimer(cleanupLimit)
	defer limit.Stop()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		// Again and again: at first the container may not be there yet.
		if err := b.provider.remove(context.Background(), b.name); err != nil {
			b.provider.log.Debug("cannot remove the node yet", "cluster", b.id, "err", err)
		}
		select {
		case <-b.kind:
			return
		case <-limit.C:
			b.provider.log.Error("kind does not come to an end", "cluster", b.id)
			return
		case <-again.C:
		}
	}
}

// await waits for the channel to be closed.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waitForKubeconfig prints the administrator's kubeconfig as soon as kubeadm has
// written it. Of the files that kubeadm writes in one go, scheduler.conf is the
// last. super-admin.conf works from the API server's first answer on, while
// admin.conf waits for a role binding that kubeadm makes later.
const waitForKubeconfig = `cd /etc/kubernetes
until [ -s scheduler.conf ]; do sleep 0.1; done
cat super-admin.conf 2>/dev/null || cat admin.conf`

// connect makes the cluster's clients from the kubeconfig in its node, waiting
// for kubeadm to write it. The API server need not answer yet.
func (p *Provider) connect(ctx context.Context, id sandbox.ClusterID, node container, f flavour) (*booted, error) {
	address, err := node.published("6443/tcp")
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, p.patient(apiLimit), errors.New("kubeadm has written no kubeconfig"))
	defer cancel()
	b := &booted{provider: p, name: p.clusterName(id), log: p.log.With("cluster", id)}
	kubeconfig, err := docker(limited, "exec", b.node(), "sh", "-c", waitForKubeconfig)
	if err != nil {
		return nil, err
	}
	config, err := kubernetes.AdminConfig([]byte(kubeconfig), address)
	if err != nil {
		return nil, err
	}
	b.cluster, err = kubernetes.New(config, kubernetes.Options{
		Node: b.node(), PodImage: f.podImage, TerminalImage: nodeimage.TerminalImage,
		Surroundings: surroundings{p, b.name}, Log: b.log, Patience: p.opts.Patience,
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

package kind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// booted is a kind cluster that runs Calico. It is a [sandbox.Booted].
type booted struct {
	provider *Provider
	name     string
	log      *slog.Logger
	cluster  *kubernetes.Cluster

	mu     sync.Mutex
	paused bool
	// away is since when the node has not been in order; zero where it is.
	away time.Time
}

// node is the name of the node and of its container.
func (b *booted) node() string { return nodeName(b.name) }

// Lay lays the topology in the cluster.
func (b *booted) Lay(ctx context.Context, t *sandbox.Topology, progress sandbox.Progress) (sandbox.Cluster, error) {
	lab, step, err := b.cluster.Lay(ctx, t, progress)
	switch {
	case err == nil:
		return &laid{lab, b}, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("kind: lay %s in %s: %w", t.Name, b.name, context.Cause(ctx))
	}
	return nil, failure(step, err)
}

// Laid is the topology as it was laid in the cluster.
func (b *booted) Laid(ctx context.Context, t *sandbox.Topology) (sandbox.Cluster, error) {
	lab, err := b.cluster.Laid(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("kind: %s as laid in %s: %w", t.Name, b.name, err)
	}
	return &laid{lab, b}, nil
}

// Clear takes away what is laid.
func (b *booted) Clear(ctx context.Context) error {
	if err := b.cluster.Clear(ctx); err != nil {
		return fmt.Errorf("kind: clear %s: %w", b.name, err)
	}
	return nil
}

// Close lets go of the connections to the cluster.
func (b *booted) Close() error { return b.cluster.Close() }

// laid is a topology laid in a kind cluster. It is a [sandbox.Cluster].
type laid struct {
	*kubernetes.Lab
	booted *booted
}

var _ sandbox.ShellCluster = (*laid)(nil)

// surroundings are those of the cluster of that name.
type surroundings struct {
	provider *Provider
	cluster  string
}

// Ensure makes sure that the outside hosts run in the node's network, and that the node
// finds them, and no others, there.
func (s surroundings) Ensure(ctx context.Context, hosts []sandbox.External) (kubernetes.Node, error) {
	node, err := inspectContainer(ctx, nodeName(s.cluster))
	if err != nil {
		return kubernetes.Node{}, err
	}
	network, addr, err := node.network()
	if err != nil {
		return kubernetes.Node{}, err
	}
	started, err := time.Parse(time.RFC3339Nano, node.State.StartedAt)
	if err != nil {
		return kubernetes.Node{}, fmt.Errorf("when node %s has started: %w", s.cluster, err)
	}
	return kubernetes.Node{Address: addr, Started: started}, s.provider.ensureInternet(ctx, s.cluster, network, hosts)
}

// Health fails with [sandbox.ErrGone] where the node's container is not there, or does
// not come back, and with another error where the API server is not ready. A node that
// has stopped is started again. An outside host that Docker has started again gets its
// address again.
func (c *laid) Health(ctx context.Context) error {
	b := c.booted
	if b.isPaused() {
		return b.there(ctx)
	}
	err := c.Ready(ctx)
	if err == nil {
		b.back()
		if !b.provider.hostsRunOn(ctx, b.name, hostsSeenFor) {
			if err := c.Surround(ctx); err != nil && ctx.Err() == nil {
				b.log.Warn("an outside host does not run, and is not in reach again yet", "err", err)
			}
		}
		return nil
	}
	err = b.explain(ctx, err)
	if reason := b.recall(ctx); reason != nil {
		return fmt.Errorf("kind: node %s: %w", b.node(), errors.Join(reason, err))
	}
	return fmt.Errorf("kind: the API server of %s is not ready: %w", b.node(), err)
}

// hostsSeenFor is how long what Docker has said of the outside hosts holds: less than
// from one look at a sandbox's health to the next.
const hostsSeenFor = 4 * time.Second

// Apply applies the policies.
func (c *laid) Apply(ctx context.Context, policies []policy.Policy) error {
	return c.booted.explain(ctx, c.Lab.Apply(ctx, policies))
}

// Delete removes the named policies.
func (c *laid) Delete(ctx context.Context, refs []sandbox.PolicyRef) error {
	return c.booted.explain(ctx, c.Lab.Delete(ctx, refs))
}

const (
	// fullBelow is how little room there must be on a node's disk, in KiB, for that to be
	// why its cluster does not answer: etcd sets 64 MB aside at a time.
	fullBelow = 64 << 10
	// explainLimit is how long it may take to find out why a cluster does not answer.
	explainLimit = 3 * time.Second
)

// explain adds to the error of a cluster that does not answer why that is, where it can
// be found out. What is the learner's own mistake needs no other reason.
func (b *booted) explain(ctx context.Context, err error) error {
	var mistake *policy.Error
	if err == nil || errors.As(err, &mistake) {
		return err
	}
	// The time for what was asked may be over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainLimit)
	defer cancel()
	free, asked := docker(ctx, "exec", b.node(), "sh", "-c", "df -kP /var | { read -r _; read -r _ _ _ free _; echo $free; }")
	kib, unreadable := strconv.ParseInt(free, 10, 64)
	if asked != nil || unreadable != nil || kib >= fullBelow {
		return err
	}
	return &sandbox.Failure{Message: "The disk of the machine that runs the lab is full, and the cluster cannot write anything down: whoever runs the lab has to free some space on it.", Err: err}
}

// there fails with [sandbox.ErrGone] where the node's container is not there.
func (b *booted) there(ctx context.Context) error {
	_, err := inspectContainer(ctx, b.node())
	if errors.Is(err, errNoSuchObject) {
		err = sandbox.ErrGone
	}
	if err != nil {
		return fmt.Errorf("kind: node %s: %w", b.node(), err)
	}
	return nil
}

// recall starts a node that has stopped again. It fails with [sandbox.ErrGone] where the
// container is not there, or where the node has been away for too long.
func (b *booted) recall(ctx context.Context) error {
	node, err := inspectContainer(ctx, b.node())
	switch {
	case errors.Is(err, errNoSuchObject):
		return sandbox.ErrGone
	case err != nil:
		return err // Docker does not answer: nothing is known.
	}
	b.mu.Lock()
	if b.away.IsZero() {
		b.away = time.Now()
	}
	away := time.Since(b.away)
	b.mu.Unlock()
	limit := b.provider.patient(backLimit)
	if away > limit {
		return fmt.Errorf("it has not come back within %s: %w", limit, sandbox.ErrGone)
	}
	switch {
	case node.State.Paused: // by somebody else, for who asks has woken it
		return thaw(ctx, b.node())
	case node.State.Running:
		return nil
	}
	b.log.Warn("the node has stopped; it is started again", "node", b.node())
	if _, err := docker(ctx, "start", b.node()); err != nil {
		return err
	}
	return errors.New("it has stopped, and was started again")
}

// back notes that the node is in order.
func (b *booted) back() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = time.Time{}
}

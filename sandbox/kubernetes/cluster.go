// Package kubernetes lays topologies in a Kubernetes cluster, and works with what it has
// laid there: policies, probes, the terminal. It knows the cluster's API alone, and not
// what the cluster runs on.
package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Surroundings is what stands beside a cluster's API: its node, and the outside hosts.
// Whoever runs the cluster knows them.
type Surroundings interface {
	// Ensure makes sure that the outside hosts run, that the lab's pods reach them and no
	// others, and says where the node is.
	Ensure(ctx context.Context, hosts []sandbox.External) (Node, error)
}

// Node is a cluster's node.
type Node struct {
	Address netip.Addr
	// Started is when it started last; zero where that is not known. What the API server
	// says of pods may be of before for some seconds.
	Started time.Time
}

// Options says what a Cluster is like.
type Options struct {
	// Node is the name of the cluster's node, which all pods run on.
	Node string
	// PodImage is the image of the lab's pods and TerminalImage that of the terminal's,
	// as the node has them.
	PodImage, TerminalImage string
	Surroundings            Surroundings
	Log                     *slog.Logger
	// Patience is how many times longer than usual anything may take.
	Patience float64
}

// Cluster is a cluster in which topologies can be laid, one at a time. Its methods take
// turns, but for Close and those of what is laid.
type Cluster struct {
	*access
	canary canary

	mu  sync.Mutex
	lab *Lab // what this process has laid, or found laid, or is laying; nil where it is none
}

// access is the way to a cluster.
type access struct {
	Options
	ca []byte // the cluster's certificate authority

	// admin sets labs up and fetches the accounts' tokens; nothing that a
	// learner asks for is done with it.
	admin *api
	// policies acts as the policies account, pods and executor as the prober account.
	policies *api
	pods     *api
	*executor
	// requests has the connections of all of them but the executor.
	requests *connrotation.Dialer
}

// New makes the clients of a cluster whose administrator has the config, without using
// them.
func New(config *rest.Config, o Options) (*Cluster, error) {
	a := &access{Options: o, ca: config.CAData, requests: connrotation.NewDialer((&net.Dialer{}).DialContext)}
	config = rest.CopyConfig(config)
	config.Dial = a.requests.DialContext
	config.WarningHandler = rest.NoWarnings{} // about kinds that are deprecated
	config.Wrap(bounded(maxWrites))
	var err error
	if a.admin, err = newAPI(config); err != nil {
		return nil, err
	}
	if a.policies, err = newAPI(newAccount(a.admin, PoliciesAccount).config(config)); err != nil {
		return nil, err
	}
	prober := newAccount(a.admin, ProberAccount)
	if a.pods, err = newAPI(prober.config(config)); err != nil {
		return nil, err
	}
	if a.executor, err = newExecutor(config, a.pods, prober, a.patient(execLimit)); err != nil {
		return nil, err
	}
	c := &Cluster{access: a}
	c.canary = newCanary(a)
	return c, nil
}

// How long each part may take. They are what a slow, busy machine needs several times
// over: past them nothing comes any more.
const (
	readyLimit = 2 * time.Second
	podsLimit  = 2 * time.Minute
	openLimit  = 2 * time.Minute
	clearLimit = time.Minute
	proofLimit = 2 * time.Minute
)

// patient is a limit of time as this machine needs it.
func (a *access) patient(limit time.Duration) time.Duration {
	return time.Duration(float64(limit) * max(a.Patience, 1))
}

// within is ctx with a limit of time, which patience makes longer, and what was not to be
// had in it.
func (a *access) within(ctx context.Context, limit time.Duration, what string) (context.Context, context.CancelFunc) {
	limit = a.patient(limit)
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s within %s", what, limit))
}

// AwaitAPI waits until the API server says that it is ready.
func (c *Cluster) AwaitAPI(ctx context.Context, limit time.Duration) error {
	ctx, cancel := c.within(ctx, limit, "the API server was not ready")
	defer cancel()
	for {
		err := c.apiReady(ctx, c.admin)
		if err == nil {
			return nil
		}
		if !pause(ctx) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// apiReady asks the API server once whether it is ready.
func (a *access) apiReady(ctx context.Context, client *api) error {
	ctx, cancel := a.within(ctx, readyLimit, "the API server did not answer")
	defer cancel()
	return client.ready(ctx)
}

// AwaitNode waits until the node is ready, which it is when its network is.
func (c *Cluster) AwaitNode(ctx context.Context, limit time.Duration) error {
	ctx, cancel := c.within(ctx, limit, "the node was not ready")
	defer cancel()
	return watchUntil(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + c.Node},
		func(ctx context.Context, opts metav1.ListOptions) ([]corev1.Node, string, error) {
			var list corev1.NodeList
			err := c.admin.list(ctx, nodes, "", opts, &list)
			return list.Items, list.ResourceVersion, err
		},
		func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return c.admin.watch(ctx, nodes, "", opts)
		},
		func(node *corev1.Node) bool {
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady {
					return condition.Status == corev1.ConditionTrue
				}
			}
			return false
		})
}

// PublishCA gives the namespace the cluster's certificate authority before the
// controller manager comes to it, which keeps it from then on.
func (a *access) PublishCA(ctx context.Context, namespace string) error {
	return created(a.admin.create(ctx, configMaps, namespace, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rootCA},
		Data:       map[string]string{"ca.crt": string(a.ca)},
	}))
}

// rootCA is the ConfigMap with the cluster's certificate authority in each namespace.
const rootCA = "kube-root-ca.crt"

// Prepare makes the lab's own namespace, its accounts, and what the canary's pod needs. No
// network need be there yet.
func (c *Cluster) Prepare(ctx context.Context) error {
	if err := created(c.admin.create(ctx, namespaces, "", &corev1.Namespace{ObjectMeta: meta("", SystemNamespace)})); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for name := range accountRules {
		group.Go(func() error { return c.createAccount(ctx, SystemNamespace, name) })
	}
	group.Go(func() error { return c.canary.prepare(ctx) })
	return group.Wait()
}

// StartCanary makes the canary's pod.
func (c *Cluster) StartCanary(ctx context.Context) error { return c.canary.start(ctx) }

func (a *access) createAccount(ctx context.Context, namespace, name string) error {
	no := false
	return created(a.admin.create(ctx, serviceAccounts, namespace,
		&corev1.ServiceAccount{ObjectMeta: meta(namespace, name), AutomountServiceAccountToken: &no}))
}

// created is the error of a creation, where somebody else's creation of the same
// object is none.
func created(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Prove proves that the cluster enforces policies now, whatever is laid in it.
func (c *Cluster) Prove(ctx context.Context) error { return c.canary.prove(ctx) }

const (
	// annotationBooted is set on the lab's own namespace when the cluster has been
	// proven. A cluster without it was never booted to the end.
	annotationBooted = "netpol-lab.github.io/booted"
	// annotationLaid is set there when a topology is laid to the end, of which it is the
	// hash.
	annotationLaid = "netpol-lab.github.io/laid"
)

// MarkBooted notes in the cluster that it was booted to the end.
func (c *Cluster) MarkBooted(ctx context.Context) error { return c.note(ctx, annotationBooted, "true") }

// WasBooted fails with [sandbox.ErrGone] where the cluster was never booted to the end.
func (c *Cluster) WasBooted(ctx context.Context) error {
	switch booted, err := c.noted(ctx, annotationBooted); {
	case err != nil:
		return err
	case booted == "":
		return fmt.Errorf("the cluster was never booted to the end: %w", sandbox.ErrGone)
	}
	return nil
}

// note notes something in the cluster; an empty value takes the note away.
func (a *access) note(ctx context.Context, annotation, value string) error {
	noted := &value
	if value == "" {
		noted = nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]*string{annotation: noted}}})
	if err != nil {
		return err
	}
	return a.admin.patch(ctx, namespaces, "", SystemNamespace, types.MergePatchType, patch, metav1.PatchOptions{})
}

// noted is what was noted, and empty where nothing was.
func (a *access) noted(ctx context.Context, annotation string) (string, error) {
	var system corev1.Namespace
	err := a.admin.get(ctx, namespaces, "", SystemNamespace, &system)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	return system.Annotations[annotation], nil
}

// Rest is called before the cluster is frozen: its connections are let go of, for they
// would be dead when it is not any more, and no answer is waited for. The streams to the
// probes stay.
func (c *Cluster) Rest() {
	c.canary.prober.Pause()
	if lab := c.current(); lab != nil {
		lab.prober.Pause()
	}
	c.requests.CloseAll()
}

// Resume is called when the cluster is not frozen any more. What was asked of it
// meanwhile may hang on connections of then.
func (c *Cluster) Resume() {
	c.requests.CloseAll()
	c.canary.prober.Resume()
	if lab := c.current(); lab != nil {
		lab.prober.Resume()
	}
}

// Close lets go of the connections to the cluster, also those of what is laid in it. The
// cluster goes on running.
func (c *Cluster) Close() error {
	err := errors.Join(c.closeLab(), c.canary.prober.Close())
	c.requests.CloseAll()
	return err
}

func (c *Cluster) current() *Lab {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lab
}

// closeLab closes what is laid; from then on this process knows of nothing that is.
func (c *Cluster) closeLab() error {
	c.mu.Lock()
	lab := c.lab
	c.lab = nil
	c.mu.Unlock()
	if lab == nil {
		return nil
	}
	return lab.Close()
}

// open is a lab with the topology, of which nothing is known yet.
func (c *Cluster) open(t *sandbox.Topology) *Lab {
	lab := newLab(c.access, t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lab = lab
	return lab
}

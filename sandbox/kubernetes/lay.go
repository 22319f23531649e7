package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// pace is the pause between two looks at something that cannot be watched.
const pace = 50 * time.Millisecond

// annotationReady is set on the lab's own namespace when the sandbox has been
// proven; its value is the hash of the topology. A cluster without it was
// never finished and is not adopted.
const annotationReady = "netpol-lab.github.io/ready"

// AwaitAPI waits until the API server says that it is ready.
func (c *Lab) AwaitAPI(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the API server was not ready within %s", limit))
	defer cancel()
	for {
		err := apiReady(ctx, c.admin)
		if err == nil {
			return nil
		}
		if !pause(ctx) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// apiReady asks the API server once whether it is ready.
func apiReady(ctx context.Context, client *api) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return client.ready(ctx)
}

// pause waits before another look at something that cannot be watched, and
// reports whether there is time for it.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(pace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// rootCA is the ConfigMap with the cluster's certificate authority in each namespace.
const rootCA = "kube-root-ca.crt"

// PublishCA gives the namespace the cluster's certificate authority before the
// controller manager comes to it, which keeps it from then on.
func (c *Lab) PublishCA(ctx context.Context, namespace string) error {
	return created(c.admin.create(ctx, configMaps, namespace, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rootCA},
		Data:       map[string]string{"ca.crt": string(c.proberConfig.CAData)},
	}))
}

// OneDNSReplica scales the cluster's DNS down, as soon as kubeadm has made it, from
// two replicas to the one that a node has use for.
func (c *Lab) OneDNSReplica(ctx context.Context) error {
	for {
		err := c.admin.scale(ctx, sandbox.DNSNamespace, "coredns", 1)
		if !apierrors.IsNotFound(err) {
			return err
		}
		if !pause(ctx) {
			return context.Cause(ctx)
		}
	}
}

// Prepare makes everything of the lab but its pods.
func (c *Lab) Prepare(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := created(c.admin.create(ctx, namespaces, "", &corev1.Namespace{ObjectMeta: meta("", SystemNamespace)})); err != nil {
			return err
		}
		for name := range accountRules {
			if err := c.createAccount(ctx, SystemNamespace, name); err != nil {
				return err
			}
		}
		return nil
	})
	for _, ns := range c.topology.Namespaces {
		group.Go(func() error { return c.prepareNamespace(ctx, ns) })
	}
	return group.Wait()
}

func (c *Lab) prepareNamespace(ctx context.Context, ns sandbox.Namespace) error {
	if err := created(c.admin.create(ctx, namespaces, "", namespaceObject(ns))); err != nil {
		return err
	}
	// No pod is admitted without it, and the controller that would make it
	// may not have started yet.
	if err := c.createAccount(ctx, ns.Name, "default"); err != nil {
		return err
	}
	for name := range accountRules {
		role, binding := roleObjects(ns.Name, name)
		if err := created(c.admin.create(ctx, roles, ns.Name, role)); err != nil {
			return err
		}
		if err := created(c.admin.create(ctx, roleBindings, ns.Name, binding)); err != nil {
			return err
		}
	}
	byName := map[string]sandbox.Pod{}
	for _, pod := range ns.Pods {
		byName[pod.Name] = pod
	}
	for _, svc := range ns.Services {
		if err := created(c.admin.create(ctx, services, ns.Name, serviceObject(ns.Name, svc, byName[svc.Pod]))); err != nil {
			return err
		}
	}
	return nil
}

func (c *Lab) createAccount(ctx context.Context, namespace, name string) error {
	no := false
	return created(c.admin.create(ctx, serviceAccounts, namespace,
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

// CreatePods makes the topology's pods, which run the image.
func (c *Lab) CreatePods(ctx context.Context, image string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, ns := range c.topology.Namespaces {
		for _, pod := range ns.Pods {
			group.Go(func() error {
				return created(c.admin.create(ctx, pods, ns.Name, podObject(ns.Name, pod, image, c.node)))
			})
		}
	}
	return group.Wait()
}

// AwaitNode waits until the node is ready, which it is when its network is.
func (c *Lab) AwaitNode(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the node was not ready within %s", limit))
	defer cancel()
	only := metav1.ListOptions{FieldSelector: "metadata.name=" + c.node}
	return watchUntil(ctx, only,
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

// AwaitPods waits until every pod of the topology is ready, notes its address
// and begins to open the stream to its probe.
func (c *Lab) AwaitPods(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the lab's pods were not ready within %s", limit))
	defer cancel()
	waiting := map[string]bool{}
	for _, pod := range c.topology.Sources() {
		waiting[pod] = true
	}
	return watchUntil(ctx, metav1.ListOptions{},
		func(ctx context.Context, opts metav1.ListOptions) ([]corev1.Pod, string, error) {
			var list corev1.PodList
			err := c.admin.list(ctx, pods, "", opts, &list)
			return list.Items, list.ResourceVersion, err
		},
		func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return c.admin.watch(ctx, pods, "", opts)
		},
		func(pod *corev1.Pod) bool {
			name := pod.Namespace + "/" + pod.Name
			addr, err := netip.ParseAddr(pod.Status.PodIP)
			if !waiting[name] || err != nil || !podReady(pod) {
				return len(waiting) == 0
			}
			delete(waiting, name)
			c.setPod(name, addr)
			c.prober.Start(name)
			return len(waiting) == 0
		})
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// watchUntil shows done every object that list gives, and then every change
// that watch tells of, until done says so. A watch that breaks off begins anew.
func watchUntil[T any](ctx context.Context, opts metav1.ListOptions,
	list func(context.Context, metav1.ListOptions) ([]T, string, error),
	watcher func(context.Context, metav1.ListOptions) (watch.Interface, error),
	done func(*T) bool) error {
	for {
		over, err := watchOnce(ctx, opts, list, watcher, done)
		if over {
			return nil
		}
		if !pause(ctx) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func watchOnce[T any](ctx context.Context, opts metav1.ListOptions,
	list func(context.Context, metav1.ListOptions) ([]T, string, error),
	watcher func(context.Context, metav1.ListOptions) (watch.Interface, error),
	done func(*T) bool) (bool, error) {
	items, version, err := list(ctx, opts)
	if err != nil {
		return false, err
	}
	for i := range items {
		if done(&items[i]) {
			return true, nil
		}
	}
	opts.ResourceVersion = version
	changes, err := watcher(ctx, opts)
	if err != nil {
		return false, err
	}
	defer changes.Stop()
	for {
		select {
		case event, ok := <-changes.ResultChan():
			if !ok || event.Type == watch.Error {
				return false, nil
			}
			if object, ok := any(event.Object).(*T); ok && event.Type != watch.Deleted && done(object) {
				return true, nil
			}
		case <-ctx.Done():
			return false, nil
		}
	}
}

// MarkReady notes in the cluster that it was proven, for Adopt.
func (c *Lab) MarkReady(ctx context.Context) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotationReady: topologyHash(c.topology)}}})
	if err != nil {
		return err
	}
	return c.admin.patch(ctx, namespaces, "", SystemNamespace, types.MergePatchType, patch, metav1.PatchOptions{})
}

// topologyHash tells two topologies apart.
func topologyHash(t *sandbox.Topology) string {
	src, err := json.Marshal(t)
	if err != nil {
		panic(err) // Strings, numbers and maps of strings: it cannot fail.
	}
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:8])
}

// WasReady fails with [sandbox.ErrGone] where the lab was never finished, or was laid for
// another topology.
func (c *Lab) WasReady(ctx context.Context) error {
	var system corev1.Namespace
	err := c.admin.get(ctx, namespaces, "", SystemNamespace, &system)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the cluster was never finished: %w", sandbox.ErrGone)
	} else if err != nil {
		return err
	}
	switch system.Annotations[annotationReady] {
	case topologyHash(c.topology):
		return nil
	case "":
		return fmt.Errorf("the cluster was never finished: %w", sandbox.ErrGone)
	default:
		return fmt.Errorf("the cluster was made for another topology: %w", sandbox.ErrGone)
	}
}

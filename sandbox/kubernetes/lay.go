package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// pace is the pause between two looks at something that cannot be watched.
const pace = 50 * time.Millisecond

// LaySteps are the names of the steps that Lay goes through.
func LaySteps() []string { return sandbox.Names((*Cluster)(nil).laying(nil, nil)) }

// laying are the steps of a Lay of the topology, as lab.
func (c *Cluster) laying(t *sandbox.Topology, lab **Lab) []sandbox.Action {
	return []sandbox.Action{
		{Name: "Start the lab's pods", Do: func(ctx context.Context) error {
			if err := c.clear(ctx); err != nil {
				return err
			}
			*lab = c.open(t)
			return (*lab).start(ctx)
		}},
		{Name: "Measure from every pod", Do: func(ctx context.Context) error {
			if err := (*lab).awaitOpen(ctx); err != nil {
				return err
			}
			return c.note(ctx, annotationLaid, topologyHash(t))
		}},
	}
}

// Lay lays the topology in the cluster, in the place of what is laid there, and measures
// every flow of it open. Where that fails, failed is the step that did.
func (c *Cluster) Lay(ctx context.Context, t *sandbox.Topology, progress sandbox.Progress) (lab *Lab, failed string, err error) {
	failed, err = sandbox.Run(ctx, c.laying(t, &lab), progress)
	if err != nil {
		return nil, failed, errors.Join(err, c.closeLab())
	}
	return lab, "", nil
}

// Laid is the topology as it was laid, by an earlier process it may be. It fails with
// [sandbox.ErrNotLaid] where nothing, or something else, is laid. What this process has
// laid, and not closed, it is given again as it is.
func (c *Cluster) Laid(ctx context.Context, t *sandbox.Topology) (*Lab, error) {
	if lab := c.current(); lab != nil && !lab.closed.Load() && topologyHash(lab.topology) == topologyHash(t) {
		return lab, nil
	}
	laid, err := c.noted(ctx, annotationLaid)
	if err != nil {
		return nil, err
	}
	if laid != topologyHash(t) {
		return nil, sandbox.ErrNotLaid
	}
	if err := c.closeLab(); err != nil {
		return nil, err
	}
	lab := c.open(t)
	// First the node: what is told of the pods may be of before it started.
	if err := lab.Surround(ctx); err != nil {
		return nil, errors.Join(err, c.closeLab())
	}
	if err := lab.awaitPods(ctx); err != nil {
		return nil, errors.Join(err, c.closeLab())
	}
	return lab, nil
}

// start makes everything of the lab and waits until its pods are ready.
func (c *Lab) start(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	var node Node
	group.Go(func() (err error) {
		node, err = c.Surroundings.Ensure(groupCtx, c.topology.External)
		return err
	})
	for _, ns := range c.topology.Namespaces {
		group.Go(func() error { return c.prepareNamespace(groupCtx, ns) })
	}
	group.Go(func() error { return c.awaitPods(groupCtx) })
	if err := group.Wait(); err != nil {
		return err
	}
	return c.locate(ctx, node)
}

// awaitOpen waits until every flow was seen open.
//
// What is not there yet is silent, and over UDP silence takes long to tell from slowness
// on a busy machine. So TCP goes first: where that is open, the rest is there too.
func (c *Lab) awaitOpen(ctx context.Context) error {
	ctx, cancel := c.within(ctx, openLimit, "not every flow was open")
	defer cancel()
	var first, then []sandbox.Flow
	for _, flow := range c.topology.Flows() {
		if flow.Via == sandbox.ViaIP && flow.Protocol == sandbox.TCP {
			first = append(first, flow)
		} else {
			then = append(then, flow)
		}
	}
	if err := c.await(ctx, first); err != nil {
		return err
	}
	return c.await(ctx, then)
}

// await measures the flows again and again until each was seen open.
func (c *Lab) await(ctx context.Context, flows []sandbox.Flow) error {
	for {
		var mu sync.Mutex
		seen := make(map[string]sandbox.Observation, len(flows))
		c.Probe(ctx, flows, openTimeout, func(o sandbox.Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen[o.Flow] = o
		})
		flows = slices.DeleteFunc(flows, func(f sandbox.Flow) bool { return seen[f.ID].Verdict == probe.Open })
		if len(flows) == 0 {
			return nil
		}
		select {
		case <-time.After(openPause):
		case <-ctx.Done():
			first := seen[flows[0].ID]
			return fmt.Errorf("%w: %d flows are left, the first %s: %s %s", context.Cause(ctx), len(flows), flows[0].ID, first.Verdict, first.Detail)
		}
	}
}

const (
	// openTimeout is how long an answer is waited for at first; a busy machine gets longer.
	openTimeout = 30 * time.Millisecond
	// openPause is the pause before flows that are not open yet are measured again.
	openPause = 10 * time.Millisecond
)

// prepareNamespace makes a namespace with all that is in it.
func (c *Lab) prepareNamespace(ctx context.Context, ns sandbox.Namespace) error {
	if err := created(c.admin.create(ctx, namespaces, "", namespaceObject(ns))); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	put := func(r resource, object runtime.Object) {
		group.Go(func() error { return created(c.admin.create(ctx, r, ns.Name, object)) })
	}
	for name := range accountRules {
		role, binding := roleObjects(ns.Name, name)
		put(roles, role)
		put(roleBindings, binding)
	}
	byName := map[string]sandbox.Pod{}
	for _, pod := range ns.Pods {
		byName[pod.Name] = pod
	}
	for _, svc := range ns.Services {
		put(services, serviceObject(ns.Name, svc, byName[svc.Pod]))
	}
	// No pod is admitted without it, and the controller that would make it may be slow.
	if err := c.createAccount(ctx, ns.Name, "default"); err != nil {
		return errors.Join(err, group.Wait())
	}
	for _, pod := range ns.Pods {
		put(pods, podObject(ns.Name, pod, c.PodImage, c.Node))
	}
	return group.Wait()
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

// awaitPods waits until every pod of the topology is ready, notes its address
// and begins to open the stream to its probe.
func (c *Lab) awaitPods(ctx context.Context) error {
	ctx, cancel := c.within(ctx, podsLimit, "the lab's pods were not ready")
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
			if !waiting[name] || err != nil || !c.runs(pod) {
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

// topologyHash tells two topologies apart.
func topologyHash(t *sandbox.Topology) string {
	src, err := json.Marshal(t)
	if err != nil {
		panic(err) // Strings, numbers and maps of strings: it cannot fail.
	}
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:8])
}

package kubernetes

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// inNamespaces are the kinds of objects that there can be in a lab's namespaces: those
// that the lab makes there, those that the cluster's controllers do, and those that a
// learner may.
var inNamespaces = []resource{
	networkPolicies, services, endpoints, endpointSlices, roleBindings, roles, serviceAccounts, configMaps, events,
}

// Clear takes away what is laid: its namespaces with all that is in them, the terminal,
// and the outside hosts.
func (c *Cluster) Clear(ctx context.Context) error {
	ctx, cancel := c.within(ctx, clearLimit, "what was laid was not cleared away")
	defer cancel()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.clear(groupCtx) })
	group.Go(func() error {
		_, err := c.Surroundings.Ensure(groupCtx, nil)
		return err
	})
	if err := group.Wait(); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// clear is the part of Clear that is done inside the cluster.
func (c *Cluster) clear(ctx context.Context) error {
	err := c.closeLab()
	// From here on nothing counts as laid.
	if err = errors.Join(err, c.note(ctx, annotationLaid, "")); err != nil {
		return err
	}
	var list corev1.NamespaceList
	if err := c.admin.list(ctx, namespaces, "", metav1.ListOptions{}, &list); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, ns := range list.Items {
		ours := ns.Annotations[labelManagedBy] == managedBy || ns.Labels[labelManagedBy] == managedBy
		if !ours || ns.Name == SystemNamespace {
			continue
		}
		group.Go(func() error { return c.removeNamespace(ctx, ns.Name) })
		if ns.Name == TerminalNamespace {
			role, binding := terminalBinding("", nil)
			group.Go(func() error {
				return gone(c.admin.delete(ctx, clusterRoles, "", role.(*rbacv1.ClusterRole).Name))
			})
			group.Go(func() error {
				return gone(c.admin.delete(ctx, clusterBindings, "", binding.(*rbacv1.ClusterRoleBinding).Name))
			})
		}
	}
	return group.Wait()
}

// gone is the error of a deletion, where it is none that the object is not there.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// removeNamespace removes a namespace with all that is in it. The cluster's controller
// would wait five seconds before it began, for the sake of other API servers that may
// not have heard yet; here there is one.
func (c *Cluster) removeNamespace(ctx context.Context, name string) error {
	// From here on nothing can be made in it, by controllers neither.
	if err := gone(c.admin.delete(ctx, namespaces, "", name)); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.removePods(groupCtx, name) })
	for _, r := range inNamespaces {
		group.Go(func() error { return gone(c.admin.deleteAll(groupCtx, r, name, metav1.DeleteOptions{})) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return gone(c.admin.finalize(ctx, name))
}

// removePods removes the pods of a namespace and returns when none of them runs any more:
// one in the node's network has ports there that its successor may want.
func (c *Cluster) removePods(ctx context.Context, namespace string) error {
	// Without any time to end well a pod counts as gone while its processes run on.
	second := int64(1)
	if err := gone(c.admin.deleteAll(ctx, pods, namespace, metav1.DeleteOptions{GracePeriodSeconds: &second})); err != nil {
		return err
	}
	for {
		none, err := c.awaitNoPods(ctx, namespace)
		if none {
			return nil
		}
		if !pause(ctx) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// awaitNoPods waits until there is no pod in the namespace; false where the watch breaks
// off first.
func (c *Cluster) awaitNoPods(ctx context.Context, namespace string) (bool, error) {
	var list corev1.PodList
	if err := c.admin.list(ctx, pods, namespace, metav1.ListOptions{}, &list); err != nil {
		return false, err
	}
	left := map[string]bool{}
	for _, pod := range list.Items {
		left[pod.Name] = true
	}
	if len(left) == 0 {
		return true, nil
	}
	changes, err := c.admin.watch(ctx, pods, namespace, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return false, err
	}
	defer changes.Stop()
	for event := range changes.ResultChan() {
		if pod, ok := event.Object.(*corev1.Pod); ok && event.Type == watch.Deleted {
			delete(left, pod.Name)
		}
		if len(left) == 0 {
			return true, nil
		}
	}
	return false, nil
}

package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

const (
	// fieldManager owns the fields of applied policies.
	fieldManager = "netpol-lab"
	// annotationSource keeps the YAML of a policy as its writer wrote it.
	annotationSource = "netpol-lab.github.io/source"
	// annotationSpec is the hash of the spec that this YAML has: one that was given to
	// the object later, by kubectl, is another.
	annotationSpec = "netpol-lab.github.io/spec"
	// maxSource is the longest YAML that is kept: an object's annotations may
	// hold 256 KiB together.
	maxSource = 200 << 10
)

// Apply server-side applies the policies, all or none: where there are several,
// each is tried without effect first.
func (c *Lab) Apply(ctx context.Context, policies []policy.Policy) error {
	if problems := c.topology.Foreign(policies); len(problems) > 0 {
		return &policy.Error{Problems: problems}
	}
	if len(policies) > 1 {
		if err := c.applyAll(ctx, policies, metav1.DryRunAll); err != nil {
			return err
		}
	}
	return c.applyAll(ctx, policies)
}

// applyAll applies the policies at the same time. What the API server finds
// wrong with them is returned together.
func (c *Lab) applyAll(ctx context.Context, policies []policy.Policy, dryRun ...string) error {
	errs := make([]error, len(policies))
	var group errgroup.Group
	for i, p := range policies {
		group.Go(func() error {
			errs[i] = c.applyOne(ctx, p, dryRun)
			return errs[i]
		})
	}
	if group.Wait() == nil {
		return nil
	}
	refused := &policy.Error{}
	var failed []error
	for i, err := range errs {
		if problems := problemsOf(policies[i], err); problems != nil {
			refused.Problems = append(refused.Problems, problems...)
		} else if err != nil {
			failed = append(failed, fmt.Errorf("apply policy %s/%s: %w", policies[i].Namespace, policies[i].Name, err))
		}
	}
	if len(refused.Problems) > 0 {
		return refused
	}
	return errors.Join(failed...)
}

func (c *Lab) applyOne(ctx context.Context, p policy.Policy, dryRun []string) error {
	body, err := patchOf(applied(p))
	if err != nil {
		return err
	}
	force := true
	return c.policies.patch(ctx, networkPolicies, p.Namespace, p.Name, types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: fieldManager, Force: &force, DryRun: dryRun})
}

// applied is the object that is sent for the policy. It has the API's defaults
// written out: those that the API server fills in belong to nobody, so they would
// outlive the version that they were filled in for. A policy that once had no egress
// rules would be left with the policyTypes of then, and the egress rules that it is
// given later would isolate nothing.
func applied(p policy.Policy) *networkingv1.NetworkPolicy {
	obj := &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Annotations: maps.Clone(p.Annotations),
		},
		Spec: *p.Spec.DeepCopy(),
	}
	policy.Default(obj)
	if p.Source != "" && len(p.Source) <= maxSource {
		if obj.Annotations == nil {
			obj.Annotations = map[string]string{}
		}
		obj.Annotations[annotationSource] = p.Source
		obj.Annotations[annotationSpec] = specHash(&obj.Spec)
	}
	return obj
}

// patchOf is the object as it is sent: with the lists of rules also where they are
// empty, so that none that kubectl has added stays.
func patchOf(obj *networkingv1.NetworkPolicy) ([]byte, error) {
	plain, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(plain, &body); err != nil {
		return nil, err
	}
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(body["spec"], &spec); err != nil {
		return nil, err
	}
	for _, rules := range []string{"ingress", "egress"} {
		if spec[rules] == nil {
			spec[rules] = json.RawMessage("[]")
		}
	}
	if body["spec"], err = json.Marshal(spec); err != nil {
		return nil, err
	}
	return json.Marshal(body)
}

// specHash tells two specs apart.
func specHash(spec *networkingv1.NetworkPolicySpec) string {
	src, err := json.Marshal(spec)
	if err != nil {
		panic(err) // Strings and numbers: it cannot fail.
	}
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:8])
}

// problemsOf reads what the API server finds wrong with the policy; nil where
// the error is of another kind.
func problemsOf(p policy.Policy, err error) []policy.Problem {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		return nil
	}
	details := status.Status().Details
	if details == nil || len(details.Causes) == 0 {
		return []policy.Problem{{Position: p.Position(""), Message: "the API server refuses this: " + status.Status().Message}}
	}
	problems := make([]policy.Problem, len(details.Causes))
	for i, cause := range details.Causes {
		problems[i] = policy.Problem{Position: p.Position(cause.Field), Field: cause.Field, Message: "the API server refuses this: " + cause.Message}
	}
	return problems
}

// Delete removes the named policies, all at the same time. One that is not
// there is no error.
func (c *Lab) Delete(ctx context.Context, refs []sandbox.PolicyRef) error {
	var group errgroup.Group
	for _, ref := range refs {
		group.Go(func() error {
			err := c.policies.delete(ctx, networkPolicies, ref.Namespace, ref.Name)
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("delete policy %s/%s: %w", ref.Namespace, ref.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// Policies lists the policies of the lab's namespaces, sorted by namespace and
// name, each with its YAML as written. Of many more than a sandbox may hold, which only
// kubectl can make, not all are read: that is a *[sandbox.LimitError].
func (c *Lab) Policies(ctx context.Context) ([]policy.Policy, error) {
	names := slices.Sorted(slices.Values(c.topology.NamespaceNames()))
	lists := make([][]policy.Policy, len(names))
	group, ctx := errgroup.WithContext(ctx)
	for i, namespace := range names {
		group.Go(func() error {
			size := 0
			for opts := (metav1.ListOptions{Limit: listChunk}); ; {
				var list networkingv1.NetworkPolicyList
				if err := c.policies.list(ctx, networkPolicies, namespace, opts, &list); err != nil {
					return fmt.Errorf("list policies of %s: %w", namespace, err)
				}
				for _, obj := range list.Items {
					size += obj.Size()
				}
				if size > maxListed || len(lists[i])+len(list.Items) > sandbox.MaxPolicies {
					return &sandbox.LimitError{Message: fmt.Sprintf("The namespace %s of the cluster has more policies than a sandbox may have. Delete some there with kubectl, or press Reset.", namespace)}
				}
				for _, obj := range list.Items {
					lists[i] = append(lists[i], written(obj))
				}
				if opts.Continue = list.Continue; opts.Continue == "" {
					break
				}
			}
			slices.SortFunc(lists[i], func(a, b policy.Policy) int { return strings.Compare(a.Name, b.Name) })
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(lists...), nil
}

// written is the policy as its writer knows it, without what the API server and
// the lab have added.
func written(obj networkingv1.NetworkPolicy) policy.Policy {
	source := obj.Annotations[annotationSource]
	if hash, there := obj.Annotations[annotationSpec]; there && hash != specHash(&obj.Spec) {
		source = "" // The spec was changed by somebody else, and the text stayed.
	}
	annotations := maps.Clone(obj.Annotations)
	for _, ours := range []string{annotationSource, annotationSpec, corev1.LastAppliedConfigAnnotation} {
		delete(annotations, ours)
	}
	if len(annotations) == 0 {
		annotations = nil
	}
	p := policy.Policy{
		NetworkPolicy: networkingv1.NetworkPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
			ObjectMeta: metav1.ObjectMeta{Namespace: obj.Namespace, Name: obj.Name, Labels: obj.Labels, Annotations: annotations},
			Spec:       obj.Spec,
		},
		Source: source,
		Line:   1,
	}
	if source == "" {
		// Written by somebody else, or too long to keep.
		p.Source = policy.YAML(p.NetworkPolicy)
	}
	return p
}

const (
	// listChunk is how many policies are read at a time.
	listChunk = 20
	// maxListed is how long the policies of a namespace may be, in bytes as the API
	// server sends them: far more than a sandbox may hold, for each has its text and
	// its fields, and who has changed which of them.
	maxListed = 8 * sandbox.MaxPolicyBytes
)

// WatchPolicies watches each of the lab's namespaces.
func (c *Lab) WatchPolicies(ctx context.Context, changed func()) {
	var group sync.WaitGroup
	for _, namespace := range c.topology.NamespaceNames() {
		group.Go(func() { c.watchNamespace(ctx, namespace, changed) })
	}
	group.Wait()
}

// watchNamespace begins the watch anew wherever it breaks off: the API server ends each
// after a while, and it may be away.
func (c *Lab) watchNamespace(ctx context.Context, namespace string, changed func()) {
	for patience := watchPause; ; {
		// Without a version a watch begins with what is there. What was deleted
		// meanwhile nobody tells, so a look is due in any case.
		w, err := c.policies.watch(ctx, networkPolicies, namespace, metav1.ListOptions{})
		if err == nil {
			patience = watchPause
			changed()
			for range w.ResultChan() {
				changed()
			}
			w.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(patience):
		}
		patience = min(2*patience, maxWatchPause)
	}
}

// The pause before a watch that broke off is begun anew grows from the first to the
// second of these.
const watchPause, maxWatchPause = 50 * time.Millisecond, 2 * time.Second

package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

const (
	// fieldManager owns the fields of applied policies.
	fieldManager = "netpol-lab"
	// annotationSource keeps the YAML of a policy as its writer wrote it.
	annotationSource = "netpol-lab.github.io/source"
	// maxSource is the longest YAML that is kept: an object's annotations may
	// hold 256 KiB together.
	maxSource = 200 << 10
)

// Apply server-side applies the policies, all or none: where there are several,
// each is tried without effect first.
func (c *cluster) Apply(ctx context.Context, policies []policy.Policy) error {
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
func (c *cluster) applyAll(ctx context.Context, policies []policy.Policy, dryRun ...string) error {
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
			failed = append(failed, fmt.Errorf("kind: apply policy %s/%s: %w", policies[i].Namespace, policies[i].Name, err))
		}
	}
	if len(refused.Problems) > 0 {
		return refused
	}
	return errors.Join(failed...)
}

func (c *cluster) applyOne(ctx context.Context, p policy.Policy, dryRun []string) error {
	body, err := json.Marshal(applied(p))
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
	}
	return obj
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
func (c *cluster) Delete(ctx context.Context, refs []sandbox.PolicyRef) error {
	var group errgroup.Group
	for _, ref := range refs {
		group.Go(func() error {
			err := c.policies.delete(ctx, networkPolicies, ref.Namespace, ref.Name)
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("kind: delete policy %s/%s: %w", ref.Namespace, ref.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// Policies lists the policies of the lab's namespaces, sorted by namespace and
// name, each with its YAML as written.
func (c *cluster) Policies(ctx context.Context) ([]policy.Policy, error) {
	names := slices.Sorted(slices.Values(c.topology.NamespaceNames()))
	lists := make([][]policy.Policy, len(names))
	group, ctx := errgroup.WithContext(ctx)
	for i, namespace := range names {
		group.Go(func() error {
			var list networkingv1.NetworkPolicyList
			if err := c.policies.list(ctx, networkPolicies, namespace, metav1.ListOptions{}, &list); err != nil {
				return fmt.Errorf("kind: list policies of %s: %w", namespace, err)
			}
			for _, obj := range list.Items {
				p, err := written(obj)
				if err != nil {
					return err
				}
				lists[i] = append(lists[i], p)
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
func written(obj networkingv1.NetworkPolicy) (policy.Policy, error) {
	source := obj.Annotations[annotationSource]
	annotations := maps.Clone(obj.Annotations)
	delete(annotations, annotationSource)
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
		text, err := yaml.Marshal(p.NetworkPolicy)
		if err != nil {
			return policy.Policy{}, fmt.Errorf("kind: policy %s/%s: %w", obj.Namespace, obj.Name, err)
		}
		p.Source = string(text)
	}
	return p, nil
}

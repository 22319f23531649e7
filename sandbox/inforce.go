package sandbox

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// What a sandbox's policies may come to together. What they cost the server while the
// sandbox is there follows from these.
const (
	MaxPolicies = 100
	// MaxPolicyBytes is how much YAML they may be: what is read at once, less what parts
	// them there, so that all can be sent as one text.
	MaxPolicyBytes = policy.MaxBytes - 1<<10
	// MaxPolicyParts is how many rules, peers, ports, labels and exceptions they may
	// have.
	MaxPolicyParts = 2000
	// MaxPolicyName is how long a name may be: every watcher is told all of them.
	MaxPolicyName = 63
)

// LimitError says that a change would go beyond what a sandbox may hold. Nothing has
// been changed.
type LimitError struct {
	// Message tells the learner which limit it is and how to get below it.
	Message string
}

func (e *LimitError) Error() string { return e.Message }

// inForce are the policies in force in a sandbox, sorted by namespace and name, parsed
// and without what only their writer needs. A value is never changed, only replaced.
type inForce []policy.Policy

// lean is the policy without what can be read from its text when it is asked for.
func lean(p policy.Policy) policy.Policy {
	return policy.Policy{
		NetworkPolicy: networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Spec: p.Spec},
		Source:        p.Source,
		Line:          1,
	}
}

func newInForce(policies []policy.Policy) inForce {
	return inForce{}.with(policies)
}

// with are the policies after the others have been applied.
func (in inForce) with(applied []policy.Policy) inForce {
	out := slices.Clone(in)
	for _, p := range applied {
		i, there := out.find(p.Ref())
		if there {
			out[i] = lean(p)
		} else {
			out = slices.Insert(out, i, lean(p))
		}
	}
	return out
}

// without are the policies after those have been deleted.
func (in inForce) without(refs []PolicyRef) inForce {
	return slices.DeleteFunc(slices.Clone(in), func(p policy.Policy) bool { return slices.Contains(refs, p.Ref()) })
}

func (in inForce) find(ref PolicyRef) (int, bool) {
	return slices.BinarySearchFunc(in, ref, func(p policy.Policy, ref PolicyRef) int {
		return p.Ref().Compare(ref)
	})
}

// equal reports whether both are the same policies with the same texts.
func (in inForce) equal(other inForce) bool {
	return slices.EqualFunc(in, other, func(a, b policy.Policy) bool { return a.Ref() == b.Ref() && a.Source == b.Source })
}

func (in inForce) applied() []AppliedPolicy {
	out := make([]AppliedPolicy, len(in))
	for i, p := range in {
		out[i] = AppliedPolicy{PolicyRef: p.Ref(), YAML: p.Source}
	}
	return out
}

// Allowed is a *LimitError where the policies together are more than a sandbox may hold.
func Allowed(policies []policy.Policy) error { return inForce(policies).allowed() }

// allowed is a *LimitError where these are more than a sandbox may hold.
func (in inForce) allowed() error {
	size, parts := 0, 0
	for _, p := range in {
		if len(p.Name) > MaxPolicyName {
			return &LimitError{fmt.Sprintf("The name %.20s… has %d characters; in the lab a policy's name may have %d. Give it a shorter one. Nothing was applied.", p.Name, len(p.Name), MaxPolicyName)}
		}
		size += len(strings.TrimRight(p.Source, "\n"))
		parts += partsOf(&p.Spec)
	}
	switch {
	case len(in) > MaxPolicies:
		return &LimitError{fmt.Sprintf("That would make %d policies; a sandbox may have %d. Delete %d that you do not need, then apply again. Nothing was applied.", len(in), MaxPolicies, len(in)-MaxPolicies)}
	case size > MaxPolicyBytes:
		return &LimitError{fmt.Sprintf("That would make %d KiB of YAML in all; a sandbox may have %d KiB. Delete policies that you do not need, or shorten this one, then apply again. Nothing was applied.", (size+1023)>>10, MaxPolicyBytes>>10)}
	case parts > MaxPolicyParts:
		return &LimitError{fmt.Sprintf("That would make %d rules, peers, ports and labels in all; a sandbox's policies may have %d. Delete policies that you do not need, or say the same with fewer rules, then apply again. Nothing was applied.", parts, MaxPolicyParts)}
	}
	return nil
}

// partsOf counts what a policy is made of.
func partsOf(spec *networkingv1.NetworkPolicySpec) int {
	selector := func(s *metav1.LabelSelector) int {
		if s == nil {
			return 0
		}
		n := len(s.MatchLabels)
		for _, e := range s.MatchExpressions {
			n += 1 + len(e.Values)
		}
		return n
	}
	peers := func(all []networkingv1.NetworkPolicyPeer) int {
		n := len(all)
		for _, p := range all {
			n += selector(p.PodSelector) + selector(p.NamespaceSelector)
			if p.IPBlock != nil {
				n += len(p.IPBlock.Except)
			}
		}
		return n
	}
	n := selector(&spec.PodSelector) + len(spec.Ingress) + len(spec.Egress)
	for _, r := range spec.Ingress {
		n += peers(r.From) + len(r.Ports)
	}
	for _, r := range spec.Egress {
		n += peers(r.To) + len(r.Ports)
	}
	return n
}

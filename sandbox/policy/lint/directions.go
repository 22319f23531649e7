package lint

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// policyTypes looks for rules that do not do what they say because of the
// directions that policyTypes names.
func (l *linter) policyTypes() {
	spec := &l.policy.Spec
	ingress, egress := l.isolates(networkingv1.PolicyTypeIngress), l.isolates(networkingv1.PolicyTypeEgress)
	switch {
	case len(spec.Egress) > 0 && !egress:
		l.found(CheckPolicyTypesMissing, "spec.egress",
			"This policy has egress rules, but its policyTypes names only Ingress: the egress rules are ignored, and the policy isolates no pod for egress.",
			"Add Egress to policyTypes, or take the egress rules away.",
			l.fix("Add Egress to policyTypes", l.policy.SetValue("spec.policyTypes", append(slices.Clone(spec.PolicyTypes), networkingv1.PolicyTypeEgress))),
			l.fix("Take the egress rules away", l.policy.Remove("spec.egress")))
	case len(spec.Ingress) > 0 && !ingress:
		l.found(CheckPolicyTypesMissing, "spec.ingress",
			"This policy has ingress rules, but its policyTypes names only Egress: the ingress rules are ignored, and the policy isolates no pod for ingress.",
			"Add Ingress to policyTypes, or take the ingress rules away.",
			l.fix("Add Ingress to policyTypes", l.policy.SetValue("spec.policyTypes", append([]networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, spec.PolicyTypes...))),
			l.fix("Take the ingress rules away", l.policy.Remove("spec.ingress")))
	case len(spec.PolicyTypes) > 0:
	case spec.Egress != nil && !egress:
		l.found(CheckPolicyTypesMissing, "spec.egress",
			"This policy has an empty egress and no policyTypes: without policyTypes, a policy isolates for egress only where it has an egress rule, so this one isolates no pod for egress.",
			"To allow no egress, write policyTypes: [Ingress, Egress], or [Egress] alone; else take egress away.",
			l.types(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress), l.types(networkingv1.PolicyTypeEgress),
			l.fix("Take egress away", l.policy.Remove("spec.egress")))
	case egress && spec.Ingress == nil:
		var closed []int
		for _, i := range l.selected {
			if len(l.isolating[networkingv1.PolicyTypeIngress][i]) == 1 {
				closed = append(closed, i)
			}
		}
		if len(closed) > 0 {
			l.found(CheckPolicyTypesMissing, "spec.egress",
				fmt.Sprintf("This policy has only egress rules and no policyTypes: without policyTypes, a policy always isolates for ingress, too, so this one alone closes %s to all that comes in.", l.names(closed)),
				"Write policyTypes: [Egress]; or, to close ingress as well, say so with policyTypes: [Ingress, Egress].",
				l.types(networkingv1.PolicyTypeEgress), l.types(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress))
		}
	}
}

// isolates reports whether the policy that is looked at isolates in the direction.
func (l *linter) isolates(direction networkingv1.PolicyType) bool {
	return slices.Contains(l.policy.Isolates(), direction)
}

package policy

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// Account is what decides at one end of a flow, told in words and shown in the
// policies' texts.
type Account struct {
	// Text is one or a few sentences.
	Text string
	// Policies are those that isolate the end in the direction, sorted.
	Policies []Ref
	// Places are the parts of the texts that decide: of a flow that is let through the
	// rule that does it, of another what each policy that isolates comes nearest with.
	// Policies that were read from no text have none.
	Places []Cited
}

// Cited is a part of a policy's text.
type Cited struct {
	Policy Ref
	Range
}

// Account tells of one end of a decision that [Evaluator.Explain] has made.
func (e *Evaluator) Account(d Decision, kind networkingv1.PolicyType) Account {
	way := &d.Egress
	if kind == networkingv1.PolicyTypeIngress {
		way = &d.Ingress
	}
	s := d.speaker()
	self, peer, word := s.ends(way)
	out := Account{Policies: []Ref{}}
	for _, p := range way.Policies {
		out.Policies = append(out.Policies, p.Policy)
	}
	switch way.Because {
	case Admitted:
		out.Text = e.admitted(&out, way, s)
	case NotAdmitted:
		out.Text = s.blocks(way) + "."
		for i := range way.Policies {
			v := &way.Policies[i]
			p := e.policyOf(v.Policy)
			if p == nil {
				continue
			}
			field := "spec.podSelector"
			if len(v.Rules) > 0 {
				rule := v.nearestRule()
				field = rule.Mismatches[rule.nearestMismatch()].Field
			}
			out.cite(p, field)
		}
	case NotIsolated:
		out.Text = fmt.Sprintf("No policy isolates %s for %s, so nothing is in the way.", self, word)
	case NoPod:
		out.Text = fmt.Sprintf("%s is no pod, so no policy selects it.", self)
	case HostNetwork:
		out.Text = fmt.Sprintf("%s uses its node's network, so no policy selects it.", self)
	case OwnNode:
		out.Text = fmt.Sprintf("%s is isolated, but its own node, where %s is, always reaches it.", self, peer)
	case OwnTraffic:
		out.Text = "A pod always reaches itself."
	case NoBackend:
		out.Text = fmt.Sprintf("The Service %s leads to no pod on port %d/%s.", d.Service, d.Port, d.Protocol)
	}
	return out
}

// admitted says which policies let the flow through, and by which rule.
func (e *Evaluator) admitted(out *Account, way *Direction, s speaker) string {
	_, peer, _ := s.ends(way)
	var names []string
	for i := range way.Policies {
		v := &way.Policies[i]
		at := slices.IndexFunc(v.Rules, func(r RuleVerdict) bool { return r.Admits })
		if at < 0 {
			continue
		}
		name := v.Policy.Name
		if p := e.policyOf(v.Policy); p != nil {
			out.cite(p, v.Rules[at].Field)
			if at > 0 || len(v.Rules) > 1 {
				name += fmt.Sprintf(" (rule %d)", at+1)
			}
		}
		names = append(names, name)
	}
	verb := plural("lets", "let", len(names))
	if way.Type == networkingv1.PolicyTypeIngress {
		return fmt.Sprintf("%s %s %s in.", list(names), verb, peer)
	}
	return fmt.Sprintf("%s %s it out to %s.", list(names), verb, peer)
}

// cite adds a place, once.
func (a *Account) cite(p *Policy, field string) {
	for ; field != ""; field = field[:max(0, strings.LastIndexAny(field, ".["))] {
		if r, ok := p.Range(field); ok {
			if c := (Cited{p.Ref(), r}); !slices.Contains(a.Places, c) {
				a.Places = append(a.Places, c)
			}
			return
		}
	}
}

func (e *Evaluator) policyOf(ref Ref) *Policy {
	i, ok := slices.BinarySearchFunc(e.policies, ref, func(p Policy, ref Ref) int { return p.Ref().Compare(ref) })
	if !ok {
		return nil
	}
	return &e.policies[i]
}

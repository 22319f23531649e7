// Package policy reads NetworkPolicies as people write them. It is pure: no
// client, no clock, no network.
package policy

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// MaxBytes is the most YAML that the lab reads at once.
const MaxBytes = 256 << 10

// ParseOptions says what Parse may take. The zero value takes a policy for any
// namespace, as long as it names one, and at most MaxBytes.
type ParseOptions struct {
	// Namespaces are the namespaces that a policy may be for; nil is any.
	Namespaces []string
	// DefaultNamespace is the namespace of a policy that names none. Where it is
	// empty, too, such a policy is a problem.
	DefaultNamespace string
	// MaxBytes is the longest input to read, in bytes; 0 is the constant of that
	// name.
	MaxBytes int
	// MaxNodes is how many fields and list entries there may be in all; 0 is the
	// constant of that name.
	MaxNodes int
}

// Policy is one NetworkPolicy with where it came from.
type Policy struct {
	networkingv1.NetworkPolicy
	// Source is the policy as YAML: the document's own, comments included, or,
	// where a cluster has printed it, one made of it.
	Source string
	// LeftOut are the fields that only a cluster writes and the input has: they are not
	// part of the policy. Those of metadata come without it: "uid", "status".
	LeftOut []string
	// Line is the first line of the document or item in the input, from 1.
	Line int
	// positions finds the place of a field path in the input.
	positions map[string]Position
	// written is how it stands in the input; nil where it was not read from one.
	written *written
}

// Position is a place in the input, both counted from 1. The zero Position is
// unknown.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Problem is one thing that is wrong with the input: where, in which field,
// and what to write instead.
type Problem struct {
	Position
	// Field is the path of the field, "spec.ingress[0].from"; empty where the
	// input could not be read that far.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	// End is the place behind what is wrong, and Fixes what can be done about it. Both
	// are for editors, which ask for them by another way.
	End   Position `json:"-"`
	Fixes []Fix    `json:"-"`
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", p.Line, p.Column)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	return b.String() + p.Message
}

// Error is the error of an input with problems.
type Error struct {
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

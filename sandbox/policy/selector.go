package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// matches reports whether the selector selects what carries the labels. "The
// result of matchLabels and matchExpressions are ANDed. An empty label selector
// matches all objects. A null label selector matches no objects."
func matches(s *metav1.LabelSelector, labels map[string]string) bool {
	if s == nil {
		return false
	}
	for key, want := range s.MatchLabels {
		if have, ok := labels[key]; !ok || have != want {
			return false
		}
	}
	for i := range s.MatchExpressions {
		if !satisfies(&s.MatchExpressions[i], labels) {
			return false
		}
	}
	return true
}

// satisfies reports whether the labels meet one requirement. NotIn and
// DoesNotExist are also met by what lacks the key.
func satisfies(r *metav1.LabelSelectorRequirement, labels map[string]string) bool {
	have, ok := labels[r.Key]
	switch r.Operator {
	case metav1.LabelSelectorOpIn:
		return ok && slices.Contains(r.Values, have)
	case metav1.LabelSelectorOpNotIn:
		return !ok || !slices.Contains(r.Values, have)
	case metav1.LabelSelectorOpExists:
		return ok
	case metav1.LabelSelectorOpDoesNotExist:
		return !ok
	}
	return false // No valid policy has another operator.
}

// selectsAll reports that a selector needs nothing of the labels.
func selectsAll(s *metav1.LabelSelector) bool {
	return s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// selectorMismatch is the first thing that the selector asks for and the labels
// do not give, in the order of the keys; nil where it selects them.
func selectorMismatch(s *metav1.LabelSelector, field string, labels map[string]string) *Mismatch {
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if have, ok := labels[key]; !ok || have != s.MatchLabels[key] {
			return &Mismatch{Field: field + ".matchLabels[" + key + "]", Want: key + "=" + s.MatchLabels[key], Got: label(labels, key)}
		}
	}
	for i := range s.MatchExpressions {
		if r := &s.MatchExpressions[i]; !satisfies(r, labels) {
			return &Mismatch{Field: fmt.Sprintf("%s.matchExpressions[%d]", field, i), Want: requirement(r), Got: label(labels, r.Key)}
		}
	}
	return nil
}

// label is "key=value", or "" where the key is not there.
func label(labels map[string]string, key string) string {
	if value, ok := labels[key]; ok {
		return key + "=" + value
	}
	return ""
}

// requirement is a requirement as kubectl writes it: "tier notin (a,b)".
func requirement(r *metav1.LabelSelectorRequirement) string {
	switch r.Operator {
	case metav1.LabelSelectorOpIn:
		return r.Key + " in (" + strings.Join(r.Values, ",") + ")"
	case metav1.LabelSelectorOpNotIn:
		return r.Key + " notin (" + strings.Join(r.Values, ",") + ")"
	case metav1.LabelSelectorOpDoesNotExist:
		return "no " + r.Key
	}
	return r.Key
}

// selectorText is a selector as it is spoken of: "app=web,tier in (a,b)"; "" for
// one that selects all.
func selectorText(s *metav1.LabelSelector) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		parts = append(parts, key+"="+s.MatchLabels[key])
	}
	for i := range s.MatchExpressions {
		parts = append(parts, requirement(&s.MatchExpressions[i]))
	}
	return strings.Join(parts, ",")
}

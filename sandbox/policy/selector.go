package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Matches reports whether the selector selects what carries the labels. "The
// result of matchLabels and matchExpressions are ANDed. An empty label selector
// matches all objects. A null label selector matches no objects."
func Matches(s *metav1.LabelSelector, labels map[string]string) bool {
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

// SelectsAll reports that a selector needs nothing of the labels.
func SelectsAll(s *metav1.LabelSelector) bool {
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

// SelectorText is a selector as it is spoken of: "app=web,tier in (a,b)"; "" for
// one that selects all.
func SelectorText(s *metav1.LabelSelector) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		parts = append(parts, key+"="+s.MatchLabels[key])
	}
	for i := range s.MatchExpressions {
		parts = append(parts, requirement(&s.MatchExpressions[i]))
	}
	return strings.Join(parts, ",")
}

// NearLabel is the label that was probably meant, "app: web", or "" for none: one
// of the same key with a value that is spelled alike, or else one of the same value
// with a key that is.
func NearLabel(key, value string, have []map[string]string) string {
	values := LabelValues(key, slices.Values(have))
	if near := Nearest(value, values); value != "" && near != "" {
		return key + ": " + near
	}
	var keys []string
	for _, labels := range have {
		for k, v := range labels {
			if k != key && (v == value || value == "") {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	if near := Nearest(key, keys); near != "" {
		return strings.TrimSuffix(near+": "+value, ": ")
	}
	return ""
}

// LabelValues are the values that a key has, sorted.
func LabelValues(key string, labels func(func(map[string]string) bool)) []string {
	var out []string
	for have := range labels {
		if v, ok := have[key]; ok {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// OneEntry makes one peer of two of which one has only a namespaceSelector and the
// other only a podSelector that is not empty.
func OneEntry(a, b *networkingv1.NetworkPolicyPeer) (networkingv1.NetworkPolicyPeer, bool) {
	if a.NamespaceSelector == nil {
		a, b = b, a
	}
	if a.IPBlock != nil || b.IPBlock != nil || a.NamespaceSelector == nil || a.PodSelector != nil ||
		b.NamespaceSelector != nil || b.PodSelector == nil || SelectsAll(b.PodSelector) {
		return networkingv1.NetworkPolicyPeer{}, false
	}
	return networkingv1.NetworkPolicyPeer{NamespaceSelector: a.NamespaceSelector, PodSelector: b.PodSelector}, true
}

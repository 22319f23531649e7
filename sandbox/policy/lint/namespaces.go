package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// unknownLabels looks for labels that no namespace has.
func (l *linter) unknownLabels(peer *networkingv1.NetworkPolicyPeer, field string) bool {
	s, selector, before := peer.NamespaceSelector, field, len(l.findings)
	unknown := func(field, want, hint string, fixes ...policy.Fix) {
		fixes = append(fixes, l.namespaceFixes(selector, peer)...)
		l.found(CheckNamespaceLabelUnknown, field, fmt.Sprintf("%s asks for %s, and no namespace has that label.", subject(selector), want), hint, fixes...)
	}
	values := func(key string) []string { return policy.LabelValues(key, maps.Values(l.namespaces)) }
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if value := s.MatchLabels[key]; !slices.Contains(values(key), value) {
			hint, meant, pods := l.namespaceHint(key, value)
			at := field + ".matchLabels[" + key + "]"
			var fixes []policy.Fix
			switch {
			case pods && peer.PodSelector == nil:
				fixes = append(fixes, l.fix("Write podSelector", l.policy.Rename(field, "podSelector")))
			case meant != "":
				fixes = append(fixes, l.namespaceFix(field, at, key, value, meant))
			}
			unknown(at, key+"="+value, hint, fixes...)
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		at, have := fmt.Sprintf("%s.matchExpressions[%d]", field, i), values(r.Key)
		switch r.Operator { // The others are also met by what is not there.
		case metav1.LabelSelectorOpExists:
			if len(have) == 0 {
				hint, meant, _ := l.namespaceHint(r.Key, "")
				var fixes []policy.Fix
				if meant != "" {
					fixes = append(fixes, l.fix("Write key: "+meant, l.policy.SetValue(at+".key", meant)))
				}
				unknown(at, "the label "+r.Key, hint, fixes...)
			}
		case metav1.LabelSelectorOpIn:
			for j, value := range r.Values {
				if !slices.Contains(have, value) {
					hint, meant, _ := l.namespaceHint(r.Key, value)
					var fixes []policy.Fix
					if key, v, _ := strings.Cut(meant, ": "); key == r.Key {
						fixes = append(fixes, l.fix("Write "+v, l.policy.SetValue(fmt.Sprintf("%s.values[%d]", at, j), v)))
					}
					unknown(fmt.Sprintf("%s.values[%d]", at, j), r.Key+"="+value, hint, fixes...)
				}
			}
		}
	}
	return len(l.findings) > before
}

// namespaceFix writes the label that was meant, "environment: production".
func (l *linter) namespaceFix(selector, at, key, value, meant string) policy.Fix {
	meantKey, meantValue, _ := strings.Cut(meant, ": ")
	switch {
	case meantKey == key:
		return l.fix("Write "+meant, l.policy.SetValue(at, meantValue))
	case meantValue == value:
		return l.fix("Write "+meant, l.policy.Rename(at, meantKey))
	}
	edits := l.policy.Rename(at, meantKey)
	if edits != nil {
		edits = append(edits, l.policy.SetValue(at, meantValue)...)
	}
	return l.fix("Write "+meant, edits)
}

// namespaceHint says which label may have been meant, in a sentence and, where it is
// known, as "key: value"; the value is empty where only the key matters. pods says that
// it is a label of pods.
func (l *linter) namespaceHint(key, value string) (hint, meant string, pods bool) {
	if near := policy.NearLabel(key, value, slices.Collect(maps.Values(l.namespaces))); near != "" {
		return "Did you mean " + near + "?", near, false
	}
	names := slices.Sorted(maps.Keys(l.namespaces))
	named := func(ns string) string { return corev1.LabelMetadataName + ": " + ns }
	if slices.Contains(names, value) {
		return fmt.Sprintf("The namespace %s has its name in another label: write %s.", value, named(value)), named(value), false
	}
	for i := range l.pods {
		if have, ok := l.pods[i].Labels[key]; ok && have == value {
			return fmt.Sprintf("It is a label of pods, such as %s: did you mean podSelector?", l.names([]int{i})), "", true
		}
	}
	if near := policy.Nearest(value, names); value != "" && near != "" {
		return fmt.Sprintf("Did you mean the namespace %s? Write %s.", near, named(near)), named(near), false
	}
	return "Write a label that a namespace has. " + l.namespaceLabels(), "", false
}

// namespaceLabels tells the namespaces' labels, but for the one that is always
// the name.
func (l *linter) namespaceLabels() string {
	var out []string
	for _, ns := range slices.Sorted(maps.Keys(l.namespaces)) {
		for _, key := range slices.Sorted(maps.Keys(l.namespaces[ns])) {
			if key != corev1.LabelMetadataName {
				out = append(out, fmt.Sprintf("%s=%s (%s)", key, l.namespaces[ns][key], ns))
			}
		}
	}
	if len(out) == 0 {
		return "Namespaces have only their names here, in the label " + corev1.LabelMetadataName + "."
	}
	return "Namespaces have " + enumerate(out) + ", and each has its name in " + corev1.LabelMetadataName + "."
}

func (l *linter) namespacesOf(pods []int) []string {
	var out []string
	for _, pod := range pods {
		out = append(out, l.pods[pod].Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func inNamespaces(names []string) string {
	return plural("the namespace ", "the namespaces ", len(names)) + enumerate(names)
}

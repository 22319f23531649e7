package lint

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// unknownLabels looks for labels that no namespace has.
func (l *linter) unknownLabels(s *metav1.LabelSelector, field string) bool {
	before := len(l.findings)
	unknown := func(field, want, hint string) {
		l.found(CheckNamespaceLabelUnknown, field, fmt.Sprintf("%s asks for %s, and no namespace has that label.", l.subject(field), want), hint)
	}
	values := func(key string) []string { return policy.LabelValues(key, maps.Values(l.namespaces)) }
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if value := s.MatchLabels[key]; !slices.Contains(values(key), value) {
			unknown(field+".matchLabels["+key+"]", key+"="+value, l.namespaceHint(key, value))
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		at, have := fmt.Sprintf("%s.matchExpressions[%d]", field, i), values(r.Key)
		switch r.Operator { // The others are also met by what is not there.
		case metav1.LabelSelectorOpExists:
			if len(have) == 0 {
				unknown(at, "the label "+r.Key, l.namespaceHint(r.Key, ""))
			}
		case metav1.LabelSelectorOpIn:
			for j, value := range r.Values {
				if !slices.Contains(have, value) {
					unknown(fmt.Sprintf("%s.values[%d]", at, j), r.Key+"="+value, l.namespaceHint(r.Key, value))
				}
			}
		}
	}
	return len(l.findings) > before
}

// namespaceHint says which label may have been meant; the value is empty where
// only the key matters.
func (l *linter) namespaceHint(key, value string) string {
	if near := policy.NearLabel(key, value, slices.Collect(maps.Values(l.namespaces))); near != "" {
		return "Did you mean " + near + "?"
	}
	names := slices.Sorted(maps.Keys(l.namespaces))
	if slices.Contains(names, value) {
		return fmt.Sprintf("The namespace %s has its name in another label: write %s: %s.", value, corev1.LabelMetadataName, value)
	}
	for i := range l.pods {
		if have, ok := l.pods[i].Labels[key]; ok && have == value {
			return fmt.Sprintf("It is a label of pods, such as %s: did you mean podSelector?", l.names([]int{i}))
		}
	}
	if near := policy.Nearest(value, names); value != "" && near != "" {
		return fmt.Sprintf("Did you mean the namespace %s? Write %s: %s.", near, corev1.LabelMetadataName, near)
	}
	return "Write a label that a namespace has. " + l.namespaceLabels()
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

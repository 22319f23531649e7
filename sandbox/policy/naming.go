package policy

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Awkwardness orders the keys of labels by how well they say what a pod is: 0 is what
// people select by, 3 what they rather would not.
func Awkwardness(key string) int {
	switch key {
	case "app", "app.kubernetes.io/name", DNSLabel:
		return 0
	case "role", "tier", "component", "app.kubernetes.io/component", "app.kubernetes.io/instance", "environment", "env", "team", "name":
		return 1
	case "app.kubernetes.io/managed-by", "heritage", "release":
		return 3
	}
	return 2
}

// Passing reports that a label is no lasting sign of what a pod is: it counts pods, or it
// changes with each roll-out or release.
func Passing(key, value string) bool {
	return passing.MatchString(key) || generated.MatchString(value) || (commit.MatchString(value) && strings.ContainsAny(value, "0123456789"))
}

var (
	passing = regexp.MustCompile(`(?i)(^|[./_-])(version|revision|commit|sha|build|build-id|chart|image|tag|release-id|git-\w+|deployed-at|timestamp|generation)$` +
		`|-hash$|^statefulset\.kubernetes\.io/|^apps\.kubernetes\.io/|(^|/)controller-uid$|(^|/)job-name$|^job-completion-index$`)
	// A version, a date or a digest.
	generated = regexp.MustCompile(`^v?\d+\.\d+(\.\d+)?([.+_-].*)?$|^\d{4}-?\d{2}-?\d{2}`)
	commit    = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// NamingLabel is the key of the label that says best what a pod is; false where the pod
// has none.
func NamingLabel(labels map[string]string) (key string, ok bool) {
	keys := slices.SortedFunc(maps.Keys(labels), func(a, b string) int {
		return cmp.Or(last(Passing(a, labels[a]))-last(Passing(b, labels[b])), Awkwardness(a)-Awkwardness(b), strings.Compare(a, b))
	})
	if len(keys) == 0 {
		return "", false
	}
	return keys[0], true
}

func last(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Narrow is a short selector that matches the labels and none of the others: it takes at
// each step what leaves out most and, of these, what says best what a pod is. A label that
// is not to be there comes after all that are. It is false where nothing tells the labels
// apart; with passing it may go by labels that do not last, see [Passing].
func Narrow(labels map[string]string, others []map[string]string, passing bool) (metav1.LabelSelector, bool) {
	var candidates []metav1.LabelSelectorRequirement
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if passing || !Passing(key, labels[key]) {
			candidates = append(candidates, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{labels[key]}})
		}
	}
	absent := map[string]bool{}
	for _, o := range others {
		for key := range o {
			if _, ok := labels[key]; !ok && (passing || !Passing(key, "")) {
				absent[key] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(absent)) {
		candidates = append(candidates, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist})
	}
	slices.SortStableFunc(candidates, func(a, b metav1.LabelSelectorRequirement) int {
		return cmp.Or(last(a.Operator == metav1.LabelSelectorOpDoesNotExist)-last(b.Operator == metav1.LabelSelectorOpDoesNotExist), Awkwardness(a.Key)-Awkwardness(b.Key))
	})
	var out metav1.LabelSelector
	left := slices.Clone(others)
	for len(left) > 0 {
		best, most := -1, 0
		for i := range candidates {
			n := 0
			for _, o := range left {
				if !satisfies(&candidates[i], o) {
					n++
				}
			}
			if n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			return out, false
		}
		r := candidates[best]
		if r.Operator == metav1.LabelSelectorOpIn {
			if out.MatchLabels == nil {
				out.MatchLabels = map[string]string{}
			}
			out.MatchLabels[r.Key] = r.Values[0]
		} else {
			out.MatchExpressions = append(out.MatchExpressions, r)
		}
		left = slices.DeleteFunc(left, func(o map[string]string) bool { return !satisfies(&r, o) })
	}
	slices.SortFunc(out.MatchExpressions, func(a, b metav1.LabelSelectorRequirement) int { return strings.Compare(a.Key, b.Key) })
	return out, true
}

package build

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// verdict is whether a selector may match a class.
type verdict int8

const (
	may    verdict = iota
	rather         // Rather not: nobody has asked for it.
	must           // It must be matched: it is wanted.
	never
)

// choice is a peer, or whom a policy selects, with the classes that it matches.
type choice struct {
	peer    networkingv1.NetworkPolicyPeer
	matches []int
	cost    int
	// last says that it goes by a label that does not stay.
	last, extra bool
}

// What there is to read in a selector, in halves of a label.
const (
	costAll         = 4
	costLabel       = 6
	costIn          = 11 // And one more for each value.
	costAbsent      = 14
	costByLabel     = 4 // Of a namespace.
	costByName      = 5
	costByWideLabel = 7 // It selects other namespaces, too.
)

// covering chooses peers for the classes that are wanted, few and readable, that match
// none that never may be. whole is how many classes of a namespace must be wanted for
// all of its pods to be meant; base is what each choice costs besides. Peers are looked
// for in all namespaces, or, where own is the only one, in that alone.
func (b *builder) covering(own string, everywhere bool, wanted []int, judge func(int) verdict, whole, base int) []choice {
	all := b.choices(own, everywhere, wanted, judge, whole, base)
	left := slices.Clone(wanted)
	var out []choice
	// What matches nobody that it need not goes first, then what goes by labels that stay.
	for level := 0; level < 4 && len(left) > 0; level++ {
		for {
			best, most := -1, 0
			for i := range all {
				if c := &all[i]; c.extra && level&1 == 0 || c.last && level&2 == 0 {
					continue
				}
				n := 0
				for _, w := range left {
					if slices.Contains(all[i].matches, w) {
						n++
					}
				}
				// The least cost for each class, and of these the one that takes most.
				if n > 0 && (best < 0 || cmp.Or(all[i].cost*most-all[best].cost*n, most-n) < 0) {
					best, most = i, n
				}
			}
			if best < 0 {
				break
			}
			out = append(out, all[best])
			left = slices.DeleteFunc(left, func(w int) bool { return slices.Contains(all[best].matches, w) })
		}
	}
	return prune(out, wanted)
}

// prune leaves out what those that were chosen later have made needless.
func prune(chosen []choice, wanted []int) []choice {
	for i := 0; i < len(chosen); i++ {
		rest := slices.Delete(slices.Clone(chosen), i, i+1)
		if !slices.ContainsFunc(wanted, func(w int) bool {
			return !slices.ContainsFunc(rest, func(c choice) bool { return slices.Contains(c.matches, w) })
		}) {
			chosen, i = rest, i-1
		}
	}
	return chosen
}

// choices are all that come into question, in a fixed order.
func (b *builder) choices(own string, everywhere bool, wanted []int, judge func(int) verdict, whole, base int) []choice {
	var out []choice
	for _, part := range b.namespaceParts(own, everywhere, wanted) {
		var members, here []int
		for _, ns := range part.namespaces {
			members = append(members, b.members[ns]...)
		}
		slices.Sort(members)
		for _, w := range wanted {
			if slices.Contains(members, w) {
				here = append(here, w)
			}
		}
		for _, s := range b.podSelectors(members, here, judge) {
			c := choice{cost: base + part.cost + costOf(&s), last: goesByLast(&s)}
			if part.selector != nil {
				c.peer.NamespaceSelector = part.selector
			}
			if all := policy.SelectsAll(&s); !all || part.selector == nil {
				c.peer.PodSelector = s.DeepCopy()
			}
			worst := may
			got := 0
			for _, m := range members {
				if !policy.Matches(&s, b.classes[m].labels) {
					continue
				}
				c.matches = append(c.matches, m)
				if slices.Contains(here, m) {
					got++
				} else if v := judge(m); v != must {
					worst = max(worst, v)
				}
			}
			// A pod that is alone in its namespace is named all the same, for others may
			// come; unless it has no label.
			if policy.SelectsAll(&s) && got < whole && !(got == 1 && len(b.classes[here[0]].labels) == 0) {
				continue
			}
			if c.extra = worst == rather; worst != never && got > 0 {
				out = append(out, c)
			}
		}
	}
	return out
}

// namespacePart is the namespaces of a peer.
type namespacePart struct {
	selector   *metav1.LabelSelector // nil for the policy's own.
	namespaces []string
	cost       int
}

// namespaceParts are the policy's own namespace and, where the peer may be elsewhere,
// those of the wanted: by a label that says what they are, or by name.
func (b *builder) namespaceParts(own string, everywhere bool, wanted []int) []namespacePart {
	parts := []namespacePart{{nil, []string{own}, 0}}
	if !everywhere {
		return parts
	}
	all := b.bare.Namespaces()
	var of []string
	for _, w := range wanted {
		if ns := b.classes[w].namespace; !slices.Contains(of, ns) {
			of = append(of, ns)
		}
	}
	slices.Sort(of)
	seen := map[string]bool{}
	for _, ns := range of {
		for _, key := range slices.Sorted(maps.Keys(all[ns])) {
			value := all[ns][key]
			if seen[key+"="+value] || key != corev1.LabelMetadataName && policy.Passing(key, value) || key == corev1.LabelMetadataName && ns == own {
				continue
			}
			seen[key+"="+value] = true
			part := namespacePart{&metav1.LabelSelector{MatchLabels: map[string]string{key: value}}, nil, costByLabel + policy.Awkwardness(key)}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				if policy.Matches(part.selector, all[name]) {
					part.namespaces = append(part.namespaces, name)
					if !slices.Contains(of, name) {
						part.cost = costByWideLabel
					}
				}
			}
			if key == corev1.LabelMetadataName {
				part.cost = costByName
			}
			if len(part.namespaces) != 1 || part.namespaces[0] != own {
				parts = append(parts, part)
			}
		}
	}
	return parts
}

// podSelectors are those that come into question for the wanted among the members.
func (b *builder) podSelectors(members, wanted []int, judge func(int) verdict) []metav1.LabelSelector {
	out := []metav1.LabelSelector{{}}
	seen := map[string]bool{"": true}
	add := func(s metav1.LabelSelector) {
		if text := policy.SelectorText(&s); !seen[text] {
			seen[text] = true
			out = append(out, s)
		}
	}
	values := map[string][]string{}
	for _, w := range wanted {
		labels := b.classes[w].labels
		keys := slices.Sorted(maps.Keys(labels))
		for i, key := range keys {
			if !slices.Contains(values[key], labels[key]) {
				values[key] = append(values[key], labels[key])
			}
			add(metav1.LabelSelector{MatchLabels: map[string]string{key: labels[key]}})
			for _, other := range keys[:i] {
				add(metav1.LabelSelector{MatchLabels: map[string]string{key: labels[key], other: labels[other]}})
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if v := values[key]; len(v) > 1 {
			slices.Sort(v)
			add(metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpIn, Values: v}}})
		}
	}
	for _, w := range wanted {
		for _, strict := range []bool{true, false} {
			for _, last := range []bool{false, true} {
				var against []map[string]string
				for _, m := range members {
					if v := judge(m); !slices.Contains(wanted, m) && (v == never || v == rather && strict) {
						against = append(against, b.classes[m].labels)
					}
				}
				if s, ok := policy.Narrow(b.classes[w].labels, against, last); ok {
					add(s)
				}
			}
		}
	}
	return out
}

// costOf is how much there is to read.
func costOf(s *metav1.LabelSelector) int {
	if policy.SelectsAll(s) {
		return costAll
	}
	sum := 0
	for key := range s.MatchLabels {
		sum += costLabel + policy.Awkwardness(key)
	}
	for _, r := range s.MatchExpressions {
		sum += policy.Awkwardness(r.Key)
		if r.Operator == metav1.LabelSelectorOpIn {
			sum += costIn + len(r.Values)
		} else {
			sum += costAbsent
		}
	}
	return sum
}

func goesByLast(s *metav1.LabelSelector) bool {
	for key, value := range s.MatchLabels {
		if policy.Passing(key, value) {
			return true
		}
	}
	for _, r := range s.MatchExpressions {
		if len(r.Values) == 0 && policy.Passing(r.Key, "") || slices.ContainsFunc(r.Values, func(v string) bool { return policy.Passing(r.Key, v) }) {
			return true
		}
	}
	return false
}

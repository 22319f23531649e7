package build

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// group is classes of one namespace that get the same policy.
type group struct {
	classes         []int
	ingress, egress bool // What they are isolated for by it.
	dns             []port
}

// costPolicy is what a policy more costs, beside its selector.
const costPolicy = 30

// write makes the policies.
func (b *builder) write() []networkingv1.NetworkPolicy {
	var out []networkingv1.NetworkPolicy
	for _, ns := range slices.Sorted(maps.Keys(b.members)) {
		out = append(out, b.namespace(ns)...)
	}
	slices.SortStableFunc(out, func(p, q networkingv1.NetworkPolicy) int {
		return cmp.Or(strings.Compare(p.Namespace, q.Namespace), strings.Compare(p.Name, q.Name))
	})
	return out
}

// namespace makes the policies of one namespace: a default deny where every pod is
// isolated, so that pods to come are, too; one for DNS where more than one policy needs
// it; one for each pod, or label, that has something to let through; and what only closes,
// for the others.
func (b *builder) namespace(ns string) []networkingv1.NetworkPolicy {
	w := writer{builder: b, namespace: ns, names: map[string]bool{}}
	groups := w.groups()
	var asking []*group
	for i := range groups {
		if len(groups[i].dns) > 0 {
			asking = append(asking, &groups[i])
		}
	}
	dnsForAll := len(asking) > 1 && w.allowDNS(asking)
	ingress, egress := w.defaultDeny(groups, dnsForAll)
	for i := range groups {
		g := &groups[i]
		// What the default deny does need not be said again.
		g.ingress = g.ingress && (!ingress || w.opens(g.classes, false))
		g.egress = g.egress && (!egress || w.opens(g.classes, true) || len(g.dns) > 0)
		if g.ingress || g.egress {
			w.open(*g)
		}
	}
	return w.out
}

// defaultDeny closes every pod of the namespace, for the directions in which all are
// isolated, and reports which these are. A pod that is alone does not need it, unless it
// has nothing to let through; nor does egress where a rule for DNS isolates all for it.
func (w *writer) defaultDeny(groups []group, dnsForAll bool) (ingress, egress bool) {
	members := w.members[w.namespace]
	idle := func(outward bool) bool {
		return slices.ContainsFunc(groups, func(g group) bool { return !w.opens(g.classes, outward) && (!outward || len(g.dns) == 0) })
	}
	all := func(isolated map[int]bool, outward bool) bool {
		return len(groups) > 0 && (len(members) > 1 || idle(outward)) && !slices.ContainsFunc(members, func(n int) bool { return !isolated[n] })
	}
	ingress, egress = all(w.builder.ingress, false), all(w.builder.egress, true)
	if dnsForAll && !ingress {
		egress = false
	}
	switch {
	case ingress && egress:
		w.out = append(w.out, w.policy(metav1.LabelSelector{}, w.free("default-deny"), true, true))
	case ingress:
		w.out = append(w.out, w.policy(metav1.LabelSelector{}, w.free("default-deny-ingress"), true, false))
	case egress:
		w.out = append(w.out, w.policy(metav1.LabelSelector{}, w.free("default-deny-egress"), false, true))
	}
	return ingress, egress || dnsForAll
}

// writer writes one namespace's policies.
type writer struct {
	*builder
	namespace string
	names     map[string]bool
	out       []networkingv1.NetworkPolicy
}

// groups are the isolated classes, those together that are to get the same.
func (w *writer) groups() []group {
	var out []group
	for _, n := range w.members[w.namespace] {
		if !w.builder.ingress[n] && !w.builder.egress[n] {
			continue
		}
		g := group{[]int{n}, w.builder.ingress[n], w.builder.egress[n], w.dnsPorts(n)}
		at := slices.IndexFunc(out, func(have group) bool {
			return have.ingress == g.ingress && have.egress == g.egress && slices.Equal(have.dns, g.dns) && !slices.ContainsFunc(have.classes, func(m int) bool { return !w.alikeIn(m, n) })
		})
		if at < 0 {
			out = append(out, g)
		} else {
			out[at].classes = append(out[at].classes, n)
		}
	}
	// A group needs one selector; what has none is several.
	var split []group
	for _, g := range out {
		others := func(n int) verdict {
			if slices.Contains(g.classes, n) {
				return must
			}
			return never
		}
		for _, c := range w.covering(w.namespace, false, g.classes, others, 2, costPolicy) {
			part := g
			part.classes = c.matches
			split = append(split, part)
		}
	}
	return split
}

// dnsPorts are those of the cluster's DNS that the class may ask, where it is isolated
// for egress.
func (b *builder) dnsPorts(n int) []port {
	var out []port
	if !b.egress[n] {
		return nil
	}
	for _, l := range b.out[n] {
		if b.isDNS(l) && !slices.Contains(out, l.port) {
			out = append(out, l.port)
		}
	}
	slices.SortFunc(out, port.compare)
	return out
}

// isDNS reports that the link is a question to the cluster's DNS.
func (b *builder) isDNS(l link) bool { return b.classes[l.to].dns && l.port.number == policy.DNSPort }

// alikeIn reports that two classes are to let the same through, but for the way to
// themselves.
func (b *builder) alikeIn(m, n int) bool {
	for _, pair := range [][2]int{{m, n}, {n, m}} {
		self, other := pair[0], pair[1]
		if b.ingress[self] && slices.ContainsFunc(b.in[self], func(l link) bool { return !b.lets(link{l.from, other, l.port}) }) ||
			b.egress[self] && slices.ContainsFunc(b.out[self], func(l link) bool { return !b.isDNS(l) && !b.lets(link{other, l.to, l.port}) }) {
			return false
		}
	}
	return true
}

// lets reports that the link is open, or the way of a pod to itself, which always is.
func (b *builder) lets(l link) bool { return b.links[l].state == open || b.itself(l) }

func (b *builder) itself(l link) bool { return l.from == l.to && len(b.classes[l.from].pods) == 1 }

// opens reports that there is something that the classes are to let through, DNS aside.
func (b *builder) opens(classes []int, egress bool) bool {
	links := b.in
	if egress {
		links = b.out
	}
	return slices.ContainsFunc(classes, func(n int) bool {
		return slices.ContainsFunc(links[n], func(l link) bool { return !(egress && b.isDNS(l)) && !b.itself(l) })
	})
}

// rule is a rule of either direction.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []port
}

// rules are what the classes are to let through, DNS aside: one for each set of ports.
func (w *writer) rules(classes []int, egress bool) []rule {
	isolated := w.builder.ingress
	if egress {
		isolated = w.builder.egress
	}
	if !isolated[classes[0]] {
		return nil
	}
	turned := func(self, peer int, p port) link {
		if egress {
			return link{self, peer, p}
		}
		return link{peer, self, p}
	}
	ports := map[int][]port{} // By peer.
	for _, self := range classes {
		links := w.in[self]
		if egress {
			links = w.builder.out[self]
		}
		for _, l := range links {
			peer := l.from
			if egress {
				peer = l.to
			}
			if egress && w.isDNS(l) || w.itself(l) || slices.Contains(ports[peer], l.port) {
				continue
			}
			ports[peer] = append(ports[peer], l.port)
		}
	}
	byPorts := map[string][]int{}
	var order []string
	for _, peer := range slices.Sorted(maps.Keys(ports)) {
		slices.SortFunc(ports[peer], port.compare)
		key := fmt.Sprint(ports[peer])
		if byPorts[key] == nil {
			order = append(order, key)
		}
		byPorts[key] = append(byPorts[key], peer)
	}
	var out []rule
	for _, key := range order {
		r := rule{ports: ports[byPorts[key][0]]}
		var pods []int
		var blocks []networkingv1.NetworkPolicyPeer
		for _, peer := range byPorts[key] {
			if c := w.classes[peer]; c.namespace != "" {
				pods = append(pods, peer)
			} else {
				blocks = append(blocks, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(c.addr, c.addr.BitLen()).String()}})
			}
		}
		judge := func(peer int) verdict {
			worst := may
			for _, self := range classes {
				for _, p := range r.ports {
					switch l := turned(self, peer, p); {
					case w.links[l].state == closed:
						return never
					case !w.lets(l):
						worst = rather
					}
				}
			}
			return worst
		}
		if len(pods) > 0 {
			for _, c := range w.covering(w.namespace, true, pods, judge, 2, 0) {
				r.peers = append(r.peers, c.peer)
			}
		}
		r.peers = append(r.peers, blocks...)
		out = append(out, r)
	}
	return out
}

// selector is the one that selects the group.
func (w *writer) selector(classes []int, judge func(int) verdict, whole int) []choice {
	return w.covering(w.namespace, false, classes, judge, whole, costPolicy)
}

// open writes the policy of a group: what it lets through, or, for the directions that
// the group has, that nothing is.
func (w *writer) open(g group) {
	ingress, egress := w.rules(g.classes, false), w.rules(g.classes, true)
	idle := len(ingress)+len(egress)+len(g.dns) == 0
	judge := func(n int) verdict {
		if slices.Contains(g.classes, n) {
			return must
		}
		return never
	}
	for _, c := range w.selector(g.classes, judge, 2) {
		name := w.nameOf(c)
		if idle {
			name = "isolate-" + name
		}
		p := w.policy(*c.peer.PodSelector, w.free(name), g.ingress, g.egress)
		for _, r := range ingress {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: r.peers, Ports: policyPorts(r.ports)})
		}
		for _, r := range egress {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: r.peers, Ports: policyPorts(r.ports)})
		}
		if len(g.dns) > 0 {
			p.Spec.Egress = append(p.Spec.Egress, w.dnsRule(g.dns))
		}
		w.out = append(w.out, p)
	}
}

// allowDNS writes the rule for DNS once, for all that ask, and takes it from the groups:
// where it was the only thing that they may send, so that they need no more for egress.
// It reports whether that isolates every pod of the namespace for egress.
func (w *writer) allowDNS(asking []*group) (all bool) {
	byPorts := map[string][]int{}
	ports := map[string][]port{}
	for _, g := range asking {
		key := fmt.Sprint(g.dns)
		byPorts[key], ports[key] = append(byPorts[key], g.classes...), g.dns
	}
	for _, key := range slices.Sorted(maps.Keys(byPorts)) {
		classes := byPorts[key]
		slices.Sort(classes)
		judge := func(n int) verdict {
			if !w.builder.egress[n] {
				return never
			}
			worst := may
			for _, p := range ports[key] {
				for m, c := range w.classes {
					if !c.dns {
						continue
					}
					switch w.links[link{n, m, p}].state {
					case closed:
						return never
					case free:
						worst = rather
					}
				}
			}
			return worst
		}
		for _, c := range w.selector(classes, judge, 2) {
			p := w.policy(*c.peer.PodSelector, w.free("allow-dns"), false, true)
			p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{w.dnsRule(ports[key])}
			w.out = append(w.out, p)
			all = all || policy.SelectsAll(&p.Spec.PodSelector)
		}
	}
	for _, g := range asking {
		g.dns = nil
		if !w.opens(g.classes, true) {
			g.egress = false
		}
	}
	return all
}

func (w *writer) dnsRule(ports []port) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{
		To: []networkingv1.NetworkPolicyPeer{{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: policy.DNSNamespace}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{policy.DNSLabel: policy.DNSLabelValue}},
		}},
		Ports: policyPorts(ports),
	}
}

func (w *writer) policy(selector metav1.LabelSelector, name string, ingress, egress bool) networkingv1.NetworkPolicy {
	p := networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: selector},
	}
	if ingress {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
	}
	if egress {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
	return p
}

func policyPorts(ports []port) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	for _, p := range ports {
		number := intstr.FromInt32(p.number)
		out = append(out, networkingv1.NetworkPolicyPort{Protocol: &p.protocol, Port: &number})
	}
	return out
}

// nameOf names a policy after whom it selects: by the labels' values, which stay when
// pods go, or else by the pod.
func (w *writer) nameOf(c choice) string {
	const most = 3
	s := c.peer.PodSelector
	var parts []string
	switch {
	case policy.SelectsAll(s):
		parts = []string{"all-pods"}
	case len(s.MatchLabels) > 0:
		keys := slices.Collect(maps.Keys(s.MatchLabels))
		slices.SortFunc(keys, func(a, b string) int {
			return cmp.Or(policy.Awkwardness(a)-policy.Awkwardness(b), strings.Compare(a, b))
		})
		for _, key := range keys {
			parts = append(parts, s.MatchLabels[key])
		}
	case len(s.MatchExpressions) > 0 && len(s.MatchExpressions[0].Values) > 0 && len(s.MatchExpressions[0].Values) <= most:
		parts = s.MatchExpressions[0].Values
	default:
		parts = []string{short(w.classes[c.matches[0]].name)}
	}
	name := strings.Trim(unfit.ReplaceAllString(strings.ToLower(strings.Join(parts, "-")), "-"), "-.")
	if len(name) > validation.DNS1123LabelMaxLength-len("isolate--99") {
		name = strings.Trim(name[:validation.DNS1123LabelMaxLength-len("isolate--99")], "-.")
	}
	if name == "" {
		name = short(w.classes[c.matches[0]].name)
	}
	return name
}

var unfit = regexp.MustCompile(`[^a-z0-9-]+`)

// free is the name, with a number behind it where it is taken.
func (w *writer) free(name string) string {
	free := name
	for n := 2; w.names[free]; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	w.names[free] = true
	return free
}

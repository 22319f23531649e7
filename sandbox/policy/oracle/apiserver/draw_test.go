package apiserver

import (
	"fmt"
	"math/rand/v2"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// drawer draws policies. Each of its choices is between what Kubernetes takes and
// what it is known, or likely, to refuse; wrong is how often it is the latter.
type drawer struct {
	*rand.Rand
	wrong float64
}

// one reports, once in n times, true.
func (d *drawer) one(n int) bool { return d.IntN(n) == 0 }

func (d *drawer) isWrong() bool { return d.Float64() < d.wrong }

// pool is values of a field: those to take, and those to refuse.
type pool[T any] struct{ good, bad []T }

func pick[T any](d *drawer, p pool[T]) T {
	if d.isWrong() {
		return p.bad[d.IntN(len(p.bad))]
	}
	return p.good[d.IntN(len(p.good))]
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

var (
	names = pool[string]{
		good: []string{"a", "default-deny", "allow.web.v2", "0", repeat("a", 253)},
		bad:  []string{"", "Allow", "a_b", "-a", "a-", "a..b", ".a", "a b", "ä", repeat("a", 254)},
	}
	generateNames = pool[string]{
		good: []string{"", "", "", "web-", "web", "w.-"},
		bad:  []string{"Web-", "-", "--", "a_", "a--", "a..", repeat("a", 254), "."},
	}
	namespaces = pool[string]{
		good: []string{"default", "x", "0-1", repeat("n", 63)},
		bad:  []string{"", "Default", "a.b", "-a", "a_b", repeat("n", 64)},
	}
	labelKeys = pool[string]{
		good: []string{"app", "a", "A_1.b-c", "0", "example.com/app", "kubernetes.io/metadata.name", repeat("k", 63), repeat("d", 253) + "/k"},
		bad: []string{"", "a b", "-a", "a-", "_a", "/a", "a/", "/", "a/b/c", "Example.com/app", "exa_mple.com/app", "a..b/c", "ä", "a*",
			repeat("k", 64), "a/" + repeat("k", 64), repeat("d", 254) + "/k"},
	}
	labelValues = pool[string]{
		good: []string{"", "web", "A_1.b-c", "0", "true", repeat("v", 63)},
		bad:  []string{"a b", "-a", "a-", ".a", "a/b", "*", "a,b", "ä", "“a”", repeat("v", 64)},
	}
	annotationKeys = pool[string]{
		good: []string{"note", "Note", "Example.com/Note", "a.b/C", repeat("A", 63)},
		bad:  []string{"", "a b", "/a", "a/", "a/b/c", "exa_mple.com/a", "ä", repeat("A", 64)},
	}
	annotationValues = pool[string]{
		good: []string{"", "anything: at all\n", "ä"},
		bad:  []string{repeat("x", 256<<10), repeat("x", 256<<10-3), repeat("y", 200<<10)},
	}
	operators = pool[metav1.LabelSelectorOperator]{
		good: []metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"},
		bad:  []metav1.LabelSelectorOperator{"", "in", "IN", "=", "==", "!=", "Gt", "notin", "exists", "In "},
	}
	protocols = pool[corev1.Protocol]{
		good: []corev1.Protocol{"TCP", "UDP", "SCTP"},
		bad:  []corev1.Protocol{"", "tcp", "Udp", "ICMP", "HTTP", "TCP ", "TCP/UDP"},
	}
	portNumbers = pool[int32]{
		good: []int32{1, 2, 53, 80, 8080, 65534, 65535},
		bad:  []int32{0, -1, 65536, 70000, -2147483648, 2147483647},
	}
	portNames = pool[string]{
		good: []string{"http", "a", "1a", "web-8080", "abcdefghijklmno"},
		bad:  []string{"", "80", "0", "80-90", "80,443", "HTTP", "a--b", "-a", "a-", "-", "a_b", "a.b", "ä", "abcdefghijklmnop", "1234567890123456"},
	}
	cidrs = pool[string]{
		good: []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "0.0.0.0/0", "192.168.0.0/16", "172.16.0.0/12", "255.255.255.255/32",
			"::/0", "2001:db8::/32", "2001:DB8::/32", "2001:db8:0:0:0:0:0:0/48", "2001:0db8::/33", "fe80::/10", "2001:db8::1/128", "::10.0.0.0/104"},
		bad: []string{"", " ", "a", "web.example.com", "10.0.0.1", "10.0.0.0", "2001:db8::1", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8",
			"10.0.0.0/a", "10.0.0.0/255.0.0.0", "10.0.0/8", "10.0.0.0.0/8", "10.0.256.0/24", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "10.0.0.0/8,10.1.0.0/16",
			"10.1.2.3/8", "0.0.0.1/0", "10.0.0.1/31", "2001:db8::1/32", "::1/0", "2001:db8::/129", "2001:db8::g/32", "fe80::1%eth0/64", "fe80::%eth0/64",
			"010.0.0.0/8", "10.00.0.0/8", "10.0.0.0/08", "10.0.0.0/008", "010.1.2.3/08", "02001:db8::/32", "2001:00db8::/32", "2001:db8::/032", "::010.0.0.0/104",
			"::ffff:10.0.0.0/104", "::ffff:10.1.0.0/112", "::ffff:10.1.2.3/104", "::ffff:a00:0/104", "::ffff:0:0/96", "::ffff:10.0.0.0/8", "0:0:0:0:0:ffff:10.0.0.0/108"},
	}
	policyTypes = pool[[]networkingv1.PolicyType]{
		good: [][]networkingv1.PolicyType{nil, {}, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}, {"Egress", "Ingress"}, {"Ingress", "Ingress"}},
		bad: [][]networkingv1.PolicyType{{""}, {"ingress"}, {"Ingress", "egress"}, {"Both"}, {"", ""}, {"Ingress", ""},
			{"Ingress", "Egress", "Ingress"}, {"Ingress", "Egress", "Both"}, {"a", "b", "c", "d"}},
	}
)

// policy draws one.
func (d *drawer) policy() *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      pick(d, names),
			Namespace: pick(d, namespaces),
		},
	}
	if d.one(2) {
		d.metadata(&np.ObjectMeta)
	}
	np.Spec.PodSelector = *d.selector()
	np.Spec.PolicyTypes = pick(d, policyTypes)
	for range d.IntN(3) {
		np.Spec.Ingress = append(np.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{Ports: d.ports(), From: d.peers()})
	}
	for range d.IntN(3) {
		np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{Ports: d.ports(), To: d.peers()})
	}
	return np
}

func (d *drawer) metadata(meta *metav1.ObjectMeta) {
	meta.GenerateName = pick(d, generateNames)
	meta.Labels = d.labels()
	if d.one(3) {
		meta.Annotations = map[string]string{pick(d, annotationKeys): pick(d, annotationValues)}
		if d.one(3) {
			meta.Annotations[pick(d, annotationKeys)] = pick(d, annotationValues)
		}
	}
	if d.one(4) {
		meta.Generation = pick(d, pool[int64]{[]int64{0, 1, 7}, []int64{-1}})
	}
	if d.one(6) {
		meta.Finalizers = pick(d, pool[[]string]{
			good: [][]string{{"example.com/a"}, {"orphan"}, {"foregroundDeletion"}, {"kubernetes", "a/b"}},
			bad:  [][]string{{"orphan", "foregroundDeletion"}, {""}, {"a b"}, {"a/b", "c"}, {"a", "/b"}},
		})
	}
	for range d.IntN(8) / 6 * d.IntN(4) {
		meta.OwnerReferences = append(meta.OwnerReferences, metav1.OwnerReference{
			APIVersion: pick(d, pool[string]{[]string{"v1", "apps/v1"}, []string{"", "a/b/c", "apps/"}}),
			Kind:       pick(d, pool[string]{[]string{"Deployment"}, []string{"", "Event"}}),
			Name:       pick(d, pool[string]{[]string{"web"}, []string{""}}),
			UID:        "1",
			Controller: pick(d, pool[*bool]{[]*bool{nil, new(bool)}, []*bool{yes}}),
		})
	}
	if d.one(6) {
		meta.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager:     pick(d, pool[string]{[]string{"", "kubectl"}, []string{repeat("m", 129), "a\tb"}}),
			Operation:   pick(d, pool[metav1.ManagedFieldsOperationType]{[]metav1.ManagedFieldsOperationType{"Apply", "Update"}, []metav1.ManagedFieldsOperationType{"", "Create"}}),
			FieldsType:  pick(d, pool[string]{[]string{"", "FieldsV1"}, []string{"FieldsV2"}}),
			Subresource: pick(d, pool[string]{[]string{"", "status"}, []string{repeat("s", 257)}}),
		}}
	}
}

var yes = func() *bool { b := true; return &b }()

func (d *drawer) labels() map[string]string {
	labels := map[string]string{}
	for range d.IntN(3) {
		labels[pick(d, labelKeys)] = pick(d, labelValues)
	}
	return labels
}

func (d *drawer) selector() *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	if d.one(3) {
		return s
	}
	s.MatchLabels = d.labels()
	for range d.IntN(3) {
		e := metav1.LabelSelectorRequirement{Key: pick(d, labelKeys), Operator: pick(d, operators)}
		takesValues := e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn
		if takesValues != d.isWrong() {
			for range 1 + d.IntN(3) {
				e.Values = append(e.Values, pick(d, labelValues))
			}
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

func (d *drawer) ports() []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	for range d.IntN(4) {
		var port networkingv1.NetworkPolicyPort
		if d.one(2) {
			protocol := pick(d, protocols)
			port.Protocol = &protocol
		}
		switch d.IntN(4) {
		case 0:
			name := intstr.FromString(pick(d, portNames))
			port.Port = &name
		case 1: // Every port.
		default:
			number := intstr.FromInt32(pick(d, portNumbers))
			port.Port = &number
		}
		hasNumber := port.Port != nil && port.Port.Type == intstr.Int
		switch {
		case hasNumber && d.one(2) && !d.isWrong():
			end := port.Port.IntVal + int32(d.IntN(3)*d.IntN(100))
			if port.Port.IntVal > 0 {
				end = min(end, 65535)
			}
			port.EndPort = &end
		case d.isWrong():
			end := pick(d, pool[int32]{[]int32{79, 1, 80, 90, 65535}, []int32{0, -1, 65536}})
			port.EndPort = &end
		}
		ports = append(ports, port)
	}
	return ports
}

func (d *drawer) peers() []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for range d.IntN(3) {
		var peer networkingv1.NetworkPolicyPeer
		block := d.one(3)
		if d.isWrong() {
			// Any of the eight combinations, nobody among them.
			block = d.one(2)
			if d.one(2) {
				peer.PodSelector = d.selector()
			}
			if d.one(2) {
				peer.NamespaceSelector = d.selector()
			}
		} else if !block {
			which := d.IntN(3)
			if which != 0 {
				peer.PodSelector = d.selector()
			}
			if which != 1 {
				peer.NamespaceSelector = d.selector()
			}
		}
		if block {
			peer.IPBlock = d.ipBlock()
		}
		peers = append(peers, peer)
	}
	return peers
}

func (d *drawer) ipBlock() *networkingv1.IPBlock {
	block := &networkingv1.IPBlock{CIDR: pick(d, cidrs)}
	for range d.IntN(3) {
		switch {
		case d.isWrong():
			block.Except = append(block.Except, pick(d, pool[string]{cidrs.good, cidrs.bad}))
		case d.isWrong():
			block.Except = append(block.Except, block.CIDR)
		default:
			// A part of cidr; where cidr is a single address, none.
			if part := d.partOf(block.CIDR); part != "" {
				block.Except = append(block.Except, part)
			}
		}
	}
	return block
}

// partOf is a range within another; "" where there is none, or it is not known.
func (d *drawer) partOf(cidr string) string {
	parts := map[string][]string{
		"10.0.0.0/8":     {"10.1.0.0/16", "10.255.255.255/32", "10.0.0.0/9"},
		"10.1.0.0/16":    {"10.1.2.0/24", "10.1.0.0/17"},
		"0.0.0.0/0":      {"10.0.0.0/8", "128.0.0.0/1", "169.254.169.254/32"},
		"::/0":           {"2001:db8::/32", "8000::/1"},
		"2001:db8::/32":  {"2001:db8:1::/48", "2001:db8::/33", "2001:db8::1/128"},
		"192.168.0.0/16": {"192.168.1.0/24"},
	}[cidr]
	if len(parts) == 0 {
		return ""
	}
	return parts[d.IntN(len(parts))]
}

// draw draws the policy with the number. A third are drawn to be taken, and some
// of the others are, too; of those that are not, some have one thing wrong and
// some have many.
func draw(seed, number uint64) *networkingv1.NetworkPolicy {
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, number))}
	if number%3 != 0 {
		d.wrong = []float64{0.02, 0.05, 0.1, 0.3}[d.IntN(4)]
	}
	np := d.policy()
	if len(np.Labels) == 0 {
		np.Labels = nil
	}
	return np
}

// describe is the policy for a message.
func describe(seed, number uint64) string { return fmt.Sprintf("policy %d of seed %d", number, seed) }

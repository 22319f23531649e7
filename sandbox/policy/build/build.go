// Package build writes policies from what they are to do: for each connection of a
// network whether it is to be open or closed.
//
// What it writes is little and meant to be read: a pod is isolated only in the
// direction in which something of it must be closed, by one policy of its own or of
// the label that it shares; its rules name pods by labels that stay, ports as the pods
// have them, hosts outside by their addresses. Where a pod is isolated for egress, what
// its peers let in must be let out, too, and the other way about.
//
// A connection without a wish is free. None is opened that labels can keep closed
// beside those that must be open; what ends at a pod that has to be isolated is closed
// with the rest, and what does not stays as it is.
package build

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// Wish is what is asked of one connection.
type Wish struct {
	// Flow is the connection, also one to the address of a Service. Its ends may come
	// from any Evaluator of the same network.
	policy.Flow
	// ByName says that the source asks the cluster's DNS for the address first, so that
	// the connection is closed, too, where it may not ask.
	ByName bool
	// Open is what the connection is to be; else it is to be closed.
	Open bool
}

// Plan is what was made of wishes: policies that do exactly what was asked for, or
// reasons why no policies can.
type Plan struct {
	// Policies do it if there are no others. They are sorted by namespace and name;
	// there are none where nothing is to be closed, and where Refusals has any.
	Policies []Policy
	// Refusals say which wishes no set of policies fulfils together, at most
	// [MaxRefusals]; More is how many were left out.
	Refusals []Refusal
	More     int
	// Else says in sentences what the policies also let through, or close: of pods that
	// are not there yet, and of what has the same address.
	Else []string
}

// Policy is one that was made.
type Policy struct {
	networkingv1.NetworkPolicy
	// Sentences say what it does; see [policy.Evaluator.Sentences].
	Sentences []string
	// YAML is the policy with the first of these as a comment.
	YAML string
}

// MaxRefusals is how many refusals are told.
const MaxRefusals = 8

// Policies makes policies of wishes. Namespaces are those that policies may be written
// for; nil is any. The same wishes give the same policies, in whatever order they come.
//
// The error is a *[policy.DuplicateError] where two pods have one name, or says that
// what was made does not do what was asked for, which would be a mistake here.
func Policies(network policy.Network, namespaces []string, wishes []Wish) (Plan, error) {
	b, err := newBuilder(network, namespaces)
	if err != nil {
		return Plan{}, err
	}
	b.record(wishes)
	b.isolate()
	if len(b.refusals) > 0 {
		plan := Plan{Refusals: b.refusals}
		if n := len(plan.Refusals); n > MaxRefusals {
			plan.Refusals, plan.More = plan.Refusals[:MaxRefusals], n-MaxRefusals
		}
		return plan, nil
	}
	written := b.write()
	e, err := b.compile(written)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Else: b.besides(written, e)}
	for _, p := range written {
		sentences := b.bare.Sentences(&policy.Policy{NetworkPolicy: p})
		plan.Policies = append(plan.Policies, Policy{p, sentences, comment(sentences[:min(3, len(sentences))]) + policy.YAML(p)})
	}
	return plan, b.verify(e, wishes)
}

// comment writes sentences as a comment.
func comment(sentences []string) string {
	const width = 76
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(strings.Join(sentences, " ")) {
		if len(line)+1+len(word) > width && line != "#" {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}

// state is what is asked of a connection.
type state int8

const (
	free state = iota
	open
	closed
)

// class is what policies cannot tell apart: pods of one namespace with the same labels,
// or what has one address and is found by no selector.
type class struct {
	// name is that of the first; of pods, "namespace/pod".
	name      string
	namespace string // "" for an address.
	labels    map[string]string
	pods      []int // Positions in the network.
	addr      netip.Addr
	// writable says that policies may select it.
	writable bool
	dns      bool // The cluster's DNS pods.
}

// port is a port with its protocol.
type port struct {
	protocol corev1.Protocol
	number   int32
}

func (p port) String() string { return fmt.Sprintf("%d/%s", p.number, p.protocol) }

func (p port) compare(q port) int {
	return cmp.Or(cmp.Compare(p.number, q.number), -strings.Compare(string(p.protocol), string(q.protocol)))
}

// link is a connection between classes.
type link struct {
	from, to int
	port     port
}

func (a link) compare(b link) int {
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), a.port.compare(b.port))
}

// asked is what is asked of a link, and by whom.
type asked struct {
	state    state
	from, to string // The ends of the wish that came first.
	// sake is where a connection by name leads for whose sake DNS is asked; "" where it
	// is wished for itself.
	sake string
}

type builder struct {
	network policy.Network
	// bare has no policies; denied closes all that policies can.
	bare, denied *policy.Evaluator
	classes      []class
	number       map[string]int // Of the classes, by what makes them one.
	podNumber    map[string]int // By "namespace/pod".
	dns          []int          // The cluster's DNS pods.
	members      map[string][]int
	links        map[link]asked
	refusals     []Refusal
	// in and out are the open links to and from each class.
	in, out map[int][]link
	// isolated are the classes that are, in each direction.
	ingress, egress map[int]bool
}

func newBuilder(network policy.Network, namespaces []string) (*builder, error) {
	b := &builder{
		network: network, number: map[string]int{}, podNumber: map[string]int{}, members: map[string][]int{}, links: map[link]asked{},
		ingress: map[int]bool{}, egress: map[int]bool{},
	}
	var err error
	if b.bare, err = policy.Compile(network, nil); err != nil {
		return nil, err
	}
	if namespaces == nil {
		namespaces = slices.Collect(maps.Keys(b.bare.Namespaces()))
	}
	if b.denied, err = policy.Compile(network, Deny(namespaces)); err != nil {
		return nil, err
	}
	for i := range network.Pods {
		p := &network.Pods[i]
		b.podNumber[p.Namespace+"/"+p.Name] = i
		if p.IsDNS() {
			b.dns = append(b.dns, i)
		}
		if p.HostNetwork {
			continue
		}
		key := p.Namespace + "/" + labelsText(p.Labels)
		n, ok := b.number[key]
		if !ok {
			n = len(b.classes)
			b.number[key] = n
			b.classes = append(b.classes, class{
				name: p.Namespace + "/" + p.Name, namespace: p.Namespace, labels: p.Labels, writable: slices.Contains(namespaces, p.Namespace), dns: p.IsDNS(),
			})
			b.members[p.Namespace] = append(b.members[p.Namespace], n)
		}
		b.classes[n].pods = append(b.classes[n].pods, i)
	}
	return b, nil
}

// Deny are policies that close all that policies of the namespaces can.
func Deny(namespaces []string) []policy.Policy {
	var out []policy.Policy
	for _, ns := range namespaces {
		out = append(out, policy.Policy{NetworkPolicy: networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "deny"},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}},
		}})
	}
	return out
}

// labelsText is labels in one order.
func labelsText(labels map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, key+"="+labels[key])
	}
	return strings.Join(out, ",")
}

// pod is the endpoint's pod by its position in the network, -1 for what is none.
func (b *builder) pod(end policy.Endpoint) int {
	if i, ok := b.podNumber[b.bare.Name(end)]; ok {
		return i
	}
	return -1
}

// class is the class of an end of a connection.
func (b *builder) class(end policy.Endpoint) int {
	name := b.bare.Name(end)
	if i := b.pod(end); i >= 0 && !b.network.Pods[i].HostNetwork {
		p := &b.network.Pods[i]
		return b.number[p.Namespace+"/"+labelsText(p.Labels)]
	}
	key := end.Addr().String()
	if !end.Addr().IsValid() {
		key = name
	}
	n, ok := b.number[key]
	if !ok {
		n = len(b.classes)
		b.number[key] = n
		b.classes = append(b.classes, class{name: name, addr: end.Addr()})
	}
	return n
}

// direct are the connections that a flow stands for: to the pods behind a Service, or
// the flow itself. It is empty where a Service leads nowhere.
func (b *builder) direct(f policy.Flow) []policy.Flow {
	if f.Protocol == "" {
		f.Protocol = corev1.ProtocolTCP
	}
	flows, ok := b.bare.Backends(f)
	if !ok {
		flows = []policy.Flow{f}
	}
	for i := range flows {
		flows[i].From, flows[i].To = b.bare.OneFamily(flows[i].From, flows[i].To)
	}
	return flows
}

// questions are what the source of a connection by name asks first.
func (b *builder) questions(f policy.Flow) []policy.Flow {
	var out []policy.Flow
	for _, i := range b.dns {
		p := &b.network.Pods[i]
		to, _ := b.bare.Pod(p.Namespace, p.Name)
		out = append(out, b.direct(policy.Flow{From: f.From, To: to, Port: policy.DNSPort, Protocol: corev1.ProtocolUDP})...)
	}
	return out
}

func (b *builder) link(f policy.Flow) link {
	return link{b.class(f.From), b.class(f.To), port{f.Protocol, f.Port}}
}

// record notes what is asked of each link: what is to be open first, since what is to be
// closed by name can be closed in two ways.
func (b *builder) record(wishes []Wish) {
	type keyed struct {
		Wish
		key string
	}
	var sorted []keyed
	for _, w := range wishes {
		sorted = append(sorted, keyed{w, fmt.Sprintf("%t %t %s>%s:%d/%s", !w.Open, w.ByName, b.bare.Name(w.From), b.bare.Name(w.To), w.Port, w.Protocol)})
	}
	slices.SortStableFunc(sorted, func(x, y keyed) int { return strings.Compare(x.key, y.key) })
	for _, w := range sorted {
		flows := b.direct(w.Flow)
		switch {
		case w.Open && len(flows) == 0:
			b.refuse(noBackend(b.bare.Name(w.From), w.Flow.Port, w.To.Addr()))
		case w.Open:
			for _, f := range flows {
				b.ask(f, open, "")
			}
			if w.ByName {
				if len(b.dns) == 0 {
					b.refuse(noDNS(b.bare.Name(w.From)))
				}
				for _, q := range b.questions(w.Flow) {
					b.ask(q, open, b.bare.Name(flows[0].To))
				}
			}
		case !w.ByName && len(flows) == 1:
			b.ask(flows[0], closed, "")
		}
	}
	for _, w := range sorted {
		if flows := b.direct(w.Flow); !w.Open && (w.ByName || len(flows) > 1) {
			b.closeOne(w.Wish, flows)
		}
	}
	b.answerByTCP()
}

// ask notes a wish for one connection, or why it cannot be.
func (b *builder) ask(f policy.Flow, want state, sake string) {
	if d := b.denied.Decide(f); d.Allowed {
		if want == closed {
			b.refuse(b.alwaysOpen(d))
		}
		return // Open whatever policies there are.
	}
	l := b.link(f)
	from, to := b.bare.Name(f.From), b.bare.Name(f.To)
	have, ok := b.links[l]
	switch {
	case !ok || have.state == free:
		b.links[l] = asked{want, from, to, sake}
	case have.state != want:
		b.refuse(b.alike(l, have, asked{want, from, to, sake}))
	}
}

// closeOne closes what can be closed in more than one way: the connection to any of the
// pods behind a Service, or, where that is by name and they are to be open by address,
// the source's questions to DNS.
func (b *builder) closeOne(w Wish, flows []policy.Flow) {
	var can []policy.Flow
	for _, f := range flows {
		if b.denied.Allowed(f) {
			continue
		}
		switch b.links[b.link(f)].state {
		case closed:
			return // All pods behind a Service must be reached for it to be open.
		case free:
			can = append(can, f)
		}
	}
	for _, f := range can {
		b.ask(f, closed, "")
	}
	switch {
	case len(can) > 0 || len(flows) == 0:
		return
	case !w.ByName:
		b.ask(flows[0], closed, "") // Says why it cannot be.
		return
	}
	questions := b.questions(w.Flow)
	for _, q := range questions {
		if b.denied.Allowed(q) {
			d := b.denied.Decide(q)
			b.refuse(b.alwaysOpen(d))
			return
		}
		if b.links[b.link(q)].state == open {
			b.refuse(openByAddress(b.bare.Name(w.From), b.bare.Name(flows[0].To)))
			return
		}
	}
	for _, q := range questions {
		b.ask(q, closed, b.bare.Name(flows[0].To))
	}
}

// answerByTCP opens DNS by TCP beside UDP, unless it is to be closed: an answer that is
// too long for a packet comes by TCP.
func (b *builder) answerByTCP() {
	for l, a := range maps.Clone(b.links) {
		tcp := l
		tcp.port.protocol = corev1.ProtocolTCP
		if b.classes[l.to].dns && l.port == (port{corev1.ProtocolUDP, policy.DNSPort}) && a.state == open && b.links[tcp].state == free {
			b.links[tcp] = asked{open, a.from, a.to, a.sake}
		}
	}
}

// compile prepares what was written for evaluation.
func (b *builder) compile(policies []networkingv1.NetworkPolicy) (*policy.Evaluator, error) {
	var all []policy.Policy
	for _, p := range policies {
		if problems := policy.Validate(policy.Policy{NetworkPolicy: p}); len(problems) > 0 {
			return nil, fmt.Errorf("the policy %s/%s that was written is not valid: %s", p.Namespace, p.Name, problems[0])
		}
		all = append(all, policy.Policy{NetworkPolicy: p})
	}
	e, err := policy.Compile(b.network, all)
	if err != nil {
		return nil, fmt.Errorf("the policies that were written: %w", err)
	}
	return e, nil
}

// verify evaluates what was written against what was asked for.
func (b *builder) verify(e *policy.Evaluator, wishes []Wish) error {
	for _, w := range wishes {
		is := e.Allowed(w.Flow)
		if w.ByName {
			questions := b.questions(w.Flow)
			is = is && len(questions) > 0 && !slices.ContainsFunc(questions, func(q policy.Flow) bool { return !e.Allowed(q) })
		}
		if is != w.Open {
			return fmt.Errorf("what was written is not what was asked for: %s", e.Decide(w.Flow))
		}
	}
	return nil
}

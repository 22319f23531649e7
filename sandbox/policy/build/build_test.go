package build_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/build"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

// drawn is a network with wishes.
type drawn struct {
	*rand.Rand
	network    policy.Network
	evaluator  *policy.Evaluator // Without policies.
	namespaces []string
	wishes     []build.Wish
	pods       map[policy.Endpoint]*policy.Pod // Those that were looked up.
}

// draw draws a network and wishes: one half of them by what pods are, so that labels
// mostly allow them, the others connection by connection.
func draw(t testing.TB, seed uint64) *drawn {
	t.Helper()
	d := &drawn{Rand: rand.New(rand.NewPCG(seed, 3)), network: policytest.Network(seed), pods: map[policy.Endpoint]*policy.Pod{}}
	for _, ns := range d.network.Namespaces {
		d.namespaces = append(d.namespaces, ns.Name)
	}
	// Labels that do not stay, on some: two pods of one Deployment differ in them alone.
	for i := range d.network.Pods {
		labels := maps.Clone(d.network.Pods[i].Labels)
		switch d.IntN(8) {
		case 0:
			labels["pod-template-hash"] = fmt.Sprintf("%x", 0xabc0000+d.IntN(2))
		case 1:
			labels["version"] = []string{"v1.2.3", "v1.2.4"}[d.IntN(2)]
		}
		d.network.Pods[i].Labels = labels
	}
	d.network.Namespaces = append(d.network.Namespaces, policy.Namespace{Name: "kube-system"})
	dns := map[string]string{"k8s-app": "kube-dns"}
	ports := []policy.Port{{Port: 53, Protocol: "UDP"}, {Port: 53, Protocol: "TCP"}}
	for i := range 1 + d.IntN(2) {
		d.network.Pods = append(d.network.Pods, policy.Pod{
			Namespace: "kube-system", Name: fmt.Sprintf("coredns-%d", i), Labels: dns, IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 244, 200, byte(i)})}, Node: "one", Ports: ports,
		})
	}
	d.network.Hosts = append(d.network.Hosts, policy.Host{Name: "office", IPs: []netip.Addr{netip.MustParseAddr("10.20.0.5")}, Ports: []policy.Port{{Port: 443}}})
	var err error
	if d.evaluator, err = policy.Compile(d.network, nil); err != nil {
		t.Fatal(err)
	}
	byClass := d.IntN(2) == 0
	wished := []int{100, 60, 15, 4}[d.IntN(4)]   // In a hundred, how many connections.
	open := []int{10, 30, 50, 80, 95}[d.IntN(5)] // And how many of these are to be open.
	answers := map[string]bool{}
	// What is wished of one connection: of those alike the same, and open what nothing
	// can close.
	fits := func(f policy.Flow) bool {
		key := fmt.Sprintf("%s>%s:%d/%s", d.kind(f.From), d.kind(f.To), f.Port, f.Protocol)
		if _, ok := answers[key]; !ok {
			answers[key] = d.IntN(100) < open
		}
		return answers[key] || d.alwaysOpen(f)
	}
	not := func(f policy.Flow) bool { return !fits(f) }
	for _, f := range d.flows() {
		w := build.Wish{Flow: f, Open: d.IntN(100) < open, ByName: f.Port == 8080 && d.IntN(2) == 0}
		if byClass {
			flows := d.behind(f)
			w.Open = len(flows) > 0 && !slices.ContainsFunc(flows, not) && !(w.ByName && slices.ContainsFunc(d.questions(f), not))
		}
		if d.IntN(100) < wished {
			d.wishes = append(d.wishes, w)
		}
	}
	// Or one odd wish among many that fit.
	if byClass && len(d.wishes) > 0 && d.IntN(3) == 0 {
		w := &d.wishes[d.IntN(len(d.wishes))]
		w.Open = !w.Open
	}
	return d
}

// flows are all to ports that somebody serves, and to Services.
func (d *drawn) flows() []policy.Flow {
	var out []policy.Flow
	for _, f := range d.evaluator.Flows() {
		if !strings.HasPrefix(d.evaluator.Name(f.From), "kube-system/") {
			out = append(out, f)
		}
	}
	for _, p := range d.network.Pods {
		from, _ := d.evaluator.Pod(p.Namespace, p.Name)
		for _, s := range d.network.Services {
			if p.Namespace != "kube-system" {
				out = append(out, policy.Flow{From: from, To: d.evaluator.Address(s.ClusterIPs[0]), Port: 8080, Protocol: s.Ports[0].Protocol})
			}
		}
	}
	return out
}

// kind is what the end is for policies.
func (d *drawn) kind(e policy.Endpoint) string {
	if p := d.pod(e); p != nil && !p.HostNetwork {
		return p.Namespace + fmt.Sprint(p.Labels)
	}
	return e.Addr().String()
}

func (d *drawn) pod(e policy.Endpoint) *policy.Pod {
	if p, ok := d.pods[e]; ok {
		return p
	}
	name := d.evaluator.Name(e)
	at := slices.IndexFunc(d.network.Pods, func(p policy.Pod) bool { return p.Namespace+"/"+p.Name == name })
	d.pods[e] = nil
	if at >= 0 {
		d.pods[e] = &d.network.Pods[at]
	}
	return d.pods[e]
}

// selectable reports that policies for the drawn namespaces can select the end.
func (d *drawn) selectable(e policy.Endpoint) bool {
	p := d.pod(e)
	return p != nil && !p.HostNetwork && slices.Contains(d.namespaces, p.Namespace)
}

// alwaysOpen reports that no policy can close a connection between two ends.
func (d *drawn) alwaysOpen(f policy.Flow) bool {
	from, to := d.pod(f.From), d.pod(f.To)
	if from != nil && from == to {
		return true
	}
	ingress := d.selectable(f.To)
	if ingress {
		// The destination's own node always gets in.
		if from != nil && from.HostNetwork && from.Node == to.Node {
			ingress = false
		}
	}
	return !ingress && !d.selectable(f.From)
}

// toldApart reports that there is a selector, or an address, that means the one end and
// not the other; it tries every requirement that can be made of the labels there are.
func (d *drawn) toldApart(a, b policy.Endpoint) bool {
	p, q := d.pod(a), d.pod(b)
	isPod := func(p *policy.Pod) bool { return p != nil && !p.HostNetwork }
	if !isPod(p) || !isPod(q) {
		return isPod(p) != isPod(q) || a.Addr() != b.Addr()
	}
	if p.Namespace != q.Namespace {
		return true // kubernetes.io/metadata.name
	}
	values := map[string][]string{}
	for _, labels := range []map[string]string{p.Labels, q.Labels} {
		for k, v := range labels {
			values[k] = append(values[k], v)
		}
	}
	for k, vs := range values {
		var tries []metav1.LabelSelectorRequirement
		for _, op := range []metav1.LabelSelectorOperator{metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist} {
			tries = append(tries, metav1.LabelSelectorRequirement{Key: k, Operator: op})
		}
		for _, v := range vs {
			for _, op := range []metav1.LabelSelectorOperator{metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn} {
				tries = append(tries, metav1.LabelSelectorRequirement{Key: k, Operator: op, Values: []string{v}})
			}
		}
		for _, r := range tries {
			s := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{r}}
			if policy.Matches(s, p.Labels) != policy.Matches(s, q.Labels) {
				return true
			}
		}
	}
	return false
}

// demand is a connection between two ends that must be open or closed.
type demand struct {
	policy.Flow
	open bool
}

// possible decides by trying, without what the builder knows, whether any policies can
// do what was wished for: whether among what is demanded there are no two demands, one
// open and one closed, for ends that nothing tells apart. A Service with several pods is
// closed if any of them is, and a connection by name also by closing DNS: each way is
// tried.
func (d *drawn) possible() bool {
	var demands []demand
	var either [][][]demand // Wishes that can be had in several ways.
	for _, w := range d.wishes {
		flows := d.behind(w.Flow)
		questions := d.questions(w.Flow)
		switch {
		case w.Open && (len(flows) == 0 || w.ByName && len(questions) == 0):
			return false
		case w.Open:
			for _, f := range flows {
				demands = append(demands, demand{f, true})
			}
			if w.ByName {
				for _, q := range questions {
					demands = append(demands, demand{q, true})
				}
			}
		case len(flows) == 0:
		default:
			var ways [][]demand
			for _, f := range flows {
				ways = append(ways, []demand{{f, false}})
			}
			if w.ByName {
				for _, q := range questions {
					ways = append(ways, []demand{{q, false}})
				}
			}
			if len(ways) == 1 {
				demands = append(demands, ways[0]...)
			} else {
				either = append(either, ways)
			}
		}
	}
	if !d.compatible(demands, nil) {
		return false
	}
	// A way that fits what must be open fits whatever else is to be closed.
	for _, ways := range either {
		if !slices.ContainsFunc(ways, func(way []demand) bool { return d.compatible(demands, way) }) {
			return false
		}
	}
	return true
}

func (d *drawn) compatible(demands, more []demand) bool {
	check := more
	if more == nil {
		check = demands
	}
	for _, x := range check {
		if !x.open && d.alwaysOpen(x.Flow) {
			return false
		}
		for _, y := range demands {
			if x.open != y.open && x.Port == y.Port && x.Protocol == y.Protocol && !d.alwaysOpen(x.Flow) && !d.alwaysOpen(y.Flow) &&
				!d.toldApart(x.From, y.From) && !d.toldApart(x.To, y.To) {
				return false
			}
		}
	}
	return true
}

// behind are the connections to pods that a flow stands for.
func (d *drawn) behind(f policy.Flow) []policy.Flow {
	flows, ok := d.evaluator.Backends(f)
	if !ok {
		flows = []policy.Flow{f}
	}
	for i := range flows {
		flows[i].From, flows[i].To = d.evaluator.OneFamily(flows[i].From, flows[i].To)
		if flows[i].Protocol == "" {
			flows[i].Protocol = corev1.ProtocolTCP
		}
	}
	return flows
}

func (d *drawn) questions(f policy.Flow) []policy.Flow {
	var out []policy.Flow
	for i := range d.network.Pods {
		if p := &d.network.Pods[i]; p.IsDNS() {
			to, _ := d.evaluator.Pod(p.Namespace, p.Name)
			out = append(out, d.behind(policy.Flow{From: f.From, To: to, Port: 53, Protocol: corev1.ProtocolUDP})...)
		}
	}
	return out
}

// allowed is what the wish's connection is under the policies.
func (d *drawn) allowed(e *policy.Evaluator, w build.Wish) bool {
	if !e.Allowed(w.Flow) {
		return false
	}
	return !w.ByName || !slices.ContainsFunc(d.questions(w.Flow), func(q policy.Flow) bool { return !e.Allowed(q) })
}

func compile(t testing.TB, n policy.Network, plan build.Plan) *policy.Evaluator {
	t.Helper()
	for _, p := range plan.Policies {
		if problems := policy.Validate(policy.Policy{NetworkPolicy: p.NetworkPolicy}); len(problems) > 0 {
			t.Fatalf("not valid: %v\n%s", problems, p.YAML)
		}
	}
	// As a learner gets them.
	all, err := policy.Parse([]byte(text(plan)), policy.ParseOptions{})
	if err != nil && len(plan.Policies) > 0 {
		t.Fatalf("%v\n%s", err, text(plan))
	}
	e, err := policy.Compile(n, all)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func text(plan build.Plan) string {
	var out []string
	for _, p := range plan.Policies {
		out = append(out, p.YAML)
	}
	return strings.Join(out, "---\n")
}

// hold holds what must be true of any network and wishes; it reports whether there
// were policies.
func hold(t *testing.T, seed uint64) (build.Plan, bool) {
	t.Helper()
	d := draw(t, seed)
	plan, err := build.Policies(d.network, d.namespaces, d.wishes)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if possible := d.possible(); possible != (len(plan.Refusals) == 0) {
		t.Fatalf("seed %d: tried by brute force: possible is %t; the refusals are %+v", seed, possible, plan.Refusals)
	}
	for _, r := range plan.Refusals {
		if !strings.HasSuffix(r.Text, ".") || !strings.HasSuffix(r.Advice, ".") || strings.Contains(r.Text+r.Advice, "%!") {
			t.Fatalf("seed %d: refusal %+v", seed, r)
		}
		if r.Cause != build.CauseAlike {
			continue
		}
		var ends [2]policy.Endpoint
		for i, name := range r.Ends {
			if ends[i], err = d.evaluator.Source(name); err != nil {
				t.Fatalf("seed %d: %v in %+v", seed, err, r)
			}
		}
		if p := d.pod(ends[0]); p != nil && !p.HostNetwork && d.toldApart(ends[0], ends[1]) {
			t.Fatalf("seed %d: %s and %s are told apart; the refusal says: %s", seed, r.Ends[0], r.Ends[1], r.Text)
		}
	}
	if len(plan.Refusals) > 0 {
		return plan, false
	}
	e := compile(t, d.network, plan)
	for _, w := range d.wishes {
		if d.allowed(e, w) != w.Open {
			t.Fatalf("seed %d: wished open %t, by name %t: %s\n%s", seed, w.Open, w.ByName, e.Explain(w.Flow), text(plan))
		}
	}
	d.holdFree(t, seed, e, plan)
	d.Shuffle(len(d.wishes), func(i, j int) { d.wishes[i], d.wishes[j] = d.wishes[j], d.wishes[i] })
	again, err := build.Policies(d.network, d.namespaces, d.wishes)
	if err != nil || text(again) != text(plan) || !slices.Equal(again.Else, plan.Else) {
		t.Fatalf("seed %d: in another order (%v)\n%s\nand before\n%s\n%q\n%q", seed, err, text(again), text(plan), again.Else, plan.Else)
	}
	return plan, true
}

// holdFree holds that nothing is open at a pod that is isolated but what was wished for,
// and what labels that stay cannot keep apart from it.
func (d *drawn) holdFree(t *testing.T, seed uint64, e *policy.Evaluator, plan build.Plan) {
	t.Helper()
	for _, p := range d.network.Pods {
		if p.Labels["version"] != "" || p.Labels["pod-template-hash"] != "" {
			return
		}
	}
	for _, f := range d.flows() {
		if _, ok := d.evaluator.Backends(f); ok || d.alwaysOpen(f) || !e.Allowed(f) || f.Port == 53 {
			continue
		}
		dec := e.Decide(f)
		if dec.Egress.Because != policy.Admitted && dec.Ingress.Because != policy.Admitted {
			continue
		}
		f = d.behind(f)[0]
		if !slices.ContainsFunc(d.wishes, func(w build.Wish) bool {
			return w.Open && slices.ContainsFunc(d.behind(w.Flow), func(g policy.Flow) bool {
				return g.Port == f.Port && g.Protocol == f.Protocol && !d.toldApart(f.From, g.From) && !d.toldApart(f.To, g.To)
			})
		}) {
			t.Fatalf("seed %d: nobody wished for it: %s\n%s", seed, e.Explain(f), text(plan))
		}
	}
}

func TestPolicies_do_exactly_what_was_wished_for_or_say_what_labels_do_not_tell_apart(t *testing.T) {
	const seeds = 1000
	made, policies, most := 0, 0, 0
	for seed := range uint64(seeds) {
		if plan, ok := hold(t, seed); ok {
			made++
			policies += len(plan.Policies)
			most = max(most, len(plan.Policies))
		}
	}
	t.Logf("of %d networks with wishes, %d got their policies (%d in all, %d at most) and %d a refusal", seeds, made, policies, most, seeds-made)
	if made < seeds/4 || made > seeds*3/4 {
		t.Errorf("%d of %d got policies: the draw is not fair", made, seeds)
	}
}

func FuzzPolicies(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { hold(t, seed) })
}

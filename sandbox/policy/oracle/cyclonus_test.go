package oracle

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/connectivity"
	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/mattfenwick/cyclonus/pkg/kube"
	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The cluster that cyclonus makes for its probes where it is not told otherwise.
var (
	namespaceNames = []string{"x", "y", "z"}
	podNames       = []string{"a", "b", "c"}
	servedPorts    = []int{80, 81}
	protocols      = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
)

// idlePorts are asked about too, though no container serves them: they lie around
// the numbers and ranges that the corpus' policies name.
var idlePorts = []int{53, 79, 82, 84, 85}

// situation is a cluster with its policies after one step of a test case.
type situation struct {
	name      string
	resources *probe.Resources
	policies  []*networkingv1.NetworkPolicy
}

// corpus is every step of every test case of the cyclonus generator. Cyclonus
// itself carries out the steps, on its own fake of a cluster.
func corpus(tb testing.TB) (situations []situation, cases, policies int) {
	tb.Helper()
	start := func() *connectivity.TestCaseState {
		fake := kube.NewMockKubernetes(1)
		resources, err := probe.NewDefaultResources(fake, namespaceNames, podNames, servedPorts, protocols, nil, 1, false, "")
		if err != nil {
			tb.Fatal(err)
		}
		return &connectivity.TestCaseState{Kubernetes: fake, Resources: resources}
	}
	last, err := start().Resources.GetPod("z", "c")
	if err != nil {
		tb.Fatal(err)
	}
	for _, c := range generator.NewTestCaseGenerator(true, last.IP, namespaceNames, nil, nil).GenerateTestCases() {
		cases++
		state := start()
		for i, step := range c.Steps {
			for _, action := range step.Actions {
				if action.CreatePolicy != nil || action.UpdatePolicy != nil {
					policies++
				}
				if err := carryOut(state, action); err != nil {
					tb.Fatalf("%s, step %d: %v", c.Description, i+1, err)
				}
			}
			situations = append(situations, situation{
				name:      fmt.Sprintf("case %d (%s), step %d", cases, c.Description, i+1),
				resources: state.Resources,
				policies:  slices.Clone(state.Policies),
			})
		}
	}
	return situations, cases, policies
}

func carryOut(state *connectivity.TestCaseState, a *generator.Action) error {
	switch {
	case a.CreatePolicy != nil:
		return state.CreatePolicy(a.CreatePolicy.Policy)
	case a.UpdatePolicy != nil:
		return state.UpdatePolicy(a.UpdatePolicy.Policy)
	case a.DeletePolicy != nil:
		return state.DeletePolicy(a.DeletePolicy.Namespace, a.DeletePolicy.Name)
	case a.CreateNamespace != nil:
		return state.CreateNamespace(a.CreateNamespace.Namespace, a.CreateNamespace.Labels)
	case a.SetNamespaceLabels != nil:
		return state.SetNamespaceLabels(a.SetNamespaceLabels.Namespace, a.SetNamespaceLabels.Labels)
	case a.DeleteNamespace != nil:
		return state.DeleteNamespace(a.DeleteNamespace.Namespace)
	case a.CreatePod != nil:
		return state.CreatePod(a.CreatePod.Namespace, a.CreatePod.Pod, a.CreatePod.Labels)
	case a.SetPodLabels != nil:
		return state.SetPodLabels(a.SetPodLabels.Namespace, a.SetPodLabels.Pod, a.SetPodLabels.Labels)
	case a.DeletePod != nil:
		return state.DeletePod(a.DeletePod.Namespace, a.DeletePod.Pod)
	}
	return fmt.Errorf("no known action: %+v", a)
}

// network is the same cluster for the evaluator.
func network(tb testing.TB, r *probe.Resources) policy.Network {
	tb.Helper()
	var out policy.Network
	for name, labels := range r.Namespaces {
		out.Namespaces = append(out.Namespaces, policy.Namespace{Name: name, Labels: labels})
	}
	for _, p := range r.Pods {
		ip, err := netip.ParseAddr(p.IP)
		if err != nil {
			tb.Fatalf("%s/%s: %v", p.Namespace, p.Name, err)
		}
		pod := policy.Pod{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, IPs: []netip.Addr{ip}}
		for _, c := range p.Containers {
			pod.Ports = append(pod.Ports, policy.Port{Name: c.PortName, Port: int32(c.Port), Protocol: c.Protocol})
		}
		out.Pods = append(out.Pods, pod)
	}
	return out
}

func asPolicies(in []*networkingv1.NetworkPolicy) []policy.Policy {
	out := make([]policy.Policy, len(in))
	for i, p := range in {
		out[i].NetworkPolicy = *p
	}
	return out
}

// question is one flow as cyclonus is asked about it; from and to are indices of
// the pods.
type question struct {
	from, to int
	traffic  matcher.Traffic
}

// questions are all flows between all pods: to every port that is served, and to
// the idle ones.
func questions(r *probe.Resources) []question {
	peers := make([]*matcher.TrafficPeer, len(r.Pods))
	for i, p := range r.Pods {
		peers[i] = &matcher.TrafficPeer{IP: p.IP, Internal: &matcher.InternalPeer{
			Namespace: p.Namespace, NamespaceLabels: r.Namespaces[p.Namespace], PodLabels: p.Labels,
		}}
	}
	var out []question
	for from := range r.Pods {
		for to, server := range r.Pods {
			ask := func(port int, name string, protocol corev1.Protocol) {
				out = append(out, question{from, to, matcher.Traffic{
					Source: peers[from], Destination: peers[to], ResolvedPort: port, ResolvedPortName: name, Protocol: protocol,
				}})
			}
			for _, c := range server.Containers {
				ask(c.Port, c.PortName, c.Protocol)
			}
			for _, port := range idlePorts {
				for _, protocol := range protocols {
					ask(port, "", protocol)
				}
			}
		}
	}
	return out
}

// endpoints are those of the pods, in their order.
func endpoints(tb testing.TB, e *policy.Evaluator, r *probe.Resources) []policy.Endpoint {
	tb.Helper()
	out := make([]policy.Endpoint, len(r.Pods))
	for i, p := range r.Pods {
		var ok bool
		if out[i], ok = e.Pod(p.Namespace, p.Name); !ok {
			tb.Fatalf("there is no pod %s/%s", p.Namespace, p.Name)
		}
	}
	return out
}

// Every flow in every step of every case of the corpus has the same answer from
// both, in each direction; but for the flows of a pod to itself, which cyclonus
// lets policies block (see TestCyclonus_errors_are_still_errors_and_not_ours).
func TestCyclonus_corpus_has_no_disagreement(t *testing.T) {
	situations, cases, policies := corpus(t)
	if cases != 230 {
		t.Errorf("the generator has %d cases, want 230", cases)
	}
	flows, allowed, own, ownBlocked, disagreements := 0, 0, 0, 0, 0
	for _, s := range situations {
		e, err := policy.Compile(network(t, s.resources), asPolicies(s.policies))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		theirs := matcher.BuildNetworkPolicies(true, s.policies)
		ends := endpoints(t, e, s.resources)
		for _, q := range questions(s.resources) {
			f := policy.Flow{From: ends[q.from], To: ends[q.to], Port: int32(q.traffic.ResolvedPort), Protocol: q.traffic.Protocol}
			got, why, want := e.Allowed(f), e.Explain(f), theirs.IsTrafficAllowed(&q.traffic)
			if why.Allowed != got {
				t.Fatalf("%s: %s: Allowed says %t, Explain %t", s.name, describe(why), got, why.Allowed)
			}
			if q.from == q.to {
				own++
				if !want.IsAllowed() {
					ownBlocked++
				}
				if !got {
					t.Errorf("%s: %s: a pod does not reach itself", s.name, describe(why))
				}
				continue
			}
			flows++
			if got {
				allowed++
			}
			if why.Egress.Allowed != want.Egress.IsAllowed() || why.Ingress.Allowed != want.Ingress.IsAllowed() {
				if disagreements++; disagreements <= 20 {
					t.Errorf("%s: %s: egress %t, ingress %t; cyclonus says %t, %t", s.name, describe(why),
						why.Egress.Allowed, why.Ingress.Allowed, want.Egress.IsAllowed(), want.Ingress.IsAllowed())
				}
			}
		}
	}
	if allowed == 0 || allowed == flows {
		t.Errorf("%d of %d flows are allowed: nothing was compared", allowed, flows)
	}
	if ownBlocked == 0 {
		t.Error("cyclonus now lets every pod reach itself: take its known error off the list")
	}
	t.Logf("%d cases, %d steps, %d policies: %d flows compared in both directions, %d of them allowed, %d disagreements; %d flows of a pod to itself, %d of them blocked by cyclonus",
		cases, len(situations), policies, flows, allowed, disagreements, own, ownBlocked)
}

func describe(d policy.Decision) string {
	return fmt.Sprintf("%s to %s port %d/%s", d.From, d.To, d.Port, d.Protocol)
}

// Where cyclonus is known to be wrong: each with the sentence of the API reference
// or the documentation that says so, and a flow on which it still is.
var cyclonusErrors = []struct {
	name     string
	sentence string
	policies []*networkingv1.NetworkPolicy
	flows    []errorFlow // All have the same right answer; on one at least cyclonus is wrong.
	want     bool
	panics   bool
	// selector and labels, where they are given, are what it comes down to, and
	// what apimachinery's own matching is asked about.
	selector *metav1.LabelSelector
	labels   labels.Set
}{
	{
		name:     "NotIn does not match what lacks the key",
		sentence: `labels.Requirement.Matches: "There is a match in the following cases: [...] The operator is DoesNotExist or NotIn and Labels does not have the Requirement's key."`,
		policies: []*networkingv1.NetworkPolicy{ingressFrom("x", networkingv1.NetworkPolicyPeer{PodSelector: notIn("tier", "web")})},
		flows:    []errorFlow{{inPod("x", "b", "10.0.0.2"), inPod("x", "a", "10.0.0.1"), 80}},
		want:     true,
		selector: notIn("tier", "web"),
		labels:   labels.Set{"pod": "b"},
	},
	{
		name:     "matchLabels with an empty value matches what lacks the key",
		sentence: `LabelSelector.matchLabels: "A single {key,value} in the matchLabels map is equivalent to an element of matchExpressions, whose key field is "key", the operator is "In", and the values array contains only "value"", and In needs the key.`,
		policies: []*networkingv1.NetworkPolicy{ingressFrom("x", networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": ""}}})},
		flows:    []errorFlow{{inPod("x", "b", "10.0.0.2"), inPod("x", "a", "10.0.0.1"), 80}},
		want:     false,
		selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": ""}},
		labels:   labels.Set{"pod": "b"},
	},
	{
		name:     "a policy without policyTypes makes it panic",
		sentence: `NetworkPolicySpec.policyTypes: "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that contain an egress section are assumed to affect egress, and all policies (whether or not they contain an ingress section) are assumed to affect ingress."`,
		policies: []*networkingv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "no-types"}}},
		flows:    []errorFlow{{inPod("x", "b", "10.0.0.2"), inPod("x", "a", "10.0.0.1"), 80}},
		want:     false,
		panics:   true,
	},
	{
		name:     "a pod is kept from itself",
		sentence: `Concepts, Network Policies: "a pod cannot block access to itself".`,
		policies: []*networkingv1.NetworkPolicy{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "deny"},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
		}},
		flows: []errorFlow{{inPod("x", "a", "10.0.0.1"), inPod("x", "a", "10.0.0.1"), 80}},
		want:  true,
	},
	{
		name:     "a pod is kept from its own node",
		sentence: `NetworkPolicySpec.ingress: "Traffic is allowed to a pod if [...] the traffic source is the pod's local node".`,
		policies: []*networkingv1.NetworkPolicy{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "deny"},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
		}},
		flows: []errorFlow{{matcher.TrafficPeer{IP: nodeIP}, inPod("x", "a", "10.0.0.1"), 80}},
		want:  true,
	},
	{
		name:     "a port range of one rule takes the place of another rule's",
		sentence: `NetworkPolicySpec.ingress: "Traffic is allowed to a pod if [...] the traffic matches at least one ingress rule across all of the NetworkPolicy objects whose podSelector matches the pod." Putting rules of the same peers together, cyclonus appends to a slice that other rules share.`,
		policies: []*networkingv1.NetworkPolicy{sharedRanges()},
		flows:    []errorFlow{{inPod("x", "b", "10.0.0.2"), inPod("x", "a", "10.0.0.1"), 401}, {inPod("x", "c", "10.0.0.3"), inPod("x", "a", "10.0.0.1"), 501}},
		want:     true,
	},
}

// errorFlow is a flow over TCP.
type errorFlow struct {
	from, to matcher.TrafficPeer
	port     int
}

const nodeIP = "192.0.2.1"

func inPod(namespace, name, ip string) matcher.TrafficPeer {
	return matcher.TrafficPeer{IP: ip, Internal: &matcher.InternalPeer{
		Namespace: namespace, NamespaceLabels: map[string]string{}, PodLabels: map[string]string{"pod": name},
	}}
}

func ingressFrom(namespace string, peer networkingv1.NetworkPolicyPeer) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "allow"},
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{peer}}},
		},
	}
}

func notIn(key string, values ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpNotIn, Values: values}}}
}

func ports(from, to int32) networkingv1.NetworkPolicyPort {
	low := intstr.FromInt32(from)
	return networkingv1.NetworkPolicyPort{Port: &low, EndPort: &to}
}

// sharedRanges admits the two peers on three ranges together, and on one more
// range each: b on 400 to 409, and c on 500 to 509.
func sharedRanges() *networkingv1.NetworkPolicy {
	b := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"pod": "b"}}}
	c := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"pod": "c"}}}
	out := ingressFrom("x", b)
	out.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{
		{From: []networkingv1.NetworkPolicyPeer{b, c}, Ports: []networkingv1.NetworkPolicyPort{ports(100, 109), ports(200, 209), ports(300, 309)}},
		{From: []networkingv1.NetworkPolicyPeer{b}, Ports: []networkingv1.NetworkPolicyPort{ports(400, 409)}},
		{From: []networkingv1.NetworkPolicyPeer{c}, Ports: []networkingv1.NetworkPolicyPort{ports(500, 509)}},
	}
	return out
}

// Each known error of cyclonus is one still, and the evaluator answers as the API
// says; an error that is mended there must leave the list.
func TestCyclonus_errors_are_still_errors_and_not_ours(t *testing.T) {
	for _, c := range cyclonusErrors {
		t.Run(c.name, func(t *testing.T) {
			if c.selector != nil {
				s, err := metav1.LabelSelectorAsSelector(c.selector)
				if err != nil {
					t.Fatal(err)
				}
				if got := s.Matches(c.labels); got != c.want {
					t.Errorf("apimachinery says that the selector matches: %t, want %t", got, c.want)
				}
			}
			wrong, panicked := false, false
			for _, f := range c.flows {
				if got := allows(t, c.policies, f); got != c.want {
					t.Errorf("the evaluator says %t, want %t: %s", got, c.want, c.sentence)
				}
				got, p := cyclonusAllows(c.policies, f)
				wrong, panicked = wrong || got != c.want, panicked || p
			}
			if panicked != c.panics || !panicked && !wrong {
				t.Errorf("cyclonus panics: %t, is wrong: %t; this is its known error no longer", panicked, wrong)
			}
		})
	}
}

// allows asks the evaluator, in a network of the flow's two ends and the node.
func allows(t *testing.T, policies []*networkingv1.NetworkPolicy, f errorFlow) bool {
	t.Helper()
	n := policy.Network{Nodes: []policy.Node{{Name: "node", IPs: []netip.Addr{netip.MustParseAddr(nodeIP)}}}}
	ips := map[string]bool{}
	for _, p := range []matcher.TrafficPeer{f.from, f.to} {
		if p.Internal == nil || ips[p.IP] {
			continue
		}
		ips[p.IP] = true
		n.Pods = append(n.Pods, policy.Pod{
			Namespace: p.Internal.Namespace, Name: p.Internal.PodLabels["pod"], Labels: p.Internal.PodLabels,
			IPs: []netip.Addr{netip.MustParseAddr(p.IP)}, Node: "node",
		})
	}
	e, err := policy.Compile(n, asPolicies(policies))
	if err != nil {
		t.Fatal(err)
	}
	return e.Allowed(policy.Flow{
		From: e.Address(netip.MustParseAddr(f.from.IP)), To: e.Address(netip.MustParseAddr(f.to.IP)), Port: int32(f.port),
	})
}

func cyclonusAllows(policies []*networkingv1.NetworkPolicy, f errorFlow) (allowed, panicked bool) {
	defer func() { panicked = recover() != nil }()
	traffic := &matcher.Traffic{Source: &f.from, Destination: &f.to, ResolvedPort: f.port, Protocol: corev1.ProtocolTCP}
	return matcher.BuildNetworkPolicies(true, policies).IsTrafficAllowed(traffic).IsAllowed(), false
}

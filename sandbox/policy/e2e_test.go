package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// The tables below are the cases of Kubernetes' own end-to-end suite for network
// plugins (test/e2e/network/netpol/network_policy.go as of v1.37), told anew: each
// is named as there, but for "should". The network is that of the suite, too, with
// all of its pods in every case: a, b and c in the namespaces x, y and z, each with
// the label pod, or ns, of its own name, and serving 80 and 81 on every protocol as
// "tcp-80" and so on.
//
// Flows are given as what the policies block of everything, and what they allow of
// that all the same; "x/* > y/b" is from every pod in x to y/b. A pod always
// reaches itself: the suite leaves that out.
type e2eCase struct {
	name  string
	steps []e2eStep
}

// e2eStep is a state of the cluster. Policies are all that there are then.
type e2eStep struct {
	policies []string
	// labels are one more label of a pod or a namespace: "x/a" or "y", and "key=value".
	labels map[string]string
	checks []e2eCheck
}

type e2eCheck struct {
	port             int32
	protocol         corev1.Protocol
	blocked, allowed string
}

func once(policies []string, checks ...e2eCheck) []e2eStep {
	return []e2eStep{{policies: policies, checks: checks}}
}

// only is a policy in x that selects the pods that the selector says, and the rest
// of its spec.
func only(name, podSelector, rest string) string {
	return np("x", name, "  podSelector: "+podSelector+"\n  "+rest+"\n")
}

// Selectors that come up again and again.
const (
	all  = "{}"
	podA = "{matchLabels: {pod: a}}"
)

var e2eCases = []e2eCase{
	{"support a 'default-deny-ingress' policy", once(
		[]string{only("no-ingress", all, "policyTypes: [Ingress]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/*"},
	)},
	{"support a 'default-deny-all' policy", once(
		[]string{only("nothing", all, "policyTypes: [Ingress, Egress]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/*, x/* > *"},
	)},
	{"enforce policy to allow traffic from pods within server namespace based on PodSelector", once(
		[]string{only("a-from-b", podA, "ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "x/b > x/a"},
	)},
	{"enforce policy to allow ingress traffic for a target", once(
		[]string{
			only("no-ingress", all, "policyTypes: [Ingress]"),
			only("a-from-everybody", podA, "ingress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]"),
		},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/*", allowed: "* > x/a"},
	)},
	{"enforce policy to allow ingress traffic from pods in all namespaces", once(
		[]string{only("a-from-all-namespaces", podA, "ingress: [{from: [{namespaceSelector: {}}]}]")},
		e2eCheck{port: 80, protocol: "TCP"},
	)},
	{"enforce policy to allow traffic only from a different namespace, based on NamespaceSelector", once(
		[]string{only("a-from-y", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
	)},
	{"enforce policy based on PodSelector with MatchExpressions", once(
		[]string{only("a-from-b", podA, "ingress: [{from: [{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b]}]}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "x/b > x/a"},
	)},
	{"enforce policy based on NamespaceSelector with MatchExpressions", once(
		[]string{only("a-from-y", podA, "ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: ['y']}]}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
	)},
	{"enforce policy based on PodSelector or NamespaceSelector", once(
		[]string{only("a-from-others-or-b", podA, `ingress:
  - from:
    - namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}
    - podSelector: {matchLabels: {pod: b}}`)},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/* > x/a", allowed: "x/b > x/a"},
	)},
	{"enforce policy based on PodSelector and NamespaceSelector", once(
		[]string{only("a-from-b-of-others", podA, `ingress:
  - from:
    - namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}
      podSelector: {matchLabels: {pod: b}}`)},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/b > x/a, z/b > x/a"},
	)},
	{"enforce policy based on Multiple PodSelectors and NamespaceSelectors", once(
		[]string{only("a-from-b-and-c-of-others", podA, `ingress:
  - from:
    - namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}
      podSelector: {matchExpressions: [{key: pod, operator: In, values: [b, c]}]}`)},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/b > x/a, y/c > x/a, z/b > x/a, z/c > x/a"},
	)},
	{"enforce policy based on any PodSelectors", once(
		[]string{only("a-from-b-or-c", podA, `ingress:
  - from:
    - podSelector: {matchLabels: {pod: b}}
    - podSelector: {matchLabels: {pod: c}}`)},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "x/b > x/a, x/c > x/a"},
	)},
	{"enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector", once(
		[]string{only("a-from-a-of-y", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/a > x/a"},
	)},
	{"enforce policy based on Ports", once(
		[]string{only("a-from-y-on-81", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: TCP}]}]")},
		e2eCheck{port: 81, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a"},
	)},
	{"enforce multiple, stacked policies with overlapping podSelectors", []e2eStep{
		{
			policies: []string{only("a-from-y-on-81", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: TCP}]}]")},
			checks: []e2eCheck{
				{port: 81, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
				{port: 80, protocol: "TCP", blocked: "* > x/a"},
			},
		},
		{
			policies: []string{
				only("a-from-y-on-81", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: TCP}]}]"),
				only("a-from-y-on-80", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 80, protocol: TCP}]}]"),
			},
			checks: []e2eCheck{
				{port: 81, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
				{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
			},
		},
	}},
	{"support allow-all policy", once(
		[]string{only("everything", all, "ingress: [{}]")},
		e2eCheck{port: 80, protocol: "TCP"},
		e2eCheck{port: 81, protocol: "TCP"},
	)},
	{"allow ingress access on one named port", once(
		[]string{only("named", all, "ingress: [{ports: [{port: tcp-81}]}]")},
		e2eCheck{port: 81, protocol: "TCP"},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/*"},
	)},
	{"allow ingress access from namespace on one named port", once(
		[]string{only("a-from-y-named", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: tcp-80, protocol: TCP}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
		e2eCheck{port: 81, protocol: "TCP", blocked: "* > x/a"},
	)},
	{"allow egress access on one named port", once(
		[]string{only("named", all, "policyTypes: [Egress]\n  egress: [{ports: [{port: tcp-80}]}]")},
		e2eCheck{port: 80, protocol: "TCP"},
		e2eCheck{port: 81, protocol: "TCP", blocked: "x/* > *"},
	)},
	{"not allow all ports if it cannot limit to the requested port", once(
		[]string{only("no-such-name", podA, "ingress: [{ports: [{port: nobodys, protocol: TCP}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a"},
	)},
	{"enforce updated policy", []e2eStep{
		{
			policies: []string{only("changing", all, "ingress: [{}]")},
			checks:   []e2eCheck{{port: 81, protocol: "TCP"}},
		},
		{
			policies: []string{only("changing", all, "ingress: []")},
			checks:   []e2eCheck{{port: 81, protocol: "TCP", blocked: "* > x/*"}},
		},
	}},
	{"allow ingress access from updated namespace", []e2eStep{
		{
			policies: []string{only("a-from-marked", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {marked: 'true'}}}]}]")},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "* > x/a"}},
		},
		{
			policies: []string{only("a-from-marked", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {marked: 'true'}}}]}]")},
			labels:   map[string]string{"y": "marked=true"},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"}},
		},
	}},
	{"allow ingress access from updated pod", []e2eStep{
		{
			policies: []string{only("a-from-marked", podA, "ingress: [{from: [{podSelector: {matchLabels: {pod: b, marked: 'true'}}}]}]")},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "* > x/a"}},
		},
		{
			policies: []string{only("a-from-marked", podA, "ingress: [{from: [{podSelector: {matchLabels: {pod: b, marked: 'true'}}}]}]")},
			labels:   map[string]string{"x/b": "marked=true"},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "x/b > x/a"}},
		},
	}},
	{"deny ingress from pods on other namespaces", once(
		[]string{only("own-namespace", all, "ingress: [{from: [{podSelector: {}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "y/* > x/*, z/* > x/*"},
	)},
	{"deny ingress access to updated pod", []e2eStep{
		{
			policies: []string{only("isolate", "{matchLabels: {isolated: 'true'}}", "policyTypes: [Ingress]")},
			checks:   []e2eCheck{{port: 80, protocol: "TCP"}},
		},
		{
			policies: []string{only("isolate", "{matchLabels: {isolated: 'true'}}", "policyTypes: [Ingress]")},
			labels:   map[string]string{"x/a": "isolated=true"},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "* > x/a"}},
		},
	}},
	{"deny egress from pods based on PodSelector", once(
		[]string{only("a-nowhere", podA, "policyTypes: [Egress]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/a > *"},
	)},
	{"deny egress from all pods in a namespace", once(
		[]string{only("nowhere", all, "policyTypes: [Egress]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/* > *"},
	)},
	{"work with Ingress, Egress specified together", once(
		[]string{only("both", podA, `policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]
  egress: [{ports: [{port: 80}]}]`)},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "x/b > x/a"},
		e2eCheck{port: 81, protocol: "TCP", blocked: "* > x/a, x/a > *", allowed: "x/b > x/a"},
	)},
	{"support denying of egress traffic on the client side (even if the server explicitly allows this traffic)", once(
		[]string{
			only("a-to-a-of-y", podA, "policyTypes: [Egress]\n  egress: [{to: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]"),
			np("'y'", "a-from-a-of-x", "  podSelector: {matchLabels: {pod: a}}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}]}]\n"),
			np("'y'", "b-from-a-of-x", "  podSelector: {matchLabels: {pod: b}}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}]}]\n"),
		},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/a > *, * > y/a, * > y/b", allowed: "x/a > y/a"},
	)},
	{"enforce egress policy allowing traffic to a server in a different namespace based on PodSelector and NamespaceSelector", once(
		[]string{only("a-to-a-of-y", podA, "policyTypes: [Egress]\n  egress: [{to: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/a > *", allowed: "x/a > y/a"},
	)},
	{"enforce ingress policy allowing any port traffic to a server on a specific protocol", once(
		[]string{only("a-by-tcp", podA, "ingress: [{ports: [{protocol: TCP}]}]")},
		e2eCheck{port: 80, protocol: "TCP"},
		e2eCheck{port: 80, protocol: "UDP", blocked: "* > x/a"},
	)},
	{"enforce multiple ingress policies with ingress allow-all policy taking precedence", []e2eStep{
		{
			policies: []string{only("on-80", all, "ingress: [{ports: [{port: 80}]}]")},
			checks:   []e2eCheck{{port: 81, protocol: "TCP", blocked: "* > x/*"}},
		},
		{
			policies: []string{only("on-80", all, "ingress: [{ports: [{port: 80}]}]"), only("everything", all, "ingress: [{}]")},
			checks:   []e2eCheck{{port: 81, protocol: "TCP"}},
		},
	}},
	{"enforce multiple egress policies with egress allow-all policy taking precedence", []e2eStep{
		{
			policies: []string{only("to-80", all, "policyTypes: [Egress]\n  egress: [{ports: [{port: 80}]}]")},
			checks:   []e2eCheck{{port: 81, protocol: "TCP", blocked: "x/* > *"}},
		},
		{
			policies: []string{
				only("to-80", all, "policyTypes: [Egress]\n  egress: [{ports: [{port: 80}]}]"),
				only("everywhere", all, "policyTypes: [Egress]\n  egress: [{}]"),
			},
			checks: []e2eCheck{{port: 81, protocol: "TCP"}},
		},
	}},
	{"stop enforcing policies after they are deleted", []e2eStep{
		{
			policies: []string{only("nothing", all, "policyTypes: [Ingress, Egress]")},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "x/* > *, * > x/*"}},
		},
		{
			checks: []e2eCheck{{port: 80, protocol: "TCP"}},
		},
	}},
	{"allow egress access to server in CIDR block", once(
		[]string{only("a-to-one-address", podA, "policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: '{y/b}'}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/a > *", allowed: "x/a > y/b"},
	)},
	{"enforce except clause while egress access to server in CIDR block", once(
		[]string{only("a-to-all-but-one", podA, "policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: '{around}', except: ['{x/b}']}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/a > x/b"},
	)},
	{"ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed", []e2eStep{
		{
			policies: []string{only("a-to", podA, "policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: '{around}', except: ['{x/b}']}}]}]")},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "x/a > x/b"}},
		},
		{ // There the policy is changed; and then what the name says, by another one.
			policies: []string{only("a-to", podA, "policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: '{x/b}'}}]}]")},
			checks:   []e2eCheck{{port: 80, protocol: "TCP", blocked: "x/a > *", allowed: "x/a > x/b"}},
		},
		{
			policies: []string{
				only("a-to", podA, "policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: '{around}', except: ['{x/b}']}}]}]"),
				only("a-to-b", podA, "policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: '{x/b}'}}]}]"),
			},
			checks: []e2eCheck{{port: 80, protocol: "TCP"}},
		},
	}},
	{"enforce policies to check ingress and egress policies can be controlled independently based on PodSelector", []e2eStep{
		{
			policies: []string{only("a-everywhere", podA, "policyTypes: [Egress]\n  egress: [{}]")},
			checks:   []e2eCheck{{port: 80, protocol: "TCP"}},
		},
		{
			policies: []string{
				only("a-everywhere", podA, "policyTypes: [Egress]\n  egress: [{}]"),
				only("a-from-nobody", podA, "policyTypes: [Ingress]"),
			},
			checks: []e2eCheck{{port: 80, protocol: "TCP", blocked: "* > x/a"}},
		},
	}},
	{"not mistakenly treat 'protocol: SCTP' as 'protocol: TCP', even if the plugin doesn't support SCTP", once(
		[]string{
			only("no-ingress", all, "policyTypes: [Ingress]"),
			only("a-by-sctp", podA, "ingress: [{ports: [{port: 81, protocol: SCTP}]}]"),
		},
		e2eCheck{port: 81, protocol: "TCP", blocked: "* > x/*"},
		e2eCheck{port: 81, protocol: "SCTP", blocked: "* > x/*", allowed: "* > x/a"},
	)},
	{"properly isolate pods that are selected by a policy allowing SCTP, even if the plugin doesn't support SCTP", once(
		[]string{only("a-by-sctp", podA, "ingress: [{ports: [{port: 80, protocol: SCTP}]}]")},
		e2eCheck{port: 81, protocol: "TCP", blocked: "* > x/a"},
	)},
	{"not allow access by TCP when a policy specifies only UDP", once(
		[]string{only("a-by-udp", podA, "ingress: [{ports: [{port: 81, protocol: UDP}]}]")},
		e2eCheck{port: 81, protocol: "TCP", blocked: "* > x/a"},
		e2eCheck{port: 81, protocol: "UDP"},
	)},
	{"enforce policy to allow traffic based on NamespaceSelector with MatchLabels using default ns label", once(
		[]string{only("a-from-y", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: 'y'}}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "* > x/a", allowed: "y/* > x/a"},
	)},
	{"enforce policy based on NamespaceSelector with MatchExpressions using default ns label", once(
		[]string{only("a-to-all-but-y", podA, "policyTypes: [Egress]\n  egress: [{to: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: ['y']}]}}]}]")},
		e2eCheck{port: 80, protocol: "TCP", blocked: "x/a > y/*"},
	)},
	{"support a 'default-deny-ingress' policy using UDP", once(
		[]string{only("no-ingress", all, "policyTypes: [Ingress]")},
		e2eCheck{port: 80, protocol: "UDP", blocked: "* > x/*"},
	)},
	{"enforce policy based on Ports using UDP", once(
		[]string{only("a-from-y-on-81", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: UDP}]}]")},
		e2eCheck{port: 81, protocol: "UDP", blocked: "* > x/a", allowed: "y/* > x/a"},
	)},
	{"enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector using UDP", once(
		[]string{only("a-from-a-of-y", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]")},
		e2eCheck{port: 80, protocol: "UDP", blocked: "* > x/a", allowed: "y/a > x/a"},
	)},
	{"support a 'default-deny-ingress' policy using SCTP", once(
		[]string{only("no-ingress", all, "policyTypes: [Ingress]")},
		e2eCheck{port: 80, protocol: "SCTP", blocked: "* > x/*"},
	)},
	{"enforce policy based on Ports using SCTP", once(
		[]string{only("a-from-y-on-81", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: SCTP}]}]")},
		e2eCheck{port: 81, protocol: "SCTP", blocked: "* > x/a", allowed: "y/* > x/a"},
	)},
	{"enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector using SCTP", once(
		[]string{only("a-from-a-of-y", podA, "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]")},
		e2eCheck{port: 80, protocol: "SCTP", blocked: "* > x/a", allowed: "y/a > x/a"},
	)},
}

// e2eNetwork is the suite's network, with addresses of both families.
func e2eNetwork() policy.Network {
	var n policy.Network
	for i, ns := range []string{"x", "y", "z"} {
		n.Namespaces = append(n.Namespaces, policy.Namespace{Name: ns, Labels: map[string]string{"ns": ns}})
		for j, name := range []string{"a", "b", "c"} {
			p := policy.Pod{Namespace: ns, Name: name, Labels: map[string]string{"pod": name}, IPs: []netip.Addr{
				netip.AddrFrom4([4]byte{10, 244, byte(i), byte(1 + j)}),
				netip.AddrFrom16([16]byte{0: 0xfd, 13: byte(i), 15: byte(1 + j)}),
			}}
			for _, protocol := range []corev1.Protocol{"TCP", "UDP", "SCTP"} {
				for _, port := range []int32{80, 81} {
					p.Ports = append(p.Ports, policy.Port{Name: fmt.Sprintf("%s-%d", strings.ToLower(string(protocol)), port), Port: port, Protocol: protocol})
				}
			}
			n.Pods = append(n.Pods, p)
		}
	}
	return n
}

func (s *e2eStep) network(t *testing.T) policy.Network {
	t.Helper()
	n := e2eNetwork()
	for of, label := range s.labels {
		key, value, _ := strings.Cut(label, "=")
		found := false
		for i := range n.Namespaces {
			if n.Namespaces[i].Name == of {
				n.Namespaces[i].Labels[key], found = value, true
			}
		}
		for i := range n.Pods {
			if n.Pods[i].Namespace+"/"+n.Pods[i].Name == of {
				n.Pods[i].Labels[key], found = value, true
			}
		}
		if !found {
			t.Fatalf("nothing to label is called %q", of)
		}
	}
	return n
}

// truthTable says of every flow between two pods whether it is allowed.
func (c *e2eCheck) truthTable(t *testing.T, n policy.Network) map[string]bool {
	t.Helper()
	table := map[string]bool{}
	set := func(patterns string, allowed bool) {
		if patterns == "" {
			return
		}
		for pattern := range strings.SplitSeq(patterns, ", ") {
			from, to, _ := strings.Cut(pattern, " > ")
			met := false
			for _, f := range n.Pods {
				for _, s := range n.Pods {
					if e2eMatches(from, f) && e2eMatches(to, s) {
						table[f.Namespace+"/"+f.Name+" > "+s.Namespace+"/"+s.Name], met = allowed, true
					}
				}
			}
			if !met {
				t.Fatalf("%q means no flow", pattern)
			}
		}
	}
	set("* > *", true)
	set(c.blocked, false)
	set(c.allowed, true)
	return table
}

func e2eMatches(pattern string, p policy.Pod) bool {
	return pattern == "*" || pattern == p.Namespace+"/*" || pattern == p.Namespace+"/"+p.Name
}

// Kubernetes' end-to-end suite has the answers; both families of addresses give
// them, and Explain gives them, too.
func TestKubernetes_end_to_end_cases_have_their_answers(t *testing.T) {
	families := []struct {
		name, around string
		bits         int
	}{{"IPv4", "0.0.0.0/4", 32}, {"IPv6", "f000::/4", 128}}
	for _, c := range e2eCases {
		t.Run(c.name, func(t *testing.T) {
			for i, s := range c.steps {
				n := s.network(t)
				for family, f := range families {
					addresses := []string{"{around}", f.around}
					for _, p := range n.Pods {
						addresses = append(addresses, "{"+p.Namespace+"/"+p.Name+"}", fmt.Sprintf("%s/%d", p.IPs[family], f.bits))
					}
					e := compile(t, n, parse(t, strings.NewReplacer(addresses...).Replace(strings.Join(s.policies, "---\n"))))
					for _, check := range s.checks {
						want := check.truthTable(t, n)
						for _, from := range n.Pods {
							for _, to := range n.Pods {
								name := from.Namespace + "/" + from.Name + " > " + to.Namespace + "/" + to.Name
								flow := policy.Flow{From: e.Address(from.IPs[family]), To: e.Address(to.IPs[family]), Port: check.port, Protocol: check.protocol}
								why := e.Explain(flow)
								if got := e.Allowed(flow); got != why.Allowed {
									t.Errorf("step %d, %s, %s: Allowed says %t, Explain %t", i+1, f.name, name, got, why.Allowed)
								}
								if want[name] || from.Namespace == to.Namespace && from.Name == to.Name {
									if !why.Allowed {
										t.Errorf("step %d, %s, %d/%s: %s must be allowed: %s", i+1, f.name, check.port, check.protocol, name, why)
									}
								} else if why.Allowed {
									t.Errorf("step %d, %s, %d/%s: %s must be blocked: %s", i+1, f.name, check.port, check.protocol, name, why)
								}
							}
						}
					}
				}
			}
		})
	}
}

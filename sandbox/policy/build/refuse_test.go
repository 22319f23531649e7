package build_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/build"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

// asked is a wish in words: "production/web > production/api:8080", with "by name" or
// "svc/..." where it is so.
type asked struct {
	from, to string
	byName   bool
	open     bool
}

func wishes(t *testing.T, n policy.Network, all ...asked) []build.Wish {
	t.Helper()
	e, err := policy.Compile(n, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []build.Wish
	for _, a := range all {
		f, err := e.Destination(a.to)
		if err != nil {
			t.Fatal(err)
		}
		if f.From, err = e.Source(a.from); err != nil {
			t.Fatal(err)
		}
		out = append(out, build.Wish{Flow: f, ByName: a.byName, Open: a.open})
	}
	return out
}

// twins is the shop with a second web that nothing tells from the first, a second host
// network pod, and a Service that leads nowhere.
func twins() policy.Network {
	n := policytest.Shop()
	n.Pods = append(n.Pods,
		policy.Pod{Namespace: "production", Name: "web-2", Labels: map[string]string{"app": "web"}, IPs: []netip.Addr{netip.MustParseAddr("10.244.0.14")}, Node: "worker"},
		policy.Pod{Namespace: "monitoring", Name: "logger", Labels: map[string]string{"app": "logger"}, IPs: []netip.Addr{netip.MustParseAddr("172.18.0.2")}, HostNetwork: true, Node: "worker", Ports: []policy.Port{{Port: 9100}}},
	)
	n.Services = append(n.Services, policy.Service{Namespace: "production", Name: "lost", ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.99")}, Selector: map[string]string{"app": "lost"}, Ports: []policy.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80), Protocol: corev1.ProtocolTCP}}})
	return n
}

var labNamespaces = []string{"production", "development", "monitoring", "empty"}

func TestRefusals_name_the_two_and_say_what_to_do(t *testing.T) {
	for _, c := range []struct {
		name   string
		wishes []asked
		cause  build.Cause
		ends   [2]string
		says   []string
	}{
		{"two sources with the same labels", []asked{{"production/web", "production/api:8080", false, true}, {"production/web-2", "production/api:8080", false, false}},
			build.CauseAlike, [2]string{"production/web", "production/web-2"}, []string{"app=web", "Give one of them a label of its own"}},
		{"two destinations with the same labels", []asked{{"production/api", "production/web:8080", false, true}, {"production/api", "production/web-2:8080", false, false}},
			build.CauseAlike, [2]string{"production/web", "production/web-2"}, []string{"in the namespace production"}},
		{"two pods in one node's network", []asked{{"production/web", "monitoring/node-agent:9100", false, true}, {"production/web", "monitoring/logger:9100", false, false}},
			build.CauseAlike, [2]string{"monitoring/node-agent", "monitoring/logger"}, []string{"the address 172.18.0.2"}},
		{"a pod to itself", []asked{{"production/api", "production/api:9090", false, false}},
			build.CauseOwn, [2]string{"production/api", "production/api"}, []string{"always reaches itself"}},
		{"a pod in its node's network to a pod of the node", []asked{{"monitoring/node-agent", "production/api:8080", false, false}},
			build.CauseNode, [2]string{"monitoring/node-agent", "production/api"}, []string{"own node always reaches it", "hostNetwork: false"}},
		{"a pod in its node's network to the outside", []asked{{"monitoring/node-agent", "internet:443", false, false}},
			build.CauseUnselected, [2]string{"monitoring/node-agent", "internet"}, []string{"uses its node's network"}},
		{"the outside to the outside", []asked{{"192.0.2.1", "internet:443", false, false}},
			build.CauseUnselected, [2]string{"192.0.2.1", "internet"}, []string{"no policy here selects either end"}},
		{"by name without DNS", []asked{{"production/web", "production/api:8080", true, true}, {"production/web", "kube-system/coredns:53/UDP", false, false}},
			build.CauseByName, [2]string{"production/web", "production/api"}, []string{"by name", "Open DNS"}},
		{"by address and not by name, with DNS", []asked{{"production/web", "production/api:8080", false, true}, {"production/web", "production/api:8080", true, false}, {"production/web", "kube-system/coredns:53/UDP", false, true}},
			build.CauseByName, [2]string{"production/web", "production/api"}, []string{"does not see which name"}},
		{"one connection twice", []asked{{"production/web", "production/api:8080", false, false}, {"production/web", "svc/production/api:80", false, true}},
			build.CauseTwice, [2]string{"production/web", "production/api"}, []string{"open and closed at once"}},
		{"a Service that leads nowhere", []asked{{"production/web", "svc/production/lost:80", false, true}},
			build.CauseNowhere, [2]string{"production/web", "10.96.0.99"}, []string{"leads to no pod"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := twins()
			plan, err := build.Policies(n, labNamespaces, wishes(t, n, c.wishes...))
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Refusals) != 1 || len(plan.Policies) > 0 {
				t.Fatalf("got %+v", plan)
			}
			r := plan.Refusals[0]
			if r.Cause != c.cause || r.Ends != c.ends {
				t.Errorf("got %s of %v, want %s of %v: %s", r.Cause, r.Ends, c.cause, c.ends, r.Text)
			}
			for _, want := range c.says {
				if !strings.Contains(r.Text+" "+r.Advice, want) {
					t.Errorf("%q is not in %q, %q", want, r.Text, r.Advice)
				}
			}
		})
	}
}

func TestRefusals_are_bounded(t *testing.T) {
	n := twins()
	for i := range 40 {
		n.Pods = append(n.Pods, policy.Pod{Namespace: "empty", Name: "twin-" + string(rune('a'+i%26)) + string(rune('a'+i/26)), Labels: map[string]string{"app": "twin"}})
	}
	all := []asked{{"empty/twin-aa", "production/api:8080", false, true}}
	for _, p := range n.Pods {
		if p.Namespace == "empty" && p.Name != "twin-aa" {
			all = append(all, asked{"empty/" + p.Name, "production/api:8080", false, false})
		}
	}
	plan, err := build.Policies(n, labNamespaces, wishes(t, n, all...))
	if err != nil || len(plan.Refusals) != build.MaxRefusals || plan.More != 39-build.MaxRefusals {
		t.Errorf("%v: %d refusals and %d more", err, len(plan.Refusals), plan.More)
	}
}

func TestWishes_that_cost_nothing_give_no_policies(t *testing.T) {
	n := policytest.Shop()
	for _, all := range [][]asked{
		nil,
		{{"production/web", "production/api:8080", true, true}, {"monitoring/node-agent", "production/api:8080", false, true}},
		{{"production/api", "production/api:9090", false, true}},
	} {
		plan, err := build.Policies(n, labNamespaces, wishes(t, n, all...))
		if err != nil || len(plan.Policies)+len(plan.Refusals)+len(plan.Else) > 0 {
			t.Errorf("%v: %v, %+v", all, err, plan)
		}
	}
}

// TestSelectors_go_by_labels_that_stay puts a Deployment's two versions beside each other.
func TestSelectors_go_by_labels_that_stay(t *testing.T) {
	n := policytest.Shop()
	label := func(name string, labels map[string]string) {
		i := slices.IndexFunc(n.Pods, func(p policy.Pod) bool { return p.Name == name })
		n.Pods[i].Labels = labels
	}
	label("web", map[string]string{"app": "web", "pod-template-hash": "5d4f8b7c9", "version": "v1.4.2", "app.kubernetes.io/managed-by": "Helm"})
	all := []asked{{"production/web", "production/api:8080", false, true}, {"production/db", "production/api:8080", false, false}}
	plan, err := build.Policies(n, labNamespaces, wishes(t, n, all...))
	if err != nil || len(plan.Policies) != 1 {
		t.Fatalf("%v, %+v", err, plan)
	}
	for _, bad := range []string{"hash", "version", "Helm", "5d4f"} {
		if strings.Contains(plan.Policies[0].YAML, bad) {
			t.Errorf("%s is in\n%s", bad, plan.Policies[0].YAML)
		}
	}
	// Where nothing else tells two apart, it is the last resort, and said to be.
	label("web", map[string]string{"app": "web", "pod-template-hash": "5d4f8b7c9"})
	label("db", map[string]string{"app": "web", "pod-template-hash": "7c9d5d4f8"})
	plan, err = build.Policies(n, labNamespaces, wishes(t, n, all...))
	if err != nil || len(plan.Policies) != 1 || !slices.ContainsFunc(plan.Else, func(s string) bool { return strings.Contains(s, "changes with each roll-out") }) {
		t.Errorf("%v, %+v", err, plan)
	}
}

func TestPeers_of_another_namespace_go_by_what_it_is_and_else_by_its_name(t *testing.T) {
	for _, c := range []struct {
		name, want, not string
		change          func(*policy.Network)
	}{
		{"a label of its own", "environment: monitoring", "kubernetes.io/metadata.name: monitoring", func(*policy.Network) {}},
		{"a label that others share", "kubernetes.io/metadata.name: monitoring", "environment:", func(n *policy.Network) {
			for i := range n.Namespaces {
				n.Namespaces[i].Labels = map[string]string{"environment": "all"}
			}
		}},
		{"a label that does not stay", "kubernetes.io/metadata.name: monitoring", "version:", func(n *policy.Network) {
			for i := range n.Namespaces {
				n.Namespaces[i].Labels = map[string]string{"version": "v1.0." + string(rune('0'+i))}
			}
		}},
	} {
		n := policytest.Shop()
		c.change(&n)
		plan, err := build.Policies(n, labNamespaces, wishes(t, n,
			asked{"monitoring/prometheus", "production/api:9090", false, true}, asked{"development/shell", "production/api:9090", false, false}, asked{"monitoring/grafana", "production/api:9090", false, false}))
		if err != nil || len(plan.Policies) != 1 {
			t.Fatalf("%s: %v, %+v", c.name, err, plan)
		}
		if y := plan.Policies[0].YAML; !strings.Contains(y, c.want) || strings.Contains(y, c.not) {
			t.Errorf("%s: want %q and not %q in\n%s", c.name, c.want, c.not, y)
		}
	}
}

func TestServices_are_let_through_by_the_pods_own_port(t *testing.T) {
	n := policytest.Shop()
	plan, err := build.Policies(n, labNamespaces, wishes(t, n,
		asked{"production/web", "svc/production/api:80", true, true}, asked{"production/web", "internet:443", false, false}, asked{"development/shell", "production/api:8080", false, false}, asked{"monitoring/grafana", "production/api:8080", false, false}))
	if err != nil || len(plan.Policies) != 2 {
		t.Fatalf("%v, %+v", err, plan)
	}
	all := plan.Policies[0].YAML + plan.Policies[1].YAML
	if strings.Count(all, "port: 8080") != 2 || strings.Contains(all, "port: 80\n") {
		t.Errorf("both ends are to name 8080:\n%s", all)
	}
	if strings.Count(all, "k8s-app: kube-dns") != 1 || strings.Count(all, "port: 53") != 2 {
		t.Errorf("DNS is to be named once, by UDP and TCP:\n%s", all)
	}
}

func BenchmarkPolicies(b *testing.B) {
	n := policytest.Cluster(1, 4, 12)
	e, err := policy.Compile(n, nil)
	if err != nil {
		b.Fatal(err)
	}
	var all []build.Wish
	kinds := map[string]bool{}
	kind := func(end policy.Endpoint) string {
		name := e.Name(end)
		for _, p := range n.Pods {
			if p.Namespace+"/"+p.Name == name {
				return p.Namespace + p.Labels["app"] + p.Labels["tier"]
			}
		}
		return name
	}
	for i, f := range e.Flows() {
		key := kind(f.From) + ">" + kind(f.To) + string(f.Protocol)
		if _, ok := kinds[key]; !ok {
			kinds[key] = i%3 == 0
		}
		all = append(all, build.Wish{Flow: f, Open: kinds[key] || e.Name(f.From) == e.Name(f.To)})
	}
	b.ReportMetric(float64(len(all)), "wishes")
	for b.Loop() {
		plan, err := build.Policies(n, nil, all)
		if err != nil || len(plan.Refusals) > 0 {
			b.Fatal(err, plan.Refusals)
		}
	}
}

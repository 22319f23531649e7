package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Contract is what TestProvider must know of a provider.
type Contract struct {
	// Open makes the provider anew on what it has left on the machine, as another
	// process does.
	Open func(t *testing.T) sandbox.Provider
	// Topology is the first lesson's.
	Topology *sandbox.Topology
	// Measured says that the provider's clusters measure; see [Lab].
	Measured bool
}

// The clusters that TestProvider makes.
const (
	contractID  sandbox.ClusterID = "contract"
	abandonedID sandbox.ClusterID = "abandoned"
	nobodyID    sandbox.ClusterID = "nobody"
)

// DenyProduction is the default deny for the namespace production of the first
// lesson's topology, in both directions.
const DenyProduction = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`

// ProductionDenied is what DenyProduction does. The node's own traffic reaches
// the pods that run on it whatever a policy says, as the kubelet's probes must.
var ProductionDenied = []Want{
	{From: "monitoring/node-agent", Verdict: probe.Open},
	{From: "production/*", Via: sandbox.ViaName, Verdict: probe.DNSFailed},
	{From: "production/*", Verdict: probe.Blocked},
	{To: "production/*", Verdict: probe.Blocked},
}

const apiFromWeb = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api-from-web, namespace: production}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 8080}]
`

const webToAPI = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web-to-api, namespace: production}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: api}}}]
    ports: [{port: 8080}]
`

const allowDNS = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-dns, namespace: production}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
`

// TestProvider tests what every provider must do. It boots two clusters, and
// leaves nothing of them.
func TestProvider(t *testing.T, contract Contract) {
	p := contract.Open(t)
	remove := func() {
		for _, id := range []sandbox.ClusterID{contractID, abandonedID} {
			if err := p.Delete(context.Background(), id); err != nil {
				t.Error(err)
			}
		}
	}
	remove() // what a run that was cut off has left
	t.Cleanup(remove)
	if steps := p.Steps(); p.Name() == "" || len(steps.Boot) == 0 || len(steps.Lay) == 0 {
		t.Fatalf("the provider is called %q and has the steps %q", p.Name(), steps)
	}
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("what_is_not_there_is_gone_and_deleting_it_is_no_error", func(t *testing.T) {
		isNotThere(t, p, nobodyID)
		if err := p.Delete(t.Context(), nobodyID); err != nil {
			t.Error(err)
		}
	})
	lab := Lab{Topology: contract.Topology, Measured: contract.Measured}
	if !t.Run("boot_goes_through_its_steps_in_order_and_knows_no_lesson", func(t *testing.T) { lab.Booted = boots(t, p, contract.Topology) }) {
		return
	}
	t.Run("a_cluster_is_not_booted_twice", func(t *testing.T) {
		if _, err := p.Boot(t.Context(), contractID, nil); err == nil {
			t.Error("a second cluster of the same ID was booted")
		}
		if err := lab.Booted.Wake(t.Context()); err != nil {
			t.Errorf("that has harmed the first: %v", err)
		}
	})
	if !t.Run("lay_goes_through_its_steps_in_order", func(t *testing.T) { lab.Cluster = lays(t, p, lab) }) {
		return
	}
	t.Run("every_end_of_a_flow_has_its_address", func(t *testing.T) { hasAddresses(t, lab) })
	testPolicies(t, lab)
	testRefusals(t, lab)
	t.Run("whoever_watches_is_told_when_the_policies_change", func(t *testing.T) { watches(t, lab) })
	t.Run("many_may_ask_and_change_at_the_same_time", func(t *testing.T) { takesManyAtOnce(t, lab) })
	t.Run("a_pause_keeps_everything_and_wakes_to_what_is_true", func(t *testing.T) { pauses(t, lab) })
	t.Run("another_topology_takes_the_place_of_what_is_laid", func(t *testing.T) { lab.Cluster = changes(t, lab) })
	t.Run("an_abandoned_boot_leaves_nothing", func(t *testing.T) { abandons(t, p) })
	t.Run("another_process_adopts_the_sandbox_with_its_policies", func(t *testing.T) {
		p, lab = adopts(t, contract, lab)
	})
	t.Run("delete_leaves_nothing_and_may_be_repeated", func(t *testing.T) { deletes(t, p, lab) })
}

// isNotThere makes sure that there is no such cluster.
func isNotThere(t *testing.T, p sandbox.Provider, id sandbox.ClusterID) {
	t.Helper()
	if ids, err := p.List(t.Context()); err != nil || slices.Contains(ids, id) {
		t.Errorf("List: %v, %v; want %s not to be there", ids, err, id)
	}
	if _, err := p.Adopt(t.Context(), id); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Adopt: %v, want ErrGone", err)
	}
}

// inOrder collects the steps that are told, and then expects those of the names, one
// after the other.
func inOrder(t *testing.T, names []string) (sandbox.Progress, func()) {
	var told []string
	return func(s sandbox.Step) {
			told = append(told, fmt.Sprintf("%d/%d %s: %s", s.Index, s.Total, s.Name, s.Status))
		}, func() {
			t.Helper()
			var want []string
			for i, name := range names {
				for _, status := range []sandbox.StepStatus{sandbox.StepRunning, sandbox.StepDone} {
					want = append(want, fmt.Sprintf("%d/%d %s: %s", i+1, len(names), name, status))
				}
			}
			if !slices.Equal(told, want) {
				t.Errorf("told:\n%s\nwant:\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
			}
		}
}

func boots(t *testing.T, p sandbox.Provider, topology *sandbox.Topology) sandbox.Booted {
	progress, expect := inOrder(t, p.Steps().Boot)
	b, err := p.Boot(t.Context(), contractID, progress)
	if err != nil {
		t.Fatal(err)
	}
	expect()
	if ids, err := p.List(t.Context()); err != nil || !slices.Contains(ids, contractID) {
		t.Errorf("List: %v, %v; want %s in it", ids, err, contractID)
	}
	if _, err := b.Laid(t.Context(), topology); !errors.Is(err, sandbox.ErrNotLaid) {
		t.Errorf("Laid: %v, want ErrNotLaid", err)
	}
	return b
}

func lays(t *testing.T, p sandbox.Provider, lab Lab) sandbox.Cluster {
	progress, expect := inOrder(t, p.Steps().Lay)
	c, err := lab.Booted.Lay(t.Context(), lab.Topology, progress)
	if err != nil {
		t.Fatal(err)
	}
	expect()
	lab.Cluster = c
	lab.Expect(t)
	return c
}

// pauses pauses the cluster, twice, and wakes it.
func pauses(t *testing.T, lab Lab) {
	defer lab.Restore(t)
	lab.Apply(t, DenyProduction)
	for range 2 {
		if err := lab.Booted.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.Booted.Wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	lab.Expect(t, ProductionDenied...)
	lab.Restore(t)
	lab.Expect(t)
}

// other is a topology with some of the namespaces and pods of the lab's.
func other(lab Lab) *sandbox.Topology {
	t := *lab.Topology
	t.Name = "other"
	t.Namespaces = t.Namespaces[:2]
	return &t
}

// changes lays another topology in the cluster, and then the lab's own again.
func changes(t *testing.T, lab Lab) sandbox.Cluster {
	lab.Apply(t, DenyProduction)
	if _, err := lab.Booted.Laid(t.Context(), other(lab)); !errors.Is(err, sandbox.ErrNotLaid) {
		t.Errorf("Laid of another: %v, want ErrNotLaid", err)
	}
	second := Lab{Topology: other(lab), Measured: lab.Measured, Booted: lab.Booted}
	var err error
	if second.Cluster, err = lab.Booted.Lay(t.Context(), second.Topology, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := second.Cluster.Policies(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("policies of the one before: %v, %v", left, err)
	}
	second.Expect(t)
	second.Apply(t, DenyProduction)
	if err := lab.Booted.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, topology := range []*sandbox.Topology{lab.Topology, second.Topology} {
		if _, err := lab.Booted.Laid(t.Context(), topology); !errors.Is(err, sandbox.ErrNotLaid) {
			t.Errorf("Laid after Clear: %v, want ErrNotLaid", err)
		}
	}
	if lab.Cluster, err = lab.Booted.Lay(t.Context(), lab.Topology, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := lab.Cluster.Policies(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("policies of the one before: %v, %v", left, err)
	}
	lab.Expect(t)
	return lab.Cluster
}

// hasAddresses makes sure that the cluster tells of everything that a prediction
// needs, and that what it told once is the caller's own.
func hasAddresses(t *testing.T, lab Lab) {
	a := lab.Cluster.Addresses()
	want := map[string]netip.Addr{"the node": a.Node, "the DNS service": a.DNS}
	for _, ns := range lab.Topology.Namespaces {
		for _, p := range ns.Pods {
			want["pod "+ns.Name+"/"+p.Name] = a.Pods[ns.Name+"/"+p.Name]
		}
		for _, s := range ns.Services {
			want["service "+ns.Name+"/"+s.Name] = a.Services[ns.Name+"/"+s.Name]
		}
	}
	for _, x := range lab.Topology.External {
		want["host "+x.Name] = a.External[x.Name]
	}
	for name, addr := range want {
		if !addr.IsValid() {
			t.Errorf("the address of %s is not known", name)
		}
	}
	if len(a.DNSPods) == 0 || slices.ContainsFunc(a.DNSPods, func(addr netip.Addr) bool { return !addr.IsValid() }) {
		t.Errorf("the DNS pods are at %v", a.DNSPods)
	}
	clear(a.Pods)
	if again := lab.Cluster.Addresses(); len(again.Pods) == 0 {
		t.Error("what was told is not a copy")
	}
}

// testPolicies applies and deletes policies and looks at every flow each time.
func testPolicies(t *testing.T, lab Lab) {
	run := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			defer lab.Restore(t)
			test(t)
		})
	}
	run("without_policies_everything_is_open", func(t *testing.T) {
		if left := lab.Policies(t); len(left) > 0 {
			t.Errorf("policies are left of the creation: %v", left)
		}
		lab.Expect(t)
	})
	run("default_deny_isolates_both_directions", func(t *testing.T) {
		lab.Apply(t, DenyProduction)
		lab.Expect(t, ProductionDenied...)
	})
	run("a_peek_tells_what_is_open_and_no_more", func(t *testing.T) {
		lab.Apply(t, DenyProduction)
		lab.Expect(t, ProductionDenied...)
		var mu sync.Mutex
		told := map[string]int{}
		flows := lab.Topology.Flows()
		lab.Cluster.Peek(t.Context(), flows, answer, func(o sandbox.Observation) {
			mu.Lock()
			defer mu.Unlock()
			if told[o.Flow]++; o.Verdict != probe.Open {
				t.Errorf("%s is told to be %s %s", o.Flow, o.Verdict, o.Detail)
			}
		})
		for _, f := range flows {
			want := 0
			if Expected(f, ProductionDenied) == probe.Open {
				want = 1
			}
			if told[f.ID] != want {
				t.Errorf("%s was told %d times, want %d", f.ID, told[f.ID], want)
			}
		}
	})
	run("a_flow_needs_both_ends_and_a_name_needs_DNS", func(t *testing.T) {
		lab.Apply(t, DenyProduction)
		lab.Apply(t, apiFromWeb)
		lab.Expect(t, ProductionDenied...) // web may not send yet.

		lab.Apply(t, webToAPI)
		open := Want{From: "production/web", To: "production/api", Port: 8080, Via: sandbox.ViaIP, Verdict: probe.Open}
		lab.Expect(t, append([]Want{open}, ProductionDenied...)...)

		lab.Apply(t, allowDNS)
		lab.Expect(t,
			Want{From: "production/web", To: "production/api", Port: 8080, Verdict: probe.Open},
			Want{From: "production/*", To: "kube-system/kube-dns", Port: 53, Verdict: probe.Open},
			Want{From: "monitoring/node-agent", Verdict: probe.Open},
			Want{From: "production/*", Verdict: probe.Blocked},
			Want{To: "production/*", Verdict: probe.Blocked},
		)

		if err := lab.Cluster.Delete(t.Context(), []sandbox.PolicyRef{{Namespace: "production", Name: "allow-dns"}, {Namespace: "production", Name: "never-was"}}); err != nil {
			t.Fatal(err)
		}
		lab.Expect(t, append([]Want{open}, ProductionDenied...)...)
	})
	run("a_resolver_asks_by_UDP", func(t *testing.T) {
		lab.Apply(t, DenyProduction+"---\n"+strings.Replace(allowDNS, "{port: 53, protocol: UDP}, ", "", 1))
		lab.Expect(t, append([]Want{
			{From: "production/*", To: "kube-system/kube-dns", Port: 53, Protocol: sandbox.TCP, Verdict: probe.Open},
		}, ProductionDenied...)...)
	})
	run("a_namespace_and_pod_selector_admits_prometheus_and_not_grafana", func(t *testing.T) {
		lab.Apply(t, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api-from-prometheus, namespace: production}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {environment: monitoring}}
      podSelector: {matchLabels: {app: prometheus}}
    ports: [{port: 9090}]
`)
		lab.Expect(t,
			Want{From: "monitoring/prometheus", To: "production/api", Port: 9090, Verdict: probe.Open},
			Want{From: "monitoring/node-agent", Verdict: probe.Open},
			Want{To: "production/api", Verdict: probe.Blocked},
		)
	})
	run("an_ipBlock_reaches_the_internet", func(t *testing.T) {
		text := `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shell-egress, namespace: development}
spec:
  podSelector: {matchLabels: {app: shell}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: %s}]
`
		internet := lab.Topology.PlannedAddresses().External["internet"] // its own everywhere
		lab.Apply(t, fmt.Sprintf(text, fmt.Sprintf("{cidr: %s/32}", internet)))
		lab.Expect(t,
			Want{From: "development/shell", To: "internet", Verdict: probe.Open},
			Want{From: "development/shell", Via: sandbox.ViaName, Verdict: probe.DNSFailed},
			Want{From: "development/shell", Verdict: probe.Blocked},
		)
		lab.Apply(t, fmt.Sprintf(text, fmt.Sprintf("{cidr: 0.0.0.0/0, except: [%s/32]}", internet)))
		lab.Expect(t, Want{From: "development/shell", To: "internet", Verdict: probe.Blocked})
	})
	run("what_a_rule_leaves_out_shows_in_the_hosts_and_pods_beside", func(t *testing.T) {
		lab.Apply(t, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shell-egress, namespace: development}
spec:
  podSelector: {matchLabels: {app: shell}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]
    ports: [{port: 443}]
  - to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
    ports: [{port: 53, protocol: UDP}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: prometheus-egress, namespace: monitoring}
spec:
  podSelector: {matchLabels: {app: prometheus}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
  - ports: [{port: 53, protocol: TCP}]
`)
		lab.Expect(t,
			Want{From: "development/shell", To: "internet", Verdict: probe.Open},
			Want{From: "development/shell", To: "office", Verdict: probe.Blocked},
			Want{From: "development/shell", To: "monitoring/grafana", Port: 443, Verdict: probe.Blocked},
			Want{From: "development/shell", To: "development/dns-copy", Verdict: probe.Open},
			Want{From: "development/shell", To: "kube-system/kube-dns", Protocol: sandbox.UDP, Verdict: probe.Open},
			Want{From: "development/shell", Verdict: probe.Blocked},
			Want{From: "monitoring/prometheus", To: "kube-system/kube-dns", Verdict: probe.Open},
			Want{From: "monitoring/prometheus", To: "resolver", Protocol: sandbox.TCP, Verdict: probe.Open},
			Want{From: "monitoring/prometheus", Verdict: probe.Blocked},
		)
	})
	run("what_is_predicted_with_the_cluster_s_addresses_is_what_is_seen", func(t *testing.T) {
		a := lab.Cluster.Addresses()
		// A ClusterIP is no address that a policy sees; what is behind it is.
		lab.Apply(t, fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web-by-address, namespace: production}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: %s/32}}, {ipBlock: {cidr: %s/32}}, {ipBlock: {cidr: %s/32}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: prometheus-by-address, namespace: monitoring}
spec:
  podSelector: {matchLabels: {app: prometheus}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: %s/32}}, {ipBlock: {cidr: %s/32}}]
`, a.DNSPods[0], a.Pods["production/api"], a.Services["production/db"], a.DNS, a.Node))
		policies, err := lab.Cluster.Policies(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := sandbox.NewPredictor(lab.Topology, a, policies)
		if err != nil {
			t.Fatal(err)
		}
		var predicted []Want
		for _, f := range lab.Topology.Flows() {
			verdict, err := p.Verdict(f)
			if err != nil {
				t.Fatal(err)
			}
			predicted = append(predicted, Want{From: f.From, To: f.To, Port: f.Port, Protocol: f.Protocol, Via: f.Via, Verdict: verdict})
		}
		lab.Expect(t, predicted...)
		for _, w := range []Want{
			{From: "production/web", To: "kube-system/kube-dns", Port: 53, Protocol: sandbox.UDP, Via: sandbox.ViaDNS, Verdict: probe.Open},
			{From: "production/web", To: "production/api", Port: 8080, Protocol: sandbox.TCP, Via: sandbox.ViaName, Verdict: probe.Open},
			{From: "production/web", To: "production/db", Port: 5432, Protocol: sandbox.TCP, Via: sandbox.ViaName, Verdict: probe.Blocked},
			{From: "monitoring/prometheus", To: "production/api", Port: 8080, Protocol: sandbox.TCP, Via: sandbox.ViaName, Verdict: probe.DNSFailed},
			{From: "monitoring/prometheus", To: "monitoring/node-agent", Port: 9100, Protocol: sandbox.TCP, Via: sandbox.ViaIP, Verdict: probe.Open},
		} {
			if !slices.Contains(predicted, w) {
				t.Errorf("%+v was not predicted", w)
			}
		}
	})
	run("UDP_is_denied_like_TCP", func(t *testing.T) {
		lab.Apply(t, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: prometheus-no-statsd, namespace: monitoring}
spec:
  podSelector: {matchLabels: {app: prometheus}}
  policyTypes: [Ingress]
  ingress:
  - ports: [{port: 8125, protocol: TCP}, {port: 9090, protocol: TCP}]
`)
		lab.Expect(t,
			Want{From: "monitoring/node-agent", Verdict: probe.Open},
			Want{To: "monitoring/prometheus", Port: 8125, Verdict: probe.Blocked},
		)
	})
	run("a_port_may_be_meant_by_its_name_or_range", func(t *testing.T) {
		lab.Apply(t, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api-http, namespace: production}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress:
  - ports: [{port: http}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db-range, namespace: production}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - ports: [{port: 5000, endPort: 5431}, {port: query, protocol: UDP}]
`)
		lab.Expect(t,
			Want{From: "monitoring/node-agent", Verdict: probe.Open},
			Want{To: "production/api", Port: 9090, Verdict: probe.Blocked},
			Want{To: "production/db", Verdict: probe.Blocked},
		)
	})
	run("a_later_version_isolates_what_it_says", func(t *testing.T) {
		// Without policyTypes, which are then for each version its own.
		text := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shell, namespace: development}\nspec:\n  podSelector: {matchLabels: {app: shell}}\n"
		lab.Apply(t, text)
		lab.Expect(t)
		lab.Apply(t, text+"  egress:\n  - to: [{podSelector: {}}]\n")
		lab.Expect(t,
			Want{From: "development/shell", To: "development/dns-copy", Verdict: probe.Open},
			Want{From: "development/shell", Via: sandbox.ViaName, Verdict: probe.DNSFailed},
			Want{From: "development/shell", Verdict: probe.Blocked},
		)
	})
	run("a_host_network_pod_escapes", func(t *testing.T) {
		lab.Apply(t, strings.ReplaceAll(DenyProduction, "production", "monitoring"))
		lab.Expect(t,
			// The policy selects it, and is not carried out for it: neither as a
			// source nor as a destination.
			Want{From: "monitoring/node-agent", Verdict: probe.Open},
			Want{From: "production/*", To: "monitoring/node-agent", Verdict: probe.Open},
			Want{From: "development/*", To: "monitoring/node-agent", Verdict: probe.Open},
			Want{From: "monitoring/*", Via: sandbox.ViaName, Verdict: probe.DNSFailed},
			Want{From: "monitoring/*", Verdict: probe.Blocked},
			Want{To: "monitoring/*", Verdict: probe.Blocked},
		)
	})
	run("deleting_the_policies_restores_everything", func(t *testing.T) {
		lab.Apply(t, DenyProduction+"---\n"+allowDNS)
		lab.Expect(t,
			Want{From: "production/*", To: "kube-system/kube-dns", Port: 53, Verdict: probe.Open},
			Want{From: "monitoring/node-agent", Verdict: probe.Open},
			Want{From: "production/*", Verdict: probe.Blocked},
			Want{To: "production/*", Verdict: probe.Blocked})
		lab.Restore(t)
		lab.Expect(t)
	})
	run("policies_come_back_as_they_were_written", func(t *testing.T) { comeBack(t, lab) })
	t.Run("a_flow_that_cannot_be_measured_is_unknown_and_not_left_out", func(t *testing.T) {
		flow := sandbox.Flow{ID: "to nobody", From: "production/web", To: "production/nobody", Port: 80, Protocol: sandbox.TCP, Via: sandbox.ViaIP}
		var seen []sandbox.Observation
		lab.Cluster.Probe(t.Context(), []sandbox.Flow{flow}, answer, func(o sandbox.Observation) { seen = append(seen, o) })
		if len(seen) != 1 || seen[0].Verdict != probe.Unknown || seen[0].Detail == "" {
			t.Errorf("got %+v, want unknown with a reason", seen)
		}
	})
}

func comeBack(t *testing.T, lab Lab) {
	commented := "# Nobody talks to anybody.\n" + DenyProduction
	lab.Apply(t, commented+"---\n"+allowDNS)
	if got, want := lab.Policies(t), []string{"production/allow-dns", "production/default-deny-all"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v, sorted", got, want)
	}
	list := func() []policy.Policy {
		t.Helper()
		got, err := lab.Cluster.Policies(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := list()
	if want := lab.Parse(t, commented)[0].Source; got[1].Source != want {
		t.Errorf("source:\n%s\nwant:\n%s", got[1].Source, want)
	}
	if len(got[1].Annotations) > 0 || len(got[1].ManagedFields) > 0 || got[1].UID != "" {
		t.Errorf("somebody's additions show: %+v", got[1].ObjectMeta)
	}

	// Applied again without a field, the policy loses that field.
	lab.Apply(t, strings.Replace(DenyProduction, "[Ingress, Egress]", "[Ingress]", 1))
	if types := list()[1].Spec.PolicyTypes; len(types) != 1 || types[0] != networkingv1.PolicyTypeIngress {
		t.Errorf("policy types %v, want Ingress alone", types)
	}

	// One that was made by a program has no YAML of its own, and is given some.
	made := lab.Parse(t, webToAPI)[0]
	made.Source = ""
	if err := lab.Cluster.Apply(t.Context(), []policy.Policy{made}); err != nil {
		t.Fatal(err)
	}
	again := lab.Parse(t, list()[2].Source)
	if len(again) != 1 || again[0].Name != "web-to-api" || len(again[0].Spec.Egress) != 1 {
		t.Errorf("the YAML of web-to-api is:\n%s", list()[2].Source)
	}
}

// testRefusals applies policies that must be refused, and looks that nothing has
// changed.
func testRefusals(t *testing.T, lab Lab) {
	refused := func(t *testing.T, policies ...policy.Policy) policy.Problem {
		t.Helper()
		var refused *policy.Error
		if err := lab.Cluster.Apply(t.Context(), policies); !errors.As(err, &refused) || len(refused.Problems) != 1 {
			t.Fatalf("got %v, want one problem", err)
		}
		if left := lab.Policies(t); len(left) > 0 {
			t.Errorf("%v are applied, want none", left)
		}
		return refused.Problems[0]
	}
	// Parse would not let it through, so it is made wrong afterwards.
	wrong := func(t *testing.T) policy.Policy {
		p := lab.Parse(t, apiFromWeb)[0]
		port := intstr.FromInt32(70000)
		p.Spec.Ingress[0].Ports[0].Port = &port
		return p
	}
	t.Run("what_is_refused_has_a_position", func(t *testing.T) {
		if p := refused(t, wrong(t)); p.Line != 9 || p.Column == 0 || p.Field != "spec.ingress[0].ports[0].port" || !strings.Contains(p.Message, "65535") {
			t.Errorf("got %+v, want line 9, the field and the bounds", p)
		}
	})
	t.Run("of_two_policies_of_which_one_is_refused_none_is_applied", func(t *testing.T) {
		refused(t, lab.Parse(t, DenyProduction)[0], wrong(t))
		lab.Expect(t)
	})
	t.Run("a_policy_for_another_namespace_is_refused", func(t *testing.T) {
		policies, err := policy.Parse([]byte(strings.Replace(DenyProduction, "production", "kube-system", 1)), policy.ParseOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if p := refused(t, policies...); p.Line != 5 || !strings.Contains(p.Message, "production") {
			t.Errorf("got %+v, want line 5 and the namespaces that there are", p)
		}
	})
}

// watches changes the policies while two watch them.
func watches(t *testing.T, lab Lab) {
	defer lab.Restore(t)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	told := make([]chan struct{}, 2)
	for i := range told {
		told[i] = make(chan struct{}, 1)
		watching.Go(func() {
			lab.Cluster.WatchPolicies(ctx, func() {
				select {
				case told[i] <- struct{}{}:
				default:
				}
			})
		})
	}
	// Each is told until a look shows what the others have done by then.
	await := func(what string, want ...string) {
		t.Helper()
		for i := range told {
			for limit := time.After(patience); ; {
				select {
				case <-told[i]:
				case <-limit:
					t.Fatalf("%s: watcher %d was not told within %s", what, i, patience)
				}
				if got := lab.Policies(t); slices.Equal(got, want) {
					break
				}
			}
		}
	}
	await("the beginning")
	lab.Apply(t, DenyProduction)
	await("a policy more", "production/default-deny-all")
	lab.Apply(t, strings.Replace(DenyProduction, "production", "development", 1))
	await("one in another namespace", "development/default-deny-all", "production/default-deny-all")
	if err := lab.Cluster.Delete(t.Context(), []sandbox.PolicyRef{{Namespace: "production", Name: "default-deny-all"}}); err != nil {
		t.Fatal(err)
	}
	await("one fewer", "development/default-deny-all")
	cancel()
	watching.Wait()
}

func takesManyAtOnce(t *testing.T, lab Lab) {
	defer lab.Restore(t)
	deny := lab.Parse(t, DenyProduction)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { lab.Measure(t) })
		group.Go(func() {
			if err := lab.Cluster.Apply(t.Context(), deny); err != nil {
				t.Error(err)
			}
			if err := lab.Cluster.Delete(t.Context(), []sandbox.PolicyRef{{Namespace: "production", Name: "default-deny-all"}}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	lab.Expect(t)
}

// abandons ends a Boot before it begins and in its last step.
func abandons(t *testing.T, p sandbox.Provider) {
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := p.Boot(ended, abandonedID, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	isNotThere(t, p, abandonedID)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	last := sandbox.Step{}
	if _, err := p.Boot(ctx, abandonedID, func(s sandbox.Step) {
		if last = s; s.Index == s.Total && s.Status == sandbox.StepRunning {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if last.Index != last.Total || last.Status != sandbox.StepFailed {
		t.Errorf("the last step told is %+v, want the last one failed", last)
	}
	isNotThere(t, p, abandonedID)
}

// adopts lets go of the cluster while it is paused, and takes it over with a provider
// made anew.
func adopts(t *testing.T, contract Contract, lab Lab) (sandbox.Provider, Lab) {
	lab.Apply(t, "# Mine.\n"+DenyProduction)
	written := lab.Parse(t, "# Mine.\n"+DenyProduction)[0].Source
	if err := lab.Booted.Pause(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(lab.Cluster.Close(), lab.Booted.Close()); err != nil {
		t.Error(err)
	}
	p := contract.Open(t)
	if ids, err := p.List(t.Context()); err != nil || !slices.Contains(ids, contractID) {
		t.Errorf("List: %v, %v; want %s in it", ids, err, contractID)
	}
	isNotThere(t, p, nobodyID)
	var err error
	if lab.Booted, err = p.Adopt(t.Context(), contractID); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Booted.Laid(t.Context(), other(lab)); !errors.Is(err, sandbox.ErrNotLaid) {
		t.Errorf("Laid of another topology: %v, want ErrNotLaid", err)
	}
	if lab.Cluster, err = lab.Booted.Laid(t.Context(), lab.Topology); err != nil {
		t.Fatal(err)
	}
	if err := lab.Cluster.Health(t.Context()); err != nil {
		t.Errorf("Health: %v", err)
	}
	policies, err := lab.Cluster.Policies(t.Context())
	if err != nil || len(policies) != 1 || policies[0].Source != written {
		t.Errorf("policies after adoption: %v, %v", policies, err)
	}
	lab.Expect(t, ProductionDenied...)
	lab.Restore(t)
	lab.Expect(t)
	return p, lab
}

// deletes deletes the cluster while it is paused.
func deletes(t *testing.T, p sandbox.Provider, lab Lab) {
	if err := lab.Booted.Pause(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 { // The second time there is nothing to delete.
		if err := p.Delete(t.Context(), contractID); err != nil {
			t.Fatal(err)
		}
		isNotThere(t, p, contractID)
	}
	if err := lab.Booted.Wake(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Wake: %v, want ErrGone", err)
	}
	if err := lab.Cluster.Health(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Health: %v, want ErrGone", err)
	}
	for _, o := range lab.Measure(t) {
		if o.Verdict != probe.Unknown || o.Detail == "" {
			t.Fatalf("%s is %s (%s), want unknown with a reason", o.Flow, o.Verdict, o.Detail)
		}
	}
	if err := errors.Join(lab.Cluster.Close(), lab.Booted.Close()); err != nil {
		t.Error(err)
	}
}

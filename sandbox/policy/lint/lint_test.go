package lint

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

// policyYAML is a policy; its spec is written without indentation.
func policyYAML(namespace, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec:\n  %s\n", name, namespace, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

func mustParse(t *testing.T, src string) []policy.Policy {
	t.Helper()
	policies, err := policy.Parse([]byte(src), policy.ParseOptions{})
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return policies
}

func findingsText(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s %d:%d %s\n%s\n%s\n", f.Policy, f.Check, f.Position.Line, f.Position.Column, f.Field, f.Message, f.Fix)
	}
	return b.String()
}

const (
	denyAll = `
podSelector: {}
policyTypes: [Ingress, Egress]`
	allowDNS = `
podSelector: {}
policyTypes: [Egress]
egress:
- to:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports:
  - {protocol: UDP, port: 53}
  - {protocol: TCP, port: 53}`
	apiFromWeb = `
podSelector: {matchLabels: {app: api}}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchLabels: {app: web}}
  ports:
  - port: 8080`
	webToAPI = `
podSelector: {matchLabels: {app: web}}
policyTypes: [Egress]
egress:
- to:
  - podSelector: {matchLabels: {app: api}}
  ports:
  - port: 8080`
	apiFromPrometheus = `
podSelector: {matchLabels: {app: api}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {environment: monitoring}}
    podSelector: {matchLabels: {app: prometheus}}
  ports:
  - port: admin`
)

// wellBuilt is a set of policies as it should be.
var wellBuilt = policyYAML("production", "default-deny-all", denyAll) +
	policyYAML("production", "allow-dns", allowDNS) +
	policyYAML("production", "allow-web-to-api", apiFromWeb) +
	policyYAML("production", "allow-web-egress-to-api", webToAPI) +
	policyYAML("production", "allow-prometheus-to-api", apiFromPrometheus)

// lintCase is a set of policies that has findings; want are their checks and fields,
// and testdata/lint.golden has the words.
type lintCase struct{ name, src, want string }

func ingressFrom(peers string) string {
	return policyYAML("production", "p", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Ingress]\ningress:\n- from:\n  "+strings.ReplaceAll(peers, "\n", "\n  "))
}

func ingressPorts(app, ports string) string {
	return policyYAML("production", "p", "podSelector: {matchLabels: {app: "+app+"}}\npolicyTypes: [Ingress]\ningress:\n- ports: "+ports)
}

func egressTo(to string) string {
	return policyYAML("production", "dns", allowDNS) + policyYAML("production", "p", "podSelector: {matchLabels: {app: web}}\npolicyTypes: [Egress]\negress:\n- "+strings.ReplaceAll(to, "\n", "\n  "))
}

var lintCases = []lintCase{
	{"dns_is_not_allowed_after_default_deny", policyYAML("production", "p", denyAll), "dns-not-allowed spec.policyTypes"},
	{"dns_is_not_allowed_by_one_egress_rule", policyYAML("production", "p", webToAPI), "dns-not-allowed spec.policyTypes"},
	{"dns_is_allowed_by_tcp_only_where_protocol_is_left_out", policyYAML("production", "p", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Egress]\negress:\n- ports: [{port: 53}]"), "dns-not-allowed spec.policyTypes"},
	{"each_policy_that_isolates_has_its_finding", policyYAML("production", "a", denyAll) + policyYAML("production", "b", webToAPI), "dns-not-allowed spec.policyTypes; dns-not-allowed spec.policyTypes; no-effect spec.egress[0]"},
	{"dns_label_in_every_namespace", policyYAML("production", "p", strings.Replace(allowDNS, "{matchLabels: {kubernetes.io/metadata.name: kube-system}}", "{}", 1)), "dns-any-namespace spec.egress[0].to[0].namespaceSelector"},
	{"dns_by_udp_only", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Egress]\negress:\n- ports: [{protocol: UDP, port: 53}]"), "dns-tcp-missing spec.egress[0].ports"},
	{"two_entries_where_one_was_meant", ingressFrom("- namespaceSelector: {matchLabels: {environment: monitoring}}\n- podSelector: {matchLabels: {app: prometheus}}"), "and-or-suspicion spec.ingress[0].from[1]"},
	{"two_entries_the_other_way_round", ingressFrom("- podSelector: {matchLabels: {app: web}}\n- namespaceSelector: {matchLabels: {environment: production}}"), "and-or-suspicion spec.ingress[0].from[1]"},
	{"mistyped_label_of_the_policy", policyYAML("production", "p", "podSelector: {matchLabels: {app: wbe}}"), "selector-matches-nothing spec.podSelector"},
	{"mistyped_key_of_the_policy", policyYAML("production", "p", "podSelector: {matchLabels: {ap: web}}"), "selector-matches-nothing spec.podSelector"},
	{"label_of_no_pod", policyYAML("production", "p", "podSelector: {matchLabels: {tier: front}}"), "selector-matches-nothing spec.podSelector"},
	{"policy_in_the_wrong_namespace", policyYAML("development", "p", "podSelector: {matchLabels: {app: web}}"), "selector-matches-nothing spec.podSelector"},
	{"policy_in_an_empty_namespace", policyYAML("empty", "p", "podSelector: {matchLabels: {app: cache}}"), "selector-matches-nothing spec.podSelector"},
	{"policy_for_a_host_network_pod", policyYAML("monitoring", "p", "podSelector: {matchLabels: {app: node-agent}}"), "selector-matches-nothing spec.podSelector"},
	{"labels_that_no_pod_has_together", policyYAML("production", "p", "podSelector:\n  matchExpressions:\n  - {key: app, operator: In, values: [web]}\n  - {key: app, operator: NotIn, values: [web]}"), "selector-matches-nothing spec.podSelector"},
	{"mistyped_value_of_an_expression", policyYAML("production", "p", "podSelector: {matchExpressions: [{key: app, operator: In, values: [wep]}]}"), "selector-matches-nothing spec.podSelector"},
	{"mistyped_label_of_a_peer", ingressFrom("- podSelector: {matchLabels: {app: webb}}"), "selector-matches-nothing spec.ingress[0].from[0].podSelector"},
	{"peer_in_another_namespace", ingressFrom("- podSelector: {matchLabels: {app: prometheus}}"), "selector-matches-nothing spec.ingress[0].from[0].podSelector"},
	{"namespace_label_in_a_pod_selector", ingressFrom("- podSelector: {matchLabels: {environment: monitoring}}"), "selector-matches-nothing spec.ingress[0].from[0].podSelector"},
	{"peer_that_is_a_host_network_pod", ingressFrom("- namespaceSelector: {}\n  podSelector: {matchLabels: {app: node-agent}}"), "selector-matches-nothing spec.ingress[0].from[0].podSelector"},
	{"peer_in_a_namespace_without_pods", ingressFrom("- namespaceSelector: {matchLabels: {environment: empty}}"), "selector-matches-nothing spec.ingress[0].from[0].namespaceSelector"},
	{"namespace_labels_that_none_has_together", ingressFrom("- namespaceSelector: {matchLabels: {environment: production, kubernetes.io/metadata.name: monitoring}}"), "selector-matches-nothing spec.ingress[0].from[0].namespaceSelector"},
	{"mistyped_namespace_label", ingressFrom("- namespaceSelector: {matchLabels: {environment: monitorin}}\n  podSelector: {matchLabels: {app: prometheus}}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchLabels[environment]"},
	{"mistyped_key_of_a_namespace_label", ingressFrom("- namespaceSelector: {matchLabels: {enviroment: monitoring}}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchLabels[enviroment]"},
	{"name_as_a_namespace_label", ingressFrom("- namespaceSelector: {matchLabels: {name: monitoring}}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchLabels[name]"},
	{"mistyped_name_as_a_namespace_label", ingressFrom("- namespaceSelector: {matchLabels: {name: monitring}}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchLabels[name]"},
	{"pod_label_in_a_namespace_selector", ingressFrom("- namespaceSelector: {matchLabels: {app: prometheus}}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchLabels[app]"},
	{"namespace_label_of_nothing", ingressFrom("- namespaceSelector: {matchLabels: {team: red}}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchLabels[team]"},
	{"namespace_label_that_must_exist", ingressFrom("- namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchExpressions[0]"},
	{"one_unknown_value_of_several", ingressFrom("- namespaceSelector: {matchExpressions: [{key: environment, operator: In, values: [monitoring, developmet]}]}"), "namespace-label-unknown spec.ingress[0].from[0].namespaceSelector.matchExpressions[0].values[1]"},
	{"port_that_is_not_served", ingressPorts("api", "[{port: 8081}]"), "port-not-served spec.ingress[0].ports[0].port"},
	{"port_of_the_other_protocol", ingressPorts("api", "[{port: 8080, protocol: UDP}]"), "port-not-served spec.ingress[0].ports[0].port"},
	{"port_by_a_name_that_none_has", ingressPorts("api", "[{port: htpp}]"), "port-not-served spec.ingress[0].ports[0].port"},
	{"range_without_a_served_port", ingressPorts("api", "[{port: 10000, endPort: 10100}]"), "port-not-served spec.ingress[0].ports[0].port"},
	{"egress_to_a_port_that_is_not_served", egressTo("to: [{podSelector: {matchLabels: {app: db}}}]\nports: [{port: 3306}]"), "port-not-served spec.egress[0].ports[0].port"},
	{"service_port_in_ingress", ingressPorts("api", "[{port: 80}]"), "service-port spec.ingress[0].ports[0].port"},
	{"service_port_by_name_in_egress", egressTo("to: [{podSelector: {matchLabels: {app: api}}}]\nports: [{port: shop}]"), "service-port spec.egress[0].ports[0].port"},
	{"from_is_an_empty_list", policyYAML("production", "p", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Ingress]\ningress: [{from: []}]"), "empty-allows-all spec.ingress[0].from"},
	{"from_has_no_value", ingressFrom(""), "empty-allows-all spec.ingress[0].from"},
	{"to_and_ports_are_empty_lists", egressTo("to: []\nports: []"), "empty-allows-all spec.egress[0].to; empty-allows-all spec.egress[0].ports"},
	{"namespace_selector_has_no_value", ingressFrom("- namespaceSelector:\n  podSelector: {matchLabels: {app: web}}"), "empty-namespace-selector spec.ingress[0].from[0].namespaceSelector"},
	{"egress_rules_that_are_ignored", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Ingress]\negress: [{}]"), "policy-types-missing spec.egress"},
	{"ingress_rules_that_are_ignored", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Egress]\ningress: [{}]\negress: [{}]"), "policy-types-missing spec.ingress"},
	{"empty_egress_without_policy_types", policyYAML("production", "p", "podSelector: {}\negress: []"), "policy-types-missing spec.egress"},
	{"egress_only_without_policy_types", policyYAML("production", "p", "podSelector: {matchLabels: {app: web}}\negress: [{}]"), "policy-types-missing spec.egress"},
	{"all_addresses", egressTo("to: [{ipBlock: {cidr: 0.0.0.0/0}}]"), "ipblock-covers-cluster spec.egress[0].to[0].ipBlock"},
	{"all_addresses_but_some", egressTo("to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]"), "ipblock-covers-cluster spec.egress[0].to[0].ipBlock"},
	{"address_of_a_pod", ingressFrom("- ipBlock: {cidr: 10.244.0.31/32}"), "ipblock-covers-cluster spec.ingress[0].from[0].ipBlock"},
	{"range_of_pods", ingressFrom("- ipBlock: {cidr: 10.244.0.0/28}"), "ipblock-covers-cluster spec.ingress[0].from[0].ipBlock"},
	{"address_of_a_service", egressTo("to: [{ipBlock: {cidr: 10.96.0.80/32}}]"), "ipblock-covers-cluster spec.egress[0].to[0].ipBlock"},
	{"range_of_services", egressTo("to: [{ipBlock: {cidr: 10.96.0.0/12}}]"), "ipblock-covers-cluster spec.egress[0].to[0].ipBlock"},
	{"ingress_without_its_egress", policyYAML("production", "default-deny-all", denyAll) + policyYAML("production", "dns", allowDNS) + policyYAML("production", "allow-web-to-api", apiFromWeb), "no-effect spec.ingress[0]"},
	{"egress_without_its_ingress", policyYAML("production", "default-deny-all", denyAll) + policyYAML("production", "dns", allowDNS) + policyYAML("production", "allow-web-to-api", webToAPI), "no-effect spec.egress[0]"},
	{"other_end_allows_another_port", policyYAML("production", "a", apiFromWeb) + policyYAML("production", "b", strings.Replace(webToAPI, "8080", "9090", 1)) + policyYAML("production", "dns", allowDNS), "no-effect spec.ingress[0]; no-effect spec.egress[0]"},
	{"ports_of_a_dns_rule_by_name", policyYAML("production", "p", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Egress]\negress: [{ports: [{protocol: UDP, port: dns}]}]"), "dns-tcp-missing spec.egress[0].ports"},
	{"several_findings_by_place", policyYAML("production", "z", "podSelector: {matchLabels: {app: api}}\ningress:\n- ports: [{port: 80}, {port: 1}]\n- from: [{podSelector: {matchLabels: {app: x}}}]\negress: []") + policyYAML("development", "a", "podSelector: {matchLabels: {app: none}}"), "selector-matches-nothing spec.podSelector; service-port spec.ingress[0].ports[0].port; port-not-served spec.ingress[0].ports[1].port; selector-matches-nothing spec.ingress[1].from[0].podSelector; policy-types-missing spec.egress"},
	{"named_nodes_and_hosts_in_one_range", egressTo("to: [{ipBlock: {cidr: 172.18.0.0/24}}]"), "ipblock-covers-cluster spec.egress[0].to[0].ipBlock"},
	{"service_of_dns_by_its_address", policyYAML("production", "p", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 10.96.0.10/32}}], ports: [{port: 53, protocol: UDP}]}]"), "dns-not-allowed spec.policyTypes; ipblock-covers-cluster spec.egress[0].to[0].ipBlock"},
	{"other_end_in_several_namespaces", policyYAML("monitoring", "deny", "podSelector: {}\npolicyTypes: [Ingress]") + policyYAML("development", "deny", "podSelector: {}\npolicyTypes: [Ingress]") + egressTo("to: [{namespaceSelector: {matchExpressions: [{key: environment, operator: In, values: [development, monitoring]}]}}]"), "no-effect spec.egress[0]"},
	{"other_end_in_another_namespace", policyYAML("monitoring", "deny", "podSelector: {matchLabels: {app: prometheus}}\npolicyTypes: [Egress]\negress: [{ports: [{protocol: UDP, port: 53}, {port: 53}]}]") + policyYAML("production", "p", apiFromPrometheus), "no-effect spec.ingress[0]"},
}

var lintGolden = flag.Bool("lint-golden", false, "write testdata/lint.golden anew")

func TestLint_finds_and_says_what_to_do(t *testing.T) {
	var all strings.Builder
	for _, tt := range lintCases {
		t.Run(tt.name, func(t *testing.T) {
			findings := Lint(policytest.Shop(), mustParse(t, tt.src))
			var got []string
			for _, f := range findings {
				got = append(got, string(f.Check)+" "+f.Field)
			}
			if got := strings.Join(got, "; "); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			fmt.Fprintf(&all, "=== %s\n%s", tt.name, findingsText(findings))
		})
	}
	const file = "testdata/lint.golden"
	if *lintGolden {
		if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, rest := strings.Split(all.String(), "\n"), strings.Split(string(want), "\n")
	for i := range got {
		if i >= len(rest) || got[i] != rest[i] {
			t.Fatalf("line %d of %s is not what Lint says:\n%s", i+1, file, strings.Join(got[i:min(i+5, len(got))], "\n"))
		}
	}
	if len(got) != len(rest) {
		t.Errorf("%s has %d lines more", file, len(rest)-len(got))
	}
}

func TestLint_is_silent(t *testing.T) {
	without := func(namespace string) func(*policy.Network) {
		return func(n *policy.Network) {
			n.Namespaces = slices.DeleteFunc(n.Namespaces, func(ns policy.Namespace) bool { return ns.Name == namespace })
			n.Pods = slices.DeleteFunc(n.Pods, func(p policy.Pod) bool { return p.Namespace == namespace })
			n.Services = slices.DeleteFunc(n.Services, func(s policy.Service) bool { return s.Namespace == namespace })
		}
	}
	dns := policyYAML("production", "dns", allowDNS)
	for _, tt := range []struct {
		name, src string
		change    func(*policy.Network)
	}{
		{"about_a_well_built_set", wellBuilt, nil},
		{"about_a_well_built_set_in_another_order", policyYAML("production", "z", allowDNS) + policyYAML("production", "deny", denyAll) + policyYAML("production", "x", webToAPI) + policyYAML("production", "w", apiFromWeb), nil},
		{"about_a_well_built_set_where_kube_system_is_not_told_of", wellBuilt, without("kube-system")},
		{"without_policies", "", nil},

		{"about_dns_without_dns_pods", policyYAML("production", "p", denyAll), without("kube-system")},
		{"about_dns_where_only_ingress_is_isolated", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Ingress]"), nil},
		{"about_dns_where_any_destination_is_allowed", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Egress]\negress: [{}]"), nil},
		{"about_dns_where_another_policy_allows_it", policyYAML("production", "p", webToAPI) + dns, nil},
		{"about_dns_of_the_dns_pod_itself", policyYAML("kube-system", "p", "podSelector: {}\npolicyTypes: [Egress]"), nil},
		{"about_dns_where_another_policy_allows_tcp", policyYAML("production", "udp", "podSelector: {}\npolicyTypes: [Egress]\negress: [{ports: [{port: 53, protocol: UDP}]}]") + policyYAML("production", "tcp", "podSelector: {}\npolicyTypes: [Egress]\negress: [{ports: [{port: 53}]}]"), nil},
		{"about_dns_in_a_range_of_ports", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Egress]\negress: [{ports: [{port: 1, endPort: 100, protocol: UDP}, {port: 1, endPort: 100}]}]"), nil},

		{"about_both_selectors_in_one_entry", policyYAML("production", "p", apiFromPrometheus), nil},
		{"about_all_of_the_own_namespace_beside_another", ingressFrom("- namespaceSelector: {matchLabels: {environment: monitoring}}\n- podSelector: {}"), nil},
		{"about_two_entries_that_no_pod_matches_together", ingressFrom("- namespaceSelector: {matchLabels: {environment: monitoring}}\n- podSelector: {matchLabels: {app: web}}"), nil},
		{"about_two_entries_that_are_the_same_as_one", ingressFrom("- namespaceSelector: {matchLabels: {environment: production}}\n- podSelector: {matchExpressions: [{key: app, operator: Exists}]}"), nil},
		{"about_two_entries_that_are_not_neighbours", ingressFrom("- namespaceSelector: {matchLabels: {environment: production}}\n- ipBlock: {cidr: 203.0.113.0/24}\n- podSelector: {matchLabels: {app: web}}"), nil},
		{"about_two_rules", ingressFrom("- namespaceSelector: {matchLabels: {environment: production}}") + policyYAML("production", "q", apiFromWeb), nil},

		{"about_an_empty_selector_in_an_empty_namespace", policyYAML("empty", "p", "podSelector: {}\npolicyTypes: [Ingress, Egress]"), nil},
		{"about_what_is_left_out_and_is_not_there", policyYAML("production", "p", "podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [wbe]}, {key: tier, operator: DoesNotExist}]}\npolicyTypes: [Ingress]"), nil},
		{"about_all_namespaces", ingressFrom("- namespaceSelector: {}"), nil},
		{"about_a_host_network_pod_beside_others", policyYAML("monitoring", "p", "podSelector: {}\npolicyTypes: [Ingress]"), nil},

		{"about_a_namespace_by_its_name", ingressFrom("- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}"), nil},
		{"about_namespaces_that_are_left_out_and_not_there", ingressFrom("- namespaceSelector: {matchExpressions: [{key: environment, operator: NotIn, values: [staging, developmnt]}, {key: team, operator: DoesNotExist}]}"), nil},
		{"about_kube_system_where_it_is_not_told_of", ingressFrom("- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}"), without("kube-system")},

		{"about_a_port_of_pods_that_declare_none", policyYAML("development", "p", "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{ports: [{port: 80}]}]"), nil},
		{"about_a_port_that_one_of_the_pods_serves", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{ports: [{port: 5432}, {port: admin}]}]"), nil},
		{"about_a_range_with_a_served_port", ingressPorts("api", "[{port: 8000, endPort: 8100}]"), nil},
		{"about_any_port_of_a_protocol", ingressPorts("api", "[{protocol: UDP}]"), nil},
		{"about_a_port_of_any_destination", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Egress]\negress: [{ports: [{port: 443}]}]") + dns, nil},
		{"about_a_port_of_hosts_outside", egressTo("to: [{ipBlock: {cidr: 203.0.113.0/24}}, {podSelector: {matchLabels: {app: api}}}]\nports: [{port: 443}]"), nil},
		{"about_a_port_that_pods_without_declared_ports_may_serve", egressTo("to: [{namespaceSelector: {}}]\nports: [{port: 80}]"), nil},
		{"about_a_port_that_is_the_services_and_the_pods", ingressPorts("db", "[{port: 5432}]"), nil},
		{"about_a_services_port_that_the_pod_has_too", ingressPorts("api", "[{port: 80}]"), func(n *policy.Network) { n.Pods[1].Ports = append(n.Pods[1].Ports, policy.Port{Port: 80}) }},
		{"about_a_port_of_a_service_without_pods", policyYAML("development", "p", "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{ports: [{port: 81}]}]"), func(n *policy.Network) {
			n.Services = append(n.Services, policy.Service{Namespace: "development", Name: "none", Ports: []policy.ServicePort{{Port: 81, TargetPort: intstr.FromInt32(8080)}}})
		}},

		{"about_ingress_rules_without_policy_types", policyYAML("production", "p", "podSelector: {}\ningress: [{}]"), nil},
		{"about_rules_of_both_kinds_without_policy_types", policyYAML("production", "p", "podSelector: {}\ningress: [{}]\negress: [{}]"), nil},
		{"about_egress_rules_beside_an_empty_ingress", policyYAML("production", "p", "podSelector: {}\ningress: []\negress: [{}]"), nil},
		{"about_egress_rules_where_ingress_is_closed_anyway", policyYAML("production", "p", "podSelector: {}\negress: [{}]") + policyYAML("production", "deny", "podSelector: {}\npolicyTypes: [Ingress]"), nil},
		{"about_an_empty_egress_beside_policy_types", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{}]\negress: []"), nil},

		{"about_a_block_outside", egressTo("to: [{ipBlock: {cidr: 203.0.113.0/24}}]"), nil},
		{"about_a_block_that_leaves_the_cluster_out", egressTo("to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.18.0.2/32]}}]"), nil},
		{"about_the_services_in_a_wide_block", egressTo("to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.0.0/16, 172.18.0.0/16]}}]"), nil},
		{"about_services_in_a_block_with_a_known_host", egressTo("to: [{ipBlock: {cidr: 10.96.0.0/16}}]"), func(n *policy.Network) { n.Hosts[0].IPs = []netip.Addr{netip.MustParseAddr("10.96.200.1")} }},
		{"about_a_block_of_the_other_family", egressTo("to: [{ipBlock: {cidr: \"::/0\"}}]"), nil},
		{"about_the_address_of_a_node", ingressFrom("- ipBlock: {cidr: 172.18.0.2/32}"), nil},

		{"about_an_ingress_rule_for_pods_that_are_not_isolated", policyYAML("production", "p", apiFromPrometheus), nil},
		{"about_a_rule_of_which_one_port_has_an_effect", policyYAML("production", "p", webToAPI) + dns + policyYAML("production", "q", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Ingress]\ningress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}, {port: 9090}]}]"), nil},
		{"about_a_rule_that_has_an_effect_for_one_pod", policyYAML("production", "deny", denyAll) + dns + policyYAML("production", "p", webToAPI) + policyYAML("production", "q", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Ingress]\ningress: [{from: [{podSelector: {}}], ports: [{port: http}]}]"), nil},
		{"about_a_rule_whose_ports_overlap_by_name_and_range", policyYAML("production", "p", strings.Replace(webToAPI, "8080", "http", 1)) + dns + policyYAML("production", "q", strings.Replace(apiFromWeb, "8080", "8000\n    endPort: 8100", 1)), nil},
		{"about_a_rule_for_sources_outside", policyYAML("production", "deny", denyAll) + dns + ingressPorts("api", "[{port: 8080}]"), nil},
		{"about_a_pod_that_is_allowed_to_itself", policyYAML("production", "p", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Ingress, Egress]\ningress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]") + dns, nil},
		{"about_a_rule_without_peers_or_ports", policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{}]"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := policytest.Shop()
			if tt.change != nil {
				tt.change(&n)
			}
			var policies []policy.Policy
			if tt.src != "" {
				policies = mustParse(t, tt.src)
			}
			if got := findingsText(Lint(n, policies)); got != "" {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// TestLint_looks_at_both_families: what is admitted by the second of a pod's addresses
// is admitted.
func TestLint_looks_at_both_families(t *testing.T) {
	n := policytest.Shop()
	for i, a := range []string{"2001:db8::11", "2001:db8::12", "2001:db8::13"} {
		n.Pods[i].IPs = append(n.Pods[i].IPs, netip.MustParseAddr(a))
	}
	n.Pods[7].IPs = append(n.Pods[7].IPs, netip.MustParseAddr("2001:db8::2"))
	src := policyYAML("production", "p", strings.Replace(webToAPI, "  - podSelector", "  - ipBlock: {cidr: 2001:db8::2/128}\n  - podSelector", 1)) +
		policyYAML("production", "to-api", webToAPI) +
		policyYAML("production", "q", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Ingress]\ningress: [{from: [{ipBlock: {cidr: 2001:db8::/124}}, {ipBlock: {cidr: 2001:db8::10/124}}]}]")
	for _, f := range Lint(n, mustParse(t, strings.Replace(src, "port: 8080", "endPort: 65535\n      port: 1\n    - {protocol: UDP, port: 53}", 1))) {
		if f.Check != CheckIPBlockCoversCluster {
			t.Errorf("got\n%s", findingsText([]Finding{f}))
		}
	}
}

// generator draws networks and policies in which much goes wrong.
type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func (g generator) labels() map[string]string {
	out := map[string]string{}
	for range g.IntN(3) {
		out[pick(g, "app", "tier", "k8s-app")] = pick(g, "web", "wep", "api", "", "kube-dns")
	}
	return out
}

func (g generator) addr(group byte) netip.Addr {
	if g.IntN(3) == 0 {
		return netip.AddrFrom16([16]byte{0xfd, 0, 15: group<<4 | byte(g.IntN(8))})
	}
	return netip.AddrFrom4([4]byte{10, group, 0, byte(g.IntN(8))})
}

func (g generator) addrs(group byte) (out []netip.Addr) {
	for range g.IntN(3) {
		out = append(out, g.addr(group))
	}
	return out
}

// podAddrs are a pod's: one of IPv4, and perhaps one of IPv6.
func (g generator) podAddrs(i byte) []netip.Addr {
	out := []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, i}), netip.AddrFrom16([16]byte{0xfd, 0, 15: 1<<4 | i})}
	return out[:1+g.IntN(2)]
}

func (g generator) containerPorts() (out []policy.Port) {
	for range g.IntN(4) {
		out = append(out, policy.Port{Name: pick(g, "", "http", "dns"), Port: pick[int32](g, 53, 80, 8080), Protocol: pick(g, "", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)})
	}
	return out
}

func (g generator) network() policy.Network {
	var n policy.Network
	for _, ns := range []string{"production", "development", "monitoring", "kube-system", "empty"} {
		if g.IntN(4) > 0 {
			n.Namespaces = append(n.Namespaces, policy.Namespace{Name: ns, Labels: g.labels()})
		}
	}
	for i := range g.IntN(9) {
		n.Pods = append(n.Pods, policy.Pod{
			Namespace: pick(g, "production", "development", "kube-system"), Name: fmt.Sprint("pod-", i), Labels: g.labels(),
			IPs: g.podAddrs(byte(i)), HostNetwork: g.IntN(6) == 0, Node: pick(g, "", "a", "b"), Ports: g.containerPorts(),
		})
	}
	for i := range min(g.IntN(4), len(n.Pods)) {
		pod := pick(g, n.Pods...)
		n.Services = append(n.Services, policy.Service{
			Namespace: pod.Namespace, Name: fmt.Sprint("service-", i), ClusterIPs: g.addrs(2), Selector: pod.Labels,
			Ports: []policy.ServicePort{{
				Name: pick(g, "", "http"), Port: pick[int32](g, 53, 80), Protocol: pick(g, "", corev1.ProtocolUDP),
				TargetPort: pick(g, intstr.IntOrString{}, intstr.FromInt32(8080), intstr.FromString("http")),
			}},
		})
	}
	for i := range g.IntN(3) {
		n.Nodes = append(n.Nodes, policy.Node{Name: fmt.Sprint("node-", i), IPs: g.addrs(3)})
		n.Hosts = append(n.Hosts, policy.Host{Name: fmt.Sprint("host-", i), IPs: g.addrs(pick[byte](g, 3, 4))})
	}
	return n
}

func (g generator) selector() *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: g.labels()}
	if g.IntN(3) == 0 {
		r := metav1.LabelSelectorRequirement{Key: pick(g, "app", "tier", corev1.LabelMetadataName), Operator: pick(g, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
		if r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpNotIn {
			r.Values = []string{pick(g, "web", "api", "production", "prodution"), pick(g, "", "db")}
		}
		s.MatchExpressions = append(s.MatchExpressions, r)
	}
	return s
}

func (g generator) peers() (out []networkingv1.NetworkPolicyPeer) {
	if g.IntN(8) == 0 {
		return []networkingv1.NetworkPolicyPeer{}
	}
	for range g.IntN(4) {
		switch g.IntN(5) {
		case 0:
			b := &networkingv1.IPBlock{CIDR: netip.PrefixFrom(g.addr(byte(g.IntN(4))), pick(g, 0, 8, 13, 28, 32)).Masked().String()}
			if p := netip.MustParsePrefix(b.CIDR); p.Bits() < 30 && p.Addr().Is4() && p.Contains(netip.AddrFrom4([4]byte{10, 1, 0, 0})) {
				b.Except = []string{"10.1.0.0/30"}
			}
			out = append(out, networkingv1.NetworkPolicyPeer{IPBlock: b})
		case 1:
			out = append(out, networkingv1.NetworkPolicyPeer{NamespaceSelector: g.selector(), PodSelector: g.selector()})
		case 2:
			out = append(out, networkingv1.NetworkPolicyPeer{NamespaceSelector: g.selector()})
		default:
			out = append(out, networkingv1.NetworkPolicyPeer{PodSelector: g.selector()})
		}
	}
	return out
}

func (g generator) ports() (out []networkingv1.NetworkPolicyPort) {
	for range g.IntN(3) {
		var p networkingv1.NetworkPolicyPort
		if g.IntN(2) == 0 {
			protocol := pick(g, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
			p.Protocol = &protocol
		}
		switch port := intstr.FromInt32(pick[int32](g, 53, 80, 8080)); g.IntN(4) {
		case 0:
			port = intstr.FromString(pick(g, "http", "dns", "htpp"))
			p.Port = &port
		case 1:
			end := port.IntVal + int32(g.IntN(100))
			p.Port, p.EndPort = &port, &end
		case 2:
			p.Port = &port
		}
		out = append(out, p)
	}
	return out
}

func (g generator) policies() []policy.Policy {
	var out []policy.Policy
	for i := range g.IntN(6) {
		p := policy.Policy{}
		p.APIVersion, p.Kind, p.Name, p.Namespace = "networking.k8s.io/v1", "NetworkPolicy", fmt.Sprint("policy-", i), pick(g, "production", "production", "development", "kube-system")
		p.Spec.PodSelector = *g.selector()
		p.Spec.PolicyTypes = pick(g, nil, []networkingv1.PolicyType{"Ingress"}, []networkingv1.PolicyType{"Egress"}, []networkingv1.PolicyType{"Ingress", "Egress"})
		for range g.IntN(3) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: g.peers(), Ports: g.ports()})
		}
		for range g.IntN(3) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: g.peers(), Ports: g.ports()})
		}
		out = append(out, p)
	}
	return out
}

// allowed is what the policies say of every pair of addresses, pods' and others',
// on every port that may matter.
func allowed(t *testing.T, n policy.Network, policies []policy.Policy) (out []bool) {
	t.Helper()
	e, err := policy.Compile(n, policies)
	if err != nil {
		t.Fatal(err)
	}
	var ends []policy.Endpoint
	for i := range n.Pods {
		ends = append(ends, e.Endpoints(i)...)
	}
	ends = append(ends, e.Address(netip.MustParseAddr("203.0.113.1")), e.Address(netip.MustParseAddr("2001:db8::1")))
	for _, from := range ends {
		for _, to := range ends {
			if from.Addr().Is4() != to.Addr().Is4() {
				continue // There is no such connection.
			}
			for _, port := range []int32{1, 53, 80, 100, 8080, 65535} {
				for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
					out = append(out, e.Allowed(policy.Flow{From: from, To: to, Port: port, Protocol: protocol}))
				}
			}
		}
	}
	return out
}

// TestEvery_check_is_among_the_generated_findings: FuzzLint would prove little if it were
// not so.
func TestEvery_check_is_among_the_generated_findings(t *testing.T) {
	count := map[Check]int{}
	for seed := range uint64(3000) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		for _, f := range Lint(g.network(), g.policies()) {
			count[f.Check]++
		}
	}
	for _, c := range []Check{CheckDNSNotAllowed, CheckDNSTCPMissing, CheckAndOrSuspicion, CheckSelectorMatchesNothing, CheckPortNotServed, CheckServicePort,
		CheckPolicyTypesMissing, CheckIPBlockCoversCluster, CheckNoEffect, CheckNamespaceLabelUnknown, CheckEmptyAllowsAll} {
		if count[c] == 0 {
			t.Errorf("no finding of %s", c)
		}
	}
}

// TestFixes_leave_nothing_to_find writes what the fixes say, and looks again.
func TestFixes_leave_nothing_to_find(t *testing.T) {
	for name, src := range map[string]string{
		"dns":                  policyYAML("production", "p", denyAll) + policyYAML("production", "dns", "podSelector: {}\npolicyTypes: [Egress]\n"+dnsRule),
		"dns of one namespace": policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Egress]\negress:\n- to:\n  "+strings.ReplaceAll(fixOf(t, policyYAML("production", "p", "podSelector: {}\npolicyTypes: [Egress]\negress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}]")), "\n", "\n  ")),
		"and, not or":          ingressFrom(fixOf(t, ingressFrom("- namespaceSelector: {matchLabels: {environment: monitoring}}\n- podSelector: {matchLabels: {app: prometheus}}"))),
		"namespace":            ingressFrom(fixOf(t, ingressFrom("- podSelector: {matchLabels: {app: prometheus}}"))),
		"block":                ingressFrom(fixOf(t, ingressFrom("- ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.0/24]}"))),
		"pod":                  ingressFrom(fixOf(t, ingressFrom("- ipBlock: {cidr: 10.244.0.31/32}"))),
		"service":              ingressFrom(fixOf(t, ingressFrom("- ipBlock: {cidr: 10.96.0.80/32}"))),
		"other end": policyYAML("production", "deny", denyAll) + policyYAML("production", "dns", allowDNS) + policyYAML("production", "p", apiFromWeb) + "---\n" +
			fixOf(t, policyYAML("production", "deny", denyAll)+policyYAML("production", "dns", allowDNS)+policyYAML("production", "p", apiFromWeb)),
	} {
		if got := Lint(policytest.Shop(), mustParse(t, src)); len(got) > 0 {
			t.Errorf("%s: got\n%s", name, findingsText(got))
		}
	}
}

// fixOf is the YAML in the only finding's fix.
func fixOf(t *testing.T, src string) string {
	t.Helper()
	findings := Lint(policytest.Shop(), mustParse(t, src))
	if len(findings) != 1 {
		t.Fatalf("%d findings in\n%s", len(findings), src)
	}
	_, yaml, _ := strings.Cut(findings[0].Fix, "\n")
	return yaml
}

// TestRemedies_never_take_the_DNS_label_of_every_namespace: what the lab proposes is not what
// it warns of.
func TestRemedies_never_take_the_DNS_label_of_every_namespace(t *testing.T) {
	n := policytest.Shop()
	e, err := policy.Compile(n, mustParse(t, policyYAML("production", "deny", denyAll)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := e.Destination("svc/kube-system/kube-dns:53/UDP")
	if err != nil {
		t.Fatal(err)
	}
	f.From, _ = e.Pod("production", "web")
	remedy := e.Remedy(f)
	if len(remedy) == 0 {
		t.Fatal("there is no remedy")
	}
	var src string
	for _, p := range remedy {
		src += "---\n" + policy.YAML(p)
	}
	for _, finding := range Lint(n, mustParse(t, src+"---\n"+dnsPolicy)) {
		if finding.Check == CheckDNSAnyNamespace {
			t.Errorf("got\n%s", findingsText([]Finding{finding}))
		}
	}
}

// dnsPolicy is the rule that the fixes propose, in a policy.
var dnsPolicy = policyYAML("production", "dns", "podSelector: {}\npolicyTypes: [Egress]\n"+dnsRule)

func TestThe_other_ends_policy_has_a_valid_name(t *testing.T) {
	name := strings.Repeat("a", 239) + "." + strings.Repeat("b", 13)
	src := strings.Replace(policyYAML("production", "p", denyAll)+policyYAML("production", "dns", allowDNS)+policyYAML("production", "long", apiFromWeb), "long", name, 1)
	mustParse(t, fixOf(t, src)) // Parse looks at the name.
}

func TestLint_says_nothing_of_what_cannot_be_compiled(t *testing.T) {
	n := policytest.Shop()
	n.Pods = append(n.Pods, n.Pods[0])
	if got := Lint(n, mustParse(t, policyYAML("production", "p", denyAll))); got != nil {
		t.Errorf("got\n%s", findingsText(got))
	}
}

// FuzzLint proves that Lint takes whatever is valid, that the order of the policies
// means nothing to it, and that what it says can be checked by another way.
func FuzzLint(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		n, policies := g.network(), g.policies()
		got := Lint(n, policies)
		if g.Shuffle(len(policies), func(i, j int) { policies[i], policies[j] = policies[j], policies[i] }); !reflect.DeepEqual(Lint(n, policies), got) {
			t.Fatalf("in another order, Lint says\n%s\nand not\n%s", findingsText(Lint(n, policies)), findingsText(got))
		}
		before := allowed(t, n, policies)
		for _, f := range got {
			if f.Message == "" || f.Fix == "" || strings.Contains(f.Message, "spec.") || strings.Contains(f.Message, "[0]") {
				t.Errorf("it says too little, or where it is, which stands beside it: %s", findingsText([]Finding{f}))
			}
			at := slices.IndexFunc(policies, func(p policy.Policy) bool { return p.Ref() == f.Policy })
			changed := slices.Clone(policies)
			p := &changed[at]
			p.NetworkPolicy = *p.DeepCopy()
			p.Spec.PolicyTypes = policies[at].Isolates()
			switch f.Check {
			case CheckNoEffect:
				// Without the rule, everything is as before; with the fix, it is not.
				var i int
				if _, err := fmt.Sscanf(f.Field, "spec.ingress[%d]", &i); err == nil {
					p.Spec.Ingress = slices.Delete(p.Spec.Ingress, i, i+1)
				} else if _, err := fmt.Sscanf(f.Field, "spec.egress[%d]", &i); err == nil {
					p.Spec.Egress = slices.Delete(p.Spec.Egress, i, i+1)
				} else {
					t.Fatal(f.Field)
				}
				if !slices.Equal(allowed(t, n, changed), before) {
					t.Errorf("the rule has an effect: %s", findingsText([]Finding{f}))
				}
				_, yaml, _ := strings.Cut(f.Fix, "\n")
				fix := mustParse(t, yaml)
				after := allowed(t, n, append(slices.Clone(policies), fix...))
				more := 0
				for i := range after {
					if after[i] && !before[i] {
						more++
					}
				}
				if more == 0 {
					t.Errorf("the fix has no effect: %s", findingsText([]Finding{f}))
				}
			case CheckSelectorMatchesNothing:
				if f.Field == "spec.podSelector" && !slices.Equal(allowed(t, n, slices.Delete(changed, at, at+1)), before) {
					t.Errorf("the policy selects a pod: %s", findingsText([]Finding{f}))
				}
			}
		}
	})
}

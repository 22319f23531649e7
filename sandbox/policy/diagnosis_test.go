package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/policy/policytest"
)

// manifest is a policy whose spec is written without indentation.
func manifest(namespace, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n  %s\n", name, namespace, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

const (
	denyIngress = "podSelector: {}\npolicyTypes: [Ingress]"
	denyEgress  = "podSelector: {}\npolicyTypes: [Egress]"
	denyBoth    = "podSelector: {}\npolicyTypes: [Ingress, Egress]"
)

func ingressOf(app, rules string) string {
	return "podSelector: {matchLabels: {app: " + app + "}}\npolicyTypes: [Ingress]\ningress:\n" + rules
}

func egressOf(app, rules string) string {
	return "podSelector: {matchLabels: {app: " + app + "}}\npolicyTypes: [Egress]\negress:\n" + rules
}

var diagnoses = []struct {
	name, policies string
	from, to       string
	open           bool
	cause          policy.Cause
	message        string
	suggestion     string
}{
	{"nobody_has_tried",
		manifest("production", "default-deny", denyIngress),
		"production/web", "production/api:8080", true, "nothing-allows",
		"default-deny isolates api for ingress, and no rule lets web in.", ""},
	{"nobody_has_tried_at_either_end",
		manifest("production", "default-deny", denyBoth),
		"production/web", "production/api:8080", true, "nothing-allows",
		"default-deny isolates web for egress, and no rule lets it out to api; and default-deny isolates api for ingress, and no rule lets web in.", ""},
	{"only_the_way_out_is_open",
		manifest("production", "default-deny", denyBoth) + manifest("production", "web-out", egressOf("web", "- to:\n  - podSelector: {matchLabels: {app: api}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "one-end-only",
		"web-out, egress rule 1, line 20, lets web out to api, but default-deny isolates api for ingress, and no rule lets web in. A connection needs both ends.", ""},
	{"only_the_way_in_is_open",
		manifest("production", "default-deny", denyBoth) + manifest("production", "web-to-api", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "one-end-only",
		"web-to-api, ingress rule 1, line 20, lets web in to api, but default-deny isolates web for egress, and no rule lets it out to api. A connection needs both ends.", ""},
	{"rule_for_the_other_way_round",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("web", "- from:\n  - podSelector: {matchLabels: {app: api}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "wrong-direction",
		"allow-web, ingress rule 1, line 20, is for connections from api to web, and this one is from web to api; the replies need no rule of their own.", ""},
	{"egress_rule_on_the_server",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", egressOf("api", "- to:\n  - podSelector: {matchLabels: {app: web}}")),
		"production/web", "production/api:8080", true, "wrong-direction",
		"allow-web, egress rule 1, line 20, is for connections from api to web, and this one is from web to api; the replies need no rule of their own.", ""},
	{"policy_selects_a_misspelt_label",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("apl", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "selects-nothing",
		"allow-web, line 17, selects app=apl; no pod of production has that label; did you mean api?", "api"},
	{"policy_selects_by_another_key",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", "podSelector: {matchLabels: {name: api}}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080"),
		"production/web", "production/api:8080", true, "selects-nothing",
		"allow-web, line 17, selects name=api; no pod of production has that label; did you mean app: api?", "app: api"},
	{"policy_selects_what_nothing_is_like",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", "podSelector: {matchLabels: {tier: backend}}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080"),
		"production/web", "production/api:8080", true, "selects-nothing",
		"allow-web, line 17, selects tier=backend; no pod of production has that label.", ""},
	{"policy_selects_by_an_expression",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", "podSelector: {matchExpressions: [{key: app, operator: In, values: [apis]}]}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080"),
		"production/web", "production/api:8080", true, "selects-nothing",
		"allow-web, line 17, selects app in (apis); no pod of production meets that; did you mean api?", "api"},
	{"peer_has_a_misspelt_label",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: wbe}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "peer-is-nobody",
		"allow-web, ingress rule 1, line 21, lets in only pods labelled app=wbe; no pod of production has that label; did you mean web?", "web"},
	{"peer_has_a_key_that_is_not_there",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {role: web}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "peer-is-nobody",
		"allow-web, ingress rule 1, line 21, lets in only pods labelled role=web; no pod of production has that label; did you mean app: web?", "app: web"},
	{"peer_is_another_pod",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: db}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "another-peer",
		"allow-web, ingress rule 1, line 21, lets in only pods labelled app=db; web has app=web.", ""},
	{"rule_is_for_another_port",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 9090")),
		"production/web", "production/api:8080", true, "another-port",
		"allow-web, ingress rule 1, line 23, lets web in only on 9090/TCP; this connection is to 8080/TCP.", ""},
	{"rule_is_for_the_services_port",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 80")),
		"production/web", "production/api:8080", true, "service-port",
		"allow-web, ingress rule 1, line 23, is for 80/TCP, the port of the Service api; policies see the pod's own port, which is another.", ""},
	{"rule_is_for_the_services_port_and_the_flow_to_the_service",
		manifest("production", "default-deny", denyEgress) + manifest("production", "web-out", egressOf("web", "- to:\n  - podSelector: {matchLabels: {app: api}}\n  ports:\n  - port: 80")),
		"production/web", "svc/production/api:80", true, "service-port",
		"web-out, egress rule 1, line 23, is for 80/TCP, the port of the Service api; policies see the pod's own port, which is another.", ""},
	{"rule_is_for_the_name_of_the_services_port",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: shop")),
		"production/web", "production/api:8080", true, "service-port",
		"allow-web, ingress rule 1, line 23, is for shop/TCP, the port of the Service api; policies see the pod's own port, which is another.", ""},
	{"port_name_is_misspelt",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: htpp")),
		"production/web", "production/api:8080", true, "port-name",
		"allow-web, ingress rule 1, line 23, is for the TCP port named htpp, and api has none of that name; did you mean http?", "http"},
	{"port_name_is_another_ports",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: admin")),
		"production/web", "production/api:8080", true, "another-port",
		"allow-web, ingress rule 1, line 23, lets web in only on the port named admin, which is 9090/TCP on api; this connection is to 8080/TCP.", ""},
	{"protocol_is_missing",
		manifest("monitoring", "default-deny", denyIngress) + manifest("monitoring", "statsd", ingressOf("prometheus", "- from:\n  - namespaceSelector: {matchLabels: {environment: production}}\n  ports:\n  - port: 8125")),
		"production/web", "monitoring/prometheus:8125/UDP", true, "another-protocol",
		"statsd, ingress rule 1, line 23, lets web in only on 8125/TCP; this connection is UDP, and a port without a protocol means TCP.", ""},
	{"protocol_is_another",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080\n    protocol: UDP")),
		"production/web", "production/api:8080", true, "another-protocol",
		"allow-web, ingress rule 1, line 24, lets web in only on 8080/UDP; this connection is TCP.", ""},
	{"pod_selector_alone_for_another_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-prometheus", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: prometheus}}\n  ports:\n  - port: 9090")),
		"monitoring/prometheus", "production/api:9090", true, "own-namespace-only",
		"allow-prometheus, ingress rule 1, line 21, looks for app=prometheus in its own namespace only, production, as a podSelector alone does; prometheus is in monitoring.", ""},
	{"all_pods_of_the_own_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("production", "same-namespace", "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{from: [{podSelector: {}}]}]"),
		"monitoring/prometheus", "production/api:9090", true, "own-namespace-only",
		"same-namespace, ingress rule 1, line 19, lets in only pods of its own namespace, production; prometheus is in monitoring.", ""},
	{"name_as_a_namespace_label",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-monitoring", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {name: monitoring}}")),
		"monitoring/prometheus", "production/api:9090", true, "namespace-label",
		"allow-monitoring, ingress rule 1, line 21, is for namespaces labelled name=monitoring; no namespace has that label; did you mean kubernetes.io/metadata.name: monitoring?", "kubernetes.io/metadata.name: monitoring"},
	{"namespace_label_is_misspelt",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-monitoring", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {environment: monitorng}}")),
		"monitoring/prometheus", "production/api:9090", true, "namespace-label",
		"allow-monitoring, ingress rule 1, line 21, is for namespaces labelled environment=monitorng; no namespace has that label; did you mean monitoring?", "monitoring"},
	{"namespace_name_is_misspelt",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-monitoring", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitorin}}")),
		"monitoring/prometheus", "production/api:9090", true, "namespace-label",
		"allow-monitoring, ingress rule 1, line 21, is for namespaces labelled kubernetes.io/metadata.name=monitorin; no namespace has that label; did you mean monitoring?", "monitoring"},
	{"namespace_is_another",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-monitoring", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {environment: development}}")),
		"monitoring/prometheus", "production/api:9090", true, "another-peer",
		"allow-monitoring, ingress rule 1, line 21, lets in only pods of namespaces labelled environment=development; prometheus is in monitoring.", ""},
	{"pod_label_is_misspelt_in_another_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-monitoring", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {environment: monitoring}}\n    podSelector: {matchLabels: {app: promethues}}")),
		"monitoring/prometheus", "production/api:9090", true, "peer-is-nobody",
		"allow-monitoring, ingress rule 1, line 22, lets in only pods labelled app=promethues; no pod of monitoring has that label; did you mean prometheus?", "prometheus"},
	{"one_entry_where_two_were_meant",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-both", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {environment: monitoring}}\n    podSelector: {matchLabels: {app: web}}")),
		"production/web", "production/api:8080", true, "both-needed",
		"allow-both, ingress rule 1, line 21, asks in one entry for pods labelled app=web in namespaces labelled environment=monitoring, and no pod is both; one entry needs both of its selectors.", ""},
	{"policy_is_in_the_clients_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("monitoring", "allow-prometheus", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: prometheus}}")),
		"monitoring/prometheus", "production/api:9090", true, "policy-elsewhere",
		"allow-prometheus, line 15, is in the namespace monitoring, and a policy selects only pods of its own; api is in production.", ""},
	{"policy_is_in_no_ones_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("default", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "policy-elsewhere",
		"allow-web, line 15, is in the namespace default, and a policy selects only pods of its own; api is in production.", ""},
	{"egress_rules_and_only_ingress_in_policy_types",
		manifest("production", "default-deny", denyEgress) + manifest("production", "web-out", "podSelector: {matchLabels: {app: web}}\npolicyTypes: [Ingress]\negress:\n- to:\n  - podSelector: {matchLabels: {app: api}}\n  ports:\n  - port: 8080"),
		"production/web", "production/api:8080", true, "policy-types",
		"web-out, line 18, does not name Egress, so its egress rules are ignored, of which rule 1 would allow this.", ""},
	{"no_policy_types_closes_ingress_by_the_way",
		manifest("production", "api-out", "podSelector: {matchLabels: {app: api}}\negress:\n- to:\n  - podSelector: {matchLabels: {app: db}}"),
		"production/web", "production/api:8080", true, "policy-types",
		"api-out, line 7, has no policyTypes, and so it isolates api for ingress, too; it has no ingress rule, which closes all that comes in.", ""},
	{"egress_in_policy_types_without_a_rule",
		manifest("production", "web-in", "podSelector: {matchLabels: {app: web}}\npolicyTypes: [Ingress, Egress]\ningress:\n- from:\n  - podSelector: {}"),
		"production/web", "production/api:8080", true, "policy-types",
		"web-in, line 9, isolates web for egress, too, and has no egress rule, which closes all that goes out.", ""},
	{"block_does_not_hold_the_address",
		manifest("production", "default-deny", denyEgress) + manifest("production", "out", egressOf("web", "- to:\n  - ipBlock: {cidr: 192.0.2.0/24}\n  ports:\n  - port: 443")),
		"production/web", "internet:443", true, "outside-block",
		"out, egress rule 1, line 21, lets out only to addresses in 192.0.2.0/24, and internet (172.18.0.9) is not in that range.", ""},
	{"block_leaves_the_address_out",
		manifest("production", "default-deny", denyEgress) + manifest("production", "out", egressOf("web", "- to:\n  - ipBlock: {cidr: 0.0.0.0/0, except: [172.16.0.0/12]}\n  ports:\n  - port: 443")),
		"production/web", "internet:443", true, "except",
		"out, egress rule 1, line 21, leaves out 172.16.0.0/12, and internet (172.18.0.9) is in that range.", ""},
	{"block_of_a_service",
		manifest("production", "default-deny", denyEgress) + manifest("production", "web-out", egressOf("web", "- to:\n  - ipBlock: {cidr: 10.96.0.80/32}\n  ports:\n  - port: 80")),
		"production/web", "svc/production/api:80", true, "cluster-ip",
		"web-out, egress rule 1, line 21, is for 10.96.0.80/32, which holds the address of the Service api; a connection to a Service has a pod's address by the time that policies see it.", ""},
	{"selector_for_a_host_outside",
		manifest("production", "default-deny", denyEgress) + manifest("production", "out", egressOf("web", "- to:\n  - namespaceSelector: {}\n  ports:\n  - port: 443")),
		"production/web", "internet:443", true, "only-pods",
		"out, egress rule 1, line 21, lets out only to pods with a network of their own, as every selector does; internet is none, and only an ipBlock can hold its address.", ""},
	{"dns_without_udp",
		manifest("production", "default-deny", denyEgress) + manifest("production", "allow-dns", egressOf("web", "- to:\n  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}\n    podSelector: {matchLabels: {k8s-app: kube-dns}}\n  ports:\n  - port: 53")),
		"production/web", "svc/kube-system/kube-dns:53/UDP", true, "another-protocol",
		"allow-dns, egress rule 1, line 24, lets web out only to 53/TCP; this connection is UDP, and a port without a protocol means TCP.", ""},
	{"dns_in_the_own_namespace",
		manifest("production", "default-deny", denyEgress) + manifest("production", "allow-dns", egressOf("web", "- to:\n  - podSelector: {matchLabels: {k8s-app: kube-dns}}\n  ports:\n  - port: 53\n    protocol: UDP")),
		"production/web", "svc/kube-system/kube-dns:53/UDP", true, "own-namespace-only",
		"allow-dns, egress rule 1, line 21, looks for k8s-app=kube-dns in its own namespace only, production, as a podSelector alone does; the cluster's DNS is in kube-system.", ""},
	{"dns_forgotten",
		manifest("production", "default-deny", denyEgress) + manifest("production", "web-out", egressOf("web", "- to:\n  - podSelector: {matchLabels: {app: api}}\n  ports:\n  - port: 8080")),
		"production/web", "svc/kube-system/kube-dns:53/UDP", true, "nothing-allows",
		"default-deny and web-out isolate web for egress, and no rule lets it out to the cluster's DNS.", ""},
	{"it_is_open",
		manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: 8080")),
		"production/web", "production/api:8080", true, "as-wanted",
		"By the policies it is as it should be. Allowed: no policy isolates web for egress, and production/allow-web allows web for ingress of api.", ""},
	{"no_policy_at_all",
		"",
		"production/web", "production/api:8080", false, "no-policy",
		"There is no policy yet, and without one every connection is allowed.", ""},
	{"policies_select_others",
		manifest("production", "guard", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Ingress]") + manifest("production", "guard-too", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Ingress, Egress]"),
		"production/web", "production/api:8080", false, "selects-another",
		"guard-too, line 17, selects pods labelled app=db, and web is none of them; no policy isolates it for egress.", ""},
	{"policy_selects_nothing",
		manifest("production", "deny-api", "podSelector: {matchLabels: {app: apl}}\npolicyTypes: [Ingress]"),
		"production/web", "production/api:8080", false, "selects-nothing",
		"deny-api, line 8, selects app=apl, so it isolates nobody; no pod of production has that label; did you mean api?", "api"},
	{"policy_is_in_another_namespace",
		manifest("default", "deny-api", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Ingress]"),
		"production/web", "production/api:8080", false, "policy-elsewhere",
		"deny-api, line 6, is in the namespace default, and a policy isolates only pods of its own; api is in production.", ""},
	{"policy_isolates_the_other_direction",
		manifest("production", "deny-api", "podSelector: {matchLabels: {app: api}}\npolicyTypes: [Egress]"),
		"production/web", "production/api:8080", false, "other-direction",
		"deny-api, line 9, isolates api only for egress, and no policy does for ingress; this connection comes in there.", ""},
	{"egress_is_empty_without_policy_types",
		manifest("production", "deny-web", "podSelector: {matchLabels: {app: web}}\negress: []"),
		"production/web", "production/api:8080", false, "policy-types",
		"deny-web, line 9, has an empty list of egress rules and no policyTypes; without policyTypes, a policy isolates for egress only where it has an egress rule.", ""},
	{"policies_are_elsewhere",
		manifest("monitoring", "deny", denyBoth),
		"production/web", "production/api:8080", false, "policy-elsewhere",
		"deny, line 6, is in the namespace monitoring, and a policy isolates only pods of its own; api is in production.", ""},
	{"only_policy_selects_another",
		manifest("production", "guard", "podSelector: {matchLabels: {app: db}}\npolicyTypes: [Ingress]"),
		"production/web", "production/api:8080", false, "selects-another",
		"guard, line 8, selects pods labelled app=db, and api is none of them; no policy isolates it for ingress.", ""},
	{"rule_of_the_other_pod_for_its_own_port",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-db", ingressOf("web", "- from:\n  - podSelector: {matchLabels: {app: db}}\n  ports:\n  - port: 9999")),
		"production/web", "production/db:5432", true, "nothing-allows",
		"default-deny isolates db for ingress, and no rule lets web in.", ""},
	{"rules_are_ignored",
		manifest("production", "web-out", "podSelector: {matchLabels: {app: web}}\npolicyTypes: [Ingress]\negress:\n- to:\n  - podSelector: {matchLabels: {app: db}}"),
		"production/web", "production/api:8080", false, "policy-types",
		"web-out, line 9, does not name Egress, so its egress rules are ignored and web is not isolated for egress.", ""},
	{"rule_names_no_source",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow", ingressOf("api", "- ports:\n  - port: 8080")),
		"development/shell", "production/api:8080", false, "any-peer",
		"allow, ingress rule 1, line 20, names no source, so it lets in everybody, from anywhere, on 8080/TCP.", ""},
	{"rule_names_no_destination",
		manifest("production", "default-deny", denyEgress) + manifest("production", "out", egressOf("web", "- {}")),
		"production/web", "internet:443", false, "any-peer",
		"out, egress rule 1, line 20, names no destination, so it lets out to everybody, anywhere, on every port.", ""},
	{"one_dash_too_many",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-prometheus", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {environment: monitoring}}\n  - podSelector: {matchLabels: {app: prometheus}}")),
		"monitoring/grafana", "production/api:9090", false, "either-is-enough",
		"allow-prometheus, ingress rule 1, line 21, has its two selectors in two entries, each with a dash of its own, and it is enough to match one: grafana is among every pod of namespaces labelled environment=monitoring.", ""},
	{"whole_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-monitoring", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {environment: monitoring}}\n  ports:\n  - port: 9090")),
		"monitoring/grafana", "production/api:9090", false, "wide-peer",
		"allow-monitoring, ingress rule 1, line 21, lets in every pod of namespaces labelled environment=monitoring, on 9090/TCP, and grafana is one.", ""},
	{"whole_own_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow", ingressOf("db", "- from:\n  - podSelector: {}\n  ports:\n  - port: 5432")),
		"production/web", "production/db:5432", false, "wide-peer",
		"allow, ingress rule 1, line 21, lets in every pod of its own namespace, production, on 5432/TCP, and web is one.", ""},
	{"every_namespace",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow", ingressOf("api", "- from:\n  - namespaceSelector: {}")),
		"development/shell", "production/api:8080", false, "wide-peer",
		"allow, ingress rule 1, line 21, lets in every pod of every namespace, on every port, and shell is one.", ""},
	{"every_port",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-web", ingressOf("api", "- from:\n  - podSelector: {matchLabels: {app: web}}")),
		"production/web", "production/api:9090", false, "every-port",
		"allow-web, ingress rule 1, line 21, lets in every pod labelled app=web of its own namespace, production, on every port, and web is one.", ""},
	{"block_holds_it",
		manifest("production", "default-deny", denyEgress) + manifest("production", "out", egressOf("web", "- to:\n  - ipBlock: {cidr: 0.0.0.0/0}\n  ports:\n  - port: 443")),
		"production/web", "internet:443", false, "wide-block",
		"out, egress rule 1, line 21, lets out to the addresses in 0.0.0.0/0, on 443/TCP, and internet is one.", ""},
	{"a_rule_says_so",
		manifest("production", "default-deny", denyIngress) + manifest("production", "allow-shell", ingressOf("api", "- from:\n  - namespaceSelector: {matchLabels: {environment: development}}\n    podSelector: {matchLabels: {app: shell}}\n  ports:\n  - port: 8080")),
		"development/shell", "production/api:8080", false, "allowed",
		"allow-shell, ingress rule 1, line 21, lets in every pod labelled app=shell of namespaces labelled environment=development, on 8080/TCP, and shell is one.", ""},
	{"way_out_is_wide_and_the_other_end_not_isolated",
		manifest("production", "web-out", egressOf("web", "- to:\n  - podSelector: {}")),
		"production/web", "production/db:5432", false, "wide-peer",
		"web-out, egress rule 1, line 12, lets out to every pod of its own namespace, production, on every port, and db is one. No policy isolates db for ingress.", ""},
	{"host_network",
		manifest("production", "deny", denyIngress),
		"production/web", "monitoring/node-agent:9100", false, "other-direction",
		"deny, line 9, isolates web only for ingress, and no policy does for egress; this connection goes out there.", ""},
	{"own_node",
		manifest("production", "deny", denyIngress),
		"172.18.0.2", "production/api:8080", false, "always-open",
		"172.18.0.2 is the node that api runs on, and a pod's own node always reaches it.", ""},
	{"itself",
		manifest("production", "default-deny", denyBoth),
		"production/api", "production/api:8080", false, "always-open",
		"api speaks to itself here, which no policy can forbid.", ""},
	{"outside_to_outside",
		manifest("production", "default-deny", denyBoth),
		"monitoring/node-agent", "internet:443", false, "no-pod",
		"Policies select only pods with a network of their own, and neither node-agent nor internet is one.", ""},
	{"it_is_closed",
		manifest("production", "default-deny", denyIngress),
		"production/web", "production/api:8080", false, "as-wanted",
		"By the policies it is as it should be. Blocked: production/default-deny isolates api for ingress, and no ingress rule allows anything.", ""},
	{"dns_rule_for_every_namespace",
		manifest("production", "default-deny", denyEgress) + manifest("production", "allow-dns", egressOf("web", "- to:\n  - namespaceSelector: {}\n    podSelector: {matchLabels: {k8s-app: kube-dns}}")),
		"production/web", "kube-system/coredns:8080", false, "wide-peer",
		"allow-dns, egress rule 1, line 21, lets out to every pod labelled k8s-app=kube-dns of every namespace, on every port, and coredns is one.", ""},
}

func TestDiagnose_every_cause_has_its_own_words(t *testing.T) {
	for _, tt := range diagnoses {
		t.Run(tt.name, func(t *testing.T) {
			d := diagnose(t, tt.policies, tt.from, tt.to, tt.open)
			if d.Cause != tt.cause || d.Message != tt.message || d.Suggestion != tt.suggestion {
				t.Errorf("got\n%s %q\n%s", d.Cause, d.Suggestion, d.Message)
			}
		})
	}
}

func diagnose(t *testing.T, src, from, to string, open bool) policy.Diagnosis {
	t.Helper()
	var policies []policy.Policy
	var err error
	if src != "" {
		if policies, err = policy.Parse([]byte(src), policy.ParseOptions{}); err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
	}
	e, err := policy.Compile(policytest.Shop(), policies)
	if err != nil {
		t.Fatal(err)
	}
	f, err := e.Destination(to)
	if err != nil {
		t.Fatal(err)
	}
	if f.From, err = e.Source(from); err != nil {
		t.Fatal(err)
	}
	return e.Diagnose(f, open)
}

// TestDiagnose_four_causes_give_four_answers: they are what a learner meets most.
func TestDiagnose_four_causes_give_four_answers(t *testing.T) {
	rule := "- from:\n  - podSelector: {matchLabels: {app: web}}\n  ports:\n  - port: "
	deny := manifest("production", "default-deny", denyIngress)
	seen := map[string]string{}
	for name, src := range map[string]string{
		"no policy":       deny,
		"wrong direction": deny + manifest("production", "allow-web", egressOf("api", strings.ReplaceAll(rule, "from", "to")+"8080")),
		"selects nothing": deny + manifest("production", "allow-web", ingressOf("apl", rule+"8080")),
		"wrong port":      deny + manifest("production", "allow-web", ingressOf("api", rule+"9090")),
	} {
		d := diagnose(t, src, "production/web", "production/api:8080", true)
		if other, ok := seen[d.Message]; ok {
			t.Errorf("%s and %s have the same answer: %s", name, other, d.Message)
		}
		seen[d.Message] = name
		if name != "no policy" && (d.Policy.Name != "allow-web" || !strings.Contains(d.Message, fmt.Sprintf("line %d", d.Position.Line)) || d.Position.Line < 12) {
			t.Errorf("%s: the answer does not name policy and line: %+v", name, d)
		}
	}
}

// TestDiagnose_says_something_of_whatever_there_is: in one or two sentences, the
// same whatever the order of the policies, and that all is as wanted exactly where
// it is.
func TestDiagnose_says_something_of_whatever_there_is(t *testing.T) {
	causes := map[policy.Cause]int{}
	for seed := range uint64(80) {
		n := policytest.Network(seed)
		draw := policytest.New(seed, n)
		policies := draw.Policies(6)
		e := compile(t, n, policies)
		draw.Shuffle(len(policies), func(i, j int) { policies[i], policies[j] = policies[j], policies[i] })
		shuffled := compile(t, n, policies)
		for _, f := range flowsOf(e, n) {
			if draw.IntN(8) > 0 {
				continue
			}
			for _, open := range []bool{true, false} {
				d := e.Diagnose(f, open)
				causes[d.Cause]++
				if again := shuffled.Diagnose(f, open); d != again {
					t.Fatalf("seed %d: %+v, and in another order %+v", seed, d, again)
				}
				if (d.Cause == policy.CauseAsWanted) != asWanted(e, f, open) {
					t.Errorf("seed %d: wanted open %t, allowed %t: %+v", seed, open, e.Allowed(f), d)
				}
				sentences := strings.Count(d.Message, ". ") + strings.Count(d.Message, "? ") + 1
				if d.Message == "" || sentences > 2 || !strings.HasSuffix(d.Message, ".") && !strings.HasSuffix(d.Message, "?") || strings.Contains(d.Message, "%!") {
					t.Errorf("seed %d: %q", seed, d.Message)
				}
				if d.Policy.Name != "" && !strings.Contains(d.Message, d.Policy.Name) {
					t.Errorf("seed %d: it does not name %s: %s", seed, d.Policy, d.Message)
				}
			}
		}
	}
	if len(causes) < 30 {
		t.Errorf("only %d causes were met: %v", len(causes), causes)
	}
}

// asWanted reports whether every pod that the flow leads to is open, or none.
func asWanted(e *policy.Evaluator, f policy.Flow, open bool) bool {
	backends, ok := e.Backends(f)
	if !ok {
		return e.Allowed(f) == open
	}
	for _, b := range backends {
		if e.Allowed(b) != open {
			return false
		}
	}
	return len(backends) > 0 || !open
}

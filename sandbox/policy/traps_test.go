package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// trapNetwork has what the traps need. Every pod has addresses of both families,
// but for dev/v4, dev/v6 and the host-network pods.
func trapNetwork() Network {
	ips := func(s ...string) (out []netip.Addr) {
		for _, a := range s {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	pod := func(ns, name, labels string, last string, ports ...Port) Pod {
		p := Pod{Namespace: ns, Name: name, Labels: map[string]string{}, IPs: ips("10.244.0."+last, "fd00:10:244::"+last), Node: "node-1", Ports: ports}
		for _, l := range strings.Fields(labels) {
			k, v, _ := strings.Cut(l, "=")
			p.Labels[k] = v
		}
		return p
	}
	host := func(p Pod, node, addr string) Pod {
		p.HostNetwork, p.Node, p.IPs = true, node, ips(addr)
		return p
	}
	v4, v6 := pod("dev", "v4", "app=v4", "23"), pod("dev", "v6", "app=v6", "24")
	v4.IPs, v6.IPs = v4.IPs[:1], v6.IPs[1:]
	far := pod("prod", "far", "app=far", "14", Port{Name: "web", Port: 8080})
	far.Node = "node-2"
	return Network{
		Namespaces: []Namespace{
			{"prod", map[string]string{"env": "prod"}},
			{"dev", map[string]string{"env": "dev", "debug": "yes"}},
			{"ops", map[string]string{"env": "ops", "tier": ""}},
		},
		Pods: []Pod{
			pod("prod", "web", "app=web tier=front group=shop", "11", Port{Name: "web", Port: 8080}),
			pod("prod", "api", "app=api tier=", "12", Port{Name: "web", Port: 8080}, Port{Name: "web", Port: 9090, Protocol: corev1.ProtocolUDP}, Port{Name: "signal", Port: 3868, Protocol: corev1.ProtocolSCTP}, Port{Name: "dns", Port: 53}, Port{Name: "dns-udp", Port: 53, Protocol: corev1.ProtocolUDP}),
			pod("prod", "bare", "group=shop", "13", Port{Name: "web", Port: 80}),
			far,
			pod("dev", "web", "app=web public=yes power=on", "21"),
			pod("dev", "shell", "app=shell", "22"),
			v4, v6,
			pod("ops", "monitor", "app=monitor", "31", Port{Name: "web", Port: 3000}),
			host(pod("ops", "agent", "app=agent", "0", Port{Name: "web", Port: 9100}), "node-1", "172.18.0.2"),
			host(pod("ops", "agent-2", "app=agent", "0", Port{Name: "web", Port: 9100}), "node-2", "172.18.0.3"),
		},
		Services: []Service{
			{Namespace: "prod", Name: "api", ClusterIPs: ips("10.96.0.12", "fd00:10:96::12"), Selector: map[string]string{"app": "api"}, Ports: []ServicePort{
				{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}, {Name: "stats", Port: 80, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromString("web")}, {Port: 8080}}},
			{Namespace: "prod", Name: "shop", ClusterIPs: ips("10.96.0.10"), Selector: map[string]string{"group": "shop"}, Ports: []ServicePort{{Port: 80, TargetPort: intstr.FromString("web")}}},
			{Namespace: "prod", Name: "nobody", ClusterIPs: ips("10.96.0.99"), Selector: map[string]string{"app": "nobody"}, Ports: []ServicePort{{Port: 80}}},
		},
		Nodes: []Node{{"node-1", ips("172.18.0.2", "fd00:18::2")}, {"node-2", ips("172.18.0.3")}},
		Hosts: []Host{{"internet", ips("203.0.113.9", "2001:db8::9"), []Port{{Port: 443}}}},
	}
}

// trap is one trap: policies, and flows that they allow and deny, written
// "from to port[/protocol]". An end is namespace/pod or an address.
type trap struct {
	name, policies string
	allow, deny    []string
}

// np writes a policy of prod; the spec is written without indentation.
func np(name, spec string) string { return policyYAML("prod", name, spec) }

const (
	selectAPI  = "podSelector: {matchLabels: {app: api}}\n"
	apiIngress = selectAPI + "policyTypes: [Ingress]\ningress:\n"
	webEgress  = "podSelector: {matchLabels: {app: web}}\npolicyTypes: [Egress]\negress:\n"
)

var traps = []trap{
	// 1. Decoded YAML is not defaulted.
	{"no_policies_allow_all", "",
		[]string{"prod/web prod/api 8080", "dev/shell prod/api 1/UDP", "203.0.113.9 prod/api 8080", "prod/api 203.0.113.9 443", "prod/api 2001:db8::9 443/SCTP"}, nil},
	{"policy_types_left_out_means_ingress", np("p", selectAPI),
		[]string{"prod/api prod/web 8080"}, []string{"prod/web prod/api 8080", "203.0.113.9 prod/api 8080"}},
	{"policy_types_left_out_with_egress_rules_means_both", np("p", selectAPI+"egress:\n- ports: [{port: 1}]"),
		[]string{"prod/api prod/web 1"}, []string{"prod/web prod/api 8080", "prod/api prod/web 8080"}},
	{"policy_types_left_out_with_an_empty_list_of_egress_means_ingress", np("p", selectAPI+"egress: []"),
		[]string{"prod/api prod/web 8080"}, []string{"prod/web prod/api 8080"}},
	{"policy_types_egress_leaves_ingress_open", np("p", selectAPI+"policyTypes: [Egress]"),
		[]string{"prod/web prod/api 8080"}, []string{"prod/api prod/web 8080"}},
	{"rules_of_a_direction_that_policy_types_lacks_are_ignored", np("p", selectAPI+"policyTypes: [Egress]\ningress:\n- from: [{podSelector: {matchLabels: {app: nobody}}}]\negress: [{}]"),
		[]string{"prod/web prod/api 8080", "prod/api prod/web 8080"}, nil},
	{"protocol_left_out_means_tcp", np("p", apiIngress+"- ports: [{port: 8080}]"),
		[]string{"prod/web prod/api 8080"}, []string{"prod/web prod/api 8080/UDP", "prod/web prod/api 8080/SCTP"}},
	{"port_left_out_means_every_port_of_the_protocol", np("p", apiIngress+"- ports: [{protocol: UDP}]"),
		[]string{"prod/web prod/api 1/UDP", "prod/web prod/api 65535/UDP"}, []string{"prod/web prod/api 1"}},
	{"an_entry_of_ports_with_nothing_means_every_tcp_port", np("p", apiIngress+"- ports: [{}]"),
		[]string{"prod/web prod/api 1"}, []string{"prod/web prod/api 1/UDP"}},

	// 2. Empty and missing.
	{"empty_ingress_list_denies", np("p", selectAPI+"policyTypes: [Ingress]\ningress: []"), nil, []string{"prod/web prod/api 8080", "dev/web prod/api 8080"}},
	{"missing_ingress_denies_as_an_empty_list_does", np("p", selectAPI+"policyTypes: [Ingress]"), nil, []string{"prod/web prod/api 8080", "dev/web prod/api 8080"}},
	{"ingress_without_a_value_denies_as_an_empty_list_does", np("p", selectAPI+"policyTypes: [Ingress]\ningress:"), nil, []string{"prod/web prod/api 8080"}},
	{"empty_egress_list_denies", np("p", webEgress[:len(webEgress)-1]+" []"), []string{"dev/web prod/api 8080"}, []string{"prod/web prod/api 8080", "prod/web 203.0.113.9 443"}},
	{"empty_rule_allows_all", np("p", apiIngress+"- {}"), []string{"prod/web prod/api 8080", "dev/web prod/api 1/SCTP", "203.0.113.9 prod/api 8080", "2001:db8::9 prod/api 8080"}, nil},
	{"empty_from_allows_every_source", np("p", apiIngress+"- from: []\n  ports: [{port: 8080}]"), []string{"dev/web prod/api 8080", "203.0.113.9 prod/api 8080", "172.18.0.3 prod/api 8080"}, []string{"dev/web prod/api 8081"}},
	{"missing_from_allows_every_source", np("p", apiIngress+"- ports: [{port: 8080}]"), []string{"dev/web prod/api 8080", "203.0.113.9 prod/api 8080"}, []string{"dev/web prod/api 8081"}},
	{"empty_ports_allow_every_port", np("p", apiIngress+"- from: [{podSelector: {}}]\n  ports: []"), []string{"prod/web prod/api 1", "prod/web prod/api 1/SCTP"}, []string{"dev/web prod/api 1"}},
	{"empty_pod_selector_selects_all_of_the_namespace", np("p", "podSelector: {}"), []string{"prod/web dev/web 80"}, []string{"dev/web prod/web 8080", "prod/web prod/api 8080", "prod/web prod/bare 80"}},
	{"missing_pod_selector_selects_all_of_the_namespace", np("p", "policyTypes: [Ingress]"), []string{"prod/web dev/web 80"}, []string{"prod/web prod/bare 80"}},
	{"empty_peer_pod_selector_is_all_of_the_own_namespace", np("p", apiIngress+"- from: [{podSelector: {}}]"), []string{"prod/web prod/api 8080", "prod/bare prod/api 1"}, []string{"dev/web prod/api 8080", "203.0.113.9 prod/api 8080"}},
	{"empty_namespace_selector_is_every_namespace", np("p", apiIngress+"- from: [{namespaceSelector: {}}]"), []string{"prod/web prod/api 8080", "dev/web prod/api 1", "ops/monitor prod/api 1"}, []string{"203.0.113.9 prod/api 8080"}},
	{"namespace_selector_without_a_value_is_the_own_namespace", np("p", apiIngress+"- from:\n  - namespaceSelector:\n    podSelector: {matchLabels: {app: web}}"), []string{"prod/web prod/api 8080"}, []string{"dev/web prod/api 8080"}},

	// 3. Absent keys.
	{"not_in_matches_where_the_key_is_absent", np("p", apiIngress+"- from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web, far]}]}}]"), []string{"prod/bare prod/api 8080"}, []string{"prod/web prod/api 8080", "prod/far prod/api 8080"}},
	{"does_not_exist_matches_where_the_key_is_absent", np("p", apiIngress+"- from: [{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}]"), []string{"prod/bare prod/api 8080"}, []string{"prod/web prod/api 8080"}},
	{"in_does_not_match_where_the_key_is_absent", np("p", apiIngress+"- from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}]}}]"), []string{"prod/web prod/api 8080"}, []string{"prod/bare prod/api 8080", "prod/far prod/api 8080"}},
	{"exists_matches_an_empty_value", np("p", "podSelector: {matchExpressions: [{key: tier, operator: Exists}]}"), []string{"prod/web prod/bare 80", "prod/web prod/far 8080"}, []string{"prod/bare prod/api 8080", "prod/bare prod/web 8080"}},
	{"empty_label_value_does_not_match_an_absent_key", np("p", "podSelector: {matchLabels: {tier: \"\"}}"), []string{"prod/web prod/bare 80", "prod/api prod/web 8080"}, []string{"prod/web prod/api 8080"}},
	{"empty_label_value_of_a_namespace_does_not_match_an_absent_key", np("p", apiIngress+"- from: [{namespaceSelector: {matchLabels: {tier: \"\"}}}]"), []string{"ops/monitor prod/api 8080"}, []string{"prod/web prod/api 8080", "dev/web prod/api 8080"}},
	{"in_with_an_empty_value_does_not_match_an_absent_key", np("p", apiIngress+"- from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [\"\"]}]}}]"), nil, []string{"prod/bare prod/api 8080"}},
	{"not_in_of_namespaces_matches_where_the_key_is_absent", np("p", apiIngress+"- from: [{namespaceSelector: {matchExpressions: [{key: debug, operator: NotIn, values: [\"yes\"]}]}}]"), []string{"prod/web prod/api 8080", "ops/monitor prod/api 8080"}, []string{"dev/web prod/api 8080"}},
	{"expressions_and_labels_must_all_match", np("p", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Exists}, {key: tier, operator: NotIn, values: [back]}]}}]"), []string{"prod/web prod/api 8080"}, []string{"prod/bare prod/api 8080", "prod/far prod/api 8080"}},

	// 4. And and or; whose namespace.
	{"both_selectors_in_one_peer_are_and", np("p", apiIngress+"- from:\n  - namespaceSelector: {matchLabels: {env: dev}}\n    podSelector: {matchLabels: {app: web}}"), []string{"dev/web prod/api 8080"}, []string{"dev/shell prod/api 8080", "prod/web prod/api 8080"}},
	{"two_peers_are_or", np("p", apiIngress+"- from:\n  - namespaceSelector: {matchLabels: {env: dev}}\n  - podSelector: {matchLabels: {app: web}}"), []string{"dev/web prod/api 8080", "dev/shell prod/api 8080", "prod/web prod/api 8080"}, []string{"prod/bare prod/api 8080", "ops/monitor prod/api 8080"}},
	{"pod_selector_alone_is_of_the_own_namespace", np("p", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}}}]"), []string{"prod/web prod/api 8080"}, []string{"dev/web prod/api 8080"}},
	{"namespace_selector_alone_is_all_its_pods", np("p", apiIngress+"- from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dev}}}]"), []string{"dev/web prod/api 8080", "dev/shell prod/api 8080"}, []string{"prod/web prod/api 8080"}},
	{"a_policy_selects_only_pods_of_its_own_namespace", policyYAML("dev", "p", "podSelector: {matchLabels: {app: web}}"), []string{"dev/shell prod/web 8080"}, []string{"prod/web dev/web 80"}},
	{"from_and_ports_of_one_rule_are_and", np("p", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}}}]\n  ports: [{port: 8080}]"), []string{"prod/web prod/api 8080"}, []string{"prod/web prod/api 9090", "prod/bare prod/api 8080"}},
	{"from_and_ports_of_two_rules_are_or", np("p", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}}}]\n- ports: [{port: 8080}]"), []string{"prod/web prod/api 9090", "prod/bare prod/api 8080", "203.0.113.9 prod/api 8080"}, []string{"prod/bare prod/api 9090"}},

	// 5. Blocks of addresses.
	{"block_with_except", np("p", apiIngress+"- from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/30]}}]"), []string{"203.0.113.7 prod/api 8080", "203.0.113.12 prod/api 8080"}, []string{"203.0.113.9 prod/api 8080", "203.0.113.11 prod/api 8080", "198.51.100.1 prod/api 8080", "prod/web prod/api 8080"}},
	{"except_of_one_block_takes_nothing_from_another", np("p", apiIngress+"- from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/30]}}, {ipBlock: {cidr: 203.0.113.9/32}}]"), []string{"203.0.113.9 prod/api 8080"}, []string{"203.0.113.10 prod/api 8080"}},
	{"block_matches_pods_too", np("p", apiIngress+"- from: [{ipBlock: {cidr: 10.244.0.0/27}}]"), []string{"prod/web prod/api 8080", "dev/shell prod/api 8080"}, []string{"203.0.113.9 prod/api 8080"}},
	{"all_ipv4_is_no_ipv6", np("p", apiIngress+"- from: [{ipBlock: {cidr: 0.0.0.0/0}}]"), []string{"203.0.113.9 prod/api 8080", "10.244.0.11 prod/api 8080"}, []string{"2001:db8::9 fd00:10:244::12 8080", "fd00:10:244::11 fd00:10:244::12 8080"}},
	{"all_ipv6_is_no_ipv4", np("p", apiIngress+"- from: [{ipBlock: {cidr: \"::/0\", except: [\"2001:db8::8/125\"]}}]"), []string{"2001:db8::1 fd00:10:244::12 8080", "fd00:10:244::11 fd00:10:244::12 8080"}, []string{"2001:db8::9 fd00:10:244::12 8080", "10.244.0.11 10.244.0.12 8080"}},
	{"egress_to_a_block_of_ipv6", np("p", webEgress+"- to: [{ipBlock: {cidr: \"2001:db8::/32\"}}]"), []string{"fd00:10:244::11 2001:db8::9 443"}, []string{"prod/web 203.0.113.9 443", "fd00:10:244::11 2001:db9::9 443"}},
	{"block_compares_the_address_of_the_connections_family", np("p", apiIngress+"- from: [{ipBlock: {cidr: \"fd00:10:244::/64\"}}]"), []string{"fd00:10:244::11 fd00:10:244::12 8080", "dev/v6 fd00:10:244::12 8080"}, []string{"10.244.0.11 10.244.0.12 8080", "dev/v4 10.244.0.12 8080"}},
	{"selectors_match_a_pod_by_either_family", np("p", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}}}]"), []string{"10.244.0.11 10.244.0.12 8080", "fd00:10:244::11 fd00:10:244::12 8080"}, []string{"fd00:10:244::21 fd00:10:244::12 8080"}},
	{"mapped_ipv4_is_ipv4", np("p", apiIngress+"- from: [{ipBlock: {cidr: 203.0.113.0/24}}]"), []string{"::ffff:203.0.113.9 prod/api 8080"}, []string{"::ffff:198.51.100.1 prod/api 8080", "198.51.100.1 ::ffff:10.244.0.12 8080"}},

	// 5 and 6. Services.
	{"service_leads_to_the_pods_port_by_name", np("p", apiIngress+"- ports: [{port: 8080}]"), []string{"prod/web 10.96.0.12 80", "prod/web fd00:10:96::12 80", "prod/web 10.96.0.12 8080"}, []string{"prod/web 10.96.0.12 80/UDP"}},
	{"service_leads_to_the_pods_port_by_name_and_protocol", np("p", apiIngress+"- ports: [{port: 9090, protocol: UDP}]"), []string{"prod/web 10.96.0.12 80/UDP"}, []string{"prod/web 10.96.0.12 80"}},
	{"a_rule_for_the_services_port_admits_nothing", np("p", apiIngress+"- ports: [{port: 80}]"), nil, []string{"prod/web 10.96.0.12 80", "prod/web prod/api 8080"}},
	{"a_block_of_service_addresses_admits_nothing", np("p", webEgress+"- to: [{ipBlock: {cidr: 10.96.0.0/12}}]"), nil, []string{"prod/web 10.96.0.12 80", "prod/web prod/api 8080"}},
	{"egress_to_a_service_is_egress_to_its_pods", np("p", webEgress+"- to: [{podSelector: {matchLabels: {app: api}}}]\n  ports: [{port: web}]"), []string{"prod/web 10.96.0.12 80", "prod/web prod/api 8080"}, []string{"prod/web 10.96.0.12 80/UDP", "prod/web prod/api 80"}},
	{"a_service_without_pods_leads_nowhere", "", nil, []string{"prod/web 10.96.0.99 80"}},
	{"a_port_that_the_service_lacks_is_an_address_outside", np("p", webEgress+"- to: [{ipBlock: {cidr: 10.96.0.12/32}}]"), []string{"prod/web 10.96.0.12 1234"}, []string{"prod/web 10.96.0.12 80"}},
	{"a_service_is_allowed_where_each_of_its_pods_is", np("p", "podSelector: {matchLabels: {group: shop}}\npolicyTypes: [Ingress]\ningress: [{from: [{podSelector: {matchLabels: {app: far}}}], ports: [{port: web}]}]") + np("q", "podSelector: {matchLabels: {app: web}}\npolicyTypes: [Ingress]\ningress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]"), []string{"prod/far 10.96.0.10 80"}, []string{"prod/api 10.96.0.10 80"}},

	// 6. Ports.
	{"named_port_is_looked_up_on_each_pod", np("p", "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{ports: [{port: web}]}]"), []string{"dev/web prod/web 8080", "dev/web prod/bare 80"}, []string{"dev/web prod/web 80", "dev/web prod/bare 8080"}},
	{"named_port_is_looked_up_by_protocol", np("p", apiIngress+"- ports: [{port: web, protocol: UDP}]"), []string{"prod/web prod/api 9090/UDP"}, []string{"prod/web prod/api 9090", "prod/web prod/api 8080/UDP", "prod/web prod/api 8080"}},
	{"named_port_of_egress_is_looked_up_on_the_destination", np("p", webEgress+"- ports: [{port: web}]"), []string{"prod/web ops/monitor 3000", "prod/web prod/bare 80"}, []string{"prod/web ops/monitor 8080", "prod/web dev/web 8080", "prod/web 203.0.113.9 8080"}},
	{"named_port_that_no_pod_has_admits_nothing", np("p", apiIngress+"- ports: [{port: nothing}]"), nil, []string{"prod/web prod/api 8080", "prod/web prod/api 53"}},
	{"sctp_is_a_protocol_of_its_own", np("p", apiIngress+"- ports: [{port: 3868, protocol: SCTP}]"), []string{"prod/web prod/api 3868/SCTP"}, []string{"prod/web prod/api 3868", "prod/web prod/api 3868/UDP"}},
	{"named_port_of_sctp", np("p", apiIngress+"- ports: [{port: signal, protocol: SCTP}]"), []string{"prod/web prod/api 3868/SCTP"}, []string{"prod/web prod/api 3868"}},
	{"end_port_includes_both_ends", np("p", apiIngress+"- ports: [{port: 8000, endPort: 8100}]"), []string{"prod/web prod/api 8000", "prod/web prod/api 8050", "prod/web prod/api 8100"}, []string{"prod/web prod/api 7999", "prod/web prod/api 8101", "prod/web prod/api 8050/UDP"}},
	{"end_port_may_be_the_port", np("p", apiIngress+"- ports: [{port: 65535, endPort: 65535}]"), []string{"prod/web prod/api 65535"}, []string{"prod/web prod/api 65534"}},
	{"undeclared_port_may_be_admitted_by_number", np("p", apiIngress+"- ports: [{port: 1234}]"), []string{"prod/web prod/api 1234"}, []string{"prod/web prod/api 8080"}},

	// 7. Both ends.
	{"ingress_alone_does_not_open_an_isolated_source", np("deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]") + np("p", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}}}]"), nil, []string{"prod/web prod/api 8080"}},
	{"egress_alone_does_not_open_an_isolated_destination", np("deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]") + np("p", webEgress+"- to: [{podSelector: {}}]"), nil, []string{"prod/web prod/api 8080"}},
	{"both_ends_open_the_connection_and_not_its_reverse", np("deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]") + np("p", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}}}]") + np("q", webEgress+"- to: [{podSelector: {matchLabels: {app: api}}}]"), []string{"prod/web prod/api 8080"}, []string{"prod/api prod/web 8080"}},
	{"the_ends_may_overlap_in_a_single_port", np("p", apiIngress+"- ports: [{port: 1, endPort: 8080}]") + np("q", webEgress+"- ports: [{port: 8080, endPort: 9000}]"), []string{"prod/web prod/api 8080"}, []string{"prod/web prod/api 8079", "prod/web prod/api 8081"}},

	// 8. Policies add.
	{"a_second_policy_takes_nothing_away", np("allow", apiIngress+"- from: [{podSelector: {matchLabels: {app: web}}}]") + np("deny", "podSelector: {}\npolicyTypes: [Ingress]") + np("other", apiIngress+"- from: [{podSelector: {matchLabels: {app: far}}}]"), []string{"prod/web prod/api 8080", "prod/far prod/api 8080"}, []string{"prod/bare prod/api 8080"}},

	// 9. A pod itself and its node.
	{"a_pod_reaches_itself", np("deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]"), []string{"prod/api prod/api 8080", "10.244.0.12 prod/api 1/UDP"}, []string{"prod/web prod/api 8080"}},
	{"the_own_node_reaches_a_pod", np("deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]"), []string{"172.18.0.2 prod/api 8080", "fd00:18::2 fd00:10:244::12 8080", "ops/agent prod/api 8080", "172.18.0.3 prod/far 8080"}, []string{"172.18.0.3 prod/api 8080", "ops/agent-2 prod/api 8080", "172.18.0.2 prod/far 8080"}},
	{"a_pod_does_not_reach_its_own_node", np("deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]"), nil, []string{"prod/api 172.18.0.2 10250", "prod/api ops/agent 9100"}},

	// 10. Host-network pods.
	{"no_policy_selects_a_host_network_pod", policyYAML("ops", "deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]"), []string{"prod/web ops/agent 9100", "ops/agent prod/web 8080", "ops/agent 203.0.113.9 443", "ops/agent-2 prod/web 8080"}, []string{"prod/web ops/monitor 3000", "ops/monitor prod/web 8080"}},
	{"no_selector_matches_a_host_network_source", np("p", apiIngress+"- from: [{namespaceSelector: {}}]"), []string{"ops/monitor prod/api 8080"}, []string{"ops/agent-2 prod/api 8080"}},
	{"no_selector_matches_a_host_network_destination", np("p", webEgress+"- to: [{namespaceSelector: {}, podSelector: {}}]"), []string{"prod/web ops/monitor 3000"}, []string{"prod/web ops/agent 9100"}},
	{"a_host_network_pod_has_its_nodes_address", np("p", apiIngress+"- from: [{ipBlock: {cidr: 172.18.0.3/32}}]") + np("q", webEgress+"- to: [{ipBlock: {cidr: 172.18.0.3/32}}]"), []string{"ops/agent-2 prod/api 8080", "172.18.0.3 prod/api 8080", "prod/web ops/agent-2 9100", "prod/web 172.18.0.3 9100"}, []string{"prod/web ops/agent 9100", "203.0.113.9 prod/api 8080"}},
	{"a_host_network_pod_has_no_named_ports", np("q", webEgress+"- ports: [{port: web}]"), nil, []string{"prod/web ops/agent 9100"}},

	// 11. YAML.
	{"several_documents_in_one_file", "# Two policies.\n---\n" + np("p", selectAPI) + "---\n# Nothing here.\n---\n" + policyYAML("dev", "p", "podSelector: {}"), nil, []string{"prod/web prod/api 8080", "prod/web dev/web 80"}},
	{"yes_and_on_in_quotes_are_label_values", np("p", apiIngress+"- from: [{namespaceSelector: {matchLabels: {debug: \"yes\"}}, podSelector: {matchLabels: {public: 'yes', power: \"on\"}}}]"), []string{"dev/web prod/api 8080"}, []string{"dev/shell prod/api 8080", "prod/web prod/api 8080"}},
}

// parseFlow reads "from to port[/protocol]".
func parseFlow(t *testing.T, e *Evaluator, text string) Flow {
	t.Helper()
	fields := strings.Fields(text)
	end := func(s string) Endpoint {
		if ns, name, ok := strings.Cut(s, "/"); ok {
			p, ok := e.Pod(ns, name)
			if !ok {
				t.Fatalf("there is no pod %s", s)
			}
			return p
		}
		return e.Address(netip.MustParseAddr(s))
	}
	number, protocol, _ := strings.Cut(fields[2], "/")
	port, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return Flow{From: end(fields[0]), To: end(fields[1]), Port: int32(port), Protocol: corev1.Protocol(protocol)}
}

// TestTraps_are_decided_as_the_API_says holds what evaluators get wrong. Allowed and Explain go different ways
// to the answer, and each must give it.
func TestTraps_are_decided_as_the_API_says(t *testing.T) {
	for _, tt := range traps {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.allow)+len(tt.deny) == 0 {
				t.Fatal("no flow is looked at")
			}
			var policies []Policy
			if tt.policies != "" {
				var err error
				if policies, err = Parse([]byte(tt.policies), ParseOptions{Namespaces: []string{"prod", "dev", "ops"}}); err != nil {
					t.Fatal(err)
				}
			}
			e, err := Compile(trapNetwork(), policies)
			if err != nil {
				t.Fatal(err)
			}
			for _, flow := range slices.Concat(tt.allow, tt.deny) {
				want := slices.Contains(tt.allow, flow)
				f := parseFlow(t, e, flow)
				if got := e.Allowed(f); got != want {
					t.Errorf("%s: Allowed is %t", flow, got)
				}
				if d := e.Explain(f); d.Allowed != want || d.Allowed != (d.Egress.Allowed && d.Ingress.Allowed) {
					t.Errorf("%s: Explain says %t: %+v", flow, d.Allowed, d)
				}
			}
		})
	}
}

// TestPolicy_order_means_nothing asks every trap with its policies the other way round.
func TestPolicy_order_means_nothing(t *testing.T) {
	for _, tt := range traps {
		if strings.Count(tt.policies, "kind:") < 2 {
			continue
		}
		policies, err := Parse([]byte(tt.policies), ParseOptions{Namespaces: []string{"prod", "dev", "ops"}})
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(policies)
		e, err := Compile(trapNetwork(), policies)
		if err != nil {
			t.Fatal(err)
		}
		for _, flow := range slices.Concat(tt.allow, tt.deny) {
			if got := e.Allowed(parseFlow(t, e, flow)); got != slices.Contains(tt.allow, flow) {
				t.Errorf("%s: %s: Allowed is %t", tt.name, flow, got)
			}
		}
	}
}

// TestYAML_that_is_not_what_it_looks_like_is_refused: what kubectl would read otherwise than
// it looks never reaches the evaluator.
func TestYAML_that_is_not_what_it_looks_like_is_refused(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"yes_without_quotes_is_no_label_value": {np("p", "podSelector: {matchLabels: {public: yes}}"), `want text, not true or false; write it in quotes: "yes"`},
		"on_without_quotes_is_no_label_value":  {np("p", "podSelector: {matchLabels: {power: on}}"), `want text, not true or false; write it in quotes: "on"`},
		"a_label_twice":                        {np("p", "podSelector: {matchLabels: {app: web, app: api}}"), `"app" is here twice`},
		"a_field_twice":                        {np("p", "podSelector: {}\ningress: []\ningress: [{}]"), `"ingress" is here twice`},
		"a_policy_twice":                       {np("p", "podSelector: {}") + np("p", "podSelector: {}"), `the policy prod/p is here twice`},
		"aliases":                              {np("p", "podSelector: &all {}\ningress: [{from: [{podSelector: *all}]}]"), `the lab takes no YAML aliases`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.src), ParseOptions{Namespaces: []string{"prod"}}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got the error %v, want %q", err, tt.want)
			}
		})
	}
}

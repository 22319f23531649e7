package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// shop is a small network like that of the lesson.
func shop() policy.Network {
	pod := func(namespace, name string, ip byte, ports ...policy.Port) policy.Pod {
		return policy.Pod{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}, IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 244, 0, ip})}, Node: "node", Ports: ports}
	}
	http := policy.Port{Name: "http", Port: 8080}
	agent := pod("monitoring", "node-agent", 0, policy.Port{Name: "metrics", Port: 9100})
	agent.HostNetwork, agent.IPs = true, []netip.Addr{netip.AddrFrom4([4]byte{172, 18, 0, 2})}
	return policy.Network{
		Namespaces: []policy.Namespace{
			{Name: "production", Labels: map[string]string{"environment": "production"}},
			{Name: "development"},
			{Name: "monitoring", Labels: map[string]string{"environment": "monitoring"}},
		},
		Pods: []policy.Pod{
			pod("production", "web", 10, http),
			pod("production", "api", 11, http, policy.Port{Name: "admin", Port: 9090}),
			pod("development", "shell", 20),
			pod("monitoring", "prometheus", 30, policy.Port{Port: 9090}),
			agent,
		},
		Services: []policy.Service{
			{Namespace: "production", Name: "api", ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, 0, 11})}, Selector: map[string]string{"app": "api"}, Ports: []policy.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}},
			{Namespace: "production", Name: "empty", ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, 0, 12})}, Selector: map[string]string{"app": "nobody"}, Ports: []policy.ServicePort{{Port: 80}}},
		},
		Nodes: []policy.Node{{Name: "node", IPs: []netip.Addr{netip.AddrFrom4([4]byte{172, 18, 0, 2})}}},
		Hosts: []policy.Host{{Name: "internet", IPs: []netip.Addr{netip.AddrFrom4([4]byte{172, 18, 0, 9})}, Ports: []policy.Port{{Port: 443}}}},
	}
}

func np(namespace, name, spec string) string {
	return fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n%s", name, namespace, spec)
}

var (
	deny = np("production", "default-deny-all", "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n")
	web  = np("production", "allow-web-to-api", `  podSelector:
    matchLabels:
      app: api
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: web
    ports:
    - port: 8080
`)
	webOut = np("production", "web-out", "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n  egress:\n  - to:\n    - podSelector: {matchLabels: {app: api}}\n")
)

// TestThe_sentence_says_which_policy_decides holds what a learner reads.
func TestThe_sentence_says_which_policy_decides(t *testing.T) {
	api := "production/api:8080"
	for _, tt := range []struct {
		name, from, to string
		policies       []string
		want           string
	}{
		{"nothing isolates", "development/shell", api, nil,
			"Allowed: no policy isolates shell for egress or api for ingress."},
		{"default deny", "development/shell", api, []string{deny},
			"Blocked: production/default-deny-all isolates api for ingress, and no ingress rule allows anything."},
		{"at both ends", "production/web", api, []string{deny},
			"Blocked at both ends: production/default-deny-all isolates web for egress, and no egress rule allows anything; and production/default-deny-all isolates api for ingress, and no ingress rule allows anything."},
		{"the label is missing", "production/web", api, []string{deny, webOut, strings.Replace(web, "          app: web", "          role: web", 1)},
			"Blocked: production/default-deny-all isolates api for ingress, and allow-web-to-api allows only pods labelled role=web; web has no such label."},
		{"the label is another", "production/api", "production/web:8080", []string{np("production", "only-shop", "  podSelector: {}\n  ingress:\n  - from:\n    - podSelector: {matchLabels: {app: shop}}\n")},
			"Blocked: production/only-shop isolates web for ingress and allows only pods labelled app=shop; api has app=api."},
		{"another namespace", "development/shell", api, []string{deny, web},
			"Blocked: production/default-deny-all isolates api for ingress, and allow-web-to-api allows only pods of its own namespace production; shell is in development."},
		{"the other end still blocks", "production/web", api, []string{deny, web},
			"Blocked: production/default-deny-all isolates web for egress, and no egress rule allows anything."},
		{"both ends allow", "production/web", api, []string{deny, web, webOut},
			"Allowed: production/web-out allows api for egress of web, and production/allow-web-to-api allows web for ingress of api."},
		{"another port", "production/web", "production/api:9090", []string{deny, web, webOut},
			"Blocked: production/default-deny-all isolates api for ingress, and allow-web-to-api allows web only on 8080/TCP, not on 9090/TCP."},
		{"the namespace's label is missing", "development/shell", api, []string{np("production", "monitoring", "  podSelector: {}\n  ingress:\n  - from:\n    - namespaceSelector: {matchLabels: {environment: monitoring}}\n      podSelector: {matchLabels: {app: prometheus}}\n")},
			"Blocked: production/monitoring isolates api for ingress and allows only pods of namespaces labelled environment=monitoring; the namespace development has no such label."},
		{"the namespace by name", "development/shell", api, []string{np("production", "monitoring", "  podSelector: {}\n  ingress:\n  - from:\n    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}\n")},
			"Blocked: production/monitoring isolates api for ingress and allows only pods of the namespace monitoring; shell is in development."},
		{"outside the block", "internet", api, []string{np("production", "office", "  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock: {cidr: 192.0.2.0/24}\n")},
			"Blocked: production/office isolates api for ingress and allows only addresses in 192.0.2.0/24; internet has 172.18.0.9."},
		{"in the exception", "internet", api, []string{np("production", "office", "  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock: {cidr: 172.18.0.0/16, except: [172.18.0.8/29]}\n")},
			"Blocked: production/office isolates api for ingress and leaves out 172.18.0.8/29, and with it internet (172.18.0.9)."},
		{"a host is no pod", "production/web", "internet:443", []string{np("production", "out", "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to:\n    - namespaceSelector: {}\n")},
			"Blocked: production/out isolates web for egress and allows only pods; internet is none, so only an ipBlock can allow it."},
		{"a port's name that the pod lacks", "production/web", "monitoring/prometheus:9090", []string{np("monitoring", "named", "  podSelector: {}\n  ingress:\n  - ports:\n    - port: http\n")},
			"Blocked: monitoring/named isolates prometheus for ingress and allows web only on the TCP port named http, which prometheus does not have."},
		{"a port's name that is another", "production/web", "production/api:9090", []string{np("production", "named", "  podSelector: {}\n  ingress:\n  - ports:\n    - port: http\n")},
			"Blocked: production/named isolates api for ingress and allows web only on the port named http, which is 8080/TCP on api."},
		{"two rules, the nearer one is told", "production/web", "production/api:9090", []string{np("production", "two", "  podSelector: {}\n  ingress:\n  - from:\n    - podSelector: {matchLabels: {app: nobody}}\n  - from:\n    - podSelector: {matchLabels: {app: web}}\n    ports:\n    - port: 8080\n    - port: 8081\n")},
			"Blocked: production/two isolates api for ingress and comes nearest: spec.ingress[1] allows web only on 8080/TCP and 8081/TCP, not on 9090/TCP."},
		{"two peers, the nearer one is told", "development/shell", api, []string{np("production", "or", "  podSelector: {}\n  ingress:\n  - from:\n    - podSelector: {}\n    - namespaceSelector: {}\n      podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [shell]}]}\n")},
			"Blocked: production/or isolates api for ingress and comes nearest: spec.ingress[0].from[1] allows only pods labelled app notin (shell); shell has app=shell."},
		{"the node", "monitoring/node-agent", api, []string{deny},
			"Allowed: node-agent uses its node's network, so no policy selects it, and the node of api, where node-agent is, always reaches it."},
		{"itself", "production/api", api, []string{deny},
			"Allowed: api speaks to itself, which no policy can forbid."},
		{"neither end is selected", "internet", "monitoring/node-agent:9100", []string{deny},
			"Allowed: policies select only pods with a network of their own, and neither internet nor node-agent is one."},
		{"through a Service", "production/web", "10.96.0.11:80", []string{deny, webOut},
			"Blocked: production/default-deny-all isolates api for ingress, and no ingress rule allows anything."},
		{"a Service without pods", "production/web", "10.96.0.12:80", nil,
			"Blocked: the Service production/empty leads to no pod on port 80/TCP."},
		{"many policies", "development/shell", api, []string{deny, np("production", "a", "  podSelector: {}\n"), np("production", "b", "  podSelector: {}\n"), np("production", "c", "  podSelector: {}\n")},
			"Blocked: production/a, production/b and 2 more isolate api for ingress, and no ingress rule allows anything."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := compile(t, shop(), parse(t, strings.Join(tt.policies, "---\n")))
			f := flow(t, e, tt.from, tt.to)
			d := e.Explain(f)
			if d.String() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", d, tt.want)
			}
			if d.Allowed != e.Allowed(f) {
				t.Errorf("Allowed says %v", e.Allowed(f))
			}
		})
	}
}

func TestReasons_carry_the_place_in_the_source(t *testing.T) {
	e := compile(t, shop(), parse(t, deny+"---\n"+web))
	d := e.Explain(flow(t, e, "development/shell", "production/api:8080"))
	if len(d.Ingress.Policies) != 2 {
		t.Fatalf("got %+v", d.Ingress.Policies)
	}
	allow, denied := d.Ingress.Policies[0], d.Ingress.Policies[1]
	m := allow.Rules[0].Mismatches[0]
	for _, tt := range []struct {
		what      string
		got, want policy.Position
	}{
		{"the isolating policy", denied.Position, policy.Position{Line: 4, Column: 9}},
		{"the allowing policy", allow.Position, policy.Position{Line: 13, Column: 9}},
		{"its rule", allow.Rules[0].Position, policy.Position{Line: 20, Column: 5}},
		{"the peer", m.Position, policy.Position{Line: 21, Column: 7}},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is at %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	if m.Kind != policy.MismatchNamespace || m.Field != "spec.ingress[0].from[0]" || m.Want != "production" || m.Got != "development" {
		t.Errorf("got %+v", m)
	}
}

func TestThe_remedy_is_what_a_person_would_write(t *testing.T) {
	e := compile(t, shop(), parse(t, deny))
	for _, tt := range []struct{ from, to, want string }{
		{"development/shell", "production/api:8080", np("production", "allow-shell-to-api", `  podSelector:
    matchLabels:
      app: api
  policyTypes:
  - Ingress
  ingress:
  - from:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: development
      podSelector:
        matchLabels:
          app: shell
    ports:
    - protocol: TCP
      port: 8080
`)},
		{"production/web", "internet:443", np("production", "allow-web-to-internet-egress", `  podSelector:
    matchLabels:
      app: web
  policyTypes:
  - Egress
  egress:
  - to:
    - ipBlock:
        cidr: 172.18.0.9/32
    ports:
    - protocol: TCP
      port: 443
`)},
	} {
		remedy := e.Remedy(flow(t, e, tt.from, tt.to))
		if got := yamlOf(remedy); got != tt.want {
			t.Errorf("got\n%s\nwant\n%s", got, tt.want)
		}
	}
	if both := e.Remedy(flow(t, e, "production/web", "10.96.0.11:80")); len(both) != 2 {
		t.Errorf("a flow that both ends block wants two policies, not\n%s", yamlOf(both))
	}
	if none := e.Remedy(flow(t, e, "development/shell", "monitoring/prometheus:9090")); len(none) != 0 {
		t.Errorf("an allowed flow wants none, not\n%s", yamlOf(none))
	}
}

// flow is from an end to an end with a port: a pod, a host, or an address.
func flow(t *testing.T, e *policy.Evaluator, from, to string) policy.Flow {
	t.Helper()
	host, port, ok := strings.Cut(to, ":")
	f := policy.Flow{From: end(t, e, from), To: end(t, e, host)}
	if _, err := fmt.Sscan(port, &f.Port); !ok || err != nil {
		t.Fatalf("port of %q: %v", to, err)
	}
	return f
}

func end(t *testing.T, e *policy.Evaluator, name string) policy.Endpoint {
	t.Helper()
	if namespace, pod, ok := strings.Cut(name, "/"); ok {
		if p, ok := e.Pod(namespace, pod); ok {
			return p
		}
	} else if name == "internet" {
		return e.Address(shop().Hosts[0].IPs[0])
	} else if a, err := netip.ParseAddr(name); err == nil {
		return e.Address(a)
	}
	t.Fatalf("no endpoint %q", name)
	return policy.Endpoint{}
}

func parse(t *testing.T, src string) []policy.Policy {
	t.Helper()
	if src == "" {
		return nil
	}
	policies, err := policy.Parse([]byte(src), policy.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

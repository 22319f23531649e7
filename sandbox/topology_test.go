package sandbox_test

import (
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

func TestParseTopology_every_mistake_is_named(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown field":     {"name: a\nnamespace: []\n", `unknown field "namespace"`},
		"no namespace":      {"name: a\n", "at least one is needed"},
		"bad name":          {"name: a\nnamespaces: [{name: Prod}]\n", `"Prod"`},
		"kubernetes' own":   {"name: a\nnamespaces: [{name: kube-system}]\n", "belongs to Kubernetes"},
		"namespace twice":   {"name: a\nnamespaces: [{name: x}, {name: x}]\n", "listed twice"},
		"pod twice":         {"name: a\nnamespaces: [{name: x, pods: [{name: p}, {name: p}]}]\n", "pods[p]: listed twice"},
		"port out of range": {"name: a\nnamespaces: [{name: x, pods: [{name: p, ports: [{port: 70000}]}]}]\n", "70000 is not a port"},
		"port twice":        {"name: a\nnamespaces: [{name: x, pods: [{name: p, ports: [{port: 80}, {port: 80}]}]}]\n", "80/TCP is listed twice"},
		"protocol":          {"name: a\nnamespaces: [{name: x, pods: [{name: p, ports: [{port: 80, protocol: ICMP}]}]}]\n", `protocol "ICMP"`},
		"label":             {"name: a\nnamespaces: [{name: x, labels: {a: 'b c'}}]\n", "a=b c"},
		"service's pod":     {"name: a\nnamespaces: [{name: x, services: [{name: s, pod: p, ports: [{port: 80, targetPort: 80}]}]}]\n", `no pod "p"`},
		"service's port":    {"name: a\nnamespaces: [{name: x, pods: [{name: p, labels: {a: b}}], services: [{name: s, pod: p, ports: [{port: 80, targetPort: 80}]}]}]\n", "does not serve 80/TCP"},
		"host port twice":   {"name: a\nnamespaces: [{name: x, pods: [{name: p, hostNetwork: true, ports: [{port: 80}]}, {name: q, hostNetwork: true, ports: [{port: 80}]}]}]\n", "taken on the node by p"},
		"external twice":    {"name: a\nnamespaces: [{name: x}]\nexternal: [{name: i, ports: []}, {name: i, ports: []}]\n", "external[i]: listed twice"},
		"external a pod's":  {"name: a\nnamespaces: [{name: x}]\nexternal: [{name: i, address: 10.244.3.4, ports: []}]\n", "10.244.3.4 is one of the cluster's pods, 10.244.0.0/16"},
		"external no host":  {"name: a\nnamespaces: [{name: x}]\nexternal: [{name: i, address: 127.0.0.1, ports: []}]\n", "want an IPv4 address that a host can have"},
		"external IPv6":     {"name: a\nnamespaces: [{name: x}]\nexternal: [{name: i, address: '2001:db8::1', ports: []}]\n", "want an IPv4 address"},
		"address twice":     {"name: a\nnamespaces: [{name: x}]\nexternal: [{name: i, address: 192.0.2.1, ports: []}, {name: j, address: 192.0.2.1, ports: []}]\n", "192.0.2.1 is the address of i"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sandbox.ParseTopology([]byte(c.yaml))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestFlows_go_from_each_pod_to_each_port_but_its_own(t *testing.T) {
	lab := small(t)
	var got []string
	for _, f := range lab.Flows() {
		got = append(got, f.ID)
	}
	want := []string{
		"production/web>production/api:8080/TCP",
		"production/web>kube-system/kube-dns:53/UDP",
		"production/web>kube-system/kube-dns:53/TCP",
		"production/web>kube-system/kube-dns:9153/TCP",
		"production/api>production/web:8080/TCP",
		"production/api>kube-system/kube-dns:53/UDP",
		"production/api>kube-system/kube-dns:53/TCP",
		"production/api>kube-system/kube-dns:9153/TCP",
		"development/shell>production/web:8080/TCP",
		"development/shell>production/api:8080/TCP",
		"development/shell>kube-system/kube-dns:53/UDP",
		"development/shell>kube-system/kube-dns:53/TCP",
		"development/shell>kube-system/kube-dns:9153/TCP",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestState_follows_the_transition_table(t *testing.T) {
	all := []sandbox.State{sandbox.Queued, sandbox.Creating, sandbox.Ready, sandbox.Stopping, sandbox.Stopped, sandbox.Failed}
	allowed := map[sandbox.State]string{
		sandbox.Queued:   "creating stopping failed",
		sandbox.Creating: "ready stopping failed",
		sandbox.Ready:    "stopping failed",
		sandbox.Stopping: "stopped",
		sandbox.Failed:   "stopping",
		sandbox.Stopped:  "",
	}
	for _, from := range all {
		for _, to := range all {
			want := false
			for _, s := range strings.Fields(allowed[from]) {
				want = want || s == string(to)
			}
			if got := from.CanBecome(to); got != want {
				t.Errorf("%s to %s: %v, want %v", from, to, got, want)
			}
		}
	}
}

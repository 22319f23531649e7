package kubernetes

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const smallTopology = `
name: small
namespaces:
- name: shop
  labels: {environment: production}
  pods:
  - {name: web, labels: {app: web}, ports: [{name: http, port: 8080}]}
  - {name: api, labels: {app: api}, ports: [{port: 8080}, {port: 9090, protocol: UDP}]}
  services:
  - {name: shop-api, pod: api, ports: [{name: http, port: 80, targetPort: 8080}]}
- name: other
  pods:
  - {name: agent, labels: {app: agent}, hostNetwork: true, ports: [{port: 9100}]}
  - {name: shell, labels: {app: shell}, ports: [{port: 80}]}
external:
- {name: internet, ports: [{port: 443}]}
`

func small(t *testing.T) *sandbox.Topology {
	t.Helper()
	topology, err := sandbox.ParseTopology([]byte(smallTopology))
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

var addrs = sandbox.Addresses{
	Pods: map[string]netip.Addr{
		"shop/web": netip.MustParseAddr("10.0.0.1"), "shop/api": netip.MustParseAddr("10.0.0.2"),
		"other/agent": netip.MustParseAddr("172.18.0.2"), "other/shell": netip.MustParseAddr("10.0.0.3"),
	},
	External: map[string]netip.Addr{"internet": netip.MustParseAddr("172.18.0.9")},
	DNS:      netip.MustParseAddr("10.96.0.10"),
	Node:     netip.MustParseAddr("172.18.0.2"),
}

func TestPodObject_is_as_the_topology_says_and_can_do_nothing(t *testing.T) {
	topology := small(t)
	api := podObject("shop", topology.Namespaces[0].Pods[1], "image", "node")
	if !maps.Equal(api.Labels, map[string]string{"app": "api"}) {
		t.Errorf("labels %v: learners' selectors must find exactly the lesson's", api.Labels)
	}
	c := api.Spec.Containers[0]
	if got := c.Env; !slices.Equal(got, []corev1.EnvVar{{Name: "NETPOL_PROBE_NAME", Value: "shop/api"}, {Name: "NETPOL_PROBE_LISTEN", Value: "8080/TCP,9090/UDP"}}) {
		t.Errorf("environment %v", got)
	}
	if c.Image != "image" || c.ImagePullPolicy != corev1.PullNever || api.Spec.NodeName != "node" {
		t.Errorf("image %s %s on %s", c.Image, c.ImagePullPolicy, api.Spec.NodeName)
	}
	if *api.Spec.AutomountServiceAccountToken || *api.Spec.EnableServiceLinks || *api.Spec.TerminationGracePeriodSeconds != 0 {
		t.Error("the pod gets a token, the Services' environment or a grace period")
	}
	s := c.SecurityContext
	if !*api.Spec.SecurityContext.RunAsNonRoot || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Error("the pod has privileges")
	}
	for _, r := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		asks, most := c.Resources.Requests[r], c.Resources.Limits[r]
		if asks.Sign() <= 0 || most.Cmp(asks) < 0 {
			t.Errorf("%s: the pod asks for %s and may have %s", r, asks.String(), most.String())
		}
	}
	if api.Spec.HostNetwork || len(api.Spec.SecurityContext.Sysctls) != 1 {
		t.Error("a pod in its own network may serve every port")
	}

	agent := podObject("other", topology.Namespaces[1].Pods[0], "image", "node")
	if !agent.Spec.HostNetwork || agent.Spec.DNSPolicy != corev1.DNSClusterFirstWithHostNet || len(agent.Spec.SecurityContext.Sysctls) != 0 {
		t.Error("a host-network pod asks the cluster's DNS and leaves the node's sysctls alone")
	}
}

func TestServiceObject_leads_to_the_pod(t *testing.T) {
	ns := small(t).Namespaces[0]
	got := serviceObject("shop", ns.Services[0], ns.Pods[1])
	if !maps.Equal(got.Spec.Selector, map[string]string{"app": "api"}) {
		t.Errorf("selector %v", got.Spec.Selector)
	}
	p := got.Spec.Ports[0]
	if p.Port != 80 || p.TargetPort.IntValue() != 8080 || p.Protocol != corev1.ProtocolTCP || p.Name != "http" {
		t.Errorf("port %+v", p)
	}
}

func TestNamespaceObject_has_the_topology_s_labels_alone(t *testing.T) {
	got := namespaceObject(small(t).Namespaces[0])
	if !maps.Equal(got.Labels, map[string]string{"environment": "production"}) {
		t.Errorf("labels %v", got.Labels)
	}
}

func TestRoleObjects_bind_the_account_in_one_namespace(t *testing.T) {
	role, binding := roleObjects("shop", PoliciesAccount)
	if role.Namespace != "shop" || len(role.Rules) != 1 || !slices.Equal(role.Rules[0].Resources, []string{"networkpolicies"}) {
		t.Errorf("role %+v", role)
	}
	if binding.RoleRef.Name != role.Name || binding.RoleRef.Kind != "Role" || binding.Subjects[0].Name != "policies" || binding.Subjects[0].Namespace != "netpol-lab-system" {
		t.Errorf("binding %+v", binding)
	}
	for name, rules := range accountRules {
		for _, rule := range rules {
			for _, all := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
				if slices.Contains(all, "*") {
					t.Errorf("%s may do anything: %v", name, rule)
				}
			}
		}
	}
}

func TestRequestFor_asks_each_flow_the_way_it_goes(t *testing.T) {
	for name, test := range map[string]struct {
		flow sandbox.Flow
		want probe.Request
	}{
		"TCP":      {sandbox.Flow{To: "shop/api", Port: 8080, Protocol: sandbox.TCP, Via: sandbox.ViaIP}, probe.Request{Kind: probe.DialTCP, Address: "10.0.0.2:8080"}},
		"UDP":      {sandbox.Flow{To: "shop/api", Port: 9090, Protocol: sandbox.UDP, Via: sandbox.ViaIP}, probe.Request{Kind: probe.DialUDP, Address: "10.0.0.2:9090"}},
		"outside":  {sandbox.Flow{To: "internet", Port: 443, Protocol: sandbox.TCP, Via: sandbox.ViaIP}, probe.Request{Kind: probe.DialTCP, Address: "172.18.0.9:443"}},
		"by name":  {sandbox.Flow{To: "shop/api", Port: 8080, Protocol: sandbox.TCP, Via: sandbox.ViaName, Service: "shop-api", ServicePort: 80}, probe.Request{Kind: probe.DialTCP, Address: ":80", Host: "shop-api.shop.svc.cluster.local.", Resolver: "10.96.0.10:53"}},
		"DNS, UDP": {sandbox.Flow{To: "kube-system/kube-dns", Port: 53, Protocol: sandbox.UDP, Via: sandbox.ViaDNS}, probe.Request{Kind: probe.AskDNSUDP, Address: "10.96.0.10:53", Host: "kubernetes.default.svc.cluster.local."}},
		"metrics":  {sandbox.Flow{To: "kube-system/kube-dns", Port: 9153, Protocol: sandbox.TCP, Via: sandbox.ViaIP}, probe.Request{Kind: probe.Connect, Address: "10.96.0.10:9153"}},
		"DNS, TCP": {sandbox.Flow{To: "kube-system/kube-dns", Port: 53, Protocol: sandbox.TCP, Via: sandbox.ViaDNS}, probe.Request{Kind: probe.AskDNSTCP, Address: "10.96.0.10:53", Host: "kubernetes.default.svc.cluster.local."}},
	} {
		t.Run(name, func(t *testing.T) {
			test.want.TimeoutMillis = 250
			if got, err := requestFor(test.flow, addrs, 250*time.Millisecond); err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
	for name, flow := range map[string]sandbox.Flow{
		"pod": {To: "shop/nobody", Via: sandbox.ViaIP}, "outside host": {To: "nowhere", Via: sandbox.ViaIP},
	} {
		if _, err := requestFor(flow, addrs, time.Second); err == nil {
			t.Errorf("%s without an address was to be dialled", name)
		}
	}
	for _, via := range []sandbox.Via{sandbox.ViaName, sandbox.ViaDNS} {
		if _, err := requestFor(sandbox.Flow{To: "shop/api", Via: via}, sandbox.Addresses{}, time.Second); err == nil {
			t.Errorf("a flow by %s without the DNS service's address was to be dialled", via)
		}
	}
}

func TestApplied_keeps_the_YAML_and_Written_takes_it_out_again(t *testing.T) {
	const text = "# why\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p\n  namespace: shop\n  annotations: {team: a}\nspec:\n  podSelector: {}\n"
	parsed, err := policy.Parse([]byte(text), policy.ParseOptions{Namespaces: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	sent := applied(parsed[0])
	if parsed[0].Annotations[annotationSource] != "" {
		t.Error("the caller's policy was changed")
	}
	sent.UID, sent.ManagedFields = "uid", []metav1.ManagedFieldsEntry{{Manager: fieldManager}}
	got := written(*sent)
	if got.Source != parsed[0].Source {
		t.Errorf("source %q, want %q", got.Source, parsed[0].Source)
	}
	if !maps.Equal(got.Annotations, map[string]string{"team": "a"}) || got.UID != "" || got.ManagedFields != nil {
		t.Errorf("additions show: %+v", got.ObjectMeta)
	}
}

func TestWritten_does_not_tell_a_text_whose_spec_kubectl_has_changed(t *testing.T) {
	const text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  podSelector: {}\n  # nobody\n  ingress: []\n"
	parsed, err := policy.Parse([]byte(text), policy.ParseOptions{Namespaces: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	sent := applied(parsed[0])
	if got := written(*sent); got.Source != parsed[0].Source {
		t.Errorf("unchanged: source %q, want %q", got.Source, parsed[0].Source)
	}
	sent.Spec.PodSelector.MatchLabels = map[string]string{"app": "web"}
	sent.Annotations[corev1.LastAppliedConfigAnnotation] = "{}"
	got := written(*sent)
	if strings.Contains(got.Source, "# nobody") || !strings.Contains(got.Source, "app: web") || strings.Contains(got.Source, "annotations") {
		t.Errorf("changed: source\n%s\nwant the YAML of what is in force", got.Source)
	}
}

func TestPatchOf_says_that_there_are_no_rules_where_there_are_none(t *testing.T) {
	for text, want := range map[string]string{
		"":                  `"egress":[],"ingress":[]`,
		"  ingress: [{}]\n": `"egress":[],"ingress":[{}]`,
		"  egress: [{}]\n":  `"egress":[{}],"ingress":[]`,
	} {
		parsed, err := policy.Parse([]byte("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  podSelector: {}\n"+text), policy.ParseOptions{Namespaces: []string{"shop"}})
		if err != nil {
			t.Fatal(err)
		}
		body, err := patchOf(applied(parsed[0]))
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%q: %s, %v; want %s in it", text, body, err, want)
		}
	}
}

func TestWritten_makes_YAML_where_none_was_kept(t *testing.T) {
	long := policy.Policy{NetworkPolicy: networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "long"}}, Source: strings.Repeat("#", maxSource+1)}
	sent := applied(long)
	if len(sent.Annotations) > 0 {
		t.Fatal("annotations would be too long for the API server")
	}
	got := written(*sent)
	if again, err := policy.Parse([]byte(got.Source), policy.ParseOptions{Namespaces: []string{"shop"}}); err != nil || again[0].Name != "long" {
		t.Errorf("%q cannot be read again: %v", got.Source, err)
	}
}

func TestProblemsOf_places_what_the_API_server_says(t *testing.T) {
	const text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p\n  namespace: shop\nspec:\n  podSelector: {}\n  ingress:\n  - ports:\n    - port: 7000\n"
	parsed, err := policy.Parse([]byte(text), policy.ParseOptions{Namespaces: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	kind := schema.GroupKind{Group: "networking.k8s.io", Kind: "NetworkPolicy"}
	invalid := apierrors.NewInvalid(kind, "p", field.ErrorList{field.Invalid(field.NewPath("spec", "ingress").Index(0).Child("ports").Index(0).Child("port"), 70000, "must be between 1 and 65535")})
	got := problemsOf(parsed[0], fmt.Errorf("patch: %w", invalid))
	if len(got) != 1 || got[0].Line != 10 || got[0].Field != "spec.ingress[0].ports[0].port" || !strings.Contains(got[0].Message, "65535") {
		t.Errorf("got %+v", got)
	}
	if got := problemsOf(parsed[0], apierrors.NewBadRequest("cannot be read")); len(got) != 1 || got[0].Line != 1 || !strings.Contains(got[0].Message, "cannot be read") {
		t.Errorf("got %+v", got)
	}
	for _, other := range []error{nil, errors.New("connection refused"), apierrors.NewForbidden(schema.GroupResource{}, "p", errors.New("no"))} {
		if got := problemsOf(parsed[0], other); got != nil {
			t.Errorf("%v was taken for a problem of the policy: %v", other, got)
		}
	}
}

// fakeOpen opens streams to probes that answer every request with the verdict that
// answer gives.
func fakeOpen(answer func(probe.Request) probe.Verdict) probe.OpenFunc {
	return func(ctx context.Context, pod string) (io.ReadWriteCloser, error) {
		requests, in := io.Pipe()
		out, responses := io.Pipe()
		go func() {
			enc := json.NewEncoder(responses)
			err := enc.Encode(probe.Response{Verdict: "hello"})
			for lines := bufio.NewScanner(requests); err == nil && lines.Scan(); {
				var r probe.Request
				if err = json.Unmarshal(lines.Bytes(), &r); err == nil {
					err = enc.Encode(probe.Response{ID: r.ID, Verdict: answer(r), Server: pod})
				}
			}
			responses.CloseWithError(err)
		}()
		return fakeStream{out, in}, nil
	}
}

type fakeStream struct {
	*io.PipeReader
	*io.PipeWriter
}

func (s fakeStream) Close() error { return errors.Join(s.PipeReader.Close(), s.PipeWriter.Close()) }

// fakeCanary is a canary whose probe gives the verdict that answer has for the target and
// for what the policy lets through.
func fakeCanary(t *testing.T, answer func(target, allowed string) probe.Verdict) *canary {
	t.Helper()
	var mu sync.Mutex
	allowed := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/namespaces/netpol-lab-system/networkpolicies/canary"):
			var p networkingv1.NetworkPolicy
			if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			allowed = "dns"
			if p.Spec.Egress[0].Ports[0].Port.IntValue() > 53 {
				allowed = "api"
			}
			fmt.Fprint(w, `{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}`)
		case strings.HasSuffix(r.URL.Path, "/namespaces/netpol-lab-system/pods"):
			fmt.Fprint(w, `{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "canary"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]}`)
		case strings.HasSuffix(r.URL.Path, "/services/kube-dns"):
			fmt.Fprint(w, `{"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.96.0.10"}}`)
		case strings.HasSuffix(r.URL.Path, "/services/kubernetes"):
			fmt.Fprint(w, `{"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.96.0.1"}}`)
		default:
			t.Errorf("not expected: %s %s", r.Method, r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	client, err := newAPI(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := newCanary(&access{Options: Options{Log: slog.New(slog.DiscardHandler)}, admin: client})
	c.prober = probe.NewProber(fakeOpen(func(r probe.Request) probe.Verdict {
		mu.Lock()
		defer mu.Unlock()
		return answer(map[string]string{"10.96.0.10:53": "dns", "10.96.0.1:443": "api"}[r.Address], allowed)
	}), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { c.prober.Close() })
	return &c
}

func TestCanary_proves_each_time_with_another_policy_than_before(t *testing.T) {
	opened := map[string]int{}
	var mu sync.Mutex
	c := fakeCanary(t, func(target, allowed string) probe.Verdict {
		if target != allowed {
			return probe.Blocked
		}
		mu.Lock()
		defer mu.Unlock()
		opened[target]++
		return probe.Open
	})
	for range 3 {
		if err := c.prove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// The first proof needs two turns: to DNS and to the API server.
	if opened["dns"] != 2 || opened["api"] != 2 {
		t.Errorf("seen open: %v, want both twice", opened)
	}
}

func TestCanary_finds_a_network_that_does_not_follow_its_policy(t *testing.T) {
	for name, answer := range map[string]func(target, allowed string) probe.Verdict{
		"ignores policies":  func(_, _ string) probe.Verdict { return probe.Open },
		"denies everything": func(_, _ string) probe.Verdict { return probe.Blocked },
		"follows none any more": func(target, _ string) probe.Verdict {
			if target == "dns" {
				return probe.Open
			}
			return probe.Blocked
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeCanary(t, answer)
			c.limit = 300 * time.Millisecond
			err := c.prove(t.Context())
			var failed *sandbox.Failure
			if !errors.As(err, &failed) || !strings.Contains(failed.Message, "does not enforce") || !errors.Is(err, sandbox.ErrNotEnforced) {
				t.Errorf("got %v, want to be told that nothing is enforced", err)
			}
		})
	}
}

func TestCanary_whoever_s_time_is_over_counts_and_only_what_was_measured_does(t *testing.T) {
	open := func(_, _ string) probe.Verdict { return probe.Open }
	unknown := func(_, _ string) probe.Verdict { return probe.Unknown }
	for name, test := range map[string]struct {
		answer func(target, allowed string) probe.Verdict
		end    func(context.Context) (context.Context, context.CancelFunc)
		want   bool
	}{
		"the caller's time":   {open, soon, true},
		"nothing is measured": {unknown, soon, false},
		"the caller gives up": {open, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(300*time.Millisecond, cancel)
			return ctx, cancel
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := test.end(t.Context())
			defer cancel()
			err := fakeCanary(t, test.answer).prove(ctx)
			if err == nil || errors.Is(err, sandbox.ErrNotEnforced) != test.want {
				t.Errorf("got %v, want ErrNotEnforced: %v", err, test.want)
			}
		})
	}
	t.Run("the API server hangs", func(t *testing.T) {
		c := fakeCanary(t, open)
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		defer server.Close()
		var err error
		if c.admin, err = newAPI(&rest.Config{Host: server.URL, QPS: -1}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := soon(t.Context())
		defer cancel()
		if err := c.prove(ctx); err == nil || errors.Is(err, sandbox.ErrNotEnforced) {
			t.Errorf("got %v, and nothing is known", err)
		}
	})
}

// soon is ctx with an end that comes soon.
func soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 300*time.Millisecond)
}

// fakeLab is a lab whose pods answer every request with the verdict that answer gives.
func fakeLab(t *testing.T, answer func(probe.Request) probe.Verdict) *Lab {
	t.Helper()
	c := newLab(&access{Options: Options{Log: slog.New(slog.DiscardHandler)}}, small(t))
	c.addrs, c.prober = addrs, probe.NewProber(fakeOpen(answer), c.Log)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLay_does_not_wait_for_ever_until_what_was_laid_is_gone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := newAPI(&rest.Config{Host: "http://api.test", QPS: -1, Transport: hangs{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		c := &Cluster{access: &access{Options: Options{Log: slog.New(slog.DiscardHandler), Patience: 2}, admin: client}}
		_, failed, err := c.Lay(ctx, small(t), nil)
		if err == nil || failed != LaySteps()[0] || !strings.Contains(err.Error(), "not cleared away within 2m0s") {
			t.Errorf("got %q, %v, want to be told that it was given up", failed, err)
		}
	})
}

// hangs is a connection over which nothing is answered.
type hangs struct{}

func (hangs) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestProbe_reports_every_flow_once_also_where_an_address_is_missing(t *testing.T) {
	c := fakeLab(t, func(probe.Request) probe.Verdict { return probe.Open })
	c.addrs.External = nil
	got := map[string]probe.Verdict{}
	reports := make(chan sandbox.Observation, 100)
	c.Probe(t.Context(), c.topology.Flows(), time.Second, func(o sandbox.Observation) { reports <- o })
	close(reports)
	for o := range reports {
		if _, twice := got[o.Flow]; twice {
			t.Errorf("%s was reported twice", o.Flow)
		}
		got[o.Flow] = o.Verdict
	}
	for _, f := range c.topology.Flows() {
		want := probe.Open
		if f.To == "internet" {
			want = probe.Unknown
		}
		if got[f.ID] != want {
			t.Errorf("%s: %q, want %q", f.ID, got[f.ID], want)
		}
	}
}

func TestRuns_what_is_told_of_before_the_node_has_started_does_not_count(t *testing.T) {
	c := newLab(&access{Options: Options{Log: slog.New(slog.DiscardHandler)}}, small(t))
	started := time.Now()
	pod := func(at time.Time, ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
			ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at.Truncate(time.Second))}}}},
		}}
	}
	if !c.runs(pod(started.Add(-time.Hour), corev1.ConditionTrue)) {
		t.Error("when the node started is not known, and a pod that is ready does not run")
	}
	c.since = started
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"of before":     {pod(started.Add(-time.Minute), corev1.ConditionTrue), false},
		"at the moment": {pod(started, corev1.ConditionTrue), true},
		"not ready":     {pod(started.Add(time.Minute), corev1.ConditionFalse), false},
		"started again": {pod(started.Add(time.Minute), corev1.ConditionTrue), true},
	} {
		if got := c.runs(test.pod); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestWatchUntil_begins_anew_when_the_watch_breaks_off(t *testing.T) {
	lists, watches := 0, 0
	list := func(context.Context, metav1.ListOptions) ([]corev1.Pod, string, error) {
		if lists++; lists == 1 {
			return nil, "", errors.New("not yet")
		}
		return []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "listed"}}}, "7", nil
	}
	watcher := func(_ context.Context, opts metav1.ListOptions) (watch.Interface, error) {
		if opts.ResourceVersion != "7" {
			t.Errorf("watched from version %q, want where the list ended", opts.ResourceVersion)
		}
		w := watch.NewFakeWithChanSize(1, false)
		if watches++; watches == 1 {
			w.Stop()
			return w, nil
		}
		w.Modify(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "changed"}})
		return w, nil
	}
	var seen []string
	err := watchUntil(t.Context(), metav1.ListOptions{}, list, watcher, func(p *corev1.Pod) bool {
		seen = append(seen, p.Name)
		return p.Name == "changed"
	})
	if err != nil || !reflect.DeepEqual(seen, []string{"listed", "listed", "changed"}) {
		t.Errorf("saw %v (%v)", seen, err)
	}
}

func TestWatchUntil_ends_with_its_time_and_says_why(t *testing.T) {
	why := errors.New("the node was not ready")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, why)
	defer cancel()
	err := watchUntil(ctx, metav1.ListOptions{},
		func(context.Context, metav1.ListOptions) ([]corev1.Pod, string, error) { return nil, "1", nil },
		func(context.Context, metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil },
		func(*corev1.Pod) bool { return false })
	if !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
}

func TestTopologyHash_tells_topologies_apart(t *testing.T) {
	other := small(t)
	other.Namespaces[0].Pods[0].Labels["app"] = "front"
	first, again := topologyHash(small(t)), topologyHash(small(t))
	if first != again || first == topologyHash(other) {
		t.Error("the hash is to follow the topology")
	}
}

func TestWatchPolicies_goes_on_after_refusals_and_broken_connections_and_tells_so(t *testing.T) {
	const event = `{"type":"ADDED","object":{"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"p","namespace":"shop"}}}` + "\n"
	asked := make(chan string, 100)
	tries := map[string]int{}
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		tries[r.URL.Path]++
		try := tries[r.URL.Path]
		mu.Unlock()
		asked <- fmt.Sprint(strings.Split(r.URL.Path, "/")[5], " ", try)
		w.Header().Set("Content-Type", "application/json")
		switch try {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		case 3: // answers, tells of half a change and is cut off
			_, _ = io.WriteString(w, event[:40])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.WriteString(w, event)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	client, err := newAPI(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, over := make(chan struct{}, 100), make(chan struct{})
	c := newLab(&access{policies: client}, small(t))
	go func() {
		defer close(over)
		c.WatchPolicies(ctx, func() { told <- struct{}{} })
	}()
	// Of each of the two namespaces: the watch that was cut off, the one that holds, and
	// what that tells of.
	for range 2 * 3 {
		<-told
	}
	cancel()
	<-over
	close(asked)
	got := map[string]bool{}
	for a := range asked {
		got[a] = true
	}
	for _, want := range []string{"shop 4", "other 4"} {
		if !got[want] {
			t.Errorf("%s is missing in what was asked: %v", want, got)
		}
	}
}

func TestAccount_a_token_is_used_again_and_renewed_before_it_expires(t *testing.T) {
	given := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := "/api/v1/namespaces/netpol-lab-system/serviceaccounts/policies/token"; r.URL.Path != want {
			t.Errorf("a token is asked for at %s, want %s", r.URL.Path, want)
		}
		given++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "status": {"token": "token-%d"}}`, given)
	}))
	defer server.Close()
	client, err := newAPI(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a := newAccount(client, PoliciesAccount)
	a.now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "token-1"}, {tokenLife/2 - time.Second, "token-1"}, {2 * time.Second, "token-2"},
		{-3 * time.Hour, "token-3"}, {time.Minute, "token-3"}, // The clock is put back: what is of the future is not valid yet.
		{8 * time.Hour, "token-4"},
	} {
		now = now.Add(step.after)
		if got, err := a.bearer(t.Context()); err != nil || got != step.want {
			t.Errorf("after %s: %q (%v), want %q", step.after, got, err, step.want)
		}
	}
	// While the machine sleeps only the clock on the wall goes on, and the token with it.
	if strings.Contains(a.granted.String(), "m=") {
		t.Errorf("the token's age is reckoned from %s, which is this process's own time", a.granted)
	}
}

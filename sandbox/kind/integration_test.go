//go:build integration

package kind

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// The tests share one cluster, the lesson's. They run in the order of this
// file: the last ones break it and remove it.
var (
	shared   *Provider
	lab      *cluster
	lessonID = sandbox.ID("lesson")
	topology *sandbox.Topology
	// before is what was on the machine before the first test.
	before machine
)

const (
	// patience is how long a change may take to show on a busy machine.
	patience = 30 * time.Second
	// answer is how long one flow's answer is waited for.
	answer = time.Second
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if topology, err = lessonTopology(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if shared, err = New(Options{Instance: "itest", Log: testLog()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := shared.Check(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "these tests need Docker and the node image:", err)
		return 1
	}
	if err := removeAll(ctx, shared); err != nil { // what a run that was cut off has left
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if before, err = takeStock(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	began := time.Now()
	c, err := shared.Create(ctx, sandbox.Spec{ID: lessonID, Topology: topology}, func(s sandbox.Step) {
		if s.Status != sandbox.StepRunning {
			fmt.Printf("%6.2fs  %s: %s\n", time.Since(began).Seconds(), s.Name, s.Status)
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "create the shared cluster:", err)
		return 1
	}
	lab = c.(*cluster)
	code := m.Run()
	if err := errors.Join(lab.Close(), removeAll(ctx, shared)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func lessonTopology() (*sandbox.Topology, error) {
	src, err := os.ReadFile("../../lessons/content/01-network-policies/topology.yaml")
	if err != nil {
		return nil, err
	}
	return sandbox.ParseTopology(src)
}

func testLog() *slog.Logger {
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func removeAll(ctx context.Context, p *Provider) error {
	ids, err := p.List(ctx)
	if err != nil {
		return err
	}
	for _, id := range append(ids, "none") {
		if err := p.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// machine is what a sandbox could leave behind.
type machine struct {
	containers, volumes, networks, tempDirs []string
	kubeconfig                              string
}

func takeStock() (machine, error) {
	var m machine
	var errs []error
	ids := func(args ...string) []string {
		out, err := docker(context.Background(), args...)
		errs = append(errs, err)
		return slices.Sorted(slices.Values(strings.Fields(out)))
	}
	ours := "name=netpol-lab-itest-"
	m.containers = ids("ps", "--all", "--filter", ours, "--format", "{{.Names}}")
	m.volumes = ids("volume", "ls", "--quiet")
	m.networks = ids("network", "ls", "--format", "{{.Name}}")
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "netpol-lab-kind-*"))
	m.tempDirs = dirs
	errs = append(errs, err)
	home, err := os.UserHomeDir()
	errs = append(errs, err)
	if text, err := os.ReadFile(filepath.Join(home, ".kube", "config")); err == nil {
		m.kubeconfig = string(text)
	} else if !os.IsNotExist(err) {
		errs = append(errs, err)
	}
	return m, errors.Join(errs...)
}

// leavesNothing compares the machine with what it was. Volumes may come and go
// with other users of the same Docker, so only those that a container of ours
// had are looked for.
func leavesNothing(t *testing.T, was machine, ourVolumes []string) {
	t.Helper()
	now, err := takeStock()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(now.containers, was.containers) {
		t.Errorf("containers: %v, before %v", now.containers, was.containers)
	}
	for _, v := range ourVolumes {
		if slices.Contains(now.volumes, v) {
			t.Errorf("volume %s is left", v)
		}
	}
	for _, n := range now.networks {
		if !slices.Contains(was.networks, n) && n != "kind" {
			t.Errorf("network %s is left", n)
		}
	}
	if now.kubeconfig != was.kubeconfig {
		t.Error("the user's kubeconfig has changed")
	}
}

// volumesOf lists the volumes of the node's container.
func volumesOf(t *testing.T, node string) []string {
	t.Helper()
	out, err := docker(t.Context(), "inspect", "--format", `{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}`, node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out)
}

// want is a row of an expectation: the verdict of the flows that match. The
// first row that matches a flow counts; a flow that none matches is to be open.
// Names are patterns as in path.Match; an empty one matches all.
type want struct {
	from, to string
	port     int
	via      sandbox.Via
	verdict  probe.Verdict
}

func (w want) matches(f sandbox.Flow) bool {
	like := func(pattern, s string) bool {
		ok, err := path.Match(pattern, s)
		if err != nil {
			panic(err)
		}
		return pattern == "" || ok
	}
	return like(w.from, f.From) && like(w.to, f.To) && (w.port == 0 || w.port == f.Port) && (w.via == "" || w.via == f.Via)
}

func expected(f sandbox.Flow, rows []want) probe.Verdict {
	for _, w := range rows {
		if w.matches(f) {
			return w.verdict
		}
	}
	return probe.Open
}

// measureAll measures every flow once.
func measureAll(t *testing.T, c sandbox.Cluster) map[string]sandbox.Observation {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]sandbox.Observation{}
	c.Probe(t.Context(), topology.Flows(), answer, func(o sandbox.Observation) {
		mu.Lock()
		defer mu.Unlock()
		if _, twice := seen[o.Flow]; twice {
			t.Errorf("%s was reported twice", o.Flow)
		}
		seen[o.Flow] = o
	})
	if len(seen) != len(topology.Flows()) {
		t.Errorf("%d flows were reported, want %d", len(seen), len(topology.Flows()))
	}
	return seen
}

// expect waits until every flow is as the rows say, and then measures all of
// them twice more: what has settled stays.
func expect(t *testing.T, c sandbox.Cluster, rows ...want) {
	t.Helper()
	for _, w := range rows {
		if !slices.ContainsFunc(topology.Flows(), w.matches) {
			t.Fatalf("no flow matches %+v", w)
		}
	}
	wrong := func() []string {
		var out []string
		seen := measureAll(t, c)
		for _, f := range topology.Flows() {
			got, want := seen[f.ID], expected(f, rows)
			switch {
			case got.Verdict != want:
				out = append(out, fmt.Sprintf("%s: %s, want %s (%s)", f.ID, got.Verdict, want, got.Detail))
			case want == probe.Open && f.Via != sandbox.ViaDNS && got.Server != f.To:
				out = append(out, fmt.Sprintf("%s: answered by %q", f.ID, got.Server))
			case want == probe.Open && got.LatencyMicros <= 0:
				out = append(out, f.ID+": open without a latency")
			}
		}
		return out
	}
	deadline := time.Now().Add(patience)
	left := wrong()
	for len(left) > 0 && time.Now().Before(deadline) {
		left = wrong()
	}
	if len(left) > 0 {
		t.Fatalf("%d flows are not as expected:\n%s", len(left), strings.Join(left, "\n"))
	}
	for range 2 {
		if left := wrong(); len(left) > 0 {
			t.Errorf("%d flows changed again:\n%s", len(left), strings.Join(left, "\n"))
		}
	}
}

func parse(t testing.TB, yaml string) []policy.Policy {
	t.Helper()
	policies, err := policy.Parse([]byte(yaml), policy.ParseOptions{Namespaces: topology.NamespaceNames()})
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

func apply(t testing.TB, yaml string) {
	t.Helper()
	if err := lab.Apply(t.Context(), parse(t, yaml)); err != nil {
		t.Fatal(err)
	}
}

// restore deletes every policy.
func restore(t testing.TB) {
	t.Helper()
	policies, err := lab.Policies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var refs []sandbox.PolicyRef
	for _, p := range policies {
		refs = append(refs, sandbox.PolicyRef{Namespace: p.Namespace, Name: p.Name})
	}
	if err := lab.Delete(t.Context(), refs); err != nil {
		t.Fatal(err)
	}
}

const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`

// denied is what denyAll does. The node's own traffic reaches the pods that run
// on it whatever a policy says, as the kubelet's probes must.
var denied = []want{
	{from: "monitoring/node-agent", verdict: probe.Open},
	{from: "production/*", via: sandbox.ViaName, verdict: probe.DNSFailed},
	{from: "production/*", verdict: probe.Blocked},
	{to: "production/*", verdict: probe.Blocked},
}

const webToAPI = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api-from-web, namespace: production}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 8080}]
`

const webMayAPI = `apiVersion: networking.k8s.io/v1
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

func TestKind_without_policies_everything_is_open(t *testing.T) {
	if got, want := len(topology.Flows()), 97; got < want {
		t.Errorf("%d flows, want at least %d", got, want)
	}
	expect(t, lab)
	policies, err := lab.Policies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(policies) > 0 {
		t.Errorf("policies are left of the creation: %v", policies[0].Name)
	}
}

func TestKind_default_deny_isolates_both_directions(t *testing.T) {
	defer restore(t)
	apply(t, denyAll)
	expect(t, lab, denied...)
}

func TestKind_a_flow_needs_both_ends_and_a_name_needs_DNS(t *testing.T) {
	defer restore(t)
	apply(t, denyAll)
	apply(t, webToAPI)
	expect(t, lab, denied...) // web may not send yet.

	apply(t, webMayAPI)
	open := want{from: "production/web", to: "production/api", port: 8080, via: sandbox.ViaIP, verdict: probe.Open}
	expect(t, lab, append([]want{open}, denied...)...)

	apply(t, allowDNS)
	expect(t, lab,
		want{from: "production/web", to: "production/api", port: 8080, verdict: probe.Open},
		want{from: "production/*", to: "kube-system/kube-dns", verdict: probe.Open},
		want{from: "monitoring/node-agent", verdict: probe.Open},
		want{from: "production/*", verdict: probe.Blocked},
		want{to: "production/*", verdict: probe.Blocked},
	)

	if err := lab.Delete(t.Context(), []sandbox.PolicyRef{{Namespace: "production", Name: "allow-dns"}, {Namespace: "production", Name: "never-was"}}); err != nil {
		t.Fatal(err)
	}
	expect(t, lab, append([]want{open}, denied...)...)
}

func TestKind_a_namespace_and_pod_selector_admits_prometheus_and_not_grafana(t *testing.T) {
	defer restore(t)
	apply(t, `apiVersion: networking.k8s.io/v1
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
	expect(t, lab,
		want{from: "monitoring/prometheus", to: "production/api", port: 9090, verdict: probe.Open},
		want{from: "monitoring/node-agent", verdict: probe.Open},
		want{to: "production/api", verdict: probe.Blocked},
	)
}

func TestKind_an_ipBlock_reaches_the_internet(t *testing.T) {
	defer restore(t)
	addr := lab.addrs.External["internet"]
	text := `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shell-egress, namespace: development}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: %s}]
`
	apply(t, fmt.Sprintf(text, fmt.Sprintf("{cidr: %s/32}", addr)))
	expect(t, lab,
		want{from: "development/shell", to: "internet", verdict: probe.Open},
		want{from: "development/shell", via: sandbox.ViaName, verdict: probe.DNSFailed},
		want{from: "development/shell", verdict: probe.Blocked},
	)
	apply(t, fmt.Sprintf(text, fmt.Sprintf("{cidr: 0.0.0.0/0, except: [%s/32]}", addr)))
	expect(t, lab, want{from: "development/shell", to: "internet", verdict: probe.Blocked})
}

func TestKind_UDP_is_denied_like_TCP(t *testing.T) {
	defer restore(t)
	apply(t, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: prometheus-no-statsd, namespace: monitoring}
spec:
  podSelector: {matchLabels: {app: prometheus}}
  policyTypes: [Ingress]
  ingress:
  - ports: [{port: 8125, protocol: TCP}, {port: 9090, protocol: TCP}]
`)
	expect(t, lab,
		want{from: "monitoring/node-agent", verdict: probe.Open},
		want{to: "monitoring/prometheus", port: 8125, verdict: probe.Blocked},
	)
}

func TestKind_a_host_network_pod_escapes(t *testing.T) {
	defer restore(t)
	apply(t, strings.ReplaceAll(denyAll, "production", "monitoring"))
	expect(t, lab,
		// The policy selects it, and is not carried out for it: neither as a
		// source nor as a destination.
		want{from: "monitoring/node-agent", verdict: probe.Open},
		want{from: "production/*", to: "monitoring/node-agent", verdict: probe.Open},
		want{from: "development/*", to: "monitoring/node-agent", verdict: probe.Open},
		want{from: "monitoring/*", via: sandbox.ViaName, verdict: probe.DNSFailed},
		want{from: "monitoring/*", verdict: probe.Blocked},
		want{to: "monitoring/*", verdict: probe.Blocked},
	)
}

func TestKind_deleting_the_policies_restores_everything(t *testing.T) {
	apply(t, denyAll)
	apply(t, allowDNS)
	expect(t, lab,
		want{from: "production/*", to: "kube-system/kube-dns", verdict: probe.Open},
		want{from: "monitoring/node-agent", verdict: probe.Open},
		want{from: "production/*", verdict: probe.Blocked},
		want{to: "production/*", verdict: probe.Blocked})
	restore(t)
	expect(t, lab)
}

func TestKind_policies_come_back_as_they_were_written(t *testing.T) {
	defer restore(t)
	commented := "# Nobody talks to anybody.\n" + denyAll
	apply(t, commented+"---\n"+allowDNS)
	got, err := lab.Policies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "allow-dns" || got[1].Name != "default-deny-all" {
		t.Fatalf("got %d policies, want allow-dns and default-deny-all", len(got))
	}
	if want := parse(t, commented)[0].Source; got[1].Source != want {
		t.Errorf("source:\n%s\nwant:\n%s", got[1].Source, want)
	}
	if len(got[1].Annotations) > 0 || len(got[1].ManagedFields) > 0 || got[1].UID != "" {
		t.Errorf("the lab's and the API server's additions show: %+v", got[1].ObjectMeta)
	}

	// Applied again without a field, the policy loses that field.
	apply(t, strings.Replace(denyAll, "[Ingress, Egress]", "[Ingress]", 1))
	got, err = lab.Policies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if types := got[1].Spec.PolicyTypes; len(types) != 1 || types[0] != "Ingress" {
		t.Errorf("policy types %v, want Ingress alone", types)
	}
}

func TestKind_what_the_API_server_refuses_has_a_position(t *testing.T) {
	err := lab.Apply(t.Context(), parse(t, strings.Replace(webToAPI, "port: 8080", "port: 70000", 1)))
	var refused *policy.Error
	if !errors.As(err, &refused) || len(refused.Problems) != 1 {
		t.Fatalf("got %v, want one problem", err)
	}
	p := refused.Problems[0]
	if p.Line != 9 || p.Column == 0 || p.Field != "spec.ingress[0].ports[0].port" || !strings.Contains(p.Message, "65535") {
		t.Errorf("got %+v, want line 9, the field and the bounds", p)
	}
}

func TestKind_of_two_policies_of_which_one_is_refused_none_is_applied(t *testing.T) {
	err := lab.Apply(t.Context(), parse(t, denyAll+"---\n"+strings.Replace(webToAPI, "port: 8080", "port: 70000", 1)))
	var refused *policy.Error
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a policy.Error", err)
	}
	if policies, err := lab.Policies(t.Context()); err != nil || len(policies) > 0 {
		t.Errorf("%d policies are applied, want none (%v)", len(policies), err)
	}
}

func TestKind_a_policy_for_another_namespace_is_refused(t *testing.T) {
	policies, err := policy.Parse([]byte(strings.Replace(denyAll, "production", "kube-system", 1)), policy.ParseOptions{Namespaces: []string{"kube-system"}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *policy.Error
	if err := lab.Apply(t.Context(), policies); !errors.As(err, &refused) || refused.Problems[0].Line != 5 {
		t.Errorf("got %v, want a policy.Error in line 5", err)
	}
	if list, err := lab.admin.NetworkingV1().NetworkPolicies("kube-system").List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("kube-system has %d policies (%v)", len(list.Items), err)
	}
}

func TestKind_the_accounts_may_do_nothing_else(t *testing.T) {
	ctx := t.Context()
	forbidden := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want it forbidden", what, err)
		}
	}
	for name, client := range map[string]attempts{"policies": {ctx, lab.policies}, "prober": {ctx, lab.pods}} {
		for _, what := range []string{"list secrets", "list all policies", "create policy in kube-system", "list nodes", "create pod", "delete pod", "update namespace", "create token", "create role binding"} {
			forbidden(name+": "+what, client.attempt(what))
		}
	}
	forbidden("policies: list pods", attempts{ctx, lab.policies}.attempt("list pods"))
	forbidden("prober: list policies", attempts{ctx, lab.pods}.attempt("list policies"))

	// And the API server's own list of what they may, beyond what every
	// account may ask about itself and about the API.
	for name, rules := range map[string]map[string][]string{
		policiesAccount: {"networkpolicies": {"create", "delete", "get", "list", "patch", "update", "watch"}},
		proberAccount:   {"pods": {"get", "list"}, "pods/exec": {"create", "get"}},
	} {
		client := map[string]attempts{policiesAccount: {ctx, lab.policies}, proberAccount: {ctx, lab.pods}}[name]
		for namespace, want := range map[string]map[string][]string{"production": rules, "kube-system": {}, "default": {}} {
			got, err := client.rules(namespace)
			if err != nil {
				t.Fatal(err)
			}
			if !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%s in %s may %v, want %v", name, namespace, got, want)
			}
		}
	}
}

func TestKind_pods_hold_no_credentials_and_no_privileges(t *testing.T) {
	for _, full := range topology.Sources() {
		namespace, name := splitName(full)
		pod, err := lab.admin.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(pod.Spec.Volumes) > 0 {
			t.Errorf("%s has volumes: %v", full, pod.Spec.Volumes)
		}
		if pod.Status.QOSClass != corev1.PodQOSBestEffort {
			t.Errorf("%s is %s", full, pod.Status.QOSClass)
		}
		for _, ns := range topology.Namespaces {
			for _, p := range ns.Pods {
				if ns.Name == namespace && p.Name == name && !maps.Equal(p.Labels, pod.Labels) {
					t.Errorf("%s has labels %v, want %v", full, pod.Labels, p.Labels)
				}
			}
		}
	}
}

func TestKind_a_token_is_renewed_before_it_expires(t *testing.T) {
	now := time.Now()
	a := newAccount(lab.admin, policiesAccount)
	a.now = func() time.Time { return now }
	first, err := a.bearer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.bearer(t.Context()); err != nil || again != first {
		t.Errorf("a fresh token was not used again (%v)", err)
	}
	now = now.Add(tokenLife/2 + time.Second)
	second, err := a.bearer(t.Context())
	if err != nil || second == first {
		t.Errorf("the token was not renewed (%v)", err)
	}
	review, err := lab.admin.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: second}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := review.Status.User.Username, "system:serviceaccount:netpol-lab-system:policies"; got != want {
		t.Errorf("the token is for %q, want %q", got, want)
	}
}

func TestKind_another_process_adopts_the_sandbox(t *testing.T) {
	defer restore(t)
	apply(t, denyAll)
	other, err := New(Options{Instance: "itest", Log: testLog()})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := other.List(t.Context())
	if err != nil || !slices.Equal(ids, []sandbox.ID{lessonID}) {
		t.Fatalf("List: %v, %v; want %s", ids, err, lessonID)
	}
	c, err := other.Adopt(t.Context(), sandbox.Spec{ID: lessonID, Topology: topology})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Health(t.Context()); err != nil {
		t.Error(err)
	}
	policies, err := c.Policies(t.Context())
	if err != nil || len(policies) != 1 || policies[0].Source != parse(t, denyAll)[0].Source {
		t.Errorf("policies after adoption: %v, %v", policies, err)
	}
	expect(t, c, denied...)

	otherTopology := *topology
	otherTopology.Namespaces = topology.Namespaces[:2]
	for what, spec := range map[string]sandbox.Spec{
		"one that is not there":   {ID: "nobody", Topology: topology},
		"one of another topology": {ID: lessonID, Topology: &otherTopology},
	} {
		if _, err := other.Adopt(t.Context(), spec); !errors.Is(err, sandbox.ErrGone) {
			t.Errorf("adopt %s: %v, want ErrGone", what, err)
		}
	}
	stranger, err := New(Options{Instance: "itest2", Log: testLog()})
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := stranger.List(t.Context()); err != nil || len(ids) > 0 {
		t.Errorf("another instance lists %v (%v)", ids, err)
	}
}

func TestKind_an_API_server_that_dies_comes_back(t *testing.T) {
	if err := lab.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := docker(t.Context(), "exec", lab.node, "pkill", "-KILL", "-f", "^(/usr/local/bin/)?kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	sick := false
	eventually(t, 3*time.Minute, "the API server is healthy again", func() bool {
		err := lab.Health(t.Context())
		if errors.Is(err, sandbox.ErrGone) {
			t.Fatalf("the cluster is called gone: %v", err)
		}
		sick = sick || err != nil
		return sick && err == nil
	})
	expect(t, lab)
	defer restore(t)
	apply(t, denyAll)
	expect(t, lab, denied...)
}

func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !done() {
		if !pause(ctx) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestKind_an_abandoned_create_leaves_nothing(t *testing.T) {
	for _, step := range []string{stepNames[stepNode], stepNames[stepKubernetes], stepNames[stepPods]} {
		t.Run(step, func(t *testing.T) {
			was, err := takeStock()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var volumes []string
			spec := sandbox.Spec{ID: "abandoned", Topology: topology}
			_, err = shared.Create(ctx, spec, func(s sandbox.Step) {
				if s.Name != step || s.Status != sandbox.StepRunning {
					return
				}
				if step != stepNames[stepNode] {
					volumes = volumesOf(t, nodeName(shared.clusterName(spec.ID)))
				}
				cancel()
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			if step != stepNames[stepNode] && len(volumes) == 0 {
				t.Error("the node had no volume, so nothing is proven of volumes")
			}
			leavesNothing(t, was, volumes)
			if ids, err := shared.List(t.Context()); err != nil || slices.Contains(ids, spec.ID) {
				t.Errorf("List: %v, %v", ids, err)
			}
		})
	}
}

// TestKind_a_full_disk_is_called_that puts a docker in front of the real one that
// fails as Docker does on a full disk.
func TestKind_a_full_disk_is_called_that(t *testing.T) {
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	was, err := takeStock()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in
"run --name netpol-lab-itest-full-control-plane"*)
	echo "docker: Error response from daemon: write /var/lib/docker/volumes: no space left on device." >&2
	exit 125 ;;
esac
exec %s "$@"
`, real)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	var last sandbox.Step
	_, err = shared.Create(t.Context(), sandbox.Spec{ID: "full", Topology: topology}, func(s sandbox.Step) { last = s })
	var failed *sandbox.Failure
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "disk") || strings.Contains(failed.Message, "/var/lib") {
		t.Errorf("got %v, want a sentence about the disk", err)
	}
	if last.Status != sandbox.StepFailed || last.Name != stepNames[stepNode] {
		t.Errorf("the last step told is %+v, want the first one failed", last)
	}
	leavesNothing(t, was, nil)
}

// TestKind_a_stock_node_gets_Calico_from_a_manifest uses a node image that does
// not say that it brings Calico, as stock images do not.
func TestKind_a_stock_node_gets_Calico_from_a_manifest(t *testing.T) {
	images, err := nodeimage.Build(t.Context(), nodeimage.Options{Repo: "../..", Stock: true})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(images.Stock.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(manifest) }))
	defer site.Close()

	p, err := New(Options{Instance: "itest3", NodeImage: images.Stock.Node, CalicoManifest: site.URL, LoadImages: images.Stock.Archives, Log: testLog()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeAll(context.Background(), p); err != nil {
			t.Error(err)
		}
	})
	c, err := p.Create(t.Context(), sandbox.Spec{ID: "stock", Topology: topology}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect(t, c)
}

func TestKind_a_restarted_node_is_measured_again(t *testing.T) {
	if _, err := docker(t.Context(), "restart", lab.node); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, "every flow is open again", func() bool {
		for _, o := range measureAll(t, lab) {
			if o.Verdict != probe.Open {
				return false
			}
		}
		return true
	})
	expect(t, lab)
}

func TestKind_a_node_that_was_killed_is_gone(t *testing.T) {
	if _, err := docker(t.Context(), "kill", lab.node); err != nil {
		t.Fatal(err)
	}
	if err := lab.Health(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Health: %v, want ErrGone", err)
	}
	if _, err := shared.Adopt(t.Context(), sandbox.Spec{ID: lessonID, Topology: topology}); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Adopt: %v, want ErrGone", err)
	}
	for _, o := range measureAll(t, lab) {
		if o.Verdict != probe.Unknown || o.Detail == "" {
			t.Fatalf("%s is %s (%s), want unknown with a reason", o.Flow, o.Verdict, o.Detail)
		}
	}
}

func TestKind_delete_leaves_nothing(t *testing.T) {
	volumes := volumesOf(t, lab.node)
	if len(volumes) == 0 {
		t.Error("the node has no volume, so nothing is proven of volumes")
	}
	for range 2 { // The second time there is nothing to delete.
		if err := shared.Delete(t.Context(), lessonID); err != nil {
			t.Fatal(err)
		}
		leavesNothing(t, before, volumes)
	}
	if hosts, err := containersWith(t.Context(), labelInternet+"=itest"); err != nil || len(hosts) > 0 {
		t.Errorf("the internet is left: %v (%v)", hosts, err)
	}
	if err := lab.Health(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Health: %v, want ErrGone", err)
	}
}

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
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kind/kindtest"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/nodeimage"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// The tests share one cluster, the lesson's. They run in the order of this
// file: the last ones break it and remove it.
var (
	shared   *Provider
	base     *booted
	lab      *laid
	lessonID = sandbox.ClusterID("lesson")
	topology *sandbox.Topology
	// before is what was on the machine before the first test.
	before kindtest.Machine
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
	if before, err = kindtest.Look(ctx, "itest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	began := time.Now()
	tell := func(s sandbox.Step) {
		if s.Status != sandbox.StepRunning {
			fmt.Printf("%6.2fs  %s: %s\n", time.Since(began).Seconds(), s.Name, s.Status)
		}
	}
	b, c, err := create(ctx, shared, lessonID, topology, tell)
	if err != nil {
		fmt.Fprintln(os.Stderr, "create the shared cluster:", err)
		return 1
	}
	base, lab = b.(*booted), c.(*laid)
	code := m.Run()
	if err := errors.Join(base.Close(), removeAll(ctx, shared)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	left, err := before.Left(ctx, leftLimit, nil)
	if left = append(left, kindtest.Goroutines(leftLimit)...); err != nil || len(left) > 0 {
		fmt.Fprintf(os.Stderr, "after all tests, left are (%v):\n%s\n", err, strings.Join(left, "\n"))
		return 1
	}
	return code
}

// create boots a cluster and lays the topology in it.
func create(ctx context.Context, p *Provider, id sandbox.ClusterID, t *sandbox.Topology, progress sandbox.Progress) (sandbox.Booted, sandbox.Cluster, error) {
	b, err := p.Boot(ctx, id, progress)
	if err != nil {
		return nil, nil, err
	}
	c, err := b.Lay(ctx, t, progress)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return b, c, nil
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
	for _, id := range ids {
		if err := p.Delete(ctx, id); err != nil {
			return err
		}
	}
	return p.Sweep(ctx)
}

// leavesNothing compares the machine with what it was.
func leavesNothing(t *testing.T, was kindtest.Machine, ourVolumes []string) {
	t.Helper()
	left, err := was.Left(t.Context(), leftLimit, ourVolumes)
	if err != nil || len(left) > 0 {
		t.Errorf("left are (%v):\n%s", err, strings.Join(left, "\n"))
	}
}

// leftLimit is how long what was ended may take until it is gone.
const leftLimit = 5 * time.Second

// takeStock looks at the machine as it is.
func takeStock(t *testing.T) kindtest.Machine {
	t.Helper()
	was, err := kindtest.Look(t.Context(), "itest")
	if err != nil {
		t.Fatal(err)
	}
	return was
}

// volumesOf lists the volumes of the node's container.
func volumesOf(t *testing.T, node string) []string {
	t.Helper()
	volumes, err := kindtest.Volumes(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return volumes
}

// expect waits until every flow is as the rows say.
func expect(t testing.TB, c sandbox.Cluster, rows ...sandboxtest.Want) {
	t.Helper()
	labOf(c).Expect(t, rows...)
}

func labOf(c sandbox.Cluster) sandboxtest.Lab {
	return sandboxtest.Lab{Cluster: c, Topology: topology, Measured: true}
}

// TestKind_keeps_the_contract_of_a_provider makes sandboxes of its own.
func TestKind_keeps_the_contract_of_a_provider(t *testing.T) {
	was := takeStock(t)
	sandboxtest.TestProvider(t, sandboxtest.Contract{
		Open: func(t *testing.T) sandbox.Provider {
			p, err := New(Options{Instance: "itest", Log: testLog()})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Topology: topology,
		Measured: true,
	})
	leavesNothing(t, was, nil)
}

// What kubectl does in the node is what the terminal does, and whoever has a shell there.
func TestKind_what_kubectl_does_to_the_policies_is_told_in_well_under_a_second(t *testing.T) {
	id := sandbox.ID("kubectl")
	m, err := sandbox.NewManager(sandbox.Options{Provider: adopting{}, Records: recorded(t, id), Lab: func(context.Context, string, string) (*sandbox.Topology, error) { return topology, nil }, Log: testLog()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	sub, err := m.Subscribe(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	eventOf(t, sub, func(e sandbox.Event) bool { return e.Settled != nil || e.Snapshot != nil && e.Snapshot.Settled != nil })
	kubectl := func(yaml string, args ...string) (answered time.Time) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "docker", append([]string{"exec", "-i", lab.booted.node(), "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"}, args...)...)
		cmd.Stdin = strings.NewReader(yaml)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
		return time.Now()
	}
	told := func(answered time.Time) *sandbox.PolicyChange {
		t.Helper()
		e := eventOf(t, sub, func(e sandbox.Event) bool { return e.Policies != nil })
		t.Logf("told %s after kubectl had its answer", e.Time.Sub(answered).Round(time.Millisecond))
		if late := e.Time.Sub(answered); late > 500*time.Millisecond {
			t.Errorf("told %s after kubectl had its answer", late)
		}
		if e.Policies.Origin != sandbox.OriginCluster {
			t.Errorf("the origin is %q", e.Policies.Origin)
		}
		return e.Policies
	}
	if c := told(kubectl(sandboxtest.DenyProduction, "apply", "-f", "-")); len(c.Added) != 1 {
		t.Errorf("apply: %+v, want one more", c)
	}
	settled := eventOf(t, sub, func(e sandbox.Event) bool { return e.Settled != nil }).Settled
	if settled.Flips == 0 {
		t.Error("nothing turned")
	}
	if c := told(kubectl("", "label", "networkpolicy", "-n", "production", "default-deny-all", "team=a")); len(c.Changed) != 1 {
		t.Errorf("label: %+v, want one changed", c)
	}
	if c := told(kubectl("", "patch", "networkpolicy", "-n", "production", "default-deny-all", "--type=merge", "-p", `{"spec":{"ingress":[{}]}}`)); len(c.Changed) != 1 {
		t.Errorf("patch: %+v, want one changed", c)
	}
	// What the lab applies takes the place of all that kubectl has put there.
	if _, err := m.Apply(t.Context(), id, []byte(sandboxtest.DenyProduction)); err != nil {
		t.Fatal(err)
	}
	expect(t, lab, sandboxtest.ProductionDenied...)
	eventOf(t, sub, func(e sandbox.Event) bool { return e.Policies != nil && e.Policies.Origin == sandbox.OriginApply })
	if c := told(kubectl("", "patch", "networkpolicy", "-n", "production", "default-deny-all", "--type=merge", "-p", `{"spec":{"ingress":[{}]}}`)); len(c.Changed) != 1 {
		t.Errorf("patch of what the lab applied: %+v, want one changed", c)
	}
	if s, _, err := m.Get(id); err != nil || len(s.Policies) != 1 || !strings.Contains(s.Policies[0].YAML, "ingress:\n  - {}") {
		t.Errorf("the text is that of before: %+v, %v", s.Policies, err)
	}
	if c := told(kubectl("", "delete", "networkpolicy", "-n", "production", "--all")); len(c.Removed) != 1 {
		t.Errorf("delete: %+v, want one fewer", c)
	}
	expect(t, lab)
}

// A learner's own lab with everything that one can have: labels, notes, UDP, named ports,
// several Services' ports, a pod in the node's network, outside hosts.
func TestKind_bears_a_lab_of_a_learner_s_own(t *testing.T) {
	_, own, err := sandbox.ParseOwn([]byte(`
name: Everything of my own
namespaces:
- name: shop
  labels: {team: a}
  pods:
  - {name: web, labels: {app: web}, ports: [{name: http, port: 8080}]}
  - {name: db, note: the orders, labels: {app: db}, ports: [{name: sql, port: 5432}, {name: stats, port: 8125, protocol: UDP}]}
  services:
  - {name: store, pod: db, ports: [{name: sql, port: 80, targetPort: 5432}, {name: stats, port: 81, targetPort: 8125, protocol: UDP}]}
- name: other
  pods:
  - {name: agent, hostNetwork: true, ports: [{port: 20100}]}
  - {name: idle}
external:
- {name: partner, ports: [{port: 443}]}
- {name: clock, address: 198.51.100.7, ports: [{port: 123, protocol: UDP}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	const id sandbox.ClusterID = "own"
	b, c, err := create(t.Context(), shared, id, own, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), shared.Delete(context.Background(), id)); err != nil {
			t.Error(err)
		}
		// Its outside hosts go with it; the lesson's stay.
		if hosts, want := outsideHosts(t), []string{"internet", "office", "resolver"}; !slices.Equal(hosts, want) {
			t.Errorf("the outside hosts are %v, want %v", hosts, want)
		}
	})
	if hosts, want := outsideHosts(t), []string{"clock", "internet", "office", "partner", "resolver"}; !slices.Equal(hosts, want) {
		t.Errorf("the outside hosts are %v, want %v", hosts, want)
	}
	mine := sandboxtest.Lab{Cluster: c, Topology: own, Measured: true}
	mine.Expect(t)
	mine.Apply(t, strings.ReplaceAll(sandboxtest.DenyProduction, "namespace: production", "namespace: shop"))
	mine.Expect(t,
		sandboxtest.Want{From: "other/agent", Verdict: probe.Open},
		sandboxtest.Want{From: "shop/*", Via: sandbox.ViaName, Verdict: probe.DNSFailed},
		sandboxtest.Want{From: "shop/*", Verdict: probe.Blocked},
		sandboxtest.Want{To: "shop/*", Verdict: probe.Blocked},
	)
	mine.Restore(t)
	mine.Expect(t)
}

// outsideHosts are the names of the outside hosts that there are containers of.
func outsideHosts(t *testing.T) []string {
	t.Helper()
	all, err := containersWith(context.Background(), labelInternet+"=itest")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range all {
		rest := strings.TrimPrefix(name, shared.clusterPrefix())
		names = append(names, rest[:strings.LastIndex(rest, "-")])
	}
	slices.Sort(names)
	return names
}

// Docker starts what has failed again, and knows nothing of the address that it had.
func TestKind_an_outside_host_that_starts_again_is_in_reach_again_by_itself(t *testing.T) {
	all, err := containersWith(t.Context(), labelInternet+"=itest")
	if err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if strings.HasPrefix(name, shared.clusterPrefix()+"internet-") {
			if _, err := docker(t.Context(), "restart", "--time", "0", name); err != nil {
				t.Fatal(err)
			}
		}
	}
	outside := sandboxtest.Want{From: "*/*", To: "internet", Verdict: probe.Blocked}
	expect(t, lab, outside)
	if err := lab.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, lab)
}

// Calico starts while kubeadm is at work, and may be there before kubeadm's configuration.
func TestKind_Calico_knows_the_pods_addresses_without_kubeadm_s_configuration(t *testing.T) {
	node := func(command string) string {
		t.Helper()
		out, err := docker(t.Context(), "exec", "--env", "KUBECONFIG=/etc/kubernetes/admin.conf", lab.booted.node(), "sh", "-ec", command)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	kubeadm := node("kubectl get configmap -n kube-system kubeadm-config -o yaml")
	t.Cleanup(func() {
		if _, err := dockerInput(context.Background(), strings.NewReader(kubeadm), "exec", "-i", lab.booted.node(), "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "create", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	node("kubectl delete configmap -n kube-system kubeadm-config; kubectl delete ippools.crd.projectcalico.org --all; kill $(pidof calico-node)")
	var pools string
	eventually(t, time.Minute, "there is a pool of addresses", func() bool {
		pools = node("kubectl get ippools.crd.projectcalico.org -o jsonpath='{.items[*].spec.cidr}'")
		return pools != ""
	})
	if pools != nodeimage.PodSubnet {
		t.Errorf("the pool of addresses is %s, want %s", pools, nodeimage.PodSubnet)
	}
	expect(t, lab)
}

// adopting is a provider of the one cluster.
type adopting struct{ sandbox.Provider }

func (adopting) Name() string                                    { return "kind" }
func (adopting) Check(context.Context) error                     { return nil }
func (adopting) Steps() sandbox.Steps                            { return shared.Steps() }
func (adopting) Delete(context.Context, sandbox.ClusterID) error { return nil }
func (adopting) List(context.Context) ([]sandbox.ClusterID, error) {
	return []sandbox.ClusterID{lessonID}, nil
}
func (adopting) Sweep(context.Context) error { return nil }
func (adopting) Adopt(context.Context, sandbox.ClusterID) (sandbox.Booted, error) {
	return open{base}, nil
}

// open is a cluster that stays open, for the tests that follow.
type open struct{ *booted }

func (open) Laid(context.Context, *sandbox.Topology) (sandbox.Cluster, error) {
	return openLab{lab}, nil
}
func (open) Close() error { return nil }

type openLab struct{ *laid }

func (openLab) Close() error { return nil }

func recorded(t *testing.T, id sandbox.ID) *sandboxtest.Records {
	t.Helper()
	records := &sandboxtest.Records{}
	if err := records.Save(t.Context(), sandbox.Record{ID: id, Cluster: lessonID, Owner: "ann", Lab: topology.Name, State: sandbox.Ready, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return records
}

func TestKind_the_accounts_may_do_nothing_else(t *testing.T) {
	ctx := t.Context()
	forbidden := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want it forbidden", what, err)
		}
	}
	as := func(account string) attempts {
		t.Helper()
		token, err := clientOf(t, administrator(t)).CoreV1().ServiceAccounts(kubernetes.SystemNamespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		config := rest.AnonymousClientConfig(administrator(t))
		config.BearerToken = token.Status.Token
		return attempts{ctx, clientOf(t, config)}
	}
	clients := map[string]attempts{kubernetes.PoliciesAccount: as(kubernetes.PoliciesAccount), kubernetes.ProberAccount: as(kubernetes.ProberAccount)}
	for name, client := range clients {
		for _, what := range []string{"list secrets", "list all policies", "create policy in kube-system", "list nodes", "create pod", "delete pod", "update namespace", "create token", "create role binding"} {
			forbidden(name+": "+what, client.attempt(what))
		}
	}
	forbidden("policies: list pods", clients[kubernetes.PoliciesAccount].attempt("list pods"))
	forbidden("prober: list policies", clients[kubernetes.ProberAccount].attempt("list policies"))

	// And the API server's own list of what they may, beyond what every
	// account may ask about itself and about the API.
	for name, rules := range map[string]map[string][]string{
		kubernetes.PoliciesAccount: {"networkpolicies": {"create", "delete", "get", "list", "patch", "update", "watch"}},
		kubernetes.ProberAccount:   {"pods": {"get", "list"}, "pods/exec": {"create", "get"}},
	} {
		client := clients[name]
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

// administrator is the config of the shared cluster's administrator.
func administrator(t *testing.T) *rest.Config {
	t.Helper()
	kubeconfig, err := docker(t.Context(), "exec", lab.booted.node(), "cat", "/etc/kubernetes/admin.conf")
	if err != nil {
		t.Fatal(err)
	}
	node, err := inspectContainer(t.Context(), lab.booted.node())
	if err != nil {
		t.Fatal(err)
	}
	address, err := node.published("6443/tcp")
	if err != nil {
		t.Fatal(err)
	}
	config, err := kubernetes.AdminConfig([]byte(kubeconfig), address)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func clientOf(t *testing.T, config *rest.Config) clientset.Interface {
	t.Helper()
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestKind_pods_hold_no_credentials_and_no_privileges(t *testing.T) {
	client := clientOf(t, administrator(t))
	for _, full := range topology.Sources() {
		namespace, name, _ := strings.Cut(full, "/")
		pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(pod.Spec.Volumes) > 0 {
			t.Errorf("%s has volumes: %v", full, pod.Spec.Volumes)
		}
		// With limits, and with a score by which the kernel ends it before etcd.
		if pod.Status.QOSClass != corev1.PodQOSBurstable {
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

func TestKind_the_sandboxes_of_another_instance_are_not_listed(t *testing.T) {
	stranger, err := New(Options{Instance: "itest2", Log: testLog()})
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := stranger.List(t.Context()); err != nil || len(ids) > 0 {
		t.Errorf("another instance lists %v (%v)", ids, err)
	}
}

// What a server that was killed has left is this instance's by its label or name; beside it
// are things of others that look much like it.
func TestKind_what_is_nobody_s_is_found_and_removed_and_what_is_another_s_stays(t *testing.T) {
	hosts := outsideHosts(t)
	var containers []string
	leave := func(name string, labels ...string) {
		args := []string{"create", "--name", name, "--volume", "/left"}
		for _, l := range labels {
			args = append(args, "--label", l)
		}
		if _, err := docker(t.Context(), append(args, shared.opts.NodeImage)...); err != nil {
			t.Fatal(err)
		}
		containers = append(containers, name)
		t.Cleanup(func() {
			if err := removeContainer(context.Background(), name); err != nil {
				t.Error(err)
			}
		})
	}
	leave("netpol-lab-itest-late-control-plane", labelCluster+"=netpol-lab-itest-late")
	leave("netpol-lab-itest-old-12345678", labelInternet+"=itest")
	volumes := append(volumesOf(t, containers[0]), volumesOf(t, containers[1])...)
	others := len(containers)
	leave("netpol-lab-itestx-late-control-plane", labelCluster+"=netpol-lab-itestx-late")
	leave("netpol-lab-itestx-old-12345678", labelInternet+"=itestx")
	leave("itest-somebodys-control-plane", labelCluster+"=itest-somebodys")
	leave("netpol-lab-itest-stranger") // with our name, and no label of ours

	var folders []string
	for _, name := range []string{"itest-folder", "itestx-folder", "itestx-late"} {
		dir := scratch("netpol-lab-" + name)
		if err := os.MkdirAll(filepath.Join(dir, "inside"), 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		folders = append(folders, dir)
	}

	// As the Manager does, at its start and hourly.
	ids, err := shared.List(t.Context())
	if err != nil || !slices.Equal(ids, []sandbox.ClusterID{"folder", "late", lessonID}) {
		t.Fatalf("listed are %v, %v", ids, err)
	}
	for _, id := range ids[:2] {
		if err := shared.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := shared.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	there := func(name string) bool {
		_, err := inspectContainer(t.Context(), name)
		if err != nil && !errors.Is(err, errNoSuchObject) {
			t.Fatal(err)
		}
		return err == nil
	}
	for i, name := range containers {
		if got, want := there(name), i >= others; got != want {
			t.Errorf("container %s is there: %v, want %v", name, got, want)
		}
	}
	for i, dir := range folders {
		if _, err := os.Stat(dir); (err == nil) != (i > 0) {
			t.Errorf("folder %s: %v", dir, err)
		}
	}
	if now := outsideHosts(t); !slices.Equal(now, hosts) {
		t.Errorf("the outside hosts in use were %v, and are %v", hosts, now)
	}
	left, err := docker(t.Context(), "volume", "ls", "--quiet")
	for _, v := range volumes {
		if err != nil || slices.Contains(strings.Fields(left), v) {
			t.Errorf("volume %s is left (%v)", v, err)
		}
	}
	expect(t, lab)
}

func TestKind_an_API_server_that_dies_comes_back(t *testing.T) {
	if err := lab.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := docker(t.Context(), "exec", lab.booted.node(), "pkill", "-KILL", "-f", "^(/usr/local/bin/)?kube-apiserver"); err != nil {
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
	defer labOf(lab).Restore(t)
	labOf(lab).Apply(t, sandboxtest.DenyProduction)
	expect(t, lab, sandboxtest.ProductionDenied...)
}

func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !done() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestKind_an_abandoned_boot_leaves_nothing(t *testing.T) {
	steps := shared.Steps().Boot
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			was := takeStock(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var volumes []string
			const id = sandbox.ClusterID("abandoned")
			_, err := shared.Boot(ctx, id, func(s sandbox.Step) {
				if s.Name != step || s.Status != sandbox.StepRunning {
					return
				}
				if i > 0 {
					volumes = volumesOf(t, nodeName(shared.clusterName(id)))
				}
				cancel()
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			if i > 0 && len(volumes) == 0 {
				t.Error("the node had no volume, so nothing is proven of volumes")
			}
			leavesNothing(t, was, volumes)
			if ids, err := shared.List(t.Context()); err != nil || slices.Contains(ids, id) {
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
	was := takeStock(t)
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
	_, err = shared.Boot(t.Context(), "full", func(s sandbox.Step) { last = s })
	var failed *sandbox.Failure
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "disk") || strings.Contains(failed.Message, "/var/lib") {
		t.Errorf("got %v, want a sentence about the disk", err)
	}
	if last.Status != sandbox.StepFailed || last.Name != shared.Steps().Boot[0] {
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
	b, c, err := create(t.Context(), p, "stock", topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	expect(t, c)

	// It is kept to itself like any other, also when it starts anew.
	node := c.(*laid).booted.node()
	keepsFromTheHost(t, node)
	if _, err := docker(t.Context(), "restart", node); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, "it is healthy again", func() bool { return c.Health(t.Context()) == nil })
	startsFiltered(t, node)
	keepsFromTheHost(t, node)
}

func TestKind_a_restarted_node_is_measured_again(t *testing.T) {
	if _, err := docker(t.Context(), "restart", lab.booted.node()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, "every flow is open again", func() bool {
		for _, o := range labOf(lab).Measure(t) {
			if o.Verdict != probe.Open {
				return false
			}
		}
		return true
	})
	expect(t, lab)
	startsFiltered(t, lab.booted.node())
	keepsFromTheHost(t, lab.booted.node())
	host := []place{{"the host", gatewayOf(t, lab.booted.node()), listens(t)}}
	if found := reachedFromPod(t, "production", "web", host); len(found) > 0 {
		t.Errorf("a lab pod reaches %v", found)
	}

	// The DNS pods have other addresses by now, and so have all the others.
	eventually(t, time.Minute, "what is allowed by the DNS pods' addresses is open", func() bool {
		if err := lab.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		var blocks []string
		for _, addr := range lab.Addresses().DNSPods {
			blocks = append(blocks, fmt.Sprintf("{ipBlock: {cidr: %s/32}}", addr))
		}
		labOf(lab).Apply(t, fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: by-address, namespace: development}\nspec:\n"+
			"  podSelector: {matchLabels: {app: shell}}\n  policyTypes: [Egress]\n  egress: [{to: [%s]}]\n", strings.Join(blocks, ", ")))
		seen := labOf(lab).Measure(t)
		return seen["development/shell>kube-system/kube-dns:53/UDP"].Verdict == probe.Open && seen["development/shell>resolver:53/UDP"].Verdict == probe.Blocked
	})
	labOf(lab).Restore(t)
}

func TestKind_a_node_that_was_killed_comes_back_with_its_policies(t *testing.T) {
	labOf(lab).Apply(t, sandboxtest.DenyProduction)
	defer labOf(lab).Restore(t)
	expect(t, lab, sandboxtest.ProductionDenied...)
	if _, err := docker(t.Context(), "kill", lab.booted.node()); err != nil {
		t.Fatal(err)
	}
	for _, o := range labOf(lab).Measure(t) {
		if o.Verdict != probe.Unknown || o.Detail == "" {
			t.Fatalf("%s is %s (%s), want unknown with a reason", o.Flow, o.Verdict, o.Detail)
		}
	}
	began, sick := time.Now(), false
	eventually(t, 3*time.Minute, "the node is healthy again", func() bool {
		err := lab.Health(t.Context())
		if errors.Is(err, sandbox.ErrGone) {
			t.Fatalf("the cluster is called gone: %v", err)
		}
		sick = sick || err != nil
		return sick && err == nil
	})
	t.Logf("the API server was ready %s after the node was killed", time.Since(began).Round(100*time.Millisecond))
	expect(t, lab, sandboxtest.ProductionDenied...)
	t.Logf("every flow was as it should be %s after the node was killed", time.Since(began).Round(100*time.Millisecond))
	if err := base.Wake(t.Context()); err != nil {
		t.Errorf("policies are not proven: %v", err)
	}
}

func TestKind_a_node_that_stopped_unseen_is_adopted(t *testing.T) {
	if _, err := docker(t.Context(), "kill", lab.booted.node()); err != nil {
		t.Fatal(err)
	}
	if err := base.Close(); err != nil {
		t.Error(err)
	}
	b, err := shared.Adopt(t.Context(), lessonID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Laid(t.Context(), topology)
	if err != nil {
		t.Fatal(err)
	}
	base, lab = b.(*booted), c.(*laid)
	expect(t, lab)
}

func TestKind_delete_leaves_nothing(t *testing.T) {
	volumes := volumesOf(t, lab.booted.node())
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

// eventOf waits for an event that passes, a minute at most.
func eventOf(t *testing.T, sub *sandbox.Subscription, passes func(sandbox.Event) bool) sandbox.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		events, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if passes(e) {
				return e
			}
		}
	}
}

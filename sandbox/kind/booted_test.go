//go:build integration

package kind

import (
	"context"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

var pauseFor = flag.Duration("pause", 65*time.Second, "how long TestBooted_a_pause pauses")

// inNode runs a command in the shared cluster's node, with kubectl as its administrator.
func inNode(t testing.TB, command string) string {
	t.Helper()
	out, err := docker(t.Context(), "exec", "--env", "KUBECONFIG=/etc/kubernetes/admin.conf", base.node(), "sh", "-ec", command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lays lays the topology in the shared cluster.
func lays(t testing.TB, topology *sandbox.Topology) *laid {
	t.Helper()
	began := time.Now()
	c, err := base.Lay(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s was laid in %s", topology.Name, time.Since(began).Round(10*time.Millisecond))
	return c.(*laid)
}

// A pause as long as this ends every stream whose other end is asked for a sign of life.
func TestBooted_a_pause_keeps_streams_and_policies_and_hangs_nobody(t *testing.T) {
	labOf(lab).Apply(t, sandboxtest.DenyProduction)
	defer labOf(lab).Restore(t)
	expect(t, lab, sandboxtest.ProductionDenied...)
	const streams = "pgrep -f '^/netpol-probe dial' | sort"
	before := inNode(t, streams)
	if n := len(strings.Fields(before)); n != 9 {
		t.Errorf("there are %d streams, want one for each pod and the canary's", n)
	}
	if err := base.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	thawed := time.After(*pauseFor)
	if err := lab.Health(t.Context()); err != nil {
		t.Errorf("Health of what is paused: %v", err)
	}
	for id, o := range labOf(lab).Measure(t) {
		if o.Verdict != probe.Unknown || !strings.Contains(o.Detail, "paused") {
			t.Errorf("%s is %s (%s), want unknown with the reason", id, o.Verdict, o.Detail)
		}
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := lab.Policies(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(asked) > 3*time.Second {
		t.Errorf("Policies of what is paused: %v after %s, want it to end with its time", err, time.Since(asked))
	}
	<-thawed
	began := time.Now()
	if err := base.Wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("woken in %s after %s", time.Since(began).Round(time.Millisecond), *pauseFor)
	for id, o := range labOf(lab).Measure(t) {
		if want := expectedByID(id); o.Verdict != want {
			t.Errorf("at once after the pause %s is %s (%s), want %s", id, o.Verdict, o.Detail, want)
		}
	}
	if after := inNode(t, streams); after != before {
		t.Errorf("the streams are other ones: %q, before %q", after, before)
	}
	if ps, err := lab.Policies(t.Context()); err != nil || len(ps) != 1 {
		t.Errorf("policies %v, %v", ps, err)
	}
}

func TestBooted_wakes_what_is_not_paused_and_finds_a_network_that_enforces_nothing_any_more(t *testing.T) {
	if err := base.Wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Without its agent nothing follows what policies say.
	pid := inNode(t, "pidof calico-node")
	inNode(t, "kill -STOP "+pid)
	defer inNode(t, "kill -CONT "+pid)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := base.Wake(ctx); !errors.Is(err, sandbox.ErrNotEnforced) {
		t.Errorf("got %v, want ErrNotEnforced: nobody enforces policies", err)
	}
}

func TestBooted_what_it_takes_is_told_awake_and_paused(t *testing.T) {
	id := sandbox.ClusterID(strings.TrimPrefix(base.name, shared.clusterPrefix()))
	takes := func() sandbox.Cost {
		costs, err := shared.Costs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c := costs[id]; c.Memory < 100<<20 || c.Memory > maxMemory {
			t.Errorf("it takes %+v", c)
		}
		return costs[id]
	}
	if c := takes(); c.Processor <= 0 {
		t.Errorf("awake it takes %+v", c)
	}
	if err := base.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := base.Wake(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	// Docker may have looked the first time before the pause.
	eventually(t, 10*time.Second, "it takes no processor", func() bool { return takes().Processor == 0 })
}

func TestBooted_another_lesson_takes_the_place_of_what_is_laid(t *testing.T) {
	labOf(lab).Apply(t, sandboxtest.DenyProduction)
	another := parseTopology(t, "testdata/verify.yaml")
	other := lays(t, another)
	sandboxtest.Lab{Cluster: other, Topology: another, Measured: true}.Expect(t)
	if namespaces := inNode(t, "kubectl get namespaces -o name"); strings.Contains(namespaces, "production") {
		t.Errorf("what was laid before is there: %s", namespaces)
	}
	lab = lays(t, topology)
	expect(t, lab)
	if hosts, want := outsideHosts(t), []string{"internet", "office", "resolver"}; !slices.Equal(hosts, want) {
		t.Errorf("the outside hosts are %v, want %v", hosts, want)
	}
	routes := strings.Fields(inNode(t, "ip route show proto "+routesOf+" | cut -d ' ' -f 1 | sort"))
	var want []string
	for _, x := range topology.External {
		want = append(want, x.Address.String())
	}
	slices.Sort(want)
	if !slices.Equal(routes, want) {
		t.Errorf("the node has routes to %v, want %v", routes, want)
	}
}

func TestBooted_clear_leaves_nothing_of_what_was_laid(t *testing.T) {
	labOf(lab).Apply(t, sandboxtest.DenyProduction)
	shell, err := lab.OpenShell(t.Context(), sandbox.TerminalSize{Columns: 80, Rows: 24}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	began := time.Now()
	if err := base.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("cleared in %s", time.Since(began).Round(time.Millisecond))
	defer func() { lab = lays(t, topology) }()
	if _, err := base.Laid(t.Context(), topology); !errors.Is(err, sandbox.ErrNotLaid) {
		t.Errorf("Laid: %v, want ErrNotLaid", err)
	}
	want := "default kube-node-lease kube-public kube-system netpol-lab-system"
	if got := strings.Join(strings.Fields(inNode(t, "kubectl get namespaces -o jsonpath='{.items[*].metadata.name}'")), " "); got != want {
		t.Errorf("the namespaces are %s, want %s", got, want)
	}
	for line := range strings.Lines(inNode(t, "kubectl get clusterroles,clusterrolebindings -o name")) {
		if strings.Contains(line, "terminal") {
			t.Errorf("of the terminal there is %s", line)
		}
	}
	if left := inNode(t, "ip route show proto "+routesOf); left != "" {
		t.Errorf("routes: %s", left)
	}
	if hosts := outsideHosts(t); len(hosts) > 0 {
		t.Errorf("outside hosts: %v", hosts)
	}
	// The canary, and its stream.
	if left := strings.Fields(inNode(t, "pgrep -f '^/netpol-probe'")); len(left) != 2 {
		t.Errorf("%d processes of pods are there, want the canary's two", len(left))
	}
	// What the API server had kept of a namespace would show again in one of its name.
	names := append(topology.NamespaceNames(), kubernetes.TerminalNamespace)
	for _, ns := range names {
		left := inNode(t, "kubectl create namespace "+ns+" >/dev/null; "+
			"kubectl get -n "+ns+" $(kubectl api-resources --namespaced --verbs=list -o name | paste -sd,) -o name")
		for _, name := range strings.Fields(left) {
			if name != "configmap/kube-root-ca.crt" && name != "serviceaccount/default" {
				t.Errorf("of namespace %s there is %s", ns, name)
			}
		}
	}
	inNode(t, "kubectl delete namespace "+strings.Join(names, " "))
}

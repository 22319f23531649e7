package kind

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
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	kinderrors "sigs.k8s.io/kind/pkg/errors"
	"sigs.k8s.io/kind/pkg/exec"

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

func TestNew_wants_a_plain_instance(t *testing.T) {
	for instance, ok := range map[string]bool{"a1": true, "abcdefghij123456": true, "": false, "a-b": false, "A": false, "abcdefghij1234567": false} {
		if _, err := New(Options{Instance: instance}); (err == nil) != ok {
			t.Errorf("instance %q: %v", instance, err)
		}
	}
}

// scriptDocker puts a docker command of the test's own before all others.
func scriptDocker(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// fakeDocker is a Docker that has nodes and outside hosts: a file each, a host's with
// when it started. It notes the addresses and routes that it is asked to give.
type fakeDocker struct {
	*testing.T
	dir string
}

func newFakeDocker(t *testing.T) fakeDocker {
	t.Helper()
	d := fakeDocker{t, t.TempDir()}
	t.Setenv("NOTES", d.dir)
	for _, kind := range []string{"nodes", "hosts"} {
		if err := os.Mkdir(filepath.Join(d.dir, kind), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	scriptDocker(t, `cd "$NOTES"
case "$1 $2" in
"image inspect") echo '[{"Id":"sha256:pod"}]' ;;
"container inspect")
	if [ "$3" = --format ]; then
		shift 4
		for name; do
			[ -e "hosts/$name" ] || { echo "Error: No such container: $name" >&2; exit 1; }
			echo "true $(cat "hosts/$name")"
		done
		exit
	fi
	[ -e "hosts/$3" ] || { echo "Error: No such container: $3" >&2; exit 1; }
	echo "[{\"State\":{\"Running\":true,\"StartedAt\":\"$(cat "hosts/$3")\"},\"NetworkSettings\":{\"Networks\":{\"kind\":{\"IPAddress\":\"172.18.0.7\"}}}}]" ;;
"ps --all")
	case "$4" in
	label=io.x-k8s.kind.cluster) for name in $(ls nodes); do printf '%s-control-plane\t%s\n' "$name" "$name"; done ;;
	label=io.x-k8s.kind.cluster=*) ;;
	label=netpol-lab.internet=a) ls hosts ;;
	*) echo "not expected: $*" >&2; exit 1 ;;
	esac ;;
"run --name") echo first >"hosts/$3" ;;
"rm --force") rm -f "hosts/$4" "nodes/${4%-control-plane}" ;;
"run --rm"|exec\ *) echo "$*" >>asked ;;
*) echo "not expected: $*" >&2; exit 1 ;;
esac
`)
	return d
}

// node makes the node of a cluster, as kind does.
func (d fakeDocker) node(cluster string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, "nodes", cluster), nil, 0o600); err != nil {
		d.Fatal(err)
	}
}

// hosts are the names of the outside hosts that there are, without prefix and hash.
func (d fakeDocker) hosts() string {
	d.Helper()
	all, err := os.ReadDir(filepath.Join(d.dir, "hosts"))
	if err != nil {
		d.Fatal(err)
	}
	var names []string
	for _, f := range all {
		names = append(names, strings.Split(f.Name(), "-")[3])
	}
	return strings.Join(names, " ")
}

func externals(names ...string) []sandbox.External {
	var all []sandbox.External
	for i, name := range names {
		all = append(all, sandbox.External{Name: name, Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Ports: []sandbox.Port{{Port: 443, Protocol: sandbox.TCP}}})
	}
	return all
}

func TestEnsureInternet_a_host_gets_its_address_when_it_has_started_and_is_routed_to(t *testing.T) {
	d := newFakeDocker(t)
	p, err := New(Options{Instance: "a"})
	if err != nil {
		t.Fatal(err)
	}
	asked := func(id sandbox.ID) (addresses, routes int) {
		t.Helper()
		if err := p.ensureInternet(t.Context(), p.clusterName(id), "kind", externals("office")); err != nil {
			t.Fatal(err)
		}
		notes, err := os.ReadFile(filepath.Join(d.dir, "asked"))
		if err != nil {
			t.Fatal(err)
		}
		given := regexp.MustCompile(`(?s)--network container:netpol-lab-a-office-\S+ .*?"\$0/32" dev lo.*? 192\.0\.2\.1\n`)
		return len(given.FindAll(notes, -1)), strings.Count(string(notes), "ip route replace 192.0.2.1 via 172.18.0.7\n")
	}
	runOn := func(want bool) {
		t.Helper()
		if got := p.hostsRunOn(t.Context(), p.clusterName("one")); got != want {
			t.Errorf("the hosts run on: %v, want %v", got, want)
		}
	}
	for _, id := range []sandbox.ID{"one", "two"} {
		d.node(p.clusterName(id))
	}
	if a, r := asked("one"); a != 1 || r != 1 {
		t.Errorf("a new host: %d addresses given and %d routes, want 1 and 1", a, r)
	}
	runOn(true)
	if a, r := asked("two"); a != 1 || r != 2 {
		t.Errorf("the same host, for another node: %d addresses given and %d routes, want 1 and 2", a, r)
	}
	running, err := filepath.Glob(filepath.Join(d.dir, "hosts", "*"))
	if err != nil || len(running) != 1 {
		t.Fatalf("hosts %v, %v", running, err)
	}
	if err := os.WriteFile(running[0], []byte("later\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runOn(false)
	if a, r := asked("one"); a != 2 || r != 3 {
		t.Errorf("a host that has started again: %d addresses given and %d routes, want 2 and 3", a, r)
	}
	runOn(true)
	if err := os.Remove(running[0]); err != nil {
		t.Fatal(err)
	}
	runOn(false)
}

func TestDelete_removes_the_outside_hosts_that_nobody_uses_any_more_and_no_other(t *testing.T) {
	d := newFakeDocker(t)
	p, err := New(Options{Instance: "a"})
	if err != nil {
		t.Fatal(err)
	}
	uses := func(p *Provider, id sandbox.ID, hosts ...string) {
		t.Helper()
		d.node(p.clusterName(id))
		if err := p.ensureInternet(t.Context(), p.clusterName(id), "kind", externals(hosts...)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(p *Provider, id sandbox.ID, want string) {
		t.Helper()
		if err := p.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if got := d.hosts(); got != want {
			t.Errorf("after the end of %s there are %q, want %q", id, got, want)
		}
	}
	uses(p, "lesson", "internet")
	uses(p, "own", "internet", "partner")
	uses(p, "same", "internet", "partner")
	remove(p, "own", "internet partner")
	remove(p, "same", "internet")

	// While one is being made, nobody knows what it will use.
	p.begin(p.clusterName("new"))
	uses(p, "own", "internet", "clock")
	remove(p, "own", "clock internet")
	uses(p, "new", "office")
	if got := d.hosts(); got != "internet office" {
		t.Errorf("once the new one has its hosts there are %q", got)
	}

	// After a restart, nothing is known of what is not adopted yet.
	p, err = New(Options{Instance: "a"})
	if err != nil {
		t.Fatal(err)
	}
	remove(p, "new", "internet office")
	uses(p, "lesson", "internet")
	if got := d.hosts(); got != "internet" {
		t.Errorf("after a restart there are %q", got)
	}
	remove(p, "lesson", "")
}

func TestCheck_says_what_is_missing_and_how_to_get_it(t *testing.T) {
	const answers = `[ "$1" = version ] && echo 20.10 && exit 0
`
	const labImage = `[ "$3" = netpol-lab/node:latest ] && echo '[{"Config":{"Labels":{"netpol-lab.cni":"calico"}}}]' && exit 0
`
	const stockImage = `[ "$3" = netpol-lab/node:latest ] && echo '[{"Config":{"Labels":null}}]' && exit 0
`
	const podImage = `[ "$3" = netpol-lab/pod:latest ] && echo '[{"Config":{}}]' && exit 0
`
	const nothing = `echo "Error: No such image: $3" >&2; exit 1
`
	tests := map[string]struct {
		script   string
		manifest string
		says     []string
	}{
		"stopped daemon":                {script: `echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1`, says: []string{"does not answer", "start it"}},
		"no permission":                 {script: `echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1`, says: []string{"may not use Docker", "group docker"}},
		"no node image":                 {script: answers + nothing, says: []string{"node image netpol-lab/node:latest", "make node-image"}},
		"no pod image":                  {script: answers + labImage + nothing, says: []string{"netpol-lab/pod:latest", "make node-image"}},
		"stock image without manifest":  {script: answers + stockImage + podImage + nothing, says: []string{"no Calico", "manifest"}},
		"stock image with a manifest":   {script: answers + stockImage + podImage + nothing, manifest: "calico.yaml"},
		"everything is there":           {script: answers + labImage + podImage + nothing},
		"an image that cannot be asked": {script: answers + `echo "broken pipe" >&2; exit 1`, says: []string{"docker image inspect", "broken pipe"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			scriptDocker(t, test.script)
			p, err := New(Options{Instance: "test", CalicoManifest: test.manifest})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Check(t.Context())
			if test.says == nil && err != nil {
				t.Errorf("got %v, want none", err)
			}
			for _, part := range test.says {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want it to say %q", err, part)
				}
			}
		})
	}
	t.Run("no docker command", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		p, err := New(Options{Instance: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "install Docker") {
			t.Errorf("got %v, want to be told to install Docker", err)
		}
	})
}

// The command's own child keeps its output open, as a plug-in of docker can.
func TestCheck_a_docker_that_hangs_is_given_up(t *testing.T) {
	scriptDocker(t, "sleep 20; echo 99.9\n")
	p, err := New(Options{Instance: "one"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := p.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want it given up", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
}

func TestList_names_only_this_instance_s_sandboxes(t *testing.T) {
	scriptDocker(t, `printf 'n1\tnetpol-lab-one-b\nn2\tnetpol-lab-one-a\nn3\tnetpol-lab-two-c\nn4\tkind\n'`)
	p, err := New(Options{Instance: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := p.List(t.Context()); err != nil || !slices.Equal(ids, []sandbox.ID{"a", "b"}) {
		t.Errorf("got %v, %v; want a and b", ids, err)
	}
}

func TestDelete_of_what_is_not_there_is_no_error(t *testing.T) {
	scriptDocker(t, `case "$1" in ps) ;; rm) echo "Error: No such container: $4" >&2; exit 1 ;; esac`)
	p, err := New(Options{Instance: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

func TestDelete_fails_where_something_is_left(t *testing.T) {
	scriptDocker(t, `[ "$1" = ps ] && printf 'netpol-lab-one-a-control-plane\tnetpol-lab-one-a\n'; exit 0`)
	p, err := New(Options{Instance: "one"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := p.Delete(ctx, "a"); err == nil || !strings.Contains(err.Error(), "still there") {
		t.Errorf("got %v, want to be told that the container is still there", err)
	}
}

func TestSteps_end_in_order_and_the_failed_one_is_told(t *testing.T) {
	var told []string
	s := newSteps(func(s sandbox.Step) {
		told = append(told, fmt.Sprintf("%d/%d %s %s", s.Index, s.Total, s.Name, s.Status))
	})
	s.done()
	s.fail()
	want := []string{"1/6 Start the node running", "1/6 Start the node done", "2/6 Start Kubernetes running", "2/6 Start Kubernetes failed"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestSteps_nothing_fails_after_the_last(t *testing.T) {
	var last sandbox.Step
	s := newSteps(func(s sandbox.Step) { last = s })
	for range stepNames {
		s.done()
	}
	s.fail()
	if last.Index != len(stepNames) || last.Status != sandbox.StepDone {
		t.Errorf("the last step told is %+v, want the last one done", last)
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestKindLog_reads_the_milestones_off_kind_s_lines(t *testing.T) {
	k := newKindLog(slog.New(slog.DiscardHandler))
	info := k.V(0)
	info.Infof("Creating cluster %q ...\n", "lab")
	info.Infof(" • %s  ...\n", "Preparing nodes 📦 ")
	if closed(k.nodeUp) || closed(k.configured) {
		t.Fatal("a milestone was reached too early")
	}
	info.Infof(" ✓ %s\n", "Preparing nodes 📦 ")
	info.Infof(" • %s  ...\n", "Writing configuration 📜")
	if !closed(k.nodeUp) || closed(k.configured) {
		t.Fatal("the node is up and not yet configured")
	}
	k.V(3).Info(" • Starting control-plane") // Detail, such as a command's output, is no progress.
	if closed(k.configured) {
		t.Fatal("a detail was taken for progress")
	}
	info.Infof(" • %s  ...\n", "Starting control-plane 🕹️")
	if !closed(k.configured) {
		t.Fatal("the node is configured")
	}
	k.finished()
}

func TestKindLog_never_hangs_its_reader(t *testing.T) {
	k := newKindLog(slog.New(slog.DiscardHandler))
	k.V(0).Info("words of another release of kind")
	k.finished()
	if !closed(k.nodeUp) || !closed(k.configured) {
		t.Error("a milestone is still waited for though kind has ended")
	}
}

func TestFailure_has_a_sentence_for_the_learner(t *testing.T) {
	enforcement := &sandbox.Failure{Message: "This cluster's network does not enforce NetworkPolicies."}
	runError := &exec.RunError{Command: []string{"docker", "run"}, Output: []byte("docker: write /var/x: no space left on device"), Inner: errors.New("exit status 125")}
	for name, test := range map[string]struct {
		step string
		err  error
		says string
	}{
		"full disk under kind":   {"Start the node", kindError(kinderrors.Wrap(runError, "failed")), "disk"},
		"full disk under docker": {"Start the node", &dockerError{args: []string{"run"}, stderr: "no space left on device", err: errors.New("exit status 125")}, "disk"},
		"stopped Docker":         {"Start the node", &dockerError{stderr: "Cannot connect to the Docker daemon at x", err: errors.New("exit status 1")}, "Docker has stopped"},
		"known":                  {"Prove that policies are enforced", fmt.Errorf("step: %w", enforcement), enforcement.Message},
		"anything else":          {"Start Kubernetes", errors.New("boom"), `"Start Kubernetes"`},
		"before the first step":  {"", errors.New("boom"), "Docker did not do"},
	} {
		t.Run(name, func(t *testing.T) {
			var failed *sandbox.Failure
			if !errors.As(failure(test.step, test.err), &failed) {
				t.Fatal("no Failure")
			}
			if !strings.Contains(failed.Message, test.says) || strings.Contains(failed.Message, "boom") || strings.Contains(failed.Message, "exit status") {
				t.Errorf("got %q, want a sentence with %q and without the details", failed.Message, test.says)
			}
		})
	}
}

func TestKindError_keeps_the_end_of_what_the_command_said(t *testing.T) {
	var output strings.Builder
	for i := range 100 {
		fmt.Fprintf(&output, "line %d\n", i)
	}
	err := kindError(kinderrors.Wrap(&exec.RunError{Command: []string{"kubeadm"}, Output: []byte(output.String()), Inner: errors.New("exit status 1")}, "failed to init"))
	if got := err.Error(); !strings.Contains(got, "line 99") || strings.Contains(got, "line 79\n") || !strings.Contains(got, "failed to init") {
		t.Errorf("got %q", got)
	}
	if kindError(nil) != nil {
		t.Error("no error became one")
	}
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
	role, binding := roleObjects("shop", policiesAccount)
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

// fakeCluster is a cluster whose API server takes whatever it is sent, and whose pods
// answer every request with the verdict that answer gives.
func fakeCluster(t *testing.T, answer func(probe.Request) probe.Verdict) *cluster {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := io.WriteString(w, `{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}`); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	client, err := newAPI(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{topology: small(t), policies: client, addrs: addrs, log: slog.New(slog.DiscardHandler)}
	c.prober = probe.NewProber(func(ctx context.Context, pod string) (io.ReadWriteCloser, error) {
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
		return &execStream{stdin: in, stdout: out, cancel: func() {}}, nil
	}, c.log)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCanary_finds_a_network_that_ignores_policies(t *testing.T) {
	c := fakeCluster(t, func(probe.Request) probe.Verdict { return probe.Open })
	err := c.canary(t.Context(), 200*time.Millisecond)
	var failed *sandbox.Failure
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "does not enforce") {
		t.Errorf("got %v, want to be told that nothing is enforced", err)
	}
}

func TestCanary_finds_a_network_that_denies_everything(t *testing.T) {
	c := fakeCluster(t, func(probe.Request) probe.Verdict { return probe.Blocked })
	var failed *sandbox.Failure
	if err := c.canary(t.Context(), 200*time.Millisecond); !errors.As(err, &failed) {
		t.Errorf("got %v, want a Failure", err)
	}
}

func TestProbe_reports_every_flow_once_also_where_an_address_is_missing(t *testing.T) {
	c := fakeCluster(t, func(probe.Request) probe.Verdict { return probe.Open })
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

func TestReadManifest_wants_an_answer_of_the_server(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calico.yaml")
	if err := os.WriteFile(path, []byte("kind: DaemonSet\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readManifest(t.Context(), path); err != nil || got != "kind: DaemonSet\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := readManifest(t.Context(), path+".missing"); err == nil {
		t.Error("a file that is not there was read")
	}
	server := serve(t, "kind: DaemonSet\n")
	if got, err := readManifest(t.Context(), server+"/calico.yaml"); err != nil || got != "kind: DaemonSet\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := readManifest(t.Context(), server+"/missing"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want the server's status", err)
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
	c := &cluster{policies: client, topology: small(t)}
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

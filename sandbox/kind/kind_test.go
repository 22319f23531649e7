package kind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	kinderrors "sigs.k8s.io/kind/pkg/errors"
	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/yaml"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
)

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
			[ -e "hosts/$name" ] || { echo "Error: No such container: $name" >&2; gone=1; continue; }
			echo "/$name true $(cat "hosts/$name")"
		done
		exit ${gone:-0}
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
"exec --interactive") { echo "$*"; cat; } >>asked ;;
"run --rm"|exec\ *) echo "$*" >>asked ;;
unpause\ *) echo "Error response from daemon: No such container: $2" >&2; exit 1 ;;
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
	asked := func(id sandbox.ClusterID) (addresses, routes int) {
		t.Helper()
		if err := p.ensureInternet(t.Context(), p.clusterName(id), "kind", externals("office")); err != nil {
			t.Fatal(err)
		}
		notes, err := os.ReadFile(filepath.Join(d.dir, "asked"))
		if err != nil {
			t.Fatal(err)
		}
		given := regexp.MustCompile(`(?s)--network container:netpol-lab-a-office-\S+ .*?"\$0/32" dev lo.*? 192\.0\.2\.1\n`)
		if !strings.Contains(string(notes), "echo '192.0.2.1' >/run/netpol-lab/outside") {
			t.Errorf("the node is not told whom it may reach: %s", notes)
		}
		return len(given.FindAll(notes, -1)), strings.Count(string(notes), "ip route replace 192.0.2.1 via 172.18.0.7 proto ")
	}
	runOn := func(want bool) {
		t.Helper()
		if got := p.hostsRunOn(t.Context(), p.clusterName("one"), 0); got != want {
			t.Errorf("the hosts run on: %v, want %v", got, want)
		}
	}
	for _, id := range []sandbox.ClusterID{"one", "two"} {
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
	p.hosts[p.clusterName("two")] = append(p.hosts[p.clusterName("two")], outside{name: "a host that is gone"})
	runOn(true) // It is not this cluster's.
	if err := os.Remove(running[0]); err != nil {
		t.Fatal(err)
	}
	if !p.hostsRunOn(t.Context(), p.clusterName("one"), time.Hour) {
		t.Error("Docker is asked again at once")
	}
	runOn(false)
}

func TestDelete_removes_the_outside_hosts_that_nobody_uses_any_more_and_no_other(t *testing.T) {
	d := newFakeDocker(t)
	p, err := New(Options{Instance: "a"})
	if err != nil {
		t.Fatal(err)
	}
	uses := func(p *Provider, id sandbox.ClusterID, hosts ...string) {
		t.Helper()
		d.node(p.clusterName(id))
		if err := p.ensureInternet(t.Context(), p.clusterName(id), "kind", externals(hosts...)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(p *Provider, id sandbox.ClusterID, want string) {
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
	if ids, err := p.List(t.Context()); err != nil || !slices.Equal(ids, []sandbox.ClusterID{"a", "b"}) {
		t.Errorf("got %v, %v; want a and b", ids, err)
	}
}

func TestDelete_of_what_is_not_there_is_no_error(t *testing.T) {
	scriptDocker(t, `case "$1" in ps) ;; rm|unpause) echo "Error: No such container: $4" >&2; exit 1 ;; esac`)
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

func TestAdopt_a_cluster_without_a_kubeconfig_is_gone_and_a_failed_look_for_it_says_nothing(t *testing.T) {
	p, err := New(Options{Instance: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for look, gone := range map[string]bool{
		"echo missing": true,
		"echo 'Error response from daemon: cannot exec now' >&2; exit 1":     false,
		"echo 'Error response from daemon: Container is paused' >&2; exit 1": false,
	} {
		scriptDocker(t, `case "$1" in
container) echo '[{"State":{"Running":true}}]' ;;
exec) `+look+` ;;
esac
`)
		if _, err := p.Adopt(t.Context(), "x"); err == nil || errors.Is(err, sandbox.ErrGone) != gone {
			t.Errorf("%s: got %v, want ErrGone: %v", look, err, gone)
		}
	}
}

// TestRecall has a node that does not run, and a clock that the test turns.
func TestRecall_starts_a_node_that_has_stopped_and_gives_it_up_in_the_end(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "asked")
	t.Setenv("NOTES", notes)
	scriptDocker(t, `echo "$*" >>"$NOTES"
case "$1" in
container) echo '[{"State":{"Running":false}}]' ;;
start) ;;
*) exit 1 ;;
esac
`)
	p, err := New(Options{Instance: "a", Patience: 2, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b := &booted{provider: p, name: p.clusterName("x"), log: p.log}
	for range 2 {
		if err := b.recall(t.Context()); err == nil || errors.Is(err, sandbox.ErrGone) {
			t.Errorf("got %v, want to be told that it was started again", err)
		}
	}
	b.away = b.away.Add(-backLimit) // With its patience there is as much again.
	if err := b.recall(t.Context()); errors.Is(err, sandbox.ErrGone) {
		t.Errorf("it was given up early: %v", err)
	}
	b.away = b.away.Add(-backLimit)
	if err := b.recall(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("got %v, want it given up", err)
	}
	asked, err := os.ReadFile(notes)
	if err != nil || strings.Count(string(asked), "start netpol-lab-a-x-control-plane\n") != 3 {
		t.Errorf("asked:\n%s(%v), want three starts", asked, err)
	}
	b.back()
	if err := b.recall(t.Context()); errors.Is(err, sandbox.ErrGone) {
		t.Errorf("it was away before, and is given up at once: %v", err)
	}
}

func TestRecall_a_node_that_is_not_there_is_gone_and_a_Docker_that_does_not_answer_says_nothing(t *testing.T) {
	p, err := New(Options{Instance: "a"})
	if err != nil {
		t.Fatal(err)
	}
	b := &booted{provider: p, name: p.clusterName("x"), log: p.log}
	scriptDocker(t, `echo "Error: No such container: x" >&2; exit 1`)
	if err := b.recall(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	scriptDocker(t, `echo "Cannot connect to the Docker daemon" >&2; exit 1`)
	if err := b.recall(t.Context()); err == nil || errors.Is(err, sandbox.ErrGone) {
		t.Errorf("got %v, want another error", err)
	}
}

// unreachable is a cluster whose node Docker has, and whose API server does not answer.
func unreachable(t *testing.T) *booted {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p, err := New(Options{Instance: "a", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b := &booted{provider: p, name: p.clusterName("x"), log: p.log}
	if b.cluster, err = kubernetes.New(&rest.Config{Host: server.URL, QPS: -1}, kubernetes.Options{Log: p.log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestAwaitBack_says_what_kept_the_node_from_coming_back(t *testing.T) {
	b := unreachable(t)
	scriptDocker(t, `[ "$1" = container ] && echo '[{"State":{"Running":false}}]' && exit
echo "Error response from daemon: the cgroup is full" >&2; exit 1`)
	ctx, cancel := context.WithTimeout(t.Context(), readyAtOnce+500*time.Millisecond)
	defer cancel()
	if err := b.awaitBack(ctx); err == nil || !strings.Contains(err.Error(), "cgroup is full") || !strings.Contains(err.Error(), "readyz") {
		t.Errorf("got %v, want what Docker has said, and what the API server has not", err)
	}
}

func TestWake_says_why_the_first_proof_has_failed(t *testing.T) {
	b := unreachable(t)
	scriptDocker(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := b.Wake(ctx); err == nil || !strings.Contains(err.Error(), "services/kube-dns") || !strings.Contains(err.Error(), "readyz") {
		t.Errorf("got %v, want where the canary's targets were not to be had, and that the API server is not ready", err)
	}
}

func TestClusterConfig_patience_stretches_what_kubeadm_and_the_kubelet_wait_for(t *testing.T) {
	for _, f := range []flavour{{calico: true}, {}} {
		for patience, want := range map[float64][2]string{1: {"", ""}, 10: {"40m0s", "20m0s"}} {
			p, err := New(Options{Instance: "a", Patience: patience})
			if err != nil {
				t.Fatal(err)
			}
			var config struct{ KubeadmConfigPatches []string }
			if err := yaml.Unmarshal([]byte(p.clusterConfig(f)), &config); err != nil {
				t.Fatal(err)
			}
			var got struct {
				APIServer             struct{ TimeoutForControlPlane string }
				RuntimeRequestTimeout string
			}
			for _, patch := range config.KubeadmConfigPatches {
				if err := yaml.Unmarshal([]byte(patch), &got); err != nil {
					t.Fatal(err)
				}
			}
			if is := [2]string{got.APIServer.TimeoutForControlPlane, got.RuntimeRequestTimeout}; is != want {
				t.Errorf("with Calico in the image %t and patience %g they wait %q, want %q", f.calico, patience, is, want)
			}
		}
	}
}

func TestThaw_and_freeze_take_what_is_so_already(t *testing.T) {
	for name, test := range map[string]struct {
		says string
		do   func(context.Context, string) error
		ok   bool
	}{
		"thawed":           {"Container x is not paused", thaw, true},
		"stopped":          {"Container x is not running", thaw, true},
		"frozen":           {"Container x is already paused", freeze, true},
		"frozen, stopped":  {"Container x is not running", freeze, false},
		"thawed, hindered": {"cannot thaw", thaw, false},
	} {
		t.Run(name, func(t *testing.T) {
			scriptDocker(t, "echo 'Error response from daemon: "+test.says+"' >&2; exit 1")
			if err := test.do(t.Context(), "x"); (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	scriptDocker(t, "echo 'Error: No such container: x' >&2; exit 1")
	if err := thaw(t.Context(), "x"); !errors.Is(err, errNoSuchObject) {
		t.Errorf("got %v, want to be told that it is not there", err)
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

//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/kind/kindtest"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// server is netpol-lab in a process of its own, as people run it.
type server struct {
	t       testing.TB
	binary  string
	data    string
	flags   []string
	base    string
	log     *os.File
	cmd     *exec.Cmd
	ended   chan error
	learner *http.Client
	pause   time.Duration // between two looks: a learner may have 600 answers a minute
	// volumes are those that nodes have had, as far as they were noted.
	volumes map[string]bool
}

// startServer starts a server that keeps nothing in reserve, unless the flags say so.
func startServer(t testing.TB, flags ...string) *server {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// The binary that make builds is the one that people run.
	s := &server{t: t, binary: "../../bin/netpol-lab", data: t.TempDir(), flags: append([]string{"--pool-reserve", "0"}, flags...), learner: &http.Client{Jar: jar, Timeout: time.Minute}, pause: 150 * time.Millisecond, volumes: map[string]bool{}}
	if s.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	s.start("127.0.0.1:0")
	was, err := kindtest.Look(t.Context(), s.instance())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log, err := os.ReadFile(s.log.Name()); err == nil && t.Failed() {
			t.Logf("the server's log:\n%s", log)
		}
		s.end(syscall.SIGTERM)
		if out, err := exec.Command(s.binary, "clean", "--data", s.data).CombinedOutput(); err != nil {
			t.Errorf("clean: %v\n%s", err, out)
		}
		left, err := was.Left(context.Background(), 10*time.Second, slices.Collect(maps.Keys(s.volumes)))
		if err != nil || len(left) > 0 {
			t.Errorf("after clean, left are (%v):\n%s", err, strings.Join(left, "\n"))
		}
	})
	return s
}

func (s *server) start(listen string) {
	s.t.Helper()
	out := &signalWriter{until: "(Ctrl-C", reached: make(chan struct{})}
	s.cmd = exec.Command(s.binary, append([]string{"serve", "--sandbox", "kind", "--listen", listen, "--data", s.data}, s.flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = out, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	select {
	case <-out.reached:
	case err := <-s.ended:
		s.t.Fatalf("the server did not start: %v", err)
	}
	s.base = strings.TrimSuffix(strings.Fields(strings.TrimPrefix(out.text.String(), "The lab is at "))[0], "/")
}

// end ends the process with the signal, and returns how it ended.
func (s *server) end(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	return <-s.ended
}

// ask sends one request as the learner; into may be nil.
func (s *server) ask(method, path, contentType, body string, into any) (int, string) {
	s.t.Helper()
	code, answer := s.send(method, path, body, "Accept", "application/json", "Content-Type", contentType)
	if into != nil && code < 300 {
		if err := json.Unmarshal([]byte(answer), into); err != nil {
			s.t.Fatalf("%s %s: %v\n%s", method, path, err, answer)
		}
	}
	return code, answer
}

// askFragment sends an empty form as the page's script does, and returns the box.
func (s *server) askFragment(path string) (int, string) {
	s.t.Helper()
	return s.send("POST", path, "", "Accept", "text/html", "X-Fragment", "exercise", "Content-Type", "application/x-www-form-urlencoded")
}

func (s *server) send(method, path, body string, header ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.learner.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (s *server) create(lab string) sandbox.ID {
	s.t.Helper()
	var snap sandbox.Snapshot
	if code, body := s.ask("POST", "/sandboxes", "application/json", `{"lab":"`+lab+`"}`, &snap); code != http.StatusAccepted {
		s.t.Fatalf("start: %d %s", code, body)
	}
	return snap.ID
}

func (s *server) get(id sandbox.ID) sandbox.Snapshot {
	s.t.Helper()
	var snap sandbox.Snapshot
	if code, body := s.ask("GET", "/sandboxes/"+string(id), "", "", &snap); code != http.StatusOK {
		s.t.Fatalf("get: %d %s", code, body)
	}
	return snap
}

// wait polls the sandbox until it passes.
func (s *server) wait(id sandbox.ID, limit time.Duration, what string, passes func(sandbox.Snapshot) bool) sandbox.Snapshot {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		snap := s.get(id)
		if passes(snap) {
			return snap
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %s; state %s (%s), %d policies, %d flows\n%s", limit, what, snap.State, snap.Reason, len(snap.Policies), len(snap.Observations), picture(snap))
		}
		time.Sleep(s.pause)
	}
}

func picture(s sandbox.Snapshot) string {
	var b bytes.Buffer
	for _, o := range s.Observations {
		if o.Verdict != probe.Open {
			fmt.Fprintln(&b, o.Flow, o.Verdict, o.Detail)
		}
	}
	return b.String()
}

func measured(s sandbox.Snapshot) bool {
	for _, o := range s.Observations {
		if o.Verdict == probe.Unknown {
			return false
		}
	}
	return s.State == sandbox.Ready && len(s.Observations) == lessonFlows()
}

func allOpen(s sandbox.Snapshot) bool {
	for _, o := range s.Observations {
		if o.Verdict != probe.Open {
			return false
		}
	}
	return measured(s)
}

// verdicts passes where the lesson's flows are measured, and these are as wanted.
func verdicts(want map[string]probe.Verdict) func(sandbox.Snapshot) bool {
	right := verdictsOf(want)
	return func(s sandbox.Snapshot) bool { return right(s) && measured(s) }
}

func verdictsOf(want map[string]probe.Verdict) func(sandbox.Snapshot) bool {
	return func(s sandbox.Snapshot) bool {
		got := map[string]probe.Verdict{}
		for _, o := range s.Observations {
			got[o.Flow] = o.Verdict
		}
		for flow, v := range want {
			if got[flow] != v {
				return false
			}
		}
		return true
	}
}

func (s *server) apply(id sandbox.ID, yaml string) {
	s.t.Helper()
	if code, body := s.ask("PUT", "/sandboxes/"+string(id)+"/policies", "application/yaml", yaml, nil); code != http.StatusOK {
		s.t.Fatalf("apply: %d %s", code, body)
	}
}

const policyHead = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: production}\nspec:\n"

// TestKind_the_lesson_on_a_real_cluster walks through the lesson over HTTP, with
// the server ended and started again, politely and not, on the way.
func TestKind_the_lesson_on_a_real_cluster(t *testing.T) {
	s := startServer(t)
	id := s.create("network-policies")
	s.wait(id, 4*time.Minute, "ready, and every flow open", allOpen)

	s.apply(id, fmt.Sprintf(policyHead, "default-deny-all")+"  podSelector: {}\n  policyTypes: [Ingress, Egress]\n")
	s.wait(id, 30*time.Second, "production is cut off, the others are not", verdicts(map[string]probe.Verdict{
		"production/web>production/api:8080/TCP":            probe.Blocked,
		"production/web>production/api:8080/TCP@name":       probe.DNSFailed,
		"production/web>internet:443/TCP":                   probe.Blocked,
		"production/web>kube-system/kube-dns:53/UDP":        probe.Blocked,
		"production/web>kube-system/kube-dns:53/TCP":        probe.Blocked,
		"development/shell>production/db:5432/TCP":          probe.Blocked,
		"development/shell>monitoring/prometheus:8125/UDP":  probe.Open,
		"development/shell>internet:443/TCP":                probe.Open,
		"monitoring/node-agent>monitoring/grafana:3000/TCP": probe.Open,
		"monitoring/prometheus>kube-system/kube-dns:53/UDP": probe.Open,
		"monitoring/grafana>monitoring/prometheus:9090/TCP": probe.Open,
		"monitoring/grafana>production/api:8080/TCP":        probe.Blocked,
		"monitoring/prometheus>production/api:9090/TCP":     probe.Blocked,
		"production/db>monitoring/prometheus:8125/UDP@name": probe.DNSFailed,
		"development/shell>monitoring/node-agent:9100/TCP":  probe.Open,
	}))

	// The api's ingress alone opens nothing: web's own egress still blocks.
	s.apply(id, fmt.Sprintf(policyHead, "api-from-web")+"  podSelector: {matchLabels: {app: api}}\n  policyTypes: [Ingress]\n  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]\n")
	s.apply(id, fmt.Sprintf(policyHead, "api-from-prometheus")+"  podSelector: {matchLabels: {app: api}}\n  policyTypes: [Ingress]\n  ingress: [{from: [{namespaceSelector: {matchLabels: {environment: monitoring}}, podSelector: {matchLabels: {app: prometheus}}}], ports: [{port: 9090}]}]\n")
	s.wait(id, 30*time.Second, "prometheus is let in, web and grafana are not", verdicts(map[string]probe.Verdict{
		"monitoring/prometheus>production/api:9090/TCP": probe.Open,
		"monitoring/prometheus>production/api:8080/TCP": probe.Blocked,
		"monitoring/grafana>production/api:9090/TCP":    probe.Blocked,
		"production/web>production/api:8080/TCP":        probe.Blocked,
	}))
	s.apply(id, fmt.Sprintf(policyHead, "web-to-api")+"  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n  egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]\n")
	s.wait(id, 30*time.Second, "web reaches api by IP, and not yet by name", verdicts(map[string]probe.Verdict{
		"production/web>production/api:8080/TCP":      probe.Open,
		"production/web>production/api:9090/TCP":      probe.Blocked,
		"production/web>production/api:8080/TCP@name": probe.DNSFailed,
	}))
	s.apply(id, fmt.Sprintf(policyHead, "allow-dns")+"  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]\n")
	withDNS := verdicts(map[string]probe.Verdict{
		"production/web>production/api:8080/TCP@name": probe.Open,
		"production/web>kube-system/kube-dns:53/TCP":  probe.Open,
		"production/web>kube-system/kube-dns:53/UDP":  probe.Open,
		"production/web>production/db:5432/TCP@name":  probe.Blocked,
	})
	s.wait(id, 30*time.Second, "names resolve again", withDNS)

	// Two documents of which one is wrong: neither is applied.
	code, body := s.ask("PUT", "/sandboxes/"+string(id)+"/policies", "application/yaml",
		fmt.Sprintf(policyHead, "fine")+"  podSelector: {}\n---\n"+fmt.Sprintf(policyHead, "wrong")+"  podSelector: {}\n  ingress: [{ports: [{port: 99999}]}]\n", nil)
	if code != http.StatusUnprocessableEntity || !strings.Contains(body, `"line":12`) {
		t.Errorf("a wrong port: %d %s", code, body)
	}
	if snap := s.get(id); len(snap.Policies) != 5 {
		t.Errorf("%d policies after a refusal, want 5", len(snap.Policies))
	}

	// Killed without warning, and politely: the sandbox is adopted each time.
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		listen := strings.TrimPrefix(s.base, "http://")
		if err := s.end(sig); (err == nil) != (sig == syscall.SIGTERM) {
			t.Errorf("after %v the server ended with %v", sig, err)
		}
		s.start(listen)
		if snap := s.wait(id, time.Minute, "adopted after "+sig.String(), withDNS); len(snap.Policies) != 5 {
			t.Errorf("%d policies after adoption, want 5", len(snap.Policies))
		}
	}

	if code, body := s.ask("DELETE", "/sandboxes/"+string(id)+"/policies", "", "", nil); code != http.StatusOK {
		t.Fatalf("delete: %d %s", code, body)
	}
	s.wait(id, 30*time.Second, "everything is open again", allOpen)

	// The node dies, and comes again; then it is gone for good.
	node := s.node()
	s.apply(id, fmt.Sprintf(policyHead, "default-deny-all")+"  podSelector: {}\n  policyTypes: [Ingress, Egress]\n")
	s.docker("kill", node)
	s.wait(id, 30*time.Second, "that nothing can be measured is seen", func(snap sandbox.Snapshot) bool { return !measured(snap) })
	s.wait(id, 4*time.Minute, "the node is there again, with its policies", func(snap sandbox.Snapshot) bool {
		return len(snap.Policies) == 1 && verdicts(map[string]probe.Verdict{
			"production/web>production/api:8080/TCP":            probe.Blocked,
			"monitoring/grafana>monitoring/prometheus:9090/TCP": probe.Open,
		})(snap)
	})
	s.docker("rm", "--force", "--volumes", node)
	s.wait(id, time.Minute, "failed, with words", func(snap sandbox.Snapshot) bool {
		return snap.State == sandbox.Failed && strings.Contains(snap.Reason, "Press Reset")
	})
	s.isRemoved()
}

// TestKind_killed_while_creating_goes_on_and_leaves_nothing_behind ends the server
// without warning while a sandbox is being made: its learner gets another.
func TestKind_killed_while_creating_goes_on_and_leaves_nothing_behind(t *testing.T) {
	s := startServer(t)
	id := s.create("network-policies")
	s.wait(id, time.Minute, "the node's container is there", func(sandbox.Snapshot) bool { return len(s.nodes()) == 1 && len(s.folders()) == 1 })
	half := s.node()
	listen := strings.TrimPrefix(s.base, "http://")
	if err := s.end(syscall.SIGKILL); err == nil {
		t.Error("SIGKILL ended the server cleanly")
	}
	s.start(listen)
	s.wait(id, 4*time.Minute, "ready, in another cluster", allOpen)
	if nodes := s.nodes(); len(nodes) != 1 || nodes[0] == half || len(s.folders()) != 0 {
		t.Errorf("there are %q, and was %s when the server was killed; folders %q", nodes, half, s.folders())
	}
}

// TestKind_eleven_resets_leave_one_cluster_and_a_refused_removal_none
// has Docker refuse the removal until the server has been killed and started again.
func TestKind_eleven_resets_leave_one_cluster_and_a_refused_removal_none(t *testing.T) {
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	refuse, refused := filepath.Join(dir, "refuse"), filepath.Join(dir, "refused")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = rm ] && [ -e %s ] && { touch %s; echo 'Error response from daemon: not now' >&2; exit 1; }\nexec %s \"$@\"\n", refuse, refused, real)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	s := startServer(t)
	first := s.create("network-policies")
	s.wait(first, 4*time.Minute, "ready", func(snap sandbox.Snapshot) bool { return snap.State == sandbox.Ready })

	const resets = 11
	fresh := make([]sandbox.Snapshot, resets)
	var group sync.WaitGroup
	for i := range resets {
		group.Go(func() {
			if code, body := s.ask("POST", "/sandboxes/"+string(first)+"/reset", "", "", &fresh[i]); code != http.StatusAccepted {
				t.Errorf("reset: %d %s", code, body)
			}
		})
	}
	group.Wait()
	id := fresh[0].ID
	for _, snap := range fresh {
		if snap.ID != id || id == first || id == "" {
			t.Errorf("a reset of %s made %s, another %s", first, snap.ID, id)
		}
	}
	most := 0
	s.wait(id, 4*time.Minute, "the fresh one is ready", func(snap sandbox.Snapshot) bool {
		most = max(most, len(s.nodes()))
		return snap.State == sandbox.Ready
	})
	if left := s.nodes(); most > 2 || len(left) != 1 {
		t.Errorf("up to %d clusters were there at a time, and now %q", most, left)
	}

	if err := os.WriteFile(refuse, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, body := s.ask("DELETE", "/sandboxes/"+string(id), "", "", nil); code >= 300 {
		t.Fatalf("stop: %d %s", code, body)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // the pause between two looks
		if _, err := os.Stat(refused); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("Docker was not asked to remove anything")
		}
	}
	listen := strings.TrimPrefix(s.base, "http://")
	if err := s.end(syscall.SIGKILL); err == nil {
		t.Error("SIGKILL ended the server cleanly")
	}
	if len(s.nodes()) == 0 {
		t.Fatal("the container is gone, so nothing is proven of its removal")
	}
	if err := os.Remove(refuse); err != nil {
		t.Fatal(err)
	}
	s.start(listen)
	s.isRemoved()
}

// instance is the name that the server has beside others.
func (s *server) instance() string {
	s.t.Helper()
	instance, err := os.ReadFile(filepath.Join(s.data, "instance"))
	if err != nil {
		s.t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(instance), "\n")
	return name
}

// prefix begins the names of the server's containers.
func (s *server) prefix() string {
	s.t.Helper()
	return "netpol-lab-" + s.instance() + "-"
}

// noteVolumes has the end look whether the container's volumes are gone.
func (s *server) noteVolumes(container string) {
	s.t.Helper()
	volumes, err := kindtest.Volumes(s.t.Context(), container)
	if err != nil || len(volumes) == 0 {
		s.t.Fatalf("the volumes of %s: %q, %v", container, volumes, err)
	}
	for _, v := range volumes {
		s.volumes[v] = true
	}
}

// nodes lists the server's node containers that pass the filters of docker ps.
func (s *server) nodes(filters ...string) []string {
	s.t.Helper()
	args := []string{"ps", "-a", "--filter", "label=io.x-k8s.kind.cluster", "--filter", "name=^" + s.prefix(), "--format", "{{.Names}}"}
	for _, f := range filters {
		args = append(args, "--filter", f)
	}
	return strings.Fields(s.docker(args...))
}

// node is the server's one node container.
func (s *server) node() string {
	s.t.Helper()
	nodes := s.nodes()
	if len(nodes) != 1 {
		s.t.Fatalf("there are the nodes %q, want one", nodes)
	}
	return nodes[0]
}

func (s *server) docker(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		s.t.Fatalf("docker %q: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// folders are the temporary folders of the server's clusters.
func (s *server) folders() []string {
	s.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "netpol-lab-kind-"+s.prefix()+"*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return dirs
}

// TestKind_every_exercise is each exercise of each lesson on a real cluster: its
// start and its wrong answers fail, with what the learner is told of them, and its
// solution passes. Every flow must be as predicted, so what is graded in the simulator
// is what is graded here. Lessons of one topology share a cluster, and each set of
// policies is one round that settles.
func TestKind_every_exercise(t *testing.T) {
	all, err := lessons.Load(lessons.Content())
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t)
	var id sandbox.ID
	for i, l := range all {
		t.Run(l.Slug, func(t *testing.T) {
			lab := s.as(t)
			if i == 0 || all[i-1].Topology.Name != l.Topology.Name {
				if id != "" {
					lab.remove(id)
				}
				id = lab.create(l.Slug)
			}
			lab.wait(id, 4*time.Minute, "ready, and every flow known", func(s sandbox.Snapshot) bool {
				return s.State == sandbox.Ready && len(s.Observations) == len(l.Flows)
			})
			for _, e := range l.Exercises {
				t.Run(e.ID, func(t *testing.T) {
					lab := lab.as(t)
					// What is kept of the learner is kept by exercise, so the pass comes last.
					lab.grade(id, l, e, "start", e.Start)
					for _, w := range e.Wrong {
						lab.grade(id, l, e, w.Name, w.YAML)
					}
					lab.grade(id, l, e, "solution", e.Solution)
				})
			}
		})
	}
}

// remove stops the sandbox, and waits until nothing is left of it.
func (s *server) remove(id sandbox.ID) {
	s.t.Helper()
	if code, body := s.ask("DELETE", "/sandboxes/"+string(id), "", "", nil); code >= 300 {
		s.t.Fatalf("stop: %d %s", code, body)
	}
	s.isRemoved()
}

// isRemoved waits until the server has no node container.
func (s *server) isRemoved() {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); len(s.nodes()) > 0; {
		if time.Now().After(deadline) {
			s.t.Fatalf("%q are still there", s.nodes())
		}
		time.Sleep(200 * time.Millisecond) // the pause between two looks
	}
}

// as is the server for a subtest.
func (s *server) as(t *testing.T) *server {
	out := *s
	out.t = t
	return &out
}

// grade puts the policies into force, and compares what becomes of them with what is
// predicted.
func (s *server) grade(id sandbox.ID, l *lessons.Lesson, e *lessons.Exercise, name, yaml string) {
	s.t.Helper()
	predicted, err := l.Predicted(yaml)
	if err != nil {
		s.t.Fatal(err)
	}
	path := "/lessons/" + l.Slug + "/exercises/" + e.ID + "/"
	if name == "start" {
		if code, body := s.ask("POST", path+"begin", "application/x-www-form-urlencoded", "", nil); code != http.StatusOK {
			s.t.Fatalf("begin: %d %s", code, body)
		}
	} else {
		if code, body := s.ask("DELETE", "/sandboxes/"+string(id)+"/policies", "", "", nil); code != http.StatusOK {
			s.t.Fatalf("delete: %d %s", code, body)
		}
		if strings.Contains(yaml, "kind: NetworkPolicy") {
			s.apply(id, yaml)
		}
	}
	// The check waits until what was changed has settled.
	code, body := s.askFragment(path + "check")
	for deadline := time.Now().Add(time.Minute); strings.Contains(body, "has not settled yet") && time.Now().Before(deadline); {
		code, body = s.askFragment(path + "check")
	}
	for _, o := range s.get(id).Observations {
		if want := predicted[o.Flow]; o.Verdict != want {
			s.t.Errorf("%s: %s is %s (%s), predicted %s", name, o.Flow, o.Verdict, o.Detail, want)
		}
	}
	outcome := e.Grade(l, predicted)
	if want := name == "solution"; outcome.Passed != want {
		s.t.Errorf("%s: passes: %v, want %v", name, outcome.Passed, want)
	}
	if want := (views.Exercise{Exercise: e, Outcome: &outcome}).Verdict(); code != http.StatusOK || !strings.Contains(body, want) {
		s.t.Errorf("%s: the check answers %d, without %q:\n%s", name, code, want, body)
	}
	for _, c := range outcome.Checks {
		if told := strings.Contains(body, c.Hint.HTML()); !c.OK && !told {
			s.t.Errorf("%s: what is wrong with %s is not told", name, c.Flow.ID)
		}
	}
}

// TestKind_browser_walk is a learner in Chromium.
func TestKind_browser_walk(t *testing.T) {
	s := startServer(t)
	walk := exec.Command("npm", "run", "--silent", "test:kind")
	walk.Dir = "../../web/e2e"
	walk.Env = append(os.Environ(), "BASE_URL="+s.base, "NODES="+s.prefix())
	walk.Stdout, walk.Stderr = os.Stdout, os.Stderr
	if err := walk.Run(); err != nil {
		t.Error(err)
	}
}

// TestKind_a_reserve_is_handed_out_at_once_and_what_nobody_watches_sleeps measures what
// a class feels: the wait for a cluster that is in reserve, for one that sleeps, and for
// another lesson's pods.
func TestKind_a_reserve_is_handed_out_at_once_and_what_nobody_watches_sleeps(t *testing.T) {
	s := startServer(t, "--pool-reserve", "2", "--pause-after", "5s", "--pool-max", "2")
	for deadline := time.Now().Add(4 * time.Minute); len(s.nodes("status=paused")) < 2; time.Sleep(time.Second) { // the pause between two looks
		if time.Now().After(deadline) {
			t.Fatalf("in reserve are %q of %q", s.nodes("status=paused"), s.nodes())
		}
	}
	began := time.Now()
	id := s.create("network-policies")
	s.wait(id, 10*time.Second, "ready", func(snap sandbox.Snapshot) bool { return snap.State == sandbox.Ready })
	ready := time.Since(began)
	s.wait(id, 10*time.Second, "measured", allOpen)
	t.Logf("from the reserve: ready after %s, every flow measured after %s", ready.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))

	s.apply(id, fmt.Sprintf(policyHead, "default-deny-all")+"  podSelector: {}\n  policyTypes: [Ingress, Egress]\n")
	denied := verdicts(map[string]probe.Verdict{
		"production/web>production/api:8080/TCP":            probe.Blocked,
		"monitoring/grafana>monitoring/prometheus:9090/TCP": probe.Open,
	})
	s.wait(id, 10*time.Second, "the policy is seen", denied)
	s.wait(id, time.Minute, "it sleeps", func(snap sandbox.Snapshot) bool { return snap.State == sandbox.Paused })
	began = time.Now()
	if code, body := s.send("GET", "/workbench", "", "Accept", "text/html"); code != http.StatusOK || !strings.Contains(body, "asleep") {
		t.Errorf("the page of one that sleeps: %d", code)
	}
	snap := s.wait(id, 10*time.Second, "awake, with its policy", func(snap sandbox.Snapshot) bool { return snap.State == sandbox.Ready && denied(snap) })
	t.Logf("awake after %s, with %d policies", time.Since(began).Round(time.Millisecond), len(snap.Policies))

	// Another lesson takes the cluster over, and finds nothing of the one before.
	before := s.nodes()
	began = time.Now()
	var other sandbox.Snapshot
	if code, body := s.ask("POST", "/sandboxes", "application/json", `{"lab":"tenants","instead":"`+string(id)+`"}`, &other); code != http.StatusAccepted {
		t.Fatalf("start of another lesson: %d %s", code, body)
	}
	open := func(snap sandbox.Snapshot) bool {
		for _, o := range snap.Observations {
			if o.Verdict != probe.Open {
				return false
			}
		}
		return snap.State == sandbox.Ready && len(snap.Observations) > 0 && len(snap.Policies) == 0
	}
	s.wait(other.ID, 30*time.Second, "the other lesson is laid", open)
	t.Logf("another lesson after %s", time.Since(began).Round(time.Millisecond))
	if now := s.nodes(); !slices.Equal(now, before) {
		t.Errorf("the clusters were %q, and are %q", before, now)
	}
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if left := s.nodes(); len(left) != 1 {
		t.Errorf("the server has stopped, and left are %q, want the learner's alone", left)
	}
	s.start("127.0.0.1:0")
	s.wait(other.ID, time.Minute, "adopted", open)
}

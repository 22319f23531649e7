package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// running is a server in this process.
type running struct {
	t       testing.TB
	said    *signalWriter
	base    string
	stop    func()
	learner *http.Client
}

// serveLab runs "serve" with the arguments until stop or the test's end.
func serveLab(t testing.TB, args ...string) *running {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &running{t: t, said: &signalWriter{until: "(Ctrl-C", reached: make(chan struct{})}, learner: &http.Client{Jar: jar, Timeout: 10 * time.Second}}
	s.start(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...))
	return s
}

func (s *running) start(args []string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, args, streams{strings.NewReader(""), s.said, io.Discard}) }()
	select {
	case <-s.said.reached:
	case err := <-done:
		s.t.Fatalf("the server did not start: %v", err)
	}
	s.base = regexp.MustCompile(`http://[^/]+`).FindString(s.said.text.String())
	s.stop = func() {
		s.t.Helper()
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
	}
}

// ask sends one request; into may be nil.
func (s *running) ask(method, path, contentType, body string, into any) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if into == nil {
		req.Header.Set("Accept", "text/html")
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
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			s.t.Fatalf("%s %s: %v\n%s", method, path, err, b)
		}
	}
	return resp.StatusCode, string(b)
}

// lessonFlows is how many flows the first lesson's sandbox has.
var lessonFlows = sync.OnceValue(func() int {
	all, err := lessons.Load(lessons.Content())
	if err != nil {
		panic(err)
	}
	return len(all[0].Flows)
})

// until polls the sandbox until every flow in want is as wanted, and all flows
// have a verdict.
func (s *running) until(id sandbox.ID, want map[string]probe.Verdict) sandbox.Snapshot {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var snap sandbox.Snapshot
		s.ask("GET", "/sandboxes/"+string(id), "", "", &snap)
		right := snap.State == sandbox.Ready && len(snap.Observations) == lessonFlows()
		for _, o := range snap.Observations {
			if v, ok := want[o.Flow]; ok && v != o.Verdict {
				right = false
			}
		}
		if right {
			return snap
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the sandbox is %s (%s), with %d flows: %+v", snap.State, snap.Reason, len(snap.Observations), snap.Observations)
		}
		time.Sleep(5 * time.Millisecond) // the pause between two looks
	}
}

const denyProduction = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny-all, namespace: production}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`

var (
	productionOpen   = map[string]probe.Verdict{"production/web>production/api:8080/TCP": probe.Open, "production/web>production/api:8080/TCP@name": probe.Open}
	productionDenied = map[string]probe.Verdict{"production/web>production/api:8080/TCP": probe.Blocked, "production/web>production/api:8080/TCP@name": probe.DNSFailed}
)

func TestServe_auto_without_docker_simulates_the_whole_lab_and_says_so(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	s := serveLab(t, "--data", dir)
	if _, body := s.ask("GET", "/", "", "", nil); !strings.Contains(body, `id="simulated"`) {
		t.Error("the front page does not say that the lab simulates")
	}
	var snap sandbox.Snapshot
	if code, body := s.ask("POST", "/sandboxes", "application/json", `{"lab":"network-policies"}`, &snap); code != http.StatusAccepted {
		t.Fatalf("start: %d %s", code, body)
	}
	s.until(snap.ID, productionOpen)
	var change sandbox.PolicyChange
	if code, body := s.ask("PUT", "/sandboxes/"+string(snap.ID)+"/policies", "application/yaml", denyProduction, &change); code != http.StatusOK {
		t.Fatalf("apply: %d %s", code, body)
	}
	s.until(snap.ID, productionDenied)
	const form = "application/x-www-form-urlencoded"
	if code, body := s.ask("POST", "/lessons/network-policies/exercises/close-production/check", form, "", nil); code != http.StatusOK || !strings.Contains(body, "Passed: ") {
		t.Errorf("the check: %d %s", code, body)
	}
	if code, body := s.ask("POST", "/me/name", form, "name=Somebody", nil); code != http.StatusOK || !strings.Contains(body, "What Somebody has done") {
		t.Errorf("the name: %d %s", code, body)
	}
	_, record := s.ask("GET", "/me/record.json", "", "", nil)
	s.stop()
	if said := s.said.text.String(); !strings.Contains(said, "simulated") || !strings.Contains(said, "docker") || !strings.Contains(said, "make run SANDBOX=kind") {
		t.Errorf("it said %q, want what is missing and how to get it", said)
	}

	// The next process has the sandbox again, with its policies.
	again := serveLab(t, "--data", dir, "--sandbox", "simulated")
	address := again.base
	again.learner.Jar = jarOf(t, s, address)
	again.until(snap.ID, productionDenied)
	var inForce struct {
		Change   int64
		Policies []struct{ Namespace, Name, YAML string }
	}
	if code, _ := again.ask("GET", "/sandboxes/"+string(snap.ID)+"/policies", "", "", &inForce); code != http.StatusOK || len(inForce.Policies) != 1 || inForce.Policies[0].YAML != denyProduction {
		t.Errorf("policies after the restart: %d %+v", code, inForce)
	}
	lastVisit := regexp.MustCompile(`"seenAt":"[^"]*",`) // this one, after the restart
	if _, body := again.ask("GET", "/me/record.json", "", "", nil); lastVisit.ReplaceAllString(body, "") != lastVisit.ReplaceAllString(record, "") || !strings.Contains(body, "Somebody") || !strings.Contains(body, `"exercise":"close-production"`) {
		t.Errorf("the learner's record was %s, and after the restart it is %s", record, body)
	}
	again.stop()
	if said := again.said.text.String(); !strings.Contains(said, "as you have asked") {
		t.Errorf("it said %q", said)
	}

	out, err := command(t, "clean", "--data", dir)
	if err != nil || strings.Count(out, "removed ") != 1 {
		t.Errorf("clean: %v, %q", err, out)
	}
	left, err := filepath.Glob(filepath.Join(dir, "simulated", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("clean has left %v (%v)", left, err)
	}
}

// jarOf is the learner's cookies, for the server's next address.
func jarOf(t *testing.T, s *running, address string) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	from, to := mustRequest(t, s.base), mustRequest(t, address)
	jar.SetCookies(to.URL, s.learner.Jar.Cookies(from.URL))
	return jar
}

func mustRequest(t *testing.T, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// recorded opens the data folder's records of kind sandboxes, and closes them when f is
// done.
func recorded(t *testing.T, dir string, f func(sandbox.Records)) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(dir, "learners.db"))
	if err != nil {
		t.Fatal(err)
	}
	f(s.Sandboxes("kind"))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// real is a sandbox that kind has made.
var real = sandbox.Record{ID: "real", Owner: "o", Lab: "network-policies", State: sandbox.Ready, Created: time.UnixMilli(1).UTC()}

func keepReal(t *testing.T, dir string) {
	t.Helper()
	recorded(t, dir, func(records sandbox.Records) {
		if err := records.Save(t.Context(), real); err != nil {
			t.Fatal(err)
		}
	})
}

func expectReal(t *testing.T, dir string) {
	t.Helper()
	recorded(t, dir, func(records sandbox.Records) {
		if all, err := records.All(t.Context()); err != nil || len(all) != 1 || all[0] != real {
			t.Errorf("records: %+v (%v), want the sandbox as before", all, err)
		}
	})
}

func TestClean_fails_where_docker_does_not_answer_and_kind_sandboxes_are_on_record(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	keepReal(t, dir)
	if _, err := command(t, "clean", "--data", dir); err == nil || !strings.Contains(err.Error(), "docker") {
		t.Errorf("got %v, want it to name docker", err)
	}
	expectReal(t, dir)
}

func TestServe_what_kind_has_made_is_not_forgotten_while_the_lab_simulates(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	keepReal(t, dir)
	serveLab(t, "--data", dir).stop()
	expectReal(t, dir)
}

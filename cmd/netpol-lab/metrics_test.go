package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.yaml.in/yaml/v3"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// still is a Manager in which nothing moves.
type still struct {
	overview    sandbox.Overview
	unavailable error
}

func (s still) Overview() sandbox.Overview { return s.overview }
func (s still) Available() error           { return s.unavailable }

// scrape is what Prometheus is answered.
func scrape(t *testing.T, m *metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s: %s", w.Code, w.Header(), w.Body)
	}
	return w.Body.String()
}

// busy has been told something of everything.
func busy() *metrics {
	m := newMetrics()
	m.oversee(still{overview: sandbox.Overview{
		Surveyed: true, MaxSandboxes: 8, MaxWaiting: 200, PoolReserve: 1, Waiting: 3, Hits: 5, Misses: 2,
		Clusters: sandbox.ClusterCounts{Booting: 1, Reserved: 2, Taken: 3, Removing: 1},
		Sandboxes: []sandbox.Brief{
			{State: sandbox.Ready, Watchers: 2, Disagreeing: 4}, {State: sandbox.Ready, Watchers: 1}, {State: sandbox.Failed},
		},
	}, unavailable: errors.New("no Docker")})
	m.Stepped(`Say "hello"`, 2*time.Second, false)
	m.Stepped("Break", time.Second, true)
	m.Proved(true)
	m.Proved(false)
	m.Waited(40*time.Second, sandbox.FromBoot)
	m.Started(300*time.Millisecond, sandbox.FromReserve)
	m.Woke(200 * time.Millisecond)
	m.Parsed(time.Millisecond)
	m.Read(time.Millisecond)
	m.Measured(probe.Blocked, 62)
	m.Measured(probe.Blocked, 1)
	m.Settled(0, 500*time.Millisecond)
	m.Settled(120*time.Millisecond, 640*time.Millisecond)
	m.Disagreed(3)
	m.Answered("/sandboxes/{id}", "GET", 200, 3*time.Millisecond)
	m.Answered("/sandboxes/{id}/events", "GET", 101, time.Hour)
	m.Sockets(7)
	return m
}

func TestMetrics_are_what_was_told_and_what_there_is(t *testing.T) {
	text := scrape(t, busy())
	for _, line := range []string{
		`netpol_lab_sandboxes{state="ready"} 2`,
		`netpol_lab_sandboxes{state="failed"} 1`,
		`netpol_lab_sandboxes{state="queued"} 0`,
		`netpol_lab_clusters{state="reserved"} 2`,
		`netpol_lab_clusters{state="removing"} 1`,
		`netpol_lab_clusters_max 8`,
		`netpol_lab_pool_reserve 1`,
		`netpol_lab_pool_hits_total 5`,
		`netpol_lab_pool_misses_total 2`,
		`netpol_lab_queue_length 3`,
		`netpol_lab_watchers 3`,
		`netpol_lab_disagreeing_flows 4`,
		`netpol_lab_surveyed 1`,
		`netpol_lab_available 0`,
		`netpol_lab_step_seconds_sum{step="Say \"hello\""} 2`,
		`netpol_lab_step_failures_total{step="Say \"hello\""} 0`,
		`netpol_lab_step_failures_total{step="Break"} 1`,
		`netpol_lab_canaries_total{result="passed"} 1`,
		`netpol_lab_canaries_total{result="failed"} 1`,
		`netpol_lab_queue_wait_seconds_bucket{from="boot",le="60"} 1`,
		`netpol_lab_start_seconds_bucket{from="reserve",le="0.5"} 1`,
		`netpol_lab_wake_seconds_sum 0.2`,
		`netpol_lab_parse_seconds_count{of="apply"} 1`,
		`netpol_lab_parse_seconds_count{of="draft"} 1`,
		`netpol_lab_verdicts_total{verdict="blocked"} 63`,
		`netpol_lab_verdicts_total{verdict="unknown"} 0`,
		`netpol_lab_apply_to_flip_seconds_count 1`,
		`netpol_lab_apply_to_settled_seconds_count 2`,
		`netpol_lab_disagreements_total 1`,
		`netpol_lab_disagreeing_flows_total 3`,
		`netpol_lab_http_requests_total{method="GET",route="/sandboxes/{id}",status="200"} 1`,
		`netpol_lab_http_requests_total{method="GET",route="/sandboxes/{id}/events",status="101"} 1`,
		`netpol_lab_http_request_seconds_count{route="/sandboxes/{id}"} 1`,
		`netpol_lab_websockets 7`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(text, `netpol_lab_http_request_seconds_count{route="/sandboxes/{id}/events"}`) {
		t.Error("a websocket counts as a slow request")
	}
}

func TestMetrics_are_in_Prometheus_format_and_named_as_is_usual_there(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, busy()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "netpol_lab_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if _, err := promlint.New(strings.NewReader("netpol_lab_x{ 1\n")).Lint(); err == nil {
		t.Error("what is in no format passes")
	}
}

// metricName are the lab's and the process's own. What a label's text is called does not
// look like one.
var metricName = regexp.MustCompile(`\b(?:netpol_lab|process|go)_[a-z_]+`)

func TestMonitoring_asks_for_nothing_that_is_not_counted(t *testing.T) {
	counted := map[string]bool{}
	for line := range strings.Lines(scrape(t, busy())) {
		if name := metricName.FindString(line); strings.HasPrefix(line, name) {
			counted[name] = true
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, W int }
		}
	}
	read := func(name string, into func([]byte) error) {
		t.Helper()
		text, err := monitoring.ReadFile("monitoring/" + name)
		if err == nil {
			err = into(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read("alerts.yml", func(b []byte) error { return yaml.Unmarshal(b, &rules) })
	read("dashboard.json", func(b []byte) error { return json.NewDecoder(bytes.NewReader(b)).Decode(&dashboard) })
	asked := map[string]bool{}
	ask := func(who, expr string) {
		t.Helper()
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 && !strings.Contains(expr, "up{") {
			t.Errorf("%s asks for nothing: %s", who, expr)
		}
		for _, name := range names {
			if asked[name] = true; !counted[name] {
				t.Errorf("%s asks for %s, which is not counted", who, name)
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range rules.Groups[0].Rules {
		ask(r.Alert, r.Expr)
		if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" || r.Annotations["summary"] == "" || r.Annotations["look"] == "" || seen[r.Alert] {
			t.Errorf("%s says too little, or is there twice: %v %v", r.Alert, r.Labels, r.Annotations)
		}
		seen[r.Alert] = true
	}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			ask(p.Title, target.Expr)
		}
		if len(p.Targets) == 0 || ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("the panel %s is empty, has the number of another, or is off the board", p.Title)
		}
		ids[p.ID] = true
	}
	if len(rules.Groups[0].Rules) < 10 || len(dashboard.Panels) < 15 {
		t.Errorf("%d alerts and %d panels were looked at", len(rules.Groups[0].Rules), len(dashboard.Panels))
	}
	// And what is counted is shown, or somebody is woken by it.
	for name := range counted {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "netpol_lab_") && !asked[name] && !asked[base+"_bucket"] && name != "netpol_lab_disagreements_total" && name != "netpol_lab_disagreeing_flows_total" {
			t.Errorf("%s is counted, and nobody looks at it", name)
		}
	}
}

func TestMonitoring_writes_its_files_and_leaves_others_alone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	out, err := command(t, "monitoring", dir)
	if err != nil || strings.Count(out, "\n") != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := command(t, "monitoring", dir); err != nil || out != "" {
		t.Errorf("again: %v: %s", err, out)
	}
	alerts := filepath.Join(dir, "alerts.yml")
	if err := os.WriteFile(alerts, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := command(t, "monitoring", dir); err == nil || !strings.Contains(err.Error(), alerts) {
		t.Errorf("over a file of somebody's: %v", err)
	}
	if b, err := os.ReadFile(alerts); err != nil || string(b) != "mine" {
		t.Errorf("it is %q: %v", b, err)
	}
}

func TestMetrics_have_an_address_of_their_own_only_where_that_is_asked_for(t *testing.T) {
	stop, err := serveMetrics("127.0.0.1:99999", http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err == nil {
		stop()
		t.Fatal("an address that there is not")
	}
	if !strings.Contains(err.Error(), "--metrics-listen") {
		t.Errorf("got %v", err)
	}
	log := &signalWriter{until: "address=", reached: make(chan struct{})}
	stop, err = serveMetrics("127.0.0.1:0", busy().handler(slog.New(slog.DiscardHandler)), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	<-log.reached
	base := "http://" + regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(log.text.String())
	for path, want := range map[string]int{"/metrics": http.StatusOK, "/operator": http.StatusNotFound, "/": http.StatusNotFound} {
		if got, _ := fetch(t, base+path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	stop()
	if _, err := http.Get(base + "/metrics"); err == nil {
		t.Error("it is still served")
	}
}

// fetch is what a client without a cookie is answered.
func fetch(t testing.TB, url string, header ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestMetrics_allocate_nothing_for_what_is_measured(t *testing.T) {
	m := newMetrics()
	m.Answered("/sandboxes/{id}", "GET", 200, time.Millisecond)
	for what, f := range map[string]func(){
		"flows":    func() { m.Measured(probe.Open, 99) },
		"a change": func() { m.Settled(time.Millisecond, time.Second) },
		"a draft":  func() { m.Read(time.Millisecond) },
		"sockets":  func() { m.Sockets(3) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s cost %v allocations", what, n)
		}
	}
	// The status as text.
	if n := testing.AllocsPerRun(100, func() { m.Answered("/sandboxes/{id}", "GET", 200, time.Millisecond) }); n > 1 {
		t.Errorf("a request costs %v allocations", n)
	}
}

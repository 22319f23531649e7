package web

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
	"github.com/netpol-lab/netpol-lab/static"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// lab is a whole lab under test: the real handler over the real Manager, with a
// provider that makes clusters in memory.
type lab struct {
	*httptest.Server
	manager *sandbox.Manager
	lessons []*lessons.Lesson
	quizzes []*quizzes.Quiz
	log     *logBuffer
	// closing begins the server's end.
	closing context.CancelFunc
}

type setup struct {
	provider sandbox.Provider
	max      int
	// maxAge is how old a sandbox may be.
	maxAge time.Duration
	// waiting is how many may wait.
	waiting int
	limits  limits
	timings timings
	// smallBuffers makes the system keep little for clients that do not read.
	smallBuffers bool
	// sandboxes replaces the Manager.
	sandboxes func(Sandboxes) Sandboxes
	// progress replaces the store.
	progress func(Progress) Progress
	// sick is why nothing can be kept.
	sick error
	// metrics are told what happens.
	metrics Metrics
	// costs are what the operator is told that clusters take.
	costs Costs
	// proxies are trusted.
	proxies []netip.Prefix
	// unserved leaves the handler alone, without a listener.
	unserved bool
	// files replaces the files of the binary.
	files fs.FS
	// more are lessons' files beside those of the binary.
	more fstest.MapFS
}

func newLab(t testing.TB, s setup) *lab {
	t.Helper()
	if s.provider == nil {
		s.provider = &sandboxtest.Provider{}
	}
	if s.limits == (limits{}) {
		s.limits = defaultLimits
	}
	if s.timings == (timings{}) {
		s.timings = defaultTimings
	}
	allLessons, allQuizzes, files := theLessons(t), theQuizzes(t), theFiles(t)
	if s.more != nil {
		content := lessons.Content()
		err := fs.WalkDir(content, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(content, path)
			s.more[path] = &fstest.MapFile{Data: data}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if allLessons, err = lessons.Load(s.more); err != nil {
			t.Fatal(err)
		}
		if allQuizzes, err = quizzes.Load(quizzes.Content(), topologies(allLessons)); err != nil {
			t.Fatal(err)
		}
	}
	if s.files != nil {
		var err error
		if files, err = static.Load(s.files); err != nil {
			t.Fatal(err)
		}
	}
	progress, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "learners.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := progress.Close(); err != nil {
			t.Error(err)
		}
	})
	log := &logBuffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	manager, err := sandbox.NewManager(sandbox.Options{
		Log: logger, Provider: s.provider, Records: progress.Sandboxes(s.provider.Name()), MaxSandboxes: s.max, MaxWaiting: s.waiting, MaxAge: s.maxAge, Lab: NewLabs(allLessons, progress).Topology,
		Pace: sandbox.Pace{
			Sweep: 20 * time.Millisecond, SweepTimeout: 5 * time.Millisecond, BurstTimeout: 2 * time.Millisecond,
			Settle: 5 * time.Millisecond, Health: 10 * time.Millisecond,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Close)
	var sandboxes Sandboxes = manager
	if s.sandboxes != nil {
		sandboxes = s.sandboxes(manager)
	}
	var kept Progress = progress
	if s.progress != nil {
		kept = s.progress(progress)
	}
	closing, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	handler, err := newServer(Deps{
		Sandboxes: sandboxes, Progress: kept, Labs: NewLabs(allLessons, kept), Lessons: allLessons, Quizzes: allQuizzes, Static: files,
		Log: logger, Closing: closing,
		Hosts: []string{"localhost", "127.0.0.1", "lab.example"}, Health: func() error { return s.sick }, ForgetDays: 90, TrustedProxies: s.proxies, Metrics: s.metrics,
		Operator: &Operator{Token: HashToken(operatorsToken), Sandboxes: manager, Names: progress.Names, Costs: s.costs, Metrics: theMetrics},
	}, s.limits, s.timings)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{Server: httptest.NewUnstartedServer(handler), manager: manager, lessons: allLessons, quizzes: allQuizzes, log: log, closing: cancel}
	l.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if s.smallBuffers {
			if err := c.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil {
				t.Error(err)
			}
		}
		return ctx
	}
	if !s.unserved {
		l.Start()
		t.Cleanup(l.Close)
	}
	return l
}

// logBuffer is a log that a test can read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// learner is a client with a session of its own.
type learner struct {
	t   testing.TB
	lab *lab
	*http.Client
}

func (l *lab) learner(t testing.TB) *learner {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	v := &learner{t: t, lab: l, Client: client}
	if a := v.page("GET", "/", nil); a.status != http.StatusOK { // gets the cookie
		t.Fatalf("front page: status %d", a.status)
	}
	return v
}

// reply is an answer that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (v *learner) send(method, path string, body io.Reader, header ...string) reply {
	v.t.Helper()
	r, err := http.NewRequest(method, v.lab.URL+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

// page sends what a browser would: a visit, or a form.
func (v *learner) page(method, path string, form url.Values) reply {
	v.t.Helper()
	header := []string{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}
	if form == nil {
		return v.send(method, path, nil, header...)
	}
	return v.send(method, path, strings.NewReader(form.Encode()), append(header, "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")...)
}

// put applies YAML as the page's script does.
func (v *learner) put(id, yaml string) reply {
	v.t.Helper()
	return v.send("PUT", "/sandboxes/"+id+"/policies", strings.NewReader(yaml), "Content-Type", "application/yaml", "Accept", "application/json")
}

// start makes a sandbox and waits until it is ready and its flows are measured.
func (v *learner) start() string {
	v.t.Helper()
	id := v.await(v.create(), sandbox.Ready)
	v.until("every flow is measured", func() bool {
		return v.snapshot(v.send("GET", "/sandboxes/"+id, nil)).Settled != nil
	})
	return id
}

func (v *learner) create() string {
	v.t.Helper()
	a := v.send("POST", "/sandboxes", strings.NewReader(`{"lab": "network-policies"}`), "Content-Type", "application/json")
	if a.status != http.StatusAccepted {
		v.t.Fatalf("POST /sandboxes: status %d: %s", a.status, a.body)
	}
	return v.snapshot(a).id()
}

func (v *learner) await(id string, state sandbox.State) string {
	v.t.Helper()
	v.until("the sandbox is "+string(state), func() bool {
		return v.snapshot(v.send("GET", "/sandboxes/"+id, nil)).State == state
	})
	return id
}

func (v *learner) until(what string, holds func() bool) {
	v.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			v.t.Fatalf("waited 10 s in vain until %s", what)
		}
	}
}

// policies are those in force, with their texts.
func (v *learner) policies(id string) []sandbox.PolicyFile {
	v.t.Helper()
	return v.inForce(id).Policies
}

// inForce are the policies in force with the number of their change.
func (v *learner) inForce(id string) policiesInForce {
	v.t.Helper()
	var all policiesInForce
	strict(v.t, v.send("GET", "/sandboxes/"+id+"/policies", nil).body, &all)
	return all
}

type told struct {
	sandbox.Snapshot
	Seq int64 `json:"seq"`
}

func (s told) id() string { return string(s.ID) }

func (v *learner) snapshot(a reply) told {
	v.t.Helper()
	var s told
	strict(v.t, a.body, &s)
	return s
}

// strict decodes JSON that must have no field that v does not have.
func strict(t testing.TB, text string, v any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
}

// refusal checks that the answer is an error in JSON and returns its sentence.
func refusal(t testing.TB, a reply, status int) string {
	t.Helper()
	if a.status != status {
		t.Errorf("status = %d, want %d: %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q, want JSON", got)
		return ""
	}
	var said answer
	strict(t, a.body, &said)
	if said.Error == "" {
		t.Error("the answer has no error")
	}
	return said.Error
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in the %d bytes: %.300s", w, len(text), text)
		}
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

func TestEach_page_shows_what_it_is_for(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	for path, wanted := range map[string][]string{
		"/":                               {`href="/lessons/network-policies"`, `href="/quizzes/network-policies"`, `href="/workbench"`},
		"/lessons/network-policies":       {"<h1", "default-deny-all", "data-insert", `id="lab" aria-label="Lab" data-lab="network-policies"`, `href="/quizzes/network-policies"`},
		"/workbench":                      {`data-lab="network-policies"`, `name="lab" value="network-policies"`},
		"/workbench?lab=network-policies": {`data-lab="network-policies"`},
		"/quizzes/network-policies?attempt=AAAAAAAAAAAAAAAAAAAAAAAAAA": {`<form id="quiz" method="post" action="/quizzes/network-policies?attempt=AAAAAAAAAAAAAAAAAAAAAAAAAA"`, `type="radio"`},
	} {
		t.Run(path, func(t *testing.T) {
			a := v.page("GET", path, nil)
			if a.status != http.StatusOK {
				t.Fatalf("status = %d", a.status)
			}
			contains(t, a.body, append(wanted, "<!doctype html>", `<html lang="en">`, `name="viewport"`)...)
			if got := v.page("HEAD", path, nil); got.status != http.StatusOK || got.body != "" {
				t.Errorf("HEAD: status %d with %d bytes, want 200 with none", got.status, len(got.body))
			}
		})
	}
}

// raw is the answer as it goes over the wire.
func (v *learner) raw(path string, header ...string) reply {
	v.t.Helper()
	return v.send("GET", path, nil, append([]string{"Accept", "text/html", "Accept-Encoding", "gzip, br"}, header...)...)
}

func TestCompression_a_page_arrives_compressed_and_a_small_answer_as_it_is(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	plain := v.send("GET", "/lessons/network-policies", nil, "Accept", "text/html", "Accept-Encoding", "identity")
	if got := plain.header.Get("Content-Encoding"); got != "" || plain.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("to whoever takes none: Content-Encoding %q, Vary %q", got, plain.header.Get("Vary"))
	}
	zipped := v.raw("/lessons/network-policies")
	if zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("Content-Encoding %q, Vary %q", zipped.header.Get("Content-Encoding"), zipped.header.Get("Vary"))
	}
	reader, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(reader)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(page)), "</html>") {
		t.Errorf("the page does not come out whole: %v", err)
	}
	t.Logf("lesson 1: %d bytes, compressed %d", len(plain.body), len(zipped.body))
	if len(zipped.body)*4 > len(plain.body) {
		t.Errorf("of %d bytes %d are sent, more than a quarter", len(plain.body), len(zipped.body))
	}
	for path, want := range map[string]string{
		"/healthz": "", "/sandboxes/none/events": "", "/static/css/site.css": "gzip", "/me": "gzip",
	} {
		if got := v.raw(path, "Accept", "*/*").header.Get("Content-Encoding"); got != want {
			t.Errorf("%s: Content-Encoding %q, want %q", path, got, want)
		}
	}
	// What stands in a file's ETag is of the form in which it is sent.
	if a, b := v.raw("/static/css/site.css").header.Get("ETag"), v.send("GET", "/static/css/site.css", nil, "Accept-Encoding", "identity").header.Get("ETag"); a == b || a == "" {
		t.Errorf("ETags %s and %s: one for two forms", a, b)
	}
}

// The page's script relies on these, and so do its users without scripts.
func TestThe_lab_keeps_its_contract(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	empty := v.page("GET", "/lessons/network-policies", nil).body
	contains(t, empty,
		`data-lab="network-policies" data-sandbox="" data-state="none" data-seq="0" data-change="0"`,
		`<p id="status" role="status" aria-live="polite">`, `<ol id="steps"`, `<p id="settled"`, `<p id="connection" role="status">`,
		`<form id="start" method="post" action="/sandboxes">`, `name="lab" value="network-policies"`,
		`id="reset" method="post" action="/sandboxes/none/reset" hidden`, `id="stop" method="post" action="/sandboxes/none/stop" hidden`,
		`<textarea id="policy" name="yaml"`, `<label for="policy">`, `<button id="apply"`, `<div id="problems" role="alert">`,
		`<table id="matrix" class="matrix tight stacked">`, `<caption`, `data-end="production/api:8080/TCP"`, `data-end="production/web"`, `scope="row"`, `scope="col"`,
		`data-flow="production/web&gt;production/api:8080/TCP" data-verdict="none" data-via="ip"`,
		`data-flow="production/web&gt;production/api:8080/TCP@name" data-verdict="none" data-via="name"`,
		`data-flow="production/web&gt;kube-system/kube-dns:53/UDP" data-verdict="none" data-via="dns"`,
	)

	id := v.start()
	if a := v.put(id, denyAll); a.status != http.StatusOK {
		t.Fatalf("PUT: status %d: %s", a.status, a.body)
	}
	v.until("a flow is seen blocked", func() bool {
		return strings.Contains(v.send("GET", "/sandboxes/"+id, nil).body, `"blocked"`)
	})
	ready := v.page("GET", "/lessons/network-policies", nil).body
	contains(t, ready,
		`data-sandbox="`+id+`" data-state="ready"`, `data-change="1"`,
		`<form id="start" method="post" action="/sandboxes" hidden>`,
		`id="reset" method="post" action="/sandboxes/`+id+`/reset">`, `id="stop" method="post" action="/sandboxes/`+id+`/stop">`,
		`id="policy-form" method="post" action="/sandboxes/`+id+`/policies#policy-form">`,
		`<li data-step="1" data-status="done">Start the node <span class="elapsed">`,
		`name="base" value="1"`, `  name: default-deny-all`,
		`data-verdict="blocked"`, `data-verdict="open"`,
	)
	if n := strings.Count(ready, `data-flow="`); n != len(lessonTopology(t).Flows()) {
		t.Errorf("%d flows on the page, want %d", n, len(lessonTopology(t).Flows()))
	}
}

func TestEvery_page_says_whether_the_lab_simulates(t *testing.T) {
	lessonText := regexp.MustCompile(`(?s)<article.*</article>|<form id="quiz".*?</form>|<ul class="entries">.*?</ul>`)
	for _, simulated := range []bool{true, false} {
		l := newLab(t, setup{})
		if simulated {
			l = simulatingLab(t)
		}
		v := l.learner(t)
		look := func(when, method, path string, form url.Values) {
			body := v.page(method, path, form).body
			if said := strings.Contains(body, `<aside id="simulated"`) && strings.Contains(body, "make run SANDBOX=kind"); said != simulated {
				t.Errorf("%s %s, %s, simulated %v: the banner is there: %v", method, path, when, simulated, said)
			}
			if said := strings.Contains(body, `aria-label="Lab"`) && strings.Contains(body, " data-simulated"); said != (simulated && strings.Contains(body, `id="lab"`)) {
				t.Errorf("%s %s, %s, simulated %v: the script is told: %v", method, path, when, simulated, said)
			}
			if rest := lessonText.ReplaceAllString(body, ""); simulated && strings.Contains(strings.ReplaceAll(rest, "nothing is measured", ""), "easur") {
				t.Errorf("%s %s, %s: the page speaks of measuring:\n%s", method, path, when, rest)
			}
		}
		pages := []string{"/", "/lessons/network-policies", "/workbench", "/quizzes/network-policies", "/nowhere", "/lessons/nowhere", "/sandboxes/none"}
		for _, path := range pages {
			look("without a sandbox", "GET", path, nil)
		}
		look("with answers missing", "POST", "/quizzes/network-policies", url.Values{})
		id := v.start()
		for _, path := range pages {
			look("with a sandbox", "GET", path, nil)
		}
		look("with YAML that is wrong", "POST", "/sandboxes/"+id+"/policies", url.Values{"lab": {"network-policies"}, "yaml": {"nonsense"}})
	}
}

func lessonTopology(t *testing.T) *sandbox.Topology {
	t.Helper()
	return theLessons(t)[0].Topology
}

func TestAvailable_where_no_sandbox_can_be_made_the_page_says_what_to_do_and_the_log_why(t *testing.T) {
	provider := &sandboxtest.Provider{}
	provider.FailCheck(errors.New("Docker does not answer: dial unix"))
	v := newLab(t, setup{provider: provider}).learner(t)
	var body string
	v.until("the page says that none can be started", func() bool {
		body = v.page("GET", "/lessons/network-policies", nil).body
		return strings.Contains(body, `id="unavailable"`)
	})
	contains(t, body, "No sandbox can be started here at the moment. Read on", `<form id="start" method="post" action="/sandboxes" hidden>`)
	a := v.send("POST", "/sandboxes", strings.NewReader(`{"lab":"network-policies"}`), "Content-Type", "application/json")
	contains(t, refusal(t, a, http.StatusServiceUnavailable), "No sandbox can be started here at the moment")
	if strings.Contains(body+a.body, "dial unix") {
		t.Error("the learner reads the log's text")
	}
	contains(t, v.lab.log.String(), "Docker does not answer: dial unix")
}

// Somebody who leaves before the answer comes, again and again, must not decide for
// the others what is available.
func TestAvailable_aborted_requests_do_not_keep_others_from_starting(t *testing.T) {
	l := newLab(t, setup{})
	aborted, abort := context.WithCancel(t.Context())
	abort()
	for range 10 {
		r := httptest.NewRequest("GET", "http://localhost/lessons/network-policies", nil).WithContext(aborted)
		l.Config.Handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	v := l.learner(t)
	if body := v.page("GET", "/lessons/network-policies", nil).body; strings.Contains(body, `id="unavailable"`) {
		t.Error("the page says that no sandbox can be started")
	}
	v.start()
}

func TestAvailable_a_check_that_hangs_holds_no_page(t *testing.T) {
	v := newLab(t, setup{provider: sandboxtest.HangsOnCheck()}).learner(t)
	begun := time.Now()
	for range 5 {
		if a := v.page("GET", "/lessons/network-policies", nil); a.status != http.StatusOK {
			t.Errorf("status %d", a.status)
		}
	}
	v.create()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("five pages and a start took %s", took)
	}
}

var (
	inlineStyle  = regexp.MustCompile(`<style|\sstyle="`)
	inlineScript = regexp.MustCompile(`<script(?: [^>]*)?>[^<]|\son[a-z]+="|javascript:`)
	nonceInCSP   = regexp.MustCompile(`style-src 'self' 'nonce-([A-Z0-9]{20,})'`)
)

func TestEvery_answer_has_a_strict_policy_and_no_page_breaks_it(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/lessons/network-policies", "/workbench", "/quizzes/network-policies?attempt=AAAAAAAAAAAAAAAAAAAAAAAAAA", "/nowhere", "/static/css/site.css", "/healthz"} {
		a := v.page("GET", path, nil)
		csp := a.header.Get("Content-Security-Policy")
		contains(t, csp, "default-src 'none'", "script-src 'self';", "connect-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'")
		for _, unwanted := range []string{"unsafe", "data:", "*"} {
			if strings.Contains(csp, unwanted) {
				t.Errorf("%s: the policy has %q: %s", path, unwanted, csp)
			}
		}
		nonce := nonceInCSP.FindStringSubmatch(csp)
		if nonce == nil {
			t.Fatalf("%s: no nonce in %s", path, csp)
		}
		if seen[nonce[1]] {
			t.Errorf("%s: the nonce was used before", path)
		}
		seen[nonce[1]] = true
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", path, name, got, want)
			}
		}
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			continue
		}
		contains(t, a.body, `<meta name="csp-nonce" content="`+nonce[1]+`">`)
		if found := inlineStyle.FindString(a.body); found != "" {
			t.Errorf("%s: inline style %q", path, found)
		}
		if found := inlineScript.FindString(a.body); found != "" {
			t.Errorf("%s: inline script %q", path, found)
		}
	}
}

func TestA_request_from_another_sites_page_is_refused(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	id := v.start()
	for name, header := range map[string][]string{
		"by fetch metadata": {"Sec-Fetch-Site", "cross-site"},
		"by origin":         {"Origin", "http://elsewhere.example"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range [][2]string{{"POST", "/sandboxes"}, {"DELETE", "/sandboxes/" + id}, {"PUT", "/sandboxes/" + id + "/policies"}, {"POST", "/quizzes/network-policies"}} {
				a := v.send(c[0], c[1], strings.NewReader("lab=network-policies"), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
				contains(t, refusal(t, a, http.StatusForbidden), "another site")
			}
		})
	}
	v.await(id, sandbox.Ready)
}

func TestErrors_are_pages_for_people_and_JSON_for_scripts(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	for path, status := range map[string]int{
		"/nowhere": 404, "/lessons/none": 404, "/quizzes/none": 404, "/workbench?lab=none": 404, "/static/css/": 404, "/sandboxes/none": 404, "/sandboxes/none/events?after=x": 400,
	} {
		if a := v.page("GET", path, nil); a.status != status || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "Back to the lessons") {
			t.Errorf("%s for people: status %d, %s", path, a.status, a.body)
		}
		refusal(t, v.send("GET", path, nil), status)
	}
}

func TestA_wrong_method_is_told_the_right_ones(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	a := v.send("DELETE", "/quizzes/network-policies", nil)
	contains(t, refusal(t, a, http.StatusMethodNotAllowed), "DELETE does not work", "GET", "POST")
	if got := strings.Join(a.header.Values("Allow"), " "); !strings.Contains(got, "GET") || !strings.Contains(got, "POST") {
		t.Errorf("Allow = %q", got)
	}
}

func TestErrors_a_client_that_does_not_wait_is_nobodys_failure(t *testing.T) {
	l := newLab(t, setup{})
	v := l.learner(t)
	id := v.start()
	u, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	cookie := v.Jar.Cookies(u)[0]
	for _, path := range []string{
		"GET /", "GET /lessons/network-policies", "GET /workbench", "GET /quizzes/network-policies", "GET /me", "GET /me/record.json",
		"GET /sandboxes/" + id, "PUT /sandboxes/" + id + "/policies", "DELETE /sandboxes/" + id + "/policies", "POST /me/name",
		"POST /lessons/network-policies/exercises/close-production/check", "POST /lessons/network-policies/exercises/close-production/hint",
	} {
		method, path, _ := strings.Cut(path, " ")
		r := httptest.NewRequest(method, path, strings.NewReader(denyAll))
		r.Host = "localhost"
		r.AddCookie(cookie)
		r.Header.Set("Accept", "text/html")
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		w := httptest.NewRecorder()
		l.Config.Handler.ServeHTTP(w, r.WithContext(ctx))
		if w.Code != http.StatusOK && w.Code != http.StatusSeeOther && w.Code != statusClientGone {
			t.Errorf("%s %s, broken off by the client: status %d", method, path, w.Code)
		}
	}
	for _, line := range strings.Split(l.log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("the log has %s", line)
		}
	}
	// What the server breaks off is told to whoever waits for it.
	l.closing()
	r := httptest.NewRequest("GET", "/me", nil)
	r.Host = "localhost"
	r.AddCookie(cookie)
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	w := httptest.NewRecorder()
	l.Config.Handler.ServeHTTP(w, r.WithContext(ctx))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "is being stopped") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// panicking panics where a page asks whose sandbox it is.
type panicking struct{ Sandboxes }

func (panicking) ByOwner(string) (sandbox.Snapshot, int64, bool) { panic("secret detail") }

func TestA_panic_is_a_page_for_the_learner_and_a_stack_for_the_log(t *testing.T) {
	v := newLab(t, setup{sandboxes: func(s Sandboxes) Sandboxes { return panicking{s} }}).learner(t)
	a := v.page("GET", "/lessons/network-policies", nil)
	if a.status != http.StatusInternalServerError {
		t.Fatalf("status = %d", a.status)
	}
	id := a.header.Get("X-Request-Id")
	contains(t, a.body, "Something went wrong", id)
	if strings.Contains(a.body, "secret detail") {
		t.Error("the learner reads the log's text")
	}
	contains(t, v.lab.log.String(), "secret detail", "web_test.go", "request="+id)
}

func TestHealth_answers_and_tells_why_nothing_can_be_kept(t *testing.T) {
	v := newLab(t, setup{}).learner(t)
	if a := v.send("GET", "/healthz", nil); a.status != http.StatusOK || a.body != `{"status":"ok"}`+"\n" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	v = newLab(t, setup{sick: errors.New("the disk is full")}).learner(t)
	if a := v.send("GET", "/healthz", nil); a.status != http.StatusServiceUnavailable || a.body != `{"reason":"the disk is full","status":"failing"}`+"\n" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	contains(t, v.lab.log.String(), "the disk is full")
}

func TestNew_refuses_what_is_incomplete(t *testing.T) {
	if _, err := New(Deps{}); err == nil {
		t.Error("no error without dependencies")
	}
	files, all := theFiles(t), theLessons(t)
	deps := Deps{Sandboxes: panicking{}, Progress: &store.Store{}, Labs: NewLabs(all, nil), Lessons: all, Static: files, Log: slog.Default(), Closing: context.Background(), Health: func() error { return nil }, Hosts: []string{"localhost"}, Quizzes: []*quizzes.Quiz{{Slug: "q", Lesson: "none"}}}
	if _, err := New(deps); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("error = %v, want one that names the lesson", err)
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// story is one page in one state.
type story struct {
	// Name is its name under localhost, Group and Title are for the index.
	Name, Group, Title string
	// Path is the page's address. Where there is a Form, the page is the answer to it.
	Path string
	Form url.Values
	// Simulated says that the lab's sandboxes are.
	Simulated bool
	// Unavailable is why no sandbox can be made; nil where one can.
	Unavailable error
	// Full says that as many wait for a sandbox as may.
	Full bool
	// Lab is the lab that the learner has a sandbox of, Scene how that is; nil where they
	// have none.
	Lab   string
	Scene func(*scene)
	// Applying changes what an Apply does; nil for what it does of itself.
	Applying func(*scene) error
	// Then is what happens to the sandbox while the page is open; nil for nothing.
	Then func(*scene)
	// Learner is what the learner has done before; nil for nothing.
	Learner func(ctx context.Context, kept *store.Store, owner string) error
	// Operator is what whoever runs the lab sees, who looks at the page; LoggedOut says that
	// they have not shown their token. It is nil in all other stories.
	Operator  *class
	LoggedOut bool
	// Cut says that the page's connection is cut off then, and does not come back.
	Cut bool
	// Refused says that the server has no place for its connection.
	Refused bool
	// Provokes are paths of requests whose failure is on the page's console.
	Provokes []string
}

// url is where the story begins.
func (s story) url() string {
	if s.Form == nil {
		return s.Path
	}
	_, part, there := strings.Cut(s.Path, "#")
	if there {
		part = "#" + part
	}
	return "/story" + part
}

// page is a story's lab.
type page struct {
	story
	lab       http.Handler
	sandboxes *sandboxes
	lines     *lines
}

func newPage(c content, s story) (http.Handler, error) {
	sandboxes := &sandboxes{story: s, content: c, byOwner: map[string]*scene{}, byID: map[string]*scene{}}
	deps := web.Deps{
		Sandboxes: sandboxes, Progress: &progress{Store: c.kept, story: s, sandboxes: sandboxes, seen: map[string]bool{}},
		Labs:    web.NewLabs(c.lessons, c.kept),
		Lessons: c.lessons, Quizzes: c.quizzes, Static: c.files, Log: c.log, Closing: c.closing,
		Health: func() error { return nil }, ForgetDays: 90, Hosts: []string{s.Name + ".localhost"},
	}
	if s.Operator != nil {
		deps.Operator = s.Operator.operator()
	}
	lab, err := web.New(deps)
	return &page{s, lab, sandboxes, &lines{open: map[string]net.Conn{}, cut: map[string]bool{}}}, err
}

// ServeHTTP serves the lab's own pages, with the script that acts the story in them.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/storybook/act.js" {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(script)
		return
	}
	if r.URL.Path == "/storybook/then" {
		if sc, err := p.sandboxes.of(sandbox.ID(r.URL.Query().Get("sandbox"))); err == nil && p.Then != nil {
			p.Then(sc)
		}
		if p.Cut {
			p.lines.breakOff("/sandboxes/" + r.URL.Query().Get("sandbox") + "/events")
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/events") {
		switch {
		case p.Refused:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, `{"error": "You have the lab open in 16 places already, which is as many as go at once. Close some of its tabs, and this page goes on."}`)
			return
		case p.Cut:
			if p.lines.isCut(r.URL.Path) {
				panic(http.ErrAbortHandler) // as a network does that breaks off
			}
			w = line{w, r.URL.Path, p.lines}
		}
	}
	if r.URL.Path == "/story" && p.Form != nil {
		r = r.Clone(r.Context())
		path, err := url.Parse(p.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		r.Method, r.URL = http.MethodPost, path
		body := p.Form.Encode()
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if p.Operator != nil && !p.LoggedOut {
		r.Header.Set("Authorization", "Bearer "+operatorsToken)
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		p.lab.ServeHTTP(w, r)
		return
	}
	r = r.Clone(r.Context())
	r.Header.Del("Accept-Encoding")
	answer := httptest.NewRecorder()
	p.lab.ServeHTTP(answer, r)
	acted := `<script src="/storybook/act.js" data-story="` + p.Name + `"></script></head>`
	body := bytes.Replace(answer.Body.Bytes(), []byte("</head>"), []byte(acted), 1)
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	// A page of an error is as well drawn with 200, and no error on the console.
	if answer.Code >= 400 {
		answer.Code = http.StatusOK
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

// lines are the connections that a story cuts off, by their paths.
type lines struct {
	mu   sync.Mutex
	open map[string]net.Conn
	cut  map[string]bool
}

func (l *lines) isCut(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut[path]
}

func (l *lines) breakOff(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[path] = true
	if conn := l.open[path]; conn != nil {
		conn.Close()
	}
}

// line is an answer whose connection can be cut off once it is a websocket's.
type line struct {
	http.ResponseWriter
	path  string
	lines *lines
}

func (l line) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err == nil {
		l.lines.mu.Lock()
		defer l.lines.mu.Unlock()
		l.lines.open[l.path] = conn
	}
	return conn, buffer, err
}

// progress is the store, in which whoever comes for the first time has done what the
// story says.
type progress struct {
	*store.Store
	story     story
	sandboxes *sandboxes

	mu   sync.Mutex
	seen map[string]bool
}

// Seen is called before any page is made for a new learner.
func (p *progress) Seen(ctx context.Context, owner string, at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.seen[owner] {
		p.seen[owner] = true
		if p.story.Learner != nil {
			if err := p.story.Learner(ctx, p.Store, owner); err != nil {
				return err
			}
		}
		if err := p.sandboxes.begin(owner); err != nil {
			return err
		}
	}
	return p.Store.Seen(ctx, owner, at)
}

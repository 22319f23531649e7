package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
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
	// Full says that there is no room for one more.
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
	// Broken are the paths that are not answered, or with that, by how they begin.
	Broken map[string]int
	// Provokes are paths of requests whose failure is on the page's console.
	Provokes []string
}

// url is where the story begins.
func (s story) url() string {
	if s.Form != nil {
		return "/story"
	}
	return s.Path
}

// page is a story's lab.
type page struct {
	story
	lab       http.Handler
	sandboxes *sandboxes
}

func newPage(c content, s story) (http.Handler, error) {
	sandboxes := &sandboxes{story: s, content: c, byOwner: map[string]*scene{}, byID: map[string]*scene{}}
	lab, err := web.New(web.Deps{
		Sandboxes: sandboxes, Progress: &progress{Store: c.kept, story: s, sandboxes: sandboxes, seen: map[string]bool{}},
		Lessons: c.lessons, Quizzes: c.quizzes, Static: c.files, Log: c.log, Closing: c.closing,
		Health: func() error { return nil }, ForgetDays: 90, Hosts: []string{s.Name + ".localhost"},
	})
	return &page{s, lab, sandboxes}, err
}

// ServeHTTP serves the lab's own pages, with the script that acts the story in them.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/storybook/act.js" {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(script)
		return
	}
	if r.URL.Path == "/storybook/then" && p.Then != nil {
		if sc, err := p.sandboxes.of(sandbox.ID(r.URL.Query().Get("sandbox"))); err == nil {
			p.Then(sc)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	for path, status := range p.Broken {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/sandboxes/"); ok && strings.HasSuffix(rest, path) {
			if status == 0 {
				panic(http.ErrAbortHandler) // as a network does that breaks off
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintln(w, `{"error": "The lab has as many pages open as it can bear. Close some of yours; it tries again by itself."}`)
			return
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

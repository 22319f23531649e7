// Package web is the lab's pages, its HTTP interface and its websocket.
package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/a-h/templ"
	"github.com/go-chi/httprate"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/static"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// Deps are what the pages are made of. All fields are needed unless they say
// otherwise.
type Deps struct {
	Sandboxes Sandboxes
	Lessons   []*lessons.Lesson
	Quizzes   []*quizzes.Quiz
	// Labs are the lessons' labs and the learners' own, the same that Sandboxes knows.
	Labs   *Labs
	Static *static.Files
	// Progress keeps what learners have done.
	Progress Progress
	Log      *slog.Logger
	// Hosts are the names that the lab goes by, without ports; requests for any
	// other are refused.
	Hosts []string
	// Health says why what learners do cannot be kept; nil where it can.
	Health func() error
	// ForgetDays is how many days without a visit the record of a learner without a
	// name is kept, for the learner to know; 0 for always.
	ForgetDays int
	// Operator is what whoever runs the lab needs; nil where the lab has nothing for them.
	Operator *Operator
	// Metrics is told what happens; nil where nobody counts it.
	Metrics Metrics
	// TrustedProxies are the addresses of proxies whose word counts on who their
	// clients are and whether these speak TLS; nobody's else does.
	TrustedProxies []netip.Prefix
	// Closing ends when the server begins to stop: websockets are closed then
	// with a code that makes their clients connect again.
	Closing context.Context
}

type server struct {
	Deps
	limits  limits
	timings timings
	sockets *sockets
	// grading makes a learner's looks at their policies take turns: each reads all of them.
	grading *turns
	// schema answers with what can stand in a policy.
	schema   handler
	previews *previews
	// newcomers counts learners whom this process has not met, and met are those whom it
	// has, by owner; strays counts requests that nothing answers to.
	newcomers, strays *httprate.RateLimiter
	// guesses counts wrong tokens of the operator's.
	guesses *httprate.RateLimiter
	met     *recent[string, struct{}]
	// sealKey is what this process seals its cookies with.
	sealKey []byte
}

// New returns the handler of everything under "/".
func New(deps Deps) (http.Handler, error) {
	return newServer(deps, defaultLimits, defaultTimings)
}

func newServer(deps Deps, limits limits, timings timings) (http.Handler, error) {
	switch {
	case deps.Sandboxes == nil, deps.Progress == nil, deps.Static == nil, deps.Log == nil, deps.Closing == nil, deps.Health == nil, deps.Labs == nil:
		return nil, errors.New("web: a dependency is missing")
	case len(deps.Hosts) == 0:
		return nil, errors.New("web: the lab goes by no name")
	case len(deps.Lessons) == 0:
		return nil, errors.New("web: there are no lessons")
	}
	if deps.Metrics == nil {
		deps.Metrics = uncounted{}
	}
	s := &server{Deps: deps, limits: limits, timings: timings, sockets: newSockets(limits.sockets, deps.Metrics), grading: newTurns(1), previews: newPreviews(), met: newRecent[string, struct{}](keptNewcomers), sealKey: make([]byte, 32)}
	s.previews.metrics = deps.Metrics
	_, _ = rand.Read(s.sealKey) // never fails
	s.newcomers, s.strays, s.guesses = s.counter(limits.newcomers), s.counter(limits.strays), s.counter(limits.guesses)
	for _, q := range deps.Quizzes {
		if s.lesson(q.Lesson) == nil {
			return nil, fmt.Errorf("web: quiz %s is about a lesson that does not exist: %q", q.Slug, q.Lesson)
		}
	}
	schema, err := schemaAnswer()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.schema = schema
	return s.routes(), nil
}

// handler is a route's function. What it returns is written by fail.
type handler func(w http.ResponseWriter, r *http.Request) error

func (s *server) handle(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

// page is what the layout of every page needs.
func (s *server) page(r *http.Request, title string) views.Page {
	return views.Page{
		Title:     title,
		Simulated: s.simulated(),
		Scheme:    schemeOf(r),
		Nonce:     nonceOf(r.Context()),
		StylesURL: s.Static.URL(static.Styles),
		FontURL:   s.Static.URL(static.TextFont),
		ScriptURL: s.Static.URL("dist/site.js"),
		IconURL:   s.Static.URL("icons/favicon.svg"),
	}
}

// simulated says that the sandboxes are.
func (s *server) simulated() bool { return s.Sandboxes.Provider() == sandbox.Simulated }

// render writes a page, the whole of it or nothing.
func render(w http.ResponseWriter, r *http.Request, status int, page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "private, no-cache")
	return write(w, status, b.Bytes())
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return write(w, status, append(b, '\n'))
}

// write sends the answer. That it did not arrive is the client's matter: there
// is nobody left to tell.
func write(w http.ResponseWriter, status int, body []byte) error {
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

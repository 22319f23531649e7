package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

type requestKey struct{}

// request is what the log tells of a request with every line.
type request struct {
	id string
	// sandbox is the one that the request is about; nil where it is about none.
	sandbox atomic.Pointer[sandbox.ID]
}

func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

// requestID is the number under which the log tells of the request.
func requestID(ctx context.Context) string { return requestOf(ctx).id }

// isAbout notes the sandbox that the request is about.
func isAbout(ctx context.Context, id sandbox.ID) { requestOf(ctx).sandbox.Store(&id) }

// log is where all lines of a request go: each names it and, once that is known, the
// sandbox that it is about.
func (s *server) log(ctx context.Context) *slog.Logger {
	r := requestOf(ctx)
	log := s.Log.With("request", r.id)
	if id := r.sandbox.Load(); id != nil {
		log = log.With("sandbox", *id)
	}
	return log
}

// Metrics is told what the server does, for whoever counts it. Its methods may be called
// concurrently, and return at once.
type Metrics interface {
	// Answered tells of a request that is over: the route as it stands in the list of
	// routes, "none" where there is no such, and the method, "other" where no route has it.
	// What a websocket takes is its learner's time.
	Answered(route, method string, status int, took time.Duration)
	// Sockets tells that so many websockets are open.
	Sockets(open int)
	// Read tells how long it took to read the policies of a draft.
	Read(took time.Duration)
}

// uncounted is what is told where nobody counts.
type uncounted struct{}

func (uncounted) Answered(string, string, int, time.Duration) {}
func (uncounted) Sockets(int)                                 {}
func (uncounted) Read(time.Duration)                          {}

// logRequest writes one line for each request, when it is over.
func (s *server) logRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		b := make([]byte, 6)
		_, _ = rand.Read(b) // never fails
		id := hex.EncodeToString(b)
		w.Header().Set("X-Request-Id", id)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, &request{id: id}))
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			level, status, took := slog.LevelInfo, wrapped.Status(), time.Since(begun)
			if status == 0 && websocket.IsWebSocketUpgrade(r) {
				status = http.StatusSwitchingProtocols // written past the wrapper
			}
			if quiet[r.URL.Path] || strings.HasPrefix(r.URL.Path, "/static/") {
				level = slog.LevelDebug
			}
			s.log(r.Context()).Log(r.Context(), level, "request", "method", logged(r.Method), "path", logged(r.URL.Path),
				"status", status, "bytes", wrapped.BytesWritten(), "took", took.Round(time.Microsecond), "client", clientOf(r).addr)
			s.Metrics.Answered(routeOf(r), methodOf(r), status, took)
		}()
		next.ServeHTTP(wrapped, r)
	})
}

// quiet are the paths that machines ask again and again.
var quiet = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

// routeOf is the route that the request has taken, as it stands in routes.go.
func routeOf(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil {
		if pattern := c.RoutePattern(); pattern != "" && pattern != "/*" {
			return pattern
		}
	}
	return "none"
}

// methodOf is the request's method, where it is one that there are routes for.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
		return r.Method
	}
	return "other"
}

// logged is text of a request's, no longer than it takes to recognise it.
func logged(text string) string {
	const most = 200 // Bytes.
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// recoverPanic turns a panic into an error's page, and its stack into the log's.
func (s *server) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log(r.Context()).Error("panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if ww, ok := w.(middleware.WrapResponseWriter); ok && ww.Status() == 0 {
				s.fail(w, r, fmt.Errorf("panic: %v", p))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

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
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/websocket"
)

type requestKey struct{}

// requestID is the number under which the log tells of the request.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// logRequest writes one line for each request, when it is over.
func (s *server) logRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		b := make([]byte, 6)
		_, _ = rand.Read(b) // never fails
		id := hex.EncodeToString(b)
		w.Header().Set("X-Request-Id", id)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			level, status := slog.LevelInfo, wrapped.Status()
			if status == 0 && websocket.IsWebSocketUpgrade(r) {
				status = http.StatusSwitchingProtocols // written past the wrapper
			}
			if r.URL.Path == "/healthz" || strings.HasPrefix(r.URL.Path, "/static/") {
				level = slog.LevelDebug
			}
			s.Log.Log(r.Context(), level, "request", "request", id, "method", logged(r.Method), "path", logged(r.URL.Path),
				"status", status, "bytes", wrapped.BytesWritten(), "took", time.Since(begun).Round(time.Microsecond), "client", clientOf(r).addr)
		}()
		next.ServeHTTP(wrapped, r)
	})
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
			s.Log.Error("panic", "request", requestID(r.Context()), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if ww, ok := w.(middleware.WrapResponseWriter); ok && ww.Status() == 0 {
				s.fail(w, r, fmt.Errorf("panic: %v", p))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/web/store"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// statusError is an error that the web itself finds: a status and a sentence
// for the learner, and what the log is told besides.
type statusError struct {
	status  int
	message string
	err     error
}

func (e *statusError) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	return e.message
}

func (e *statusError) Unwrap() error { return e.err }

// refuse is an error of a request. Text among the arguments is mostly what came with
// the request, and is told no longer than it takes to recognise it.
func refuse(status int, format string, args ...any) error {
	const most = 200 // Runes.
	for i, arg := range args {
		if v := reflect.ValueOf(arg); v.Kind() == reflect.String && utf8.RuneCountInString(v.String()) > most {
			args[i] = string([]rune(v.String())[:most]) + "..."
		}
	}
	return &statusError{status: status, message: fmt.Sprintf(format, args...)}
}

// errorTable says what each error of the packages below means to the learner.
var errorTable = []struct {
	err     error
	status  int
	message string
}{
	{sandbox.ErrNotFound, http.StatusNotFound, "There is no such sandbox, or it is not yours. Go back to the lesson and press Start for a new one."},
	{sandbox.ErrNoFlow, http.StatusNotFound, "The lab has no such connection. Its matrix shows those that it has."},
	{sandbox.ErrNoPoint, http.StatusNotFound, "The history does not go back to that point any more. Look at it again: it keeps the newest changes."},
	{sandbox.ErrNotReady, http.StatusConflict, "The sandbox is not ready. Wait until it is, or press Reset if it has failed; then try again."},
	{sandbox.ErrBusy, http.StatusTooManyRequests, "So many people wait for a sandbox at the moment that you cannot join them. Read on meanwhile, and press Start again in a minute."},
	{sandbox.ErrWaitedFor, http.StatusConflict, "Others wait for a sandbox, so yours cannot be kept longer. Your policies stay in the workspace as drafts."},
	{sandbox.ErrUnavailable, http.StatusServiceUnavailable, "No sandbox can be started here at the moment. Read on meanwhile, and try again in a few minutes; whoever runs this lab finds the reason in its log."},
	{sandbox.ErrGone, http.StatusConflict, "The sandbox's cluster is not there any more. Press Reset for a fresh one: the policies that were in force are put into force again there."},
	{sandbox.ErrNoTerminal, http.StatusConflict, "This sandbox is simulated: there is no cluster, and so no terminal. Use the editor."},
	{store.ErrUnavailable, http.StatusServiceUnavailable, "What you do cannot be kept at the moment: the server's disk is full or does not answer. Your sandbox goes on. Whoever runs this lab finds the reason in its log."},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "The sandbox's cluster did not answer in time. Try again."},
}

// answer is what a client is told of an error.
type answer struct {
	status   int
	Error    string           `json:"error"`
	Problems []policy.Problem `json:"problems,omitempty"`
	// InForce is told to whoever has not seen the last change of the policies.
	InForce *policiesInForce `json:"inForce,omitempty"`
}

func answerTo(err error) answer {
	var (
		status  *statusError
		invalid *policy.Error
		limit   *sandbox.LimitError
		tooBig  *http.MaxBytesError
		failure *sandbox.Failure
		late    *sandbox.OutdatedError
	)
	switch {
	case errors.As(err, &late):
		return answer{
			status: http.StatusConflict, Error: "The policies were changed meanwhile, in another tab or in the cluster, so nothing was applied. Look at what is in force now, then apply again.",
			InForce: &policiesInForce{late.Change, policyFiles(late.Policies)},
		}
	case errors.As(err, &status):
		return answer{status: status.status, Error: status.message}
	case errors.As(err, &invalid):
		a := answer{status: http.StatusUnprocessableEntity, Error: "The YAML has a problem, so nothing was applied.", Problems: invalid.Problems}
		if n := len(a.Problems); n != 1 {
			a.Error = fmt.Sprintf("The YAML has %d problems, so nothing was applied.", n)
		}
		return a
	case errors.As(err, &limit):
		return answer{status: http.StatusUnprocessableEntity, Error: limit.Message}
	case errors.As(err, &tooBig):
		return answer{status: http.StatusRequestEntityTooLarge, Error: fmt.Sprintf("That is too much: the lab takes %d KiB at most.", tooBig.Limit>>10)}
	}
	for _, row := range errorTable {
		switch {
		case !errors.Is(err, row.err):
		case row.err == context.DeadlineExceeded && errors.As(err, &failure): // which knows more
			return answer{status: row.status, Error: failure.Message}
		default:
			return answer{status: row.status, Error: row.message}
		}
	}
	if errors.As(err, &failure) {
		return answer{status: http.StatusBadGateway, Error: failure.Message}
	}
	return answer{status: http.StatusInternalServerError, Error: "Something went wrong in the lab's server. Try again; if it stays so, its log says more."}
}

// statusClientGone stands in the log for the answer to a client that did not wait for
// it; there is nobody to see it.
const statusClientGone = 499

// answerTo is what the request's client is told of the error. What was broken off is
// nobody's fault.
func (s *server) answerTo(r *http.Request, err error) answer {
	switch {
	case !errors.Is(err, context.Canceled):
		return answerTo(err)
	case s.Closing.Err() != nil:
		return answer{status: http.StatusServiceUnavailable, Error: "The server is being stopped, so this was broken off. Try again when it is there again."}
	case r.Context().Err() != nil:
		return answer{status: statusClientGone, Error: "This was broken off."}
	}
	return answer{status: http.StatusConflict, Error: "This was broken off, for the sandbox was stopped meanwhile. Try again."}
}

// fail writes the error, as a page or as JSON, and tells the log what happened.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	a := s.answerTo(r, err)
	s.logFailure(r, a, err)
	switch {
	case w.Header().Get("Retry-After") != "":
	case a.status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "30")
	case errors.Is(err, sandbox.ErrBusy):
		// Those who are sent away together should not come back together.
		w.Header().Set("Retry-After", strconv.Itoa(30+rand.IntN(60)))
	}
	r = r.WithContext(context.WithoutCancel(r.Context())) // What was broken off is told of as well.
	if !wantsHTML(r) {
		err = writeJSON(w, a.status, a)
	} else {
		err = render(w, r, a.status, views.Error(s.page(r, heading(a.status)), views.Failure{
			Status: a.status, Heading: heading(a.status), Message: a.Error, RequestID: requestID(r.Context()),
		}))
	}
	if err != nil {
		s.log(r.Context()).Error("error not written", "error", err)
		http.Error(w, a.Error, a.status)
	}
}

func (s *server) logFailure(r *http.Request, a answer, err error) {
	level := slog.LevelInfo
	if a.status >= 500 {
		level = levelOf(err)
	}
	s.log(r.Context()).Log(r.Context(), level, "request failed", "method", logged(r.Method), "path", logged(r.URL.Path), "status", a.status, "error", err)
}

// levelOf is the level at which a failure is logged.
func levelOf(err error) slog.Level {
	if errors.Is(err, context.Canceled) {
		return slog.LevelInfo // broken off, which is nobody's fault
	}
	return slog.LevelError
}

// wantsHTML reports whether a person looks at the answer: browsers ask for
// text/html where they show a page, scripts do not.
func wantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// heading is the title of the error's page.
func heading(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusMethodNotAllowed:
		return "That cannot be done here"
	case http.StatusUnauthorized:
		return "Not logged in"
	case http.StatusForbidden:
		return "Refused"
	case http.StatusConflict:
		return "Not ready"
	case http.StatusRequestEntityTooLarge:
		return "Too much"
	case http.StatusTooManyRequests:
		return "Too often"
	case http.StatusServiceUnavailable:
		return "Not available now"
	}
	if status < 500 {
		return "That did not make sense"
	}
	return "Something went wrong"
}

func notFound(w http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, "There is nothing at this address.")
}

func methodNotAllowed(routes chi.Routes) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
				w.Header().Add("Allow", method)
			}
		}
		return refuse(http.StatusMethodNotAllowed, "%s does not work at this address; what works is %s.", r.Method, strings.Join(w.Header().Values("Allow"), ", "))
	}
}

package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// health answers whoever asks whether the server runs, and can keep what learners do.
// Where it does not, to start it anew may help.
func (s *server) health(w http.ResponseWriter, r *http.Request) error {
	if err := s.Health(); err != nil {
		s.log(r.Context()).Error("the server is not well", "error", err)
		return writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "failing", "reason": err.Error()})
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready answers whoever asks whether learners can work here now: a server that runs may
// still wait for what it needs. The operator is told what the log is; all others are told
// what it means.
func (s *server) ready(w http.ResponseWriter, r *http.Request) error {
	missing := s.missing(r.Context())
	if len(missing) == 0 {
		return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}
	told := make([]missed, len(missing))
	all := s.may(r, seeAll) == nil
	for i, m := range missing {
		s.log(r.Context()).Warn("learners cannot work here now", "lacking", m.Lacking, "error", m.err)
		told[i] = m
		if m.err != nil && all {
			told[i].Reason = m.cause()
		}
	}
	return writeJSON(w, http.StatusServiceUnavailable, struct {
		Status  string   `json:"status"`
		Missing []missed `json:"missing"`
	}{"failing", told})
}

// missed is something that learners need and that is not there now.
type missed struct {
	Lacking string `json:"lacking"`
	// Reason is a sentence for everybody.
	Reason string `json:"reason"`
	err    error
}

// cause is what the log is told, without what the Reason says already.
func (m missed) cause() string {
	return strings.TrimPrefix(m.err.Error(), sandbox.ErrUnavailable.Error()+": ")
}

// storeLimit is how long the store may take to answer.
const storeLimit = 2 * time.Second

// missing is all that learners need and that is not there now.
func (s *server) missing(ctx context.Context) []missed {
	var out []missed
	if err := s.Health(); err != nil {
		out = append(out, missed{"data", "What learners do cannot be written to the data folder.", err})
	}
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if err := s.Progress.Ping(ctx); err != nil {
		out = append(out, missed{"store", "The learners' records do not answer.", err})
	}
	if !s.Sandboxes.Surveyed() {
		out = append(out, missed{"survey", "What an earlier run has left on the machine is not known yet, so nobody is given a sandbox.", nil})
	}
	if err := s.Sandboxes.Available(); err != nil {
		out = append(out, missed{"provider", "No sandbox can be made at the moment.", err})
	}
	return out
}

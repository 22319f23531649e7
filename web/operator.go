package web

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// Operator is what whoever runs the lab needs.
type Operator struct {
	// Token is the hash of what they show to be let in; see [HashToken].
	Token TokenHash
	// Sandboxes are everybody's.
	Sandboxes AllSandboxes
	// Names are the names of those of the owners who have given one, by owner.
	Names func(ctx context.Context, owners []string) (map[string]string, error)
	// Costs are what their clusters take; nil where nobody can tell.
	Costs Costs
	// Metrics answers with what is counted.
	Metrics http.Handler
}

// AllSandboxes are all sandboxes, as whoever runs the lab sees them; [sandbox.Manager] is
// them.
type AllSandboxes interface {
	Overview() sandbox.Overview
	// StopFor ends a sandbox, and tells its learner the reason.
	StopFor(id sandbox.ID, reason string) error
	// Extend puts its end off.
	Extend(id sandbox.ID) (sandbox.Ending, error)
}

// TokenHash is all that the server knows of a token.
type TokenHash [sha256.Size]byte

// HashToken is the token's hash.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// is reports whether the token is that of the hash, in the same time whatever it is.
func (h TokenHash) is(token string) bool {
	given := HashToken(token)
	return subtle.ConstantTimeCompare(given[:], h[:]) == 1
}

// may alone decides who may do what is not a learner's own matter, as sandboxOf does of
// that: the operator may do all of it, and nobody else any. The error is the refusal.
func (s *server) may(r *http.Request) error {
	if s.Operator == nil {
		return refuse(http.StatusNotFound, "There is nothing at this address.")
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s.shows(r, strings.TrimSpace(token))
	}
	if s.isLoggedIn(r) {
		return nil
	}
	return refuse(http.StatusUnauthorized, "This is for whoever runs the lab: log in with the operator's token, or send it as Authorization: Bearer.")
}

// shows checks the token that a client shows. Who shows wrong ones is let guess only so
// often, and then not even told whether the next is right.
func (s *server) shows(r *http.Request, token string) error {
	key := addressKey(r)
	// Rounded as the counter rounds: what it would not count is not let through. What is a
	// header's is told by the refusal, where there is one.
	if _, tries, err := s.guesses.Status(key); err != nil || int(math.Round(tries)) >= s.limits.guesses.requests {
		return refuse(http.StatusTooManyRequests, "That was the wrong token too often. Wait %.0f seconds, then try again.", s.limits.guesses.window.Seconds())
	}
	if s.Operator.Token.is(token) {
		return nil
	}
	s.guesses.OnLimit(nowhere{}, r, key)
	return refuse(http.StatusUnauthorized, "That is not the operator's token.")
}

// nowhere takes the headers that nobody is to see.
type nowhere struct{ http.ResponseWriter }

func (nowhere) Header() http.Header { return http.Header{} }

const (
	operatorCookie       = "netpol-lab-operator"
	secureOperatorCookie = "__Secure-" + operatorCookie
	operatorPath         = "/operator"
	// operatorAge is how long the operator stays logged in: a day's class.
	operatorAge = 12 * time.Hour
)

func operatorCookieName(r *http.Request) string {
	if clientOf(r).encrypted {
		return secureOperatorCookie
	}
	return operatorCookie
}

// isLoggedIn reports whether the request has the cookie that logIn has given. It is sealed
// by this process and says until when it counts; the token is not in it.
func (s *server) isLoggedIn(r *http.Request) bool {
	cookie, err := r.Cookie(operatorCookieName(r))
	if err != nil {
		return false
	}
	until, seal, _ := strings.Cut(cookie.Value, ".")
	at, err := strconv.ParseInt(until, 10, 64)
	return err == nil && hmac.Equal([]byte(seal), []byte(s.seal("operator", until))) && time.Now().Unix() < at
}

func (s *server) setOperatorCookie(w http.ResponseWriter, r *http.Request, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: operatorCookieName(r), Value: value, Path: operatorPath, MaxAge: int(age.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: clientOf(r).encrypted,
	})
}

func (s *server) logIn(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	if err := s.shows(r, strings.TrimSpace(r.PostForm.Get("token"))); err != nil {
		s.log(r.Context()).Warn("the operator's page was not opened", "client", clientOf(r).addr, "error", err)
		return s.refuseOperator(w, r, err)
	}
	until := strconv.FormatInt(time.Now().Add(operatorAge).Unix(), 10)
	s.setOperatorCookie(w, r, until+"."+s.seal("operator", until), operatorAge)
	http.Redirect(w, r, operatorPath, http.StatusSeeOther)
	return nil
}

func (s *server) logOut(w http.ResponseWriter, r *http.Request) error {
	s.setOperatorCookie(w, r, "", -time.Second)
	http.Redirect(w, r, operatorPath, http.StatusSeeOther)
	return nil
}

// refuseOperator answers whoever may not do what they want; a person is asked for the
// token.
func (s *server) refuseOperator(w http.ResponseWriter, r *http.Request, err error) error {
	a := s.answerTo(r, err)
	if a.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="netpol-lab"`)
	}
	if !wantsHTML(r) {
		return err
	}
	said := a.Error
	if r.Method == http.MethodGet && r.Header.Get("Authorization") == "" {
		said = "" // They have not tried yet.
	}
	return render(w, r, a.status, views.OperatorLogin(s.page(r, "Log in"), said))
}

func (s *server) showMetrics(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r); err != nil {
		return s.refuseOperator(w, r, err)
	}
	s.Operator.Metrics.ServeHTTP(w, r)
	return nil
}

// allSandboxes is what the operator sees, in JSON.
type allSandboxes struct {
	sandbox.Overview
	// Names are the learners' who have given one, by owner.
	Names map[string]string `json:"names"`
	// Missing is what learners need and that is not there now.
	Missing []string `json:"missing"`
	// Costs are what clusters took of the machine at CostsAt; neither is there where that is
	// not known, or not yet: who looks has it asked.
	Costs   map[sandbox.ClusterID]sandbox.Cost `json:"costs,omitempty"`
	CostsAt *time.Time                         `json:"costsAt,omitempty"`
}

func (s *server) showOperator(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r); err != nil {
		return s.refuseOperator(w, r, err)
	}
	all := allSandboxes{Overview: s.Operator.Sandboxes.Overview(), Missing: []string{}}
	owners := make([]string, len(all.Sandboxes))
	for i, b := range all.Sandboxes {
		owners[i] = b.Owner
	}
	var err error
	if all.Names, err = s.Operator.Names(r.Context(), owners); err != nil {
		// The page is for those times, too: without the names, then.
		s.log(r.Context()).Error("learners' names not read", "error", err)
		all.Names = map[string]string{}
	}
	for _, m := range s.missing(r.Context()) {
		reason := m.Reason
		if m.err != nil {
			reason += " The reason: " + m.cause() + "."
		}
		all.Missing = append(all.Missing, reason)
	}
	if s.Operator.Costs != nil {
		costs, at := s.Operator.Costs.Now()
		if !at.IsZero() {
			all.Costs, all.CostsAt = costs, &at
		}
	}
	if !wantsHTML(r) {
		return writeJSON(w, http.StatusOK, all)
	}
	return render(w, r, http.StatusOK, views.OperatorPage(s.page(r, "Operator"), s.operatorView(all, r.URL.Query().Get("q"))))
}

// operatorView is the page of what there is, of which only those sandboxes are shown that
// have the text in what is told of them.
func (s *server) operatorView(all allSandboxes, text string) views.Operator {
	now := time.Now()
	text = strings.TrimSpace(logged(text))
	view := views.Operator{
		At: now, Filter: text, Missing: all.Missing, Of: len(all.Sandboxes), Simulated: s.simulated(),
		Clusters: all.Clusters.All(), MaxClusters: all.MaxSandboxes, Booting: all.Clusters.Booting, Reserved: all.Clusters.Reserved, Removing: all.Clusters.Removing,
		Reserve: all.PoolReserve, Hits: all.Hits, Misses: all.Misses, Waiting: all.Waiting, MaxWaiting: all.MaxWaiting,
		Boot: time.Duration(all.BootMillis) * time.Millisecond,
	}
	if view.Metered = s.Operator.Costs != nil; all.CostsAt != nil {
		view.CostsAt = *all.CostsAt
		for _, c := range all.Costs { // of the reserve, too
			view.Cost.Memory += c.Memory
			view.Cost.Processor += c.Processor
		}
	}
	count := map[sandbox.State]int{}
	for _, b := range all.Sandboxes {
		count[b.State]++
		view.Watchers += b.Watchers
		row := views.OperatorRow{
			ID: string(b.ID), Learner: all.Names[b.Owner], Owner: b.Owner[:min(8, len(b.Owner))], Lab: s.lessonTitle(b.Lab), State: string(b.State), Reason: b.Reason,
			Cluster: string(b.Cluster), Age: now.Sub(b.Created), Unused: now.Sub(b.Used), Watchers: b.Watchers, Policies: b.Policies, Place: b.Place, Disagreeing: b.Disagreeing, Extendable: b.Extendable,
		}
		if c, known := all.Costs[b.Cluster]; known {
			row.Cost = views.Cost(c)
		}
		if b.Ends != nil {
			row.Left = b.Ends.Sub(now)
		}
		switch b.State {
		case sandbox.Queued, sandbox.Creating, sandbox.Ready, sandbox.Paused, sandbox.Failed:
			row.Stoppable = true
		}
		if row.Has(text) {
			view.Rows = append(view.Rows, row)
		}
	}
	for _, state := range []sandbox.State{sandbox.Ready, sandbox.Paused, sandbox.Creating, sandbox.Queued, sandbox.Failed, sandbox.Stopping} {
		if n := count[state]; n > 0 {
			view.States = append(view.States, views.StateCount{State: string(state), Count: n})
		}
	}
	// What failed wants somebody to look, and who has waited longest comes next.
	slices.SortStableFunc(view.Rows, func(a, b views.OperatorRow) int { return cmp.Compare(a.Rank(), b.Rank()) })
	view.Found = len(view.Rows)
	view.Rows = view.Rows[:min(len(view.Rows), operatorRows)]
	return view
}

// operatorRows is how many sandboxes a page shows: more than a machine holds clusters.
const operatorRows = 200

// lessonTitle is how the lab is called, where it is a lesson's.
func (s *server) lessonTitle(lab string) string {
	for _, l := range s.Lessons {
		if l.Topology.Name == lab {
			return l.Title
		}
	}
	if strings.HasPrefix(lab, sandbox.OwnPrefix) {
		return "A lab of their own"
	}
	return lab
}

const reasonOperator = "Whoever runs the lab stopped it. Press Start for a new one; your policies stay in the workspace as drafts."

func (s *server) stopAny(w http.ResponseWriter, r *http.Request) error {
	return s.doToAny(w, r, func(id sandbox.ID) error { return s.Operator.Sandboxes.StopFor(id, reasonOperator) })
}

func (s *server) extendAny(w http.ResponseWriter, r *http.Request) error {
	return s.doToAny(w, r, func(id sandbox.ID) error {
		_, err := s.Operator.Sandboxes.Extend(id)
		return err
	})
}

// toOperator is the error in words for the operator, where learners are told of their own.
func toOperator(err error) error {
	switch {
	case errors.Is(err, sandbox.ErrNotFound):
		return &statusError{http.StatusNotFound, "There is no such sandbox any more: it was stopped meanwhile.", err}
	case errors.Is(err, sandbox.ErrNotReady):
		return &statusError{http.StatusConflict, "The sandbox has failed, or is being stopped, so it cannot be kept longer.", err}
	case errors.Is(err, sandbox.ErrWaitedFor):
		return &statusError{http.StatusConflict, "Others wait for a sandbox, so none is kept longer. Stop one that nobody uses; who waits gets its place.", err}
	}
	return err
}

// doToAny does something to somebody's sandbox, and goes back to the page.
func (s *server) doToAny(w http.ResponseWriter, r *http.Request, do func(sandbox.ID) error) error {
	if err := s.may(r); err != nil {
		return s.refuseOperator(w, r, err)
	}
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	id := sandbox.ID(chi.URLParam(r, "id"))
	isAbout(r.Context(), id)
	if err := do(id); err != nil {
		return toOperator(err)
	}
	s.log(r.Context()).Info("done by the operator", "path", logged(r.URL.Path), "client", clientOf(r).addr)
	if !wantsHTML(r) {
		return write(w, http.StatusAccepted, nil)
	}
	back := operatorPath
	if text := r.PostForm.Get("q"); text != "" {
		back += "?" + url.Values{"q": {text}}.Encode()
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}

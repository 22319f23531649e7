package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// patience is how long an answer may take before it has failed.
const patience = 30 * time.Second

// learner is one client with a cookie, and an address, of its own.
type learner struct {
	*http.Client
	base    string
	address string
	sandbox sandbox.ID
	conn    *websocket.Conn
	// watching is closed when the connection has ended.
	watching chan struct{}
	seen     seen
	// failed is how many of the questions, pages and changes that were measured failed.
	failed int
}

// newLearner is the learner of that number.
func newLearner(base string, number int) (*learner, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	l := &learner{base: base, address: fmt.Sprintf("198.18.%d.%d", number/250, 1+number%250)} // a network for measurements
	l.Client = &http.Client{Jar: jar, Timeout: patience, Transport: from{l.address, &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}}}
	return l, l.page() // Gets the cookie.
}

// from sends requests as a proxy does for the client with that address.
type from struct {
	address string
	next    *http.Transport
}

func (f from) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", f.address)
	return f.next.RoundTrip(r)
}

func (f from) CloseIdleConnections() { f.next.CloseIdleConnections() }

// fails counts a failure, and tells of the first few.
func (l *learner) fails(err error) {
	if l.failed++; l.failed <= 3 {
		log.Printf("learner %s, sandbox %s: %v", l.address, l.sandbox, err)
	}
}

// page asks for the lesson as a browser does.
func (l *learner) page() error {
	r, err := http.NewRequest(http.MethodGet, l.base+*pageToAsk, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Encoding", "gzip") // And it is left so.
	return l.do(r, http.StatusOK, nil)
}

// do reads the answer, into v where that is not nil.
func (l *learner) do(r *http.Request, want int, v any) error {
	res, err := l.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != want:
		return fmt.Errorf("%s %s: status %d: %.200s", r.Method, r.URL.Path, res.StatusCode, body)
	case v != nil:
		return json.Unmarshal(body, v)
	}
	return nil
}

// start presses Start, and watches until the sandbox is ready.
func (l *learner) start(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+"/sandboxes", strings.NewReader(`{"lab": "network-policies"}`))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	var made struct{ ID sandbox.ID }
	if err := l.do(r, http.StatusAccepted, &made); err != nil {
		return err
	}
	l.sandbox = made.ID
	if err := l.watch(ctx); err != nil {
		return err
	}
	return l.until(ctx, func(s *seen) bool { return s.state == sandbox.Ready && !s.settled.IsZero() })
}

// watch opens the sandbox's events, and reads them until leave.
func (l *learner) watch(ctx context.Context) error {
	address, err := url.Parse(l.base)
	if err != nil {
		return err
	}
	dialer := websocket.Dialer{Jar: l.Jar, HandshakeTimeout: patience}
	l.conn, _, err = dialer.DialContext(ctx, fmt.Sprintf("ws://%s/sandboxes/%s/events", address.Host, l.sandbox), http.Header{"Origin": {l.base}, "X-Forwarded-For": {l.address}})
	if err != nil {
		return err
	}
	l.seen.reset()
	l.watching = make(chan struct{})
	go func() {
		defer close(l.watching)
		for {
			_, message, err := l.conn.ReadMessage()
			at := time.Now()
			var events []sandbox.Event
			if err == nil {
				err = json.Unmarshal(message, &events)
			}
			l.seen.take(at, events, err)
			if err != nil {
				return
			}
		}
	}()
	return nil
}

// leave closes the page.
func (l *learner) leave() {
	if l.conn != nil {
		l.conn.Close()
		<-l.watching
		l.conn = nil
	}
	l.CloseIdleConnections()
}

// lost is why the events have ended before the learner left; nil where they go on.
func (l *learner) lost() error {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	return l.seen.err
}

// until waits until what was seen is as wanted. It fails where it cannot be any more.
func (l *learner) until(ctx context.Context, wanted func(*seen) bool) error {
	s := &l.seen
	for {
		s.mu.Lock()
		is, news, err := wanted(s), s.news, s.err
		if err == nil && s.state == sandbox.Failed {
			err = errors.New("the sandbox has failed: " + s.reason)
		}
		s.mu.Unlock()
		switch {
		case is:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// seen is what the events have told.
type seen struct {
	mu       sync.Mutex
	state    sandbox.State
	reason   string
	verdicts map[string]probe.Verdict
	// change is the newest that was told of, and settled when it was told to have settled,
	// with the verdicts of then. flipped is when a flow was first told to be otherwise since
	// the learner has last asked for something: a sweep that is at work then may tell of it
	// before the change is told.
	change           int64
	flipped, settled time.Time
	atSettled        map[string]probe.Verdict
	// disagreements are the flows that were told not to be as the server predicts, and
	// warnings what it has warned of.
	disagreements int
	warnings      []string
	err           error
	news          chan struct{} // closed when there are any, then replaced
}

func (s *seen) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.change, s.err, s.news = "", 0, nil, make(chan struct{})
	s.verdicts = map[string]probe.Verdict{}
	s.flipped, s.settled = time.Time{}, time.Time{}
}

// take takes in what has come at that time.
func (s *seen) take(at time.Time, events []sandbox.Event, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	begins := func(change int64) {
		if change > s.change {
			s.change, s.settled = change, time.Time{}
		}
	}
	settles := func() { s.settled, s.atSettled = at, maps.Clone(s.verdicts) }
	for _, e := range events {
		switch {
		case e.Snapshot != nil:
			s.state, s.reason = e.Snapshot.State, e.Snapshot.Reason
			begins(e.Snapshot.Change)
			s.observe(at, e.Snapshot.Observations)
			if e.Snapshot.Settled != nil && e.Snapshot.Settled.Change == s.change {
				settles()
			}
		case e.State != nil:
			s.state, s.reason = e.State.State, e.State.Reason
		case e.Predictions != nil:
			begins(e.Predictions.Change)
		case e.Observations != nil:
			s.observe(at, e.Observations.Flows)
		case e.Settled != nil && e.Settled.Change == s.change:
			settles()
		case e.Disagreement != nil:
			s.disagreements += len(e.Disagreement.Flows)
		case e.Notice != nil && e.Notice.Level == sandbox.NoticeWarning:
			s.warnings = append(s.warnings, e.Notice.Message)
		}
	}
	close(s.news)
	s.news = make(chan struct{})
}

// observe takes in what flows were told to be. It needs s.mu.
func (s *seen) observe(at time.Time, flows []sandbox.Observation) {
	for _, o := range flows {
		before := s.verdicts[o.Flow]
		s.verdicts[o.Flow] = o.Verdict
		if s.flipped.IsZero() && before != "" && before != probe.Unknown && o.Verdict != probe.Unknown && before != o.Verdict {
			s.flipped = at
		}
	}
}

// gather makes the class: each of so many learners has a ready sandbox, and watches it. It
// returns how long they have waited for theirs.
func gather(ctx context.Context, s *server, many, atOnce int) ([]*learner, times, error) {
	class, waits, errs := make([]*learner, many), make(times, many), make([]error, many)
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range class {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			l, err := newLearner(s.base, i)
			begun := time.Now()
			if err == nil {
				err = l.start(ctx)
			}
			class[i], waits[i], errs[i] = l, time.Since(begun), err
		})
	}
	all.Wait()
	return class, waits, errors.Join(errs...)
}

package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// maxInFlight bounds the requests that are in a pod at the same time.
	maxInFlight = 256
	// maxLine is the longest line that the protocol knows.
	maxLine = 64 << 10
	// openTimeout is how long a stream may take until the probe says hello.
	openTimeout = 10 * time.Second
	// openPatience is how long Probe waits for a stream that is being opened.
	openPatience = time.Second
	// backoffMin and backoffMax bound the pause between attempts to open.
	backoffMin = 100 * time.Millisecond
	backoffMax = 5 * time.Second
	// grace is how much longer than the request's own limit an answer may take,
	// and how long nothing at all may come, before the stream is held to be hung.
	// On a busy machine the answers of a large burst may come slowly.
	grace = 2 * time.Second
	// mostGrace is the same for one answer that is missing among others.
	mostGrace = 30 * time.Second
)

// What a learner reads where the way to the pod's probe is out of order.
const (
	detailLost   = "the connection to the pod's probe is lost; reconnecting"
	detailHung   = "the pod's probe did not answer; reconnecting"
	detailEnded  = "the measurement was broken off"
	detailClosed = "the lab has let go of this sandbox"
	detailPaused = "the sandbox is paused"
)

var (
	errHung    = errors.New("a request was not answered in time")
	errNoHello = errors.New("the probe did not say hello in time")
	errClosed  = errors.New("the prober is closed")
)

// OpenFunc opens a stream to the probe of a pod, "namespace/pod": what is
// written reaches the standard input of "netpol-probe dial" in the pod, and
// what is read is its standard output. It may return before the command runs:
// the Prober waits for the probe's own hello.
//
// ctx lives as long as the stream. It is cancelled when the Prober is done with
// the stream, before the stream's Close is called, and when no hello has come
// after ten seconds. Close must make a pending Read or Write return.
type OpenFunc func(ctx context.Context, pod string) (io.ReadWriteCloser, error)

// Prober measures flows from pods. It keeps one stream per pod and carries the
// requests of any number of concurrent callers on it. A lost stream is opened
// again after 100 ms, then after twice as long each time up to 5 s.
type Prober struct {
	// OnState, where it is set before the first use, is called when a pod's
	// stream has come up (err is nil) and when it is lost or could not be
	// opened (err says why, for the log). The calls for one pod come one after
	// the other; it must not block, and must not call Close.
	OnState func(pod string, err error)

	open   OpenFunc
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	links  map[string]*link
	paused bool
	woken  chan struct{} // Closed when the pause ends, or the next one does.
}

// NewProber makes a Prober whose streams are opened by open. It logs lost
// streams to log. Close must be called at the end.
func NewProber(open OpenFunc, log *slog.Logger) *Prober {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Prober{open: open, log: log, ctx: ctx, cancel: cancel, links: map[string]*link{}, woken: make(chan struct{})}
}

// Start begins to open the streams of the pods without waiting for them. A pod
// that was not started is at its first Probe.
func (p *Prober) Start(pods ...string) {
	for _, pod := range pods {
		p.link(pod)
	}
}

// Probe sends the requests to the pod's probe, all at the same time, and calls
// report once for each as its response is known, with the ID of the caller's
// own request. The calls of report come one after the other, from the calling
// goroutine, and Probe returns after the last.
//
// What cannot be measured is reported Unknown with a Detail, never left out:
// where there is no stream and none is being opened, at once; where one is
// being opened, after at most a second; where the stream is lost, at once;
// where the probe does not answer, two seconds after the longest time that it
// may take, or thirty where it goes on answering others; and when ctx ends, or
// there is a pause, at once.
func (p *Prober) Probe(ctx context.Context, pod string, requests []Request, report func(Response)) {
	reported := make([]bool, len(requests))
	tell := func(r result) {
		reported[r.index] = true
		r.ID = requests[r.index].ID
		report(r.Response)
	}
	tellRest := func(detail string) {
		for i := range requests {
			if !reported[i] {
				tell(result{i, Response{Verdict: Unknown, Detail: detail}})
			}
		}
	}

	if p.isPaused() {
		tellRest(detailPaused)
		return
	}
	s := p.link(pod).wait(ctx)
	switch {
	case s == nil && p.ctx.Err() != nil:
		tellRest(detailClosed)
		return
	case s == nil && ctx.Err() != nil:
		tellRest(detailEnded)
		return
	case s == nil:
		tellRest(detailLost)
		return
	}
	// As large as the number of requests, so that a slow report delays
	// nobody else on the stream.
	results := make(chan result, len(requests))
	for sent, told := 0, 0; told < len(requests); {
		slots, done := s.slots, s.done
		if sent == len(requests) {
			slots, done = nil, nil // What is in flight is answered by the stream itself.
		}
		select {
		case slots <- struct{}{}:
			s.send(requests[sent], sent, results)
			sent++
		case r := <-results:
			tell(r)
			told++
		case <-done:
			for ; sent < len(requests); sent++ {
				results <- result{sent, Response{Verdict: Unknown, Detail: s.detail()}}
			}
		case <-ctx.Done():
			for {
				select {
				case r := <-results:
					tell(r)
					continue
				default:
				}
				tellRest(detailEnded)
				return
			}
		}
	}
}

// Pause is called before the pods are frozen: until Resume nobody waits for an answer,
// so no stream is given up for want of one. What is being measured, and what is asked for
// meanwhile, is reported Unknown.
func (p *Prober) Pause() { p.setPaused(true) }

// Resume ends a pause. Streams that were lost are opened again at once.
func (p *Prober) Resume() { p.setPaused(false) }

func (p *Prober) setPaused(paused bool) {
	p.mu.Lock()
	p.paused = paused
	links := slices.Collect(maps.Values(p.links))
	if !paused {
		close(p.woken)
		p.woken = make(chan struct{})
	}
	p.mu.Unlock()
	for _, l := range links {
		l.mu.Lock()
		s := l.stream
		l.mu.Unlock()
		if s != nil {
			s.setPaused(paused)
		}
	}
}

func (p *Prober) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

// rest waits for as long as it takes until another attempt to open a stream is due: that
// is the pause or, where the pods are frozen, until they are not. It reports false where
// the Prober is closed.
func (p *Prober) rest(pause time.Duration) bool {
	wait := time.NewTimer(pause)
	defer wait.Stop()
	for due := wait.C; ; {
		p.mu.Lock()
		paused, woken := p.paused, p.woken
		p.mu.Unlock()
		if due == nil && !paused {
			return true
		}
		select {
		case <-due:
			due = nil
		case <-woken:
			due = nil
		case <-p.ctx.Done():
			return false
		}
	}
}

// Close closes every stream. What is being measured is reported Unknown. It
// returns when everything has ended, and never fails.
func (p *Prober) Close() error {
	p.mu.Lock()
	p.cancel(errClosed)
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

func (p *Prober) link(pod string) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.links[pod]
	if !ok {
		l = &link{prober: p, pod: pod}
		if p.ctx.Err() == nil {
			l.attempt = make(chan struct{})
			p.links[pod] = l
			p.wg.Go(l.run)
		}
	}
	return l
}

// link is the way to one pod: it has a stream, or is opening one, or pauses
// after an attempt that failed.
type link struct {
	prober *Prober
	pod    string

	mu      sync.Mutex
	stream  *stream
	attempt chan struct{} // Closed when the attempt under way has ended; nil where none is.
}

// wait returns the stream, or nil where there is none and will be none soon.
func (l *link) wait(ctx context.Context) *stream {
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	for {
		l.mu.Lock()
		s, attempt := l.stream, l.attempt
		l.mu.Unlock()
		if s != nil || attempt == nil {
			return s
		}
		select {
		case <-attempt:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// run opens the stream again and again until the Prober is closed.
func (l *link) run() {
	p := l.prober
	pause := backoffMin
	for {
		s, err := l.connect()
		l.mu.Lock()
		l.stream = s
		close(l.attempt)
		l.attempt = nil
		l.mu.Unlock()
		if err == nil {
			l.tell(nil)
			up := time.Now()
			<-s.done
			err = s.reason()
			l.mu.Lock()
			l.stream = nil
			l.mu.Unlock()
			if time.Since(up) > backoffMax {
				pause = backoffMin
			}
		}
		if p.ctx.Err() != nil {
			return
		}
		l.tell(err)
		// Half of the pause is left to chance, so that the streams of all
		// pods, lost together, do not come back together.
		if !p.rest(pause/2 + rand.N(pause/2+1)) {
			return
		}
		pause = min(2*pause, backoffMax)
		l.mu.Lock()
		l.attempt = make(chan struct{})
		l.mu.Unlock()
	}
}

func (l *link) tell(err error) {
	if err == nil {
		l.prober.log.Debug("probe stream is up", "pod", l.pod)
	} else {
		l.prober.log.Warn("probe stream is down", "pod", l.pod, "err", err)
	}
	if l.prober.OnState != nil {
		l.prober.OnState(l.pod, err)
	}
}

// connect opens the stream and waits for the probe's hello.
func (l *link) connect() (*stream, error) {
	p := l.prober
	ctx, cancel := context.WithCancelCause(p.ctx)
	late := time.AfterFunc(openTimeout, func() { cancel(errNoHello) })
	defer late.Stop()
	rwc, err := p.open(ctx, l.pod)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("open the stream: %w", err)
	}
	s := &stream{
		rwc:     rwc,
		cancel:  cancel,
		out:     make(chan Request, maxInFlight),
		slots:   make(chan struct{}, maxInFlight),
		hello:   make(chan struct{}),
		done:    make(chan struct{}),
		pending: map[uint64]call{},
		dropped: map[uint64]bool{},
	}
	p.wg.Go(s.read)
	p.wg.Go(s.write)
	p.wg.Go(func() {
		// The context ends with the Prober, with an attempt that takes too
		// long, and with the stream itself; the first reason stays.
		<-ctx.Done()
		s.fail(context.Cause(ctx))
	})
	select {
	case <-s.hello:
		if late.Stop() {
			return s, nil
		}
		<-s.done
	case <-s.done:
	}
	return nil, s.reason()
}

// stream is one connection to a pod's probe.
type stream struct {
	rwc    io.ReadWriteCloser
	cancel context.CancelCauseFunc
	out    chan Request  // Never full: every request in it holds a slot.
	slots  chan struct{} // Holds one for every request in flight.
	hello  chan struct{} // Closed when the probe has said hello.
	done   chan struct{} // Closed when the stream has failed.

	mu      sync.Mutex
	heard   time.Time // When the last line came.
	err     error     // Why it failed.
	last    uint64
	pending map[uint64]call
	paused  bool
	// dropped are the requests whose answers nobody waits for any more.
	dropped map[uint64]bool
}

// call is a request in flight: whose it is, and the timer that ends the stream
// where no answer comes.
type call struct {
	index   int
	results chan<- result
	late    *time.Timer
}

// result is the response to the request with the index in a Probe's requests.
type result struct {
	index int
	Response
}

// send sends a request, for which the caller has taken a slot. Its result comes
// on results, also where the stream is lost.
func (s *stream) send(r Request, index int, results chan<- result) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		results <- result{index, Response{Verdict: Unknown, Detail: s.detail()}}
		return
	}
	if s.paused {
		s.mu.Unlock()
		<-s.slots
		results <- result{index, Response{Verdict: Unknown, Detail: detailPaused}}
		return
	}
	s.last++
	id, due := s.last, time.Now().Add(r.limit())
	late := time.AfterFunc(r.limit()+grace, func() { s.overdue(id, due) })
	s.pending[id] = call{index, results, late}
	s.mu.Unlock()
	r.ID = id
	s.out <- r
}

// overdue is called when the answer to a request, due a while ago, has not come.
func (s *stream) overdue(id uint64, due time.Time) {
	s.mu.Lock()
	c, waiting := s.pending[id]
	silent := time.Since(s.heard)
	if waiting && silent < grace && time.Since(due) < mostGrace {
		c.late.Reset(grace - silent)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if waiting {
		s.fail(errHung)
	}
}

func (s *stream) write() {
	w := bufio.NewWriter(s.rwc)
	enc := json.NewEncoder(w)
	for {
		select {
		case r := <-s.out:
			err := enc.Encode(r)
			if len(s.out) == 0 {
				runtime.Gosched() // whoever sends may have more to go along
			}
			if err == nil && len(s.out) == 0 {
				err = w.Flush()
			}
			if err != nil {
				s.fail(fmt.Errorf("write: %w", err))
				return
			}
		case <-s.done:
			return
		}
	}
}

func (s *stream) read() {
	lines := bufio.NewScanner(s.rwc)
	lines.Buffer(nil, maxLine)
	hello := false
	for lines.Scan() {
		var r Response
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			s.fail(fmt.Errorf("malformed line %.100q: %w", lines.Bytes(), err))
			return
		}
		switch {
		case !hello && r == helloLine:
			hello = true
			close(s.hello)
		case !hello:
			s.fail(fmt.Errorf("a line came before the hello: %.100q", lines.Bytes()))
			return
		case !s.deliver(r):
			s.fail(fmt.Errorf("malformed response %.100q", lines.Bytes()))
			return
		}
	}
	err := lines.Err()
	if err == nil {
		err = io.EOF
	}
	s.fail(fmt.Errorf("read: %w", err))
}

// deliver hands a response to the caller it is for. It reports whether the
// response is well formed and answers a request in flight.
func (s *stream) deliver(r Response) bool {
	switch r.Verdict {
	case Open, Refused, Blocked, DNSFailed, Unknown, Silent:
	default:
		return false
	}
	s.mu.Lock()
	s.heard = time.Now()
	c, ok := s.pending[r.ID]
	dropped := s.dropped[r.ID]
	delete(s.pending, r.ID)
	delete(s.dropped, r.ID)
	s.mu.Unlock()
	if dropped {
		<-s.slots
		return true
	}
	if ok {
		c.late.Stop()
		c.results <- result{c.index, r}
		<-s.slots
	}
	return ok
}

// setPaused begins or ends a pause: in one nothing is in flight.
func (s *stream) setPaused(paused bool) {
	s.mu.Lock()
	s.paused = paused
	var pending map[uint64]call
	if paused && s.err == nil {
		pending, s.pending = s.pending, map[uint64]call{}
		for id := range pending {
			s.dropped[id] = true
		}
	}
	s.mu.Unlock()
	for _, c := range pending {
		c.late.Stop()
		c.results <- result{c.index, Response{Verdict: Unknown, Detail: detailPaused}}
	}
}

// fail ends the stream and answers what is in flight. Only the first call
// counts.
func (s *stream) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	s.cancel(nil)
	close(s.done)
	for _, c := range pending {
		c.late.Stop()
		c.results <- result{c.index, Response{Verdict: Unknown, Detail: s.detail()}}
	}
	_ = s.rwc.Close() // It is being thrown away; there is nobody to tell.
}

func (s *stream) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// detail says to a learner why a request on the failed stream was not answered.
func (s *stream) detail() string {
	switch err := s.reason(); {
	case errors.Is(err, errHung):
		return detailHung
	case errors.Is(err, errClosed):
		return detailClosed
	}
	return detailLost
}

package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pod is one behaviour of a probe at the other end of a stream. It returns
// when the stream is to end.
type pod func(in *bufio.Scanner, out io.Writer)

// answersAll answers every request at once with Open.
func answersAll(in *bufio.Scanner, out io.Writer) { answers(in, out, -1) }

// endsAfter answers n requests and then ends, as a pod that is killed.
func endsAfter(n int) pod {
	return func(in *bufio.Scanner, out io.Writer) { answers(in, out, n) }
}

func answers(in *bufio.Scanner, out io.Writer, n int) {
	say(out, helloLine)
	for ; n != 0 && in.Scan(); n-- {
		say(out, Response{ID: requestIn(in).ID, Verdict: Open, Server: requestIn(in).Address})
	}
}

// neverAnswers reads requests and says nothing more than hello.
func neverAnswers(in *bufio.Scanner, out io.Writer) {
	say(out, helloLine)
	for in.Scan() {
	}
}

// saysNothing does not even say hello.
func saysNothing(in *bufio.Scanner, out io.Writer) {
	for in.Scan() {
	}
}

// readsNothing says hello and leaves every request in the pipe.
func readsNothing(closed <-chan struct{}) pod {
	return func(in *bufio.Scanner, out io.Writer) {
		say(out, helloLine)
		<-closed
	}
}

// writes says hello and answers the first request with a line.
func writes(line string) pod {
	return func(in *bufio.Scanner, out io.Writer) {
		say(out, helloLine)
		in.Scan()
		fmt.Fprintln(out, line)
		for in.Scan() {
		}
	}
}

func say(out io.Writer, r Response) {
	b, _ := json.Marshal(r)
	fmt.Fprintf(out, "%s\n", b)
}

func requestIn(in *bufio.Scanner) (r Request) {
	if err := json.Unmarshal(in.Bytes(), &r); err != nil {
		panic(err)
	}
	return r
}

// opener opens streams to pods that behave one after the other as listed; the
// last goes on. A nil pod cannot be opened.
type opener struct {
	mu     sync.Mutex
	pods   []pod
	opened []time.Time
	wg     sync.WaitGroup
}

func (o *opener) open(context.Context, string) (io.ReadWriteCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	behave := o.pods[min(len(o.opened), len(o.pods)-1)]
	o.opened = append(o.opened, time.Now())
	if behave == nil {
		return nil, errors.New("no way to the pod")
	}
	here, there := net.Pipe()
	o.wg.Go(func() {
		defer there.Close()
		behave(bufio.NewScanner(there), there)
	})
	return here, nil
}

// times tells when each stream was opened.
func (o *opener) times() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.opened)
}

func newTestProber(t *testing.T, pods ...pod) (*Prober, *opener) {
	o := &opener{pods: pods}
	p := NewProber(o.open, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		p.Close()
		o.wg.Wait()
	})
	return p, o
}

// collect probes and returns the responses in the order of the requests, whose
// IDs must be 0, 1, 2...
func collect(t *testing.T, p *Prober, requests []Request) []Response {
	t.Helper()
	return collectUntil(t, t.Context(), p, requests)
}

func collectUntil(t *testing.T, ctx context.Context, p *Prober, requests []Request) []Response {
	t.Helper()
	out := make([]Response, len(requests))
	seen := make([]bool, len(requests))
	p.Probe(ctx, "ns/pod", requests, func(r Response) {
		if seen[r.ID] {
			t.Errorf("request %d was reported twice", r.ID)
		}
		seen[r.ID], out[r.ID] = true, r
	})
	for i, ok := range seen {
		if !ok {
			t.Errorf("request %d was not reported", i)
		}
	}
	return out
}

func requests(n int) []Request {
	out := make([]Request, n)
	for i := range out {
		out[i] = Request{ID: uint64(i), Kind: DialTCP, Address: fmt.Sprintf("10.0.0.1:%d", i+1), TimeoutMillis: 100}
	}
	return out
}

func wantAll(t *testing.T, got []Response, verdict Verdict, detail string) {
	t.Helper()
	for _, r := range got {
		if r.Verdict != verdict || r.Detail != detail {
			t.Errorf("request %d: got %s %q, want %s %q", r.ID, r.Verdict, r.Detail, verdict, detail)
		}
	}
}

func TestConcurrent_callers_get_their_own_answers_over_one_stream(t *testing.T) {
	p, o := newTestProber(t, answersAll)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			// More than fit in flight, and the same IDs in every caller.
			for i, r := range collect(t, p, requests(maxInFlight+50)) {
				if want := fmt.Sprintf("10.0.0.1:%d", i+1); r.Verdict != Open || r.Server != want {
					t.Errorf("request %d: got %+v, want an answer from %s", i, r, want)
				}
			}
		})
	}
	wg.Wait()
	if len(o.times()) != 1 {
		t.Errorf("%d streams were opened, want 1", len(o.times()))
	}
}

func TestAn_empty_probe_returns_without_a_report(t *testing.T) {
	p, _ := newTestProber(t, answersAll)
	collect(t, p, nil)
}

func TestRequests_on_a_lost_stream_are_unknown_at_once_and_the_stream_comes_back(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestProber(t, endsAfter(2), answersAll)
		start := time.Now()
		got := collect(t, p, requests(5))
		wantAll(t, got[:2], Open, "")
		wantAll(t, got[2:], Unknown, "the connection to the pod's probe is lost; reconnecting")
		wantAll(t, collect(t, p, requests(1)), Unknown, detailLost)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it took %v to say so", waited)
		}
		time.Sleep(backoffMin)
		synctest.Wait()
		wantAll(t, collect(t, p, requests(5)), Open, "")
	})
}

func TestA_probe_that_never_answers_is_unknown_after_the_limit_and_replaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestProber(t, neverAnswers, answersAll)
		start := time.Now()
		wantAll(t, collect(t, p, requests(3)), Unknown, "the pod's probe did not answer; reconnecting")
		if got, want := time.Since(start), requests(1)[0].limit()+grace; got != want {
			t.Errorf("it took %v, want %v", got, want)
		}
		time.Sleep(backoffMin)
		synctest.Wait()
		wantAll(t, collect(t, p, requests(3)), Open, "")
	})
}

func TestA_probe_that_reads_nothing_hangs_nobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan struct{})
		p, _ := newTestProber(t, readsNothing(closed), answersAll)
		wantAll(t, collect(t, p, requests(maxInFlight+10)), Unknown, detailHung)
		close(closed)
	})
}

func TestA_probe_that_answers_slowly_is_not_hung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(in *bufio.Scanner, out io.Writer) {
			say(out, helloLine)
			for in.Scan() {
				time.Sleep(time.Second)
				say(out, Response{ID: requestIn(in).ID, Verdict: Open})
			}
		}
		p, _ := newTestProber(t, slow)
		wantAll(t, collect(t, p, requests(20)), Open, "")
	})
}

func TestOne_answer_missing_among_others_ends_the_stream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forgetsTheFirst := func(in *bufio.Scanner, out io.Writer) {
			say(out, helloLine)
			in.Scan()
			for in.Scan() {
				say(out, Response{ID: requestIn(in).ID, Verdict: Open})
			}
		}
		p, _ := newTestProber(t, forgetsTheFirst, answersAll)
		start := time.Now()
		missing := make(chan []Response)
		go func() { missing <- collect(t, p, requests(1)) }()
		synctest.Wait()
		for {
			select {
			case got := <-missing:
				wantAll(t, got, Unknown, detailHung)
				if took := time.Since(start); took < mostGrace || took > mostGrace+5*time.Second {
					t.Errorf("it took %v", took)
				}
				return
			case <-time.After(700 * time.Millisecond): // Never at the moment of the verdict.
				wantAll(t, collect(t, p, requests(1)), Open, "")
			}
		}
	})
}

func TestA_dial_by_name_may_take_twice_as_long(t *testing.T) {
	r := Request{Kind: DialTCP, TimeoutMillis: 300}
	byName := r
	byName.Host = "api.production.svc.cluster.local."
	if r.limit() != 3*time.Second || byName.limit() != 6*time.Second {
		t.Errorf("limits: %v and %v, want 3s and 6s", r.limit(), byName.limit())
	}
}

func TestMalformed_output_ends_the_stream(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":            "panic: runtime error",
		"unknown request":    `{"id": 77, "verdict": "open"}`,
		"unknown verdict":    `{"id": 1, "verdict": "maybe"}`,
		"no verdict":         `{"id": 1}`,
		"a second hello":     `{"id": 0, "verdict": "hello"}`,
		"an array":           `[]`,
		"a line without end": fmt.Sprintf("%0*d", maxLine+1, 0),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := newTestProber(t, writes(line), answersAll)
				wantAll(t, collect(t, p, requests(1)), Unknown, detailLost)
				time.Sleep(backoffMin)
				synctest.Wait()
				wantAll(t, collect(t, p, requests(1)), Open, "")
			})
		})
	}
}

func TestAn_answer_twice_is_malformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		twice := `{"id": 1, "verdict": "open"}` + "\n" + `{"id": 1, "verdict": "open"}`
		p, o := newTestProber(t, writes(twice), answersAll)
		wantAll(t, collect(t, p, requests(1)), Open, "")
		time.Sleep(backoffMin)
		synctest.Wait()
		if len(o.times()) != 2 {
			t.Errorf("%d streams were opened, want 2", len(o.times()))
		}
	})
}

func TestWhere_there_is_no_way_to_the_pod_probes_are_unknown_at_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestProber(t, nil)
		start := time.Now()
		wantAll(t, collect(t, p, requests(3)), Unknown, detailLost)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it took %v to say so", waited)
		}
	})
}

func TestA_stream_without_hello_is_waited_for_a_second_and_given_up_after_ten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newTestProber(t, saysNothing, answersAll)
		start := time.Now()
		wantAll(t, collect(t, p, requests(1)), Unknown, detailLost)
		if waited := time.Since(start); waited != openPatience {
			t.Errorf("it took %v, want %v", waited, openPatience)
		}
		time.Sleep(openTimeout - openPatience + backoffMin)
		synctest.Wait()
		wantAll(t, collect(t, p, requests(1)), Open, "")
		opened := o.times()
		if between := opened[1].Sub(opened[0]); between < openTimeout || between > openTimeout+backoffMin {
			t.Errorf("opened again after %v", between)
		}
	})
}

func TestAttempts_to_open_back_off_with_jitter_up_to_five_seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newTestProber(t, nil)
		p.Start("ns/pod")
		time.Sleep(time.Minute)
		p.Close()
		pause := backoffMin
		opened := o.times()
		for i := 1; i < len(opened); i++ {
			if got := opened[i].Sub(opened[i-1]); got < pause/2 || got > pause {
				t.Errorf("pause %d is %v, want %v to %v", i, got, pause/2, pause)
			}
			pause = min(2*pause, backoffMax)
		}
		if n := len(opened); n < 16 || n > 40 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}

func TestA_stream_that_lasted_is_reopened_quickly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newTestProber(t, nil, nil, nil, nil, nil, nil, nil, endsAfter(1), answersAll)
		p.Start("ns/pod")
		time.Sleep(time.Minute)
		lost := time.Now()
		wantAll(t, collect(t, p, requests(1)), Open, "")
		time.Sleep(time.Second)
		opened := o.times()
		if again := opened[len(opened)-1].Sub(lost); again > backoffMin {
			t.Errorf("reopened after %v", again)
		}
	})
}

func TestThe_state_hook_is_told_of_loss_and_return(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestProber(t, nil, endsAfter(1), answersAll)
		var states []string
		p.OnState = func(pod string, err error) { states = append(states, fmt.Sprintf("%s up=%v", pod, err == nil)) }
		p.Start("ns/pod")
		time.Sleep(time.Second)
		collect(t, p, requests(1))
		time.Sleep(time.Second)
		synctest.Wait()
		want := "[ns/pod up=false ns/pod up=true ns/pod up=false ns/pod up=true]"
		if got := fmt.Sprint(states); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestCancelling_ends_a_probe_at_once_and_leaves_the_stream_to_others(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(in *bufio.Scanner, out io.Writer) {
			say(out, helloLine)
			for in.Scan() {
				time.Sleep(100 * time.Millisecond)
				say(out, Response{ID: requestIn(in).ID, Verdict: Blocked})
			}
		}
		p, o := newTestProber(t, slow)
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		start := time.Now()
		got := collectUntil(t, ctx, p, requests(5))
		wantAll(t, got[:1], Blocked, "")
		wantAll(t, got[1:], Unknown, "the measurement was broken off")
		if waited := time.Since(start); waited != 150*time.Millisecond {
			t.Errorf("it took %v", waited)
		}
		wantAll(t, collect(t, p, requests(1)), Blocked, "")
		if len(o.times()) != 1 {
			t.Errorf("%d streams were opened, want 1", len(o.times()))
		}
	})
}

func TestClose_ends_everything_and_later_probes_are_unknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newTestProber(t, neverAnswers)
		done := make(chan []Response)
		go func() { done <- collect(t, p, requests(3)) }()
		synctest.Wait()
		p.Close()
		wantAll(t, <-done, Unknown, "the lab has let go of this sandbox")
		wantAll(t, collect(t, p, requests(1)), Unknown, detailClosed)
		o.wg.Wait()
	})
}

func TestClose_breaks_off_an_attempt_to_open(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber(func(ctx context.Context, _ string) (io.ReadWriteCloser, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, slog.New(slog.DiscardHandler))
		p.Start("ns/pod")
		synctest.Wait()
		start := time.Now()
		p.Close()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("Close took %v", waited)
		}
	})
}

// frozen is a pod that answers nothing while it is frozen, and all of it afterwards.
func frozen(thawed <-chan struct{}) pod {
	return func(in *bufio.Scanner, out io.Writer) {
		say(out, helloLine)
		for in.Scan() {
			<-thawed
			say(out, Response{ID: requestIn(in).ID, Verdict: Open})
		}
	}
}

func TestA_pause_gives_up_no_stream_and_nobody_waits_in_it(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		thawed := make(chan struct{})
		p, o := newTestProber(t, frozen(thawed))
		done := make(chan []Response)
		go func() { done <- collect(t, p, requests(3)) }()
		synctest.Wait()
		start := time.Now()
		p.Pause()
		wantAll(t, <-done, Unknown, detailPaused)
		wantAll(t, collect(t, p, requests(2)), Unknown, detailPaused)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("somebody waited %v", waited)
		}
		time.Sleep(time.Hour)
		close(thawed)
		p.Resume()
		wantAll(t, collect(t, p, requests(maxInFlight+1)), Open, "")
		if len(o.times()) != 1 {
			t.Errorf("%d streams were opened, want the one to have lasted", len(o.times()))
		}
	})
}

func TestA_stream_that_a_pause_has_cost_is_opened_again_when_the_pause_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := make(chan struct{})
		p, o := newTestProber(t, func(in *bufio.Scanner, out io.Writer) {
			say(out, helloLine)
			<-cut
		}, answersAll)
		p.Start("ns/pod")
		synctest.Wait()
		p.Pause()
		close(cut)
		time.Sleep(time.Hour)
		if n := len(o.times()); n != 1 {
			t.Errorf("%d streams were opened in the pause", n-1)
		}
		p.Resume()
		synctest.Wait()
		wantAll(t, collect(t, p, requests(3)), Open, "")
		if at := o.times(); len(at) != 2 || !at[1].Equal(time.Now()) {
			t.Errorf("streams were opened at %v, want the second one now, %v", at, time.Now())
		}
	})
}
